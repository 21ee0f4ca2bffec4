"""Baselines: rankings that need no model, which every model must beat."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.stats.group_sums import quantile_edges

__all__ = ["SegmentRate", "fit_segment_rate", "margin_ranking", "propensity_weights"]


Floats = npt.NDArray[np.float64]

_CLIP = 10.0  # medians; a few rows with a small inclusion probability would outweigh all others


def propensity_weights(design: Floats) -> Floats:
    """Weight labelled decisions by how many decisions each represents, with mean 1.

    Weights above ten times the median of the drawn rows are truncated. A decision that no design
    drew, such as an appealed one, represents only itself.

    Parameters
    ----------
    design
        Shape (n,), decisions that each row represents; 0 where no design drew it.

    Returns
    -------
    numpy.ndarray
        Shape (n,), above 0; 1 everywhere where no row was drawn by design.

    Source: Horvitz and Thompson 1952; truncated as in Ionides 2008 (importance sampling).

    Examples
    --------
    >>> propensity_weights(np.array([2.0, 8.0, 8.0, 0.0])).round(2).tolist()
    [0.42, 1.68, 1.68, 0.21]
    >>> propensity_weights(np.zeros(2)).tolist()
    [1.0, 1.0]
    """
    drawn = design > 0
    if not drawn.any():
        return np.ones(len(design))
    most = _CLIP * float(np.median(design[drawn]))
    stands_for = np.minimum(np.where(drawn, design, 1.0), most)
    return np.asarray(stands_for / stands_for.mean(), dtype=np.float64)


_SEGMENT = ("policy_id", "moderator", "market", "enforced")
_PRIOR = 10.0  # labels after which a cell's rate counts as much as its parent's
_BINS = 10


def margin_ranking(decisions: pd.DataFrame) -> Floats:
    """Rank decisions by how close the machine's score was to its threshold; higher is closer.

    Parameters
    ----------
    decisions
        Shape (n, any). Without a score or a threshold a decision is ranked last.

    Examples
    --------
    >>> margin_ranking(pd.DataFrame({"score": [0.5, 0.9], "threshold": [0.6, 0.6]})).round(1).tolist()
    [-0.1, -0.3]
    """
    return np.nan_to_num(-np.abs(_score_margin(decisions)), nan=-1.0)


@dataclass(frozen=True)
class SegmentRate:
    """Error rates by segment and margin bin, each cell shrunk towards its parent."""

    edges: Floats
    overall: float
    levels: tuple[Mapping[tuple[object, ...], float], ...]
    columns: tuple[str, ...]

    def rate(self, decisions: pd.DataFrame) -> Floats:
        """Return the error rate of each decision's cell, shape (n,)."""
        keys = _cell_keys(decisions, self.columns, self.edges)
        out = np.full(len(decisions), self.overall)
        for depth, rates in enumerate(self.levels, start=1):
            found = pd.Series(list(zip(*keys[:depth], strict=True))).map(rates).to_numpy(np.float64)
            out = np.where(np.isnan(found), out, found)
        return out


def fit_segment_rate(decisions: pd.DataFrame, y: Floats, weight: Floats) -> SegmentRate:
    """Fit error rates by policy, moderator, market, side and margin bin.

    Parameters
    ----------
    decisions
        Shape (n, any).
    y
        Shape (n,), 1 for an error, else 0.
    weight
        Shape (n,), weight of each label.

    Examples
    --------
    >>> frame = pd.DataFrame({"policy_id": ["a", "b"] * 50, "enforced": True})
    >>> rates = fit_segment_rate(frame, np.array([1.0, 0.0] * 50), np.ones(100)).rate(frame[:2])
    >>> rates.round(2).tolist()
    [1.0, 0.0]
    """
    margin = _score_margin(decisions)
    edges = quantile_edges(margin, _BINS)
    columns = tuple(name for name in _SEGMENT if name in decisions)
    keys = _cell_keys(decisions, columns, edges)
    overall = (float(np.sum(weight * y)) + 0.5) / (float(np.sum(weight)) + 1)
    parent = np.full(len(decisions), overall)
    levels = []
    for depth in range(1, len(keys) + 1):
        cell = pd.Series(list(zip(*keys[:depth], strict=True)))
        sums = (
            pd.DataFrame({"w": weight, "wy": weight * y, "p": parent})
            .groupby(cell)
            .agg({"w": "sum", "wy": "sum", "p": "first"})
        )
        rates = (sums["wy"] + _PRIOR * sums["p"]) / (sums["w"] + _PRIOR)
        levels.append(dict(zip(rates.index, rates, strict=True)))
        parent = cell.map(rates).to_numpy(np.float64)
    return SegmentRate(edges, overall, tuple(levels), columns)


def _score_margin(decisions: pd.DataFrame) -> Floats:
    if "score" not in decisions or "threshold" not in decisions:
        return np.full(len(decisions), np.nan)
    return (decisions["score"] - decisions["threshold"]).to_numpy(np.float64, na_value=np.nan)


def _cell_keys(
    decisions: pd.DataFrame, columns: tuple[str, ...], edges: Floats
) -> list[list[object]]:
    margin = _score_margin(decisions)
    binned = np.where(np.isfinite(margin), np.searchsorted(edges, margin, side="right"), -1)
    keys: list[list[object]] = []
    for name in columns:
        known = name in decisions
        keys.append(
            list(decisions[name].astype("str").fillna("") if known else [""] * len(decisions))
        )
    return [*keys, list(binned)]
