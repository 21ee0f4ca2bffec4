"""The models that a detector averages; each returns log-odds and their feature contributions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from errdetect.model.additive_model import AdditiveModel
from errdetect.model.gradient_boosting import contributions, raw_scores

__all__ = ["Head", "LinearMember", "Member", "fit_linear_member"]

Floats = npt.NDArray[np.float64]
#: A model's target: the decision is wrong, or the content violates. The decision's side turns the
#: second into the first; their errors differ, so they are averaged.
Head = Literal["error", "violates"]


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
