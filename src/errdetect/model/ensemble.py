"""The ensemble: default members, unless held-out decisions clearly favour others."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from errdetect.features.feature_matrix import SEGMENT_COLUMN
from errdetect.model.detector import Examples, apply_policy_floor
from errdetect.model.ensemble_members import (
    Head,
    Member,
    fit_additive,
    fit_linear_member,
    fit_trees,
)
from errdetect.model.training_data import PreparedExamples
from errdetect.model.tuning import Objective, is_within_noise, objective_value

__all__ = [
    "MEMBERS",
    "Ensemble",
    "choose_ensemble",
    "fit_ensemble",
    "fit_member",
    "fit_members",
    "has_few_labels",
]


_RIDGE = 30.0
_MAX_ADDITIVE = 20_000
_EXTRA = ("extra", "extra_error")  # extremely random trees vary less, so they may grow larger
_TEXT_COLUMN = "text_logit_mean"

#: Each member's target, in the order of fitting. `segment` and `text` need no fit of their own.
MEMBERS: Mapping[str, Head] = {
    "violates": "violates",
    "extra": "violates",
    "extra_error": "error",
    "additive": "error",
    "text": "violates",
    "segment": "error",
}


def fit_member(
    name: str,
    prepared: PreparedExamples,
    data: lgb.Dataset,
    params: Mapping[str, Any],
    *,
    seed: int,
    threads: int,
    rounds: int | None = None,
    held: tuple[PreparedExamples, lgb.Dataset] | None = None,
) -> Member:
    """Fit one member; trees for a fixed number of rounds, or with early stopping.

    Parameters
    ----------
    name
        One of `MEMBERS`.
    prepared, data
        The training examples, and the same binned.
    params
        LightGBM's settings.
    seed, threads
        Random seed; number of threads.
    rounds, held
        For trees, exactly one: the number of rounds, or the later decisions and the same binned.
    """
    head, names = MEMBERS[name], prepared.encoding.names
    e = prepared.examples
    if name in ("segment", "text"):
        column = names.index(SEGMENT_COLUMN if name == "segment" else _TEXT_COLUMN)
        return Member(name, head, fit_linear_member(prepared.X, column, e.weight))
    if name == "additive":
        levels = {
            i: len(prepared.encoding.categorical[names[i]]) for i in prepared.encoding.categories
        }
        rows = _subsample_rows(len(e), seed)
        model = fit_additive(
            prepared.X[rows], e.head_target(head)[rows], e.weight[rows], categories=levels,
            side=names.index("enforced"),
            ridge=_RIDGE,
        )  # fmt: skip
        return Member(name, head, model)
    data.set_label(e.head_target(head))
    if held is not None:
        held[1].set_label(held[0].examples.head_target(head))
    settings = dict(params)
    if name in _EXTRA:
        settings |= {"extra_trees": True, "num_leaves": min(63, 2 * params["num_leaves"] + 1)}
    trees = fit_trees(
        data, settings, seed=seed, threads=threads, rounds=rounds, held=held[1] if held else None
    )
    return Member(name, head, trees)


def fit_members(
    prepared: PreparedExamples,
    names: set[str],
    params: Mapping[str, Any],
    *,
    seed: int,
    threads: int,
    rounds: Mapping[str, int] | None = None,
    held: PreparedExamples | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Member]:
    """Fit some members, in order; trees for given rounds, or with early stopping."""
    data = prepared.data()
    later = None if held is None else (held, held.data(data))
    out = []
    for name in MEMBERS:
        if name in names:
            progress(f"fitting '{name}' on {len(prepared.examples):,} decisions")
            trees = (rounds or {}).get(name)
            how: dict[str, Any] = {"seed": seed, "threads": threads, "rounds": trees}
            out.append(fit_member(name, prepared, data, params, held=later, **how))
    return out


def _subsample_rows(n: int, seed: int) -> npt.NDArray[np.int64]:
    """Choose the additive model's training rows, capped where more change little."""
    if n <= _MAX_ADDITIVE:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, _MAX_ADDITIVE, replace=False))


Floats = npt.NDArray[np.float64]
Weights = Mapping[str, float]

_MORE_ROUNDS = 1.15  # more decisions support more trees when refitting
_MIN_LEAD = 2.0  # standard errors by which another average must beat the default
_MIN_TREE_LABELS, _MIN_EACH_CLASS = (
    300,
    30,
)  # fewer labels, or fewer of each class, do not support trees

_TREES: Weights = {"violates": 1, "extra": 2, "extra_error": 1}
#: Candidate averages, the default first; held-out decisions choose among them.
_AVERAGES: Mapping[str, Weights] = {
    "trees": _TREES,
    "trees and the additive model": {**_TREES, "additive": 2},
    "trees and the texts": {**_TREES, "text": 1},
    "trees and the segment rate": {**_TREES, "segment": 4},
    "segment rate": {"segment": 1},
}
_SIMPLE: Mapping[str, Weights] = {
    "additive model and segment rate": {"additive": 1, "segment": 1},
    "with the texts": {"additive": 1, "segment": 1, "text": 1},
    "segment rate": {"segment": 1},
}


@dataclass(frozen=True)
class Ensemble:
    """Members and their weights, as chosen on held-out decisions.

    Parameters
    ----------
    name
        The average's name.
    weights
        Each member's share.
    rounds
        Number of trees per member that has trees.
    raw
        Shape (n,), log-odds of the held-out decisions.
    values
        The objective of every average tried.
    notes
        Notes for users.
    floor
        Whether P(wrong policy), where known, is a lower bound on P(error).
    """

    name: str
    weights: Weights
    rounds: Mapping[str, int]
    raw: Floats
    values: Mapping[str, float]
    notes: tuple[str, ...]
    floor: bool = False


def choose_ensemble(
    prepared: PreparedExamples,
    held: PreparedExamples,
    params: Mapping[str, Any],
    *,
    weight: Floats,
    objective: Objective,
    budget: float,
    seed: int,
    threads: int,
    progress: Callable[[str], None] = lambda _: None,
) -> Ensemble:
    """Fit all members on earlier decisions, and choose their average on later ones.

    Parameters
    ----------
    prepared, held
        The earlier decisions, and the later ones.
    params
        LightGBM's settings.
    weight
        Shape (len(held),), decisions that each later row represents.
    objective, budget
        As for `objective_value`.
    seed, threads
        Random seed; number of threads.
    progress
        Callback for progress messages.

    Returns
    -------
    Ensemble
        The default average, unless another beats it by more than two standard errors; with few labels,
        members with trees are left out.
    """
    notes: list[str] = []
    few = has_few_labels(prepared.examples)
    if few:
        notes.append(
            f"only {len(prepared.examples)} labels to learn from ({int(prepared.examples.error.sum())} "
            "errors), so simpler models are used: an additive model and segment error rates"
        )
    offered = _SIMPLE if few else _AVERAGES
    if prepared.text is None:
        offered = {name: w for name, w in offered.items() if "text" not in w}
    members = fit_members(
        prepared, {n for w in offered.values() for n in w}, params,
        held=held, seed=seed, threads=threads, progress=progress,
    )  # fmt: skip
    side = 2 * held.X[:, held.encoding.names.index("enforced")] - 1
    raws = {member.name: member.raw(held.X, side, threads) for member in members}
    y = held.examples.error
    mixed = {name: _average_log_odds(raws, weights) for name, weights in offered.items()}
    harm = held.examples.harm
    values = {
        n: objective_value(y, raw, weight, objective, budget, harm) for n, raw in mixed.items()
    }
    default = next(iter(offered))
    best = max(values, key=lambda name: (values[name], name == default))
    if best != default:
        within_noise = is_within_noise(
            y, weight, mixed[best], mixed[default], objective, budget, seed, _MIN_LEAD, harm=harm
        )
        best = default if within_noise else best
    if best != default:
        notes.append(
            f"'{best}' is used: later decisions are ranked better by it ({objective.replace('_', ' ')} "
            f"{values[best]:.3f}) than by the default average ({values[default]:.3f})"
        )
    rounds = {m.name: m.model.best_iteration for m in members if isinstance(m.model, lgb.Booster)}
    kept = {name: rounds[name] for name in offered[best] if name in rounds}
    plain, raw = mixed[best], apply_policy_floor(mixed[best], held.X, held.encoding)
    how: dict[str, Any] = {"objective": objective, "budget": budget, "seed": seed, "harm": harm}
    floor = is_within_noise(y, weight, plain, raw, standard_errors=_MIN_LEAD, **how)
    blended = raw if floor else plain
    return Ensemble(best, dict(offered[best]), kept, blended, values, tuple(notes), floor)


def fit_ensemble(
    prepared: PreparedExamples,
    blend: Ensemble,
    params: Mapping[str, Any],
    *,
    seed: int,
    threads: int,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[Member, ...]:
    """Fit a chosen average's members on more decisions, trees with rounds x 1.15."""
    rounds = {name: max(1, round(n * _MORE_ROUNDS)) for name, n in blend.rounds.items()}
    how: dict[str, Any] = {"rounds": rounds, "seed": seed, "threads": threads}
    members = fit_members(prepared, set(blend.weights), params, progress=progress, **how)
    return tuple(replace(m, weight=blend.weights[m.name]) for m in members)


def has_few_labels(examples: Examples) -> bool:
    """Return whether labels are too few for trees."""
    errors = int(examples.error.sum())
    return len(examples) < _MIN_TREE_LABELS or min(errors, len(examples) - errors) < _MIN_EACH_CLASS


def _average_log_odds(raws: Mapping[str, Floats], weights: Weights) -> Floats:
    total = sum(weights.values())
    return np.asarray(sum(w / total * raws[name] for name, w in weights.items()), dtype=np.float64)
