"""Reading rows from a database batch by batch, and writing a frame to a table atomically."""

import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import pandas as pd
import pyarrow as pa
import pyarrow.types as pat
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Engine,
    MetaData,
    Table,
    Text,
    inspect,
)
from sqlalchemy.types import TypeEngine

from errdetect.data.atomic_writing import to_arrow
from errdetect.data.database_connection import (
    open_engine,
    read_transaction,
    redacted_url,
    write_transaction,
)
from errdetect.data.database_rows import UtcDateTime, dump_json, insert_rows
from errdetect.errors import DataError, error_message, escape_hidden

__all__ = ["IfExists", "read_table_batches", "write_table"]

IfExists = Literal["fail", "replace", "append"]

_QUERY = re.compile(r"\s*(select|with)\s", re.IGNORECASE)
_PART = re.compile(r'"((?:[^"]|"")+)"|([^."]+)')


def read_table_batches(url: str, what: str, *, batch_rows: int) -> Iterator[pa.Table]:
    """Read a table or a query batch by batch; the database is opened to be read only.

    Parameters
    ----------
    url
        `sqlite:///file.db` or `postgresql://user:password@host/name`.
    what
        `table`, `schema.table`, or a query that begins with SELECT or WITH.
    batch_rows
        Most rows of a batch; memory holds one batch at a time.

    Yields
    ------
    pyarrow.Table
        With the types that the batch's values have; times in UTC, decimals as float64.

    Raises
    ------
    DataError
        With the database's message, if it refuses.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     url = f"sqlite:///{folder}/log.db"
    ...     write_table(pd.DataFrame({"n": [1, 2, 3]}), url, "numbers")
    ...     [batch["n"].to_pylist() for batch in read_table_batches(url, "numbers", batch_rows=2)]
    [[1, 2], [3]]
    """
    engine = open_engine(url, read_only=True)
    query = what if _QUERY.match(what) else f"SELECT * FROM {_quote_table_name(engine, what)}"  # noqa: S608
    with read_transaction(engine) as connection:
        options = {"no_parameters": True, "stream_results": True, "max_row_buffer": batch_rows}
        rows = connection.exec_driver_sql(query, execution_options=options)
        names = list(rows.keys())
        for part in rows.partitions(batch_rows):
            columns = zip(*part, strict=True)
            yield pa.Table.from_arrays([_to_arrow_array(list(values)) for values in columns], names)


def write_table(frame: pd.DataFrame, url: str, table: str, *, if_exists: IfExists = "fail") -> None:
    """Write a frame to a database table, whole or not at all.

    Parameters
    ----------
    frame
        Rows; lists and structs become JSON text.
    url
        `sqlite:///file.db` or `postgresql://user:password@host/name`.
    table
        `table` or `schema.table`.
    if_exists
        `fail`, `replace` the table, or `append` to it.

    Raises
    ------
    DataError
        If the table exists and `if_exists` is `fail`, or the database refuses.
    """
    engine = open_engine(url)
    schema, name = _split_table_name(table)
    arrow = to_arrow(frame)
    made = Table(
        name, MetaData(), *(Column(f.name, _sql_type(f.type)) for f in arrow.schema), schema=schema
    )
    rows = zip(*(_sql_values(column) for column in arrow.columns), strict=True)
    with write_transaction(engine) as connection:
        if inspect(connection).has_table(name, schema=schema):
            if if_exists == "fail":
                what = f"The table {escape_hidden(table)} in {redacted_url(url)}"
                do = "Name another, or allow it to be replaced or appended to."
                raise DataError(error_message(what, "not exist yet", "an existing one", do))
            if if_exists == "replace":
                made.drop(connection)
        made.create(connection, checkfirst=True)
        insert_rows(
            connection, made, [dict(zip(arrow.column_names, row, strict=True)) for row in rows]
        )


def _split_table_name(table: str) -> tuple[str | None, str]:
    """Split `schema.table`; a part in double quotes may hold anything."""
    parts = [quoted.replace('""', '"') or bare for quoted, bare in _PART.findall(table)]
    if len(parts) not in (1, 2):
        do = 'Write a name with a dot in it in double quotes: "a.b".'
        raise DataError(error_message("A table", "be named table or schema.table", repr(table), do))
    return (parts[0] if len(parts) == 2 else None), parts[-1]


def _quote_table_name(engine: Engine, table: str) -> str:
    quote = engine.dialect.identifier_preparer.quote_identifier
    return ".".join(quote(part) for part in _split_table_name(table) if part is not None)


def _to_arrow_array(values: list[Any]) -> pa.Array:
    """Convert values to an Arrow array; values of several types become text."""
    first = next((value for value in values if value is not None), None)
    if isinstance(first, Decimal):
        known = [value for value in values if value is not None and value.is_finite()]
        if all(v == v.to_integral_value() for v in known) and any(abs(v) >= 2**53 for v in known):
            # Ids that a float would round.
            exact = [v if v is not None and v.is_finite() else None for v in values]
            return pa.array(exact).cast(pa.decimal256(76, 0))
        return pa.array([None if v is None else float(v) for v in values], pa.float64())
    if isinstance(first, datetime) and first.tzinfo is not None:
        moments = [None if v is None else v.astimezone(UTC) for v in values]
        return pa.array(moments, pa.timestamp("us", tz="UTC"))
    if isinstance(first, UUID):
        return pa.array([None if v is None else str(v) for v in values], pa.large_string())
    try:
        return pa.array(values, from_pandas=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array([_format_value(value) for value in values], pa.large_string())


def _format_value(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, default=str)


def _sql_type(kind: pa.DataType) -> TypeEngine[Any]:
    if pat.is_boolean(kind):
        return Boolean()
    if pat.is_integer(kind):
        return BigInteger()
    if pat.is_floating(kind) or pat.is_decimal(kind):
        return Double()
    return UtcDateTime() if pat.is_timestamp(kind) else Text()


def _sql_values(column: pa.ChunkedArray) -> Sequence[Any]:
    """Convert a column's values to what the database accepts."""
    kind = column.type
    if pat.is_timestamp(kind):
        zoned = column.cast(pa.timestamp("us", tz=kind.tz), safe=False)
        if kind.tz is None:
            zoned = zoned.cast(pa.timestamp("us", tz="UTC"))
        return zoned.to_pylist()  # type: ignore[no-any-return]
    values = column.to_pylist()
    if pat.is_nested(kind):
        return [None if value is None else dump_json(value) for value in values]
    if pat.is_decimal(kind):
        return [None if value is None else float(value) for value in values]
    if pat.is_string(kind) or pat.is_large_string(kind):
        return [None if value is None else value.replace("\0", "\ufffd") for value in values]
    if pat.is_boolean(kind) or pat.is_integer(kind) or pat.is_floating(kind):
        return values  # type: ignore[no-any-return]
    return [None if value is None else str(value) for value in values]
