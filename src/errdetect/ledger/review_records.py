"""Finished reviews in the ledger: every version of each, by the moment at which it became known."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
from sqlalchemy import Connection, Engine, select

from errdetect import schemas
from errdetect.data.database_tables import (
    read_transaction,
    redacted_url,
    upsert_rows,
    write_transaction,
)
from errdetect.data.pseudonyms import KeySource, PseudonymKey, is_pseudonym, pseudonymise_ids
from errdetect.data.review_versions import find_repeated_versions, known_at
from errdetect.errors import DataError, error_message
from errdetect.ledger import table_definitions as tables
from errdetect.ledger.pseudonym_records import current_fingerprint, record_key, require_key
from errdetect.ledger.row_conversion import (
    frame_to_rows,
    id_condition,
    record_events,
    require_columns,
    rows_to_frame,
    to_utc,
)

__all__ = ["IngestCounts", "ReviewRecords"]

_NAMES = tuple(column.name for column in schemas.REVIEWS)
_TYPES = {
    "string": pa.large_string(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "number": pa.float64(),
}
_SCHEMA = pa.schema([(column.name, _TYPES[column.kind]) for column in schemas.REVIEWS])


@dataclass(frozen=True)
class IngestCounts:
    """Counts of ingested reviews.

    Parameters
    ----------
    new, repeated, conflicting
        Added; recorded with equal values; recorded with other values at the same moment, so left out.
    conflicts
        The review_id of each conflict, in the order given.
    corrected, earlier
        Rows added to the history of a recorded review: later ones, which count from their moment
        on, and earlier ones, which count only before the recorded one.
    conflicting_rows
        The position of each conflicting row in the frame, from 0.
    """

    new: int
    repeated: int
    conflicting: int
    conflicts: tuple[str, ...] = ()
    corrected: int = 0
    earlier: int = 0
    conflicting_rows: tuple[int, ...] = field(default=(), compare=False)


class ReviewRecords:
    """The part of a `Ledger` that holds the reviews it took in."""

    engine: Engine
    key: KeySource | None

    def ingest(self, frame: pd.DataFrame, at: datetime) -> IngestCounts:
        """Add finished reviews, and corrections of known ones.

        Every version of a review_id is kept, one for each moment at which its verdict became known
        (`updated_at` if given and later, else `reviewed_at`). The latest one counts, the earlier
        ones are its history.

        Parameters
        ----------
        frame
            The columns of `schemas.REVIEWS`, from `read_reviews`.
        at
            When, with a zone.

        Returns
        -------
        IngestCounts
            A review_id recorded with other values at the same moment is a conflict: the recorded
            one stays.

        Raises
        ------
        DataError
            Where a column is missing, or reviewers have names and the ledger was opened without the key of
            their pseudonyms, or with another one.

        Examples
        --------
        >>> import tempfile
        >>> from datetime import UTC
        >>> from errdetect.ledger.ledger import open_ledger
        >>> now = datetime(2026, 3, 2, tzinfo=UTC)
        >>> one = pd.DataFrame(
        ...     {
        ...         "review_id": ["r1"],
        ...         "decision_id": ["d1"],
        ...         "reviewed_at": [pd.Timestamp(now)],
        ...         "source": ["re_review"],
        ...         "verdict": ["upheld"],
        ...     }
        ... )
        >>> with (
        ...     tempfile.TemporaryDirectory() as folder,
        ...     open_ledger(f"sqlite:///{folder}/ledger.db") as ledger,
        ... ):
        ...     ledger.ingest(one, now).new
        ...     ledger.ingest(one, now).repeated
        ...     ledger.ingest(one.assign(verdict="overturned"), now).conflicts
        ...     later = one["reviewed_at"] + pd.Timedelta(days=1)
        ...     ledger.ingest(one.assign(verdict="overturned", updated_at=later), now).corrected
        1
        1
        ('r1',)
        1
        """
        require_columns(frame, [c.name for c in schemas.REVIEWS if c.required], "The reviews")
        stamped = frame.assign(known_at=known_at(frame), ingested_at=pd.Timestamp(to_utc(at)))
        key = self._needed_key(frame)
        if key is not None:
            names = pseudonymise_ids(stamped["reviewer_id"], salt=key.secret)
            stamped = stamped.assign(reviewer_id=names)
        rows = frame_to_rows(stamped, tables.REVIEWS)
        given = rows_to_frame(([row[name] for name in _NAMES] for row in rows), _SCHEMA)
        with write_transaction(self.engine) as connection:
            if key is not None:
                require_key(current_fingerprint(connection), key, redacted_url(self.engine.url))
                record_key(connection, key, at)
            known = _known_reviews(connection, given["review_id"].unique().tolist())
            every = pd.concat([known, given], ignore_index=True)
            copy, conflict = (mask[len(known) :] for mask in find_repeated_versions(every))
            before = _previously_known_at(every)[len(known) :]
            added = ~copy & ~conflict
            upsert_rows(
                connection, tables.REVIEWS, [rows[i] for i in np.flatnonzero(added).tolist()]
            )
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
                record_events(
                    connection,
                    tables.EVENTS,
                    [event | {"note": _ingest_note(counts, len(rows))}],
                    at,
                )
        return counts

    def _needed_key(self, frame: pd.DataFrame) -> PseudonymKey | None:
        """Return the key if these reviews name reviewers by other ids than pseudonyms."""
        if "reviewer_id" not in frame:
            return None
        names = frame["reviewer_id"].dropna().astype("str")
        if is_pseudonym(names).all():
            return None
        if self.key is None:
            do = "Open the ledger with the key: open_ledger(url, key)."
            what = "Reviewers in the ledger"
            raise DataError(error_message(what, "have pseudonyms", "ids and no key", do))
        return self.key()

    def fingerprint(self) -> str | None:
        """Return the fingerprint of the key of reviewers' pseudonyms; None if it has none."""
        with read_transaction(self.engine) as connection:
            return current_fingerprint(connection)

    def accept_key(self, key: PseudonymKey, *, at: datetime) -> bool:
        """Accept a new key for the pseudonyms from now on; return whether it is another one."""
        with write_transaction(self.engine) as connection:
            return record_key(connection, require_key(None, key, redacted_url(self.engine.url)), at)

    def reviews(self, ids: Sequence[str] | None = None) -> pd.DataFrame:
        """Return every version of the reviews by moment, then id, in the form of `read_reviews`.

        Parameters
        ----------
        ids
            Only reviews with these ids; None for all.
        """
        with read_transaction(self.engine) as connection:
            return _known_reviews(connection, ids)


def _ingest_note(counts: IngestCounts, n: int) -> str:
    """Return the history's note on an ingest."""
    parts = [f"{counts.new:,} new reviews of {n:,}"]
    if counts.corrected:
        parts.append(f"{counts.corrected:,} corrections")
    if counts.earlier:
        parts.append(f"{counts.earlier:,} earlier versions")
    return ", ".join(parts)


def _previously_known_at(every: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.datetime64]]:
    """Return the latest moment of each row's review among the rows above it; NaT without one."""
    moments = known_at(every).dt.tz_convert(None)
    latest = moments.astype("int64").groupby(every["review_id"]).cummax()
    above = latest.groupby(every["review_id"]).shift()
    return np.asarray(pd.to_datetime(above, unit="us"), dtype="datetime64[us]")


def _known_reviews(connection: Connection, ids: Sequence[str] | None) -> pd.DataFrame:
    table = tables.REVIEWS.c
    wanted = select(*(table[name] for name in _NAMES))
    if ids is not None:
        wanted = wanted.where(id_condition(connection, table.review_id, ids))
    order = (table.known_at, table.review_id)
    return rows_to_frame(connection.execute(wanted.order_by(*order)), _SCHEMA)
