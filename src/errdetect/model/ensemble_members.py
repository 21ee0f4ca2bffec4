"""The models that a detector averages: gradient-boosted trees, additive and linear models.

Each returns log-odds and their feature contributions.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from weakref import WeakKeyDictionary

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit

from errdetect.stats.group_sums import quantile_edges

__all__ = [
    "DEFAULT_PARAMS",
    "AdditiveModel",
    "FitOptions",
    "Head",
    "LinearMember",
    "Member",
    "SegmentRate",
    "bin_dataset",
    "contributions",
    "fit_additive",
    "fit_linear_member",
    "fit_segment_rate",
    "fit_trees",
    "margin_ranking",
    "propensity_weights",
    "raw_scores",
]

_QUANTILES = 33
_BENDS = (-0.5, 0.5)  # on the scale of ranks from -1 to 1
_PIECES = 2 + len(_BENDS)  # known or not, slope, and its knots
_MAX_LEVELS = 100
_BLOCK = 20_000
_STEPS = 12
#: Defaults before tuning: small steps and small trees, for thousands of noisy labels.
DEFAULT_PARAMS: Mapping[str, Any] = {
    "learning_rate": 0.1,
    "num_leaves": 15,
    "min_data_in_leaf": 20,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.9,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "cat_smooth": 10.0,
    "max_cat_threshold": 32,
}
_MAX_ROUNDS, _PATIENCE = 1500, 50
_GROUP = (
    20  # predicting with few trees at a time keeps them in cache: 1.8 times faster, same result
)
_LOCKS: WeakKeyDictionary[lgb.Booster, threading.Lock] = WeakKeyDictionary()
_LOCKING = threading.Lock()
Floats = npt.NDArray[np.float64]
#: A model's target: the decision is wrong, or the content violates. The decision's side turns the
#: second into the first; their errors differ, so they are averaged.
Head = Literal["error", "violates"]


@dataclass(frozen=True)
class AdditiveModel:
    """A fitted sum of one function per feature and side.

    Parameters
    ----------
    numbers
        Positions of the columns read as numbers, shape (q,).
    knots
        Their quantiles, shape (q, 33): a number is read by its rank.
    levels
        By position of a column of codes: its number of codes.
    side
        Position of the column that holds the decision's side.
    slope, mean
        Shape (f,): weight of each term, and its mean in training.
    intercept
        Log-odds where every term is at its mean.
    """

    numbers: npt.NDArray[np.int64]
    knots: Floats
    levels: Mapping[int, int]
    side: int
    slope: Floats
    mean: Floats
    intercept: float

    def raw(self, X: Floats) -> Floats:
        """Return log-odds, shape (n,)."""
        return np.asarray(self.contributions(X).sum(axis=1), dtype=np.float64)

    def contributions(self, X: Floats) -> Floats:
        """Return each column's contribution to the log-odds, shape (n, k + 1); base last."""
        out = np.zeros((len(X), X.shape[1] + 1))
        owner = self._term_columns()
        for start in range(0, len(X), _BLOCK):
            rows = slice(start, start + _BLOCK)
            parts = (self._term_matrix(X[rows]) - self.mean) * self.slope
            for column in np.unique(owner):
                out[rows, column] = parts[:, owner == column].sum(axis=1)
        out[:, -1] = self.intercept
        return out

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the fitted state as plain arrays."""
        return {
            "numbers": self.numbers,
            "knots": self.knots,
            "level_columns": np.array(list(self.levels), dtype=np.int64),
            "level_counts": np.array(list(self.levels.values()), dtype=np.int64),
            "side": np.array(self.side),
            "slope": self.slope,
            "mean": self.mean,
            "intercept": np.array(self.intercept),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> "AdditiveModel":
        """Build the model from what `arrays` returned."""
        levels = zip(arrays["level_columns"].tolist(), arrays["level_counts"].tolist(), strict=True)
        return cls(
            arrays["numbers"],
            arrays["knots"],
            dict(levels),
            int(arrays["side"]),
            arrays["slope"],
            arrays["mean"],
            float(arrays["intercept"]),
        )

    def _term_columns(self) -> npt.NDArray[np.int64]:
        """Return the column that each term belongs to, shape (f,)."""
        numbers = np.repeat(self.numbers, _PIECES)
        codes = np.repeat(list(self.levels), list(self.levels.values())).astype(np.int64)
        own = np.concatenate([numbers, codes])
        return np.concatenate([own, own, [self.side]])

    def _term_matrix(self, X: Floats) -> Floats:
        """Return every term, shape (n, f): each function, each times the side, and the side."""
        out = []
        for column, knots in zip(self.numbers, self.knots, strict=True):
            x = X[:, column]
            known = np.isfinite(x)
            rank = np.where(known, _scaled_rank(np.where(known, x, 0), knots), 0.0)
            out += [known.astype(np.float64), rank]
            out += [np.where(known, np.maximum(rank - bend, 0), 0) for bend in _BENDS]
        for column, count in self.levels.items():
            out += [X[:, column] == code for code in range(count)]
        terms = np.column_stack(out).astype(np.float64)
        side = 2 * X[:, [self.side]] - 1
        return np.hstack([terms, terms * side, side])


def fit_additive(
    X: Floats,
    y: Floats,
    weight: Floats,
    *,
    categories: Mapping[int, int],
    side: int,
    ridge: float,
) -> AdditiveModel:
    """Fit additive logistic regression with a penalty on standardised terms.

    Parameters
    ----------
    X
        Shape (n, k), NaN where unknown.
    y
        Shape (n,), in [0, 1]; fractional where a label is uncertain.
    weight
        Shape (n,), weight of each label.
    categories
        By position of a column of codes: its number of codes; those above 100 count as unknown.
    side
        Position of the column that holds 1 for an enforced decision, else 0.
    ridge
        Penalty on each squared standardised slope, in labels.

    Source: iteratively reweighted least squares with a ridge (le Cessie and van Houwelingen 1992).

    Examples
    --------
    >>> X = np.column_stack([np.linspace(-1, 1, 200), np.zeros(200)])
    >>> y = (X[:, 0] > 0).astype(float)
    >>> model = fit_additive(X, y, np.ones(200), categories={}, side=1, ridge=1.0)
    >>> bool(model.raw(X[-1:])[0] > 1 > -1 > model.raw(X[:1])[0])
    True
    """
    numbers = np.array(
        [i for i in range(X.shape[1]) if i not in categories and i != side], np.int64
    )
    levels = {column: min(count, _MAX_LEVELS) for column, count in categories.items()}
    knots = np.zeros((len(numbers), _QUANTILES))
    for row, column in enumerate(numbers):
        known = X[np.isfinite(X[:, column]), column]
        if len(known):
            knots[row] = np.quantile(known, np.linspace(0, 1, _QUANTILES))
    empty = AdditiveModel(numbers, knots, levels, side, np.zeros(0), np.zeros(0), 0.0)
    terms = np.concatenate(
        [empty._term_matrix(X[i : i + _BLOCK]).astype(np.float32) for i in range(0, len(X), _BLOCK)]
    )
    mean = np.average(terms, axis=0, weights=weight).astype(np.float64)
    spread = np.sqrt(np.average((terms - mean.astype(np.float32)) ** 2, axis=0, weights=weight))
    scale = np.where(spread > 1e-6, 1 / np.maximum(spread, 1e-2), 0.0)
    slope, intercept = _fit_newton(terms, mean, scale, y, weight, ridge)
    return AdditiveModel(numbers, knots, levels, side, slope * scale, mean, intercept)


def _fit_newton(
    terms: npt.NDArray[np.float32],
    mean: Floats,
    scale: Floats,
    y: Floats,
    weight: Floats,
    ridge: float,
) -> tuple[Floats, float]:
    f = terms.shape[1]
    share = (float((weight * y).sum()) + 0.5) / (float(weight.sum()) + 1)
    at = np.append(np.zeros(f), np.log(share / (1 - share)))
    before = np.inf
    step = np.zeros(f + 1)
    for _ in range(_STEPS):
        slope, bend = np.append(ridge * at[:-1], 0.0), np.diag(np.append(np.full(f, ridge), 1e-6))
        loss = ridge * float(at[:-1] @ at[:-1]) / 2
        for start in range(0, len(y), _BLOCK):
            rows = slice(start, start + _BLOCK)
            some = np.column_stack([(terms[rows] - mean) * scale, np.ones(len(y[rows]))])
            z = some @ at
            p = expit(z)
            w = weight[rows]
            loss += float((w * (np.logaddexp(0, z) - y[rows] * z)).sum())
            slope += some.T @ (w * (p - y[rows]))
            bend += some.T @ (some * (w * np.maximum(p * (1 - p), 1e-6))[:, None])
        if loss > before + 1e-9 * abs(before):
            step = step / 2  # overshoot: halve the step
            at = at + step
            continue
        if before - loss < 1e-6 * abs(loss):
            break
        before = loss
        step = np.linalg.solve(bend, slope)
        at = at - step
    return at[:-1], float(at[-1])


def _scaled_rank(x: Floats, knots: Floats) -> Floats:
    """Return a number's rank among the quantiles, from -1 to 1."""
    places = np.linspace(-1, 1, _QUANTILES)
    unique, first = np.unique(knots, return_index=True)
    last = _QUANTILES - 1 - np.unique(knots[::-1], return_index=True)[1]
    return np.asarray(np.interp(x, unique, (places[first] + places[last]) / 2), dtype=np.float64)


@dataclass(frozen=True)
class FitOptions:
    """How models are fitted, whatever they learn.

    Parameters
    ----------
    seed
        Random seed.
    threads
        Number of threads.
    progress
        Callback for progress messages.
    """

    seed: int = 0
    threads: int = 1
    progress: Callable[[str], None] = lambda _: None


def bin_dataset(
    X: Floats,
    y: Floats,
    weight: Floats,
    categories: Sequence[int],
    reference: lgb.Dataset | None = None,
) -> lgb.Dataset:
    """Bin a matrix once, for any number of fits (`set_label` changes their target).

    Parameters
    ----------
    X
        Shape (n, k), float64, NaN where unknown.
    y, weight
        Shape (n,): the label in [0, 1], and its weight.
    categories
        Positions of the columns that hold category codes.
    reference
        The data whose bins to use, for evaluation on later decisions.
    """
    return lgb.Dataset(
        X,
        y,
        weight=weight,
        reference=reference,
        feature_name=[f"c{i}" for i in range(X.shape[1])],
        categorical_feature=list(categories),
        params={"feature_pre_filter": False, "min_data_in_bin": 3, "verbose": -1},
        free_raw_data=False,
    )


def fit_trees(
    data: lgb.Dataset,
    params: Mapping[str, Any],
    options: FitOptions,
    *,
    rounds: int | None = None,
    held: lgb.Dataset | None = None,
    watch: Callable[[int, float], None] | None = None,
) -> lgb.Booster:
    """Fit trees for a number of rounds, or until held-out log loss stops decreasing.

    Exactly one of `rounds` and `held` is given.

    Parameters
    ----------
    data
        From `bin_dataset`; labels between 0 and 1 are probabilities.
    params
        LightGBM's settings.
    options
        Seed and threads.
    rounds, held
        Number of rounds, or the later decisions for early stopping.
    watch
        Called with each round and its held-out log loss; may raise to stop early.
    """
    settings = {
        **params,
        "objective": "cross_entropy",
        "metric": "cross_entropy",
        "seed": options.seed,
        "num_threads": options.threads,
        "deterministic": True,
        "force_row_wise": True,
        "feature_pre_filter": False,
        "verbose": -1,
    }
    if held is None:
        return lgb.train(settings, data, num_boost_round=rounds or 1)
    callbacks: list[Callable[..., Any]] = [lgb.early_stopping(_PATIENCE, verbose=False)]
    if watch is not None:

        def report(env: Any) -> None:
            watch(env.iteration, env.evaluation_result_list[0][2])

        callbacks.append(report)
    return lgb.train(
        settings, data, num_boost_round=_MAX_ROUNDS, valid_sets=[held], callbacks=callbacks
    )


def raw_scores(booster: lgb.Booster, X: Floats, threads: int) -> Floats:
    """Return log-odds, shape (n,), from the best number of trees."""
    total = _best_rounds(booster)
    out = np.zeros(len(X))
    with _booster_lock(booster):
        for start in range(0, total, _GROUP):
            count = min(_GROUP, total - start)
            out += booster.predict(
                X, start_iteration=start, num_iteration=count, raw_score=True, num_threads=threads
            )
    return out


def contributions(booster: lgb.Booster, X: Floats, threads: int) -> Floats:
    """Return exact SHAP values in log-odds, shape (n, k + 1); the last column is the base.

    Source: TreeSHAP (Lundberg et al. 2020), as LightGBM's `pred_contrib` computes it.
    """
    with _booster_lock(booster):
        parts = booster.predict(
            X, num_iteration=_best_rounds(booster), pred_contrib=True, num_threads=threads
        )
    return np.asarray(parts, dtype=np.float64)


def _booster_lock(booster: lgb.Booster) -> threading.Lock:
    """Return a booster's lock: LightGBM keeps the range of trees to predict with in the booster."""
    with _LOCKING:
        return _LOCKS.setdefault(booster, threading.Lock())


def _best_rounds(booster: lgb.Booster) -> int:
    best = int(booster.best_iteration)
    return best if best > 0 else int(booster.current_iteration())


@dataclass(frozen=True)
class LinearMember:
    """Log-odds from one feature: slope * feature + intercept, `fill` where it is unknown.

    Examples
    --------
    >>> LinearMember(0, 2.0, 1.0, 0.5).raw(np.array([[3.0], [np.nan]])).tolist()
    [7.0, 2.0]
    """

    column: int
    slope: float
    intercept: float
    fill: float

    def raw(self, X: Floats) -> Floats:
        """Return log-odds, shape (n,)."""
        return self.slope * self._fill_missing(X) + self.intercept

    def contributions(self, X: Floats) -> Floats:
        """Return each column's contribution, shape (n, k + 1); base last."""
        out = np.zeros((len(X), X.shape[1] + 1))
        out[:, self.column] = self.slope * (self._fill_missing(X) - self.fill)
        out[:, -1] = self.slope * self.fill + self.intercept
        return out

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the fitted state as plain arrays."""
        return {
            "column": np.array(self.column),
            "line": np.array([self.slope, self.intercept, self.fill]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> "LinearMember":
        """Build the model from what `arrays` returned."""
        slope, intercept, fill = arrays["line"].tolist()
        return cls(int(arrays["column"]), slope, intercept, fill)

    def _fill_missing(self, X: Floats) -> Floats:
        x = X[:, self.column]
        return np.where(np.isfinite(x), x, self.fill)


def fit_linear_member(X: Floats, column: int, weight: Floats) -> LinearMember:
    """Use a feature that already is log-odds; unknown values take its mean."""
    x = X[:, column]
    known = np.isfinite(x)
    fill = float(np.average(x[known], weights=weight[known])) if known.any() else 0.0
    return LinearMember(column, 1.0, 0.0, fill)


@dataclass(frozen=True)
class Member:
    """One model of a detector.

    Parameters
    ----------
    name
        Its name.
    head
        Its target.
    model
        LightGBM's trees, an additive model, or a line.
    weight
        Its share of the average.
    """

    name: str
    head: Head
    model: lgb.Booster | AdditiveModel | LinearMember
    weight: float = 1.0

    def raw(self, X: Floats, side: Floats, threads: int) -> Floats:
        """Return log-odds of error, shape (n,); `side` is 1 for enforced decisions, -1 for others."""
        if isinstance(self.model, AdditiveModel | LinearMember):
            return self._head_sign(side) * self.model.raw(X)
        return self._head_sign(side) * raw_scores(self.model, X, threads)

    def contributions(self, X: Floats, side: Floats, threads: int) -> Floats:
        """Return each column's contribution to them, shape (n, k + 1); base last."""
        if isinstance(self.model, AdditiveModel | LinearMember):
            return self._head_sign(side)[:, None] * self.model.contributions(X)
        return self._head_sign(side)[:, None] * contributions(self.model, X, threads)

    def _head_sign(self, side: Floats) -> Floats:
        return -side if self.head == "violates" else np.ones_like(side)


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
        first, place = _distinct_segments(decisions, self.columns, self.edges)
        keys = _cell_keys(decisions.iloc[first], self.columns, self.edges)
        out = np.full(len(first), self.overall)
        for depth, rates in enumerate(self.levels, start=1):
            found = [rates.get(key, np.nan) for key in zip(*keys[:depth], strict=True)]
            out = np.where(np.isnan(found), out, found)
        return np.asarray(out[place], dtype=np.float64)


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


def _distinct_segments(
    decisions: pd.DataFrame, columns: tuple[str, ...], edges: Floats
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return one decision of each segment, and each decision's segment."""
    margin = _score_margin(decisions)
    code = np.where(np.isfinite(margin), np.searchsorted(edges, margin, side="right"), -1) + 1
    for name in columns:
        if name in decisions:
            own, values = pd.factorize(decisions[name], use_na_sentinel=True)
            code = code * (len(values) + 1) + own + 1
            code = np.unique(code, return_inverse=True)[1]  # packed again, against overflow
    _, first, place = np.unique(code, return_index=True, return_inverse=True)
    return first, place


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
