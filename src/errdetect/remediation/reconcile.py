"""Reconcile a new plan with recorded remediations: what is done already, and what to withdraw."""

from typing import Any

import numpy as np
import pandas as pd

from errdetect.config_schema import WhitelistSettings
from errdetect.labels.review_history import COUNTS
from errdetect.remediation.plan_schema import (
    APPLIED,
    RELABEL,
    REVERSE,
    REVOKE_PENALTY,
    WHITELIST,
    WITHDRAWN,
    plan_table,
)
from errdetect.remediation.whitelist import account_rates
from errdetect.schemas import CORRECT, ERROR, UPHELD, WRONG_LABEL
from errdetect.snapshot import Snapshot

__all__ = ["reconcile_plan"]


def reconcile_plan(
    plan: pd.DataFrame,
    recorded: pd.DataFrame,
    snapshot: Snapshot,
    rule: WhitelistSettings,
) -> pd.DataFrame:
    """Mark steps that were applied before, and add applied steps to withdraw.

    A step is withdrawn where later verdicts contradict it: the decision's label is no longer an
    error of that kind, reviewers name another policy as correct, or an account's wrongful rate has
    fallen below the threshold. A whitelist is also withdrawn when it has expired. A step on a
    decision that is not among `decisions`, or that no verdict contradicts, stays.

    Parameters
    ----------
    plan
        The plan from the current reviews, as `plan_table`.
    recorded
        Remediations recorded before, as `schemas.PLAN`.
    snapshot, rule
        What the plan was made from.

    Returns
    -------
    pandas.DataFrame
        As `plan_table`; the `reason` of a row with status `withdrawn` explains it.

    Examples
    --------
    >>> from errdetect.remediation.remediation_plan import direct_remedies
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-03"], utc=True)
    >>> decisions = pd.DataFrame({"decision_id": ["d1"], "decided_at": day[:1],
    ...                           "policy_id": "spam", "enforced": True})
    >>> reviews = pd.DataFrame({
    ...     "review_id": ["r1"], "decision_id": ["d1"], "reviewed_at": day[1:],
    ...     "source": "audit", "verdict": "overturned", "reviewer_id": "ann"})
    >>> snapshot = Snapshot(decisions, reviews)
    >>> plan = direct_remedies(snapshot)
    >>> done = plan.assign(status="applied")
    >>> reconcile_plan(plan, done, snapshot, WhitelistSettings())["status"].tolist()
    ['applied']
    """
    applied = recorded[(recorded["status"] == APPLIED).to_numpy(bool)]
    back = pd.concat(
        [
            _contradicted_rows(applied, snapshot),
            _changed_relabels(applied, plan),
            _lapsed_exceptions(
                applied[(applied["kind"] == WHITELIST).to_numpy(bool)],
                account_rates(snapshot, rule),
                rule.min_wrongful_rate,
                snapshot.moment,
            ),
        ],
        ignore_index=True,
    ).assign(status=WITHDRAWN)
    kept = plan[~plan["remediation_id"].isin(back["remediation_id"]).to_numpy(bool)]
    done = kept["remediation_id"].isin(applied["remediation_id"]).to_numpy(bool)
    kept = kept.assign(status=np.where(done, APPLIED, kept["status"]))
    return plan_table(pd.concat([kept, back], ignore_index=True))


def _contradicted_rows(applied: pd.DataFrame, snapshot: Snapshot) -> pd.DataFrame:
    """Return the steps on decisions whose reviews now contradict them, with the reason."""
    rows = applied[applied["kind"].isin([REVERSE, REVOKE_PENALTY, RELABEL]).to_numpy(bool)]
    at = pd.Index(snapshot.decisions["decision_id"]).get_indexer(pd.Index(rows["decision_id"]))
    rows, at = rows[at >= 0], at[at >= 0]
    now = snapshot.labels.iloc[at]
    error = (now["label"] == ERROR).to_numpy(bool)
    relabelled = (now["error_kind"] == WRONG_LABEL).to_numpy(bool)
    was_relabel = (rows["kind"] == RELABEL).to_numpy(bool)
    reviewed = (now["n_reviews"] > 0).to_numpy(bool)
    moved = np.where(error, relabelled != was_relabel, reviewed)
    against = _latest_review_text(snapshot.review_history, at[moved])
    back: pd.DataFrame = rows[moved]
    reasons = [
        f"{_withdrawal_reason(kind, label)}{against.get(place, '')}"
        for kind, label, place in zip(back["kind"], now["label"][moved], at[moved], strict=True)
    ]
    return back.assign(reason=pd.Series(reasons, index=back.index, dtype=object))


def _changed_relabels(applied: pd.DataFrame, plan: pd.DataFrame) -> pd.DataFrame:
    """Return the relabels whose correct policy reviewers have changed since, with the reason."""
    rows = applied[(applied["kind"] == RELABEL).to_numpy(bool)]
    now = plan.set_index("remediation_id")["correct_policy_id"]
    rows = rows[rows["remediation_id"].isin(now.index).to_numpy(bool)]
    named = now.reindex(rows["remediation_id"]).fillna("").to_numpy(object)
    back: pd.DataFrame = rows[named != rows["correct_policy_id"].fillna("").to_numpy(object)]
    return back.assign(reason="Reviews now name another policy, or disagree on it.")


def _withdrawal_reason(kind: Any, label: Any) -> str:
    if label == CORRECT:
        return "Reviews now find the decision correct."
    if label == ERROR and kind == RELABEL:
        return "Reviews now find the action itself wrong, not only the policy."
    if label == ERROR:
        return "Reviews now find the action correct, under another policy."
    return "Reviews now disagree, and no expert has settled it."


def _latest_review_text(history: pd.DataFrame, at: Any) -> dict[Any, str]:
    """Cite the newest counting review that upholds each of these decisions, or else the newest."""
    counting = history[
        (history["standing"] == COUNTS).to_numpy(bool) & history["position"].isin(at).to_numpy(bool)
    ]
    ordered = counting.assign(upholds=counting["verdict"] == UPHELD).sort_values(
        ["position", "upholds", "known_at", "review_id"], kind="stable"
    )
    last = ordered.drop_duplicates("position", keep="last")
    return {
        row["position"]: f" See review {row['review_id']} ({row['source']}, {row['verdict']}, "
        f"{row['known_at']:%Y-%m-%d})."
        for row in last.to_dict("records")
    }


def _lapsed_exceptions(
    whitelists: pd.DataFrame, rates: pd.DataFrame, bar: float, now: pd.Timestamp
) -> pd.DataFrame:
    """Return the exceptions that have expired or no longer qualify, with the reason."""
    about = ["account_id", "policy_id"]
    current = rates[[*about, "low", "n"]].astype(dict.fromkeys(about, "str"))
    found = whitelists.astype(dict.fromkeys(about, "str")).merge(current, on=about, how="left")
    expired = (found["expires_at"] <= now).to_numpy(bool)
    low = found["low"].to_numpy(np.float64)
    fallen = ~expired & (low < bar)
    reasons = np.where(
        expired,
        "It has expired.",
        [
            f"Of {n:.0f} reviewed enforcements, too few are wrong now: the lower limit is {value:.0%}."
            for n, value in zip(found["n"], low, strict=True)
        ],
    )
    back: pd.DataFrame = found.assign(reason=reasons)[expired | fallen]
    return back.drop(columns=["low", "n"])
