"""Labels as the config wants them, for every job that needs them."""

from datetime import datetime, timedelta

import pandas as pd

from errdetect.config import Config
from errdetect.labels.events import known_at
from errdetect.labels.history import MATURITY, labels_as_of
from errdetect.labels.reviewers import ReviewerModel, fit_reviewers

__all__ = ["known_reviews", "label_decisions", "measure_reviewers"]


def known_reviews(config: Config, reviews: pd.DataFrame) -> pd.DataFrame:
    """Keep what was known at the config's moment; all reviews where it names none.

    Parameters
    ----------
    config
        From `load_config`.
    reviews
        Cleaned table.
    """
    if config.labels.as_of is None:
        return reviews
    return reviews[known_at(reviews) <= pd.Timestamp(config.labels.as_of)]


def measure_reviewers(
    config: Config, decisions: pd.DataFrame, reviews: pd.DataFrame, as_of: datetime | None = None
) -> ReviewerModel | None:
    """Measure reviewers by what was known at `as_of`; None where the config wants plain votes.

    Parameters
    ----------
    config
        From `load_config`.
    decisions, reviews
        Cleaned tables.
    as_of
        With a time zone; None takes the config's, which may be the latest moment in the data.
    """
    if config.labels.reviewers == "votes":
        return None
    return fit_reviewers(reviews, decisions, as_of=as_of or config.labels.as_of)


def label_decisions(
    config: Config,
    decisions: pd.DataFrame,
    reviews: pd.DataFrame,
    as_of: datetime | None = None,
    *,
    model: ReviewerModel | None = None,
) -> pd.DataFrame:
    """Label decisions by what was known at `as_of`, or else at the config's moment.

    Parameters
    ----------
    config
        From `load_config`.
    decisions, reviews
        Cleaned tables.
    as_of
        With a time zone; None takes the config's, which may be the latest moment in the data.
    model
        From `measure_reviewers` at the same moment, if it was measured already.

    Returns
    -------
    pandas.DataFrame
        As `schemas.LABELS`, in the decisions' order. Conflicts between reviews are resolved by the
        reviewer model, `p_label` is its P(error).
    """
    days = config.labels.maturity_days
    maturity: dict[str, timedelta] = dict(MATURITY)
    maturity.update({str(source): timedelta(days=d) for source, d in days.items()})
    if model is None:
        model = measure_reviewers(config, decisions, reviews, as_of)
    return labels_as_of(
        decisions,
        reviews,
        as_of=as_of or config.labels.as_of,
        maturity=maturity,
        p_reviews=None if model is None else model.p_error,
    )
