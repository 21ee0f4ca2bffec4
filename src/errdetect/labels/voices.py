"""How people's voices on a decision fell: one, several that agree, or several that do not."""

from typing import Any, Final

import numpy as np
import pandas as pd

from errdetect.labels.review_history import COUNTS, OVERRULED
from errdetect.schemas import ADJUDICATION, UPHELD

__all__ = ["ONE_VOICE", "SPLIT", "UNANIMOUS", "voices"]

ONE_VOICE: Final = "one voice"
UNANIMOUS: Final = "unanimous"
SPLIT: Final = "split"


def voices(history: pd.DataFrame, n_decisions: int) -> "pd.Series[Any]":
    """Say of each decision whether its reviewers agreed that it is right or wrong.

    Each reviewer's newest word counts, also where an expert overruled it: that an expert had to
    settle it is what makes it a split. The expert's own word, and golden reviews, do not count.

    Parameters
    ----------
    history
        The review history; see `review_history`.
    n_decisions
        How many decisions there are.

    Returns
    -------
    pandas.Series
        Shape (n,): `one voice`, `unanimous` or `split`; missing where no reviewer spoke.

    Examples
    --------
    >>> from errdetect.labels.review_history import review_history
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-03"], utc=True)
    >>> decisions = pd.DataFrame({"decision_id": ["a", "b"], "decided_at": day[0]})
    >>> reviews = pd.DataFrame({
    ...     "review_id": ["1", "2", "3"], "decision_id": ["a", "a", "b"], "reviewed_at": day[1],
    ...     "source": "audit", "verdict": ["upheld", "overturned", "upheld"],
    ...     "reviewer_id": ["ann", "bob", "ann"]})
    >>> voices(review_history(decisions, reviews), 2).tolist()
    ['split', 'one voice']
    """
    answered = history["standing"].isin([COUNTS, OVERRULED]) & (history["source"] != ADJUDICATION)
    rows = answered.to_numpy(bool)
    at = history["position"].to_numpy()[rows]
    flags = (history["verdict"] != UPHELD).to_numpy(bool)[rows]
    total = np.bincount(at, minlength=n_decisions)
    against = np.bincount(at[flags], minlength=n_decisions)
    agree = (against == 0) | (against == total)
    words = np.select([total == 1, agree], [ONE_VOICE, UNANIMOUS], SPLIT)
    return pd.Series(words, dtype="str").where(total > 0)
