"""Which policy each decision should have been taken under, as far as reviews say."""

from datetime import datetime
from typing import Any

import pandas as pd

from errdetect.labels.events import COUNTS, review_events
from errdetect.schemas import CORRECT, RELABELLED, WRONG_LABEL

__all__ = ["right_policies"]


def right_policies(
    decisions: pd.DataFrame,
    labels: pd.DataFrame,
    reviews: pd.DataFrame,
    *,
    as_of: datetime | None = None,
) -> "pd.Series[Any]":
    """Name the right policy of each enforced decision that reviews tell of.

    An upheld enforcement was taken under the right policy; a relabelled one should have been taken
    under the policy that most of the counting reviews name. Where names tie, where none is given,
    and where the action itself was wrong or allowed, the right policy is unknown.

    Parameters
    ----------
    decisions
        n decisions with `decision_id`, `decided_at`, `policy_id` and the bool `enforced`.
    labels
        From `labels_as_of` at the same moment, in the decisions' order.
    reviews
        Reviews with the contract's columns, in any order.
    as_of
        What was known at this moment; the latest time in the data if None.

    Returns
    -------
    pandas.Series
        Shape (n,), policy ids; missing where unknown.

    Raises
    ------
    DataError
        If `as_of` has no time zone or a `decision_id` stands twice among the decisions.

    Examples
    --------
    >>> from errdetect.labels.history import labels_as_of
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-03"], utc=True)
    >>> decisions = pd.DataFrame({
    ...     "decision_id": ["a", "b"], "decided_at": day[0], "policy_id": "scam", "enforced": True})
    >>> reviews = pd.DataFrame({
    ...     "review_id": ["r1", "r2"], "decision_id": ["a", "b"], "reviewed_at": day[1],
    ...     "source": "audit", "verdict": ["upheld", "relabelled"], "reviewer_id": "ann",
    ...     "correct_policy_id": [None, "spam"]})
    >>> right_policies(decisions, labels_as_of(decisions, reviews), reviews).tolist()
    ['scam', 'spam']
    """
    enforced = decisions["enforced"].to_numpy(bool)
    upheld = enforced & (labels["label"] == CORRECT).to_numpy(bool)
    relabelled = enforced & (labels["error_kind"] == WRONG_LABEL).fillna(False).to_numpy(bool)
    own = decisions["policy_id"].astype("str")
    named = _named(decisions, reviews, as_of).reindex(range(len(own)))
    named.index = own.index
    right = own.where(upheld, named.where(relabelled & (named != own).to_numpy(bool)))
    return right.astype("str")


def _named(
    decisions: pd.DataFrame, reviews: pd.DataFrame, as_of: datetime | None
) -> "pd.Series[Any]":
    """Return the policy that most reviews name, by row of the decision; ties are left out."""
    if "correct_policy_id" not in reviews:
        return pd.Series([], index=pd.Index([], dtype="int64"), dtype="str")
    events = review_events(decisions, reviews, as_of=as_of)
    policy = reviews["correct_policy_id"].reset_index(drop=True)
    counts = (events["standing"] == COUNTS) & (events["verdict"] == RELABELLED)
    rows = (counts.reset_index(drop=True) & policy.notna()).to_numpy(bool)
    named = pd.DataFrame({"at": events["position"].to_numpy()[rows], "policy": policy[rows]})
    votes = named.groupby(["at", "policy"], sort=True).size().reset_index(name="n")
    most = votes["n"] == votes.groupby("at")["n"].transform("max")
    clear = votes[
        most & ~votes[most].duplicated("at", keep=False).reindex(votes.index, fill_value=True)
    ]
    index = pd.Index(clear["at"].to_numpy())
    return pd.Series(clear["policy"].to_numpy(object), index=index, dtype="str")
