"""Looking up ids, and giving memory back: what pandas does too slowly for a million rows, or not at all."""

import ctypes
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["IdSet", "release_memory"]


class IdSet:
    """Ids to look for in many frames.

    Parameters
    ----------
    ids
        Texts; missing ones are left out.

    Examples
    --------
    >>> IdSet(["a", "b"]).among(pd.Series(["b", None, "c"])).tolist()
    [True, False, False]
    """

    def __init__(self, ids: Iterable[str]) -> None:
        known = ids if isinstance(ids, pd.Series | pd.Index) else pd.Series(list(ids), dtype="str")
        self._ids = _texts(pd.Series(known)).drop_null()

    def __len__(self) -> int:
        return len(self._ids)

    def among(self, values: pd.Series) -> npt.NDArray[np.bool_]:
        """Return which values are among the ids, shape (n,)."""
        found = pc.is_in(_texts(values), value_set=self._ids)
        return np.asarray(found.to_numpy(zero_copy_only=False), bool)


def _texts(values: pd.Series) -> pa.Array:
    texts = pa.array(values, pa.large_string(), from_pandas=True)
    if not isinstance(texts, pa.ChunkedArray):
        return texts
    # The chunks of a joined column need not be of one type.
    none = pa.array([], pa.large_string())
    return pa.concat_arrays([none, *(chunk.cast(pa.large_string()) for chunk in texts.chunks)])


def release_memory() -> None:
    """Give freed memory back to the system: Arrow and the C library keep it otherwise."""
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # GNU's only
    if trim is not None:
        trim(0)
