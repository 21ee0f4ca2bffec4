"""Tuning: Optuna searches hyperparameters, evaluated on decisions later than the training ones."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from errdetect.model.ensemble_members import DEFAULT_PARAMS, FitOptions, fit_trees, raw_scores
from errdetect.model.training_data import PreparedExamples
from errdetect.stats.ranking_metrics import average_precision, recall_at

if TYPE_CHECKING:
    import optuna

__all__ = [
    "HeldOutErrors",
    "Objective",
    "Search",
    "TunedParams",
    "is_within_noise",
    "objective_value",
    "tune",
]

Floats = npt.NDArray[np.float64]
_RESAMPLES = 100
_MAX_ROWS = 40_000  # settings that work on this many decisions work on more
_WARM, _EVERY = 40, 20  # rounds before the first pruning, and between two


@dataclass(frozen=True)
class Objective:
    """What tuning and blending maximise on held-out decisions.

    Parameters
    ----------
    name
        `average_precision`, the ranking's quality overall; or `recall`: the share of all errors found
        within the budget; or `harm`: the share of all harm found there, by P(error) times harm.
    budget
        Share of the decisions that are reviewed, for `recall` and `harm`.
    """

    name: Literal["average_precision", "recall", "harm"] = "average_precision"
    budget: float = 0.05


@dataclass(frozen=True)
class HeldOutErrors:
    """Which held-out decisions are wrong, and how much each counts.

    Parameters
    ----------
    y, weight
        Shape (n,): 1 for an error, and the decisions that each row represents.
    harm
        Shape (n,), the harm of each decision if it is wrong; None: equal for all.
    """

    y: Floats
    weight: Floats
    harm: Floats | None = None


@dataclass(frozen=True)
class Search:
    """How long hyperparameters are searched for.

    Parameters
    ----------
    trials
        Settings to try after the default; 0 keeps the default.
    seconds
        Start no further trial after this time; None: no limit. A limit makes results depend on the
        machine's speed.
    storage
        Optuna's database URL, to resume an interrupted search; None stores nothing.
    """

    trials: int = 0
    seconds: float | None = None
    storage: str | None = None


@dataclass(frozen=True)
class TunedParams:
    """Best hyperparameters on the validation period.

    Parameters
    ----------
    params
        LightGBM's settings.
    value
        Their objective.
    trials
        Settings tried, in order: their values, the objective (None where pruned) and the state.
    """

    params: Mapping[str, Any]
    value: float
    trials: tuple[Mapping[str, Any], ...]


def objective_value(held: HeldOutErrors, raw: Floats, objective: Objective) -> float:
    """Return the objective of a ranking; 0 where there are no errors.

    Parameters
    ----------
    held
        n held-out decisions.
    raw
        Shape (n,), the ranking.
    objective
        What to compute.

    Examples
    --------
    >>> y, raw = np.array([0.0, 1, 1, 0]), np.array([0.0, 3, 2, 1])
    >>> objective_value(HeldOutErrors(y, np.ones(4)), raw, Objective("recall", 0.25))
    0.5
    >>> held = HeldOutErrors(y, np.ones(4), harm=np.array([1.0, 1, 9, 1]))
    >>> objective_value(held, raw, Objective("harm", 0.25))
    0.9
    """
    y, weight, harm, budget = held.y, held.weight, held.harm, objective.budget
    if objective.name == "average_precision":
        value = average_precision(y, raw, weight)
    elif objective.name == "harm" and harm is not None:
        value = float(recall_at(y * harm, expit(raw) * harm, [budget], weight)[0])
    else:
        value = float(recall_at(y, raw, [budget], weight)[0])
    return value if np.isfinite(value) else 0.0


def tune(
    prepared: PreparedExamples,
    held: PreparedExamples,
    weight: Floats,
    search: Search,
    objective: Objective,
    options: FitOptions,
) -> TunedParams:
    """Search hyperparameters: fit on earlier decisions, evaluate on later ones.

    Only the trees of P(violates) are tuned, so that a trial costs one fit, on at most 40,000
    decisions. A trial whose held-out log loss lags behind is pruned.

    Parameters
    ----------
    prepared, held
        The earlier decisions, and the later ones.
    weight
        Shape (len(held),), decisions that each later row represents.
    search
        How long to search.
    objective
        What to maximise.
    options
        Seed of the search and the trees, threads, progress.

    Returns
    -------
    TunedParams
        The default, unless another beats it by more than one standard error.
    """
    default = {name: DEFAULT_PARAMS[name] for name in _SPACE}
    if search.trials == 0:
        return TunedParams(DEFAULT_PARAMS, float("nan"), ())
    import optuna  # half a second that only a search needs

    some = _subsample_rows(replace(prepared, new_kinds=None), options.seed)
    data = some.data()
    later = held.data(data)
    side = 1 - 2 * held.X[:, held.encoding.names.index("enforced")]
    raws: dict[int, Floats] = {}
    errors = HeldOutErrors(held.examples.error, weight, held.examples.harm)

    def fit(params: Mapping[str, Any], watch: Callable[[int, float], None] | None = None) -> Floats:
        trees = fit_trees(data, {**DEFAULT_PARAMS, **params}, options, held=later, watch=watch)
        return side * raw_scores(trees, held.X, options.threads)

    def run(trial: "optuna.Trial") -> float:
        def watch(iteration: int, loss: float) -> None:
            if iteration % _EVERY == 0:
                trial.report(-loss, iteration)
                if iteration >= _WARM and trial.should_prune():
                    raise optuna.TrialPruned

        params = _suggest_params(trial)
        raws[trial.number] = fit(params, watch if trial.number else None)
        return objective_value(errors, raws[trial.number], objective)

    def tell(study: "optuna.Study", _: "optuna.trial.FrozenTrial") -> None:
        done = len(_finished_trials(study))
        best = f"best {objective.name.replace('_', ' ')} {study.best_value:.3f}"
        options.progress(f"tuning: {done} of {search.trials + 1} settings tried, {best}")

    study = _open_study(some, held, objective, search.storage, options.seed)
    if not study.trials:
        study.enqueue_trial(default)
    left = search.trials + 1 - len(_finished_trials(study))
    if left > 0:
        study.optimize(run, n_trials=left, timeout=search.seconds, callbacks=[tell])
    tried = tuple(
        {**t.params, objective.name: t.value, "state": t.state.name.lower()}
        for t in _finished_trials(study)
    )
    best = study.best_trial
    if best.params == default:
        return TunedParams(DEFAULT_PARAMS, float(best.value or 0.0), tried)
    raw = raws[best.number] if best.number in raws else fit(best.params)
    baseline = raws[0] if 0 in raws else fit(default)
    if is_within_noise(errors, raw, baseline, objective, options.seed):
        return TunedParams(DEFAULT_PARAMS, objective_value(errors, baseline, objective), tried)
    return TunedParams({**DEFAULT_PARAMS, **best.params}, float(best.value or 0.0), tried)


def is_within_noise(
    held: HeldOutErrors,
    raw: Floats,
    default: Floats,
    objective: Objective,
    seed: int,
    standard_errors: float = 1.0,
) -> bool:
    """Return whether a lead over the default is within the resampling error.

    The best of many trials on a few hundred errors is partly luck, which does not carry over to later
    decisions.

    Parameters
    ----------
    held
        n held-out decisions.
    raw, default
        Shape (n,), the two rankings.
    objective
        What the lead is measured in.
    seed
        Seed of the resampling.
    standard_errors
        Largest lead that counts as noise.
    """
    rng, n = np.random.default_rng(seed), len(held.y)
    leads = np.empty(_RESAMPLES)
    for i in range(_RESAMPLES):
        drawn = replace(held, weight=held.weight * np.bincount(rng.integers(0, n, n), minlength=n))
        leads[i] = objective_value(drawn, raw, objective) - objective_value(
            drawn, default, objective
        )
    return not leads.mean() > standard_errors * leads.std()


#: Parameter: lowest, highest, whether on a log scale.
_SPACE: Mapping[str, tuple[float, float, bool]] = {
    "num_leaves": (4, 63, True),
    "min_data_in_leaf": (5, 200, True),
    "feature_fraction": (0.25, 1.0, False),
    "bagging_fraction": (0.5, 1.0, False),
    "lambda_l2": (0.01, 30.0, True),
    "cat_smooth": (1.0, 100.0, True),
}


def _suggest_params(trial: "optuna.Trial") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, (low, high, ratio) in _SPACE.items():
        if isinstance(DEFAULT_PARAMS[name], int):
            out[name] = trial.suggest_int(name, int(low), int(high), log=ratio)
        else:
            out[name] = trial.suggest_float(name, low, high, log=ratio)
    return out


def _subsample_rows(prepared: PreparedExamples, seed: int) -> PreparedExamples:
    n = len(prepared.examples)
    if n <= _MAX_ROWS:
        return prepared
    rows = np.sort(np.random.default_rng(seed).choice(n, _MAX_ROWS, replace=False))
    return replace(prepared, X=prepared.X[rows], examples=prepared.examples.take(rows))


def _open_study(
    prepared: PreparedExamples,
    held: PreparedExamples,
    objective: Objective,
    storage: str | None,
    seed: int,
) -> "optuna.Study":
    """Start a search, or resume the one with the same data and settings."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    name = None
    if storage is not None:
        digest = hashlib.sha256(f"{objective.name} {seed} {prepared.encoding.names}".encode())
        for part in (prepared, held):
            digest.update(np.ascontiguousarray(part.X).tobytes())
            digest.update(part.examples.p_violates.tobytes())
        name = f"errdetect-{digest.hexdigest()[:16]}"
    study = optuna.create_study(
        study_name=name, storage=storage, load_if_exists=storage is not None, direction="maximize"
    )
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials), n_startup_trials=5)
    study.pruner = optuna.pruners.MedianPruner(
        n_startup_trials=3, n_warmup_steps=_WARM, interval_steps=_EVERY
    )
    return study


def _finished_trials(study: "optuna.Study") -> "list[optuna.trial.FrozenTrial]":
    import optuna

    states = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    return list(study.get_trials(deepcopy=False, states=states))
