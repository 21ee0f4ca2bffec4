"""Upgrading a ledger's tables when it is opened."""

import threading
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect

from errdetect.data.database_tables import (
    enable_wal,
    read_transaction,
    redacted_url,
    write_transaction,
)
from errdetect.data.pseudonyms import KeySource
from errdetect.errors import DataError, error_message
from errdetect.ledger.pseudonym_records import has_plain_ids, require_key
from errdetect.ledger.table_definitions import VERSION_TABLE

__all__ = ["is_current", "is_readable", "schema_version", "upgrade_ledger"]

#: Versions whose tables can be read: "0003" may hold reviewers' ids, and both lack the precedents.
_READABLE = ("0003", "0004")
_PLAIN = _READABLE[0]

_FOLDER = Path(__file__).parent / "migrations"
_ONE_AT_A_TIME = threading.Lock()  # Alembic keeps the running migration in a global


def upgrade_ledger(engine: Engine, key: KeySource | None = None) -> bool:
    """Create or upgrade the ledger's tables; concurrent processes take turns.

    Parameters
    ----------
    engine
        The ledger's.
    key
        Makes the pseudonyms of reviewers whom earlier versions recorded by their ids; without it these stay
        until the ledger is opened with one.

    Returns
    -------
    bool
        Whether ids were replaced by pseudonyms.

    Raises
    ------
    DataError
        If a newer errdetect created the tables, or they cannot be created.
    """
    scripts = ScriptDirectory.from_config(_migrations())
    version = _current_version(engine, scripts)
    if version == scripts.get_current_head() or (key is None and version == _PLAIN):
        return False
    config = _migrations()
    if engine.dialect.name == "sqlite":
        enable_wal(engine)
    with _ONE_AT_A_TIME, write_transaction(engine) as connection:
        config.attributes["connection"] = connection
        if version in (None, *_earlier_versions(scripts)):
            command.upgrade(config, _PLAIN)
        plain = has_plain_ids(connection)
        if plain and key is None:
            return False
        if plain and key is not None:
            found = require_key(None, key(), redacted_url(engine.url))
            config.attributes["key"] = lambda: found
        command.upgrade(config, "head")
    return plain


def is_current(engine: Engine) -> bool:
    """Whether the ledger's tables need no upgrade.

    Raises
    ------
    DataError
        If a newer errdetect created them, or they cannot be read.
    """
    scripts = ScriptDirectory.from_config(_migrations())
    return _current_version(engine, scripts) == scripts.get_current_head()


def is_readable(engine: Engine) -> bool:
    """Whether the ledger can be read as it is; one of an earlier version has no precedents."""
    scripts = ScriptDirectory.from_config(_migrations())
    return _current_version(engine, scripts) in (*_READABLE, scripts.get_current_head())


def _earlier_versions(scripts: ScriptDirectory) -> set[str]:
    """Return the versions before reviewers' ids are replaced."""
    return {one.revision for one in scripts.iterate_revisions(_PLAIN, "base")}


def _migrations() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    return config


def schema_version(connection: Connection) -> str | None:
    """Return the version of the ledger's tables; None if there are none.

    Raises
    ------
    DataError
        Where there are tables, and their version is lost: such a ledger is damaged, not absent.
    """
    found: str | None = MigrationContext.configure(
        connection, opts={"version_table": VERSION_TABLE}
    ).get_current_revision()
    if found is None and inspect(connection).has_table(VERSION_TABLE):
        what = f"The ledger {redacted_url(connection.engine.url)}"
        must = "say the version of its tables"
        do = "It is damaged: restore it from a backup."
        raise DataError(error_message(what, must, f"no row in {VERSION_TABLE}", do))
    return found


def _current_version(engine: Engine, scripts: ScriptDirectory) -> str | None:
    with read_transaction(engine) as connection:
        found = schema_version(connection)
    if found is not None and found not in {one.revision for one in scripts.walk_revisions()}:
        what = f"The ledger {redacted_url(engine.url)}"
        must = f"be at version {scripts.get_current_head()} or older"
        do = "Use the newer errdetect that wrote it, or name another ledger under ledger.url."
        raise DataError(error_message(what, must, f"version {found}, which is newer", do))
    return found
