"""Sums by group, as floats."""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["sums"]

Floats = npt.NDArray[np.float64]


def sums(group: npt.NDArray[np.int64], values: npt.NDArray[Any], n: int) -> Floats:
    """Add up `values` by `group`.

    Parameters
    ----------
    group
        Shape (m,), in [0, n).
    values
        Shape (m,), numbers or bools.
    n
        How many groups there are.

    Returns
    -------
    numpy.ndarray
        Shape (n,); 0 for a group without members.

    Examples
    --------
    >>> sums(np.array([0, 2, 2]), np.array([1.0, 2.0, 3.0]), 4)
    array([1., 0., 5., 0.])
    """
    added: Floats = np.bincount(group, weights=values, minlength=n).astype(np.float64)
    return added
