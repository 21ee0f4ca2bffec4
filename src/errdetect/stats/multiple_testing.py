"""Multiple testing: q-values from p-values, to control the false discovery rate."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = [
    "adaptive_q_values",
    "benjamini_hochberg",
    "critical_shares",
    "online_level",
]

Floats = npt.NDArray[np.float64]

_MIDDLE = 0.5  # p-values above are assumed to come from true null hypotheses


def benjamini_hochberg(p: Floats, prior: Floats | None = None) -> Floats:
    """Return q-values: the false discovery rate at which each test would be a discovery.

    Parameters
    ----------
    p
        Shape (k,), in [0, 1].
    prior
        Shape (k,), above 0: weight of each test, from other data; None for equal weights.

    Returns
    -------
    numpy.ndarray
        Shape (k,), in [0, 1]. The tests with q <= a are the discoveries at a rate of a.

    References
    ----------
    Benjamini and Hochberg (1995), JRSS B 57, 289-300; with weights that do not depend on the
    p-values the rate is controlled as well (Genovese, Roeder and Wasserman 2006, Biometrika 93, 509-524).

    Examples
    --------
    >>> benjamini_hochberg(np.array([0.01, 0.04, 0.5])).round(3).tolist()
    [0.03, 0.06, 0.5]
    """
    if prior is not None and len(p):
        p = p / (prior / prior.mean())
    order = np.argsort(p, kind="stable")
    ranked = p[order] * len(p) / np.arange(1, len(p) + 1)
    q = np.empty(len(p))
    q[order] = np.minimum(np.minimum.accumulate(ranked[::-1])[::-1], 1.0)
    return q


def adaptive_q_values(p: Floats, prior: Floats | None = None) -> Floats:
    """Return q-values with the share of true nulls estimated from the high p-values.

    Parameters
    ----------
    p, prior
        As for `benjamini_hochberg`.

    Returns
    -------
    numpy.ndarray
        Shape (k,), never above Benjamini and Hochberg's.

    Notes
    -----
    Where most candidates are true, as after a search, Benjamini and Hochberg's bound is far below
    the level asked for.

    References
    ----------
    Storey, Taylor and Siegmund (2004), JRSS B 66, 187-205.

    Examples
    --------
    >>> adaptive_q_values(np.array([0.01, 0.02, 0.03, 0.04, 0.06, 0.9])).round(3).tolist()
    [0.04, 0.04, 0.04, 0.04, 0.048, 0.6]
    """
    return benjamini_hochberg(p, prior) * _null_share(p)


def critical_shares(p: Floats, prior: Floats | None = None) -> Floats:
    """Return each test's share of the level: with k discoveries, p <= level x k x share is one.

    Parameters
    ----------
    p, prior
        As for `adaptive_q_values`.

    Returns
    -------
    numpy.ndarray
        Shape (k,).

    Examples
    --------
    >>> critical_shares(np.array([0.01, 0.02, 0.03, 0.9])).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    if not len(p):
        return np.empty(0)
    weight = np.ones(len(p)) if prior is None else prior / prior.mean()
    return np.asarray(weight / (len(p) * _null_share(p)))


def _null_share(p: Floats) -> float:
    """Estimate the share of true null hypotheses from the high p-values."""
    share = (1 + int((p > _MIDDLE).sum())) / max(len(p) * (1 - _MIDDLE), 1)
    return min(share, 1.0)


def online_level(discoveries: Sequence[int], level: float = 0.05) -> float:
    """Return the false discovery rate at which the next report tests, so that all keep `level`.

    Parameters
    ----------
    discoveries
        How many findings each earlier report confirmed, in order.
    level
        False discovery rate over all reports together.

    Returns
    -------
    float
        In (0, level].

    Notes
    -----
    LORD++ (Ramdas, Yang, Wainwright and Jordan 2017, NeurIPS 30), each report one batch of tests:
    the k-th report spends 6 / (pi k)^2 of the level, and every discovery but the first earns the
    level again, spent in the same way from the next report on. Without discoveries all reports
    together, however many, spend the level once; then this holds for dependent tests, too.

    Examples
    --------
    >>> [round(online_level([0] * k), 4) for k in range(3)]
    [0.0304, 0.0076, 0.0034]
    >>> online_level([0, 0, 4])
    0.05
    """
    counts = np.asarray(discoveries, dtype=np.float64)
    earned = counts.copy()
    first = np.flatnonzero(counts > 0)
    if len(first):
        earned[first[0]] -= 1
    ages = np.arange(len(counts) + 1, 0, -1)
    # The k-th report spends this share of what was earned: all shares add up to 1.
    shares = 6 / (np.pi * ages) ** 2
    spent = float(shares[0] + earned @ shares[1:])
    return float(level * min(spent, 1.0))
