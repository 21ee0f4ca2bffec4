"""Reasons associated with errors by their share, overall and per policy."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from errdetect.changes.text_formatting import (
    clean_text,
    finite_or_none,
    format_interval,
    format_percent,
    has_rows,
    require_columns,
    to_records,
)
from errdetect.report.charts import axis_position

__all__ = ["Driver", "driver_rows", "read_drivers"]

_MAX_DRIVERS = 8
_MAX_EXAMPLES = 3
_COLUMNS = ("policy_id", "code", "text", "share", "n_decisions")


@dataclass(frozen=True)
class Driver:
    """One reason associated with errors.

    Parameters
    ----------
    text
        The reason in plain language.
    share
        Its share of the explained push towards error; None where unknown.
    bar
        The length of its bar, in percent.
    n_decisions
        Number of decisions examined.
    examples
        Ids of decisions that show it.
    said
        Uncertainty of its share and rank, and how it moved; empty where unknown.
    """

    text: str
    share: float | None
    bar: float
    n_decisions: int
    examples: tuple[str, ...]
    said: str = ""


def driver_rows(frame: pd.DataFrame | None) -> dict[str | None, list[dict[str, Any]]]:
    """Gather the rows of each policy's reasons.

    Parameters
    ----------
    frame
        `policy_id` (missing: all policies), `code`, `text`, `share` in [0, 1], `n_decisions`,
        and optionally `example_ids` (a list), the share's limits `low` and `high`, `stable`,
        `share_before`, `share_after` and `moved`; or None.

    Returns
    -------
    dict
        policy_id (None for all) -> its rows.

    Raises
    ------
    DataError
        Where a column is missing.

    Examples
    --------
    >>> frame = pd.DataFrame({"policy_id": [None, "spam"], "code": ["a", "a"], "text": "short",
    ...                       "share": 0.5, "n_decisions": 3})
    >>> list(driver_rows(frame))
    [None, 'spam']
    """
    if frame is None or not has_rows(frame):
        return {}
    require_columns(frame, _COLUMNS, "drivers")
    rows: dict[str | None, list[dict[str, Any]]] = {}
    for row in to_records(frame):
        policy = None if pd.isna(row["policy_id"]) else str(row["policy_id"])
        rows.setdefault(policy, []).append(row)
    return rows


def read_drivers(rows: Sequence[Mapping[str, Any]]) -> tuple[Driver, ...]:
    """Read one list of reasons.

    Parameters
    ----------
    rows
        Rows of one policy, or of all policies together.

    Returns
    -------
    tuple of Driver
        The eight largest shares, the largest first; ties by code.

    Examples
    --------
    >>> read_drivers([{"code": "a", "text": "The text is short", "share": 0.4, "n_decisions": 3}])[0].bar
    40.0
    """

    def order(row: Mapping[str, Any]) -> tuple[float, str]:
        return (-(finite_or_none(row["share"]) or 0.0), str(row["code"]))

    return tuple(_read_driver(row) for row in sorted(rows, key=order)[:_MAX_DRIVERS])


def _read_driver(row: Mapping[str, Any]) -> Driver:
    """Read one reason."""
    share = finite_or_none(row["share"])
    ids: Any = row.get("example_ids")
    examples = tuple(ids) if pd.api.types.is_list_like(ids) else ()
    return Driver(
        text=clean_text(row["text"], 240),
        share=share,
        bar=axis_position(share or 0.0, 1.0),
        n_decisions=int(finite_or_none(row["n_decisions"]) or 0),
        examples=tuple(clean_text(i, 40) for i in examples[:_MAX_EXAMPLES]),
        said="; ".join(_uncertainty_notes(row)),
    )


def _uncertainty_notes(row: Mapping[str, Any]) -> Iterator[str]:
    """Describe the uncertainty of a share and its rank, and any significant move."""
    low, high = finite_or_none(row.get("low")), finite_or_none(row.get("high"))
    if low is not None and high is not None:
        yield f"between {format_interval(low, high)}".replace(" to ", " and ")
    stable = row.get("stable")
    if "stable" in row and (stable is None or pd.isna(stable)):
        yield "too few decisions to rank it"
    elif stable is not None:
        yield "its rank is stable" if stable else "its rank is not settled yet"
    moved, before, after = (
        row.get("moved"),
        finite_or_none(row.get("share_before")),
        finite_or_none(row.get("share_after")),
    )
    told = moved is not None and not pd.isna(moved) and bool(moved)
    if told and before is not None and after is not None:
        way = "rose" if after > before else "fell"
        yield f"{way} from {format_percent(before)} to {format_percent(after)} in the later half"
