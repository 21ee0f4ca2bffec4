"""The audit as draws: one row a drawn decision, however many people judged it."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.errors import DataError, sentence
from errdetect.labels.events import COUNTS, OVERRULED, review_events
from errdetect.labels.judgements import judgements
from errdetect.labels.reviewers import ReviewerModel
from errdetect.schemas import (
    ADJUDICATION,
    AUDIT,
    GOLDEN,
    MISSED_VIOLATION,
    OVERTURNED,
    RELABELLED,
    UPHELD,
    WRONG_LABEL,
    WRONGFUL_ACTION,
)
from errdetect.stats.effective_size import effective_size
from errdetect.stats.grouped import sums

__all__ = ["FlagRates", "flag_rates", "resolve_audit"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def resolve_audit(
    decisions: pd.DataFrame,
    reviews: pd.DataFrame,
    *,
    as_of: datetime | None = None,
    model: ReviewerModel | None = None,
) -> pd.DataFrame:
    """Make one row of every decision that an audit drew: several judges are one draw.

    Only audit reviews and adjudications speak here. An appeal that came later came by itself, so
    counting it would bend the sample. The mean of the judges, not their majority, is the answer
    that keeps `FlagRates` valid whatever their number.

    Parameters
    ----------
    decisions
        Decisions with `decision_id`, `decided_at`, `enforced`.
    reviews
        Reviews with the contract's columns, in any order.
    as_of
        Only reviews known by then; the latest time in the data if None.
    model
        Adds P(error) of each decision given all of its reviews.

    Returns
    -------
    pandas.DataFrame
        A row for each audited decision, in the order of `decisions`: decision_id,
        inclusion_probability, n_judges, share (of judges who call the decision an error), verdict
        (of most judges; missing on a tie), p_error (NaN without `model`), adjudicated,
        adjudication_probability (NaN where not adjudicated or not stated), y (the expert's answer
        where there is one, else `share`), error_kind (where `y` > 0.5).

    Raises
    ------
    DataError
        If one audited decision has two inclusion probabilities, `as_of` has no time zone, or a
        `decision_id` stands twice among the decisions.

    Examples
    --------
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-03", "2026-01-04"], utc=True)
    >>> decisions = pd.DataFrame({
    ...     "decision_id": ["d"], "decided_at": day[:1], "enforced": [True]})
    >>> reviews = pd.DataFrame({
    ...     "review_id": ["r1", "r2"], "decision_id": ["d", "d"], "reviewed_at": day[1:],
    ...     "source": "audit", "verdict": ["overturned", "upheld"], "reviewer_id": ["ann", "bob"],
    ...     "inclusion_probability": 0.25})
    >>> resolve_audit(decisions, reviews)[["n_judges", "share", "y"]].values.tolist()
    [[2.0, 0.5, 0.5]]
    """
    spoken = reviews[reviews["source"].isin([AUDIT, ADJUDICATION])]
    events = review_events(decisions, spoken, as_of=as_of)
    events["chance"] = spoken["inclusion_probability"].to_numpy(dtype=np.float64)
    judges = events[events["standing"].isin([COUNTS, OVERRULED]) & (events["source"] == AUDIT)]
    experts = events[(events["standing"] == COUNTS) & (events["source"] == ADJUDICATION)]
    drawn, draw = np.unique(judges["position"].to_numpy(), return_inverse=True)
    experts = experts.set_index("position").reindex(drawn)
    n_judges, overturned, relabelled = _votes(judges["verdict"], draw, len(drawn))
    share = (overturned + relabelled) / np.maximum(n_judges, 1)
    wrong = np.where(relabelled > overturned, RELABELLED, OVERTURNED)
    verdict = np.where(share == 0.5, np.nan, np.where(share > 0.5, wrong, UPHELD).astype(object))
    adjudicated = experts["verdict"].notna().to_numpy(dtype=bool)
    answer = np.where(adjudicated, experts["verdict"].to_numpy(dtype=object), verdict)
    y = np.where(adjudicated, (answer != UPHELD).astype(np.float64), share)
    enforced = decisions["enforced"].to_numpy(dtype=bool)[drawn]
    names = decisions["decision_id"].iloc[drawn]
    kind = np.where(enforced, WRONGFUL_ACTION, MISSED_VIOLATION)
    kind = np.where(answer == RELABELLED, WRONG_LABEL, kind)
    p_error = np.full(len(drawn), np.nan)
    if model is not None:
        p_error = model.p_error.reindex(names.to_numpy()).to_numpy(dtype=np.float64)
    return pd.DataFrame(
        {
            "decision_id": names.array,
            "inclusion_probability": _one_chance(judges, draw, names),
            "n_judges": n_judges.astype(np.int64),
            "share": share,
            "verdict": pd.array(verdict, dtype="str"),
            "p_error": p_error,
            "adjudicated": adjudicated,
            "adjudication_probability": experts["chance"].to_numpy(dtype=np.float64),
            "y": y,
            "error_kind": pd.array(np.where(y > 0.5, kind.astype(object), np.nan), dtype="str"),
        }
    )


def _votes(verdict: "pd.Series[str]", draw: Ints, n: int) -> tuple[Floats, Floats, Floats]:
    """Count each draw's judges, those who overturn and those who relabel."""
    return (
        sums(draw, np.ones(len(draw)), n),
        sums(draw, (verdict == OVERTURNED).to_numpy(dtype=np.float64), n),
        sums(draw, (verdict == RELABELLED).to_numpy(dtype=np.float64), n),
    )


def _one_chance(judges: pd.DataFrame, draw: Ints, names: "pd.Series[str]") -> Floats:
    """Take each draw's inclusion probability from its reviews, which must agree."""
    of_draw = judges["chance"].groupby(draw)
    lowest, highest = of_draw.min().to_numpy(), of_draw.max().to_numpy()
    torn = np.flatnonzero(highest > lowest * (1 + 1e-9))
    if len(torn):
        first = torn[0]
        raise DataError(
            sentence(
                "inclusion_probability",
                "be one figure for each audited decision",
                f"{lowest[first]:g} and {highest[first]:g} for {names.iloc[first]!r}"
                f" ({len(torn)} such decisions)",
                "Log the chance that the design gave the decision on all of its audit reviews.",
            )
        )
    return lowest


@dataclass(frozen=True)
class FlagRates:
    """How often audit reviewers flag what is wrong and what is right, from golden items.

    Parameters
    ----------
    sensitivity
        P(a reviewer calls a decision an error | it is one); NaN if no golden item tells.
    n_errors
        How many independent golden items that figure is worth.
    false_positive_rate
        P(a reviewer calls a decision an error | it is right); NaN if no golden item tells.
    n_right
        How many independent golden items that figure is worth.
    covered
        Share of the audit (weighted as it is drawn) done at sites with golden items of both sorts.
    """

    sensitivity: float
    n_errors: float
    false_positive_rate: float
    n_right: float
    covered: float


def flag_rates(
    decisions: pd.DataFrame,
    reviews: pd.DataFrame,
    *,
    as_of: datetime | None = None,
    enforced: bool | None = None,
) -> FlagRates:
    """Measure the audit's reviewers on golden items, each site by its share of the audit's work.

    Straight counts, no model: what a correction of audited error rates needs. Wrongful and missed
    errors are not equally easy to see, so measure each side by itself where both are corrected; for
    all decisions together the golden items must hold both in about the population's proportion.

    Parameters
    ----------
    decisions
        Decisions with `decision_id`, `decided_at`, `policy_id`, `enforced`.
    reviews
        Reviews with the contract's columns, in any order.
    as_of
        Only reviews known by then; the latest time in the data if None.
    enforced
        True: enforced decisions only; False: allowed ones only; None: all.

    Returns
    -------
    FlagRates

    Raises
    ------
    DataError
        If `as_of` has no time zone or a `decision_id` stands twice among the decisions.

    Notes
    -----
    An item that several people judged is one draw of difficulty: the effective counts are those of
    the item-clustered variance, and never above Kish's effective sample size of the site weights.

    Examples
    --------
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-03", "2026-01-04"], utc=True)
    >>> decisions = pd.DataFrame({"decision_id": ["d", "e"], "decided_at": day[0],
    ...                           "policy_id": "spam", "enforced": [True, True]})
    >>> reviews = pd.DataFrame({
    ...     "review_id": ["r1", "r2", "r3"], "decision_id": ["d", "e", "d"], "reviewed_at": day[1],
    ...     "source": ["golden", "golden", "audit"], "verdict": ["overturned", "upheld", "upheld"],
    ...     "expected": ["overturned", "upheld", None], "reviewer_id": "ann", "site": "Riga",
    ...     "minutes": 2.0, "inclusion_probability": [None, None, 0.1]})
    >>> flag_rates(decisions, reviews)
    FlagRates(sensitivity=1.0, n_errors=1.0, false_positive_rate=0.0, n_right=1.0, covered=1.0)
    """
    ordered = reviews.sort_values("review_id", ignore_index=True)
    judged = judgements(decisions, ordered, as_of=as_of)
    if enforced is not None:
        judged = judged[judged["enforced"] == enforced]
    site = (
        pd.factorize(judged["site"].to_numpy(dtype=object), sort=True, use_na_sentinel=True)[0] + 1
    )
    chance = judged["inclusion_probability"].fillna(1).to_numpy(dtype=np.float64)
    audit = (judged["source"] == AUDIT).to_numpy() / chance  # what each review stands for
    work = sums(site, audit, int(site.max(initial=0)) + 1)
    golden = (judged["source"] == GOLDEN).to_numpy(dtype=bool)
    truth = judged["true_error"].to_numpy(dtype=np.float64)
    flags = judged["flags"].to_numpy(dtype=np.float64)
    item = judged["position"].to_numpy()
    told, covering = [], np.full(len(work), True)
    for answer in (1.0, 0.0):
        rows = golden & (truth == answer)
        n_golden = sums(site, rows.astype(np.float64), len(work))
        covering &= n_golden > 0
        weight = np.where(n_golden > 0, work if work.any() else n_golden, 0.0)
        told.append(_weighted_rate(flags[rows], site[rows], item[rows], weight, n_golden))
    covered = float(work[covering].sum() / work.sum()) if work.any() else float("nan")
    return FlagRates(*told[0], *told[1], covered)


def _weighted_rate(
    flags: Floats, site: Ints, item: Ints, weight: Floats, n_golden: Floats
) -> tuple[float, float]:
    """Average the sites' rates by weight; count what the figure is worth."""
    if not weight.any():
        return float("nan"), 0.0
    by_vote = (weight / weight.sum() / np.maximum(n_golden, 1))[site]
    rate = float(by_vote @ flags)
    codes, items = pd.factorize(item)
    most = effective_size(by_vote)
    variance = float((sums(codes, by_vote * (flags - rate), len(items)) ** 2).sum())
    # Where all answers are equal, nothing tells more than the items do.
    return rate, min(most, rate * (1 - rate) / variance if variance > 0 else float(len(items)))
