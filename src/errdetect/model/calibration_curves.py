"""Increasing curves from log-odds to probability: fitting and evaluating each method."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression

from errdetect.stats.group_sums import sum_by_group

__all__ = ["METHODS", "CalibrationCurve", "Method", "fit_curve", "venn_abers"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Method = Literal["none", "shift", "platt", "beta", "isotonic", "venn_abers"]

#: From the simplest to the most flexible.
METHODS: tuple[Method, ...] = ("none", "shift", "platt", "beta", "isotonic", "venn_abers")

_EDGE = 1e-6  # no probability is 0 or 1
_KNOTS = 200  # groups of equal size for Venn-Abers
_TAIL = 1e-3  # slope in log-odds outside the knots: keeps the order, barely changes values
_PRIOR_SLOPE, _PRIOR_LEVEL = (
    4.0,
    1.0,
)  # prior standard deviations of slopes (around 1) and levels (around 0)


@dataclass(frozen=True)
class CalibrationCurve:
    """An increasing map from log-odds to probability.

    Parameters
    ----------
    method
        `none` keeps the model's own; `shift` x + b; `platt` a x + b; `beta` a log p - b log(1-p) + c
        (Kull et al. 2017); `isotonic` and `venn_abers` straight lines between knots.
    values
        The method's parameters: (), (b,), (a, b), (a, b, c), or knots x then knots y.

    Examples
    --------
    >>> CalibrationCurve("platt", (1.0, 0.0)).probability(np.array([0.0])).tolist()
    [0.5]
    """

    method: Method
    values: tuple[float, ...] = ()

    def probability(self, raw: Floats) -> Floats:
        """Return P(error), shape (n,), in (0, 1), non-decreasing in `raw`."""
        v = np.array(self.values)
        if self.method in ("isotonic", "venn_abers"):
            half = len(v) // 2
            out = _interpolate_knots(raw, v[:half], v[half:])
        elif self.method == "beta":
            out = expit(v[0] * -np.logaddexp(0, -raw) + v[1] * np.logaddexp(0, raw) + v[2])
        elif self.method == "platt":
            out = expit(v[0] * raw + v[1])
        elif self.method == "shift":
            out = expit(raw + v[0])
        else:
            out = expit(raw)
        return np.asarray(np.clip(out, _EDGE, 1 - _EDGE), dtype=np.float64)


def fit_curve(
    method: Method, raw: Floats, y: Floats, weight: Floats, *, one: float | None = None
) -> CalibrationCurve:
    """Fit one method.

    Parameters
    ----------
    method
        One of `METHODS`.
    raw
        Shape (n,), log-odds, not all from training rows.
    y
        Shape (n,), in [0, 1]: 1 for an error, 0 for none, between them P(error) where reviewers
        disagree. A row with y = .3 counts as .3 of an error and .7 of a correct decision.
    weight
        Shape (n,), above 0: decisions that each row represents.
    one
        Decisions that one review represents; sum(w^2) / sum(w) if None, which accounts for unequal
        weights (Kish). Steps are kept away from 0 and 1 by one review.

    Returns
    -------
    CalibrationCurve

    Notes
    -----
    Kull, Silva Filho and Flach (2017), AISTATS; Zadrozny and Elkan (2002), KDD; Vovk, Petej and
    Fedorova (2015), NeurIPS. The parametric ones shrink to the identity by a normal prior: slopes
    have mean 1 and standard deviation 1/2, levels mean 0 and standard deviation 1.

    Examples
    --------
    >>> raw, y = np.zeros(100), np.repeat([1.0, 0.0], [20, 80])
    >>> fit_curve("shift", raw, y, np.ones(100)).probability(np.zeros(1)).round(2).tolist()
    [0.21]
    """
    one = float(weight @ weight / weight.sum()) if one is None else one
    if method == "isotonic":
        return CalibrationCurve(method, _isotonic_knots(raw, y, weight, one))
    if method == "venn_abers":
        return CalibrationCurve(method, _merged_venn_abers(raw, y, weight, one))
    if method == "none":
        return CalibrationCurve(method)
    slopes = {
        "beta": [-np.logaddexp(0, -raw), np.logaddexp(0, raw)],
        "platt": [raw],
        "shift": [],
    }[method]
    columns = np.column_stack([*slopes, np.ones_like(raw)])
    fixed = raw if method == "shift" else np.zeros_like(raw)
    start = np.append(np.ones(len(slopes)), 0.0)
    return CalibrationCurve(method, _fit_logistic(columns, fixed, y, weight / one, start))


def venn_abers(s: Floats, w: Floats, one: float) -> tuple[Floats, Floats]:
    """Return the two probabilities of inductive Venn-Abers at each score.

    At each score, add one review, once as correct and once as an error, and fit isotonic regression
    to all rows: these are its two values at that score.

    Parameters
    ----------
    s
        Shape (k,), weighted errors at each distinct score in ascending order.
    w
        Shape (k,), weight of all rows at each.
    one
        Weight of the added row.

    Returns
    -------
    tuple of numpy.ndarray
        p0 and p1, shape (k,) each, p0 < p1, both non-decreasing.

    Notes
    -----
    Vovk, Petej and Fedorova (2015), NeurIPS. By the max-min formula of isotonic regression over
    all intervals of scores: O(k^3), so for a few hundred scores.

    Examples
    --------
    >>> p0, p1 = venn_abers(np.array([0.0, 1.0]), np.array([1.0, 1.0]), 1.0)
    >>> p0.tolist(), p1.tolist()
    ([0.0, 0.5], [0.5, 1.0])
    """
    errors, total = np.append(0.0, np.cumsum(s)), np.append(0.0, np.cumsum(w))
    out = np.empty((2, len(s)))
    for i in range(len(s)):  # intervals from a <= i to b >= i
        hit = errors[i + 1 :] - errors[: i + 1, None]
        size = total[i + 1 :] - total[: i + 1, None] + one
        for added in (0, 1):
            out[added, i] = ((hit + added * one) / size).min(axis=1).max()
    return out[0], out[1]


def _merged_venn_abers(raw: Floats, y: Floats, weight: Floats, one: float) -> tuple[float, ...]:
    """Return knots of p1 / (1 - p0 + p1), the minimax merger under log loss."""
    group = _group_scores(raw, weight)
    n = int(group.max()) + 1
    w = sum_by_group(group, weight, n)
    p0, p1 = venn_abers(sum_by_group(group, weight * y, n), w, one)
    p = np.maximum.accumulate(p1 / (1 - p0 + p1))  # rounding must not make it decrease
    return _step_knots(sum_by_group(group, weight * raw, n) / w, p, w)


def _group_scores(raw: Floats, weight: Floats) -> Ints:
    """Group equal scores, and where there are many, neighbours into groups of equal weight."""
    scores, place = np.unique(raw, return_inverse=True)
    if len(scores) <= _KNOTS:
        return place
    w = sum_by_group(place, weight, len(scores))
    middle = np.cumsum(w) - w / 2
    part = np.minimum((middle / w.sum() * _KNOTS).astype(np.int64), _KNOTS - 1)
    return np.unique(part, return_inverse=True)[1][place]


def _isotonic_knots(raw: Floats, y: Floats, weight: Floats, one: float) -> tuple[float, ...]:
    steps = IsotonicRegression(out_of_bounds="clip").fit_transform(raw, y, sample_weight=weight)
    values, group = np.unique(steps, return_inverse=True)
    n = len(values)
    w = sum_by_group(group, weight, n)
    rate = (sum_by_group(group, weight * y, n) + one / 2) / (w + one)  # no step is 0 or 1
    x = sum_by_group(group, weight * raw, n) / w
    return _step_knots(x, IsotonicRegression().fit_transform(x, rate, sample_weight=w), w)


def _step_knots(x: Floats, p: Floats, w: Floats) -> tuple[float, ...]:
    """Return knots at the means of the steps, which keep the ranking's order within them."""
    step = np.append(0, np.cumsum(np.diff(p) > 1e-9))
    n = int(step[-1]) + 1
    total = sum_by_group(step, w, n)
    at, value = sum_by_group(step, w * x, n) / total, sum_by_group(step, w * p, n) / total
    return (*(float(v) for v in at), *(float(v) for v in value))


def _interpolate_knots(raw: Floats, x: Floats, p: Floats) -> Floats:
    p = np.clip(p, _EDGE, 1 - _EDGE)
    beyond = raw - np.clip(raw, x[0], x[-1])
    inside = np.interp(raw, x, p)
    return np.where(beyond == 0, inside, expit(logit(inside) + _TAIL * beyond))


def _fit_logistic(
    columns: Floats, fixed: Floats, y: Floats, weight: Floats, start: Floats
) -> tuple[float, ...]:
    """Fit logistic regression, slopes above 0, shrunk to `start`; weight in reviews."""
    scale = weight.sum()
    prior = np.full(len(start), _PRIOR_SLOPE)
    prior[-1] = _PRIOR_LEVEL

    def loss(v: Floats) -> tuple[float, Floats]:
        z = columns @ v + fixed
        gap, pull = weight * (expit(z) - y), prior * (v - start)
        value = weight @ (np.logaddexp(0, z) - y * z) + pull @ (v - start) / 2
        return float(value) / scale, np.asarray(columns.T @ gap + pull) / scale

    bounds = [(1e-3, None)] * (len(start) - 1) + [(None, None)]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return tuple(float(x) for x in found.x)
