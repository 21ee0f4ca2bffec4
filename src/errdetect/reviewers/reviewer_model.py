"""The reviewer model: reviewers' two error rates, and P(error) of the decisions they reviewed."""

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.reviewers.dawid_skene import DawidSkeneFit, fit_rates
from errdetect.reviewers.error_rates import ReviewedCases, classify_cases, error_rate_tables
from errdetect.reviewers.golden_anchoring import apply_anchor
from errdetect.reviewers.identifiability import select_votes, sides_differ
from errdetect.reviewers.rater_panel import RaterPanel, build_rater_panel
from errdetect.reviewers.side_shifts import fit_side_shifts, side_evidence
from errdetect.stats.group_sums import sum_by_group
from errdetect.stats.log_odds import clipped_logit

__all__ = ["ReviewerModel", "fit_reviewer_model"]


@dataclass(frozen=True)
class ReviewerModel:
    """Reviewers' error rates as of a moment, and P(error) of the decisions they reviewed.

    Parameters
    ----------
    as_of
        The moment, with a time zone.
    basis
        Where the rates come from: `dawid_skene` (overlap, with golden items and adjudications where
        there are any), `golden and adjudication`, `golden only`, or `votes` (the rates are not
        identified and missing).
    notes
        Sentences for users: what the data did not allow, and how to fix it.
    sites
        One row per site with side `both`: missed_violation = P(verdict "allowed" | violates) and
        wrongful_call = P(verdict "violates" | allowed), for the audit's mix of content, each with
        `_low`, `_high` (95 %) and `_n`, the effective number of items of known truth; n_golden,
        n_overlap (reviews). Where reviewers treat enforced and allowed decisions differently, rows
        with side `enforced` and `allowed` follow.
    reviewers
        The same for each reviewer, shrunk to the site, with reviewer_id; `_own` is the part of `_n`
        from the reviewer's own items. Personal data: publish only after `pseudonymise_ids`.
    p_error
        P(the decision is an error) given its reviews, indexed by decision_id.
    evidence
        The reviews' log-likelihood ratio: log P(reviews | error) - log P(reviews | correct), indexed
        as `p_error`. With a better prior than the common prevalence, P(error) follows by Bayes' rule.
        Where labels are shares of votes, what most people say counts as certain.
    """

    as_of: pd.Timestamp
    basis: str
    notes: tuple[str, ...]
    sites: pd.DataFrame
    reviewers: pd.DataFrame
    p_error: "pd.Series[float]"
    evidence: "pd.Series[float]"


def fit_reviewer_model(
    verdicts: pd.DataFrame, decision_id: "pd.Series[str]", *, as_of: datetime
) -> ReviewerModel:
    """Estimate reviewers' error rates, and weigh every decision's reviews by them.

    Reviewers assess content, so each has two error rates whatever the machine did: missing a
    violation and wrongly calling one. Dawid-Skene estimates them from golden items (truth known)
    and from decisions that several people reviewed, shrinking reviewers to their site. Golden
    reviews anchor the rates but are not labels. Where reviewers err on the same items, overlap
    alone understates their error rates, so golden items and adjudications set the level.

    Parameters
    ----------
    verdicts
        From `content_verdicts`, of the reviews in the order of `review_id`.
    decision_id
        Ids of the decisions that the verdicts' positions index, shape (n,).
    as_of
        The moment of the verdicts, with a time zone.

    Returns
    -------
    ReviewerModel

    Notes
    -----
    Dawid and Skene (1979), Applied Statistics 28, 20-28.

    Examples
    --------
    >>> from errdetect.snapshot import Snapshot
    >>> day = pd.to_datetime(["2026-01-01", "2026-01-03"], utc=True)
    >>> decisions = pd.DataFrame({"decision_id": ["d"], "decided_at": day[:1],
    ...                           "policy_id": ["spam"], "enforced": [True]})
    >>> reviews = pd.DataFrame({
    ...     "review_id": ["r"], "decision_id": ["d"], "reviewed_at": day[1:], "source": ["audit"],
    ...     "verdict": ["overturned"], "reviewer_id": ["ann"], "inclusion_probability": [0.1]})
    >>> model = Snapshot(decisions, reviews).reviewer_model
    >>> model.basis, model.p_error.to_dict()
    ('votes', {'d': 1.0})
    """
    apart = sides_differ(verdicts)
    panel = build_rater_panel(verdicts, apart=apart)
    evidence = select_votes(verdicts, panel, apart=apart)
    fit = None if evidence.votes is None else fit_rates(evidence.votes)
    if fit is not None and evidence.anchor is not None:
        fit = apply_anchor(fit, evidence.anchor, panel)
    cases = classify_cases(verdicts, panel, fit)
    sites, people = error_rate_tables(verdicts, panel, evidence, fit, cases)
    labelling = replace(cases, p_violates=None) if evidence.by_share else cases
    beyond = _evidence_by_side(verdicts, panel, fit, labelling)
    answers = _decision_answers(verdicts, labelling, decision_id, beyond)
    return ReviewerModel(
        pd.Timestamp(as_of), evidence.basis, evidence.notes, sites, people,
        answers["p_error"], answers["evidence"],
    )  # fmt: skip


def _evidence_by_side(
    judged: pd.DataFrame, panel: RaterPanel, fit: DawidSkeneFit | None, cases: ReviewedCases
) -> npt.NDArray[np.float64]:
    """Return each case's evidence of a violation beyond that of rates over both sides together."""
    n = len(cases.votes.known)
    if fit is None or cases.p_violates is None:
        return np.zeros(n)
    shifts = fit_side_shifts(judged, panel, fit)
    enforced = judged["enforced"].to_numpy(dtype=bool)[cases.row]
    return sum_by_group(cases.votes.unit, side_evidence(cases.votes, enforced, fit, shifts), n)


def _decision_answers(
    judged: pd.DataFrame,
    cases: ReviewedCases,
    decision_id: "pd.Series[str]",
    beyond: npt.NDArray[np.float64],
) -> pd.DataFrame:
    """Turn P(violates) into P(error) and the reviews' evidence; adjudications are final.

    A vote to relabel confirms the action but not the policy; as no rate of wrong relabelling is
    measured, it counts in full, whatever the prior.
    """
    rows = judged.iloc[cases.row]
    of_case = rows.groupby(cases.votes.unit)
    if cases.p_violates is None or cases.prior is None:
        p = of_case["flags"].mean().to_numpy(dtype=np.float64)
        # Without rates, what most people say is the answer: shares as evidence calibrate worse.
        evidence = clipped_logit(np.select([p > 0.5, p < 0.5], [1.0, 0.0], 0.5))
    else:
        enforced = of_case["enforced"].first().to_numpy(dtype=bool)
        wrong = np.where(enforced, 1 - cases.p_violates, cases.p_violates)
        confirmed = (rows["enforced"] == rows["violates"]).groupby(cases.votes.unit).sum()
        relabels = of_case["relabels"].sum().to_numpy(dtype=np.float64)
        p = wrong + (1 - wrong) * relabels / np.maximum(confirmed.to_numpy(dtype=np.float64), 1)
        gained = clipped_logit(cases.p_violates) - clipped_logit(cases.prior) + beyond
        evidence = np.where(relabels > 0, clipped_logit(p), np.where(enforced, -gained, gained))
    known = of_case["true_error"].first().to_numpy(dtype=np.float64)
    names = decision_id.iloc[of_case["position"].first().to_numpy()].array
    unknown = np.isnan(known)
    return pd.DataFrame(
        {
            "p_error": np.where(unknown, p, known),
            "evidence": np.where(unknown, evidence, clipped_logit(np.nan_to_num(known))),
        },
        index=pd.Index(names, name="decision_id"),
    )
