"""Error rates from designed samples, overall and by any columns, with their evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.typing import NaTType

from errdetect.config_schema import EstimateSettings
from errdetect.estimation.audit_response import compare_with_log
from errdetect.estimation.clusters import (
    ClusterSample,
    cluster_intervals,
    find_clusters,
    weights_note,
)
from errdetect.estimation.consistency_checks import check_estimates, label_share_limit
from errdetect.estimation.domains import (
    Domains,
    ScoreBins,
    bin_p_error,
    bin_variance_factors,
    gather_domains,
    lost_draw_domains,
    segment_decisions,
)
from errdetect.estimation.manski_bounds import (
    KnownVerdicts,
    known_verdicts,
    rate_bounds,
    recall_bounds,
)
from errdetect.estimation.method_text import ONLY_QUEUE_NOTE, QUEUE_NOTE, method_text
from errdetect.estimation.misclassification import (
    UNCORRECTED,
    DrawOutcomes,
    resolve_outcomes,
    solve_treatments,
)
from errdetect.estimation.misclassification_intervals import (
    corrected_interval,
    mix_intervals,
    recall_interval,
)
from errdetect.estimation.queue_sample import QueueDesign, combine_draws
from errdetect.estimation.rate_records import SideRecord, TreatmentRecord, note_side, note_treatment
from errdetect.estimation.score_intervals import (
    korn_graubard,
    prior_from_others,
    rate_intervals,
)
from errdetect.labels.audit_sample import AuditSample, LostDraws, UnansweredDraws
from errdetect.labels.verdicts import GoldenItems
from errdetect.schemas import ESTIMATES, MEASURES
from errdetect.snapshot import Snapshot
from errdetect.stats.intervals import Interval

__all__ = [
    "NOWHERE",
    "UNKNOWN_CELL",
    "Correction",
    "DomainGrouping",
    "DomainRates",
    "Population",
    "RateEstimates",
    "SideName",
    "estimate_domain_rates",
    "estimate_rates",
]


Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Words = NDArray[np.object_]
Correction = Literal["auto", "require", "none"]
SideName = Literal["all", "enforced", "allowed"]

#: Least share of the uniform inclusion probability at which the score region was found valid.
LEAST_FLOOR = 0.2
#: Domains of lost draws without one: unknown, or outside of all.
UNKNOWN_CELL, NOWHERE = -1, -2


@dataclass(frozen=True)
class Population:
    """Inputs of every domain's estimate.

    Parameters
    ----------
    audit
        The draws.
    golden
        The golden reviews; None for no correction of reviewer error.
    bins, spread
        The control variate's bins and the mean of 1/inclusion - 1 in each.
    enforced
        Whether each decision enforced.
    missing
        Whether each decision was certain to be reviewed and was not, or could not be reached by
        the audit; None for none of them.
    lost
        Drawn decisions whose reviews cannot be used; None for none.
    unanswered
        Draws that should have been answered and were not; None where draws are not recorded.
    drawn
        The draws with their design's own weights; None where they are `audit`'s.
    clusters
        How the sample was drawn by cluster; None where decisions were drawn one by one.
    borrow
        Whether other groups' rates narrow a group's interval.
    correction, min_reviews, max_lost, confidence
        As in `estimate_rates`.
    """

    audit: AuditSample
    golden: GoldenItems | None
    bins: ScoreBins
    spread: Floats
    enforced: Bools
    correction: Correction
    min_reviews: int
    max_lost: float
    confidence: float
    missing: Bools | None = None
    lost: LostDraws | None = None
    unanswered: UnansweredDraws | None = None
    drawn: AuditSample | None = None
    clusters: ClusterSample | None = None
    borrow: bool = True


@dataclass(frozen=True)
class DomainGrouping:
    """The cells of one grouping.

    Parameters
    ----------
    cell
        Cell of each decision, -1 for those in none, shape (n_decisions,).
    lost
        Cell of each lost draw, `UNKNOWN_CELL` where that is unknown, `NOWHERE` where it is in none,
        shape (n_lost,).
    size
        Number of cells.
    """

    cell: Ints
    lost: Ints
    size: int


@dataclass(frozen=True)
class DomainRates:
    """One kind of error rate of every domain; arrays of shape (n_cells,).

    Parameters
    ----------
    limits
        The rates; NaN where suppressed.
    reviews, decisions
        Audited decisions and decisions.
    interval
        Interval method, or why there is none (see `method_text`).
    judging
        Code of the verdicts used, one for all cells.
    bound_low, bound_high, proxy
        From `rate_bounds`.
    response
        Share of the draws that were answered; NaN where draws are not recorded.
    waiting
        How many flags await an expert, as text; empty where none or all do.
    """

    limits: Interval
    reviews: Ints
    decisions: Ints
    interval: Words
    judging: str
    bound_low: Floats
    bound_high: Floats
    proxy: Floats
    response: Floats
    waiting: str = ""

    @property
    def suppressed(self) -> Bools:
        """Whether there is no estimate."""
        return np.isnan(self.limits.estimate)


def estimate_domain_rates(
    population: Population,
    known: KnownVerdicts,
    name: SideName,
    cells: DomainGrouping,
    *,
    whole: bool,
) -> DomainRates:
    """Estimate one kind of error rate of every domain.

    Parameters
    ----------
    population
        Draws, control variate and settings.
    known
        What reviews settle, for the bounds.
    name
        `all` counts any error; `enforced` and `allowed` count wrong actions of their side.
    cells
        Which decisions, and which lost draws, are in which domain.
    whole
        Whether the single domain is the whole population.

    Returns
    -------
    DomainRates

    Examples
    --------
    See `estimate_rates`.
    """
    audit, size = population.audit, cells.size
    domain = cells.cell
    if name != "all":
        domain = np.where(population.enforced == (name == "enforced"), domain, -1)
    decisions = np.bincount(domain[domain >= 0], minlength=size)
    low, high, proxy = rate_bounds(known, domain, size)
    unseen = np.zeros(size, np.int64)
    if population.missing is not None:
        unseen = np.bincount(domain[(domain >= 0) & population.missing], minlength=size)
        domain = np.where(population.missing, -1, domain)
    draw_cell = domain[audit.position]
    reviews = np.bincount(draw_cell[draw_cell >= 0], minlength=size)
    pending, response = _unanswered_shares(population, domain, size)
    interval = np.full(size, "", dtype=object)
    interval[reviews < population.min_reviews] = "too_few_reviews"
    interval[reviews == 0] = "no_sample"
    interval[decisions == 0] = "no_decisions"
    lost, gone = _lost_shares(population, name, cells, domain)
    interval[(interval == "") & (gone > population.max_lost)] = "reviews_lost"
    # Certain draws represent only themselves: without other draws the rest is unknown.
    by_chance = np.bincount(draw_cell[(draw_cell >= 0) & (audit.variance > 0)], minlength=size)
    unseen = np.where(by_chance > 0, unseen, decisions - reviews)
    alive = interval == ""
    limits = Interval(*(np.full(size, np.nan) for _ in range(3)))
    judging, waiting = "as_judged", ""
    if alive.any():
        number = np.append(np.where(alive, np.cumsum(alive) - 1, -1), -1)
        found, how, judging, waiting = _solve_intervals(
            population, name, number[domain], int(alive.sum()), whole=whole
        )
        limits = Interval(*(_expand_domains(v, alive) for v in found))
        interval[alive] = how
        for share in (_beyond_tolerance(pending, limits), lost, unseen / np.maximum(decisions, 1)):
            limits = _widen_unreviewed(limits, share)
    missing = (pending, lost, unseen / np.maximum(decisions, 1))
    note_side(SideRecord(name, cells.cell, population.enforced, known, audit, population.bins,
                         reviews, alive, missing, response))  # fmt: skip
    return DomainRates(
        limits, reviews, decisions, interval, judging, low, high, proxy, response, waiting
    )


#: Share of its half width that missing answers may move an estimate by before they widen it.
TOLERANCE = 0.1


def _beyond_tolerance(share: Floats, interval: Interval) -> Floats:
    """Return the share of missing answers beyond the part that cannot matter."""
    tolerated = TOLERANCE * (interval.high - interval.low) / 2
    return np.clip(share - np.nan_to_num(tolerated), 0, 1)


def _unanswered_shares(population: Population, domain: Ints, size: int) -> tuple[Floats, Floats]:
    """Return the share of each domain's weight without an answer, and its response rate."""
    unanswered, drawn = population.unanswered, population.drawn
    if unanswered is None or drawn is None or drawn.unanswered is None:
        return np.zeros(size), np.full(size, np.nan)

    def total(position: Ints, values: Floats) -> Floats:
        cell = domain[position]
        return np.asarray(np.bincount(cell[cell >= 0], values[cell >= 0], size), np.float64)

    gone, answered = (
        total(unanswered.position, unanswered.weight),
        total(drawn.position, drawn.weight),
    )
    n_waiting = total(drawn.unanswered.position, np.ones(len(drawn.unanswered.position)))
    n_answered = total(drawn.position, np.ones(len(drawn.position)))
    with np.errstate(invalid="ignore"):
        return gone / np.maximum(gone + answered, 1e-12), n_answered / (n_answered + n_waiting)


def _lost_shares(
    population: Population, name: SideName, cells: DomainGrouping, domain: Ints
) -> tuple[Floats, Floats]:
    """Return the lost share of each domain's weight: in the worst case, and the part known to be its own.

    A lost draw of an unknown decision may be any domain's, so it counts in all of them by its share of
    the whole sample.
    """
    nothing = np.zeros(cells.size)
    lost = population.lost
    if lost is None or not len(lost):
        return nothing, nothing
    own = cells.lost.copy()
    in_log = lost.position >= 0
    own[in_log] = np.where(domain[lost.position[in_log]] >= 0, own[in_log], NOWHERE)
    if name != "all":  # the action of a decision that the log lacks is unknown
        own[~in_log] = UNKNOWN_CELL
    known = own >= 0
    drawn = domain[population.audit.position]
    weight = np.bincount(drawn[drawn >= 0], population.audit.weight[drawn >= 0], cells.size)
    gone = np.bincount(own[known], lost.weight[known], cells.size)
    share = gone / np.maximum(gone + weight, 1e-12)
    astray = float(lost.weight[own == UNKNOWN_CELL].sum())
    everywhere = astray / max(astray + float(population.audit.weight.sum()), 1e-12)
    return 1 - (1 - share) * (1 - everywhere), share


def _widen_unreviewed(limits: Interval, unseen: Floats) -> Interval:
    """Count the unreviewed as like the others for the estimate, all right or all wrong for the limits."""
    return Interval(limits.estimate, limits.low * (1 - unseen), limits.high * (1 - unseen) + unseen)


def _expand_domains(values: Floats, alive: Bools) -> Floats:
    full = np.full(len(alive), np.nan)
    full[alive] = values
    return full


def _solve_intervals(
    population: Population, name: SideName, domain: Ints, size: int, *, whole: bool
) -> tuple[Interval, Words, str, str]:
    """Return the intervals of the cells with enough draws, their methods, the verdicts used, and a note."""
    audit, confidence = population.audit, population.confidence
    side = None if name == "all" else name == "enforced"
    judging = resolve_outcomes(
        audit, population.golden, domain[audit.position], size,
        action_only=name != "all", enforced=side, confidence=confidence,
        stratum=population.enforced[audit.position].astype(np.int64),
    )  # fmt: skip
    limits, how = solve_treatments(
        judging,
        lambda one: _solve_treatment(population, one, domain, size, narrow=whole and name == "all"),
    )
    return limits, how, judging.code, judging.note


def _solve_treatment(
    population: Population, outcomes: DrawOutcomes, domain: Ints, size: int, *, narrow: bool
) -> tuple[Interval, Words]:
    """Return the intervals and methods for one treatment of the verdicts; NaN where refused."""
    audit, confidence = population.audit, population.confidence
    cells = gather_domains(
        population.bins, population.spread, domain, size,
        draw=audit.position, weight=audit.weight, error=outcomes.error, variance=audit.variance,
    )  # fmt: skip
    narrow = narrow and population.clusters is None
    interval = rate_intervals(
        cells, reviewers=outcomes.reviewers, whole=narrow, confidence=confidence
    )
    prior = None
    if population.borrow and not narrow and outcomes.reviewers is None:
        prior = prior_from_others(interval, confidence)
        interval = rate_intervals(cells, confidence=confidence, prior=prior)
    exact = outcomes.reviewers is None or not outcomes.reviewers.alarm.high.any()
    code = "score_el" if narrow and exact else "score_t" if prior is None else "score_shared"
    how = np.full(size, code, dtype=object)
    thin = _min_probability_ratio(cells, audit) < LEAST_FLOOR
    if thin.any():
        safe = korn_graubard(cells, confidence=confidence)
        if outcomes.reviewers is not None:
            safe = corrected_interval(safe, outcomes.reviewers)
        interval = mix_intervals(interval, safe, thin.astype(np.float64))
        how[thin] = "korn_graubard"
    if population.clusters is not None:
        wide, _ = cluster_intervals(
            population.clusters, audit, domain, _naive_rates(cells), confidence=confidence
        )
        corrected = outcomes.reviewers
        interval = wide if corrected is None else corrected_interval(wide, corrected)
        how[:] = "clusters"
    how[(cells.draws == cells.decisions) & (outcomes.reviewers is None)] = "census"
    refused = _suppression_codes(outcomes, population.correction, size)
    how = np.where(refused != "", refused, how)
    borrowed = population.borrow and not narrow and outcomes.reviewers is None
    clustered = interval if population.clusters is not None else None
    note_treatment(TreatmentRecord(cells, domain, outcomes, how, narrow, borrowed, clustered))
    return Interval(*(np.where(refused != "", np.nan, v) for v in interval)), how


def _naive_rates(domains: Domains) -> Floats:
    """Return the weighted mean of the verdicts of each domain."""
    return np.asarray(
        domains.sum_draws(domains.draw_weight * domains.draw_error) / domains.total_weight
    )


def _min_probability_ratio(cells: Domains, audit: AuditSample) -> Floats:
    """Compare the smallest drawn inclusion probability to a uniform design's.

    Draws that were certain do not count: they represent only themselves.
    Taken in the whole design or within the domain, whichever ratio is larger: a domain whose own draws
    have similar weights is safe whatever the rest of the design.
    """
    heaviest = np.zeros(cells.size)
    chance = cells.draw_variance > 0
    np.maximum.at(heaviest, cells.draw_cell[chance], cells.draw_weight[chance])
    drawn = np.maximum(cells.sum_draws(chance.astype(np.float64)), 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        within = cells.sum_draws(np.where(chance, cells.draw_weight, 0.0)) / drawn / heaviest
    weight = audit.weight[audit.variance > 0]
    whole = weight.mean() / weight.max() if len(weight) else 1.0
    return np.asarray(np.fmax(within, whole))


def _suppression_codes(judging: DrawOutcomes, correction: Correction, size: int) -> Words:
    refused = np.full(size, "", dtype=object)
    if correction == "require" and judging.code in UNCORRECTED:
        refused[:] = "not_corrected"
    if judging.reviewers is not None:
        chance = judging.reviewers.found.low <= judging.reviewers.alarm.high
        refused[chance] = "reviewers_at_chance"
    return refused


SIDES: tuple[SideName, ...] = ("all", "enforced", "allowed")
MEASURED_ON: dict[str, SideName] = {
    "error_rate": "all",
    "accuracy": "all",
    "wrongful_rate": "enforced",
    "precision": "enforced",
    "missed_rate": "allowed",
}


@dataclass(frozen=True)
class RateEstimates:
    """Estimates of one sample, overall and by any groupings.

    Parameters
    ----------
    overall
        One row per measure, columns as `schemas.ESTIMATES`.
    by_group
        Columns of a grouping -> its rows: these columns (as text), then those of `overall`.
    notes
        What the comparison of the sample with its log showed.
    """

    overall: pd.DataFrame
    by_group: Mapping[tuple[str, ...], pd.DataFrame]
    notes: tuple[str, ...] = ()

    def frame(self, *by: str) -> pd.DataFrame:
        """Return the overall row, with null in the `by` columns, then the rows of one grouping.

        Parameters
        ----------
        by
            Columns of a requested grouping; none: overall only.
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
    settings: EstimateSettings | None = None,
    p_error: pd.Series | NDArray[np.float64] | None = None,
    queue: QueueDesign | None = None,
    confidence: float = 0.95,
) -> RateEstimates:
    """Estimate error rates, from designed samples only, in one pass over the sample.

    Parameters
    ----------
    snapshot
        The decisions are the population; audits give the rates, golden items and adjudications
        correct them for reviewer error.
    by
        Groupings, each a list of columns of the decisions whose combinations are the cells.
    settings
        `correction`: `auto` corrects for reviewer error where golden items or adjudications allow,
        and notes where they do not; `require` suppresses instead; `none` uses verdicts as they
        are. `min_reviews`: audited decisions of a domain below which it is suppressed.
        `max_lost`: share of a domain's sample that may be lost; above it the domain is suppressed.
        `cluster`: the column that was drawn in full. `borrow`: whether groups narrow each other's
        intervals.
    p_error
        P(error) as control variate: a Series by decision_id, or an array in the decisions' order.
        It must not be fitted on the reviews it is used with: cross-fit it.
    queue
        The review queue as a further designed sample, from `read_queue_design`. Without an
        audit the estimates cover the decisions that the queue could reach, and the limits include
        the worst case of those that were to be reviewed and were not.
    confidence
        Nominal coverage of the intervals.

    Returns
    -------
    RateEstimates
        One row for each cell and measure. `n_reviews` counts audited decisions, each once. Lost
        draws widen every interval they may belong to by their worst case.

    Raises
    ------
    DataError, Refusal
        Where a table or a probability cannot be used.
    ContradictionError
        Where the estimates contradict each other.

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
    settings = settings or EstimateSettings()
    decisions, audit, note = snapshot.decisions, snapshot.audit_sample, ""
    inside, missing = np.ones(len(decisions), dtype=bool), None
    if queue is not None:
        note = QUEUE_NOTE if len(audit.position) else ONLY_QUEUE_NOTE
        audit, inside, missing = combine_draws(snapshot, queue)
    p = _align_p_error(p_error, decisions)
    bins = bin_p_error(p, len(decisions))
    log = None
    if queue is None and "decided_at" in decisions:
        log = compare_with_log(snapshot, audit, None if p is None else bins.of)
        audit, inside = log.audit, log.inside
        missing = log.unaudited if log.unaudited.any() else None
    clusters, cluster_note = find_clusters(decisions, audit, settings.cluster)
    population = Population(
        audit=audit,
        golden=None if settings.correction == "none" else snapshot.golden_items(audit.sites),
        bins=bins,
        spread=bin_variance_factors(bins, audit.position, audit.weight, audit.variance),
        enforced=decisions["enforced"].to_numpy(dtype=bool),
        correction=settings.correction,
        min_reviews=max(settings.min_reviews, 1),
        max_lost=settings.max_lost,
        confidence=confidence,
        missing=missing,
        lost=snapshot.lost_draws,
        unanswered=None if log is None else log.unanswered,
        drawn=None if log is None else log.drawn,
        clusters=clusters,
        borrow=settings.borrow,
    )
    known = {
        only: known_verdicts(snapshot.review_history, len(decisions), action_only=only)
        for only in (False, True)
    }
    n_due = int(inside.sum()) - (0 if missing is None else int(missing.sum()))
    note += weights_note(audit if log is None else log.weighed, n_due, clusters)
    shared = f"{audit.n_shared:,} decisions were drawn more than once: their weights are combined"
    log_notes = (*(log.notes if log else ()), *cluster_note, *([shared] if audit.n_shared else ()))
    note += "".join(f"; {part}" for part in log_notes)
    period = _period(decisions, inside)

    def cells(keys: pd.DataFrame, cell: Ints, *, whole: bool) -> pd.DataFrame:
        lost = lost_draw_domains(snapshot.lost_draws, keys, cell)
        domain = DomainGrouping(np.where(inside, cell, -1), lost, len(keys))
        sides = {
            name: estimate_domain_rates(population, known[name != "all"], name, domain, whole=whole)
            for name in SIDES
        }
        rows = _measure_rows(keys, sides, model=p is not None, note=note)
        rows["period_from"], rows["period_to"] = period
        return rows

    groups = {}
    for columns in by:
        keys, cell = segment_decisions(decisions, columns)
        groups[tuple(columns)] = cells(keys, cell, whole=False).reset_index(drop=True)
    overall = cells(pd.DataFrame(index=[0]), np.zeros(len(decisions), np.int64), whole=True)
    found = RateEstimates(overall.reset_index(drop=True), groups, log_notes)
    for columns in by or [[]]:
        check_estimates(found.frame(*columns), columns, most_labels=label_share_limit(audit))
    return found


def _align_p_error(
    p_error: pd.Series | NDArray[np.float64] | None, decisions: pd.DataFrame
) -> Floats | None:
    if isinstance(p_error, pd.Series):
        p_error = p_error.reindex(decisions["decision_id"]).to_numpy(dtype=float)
    return p_error


def _period(
    decisions: pd.DataFrame, inside: Bools
) -> "tuple[pd.Timestamp | NaTType, pd.Timestamp | NaTType]":
    """Return the first and last moment of the decisions that the estimates are about."""
    if "decided_at" not in decisions or not inside.any():
        return pd.NaT, pd.NaT
    times = decisions["decided_at"][inside]
    return times.min(), times.max()


def _measure_rows(
    names: pd.DataFrame, sides: Mapping[SideName, DomainRates], *, model: bool, note: str
) -> pd.DataFrame:
    """Return the rows of one set of cells, every cell's measures together."""
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


def _rate_rows(side: DomainRates, measure: str, *, model: bool) -> pd.DataFrame:
    rate, low, high = side.limits.estimate, side.limits.low, side.limits.high
    bounds, proxy = (side.bound_low, side.bound_high), side.proxy
    if measure in ("precision", "accuracy"):
        rate, low, high = 1 - rate, 1 - high, 1 - low
        bounds, proxy = (1 - bounds[1], 1 - bounds[0]), 1 - proxy
    if measure == "missed_rate":  # no account appeals a miss in its favour
        proxy = np.full(len(rate), np.nan)
    methods = [
        method_text(how, side.judging, model=model, note=side.waiting) for how in side.interval
    ]
    return _estimate_rows(
        Interval(rate, low, high), side.reviews, side.decisions, bounds, proxy, methods
    ).assign(response=side.response)


def _recall_rows(enforced: DomainRates, allowed: DomainRates, *, model: bool) -> pd.DataFrame:
    """Return recall: correct enforcements among all violations."""
    caught, missed = enforced.limits, allowed.limits
    found = recall_interval(
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
        methods.append(method_text(why, weak.judging, model=model, note=weak.waiting))
    bounds = recall_bounds(
        (enforced.bound_low, enforced.bound_high), (allowed.bound_low, allowed.bound_high),
        enforced.decisions.astype(float), allowed.decisions.astype(float),
    )  # fmt: skip
    reviews = enforced.reviews + allowed.reviews
    drawn = enforced.reviews / enforced.response + allowed.reviews / allowed.response
    with np.errstate(invalid="ignore", divide="ignore"):
        response = reviews / drawn
    return _estimate_rows(found, reviews, enforced.decisions + allowed.decisions,
                 bounds, np.full(len(unseen), np.nan), methods).assign(response=response)  # fmt: skip


def _estimate_rows(
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
