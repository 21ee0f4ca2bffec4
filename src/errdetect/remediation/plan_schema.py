"""The plan as a table: one row per remediation, with a stable id."""

import hashlib
import json
from typing import Any, Final

import pandas as pd

from errdetect.schemas import PLAN

__all__ = [
    "APPLIED",
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
    "plan_table",
    "remediation_id",
]

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
