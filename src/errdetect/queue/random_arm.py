"""The random part of the queue: inclusion probabilities of groups of similar reviews, and the draw.

Open reviews of one class, duration and number of covered decisions, whose P(error) and value agree to within some
6 %, form a group with one inclusion probability, so that a design depends on the groups' sizes alone.
Probabilities are whole multiples of 2^-40, and every decision has a random key of its own: sums and draws are
the same to the row in whatever order, and on however many machines, they are computed.
"""

import hashlib
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.queue.allocation import OpenReviews

__all__ = [
    "FLOOR",
    "UNIT",
    "RandomArm",
    "ReviewGroups",
    "draw_random_arm",
    "draw_start",
    "group_probabilities",
    "group_reviews",
    "id_hashes",
    "pack_levels",
    "plan_random_arm",
    "random_keys",
    "unpack_levels",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Keys = npt.NDArray[np.uint64]

#: Share of its pool's uniform probability that every decision keeps: P(error) may be wrong anywhere.
FLOOR = 0.6
#: Probabilities are multiples of 1 / UNIT: their sums are exact up to 8 million reviews.
UNIT = 2**40
#: Cap of a review's value in a pool's random part, as a share of a minute's price.
_NEARLY = 0.8
_HALVINGS = 60
_CHUNK = 200_000
_SPREADS = 60  # rounds in which the homes' loads are balanced
_GOLDEN = 0.6180339887498949
_SHIFT = 48  # of a number's 64 bits: exponent and 4 bits of its mantissa remain
_LEVELS = 0x7FFF


@dataclass(frozen=True)
class ReviewGroups:
    """Groups of similar open reviews.

    Parameters
    ----------
    of
        Shape (k,), class of each.
    minutes, size
        Shape (k,), duration, and number of decisions that a verdict covers.
    p_error, value
        Shape (k,), to within some 3 %.
    count
        Shape (k,), number of reviews.
    """

    of: Ints
    minutes: Floats
    size: Floats
    p_error: Floats
    value: Floats
    count: Ints

    def take(self, rows: Ints, count: Ints) -> "ReviewGroups":
        """Return some groups, in this order, with other counts."""
        return ReviewGroups(
            self.of[rows], self.minutes[rows], self.size[rows], self.p_error[rows], self.value[rows],
            count,
        )  # fmt: skip

    def weights(self) -> Floats:
        """Return each group's drawing weight, shape (k,): the error's standard deviation per root minute."""
        variance = np.clip(self.p_error * (1 - self.p_error), 0, None)
        return np.asarray(self.size * np.sqrt(variance / self.minutes))


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


def pack_levels(p_error: Floats, value: Floats) -> Ints:
    """Return a number of 31 bits for each pair of P(error) and value, equal for pairs that differ little.

    Each is cut to the upper bits of its floating-point number, 16 steps to each doubling; P(error) above .5
    by what is missing to 1.

    Parameters
    ----------
    p_error, value
        Shape (n,), in [0, 1], and at least 0.

    Examples
    --------
    >>> found = pack_levels(np.array([0.5, 0.51, 0.1, 0.101]), np.zeros(4))
    >>> len(set(found.tolist()))
    3
    """
    likely = p_error > 0.5  # 1 - P is exact there
    levels = [_cut(np.where(likely, 1 - p_error, p_error)), _cut(value)]
    return np.asarray((likely.astype(np.int64) << 30) | (levels[0] << 15) | levels[1])


def unpack_levels(packed: Ints) -> tuple[Floats, Floats]:
    """Return P(error) and value in the middle of their steps, each of shape (n,).

    Examples
    --------
    >>> p, value = unpack_levels(pack_levels(np.array([0.98]), np.array([0.0])))
    >>> p.round(2).tolist(), value.tolist()
    ([0.98], [0.0])
    """
    low = np.minimum(_middle((packed >> 15) & _LEVELS), 0.5)
    return np.where(packed >> 30 & 1, 1 - low, low), _middle(packed & _LEVELS)


def _cut(values: Floats) -> Ints:
    return np.ascontiguousarray(values, np.float64).view(np.int64) >> _SHIFT & _LEVELS


def _middle(levels: Ints) -> Floats:
    middle = ((levels << _SHIFT) | (1 << (_SHIFT - 1))).view(np.float64)
    return np.where(levels > 0, middle, 0.0)


def group_reviews(
    p_error: Floats, open_reviews: OpenReviews, size: Floats
) -> tuple[ReviewGroups, Ints]:
    """Group reviews that differ little in what their inclusion probability depends on.

    Parameters
    ----------
    p_error
        Shape (n,), calibrated.
    open_reviews
        The n possible reviews.
    size
        Shape (n,), decisions that each verdict covers.

    Returns
    -------
    groups, code
        In an order that depends on the groups only; and the group of each review, shape (n,).

    Examples
    --------
    >>> four = OpenReviews(np.zeros(4), np.ones(4), np.zeros(4, int), np.array([[True]]))
    >>> groups, code = group_reviews(np.array([0.5, 0.01, 0.0101, 0.5]), four, np.ones(4))
    >>> groups.count.tolist(), code.tolist()
    ([2, 2], [1, 0, 0, 1])
    """
    minutes, minute = np.unique(open_reviews.minutes, return_inverse=True)
    sizes, covers = np.unique(size, return_inverse=True)
    places = (open_reviews.of * len(minutes) + minute) * len(sizes) + covers
    place, first = np.unique(places, return_inverse=True)
    packed = (first.astype(np.int64) << 31) | pack_levels(p_error, open_reviews.value)
    found, code, count = np.unique(packed, return_inverse=True, return_counts=True)
    place = place[found >> 31]
    groups = ReviewGroups(
        place // (len(minutes) * len(sizes)), minutes[place // len(sizes) % len(minutes)],
        sizes[place % len(sizes)], *unpack_levels(found), count.astype(np.int64),
    )  # fmt: skip
    return groups, code.astype(np.int64)


def group_probabilities(
    groups: ReviewGroups, home: Ints, capacity: Floats, floor: float = FLOOR
) -> Floats:
    """Return the inclusion probability of each group's reviews, a multiple of 1 / `UNIT`.

    Where a minute costs c, the best trade of variance and remedied harm has probabilities in
    proportion to sqrt(p (1 - p) / (minutes (c - value))): a minute that remedies harm costs less.

    Parameters
    ----------
    groups
        Reviews that may be drawn.
    home
        Shape (k,), the pool of each group.
    capacity
        Shape (n_pools,), minutes of each pool for this part.
    floor
        Minimum share of the pool's uniform probability.

    Returns
    -------
    numpy.ndarray
        Shape (k,). Each pool's add up to a whole number of reviews (up to rounding: one
        review more or less in 2^41 / n draws), at least 1; beyond that one review every draw fits its minutes.
    """
    probability = np.zeros(len(home))
    for pool in np.unique(home):
        rows = np.flatnonzero(home == pool)
        own = groups.take(rows, groups.count[rows])
        most = max(float(own.value.max()), 1e-300)
        want = own.weights() / np.sqrt(1 - _NEARLY * own.value / most)
        probability[rows] = _inclusion_probabilities(want, own, float(capacity[pool]), floor)
    return probability


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
        Probabilities, from `group_probabilities`, depend on no draw.

    Examples
    --------
    >>> open_reviews = OpenReviews(np.zeros(6), np.ones(6), np.zeros(6, int), np.array([[True]]))
    >>> p = np.array([0.5, 0.5, 0.01, 0.01, 0.01, 0.01])
    >>> plan = plan_random_arm(p, open_reviews, np.array([2.0]), members=p > 0)
    >>> plan.probability.round(2).tolist()
    [0.6, 0.6, 0.2, 0.2, 0.2, 0.2]
    """
    n = len(p_error)
    home, probability, layer = np.full(n, -1, np.int64), np.zeros(n), np.zeros(n, np.int64)
    rows = np.flatnonzero(members & open_reviews.can[open_reviews.of].any(axis=1))
    if not len(rows):
        return RandomArm(home, probability, layer)
    own = open_reviews.take(rows)
    cover = np.ones(len(rows)) if size is None else size[rows]
    groups, code = group_reviews(p_error[rows], own, cover)
    home[rows] = _assign_pools(own.of, own.can, capacity, groups.weights()[code])
    pairs, at, count = np.unique(
        home[rows] * len(groups.of) + code, return_inverse=True, return_counts=True
    )
    each = groups.take(pairs % len(groups.of), count)
    probability[rows] = group_probabilities(each, pairs // len(groups.of), capacity, floor)[at]
    order = rows[np.lexsort((own.minutes, home[rows]))]
    new = (np.diff(home[order]) != 0) | (np.diff(open_reviews.minutes[order]) != 0)
    layer[order] = np.cumsum(np.r_[0, new])
    return RandomArm(home, probability, layer)


def id_hashes(decision_id: pd.Series) -> Keys:
    """Return a hash of each id, shape (n,), uint64.

    Examples
    --------
    >>> len(set(id_hashes(pd.Series(["a", "b", "a"])).tolist()))
    2
    """
    parts = (decision_id.iloc[i : i + _CHUNK] for i in range(0, max(len(decision_id), 1), _CHUNK))
    hashes = [pd.util.hash_array(part.to_numpy(object), categorize=False) for part in parts]
    return np.concatenate(hashes)


def random_keys(identity: Keys, seed: str) -> Keys:
    """Return a random number for each decision, from its identity and the seed alone.

    Parameters
    ----------
    identity
        Shape (n,), uint64, such as hashes of ids.
    seed
        Any text.

    Returns
    -------
    numpy.ndarray
        Shape (n,), uint64.

    References
    ----------
    Steele, Lea and Flood (2014), Fast splittable pseudorandom number generators: SplitMix64, with the
    identity as its counter, applied twice.

    Examples
    --------
    >>> random_keys(np.array([1, 2], np.uint64), "7").argsort().tolist()
    [0, 1]
    """
    first, second = np.frombuffer(hashlib.blake2b(seed.encode(), digest_size=16).digest(), "<u8")
    return _mix(_mix(identity + first) ^ second)


def _mix(x: Keys) -> Keys:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)), np.uint64)


def draw_start(seed: str) -> int:
    """Return where the first of the marks lies that draw one review in every `UNIT`.

    Examples
    --------
    >>> 0 <= draw_start("7") < UNIT
    True
    """
    digest = hashlib.blake2b(f"start {seed}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") % UNIT


def draw_random_arm(plan: RandomArm, identity: Keys, seed: str) -> Ints:
    """Draw the random part: systematically, in random order within each layer.

    Parameters
    ----------
    plan
        From `plan_random_arm`.
    identity
        Shape (n,), uint64, as for `random_keys`; equal ones keep their order.
    seed
        Any text.

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
    >>> draw_random_arm(plan, np.arange(4, dtype=np.uint64), "0").shape
    (2,)
    """
    rows = np.flatnonzero(plan.home >= 0)
    if not len(rows):
        return rows
    rows = rows[np.lexsort((random_keys(identity[rows], f"draw {seed}"), plan.layer[rows]))]
    reach = np.cumsum((plan.probability[rows] * UNIT).astype(np.int64))
    marks = np.arange(draw_start(seed), int(reach[-1]), UNIT)
    drawn = rows[np.searchsorted(reach, marks, side="right")]
    return drawn[np.argsort(random_keys(identity[drawn], f"order {seed}"), kind="stable")]


def _assign_pools(of: Ints, can: Bools, capacity: Floats, want: Floats) -> Ints:
    """Give each decision one of its pools, so that loads are balanced for their minutes."""
    if (can.sum(axis=1) <= 1).all():
        return np.asarray(np.argmax(can, axis=1)[of], np.int64)
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


def _inclusion_probabilities(
    want: Floats, groups: ReviewGroups, room: float, floor: float
) -> Floats:
    """Return probabilities that add up to as many whole reviews as always fit the room, at least 1."""
    count, time = groups.count, groups.count * groups.minutes
    n = int(count.sum())
    if time.sum() <= room:
        return np.ones(len(want))
    spread = float(groups.minutes.max() - groups.minutes.min())
    draws = _round_draws((room - spread) / (time.sum() / n), n)
    chance = _scale_with_floor(want, count, draws, floor)
    draws = _round_draws(draws * (room - spread) / float(chance @ time), n)
    while True:
        chance = _scale_with_floor(want, count, draws, floor)
        if draws == 1 or float(chance @ time) + spread <= room + 1e-9:
            return _to_units(chance, count, draws, floor * draws / n) / UNIT
        draws -= 1


def _round_draws(draws: float, n: int) -> int:
    return min(max(1, int(draws + 1e-9)), n)


def _scale_with_floor(want: Floats, count: Ints, total: int, floor: float) -> Floats:
    """Scale to a total, with none below the floor's share of the uniform probability or above 1."""
    least = floor * total / int(count.sum())
    want = np.maximum(want / max(float(want.max()), 1e-300), 1e-9)
    low, high = 0.0, 1.0
    while np.clip(want * high, least, 1.0) @ count < total and high < 1e9:
        high *= 4
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if np.clip(want * middle, least, 1.0) @ count < total:
            low = middle
        else:
            high = middle
    free = (want * high > least) & (want * high < 1)
    chance = np.clip(want * high, least, 1.0)
    if free.any():  # exactly: the draw is of a whole number
        chance[free] *= (total - chance[~free] @ count[~free]) / (chance[free] @ count[free])
    return chance


def _to_units(probability: Floats, count: Ints, total: int, least: float) -> Ints:
    """Round to whole units above the floor; the total is exact, or as close as groups between the ends allow."""
    lowest = min(math.ceil(least * UNIT), UNIT)
    units = np.clip(np.rint(probability * UNIT), lowest, UNIT).astype(np.int64)
    excess = int(units @ count) - total * UNIT
    free = np.flatnonzero((units > lowest) & (units < UNIT))
    for row in free[np.argsort(-count[free], kind="stable")]:
        step = int(excess / int(count[row]))
        step = max(min(step, int(units[row]) - lowest), int(units[row]) - UNIT)
        units[row] -= step
        excess -= step * int(count[row])
        if not excess:
            break
    return units
