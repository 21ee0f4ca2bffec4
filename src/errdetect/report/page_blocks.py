"""The parts that a policy's page is made of: plain values, laid out by the page's script.

Every text is made safe to show here (bounded, no hidden characters); the script writes it as text
only, so that it can never become markup.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

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
from errdetect.report.charts import Axis, IntervalStrip
from errdetect.report.reported_rates import IntervalEstimate

__all__ = [
    "Block",
    "format_amount",
    "format_rate",
    "heading_block",
    "missing_block",
    "no_estimate_cell",
    "note_block",
    "paragraph_block",
    "plot_cell",
    "plot_column",
    "rate_cell",
    "read_estimate",
    "read_flag",
    "read_text",
    "rows_by_policy",
    "share_columns",
    "table_block",
    "table_column",
]


Row = Mapping[str, Any]


def rows_by_policy(
    frame: pd.DataFrame | None, columns: Iterable[str], what: str
) -> dict[str, list[dict[str, Any]]]:
    """Gather the rows of each policy; rows without one are left to the tables.

    Parameters
    ----------
    frame
        A table with `policy_id`; or None.
    columns
        Further columns that it must have.
    what
        Name of the table in messages.

    Returns
    -------
    dict
        policy_id -> its rows, in the table's order.

    Raises
    ------
    DataError
        Where a column is missing.

    Examples
    --------
    >>> rows_by_policy(pd.DataFrame({"policy_id": ["a", None], "n": [1, 2]}), ["n"], "slices")
    {'a': [{'policy_id': 'a', 'n': 1}]}
    """
    if frame is None or not has_rows(frame):
        return {}
    require_columns(frame, ("policy_id", *columns), what)
    found: dict[str, list[dict[str, Any]]] = {}
    for row in to_records(frame[frame["policy_id"].notna()]):
        found.setdefault(str(row["policy_id"]), []).append(row)
    return found


def read_estimate(row: Row, name: str, low: str = "", high: str = "") -> IntervalEstimate | None:
    """Read a value with its limits; None where a part is missing.

    Parameters
    ----------
    row
        A table's row.
    name, low, high
        Its columns; the limits are `name_low` and `name_high` unless they are named.

    Examples
    --------
    >>> read_estimate({"harm": 2.0, "harm_low": 1.0, "harm_high": 3.0}, "harm")
    IntervalEstimate(estimate=2.0, low=1.0, high=3.0)
    >>> read_estimate({"harm": 2.0}, "harm") is None
    True
    """
    parts = [
        finite_or_none(row.get(c)) for c in (name, low or f"{name}_low", high or f"{name}_high")
    ]
    estimate, least, most = parts
    if estimate is None or least is None or most is None:
        return None
    return IntervalEstimate(estimate, least, most)


def read_flag(row: Row, name: str) -> bool:
    """Read a yes or no; what is missing is no.

    Examples
    --------
    >>> read_flag({"confirmed": True}, "confirmed"), read_flag({"confirmed": None}, "confirmed")
    (True, False)
    """
    value = row.get(name)
    return not pd.isna(value) and bool(value)


def read_text(row: Row, name: str) -> str:
    """Read a text; empty where it is missing.

    Examples
    --------
    >>> read_text({"cause": None}, "cause"), read_text({"cause": "threshold"}, "cause")
    ('', 'threshold')
    """
    value = row.get(name)
    missing = value is None or (not isinstance(value, list | tuple) and pd.isna(value))
    return "" if missing else str(value)


def format_amount(value: float) -> str:
    """Write an amount of harm or a number of decisions: whole from ten on.

    Examples
    --------
    >>> format_amount(1234.4), format_amount(3.14), format_amount(-0.04)
    ('1,234', '3.1', '0.0')
    """
    if abs(value) >= 10:
        return format_count(round(value))
    return f"{value:.1f}".replace("-0.0", "0.0")


Block = dict[str, Any]


def heading_block(text: str) -> Block:
    """Return a heading.

    Examples
    --------
    >>> heading_block("Cases")
    {'t': 'h', 'x': 'Cases'}
    """
    return {"t": "h", "x": text}


def paragraph_block(text: str) -> Block:
    """Return a paragraph.

    Examples
    --------
    >>> paragraph_block("Nothing stands out.")
    {'t': 'p', 'x': 'Nothing stands out.'}
    """
    return {"t": "p", "x": text}


def note_block(text: str) -> Block:
    """Return a note in small print.

    Examples
    --------
    >>> note_block("Intervals are 95 %.")
    {'t': 'q', 'x': 'Intervals are 95 %.'}
    """
    return {"t": "q", "x": text}


def missing_block(why: str, how: str = "") -> Block:
    """Return a notice that something is missing, why, and how to get it.

    Examples
    --------
    >>> missing_block("No cases.", "Train a model.")["y"]
    'Train a model.'
    """
    return {"t": "a", "x": why, "y": clean_text(how, 400, "")}


def table_column(text: str, sort: str = "text") -> dict[str, Any]:
    """Define a table's column; `sort` is `text`, `finite_or_none` or empty for none.

    Examples
    --------
    >>> table_column("Decisions", "number")
    {'x': 'Decisions', 'k': 'number'}
    """
    return {"x": text, "k": sort}


def plot_column(text: str, scale: Axis) -> dict[str, Any]:
    r"""Define a column of plotted intervals, with its axis.

    Examples
    --------
    >>> from errdetect.report.charts import full_axis
    >>> plot_column("Interval", full_axis())["a"][0]
    ['0\xa0%', 0.0]
    """
    return {"x": text, "a": [[tick.text, tick.at] for tick in scale.ticks]}


def table_block(caption: str, columns: Sequence[Any], rows: Sequence[Sequence[Any]]) -> Block:
    """Set up a table that can be sorted; the first cell of a row heads it.

    Examples
    --------
    >>> table_block("Slices", [table_column("Where")], [["market DE"]])["r"]
    [['market DE']]
    """
    return {"t": "t", "x": caption, "c": list(columns), "r": [list(row) for row in rows]}


def format_rate(said: IntervalEstimate | None) -> str:
    r"""Write a rate with its interval.

    Examples
    --------
    >>> format_rate(IntervalEstimate(0.1, 0.05, 0.2)), format_rate(None)
    ('10.0\xa0% (5.0 to 20.0\xa0%)', 'not known yet')
    """
    if said is None:
        return "not known yet"
    return f"{format_percent(said.estimate)} ({format_interval(said.low, said.high)})"


def rate_cell(said: IntervalEstimate | None) -> Any:
    r"""Show a rate with its interval in a cell.

    Examples
    --------
    >>> rate_cell(IntervalEstimate(0.1, 0.05, 0.2))
    {'x': '10.0\xa0%', 'q': '5.0–20.0'}
    """
    if said is None:
        return no_estimate_cell("not known yet")
    brief = format_interval(said.low, said.high).replace(" to ", "–").removesuffix("\u00a0%")
    return {"x": format_percent(said.estimate), "q": brief}


def no_estimate_cell(why: str) -> dict[str, Any]:
    """Return a cell without a figure.

    Examples
    --------
    >>> no_estimate_cell("not measured")
    {'x': 'not measured', 'u': 1}
    """
    return {"x": why, "u": 1}


def plot_cell(place: IntervalStrip) -> dict[str, Any]:
    """Show an interval as a plot in a cell.

    Examples
    --------
    >>> plot_cell(IntervalStrip(10.0, 5.0, 20.0, None, None, False))
    {'s': [10.0, 5.0, 20.0, None, 0]}
    """
    return {"s": [place.at, place.low, place.high, place.reference, int(place.cut)]}


def share_columns(pages: Sequence[Sequence[Block]]) -> dict[str, Any]:
    """Store columns shared by many tables once, to keep the file small.

    Parameters
    ----------
    pages
        The blocks of each page.

    Returns
    -------
    dict
        `columns`: each list of columns once; `pages`: the blocks, a table's columns as the index
        of their list.

    Examples
    --------
    >>> tables = [[table_block("A", [table_column("Where")], [])], [table_block("B", [table_column("Where")], [])]]
    >>> found = share_columns(tables)
    >>> len(found["columns"]), [page[0]["c"] for page in found["pages"]]
    (1, [0, 0])
    """
    places: dict[str, int] = {}
    columns: list[Any] = []
    shared: list[list[Block]] = []
    for page in pages:
        shared.append([])
        for block in page:
            if block["t"] == "t":
                key = repr(block["c"])
                if key not in places:
                    places[key] = len(columns)
                    columns.append(block["c"])
                block = block | {"c": places[key]}
            shared[-1].append(block)
    return {"columns": columns, "pages": shared}
