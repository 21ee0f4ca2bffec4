"""Opening a ledger: migrations, newer ones, faults, and secrets that stay secret."""

import builtins
import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from errdetect.data.database_tables import (
    open_engine,
    read_transaction,
    redacted_url,
    write_transaction,
)
from errdetect.errors import DataError
from errdetect.ledger.ledger import find_ledger, open_ledger
from errdetect.ledger.table_definitions import METADATA, VERSION_TABLE

NOW = pd.Timestamp("2026-03-09", tz="UTC").to_pydatetime()


def test_migrations_build_what_the_tables_say(ledger):
    with read_transaction(ledger.engine) as connection:
        options = {"version_table": VERSION_TABLE, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, METADATA) == []


def test_a_ledger_of_a_newer_version_is_refused(url):
    with open_ledger(url) as ledger, write_transaction(ledger.engine) as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    for way in (open_ledger, find_ledger):
        with pytest.raises(
            DataError, match=r"older, got version 9999, which is newer\. Use the newer"
        ):
            way(url)


def test_a_ledger_whose_version_is_lost_is_damaged_not_absent(url):
    with open_ledger(url) as ledger, write_transaction(ledger.engine) as connection:
        connection.execute(text(f"DELETE FROM {VERSION_TABLE}"))
    for way in (open_ledger, find_ledger):
        with pytest.raises(DataError, match=r"say the version of its tables.*It is damaged"):
            way(url)


def test_a_value_that_is_no_time_is_damage(tmp_path):
    url = f"sqlite:///{tmp_path}/l.db"
    with open_ledger(url) as ledger, write_transaction(ledger.engine) as connection:
        connection.execute(text(
            "INSERT INTO errdetect_reviews (review_id, decision_id, source, reviewed_at, verdict, reviewer_id,"
            " known_at, ingested_at) VALUES ('r', 'd', 'audit', 'edbbad9b790bd', 'upheld', 'a', '2026-03-09',"
            " '2026-03-09')"
        ))  # fmt: skip
    with (
        open_ledger(url) as ledger,
        pytest.raises(DataError, match=r"hold values of its columns.*damaged"),
    ):
        ledger.reviews()


def test_first_opens_at_once_are_safe(url):
    def look(_):
        with open_ledger(url) as ledger:
            return len(ledger.runs())

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(look, range(6))) == [0] * 6


def test_a_failed_migration_leaves_nothing(url, monkeypatch):
    from errdetect.ledger import schema_upgrade as migrate

    with monkeypatch.context() as patched:
        patched.setattr(migrate.command, "upgrade", _half)
        with pytest.raises(ZeroDivisionError):
            open_ledger(url)
    assert find_ledger(url) is None
    with open_ledger(url) as ledger:
        assert ledger.runs().empty


def _half(config, _):
    config.attributes["connection"].execute(text("CREATE TABLE errdetect_runs (run_id TEXT)"))
    raise ZeroDivisionError


def test_looking_for_a_ledger_makes_none(url, tmp_path):
    assert find_ledger(url) is None
    assert list(tmp_path.iterdir()) == []
    open_ledger(url)
    with find_ledger(url) as ledger:
        assert ledger.place == redacted_url(url)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://u:hunter2@h/d", "must look like postgresql://.*got mysql://"),
        ("hunter2", "must look like postgresql://.*got another form"),
        ("postgresql://u:hunter2/x@h:port/d", "got another form"),
        ("postgresql://u:hunter2@localhost:1/d", "postgresql://localhost:1/d cannot be used: "),
        ("postgresql://u:hunter2@localhost:1/d?sslpassword=hunter2", "cannot be used"),
        ("sqlite:////no/such/folder/hunter.db", "/no/such/folder/hunter.db cannot be used: unable"),
    ],
)
def test_faults_hold_no_password(url, says):
    with pytest.raises(DataError, match=says) as error:
        open_ledger(url)
    told = error.value
    while told is not None:
        assert "hunter2" not in str(told)
        told = None if told.__suppress_context__ else told.__context__


def test_a_wrong_file_is_told(tmp_path):
    (tmp_path / "a.db").write_text("this is a text and no database at all" * 50)
    with pytest.raises(DataError, match="cannot be used: file is not a database"):
        open_ledger(f"sqlite:///{tmp_path}/a.db")


def test_a_missing_driver_is_told(monkeypatch):
    original = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "psycopg":
            raise ModuleNotFoundError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DataError, match=re.escape("Run: pip install 'errdetect[postgresql]'")):
        open_engine("postgresql://host/name")


def test_sqlite_can_be_read_while_it_is_written(tmp_path):
    url = f"sqlite:///{tmp_path}/ledger.db"
    with open_ledger(url) as ledger, write_transaction(ledger.engine):
        assert open_ledger(url).runs().empty
    assert sqlite3.connect(tmp_path / "ledger.db").execute("PRAGMA journal_mode").fetchone() == (
        "wal",
    )


def test_a_ledger_of_the_first_version_keeps_its_reviews(url, make_reviews, monkeypatch):
    from errdetect.ledger import schema_upgrade as migrate

    whole = migrate.command.upgrade
    with monkeypatch.context() as patched:  # make it as the first release did
        patched.setattr(migrate.command, "upgrade", lambda config, _: whole(config, "0001"))
        engine = open_engine(url)
        migrate.upgrade_ledger(engine)
    old = "review_id, decision_id, reviewed_at, source, verdict, minutes, ingested_at"
    at = "2026-03-02 12:00:00.000000"
    with write_transaction(engine) as connection:
        connection.execute(
            text(f"INSERT INTO errdetect_reviews ({old}) VALUES "
                 f"('rev-d1', 'd1', '{at}', 're_review', 'overturned', 2.5, '{at}')")
        )  # fmt: skip
    engine.dispose()
    with find_ledger(url) as ledger:
        known = ledger.reviews()
        assert known["review_id"].tolist() == ["rev-d1"]
        assert known["reviewed_at"].tolist() == [pd.Timestamp(at, tz="UTC")]
        assert known["minutes"].tolist() == [2.5]
        assert known["updated_at"].isna().all()
        same = make_reviews(["d1"], reviewer_id=None)
        assert ledger.ingest(same, NOW).repeated == 1
        later = same.assign(verdict="upheld", updated_at=pd.Timestamp("2026-03-05", tz="UTC"))
        assert ledger.ingest(later, NOW).corrected == 1
        assert len(ledger.reviews()) == 2


def test_a_new_ledger_is_its_owners_alone_and_an_old_one_keeps_its_rights(tmp_path):
    file = tmp_path / "what? is #1 100%41.db"
    with open_ledger(f"sqlite:///{file}"):
        rights = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
        assert rights[file.name] == 0o600
        assert set(rights.values()) == {0o600}
    assert all(path.name.startswith(file.name) for path in tmp_path.iterdir())
    file.chmod(0o660)
    with open_ledger(f"sqlite:///{file}"):
        assert file.stat().st_mode & 0o777 == 0o660
