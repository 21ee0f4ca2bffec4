"""Whether it is time to train again: by age, by an alert, or by enough new labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from errdetect.config import Config
from errdetect.errors import ModelError
from errdetect.workflows.load_data import load_snapshot
from errdetect.workflows.run_description import open_registry

__all__ = ["RetrainDue", "retrain_due", "run_period"]

#: Pipeline and step of earlier tries, and of alerts.
_TRAINING, _ALERTS = ("weekly_retrain", "train"), ("daily_monitor", "monitor")


@dataclass(frozen=True)
class RetrainDue:
    """Whether training is due.

    Parameters
    ----------
    reasons
        Why, in words; empty where it is not due.
    since
        The champion's training, or the last try if that was later; None without a champion.
    n_labels
        Decisions reviewed since then; 0 where they were not counted.
    """

    reasons: tuple[str, ...]
    since: datetime | None
    n_labels: int = 0


def retrain_due(config: Config, earlier: Sequence[dict[str, Any]]) -> RetrainDue:
    """Decide whether to train, as `train.retrain` says.

    Parameters
    ----------
    config
        From `load_config`.
    earlier
        The journal's entries of other runs: earlier tries, and the alerts of daily_monitor.

    Returns
    -------
    RetrainDue
        Due at every start where `train.retrain` sets nothing, and where there is no champion.
    """
    settings = config.train.retrain
    if not _has_triggers(config):
        return RetrainDue(("every start",), None)
    trained_at = _champion_trained_at(config)
    if trained_at is None:
        return RetrainDue(("no champion yet",), None)
    since = max([trained_at, *_moments(earlier, *_TRAINING)])
    reasons, n_labels = [], 0
    age = datetime.now(UTC) - since
    if settings.days is not None and age >= timedelta(days=settings.days):
        reasons.append(f"{age / timedelta(days=1):.0f} days old")
    alerts = [at for at in _moments(earlier, *_ALERTS, failed=True) if at > since]
    if settings.alert and alerts:
        reasons.append(f"alarm of {max(alerts):%Y-%m-%d}")
    if settings.labels is not None:
        n_labels = _new_labels(config, since)
        if n_labels >= settings.labels:
            reasons.append(f"{n_labels:,} new labels")
    return RetrainDue(tuple(reasons), since, n_labels)


def run_period(config: Config) -> str:
    """Return in which period one run trains once: a day with `train.retrain`, else a week (for `strftime`).

    Parameters
    ----------
    config
        From `load_config`.

    Examples
    --------
    >>> run_period(Config(version=1, data={"decisions": "d.csv"}, base="."))
    '%G-W%V'
    """
    return "%Y-%m-%d" if _has_triggers(config) else "%G-W%V"


def _has_triggers(config: Config) -> bool:
    settings = config.train.retrain
    return settings.days is not None or settings.labels is not None or settings.alert


def _champion_trained_at(config: Config) -> datetime | None:
    try:
        found = open_registry(config).find()
    except ModelError:
        return None
    text = None if found is None else found[0].about.get("trained_at")
    if not isinstance(text, str):
        return None
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _moments(
    entries: Sequence[dict[str, Any]], pipeline: str, step: str, *, failed: bool = False
) -> list[datetime]:
    """Return when a step ended in earlier runs; with `failed`, only where its status was not 0."""
    own = [
        e
        for e in entries
        if (e.get("pipeline"), e.get("step"), e.get("what")) == (pipeline, step, "done")
    ]
    return [datetime.fromisoformat(e["at"]) for e in own if e["status"] or not failed]


def _new_labels(config: Config, since: datetime) -> int:
    """Count the decisions that were first reviewed after a moment."""
    reviews = load_snapshot(config, progress=lambda _: None).snapshot.known_reviews
    labels = reviews[(reviews["source"] != "golden").to_numpy(bool)]
    first = labels.groupby("decision_id")["reviewed_at"].min()
    return int((first > pd.Timestamp(since)).sum())
