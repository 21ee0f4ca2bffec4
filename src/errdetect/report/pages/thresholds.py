"""If the bar were moved: harm over thresholds, where reviewed decisions support it."""

from collections.abc import Mapping, Sequence
from typing import Any

from errdetect.changes.formatting import clean, count, number
from errdetect.report.charts import place
from errdetect.report.figures import Said
from errdetect.report.pages.page_blocks import (
    Block,
    absent,
    amount,
    column,
    flag,
    note,
    paragraph,
    said,
    table,
    text_of,
    unsaid,
)

__all__ = ["THRESHOLD_COLUMNS", "threshold_blocks"]

THRESHOLD_COLUMNS = (
    *("threshold", "harm", "harm_low", "harm_high"),
    *("current", "supported", "recommended"),
)
_MAX_POINTS = 41

Row = Mapping[str, Any]


def threshold_blocks(rows: Sequence[Row], most: int, bars: int, why: str = "") -> list[Block]:
    """Show what other bars would bring, machine by machine.

    Parameters
    ----------
    rows
        The policy's thresholds, see `ReportContent`.
    most
        How many machines (and markets) to show: those with a recommended bar first, then by
        enforced decisions; ties by name.
    bars
        How many bars each table shows, besides the one of today and the recommended one.
    why
        Why there are none.

    Returns
    -------
    list of Block
        For each a sentence, a chart and a table.

    Examples
    --------
    >>> threshold_blocks([], 2, 9)[0]["x"]
    'What another bar would bring cannot be said.'
    """
    if not rows:
        how = "It takes the machine’s scores and audited decisions on both sides of the bar."
        return [absent("What another bar would bring cannot be said.", why or how)]
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((text_of(row, "moderator"), text_of(row, "market")), []).append(row)
    ranked = sorted(groups, key=lambda key: _order(key, groups[key]))
    blocks = [block for key in ranked[:most] for block in _group(key, groups[key], bars)]
    if len(ranked) > most:
        blocks.append(note(f"{count(len(ranked) - most)} more stand in the table “thresholds”."))
    return blocks


def _order(key: tuple[str, str], rows: Sequence[Row]) -> tuple[bool, float, tuple[str, str]]:
    enforced = max((number(row.get("n_enforced")) or 0.0 for row in rows), default=0.0)
    return (not any(flag(row, "recommended") for row in rows), -enforced, key)


def _group(key: tuple[str, str], rows: Sequence[Row], bars: int) -> list[Block]:
    """Lay out one machine's what-if."""
    ordered = sorted(
        (row for row in rows if number(row["threshold"]) is not None),
        key=lambda row: float(row["threshold"]),
    )
    named = [clean(part, 60) for part in key if part]
    name = ", ".join(named) or "All machines"
    told = [row for row in ordered if flag(row, "supported") and _harm(row)]
    if len(told) < 2:
        few = "Too few reviewed decisions lie on either side of it."
        return [absent(f"{name}: what another bar would bring cannot be said.", few)]
    shown = _thinned(_near(ordered, told), _MAX_POINTS)
    return [
        paragraph(f"{name}: {_sentence(ordered)}"),
        _chart(name, shown),
        _table(name, _thinned(told, bars)),
    ]


def _near(rows: Sequence[Row], told: Sequence[Row]) -> list[Row]:
    """Keep what reviewed decisions support and a fifth of that width on either side."""
    low, high = float(told[0]["threshold"]), float(told[-1]["threshold"])
    margin = 0.2 * (high - low)
    return [row for row in rows if low - margin <= float(row["threshold"]) <= high + margin]


def _harm(row: Row) -> Said | None:
    return said(row, "harm")


def _thinned(rows: Sequence[Row], most: int) -> list[Row]:
    """Keep about so many rows evenly, and always the current and the recommended bar."""
    step = max(1, -(-len(rows) // most))
    return [
        row
        for i, row in enumerate(rows)
        if i % step == 0 or i == len(rows) - 1 or flag(row, "current") or flag(row, "recommended")
    ]


def _sentence(rows: Sequence[Row]) -> str:
    """Say what the recommended bar would bring, or that none is."""
    now = next((row for row in rows if flag(row, "current")), None)
    best = next((row for row in rows if flag(row, "recommended")), None)
    bar = f"the bar is {_bar(now)}" if now else "the bar of today is not known"
    if best is None or best is now:
        return f"{bar}. No other bar is shown to do less harm."
    after, before = _harm(best), _harm(now) if now else None
    harm = f"expected harm {_amounts(after)}" if after else "expected harm cannot be said"
    instead = f" instead of {_amounts(before)}" if before else ""
    return f"{bar}. A bar of {_bar(best)} would bring {harm}{instead}."


def _bar(row: Row) -> str:
    return f"{float(row['threshold']):.3f}".rstrip("0").rstrip(".")


def _amounts(harm: Said) -> str:
    return f"{amount(harm.estimate)} (between {amount(harm.low)} and {amount(harm.high)})"


def _chart(name: str, rows: Sequence[Row]) -> Block:
    """Place the curve, its band, the supported range and the bars, in percent of the chart."""
    xs = [float(row["threshold"]) for row in rows]
    left, width = min(xs), (max(xs) - min(xs)) or 1.0
    told = [_harm(row) if flag(row, "supported") else None for row in rows]
    top = max((harm.high for harm in told if harm), default=1.0) or 1.0

    def across(x: float) -> float:
        return round(100 * (x - left) / width, 1)

    points = [
        [across(x), *(round(100 - place(v, top), 1) for v in (harm.estimate, harm.low, harm.high))]
        if harm
        else [across(x)]
        for x, harm in zip(xs, told, strict=True)
    ]
    marks = {
        mark: [across(float(row["threshold"])), _bar(row)]
        for mark, name_ in (("n", "current"), ("g", "recommended"))
        for row in rows
        if flag(row, name_)
    }
    return {
        "t": "m",
        "x": f"{name}: expected harm over the bar",
        "p": points,
        "a": [[f"{left + part * width:.2f}", 100 * part] for part in (0, 0.25, 0.5, 0.75, 1)],
        "y": [[amount(part * top), 100 - 100 * part] for part in (0, 0.5, 1)],
        **marks,
    }


def _table(name: str, rows: Sequence[Row]) -> Block:
    """Give the chart's figures, at a few bars."""
    columns = [
        column("Bar", "number"),
        column("Wrongful actions", "number"),
        column("Missed violations", "number"),
        column("Expected harm", "number"),
        column("Enforced", "number"),
        column("Decisions near the bar", "number"),
    ]
    body = [
        [
            {"x": _bar(row), "q": _which(row)} if _which(row) else _bar(row),
            _cell(said(row, "wrongful")),
            _cell(said(row, "missed")),
            _cell(_harm(row)),
            _count(row, "n_enforced"),
            _count(row, "load"),
        ]
        for row in rows
    ]
    return table(f"{name}: what each bar would bring, with 95\u00a0% intervals", columns, body)


def _which(row: Row) -> str:
    if flag(row, "recommended"):
        return "recommended"
    return "today" if flag(row, "current") else ""


def _cell(value: Said | None) -> Any:
    """Show an amount with its interval."""
    if value is None:
        return unsaid("cannot be said")
    return {"x": amount(value.estimate), "q": f"{amount(value.low)} to {amount(value.high)}"}


def _count(row: Row, name: str) -> Any:
    value = number(row.get(name))
    return unsaid("not known") if value is None else count(round(value))
