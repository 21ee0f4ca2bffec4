"""Which decisions are reviewed: the worst first, and some at random so that the sample stays valid."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from errdetect.errors import DataError, sentence

__all__ = ["EXPLORE", "RANKED", "Selection", "budget_count", "select"]

Floats = npt.NDArray[np.float64]

RANKED, EXPLORE = "ranked", "explore"


@dataclass(frozen=True)
class Selection:
    """Who is reviewed, and the chance that the design gave to each.

    Parameters
    ----------
    ranked
        Positions of the decisions reviewed for their rank, best first.
    explored
        Positions of the decisions drawn at random, by the same order.
    inclusion_probability
        Shape (n,): 1 for the ranked ones and for decisions that people already judged; for all
        others the chance of being explored.
    """

    ranked: npt.NDArray[np.int64]
    explored: npt.NDArray[np.int64]
    inclusion_probability: Floats


def budget_count(budget: float, n: int) -> int:
    """Turn a budget into reviews: a share of n below or at 1, or else a count.

    Examples
    --------
    >>> budget_count(0.05, 1000), budget_count(300, 1000), budget_count(300, 10), budget_count(1, 50)
    (50, 300, 10, 1)
    """
    count = int(budget) if isinstance(budget, int) or budget > 1 else max(1, round(budget * n))
    return min(count, n)


def select(
    value: Floats,
    open_: npt.NDArray[np.bool_],
    *,
    budget: int,
    explore_share: float,
    rng: np.random.Generator,
) -> Selection:
    """Select decisions for review.

    Parameters
    ----------
    value
        Shape (n,), what each review is worth. Equal values keep the input's order.
    open_
        Shape (n,), False for decisions that people already judged: they are not queued.
    budget
        Number of reviews.
    explore_share
        Part of the budget that is drawn at random among the decisions not ranked high enough,
        each with the same chance, in (0, 1]; at least one review.
    rng
        Where the randomness comes from.

    Returns
    -------
    Selection
        With `min(budget, number of open decisions)` reviews.

    Raises
    ------
    DataError
        Where the budget is below 1.

    Examples
    --------
    >>> chosen = select(np.array([3.0, 1, 2, 0]), np.ones(4, bool), budget=2, explore_share=0.5,
    ...                 rng=np.random.default_rng(0))
    >>> chosen.ranked.tolist(), chosen.inclusion_probability.round(2).tolist()
    ([0], [1.0, 0.33, 0.33, 0.33])
    """
    if budget < 1:
        raise DataError(sentence("The budget", "be at least 1 review", budget, "Raise --budget."))
    candidates = np.flatnonzero(open_)
    order = candidates[np.argsort(-value[candidates], kind="stable")]
    total = min(budget, len(order))
    wanted = max(1, round(explore_share * total))
    n_explore = 0 if total == len(order) else min(wanted, total)
    ranked, rest = order[: total - n_explore], order[total - n_explore :]
    drawn = np.sort(rng.permutation(len(rest))[:n_explore])
    probability = np.ones(len(value))
    probability[rest] = n_explore / len(rest) if len(rest) else 1.0
    return Selection(ranked, rest[drawn], probability)
