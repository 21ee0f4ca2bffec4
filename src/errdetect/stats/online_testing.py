"""False discoveries over a series of reports: the level that each next report may use."""

from collections.abc import Sequence

import numpy as np

__all__ = ["online_level"]


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
