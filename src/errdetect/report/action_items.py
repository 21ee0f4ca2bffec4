"""First things to do: a short list, backed by the rest of the report, and the decisions to review first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from errdetect.changes.text_formatting import (
    ERROR_KIND_WORDS,
    clean_text,
    count_with_noun,
    finite_or_none,
    format_count,
    has_rows,
    require_columns,
    to_records,
)
from errdetect.data.policy_catalogue import Policy
from errdetect.report.breakdown_section import ABOVE
from errdetect.report.charts import axis_position
from errdetect.report.page_blocks import format_rate, read_estimate, read_text, rows_by_policy
from errdetect.report.policy_page import PolicyPage
from errdetect.report.policy_tables import CANNOT_TELL, MISSED, PROPOSED, Target

__all__ = [
    "MAX_CASES",
    "SHOWN_CASES",
    "ActionItem",
    "Case",
    "Reason",
    "Remedies",
    "Remedy",
    "TargetStep",
    "WhitelistAccount",
    "read_accounts",
    "read_cases",
    "read_remedies",
    "read_steps",
    "top_action_items",
]

_COLUMNS = ("account_id", "policy_id", "n", "wrongful_rate", "low", "high")
#: Decisions of the queue's head that the page holds; the queue has all of them.
MAX_CASES = 50
#: Decisions shown at first; the others are collapsed.
SHOWN_CASES = 10
_MAX_REASONS = 5
_CASE_COLUMNS = (
    "rank",
    "decision_id",
    "policy_id",
    "p_error",
    "error_kind",
    "expected_harm",
    "arm",
)


@dataclass(frozen=True)
class WhitelistAccount:
    """An account whose enforced decisions are mostly wrong, as text."""

    key: str
    policy: str
    rate: str
    n: str
    evidence: str


@dataclass(frozen=True)
class TargetStep:
    """A step towards a missed target: the policy, its anchor in the page, and what to do."""

    name: str
    anchor: str
    words: str


def read_accounts(
    frame: pd.DataFrame | None, policies: Mapping[str, Policy]
) -> tuple[WhitelistAccount, ...]:
    """Read the accounts proposed for a whitelist.

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
    >>> read_accounts(None, {})
    ()
    """
    if frame is None or not has_rows(frame):
        return ()
    require_columns(frame, _COLUMNS, "whitelist")

    def surest(row: Mapping[str, Any]) -> tuple[float, str, str]:
        return (
            -(finite_or_none(row["low"]) or 0.0),
            str(row["account_id"]),
            read_text(row, "policy_id"),
        )

    return tuple(_read_account(row, policies) for row in sorted(to_records(frame), key=surest))


def _read_account(row: Mapping[str, Any], policies: Mapping[str, Policy]) -> WhitelistAccount:
    policy_id = read_text(row, "policy_id")
    policy = policies.get(policy_id)
    evidence = read_text(row, "evidence")
    return WhitelistAccount(
        key=clean_text(row["account_id"], 60),
        policy=clean_text(policy.name if policy else policy_id) if policy_id else "all policies",
        rate=format_rate(read_estimate(row, "wrongful_rate", "low", "high")),
        n=format_count(round(finite_or_none(row["n"]) or 0)),
        evidence=clean_text(evidence, 300) if evidence else "",
    )


@dataclass(frozen=True)
class Remedy:
    """A penalty to revoke, as text."""

    account: str
    decision: str
    policy: str
    evidence: str
    status: str


@dataclass(frozen=True)
class Remedies:
    """What reviews say should be reversed or corrected: a line for each kind, and the penalties to revoke."""

    lines: tuple[str, ...]
    rows: tuple[Remedy, ...]


_REMEDY_COLUMNS = ("kind", "decision_id", "account_id", "policy_id", "evidence", "status")
_REMEDY_WORDS = {
    "reverse": ("action to reverse", "actions to reverse"),
    "revoke_penalty": ("penalty to revoke", "penalties to revoke"),
    "relabel": ("label to correct", "labels to correct"),
}
_PLANNED = "planned"


def read_remedies(frame: pd.DataFrame | None, policies: Mapping[str, Policy]) -> Remedies | None:
    """Read the direct remedies.

    Parameters
    ----------
    frame
        The remedies of `ReportContent`; or None.
    policies
        The catalogue.

    Returns
    -------
    Remedies or None
        None where nothing needs a remedy. Planned steps come before those that need a check.

    Raises
    ------
    DataError
        Where a column is missing.

    Examples
    --------
    >>> read_remedies(None, {}) is None
    True
    """
    if frame is None or not has_rows(frame):
        return None
    require_columns(frame, _REMEDY_COLUMNS, "remedies")
    rows = to_records(frame)
    lines = []
    for kind, (one, many) in _REMEDY_WORDS.items():
        own = [row for row in rows if row["kind"] == kind]
        check = sum(row["status"] != _PLANNED for row in own)
        more = f", {format_count(check)} of them only after a check" if check else ""
        if own:
            lines.append(f"{count_with_noun(len(own), one, many)}{more}.")
    penalties = sorted(
        (row for row in rows if row["kind"] == "revoke_penalty"),
        key=lambda row: (
            row["status"] != _PLANNED,
            str(row["account_id"]),
            str(row["decision_id"]),
        ),
    )
    return Remedies(tuple(lines), tuple(_read_remedy(row, policies) for row in penalties))


def _read_remedy(row: Mapping[str, Any], policies: Mapping[str, Policy]) -> Remedy:
    policy = policies.get(str(row["policy_id"]))
    return Remedy(
        account=clean_text(row["account_id"], 60),
        decision=clean_text(row["decision_id"], 60),
        policy=clean_text(policy.name if policy else row["policy_id"]),
        evidence=clean_text(row["evidence"], 300),
        status="planned" if row["status"] == _PLANNED else "check first",
    )


def read_steps(plan: pd.DataFrame | None, pages: Sequence[PolicyPage]) -> tuple[TargetStep, ...]:
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
    >>> read_steps(None, [])
    ()
    """
    rows = rows_by_policy(plan, ("step", "words"), "plan")
    return tuple(
        TargetStep(page.name, page.anchor, clean_text(row["words"], 400))
        for page in pages
        for row in sorted(rows.get(page.key, []), key=lambda row: float(row["step"]))
    )


_MOST = 5
_OF_A_KIND = 2


@dataclass(frozen=True)
class ActionItem:
    """One thing to do: what, why, and where the report says more (an anchor)."""

    what: str
    why: str
    anchor: str


def top_action_items(
    pages: Sequence[PolicyPage],
    targets: Sequence[Target],
    *,
    n_audit: int,
    n_queued: int | None,
    has_model: bool,
    no_model: str = "",
) -> tuple[ActionItem, ...]:
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
    no_model
        Why there is none, if one was trained and did not pass the gate; else empty.

    Returns
    -------
    tuple of Todo
        Missing evidence first (no audit), then confirmed findings by the harm they would save,
        missed targets, pending proposals, policies clearly above the overall rate without
        findings, the queue, and inconclusive targets.

    Examples
    --------
    >>> [todo.what for todo in top_action_items([], [], n_audit=0, n_queued=None, has_model=False)]
    ['Plan an audit', 'Train a model']
    """
    found = [
        *([] if n_audit else [_audit_item()]),
        *_finding_items(pages),
        *_missed_target_items(pages),
        *_open_proposal_items(pages),
        *_high_rate_items(pages),
        *_queue_items(n_queued, has_model, no_model),
        *_inconclusive_target_items(targets),
    ]
    return tuple(found[:_MOST])


def _audit_item() -> ActionItem:
    why = "Without one, the machine's error rate is unknown: errdetect plan-audit draws it."
    return ActionItem("Plan an audit", why, "method")


def _finding_items(pages: Sequence[PolicyPage]) -> list[ActionItem]:
    """Choose the confirmed findings that would save most."""
    held = [(page, f) for page in pages for f in page.findings if f.confirmed]
    held.sort(key=lambda pair: (-pair[1].worth, pair[1].key))
    return [
        ActionItem(
            f"{page.name}: fix where {finding.rule}",
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


def _missed_target_items(pages: Sequence[PolicyPage]) -> list[ActionItem]:
    """Choose the policies that miss a target, in the pages' order."""
    missed = [(p, t) for p in pages for t in p.targets if t.status == MISSED]
    first = {page.key: (page, target) for page, target in reversed(missed)}
    chosen = [pair for key in (p.key for p in pages) if (pair := first.get(key))]
    return [
        ActionItem(
            f"{page.name}: a target is missed",
            f"{target.measure}{f' ({target.where})' if target.where else ''}: {target.rate}, "
            f"the limit is {target.limit}.",
            page.anchor,
        )
        for page, target in chosen[:_OF_A_KIND]
    ]


def _open_proposal_items(pages: Sequence[PolicyPage]) -> list[ActionItem]:
    waiting = sum(p.state == PROPOSED for page in pages for p in page.proposals)
    if not waiting:
        return []
    what = f"Decide on {count_with_noun(waiting, 'proposal', 'proposals')}"
    return [ActionItem(what, "Accepted ones are measured in the next reports.", "proposals")]


def _high_rate_items(pages: Sequence[PolicyPage]) -> list[ActionItem]:
    """Choose policies clearly above the overall rate without a confirmed finding."""
    bare = [p for p in pages if p.group and p.group.against == ABOVE and not p.n_findings]
    return [
        ActionItem(
            f"{page.name}: see the reasons associated with its errors",
            f"{page.group.error.sentence} That is clearly above the overall rate.",
            page.anchor,
        )
        for page in bare[:_OF_A_KIND]
        if page.group
    ]


def _queue_items(n_queued: int | None, has_model: bool, no_model: str) -> list[ActionItem]:
    if n_queued:
        what = f"Review the {count_with_noun(n_queued, 'decision', 'decisions')} of the queue"
        return [ActionItem(what, "They are ordered by expected harm.", "queue")]
    if no_model:
        return [ActionItem("Review more, then train again", clean_text(no_model, 400), "method")]
    why = "It shows which decisions to review first, and reasons associated with errors: errdetect train."
    return [] if has_model else [ActionItem("Train a model", why, "method")]


def _inconclusive_target_items(targets: Sequence[Target]) -> list[ActionItem]:
    open_ = sum(target.status == CANNOT_TELL for target in targets)
    if not open_:
        return []
    what = f"Audit where {count_with_noun(open_, 'target is', 'targets are')} inconclusive"
    return [ActionItem(what, "The list shows about how many reviews would decide each.", "targets")]


@dataclass(frozen=True)
class Reason:
    """One reason for a decision's rank: its text, and whether it raises the probability of error."""

    text: str
    raises: bool


@dataclass(frozen=True)
class Case:
    """One decision at the head of the queue.

    Parameters
    ----------
    rank, decision_id
        Its rank, from 1, and its id.
    policy, anchor
        The policy's name, and its anchor in the page if it has one.
    facts
        Action, market and language, those that are known.
    p_error, bar
        Its probability of error, and the same in percent; None and 0 where unknown.
    error_kind
        The kind of error it would be, with the policy that fits better where one is suggested.
    harm
        Its expected harm.
    explore
        Whether it was drawn at random.
    reasons
        Up to five, the strongest first.
    text
        The beginning of its text; None where there is none.
    """

    rank: int
    decision_id: str
    policy: str
    anchor: str | None
    facts: tuple[str, ...]
    p_error: float | None
    bar: float
    error_kind: str
    harm: str
    explore: bool
    reasons: tuple[Reason, ...]
    text: str | None


def read_cases(frame: pd.DataFrame | None, pages: Mapping[str, PolicyPage]) -> tuple[Case, ...]:
    """Read the head of the queue.

    Parameters
    ----------
    frame
        Columns of the contract's queue; `action`, `market`, `language`, `reasons`, `text` and
        `suggested_policy_id` may be absent; or None.
    pages
        policy_id -> its anchor in the page.

    Returns
    -------
    tuple of Case
        By rank, at most `MAX_CASES`.

    Raises
    ------
    DataError
        Where a column is missing.

    Examples
    --------
    >>> read_cases(None, {})
    ()
    """
    if frame is None or not has_rows(frame):
        return ()
    require_columns(frame, _CASE_COLUMNS, "queue_head")
    head = frame.sort_values(["rank", "decision_id"]).head(MAX_CASES)
    return tuple(_read_case(row, pages) for row in to_records(head))


def _read_case(row: Mapping[str, Any], pages: Mapping[str, PolicyPage]) -> Case:
    """Read one decision."""
    page = pages.get(str(row["policy_id"]))
    chance = finite_or_none(row["p_error"])
    harm = finite_or_none(row["expected_harm"])
    kind = clean_text(row["error_kind"], 40)
    facts = (row.get(c) for c in ("action", "market", "language"))
    text = row.get("text")
    return Case(
        rank=int(row["rank"]),
        decision_id=clean_text(row["decision_id"], 60),
        policy=page.name if page else clean_text(row["policy_id"]),
        anchor=page.anchor if page else None,
        facts=tuple(clean_text(f, 40) for f in facts if f is not None and not pd.isna(f)),
        p_error=chance,
        bar=axis_position(chance or 0.0, 1.0),
        error_kind=ERROR_KIND_WORDS.get(kind, kind)
        + _suggested_policy_text(row.get("suggested_policy_id"), pages),
        harm="not given" if harm is None else f"{harm:,.2f}",
        explore=row["arm"] == "explore",
        reasons=_read_reasons(row.get("reasons")),
        text=None if text is None or pd.isna(text) else clean_text(text, 280),
    )


def _suggested_policy_text(policy_id: Any, pages: Mapping[str, PolicyPage]) -> str:
    """Name the policy that fits better, if one is suggested."""
    if policy_id is None or pd.isna(policy_id):
        return ""
    page = pages.get(str(policy_id))
    return f": {page.name if page else clean_text(policy_id)} fits better"


def _read_reasons(found: Any) -> tuple[Reason, ...]:
    """Read the reasons in their order."""
    if not pd.api.types.is_list_like(found):
        return ()
    return tuple(
        Reason(clean_text(r["text"], 240), (finite_or_none(r["contribution"]) or 0.0) >= 0)
        for r in list(found)[:_MAX_REASONS]
    )
