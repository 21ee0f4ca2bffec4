"""How far two distributions are apart."""

import numpy as np
import numpy.typing as npt

__all__ = ["population_stability"]

#: Share that an empty class counts as, so that the index stays finite.
_LEAST = 1e-4


def population_stability(before: npt.NDArray[np.float64], after: npt.NDArray[np.float64]) -> float:
    """Return the population stability index: the symmetric Kullback-Leibler divergence.

    Parameters
    ----------
    before, after
        Shares of the same classes, shape (k,); an empty class counts as one in ten thousand.

    References
    ----------
    Yurdakul and Naranjo (2020), Journal of Risk Model Validation 14(4): distribution of the index.

    Examples
    --------
    >>> half = np.array([0.5, 0.5])
    >>> population_stability(half, half), round(population_stability(half, np.array([0.7, 0.3])), 3)
    (0.0, 0.169)
    """
    a, b = np.maximum(before, _LEAST), np.maximum(after, _LEAST)
    return float(((b - a) * np.log(b / a)).sum())
