"""How the reviewing goes: reviews by week and site, delays, labels that are pending, audits that are due."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from errdetect.changes.text_formatting import (
    clean_text,
    count_with_noun,
    finite_or_none,
    format_count,
    format_optional_day,
    format_percent,
    has_rows,
    require_columns,
    to_records,
)
from errdetect.labels.review_progress import APPEAL_COLUMNS, DRAW_COLUMNS, WORK_COLUMNS

__all__ = [
    "DrawProgress",
    "SiteWork",
    "WaitingAppeals",
    "WorkProgress",
    "read_appeals",
    "read_work",
]

_NO_SITE = "no site named"
_OVERDUE = "overdue"


@dataclass(frozen=True)
class SiteWork:
    """One site's work.

    Parameters
    ----------
    site
        Its name.
    bars
        Height of each week's bar in percent of the busiest week of any site, the earliest first.
    latest, before
        Reviews a day in the last seven days, and on average in the weeks before.
    days, minutes
        Median days from the decision to the review, and median minutes of a review, last week.
    """

    site: str
    bars: tuple[float, ...]
    latest: str
    before: str
    days: str
    minutes: str


@dataclass(frozen=True)
class DrawProgress:
    """One audit draw, as text, with the share reviewed in percent."""

    key: str
    drawn: str
    due: str
    progress: str
    filled: float
    state: str


@dataclass(frozen=True)
class WaitingAppeals:
    """The appeals that wait: a sentence, and a row a policy (name, waiting, late, due soon, oldest)."""

    sentence: str
    rows: tuple[tuple[str, ...], ...]


def read_appeals(frame: pd.DataFrame | None, names: Mapping[str, str]) -> WaitingAppeals | None:
    """Lay out which appeals wait, and which are late.

    Parameters
    ----------
    frame
        From `review_progress.open_appeals`; None where no table of them was given.
    names
        policy_id -> the policy's name.

    Raises
    ------
    DataError
        Where a column is missing.

    Examples
    --------
    >>> read_appeals(None, {}) is None
    True
    """
    if frame is None:
        return None
    require_columns(frame, APPEAL_COLUMNS, "open_appeals")
    waiting, late, soon = (int(frame[name].sum()) for name in ("n_open", "n_overdue", "n_due_soon"))
    if not waiting:
        return WaitingAppeals("No appeal waits for an answer.", ())
    oldest = float(frame["oldest_days"].max())
    text = (
        f"{count_with_noun(waiting, 'appeal waits', 'appeals wait')} for an answer: {format_count(late)} past "
        f"the deadline, {format_count(soon)} due within seven days; the oldest has waited {oldest:.0f} days."
    )
    rows = tuple(
        (
            _policy_name(row["policy_id"], names),
            *(format_count(int(row[name])) for name in ("n_open", "n_overdue", "n_due_soon")),
            f"{float(row['oldest_days']):.0f}",
        )
        for row in to_records(frame)
    )
    return WaitingAppeals(text, rows)


def _policy_name(policy_id: Any, names: Mapping[str, str]) -> str:
    if policy_id is None or policy_id != policy_id:
        return "decisions that are not in the log"
    return clean_text(names.get(str(policy_id), policy_id))


@dataclass(frozen=True)
class WorkProgress:
    """The section.

    Parameters
    ----------
    weeks
        First day of each week.
    sites
        The sites by name.
    total
        All reviews a day, last week and before, in one sentence.
    draws
        The audit draws, the latest first.
    overdue
        How many draws are late.
    labels
        State of the labels, in one sentence; empty where there are none.
    appeals
        The appeals that wait; None where nothing is known of them.
    """

    weeks: tuple[str, ...]
    sites: tuple[SiteWork, ...]
    total: str
    draws: tuple[DrawProgress, ...]
    overdue: int
    labels: str
    appeals: WaitingAppeals | None = None


def read_work(
    weekly: pd.DataFrame | None,
    draws: pd.DataFrame | None,
    label_states: Mapping[str, int],
    appeals: WaitingAppeals | None = None,
) -> WorkProgress | None:
    """Lay out how the reviewing goes.

    Parameters
    ----------
    weekly
        From `weekly_reviews`; or None.
    draws
        From `draw_progress`; or None.
    label_states
        State of a label -> how many decisions.
    appeals
        From `read_appeals`.

    Returns
    -------
    WorkProgress or None
        None without recent reviews, draws and waiting appeals.

    Raises
    ------
    DataError
        Where a column is missing.

    Examples
    --------
    >>> read_work(None, None, {}) is None
    True
    """
    known = [] if weekly is None or not has_rows(weekly) else to_records(weekly)
    if weekly is not None and known:
        require_columns(weekly, WORK_COLUMNS, "review_work")
    listed = [] if draws is None or not has_rows(draws) else to_records(draws)
    if draws is not None and listed:
        require_columns(draws, DRAW_COLUMNS, "audit_draws")
    if not known and not listed and appeals is None:
        return None
    starts = _weeks(known)
    progress = tuple(_read_draw(row) for row in listed)
    return WorkProgress(
        weeks=tuple(format_optional_day(start) for start in starts),
        sites=_read_sites(known, starts),
        total=_total_sentence(known, starts),
        draws=progress,
        overdue=sum(draw.state == _OVERDUE for draw in progress),
        labels=_labels_sentence(label_states),
        appeals=appeals,
    )


def _weeks(rows: list[dict[str, Any]]) -> list[pd.Timestamp]:
    """Return every week from the first with reviews to the last, also those without any."""
    if not rows:
        return []
    starts = [pd.Timestamp(row["week_start"]) for row in rows]
    return list(pd.date_range(min(starts), max(starts), freq="7D"))


def _read_sites(rows: list[dict[str, Any]], starts: list[pd.Timestamp]) -> tuple[SiteWork, ...]:
    by_site: dict[str, dict[pd.Timestamp, dict[str, Any]]] = {}
    for row in rows:
        name = row["site"]
        site = clean_text(name) if isinstance(name, str) and name else _NO_SITE
        by_site.setdefault(site, {})[pd.Timestamp(row["week_start"])] = row
    most = max((int(row["n_reviews"]) for row in rows), default=1)
    found = []
    for site in sorted(by_site, key=lambda name: (name == _NO_SITE, name)):
        weeks = by_site[site]
        counts = [int(weeks[start]["n_reviews"]) if start in weeks else 0 for start in starts]
        last = weeks.get(starts[-1], {})
        before = counts[:-1]
        found.append(
            SiteWork(
                site=site,
                bars=tuple(round(100 * count / most, 1) for count in counts),
                latest=_per_day(counts[-1:]),
                before=_per_day(before),
                days=_figure(last.get("median_days")),
                minutes=_figure(last.get("median_minutes")),
            )
        )
    return tuple(found)


def _per_day(counts: list[int]) -> str:
    return f"{sum(counts) / (7 * len(counts)):.1f}" if counts else "not known yet"


def _figure(value: Any) -> str:
    number = finite_or_none(value)
    return "not known" if number is None else f"{number:.1f}"


def _total_sentence(rows: list[dict[str, Any]], starts: list[pd.Timestamp]) -> str:
    if not rows:
        return ""
    counts = [
        sum(int(row["n_reviews"]) for row in rows if pd.Timestamp(row["week_start"]) == start)
        for start in starts
    ]
    last = count_with_noun(counts[-1], "review", "reviews")
    text = f"{last} in the last seven days of the data, {_per_day(counts[-1:])} a day"
    if len(counts) < 2:
        return f"{text}."
    return f"{text}; {_per_day(counts[:-1])} a day in the {len(counts) - 1} weeks before."


def _read_draw(row: Mapping[str, Any]) -> DrawProgress:
    share = float(row["response"])
    return DrawProgress(
        key=clean_text(row["draw_id"], 60),
        drawn=format_optional_day(row["drawn_at"]),
        due=format_optional_day(row["due_at"]),
        progress=f"{format_count(int(row['n_reviewed']))} of {format_count(int(row['n_drawn']))} "
        f"({format_percent(share)})",
        filled=round(100 * share, 1),
        state=clean_text(row["state"], 20),
    )


def _labels_sentence(states: Mapping[str, int]) -> str:
    if not states:
        return ""
    labelled, pending, none = (states.get(name, 0) for name in ("matured", "pending", "censored"))
    return (
        f"{count_with_noun(labelled, 'decision has', 'decisions have')} a label; for {format_count(pending)} a "
        f"review or an appeal may still arrive; for {format_count(none)} none arrived in time, so that they "
        "stay unknown."
    )
