"""Reviews as verdicts on content: each review's answer about the item, and the known truth."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from numpy.typing import NDArray

from errdetect.labels.audit_sample import is_error
from errdetect.labels.review_history import (
    CORRECTED,
    COUNTS,
    MEASURES_REVIEWER,
    NOT_YET_KNOWN,
    OVERRULED,
    match_decisions,
)
from errdetect.schemas import ADJUDICATION, GOLDEN, OVERTURNED, RELABELLED, UPHELD

__all__ = [
    "GoldenItems",
    "content_verdicts",
    "select_golden_items",
]

Floats = npt.NDArray[np.float64]


def content_verdicts(decisions: pd.DataFrame, history: pd.DataFrame) -> pd.DataFrame:
    """Translate the known reviews from verdicts on decisions to verdicts on content.

    "Upheld" means that a removed item violates and an approved item does not; "overturned" means
    the reverse; "relabelled" confirms the action. The known truth comes from `expected` on golden
    reviews and from the adjudication elsewhere.

    Parameters
    ----------
    decisions
        n decisions with `decision_id`, `decided_at`, `policy_id`, `enforced`.
    history
        m reviews with their standing; see `build_review_history`.

    Returns
    -------
    pandas.DataFrame
        One row per known review of an existing decision, without adjudications and without reviews
        that were corrected or revised since, indexed by its row number in `history`: position (row
        of the decision), known_at, source, site, reviewer_id, standing, inclusion_probability,
        minutes, policy_id, enforced, violates (the review's answer, bool), flags (whether it finds
        an error, bool), relabels (bool), right (whether the verdict is correct), true_violates,
        true_error (these three 1., 0., or NaN if unknown), designed (whether the truth is known by
        design: a golden item, or sent to the expert with a logged probability), expert_probability
        (that probability; NaN if not logged).

    Examples
    --------
    >>> from errdetect.labels.review_history import build_review_history
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-03"], utc=True)
    >>> decisions = pd.DataFrame({
    ...     "decision_id": ["d"], "decided_at": day[:1], "policy_id": ["spam"],
    ...     "enforced": [True]})
    >>> reviews = pd.DataFrame({
    ...     "review_id": ["r"], "decision_id": ["d"], "reviewed_at": day[1:],
    ...     "source": ["golden"], "verdict": ["upheld"], "expected": ["overturned"],
    ...     "reviewer_id": ["ann"], "site": ["Riga"], "minutes": [2.0],
    ...     "inclusion_probability": [float("nan")]})
    >>> found = content_verdicts(decisions, build_review_history(decisions, reviews))
    >>> found[["violates", "flags", "true_violates"]].values.tolist()
    [[True, False, 0.0]]
    """
    rows = history["standing"].isin([COUNTS, OVERRULED, MEASURES_REVIEWER])
    expert = history["source"] == ADJUDICATION
    final = history[(expert & (history["standing"] == COUNTS)).to_numpy(dtype=bool)]
    truth, probability = _expert_answers(final, len(decisions))
    kept = np.flatnonzero(rows & ~expert)
    given = history.iloc[kept]
    at = given["position"].to_numpy()
    enforced = decisions["enforced"].to_numpy(dtype=bool)[at]
    golden = (given["standing"] == MEASURES_REVIEWER).to_numpy(dtype=bool)
    answer = np.full(len(kept), None, dtype=object)
    answer[~golden] = truth[at[~golden]]
    answer[golden] = given["expected"].to_numpy(dtype=object)[golden]
    verdict = given["verdict"].to_numpy(dtype=object)
    known = ~pd.isna(answer)
    return pd.DataFrame(
        {
            "position": at,
            "known_at": given["known_at"].array,
            "source": given["source"].array,
            "site": given["site"].array,
            "reviewer_id": given["reviewer_id"].array,
            "standing": given["standing"].array,
            "inclusion_probability": given["inclusion_probability"].array,
            "minutes": given["minutes"].array,
            "policy_id": decisions["policy_id"].array[at],
            "enforced": enforced,
            "violates": _is_violating(verdict, enforced),
            "flags": verdict != UPHELD,
            "relabels": verdict == RELABELLED,
            "right": np.where(known, verdict == answer, np.nan),
            "true_violates": np.where(known, _is_violating(answer, enforced), np.nan),
            "designed": golden | ~np.isnan(probability[at]),
            "expert_probability": probability[at],
            "true_error": np.where(known, answer != UPHELD, np.nan),
        },
        index=pd.Index(kept),
    )


def _expert_answers(adjudications: pd.DataFrame, n: int) -> tuple[npt.NDArray[np.object_], Floats]:
    """Return each decision's adjudicated verdict and probability of adjudication (NaN: unknown)."""
    answers, probability = np.full(n, None, dtype=object), np.full(n, np.nan)
    at = adjudications["position"].to_numpy()
    answers[at] = adjudications["verdict"].to_numpy(dtype=object)
    probability[at] = adjudications["inclusion_probability"].to_numpy(np.float64, na_value=np.nan)
    return answers, probability


def _is_violating(
    verdict: npt.NDArray[Any], enforced: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    violates: npt.NDArray[np.bool_] = enforced ^ (verdict == OVERTURNED)
    return violates


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
