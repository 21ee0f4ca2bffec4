"""Which features make one reason: those that mean one thing, and own columns measured alike."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.explain.past import past_code
from errdetect.features.matrix import DERIVED_TEXT, SEGMENT_COLUMN
from errdetect.features.measures import MEASURE_COLUMNS
from errdetect.features.text import TEXT_COLUMNS

__all__ = ["group_contributions", "reason_codes"]

Floats = npt.NDArray[np.float64]

_BY_MEANING = {
    **dict.fromkeys(("score", "threshold", "margin", "confidence"), "margin"),
    **dict.fromkeys(("action", "enforced"), "action"),
    **dict.fromkeys(("moderator", "moderator_version"), "moderator"),
    **dict.fromkeys(MEASURE_COLUMNS, "text_shape"),
    **dict.fromkeys((*TEXT_COLUMNS, *DERIVED_TEXT), "text"),
    SEGMENT_COLUMN: "segment",
}


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
