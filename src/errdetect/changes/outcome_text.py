"""Outcomes of proposals and targets, in one or two sentences."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from errdetect.changes.quality_targets import SMALL_AUDIT, NextAudit
from errdetect.changes.text_formatting import (
    MEASURE_WORDS,
    clean_text,
    count_with_noun,
    format_count,
    format_day,
    format_interval,
    format_percent,
)

__all__ = ["audit_sentence", "effect_sentence", "step_sentence", "target_sentence"]

_WHAT = {
    "error_rate": "Wrong",
    "wrongful_actions": "Wrongful actions",
    "missed_violations": "Missed violations",
}
_ENDS = {
    "improved": "It helped.",
    "worsened": "It made things worse.",
    "no_effect": "The intended effect is ruled out.",
}


def effect_sentence(row: Mapping[str, Any]) -> str:
    """Describe the effect of a proposal.

    Parameters
    ----------
    row
        One row of `measure_effects`.

    Returns
    -------
    str

    Examples
    --------
    >>> row = {"measure": "error_rate", "before": 0.2, "after": 0.1, "without": 0.19,
    ...     "estimate": -0.09, "low": -0.13, "high": -0.05, "n_before": 300, "n_after": 280,
    ...     "effective_from": pd.Timestamp("2026-03-01", tz="UTC"), "verdict": "improved",
    ...     "n_untouched": 8, "trend": "alike", "early_low": -0.05, "early_high": 0.05, "look": 1,
    ...     "confounded_by": [], "need_before": None, "need_after": None}
    >>> effect_sentence(row).split(". ")[0]
    'It helped'
    """
    what = _WHAT[row["measure"]]
    if row["verdict"] == "confounded":
        others = ", ".join(clean_text(name, limit=40) for name in row["confounded_by"])
        first = f"Inconclusive: its effect cannot be separated from that of {others}: both touch the same decisions."
    elif row["verdict"] == "unknown":
        first = f"Not known yet. {_inconclusive_reason(row)}"
    else:
        first = _ENDS[row["verdict"]]
    if not _is_known(row["before"]) or not _is_known(row["after"]):
        return first
    said = (
        f"{what} among all decisions of the slice: {format_percent(row['before'])} before "
        f"{format_day(row['effective_from'])}, "
        f"{format_percent(row['after'])} since ({format_count(row['n_before'])} and "
        f"{format_count(row['n_after'])} reviewed decisions)."
    )
    if not _is_known(row["estimate"]):
        return f"{first} {said}"
    said += (
        f" Compared with {count_with_noun(row['n_untouched'], 'untouched group', 'untouched groups')}, it would "
        f"have been {format_percent(min(max(row['without'], 0.0), 1.0))} without the change: "
        f"{_format_points(row['estimate'])} ({_format_points(row['low'])} to {_format_points(row['high'])}) points."
    )
    return " ".join([first, said, *_caveat_sentences(row)])


def _caveat_sentences(row: Mapping[str, Any]) -> list[str]:
    said = []
    if row["n_untouched"] == 1:
        said.append("With one untouched group, it is unknown how far rates move by themselves.")
    if row["trend"] == "unknown":
        said.append("Whether the slice moved like the others before could not be checked.")
    elif row["trend"] == "alike":
        seen = (row["early_high"] - row["early_low"]) / 2
        said.append(
            "Before, the slice moved like the others, as far as the data show (differences under "
            f"{100 * seen:.1f} points cannot be seen)."
        )
    if row["look"] > 1:
        said.append(
            f"Measured for the {_format_ordinal(row['look'])} time; the verdict allows for all looks."
        )
    return said


def _inconclusive_reason(row: Mapping[str, Any]) -> str:
    if row["trend"] == "apart":
        return "The slice moved differently from the others before the change."
    if _is_known(row["need_after"]):
        before, after = int(row["need_before"]), int(row["need_after"])
        return (
            f"It takes {format_count(after)} more reviewed decisions since the change and {format_count(before)} "
            "more from before it, all in the slice."
        )
    if not _is_known(row["before"]) or not _is_known(row["after"]):
        return "There are too few reviewed decisions in the slice, before or after the change."
    if row["before"] == 0:
        return "No error was seen in the slice before the change: review more decisions from before it."
    if row["n_untouched"] == 0:
        return "There is no untouched group with enough reviews to compare with."
    return (
        "More reviews of the slice alone would not be enough: the rates of the untouched groups are "
        "too uncertain, or they vary too much. Review those groups, too."
    )


def target_sentence(row: Mapping[str, Any]) -> str:
    r"""State whether a target is met.

    Examples
    --------
    >>> row = {"measure": "wrongful_rate", "sense": "at most", "limit": 0.03, "estimate": 0.05,
    ...     "low": 0.02, "high": 0.11, "status": "cannot_tell", "reviews_needed": 360}
    >>> target_sentence(row)[:59]
    'Inconclusive. Wrong among enforced decisions at most 3.0\xa0%:'
    """
    ends = {"met": "Met.", "missed": "Missed.", "cannot_tell": "Inconclusive."}
    words = MEASURE_WORDS.get(row["measure"])
    name = words.name if words else "Reviewers' accuracy"
    said = f"{ends[row['status']]} {name} {row['sense']} {format_percent(row['limit'])}: "
    if not _is_known(row["estimate"]):
        said += "there are too few reviews for an estimate."
    else:
        said += f"{format_percent(row['estimate'])} ({format_interval(row['low'], row['high'])})."
    if _is_known(row["reviews_needed"]):
        said += f" About {format_count(int(row['reviews_needed']))} more reviews would likely decide it."
    return said


def step_sentence(row: Mapping[str, Any]) -> str:
    r"""Describe the effect of one step of an improvement plan.

    Examples
    --------
    >>> row = {"step": 1, "measure": "wrongful_rate", "limit": 0.03, "rule": "market is IT",
    ...     "change": "another threshold", "brings": 0.02, "brings_low": 0.01, "brings_high": 0.03,
    ...     "left": 0.025, "reaches": "likely"}
    >>> step_sentence(row)[:44]
    'Where market is IT: another threshold. Wrong'
    """
    words = MEASURE_WORDS.get(row["measure"])
    name = words.name if words else str(row["measure"]).replace("_", " ")
    if not row["step"]:
        return f"{name}: no confirmed finding helps to reach the target yet."
    where = f"Where {clean_text(row['rule'], 160)}: {clean_text(row['change'], 120)}."
    if not _is_known(row["brings"]):
        return f"{where} Its effect is not known yet."
    brings, low, high = (
        _format_points(row[name]).lstrip("+") for name in ("brings", "brings_low", "brings_high")
    )
    moves = f"{brings} points (between {low} and {high})"
    ends = {
        "yes": "reaches the target",
        "likely": "likely reaches the target",
        "no": "does not reach the target alone",
    }
    left = f", which leaves {format_percent(row['left'])}" if _is_known(row["left"]) else ""
    before = "with the steps before it, it " if int(row["step"]) > 1 else "it "
    return f"{where} {name} may move by {moves}{left}; {before}{ends[row['reaches']]}."


def audit_sentence(audit: NextAudit) -> str:
    """State what the next `SMALL_AUDIT` reviews would settle of the inconclusive targets.

    Examples
    --------
    >>> from errdetect.changes.quality_targets import NextAudit
    >>> audit = NextAudit(5, 3, 90, 800, "errdetect plan-audit", (("spam", "missed_rate", 120),))
    >>> audit_sentence(audit).split(" if ")[0]
    'The next 500 reviews would likely settle 1 of 5 open targets'
    """
    targets = count_with_noun(audit.n_open, "open target", "open targets")
    near = "; ".join(
        f"{place} ({_measure_name(measure)}, about {format_count(need)} more reviews of these)"
        for place, measure, need in audit.nearest
    )
    spent = sum(need for _, _, need in audit.nearest)
    if spent > SMALL_AUDIT:
        return (
            f"The next {SMALL_AUDIT} reviews would settle none of {targets}: the rates lie too near their limits. "
            f"Nearest is {near}. Until then, read the estimates with their intervals."
        )
    return (
        f"The next {SMALL_AUDIT} reviews would likely settle {format_count(len(audit.nearest))} of {targets} if "
        f"they go where they decide most: {near}. A targeted audit draws them: errdetect plan-audit."
    )


def _measure_name(measure: str) -> str:
    words = MEASURE_WORDS.get(measure)
    name = words.name if words else measure.replace("_", " ")
    return name[0].lower() + name[1:]


def _is_known(value: Any) -> bool:
    return not pd.isna(value)


def _format_points(share: float) -> str:
    return f"{100 * share:+.1f}"


def _format_ordinal(n: int) -> str:
    end = {1: "st", 2: "nd", 3: "rd"}.get(n % 10 if n // 10 % 10 != 1 else 0, "th")
    return f"{n}{end}"
