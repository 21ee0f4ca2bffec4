"""Decision counts, per policy and over slices that may overlap."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from errdetect.data.review_versions import latest_versions
from errdetect.findings.conditions import finding_mask
from errdetect.schemas import GOLDEN, UPHELD

__all__ = ["SliceTotals", "combine_slices", "policy_volumes"]

Floats = NDArray[np.float64]


def policy_volumes(decisions: pd.DataFrame, reviews: pd.DataFrame | None) -> pd.DataFrame:
    """Count the decisions of each policy, and the reviewed ones.

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
        `policy_id`, `n_decisions`, `n_enforced`, `n_reviews` (reviewed decisions) and
        `n_overturned` (of these, those that any reviewer found wrong in any way), by policy.

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


@dataclass(frozen=True)
class SliceTotals:
    """Several slices of one policy combined, each decision counted once.

    Parameters
    ----------
    n
        Decisions; at most so many where `exact` is False.
    n_accounts
        Accounts; None where unknown.
    rate, low, high
        Share wrong of these decisions. A decision takes the rate of the first slice that
        contains it, within the limits. The limits hold wherever those of the slices do.
    harm
        Harm saved if all of them were corrected; of each slice, the part of its own decisions.
        NaN where no slice states it.
    days
        Days that the decisions span, at least 1; 0 unknown.
    exact
        Whether `n` was counted in the decisions, or there is only one slice.
    overlap
        Whether some decisions lie in more than one slice; None where that cannot be counted.
    """

    n: int
    n_accounts: int | None
    rate: float
    low: float
    high: float
    harm: float
    days: float
    exact: bool
    overlap: bool | None


def combine_slices(
    rows: Sequence[Mapping[Any, Any]], decisions: pd.DataFrame | None
) -> SliceTotals:
    """Count the decisions of several slices, each once, with the errors among them.

    Parameters
    ----------
    rows
        Findings of one policy: policy_id, n, n_accounts, error_rate, low, high, harm_saved,
        conditions, account_ids; where they overlap, the earlier row counts first.
    decisions
        The decisions that the findings were made on, or None.

    Returns
    -------
    Together

    Notes
    -----
    Slice i has n_i decisions, of which m_i are in no slice before it, and between low_i n_i and
    high_i n_i wrong ones. So all slices have at least max(max low_i n_i, sum max(low_i n_i -
    (n_i - m_i), 0)) wrong ones, and at most sum min(high_i n_i, m_i). Without overlap both are
    plain sums.

    Examples
    --------
    >>> one = {"policy_id": "spam", "n": 3, "n_accounts": None, "error_rate": 0.5, "low": 0.4,
    ...        "high": 0.6, "harm_saved": 6.0, "account_ids": None,
    ...        "conditions": [{"column": "price", "op": "<", "value": 3}]}
    >>> two = one | {"conditions": [{"column": "price", "op": ">=", "value": 1}]}
    >>> decisions = pd.DataFrame({"policy_id": "spam", "price": [0, 1, 2, 3]}).assign(
    ...     decided_at=pd.Timestamp("2026-01-01", tz="UTC"))
    >>> total = combine_slices([one, two], decisions)
    >>> total.n, total.harm, total.overlap
    (4, 8.0, True)
    """
    size = np.array([max(float(r["n"]), 1e-9) for r in rows])
    if decisions is None or not len(decisions):
        known = [int(r["n_accounts"]) for r in rows if pd.notna(r["n_accounts"])]
        owners = sum(known) if len(known) == len(rows) else None
        exact = len(rows) == 1
        return _sum_slices(rows, size, size, round(size.sum()), owners, 0.0, exact=exact)
    moments = decisions["decided_at"]
    days = max((moments.max() - moments.min()) / pd.Timedelta(days=1), 1.0)
    if len(rows) == 1:
        own = rows[0]["n_accounts"]
        owners = int(own) if pd.notna(own) else None
        return _sum_slices(rows, size, size, round(size[0]), owners, days, exact=True)
    held = [finding_mask(decisions, row) for row in rows]
    union, first = np.zeros(len(decisions), dtype=bool), np.zeros(len(rows))
    for i, mine in enumerate(held):
        first[i] = (mine & ~union).sum()
        union |= mine
    size = np.array([max(float(mine.sum()), 1e-9) for mine in held])
    owners = decisions["account_id"][union].nunique() if "account_id" in decisions else None
    return _sum_slices(rows, size, first, int(union.sum()), owners, days, exact=True)


def _sum_slices(
    rows: Sequence[Mapping[Any, Any]], size: Floats, first: Floats, n: int, owners: int | None,
    days: float, *, exact: bool,
) -> SliceTotals:  # fmt: skip
    rate, low, high, harm = (
        np.array([float(r[name]) for r in rows])
        for name in ("error_rate", "low", "high", "harm_saved")
    )
    shared = size - first if exact else size
    least = max(float((low * size).max()), float(np.maximum(low * size - shared, 0).sum()))
    most = float(np.minimum(high * size, first).sum())
    total = max(n, 1e-9)
    saved = harm * first / size
    low_all, high_all = min(least / total, 1.0), min(most / total, 1.0)
    mean = float(first @ rate) / max(float(first.sum()), 1e-9)
    return SliceTotals(
        n=n,
        n_accounts=owners,
        rate=min(max(mean, low_all), high_all),
        low=low_all,
        high=high_all,
        harm=float(np.nansum(saved)) if not np.isnan(saved).all() else float("nan"),
        days=days,
        exact=exact,
        overlap=bool(first.sum() < size.sum() - 0.5) if exact else None,
    )
