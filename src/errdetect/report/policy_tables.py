"""Findings, proposals and targets, as the policies' pages list them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from errdetect.changes.text_formatting import (
    ERROR_KIND_WORDS,
    KIND_RATE_WORDS,
    MEASURE_WORDS,
    clean_text,
    count_with_noun,
    finite_or_none,
    format_count,
    format_optional_day,
    format_percent,
    has_rows,
    require_columns,
    slug,
    to_records,
)
from errdetect.report.page_blocks import (
    format_amount,
    format_rate,
    read_estimate,
    read_flag,
    read_text,
    rows_by_policy,
)

__all__ = [
    "CANNOT_TELL",
    "CAUSE_NAMES",
    "FINDING_COLUMNS",
    "MET",
    "MISSED",
    "PROPOSED",
    "STATE_NAMES",
    "STATUS_WORDS",
    "Finding",
    "Proposal",
    "Target",
    "error_kind_text",
    "read_findings",
    "read_proposals",
    "read_targets",
]

FINDING_COLUMNS = ("finding_id", "rule", "n", "error_rate", "low", "high", "base_rate", "confirmed")

#: Names of the likely causes; the evidence for each is in `cause_text`.
CAUSE_NAMES: Mapping[str, str] = {
    "machine_fault": "Machine fault",
    "policy_ambiguity": "Unclear policy",
    "reviewer_inconsistency": "Reviewers differ",
    "change_in_time": "Something changed",
    "threshold": "Threshold",
    "account_cluster": "Certain accounts",
    "unknown": "Cause unknown",
}


#: Kind of finding -> the condition for its saved harm.
_CONDITIONS: Mapping[str, str] = {
    "slice": "If it erred no more than the rest of the policy",
    "accounts": "If these accounts had no more wrongful actions than others under the policy",
    "threshold": "If the threshold were moved",
}
PROPOSED = "proposed"
STATE_NAMES: Mapping[str, str] = {
    PROPOSED: "awaits a decision",
    "accepted": "accepted",
    "rejected": "rejected",
    "closed": "closed",
}
_PROPOSAL_COLUMNS = ("proposal_id", "change", "state")
MET, MISSED, CANNOT_TELL = "met", "missed", "cannot_tell"
STATUS_WORDS: Mapping[str, str] = {
    MISSED: "missed",
    CANNOT_TELL: "inconclusive",
    MET: "met",
}
_TARGET_COLUMNS = ("policy_id", "measure", "limit", "estimate", "low", "high", "status")


@dataclass(frozen=True)
class Finding:
    """One finding, as text.

    Parameters
    ----------
    key, anchor
        Its id, and its anchor in the page.
    policy_id
        The policy it is about.
    rule
        Where: the rule as text.
    kind, share
        The kind of error, and the name of its share of all decisions.
    rate, base
        That share there with its interval, and in the whole policy.
    size
        How many decisions (and accounts, reviews) it covers.
    saves, saves_if
        The harm that fixing it would save in 30 days, empty where unknown, and under which condition.
    worth
        The same as a number, for the order; 0 where unknown.
    cause, confidence, cause_text, runner_up
        The likely cause by name, its confidence, its evidence, and the next likely one; empty
        where not given.
    confirmed
        Whether it was confirmed on decisions that were not used to find it.
    """

    key: str
    anchor: str
    policy_id: str
    rule: str
    kind: str
    share: str
    rate: str
    base: str
    size: str
    saves: str
    saves_if: str
    worth: float
    cause: str
    confidence: str
    cause_text: str
    runner_up: str
    confirmed: bool


def read_findings(frame: pd.DataFrame | None) -> dict[str, tuple[Finding, ...]]:
    """Read the findings of each policy.

    Parameters
    ----------
    frame
        The findings of `ReportContent`; or None.

    Returns
    -------
    dict
        policy_id -> its findings: confirmed ones first, then by harm saved; ties by id.

    Raises
    ------
    DataError
        Where a column is missing.

    Examples
    --------
    >>> read_findings(None)
    {}
    """
    rows = rows_by_policy(frame, FINDING_COLUMNS, "findings")
    return {
        key: tuple(sorted(map(_read_finding, part), key=_finding_sort_key))
        for key, part in rows.items()
    }


def error_kind_text(row: Mapping[str, Any]) -> str:
    """Name the kind of error; "error" where it is any or unknown.

    Examples
    --------
    >>> error_kind_text({"error_kind": "wrongful_action"}), error_kind_text({})
    ('wrongful action', 'error')
    """
    kind = read_text(row, "error_kind")
    return (
        "error"
        if kind in ("", "any", "error")
        else ERROR_KIND_WORDS.get(kind, clean_text(kind, 40))
    )


def _finding_sort_key(finding: Finding) -> tuple[bool, float, str]:
    return (not finding.confirmed, -finding.worth, finding.key)


def _read_finding(row: Mapping[str, Any]) -> Finding:
    """Read one finding."""
    cause = read_text(row, "cause")
    second = read_text(row, "runner_up")
    base = finite_or_none(row["base_rate"])
    return Finding(
        key=str(row["finding_id"]),
        anchor=slug("finding", str(row["finding_id"])),
        policy_id=str(row["policy_id"]),
        rule=clean_text(row["rule"], 240),
        kind=error_kind_text(row),
        share=KIND_RATE_WORDS.get(read_text(row, "error_kind"), KIND_RATE_WORDS["any"]),
        rate=format_rate(read_estimate(row, "error_rate", "low", "high")),
        base="not known" if base is None else format_percent(base),
        size=_size_text(row),
        saves=_savings_text(row),
        saves_if=_CONDITIONS.get(read_text(row, "kind"), _CONDITIONS["slice"]),
        worth=finite_or_none(row.get("harm_saved")) or 0.0,
        cause=CAUSE_NAMES.get(cause, clean_text(cause, 40)) if cause else "",
        confidence=clean_text(read_text(row, "confidence"), 40)
        if read_text(row, "confidence")
        else "",
        cause_text=clean_text(read_text(row, "cause_text"), 400)
        if read_text(row, "cause_text")
        else "",
        runner_up=CAUSE_NAMES.get(second, clean_text(second, 40)) if second else "",
        confirmed=read_flag(row, "confirmed"),
    )


def _size_text(row: Mapping[str, Any]) -> str:
    """Describe how much a finding covers, as far as that is known."""
    nouns = (
        ("n", "decision", "decisions"),
        ("n_accounts", "account", "accounts"),
        ("n_reviews", "review behind it", "reviews behind it"),
    )
    known = ((finite_or_none(row.get(name)), one, many) for name, one, many in nouns)
    return ", ".join(
        count_with_noun(round(n), one, many) for n, one, many in known if n is not None
    )


def _savings_text(row: Mapping[str, Any]) -> str:
    """Describe what fixing it would save."""
    harm = read_estimate(row, "harm_saved")
    if harm is not None:
        limits = f"between {format_amount(harm.low)} and {format_amount(harm.high)}"
        return f"{format_amount(harm.estimate)} ({limits})"
    alone = finite_or_none(row.get("harm_saved"))
    return "" if alone is None else f"{format_amount(alone)} (no interval)"


@dataclass(frozen=True)
class Proposal:
    """One proposed change.

    Parameters
    ----------
    key, policy_id
        Its display id, and its policy.
    title, change
        The change, in short (empty where there is no short form) and in full.
    state, state_words
        State code, and state as text with its effective date.
    effect
        Its effect, with its interval, or why that is unknown.
    brief
        The brief's file; empty where there is none.
    """

    key: str
    policy_id: str
    title: str
    change: str
    state: str
    state_words: str
    effect: str
    brief: str


def read_proposals(frame: pd.DataFrame | None) -> dict[str, tuple[Proposal, ...]]:
    """Read the proposals of each policy.

    Parameters
    ----------
    frame
        The proposals of `ReportContent`; or None.

    Returns
    -------
    dict
        policy_id -> its proposals: pending ones first; ties by id.

    Raises
    ------
    DataError
        Where a column is missing.

    Examples
    --------
    >>> frame = pd.DataFrame([{"policy_id": "spam", "proposal_id": "p1", "state": "proposed",
    ...                        "change": "Raise the bar to 0.7"}])
    >>> read_proposals(frame)["spam"][0].effect
    'not in effect'
    """
    rows = rows_by_policy(frame, _PROPOSAL_COLUMNS, "proposals")
    order = list(STATE_NAMES)

    def place(proposal: Proposal) -> tuple[int, str]:
        known = proposal.state in order
        return (order.index(proposal.state) if known else len(order), proposal.key)

    return {key: tuple(sorted(map(_read_proposal, part), key=place)) for key, part in rows.items()}


def _read_proposal(row: Mapping[str, Any]) -> Proposal:
    """Read one proposal."""
    state = read_text(row, "state")
    start = row.get("effective_from")
    since = "" if start is None or pd.isna(start) else f", from {format_optional_day(start)}"
    return Proposal(
        key=clean_text(row["proposal_id"], 60),
        policy_id=str(row["policy_id"]),
        title=clean_text(title, 200) if (title := read_text(row, "title")) else "",
        change=clean_text(row["change"], 500),
        state=state,
        state_words=STATE_NAMES.get(state, clean_text(state, 40)) + since,
        effect=_effect_text(row, state),
        brief=clean_text(read_text(row, "brief"), 120) if read_text(row, "brief") else "",
    )


def _effect_text(row: Mapping[str, Any], state: str) -> str:
    """Describe the effect of a change: points of the error rate, with the interval."""
    words = read_text(row, "effect_words")
    if words:
        return clean_text(words, 400)
    gap = read_estimate(row, "effect")
    if gap is not None:
        low, high = (f"{100 * x:+.1f}" for x in (gap.low, gap.high))
        return f"wrong among all decisions of the slice {100 * gap.estimate:+.1f} points (between {low} and {high})"
    return "not known yet" if state in ("accepted", "closed") else "not in effect"


@dataclass(frozen=True)
class Target:
    """One target and its status.

    Parameters
    ----------
    policy_id
        The policy it is set for; empty where it is set for all, or for a site.
    where
        Market or site, as text; empty for the whole policy.
    measure
        The measure, as text.
    limit
        The limit, as text.
    rate
        The estimate, with its interval.
    status
        `met`, `missed` or `cannot_tell`.
    needed
        What would decide it; empty where it is decided or unknown.
    """

    policy_id: str
    where: str
    measure: str
    limit: str
    rate: str
    status: str
    needed: str

    @property
    def words(self) -> str:
        """The status as text."""
        return STATUS_WORDS[self.status]


def read_targets(frame: pd.DataFrame | None) -> tuple[Target, ...]:
    r"""Read the targets: missed ones first, then inconclusive ones, then those met.

    Parameters
    ----------
    frame
        The targets of `ReportContent`; or None.

    Returns
    -------
    tuple of Target
        An unknown status counts as inconclusive.

    Raises
    ------
    DataError
        Where a column is missing.

    Examples
    --------
    >>> frame = pd.DataFrame([{"policy_id": "spam", "measure": "wrongful_rate", "limit": 0.03,
    ...                        "estimate": 0.01, "low": 0.005, "high": 0.02, "status": "met"}])
    >>> read_targets(frame)[0].limit.replace("\xa0", " ")
    'at most 3.0 %'
    """
    if frame is None or not has_rows(frame):
        return ()
    require_columns(frame, _TARGET_COLUMNS, "targets")
    order = list(STATUS_WORDS)
    found = [_read_target(row) for row in to_records(frame)]
    return tuple(
        sorted(found, key=lambda t: (order.index(t.status), t.policy_id, t.where, t.measure))
    )


def _read_target(row: Mapping[str, Any]) -> Target:
    """Read one target."""
    measure = read_text(row, "measure")
    status = read_text(row, "status")
    limit = finite_or_none(row["limit"])
    bound = "at least" if _higher_is_better(measure) else "at most"
    more = finite_or_none(row.get("reviews_needed"))
    places = [
        f"{name} {clean_text(v, 60)}" for name in ("market", "site") if (v := read_text(row, name))
    ]
    return Target(
        policy_id=read_text(row, "policy_id"),
        where=", ".join(places),
        measure=MEASURE_WORDS[measure].name
        if measure in MEASURE_WORDS
        else clean_text(measure, 60).replace("_", " ").capitalize(),
        limit="not given" if limit is None else f"{bound} {format_percent(limit)}",
        rate=format_rate(read_estimate(row, "estimate", "low", "high")),
        status=status if status in STATUS_WORDS else CANNOT_TELL,
        needed=f"about {format_count(round(more))} more reviews would decide it" if more else "",
    )


def _higher_is_better(measure: str) -> bool:
    """Return whether a limit of this measure is a minimum."""
    return measure in ("precision", "recall", "accuracy") or measure.endswith("accuracy")
