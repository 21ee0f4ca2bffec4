"""What changed between two periods, with an interval that says whether it is more than chance."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from errdetect.changes.formatting import day_of, has_rows, percent, records, require
from errdetect.changes.glossary import MEASURE_WORDS
from errdetect.report.figures import Said, read_said
from errdetect.stats.intervals import difference_of_rates

__all__ = ["Change", "changes", "changes_by"]

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
    return Change(
        measure, name, since, until, before, after, Said(*difference_of_rates(after, before))
    )
