"""Changes between two periods, with intervals that show whether they exceed chance."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from errdetect.changes.display_terms import MEASURE_WORDS
from errdetect.changes.text_formatting import (
    format_optional_day,
    format_percent,
    has_rows,
    require_columns,
    to_records,
)
from errdetect.report.reported_rates import IntervalEstimate, read_interval_estimate
from errdetect.stats.intervals import rate_difference

__all__ = ["PeriodChange", "latest_changes", "latest_changes_by_policy"]

_COLUMNS = ("period_start", "measure", "estimate", "low", "high", "suppressed")
_MEASURES = ("error_rate", "wrongful_rate", "missed_rate")


@dataclass(frozen=True)
class PeriodChange:
    """A measure's last two figures, and their difference.

    Parameters
    ----------
    measure, name
        The measure, and its name as text.
    since, until
        First days of the two periods.
    before, after
        Their rates.
    gap
        `after` minus `before`, with its interval.
    """

    measure: str
    name: str
    since: str
    until: str
    before: IntervalEstimate
    after: IntervalEstimate
    gap: IntervalEstimate

    @property
    def way(self) -> str:
        """`rise` or `fall` where the interval excludes zero, else empty."""
        if self.gap.low > 0:
            return "rise"
        return "fall" if self.gap.high < 0 else ""

    @property
    def sentence(self) -> str:
        """The change as a sentence, with the measure's name."""
        return f"{self.name}: {self.brief[0].lower()}{self.brief[1:]}"

    @property
    def brief(self) -> str:
        """The change in one line, next to the measure's figure."""
        low, high = (f"{100 * x:+.1f}" for x in (self.gap.low, self.gap.high))
        verdict = f"a clear {self.way}" if self.way else "no clear change"
        return (
            f"From {format_percent(self.before.estimate)} ({self.since}) to "
            f"{format_percent(self.after.estimate)} ({self.until}): {verdict}, {low} to {high} points."
        )


def latest_changes(trend: pd.DataFrame | None) -> tuple[PeriodChange, ...]:
    """Compare the last two periods that have a figure.

    Parameters
    ----------
    trend
        `period_start`, `measure`, `estimate`, `low`, `high`, `suppressed`; or None.

    Returns
    -------
    tuple of Change
        One for each of error rate, wrongful and missed rate with two figures.

    Raises
    ------
    DataError
        Where a column is missing.

    Examples
    --------
    >>> frame = pd.DataFrame({"period_start": ["2025-01-01", "2025-02-01"], "measure": "error_rate",
    ...     "estimate": [.1, .05], "low": [.08, .04], "high": [.12, .065], "suppressed": False})
    >>> latest_changes(frame)[0].way
    'fall'
    """
    if trend is None or not has_rows(trend):
        return ()
    require_columns(trend, _COLUMNS, "trend")
    rows = to_records(trend.sort_values("period_start", kind="stable"))
    found = (_latest_change(m, [r for r in rows if r["measure"] == m]) for m in _MEASURES)
    return tuple(change for change in found if change)


def latest_changes_by_policy(trend: pd.DataFrame | None) -> dict[str, tuple[PeriodChange, ...]]:
    """Compare each policy's last two periods that have a figure.

    Parameters
    ----------
    trend
        `policy_id` and the columns of `latest_changes`; or None.

    Returns
    -------
    dict
        policy_id -> its changes; policies without two figures are absent.

    Raises
    ------
    DataError
        Where a column is missing.

    Examples
    --------
    >>> latest_changes_by_policy(None)
    {}
    """
    if trend is None or not has_rows(trend):
        return {}
    require_columns(trend, ("policy_id", *_COLUMNS), "trend_by")
    found = {str(key): latest_changes(part) for key, part in trend.groupby("policy_id", sort=True)}
    return {key: part for key, part in found.items() if part}


def _latest_change(measure: str, rows: Sequence[dict[str, object]]) -> PeriodChange | None:
    """Find the last two figures of a measure."""
    told = [(row, said) for row in rows if (said := read_interval_estimate(row)) is not None]
    if len(told) < 2:
        return None
    (old, before), (new, after) = told[-2:]
    since, until = (
        format_optional_day(old["period_start"]),
        format_optional_day(new["period_start"]),
    )
    name = MEASURE_WORDS[measure].name
    return PeriodChange(
        measure,
        name,
        since,
        until,
        before,
        after,
        IntervalEstimate(*rate_difference(after, before)),
    )
