"""Expected harm over thresholds, where reviewed decisions support it."""

from collections.abc import Mapping, Sequence
from typing import Any

from errdetect.changes.text_formatting import clean_text, finite_or_none, format_count
from errdetect.report.charts import axis_position
from errdetect.report.pages.page_blocks import (
    Block,
    format_amount,
    missing_block,
    no_estimate_cell,
    note_block,
    paragraph_block,
    read_estimate,
    read_flag,
    read_text,
    table_block,
    table_column,
)
from errdetect.report.reported_rates import IntervalEstimate

__all__ = ["THRESHOLD_COLUMNS", "threshold_blocks"]

THRESHOLD_COLUMNS = (
    *("threshold", "harm", "harm_low", "harm_high"),
    *("current", "supported", "recommended"),
)
_MAX_POINTS = 41

Row = Mapping[str, Any]


def threshold_blocks(rows: Sequence[Row], most: int, bars: int, why: str = "") -> list[Block]:
    """Show the effect of other thresholds, per machine.

    Parameters
    ----------
    rows
        The policy's thresholds, see `ReportContent`.
    most
        How many machines (and markets) to show: those with a recommended threshold first, then by
        enforced decisions; ties by name.
    bars
        How many thresholds each table shows, besides the current and the recommended one.
    why
        Why there are none.

    Returns
    -------
    list of Block
        For each a sentence, a chart and a table.

    Examples
    --------
    >>> threshold_blocks([], 2, 9)[0]["x"]
    'The effect of another threshold is not known yet.'
    """
    if not rows:
        how = "It takes the machine’s scores and audited decisions on both sides of the threshold."
        return [missing_block("The effect of another threshold is not known yet.", why or how)]
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((read_text(row, "moderator"), read_text(row, "market")), []).append(row)
    ranked = sorted(groups, key=lambda key: _machine_sort_key(key, groups[key]))
    blocks = [block for key in ranked[:most] for block in _machine_blocks(key, groups[key], bars)]
    if len(ranked) > most:
        blocks.append(
            note_block(f"{format_count(len(ranked) - most)} more in the table “thresholds”.")
        )
    return blocks


def _machine_sort_key(
    key: tuple[str, str], rows: Sequence[Row]
) -> tuple[bool, float, tuple[str, str]]:
    enforced = max((finite_or_none(row.get("n_enforced")) or 0.0 for row in rows), default=0.0)
    return (not any(read_flag(row, "recommended") for row in rows), -enforced, key)


def _machine_blocks(key: tuple[str, str], rows: Sequence[Row], bars: int) -> list[Block]:
    """Lay out one machine's what-if."""
    ordered = sorted(
        (row for row in rows if finite_or_none(row["threshold"]) is not None),
        key=lambda row: float(row["threshold"]),
    )
    named = [clean_text(part, 60) for part in key if part]
    name = ", ".join(named) or "All machines"
    told = [row for row in ordered if read_flag(row, "supported") and _harm_estimate(row)]
    if len(told) < 2:
        few = "Too few reviewed decisions lie on either side of it."
        return [missing_block(f"{name}: the effect of another threshold is not known yet.", few)]
    shown = _thin_rows(_rows_near_support(ordered, told), _MAX_POINTS)
    return [
        paragraph_block(f"{name}: {_recommendation_sentence(ordered)}"),
        _threshold_chart(name, shown),
        _threshold_table(name, _thin_rows(told, bars)),
    ]


def _rows_near_support(rows: Sequence[Row], told: Sequence[Row]) -> list[Row]:
    """Keep what reviewed decisions support and a fifth of that width on either side."""
    low, high = float(told[0]["threshold"]), float(told[-1]["threshold"])
    margin = 0.2 * (high - low)
    return [row for row in rows if low - margin <= float(row["threshold"]) <= high + margin]


def _harm_estimate(row: Row) -> IntervalEstimate | None:
    return read_estimate(row, "harm")


def _thin_rows(rows: Sequence[Row], most: int) -> list[Row]:
    """Keep about so many rows evenly, and always the current and the recommended threshold."""
    step = max(1, -(-len(rows) // most))
    return [
        row
        for i, row in enumerate(rows)
        if i % step == 0
        or i == len(rows) - 1
        or read_flag(row, "current")
        or read_flag(row, "recommended")
    ]


def _recommendation_sentence(rows: Sequence[Row]) -> str:
    """Describe the effect of the recommended threshold, or that there is none."""
    now = next((row for row in rows if read_flag(row, "current")), None)
    best = next((row for row in rows if read_flag(row, "recommended")), None)
    bar = (
        f"the threshold is {_format_threshold(now)}"
        if now
        else "the current threshold is not known"
    )
    if best is None or best is now:
        return f"{bar}. No other threshold is shown to do less harm."
    after, before = _harm_estimate(best), _harm_estimate(now) if now else None
    harm = f"expected harm {_harm_text(after)}" if after else "unknown expected harm"
    instead = f" instead of {_harm_text(before)}" if before else ""
    return f"{bar}. A threshold of {_format_threshold(best)} would bring {harm}{instead}."


def _format_threshold(row: Row) -> str:
    return f"{float(row['threshold']):.3f}".rstrip("0").rstrip(".")


def _harm_text(harm: IntervalEstimate) -> str:
    return f"{format_amount(harm.estimate)} (between {format_amount(harm.low)} and {format_amount(harm.high)})"


def _threshold_chart(name: str, rows: Sequence[Row]) -> Block:
    """Position the curve, its band, the supported range and the thresholds, in percent of the chart."""
    xs = [float(row["threshold"]) for row in rows]
    left, width = min(xs), (max(xs) - min(xs)) or 1.0
    told = [_harm_estimate(row) if read_flag(row, "supported") else None for row in rows]
    top = max((harm.high for harm in told if harm), default=1.0) or 1.0

    def across(x: float) -> float:
        return round(100 * (x - left) / width, 1)

    points = [
        [
            across(x),
            *(round(100 - axis_position(v, top), 1) for v in (harm.estimate, harm.low, harm.high)),
        ]
        if harm
        else [across(x)]
        for x, harm in zip(xs, told, strict=True)
    ]
    marks = {
        mark: [across(float(row["threshold"])), _format_threshold(row)]
        for mark, name_ in (("n", "current"), ("g", "recommended"))
        for row in rows
        if read_flag(row, name_)
    }
    return {
        "t": "m",
        "x": f"{name}: expected harm by threshold",
        "p": points,
        "a": [[f"{left + part * width:.2f}", 100 * part] for part in (0, 0.25, 0.5, 0.75, 1)],
        "y": [[format_amount(part * top), 100 - 100 * part] for part in (0, 0.5, 1)],
        **marks,
    }


def _threshold_table(name: str, rows: Sequence[Row]) -> Block:
    """Give the chart's figures, at a few thresholds."""
    columns = [
        table_column("Bar", "number"),
        table_column("Wrongful actions", "number"),
        table_column("Missed violations", "number"),
        table_column("Expected harm", "number"),
        table_column("Enforced", "number"),
        table_column("Decisions near the threshold", "number"),
    ]
    body = [
        [
            {"x": _format_threshold(row), "q": _row_label(row)}
            if _row_label(row)
            else _format_threshold(row),
            _estimate_cell(read_estimate(row, "wrongful")),
            _estimate_cell(read_estimate(row, "missed")),
            _estimate_cell(_harm_estimate(row)),
            _count_cell(row, "n_enforced"),
            _count_cell(row, "n_near_threshold"),
        ]
        for row in rows
    ]
    return table_block(f"{name}: effect of each threshold, with 95\u00a0% intervals", columns, body)


def _row_label(row: Row) -> str:
    if read_flag(row, "recommended"):
        return "recommended"
    return "today" if read_flag(row, "current") else ""


def _estimate_cell(value: IntervalEstimate | None) -> Any:
    """Show an amount with its interval."""
    if value is None:
        return no_estimate_cell("not known")
    return {
        "x": format_amount(value.estimate),
        "q": f"{format_amount(value.low)} to {format_amount(value.high)}",
    }


def _count_cell(row: Row, name: str) -> Any:
    value = finite_or_none(row.get(name))
    return no_estimate_cell("not known") if value is None else format_count(round(value))
