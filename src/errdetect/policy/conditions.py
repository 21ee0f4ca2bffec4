"""Which decisions a finding or a proposal is about: its conditions, as rows."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from errdetect.errors import DataError, sentence
from errdetect.findings.conditions import Condition, held

__all__ = ["ALTERED", "as_conditions", "inside", "lasting", "of_finding", "within_parts"]

Bools = NDArray[np.bool_]

#: Columns that a change of rule, bar or model alters: what it measures must not hang on them.
ALTERED = frozenset({"action", "enforced", "threshold", "moderator_version", "model_version"})


def as_conditions(value: object) -> tuple[dict[str, Any], ...]:
    """Return conditions as they came from a table's cell: a list of {column, op, value}, or nothing.

    Examples
    --------
    >>> as_conditions([{"column": "market", "op": "==", "value": "DE"}])
    ({'column': 'market', 'op': '==', 'value': 'DE'},)
    >>> as_conditions(None)
    ()
    """
    if not isinstance(value, list | tuple | np.ndarray):
        return ()
    return tuple({name: one.get(name) for name in ("column", "op", "value")} for one in value)


def lasting(conditions: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """Leave out the conditions on what the change itself alters (`ALTERED`).

    Examples
    --------
    >>> lasting([{"column": "action", "op": "==", "value": "remove"}])
    ()
    """
    return tuple(c for c in conditions if c["column"] not in ALTERED)


def inside(
    decisions: pd.DataFrame,
    *,
    policy_id: str | None = None,
    conditions: Sequence[Mapping[str, Any]] = (),
    account_ids: Sequence[str] = (),
) -> Bools:
    """Say which decisions are under the policy, meet all conditions and are of the accounts.

    Parameters
    ----------
    decisions
        The contract's decisions, shape (n, any).
    policy_id
        The policy; None for all.
    conditions
        Each with column, op and value, as `errdetect.findings.conditions.held` reads them.
    account_ids
        Accounts; empty for all.

    Returns
    -------
    ndarray of bool, shape (n,)

    Raises
    ------
    DataError
        Where a column or an op is unknown, or a value is not of its column's kind.

    Examples
    --------
    >>> frame = pd.DataFrame({"policy_id": ["a", "a", "b"], "market": ["DE", "FR", "DE"]})
    >>> inside(frame, policy_id="a",
    ...        conditions=[{"column": "market", "op": "==", "value": "DE"}]).tolist()
    [True, False, False]
    """
    rows = np.ones(len(decisions), dtype=bool)
    if policy_id is not None:
        rows &= (decisions["policy_id"] == policy_id).to_numpy(dtype=bool, na_value=False)
    rows &= held(decisions, [Condition(c["column"], c["op"], c["value"]) for c in conditions])
    if len(account_ids):
        if "account_id" not in decisions:
            got = "none"
            raise DataError(sentence("account_id", "be a column of the decisions", got, "Add it."))
        rows &= decisions["account_id"].isin(list(account_ids)).to_numpy(dtype=bool)
    return rows


def of_finding(decisions: pd.DataFrame, finding: Mapping[Any, Any]) -> Bools:
    """Say which decisions a finding is about, by all of its conditions.

    Parameters
    ----------
    decisions
        The decisions that it was made on, shape (n, any).
    finding
        A row of `schemas.FINDINGS`: policy_id, conditions, account_ids.

    Returns
    -------
    ndarray of bool, shape (n,)

    Examples
    --------
    >>> frame = pd.DataFrame({"policy_id": "a", "account_id": ["x", "y"]})
    >>> row = {"policy_id": "a", "conditions": None, "account_ids": ["y"]}
    >>> of_finding(frame, row).tolist()
    [False, True]
    """
    accounts = finding["account_ids"]
    return inside(
        decisions,
        policy_id=str(finding["policy_id"]),
        conditions=as_conditions(finding["conditions"]),
        account_ids=list(accounts) if isinstance(accounts, list | tuple | np.ndarray) else (),
    )


def within_parts(
    decisions: pd.DataFrame, policy_id: str, parts: Iterable[Mapping[str, Any]] | None
) -> Bools:
    """Say which decisions under a policy lie in any of a proposal's parts.

    Conditions on what the change itself alters are left out.

    Parameters
    ----------
    decisions
        The contract's decisions, shape (n, any).
    policy_id
        The policy.
    parts
        Each with `conditions` and `account_ids`; none: the whole policy.

    Returns
    -------
    ndarray of bool, shape (n,)

    Examples
    --------
    >>> frame = pd.DataFrame({"policy_id": ["a", "a", "b"], "account_id": ["x", "y", "x"]})
    >>> within_parts(frame, "a", [{"account_ids": ["x"]}]).tolist()
    [True, False, False]
    """
    listed = [] if parts is None else list(parts)
    if not listed:
        return inside(decisions, policy_id=policy_id)
    rows = np.zeros(len(decisions), dtype=bool)
    for part in listed:
        accounts = part.get("account_ids")
        rows |= inside(
            decisions,
            policy_id=policy_id,
            conditions=lasting(as_conditions(part.get("conditions"))),
            account_ids=[] if accounts is None else list(accounts),
        )
    return rows
