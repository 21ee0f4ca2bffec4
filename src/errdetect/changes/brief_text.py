"""What a brief says, sentence by sentence, for policy analysts."""

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

#: Part of the harm that the change saves which may come back as the other kind of error.
SPENT = 0.5
_MONTH = 30.0
_OTHER = {WRONGFUL_ACTION: "missed violations", MISSED_VIOLATION: "wrongful actions"}

#: Cause -> what it means, where the finding brings no words of its own.
_CAUSES = {
    "machine_fault": "People agree with each other here, and the machine differs.",
    "policy_ambiguity": "People disagree with each other here: the rule leaves room.",
    "reviewer_inconsistency": "One site or reviewer judges differently from the others.",
    "change_in_time": "The errors are associated with a change at a point in time.",
    "threshold": "The errors crowd at the machine's bar.",
    "account_cluster": "The errors lie on few accounts.",
    "unknown": "The evidence fits no single cause.",
}
_NAMES = {
    "machine_fault": "a fault of the machine",
    "policy_ambiguity": "an unclear rule",
    "reviewer_inconsistency": "reviewers who differ",
    "change_in_time": "a change in time",
    "threshold": "the bar",
    "account_cluster": "few accounts",
    "unknown": "none that is known",
}


@dataclass(frozen=True)
class ThresholdChange:
    """The bar now and the recommended one, with what each would do (rows of the what-if)."""

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
    """Say where the policy errs more than elsewhere."""
    return (
        f"Under “{b.policy_name}”, in the slice “{b.rule}”, {format_percent(b.rate)} of all decisions, "
        f"enforced or not, are {b.error_words}s. In the whole policy it is {format_percent(b.base)}. Both are "
        "estimated from audited decisions that had no part in finding the slice."
    )


def volume_lines(
    b: "Brief", rows: Sequence[Mapping[Any, Any]], total: SliceTotals
) -> tuple[str, ...]:
    """Say how many decisions and accounts are concerned, and what they cost."""
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
    lines.append(f"Between {wrong[0]} and {wrong[1]} of them are wrong, if every interval holds.")
    if pd.notna(rows[0]["turned"]):
        turned = count_with_noun(int(rows[0]["turned"]), "decision", "decisions")
        lines.append(f"The new bar would turn {turned} in the period.")
    if total.harm == total.harm and b.rate > b.base:
        lines.append(_harm_saved_line(rows, total))
    return tuple(lines)


def _harm_saved_line(rows: Sequence[Mapping[Any, Any]], total: SliceTotals) -> str:
    """Say what the change would save, with limits where there is one slice."""
    most = "" if total.exact else "at most "
    said = (
        "Harm that would be saved in 30 days if the slice came to err no more than the rest of its "
        f"policy: {most}{total.harm:,.0f}"
    )
    if len(rows) == 1 and pd.notna(rows[0]["harm_saved_low"]):
        low, high = float(rows[0]["harm_saved_low"]), float(rows[0]["harm_saved_high"])
        said += f" ({low:,.0f} to {high:,.0f})"
    return said + ", in the catalogue's units of harm."


def cause_lines(rows: Sequence[Mapping[Any, Any]]) -> tuple[str, ...]:
    """Say the cause that the evidence points to, and the one that comes next."""
    lead = rows[0]
    lines = [_CAUSES[lead["cause"]]]
    given = [clean_text(r["cause_words"], limit=500) for r in rows if pd.notna(r["cause_words"])]
    lines += list(dict.fromkeys(given))[:5]
    second = {str(r["runner_up"]) for r in rows if pd.notna(r["runner_up"])} - {lead["cause"], ""}
    if lead["cause"] == "unknown":
        lines.append("How sure: nobody can say yet.")
    elif all(r["sure"] == "clear" for r in rows) or not second:
        lines.append("How sure: clear; nothing else that was checked fits this evidence as well.")
    else:
        names = " or ".join(sorted(_NAMES.get(name, clean_text(name)) for name in second))
        lines.append(f"How sure: likely. What else would fit next best: {names}.")
    lines.append("This is what is associated with the errors. The pilot shows whether it is why.")
    return tuple(lines)


def find_threshold_change(
    thresholds: pd.DataFrame, lead: Mapping[Any, Any]
) -> ThresholdChange | None:
    """Find the bar now and the recommended one for a finding.

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
        return None  # several bars, or none better: nothing to name
    return ThresholdChange(*({str(k): v for k, v in row[0].items()} for row in (now, then)))


def new_threshold_lines(found: ThresholdChange | None) -> tuple[str, ...]:
    """Say which bar to set."""
    if found is None:
        return (
            "No single bar can be recommended from the reviewed decisions: review more near it.",
        )
    now, then = found.now["threshold"], found.then["threshold"]
    way = "up" if then > now else "down"
    return (f"From {now:.3f} {way} to {then:.3f}.",)


def effect_lines(b: "Brief", total: SliceTotals, found: ThresholdChange | None) -> tuple[str, ...]:
    """Say what to hope for, as far as the evidence carries."""
    lines = []
    if b.rate > b.base:
        gain = [max(v - b.base, 0.0) for v in (total.low, total.high)]
        lines.append(
            f"If the slice came to err no more than its policy as a whole, its {b.error_words}s among "
            f"all decisions would fall from {format_percent(b.rate)} to {format_percent(b.base)}: between "
            f"{format_count(round(gain[0] * b.n))} and {format_count(round(gain[1] * b.n))} fewer "
            f"{b.error_words}s in a period as long as this one."
        )
        lines.append("That is the most to hope for: no change reaches every case.")
    else:
        lines.append("How much a change would bring cannot be said from the findings.")
    if found is not None:
        for name, what in (("wrongful", "Wrongful actions"), ("missed", "Missed violations")):
            both = [_errors_at_threshold(row, name) for row in (found.now, found.then)]
            if None not in both:
                lines.append(
                    f"{what} in the period: {both[0]} at the bar now, {both[1]} at the new one."
                )
    return tuple(lines)


def _errors_at_threshold(row: Mapping[str, Any], name: str) -> str | None:
    values = [row.get(key) for key in (name, f"{name}_low", f"{name}_high")]
    if any(v is None or v != v for v in values):
        return None
    middle, low, high = (float(v) for v in values if v is not None)
    return f"{middle:,.0f} ({low:,.0f} to {high:,.0f})"


def risk_lines(b: "Brief") -> tuple[str, ...]:
    """Say what the change may do that is not wanted: the other kind of error first."""
    other = _OTHER.get(b.error_kind, "errors of the other kinds")
    lines = [
        f"fewer {b.error_words}s may mean more {other}. Both are measured, in the pilot and after."
    ]
    if b.kind == "whitelist":
        right = 1 - b.rate
        lines.append(
            f"{format_percent(right)} of the decisions in the slice are right. Let through without a "
            f"person, those {format_count(round(right * b.n))} would be {other}: so a person looks first."
        )
        lines.append("accounts change hands and habits: an entry that does not end becomes a hole.")
    elif b.kind == "model_data":
        lines.append(
            "a model that learns this slice may err elsewhere: the gate compares it as a whole."
        )
    elif b.kind in ("rule_text", "reviewer_training"):
        lines.append("people who read the slice with new eyes also change how errors are counted: "
                     "keep experts' answers as the measure.")  # fmt: skip
    elif b.kind == "version":
        lines.append("the old version may bring its own old errors back.")
    return tuple(lines)


def pilot_lines(plan: Pilot | None, how: str) -> tuple[str, ...]:
    """Say how to try it, on how many reviews, and for how long."""
    if plan is None:
        return ("The slice errs no more than its policy as a whole: there is nothing to try.",)
    lines = [how]
    if plan.reviews is None:
        lines.append(
            f"The slice has only {format_count(plan.accounts or 0)} accounts in each half. No number of "
            "reviews would settle it by halves: apply it to all and compare before and after with "
            "untouched policies."
        )
        return tuple(lines)
    lines.append(
        f"Review {format_count(plan.reviews)} decisions of each side. If the change brings {format_percent(SEEN)} of "
        f"what is hoped for ({format_percent(plan.rate)} down to {format_percent(plan.aim)}), the pilot will show "
        f"it with a chance of {format_percent(POWER)}; a change that does nothing will look like an effect in 5 of 100."
    )
    if plan.accounts is not None:
        lines.append(f"Taken for this: decisions of one account are alike (correlation {ICC:g}).")
    if plan.days is not None:
        long = " That is long: consider a larger slice." if plan.days > 90 else ""
        days = count_with_noun(plan.days, "day", "days")
        lines.append(
            f"At the slice's usual volume each side has as many decisions after {days}.{long}"
        )
    lines.append("Decide on the day that was set at the start; do not stop early at a good figure.")
    return tuple(lines)


def acceptance_lines(b: "Brief", policy: Policy | None) -> tuple[str, ...]:
    """Say what must be seen for the change to stay."""
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
    lines.append("After acceptance, two reports in a row do not say that it made things worse.")
    return tuple(lines)


def _harm_ratio(b: "Brief", policy: Policy | None) -> float:
    """Cost of one error of this kind, in errors of the other kind; 1 where nothing is stated."""
    if policy is None or b.error_kind not in _OTHER:
        return 1.0
    other = MISSED_VIOLATION if b.error_kind == WRONGFUL_ACTION else WRONGFUL_ACTION
    cost = policy.harm(other)
    return policy.harm(b.error_kind) / cost if cost > 0 else 1.0
