"""How far reviewers agree beyond chance, where several judged one decision."""

from dataclasses import dataclass
from datetime import datetime

import krippendorff
import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.labels.events import REVISED, review_events
from errdetect.schemas import GOLDEN, VERDICTS

__all__ = ["Agreement", "agreement"]

Ints = npt.NDArray[np.int64]

_FEWEST = 30  # decisions below which agreement is not given
_DRAWS = 200  # of the bootstrap


@dataclass(frozen=True)
class Agreement:
    """Krippendorff's alpha over verdicts, with how much of it there was to see.

    Parameters
    ----------
    alpha
        1: always agree; 0: as chance would; NaN where it cannot be given.
    low, high
        95 % limits, by drawing the decisions anew; NaN where alpha is.
    observed
        Share of pairs of reviews of one decision that agree.
    n_decisions, n_reviews
        Decisions that two or more people judged, and those judgements.
    note
        Why alpha is missing; empty where it is not.
    """

    alpha: float
    low: float
    high: float
    observed: float
    n_decisions: int
    n_reviews: int
    note: str
