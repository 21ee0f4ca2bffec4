"""Bounds that hold if every reviewer is right, and the rate by successful appeals only."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from errdetect.labels.audit_sample import is_error
from errdetect.labels.review_history import COUNTS, OVERRULED, REVISED
from errdetect.schemas import APPEAL

__all__ = ["KnownVerdicts", "known_verdicts", "rate_bounds", "recall_bounds"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class KnownVerdicts:
    """What reviews settle if reviewers do not err; arrays of shape (n_decisions,).

    Parameters
    ----------
    wrong, right
        Whether each decision is known to be an error, and known not to be.
    appealed
        Whether an appeal or its adjudication overturned it; None where there are no appeals.
    """

    wrong: Bools
    right: Bools
    appealed: Bools | None


def known_verdicts(
    history: pd.DataFrame, n_decisions: int, *, action_only: bool = False
) -> KnownVerdicts:
    """Settle what reviews agree on; an adjudication is final, other conflicts stay unknown.

    Parameters
    ----------
    history
        The review history with `position`, `standing`, `source` and `verdict`.
    n_decisions
        How many decisions there are.
    action_only
        Whether only a wrong action counts as an error, and a wrong label does not.

    Returns
    -------
    KnownVerdicts

    Examples
    --------
    >>> history = pd.DataFrame({"position": [0, 1, 1], "standing": "counts", "source": "audit",
    ...                         "verdict": ["overturned", "upheld", "overturned"]})
    >>> known = known_verdicts(history, 3)
    >>> known.wrong.tolist(), known.right.tolist()
    ([True, False, False], [False, False, False])
    """
    counts = (history["standing"] == COUNTS).to_numpy(dtype=bool)
    standing = history["standing"].isin(
        [COUNTS, OVERRULED, REVISED]
    )  # a granted appeal stays granted
    appeal = (standing & (history["source"] == APPEAL)).to_numpy(dtype=bool)
    says = is_error(history["verdict"], action_only=action_only)
    position = history["position"].to_numpy()

    def count(which: Bools) -> Ints:
        return np.bincount(position[which], minlength=n_decisions)

    stands, against = count(counts), count(counts & says)
    appealed = count(appeal & says) > 0 if appeal.any() else None
    return KnownVerdicts(
        (against == stands) & (stands > 0), (against == 0) & (stands > 0), appealed
    )


def rate_bounds(known: KnownVerdicts, cell: Ints, size: int) -> tuple[Floats, Floats, Floats]:
    """Return Manski's bounds of each cell's error rate, and the appeal proxy's error rate.

    The bounds need no sample and leave everything unreviewed open. They hold if every reviewer
    whom no other contradicts is right: with reviewers who err in 5 % of their verdicts, a fully
    reviewed log has bounds of zero width around a wrong rate.

    Parameters
    ----------
    known
        What the reviews settle.
    cell
        Cell of each decision, -1 for those in none.
    size
        Number of cells.

    Returns
    -------
    (low, high, proxy), each of shape (size,); NaN where a cell is empty or without appeals.

    References
    ----------
    Manski (2003), Partial identification of probability distributions.

    Examples
    --------
    >>> known = KnownVerdicts(np.array([True, False]), np.array([False, False]), None)
    >>> [v.tolist() for v in rate_bounds(known, np.zeros(2, int), 1)]
    [[0.5], [1.0], [nan]]
    """
    inside = cell >= 0

    def share(which: Bools) -> Floats:
        n = np.bincount(cell[inside], minlength=size)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.bincount(cell[inside & which], minlength=size) / n

    proxy = np.full(size, np.nan) if known.appealed is None else share(known.appealed)
    return share(known.wrong), 1 - share(known.right), proxy


def recall_bounds(
    wrongful: tuple[Floats, Floats],
    missed: tuple[Floats, Floats],
    enforced: Floats,
    allowed: Floats,
) -> tuple[Floats, Floats]:
    """Return Manski's bounds of recall from those of the two kinds of error and the decisions' counts.

    Parameters
    ----------
    wrongful, missed
        (low, high) bounds of the wrong share among enforced and among allowed decisions.
    enforced, allowed
        Number of decisions of each kind.

    Returns
    -------
    (low, high); NaN where no decision can be a violation. Where none can have been missed, recall
    is 1 if it is anything, and where none can have been caught, 0.

    Examples
    --------
    >>> low, high = recall_bounds((np.array([0.1]), np.array([0.2])), (np.array([0.0]),
    ...                           np.array([1.0])), np.array([50.0]), np.array([50.0]))
    >>> round(float(low[0]), 3), float(high[0])
    (0.444, 1.0)
    """
    # A side without decisions has no rate, and no violations.
    least, most = (np.where(enforced > 0, enforced * (1 - wrongful[i]), 0.0) for i in (1, 0))
    few, many = (np.where(allowed > 0, allowed * missed[i], 0.0) for i in (0, 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        low, high = least / (least + many), most / (most + few)
    return np.where((many == 0) & (most > 0), 1.0, low), np.where(
        (most == 0) & (many > 0), 0.0, high
    )
