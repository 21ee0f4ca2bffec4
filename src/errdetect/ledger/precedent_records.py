"""Precedents in the ledger: how a policy's clause was ruled to apply to a decision."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pyarrow as pa
from sqlalchemy import Connection, Engine, func, inspect, select

from errdetect.data.database_tables import read_transaction, upsert_rows, write_transaction
from errdetect.ledger import table_definitions as tables
from errdetect.ledger.row_conversion import (
    frame_to_rows,
    id_condition,
    record_events,
    require_columns,
    rows_to_frame,
    to_utc,
)

__all__ = ["PrecedentRecords"]

_TIME = pa.timestamp("us", tz="UTC")
_TIMES = ("ruled_at", "recorded_at")
_PRECEDENTS = pa.schema(
    [(c.name, _TIME if c.name in _TIMES else pa.string()) for c in tables.PRECEDENTS.columns]
)
#: What makes two rulings the same one.
_IDENTITY = ("policy_id", "decision_id", "ruling", "correct_policy_id", "reason", "clause")


class PrecedentRecords:
    """The part of a `Ledger` that records the rulings of calibration sessions."""

    engine: Engine

    def add_precedents(self, frame: pd.DataFrame, *, at: datetime | None = None) -> int:
        """Add rulings that are new, and return how many; the same ruling again adds nothing.

        Parameters
        ----------
        frame
            session_id, policy_id, decision_id, ruling and, where known, policy_version, clause,
            correct_policy_id, reason, facts (JSON text), by, ruled_at.
        at
            When, with a zone; default now.
        """
        needed = ["session_id", "policy_id", "decision_id", "ruling"]
        require_columns(frame, needed, "The rulings")
        moment = to_utc(at or datetime.now(UTC))
        table = tables.PRECEDENTS
        ruled = frame["ruled_at"] if "ruled_at" in frame else pd.Series(pd.NaT, index=frame.index)
        facts = frame["facts"] if "facts" in frame else pd.Series("{}", index=frame.index)
        given = frame.assign(
            facts=facts.fillna("{}"),
            ruled_at=_or_moment(ruled, moment),
            recorded_at=pd.Timestamp(moment),
            precedent_id="",
        )
        rows = frame_to_rows(given, table)
        with write_transaction(self.engine) as connection:
            new = _changed_rulings(connection, rows)
            upsert_rows(connection, table, new)
            events = [
                {"entity": "precedent", "id": r["precedent_id"], "what": "ruled", "to": r["ruling"]}
                for r in new
            ]
            record_events(connection, tables.EVENTS, events, moment)
        return len(new)

    def precedents(self, *, before: datetime | None = None) -> pd.DataFrame:
        """Return the ruling that holds of each policy and decision: the latest one, newest first.

        Parameters
        ----------
        before
            Only rulings recorded before this moment; None for all.

        Returns
        -------
        pandas.DataFrame
            The columns of the table; empty where the ledger is of a version without precedents, or this
            user may not read them.
        """
        table = tables.PRECEDENTS
        wanted = select(*table.columns)
        if before is not None:
            wanted = wanted.where(table.c.recorded_at < to_utc(before))
        order = (table.c.ruled_at.desc(), table.c.recorded_at.desc(), table.c.precedent_id)
        with read_transaction(self.engine) as connection:
            readable = _is_readable(connection, table.name)
            found = list(connection.execute(wanted.order_by(*order))) if readable else []
        frame = rows_to_frame(found, _PRECEDENTS)
        return frame.drop_duplicates(["policy_id", "decision_id"], ignore_index=True)


def _changed_rulings(connection: Connection, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rulings that differ from the one that holds, each with its id.

    The id rests on the ruling before it, so that a ruling can return to an earlier one.
    """
    table = tables.PRECEDENTS
    columns = [table.c[name] for name in ("precedent_id", *_IDENTITY)]
    policies = sorted({row["policy_id"] for row in rows})
    wanted = select(*columns).where(id_condition(connection, table.c.policy_id, policies))
    held: dict[tuple[str, str], tuple[str, list[Any]]] = {}
    for found in connection.execute(wanted.order_by(table.c.ruled_at, table.c.recorded_at)):
        held[found.policy_id, found.decision_id] = (found.precedent_id, list(found[1:]))
    new = []
    for row in rows:
        place, content = (row["policy_id"], row["decision_id"]), [row[name] for name in _IDENTITY]
        former, known = held.get(place, ("", None))
        if known == content:
            continue
        made = json.dumps([former, *content], ensure_ascii=True)
        row["precedent_id"] = f"R-{hashlib.sha256(made.encode()).hexdigest()[:12]}"
        held[place] = (row["precedent_id"], content)
        new.append(row)
    return new


def _is_readable(connection: Connection, name: str) -> bool:
    """Return whether the table is there, and this user may read it."""
    if not inspect(connection).has_table(name):
        return False
    if connection.dialect.name != "postgresql":
        return True
    return bool(connection.execute(select(func.has_table_privilege(name, "SELECT"))).scalar())


def _or_moment(times: "pd.Series[Any]", moment: datetime) -> list[datetime]:
    """Return when each ruling was made; where nothing says so, the moment of its recording."""
    known = pd.to_datetime(times, utc=True)
    return [
        moment if missing else to_utc(one) for one, missing in zip(known, known.isna(), strict=True)
    ]
