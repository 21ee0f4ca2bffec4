"""Joining the reviews of a file with those that came back through the ledger."""

import numpy as np
import pandas as pd

from errdetect.data.tables import TableRead
from errdetect.data.review_versions import compare_versions
from errdetect.schemas import REJECTS, REVIEWS

__all__ = ["with_returned"]

_NAMES = [column.name for column in REVIEWS]


def with_returned(read: TableRead | None, returned: pd.DataFrame, place: str) -> TableRead | None:
    """Add the ledger's reviews to those read: rows of both are versions of the reviews.

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
        The file's rows first. A version that both hold counts once; where the two differ at one
        moment, the ledger's is a reject. None where neither has a review.
    """
    if read is None:
        if returned.empty:
            return None
        nothing = REJECTS.empty_table().to_pandas()
        note = _note(len(returned))
        return TableRead(returned[_NAMES], nothing, (note,), len(returned))
    if returned.empty:
        return read
    every = pd.concat([read.frame, returned[_NAMES]], ignore_index=True)
    copy, conflict = compare_versions(every)
    differ = np.flatnonzero(conflict)
    rejects = pd.DataFrame(
        {
            "source": place,
            "row": pd.array([None] * len(differ), dtype="Int64"),
            "id": every["review_id"].iloc[differ].to_numpy(),
            "reason": "review_id must have one answer at one moment, got other values than the "
            "file's, which is kept",
        }
    )
    frame = every[~copy & ~conflict].reset_index(drop=True)
    return TableRead(
        frame=frame,
        rejects=pd.concat([read.rejects, rejects], ignore_index=True)
        if len(differ)
        else read.rejects,
        notes=(*read.notes, _note(len(frame) - len(read.frame))),
        n_rows=read.n_rows + len(returned),
        n_duplicates=read.n_duplicates + int(copy.sum()),
    )


def _note(n: int) -> str:
    return f"reviews that came back through the ledger: {n:,}"
