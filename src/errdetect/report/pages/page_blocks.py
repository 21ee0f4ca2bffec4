"""The parts that a policy's page is made of: plain values, laid out by the page's script.

Every text is made fit to be shown here (bounded, nothing hidden); the script writes it as text
only, so that it can never become markup.
"""

from collections.abc import Sequence
from typing import Any

from errdetect.report.charts import Axis, Strip
from errdetect.report.figures import Said
from errdetect.policy.words import clean, percent, span

__all__ = [
    "Block",
    "absent",
    "column",
    "heading",
    "interval",
    "note",
    "paragraph",
    "plot_cell",
    "plot_column",
    "rate_cell",
    "share_columns",
    "table",
    "unsaid",
]

Block = dict[str, Any]


def heading(text: str) -> Block:
    """Head a part of the page.

    Examples
    --------
    >>> heading("Cases")
    {'t': 'h', 'x': 'Cases'}
    """
    return {"t": "h", "x": text}


def paragraph(text: str) -> Block:
    """Say something.

    Examples
    --------
    >>> paragraph("Nothing stands out.")
    {'t': 'p', 'x': 'Nothing stands out.'}
    """
    return {"t": "p", "x": text}


def note(text: str) -> Block:
    """Say something aside, in small letters.

    Examples
    --------
    >>> note("Intervals are 95 %.")
    {'t': 'q', 'x': 'Intervals are 95 %.'}
    """
    return {"t": "q", "x": text}


def absent(why: str, how: str = "") -> Block:
    """Say that something is not there, why, and what would bring it.

    Examples
    --------
    >>> absent("No cases.", "Train a model.")["y"]
    'Train a model.'
    """
    return {"t": "a", "x": why, "y": clean(how, 400, "")}


def column(text: str, sort: str = "text") -> dict[str, Any]:
    """Name a table's column; `sort` is `text`, `number` or empty for none.

    Examples
    --------
    >>> column("Decisions", "number")
    {'x': 'Decisions', 'k': 'number'}
    """
    return {"x": text, "k": sort}


def plot_column(text: str, scale: Axis) -> dict[str, Any]:
    r"""Name a column of drawn intervals, with its axis.

    Examples
    --------
    >>> from errdetect.report.charts import whole_axis
    >>> plot_column("Interval", whole_axis())["a"][0]
    ['0\xa0%', 0.0]
    """
    return {"x": text, "a": [[tick.text, tick.at] for tick in scale.ticks]}


def table(caption: str, columns: Sequence[Any], rows: Sequence[Sequence[Any]]) -> Block:
    """Set up a table that can be sorted; the first cell of a row heads it.

    Examples
    --------
    >>> table("Slices", [column("Where")], [["market DE"]])["r"]
    [['market DE']]
    """
    return {"t": "t", "x": caption, "c": list(columns), "r": [list(row) for row in rows]}


def interval(said: Said | None) -> str:
    r"""Write a rate with its interval.

    Examples
    --------
    >>> interval(Said(0.1, 0.05, 0.2)), interval(None)
    ('10.0\xa0% (5.0 to 20.0\xa0%)', 'cannot be said yet')
    """
    if said is None:
        return "cannot be said yet"
    return f"{percent(said.estimate)} ({span(said.low, said.high)})"


def rate_cell(said: Said | None) -> Any:
    r"""Show a rate with its interval in a cell.

    Examples
    --------
    >>> rate_cell(Said(0.1, 0.05, 0.2))
    {'x': '10.0\xa0%', 'q': '5.0–20.0'}
    """
    if said is None:
        return unsaid("cannot be said yet")
    brief = span(said.low, said.high).replace(" to ", "–").removesuffix("\u00a0%")
    return {"x": percent(said.estimate), "q": brief}


def unsaid(why: str) -> dict[str, Any]:
    """Show in a cell that there is no figure.

    Examples
    --------
    >>> unsaid("not measured")
    {'x': 'not measured', 'u': 1}
    """
    return {"x": why, "u": 1}


def plot_cell(place: Strip) -> dict[str, Any]:
    """Show an interval as a plot in a cell.

    Examples
    --------
    >>> plot_cell(Strip(10.0, 5.0, 20.0, None, None, False))
    {'s': [10.0, 5.0, 20.0, None, 0]}
    """
    return {"s": [place.at, place.low, place.high, place.reference, int(place.cut)]}


def share_columns(pages: Sequence[Sequence[Block]]) -> dict[str, Any]:
    """Put the columns that many tables share in one place: the file stays small.

    Parameters
    ----------
    pages
        The blocks of each page.

    Returns
    -------
    dict
        `columns`: each list of columns once; `pages`: the blocks, a table's columns as the place
        of their list.

    Examples
    --------
    >>> tables = [[table("A", [column("Where")], [])], [table("B", [column("Where")], [])]]
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
