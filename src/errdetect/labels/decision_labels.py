"""Labels as of a moment: error, correct or unknown, and whether they may still change."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.errors import DataError, error_message
from errdetect.labels.review_history import COUNTS, OVERRULED, REVISED, to_datetime64
from errdetect.schemas import (
    ADJUDICATION,
    APPEAL,
    CORRECT,
    ERROR,
    MISSED_VIOLATION,
    OVERTURNED,
    RELABELLED,
    REPORT,
    SOURCES,
    UNKNOWN,
    WRONG_LABEL,
    WRONGFUL_ACTION,
)

__all__ = [
    "MATURITY",
    "find_correct_policies",
    "label_decisions",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: How long after the decision each source may still file a review: complaints and notices have six
#: months (Regulation (EU) 2022/2065, Art. 20(1)), which are at most 184 days.
MATURITY: Final[Mapping[str, timedelta]] = {
    APPEAL: timedelta(days=184),
    REPORT: timedelta(days=184),
}


@dataclass(frozen=True)
class _VoteCounts:
    """Votes by outcome, adjudication and latest time for each of n decisions."""

    overturned: Ints
    relabelled: Ints
    total: Ints
    adjudicated: npt.NDArray[np.bool_]
    known_at: npt.NDArray[np.datetime64]


def label_decisions(
    decisions: pd.DataFrame,
    history: pd.DataFrame,
    *,
    as_of: datetime,
    maturity: Mapping[str, timedelta] | None = None,
    p_reviews: "pd.Series[float] | None" = None,
) -> pd.DataFrame:
    """Label every decision by its reviews up to `as_of`.

    An adjudication overrules all other reviews. Otherwise reviewers vote, one vote each (see
    `build_review_history`): where all agree, theirs is the label; where they disagree, `p_label`
    decides, and a tie is unknown. A decision without a review is unknown, never correct: `pending`
    while some source's window is open, `censored` afterwards. A decision with a label is `matured`.
    Golden reviews never count.

    Parameters
    ----------
    decisions
        n decisions with `decision_id`, `decided_at` and the bool `enforced`.
    history
        The review history as of that moment, in any order; see `build_review_history`.
    as_of
        The moment, with a time zone.
    maturity
        Source -> how long after the decision it may still file a review; `MATURITY` if None.
    p_reviews
        P(error) by decision_id from the reviewer model (`ReviewerModel.p_error`), as of the same
        moment. Decisions not in it, and all if None, get the share of votes.

    Returns
    -------
    pandas.DataFrame
        n rows in the order of `decisions`, columns as `schemas.LABELS`. `known_at` is the time of
        the latest review that counts. `n_reviews` and `sources` cover all known reviews except
        golden ones, including revised and overruled ones.

    Raises
    ------
    DataError
        If `maturity` names an unknown source or a negative duration.

    Examples
    --------
    >>> from errdetect.labels.review_history import build_review_history
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-03", "2026-01-05"], utc=True)
    >>> decisions = pd.DataFrame({
    ...     "decision_id": ["d1", "d2"], "decided_at": day[:2], "enforced": [True, True]})
    >>> reviews = pd.DataFrame({
    ...     "review_id": ["r1"], "decision_id": ["d1"], "reviewed_at": day[2:],
    ...     "source": ["appeal"], "verdict": ["overturned"], "reviewer_id": ["ann"]})
    >>> history = build_review_history(decisions, reviews)
    >>> labels = label_decisions(decisions, history, as_of=day[2])
    >>> labels[["label", "error_kind", "state"]].values.tolist()
    [['error', 'wrongful_action', 'matured'], ['unknown', nan, 'pending']]
    """
    now = np.datetime64(pd.Timestamp(as_of).tz_convert(None).as_unit("us").isoformat(), "us")
    window = _longest_maturity(MATURITY if maturity is None else maturity)
    votes = _count_votes(history, n=len(decisions))
    p_label = _p_label(votes, decisions["decision_id"], p_reviews)
    is_error, is_correct = _error_or_correct(votes, p_label)
    unknown = ~(is_error | is_correct)
    open_window = to_datetime64(decisions["decided_at"]) + window > now
    n_reviews, sources = _review_provenance(history, n=len(decisions))
    known_at = np.where(unknown, np.datetime64("NaT", "us"), votes.known_at)
    return pd.DataFrame(
        {
            "decision_id": decisions["decision_id"].array,
            "label": _as_strings(np.select([is_error, is_correct], [ERROR, CORRECT], UNKNOWN)),
            "error_kind": _error_kinds(votes, is_error, decisions["enforced"].to_numpy(dtype=bool)),
            "p_label": p_label,
            "state": _as_strings(
                np.select([~unknown, open_window], ["matured", "pending"], "censored")
            ),
            "n_reviews": n_reviews,
            "sources": sources,
            "known_at": pd.to_datetime(known_at, utc=True),
        }
    )


def _longest_maturity(maturity: Mapping[str, timedelta]) -> np.timedelta64:
    strangers = sorted(set(maturity) - set(SOURCES))
    if strangers:
        raise DataError(
            error_message(
                "maturity", f"name sources of {', '.join(SOURCES)}", strangers, "Rename them."
            )
        )
    longest = timedelta(0)
    for source, window in maturity.items():
        if window < timedelta(0):
            raise DataError(
                error_message(f"maturity of {source}", "be at least 0", window, "Give a duration.")
            )
        longest = max(longest, window)
    return np.timedelta64(longest, "us")


def _count_votes(events: pd.DataFrame, n: int) -> _VoteCounts:
    counting = events[events["standing"] == COUNTS]
    at = counting["position"].to_numpy()

    def tally(column: str, word: str) -> Ints:
        return np.bincount(at[(counting[column] == word).to_numpy(dtype=bool)], minlength=n)

    known_at = np.full(n, np.datetime64(0, "us"))
    np.maximum.at(known_at, at, to_datetime64(counting["known_at"]))
    return _VoteCounts(
        overturned=tally("verdict", OVERTURNED),
        relabelled=tally("verdict", RELABELLED),
        total=np.bincount(at, minlength=n),
        adjudicated=tally("source", ADJUDICATION) > 0,
        known_at=known_at,
    )


def _p_label(
    votes: _VoteCounts, decision_id: "pd.Series[str]", p_reviews: "pd.Series[float] | None"
) -> Floats:
    share = np.full(len(votes.total), np.nan)
    np.divide(votes.overturned + votes.relabelled, votes.total, out=share, where=votes.total > 0)
    if p_reviews is None:
        return share
    given = p_reviews.reindex(decision_id.to_numpy()).to_numpy(dtype=np.float64)
    usable = ~np.isnan(given) & (votes.total > 0) & ~votes.adjudicated
    return np.where(usable, given, share)


def _error_or_correct(
    votes: _VoteCounts, p_label: Floats
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return where the label is error and where correct: unanimous votes, else the likelier."""
    against = votes.overturned + votes.relabelled
    reviewed = votes.total > 0
    unanimous_error, unanimous_correct = against == votes.total, against == 0
    is_error = reviewed & ~unanimous_correct & (unanimous_error | (p_label > 0.5))
    is_correct = reviewed & ~unanimous_error & (unanimous_correct | (p_label < 0.5))
    return is_error, is_correct


def _error_kinds(
    votes: _VoteCounts, is_error: npt.NDArray[np.bool_], enforced: npt.NDArray[np.bool_]
) -> Any:
    """Return each error's kind; on a tie between action and policy, the action is wrong."""
    wrong_policy = votes.relabelled > votes.overturned
    kinds = np.select([wrong_policy, enforced], [WRONG_LABEL, WRONGFUL_ACTION], MISSED_VIOLATION)
    return _as_strings(np.where(is_error, kinds.astype(object), np.nan))


def _review_provenance(events: pd.DataFrame, n: int) -> tuple[Ints, npt.NDArray[np.object_]]:
    """Count each decision's known reviews and list their sources, without golden ones."""
    known = events[events["standing"].isin([COUNTS, REVISED, OVERRULED])]
    at = known["position"].to_numpy()
    names = sorted(SOURCES)
    code = pd.Index(names).get_indexer(pd.Index(known["source"]))
    seen = np.zeros(n, dtype=np.int64)
    np.bitwise_or.at(seen, at, np.left_shift(1, code))
    sources = np.empty(n, dtype=object)
    no_sources: list[str] = []  # shared: creating a million lists takes a second
    sources[:] = [no_sources] * n
    for row in np.flatnonzero(seen).tolist():
        sources[row] = [name for bit, name in enumerate(names) if seen[row] >> bit & 1]
    return np.bincount(at, minlength=n), sources


def _as_strings(values: npt.NDArray[Any]) -> Any:
    return pd.array(values, dtype="str")


def find_correct_policies(
    decisions: pd.DataFrame,
    labels: pd.DataFrame,
    history: pd.DataFrame,
) -> "pd.Series[Any]":
    """Return the correct policy of each reviewed enforcement.

    An upheld enforcement has the correct policy; a relabelled one should have had the policy that
    most of its current reviews name. The correct policy is unknown where reviews tie or name none,
    and where the action is wrong or the decision allowed the content.

    Parameters
    ----------
    decisions
        n decisions with `decision_id`, `decided_at`, `policy_id` and the bool `enforced`.
    labels
        From `label_decisions` at the same moment, in the decisions' order.
    history
        The review history as of that moment.

    Returns
    -------
    pandas.Series
        Shape (n,), policy ids; missing where unknown.

    Examples
    --------
    >>> from errdetect.snapshot import Snapshot
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-03"], utc=True)
    >>> decisions = pd.DataFrame({
    ...     "decision_id": ["a", "b"], "decided_at": day[0], "policy_id": "scam", "enforced": True})
    >>> reviews = pd.DataFrame({
    ...     "review_id": ["r1", "r2"], "decision_id": ["a", "b"], "reviewed_at": day[1],
    ...     "source": "audit", "verdict": ["upheld", "relabelled"], "reviewer_id": "ann",
    ...     "correct_policy_id": [None, "spam"]})
    >>> Snapshot(decisions, reviews).correct_policies.tolist()
    ['scam', 'spam']
    """
    enforced = decisions["enforced"].to_numpy(bool)
    upheld = enforced & (labels["label"] == CORRECT).to_numpy(bool)
    relabelled = enforced & (labels["error_kind"] == WRONG_LABEL).fillna(False).to_numpy(bool)
    own = decisions["policy_id"].astype("str")
    named = _most_named_policy(history).reindex(range(len(own)))
    named.index = own.index
    right = own.where(upheld, named.where(relabelled & (named != own).to_numpy(bool)))
    return right.astype("str")


def _most_named_policy(history: pd.DataFrame) -> "pd.Series[Any]":
    """Return the policy that most reviews name, by row of the decision, without ties."""
    counts = (history["standing"] == COUNTS) & (history["verdict"] == RELABELLED)
    rows = (counts & history["correct_policy_id"].notna()).to_numpy(bool)
    named = history.loc[rows, ["position", "correct_policy_id"]]
    named = named.set_axis(["at", "policy"], axis=1)
    votes = named.groupby(["at", "policy"], sort=True).size().reset_index(name="n")
    most = votes["n"] == votes.groupby("at")["n"].transform("max")
    clear = votes[
        most & ~votes[most].duplicated("at", keep=False).reindex(votes.index, fill_value=True)
    ]
    index = pd.Index(clear["at"].to_numpy())
    return pd.Series(clear["policy"].to_numpy(object), index=index, dtype="str")
