"""Sampling designs: inclusion probabilities, draws and expected intervals."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from errdetect.errors import Refusal, error_message
from errdetect.stats.intervals import wilson_half_width

__all__ = [
    "allocation_sd",
    "draw_sample",
    "expected_half_width",
    "min_half_width",
    "neyman_allocation",
    "unequal_probabilities",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def neyman_allocation(
    sizes: Sequence[float] | Floats,
    rates: Sequence[float] | Floats,
    budget: int,
    *,
    floor: float = 0.0,
    minimum: int = 0,
) -> Ints:
    """Share a budget among strata in proportion to size times sqrt(rate (1 - rate)).

    Parameters
    ----------
    sizes
        Decisions of each stratum, shape (n_strata,).
    rates
        Expected error rate of each.
    budget
        Reviews to share.
    floor
        Share of the budget given in proportion to size, which keeps the weights bounded.
    minimum
        Least reviews of each stratum, or all of a smaller one.

    Returns
    -------
    ndarray of int, shape (n_strata,)
        Adds up to the budget. Remainders go to the largest fractions, ties to the first stratum.

    Raises
    ------
    Refusal
        Where the budget cannot give every stratum its minimum.

    References
    ----------
    Neyman (1934), On the two different aspects of the representative method. The example's figures
    are those of Barnett et al. (2021) on stratified prevalence sampling.

    Examples
    --------
    >>> sizes = [800_000, 100_000, 50_000, 10_000, 40_000]
    >>> rates = [0.0005, 0.005, 0.01, 0.05, 0.0025]
    >>> neyman_allocation(sizes, rates, 4000).tolist()
    [2098, 828, 584, 256, 234]
    """
    size, rate = np.asarray(sizes, np.float64), np.asarray(rates, np.float64)
    least = np.minimum(size, minimum)
    if budget < least.sum():
        got = f"{budget} for {len(size)} strata that each need {minimum}"
        must = f"be at least {int(least.sum())}"
        raise Refusal(error_message("budget", must, got, "Raise the budget or lower the minimum."))
    budget = min(budget, int(size.sum()))
    spread = size * np.sqrt(rate * (1 - rate))
    spread = spread / spread.sum() if spread.sum() > 0 else size / size.sum()
    wanted = budget * (floor * size / size.sum() + (1 - floor) * spread)
    return _round_allocation(_scale_within_limits(wanted, least, size, budget), least, size, budget)


def _scale_within_limits(wanted: Floats, least: Floats, most: Floats, total: float) -> Floats:
    """Scale by one factor, within limits, to add up to the total."""
    low, high = 0.0, 1.0
    while np.clip(wanted * high, least, most).sum() < total and high < 1e15:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if np.clip(wanted * middle, least, most).sum() < total else (low, middle)
        )
    given = np.clip(wanted * high, least, most)
    # Decisions of weight 0 get the rest, in proportion to their room.
    room = most - given
    return np.asarray(given + room * max(total - given.sum(), 0) / max(room.sum(), 1e-300))


def _round_allocation(share: Floats, least: Floats, most: Floats, budget: int) -> Ints:
    """Round to whole reviews by largest remainder, within the limits."""
    whole = np.floor(share + 1e-9)
    left = budget - int(whole.sum())
    order = np.argsort(-(share - whole), kind="stable")
    order = order[(whole[order] < most[order]) & (whole[order] >= least[order])]
    whole[order[:left]] += 1
    return whole.astype(np.int64)


def allocation_sd(
    sizes: Sequence[float] | Floats,
    rates: Sequence[float] | Floats,
    allocation: Sequence[int] | Ints,
) -> float:
    """Return the standard deviation of a stratified error rate, sampling with replacement.

    Parameters
    ----------
    sizes, rates
        Size and error rate of each stratum.
    allocation
        Reviews of each.

    Returns
    -------
    float

    Examples
    --------
    >>> sizes, rates = [0.8, 0.1, 0.05, 0.01, 0.04], [0.0005, 0.005, 0.01, 0.05, 0.0025]
    >>> round(100 * allocation_sd(sizes, rates, [2098, 828, 584, 256, 234]), 4)
    0.0539
    >>> round(100 * allocation_sd([1.0], [float(np.dot(sizes, rates))], [4000]), 4)
    0.0706
    """
    share = np.asarray(sizes, np.float64) / np.sum(sizes)
    rate, n = np.asarray(rates, np.float64), np.asarray(allocation, np.float64)
    return float(np.sqrt((share**2 * rate * (1 - rate) / n).sum()))


def unequal_probabilities(
    p_error: Floats,
    budget: float,
    *,
    floor: float = 0.25,
    segment: Ints | None = None,
    minimum: int = 0,
) -> Floats:
    """Return inclusion probabilities in proportion to sqrt(p (1 - p)), mixed with a uniform floor.

    Parameters
    ----------
    p_error
        P(error) of each decision, shape (n_decisions,).
    budget
        Expected number of draws.
    floor
        Share of the uniform probability that every decision keeps; .2 to .3 is well tested.
    segment
        Segment of each decision, for the minimum.
    minimum
        Least expected draws of each segment, or all of a smaller one.

    Returns
    -------
    ndarray of shape (n_decisions,)
        Inclusion probabilities in (0, 1] that add up to the budget.

    Raises
    ------
    Refusal
        Where the budget cannot give every segment its minimum on top of the floor.

    Examples
    --------
    >>> p = np.array([0.5, 0.5, 0.01, 0.01, 0.01, 0.01])
    >>> unequal_probabilities(p, 2.0).round(2).tolist()
    [0.62, 0.62, 0.19, 0.19, 0.19, 0.19]
    """
    n = len(p_error)
    budget = min(float(budget), float(n))
    lowest = np.full(n, floor * budget / n)
    wanted = np.sqrt(p_error * (1 - p_error))
    wanted = lowest + (1 - floor) * budget * wanted / wanted.sum() if wanted.any() else lowest
    segment = np.zeros(n, np.int64) if segment is None else segment
    size = np.bincount(segment).astype(np.float64)
    total = np.asarray(np.bincount(segment, wanted), np.float64)
    least = np.minimum(size, np.maximum(np.bincount(segment, lowest), minimum))
    if least.sum() > budget + 1e-9:
        got = f"{budget:g} for {len(size)} segments that each need {minimum}"
        must = f"be at least {int(np.ceil(least.sum()))}"
        raise Refusal(error_message("budget", must, got, "Raise the budget or lower the minimum."))
    target = _scale_within_limits(total, least, size, budget)
    chance = np.empty(n)
    order = np.argsort(segment, kind="stable")
    for rows in np.split(order, np.cumsum(size.astype(np.int64))[:-1]):
        # Each segment keeps the order of its decisions' weights; certain ones are capped at 1.
        own = target[segment[rows[0]]] if len(rows) else 0.0
        chance[rows] = _scale_within_limits(wanted[rows], lowest[rows], np.ones(len(rows)), own)
    return np.minimum(chance, 1.0)


def draw_sample(
    probability: Floats, rng: np.random.Generator, *, segment: Ints | None = None
) -> Ints:
    """Draw a sample with exactly these inclusion probabilities, of fixed size.

    Randomised systematic sampling: decisions are put in random order, segment by segment, and
    every unit of summed probability draws one. Each segment's number is thereby fixed to within 1.

    Parameters
    ----------
    probability
        Inclusion probabilities, shape (n_decisions,).
    rng
        Source of randomness.
    segment
        Segment of each decision.

    Returns
    -------
    ndarray of int
        Positions of the drawn decisions, ascending.

    References
    ----------
    Hartley and Rao (1962), Sampling with unequal probabilities and without replacement.

    Examples
    --------
    >>> draw_sample(np.full(8, 0.25), np.random.default_rng(0)).shape
    (2,)
    """
    order = rng.permutation(len(probability))
    if segment is not None:
        order = order[np.argsort(segment[order], kind="stable")]
    reach = np.cumsum(probability[order])
    if not len(reach):
        return np.zeros(0, np.int64)
    marks = np.arange(rng.random(), reach[-1] * (1 - 1e-12), 1.0)
    return np.sort(order[np.searchsorted(reach, marks, side="right")])


def expected_half_width(
    p_error: Floats,
    probability: Floats,
    *,
    weight: Floats | None = None,
    found: float = 1.0,
    alarm: float = 0.0,
    found_doubt: float = 0.0,
    alarm_doubt: float = 0.0,
    confidence: float = 0.95,
) -> float:
    """Return the expected half width of a design's interval, if P(error) is calibrated.

    Parameters
    ----------
    p_error, probability
        P(error) and inclusion probability of each decision.
    weight
        Number of decisions that each stands for; default 1.
    found, alarm
        Shares of errors and of correct decisions that reviewers call errors.
    found_doubt, alarm_doubt
        Half widths of the intervals of those two.
    confidence
        Nominal coverage.

    Returns
    -------
    float
        Half of Wilson's interval at the effective number of reviews; NaN without decisions.

    Examples
    --------
    >>> p = np.full(10_000, 0.05)
    >>> round(expected_half_width(p, np.full(10_000, 0.1)), 4)
    0.0129
    """
    each = np.ones(len(p_error)) if weight is None else weight
    n = float(each.sum())
    if n == 0:
        return float("nan")
    theta, slope = float(each @ p_error) / n, found - alarm
    flagged = alarm + slope * p_error
    judging = found * (1 - found) * p_error + alarm * (1 - alarm) * (1 - p_error)
    variance = float(each @ ((1 / probability - 1) * flagged * (1 - flagged) + judging)) / n**2
    sampling = _wilson_half_width(alarm + slope * theta, variance, confidence) / slope
    doubt = np.hypot(theta * found_doubt, (1 - theta) * alarm_doubt) / slope
    return float(np.hypot(sampling, doubt))


def min_half_width(p_error: Floats, n_reviews: float, *, confidence: float = 0.95) -> float:
    """Return the smallest half width of any design with this ranker and number of reviews.

    Parameters
    ----------
    p_error
        Calibrated P(error) of each decision.
    n_reviews
        Reviews, by people who do not err.
    confidence
        Nominal coverage.

    Returns
    -------
    float
        NaN without decisions or reviews.

    Examples
    --------
    >>> round(min_half_width(np.repeat([0.01, 0.3], [9000, 1000]), 1000), 4)
    0.0077
    """
    n = len(p_error)
    if n == 0 or n_reviews <= 0:
        return float("nan")
    binomial = p_error * (1 - p_error)
    variance = float(np.sqrt(binomial).sum()) ** 2 / n_reviews - float(binomial.sum())
    return _wilson_half_width(float(p_error.mean()), max(variance, 0.0) / n**2, confidence)


def _wilson_half_width(mean: float, variance: float, confidence: float) -> float:
    """Return half of Wilson's interval at the effective number of reviews of a variance."""
    if variance <= 0:
        return 0.0
    n = max(mean * (1 - mean) / variance, 1e-9)
    return float(wilson_half_width(np.array([mean]), np.array([n]), confidence)[0])
