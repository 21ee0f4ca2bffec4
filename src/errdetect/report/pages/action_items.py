"""First things to do: a short list that the rest of the report bears out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from errdetect.changes.formatting import clean, count, counted, has_rows, number, records, require
from errdetect.data.policies import Policy
from errdetect.report.breakdown_section import ABOVE
from errdetect.report.pages.page_blocks import interval, rows_by_policy, said, text_of
from errdetect.report.pages.policy_page import PolicyPage
from errdetect.report.pages.proposals import PROPOSED
from errdetect.report.pages.targets import CANNOT_TELL, MISSED, Target

__all__ = ["Account", "Step", "Todo", "accounts", "first_things", "steps"]


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


_MOST = 5
_OF_A_KIND = 2


@dataclass(frozen=True)
class Todo:
    """One thing to do: what, why, and where the report says more (an anchor)."""

    what: str
    why: str
    anchor: str


def first_things(
    pages: Sequence[PolicyPage],
    targets: Sequence[Target],
    *,
    n_audit: int,
    n_queued: int | None,
    has_model: bool,
) -> tuple[Todo, ...]:
    """List what to do first, at most five.

    Parameters
    ----------
    pages
        The policies, the ones that matter most first.
    targets
        All targets.
    n_audit
        Audit reviews.
    n_queued
        Decisions in the queue; None where there is none.
    has_model
        Whether a model has scored these decisions.

    Returns
    -------
    tuple of Todo
        Missing ground first (no audit), then findings that hold by the harm they would save,
        missed targets, proposals that wait, policies clearly above the rest where nothing was
        found, the queue, and what an audit would settle.

    Examples
    --------
    >>> [todo.what for todo in first_things([], [], n_audit=0, n_queued=None, has_model=False)]
    ['Plan an audit', 'Train a model']
    """
    found = [
        *([] if n_audit else [_audit()]),
        *_findings(pages),
        *_missed(pages),
        *_waiting(pages),
        *_above(pages),
        *_queue(n_queued, has_model),
        *_untold(targets),
    ]
    return tuple(found[:_MOST])


def _audit() -> Todo:
    why = "Without one nobody can say how often the machine errs: errdetect plan-audit draws it."
    return Todo("Plan an audit", why, "method")


def _findings(pages: Sequence[PolicyPage]) -> list[Todo]:
    """Choose the confirmed findings that would save most."""
    held = [(page, f) for page in pages for f in page.findings if f.confirmed]
    held.sort(key=lambda pair: (-pair[1].worth, pair[1].key))
    return [
        Todo(
            f"{page.name}: mend where {finding.rule}",
            f"{finding.cause + '. ' if finding.cause else ''}"
            f"{finding.share[0].upper()}{finding.share[1:]} there: {finding.rate}; in the whole policy: "
            f"{finding.base}."
            + (
                f" {finding.saves_if}, harm saved in 30 days: {finding.saves}."
                if finding.saves
                else ""
            ),
            finding.anchor,
        )
        for page, finding in held[:_OF_A_KIND]
    ]


def _missed(pages: Sequence[PolicyPage]) -> list[Todo]:
    """Choose the policies that miss a target, in the pages' order."""
    missed = [(p, t) for p in pages for t in p.targets if t.status == MISSED]
    first = {page.key: (page, target) for page, target in reversed(missed)}
    chosen = [pair for key in (p.key for p in pages) if (pair := first.get(key))]
    return [
        Todo(
            f"{page.name}: a target is missed",
            f"{target.measure}{f' ({target.where})' if target.where else ''}: {target.rate}, "
            f"held to {target.limit}.",
            page.anchor,
        )
        for page, target in chosen[:_OF_A_KIND]
    ]


def _waiting(pages: Sequence[PolicyPage]) -> list[Todo]:
    waiting = sum(p.state == PROPOSED for page in pages for p in page.proposals)
    if not waiting:
        return []
    what = f"Decide on {counted(waiting, 'proposal', 'proposals')}"
    return [Todo(what, "Accepted ones are measured in the next reports.", "proposals")]


def _above(pages: Sequence[PolicyPage]) -> list[Todo]:
    """Choose policies clearly above the overall rate for which no finding holds."""
    bare = [p for p in pages if p.group and p.group.against == ABOVE and not p.n_findings]
    return [
        Todo(
            f"{page.name}: look at what goes with its errors",
            f"{page.group.error.sentence} That is clearly above the overall rate.",
            page.anchor,
        )
        for page in bare[:_OF_A_KIND]
        if page.group
    ]


def _queue(n_queued: int | None, has_model: bool) -> list[Todo]:
    if n_queued:
        what = f"Review the {counted(n_queued, 'decision', 'decisions')} of the queue"
        return [Todo(what, "They are ordered by expected harm.", "queue")]
    why = "It says which decisions to review first, and what goes with errors: errdetect train."
    return [] if has_model else [Todo("Train a model", why, "method")]


def _untold(targets: Sequence[Target]) -> list[Todo]:
    open_ = sum(target.status == CANNOT_TELL for target in targets)
    if not open_:
        return []
    what = f"Audit where {counted(open_, 'target', 'targets')} cannot be told yet"
    return [Todo(what, "The list says about how many reviews would settle each.", "targets")]
