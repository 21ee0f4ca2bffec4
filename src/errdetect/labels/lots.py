"""A site's weekly work as lots for ISO 2859-1: how many of its latest reviews to check."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import binomtest

from errdetect.labels.review_history import instants
from errdetect.reviewers.acceptance_sampling import Inspection, Plan, after_lot, sampling_plan
from errdetect.schemas import GOLDEN

__all__ = ["inspection_plans"]

Bools = npt.NDArray[np.bool_]

_WEEK = np.timedelta64(7, "D")
_DAY = np.timedelta64(1, "D")
_UNLIKELY = 0.001  # chance below which the expert's counts do not fit the stated chance

_ONE = "one review is no lot: gather at least two"
_NEW = "no week before it tells: the expert saw no random part of its reviews"
_STOPPED = "five lots were not accepted under tightened inspection: check all of it"


def inspection_plans(
    verdicts: pd.DataFrame,
    *,
    aql: float,
    rng: np.random.Generator,
    level: str = "II",
) -> pd.DataFrame:
    """Plan the check of each site's latest week, after what its earlier weeks have shown.

    A lot is what a site reviewed in seven days, golden items and adjudications aside; the latest
    ends with the site's last day of reviews. An earlier week tells whether it would have been
    accepted only where the expert saw a random part of it: flagged and other reviews at one stated
    chance that the counts bear out, and as many as the plan asks for. Weeks of which only the flags
    were adjudicated say nothing, nor do golden items, which are not the site's work. A week that
    does not tell starts the switching rules anew. Reduced inspection needs somebody's agreement, so
    it is never planned from data.

    Parameters
    ----------
    verdicts
        From `judgements`, of the reviews in the order of `review_id`.
    aql
        Acceptance quality limit in percent, one of `inspection.AQLS`.
    rng
        Draws the reviews that count where the expert saw more than the plan asks for.
    level
        One of `inspection.LEVELS`.

    Returns
    -------
    pandas.DataFrame
        A row a site, by name: site (missing: reviews without one), lot_from, lot_to (days, both
        included), lot_size, letter, n (reviews to check), accept, reject, stage (`normal`,
        `tightened`), lots (earlier weeks in a row that told), aql, note. Without a plan letter, n,
        accept and reject are missing, and the note says why.

    Raises
    ------
    DataError
        If the plan's terms are not the standard's, `as_of` has no time zone or a `decision_id`
        stands twice among the decisions.

    Notes
    -----
    ISO 2859-1:1999, 9.3 for the switching rules.

    Examples
    --------
    >>> from errdetect.snapshot import Snapshot
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-03"], utc=True)
    >>> decisions = pd.DataFrame({
    ...     "decision_id": [f"d{i}" for i in range(400)], "decided_at": day[0],
    ...     "policy_id": "spam", "enforced": True})
    >>> reviews = pd.DataFrame({
    ...     "review_id": [f"r{i:03d}" for i in range(400)], "decision_id": decisions["decision_id"],
    ...     "reviewed_at": day[1], "source": "audit", "verdict": "upheld", "expected": None,
    ...     "reviewer_id": "ann", "site": "Riga", "minutes": 2.0, "inclusion_probability": 0.1})
    >>> verdicts = Snapshot(decisions, reviews).verdicts
    >>> plans = inspection_plans(verdicts, aql=1.0, rng=np.random.default_rng(1))
    >>> plans[["site", "lot_size", "letter", "n", "accept", "stage"]].values.tolist()
    [['Riga', 400, 'H', 50, 1, 'normal']]
    """
    sampling_plan(
        2, aql, level=level
    )  # refuses terms that are not the standard's, also without lots
    work = _work(verdicts)
    rows = [
        _planned(site, lots, aql=aql, level=level, rng=rng)
        for site, lots in work.groupby("site", dropna=False, sort=True)
    ]
    numbers = ("lot_size", "n", "accept", "reject", "lots")
    words = ("site", "lot_from", "lot_to", "letter", "stage", "note")
    columns = [*words[:3], "lot_size", "letter", *numbers[1:4], "stage", "lots", "aql", "note"]
    frame = pd.DataFrame(rows, columns=columns)
    types = dict.fromkeys(numbers, "Int64") | dict.fromkeys(words, "str") | {"aql": "float64"}
    return frame.astype(types)


def _work(verdicts: pd.DataFrame) -> pd.DataFrame:
    """List the sites' own reviews: week (0 is the latest), flags, right, and the expert's chance."""
    work = verdicts[verdicts["source"] != GOLDEN]
    work = work.assign(chance=work["expert_probability"], known=instants(work["known_at"]))
    ends = work.groupby("site", dropna=False)["known"].transform("max").dt.floor("D") + _DAY
    # A lot is the seven days before its end; an instant at the end itself would be the next one's.
    week = (ends - work["known"] - np.timedelta64(1, "us")) // _WEEK
    return work.assign(week=week, end=ends)


def _planned(
    site: Any, work: pd.DataFrame, *, aql: float, level: str, rng: np.random.Generator
) -> dict[str, Any]:
    latest = work[work["week"] == 0]
    end = latest["end"].iloc[0]
    state, lots = _history(work, aql=aql, level=level, rng=rng)
    plan, note = None, "" if lots else _NEW
    if len(latest) < 2:
        note = _ONE
    elif state.stopped:
        note = _STOPPED
    else:
        plan = sampling_plan(len(latest), aql, level=level, stage=state.stage)
    return {
        "site": site,
        "lot_from": f"{end - _WEEK:%Y-%m-%d}",
        "lot_to": f"{end - _DAY:%Y-%m-%d}",
        "lot_size": len(latest),
        **_terms(plan),
        "stage": state.stage,
        "lots": lots,
        "aql": aql,
        "note": note,
    }


def _terms(plan: Plan | None) -> dict[str, Any]:
    names = ("letter", "n", "accept", "reject")
    return {name: None if plan is None else getattr(plan, name) for name in names}


def _history(
    work: pd.DataFrame, *, aql: float, level: str, rng: np.random.Generator
) -> tuple[Inspection, int]:
    """Apply the switching rules to the unbroken run of weeks before the latest that tell."""
    state, lots = Inspection(), 0
    for _, lot in reversed(list(work[work["week"] > 0].groupby("week", sort=True))):
        wrong = _random_part(lot)
        size = len(lot)
        asked = sampling_plan(size, aql, level=level, stage=state.stage).n if size > 1 else size + 1
        # The week next to the latest must tell, or the run ends before it.
        if wrong is None or len(wrong) < asked:
            state, lots = Inspection(), 0
        elif not state.stopped:
            found = int(wrong[rng.permutation(len(wrong))][:asked].sum())
            state = after_lot(state, found, lot_size=size, aql=aql, level=level)
            lots += 1
    return state, lots


def _random_part(lot: pd.DataFrame) -> Bools | None:
    """Say which of the reviews that the expert saw were wrong; None where these were picked."""
    seen = lot["right"].notna()
    chances = lot.loc[seen, "chance"].unique()
    if len(chances) != 1 or np.isnan(chances[0]):
        return None
    for flagged in (True, False):
        of = lot["flags"] == flagged
        drawn, n = int((seen & of).sum()), int(of.sum())
        if n and binomtest(drawn, n, float(chances[0])).pvalue < _UNLIKELY:
            return None
    wrong: Bools = (lot.loc[seen, "right"] == 0).to_numpy(dtype=bool)
    return wrong
