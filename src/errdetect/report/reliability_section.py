"""Calibration: of decisions with a predicted error probability of 30 %, how many were wrong."""

from dataclasses import dataclass

import pandas as pd

from errdetect.changes.display_terms import BY_WORDS
from errdetect.changes.text_formatting import (
    clean_text,
    finite_or_none,
    format_count,
    format_interval,
    format_percent,
    has_rows,
    require_columns,
    to_records,
)
from errdetect.report.charts import Axis, axis_position, choose_axis
from errdetect.report.reported_rates import IntervalEstimate

__all__ = ["Reliability", "ReliabilityBin", "read_reliability"]

_COLUMNS = ("predicted", "observed", "low", "high", "n")
_NAMED = 8  # segments; more are counted


@dataclass(frozen=True)
class ReliabilityBin:
    """Decisions with about the same predicted probability of error.

    Parameters
    ----------
    predicted
        The mean predicted probability.
    observed
        The share that was wrong, with its interval.
    n
        Reviews behind it.
    x, y, low, high
        The point and its interval's ends in the chart, in percent; y runs downwards.
    apart
        Whether the interval excludes the prediction.
    """

    predicted: float
    observed: IntervalEstimate
    n: int
    x: float
    y: float
    low: float
    high: float
    apart: bool


@dataclass(frozen=True)
class Reliability:
    """Predicted and observed shares, as text, chart and table.

    Parameters
    ----------
    sentence
        Observed share among the most suspect decisions, and how many groups are calibrated.
    groups
        From the least to the most suspect decisions.
    scale
        The axis of both directions.
    checked
        How many segments differ from the prediction beyond chance; None where no segment
        had enough reviews to be checked.
    segments
        Those segments: name, predicted and observed share.
    """

    sentence: str
    groups: tuple[ReliabilityBin, ...]
    scale: Axis
    checked: str | None
    segments: tuple[tuple[str, str], ...]


def read_reliability(
    frame: pd.DataFrame | None, by: pd.DataFrame | None = None
) -> Reliability | None:
    r"""Read the calibration on decisions that the model had not seen.

    Parameters
    ----------
    frame
        One row a group of decisions: `predicted`, `observed`, `low`, `high` as shares of 1, and `n`
        reviews; or None.
    by
        One row a segment: `column`, `value`, `differs` and the same columns; or None.

    Returns
    -------
    Reliability or None
        None where there is nothing to show.

    Raises
    ------
    DataError
        Where a column is missing.

    Examples
    --------
    >>> rows = [[0.05, 0.06, 0.04, 0.09, 400], [0.31, 0.22, 0.18, 0.27, 400]]
    >>> found = read_reliability(pd.DataFrame(rows, columns=["predicted", "observed", "low", "high", "n"]))
    >>> found.sentence.replace("\xa0", " ")[:83] if found else None
    'Of decisions with a predicted error probability of 31.0 %, 22.0 % were wrong (18.0 '
    """
    if frame is None or not has_rows(frame):
        return None
    require_columns(frame, _COLUMNS, "reliability")
    rows = sorted(
        (r for r in map(_read_bin, to_records(frame)) if r),
        key=lambda r: (r[0], r[1].estimate, r[2]),
    )
    if not rows:
        return None
    scale = choose_axis(
        [most for predicted, observed, _ in rows for most in (predicted, observed.high)]
    )
    groups = tuple(_reliability_bin(*row, scale) for row in rows)
    return Reliability(_calibration_sentence(groups), groups, scale, *_miscalibrated_segments(by))


def _read_bin(row: dict[str, object]) -> tuple[float, IntervalEstimate, int] | None:
    predicted, observed, low, high, n = (finite_or_none(row[c]) for c in _COLUMNS)
    if predicted is None or observed is None or low is None or high is None or n is None:
        return None
    return predicted, IntervalEstimate(observed, low, high), int(n)


def _reliability_bin(
    predicted: float, observed: IntervalEstimate, n: int, scale: Axis
) -> ReliabilityBin:
    return ReliabilityBin(
        predicted=predicted,
        observed=observed,
        n=n,
        x=axis_position(predicted, scale.top),
        y=round(100 - axis_position(observed.estimate, scale.top), 1),
        low=round(100 - axis_position(observed.low, scale.top), 1),
        high=round(100 - axis_position(observed.high, scale.top), 1),
        apart=not observed.low <= predicted <= observed.high,
    )


def _calibration_sentence(groups: tuple[ReliabilityBin, ...]) -> str:
    top = groups[-1]
    held = sum(not g.apart for g in groups)
    return (
        f"Of decisions with a predicted error probability of {format_percent(top.predicted)}, "
        f"{format_percent(top.observed.estimate)} were wrong ({format_interval(top.observed.low, top.observed.high)}). "
        f"In {held} of {len(groups)} groups the interval includes the prediction."
    )


def _miscalibrated_segments(
    by: pd.DataFrame | None,
) -> tuple[str | None, tuple[tuple[str, str], ...]]:
    """State how many segments differ from the prediction, and name the largest gaps first."""
    if by is None or not has_rows(by):
        return None, ()
    require_columns(by, ("column", "value", "differs", *_COLUMNS), "reliability by segment")
    apart = [
        (_segment_name(row), *found)
        for row in to_records(by)
        if row["differs"] is True and (found := _read_bin(row))
    ]
    checked = f"Of {format_count(len(by))} segments with enough reviews to check"
    if not apart:
        return f"{checked}, none differs from the prediction beyond chance.", ()
    apart.sort(key=lambda one: (-abs(one[1] - one[2].estimate), one[0]))
    named = tuple(
        (
            name,
            f"predicted {format_percent(predicted)}, observed {format_percent(observed.estimate)}",
        )
        for name, predicted, observed, _ in apart[:_NAMED]
    )
    first = "" if len(apart) <= _NAMED else f"; the {_NAMED} largest gaps"
    verb = "differs" if len(apart) == 1 else "differ"
    why = f"{checked}, {format_count(len(apart))} {verb} from the prediction beyond chance"
    return f"{why}{first}:", named


def _segment_name(row: dict[str, object]) -> str:
    column = str(row["column"])
    word = BY_WORDS[column].one if column in BY_WORDS else clean_text(column, 40)
    return f"{word} {clean_text(row['value'], 60)}"
