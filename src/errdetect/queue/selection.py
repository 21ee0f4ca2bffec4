"""Select the decisions to review: the most valuable, and some at random to keep the sample valid.

The random part is a fixed number of reviews per pool, drawn with exact probabilities. Each decision is
offered to one of the pools that can take it, its home. A pool's probabilities are higher for decisions
that inform and remedy most per minute, never below a floor, and add up to a whole number of reviews.
Decisions are ordered by pool, then minutes, and drawn systematically in random order: every probability
is exact, and every draw stays within the pool's minutes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from errdetect.errors import DataError, error_message
from errdetect.estimation.sampling_designs import expected_half_width
from errdetect.queue.allocation import (
    AccountLimit,
    Allocation,
    Floor,
    OpenReviews,
    allocate_reviews,
)
from errdetect.queue.random_arm import (
    RandomArm,
    draw_random_arm,
    group_reviews,
    plan_random_arm,
)
from errdetect.queue.reviewer_pools import PoolClasses

__all__ = [
    "AUTO",
    "EXPLORE",
    "RANKED",
    "ReviewCandidates",
    "Selection",
    "budget_count",
    "choose_share",
    "interleave_arms",
    "random_arm_minutes",
    "select_reviews",
    "width_ratio",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class _Measured(Protocol):
    """Both arms for one share, with the width of their interval."""

    @property
    def ratio(self) -> float: ...


_Arms = TypeVar("_Arms", bound=_Measured)

RANKED, EXPLORE = "ranked", "explore"
AUTO: Literal["auto"] = "auto"

#: Shares that `auto` tries, and the allowed width of its interval relative to a uniform audit's.
SHARES = tuple(round(0.1 + 0.02 * i, 2) for i in range(36))
WIDER = 1.3


def width_ratio(
    p_error: Floats,
    probability: Floats,
    reviews: float,
    *,
    size: Floats | None = None,
    count: Ints | None = None,
) -> float:
    """Compare the expected interval with that of a uniform audit of as many reviews.

    Both use P(error) as control variate. An interval from the larger of the expected and the observed
    variance is the wider, the fewer draws the latter depends on.

    Parameters
    ----------
    p_error
        Shape (n,), of the open jobs.
    probability
        Shape (n,), inclusion probability of each; jobs that cannot be reviewed are left out (0).
    reviews
        Reviews of the queue.
    size
        Shape (n,), decisions that each verdict covers; default 1.
    count
        Shape (n,), number of such jobs; default 1.

    Returns
    -------
    float
        Width of the queue's interval over the audit's; 0 where everything is known.

    Examples
    --------
    >>> p = np.repeat([0.4, 0.02], [100, 900])
    >>> round(width_ratio(p, np.full(1000, 0.1), 100), 2)
    1.0
    >>> ranked = np.repeat([0.9, 0.01], [100, 900])
    >>> round(width_ratio(p, np.where(ranked > 0.5, 0.9, 0.0111), 100), 2) > 1.3
    True
    """
    inside = probability > 0
    cover = (np.ones(len(p_error)) if size is None else size)[inside]
    p, chance = p_error[inside], probability[inside]
    copies = cover if count is None else cover * count[inside]
    # One verdict for `cover` decisions: their uncertainties are fully correlated.
    alike = 1 / (1 + cover * (1 / chance - 1))
    even = np.full(len(p), min(1.0, reviews / max(float(copies.sum()), 1.0)))
    widths = [
        expected_half_width(p, x, weight=copies) * _width_inflation(p, x, copies)
        for x in (alike, even)
    ]
    return widths[0] / widths[1] if len(p) and widths[1] > 0 else 0.0


def _width_inflation(p: Floats, chance: Floats, copies: Floats) -> float:
    """Return how much the larger of a variance and its estimate widens an interval, on average.

    The mean of max(1, 1 + cv z) is 1 + cv / sqrt(2 pi) for a standard normal z.
    """
    binomial, missed = p * (1 - p), 1 / chance - 1
    total = float(missed @ (copies * binomial))
    fourth = binomial * ((1 - p) ** 3 + p**3)
    if total <= 0:
        return 1.0
    cv = float(np.sqrt((missed**2 / chance) @ (copies * fourth))) / total
    return float(np.sqrt(1 + cv / np.sqrt(2 * np.pi)))


@dataclass(frozen=True)
class Selection:
    """The decisions to review, their pools, and every decision's inclusion probability.

    Parameters
    ----------
    order
        Positions of the decisions to review, first to last: ranked ones by value, random ones in random
        order, spread evenly among them.
    explored
        Whether each of these was drawn at random, same shape.
    pool
        The pool of each of these, same shape.
    heads
        Shape (n,), the position of the decision whose review covers each (mostly its own).
    covers
        Number of decisions that each review of `order` covers.
    inclusion_probability
        Shape (n,): 1 for the ranked ones and for decisions that need no review of this run; 0 for
        those that no pool can take; for all others the probability of the random draw.
    explore_share
        Share of the capacity for the random draw.
    width_ratio
        Width of the expected interval over that of a uniform audit of as many reviews.
    short
        Shape (n_floors,), minutes missing to each floor.
    """

    order: Ints
    explored: Bools
    pool: Ints
    heads: Ints
    covers: Ints
    inclusion_probability: Floats
    explore_share: float
    width_ratio: float
    short: Floats


@dataclass(frozen=True)
class ReviewCandidates:
    """Decisions that may be reviewed.

    Parameters
    ----------
    value
        Shape (n,), value of each review per minute. Ties keep the input's order.
    open_
        Shape (n,), False for decisions that are already reviewed or assigned: they are not queued.
    p_error
        Shape (n,), calibrated; used by the random part.
    minutes
        Shape (n,), duration of each review; default 1.
    classes
        From `group_by_pools`; default: one pool that takes all.
    heads
        From `job_heads`; default: each decision is its own job.
    identity
        Shape (n,), uint64, hash of each decision's id: with the seed, it decides who is drawn; default: the
        position.
    """

    value: Floats
    open_: Bools
    p_error: Floats
    minutes: Floats | None = None
    classes: PoolClasses | None = None
    heads: Ints | None = None
    identity: npt.NDArray[np.uint64] | None = None


@dataclass(frozen=True)
class _PoolWork:
    """The possible reviews, one row each: their decisions, P(error) and its group's, and the decisions covered."""

    rows: Ints
    reviews: OpenReviews
    p_error: Floats
    rough: Floats
    size: Floats
    room: Floats
    floors: tuple[Floor, ...]
    limit: AccountLimit | None


@dataclass(frozen=True)
class _ArmDesign:
    """Both arms for one exploration share."""

    share: float
    ranked: Allocation
    plan: RandomArm
    ratio: float


def budget_count(budget: float, n: int) -> int:
    """Turn a budget into reviews: a share of n if at most 1, else a count.

    Examples
    --------
    >>> budget_count(0.05, 1000), budget_count(300, 1000), budget_count(300, 10), budget_count(1, 50)
    (50, 300, 10, 1)
    """
    count = int(budget) if isinstance(budget, int) or budget > 1 else max(1, round(budget * n))
    return min(count, n)


def select_reviews(
    candidates: ReviewCandidates,
    capacity: Sequence[float] | Floats,
    *,
    explore_share: float | Literal["auto"],
    seed: str,
    floors: Sequence[Floor] = (),
    limit: AccountLimit | None = None,
) -> Selection:
    """Select decisions for review.

    Parameters
    ----------
    candidates
        n decisions.
    capacity
        Shape (n_pools,), minutes of each pool; or reviews, where the candidates have no minutes.
    explore_share
        Share of the capacity that is drawn at random among the decisions not ranked high enough, in
        (0, 1]; at least one review per pool. `auto`: the smallest of .1, .12, ... .8 with
        which the interval of the error rate is expected to be at most 1.3 times as wide as that of
        a uniform audit of as many reviews. It depends on the scores only.
    seed
        Any text. The same decisions are drawn with the same seed, in whatever order they come.
    floors, limit
        As for `allocate_reviews`. The ranked part meets its share of each floor, and the limit; the random
        part ignores both.

    Returns
    -------
    Selection

    Raises
    ------
    DataError
        Where there is no capacity.

    Examples
    --------
    >>> four = ReviewCandidates(np.array([3.0, 1, 2, 0]), np.ones(4, bool), np.full(4, 0.2))
    >>> chosen = select_reviews(four, [2], explore_share=0.5, seed="0")
    >>> chosen.order[~chosen.explored].tolist(), chosen.inclusion_probability.round(2).tolist()
    ([0], [1.0, 0.29, 0.49, 0.22])
    """
    n, room = len(candidates.value), np.asarray(capacity, np.float64)
    if not (room > 0).any():
        got = f"{room.sum():g}"
        do = "Raise --budget, queue.minutes or the pools' minutes."
        raise DataError(error_message("The budget", "be at least 1 review", got, do))
    open_reviews = _gather_work(candidates, room, floors, limit)
    design = _choose_design(open_reviews, explore_share)
    identity = np.arange(n, dtype=np.uint64) if candidates.identity is None else candidates.identity
    drawn = draw_random_arm(design.plan, identity[open_reviews.rows], seed)
    ranked = np.flatnonzero(design.ranked.pool >= 0)
    ranked = ranked[np.argsort(-open_reviews.reviews.value[ranked], kind="stable")]
    order, explored = interleave_arms(ranked, drawn)
    pool = np.where(explored, design.plan.home[order], design.ranked.pool[order])
    chance = np.where(design.ranked.pool >= 0, 1.0, design.plan.probability)
    heads = np.arange(n) if candidates.heads is None else candidates.heads
    probability, open_ = np.ones(n), candidates.open_
    of_head = np.ones(n)
    of_head[open_reviews.rows] = chance
    probability[open_] = of_head[heads[open_]]
    return Selection(
        open_reviews.rows[order], explored, pool, heads, open_reviews.size[order].astype(np.int64), probability,
        design.share, design.ratio, design.ranked.short,
    )  # fmt: skip


def _gather_work(
    candidates: ReviewCandidates,
    room: Floats,
    floors: Sequence[Floor],
    limit: AccountLimit | None,
) -> _PoolWork:
    value, open_, minutes = candidates.value, candidates.open_, candidates.minutes
    n = len(value)
    heads = np.arange(n) if candidates.heads is None else candidates.heads
    size = np.bincount(heads[open_], minlength=n)
    worth = np.bincount(heads[open_], value[open_], minlength=n)
    rows = np.flatnonzero(size)
    anyone = PoolClasses(np.zeros(n, np.int64), np.ones((1, len(room)), dtype=bool))
    classes = candidates.classes or anyone
    reviews = OpenReviews(
        worth[rows].astype(np.float64),
        np.ones(len(rows)) if minutes is None else minutes[rows],
        classes.of[rows],
        classes.can & (room > 0),
    )
    p, cover = candidates.p_error[rows], size[rows].astype(np.float64)
    groups, code = group_reviews(p, reviews, cover)
    return _PoolWork(
        rows,
        reviews,
        p,
        groups.p_error[code],
        cover,
        room,
        tuple(Floor(floor.member[rows], floor.minutes) for floor in floors),
        None if limit is None else AccountLimit(limit.account[rows], limit.cap),
    )


def _choose_design(open_reviews: _PoolWork, explore_share: float | Literal["auto"]) -> _ArmDesign:
    """Design both arms."""
    reviews = open_reviews.reviews
    able = reviews.can[reviews.of].any(axis=1)
    if reviews.minutes[able].sum() <= open_reviews.room.sum():
        ranked_only = _build_arms(open_reviews, 0.0)
        if (ranked_only.ranked.pool[able] >= 0).all():
            return ranked_only
    return choose_share(explore_share, lambda share: _build_arms(open_reviews, share))


def choose_share(explore_share: float | Literal["auto"], build: Callable[[float], _Arms]) -> _Arms:
    """Return the arms for a share; for `auto` those of the smallest share that keeps the interval's width.

    Parameters
    ----------
    explore_share
        As for `select_reviews`.
    build
        Builds both arms for a share; a larger one narrows.
    """
    if explore_share != AUTO:
        return build(float(explore_share))
    low, high = 0, len(SHARES) - 1
    found = {high: build(SHARES[high])}
    while low < high:
        middle = (low + high) // 2
        found[middle] = build(SHARES[middle])
        low, high = (low, middle) if found[middle].ratio <= WIDER else (middle + 1, high)
    return found[high]


def _build_arms(open_reviews: _PoolWork, share: float) -> _ArmDesign:
    explore = random_arm_minutes(open_reviews.reviews, open_reviews.room, share)
    part = float((open_reviews.room - explore).sum() / open_reviews.room.sum())
    floors = [Floor(floor.member, floor.minutes * part) for floor in open_reviews.floors]
    ranked = allocate_reviews(
        open_reviews.reviews, open_reviews.room - explore, floors=floors, limit=open_reviews.limit
    )
    members = ranked.pool < 0 if share else np.zeros(len(open_reviews.rows), dtype=bool)
    plan = plan_random_arm(
        open_reviews.p_error, open_reviews.reviews, explore, members=members, size=open_reviews.size
    )
    chance = np.where(ranked.pool >= 0, 1.0, plan.probability)
    # With the groups' P(error), as the design: other engines know no other.
    ratio = width_ratio(open_reviews.rough, chance, float(chance.sum()), size=open_reviews.size)
    return _ArmDesign(share, ranked, plan, ratio)


def random_arm_minutes(open_reviews: OpenReviews, capacity: Floats, share: float) -> Floats:
    """Return the minutes of each pool for the random part, shape (n_pools,): room for at least one review.

    Parameters
    ----------
    open_reviews
        The possible reviews, or one for each group of similar ones.
    capacity
        Shape (n_pools,), minutes of each pool.
    share
        Share of the capacity.

    Examples
    --------
    >>> two = OpenReviews(np.zeros(2), np.array([2.0, 3.0]), np.zeros(2, int), np.array([[True]]))
    >>> random_arm_minutes(two, np.array([20.0]), 0.1).tolist()
    [3.0]
    """
    minutes, can = open_reviews.minutes, open_reviews.can
    if not share or not len(minutes):
        return np.zeros(len(capacity))
    room = share * capacity
    if minutes.min() == minutes.max():
        room = np.rint(room / minutes[0]) * minutes[0]
    longest = np.zeros(len(can))
    np.maximum.at(longest, open_reviews.of, minutes)
    one = np.where(can, longest[:, None], 0.0).max(axis=0)
    return np.asarray(np.minimum(np.maximum(room, one), capacity))


def interleave_arms(ranked: Ints, drawn: Ints) -> tuple[Ints, Bools]:
    """Spread the drawn evenly among the ranked, so that unfinished work affects both equally.

    Parameters
    ----------
    ranked, drawn
        Reviews of each arm, in order.

    Returns
    -------
    order, explored
        All of them, first to last, and whether each was drawn.

    Examples
    --------
    >>> interleave_arms(np.array([5, 6, 7]), np.array([1]))[0].tolist()
    [5, 6, 1, 7]
    """
    n, k = len(ranked) + len(drawn), len(drawn)
    explored = np.zeros(n, dtype=bool)
    explored[((np.arange(k) + 0.5) * n / max(k, 1)).astype(np.int64)] = True
    order = np.empty(n, np.int64)
    order[explored], order[~explored] = drawn, ranked
    return order, explored
