"""Select the decisions to review: the most valuable, and some at random to keep the sample valid.

The random part is a fixed number of reviews per pool, drawn with exact probabilities. Each decision is
offered to one of the pools that can take it, its home. A pool's probabilities are higher for decisions
that inform and remedy most per minute, never below a floor, and add up to a whole number of reviews.
Decisions are ordered by pool, then minutes, and drawn systematically in random order: every probability
is exact, and every draw stays within the pool's minutes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from errdetect.errors import DataError, error_message
from errdetect.estimation.sampling_designs import draw_sample, expected_half_width
from errdetect.queue.allocation import (
    AccountLimit,
    Allocation,
    Floor,
    OpenReviews,
    allocate_reviews,
)
from errdetect.queue.reviewer_pools import PoolClasses

__all__ = [
    "AUTO",
    "EXPLORE",
    "FLOOR",
    "RANKED",
    "RandomArm",
    "ReviewCandidates",
    "Selection",
    "budget_count",
    "draw_random_arm",
    "plan_random_arm",
    "select_reviews",
    "width_ratio",
]

#: Share of its pool's uniform probability that every decision keeps: P(error) may be wrong anywhere.
FLOOR = 0.6
#: Cap of a review's value in a pool's random part, as a share of a minute's price.
_NEARLY = 0.8
_HALVINGS = 60
_SPREADS = 60  # rounds in which the homes' loads are balanced
_GOLDEN = 0.6180339887498949
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

RANKED, EXPLORE = "ranked", "explore"
AUTO: Literal["auto"] = "auto"

#: Shares that `auto` tries, and the allowed width of its interval relative to a uniform audit's.
SHARES = tuple(round(0.1 + 0.02 * i, 2) for i in range(36))
WIDER = 1.3


@dataclass(frozen=True)
class RandomArm:
    """The design of the random part.

    Parameters
    ----------
    home
        Shape (n,), the pool that would review each; -1 for those that cannot be drawn.
    probability
        Shape (n,), inclusion probability; 0 for those that cannot be drawn.
    layer
        Shape (n,), drawing order: by pool, within it by minutes.
    """

    home: Ints
    probability: Floats
    layer: Ints


def plan_random_arm(
    p_error: Floats,
    open_reviews: OpenReviews,
    capacity: Floats,
    *,
    members: Bools,
    size: Floats | None = None,
    floor: float = FLOOR,
) -> RandomArm:
    """Return the inclusion probability of every member that some pool can take.

    Where a minute costs c, the best trade of variance and remedied harm has probabilities in
    proportion to sqrt(p (1 - p) / (minutes (c - value))): a minute that remedies harm costs less.

    Parameters
    ----------
    p_error
        Shape (n,), calibrated.
    open_reviews
        The n possible reviews.
    capacity
        Shape (n_pools,), minutes of each pool for this part.
    members
        Shape (n,), the members: open and not ranked.
    size
        Shape (n,), decisions that the verdict covers; default 1.
    floor
        Minimum share of the pool's uniform probability for each member.

    Returns
    -------
    RandomArm
        Probabilities depend on no draw. Each pool's add up to a whole number of reviews, at least 1
        if it is the home of any decision; beyond that one review every draw fits its minutes.

    Examples
    --------
    >>> open_reviews = OpenReviews(np.zeros(6), np.ones(6), np.zeros(6, int), np.array([[True]]))
    >>> p = np.array([0.5, 0.5, 0.01, 0.01, 0.01, 0.01])
    >>> plan = plan_random_arm(p, open_reviews, np.array([2.0]), members=p > 0)
    >>> plan.probability.round(2).tolist()
    [0.6, 0.6, 0.2, 0.2, 0.2, 0.2]
    """
    n, minutes, worth = len(p_error), open_reviews.minutes, open_reviews.value
    cover = np.ones(n) if size is None else size
    want = cover * np.sqrt(np.clip(p_error * (1 - p_error), 0, None) / minutes)
    home = np.full(n, -1, np.int64)
    rows = np.flatnonzero(members & open_reviews.can[open_reviews.of].any(axis=1))
    if not len(rows):
        return RandomArm(home, np.zeros(n), np.zeros(n, np.int64))
    home[rows] = _assign_pools(open_reviews.of[rows], open_reviews.can, capacity, want[rows])
    probability, layer = np.zeros(n), np.zeros(n, np.int64)
    for pool in np.unique(home[rows]):
        own = np.flatnonzero(home == pool)
        want[own] /= np.sqrt(1 - _NEARLY * worth[own] / max(float(worth[own].max()), 1e-300))
        probability[own] = _inclusion_probabilities(
            want[own], minutes[own], float(capacity[pool]), floor
        )
    order = rows[np.lexsort((minutes[rows], home[rows]))]
    new = (np.diff(home[order]) != 0) | (np.diff(minutes[order]) != 0)
    layer[order] = np.cumsum(np.r_[0, new])
    return RandomArm(home, probability, layer)


def draw_random_arm(plan: RandomArm, rng: np.random.Generator) -> Ints:
    """Draw the random part.

    Parameters
    ----------
    plan
        From `plan_random_arm`.
    rng
        Source of randomness.

    Returns
    -------
    numpy.ndarray
        int64, positions of the drawn decisions, in random order.

    References
    ----------
    Hartley and Rao (1962), Sampling with unequal probabilities and without replacement.

    Examples
    --------
    >>> plan = RandomArm(np.zeros(4, int), np.full(4, 0.5), np.zeros(4, int))
    >>> draw_random_arm(plan, np.random.default_rng(0)).shape
    (2,)
    """
    rows = np.flatnonzero(plan.home >= 0)
    certain = plan.probability[rows] >= 1
    open_ = rows[~certain]
    drawn = draw_sample(plan.probability[open_], rng, segment=plan.layer[open_])
    return rng.permutation(np.concatenate([rows[certain], open_[drawn]]))


def width_ratio(
    p_error: Floats, probability: Floats, reviews: float, *, size: Floats | None = None
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
    copies = cover.astype(np.int64)
    p, chance = np.repeat(p_error[inside], copies), probability[inside]
    # One verdict for `cover` decisions: their uncertainties are fully correlated.
    alike = np.repeat(1 / (1 + cover * (1 / chance - 1)), copies)
    even = np.full(len(p), min(1.0, reviews / max(len(p), 1)))
    widths = [expected_half_width(p, x) * _width_inflation(p, x) for x in (alike, even)]
    return widths[0] / widths[1] if len(p) and widths[1] > 0 else 0.0


def _width_inflation(p: Floats, chance: Floats) -> float:
    """Return how much the larger of a variance and its estimate widens an interval, on average.

    The mean of max(1, 1 + cv z) is 1 + cv / sqrt(2 pi) for a standard normal z.
    """
    binomial, missed = p * (1 - p), 1 / chance - 1
    total = float(missed @ binomial)
    fourth = binomial * ((1 - p) ** 3 + p**3)
    if total <= 0:
        return 1.0
    cv = float(np.sqrt((missed**2 / chance) @ fourth)) / total
    return float(np.sqrt(1 + cv / np.sqrt(2 * np.pi)))


def _assign_pools(of: Ints, can: Bools, capacity: Floats, want: Floats) -> Ints:
    """Give each decision one of its pools, so that loads are balanced for their minutes."""
    mass = np.bincount(of, want + want.mean() * FLOOR + 1e-12, len(can))
    share = np.where(can, np.maximum(capacity, 1e-9), 0.0)
    for _ in range(_SPREADS):
        total = share.sum(axis=1, keepdims=True)
        share = np.divide(share * mass[:, None], total, out=np.zeros_like(share), where=total > 0)
        load = share.sum(axis=0)
        share = share * np.divide(capacity, load, out=np.zeros_like(load), where=load > 0)
    share = np.where(can, share + 1e-12, 0.0)
    edges = np.cumsum(share, axis=1) / np.maximum(share.sum(axis=1, keepdims=True), 1e-300)
    edges[~can.any(axis=1)] = 1.0
    order = np.lexsort((-want, of))
    # Spread evenly along the class from highest to lowest weight: every pool gets some of each.
    u = np.empty(len(of))
    u[order] = (np.arange(len(of)) * _GOLDEN) % 1
    flat = (edges + np.arange(len(can))[:, None]).ravel()
    home = np.searchsorted(flat, u + of, side="right") - of * can.shape[1]
    last = can.shape[1] - 1 - np.argmax(can[:, ::-1], axis=1)
    return np.asarray(np.minimum(home, last[of]), np.int64)


def _inclusion_probabilities(want: Floats, minutes: Floats, room: float, floor: float) -> Floats:
    """Return probabilities that add up to as many whole reviews as always fit the room, at least 1."""
    if minutes.sum() <= room:
        return np.ones(len(want))
    spread = float(minutes.max() - minutes.min())
    draws = _round_draws((room - spread) / minutes.mean(), len(want))
    chance = _scale_with_floor(want, draws, floor)
    draws = _round_draws(draws * (room - spread) / float(chance @ minutes), len(want))
    while True:
        chance = _scale_with_floor(want, draws, floor)
        if draws == 1 or float(chance @ minutes) + spread <= room + 1e-9:
            return chance
        draws -= 1


def _round_draws(draws: float, n: int) -> int:
    return min(max(1, int(draws + 1e-9)), n)


def _scale_with_floor(want: Floats, total: int, floor: float) -> Floats:
    """Scale to a total, with none below the floor's share of the uniform probability or above 1."""
    least = floor * total / len(want)
    want = np.maximum(want / max(float(want.max()), 1e-300), 1e-9)
    low, high = 0.0, 1.0
    while np.clip(want * high, least, 1.0).sum() < total and high < 1e9:
        high *= 4
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if np.clip(want * middle, least, 1.0).sum() < total:
            low = middle
        else:
            high = middle
    free = (want * high > least) & (want * high < 1)
    chance = np.clip(want * high, least, 1.0)
    if free.any():  # exactly: the draw is of a whole number
        chance[free] *= (total - chance[~free].sum()) / chance[free].sum()
    return chance


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
    """

    value: Floats
    open_: Bools
    p_error: Floats
    minutes: Floats | None = None
    classes: PoolClasses | None = None
    heads: Ints | None = None


@dataclass(frozen=True)
class _PoolWork:
    """The possible reviews, one row each: their decisions, P(error), and the decisions that each covers."""

    rows: Ints
    reviews: OpenReviews
    p_error: Floats
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
    rng: np.random.Generator,
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
    rng
        Source of randomness.
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
    >>> chosen = select_reviews(four, [2], explore_share=0.5, rng=np.random.default_rng(0))
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
    drawn = draw_random_arm(design.plan, rng)
    ranked = np.flatnonzero(design.ranked.pool >= 0)
    ranked = ranked[np.argsort(-open_reviews.reviews.value[ranked], kind="stable")]
    order, explored = _interleave_arms(ranked, drawn)
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
    return _PoolWork(
        rows,
        reviews,
        candidates.p_error[rows],
        size[rows].astype(np.float64),
        room,
        tuple(Floor(floor.member[rows], floor.minutes) for floor in floors),
        None if limit is None else AccountLimit(limit.account[rows], limit.cap),
    )


def _choose_design(open_reviews: _PoolWork, explore_share: float | Literal["auto"]) -> _ArmDesign:
    """Design both arms; `auto` searches the shares by halving, as a larger one narrows."""
    reviews = open_reviews.reviews
    able = reviews.can[reviews.of].any(axis=1)
    if reviews.minutes[able].sum() <= open_reviews.room.sum():
        ranked_only = _build_arms(open_reviews, 0.0)
        if (ranked_only.ranked.pool[able] >= 0).all():
            return ranked_only
    if explore_share != AUTO:
        return _build_arms(open_reviews, float(explore_share))
    low, high = 0, len(SHARES) - 1
    found = {high: _build_arms(open_reviews, SHARES[high])}
    while low < high:
        middle = (low + high) // 2
        found[middle] = _build_arms(open_reviews, SHARES[middle])
        low, high = (low, middle) if found[middle].ratio <= WIDER else (middle + 1, high)
    return found[high]


def _build_arms(open_reviews: _PoolWork, share: float) -> _ArmDesign:
    explore = _random_arm_minutes(open_reviews, share)
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
    ratio = width_ratio(open_reviews.p_error, chance, float(chance.sum()), size=open_reviews.size)
    return _ArmDesign(share, ranked, plan, ratio)


def _random_arm_minutes(open_reviews: _PoolWork, share: float) -> Floats:
    """Return the minutes of each pool for the random part: room for at least one review."""
    if not share or not len(open_reviews.rows):
        return np.zeros(len(open_reviews.room))
    room, minutes, can = (
        share * open_reviews.room,
        open_reviews.reviews.minutes,
        open_reviews.reviews.can,
    )
    if minutes.min() == minutes.max():
        room = np.rint(room / minutes[0]) * minutes[0]
    longest = np.zeros(len(can))
    np.maximum.at(longest, open_reviews.reviews.of, minutes)
    one = np.where(can, longest[:, None], 0.0).max(axis=0)
    return np.asarray(np.minimum(np.maximum(room, one), open_reviews.room))


def _interleave_arms(ranked: Ints, drawn: Ints) -> tuple[Ints, Bools]:
    """Spread the drawn evenly among the ranked, so that unfinished work affects both equally."""
    n, k = len(ranked) + len(drawn), len(drawn)
    explored = np.zeros(n, dtype=bool)
    explored[((np.arange(k) + 0.5) * n / max(k, 1)).astype(np.int64)] = True
    order = np.empty(n, np.int64)
    order[explored], order[~explored] = drawn, ranked
    return order, explored
