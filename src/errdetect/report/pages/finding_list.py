"""Confirmed findings with their likely cause, the most useful first."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from errdetect.changes.display_terms import ERROR_KIND_WORDS, KIND_RATE_WORDS
from errdetect.changes.text_formatting import (
    clean_text,
    count_with_noun,
    finite_or_none,
    format_percent,
    slug,
)
from errdetect.report.pages.page_blocks import (
    format_amount,
    format_rate,
    read_estimate,
    read_flag,
    read_text,
    rows_by_policy,
)

__all__ = ["CAUSE_NAMES", "FINDING_COLUMNS", "Finding", "error_kind_text", "read_findings"]

FINDING_COLUMNS = ("finding_id", "rule", "n", "error_rate", "low", "high", "base_rate", "confirmed")

#: Names of the likely causes; the evidence for each is in `cause_text`.
CAUSE_NAMES: Mapping[str, str] = {
    "machine_fault": "Machine fault",
    "policy_ambiguity": "Unclear policy",
    "reviewer_inconsistency": "Reviewers differ",
    "change_in_time": "Something changed",
    "threshold": "Threshold",
    "account_cluster": "Few accounts",
    "unknown": "Cause unknown",
}


#: Kind of finding -> the condition for its saved harm.
_CONDITIONS: Mapping[str, str] = {
    "slice": "If it erred no more than the rest of the policy",
    "accounts": "If these accounts had no more wrongful actions than others under the policy",
    "threshold": "If the threshold were moved",
}


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
