"""The registry's database: what others left half-written, and disks without room."""

import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from errdetect.errors import ModelError
from errdetect.model.mlflow_session import read_database, refuse_damaged

_KILLED = """
import os, sqlite3, sys
opened = sqlite3.connect(sys.argv[1], isolation_level=None)
opened.execute("PRAGMA cache_size = 2")
opened.execute("BEGIN")
opened.execute("UPDATE runs SET status = hex(randomblob(900))")
os._exit(9)
"""


@pytest.fixture
def half_written(tmp_path):
    """A database that a process was killed in the middle of changing."""
    file = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(file)) as opened, opened:
        opened.execute("CREATE TABLE runs (status TEXT)")
        opened.executemany("INSERT INTO runs VALUES (?)", [("x" * 900,)] * 300)
    assert subprocess.run([sys.executable, "-c", _KILLED, file], check=False).returncode == 9
    assert (tmp_path / "mlflow.db-journal").exists()
    return file


def test_what_was_left_half_written_is_rolled_back(half_written):
    with (
        closing(sqlite3.connect(f"{half_written.as_uri()}?mode=ro", uri=True)) as read_only,
        pytest.raises(sqlite3.OperationalError),
    ):
        read_only.execute("SELECT count(*) FROM runs")
    with closing(read_database(half_written)) as opened:
        assert opened.execute("SELECT DISTINCT status FROM runs").fetchall() == [("x" * 900,)]
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            opened.execute("DELETE FROM runs")


def test_a_full_disk_is_called_by_its_name(tmp_path):
    told = "(raised as a result of Query-invoked autoflush)\n(sqlite3.OperationalError) database or disk is full"
    with (
        pytest.raises(ModelError, match=r"must have room to write, got .*disk is full\. Free some"),
        refuse_damaged(tmp_path),
    ):
        raise ValueError(told)
