"""What training does with its held-out decisions: segments, and the model of the right label."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.config import Config
from errdetect.model.baselines import fit_segment_rate
from errdetect.model.held_out import HeldOut
from errdetect.model.relabel_evaluation import MIN_HELD_OUT, evaluate_relabelling, loses
from errdetect.model.policy_correction import (
    MIN_RELABELLED,
    Relabelling,
    count_relabelled,
    fit_relabelling,
)
from errdetect.model.segment_evaluation import evaluate_segments
from errdetect.schemas import RELABELLED, UNKNOWN, WRONG_LABEL
from errdetect.snapshot import Snapshot

__all__ = ["Relabelled", "learn_relabelling", "measure_segments"]

_VOICES = "reviewers"  # the segment column for how people's voices fell
_BUDGET = 0.1


@dataclass(frozen=True)
class Relabelled:
    """The model of the right label, or why there is none.

    Parameters
    ----------
    model
        None where too few decisions were relabelled, or where it does worse than none.
    evaluation
        Rows for the evaluation's table; none where nothing could be measured.
    notes
        What the reader must know, in plain words.
    """

    model: Relabelling | None
    evaluation: pd.DataFrame
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Known:
    """Decisions with what was known of them at a moment."""

    decisions: pd.DataFrame
    right: "pd.Series[Any]"
    judged: npt.NDArray[np.bool_]
    wrong_label: npt.NDArray[np.bool_]

    @property
    def n_relabelled(self) -> int:
        """Relabelled decisions whose right policy is known."""
        return count_relabelled(self.decisions, self.right)

    def fit(self, config: Config) -> Relabelling | None:
        """Fit the model of the right label."""
        return fit_relabelling(
            self.decisions,
            self.right,
            self.judged,
            leave_out=config.features.leave_out,
            text=config.features.text,
        )


def measure_segments(config: Config, snapshot: Snapshot, held: HeldOut) -> pd.DataFrame:
    """Measure the ranking by the report's columns, and by whether reviewers agreed.

    Parameters
    ----------
    config
        From `load_config`; `report.by` names the columns.
    snapshot
        All decisions and reviews.
    held
        The held-out decisions.

    Returns
    -------
    pandas.DataFrame
        As `evaluate_segments`; the segment `reviewers` is `one voice`, `unanimous` or `split`.
    """
    decisions = held.examples.decisions
    at = pd.Index(snapshot.decisions["decision_id"]).get_indexer(pd.Index(decisions["decision_id"]))
    fell = snapshot.reviewer_consensus.iloc[at].set_axis(decisions.index)
    return evaluate_segments(
        decisions.assign(**{_VOICES: fell}),
        held.examples.error,
        held.p,
        held.weight,
        columns=[*config.report.by, _VOICES],
        budget=_BUDGET,
        resamples=config.evaluate.bootstrap,
        rng=np.random.default_rng(config.train.seed),
    )


def learn_relabelling(config: Config, snapshot: Snapshot, held: HeldOut) -> Relabelled:
    """Learn the right label from all reviews, and measure that on held-out time.

    Parameters
    ----------
    config
        From `load_config`.
    snapshot
        All decisions in order of time, reviewed or not, and their reviews.
    held
        The held-out decisions; what is measured on them learns from what was known before them.
    """
    nothing = pd.DataFrame(columns=["method", "measure", "value", "low", "high"])
    if not (snapshot.reviews["verdict"] == RELABELLED).any():
        return Relabelled(None, nothing, (_too_few(0),))
    known = _known(snapshot)
    model = known.fit(config)
    if model is None:
        return Relabelled(None, nothing, (_too_few(known.n_relabelled),))
    table, why = _measured(config, snapshot, known, held)
    if loses(table):
        note = (
            "the model of the right policy finds fewer wrong labels than the rate by segment, so it "
            "is not used: which label is right is unknown"
        )
        return Relabelled(None, table, (note,))
    learnt = f"the right policy is learnt from {model.n_relabelled} relabelled decisions"
    return Relabelled(model, table, (f"{learnt}; {why}" if why else learnt,))


def _too_few(n: int) -> str:
    return (
        f"which label is right is unknown: reviewers named the right policy of {n} relabelled decisions "
        f"and {MIN_RELABELLED} are needed, so no policy is suggested"
    )


def _known(snapshot: Snapshot) -> _Known:
    labels = snapshot.labels
    return _Known(
        snapshot.decisions,
        snapshot.correct_policies,
        (labels["label"] != UNKNOWN).to_numpy(bool),
        (labels["error_kind"] == WRONG_LABEL).fillna(False).to_numpy(bool),
    )


def _measured(
    config: Config, snapshot: Snapshot, known: _Known, held: HeldOut
) -> tuple[pd.DataFrame, str]:
    """Measure a model of what was known before the held-out decisions; or say why not."""
    tested = held.examples.decisions
    start = tested["decided_at"].iloc[0]
    before = known.decisions[(known.decisions["decided_at"] < start).to_numpy(bool)]
    then = _known(snapshot.before(start.to_pydatetime()).of(before))
    before = then.decisions
    model = then.fit(config)
    nothing = pd.DataFrame(columns=["method", "measure", "value", "low", "high"])
    if model is None:
        why = (
            f"too few ({then.n_relabelled}) were known before the held-out decisions to measure it"
        )
        return nothing, why
    enforced = tested["enforced"].to_numpy(bool)
    tested, p, weight = tested[enforced], held.p[enforced], held.weight[enforced]
    at = pd.Index(known.decisions["decision_id"]).get_indexer(pd.Index(tested["decision_id"]))
    said = model.predict(tested, p)
    past = before[then.judged & before["enforced"].to_numpy(bool)]
    y = then.wrong_label[then.judged & before["enforced"].to_numpy(bool)].astype(np.float64)
    rate = fit_segment_rate(past, y, np.ones(len(y))).rate(tested)
    table = evaluate_relabelling(
        known.wrong_label[at].astype(np.float64),
        (np.nan_to_num(said["p_wrong_label"].to_numpy(np.float64)), rate),
        known.right.iloc[at],
        (said["likeliest_policy_id"], model.usual(tested["policy_id"])),
        weight,
        budgets=config.evaluate.budgets,
        resamples=config.evaluate.bootstrap,
        rng=np.random.default_rng(config.train.seed),
    )
    few = f"fewer than {MIN_HELD_OUT} wrong labels were held out, so it is not measured"
    return table, few if table.empty else ""
