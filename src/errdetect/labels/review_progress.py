"""How the reviewing goes: reviews by week and site, their delay, and what each draw still waits for."""

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.labels.review_history import (
    CORRECTED,
    NOT_YET_KNOWN,
    UNKNOWN_DECISION,
    to_datetime64,
)
from errdetect.schemas import ADJUDICATION, APPEAL, AUDIT, GOLDEN

__all__ = [
    "APPEAL_COLUMNS",
    "DRAW_COLUMNS",
    "WORK_COLUMNS",
    "draw_progress",
    "open_appeals",
    "weekly_reviews",
]

#: Columns of the weekly counts, in order.
WORK_COLUMNS: Final = (
    "week_start", "site", "n_reviews", "median_days", "median_minutes",
)  # fmt: skip
#: Columns of the draws' progress, in order.
DRAW_COLUMNS: Final = (
    "draw_id", "drawn_at", "due_at", "n_drawn", "n_reviewed", "n_open", "response", "state",
)  # fmt: skip
#: Columns of the waiting appeals by policy, in order.
APPEAL_COLUMNS: Final = (
    "policy_id", "n_open", "n_overdue", "n_due_soon", "oldest_days",
)  # fmt: skip

_WEEK = np.timedelta64(7, "D")


def weekly_reviews(
    decisions: pd.DataFrame, history: pd.DataFrame, *, as_of: pd.Timestamp, weeks: int = 12
) -> pd.DataFrame:
    """Count each site's reviews of the last weeks, with their delay and their time.

    Parameters
    ----------
    decisions
        n decisions with `decided_at`.
    history
        The review history as of the moment; see `build_review_history`. Golden items count as
        work, but have no delay.
    as_of
        The moment; the last week ends there.
    weeks
        How many weeks.

    Returns
    -------
    pandas.DataFrame
        week_start, site (missing: none named), n_reviews,
        median_days (from the decision to the review), median_minutes; by week, then site. Weeks
        without any review have no row.

    Examples
    --------
    >>> from errdetect.labels.review_history import build_review_history
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-03"], utc=True)
    >>> decisions = pd.DataFrame({"decision_id": ["d"], "decided_at": day[:1], "policy_id": "spam",
    ...     "enforced": True})
    >>> reviews = pd.DataFrame({"review_id": ["r"], "decision_id": "d", "reviewed_at": day[1:],
    ...     "source": "audit", "verdict": "upheld", "expected": None, "reviewer_id": "ann",
    ...     "site": "Riga", "minutes": 2.0, "inclusion_probability": 0.5})
    >>> found = weekly_reviews(decisions, build_review_history(decisions, reviews), as_of=day[1])
    >>> found[["site", "n_reviews", "median_days"]].values.tolist()
    [['Riga', 1, 2.0]]
    """
    ignored = [CORRECTED, NOT_YET_KNOWN, UNKNOWN_DECISION]
    kept = history[~history["standing"].isin(ignored).to_numpy(dtype=bool)]
    age = _weeks_old(kept, as_of)
    recent = kept[(age >= 0) & (age < weeks)]
    at = recent["position"].to_numpy(dtype=np.int64)
    when = decisions["decided_at"].array[np.maximum(at, 0)]
    delay = (recent["known_at"].array - when) / pd.Timedelta(days=1)
    live = (recent["source"] != GOLDEN).to_numpy(dtype=bool) & (at >= 0)
    week = _weeks_old(recent, as_of)
    rows = pd.DataFrame(
        {
            "week_start": as_of - pd.to_timedelta(7 * (week + 1), unit="D"),
            "site": recent["site"].array,
            "days": np.where(live, np.asarray(delay, dtype=np.float64), np.nan),
            "minutes": recent["minutes"].to_numpy(dtype=np.float64),
        }
    )
    groups = rows.groupby(["week_start", "site"], dropna=False, sort=True)
    found = groups.agg(
        n_reviews=("days", "size"),
        median_days=("days", "median"),
        median_minutes=("minutes", "median"),
    ).reset_index()
    return found[list(WORK_COLUMNS)]


def _weeks_old(history: pd.DataFrame, as_of: pd.Timestamp) -> npt.NDArray[np.int64]:
    """Return how many weeks ago each review became known; negative in the future."""
    passed = (np.datetime64(as_of.tz_convert(None)) - to_datetime64(history["known_at"])) / _WEEK
    return np.floor(passed).astype(np.int64)


def open_appeals(
    appeals: pd.DataFrame,
    decisions: pd.DataFrame,
    history: pd.DataFrame,
    *,
    as_of: pd.Timestamp,
) -> pd.DataFrame:
    """Count the appeals that wait, by policy, and those late or due within a week.

    Parameters
    ----------
    appeals
        With the columns of `schemas.OPEN_APPEALS`; those filed after the moment do not count, nor
        those answered by then.
    decisions
        n decisions with `policy_id`.
    history
        The review history as of the moment.
    as_of
        The moment.

    Returns
    -------
    pandas.DataFrame
        policy_id (missing: the decision is not in the log), n_open, n_overdue, n_due_soon (in the
        next seven days), oldest_days (since it was filed); the most late first.

    Examples
    --------
    >>> from errdetect.labels.review_history import build_review_history
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-09"], utc=True)
    >>> decisions = pd.DataFrame({"decision_id": ["d"], "decided_at": day[:1], "policy_id": "spam",
    ...     "enforced": True})
    >>> reviews = pd.DataFrame({"review_id": ["r"], "decision_id": "d", "reviewed_at": day[1:],
    ...     "source": "audit", "verdict": "upheld", "expected": None, "reviewer_id": "ann",
    ...     "inclusion_probability": 0.5})
    >>> waiting = pd.DataFrame({"decision_id": ["d"], "filed_at": day[:1], "due_at": day[:1]})
    >>> history = build_review_history(decisions, reviews)
    >>> open_appeals(waiting, decisions, history, as_of=day[1]).values.tolist()
    [['spam', 1, 1, 0, 8.0]]
    """
    answers = history[(history["source"] == APPEAL).to_numpy(dtype=bool)]
    answers = answers[(answers["standing"] != NOT_YET_KNOWN).to_numpy(dtype=bool)]
    latest = answers.groupby("decision_id")["known_at"].max()
    answer = latest.reindex(appeals["decision_id"]).set_axis(appeals.index)
    answered = answer >= appeals["filed_at"]
    waiting = appeals[(appeals["filed_at"] <= as_of) & ~answered]
    policy = decisions.drop_duplicates("decision_id").set_index("decision_id")["policy_id"]
    left = waiting["due_at"] - as_of
    rows = pd.DataFrame(
        {
            "policy_id": waiting["decision_id"].map(policy),
            "overdue": left < pd.Timedelta(0),
            "soon": (left >= pd.Timedelta(0)) & (left <= pd.Timedelta(days=7)),
            "days": (as_of - waiting["filed_at"]).dt.total_seconds() / 86_400,
        }
    )
    found = rows.groupby("policy_id", dropna=False).agg(
        n_open=("days", "size"),
        n_overdue=("overdue", "sum"),
        n_due_soon=("soon", "sum"),
        oldest_days=("days", "max"),
    )
    order = ["n_overdue", "n_due_soon", "n_open", "policy_id"]
    ranked = found.reset_index().sort_values(order, ascending=[False, False, False, True])
    return ranked[list(APPEAL_COLUMNS)].reset_index(drop=True)


def draw_progress(
    draws: pd.DataFrame | None, history: pd.DataFrame, *, as_of: pd.Timestamp
) -> pd.DataFrame | None:
    """Count how many decisions of each recorded draw are reviewed, and which draws are late.

    Parameters
    ----------
    draws
        With the columns of `schemas.DRAWS`; None where none are recorded.
    history
        The review history as of the moment.
    as_of
        The moment.

    Returns
    -------
    pandas.DataFrame or None
        A row per draw, the latest first: draw_id, drawn_at, due_at, n_drawn, n_reviewed, n_open,
        response, state (`complete`, `open`, `overdue`). None without recorded draws: a draw's size
        is then unknown.

    Examples
    --------
    >>> draw_progress(None, pd.DataFrame(), as_of=pd.Timestamp("2026-01-01", tz="UTC")) is None
    True
    """
    if draws is None or not len(draws):
        return None
    usable = ~history["standing"].isin([CORRECTED, NOT_YET_KNOWN, UNKNOWN_DECISION])
    usable &= history["source"].isin([AUDIT, ADJUDICATION])
    done = set(history.loc[usable.to_numpy(dtype=bool), "decision_id"])
    rows = draws.drop_duplicates(["draw_id", "decision_id"])
    rows = rows.assign(reviewed=rows["decision_id"].isin(done))
    found = rows.groupby("draw_id", sort=True).agg(
        drawn_at=("drawn_at", "min"),
        due_at=("due_at", "max"),
        n_drawn=("decision_id", "size"),
        n_reviewed=("reviewed", "sum"),
    )
    late = (found["due_at"] < as_of).to_numpy(dtype=bool)
    left = found["n_drawn"] - found["n_reviewed"]
    state = np.select([(left == 0).to_numpy(dtype=bool), late], ["complete", "overdue"], "open")
    table = found.assign(n_open=left, response=found["n_reviewed"] / found["n_drawn"], state=state)
    ordered = table.reset_index().sort_values(
        ["drawn_at", "draw_id"], ascending=[False, True], kind="stable", ignore_index=True
    )
    return ordered[list(DRAW_COLUMNS)]
