"""Joining the reviews of a file with those that came back through the ledger."""

import numpy as np
import pandas as pd

from errdetect.data.tables import TableRead
from errdetect.schemas import REJECTS, REVIEWS

__all__ = ["with_returned"]

_NAMES = [column.name for column in REVIEWS]


def with_returned(read: TableRead | None, returned: pd.DataFrame, place: str) -> TableRead | None:
    """Add the ledger's reviews to those read: a review that both hold counts once.

    Parameters
    ----------
    read
        The file's reviews; None where there is no file.
    returned
        The ledger's, with the columns of `schemas.REVIEWS`.
    place
        The ledger's name, for the rejects.

    Returns
    -------
    TableRead or None
        The file's rows first; a review of the ledger with other values than the file's of its
        review_id is a reject. None where neither has a review.
    """
    if read is None:
        if returned.empty:
            return None
        nothing = REJECTS.empty_table().to_pandas()
        note = _note(len(returned))
        return TableRead(returned[_NAMES], nothing, (note,), len(returned))
    if returned.empty:
        return read
    at = pd.Index(read.frame["review_id"]).get_indexer(pd.Index(returned["review_id"]))
    both = np.flatnonzero(at >= 0)
    same = np.ones(len(both), dtype=bool)
    for name in _NAMES:
        one = read.frame[name].iloc[at[both]].reset_index(drop=True)
        other = returned[name].iloc[both].reset_index(drop=True)
        same &= ((one == other) | (one.isna() & other.isna())).to_numpy(bool)
    differ = both[~same]
    new = returned[_NAMES].iloc[np.flatnonzero(at < 0)]
    rejects = pd.DataFrame(
        {
            "source": place,
            "row": pd.array([None] * len(differ), dtype="Int64"),
            "id": returned["review_id"].iloc[differ].to_numpy(),
            "reason": "review_id must have one answer, got other values than the file's",
        }
    )
    return TableRead(
        frame=pd.concat([read.frame, new], ignore_index=True),
        rejects=pd.concat([read.rejects, rejects], ignore_index=True)
        if len(differ)
        else read.rejects,
        notes=(*read.notes, _note(len(new))),
        n_rows=read.n_rows + len(returned),
        n_duplicates=read.n_duplicates + int(same.sum()),
    )


def _note(n: int) -> str:
    return f"{n:,} reviews come from the ledger"
