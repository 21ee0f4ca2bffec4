"""From decisions and reviews to the drawn decisions of a designed sample, one draw a decision."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from errdetect.errors import DataError, Refusal, sentence
from errdetect.schemas import ADJUDICATION, AUDIT, OVERTURNED, UPHELD

__all__ = ["Audit", "gather_draws", "is_error", "locate", "read_audit"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: Two probabilities of one decision are the same when they differ by less than this share.
SAME = 1e-6


@dataclass(frozen=True)
class Audit:
    """The drawn decisions and what was said of them.

    Parameters
    ----------
    position
        Row of each drawn decision among the decisions, ascending, shape (n_draws,).
    weight
        1/inclusion probability.
    error, overturned
        Share of its judges who say that it is an error, and that its action is wrong.
    expert_error, expert_overturned
        What the expert says, 1 or 0; NaN where no expert was asked.
    expert_probability
        Chance that the reviewed decision was sent to the expert; NaN where none is given.
    vote_draw, vote_site
        The draw of each single review, and its site as an index into `sites` (-1: not given).
    sites
        Names of the sites, ascending.
    own_variance
        What each draw adds to the variance of a sum, for each squared residual; None where that is
        weight (weight - 1), as it is with one design.
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

    @property
    def variance(self) -> Floats:
        """What each draw adds to the variance of a sum, for each squared residual; 0 if certain."""
        if self.own_variance is None:
            return np.asarray(self.weight * (self.weight - 1))
        return self.own_variance

    @property
    def flagged(self) -> Bools:
        """Whether any of its judges calls the decision an error."""
        return self.error > 0

    @property
    def adjudicated(self) -> Bools:
        """Whether an expert answered."""
        return ~np.isnan(self.expert_error)


def is_error(verdict: pd.Series, *, action_only: bool) -> Bools:
    """Whether each verdict says error; `action_only` leaves out wrong labels of right actions.

    Examples
    --------
    >>> verdict = pd.Series(["upheld", "relabelled", "overturned"])
    >>> is_error(verdict, action_only=False).tolist(), is_error(verdict, action_only=True).tolist()
    ([False, True, True], [False, False, True])
    """
    said = verdict == OVERTURNED if action_only else verdict != UPHELD
    return said.to_numpy(dtype=bool)


def locate(decisions: pd.DataFrame, decision_id: pd.Series) -> Ints:
    """Row of each decision id among the decisions, -1 for ids that are not among them.

    Examples
    --------
    >>> locate(pd.DataFrame({"decision_id": ["a", "b"]}), pd.Series(["b", "x"])).tolist()
    [1, -1]
    """
    index = pd.Index(decisions["decision_id"])
    if not index.is_unique:
        twice = index[index.duplicated()]
        got = f"{len(twice)} repeated (first: {twice[0]})"
        raise DataError(
            sentence("decision_id", "be unique", got, "Keep one row for each decision.")
        )
    return np.asarray(index.get_indexer(pd.Index(decision_id)), dtype=np.int64)


def _check_probability(reviews: pd.DataFrame, what: str) -> None:
    given = reviews["inclusion_probability"].astype(float)
    bad = ~((given > 0) & (given <= 1))
    if bad.any():
        first = reviews.loc[bad.to_numpy()].iloc[0]
        got = (
            f"{int(bad.sum())} of {len(reviews)} that are missing or outside "
            f"(first: {first['inclusion_probability']} in review {first['review_id']})"
        )
        do = "Log the chance the design gave each decision, or give these reviews another source."
        raise Refusal(sentence(f"inclusion_probability of {what}", "lie in (0, 1]", got, do))


def _check_times(reviews: pd.DataFrame, position: Ints, decisions: pd.DataFrame) -> None:
    if "decided_at" not in decisions or "reviewed_at" not in reviews:
        return
    decided = decisions["decided_at"].iloc[position].reset_index(drop=True)
    early = (reviews["reviewed_at"].reset_index(drop=True) < decided).to_numpy(dtype=bool)
    if early.any():
        got = (
            f"{int(early.sum())} before (first: review {reviews['review_id'].iloc[early.argmax()]})"
        )
        do = "Mend the clocks or leave these reviews out of the input."
        raise DataError(sentence("reviewed_at", "not lie before its decision", got, do))


def _draws(position: Ints, probability: Floats, reviews: pd.DataFrame) -> tuple[Ints, Ints, Floats]:
    """Distinct drawn rows, the draw of each review, and each draw's probability."""
    drawn, draw = np.unique(position, return_inverse=True)
    low, high = np.full(len(drawn), np.inf), np.zeros(len(drawn))
    np.minimum.at(low, draw, probability)
    np.maximum.at(high, draw, probability)
    differ = high - low > SAME * high
    if differ.any():
        first = int(np.argmax(differ))
        name = reviews["decision_id"].iloc[int(np.argmax(draw == first))]
        got = f"{int(differ.sum())} with two (first: {name}, {low[first]:g} and {high[first]:g})"
        do = (
            "Estimate from one audit design at a time, or log the chance over all designs together."
        )
        raise Refusal(sentence("inclusion_probability", "be one for each decision", got, do))
    return drawn, draw.astype(np.int64), high


def _experts(reviews: pd.DataFrame, decisions: pd.DataFrame, drawn: Ints) -> tuple[Floats, ...]:
    """Find the last adjudication of each draw: error, overturned, chance of being sent."""
    error, overturned, probability = (np.full(len(drawn), np.nan) for _ in range(3))
    experts = reviews[reviews["source"] == ADJUDICATION]
    experts = experts.sort_values(["reviewed_at", "review_id"], kind="stable")
    position = locate(decisions, experts["decision_id"])
    draw = np.searchsorted(drawn, position)
    known = np.isin(position, drawn)
    experts, draw = experts[known], draw[known]
    given = experts[experts["inclusion_probability"].notna()]
    _check_probability(given, "adjudications")
    error[draw] = is_error(experts["verdict"], action_only=False)
    overturned[draw] = is_error(experts["verdict"], action_only=True)
    probability[draw] = experts["inclusion_probability"].to_numpy(dtype=float)
    return error, overturned, probability


def read_audit(
    decisions: pd.DataFrame, reviews: pd.DataFrame, *, sources: Sequence[str] = (AUDIT,)
) -> Audit:
    """Gather the draws of a designed sample; several judges of one decision are one draw.

    Parameters
    ----------
    decisions
        The contract's decisions: the population that the design drew from.
    reviews
        The contract's reviews; those of other decisions are left out.
    sources
        The sources whose reviews came from one design with logged inclusion probabilities.

    Returns
    -------
    Audit

    Raises
    ------
    Refusal
        Where a probability is missing, outside (0, 1], or differs within a decision.
    DataError
        Where a review lies before its decision.

    Examples
    --------
    >>> decisions = pd.DataFrame({"decision_id": ["a", "b", "c"]})
    >>> reviews = pd.DataFrame({
    ...     "review_id": ["1", "2"], "decision_id": ["b", "b"], "source": "audit",
    ...     "verdict": ["upheld", "overturned"], "inclusion_probability": 0.5, "site": "x",
    ...     "reviewed_at": pd.to_datetime(["2026-01-01", "2026-01-02"], utc=True)})
    >>> audit = read_audit(decisions, reviews)
    >>> audit.position.tolist(), audit.weight.tolist(), audit.error.tolist()
    ([1], [2.0], [0.5])
    """
    votes = reviews[reviews["source"].isin(list(sources)).to_numpy(dtype=bool)]
    position = locate(decisions, votes["decision_id"])
    votes, position = votes[position >= 0], position[position >= 0]
    _check_probability(votes, " and ".join(f"{source} reviews" for source in sources))
    _check_times(votes, position, decisions)
    probability = votes["inclusion_probability"].to_numpy(dtype=float)
    drawn, draw, probability = _draws(position, probability, votes)
    return gather_draws(decisions, reviews, votes, drawn, draw, 1 / probability)


def gather_draws(
    decisions: pd.DataFrame,
    reviews: pd.DataFrame,
    votes: pd.DataFrame,
    drawn: Ints,
    draw: Ints,
    weight: Floats,
    variance: Floats | None = None,
) -> Audit:
    """Put together what was said of each draw.

    Parameters
    ----------
    decisions, reviews
        The contract's tables; adjudications are looked for among all reviews.
    votes
        The reviews of the draws, shape (n_votes, any).
    drawn
        Rows of the drawn decisions, ascending, shape (n_draws,).
    draw
        Draw of each vote, shape (n_votes,); every draw has one.
    weight, variance
        As in `Audit`, shape (n_draws,).

    Returns
    -------
    Audit

    Examples
    --------
    >>> decisions = pd.DataFrame({"decision_id": ["a"]})
    >>> votes = pd.DataFrame({"decision_id": ["a"], "source": "re_review", "verdict": "overturned",
    ...                       "site": "x", "review_id": "1", "inclusion_probability": 1.0,
    ...                       "reviewed_at": pd.to_datetime(["2026-01-01"], utc=True)})
    >>> row = np.zeros(1, int)
    >>> gather_draws(decisions, votes, votes, row, row, np.ones(1)).error.tolist()
    [1.0]
    """
    judges = np.bincount(draw, minlength=len(drawn))
    site, sites = pd.factorize(votes["site"], sort=True)
    error, overturned, sent = _experts(reviews, decisions, drawn)
    return Audit(
        position=drawn,
        weight=weight,
        error=np.bincount(draw, is_error(votes["verdict"], action_only=False)) / judges,
        overturned=np.bincount(draw, is_error(votes["verdict"], action_only=True)) / judges,
        expert_error=error,
        expert_overturned=overturned,
        expert_probability=sent,
        vote_draw=draw,
        vote_site=site.astype(np.int64),
        sites=tuple(str(name) for name in sites),
        own_variance=variance,
    )
