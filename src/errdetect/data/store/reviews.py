"""Finished reviews in the ledger, each with its history."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
from sqlalchemy import Connection, Engine, select

from errdetect import schemas
from errdetect.ledger import tables
from errdetect.data.store.bulk import among, happened, put
from errdetect.ledger.connection import reading, writing
from errdetect.ledger.rows import frame_of, require, rows_of, utc
from errdetect.data.review_versions import compare_versions, known_at

__all__ = ["IngestCounts", "ingest", "reviews"]

_NAMES = tuple(column.name for column in schemas.REVIEWS)
_TYPES = {
    "string": pa.large_string(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "number": pa.float64(),
}
_SCHEMA = pa.schema([(column.name, _TYPES[column.kind]) for column in schemas.REVIEWS])


@dataclass(frozen=True)
class IngestCounts:
    """Counts of reviews taken in.

    Parameters
    ----------
    new, repeated, conflicting
        Added; known with equal values; known with other values at the same moment, and so left out.
    conflicts
        The review_id of each conflicting one, in the order given.
    corrected, earlier
        Rows added to the history of a review that was known: later ones, which count from their
        moment on, and earlier ones, which count before the known one only.
    conflicting_rows
        The place of each conflicting row in the frame, from 0.
    """

    new: int
    repeated: int
    conflicting: int
    conflicts: tuple[str, ...] = ()
    corrected: int = 0
    earlier: int = 0
    conflicting_rows: tuple[int, ...] = field(default=(), compare=False)


def ingest(engine: Engine, frame: pd.DataFrame, at: datetime) -> IngestCounts:
    """Add reviews, and versions of reviews, that are new; see `Ledger.ingest`."""
    require(frame, [c.name for c in schemas.REVIEWS if c.required], "The reviews")
    stamped = frame.assign(known_at=known_at(frame), ingested_at=pd.Timestamp(utc(at)))
    rows = rows_of(stamped, tables.REVIEWS)
    given = frame_of(([row[name] for name in _NAMES] for row in rows), _SCHEMA)
    with writing(engine) as connection:
        known = _known(connection, given["review_id"].unique().tolist())
        every = pd.concat([known, given], ignore_index=True)
        copy, conflict = (mask[len(known) :] for mask in compare_versions(every))
        before = _known_before(every)[len(known) :]
        added = ~copy & ~conflict
        put(connection, tables.REVIEWS, [rows[i] for i in np.flatnonzero(added).tolist()])
        moments = known_at(given).to_numpy("datetime64[us]")
        ids = given["review_id"]
        counts = IngestCounts(
            new=int((added & np.isnat(before)).sum()),
            repeated=int(copy.sum()),
            conflicting=int(conflict.sum()),
            conflicts=tuple(ids[conflict].tolist()),
            corrected=int((added & (moments > before)).sum()),
            earlier=int((added & (moments < before)).sum()),
            conflicting_rows=tuple(np.flatnonzero(conflict).tolist()),
        )
        if added.any():
            event = {"entity": "reviews", "id": ids[added].iloc[0], "what": "ingested"}
            happened(connection, tables.EVENTS, [event | {"note": _note(counts, len(rows))}], at)
    return counts


def _note(counts: IngestCounts, n: int) -> str:
    """Describe for the history what came in."""
    parts = [f"{counts.new:,} new reviews of {n:,}"]
    if counts.corrected:
        parts.append(f"{counts.corrected:,} corrections")
    if counts.earlier:
        parts.append(f"{counts.earlier:,} earlier versions")
    return ", ".join(parts)


def _known_before(every: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.datetime64]]:
    """Return the latest moment of each row's review among the rows above it; NaT without one."""
    moments = known_at(every).dt.tz_convert(None)
    latest = moments.astype("int64").groupby(every["review_id"]).cummax()
    above = latest.groupby(every["review_id"]).shift()
    return np.asarray(pd.to_datetime(above, unit="us"), dtype="datetime64[us]")


def reviews(engine: Engine, ids: Sequence[str] | None = None) -> pd.DataFrame:
    """Return every version of the reviews; see `Ledger.reviews`."""
    with reading(engine) as connection:
        return _known(connection, ids)


def _known(connection: Connection, ids: Sequence[str] | None) -> pd.DataFrame:
    table = tables.REVIEWS.c
    wanted = select(*(table[name] for name in _NAMES))
    if ids is not None:
        wanted = wanted.where(among(connection, table.review_id, ids))
    order = (table.known_at, table.review_id)
    return frame_of(connection.execute(wanted.order_by(*order)), _SCHEMA)
