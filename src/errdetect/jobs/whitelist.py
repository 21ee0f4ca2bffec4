"""The accounts that the remediation plan would whitelist, for the report: one rule, one answer."""

import pandas as pd

from errdetect.config import Config
from errdetect.feedback.whitelist import whitelist_table
from errdetect.jobs.labels import known_reviews, label_decisions
from errdetect.labels.reviewers import ReviewerModel

__all__ = ["decided_by_then", "whitelist"]


def decided_by_then(config: Config, decisions: pd.DataFrame) -> pd.DataFrame:
    """Keep what had been decided at the config's moment; all decisions where it names none.

    Parameters
    ----------
    config
        From `load_config`.
    decisions
        Cleaned table.
    """
    if config.labels.as_of is None:
        return decisions
    by_then = decisions["decided_at"] <= pd.Timestamp(config.labels.as_of)
    return decisions[by_then.to_numpy(bool)].reset_index(drop=True)


def whitelist(
    config: Config,
    decisions: pd.DataFrame,
    reviews: pd.DataFrame,
    *,
    model: ReviewerModel | None = None,
) -> pd.DataFrame:
    """List the accounts that `remediate` would put into its plan, by the same settings.

    Parameters
    ----------
    config
        From `load_config`; `remediation.whitelist` sets the rule.
    decisions, reviews
        Cleaned tables.
    model
        From `measure_reviewers` on these tables, if it was measured already.

    Returns
    -------
    pandas.DataFrame
        As `schemas.WHITELIST`.
    """
    known, then = known_reviews(config, reviews), decided_by_then(config, decisions)
    labels = label_decisions(config, then, known, model=model)
    rule = config.remediation.whitelist
    return whitelist_table(
        then,
        known,
        labels,
        as_of=config.labels.as_of,
        min_reviews=rule.min_reviews,
        min_wrongful_rate=rule.min_wrongful_rate,
    )
