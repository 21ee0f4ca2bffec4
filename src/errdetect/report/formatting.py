"""Reading the report's tables: their columns checked, their missing values as None."""

import math
from collections.abc import Iterable
from typing import Any

import pandas as pd

from errdetect.errors import DataError, sentence

__all__ = ["has_rows", "number", "records", "require"]


def require(frame: pd.DataFrame, columns: Iterable[str], what: str) -> None:
    """Refuse a table without the columns that the report reads.

    Parameters
    ----------
    frame
        A table of the report's content.
    columns
        The names it must have.
    what
        What the table is called in the message.

    Raises
    ------
    DataError
        Where a column is missing.

    Examples
    --------
    >>> require(pd.DataFrame({"text": ["a"]}), ["text"], "drivers")
    """
    missing = [c for c in columns if c not in frame.columns]
    if missing:
        raise DataError(
            sentence(
                f"The report's table {what}",
                f"have the columns {', '.join(columns)}",
                f"no {', '.join(missing)}",
                "Fill ReportContent as its docstring says.",
            )
        )


def has_rows(frame: pd.DataFrame | None) -> bool:
    """Tell whether there is a table with something in it.

    Examples
    --------
    >>> has_rows(None), has_rows(pd.DataFrame({"a": []})), has_rows(pd.DataFrame({"a": [1]}))
    (False, False, True)
    """
    return frame is not None and len(frame) > 0


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Give the rows as dicts, in the table's order.

    Examples
    --------
    >>> records(pd.DataFrame({"n": [1, 2]}))
    [{'n': 1}, {'n': 2}]
    """
    return [{str(k): v for k, v in row.items()} for row in frame.to_dict("records")]


def number(value: Any) -> float | None:
    """Read a number that may be missing; what is not finite is missing.

    Examples
    --------
    >>> number(0.5), number(None), number(float("nan")), number(pd.NA)
    (0.5, None, None, None)
    """
    if value is None or value is pd.NA:
        return None
    read = float(value)
    return read if math.isfinite(read) else None
