"""Decisions in force that resemble overturned ones, with the share expected to be wrong."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.config_schema import LookAlikesSettings
from errdetect.features.similar_content import near_duplicate_groups
from errdetect.labels.review_history import COUNTS, MEASURES_REVIEWER, OVERRULED, REVISED
from errdetect.remediation.confirmed_errors import (
    LOOK_ALIKE,
    PRECISION,
    REVIEW,
    confirmed_errors,
    plan_table,
    superseding_decision,
)
from errdetect.schemas import ADJUDICATION, AUDIT, CORRECT, UNKNOWN, WRONG_LABEL, hash_columns
from errdetect.snapshot import Snapshot
from errdetect.stats.effective_size import effective_size
from errdetect.stats.group_sums import sum_by_group
from errdetect.stats.intervals import wilson

__all__ = ["ACCOUNT", "CONTENT", "SimilarityGroups", "group_similar", "look_alikes"]


Ints = npt.NDArray[np.int64]

CONTENT, ACCOUNT = "content", "account"
_MODERATOR = ("moderator", "moderator_version")


class SimilarityGroups:
    """One kind of similarity, and the reviews of each group's decisions.

    Parameters
    ----------
    group
        Shape (n,): decisions that share a number are similar; -1 is similar to none.
    overturned, stood
        Shape (n,), bool: reviews overturned the action, or upheld it.

    Examples
    --------
    >>> overturned, stood = np.array([True, False, False]), np.array([False, True, False])
    >>> alike = SimilarityGroups(np.array([0, 0, 0]), overturned, stood)
    >>> [counts.tolist() for counts in alike.others()]
    [[0, 1, 1], [1, 0, 1]]
    """

    def __init__(
        self, group: Ints, overturned: npt.NDArray[np.bool_], stood: npt.NDArray[np.bool_]
    ) -> None:
        self.group = group
        self._seen = (overturned.astype(np.int64), stood.astype(np.int64))

    def others(self) -> tuple[Ints, Ints]:
        """Count each decision's similar ones, without itself, that were overturned and upheld."""
        known = self.group >= 0
        code = np.where(known, self.group, 0)
        counts = []
        for seen in self._seen:
            total = np.zeros(int(code.max(initial=0)) + 1, dtype=np.int64)
            np.add.at(total, code[known], seen[known])
            counts.append(np.where(known, total[code] - seen, 0))
        return counts[0], counts[1]


def group_similar(
    decisions: pd.DataFrame, overturned: npt.NDArray[np.bool_], stood: npt.NDArray[np.bool_]
) -> Mapping[str, list[SimilarityGroups]]:
    """Group similar decisions, within one policy and one side (enforced or allowed).

    Similar by content are decisions on the same item, on equal or nearly equal texts, or with the
    same image hash (columns whose name ends in `hash`). Similar by account are decisions on the
    same account by the same version of the same moderator.

    Parameters
    ----------
    decisions
        n decisions with `policy_id` and `enforced`, and those of `text`, `item_id`, hash columns,
        `account_id`, `moderator` and `moderator_version` that there are.
    overturned, stood
        Shape (n,): reviews overturned or upheld each decision's action; both False where unknown.

    Returns
    -------
    Mapping
        `content` and `account` to their kinds of similarity.

    Examples
    --------
    >>> decisions = pd.DataFrame({
    ...     "policy_id": "spam", "enforced": True, "account_id": ["a", "a", "b"],
    ...     "text": ["Buy gold rings now!", "other words here", "buy gold rings NOW"]})
    >>> found = group_similar(decisions, np.array([True, False, False]), np.zeros(3, bool))
    >>> [alike.others()[0].tolist() for alike in (found["content"][0], found["account"][0])]
    [[0, 0, 1], [0, 1, 0]]
    """
    side: Ints = decisions.groupby(["policy_id", "enforced"]).ngroup().to_numpy().astype(np.int64)
    # Without overturned decisions there are no look-alikes: their texts need no comparison.
    live = np.isin(side, np.unique(side[overturned]))
    keys: dict[str, list[list[Ints]]] = {CONTENT: [], ACCOUNT: []}
    if "text" in decisions:
        group = np.full(len(decisions), -1, dtype=np.int64)
        group[live] = near_duplicate_groups(decisions["text"].iloc[np.flatnonzero(live)])
        keys[CONTENT].append([group])
    hashes = sorted(hash_columns(decisions))
    keys[CONTENT] += [[_value_codes(decisions[n])] for n in ["item_id", *hashes] if n in decisions]
    if "account_id" in decisions:
        names = ["account_id", *(name for name in _MODERATOR if name in decisions)]
        keys[ACCOUNT].append([_value_codes(decisions[name]) for name in names])
    return {
        kind: [
            SimilarityGroups(_combine_codes([*codes, side], live), overturned, stood)
            for codes in ways
        ]
        for kind, ways in keys.items()
    }


def _value_codes(values: pd.Series) -> Ints:
    codes: Ints = pd.factorize(values)[0].astype(np.int64)
    return codes


def _combine_codes(codes: list[Ints], live: npt.NDArray[np.bool_]) -> Ints:
    """Give each combination a number; -1 where any part is missing."""
    known = live & np.all([code >= 0 for code in codes], axis=0)
    whole = np.zeros(len(known), dtype=np.int64)
    for code in codes:
        whole = pd.factorize(whole * (int(code.max(initial=0)) + 2) + code + 1)[0].astype(np.int64)
    return np.where(known, whole, -1)


Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

_BOTH = "content and account"
_TRACED = 5  # overturned decisions that a look-alike is traced to, the nearest first


@dataclass(frozen=True)
class _ReviewEvidence:
    """The reviews of n decisions.

    Parameters
    ----------
    candidate
        It was not reviewed, and is still in force.
    drawn
        An audit drew it; without the audit it would be a candidate.
    odds
        For drawn ones: the undrawn decisions it represents, (1 - p) / p with p its inclusion
        probability; else 0.
    overturned, stood
        Reviews overturned the action and that is settled, or upheld it.
    wrong
        P(the action is wrong) given the reviews; NaN where unknown.
    """

    candidate: Bools
    drawn: Bools
    odds: Floats
    overturned: Bools
    stood: Bools
    wrong: Floats


def look_alikes(
    snapshot: Snapshot, rule: LookAlikesSettings, *, min_p_error: float = 0.5
) -> pd.DataFrame:
    """Find decisions in force that resemble overturned ones. Each needs a review.

    A decision resembles others by its content or by its account (see `group_similar`), under the same
    policy and with the same action side. More of the similar ones must have been overturned than
    upheld. The share that is wrong is estimated from the audit: from each audited decision that
    resembles overturned ones other than itself, and its audit verdict. It represents those that the
    audit did not draw.

    Parameters
    ----------
    snapshot
        Decisions with `policy_id`, and their reviews.
    rule
        `min_reviews`: audited decisions of one kind below which the expected precision is unknown;
        `min_precision`: kinds of look-alikes that are known to be wrong less often are left out.
    min_p_error
        See `confirmed_errors`; only settled errors are resembled.

    Returns
    -------
    pandas.DataFrame
        Rows of a plan, as `plan_table`, all with status `review`, with `expected_precision` and its
        95 % limits, which are missing where unknown.

    Notes
    -----
    The share is Hajek's weighted mean; its limits are Wilson's at the effective number of
    independent groups (Kish, 1965), since decisions similar to the same ones are correlated.

    Examples
    --------
    >>> rule = LookAlikesSettings(min_precision=0)
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-03"], utc=True)
    >>> decisions = pd.DataFrame({
    ...     "decision_id": ["d1", "d2", "d3"], "decided_at": day[0], "policy_id": "spam",
    ...     "account_id": ["a", "a", "b"], "enforced": True})
    >>> reviews = pd.DataFrame({
    ...     "review_id": ["r1"], "decision_id": ["d1"], "reviewed_at": day[1:], "source": "audit",
    ...     "verdict": "overturned", "reviewer_id": "ann", "inclusion_probability": 0.2})
    >>> found = look_alikes(Snapshot(decisions, reviews), rule)
    >>> found[["decision_id", "status", "review_ids", "expected_precision"]].values.tolist()
    [['d2', 'review', ['r1'], nan]]
    """
    decisions = snapshot.decisions
    errors = confirmed_errors(snapshot, min_p_error=min_p_error)
    seeds = errors[errors["settled"] & (errors["error_kind"] != WRONG_LABEL)]
    pool = _review_evidence(snapshot, seeds["position"].to_numpy(int))
    alike = group_similar(decisions, pool.overturned, pool.stood)
    sort, n_over, n_stood = _similarity_kinds(alike, len(decisions))
    enforced = decisions["enforced"].to_numpy(bool)
    strata = pd.Series(sort, dtype=object) + np.where(enforced, " enforced", " allowed")
    cluster = _cluster_codes(alike, sort)
    precision = {
        one: _expected_precision(
            pool, cluster, np.flatnonzero((strata == one).to_numpy() & pool.drawn)
        )
        for one in sorted(strata.dropna().unique())
    }
    rows = np.flatnonzero(pool.candidate & strata.notna().to_numpy())
    estimates = [precision[one] for one in strata.iloc[rows]]
    rows, estimates = _drop_imprecise(rows, estimates, rule.min_reviews, rule.min_precision)
    return plan_table(
        pd.DataFrame(
            {
                "kind": pd.Series([LOOK_ALIKE] * len(rows), dtype="str"),
                "status": REVIEW,
                "decision_id": decisions["decision_id"].to_numpy(object)[rows],
                "account_id": _optional_column(decisions, "account_id")[rows],
                "policy_id": decisions["policy_id"].to_numpy(object)[rows],
                "reason": ["It resembles decisions that reviews overturned: review it."]
                * len(rows),
                "evidence": [
                    _evidence_text(sort[row], n_over[row], n_stood[row], one, rule.min_reviews)
                    for row, one in zip(rows, estimates, strict=True)
                ],
                "review_ids": _source_reviews(alike, seeds, rows),
                **{
                    name: [one[i] if one[3] >= rule.min_reviews else np.nan for one in estimates]
                    for i, name in enumerate(PRECISION)
                },
            }
        )
    )


def _optional_column(decisions: pd.DataFrame, name: str) -> npt.NDArray[np.object_]:
    given = decisions[name] if name in decisions else pd.Series(None, index=decisions.index)
    return given.to_numpy(object)


def _review_evidence(snapshot: Snapshot, seeds: Ints) -> _ReviewEvidence:
    n, labels = len(snapshot.decisions), snapshot.labels
    history = snapshot.review_history
    known = history[history["standing"].isin([COUNTS, OVERRULED, REVISED, MEASURES_REVIEWER])]
    by_design = known["source"].isin([AUDIT, ADJUDICATION]).to_numpy(bool)
    at = known["position"].to_numpy()
    stands = superseding_decision(snapshot.decisions).isna().to_numpy(bool)
    untouched = stands & (np.bincount(at[~by_design], minlength=n) == 0)
    chance = snapshot.inclusion_probability
    labelled = (labels["label"] != UNKNOWN).to_numpy(bool)
    drawn = untouched & labelled & ~np.isnan(chance)
    overturned = np.zeros(n, dtype=bool)
    overturned[seeds] = True
    relabelled = (labels["error_kind"] == WRONG_LABEL).to_numpy(bool)
    wrong = np.where(relabelled, 0.0, labels["p_label"].to_numpy(np.float64))
    return _ReviewEvidence(
        candidate=untouched & (np.bincount(at, minlength=n) == 0),
        drawn=drawn,
        odds=np.where(drawn, (1 - chance) / np.where(drawn, chance, 1), 0.0),
        overturned=overturned,
        stood=relabelled | (labels["label"] == CORRECT).to_numpy(bool),
        wrong=np.where(labelled, wrong, np.nan),
    )


def _similarity_kinds(
    alike: Mapping[str, list[SimilarityGroups]], n: int
) -> tuple[npt.NDArray[np.object_], Ints, Ints]:
    """Return how each decision resembles overturned ones (None: not), and count overturned and upheld."""
    over, stood = {}, {}
    for kind, ways in alike.items():
        counts = [way.others() for way in ways]
        over[kind] = np.sum([c[0] for c in counts], axis=0) if counts else np.zeros(n, np.int64)
        stood[kind] = np.sum([c[1] for c in counts], axis=0) if counts else np.zeros(n, np.int64)
    content, account = (over[k] > stood[k] for k in (CONTENT, ACCOUNT))
    denied = stood[CONTENT] > over[CONTENT]  # verdicts on the same content weigh more
    words = [_BOTH, CONTENT, ACCOUNT]
    sort = np.select([content & account, content, account & ~denied], words, "").astype(object)
    sort[sort == ""] = None
    by_content = np.isin(sort, [_BOTH, CONTENT])
    return (
        sort,
        np.where(by_content, over[CONTENT], over[ACCOUNT]),
        np.where(by_content, stood[CONTENT], stood[ACCOUNT]),
    )


def _cluster_codes(
    alike: Mapping[str, list[SimilarityGroups]], sort: npt.NDArray[np.object_]
) -> Ints:
    """Give correlated decisions one number: those of one account, or else of one content."""
    cluster, start = np.full(len(sort), -1, dtype=np.int64), 0
    for kind in (ACCOUNT, CONTENT):
        for way in alike[kind]:
            fits = (cluster < 0) & (way.others()[0] > 0) & ((kind == CONTENT) | (sort != CONTENT))
            cluster = np.where(fits, way.group + start, cluster)
            start += int(way.group.max(initial=0)) + 1
    return cluster


def _expected_precision(
    pool: _ReviewEvidence, cluster: Ints, rows: Ints
) -> tuple[float, float, float, int]:
    """Estimate the share that is wrong with its limits, and count the audited decisions used."""
    weight, wrong = pool.odds[rows], pool.wrong[rows]
    if not weight.sum() > 0:
        return float("nan"), float("nan"), float("nan"), 0
    rate = float(np.clip(weight @ wrong / weight.sum(), 0, 1))
    codes, groups = pd.factorize(cluster[rows])
    seen = np.array([effective_size(sum_by_group(codes, weight, len(groups)))])
    limits = wilson(np.array([rate]), seen)
    return rate, float(limits.low[0]), float(limits.high[0]), int((weight > 0).sum())


def _drop_imprecise(
    rows: Ints, estimates: list[tuple[float, float, float, int]], min_reviews: int, least: float
) -> tuple[Ints, list[tuple[float, float, float, int]]]:
    """Leave out kinds that are known to be seldom wrong; unknown ones stay."""
    kept = [not (one[3] >= min_reviews and one[0] < least) for one in estimates]
    return rows[np.array(kept, dtype=bool)], [
        one for one, keep in zip(estimates, kept, strict=True) if keep
    ]


_WORDS = {
    _BOTH: "The same content, account and moderator version",
    CONTENT: "The same or nearly the same content",
    ACCOUNT: "The same account and moderator version",
}


def _evidence_text(
    sort: str, n_over: int, n_stood: int, estimates: tuple[float, float, float, int], least: int
) -> str:
    """Return what a decision resembles, and the share of its kind that is wrong."""
    basis = f"{_WORDS[sort]}: {n_over} overturned, {n_stood} upheld."
    rate, low, high, n = estimates
    if n < least:
        return f"{basis} The share of such decisions that is wrong is unknown: {n} were audited, {least} are needed."
    return (
        f"{basis} Of the unreviewed decisions like it, {rate:.0%} are expected to be wrong "
        f"(95 % interval {low:.0%} to {high:.0%}; from {n} audited decisions)."
    )


def _source_reviews(
    alike: Mapping[str, list[SimilarityGroups]], seeds: pd.DataFrame, rows: Ints
) -> list[list[str]]:
    """List the reviews of the overturned decisions that each row resembles, content first."""
    found: list[list[int]] = [[] for _ in rows]
    newest = seeds.reset_index(drop=True).sort_values(
        ["last_at", "decision_id"], ascending=[False, True], kind="stable"
    )
    for way in (*alike[CONTENT], *alike[ACCOUNT]):
        group = way.group[newest["position"].to_numpy(int)]
        members: dict[int, list[int]] = {}
        for place, code in zip(newest.index.tolist(), group.tolist(), strict=True):
            if code >= 0 and len(members.setdefault(code, [])) < _TRACED:
                members[code].append(place)
        for trace, code in zip(found, way.group[rows].tolist(), strict=True):
            trace += [place for place in members.get(code, ()) if place not in trace]
    ids = seeds["review_ids"].tolist()
    return [[one for place in trace[:_TRACED] for one in ids[place]] for trace in found]
