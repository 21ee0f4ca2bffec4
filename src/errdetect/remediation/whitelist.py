"""Accounts whose enforcement under a policy is wrong so often that people should decide instead."""

from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import betainc

from errdetect.config_schema import WhitelistSettings
from errdetect.data.dsa_statements import BY_PEOPLE
from errdetect.labels.review_history import COUNTS
from errdetect.remediation.confirmed_errors import PLANNED, REVIEW, WHITELIST, plan_table
from errdetect.schemas import AUDIT, UNKNOWN, WRONG_LABEL
from errdetect.schemas import WHITELIST as TABLE
from errdetect.snapshot import Snapshot
from errdetect.stats.effective_size import effective_sizes
from errdetect.stats.group_sums import sum_by_group
from errdetect.stats.intervals import clopper_pearson
from errdetect.stats.multiple_testing import benjamini_hochberg

__all__ = ["AS_THEY_CAME", "account_rates", "whitelist_candidates", "whitelist_table"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: The basis of a rate where the designed audit has too few reviews.
AS_THEY_CAME = "as they came"
_FALSE_SHARE = 0.05  # false discovery rate among the chosen accounts


def account_rates(snapshot: Snapshot, rule: WhitelistSettings) -> pd.DataFrame:
    """Estimate how often each policy's enforcement against each account was wrong.

    The designed audit gives an unbiased rate, each decision weighted by the inverse of its inclusion
    probability. Where it drew fewer than `min_reviews`, all reviewed decisions are used, and appeals
    bias the rate upwards: mostly wronged accounts appeal.

    Parameters
    ----------
    snapshot
        Decisions with `account_id`, and their reviews. Decisions by people, according to
        `moderator`, do not count: the rule is for automated enforcement.
    rule
        `min_reviews`: reviewed enforcements below which an account has no rate;
        `min_wrongful_rate`: the rate that an account is tested against.

    Returns
    -------
    pandas.DataFrame
        A row for each account and policy with enough reviews, in their order: account_id,
        policy_id, basis (`audit` or `as they came`), n, rate, low, high (exact 95 % limits at the
        effective number of reviews), p_value (of a rate this high or higher if the true one were
        `min_wrongful_rate`), q_value (the false discovery rate at which it would be chosen, over all
        rows of its basis), chosen (the lower limit reaches the rate, and still does after the
        correction for the number of accounts), review_ids.

    Notes
    -----
    Clopper and Pearson (1934); effective numbers by Kish (1965). Many accounts are tested, so
    some seem bad by chance: `chosen` holds the false discovery rate to 5 % within each basis
    (Benjamini and Hochberg, 1995).

    Examples
    --------
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-03"], utc=True)
    >>> ids = [f"d{i}" for i in range(9)]
    >>> decisions = pd.DataFrame({"decision_id": ids, "decided_at": day[0], "policy_id": "spam",
    ...                           "account_id": "a", "enforced": True})
    >>> reviews = pd.DataFrame({
    ...     "review_id": ids, "decision_id": ids, "reviewed_at": day[1], "source": "audit",
    ...     "verdict": "overturned", "reviewer_id": "ann", "inclusion_probability": 0.2})
    >>> rates = account_rates(Snapshot(decisions, reviews), WhitelistSettings())
    >>> rates[["account_id", "basis", "n", "rate", "chosen"]].values.tolist()
    [['a', 'audit', 9, 1.0, True]]
    >>> round(float(rates["low"].iat[0]), 3)
    0.664
    """
    decisions, labels = snapshot.decisions, snapshot.labels
    if "account_id" not in decisions:
        return _empty_rates()
    chance = snapshot.inclusion_probability
    enforced = decisions["enforced"].to_numpy(bool) & decisions["account_id"].notna().to_numpy(bool)
    if "moderator" in decisions:
        enforced &= ~(decisions["moderator"] == BY_PEOPLE).to_numpy(bool, na_value=False)
    judged = enforced & (labels["label"] != UNKNOWN).to_numpy(bool)
    number = decisions.groupby(["account_id", "policy_id"]).ngroup()
    pair: Ints = number.fillna(-1).to_numpy().astype(np.int64)
    wrong = np.where(
        (labels["error_kind"] == WRONG_LABEL).to_numpy(bool), 0.0, labels["p_label"].to_numpy(float)
    )
    found = []
    enough: Bools = np.zeros(int(pair.max(initial=-1)) + 1, dtype=bool)
    for basis, rows in (
        (AUDIT, np.flatnonzero(judged & ~np.isnan(chance))),
        (AS_THEY_CAME, np.flatnonzero(judged)),
    ):
        weight = 1 / chance[rows] if basis == AUDIT else np.ones(len(rows))
        n = np.bincount(pair[rows], minlength=len(enough))
        named = np.flatnonzero((n >= rule.min_reviews) & ~enough)
        enough[named] = True
        part = _pair_rates(
            pair[rows], weight, wrong[rows], len(enough), rule.min_wrongful_rate
        ).loc[named]
        q = benjamini_hochberg(part["p_value"].to_numpy())
        chosen = (part["low"] >= rule.min_wrongful_rate) & (q <= _FALSE_SHARE)
        found.append(part.assign(basis=basis, n=n[named], q_value=q, chosen=chosen, pair=named))
    table = pd.concat(found, ignore_index=True)
    first = pd.Series(np.arange(len(pair)), index=pair)
    at = first[~first.index.duplicated()].reindex(table["pair"]).to_numpy(int)
    table = table.assign(
        account_id=decisions["account_id"].to_numpy(object)[at],
        policy_id=decisions["policy_id"].to_numpy(object)[at],
        review_ids=_review_ids_by_pair(
            snapshot.review_history, judged, pair, table["pair"].to_numpy()
        ),
    )
    return table[_COLUMNS].sort_values(["account_id", "policy_id"], ignore_index=True)


_COLUMNS = [
    "account_id", "policy_id", "basis", "n", "rate", "low", "high", "p_value", "q_value",
    "chosen", "review_ids",
]  # fmt: skip


def _empty_rates() -> pd.DataFrame:
    return pd.DataFrame({name: [] for name in _COLUMNS}).astype({"chosen": bool, "n": int})


def _pair_rates(pair: Ints, weight: Floats, wrong: Floats, n: int, bar: float) -> pd.DataFrame:
    """Weigh each pair's decisions; limits and test use the effective number."""
    total = sum_by_group(pair, weight, n)
    rate = np.clip(sum_by_group(pair, weight * wrong, n) / np.where(total > 0, total, 1), 0, 1)
    seen = np.maximum(effective_sizes(weight, pair, n), 1e-9)
    limits = clopper_pearson(rate * seen, seen)
    hits = rate * seen
    p = np.where(hits > 0, betainc(np.maximum(hits, 1e-12), seen - hits + 1, bar), 1.0)
    return pd.DataFrame({"rate": rate, "low": limits.low, "high": limits.high, "p_value": p})


def _review_ids_by_pair(
    history: pd.DataFrame, judged: Bools, pair: Ints, wanted: Ints
) -> "pd.Series[Any]":
    """List the counting reviews of each pair's reviewed decisions, oldest first."""
    counting = history[(history["standing"] == COUNTS).to_numpy(bool)]
    at = counting["position"].to_numpy()
    counting = counting[judged[at] & np.isin(pair[at], wanted)]
    ordered = counting.sort_values(["known_at", "review_id"], kind="stable")
    of_pair = ordered["review_id"].groupby(pair[ordered["position"].to_numpy()]).agg(list)
    return pd.Series([list(of_pair.get(one, [])) for one in wanted], dtype=object)


def whitelist_candidates(snapshot: Snapshot, rule: WhitelistSettings) -> pd.DataFrame:
    """Propose accounts to exempt from one policy's automated enforcement for a while.

    Parameters
    ----------
    snapshot, rule
        See `account_rates`; `days`: how long the exception lasts from the snapshot's moment.

    Returns
    -------
    pandas.DataFrame
        Rows of a plan, as `plan_table`. Those based on the audit are `planned`; those based on other
        reviews need a person's check first (`review`), and the evidence says so.

    Examples
    --------
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-03"], utc=True)
    >>> ids = [f"d{i}" for i in range(9)]
    >>> decisions = pd.DataFrame({"decision_id": ids, "decided_at": day[0], "policy_id": "spam",
    ...                           "account_id": "a", "enforced": True})
    >>> reviews = pd.DataFrame({
    ...     "review_id": ids, "decision_id": ids, "reviewed_at": day[1], "source": "audit",
    ...     "verdict": "overturned", "reviewer_id": "ann", "inclusion_probability": 0.2})
    >>> plan = whitelist_candidates(Snapshot(decisions, reviews), WhitelistSettings())
    >>> plan[["kind", "account_id", "policy_id", "status"]].values.tolist()
    [['whitelist', 'a', 'spam', 'planned']]
    >>> plan["expires_at"].iat[0].isoformat()
    '2026-04-03T00:00:00+00:00'
    """
    rates = account_rates(snapshot, rule)
    rows = rates[rates["chosen"].to_numpy(bool)]
    return plan_table(
        pd.DataFrame(
            {
                "kind": pd.Series(WHITELIST, index=rows.index, dtype="str"),
                "account_id": rows["account_id"],
                "policy_id": rows["policy_id"],
                "reason": "Most enforcement of this policy against this account was wrong: "
                "let people decide on it until the exception ends.",
                "evidence": [_evidence_text(row) for row in rows.to_dict("records")],
                "expires_at": snapshot.moment + timedelta(days=rule.days),
                "status": np.where(rows["basis"] == AUDIT, PLANNED, REVIEW),
                "review_ids": rows["review_ids"],
            }
        )
    )


def whitelist_table(snapshot: Snapshot, rule: WhitelistSettings) -> pd.DataFrame:
    """List the accounts that `whitelist_candidates` proposes, with the figures behind each.

    Parameters
    ----------
    snapshot, rule
        See `account_rates`.

    Returns
    -------
    pandas.DataFrame
        As `schemas.WHITELIST`, shape (k, 8), the highest lower limit first.

    Examples
    --------
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-03"], utc=True)
    >>> ids = [f"d{i}" for i in range(9)]
    >>> decisions = pd.DataFrame({"decision_id": ids, "decided_at": day[0], "policy_id": "spam",
    ...                           "account_id": "a", "enforced": True})
    >>> reviews = pd.DataFrame({
    ...     "review_id": ids, "decision_id": ids, "reviewed_at": day[1], "source": "audit",
    ...     "verdict": "overturned", "reviewer_id": "ann", "inclusion_probability": 0.2})
    >>> table = whitelist_table(Snapshot(decisions, reviews), WhitelistSettings())
    >>> table[["account_id", "policy_id", "n", "wrongful_rate"]].values.tolist()
    [['a', 'spam', 9, 1.0]]
    """
    rates = account_rates(snapshot, rule)
    rows = rates[rates["chosen"].to_numpy(bool)]
    evidence = [_evidence_text(row) for row in rows.to_dict("records")]
    table = rows.assign(evidence=pd.Series(evidence, index=rows.index, dtype="str"))
    table = table.rename(columns={"rate": "wrongful_rate"})
    order = ["low", "n", "account_id", "policy_id"]
    table = table.sort_values(order, ascending=[False, False, True, True], ignore_index=True)
    listed: pd.DataFrame = table[TABLE.names]
    return listed


def _evidence_text(row: dict[Any, Any]) -> str:
    """Return the evidence for the exception, and its bias where there is one."""
    figures = (
        f"{row['rate']:.0%} of {row['n']} reviewed enforcements were wrong "
        f"(95 % interval {row['low']:.0%} to {row['high']:.0%})."
    )
    if row["basis"] == AUDIT:
        return f"{figures} The audit drew them with known probabilities."
    return (
        f"{figures} They are not a designed sample and include appeals, mostly from wronged "
        "accounts: the true rate may be lower. Audit this account before you make the exception."
    )
