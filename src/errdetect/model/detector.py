"""The detector: text models and members that together say how likely a decision is wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.features.matrix import SEGMENT_COLUMN, Encoding, build_features, learn_encoding
from errdetect.features.ngrams import text_groups
from errdetect.features.text import TextCounts, TextModel, count_texts, fit_text
from errdetect.model.additive import fit_additive
from errdetect.model.baselines import SegmentRate, fit_segment_rate
from errdetect.model.members import Head, Member, fit_line
from errdetect.model.trees import dataset, fit_trees

__all__ = [
    "MEMBERS",
    "Counted",
    "Detector",
    "Examples",
    "Head",
    "Prepared",
    "count_once",
    "fit_member",
    "prepare",
]

Floats = npt.NDArray[np.float64]
Folds = npt.NDArray[np.int64]

_FOLDS = 5
_RIDGE = 30.0
_HISTORY = ("history_", "similar_")
_MAX_ADDITIVE = 20_000
_MIN_HISTORY = 300  # fewer labels cannot tell what histories are worth
_MAX_TAGS, _MAX_TAG_LEVELS = 2, 200
_EXTRA = ("extra", "extra_error")  # extremely random trees vary less, so they may grow larger
_TEXT_COLUMN = "text_logit_mean"

#: What each member learns, in the order of fitting. `segment` and `text` need no fit of their own.
MEMBERS: Mapping[str, Head] = {
    "violates": "violates",
    "extra": "violates",
    "extra_error": "error",
    "additive": "error",
    "text": "violates",
    "segment": "error",
}


@dataclass(frozen=True)
class Examples:
    """Labelled decisions.

    Parameters
    ----------
    decisions
        Shape (n, any), in order of time, with the derived column `enforced`.
    error
        Shape (n,), 1 where the decision is an error of any kind, else 0.
    violates
        Shape (n,), 1 where the content should have been enforced, else 0.
    weight
        Shape (n,), trust in each label, in (0, 1].
    design
        Shape (n,), decisions that each row stands for when measuring; 0 where a row was not drawn
        by design, so that it says nothing about the rest.
    p_error, p_violates
        Shape (n,), the same two as probabilities, where reviews leave doubt: what models learn.
        Default: the labels themselves.
    harm
        Shape (n,), what each decision would harm if it were wrong; default: 1 each.
    """

    decisions: pd.DataFrame
    error: Floats
    violates: Floats
    weight: Floats
    design: Floats
    p_error: Floats = field(default_factory=lambda: np.empty(0))
    p_violates: Floats = field(default_factory=lambda: np.empty(0))
    harm: Floats = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        if len(self.p_error) != len(self.decisions):
            object.__setattr__(self, "p_error", self.error)
        if len(self.p_violates) != len(self.decisions):
            object.__setattr__(self, "p_violates", self.violates)
        if len(self.harm) != len(self.decisions):
            object.__setattr__(self, "harm", np.ones(len(self.decisions)))

    def __len__(self) -> int:
        return len(self.decisions)

    def take(self, rows: npt.NDArray[Any]) -> "Examples":
        """Return the rows that a mask or positions choose."""
        values = (
            self.error,
            self.violates,
            self.weight,
            self.design,
            self.p_error,
            self.p_violates,
            self.harm,
        )
        return Examples(
            self.decisions[rows] if rows.dtype == bool else self.decisions.iloc[rows],
            *(v[rows] for v in values),
        )

    def target(self, head: Head) -> Floats:
        """Return what a head learns, shape (n,), in [0, 1]."""
        return self.p_error if head == "error" else self.p_violates


@dataclass(frozen=True)
class Detector:
    """Fitted text models and members.

    Parameters
    ----------
    encoding
        Which columns are features.
    text
        Fitted text models; None without text.
    segment
        Error rates by segment: a feature.
    members
        The models that are averaged, with their weights.
    """

    encoding: Encoding
    text: TextModel | None
    segment: SegmentRate
    members: tuple[Member, ...]

    def features(self, decisions: pd.DataFrame) -> Floats:
        """Return the feature matrix of decisions never trained on, shape (n, k)."""
        logits = None if self.text is None else self.text.logits(decisions)
        return build_features(decisions, self.encoding, logits, self.segment.rate(decisions))

    def raw(self, X: Floats, threads: int) -> Floats:
        """Return log-odds of error, shape (n,), from a feature matrix."""
        side = _side(X, self.encoding)
        total = sum(member.weight for member in self.members)
        parts = [m.weight / total * m.raw(X, side, threads) for m in self.members]
        return np.asarray(np.sum(parts, axis=0), dtype=np.float64)

    def contributions(self, X: Floats, threads: int) -> Floats:
        """Return what each feature adds to the log-odds of error, shape (n, k + 1), base last.

        They add up to `raw`: SHAP values of trees and the terms of linear members average as
        their predictions do.
        """
        side = _side(X, self.encoding)
        total = sum(member.weight for member in self.members)
        parts = [m.weight / total * m.contributions(X, side, threads) for m in self.members]
        return np.asarray(np.sum(parts, axis=0), dtype=np.float64)


@dataclass(frozen=True)
class Counted:
    """Texts of decisions counted once, found again by decision.

    Parameters
    ----------
    ids
        The decisions.
    texts
        Their counts; None without text.
    tags
        Columns that the counts' tagged view was made with.
    """

    ids: pd.Index
    texts: TextCounts | None
    tags: tuple[str, ...]

    def of(self, decisions: pd.DataFrame) -> TextCounts:
        """Return the counts of some decisions; those unknown are counted anew."""
        place = self.ids.get_indexer(pd.Index(decisions["decision_id"]))
        if self.texts is None or (place < 0).any():
            return count_texts(decisions, self.tags)
        return self.texts.take(place)


def count_once(
    decisions: pd.DataFrame, first: Examples, *, leave_out: tuple[str, ...], text: bool
) -> Counted:
    """Count the texts of all decisions that a training will look at.

    Parameters
    ----------
    decisions
        Shape (n, any).
    first
        The earliest labelled decisions: they say which columns the words are put beside.
    leave_out, text
        As for `learn_encoding`.
    """
    encoding = learn_encoding(decisions, leave_out=leave_out, text=text)
    tags = _tags(first, encoding)
    texts = count_texts(decisions, tags) if encoding.text else None
    return Counted(pd.Index(decisions["decision_id"]), texts, tags)


@dataclass(frozen=True)
class Prepared:
    """Examples turned into features, texts and segments scored out of fold, ready for fits."""

    encoding: Encoding
    text: TextModel | None
    segment: SegmentRate
    X: Floats
    examples: Examples

    def data(self, reference: lgb.Dataset | None = None) -> lgb.Dataset:
        """Return the binned data that trees are fitted on, labelled with P(violates)."""
        e = self.examples
        return dataset(self.X, e.p_violates, e.weight, self.encoding.categories, reference)

    def held(self, later: Examples, counts: TextCounts | None) -> "Prepared":
        """Return later decisions as the fitted encoding, texts and segments see them."""
        logits = self.text.read(counts) if self.text is not None and counts is not None else None
        rate = self.segment.rate(later.decisions)
        X = build_features(later.decisions, self.encoding, logits, rate)
        return Prepared(self.encoding, self.text, self.segment, X, later)

    def detector(self, members: Sequence[Member]) -> Detector:
        """Return the detector that averages some members."""
        return Detector(self.encoding, self.text, self.segment, tuple(members))


def prepare(
    examples: Examples,
    counted: Counted,
    *,
    leave_out: tuple[str, ...],
    text: bool,
    seed: int,
) -> Prepared:
    """Learn the encoding, the text models and the segments, and build the training matrix.

    Parameters
    ----------
    examples
        Labelled decisions.
    counted
        From `count_once`.
    leave_out, text
        As for `learn_encoding`.
    seed
        Seeds the folds.
    """
    decisions = examples.decisions
    late = [str(c) for c in decisions.columns if str(c).startswith(_HISTORY)]
    late = late if len(examples) < _MIN_HISTORY else []
    encoding = learn_encoding(decisions, leave_out=(*leave_out, *late), text=text, segment=True)
    if late:
        why = f"{len(examples)} labels are too few to tell what it is worth"
        encoding = replace(encoding, left_out={**encoding.left_out, **dict.fromkeys(late, why)})
    fold = _folds(decisions, encoding.text, seed)
    model, logits = None, None
    if encoding.text:
        model, logits = fit_text(
            counted.of(decisions), examples.p_violates, examples.weight, fold,
            tags=counted.tags, seed=seed,
        )  # fmt: skip
    rate = np.empty(len(examples))
    for k in range(_FOLDS):
        rest, part = examples.take(fold != k), fold == k
        fitted = fit_segment_rate(rest.decisions, rest.p_error, rest.weight)
        rate[part] = fitted.rate(decisions[part])
    segment = fit_segment_rate(decisions, examples.p_error, examples.weight)
    X = build_features(decisions, encoding, logits, rate)
    return Prepared(encoding, model, segment, X, examples)


def fit_member(
    name: str,
    prepared: Prepared,
    data: lgb.Dataset,
    params: Mapping[str, Any],
    *,
    seed: int,
    threads: int,
    rounds: int | None = None,
    held: tuple[Prepared, lgb.Dataset] | None = None,
) -> Member:
    """Fit one member; trees for so many rounds, or until later decisions say stop.

    Parameters
    ----------
    name
        One of `MEMBERS`.
    prepared, data
        What it learns from, and the same binned.
    params
        LightGBM's settings.
    seed, threads
        Seed of all randomness; processors used.
    rounds, held
        For trees, exactly one: how many rounds, or the later decisions and the same binned.
    """
    head, names = MEMBERS[name], prepared.encoding.names
    e = prepared.examples
    if name in ("segment", "text"):
        column = names.index(SEGMENT_COLUMN if name == "segment" else _TEXT_COLUMN)
        return Member(name, head, fit_line(prepared.X, column, e.weight))
    if name == "additive":
        levels = {
            i: len(prepared.encoding.categorical[names[i]]) for i in prepared.encoding.categories
        }
        rows = _some(len(e), seed)
        model = fit_additive(
            prepared.X[rows], e.target(head)[rows], e.weight[rows], categories=levels, side=names.index("enforced"),
            ridge=_RIDGE,
        )  # fmt: skip
        return Member(name, head, model)
    data.set_label(e.target(head))
    if held is not None:
        held[1].set_label(held[0].examples.target(head))
    settings = dict(params)
    if name in _EXTRA:
        settings |= {"extra_trees": True, "num_leaves": min(63, 2 * params["num_leaves"] + 1)}
    trees = fit_trees(
        data, settings, seed=seed, threads=threads, rounds=rounds, held=held[1] if held else None
    )
    return Member(name, head, trees)


def _some(n: int, seed: int) -> Folds:
    """Choose the rows that the additive model learns from: so many that more change little."""
    if n <= _MAX_ADDITIVE:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, _MAX_ADDITIVE, replace=False))


def _side(X: Floats, encoding: Encoding) -> Floats:
    """Return 1 for enforced decisions, -1 for others."""
    return 2 * X[:, encoding.names.index("enforced")] - 1


def _folds(decisions: pd.DataFrame, text: bool, seed: int) -> Folds:
    """Deal decisions to folds at random, those of one item or nearly the same content together."""
    group = (
        pd.factorize(decisions["item_id"])[0]
        if "item_id" in decisions
        else np.arange(len(decisions))
    )
    group = np.where(group < 0, np.arange(len(decisions)) + len(decisions), group)
    if text:
        has = decisions["text"].notna().to_numpy(bool)
        group = np.where(has, text_groups(decisions["text"]) + 2 * len(decisions), group)
    number = pd.factorize(group)[0]
    n = int(number.max()) + 1 if len(number) else 0
    dealt = np.random.default_rng(seed).permutation(n) % _FOLDS
    return np.asarray(dealt[number], dtype=np.int64)


def _tags(examples: Examples, encoding: Encoding) -> tuple[str, ...]:
    """Choose the columns that tell most of whether content violates."""
    y = examples.violates
    gains: list[tuple[float, str]] = []
    for name, levels in encoding.categorical.items():
        if name == "action" or not 2 <= len(levels) <= _MAX_TAG_LEVELS:
            continue
        by = pd.Series(y).groupby(examples.decisions[name].astype("str").fillna("").to_numpy())
        size, rate = by.transform("size").to_numpy(), by.transform("mean").to_numpy()
        # between levels, less what as many levels would show by chance
        gains.append((float(((rate - y.mean()) ** 2 - y.var() / size).sum()), name))
    best = sorted((gain for gain in gains if gain[0] > 0), key=lambda g: (-g[0], g[1]))
    return tuple(name for _, name in best[:_MAX_TAGS])
