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
from errdetect.schemas import ADJUDICATION, AUDIT, GOLDEN

__all__ = ["DRAW_COLUMNS", "WORK_COLUMNS", "draw_progress", "weekly_reviews"]

#: Columns of the weekly counts, in order.
WORK_COLUMNS: Final = (
    "week_start", "site", "n_reviews", "median_days", "median_minutes",
)  # fmt: skip
#: Columns of the draws' progress, in order.
DRAW_COLUMNS: Final = (
    "draw_id", "drawn_at", "due_at", "n_drawn", "n_reviewed", "n_open", "response", "state",
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
