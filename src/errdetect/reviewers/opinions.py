"""Whether votes on one item differ because reviewers err, or because people disagree.

The reviewer model has two classes: every item violates or not, and a vote against its class is an
error. Where people judge by opinion, items lie between the classes; the model then explains split
votes by reviewers who miss many violations, and leans towards "violates". The alternative lets each
item have its own share of people who would call it a violation. Whichever predicts a vote from the
other votes on the item better is believed.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import betaln, expit

from errdetect.reviewers.dawid_skene import RaterVotes, fit_rates, log_likelihood_ratios
from errdetect.stats.group_sums import sum_by_group
from errdetect.stats.log_odds import clipped_logit

__all__ = ["class_model_lead"]

Floats = npt.NDArray[np.float64]

_FOLDS = 2


def class_model_lead(votes: RaterVotes) -> float:
    """Return by how many standard errors Dawid-Skene predicts votes better than items' shares do.

    Each vote on an item is predicted from the other votes on it: once by classes and error rates
    fitted to other items, once by the item's own share, whose beta distribution is fitted to each
    group. The logarithmic scores are compared item by item.

    Parameters
    ----------
    votes
        Votes without known truth; items with one vote say nothing.

    Returns
    -------
    float
        Above 0 where votes are errors around a common truth, below 0 where they are opinions; 0
        where nothing can be compared.

    Notes
    -----
    Gneiting and Raftery (2007), JASA 102, 359-378, for the score.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> unit, one = np.repeat(np.arange(2000), 5), np.zeros(1, int)
    >>> def votes(share):
    ...     yes = (rng.random(10_000) < share[unit]).astype(float)
    ...     return RaterVotes(unit, unit % 1, yes, np.full(2000, np.nan), unit[::5] % 1, one, one)
    >>> classes, opinions = np.where(rng.random(2000) < 0.3, 0.9, 0.05), rng.beta(0.4, 0.8, 2000)
    >>> class_model_lead(votes(classes)) > 5, class_model_lead(votes(opinions)) < -5
    (True, True)
    """
    n = len(votes.known)
    size = sum_by_group(votes.unit, np.ones(len(votes.unit)), n)
    lead = _log_score(votes.says, _predict_by_class(votes))
    lead -= _log_score(votes.says, _predict_by_opinion(votes, size))
    of_unit = sum_by_group(votes.unit, lead / size[votes.unit], n)[size > 1]
    error = float(of_unit.std()) * len(of_unit) ** 0.5
    return float(of_unit.sum()) / error if error > 0 else 0.0


def _log_score(says: Floats, p: Floats) -> Floats:
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return np.asarray(says * np.log(p) + (1 - says) * np.log1p(-p))


def _predict_by_class(votes: RaterVotes) -> Floats:
    """Return P(vote 1) of each vote from the other votes on its unit, by rates of other units."""
    out = np.empty(len(votes.unit))
    for k in range(_FOLDS):
        held = votes.unit % _FOLDS == k
        rest = {name: getattr(votes, name)[~held] for name in ("unit", "rater", "says")}
        fit = fit_rates(replace(votes, **rest))
        own = log_likelihood_ratios(votes, fit.se.rater, fit.fp.rater)
        others = sum_by_group(votes.unit, own, len(votes.known))[votes.unit] - own
        q = expit(others + clipped_logit(fit.prevalence)[votes.group[votes.unit]])
        p = q * fit.se.rater[votes.rater] + (1 - q) * fit.fp.rater[votes.rater]
        out[held] = p[held]
    return out


def _predict_by_opinion(votes: RaterVotes, size: Floats) -> Floats:
    """Return the same by the share of the other votes, shrunk to the group's beta distribution."""
    yes = sum_by_group(votes.unit, votes.says, len(votes.known))
    a, b = np.ones((2, len(votes.known)))
    for group in np.unique(votes.group):
        rows = votes.group == group
        a[rows], b[rows] = _fit_beta(yes[rows], size[rows])
    others = yes[votes.unit] - votes.says
    return np.asarray(
        (a[votes.unit] + others) / (a[votes.unit] + b[votes.unit] + size[votes.unit] - 1)
    )


def _fit_beta(yes: Floats, size: Floats) -> tuple[float, float]:
    """Fit the beta distribution of shares by maximum likelihood, held near 1 where votes are few."""
    pairs, n = np.unique(np.column_stack([yes, size]), axis=0, return_counts=True)
    yes, no = pairs[:, 0], pairs[:, 1] - pairs[:, 0]

    def loss(v: Floats) -> float:
        a, b = np.exp(v)
        return float(-(n @ (betaln(a + yes, b + no) - betaln(a, b)))) + float(v @ v) / 50

    found = minimize(loss, np.zeros(2), method="L-BFGS-B", bounds=[(-7, 7)] * 2)
    a, b = np.exp(found.x)
    return float(a), float(b)
