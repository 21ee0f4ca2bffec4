"""A check of production: a value, its interval, its limit, and a status."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

__all__ = ["Check", "Status", "check_table", "compare_with_limit"]

Status = Literal["ok", "warn", "alarm", "unknown"]
_NAN = float("nan")


@dataclass(frozen=True)
class Check:
    """One row of monitor.parquet.

    Parameters
    ----------
    check
        Its stable code.
    segment
        `all`, column=value, or the name of a feature or site.
    status
        `unknown` with too little data.
    value, low, high
        The figure of the window with its 95 % interval; NaN where there is none.
    limit
        What the value is held against; NaN without one.
    reference
        The figure of the reference period; NaN without one.
    note
        What it means, in words.
    """

    check: str
    segment: str
    status: Status
    value: float = _NAN
    low: float = _NAN
    high: float = _NAN
    limit: float = _NAN
    reference: float = _NAN
    note: str = ""


def check_table(checks: Sequence[Check]) -> pd.DataFrame:
    """Return the checks as a table, in their order; columns as `schemas.MONITOR`.

    Examples
    --------
    >>> check_table([Check("volume", "all", "ok", 1.02)])[["check", "status"]].values.tolist()
    [['volume', 'ok']]
    """
    return pd.DataFrame([vars(check) for check in checks], columns=list(Check.__dataclass_fields__))


def compare_with_limit(value: float, limit: float, *, most: bool = True) -> Status:
    """Return whether a value keeps its limit; `unknown` where either is missing.

    Parameters
    ----------
    value, limit
        NaN where unknown.
    most
        Whether the limit is the largest acceptable value, or else the smallest.

    Examples
    --------
    >>> compare_with_limit(0.3, 0.2), compare_with_limit(0.3, 0.2, most=False)
    ('warn', 'ok')
    """
    if value != value or limit != limit:
        return "unknown"
    return "warn" if (value > limit if most else value < limit) else "ok"
