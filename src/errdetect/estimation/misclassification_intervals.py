"""Correcting a rate for reviewer error, and recall from two totals, each with its interval."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from errdetect.stats.intervals import Interval, find_roots

__all__ = [
    "Misclassification",
    "corrected_interval",
    "mix_intervals",
    "recall_interval",
    "widen_interval",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Misclassification:
    """Reviewers' error rates in each cell, with limits; arrays of shape (n_cells,).

    Parameters
    ----------
    found
        Share of errors that reviewers call errors (sensitivity).
    alarm
        Share of correct decisions that reviewers call errors (1 - specificity).
    """

    found: Interval
    alarm: Interval


def recall_interval(caught: Interval, missed: Interval) -> Interval:
    """Return caught / (caught + missed) of two independent totals with its limits, by MOVER.

    Parameters
    ----------
    caught
        Totals of found violations, with limits, shape (n_cells,).
    missed
        Totals of missed ones.

    Returns
    -------
    Interval
        The share; NaN estimate and [0, 1] where both totals are 0.

    References
    ----------
    Zou and Donner (2008), Construction of confidence limits about effect measures.

    Examples
    --------
    >>> total = Interval(np.array([80.0]), np.array([70.0]), np.array([90.0]))
    >>> none = Interval(np.array([20.0]), np.array([15.0]), np.array([26.0]))
    >>> limits = recall_interval(total, none)
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
    low = find_roots(lambda r: excess(r, *down), inside, np.zeros_like(inside))
    high = find_roots(lambda r: excess(r, *up), inside, np.ones_like(inside))
    return Interval(
        share,
        np.where(np.isnan(share), 0.0, low),
        np.where(np.isnan(share), 1.0, high),
    )


def corrected_interval(judged: Interval, reviewers: Misclassification) -> Interval:
    """Correct a rate of reviewers' verdicts for reviewer error, by MOVER.

    Parameters
    ----------
    judged
        Share that reviewers call errors, with limits, shape (n_cells,).
    reviewers
        Their error rates.

    Returns
    -------
    Interval

    Examples
    --------
    >>> def at(value, low, high):
    ...     return Interval(*(np.array([v]) for v in (value, low, high)))
    >>> limits = corrected_interval(at(0.2, 0.15, 0.25), Misclassification(at(0.9, 0.9, 0.9), at(0, 0, 0)))
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
    low, high = (
        find_roots(excess, rate, np.zeros_like(rate)),
        find_roots(excess, rate, np.ones_like(rate)),
    )
    return Interval(rate, low, high)


def widen_interval(interval: Interval, spread: Floats, fill: Floats | None = None) -> Interval:
    """Widen intervals of rates by an independent uncertainty, then by what is unknown altogether.

    Parameters
    ----------
    interval
        Rates with limits, shape (n_cells,).
    spread
        Half width of the independent part, added in quadrature.
    fill
        How far each limit moves beyond that, down and up, shape (2, n_cells); None for not at all.

    Examples
    --------
    >>> rate = Interval(np.array([0.5]), np.array([0.46]), np.array([0.54]))
    >>> wide = widen_interval(rate, np.array([0.03]), np.array([[0.0], [0.1]]))
    >>> wide.low.round(2).tolist(), wide.high.round(2).tolist()
    ([0.45], [0.65])
    """
    down, up = (0.0, 0.0) if fill is None else fill
    return Interval(
        interval.estimate,
        np.maximum(
            interval.estimate - np.hypot(interval.estimate - interval.low, spread) - down, 0.0
        ),
        np.minimum(
            interval.estimate + np.hypot(interval.high - interval.estimate, spread) + up, 1.0
        ),
    )


def mix_intervals(one: Interval, other: Interval, share: Floats | float) -> Interval:
    """Mix two intervals of the same rate: if both hold, so does the mixture.

    Parameters
    ----------
    one, other
        Rates with limits, shape (n_cells,).
    share
        Weight of the other, in [0, 1]; an interval with weight 0 may be NaN.

    Examples
    --------
    >>> def at(value, low, high):
    ...     return Interval(*(np.array([v]) for v in (value, low, high)))
    >>> mixed = mix_intervals(at(0.2, 0.1, 0.3), at(0.4, 0.2, 0.8), 0.5)
    >>> [round(float(v[0]), 2) for v in mixed]
    [0.3, 0.15, 0.55]
    """
    weight = np.asarray(share, dtype=np.float64)

    def mix(a: Floats, b: Floats) -> Floats:
        mixed = (1 - weight) * a + weight * b
        return np.where(weight <= 0, a, np.where(weight >= 1, b, mixed))

    return Interval(*(mix(a, b) for a, b in zip(one, other, strict=True)))
