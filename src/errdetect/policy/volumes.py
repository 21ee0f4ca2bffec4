"""How many decisions and reviews each policy has, and what people said: facts, no estimates."""

import pandas as pd

from errdetect.data.versions import latest_versions
from errdetect.schemas import GOLDEN, UPHELD

__all__ = ["policy_volumes"]


def policy_volumes(decisions: pd.DataFrame, reviews: pd.DataFrame | None) -> pd.DataFrame:
    """Count the decisions of each policy, and those that people judged.

    Parameters
    ----------
    decisions
        `decision_id`, `policy_id` and `enforced` (whether the action enforced).
    reviews
        `decision_id`, `source`, `verdict`; None where there are none. Golden reviews measure
        reviewers and do not count.

    Returns
    -------
    pandas.DataFrame
        `policy_id`, `n_decisions`, `n_enforced`, `n_reviews` (decisions that people judged) and
        `n_overturned` (of these, those that anybody found wrong in any way), by policy.

    Examples
    --------
    >>> decisions = pd.DataFrame({"decision_id": ["a", "b"], "policy_id": "spam", "enforced": True})
    >>> reviews = pd.DataFrame({"review_id": ["r"], "decision_id": ["a"], "source": "audit",
    ...                         "verdict": "upheld"})
    >>> policy_volumes(decisions, reviews).to_dict("records")[0]["n_reviews"]
    1
    """
    facts = decisions[["policy_id", "enforced"]].assign(judged=False, wrong=False)
    if reviews is not None:
        reviews = latest_versions(reviews)
        counted = reviews[reviews["source"] != GOLDEN]
        wrong = counted.loc[counted["verdict"] != UPHELD, "decision_id"]
        facts["judged"] = decisions["decision_id"].isin(counted["decision_id"])
        facts["wrong"] = decisions["decision_id"].isin(wrong)
    return (
        facts.groupby("policy_id", sort=True)
        .agg(
            n_decisions=("enforced", "size"),
            n_enforced=("enforced", "sum"),
            n_reviews=("judged", "sum"),
            n_overturned=("wrong", "sum"),
        )
        .reset_index()
    )
