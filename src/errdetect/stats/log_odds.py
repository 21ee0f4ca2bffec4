"""Log-odds of probabilities that may be 0 or 1."""

import numpy as np
import numpy.typing as npt
from scipy.special import logit

__all__ = ["clip_probability", "clipped_logit"]

Floats = npt.NDArray[np.float64]

_EDGE = 1e-6


def clip_probability(p: Floats) -> Floats:
    """Return probabilities kept between 1e-6 and 1 - 1e-6, same shape.

    Examples
    --------
    >>> clip_probability(np.array([0.0, 0.5])).tolist()
    [1e-06, 0.5]
    """
    return np.asarray(np.clip(p, _EDGE, 1 - _EDGE), dtype=np.float64)


def clipped_logit(p: Floats) -> Floats:
    """Return log(p / (1 - p)), same shape, with p kept between 1e-6 and 1 - 1e-6.

    Examples
    --------
    >>> clipped_logit(np.array([0.0, 0.5, 1.0])).round(1).tolist()
    [-13.8, 0.0, 13.8]
    """
    return np.asarray(logit(clip_probability(p)), dtype=np.float64)
