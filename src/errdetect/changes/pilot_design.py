"""How many reviews a pilot needs: two halves, one with the change, compared by people."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from errdetect.errors import DataError, error_message
from errdetect.stats.intervals import critical_value

__all__ = ["Pilot", "plan_pilot", "reviews_per_arm"]

#: Significance level (two-sided) and power.
ALPHA, POWER = 0.05, 0.8
#: Correlation of errors within one account; an assumption until measured.
ICC = 0.05
#: Share of the intended effect that the pilot must be able to detect.
SEEN = 0.5


@dataclass(frozen=True)
class Pilot:
    """A pilot's size.

    Parameters
    ----------
    rate, aim
        Error rate now, and the one that the pilot must distinguish from it.
    reviews
        Reviews of each side; None where the slice has too few accounts for any number to be enough.
    days
        Days until each side has had so many decisions, at the slice's average volume; None unknown.
    accounts
        Accounts assumed in each half; None where items are split one by one.
    """

    rate: float
    aim: float
    reviews: int | None
    days: int | None
    accounts: int | None


def reviews_per_arm(rate: float, aim: float, *, alpha: float = ALPHA, power: float = POWER) -> int:
    """Count the reviews of each half needed to distinguish two error rates.

    Parameters
    ----------
    rate, aim
        The two rates, in [0, 1].
    alpha, power
        Significance level (two-sided), and power.

    Returns
    -------
    int

    Raises
    ------
    DataError
        Where the rates do not differ, or lie outside [0, 1].

    References
    ----------
    Fleiss, Levin and Paik (2003), Statistical methods for rates and proportions, equation 4.14
    (without continuity correction).

    Examples
    --------
    >>> reviews_per_arm(0.2, 0.1), reviews_per_arm(0.05, 0.04)
    (199, 6745)
    """
    if not (0 <= rate <= 1 and 0 <= aim <= 1) or rate == aim:
        got = f"{rate:g} and {aim:g}"
        do = "A pilot needs two different rates."
        raise DataError(error_message("rate and aim", "differ and lie in [0, 1]", got, do))
    mean = (rate + aim) / 2
    z_alpha, z_power = critical_value(1 - alpha), float(ndtri(power))
    spread = z_alpha * np.sqrt(2 * mean * (1 - mean))
    spread += z_power * np.sqrt(rate * (1 - rate) + aim * (1 - aim))
    return int(np.ceil((spread / (rate - aim)) ** 2))


def plan_pilot(
    rate: float,
    aim: float,
    *,
    per_day: float,
    n_accounts: int | None = None,
    shared: bool = False,
    icc: float = ICC,
) -> Pilot:
    """Size a pilot on one slice, of two sides: one with the change, one without.

    Parameters
    ----------
    rate
        The slice's error rate now.
    aim
        The intended rate; the pilot can detect half of that change.
    per_day
        Decisions a day in the slice; NaN where unknown.
    n_accounts
        Accounts in the slice, where these are split so that none gets both treatments; None: items.
    shared
        Whether both sides see every decision (two models, two groups of reviewers), or each half.
    icc
        Intraclass correlation of error within accounts.

    Returns
    -------
    Pilot

    Notes
    -----
    Reviews of one account carry less information than reviews of many: n reviews of a accounts are worth
    n / (1 + (n / a - 1) icc). Where even all accounts are too few, no number is enough.

    References
    ----------
    Donner and Klar (2000), Design and analysis of cluster randomization trials in health research.

    Examples
    --------
    >>> plan_pilot(0.3, 0.1, per_day=40.0)
    Pilot(rate=0.3, aim=0.2, reviews=294, days=15, accounts=None)
    >>> plan_pilot(0.3, 0.1, per_day=40.0, n_accounts=200).reviews
    328
    """
    seen = rate + SEEN * (aim - rate)
    need: int | None = reviews_per_arm(rate, seen)
    accounts = None
    if n_accounts is not None:
        accounts = max(n_accounts // 2, 1)
        need = _cluster_adjusted(need or 0, accounts, icc)
    days = None
    if need is not None and per_day > 0:
        days = int(np.ceil(need / (per_day if shared else per_day / 2)))
    return Pilot(rate=rate, aim=seen, reviews=need, days=days, accounts=accounts)


def _cluster_adjusted(simple: int, accounts: int, icc: float) -> int | None:
    if simple <= accounts:  # one review an account is enough
        return simple
    worth = 1 - simple * icc / accounts
    return int(np.ceil(simple * (1 - icc) / worth)) if worth > 0 else None
