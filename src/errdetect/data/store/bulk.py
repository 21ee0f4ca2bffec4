"""Many rows at once: COPY on PostgreSQL, batches on SQLite; lists of ids as one parameter."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    Connection,
    Select,
    Table,
    Text,
    bindparam,
    func,
    insert,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite

__all__ = ["among", "happened", "put"]

_BATCH = 20_000

Rows = Sequence[dict[str, Any]]


def among(connection: Connection, column: Column[Any], ids: Sequence[str]) -> ColumnElement[bool]:
    """Say that a column is one of the ids, however many: they travel as one parameter."""
    inside: Select[Any]
    if connection.dialect.name == "postgresql":
        inside = select(func.unnest(bindparam(None, list(ids), type_=ARRAY(Text))))
    else:
        inside = select(func.json_each(json.dumps(list(ids))).table_valued("value").c.value)
    return column.in_(inside)


def put(
    connection: Connection, table: Table, rows: Rows, *, later: Column[Any] | None = None
) -> None:
    """Add rows whose key is new; of known ones, leave or update the row.

    Parameters
    ----------
    connection
        In a writing transaction.
    table
        With a key of one column.
    rows
        Dicts with a value for each column.
    later
        A column of time: a known row is replaced where the new one is not older by it. Without
        one, known rows stay as they are.
    """
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        _copy(connection, table, rows, later)
        return
    statement = sqlite.insert(table)
    key = list(table.primary_key)
    if later is None:
        statement = statement.on_conflict_do_nothing(index_elements=key)
    else:
        new = statement.excluded
        statement = statement.on_conflict_do_update(
            index_elements=key, set_=dict(new.items()), where=new[later.name] >= later
        )
    for start in range(0, len(rows), _BATCH):
        connection.execute(statement, rows[start : start + _BATCH])


def _copy(connection: Connection, table: Table, rows: Rows, later: Column[Any] | None) -> None:
    """Copy the rows aside, then take them over in the key's order."""
    names = [column.name for column in table.columns]
    aside = Table(
        f"{table.name}_new",
        type(table.metadata)(),
        *(Column(c.name, c.type) for c in table.columns),
    )
    quote = connection.dialect.identifier_preparer.quote
    connection.execute(text(f"CREATE TEMP TABLE {aside.name} (LIKE {table.name}) ON COMMIT DROP"))
    listed = ", ".join(map(quote, names))
    raw = connection.connection.cursor()
    with raw.copy(f"COPY pg_temp.{aside.name} ({listed}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row([row[name] for name in names])
    raw.close()
    (key,) = table.primary_key
    found = select(*aside.columns).order_by(aside.c[key.name])
    statement = postgresql.insert(table).from_select(names, found)
    if later is None:
        statement = statement.on_conflict_do_nothing(index_elements=[key])
    else:
        new = statement.excluded
        statement = statement.on_conflict_do_update(
            index_elements=[key], set_=dict(new.items()), where=new[later.name] >= later
        )
    connection.execute(statement)
    connection.execute(text(f"DROP TABLE pg_temp.{aside.name}"))


def happened(connection: Connection, table: Table, rows: Rows, at: datetime) -> None:
    """Add to the history what happened at a moment; `seq` follows the order of the rows."""
    blank = {"from": None, "to": None, "by": None, "note": None, "at": at.astimezone(UTC)}
    if rows:
        connection.execute(insert(table), [blank | row for row in rows])
