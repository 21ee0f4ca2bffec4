"""Select the decisions to review: the most valuable, and some at random to keep the sample valid."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from errdetect.errors import DataError, error_message
from errdetect.queue.allocation import Allocation, Floor, allocate_reviews
from errdetect.queue.random_arm import RandomArm, draw_random_arm, plan_random_arm, width_ratio
from errdetect.queue.reviewer_pools import PoolClasses

__all__ = ["AUTO", "EXPLORE", "RANKED", "Selection", "budget_count", "select_reviews"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

RANKED, EXPLORE = "ranked", "explore"
AUTO: Literal["auto"] = "auto"

#: Shares that `auto` tries, and the allowed width of its interval relative to a uniform audit's.
SHARES = tuple(round(0.1 + 0.02 * i, 2) for i in range(36))
WIDER = 1.3


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
class _Jobs:
    """The possible reviews, one row each."""

    rows: Ints
    value: Floats
    minutes: Floats
    p_error: Floats
    size: Floats
    of: Ints
    can: Bools
    room: Floats
    floors: tuple[Floor, ...]
    account: Ints | None
    cap: int | None


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
    value: Floats,
    open_: Bools,
    *,
    p_error: Floats,
    capacity: Sequence[float] | Floats,
    explore_share: float | Literal["auto"],
    rng: np.random.Generator,
    minutes: Floats | None = None,
    classes: PoolClasses | None = None,
    heads: Ints | None = None,
    floors: Sequence[Floor] = (),
    account: Ints | None = None,
    cap: int | None = None,
) -> Selection:
    """Select decisions for review.

    Parameters
    ----------
    value
        Shape (n,), value of each review per minute. Ties keep the input's order.
    open_
        Shape (n,), False for decisions that are already reviewed or assigned: they are not queued.
    p_error
        Shape (n,), calibrated; used by the random part.
    capacity
        Shape (n_pools,), minutes of each pool; or reviews, where `minutes` is left out.
    explore_share
        Share of the capacity that is drawn at random among the decisions not ranked high enough, in
        (0, 1]; at least one review per pool. `auto`: the smallest of .1, .12, ... .8 with
        which the interval of the error rate is expected to be at most 1.3 times as wide as that of
        a uniform audit of as many reviews. It depends on the scores only.
    rng
        Source of randomness.
    minutes
        Shape (n,), duration of each review; default 1.
    classes
        From `group_by_pools`; default: one pool that takes all.
    heads
        From `job_heads`; default: each decision is its own job.
    floors, account, cap
        As for `allocate_reviews`. The ranked part meets its share of each floor, and the cap; the random
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
    >>> chosen = select_reviews(np.array([3.0, 1, 2, 0]), np.ones(4, bool), p_error=np.full(4, 0.2),
    ...                 capacity=[2], explore_share=0.5, rng=np.random.default_rng(0))
    >>> chosen.order[~chosen.explored].tolist(), chosen.inclusion_probability.round(2).tolist()
    ([0], [1.0, 0.29, 0.49, 0.22])
    """
    n, room = len(value), np.asarray(capacity, np.float64)
    if not (room > 0).any():
        got = f"{room.sum():g}"
        do = "Raise --budget, queue.minutes or the pools' minutes."
        raise DataError(error_message("The budget", "be at least 1 review", got, do))
    jobs = _build_jobs(
        value, open_, p_error, room, minutes, classes, heads, tuple(floors), account, cap
    )
    design = _choose_design(jobs, explore_share)
    drawn = draw_random_arm(design.plan, rng)
    ranked = np.flatnonzero(design.ranked.pool >= 0)
    ranked = ranked[np.argsort(-jobs.value[ranked], kind="stable")]
    order, explored = _interleave_arms(ranked, drawn)
    pool = np.where(explored, design.plan.home[order], design.ranked.pool[order])
    chance = np.where(design.ranked.pool >= 0, 1.0, design.plan.probability)
    heads = np.arange(n) if heads is None else heads
    probability = np.ones(n)
    of_head = np.ones(n)
    of_head[jobs.rows] = chance
    probability[open_] = of_head[heads[open_]]
    return Selection(
        jobs.rows[order], explored, pool, heads, jobs.size[order].astype(np.int64), probability,
        design.share, design.ratio, design.ranked.short,
    )  # fmt: skip


def _build_jobs(
    value: Floats, open_: Bools, p_error: Floats, room: Floats, minutes: Floats | None,
    classes: PoolClasses | None, heads: Ints | None, floors: tuple[Floor, ...],
    account: Ints | None, cap: int | None,
) -> _Jobs:  # fmt: skip
    n = len(value)
    heads = np.arange(n) if heads is None else heads
    size = np.bincount(heads[open_], minlength=n)
    worth = np.bincount(heads[open_], value[open_], minlength=n)
    rows = np.flatnonzero(size)
    classes = classes or PoolClasses(np.zeros(n, np.int64), np.ones((1, len(room)), dtype=bool))
    return _Jobs(
        rows,
        worth[rows].astype(np.float64),
        np.ones(len(rows)) if minutes is None else minutes[rows],
        p_error[rows],
        size[rows].astype(np.float64),
        classes.of[rows],
        classes.can & (room > 0),
        room,
        tuple(Floor(floor.member[rows], floor.minutes) for floor in floors),
        None if account is None else account[rows],
        cap,
    )


def _choose_design(jobs: _Jobs, explore_share: float | Literal["auto"]) -> _ArmDesign:
    """Design both arms; `auto` searches the shares by halving, as a larger one narrows."""
    able = jobs.can[jobs.of].any(axis=1)
    if jobs.minutes[able].sum() <= jobs.room.sum():
        whole = _build_arms(jobs, 0.0)
        if (whole.ranked.pool[able] >= 0).all():
            return whole
    if explore_share != AUTO:
        return _build_arms(jobs, float(explore_share))
    low, high = 0, len(SHARES) - 1
    found = {high: _build_arms(jobs, SHARES[high])}
    while low < high:
        middle = (low + high) // 2
        found[middle] = _build_arms(jobs, SHARES[middle])
        low, high = (low, middle) if found[middle].ratio <= WIDER else (middle + 1, high)
    return found[high]


def _build_arms(jobs: _Jobs, share: float) -> _ArmDesign:
    explore = _random_arm_minutes(jobs, share)
    part = float((jobs.room - explore).sum() / jobs.room.sum())
    ranked = allocate_reviews(
        jobs.value, jobs.minutes, jobs.of, jobs.can, jobs.room - explore,
        floors=[Floor(floor.member, floor.minutes * part) for floor in jobs.floors], account=jobs.account, cap=jobs.cap,
    )  # fmt: skip
    plan = plan_random_arm(
        jobs.p_error, jobs.minutes, jobs.of, jobs.can, explore,
        members=ranked.pool < 0 if share else np.zeros(len(jobs.rows), dtype=bool), size=jobs.size,
        worth=jobs.value,
    )  # fmt: skip
    chance = np.where(ranked.pool >= 0, 1.0, plan.probability)
    ratio = width_ratio(jobs.p_error, chance, float(chance.sum()), size=jobs.size)
    return _ArmDesign(share, ranked, plan, ratio)


def _random_arm_minutes(jobs: _Jobs, share: float) -> Floats:
    """Return the minutes of each pool for the random part: room for at least one review."""
    if not share or not len(jobs.rows):
        return np.zeros(len(jobs.room))
    room = share * jobs.room
    if jobs.minutes.min() == jobs.minutes.max():
        room = np.rint(room / jobs.minutes[0]) * jobs.minutes[0]
    longest = np.zeros(len(jobs.can))
    np.maximum.at(longest, jobs.of, jobs.minutes)
    one = np.where(jobs.can, longest[:, None], 0.0).max(axis=0)
    return np.asarray(np.minimum(np.maximum(room, one), jobs.room))


def _interleave_arms(ranked: Ints, drawn: Ints) -> tuple[Ints, Bools]:
    """Spread the drawn evenly among the ranked, so that unfinished work affects both equally."""
    n, k = len(ranked) + len(drawn), len(drawn)
    explored = np.zeros(n, dtype=bool)
    explored[((np.arange(k) + 0.5) * n / max(k, 1)).astype(np.int64)] = True
    order = np.empty(n, np.int64)
    order[explored], order[~explored] = drawn, ranked
    return order, explored
