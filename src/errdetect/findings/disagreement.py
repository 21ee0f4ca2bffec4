"""Where reviewers disagree: with each other, with experts, and with golden items."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.schemas import AUDIT, GOLDEN
from errdetect.snapshot import Snapshot

__all__ = ["AnswerComparisons", "compare_answers"]

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_GOLDEN_ERROR, _GOLDEN_RIGHT, _EXPERT, _PAIR = range(4)


@dataclass(frozen=True)
class AnswerComparisons:
    """Comparisons of reviewers' verdicts, and the audit's individual verdicts.

    Parameters
    ----------
    position
        Decision of each of c comparisons, shape (c,).
    differs
        Whether the verdicts differ, shape (c,).
    sort
        What is compared: 0 with a golden error, 1 with a golden correct decision, 2 a flagged
        decision with the expert, 3 the reviewers of a flagged decision; shape (c,).
    vote_position, vote_flags, vote_site, vote_reviewer
        The audit's individual verdicts: decision, whether it is called an error, codes (-1: unknown).
    sites
        Names of the sites.
    """

    position: Ints
    differs: Bools
    sort: Ints
    vote_position: Ints
    vote_flags: Bools
    vote_site: Ints
    vote_reviewer: Ints
    sites: tuple[str, ...]


def compare_answers(snapshot: Snapshot) -> AnswerComparisons:
    """Compare the verdicts on the same decision.

    Parameters
    ----------
    snapshot
        Decisions with `enforced`, and their reviews.

    Returns
    -------
    AnswerComparisons

    Examples
    --------
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-03"], utc=True)
    >>> decisions = pd.DataFrame({"decision_id": ["d"], "decided_at": day[:1],
    ...                           "policy_id": ["spam"], "enforced": [True]})
    >>> reviews = pd.DataFrame({
    ...     "review_id": ["r"], "decision_id": ["d"], "reviewed_at": day[1:], "source": ["golden"],
    ...     "verdict": ["upheld"], "expected": ["overturned"], "reviewer_id": ["ann"],
    ...     "site": ["Riga"], "minutes": [2.0], "inclusion_probability": [float("nan")]})
    >>> compare_answers(Snapshot(decisions, reviews)).differs.tolist()
    [True]
    """
    judged, n_decisions = snapshot.verdicts, len(snapshot.decisions)
    at, flags = judged["position"].to_numpy(), judged["flags"].to_numpy(dtype=bool)
    truth = judged["true_error"].to_numpy(dtype=np.float64)
    golden = (judged["source"] == GOLDEN).to_numpy(dtype=bool)
    audit = (judged["source"] == AUDIT).to_numpy(dtype=bool)
    sort = np.select(
        [golden & (truth == 1), golden & (truth == 0), ~golden & ~np.isnan(truth)],
        [_GOLDEN_ERROR, _GOLDEN_RIGHT, _EXPERT],
        -1,
    )
    known = sort >= 0
    seats = np.bincount(at[audit], minlength=n_decisions)
    flagged = np.bincount(at[audit], flags[audit], minlength=n_decisions)
    several = np.flatnonzero((seats >= 2) & (flagged > 0))
    differs = np.concatenate([(flags != (truth > 0.5))[known], flagged[several] < seats[several]])
    sorts = np.concatenate([sort[known], np.full(len(several), _PAIR)])
    site, names = pd.factorize(judged["site"][audit], sort=True)
    return AnswerComparisons(
        position=np.concatenate([at[known], several]),
        differs=differs,
        sort=sorts.astype(np.int64),
        vote_position=at[audit],
        vote_flags=flags[audit],
        vote_site=site.astype(np.int64),
        vote_reviewer=pd.factorize(judged["reviewer_id"][audit], sort=True)[0].astype(np.int64),
        sites=tuple(str(name) for name in names),
    )
