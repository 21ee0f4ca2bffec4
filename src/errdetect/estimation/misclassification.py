"""How often reviewers miss errors and raise false alarms: from golden items and adjudications."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from errdetect.estimation.misclassification_intervals import Misclassification, recall_interval
from errdetect.labels.audit_sample import AuditSample
from errdetect.labels.golden_items import GoldenItems
from errdetect.stats.effective_size import effective_size
from errdetect.stats.intervals import Interval, clopper_pearson, wilson

__all__ = [
    "UNCORRECTED",
    "DrawOutcomes",
    "adjudicated_misclassification",
    "golden_misclassification",
    "resolve_outcomes",
    "site_shares",
    "without_false_positives",
]


Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: Golden items of each class (error, no error) below which they give no correction.
MIN_GOLDEN = 20
#: Golden items of each class below which a site or a side has no rate of its own.
MIN_SITE = 20
#: Adjudicated draws of each kind (flagged, not flagged) below which they do not measure reviewers.
MIN_ADJUDICATED = 20


def _clustered_interval(item: Ints, said: Bools, confidence: float) -> Interval:
    """Return Clopper-Pearson limits of a rate over golden reviews, at the effective number of reviews.

    Exact rather than Wilson's, whose coverage was .94 instead of .95. Reviews of one item share its
    difficulty, so between one and all of an item's reviews count.
    """
    _, code = np.unique(item, return_inverse=True)
    n_items, n = int(code.max()) + 1, len(item)
    rate = said.mean()
    between = np.bincount(code, said - rate)
    variance = float((between**2).sum()) / n**2 * n_items / max(n_items - 1, 1)
    binomial = rate * (1 - rate)
    effective = binomial / variance if variance > 0 and binomial > 0 else n_items
    size = np.array([float(np.clip(effective, n_items, n))])
    return clopper_pearson(rate * size, size, confidence)


def _site_mixture(
    golden_site: Ints, item: Ints, said: Bools, share: Floats, confidence: float
) -> Interval:
    """Mix the sites' rates by each cell's work; sites with few items use the pooled rate."""
    n_sites = share.shape[1]
    count = np.bincount(golden_site + 1, minlength=n_sites + 1)[1:]
    own = count >= MIN_SITE
    # The last group pools all golden items, for sites without a rate of their own.
    groups = [_clustered_interval(item[golden_site == s], said[golden_site == s], confidence)
              for s in np.flatnonzero(own)]  # fmt: skip
    groups.append(_clustered_interval(item, said, confidence))
    mix = np.column_stack([share[:, own], 1 - share[:, own].sum(axis=1)])
    rate, low, high = (
        np.array([float(getattr(g, name)[0]) for g in groups])
        for name in ("estimate", "low", "high")
    )
    centre = mix @ rate
    return Interval(
        centre,
        np.clip(centre - np.sqrt(mix**2 @ (rate - low) ** 2), 0, 1),
        np.clip(centre + np.sqrt(mix**2 @ (high - rate) ** 2), 0, 1),
    )


def golden_misclassification(
    golden: GoldenItems,
    share: Floats,
    *,
    action_only: bool,
    enforced: bool | None,
    any_flag: bool = False,
    confidence: float = 0.95,
) -> Misclassification | None:
    """Return reviewers' error rates by cell from golden items, by the sites that did the cell's work.

    Parameters
    ----------
    golden
        The golden reviews.
    share
        Each site's share of each cell's weighted work, shape (n_cells, n_sites).
    action_only
        Whether only wrong actions are errors.
    enforced
        The side that is estimated, None for both; its own golden items are used where there are
        enough.
    any_flag
        Whether an error counts as found if any kind of error is flagged, as where experts settle
        every flag.
    confidence
        Nominal coverage of the limits.

    Returns
    -------
    Misclassification or None where there are too few golden items of a class.

    Examples
    --------
    >>> n = np.arange(100)
    >>> golden = GoldenItems(n, n * 0, n * 0, n < 50, (n < 45) | (n == 99), n < 50, n < 45)
    >>> error = golden_misclassification(golden, np.ones((1, 1)), action_only=False, enforced=None)
    >>> error.found.estimate.tolist(), error.alarm.estimate.tolist()
    ([0.9], [0.02])
    """
    truth = golden.expected_overturned if action_only else golden.expected_error
    said = golden.said_overturned if action_only and not any_flag else golden.said_error
    rates = []
    for wrong in (True, False):
        chosen = truth == wrong
        side = chosen & (golden.enforced == int(enforced)) if enforced is not None else chosen
        chosen = side if side.sum() >= MIN_SITE else chosen
        if chosen.sum() < MIN_GOLDEN:
            return None
        rates.append(
            _site_mixture(golden.site[chosen], golden.item[chosen], said[chosen], share, confidence)
        )
    return Misclassification(found=rates[0], alarm=rates[1])


def without_false_positives(reviewers: Misclassification) -> Misclassification:
    """Return the error rates after experts settled every flag: misses stay, false alarms are 0.

    Examples
    --------
    >>> half = Interval(np.array([0.5]), np.array([0.4]), np.array([0.6]))
    >>> without_false_positives(Misclassification(half, half)).alarm.high.tolist()
    [0.0]
    """
    zero = np.zeros_like(reviewers.found.estimate)
    return Misclassification(found=reviewers.found, alarm=Interval(zero, zero, zero))


def adjudicated_misclassification(
    audit: AuditSample,
    inside: Bools,
    said: Bools,
    *,
    action_only: bool,
    size: int,
    confidence: float = 0.95,
) -> Misclassification | None:
    """Return reviewers' error rates from a designed sample of adjudicated draws, flagged or not.

    Parameters
    ----------
    audit
        The draws; adjudications with a logged inclusion probability are the sample.
    inside
        Which draws to use, shape (n_draws,).
    said
        What counts as a reviewer's flag of each draw, shape (n_draws,).
    action_only
        Whether only wrong actions are errors.
    size
        Number of cells; all get the same rates.
    confidence
        Nominal coverage of the limits.

    Returns
    -------
    Misclassification or None where too few draws of either kind were sent by design.

    Examples
    --------
    >>> n = np.arange(200)
    >>> flag, wrong = (n < 100) * 1.0, (n < 90) * 1.0
    >>> audit = AuditSample(n, n * 0 + 2.0, flag, flag, wrong, wrong, n * 0 + 1.0, n, n * 0, ("x",))
    >>> rates = adjudicated_misclassification(audit, n >= 0, audit.flagged, action_only=False, size=1)
    >>> rates.found.estimate.tolist(), rates.alarm.estimate.round(3).tolist()
    ([1.0], [0.091])
    """
    truth = audit.expert_overturned if action_only else audit.expert_error
    sent = inside & audit.adjudicated & ~np.isnan(audit.expert_probability)
    total = audit.weight[inside].sum()
    parts = []
    for kind in (inside & said, inside & ~said):
        chosen = kind & sent
        certain = chosen.sum() == kind.sum()
        if chosen.sum() < (1 if certain else MIN_ADJUDICATED):
            return None
        if not certain and not _is_representative(
            audit.expert_probability[chosen], int(kind.sum())
        ):
            return None
        weight = audit.weight[chosen] / audit.expert_probability[chosen]
        rate = float(np.average(truth[chosen], weights=weight))
        limits = wilson(np.array([rate]), np.array([effective_size(weight)]), confidence)
        limits = Interval(limits.estimate, limits.estimate, limits.estimate) if certain else limits
        parts.append((limits, float(audit.weight[kind].sum() / total)))
    (wrong, flags), (missed, rest) = parts
    found = recall_interval(_scale_interval(wrong, flags), _scale_interval(missed, rest))
    alarm = recall_interval(
        _scale_interval(_complement_interval(wrong), flags),
        _scale_interval(_complement_interval(missed), rest),
    )
    return Misclassification(
        found=_repeat_interval(found, size), alarm=_repeat_interval(alarm, size)
    )


def _is_representative(probability: Floats, n: int) -> bool:
    """Whether draws sent to experts with these probabilities can be a designed sample of n.

    Draws that were sent because they seemed wrong have probability 1 and represent only themselves.
    """
    slack = 4 * float(np.sqrt(((1 - probability) / probability**2).sum()))
    return abs(float((1 / probability).sum()) - n) <= max(slack, 0.1 * n)


def _scale_interval(limits: Interval, by: float) -> Interval:
    return Interval(limits.estimate * by, limits.low * by, limits.high * by)


def _complement_interval(limits: Interval) -> Interval:
    return Interval(1 - limits.estimate, 1 - limits.high, 1 - limits.low)


def _repeat_interval(limits: Interval, size: int) -> Interval:
    return Interval(*(np.repeat(v, size) for v in (limits.estimate, limits.low, limits.high)))


#: Codes that leave all or part of the reviewer error uncorrected.
UNCORRECTED = ("as_judged", "flags_adjudicated", "flags_waiting")


@dataclass(frozen=True)
class DrawOutcomes:
    """Outcomes of the draws.

    Parameters
    ----------
    error
        Outcome of each draw, 1 error and 0 none, shape (n_draws,).
    reviewers
        Reviewers' error rates of each cell, None for no correction.
    code
        Code of the verdicts used, a key of `method_text.JUDGING`.
    """

    error: Floats
    reviewers: Misclassification | None
    code: str


def site_shares(audit: AuditSample, cell: Ints, size: int) -> Floats:
    """Return each site's share of each cell's weighted work, shape (size, n_sites).

    Examples
    --------
    >>> n = np.arange(2)
    >>> nothing = np.full(2, np.nan)
    >>> audit = AuditSample(n, n + 1.0, n * 0.0, n * 0.0, nothing, nothing, nothing, n, n, ("x", "y"))
    >>> site_shares(audit, np.zeros(2, int), 1).round(2).tolist()
    [[0.33, 0.67]]
    """
    n_sites = max(len(audit.sites), 1)
    votes = np.bincount(audit.vote_draw, minlength=len(audit.position))
    weight = (audit.weight / np.maximum(votes, 1))[audit.vote_draw]
    at, where = audit.vote_site, cell[audit.vote_draw]
    inside = where >= 0
    total = np.bincount(where[inside], weight[inside], size)
    known = inside & (at >= 0)
    shares = np.bincount(where[known] * n_sites + at[known], weight[known], size * n_sites)
    return np.asarray(shares.reshape(size, n_sites) / np.where(total > 0, total, 1)[:, None])


def resolve_outcomes(
    audit: AuditSample,
    golden: GoldenItems | None,
    cell: Ints,
    size: int,
    *,
    action_only: bool,
    enforced: bool | None,
    confidence: float = 0.95,
) -> DrawOutcomes:
    """Return the outcome of each draw and the reviewers' error rates.

    An expert's verdict is final. Where experts settled every flag, there are no false alarms and only
    misses need correction; otherwise golden items, or a designed sample of adjudications of flagged
    and unflagged draws, correct both, whichever is more precise.

    Parameters
    ----------
    audit
        All draws.
    golden
        The golden reviews; None for no correction beyond experts' verdicts.
    cell
        Cell of each draw, -1 for those in none, shape (n_draws,).
    size
        Number of cells.
    action_only, enforced
        The measure: whether only wrong actions are errors, and the side (None for both).
    confidence
        Nominal coverage.

    Returns
    -------
    DrawOutcomes

    Examples
    --------
    >>> n = np.arange(2)
    >>> nothing = np.full(2, np.nan)
    >>> audit = AuditSample(n, n + 1.0, n * 1.0, n * 0.0, nothing, nothing, nothing, n, n * 0, ("x",))
    >>> resolve_outcomes(audit, None, n * 0, 1, action_only=False, enforced=None).code
    'as_judged'
    """
    inside = cell >= 0
    votes = audit.overturned if action_only else audit.error
    truth = audit.expert_overturned if action_only else audit.expert_error
    settled = audit.adjudicated
    if settled[inside].all():
        return DrawOutcomes(truth, None, "adjudicated")
    flags = audit.flagged & inside
    all_flags = bool(flags.any() and settled[flags].all())
    said = audit.flagged if all_flags else votes >= 0.5
    known = _candidate_corrections(
        audit, golden, cell, size, said,
        action_only=action_only, enforced=enforced, all_flags=all_flags, confidence=confidence,
    )  # fmt: skip
    code = min(
        known, key=lambda name: _mean_width(known[name], misses_only=all_flags), default=None
    )
    if all_flags:
        confirmed = np.where(flags, truth, 0.0)
        if code is None:
            resolved = np.where(settled, truth, confirmed)
            return DrawOutcomes(resolved, None, "flags_adjudicated")
        # Confirmed flags; `found` corrects for misses. Golden items measure what one reviewer finds,
        # so a decision with several reviews counts as the share that flagged it.
        counted = confirmed * audit.error if code == "golden" else confirmed
        return DrawOutcomes(
            counted, without_false_positives(known[code]), f"flags_adjudicated_{code}"
        )
    if code is not None:
        said_so = said.astype(np.float64) if code == "second_look" else votes
        return DrawOutcomes(said_so, known[code], code)
    waiting = bool(settled[flags].any())
    resolved = np.where(settled, truth, votes)
    return DrawOutcomes(resolved, None, "flags_waiting" if waiting else "as_judged")


def _candidate_corrections(
    audit: AuditSample, golden: GoldenItems | None, cell: Ints, size: int, said: Bools,
    *, action_only: bool, enforced: bool | None, all_flags: bool, confidence: float,
) -> dict[str, Misclassification]:  # fmt: skip
    """Return the reviewers' error rates by source, for sources with enough data."""
    inside = cell >= 0
    found = {
        "second_look": adjudicated_misclassification(
            audit, inside, said, action_only=action_only, size=size, confidence=confidence
        )
    }
    if golden is not None:
        found["golden"] = golden_misclassification(
            golden, site_shares(audit, cell, size),
            action_only=action_only, enforced=enforced, any_flag=all_flags, confidence=confidence,
        )  # fmt: skip
    return {code: rates for code, rates in found.items() if rates is not None}


def _mean_width(reviewers: Misclassification, *, misses_only: bool) -> float:
    """Return the mean width of the reviewers' intervals, to choose the more precise source."""
    found = float((reviewers.found.high - reviewers.found.low).mean())
    return (
        found if misses_only else found + float((reviewers.alarm.high - reviewers.alarm.low).mean())
    )
