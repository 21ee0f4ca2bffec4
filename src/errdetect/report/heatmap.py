"""The error rate by policy and market as a table of shades, with its uncertainty."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from errdetect.changes.text_formatting import (
    clean_text,
    format_count,
    has_rows,
    to_records,
)
from errdetect.report.reported_rates import IntervalEstimate, read_interval_estimate

__all__ = ["Heatmap", "HeatmapRow", "HeatmapSquare", "build_heatmap", "shade_of", "short_span"]

#: Shades between none and the strongest.
_SHADES = 5
_MOST_ROWS, _MOST_COLUMNS = 25, 20
#: Width of an interval from which a rate tells too little for a shade.
_WIDEST = 0.4


@dataclass(frozen=True)
class HeatmapSquare:
    """One policy in one market.

    Parameters
    ----------
    rate
        Its error rate; None where too few were reviewed, or the interval is wider than 40 points.
    shade
        0 to 5, by the rate; whatever the interval, a rate that is not known has none.
    sure
        Whether the whole interval lies on one side of the overall rate: `above`, `below` or empty.
    n
        Reviewed decisions, as text.
    span
        The rate's limits in percent, short; empty without a rate.
    """

    rate: IntervalEstimate | None
    shade: int
    sure: str
    n: str
    span: str = ""


@dataclass(frozen=True)
class HeatmapRow:
    """A policy and its markets."""

    label: str
    squares: tuple[HeatmapSquare, ...]


@dataclass(frozen=True)
class Heatmap:
    """Policies down, markets across, those with most decisions first.

    Parameters
    ----------
    columns
        The markets.
    rows
        The policies.
    n_rows, n_columns
        How many there are in all.
    n_known
        Combinations with a figure, of those shown.
    """

    columns: tuple[str, ...]
    rows: tuple[HeatmapRow, ...]
    n_rows: int
    n_columns: int
    n_known: int


def build_heatmap(
    frame: pd.DataFrame | None, names: Mapping[str, str], overall: IntervalEstimate | None
) -> Heatmap | None:
    """Lay out the error rates by policy and market.

    Parameters
    ----------
    frame
        Estimates with `policy_id` and `market`; or None.
    names
        policy_id -> the policy's name.
    overall
        The overall error rate.

    Returns
    -------
    Heatmap or None
        None where there are fewer than two markets or no figures.

    Examples
    --------
    >>> build_heatmap(None, {}, None) is None
    True
    """
    if frame is None or not has_rows(frame):
        return None
    both = frame["policy_id"].notna() & frame["market"].notna()
    rows = frame[both & (frame["measure"] == "error_rate")]
    if rows["market"].nunique() < 2:
        return None
    policies, markets = (_largest(rows, name) for name in ("policy_id", "market"))
    at = {(str(r["policy_id"]), str(r["market"])): r for r in to_records(rows)}
    told = {key: _narrow(read_interval_estimate(row)) for key, row in at.items()}
    most = max((rate.estimate for rate in told.values() if rate), default=0.0)
    if most <= 0:
        return None
    shown = [
        HeatmapRow(
            clean_text(names.get(policy, policy)),
            tuple(
                _square(at.get((policy, market)), told.get((policy, market)), most, overall)
                for market in markets[:_MOST_COLUMNS]
            ),
        )
        for policy in policies[:_MOST_ROWS]
    ]
    return Heatmap(
        tuple(clean_text(market, 20) for market in markets[:_MOST_COLUMNS]),
        tuple(shown),
        len(policies),
        len(markets),
        sum(square.rate is not None for row in shown for square in row.squares),
    )


def shade_of(share: float, most: float) -> int:
    """Return the shade of a share, from 0 to 5, where the largest of the picture is `most`.

    Examples
    --------
    >>> shade_of(0.2, 0.4), shade_of(0.0, 0.0)
    (2, 0)
    """
    return round(_SHADES * share / most) if most > 0 else 0


def short_span(rate: IntervalEstimate) -> str:
    """Return an interval's limits in percent, for a narrow column: tenths only below 10 %.

    Examples
    --------
    >>> short_span(IntervalEstimate(0.1, 0.042, 0.161)), short_span(IntervalEstimate(0.01, 0.004, 0.021))
    ('4–16', '0.4–2.1')
    """
    digits = 0 if rate.high >= 0.1 else 1
    return f"{100 * rate.low:.{digits}f}–{100 * rate.high:.{digits}f}"


def _narrow(rate: IntervalEstimate | None) -> IntervalEstimate | None:
    return rate if rate and rate.high - rate.low <= _WIDEST else None


def _largest(rows: pd.DataFrame, name: str) -> list[str]:
    """Return the values with most decisions first."""
    total = rows.groupby(name)["n_decisions"].sum()
    order = total.reset_index().sort_values(["n_decisions", name], ascending=[False, True])
    return [str(value) for value in order[name]]


def _square(
    row: Mapping[str, Any] | None,
    rate: IntervalEstimate | None,
    most: float,
    overall: IntervalEstimate | None,
) -> HeatmapSquare:
    n = "0" if row is None else format_count(int(row["n_reviews"]))
    if rate is None:
        return HeatmapSquare(None, 0, "", n)
    sure = ""
    if overall is not None and (rate.low > overall.estimate or rate.high < overall.estimate):
        sure = "above" if rate.low > overall.estimate else "below"
    return HeatmapSquare(rate, shade_of(rate.estimate, most), sure, n, short_span(rate))
