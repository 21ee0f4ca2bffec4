"""Decisions that reviews found wrong, the reviews that say so, and whether they are settled."""

import hashlib
import json
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.labels.review_history import COUNTS, to_datetime64
from errdetect.schemas import (
    ADJUDICATION,
    APPEAL,
    ERROR,
    OVERTURNED,
    PLAN,
    RELABELLED,
    UPHELD,
    WRONG_LABEL,
)
from errdetect.snapshot import Snapshot

__all__ = [
    "APPLIED",
    "BY_APPEAL",
    "BY_EXPERT",
    "BY_REVIEWS",
    "KINDS",
    "LOOK_ALIKE",
    "PLANNED",
    "PRECISION",
    "RELABEL",
    "REVERSE",
    "REVIEW",
    "REVOKE_PENALTY",
    "WHITELIST",
    "WITHDRAWN",
    "confirmed_errors",
    "plan_table",
    "remediation_id",
    "superseding_decision",
]

Ints = npt.NDArray[np.int64]

#: Who settled an error.
BY_EXPERT: Final = "an expert's final answer"
BY_APPEAL: Final = "a granted appeal"
BY_REVIEWS: Final = "reviews"


def confirmed_errors(snapshot: Snapshot, *, min_p_error: float = 0.5) -> pd.DataFrame:
    """List the decisions that are labelled errors, with the reviews that flag them.

    An error is settled by an expert, by a granted appeal (a promise to its account that was not
    withdrawn), or by reviews that make it likely enough. A single flag of a reviewer who often
    raises false alarms is an error that is not settled: an expert should review it first.

    Parameters
    ----------
    snapshot
        Decisions with `policy_id`, perhaps `account_id`, and their reviews.
    min_p_error
        P(error) given its reviews at which an error is settled without an expert, in [0, 1].

    Returns
    -------
    pandas.DataFrame
        A row for each error, in the decisions' order: position (row of the decision), decision_id,
        account_id, policy_id, enforced, error_kind, p_label, settled, by (who settled it),
        review_ids (those that flag it, oldest first), n_for, n_against (counting reviews), last_at.

    Examples
    --------
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-03"], utc=True)
    >>> decisions = pd.DataFrame({
    ...     "decision_id": ["d1", "d2"], "decided_at": day[0], "policy_id": "spam",
    ...     "account_id": "a", "enforced": True})
    >>> reviews = pd.DataFrame({
    ...     "review_id": ["r1", "r2"], "decision_id": ["d1", "d2"], "reviewed_at": day[1],
    ...     "source": "appeal", "verdict": ["overturned", "upheld"], "reviewer_id": "ann"})
    >>> found = confirmed_errors(Snapshot(decisions, reviews))
    >>> found[["decision_id", "error_kind", "settled", "by", "review_ids"]].values.tolist()
    [['d1', 'wrongful_action', True, 'a granted appeal', ['r1']]]
    """
    decisions, labels = snapshot.decisions, snapshot.labels
    events = snapshot.review_history
    at = np.flatnonzero((labels["label"] == ERROR).to_numpy(bool))
    kinds = labels["error_kind"].iloc[at].to_numpy(object)
    votes = _review_tallies(events, at, kinds)
    p_label = labels["p_label"].to_numpy(np.float64)[at]
    by = np.select([votes["expert"], votes["appeal"]], [BY_EXPERT, BY_APPEAL], BY_REVIEWS)
    rows = decisions.iloc[at]
    missing = pd.Series(None, index=rows.index, dtype="str")
    return pd.DataFrame(
        {
            "position": at,
            "decision_id": rows["decision_id"].to_numpy(object),
            "account_id": rows.get("account_id", missing).to_numpy(object),
            "policy_id": rows["policy_id"].to_numpy(object),
            "enforced": rows["enforced"].to_numpy(bool),
            "error_kind": kinds,
            "p_label": p_label,
            "settled": (by != BY_REVIEWS) | (p_label >= min_p_error),
            "by": by,
            **{name: votes[name] for name in ("review_ids", "n_for", "n_against", "last_at")},
        }
    )


def _review_tallies(
    events: pd.DataFrame, at: Ints, kinds: npt.NDArray[np.object_]
) -> dict[str, Any]:
    """Split each error's counting reviews into those that flag it and the others."""
    place = np.full(int(events["position"].max() if len(events) else -1) + 1, -1, dtype=np.int64)
    inside = at < len(place)
    place[at[inside]] = np.flatnonzero(inside)
    counting = events[(events["standing"] == COUNTS).to_numpy(bool)]
    of_error = place[counting["position"].to_numpy()]
    counting, of_error = counting[of_error >= 0], of_error[of_error >= 0]
    says = np.where(kinds == WRONG_LABEL, RELABELLED, OVERTURNED)[of_error]
    agrees = counting["verdict"].to_numpy(object) == says
    source = counting["source"].to_numpy(object)
    order = np.lexsort(
        (counting["review_id"].to_numpy(object), to_datetime64(counting["known_at"]), of_error)
    )
    ids: list[list[str]] = [[] for _ in at]
    names = counting["review_id"].tolist()
    for row in order[agrees[order]].tolist():
        ids[of_error[row]].append(names[row])
    last = np.full(len(at), np.datetime64(0, "us"))
    np.maximum.at(last, of_error[agrees], to_datetime64(counting["known_at"])[agrees])
    n = len(at)
    upheld = counting["verdict"].to_numpy(object) == UPHELD
    return {
        "review_ids": ids,
        "n_for": np.bincount(of_error[agrees], minlength=n),
        "n_against": np.bincount(of_error[upheld], minlength=n),
        "last_at": pd.to_datetime(last, utc=True),
        "expert": np.bincount(of_error[agrees & (source == ADJUDICATION)], minlength=n) > 0,
        "appeal": np.bincount(of_error[agrees & (source == APPEAL)], minlength=n) > 0,
    }


def superseding_decision(decisions: pd.DataFrame) -> "pd.Series[Any]":
    """Return the decision that replaced each one: the newest on the same item and policy.

    Parameters
    ----------
    decisions
        n decisions with `decision_id`, `decided_at`, `policy_id`, perhaps `item_id`.

    Returns
    -------
    pandas.Series
        Shape (n,), decision ids; missing where the decision is itself the newest. Equal times are
        ordered by `decision_id`.

    Examples
    --------
    >>> decisions = pd.DataFrame({
    ...     "decision_id": ["d1", "d2", "d3"], "item_id": ["i", "i", "j"], "policy_id": "spam",
    ...     "decided_at": pd.to_datetime(["2026-01-01", "2026-01-02", "2026-01-01"], utc=True)})
    >>> superseding_decision(decisions).tolist()
    ['d2', nan, nan]
    """
    index = decisions.index
    if "item_id" not in decisions:
        return pd.Series(None, index=index, dtype="str")
    ids = decisions["decision_id"].to_numpy(object)
    ordered = np.lexsort((ids, to_datetime64(decisions["decided_at"])))
    frame = decisions[["item_id", "policy_id"]].iloc[ordered]
    last = pd.Series(ids[ordered]).groupby(frame.groupby(list(frame)).ngroup().to_numpy())
    newest = np.empty(len(ids), dtype=object)
    newest[ordered] = last.transform("last").to_numpy(object)
    known = decisions["item_id"].notna().to_numpy(bool) & (newest != ids)
    return pd.Series(newest, index=index, dtype="str").where(known)


REVERSE, REVOKE_PENALTY = "reverse", "revoke_penalty"
WHITELIST, RELABEL, LOOK_ALIKE = "whitelist", "relabel", "look_alike"
#: In the order in which a plan lists them.
KINDS: Final = (REVERSE, REVOKE_PENALTY, RELABEL, WHITELIST, LOOK_ALIKE)

#: To do; done; needs a review first; no longer to do.
PLANNED, APPLIED, REVIEW, WITHDRAWN = "planned", "applied", "review", "withdrawn"

#: Further columns of a look-alike's row: the share of such decisions that are expected to be
#: wrong, and its 95 % limits; missing where there is too little evidence.
PRECISION: Final = ("expected_precision", "precision_low", "precision_high")

_TEXTS = (
    "remediation_id", "decision_id", "kind", "account_id", "policy_id", "reason", "evidence",
    "status", "correct_policy_id",
)  # fmt: skip


def remediation_id(
    kind: str, decision_id: str | None, account_id: str | None, policy_id: str | None
) -> str:
    """Return a remediation's id, made from its kind and target: the same step has the same id in every plan.

    Parameters
    ----------
    kind
        One of `KINDS`.
    decision_id, account_id, policy_id
        Its target; None where that does not apply.

    Returns
    -------
    str
        20 hexadecimal digits.

    Examples
    --------
    >>> remediation_id("reverse", "d1", "a1", "spam")
    'a3840114693ba70e570b'
    """
    payload = json.dumps([kind, decision_id, account_id, policy_id], ensure_ascii=True)
    return hashlib.sha256(payload.encode("ascii")).hexdigest()[:20]


def plan_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Complete the rows of a plan, add their ids and sort them.

    Parameters
    ----------
    rows
        With `kind`, `status`, `reason`, `evidence`, `review_ids` and those of the other columns
        that apply.

    Returns
    -------
    pandas.DataFrame
        Columns as `schemas.PLAN`, then `PRECISION`; by kind, decision, account and policy.

    Examples
    --------
    >>> rows = pd.DataFrame({
    ...     "kind": ["relabel", "reverse"], "decision_id": ["d1", "d2"], "policy_id": "spam",
    ...     "status": "planned", "reason": "why", "evidence": "so", "review_ids": [["r1"], ["r2"]]})
    >>> plan_table(rows)[["kind", "decision_id", "account_id"]].values.tolist()
    [['reverse', 'd2', nan], ['relabel', 'd1', nan]]
    """
    columns: dict[str, Any] = {}
    for name in [*PLAN.names, *PRECISION]:
        given = rows[name] if name in rows else pd.Series(None, index=rows.index, dtype=object)
        if name in _TEXTS:
            columns[name] = given.astype("str")
        elif name == "expires_at":
            columns[name] = pd.to_datetime(given, utc=True).dt.as_unit("us")
        elif name in PRECISION:
            columns[name] = given.astype("float64")
        else:
            columns[name] = given
    table = pd.DataFrame(columns, index=rows.index)
    about = ["kind", "decision_id", "account_id", "policy_id"]
    targets = table[about].astype(object).where(table[about].notna(), None)
    named = [remediation_id(*row) for row in targets.itertuples(index=False, name=None)]
    table["remediation_id"] = pd.Series(named, index=table.index, dtype="str")
    rank = table["kind"].map({kind: i for i, kind in enumerate(KINDS)})
    ordered = table.assign(_rank=rank).sort_values(
        ["_rank", "decision_id", "account_id", "policy_id"], na_position="first", kind="stable"
    )
    return ordered.drop(columns="_rank").reset_index(drop=True)
