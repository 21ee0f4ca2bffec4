"""A change compared with untouched policies.

The interval must hold whether the common trend adds (all rates rise by two points) or multiplies
(all rise by half), since that is unknown; and it must hold where policies drift on their own,
since one policy's random drift resembles an effect.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtri, stdtrit

from errdetect.stats.intervals import Interval, critical_value

__all__ = ["Contrast", "difference_in_differences", "look_confidence", "reviews_to_detect"]

Floats = NDArray[np.float64]

#: The power that planned reviews give to see the effect that is asked for.
POWER = 0.8


@dataclass(frozen=True)
class Contrast:
    """Effect of a change, in shares of 1.

    Parameters
    ----------
    estimate, low, high
        Rate after, less the rate expected without the change; below 0 is fewer errors.
    without
        The rate expected without the change.
    common
        How far the untouched units moved, on average.
    wander
        Standard deviation of the untouched units' own moves beyond chance; NaN with fewer than two.
    n_untouched
        How many untouched units there were.
    """

    estimate: float
    low: float
    high: float
    without: float
    common: float
    wander: float
    n_untouched: int


def look_confidence(look: int, confidence: float = 0.95) -> float:
    """Return the confidence of one look such that all looks together, however many, keep the total.

    Parameters
    ----------
    look
        1 for the first time that the effect is measured, 2 for the second, ...
    confidence
        Joint confidence of all looks.

    Returns
    -------
    float

    Notes
    -----
    Look k may spend 6 / (pi k)^2 of the error; all shares add up to 1 (the union bound).

    Examples
    --------
    >>> [round(look_confidence(k), 4) for k in (1, 2, 10)]
    [0.9696, 0.9924, 0.9997]
    """
    return 1 - (1 - confidence) * 6 / (np.pi * look) ** 2


def difference_in_differences(
    before: Interval,
    after: Interval,
    weight: Floats,
    *,
    confidence: float = 0.95,
    widen: float = 1.0,
) -> Contrast:
    """Compare the first unit's change with that of the others.

    Parameters
    ----------
    before, after
        Rates with limits of each unit, shape (1 + n_untouched,); the changed unit first.
    weight
        Weight of each untouched unit, shape (n_untouched,); review counts, not verdicts.
    confidence
        Nominal coverage of the limits given, and of the result.
    widen
        Factor on all half widths, for a higher confidence than that of the limits.

    Returns
    -------
    Contrast
        All NaN without untouched units.

    Notes
    -----
    The interval unites two: one for a trend that adds, one for a trend that multiplies; the
    estimate lies in the middle of theirs. Each combines the rates' limits by MOVER and adds the
    untouched units' own variance (Paule and Mandel's) with Student's quantile.

    References
    ----------
    Zou and Donner (2008) on MOVER; Higgins, Thompson and Spiegelhalter (2009) on prediction from
    random effects; Satterthwaite (1946); Roth and Sant'Anna (2023), When is parallel trends
    sensitive to functional form?

    Examples
    --------
    >>> def rates(*values):
    ...     v = np.array(values)
    ...     return Interval(v, v - 0.02, v + 0.02)
    >>> found = difference_in_differences(rates(0.2, 0.1, 0.1), rates(0.1, 0.1, 0.1), np.ones(2))
    >>> round(found.estimate, 3), round(found.low, 3), round(found.high, 3)
    (-0.1, -0.149, -0.051)
    """
    n = len(before.estimate) - 1
    if n < 1:
        unknown = float("nan")
        return Contrast(unknown, unknown, unknown, unknown, unknown, unknown, 0)
    share = weight / weight.sum()
    moved = _additive_contrast(before, after, share, confidence, widen)
    found = [moved]
    base = float(share @ before.estimate[1:])
    if base > 0 and after.estimate[1:].any():
        found.append(_multiplicative_contrast(before, after, share, confidence, widen))
    estimate = float(np.mean([f[0] for f in found]))
    return Contrast(
        estimate=estimate,
        low=max(min(f[1] for f in found), -1.0),
        high=min(max(f[2] for f in found), 1.0),
        without=float(after.estimate[0]) - estimate,
        common=float(share @ (after.estimate[1:] - before.estimate[1:])),
        wander=moved[3],
        n_untouched=n,
    )


def _additive_contrast(
    before: Interval, after: Interval, share: Floats, confidence: float, widen: float
) -> tuple[float, float, float, float]:
    """Estimate, low, high and drift where the common trend adds."""
    sign = np.concatenate([[1.0], -share])
    estimate = float(sign @ (after.estimate - before.estimate))
    own = after.estimate[1:] - before.estimate[1:]
    own = own - share @ own
    z = critical_value(confidence)
    wander = _estimate_between_unit_sd(
        own, _sampling_variance(after, z)[1:] + _sampling_variance(before, z)[1:], np.ones(len(own))
    )
    low, high = _half_widths(
        _mover_distances([(after, sign), (before, -sign)]), wander, share, confidence
    )
    return estimate, estimate - widen * low, estimate + widen * high, wander


def _multiplicative_contrast(
    before: Interval, after: Interval, share: Floats, confidence: float, widen: float
) -> tuple[float, float, float, float]:
    """Return the same for a multiplicative trend: the rate before, times the others' ratio."""
    base, now = float(share @ before.estimate[1:]), float(share @ after.estimate[1:])
    ratio = now / base
    start = float(before.estimate[0])
    without = min(start * ratio, 1.0)
    estimate = float(after.estimate[0]) - without
    # Linear in each rate: after - before * (others' after / others' before).
    first = np.zeros(len(share) + 1)
    first[0] = 1.0
    by_after = first - np.concatenate([[0.0], share]) * start / base
    by_before = np.concatenate([[-ratio], share * start * ratio / base])
    own = after.estimate[1:] - ratio * before.estimate[1:]
    # A rare rate's own level is uncertain, so levels shrink half-way to the common one.
    level = 0.5 * (before.estimate[1:] + base) * ratio
    z = critical_value(confidence)
    variance = _sampling_variance(after, z)[1:] + ratio**2 * _sampling_variance(before, z)[1:]
    wander = _estimate_between_unit_sd(own, variance, level) * without
    mover = _mover_distances([(after, by_after), (before, by_before)])
    low, high = _half_widths(mover, wander, share, confidence)
    return estimate, estimate - widen * low, estimate + widen * high, wander


def _sampling_variance(limits: Interval, z: float) -> Floats:
    """Return the sampling variance implied by limits."""
    return np.asarray(((limits.high - limits.low) / (2 * z)) ** 2)


def _mover_distances(terms: list[tuple[Interval, Floats]]) -> tuple[float, float]:
    """Distances to the lower and upper limit of a sum of rates times factors."""
    low = high = 0.0
    for limits, factor in terms:
        down, up = limits.estimate - limits.low, limits.high - limits.estimate
        low += float((np.where(factor > 0, down, up) ** 2 * factor**2).sum())
        high += float((np.where(factor > 0, up, down) ** 2 * factor**2).sum())
    return float(np.sqrt(low)), float(np.sqrt(high))


def _estimate_between_unit_sd(own: Floats, variance: Floats, level: Floats) -> float:
    """Return the standard deviation, in units of level, of moves beyond their sampling variance."""
    if len(own) < 2:
        return float("nan")
    free = len(own) - 1

    def excess(tau2: float) -> float:
        return float((own**2 / (variance + tau2 * level**2 + 1e-15)).sum()) - free

    if excess(0.0) <= 0:
        return 0.0
    top = float((own**2 / level**2).sum()) + 1e-12
    return float(np.sqrt(brentq(excess, 0.0, top)))


def _half_widths(
    mover: tuple[float, float], wander: float, share: Floats, confidence: float
) -> tuple[float, float]:
    """Add the drift of the changed unit and of the others' mean to the sampling distances.

    The drift is itself estimated, on n_untouched - 1 degrees of freedom; Satterthwaite's rule
    gives those of the sum.
    """
    if not wander > 0:
        return mover
    z = critical_value(confidence)
    own = wander**2 * float(1 + (share**2).sum())
    whole = (sum(mover) / 2 / z) ** 2 + own
    t = float(stdtrit((len(share) - 1) * (whole / own) ** 2, (1 + confidence) / 2))
    low, high = (t / z * float(np.hypot(side, z * np.sqrt(own))) for side in mover)
    return low, high


def reviews_to_detect(
    effect: float,
    before: tuple[float, float, int],
    after: tuple[float, float, int],
    other_half: float,
    *,
    confidence: float = 0.95,
) -> tuple[int, int] | None:
    """Count the further reviews needed to detect an effect of this size, before and after.

    Parameters
    ----------
    effect
        The effect to detect, in shares; its sign does not matter.
    before, after
        Rate, half width of its interval, and reviews so far, of the changed unit; a half width or
        rate may be NaN where nothing is known: then the worst case, a rate of one half.
    other_half
        Half width that the untouched units and their drift leave.
    confidence
        Nominal coverage.

    Returns
    -------
    tuple or None
        Further reviews of decisions before and after the change (as many each), to see it with a
        probability of 80 %; None where no number is enough.

    Examples
    --------
    >>> reviews_to_detect(0.1, (0.2, 0.08, 100), (0.2, 0.08, 100), 0.01)
    (167, 167)
    """
    z = critical_value(confidence)
    room = (effect / (z + float(ndtri(POWER)))) ** 2 - (other_half / z) ** 2
    if not room > 0:
        return None
    worth = [_variance_per_review(*side, z) for side in (before, after)]
    have = [before[2], after[2]]

    def over(more: float) -> float:
        return sum(w / max(n + more, 1e-9) for w, n in zip(worth, have, strict=True)) - room

    if over(0.0) <= 0:
        return 0, 0
    most = 2 * sum(worth) / room + 1
    more = int(np.ceil(brentq(over, 0.0, most)))
    return more, more


def _variance_per_review(rate: float, half: float, n: int, z: float) -> float:
    """Variance of one review: from the design, or binomial."""
    seen = n * (half / z) ** 2 if n and half == half else 0.0
    p = rate if rate == rate else 0.5
    p = (p * n + 0.5) / (n + 1)  # none seen does not mean none
    return max(seen, p * (1 - p))
