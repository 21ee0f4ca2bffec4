"""The page of `monitor`: alarms first, then every check, and the months."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from errdetect.changes import text_formatting as words
from errdetect.errors import escape_hidden
from errdetect.report.trend_section import build_trends

__all__ = ["MonitorContent", "render_monitor"]

_SECTIONS: Mapping[str, Sequence[str]] = {
    "Audited error": ("audited_error", "error_evidence"),
    "Why it moved": ("change",),
    "Early warning and model": (
        "estimated_error", "calibration", "score_drift", "model_age", "state_age",
    ),
    "Queue and reviews": ("queue_yield", "review_delay", "label_delay", "response"),
    "Reviewers": ("golden_accuracy", "reviewer_disagreement"),
    "Inputs": ("volume", "missing_feature", "feature_drift", "feature_shift", "new_values"),
}  # fmt: skip
#: Checks whose figures are shares.
_SHARES = frozenset(
    {
        "audited_error", "change", "estimated_error", "response", "golden_accuracy",
        "reviewer_disagreement", "missing_feature", "new_values",
    }
)  # fmt: skip
_NAMES = {
    "audited_error": "Audited error", "error_evidence": "Evidence of a rise",
    "change": "Change", "estimated_error": "Estimated error", "calibration": "Audited over estimated errors",
    "score_drift": "Drift of scores", "model_age": "Age of the model, days", "state_age": "Age of the state, days",
    "queue_yield": "Errors found by the queue, of those expected", "review_delay": "Days to audit answer",
    "label_delay": "Days to label", "response": "Audit draws answered", "golden_accuracy": "Golden items right",
    "reviewer_disagreement": "Reviewers disagree", "volume": "Decisions a day", "missing_feature": "Missing values",
    "feature_drift": "Drift", "feature_shift": "Shift in standard deviations", "new_values": "New values",
}  # fmt: skip
_ORDER = {"alarm": 0, "warn": 1, "unknown": 2, "ok": 3}
_MOST_ROWS = 250


@dataclass(frozen=True)
class MonitorContent:
    """What the page shows.

    Parameters
    ----------
    title, as_of
        Heading, and the moment of the data.
    reference
        First day and end of the reference period; None without any audit answer.
    checks, history
        Columns of `schemas.MONITOR` and `schemas.MONITOR_HISTORY`.
    cause
        What explains most of the change; empty where nothing stands out.
    """

    title: str
    as_of: datetime
    reference: tuple[datetime, datetime] | None
    checks: pd.DataFrame
    history: pd.DataFrame
    cause: str


def render_monitor(content: MonitorContent) -> str:
    """Write the page: one HTML file without scripts or network, equal for equal content.

    Parameters
    ----------
    content
        The checks and the months.

    Examples
    --------
    >>> checks = pd.DataFrame([{"check": "volume", "segment": "all", "status": "ok", "value": 5.0, "low": None,
    ...                         "high": None, "limit": 2.0, "reference": 4.0, "note": ""}])
    >>> page = render_monitor(MonitorContent("Shop", datetime(2026, 5, 1), None, checks, pd.DataFrame(), ""))
    >>> "No alarm" in page, "Decisions a day" in page
    (True, True)
    """
    rows = [_row(record) for record in words.to_records(content.checks)]
    rows.sort(key=lambda row: _ORDER[row["status"]])
    sections = [
        (title, found[:_MOST_ROWS], max(0, len(found) - _MOST_ROWS))
        for title, codes in _SECTIONS.items()
        if (found := [row for row in rows if row["check"] in codes])
    ]
    counts = {status: sum(row["status"] == status for row in rows) for status in _ORDER}
    history = content.history if len(content.history) else None
    return _template().render(
        content=content,
        words=words,
        sections=sections,
        counts=counts,
        loud=[row for row in rows if row["status"] in ("alarm", "warn")][:_MOST_ROWS],
        trends=build_trends(history),
        months=[] if history is None else list(reversed(words.to_records(history))),
    )


def _row(record: Mapping[str, Any]) -> dict[str, str]:
    """Lay out one check as text."""
    check = str(record["check"])
    value, low, high, limit, reference = (
        words.finite_or_none(record[name])
        for name in ("value", "low", "high", "limit", "reference")
    )
    span = ""
    if low is not None and high is not None:
        span = f"{_figure(check, low)} to {_figure(check, high)}"
    return {
        "check": check,
        "name": _NAMES.get(check, check),
        "segment": words.clean_text(record["segment"], 120),
        "status": str(record["status"]),
        "value": _figure(check, value),
        "span": span,
        "limit": _figure(check, limit),
        "reference": _figure(check, reference),
        "note": words.clean_text(record["note"], 400, ""),
    }


def _figure(check: str, value: float | None) -> str:
    if value is None:
        return ""
    if check in _SHARES:
        return f"{100 * value:.2f}\u00a0%"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("errdetect.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible_text,
    )
    return environment.get_template("monitor.html.j2")


def _visible_text(value: Any) -> Any:
    """Replace hidden characters in every printed text: the last safeguard."""
    text = isinstance(value, str) and not isinstance(value, Markup)
    return escape_hidden(value) if text else value
