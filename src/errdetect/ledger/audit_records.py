"""Audit draws in the ledger: each draw with its receipt, and the decisions that it drew."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd
import pyarrow as pa
from sqlalchemy import Connection, Engine, select

from errdetect import schemas
from errdetect.data.database_tables import (
    dump_json,
    read_transaction,
    upsert_rows,
    write_transaction,
)
from errdetect.errors import DataError, error_message
from errdetect.ledger import table_definitions as tables
from errdetect.ledger.row_conversion import (
    frame_to_rows,
    record_events,
    require_columns,
    rows_to_frame,
    to_utc,
)

__all__ = ["AuditDraw", "AuditRecords"]


_TYPES = {
    "string": pa.large_string(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "number": pa.float64(),
}
_DRAWS = pa.schema([(column.name, _TYPES[column.kind]) for column in schemas.DRAWS])
_AUDITS = pa.schema(
    [(c.name, _TYPES["timestamp" if c.name.endswith("_at") else "string"]) for c in tables.AUDITS.c]
)


@dataclass(frozen=True)
class AuditDraw:
    """One draw of an audit.

    Parameters
    ----------
    draw_id
        Its id.
    drawn_at, due_at
        When it was drawn, and by when its reviews are due (None where that is open); with a zone.
    by
        Who drew it.
    receipt
        JSON values: what it takes to draw it again.
    """

    draw_id: str
    drawn_at: datetime
    due_at: datetime | None
    by: str
    receipt: Mapping[str, Any]


class AuditRecords:
    """The part of a `Ledger` that records audit draws."""

    engine: Engine

    def record_draw(self, draw: AuditDraw, drawn: pd.DataFrame) -> int:
        """Record an audit draw, and return how many decisions were added; 0 if it is known.

        Parameters
        ----------
        draw
            The draw with its receipt.
        drawn
            decision_id and inclusion_probability of each drawn decision.

        Raises
        ------
        DataError
            If the draw_id is known with other decisions or probabilities.
        """
        require_columns(drawn, ["decision_id", "inclusion_probability"], "The draw")
        moments = {"drawn_at": draw.drawn_at, "due_at": draw.due_at}
        times = {n: None if m is None else pd.Timestamp(to_utc(m)) for n, m in moments.items()}
        rows = frame_to_rows(drawn.assign(draw_id=draw.draw_id, **times), tables.DRAWS)
        receipt = {"by": [draw.by], "receipt": [dump_json(draw.receipt)]}
        head = {"draw_id": [draw.draw_id], **{n: [t] for n, t in times.items()}, **receipt}
        with write_transaction(self.engine) as connection:
            known = _drawn_probabilities(connection, draw.draw_id)
            if known is not None:
                _refuse_other_draw(draw.draw_id, known, rows)
                return 0
            upsert_rows(connection, tables.AUDITS, frame_to_rows(pd.DataFrame(head), tables.AUDITS))
            upsert_rows(connection, tables.DRAWS, rows)
            event = {"entity": "draw", "id": draw.draw_id, "what": "recorded", "by": draw.by}
            event |= {"note": f"{len(rows):,} decisions"}
            record_events(connection, tables.EVENTS, [event], draw.drawn_at)
        return len(rows)

    def draws(self, *, before: datetime | None = None) -> pd.DataFrame:
        """Return the drawn decisions of every draw (drawn before a moment): `schemas.DRAWS`."""
        table = tables.DRAWS.c
        wanted = select(*(table[name] for name in _DRAWS.names))
        if before is not None:
            wanted = wanted.where(table.drawn_at < to_utc(before))
        order = (table.drawn_at, table.draw_id, table.decision_id)
        with read_transaction(self.engine) as connection:
            return rows_to_frame(connection.execute(wanted.order_by(*order)), _DRAWS)

    def audits(self) -> pd.DataFrame:
        """Return every draw by time: draw_id, drawn_at, due_at, by, receipt (JSON)."""
        table = tables.AUDITS.c
        wanted = select(*(table[name] for name in _AUDITS.names))
        with read_transaction(self.engine) as connection:
            found = connection.execute(wanted.order_by(table.drawn_at, table.draw_id))
            return rows_to_frame(found, _AUDITS)


def _drawn_probabilities(connection: Connection, draw_id: str) -> dict[str, float] | None:
    """Return the probabilities of a recorded draw by decision; None if it is not recorded."""
    audits, table = tables.AUDITS.c, tables.DRAWS.c
    if not connection.execute(select(audits.draw_id).where(audits.draw_id == draw_id)).all():
        return None
    wanted = select(table.decision_id, table.inclusion_probability)
    found = connection.execute(wanted.where(table.draw_id == draw_id))
    return {row.decision_id: row.inclusion_probability for row in found}


def _refuse_other_draw(draw_id: str, known: dict[str, float], rows: list[dict[str, Any]]) -> None:
    given = {row["decision_id"]: row["inclusion_probability"] for row in rows}
    if given == known:
        return
    do = "Give the draw an id of its own; a recorded draw never changes."
    got = f"{len(known):,} decisions, now {len(given):,} with other ids or probabilities"
    what = f"The draw {json.dumps(draw_id)}"
    raise DataError(error_message(what, "be the one that the ledger has", got, do))
