"""The random part of the queue: inclusion probabilities within the pools' minutes, and the draw.

Each decision is offered to one of the pools that can take it, its home. A pool's probabilities are
higher for decisions that inform and remedy most per minute, never below a floor, and add up to a
whole number of reviews. Decisions are ordered by pool, then minutes, and drawn systematically in
random order: every probability is exact, and every draw stays within the pool's minutes.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from errdetect.estimation.sampling_designs import draw_sample, expected_half_width

__all__ = ["FLOOR", "RandomArm", "draw_random_arm", "plan_random_arm", "width_ratio"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

#: Share of its pool's uniform probability that every decision keeps: P(error) may be wrong anywhere.
FLOOR = 0.6
#: Cap of a review's value in a pool's random part, as a share of a minute's price.
_NEARLY = 0.8
_HALVINGS = 60
_SPREADS = 60  # rounds in which the homes' loads are balanced
_GOLDEN = 0.6180339887498949


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
    minutes: Floats,
    of: Ints,
    can: Bools,
    capacity: Floats,
    *,
    members: Bools,
    size: Floats | None = None,
    worth: Floats | None = None,
    floor: float = FLOOR,
) -> RandomArm:
    """Return the inclusion probability of every member that some pool can take.

    Where a minute costs c, the best trade of variance and remedied harm has probabilities in
    proportion to sqrt(p (1 - p) / (minutes (c - worth))): a minute that remedies harm costs less.

    Parameters
    ----------
    p_error
        Shape (n,), calibrated.
    minutes
        Shape (n,), duration of a review.
    of, can
        From `group_by_pools`.
    capacity
        Shape (n_pools,), minutes of each pool for this part.
    members
        Shape (n,), the members: open and not ranked.
    size
        Shape (n,), decisions that the verdict covers; default 1.
    worth
        Shape (n,), harm that a review remedies per minute; default 0.
    floor
        Minimum share of the pool's uniform probability for each member.

    Returns
    -------
    RandomArm
        Probabilities depend on no draw. Each pool's add up to a whole number of reviews, at least 1
        if it is the home of any decision; beyond that one review every draw fits its minutes.

    Examples
    --------
    >>> one, many = np.array([[True]]), np.zeros(6, int)
    >>> p = np.array([0.5, 0.5, 0.01, 0.01, 0.01, 0.01])
    >>> plan = plan_random_arm(p, np.ones(6), many, one, np.array([2.0]), members=p > 0)
    >>> plan.probability.round(2).tolist()
    [0.6, 0.6, 0.2, 0.2, 0.2, 0.2]
    """
    n = len(p_error)
    cover = np.ones(n) if size is None else size
    worth = np.zeros(n) if worth is None else worth
    want = cover * np.sqrt(np.clip(p_error * (1 - p_error), 0, None) / minutes)
    home = np.full(n, -1, np.int64)
    rows = np.flatnonzero(members & can[of].any(axis=1))
    if not len(rows):
        return RandomArm(home, np.zeros(n), np.zeros(n, np.int64))
    home[rows] = _assign_pools(of[rows], can, capacity, want[rows])
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
