"""The audited error of every month."""

import numpy as np
import pandas as pd

from errdetect.monitoring.audit_stream import AuditStream
from errdetect.snapshot import Snapshot
from errdetect.stats.sequential import reference_rate

__all__ = ["monthly_history"]


def monthly_history(snapshot: Snapshot, stream: AuditStream, min_reviews: int) -> pd.DataFrame:
    """Estimate the audited error by month of the answer; months with too few are suppressed.

    Parameters
    ----------
    snapshot
        Its automated decisions are counted by month.
    stream
        From `audit_stream` of it.
    min_reviews
        Answers below which a month has no estimate.

    Returns
    -------
    DataFrame
        Columns of `schemas.MONITOR_HISTORY`, the earliest month first.
    """
    decided = _months(snapshot.automated.decisions["decided_at"]).value_counts()
    months = _months(stream.frame["known_at"])
    rows = []
    for month in sorted(set(months) | set(decided.index)):
        frame = stream.frame[(months == month).to_numpy(bool)]
        error, weight = (frame[name].to_numpy(float) for name in ("error", "weight"))
        cluster = frame["cluster"].to_numpy(np.int64)
        enough = len(frame) >= min_reviews
        high = reference_rate(error, weight, cluster, miss=0.025)
        low = reference_rate(1 - error, weight, cluster, miss=0.025)
        rows.append(
            {
                "period_start": month,
                "measure": "error_rate",
                "estimate": high.rate if enough else np.nan,
                "low": 1 - low.upper if enough else np.nan,
                "high": high.upper if enough else np.nan,
                "n_reviews": len(frame),
                "n_decisions": int(decided.get(month, 0)),
                "suppressed": not enough,
            }
        )
    names = ["period_start", "measure", "estimate", "low", "high"]
    return pd.DataFrame(rows, columns=[*names, "n_reviews", "n_decisions", "suppressed"])


def _months(moments: "pd.Series[pd.Timestamp]") -> "pd.Series[pd.Timestamp]":
    """Return the first day of each moment's month (UTC)."""
    days = moments.dt.tz_convert("UTC").dt.floor("D")
    return days - pd.to_timedelta(days.dt.day - 1, unit="D")
