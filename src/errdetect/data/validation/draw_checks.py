"""Checks of the audit draws, alone and against decisions and reviews."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.data.review_versions import latest_versions
from errdetect.data.validation.issues import Issue
from errdetect.schemas import AUDIT

__all__ = ["check_draws"]

#: Relative difference of two inclusion probabilities that writing as text may explain.
_ROUNDING = 1e-6
_KEY = ["decision_id", "inclusion_probability"]


def check_draws(
    decisions: pd.DataFrame,
    draws: pd.DataFrame,
    reviews: pd.DataFrame | None,
    rejected: "pd.Series[str]",
) -> Iterator[Issue]:
    """Check audit draws against these decisions and reviews.

    Parameters
    ----------
    decisions, draws, reviews
        Clean frames; None if there are no reviews.
    rejected
        Ids of decisions that could not be used; their draws are counted separately.

    Yields
    ------
    Issue
        With codes from A005 on.
    """
    place = pd.Index(decisions["decision_id"]).get_indexer(pd.Index(draws["decision_id"]))
    known = draws[place >= 0]
    decided = decisions["decided_at"].iloc[place[place >= 0]]
    early = _micros(known["drawn_at"]) < _micros(decided)
    yield from _issue_if_any("A005", "Draws dated before their decision", known, early)
    yield from _check_unknown_decisions(draws, place, rejected)
    yield from _check_moments(draws)
    if reviews is not None:
        yield from _check_audit_reviews(draws, latest_versions(reviews))
    n = draws["draw_id"].nunique()
    again = int(draws["decision_id"].duplicated().sum())
    message = f"Decisions drawn: {len(draws) - again:,}, in draws: {n:,}"
    message += f"; drawn more than once: {again:,}." if again else "."
    yield Issue.of("A010", "info", message, len(draws), draws["draw_id"].unique())


def _issue_if_any(code: str, what: str, rows: pd.DataFrame, mask: object) -> Iterator[Issue]:
    ids = rows["decision_id"][np.asarray(mask, dtype=bool)]
    if len(ids):
        yield Issue.of(code, "error", f"{what}: {len(ids):,}.", len(ids), ids.head())


def _check_unknown_decisions(
    draws: pd.DataFrame, place: npt.NDArray[np.intp], rejected: "pd.Series[str]"
) -> Iterator[Issue]:
    """A006: draws of missing decisions."""
    strange = draws["decision_id"][place < 0]
    if not len(strange):
        return
    bad = int(strange.isin(rejected.dropna()).sum())
    among = f", {bad:,} of them of rejected decisions" if bad else ""
    none = len(strange) == len(draws)
    message = f"Draws of decisions that are missing: {len(strange):,}{among}."
    if none:
        message += " No draw matches any decision: are the ids written differently?"
    yield Issue.of("A006", "error" if none else "warning", message, len(strange), strange.head())


def _check_moments(draws: pd.DataFrame) -> Iterator[Issue]:
    """A009: one draw_id for several draws, or reviews due before the draw."""
    moments = draws.groupby("draw_id")["drawn_at"].nunique()
    several = moments.index[moments > 1]
    if len(several):
        message = (
            f"Draws whose rows have several drawn_at: {len(several):,}. Are these several draws?"
        )
        yield Issue.of("A009", "warning", message, len(several), several)
    late = (draws["due_at"] < draws["drawn_at"]).to_numpy(bool)
    yield from _issue_if_any("A009", "Draws due before they were drawn", draws, late)


def _check_audit_reviews(draws: pd.DataFrame, reviews: pd.DataFrame) -> Iterator[Issue]:
    """A007 audit reviews of decisions never drawn, A008 with another probability than the draw's."""
    audit = reviews[(reviews["source"] == AUDIT).to_numpy(bool)]
    drawn = audit["decision_id"].isin(draws["decision_id"]).to_numpy(bool)
    never = audit[~drawn]
    if len(never):
        before = int((never["reviewed_at"] < draws["drawn_at"].min()).sum())
        among = f", {before:,} of them from before the first draw" if before else ""
        message = f"Audit reviews of decisions that no draw holds: {len(never):,}{among}."
        yield Issue.of("A007", "warning", message, len(never), never["decision_id"].head())
    stated = audit[drawn & audit["inclusion_probability"].notna().to_numpy(bool)]
    pairs = (
        stated[_KEY]
        .reset_index(names="review")
        .merge(draws[_KEY], on="decision_id", suffixes=("", "_drawn"))
    )
    same = np.isclose(pairs["inclusion_probability"], pairs["inclusion_probability_drawn"],
                      rtol=_ROUNDING, atol=0)  # fmt: skip
    other = ~stated.index.isin(pairs["review"][same])
    what = "Audit reviews with another inclusion_probability than their decision's draw"
    yield from _issue_if_any("A008", what, stated, other)


def _micros(times: "pd.Series[pd.Timestamp]") -> npt.NDArray[np.int64]:
    return np.asarray(times.dt.as_unit("us").astype("int64"), np.int64)
