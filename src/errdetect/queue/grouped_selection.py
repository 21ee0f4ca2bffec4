"""Select reviews of a batch that no machine holds: from its most valuable reviews and its groups' sizes.

The same choice, to the row, as `select_reviews`, where no class of decisions has several pools to choose from. What is
needed of the others are sums: see `random_arm`.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from errdetect.queue.allocation import (
    AccountLimit,
    Allocation,
    Floor,
    OpenReviews,
    allocate_reviews,
)
from errdetect.queue.random_arm import UNIT, ReviewGroups, draw_start, group_probabilities
from errdetect.queue.selection import choose_share, random_arm_minutes, width_ratio

__all__ = ["GroupedArms", "GroupedReviews", "leading_reviews", "marked", "select_grouped"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_SPARE = 4  # reviews that the ranked part may look at beyond its minutes


@dataclass(frozen=True)
class GroupedReviews:
    """The open reviews of a batch: the leading ones by row, all of them by group.

    Parameters
    ----------
    leading
        The m most valuable reviews, see `leading_reviews`, in the input's order.
    code
        Shape (m,), the group of each.
    groups
        From `group_reviews`, of all reviews.
    floors, limit
        As for `allocate_reviews`, of the leading reviews.
    """

    leading: OpenReviews
    code: Ints
    groups: ReviewGroups
    floors: tuple[Floor, ...] = ()
    limit: AccountLimit | None = None


@dataclass(frozen=True)
class GroupedArms:
    """Both arms.

    Parameters
    ----------
    share
        Share of the capacity for the random arm.
    ranked
        The pool of each leading review.
    home
        Shape (k,), the pool of each group; -1 where no pool can take it.
    probability
        Shape (k,), inclusion probability of those reviews of each group that are not ranked.
    ratio
        As `Selection.width_ratio`.
    """

    share: float
    ranked: Allocation
    home: Ints
    probability: Floats
    ratio: float


def leading_reviews(minutes: float, capacity: Floats, limit: int | None = None) -> int:
    """Return how many reviews of a class and duration the ranked part may look at, best first.

    Parameters
    ----------
    minutes
        Their duration.
    capacity
        Shape (n_pools,), minutes of all pools.
    limit
        Maximum number of reviews per account: others of accounts at their maximum are passed over.

    Examples
    --------
    >>> leading_reviews(2.0, np.array([100.0, 50.0]))
    79
    """
    reached = int(np.ceil(capacity.sum() / minutes)) + _SPARE
    return reached if limit is None else reached * (1 + limit)


def select_grouped(
    work: GroupedReviews, capacity: Floats, explore_share: float | Literal["auto"]
) -> GroupedArms:
    """Choose the ranked reviews and the random part's probabilities, as `select_reviews` does.

    Parameters
    ----------
    work
        Where `leading.can` gives each class one pool at most.
    capacity
        Shape (n_pools,), minutes of each pool.
    explore_share
        As for `select_reviews`.

    Returns
    -------
    GroupedArms

    Examples
    --------
    >>> from errdetect.queue.random_arm import group_reviews
    >>> p = np.array([0.6, 0.2, 0.2, 0.2])
    >>> four = OpenReviews(p, np.ones(4), np.zeros(4, int), np.array([[True]]))
    >>> groups, code = group_reviews(p, four, np.ones(4))
    >>> arms = select_grouped(GroupedReviews(four, code, groups), np.array([2.0]), 0.5)
    >>> arms.ranked.pool.tolist(), arms.probability[code].round(2).tolist()
    ([0, -1, -1, -1], [0.0, 0.33, 0.33, 0.33])
    """
    work = replace(work, leading=replace(work.leading, can=work.leading.can & (capacity > 0)))
    groups, can = work.groups, work.leading.can
    able = can[groups.of].any(axis=1)
    if (groups.count * groups.minutes)[able].sum() <= capacity.sum():
        everything = _build_arms(work, capacity, 0.0)
        if (everything.ranked.pool[can[work.leading.of].any(axis=1)] >= 0).all():
            return everything
    return choose_share(explore_share, lambda share: _build_arms(work, capacity, share))


def _build_arms(work: GroupedReviews, capacity: Floats, share: float) -> GroupedArms:
    groups, can = work.groups, work.leading.can
    kinds = OpenReviews(groups.value, groups.minutes, groups.of, can)
    explore = random_arm_minutes(kinds, capacity, share)
    part = float((capacity - explore).sum() / capacity.sum())
    floors = [Floor(floor.member, floor.minutes * part) for floor in work.floors]
    ranked = allocate_reviews(work.leading, capacity - explore, floors=floors, limit=work.limit)
    chosen = np.bincount(work.code[ranked.pool >= 0], minlength=len(groups.of))
    able = can[groups.of].any(axis=1)
    home = np.where(able, np.argmax(can, axis=1)[groups.of], -1)
    probability, left = np.zeros(len(home)), groups.count - chosen
    rows = np.flatnonzero(able & (left > 0)) if share else np.empty(0, np.int64)
    rows = rows[np.argsort(home[rows], kind="stable")]
    if len(rows):
        probability[rows] = group_probabilities(groups.take(rows, left[rows]), home[rows], explore)
    both, count = np.r_[probability, np.ones(len(home))], np.r_[left, chosen]
    some = count > 0
    p, size = np.tile(groups.p_error, 2)[some], np.tile(groups.size, 2)[some]
    both, count = both[some], count[some]
    ratio = width_ratio(p, both, float(both @ count), size=size, count=count)
    return GroupedArms(share, ranked, home, probability, ratio)


def marked(totals: Ints, seed: str, before: Ints | None = None) -> Bools:
    """Return which reviews, or groups of them, hold a mark of the draw.

    Parameters
    ----------
    totals
        Shape (n,), units of each, in the order of the draw.
    seed
        As for `draw_random_arm`.
    before
        Shape (n,), units of all that come before each; default: the sums of `totals`.

    Examples
    --------
    >>> int(marked(np.full(8, UNIT // 2), "1").sum())
    4
    """
    begin = np.cumsum(totals) - totals if before is None else before
    start = draw_start(seed)
    passed = [np.maximum((at - start + UNIT - 1) // UNIT, 0) for at in (begin, begin + totals)]
    return np.asarray(passed[1] > passed[0])
