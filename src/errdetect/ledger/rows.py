"""DataFrames to rows and back; types are the contract's, unknown stays unknown."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pyarrow as pa
from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    Connection,
    Double,
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
from sqlalchemy.types import Integer

from errdetect.data.writing import plain_value
from errdetect.errors import DataError, sentence
from errdetect.ledger.tables import Moment

__all__ = ["add", "among", "as_json", "frame_of", "happened", "put", "require", "rows_of", "utc"]


_MOMENT = pa.timestamp("us", tz="UTC")


def rows_of(frame: pd.DataFrame, table: Table) -> list[dict[str, Any]]:
    """Turn a frame into rows of a table; a column that the frame lacks is unknown.

    Parameters
    ----------
    frame
        Rows; columns that the table lacks are passed over.
    table
        Whose columns and types.

    Raises
    ------
    DataError
        If an id holds a NUL character, which no PostgreSQL text can; in other texts it becomes
        the replacement character.
    """
    columns = {column.name: _values(frame, column) for column in table.columns}
    names = list(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def frame_of(rows: Iterable[Sequence[Any]], schema: pa.Schema) -> pd.DataFrame:
    """Turn rows into a frame of these columns and types."""
    listed = list(rows)
    columns = list(zip(*listed, strict=True)) if listed else [()] * len(schema)
    arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
    frame: pd.DataFrame = pa.table(arrays, schema=schema).to_pandas()
    return frame


def require(frame: pd.DataFrame, names: Iterable[str], what: str) -> None:
    """Refuse a frame that lacks a column.

    Raises
    ------
    DataError
        Naming all that it lacks.

    Examples
    --------
    >>> require(pd.DataFrame({"a": []}), ["a", "b", "c"], "The plan")
    Traceback (most recent call last):
    errdetect.errors.DataError: The plan must have the columns b, c, got a. Add them.
    """
    missing = [name for name in names if name not in frame.columns]
    if missing:
        got = ", ".join(map(str, frame.columns)) or "none"
        raise DataError(sentence(what, f"have the columns {', '.join(missing)}", got, "Add them."))


def utc(moment: datetime) -> datetime:
    """Give a moment in UTC as Python's own type; one without a zone is taken as UTC.

    Examples
    --------
    >>> utc(pd.Timestamp("2026-03-01T12:00+02:00")), utc(datetime(2026, 3, 1)).tzinfo
    (datetime.datetime(2026, 3, 1, 10, 0, tzinfo=datetime.timezone.utc), datetime.timezone.utc)
    """
    plain = moment.to_pydatetime(warn=False) if isinstance(moment, pd.Timestamp) else moment
    return plain.replace(tzinfo=UTC) if plain.tzinfo is None else plain.astimezone(UTC)


def as_json(value: object) -> str:
    """Write JSON in one form; arrays and numpy's numbers too, what is no finite number as null.

    Examples
    --------
    >>> import numpy as np
    >>> as_json({"b": np.float64("nan"), "a": np.array([1, 2])})
    '{"a": [1, 2], "b": null}'
    """
    return json.dumps(plain_value(value), ensure_ascii=True, sort_keys=True, allow_nan=False)


def _values(frame: pd.DataFrame, column: Column[Any]) -> list[Any]:
    if column.name not in frame.columns:
        return [None] * len(frame)
    kind = column.type
    if isinstance(kind, Moment):
        moments = pd.to_datetime(frame[column.name], utc=True).dt.tz_convert(None)
        bare = pa.array(moments.to_numpy("datetime64[us]"), pa.timestamp("us"), from_pandas=True)
        return bare.cast(_MOMENT).to_pylist()  # type: ignore[no-any-return]
    if isinstance(kind, Text):
        return _texts(frame[column.name], column)
    if isinstance(kind, Double):
        return pa.Array.from_pandas(frame[column.name], type=pa.float64()).to_pylist()  # type: ignore[no-any-return]
    assert isinstance(kind, Integer), kind
    return pa.Array.from_pandas(frame[column.name], type=pa.int64()).to_pylist()  # type: ignore[no-any-return]


def _texts(values: pd.Series, column: Column[Any]) -> list[str | None]:
    texts: list[str | None] = pa.Array.from_pandas(values, type=pa.large_string()).to_pylist()
    if not any(text is not None and "\0" in text for text in texts):
        return texts
    if column.name.endswith("id"):
        bad = next(text for text in texts if text is not None and "\0" in text)
        do = "Write the ids without it."
        raise DataError(sentence(column.name, "hold no NUL character", repr(bad), do))
    return [None if text is None else text.replace("\0", "\ufffd") for text in texts]


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
