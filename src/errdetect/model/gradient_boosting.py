"""Gradient-boosted trees: fit, predict, and attribute predictions to features."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

__all__ = [
    "DEFAULT_PARAMS",
    "bin_dataset",
    "contributions",
    "fit_trees",
    "load_trees",
    "raw_scores",
]

Floats = npt.NDArray[np.float64]

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
