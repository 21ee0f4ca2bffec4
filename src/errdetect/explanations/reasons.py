"""Reasons why a decision is likely wrong: facts by contribution, strongest first."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit

from errdetect.explanations.reason_facts import ReasonFacts, history_code
from errdetect.features.feature_matrix import DERIVED_TEXT, SEGMENT_COLUMN
from errdetect.features.text_models import MEASURE_COLUMNS, TEXT_COLUMNS

__all__ = [
    "MOST_REASONS",
    "Reason",
    "decision_reasons",
    "display_values",
    "group_contributions",
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
_RECORDED = ("error_rate_90d", "complaint_error_rate_90d", "decisions_90d")


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
        For each decision its reasons, the strongest first; ties by code.

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
    order = np.argsort(-sign * values, axis=1, kind="stable")[:, :limit]
    return [
        [
            Reason(
                code=codes[g],
                text=facts.describe_fact(codes[g], row, towards),
                contribution=float(values[row, g]),
            )
            for g in order[row]
            if sign * values[row, g] > 0
        ]
        for row in range(len(facts))
    ]


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
