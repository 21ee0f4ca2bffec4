"""The review history: when each review became known, and its standing as of a moment."""

from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.data.review_versions import known_at, superseded_at
from errdetect.errors import DataError, error_message
from errdetect.schemas import ADJUDICATION, GOLDEN

__all__ = [
    "BEFORE_DECISION",
    "CORRECTED",
    "COUNTS",
    "MEASURES_REVIEWER",
    "NOT_YET_KNOWN",
    "OVERRULED",
    "REVISED",
    "UNKNOWN_DECISION",
    "build_review_history",
    "known_at",
    "match_decisions",
    "resolve_as_of",
    "to_datetime64",
]

#: A review's standing at `as_of`. Only reviews that count make labels.
COUNTS: Final = "counts"
CORRECTED: Final = "corrected"  # a later row of the same review_id is known
REVISED: Final = "revised"  # the same reviewer has a later verdict on this decision
OVERRULED: Final = "overruled"  # an expert has adjudicated
MEASURES_REVIEWER: Final = "measures reviewer"  # golden
NOT_YET_KNOWN: Final = "not yet known"
BEFORE_DECISION: Final = "before decision"  # so it cannot review it
UNKNOWN_DECISION: Final = "unknown decision"

Times = npt.NDArray[np.datetime64]


def to_datetime64(times: "pd.Series[Any]") -> Times:
    """Return a column of UTC timestamps as datetime64[us], shape (n,).

    Examples
    --------
    >>> to_datetime64(pd.Series(["2026-01-01T00:00:00Z"]))
    array(['2026-01-01T00:00:00.000000'], dtype='datetime64[us]')
    """
    return pd.to_datetime(times, utc=True).to_numpy(dtype="datetime64[us]")


def resolve_as_of(
    as_of: datetime | None, decisions: pd.DataFrame, reviews: pd.DataFrame
) -> np.datetime64:
    """Convert `as_of` to UTC; if None, return the latest time in the data.

    Parameters
    ----------
    as_of
        A moment with a time zone, or None.
    decisions, reviews
        Frames with `decided_at`, and with `reviewed_at` and perhaps `updated_at`.

    Returns
    -------
    numpy.datetime64
        In UTC, microseconds; the epoch where both frames are empty and `as_of` is None.

    Raises
    ------
    DataError
        If `as_of` has no time zone.

    Examples
    --------
    >>> none = pd.DataFrame({"decided_at": [], "reviewed_at": []})
    >>> str(resolve_as_of(pd.Timestamp("2026-03-01T01:00+01:00"), none, none))
    '2026-03-01T00:00:00.000000'
    """
    if as_of is None:
        times = np.concatenate(
            [to_datetime64(decisions["decided_at"]), to_datetime64(known_at(reviews))]
        )
        return np.datetime64(times.max() if len(times) else 0, "us")
    stamp = pd.Timestamp(as_of)
    if stamp.tz is None:
        raise DataError(
            error_message(
                "as_of", "have a time zone", as_of.isoformat(), "Write it in UTC, with a Z."
            )
        )
    return np.datetime64(stamp.tz_convert(None).as_unit("us").isoformat(), "us")


def match_decisions(decisions: pd.DataFrame, reviews: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Find each review's decision.

    Parameters
    ----------
    decisions
        n decisions, with unique `decision_id`.
    reviews
        m reviews.

    Returns
    -------
    numpy.ndarray
        Shape (m,): the row number of the decision, -1 where there is none.

    Raises
    ------
    DataError
        If a `decision_id` occurs twice among the decisions.

    Examples
    --------
    >>> decisions = pd.DataFrame({"decision_id": ["a", "b"]})
    >>> match_decisions(decisions, pd.DataFrame({"decision_id": ["b", "z"]})).tolist()
    [1, -1]
    """
    index = pd.Index(decisions["decision_id"])
    if not index.is_unique:
        twice = index[index.duplicated()][0]
        raise DataError(
            error_message(
                "decision_id", "be unique", f"{twice!r} twice", "Keep one row per decision."
            )
        )
    found: npt.NDArray[np.int64] = index.get_indexer(pd.Index(reviews["decision_id"]))
    return found


def build_review_history(
    decisions: pd.DataFrame, reviews: pd.DataFrame, *, as_of: datetime | None = None
) -> pd.DataFrame:
    """Return when every review became known, and its standing at `as_of`.

    A review is known from `known_at` on. Of several rows with one `review_id` the latest known one
    counts, and the others are its history: an earlier row counts until the next one is known.

    Each reviewer's latest verdict counts: a second review of a decision by the same reviewer
    revises the first. All adjudications count as one reviewer, who overrules every other. Each
    review without a `reviewer_id` counts as a reviewer of its own. Equal times are ordered by
    `review_id`.

    Parameters
    ----------
    decisions
        n decisions with `decision_id`, `decided_at`.
    reviews
        m reviews with the contract's columns.
    as_of
        The moment; the latest time in the data if None.

    Returns
    -------
    pandas.DataFrame
        The reviews in their order, numbered from 0, with position (the decision's row number, -1
        if absent), known_at and standing (one of this module's constants).

    Raises
    ------
    DataError
        If `as_of` has no time zone or a `decision_id` occurs twice among the decisions.

    Examples
    --------
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-03", "2026-01-05"], utc=True)
    >>> decisions = pd.DataFrame({"decision_id": ["d"], "decided_at": day[:1]})
    >>> reviews = pd.DataFrame({
    ...     "review_id": ["r1", "r2"], "decision_id": ["d", "d"], "reviewed_at": day[1:],
    ...     "source": ["audit", "adjudication"], "verdict": ["upheld", "overturned"],
    ...     "reviewer_id": ["ann", None]})
    >>> build_review_history(decisions, reviews)["standing"].tolist()
    ['overruled', 'counts']
    >>> build_review_history(decisions, reviews, as_of=day[1])["standing"].tolist()
    ['counts', 'not yet known']
    >>> again = reviews.assign(review_id="r1", source="audit")
    >>> build_review_history(decisions, again)["standing"].tolist()
    ['corrected', 'counts']
    """
    now = resolve_as_of(as_of, decisions, reviews)
    at = match_decisions(decisions, reviews)
    known = to_datetime64(known_at(reviews))
    decided = np.append(to_datetime64(decisions["decided_at"]), np.datetime64("NaT", "us"))[at]
    standing = np.full(len(reviews), COUNTS, dtype=object)
    standing[(reviews["source"] == GOLDEN).to_numpy(dtype=bool)] = MEASURES_REVIEWER
    standing[to_datetime64(reviews["reviewed_at"]) < decided] = BEFORE_DECISION
    standing[at < 0] = UNKNOWN_DECISION
    standing[~(known <= now)] = NOT_YET_KNOWN  # whatever the decision
    standing[superseded_at(reviews) <= now] = CORRECTED
    _mark_superseded(standing, at, known, reviews, n_decisions=len(decisions))
    return reviews.reset_index(drop=True).assign(
        position=at,
        known_at=pd.to_datetime(known, utc=True),
        standing=pd.array(standing, dtype="str"),
    )


def _mark_superseded(
    standing: npt.NDArray[np.object_],
    at: npt.NDArray[np.int64],
    known: Times,
    reviews: pd.DataFrame,
    *,
    n_decisions: int,
) -> None:
    """Mark, in place, reviews that the reviewer's later verdict or an adjudication supersedes."""
    rows = np.flatnonzero(standing == COUNTS)
    expert = (reviews["source"] == ADJUDICATION).to_numpy(dtype=bool)[rows]
    reviewer = pd.factorize(reviews["reviewer_id"].to_numpy()[rows])[0].astype(np.int64) + 1
    reviewer[expert] = 0
    unnamed = (reviewer == 0) & ~expert  # each counts as a reviewer of its own
    reviewer[unnamed] = reviewer.max(initial=0) + 1 + np.arange(unnamed.sum())
    pair = at[rows] * (reviewer.max(initial=0) + 1) + reviewer
    repeated = np.flatnonzero(pd.Series(pair).duplicated(keep=False).to_numpy())
    if len(repeated):
        ids = reviews["review_id"].to_numpy(dtype=object)[rows[repeated]]
        order = repeated[np.lexsort((ids, known[rows[repeated]], pair[repeated]))]
        older = order[:-1][pair[order[:-1]] == pair[order[1:]]]
        standing[rows[older]] = REVISED
    adjudicated = np.zeros(n_decisions, dtype=bool)
    adjudicated[at[rows[expert]]] = True
    # Revised verdicts stay revised: an expert overrules only each reviewer's latest verdict.
    latest = standing[rows] == COUNTS
    standing[rows[latest & ~expert & adjudicated[at[rows]]]] = OVERRULED
