"""Anchor the error rates estimated from overlap to golden items, as shared errors go unseen.

Overlap compares reviewers with each other. An item that misleads all of them shows no disagreement,
so overlap measures differences between sites well but understates their common level. Golden items
and adjudications measure the level. The shift between the two is estimated on the logit scale, with
a prior around 0.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from errdetect.reviewers.dawid_skene import (
    DawidSkeneFit,
    RaterRates,
    RaterVotes,
    fit_rates,
    rate_variance,
)
from errdetect.reviewers.rater_panel import RaterPanel
from errdetect.stats.group_sums import sum_by_group
from errdetect.stats.log_odds import clipped_logit

__all__ = ["GoldenAnchor", "apply_anchor", "fit_golden_anchor"]

Floats = npt.NDArray[np.float64]

_PRIOR_SD = 0.4  # of the shift: shared difficulty moved the logit by .2 to .5


@dataclass(frozen=True)
class GoldenAnchor:
    """Shift of the overlap-based rates on the logit scale; arrays of shape (n_sites,).

    Parameters
    ----------
    se, fp
        The shift of each rate; equal for sites of one kind.
    variance_se, variance_fp
        Posterior variance of the shift.
    flattered
        How many standard errors better reviewers score by overlap than by known truth.
    """

    se: Floats
    fp: Floats
    variance_se: Floats
    variance_fp: Floats
    flattered: float


def fit_golden_anchor(known: RaterVotes, everything: RaterVotes, panel: RaterPanel) -> GoldenAnchor:
    """Estimate the shift between rates with and without overlap, site by site.

    Parameters
    ----------
    known
        Golden and adjudicated votes.
    everything
        These and the overlapping votes.
    panel
        The raters.

    Returns
    -------
    GoldenAnchor

    Examples
    --------
    >>> import pandas as pd
    >>> from errdetect.reviewers.rater_panel import golden_votes, build_rater_panel
    >>> judged = pd.DataFrame({
    ...     "position": range(80), "source": "golden", "site": "Riga", "reviewer_id": "ann",
    ...     "enforced": True, "violates": [i % 10 > 0 for i in range(80)],
    ...     "true_violates": [float(i < 40) for i in range(80)]})
    >>> panel = build_rater_panel(judged)
    >>> votes = golden_votes(judged, panel)
    >>> fit_golden_anchor(votes, votes, panel).flattered
    0.0
    """
    (ours, our_spread), (theirs, _) = _fit_by_site(known, panel), _fit_by_site(everything, panel)
    kind = panel.sites["kind"].to_numpy()
    se = _site_shifts(ours.se, theirs.se, our_spread[0], kind)
    fp = _site_shifts(ours.fp, theirs.fp, our_spread[1], kind)
    flattered = (fp[2] - se[2]) / 2**0.5
    return GoldenAnchor(se[0], fp[0], se[1], fp[1], flattered)


def apply_anchor(fit: DawidSkeneFit, anchor: GoldenAnchor, panel: RaterPanel) -> DawidSkeneFit:
    """Shift the rates of a fit to the anchor's level.

    Parameters
    ----------
    fit
        Fit to all votes.
    anchor
        From `fit_golden_anchor`.
    panel
        The raters.

    Returns
    -------
    DawidSkeneFit
        With shifted rates; classes and prevalences are unchanged.

    Examples
    --------
    >>> import pandas as pd
    >>> from errdetect.reviewers.rater_panel import golden_votes, build_rater_panel
    >>> judged = pd.DataFrame({
    ...     "position": range(80), "source": "golden", "site": "Riga", "reviewer_id": "ann",
    ...     "enforced": True, "violates": [i % 10 > 0 for i in range(80)],
    ...     "true_violates": [float(i < 40) for i in range(80)]})
    >>> panel = build_rater_panel(judged)
    >>> fit = fit_rates(golden_votes(judged, panel))
    >>> no, half = np.zeros(1), np.full(1, -0.5)
    >>> bool(apply_anchor(fit, GoldenAnchor(half, no, no, no, 0.0), panel).se.site[0] < fit.se.site[0])
    True
    """
    site = panel.raters["site_code"].to_numpy()
    return replace(
        fit, se=_shift_rates(fit.se, anchor.se, site), fp=_shift_rates(fit.fp, anchor.fp, site)
    )


def _shift_rates(rates: RaterRates, shift: Floats, site: npt.NDArray[np.int64]) -> RaterRates:
    moved: Floats = expit(clipped_logit(rates.rater) + shift[site])
    return replace(rates, rater=moved, site=expit(clipped_logit(rates.site) + shift))


def _fit_by_site(
    votes: RaterVotes, panel: RaterPanel
) -> tuple[DawidSkeneFit, tuple[Floats, Floats]]:
    """Fit with each site as one rater."""
    site = panel.raters["site_code"].to_numpy()
    merged = replace(votes, rater=site[votes.rater], site=np.arange(len(panel.sites)))
    fit = fit_rates(merged)
    return fit, rate_variance(merged, fit)


def _site_shifts(
    ours: RaterRates, theirs: RaterRates, variance: Floats, kind: npt.NDArray[np.int64]
) -> tuple[Floats, Floats, float]:
    """Return each site's shift and its variance, and the z-score over all sites."""
    slope = np.maximum(ours.site * (1 - ours.site), 1e-6)
    weight = np.where(np.isfinite(variance), slope**2 / np.maximum(variance, 1e-12), 0)
    gap = clipped_logit(ours.site) - clipped_logit(theirs.site)
    n_kinds = int(kind.max(initial=0)) + 1
    total, summed = sum_by_group(kind, weight, n_kinds), sum_by_group(kind, weight * gap, n_kinds)
    spread = 1 / np.maximum(total, 1e-12)
    mean = summed * spread
    shrunk, left = mean * _PRIOR_SD**2 / (_PRIOR_SD**2 + spread), 1 / (total + _PRIOR_SD**-2)
    return shrunk[kind], left[kind], float(summed.sum() / max(total.sum(), 1e-12) ** 0.5)
