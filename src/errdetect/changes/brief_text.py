"""The sentences of a brief, for policy analysts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from errdetect.changes.decision_volumes import SliceTotals
from errdetect.changes.pilot_design import ICC, POWER, SEEN, Pilot
from errdetect.changes.text_formatting import (
    clean_text,
    count_with_noun,
    format_count,
    format_interval,
    format_percent,
)
from errdetect.data.policy_catalogue import Policy
from errdetect.findings.conditions import parse_conditions
from errdetect.schemas import MISSED_VIOLATION, WRONGFUL_ACTION

if TYPE_CHECKING:
    from errdetect.changes.briefs import Brief

__all__ = [
    "ThresholdChange",
    "acceptance_lines",
    "cause_lines",
    "effect_lines",
    "evidence_row",
    "find_threshold_change",
    "new_threshold_lines",
    "pilot_lines",
    "problem_sentence",
    "risk_lines",
    "volume_lines",
]

#: Share of the saved harm that may return as the other kind of error.
SPENT = 0.5
_MONTH = 30.0
_OTHER = {WRONGFUL_ACTION: "missed violations", MISSED_VIOLATION: "wrongful actions"}

#: Cause -> its meaning, where the finding has no text of its own.
_CAUSES = {
    "machine_fault": "People agree with each other here, and the machine differs.",
    "policy_ambiguity": "People disagree with each other here: the rule leaves room.",
    "reviewer_inconsistency": "One site or reviewer decides differently from the others.",
    "change_in_time": "The errors are associated with a change at a point in time.",
    "threshold": "The errors are concentrated near the machine's threshold.",
    "account_cluster": "The errors go with certain accounts, not with the content.",
    "unknown": "The evidence fits no single cause.",
}
_NAMES = {
    "machine_fault": "a fault of the machine",
    "policy_ambiguity": "an unclear rule",
    "reviewer_inconsistency": "inconsistent reviewers",
    "change_in_time": "a change in time",
    "threshold": "the threshold",
    "account_cluster": "certain accounts",
    "unknown": "an unknown cause",
}


@dataclass(frozen=True)
class ThresholdChange:
    """The current and the recommended threshold with their effects (rows of the what-if table)."""

    now: Mapping[str, Any]
    then: Mapping[str, Any]


def evidence_row(row: Mapping[Any, Any]) -> dict[str, str]:
    """Return one finding's line.

    Examples
    --------
    >>> line = evidence_row({"rule": "market is DE", "n": 900, "n_accounts": None, "n_reviews": 80,
    ...     "error_rate": 0.3, "low": 0.25, "high": 0.35, "base_rate": 0.1, "q_value": 0.01})
    >>> line["accounts"], line["reviews"], line["q"]
    ('unknown', '80', '0.010')
    """
    return {
        "rule": clean_text(row["rule"], limit=300),
        "n": format_count(int(row["n"])),
        "accounts": _optional_count(row["n_accounts"]),
        "reviews": _optional_count(row["n_reviews"]),
        "rate": format_percent(float(row["error_rate"])),
        "interval": format_interval(float(row["low"]), float(row["high"])),
        "base": format_percent(float(row["base_rate"])),
        "q": _format_q_value(row["q_value"]),
    }


def _format_q_value(value: Any) -> str:
    if pd.isna(value):
        return "not given"
    return f"{value:.3f}" if value >= 0.001 else "below 0.001"


def _optional_count(value: object) -> str:
    number = pd.to_numeric(pd.Series([value]), errors="coerce").iloc[0]
    return "unknown" if pd.isna(number) else format_count(int(number))


def problem_sentence(b: "Brief") -> str:
    """Describe where the policy errs more than elsewhere."""
    return (
        f"Under “{b.policy_name}”, in the slice “{b.rule}”, {format_percent(b.rate)} of all decisions, "
        f"enforced or not, are {b.error_words}s. In the whole policy it is {format_percent(b.base)}. Both are "
        "estimated from audited decisions that were not used to find the slice."
    )


def volume_lines(
    b: "Brief", rows: Sequence[Mapping[Any, Any]], total: SliceTotals
) -> tuple[str, ...]:
    """State how many decisions and accounts are affected, and what they cost."""
    most = "" if total.exact else "At most "
    lines = [f"{most}{count_with_noun(b.n, 'decision', 'decisions')} in the period of the report."]
    if total.days and b.n:
        lines[0] = (
            lines[0][:-1] + f", about {format_count(round(b.n / total.days * _MONTH))} in 30 days."
        )
    if total.overlap:
        lines.append(
            "The slices overlap. A decision in several of them counts once, with the rate of the "
            "first of them, so the lines above do not add up to this."
        )
    if b.n_accounts is not None:
        lines.append(f"{most}{count_with_noun(b.n_accounts, 'account', 'accounts')} affected.")
    wrong = [format_count(round(v * b.n)) for v in (total.low, total.high)]
    lines.append(
        f"Between {wrong[0]} and {wrong[1]} of these decisions are wrong, if every interval covers the true rate."
    )
    if pd.notna(rows[0]["turned"]):
        turned = count_with_noun(int(rows[0]["turned"]), "decision", "decisions")
        lines.append(f"The new threshold would change {turned} in the period.")
    if total.harm == total.harm and b.rate > b.base:
        lines.append(_harm_saved_line(rows, total))
    return tuple(lines)


def _harm_saved_line(rows: Sequence[Mapping[Any, Any]], total: SliceTotals) -> str:
    """State what the change would save, with limits where there is one slice."""
    most = "" if total.exact else "at most "
    line = (
        "Harm saved in 30 days if the slice erred no more than the rest of its "
        f"policy: {most}{total.harm:,.0f}"
    )
    if len(rows) == 1 and pd.notna(rows[0]["harm_saved_low"]):
        low, high = float(rows[0]["harm_saved_low"]), float(rows[0]["harm_saved_high"])
        line += f" ({low:,.0f} to {high:,.0f})"
    return line + ", in the catalogue's units of harm."


def cause_lines(rows: Sequence[Mapping[Any, Any]]) -> tuple[str, ...]:
    """State the cause that the evidence points to, and the next likely one."""
    lead = rows[0]
    lines = [_CAUSES[lead["cause"]]]
    given = [clean_text(r["cause_text"], limit=500) for r in rows if pd.notna(r["cause_text"])]
    lines += list(dict.fromkeys(given))[:5]
    second = {str(r["runner_up"]) for r in rows if pd.notna(r["runner_up"])} - {lead["cause"], ""}
    if lead["cause"] == "unknown":
        lines.append("Confidence: not known yet.")
    elif all(r["confidence"] == "clear" for r in rows) or not second:
        lines.append(
            "Confidence: clear; no other cause that was checked fits the evidence as well."
        )
    else:
        names = " or ".join(sorted(_NAMES.get(name, clean_text(name)) for name in second))
        lines.append(f"Confidence: likely. The next best fit: {names}.")
    lines.append("This is associated with the errors. The pilot shows whether it is the cause.")
    return tuple(lines)


def find_threshold_change(
    thresholds: pd.DataFrame, lead: Mapping[Any, Any]
) -> ThresholdChange | None:
    """Find the current and the recommended threshold for a finding.

    Examples
    --------
    >>> table = pd.DataFrame({"policy_id": "spam", "threshold": [0.5, 0.6],
    ...     "current": [True, False], "recommended": [False, True], "supported": True})
    >>> found = find_threshold_change(table, {"policy_id": "spam", "conditions": None})
    >>> found.now["threshold"], found.then["threshold"]
    (0.5, 0.6)
    """
    rows = thresholds[thresholds["policy_id"] == lead["policy_id"]]
    given = {c["column"]: c["value"] for c in parse_conditions(lead["conditions"])}
    for name in ("moderator", "market"):
        if name in given:
            rows = rows[rows[name] == given[name]]
        elif name in rows and rows[name].isna().any():
            rows = rows[rows[name].isna()]
    marks = (rows[name].fillna(False).astype(bool) for name in ("current", "recommended"))
    now, then = (rows[mark].to_dict("records") for mark in marks)
    if len(now) != 1 or len(then) != 1 or now[0]["threshold"] == then[0]["threshold"]:
        return None  # several thresholds, or none better: no single one to name
    return ThresholdChange(*({str(k): v for k, v in row[0].items()} for row in (now, then)))


def new_threshold_lines(found: ThresholdChange | None) -> tuple[str, ...]:
    """State which threshold to set."""
    if found is None:
        return (
            "No single threshold can be recommended from the reviewed decisions: review more near it.",
        )
    now, then = found.now["threshold"], found.then["threshold"]
    way = "up" if then > now else "down"
    return (f"From {now:.3f} {way} to {then:.3f}.",)


def effect_lines(b: "Brief", total: SliceTotals, found: ThresholdChange | None) -> tuple[str, ...]:
    """State the expected effect, as far as the evidence supports one."""
    lines = []
    if b.rate > b.base:
        gain = [max(v - b.base, 0.0) for v in (total.low, total.high)]
        lines.append(
            f"If the slice erred no more than its policy as a whole, its {b.error_words}s among "
            f"all decisions would fall from {format_percent(b.rate)} to {format_percent(b.base)}: between "
            f"{format_count(round(gain[0] * b.n))} and {format_count(round(gain[1] * b.n))} fewer "
            f"{b.error_words}s in a period as long as this one."
        )
        lines.append("That is the maximum effect: no change reaches every case.")
    else:
        lines.append("The findings do not show how large the effect of a change would be.")
    if found is not None:
        for name, what in (("wrongful", "Wrongful actions"), ("missed", "Missed violations")):
            both = [_errors_at_threshold(row, name) for row in (found.now, found.then)]
            if None not in both:
                lines.append(
                    f"{what} in the period: {both[0]} at the current threshold, {both[1]} at the new one."
                )
    return tuple(lines)


def _errors_at_threshold(row: Mapping[str, Any], name: str) -> str | None:
    values = [row.get(key) for key in (name, f"{name}_low", f"{name}_high")]
    if any(v is None or v != v for v in values):
        return None
    middle, low, high = (float(v) for v in values if v is not None)
    return f"{middle:,.0f} ({low:,.0f} to {high:,.0f})"


def risk_lines(b: "Brief") -> tuple[str, ...]:
    """State the risks of the change, the other kind of error first."""
    other = _OTHER.get(b.error_kind, "errors of the other kinds")
    lines = [
        f"fewer {b.error_words}s may mean more {other}. Measure both, in the pilot and afterwards."
    ]
    if b.kind == "whitelist":
        right = 1 - b.rate
        lines.append(
            f"{format_percent(right)} of the decisions in the slice are correct. Let through without a "
            f"person, those {format_count(round(right * b.n))} would be {other}: so a person reviews first."
        )
        lines.append(
            "accounts change hands and habits: an entry without an end date becomes a loophole."
        )
    elif b.kind == "model_data":
        lines.append(
            "a model that learns this slice may err elsewhere: the gate compares it on all decisions."
        )
    elif b.kind in ("rule_text", "reviewer_training"):
        lines.append("newly trained reviewers also change how errors are counted: "
                     "keep experts' verdicts as the reference.")  # fmt: skip
    elif b.kind == "version":
        lines.append("the old version may bring back its own errors.")
    return tuple(lines)


def pilot_lines(plan: Pilot | None, how: str) -> tuple[str, ...]:
    """State how to run the pilot, with how many reviews, and for how long."""
    if plan is None:
        return ("The slice errs no more than its policy as a whole: no pilot is needed.",)
    lines = [how]
    if plan.reviews is None:
        lines.append(
            f"The slice has only {format_count(plan.accounts or 0)} accounts in each half. No number of "
            "reviews would be enough to compare halves: apply it to all and compare before and after with "
            "untouched policies."
        )
        return tuple(lines)
    lines.append(
        f"Review {format_count(plan.reviews)} decisions of each side. If the change brings {format_percent(SEEN)} of "
        f"the intended effect ({format_percent(plan.rate)} down to {format_percent(plan.aim)}), the pilot will show "
        f"it with a probability of {format_percent(POWER)}; a change without effect seems to have one in 5 of 100."
    )
    if plan.accounts is not None:
        lines.append(f"Assumption: errors within one account are correlated ({ICC:g}).")
    if plan.days is not None:
        long = " That is long: consider a larger slice." if plan.days > 90 else ""
        days = count_with_noun(plan.days, "day", "days")
        lines.append(
            f"At the slice's average volume, each side has enough decisions after {days}.{long}"
        )
    lines.append("Decide on the day set at the start; do not stop early on a good figure.")
    return tuple(lines)


def acceptance_lines(b: "Brief", policy: Policy | None) -> tuple[str, ...]:
    """State the criteria for keeping the change."""
    if b.pilot is None or b.kind == "look_closer":
        return ("The cause is named, with cases, and a change that fits it is proposed.",)
    other = _OTHER.get(b.error_kind, "other errors")
    gain = b.pilot.rate - b.pilot.aim
    cost = _harm_ratio(b, policy)
    margin = SPENT * gain * cost
    lines = [
        f"The share of {b.error_words}s on the side with the change is lower, and the 95 % interval "
        "of the difference lies below 0.",
        f"{other[0].upper()}{other[1:]} do not rise by more than {100 * margin:.1f} of 100 decisions: "
        "the upper end of that interval is below it (half of the harm saved at most).",
    ]
    if b.pilot.reviews is not None:
        lines.append(
            f"At least {format_count(b.pilot.reviews)} decisions of each side were reviewed."
        )
    lines.append("After acceptance, two reports in a row do not show that it made things worse.")
    return tuple(lines)


def _harm_ratio(b: "Brief", policy: Policy | None) -> float:
    """Cost of one error of this kind, in errors of the other kind; 1 where the catalogue states none."""
    if policy is None or b.error_kind not in _OTHER:
        return 1.0
    other = MISSED_VIOLATION if b.error_kind == WRONGFUL_ACTION else WRONGFUL_ACTION
    cost = policy.harm(other)
    return policy.harm(b.error_kind) / cost if cost > 0 else 1.0
