"""Improvement plans for missed targets: which findings to fix, in which order, with what effect."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from errdetect.changes.proposals import CHANGES, estimated_effort
from errdetect.changes.quality_targets import AT_LEAST
from errdetect.findings.conditions import finding_mask
from errdetect.schemas import MISSED_VIOLATION, WRONGFUL_ACTION

__all__ = ["improvement_plan"]

#: Measure -> the kind of error that counts against it (None: any), and the decisions it covers.
_COUNTS: Mapping[str, tuple[str | None, bool | None]] = {
    "error_rate": (None, None),
    "accuracy": (None, None),
    "wrongful_rate": (WRONGFUL_ACTION, True),
    "precision": (WRONGFUL_ACTION, True),
    "missed_rate": (MISSED_VIOLATION, False),
}


def improvement_plan(
    targets: pd.DataFrame, findings: pd.DataFrame, decisions: pd.DataFrame
) -> pd.DataFrame:
    """Order the findings of each missed target by effect per effort.

    A finding contributes the errors of its slice beyond its policy's average rate. Overlaps of
    slices count once, for the one fixed first.

    Parameters
    ----------
    targets
        From `check_targets`; rows that are not `missed` are left out, and so is `recall`.
    findings
        finding_id, policy_id, rule, error_kind, error_rate, low, high, base_rate (shares of the
        slice's decisions, enforced or not), confirmed; optionally conditions, account_ids, cause.
    decisions
        The decisions that both were made from, with `enforced`.

    Returns
    -------
    DataFrame
        The targets' cell columns, measure, limit, step (1 first), finding_id, rule, cause, change,
        effort (person-days, rough), brings, brings_low, brings_high (points of the measure, as a
        share), left, left_low, left_high (the measure after this step and those before it; below
        0.0 or above 1.0 never), reaches (`yes`: also if each brings its least and the rate is its
        worst; `likely`: at the middle of both; `no`). A missed target without a finding has one
        row of step 0, without finding.

    Examples
    --------
    >>> targets = pd.DataFrame({"policy_id": ["spam"], "measure": "error_rate", "limit": 0.1,
    ...     "estimate": 0.15, "low": 0.13, "high": 0.17, "status": "missed"})
    >>> findings = pd.DataFrame({"finding_id": ["f"], "policy_id": "spam", "rule": "market is DE",
    ...     "error_kind": "wrongful_action", "error_rate": 0.3, "low": 0.25, "high": 0.35,
    ...     "base_rate": 0.1, "confirmed": True, "cause": "threshold",
    ...     "conditions": [[{"column": "market", "op": "==", "value": "DE"}]]})
    >>> decisions = pd.DataFrame({"policy_id": "spam", "market": ["DE", "FR"] * 50, "enforced": True})
    >>> plan = improvement_plan(targets, findings, decisions)
    >>> plan[["brings", "left", "reaches"]].round(3).values.tolist()
    [[0.1, 0.05, 'yes']]
    """
    at = list(targets.columns).index("measure")
    by = [str(name) for name in targets.columns[:at]]
    rows: list[dict[str, Any]] = []
    missed = targets[(targets["status"] == "missed") & targets["measure"].isin(list(_COUNTS))]
    confirmed = findings[findings["confirmed"].fillna(False).astype(bool)]
    confirmed = confirmed.reindex(
        columns=[*dict.fromkeys([*confirmed.columns, "conditions", "account_ids", "cause"])]
    ).sort_values("finding_id", kind="stable")
    of_cell = decisions.groupby(by, sort=False).indices if len(missed) else {}
    for target in missed.to_dict("records"):
        own = {str(name): value for name, value in target.items()}
        key = tuple(own[name] for name in by)
        inside_ = of_cell.get(key if len(by) > 1 else key[0], np.zeros(0, np.int64))
        rows += _plan_steps(own, by, confirmed, decisions.iloc[inside_])
    return pd.DataFrame(rows, columns=[*by, *_COLUMNS]).astype({"step": "int64"})


_COLUMNS = (
    "measure", "limit", "step", "finding_id", "rule", "cause", "change", "effort", "brings",
    "brings_low", "brings_high", "left", "left_low", "left_high", "reaches",
)  # fmt: skip


def _plan_steps(
    target: dict[str, Any], by: list[str], findings: pd.DataFrame, cell: pd.DataFrame
) -> list[dict[str, Any]]:
    """Take the finding with the most effect per effort, then the next on what is left."""
    kind, enforced = _COUNTS[target["measure"]]
    place = {name: target[name] for name in by}
    # Findings' rates are of all decisions; the measure is a share of one side's.
    size = len(cell)
    if enforced is not None:
        size = int((cell["enforced"].to_numpy(dtype=bool) == enforced).sum())
    known = findings
    if "policy_id" in target:
        known = known[known["policy_id"] == target["policy_id"]]
    if kind is not None:
        known = known[known["error_kind"] == kind]
    waiting = [(row, finding_mask(cell, row)) for row in known.to_dict("records")]
    free, size = np.ones(len(cell), dtype=bool), max(size, 1)
    done = {"brings": 0.0, "brings_low": 0.0, "brings_high": 0.0}
    out: list[dict[str, Any]] = []
    while waiting:
        worth = [_finding_gain(row, int((mine & free).sum()), size) for row, mine in waiting]
        gain = [
            w["brings"] / estimated_effort(str(r["cause"]))
            for w, (r, _) in zip(worth, waiting, strict=True)
        ]
        best = int(np.argmax(gain))  # ties: the first finding_id
        if gain[best] <= 0:
            break
        row, mine = waiting.pop(best)
        free &= ~mine
        own = _cap_gain(target, worth[best], done)
        done = {name: done[name] + own[name] for name in done}
        out.append(place | _step_row(target, row, len(out) + 1, own, done))
    return out or [place | _no_step_row(target)]


def _finding_gain(finding: Mapping[Any, Any], n: int, size: int) -> dict[str, float]:
    """Points of the measure that the slice has beyond its policy's average rate."""
    base = float(finding["base_rate"])
    return {
        name: max(float(finding[rate]) - base, 0.0) * n / size
        for name, rate in (("brings", "error_rate"), ("brings_low", "low"), ("brings_high", "high"))
    }


def _cap_gain(
    target: Mapping[str, Any], worth: Mapping[str, float], done: Mapping[str, float]
) -> dict[str, float]:
    """Cap the effect at the errors left by earlier steps: at the estimate, and at worst."""
    middle, worst = float(target["estimate"]), float(target["high"])
    if target["measure"] in AT_LEAST:
        middle, worst = 1 - middle, 1 - float(target["low"])
    brings = min(worth["brings"], max(middle - done["brings"], 0.0))
    most = min(worth["brings_high"], max(worst - done["brings_high"], 0.0))
    low = min(worth["brings_low"], brings)
    return {"brings": brings, "brings_low": low, "brings_high": max(most, brings)}


def _step_row(
    target: Mapping[str, Any], finding: Mapping[Any, Any], step: int, worth: Mapping[str, float],
    done: Mapping[str, float],
) -> dict[str, Any]:  # fmt: skip
    sign = 1.0 if target["measure"] in AT_LEAST else -1.0
    worst, best = ("low", "high") if sign > 0 else ("high", "low")
    left = _clip_share(target["estimate"] + sign * done["brings"])
    least = _clip_share(target[worst] + sign * done["brings_low"])
    most = _clip_share(target[best] + sign * done["brings_high"])
    cause = str(finding["cause"]) if str(finding["cause"]) in CHANGES else "unknown"
    keeps = [sign * (value - target["limit"]) >= 0 for value in (least, left)]
    return {
        "measure": target["measure"],
        "limit": target["limit"],
        "step": step,
        "finding_id": finding["finding_id"],
        "rule": finding["rule"],
        "cause": cause,
        "change": CHANGES[cause].title,
        "effort": estimated_effort(cause),
        **worth,
        "left": left,
        "left_low": min(least, most),
        "left_high": max(least, most),
        "reaches": "yes" if keeps[0] else "likely" if keeps[1] else "no",
    }


def _no_step_row(target: Mapping[str, Any]) -> dict[str, Any]:
    """State that no confirmed finding affects a target."""
    return {
        "measure": target["measure"],
        "limit": target["limit"],
        "step": 0,
        "effort": np.nan,
        "brings": 0.0,
        "brings_low": 0.0,
        "brings_high": 0.0,
        "left": target["estimate"],
        "left_low": target["low"],
        "left_high": target["high"],
        "reaches": "no",
    }


def _clip_share(value: float) -> float:
    return min(max(float(value), 0.0), 1.0)
