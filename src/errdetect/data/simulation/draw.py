"""Small vectorised tools of the simulator: draws row by row, ids, text columns."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = ["Bools", "Floats", "Ints", "draw_by_row", "id_column", "logit", "share", "text_column"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def share(values: Floats | Ints) -> Floats:
    """Scale non-negative weights so that each last-axis row sums to 1 (a row of zeros stays)."""
    total = values.sum(axis=-1, keepdims=True)
    result: Floats = np.divide(values, total, out=np.zeros(values.shape), where=total > 0)
    return result


def logit(p: Floats | float) -> Floats:
    """Log odds of probabilities inside (0, 1).

    Examples
    --------
    >>> float(logit(0.5))
    0.0
    """
    odds = np.asarray(p, dtype=np.float64)
    result: Floats = np.log(odds) - np.log1p(-odds)
    return result


def draw_by_row(rng: np.random.Generator, weights: Floats, rows: Ints) -> Ints:
    """Draw one column for each row from that row's own line of a table of weights.

    Parameters
    ----------
    weights
        Table (lines x columns) of non-negative weights; each line used has a positive sum.
    rows
        The line that each of the n draws uses.

    Returns
    -------
    numpy.ndarray
        n column numbers.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> draw_by_row(rng, np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([0, 1, 0])).tolist()
    [1, 0, 1]
    """
    bars = np.cumsum(share(weights), axis=1)
    # The lines' bars stand one after another on one axis, so one sorted search serves all rows.
    bars = bars / np.maximum(bars[:, -1:], 1e-300)
    axis = (bars + np.arange(len(bars))[:, None]).ravel()
    # A draw of exactly 0 would belong to the line before: draws lie in (0, 1].
    drawn = 1.0 - rng.random(len(rows))
    found = np.searchsorted(axis, rows + drawn, side="left") - rows * weights.shape[1]
    result: Ints = np.clip(found, 0, weights.shape[1] - 1)
    return result


def id_column(prefix: str, numbers: Ints, width: int, base: int = 10) -> "pd.Series[Any]":
    """Write whole numbers as ids of one width, such as `d0000012`; negative numbers are missing.

    Examples
    --------
    >>> id_column("d", np.array([12, 7]), 4).tolist()
    ['d0012', 'd0007']
    """
    n, length = len(numbers), len(prefix) + width
    letters = np.empty((n, length), dtype=np.uint8)
    letters[:, : len(prefix)] = np.frombuffer(prefix.encode("ascii"), dtype=np.uint8)
    digits = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
    rest = np.abs(numbers).astype(np.uint64)
    for place in range(length - 1, len(prefix) - 1, -1):
        letters[:, place] = digits[(rest % np.uint64(base)).astype(np.intp)]
        rest = rest // np.uint64(base)
    ends = np.arange(n + 1, dtype=np.int32) * np.int32(length)
    column = pa.StringArray.from_buffers(
        n, pa.py_buffer(ends.tobytes()), pa.py_buffer(letters.tobytes())
    )
    missing = numbers < 0
    if missing.any():
        column = pc.if_else(pa.array(~missing), column, pa.scalar(None, pa.string()))
    return pd.Series(pd.array(column, dtype="str"))


def text_column(words: list[str], chosen: Ints) -> "pd.Series[Any]":
    """Take words by number into a text column; negative numbers are missing.

    Examples
    --------
    >>> text_column(["a", "b"], np.array([1, 0, 1])).tolist()
    ['b', 'a', 'b']
    """
    taken = pa.array(words, pa.string()).take(pa.array(chosen, mask=chosen < 0))
    return pd.Series(pd.array(taken, dtype="str"))
