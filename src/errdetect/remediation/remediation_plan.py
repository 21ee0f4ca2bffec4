"""From reviews to a plan: actions to reverse, penalties to revoke, labels to correct."""

from typing import Any

import numpy as np
import pandas as pd

from errdetect.config_schema import RemediationSettings, WhitelistSettings
from errdetect.labels.review_history import COUNTS
from errdetect.remediation.confirmed_errors import (
    APPLIED,
    PLANNED,
    RELABEL,
    REVERSE,
    REVIEW,
    REVOKE_PENALTY,
    WHITELIST,
    WITHDRAWN,
    confirmed_errors,
    plan_table,
    superseding_decision,
)
from errdetect.remediation.look_alikes import look_alikes
from errdetect.remediation.whitelist import account_rates, whitelist_candidates
from errdetect.schemas import CORRECT, ERROR, UPHELD, WRONG_LABEL, WRONGFUL_ACTION
from errdetect.snapshot import Snapshot

__all__ = [
    "direct_remedies",
    "plan_remediation",
    "reconcile_plan",
]


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


def plan_remediation(
    snapshot: Snapshot, settings: RemediationSettings, *, recorded: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Plan all that follows from reviews: remedies, whitelists, look-alikes, and what to revoke.

    Parameters
    ----------
    snapshot
        Decisions with `policy_id` and `enforced`, and their reviews; `account_id`, `item_id`, `text`,
        `moderator`, `moderator_version` and columns that end in `hash` allow further steps.
    settings
        The config's section `remediation`.
    recorded
        Remediations recorded before, as `plan_table`: those applied keep that status, and those
        that reviews no longer support become `withdrawn`.

    Returns
    -------
    pandas.DataFrame
        As `plan_table`; the order of decisions and reviews does not matter.

    Examples
    --------
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-03", "2026-01-05"], utc=True)
    >>> decisions = pd.DataFrame({
    ...     "decision_id": ["d1"], "decided_at": day[:1], "policy_id": "spam", "account_id": "a",
    ...     "enforced": True})
    >>> reviews = pd.DataFrame({
    ...     "review_id": ["r1", "r2"], "decision_id": "d1", "reviewed_at": day[1:],
    ...     "source": ["audit", "adjudication"], "verdict": ["overturned", "upheld"],
    ...     "reviewer_id": ["ann", "eve"]})
    >>> plan = plan_remediation(Snapshot(decisions, reviews.iloc[:1]), RemediationSettings())
    >>> plan[["kind", "decision_id", "status"]].values.tolist()
    [['reverse', 'd1', 'planned'], ['revoke_penalty', 'd1', 'planned']]
    >>> done = plan.assign(status="applied")
    >>> plan = plan_remediation(Snapshot(decisions, reviews), RemediationSettings(), recorded=done)
    >>> plan[["kind", "status"]].values.tolist()
    [['reverse', 'withdrawn'], ['revoke_penalty', 'withdrawn']]
    """
    certain = settings.min_p_error
    parts = [
        direct_remedies(snapshot, min_p_error=certain),
        whitelist_candidates(snapshot, settings.whitelist),
        look_alikes(snapshot, settings.look_alikes, min_p_error=certain),
    ]
    plan = plan_table(pd.concat(parts, ignore_index=True))
    if recorded is None or not len(recorded):
        return plan
    return reconcile_plan(plan, recorded, snapshot, settings.whitelist)


def direct_remedies(snapshot: Snapshot, *, min_p_error: float = 0.5) -> pd.DataFrame:
    """Plan the direct remedies: actions to reverse, penalties to revoke, labels to correct.

    Parameters
    ----------
    snapshot
        See `plan_remediation`.
    min_p_error
        See `confirmed_errors`.

    Returns
    -------
    pandas.DataFrame
        As `plan_table`. A reversal for every error of action; a revoked penalty where the action
        enforced and the account is known; a relabel for every wrong label, with the correct policy
        where reviewers named one. Status `review` where the error is not settled, where a later
        decision on the same item and policy replaced it, or where no reviewer named the correct
        policy; else `planned`.

    Examples
    --------
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-03"], utc=True)
    >>> decisions = pd.DataFrame({
    ...     "decision_id": ["d1", "d2"], "decided_at": day[0], "policy_id": "scam",
    ...     "enforced": [False, True]})
    >>> reviews = pd.DataFrame({
    ...     "review_id": ["r1", "r2"], "decision_id": ["d1", "d2"], "reviewed_at": day[1],
    ...     "source": "audit", "verdict": ["overturned", "relabelled"], "reviewer_id": "ann",
    ...     "correct_policy_id": [None, "spam"]})
    >>> plan = direct_remedies(Snapshot(decisions, reviews))
    >>> plan[["kind", "decision_id", "correct_policy_id", "status"]].values.tolist()
    [['reverse', 'd1', nan, 'planned'], ['relabel', 'd2', 'spam', 'planned']]
    """
    errors = confirmed_errors(snapshot, min_p_error=min_p_error)
    at = errors["position"].to_numpy(int)
    right = snapshot.correct_policies.to_numpy(object)[at]
    later = superseding_decision(snapshot.decisions).to_numpy(object)[at]
    settled = errors["settled"].to_numpy(bool)
    wrong_label = (errors["error_kind"] == WRONG_LABEL).to_numpy(bool)
    wrongful = (errors["error_kind"] == WRONGFUL_ACTION).to_numpy(bool)
    evidence = [_evidence_text(row) for row in errors.to_dict("records")]
    base = errors.assign(
        evidence=pd.Series(evidence, index=errors.index, dtype=object),
        correct_policy_id=pd.Series(right, index=errors.index, dtype="str").where(wrong_label),
        status=np.where(settled, PLANNED, REVIEW),
    )
    reverse = _flag_superseded(base[~wrong_label], later[~wrong_label])
    undo = np.where(wrongful[~wrong_label], _UNDO, _ENFORCE)
    penal = base[wrongful & errors["account_id"].notna().to_numpy(bool)]
    relabel = base[wrong_label]
    named = relabel["correct_policy_id"].notna().to_numpy(bool)
    rows = [
        reverse.assign(kind=REVERSE, reason=undo),
        penal.assign(kind=REVOKE_PENALTY, reason=_PENALTY),
        relabel.assign(
            kind=RELABEL,
            reason=np.where(named, _RELABEL, _UNNAMED),
            status=np.where(named, relabel["status"], REVIEW),
        ),
    ]
    return plan_table(pd.concat(rows, ignore_index=True))


_UNDO = "The action was wrong: reverse it and restore the item."
_ENFORCE = "The item violates the policy and was allowed: act on it."
_PENALTY = "The action was wrong: revoke its penalty and restore what the account lost."
_RELABEL = "The action is correct, but under another policy: record that policy."
_UNNAMED = (
    "The action is correct, but not under this policy, and no reviewer named another: ask which."
)


def _flag_superseded(rows: pd.DataFrame, later: Any) -> pd.DataFrame:
    """Send steps that a later decision on the same item has superseded to review."""
    gone = pd.notna(later)
    evidence = [
        f"{text} A later decision on the same item and policy replaced it: {new}."
        if replaced
        else text
        for text, new, replaced in zip(rows["evidence"], later, gone, strict=True)
    ]
    return rows.assign(
        evidence=pd.Series(evidence, index=rows.index, dtype=object),
        status=np.where(gone, REVIEW, rows["status"]),
    )


def _evidence_text(row: dict[Any, Any]) -> str:
    """Return who settled an error, when, and the count of verdicts."""
    day = f"{row['last_at']:%Y-%m-%d}"
    votes = f"{row['n_for']} of {row['n_for'] + row['n_against']} counting reviews flag it"
    if not row["settled"]:
        return (
            f"Not settled: {votes}, the last on {day}, and P(error) is only {row['p_label']:.2f}, "
            "since these reviewers often flag correct decisions. Ask an expert."
        )
    return f"Settled by {row['by']} on {day}: {votes}; P(error) {row['p_label']:.2f}."
