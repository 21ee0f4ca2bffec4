"""The audit sample: the decisions that a sampling design drew, and those lost since."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from errdetect.errors import Refusal, error_message
from errdetect.labels.audit_draws import DrawDesign, combine_draw_records, combine_recorded_draws
from errdetect.labels.review_history import (
    BEFORE_DECISION,
    COUNTS,
    OVERRULED,
    REVISED,
    UNKNOWN_DECISION,
    build_review_history,
    known_at,
    to_datetime64,
)
from errdetect.schemas import ADJUDICATION, AUDIT, OVERTURNED, UPHELD

__all__ = [
    "AuditSample",
    "ExpertAnswers",
    "LostDraws",
    "UnansweredDraws",
    "expert_answers",
    "find_lost_draws",
    "gather_audit_sample",
    "gather_draws",
    "inclusion_probabilities",
    "is_error",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: Decimal places of the logarithm to which two probabilities of one decision are equal.
SAME_PLACES = 6


@dataclass(frozen=True)
class ExpertAnswers:
    """Experts' verdicts on each draw; arrays of shape (n_draws,).

    Parameters
    ----------
    error, overturned
        Whether the decision is an error, and whether its action is wrong: 1 or 0; NaN where no
        expert reviewed it.
    probability
        Probability that the reviewed decision was sent to the expert; NaN where not given.
    """

    error: Floats
    overturned: Floats
    probability: Floats


@dataclass(frozen=True)
class UnansweredDraws:
    """Drawn decisions that no reviewer has answered yet; arrays of shape (n_unanswered,).

    Parameters
    ----------
    position
        Row of the decision among the decisions, ascending.
    weight
        1/inclusion probability.
    """

    position: Ints
    weight: Floats


@dataclass(frozen=True)
class AuditSample:
    """The drawn decisions and their reviewers' verdicts.

    Parameters
    ----------
    position
        Row of each drawn decision among the decisions, ascending, shape (n_draws,).
    weight
        1/inclusion probability.
    error, overturned
        Share of its reviewers who find an error, and a wrong action.
    expert_error, expert_overturned, expert_probability
        See `ExpertAnswers`.
    vote_draw, vote_site
        The draw of each single review, and its site as an index into `sites` (-1: not given).
    sites
        Names of the sites, ascending.
    own_variance
        Each draw's contribution to the variance of a sum, per squared residual; None where it is
        weight (weight - 1), as with one design.
    n_shared
        How many decisions were drawn more than once.
    pending
        Draws that are left out as their answers are not due yet, each in words.
    unanswered
        The draws without a review; None where draws are not recorded, so that nobody knows.
    """

    position: Ints
    weight: Floats
    error: Floats
    overturned: Floats
    expert_error: Floats
    expert_overturned: Floats
    expert_probability: Floats
    vote_draw: Ints
    vote_site: Ints
    sites: tuple[str, ...]
    own_variance: Floats | None = None
    unanswered: UnansweredDraws | None = None
    n_shared: int = 0
    pending: tuple[str, ...] = ()

    @property
    def variance(self) -> Floats:
        """Each draw's contribution to the variance of a sum, per squared residual; 0 if certain."""
        if self.own_variance is None:
            return np.asarray(self.weight * (self.weight - 1))
        return self.own_variance

    @property
    def flagged(self) -> Bools:
        """Whether any of its reviewers finds an error."""
        return self.error > 0

    @property
    def adjudicated(self) -> Bools:
        """Whether an expert reviewed it."""
        return ~np.isnan(self.expert_error)

    @property
    def answer(self) -> Floats:
        """The expert's verdict where there is one, else the share of reviewers who find an error."""
        return np.where(self.adjudicated, self.expert_error, self.error)


@dataclass(frozen=True)
class LostDraws:
    """Drawn decisions whose reviews cannot be used; arrays of shape (n_lost,).

    Parameters
    ----------
    weight
        1/inclusion probability; where unreadable, the mean of the others.
    position
        Row of the decision among the decisions, -1 if not in the log.
    decision_id
        As the review has it; missing where unreadable.
    review_id
        One of its reviews.
    known_at
        When that review was made; NaT where unreadable.
    rejected
        The readable fields of decisions that were themselves rejected, shape (n_lost, any).
    """

    weight: Floats
    position: Ints
    decision_id: NDArray[np.object_]
    review_id: NDArray[np.object_]
    known_at: NDArray[np.datetime64]
    rejected: pd.DataFrame

    def __len__(self) -> int:
        return len(self.weight)

    @property
    def rejected_ids(self) -> pd.Index:
        """The draws' decisions that are in the log but were rejected."""
        return pd.Index(self.decision_id[self.rejected.notna().any(axis=1).to_numpy(bool)])

    def select_rows(self, rows: Bools) -> "LostDraws":
        """Return these draws."""
        return LostDraws(
            self.weight[rows],
            self.position[rows],
            self.decision_id[rows],
            self.review_id[rows],
            self.known_at[rows],
            self.rejected[rows].reset_index(drop=True),
        )


def is_error(verdict: pd.Series, *, action_only: bool) -> Bools:
    """Whether each verdict is an error; `action_only` leaves out wrong labels of correct actions.

    Examples
    --------
    >>> verdict = pd.Series(["upheld", "relabelled", "overturned"])
    >>> is_error(verdict, action_only=False).tolist(), is_error(verdict, action_only=True).tolist()
    ([False, True, True], [False, False, True])
    """
    error = verdict == OVERTURNED if action_only else verdict != UPHELD
    return error.to_numpy(dtype=bool)


def gather_audit_sample(
    decisions: pd.DataFrame,
    reviews: pd.DataFrame,
    *,
    as_of: datetime | None = None,
    sources: Sequence[str] = (AUDIT,),
    draws: pd.DataFrame | None = None,
) -> AuditSample:
    """Collect the draws of a designed sample; several reviewers of one decision are one draw.

    Only the sample's own reviews and adjudications count: appeals are not drawn by the design, so
    they would bias the sample. Each reviewer's latest verdict on a decision counts. A recorded draw
    of one day whose answers are not due and not complete is left out, unless there is no other.

    Parameters
    ----------
    decisions
        The contract's decisions: the population that the design drew from.
    reviews
        The contract's reviews; those of other decisions, or dated before their decision, are left
        out (`find_lost_draws` counts them).
    as_of
        Only reviews known by then; the latest time in the data if None.
    sources
        The sources whose reviews come from designs with logged inclusion probabilities.
    draws
        The recorded draws, columns of `schemas.DRAWS`; their probabilities count. A review of a
        decision that no recorded draw holds counts with its own. None where none is recorded.

    Returns
    -------
    AuditSample
        Decisions that several draws reach have combined weights; see `audit_draws`.

    Raises
    ------
    Refusal
        Where a probability is missing or outside (0, 1].
    DataError
        Where a `decision_id` occurs twice among the decisions.

    Examples
    --------
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-02"], utc=True)
    >>> decisions = pd.DataFrame({"decision_id": ["a", "b", "c"], "decided_at": day[0]})
    >>> reviews = pd.DataFrame({
    ...     "review_id": ["1", "2"], "decision_id": ["b", "b"], "source": "audit",
    ...     "verdict": ["upheld", "overturned"], "inclusion_probability": 0.5, "site": "x",
    ...     "reviewer_id": None, "reviewed_at": day})
    >>> audit = gather_audit_sample(decisions, reviews)
    >>> audit.position.tolist(), audit.weight.tolist(), audit.error.tolist()
    ([1], [2.0], [0.5])
    """
    own = reviews["source"].isin([*sources, ADJUDICATION]).to_numpy(dtype=bool)
    reviews = reviews[own]
    events = build_review_history(decisions, reviews, as_of=as_of)
    standing = events["standing"]
    expert = (events["source"] == ADJUDICATION).to_numpy(dtype=bool)
    counts = standing.isin([COUNTS, OVERRULED]).to_numpy(dtype=bool) & ~expert
    votes, position = reviews[counts], events["position"].to_numpy()[counts]
    recorded, pending = _recorded_draws(decisions, draws, position, known_at(reviews), as_of)
    known = to_datetime64(events["known_at"])[counts]
    if draws is not None:  # answers to draws that are left out are left out, too
        asked = _asked_at(decisions, draws)[position]
        kept = np.isin(position, recorded["position"]) | ~(known >= asked)
        votes, position, known = votes[kept], position[kept], known[kept]
    never = (known.max() if len(known) else _EPOCH) + np.timedelta64(1, "us")
    other = known < _asked_at(decisions, recorded, missing=never)[position]
    design = _combined_design(decisions, votes, (position, other), recorded, sources)
    answered = np.isin(design.position, position)
    drawn = design.position[answered]
    final = expert & (standing == COUNTS).to_numpy(dtype=bool)
    answers = expert_answers(reviews[final], events["position"].to_numpy()[final], drawn)
    draw = np.searchsorted(drawn, position).astype(np.int64)
    weight, variance = design.weight[answered], design.variance[answered]
    sample = gather_draws(votes, answers, drawn, draw, weight, variance)
    sample = replace(sample, n_shared=design.n_shared)
    if draws is None:
        return sample
    waiting = UnansweredDraws(design.position[~answered], design.weight[~answered])
    return replace(sample, unanswered=waiting, pending=pending)


def _combined_design(
    decisions: pd.DataFrame,
    votes: pd.DataFrame,
    places_and_others: tuple[Ints, Bools],
    recorded: pd.DataFrame,
    sources: Sequence[str],
) -> DrawDesign:
    """Return the design of the recorded draws and of the reviews that answer none of them."""
    position, other = places_and_others
    _check_probability(votes[other], " and ".join(f"{source} reviews" for source in sources))
    own = votes["inclusion_probability"].to_numpy(dtype=float)[other]
    places = np.round(np.log(own), SAME_PLACES)
    _, first = np.unique(np.column_stack([position[other], places]), axis=0, return_index=True)
    at, own = position[other][first], own[first]
    if not len(recorded):
        return combine_draw_records(at, own, len(decisions))
    if len(at):
        # Reviews from before draws were recorded: one more draw.
        one, where = np.unique(at, return_index=True)
        more = pd.DataFrame({"position": one, "draw_id": "", "inclusion_probability": own[where]})
        more["drawn_at"] = decisions["decided_at"].iloc[one].to_numpy()
        recorded = pd.concat([recorded, more.astype({"drawn_at": recorded["drawn_at"].dtype})])
    return combine_recorded_draws(decisions, recorded)


_EPOCH = np.datetime64(0, "us")


def _asked_at(
    decisions: pd.DataFrame, draws: pd.DataFrame, missing: np.datetime64 | None = None
) -> NDArray[np.datetime64]:
    """Return when each decision was first drawn; `missing` (default: never) where it was not."""
    first = np.full(len(decisions), np.iinfo(np.int64).max)
    if "position" in draws:
        position = draws["position"].to_numpy(np.int64)
    else:
        position = pd.Index(decisions["decision_id"]).get_indexer(pd.Index(draws["decision_id"]))
    inside = position >= 0
    times = to_datetime64(draws["drawn_at"]).astype(np.int64)
    np.minimum.at(first, position[inside], times[inside])
    asked = first.astype("datetime64[us]")
    if missing is not None:
        asked[first == np.iinfo(np.int64).max] = missing
    return asked


#: Time after which the answers of a draw without a date are due, and the response of a complete one.
DUE_AFTER = pd.Timedelta(days=28)
COMPLETE = 0.98


def _recorded_draws(
    decisions: pd.DataFrame,
    draws: pd.DataFrame | None,
    answered: Ints,
    known: "pd.Series[pd.Timestamp]",
    as_of: datetime | None,
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the recorded draws of these decisions with their `position`, and those not yet due."""
    columns = ["position", "draw_id", "inclusion_probability", "drawn_at"]
    if draws is None:
        return pd.DataFrame(columns=columns), ()
    position = pd.Index(decisions["decision_id"]).get_indexer(pd.Index(draws["decision_id"]))
    inside = position >= 0
    if as_of is not None:
        inside &= ~(draws["drawn_at"] > pd.Timestamp(as_of)).to_numpy(dtype=bool)
    frame = draws.assign(position=position)[inside].drop_duplicates(["draw_id", "position"])
    moments = [known.max(), frame["drawn_at"].max(), decisions["decided_at"].max()]
    now = pd.Timestamp(as_of) if as_of is not None else max(m for m in moments if not pd.isna(m))
    pending = []
    for draw_id, rows in frame.groupby("draw_id", sort=False):
        first, last = rows["drawn_at"].min(), rows["drawn_at"].max()
        due = rows["due_at"].max() if rows["due_at"].notna().any() else last + DUE_AFTER
        n = int(rows["position"].isin(answered).sum())
        if last - first <= pd.Timedelta(days=1) and due > now and n < COMPLETE * len(rows):
            pending.append((draw_id, f"{n:,} of {len(rows):,} decisions of draw {draw_id} are "
                            f"reviewed; it counts when they all are, or from {due:%Y-%m-%d}"))  # fmt: skip
    late = frame["draw_id"].isin([draw_id for draw_id, _ in pending]).to_numpy(dtype=bool)
    others = ~np.isin(answered, frame["position"].to_numpy())
    if late.all() and not others.any():
        return frame[columns], ()
    return frame.loc[~late, columns], tuple(text for _, text in pending)


def expert_answers(adjudications: pd.DataFrame, position: Ints, drawn: Ints) -> ExpertAnswers:
    """Look up the expert's verdict on each draw.

    Parameters
    ----------
    adjudications
        The adjudications that count, at most one a decision, shape (n_answers, any).
    position
        Row of the decision of each, shape (n_answers,).
    drawn
        Rows of the drawn decisions, ascending, shape (n_draws,).

    Raises
    ------
    Refusal
        Where a probability of being sent to the expert lies outside (0, 1].
    """
    error, overturned, probability = (np.full(len(drawn), np.nan) for _ in range(3))
    known = np.isin(position, drawn)
    adjudications, draw = adjudications[known], np.searchsorted(drawn, position[known])
    given = adjudications[adjudications["inclusion_probability"].notna()]
    _check_probability(given, "adjudications")
    error[draw] = is_error(adjudications["verdict"], action_only=False)
    overturned[draw] = is_error(adjudications["verdict"], action_only=True)
    probability[draw] = adjudications["inclusion_probability"].to_numpy(dtype=float)
    return ExpertAnswers(error, overturned, probability)


def gather_draws(
    votes: pd.DataFrame,
    answers: ExpertAnswers,
    drawn: Ints,
    draw: Ints,
    weight: Floats,
    variance: Floats | None = None,
) -> AuditSample:
    """Combine the verdicts on each draw.

    Parameters
    ----------
    votes
        The reviews of the draws, shape (n_votes, any).
    answers
        From `expert_answers`.
    drawn
        Rows of the drawn decisions, ascending, shape (n_draws,).
    draw
        Draw of each vote, shape (n_votes,); every draw has one.
    weight, variance
        As in `AuditSample`, shape (n_draws,).
    """
    n_reviewers = np.bincount(draw, minlength=len(drawn))
    site, sites = pd.factorize(votes["site"], sort=True)
    return AuditSample(
        position=drawn,
        weight=weight,
        error=np.bincount(draw, is_error(votes["verdict"], action_only=False)) / n_reviewers,
        overturned=np.bincount(draw, is_error(votes["verdict"], action_only=True)) / n_reviewers,
        expert_error=answers.error,
        expert_overturned=answers.overturned,
        expert_probability=answers.probability,
        vote_draw=draw,
        vote_site=site.astype(np.int64),
        sites=tuple(str(name) for name in sites),
        own_variance=variance,
    )


def inclusion_probabilities(history: pd.DataFrame, *, n_decisions: int) -> Floats:
    """Return the probability with which an audit drew each decision; NaN where none did.

    Parameters
    ----------
    history
        The review history; see `build_review_history`.
    n_decisions
        Number of decisions.

    Returns
    -------
    numpy.ndarray
        Shape (n_decisions,); the lowest where a decision's reviews differ.
    """
    known = history["standing"].isin([COUNTS, OVERRULED, REVISED]) & (history["source"] == AUDIT)
    given = history["inclusion_probability"].to_numpy(dtype=np.float64, na_value=np.nan)
    rows = np.flatnonzero(known.to_numpy(dtype=bool) & (given > 0) & (given <= 1))
    lowest = np.full(n_decisions, np.inf)
    np.minimum.at(lowest, history["position"].to_numpy()[rows], given[rows])
    return np.where(np.isfinite(lowest), lowest, np.nan)


def find_lost_draws(
    decisions: pd.DataFrame,
    reviews: pd.DataFrame,
    probability: Floats,
    *,
    as_of: datetime | None = None,
    rejected_reviews: pd.DataFrame | None = None,
    rejected_decisions: pd.DataFrame | None = None,
) -> LostDraws:
    """List the drawn decisions that have audit reviews but no usable one.

    Reviews from before the log's first decision that match none of its decisions are left out: they
    belong to an earlier log.

    Parameters
    ----------
    decisions, reviews
        The contract's tables.
    probability
        From `inclusion_probabilities`: which decisions have a usable audit review.
    as_of
        Only reviews known by then; the latest time in the data if None.
    rejected_reviews, rejected_decisions
        The readable fields of rejected rows, with the contract's columns.

    Returns
    -------
    LostDraws
        One entry per decision, and one per rejected review without a readable `decision_id`.
    """
    own = reviews[(reviews["source"] == AUDIT).to_numpy(dtype=bool)]
    events = build_review_history(decisions, own, as_of=as_of)
    known = to_datetime64(own["reviewed_at"])
    first = to_datetime64(decisions["decided_at"]).min() if len(decisions) else np.datetime64("NaT")
    unknown = (events["standing"] == UNKNOWN_DECISION).to_numpy(dtype=bool) & ~(known < first)
    lost = own[unknown | (events["standing"] == BEFORE_DECISION).to_numpy(dtype=bool)]
    names = ["review_id", "decision_id", "reviewed_at", "inclusion_probability"]
    parts = [lost[names]]
    if rejected_reviews is not None and len(rejected_reviews):
        of_audit = (rejected_reviews["source"] == AUDIT).to_numpy(dtype=bool)
        if as_of is not None:
            of_audit &= ~(known_at(rejected_reviews) > pd.Timestamp(as_of)).to_numpy(dtype=bool)
        parts.append(rejected_reviews.loc[of_audit, names])
    rows = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    index = pd.Index(decisions["decision_id"])
    position = index.get_indexer(pd.Index(rows["decision_id"])).astype(np.int64)
    again = rows["decision_id"].notna() & rows.duplicated("decision_id")
    kept = ~again.to_numpy(dtype=bool) & ~np.isin(position, np.flatnonzero(~np.isnan(probability)))
    rows, position = rows[kept], position[kept]
    given = rows["inclusion_probability"].to_numpy(dtype=np.float64, na_value=np.nan)
    weight = 1 / np.where((given > 0) & (given <= 1), given, np.nan)
    seen = np.concatenate([weight, 1 / probability])
    seen = seen[~np.isnan(seen)]
    mean_weight = float(seen.mean()) if len(seen) else 1.0
    return LostDraws(
        weight=np.where(np.isnan(weight), mean_weight, weight),
        position=position,
        decision_id=rows["decision_id"].to_numpy(dtype=object),
        review_id=rows["review_id"].to_numpy(dtype=object),
        known_at=to_datetime64(rows["reviewed_at"]),
        rejected=_rows_of(rows["decision_id"], rejected_decisions),
    )


def _rows_of(decision_id: "pd.Series[str]", rejected: pd.DataFrame | None) -> pd.DataFrame:
    """Look up the rejected row of each decision; missing values where there is none."""
    if rejected is None or not len(rejected):
        return pd.DataFrame(index=range(len(decision_id)))
    one_each = rejected.dropna(subset="decision_id").drop_duplicates("decision_id")
    found = one_each.set_index("decision_id").reindex(decision_id.to_numpy())
    return found.reset_index(drop=True)


def _check_probability(reviews: pd.DataFrame, what: str) -> None:
    given = reviews["inclusion_probability"].astype(float)
    bad = ~((given > 0) & (given <= 1))
    if bad.any():
        first = reviews.loc[bad.to_numpy()].iloc[0]
        got = (
            f"{int(bad.sum())} of {len(reviews)} that are missing or outside "
            f"(first: {first['inclusion_probability']} in review {first['review_id']})"
        )
        do = "Log each decision's inclusion probability, or give these reviews another source."
        raise Refusal(error_message(f"inclusion_probability of {what}", "lie in (0, 1]", got, do))
