"""Sequential tests: evidence that a rate has risen, valid at every look."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from errdetect.stats.intervals import clopper_pearson

__all__ = [
    "ReferenceRate",
    "RiseEvidence",
    "e_benjamini_hochberg",
    "reference_rate",
    "rise_evidence",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

#: Days in the year of the budget of false alarms, and days from one restart to the next.
YEAR_DAYS, RESTART_DAYS = 364, 7
#: How many times the limit the rate may have risen to, with the weight of each bet.
_RATIOS = np.array([1.25, 1.5, 2.0, 3.0, 6.0])
_PRIOR = np.array([0.1, 0.2, 0.4, 0.2, 0.1])
#: Share of the capital that one cluster may lose by plan, and at most where it is heavier than any before.
_PLANNED_LOSS, _LARGEST_LOSS = 0.9, 0.99
_MOST = 1e200  # evidence is not counted beyond: it would overflow


class ReferenceRate(NamedTuple):
    """A rate in the reference period, from a designed sample.

    Parameters
    ----------
    rate, upper
        The rate and its one-sided upper limit; NaN without draws.
    n
        Draws.
    mean_weight, weight_spread
        Mean of 1/inclusion probability, and its mean square over the squared mean (1: all equal).
    largest
        The largest weight of a cluster.
    """

    rate: float
    upper: float
    n: int
    mean_weight: float
    weight_spread: float
    largest: float = 0.0


@dataclass(frozen=True)
class RiseEvidence:
    """Evidence that a rate has risen above a limit, by day; arrays of shape (n_days,).

    Parameters
    ----------
    e_value
        Passes 1/a in at most a share `a` of years, unless the rate has risen; a seventh without evidence.
    start
        First day of the restart that holds most of the evidence: about when the rate rose.
    """

    e_value: Floats
    start: Ints

    def first_above(self, threshold: float) -> int | None:
        """Return the first day with at least this much evidence; None if there is none."""
        days = np.flatnonzero(self.e_value >= threshold)
        return int(days[0]) if len(days) else None


def reference_rate(
    error: Floats, weight: Floats, cluster: Ints, *, miss: float = 0.01
) -> ReferenceRate:
    """Estimate a reference rate and its upper limit from a designed sample.

    Parameters
    ----------
    error
        Shape (n,), in [0, 1].
    weight
        1/inclusion probability, shape (n,).
    cluster
        Draws with equal numbers share their fate, shape (n,).
    miss
        Probability that the limit may lie below the true rate.

    Returns
    -------
    ReferenceRate

    References
    ----------
    Korn and Graubard (1998), Survey Methodology 24, 193-201: Clopper-Pearson limits at the
    effective sample size.

    Examples
    --------
    >>> found = reference_rate(np.repeat([1.0, 0.0], [5, 95]), np.ones(100), np.arange(100))
    >>> round(found.rate, 3), round(found.upper, 3)
    (0.05, 0.126)
    """
    n = len(error)
    if not n:
        return ReferenceRate(np.nan, np.nan, 0, np.nan, np.nan)
    total = float(weight.sum())
    rate = float(weight @ error) / total
    spread = n * float(weight @ weight) / total**2
    sums = np.bincount(cluster, weight * (error - rate))
    variance = float(sums @ sums) / total**2
    size = n / spread
    if variance > 0:
        size = min(float(n), rate * (1 - rate) / variance)
    trials = np.array([max(size, 1.0)])
    upper = float(clopper_pearson(trials * rate, trials, 1 - 2 * miss).high[0])
    largest = float(np.bincount(cluster, weight).max())
    return ReferenceRate(rate, upper, n, total / n, spread, largest)


def rise_evidence(
    error: Floats,
    weight: Floats,
    day: Ints,
    cluster: Ints,
    *,
    limit: float,
    reference: ReferenceRate,
    n_days: int,
) -> RiseEvidence:
    """Bet, draw by draw, that a rate lies above a limit; restart every week, with a budget a year.

    While the rate is at most `limit`, an alarm at e >= 1/a comes in at most a share `a` of years,
    however often one looks. Only full weeks count: where the rate follows the weekday (doubtful draws
    on Mondays, experts who settle flags on Fridays), bets of single days would grow on the bad ones.
    Each day ends the weeks of one of seven phases, which have a seventh of the capital each. Each
    restart gets an equal part of the year's capital, so that evidence from before a change does not
    weigh on it.

    Parameters
    ----------
    error
        The answer on each draw, shape (n,), in [0, 1].
    weight
        1/inclusion probability, shape (n,).
    day
        Day on which each answer became known, shape (n,), in [0, n_days).
    cluster
        Draws of a day with equal numbers share their fate and are one bet, shape (n,).
    limit
        Highest rate without an alarm, in (0, 1).
    reference
        Its weights scale the bets. Stakes depend on earlier weights only: a smaller stake on a heavy
        draw itself would favour light ones, which in an audit of likely errors err more.
    n_days
        Days to account for.

    Returns
    -------
    RiseEvidence

    References
    ----------
    Waudby-Smith and Ramdas (2024), JRSS B 86, 1-27 (bets on bounded means); Shin, Ramdas and
    Rinaldo (2024), New England Journal of Statistics in Data Science 2, 229-260 (restarts).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> day = np.repeat(np.arange(56), 40)
    >>> error = (rng.random(len(day)) < np.where(day < 28, 0.05, 0.15)).astype(float)
    >>> reference = ReferenceRate(0.05, 0.06, 2000, 1.0, 1.0)
    >>> found = rise_evidence(error, np.ones(len(day)), day, np.arange(len(day)), limit=0.06,
    ...                       reference=reference, n_days=56)
    >>> found.first_above(100.0), int(found.start[-1])
    (33, 28)
    """
    gains = _daily_gains(error, weight, day, cluster, limit, reference, n_days)
    value, start = np.full(n_days, 1.0 / RESTART_DAYS), np.zeros(n_days, np.int64)
    weeks = YEAR_DAYS // RESTART_DAYS
    for phase in range(min(RESTART_DAYS, n_days)):
        capital = np.zeros((weeks, len(_RATIOS)))
        for number, first in enumerate(range(phase, n_days - RESTART_DAYS + 1, RESTART_DAYS)):
            week = number % weeks
            if week == 0:
                capital[:] = 0.0
            capital[week] = _PRIOR / weeks
            gain = gains[first : first + RESTART_DAYS].sum(axis=0)
            capital = np.minimum(capital * np.exp(np.minimum(gain, 400.0)), _MOST)
            own, last = capital.sum(axis=1), first + RESTART_DAYS - 1
            value[last] = (own.sum() + (weeks - 1 - week) / weeks) / RESTART_DAYS
            start[last] = first - RESTART_DAYS * (week - int(own.argmax()))
    return RiseEvidence(value, start)


def _daily_gains(
    error: Floats,
    weight: Floats,
    day: Ints,
    cluster: Ints,
    limit: float,
    reference: ReferenceRate,
    n_days: int,
) -> Floats:
    """Return the logarithm of what each bet multiplies its capital by, shape (n_days, n_ratios)."""
    pairs, bet = np.unique(np.column_stack([day, cluster]), axis=0, return_inverse=True)
    bet = bet.reshape(-1)
    share = weight / (reference.mean_weight if reference.mean_weight > 0 else 1.0)
    size = np.bincount(bet, share, len(pairs)).astype(np.float64)
    heaviest = _heaviest_before(size, pairs[:, 0], reference, n_days)[pairs[:, 0]]
    excess = np.bincount(bet, share * (error - limit), len(pairs))
    targets = np.minimum(_RATIOS * limit, (1 + limit) / 2)
    spread = reference.weight_spread if reference.weight_spread >= 1 else 1.0
    stakes = (targets - limit) / (limit * (1 - limit)) / spread
    gains = np.zeros((n_days, len(_RATIOS)))
    for number, stake in enumerate(stakes):
        held = np.minimum(stake, _PLANNED_LOSS / np.maximum(limit * heaviest, 1e-300))
        result = np.log1p(np.maximum(held * excess, -_LARGEST_LOSS))
        gains[:, number] = np.bincount(pairs[:, 0], result, n_days)
    return gains


def _heaviest_before(size: Floats, day: Ints, reference: ReferenceRate, n_days: int) -> Floats:
    """Return the heaviest cluster before each day, in the reference or since, shape (n_days,)."""
    own = np.zeros(n_days)
    np.maximum.at(own, day, size)
    known = reference.largest / reference.mean_weight if reference.mean_weight > 0 else 0.0
    first = max(known, 1.0)
    return np.maximum.accumulate(np.concatenate([[first], own[:-1]]))


def e_benjamini_hochberg(e_values: Floats, level: float = 0.05) -> Bools:
    """Return which e-values are discoveries, whatever their dependence.

    Parameters
    ----------
    e_values
        Shape (k,), at least 0.
    level
        The false discovery rate.

    Returns
    -------
    numpy.ndarray
        Shape (k,).

    References
    ----------
    Wang and Ramdas (2022), JRSS B 84, 822-852.

    Examples
    --------
    >>> e_benjamini_hochberg(np.array([70.0, 35.0, 1.0]), 0.05).tolist()
    [True, True, False]
    """
    k = len(e_values)
    order = np.argsort(-e_values, kind="stable")
    enough = e_values[order] * np.arange(1, k + 1) >= k / level
    found = np.zeros(k, dtype=bool)
    if enough.any():
        found[order[: int(np.flatnonzero(enough)[-1]) + 1]] = True
    return found
