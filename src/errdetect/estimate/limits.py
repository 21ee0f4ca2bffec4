"""Rates with limits: the root finder behind them, and rates made of other rates."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtri

__all__ = [
    "Limits",
    "Misjudgement",
    "clopper_pearson",
    "corrected_limits",
    "cross",
    "recall_limits",
    "wilson",
]

Floats = NDArray[np.float64]

#: Steps of the root finder: plain halvings, then at most so many guarded secants.
HALVINGS, SECANTS = 8, 60
#: Width of the bracket, in units of logit, at which a limit is found.
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Limits:
    """A rate of each cell with its interval; arrays of shape (n_cells,)."""

    estimate: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class Misjudgement:
    """How reviewers err in each cell, as rates with limits; arrays of shape (n_cells,).

    Parameters
    ----------
    found
        Share of errors that reviewers call errors (sensitivity).
    alarm
        Share of right decisions that reviewers call errors (1 - specificity).
    """

    found: Limits
    alarm: Limits


def wilson(successes: Floats, trials: Floats, confidence: float = 0.95) -> Limits:
    """Wilson's score interval of binomial rates.

    Parameters
    ----------
    successes, trials
        Counts, shape (n,).
    confidence
        Nominal coverage.

    Returns
    -------
    Limits

    References
    ----------
    Wilson (1927), Probable inference, the law of succession, and statistical inference.

    Examples
    --------
    >>> limits = wilson(np.array([0.0]), np.array([100.0]))
    >>> float(limits.low[0]), round(float(limits.high[0]), 4)
    (0.0, 0.037)
    """
    z2 = float(ndtri((1 + confidence) / 2)) ** 2
    rate = successes / trials
    centre = (rate + z2 / (2 * trials)) / (1 + z2 / trials)
    spread = np.sqrt(rate * (1 - rate) / trials + z2 / (4 * trials**2)) * np.sqrt(z2)
    half = spread / (1 + z2 / trials)
    low = np.where(successes <= 0, 0.0, centre - half)
    return Limits(rate, low, np.where(successes >= trials, 1.0, centre + half))


def clopper_pearson(successes: Floats, trials: Floats, confidence: float = 0.95) -> Limits:
    """Give the exact interval of binomial rates; counts may be fractional.

    Parameters
    ----------
    successes, trials
        Counts, shape (n,).
    confidence
        Least coverage.

    Returns
    -------
    Limits

    References
    ----------
    Clopper and Pearson (1934), The use of confidence or fiducial limits.

    Examples
    --------
    >>> limits = clopper_pearson(np.array([0.0]), np.array([100.0]))
    >>> float(limits.low[0]), round(float(limits.high[0]), 4)
    (0.0, 0.0362)
    """
    x, n, tail = successes, trials, (1 - confidence) / 2
    rate = x / n
    low = np.where(x > 0, betaincinv(np.maximum(x, 1e-12), n - x + 1, tail), 0.0)
    high = np.where(x < n, betaincinv(x + 1, np.maximum(n - x, 1e-12), 1 - tail), 1.0)
    return Limits(rate, np.minimum(low, rate), np.maximum(high, rate))


def cross(excess: Callable[[Floats], Floats], inside: Floats, end: Floats) -> Floats:
    """Find where `excess` turns positive between a value inside and an end, many at once.

    Halvings first, then the Illinois rule, guarded to shrink the bracket.

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
    >>> cross(lambda x: x**2 - 2.0, np.zeros(2), np.array([2.0, 1.0])).round(6).tolist()
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
        # Illinois: an end that stays put twice counts half, so that it cannot stay for long.
        at_inside = np.where(~out, value, np.where(last > 0, at_inside / 2, at_inside))
        at_end = np.where(out, value, np.where(last < 0, at_end / 2, at_end))
        last = np.where(out, 1.0, -1.0)
        far, inside = np.where(out, middle, far), np.where(out, inside, middle)
        if float(np.max(np.abs(far - inside), initial=0.0, where=~free)) < TOLERANCE:
            break
    return np.where(free, end, inside)


def recall_limits(caught: Limits, missed: Limits) -> Limits:
    """Share caught / (caught + missed) of two independent totals with their limits, by MOVER.

    Parameters
    ----------
    caught
        Totals of what was found, with limits, shape (n_cells,).
    missed
        Totals of what was not.

    Returns
    -------
    Limits
        The share; NaN estimate and [0, 1] where both totals are 0.

    References
    ----------
    Zou and Donner (2008), Construction of confidence limits about effect measures.

    Examples
    --------
    >>> total = Limits(np.array([80.0]), np.array([70.0]), np.array([90.0]))
    >>> none = Limits(np.array([20.0]), np.array([15.0]), np.array([26.0]))
    >>> limits = recall_limits(total, none)
    >>> [round(float(v[0]), 3) for v in (limits.low, limits.estimate, limits.high)]
    [0.749, 0.8, 0.845]
    """
    both = caught.estimate + missed.estimate
    share = np.where(both > 0, caught.estimate / np.where(both > 0, both, 1), np.nan)

    def excess(r: Floats, d_missed: Floats, d_caught: Floats) -> Floats:
        gap = r * missed.estimate - (1 - r) * caught.estimate
        return np.asarray(np.abs(gap) - np.hypot(r * d_missed, (1 - r) * d_caught))

    inside = np.where(np.isnan(share), 0.5, share)
    up = missed.estimate - missed.low, caught.high - caught.estimate
    down = missed.high - missed.estimate, caught.estimate - caught.low
    low = cross(lambda r: excess(r, *down), inside, np.zeros_like(inside))
    high = cross(lambda r: excess(r, *up), inside, np.ones_like(inside))
    return Limits(
        share,
        np.where(np.isnan(share), 0.0, low),
        np.where(np.isnan(share), 1.0, high),
    )


def corrected_limits(judged: Limits, reviewers: Misjudgement) -> Limits:
    """Put right for reviewers' error a rate as they judged it, by MOVER.

    Parameters
    ----------
    judged
        Share that reviewers call errors, with limits, shape (n_cells,).
    reviewers
        How they err.

    Returns
    -------
    Limits

    Examples
    --------
    >>> def at(value, low, high):
    ...     return Limits(*(np.array([v]) for v in (value, low, high)))
    >>> limits = corrected_limits(at(0.2, 0.15, 0.25), Misjudgement(at(0.9, 0.9, 0.9), at(0, 0, 0)))
    >>> [round(float(v[0]), 3) for v in (limits.low, limits.estimate, limits.high)]
    [0.167, 0.222, 0.278]
    """
    found, alarm = reviewers.found, reviewers.alarm
    slope = found.estimate - alarm.estimate

    def excess(rate: Floats) -> Floats:
        gap = judged.estimate - alarm.estimate - slope * rate
        above = gap < 0
        d_judged = np.where(above, judged.high - judged.estimate, judged.estimate - judged.low)
        d_found = np.where(above, found.estimate - found.low, found.high - found.estimate)
        d_alarm = np.where(above, alarm.estimate - alarm.low, alarm.high - alarm.estimate)
        allowed = d_judged**2 + (rate * d_found) ** 2 + ((1 - rate) * d_alarm) ** 2
        return np.asarray(np.abs(gap) - np.sqrt(allowed))

    rate = np.clip((judged.estimate - alarm.estimate) / slope, 0, 1)
    low, high = cross(excess, rate, np.zeros_like(rate)), cross(excess, rate, np.ones_like(rate))
    return Limits(rate, low, high)
