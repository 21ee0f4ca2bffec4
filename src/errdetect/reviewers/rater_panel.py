"""Verdicts as votes for Dawid-Skene: the raters, and the units that measure their errors."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.labels.review_history import COUNTS, OVERRULED
from errdetect.reviewers.dawid_skene import RaterVotes
from errdetect.schemas import APPEAL, AUDIT, GOLDEN, RE_REVIEW, REPORT

__all__ = [
    "RaterPanel",
    "adjudicated_votes",
    "build_rater_panel",
    "case_votes",
    "golden_votes",
    "overlap_votes",
    "second_reviews_follow_first",
]

Ints = npt.NDArray[np.int64]

#: Sources with overlap by design; a second review after a complaint depends on the first.
_DESIGNED = (AUDIT, RE_REVIEW)
_COMPLAINTS = (APPEAL, REPORT)
_SMALLEST_GROUP = 100  # smaller groups use the prevalence of their side and source


@dataclass(frozen=True)
class RaterPanel:
    """The raters, and every verdict's rater.

    Parameters
    ----------
    raters
        One row each: site, side (`enforced` or `allowed` where the sides are measured separately,
        else `both`), reviewer_id (missing: all unnamed reviewers), site_code (row in `sites`).
    sites
        One row each: site, side, place and kind (the codes of these).
    rater
        Row in `raters` of each verdict, shape (m,).
    """

    raters: pd.DataFrame
    sites: pd.DataFrame
    rater: Ints


def build_rater_panel(judged: pd.DataFrame, *, apart: bool = False) -> RaterPanel:
    """Assign numbers to raters and sites by name, unnamed ones first.

    Parameters
    ----------
    judged
        m rows of `content_verdicts`.
    apart
        Whether a reviewer of enforced and of allowed decisions counts as two raters.

    Returns
    -------
    RaterPanel

    Examples
    --------
    >>> judged = pd.DataFrame({"site": ["Riga", "Riga"], "reviewer_id": ["ann", None],
    ...                        "enforced": [True, False]})
    >>> panel = build_rater_panel(judged)
    >>> panel.raters["reviewer_id"].tolist(), panel.rater.tolist()
    ([nan, 'ann'], [1, 0])
    """
    site, site_names = _name_codes(judged["site"])
    reviewer, reviewer_names = _name_codes(judged["reviewer_id"])
    side = judged["enforced"].to_numpy(dtype=np.int64) if apart else np.zeros(len(judged), np.int64)
    key = (site * 2 + side) * len(reviewer_names) + reviewer
    raters, rater = np.unique(key, return_inverse=True)
    place, who = np.divmod(raters, len(reviewer_names))
    places, site_code = np.unique(place, return_inverse=True)
    sides = np.array(["allowed", "enforced"] if apart else ["both", "both"])

    def named(place: Ints) -> dict[str, Any]:
        return {
            "site": pd.array(site_names[place // 2], dtype="str"),
            "side": pd.array(sides[place % 2], dtype="str"),
        }

    names = pd.array(reviewer_names[who], dtype="str")
    return RaterPanel(
        raters=pd.DataFrame({**named(place), "reviewer_id": names, "site_code": site_code}),
        sites=pd.DataFrame({**named(places), "kind": places % 2, "place": places // 2}),
        rater=rater,
    )


def golden_votes(judged: pd.DataFrame, panel: RaterPanel) -> RaterVotes:
    """Collect the votes on golden items, whose truth is known.

    Examples
    --------
    >>> judged = pd.DataFrame({
    ...     "position": [7, 7], "source": ["golden", "audit"], "site": ["Riga", "Riga"],
    ...     "reviewer_id": ["ann", "bob"], "enforced": [True, True], "violates": [True, False],
    ...     "true_violates": [1.0, float("nan")]})
    >>> golden_votes(judged, build_rater_panel(judged)).known
    array([1.])
    """
    rows = (judged["source"] == GOLDEN) & judged["true_violates"].notna()
    kept = rows.to_numpy(dtype=bool)
    unit, group = judged["position"].to_numpy(), np.zeros(len(judged), dtype=np.int64)
    return _build_votes(judged, panel, kept, unit=unit, group=group)


def overlap_votes(judged: pd.DataFrame, panel: RaterPanel) -> RaterVotes:
    """Collect the votes on decisions that several people reviewed in one audit or re-review.

    Reviews that a complaint triggered are not a random sample. Where an expert adjudicated with a
    logged inclusion probability, the truth is known.

    Examples
    --------
    >>> judged = pd.DataFrame({
    ...     "position": [0, 0, 1], "source": "audit", "site": "Riga", "standing": "counts",
    ...     "reviewer_id": ["ann", "bob", "ann"], "enforced": True, "policy_id": "spam",
    ...     "violates": [True, False, True], "true_violates": float("nan"), "designed": False})
    >>> overlap_votes(judged, build_rater_panel(judged)).says
    array([1., 0.])
    """
    return _audit_votes(judged, panel, several=True)


def adjudicated_votes(judged: pd.DataFrame, panel: RaterPanel) -> RaterVotes:
    """Collect the votes on decisions with one reviewer, sampled for adjudication by design.

    Decisions that experts did not review stay in with unknown truth: often only flags are sent to
    the experts, and flags alone would overstate everyone's tendency to flag.

    Examples
    --------
    >>> judged = pd.DataFrame({
    ...     "position": [0, 1], "source": "audit", "site": "Riga", "standing": "counts",
    ...     "reviewer_id": ["ann", "bob"], "enforced": True, "policy_id": "spam",
    ...     "violates": [True, False], "true_violates": [float("nan"), 1.0],
    ...     "designed": [False, True]})
    >>> adjudicated_votes(judged, build_rater_panel(judged)).known
    array([nan,  1.])
    """
    return _audit_votes(judged, panel, several=False)


def _audit_votes(judged: pd.DataFrame, panel: RaterPanel, *, several: bool) -> RaterVotes:
    source, names = _name_codes(judged["source"])
    unit = judged["position"].to_numpy() * len(names) + source
    designed = judged["source"].isin(_DESIGNED).to_numpy(dtype=bool)
    together = np.zeros(len(judged), dtype=bool)
    together[designed] = pd.Series(unit[designed]).duplicated(keep=False).to_numpy()
    fair = judged.assign(true_violates=judged["true_violates"].where(judged["designed"]))
    kept = together if several else designed & ~together
    if not several and fair.loc[kept, "true_violates"].isna().all():
        kept = np.zeros(len(judged), dtype=bool)  # one vote and no expert: uninformative
    place, sites = _name_codes(judged["site"])  # sites review different content
    group = _prevalence_groups(judged, source * len(sites) + place, kept, unit)
    return _build_votes(fair, panel, kept, unit=unit, group=group)


def case_votes(judged: pd.DataFrame, panel: RaterPanel) -> RaterVotes:
    """Collect all votes, one unit per decision, for P(violates) of each reviewed decision.

    Adjudicated decisions stay in with their known truth: often only flags are sent to the experts,
    and the rest alone would understate errors.

    Examples
    --------
    >>> judged = pd.DataFrame({
    ...     "position": [4, 4], "source": ["audit", "appeal"], "site": "Riga",
    ...     "reviewer_id": ["ann", "bob"], "enforced": True, "policy_id": "spam",
    ...     "standing": "counts", "violates": [True, False], "true_violates": float("nan")})
    >>> case_votes(judged, build_rater_panel(judged)).unit
    array([0, 0])
    """
    kept = judged["standing"].isin([COUNTS, OVERRULED]).to_numpy(dtype=bool)
    unit = judged["position"].to_numpy()
    rank = np.select([judged["source"].isin(_COMPLAINTS), judged["source"] == RE_REVIEW], [2, 1], 0)
    channel = np.zeros(unit.max(initial=0) + 1, dtype=np.int64)  # the most selective source
    np.maximum.at(channel, unit[kept], rank[kept])
    group = _prevalence_groups(judged, channel[unit], kept, unit)
    return _build_votes(judged, panel, kept, unit=unit, group=group)


def second_reviews_follow_first(judged: pd.DataFrame) -> bool:
    """Return whether second reviews depend on the verdict of the first.

    If two reviewers are drawn independently, either may be the one to flag when they disagree. If
    it is nearly always the first, flags were sent for a second review, and such overlap would
    overstate false positives (McNemar's test, four standard errors and four to one).

    Examples
    --------
    >>> times = pd.to_datetime(["2026-01-01", "2026-01-02"] * 40, utc=True)
    >>> judged = pd.DataFrame({
    ...     "position": [i // 2 for i in range(80)], "source": "audit", "standing": "counts",
    ...     "known_at": times, "flags": [True, False] * 40})
    >>> second_reviews_follow_first(judged)
    True
    """
    rows = judged["source"].isin(_DESIGNED).to_numpy(dtype=bool)
    unit = judged["position"].to_numpy()[rows] * 2 + (judged["source"] == AUDIT).to_numpy()[rows]
    order = np.lexsort((judged["known_at"].to_numpy()[rows], unit))
    unit, flags = unit[order], judged["flags"].to_numpy(dtype=bool)[rows][order]
    fresh = np.append(True, unit[1:] != unit[:-1])  # the first review of each decision
    first = np.flatnonzero(fresh[:-1] & ~fresh[1:])
    by_first = int((flags[first] & ~flags[first + 1]).sum())
    by_second = int((~flags[first] & flags[first + 1]).sum())
    more, fewer = max(by_first, by_second), min(by_first, by_second)
    return more > 4 * fewer and more - fewer > 4 * (more + fewer) ** 0.5


def _prevalence_groups(
    judged: pd.DataFrame, channel: Ints, kept: npt.NDArray[np.bool_], unit: Ints
) -> Ints:
    """Return groups that share a prevalence: side, channel, and policy if large enough."""
    policy, names = _name_codes(judged["policy_id"])
    side = judged["enforced"].to_numpy(dtype=np.int64)
    coarse = channel * 2 + side
    fine = coarse * len(names) + policy
    one_each = np.unique(np.column_stack([unit, fine])[kept], axis=0)[:, 1]
    groups, sizes = np.unique(one_each, return_counts=True)
    large = np.isin(fine, groups[sizes >= _SMALLEST_GROUP])
    group: Ints = np.where(large, fine + coarse.max(initial=0) + 1, coarse)
    return group


def _build_votes(
    judged: pd.DataFrame, panel: RaterPanel, kept: npt.NDArray[np.bool_], *, unit: Ints, group: Ints
) -> RaterVotes:
    codes = pd.factorize(unit[kept])[0]
    first = np.flatnonzero(~pd.Series(unit[kept]).duplicated().to_numpy())
    return RaterVotes(
        unit=codes.astype(np.int64),
        rater=panel.rater[kept],
        says=judged["violates"].to_numpy(dtype=np.float64)[kept],
        known=judged["true_violates"].to_numpy(dtype=np.float64)[kept][first],
        group=np.unique(group[kept][first], return_inverse=True)[1],
        site=panel.raters["site_code"].to_numpy(),
        kind=panel.sites["kind"].to_numpy(),
    )


def _name_codes(column: "pd.Series[Any]") -> tuple[Ints, npt.NDArray[np.object_]]:
    """Return codes of a column's values by name; 0 is missing, and its name is NaN."""
    codes, names = pd.factorize(column.to_numpy(dtype=object), sort=True)
    return codes.astype(np.int64) + 1, np.append(np.array([np.nan], dtype=object), names)
