"""Remediations, proposals and their history in the ledger."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pyarrow as pa
from sqlalchemy import Connection, Engine, Table, select, update

from errdetect import schemas
from errdetect.ledger.approval import second_person
from errdetect.ledger import tables
from errdetect.data.store.bulk import among, happened, put
from errdetect.ledger.connection import reading, writing
from errdetect.ledger.rows import as_json, frame_of, require, rows_of, utc
from errdetect.errors import DataError, sentence

__all__ = [
    "add_proposals",
    "history",
    "move_proposal",
    "proposals",
    "record_remediations",
    "remediations",
    "withdraw_remediations",
]

_TIME = pa.timestamp("us", tz="UTC")
_REMEDIATIONS = pa.schema(
    [
        *schemas.PLAN,
        ("by", pa.string()),
        ("approved_by", pa.string()),
        ("recorded_at", _TIME),
        ("withdrawn_at", _TIME),
        ("withdrawn_reason", pa.string()),
    ]
)
_TIMES = ("effective_from", "created_at", "updated_at")
_PROPOSALS = pa.schema(
    [(c.name, _TIME if c.name in _TIMES else pa.string()) for c in tables.PROPOSALS.columns]
)
_GIVEN = ("policy_id", "kind", "title", "rule", "change", "owner", "expected", "finding_id")
_EVENTS = pa.schema(
    [
        (c.name, _TIME if c.name == "at" else pa.string())
        for c in tables.EVENTS.columns
        if c.name != "seq"
    ]
)
#: Where a proposal may go from each state.
_MOVES = {
    "proposed": ("accepted", "rejected"),
    "accepted": ("closed",),
    "rejected": ("closed",),
    "closed": (),
}


def record_remediations(
    engine: Engine, plan: pd.DataFrame, *, by: str, approved_by: str, at: datetime
) -> int:
    """Record the steps of a plan that are new; see `Ledger.record_remediations`."""
    require(plan, schemas.PLAN.names, "The plan")
    second_person(by, approved_by)
    ids = plan["review_ids"].map(lambda one: as_json([] if one is None else list(one)))
    status = plan["status"].where(plan["status"] != "planned", "applied")
    known = plan.assign(review_ids=ids, status=status, by=by, approved_by=approved_by)
    rows = rows_of(known.assign(recorded_at=pd.Timestamp(utc(at))), tables.REMEDIATIONS)
    with writing(engine) as connection:
        states = _states(connection, tables.REMEDIATIONS, "status", rows)
        new = [row for row in rows if row["remediation_id"] not in states]
        again = [
            row
            for row in rows
            if states.get(row["remediation_id"]) == "withdrawn" and row["status"] != "withdrawn"
        ]
        put(connection, tables.REMEDIATIONS, new)
        for row in again:
            key = tables.REMEDIATIONS.c.remediation_id == row["remediation_id"]
            connection.execute(update(tables.REMEDIATIONS).where(key).values(**row))
        events = [
            {
                "entity": "remediation",
                "id": row["remediation_id"],
                "what": "recorded",
                "from": states.get(row["remediation_id"]),
                "to": row["status"],
                "by": by,
                "note": f"approved by {approved_by}",
            }
            for row in (*new, *again)
        ]
        happened(connection, tables.EVENTS, events, at)
    return len(events)


def withdraw_remediations(
    engine: Engine, ids: Sequence[str], *, reason: str, at: datetime, by: str | None = None
) -> int:
    """Take steps back out; see `Ledger.withdraw_remediations`."""
    table = tables.REMEDIATIONS
    with writing(engine) as connection:
        found = connection.execute(
            select(table.c.remediation_id, table.c.status)
            .where(among(connection, table.c.remediation_id, list(ids)))
            .where(table.c.status != "withdrawn")
            .order_by(table.c.remediation_id)
        ).all()
        standing = [row.remediation_id for row in found]
        connection.execute(
            update(table)
            .where(among(connection, table.c.remediation_id, standing))
            .values(status="withdrawn", withdrawn_at=utc(at), withdrawn_reason=_clean(reason))
        )
        events = [
            {
                "entity": "remediation",
                "id": row.remediation_id,
                "what": "withdrawn",
                "from": row.status,
                "to": "withdrawn",
                "by": by,
                "note": _clean(reason),
            }
            for row in found
        ]
        happened(connection, tables.EVENTS, events, at)
    return len(standing)


def remediations(engine: Engine) -> pd.DataFrame:
    """Return every step ever recorded, in the order of recording, then by id."""
    table = tables.REMEDIATIONS.c
    columns = [table[name] for name in _REMEDIATIONS.names]
    at = _REMEDIATIONS.names.index("review_ids")
    with reading(engine) as connection:
        found = connection.execute(
            select(*columns).order_by(table.recorded_at, table.remediation_id)
        )
        rows = [[*row[:at], json.loads(row[at]), *row[at + 1 :]] for row in found]
    return frame_of(rows, _REMEDIATIONS)


def add_proposals(engine: Engine, frame: pd.DataFrame, *, at: datetime | None = None) -> int:
    """Add proposals whose proposal_id is new; see `Ledger.add_proposals`."""
    require(frame, ["proposal_id"], "The proposals")
    moment = utc(at or datetime.now(UTC))
    given = frame[[name for name in ("proposal_id", *_GIVEN) if name in frame]]
    if "expected" in given:
        texts = [one if isinstance(one, str) else as_json(one) for one in given["expected"]]
        given = given.assign(expected=pd.Series(texts, given.index, dtype="str"))
    stamped = given.assign(state="proposed", created_at=moment, updated_at=moment)
    rows = rows_of(stamped, tables.PROPOSALS)
    with writing(engine) as connection:
        states = _states(connection, tables.PROPOSALS, "state", rows)
        unique = {row["proposal_id"]: row for row in reversed(rows)}
        new = [row for key, row in reversed(unique.items()) if key not in states]
        put(connection, tables.PROPOSALS, new)
        events = [
            {
                "entity": "proposal",
                "id": row["proposal_id"],
                "what": "added",
                "to": "proposed",
            }
            for row in new
        ]
        happened(connection, tables.EVENTS, events, moment)
    return len(new)


def proposals(engine: Engine) -> pd.DataFrame:
    """Return every proposal, oldest first, then by id."""
    table = tables.PROPOSALS.c
    columns = [table[name] for name in _PROPOSALS.names]
    with reading(engine) as connection:
        found = connection.execute(select(*columns).order_by(table.created_at, table.proposal_id))
        return frame_of(found, _PROPOSALS)


def move_proposal(
    engine: Engine,
    proposal_id: str,
    to: str,
    *,
    by: str,
    at: datetime,
    effective_from: datetime | None = None,
    note: str = "",
) -> None:
    """Move a proposal on; see `Ledger.move_proposal`."""
    table = tables.PROPOSALS
    if not by.strip():
        do = "Say who decides."
        raise DataError(sentence("A proposal's move", "name who makes it", "nobody", do))
    with writing(engine) as connection:
        row = {"proposal_id": proposal_id}
        state = _states(connection, table, "state", [row]).get(proposal_id)
        _refuse_move(proposal_id, state, to, effective_from)
        values: dict[str, Any] = {"state": to, "updated_at": utc(at)}
        if effective_from is not None:
            values["effective_from"] = utc(effective_from)
        connection.execute(update(table).where(table.c.proposal_id == proposal_id).values(**values))
        event = {"entity": "proposal", "id": proposal_id, "what": "moved", "from": state, "to": to}
        event |= {"by": _clean(by), "note": _clean(note) or None}
        happened(connection, tables.EVENTS, [event], at)


def history(engine: Engine, entity: str | None = None, id: str | None = None) -> pd.DataFrame:
    """Return what happened, in order; see `Ledger.history`."""
    table = tables.EVENTS.c
    wanted = select(*(table[name] for name in _EVENTS.names)).order_by(table.seq)
    if entity is not None:
        wanted = wanted.where(table.entity == entity)
    if id is not None:
        wanted = wanted.where(table.id == id)
    with reading(engine) as connection:
        return frame_of(connection.execute(wanted), _EVENTS)


def _states(
    connection: Connection, table: Table, column: str, rows: Iterable[dict[str, Any]]
) -> dict[str, str]:
    """Return the state of those that are known."""
    (key,) = table.primary_key
    ids = [row[key.name] for row in rows]
    found = connection.execute(select(key, table.c[column]).where(among(connection, key, ids)))
    return {row[0]: row[1] for row in found}


def _refuse_move(
    proposal_id: str, state: str | None, to: str, effective_from: datetime | None
) -> None:
    what = f"The proposal {proposal_id!r}"
    if state is None:
        do = "List them: errdetect proposals CONFIG."
        raise DataError(sentence(what, "be in the ledger", "no such proposal", do))
    if to not in _MOVES[state]:
        then = " or ".join(_MOVES[state])
        must = f"be moved to {then}" if then else "stay closed"
        do = "The order is: proposed, then accepted or rejected, then closed."
        raise DataError(sentence(f"{what}, which is {state},", must, repr(to), do))
    if to == "accepted" and effective_from is None:
        do = "Give the date: what the change does is measured from there."
        raise DataError(
            sentence(f"{what}, to be accepted,", "say when it takes effect", "no date", do)
        )


def _clean(words: str) -> str:
    return words.replace("\0", "\ufffd")
