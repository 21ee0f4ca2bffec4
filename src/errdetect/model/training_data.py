"""Features of labelled decisions, with texts and segments scored out of fold."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.features.feature_matrix import (
    Encoding,
    build_features,
    fit_encoding,
    keep_text_recipes,
)
from errdetect.features.ngram_counts import text_groups
from errdetect.features.text_models import (
    RECIPES,
    TextCounts,
    TextModel,
    TextModelRecipe,
    count_texts,
    fit_text_models,
    spread_recipes,
)
from errdetect.model.detector import DOUBT_COLUMN, Detector, Examples, policy_correction_logit
from errdetect.model.ensemble_members import Member, SegmentRate, bin_dataset, fit_segment_rate
from errdetect.model.new_kinds import NewKinds, hide_kinds
from errdetect.model.policy_correction import (
    MIN_RELABELLED,
    PolicyCorrection,
    count_corrected,
    fit_policy_correction,
)
from errdetect.model.surrogate import USUAL_COLUMNS, LogSample, Surrogate, fit_surrogate

__all__ = [
    "CountedTexts",
    "PreparedExamples",
    "count_texts_once",
    "learn_policy_correction",
    "prepare_examples",
]


def learn_policy_correction(
    examples: Examples, log: LogSample, encoding: Encoding, *, leave_out: tuple[str, ...]
) -> PolicyCorrection | None:
    """Fit the policy correction on reviewed enforcements, and on the log's others if that helps.

    Parameters
    ----------
    examples
        Labelled decisions, with the correct policies from reviews.
    log
        All decisions of the same period.
    encoding
        Determines whether texts are used.
    leave_out
        As for `fit_encoding`.

    Returns
    -------
    PolicyCorrection or None
        None where fewer than 20 decisions were relabelled.
    """
    own = examples.decisions
    right = pd.Series(examples.right_policy, index=own.index, dtype="str")
    if "policy_id" not in own or count_corrected(own, right) < MIN_RELABELLED:
        return None
    free = log.whole[log.whole["enforced"].to_numpy(bool)]
    free = free[~free["decision_id"].isin(own["decision_id"]).to_numpy(bool)]
    frame = pd.concat([own, free], ignore_index=True)
    judged = np.arange(len(frame)) < len(own)
    named = pd.Series(np.append(examples.right_policy, np.full(len(free), None)), dtype="str")
    order = frame.sort_values(["decided_at", "decision_id"], kind="stable").index.to_numpy()
    return fit_policy_correction(
        frame.iloc[order].reset_index(drop=True),
        named.iloc[order].reset_index(drop=True),
        judged[order],
        leave_out=leave_out,
        text=encoding.text,
    )


Floats = npt.NDArray[np.float64]
Folds = npt.NDArray[np.int64]

_FOLDS, _FOLDS_OF_MANY, _MANY = 5, 3, 50_000  # with many labels, fewer folds leave enough of them
_SURROGATE_FOLDS = 3  # it has far more rows than the labels
_HISTORY = ("history_", "similar_")
_MIN_HISTORY = 300  # with fewer labels, history features are unreliable
_MAX_TAGS, _MAX_TAG_LEVELS = 2, 200


@dataclass(frozen=True)
class CountedTexts:
    """Text counts of decisions, computed once and looked up by decision.

    Parameters
    ----------
    ids
        The decisions' ids.
    texts
        Their counts; None without text.
    tags
        Columns used by the counts' tagged view.
    """

    ids: pd.Index
    texts: TextCounts | None
    tags: tuple[str, ...]

    def of(self, decisions: pd.DataFrame) -> TextCounts:
        """Return the counts of some decisions; new ones are counted now."""
        place = self.ids.get_indexer(pd.Index(decisions["decision_id"]))
        if self.texts is None or (place < 0).any():
            return count_texts(decisions, self.tags)
        return self.texts.take(place)


def count_texts_once(
    decisions: pd.DataFrame, first: Examples, *, leave_out: tuple[str, ...], text: bool
) -> CountedTexts:
    """Count the texts of all decisions that a training uses.

    Parameters
    ----------
    decisions
        Shape (n, any).
    first
        The earliest labelled decisions; they select the tag columns.
    leave_out, text
        As for `fit_encoding`.
    """
    encoding = fit_encoding(decisions, leave_out=leave_out, text=text)
    tags = _choose_tags(first, encoding)
    texts = count_texts(decisions, tags) if encoding.text else None
    return CountedTexts(pd.Index(decisions["decision_id"]), texts, tags)


@dataclass(frozen=True)
class PreparedExamples:
    """Examples as features, with texts and segments scored out of fold."""

    encoding: Encoding
    text: TextModel | None
    segment: SegmentRate
    X: Floats
    examples: Examples
    usual: Surrogate | None = None
    doubt: PolicyCorrection | None = None
    new_kinds: NewKinds | None = None

    @property
    def learned(self) -> Examples:
        """What trees learn from: the examples, and some again as if of new kinds."""
        if self.new_kinds is None:
            return self.examples
        rows = np.append(np.arange(len(self.examples)), self.new_kinds.position)
        weight = np.append(self.examples.weight, self.new_kinds.weight)
        return replace(self.examples.take(rows), weight=weight)

    def data(self, reference: lgb.Dataset | None = None) -> lgb.Dataset:
        """Return the binned training data of trees, labelled with P(violates)."""
        e = self.learned
        X = self.X if self.new_kinds is None else np.vstack([self.X, self.new_kinds.X])
        return bin_dataset(X, e.p_violates, e.weight, self.encoding.categories, reference)

    def with_recipes(self, recipes: Sequence[TextModelRecipe]) -> "PreparedExamples":
        """Return the same with some of the text models."""
        if self.text is None:
            return self
        columns = [f"text_{recipe.name}_logit" for recipe in recipes]
        X = keep_text_recipes(self.X, self.encoding, columns)
        some = self.new_kinds
        if some is not None:
            some = replace(some, X=keep_text_recipes(some.X, self.encoding, columns))
        return replace(self, X=X, text=self.text.only(recipes), new_kinds=some)

    def prepare_later(self, later: Examples, counts: TextCounts | None) -> "PreparedExamples":
        """Return later decisions' features with the fitted encoding, texts and segments."""
        X = self.detector([]).features_from_counts(later.decisions, counts)
        return replace(self, X=X, examples=later, new_kinds=None)

    def with_columns(self, X: Floats, names: Sequence[str]) -> "PreparedExamples":
        """Return the same with further columns of other models, shape (n, names)."""
        encoding = replace(self.encoding, extra=(*self.encoding.extra, *names))
        some = self.new_kinds
        if some is not None:
            some = replace(some, X=np.hstack([some.X, X[some.position]]))
        return replace(self, encoding=encoding, X=np.hstack([self.X, X]), new_kinds=some)

    def detector(self, members: Sequence[Member], floor: bool = False) -> Detector:
        """Return the detector that averages some members; see `Detector` for `floor`."""
        own = (self.encoding, self.text, self.segment)
        return Detector(
            *own, tuple(members), self.usual, self.doubt, floor and self.doubt is not None
        )


def prepare_examples(
    examples: Examples,
    counted: CountedTexts,
    *,
    leave_out: tuple[str, ...],
    text: bool,
    seed: int,
    log: LogSample | None = None,
    recipes: Sequence[TextModelRecipe] = RECIPES,
    processes: int = 1,
) -> PreparedExamples:
    """Fit the encoding, the text models and the segment rates, and build the training matrix.

    Parameters
    ----------
    examples
        Labelled decisions.
    counted
        From `count_texts_once`.
    leave_out, text
        As for `fit_encoding`.
    seed
        Seeds the folds.
    log
        Decisions, reviewed or not, for the surrogate model; None: no surrogate.
    recipes
        The text models to fit.
    processes
        How many may share the text models' fits.
    """
    decisions = examples.decisions
    late = [str(c) for c in decisions.columns if str(c).startswith(_HISTORY)]
    late = late if len(examples) < _MIN_HISTORY else []
    encoding = fit_encoding(decisions, leave_out=(*leave_out, *late), text=text, segment=True)
    if late:
        why = f"{len(examples)} labels are too few to learn from it"
        encoding = replace(encoding, left_out={**encoding.left_out, **dict.fromkeys(late, why)})
    folds = _FOLDS if len(examples) < _MANY else _FOLDS_OF_MANY
    fold = _assign_folds(decisions, encoding.text, seed, folds)
    model, logits = None, None
    if encoding.text:
        model, some = fit_text_models(
            counted.of(decisions), examples.p_violates, examples.weight, fold,
            tags=counted.tags, recipes=recipes, seed=seed, processes=processes,
        )  # fmt: skip
        logits = spread_recipes(some, recipes)
    rate = np.empty(len(examples))
    for k in range(folds):
        rest, part = examples.take(fold != k), fold == k
        fitted = fit_segment_rate(rest.decisions, rest.p_error, rest.weight)
        rate[part] = fitted.rate(decisions[part])
    segment = fit_segment_rate(decisions, examples.p_error, examples.weight)
    X = build_features(decisions, encoding, logits, rate)
    kinds = hide_kinds(
        examples, encoding, counted.of(decisions) if encoding.text else None,
        tags=counted.tags, recipes=recipes, seed=seed, processes=processes,
    )  # fmt: skip
    prepared = PreparedExamples(encoding, model, segment, X, examples, new_kinds=kinds)
    if log is None:
        return prepared
    prepared = _add_surrogate(prepared, counted, log, seed)
    return _add_policy_correction(
        prepared, learn_policy_correction(examples, log, encoding, leave_out=leave_out)
    )


def _add_surrogate(
    prepared: PreparedExamples, counted: CountedTexts, log: LogSample, seed: int
) -> PreparedExamples:
    """Append the surrogate's features, out of fold for decisions in the log's sample."""
    encoding, decisions = prepared.encoding, prepared.examples.decisions
    fold = _assign_folds(log.decisions, encoding.text, seed, _SURROGATE_FOLDS)
    found = fit_surrogate(log, encoding, fold, seed=seed)
    if found is None:
        return prepared
    usual, out = found
    logits = usual.logits(prepared.X, counted.of(decisions) if encoding.text else None)
    place = pd.Index(log.decisions["decision_id"]).get_indexer(pd.Index(decisions["decision_id"]))
    logits[place >= 0] = out[place[place >= 0]]
    columns = usual.beside(np.empty((len(logits), 0)), logits, decisions["enforced"].to_numpy(bool))
    return replace(prepared.with_columns(columns, USUAL_COLUMNS), usual=usual)


def _add_policy_correction(
    prepared: PreparedExamples, doubt: PolicyCorrection | None
) -> PreparedExamples:
    """Append P(wrong policy) as a feature; the model is out of fold by construction."""
    if doubt is None:
        return prepared
    column = policy_correction_logit(doubt, prepared.examples.decisions)[:, None]
    return replace(prepared.with_columns(column, (DOUBT_COLUMN,)), doubt=doubt)


def _assign_folds(decisions: pd.DataFrame, text: bool, seed: int, folds: int = _FOLDS) -> Folds:
    """Assign decisions to folds at random, those of one item or near-identical content together."""
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
    dealt = np.random.default_rng(seed).permutation(n) % folds
    return np.asarray(dealt[number], dtype=np.int64)


def _choose_tags(examples: Examples, encoding: Encoding) -> tuple[str, ...]:
    """Choose the columns that best predict whether content violates."""
    y = examples.violates
    gains: list[tuple[float, str]] = []
    for name, levels in encoding.categorical.items():
        if name == "action" or not 2 <= len(levels) <= _MAX_TAG_LEVELS:
            continue
        by = pd.Series(y).groupby(examples.decisions[name].astype("str").fillna("").to_numpy())
        size, rate = by.transform("size").to_numpy(), by.transform("mean").to_numpy()
        # variance between levels, minus its expectation by chance
        gains.append((float(((rate - y.mean()) ** 2 - y.var() / size).sum()), name))
    best = sorted((gain for gain in gains if gain[0] > 0), key=lambda g: (-g[0], g[1]))
    return tuple(name for _, name in best[:_MAX_TAGS])
