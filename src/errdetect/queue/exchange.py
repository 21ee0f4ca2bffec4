"""Better whole reviews: change a chosen one for a worthier one that did not fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

__all__ = ["Limit", "exchange"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_EPS = 1e-9


@dataclass(frozen=True)
class Limit:
    """The most reviews of an account.

    Parameters
    ----------
    account
        Shape (n,), the account of each review; -1 for none.
    cap
        How many of one.
    """

    account: Ints
    cap: int


def exchange(
    pool: Ints, rows: Ints, gain: Floats, minutes: Floats, of: Ints, can: Bools, left: Floats,
    limit: Limit | None = None,
) -> int:  # fmt: skip
    """Put reviews in for less worthy ones, as long as a pool's minutes allow; in place.

    Parameters
    ----------
    pool
        Shape (n,), the pool of each review, -1 for none; changed.
    rows
        Reviews to try, in this order.
    gain, minutes
        Shape (n,), what each review remedies, and the minutes that it takes.
    of, can
        Class of each review, and the pools that can take each class.
    left
        Shape (n_pools,), minutes left over; changed.
    limit
        Where an account has its most already, one of its own goes out as well.

    Returns
    -------
    int
        Number of reviews put in. The total gain never falls.

    Examples
    --------
    >>> pool, left = np.array([0, -1]), np.array([1.0])
    >>> exchange(pool, np.array([1]), np.array([2.0, 5]), np.array([2.0, 3]), np.zeros(2, int),
    ...          np.ones((1, 1), bool), left)
    1
    >>> pool.tolist(), left.tolist()
    ([-1, 0], [0.0])
    """
    order = np.argsort(pool, kind="stable")
    bounds = np.searchsorted(pool[order], np.arange(len(left) + 1))
    members = [list(order[a:b]) for a, b in pairwise(bounds)]
    done = 0
    for row in rows:
        if pool[row] >= 0:
            continue
        best, out, at, gone = 0.0, list[int](), -1, -1
        for own in _siblings(row, pool, limit):
            for j in np.flatnonzero(can[of[row]]):
                free, others = left[j], members[j]
                if own >= 0 and pool[own] == j:
                    free, others = free + minutes[own], [k for k in others if k != own]
                loss, removed = _cheapest(others, gain, minutes, minutes[row] - free)
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
            _place(k, pool, members, minutes, of, can, left)
    return done


def _siblings(row: int, pool: Ints, limit: Limit | None) -> Sequence[int]:
    """Name the chosen of a full account, one of which must go; -1 where none has to."""
    if limit is None or limit.account[row] < 0:
        return [-1]
    own = np.flatnonzero((limit.account == limit.account[row]) & (pool >= 0))
    return [-1] if len(own) < limit.cap else own.tolist()


def _cheapest(
    own: list[int], gain: Floats, minutes: Floats, need: float
) -> tuple[float, list[int]]:
    """Find the reviews of least gain whose minutes make the room: one, or the least dense few."""
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
        # The last one may have made the first ones needless.
        spare = m[some].sum() - need
        kept = [
            i for i in some[:-1] if not (m[i] <= spare + _EPS and (spare := spare - m[i]) >= -_EPS)
        ]
        some = np.array([*kept, some[-1]])
        if g[some].sum() < best:
            best, removed = float(g[some].sum()), rows[some].tolist()
    return best, removed


def _place(
    row: int, pool: Ints, members: list[list[int]], minutes: Floats, of: Ints, can: Bools,
    left: Floats,
) -> None:  # fmt: skip
    fits = np.flatnonzero(can[of[row]] & (left >= minutes[row] - _EPS))
    if len(fits):
        at = int(fits[np.argmin(left[fits])])
        pool[row] = at
        members[at].append(row)
        left[at] -= minutes[row]
