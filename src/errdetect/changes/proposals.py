"""Proposals: the change that fits a cause, which briefs are new, and how they are recorded."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pandas as pd

from errdetect.changes.text_formatting import clean_text
from errdetect.data.atomic_writing import to_json_value

__all__ = [
    "CHANGES",
    "ProposedChange",
    "RecommendedChange",
    "estimated_effort",
    "findings_in_use",
    "new_proposals",
    "proposal_id",
    "proposals_in_effect",
]


@dataclass(frozen=True)
class RecommendedChange:
    """The change for a cause.

    Parameters
    ----------
    kind
        `threshold`, `whitelist`, `rule_text`, `reviewer_training`, `model_data`, `version` or
        `look_closer`.
    title
        Short title.
    steps
        Steps, in order.
    pilot
        How to try it on one half first.
    effort
        Rough effort, in person-days: orders the improvement plan. An assumption, not measured.
    """

    kind: str
    title: str
    steps: tuple[str, ...]
    pilot: str
    effort: float


_BY_ACCOUNT = (
    "Split the slice's accounts in two random halves (without accounts: its items). One half gets "
    "the change, the other does not. People review a random sample of both and do not know which is "
    "which."
)

#: Cause -> the change that fits it.
CHANGES: Mapping[str, RecommendedChange] = {
    "threshold": RecommendedChange(
        "threshold",
        "Move the threshold",
        ("Set the machine's threshold for this policy to the recommended one.",),
        _BY_ACCOUNT,
        1.0,
    ),
    "account_cluster": RecommendedChange(
        "whitelist",
        "Stop enforcing on listed accounts without human review",
        (
            "Send what the machine would enforce on these accounts to a person first.",
            "Give every entry an end date (90 days) and conditions for removing it sooner.",
        ),
        _BY_ACCOUNT,
        2.0,
    ),
    "policy_ambiguity": RecommendedChange(
        "rule_text",
        "Clarify the rule's text",
        (
            "Let the rule's owner decide 20 reviewed cases of the slice on which reviewers disagree.",
            "Add to the clause a sentence that decides them, with one example on each side.",
            "Inform reviewers, then train the machine on the decided cases.",
        ),
        "Give half of the reviewers the new text, drawn at random. Both halves review the same random "
        "sample of the slice; compare each with an expert's verdict.",
        5.0,
    ),
    "reviewer_inconsistency": RecommendedChange(
        "reviewer_training",
        "Train the reviewers who differ",
        (
            "Go through 20 cases of the slice with the reviewers, with an expert's verdict on each.",
            "Afterwards, give them golden items of this slice, half of them errors.",
            "Re-review what they alone reviewed: the machine may have been right.",
        ),
        "Train half of the reviewers first, drawn at random. Both halves review a random sample of "
        "the slice with known answers.",
        3.0,
    ),
    "machine_fault": RecommendedChange(
        "model_data",
        "Retrain the machine on this slice",
        (
            "Train the machine on the reviewed decisions of the slice with their correct verdicts.",
            "Until it is retrained, send decisions of the slice to a person before they take effect.",
        ),
        "Run the new model in shadow mode next to the old one. People review a random sample "
        "of each one's decisions in the slice without knowing which model made them.",
        8.0,
    ),
    "change_in_time": RecommendedChange(
        "version",
        "Find the change and roll it back if it caused the errors",
        (
            "Name what changed when the rate rose: the moderator's version, the rule's text, the mix "
            "of markets.",
            "Restore half of the slice to its state before the change.",
        ),
        _BY_ACCOUNT,
        3.0,
    ),
    "unknown": RecommendedChange(
        "look_closer",
        "Find the cause first",
        (
            "Let an expert read 30 wrong decisions of the slice and name the cause of each.",
            "Propose a change only afterwards: the evidence fits no single cause.",
        ),
        "No change is proposed yet. The size below is for a later pilot.",
        2.0,
    ),
}


class ProposedChange(Protocol):
    """A brief's proposal, as the ledger records it; `finding_ids` and `parts` go together."""

    @property
    def policy_id(self) -> str: ...  # noqa: D102
    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def title(self) -> str: ...  # noqa: D102
    @property
    def rule(self) -> str: ...  # noqa: D102
    @property
    def change(self) -> str: ...  # noqa: D102
    @property
    def owner(self) -> str | None: ...  # noqa: D102
    @property
    def finding_ids(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def parts(self) -> tuple[Mapping[str, Any], ...]: ...  # noqa: D102
    @property
    def expected(self) -> float: ...  # noqa: D102
    @property
    def evidence_until(self) -> pd.Timestamp | None: ...  # noqa: D102


def proposal_id(policy_id: str, kind: str, finding_id: str) -> str:
    """Name a proposal after what it changes and its first finding.

    Examples
    --------
    >>> proposal_id("spam", "threshold", "f1")
    'P-f6f79596d2'
    """
    text = "\0".join((policy_id, kind, finding_id))
    return "P-" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:10]


def findings_in_use(known: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Map the findings behind each proposal to its id and state; closed proposals release theirs.

    Examples
    --------
    >>> findings_in_use(pd.DataFrame({"proposal_id": ["p"], "state": "rejected", "finding_id": "f"}))
    {'f': ('p', 'rejected')}
    """
    taken: dict[str, tuple[str, str]] = {}
    for row in known.to_dict("records"):
        if row["state"] != "closed":
            names = _parse_terms(row.get("expected")).get("finding_ids") or [row["finding_id"]]
            taken |= dict.fromkeys(names, (row["proposal_id"], row["state"]))
    return taken


def estimated_effort(cause: str) -> float:
    """Return the rough effort of the change that fits a cause, in person-days.

    Examples
    --------
    >>> estimated_effort("threshold"), estimated_effort("never heard of")
    (1.0, 2.0)
    """
    return CHANGES.get(cause, CHANGES["unknown"]).effort


def new_proposals(proposed: Iterable[ProposedChange], known: pd.DataFrame) -> pd.DataFrame:
    """Return the proposals that are not in the ledger yet, as rows for it.

    A finding behind an existing proposal is not proposed again, even if that proposal was
    rejected; a closed proposal releases its findings. A brief proposes its remaining findings.

    Parameters
    ----------
    proposed
        Briefs.
    known
        The ledger's proposals: proposal_id, state, finding_id, expected; may be empty.

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
    taken, ids = findings_in_use(known), set(known["proposal_id"]) if len(known) else set()
    rows = []
    for brief in proposed:
        open_ = [at for at, name in enumerate(brief.finding_ids) if name not in taken]
        if not open_:
            continue
        names = [brief.finding_ids[at] for at in open_]
        until, change = brief.evidence_until, brief.expected
        terms = {
            "finding_ids": names,
            "parts": [dict(brief.parts[at]) for at in open_],
            "rate_change": None if change != change else round(change, 6),
            "evidence_until": None if until is None else until.isoformat(),
        }
        name = _unused_id(proposal_id(brief.policy_id, brief.kind, names[0]), ids)
        ids.add(name)
        rows.append(
            {
                "proposal_id": name,
                "policy_id": brief.policy_id,
                "kind": brief.kind,
                "title": clean_text(brief.title, limit=300),
                "rule": clean_text(brief.rule, limit=1000),
                "change": brief.change,
                "owner": brief.owner,
                "expected": json.dumps(to_json_value(terms), ensure_ascii=False, sort_keys=True),
                "finding_id": names[0],
            }
        )
    return pd.DataFrame(rows, columns=_COLUMNS)


def _unused_id(name: str, ids: set[str]) -> str:
    """Append a number to a name that an earlier, closed proposal already has."""
    number, free = 2, name
    while free in ids:
        free, number = f"{name}-{number}", number + 1
    return free


_COLUMNS = [
    "proposal_id", "policy_id", "kind", "title", "rule", "change", "owner", "expected", "finding_id",
]  # fmt: skip


def proposals_in_effect(
    proposals: pd.DataFrame, history: pd.DataFrame, *, as_of: pd.Timestamp
) -> pd.DataFrame:
    """Turn the ledger's proposals into the input that `measure_effects` needs.

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
    >>> proposals_in_effect(one, pd.DataFrame(), as_of=now)[["expected", "look"]].values.tolist()
    [[-0.1, 2.0]]
    """
    accepted = proposals[proposals["effective_from"].notna()].reset_index(drop=True)
    terms = [_parse_terms(text) for text in accepted["expected"]]
    closed: dict[str, Any] = {}
    if len(history):
        ends = history[(history["to"] == "closed") & (history["from"] == "accepted")]
        closed = dict(zip(ends["id"], ends["at"], strict=True))
    since = pd.to_datetime(accepted["effective_from"], utc=True)
    days = (as_of - since).dt.days
    return accepted[["proposal_id", "policy_id", "state"]].assign(
        effective_from=since,
        parts=pd.Series([one.get("parts") or None for one in terms], dtype="object"),
        expected=pd.Series([one.get("rate_change") for one in terms], dtype="float64"),
        evidence_until=_parse_times(one.get("evidence_until") for one in terms),
        closed_at=_parse_times(closed.get(key) for key in accepted["proposal_id"]),
        look=(days.clip(lower=0) // 30 + 1).astype("int64"),
    )


def _parse_times(values: Iterable[Any]) -> pd.Series:
    return pd.to_datetime(pd.Series(list(values), dtype="object"), utc=True)


def _parse_terms(text: object) -> dict[str, Any]:
    found = json.loads(text) if isinstance(text, str) and text else {}
    return found if isinstance(found, dict) else {}
