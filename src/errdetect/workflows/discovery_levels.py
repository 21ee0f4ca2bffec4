"""The level at which a report tests its findings, given all reports before it."""

from datetime import datetime

from errdetect.config import Config
from errdetect.ledger.ledger import find_ledger, open_ledger
from errdetect.snapshot import Snapshot
from errdetect.stats.online_testing import online_level

__all__ = ["discovery_level", "record_discoveries"]


def discovery_level(config: Config, snapshot: Snapshot) -> float:
    """Return the false discovery rate at which the report of this snapshot tests.

    Parameters
    ----------
    config
        From `load_config`.
    snapshot
        The report's decisions.

    Returns
    -------
    float
        The recorded level where a report of the same period was made before; else what the earlier
        periods leave.
    """
    ledger = find_ledger(config.ledger_url())
    if ledger is None:
        return online_level([])
    with ledger:
        events = ledger.history("discovery")
    latest = events.drop_duplicates("id", keep="last").set_index("id")
    period = _period(snapshot)
    if period in latest.index:
        return float(str(latest.at[period, "from"]))
    in_order = events["id"].drop_duplicates()
    return online_level(latest.loc[in_order, "to"].astype(int).tolist())


def record_discoveries(
    config: Config, snapshot: Snapshot, level: float, confirmed: int, *, at: datetime
) -> None:
    """Record the level that a report spent and its confirmed findings; once for each period.

    Parameters
    ----------
    config, snapshot
        As for `discovery_level`.
    level
        From `discovery_level`.
    confirmed
        Confirmed findings.
    at
        The report's moment.
    """
    with open_ledger(config.ledger_url()) as ledger:
        ledger.record_discoveries(_period(snapshot), level, confirmed, at=at)


def _period(snapshot: Snapshot) -> str:
    """Return the first and last day of the decisions: what makes two reports the same."""
    times = snapshot.decisions["decided_at"]
    return f"{times.min():%Y-%m-%d}..{times.max():%Y-%m-%d}"
