"""Rows of the findings table: volume, harm that a remedy would save, cause, accounts."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from errdetect.data.policy_catalogue import Policy
from errdetect.findings.account_clusters import AccountCluster
from errdetect.findings.audit_evidence import KINDS, AuditEvidence, DecisionLog
from errdetect.findings.conditions import Condition, rule_text
from errdetect.findings.error_slices import Slice
from errdetect.findings.rate_tests import Rate
from errdetect.findings.root_causes import UNKNOWN_CAUSE, Cause
from errdetect.findings.thresholds import ThresholdChange
from errdetect.schemas import MISSED_VIOLATION, WRONGFUL_ACTION
from errdetect.stats.intervals import rate_difference

__all__ = ["PERIOD_DAYS", "account_row", "error_harm", "finding_id", "slice_row", "threshold_row"]

Ints = npt.NDArray[np.int64]

#: Days that harm is stated for.
PERIOD_DAYS = 30.0


def finding_id(policy_id: str, conditions: Sequence[Mapping[str, Any]], kind: str) -> str:
    """Return a finding's id, made from its scope, so that it is the same in every report.

    Examples
    --------
    >>> finding_id("spam", [{"column": "market", "op": "==", "value": "DE"}], "any")
    'F-509a857ee4'
    """
    payload = json.dumps([policy_id, list(conditions), kind], sort_keys=True, ensure_ascii=True)
    return f"F-{hashlib.sha256(payload.encode()).hexdigest()[:10]}"


def error_harm(policies: Mapping[str, Policy], policy_id: str, kind: str) -> float:
    """Return the harm of one error; 1 for a policy that is not in the catalogue."""
    return policies[policy_id].harm(kind) if policy_id in policies else 1.0


def _condition_texts(conditions: Sequence[Condition]) -> list[dict[str, str]]:
    """Return conditions as the tables hold them, with values as text."""
    return [{"column": c.column, "op": c.op, "value": str(c.value)} for c in conditions]


def slice_row(
    log: DecisionLog,
    judged: AuditEvidence,
    found: Slice,
    rows: Ints,
    policies: Mapping[str, Policy],
    cause: Cause | None,
) -> dict[str, Any]:
    """Write a slice as a row.

    Parameters
    ----------
    log, judged, policies
        The data that it was found in.
    found
        The slice.
    rows
        The log's rows in the slice.
    cause
        Its cause; None where the slice was not confirmed.
    """
    policy_id, kind = log.policy_ids[found.policy], KINDS[found.kind]
    harm = _mean_harm(judged, found, policies, policy_id)
    conditions = _condition_texts(found.rule)
    return {
        "finding_id": finding_id(policy_id, conditions, kind),
        "policy_id": policy_id,
        "kind": "slice",
        "rule": rule_text(found.rule),
        "conditions": conditions,
        "error_kind": kind,
        **_rate_columns(log, rows, found.inside, found.outside, found.base, harm),
        "q_value": found.q_value,
        "confirmed": found.confirmed,
        **_cause_columns(cause),
        "account_ids": [],
    }


def _mean_harm(
    judged: AuditEvidence, found: Slice, policies: Mapping[str, Policy], policy_id: str
) -> float:
    """Return the mean harm of an error in the slice, by the mix of kinds seen there."""
    harms = np.array([error_harm(policies, policy_id, k) for k in KINDS[1:]])
    if found.kind:
        return float(harms[found.kind - 1])
    seen = judged.weight[found.rows] @ judged.errors[found.rows, 1:]
    return float(seen @ harms / seen.sum()) if seen.sum() > 0 else float(harms.mean())


def _rate_columns(
    log: DecisionLog, rows: Ints, inside: Rate, outside: Rate, base: Rate, harm: float
) -> dict[str, Any]:
    """Return volume, rates, and the harm saved if the rate fell to the rest's."""
    scale = len(rows) * harm * PERIOD_DAYS / log.days
    gap, low, high = rate_difference(inside, outside)
    return {
        "n": len(rows),
        "n_reviews": inside.n_reviews,
        "n_accounts": _n_accounts(log, rows),
        "error_rate": inside.estimate,
        "low": inside.low,
        "high": inside.high,
        "base_rate": base.estimate,
        "harm_saved": gap * scale,
        "harm_saved_low": low * scale,
        "harm_saved_high": high * scale,
    }


def _n_accounts(log: DecisionLog, rows: Ints) -> int:
    who = log.account[rows]
    return len(np.unique(who[who >= 0]))


def _cause_columns(cause: Cause | None) -> dict[str, Any]:
    if cause is None:
        words = "Not confirmed, so no cause was analysed."
        return {
            "cause": UNKNOWN_CAUSE,
            "cause_text": words,
            "runner_up": None,
            "confidence": "open",
        }
    return {
        "cause": cause.cause,
        "cause_text": cause.words,
        "runner_up": cause.runner_up,
        "confidence": cause.sure,
    }


def account_row(
    log: DecisionLog,
    found: AccountCluster,
    rows: Ints,
    policies: Mapping[str, Policy],
) -> dict[str, Any]:
    """Write a cluster of wronged accounts as a row; `rows` are their rows of the log."""
    policy_id = log.policy_ids[found.policy]
    ids = [log.account_ids[i] for i in found.accounts.tolist()]
    kind = WRONGFUL_ACTION
    words = (
        f"Most reviewed enforcements of {len(ids)} accounts were wrongful in the earlier part; later "
        f"{found.inside.estimate:.1%} of their decisions were wrongful actions, against "
        f"{found.outside.estimate:.1%} for other accounts."
    )
    about = Cause("account_cluster", words, None, "clear", ())
    return {
        "finding_id": finding_id(policy_id, [], "accounts"),
        "policy_id": policy_id,
        "kind": "accounts",
        "rule": f"{len(ids)} accounts with mostly wrongful actions before",
        "conditions": [],
        "error_kind": kind,
        **_rate_columns(
            log,
            rows,
            found.inside,
            found.outside,
            found.base,
            error_harm(policies, policy_id, kind),
        ),
        "q_value": found.q_value,
        "confirmed": found.confirmed,
        **_cause_columns(about if found.confirmed else None),
        "account_ids": ids,
    }


def threshold_row(
    log: DecisionLog, move: ThresholdChange, figures: Mapping[str, Any], n: int
) -> dict[str, Any]:
    """Write a tested threshold as a row; `figures` is the what-if's current row, n its decisions."""
    conditions = [Condition("moderator", "==", move.moderator)] if move.moderator else []
    if move.market is not None:
        conditions.append(Condition("market", "==", move.market))
    measure = "wrongful" if move.rises else "missed"
    scale = PERIOD_DAYS / log.days
    change = f"threshold from {move.current:.2f} to {move.recommended:.2f}"
    where = rule_text(conditions)
    texts = _condition_texts(conditions)
    words = (
        f"Moving the threshold would change {move.n_turned:,} decisions; later reviews show "
        f"{move.saved * scale:,.0f} less harm in {PERIOD_DAYS:.0f} days "
        f"({move.low * scale:,.0f} to {move.high * scale:,.0f})."
    )
    return {
        "finding_id": finding_id(move.policy_id, texts, "threshold"),
        "policy_id": move.policy_id,
        "kind": "threshold",
        "rule": f"{where}: {change}" if where else change,
        "conditions": texts,
        "error_kind": WRONGFUL_ACTION if move.rises else MISSED_VIOLATION,
        "n": move.n_turned,
        "n_reviews": move.n_reviews,
        "n_accounts": _n_accounts(log, move.turned),
        "error_rate": figures[measure] / n,
        "low": figures[f"{measure}_low"] / n,
        "high": figures[f"{measure}_high"] / n,
        "base_rate": figures[f"{measure}_then"] / n,
        "harm_saved": move.saved * scale,
        "harm_saved_low": move.low * scale,
        "harm_saved_high": move.high * scale,
        "q_value": move.q_value,
        "confirmed": move.confirmed,
        **_cause_columns(Cause("threshold", words, None, "clear", ()) if move.confirmed else None),
        "account_ids": [],
    }
