"""Golden items: reviews with a known correct answer, which measure the reviewers."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from errdetect.labels.audit_sample import is_error
from errdetect.labels.review_history import CORRECTED, NOT_YET_KNOWN, match_decisions
from errdetect.schemas import GOLDEN

__all__ = ["GoldenItems", "select_golden_items"]

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class GoldenItems:
    """Reviews of items with a known answer, one entry per review.

    Parameters
    ----------
    item
        The item, as an integer code.
    site
        Index of the review's site among the audit's sites; -1 if it is not among them.
    enforced
        1 if the decision enforced, 0 if it allowed, -1 if it is not in the log.
    expected_error, said_error, expected_overturned, said_overturned
        The known answer and the reviewer's, for all errors and for wrong actions only.
    """

    item: Ints
    site: Ints
    enforced: Ints
    expected_error: Bools
    said_error: Bools
    expected_overturned: Bools
    said_overturned: Bools


def select_golden_items(
    decisions: pd.DataFrame, history: pd.DataFrame, sites: tuple[str, ...]
) -> GoldenItems:
    """Collect the golden reviews known by the history's moment; a corrected one counts once.

    A golden item need not be in the log, as its answer is known anyway.

    Parameters
    ----------
    decisions
        The contract's decisions with `enforced`.
    history
        The contract's reviews with `standing`, from the snapshot.
    sites
        The audit's sites.

    Examples
    --------
    >>> decisions = pd.DataFrame({"decision_id": ["a"], "enforced": [True]})
    >>> history = pd.DataFrame({"decision_id": ["a"], "source": "golden", "site": ["x"],
    ...     "verdict": ["upheld"], "expected": ["overturned"], "standing": "measures reviewer"})
    >>> golden = select_golden_items(decisions, history, ("x",))
    >>> golden.expected_error.tolist(), golden.said_error.tolist(), golden.enforced.tolist()
    ([True], [False], [1])
    """
    known = (history["source"] == GOLDEN) & history["expected"].notna()
    known &= ~history["standing"].isin([NOT_YET_KNOWN, CORRECTED])
    reviews = history[known.to_numpy(dtype=bool)]
    position = match_decisions(decisions, reviews)
    enforced = np.append(decisions["enforced"].to_numpy(dtype=np.int64), -1)
    return GoldenItems(
        item=pd.factorize(reviews["decision_id"])[0].astype(np.int64),
        site=pd.Index(sites, dtype=object).get_indexer(pd.Index(reviews["site"])).astype(np.int64),
        enforced=enforced[position],
        expected_error=is_error(reviews["expected"], action_only=False),
        said_error=is_error(reviews["verdict"], action_only=False),
        expected_overturned=is_error(reviews["expected"], action_only=True),
        said_overturned=is_error(reviews["verdict"], action_only=True),
    )
