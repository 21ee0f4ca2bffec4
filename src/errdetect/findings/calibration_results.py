"""What a calibration session showed: agreement before and after, and which items the clause leaves open."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri, stdtrit

from errdetect.findings.calibration_items import (
    ClauseVotes,
    ambiguity,
    reviewer_rates,
)
from errdetect.reviewers.agreement import nominal_alpha
from errdetect.schemas import OVERTURNED, RELABELLED, VERDICTS
from errdetect.snapshot import Snapshot
from errdetect.stats.intervals import rate_difference, wilson

__all__ = [
    "AFTER",
    "AGREEMENT_COLUMNS",
    "BALLOTS",
    "REVIEWS_BEFORE",
    "compare_agreement",
    "read_items",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: The stages of a session: the reviews it starts from, the first blind ballots, those after the ruling.
REVIEWS_BEFORE, BALLOTS, AFTER = "reviews", "ballots", "after"
#: Columns of the table of agreement, in order.
AGREEMENT_COLUMNS: Final = (
    "stage", "measure", "value", "low", "high", "n_items", "n_answers", "note",
)  # fmt: skip

_CHOSEN = (
    "The items were chosen because these reviews disagree, so agreement rises by itself when they are "
    "answered again: compare two rounds of ballots instead."
)
_FEW = 5
_CLAUSE, _REVIEWER = 0.5, 0.1


@dataclass(frozen=True)
class _Estimate:
    """A figure with its 95 % interval."""

    estimate: float
    low: float
    high: float


def compare_agreement(stages: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Measure agreement in each stage of a session, and how it changed.

    Parameters
    ----------
    stages
        `REVIEWS_BEFORE`, `BALLOTS`, `AFTER` -> answers: decision_id, reviewer_id, verdict; in this
        order, the missing ones left out.

    Returns
    -------
    pandas.DataFrame
        `AGREEMENT_COLUMNS`: for each stage the measure `agreement` (P(two readers of one item give
        the same verdict)) and `alpha` (Krippendorff's), then for the last two stages their change, on the
        items of both, as stage `change`. Figures are missing with fewer than five items that several
        people answered; note says what else to know.

    Notes
    -----
    Agreement is a mean over items. Its interval is Wilson's at the number of items that its variance
    is worth, but no less than items and no more than answers beyond each item's first (Korn and
    Graubard 1998, Survey Methodology 24, 193-201).
    Alpha's is the jackknife's over items with Student's t (Efron and Tibshirani 1993, An
    Introduction to the Bootstrap, chapter 11), and so are changes, paired by item.

    Examples
    --------
    >>> ids = [f"d{i}" for i in range(10)] * 2
    >>> before = pd.DataFrame({"decision_id": ids, "reviewer_id": ["a"] * 10 + ["b"] * 10,
    ...     "verdict": ["upheld"] * 10 + ["upheld", "overturned"] * 5})
    >>> after = before.assign(verdict="upheld")
    >>> table = compare_agreement({BALLOTS: before, AFTER: after})
    >>> table.loc[table["measure"] == "agreement", ["stage", "value"]].values.tolist()
    [['ballots', 0.5], ['after', 1.0], ['change', 0.5]]
    """
    counts = {name: _verdict_counts(answers) for name, answers in stages.items()}
    rows = [row for name, found in counts.items() for row in _stage_rows(name, found)]
    if len(counts) > 1:
        (before, one), (_, other) = list(counts.items())[-2:]
        rows += _change_rows(one, other, _CHOSEN if before == REVIEWS_BEFORE else "")
    return pd.DataFrame(rows, columns=list(AGREEMENT_COLUMNS)).astype({"note": "str"})


def _verdict_counts(answers: pd.DataFrame) -> pd.DataFrame:
    """Count each item's verdicts; items that one person answered say nothing on agreement."""
    table = pd.crosstab(answers["decision_id"], answers["verdict"])
    counts = table.reindex(columns=list(VERDICTS), fill_value=0)
    return counts[(counts.sum(axis=1) > 1).to_numpy()]


def _stage_rows(stage: str, table: pd.DataFrame) -> list[dict[str, Any]]:
    counts = table.to_numpy(np.int64)
    note = _CHOSEN if stage == REVIEWS_BEFORE else ""
    found = {"agreement": _share(counts), "alpha": _alpha(counts)}
    return [_row(stage, name, one, counts, note) for name, one in found.items()]


def _row(
    stage: str, measure: str, found: _Estimate | None, counts: Ints, note: str
) -> dict[str, Any]:
    few = f"Fewer than {_FEW} items were answered by several people."
    if found is None and len(counts) >= _FEW:
        few = "All verdicts are the same, so agreement beyond chance is undefined."
    nan = _Estimate(np.nan, np.nan, np.nan)
    one = found or nan
    return {
        "stage": stage, "measure": measure, "value": one.estimate, "low": one.low, "high": one.high,
        "n_items": len(counts), "n_answers": int(counts.sum()), "note": few if found is None else note,
    }  # fmt: skip


def _pair_agreement(counts: Ints) -> Floats:
    """Return the share of each item's pairs of answers that are the same."""
    n = counts.sum(axis=1)
    return np.asarray((counts * (counts - 1)).sum(axis=1) / (n * (n - 1)), np.float64)


def _share(counts: Ints) -> _Estimate | None:
    """Return the mean share of agreeing pairs, with Wilson's interval at what its variance is worth."""
    values, n = _pair_agreement(counts), len(counts)
    if n < _FEW:
        return None
    mean, variance = float(values.mean()), float(values.var(ddof=1)) / n
    few = (float(ndtri(0.975)) / float(stdtrit(n - 1, 0.975))) ** 2  # as Student's t for the normal
    worth = max(n, few * mean * (1 - mean) / variance) if variance > 0 else n
    worth = min(worth, int(counts.sum()) - n)  # answers beyond each item's first
    interval = wilson(np.array([mean]), np.array([float(worth)]))
    return _Estimate(mean, float(interval.low[0]), float(interval.high[0]))


def _alpha(counts: Ints) -> _Estimate | None:
    if len(counts) < _FEW:
        return None
    figure = nominal_alpha(counts)
    parts = np.array([nominal_alpha(np.delete(counts, at, axis=0)) for at in range(len(counts))])
    return None if np.isnan(figure) else _jackknife(figure, parts, (-1.0, 1.0))


def _jackknife(figure: float, parts: Floats, ends: tuple[float, float]) -> _Estimate:
    """Return Student's interval from the figures without each item; no interval without any spread."""
    n = len(parts)
    spread = float(np.sqrt((n - 1) / n * ((parts - parts.mean()) ** 2).sum()))
    if not spread > 0:
        return _Estimate(figure, np.nan, np.nan)
    half = float(stdtrit(n - 1, 0.975)) * spread
    return _Estimate(figure, max(figure - half, ends[0]), min(figure + half, ends[1]))


def _change_rows(one: pd.DataFrame, other: pd.DataFrame, note: str) -> list[dict[str, Any]]:
    """Compare two stages on the items of both."""
    both = one.index.intersection(other.index)
    before, after = one.loc[both].to_numpy(np.int64), other.loc[both].to_numpy(np.int64)
    shares = _share_change(before, after)
    alphas = _alpha_change(before, after)
    rows = [
        _row("change", name, found, before, note)
        for name, found in (("agreement", shares), ("alpha", alphas))
    ]
    return [row | {"n_answers": int(before.sum() + after.sum())} for row in rows]


def _share_change(before: Ints, after: Ints) -> _Estimate | None:
    one, other = _share(before), _share(after)
    if one is None or other is None:
        return None
    change = _pair_agreement(after) - _pair_agreement(before)
    if change.std() > 0:
        n, mean = len(change), float(change.mean())
        parts = (mean * n - change) / (n - 1)
        return _jackknife(mean, parts, (-1.0, 1.0))
    return _Estimate(*rate_difference(other, one))  # no spread between items: independent rates


def _alpha_change(before: Ints, after: Ints) -> _Estimate | None:
    if len(before) < _FEW:
        return None
    figure = nominal_alpha(after) - nominal_alpha(before)
    if np.isnan(figure):
        return None
    parts = [
        nominal_alpha(np.delete(after, at, axis=0)) - nominal_alpha(np.delete(before, at, axis=0))
        for at in range(len(before))
    ]
    return _jackknife(figure, np.array(parts), (-2.0, 2.0))


def read_items(items: pd.DataFrame, ballots: pd.DataFrame, snapshot: Snapshot) -> pd.DataFrame:
    """Weigh by each item's ballots whether the clause is ambiguous there or a reviewer erred before.

    Parameters
    ----------
    items
        From `select_calibration_items`, with policy_id, the session's.
    ballots
        The first ballots: decision_id, reviewer_id, verdict, correct_policy_id.
    snapshot
        For the reviewers' error rates; unknown people count as typical ones.

    Returns
    -------
    pandas.DataFrame
        The items with n_ballots, n_ballots_apply, p_ambiguous_after and reading: `the clause leaves
        it open` (P(ambiguous) of at least a half), `the clause is clear` (at most a tenth: who
        answered differently erred), `open`, or `no ballots`.

    Examples
    --------
    >>> day = pd.to_datetime(["2026-01-01"], utc=True)
    >>> decisions = pd.DataFrame({"decision_id": ["a"], "decided_at": day, "policy_id": "spam",
    ...                           "enforced": True})
    >>> items = pd.DataFrame({"decision_id": ["a"], "policy_id": "spam", "cited_policy_id": "spam",
    ...                       "side": "enforced", "p_ambiguous": 0.3})
    >>> ballots = pd.DataFrame({"decision_id": "a", "reviewer_id": list("wxyz"),
    ...     "verdict": ["upheld", "overturned"] * 2, "correct_policy_id": None})
    >>> read_items(items, ballots, Snapshot(decisions))["reading"].tolist()
    ['the clause leaves it open']
    """
    place = {name: at for at, name in enumerate(items["decision_id"])}
    own = ballots[ballots["decision_id"].isin(list(place))]
    at = own["decision_id"].map(place).to_numpy(np.int64)
    rows = items.iloc[at]
    policy = rows["policy_id"].to_numpy(object)
    verdict = own["verdict"].to_numpy(object)
    cited = rows["cited_policy_id"].to_numpy(object) == policy
    violates = (rows["side"] == "enforced").to_numpy(bool) ^ (verdict == OVERTURNED)
    relabels = verdict == RELABELLED
    to_this = relabels & (own["correct_policy_id"].to_numpy(object) == policy)
    applies = np.where(cited, violates & ~relabels, to_this).astype(bool)
    missed, wrongful = reviewer_rates(snapshot.reviewer_model, own)
    votes = ClauseVotes(at, applies, missed, wrongful, np.full(len(own), None, dtype=object))
    prior = items["p_ambiguous"].to_numpy(np.float64)
    found = ambiguity(votes, prior[np.unique(at)]).set_index("position")
    found = found.reindex(np.arange(len(items)))
    p = found["p_ambiguous"].to_numpy(np.float64)
    reading = np.select(
        [np.isnan(p), p >= _CLAUSE, p <= _REVIEWER],
        ["no ballots", "the clause leaves it open", "the clause is clear"],
        "open",
    )
    counts = {"n_ballots": "n_reviews", "n_ballots_apply": "n_applies"}
    return items.assign(
        **{new: found[old].fillna(0).astype("int64").to_numpy() for new, old in counts.items()},
        p_ambiguous_after=p,
        reading=pd.array(reading, dtype="str"),
    )
