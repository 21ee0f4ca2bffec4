"""Findings: where a policy errs, why, and what it costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from errdetect.data.policy_catalogue import Policy
from errdetect.findings.account_clusters import find_account_clusters
from errdetect.findings.audit_evidence import (
    AuditEvidence,
    DecisionLog,
    read_audit_evidence,
    read_decision_log,
)
from errdetect.findings.conditions import rule_mask
from errdetect.findings.error_slices import AssistingModel, Slice, find_slices, rows_by_code
from errdetect.findings.finding_rows import account_row, error_harm, slice_row, threshold_row
from errdetect.findings.root_causes import (
    AnswerComparisons,
    Cause,
    SliceContext,
    compare_answers,
    name_cause,
)
from errdetect.findings.thresholds import evaluate_thresholds
from errdetect.schemas import (
    FINDINGS,
    MISSED_VIOLATION,
    SLICES,
    THRESHOLDS,
    WRONGFUL_ACTION,
)
from errdetect.snapshot import Snapshot

__all__ = ["Findings", "find_findings", "no_findings"]

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Findings:
    """What was found, as tables.

    Parameters
    ----------
    slices, thresholds, findings
        As `schemas.SLICES`, `THRESHOLDS`, `FINDINGS`; findings and slices with the
        confirmed first, by the harm that a remedy would save. Harm of findings is in the
        catalogue's unit for 30 days, that of thresholds for the log's period.
    notes
        What could not be estimated, in sentences.
    searched
        False where there was nothing to search; the single note gives the reason.
    """

    slices: pd.DataFrame
    thresholds: pd.DataFrame
    findings: pd.DataFrame
    notes: tuple[str, ...]
    searched: bool = True


def no_findings(note: str) -> Findings:
    """Return empty tables, with the reason.

    Examples
    --------
    >>> no_findings("There are no reviews.").findings.columns[:3].tolist()
    ['finding_id', 'policy_id', 'kind']
    """
    slices, thresholds, found = (
        _sorted_frame([], schema) for schema in (SLICES, THRESHOLDS, FINDINGS)
    )
    return Findings(slices, thresholds, found, (note,), searched=False)


def find_findings(
    snapshot: Snapshot,
    *,
    rng: np.random.Generator,
    leave_out: Sequence[str] = (),
    level: float = 0.05,
    p_error: npt.NDArray[np.float64] | None = None,
    minimum: int = 1,
) -> Findings:
    """Find where policies err more than elsewhere, name the causes, and try other thresholds.

    Parameters
    ----------
    snapshot
        Automated decisions, their reviews (rates use the audit only), and the catalogue; a policy
        that is not in it has harm 1 per error.
    rng
        Draws the decisions that known errors are compared with.
    leave_out
        Columns that no rule may use.
    level
        False discovery rate among the confirmed.
    p_error
        Cross-fitted P(error) of each decision, shape (n,): assists the confirmation of slices.
    minimum
        Reviewed decisions that the thresholds' figures, and the differences between them, must rest on.

    Returns
    -------
    Findings

    Raises
    ------
    DataError, Refusal
        Where the reviews cannot be used.

    Examples
    --------
    >>> day = pd.to_datetime(["2026-01-01"], utc=True)
    >>> decisions = pd.DataFrame({"decision_id": ["d"], "decided_at": day, "policy_id": "spam",
    ...                           "enforced": True})
    >>> found = find_findings(Snapshot(decisions), rng=np.random.default_rng(0))
    >>> found.notes
    ('No decision was audited by a designed sample, so no rate can be compared.',)
    """
    decisions, policies = snapshot.decisions, snapshot.policies
    log = read_decision_log(snapshot)
    judged = read_audit_evidence(snapshot, log.policy, log.early)
    if not len(judged):
        note = "No decision was audited by a designed sample, so no rate can be compared."
        return no_findings(note)
    votes = compare_answers(snapshot)
    tested = find_slices(
        decisions, judged, log.policy, log.known,
        rng=rng, leave_out=leave_out, level=level,
        assist=_assisting_model(log, p_error),
    )  # fmt: skip
    rows = _slice_rows(log, judged, tested, votes, policies)
    slices = _sorted_frame(rows, SLICES)
    rows += _account_rows(log, judged, policies, level)
    moved, thresholds, left_out = _threshold_rows(log, judged, policies, level, minimum)
    rows += moved
    notes = _limitation_notes(
        log, judged, left_out, has_bars={"score", "threshold"} <= set(decisions.columns)
    )
    return Findings(slices, thresholds, _sorted_frame(rows, FINDINGS), notes)


def _assisting_model(
    log: DecisionLog, p_error: npt.NDArray[np.float64] | None
) -> AssistingModel | None:
    """Gather the control variate of the confirmation; None without P(error)."""
    if p_error is None:
        return None
    kind = np.where(log.decisions["enforced"].to_numpy(dtype=bool), 1, 2)
    return AssistingModel(p_error, kind, log.early)


def _slice_rows(
    log: DecisionLog,
    judged: AuditEvidence,
    tested: list[Slice],
    votes: AnswerComparisons,
    policies: Mapping[str, Policy],
) -> list[dict[str, Any]]:
    """Write the slices as rows, the confirmed ones with their cause."""
    of_policy = rows_by_code(log.policy, len(log.policy_ids))
    audited = rows_by_code(judged.policy, len(log.policy_ids))
    out = []
    for found in tested:
        where = of_policy[found.policy]
        columns = sorted({c.column for c in found.rule})
        rows = where[rule_mask(log.decisions[columns].iloc[where], found.rule)]
        cause = None
        if found.confirmed:
            own = audited[found.policy]
            inside = np.isin(own, found.rows)
            cause = _slice_cause(log, judged.select_rows(own), inside, found, rows, votes, policies)
        out.append(slice_row(log, judged, found, rows, policies, cause))
    return out


def _slice_cause(
    log: DecisionLog,
    own: AuditEvidence,
    inside: npt.NDArray[np.bool_],
    found: Slice,
    rows: Ints,
    votes: AnswerComparisons,
    policies: Mapping[str, Policy],
) -> Cause:
    policy = policies.get(log.policy_ids[found.policy])
    since = policy.effective_from if policy else None
    wrong = log.known[rows] > 0 if found.kind == 0 else log.known[rows] == found.kind
    return name_cause(
        SliceContext(
            rule=found.rule,
            kind=found.kind,
            frame=log.decisions.iloc[own.position],
            judged=own,
            inside=inside,
            known=rows[wrong],
            known_early=log.early[rows[wrong]],
            account=log.account,
            votes=votes,
            rows=rows,
            effective_from=None if since is None else pd.Timestamp(since, tz="UTC"),
        )
    )


def _account_rows(
    log: DecisionLog, judged: AuditEvidence, policies: Mapping[str, Policy], level: float
) -> list[dict[str, Any]]:
    groups = find_account_clusters(
        log.account, log.policy, log.known, log.right, log.early, judged, level=level
    )
    of_policy = rows_by_code(log.policy, len(log.policy_ids))
    out = []
    for group in groups:
        where = of_policy[group.policy]
        rows = where[np.isin(log.account[where], group.accounts)]
        out.append(account_row(log, group, rows, policies))
    return out


def _threshold_rows(
    log: DecisionLog,
    judged: AuditEvidence,
    policies: Mapping[str, Policy],
    level: float,
    minimum: int,
) -> tuple[list[dict[str, Any]], pd.DataFrame, int]:
    """Try other thresholds; write those that were tested as rows."""
    harms = {
        p: (error_harm(policies, p, WRONGFUL_ACTION), error_harm(policies, p, MISSED_VIOLATION))
        for p in log.policy_ids
    }
    table, moves, left_out = evaluate_thresholds(
        log.decisions, judged, harms.__getitem__, level=level, minimum=minimum
    )
    out = []
    for move in moves:
        own = table[(table["policy_id"] == move.policy_id) & (table["moderator"] == move.moderator)]
        own = own[own["market"].isna() if move.market is None else own["market"] == move.market]
        now = own[own["current"]].iloc[0].to_dict()
        then = own[own["threshold"] == move.recommended].iloc[0]
        now |= {f"{m}_then": then[m] for m in ("wrongful", "missed")}
        out.append(threshold_row(log, move, {str(k): v for k, v in now.items()}, move.n))
    return out, table, left_out


def _sorted_frame(rows: list[dict[str, Any]], schema: pa.Schema) -> pd.DataFrame:
    """Return the rows in a schema's columns: the confirmed first, then by harm saved, then by id."""
    frame = pd.DataFrame(rows, columns=schema.names)
    if not rows:
        return frame
    keys = ["confirmed", "harm_saved", "finding_id"]
    return frame.sort_values(keys, ascending=[False, False, True], ignore_index=True)


def _limitation_notes(
    log: DecisionLog, judged: AuditEvidence, left_out: int, *, has_bars: bool
) -> tuple[str, ...]:
    """Return notes on what could not be estimated."""
    n = np.bincount(judged.policy, minlength=len(log.policy_ids))
    errors = np.bincount(judged.policy, judged.errors[:, 0], minlength=len(log.policy_ids))
    notes = []
    for count, one, many, words in (
        (int((n == 0).sum()), "was", "were", "never audited: no rate can be estimated for it"),
        (
            int(((n > 0) & (errors == 0)).sum()),
            "had",
            "had",
            "no error in the audit: there is nothing to find",
        ),
        (
            int(((n > 0) & (errors == n)).sum()),
            "had",
            "had",
            "only errors in the audit: there is nothing to compare with",
        ),
    ):
        if count:
            reason = words if count == 1 else words.replace("for it", "for them")
            verb = one if count == 1 else many
            notes.append(f"{count:,} of {len(n):,} policies {verb} {reason}.")
    if not has_bars:
        notes.append("The log has no score and threshold, so other thresholds cannot be tried.")
    elif left_out:
        notes.append(
            f"{left_out:,} pairs of policy and moderator have too few reviewed decisions or errors "
            "to try other thresholds."
        )
    return tuple(notes)
