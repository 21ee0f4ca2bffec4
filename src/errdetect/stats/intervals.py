"""Intervals of rates, the root finder behind them, and rates of repeated answers."""

import math
from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, ndtri

from errdetect.stats.group_sums import sum_by_group

__all__ = [
    "Interval",
    "RateInterval",
    "bootstrap_interval",
    "clopper_pearson",
    "clustered_rates",
    "critical_value",
    "find_roots",
    "rate_difference",
    "wilson",
    "wilson_half_width",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Steps of the root finder: bisections, then at most this many guarded secants.
HALVINGS, SECANTS = 8, 60
#: Width of the bracket, in the units of its ends, at which a root is found.
TOLERANCE = 1e-9


class RateInterval(Protocol):
    """One rate with its lower and upper limit."""

    @property
    def estimate(self) -> float:
        """The rate."""

    @property
    def low(self) -> float:
        """The lower limit."""

    @property
    def high(self) -> float:
        """The upper limit."""


class Interval(NamedTuple):
    """Estimates with their lower and upper limits; arrays of one shape."""

    estimate: Floats
    low: Floats
    high: Floats


def critical_value(confidence: float = 0.95, comparisons: int = 1) -> float:
    """Return the two-sided critical value of the normal distribution.

    Parameters
    ----------
    confidence
        Nominal coverage, in (0, 1).
    comparisons
        Number of intervals that hold simultaneously (Bonferroni), at least 1.

    Examples
    --------
    >>> round(critical_value(), 3), round(critical_value(0.9), 3), round(critical_value(0.95, 10), 3)
    (1.96, 1.645, 2.807)
    """
    level = 1 - (1 - confidence) / comparisons
    return float(ndtri((1 + level) / 2))


def wilson_half_width(rate: Floats, n: Floats, confidence: float = 0.95) -> Floats:
    """Return half the width of Wilson's score interval.

    Parameters
    ----------
    rate
        Shape (k,), in [0, 1].
    n
        Shape (k,), trials, at least 0; may be fractional.
    confidence
        Nominal coverage.

    Returns
    -------
    numpy.ndarray
        Shape (k,); 0.5 without trials.

    Examples
    --------
    >>> wilson_half_width(np.array([0.5, 0.5]), np.array([100.0, 0.0])).round(4)
    array([0.0962, 0.5   ])
    """
    z = critical_value(confidence)
    half: Floats = np.sqrt(rate * (1 - rate) * n + z**2 / 4) * z / (n + z**2)
    return half


def wilson(rate: Floats, n: Floats, confidence: float = 0.95) -> Interval:
    """Return Wilson's score interval of rates observed in `n` trials.

    Parameters
    ----------
    rate
        Shape (k,), in [0, 1]; NaN stays NaN.
    n
        Shape (k,), at least 0, may be fractional; without trials the limits are 0 and 1.
    confidence
        Nominal coverage.

    Returns
    -------
    Interval
        The rates as given, with their limits; shape (k,).

    References
    ----------
    Wilson (1927), Probable inference, the law of succession, and statistical inference,
    JASA 22, 209-212.

    Examples
    --------
    >>> _, low, high = wilson(np.array([0.0, 0.5]), np.array([100.0, 0.0]))
    >>> low.round(4), high.round(4)
    (array([0., 0.]), array([0.037, 1.   ]))
    """
    z2 = critical_value(confidence) ** 2
    share = z2 / (n + z2)  # of the prior half
    centre = rate * (1 - share) + 0.5 * share
    half = wilson_half_width(rate, n, confidence)
    return Interval(rate, np.clip(centre - half, 0, rate), np.clip(centre + half, rate, 1))


def clopper_pearson(successes: Floats, trials: Floats, confidence: float = 0.95) -> Interval:
    """Return the exact interval of binomial rates; counts may be fractional.

    Parameters
    ----------
    successes, trials
        Counts, shape (n,).
    confidence
        Least coverage.

    Returns
    -------
    Interval

    References
    ----------
    Clopper and Pearson (1934), The use of confidence or fiducial limits.

    Examples
    --------
    >>> found = clopper_pearson(np.array([0.0]), np.array([100.0]))
    >>> float(found.low[0]), round(float(found.high[0]), 4)
    (0.0, 0.0362)
    """
    x, n, tail = successes, trials, (1 - confidence) / 2
    rate = x / n
    low = np.where(x > 0, betaincinv(np.maximum(x, 1e-12), n - x + 1, tail), 0.0)
    high = np.where(x < n, betaincinv(x + 1, np.maximum(n - x, 1e-12), 1 - tail), 1.0)
    return Interval(rate, np.minimum(low, rate), np.maximum(high, rate))


def rate_difference(one: RateInterval, other: RateInterval) -> tuple[float, float, float]:
    """Return the difference of two independent rates, with an interval derived from theirs.

    Parameters
    ----------
    one, other
        Rates with intervals of one confidence, from different decisions.

    Returns
    -------
    tuple of float
        `one - other` with its lower and upper limit, within [-1, 1]; an asymmetric interval
        stays asymmetric.

    References
    ----------
    Newcombe (1998), Statistics in Medicine 17, 873-890, method 10; Zou and Donner (2008), Statistics
    in Medicine 27, 1693-1702, for rates with any interval.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> a = SimpleNamespace(estimate=0.5, low=0.4, high=0.6)
    >>> b = SimpleNamespace(estimate=0.1, low=0.05, high=0.18)
    >>> tuple(round(v, 3) for v in rate_difference(a, b))
    (0.4, 0.272, 0.512)
    """
    gap = one.estimate - other.estimate
    down = math.hypot(one.estimate - one.low, other.high - other.estimate)
    up = math.hypot(one.high - one.estimate, other.estimate - other.low)
    return gap, max(gap - down, -1.0), min(gap + up, 1.0)


def find_roots(excess: Callable[[Floats], Floats], inside: Floats, end: Floats) -> Floats:
    """Find where `excess` turns positive between an inner point and an end, vectorised.

    Bisection first, then the Illinois rule, guarded to shrink the bracket.

    Parameters
    ----------
    excess
        The function, from shape (n,) to shape (n,); not positive at `inside`.
    inside, end
        Where to start and where to stop, shape (n,).

    Returns
    -------
    ndarray of shape (n,)
        The crossing, or the end itself where the excess is not positive there.

    References
    ----------
    Dowell and Jarratt (1971), A modified regula falsi method.

    Examples
    --------
    >>> find_roots(lambda x: x**2 - 2.0, np.zeros(2), np.array([2.0, 1.0])).round(6).tolist()
    [1.414214, 1.0]
    """
    at_end, at_inside = excess(end), np.full(len(end), np.nan)
    free, far, last = at_end <= 0, end, np.zeros(len(end))
    for step in range(HALVINGS + SECANTS):
        weight = np.full(len(end), 0.5)
        if step >= HALVINGS:
            with np.errstate(divide="ignore", invalid="ignore"):
                weight = np.clip(at_inside / (at_inside - at_end), 0.01, 0.99)
            weight = np.where(np.isnan(weight), 0.5, weight)
        middle = inside + weight * (far - inside)
        value = excess(middle)
        out = value > 0
        # Illinois: the value of an end retained twice is halved, so that it moves soon.
        at_inside = np.where(~out, value, np.where(last > 0, at_inside / 2, at_inside))
        at_end = np.where(out, value, np.where(last < 0, at_end / 2, at_end))
        last = np.where(out, 1.0, -1.0)
        far, inside = np.where(out, middle, far), np.where(out, inside, middle)
        if float(np.max(np.abs(far - inside), initial=0.0, where=~free)) < TOLERANCE:
            break
    return np.where(free, end, inside)


def bootstrap_interval(
    measure: Callable[[Floats], Floats], weight: Floats, *, resamples: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return the 95 % percentile interval of a weighted measure, resampling decisions.

    Parameters
    ----------
    measure
        Takes weights of shape (n,), returns values of shape (k,).
    weight
        Shape (n,), the weights in the sample itself.
    resamples, rng
        Number of resamples, and the random generator.

    Returns
    -------
    tuple
        Lower and upper limits, shape (k,) each; NaN where fewer than half of the resamples have
        a value.
    """
    n = len(weight)
    drawn = np.stack(
        [
            measure(weight * np.bincount(rng.integers(0, n, n), minlength=n))
            for _ in range(resamples)
        ]
    )
    known = np.isfinite(drawn).mean(axis=0) >= 0.5
    limits = np.full((2, drawn.shape[1]), np.nan)
    limits[:, known] = np.nanquantile(drawn[:, known], [0.025, 0.975], axis=0)
    return limits[0], limits[1]


def clustered_rates(values: Floats, who: Ints, item: Ints, n: int) -> tuple[Floats, Floats]:
    """Return the mean of `values` by `who`, with the effective number of independent items.

    Answers about one item are correlated through its difficulty, so they count for less than as
    many items.

    Parameters
    ----------
    values
        Shape (m,), in [0, 1].
    who
        Shape (m,), the rater of each value, in [0, n).
    item
        Shape (m,), the item of each value.
    n
        Number of raters.

    Returns
    -------
    tuple of numpy.ndarray
        Means (NaN without values) and effective counts, shape (n,).

    Examples
    --------
    >>> values = np.array([1.0, 1, 1, 0, 0, 1, 1, 0])
    >>> mean, n = clustered_rates(values, np.zeros(8, int), np.array([0, 0, 0, 1, 1, 2, 3, 4]), 1)
    >>> mean, n.round(2)
    (array([0.625]), array([4.29]))
    """
    trials = sum_by_group(who, np.ones(len(who)), n)
    mean = np.full(n, np.nan)
    np.divide(sum_by_group(who, values, n), trials, out=mean, where=trials > 0)
    pair = np.column_stack([who, item])
    blocks, block = np.unique(pair, axis=0, return_inverse=True)
    swing = sum_by_group(block, values - mean[who], len(blocks)) ** 2
    n_items = sum_by_group(blocks[:, 0], np.ones(len(blocks)), n)
    scatter = sum_by_group(blocks[:, 0], swing, n)
    worth = n_items.copy()  # if all answers are equal, use the number of items
    binomial = mean * (1 - mean) * trials**2
    np.divide(binomial, scatter, out=worth, where=(scatter > 0) & (trials > n_items))
    return mean, np.minimum(worth, trials)
