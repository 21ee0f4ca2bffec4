"""How people's voices on a decision fell: one, several that agree, or several that do not."""

from datetime import datetime
from typing import Any, Final

import numpy as np
import pandas as pd

from errdetect.labels.events import COUNTS, OVERRULED, review_events
from errdetect.schemas import ADJUDICATION, UPHELD

__all__ = ["ONE_VOICE", "SPLIT", "UNANIMOUS", "voices"]

ONE_VOICE: Final = "one voice"
UNANIMOUS: Final = "unanimous"
SPLIT: Final = "split"


def voices(
    decisions: pd.DataFrame, reviews: pd.DataFrame, *, as_of: datetime | None = None
) -> "pd.Series[Any]":
    """Say of each decision whether its reviewers agreed that it is right or wrong.

    Each reviewer's newest word counts, also where an expert overruled it: that an expert had to
    settle it is what makes it a split. The expert's own word, and golden reviews, do not count.

    Parameters
    ----------
    decisions
        n decisions with `decision_id`, `decided_at`.
    reviews
        Reviews with the contract's columns, in any order.
    as_of
        What was known at this moment; the latest time in the data if None.

    Returns
    -------
    pandas.Series
        Shape (n,): `one voice`, `unanimous` or `split`; missing where no reviewer spoke.

    Raises
    ------
    DataError
        If `as_of` has no time zone or a `decision_id` stands twice among the decisions.

    Examples
    --------
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-03"], utc=True)
    >>> decisions = pd.DataFrame({"decision_id": ["a", "b"], "decided_at": day[0]})
    >>> reviews = pd.DataFrame({
    ...     "review_id": ["1", "2", "3"], "decision_id": ["a", "a", "b"], "reviewed_at": day[1],
    ...     "source": "audit", "verdict": ["upheld", "overturned", "upheld"],
    ...     "reviewer_id": ["ann", "bob", "ann"]})
    >>> voices(decisions, reviews).tolist()
    ['split', 'one voice']
    """
    events = review_events(decisions, reviews, as_of=as_of)
    spoke = events["standing"].isin([COUNTS, OVERRULED]) & (events["source"] != ADJUDICATION)
    at = events["position"].to_numpy()[spoke.to_numpy(bool)]
    flags = (events["verdict"] != UPHELD).to_numpy(bool)[spoke.to_numpy(bool)]
    total = np.bincount(at, minlength=len(decisions))
    against = np.bincount(at[flags], minlength=len(decisions))
    agree = (against == 0) | (against == total)
    words = np.select([total == 1, agree], [ONE_VOICE, UNANIMOUS], SPLIT)
    return pd.Series(words, index=decisions.index, dtype="str").where(total > 0)
