"""What a process does: one method on one set, or the features that several methods share."""

import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from .features import Features, build_features
from .ours import CEILING, ERRDETECT, run_errdetect
from .peers import NEED_FEATURES, PEERS, Effort, Task
from .problems import Problem, Source, load_problem

__all__ = ["METHODS", "Outcome", "Shape", "make_features", "run_method", "shape_of"]

#: All methods, in the tables' order.
METHODS = [*(name for name in PEERS if name != "perfect"), ERRDETECT, CEILING, "perfect"]


@dataclass(frozen=True)
class Outcome:
    """Scores of the test decisions, what fitting took, and a remark."""

    scores: np.ndarray
    seconds: float
    remark: str = ""


@dataclass(frozen=True)
class Shape:
    """What the tables say of a set with its reviews."""

    y: np.ndarray
    learn: int
    labels: int
    all_reviewed: bool
    reviews_are_truth: bool


@lru_cache(maxsize=1)
def _problem(source: Source) -> Problem:
    return load_problem(source)


@lru_cache(maxsize=1)
def _features(source: Source, place: Path) -> Features:
    """Read what `make_features` wrote."""
    frame = pd.read_parquet(place / f"{source.name}.{source.variant}.parquet")
    error = frame.pop("(error)").to_numpy(float)
    seconds = float(frame.pop("(seconds)").iloc[0])
    learnt = np.isfinite(error)
    many = tuple(c.removesuffix(" (many)") for c in frame if c.endswith(" (many)"))
    frame.columns = [c.removesuffix(" (many)") for c in frame]
    test = frame[~learnt].reset_index(drop=True)
    return Features(frame[learnt].reset_index(drop=True), test, error[learnt], many, seconds)


def shape_of(source: Source) -> Shape:
    p = _problem(source)
    labels = int(np.isfinite(p.error).sum())
    return Shape(p.y, len(p.learn), labels, p.all_reviewed, p.reviews_are_truth)


def make_features(source: Source, place: Path) -> None:
    """Build a set's features once, and keep them in a file for the methods that follow."""
    made = build_features(_problem(source))
    frame = pd.concat([made.learn, made.test], ignore_index=True)
    frame.columns = [f"{c} (many)" if c in made.many else c for c in frame]
    error = np.append(made.error, np.full(len(made.test), np.nan))
    frame = frame.assign(**{"(error)": error, "(seconds)": made.seconds})
    frame.to_parquet(place / f"{source.name}.{source.variant}.parquet", index=False)


def run_method(
    source: Source, method: str, place: Path, effort: Effort, ours: tuple[str, ...]
) -> Outcome:
    """Run one method; `ours` are settings for errdetect."""
    problem = _problem(source)
    if method in (ERRDETECT, CEILING):
        truly = method == CEILING
        return Outcome(
            *run_errdetect(problem, true_labels=truly, threads=effort.threads, settings=ours)
        )
    if method not in NEED_FEATURES:
        began = time.perf_counter()
        scores = PEERS[method](Task(problem, None, effort))
        return Outcome(np.asarray(scores, dtype=float), time.perf_counter() - began)
    features = _features(source, place)
    if len(np.unique(features.error)) < 2:
        return Outcome(np.full(len(problem.test), features.error.mean()), 0.0, "labels of one kind")
    began = time.perf_counter()
    scores = PEERS[method](Task(problem, features, effort))
    return Outcome(scores, features.seconds + time.perf_counter() - began)
