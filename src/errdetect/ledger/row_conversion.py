"""DataFrames to rows and back; types are the contract's, missing stays missing."""

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
    Table,
    Text,
    any_,
    bindparam,
    func,
    insert,
    select,
)
from sqlalchemy.types import Integer

from errdetect.data.database_tables import UtcDateTime
from errdetect.errors import DataError, error_message

__all__ = [
    "frame_to_columns",
    "frame_to_rows",
    "id_condition",
    "known_states",
    "record_events",
    "replace_nul",
    "require_columns",
    "rows_to_frame",
    "to_utc",
]


_MOMENT = pa.timestamp("us", tz="UTC")


def frame_to_rows(frame: pd.DataFrame, table: Table) -> list[dict[str, Any]]:
    """Convert a frame to rows of a table; columns that the frame lacks are missing.

    Parameters
    ----------
    frame
        Rows; columns that the table lacks are ignored.
    table
        Gives the columns and types.

    Raises
    ------
    DataError
        If an id holds a NUL character, which PostgreSQL refuses; in other texts it becomes the
        replacement character.
    """
    columns = frame_to_columns(frame, table)
    names = list(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def frame_to_columns(frame: pd.DataFrame, table: Table) -> dict[str, list[Any]]:
    """Convert a frame to values of a table's columns, as `frame_to_rows` does."""
    return {column.name: _column_values(frame, column) for column in table.columns}


def rows_to_frame(rows: Iterable[Sequence[Any]], schema: pa.Schema) -> pd.DataFrame:
    """Convert rows to a frame with these columns and types.

    Raises
    ------
    DataError
        Where a damaged database holds values that no version of errdetect has written.
    """
    try:
        listed = list(rows)
        columns = list(zip(*listed, strict=True)) if listed else [()] * len(schema)
        arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
    except (ValueError, TypeError) as error:
        must, got = (
            f"hold values of its columns ({', '.join(schema.names[:4])}, ...)",
            str(error)[:120],
        )
        do = "It is damaged: restore it from a backup."
        raise DataError(error_message("The ledger", must, got, do)) from error
    frame: pd.DataFrame = pa.table(arrays, schema=schema).to_pandas()
    return frame


def require_columns(frame: pd.DataFrame, names: Iterable[str], what: str) -> None:
    """Refuse a frame that lacks a column.

    Raises
    ------
    DataError
        Naming all missing columns.

    Examples
    --------
    >>> require_columns(pd.DataFrame({"a": []}), ["a", "b", "c"], "The plan")
    Traceback (most recent call last):
    errdetect.errors.DataError: The plan must have the columns b, c, got a. Add them.
    """
    missing = [name for name in names if name not in frame.columns]
    if missing:
        got = ", ".join(map(str, frame.columns)) or "none"
        raise DataError(
            error_message(what, f"have the columns {', '.join(missing)}", got, "Add them.")
        )


def to_utc(moment: datetime) -> datetime:
    """Convert a moment to UTC as Python's own type; without a zone it is taken as UTC.

    Examples
    --------
    >>> to_utc(pd.Timestamp("2026-03-01T12:00+02:00")), to_utc(datetime(2026, 3, 1)).tzinfo
    (datetime.datetime(2026, 3, 1, 10, 0, tzinfo=datetime.timezone.utc), datetime.timezone.utc)
    """
    plain = moment.to_pydatetime(warn=False) if isinstance(moment, pd.Timestamp) else moment
    return plain.replace(tzinfo=UTC) if plain.tzinfo is None else plain.astimezone(UTC)


def _column_values(frame: pd.DataFrame, column: Column[Any]) -> list[Any]:
    if column.name not in frame.columns:
        return [None] * len(frame)
    kind = column.type
    if isinstance(kind, UtcDateTime):
        moments = pd.to_datetime(frame[column.name], utc=True).dt.tz_convert(None)
        bare = pa.array(moments.to_numpy("datetime64[us]"), pa.timestamp("us"), from_pandas=True)
        return bare.cast(_MOMENT).to_pylist()  # type: ignore[no-any-return]
    if isinstance(kind, Text):
        return _json_texts(frame[column.name], column)
    if isinstance(kind, Double):
        return pa.Array.from_pandas(frame[column.name], type=pa.float64()).to_pylist()  # type: ignore[no-any-return]
    assert isinstance(kind, Integer), kind
    return pa.Array.from_pandas(frame[column.name], type=pa.int64()).to_pylist()  # type: ignore[no-any-return]


def _json_texts(values: pd.Series, column: Column[Any]) -> list[str | None]:
    texts: list[str | None] = pa.Array.from_pandas(values, type=pa.large_string()).to_pylist()
    if not any(text is not None and "\0" in text for text in texts):
        return texts
    if column.name.endswith("id"):
        bad = next(text for text in texts if text is not None and "\0" in text)
        do = "Write the ids without it."
        raise DataError(error_message(column.name, "hold no NUL character", repr(bad), do))
    return [None if text is None else text.replace("\0", "\ufffd") for text in texts]


Rows = Sequence[dict[str, Any]]


def id_condition(
    connection: Connection, column: Column[Any], ids: Sequence[str]
) -> ColumnElement[bool]:
    """Return the condition that a column is one of the ids; all ids are one parameter."""
    if connection.dialect.name == "postgresql":
        return column == any_(bindparam(None, list(ids), type_=ARRAY(Text)))
    inside = func.json_each(json.dumps(list(ids))).table_valued("value")
    return column.in_(select(inside.c.value))


def record_events(connection: Connection, table: Table, rows: Rows, at: datetime) -> None:
    """Add events at a moment to the history; `seq` follows the order of the rows."""
    blank = {"from": None, "to": None, "by": None, "note": None, "at": to_utc(at)}
    if rows:
        connection.execute(insert(table), [blank | row for row in rows])


def known_states(
    connection: Connection, table: Table, column: str, rows: Iterable[dict[str, Any]]
) -> dict[str, str]:
    """Return the state in `column` of each row that a table holds, by its key."""
    (key,) = table.primary_key
    ids = [row[key.name] for row in rows]
    found = connection.execute(
        select(key, table.c[column]).where(id_condition(connection, key, ids))
    )
    return {row[0]: row[1] for row in found}


def replace_nul(words: str) -> str:
    """Replace the NUL character, which PostgreSQL refuses."""
    return words.replace("\0", "\ufffd")
