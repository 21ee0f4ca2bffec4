"""Proposed changes: the change, its state and its effect."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from errdetect.changes.text_formatting import clean_text, format_optional_day
from errdetect.report.pages.page_blocks import read_estimate, read_text, rows_by_policy

__all__ = ["PROPOSED", "STATE_NAMES", "Proposal", "read_proposals"]

PROPOSED = "proposed"
STATE_NAMES: Mapping[str, str] = {
    PROPOSED: "awaits a decision",
    "accepted": "accepted",
    "rejected": "rejected",
    "closed": "closed",
}
_COLUMNS = ("proposal_id", "change", "state")


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
    rows = rows_by_policy(frame, _COLUMNS, "proposals")
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
