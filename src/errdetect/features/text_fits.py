"""Fits of the text models, one after the other or spread over processes.

liblinear's dual solvers are by far the fastest for texts, but draw from a random generator that is global to
the process: threads would make results depend on chance. Large sets of fits are therefore shared with worker
processes, which take one fit at a time from a folder; each fit seeds the generator again, so that the result is
the same to the byte however many share the work.

    python -m errdetect.features.text_fits FOLDER      # one worker, started by `fit_all`
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse

__all__ = ["LinearFit", "fit_all"]

Floats = npt.NDArray[np.float64]

_NOTHING = subprocess.DEVNULL
_ALONE = threading.Lock()  # the solver's random generator is global to the process
_SURE = 0.02  # a label this near to 0 or 1 need not count as both
_LOGIT = 2.0  # scales the squared loss's range of -1 to 1 to that of log-odds
_WORTH_A_PROCESS = 10**8  # stored values times fits: some ten seconds; a worker takes two to start


@dataclass(frozen=True)
class LinearFit:
    """One linear model to fit.

    Parameters
    ----------
    rows
        Positions of the rows that it learns from.
    loss
        `logistic`, or `squared` (ridge regression on -1 and 1).
    strength
        Weight of the labels against the penalty.
    bayes
        Whether columns are weighted by their naive Bayes log-ratio (Wang and Manning 2012).
    """

    rows: npt.NDArray[np.int64]
    loss: Literal["logistic", "squared"] = "logistic"
    strength: float = 1.0
    bayes: bool = False


def fit_all(
    X: sparse.csr_matrix,
    y: Floats,
    w: Floats,
    fits: Sequence[LinearFit],
    *,
    seed: int,
    processes: int = 1,
) -> list[tuple[Floats, float]]:
    """Fit linear models of log-odds on parts of the rows; return each one's slopes and intercept.

    Parameters
    ----------
    X
        Shape (n, columns).
    y
        Shape (n,), labels: 1, 0, or between where uncertain.
    w
        Shape (n,), weights, at least 0.
    fits
        The models; where a model's rows have one class only, it is their smoothed log-odds.
    seed
        Seed of every fit.
    processes
        How many may share the work. Results don't depend on it.

    Examples
    --------
    >>> X, y = sparse.csr_matrix([[1.0], [0.0], [1.0], [0.0]]), np.array([1.0, 0.0, 1.0, 0.0])
    >>> [(slope, start)] = fit_all(X, y, np.ones(4), [LinearFit(np.arange(4))], seed=0)
    >>> bool(slope[0] > 0 > start)
    True
    """
    if processes < 2 or len(fits) < 2 or X.nnz * len(fits) < _WORTH_A_PROCESS:
        return [_fit(X, y, w, fit, seed) for fit in fits]
    with tempfile.TemporaryDirectory(
        prefix="errdetect-texts-", ignore_cleanup_errors=True
    ) as place:
        folder = Path(place)
        _write_work(folder, X, y, w, fits, seed)
        command = [sys.executable, "-m", "errdetect.features.text_fits", place]
        count = min(processes, len(fits)) - 1
        workers = [
            subprocess.Popen(command, stdin=_NOTHING, stdout=_NOTHING, stderr=_NOTHING)
            for _ in range(count)
        ]
        try:
            for i in _take_each(folder, len(fits)):
                _write_result(folder, i, *_fit(X, y, w, fits[i], seed))
            for worker in workers:
                worker.wait()
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()
        found = (_read_result(folder, i) for i in range(len(fits)))
        # What a worker that died had taken is fitted here.
        return [done or _fit(X, y, w, fit, seed) for done, fit in zip(found, fits, strict=True)]


def _fit(
    X: sparse.csr_matrix, y: Floats, w: Floats, fit: LinearFit, seed: int
) -> tuple[Floats, float]:
    """Fit one model on some rows; where these have one class only, its smoothed log-odds."""
    from sklearn.linear_model import LogisticRegression  # only fits need them
    from sklearn.svm import LinearSVR

    y, w = y[fit.rows], w[fit.rows]
    y = np.where(y < _SURE, 0.0, np.where(y > 1 - _SURE, 1.0, y))
    wrong = y >= 0.5
    if len(y) == 0 or wrong.all() or not wrong.any():
        share = (float((w * y).sum()) + 0.5) / (float(w.sum()) + 1)
        return np.zeros(X.shape[1]), float(np.log(share / (1 - share)))
    some = X[fit.rows]
    if fit.loss == "squared":
        ridge = LinearSVR(
            loss="squared_epsilon_insensitive", epsilon=0.0, C=fit.strength, dual=True,
            tol=1e-2, max_iter=200, random_state=seed,
        )  # fmt: skip
        with _ALONE:
            ridge.fit(some, 2 * y - 1, sample_weight=w)
        return _LOGIT * ridge.coef_, float(_LOGIT * ridge.intercept_[0])
    ratio = _naive_bayes_ratio(some, y, w) if fit.bayes else None
    if ratio is not None:
        some = some.copy()
        some.data = some.data * ratio[some.indices]
    yes, no = np.flatnonzero(y > 0), np.flatnonzero(y < 1)  # an uncertain label counts as both
    both = np.concatenate([yes, no])
    if len(both) > len(y):
        some, label = some[both], np.repeat([1, 0], [len(yes), len(no)])
        w = np.concatenate([(w * y)[yes], (w * (1 - y))[no]])
    else:
        label = (y > 0).astype(int)
    model = LogisticRegression(
        solver="liblinear", dual=True, tol=1e-2, C=fit.strength, random_state=seed
    )
    with _ALONE:
        model.fit(some, label, sample_weight=w)
    slope = model.coef_[0] if ratio is None else model.coef_[0] * ratio
    return slope, float(model.intercept_[0])


def _naive_bayes_ratio(X: sparse.csr_matrix, y: Floats, w: Floats) -> npt.NDArray[np.float32]:
    """Return each n-gram's naive Bayes log-ratio of violating to other content."""
    bad, good = X.T @ (w * y) + 1, X.T @ (w * (1 - y)) + 1
    ratio = np.log(bad / bad.sum()) - np.log(good / good.sum())
    return np.asarray(ratio, dtype=np.float32)


def _write_work(
    folder: Path, X: sparse.csr_matrix, y: Floats, w: Floats, fits: Sequence[LinearFit], seed: int
) -> None:
    """Write what workers need: arrays that they map into memory, and the settings."""
    parts = {"data": X.data, "indices": X.indices, "indptr": X.indptr, "y": y, "w": w}
    parts |= {f"rows_{i}": fit.rows for i, fit in enumerate(fits)}
    for name, array in parts.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)
    settings = [{"loss": f.loss, "strength": f.strength, "bayes": f.bayes} for f in fits]
    work = {"shape": X.shape, "seed": seed, "parent": os.getpid(), "fits": settings}
    (folder / "work.json").write_text(json.dumps(work), encoding="utf-8")


def _take_each(folder: Path, n: int) -> Iterator[int]:
    """Yield the fits that nobody has taken yet, each marked as taken."""
    for i in range(n):
        try:
            (folder / f"taken_{i}").touch(exist_ok=False)
        except FileExistsError:
            continue
        yield i


def _write_result(folder: Path, i: int, slope: Floats, start: float) -> None:
    unfinished = folder / f"unfinished_{i}.npy"
    np.save(unfinished, np.append(slope, start), allow_pickle=False)
    unfinished.rename(folder / f"fitted_{i}.npy")


def _read_result(folder: Path, i: int) -> tuple[Floats, float] | None:
    if not (folder / f"fitted_{i}.npy").exists():
        return None
    both = np.load(folder / f"fitted_{i}.npy", allow_pickle=False)
    return both[:-1], float(both[-1])


def _work(folder: Path) -> None:
    """Take fits until none is left; where the parent is gone, remove its folder."""
    work = json.loads((folder / "work.json").read_text(encoding="utf-8"))

    def load(name: str) -> npt.NDArray[Any]:
        return np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False))

    parts = (load("data"), load("indices"), load("indptr"))
    X = sparse.csr_matrix(parts, shape=tuple(work["shape"]), copy=False)
    y, w = np.array(load("y"), np.float64), np.array(load("w"), np.float64)
    for i in _take_each(folder, len(work["fits"])):
        if os.getppid() != work["parent"]:
            shutil.rmtree(folder, ignore_errors=True)
            return
        fit = LinearFit(np.array(load(f"rows_{i}"), np.int64), **work["fits"][i])
        _write_result(folder, i, *_fit(X, y, w, fit, work["seed"]))


if __name__ == "__main__":
    _work(Path(sys.argv[1]))
