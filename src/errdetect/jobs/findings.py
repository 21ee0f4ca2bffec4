"""Findings as the config wants them: where policies err, why, what it costs, and which bars help."""

import numpy as np

from errdetect.config import Config
from errdetect.estimate.audit import locate
from errdetect.explain.findings import Findings, find_findings, no_findings
from errdetect.jobs.dsa import automated_only
from errdetect.jobs.estimate import refuse_broken_design
from errdetect.jobs.labels import known_reviews, label_decisions
from errdetect.jobs.tables import Progress, Tables
from errdetect.labels.reviewers import ReviewerModel

__all__ = ["findings"]


def findings(
    config: Config,
    tables: Tables,
    *,
    model: ReviewerModel | None = None,
    progress: Progress = lambda _: None,
) -> Findings:
    """Find where policies err more than elsewhere, from what was known at the config's moment.

    Parameters
    ----------
    config
        From `load_config`.
    tables
        From `load_tables`.
    model
        From `measure_reviewers` on these tables, if it was measured already.
    progress
        Told what is going on.

    Returns
    -------
    Findings
        Empty tables with the reason in `notes` where there is nothing to find from.

    Raises
    ------
    Refusal, DataError
        Where the audit's chances or times make no sense.
    """
    if tables.reviews is None:
        return no_findings("The config names no reviews, so nothing can be found.")
    refuse_broken_design(tables.reviews.rejects)
    decisions, _ = automated_only(tables.decisions.frame)
    decisions = decisions.reset_index(drop=True)
    reviews = known_reviews(config, tables.reviews.frame)
    reviews = reviews[locate(decisions, reviews["decision_id"]) >= 0].reset_index(drop=True)
    if reviews.empty:
        return no_findings("No decision was reviewed by then, so nothing can be found.")
    progress("labelling")
    labels = label_decisions(config, decisions, reviews, model=model)
    progress("looking for where policies err")
    return find_findings(
        decisions,
        reviews,
        labels,
        policies=tables.policies,
        rng=np.random.default_rng(config.train.seed),
        leave_out=tuple(config.features.leave_out),
    )
