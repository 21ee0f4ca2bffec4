"""Rulings of calibration sessions as text, next to later cases of the same policy."""

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from errdetect.data.policy_catalogue import Policy
from errdetect.errors import escape_hidden
from errdetect.schemas import OVERTURNED, RELABELLED, UPHELD

__all__ = ["PRECEDENTS", "add_precedents", "precedent_sentence"]

#: The column, and the key in a task's data.
PRECEDENTS = "precedents"
_MOST, _LONGEST = 3, 400
_RULED = {
    UPHELD: "the decision was correct",
    OVERTURNED: "the action was wrong",
    RELABELLED: "the action was correct, but under another policy",
}


def precedent_sentence(ruling: Mapping[str, Any], policies: Mapping[str, Policy]) -> str:
    """Return a ruling as one sentence.

    Parameters
    ----------
    ruling
        A row of the ledger's precedents.
    policies
        The catalogue: a ruling on an earlier text of the clause says so.

    Examples
    --------
    >>> ruling = {"policy_id": "spam", "ruling": "upheld", "reason": "A bulk offer.", "clause": None,
    ...           "facts": '{"action": "remove", "market": "DE"}', "correct_policy_id": None}
    >>> precedent_sentence(ruling, {})
    'Ruled on a similar case (action remove, market DE): the decision was correct. A bulk offer.'
    """
    facts = ", ".join(f"{name} {value}" for name, value in _facts(ruling).items())
    ruled = _RULED.get(str(ruling["ruling"]), str(ruling["ruling"]))
    if isinstance(ruling.get("correct_policy_id"), str):
        ruled += f", {ruling['correct_policy_id']}"
    reason = ruling.get("reason")
    parts = [f"Ruled on a similar case{f' ({facts})' if facts else ''}: {ruled}."]
    if isinstance(reason, str) and reason.strip():
        parts.append(reason.strip())
    current = policies.get(str(ruling["policy_id"]))
    former = ruling.get("clause")
    if isinstance(former, str) and current is not None and former != current.clause:
        parts.append("(The rule's text has changed since.)")
    text = escape_hidden(" ".join(" ".join(parts).split()))
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def add_precedents(
    rows: pd.DataFrame, precedents: pd.DataFrame, policies: Mapping[str, Policy]
) -> pd.DataFrame:
    """Add to decisions the rulings on the most similar cases of their policy, as text.

    The similar ones share most facts (action, category, item type, language, market); of equal
    ones, the newest come first. A decision's own ruling is not shown to its reviewer.

    Parameters
    ----------
    rows
        decision_id, policy_id and, where known, the facts.
    precedents
        The ledger's precedents, newest first.
    policies
        The catalogue.

    Returns
    -------
    pandas.DataFrame
        The rows with the column `precedents`: up to three sentences, one a line; empty where the policy
        has none. Without any precedent, the rows as they are.

    Examples
    --------
    >>> rows = pd.DataFrame({"decision_id": ["d"], "policy_id": "spam", "market": "DE"})
    >>> ruling = {"policy_id": "spam", "decision_id": "e", "ruling": "overturned", "reason": "A gift.",
    ...           "facts": "{}", "clause": None, "correct_policy_id": None}
    >>> add_precedents(rows, pd.DataFrame([ruling]), {})["precedents"].tolist()
    ['Ruled on a similar case: the action was wrong. A gift.']
    """
    if precedents.empty:
        return rows
    known: dict[str, list[dict[str, Any]]] = {}
    for one in precedents.to_dict("records"):
        ruling = {str(k): v for k, v in one.items()}
        ruling |= {"_facts": _facts(ruling), "_text": precedent_sentence(ruling, policies)}
        known.setdefault(str(ruling["policy_id"]), []).append(ruling)
    texts = []
    for row in rows.to_dict("records"):
        others = [
            one
            for one in known.get(str(row["policy_id"]), [])
            if one["decision_id"] != row["decision_id"]
        ]
        best = sorted(others, key=lambda one: -_shared(one["_facts"], row))[:_MOST]
        texts.append("\n".join(one["_text"] for one in best))
    return rows.assign(**{PRECEDENTS: pd.Series(texts, index=rows.index, dtype="str")})


def _facts(ruling: Mapping[str, Any]) -> dict[str, str]:
    found = json.loads(str(ruling.get("facts") or "{}"))
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}


def _shared(facts: Mapping[str, str], row: Mapping[Any, Any]) -> int:
    return sum(str(row.get(name)) == value for name, value in facts.items())
