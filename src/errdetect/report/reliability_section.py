"""Whether the stated chances of error hold: of decisions given 30 %, how many were wrong."""

from dataclasses import dataclass

import pandas as pd

from errdetect.changes.formatting import (
    clean,
    count,
    has_rows,
    number,
    percent,
    records,
    require,
    span,
)
from errdetect.changes.glossary import BY_WORDS
from errdetect.report.charts import Axis, axis, place
from errdetect.report.figures import Said

__all__ = ["Group", "Reliability", "reliability"]

_COLUMNS = ("said", "seen", "low", "high", "n")
_NAMED = 8  # segments; more are counted


@dataclass(frozen=True)
class Group:
    """Decisions that were given about the same chance of being wrong.

    Parameters
    ----------
    said
        The chance they were given, on average.
    seen
        The share that was wrong, with its interval.
    n
        Reviews behind it.
    x, y, low, high
        The point and its interval's ends in the chart, in percent; y runs downwards.
    apart
        The interval does not hold what was said.
    """

    said: float
    seen: Said
    n: int
    x: float
    y: float
    low: float
    high: float
    apart: bool


@dataclass(frozen=True)
class Reliability:
    """Said and seen, in words, as a chart and as a table.

    Parameters
    ----------
    sentence
        What was seen among decisions given the highest chance, and in how many groups it holds.
    groups
        From the least to the most suspect decisions.
    scale
        The axis of both directions.
    checked
        In how many segments said and seen differ by more than chance brings; None where no segment
        had enough reviews to be checked.
    segments
        Those segments: name, and what was said and seen.
    """

    sentence: str
    groups: tuple[Group, ...]
    scale: Axis
    checked: str | None
    segments: tuple[tuple[str, str], ...]


def reliability(frame: pd.DataFrame | None, by: pd.DataFrame | None = None) -> Reliability | None:
    r"""Read how well the stated chances of error held on decisions that the model had not seen.

    Parameters
    ----------
    frame
        One row a group of decisions: `said`, `seen`, `low`, `high` as shares of 1, and `n`
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
    >>> found = reliability(pd.DataFrame(rows, columns=["said", "seen", "low", "high", "n"]))
    >>> found.sentence.replace("\xa0", " ")[:75] if found else None
    'Of decisions given a chance of 31.0 % to be wrong, 22.0 % were wrong (18.0 '
    """
    if frame is None or not has_rows(frame):
        return None
    require(frame, _COLUMNS, "reliability")
    rows = sorted(
        (r for r in map(_row, records(frame)) if r), key=lambda r: (r[0], r[1].estimate, r[2])
    )
    if not rows:
        return None
    scale = axis([most for said, seen, _ in rows for most in (said, seen.high)])
    groups = tuple(_group(*row, scale) for row in rows)
    return Reliability(_sentence(groups), groups, scale, *_segments(by))


def _row(row: dict[str, object]) -> tuple[float, Said, int] | None:
    said, seen, low, high, n = (number(row[c]) for c in _COLUMNS)
    if said is None or seen is None or low is None or high is None or n is None:
        return None
    return said, Said(seen, low, high), int(n)


def _group(said: float, seen: Said, n: int, scale: Axis) -> Group:
    return Group(
        said=said,
        seen=seen,
        n=n,
        x=place(said, scale.top),
        y=round(100 - place(seen.estimate, scale.top), 1),
        low=round(100 - place(seen.low, scale.top), 1),
        high=round(100 - place(seen.high, scale.top), 1),
        apart=not seen.low <= said <= seen.high,
    )


def _sentence(groups: tuple[Group, ...]) -> str:
    top = groups[-1]
    held = sum(not g.apart for g in groups)
    return (
        f"Of decisions given a chance of {percent(top.said)} to be wrong, "
        f"{percent(top.seen.estimate)} were wrong ({span(top.seen.low, top.seen.high)}). "
        f"In {held} of {len(groups)} groups the interval holds what was said."
    )


def _segments(by: pd.DataFrame | None) -> tuple[str | None, tuple[tuple[str, str], ...]]:
    """Say how many segments differ from what was said, and name them, the largest gaps first."""
    if by is None or not has_rows(by):
        return None, ()
    require(by, ("column", "value", "differs", *_COLUMNS), "reliability by segment")
    apart = [
        (_name(row), *found)
        for row in records(by)
        if row["differs"] is True and (found := _row(row))
    ]
    checked = f"Of {count(len(by))} segments with enough reviews to check"
    if not apart:
        return f"{checked}, none differs from what was said by more than chance brings.", ()
    apart.sort(key=lambda one: (-abs(one[1] - one[2].estimate), one[0]))
    named = tuple(
        (name, f"given {percent(said)}, wrong {percent(seen.estimate)}")
        for name, said, seen, _ in apart[:_NAMED]
    )
    first = "" if len(apart) <= _NAMED else f"; the {_NAMED} largest gaps"
    verb = "differs" if len(apart) == 1 else "differ"
    why = f"{checked}, {count(len(apart))} {verb} from what was said by more than chance brings"
    return f"{why}{first}:", named


def _name(row: dict[str, object]) -> str:
    column = str(row["column"])
    word = BY_WORDS[column].one if column in BY_WORDS else clean(column, 40)
    return f"{word} {clean(row['value'], 60)}"
