"""Reviewers' agreement beyond chance on decisions with several reviews."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.labels.review_history import COUNTS, OVERRULED
from errdetect.schemas import ADJUDICATION, AUDIT, RE_REVIEW, UPHELD, VERDICTS

__all__ = [
    "ONE_VOICE",
    "SPLIT",
    "UNANIMOUS",
    "Agreement",
    "find_reviewer_consensus",
    "krippendorff_alpha",
    "nominal_alpha",
    "verdict_counts",
]


ONE_VOICE: Final = "one voice"
UNANIMOUS: Final = "unanimous"
SPLIT: Final = "split"


def find_reviewer_consensus(history: pd.DataFrame, n_decisions: int) -> "pd.Series[Any]":
    """Return whether the reviewers of each decision agreed on whether it is an error.

    Each reviewer's latest verdict counts, even if an expert overruled it: the reviewers still
    disagreed. The expert's own verdict and golden reviews do not count.

    Parameters
    ----------
    history
        The review history; see `build_review_history`.
    n_decisions
        Number of decisions.

    Returns
    -------
    pandas.Series
        Shape (n,): `one voice`, `unanimous` or `split`; missing without a review.

    Examples
    --------
    >>> from errdetect.labels.review_history import build_review_history
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-03"], utc=True)
    >>> decisions = pd.DataFrame({"decision_id": ["a", "b"], "decided_at": day[0]})
    >>> reviews = pd.DataFrame({
    ...     "review_id": ["1", "2", "3"], "decision_id": ["a", "a", "b"], "reviewed_at": day[1],
    ...     "source": "audit", "verdict": ["upheld", "overturned", "upheld"],
    ...     "reviewer_id": ["ann", "bob", "ann"]})
    >>> find_reviewer_consensus(build_review_history(decisions, reviews), 2).tolist()
    ['split', 'one voice']
    """
    answered = history["standing"].isin([COUNTS, OVERRULED]) & (history["source"] != ADJUDICATION)
    rows = answered.to_numpy(bool)
    at = history["position"].to_numpy()[rows]
    flags = (history["verdict"] != UPHELD).to_numpy(bool)[rows]
    total = np.bincount(at, minlength=n_decisions)
    against = np.bincount(at[flags], minlength=n_decisions)
    agree = (against == 0) | (against == total)
    consensus = np.select([total == 1, agree], [ONE_VOICE, UNANIMOUS], SPLIT)
    return pd.Series(consensus, dtype="str").where(total > 0)


Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_MIN_DECISIONS = 30  # fewer decisions give no estimate
_DRAWS = 1_000  # of the bootstrap


@dataclass(frozen=True)
class Agreement:
    """Krippendorff's alpha over verdicts, and its sample size.

    Parameters
    ----------
    alpha
        1: reviewers always agree; 0: no more than by chance; NaN where it is undefined.
    low, high
        95 % interval, from a bootstrap over decisions.
    observed
        Share of pairs of reviews of one decision that agree.
    n_decisions, n_reviews
        Decisions with two or more reviewers, and their reviews.
    note
        Why alpha is missing; empty otherwise.
    """

    alpha: float
    low: float
    high: float
    observed: float
    n_decisions: int
    n_reviews: int
    note: str = ""


def verdict_counts(decision_id: "pd.Series[str]", history: pd.DataFrame) -> pd.DataFrame:
    """Count verdicts on the decisions that several people reviewed in one audit or re-review.

    Reviews that a complaint triggered are left out: they exist because the first was disputed.
    `krippendorff_alpha` also takes subsets of the rows (one policy, one market).

    Parameters
    ----------
    decision_id
        Ids of the decisions that the history's positions index, shape (n,).
    history
        The review history; see `build_review_history`.

    Returns
    -------
    pandas.DataFrame
        One row per decision and source: decision_id, source, and a count for each of `VERDICTS`.

    Examples
    --------
    >>> from errdetect.labels.review_history import build_review_history
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-03"], utc=True)
    >>> decisions = pd.DataFrame({"decision_id": ["d"], "decided_at": day[:1]})
    >>> reviews = pd.DataFrame({
    ...     "review_id": ["r1", "r2"], "decision_id": "d", "reviewed_at": day[1], "source": "audit",
    ...     "verdict": ["upheld", "overturned"], "reviewer_id": ["ann", "bob"]})
    >>> history = build_review_history(decisions, reviews)
    >>> verdict_counts(decisions["decision_id"], history).values.tolist()
    [['d', 'audit', 1, 1, 0]]
    """
    rows = history["standing"].isin([COUNTS, OVERRULED])
    events = history[rows & history["source"].isin([AUDIT, RE_REVIEW])]
    source = (events["source"] == RE_REVIEW).to_numpy()
    unit, code = np.unique(events["position"].to_numpy() * 2 + source, return_inverse=True)
    counts = np.zeros((len(unit), len(VERDICTS)), dtype=np.int64)
    np.add.at(counts, (code, pd.Index(VERDICTS).get_indexer(pd.Index(events["verdict"]))), 1)
    several = counts.sum(axis=1) > 1
    names = decision_id.array[unit[several] // 2]
    kinds = pd.array(np.where(unit[several] % 2, RE_REVIEW, AUDIT), dtype="str")
    by_verdict = dict(zip(VERDICTS, counts[several].T, strict=True))
    columns: Mapping[str, Any] = {"decision_id": names, "source": kinds, **by_verdict}
    return pd.DataFrame(columns)


def krippendorff_alpha(counts: pd.DataFrame, *, rng: np.random.Generator) -> Agreement:
    """Compute Krippendorff's alpha (nominal) of the verdicts.

    Parameters
    ----------
    counts
        Rows of `verdict_counts`.
    rng
        Draws the bootstrap samples.

    Returns
    -------
    Agreement
        Without alpha where fewer than 30 decisions have several reviewers, or where all verdicts
        are the same.

    Notes
    -----
    Krippendorff (2019), Content Analysis, 4th ed., chapter 12.

    Examples
    --------
    >>> counts = pd.DataFrame({"upheld": [2, 0, 1] * 20, "overturned": [0, 2, 1] * 20,
    ...                        "relabelled": 0})
    >>> found = krippendorff_alpha(counts, rng=np.random.default_rng(1))
    >>> round(found.alpha, 3), round(found.observed, 3)
    (0.339, 0.667)
    """
    seen = counts[list(VERDICTS)].to_numpy(dtype=np.int64)
    n, reviews = len(seen), int(seen.sum())
    # Distinct rows are few: work on them and their counts.
    kinds, times = np.unique(seen, axis=0, return_counts=True)
    pairs = _coincidence_terms(kinds)
    observed = float("nan")
    if n:
        observed = float(times @ np.trace(pairs, axis1=1, axis2=2) / (times @ kinds.sum(axis=1)))
    missing = ""
    if n < _MIN_DECISIONS:
        missing = f"{n} decisions were reviewed by two or more people; {_MIN_DECISIONS} are needed."
    elif (seen.sum(axis=0) > 0).sum() < 2:
        missing = "All verdicts are the same, so agreement beyond chance is undefined."
    if missing:
        nan = float("nan")
        return Agreement(nan, nan, nan, observed, n, reviews, missing)
    alpha = nominal_alpha(seen)
    drawn = rng.multinomial(n, times / n, size=_DRAWS).astype(np.float64)
    low, high = np.nanquantile(_alpha_values(np.tensordot(drawn, pairs, axes=1)), [0.025, 0.975])
    return Agreement(alpha, float(low), float(high), observed, n, reviews)


def nominal_alpha(counts: Ints) -> float:
    """Compute Krippendorff's alpha of nominal values from counts.

    Parameters
    ----------
    counts
        Shape (units, values): how many gave each value; units with fewer than two do not count.

    Returns
    -------
    float
        1 - observed / expected disagreement; NaN where all values are the same, or none can be paired.

    Notes
    -----
    Krippendorff (2011), Computing Krippendorff's alpha-reliability, sections B and C.

    Examples
    --------
    >>> round(nominal_alpha(np.array([[2, 0], [0, 2], [1, 1]])), 3)
    0.444
    """
    paired = counts[counts.sum(axis=1) > 1]
    return float(_alpha_values(_coincidence_terms(paired).sum(axis=0)[None])[0])


def _coincidence_terms(kinds: Ints) -> Floats:
    """Return each distinct row's contribution to the coincidence matrix, shape (k, v, v)."""
    both = kinds[:, :, None] * kinds[:, None, :] - kinds[:, :, None] * np.eye(kinds.shape[1])
    return np.asarray(both / np.maximum(kinds.sum(axis=1) - 1, 1)[:, None, None], dtype=np.float64)


def _alpha_values(coincidences: Floats) -> Floats:
    """Compute alpha of each coincidence matrix; NaN where a draw has only one verdict."""
    n_v = coincidences.sum(axis=2)
    n = n_v.sum(axis=1)
    seen = n - np.trace(coincidences, axis1=1, axis2=2)
    by_chance = (n**2 - (n_v**2).sum(axis=1)) / np.maximum(n - 1, 1)
    ratio = np.full(len(n), np.nan)
    np.divide(seen, by_chance, out=ratio, where=np.nan_to_num(by_chance) > 0)
    return 1 - ratio
