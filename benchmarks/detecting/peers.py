"""The peers: each ranks the test decisions, highest first, learning only from the rest.

A peer takes a task and returns scores of shape (n_test,). Those whose scores are probabilities of an
error stand in `PROBABILITIES`.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, QuantileTransformer

from .features import Features, describe, text_logits
from .problems import Problem

__all__ = ["NEED_FEATURES", "PEERS", "PROBABILITIES", "SAME_FOR_ALL_REVIEWS", "Effort", "Task"]

#: The share of the labelled decisions, by time, on which settings are tried before a refit.
INNER = 0.75
#: Refits see more rows, so they take more trees.
MORE_ROUNDS = 1.15
NEIGHBOURS = 10
PRIOR = 10.0
#: Of the models behind cleanlab, which does not say which to take.
GENTLE = {"n_estimators": 300, "learning_rate": 0.03, "num_leaves": 15, "min_child_samples": 40}
#: Segments are of these, in this order, and of columns with two values.
SEGMENT = ("policy_id", "moderator", "moderator_version", "market", "language")


@dataclass(frozen=True)
class Effort:
    """How much a method may spend: trials of tuning, trees at most, threads."""

    trials: int = 30
    rounds: int = 1000
    threads: int = 1
    seed: int = 0


@dataclass(frozen=True)
class Task:
    """What a peer learns from and ranks; `features` for those in `NEED_FEATURES`."""

    problem: Problem
    features: Features | None
    effort: Effort


def random(task: Task) -> np.ndarray:
    """Equal scores share their errors evenly: what a random order finds on average."""
    return np.full(len(task.problem.test), task.problem.y.mean())


def margin(task: Task) -> np.ndarray:
    """The closer to the bar the first; last without a score."""
    return np.nan_to_num(-np.abs(_margin(task.problem.test)), nan=-2.0)


def perfect(task: Task) -> np.ndarray:
    return task.problem.y


def segment_rate(task: Task) -> np.ndarray:
    """Error rate by segment and margin bin, every level shrunk towards the one above it."""
    known = np.isfinite(task.problem.error)
    learn, error = task.problem.learn[known], task.problem.error[known]
    both = pd.concat([learn, task.problem.test], ignore_index=True)
    keys = pd.DataFrame({"enforced": both["enforced"]})
    for name in [*SEGMENT, *(c for c in sorted(both) if c not in SEGMENT and _is_flag(both[c]))]:
        if name in both:
            keys[name] = both[name].astype(object).where(both[name].notna(), "")
    keys["bin"] = _margin_bins(both, len(learn))
    # The margin's bin stands right after the side, so that small segments fall back on it.
    order = ["enforced", "bin", *keys.columns.drop(["enforced", "bin"])]
    rate = np.full(len(both), (error.sum() + 0.5) / (len(error) + 1))
    for depth in range(1, len(order) + 1):
        cell = keys.groupby(order[:depth], sort=False).ngroup().to_numpy()
        size = cell.max() + 1
        n = np.bincount(cell[: len(learn)], minlength=size)[cell]
        wrong = np.bincount(cell[: len(learn)], error, minlength=size)[cell]
        rate = (wrong + PRIOR * rate) / (n + PRIOR)
    return rate[len(learn) :]


def cleanlab_decision(task: Task) -> np.ndarray:
    """Confident learning's usual way: the machine's decision is the noisy label.

    Learns the decision from the content, without the machine's scores, which give it away; needs no
    reviews.
    """
    both = pd.concat([task.problem.learn, task.problem.test], ignore_index=True)
    scores = [c for c in both if c.startswith("score") or c in ("threshold", "action")]
    columns, many = describe(both.drop(columns=scores), len(task.problem.learn))
    side = task.problem.learn["enforced"].to_numpy(float)
    if "text" in both:
        logits = text_logits(
            task.problem.learn["text"], side, task.problem.test["text"], task.effort.seed
        )
        columns["text"] = np.concatenate(logits)
    X = pd.DataFrame(columns).drop(columns=many)
    p = _lightgbm(X[: len(side)], side, X[len(side) :], task.effort, **GENTLE)
    return _label_doubt(task.problem.test["enforced"].to_numpy(), p)


def cleanlab_human(task: Task) -> np.ndarray:
    """Doubt about the decision as a label, by a model of what people said of the content."""
    learn, test = task.features.plain()
    p = _lightgbm(learn, task.features.violates, test, task.effort, **GENTLE)
    return _label_doubt(task.problem.test["enforced"].to_numpy(), p)


def trust_score(task: Task) -> np.ndarray:
    """Distance to decisions judged like this one, over that to those judged otherwise.

    Source: Jiang et al. 2018, To Trust Or Not To Trust A Classifier; mean distance to 10 neighbours.
    """
    learn, test = task.features.plain()
    encode = _encoder(task.features).fit(learn)
    X, Z = (_dense(encode.transform(f)).astype(np.float32) for f in (learn, test))
    away = {}
    for side in (0.0, 1.0):
        rows = X[task.features.violates == side]
        if len(rows) == 0:
            return np.full(len(Z), 0.5)
        near = NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(rows)), algorithm="brute").fit(rows)
        away[side] = near.kneighbors(Z)[0].mean(axis=1)
    enforced = task.problem.test["enforced"].to_numpy()
    same, other = (np.where(enforced, away[s], away[1 - s]) for s in (1.0, 0.0))
    return same / np.maximum(same + other, 1e-12)


def logistic(task: Task) -> np.ndarray:
    """Logistic regression on normalised numbers, also by side, and one-hot categories."""
    learn, test = task.features.plain()
    encode = _encoder(task.features).fit(learn)

    def sided(frame: pd.DataFrame) -> np.ndarray:
        X = _dense(encode.transform(frame))
        return np.hstack([X, X * np.where(frame["enforced"] > 0.5, 1.0, -1.0)[:, None]])

    model = LogisticRegression(max_iter=500, C=0.1)
    return model.fit(sided(learn), task.features.error).predict_proba(sided(test))[:, 1]


def lightgbm_default(task: Task) -> np.ndarray:
    learn, test = task.features.plain()
    return _lightgbm(learn, task.features.error, test, task.effort)


def lightgbm_tuned(task: Task) -> np.ndarray:
    """LightGBM after trials of Optuna: average precision on later decisions, then a refit."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    learn, test = task.features.plain()
    y, cut = task.features.error, round(INNER * len(learn))

    def settings(trial: Any) -> dict[str, Any]:
        return {
            "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.2, log=True),
            "num_leaves": trial.suggest_int("num_leaves", 4, 128, log=True),
            "min_child_samples": trial.suggest_int("min_child_samples", 5, 200, log=True),
            "colsample_bytree": trial.suggest_float("colsample_bytree", 0.3, 1.0),
            "subsample": trial.suggest_float("subsample", 0.5, 1.0),
            "subsample_freq": 1,
            "reg_alpha": trial.suggest_float("reg_alpha", 1e-3, 10, log=True),
            "reg_lambda": trial.suggest_float("reg_lambda", 1e-3, 10, log=True),
            "cat_smooth": trial.suggest_float("cat_smooth", 1, 100, log=True),
        }

    def objective(trial: Any) -> float:
        model = _stopped(learn, y, cut, settings(trial), task.effort)
        trial.set_user_attr("rounds", int(model.best_iteration_ or task.effort.rounds))
        held = model.predict_proba(learn[cut:])[:, 1]
        return float(average_precision_score(y[cut:], held))

    if not _both(y[:cut]) or not _both(y[cut:]):
        return _lightgbm(learn, y, test, task.effort)
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=task.effort.seed)
    )
    study.optimize(objective, n_trials=task.effort.trials)
    rounds = round(MORE_ROUNDS * study.best_trial.user_attrs["rounds"])
    chosen = {**study.best_params, "subsample_freq": 1, "n_estimators": max(rounds, 1)}
    return _lightgbm(learn, y, test, task.effort, **chosen)


def catboost(task: Task) -> np.ndarray:
    """CatBoost with its own treatment of categories; trees counted on later decisions, then a refit."""
    from catboost import CatBoostClassifier

    y, names = task.features.error, task.features.categories
    cut = round(INNER * len(y))
    learn, test = (
        f.assign(**{c: f[c].astype(object).where(f[c].notna(), "") for c in names})
        for f in (task.features.learn, task.features.test)
    )
    shape = {"cat_features": names, "thread_count": task.effort.threads,
             "random_seed": task.effort.seed, "verbose": False, "allow_writing_files": False}  # fmt: skip
    rounds = task.effort.rounds
    if _both(y[:cut]) and _both(y[cut:]):
        tried = CatBoostClassifier(iterations=rounds, **shape)
        tried.fit(learn[:cut], y[:cut], eval_set=(learn[cut:], y[cut:]), early_stopping_rounds=50)
        rounds = max(1, round(MORE_ROUNDS * (tried.get_best_iteration() + 1)))
        shape["learning_rate"] = tried.get_all_params()["learning_rate"]
    model = CatBoostClassifier(iterations=rounds, **shape)
    return model.fit(learn, y).predict_proba(test)[:, 1]


#: Name -> ranking, in the tables' order.
PEERS: dict[str, Callable[[Task], np.ndarray]] = {
    "random": random,
    "margin": margin,
    "segment rate": segment_rate,
    "cleanlab, decision": cleanlab_decision,
    "cleanlab, human label": cleanlab_human,
    "k-NN trust score": trust_score,
    "logistic regression": logistic,
    "LightGBM": lightgbm_default,
    "LightGBM, tuned": lightgbm_tuned,
    "CatBoost": catboost,
    "perfect": perfect,
}
NEED_FEATURES = frozenset(list(PEERS)[4:10])
SAME_FOR_ALL_REVIEWS = frozenset({"random", "margin", "cleanlab, decision", "perfect"})
PROBABILITIES = frozenset({"segment rate", "cleanlab, human label", *list(PEERS)[6:10]})


def _is_flag(column: pd.Series) -> bool:
    flag = pd.api.types.is_numeric_dtype(column) and column.nunique() == 2
    return bool(flag and column.name != "enforced")


def _both(y: np.ndarray) -> bool:
    """Whether there are labels of both kinds."""
    return bool(0 < y.sum() < len(y))


def _margin(decisions: pd.DataFrame) -> np.ndarray:
    if "score" not in decisions or "threshold" not in decisions:
        return np.full(len(decisions), np.nan)
    return (decisions["score"] - decisions["threshold"]).to_numpy(float, na_value=np.nan)


def _margin_bins(both: pd.DataFrame, n_learn: int) -> np.ndarray:
    """Number the twentieths of the margin on each side; -1 without a margin."""
    m, enforced = _margin(both), both["enforced"].to_numpy()
    out = np.full(len(both), -1)
    for side in (True, False):
        rows = (enforced == side) & np.isfinite(m)
        known = m[:n_learn][rows[:n_learn]]
        if len(known):
            edges = np.unique(np.quantile(known, np.linspace(0, 1, 21)[1:-1]))
            out[rows] = np.searchsorted(edges, m[rows], side="right")
    return out


def _label_doubt(label: np.ndarray, p: np.ndarray) -> np.ndarray:
    from cleanlab.rank import get_label_quality_scores

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where all test decisions are of one side
        quality = get_label_quality_scores(label.astype(int), np.column_stack([1 - p, p]))
    return 1 - quality


def _booster(effort: Effort, **settings: Any) -> Any:
    from lightgbm import LGBMClassifier

    return LGBMClassifier(
        n_jobs=effort.threads, random_state=effort.seed, deterministic=True, force_row_wise=True,
        verbosity=-1, **settings,
    )  # fmt: skip


def _lightgbm(
    learn: pd.DataFrame, y: np.ndarray, test: pd.DataFrame, effort: Effort, **settings: Any
) -> np.ndarray:
    if not _both(y):
        return np.full(len(test), y.mean())
    return _booster(effort, **settings).fit(learn, y).predict_proba(test)[:, 1]


def _stopped(
    learn: pd.DataFrame, y: np.ndarray, cut: int, settings: dict[str, Any], effort: Effort
) -> Any:
    from lightgbm import early_stopping

    model = _booster(effort, n_estimators=effort.rounds, **settings)
    return model.fit(
        learn[:cut], y[:cut], eval_X=learn[cut:], eval_y=y[cut:], eval_metric="binary_logloss",
        callbacks=[early_stopping(50, verbose=False)],
    )  # fmt: skip


def _encoder(features: Features) -> ColumnTransformer:
    """Numbers to normal quantiles with a flag where missing, categories to one-hot columns."""
    learn, _ = features.plain()
    categories = [c for c in features.categories if c not in features.many]
    numbers = [c for c in learn if c not in categories and learn[c].notna().any()]
    spread = QuantileTransformer(
        n_quantiles=min(200, len(learn)), output_distribution="normal", random_state=0
    )
    return ColumnTransformer(
        [
            ("n", make_pipeline(SimpleImputer(strategy="median", add_indicator=True), spread), numbers),
            ("c", OneHotEncoder(min_frequency=20, handle_unknown="ignore"), categories),
        ]
    )  # fmt: skip


def _dense(X: Any) -> np.ndarray:
    return np.asarray(X.todense() if hasattr(X, "todense") else X, dtype=float)
