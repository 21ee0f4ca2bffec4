"""Databases: connections, bulk writes, batches of rows, and frames written to a table atomically."""

import json
import os
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote, quote_plus, unquote
from uuid import UUID

import pandas as pd
import pyarrow as pa
import pyarrow.types as pat
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Dialect,
    Double,
    Engine,
    MetaData,
    Table,
    Text,
    create_engine,
    event,
    func,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool
from sqlalchemy.types import TypeDecorator, TypeEngine

from errdetect.data.atomic_writing import to_arrow, to_json_value
from errdetect.errors import DataError, error_message, escape_hidden

__all__ = [
    "DATABASE_ERRORS",
    "IfExists",
    "Rows",
    "UtcDateTime",
    "dump_json",
    "enable_wal",
    "erase_traces",
    "insert_rows",
    "is_read_only",
    "may_change",
    "open_engine",
    "read_table_batches",
    "read_transaction",
    "redacted_url",
    "sqlite_path",
    "translate_database_errors",
    "upsert_columns",
    "upsert_rows",
    "write_table",
    "write_transaction",
]

Rows = Sequence[dict[str, Any]]

_BATCH = 20_000
#: Seconds that a writer waits for another.
_PATIENCE = 600
_WRITES = "errdetect_writes"
#: The lock that every writer of a ledger holds on PostgreSQL: "errdetect" as a 64-bit number.
_LOCK = int.from_bytes(b"errdetec", "big") >> 1
#: What opening or reading a database can raise.
DATABASE_ERRORS: Final = (sqlite3.Error, SQLAlchemyError)
_SQLITE = "sqlite:///"
_LOOKS = "look like postgresql://user@host/name or sqlite:///file.db"
IfExists = Literal["fail", "replace", "append"]

_QUERY = re.compile(r"\s*(select|with)\s", re.IGNORECASE)
_PART = re.compile(r'"((?:[^"]|"")+)"|([^."]+)')


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


def upsert_columns(
    connection: Connection,
    table: Table,
    columns: Mapping[str, Sequence[Any]],
    *,
    later: Column[Any],
) -> None:
    """Do the same as `upsert_rows` with many rows by column, in SQLite without a dict a row.

    Parameters
    ----------
    connection, table, later
        As for `upsert_rows`.
    columns
        Values of every column, of equal length; equal moments are the same object.
    """
    if connection.dialect.name == "postgresql":
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        upsert_rows(connection, table, rows, later=later)
        return
    values = dict(columns)
    for column in table.columns:
        bind = column.type.dialect_impl(connection.dialect).bind_processor(connection.dialect)
        if isinstance(column.type, UtcDateTime) and bind is not None:
            written = {moment: bind(moment) for moment in set(values[column.name])}
            values[column.name] = [written[moment] for moment in values[column.name]]
    names = [column.name for column in table.columns]
    preparer = connection.dialect.identifier_preparer
    place, listed = preparer.format_table(table), ", ".join(map(preparer.quote, names))
    key = ", ".join(preparer.quote(column.name) for column in table.primary_key)
    put = ", ".join(f"{preparer.quote(n)} = excluded.{preparer.quote(n)}" for n in names)
    newest = preparer.quote(later.name)
    statement = (
        f"INSERT INTO {place} ({listed}) VALUES ({', '.join('?' * len(names))}) "  # noqa: S608
        f"ON CONFLICT ({key}) DO UPDATE SET {put} WHERE excluded.{newest} >= {place}.{newest}"
    )
    raw: Any = connection.connection.driver_connection
    raw.executemany(statement, zip(*(values[name] for name in names), strict=True))


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


def open_engine(url: str, *, read_only: bool = False) -> Engine:
    """Prepare connections to a database; the first is opened when needed.

    Parameters
    ----------
    url
        `sqlite:///file.db` or `postgresql://user:password@host/name`.
    read_only
        Whether SQLite must refuse to write or to create the file.

    Raises
    ------
    DataError
        If the URL is of another kind, or the driver is not installed. The message holds neither
        user nor password.

    Examples
    --------
    >>> open_engine("sqlite:///ledger.db").dialect.name
    'sqlite'
    """
    parsed = _parse_url(url)
    options: dict[str, Any] = {"poolclass": NullPool, "hide_parameters": True}
    if parsed.get_backend_name() == "sqlite":
        if read_only:
            file = Path(parsed.database or "").absolute()
            place = f"file:{quote(str(file))}?mode=ro{'&immutable=1' if _is_frozen(file) else ''}"
            parsed = URL.create("sqlite", database=place, query={"uri": "true"})
        engine = create_engine(parsed, connect_args={"timeout": _PATIENCE}, **options)
        _configure_sqlite(engine)
        return engine
    try:
        return create_engine(parsed, **options)
    except ModuleNotFoundError:
        do = "Run: pip install 'errdetect[postgresql]'"
        got = "an installation without it"
        raise DataError(error_message("PostgreSQL", "have its driver psycopg", got, do)) from None


def redacted_url(url: str | URL) -> str:
    """Return a database's URL without user, password or options.

    Examples
    --------
    >>> redacted_url("postgresql://anna:secret@db.example/shop?sslpassword=x")
    'postgresql://db.example/shop'
    >>> redacted_url("sqlite:////srv/errdetect.db")
    '/srv/errdetect.db'
    """
    parsed = url if isinstance(url, URL) else _parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        file = parsed.database or ":memory:"
        read_only = file.startswith("file:") and file.endswith("?mode=ro")
        return unquote(file[len("file:") : -len("?mode=ro")]) if read_only else file
    port = f":{parsed.port}" if parsed.port else ""
    host = parsed.host or parsed.query.get("host") or "localhost"
    return f"postgresql://{host}{port}/{parsed.database or ''}"


def sqlite_path(url: str) -> Path | None:
    """Return the file that a SQLite URL names; None for another database.

    Examples
    --------
    >>> sqlite_path("sqlite:///a/ledger.db").name, sqlite_path("postgresql://host/shop")
    ('ledger.db', None)
    """
    parsed = _parse_url(url)
    return Path(parsed.database or "") if parsed.get_backend_name() == "sqlite" else None


def is_read_only(url: str) -> bool:
    """Whether a URL names a SQLite file that this user cannot write, or beside which nothing can be.

    Examples
    --------
    >>> is_read_only("sqlite:///no/such/file.db"), is_read_only("postgresql://host/shop")
    (False, False)
    """
    file = sqlite_path(url)
    if file is None or not file.is_file():
        return False
    return not (os.access(file, os.W_OK) and os.access(file.absolute().parent, os.W_OK))


def may_change(
    connection: Connection, tables: Sequence[str], privilege: Literal["INSERT", "DELETE"]
) -> bool:
    """Return whether this user may add or delete rows of all of the tables, in this transaction."""
    if connection.dialect.name != "postgresql":
        return True
    if connection.execute(text("SHOW transaction_read_only")).scalar() == "on":
        return False
    allowed = select(*(func.has_table_privilege(name, privilege) for name in tables))
    return all(connection.execute(allowed).one())


def _is_frozen(file: Path) -> bool:
    """Whether a SQLite file can change no more: a write-ahead log needs files beside it otherwise."""
    log = file.with_name(f"{file.name}-wal")
    return file.is_file() and not log.exists() and not os.access(file.parent, os.W_OK)


@contextmanager
def translate_database_errors(engine: Engine) -> Iterator[None]:
    """Translate database errors into messages without the password.

    Raises
    ------
    DataError
        With the driver's first line.
    """
    try:
        yield
    except (DBAPIError, engine.dialect.loaded_dbapi.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        lines = str(cause).strip().splitlines() or [type(cause).__name__]
        problem, url = escape_hidden(lines[0]), engine.url
        for secret in _url_secrets(url):
            problem = problem.replace(secret, "***")
        do = "Check its address, permissions and state."
        raise DataError(
            f"The database {redacted_url(url)} cannot be used: {problem}. {do}"
        ) from None


@contextmanager
def write_transaction(engine: Engine) -> Iterator[Connection]:
    """Open the one transaction that may write a ledger, committed whole or not at all.

    Writers take turns, in every database: SQLite begins IMMEDIATE, PostgreSQL takes a lock that
    ends with the transaction. So two scorers can neither deadlock nor queue a decision twice.
    """
    with translate_database_errors(engine), engine.connect() as bare:
        connection = bare.execution_options(**{_WRITES: True})
        with connection.begin():
            if engine.dialect.name == "postgresql":
                connection.execute(text(f"SET LOCAL lock_timeout = '{_PATIENCE}s'"))
                connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
            yield connection


@contextmanager
def read_transaction(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that sees one state of the database and cannot change it."""
    with translate_database_errors(engine), engine.connect() as bare:
        connection = bare
        if engine.dialect.name == "postgresql":
            connection = bare.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        with connection.begin():
            yield connection


def _parse_url(url: str) -> URL:
    """Parse a URL; an invalid one is not shown, as it may hold a password.

    The path of a SQLite file is taken as it is written: `?`, `%41` and `#` are parts of names.
    """
    if url.lower().startswith(_SQLITE):
        return URL.create("sqlite", database=url[len(_SQLITE) :] or None)
    try:
        parsed = make_url(url)
        name = parsed.get_backend_name()
    except (ArgumentError, ValueError, NoSuchModuleError):
        do = "Write special characters of a password as %40 (@), %2F (/), %3A (:)."
        raise DataError(error_message("A database URL", _LOOKS, "another form", do)) from None
    if name == "sqlite":
        return parsed.set(drivername="sqlite")
    if name in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    do = "Other databases are not supported; export to files instead."
    raise DataError(error_message("A database URL", _LOOKS, f"{escape_hidden(name)}://...", do))


def _url_secrets(url: URL) -> list[str]:
    found = [url.password] if url.password else []
    found += [str(value) for key, value in url.query.items() if "password" in key]
    both = [form for one in found for form in (str(one), quote_plus(str(one)))]
    return sorted({form for form in both if form}, key=len, reverse=True)


def _configure_sqlite(engine: Engine) -> None:
    """Let SQLAlchemy, not the driver, begin transactions, so that they also hold table changes."""

    @event.listens_for(engine, "connect")
    def _connected(raw: Any, _: object) -> None:
        raw.isolation_level = None
        raw.execute("PRAGMA foreign_keys = ON")
        raw.execute("PRAGMA secure_delete = FAST")  # what was removed is not left in used pages

    @event.listens_for(engine, "begin")
    def _began(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def enable_wal(engine: Engine) -> None:
    """Allow reads of a SQLite ledger during writes; the setting is stored in the file.

    Raises
    ------
    DataError
        If the file cannot be opened, or another process holds it for too long.
    """
    until = time.monotonic() + _PATIENCE
    with translate_database_errors(engine):
        engine.connect().close()
    raw = engine.raw_connection()
    try:
        while not _try_enable_wal(raw.cursor()) and time.monotonic() < until:
            time.sleep(0.05)
    finally:
        raw.close()


def erase_traces(engine: Engine, tables: Sequence[str]) -> bool:
    """Remove what deleted and changed rows leave behind in the database's files.

    Parameters
    ----------
    engine
        The database's.
    tables
        Names of the tables that were changed.

    Returns
    -------
    bool
        Whether all of it is gone: false while another process uses a SQLite file, or where this user may
        not clean the tables of PostgreSQL.
    """
    try:
        if engine.dialect.name == "postgresql":
            with engine.connect() as bare:
                connection = bare.execution_options(isolation_level="AUTOCOMMIT")
                preparer = engine.dialect.identifier_preparer
                connection.exec_driver_sql("VACUUM " + ", ".join(map(preparer.quote, tables)))
            return True
        raw = engine.raw_connection()
        try:
            cursor = raw.cursor()
            cursor.execute("VACUUM")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            busy = cursor.fetchone()
            return busy is None or bool(busy[0] == 0)
        finally:
            raw.close()
    except DATABASE_ERRORS:
        return False


def _try_enable_wal(cursor: Any) -> bool:
    """Request the write-ahead log; SQLite does not wait here for concurrent requests."""
    try:
        cursor.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError:
        return False
    return True


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
