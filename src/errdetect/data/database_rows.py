"""Bulk writes to a database, and types that behave the same in every database."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, Connection, DateTime, Dialect, MetaData, Table, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import TypeDecorator, TypeEngine

from errdetect.data.atomic_writing import to_json_value

__all__ = ["Rows", "UtcDateTime", "dump_json", "insert_rows", "upsert_rows"]

Rows = Sequence[dict[str, Any]]

_BATCH = 20_000


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC to the microsecond, with or without the database's support for zones."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Keep the zone where the database can."""
        return dialect.type_descriptor(DateTime(timezone=dialect.name == "postgresql"))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC."""
        if value is None:
            return None
        moment = value.astimezone(UTC)
        return moment if dialect.name == "postgresql" else moment.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Restore the zone."""
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def dump_json(value: object) -> str:
    """Write JSON in one form, also of numpy arrays and numbers; non-finite numbers as null.

    Examples
    --------
    >>> import numpy as np
    >>> dump_json({"b": np.float64("nan"), "a": np.array([1, 2])})
    '{"a": [1, 2], "b": null}'
    """
    return json.dumps(to_json_value(value), ensure_ascii=True, sort_keys=True, allow_nan=False)


def upsert_rows(
    connection: Connection, table: Table, rows: Rows, *, later: Column[Any] | None = None
) -> None:
    """Insert rows whose key is new; leave or update the others.

    Parameters
    ----------
    connection
        In a writing transaction.
    table
        With a key.
    rows
        Dicts with a value for each column.
    later
        A time column: an existing row is replaced unless the new one is older. Without one,
        existing rows stay as they are.
    """
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        _copy_upsert(connection, table, rows, later)
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


def insert_rows(connection: Connection, table: Table, rows: Rows) -> None:
    """Insert rows as they are; a row that the table refuses ends the transaction."""
    if connection.dialect.name != "postgresql":
        for start in range(0, len(rows), _BATCH):
            connection.execute(insert(table), rows[start : start + _BATCH])
        return
    names = [column.name for column in table.columns]
    preparer = connection.dialect.identifier_preparer
    place, listed = preparer.format_table(table), ", ".join(map(preparer.quote, names))
    with (
        _driver_cursor(connection) as raw,
        raw.copy(f"COPY {place} ({listed}) FROM STDIN") as copy,
    ):
        for row in rows:
            copy.write_row([row[name] for name in names])


def _driver_cursor(connection: Connection) -> Any:
    """Return the driver's own cursor, which knows COPY."""
    raw: Any = connection.connection.driver_connection
    return raw.cursor()


def _copy_upsert(
    connection: Connection, table: Table, rows: Rows, later: Column[Any] | None
) -> None:
    """Copy the rows to a temporary table, then insert them in the key's order."""
    names = [column.name for column in table.columns]
    columns = [Column(column.name, column.type) for column in table.columns]
    aside = Table(f"{table.name}_new", MetaData(), *columns, prefixes=["TEMPORARY"])
    aside.create(connection, checkfirst=False)
    insert_rows(connection, aside, rows)
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
