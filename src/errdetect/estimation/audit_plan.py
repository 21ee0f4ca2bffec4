"""Plan the next audit: the draws, their inclusion probabilities, expected intervals and cost."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from errdetect.errors import DataError, Refusal, error_message
from errdetect.estimation.domains import P_CLIP, segment_decisions
from errdetect.estimation.sampling_designs import (
    draw_sample,
    expected_half_width,
    min_half_width,
    neyman_allocation,
    unequal_probabilities,
)
from errdetect.stats.intervals import wilson

__all__ = [
    "USUAL_RATE",
    "AuditCost",
    "AuditPlan",
    "Method",
    "ReviewAssumptions",
    "plan_audit",
    "split_golden_items",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Method = Literal["unequal", "neyman"]

#: Quantiles of P(error) that bound the strata where no column defines them.
BANDS = (0.5, 0.8, 0.95, 0.99)
#: Expected error rate where nothing is known.
USUAL_RATE = 0.05
#: Least share of each kind among golden items, so that their answer cannot be guessed.
LEAST_OF_KIND = 0.1
#: Reviewers are not planned to be better than this: an error rate of 0 would need no items.
MOST_SENSITIVITY, LEAST_FALSE_POSITIVE = 0.95, 0.02


@dataclass(frozen=True)
class ReviewAssumptions:
    """Assumptions on the audit's reviewers.

    Parameters
    ----------
    found, alarm
        Shares of errors, and of correct decisions, that a reviewer calls errors.
    adjudicate_flags
        Whether an expert settles every decision that a reviewer calls an error.
    golden_per_site, sites
        Golden items that each site answers, and how many sites there are.
    golden_answered
        Answers so far on golden items that are errors, and on correct ones, which count, too.
    minutes, expert_minutes
        Time of one review and of one adjudication.
    """

    found: float = 1.0
    alarm: float = 0.0
    adjudicate_flags: bool = True
    golden_per_site: int = 0
    sites: int = 1
    golden_answered: tuple[int, int] = (0, 0)
    minutes: float = 2.0
    expert_minutes: float = 5.0


@dataclass(frozen=True)
class AuditCost:
    """Cost of a plan.

    Parameters
    ----------
    reviews, golden, golden_errors, adjudications
        Expected numbers of each; how many golden items should be errors.
    reviewer_hours, expert_hours
        Hours of work; golden items are reviewers' work.
    """

    reviews: int
    golden: int
    golden_errors: int
    adjudications: int
    reviewer_hours: float
    expert_hours: float


@dataclass(frozen=True)
class AuditPlan:
    """The next audit.

    Parameters
    ----------
    draws
        decision_id, inclusion_probability and the `by` columns of each drawn decision.
    expected
        One row overall (null `by` columns) and for each segment: n_decisions, n_reviews,
        expected_rate, half_width, limit (no design does better with this ranker and reviewers who
        do not err) and uniform (a uniform audit of as many reviews by the same reviewers).
    cost
        Its cost.
    probability
        Inclusion probability of every decision, shape (n_decisions,).
    stratum
        Stratum of every decision, from 0, shape (n_decisions,): the draw's size is fixed in each.
    """

    draws: pd.DataFrame
    expected: pd.DataFrame
    cost: AuditCost
    probability: Floats = field(repr=False)
    stratum: Ints = field(repr=False)


def plan_audit(
    decisions: pd.DataFrame,
    *,
    rng: np.random.Generator,
    p_error: pd.Series | Floats | None = None,
    by: Sequence[str] = (),
    budget: int | None = None,
    half_width: float | None = None,
    method: Method = "unequal",
    floor: float = 0.25,
    minimum: int = 0,
    expected_rate: float = USUAL_RATE,
    reviewing: ReviewAssumptions | None = None,
    confidence: float = 0.95,
) -> AuditPlan:
    """Draw the next audit for a budget or a target half width.

    Parameters
    ----------
    decisions
        The contract's decisions: the population to draw from.
    rng
        Source of randomness; the same seed draws the same decisions.
    p_error
        P(error) of each decision, a Series by decision_id or an array; None draws uniformly.
    by
        Columns whose combinations are segments (and strata of `neyman`).
    budget, half_width
        One of the two: reviews to spend, or the target half width of the overall interval.
    method
        `unequal`: inclusion probabilities in proportion to sqrt(p (1 - p)) above a floor. `neyman`: strata (the
        segments, or bands of P(error)) with Neyman's allocation above the same floor.
    floor
        Share of the uniform probability that every decision keeps, in [0.2, 1].
    minimum
        Least expected reviews of each segment.
    expected_rate
        Expected error rate where there is no P(error).
    reviewing
        Assumptions on the reviewers; None for reviewers who do not err.
    confidence
        Nominal coverage.

    Returns
    -------
    AuditPlan

    Raises
    ------
    DataError, Refusal
        Where the targets cannot be met.

    Examples
    --------
    >>> decisions = pd.DataFrame({"decision_id": [f"d{i}" for i in range(10_000)]})
    >>> p = np.linspace(0.0, 0.2, 10_000)
    >>> plan = plan_audit(decisions, rng=np.random.default_rng(0), p_error=p, budget=500)
    >>> len(plan.draws), plan.cost.reviewer_hours, plan.expected["half_width"].round(4).tolist()
    (500, 16.7, [0.024])
    """
    reviewing = reviewing or ReviewAssumptions()
    _check_targets(budget, half_width, floor)
    p = _validate_p_error(p_error, decisions, expected_rate)
    keys, segment = segment_decisions(decisions, by)
    strata = _risk_strata(p) if method == "neyman" and not by else segment

    def chances(reviews: int) -> Floats:
        if method == "unequal":
            return unequal_probabilities(p, reviews, floor=floor, segment=segment, minimum=minimum)
        size = np.bincount(strata).astype(np.float64)
        rate = np.bincount(strata, p) / size
        given = neyman_allocation(size, rate, reviews, floor=floor, minimum=max(minimum, 2))
        return np.asarray((given / size)[strata])

    def width(reviews: int) -> float:
        return _half_width(p, chances(reviews), reviewing, confidence, float(p.mean()))

    if half_width is not None:
        least = int(np.minimum(np.bincount(strata), max(minimum, 2)).sum())
        budget = _smallest_budget(width, half_width, least, len(p))
    probability = chances(budget or 0)
    drawn = draw_sample(probability, rng, segment=strata)
    draws = pd.DataFrame({"decision_id": decisions["decision_id"].to_numpy()[drawn]})
    draws["inclusion_probability"] = probability[drawn]
    draws = pd.concat([draws, keys.iloc[segment[drawn]].reset_index(drop=True)], axis=1)
    expected = _expected_table(keys, segment, p, probability, reviewing, confidence)
    cost = _audit_cost(p, probability, reviewing)
    return AuditPlan(draws, expected, cost, probability, strata)


def _check_targets(budget: int | None, half_width: float | None, floor: float) -> None:
    if (budget is None) == (half_width is None):
        got = "neither" if budget is None else "both"
        must = "get a budget or a half width"
        raise DataError(error_message("plan-audit", must, got, "Give one of the two."))
    if budget is not None and budget < 1:
        raise DataError(error_message("budget", "be at least 1", budget, "Raise it."))
    if half_width is not None and not half_width > 0:
        raise DataError(error_message("half_width", "be above 0", half_width, "0.01 is one point."))
    if not 0.2 <= floor <= 1:
        do = "Below .2 the intervals are not known to be valid."
        raise DataError(error_message("floor", "lie in [0.2, 1]", floor, do))


def _validate_p_error(
    p_error: pd.Series | Floats | None, decisions: pd.DataFrame, expected_rate: float
) -> Floats:
    if p_error is None:
        return np.full(len(decisions), expected_rate)
    if isinstance(p_error, pd.Series):
        p_error = p_error.reindex(decisions["decision_id"]).to_numpy(dtype=float)
    bad = ~((p_error >= 0) & (p_error <= 1))
    if bad.any():
        got = f"{int(bad.sum())} others"
        raise DataError(error_message("p_error", "be one number in [0, 1] for each decision", got,
                                 "Score all decisions."))  # fmt: skip
    return np.clip(p_error, P_CLIP, 1 - P_CLIP)


def _risk_strata(p: Floats) -> Ints:
    """Return strata of similar P(error)."""
    edges = np.unique(np.quantile(p, BANDS))
    _, band = np.unique(np.searchsorted(edges, p), return_inverse=True)
    return band.astype(np.int64)


def split_golden_items(n: int, rate: float, reviewing: ReviewAssumptions) -> int:
    """Return how many of the next golden items should be errors, so that the interval narrows most.

    Parameters
    ----------
    n
        Golden items to plan, of all sites.
    rate
        Expected error rate, in [0, 1].
    reviewing
        Reviewers' error rates, and the golden items answered so far.

    Returns
    -------
    int
        Errors among them; at least a tenth, and at most nine tenths.

    Notes
    -----
    Minimises what golden items leave of the variance of the corrected rate (Rogan and Gladen 1978;
    delta method), with sensitivity S and false positive rate F measured on n1 and n0 items:
    rate^2 S(1-S)/n1 + (1-rate)^2 F(1-F)/n0, so that n1 : n0 is as rate sqrt(S(1-S)) to
    (1-rate) sqrt(F(1-F)). Where experts settle every flag, only misses need correction.

    Examples
    --------
    >>> reviewing = ReviewAssumptions(found=0.9, alarm=0.04, adjudicate_flags=False)
    >>> split_golden_items(600, 0.08, reviewing), split_golden_items(600, 0.5, reviewing)
    (70, 363)
    """
    sensitivity = min(reviewing.found, MOST_SENSITIVITY)
    wrongly = max(reviewing.alarm, LEAST_FALSE_POSITIVE)
    misses = rate * np.sqrt(sensitivity * (1 - sensitivity))
    rest = 0.0 if reviewing.adjudicate_flags else (1 - rate) * np.sqrt(wrongly * (1 - wrongly))
    share = misses / (misses + rest) if misses + rest > 0 else 0.5
    errors, correct = reviewing.golden_answered
    wanted = share * (n + errors + correct) - errors
    return round(float(np.clip(wanted, LEAST_OF_KIND * n, (1 - LEAST_OF_KIND) * n)))


def _golden_items(reviewing: ReviewAssumptions) -> int:
    return reviewing.golden_per_site * reviewing.sites


def _reviewer_half_widths(
    rate: float, reviewing: ReviewAssumptions, confidence: float
) -> tuple[float, float]:
    """Return the half widths of the reviewers' error rates from golden items; 0 where there are none."""
    planned = _golden_items(reviewing)
    if planned + sum(reviewing.golden_answered) < 1:
        return 0.0, 0.0
    errors = split_golden_items(planned, rate, reviewing)
    items = np.array([errors, planned - errors]) + np.array(reviewing.golden_answered)
    rates = np.array([reviewing.found, reviewing.alarm])
    limits = wilson(rates, np.maximum(items, 0.5), confidence)
    half = (limits.high - limits.low) / 2
    return float(half[0]), 0.0 if reviewing.adjudicate_flags else float(half[1])


def _half_width(
    p: Floats,
    probability: Floats,
    reviewing: ReviewAssumptions,
    confidence: float,
    rate: float,
) -> float:
    """Return the expected half width; `rate` is the whole log's, for which golden items are planned."""
    found_doubt, alarm_doubt = _reviewer_half_widths(rate, reviewing, confidence)
    return expected_half_width(
        p, probability, found=reviewing.found,
        alarm=0.0 if reviewing.adjudicate_flags else reviewing.alarm,
        found_doubt=found_doubt, alarm_doubt=alarm_doubt, confidence=confidence,
    )  # fmt: skip


def _smallest_budget(width: Callable[[int], float], wanted: float, least: int, most: int) -> int:
    """Find the smallest budget whose half width is at most the target."""
    low, high = min(least, most), most
    if width(high) > wanted:
        got = f"{wanted:g}, and {width(high):.4f} with every decision reviewed"
        do = "The rest is uncertainty about reviewer error: plan more golden items."
        raise Refusal(error_message("half_width", "be within reach", got, do))
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if width(middle) <= wanted else (middle + 1, high)
    return high


def _expected_table(
    keys: pd.DataFrame, segment: Ints, p: Floats, probability: Floats, reviewing: ReviewAssumptions,
    confidence: float,
) -> pd.DataFrame:  # fmt: skip
    """Return the expected results overall and by segment."""
    rate = float(p.mean()) if len(p) else USUAL_RATE

    def row(inside: Ints) -> dict[str, float]:
        own, chance = p[inside], probability[inside]
        n = float(chance.sum())
        even = np.full(len(own), n / max(len(own), 1))
        return {
            "n_decisions": len(own),
            "n_reviews": round(n, 1),
            "expected_rate": float(own.mean()) if len(own) else float("nan"),
            "half_width": _half_width(own, chance, reviewing, confidence, rate),
            "limit": min_half_width(own, n, confidence=confidence),
            "uniform": _half_width(own, even, reviewing, confidence, rate),
        }

    rows = [row(np.arange(len(p)))]
    names = pd.DataFrame({column: pd.Series([None], dtype="str") for column in keys}, index=[0])
    if len(keys.columns):
        order = np.argsort(segment, kind="stable")
        ends = np.cumsum(np.bincount(segment, minlength=len(keys)))[:-1]
        rows += [row(inside) for inside in np.split(order, ends)]
        names = pd.concat([names, keys], ignore_index=True)
    return pd.concat([names, pd.DataFrame(rows)], axis=1)


def _audit_cost(p: Floats, probability: Floats, reviewing: ReviewAssumptions) -> AuditCost:
    reviews = round(float(probability.sum()))
    golden = _golden_items(reviewing)
    rate = float(p.mean()) if len(p) else USUAL_RATE
    flags = float((probability * (reviewing.alarm + (reviewing.found - reviewing.alarm) * p)).sum())
    adjudications = int(np.ceil(flags)) if reviewing.adjudicate_flags else 0
    return AuditCost(
        reviews=reviews,
        golden=golden,
        golden_errors=split_golden_items(golden, rate, reviewing),
        adjudications=adjudications,
        reviewer_hours=round((reviews + golden) * reviewing.minutes / 60, 1),
        expert_hours=round(adjudications * reviewing.expert_minutes / 60, 1),
    )
