"""From labelled decisions to a model with its honest evaluation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.errors import DataError, sentence
from errdetect.model.baselines import fit_segment_rate, margin_ranking
from errdetect.model.calibration import Calibrator, choose_calibrator
from errdetect.model.detector import HEADS, Detector, Examples, fit_heads, prepare
from errdetect.model.evaluation import evaluate
from errdetect.model.gate import Verdict, judge
from errdetect.model.held_out import HeldOut
from errdetect.model.reliability import reliability, reliability_by
from errdetect.model.splits import FIT, TEST, TUNE, temporal_parts
from errdetect.model.tuning import Tuned, tune

__all__ = ["MIN_LABELS", "SEGMENTS", "Trained", "train_detector"]

Floats = npt.NDArray[np.float64]

MIN_LABELS = 50
#: Columns by which calibration is checked and, where it proves itself, corrected.
SEGMENTS = ("policy_id", "market", "language", "category", "moderator")
_MORE_ROUNDS = 1.15  # more decisions bear more trees when refitting


@dataclass(frozen=True)
class Trained:
    """A model refitted on every label, with what held-out time said of the way it was made.

    Parameters
    ----------
    detector, calibrator
        What scores.
    tuned
        The chosen settings and the trials behind them.
    evaluation
        From `evaluate`, on the latest labelled decisions.
    verdict
        The gate's answer.
    counts
        Labelled decisions and errors per part.
    notes
        What the reader must know, in plain words.
    reliability, reliability_by
        Said and seen probability on the latest labelled decisions: along the ranking, and in every
        segment.
    held_out
        The latest labelled decisions, and what the evaluated model said of them.
    """

    detector: Detector
    calibrator: Calibrator
    tuned: Tuned
    evaluation: pd.DataFrame
    verdict: Verdict
    counts: Mapping[str, int]
    notes: tuple[str, ...]
    reliability: pd.DataFrame
    reliability_by: pd.DataFrame
    held_out: HeldOut


def train_detector(
    examples: Examples,
    *,
    parts: tuple[float, float, float],
    leave_out: tuple[str, ...],
    text: bool,
    trials: int,
    seconds: float | None,
    budgets: Sequence[float],
    resamples: int,
    min_errors: int,
    seed: int,
    threads: int,
    early: Callable[[pd.Timestamp, Examples], Examples] | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Trained:
    """Tune on earlier decisions, evaluate on later ones, refit on all.

    Parameters
    ----------
    examples
        Labelled decisions in order of time.
    parts
        Shares of fit, tune and test by time.
    leave_out, text
        As for `learn_encoding`.
    trials, seconds
        As for `tune`.
    budgets, resamples
        As for `evaluate`.
    min_errors
        As for `judge`.
    seed, threads
        Seed of all randomness; processors used.
    early
        Given a moment and examples, returns them with the labels that were known by then.
    progress
        Told what is going on.

    Raises
    ------
    DataError
        Where labels are too few, or all say the same.
    """
    _check(examples)
    part = temporal_parts(examples.decisions["decided_at"], parts)
    fit, held, test = (examples.take(part == code) for code in (FIT, TUNE, TEST))
    both = examples.take(part != TEST)
    if early is not None:
        fit = early(held.decisions["decided_at"].iloc[0], fit)
        both = early(test.decisions["decided_at"].iloc[0], both)
    how: dict[str, Any] = {"leave_out": leave_out, "text": text, "seed": seed}

    progress(f"learning from {len(fit)} decisions, tuning on the {len(held)} after them")
    tuned = tune(
        prepare(fit, **how),
        held,
        trials=trials,
        seconds=seconds,
        seed=seed,
        threads=threads,
        progress=progress,
    )
    rounds = {head: round(tuned.rounds[head] * _MORE_ROUNDS) for head in HEADS}

    progress(f"evaluating on the latest {len(test)} decisions")
    later = fit_heads(prepare(both, **how), tuned.params, rounds, seed=seed, threads=threads)
    raw_test = later.raw(later.features(test.decisions), threads)
    calibrator = choose_calibrator(tuned.raw, held.error, _measured(held), **_sides(held.decisions))
    p_test = calibrator.probability(raw_test, **_sides(test.decisions))
    rankings = {"margin": margin_ranking(test.decisions)}
    rankings["segment rate"] = fit_segment_rate(both.decisions, both.error, both.weight).rate(
        test.decisions
    )
    p_test = calibrator.probability(raw_test)
    evaluation = evaluate(
        test.error,
        p_test,
        rankings,
        _measured(test),
        budgets=budgets,
        resamples=resamples,
        rng=np.random.default_rng(seed),
    )
    measured = _measured(test) > 0
    verdict = judge(evaluation, test.error[measured], min_errors=min_errors)

    progress(f"refitting on all {len(examples)} decisions")
    final = prepare(examples, **how)
    detector = fit_heads(final, tuned.params, rounds, seed=seed, threads=threads)
    raw, y = np.append(tuned.raw, raw_test), np.append(held.error, test.error)
    weight = np.append(_measured(held), _measured(test))
    counts = {f"{name}_{what}": int(n) for name, e in (("fit", fit), ("tune", held), ("test", test))
              for what, n in (("decisions", len(e)), ("errors", e.error.sum()))}  # fmt: skip
    return Trained(
        detector,
        choose_calibrator(raw, y, weight, **_sides(pd.concat([held.decisions, test.decisions]))),
        tuned,
        evaluation,
        verdict,
        counts,
        _notes(test, final.encoding.left_out),
        reliability(test.error, p_test, _measured(test)),
        reliability_by(test.error, p_test, _measured(test), _sides(test.decisions)["segments"]),
        HeldOut(test, p_test, _measured(test)),
    )


def _check(examples: Examples) -> None:
    errors = int(examples.error.sum())
    if len(examples) < MIN_LABELS:
        do = "Review more decisions, best as a random audit."
        raise DataError(
            sentence(
                "Training", f"have at least {MIN_LABELS} labelled decisions", len(examples), do
            )
        )
    if errors in (0, len(examples)):
        what = "none is an error" if errors == 0 else "all are errors"
        do = "Check data.actions and the reviews' verdicts, or review more decisions."
        raise DataError(sentence("The labels", "hold both errors and correct decisions", what, do))


def _sides(decisions: pd.DataFrame) -> dict[str, Any]:
    """Return what calibration may tell decisions apart by."""
    known = [c for c in SEGMENTS if c in decisions]
    return {"enforced": decisions["enforced"].to_numpy(bool), "segments": decisions[known]}


def _measured(examples: Examples) -> Floats:
    """Weights to measure with: the design's, or one each where no audit drew enough to tell."""
    drawn = examples.design > 0
    wrong = int(examples.error[drawn].sum())
    if drawn.all() or min(wrong, int(drawn.sum()) - wrong) >= 5:
        return examples.design
    return np.ones(len(examples))


def _notes(test: Examples, left_out: Mapping[str, str]) -> tuple[str, ...]:
    notes = [f"column '{name}' is not a feature: {why}" for name, why in left_out.items()]
    drawn = int((test.design > 0).sum())
    if drawn == len(test):
        notes.append("measured on audited decisions, each counted for those it stands for")
    elif _measured(test) is test.design:
        notes.append(
            f"measured on the {drawn} audited of {len(test)} held-out decisions, each counted for those it "
            "stands for; decisions reviewed for other reasons say nothing about the rest"
        )
    else:
        notes.append(
            f"only {drawn} of {len(test)} held-out decisions carry the inclusion probability of an "
            "audit, so the figures describe "
            "reviewed decisions and not all decisions. Plan an audit"
        )
    return tuple(notes)
