"""Calibrate a model's log-odds: increasing curves to probabilities, each kept only if held-out data supports it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit

from errdetect.stats.effective_size import effective_size
from errdetect.stats.group_sums import sum_by_group
from errdetect.stats.log_odds import clip_probability, clipped_logit

__all__ = [
    "METHODS",
    "CalibrationCurve",
    "Calibrator",
    "ColumnOffsets",
    "Method",
    "calibrator_from_jsonable",
    "choose_calibrator",
    "fit_curve",
    "fit_offsets",
    "segment_values",
    "venn_abers",
]

Ints = npt.NDArray[np.int64]
Method = Literal["none", "shift", "platt", "beta", "isotonic", "venn_abers"]

#: From the simplest to the most flexible.
METHODS: tuple[Method, ...] = ("none", "shift", "platt", "beta", "isotonic", "venn_abers")

_KNOTS = 200  # groups of equal size for Venn-Abers
_TAIL = 1e-3  # slope in log-odds outside the knots: keeps the order, barely changes values
_PRIOR_SLOPE, _PRIOR_LEVEL = (
    4.0,
    1.0,
)  # prior standard deviations of slopes (around 1) and levels (around 0)
Floats = npt.NDArray[np.float64]

_STEPS = 25  # Newton steps, far more than needed
_ALLOWED, _ENFORCED = "allowed", "enforced"
_AND_SIDE = " and side"


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
        return clip_probability(out)


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
    from sklearn.isotonic import IsotonicRegression  # only fits need it

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
    beyond = raw - np.clip(raw, x[0], x[-1])
    inside = np.interp(raw, x, p)
    return np.where(beyond == 0, inside, expit(clipped_logit(inside) + _TAIL * beyond))


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


@dataclass(frozen=True)
class ColumnOffsets:
    """Each column value's offset in the log-odds of error.

    Examples
    --------
    >>> ColumnOffsets("market", {"PL": 0.5}).of(pd.Series(["PL", "DE", None])).tolist()
    [0.5, 0.0, 0.0]
    """

    column: str
    by_value: Mapping[str, float]

    def of(self, column: pd.Series) -> Floats:
        """Return each row's offset, shape (n,); 0 for missing and never reviewed values."""
        found = column.astype("str").map(self.by_value).astype("float64").fillna(0.0)
        return np.asarray(found, dtype=np.float64)


def segment_values(
    name: str, segments: pd.DataFrame, enforced: npt.NDArray[np.bool_] | None
) -> pd.Series | None:
    """Return the values by which offsets differ, shape (n,); None where the columns do not have it.

    Parameters
    ----------
    name
        A column, or `<column> and side`: each value of it apart for enforced and allowed decisions.
    segments
        Shape (n, any).
    enforced
        Shape (n,): whether the decision enforced; None where unknown.

    Examples
    --------
    >>> frame = pd.DataFrame({"moderator": ["cnn", None]})
    >>> segment_values("moderator and side", frame, np.array([True, False])).tolist()
    ['cnn, enforced', nan]
    """
    column = name.removesuffix(_AND_SIDE)
    if column not in segments:
        return None
    values = segments[column]
    if column == name:
        return values
    if enforced is None:
        return None
    side = pd.Series(np.where(enforced, _ENFORCED, _ALLOWED), index=values.index, dtype="str")
    return (values.astype("str") + ", " + side).rename(name)


def fit_offsets(
    column: pd.Series,
    y: Floats,
    p: Floats,
    weight: Floats,
    one: float,
    *,
    variance: float | None = None,
) -> ColumnOffsets:
    """Fit each column value's offset, shrunk by how much values differ overall.

    Parameters
    ----------
    column
        Shape (n,), the segment's name; missing values belong to no segment.
    y
        Shape (n,), in [0, 1], as for `fit_curve`.
    p
        Shape (n,), P(error) before the offsets.
    weight, one
        As for `fit_curve`.
    variance
        How much the values differ: the offsets' variance; estimated if None.

    Returns
    -------
    ColumnOffsets
        All 0 where the values differ no more than by chance.

    Notes
    -----
    Offsets have the prior N(0, t^2). t^2 is the excess of the segments' score tests over their
    expectation (DerSimonian and Laird 1986, around 0), and each offset is its posterior mode.

    Examples
    --------
    >>> market = pd.Series(["PL"] * 500 + ["DE"] * 500)
    >>> y = np.append(np.tile([1.0, 0, 0, 1, 0, 1, 0, 0, 0, 0], 50), np.tile([1.0, 0, 0, 0, 0], 100))
    >>> found = fit_offsets(market, y, np.full(1000, 0.25), np.ones(1000), 1.0)
    >>> {name: round(value, 2) for name, value in found.by_value.items()}
    {'DE': -0.24, 'PL': 0.22}
    """
    code, names = pd.factorize(column.astype("str"), sort=True)
    known = code >= 0
    code, y, z, w = code[known], y[known], clipped_logit(p[known]), weight[known] / one
    n = len(names)

    def score(offset: Floats) -> tuple[Floats, Floats]:
        q = expit(z + offset[code])
        return sum_by_group(code, w * (y - q), n), sum_by_group(code, w * q * (1 - q), n)

    gap, information = score(np.zeros(n))
    spread = (gap @ (gap / information) - n) / information.sum() if n else 0.0
    spread = spread if variance is None else variance
    offset = np.zeros(n)
    if spread > 0:
        for _ in range(_STEPS):
            gap, information = score(offset)
            step = (gap - offset / spread) / (information + 1 / spread)
            offset = offset + np.clip(step, -1, 1)
    return ColumnOffsets(
        str(column.name), {str(v): float(o) for v, o in zip(names, offset, strict=True)}
    )


Bools = npt.NDArray[np.bool_]

_SMOOTH: tuple[Method, ...] = ("shift", "platt", "beta")
_BLOCKS = 5
_MOST = 3  # blocks in which a better calibration must be better
_FREER = 1.5  # standard errors by which a more flexible calibration must be better
_BY_SIDE = (
    "moderator"  # what people call a violation drifts: that moves a machine's sides oppositely
)
_EM_STEPS, _MORE_STEPS = 10, 3  # reviews settle most labels, so EM is nearly there
_MIN_ERRORS = 10  # with fewer held-out errors, a better calibration may be luck
_MIN_STEPS = 500  # reviews; step functions fitted on fewer overfit


@dataclass(frozen=True)
class Calibrator:
    """A map from log-odds to probability, increasing within each side and segment.

    Parameters
    ----------
    method, values
        The curve for all decisions, as for `CalibrationCurve`.
    sides
        Separate curves: `enforced`, `allowed`, one or both.
    offsets
        Segments' offsets in log-odds, after the curve.

    Examples
    --------
    >>> Calibrator("platt", (1.0, 0.0)).probability(np.array([0.0])).tolist()
    [0.5]
    """

    method: Method
    values: tuple[float, ...] = ()
    sides: Mapping[str, CalibrationCurve] = field(default_factory=dict)
    offsets: tuple[ColumnOffsets, ...] = ()

    def probability(
        self, raw: Floats, enforced: Bools | None = None, segments: pd.DataFrame | None = None
    ) -> Floats:
        """Return P(error) of decisions.

        Parameters
        ----------
        raw
            Shape (n,), log-odds.
        enforced
            Shape (n,): whether the decision enforced. Where unknown, the curve of all decisions applies.
        segments
            Shape (n, any), columns such as `policy_id`. Missing columns have no offset.

        Returns
        -------
        numpy.ndarray
            Shape (n,), in (0, 1).
        """
        p = CalibrationCurve(self.method, self.values).probability(raw)
        for name, curve in self.sides.items():
            if enforced is not None:
                rows = enforced == (name == _ENFORCED)
                p[rows] = curve.probability(raw[rows])
        if segments is None:
            return p
        added = [values for _, values in self.offset_terms(segments, enforced)]
        return np.asarray(expit(clipped_logit(p) + sum(added)), dtype=np.float64) if added else p

    def offset_terms(
        self, segments: pd.DataFrame, enforced: Bools | None
    ) -> list[tuple[str, Floats]]:
        """Return each offset's column and its values, shape (n,); none for columns that are absent."""
        terms = []
        for offsets in self.offsets:
            values = segment_values(offsets.column, segments, enforced)
            if values is not None:
                terms.append((offsets.column.removesuffix(_AND_SIDE), offsets.of(values)))
        return terms

    def to_jsonable(self) -> dict[str, Any]:
        """Return JSON-compatible values for `calibrator_from_jsonable`."""
        return {
            "method": self.method,
            "values": list(self.values),
            "sides": {name: [c.method, list(c.values)] for name, c in self.sides.items()},
            "offsets": [[o.column, dict(o.by_value)] for o in self.offsets],
        }

    def __str__(self) -> str:
        """Return the methods' names, for users."""
        parts = [self.method, *(f"{side}: {c.method}" for side, c in self.sides.items())]
        return ", ".join([*parts, *(f"by {o.column}" for o in self.offsets)])


def calibrator_from_jsonable(plain: Mapping[str, Any]) -> Calibrator:
    """Build a calibrator from the result of `Calibrator.to_jsonable`.

    Raises
    ------
    KeyError, TypeError, ValueError
        Where the input is anything else.

    Examples
    --------
    >>> calibrator_from_jsonable(Calibrator("shift", (0.5,)).to_jsonable())
    Calibrator(method='shift', values=(0.5,), sides={}, offsets=())
    """
    return Calibrator(
        plain["method"],
        tuple(plain["values"]),
        {
            name: CalibrationCurve(method, tuple(v))
            for name, (method, v) in plain.get("sides", {}).items()
        },
        tuple(ColumnOffsets(column, by) for column, by in plain.get("offsets", ())),
    )


def choose_calibrator(
    raw: Floats,
    y: Floats,
    weight: Floats,
    *,
    evidence: Floats | None = None,
    enforced: Bools | None = None,
    segments: pd.DataFrame | None = None,
) -> Calibrator:
    """Choose the calibration that best predicts held-out blocks of time.

    Reviewers err, so a review is evidence of an error, not an error. Given `evidence`, the target is
    the decision's being wrong: each curve is fitted by EM, whose expected labels follow from the
    curve's own P(error) as prior and the reviews' likelihoods (Raykar et al. 2010, JMLR 11).

    Parameters
    ----------
    raw
        Shape (n,), held-out log-odds in order of time.
    y
        Shape (n,), in [0, 1]: 1 for an error, 0 for none; between them P(error) where the label is
        uncertain.
    weight
        Shape (n,), decisions that each row represents; rows of weight 0 do not count. With the
        audit's 1 / inclusion probability the result holds for all decisions, not for the reviewed.
    evidence
        Shape (n,), the reviews' log-likelihood ratio of an error; None where `y` is the truth.
    enforced
        Shape (n,): whether the decision enforced. If given, each side may get a separate curve.
    segments
        Shape (n, any): columns whose values may get offsets, tried in order; the moderator's also by
        side.

    Returns
    -------
    Calibrator
        Fitted on all rows. Level and slope are always fitted (`platt`). A more flexible calibration
        is chosen where its block-wise held-out log loss is lower in most blocks, by 1.5 standard
        errors: `beta`, `isotonic`, `venn_abers`, a separate curve for a side, and offsets by column.
        `none` with fewer than 10 errors or 10 correct decisions; a side with fewer keeps the curve of
        all decisions.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> raw = rng.normal(-1, 1, 2000)
    >>> y = (rng.random(2000) < expit(raw - 1)).astype(float)
    >>> str(choose_calibrator(raw, y, np.ones(2000)))
    'platt'
    """
    counted = weight > 0
    rows = _CalibrationData(
        raw[counted],
        y[counted],
        weight[counted],
        None if evidence is None else evidence[counted],
        None if enforced is None else enforced[counted],
        None if segments is None else segments[counted].reset_index(drop=True),
    )
    return rows.fit(
        _best_recipe(rows) if _has_enough_errors(rows.y) else _CalibrationRecipe("none")
    )


@dataclass(frozen=True)
class _CalibrationRecipe:
    """A calibration to fit: one method for all, methods for sides, columns with offsets."""

    method: Method
    sides: tuple[tuple[str, Method], ...] = ()
    columns: tuple[str, ...] = ()

    def with_side_method(self, side: str, method: Method) -> "_CalibrationRecipe":
        others = tuple(pair for pair in self.sides if pair[0] != side)
        return replace(self, sides=(*others, (side, method)))


class _CalibrationData:
    """The rows that count, and fits on parts of them."""

    def __init__(
        self,
        raw: Floats,
        y: Floats,
        weight: Floats,
        evidence: Floats | None,
        enforced: Bools | None,
        segments: pd.DataFrame | None,
    ) -> None:
        self.raw, self.y, self.weight, self.evidence = raw, y, weight, evidence
        self.enforced, self.segments = enforced, segments
        self.block = np.arange(len(raw)) * _BLOCKS // max(len(raw), 1)
        self.one = float(weight @ weight / weight.sum()) if len(weight) else 1.0
        if evidence is not None and len(raw):
            every = np.full(len(raw), True)
            for _ in range(_EM_STEPS):  # later fits start from these labels
                curve = fit_curve("platt", raw, self.y, weight, one=self.one)
                self.y = self.expected(curve.probability(raw), every)
        self._curves: dict[tuple[Method, str | None, int | None], CalibrationCurve] = {}
        self._losses: dict[_CalibrationRecipe, Floats] = {}

    def columns(self) -> list[str]:
        """Return the segments that may get offsets."""
        names = [] if self.segments is None else [str(name) for name in self.segments.columns]
        return names + [_BY_SIDE + _AND_SIDE] * (_BY_SIDE in names and self.enforced is not None)

    def side(self, name: str) -> Bools:
        assert self.enforced is not None
        return self.enforced if name == _ENFORCED else ~self.enforced

    def choose_better(
        self, best: _CalibrationRecipe, other: _CalibrationRecipe, errors: float
    ) -> _CalibrationRecipe:
        """Return the other where its gain is significant and not from a single period."""
        gain = self.weight * (self.row_losses(best) - self.row_losses(other))
        most = (np.bincount(self.block, gain, _BLOCKS) > 0).sum() >= _MOST
        proven = gain.sum() > errors * np.sqrt(len(gain)) * gain.std()
        return other if most and proven else best

    def row_losses(self, recipe: _CalibrationRecipe) -> Floats:
        """Return each row's log loss, its block of time predicted from the others, shape (n,)."""
        if recipe not in self._losses:
            p = self._cross_fitted(recipe)
            if self.evidence is None:
                self._losses[recipe] = -(self.y * np.log(p) + (1 - self.y) * np.log1p(-p))
            else:  # of the reviews, up to a constant
                self._losses[recipe] = -np.logaddexp(np.log(p) + self.evidence, np.log1p(-p))
        return self._losses[recipe]

    def expected(self, p: Floats, rows: Bools) -> Floats:
        """Return P(error) of some rows given their reviews, with `p` as prior, shape (rows,)."""
        if self.evidence is None:
            return self.y[rows]
        return np.asarray(expit(self.evidence[rows] + clipped_logit(p)), dtype=np.float64)

    def _cross_fitted(self, recipe: _CalibrationRecipe) -> Floats:
        p = np.empty(len(self.raw))
        for k in range(_BLOCKS):
            held = self.block == k
            p[held] = self.fit(recipe, without=k).probability(
                self.raw[held],
                None if self.enforced is None else self.enforced[held],
                None if self.segments is None else self.segments[held],
            )
        return p

    def fit(self, recipe: _CalibrationRecipe, without: int | None = None) -> Calibrator:
        """Fit a recipe on all rows, or on all but one block."""
        pooled = self._fitted_curve(recipe.method, None, without)
        sides = {side: self._fitted_curve(method, side, without) for side, method in recipe.sides}
        fitted = Calibrator(pooled.method, pooled.values, sides)
        train = self._training_rows(without)
        for column in recipe.columns:
            assert self.segments is not None
            enforced = None if self.enforced is None else self.enforced[train]
            segments = self.segments[train]
            p = fitted.probability(self.raw[train], enforced, segments)
            values = segment_values(column, segments, enforced)
            assert values is not None
            shifted, found = p, ColumnOffsets(column, {})
            for _ in range(1 if self.evidence is None else _MORE_STEPS):
                y = self.expected(shifted, train)
                found = fit_offsets(values, y, p, self.weight[train], self.one)
                shifted = expit(clipped_logit(p) + found.of(values))
            fitted = replace(fitted, offsets=(*fitted.offsets, found))
        return fitted

    def _fitted_curve(
        self, method: Method, side: str | None, without: int | None
    ) -> CalibrationCurve:
        key = (method, side, without)
        if key not in self._curves:
            train = self._training_rows(without) & (True if side is None else self.side(side))
            raw, y, curve = self.raw[train], self.y[train], CalibrationCurve("none")
            steps = 1 if self.evidence is None or method == "none" else _MORE_STEPS
            for _ in range(steps if train.any() else 0):  # a side may occur in only one block
                curve = fit_curve(method, raw, y, self.weight[train], one=self.one)
                y = self.expected(curve.probability(raw), train)
            self._curves[key] = curve
        return self._curves[key]

    def _training_rows(self, without: int | None) -> Bools:
        return np.full(len(self.raw), True) if without is None else self.block != without


def _best_recipe(rows: _CalibrationData) -> _CalibrationRecipe:
    """Try one change after the other, the simplest first; keep significant improvements."""
    best = _CalibrationRecipe("platt")
    for method in _allowed_methods(rows.weight)[2:]:
        best = rows.choose_better(best, replace(best, method=method), _FREER)
    for side in (_ALLOWED, _ENFORCED) if rows.enforced is not None else ():
        if _has_enough_errors(rows.y[rows.side(side)]):
            for method in _allowed_methods(rows.weight[rows.side(side)]):
                best = rows.choose_better(best, best.with_side_method(side, method), _FREER)
    for column in rows.columns():
        best = rows.choose_better(best, replace(best, columns=(*best.columns, column)), _FREER)
    return best


def _allowed_methods(weight: Floats) -> tuple[Method, ...]:
    """Return the methods allowed for this many rows; weighted rows count for fewer."""
    return METHODS[1:] if effective_size(weight) >= _MIN_STEPS else _SMOOTH


def _has_enough_errors(y: Floats) -> bool:
    return float(min(y.sum(), (1 - y).sum())) >= _MIN_ERRORS
