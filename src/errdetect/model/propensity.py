"""Weights that make reviewed decisions stand for all: the inverse of the chance to be drawn."""

import numpy as np
import numpy.typing as npt

__all__ = ["propensity_weights"]

Floats = npt.NDArray[np.float64]

_CLIP = 10.0  # medians; a few rows drawn by a small chance would outweigh all others


def propensity_weights(design: Floats) -> Floats:
    """Weigh labelled decisions by how many decisions each stands for, with mean 1.

    Weights beyond ten times the median of the drawn are cut there. A decision that no design drew,
    such as an appealed one, stands for itself alone.

    Parameters
    ----------
    design
        Shape (n,), decisions that each row stands for; 0 where no design drew it.

    Returns
    -------
    numpy.ndarray
        Shape (n,), above 0; 1 everywhere where no row was drawn by design.

    Source: Horvitz and Thompson 1952; cut as by Ionides 2008 (truncated importance sampling).

    Examples
    --------
    >>> propensity_weights(np.array([2.0, 8.0, 8.0, 0.0])).round(2).tolist()
    [0.42, 1.68, 1.68, 0.21]
    >>> propensity_weights(np.zeros(2)).tolist()
    [1.0, 1.0]
    """
    drawn = design > 0
    if not drawn.any():
        return np.ones(len(design))
    most = _CLIP * float(np.median(design[drawn]))
    stands_for = np.minimum(np.where(drawn, design, 1.0), most)
    return np.asarray(stands_for / stands_for.mean(), dtype=np.float64)
