"""What was confirmed: findings with their likely cause, the most useful first."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from errdetect.changes.formatting import clean, counted, number, percent, slug
from errdetect.changes.glossary import ERROR_KIND_WORDS, KIND_RATE_WORDS
from errdetect.report.pages.page_blocks import amount, flag, interval, rows_by_policy, said, text_of

__all__ = ["CAUSE_NAMES", "FINDING_COLUMNS", "Finding", "findings", "kind_words"]

FINDING_COLUMNS = ("finding_id", "rule", "n", "error_rate", "low", "high", "base_rate", "confirmed")

#: The likely causes by name; each comes with its own evidence in `cause_words`.
CAUSE_NAMES: Mapping[str, str] = {
    "machine_fault": "Machine fault",
    "policy_ambiguity": "Unclear policy",
    "reviewer_inconsistency": "Reviewers differ",
    "change_in_time": "Something changed",
    "threshold": "The bar",
    "account_cluster": "Few accounts",
    "unknown": "Cause unknown",
}


#: Kind of finding -> the condition on which its harm would be saved.
_CONDITIONS: Mapping[str, str] = {
    "slice": "If it came to err no more than the rest of the policy",
    "accounts": "If these accounts were wronged no more than the others under the policy",
    "threshold": "If the bar were moved",
}


@dataclass(frozen=True)
class Finding:
    """One finding, in words.

    Parameters
    ----------
    key, anchor
        Its id, and its place in the page.
    policy_id
        The policy it is about.
    rule
        Where: the rule in words.
    kind, share
        The kind of error, and what its share of all decisions is called.
    rate, base
        That share there with its interval, and in the whole policy.
    size
        How many decisions (and accounts, reviews) it covers.
    saves, saves_if
        The harm that fixing it would save in 30 days, empty where unknown, and on which condition.
    worth
        The same as a number, for the order; 0 where unknown.
    cause, sure, cause_words, runner_up
        The likely cause by name, how sure it is, its evidence, and the next likely one; empty
        where not told.
    confirmed
        Whether it was confirmed on other decisions than those that it was found on.
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
    sure: str
    cause_words: str
    runner_up: str
    confirmed: bool


def findings(frame: pd.DataFrame | None) -> dict[str, tuple[Finding, ...]]:
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
    >>> findings(None)
    {}
    """
    rows = rows_by_policy(frame, FINDING_COLUMNS, "findings")
    return {key: tuple(sorted(map(_finding, part), key=_order)) for key, part in rows.items()}


def kind_words(row: Mapping[str, Any]) -> str:
    """Name the kind of error; "error" where it is any or unknown.

    Examples
    --------
    >>> kind_words({"error_kind": "wrongful_action"}), kind_words({})
    ('wrongful action', 'error')
    """
    kind = text_of(row, "error_kind")
    return "error" if kind in ("", "any", "error") else ERROR_KIND_WORDS.get(kind, clean(kind, 40))


def _order(finding: Finding) -> tuple[bool, float, str]:
    return (not finding.confirmed, -finding.worth, finding.key)


def _finding(row: Mapping[str, Any]) -> Finding:
    """Read one finding."""
    cause = text_of(row, "cause")
    second = text_of(row, "runner_up")
    base = number(row["base_rate"])
    return Finding(
        key=str(row["finding_id"]),
        anchor=slug("finding", str(row["finding_id"])),
        policy_id=str(row["policy_id"]),
        rule=clean(row["rule"], 240),
        kind=kind_words(row),
        share=KIND_RATE_WORDS.get(text_of(row, "error_kind"), KIND_RATE_WORDS["any"]),
        rate=interval(said(row, "error_rate", "low", "high")),
        base="not known" if base is None else percent(base),
        size=_size(row),
        saves=_saves(row),
        saves_if=_CONDITIONS.get(text_of(row, "kind"), _CONDITIONS["slice"]),
        worth=number(row.get("harm_saved")) or 0.0,
        cause=CAUSE_NAMES.get(cause, clean(cause, 40)) if cause else "",
        sure=clean(text_of(row, "sure"), 40) if text_of(row, "sure") else "",
        cause_words=clean(text_of(row, "cause_words"), 400) if text_of(row, "cause_words") else "",
        runner_up=CAUSE_NAMES.get(second, clean(second, 40)) if second else "",
        confirmed=flag(row, "confirmed"),
    )


def _size(row: Mapping[str, Any]) -> str:
    """Say how much a finding covers, as far as that is known."""
    nouns = (
        ("n", "decision", "decisions"),
        ("n_accounts", "account", "accounts"),
        ("n_reviews", "review behind it", "reviews behind it"),
    )
    known = ((number(row.get(name)), one, many) for name, one, many in nouns)
    return ", ".join(counted(round(n), one, many) for n, one, many in known if n is not None)


def _saves(row: Mapping[str, Any]) -> str:
    """Say what fixing it would save."""
    harm = said(row, "harm_saved")
    if harm is not None:
        limits = f"between {amount(harm.low)} and {amount(harm.high)}"
        return f"{amount(harm.estimate)} ({limits})"
    alone = number(row.get("harm_saved"))
    return "" if alone is None else f"{amount(alone)} (no interval)"
