"""How often reviewers err on either side, and what their reviews are worth."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.labels.dawid_skene import (
    Fit,
    Rates,
    fit_prevalence,
    fit_rates,
    posterior,
    rate_variance,
)
from errdetect.labels.events import COUNTS, OVERRULED, moment
from errdetect.labels.evidence import Evidence, sides_differ, weigh_evidence
from errdetect.labels.intervals import wilson
from errdetect.labels.judgements import judgements
from errdetect.labels.panel import Panel, case_votes, panel_of

__all__ = ["ReviewerModel", "fit_reviewers"]

Floats = npt.NDArray[np.float64]

_RATES = ("missed_violation", "wrongful_call")


@dataclass(frozen=True)
class ReviewerModel:
    """What is known of the reviewers at a moment, and of the decisions they reviewed.

    Parameters
    ----------
    as_of
        What was known at this moment.
    basis
        Where the rates come from: `dawid_skene` (overlap, with golden items where there are any),
        `golden only`, or `votes` (nothing tells the rates: they are missing).
    notes
        Sentences for people: what the data did not allow, and what would mend it.
    sites
        One row a site (and side, where reviewers treat the sides differently): site, side,
        missed_violation = P(says fine | violates), wrongful_call = P(says violates | fine), each
        with `_low`, `_high` (95 %) and `_n`, the number of items of that class that the figure is
        worth; n_golden, n_overlap (judgements).
    reviewers
        The same for each reviewer, shrunk to the site, with reviewer_id: personal data, to be
        shown to nobody without `scorecards.pseudonyms`.
    p_error
        P(the decision is an error) given its reviews, indexed by decision_id.
    """

    as_of: pd.Timestamp
    basis: str
    notes: tuple[str, ...]
    sites: pd.DataFrame
    reviewers: pd.DataFrame
    p_error: "pd.Series[float]"


def fit_reviewers(
    reviews: pd.DataFrame, decisions: pd.DataFrame, *, as_of: datetime | None = None
) -> ReviewerModel:
    """Measure reviewers by golden items and overlap, and weigh every decision's reviews by it.

    Reviewers judge content, so each has two error rates whatever the machine did: missing a
    violation and calling one wrongly. Dawid-Skene learns them from golden items (truth known) and
    from decisions that several people judged, shrinking reviewers to their site. Golden reviews
    anchor the rates and are no labels. Where overlap contradicts the golden items because people
    err on the same items, golden items alone are believed.

    Parameters
    ----------
    reviews
        Reviews with the contract's columns, in any order.
    decisions
        Decisions with `decision_id`, `decided_at`, `policy_id`, `enforced`.
    as_of
        Only reviews known by then are used; the latest time in the data if None.

    Returns
    -------
    ReviewerModel

    Raises
    ------
    DataError
        If `as_of` has no time zone or a `decision_id` stands twice among the decisions.

    Notes
    -----
    Dawid and Skene (1979), Applied Statistics 28, 20-28.

    Examples
    --------
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-03"], utc=True)
    >>> decisions = pd.DataFrame({"decision_id": ["d"], "decided_at": day[:1],
    ...                           "policy_id": ["spam"], "enforced": [True]})
    >>> reviews = pd.DataFrame({
    ...     "review_id": ["r"], "decision_id": ["d"], "reviewed_at": day[1:], "source": ["audit"],
    ...     "verdict": ["overturned"], "expected": [None], "reviewer_id": ["ann"],
    ...     "site": ["Riga"], "minutes": [2.0]})
    >>> model = fit_reviewers(reviews, decisions)
    >>> model.basis, model.p_error.to_dict()
    ('votes', {'d': 1.0})
    """
    now = pd.Timestamp(moment(as_of, decisions, reviews), tz="UTC")
    ordered = reviews.sort_values("review_id", ignore_index=True)  # equal to the bit in any order
    judged = judgements(decisions, ordered, as_of=now)
    apart = sides_differ(judged)
    panel = panel_of(judged, apart=apart)
    evidence = weigh_evidence(judged, panel, apart=apart)
    fit = None if evidence.votes is None else fit_rates(evidence.votes)
    sites, people = _tables(panel, evidence, fit)
    p_error = _p_error(judged, panel, fit, decisions["decision_id"])
    return ReviewerModel(now, evidence.basis, evidence.notes, sites, people, p_error)


def _tables(panel: Panel, evidence: Evidence, fit: Fit | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Lay out the rates of sites and reviewers, with what they are worth."""
    sites, people = panel.sites.copy(), panel.raters.drop(columns="site_code")
    code = panel.raters["site_code"].to_numpy()
    for name, votes in (("n_golden", evidence.golden), ("n_overlap", evidence.overlap)):
        people[name] = np.bincount(votes.rater, minlength=len(people))
        sites[name] = np.bincount(code[votes.rater], minlength=len(sites))
    if fit is None or evidence.votes is None:
        for frame in (sites, people):
            for column in _RATES:
                frame[[column, f"{column}_low", f"{column}_high"]] = np.nan
                frame[f"{column}_n"] = 0.0
        return sites, people
    variances = rate_variance(evidence.votes, fit)
    for column, rates, variance in zip(_RATES, (fit.se, fit.fp), variances, strict=True):
        worth = _worth(rates, variance)
        own = _own_worth(rates, worth, code)
        missed = column == _RATES[0]
        _put(sites, column, 1 - rates.site if missed else rates.site, worth)
        _put(people, column, 1 - rates.rater if missed else rates.rater, own)
    return sites, people


def _worth(rates: Rates, variance: Floats) -> Floats:
    """Say how many items of known truth a site's rate is worth; never more than were judged."""
    spread = rates.site * (1 - rates.site)
    worth: Floats = np.where(variance > 0, spread / np.maximum(variance, 1e-12), rates.n_site)
    return np.minimum(worth, rates.n_site)


def _own_worth(rates: Rates, worth: Floats, site: npt.NDArray[np.int64]) -> Floats:
    """Say what a reviewer's rate is worth: own votes, the prior, the doubt of the site's mean."""
    told = worth / np.maximum(rates.n_site, 1e-9)  # how much of a known item a vote is worth
    own = rates.n * told[site]
    lent = rates.strength / (own + rates.strength)
    spread = rates.rater * (1 - rates.rater)
    variance = spread / (own + rates.strength) + lent**2 * spread / np.maximum(worth[site], 1e-9)
    return np.where(worth[site] > 0, spread / np.maximum(variance, 1e-12), 0)


def _put(frame: pd.DataFrame, column: str, rate: Floats, n: Floats) -> None:
    low, high = wilson(rate, n)
    for name, values in (("", rate), ("_low", low), ("_high", high), ("_n", n)):
        frame[f"{column}{name}"] = values


def _p_error(
    judged: pd.DataFrame, panel: Panel, fit: Fit | None, decision_id: "pd.Series[str]"
) -> "pd.Series[float]":
    """Weigh each decision's reviews; without rates, count votes. Adjudications stand."""
    votes, position = case_votes(judged, panel)
    kept = judged["standing"].isin([COUNTS, OVERRULED]).to_numpy(dtype=bool)
    of_unit = judged[kept].groupby(votes.unit)
    enforced = of_unit["enforced"].first().to_numpy(dtype=bool)
    if fit is None:
        p = of_unit["flags"].mean().to_numpy(dtype=np.float64)
    else:
        prevalence = fit_prevalence(votes, fit.se.rater, fit.fp.rater)
        violates = posterior(votes, fit.se.rater, fit.fp.rater, prevalence)
        wrong = np.where(enforced, 1 - violates, violates)
        stands = judged["enforced"] == judged["violates"]
        relabels = of_unit["relabels"].sum().to_numpy(dtype=np.float64)
        standing = stands[kept].groupby(votes.unit).sum().to_numpy(dtype=np.float64)
        p = wrong + (1 - wrong) * relabels / np.maximum(standing, 1)
    known = of_unit["true_error"].first().to_numpy(dtype=np.float64)
    p = np.where(np.isnan(known), p, known)
    names = decision_id.iloc[position].array
    return pd.Series(p, index=pd.Index(names, name="decision_id"), name="p_error")
