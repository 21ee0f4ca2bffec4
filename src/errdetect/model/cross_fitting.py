"""Cross-fitted P(error), independent of each decision's own reviews, for use in estimates."""

from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.features.feature_matrix import build_features, fit_encoding
from errdetect.model.ensemble_members import raw_scores

__all__ = ["CrossFit", "cross_fit"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Fewer reviewed errors, or correct decisions, are too few to fit a model.
MIN_EACH = 30
FOLDS = 5
_ROUNDS = 80
_PARAMS = {
    "objective": "cross_entropy",
    "learning_rate": 0.08,
    "num_leaves": 12,
    "min_data_in_leaf": 20,
    "feature_fraction": 0.6,
    "lambda_l2": 5.0,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}
_BLOCK = 100_000  # rows per prediction


@dataclass(frozen=True)
class CrossFit:
    """Cross-fitted P(error) of every decision.

    Parameters
    ----------
    p_error
        Shape (n_decisions,), in (0, 1). For reviewed decisions from a model trained without their
        fold, for all others the mean of the folds' models.
    fold
        Fold of each reviewed decision, shape (n_reviewed,).
    """

    p_error: Floats
    fold: Ints


def cross_fit(
    decisions: pd.DataFrame,
    position: Ints,
    error: Floats,
    weight: Floats,
    *,
    leave_out: tuple[str, ...] = (),
    seed: int = 0,
    threads: int = 1,
) -> CrossFit | None:
    """Cross-fit P(error) on reviewed decisions, and predict every decision.

    Small trees on the log's columns without the text: fast, and accurate enough to narrow an
    interval. Decisions on one item share a fold, so that copies do not leak.

    Parameters
    ----------
    decisions
        Shape (n_decisions, any), with the derived column `enforced`.
    position
        Rows of the reviewed decisions, shape (n_reviewed,).
    error
        Their share of error verdicts, in [0, 1].
    weight
        Decisions that each represents.
    leave_out
        Columns that must not be features.
    seed
        Seed of folds and trees.
    threads
        Number of threads.

    Returns
    -------
    CrossFit or None with fewer than 30 errors or fewer than 30 correct decisions.

    References
    ----------
    Zrnic and Candes (2024), Cross-prediction-powered inference, PNAS 121.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.random(2000)
    >>> decisions = pd.DataFrame({"item_id": [f"i{i}" for i in range(2000)], "enforced": True, "x": x})
    >>> wrong = (rng.random(600) < x[:600]).astype(float)
    >>> p = cross_fit(decisions, np.arange(600), wrong, np.ones(600)).p_error
    >>> bool(p[x > 0.8].mean() > p[x < 0.2].mean() + 0.4)
    True
    >>> cross_fit(decisions, np.arange(20), wrong[:20], np.ones(20)) is None
    True
    """
    if min(error.sum(), (1 - error).sum()) < MIN_EACH:
        return None
    encoding = fit_encoding(decisions.iloc[position], leave_out=leave_out, text=False)
    reviewed = build_features(decisions.iloc[position], encoding, None)
    fold = _assign_folds(decisions["item_id"].iloc[position], seed)
    params = {**_PARAMS, "seed": seed, "num_threads": threads}
    boosters = []
    for k in range(FOLDS):
        rest = fold != k
        data = lgb.Dataset(
            reviewed[rest],
            error[rest],
            weight=weight[rest] / weight[rest].mean(),
            categorical_feature=list(encoding.categories),
            params={"verbose": -1},
        )
        boosters.append(lgb.train(params, data, num_boost_round=_ROUNDS))
    p = np.empty(len(decisions))
    for start in range(0, len(decisions), _BLOCK):
        block = slice(start, start + _BLOCK)
        X = build_features(decisions.iloc[block], encoding, None)
        p[block] = np.mean([_predict_probability(b, X, threads) for b in boosters], axis=0)
    for k, booster in enumerate(boosters):
        p[position[fold == k]] = _predict_probability(booster, reviewed[fold == k], threads)
    return CrossFit(p, fold)


def _predict_probability(booster: lgb.Booster, X: Floats, threads: int) -> Floats:
    return np.asarray(1 / (1 + np.exp(-raw_scores(booster, X, threads))), dtype=np.float64)


def _assign_folds(item: pd.Series, seed: int) -> Ints:
    code, items = pd.factorize(item)
    dealt = np.random.default_rng(seed).permutation(len(items)) % FOLDS
    return np.where(code >= 0, dealt[code], np.arange(len(code)) % FOLDS).astype(np.int64)
