"""The fuzzing benchmark: a small, seeded part of it, and that it would find a fault."""

import importlib
import io
import os
import random
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from errdetect import errors
from errdetect.errors import DataError

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture
def fuzz(repo, monkeypatch):
    monkeypatch.syspath_prepend(str(repo))
    monkeypatch.setenv("FUZZ_PATIENCE", "6")  # other tests run at the same time
    monkeypatch.setattr(errors, "_SECRETS", set())  # what other tests had masked
    return importlib.import_module("benchmarks.fuzz")


def test_no_mutated_file_breaks_or_tells_a_password(fuzz, tmp_path):
    table = fuzz.run(156, seed=20, failures=tmp_path)
    assert sorted(table["kind"]) == [
        "bundle", "config", "decisions", "draws", "label studio", "ledger", "paths", "policies", "queue", "reviews",
        "run record", "settings", "words",
    ]  # fmt: skip
    assert int(table[["read", "refused"]].to_numpy().sum()) == 156, sorted(tmp_path.iterdir())
    assert (table["refused"] > 0).all()


@pytest.mark.parametrize("name", ["x.yaml", "x.json", "x.jsonl", "x.parquet", "x.npz", "x.txt"])
def test_values_are_changed_within_a_format(fuzz, name):
    """Most of these mutations can still be read, so that they reach the checks of values."""
    frame = pd.DataFrame({"a": ["x", "y"], "b": [1.5, 2.0]})
    out = io.BytesIO()
    np.savez(out, a=np.arange(3), b=np.ones((2, 2)))
    content = {
        "x.yaml": b"a: {b: [1, 2], c: x}", "x.json": b'{"a": {"b": [1, 2]}, "c": "x"}',
        "x.jsonl": b'{"a": 1}\n{"a": 2}', "x.parquet": fuzz._parquet(frame), "x.npz": out.getvalue(),
        "x.txt": b"leaf_value=1.5 -2e-05 3",
    }[name]  # fmt: skip
    change = fuzz.MUTATIONS[Path(name).suffix]
    found = {change(content, random.Random(seed)) for seed in range(40)}
    assert len(found) > 8


def _raise(error):
    raise error


@pytest.mark.parametrize(
    ("read", "outcome"),
    [
        (lambda _: 1, "read"),
        (lambda _: _raise(DataError("no")), "refused"),
        (lambda _: _raise(KeyError("x")), "traceback"),
        (lambda _: _raise(DataError("S3CR3T" + "pw")), "password shown"),
        (lambda _: os.kill(os.getpid(), signal.SIGKILL), "killed"),
        (lambda _: bytearray(1 << 40), "memory"),
    ],
)
def test_every_kind_of_failure_is_told(fuzz, tmp_path, read, outcome):
    assert fuzz.read_in_child(fuzz.Target("x", {}, read), tmp_path)[0] == outcome


def test_a_hang_is_told(fuzz, tmp_path, monkeypatch):
    monkeypatch.setenv("FUZZ_PATIENCE", "0.02")
    import time

    target = fuzz.Target("x", {}, lambda _: time.sleep(60))
    assert fuzz.read_in_child(target, tmp_path)[0] == "hang"
