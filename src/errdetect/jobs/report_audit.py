"""What reviews say, for the report: reviewers, error rates, and how they moved."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from errdetect.config import Config
from errdetect.data.versions import latest_versions
from errdetect.estimate.audit import locate
from errdetect.estimate.rates import estimate_rates
from errdetect.jobs.control import estimation_terms
from errdetect.jobs.dsa import automated_only
from errdetect.jobs.estimate import refuse_broken_design
from errdetect.jobs.labels import known_reviews, label_decisions
from errdetect.jobs.past_scores import queue_sample
from errdetect.jobs.reviewers import reviewer_quality
from errdetect.jobs.tables import Progress, Tables
from errdetect.labels.reviewers import ReviewerModel
from errdetect.schemas import AUDIT

__all__ = ["Audited", "audited", "rates", "reviewed"]

_MONTHS_FROM = 84  # days from which a trend goes by months instead of weeks


@dataclass(frozen=True)
class Audited:
    """What estimates are made from.

    Parameters
    ----------
    decisions
        The automated ones.
    reviews
        What was known of them.
    terms
        For `estimate_rates`.
    notes
        Sentences on how.
    """

    decisions: pd.DataFrame
    reviews: pd.DataFrame
    terms: Mapping[str, Any]
    notes: tuple[str, ...]


def reviewed(config: Config, tables: Tables, model: ReviewerModel | None) -> dict[str, Any]:
    """Return how many reviews there are, what they settled, and what is known of the reviewers."""
    assert tables.reviews is not None
    decisions, reviews = tables.decisions.frame, tables.reviews.frame
    labels = label_decisions(config, decisions, reviews, model=model)
    quality = reviewer_quality(config, decisions, reviews, model)
    return {
        "n_reviews": latest_versions(reviews)["source"].value_counts().to_dict(),
        "label_states": labels["state"].value_counts().to_dict(),
        "reviewers": quality.cards,
        "agreement": quality.agreement,
        "inspection": quality.inspection,
        "reviewer_notes": quality.notes,
    }


def audited(config: Config, tables: Tables, progress: Progress) -> Audited | None:
    """Gather what error rates are estimated from; None without a designed sample.

    Raises
    ------
    Refusal, DataError
        Where the sample's design cannot be trusted.
    """
    assert tables.reviews is not None
    refuse_broken_design(tables.reviews.rejects)
    everything = tables.decisions.frame
    decisions, people = automated_only(everything)
    reviews, scores = queue_sample(config, known_reviews(config, tables.reviews.frame))
    reviews = reviews[locate(everything, reviews["decision_id"]) >= 0]
    if scores is None and not (reviews["source"] == AUDIT).any():
        return None
    terms, control = estimation_terms(config, decisions, reviews, scores=scores, progress=progress)
    return Audited(decisions, reviews, terms, tuple(note for note in (people, control) if note))


def rates(config: Config, found: Audited) -> dict[str, pd.DataFrame | dict[str, pd.DataFrame]]:
    """Return what the audit says of error rates, as `estimate` says it, by group and over time."""
    decisions, reviews, how = found.decisions, found.reviews, found.terms
    estimates = {"whole": estimate_rates(decisions, reviews, **how)}
    for name in config.report.by:
        if name in decisions and decisions[name].nunique() > 0:
            frame = estimate_rates(decisions, reviews, by=[name], **how)
            estimates[name] = frame[frame[name].notna()]
    days = (decisions["decided_at"].max() - decisions["decided_at"].min()).days
    dated = decisions.assign(
        period_start=_starts(decisions["decided_at"], "M" if days >= _MONTHS_FROM else "W")
    )
    trend = estimate_rates(dated, reviews, by=["period_start"], **how)
    return {
        "estimates": estimates,
        "trend": trend[trend["period_start"].notna()],
        "trend_by": _trend_by(decisions, reviews, how),
    }


def _starts(moments: pd.Series, period: str) -> pd.Series:
    """Return the first day of each moment's period."""
    first = moments.dt.tz_localize(None).dt.to_period(period).dt.start_time
    starts: pd.Series = first.dt.strftime("%Y-%m-%d")
    return starts


def _trend_by(
    decisions: pd.DataFrame, reviews: pd.DataFrame, how: Mapping[str, Any]
) -> pd.DataFrame:
    """Return each policy's rates in the later and the earlier half of the time.

    Months of one policy hold too few reviews to tell a change; halves hold the most.
    """
    first, last = decisions["decided_at"].min(), decisions["decided_at"].max()
    middle = (first + (last - first) / 2).floor("D")
    later = decisions["decided_at"] >= middle
    starts = np.where(later, middle.strftime("%Y-%m-%d"), first.strftime("%Y-%m-%d"))
    dated = decisions.assign(period_start=starts)
    found = estimate_rates(dated, reviews, by=["policy_id", "period_start"], **how)
    return found[found["policy_id"].notna() & found["period_start"].notna()]
