"""Reviewer pools: the decisions that each can review, and its minutes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.errors import DataError, error_message

__all__ = ["LIMITS", "Pool", "PoolClasses", "check_pools", "group_by_pools"]

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

#: The decisions' columns that a pool may be limited to, and the pool's field for each.
LIMITS = {"market": "markets", "language": "languages", "policy_id": "policies"}


@dataclass(frozen=True)
class Pool:
    """Reviewers who are interchangeable.

    Parameters
    ----------
    name
        Unique.
    minutes
        Reviewer minutes that the pool has for this queue.
    markets, languages, policies
        What it can review; empty means any. A language includes its regions: `en` also `en-GB`.
    site
        Its site, as named in the reviews.

    Examples
    --------
    >>> Pool("riga", 480, languages=("lv", "en")).can_review("en-GB", "language")
    True
    """

    name: str
    minutes: float
    markets: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    site: str | None = None

    def can_review(self, value: object, column: str) -> bool:
        """Return whether the pool can review decisions with this value of a column of `LIMITS`."""
        wanted: tuple[str, ...] = getattr(self, LIMITS[column])
        if not wanted:
            return True
        if not isinstance(value, str):
            return False
        main = value.split("-")[0]
        return value in wanted or (column == "language" and main in wanted)


@dataclass(frozen=True)
class PoolClasses:
    """Classes of decisions that the same pools can take.

    Parameters
    ----------
    of
        Class of each decision, shape (n,).
    can
        Whether each pool can take each class, shape (n_classes, n_pools).
    """

    of: Ints
    can: Bools


def group_by_pools(decisions: pd.DataFrame, pools: Sequence[Pool]) -> PoolClasses:
    """Group decisions by the pools that can take them.

    Parameters
    ----------
    decisions
        Shape (n, any), with market, language and policy_id where known.
    pools
        In the order of `can`'s columns.

    Returns
    -------
    PoolClasses

    Examples
    --------
    >>> pools = [Pool("a", 60, languages=("de",)), Pool("b", 60)]
    >>> classes = group_by_pools(pd.DataFrame({"language": ["de", "fr", None, "de"]}), pools)
    >>> classes.can[classes.of].tolist()
    [[True, True], [False, True], [False, True], [True, True]]
    """
    can = np.ones((1, len(pools)), dtype=bool)
    of = np.zeros(len(decisions), np.int64)
    for column in LIMITS:
        values: npt.NDArray[np.object_] = np.array([None], dtype=object)
        code = np.zeros(len(decisions), np.int64)
        if column in decisions:
            codes, uniques = pd.factorize(decisions[column].astype("str"), use_na_sentinel=True)
            values = np.array([*uniques, None], dtype=object)
            code = np.where(codes < 0, len(uniques), codes)
        takes = np.array([[pool.can_review(v, column) for pool in pools] for v in values])
        of, can = _cross_classes(of, can, code, takes)
    return PoolClasses(of, can)


def _cross_classes(of: Ints, can: Bools, code: Ints, takes: Bools) -> tuple[Ints, Bools]:
    """Split classes by one more column, and merge those that the same pools can take."""
    pairs, at = np.unique(of * len(takes) + code, return_inverse=True)
    both = can[pairs // len(takes)] & takes[pairs % len(takes)]
    rows, same = np.unique(both, axis=0, return_inverse=True)
    return same.reshape(-1)[at].astype(np.int64), rows


def check_pools(classes: PoolClasses, pools: Sequence[Pool]) -> None:
    """Refuse pools that can take no decision at all.

    Parameters
    ----------
    classes, pools
        The decisions' classes, and the pools.

    Raises
    ------
    DataError
        Where no pool can take any decision.

    Examples
    --------
    >>> check_pools(PoolClasses(np.zeros(1, int), np.array([[True]])), [Pool("a", 60)])
    """
    if len(classes.of) and not classes.can[np.unique(classes.of)].any():
        raise DataError(
            error_message(
                "queue.pools",
                "be able to review some of the decisions",
                f"{len(pools)} pools and no decision that any of them can take",
                "Compare their markets, languages and policies with the decisions' columns.",
            )
        )
