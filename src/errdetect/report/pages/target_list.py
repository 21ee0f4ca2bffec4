"""Quality targets: met, missed or inconclusive."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from errdetect.changes.display_terms import MEASURE_WORDS
from errdetect.changes.text_formatting import (
    clean_text,
    finite_or_none,
    format_count,
    format_percent,
    has_rows,
    require_columns,
    to_records,
)
from errdetect.report.pages.page_blocks import format_rate, read_estimate, read_text

__all__ = ["CANNOT_TELL", "MET", "MISSED", "STATUS_WORDS", "Target", "read_targets"]

MET, MISSED, CANNOT_TELL = "met", "missed", "cannot_tell"
STATUS_WORDS: Mapping[str, str] = {
    MISSED: "missed",
    CANNOT_TELL: "inconclusive",
    MET: "met",
}
_COLUMNS = ("policy_id", "measure", "limit", "estimate", "low", "high", "status")


@dataclass(frozen=True)
class Target:
    """One target and its status.

    Parameters
    ----------
    policy_id
        The policy it is set for; empty where it is set for all, or for a site.
    where
        Market or site, as text; empty for the whole policy.
    measure
        The measure, as text.
    limit
        The limit, as text.
    rate
        The estimate, with its interval.
    status
        `met`, `missed` or `cannot_tell`.
    needed
        What would decide it; empty where it is decided or unknown.
    """

    policy_id: str
    where: str
    measure: str
    limit: str
    rate: str
    status: str
    needed: str

    @property
    def words(self) -> str:
        """The status as text."""
        return STATUS_WORDS[self.status]


def read_targets(frame: pd.DataFrame | None) -> tuple[Target, ...]:
    r"""Read the targets: missed ones first, then inconclusive ones, then those met.

    Parameters
    ----------
    frame
        The targets of `ReportContent`; or None.

    Returns
    -------
    tuple of Target
        An unknown status counts as inconclusive.

    Raises
    ------
    DataError
        Where a column is missing.

    Examples
    --------
    >>> frame = pd.DataFrame([{"policy_id": "spam", "measure": "wrongful_rate", "limit": 0.03,
    ...                        "estimate": 0.01, "low": 0.005, "high": 0.02, "status": "met"}])
    >>> read_targets(frame)[0].limit.replace("\xa0", " ")
    'at most 3.0 %'
    """
    if frame is None or not has_rows(frame):
        return ()
    require_columns(frame, _COLUMNS, "targets")
    order = list(STATUS_WORDS)
    found = [_read_target(row) for row in to_records(frame)]
    return tuple(
        sorted(found, key=lambda t: (order.index(t.status), t.policy_id, t.where, t.measure))
    )


def _read_target(row: Mapping[str, Any]) -> Target:
    """Read one target."""
    measure = read_text(row, "measure")
    status = read_text(row, "status")
    limit = finite_or_none(row["limit"])
    bound = "at least" if _higher_is_better(measure) else "at most"
    more = finite_or_none(row.get("reviews_needed"))
    places = [
        f"{name} {clean_text(v, 60)}" for name in ("market", "site") if (v := read_text(row, name))
    ]
    return Target(
        policy_id=read_text(row, "policy_id"),
        where=", ".join(places),
        measure=MEASURE_WORDS[measure].name
        if measure in MEASURE_WORDS
        else clean_text(measure, 60).replace("_", " ").capitalize(),
        limit="not given" if limit is None else f"{bound} {format_percent(limit)}",
        rate=format_rate(read_estimate(row, "estimate", "low", "high")),
        status=status if status in STATUS_WORDS else CANNOT_TELL,
        needed=f"about {format_count(round(more))} more reviews would decide it" if more else "",
    )


def _higher_is_better(measure: str) -> bool:
    """Return whether a limit of this measure is a minimum."""
    return measure in ("precision", "recall", "accuracy") or measure.endswith("accuracy")
