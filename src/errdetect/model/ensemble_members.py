"""The models that a detector averages: gradient-boosted trees, additive and linear models.

Each returns log-odds and their feature contributions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from errdetect.model.additive_model import AdditiveModel

__all__ = [
    "DEFAULT_PARAMS",
    "Head",
    "LinearMember",
    "Member",
    "bin_dataset",
    "contributions",
    "fit_linear_member",
    "fit_trees",
    "load_trees",
    "raw_scores",
]

#: Defaults before tuning: small steps and small trees, for thousands of noisy labels.
DEFAULT_PARAMS: Mapping[str, Any] = {
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_data_in_leaf": 20,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.9,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "cat_smooth": 10.0,
    "max_cat_threshold": 32,
}
_MAX_ROUNDS, _PATIENCE = 1500, 75
_GROUP = (
    20  # predicting with few trees at a time keeps them in cache: 1.8 times faster, same result
)
Floats = npt.NDArray[np.float64]
#: A model's target: the decision is wrong, or the content violates. The decision's side turns the
#: second into the first; their errors differ, so they are averaged.
Head = Literal["error", "violates"]


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
    *,
    seed: int,
    threads: int,
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
    seed, threads
        Random seed; number of threads.
    rounds, held
        Number of rounds, or the later decisions for early stopping.
    watch
        Called with each round and its held-out log loss; may raise to stop early.
    """
    settings = {
        **params,
        "objective": "cross_entropy",
        "metric": "cross_entropy",
        "seed": seed,
        "num_threads": threads,
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
    parts = booster.predict(
        X, num_iteration=_best_rounds(booster), pred_contrib=True, num_threads=threads
    )
    return np.asarray(parts, dtype=np.float64)


def load_trees(text: str) -> lgb.Booster:
    """Load trees from LightGBM's text format."""
    return lgb.Booster(model_str=text)


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
