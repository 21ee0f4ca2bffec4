"""Sums by group and cut points between groups."""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["quantile_edges", "sum_by_group"]

Floats = npt.NDArray[np.float64]


def sum_by_group(group: npt.NDArray[np.int64], values: npt.NDArray[Any], n: int) -> Floats:
    """Add up `values` by `group`.

    Parameters
    ----------
    group
        Shape (m,), in [0, n).
    values
        Shape (m,), numbers or bools.
    n
        Number of groups.

    Returns
    -------
    numpy.ndarray
        Shape (n,); 0 for a group without members.

    Examples
    --------
    >>> sum_by_group(np.array([0, 2, 2]), np.array([1.0, 2.0, 3.0]), 4)
    array([1., 0., 5., 0.])
    """
    added: Floats = np.bincount(group, weights=values, minlength=n).astype(np.float64)
    return added


def quantile_edges(values: Floats, bins: int) -> Floats:
    """Return the cut points that split the finite values into bins of equal size.

    Parameters
    ----------
    values
        Shape (m,); values that are missing or infinite are left out.
    bins
        Number of bins, at least 1.

    Returns
    -------
    numpy.ndarray
        Rising and distinct, at most `bins - 1`; none without finite values.

    Examples
    --------
    >>> quantile_edges(np.array([1.0, 2.0, 3.0, 4.0, np.nan]), 2)
    array([2.5])
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return np.empty(0)
    edges: Floats = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1]))
    return edges
