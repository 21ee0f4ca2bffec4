"""How the rates move from period to period, and whether a change is more than chance."""

from dataclasses import dataclass

import pandas as pd

from errdetect.changes.display_terms import MEASURE_WORDS
from errdetect.changes.text_formatting import (
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

__all__ = ["TrendPoint", "TrendSeries", "build_trends"]

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
