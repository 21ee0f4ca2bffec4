"""Additive logistic regression: one piecewise linear term per feature and side, for few labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

__all__ = ["AdditiveModel", "fit_additive"]

Floats = npt.NDArray[np.float64]

_QUANTILES = 33
_BENDS = (-0.5, 0.5)  # on the scale of ranks from -1 to 1
_PIECES = 2 + len(_BENDS)  # known or not, slope, and its knots
_MAX_LEVELS = 100
_BLOCK = 20_000
_STEPS = 12


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
