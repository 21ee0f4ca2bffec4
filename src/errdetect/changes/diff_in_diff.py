"""A change compared with untouched policies.

The interval must hold whether the common trend adds (all rates rise by two points) or multiplies
(all rise by half), since that is unknown; and it must hold where policies drift on their own,
since one policy's random drift resembles an effect.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

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
        Standard deviation of the untouched units' own moves beyond chance, its posterior mean; NaN
        with fewer than two.
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
    untouched units' own drift, averaged over what their moves leave possible.

    References
    ----------
    Zou and Donner (2008) on MOVER; Higgins, Thompson and Spiegelhalter (2009) on prediction from
    random effects; Gelman (2006) on priors of a standard deviation; Roth and Sant'Anna (2023), When is parallel trends
    sensitive to functional form?

    Examples
    --------
    >>> def rates(*values):
    ...     v = np.array(values)
    ...     return Interval(v, v - 0.02, v + 0.02)
    >>> found = difference_in_differences(rates(0.2, 0.1, 0.1), rates(0.1, 0.1, 0.1), np.ones(2))
    >>> round(found.estimate, 3), round(found.low, 3), round(found.high, 3)
    (-0.1, -0.183, -0.017)
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
    z = critical_value(confidence)
    base = float(share @ before.estimate[1:])
    common = float(share @ own)
    expected = 0.5 * (before.estimate[1:] + base)
    variance = _sampling_variance(after, z)[1:] * _variance_ratio(
        after, expected + common
    ) + _sampling_variance(before, z)[1:] * _variance_ratio(before, expected)
    typical = max(base, _RAREST)
    drift = _drift_posterior(own, variance, np.ones(len(own)), typical)
    mover = _mover_distances([(after, sign), (before, -sign)])
    low, high = _half_widths(mover, drift, share, confidence)
    return estimate, estimate - widen * low, estimate + widen * high, drift.mean


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
    variance = _sampling_variance(after, z)[1:] * _variance_ratio(after, level)
    variance += (
        ratio**2
        * _sampling_variance(before, z)[1:]
        * _variance_ratio(before, level / max(ratio, 1e-9))
    )
    drift = _drift_posterior(own, variance, level, 1.0).times(without)
    mover = _mover_distances([(after, by_after), (before, by_before)])
    low, high = _half_widths(mover, drift, share, confidence)
    return estimate, estimate - widen * low, estimate + widen * high, drift.mean


def _sampling_variance(limits: Interval, z: float) -> Floats:
    """Return the sampling variance implied by limits."""
    return np.asarray(((limits.high - limits.low) / (2 * z)) ** 2)


def _variance_ratio(limits: Interval, expected: Floats) -> Floats:
    """Return the untouched units' binomial variance at an expected rate over that at the own one.

    A rate that came out high also has a high variance of its own, and counts as chance what is
    drift. At the expected rate it does not.
    """
    middle = (2 * limits.estimate + limits.low + limits.high)[1:] / 4
    own, even = (np.clip(rate, _RAREST, 1 - _RAREST) for rate in (middle, expected))
    return np.asarray(even * (1 - even) / (own * (1 - own)))


def _mover_distances(terms: list[tuple[Interval, Floats]]) -> tuple[float, float]:
    """Distances to the lower and upper limit of a sum of rates times factors."""
    low = high = 0.0
    for limits, factor in terms:
        down, up = limits.estimate - limits.low, limits.high - limits.estimate
        low += float((np.where(factor > 0, down, up) ** 2 * factor**2).sum())
        high += float((np.where(factor > 0, up, down) ** 2 * factor**2).sum())
    return float(np.sqrt(low)), float(np.sqrt(high))


@dataclass(frozen=True)
class _Drift:
    """What the untouched units say of their standard deviation beyond chance: values, weights."""

    sd: Floats
    weight: Floats

    @property
    def mean(self) -> float:
        """The mean standard deviation; NaN where it is unknown."""
        return float(self.weight @ self.sd) if len(self.sd) else float("nan")

    def times(self, factor: float) -> "_Drift":
        """Return the same in other units."""
        return _Drift(self.sd * factor, self.weight)


_RAREST = 1e-3
_PRIOR_SD = (
    0.4  # a unit's own move, as a share of its rate, before anything is known: .2 to .5 occur
)
_PRIOR_SD_OF_FEW, _SEVERAL = 0.08, 5
_GRID = np.linspace(0.0, 8.0, 97)  # in units of the prior's scale
#: Rates that are themselves estimated show a sixth too little drift (measured, 8 and 20 units).
_DRIFT_FACTOR = 1.18


def _drift_posterior(own: Floats, variance: Floats, level: Floats, typical: float) -> _Drift:
    """Weigh the standard deviations of the units' moves, in units of level, by their likelihood.

    A point estimate from few units is often zero where they do drift, and an interval built on it
    misses. So every value counts by its restricted likelihood and a half-normal prior whose scale is a
    share of a `typical` rate (Gelman 2006, Bayesian Analysis 1, 515-534).
    """
    if len(own) < 2:
        return _Drift(np.empty(0), np.empty(0))
    # Of few units the sampling error rules; a wide prior would rule out any verdict.
    scale = _PRIOR_SD if len(own) >= _SEVERAL else _PRIOR_SD_OF_FEW
    sd = _GRID * scale * typical
    spread = variance + np.square(sd[:, None] * level) + 1e-15
    precision = (level**2 / spread).sum(axis=1)
    common = (level * own / spread).sum(axis=1) / precision
    misfit = ((own - common[:, None] * level) ** 2 / spread).sum(axis=1)
    log_weight = -0.5 * (np.log(spread).sum(axis=1) + np.log(precision) + misfit) - np.log1p(
        _GRID**2
    )
    weight = np.exp(log_weight - log_weight.max())
    return _Drift(sd, weight / weight.sum())


def _half_widths(
    mover: tuple[float, float], drift: _Drift, share: Floats, confidence: float
) -> tuple[float, float]:
    """Add the drift of the changed unit and of the others' mean to the sampling distances.

    The limits leave the wanted error beyond them on average over what the drift may be.
    """
    if not len(drift.sd):
        return mover
    z = critical_value(confidence)
    own = _DRIFT_FACTOR * drift.sd * float(1 + (share**2).sum()) ** 0.5

    def distance(side: float) -> float:
        spread = np.hypot(side / z, own) + 1e-12

        def beyond(reach: float) -> float:
            return float(drift.weight @ ndtr(-reach / spread)) - (1 - confidence) / 2

        return float(brentq(beyond, 0.0, float(z * spread.max()) * 1.001))

    return distance(mover[0]), distance(mover[1])


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
