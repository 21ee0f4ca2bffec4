"""Results from reviews for the report: reviewers, error rates and trends."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.config import Config
from errdetect.estimation.error_rates import RateEstimates
from errdetect.findings.findings import Findings, find_findings, no_findings
from errdetect.schemas import AUDIT
from errdetect.snapshot import Snapshot
from errdetect.workflows.control_variate import EstimationSample, estimation_sample, queue_sample
from errdetect.workflows.load_data import Progress
from errdetect.workflows.reviewer_quality import reviewer_quality

__all__ = [
    "HALF",
    "PERIOD",
    "estimate_report_rates",
    "find_error_slices",
    "rate_tables",
    "report_sample",
    "review_parts",
]


def find_error_slices(
    config: Config,
    snapshot: Snapshot,
    *,
    level: float = 0.05,
    p_error: "pd.Series[float] | None" = None,
    progress: Progress = lambda _: None,
) -> Findings:
    """Find where policies err more than elsewhere, as of the snapshot's moment.

    Parameters
    ----------
    config
        From `load_config`.
    snapshot
        Decisions and reviews.
    level
        False discovery rate among the confirmed.
    p_error
        Cross-fitted P(error) by decision_id, to assist the confirmation; None for none.
    progress
        Callback for progress messages.

    Returns
    -------
    Findings
        Empty tables with the reason in `notes` where there are no reviewed decisions.

    Raises
    ------
    Refusal, DataError
        Where the audit's inclusion probabilities are invalid.
    """
    machine = snapshot.automated
    if not len(machine.reviewed_ids):
        return no_findings("No decision was reviewed by then, so there are no findings.")
    progress("searching for where policies err")
    known = None
    if p_error is not None:
        aligned = p_error.reindex(machine.decisions["decision_id"]).to_numpy(np.float64)
        known = aligned if np.isfinite(aligned).all() else None
    return find_findings(
        machine,
        rng=np.random.default_rng(config.train.seed),
        leave_out=tuple(config.features.leave_out),
        level=level,
        p_error=known,
    )


_MONTHS_FROM = 84  # days from which a trend is monthly instead of weekly
#: Columns to group by that the report adds: the month or week, and the half of the log's time.
PERIOD, HALF = "period_start", "half_start"


def review_parts(config: Config, snapshot: Snapshot) -> dict[str, Any]:
    """Return review counts, label states, and reviewer quality."""
    quality = reviewer_quality(config, snapshot)
    return {
        "n_reviews": snapshot.current_reviews["source"].value_counts().to_dict(),
        "label_states": snapshot.labels["state"].value_counts().to_dict(),
        "reviewers": quality.cards,
        "agreement": quality.agreement,
        "inspection": quality.inspection,
        "reviewer_notes": quality.notes,
    }


def report_sample(
    config: Config, snapshot: Snapshot, progress: Progress
) -> EstimationSample | None:
    """Gather the input of the error-rate estimates; None without a designed sample.

    Raises
    ------
    Refusal, DataError
        Where the sample's design cannot be trusted.
    """
    covered, scores = queue_sample(config, snapshot)
    if scores is None and not (snapshot.known_reviews["source"] == AUDIT).any():
        return None
    return estimation_sample(config, covered, scores, progress=progress)


def estimate_report_rates(
    config: Config, sample: EstimationSample, more: Sequence[Sequence[str]] = ()
) -> RateEstimates:
    """Estimate the error rates by every grouping that the report shows, in one pass.

    Parameters
    ----------
    config
        From `load_config`; `report.by` names columns.
    sample
        From `report_sample`.
    more
        Further groupings.
    """
    decisions = sample.snapshot.decisions
    known = [[c] for c in config.report.by if c in decisions and decisions[c].nunique() > 0]
    days = (decisions["decided_at"].max() - decisions["decided_at"].min()).days
    starts = _period_starts(decisions["decided_at"], "M" if days >= _MONTHS_FROM else "W")
    dated = sample.with_columns(
        {PERIOD: starts, HALF: _half_period_starts(decisions["decided_at"])}
    )
    wanted = [*known, [PERIOD], ["policy_id", HALF], *(list(columns) for columns in more)]
    each = {tuple(columns): columns for columns in wanted}
    return dated.rates(*each.values())


def rate_tables(
    config: Config, found: RateEstimates
) -> dict[str, pd.DataFrame | dict[str, pd.DataFrame]]:
    """Return audited error rates, equal to `estimate`, by group and over time.

    Parameters
    ----------
    config
        From `load_config`.
    found
        From `estimate_report_rates`.
    """
    estimates = {"whole": found.frame()}
    for name in config.report.by:
        if (name,) in found.by_group:
            estimates[name] = found.by_group[(name,)]
    halves = found.by_group[("policy_id", HALF)]
    return {
        "estimates": estimates,
        "trend": found.by_group[(PERIOD,)],
        "trend_by": halves.rename(columns={HALF: PERIOD}),
    }


def _period_starts(moments: pd.Series, period: str) -> pd.Series:
    """Return the first day of each moment's period."""
    first = moments.dt.tz_localize(None).dt.to_period(period).dt.start_time
    starts: pd.Series = first.dt.strftime("%Y-%m-%d")
    return starts


def _half_period_starts(moments: pd.Series) -> npt.NDArray[np.str_]:
    """Return the first day of the half of the time that each moment lies in.

    Months of one policy hold too few reviews to show a change; halves hold the most.
    """
    first, last = moments.min(), moments.max()
    middle = (first + (last - first) / 2).floor("D")
    days = (middle.strftime("%Y-%m-%d"), first.strftime("%Y-%m-%d"))
    halves: npt.NDArray[np.str_] = np.where((moments >= middle).to_numpy(bool), *days)
    return halves
