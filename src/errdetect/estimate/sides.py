"""One kind of error rate (all decisions, the enforced, the allowed) of every cell."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from errdetect.estimation.manski_bounds import Known, rate_bounds
from errdetect.estimation.domains import Bins, Cells, gather_cells
from errdetect.estimation.score_intervals import korn_graubard, rate_limits
from errdetect.estimate.judging import Judging, judge
from errdetect.estimation.misclassification_limits import corrected_limits
from errdetect.labels.audit_sample import AuditSample, LostDraws
from errdetect.labels.golden_items import GoldenItems
from errdetect.stats.intervals import Interval

__all__ = [
    "NOWHERE",
    "UNKNOWN_CELL",
    "Correction",
    "DomainCells",
    "Population",
    "Side",
    "SideName",
    "estimate_side",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Words = NDArray[np.object_]
Correction = Literal["auto", "require", "none"]
SideName = Literal["all", "enforced", "allowed"]

#: Least share of the uniform inclusion probability for which the score region was found to hold.
LEAST_FLOOR = 0.2
#: Cells of lost draws that have none: unknown, or outside of all.
UNKNOWN_CELL, NOWHERE = -1, -2
#: Ways of judging that leave reviewers' error in, or a part of it.
UNCORRECTED = ("as_judged", "flags_adjudicated", "flags_waiting")


@dataclass(frozen=True)
class Population:
    """What every cell's estimate needs.

    Parameters
    ----------
    audit
        The draws.
    golden
        The golden reviews; None where reviewers are not to be put right.
    bins, spread
        The control variate's bins and the mean of 1/inclusion - 1 in each.
    enforced
        Whether each decision enforced.
    missing
        Whether each decision was to be reviewed for certain and was not; None for none of them.
    lost
        Drawn decisions whose reviews cannot be used; None for none.
    correction, min_reviews, max_lost, confidence
        As in `rates.estimate_rates`.
    """

    audit: AuditSample
    golden: GoldenItems | None
    bins: Bins
    spread: Floats
    enforced: Bools
    correction: Correction
    min_reviews: int
    max_lost: float
    confidence: float
    missing: Bools | None = None
    lost: LostDraws | None = None


@dataclass(frozen=True)
class DomainCells:
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
class Side:
    """One kind of error rate of every cell; arrays of shape (n_cells,).

    Parameters
    ----------
    limits
        The rates; NaN where suppressed.
    reviews, decisions
        Audited decisions and decisions.
    interval
        How the interval was made, or why there is none (see `words`).
    judging
        Whose word stands, one for all cells.
    bound_low, bound_high, proxy
        From `bounds.rate_bounds`.
    """

    limits: Interval
    reviews: Ints
    decisions: Ints
    interval: Words
    judging: str
    bound_low: Floats
    bound_high: Floats
    proxy: Floats

    @property
    def suppressed(self) -> Bools:
        """Whether there is no figure."""
        return np.isnan(self.limits.estimate)


def estimate_side(
    population: Population,
    known: Known,
    name: SideName,
    cells: DomainCells,
    *,
    whole: bool,
) -> Side:
    """Estimate one kind of error rate of every cell.

    Parameters
    ----------
    population
        Draws, control variate and settings.
    known
        What reviews settle, for the bounds.
    name
        `all` counts any error; `enforced` and `allowed` count wrong actions of their side.
    cells
        Which decisions, and which lost draws, are in which cell.
    whole
        Whether the one cell is the whole population.

    Returns
    -------
    Side

    Examples
    --------
    See `rates.estimate_rates`.
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
    interval = np.full(size, "", dtype=object)
    interval[reviews < population.min_reviews] = "too_few_reviews"
    interval[reviews == 0] = "no_sample"
    interval[decisions == 0] = "no_decisions"
    lost, gone = _lost_shares(population, name, cells, domain)
    interval[(interval == "") & (gone > population.max_lost)] = "reviews_lost"
    # Draws that were certain stand for themselves alone: of the others then nothing is known.
    by_chance = np.bincount(draw_cell[(draw_cell >= 0) & (audit.variance > 0)], minlength=size)
    unseen = np.where(by_chance > 0, unseen, decisions - reviews)
    alive = interval == ""
    limits, judging = Interval(*(np.full(size, np.nan) for _ in range(3))), "as_judged"
    if alive.any():
        number = np.append(np.where(alive, np.cumsum(alive) - 1, -1), -1)
        found, how, judging = _solve(
            population, name, number[domain], int(alive.sum()), whole=whole
        )
        limits, interval[alive] = Interval(*(_spread(v, alive) for v in _arrays(found))), how
        limits = _widen(_widen(limits, unseen / np.maximum(decisions, 1)), lost)
    return Side(limits, reviews, decisions, interval, judging, low, high, proxy)


def _lost_shares(
    population: Population, name: SideName, cells: DomainCells, domain: Ints
) -> tuple[Floats, Floats]:
    """Return the lost share of each cell's weight: in the worst case, and what is known to be its.

    A lost draw of an unknown decision may be any cell's, so it counts in all of them by its share of
    the whole sample.
    """
    nothing = np.zeros(cells.size)
    lost = population.lost
    if lost is None or not len(lost):
        return nothing, nothing
    own = cells.lost.copy()
    in_log = lost.position >= 0
    own[in_log] = np.where(domain[lost.position[in_log]] >= 0, own[in_log], NOWHERE)
    if name != "all":  # what the machine did with a decision that the log lacks is unknown
        own[~in_log] = UNKNOWN_CELL
    known = own >= 0
    drawn = domain[population.audit.position]
    weight = np.bincount(drawn[drawn >= 0], population.audit.weight[drawn >= 0], cells.size)
    gone = np.bincount(own[known], lost.weight[known], cells.size)
    share = gone / np.maximum(gone + weight, 1e-12)
    astray = float(lost.weight[own == UNKNOWN_CELL].sum())
    everywhere = astray / max(astray + float(population.audit.weight.sum()), 1e-12)
    return 1 - (1 - share) * (1 - everywhere), share


def _widen(limits: Interval, unseen: Floats) -> Interval:
    """Count those that nobody looked at as like the others, or as all right, or as all wrong."""
    return Interval(limits.estimate, limits.low * (1 - unseen), limits.high * (1 - unseen) + unseen)


def _arrays(limits: Interval) -> tuple[Floats, Floats, Floats]:
    return limits.estimate, limits.low, limits.high


def _spread(values: Floats, alive: Bools) -> Floats:
    full = np.full(len(alive), np.nan)
    full[alive] = values
    return full


def _solve(
    population: Population, name: SideName, domain: Ints, size: int, *, whole: bool
) -> tuple[Interval, Words, str]:
    """Interval of the cells that have draws enough, how each was made, and whose word stands."""
    audit, confidence = population.audit, population.confidence
    side = None if name == "all" else name == "enforced"
    judging = judge(
        audit, population.golden, domain[audit.position], size,
        action_only=name != "all", enforced=side, confidence=confidence,
    )  # fmt: skip
    cells = gather_cells(
        population.bins, population.spread, domain, size,
        draw=audit.position, weight=audit.weight, error=judging.error, variance=audit.variance,
    )  # fmt: skip
    narrow = whole and name == "all"
    limits = rate_limits(cells, reviewers=judging.reviewers, whole=narrow, confidence=confidence)
    exact = judging.reviewers is None or not judging.reviewers.alarm.high.any()
    how = np.full(size, "score_el" if narrow and exact else "score_t", dtype=object)
    thin = _floor(cells, audit) < LEAST_FLOOR
    if thin.any():
        safe = korn_graubard(cells, confidence=confidence)
        if judging.reviewers is not None:
            safe = corrected_limits(safe, judging.reviewers)
        limits = Interval(
            *(np.where(thin, a, b) for a, b in zip(_arrays(safe), _arrays(limits), strict=True))
        )
        how[thin] = "korn_graubard"
    how[(cells.draws == cells.decisions) & (judging.reviewers is None)] = "census"
    refused = _refused(judging, population.correction, size)
    how = np.where(refused != "", refused, how)
    limits = Interval(*(np.where(refused != "", np.nan, v) for v in _arrays(limits)))
    return limits, how, judging.code


def _floor(cells: Cells, audit: AuditSample) -> Floats:
    """Compare the smallest drawn inclusion probability to a uniform design's.

    Draws that were certain do not count: they stand for themselves.
    Taken in the whole design or within the cell, whichever is kinder: a cell whose own draws have
    like weights is safe whatever the rest of the design looks like.
    """
    heaviest = np.zeros(cells.size)
    chance = cells.draw_variance > 0
    np.maximum.at(heaviest, cells.draw_cell[chance], cells.draw_weight[chance])
    drawn = np.maximum(cells.over_draws(chance.astype(np.float64)), 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        within = cells.over_draws(np.where(chance, cells.draw_weight, 0.0)) / drawn / heaviest
    weight = audit.weight[audit.variance > 0]
    whole = weight.mean() / weight.max() if len(weight) else 1.0
    return np.asarray(np.fmax(within, whole))


def _refused(judging: Judging, correction: Correction, size: int) -> Words:
    refused = np.full(size, "", dtype=object)
    if correction == "require" and judging.code in UNCORRECTED:
        refused[:] = "not_corrected"
    if judging.reviewers is not None:
        chance = judging.reviewers.found.low <= judging.reviewers.alarm.high
        refused[chance] = "reviewers_at_chance"
    return refused
