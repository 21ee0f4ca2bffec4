"""Tables of reviewers' error rates by site and reviewer, for the audit's mix of content."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.labels.review_history import COUNTS, OVERRULED
from errdetect.reviewers.dawid_skene import (
    DawidSkeneFit,
    RaterRates,
    RaterVotes,
    class_posterior,
    fit_prevalence,
    rate_variance,
)
from errdetect.reviewers.golden_anchoring import GoldenAnchor
from errdetect.reviewers.identifiability import VoteSelection
from errdetect.reviewers.rater_panel import RaterPanel, case_votes
from errdetect.schemas import AUDIT
from errdetect.stats.group_sums import sum_by_group
from errdetect.stats.intervals import wilson

__all__ = ["RATES", "ReviewedCases", "classify_cases", "error_rate_tables"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: P(verdict "allowed" | violates) and P(verdict "violates" | allowed).
RATES = ("missed_violation", "wrongful_call")

_OVERALL_MIX = 30.0  # prior weight of all sites' mix, in reviews


@dataclass(frozen=True)
class ReviewedCases:
    """The reviewed decisions.

    Parameters
    ----------
    row
        Rows of the verdicts that are votes on them, shape (v,).
    votes
        These votes, one unit per decision.
    p_violates
        P(the content violates) of each decision, shape (n_cases,); None without rates.
    prior
        The same before its votes: the prevalence of its kind, shape (n_cases,); None without rates.
    """

    row: Ints
    votes: RaterVotes
    p_violates: Floats | None
    prior: Floats | None = None


def classify_cases(
    judged: pd.DataFrame, panel: RaterPanel, fit: DawidSkeneFit | None
) -> ReviewedCases:
    """Combine all votes on every reviewed decision, weighted by the raters' error rates.

    Parameters
    ----------
    judged
        m rows of `content_verdicts`.
    panel
        Their raters.
    fit
        The raters' rates; None if they are not identified.

    Returns
    -------
    ReviewedCases

    Examples
    --------
    >>> from errdetect.reviewers.rater_panel import build_rater_panel
    >>> judged = pd.DataFrame({
    ...     "position": [4, 4], "source": ["audit", "appeal"], "site": "Riga",
    ...     "reviewer_id": ["ann", "bob"], "enforced": True, "policy_id": "spam",
    ...     "standing": "counts", "violates": [True, False], "true_violates": float("nan")})
    >>> classify_cases(judged, build_rater_panel(judged), None).votes.unit
    array([0, 0])
    """
    rows = np.flatnonzero(judged["standing"].isin([COUNTS, OVERRULED]).to_numpy(dtype=bool))
    votes = case_votes(judged, panel)
    if fit is None:
        return ReviewedCases(rows, votes, None)
    prevalence = fit_prevalence(votes, fit.se.rater, fit.fp.rater)
    p_violates = class_posterior(votes, fit.se.rater, fit.fp.rater, prevalence)
    return ReviewedCases(rows, votes, p_violates, prevalence[votes.group])


def error_rate_tables(
    judged: pd.DataFrame,
    panel: RaterPanel,
    evidence: VoteSelection,
    fit: DawidSkeneFit | None,
    cases: ReviewedCases,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the error rates of sites and of reviewers with their 95 % intervals.

    Parameters
    ----------
    judged, panel, evidence, fit, cases
        The verdicts, and the results of the earlier steps on them.

    Returns
    -------
    tuple of pandas.DataFrame
        Sites and reviewers; the columns are those of `ReviewerModel`.

    Examples
    --------
    >>> from errdetect.reviewers.identifiability import select_votes
    >>> from errdetect.reviewers.rater_panel import build_rater_panel
    >>> judged = pd.DataFrame({
    ...     "position": [0], "source": "audit", "site": "Riga", "standing": "counts",
    ...     "reviewer_id": ["ann"], "enforced": True, "policy_id": "spam",
    ...     "violates": [True], "true_violates": float("nan"), "designed": False})
    >>> panel = build_rater_panel(judged)
    >>> evidence, cases = select_votes(judged, panel), classify_cases(judged, panel, None)
    >>> sites, people = error_rate_tables(judged, panel, evidence, None, cases)
    >>> sites[["site", "side", "missed_violation", "missed_violation_n"]].values.tolist()
    [['Riga', 'both', nan, 0.0]]
    """
    of_rater = panel.raters["site_code"].to_numpy()
    sites, people = panel.sites[["site", "side"]], panel.raters[["site", "side", "reviewer_id"]]
    counts = {"n_golden": evidence.golden.rater, "n_overlap": evidence.overlap.rater}
    for name, rater in counts.items():
        sites = sites.assign(**{name: np.bincount(of_rater[rater], minlength=len(sites))})
        people = people.assign(**{name: np.bincount(rater, minlength=len(people))})
    if fit is None or evidence.votes is None:
        nothing = np.full(len(people), np.nan)
        for column in RATES:
            sites = _add_rate_columns(sites, column, nothing[: len(sites)], np.zeros(len(sites)))
            people = _add_rate_columns(people, column, nothing, np.zeros(len(people)))
            people[f"{column}_own"] = 0.0
        return sites, people
    variances = _total_variances(evidence.votes, fit, evidence.anchor)
    for column, rates, variance in zip(RATES, (fit.se, fit.fp), variances, strict=True):
        missed = column == RATES[0]
        worth = _effective_n(rates, variance)
        own = rates.n * (worth / np.maximum(rates.n_site, 1e-9))[of_rater]
        lent = _reviewer_effective_n(rates, own, worth[of_rater])
        sites = _add_rate_columns(sites, column, 1 - rates.site if missed else rates.site, worth)
        people = _add_rate_columns(people, column, 1 - rates.rater if missed else rates.rater, lent)
        people[f"{column}_own"] = own
    if len(panel.sites["kind"].unique()) == 1:
        return sites, people
    mix = _content_mix(judged, panel, cases, fit)
    place = panel.sites["place"].to_numpy()
    who = pd.MultiIndex.from_frame(people[["site", "reviewer_id"]]).factorize()[0]
    return _combine_sides(sites, place, mix), _combine_sides(
        people, who.astype(np.int64), mix[of_rater]
    )


def _total_variances(
    votes: RaterVotes, fit: DawidSkeneFit, anchor: GoldenAnchor | None
) -> tuple[Floats, Floats]:
    """Add the variance of the common level to that of the sites' rates."""
    se, fp = rate_variance(votes, fit)
    if anchor is None:
        return se, fp
    return (
        se + (fit.se.site * (1 - fit.se.site)) ** 2 * anchor.variance_se,
        fp + (fit.fp.site * (1 - fit.fp.site)) ** 2 * anchor.variance_fp,
    )


def _effective_n(rates: RaterRates, variance: Floats) -> Floats:
    """Return a site rate's effective number of items; never more than were reviewed."""
    spread = rates.site * (1 - rates.site)
    worth: Floats = np.where(variance > 0, spread / np.maximum(variance, 1e-12), rates.n_site)
    return np.minimum(worth, rates.n_site)


def _reviewer_effective_n(rates: RaterRates, own: Floats, of_site: Floats) -> Floats:
    """Return a reviewer rate's effective n: own items, and the site's uncertain mean as prior."""
    lent = rates.strength / (own + rates.strength)
    spread = rates.rater * (1 - rates.rater)
    variance = spread / (own + rates.strength) + lent**2 * spread / np.maximum(of_site, 1e-9)
    return np.where(of_site > 0, spread / np.maximum(variance, 1e-12), 0)


def _add_rate_columns(frame: pd.DataFrame, column: str, rate: Floats, n: Floats) -> pd.DataFrame:
    _, low, high = wilson(rate, n)
    named = {"": rate, "_low": low, "_high": high, "_n": n}
    return frame.assign(**{f"{column}{suffix}": values for suffix, values in named.items()})


def _content_mix(
    judged: pd.DataFrame, panel: RaterPanel, cases: ReviewedCases, fit: DawidSkeneFit
) -> Floats:
    """Weight each site's sides by the violating and by the other content in its audit.

    Returns
    -------
    numpy.ndarray
        Shape (n_sites, 2): weight for the missed violations and for the wrongful calls.
    """
    votes, rows = cases.votes, judged.iloc[cases.row]
    audited = (rows["source"] == AUDIT).to_numpy(dtype=bool)
    if not audited.any():
        audited[:] = True
    probability = rows["inclusion_probability"].to_numpy(dtype=np.float64)
    stands_for = np.where(audited, np.where(np.isnan(probability), 1.0, 1 / probability), 0.0)
    weight = np.zeros(len(votes.known))
    np.maximum.at(weight, votes.unit, stands_for)
    # The audit oversamples likely errors, so its sample must be weighted.
    prevalence = fit_prevalence(votes, fit.se.rater, fit.fp.rater, weight=weight)
    violates = class_posterior(votes, fit.se.rater, fit.fp.rater, prevalence)[votes.unit]
    site = panel.raters["site_code"].to_numpy()[votes.rater]
    n, kind = len(panel.sites), panel.sites["kind"].to_numpy()
    seen = np.column_stack(
        [sum_by_group(site, stands_for * share, n) for share in (violates, 1 - violates)]
    )
    by_kind = np.stack([seen[kind == k].sum(axis=0) for k in (0, 1)])
    overall = by_kind / np.maximum(by_kind.sum(axis=0), 1e-9)
    mix: Floats = seen + _OVERALL_MIX * stands_for.sum() / audited.sum() * overall[kind]
    return mix


def _combine_sides(frame: pd.DataFrame, whole: Ints, mix: Floats) -> pd.DataFrame:
    """Add rows for both sides combined, before those of each side."""
    first = np.flatnonzero(~pd.Series(whole).duplicated().to_numpy())

    def added(values: Floats) -> Floats:
        return sum_by_group(whole, values, len(whole))[whole[first]]

    joined = frame.iloc[first].assign(side="both")
    for name in ("n_golden", "n_overlap"):
        joined[name] = added(frame[name].to_numpy(dtype=np.float64)).astype(np.int64)
    for column, weight in zip(RATES, mix.T, strict=True):
        share = weight / sum_by_group(whole, weight, len(whole))[whole]
        rate = frame[column].to_numpy(dtype=np.float64)
        n = frame[f"{column}_n"].to_numpy(dtype=np.float64)
        mean = added(share * rate)
        variance = added(share**2 * rate * (1 - rate) / np.maximum(n, 1e-9))
        worth = mean * (1 - mean) / np.maximum(variance, 1e-12)
        joined = _add_rate_columns(joined, column, mean, np.minimum(worth, added(n)))
        if (own := f"{column}_own") in frame:
            joined[own] = added(frame[own].to_numpy(dtype=np.float64))
    names = [name for name in ("site", "reviewer_id", "side") if name in frame]
    rows = pd.concat([joined, frame], ignore_index=True)
    rank = rows["side"].map({"both": 0, "enforced": 1, "allowed": 2})
    return (
        rows.assign(side_rank=rank)
        .sort_values([*names[:-1], "side_rank"], na_position="first", ignore_index=True)
        .drop(columns="side_rank")
    )
