"""Choose the reviews, and the pool of each, that remedy the most harm in the available minutes.

Decisions that the same pools can take differ in value and minutes only, so within such a class the
best come first. The remaining choice, the minutes of each pool for each class, is a small linear
programme over steps of the classes' falling values. It is solved exactly, its steps are
refined around the end of each class, and the result is rounded to whole reviews.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from scipy.optimize import linprog

from errdetect.errors import DataError, error_message

__all__ = [
    "AccountLimit",
    "Allocation",
    "Floor",
    "OpenReviews",
    "allocate_reviews",
    "exchange_reviews",
]


Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_EPS = 1e-9


@dataclass(frozen=True)
class AccountLimit:
    """Maximum number of reviews per account.

    Parameters
    ----------
    account
        Shape (n,), the account of each review; -1 for none.
    cap
        Maximum per account.
    """

    account: Ints
    cap: int


@dataclass(frozen=True)
class OpenReviews:
    """Possible reviews, one row each, and the pools that can do them.

    Parameters
    ----------
    value
        Shape (n,), harm that each review remedies per minute, at least 0.
    minutes
        Shape (n,), duration of each review, above 0.
    of, can
        From `group_by_pools`: class of each review, and the pools that can take each class.
    """

    value: Floats
    minutes: Floats
    of: Ints
    can: Bools

    def take(self, rows: Ints) -> "OpenReviews":
        """Return some rows, in this order."""
        return OpenReviews(self.value[rows], self.minutes[rows], self.of[rows], self.can)


def exchange_reviews(
    pool: Ints,
    rows: Ints,
    gain: Floats,
    open_reviews: OpenReviews,
    left: Floats,
    limit: AccountLimit | None = None,
) -> int:
    """Replace reviews by more valuable ones, as far as a pool's minutes allow; in place.

    Parameters
    ----------
    pool
        Shape (n,), the pool of each review, -1 for none; changed.
    rows
        Reviews to try, in this order.
    gain
        Shape (n,), the harm that each review remedies.
    open_reviews
        The n reviews.
    left
        Shape (n_pools,), minutes left over; changed.
    limit
        Where an account is at its cap, one of its own reviews is removed as well.

    Returns
    -------
    int
        Number of reviews added. The total gain never falls.

    Examples
    --------
    >>> pool, left = np.array([0, -1]), np.array([1.0])
    >>> gain, minutes = np.array([2.0, 5]), np.array([2.0, 3])
    >>> open_reviews = OpenReviews(gain / minutes, minutes, np.zeros(2, int), np.ones((1, 1), bool))
    >>> exchange_reviews(pool, np.array([1]), gain, open_reviews, left)
    1
    >>> pool.tolist(), left.tolist()
    ([-1, 0], [0.0])
    """
    order = np.argsort(pool, kind="stable")
    bounds = np.searchsorted(pool[order], np.arange(len(left) + 1))
    members = [list(order[a:b]) for a, b in pairwise(bounds)]
    minutes, done = open_reviews.minutes, 0
    for row in rows:
        if pool[row] >= 0:
            continue
        best, out, at, gone = 0.0, list[int](), -1, -1
        for own in _account_reviews(row, pool, limit):
            for j in np.flatnonzero(open_reviews.can[open_reviews.of[row]]):
                free, others = left[j], members[j]
                if own >= 0 and pool[own] == j:
                    free, others = free + minutes[own], [k for k in others if k != own]
                loss, removed = _cheapest_removal(others, gain, minutes, minutes[row] - free)
                loss += gain[own] if own >= 0 else 0.0
                if gain[row] - loss > best + _EPS:
                    best, out, at, gone = gain[row] - loss, removed, int(j), own
        if at < 0:
            continue
        for k in [*out, gone] if gone >= 0 else out:
            members[pool[k]].remove(k)
            left[pool[k]] += minutes[k]
            pool[k] = -1
        pool[row] = at
        members[at].append(row)
        left[at] -= minutes[row]
        done += 1
        for k in out:
            _place_review(k, pool, members, open_reviews, left)
    return done


def _account_reviews(row: int, pool: Ints, limit: AccountLimit | None) -> Sequence[int]:
    """Return the chosen reviews of a full account, one of which must go; -1 where none must."""
    if limit is None or limit.account[row] < 0:
        return [-1]
    own = np.flatnonzero((limit.account == limit.account[row]) & (pool >= 0))
    return [-1] if len(own) < limit.cap else own.tolist()


def _cheapest_removal(
    own: list[int], gain: Floats, minutes: Floats, need: float
) -> tuple[float, list[int]]:
    """Find the reviews of least gain that free enough minutes: one, or the few of lowest value."""
    if need <= _EPS:
        return 0.0, []
    if not own:
        return np.inf, []
    rows = np.array(own)
    g, m = gain[rows], minutes[rows]
    large = np.flatnonzero(m >= need - _EPS)
    best, removed = np.inf, list[int]()
    if len(large):
        one = large[np.argmin(g[large])]
        best, removed = float(g[one]), [int(rows[one])]
    few = np.argsort(g / m, kind="stable")[:8]
    enough = np.flatnonzero(np.cumsum(m[few]) >= need - _EPS)
    if len(enough):
        some = few[: enough[0] + 1]
        # The last one may make the first ones unnecessary.
        spare = m[some].sum() - need
        kept = [
            i for i in some[:-1] if not (m[i] <= spare + _EPS and (spare := spare - m[i]) >= -_EPS)
        ]
        some = np.array([*kept, some[-1]])
        if g[some].sum() < best:
            best, removed = float(g[some].sum()), rows[some].tolist()
    return best, removed


def _place_review(
    row: int, pool: Ints, members: list[list[int]], open_reviews: OpenReviews, left: Floats
) -> None:
    fits = np.flatnonzero(
        open_reviews.can[open_reviews.of[row]] & (left >= open_reviews.minutes[row] - _EPS)
    )
    if len(fits):
        at = int(fits[np.argmin(left[fits])])
        pool[row] = at
        members[at].append(row)
        left[at] -= open_reviews.minutes[row]


_STEPS = 40  # value steps of a class in the programme
_ROUNDS = 3  # refinements of the steps
_BITS = 20  # floors distinguished at once
_TRIES = 200  # reviews tried per exchange
_CLOSE = 0.001  # tolerated gap to the optimum
_PASSES = 6
_NEXT = 60  # decisions beyond its end that each class offers for remaining minutes


@dataclass(frozen=True)
class Floor:
    """Minimum minutes for some of the decisions.

    Parameters
    ----------
    member
        Shape (n,), which decisions.
    minutes
        Their total, as far as there are such decisions and reviewers for them.
    """

    member: Bools
    minutes: float


@dataclass(frozen=True)
class Allocation:
    """The pool of each review.

    Parameters
    ----------
    pool
        Shape (n,), the pool of each decision; -1 where it is not reviewed.
    price
        Shape (n_pools,), harm that one more minute of each pool would remedy.
    short
        Shape (n_floors,), minutes missing to each floor; 0 where it is met.
    """

    pool: Ints
    price: Floats
    short: Floats


@dataclass(frozen=True)
class _ValueSteps:
    """Steps of falling value: class, value a minute, minutes, and floors of each."""

    of: Ints
    density: Floats
    minutes: Floats


@dataclass(frozen=True)
class _BindingFloor:
    """A binding floor: its decisions, minutes, and price per minute."""

    rows: Ints
    minutes: float
    price: float


@dataclass(frozen=True)
class _Solution:
    """The linear programme's solution: candidates, shares and prices; and which reviews may be chosen.

    `able` are those that some pool can take, `allowed` those within their account's limit as well.
    """

    rows: Ints
    share: Floats
    price: Floats
    able: Bools
    allowed: Bools


@dataclass(frozen=True)
class _Rules:
    """What binds the choice besides the pools' minutes."""

    limit: AccountLimit | None
    floors: Sequence[_BindingFloor]


def allocate_reviews(
    open_reviews: OpenReviews,
    capacity: Sequence[float] | Floats,
    *,
    floors: Sequence[Floor] = (),
    limit: AccountLimit | None = None,
) -> Allocation:
    """Choose the reviews that remedy the most harm in the pools' minutes.

    Parameters
    ----------
    open_reviews
        The n possible reviews.
    capacity
        Shape (n_pools,), minutes of each pool.
    floors
        Minimum minutes for parts of the decisions, met to within one review.
    limit
        Maximum number of reviews per account.

    Returns
    -------
    Allocation
        No pool gets more than its minutes. Ties go to the first in the input's order.

    Raises
    ------
    DataError
        Where a value is negative or minutes are not above 0.

    References
    ----------
    Dantzig (1957), Discrete-variable extremum problems: rounding the relaxed knapsack loses at most
    one item for each constraint.

    Examples
    --------
    >>> value, minutes = np.array([5.0, 4, 3, 2]), np.array([2.0, 2, 2, 2])
    >>> of, can = np.array([0, 0, 1, 1]), np.array([[True, False], [True, True]])
    >>> allocate_reviews(OpenReviews(value, minutes, of, can), [4, 2]).pool.tolist()
    [0, 0, 1, -1]
    """
    _check_inputs(open_reviews.value, open_reviews.minutes)
    value, minutes, room = (
        open_reviews.value,
        open_reviews.minutes,
        np.asarray(capacity, np.float64),
    )
    member = np.array([floor.member for floor in floors], dtype=bool)
    fine, held, can_fine = _split_by_floor(open_reviews.of, open_reviews.can, member)
    open_reviews = OpenReviews(value, minutes, fine, can_fine)
    able: Bools = np.asarray(can_fine[fine].any(axis=1))
    least = np.array([floor.minutes for floor in floors])
    allowed = able
    if limit is not None:
        allowed = able & _top_per_account(np.where(able, value, -1.0), limit)
    rows = _rank_within_class(open_reviews, allowed, can_fine @ room)
    if not len(rows) or not room.any():
        return Allocation(np.full(len(value), -1), np.zeros(len(room)), least)
    share, price = _solve_shares(open_reviews.take(rows), room, least, held)
    if limit is not None:
        # Which reviews an account offers depends on the price of minutes.
        cheapest = np.where(can_fine, price[: len(room)], np.inf).min(axis=1, initial=np.inf)[fine]
        lifted = value + (held @ price[len(room) :])[fine]
        net = np.where(able, (lifted - cheapest) * minutes, -np.inf)
        allowed = able & _top_per_account(net, limit)
        rows = _rank_within_class(open_reviews, allowed, can_fine @ room)
        share, price = _solve_shares(open_reviews.take(rows), room, least, held)
    costs = zip(floors, price[len(room) :], strict=True)
    tight = [
        _BindingFloor(np.flatnonzero(f.member), f.minutes, cost) for f, cost in costs if cost > 0
    ]
    price = price[: len(room)]
    solved = _Solution(rows, share, price, able, allowed)
    pool = _round_to_reviews(open_reviews, room, solved, _Rules(limit, tight))
    got = np.array([minutes[floor.member & (pool >= 0)].sum() for floor in floors])
    short = np.maximum(least - got, 0.0) if len(floors) else least
    return Allocation(pool, price, np.where(short > minutes.max(), short, 0.0))


def _check_inputs(value: Floats, minutes: Floats) -> None:
    if not ((minutes > 0) & np.isfinite(minutes)).all():
        bad = minutes[~((minutes > 0) & np.isfinite(minutes))][0]
        raise DataError(error_message("minutes", "be above 0", bad, "Correct the catalogue."))
    if not ((value >= 0) & np.isfinite(value)).all():
        bad = value[~((value >= 0) & np.isfinite(value))][0]
        raise DataError(error_message("value", "be 0 or more", bad, "Correct its inputs."))


def _split_by_floor(of: Ints, can: Bools, member: Bools) -> tuple[Ints, Bools, Bools]:
    """Split the classes by the floors they count for; also return these floors."""
    if not len(member):
        return of, np.zeros((len(can), 0), dtype=bool), can
    fine = of
    for some in range(0, len(member), _BITS):
        bits = member[some : some + _BITS].T @ (1 << np.arange(len(member[some : some + _BITS])))
        _, fine = np.unique(fine * (1 << _BITS) + bits, return_inverse=True)
    _, first = np.unique(fine, return_index=True)
    return fine.astype(np.int64), member[:, first].T, can[of[first]]


def _top_per_account(gain: Floats, limit: AccountLimit) -> Bools:
    """Return which decisions are among the `cap` of highest gain of their account."""
    account, cap = limit.account, limit.cap
    order = np.argsort(-gain, kind="stable")
    place = pd.Series(account[order]).groupby(account[order], sort=False).cumcount()
    best = np.empty(len(order), dtype=bool)
    best[order] = (place.to_numpy() < cap) | (account[order] < 0)
    return best


def _rank_within_class(open_reviews: OpenReviews, allowed: Bools, most: Floats) -> Ints:
    """Order the candidates: class by class, the best first, as far as all pools would reach."""
    minutes, of = open_reviews.minutes, open_reviews.of
    rows = np.flatnonzero(allowed)
    rows = rows[np.lexsort((-open_reviews.value[rows], of[rows]))]
    if not len(rows):
        return rows
    before = _cumulative_minutes(minutes[rows], of[rows]) - minutes[rows]
    return rows[before <= most[of[rows]] + 2 * minutes[rows]]


def _round_to_reviews(
    open_reviews: OpenReviews, room: Floats, solved: _Solution, rules: _Rules
) -> Ints:
    """Turn minutes into whole reviews, and fill remaining minutes with what still fits."""
    rows, able, allowed, limit = solved.rows, solved.able, solved.allowed, rules.limit
    pool = np.full(len(open_reviews.value), -1, np.int64)
    pool[rows], beyond = _round_shares(
        open_reviews.minutes[rows], open_reviews.of[rows], solved.share
    )
    waiting, done = rows[beyond], rows[pool[rows] >= 0]
    left = room - np.bincount(pool[done], open_reviews.minutes[done], len(room))
    _fill_minutes(
        pool, waiting, _add_floor_price(open_reviews, pool, able, rules.floors), open_reviews, left
    )
    if limit is not None:  # other reviews of an account may replace those that it offered
        waiting = np.r_[waiting, np.flatnonzero(able & ~allowed)]
    _improve_by_exchange(pool, waiting, open_reviews, left, solved, rules)
    lifted = _add_floor_price(open_reviews, pool, able, rules.floors)
    if limit is not None:
        allowed = able & _top_per_account(
            np.where(pool >= 0, np.inf, np.where(able, lifted, -1.0)), limit
        )
    _fill_minutes(pool, np.flatnonzero(allowed), lifted, open_reviews, left)
    return pool


def _add_floor_price(
    open_reviews: OpenReviews, pool: Ints, able: Bools, floors: Sequence[_BindingFloor]
) -> Floats:
    """Add a floor's price to the value of the reviews that meet it, and of as many as it still misses."""
    value, minutes = open_reviews.value, open_reviews.minutes
    lifted = value.copy() if floors else value
    for floor in floors:
        rows = floor.rows[able[floor.rows]]
        order = rows[np.lexsort((-value[rows], pool[rows] < 0))]
        before = np.cumsum(minutes[order]) - minutes[order]
        lifted[order[before < floor.minutes - _EPS]] += floor.price
    return lifted


def _improve_by_exchange(
    pool: Ints,
    waiting: Ints,
    open_reviews: OpenReviews,
    left: Floats,
    solved: _Solution,
    rules: _Rules,
) -> None:
    """Exchange reviews while the programme's bound allows a gain; changes `pool`."""
    value, minutes, price, floors = (
        open_reviews.value,
        open_reviews.minutes,
        solved.price,
        rules.floors,
    )
    cheapest = np.where(open_reviews.can, price, np.inf).min(axis=1)
    rows = np.union1d(waiting, np.flatnonzero(pool >= 0))
    full = value.copy()
    for floor in floors:
        full[floor.rows] += floor.price
    surplus = np.full(len(pool), -np.inf)
    surplus[rows] = (full[rows] - cheapest[open_reviews.of[rows]]) * minutes[rows]
    room = left + np.bincount(pool[pool >= 0], minutes[pool >= 0], len(left))
    bound = float(price @ room) + float(np.maximum(surplus[rows], 0).sum())
    bound -= sum(floor.price * floor.minutes for floor in floors)
    for _ in range(_PASSES):
        missing = bound - float((value * minutes)[pool >= 0].sum())
        # A review worth its minutes by less than the gap cannot improve the total.
        worth = waiting[(surplus[waiting] > -missing) & (pool[waiting] < 0)]
        worth = worth[np.argsort(-surplus[worth], kind="stable")][:_TRIES]
        gain = _add_floor_price(open_reviews, pool, solved.able, floors) * minutes
        if missing <= _CLOSE * bound:
            break
        if not exchange_reviews(pool, worth, gain, open_reviews, left, rules.limit):
            break


def _class_starts(of: Ints) -> Ints:
    return np.flatnonzero(np.r_[True, of[1:] != of[:-1]])


def _cumulative_minutes(minutes: Floats, of: Ints) -> Floats:
    """Return cumulative minutes up to and including each row, by class."""
    total = np.cumsum(minutes)
    start = _class_starts(of)
    before = (total - minutes)[start]
    return np.asarray(total - np.repeat(before, np.diff(np.r_[start, len(of)])))


def _solve_shares(
    open_reviews: OpenReviews, room: Floats, least: Floats, held: Bools
) -> tuple[Floats, Floats]:
    """Return each pool's minutes for each class, (n_classes, n_pools); prices of pools and floors."""
    value, minutes, of, can = (
        open_reviews.value,
        open_reviews.minutes,
        open_reviews.of,
        open_reviews.can,
    )
    reach = _cumulative_minutes(minutes, of)
    if can.shape == (1, 1) and not len(least):  # one pool for all: the best come first
        end = min(int(np.searchsorted(reach, room[0])), len(value) - 1)
        used = min(float(reach[-1]), float(room[0]))
        return np.array([[used]]), np.array([value[end] if used < reach[-1] else 0.0])
    start = _class_starts(of)
    end = np.r_[start[1:], len(of)]
    # Cuts of each class, as rows; refined around the end of the class.
    cuts = [
        np.unique(np.linspace(a, b, _STEPS + 1).astype(np.int64))
        for a, b in zip(start, end, strict=True)
    ]
    total = np.r_[0.0, np.cumsum(minutes)]
    worth = np.r_[0.0, np.cumsum(value * minutes)]
    for round_ in range(_ROUNDS):
        steps = _value_steps(cuts, of[start], total, worth)
        share, taken, price = _solve_linear_program(steps, can, room, least, held)
        if round_ == _ROUNDS - 1:
            break
        done = reach[end - 1]
        for i, cut in enumerate(cuts):
            used = min(float(taken[of[start[i]]]), float(done[i]))
            at = int(np.searchsorted(total[cut] - total[cut[0]], used, side="right")) - 1
            low, high = cut[max(at - 1, 0)], cut[min(at + 2, len(cut) - 1)]
            near = np.linspace(low, high, _STEPS - 3).astype(np.int64)
            cuts[i] = np.unique(np.r_[cut[0], near, cut[-1]])
    return share, price


def _value_steps(cuts: Sequence[Ints], names: Ints, total: Floats, worth: Floats) -> _ValueSteps:
    low = np.concatenate([cut[:-1] for cut in cuts])
    high = np.concatenate([cut[1:] for cut in cuts])
    minutes = total[high] - total[low]
    of = np.repeat(names, [len(cut) - 1 for cut in cuts])
    return _ValueSteps(of, (worth[high] - worth[low]) / minutes, minutes)


def _solve_linear_program(
    steps: _ValueSteps, can: Bools, room: Floats, least: Floats, held: Bools
) -> tuple[Floats, Floats, Floats]:
    """Solve the linear programme: minutes by class and pool, by class, prices of pools and floors."""
    n_steps, n_floors = len(steps.of), len(least)
    edge_class, edge_pool = np.nonzero(can)
    n_edges, n_classes = len(edge_class), len(can)
    n = n_steps + n_edges + n_floors
    # A floor that cannot be met is missed by as little as possible, so that a solution exists.
    penalty = 10 * float(steps.density.max()) + 1
    cost = np.r_[-steps.density, np.zeros(n_edges), np.full(n_floors, penalty)]
    bounds = np.c_[np.zeros(n), np.r_[steps.minutes, np.full(n_edges + n_floors, np.inf)]]
    taken = sparse.csr_array((np.ones(n_steps), (steps.of, np.arange(n_steps))), (n_classes, n))
    given = sparse.csr_array(
        (np.ones(n_edges), (edge_class, n_steps + np.arange(n_edges))), (n_classes, n)
    )
    used = sparse.csr_array(
        (np.ones(n_edges), (edge_pool, n_steps + np.arange(n_edges))), (len(room), n)
    )
    limits, most = [used], [room]
    if n_floors:
        slack = np.arange(n_floors), n - n_floors + np.arange(n_floors)
        missed = sparse.csr_array((np.ones(n_floors), slack), (n_floors, n))
        counted = sparse.csr_array(held.T.astype(np.float64)) @ taken
        limits.append(-(counted + missed))
        most.append(-least)
    found = linprog(
        cost, A_ub=sparse.vstack(limits), b_ub=np.concatenate(most), A_eq=taken - given,
        b_eq=np.zeros(n_classes), bounds=bounds, method="highs",
    )  # fmt: skip
    if found.x is None:
        raise RuntimeError(f"the allocation was not solved: {found.message}")
    share = np.zeros(can.shape)
    share[edge_class, edge_pool] = found.x[n_steps : n_steps + n_edges]
    return share, share.sum(axis=1), -found.ineqlin.marginals


def _round_shares(minutes: Floats, of: Ints, share: Floats) -> tuple[Ints, Ints]:
    """Give each pool whole reviews of its part of each class; also return those on a boundary."""
    reach, n_pools = _cumulative_minutes(minutes, of), share.shape[1]
    edges = np.cumsum(share, axis=1)
    pool = np.full(len(of), -1, np.int64)
    waiting = []
    slack = 1e-7
    for low, high in zip(s := _class_starts(of), np.r_[s[1:], len(of)], strict=True):
        edge = edges[of[low]]
        own, last = reach[low:high], np.searchsorted
        at = last(edge + slack, own, side="left")
        begun = last(edge + slack, own - minutes[low:high] + 2 * slack, side="left")
        whole = (at == begun) & (at < n_pools)
        pool[low:high][whole] = at[whole]
        beyond = np.flatnonzero(~whole)
        waiting.append(low + beyond[: n_pools + _NEXT])
    return pool, np.concatenate(waiting)


def _fill_minutes(
    pool: Ints, rows: Ints, value: Floats, open_reviews: OpenReviews, left: Floats
) -> None:
    """Place reviews, the best first, where they leave the least room; changes `pool` and `left`."""
    minutes, of, can = open_reviews.minutes, open_reviews.of, open_reviews.can
    most = np.where(can, left, 0.0).max(axis=1)
    rows = rows[(pool[rows] < 0) & (minutes[rows] <= most[of[rows]] + _EPS)]
    smallest = float(minutes[rows].min(initial=np.inf))
    for row in rows[np.argsort(-value[rows], kind="stable")]:
        if left.max() < smallest - _EPS:
            break
        fits = np.flatnonzero(can[of[row]] & (left >= minutes[row] - _EPS))
        if len(fits):
            best = fits[np.argmin(left[fits])]
            pool[row] = best
            left[best] -= minutes[row]
