"""Rates with intervals, also where items were seen several times or counts are fractional."""

import numpy as np
import numpy.typing as npt

from errdetect.labels.counting import sums

__all__ = ["clustered_rates", "wilson"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_Z = 1.959963984540054  # 95 %


def wilson(rate: Floats, n: Floats) -> tuple[Floats, Floats]:
    """Compute the 95 % limits of rates seen in `n` trials.

    Parameters
    ----------
    rate
        Shape (k,), in [0, 1]; NaN stays NaN.
    n
        Shape (k,), at least 0, may be fractional; 0 trials say nothing: the limits are 0 and 1.

    Returns
    -------
    tuple of numpy.ndarray
        Lower and upper limits, shape (k,).

    Notes
    -----
    Wilson (1927), JASA 22, 209-212.

    Examples
    --------
    >>> low, high = wilson(np.array([0.0, 0.5]), np.array([100.0, 0.0]))
    >>> low.round(4), high.round(4)
    (array([0., 0.]), array([0.037, 1.   ]))
    """
    share = _Z**2 / (n + _Z**2)  # of the prior half
    centre = rate * (1 - share) + 0.5 * share
    half = np.sqrt(rate * (1 - rate) * n + _Z**2 / 4) * _Z / (n + _Z**2)
    return np.clip(centre - half, 0, rate), np.clip(centre + half, rate, 1)


def clustered_rates(values: Floats, who: Ints, item: Ints, n: int) -> tuple[Floats, Floats]:
    """Average `values` by `who` and say how many independent items each mean is worth.

    Several answers about one item rise and fall together with its difficulty, so they count for
    less than as many items.

    Parameters
    ----------
    values
        Shape (m,), in [0, 1].
    who
        Shape (m,), whose value it is, in [0, n).
    item
        Shape (m,), what it is about.
    n
        How many there are of `who`.

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
    trials = sums(who, np.ones(len(who)), n)
    mean = np.full(n, np.nan)
    np.divide(sums(who, values, n), trials, out=mean, where=trials > 0)
    pair = np.column_stack([who, item])
    cells, cell = np.unique(pair, axis=0, return_inverse=True)
    swing = sums(cell, values - mean[who], len(cells)) ** 2
    n_items = sums(cells[:, 0], np.ones(len(cells)), n)
    scatter = sums(cells[:, 0], swing, n)
    worth = n_items.copy()  # where all answers are equal, nothing tells more than the items do
    binomial = mean * (1 - mean) * trials**2
    np.divide(binomial, scatter, out=worth, where=(scatter > 0) & (trials > n_items))
    return mean, np.minimum(worth, trials)
