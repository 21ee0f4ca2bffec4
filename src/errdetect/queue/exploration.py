"""The random part of the queue: a fixed number of reviews a pool, drawn with exact chances.

Each decision is offered to one of the pools that can take it, its home. A pool's chances lean
towards decisions that tell most for each minute, above a floor that everybody keeps, and add up to
a whole number of reviews. Decisions are laid out pool by pool, by minutes, and drawn systematically
in random order: every chance is exact, and the minutes stay within the pool's for every draw.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from errdetect.estimate.designs import draw_sample, expected_half_width

__all__ = ["FLOOR", "Exploration", "draw_explored", "plan_exploration", "width_ratio"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

#: Part of its pool's even chance that every decision keeps: P(error) may be wrong anywhere.
FLOOR = 0.4
_SPREADS = 60  # rounds in which the homes' loads are made alike
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class Exploration:
    """The design of the random part.

    Parameters
    ----------
    home
        Shape (n,), the pool that would review each; -1 for those that cannot be drawn.
    probability
        Shape (n,), chance of being drawn; 0 for those that cannot.
    layer
        Shape (n,), where each lies when drawn: pools one after the other, within them by minutes.
    """

    home: Ints
    probability: Floats
    layer: Ints


def plan_exploration(
    p_error: Floats,
    minutes: Floats,
    of: Ints,
    can: Bools,
    capacity: Floats,
    *,
    members: Bools,
    size: Floats | None = None,
    floor: float = FLOOR,
) -> Exploration:
    """Give every member that some pool can take its chance of being drawn.

    Parameters
    ----------
    p_error
        Shape (n,), calibrated.
    minutes
        Shape (n,), what a review takes.
    of, can
        From `pools.classify`.
    capacity
        Shape (n_pools,), minutes of each pool for this part.
    members
        Shape (n,), who takes part: open and not ranked.
    size
        Shape (n,), how many decisions the verdict covers; default 1.
    floor
        Part of the pool's even chance that each member keeps.

    Returns
    -------
    Exploration
        Chances depend on no draw. Each pool's add up to a whole number of reviews, 1 at least if it
        is anybody's home, and whichever are drawn, beyond that one review they fit its minutes.

    Examples
    --------
    >>> one, many = np.array([[True]]), np.zeros(6, int)
    >>> p = np.array([0.5, 0.5, 0.01, 0.01, 0.01, 0.01])
    >>> plan = plan_exploration(p, np.ones(6), many, one, np.array([2.0]), members=p > 0)
    >>> plan.probability.round(2).tolist()
    [0.56, 0.56, 0.22, 0.22, 0.22, 0.22]
    """
    n = len(p_error)
    cover = np.ones(n) if size is None else size
    want = cover * np.sqrt(np.clip(p_error * (1 - p_error), 0, None) / minutes)
    home = np.full(n, -1, np.int64)
    rows = np.flatnonzero(members & can[of].any(axis=1))
    if not len(rows):
        return Exploration(home, np.zeros(n), np.zeros(n, np.int64))
    home[rows] = _homes(of[rows], can, capacity, want[rows])
    probability, layer = np.zeros(n), np.zeros(n, np.int64)
    for pool in np.unique(home[rows]):
        own = np.flatnonzero(home == pool)
        probability[own] = _chances(want[own], minutes[own], float(capacity[pool]), floor)
    order = rows[np.lexsort((minutes[rows], home[rows]))]
    new = (np.diff(home[order]) != 0) | (np.diff(minutes[order]) != 0)
    layer[order] = np.cumsum(np.r_[0, new])
    return Exploration(home, probability, layer)


def draw_explored(plan: Exploration, rng: np.random.Generator) -> Ints:
    """Draw the random part.

    Parameters
    ----------
    plan
        From `plan_exploration`.
    rng
        Where the randomness comes from.

    Returns
    -------
    numpy.ndarray
        int64, positions of the drawn, in random order.

    References
    ----------
    Hartley and Rao (1962), Sampling with unequal probabilities and without replacement.

    Examples
    --------
    >>> plan = Exploration(np.zeros(4, int), np.full(4, 0.5), np.zeros(4, int))
    >>> draw_explored(plan, np.random.default_rng(0)).shape
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
    """Compare the interval to expect with that of an audit that draws as many reviews evenly.

    Both lean on P(error) as control variate.

    Parameters
    ----------
    p_error
        Shape (n,), of the jobs that are open.
    probability
        Shape (n,), chance of each to be reviewed; jobs that cannot be are left out (0).
    reviews
        Reviews of the queue.
    size
        Shape (n,), decisions that each verdict covers; default 1.

    Returns
    -------
    float
        Width of the queue's interval over that of the audit; 0 where nothing is left unknown.

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
    # One verdict for `cover` decisions: their doubts come together, not apart.
    alike = np.repeat(1 / (1 + cover * (1 / chance - 1)), copies)
    even = expected_half_width(p, np.full(len(p), min(1.0, reviews / max(len(p), 1))))
    return expected_half_width(p, alike) / even if even > 0 else 0.0


def _homes(of: Ints, can: Bools, capacity: Floats, want: Floats) -> Ints:
    """Give each decision one of its pools, so that their loads are alike for their minutes."""
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
    # Evenly strewn along the class from most to least wanted: every pool gets of everything.
    u = np.empty(len(of))
    u[order] = (np.arange(len(of)) * _GOLDEN) % 1
    flat = (edges + np.arange(len(can))[:, None]).ravel()
    home = np.searchsorted(flat, u + of, side="right") - of * can.shape[1]
    last = can.shape[1] - 1 - np.argmax(can[:, ::-1], axis=1)
    return np.asarray(np.minimum(home, last[of]), np.int64)


def _chances(want: Floats, minutes: Floats, room: float, floor: float) -> Floats:
    """Give chances that add up to as many whole reviews as surely fit the room, and to 1 at least."""
    mean = floor + (1 - floor) * want / want.mean() if want.any() else np.ones(len(want))
    spread = float(minutes.max() - minutes.min())
    if minutes.sum() <= room:
        return np.ones(len(want))
    draws = max(1, int((room - spread) / np.average(minutes, weights=mean) + 1e-9))
    while True:
        chance = _scaled(mean, min(draws, len(want)))
        if draws == 1 or float(chance @ minutes) + spread <= room + 1e-9:
            return chance
        draws -= 1


def _scaled(want: Floats, total: int) -> Floats:
    """Scale to a total with nobody above 1."""
    chance, free = np.ones(len(want)), np.ones(len(want), dtype=bool)
    while True:
        left = total - (len(want) - int(free.sum()))
        if not free.any():
            return chance
        chance[free] = want[free] * (left / want[free].sum())
        over = free & (chance > 1)
        if not over.any():
            return chance
        chance[over] = 1.0
        free &= ~over
