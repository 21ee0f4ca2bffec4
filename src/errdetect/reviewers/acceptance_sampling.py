"""Acceptance sampling of a site's reviews, lot by lot, by ISO 2859-1."""

from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import binom, binomtest

from errdetect.errors import DataError, Refusal, error_message
from errdetect.labels.review_history import to_datetime64
from errdetect.schemas import GOLDEN

__all__ = [
    "AQLS",
    "LEVELS",
    "NORMAL",
    "REDUCED",
    "TIGHTENED",
    "InspectionState",
    "SamplingPlan",
    "acceptance_probability",
    "code_letter",
    "plan_inspections",
    "sampling_plan",
    "update_switching",
]


Stage = Literal["normal", "tightened", "reduced"]

NORMAL: Final = "normal"
TIGHTENED: Final = "tightened"
REDUCED: Final = "reduced"

#: Acceptance quality limits in percent of wrong reviews (limits above 10 count defects, not items).
AQLS: Final = (
    *(0.010, 0.015, 0.025, 0.040, 0.065, 0.10, 0.15, 0.25),
    *(0.40, 0.65, 1.0, 1.5, 2.5, 4.0, 6.5, 10.0),
)

#: Inspection levels; II by default, S-1 to S-4 where checks are expensive.
LEVELS: Final = ("S-1", "S-2", "S-3", "S-4", "I", "II", "III")

_LETTERS: Final = "ABCDEFGHJKLMNPQRS"

# Table 1: largest lot size -> letters in the order of LEVELS. Any larger lot: the last row.
_CODE_LETTERS: Final = (
    (8, "AAAAAAB"),
    (15, "AAAAABC"),
    (25, "AABBBCD"),
    (50, "ABBCCDE"),
    (90, "BBCCCEF"),
    (150, "BBCDDFG"),
    (280, "BCDEEGH"),
    (500, "BCDEFHJ"),
    (1_200, "CCEFGJK"),
    (3_200, "CDEGHKL"),
    (10_000, "CDFGJLM"),
    (35_000, "CDFHKMN"),
    (150_000, "DEGJLNP"),
    (500_000, "DEGJMPQ"),
)
_LARGEST: Final = "DEHKNQR"

_SIZES: Final = (2, 3, 5, 8, 13, 20, 32, 50, 80, 125, 200, 315, 500, 800, 1_250, 2_000, 3_150)
_SIZES_REDUCED: Final = (2, 2, 2, 3, 5, 8, 13, 20, 32, 50, 80, 125, 200, 315, 500, 800)

# Tables 2-A to 2-C repeat along their diagonals: a cell's value depends only on the number
# of the letter plus the number of the AQL (A and 0.010 % are 0). "v": use the first plan below,
# "^": the first above. Smaller sums are "v", larger "^".
_DIAGONALS: Final[dict[Stage, tuple[int, tuple[int | str, ...]]]] = {
    NORMAL: (14, (0, "^", "v", 1, 2, 3, 5, 7, 10, 14, 21)),
    TIGHTENED: (15, (0, "v", "v", 1, 2, 3, 5, 8, 12, 18)),
    REDUCED: (14, (0, "^", "v", "v", 1, 2, 3, 5, 6, 8, 10)),
}

_ENOUGH_SCORE: Final = 30
_REJECTED_BEFORE_STOP: Final = 5


@dataclass(frozen=True)
class SamplingPlan:
    """How many reviews of a lot to check, and how many of them may be wrong.

    Parameters
    ----------
    letter
        Code letter of the plan, after following the table's arrows.
    n
        Reviews to check; the whole lot if it is no larger.
    accept
        The lot is accepted with at most this many wrong reviews.
    reject
        The lot is rejected with at least this many.
    """

    letter: str
    n: int
    accept: int
    reject: int


@dataclass(frozen=True)
class InspectionState:
    """A site's state under the switching rules.

    Parameters
    ----------
    stage
        `normal`, `tightened` or `reduced`.
    recent
        Whether each of the last lots of this stage was accepted, newest last; at most five.
    score
        The switching score of normal inspection.
    rejected
        Lots not accepted since tightened inspection began.
    stopped
        Whether sampling inspection is discontinued until the site's quality improves.
    """

    stage: Stage = NORMAL
    recent: tuple[bool, ...] = ()
    score: int = 0
    rejected: int = 0
    stopped: bool = False


def code_letter(lot_size: int, *, level: str = "II") -> str:
    """Look up the sample size code letter of a lot (Table 1).

    Parameters
    ----------
    lot_size
        Reviews in the lot, at least 2.
    level
        One of `LEVELS`.

    Returns
    -------
    str
        A to R, without I and O.

    Raises
    ------
    DataError
        If the lot is smaller than 2 or the level unknown.

    Notes
    -----
    ISO 2859-1:1999, Table 1.

    Examples
    --------
    >>> code_letter(2_000)
    'K'
    """
    if lot_size < 2:
        raise DataError(
            error_message(
                "lot_size", "be at least 2", lot_size, "Gather more reviews into one lot."
            )
        )
    if level not in LEVELS:
        raise DataError(
            error_message(
                "level", f"be one of {', '.join(LEVELS)}", repr(level), "Take II if in doubt."
            )
        )
    rows = (letters for largest, letters in _CODE_LETTERS if lot_size <= largest)
    return next(rows, _LARGEST)[LEVELS.index(level)]


def sampling_plan(
    lot_size: int, aql: float, *, level: str = "II", stage: Stage = NORMAL
) -> SamplingPlan:
    """Look up the single sampling plan of a lot (Tables 2-A, 2-B, 2-C).

    Parameters
    ----------
    lot_size
        Reviews in the lot, at least 2.
    aql
        Acceptance quality limit in percent, one of `AQLS`.
    level
        One of `LEVELS`.
    stage
        `normal`, `tightened` or `reduced` inspection.

    Returns
    -------
    SamplingPlan
        Checks the whole lot if the table's sample is no smaller.

    Raises
    ------
    DataError
        If the lot is smaller than 2, or the standard has no such level, AQL or stage.

    Notes
    -----
    ISO 2859-1:1999, Tables 2-A, 2-B and 2-C, and 10.2 for the arrows.

    Examples
    --------
    >>> sampling_plan(2_000, 1.0)
    SamplingPlan(letter='K', n=125, accept=3, reject=4)
    >>> sampling_plan(2_000, 1.0, stage="tightened").accept
    2
    """
    if aql not in AQLS:
        shown = ", ".join(f"{a:g}" for a in AQLS)
        raise DataError(
            error_message(
                "aql", f"be one of {shown} (percent)", f"{aql:g}", "Take the next smaller one."
            )
        )
    if stage not in _DIAGONALS:
        raise DataError(
            error_message(
                "stage",
                f"be one of {', '.join(_DIAGONALS)}",
                repr(stage),
                "A new site starts at normal.",
            )
        )
    letter, accept = _follow_arrows(_LETTERS.index(code_letter(lot_size, level=level)), aql, stage)
    sizes = _SIZES_REDUCED if stage == REDUCED else _SIZES
    return SamplingPlan(_LETTERS[letter], min(sizes[letter], lot_size), accept, accept + 1)


def _follow_arrows(letter: int, aql: float, stage: Stage) -> tuple[int, int]:
    """Follow the arrows to a plan; reverse where an arrow leads off the table."""
    cell = _table_cell(letter, aql, stage)
    if isinstance(cell, int):
        return letter, cell
    step = 1 if cell == "v" else -1
    for direction in (step, -step):
        row = letter + direction
        while 0 <= row < _count_table_rows(aql, stage):
            found = _table_cell(row, aql, stage)
            if isinstance(found, int):
                return row, found
            row += direction
    raise AssertionError(f"Table of {stage} inspection has no plan for AQL {aql}")


def _table_cell(letter: int, aql: float, stage: Stage) -> int | str:
    first, cells = _DIAGONALS[stage]
    at = letter + AQLS.index(aql) - first
    if at < 0:
        return "v"
    return cells[at] if at < len(cells) else "^"


def _count_table_rows(aql: float, stage: Stage) -> int:
    """Return the table's number of rows: only tightened at 0.025 % has letter S."""
    return 17 if stage == TIGHTENED and aql == 0.025 else 16


def acceptance_probability(plan: SamplingPlan, error_rate: float) -> float:
    """Compute the probability that a lot with this share of wrong reviews is accepted.

    Parameters
    ----------
    plan
        From `sampling_plan`.
    error_rate
        Share of wrong reviews in the site's work, in [0, 1].

    Returns
    -------
    float

    Examples
    --------
    >>> plan = sampling_plan(2_000, 1.0)
    >>> [round(acceptance_probability(plan, rate), 2) for rate in (0.01, 0.03, 0.06)]
    [0.96, 0.48, 0.05]
    """
    return float(binom.cdf(plan.accept, plan.n, error_rate))


def update_switching(
    state: InspectionState,
    wrong: int,
    *,
    lot_size: int,
    aql: float,
    level: str = "II",
    steady: bool = False,
) -> InspectionState:
    """Update the inspection state after a checked lot.

    Normal becomes tightened when two of five or fewer consecutive lots are not accepted. Tightened
    becomes normal after five consecutive accepted lots, and sampling stops when five are not
    accepted. Normal becomes reduced at a switching score of 30 if the work is steady and the
    responsible authority agrees. Reduced becomes normal with the first lot that is not accepted, or
    when the work is no longer steady.

    Parameters
    ----------
    state
        State before the lot; `InspectionState()` for a new site.
    wrong
        Wrong reviews among those that this stage's plan checked.
    lot_size, aql, level
        As for `sampling_plan`.
    steady
        Whether the work is steady and reduced inspection has been approved.

    Returns
    -------
    InspectionState

    Raises
    ------
    DataError
        If `wrong` is negative or above the number checked, or `sampling_plan` rejects the terms.
    Refusal
        If sampling inspection was discontinued.

    Notes
    -----
    ISO 2859-1:1999, 9.3 and 9.4.

    Examples
    --------
    >>> state = InspectionState()
    >>> for wrong in (5, 0, 4):
    ...     state = update_switching(state, wrong, lot_size=2_000, aql=1.0)
    >>> state.stage
    'tightened'
    """
    if state.stopped:
        raise Refusal(
            "Sampling inspection is discontinued: five lots were not accepted under tightened "
            "inspection. Check all of the site's work until its quality improves, then restart with "
            "InspectionState(stage='tightened')."
        )
    plan = sampling_plan(lot_size, aql, level=level, stage=state.stage)
    if not 0 <= wrong <= plan.n:
        raise DataError(
            error_message(
                "wrong",
                f"lie in [0, {plan.n}]",
                wrong,
                "Count the wrong reviews among those checked.",
            )
        )
    accepted = wrong <= plan.accept
    seen = replace(state, recent=(*state.recent, accepted)[-5:])
    if state.stage == TIGHTENED:
        return _update_tightened(seen, accepted)
    if state.stage == REDUCED:
        return seen if accepted and steady else InspectionState()
    if seen.recent.count(False) >= 2:
        return InspectionState(stage=TIGHTENED)
    score = _switching_score(state.score, accepted, wrong, plan, aql)
    if score >= _ENOUGH_SCORE and steady:
        return InspectionState(stage=REDUCED)
    return replace(seen, score=score)


def _update_tightened(state: InspectionState, accepted: bool) -> InspectionState:
    if state.recent == (True,) * 5:
        return InspectionState()
    rejected = state.rejected + (not accepted)
    return replace(state, rejected=rejected, stopped=rejected >= _REJECTED_BEFORE_STOP)


def _switching_score(score: int, accepted: bool, wrong: int, plan: SamplingPlan, aql: float) -> int:
    """Update the switching score (9.3.3.2): 2 or 3 points for a good lot, else reset to 0."""
    if not accepted:
        return 0
    if plan.accept < 2:
        return score + 2
    tighter = _table_cell(_LETTERS.index(plan.letter), AQLS[AQLS.index(aql) - 1], NORMAL)
    return score + 3 if isinstance(tighter, int) and wrong <= tighter else 0


Bools = npt.NDArray[np.bool_]

_WEEK = np.timedelta64(7, "D")
_DAY = np.timedelta64(1, "D")
_UNLIKELY = 0.001  # p-value below which the expert's counts contradict the logged probability

_ONE = "one review is no lot: gather at least two"
_NEW = "the week before is inconclusive: no expert reviewed a random sample of it"
_STOPPED = "five lots were not accepted under tightened inspection: check all of it"


def plan_inspections(
    verdicts: pd.DataFrame,
    *,
    aql: float,
    rng: np.random.Generator,
    level: str = "II",
) -> pd.DataFrame:
    """Plan the inspection of each site's latest week, given the results of its earlier weeks.

    A lot is a site's reviews of seven days, without golden items and adjudications; the latest lot
    ends with the site's last day of reviews. An earlier week shows whether it would have been
    accepted only if the expert reviewed a random sample of it: flagged and other reviews with one
    logged inclusion probability that matches the counts, and at least as many as the plan asks for.
    Weeks with only their flags adjudicated are inconclusive; golden items do not count, as they are
    not the site's work. An inconclusive week restarts the switching rules. Reduced inspection needs
    approval, so it is never planned from data.

    Parameters
    ----------
    verdicts
        From `content_verdicts`, of the reviews in the order of `review_id`.
    aql
        Acceptance quality limit in percent, one of `AQLS`.
    rng
        Draws the reviews that count where the expert saw more than the plan asks for.
    level
        One of `LEVELS`.

    Returns
    -------
    pandas.DataFrame
        One row per site, by name: site (missing: reviews without one), lot_from, lot_to (days, both
        included), lot_size, letter, n (reviews to check), accept, reject, stage (`normal`,
        `tightened`), lots (consecutive conclusive weeks before), aql, note. Without a plan, letter,
        n, accept and reject are missing, and the note says why.

    Raises
    ------
    DataError
        If the standard has no such AQL or level.

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
    >>> plans = plan_inspections(verdicts, aql=1.0, rng=np.random.default_rng(1))
    >>> plans[["site", "lot_size", "letter", "n", "accept", "stage"]].values.tolist()
    [['Riga', 400, 'H', 50, 1, 'normal']]
    """
    sampling_plan(2, aql, level=level)  # reject invalid terms even if there are no lots
    work = _weekly_reviews(verdicts)
    rows = [
        _plan_site(site, lots, aql=aql, level=level, rng=rng)
        for site, lots in work.groupby("site", dropna=False, sort=True)
    ]
    numbers = ("lot_size", "n", "accept", "reject", "lots")
    texts = ("site", "lot_from", "lot_to", "letter", "stage", "note")
    columns = [*texts[:3], "lot_size", "letter", *numbers[1:4], "stage", "lots", "aql", "note"]
    frame = pd.DataFrame(rows, columns=columns)
    types = dict.fromkeys(numbers, "Int64") | dict.fromkeys(texts, "str") | {"aql": "float64"}
    return frame.astype(types)


def _weekly_reviews(verdicts: pd.DataFrame) -> pd.DataFrame:
    """List the sites' own reviews with week (0: the latest), end, and the expert's probability."""
    work = verdicts[verdicts["source"] != GOLDEN]
    work = work.assign(chance=work["expert_probability"], known=to_datetime64(work["known_at"]))
    ends = work.groupby("site", dropna=False)["known"].transform("max").dt.floor("D") + _DAY
    # A lot is the seven days before its end; its end belongs to the next lot.
    week = (ends - work["known"] - np.timedelta64(1, "us")) // _WEEK
    return work.assign(week=week, end=ends)


def _plan_site(
    site: Any, work: pd.DataFrame, *, aql: float, level: str, rng: np.random.Generator
) -> dict[str, Any]:
    latest = work[work["week"] == 0]
    end = latest["end"].iloc[0]
    state, lots = _replay_switching(work, aql=aql, level=level, rng=rng)
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
        **_plan_columns(plan),
        "stage": state.stage,
        "lots": lots,
        "aql": aql,
        "note": note,
    }


def _plan_columns(plan: SamplingPlan | None) -> dict[str, Any]:
    names = ("letter", "n", "accept", "reject")
    return {name: None if plan is None else getattr(plan, name) for name in names}


def _replay_switching(
    work: pd.DataFrame, *, aql: float, level: str, rng: np.random.Generator
) -> tuple[InspectionState, int]:
    """Apply the switching rules to the consecutive conclusive weeks before the latest."""
    state, lots = InspectionState(), 0
    for _, lot in reversed(list(work[work["week"] > 0].groupby("week", sort=True))):
        wrong = _expert_error_flags(lot)
        size = len(lot)
        asked = sampling_plan(size, aql, level=level, stage=state.stage).n if size > 1 else size + 1
        # The run must reach the week before the latest: an inconclusive week restarts it.
        if wrong is None or len(wrong) < asked:
            state, lots = InspectionState(), 0
        elif not state.stopped:
            found = int(wrong[rng.permutation(len(wrong))][:asked].sum())
            state = update_switching(state, found, lot_size=size, aql=aql, level=level)
            lots += 1
    return state, lots


def _expert_error_flags(lot: pd.DataFrame) -> Bools | None:
    """Return which reviews the expert found wrong; None unless they are a random sample."""
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
