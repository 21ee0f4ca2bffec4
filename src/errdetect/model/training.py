"""Train a model on labelled decisions and evaluate it on later ones; cross-fit P(error) for estimates."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.errors import DataError, error_message
from errdetect.features.feature_matrix import build_features, fit_encoding
from errdetect.features.text_models import RECIPES, TextModelRecipe
from errdetect.model.calibration import Calibrator, choose_calibrator
from errdetect.model.detector import Detector, Examples
from errdetect.model.ensemble import (
    Ensemble,
    choose_ensemble,
    choose_text_recipes,
    fit_ensemble,
)
from errdetect.model.ensemble_members import DEFAULT_PARAMS, FitOptions, margin_ranking, raw_scores
from errdetect.model.evaluation import (
    FIT,
    SEGMENT_RATE,
    TEST,
    TUNE,
    Bootstrap,
    HeldOut,
    evaluate,
    evaluation_weights,
    reliability_by_segment,
    reliability_table,
    split_by_time,
)
from errdetect.model.gate import Champion, GateResult, GateRules, ModelFacts, apply_gate
from errdetect.model.surrogate import LogSample, sample_log
from errdetect.model.training_data import (
    PreparedExamples,
    count_texts_once,
    prepare_examples,
)
from errdetect.model.tuning import (
    HeldOutErrors,
    Objective,
    Search,
    TunedParams,
    is_within_noise,
    tune,
)

__all__ = [
    "MIN_LABELS",
    "SEGMENTS",
    "CrossFit",
    "TrainedModel",
    "TrainingPlan",
    "cross_fit",
    "train_detector",
]

Floats = npt.NDArray[np.float64]

MIN_LABELS = 50
#: Columns by which calibration is checked and, where held-out data supports it, corrected.
SEGMENTS = ("policy_id", "market", "language", "category", "moderator")
Ints = npt.NDArray[np.int64]

#: Fewer reviewed errors, or correct decisions, are too few to fit a model.
MIN_EACH = 30
FOLDS = 5
_ROUNDS = 80
_PARAMS = {
    "objective": "cross_entropy",
    "learning_rate": 0.08,
    "num_leaves": 12,
    "min_data_in_leaf": 20,
    "feature_fraction": 0.6,
    "lambda_l2": 5.0,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}
_BLOCK = 100_000  # rows per prediction


@dataclass(frozen=True)
class TrainedModel:
    """A model refitted on every label, with the held-out evaluation of its training procedure.

    Parameters
    ----------
    detector, calibrator
        The fitted models.
    tuned
        The chosen settings and the trials behind them.
    blend
        The chosen average of members.
    evaluation
        From `evaluate`, on the latest labelled decisions.
    verdict
        The gate's answer.
    counts
        Labelled decisions and errors per part.
    notes
        Notes for users.
    reliability, reliability_by
        Predicted and observed error rates on the latest labelled decisions: along the ranking, and by
        segment.
    held_out
        The latest labelled decisions, and the evaluated model's predictions.
    evaluated
        The evaluated model: trained on earlier labels alone.
    price
        Cost to score a decision, in microseconds; see `Detector.price`.
    champion
        The version that the gate compared with; None without one.
    held_out_raw
        Shape (n,), log-odds of error of the decisions that are not in the first part, in order of time,
        each from a model that learned from earlier ones: what `calibrator` was fitted on.
    """

    detector: Detector
    calibrator: Calibrator
    tuned: TunedParams
    blend: Ensemble
    evaluation: pd.DataFrame
    verdict: GateResult
    counts: Mapping[str, int]
    notes: tuple[str, ...]
    reliability: pd.DataFrame
    reliability_by: pd.DataFrame
    held_out: HeldOut
    evaluated: Detector
    price: float
    champion: str | None = None
    held_out_raw: Floats = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True)
class TrainingPlan:
    """What a training learns from, how it is tuned, and how it is evaluated.

    Parameters
    ----------
    parts
        Shares of fit, tune and test by time.
    leave_out, text
        As for `fit_encoding`.
    search, objective
        As for `tune`.
    budgets, resamples
        As for `evaluate`.
    gate
        What the model must show.
    """

    parts: tuple[float, float, float] = (0.6, 0.2, 0.2)
    leave_out: tuple[str, ...] = ()
    text: bool = True
    search: Search = field(default_factory=Search)
    objective: Objective = field(default_factory=Objective)
    budgets: Sequence[float] = (0.01, 0.05, 0.1, 0.2)
    resamples: int = 400
    gate: GateRules = field(default_factory=GateRules)


def train_detector(
    examples: Examples,
    plan: TrainingPlan,
    options: FitOptions,
    *,
    log: pd.DataFrame | None = None,
    early: Callable[[pd.Timestamp, Examples], Examples] | None = None,
    champion: Callable[[Examples], Champion | None] | None = None,
) -> TrainedModel:
    """Tune on earlier decisions, evaluate on later ones, refit on all.

    Parameters
    ----------
    examples
        Labelled decisions in order of time.
    plan
        What to learn from, how to tune and to evaluate.
    options
        Seed, threads, progress.
    log
        Shape (m, any), all decisions in order of time, reviewed or not, for the surrogate model;
        None: unreviewed decisions are not used.
    early
        Given a moment and examples, returns them with the labels known by then.
    champion
        Given the held-out examples, returns the model to beat, or None without one.

    Raises
    ------
    DataError
        Where labels are too few, or all the same.
    """
    _check_labels(examples)
    part = split_by_time(examples.decisions["decided_at"], plan.parts)
    fit, held, test = (examples.take(part == code) for code in (FIT, TUNE, TEST))
    both = examples.take(part != TEST)
    if early is not None:
        fit = early(held.decisions["decided_at"].iloc[0], fit)
        both = early(test.decisions["decided_at"].iloc[0], both)
    grown = _fit_stages(examples, (fit, held, both, test), plan, options, log)
    tuned, blend, raw_test = grown.tuned, grown.blend, grown.raw_test
    calibrator = choose_calibrator(
        blend.raw, held.p_error, evaluation_weights(held), evidence=held.evidence,
        **_calibration_segments(held.decisions),
    )  # fmt: skip
    p_test = calibrator.probability(raw_test, **_calibration_segments(test.decisions))
    held_out = HeldOut(test, p_test, evaluation_weights(test))
    rankings = _baseline_rankings(test.decisions, grown.evaluated)
    evaluation = _evaluate_held_out(held_out, rankings, plan, options.seed)
    price = grown.detector.price(_mean_text_length(examples.decisions))
    to_beat = None if champion is None else champion(test)
    verdict = apply_gate(
        held_out,
        rankings,
        plan.gate,
        champion=to_beat,
        facts=ModelFacts(price, examples.decisions["decided_at"].iloc[-1]),
        seed=options.seed,
    )

    raw, p_error = np.append(blend.raw, raw_test), np.append(held.p_error, test.p_error)
    weight = np.append(evaluation_weights(held), held_out.weight)
    counts = {f"{name}_{what}": int(n) for name, e in (("fit", fit), ("tune", held), ("test", test))
              for what, n in (("decisions", len(e)), ("errors", e.error.sum()))}  # fmt: skip
    return TrainedModel(
        grown.detector,
        choose_calibrator(
            raw,
            p_error,
            weight,
            evidence=np.append(held.evidence, test.evidence),
            **_calibration_segments(pd.concat([held.decisions, test.decisions])),
        ),
        tuned,
        blend,
        evaluation,
        verdict,
        counts,
        (*_evaluation_notes(test, grown.detector.encoding.left_out), *blend.notes),
        reliability_table(test.p_error, p_test, held_out.weight, evidence=test.evidence),
        reliability_by_segment(
            test.p_error,
            p_test,
            held_out.weight,
            _calibration_segments(test.decisions)["segments"],
            evidence=test.evidence,
        ),
        held_out,
        grown.evaluated,
        price,
        None if to_beat is None else to_beat.version,
        raw,
    )


def _mean_text_length(decisions: pd.DataFrame) -> float:
    """Return the mean length of the texts in characters, 0 without any."""
    if "text" not in decisions:
        return 0.0
    return float(np.nan_to_num(decisions["text"].str.len().mean()))


def _baseline_rankings(decisions: pd.DataFrame, detector: Detector) -> dict[str, Floats]:
    """Return the rankings that need no model."""
    return {"margin": margin_ranking(decisions), SEGMENT_RATE: detector.segment.rate(decisions)}


def _evaluate_held_out(
    held: HeldOut, rankings: Mapping[str, Floats], plan: TrainingPlan, seed: int
) -> pd.DataFrame:
    """Compare the model with rankings that need none."""
    return evaluate(
        held.examples.error,
        held.p,
        rankings,
        held.weight,
        budgets=plan.budgets,
        bootstrap=Bootstrap(plan.resamples, np.random.default_rng(seed)),
    )


@dataclass(frozen=True)
class _FittedStages:
    """Tuned and chosen settings; the evaluated detector with its log-odds; the final detector."""

    tuned: TunedParams
    blend: Ensemble
    evaluated: Detector
    raw_test: Floats
    detector: Detector


def _fit_stages(
    examples: Examples,
    parts: tuple[Examples, Examples, Examples, Examples],
    plan: TrainingPlan,
    options: FitOptions,
    log: pd.DataFrame | None,
) -> _FittedStages:
    """Tune and choose on `fit` and `held`, refit on `both` for `test`, and finally on all."""
    fit, held, both, test = parts
    progress = options.progress
    progress(f"reading texts of {len(examples)} decisions")
    counted = count_texts_once(examples.decisions, fit, leave_out=plan.leave_out, text=plan.text)
    logs = _split_log(log, (held, test), text=counted.texts is not None, seed=options.seed)
    # One thread fewer while text models are fitted in parallel.
    fewer = replace(options, threads=max(1, options.threads - 1))

    def prepare(
        part: Examples,
        later: Examples | None,
        some: LogSample | None,
        recipes: Sequence[TextModelRecipe] = RECIPES,
        processes: int = max(1, options.threads // 2),
    ) -> tuple[PreparedExamples, PreparedExamples]:
        """Prepare examples, and later ones with the encoders fitted on the former."""
        prepared = prepare_examples(
            part, counted, leave_out=plan.leave_out, text=plan.text, seed=options.seed, log=some,
            recipes=recipes, processes=processes,
        )  # fmt: skip
        if later is None:
            return prepared, prepared
        texts = None if prepared.text is None else counted.of(later.decisions)
        return prepared, prepared.prepare_later(later, texts)

    with ThreadPoolExecutor(1) as texts:  # sequential, for reproducible results
        progress(f"learning from {len(fit)} decisions, tuning on the {len(held)} after them")
        first, later = prepare(fit, held, logs[0], processes=options.threads)
        weight = evaluation_weights(held)
        recipes = choose_text_recipes(first, later, weight, plan.objective, options)
        first, later = first.with_recipes(recipes), later.with_recipes(recipes)
        second_, final_ = (
            texts.submit(prepare, *part, some, recipes)
            for part, some in zip(((both, test), (examples, None)), logs[1:], strict=True)
        )
        tuned = tune(first, later, weight, plan.search, plan.objective, fewer)
        tuned, blend = _confirm_tuning(first, later, tuned, weight, plan.objective, fewer)

        progress(f"evaluating on the latest {len(test)} decisions")
        second, latest = second_.result()
        evaluated = second.detector(fit_ensemble(second, blend, tuned.params, fewer), blend.floor)
        raw_test = evaluated.raw(latest.X, fewer.threads)

        progress(f"refitting on all {len(examples)} decisions")
        final, _ = final_.result()
    detector = final.detector(fit_ensemble(final, blend, tuned.params, options), blend.floor)
    return _FittedStages(tuned, blend, evaluated, raw_test, detector)


def _confirm_tuning(
    first: PreparedExamples,
    later: PreparedExamples,
    tuned: TunedParams,
    weight: Floats,
    objective: Objective,
    options: FitOptions,
) -> tuple[TunedParams, Ensemble]:
    """Keep tuned settings only where they improve the whole ensemble, not just one member."""
    default = choose_ensemble(first, later, DEFAULT_PARAMS, weight, objective, options)
    if tuned.params == DEFAULT_PARAMS:
        return tuned, default
    blend = choose_ensemble(first, later, tuned.params, weight, objective, options)
    errors = HeldOutErrors(later.examples.error, weight, later.examples.harm)
    if is_within_noise(errors, blend.raw, default.raw, objective, options.seed):
        return replace(tuned, params=DEFAULT_PARAMS), default
    return tuned, blend


def _split_log(
    log: pd.DataFrame | None, later: tuple[Examples, Examples], *, text: bool, seed: int
) -> list[LogSample | None]:
    """Cut the log's sample before each of the later parts; the last is the whole sample."""
    if log is None:
        return [None, None, None]
    sample = sample_log(log, text=text, seed=seed)
    return [*(sample.before(e.decisions["decided_at"].iloc[0]) for e in later), sample]


def _check_labels(examples: Examples) -> None:
    errors = int(examples.error.sum())
    if len(examples) < MIN_LABELS:
        do = "Review more decisions, ideally in a random audit."
        raise DataError(
            error_message(
                "Training", f"have at least {MIN_LABELS} labelled decisions", len(examples), do
            )
        )
    if errors in (0, len(examples)):
        what = "none is an error" if errors == 0 else "all are errors"
        do = "Check data.actions and the reviews' verdicts, or review more decisions."
        raise DataError(
            error_message("The labels", "hold both errors and correct decisions", what, do)
        )


def _calibration_segments(decisions: pd.DataFrame) -> dict[str, Any]:
    """Return the segment columns for calibration."""
    known = [c for c in SEGMENTS if c in decisions]
    return {"enforced": decisions["enforced"].to_numpy(bool), "segments": decisions[known]}


def _evaluation_notes(test: Examples, left_out: Mapping[str, str]) -> tuple[str, ...]:
    notes = [f"column '{name}' is not a feature: {why}" for name, why in left_out.items()]
    drawn = int((test.design > 0).sum())
    if drawn == len(test):
        notes.append("evaluated on audited decisions, weighted by 1/inclusion probability")
    elif evaluation_weights(test) is test.design:
        notes.append(
            f"evaluated on the {drawn} audited of {len(test)} held-out decisions, weighted by "
            "1/inclusion probability; decisions reviewed for other reasons do not represent the rest"
        )
    else:
        notes.append(
            f"only {drawn} of {len(test)} held-out decisions carry the inclusion probability of an "
            "audit, so the results describe reviewed decisions, not all decisions. Plan an audit"
        )
    return tuple(notes)


@dataclass(frozen=True)
class CrossFit:
    """Cross-fitted P(error) of every decision.

    Parameters
    ----------
    p_error
        Shape (n_decisions,), in (0, 1). For reviewed decisions from a model trained without their
        fold, for all others the mean of the folds' models.
    fold
        Fold of each reviewed decision, shape (n_reviewed,).
    """

    p_error: Floats
    fold: Ints


def cross_fit(
    decisions: pd.DataFrame,
    position: Ints,
    error: Floats,
    weight: Floats,
    options: FitOptions | None = None,
    *,
    leave_out: tuple[str, ...] = (),
) -> CrossFit | None:
    """Cross-fit P(error) on reviewed decisions, and predict every decision.

    Small trees on the log's columns without the text: fast, and accurate enough to narrow an
    interval. Decisions on one item share a fold, so that copies do not leak.

    Parameters
    ----------
    decisions
        Shape (n_decisions, any), with the derived column `enforced`.
    position
        Rows of the reviewed decisions, shape (n_reviewed,).
    error
        Their share of error verdicts, in [0, 1].
    weight
        Decisions that each represents.
    options
        Seed of folds and trees, and threads; default: seed 0, one thread.
    leave_out
        Columns that must not be features.

    Returns
    -------
    CrossFit or None with fewer than 30 errors or fewer than 30 correct decisions.

    References
    ----------
    Zrnic and Candes (2024), Cross-prediction-powered inference, PNAS 121.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.random(2000)
    >>> decisions = pd.DataFrame({"item_id": [f"i{i}" for i in range(2000)], "enforced": True, "x": x})
    >>> wrong = (rng.random(600) < x[:600]).astype(float)
    >>> p = cross_fit(decisions, np.arange(600), wrong, np.ones(600)).p_error
    >>> bool(p[x > 0.8].mean() > p[x < 0.2].mean() + 0.4)
    True
    >>> cross_fit(decisions, np.arange(20), wrong[:20], np.ones(20)) is None
    True
    """
    if min(error.sum(), (1 - error).sum()) < MIN_EACH:
        return None
    options = options or FitOptions()
    encoding = fit_encoding(decisions.iloc[position], leave_out=leave_out, text=False)
    reviewed = build_features(decisions.iloc[position], encoding, None)
    fold = _assign_folds(decisions["item_id"].iloc[position], options.seed)
    params = {**_PARAMS, "seed": options.seed, "num_threads": options.threads}
    boosters = []
    for k in range(FOLDS):
        rest = fold != k
        data = lgb.Dataset(
            reviewed[rest],
            error[rest],
            weight=weight[rest] / weight[rest].mean(),
            categorical_feature=list(encoding.categories),
            params={"verbose": -1},
        )
        boosters.append(lgb.train(params, data, num_boost_round=_ROUNDS))
    p = np.empty(len(decisions))
    for start in range(0, len(decisions), _BLOCK):
        block = slice(start, start + _BLOCK)
        X = build_features(decisions.iloc[block], encoding, None)
        p[block] = np.mean([_predict_probability(b, X, options.threads) for b in boosters], axis=0)
    for k, booster in enumerate(boosters):
        p[position[fold == k]] = _predict_probability(booster, reviewed[fold == k], options.threads)
    return CrossFit(p, fold)


def _predict_probability(booster: lgb.Booster, X: Floats, threads: int) -> Floats:
    return np.asarray(1 / (1 + np.exp(-raw_scores(booster, X, threads))), dtype=np.float64)


def _assign_folds(item: pd.Series, seed: int) -> Ints:
    code, items = pd.factorize(item)
    dealt = np.random.default_rng(seed).permutation(len(items)) % FOLDS
    return np.where(code >= 0, dealt[code], np.arange(len(code)) % FOLDS).astype(np.int64)
