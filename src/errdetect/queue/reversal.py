"""The chance that reviewers would reverse an error that they are shown."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.data.review_versions import latest_versions
from errdetect.schemas import (
    GOLDEN,
    MISSED_VIOLATION,
    OVERTURNED,
    RELABELLED,
    UPHELD,
    WRONG_LABEL,
    WRONGFUL_ACTION,
)

__all__ = ["golden_finds", "p_reverse", "site_finds"]

Floats = npt.NDArray[np.float64]

_LENT = 20.0  # golden items that the kind's own level is worth against a policy's
_LEAST = 10.0  # items of known truth below which a level is no evidence

#: Where a site's rate of finding each kind stands: the column (a rate of errors) and the side.
_RATES = {
    WRONGFUL_ACTION: ("wrongful_call", "enforced"),
    MISSED_VIOLATION: ("missed_violation", "allowed"),
}


def golden_finds(reviews: pd.DataFrame, decisions: pd.DataFrame) -> pd.DataFrame:
    """Count, by kind of error and policy, how many known errors reviewers called errors.

    Parameters
    ----------
    reviews
        The contract's reviews; only `golden` ones that expect an error count.
    decisions
        With `decision_id`, `policy_id` and `enforced`; of the golden items at least.

    Returns
    -------
    pandas.DataFrame
        error_kind, policy_id, n (reviews), found.

    Examples
    --------
    >>> decisions = pd.DataFrame({"decision_id": ["a", "b"], "policy_id": "spam", "enforced": True})
    >>> reviews = pd.DataFrame({"review_id": ["1", "2"], "decision_id": ["a", "b"],
    ...                         "source": "golden", "expected": "overturned", "verdict": ["upheld", "overturned"]})
    >>> golden_finds(reviews, decisions).values.tolist()
    [['wrongful_action', 'spam', 2, 1]]
    """
    reviews = latest_versions(reviews)
    known = reviews[
        (reviews["source"] == GOLDEN) & reviews["expected"].isin([OVERTURNED, RELABELLED])
    ]
    told = known[["decision_id", "expected", "verdict"]].merge(
        decisions[["decision_id", "policy_id", "enforced"]], on="decision_id"
    )
    action = np.where(told["enforced"].to_numpy(bool), WRONGFUL_ACTION, MISSED_VIOLATION)
    kind = np.where(told["expected"] == RELABELLED, WRONG_LABEL, action)
    told = told.assign(error_kind=kind, found=(told["verdict"] != UPHELD).astype(np.int64))
    counts = told.groupby(["error_kind", "policy_id"], as_index=False)["found"].agg(["size", "sum"])
    return counts.rename(columns={"size": "n", "sum": "found"})


def site_finds(sites: pd.DataFrame, kind: str, names: Sequence[str] = ()) -> float:
    """Return the share of errors of a kind that sites find, by the reviewer model.

    Parameters
    ----------
    sites
        `ReviewerModel.sites`.
    kind
        The kind of error; the model says nothing of wrong labels.
    names
        The sites that would review; none means all.

    Returns
    -------
    float
        The mean by what each site's rate is worth; NaN where the model knows less than ten items.

    Examples
    --------
    >>> sites = pd.DataFrame({"site": ["x", "y"], "side": "both", "wrongful_call": [0.1, 0.3],
    ...                       "wrongful_call_n": [30.0, 10.0], "missed_violation": np.nan,
    ...                       "missed_violation_n": 0.0})
    >>> site_finds(sites, "wrongful_action"), site_finds(sites, "wrongful_action", ["y"])
    (0.85, 0.7)
    >>> site_finds(sites, "missed_violation")
    nan
    """
    if kind not in _RATES:
        return float("nan")
    column, side = _RATES[kind]
    own = sites[sites["side"] == (side if (sites["side"] == side).any() else "both")]
    if names:
        own = own[own["site"].isin(list(names))]
    worth = own[f"{column}_n"].to_numpy(np.float64)
    known = own[column].notna().to_numpy(bool) & (worth > 0)
    if worth[known].sum() < _LEAST:
        return float("nan")
    missed = own[column].to_numpy(np.float64)[known]
    return float(np.average(1 - missed, weights=worth[known]))


def p_reverse(
    error_kind: pd.Series,
    policy_id: pd.Series,
    finds: pd.DataFrame,
    level: pd.DataFrame | None = None,
) -> Floats:
    """Return the chance that reviewers would call each decision wrong if it is.

    Parameters
    ----------
    error_kind, policy_id
        Shape (n,), the kind that the error would be, and the decision's policy.
    finds
        Known errors and how many of them reviewers found, from `golden_finds`.
    level
        What the reviewer model says: columns named by kind, one row a decision, shape (n, any);
        NaN where it cannot tell. The golden items of all policies together stand in there.

    Returns
    -------
    numpy.ndarray
        Shape (n,): each policy's own share, drawn towards the level of its kind by what 20 golden
        items are worth; NaN where no ten items of known truth tell the level.

    Examples
    --------
    >>> finds = pd.DataFrame({"error_kind": "wrongful_action", "policy_id": ["a", "b"],
    ...                       "n": [60, 20], "found": [60, 10]})
    >>> kinds = pd.Series(["wrongful_action", "wrongful_action", "missed_violation"])
    >>> p_reverse(kinds, pd.Series(["a", "b", "a"]), finds).round(3).tolist()
    [0.969, 0.688, nan]
    """
    chance = np.full(len(error_kind), np.nan)
    for kind in (WRONGFUL_ACTION, MISSED_VIOLATION, WRONG_LABEL):
        rows = (error_kind == kind).to_numpy(bool)
        own = finds[finds["error_kind"] == kind].set_index("policy_id")[["n", "found"]]
        total = own.sum()
        pooled = float(total["found"] / total["n"]) if total["n"] >= _LEAST else float("nan")
        base = np.full(int(rows.sum()), pooled)
        if level is not None and kind in level:
            told = level.loc[rows, kind].to_numpy(np.float64)
            base = np.where(np.isnan(told), base, told)
        n, found = (
            policy_id[rows].map(own[name]).fillna(0).to_numpy(np.float64) for name in ("n", "found")
        )
        chance[rows] = (found + _LENT * base) / (n + _LENT)
    return chance
