"""Fits of the text models are the same to the byte however many processes share them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from errdetect.features import text_fits
from errdetect.features.text_fits import LinearFit, fit_all

FITS = [
    LinearFit(np.arange(0, 300), "logistic", 2.0),
    LinearFit(np.arange(100, 400), "squared", 0.3),
    LinearFit(np.arange(0, 400, 2), "logistic", 4.0, bayes=True),
    LinearFit(np.flatnonzero(np.arange(400) % 4 == 0), "squared", 0.3),  # one class only
]


@pytest.fixture
def work() -> tuple[sparse.csr_matrix, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    X = sparse.random(400, 900, density=0.03, format="csr", dtype=np.float32, rng=rng)
    y = np.clip(rng.integers(0, 2, 400) + rng.choice([0, 0, 0.3], 400), 0, 1).astype(float)
    y[np.arange(400) % 4 == 0] = 1
    return X, y, rng.uniform(0.1, 3, 400)


def in_bytes(found):
    return [(slope.tobytes(), start) for slope, start in found]


def test_processes_change_nothing(work, monkeypatch):
    alone = in_bytes(fit_all(*work, FITS, seed=7))
    monkeypatch.setattr(text_fits, "_WORTH_A_PROCESS", 0)
    assert in_bytes(fit_all(*work, FITS, seed=7, processes=3)) == alone
    assert in_bytes(fit_all(*work, FITS, seed=8)) != alone  # the seed does enter


def test_a_worker_alone_fits_all(work, tmp_path):
    """What workers hand back, were the parent to fit nothing itself."""
    text_fits._write_work(tmp_path, *work, FITS, 7)
    subprocess.run([sys.executable, "-m", text_fits.__name__, str(tmp_path)], check=True)
    found = [text_fits._read_result(tmp_path, i) for i in range(len(FITS))]
    assert in_bytes(found) == in_bytes(fit_all(*work, FITS, seed=7))


def test_what_a_dead_worker_had_taken_is_fitted_again(work, monkeypatch):
    alone = in_bytes(fit_all(*work, FITS, seed=7))
    monkeypatch.setattr(text_fits, "_WORTH_A_PROCESS", 0)

    def one_is_taken(folder: Path, n: int):
        (folder / "taken_1").touch()
        yield from (i for i in range(n) if i != 1)

    monkeypatch.setattr(text_fits, "_take_each", one_is_taken)
    monkeypatch.setattr(text_fits.sys, "executable", "false")
    assert in_bytes(fit_all(*work, FITS, seed=7, processes=2)) == alone


def test_a_worker_without_parent_clears_up(work, tmp_path):
    text_fits._write_work(tmp_path, *work, FITS, 7)
    described = json.loads((tmp_path / "work.json").read_text())
    assert described["parent"] == os.getpid()
    described["parent"] = -1
    (tmp_path / "work.json").write_text(json.dumps(described))
    text_fits._work(tmp_path)
    assert not tmp_path.exists()
