"""Which features make one reason: those that mean one thing, and own columns measured alike."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit

from errdetect.explain.past import past_code
from errdetect.features.matrix import DERIVED_TEXT, SEGMENT_COLUMN
from errdetect.features.measures import MEASURE_COLUMNS
from errdetect.features.text_models import TEXT_COLUMNS

__all__ = ["group_contributions", "reason_codes", "shown_numbers"]

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
#: The feature that stands for a reason in pictures: of several, the first that there is.
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
)  # people read them as chances
_RECORDED = ("error_rate_90d", "complaint_error_rate_90d", "decisions_90d")


def reason_codes(names: Sequence[str], alike: Sequence[Sequence[str]] = ()) -> list[str]:
    """Return each feature's reason code: features that say one thing share a reason.

    Parameters
    ----------
    names
        The features' names.
    alike
        Groups of own columns that were measured to say the same; each is known by its first.

    Examples
    --------
    >>> reason_codes(["score", "margin", "text_char_logit", "market", "score_ml"])
    ['margin', 'margin', 'text', 'market', 'other_scores']
    >>> reason_codes(["price_usd", "tags=new"], [["price", "price_usd"]])
    ['price', 'tags']
    """
    first = {name: group[0] for group in alike for name in group}
    return [code if (code := _code(name)) != name else first.get(name, name) for name in names]


def _code(name: str) -> str:
    if name in _BY_MEANING:
        return _BY_MEANING[name]
    if name.startswith(("score_", "scores_")):
        return "other_scores"
    if name.startswith("usual_"):
        return "usual"
    return past_code(name) or name.partition("=")[0]


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
        Shape (n, codes), in the order in which codes first stand; a row adds up to that of the
        values.

    Examples
    --------
    >>> group_contributions(np.array([[0.5, -0.25, 1.0]]), ["score", "margin", "market"]).to_dict("list")
    {'margin': [0.25], 'market': [1.0]}
    """
    codes, uniques = pd.factorize(pd.Series(reason_codes(names, alike), dtype="str"))
    grouped = np.zeros((len(values), len(uniques)))
    np.add.at(grouped.T, codes, values.T)
    return pd.DataFrame(grouped, columns=list(uniques))


def shown_numbers(
    X: Floats, names: Sequence[str], codes: Sequence[str], categories: Sequence[int]
) -> pd.DataFrame:
    """Return one number for each reason's fact, for pictures.

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
        Shape (n, codes); NaN where a fact is no number or not known.

    Examples
    --------
    >>> shown_numbers(np.array([[0.5, 2.0]]), ["margin", "market"], ["margin", "market"], [1]).values
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
