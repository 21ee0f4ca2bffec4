"""A copy of the ledger as of an earlier moment, in its own file, so that a run can be repeated."""

import hashlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Select, Table, insert, inspect, select

from errdetect.data.database_tables import open_engine, read_transaction, write_transaction
from errdetect.ledger import table_definitions as tables
from errdetect.ledger.ledger import Ledger, find_ledger
from errdetect.ledger.row_conversion import to_utc
from errdetect.ledger.schema_upgrade import upgrade_ledger

__all__ = ["draws_digest", "replicate_ledger", "reviews_digest"]

_BATCH = 20_000
_QUEUED = "queued"  # the arm of decisions that an earlier run queued
_WITHDRAWN = "withdrawn"
_APPLIED = "applied"
#: Table -> the column with a row's time of arrival. Other tables are copied whole.
_CAME = {
    "errdetect_runs": "scored_at",
    "errdetect_queued": "scored_at",
    "errdetect_reviews": "ingested_at",
    "errdetect_remediations": "recorded_at",
    "errdetect_proposals": "created_at",
    "errdetect_audits": "drawn_at",
    "errdetect_draws": "drawn_at",
    "errdetect_precedents": "recorded_at",
    "errdetect_events": "at",
}

Row = dict[str, Any]


def replicate_ledger(url: str, file: Path, *, known_at: datetime, recorded_at: datetime) -> bool:
    """Copy a ledger's content as of a moment into a SQLite file; the ledger is only read.

    Parameters
    ----------
    url
        The ledger's URL.
    file
        Path of the copy; it must not exist yet.
    known_at
        Reviews that arrived before are copied.
    recorded_at
        Runs, queues, draws, remediations, precedents and proposals recorded before are copied, in their state
        then. A run or draw recorded at this very moment is not.

    Returns
    -------
    bool
        Whether there was anything to copy; if not, no file is written.

    Notes
    -----
    The ledger keeps only the latest score of each decision. For one that was scored again later the
    copy knows whether an earlier run had queued it, but not its earlier P(error).
    """
    ledger = find_ledger(url)
    if ledger is None:
        return False
    target = open_engine(f"sqlite:///{file}")
    upgrade_ledger(target)
    copied = 0
    with ledger, read_transaction(ledger.engine) as source, write_transaction(target) as connection:
        there = set(inspect(source).get_table_names())  # an earlier version has fewer
        for table in (one for one in tables.METADATA.sorted_tables if one.name in there):
            batch: list[Row] = []
            for row in _rows_at(source, table, to_utc(known_at), to_utc(recorded_at)):
                batch.append(row)
                if len(batch) == _BATCH:
                    copied += _flush_rows(connection, table, batch)
            copied += _flush_rows(connection, table, batch)
    target.dispose()
    if not copied:
        file.unlink()
    return copied > 0


def reviews_digest(url: str, *, known_at: datetime) -> tuple[int, str] | None:
    """Digest the reviews that a ledger received before a moment.

    Returns
    -------
    (rows, sha256) or None
        None if there is no ledger, or no such review in it.
    """
    ledger = find_ledger(url)
    if ledger is None:
        return None
    table = tables.REVIEWS
    wanted = select(*table.columns).where(table.c.ingested_at < to_utc(known_at))
    return _rows_digest(ledger, wanted.order_by(table.c.review_id))


def draws_digest(url: str, *, drawn_before: datetime) -> tuple[int, str] | None:
    """Digest the drawn decisions that a ledger has from before a moment; see `reviews_digest`."""
    ledger = find_ledger(url)
    if ledger is None:
        return None
    table = tables.DRAWS
    wanted = select(*table.columns).where(table.c.drawn_at < to_utc(drawn_before))
    return _rows_digest(ledger, wanted.order_by(table.c.draw_id, table.c.decision_id))


def _rows_digest(ledger: Ledger, wanted: Select[Any]) -> tuple[int, str] | None:
    digest, count = hashlib.sha256(), 0
    with ledger, read_transaction(ledger.engine) as source:
        for row in source.execute(wanted):
            digest.update(repr(tuple(row)).encode("utf-8", "surrogatepass"))
            count += 1
    return (count, digest.hexdigest()) if count else None


def _flush_rows(connection: Connection, table: Table, batch: list[Row]) -> int:
    """Write a batch and clear it."""
    count = len(batch)
    if batch:
        connection.execute(insert(table), batch)
        batch.clear()
    return count


def _rows_at(
    source: Connection, table: Table, known_at: datetime, recorded_at: datetime
) -> Iterator[Row]:
    """Yield a table's rows as of the moment."""
    before = known_at if table is tables.REVIEWS else recorded_at
    if table is tables.SCORED:
        yield from _scored_rows(source, before)
        return
    wanted = select(table)
    if table.name in _CAME:
        wanted = wanted.where(table.c[_CAME[table.name]] < before)
    states = _proposal_states(source, before) if table is tables.PROPOSALS else {}
    for found in source.execute(wanted).mappings():
        row: Row = dict(found)
        if table is tables.REMEDIATIONS:
            row = _undo_later_withdrawal(row, before)
        elif table is tables.PROPOSALS and row["updated_at"] >= before:
            state = states.get(row["proposal_id"], "proposed")
            effective = row["effective_from"] if state in ("accepted", "closed") else None
            row |= {"state": state, "effective_from": effective}
        yield row


def _undo_later_withdrawal(row: Row, before: datetime) -> Row:
    """Undo a withdrawal that came later."""
    if row["withdrawn_at"] is None or row["withdrawn_at"] < before:
        return row
    status = _APPLIED if row["status"] == _WITHDRAWN else row["status"]
    return row | {"status": status, "withdrawn_at": None, "withdrawn_reason": None}


def _proposal_states(source: Connection, before: datetime) -> dict[str, str]:
    """Return the state that each proposal had, from the history."""
    event = tables.EVENTS.c
    wanted = select(event.id, event.to).where(event.entity == "proposal", event.at < before)
    found = source.execute(wanted.order_by(event.seq))
    return {id_: state for id_, state in found if state is not None}


def _scored_rows(source: Connection, before: datetime) -> Iterator[Row]:
    """Yield the scored decisions; of those scored again since, only whether they had been queued."""
    queue = tables.QUEUED.c
    wanted = select(queue.decision_id, queue.run_id, queue.scored_at).where(
        queue.scored_at < before
    )
    heads = {id_: (run, at) for id_, run, at in source.execute(wanted)}
    for found in source.execute(select(tables.SCORED)).mappings():
        row: Row = dict(found)
        if row["scored_at"] < before:
            yield row
        elif row["arm"] == _QUEUED and row["job_id"] in heads:
            run, at = heads[row["job_id"]]
            yield row | {"run_id": run, "scored_at": at}
