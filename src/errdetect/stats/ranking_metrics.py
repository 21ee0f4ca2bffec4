"""How well scores rank errors first, and how well probabilities are calibrated.

All take weights: where only a designed sample was reviewed, a review represents 1 / inclusion
probability decisions, and budgets and errors are counted in those.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from errdetect.stats.intervals import critical_value

__all__ = [
    "auroc",
    "auroc_interval",
    "average_precision",
    "average_precision_influence",
    "calibration_error",
    "log_loss",
    "permuted_metrics",
    "recall_at",
    "recall_influence",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def recall_at(
    y: Floats, score: Floats, budgets: Sequence[float], weight: Floats | None = None
) -> Floats:
    """Return the share of all errors found when the first part of a ranking is reviewed.

    Parameters
    ----------
    y
        Shape (n,), 1 for an error, else 0.
    score
        Shape (n,), higher is reviewed first. Equal scores share their errors evenly, as a random
        order among them would on average.
    budgets
        Shares of the decisions that are reviewed, each in (0, 1].
    weight
        Shape (n,), number of decisions that each row represents; default 1.

    Returns
    -------
    numpy.ndarray
        Shape (len(budgets),); NaN where there are no errors.

    Examples
    --------
    >>> recall_at(np.array([1.0, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1]), [0.25, 0.5]).tolist()
    [0.5, 0.5]
    """
    w, hits = _cumulative_counts(y, score, weight)
    if hits[-1] <= 0:
        return np.full(len(budgets), np.nan)
    found: Floats = np.interp(np.asarray(budgets) * w[-1], w, hits) / hits[-1]
    return found


def average_precision(y: Floats, score: Floats, weight: Floats | None = None) -> float:
    """Return precision averaged over the errors of a ranking; NaN if there are none.

    Source: the step-wise sum over distinct scores, as scikit-learn's `average_precision_score`.

    Examples
    --------
    >>> round(average_precision(np.array([1.0, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1])), 3)
    0.833
    """
    w, hits = _cumulative_counts(y, score, weight)
    if hits[-1] <= 0:
        return float("nan")
    precision = hits[1:] / np.maximum(w[1:], 1e-300)
    return float(np.sum(np.diff(hits) * precision) / hits[-1])


def average_precision_influence(
    y: Floats, score: Floats, weight: Floats | None = None
) -> tuple[float, Floats]:
    """Return average precision, and how much each row moves it.

    Parameters
    ----------
    y, score, weight
        As for `recall_at`; at least one error.

    Returns
    -------
    tuple
        The value as `average_precision`, and its influence function at each row, shape (n,), of
        weighted mean 0: the value's variance is that of the influence's weighted mean.

    References
    ----------
    Derived as Hampel (1974), JASA 69, 383-393, from AP = E[y precision(score)] / E[y].

    Examples
    --------
    >>> y, score = np.array([1.0, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1])
    >>> value, influence = average_precision_influence(y, score)
    >>> round(value, 3), influence.round(2)[:3].tolist()
    (0.833, [0.56, -0.44, -0.11])
    """
    v, tie, share, hits = _cumulative_shares(y, score, weight)
    rate = float(hits[-1])
    found, precision = np.diff(hits, prepend=0.0), hits / share
    value = float((found * precision).sum()) / rate
    below = np.cumsum((found / share)[::-1])[::-1]
    lost = np.cumsum((found * precision / share)[::-1])[::-1]
    influence = (y * (precision + below - value)[tie] - lost[tie]) / rate
    return value, np.where(v > 0, influence, 0.0)


def recall_influence(
    y: Floats, score: Floats, budget: float, weight: Floats | None = None
) -> tuple[float, Floats]:
    """Return recall at a budget, and how much each row moves it.

    Parameters
    ----------
    y, score, weight
        As for `recall_at`; at least one error.
    budget
        Share of the decisions that is reviewed, in (0, 1].

    Returns
    -------
    tuple
        The value as `recall_at`, and its influence function at each row, shape (n,), of weighted
        mean 0. The error rate at the cut is that between half and one and a half budgets.

    Examples
    --------
    >>> y, score = np.array([1.0, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1])
    >>> value, influence = recall_influence(y, score, 0.5)
    >>> value, influence.tolist()
    (0.5, [0.5, -0.5, -0.5, 0.5])
    """
    v, tie, share, hits = _cumulative_shares(y, score, weight)
    ends, found = np.append(0.0, share), np.append(0.0, hits)
    rate = float(hits[-1])
    value = float(np.interp(budget, ends, found)) / rate
    low, high = budget / 2, min(1.5 * budget, 1.0)
    at_cut = float(np.diff(np.interp([low, high], ends, found))[0]) / (high - low)
    inside = np.clip((budget - ends[:-1]) / np.maximum(np.diff(ends), 1e-300), 0, 1)[tie]
    influence = (y * (inside - value) - at_cut * (inside - budget)) / rate
    return value, np.where(v > 0, influence, 0.0)


def permuted_metrics(
    y: Floats,
    score: Floats,
    budget: float,
    weight: Floats,
    *,
    permutations: int,
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    """Return average precision and recall at a budget where scores say nothing of errors.

    Parameters
    ----------
    y, score, budget, weight
        As for `recall_influence`; errors and their weights are permuted together.
    permutations, rng
        Number of permutations, and the random generator.

    Returns
    -------
    tuple of numpy.ndarray
        Shape (permutations,) each.

    Examples
    --------
    >>> y, rng = np.repeat([1.0, 0.0], [2, 8]), np.random.default_rng(0)
    >>> found = permuted_metrics(y, np.arange(10.0), 0.5, np.ones(10), permutations=500, rng=rng)
    >>> [float(values.mean().round(1)) for values in found]
    [0.4, 0.5]
    """
    order = np.argsort(-score, kind="stable")
    ends = np.append(_score_run_ends(score[order]), len(y) - 1)
    step = max(1, 2_000_000 // len(y))  # bounds memory
    precision, recall = [], []
    for start in range(0, permutations, step):
        rows = np.tile(np.arange(len(y)), (min(step, permutations - start), 1))
        k = rng.permuted(rows, axis=1)
        w = np.cumsum(weight[k], axis=1)[:, ends]
        hits = np.cumsum((weight * y)[k], axis=1)[:, ends]
        each = np.diff(hits, axis=1, prepend=0.0) * hits / np.maximum(w, 1e-300)
        precision.append(each.sum(axis=1) / hits[:, -1])
        cut = zip(w, hits, strict=True)
        found = [np.interp(budget * a[-1], np.append(0, a), np.append(0, h)) for a, h in cut]
        recall.append(np.array(found) / hits[:, -1])
    return np.concatenate(precision), np.concatenate(recall)


def auroc(y: Floats, score: Floats, weight: Floats | None = None) -> float:
    """Return the probability that a random error ranks above a random correct decision (AUROC).

    Parameters
    ----------
    y, score, weight
        As for `recall_at`; a tie counts one half.

    Returns
    -------
    float
        0.5 is a random order; NaN where there are only errors, or none.

    References
    ----------
    Mann and Whitney (1947), Annals of Mathematical Statistics 18, 50-60.

    Examples
    --------
    >>> auroc(np.array([1.0, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1]))
    0.75
    """
    if not len(y):
        return float("nan")
    w = np.ones(len(y)) if weight is None else weight
    order = np.argsort(score, kind="stable")
    starts = np.append(0, _score_run_ends(score[order]) + 1)
    wrong = np.add.reduceat((w * y)[order], starts)
    right = np.add.reduceat((w * (1 - y))[order], starts)
    total = float(wrong.sum() * right.sum())
    if total <= 0:
        return float("nan")
    return float((wrong * (np.cumsum(right) - right / 2)).sum() / total)


def auroc_interval(share: float, n_wrong: float, n_right: float) -> tuple[float, float]:
    """Return the 95 % interval of an AUROC, also with few errors or a perfect ranking.

    Parameters
    ----------
    share
        The AUROC, in [0, 1].
    n_wrong, n_right
        Errors and correct decisions behind it, at least 1; for weighted rows, their
        effective sample size.

    Returns
    -------
    tuple of float
        Lower and upper limit.

    Notes
    -----
    The values that lie within 1.96 standard errors, taken at the value itself with the variance of
    Hanley and McNeil (1982).

    References
    ----------
    Newcombe (2006), Statistics in Medicine 25, 559-573, method 5.

    Examples
    --------
    >>> [round(v, 2) for v in auroc_interval(1.0, 10, 50)], [round(v, 2) for v in auroc_interval(0.8, 100, 900)]
    ([0.88, 1.0], [0.75, 0.84])
    """
    at = np.linspace(0, 1, 2001)
    mean = (n_wrong + n_right) / 2 - 1
    spread = at * (1 - at) * (1 + mean * (1 - at) / (2 - at) + mean * at / (1 + at))
    near = np.flatnonzero((at - share) ** 2 <= critical_value() ** 2 * spread / (n_wrong * n_right))
    if not len(near):
        return share, share
    return float(min(at[near[0]], share)), float(max(at[near[-1]], share))


def calibration_error(y: Floats, p: Floats, weight: Floats | None = None, bins: int = 15) -> float:
    """Mean distance between predicted and observed probability over bins of equal weight.

    Source: expected calibration error with equal-mass bins (Nixon et al. 2019).

    Examples
    --------
    >>> round(calibration_error(np.array([1.0, 0, 0, 0]), np.full(4, 0.5), bins=1), 3)
    0.25
    """
    w = np.ones(len(y)) if weight is None else weight
    order = np.argsort(p, kind="stable")
    share = np.cumsum(w[order]) - w[order] / 2
    place = np.minimum((share / w.sum() * bins).astype(int), bins - 1)
    gap = np.bincount(place, w[order] * (p[order] - y[order]), bins)
    return float(np.abs(gap).sum() / w.sum())


def log_loss(y: Floats, p: Floats, weight: Floats | None = None) -> float:
    """Mean negative log-likelihood of the labels, in nats.

    Examples
    --------
    >>> round(log_loss(np.array([1.0, 0.0]), np.array([0.5, 0.5])), 3)
    0.693
    """
    q = np.clip(p, 1e-9, 1 - 1e-9)
    loss = -(y * np.log(q) + (1 - y) * np.log1p(-q))
    return float(np.average(loss, weights=weight))


def _cumulative_counts(y: Floats, score: Floats, weight: Floats | None) -> tuple[Floats, Floats]:
    """Cumulated weight and cumulated errors at the end of each distinct score, from 0."""
    w = np.ones(len(y)) if weight is None else weight
    order = np.argsort(-score, kind="stable")
    ends = np.append(_score_run_ends(score[order]), len(y) - 1)
    total = np.cumsum(w[order])[ends]
    hits = np.cumsum((w * y)[order])[ends]
    return np.append(0.0, total), np.append(0.0, hits)


def _cumulative_shares(
    y: Floats, score: Floats, weight: Floats | None
) -> tuple[Floats, Ints, Floats, Floats]:
    """Return each row's share, its place among the distinct scores, and shares of rows and errors up to each."""
    w = np.ones(len(y)) if weight is None else weight
    v = w / w.sum()
    order = np.argsort(-score, kind="stable")
    ends = np.append(_score_run_ends(score[order]), len(y) - 1)
    tie = np.empty(len(y), dtype=np.int64)
    tie[order] = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=-1))
    share, hits = np.cumsum(v[order])[ends], np.cumsum((v * y)[order])[ends]
    return v, tie, np.maximum(share, 1e-300), hits


def _score_run_ends(ranked: Floats) -> Ints:
    """Return the last row of each run of equal scores but the last; infinite scores are equal too."""
    return np.flatnonzero(ranked[1:] != ranked[:-1])
