"""The ensemble: default members, unless held-out decisions clearly favour others."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from errdetect.features.feature_matrix import SEGMENT_COLUMN
from errdetect.features.text_models import RECIPES, TextModelRecipe
from errdetect.model.detector import Examples, apply_policy_floor
from errdetect.model.ensemble_members import (
    DEFAULT_PARAMS,
    FitOptions,
    Head,
    Member,
    fit_additive,
    fit_linear_member,
    fit_trees,
)
from errdetect.model.training_data import PreparedExamples
from errdetect.model.tuning import HeldOutErrors, Objective, is_within_noise, objective_value

__all__ = [
    "MEMBERS",
    "Ensemble",
    "choose_ensemble",
    "choose_text_recipes",
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
    until: int | tuple[PreparedExamples, lgb.Dataset],
    options: FitOptions,
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
    until
        For trees: the number of rounds, or the later decisions for early stopping and the same binned.
    options
        Seed and threads.
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
        rows = _subsample_rows(len(e), options.seed)
        model = fit_additive(
            prepared.X[rows], e.head_target(head)[rows], e.weight[rows], categories=levels,
            side=names.index("enforced"),
            ridge=_RIDGE,
        )  # fmt: skip
        return Member(name, head, model)
    data.set_label(prepared.learned.head_target(head))
    rounds, later = (until, None) if isinstance(until, int) else (None, until[1])
    if not isinstance(until, int):
        until[1].set_label(until[0].examples.head_target(head))
    settings = dict(params)
    if name in _EXTRA:
        settings |= {"extra_trees": True, "num_leaves": min(63, 2 * params["num_leaves"] + 1)}
    trees = fit_trees(data, settings, options, rounds=rounds, held=later)
    return Member(name, head, trees)


def fit_members(
    prepared: PreparedExamples,
    names: set[str],
    params: Mapping[str, Any],
    until: Mapping[str, int] | PreparedExamples,
    options: FitOptions,
) -> list[Member]:
    """Fit some members, in order; trees for each member's rounds, or stopped early by later decisions."""
    data = prepared.data()
    later = (until, until.data(data)) if isinstance(until, PreparedExamples) else None
    out = []
    for name in MEMBERS:
        if name in names:
            options.progress(f"fitting '{name}' on {len(prepared.examples):,} decisions")
            stop = later or (until.get(name, 1) if isinstance(until, Mapping) else 1)
            out.append(fit_member(name, prepared, data, params, stop, options))
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
#: Standard errors by which dearer text models must lead. Fewer trees are not tried: they cost a fifth of a
#: score, and chosen by a few hundred held-out errors they gave up 2 % of average precision.
_TEXT_LEAD = 0.5
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
#: Sets of text models, from the cheapest on. Their n-grams cost most of a score: characters about .6
#: microseconds for each character of a text, words .2 for each of the three views.
_TEXT_SETS: tuple[tuple[str, ...], ...] = (
    ("char", "ridge", "bayes", "side"),
    ("char", "ridge", "bayes", "side", "tagged"),
    tuple(recipe.name for recipe in RECIPES),
)
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
    weight: Floats,
    objective: Objective,
    options: FitOptions,
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
    objective
        What the average is chosen by.
    options
        Seed, threads, progress.

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
    members = fit_members(prepared, {n for w in offered.values() for n in w}, params, held, options)
    side = 2 * held.X[:, held.encoding.names.index("enforced")] - 1
    raws = {member.name: member.raw(held.X, side, options.threads) for member in members}
    mixed = {name: _average_log_odds(raws, weights) for name, weights in offered.items()}
    errors = HeldOutErrors(held.examples.error, weight, held.examples.harm)
    values = {name: objective_value(errors, raw, objective) for name, raw in mixed.items()}
    default = next(iter(offered))
    best = max(values, key=lambda name: (values[name], name == default))
    if best != default:
        within_noise = is_within_noise(
            errors, mixed[best], mixed[default], objective, options.seed, _MIN_LEAD
        )
        best = default if within_noise else best
    if best != default:
        notes.append(
            f"'{best}' is used: later decisions are ranked better by it ({objective.name.replace('_', ' ')} "
            f"{values[best]:.3f}) than by the default average ({values[default]:.3f})"
        )
    rounds = {m.name: m.model.best_iteration for m in members if isinstance(m.model, lgb.Booster)}
    kept = {name: rounds[name] for name in offered[best] if name in rounds}
    plain, raw = mixed[best], apply_policy_floor(mixed[best], held.X, held.encoding)
    floor = is_within_noise(errors, plain, raw, objective, options.seed, _MIN_LEAD)
    blended = raw if floor else plain
    return Ensemble(best, dict(offered[best]), kept, blended, values, tuple(notes), floor)


def choose_text_recipes(
    prepared: PreparedExamples,
    held: PreparedExamples,
    weight: Floats,
    objective: Objective,
    options: FitOptions,
) -> tuple[TextModelRecipe, ...]:
    """Choose the cheapest text models that rank later decisions as well as the best set.

    Parameters
    ----------
    prepared, held
        The earlier decisions with all text models, and the later ones.
    weight, objective, options
        As for `choose_ensemble`.

    Returns
    -------
    tuple of TextModelRecipe
        All where there is no text, or labels are too few for trees. Each set is tried with one
        member, extremely random trees.
    """
    if prepared.text is None or has_few_labels(prepared.examples):
        return RECIPES
    errors = HeldOutErrors(held.examples.error, weight, held.examples.harm)
    side = 2 * held.X[:, held.encoding.names.index("enforced")] - 1
    sets = [tuple(r for r in RECIPES if r.name in names) for names in _TEXT_SETS]
    raws = []
    for recipes in sets:
        some, later = prepared.with_recipes(recipes), held.with_recipes(recipes)
        (member,) = fit_members(some, {"extra"}, DEFAULT_PARAMS, later, options)
        raws.append(member.raw(later.X, side, options.threads))
    values = [objective_value(errors, raw, objective) for raw in raws]
    best = raws[int(np.argmax(values))]
    for recipes, raw in zip(sets, raws, strict=True):
        if is_within_noise(errors, best, raw, objective, options.seed, _TEXT_LEAD):
            return recipes
    return sets[-1]


def fit_ensemble(
    prepared: PreparedExamples, blend: Ensemble, params: Mapping[str, Any], options: FitOptions
) -> tuple[Member, ...]:
    """Fit a chosen average's members on more decisions, trees with rounds x 1.15."""
    rounds = {name: max(1, round(n * _MORE_ROUNDS)) for name, n in blend.rounds.items()}
    members = fit_members(prepared, set(blend.weights), params, rounds, options)
    return tuple(replace(m, weight=blend.weights[m.name]) for m in members)


def has_few_labels(examples: Examples) -> bool:
    """Return whether labels are too few for trees."""
    errors = int(examples.error.sum())
    return len(examples) < _MIN_TREE_LABELS or min(errors, len(examples) - errors) < _MIN_EACH_CLASS


def _average_log_odds(raws: Mapping[str, Floats], weights: Weights) -> Floats:
    total = sum(weights.values())
    return np.asarray(sum(w / total * raws[name] for name, w in weights.items()), dtype=np.float64)
