"""How well a ranking finds errors, and how true its probabilities are.

All take weights: where only a designed sample was reviewed, a review stands for 1 / inclusion
probability decisions, and budgets and errors are counted in those.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

__all__ = [
    "average_precision",
    "bootstrap",
    "calibration_error",
    "log_loss",
    "recall_at",
]

Floats = npt.NDArray[np.float64]


def recall_at(
    y: Floats, score: Floats, budgets: Sequence[float], weight: Floats | None = None
) -> Floats:
    """Share of all errors found when the first part of a ranking is reviewed.

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
        Shape (n,), decisions that each row stands for; default 1.

    Returns
    -------
    numpy.ndarray
        Shape (len(budgets),); NaN where there are no errors.

    Examples
    --------
    >>> recall_at(np.array([1.0, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1]), [0.25, 0.5]).tolist()
    [0.5, 0.5]
    """
    w, hits = _ranked(y, score, weight)
    if hits[-1] <= 0:
        return np.full(len(budgets), np.nan)
    found: Floats = np.interp(np.asarray(budgets) * w[-1], w, hits) / hits[-1]
    return found


def average_precision(y: Floats, score: Floats, weight: Floats | None = None) -> float:
    """Precision averaged over the errors of a ranking; NaN where there are none.

    Source: the step-wise sum over distinct scores, as scikit-learn's `average_precision_score`.

    Examples
    --------
    >>> round(average_precision(np.array([1.0, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1])), 3)
    0.833
    """
    w, hits = _ranked(y, score, weight)
    if hits[-1] <= 0:
        return float("nan")
    precision = hits[1:] / np.maximum(w[1:], 1e-300)
    return float(np.sum(np.diff(hits) * precision) / hits[-1])


def calibration_error(y: Floats, p: Floats, weight: Floats | None = None, bins: int = 15) -> float:
    """Mean distance between said and seen probability over bins of equal weight.

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


def bootstrap(
    measure: Callable[[Floats], Floats], weight: Floats, *, resamples: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """95 % percentile interval of a weighted measure, resampling decisions.

    Parameters
    ----------
    measure
        Takes weights of shape (n,), returns values of shape (k,).
    weight
        Shape (n,), the weights in the sample itself.
    resamples, rng
        How many resamples, and where their randomness comes from.

    Returns
    -------
    tuple
        Lower and upper limits, shape (k,) each; NaN where fewer than half of the resamples have
        a value.
    """
    n = len(weight)
    drawn = np.stack(
        [
            measure(weight * np.bincount(rng.integers(0, n, n), minlength=n))
            for _ in range(resamples)
        ]
    )
    known = np.isfinite(drawn).mean(axis=0) >= 0.5
    limits = np.full((2, drawn.shape[1]), np.nan)
    limits[:, known] = np.nanquantile(drawn[:, known], [0.025, 0.975], axis=0)
    return limits[0], limits[1]


def _ranked(y: Floats, score: Floats, weight: Floats | None) -> tuple[Floats, Floats]:
    """Cumulated weight and cumulated errors at the end of each distinct score, from 0."""
    w = np.ones(len(y)) if weight is None else weight
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(y) - 1)
    total = np.cumsum(w[order])[ends]
    hits = np.cumsum((w * y)[order])[ends]
    return np.append(0.0, total), np.append(0.0, hits)
