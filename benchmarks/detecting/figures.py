"""Measures of every method, and paired differences between errdetect and each of them."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from errdetect.stats.ranking_metrics import average_precision, calibration_error, recall_at

from .ours import CEILING, ERRDETECT
from .peers import PROBABILITIES

__all__ = ["BUDGETS", "MEASURES", "Cell", "geometric_mean", "measure", "peers_of", "table_rows"]

BUDGETS = (0.01, 0.05, 0.10, 0.20)
MEASURES = (*(f"R@{b * 100:g}" for b in BUDGETS), "AP")
_CALIBRATED = PROBABILITIES | {ERRDETECT, CEILING}
_NOT_PEERS = {ERRDETECT, CEILING, "perfect"}


@dataclass(frozen=True)
class Cell:
    """One set with one kind of reviews.

    Parameters
    ----------
    figures
        Index method; columns of `MEASURES`, AUROC, calibration error.
    drawn
        method -> shape (resamples, measures): the same resamples of the test decisions for all.
    """

    name: str
    variant: str
    learn: int
    labels: int
    test: int
    errors: int
    figures: pd.DataFrame
    drawn: Mapping[str, np.ndarray]

    def difference(self, method: str) -> pd.DataFrame:
        """errdetect less a method: rows are `MEASURES`, columns value, low, high (95 %)."""
        value = (self.figures.loc[ERRDETECT] - self.figures.loc[method])[list(MEASURES)]
        drawn = self.drawn[ERRDETECT] - self.drawn[method]
        low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
        return pd.DataFrame({"value": value, "low": low, "high": high}, index=list(MEASURES))

    def best_peer(self, measure_name: str) -> str:
        """The peer that came out highest on these very test decisions, which favours the peers."""
        peers = self.figures.loc[peers_of(self.figures.index), measure_name]
        return str(peers.idxmax())


def peers_of(methods: pd.Index) -> list[str]:
    return [m for m in methods if m not in _NOT_PEERS]


def measure(
    name: str,
    variant: str,
    sizes: tuple[int, int],
    y: np.ndarray,
    scores: Mapping[str, np.ndarray],
    resamples: int,
    seed: int = 0,
) -> Cell:
    """Measure all methods on the same test decisions; `sizes` are decisions and labels learnt from."""
    figures, drawn = {}, {}
    seeds = [seed, zlib.crc32(name.encode())]  # the same resamples for all of a set's reviews
    for method, score in scores.items():
        figures[method] = _figures(method, y, score)
        drawn[method] = _resampled(y, score, resamples, seeds)
    frame = pd.DataFrame(figures).T
    return Cell(name, variant, *sizes, len(y), int(y.sum()), frame, drawn)


def _figures(method: str, y: np.ndarray, score: np.ndarray) -> dict[str, float]:
    if not np.isfinite(score).all():
        return dict.fromkeys([*MEASURES, "AUROC", "calibration error"], np.nan)
    row = dict(zip(MEASURES, _ranking(y, score, None), strict=True))
    row["AUROC"] = float(roc_auc_score(y, score)) if 0 < y.sum() < len(y) else np.nan
    row["calibration error"] = calibration_error(y, score) if method in _CALIBRATED else np.nan
    return row


def _ranking(y: np.ndarray, score: np.ndarray, weight: np.ndarray | None) -> list[float]:
    return [*recall_at(y, score, BUDGETS, weight), average_precision(y, score, weight)]


def _resampled(y: np.ndarray, score: np.ndarray, resamples: int, seed: list[int]) -> np.ndarray:
    """Measure resamples of the decisions; equal seeds draw equal resamples for every method."""
    if not np.isfinite(score).all():
        return np.full((resamples, len(MEASURES)), np.nan)
    rng = np.random.default_rng(seed)
    order = np.argsort(-score, kind="stable")  # sorting what is sorted is quick
    y, score, n = y[order], score[order], len(y)
    out = np.empty((resamples, len(MEASURES)))
    for row in out:
        times = np.bincount(rng.integers(0, n, n), minlength=n)[order]
        row[:] = _ranking(y, score, times.astype(float))
    return out


def table_rows(cell: Cell, seconds: Mapping[str, float]) -> pd.DataFrame:
    """One row a method: figures, fit seconds, errdetect's ratio and difference with its interval."""
    about = {"set": cell.name, "reviews": cell.variant, "labels": cell.labels,
             "test decisions": cell.test, "test errors": cell.errors}  # fmt: skip
    rows = []
    for method, figures in cell.figures.iterrows():
        row: dict[str, object] = {**about, "method": method, **figures}
        row["fit seconds"] = seconds[str(method)]
        if ERRDETECT in cell.figures.index and method != ERRDETECT:
            ours, gap = cell.figures.loc[ERRDETECT], cell.difference(str(method))
            row |= {f"{m} ratio": ours[m] / figures[m] for m in MEASURES}
            for m in MEASURES:
                row |= {f"{m} difference": gap.loc[m, "value"], f"{m} low": gap.loc[m, "low"],
                        f"{m} high": gap.loc[m, "high"]}  # fmt: skip
        rows.append(row)
    return pd.DataFrame(rows)


def geometric_mean(
    ours: list[tuple[float, np.ndarray]], theirs: list[tuple[float, np.ndarray]]
) -> tuple[float, float, float]:
    """Geometric mean of ratios over sets, with its 95 % interval; sets are resampled apart."""
    ratio = np.mean([np.log(a / b) for (a, _), (b, _) in zip(ours, theirs, strict=True)])
    drawn = np.mean([np.log(a / b) for (_, a), (_, b) in zip(ours, theirs, strict=True)], axis=0)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(np.exp(ratio)), float(np.exp(low)), float(np.exp(high))
