"""Segments: the combinations of columns for which figures are wanted."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from errdetect.errors import DataError, sentence
from errdetect.labels.audit_sample import LostDraws

__all__ = ["cells_of_lost", "segment_decisions"]

Ints = NDArray[np.int64]

#: Word for a missing value in a `by` column; null means the whole.
MISSING = "(missing)"


def segment_decisions(decisions: pd.DataFrame, by: Sequence[str]) -> tuple[pd.DataFrame, Ints]:
    """Find the combinations of the `by` columns that occur, in order, and each decision's own.

    Parameters
    ----------
    decisions
        The contract's decisions.
    by
        Columns of `decisions`; none makes one segment of all.

    Returns
    -------
    (names, segment)
        The `by` values of each segment as text, and the segment of each decision.

    Raises
    ------
    DataError
        Where a column is absent.

    Examples
    --------
    >>> names, segment = segment_decisions(pd.DataFrame({"market": ["DE", None, "DE"]}), ["market"])
    >>> names["market"].tolist(), segment.tolist()
    (['(missing)', 'DE'], [1, 0, 1])
    """
    absent = [column for column in by if column not in decisions]
    if absent:
        must = "name columns of the decisions"
        do = f"Choose among {', '.join(map(str, decisions.columns))}."
        raise DataError(sentence("by", must, ", ".join(absent), do))
    code, levels = np.zeros(len(decisions), np.int64), []
    for column in by:
        values = decisions[column]
        text = values.astype("str").where(values.notna(), MISSING)
        own, names = pd.factorize(text, sort=True)
        code = code * len(names) + own
        levels.append(names)
    found, cell = np.unique(code, return_inverse=True)
    keys: dict[str, object] = {}
    n_segments = len(found)
    for column, names in zip(reversed(by), reversed(levels), strict=True):
        keys[column] = np.asarray(names)[found % len(names)]
        found = found // len(names)
    frame = pd.DataFrame(keys, index=range(n_segments), columns=list(by))
    return frame, cell.astype(np.int64)


def cells_of_lost(lost: LostDraws, keys: pd.DataFrame, cell: Ints) -> Ints:
    """Find the cell of each lost draw, from its decision or from what is left of a rejected one.

    Parameters
    ----------
    lost
        From the snapshot.
    keys
        The `by` values of each cell, from `segment_decisions`; no column where one cell is all.
    cell
        Cell of each decision, shape (n_decisions,).

    Returns
    -------
    numpy.ndarray
        Shape (n_lost,); -1 where it is unknown.
    """
    found = np.full(len(lost), -1, dtype=np.int64)
    in_log = lost.position >= 0
    found[in_log] = cell[lost.position[in_log]]
    if not len(keys.columns):
        return np.zeros(len(lost), dtype=np.int64)
    if not set(keys.columns) <= set(lost.rejected.columns):
        return found
    values = lost.rejected[list(keys.columns)].astype("str").where(lost.rejected.notna())
    index = pd.MultiIndex.from_frame(keys)
    other = index.get_indexer(pd.MultiIndex.from_frame(values))
    known = ~in_log & values.notna().all(axis=1).to_numpy(dtype=bool)
    found[known] = other[known]
    return found
