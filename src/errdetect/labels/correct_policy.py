"""The correct policy of each decision, as far as reviews show it."""

from typing import Any

import pandas as pd

from errdetect.labels.review_history import COUNTS
from errdetect.schemas import CORRECT, RELABELLED, WRONG_LABEL

__all__ = ["find_correct_policies"]


def find_correct_policies(
    decisions: pd.DataFrame,
    labels: pd.DataFrame,
    history: pd.DataFrame,
) -> "pd.Series[Any]":
    """Return the correct policy of each reviewed enforcement.

    An upheld enforcement has the correct policy; a relabelled one should have had the policy that
    most of its current reviews name. The correct policy is unknown where reviews tie or name none,
    and where the action is wrong or the decision allowed the content.

    Parameters
    ----------
    decisions
        n decisions with `decision_id`, `decided_at`, `policy_id` and the bool `enforced`.
    labels
        From `label_decisions` at the same moment, in the decisions' order.
    history
        The review history as of that moment.

    Returns
    -------
    pandas.Series
        Shape (n,), policy ids; missing where unknown.

    Examples
    --------
    >>> from errdetect.snapshot import Snapshot
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-03"], utc=True)
    >>> decisions = pd.DataFrame({
    ...     "decision_id": ["a", "b"], "decided_at": day[0], "policy_id": "scam", "enforced": True})
    >>> reviews = pd.DataFrame({
    ...     "review_id": ["r1", "r2"], "decision_id": ["a", "b"], "reviewed_at": day[1],
    ...     "source": "audit", "verdict": ["upheld", "relabelled"], "reviewer_id": "ann",
    ...     "correct_policy_id": [None, "spam"]})
    >>> Snapshot(decisions, reviews).correct_policies.tolist()
    ['scam', 'spam']
    """
    enforced = decisions["enforced"].to_numpy(bool)
    upheld = enforced & (labels["label"] == CORRECT).to_numpy(bool)
    relabelled = enforced & (labels["error_kind"] == WRONG_LABEL).fillna(False).to_numpy(bool)
    own = decisions["policy_id"].astype("str")
    named = _most_named_policy(history).reindex(range(len(own)))
    named.index = own.index
    right = own.where(upheld, named.where(relabelled & (named != own).to_numpy(bool)))
    return right.astype("str")


def _most_named_policy(history: pd.DataFrame) -> "pd.Series[Any]":
    """Return the policy that most reviews name, by row of the decision, without ties."""
    counts = (history["standing"] == COUNTS) & (history["verdict"] == RELABELLED)
    rows = (counts & history["correct_policy_id"].notna()).to_numpy(bool)
    named = history.loc[rows, ["position", "correct_policy_id"]]
    named = named.set_axis(["at", "policy"], axis=1)
    votes = named.groupby(["at", "policy"], sort=True).size().reset_index(name="n")
    most = votes["n"] == votes.groupby("at")["n"].transform("max")
    clear = votes[
        most & ~votes[most].duplicated("at", keep=False).reindex(votes.index, fill_value=True)
    ]
    index = pd.Index(clear["at"].to_numpy())
    return pd.Series(clear["policy"].to_numpy(object), index=index, dtype="str")
