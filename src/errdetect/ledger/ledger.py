"""The ledger: scoring runs, the queue, reviews, audit draws, remediations and proposals, in one database."""

import contextlib
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import pandas as pd
import pyarrow as pa
from sqlalchemy import Engine, select

from errdetect.data.database_tables import (
    erase_traces,
    is_read_only,
    may_change,
    open_engine,
    read_transaction,
    redacted_url,
    sqlite_path,
    write_transaction,
)
from errdetect.data.pseudonyms import KeySource
from errdetect.errors import DataError, error_message
from errdetect.ledger import table_definitions as tables
from errdetect.ledger.audit_records import AuditRecords
from errdetect.ledger.precedent_records import PrecedentRecords
from errdetect.ledger.proposal_records import ProposalRecords
from errdetect.ledger.remediation_records import RemediationRecords
from errdetect.ledger.review_records import ReviewRecords
from errdetect.ledger.row_conversion import record_events, rows_to_frame
from errdetect.ledger.run_records import RunRecords
from errdetect.ledger.schema_upgrade import is_readable, schema_version, upgrade_ledger

__all__ = ["Ledger", "find_ledger", "open_ledger"]

_TIME = pa.timestamp("us", tz="UTC")
_EVENTS = pa.schema(
    [
        (c.name, _TIME if c.name == "at" else pa.string())
        for c in tables.EVENTS.columns
        if c.name != "seq"
    ]
)


@dataclass(frozen=True)
class Ledger(
    RunRecords, ReviewRecords, AuditRecords, RemediationRecords, ProposalRecords, PrecedentRecords
):
    """An open ledger, from `open_ledger`. Use it in a `with` block.

    Every method is one transaction, applied whole or not at all. Writers take turns.

    Parameters
    ----------
    engine
        Its database, with the tables up to date.
    key
        Returns the key of reviewers' pseudonyms; None: reviews must name pseudonyms already.
    """

    engine: Engine
    key: KeySource | None = None

    def __enter__(self) -> Self:
        """Return the ledger itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close its connections."""
        self.engine.dispose()

    @property
    def place(self) -> str:
        """Its location, without user or password."""
        return redacted_url(self.engine.url)

    def check_writable(self) -> None:
        """Begin a transaction that could write what a report records, and leave it.

        Raises
        ------
        DataError
            Where nothing can be written, or this user may not.
        """
        wanted = [tables.EVENTS.name, tables.PROPOSALS.name]
        with write_transaction(self.engine) as connection:
            denied = not may_change(connection, wanted, "INSERT")
        if denied:
            do = "Run the command as the ledger's owner to record it."
            got = "a role that may only read"
            raise DataError(error_message(f"The ledger {self.place}", "be writable", got, do))

    def history(self, entity: str | None = None, id: str | None = None) -> pd.DataFrame:
        """Return the events in order: entity, id, what, from, to, by, at, note.

        Parameters
        ----------
        entity
            Only `run`, `reviews`, `draw`, `remediation`, `proposal`, `precedent`, `discovery`, `key`
            or `person`.
        id
            Only this one.
        """
        table = tables.EVENTS.c
        wanted = select(*(table[name] for name in _EVENTS.names)).order_by(table.seq)
        if entity is not None:
            wanted = wanted.where(table.entity == entity)
        if id is not None:
            wanted = wanted.where(table.id == id)
        with read_transaction(self.engine) as connection:
            return rows_to_frame(connection.execute(wanted), _EVENTS)

    def record_discoveries(
        self, period: str, level: float, confirmed: int, *, at: datetime
    ) -> bool:
        """Record at which level a report tested its findings; repeating it adds nothing.

        Parameters
        ----------
        period
            The decisions' first and last day; each period has one level.
        level
            False discovery rate of this report, from `errdetect.stats.multiple_testing`.
        confirmed
            How many findings it confirmed.
        at
            The report's moment.

        Returns
        -------
        bool
            Whether anything was added.
        """
        known = self.history("discovery", period)
        row = {"from": repr(float(level)), "to": str(confirmed)}
        if len(known) and known.iloc[-1][["from", "to"]].to_dict() == row:
            return False
        event = {"entity": "discovery", "id": period, "what": "tested", **row}
        with write_transaction(self.engine) as connection:
            record_events(connection, tables.EVENTS, [event], at)
        return True


def open_ledger(url: str, key: KeySource | None = None) -> Ledger:
    """Open a ledger; create it or upgrade its tables if needed.

    Parameters
    ----------
    url
        `sqlite:///file.db` or `postgresql://user:password@host/name`.
    key
        Returns the key of reviewers' pseudonyms, where it is needed: to record reviews with reviewers, and to
        replace reviewers' ids that an earlier version recorded.

    Raises
    ------
    DataError
        If it cannot be reached or written, or a newer errdetect created it.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with open_ledger(f"sqlite:///{folder}/ledger.db") as ledger:
    ...         len(ledger.queued_decisions())
    0
    """
    engine = open_engine(url)
    _make_private(sqlite_path(url))
    if upgrade_ledger(engine, key):
        erase_traces(engine, list(tables.METADATA.tables))
    return Ledger(engine, key)


def _make_private(file: Path | None) -> None:
    """Create a ledger's file for its owner alone: it holds who reviewed what. SQLite adds others like it.

    One of our own that everybody may read, as earlier versions made it, becomes private too; one that is
    shared with a group stays shared.
    """
    if file is None or str(file) in ("", ".", ":memory:"):
        return
    with contextlib.suppress(OSError):  # it exists, or SQLite says why it cannot be
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    for one in (file, *(file.with_name(file.name + end) for end in ("-wal", "-shm"))):
        with contextlib.suppress(OSError):
            about = one.stat()
            if about.st_mode & 0o007 and about.st_uid == os.geteuid():
                one.chmod(0o600)


def find_ledger(url: str, key: KeySource | None = None) -> Ledger | None:
    """Open a ledger if there is one; never create it. One on read-only storage can be read.

    Parameters
    ----------
    url, key
        As for `open_ledger`.

    Returns
    -------
    Ledger or None
        None if the SQLite file does not exist, or the database holds no ledger.

    Raises
    ------
    DataError
        As `open_ledger`.

    Examples
    --------
    >>> find_ledger("sqlite:///no/such/ledger.db") is None
    True
    """
    file = sqlite_path(url)
    if file is not None and not file.is_file():
        return None
    engine = open_engine(url, read_only=True)
    with read_transaction(engine) as connection:
        if schema_version(connection) is None:
            return None
    if is_read_only(url) and is_readable(engine):
        return Ledger(engine, key)
    return open_ledger(url, key)
