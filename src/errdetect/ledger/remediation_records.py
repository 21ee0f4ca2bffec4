"""Remediations in the ledger: the steps that two people approved, and those withdrawn since."""

import json
import unicodedata
from collections.abc import Sequence
from datetime import datetime

import pandas as pd
import pyarrow as pa
from sqlalchemy import Engine, select, update

from errdetect import schemas
from errdetect.data.database_tables import (
    dump_json,
    read_transaction,
    upsert_rows,
    write_transaction,
)
from errdetect.data.renamed_columns import add_old_columns, use_new_names
from errdetect.errors import Refusal, error_message
from errdetect.ledger import table_definitions as tables
from errdetect.ledger.row_conversion import (
    frame_to_rows,
    id_condition,
    known_states,
    record_events,
    replace_nul,
    require_columns,
    rows_to_frame,
    to_utc,
)

__all__ = [
    "RemediationRecords",
    "require_two_people",
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
_STORED = schemas.RENAMED_COLUMNS["plan"]


class RemediationRecords:
    """The part of a `Ledger` that records remediations."""

    engine: Engine

    def record_remediations(
        self, plan: pd.DataFrame, *, by: str, approved_by: str, at: datetime
    ) -> int:
        """Record the steps of a plan; `planned` steps become `applied`.

        Parameters
        ----------
        plan
            The columns of `schemas.PLAN`.
        by, approved_by
            Who applies it, and a second person who approves.
        at
            When, with a zone.

        Returns
        -------
        int
            Steps recorded: those whose remediation_id is new, or was withdrawn before. Recording
            the same plan again returns 0.

        Raises
        ------
        Refusal
            If both are the same person.
        """
        plan = use_new_names(plan, "plan")
        require_columns(plan, schemas.PLAN.names, "The plan")
        require_two_people(by, approved_by)
        ids = plan["review_ids"].map(lambda one: dump_json([] if one is None else list(one)))
        status = plan["status"].where(plan["status"] != "planned", "applied")
        named = add_old_columns(plan, "plan")  # the table's columns kept their names
        known = named.assign(review_ids=ids, status=status, by=by, approved_by=approved_by)
        rows = frame_to_rows(
            known.assign(recorded_at=pd.Timestamp(to_utc(at))), tables.REMEDIATIONS
        )
        with write_transaction(self.engine) as connection:
            states = known_states(connection, tables.REMEDIATIONS, "status", rows)
            new = [row for row in rows if row["remediation_id"] not in states]
            again = [
                row
                for row in rows
                if states.get(row["remediation_id"]) == "withdrawn" and row["status"] != "withdrawn"
            ]
            upsert_rows(connection, tables.REMEDIATIONS, new)
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
            record_events(connection, tables.EVENTS, events, at)
        return len(events)

    def withdraw_remediations(
        self, ids: Sequence[str], *, reason: str, at: datetime, by: str | None = None
    ) -> int:
        """Withdraw recorded steps, and return how many; unknown ids are ignored."""
        table = tables.REMEDIATIONS
        with write_transaction(self.engine) as connection:
            found = connection.execute(
                select(table.c.remediation_id, table.c.status)
                .where(id_condition(connection, table.c.remediation_id, list(ids)))
                .where(table.c.status != "withdrawn")
                .order_by(table.c.remediation_id)
            ).all()
            standing = [row.remediation_id for row in found]
            connection.execute(
                update(table)
                .where(id_condition(connection, table.c.remediation_id, standing))
                .values(
                    status="withdrawn",
                    withdrawn_at=to_utc(at),
                    withdrawn_reason=replace_nul(reason),
                )
            )
            events = [
                {
                    "entity": "remediation",
                    "id": row.remediation_id,
                    "what": "withdrawn",
                    "from": row.status,
                    "to": "withdrawn",
                    "by": by,
                    "note": replace_nul(reason),
                }
                for row in found
            ]
            record_events(connection, tables.EVENTS, events, at)
        return len(standing)

    def remediations(self) -> pd.DataFrame:
        """Return every recorded step: the columns of `schemas.PLAN`, people, times and withdrawals."""
        table = tables.REMEDIATIONS.c
        columns = [table[_STORED.get(name, name)] for name in _REMEDIATIONS.names]
        at = _REMEDIATIONS.names.index("review_ids")
        with read_transaction(self.engine) as connection:
            found = connection.execute(
                select(*columns).order_by(table.recorded_at, table.remediation_id)
            )
            rows = [[*row[:at], json.loads(row[at]), *row[at + 1 :]] for row in found]
        return rows_to_frame(rows, _REMEDIATIONS)


def require_two_people(by: str, approved_by: str) -> tuple[str, str]:
    """Check that two different people act and approve, and return their names, trimmed.

    Parameters
    ----------
    by, approved_by
        The person who acts, and the one who approved. Case, width and spaces do not matter.

    Raises
    ------
    Refusal
        If a name is empty or both names are the same.

    Examples
    --------
    >>> require_two_people(" Ann ", "Bob")
    ('Ann', 'Bob')
    >>> try:
    ...     require_two_people("Ann Lee", "ann  lee ")
    ... except Refusal as refusal:
    ...     print(refusal)
    --approved-by must name a second person, got the same as --by. Ask someone else to approve.
    """
    names = [" ".join(unicodedata.normalize("NFKC", name).split()) for name in (by, approved_by)]
    for option, name in zip(("--by", "--approved-by"), names, strict=True):
        if not name:
            do = "Name the person responsible."
            raise Refusal(error_message(option, "name a person", "nothing", do))
    if len({"".join(name.split()).casefold() for name in names}) == 1:
        do = "Ask someone else to approve."
        raise Refusal(
            error_message("--approved-by", "name a second person", "the same as --by", do)
        )
    return names[0], names[1]
