"""Checks of the reviews, alone and against the decisions."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.data.review_versions import latest_versions
from errdetect.data.validation.issues import Issue, Severity
from errdetect.schemas import ADJUDICATION, AUDIT, GOLDEN, RELABELLED, UPHELD

__all__ = ["check_reviews"]


def check_reviews(
    decisions: pd.DataFrame, reviews: pd.DataFrame, rejected: "pd.Series[str]"
) -> Iterator[Issue]:
    """Check the reviews of these decisions, each in its latest version.

    Parameters
    ----------
    decisions, reviews
        Clean frames.
    rejected
        Ids of decisions that could not be used; their reviews are counted separately.

    Yields
    ------
    Issue
        With codes from R006 on.
    """
    n_rows = len(reviews)
    reviews = latest_versions(reviews)
    place = pd.Index(decisions["decision_id"]).get_indexer(pd.Index(reviews["decision_id"]))
    yield from _check_unknown_decisions(reviews, place, rejected)
    known = reviews[place >= 0]
    judged = decisions.iloc[place[place >= 0]].reset_index(drop=True)
    early = known["reviewed_at"].to_numpy() < judged["decided_at"].to_numpy()
    what = "Reviews dated before the decision"
    yield from _issue_if_any("R007", "error", known, early, what)
    yield from _check_probabilities(reviews)
    yield from _check_verdicts(reviews)
    same = known["correct_policy_id"].to_numpy() == judged["policy_id"].to_numpy()
    what = "Reviews whose correct_policy_id is the decision's own policy"
    yield from _issue_if_any("R012", "warning", known, same, what)
    yield from _check_reviewer_count(reviews)
    yield from _check_coverage(reviews, judged)
    yield from _check_adjudications(reviews)
    if len(reviews) < n_rows:
        n = n_rows - len(reviews)
        message = f"Rows of reviews corrected by a later row of the same review_id: {n:,}."
        yield Issue.of("R020", "info", f"{message} They count for earlier moments only.", n)


def _issue_if_any(
    code: str, severity: Severity, reviews: pd.DataFrame, mask: object, what: str
) -> Iterator[Issue]:
    """Yield an issue if the mask selects any review."""
    ids = reviews["review_id"][np.asarray(mask, dtype=bool)]
    if len(ids):
        yield Issue.of(code, severity, f"{what}: {len(ids):,}.", len(ids), ids.head())


def _check_unknown_decisions(
    reviews: pd.DataFrame,
    place: npt.NDArray[np.intp],
    rejected: "pd.Series[str]",
) -> Iterator[Issue]:
    """R006: reviews of missing decisions."""
    strange = reviews["decision_id"][place < 0]
    if not len(strange):
        return
    known_bad = int(strange.isin(rejected.dropna()).sum())
    bad = f", {known_bad:,} of them of rejected decisions" if known_bad else ""
    none = len(strange) == len(reviews)
    message = f"Reviews of decisions that are missing: {len(strange):,}{bad}."
    if none:
        message += " No review matches any decision: are the ids written differently?"
    yield Issue.of("R006", "error" if none else "warning", message, len(strange), strange.head())


def _check_probabilities(reviews: pd.DataFrame) -> Iterator[Issue]:
    """R008 audit reviews without an inclusion probability, R009 decisions with two."""
    audit = reviews[reviews["source"] == AUDIT]
    lacking = audit["inclusion_probability"].isna()
    what = "Audit reviews without inclusion_probability"
    yield from _issue_if_any("R008", "error", audit, lacking, what)
    spread = audit.groupby("decision_id")["inclusion_probability"].agg(["min", "max"])
    two = spread.index[(spread["max"] - spread["min"]) > 1e-9]
    if len(two):
        message = f"Audited decisions with two different inclusion probabilities: {len(two):,}."
        yield Issue.of("R009", "error", message, len(two), two[:5])


def _check_verdicts(reviews: pd.DataFrame) -> Iterator[Issue]:
    """R010 and R014 golden items, R011 relabelled to nothing, R013 one class of verdicts."""
    golden = reviews["source"] == GOLDEN
    expected = reviews["expected"].notna()
    what = "Golden reviews without the expected verdict, which measure no reviewer"
    yield from _issue_if_any("R010", "error", reviews, golden & ~expected, what)
    what = "Reviews with an expected verdict that are not golden"
    yield from _issue_if_any("R014", "warning", reviews, ~golden & expected, what)
    bare = (reviews["verdict"] == RELABELLED) & reviews["correct_policy_id"].isna()
    what = "Reviews that relabel without correct_policy_id"
    yield from _issue_if_any("R011", "warning", reviews, bare, what)
    verdicts = reviews["verdict"][~golden]
    wrong = verdicts != UPHELD
    if len(verdicts) and (wrong.all() or not wrong.any()):
        only = "finds the decision wrong" if wrong.all() else "upholds the decision"
        message = f"Every review {only}: a model cannot learn from one class."
        yield Issue.of("R013", "warning", message, len(verdicts))


def _check_reviewer_count(reviews: pd.DataFrame) -> Iterator[Issue]:
    """R015: too few reviewers to estimate their error rates."""
    people = reviews["reviewer_id"].nunique()
    if people == 0:
        message = "No review names its reviewer: reviewers' error rates cannot be estimated."
        yield Issue.of("R015", "info", message, len(reviews))
    elif people == 1:
        message = "One reviewer gave all reviews: their error rate cannot be estimated."
        yield Issue.of("R015", "warning", message, 1, reviews["reviewer_id"].dropna().unique())


def _check_coverage(reviews: pd.DataFrame, judged: pd.DataFrame) -> Iterator[Issue]:
    """R016 no audit, R017 allowed or enforced decisions never reviewed, R018 reviews by source."""
    sources = reviews["source"].value_counts()
    if AUDIT not in sources.index:
        message = "No review comes from an audit: error rates cannot be estimated from the others."
        yield Issue.of("R016", "warning", message, len(reviews))
    for side, name in ((True, "enforced"), (False, "allowed")):
        if len(judged) and not (judged["enforced"] == side).any():
            message = f"No {name} decision was reviewed: errors among them stay unknown."
            yield Issue.of("R017", "warning", message, 0)
    named = ", ".join(f"{source} ({n:,})" for source, n in sources.sort_index().items())
    yield Issue.of("R018", "info", f"Reviews by source: {named}.", len(reviews))


def _check_adjudications(reviews: pd.DataFrame) -> Iterator[Issue]:
    """R019: an expert's verdict on a decision without any other review."""
    adjudication = reviews["source"] == ADJUDICATION
    others = reviews["decision_id"][~adjudication]
    alone = adjudication & ~reviews["decision_id"].isin(others)
    what = "Adjudications of decisions without any other review"
    yield from _issue_if_any("R019", "warning", reviews, alone, what)
