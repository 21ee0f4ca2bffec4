"""Finished reviews in the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd
import pyarrow as pa
from sqlalchemy import Connection, Engine, select

from errdetect import schemas
from errdetect.data.store import tables
from errdetect.data.store.bulk import among, happened, put
from errdetect.data.store.engine import reading, writing
from errdetect.data.store.frames import frame_of, require, rows_of

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
    """What became of reviews.

    Parameters
    ----------
    new, repeated, conflicting
        Added; known with equal values; known with other values, and so left out.
    conflicts
        The review_id of each conflicting one, in the order given.
    """

    new: int
    repeated: int
    conflicting: int
    conflicts: tuple[str, ...] = ()


def ingest(engine: Engine, frame: pd.DataFrame, at: datetime) -> IngestCounts:
    """Add reviews whose review_id is new; see `Ledger.ingest`."""
    require(frame, [c.name for c in schemas.REVIEWS if c.required], "The reviews")
    rows = rows_of(frame.assign(ingested_at=pd.Timestamp(at)), tables.REVIEWS)
    with writing(engine) as connection:
        seen = _known(connection, [row["review_id"] for row in rows])
        new: list[dict[str, Any]] = []
        conflicts: list[str] = []
        for row in rows:
            values = tuple(row[name] for name in _NAMES)
            if row["review_id"] not in seen:
                seen[row["review_id"]] = values
                new.append(row)
            elif seen[row["review_id"]] != values:
                conflicts.append(row["review_id"])
        put(connection, tables.REVIEWS, new)
        if new:
            note = f"{len(new):,} new reviews of {len(rows):,}"
            event = {"entity": "reviews", "id": new[0]["review_id"], "what": "ingested"}
            happened(connection, tables.EVENTS, [event | {"note": note}], at)
    repeated = len(rows) - len(new) - len(conflicts)
    return IngestCounts(len(new), repeated, len(conflicts), tuple(conflicts))


def reviews(engine: Engine) -> pd.DataFrame:
    """Return every review, by time, then review_id, as `read_reviews` would give them."""
    table = tables.REVIEWS.c
    wanted = select(*(table[name] for name in _NAMES)).order_by(table.reviewed_at, table.review_id)
    with reading(engine) as connection:
        return frame_of(connection.execute(wanted), _SCHEMA)


def _known(connection: Connection, ids: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    table = tables.REVIEWS.c
    wanted = select(*(table[name] for name in _NAMES)).where(
        among(connection, table.review_id, ids)
    )
    return {row[0]: tuple(row) for row in connection.execute(wanted)}
