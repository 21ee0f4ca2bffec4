"""Reasons why a decision is likely wrong, strongest first, and the nearest decision that reviewers upheld."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, TypedDict

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from scipy.special import expit

from errdetect.explanations.fact_baselines import FactBaselines, fact_signal, fit_fact_baselines
from errdetect.explanations.reason_facts import ReasonFacts, history_code
from errdetect.explanations.reason_templates import sanitize_text
from errdetect.features.feature_matrix import DERIVED_TEXT, SEGMENT_COLUMN, build_features
from errdetect.features.ngram_counts import clean_texts, count_ngrams
from errdetect.features.text_models import MEASURE_COLUMNS, TEXT_COLUMNS
from errdetect.model.detector import Detector, Examples

__all__ = [
    "MOST_REASONS",
    "Contrast",
    "CorrectPool",
    "Reason",
    "build_correct_pool",
    "decision_reasons",
    "display_values",
    "find_contrasts",
    "group_contributions",
    "latest_per_policy",
    "measure_fact_baselines",
    "reason_codes",
]

Floats = npt.NDArray[np.float64]

_BY_MEANING = {
    **dict.fromkeys(("score", "threshold", "margin", "confidence"), "margin"),
    **dict.fromkeys(("action", "enforced"), "action"),
    **dict.fromkeys(("moderator", "moderator_version"), "moderator"),
    **dict.fromkeys(MEASURE_COLUMNS, "text_shape"),
    **dict.fromkeys((*TEXT_COLUMNS, *DERIVED_TEXT), "text"),
    SEGMENT_COLUMN: "segment",
    "other_policy_logit": "other_policy",
}
#: The feature that represents a reason in plots: of several, the first that exists.
_SHOWN = {
    "margin": ("margin", "score"),
    "action": ("enforced",),
    "text": ("text_logit_mean",),
    "text_shape": ("text_chars",),
    "segment": (SEGMENT_COLUMN,),
    "usual": ("usual_logit",),
    "other_policy": ("other_policy_logit",),
    "other_scores": ("scores_max",),
    "history_changes": ("history_moderator_version_days", "history_policy_change_days"),
}
_LOGITS = (
    "text_logit_mean",
    "usual_logit",
    "other_policy_logit",
    SEGMENT_COLUMN,
)  # shown as probabilities
#: Reasons whose facts come from models fitted to labels.
_LEARNED = frozenset({"text", "segment", "usual", "other_policy"})
_RECORDED = ("error_rate_90d", "complaint_error_rate_90d", "decisions_90d")
Ints = npt.NDArray[np.int64]

_MOST_FACTS = 3
_LEAST_SHARE = 0.1  # of the strongest contribution: a weaker one is no reason
_TEXT_SHARE = 1 / 3  # weight of the text in the similarity of two decisions
_SAME_KIND = ("policy_id", "action", "enforced")
_LEFT_OUT = frozenset({"policy_id", "action", "text"})


def reason_codes(names: Sequence[str], alike: Sequence[Sequence[str]] = ()) -> list[str]:
    """Return each feature's reason code: features with the same information share one.

    Parameters
    ----------
    names
        The features' names.
    alike
        Groups of own columns with the same information; each is named by its first.

    Examples
    --------
    >>> reason_codes(["score", "margin", "text_char_logit", "market", "score_ml"])
    ['margin', 'margin', 'text', 'market', 'other_scores']
    >>> reason_codes(["price_usd", "tags=new"], [["price", "price_usd"]])
    ['price', 'tags']
    """
    first = {name: group[0] for group in alike for name in group}
    return [
        code if (code := _feature_code(name)) != name else first.get(name, name) for name in names
    ]


def _feature_code(name: str) -> str:
    if name in _BY_MEANING:
        return _BY_MEANING[name]
    if name.startswith(("score_", "scores_")):
        return "other_scores"
    if name.startswith("usual_"):
        return "usual"
    return history_code(name) or name.partition("=")[0]


def group_contributions(
    values: Floats, names: Sequence[str], alike: Sequence[Sequence[str]] = ()
) -> pd.DataFrame:
    """Add up contributions by reason code.

    Parameters
    ----------
    values
        Shape (n, k), log-odds, without the base.
    names, alike
        As for `reason_codes`.

    Returns
    -------
    pandas.DataFrame
        Shape (n, codes), in the order of first appearance; a row adds up to that of the values.

    Examples
    --------
    >>> group_contributions(np.array([[0.5, -0.25, 1.0]]), ["score", "margin", "market"]).to_dict("list")
    {'margin': [0.25], 'market': [1.0]}
    """
    codes, uniques = pd.factorize(pd.Series(reason_codes(names, alike), dtype="str"))
    grouped = np.zeros((len(values), len(uniques)))
    np.add.at(grouped.T, codes, values.T)
    return pd.DataFrame(grouped, columns=list(uniques))


def measure_fact_baselines(
    examples: Examples,
    detector: Detector,
    held: tuple[Examples, Detector],
    equivalent: Sequence[Sequence[str]] = (),
) -> FactBaselines:
    """Measure how often the labelled decisions with each fact were wrong.

    Parameters
    ----------
    examples, detector
        The labelled decisions, with what was known before each, and the model trained on them.
    held
        The latest of them, and a model that did not learn from these: what models say of a
        decision they learned from is no baseline.
    equivalent
        As `alike` of `reason_codes`.
    """
    encoding, n = detector.encoding, len(examples)
    text = np.full((n, len(TEXT_COLUMNS)), np.nan) if encoding.text else None
    rate = np.full(n, 0.5) if encoding.segment else None
    X = build_features(examples.decisions, encoding, text, rate)
    names = encoding.names[: X.shape[1]]
    own = set(reason_codes(names, equivalent)) - _LEARNED
    later, evaluated = held
    X_later, names_later = evaluated.features(later.decisions), evaluated.encoding.names
    fitted = _LEARNED & set(reason_codes(names_later))
    return _fit_codes(sorted(own), examples, X, names).joined(
        _fit_codes(sorted(fitted), later, X_later, names_later)
    )


def _fit_codes(
    codes: Sequence[str], examples: Examples, X: Floats, names: Sequence[str]
) -> FactBaselines:
    decisions = examples.decisions
    signals = {code: fact_signal(code, decisions, X, names) for code in codes}
    enforced = decisions["enforced"].to_numpy(bool)
    return fit_fact_baselines(signals, enforced, examples.p_error, examples.design)


def display_values(
    X: Floats, names: Sequence[str], codes: Sequence[str], categories: Sequence[int]
) -> pd.DataFrame:
    """Return one number for each reason's fact, for plots.

    Parameters
    ----------
    X, names
        Shape (n, k), features, and their names.
    codes
        The reasons.
    categories
        Positions of the features that are codes of categories, which are no numbers.

    Returns
    -------
    pandas.DataFrame
        Shape (n, codes); NaN where a fact is not a number or unknown.

    Examples
    --------
    >>> display_values(np.array([[0.5, 2.0]]), ["margin", "market"], ["margin", "market"], [1]).values
    array([[0.5, nan]])
    """
    place = {name: i for i, name in enumerate(names) if i not in set(categories)}
    out = pd.DataFrame(np.nan, index=range(len(X)), columns=list(codes))
    for code in codes:
        wanted = (*_SHOWN.get(code, ()), *(f"{code}_{what}" for what in _RECORDED), code)
        if code == "similar":
            wanted = tuple(sorted(n for n in names if n.startswith(code) and n.endswith("_wrong")))
        found = next((place[name] for name in wanted if name in place), None)
        if found is not None:
            out[code] = expit(X[:, found]) if names[found].endswith(_LOGITS) else X[:, found]
    return out


_TEXT, _SHAPE, _CHARS = "text", "text_shape", "text_chars"
#: Maximum number of reasons of a decision, by the contract.
MOST_REASONS = 5


class Reason(TypedDict):
    """One reason: a stable code, a sentence, and its contribution to the served log-odds of error."""

    code: str
    text: str
    contribution: float


def decision_reasons(
    facts: ReasonFacts, grouped: pd.DataFrame, *, limit: int = MOST_REASONS, towards: bool = True
) -> list[list[Reason]]:
    """Return for each decision the reasons associated with an error.

    Parameters
    ----------
    facts
        The n decisions.
    grouped
        Shape (n, codes), from `group_contributions`.
    limit
        Maximum number of reasons per decision.
    towards
        Whether to return reasons towards error, or against it.

    Returns
    -------
    list
        For each decision its reasons, the strongest first; ties by code. Facts that say nothing, or
        speak for the other direction, give way to the next.

    Examples
    --------
    >>> from errdetect.explanations.reason_templates import load_templates
    >>> frame = pd.DataFrame({"decision_id": ["d1"], "market": ["DE"], "category": ["toys"]})
    >>> facts = ReasonFacts(frame, np.empty((1, 0)), [], load_templates())
    >>> pushes = pd.DataFrame({"market": [0.5], "category": [-0.25]})
    >>> decision_reasons(facts, pushes)
    [[{'code': 'market', 'text': 'The market is DE', 'contribution': 0.5}]]
    >>> decision_reasons(facts, pushes, towards=False)[0][0]["text"]
    'The category is toys'
    """
    codes = sorted(grouped.columns)
    values = _merge_empty_text(facts, grouped[codes]).to_numpy(np.float64)
    sign = 1.0 if towards else -1.0
    order = np.argsort(-sign * values, axis=1, kind="stable")
    return [
        list(islice(_supporting_reasons(facts, row, codes, values[row], order[row], sign), limit))
        for row in range(len(facts))
    ]


def _supporting_reasons(
    facts: ReasonFacts, row: int, codes: Sequence[str], values: Floats, order: Ints, sign: float
) -> Iterator[Reason]:
    least = _LEAST_SHARE * max(0.0, sign * values[order[0]]) if len(order) else 0.0
    for g in order:
        if sign * values[g] <= 0 or sign * values[g] < least:
            return
        text = facts.supporting_fact(codes[g], row, towards=sign > 0)
        if text is not None:
            yield Reason(code=codes[g], text=text, contribution=float(values[g]))


def _merge_empty_text(facts: ReasonFacts, grouped: pd.DataFrame) -> pd.DataFrame:
    """Without a text, its meaning and its form are one fact: there is no text."""
    if _SHAPE not in grouped or _TEXT not in grouped or _CHARS not in facts.names:
        return grouped
    shape = grouped[_SHAPE].to_numpy(np.float64)
    silent = np.isnan(facts.X[:, list(facts.names).index(_CHARS)])
    moved = np.where(silent, shape, 0.0)
    merged = grouped.copy()
    merged[_TEXT], merged[_SHAPE] = grouped[_TEXT].to_numpy(np.float64) + moved, shape - moved
    return merged


class Contrast(NamedTuple):
    """The similar decision, None where there is none, and a sentence on it."""

    decision_id: str | None
    text: str


def latest_per_policy(decisions: pd.DataFrame, most: int) -> pd.DataFrame:
    """Keep the `most` latest decisions of each policy and action, in order of id.

    Examples
    --------
    >>> frame = pd.DataFrame({"decision_id": ["a", "b"], "policy_id": "p", "action": "remove",
    ...     "enforced": True, "decided_at": pd.to_datetime(["2026-01-02", "2026-01-01"])})
    >>> latest_per_policy(frame, 1)["decision_id"].tolist()
    ['a']
    """
    newest = decisions.sort_values(["decided_at", "decision_id"], ascending=[False, True])
    nth = newest.groupby(list(_SAME_KIND), sort=False, dropna=False).cumcount()
    return newest[(nth < most).to_numpy()].sort_values("decision_id", ignore_index=True)


@dataclass(frozen=True)
class CorrectPool:
    """Decisions that reviewers upheld, prepared for comparison.

    Parameters
    ----------
    facts
        The decisions, in order of id.
    ranked
        Shape (n, k), each feature as its rank in the pool, in [0, 1]; codes of categories as they
        are; NaN where unknown.
    known
        By feature, its values in the pool in rising order; None for categories.
    texts
        Shape (n, 2**20), the texts' words as rows of length 1.
    """

    facts: ReasonFacts
    ranked: Floats
    known: Sequence[Floats | None]
    texts: sparse.csr_matrix


def build_correct_pool(facts: ReasonFacts, categories: Sequence[int]) -> CorrectPool:
    """Prepare reviewed decisions for comparison.

    Parameters
    ----------
    facts
        Decisions that reviewers upheld, in order of id.
    categories
        Positions of the features that are codes of categories.
    """
    codes = set(categories)
    known = [
        None if i in codes else np.sort(column[~np.isnan(column)])
        for i, column in enumerate(facts.X.T)
    ]
    return CorrectPool(facts, _rank_features(facts.X, known), known, _text_vectors(facts.decisions))


def find_contrasts(
    facts: ReasonFacts, told: Sequence[Sequence[Reason]], pool: CorrectPool
) -> list[Contrast]:
    """Find for each decision the most similar one that reviewers upheld, and state the differences.

    Parameters
    ----------
    facts
        The n decisions.
    told
        Their reasons towards error.
    pool
        From `build_correct_pool`: decisions upheld by then.

    Returns
    -------
    list of Contrast
        Of the same policy and action, near in features and text (Gower 1971: the mean over reasons
        of the mean difference of their features, ranks for numbers; the text counts a third); ties
        by id. The sentence states up to three of the decision's reasons that differ there.
    """
    keys = _match_keys(pool.facts.decisions)
    groups = pd.Series(np.arange(len(keys))).groupby(keys).indices
    X, texts = _rank_features(facts.X, pool.known), _text_vectors(facts.decisions)
    weights = _feature_weights(facts)
    categories = np.array([known is None for known in pool.known], dtype=bool)
    out: list[Contrast | None] = [None] * len(facts)
    own = _match_keys(facts.decisions)
    for key, rows in pd.Series(np.arange(len(own))).groupby(own).indices.items():
        others = groups.get(key)
        if others is None:
            continue
        apart = _gower_distance(X[rows], pool.ranked[others], weights, categories)
        alike = np.asarray((texts[rows] @ pool.texts[others].T).todense())
        apart = (1 - _TEXT_SHARE) * apart + _TEXT_SHARE * (1 - alike)
        ids = facts.decisions["decision_id"].to_numpy(object)[rows]
        theirs = pool.facts.decisions["decision_id"].to_numpy(object)[others]
        apart[ids[:, None] == theirs[None, :]] = np.inf
        best = apart.argmin(axis=1)
        for i, row in enumerate(rows):
            if np.isfinite(apart[i, best[i]]):
                out[row] = _build_contrast(
                    facts, int(row), told[row], pool.facts, int(others[best[i]])
                )
    none = facts.words["contrast"]["none"].format_map({})
    return [found or Contrast(None, none) for found in out]


def _build_contrast(
    facts: ReasonFacts, row: int, told: Sequence[Reason], others: ReasonFacts, other: int
) -> Contrast:
    name = str(others.decisions["decision_id"].iloc[other])
    pairs = [
        (facts.describe_fact(r["code"], row, None), others.describe_fact(r["code"], other, None))
        for r in told
    ]
    differ = [there for here, there in pairs if here != there][:_MOST_FACTS]
    words = facts.words["contrast"]
    fill = {"decision": sanitize_text(name), "facts": facts.forms.joined(differ)}
    return Contrast(name, words["text" if differ else "same"].format_map(fill))


def _match_keys(decisions: pd.DataFrame) -> npt.NDArray[np.object_]:
    """Return what two decisions must share to be compared."""
    parts = decisions[list(_SAME_KIND)].astype("str").fillna("")
    return (parts["policy_id"] + "\0" + parts["action"] + "\0" + parts["enforced"]).to_numpy(object)


def _rank_features(X: Floats, known: Sequence[Floats | None]) -> Floats:
    out = X.copy()
    for i, values in enumerate(known):
        if values is None:
            continue
        sides = (np.searchsorted(values, X[:, i], side) for side in ("left", "right"))
        out[:, i] = np.where(np.isnan(X[:, i]), np.nan, sum(sides) / (2 * max(len(values), 1)))
    return out


def _feature_weights(facts: ReasonFacts) -> Floats:
    """Return each feature's weight: every reason counts the same, whatever its features."""
    codes = np.array(reason_codes(facts.names, facts.reference.alike), dtype=object)
    counted = np.array([code not in _LEFT_OUT for code in codes], dtype=bool)
    size = pd.Series(codes).map(pd.Series(codes).value_counts()).to_numpy(np.float64)
    weights = np.where(counted, 1 / size, 0.0)
    return np.asarray(weights / max(weights.sum(), 1.0), dtype=np.float64)


def _gower_distance(
    A: Floats, B: Floats, weights: Floats, categories: npt.NDArray[np.bool_]
) -> Floats:
    """Return how far each row of A is from each of B, in [0, 1]."""
    out = np.zeros((len(A), len(B)))
    for i in np.flatnonzero(weights):
        a, b = A[:, i][:, None], B[:, i][None, :]
        gap = (a != b).astype(np.float64) if categories[i] else np.abs(a - b)
        unknown = np.isnan(a).astype(np.int64) + np.isnan(b)
        out += weights[i] * np.where(unknown > 0, unknown % 2, gap)
    return out


def _text_vectors(decisions: pd.DataFrame) -> sparse.csr_matrix:
    n = len(decisions)
    texts = decisions["text"] if "text" in decisions else pd.Series([None] * n, dtype="str")
    counts = count_ngrams(clean_texts(texts), "word")
    counts.data = np.log1p(counts.data)
    norm = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1)).ravel())
    counts.data = counts.data / np.repeat(np.where(norm > 0, norm, 1), np.diff(counts.indptr))
    return counts
