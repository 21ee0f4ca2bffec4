"""Reading tables that others make: columns that may be missing, and rows by policy."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from errdetect.report.figures import Said
from errdetect.report.formatting import has_rows, number, records, require
from errdetect.policy.words import count

__all__ = ["amount", "flag", "rows_by_policy", "said", "text_of"]

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
        What the table is called in a message.

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
    require(frame, ("policy_id", *columns), what)
    found: dict[str, list[dict[str, Any]]] = {}
    for row in records(frame[frame["policy_id"].notna()]):
        found.setdefault(str(row["policy_id"]), []).append(row)
    return found


def said(row: Row, name: str, low: str = "", high: str = "") -> Said | None:
    """Read a value with its limits; None where a part is missing.

    Parameters
    ----------
    row
        A table's row.
    name, low, high
        Its columns; the limits are `name_low` and `name_high` unless they are named.

    Examples
    --------
    >>> said({"harm": 2.0, "harm_low": 1.0, "harm_high": 3.0}, "harm")
    Said(estimate=2.0, low=1.0, high=3.0)
    >>> said({"harm": 2.0}, "harm") is None
    True
    """
    parts = [number(row.get(c)) for c in (name, low or f"{name}_low", high or f"{name}_high")]
    estimate, least, most = parts
    if estimate is None or least is None or most is None:
        return None
    return Said(estimate, least, most)


def flag(row: Row, name: str) -> bool:
    """Read a yes or no; what is missing is no.

    Examples
    --------
    >>> flag({"confirmed": True}, "confirmed"), flag({"confirmed": None}, "confirmed")
    (True, False)
    """
    value = row.get(name)
    return not pd.isna(value) and bool(value)


def text_of(row: Row, name: str) -> str:
    """Read a text; empty where it is missing.

    Examples
    --------
    >>> text_of({"cause": None}, "cause"), text_of({"cause": "threshold"}, "cause")
    ('', 'threshold')
    """
    value = row.get(name)
    missing = value is None or (not isinstance(value, list | tuple) and pd.isna(value))
    return "" if missing else str(value)


def amount(value: float) -> str:
    """Write an amount of harm or a number of decisions: whole from ten on.

    Examples
    --------
    >>> amount(1234.4), amount(3.14), amount(-0.04)
    ('1,234', '3.1', '0.0')
    """
    if abs(value) >= 10:
        return count(round(value))
    return f"{value:.1f}".replace("-0.0", "0.0")
