"""Database connections: supported databases, transactions and readable errors."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from sqlalchemy import Connection, Engine, create_engine, event, func, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from errdetect.errors import DataError, error_message, escape_hidden

__all__ = [
    "enable_wal",
    "open_engine",
    "read_transaction",
    "redacted_url",
    "sqlite_path",
    "translate_database_errors",
    "write_transaction",
]

#: Seconds that a writer waits for another.
_PATIENCE = 600
_WRITES = "errdetect_writes"
#: The lock that every writer of a ledger holds on PostgreSQL: "errdetect" as a 64-bit number.
_LOCK = int.from_bytes(b"errdetec", "big") >> 1
_LOOKS = "look like postgresql://user@host/name or sqlite:///file.db"


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
            place = f"file:{quote(str(file))}?mode=ro"
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
        return file.removeprefix("file:").partition("?")[0]
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
    """Parse a URL; an invalid one is not shown, as it may hold a password."""
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


def _try_enable_wal(cursor: Any) -> bool:
    """Request the write-ahead log; SQLite does not wait here for concurrent requests."""
    try:
        cursor.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError:
        return False
    return True
