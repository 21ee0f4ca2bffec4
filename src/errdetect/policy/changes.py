"""What changed between two periods, with an interval that says whether it is more than chance."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from errdetect.policy.figures import Said, read_said
from errdetect.policy.frames import has_rows, records, require
from errdetect.policy.vocabulary import MEASURE_WORDS
from errdetect.policy.words import day_of, percent

__all__ = ["Change", "changes", "changes_by", "difference"]

_COLUMNS = ("period_start", "measure", "estimate", "low", "high", "suppressed")
_MEASURES = ("error_rate", "wrongful_rate", "missed_rate")


@dataclass(frozen=True)
class Change:
    """A measure's last two figures, and how far they lie apart.

    Parameters
    ----------
    measure, name
        The measure, and its name in words.
    since, until
        First days of the two periods.
    before, after
        Their rates.
    gap
        `after` less `before`, with its interval.
    """

    measure: str
    name: str
    since: str
    until: str
    before: Said
    after: Said
    gap: Said

    @property
    def way(self) -> str:
        """`rise` or `fall` where the interval leaves zero out, else empty."""
        if self.gap.low > 0:
            return "rise"
        return "fall" if self.gap.high < 0 else ""

    @property
    def sentence(self) -> str:
        """The change in plain words, with the measure's name."""
        return f"{self.name}: {self.brief[0].lower()}{self.brief[1:]}"

    @property
    def brief(self) -> str:
        """The change in one line, beside the measure's figure."""
        low, high = (f"{100 * x:+.1f}" for x in (self.gap.low, self.gap.high))
        verdict = f"a clear {self.way}" if self.way else "no change is shown"
        return (
            f"From {percent(self.before.estimate)} ({self.since}) to "
            f"{percent(self.after.estimate)} ({self.until}): {verdict}, {low} to {high} points."
        )


def difference(before: Said, after: Said) -> Said:
    """Subtract two independent rates and recover the interval of their difference from theirs.

    Parameters
    ----------
    before, after
        Rates with 95 % intervals, from different decisions.

    Returns
    -------
    Said
        `after - before` with its 95 % interval, within [-1, 1].

    Notes
    -----
    Zou and Donner (2008), Statistics in Medicine 27: the limits are combined by the square root
    of summed squares, so an uneven interval stays uneven.

    Examples
    --------
    >>> gap = difference(Said(0.10, 0.08, 0.12), Said(0.05, 0.04, 0.065))
    >>> round(gap.estimate, 3), round(gap.low, 3), round(gap.high, 3)
    (-0.05, -0.072, -0.025)
    """
    gap = after.estimate - before.estimate
    down = math.hypot(after.estimate - after.low, before.high - before.estimate)
    up = math.hypot(after.high - after.estimate, before.estimate - before.low)
    return Said(gap, max(gap - down, -1.0), min(gap + up, 1.0))


def changes(trend: pd.DataFrame | None) -> tuple[Change, ...]:
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
    >>> changes(frame)[0].way
    'fall'
    """
    if trend is None or not has_rows(trend):
        return ()
    require(trend, _COLUMNS, "trend")
    rows = records(trend.sort_values("period_start", kind="stable"))
    found = (_last(m, [r for r in rows if r["measure"] == m]) for m in _MEASURES)
    return tuple(change for change in found if change)


def changes_by(trend: pd.DataFrame | None) -> dict[str, tuple[Change, ...]]:
    """Compare each policy's last two periods that have a figure.

    Parameters
    ----------
    trend
        `policy_id` and the columns of `changes`; or None.

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
    >>> changes_by(None)
    {}
    """
    if trend is None or not has_rows(trend):
        return {}
    require(trend, ("policy_id", *_COLUMNS), "trend_by")
    found = {str(key): changes(part) for key, part in trend.groupby("policy_id", sort=True)}
    return {key: part for key, part in found.items() if part}


def _last(measure: str, rows: Sequence[dict[str, object]]) -> Change | None:
    """Find the last two figures of a measure."""
    told = [(row, said) for row in rows if (said := read_said(row)) is not None]
    if len(told) < 2:
        return None
    (old, before), (new, after) = told[-2:]
    since, until = day_of(old["period_start"]), day_of(new["period_start"])
    name = MEASURE_WORDS[measure].name
    return Change(measure, name, since, until, before, after, difference(before, after))
