"""How the rates move from period to period, and whether a change is more than chance."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from errdetect.changes.text_formatting import (
    MEASURE_WORDS,
    format_interval,
    format_optional_day,
    format_percent,
    has_rows,
    require_columns,
    to_records,
)
from errdetect.report.charts import Axis, Tick, axis_position, choose_axis
from errdetect.report.reported_rates import IntervalEstimate, read_interval_estimate
from errdetect.stats.intervals import rate_difference

__all__ = [
    "PeriodChange",
    "TrendPoint",
    "TrendSeries",
    "build_trends",
    "latest_changes",
    "latest_changes_by_policy",
]

_COLUMNS = ("period_start", "measure", "estimate", "low", "high", "suppressed")
_MEASURES = ("error_rate", "wrongful_rate", "missed_rate")
_MAX_POINTS = 60


@dataclass(frozen=True)
class TrendPoint:
    """One period.

    Parameters
    ----------
    start
        Its first day.
    said
        Its rate; None where suppressed.
    x, y, low, high
        Its position in the chart in percent; y, low and high are None where suppressed.
    joined
        Whether a line leads to it from the period before.
    """

    start: str
    said: IntervalEstimate | None
    x: float
    y: float | None
    low: float | None
    high: float | None
    joined: bool

    @property
    def percent(self) -> str:
        """The rate as text."""
        return format_percent(self.said.estimate) if self.said else "not known yet"

    @property
    def span(self) -> str:
        """Its interval as text."""
        return format_interval(self.said.low, self.said.high) if self.said else ""


@dataclass(frozen=True)
class TrendSeries:
    """One measure over time: its chart, and what changed from the first to the last figure."""

    name: str
    axis: Axis
    dates: tuple[Tick, ...]
    points: tuple[TrendPoint, ...]
    verdict: str


def build_trends(frame: pd.DataFrame | None) -> tuple[TrendSeries, ...]:
    """Read the trend of the error rate, the wrongful and the missed rate.

    Parameters
    ----------
    frame
        One row for each `period_start` and `measure`, with `estimate`, `low`, `high` and
        `suppressed`; or None.

    Returns
    -------
    tuple of Series
        The measures that the table has with at least two periods; of more than 60, the last 60.

    Raises
    ------
    DataError
        Where a column is missing.

    Examples
    --------
    >>> build_trends(None)
    ()
    """
    if frame is None or not has_rows(frame):
        return ()
    require_columns(frame, _COLUMNS, "trend")
    parts = ((m, frame[frame["measure"] == m]) for m in _MEASURES)
    return tuple(_build_series(measure, part) for measure, part in parts if len(part) > 1)


def _build_series(measure: str, frame: pd.DataFrame) -> TrendSeries:
    """Lay out one measure."""
    rows = to_records(frame.sort_values("period_start").tail(_MAX_POINTS))
    said = [read_interval_estimate(row) for row in rows]
    scale = choose_axis([s.high for s in said if s])
    step = 100 / (len(rows) - 1)
    points = tuple(
        TrendPoint(
            start=format_optional_day(row["period_start"]),
            said=s,
            x=round(i * step, 1),
            y=round(100 - axis_position(s.estimate, scale.top), 1) if s else None,
            low=round(100 - axis_position(s.low, scale.top), 1) if s else None,
            high=round(100 - axis_position(s.high, scale.top), 1) if s else None,
            joined=i > 0 and s is not None and said[i - 1] is not None,
        )
        for i, (row, s) in enumerate(zip(rows, said, strict=True))
    )
    ends = dict.fromkeys((points[0], points[len(points) // 2], points[-1]))
    dates = tuple(Tick(p.start, p.x) for p in ends)
    return TrendSeries(MEASURE_WORDS[measure].name, scale, dates, points, _trend_verdict(points))


def _trend_verdict(points: tuple[TrendPoint, ...]) -> str:
    """State what changed between the first and the last period with a figure."""
    told = [p for p in points if p.said]
    if len(told) < 2:
        return "Fewer than two periods have a figure, so a change is not known yet."
    first, last = told[0], told[-1]
    if first.said is None or last.said is None:
        return ""
    moved = f"From {first.percent} ({first.start}) to {last.percent} ({last.start})"
    gap = IntervalEstimate(*rate_difference(last.said, first.said))
    if gap.high < 0 or gap.low > 0:
        return f"{moved}: a clear {'fall' if gap.high < 0 else 'rise'}."
    return f"{moved}: no clear change."


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
