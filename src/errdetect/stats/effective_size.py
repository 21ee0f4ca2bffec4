"""Kish's effective sample size: the number of equally weighted rows with the same precision."""

from typing import Any

import numpy as np
import numpy.typing as npt

from errdetect.stats.group_sums import sum_by_group

__all__ = ["effective_size", "effective_size_from_sums", "effective_sizes"]

Floats = npt.NDArray[np.float64]


def effective_size_from_sums(total: Floats, squares: Floats) -> Floats:
    """Return effective sample sizes from sums of weights and of their squares.

    Parameters
    ----------
    total
        Shape (k,), the sums of weights.
    squares
        Shape (k,), the sums of squared weights.

    Returns
    -------
    numpy.ndarray
        Shape (k,); 0 where there is no weight.

    References
    ----------
    Kish (1965), Survey Sampling, section 11.7.

    Examples
    --------
    >>> effective_size_from_sums(np.array([3.0, 0.0]), np.array([5.0, 0.0]))
    array([1.8, 0. ])
    """
    sizes: Floats = total**2 / np.where(squares > 0, squares, 1)
    return sizes


def effective_sizes(weight: Floats, group: npt.NDArray[np.int64], n: int) -> Floats:
    """Return the effective sample size of each group's weights.

    Parameters
    ----------
    weight
        Shape (m,), at least 0.
    group
        Shape (m,), in [0, n).
    n
        Number of groups.

    Returns
    -------
    numpy.ndarray
        Shape (n,); 0 for a group without weight.

    Examples
    --------
    >>> effective_sizes(np.array([1.0, 1.0, 1.0, 2.0]), np.array([0, 0, 1, 1]), 3)
    array([2. , 1.8, 0. ])
    """
    return effective_size_from_sums(
        sum_by_group(group, weight, n), sum_by_group(group, weight**2, n)
    )


def effective_size(weight: npt.NDArray[Any]) -> float:
    """Return the effective sample size of weights.

    Parameters
    ----------
    weight
        Shape (m,), at least 0.

    Returns
    -------
    float
        From 1 to m; 0 without weight.

    Examples
    --------
    >>> effective_size(np.array([1.0, 1.0, 1.0])), effective_size(np.array([1.0, 2.0]))
    (3.0, 1.8)
    """
    w = np.asarray(weight, dtype=np.float64)
    return float(effective_size_from_sums(np.asarray(w.sum()), np.asarray((w**2).sum())))
