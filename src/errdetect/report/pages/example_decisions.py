"""The head of the queue: the decisions to review first, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from errdetect.changes.display_terms import ERROR_KIND_WORDS
from errdetect.changes.text_formatting import (
    clean_text,
    finite_or_none,
    has_rows,
    require_columns,
    to_records,
)
from errdetect.report.charts import axis_position
from errdetect.report.pages.policy_page import PolicyPage

__all__ = ["MAX_CASES", "SHOWN_CASES", "Case", "Reason", "read_cases"]

#: Decisions of the queue's head that the page holds; the queue has all of them.
MAX_CASES = 50
#: Decisions shown at first; the others are collapsed.
SHOWN_CASES = 10
_MAX_REASONS = 5
_COLUMNS = ("rank", "decision_id", "policy_id", "p_error", "error_kind", "expected_harm", "arm")


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
    require_columns(frame, _COLUMNS, "queue_head")
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
