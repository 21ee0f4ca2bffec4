"""Wilson's interval, also for the fractional counts that overlap gives."""

import numpy as np
import numpy.typing as npt

__all__ = ["wilson"]

Floats = npt.NDArray[np.float64]

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
