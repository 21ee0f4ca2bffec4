"""Which evidence identifies reviewers' error rates: golden items, overlap, both or neither."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd

from errdetect.reviewers.dawid_skene import RaterVotes, fit_rates, rate_variance
from errdetect.reviewers.golden_anchoring import GoldenAnchor, fit_golden_anchor
from errdetect.reviewers.opinions import class_model_lead
from errdetect.reviewers.rater_panel import (
    RaterPanel,
    adjudicated_votes,
    golden_votes,
    overlap_votes,
    second_reviews_follow_first,
)
from errdetect.schemas import GOLDEN
from errdetect.stats.intervals import critical_value

__all__ = [
    "DAWID_SKENE",
    "GOLDEN_AND_EXPERTS",
    "GOLDEN_ONLY",
    "VOTES",
    "VoteSelection",
    "select_votes",
    "sides_differ",
]

DAWID_SKENE: Final = "dawid_skene"
GOLDEN_ONLY: Final = "golden only"
GOLDEN_AND_EXPERTS: Final = "golden and adjudication"
VOTES: Final = "votes"

_MIN_GOLDEN = 30  # golden reviews of each class, over all sites
_MIN_OVERLAP = 100  # decisions reviewed by two or more people, over all sites
_FLATTERED = 1.645  # standard errors that warrant a note (5 % on either side)
_PROVEN = 1.0  # standard errors by which error rates must predict votes better to make labels
_MIN_YOUDEN = 0.5  # sensitivity minus false positive rate below which overlap is uninformative
_MAX_HALF_WIDTH = 0.1  # of the overall rates' intervals; wider ones are inconclusive


@dataclass(frozen=True)
class VoteSelection:
    """The votes from which reviewers' error rates can be estimated.

    Parameters
    ----------
    basis
        `dawid_skene` (overlap, with whatever else there is), `golden and adjudication`,
        `golden only` or `votes`.
    votes
        The votes to fit; None where the rates are not identified.
    anchor
        Anchors the level of the rates to known truth; None without overlap.
    golden, overlap
        All golden and all overlapping votes, used or not.
    notes
        The reasons, as sentences for users.
    by_share
        Whether a decision's P(error) is the share of votes: the rates are not identified, or they
        rest on overlap alone and do not predict votes better than shares do.
    """

    basis: str
    votes: RaterVotes | None
    anchor: GoldenAnchor | None
    golden: RaterVotes
    overlap: RaterVotes
    notes: tuple[str, ...]
    by_share: bool


def select_votes(judged: pd.DataFrame, panel: RaterPanel, *, apart: bool = False) -> VoteSelection:
    """Select the votes that identify reviewers' error rates, and give the reasons.

    Parameters
    ----------
    judged
        m rows of `content_verdicts`.
    panel
        Their raters, from `build_rater_panel`.
    apart
        Whether the panel separates enforced from allowed decisions.

    Returns
    -------
    VoteSelection

    Examples
    --------
    >>> judged = pd.DataFrame({
    ...     "position": [0], "source": "audit", "site": "Riga", "standing": "counts",
    ...     "reviewer_id": ["ann"], "enforced": True, "policy_id": "spam",
    ...     "violates": [True], "true_violates": float("nan"), "designed": False})
    >>> from errdetect.reviewers.rater_panel import build_rater_panel
    >>> select_votes(judged, build_rater_panel(judged)).basis
    'votes'
    """
    golden, overlap = golden_votes(judged, panel), overlap_votes(judged, panel)
    experts = adjudicated_votes(judged, panel)
    notes = [_APART] if apart else []
    has_golden, has_overlap = _has_enough_golden(golden, notes), _has_enough_overlap(overlap, notes)
    if has_overlap and second_reviews_follow_first(judged):
        has_overlap = False
        notes.append(_CHOSEN)
    lead = class_model_lead(overlap) if has_overlap and not has_golden else np.inf
    has_experts = bool((~np.isnan(experts.known)).sum() >= _MIN_GOLDEN)
    known = _concat_votes([golden, *([experts] * has_experts)])
    votes = _concat_votes([known, *([overlap] * has_overlap)])
    anchor = None
    if has_golden and has_overlap:
        basis, anchor = DAWID_SKENE, fit_golden_anchor(known, votes, panel)
        notes += [_TOGETHER] * (anchor.flattered > _FLATTERED)
        notes += [_EASY] * (anchor.flattered < -_FLATTERED)
    elif has_golden:
        basis = GOLDEN_AND_EXPERTS if has_experts else GOLDEN_ONLY
    elif (has_overlap or has_experts) and _votes_identify_rates(votes, notes):
        basis = DAWID_SKENE
    else:
        basis = VOTES
        notes.append(_ONLY_VOTES)
    usable = None if basis == VOTES else votes
    by_share = usable is None or lead < _PROVEN
    notes += [_BY_SHARE] * (lead < _PROVEN and usable is not None)
    return VoteSelection(basis, usable, anchor, golden, overlap, tuple(notes), by_share)


_APART = (
    "On golden items, reviewers err at different rates on enforced and allowed decisions, so the "
    "two are measured separately. Reviewers may be biased towards the machine's action."
)
_CHOSEN = (
    "Second reviews depend on the verdict of the first, so overlap gives biased error rates of "
    "reviewers. Draw decisions for a second review without regard to the first."
)
_TOGETHER = (
    "Reviewers err on the same items, so overlap understates their error rates. "
    "The level of the rates is taken from golden items and adjudications."
)
_EASY = (
    "Reviewers do better on golden items than overlap suggests. The golden items may be easier than "
    "the live work, or known to reviewers: draw new ones from audited and adjudicated cases."
)
_ONLY_OVERLAP = (
    "Error rates are estimated without golden items. They are too low where reviewers err on the "
    "same items; add golden items to measure this."
)
_OPINIONS = (
    "Reviewers agree so little that overlap cannot separate errors from differences of opinion. "
    "Add golden items, or clarify the policy's text."
)
_SHARES = (
    "On decisions that several people reviewed, the share of the other votes predicts a vote as well "
    "as error rates of reviewers do: people may disagree rather than err. Add golden items to "
    "measure errors."
)
_BY_SHARE = (
    "The share of the other votes predicts a vote as well as reviewers' error rates do, so labels are "
    "shares of votes. Add golden items to weigh votes by their reviewers."
)
_TOO_WIDE = (
    "Overlap is too small to estimate reviewers' error rates. Have more decisions reviewed by three "
    "people, or add golden items."
)
_ONLY_VOTES = "Reviewers' error rates are unknown; P(error) is the share of votes."


def _has_enough_golden(golden: RaterVotes, notes: list[str]) -> bool:
    truth = golden.known[golden.unit]
    violating, fine = int(truth.sum()), int((1 - truth).sum())
    if min(violating, fine) >= _MIN_GOLDEN:
        return True
    notes.append(
        f"Golden reviews: {violating} of violating items, {fine} of other items; "
        f"{_MIN_GOLDEN} of each are needed to measure reviewers' error rates."
    )
    return False


def _has_enough_overlap(overlap: RaterVotes, notes: list[str]) -> bool:
    n = len(overlap.known)
    if n >= _MIN_OVERLAP:
        return True
    notes.append(
        f"Decisions that two or more people reviewed in one audit or re-review: {n}; "
        f"{_MIN_OVERLAP} are needed to estimate reviewers' error rates from overlap."
    )
    return False


def _votes_identify_rates(votes: RaterVotes, notes: list[str]) -> bool:
    """Return whether the overall rates are precise enough and better than chance."""
    none = np.zeros(1, dtype=np.int64)
    one = replace(votes, rater=np.zeros_like(votes.rater), site=none, kind=none)
    fit = fit_rates(one, shrink=False)
    se, fp = (float(v[0]) for v in rate_variance(one, fit))
    if float(fit.se.site[0] - fit.fp.site[0]) < _MIN_YOUDEN:
        notes.append(_OPINIONS)
        return False
    precise = bool(critical_value() * max(se, fp) ** 0.5 <= _MAX_HALF_WIDTH)
    notes.append(_ONLY_OVERLAP if precise else _TOO_WIDE)
    return precise


def _concat_votes(parts: Sequence[RaterVotes]) -> RaterVotes:
    """Concatenate votes; units and groups of different parts remain distinct."""
    n_units = np.cumsum([0, *(len(part.known) for part in parts)])
    n_groups = np.cumsum([0, *(part.group.max(initial=-1) + 1 for part in parts)])
    return RaterVotes(
        unit=np.concatenate([part.unit + n for part, n in zip(parts, n_units, strict=False)]),
        rater=np.concatenate([part.rater for part in parts]),
        says=np.concatenate([part.says for part in parts]),
        known=np.concatenate([part.known for part in parts]),
        group=np.concatenate([part.group + n for part, n in zip(parts, n_groups, strict=False)]),
        site=parts[0].site,
        kind=parts[0].kind,
    )


def sides_differ(judged: pd.DataFrame) -> bool:
    """Return whether reviewers' errors on golden items differ by the decision's side.

    Compares the mean answer on enforced and on allowed decisions, separately for violating and
    other items, each item counted once; significant at 1 %.

    Parameters
    ----------
    judged
        m rows of `content_verdicts`.

    Examples
    --------
    >>> judged = pd.DataFrame({
    ...     "position": range(100), "source": "golden", "enforced": [True, False] * 50,
    ...     "violates": [True] * 100, "true_violates": 1.0})
    >>> sides_differ(judged)
    False
    """
    golden = judged[(judged["source"] == GOLDEN) & judged["true_violates"].notna()]
    items = golden.groupby("position", sort=True)[["enforced", "violates", "true_violates"]].mean()
    statistic, limit = 0.0, {0: np.inf, 1: 6.63, 2: 9.21}  # chi-squared, 1 %
    tested = 0
    for truth in (0.0, 1.0):
        of_class = items[items["true_violates"] == truth]
        sides = [of_class.loc[of_class["enforced"] == side, "violates"] for side in (0.0, 1.0)]
        if min(len(side) for side in sides) < _MIN_GOLDEN:
            continue
        tested += 1
        spread = sum(max(float(side.var()), 1 / len(side)) / len(side) for side in sides)
        statistic += float(sides[0].mean() - sides[1].mean()) ** 2 / spread
    return statistic > limit[tested]
