"""The benchmark of kills and other faults: a small, seeded part of it, and that it would find a fault."""

import importlib
import os
import re
import subprocess
import sys

import pandas as pd
import pytest

from errdetect.data.atomic_writing import stage_outputs, write_text
from errdetect.data.provenance import Provenance
from errdetect.ledger.ledger import open_ledger

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs fork and capset")


@pytest.fixture
def faults(repo, monkeypatch):
    monkeypatch.syspath_prepend(str(repo))
    return importlib.import_module("benchmarks.faults")


@pytest.mark.slow
def test_kills_leave_the_old_or_the_new(repo, tmp_path):
    """In a process of its own: threads of this one would not survive the forks."""
    only = "^(score|ingest|estimate --dsa|export|plan-audit|forget|remediate --apply)$"
    words = ["--trials", "18", "--databases", "sqlite", "--only", only, "--seed", "5"]
    command = [sys.executable, "benchmarks/faults.py", *words, "--out", str(tmp_path / "f.csv")]
    env = os.environ | {"PYTHONPATH": str(repo / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=repo, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-3000:]
    table = pd.read_csv(tmp_path / "f.csv")
    assert int(table["trials"].sum()) >= 10
    assert {"kill at a commit", "kill at random", "disk full", "read-only"} <= set(
        table["scenario"]
    )


def test_what_is_neither_old_nor_new_is_found(faults, tmp_path):
    out = tmp_path / "out"
    with stage_outputs(out, Provenance("x", "1")) as stage:
        write_text(stage / "a.txt", "new")
        write_text(stage / "tables" / "b.txt", "new")
    reference = faults.fingerprint(out)
    assert faults.is_complete(out, reference)
    (out / "tables" / "b.txt").write_text("old")
    assert not faults.is_complete(out, reference)
    (out / "tables" / "b.txt").write_text("new")
    (out / "c.txt").write_text("of a former run")
    assert not faults.is_complete(out, reference)


def test_litter_a_damaged_ledger_and_lost_rows_are_found(faults, tmp_path):
    place = faults.Place(tmp_path / "shop", tmp_path / "tmp", "x", faults.Databases("sqlite", None))
    place.root.mkdir()
    place.tmp.mkdir()
    assert faults.litter(place) == []
    (place.root / ".errdetect-0123456789abcdef.tmp").mkdir()
    (place.tmp / "errdetect-x").mkdir()
    assert len(faults.litter(place)) == 2
    with open_ledger(place.ledger):
        pass
    rows = faults.table_counts(place.ledger)
    assert faults.ledger_faults(place, rows, rows, False) == ""
    more = {name: n + 1 for name, n in rows.items()}
    assert "rows neither before nor after" in faults.ledger_faults(place, more, more, False)
    content = bytearray((place.root / "errdetect.db").read_bytes())
    content[4096:4200] = os.urandom(104)
    (place.root / "errdetect.db").write_bytes(content)
    assert "Error" in faults.ledger_faults(place, rows, rows, False)


def test_commands_and_pairs_are_those_of_errdetect(faults, repo):
    from errdetect.cli import app

    known = {one.name or one.callback.__name__ for one in app.registered_commands}
    known |= {path.name for path in (repo / "pipelines").glob("*.py")}
    tried = {one.words[0] for one in faults.COMMANDS}
    assert tried <= known
    assert known - tried == set(faults.LEFT_OUT)
    names = {one.name for one in faults.COMMANDS}
    assert {name for pair in faults.PAIRS for name in pair} <= names
    assert all(re.search(r"\{root\}", " ".join(one.words)) for one in faults.COMMANDS)
