"""Whose word stands: what each draw counts as, and how reviewers' own error is put right."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from errdetect.estimation.misclassification_limits import Misjudgement
from errdetect.estimation.misclassification import exact_alarms, from_adjudications, from_golden
from errdetect.labels.audit_sample import AuditSample
from errdetect.labels.golden_items import GoldenItems

__all__ = ["Judging", "judge", "site_shares"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Judging:
    """What the draws count as.

    Parameters
    ----------
    error
        What each draw counts as, 1 error and 0 none, shape (n_draws,).
    reviewers
        Reviewers' error of each cell, None where nothing is put right.
    code
        Short word for how, a key of `words.JUDGING`.
    """

    error: Floats
    reviewers: Misjudgement | None
    code: str


def site_shares(audit: AuditSample, cell: Ints, size: int) -> Floats:
    """Share of each site in each cell's weighted work, shape (size, n_sites).

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


def judge(
    audit: AuditSample,
    golden: GoldenItems | None,
    cell: Ints,
    size: int,
    *,
    action_only: bool,
    enforced: bool | None,
    confidence: float = 0.95,
) -> Judging:
    """Decide what each draw counts as and what is known of the reviewers' error.

    An expert's answer stands. Where experts settled every flag, false alarms are gone and only
    misses are left to put right; otherwise golden items, or a designed sample of adjudications of
    flagged and unflagged draws, put both right, whichever says it more exactly.

    Parameters
    ----------
    audit
        All draws.
    golden
        The golden reviews; None to put nothing right that experts did not.
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
    Judging

    Examples
    --------
    >>> n = np.arange(2)
    >>> nothing = np.full(2, np.nan)
    >>> audit = AuditSample(n, n + 1.0, n * 1.0, n * 0.0, nothing, nothing, nothing, n, n * 0, ("x",))
    >>> judge(audit, None, n * 0, 1, action_only=False, enforced=None).code
    'as_judged'
    """
    inside = cell >= 0
    votes = audit.overturned if action_only else audit.error
    truth = audit.expert_overturned if action_only else audit.expert_error
    settled = audit.adjudicated
    if settled[inside].all():
        return Judging(truth, None, "adjudicated")
    flags = audit.flagged & inside
    all_flags = bool(flags.any() and settled[flags].all())
    said = audit.flagged if all_flags else votes >= 0.5
    known = _known_errors(
        audit, golden, cell, size, said,
        action_only=action_only, enforced=enforced, all_flags=all_flags, confidence=confidence,
    )  # fmt: skip
    code = min(known, key=lambda name: _doubt(known[name], misses_only=all_flags), default=None)
    if all_flags:
        confirmed = np.where(flags, truth, 0.0)
        if code is None:
            resolved = np.where(settled, truth, confirmed)
            return Judging(resolved, None, "flags_adjudicated")
        # What was found and confirmed; `found` puts the misses right. GoldenItems items say what one
        # judge finds, so where several judged a decision it counts as the share that found it.
        counted = confirmed * audit.error if code == "golden" else confirmed
        return Judging(counted, exact_alarms(known[code]), f"flags_adjudicated_{code}")
    if code is not None:
        said_so = said.astype(np.float64) if code == "second_look" else votes
        return Judging(said_so, known[code], code)
    waiting = bool(settled[flags].any())
    resolved = np.where(settled, truth, votes)
    return Judging(resolved, None, "flags_waiting" if waiting else "as_judged")


def _known_errors(
    audit: AuditSample, golden: GoldenItems | None, cell: Ints, size: int, said: Bools,
    *, action_only: bool, enforced: bool | None, all_flags: bool, confidence: float,
) -> dict[str, Misjudgement]:  # fmt: skip
    """Ask each source for the reviewers' error, and keep those that say enough."""
    inside = cell >= 0
    found = {
        "second_look": from_adjudications(
            audit, inside, said, action_only=action_only, size=size, confidence=confidence
        )
    }
    if golden is not None:
        found["golden"] = from_golden(
            golden, site_shares(audit, cell, size),
            action_only=action_only, enforced=enforced, any_flag=all_flags, confidence=confidence,
        )  # fmt: skip
    return {code: rates for code, rates in found.items() if rates is not None}


def _doubt(reviewers: Misjudgement, *, misses_only: bool) -> float:
    """Mean width of what is known of the reviewers, to choose the more exact source."""
    found = float((reviewers.found.high - reviewers.found.low).mean())
    return (
        found if misses_only else found + float((reviewers.alarm.high - reviewers.alarm.low).mean())
    )
