"""Many rows at once: COPY on PostgreSQL, batches on SQLite; lists of ids as one parameter."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    Connection,
    MetaData,
    Table,
    Text,
    any_,
    bindparam,
    func,
    insert,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from errdetect.ledger.rows import utc

__all__ = ["add", "among", "happened", "put"]

_BATCH = 20_000

Rows = Sequence[dict[str, Any]]


def among(connection: Connection, column: Column[Any], ids: Sequence[str]) -> ColumnElement[bool]:
    """Say that a column is one of the ids, however many: they travel as one parameter."""
    if connection.dialect.name == "postgresql":
        return column == any_(bindparam(None, list(ids), type_=ARRAY(Text)))
    inside = func.json_each(json.dumps(list(ids))).table_valued("value")
    return column.in_(select(inside.c.value))


def put(
    connection: Connection, table: Table, rows: Rows, *, later: Column[Any] | None = None
) -> None:
    """Add rows whose key is new; of known ones, leave or update the row.

    Parameters
    ----------
    connection
        In a writing transaction.
    table
        With a key.
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


def add(connection: Connection, table: Table, rows: Rows) -> None:
    """Add rows as they are; one that the table refuses ends the transaction."""
    if connection.dialect.name != "postgresql":
        for start in range(0, len(rows), _BATCH):
            connection.execute(insert(table), rows[start : start + _BATCH])
        return
    names = [column.name for column in table.columns]
    preparer = connection.dialect.identifier_preparer
    place, listed = preparer.format_table(table), ", ".join(map(preparer.quote, names))
    with (
        _cursor(connection) as raw,
        raw.copy(f"COPY {place} ({listed}) FROM STDIN") as copy,
    ):
        for row in rows:
            copy.write_row([row[name] for name in names])


def _cursor(connection: Connection) -> Any:
    """Return the driver's own cursor, which knows COPY."""
    raw: Any = connection.connection.driver_connection
    return raw.cursor()


def _copy(connection: Connection, table: Table, rows: Rows, later: Column[Any] | None) -> None:
    """Copy the rows aside, then take them over in the key's order."""
    names = [column.name for column in table.columns]
    columns = [Column(column.name, column.type) for column in table.columns]
    aside = Table(f"{table.name}_new", MetaData(), *columns, prefixes=["TEMPORARY"])
    aside.create(connection, checkfirst=False)
    add(connection, aside, rows)
    key = list(table.primary_key)
    found = select(*aside.columns).order_by(*(aside.c[column.name] for column in key))
    statement = postgresql.insert(table).from_select(names, found)
    if later is None:
        statement = statement.on_conflict_do_nothing(index_elements=key)
    else:
        new = statement.excluded
        statement = statement.on_conflict_do_update(
            index_elements=key, set_=dict(new.items()), where=new[later.name] >= later
        )
    connection.execute(statement)
    aside.drop(connection, checkfirst=False)


def happened(connection: Connection, table: Table, rows: Rows, at: datetime) -> None:
    """Add to the history what happened at a moment; `seq` follows the order of the rows."""
    blank = {"from": None, "to": None, "by": None, "note": None, "at": utc(at)}
    if rows:
        connection.execute(insert(table), [blank | row for row in rows])
