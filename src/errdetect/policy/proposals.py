"""Proposals: which change fits a cause, when a brief is a new proposal, and how it is recorded."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pandas as pd

from errdetect.policy.words import clean

__all__ = ["CHANGES", "Change", "Proposed", "effort_of", "in_effect", "new_proposals"]


@dataclass(frozen=True)
class Change:
    """What to change, for a cause.

    Parameters
    ----------
    kind
        `threshold`, `whitelist`, `rule_text`, `reviewer_training`, `model_data`, `version` or
        `look_closer`.
    title
        A few words.
    steps
        What is to be done, in order.
    pilot
        How to try it on one half first.
    effort
        Rough work, in person-days: orders the improvement plan. An assumption, not measured.
    """

    kind: str
    title: str
    steps: tuple[str, ...]
    pilot: str
    effort: float


_BY_ACCOUNT = (
    "Split the slice's accounts in two halves by chance (without accounts: its items). One half gets "
    "the change, the other does not. People review a random sample of both and do not know which is "
    "which."
)

#: Cause -> the change that fits it.
CHANGES: Mapping[str, Change] = {
    "threshold": Change(
        "threshold",
        "Move the bar",
        ("Set the machine's bar for this policy to the recommended one.",),
        _BY_ACCOUNT,
        1.0,
    ),
    "account_cluster": Change(
        "whitelist",
        "Stop enforcing on listed accounts without a person",
        (
            "Send what the machine would enforce on these accounts to a person first.",
            "Give every entry a date on which it ends (90 days) and a reason to strike it sooner.",
        ),
        _BY_ACCOUNT,
        2.0,
    ),
    "policy_ambiguity": Change(
        "rule_text",
        "Make the rule's text clear",
        (
            "Let the rule's owner decide 20 reviewed cases of the slice on which reviewers disagree.",
            "Add to the clause a sentence that settles them, with one example on each side.",
            "Tell reviewers, then give the machine the decided cases to learn from.",
        ),
        "Give half of the reviewers the new text, drawn by chance. Both halves review the same random "
        "sample of the slice; compare each with an expert's answer.",
        5.0,
    ),
    "reviewer_inconsistency": Change(
        "reviewer_training",
        "Train the reviewers who differ",
        (
            "Go through 20 cases of the slice with the reviewers, with an expert's answer to each.",
            "Give golden items of this slice afterwards, half of them errors.",
            "Review again what they alone decided: the machine may have been right.",
        ),
        "Train half of the reviewers first, drawn by chance. Both halves review a random sample of "
        "the slice with known answers.",
        3.0,
    ),
    "machine_fault": Change(
        "model_data",
        "Teach the machine this slice",
        (
            "Give the machine the reviewed decisions of the slice with their right answers.",
            "Until it is retrained, send decisions of the slice to a person before they take effect.",
        ),
        "Let the new model decide beside the old one, without effect. People review a random sample "
        "of each one's decisions in the slice and do not know whose they are.",
        8.0,
    ),
    "change_in_time": Change(
        "version",
        "Look at what changed, and take it back if it is the fault",
        (
            "Name what changed when the rate rose: the moderator's version, the rule's text, the mix "
            "of markets.",
            "Return half of the slice to how it was before.",
        ),
        _BY_ACCOUNT,
        3.0,
    ),
    "unknown": Change(
        "look_closer",
        "Find the cause first",
        (
            "Let an expert read 30 wrong decisions of the slice and name the fault of each.",
            "Propose a change only then: the evidence fits no single cause.",
        ),
        "No change is proposed yet. The size below is that of a later pilot.",
        2.0,
    ),
}


class Proposed(Protocol):
    """What a brief proposes, as the ledger takes it."""

    proposal_id: str
    policy_id: str
    kind: str
    title: str
    rule: str
    change: str
    owner: str | None
    finding_ids: tuple[str, ...]
    parts: tuple[Mapping[str, Any], ...]
    expected: float
    evidence_until: pd.Timestamp | None


def effort_of(cause: str) -> float:
    """Return the rough work of the change that fits a cause, in person-days.

    Examples
    --------
    >>> effort_of("threshold"), effort_of("never heard of")
    (1.0, 2.0)
    """
    return CHANGES.get(cause, CHANGES["unknown"]).effort


def new_proposals(proposed: Iterable[Proposed], known: pd.DataFrame) -> pd.DataFrame:
    """Choose the briefs that are not in the ledger yet, as rows for it.

    A brief is known if its id is, or if a proposal that is not closed rests on one of its findings:
    the same finding seen again is no new proposal, and what was rejected is not proposed again.

    Parameters
    ----------
    proposed
        Briefs.
    known
        The ledger's proposals: proposal_id, state, and finding_id or `expected` with their
        findings; may be empty.

    Returns
    -------
    DataFrame
        proposal_id, policy_id, kind, title, rule, change, owner, finding_id (the first one) and
        expected: JSON with finding_ids, parts, rate_change and evidence_until.

    Examples
    --------
    >>> new_proposals([], pd.DataFrame()).columns.tolist()[:2]
    ['proposal_id', 'policy_id']
    """
    ids = set(known["proposal_id"]) if len(known) else set()
    taken: set[str] = set()
    for row in known.to_dict("records"):
        if row["state"] != "closed":
            taken |= set(_terms(row.get("expected")).get("finding_ids", [])) | {row["finding_id"]}
    rows = []
    for brief in proposed:
        if brief.proposal_id in ids or taken & set(brief.finding_ids):
            continue
        terms = {
            "finding_ids": list(brief.finding_ids),
            "parts": [dict(part) for part in brief.parts],
            "rate_change": None if brief.expected != brief.expected else brief.expected,
            "evidence_until": None
            if brief.evidence_until is None
            else brief.evidence_until.isoformat(),
        }
        rows.append(
            {
                "proposal_id": brief.proposal_id,
                "policy_id": brief.policy_id,
                "kind": brief.kind,
                "title": clean(brief.title, limit=300),
                "rule": clean(brief.rule, limit=1000),
                "change": brief.change,
                "owner": brief.owner,
                "expected": json.dumps(terms, ensure_ascii=False, sort_keys=True, default=str),
                "finding_id": brief.finding_ids[0],
            }
        )
        ids.add(brief.proposal_id)
    return pd.DataFrame(rows, columns=_COLUMNS)


_COLUMNS = [
    "proposal_id", "policy_id", "kind", "title", "rule", "change", "owner", "expected", "finding_id",
]  # fmt: skip


def in_effect(
    proposals: pd.DataFrame, history: pd.DataFrame, *, as_of: pd.Timestamp
) -> pd.DataFrame:
    """Turn the ledger's proposals into what `measure_effects` measures.

    Parameters
    ----------
    proposals
        The ledger's proposals.
    history
        The ledger's events of proposals: id, to, from, at.
    as_of
        The moment of the report. Each month since the effective date counts as one look.

    Returns
    -------
    DataFrame
        proposal_id, policy_id, state, effective_from, parts, expected, evidence_until, closed_at,
        look; only proposals that were accepted.

    Examples
    --------
    >>> effective = pd.Timestamp("2026-01-01", tz="UTC")
    >>> one = pd.DataFrame({"proposal_id": ["p"], "policy_id": "spam", "state": "accepted",
    ...                     "effective_from": effective, "expected": '{"rate_change": -0.1}'})
    >>> now = effective + pd.Timedelta(days=40)
    >>> in_effect(one, pd.DataFrame(), as_of=now)[["expected", "look"]].values.tolist()
    [[-0.1, 2.0]]
    """
    accepted = proposals[proposals["effective_from"].notna()].reset_index(drop=True)
    terms = [_terms(text) for text in accepted["expected"]]
    closed: dict[str, Any] = {}
    if len(history):
        ends = history[(history["to"] == "closed") & (history["from"] == "accepted")]
        closed = dict(zip(ends["id"], ends["at"], strict=True))
    days = (as_of - accepted["effective_from"]).dt.days
    return accepted[["proposal_id", "policy_id", "state", "effective_from"]].assign(
        parts=pd.Series([one.get("parts") or None for one in terms], dtype="object"),
        expected=pd.Series([one.get("rate_change") for one in terms], dtype="float64"),
        evidence_until=_times(one.get("evidence_until") for one in terms),
        closed_at=_times(closed.get(key) for key in accepted["proposal_id"]),
        look=(days.clip(lower=0) // 30 + 1).astype("int64"),
    )


def _times(values: Iterable[Any]) -> pd.Series:
    return pd.to_datetime(pd.Series(list(values), dtype="object"), utc=True)


def _terms(text: object) -> dict[str, Any]:
    found = json.loads(text) if isinstance(text, str) and text else {}
    return found if isinstance(found, dict) else {}
