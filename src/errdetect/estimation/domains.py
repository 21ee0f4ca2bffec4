"""Decisions and audited draws of many domains, flat, so that all are solved at once.

The control variate enters as bins of logit P(error). Draws carry the logit of their bin, so binning
is a coarser control variate and not an approximation: its population totals are known exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit

from errdetect.errors import DataError, error_message
from errdetect.labels.audit_sample import LostDraws

__all__ = [
    "Domains",
    "ScoreBins",
    "bin_p_error",
    "bin_variance_factors",
    "gather_domains",
    "lost_draw_domains",
    "segment_decisions",
]


Ints = NDArray[np.int64]

#: Text of a missing value in a `by` column; null means overall.
MISSING = "(missing)"


def segment_decisions(decisions: pd.DataFrame, by: Sequence[str]) -> tuple[pd.DataFrame, Ints]:
    """Return the existing combinations of the `by` columns, in order, and each decision's own.

    Parameters
    ----------
    decisions
        The contract's decisions.
    by
        Columns of `decisions`; none makes one segment of all.

    Returns
    -------
    (names, segment)
        The `by` values of each segment as text, and the segment of each decision.

    Raises
    ------
    DataError
        Where a column is absent.

    Examples
    --------
    >>> names, segment = segment_decisions(pd.DataFrame({"market": ["DE", None, "DE"]}), ["market"])
    >>> names["market"].tolist(), segment.tolist()
    (['(missing)', 'DE'], [1, 0, 1])
    """
    absent = [column for column in by if column not in decisions]
    if absent:
        must = "name columns of the decisions"
        do = f"Choose among {', '.join(map(str, decisions.columns))}."
        raise DataError(error_message("by", must, ", ".join(absent), do))
    code, levels = np.zeros(len(decisions), np.int64), []
    for column in by:
        values = decisions[column]
        text = values.astype("str").where(values.notna(), MISSING)
        own, names = pd.factorize(text, sort=True)
        code = code * len(names) + own
        levels.append(names)
    found, cell = np.unique(code, return_inverse=True)
    keys: dict[str, object] = {}
    n_segments = len(found)
    for column, names in zip(reversed(by), reversed(levels), strict=True):
        keys[column] = np.asarray(names)[found % len(names)]
        found = found // len(names)
    frame = pd.DataFrame(keys, index=range(n_segments), columns=list(by))
    return frame, cell.astype(np.int64)


def lost_draw_domains(lost: LostDraws, keys: pd.DataFrame, cell: Ints) -> Ints:
    """Find the cell of each lost draw, from its decision or from the remains of a rejected one.

    Parameters
    ----------
    lost
        From the snapshot.
    keys
        The `by` values of each cell, from `segment_decisions`; no column where one cell is all.
    cell
        Cell of each decision, shape (n_decisions,).

    Returns
    -------
    numpy.ndarray
        Shape (n_lost,); -1 where it is unknown.
    """
    found = np.full(len(lost), -1, dtype=np.int64)
    in_log = lost.position >= 0
    found[in_log] = cell[lost.position[in_log]]
    if not len(keys.columns):
        return np.zeros(len(lost), dtype=np.int64)
    if not set(keys.columns) <= set(lost.rejected.columns):
        return found
    values = lost.rejected[list(keys.columns)].astype("str").where(lost.rejected.notna())
    index = pd.MultiIndex.from_frame(keys)
    other = index.get_indexer(pd.MultiIndex.from_frame(values))
    known = ~in_log & values.notna().all(axis=1).to_numpy(dtype=bool)
    found[known] = other[known]
    return found


Floats = NDArray[np.float64]

#: Width of a bin of logit P(error); without measured loss against exact values.
BIN_WIDTH = 0.1
#: P(error) is kept this far from 0 and 1, as a certain model can be wrong.
P_CLIP = 1e-5
#: Groups of P(error) in which the inverse inclusion probability is averaged.
SPREAD_GROUPS = 20


@dataclass(frozen=True)
class ScoreBins:
    """Each decision's bin of the control variate.

    Parameters
    ----------
    of
        Bin of each decision, shape (n_decisions,).
    logit
        Logit of the mean P(error) of each bin, ascending, shape (n_bins,).
    """

    of: Ints
    logit: Floats


@dataclass(frozen=True)
class Domains:
    """Population counts and audited draws of `size` cells.

    Parameters
    ----------
    size
        Number of cells.
    bin_cell, bin_logit, bin_count
        One entry for each occupied bin of each cell: its cell, logit and number of decisions.
    bin_spread
        Mean of 1/inclusion - 1 over the bin's decisions.
    draw_cell, draw_logit
        One entry for each audited decision: its cell and the logit of its bin.
    draw_weight
        1/inclusion probability of each draw.
    draw_error
        The verdict, 1 for error and 0 for none, or the share of reviewers in between.
    draw_variance
        Each draw's part of the variance of a sum, per squared residual; 0 if it was certain.
    """

    size: int
    bin_cell: Ints
    bin_logit: Floats
    bin_count: Floats
    bin_spread: Floats
    draw_cell: Ints
    draw_logit: Floats
    draw_weight: Floats
    draw_error: Floats
    draw_variance: Floats

    def sum_bins(self, values: Floats) -> Floats:
        """Sum values by bin to values by domain."""
        return np.asarray(np.bincount(self.bin_cell, values, self.size), dtype=np.float64)

    def sum_draws(self, values: Floats) -> Floats:
        """Sum values by draw to values by domain."""
        return np.asarray(np.bincount(self.draw_cell, values, self.size), dtype=np.float64)

    @cached_property
    def decisions(self) -> Floats:
        """Number of decisions of each cell."""
        return self.sum_bins(self.bin_count)

    @cached_property
    def draws(self) -> Floats:
        """Number of audited decisions of each cell."""
        return self.sum_draws(np.ones(len(self.draw_cell)))

    @cached_property
    def total_weight(self) -> Floats:
        """Sum of the draws' weights of each cell, which estimates its number of decisions."""
        return self.sum_draws(self.draw_weight)

    @cached_property
    def certain(self) -> Floats:
        """Number of decisions of each cell that were certain to be drawn."""
        return self.sum_draws(self._is_certain)

    @cached_property
    def certain_errors(self) -> Floats:
        """Sum of the verdicts on certain decisions, by domain."""
        return self.sum_draws(self._is_certain * self.draw_error)

    @property
    def _is_certain(self) -> Floats:
        certain = (self.draw_variance == 0) & (self.draw_weight == 1)
        return np.asarray(certain, np.float64)

    @cached_property
    def unsampled(self) -> Floats:
        """Sum of 1/inclusion - 1 over the decisions of each cell."""
        return self.sum_bins(self.bin_count * self.bin_spread)


def bin_p_error(p_error: Floats | None, n_decisions: int) -> ScoreBins:
    """Bin the decisions by the logit of their P(error); one bin where there is none.

    Parameters
    ----------
    p_error
        P(error) of each decision in [0, 1], shape (n_decisions,), cross-fitted where it was trained on the
        audit's labels; None for no control variate.
    n_decisions
        Number of decisions.

    Returns
    -------
    ScoreBins
        The bin of each decision and each bin's logit.

    Raises
    ------
    DataError
        Where a P(error) is missing or outside [0, 1].

    Examples
    --------
    >>> bins = bin_p_error(np.array([0.01, 0.5, 0.5, 0.9]), 4)
    >>> bins.of.tolist(), bins.logit.round(2).tolist()
    ([0, 1, 1, 2], [-4.6, 0.0, 2.2])
    """
    if p_error is None:
        return ScoreBins(np.zeros(n_decisions, np.int64), np.zeros(1))
    p = np.asarray(p_error, np.float64)
    bad = ~((p >= 0) & (p <= 1))
    if len(p) != n_decisions or bad.any():
        got = f"{int(bad.sum())} others among {len(p)} values for {n_decisions} decisions"
        raise DataError(
            error_message(
                "p_error", "be one number in [0, 1] for each decision", got, "Score them all."
            )
        )
    p = np.clip(p, P_CLIP, 1 - P_CLIP)
    _, of = np.unique(np.floor(logit(p) / BIN_WIDTH).astype(np.int64), return_inverse=True)
    mean = np.bincount(of, p) / np.bincount(of)
    return ScoreBins(of.astype(np.int64), logit(mean))


def bin_variance_factors(
    bins: ScoreBins, draw: Ints, weight: Floats, variance: Floats | None = None
) -> Floats:
    """Estimate the mean of 1/inclusion - 1 over each bin's decisions from the draws.

    Only drawn decisions carry their inclusion probability, so the mean is the weighted mean of the
    draws, in groups of similar P(error).

    Parameters
    ----------
    bins
        The control variate's bins.
    draw
        Position of each drawn decision, shape (n_draws,).
    weight
        Its 1/inclusion probability.
    variance
        As `AuditSample.variance`; default weight (weight - 1).

    Returns
    -------
    ndarray of shape (n_bins,)

    Examples
    --------
    >>> bin_variance_factors(bin_p_error(None, 100), np.arange(10), np.full(10, 10.0)).tolist()
    [9.0]
    """
    variance = weight * (weight - 1) if variance is None else variance
    drawn = np.sort(bins.of[draw])
    n_groups = max(1, min(SPREAD_GROUPS, len(drawn) // 10))
    edges = np.unique(drawn[np.arange(1, n_groups) * len(drawn) // n_groups])
    group = np.searchsorted(edges, bins.of[draw], side="right")
    n = len(edges) + 1
    total = np.bincount(group, weight, n)
    mean = np.bincount(group, variance, n) / np.where(total > 0, total, 1)
    overall = (
        variance.sum() / weight.sum() if len(draw) else np.nan
    )  # without an audit nothing is known
    mean = np.where(total > 0, mean, overall)
    return np.asarray(mean[np.searchsorted(edges, np.arange(len(bins.logit)), side="right")])


def gather_domains(
    bins: ScoreBins,
    spread: Floats,
    cell: Ints,
    size: int,
    *,
    draw: Ints,
    weight: Floats,
    error: Floats,
    variance: Floats | None = None,
) -> Domains:
    """Gather the decisions and draws of every cell.

    Parameters
    ----------
    bins
        The control variate's bins of all decisions.
    spread
        Mean of 1/inclusion - 1 of each bin, from `bin_variance_factors`.
    cell
        Cell of each decision, -1 for those in none, shape (n_decisions,).
    size
        Number of cells.
    draw
        Position of each drawn decision, shape (n_draws,).
    weight
        Its 1/inclusion probability.
    error
        Its review: 1 error, 0 none.
    variance
        As `AuditSample.variance`; default weight (weight - 1).

    Returns
    -------
    Domains

    Examples
    --------
    >>> bins = bin_p_error(None, 6)
    >>> draw, weight = np.array([0, 3]), np.array([3.0, 3.0])
    >>> cells = gather_domains(bins, bin_variance_factors(bins, draw, weight), np.array([0, 0, 0, 1, 1, 1]),
    ...                      2, draw=draw, weight=weight, error=np.array([1.0, 0.0]))
    >>> cells.decisions.tolist(), cells.draws.tolist()
    ([3.0, 3.0], [1.0, 1.0])
    """
    n_bins = len(bins.logit)
    inside = cell >= 0
    key, count = np.unique(cell[inside] * n_bins + bins.of[inside], return_counts=True)
    kept = cell[draw] >= 0
    variance = (weight * (weight - 1) if variance is None else variance)[kept]
    draw, weight, error = draw[kept], weight[kept], error[kept]
    draw_cell, draw_bin = cell[draw], bins.of[draw]
    # A domain's design may be denser than others': scale the common curve by the ratio.
    seen = np.bincount(draw_cell, variance, size)
    expected = np.bincount(draw_cell, weight * spread[draw_bin], size)
    scale = np.where(expected > 0, seen / np.where(expected > 0, expected, 1), 1)
    return Domains(
        size=size,
        bin_cell=key // n_bins,
        bin_logit=bins.logit[key % n_bins],
        bin_count=count.astype(np.float64),
        bin_spread=spread[key % n_bins] * scale[key // n_bins],
        draw_cell=draw_cell,
        draw_logit=bins.logit[draw_bin],
        draw_weight=weight,
        draw_error=error,
        draw_variance=variance,
    )
