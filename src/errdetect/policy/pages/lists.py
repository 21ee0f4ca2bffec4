"""Short lists that stand beside the findings: accounts often wronged, steps towards a target."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from errdetect.data.policies import Policy
from errdetect.report.formatting import has_rows, number, records, require
from errdetect.report.pages.page_blocks import interval
from errdetect.report.pages.policy_page import PolicyPage
from errdetect.policy.pages.reading import rows_by_policy, said, text_of
from errdetect.policy.words import clean, count

__all__ = ["Account", "Step", "accounts", "steps"]

_COLUMNS = ("account_id", "policy_id", "n", "wrongful_rate", "low", "high")


@dataclass(frozen=True)
class Account:
    """An account whose enforced decisions are mostly wrong, in words."""

    key: str
    policy: str
    rate: str
    n: str
    evidence: str


@dataclass(frozen=True)
class Step:
    """A step towards a missed target: the policy, its place in the page, and what to do."""

    name: str
    anchor: str
    words: str


def accounts(frame: pd.DataFrame | None, policies: Mapping[str, Policy]) -> tuple[Account, ...]:
    """Read the accounts that may be put on a whitelist.

    Parameters
    ----------
    frame
        The whitelist of `ReportContent`; or None.
    policies
        The catalogue.

    Returns
    -------
    tuple of Account
        By the lower limit of the wrongful rate, the highest first; ties by account and policy.

    Raises
    ------
    DataError
        Where a column is missing.

    Examples
    --------
    >>> accounts(None, {})
    ()
    """
    if frame is None or not has_rows(frame):
        return ()
    require(frame, _COLUMNS, "whitelist")

    def surest(row: Mapping[str, Any]) -> tuple[float, str, str]:
        return (-(number(row["low"]) or 0.0), str(row["account_id"]), text_of(row, "policy_id"))

    return tuple(_account(row, policies) for row in sorted(records(frame), key=surest))


def _account(row: Mapping[str, Any], policies: Mapping[str, Policy]) -> Account:
    policy_id = text_of(row, "policy_id")
    policy = policies.get(policy_id)
    evidence = text_of(row, "evidence")
    return Account(
        key=clean(row["account_id"], 60),
        policy=clean(policy.name if policy else policy_id) if policy_id else "all policies",
        rate=interval(said(row, "wrongful_rate", "low", "high")),
        n=count(round(number(row["n"]) or 0)),
        evidence=clean(evidence, 300) if evidence else "",
    )


def steps(plan: pd.DataFrame | None, pages: Sequence[PolicyPage]) -> tuple[Step, ...]:
    """Read the steps towards missed targets, of the policies that have a page.

    Parameters
    ----------
    plan
        `policy_id`, `step` (from 1) and `words`; or None.
    pages
        The policies, in the order to show.

    Returns
    -------
    tuple of Step
        In the order of policies, then of steps.

    Raises
    ------
    DataError
        Where a column is missing.

    Examples
    --------
    >>> steps(None, [])
    ()
    """
    rows = rows_by_policy(plan, ("step", "words"), "plan")
    return tuple(
        Step(page.name, page.anchor, clean(row["words"], 400))
        for page in pages
        for row in sorted(rows.get(page.key, []), key=lambda row: float(row["step"]))
    )
