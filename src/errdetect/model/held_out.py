"""What a model said of decisions that it never saw, kept for looking closer."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from errdetect.model.detector import Examples

__all__ = ["HeldOut"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class HeldOut:
    """The latest labelled decisions, with what a model of the earlier ones said of them.

    Parameters
    ----------
    examples
        n decisions with their labels.
    p
        Shape (n,), calibrated P(error).
    weight
        Shape (n,), decisions that each row stands for when measuring; 0 where it says nothing of
        the rest.
    """

    examples: Examples
    p: Floats
    weight: Floats
