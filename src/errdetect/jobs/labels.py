"""Labels as the config wants them, for every job that needs them."""

from datetime import datetime, timedelta

import pandas as pd

from errdetect.config import Config
from errdetect.labels.history import MATURITY, labels_as_of

__all__ = ["label_decisions"]


def label_decisions(
    config: Config, decisions: pd.DataFrame, reviews: pd.DataFrame, as_of: datetime | None = None
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

    Returns
    -------
    pandas.DataFrame
        As `schemas.LABELS`, in the decisions' order.
    """
    days = config.labels.maturity_days
    maturity: dict[str, timedelta] = dict(MATURITY)
    maturity.update({str(source): timedelta(days=d) for source, d in days.items()})
    return labels_as_of(decisions, reviews, as_of=as_of or config.labels.as_of, maturity=maturity)
