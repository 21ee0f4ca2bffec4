"""What accepted changes did: the error rate before and after, and what it would be without the change."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from errdetect.changes.text_formatting import (
    clean_text,
    finite_or_none,
    format_count,
    format_optional_day,
    format_percent,
    has_rows,
    require_columns,
    to_records,
)
from errdetect.report.charts import Axis, axis_position, choose_axis

__all__ = ["ChangeEffect", "EffectsChart", "read_effects"]

_COLUMNS = (
    "proposal_id", "policy_id", "measure", "effective_from", "until", "n_before", "n_after", "before",
    "after", "without", "estimate", "all_low", "all_high", "verdict",
)  # fmt: skip
_VERDICTS = {
    "improved": "fewer errors",
    "worsened": "more errors",
    "no_effect": "not the effect that was hoped for",
    "unknown": "not known yet",
    "confounded": "another change touched it, too",
}


@dataclass(frozen=True)
class ChangeEffect:
    """One change.

    Parameters
    ----------
    key, policy
        The proposal, and the policy's name.
    days
        From when until when it was measured.
    before, after, without
        Positions on the axis in percent; None where a rate is not known.
    sentence
        The rates in words, with the effect and its interval over all looks.
    verdict
        In words.
    n
        Audited decisions before and after.
    """

    key: str
    policy: str
    days: str
    before: float | None
    after: float | None
    without: float | None
    sentence: str
    verdict: str
    n: str


@dataclass(frozen=True)
class EffectsChart:
    """The changes in effect, the latest first, on one axis."""

    axis: Axis
    rows: tuple[ChangeEffect, ...]


def read_effects(frame: pd.DataFrame | None, names: Mapping[str, str]) -> EffectsChart | None:
    """Lay out the error rate before and after each change, beside what it would be without it.

    Parameters
    ----------
    frame
        From `measure_effects`; or None.
    names
        policy_id -> the policy's name.

    Returns
    -------
    EffectsChart or None
        None where no change is in effect.

    Raises
    ------
    DataError
        Where a column is missing.

    Examples
    --------
    >>> read_effects(None, {}) is None
    True
    """
    if frame is None or not has_rows(frame):
        return None
    require_columns(frame, _COLUMNS, "effects")
    overall = frame[frame["measure"] == "error_rate"]
    rows = to_records(overall.sort_values("effective_from", ascending=False, kind="stable"))
    rates = [finite_or_none(row[name]) for row in rows for name in ("before", "after", "without")]
    axis = choose_axis([rate for rate in rates if rate is not None] or [1.0])
    return EffectsChart(axis, tuple(_read_effect(row, names, axis) for row in rows))


def _read_effect(row: Mapping[str, Any], names: Mapping[str, str], axis: Axis) -> ChangeEffect:
    rates = {name: finite_or_none(row[name]) for name in ("before", "after", "without")}
    places = {
        name: None if rate is None else axis_position(rate, axis.top)
        for name, rate in rates.items()
    }
    policy_id = str(row["policy_id"])
    verdict = str(row["verdict"])
    return ChangeEffect(
        key=clean_text(row["proposal_id"], 60),
        policy=clean_text(names.get(policy_id, policy_id)),
        days=f"{format_optional_day(row['effective_from'])} to {format_optional_day(row['until'])}",
        sentence=_sentence(row, rates),
        verdict=_VERDICTS.get(verdict, clean_text(verdict, 40)),
        n=f"{format_count(int(row['n_before']))} before, {format_count(int(row['n_after']))} after",
        **places,
    )


def _sentence(row: Mapping[str, Any], rates: Mapping[str, float | None]) -> str:
    before, after, without = (rates[name] for name in ("before", "after", "without"))
    if before is None or after is None:
        return "Too few audited decisions before or after the change."
    text = f"{format_percent(before)} before, {format_percent(after)} after"
    if without is not None:
        text += f"; as the untouched decisions moved, {format_percent(without)} without the change"
    effect, low, high = (finite_or_none(row[name]) for name in ("estimate", "all_low", "all_high"))
    if effect is None or low is None or high is None:
        return f"{text}."
    return f"{text}: {100 * effect:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})."
