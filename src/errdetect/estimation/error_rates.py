"""Error rates of designed samples, for the whole and by any columns, with what they rest on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from errdetect.estimation.manski_bounds import known_verdicts, recall_bounds
from errdetect.estimation.domains import bin_p_error, spread_by_bin
from errdetect.estimation.consistency_checks import check_estimates, label_share_limit
from errdetect.estimation.misclassification_limits import recall_limits
from errdetect.estimation.queue_sample import QueueDesign, draws_with_queue
from errdetect.estimate.segments import cells_of_lost, segment_decisions
from errdetect.estimate.sides import DomainCells, Population, Side, SideName, estimate_side
from errdetect.estimation.method_text import ONLY_QUEUE_NOTE, QUEUE_NOTE, method_text
from errdetect.labels.audit_sample import AuditSample
from errdetect.schemas import ESTIMATES, MEASURES
from errdetect.settings import Estimate
from errdetect.snapshot import Snapshot
from errdetect.stats.intervals import Interval

__all__ = ["RateEstimates", "estimate_rates"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SIDES: tuple[SideName, ...] = ("all", "enforced", "allowed")
MEASURED_ON: dict[str, SideName] = {
    "error_rate": "all",
    "accuracy": "all",
    "wrongful_rate": "enforced",
    "precision": "enforced",
    "missed_rate": "allowed",
}

#: Draws expected in a stretch of time from which having none is no chance: about 1 in 100,000.
_EXPECTED_DRAWS = 12


@dataclass(frozen=True)
class RateEstimates:
    """Estimates of one sample, for the whole and by any groupings.

    Parameters
    ----------
    overall
        One row a measure, columns as `schemas.ESTIMATES`.
    by_group
        Columns of a grouping -> its rows: the columns (as text), then those of the whole.
    """

    overall: pd.DataFrame
    by_group: Mapping[tuple[str, ...], pd.DataFrame]

    def frame(self, *by: str) -> pd.DataFrame:
        """Return the whole, with null in the `by` columns, and the rows of one grouping below.

        Parameters
        ----------
        by
            Columns of a grouping that was asked for; none: the whole alone.
        """
        columns = [*by, *(field.name for field in ESTIMATES)]
        nothing = {name: pd.Series(None, index=self.overall.index, dtype="str") for name in by}
        whole = self.overall.assign(**nothing)[columns]
        if not by:
            return whole
        return pd.concat([whole, self.by_group[by][columns]], ignore_index=True)


def estimate_rates(
    snapshot: Snapshot,
    by: Sequence[Sequence[str]] = (),
    *,
    settings: Estimate | None = None,
    p_error: pd.Series | NDArray[np.float64] | None = None,
    queue: QueueDesign | None = None,
    confidence: float = 0.95,
) -> RateEstimates:
    """Estimate how often the machine errs, from designed samples only, in one pass over the sample.

    Parameters
    ----------
    snapshot
        The decisions are the population of the estimate; of the reviews, audits give the rates,
        golden items and adjudications correct them for reviewer error.
    by
        Groupings, each a list of columns of the decisions whose combinations are the cells.
    settings
        `correction`: `auto` corrects for reviewer error where golden items or adjudications allow,
        and says so where they do not; `require` suppresses instead; `none` reports as reviewers
        judged. `min_reviews`: audited decisions of a cell below which it is suppressed.
        `max_lost`: share of a cell's sample that may be lost; above it the cell is suppressed.
    p_error
        P(error) as control variate: a Series by decision_id, or an array in the decisions' order.
        It must not have been fitted on the very reviews it is used with: cross-fit it.
    queue
        The review queue as a further designed sample, from `queue_sample.read_queue`. Without an
        audit the figures are about the decisions that the queue could reach, and the limits leave
        open what those would have shown that were to be reviewed and were not.
    confidence
        Nominal coverage of the intervals.

    Returns
    -------
    RateEstimates
        One row for each cell and measure. `n_reviews` counts audited decisions, each once. Draws
        that were lost widen every interval they may belong to by their worst case.

    Raises
    ------
    DataError, Refusal
        Where a table or a probability cannot be used.
    ContradictionError
        Where the figures cannot hold together.

    Examples
    --------
    >>> ids = [f"d{i}" for i in range(1000)]
    >>> day = pd.Timestamp("2026-01-01", tz="UTC")
    >>> decisions = pd.DataFrame({"decision_id": ids, "decided_at": day, "enforced": True})
    >>> reviews = pd.DataFrame({
    ...     "review_id": [f"r{i}" for i in range(100)], "decision_id": ids[:100], "source": "audit",
    ...     "verdict": ["overturned"] * 10 + ["upheld"] * 90, "inclusion_probability": 0.1,
    ...     "reviewed_at": day})
    >>> table = estimate_rates(Snapshot(decisions, reviews)).overall.set_index("measure")
    >>> table.loc["precision", ["low", "estimate", "high"]].astype(float).round(3).tolist()
    [0.83, 0.9, 0.965]
    """
    settings = settings or Estimate()
    decisions, audit, note = snapshot.decisions, snapshot.audit_sample, ""
    inside, missing = np.ones(len(decisions), dtype=bool), None
    if queue is not None:
        note = QUEUE_NOTE if len(audit.position) else ONLY_QUEUE_NOTE
        audit, inside, missing = draws_with_queue(snapshot, queue)
    p = _aligned(p_error, decisions)
    bins = bin_p_error(p, len(decisions))
    population = Population(
        audit=audit,
        golden=None if settings.correction == "none" else snapshot.golden_items(audit.sites),
        bins=bins,
        spread=spread_by_bin(bins, audit.position, audit.weight, audit.variance),
        enforced=decisions["enforced"].to_numpy(dtype=bool),
        correction=settings.correction,
        min_reviews=max(settings.min_reviews, 1),
        max_lost=settings.max_lost,
        confidence=confidence,
        missing=missing,
        lost=snapshot.lost_draws,
    )
    known = {
        only: known_verdicts(snapshot.review_history, len(decisions), action_only=only)
        for only in (False, True)
    }
    n_due = int(inside.sum()) - (0 if missing is None else int(missing.sum()))
    note += _weights_note(audit, n_due) + _time_note(decisions, audit.position, inside)

    def cells(keys: pd.DataFrame, cell: Ints, *, whole: bool) -> pd.DataFrame:
        lost = cells_of_lost(snapshot.lost_draws, keys, cell)
        domain = DomainCells(np.where(inside, cell, -1), lost, len(keys))
        sides = {
            name: estimate_side(population, known[name != "all"], name, domain, whole=whole)
            for name in SIDES
        }
        return _block(keys, sides, model=p is not None, note=note)

    nothing = pd.DataFrame(index=[0])
    groups = {}
    for columns in by:
        keys, cell = segment_decisions(decisions, columns)
        groups[tuple(columns)] = cells(keys, cell, whole=False).reset_index(drop=True)
    overall = cells(nothing, np.zeros(len(decisions), np.int64), whole=True)
    found = RateEstimates(overall.reset_index(drop=True), groups)
    for columns in by or [[]]:
        check_estimates(found.frame(*columns), columns, most_labels=label_share_limit(audit))
    return found


def _aligned(
    p_error: pd.Series | NDArray[np.float64] | None, decisions: pd.DataFrame
) -> Floats | None:
    if isinstance(p_error, pd.Series):
        p_error = p_error.reindex(decisions["decision_id"]).to_numpy(dtype=float)
    return p_error


def _weights_note(audit: AuditSample, n_decisions: int) -> str:
    """Warn where the sample's weights cannot add up to the decisions by chance."""
    total = float(audit.weight.sum())
    slack = 4 * float(np.sqrt(audit.variance.sum()))
    off = abs(total - n_decisions)
    if not len(audit.weight) or off <= max(slack, 0.1 * n_decisions):
        return ""
    return (
        f"; warning: the sample's weights add up to {total / n_decisions:.0%} of the decisions, "
        "so the audit may not have covered them all"
    )


def _time_note(decisions: pd.DataFrame, position: Ints, inside: NDArray[np.bool_]) -> str:
    """Warn where the first or last decisions had no draw, although several were to be expected."""
    if "decided_at" not in decisions or not len(position):
        return ""
    moments = decisions["decided_at"].to_numpy()
    drawn, every = moments[position], moments[inside]
    said = []
    for bare, where in (
        (every < drawn.min(), f"before {pd.Timestamp(drawn.min()):%Y-%m-%d}"),
        (every > drawn.max(), f"after {pd.Timestamp(drawn.max()):%Y-%m-%d}"),
    ):
        share = float(bare.mean())
        if share * len(position) > _EXPECTED_DRAWS:
            said.append(f"no decision {where} was drawn ({share:.0%} of all)")
    return f"; warning: {' and '.join(said)}, so nothing is known of them" if said else ""


def _block(
    names: pd.DataFrame, sides: Mapping[SideName, Side], *, model: bool, note: str
) -> pd.DataFrame:
    """Make the rows of one set of cells, every cell's measures together."""
    frames = []
    for measure in MEASURES:
        if measure == "recall":
            rows = _recall_rows(sides["enforced"], sides["allowed"], model=model)
        else:
            rows = _rate_rows(sides[MEASURED_ON[measure]], measure, model=model)
        frames.append(
            pd.concat([names.reset_index(drop=True), rows], axis=1).assign(measure=measure)
        )
    frame = pd.concat(frames).sort_index(kind="stable")
    frame["method"] = frame["method"].where(frame["suppressed"], frame["method"] + note)
    return frame


def _rate_rows(side: Side, measure: str, *, model: bool) -> pd.DataFrame:
    rate, low, high = side.limits.estimate, side.limits.low, side.limits.high
    bounds, proxy = (side.bound_low, side.bound_high), side.proxy
    if measure in ("precision", "accuracy"):
        rate, low, high = 1 - rate, 1 - high, 1 - low
        bounds, proxy = (1 - bounds[1], 1 - bounds[0]), 1 - proxy
    if measure == "missed_rate":  # those who gained from a miss do not appeal it
        proxy = np.full(len(rate), np.nan)
    methods = [method_text(how, side.judging, model=model) for how in side.interval]
    return _rows(Interval(rate, low, high), side.reviews, side.decisions, bounds, proxy, methods)


def _recall_rows(enforced: Side, allowed: Side, *, model: bool) -> pd.DataFrame:
    """Correct enforcements among all that should have been enforced."""
    caught, missed = enforced.limits, allowed.limits
    found = recall_limits(
        Interval(
            *((1 - v) * enforced.decisions for v in (caught.estimate, caught.high, caught.low))
        ),
        Interval(*(v * allowed.decisions for v in (missed.estimate, missed.low, missed.high))),
    )
    unseen = enforced.suppressed | allowed.suppressed
    found = Interval(*(np.where(unseen | np.isnan(found.estimate), np.nan, v)
                     for v in (found.estimate, found.low, found.high)))  # fmt: skip
    methods = []
    for i, empty in enumerate(np.isnan(found.estimate)):
        weak = allowed if allowed.suppressed[i] else enforced
        why = weak.interval[i] if unseen[i] else "no_errors_no_hits" if empty else "mover"
        methods.append(method_text(why, weak.judging, model=model))
    bounds = recall_bounds(
        (enforced.bound_low, enforced.bound_high), (allowed.bound_low, allowed.bound_high),
        enforced.decisions.astype(float), allowed.decisions.astype(float),
    )  # fmt: skip
    return _rows(found, enforced.reviews + allowed.reviews, enforced.decisions + allowed.decisions,
                 bounds, np.full(len(unseen), np.nan), methods)  # fmt: skip


def _rows(
    limits: Interval, reviews: Ints, decisions: Ints, bounds: tuple[Floats, Floats], proxy: Floats,
    methods: Sequence[str],
) -> pd.DataFrame:  # fmt: skip
    return pd.DataFrame(
        {
            "estimate": limits.estimate,
            "low": limits.low,
            "high": limits.high,
            "n_reviews": reviews,
            "n_decisions": decisions,
            "method": pd.Series(methods, dtype="str"),
            "proxy": proxy,
            "bound_low": bounds[0],
            "bound_high": bounds[1],
            "suppressed": np.isnan(limits.estimate),
        }
    )
