"""Tuning: Optuna tries settings, each judged on decisions later than those it learnt from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import optuna

from errdetect.model.detector import HEADS, Detector, Examples, Head, Prepared
from errdetect.model.metrics import average_precision
from errdetect.model.trees import DEFAULT_PARAMS, dataset, fit_trees

__all__ = ["Tuned", "tune"]

Floats = npt.NDArray[np.float64]

_RESAMPLES = 100


@dataclass(frozen=True)
class Tuned:
    """The settings that held-out time liked best.

    Parameters
    ----------
    params
        LightGBM's settings.
    rounds
        Trees per head.
    raw
        Shape (n,), log-odds of the held-out decisions under these settings.
    value
        Average precision there.
    trials
        Settings tried, in order: their values and average precision.
    """

    params: Mapping[str, Any]
    rounds: Mapping[Head, int]
    raw: Floats
    value: float
    trials: tuple[Mapping[str, Any], ...]


def tune(
    prepared: Prepared,
    held: Examples,
    *,
    trials: int,
    seconds: float | None,
    seed: int,
    threads: int,
    progress: Callable[[str], None] = lambda _: None,
) -> Tuned:
    """Try settings on earlier decisions, judge them on later ones.

    Parameters
    ----------
    prepared
        The earlier decisions.
    held
        The later ones.
    trials
        Settings to try after the default; 0 keeps the default.
    seconds
        Begin no further trial after so long; None never stops. A limit makes results depend on
        the machine's speed.
    seed, threads
        Seeds the search and the trees; processors used.
    progress
        Told what is going on.

    Returns
    -------
    Tuned
        By average precision, weighted by design where that has errors. The default stays unless
        another leads it by more than one standard error.
    """
    X_held = Detector(prepared.encoding, prepared.text, {}).features(held.decisions)
    weight = held.design if (held.design * held.error).sum() > 0 else np.ones(len(held))
    data = {head: prepared.data(head) for head in HEADS}
    encoding = prepared.encoding
    held_data = {
        head: dataset(
            X_held, held.target(head), held.weight, encoding.names, encoding.categories
        ).set_reference(data[head])
        for head in HEADS
    }
    best: list[Tuned] = []  # best first; the default, tried first, stays last
    tried: list[Mapping[str, Any]] = []

    def objective(trial: optuna.Trial) -> float:
        params = {**DEFAULT_PARAMS, **_suggest(trial)}
        trees = {
            head: fit_trees(data[head], params, seed=seed, threads=threads, held=held_data[head])
            for head in HEADS
        }
        raw = Detector(encoding, prepared.text, trees).raw(X_held, threads)
        value = average_precision(held.error, raw, weight)
        value = value if np.isfinite(value) else 0.0
        tried.append({**trial.params, "average_precision": value})
        if not best or value > best[0].value:
            rounds = {head: max(1, trees[head].best_iteration) for head in HEADS}
            best.insert(0, Tuned(params, rounds, raw, value, ()))
        progress(
            f"tuning: {len(tried)} of {trials + 1} settings tried, best average precision {best[0].value:.3f}"
        )
        return value

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    study.enqueue_trial({name: DEFAULT_PARAMS[name] for name in _SPACE})
    study.optimize(objective, n_trials=trials + 1, timeout=seconds)
    chosen = best[-1] if _is_luck(held.error, weight, best[0].raw, best[-1].raw, seed) else best[0]
    return replace(chosen, trials=tuple(tried))


def _is_luck(y: Floats, weight: Floats, raw: Floats, default: Floats, seed: int) -> bool:
    """Tell whether the lead over the default is within one standard error of resampling.

    The best of many trials on a few hundred errors is partly luck, and later decisions pay for it.
    """
    rng = np.random.default_rng(seed)
    leads = []
    for _ in range(_RESAMPLES):
        w = weight * np.bincount(rng.integers(0, len(y), len(y)), minlength=len(y))
        leads.append(average_precision(y, raw, w) - average_precision(y, default, w))
    known = np.array(leads)[np.isfinite(leads)]
    return len(known) == 0 or not known.mean() > known.std()


#: Setting: lowest, highest, whether in steps of equal ratio.
_SPACE: Mapping[str, tuple[float, float, bool]] = {
    "num_leaves": (4, 63, True),
    "min_data_in_leaf": (5, 200, True),
    "feature_fraction": (0.25, 1.0, False),
    "bagging_fraction": (0.5, 1.0, False),
    "lambda_l2": (0.01, 30.0, True),
    "cat_smooth": (1.0, 100.0, True),
}


def _suggest(trial: optuna.Trial) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, (low, high, ratio) in _SPACE.items():
        if isinstance(DEFAULT_PARAMS[name], int):
            out[name] = trial.suggest_int(name, int(low), int(high), log=ratio)
        else:
            out[name] = trial.suggest_float(name, low, high, log=ratio)
    return out
