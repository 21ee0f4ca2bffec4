"""How reviewers' error rates differ where the machine enforced and where it allowed, by golden items.

A violation that the machine allowed is harder to see than one that it enforced, and reviewers lean
towards the machine's action. So they miss more of the violations that make a decision wrong than of
all, and a review that upholds says less than their rates over all content do.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit

from errdetect.reviewers.dawid_skene import DawidSkeneFit, RaterVotes, log_likelihood_ratios
from errdetect.reviewers.rater_panel import RaterPanel
from errdetect.schemas import GOLDEN
from errdetect.stats.log_odds import clipped_logit

__all__ = ["fit_side_shifts", "side_evidence"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_VARIANCE = 0.7**2  # prior of a shift, in log-odds
_STEPS = 25


def fit_side_shifts(judged: pd.DataFrame, panel: RaterPanel, fit: DawidSkeneFit) -> Floats:
    """Return by how much the log-odds of erring differ from the raters' own, shape (2, 2).

    Parameters
    ----------
    judged
        m rows of `content_verdicts`.
    panel, fit
        Their raters and the raters' rates.

    Returns
    -------
    numpy.ndarray
        Row: allowed, enforced; column: content that does not violate, that does. Each is the mode
        under a normal prior (0, .7), and an item counts once, however many answered it; 0 without golden items.

    Examples
    --------
    >>> from errdetect.reviewers.dawid_skene import fit_rates
    >>> from errdetect.reviewers.rater_panel import build_rater_panel, golden_votes
    >>> judged = pd.DataFrame({
    ...     "position": np.arange(400), "source": "golden", "site": "Riga", "reviewer_id": "ann",
    ...     "enforced": np.arange(400) % 2 == 0, "true_violates": 1.0,
    ...     "violates": (np.arange(400) % 2 == 0) | (np.arange(400) % 5 > 1)})
    >>> panel = build_rater_panel(judged)
    >>> shifts = fit_side_shifts(judged, panel, fit_rates(golden_votes(judged, panel)))
    >>> bool(shifts[0, 1] > 0.3), bool(shifts[1, 1] < -1)
    (True, True)
    """
    golden = (judged["source"] == GOLDEN) & judged["true_violates"].notna()
    rows = judged[golden]
    rater = panel.rater[golden.to_numpy(bool)]
    truth, says = rows["true_violates"].to_numpy(float) > 0, rows["violates"].to_numpy(bool)
    own = clipped_logit(np.where(truth, 1 - fit.se.rater[rater], fit.fp.rater[rater]))
    once = 1 / rows.groupby("position")["violates"].transform("size").to_numpy(float)
    enforced, shifts = rows["enforced"].to_numpy(bool), np.zeros((2, 2))
    for side in (False, True):
        for violates in (False, True):
            some = (enforced == side) & (truth == violates)
            erred = (says != truth)[some].astype(float)
            shifts[int(side), int(violates)] = _shift(own[some], erred, once[some])
    return shifts


def _shift(own: Floats, erred: Floats, weight: Floats) -> float:
    shift = 0.0
    for _ in range(_STEPS):
        p = expit(own + shift)
        gap = float(weight @ (erred - p)) - shift / _VARIANCE
        shift += float(np.clip(gap / (float(weight @ (p * (1 - p))) + 1 / _VARIANCE), -1, 1))
    return shift


def side_evidence(votes: RaterVotes, enforced: Bools, fit: DawidSkeneFit, shifts: Floats) -> Floats:
    """Return each vote's log-likelihood ratio of a violation beyond what the rater's own rates say.

    Parameters
    ----------
    votes, enforced
        m votes, and the side of the decision that each is about.
    fit, shifts
        The raters' rates, and how they differ by side, from `fit_side_shifts`.
    """
    se, fp = fit.se.rater, fit.fp.rater
    out = np.zeros(len(votes.unit))
    for side in (False, True):
        no, yes = shifts[int(side)]
        now = log_likelihood_ratios(
            votes, 1 - expit(clipped_logit(1 - se) + yes), expit(clipped_logit(fp) + no)
        )
        out = np.where(enforced == side, now - log_likelihood_ratios(votes, se, fp), out)
    return np.asarray(out, dtype=np.float64)
