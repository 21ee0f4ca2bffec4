"""Segments: the combinations of columns for which figures are wanted."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from errdetect.errors import DataError, sentence

__all__ = ["segment_decisions"]

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
