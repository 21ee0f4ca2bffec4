"""Labelled decisions seen once more as if they were of a kind that learning never had.

New markets, categories and sources come up between trainings. Text models and trees rely on what they know of
the usual kinds, and mislead where there is nothing of it: on sources never seen, a model could rank worse than
the machine's own margin. Here whole groups of decisions are scored by text models and segment rates that
know nothing of the group, and the columns that would name it are missing, as they will be for a new kind. Trees that
learn from these rows, too, find out how much to trust when a kind is unknown. It is domain
generalisation by held-out groups, with unknown levels as the sign of a new group.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.features.feature_matrix import Encoding, build_features
from errdetect.features.text_models import (
    TextCounts,
    TextModelRecipe,
    fit_text_models,
    spread_recipes,
)
from errdetect.model.detector import Examples
from errdetect.model.ensemble_members import fit_segment_rate

__all__ = ["NewKinds", "hide_kinds", "kind_columns"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_FOLDS = 5
_MIN_LABELS = 300  # fewer support no trees, which alone learn from it
_MIN_KINDS = 6  # with fewer, leaving a fold out would leave too few to learn what they share
_MAX_ROWS = 15_000  # over all columns: more cost time and teach little


@dataclass(frozen=True)
class NewKinds:
    """Rows of examples, as if of a new kind.

    Parameters
    ----------
    position
        Shape (m,), the row of the examples that each repeats.
    weight
        Shape (m,), the rows' weights; together at most that of all examples.
    X
        Shape (m, k), the rows' features, with what names the kind missing.
    """

    position: Ints
    weight: Floats
    X: Floats


def kind_columns(decisions: pd.DataFrame, encoding: Encoding) -> tuple[str, ...]:
    """Return the columns whose values name kinds of decisions: six or more of them, each frequent enough.

    Parameters
    ----------
    decisions
        Shape (n, any).
    encoding
        Names the categorical columns.

    Examples
    --------
    >>> frame = pd.DataFrame({"market": list("abcdefg") * 9, "enforced": [True, False, True] * 21})
    >>> from errdetect.features.feature_matrix import fit_encoding
    >>> kind_columns(frame, fit_encoding(frame, leave_out=(), text=False))
    ('market',)
    """
    return tuple(
        name
        for name, levels in encoding.categorical.items()
        if name in decisions and name != "action" and len(levels) >= _MIN_KINDS
    )


def hide_kinds(
    examples: Examples,
    encoding: Encoding,
    counts: TextCounts | None,
    *,
    tags: Sequence[str],
    recipes: Sequence[TextModelRecipe],
    seed: int,
    processes: int = 1,
) -> NewKinds | None:
    """Repeat some examples for each column that names kinds, each scored as if its kind were new.

    Parameters
    ----------
    examples
        Shape (n,), labelled decisions.
    encoding
        Their encoding.
    counts
        Shape (n,), their texts' n-grams; None without text.
    tags, recipes
        As for `fit_text_models`.
    seed
        Draws the rows.
    processes
        As for `fit_text_models`.

    Returns
    -------
    NewKinds or None
        At most 15,000 rows; None where no column names six kinds, or with fewer than 300 labels.
    """
    if len(examples) < _MIN_LABELS:
        return None
    columns = kind_columns(examples.decisions, encoding)
    parts: list[tuple[Ints, Floats]] = []
    rng = np.random.default_rng(seed)
    for name in columns:
        most = min(len(examples), _MAX_ROWS // len(columns))
        rows = np.sort(rng.choice(len(examples), most, replace=False))
        own = examples.take(rows)
        fold = _deal_kinds(own.decisions[name])
        hidden = _hide_values(own.decisions, fold, encoding)
        logits = None
        if counts is not None:
            _, some = fit_text_models(
                counts.take(rows), own.p_violates, own.weight, fold, tags=tags, recipes=recipes,
                seed=seed, processes=processes,
            )  # fmt: skip
            logits = spread_recipes(some, recipes)
        rate = np.empty(len(rows))
        for k in range(_FOLDS):
            rest, part = own.take(fold != k), fold == k
            fitted = fit_segment_rate(rest.decisions, rest.p_error, rest.weight)
            rate[part] = fitted.rate(hidden[part])
        parts.append((rows, build_features(hidden, encoding, logits, rate)))
    if not parts:
        return None
    position = np.concatenate([rows for rows, _ in parts])
    weight = examples.weight[position]
    weight = weight * min(1.0, float(examples.weight.sum()) / max(float(weight.sum()), 1e-9))
    return NewKinds(position, weight, np.vstack([X for _, X in parts]))


def _deal_kinds(values: pd.Series) -> Ints:
    """Deal whole kinds into folds of about equal size; missing values are a kind, too.

    Examples
    --------
    >>> _deal_kinds(pd.Series(list("aabcdef"))).tolist()
    [0, 0, 1, 2, 3, 4, 1]
    """
    kind = values.astype("str").fillna("")
    fold, sizes = {}, np.zeros(_FOLDS)
    counts = kind.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    for name, size in counts.items():
        fold[name] = int(sizes.argmin())
        sizes[fold[name]] += size
    return kind.map(fold).to_numpy(np.int64)


def _hide_values(decisions: pd.DataFrame, fold: Ints, encoding: Encoding) -> pd.DataFrame:
    """Make every value missing that only one fold has: no other could know it.

    Examples
    --------
    >>> frame = pd.DataFrame({"market": ["a", "b"], "language": ["x", "x"], "enforced": True})
    >>> encoding = Encoding((), {"market": ("a", "b"), "language": ("x",)}, False, {})
    >>> _hide_values(frame, np.array([0, 1]), encoding)[["market", "language"]].to_numpy().tolist()
    [[nan, 'x'], [nan, 'x']]
    """
    hidden = decisions.copy()
    for name in encoding.categorical:
        if name not in hidden or name == "action":
            continue
        values = hidden[name].astype("str")
        folds = pd.Series(fold, index=values.index).groupby(values).transform("nunique")
        hidden[name] = values.where(folds > 1)
    return hidden
