"""Reviews as judgements of content: what each says of the item, and what is known to be true."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.labels.review_history import COUNTS, MEASURES_REVIEWER, OVERRULED
from errdetect.schemas import ADJUDICATION, OVERTURNED, RELABELLED, UPHELD

__all__ = ["content_verdicts"]

Floats = npt.NDArray[np.float64]


def content_verdicts(decisions: pd.DataFrame, history: pd.DataFrame) -> pd.DataFrame:
    """Translate the known reviews from verdicts on decisions to verdicts on content.

    "Upheld" says of a removed item that it violates and of an approved item that it does not;
    "overturned" says the reverse; "relabelled" lets the action stand. What is known to be true
    comes from `expected` on golden reviews and from the adjudication elsewhere.

    Parameters
    ----------
    decisions
        n decisions with `decision_id`, `decided_at`, `policy_id`, `enforced`.
    history
        m reviews with their standing; see `build_review_history`.

    Returns
    -------
    pandas.DataFrame
        One row for each review known by then of a decision that exists, the experts' aside and
        those that their reviewer corrected or revised since,
        indexed by its row number in `history`: position (row of the decision), known_at, source,
        site, reviewer_id, standing, inclusion_probability, minutes, policy_id, enforced, violates
        (the review's answer, bool), flags (whether it calls the decision an error, bool), relabels
        (bool), right (whether the verdict is the true one), true_violates, true_error (these three
        1., 0., or NaN where nobody knows), designed (whether the truth is known by design: a golden
        item, or sent to the expert by a stated chance), expert_probability (that chance; NaN where
        none is stated).

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
    truth, chance = _expert_answers(final, len(decisions))
    kept = np.flatnonzero(rows & ~expert)
    given = history.iloc[kept]
    at = given["position"].to_numpy()
    enforced = decisions["enforced"].to_numpy(dtype=bool)[at]
    golden = (given["standing"] == MEASURES_REVIEWER).to_numpy(dtype=bool)
    answer = np.full(len(kept), None, dtype=object)
    answer[~golden] = truth[at[~golden]]
    answer[golden] = given["expected"].to_numpy(dtype=object)[golden]
    verdict = given["verdict"].to_numpy(dtype=object)
    told = ~pd.isna(answer)
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
            "right": np.where(told, verdict == answer, np.nan),
            "true_violates": np.where(told, _is_violating(answer, enforced), np.nan),
            "designed": golden | ~np.isnan(chance[at]),
            "expert_probability": chance[at],
            "true_error": np.where(told, answer != UPHELD, np.nan),
        },
        index=pd.Index(kept),
    )


def _expert_answers(adjudications: pd.DataFrame, n: int) -> tuple[npt.NDArray[np.object_], Floats]:
    """Give each decision's adjudicated verdict, and the chance of being sent; NaN if not stated."""
    answers, chance = np.full(n, None, dtype=object), np.full(n, np.nan)
    at = adjudications["position"].to_numpy()
    answers[at] = adjudications["verdict"].to_numpy(dtype=object)
    chance[at] = adjudications["inclusion_probability"].to_numpy(np.float64, na_value=np.nan)
    return answers, chance


def _is_violating(
    verdict: npt.NDArray[Any], enforced: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    violates: npt.NDArray[np.bool_] = enforced ^ (verdict == OVERTURNED)
    return violates
