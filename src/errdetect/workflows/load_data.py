"""Read the tables that a config names, once per workflow, with counts of what was left out."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.config import Config
from errdetect.data.policy_catalogue import read_policies
from errdetect.data.rejected_rows import Rejections
from errdetect.data.table_reading import (
    TableRead,
    add_ledger_draws,
    add_ledger_reviews,
    read_decisions,
    read_draws,
    read_reviews,
)
from errdetect.errors import ConfigError, error_message, escape_hidden
from errdetect.labels.decision_labels import MATURITY
from errdetect.labels.intake_account import check_lost_sample
from errdetect.schemas import AUDIT
from errdetect.snapshot import LabelRules, ReadSummary, Snapshot, empty_reviews
from errdetect.workflows.project_ledger import find_project_ledger, link_reviewers, written_by

__all__ = [
    "AUTO",
    "LoadedData",
    "Progress",
    "check_losses",
    "excluded_reviews",
    "free_threads",
    "label_rules",
    "load_draws",
    "load_reviews",
    "load_snapshot",
    "read_tables",
]

Progress = Callable[[str], None]

#: The entry of labels.exclude_reviewers for those who are surely no better than chance.
AUTO = "auto"

_RUNNING = Path(
    "/proc/loadavg"
)  # proc(5): the fourth word begins with the number of threads that run
_LOOKS, _PAUSE = 5, 0.02  # seconds between them
_SMALL = 50_000  # rows below which a second thread costs more than it saves


@dataclass(frozen=True)
class LoadedData:
    """The tables of the config's data section.

    Parameters
    ----------
    snapshot
        Decisions, reviews and policies as of the config's moment.
    log
        Unusable decision rows.
    decisions, reviews, draws
        The tables as they were read; None where there are no reviews or draws.
    notes
        Conversions, repairs and omissions, each with its count.
    """

    snapshot: Snapshot
    log: Rejections
    decisions: TableRead
    reviews: TableRead | None
    notes: tuple[str, ...]
    draws: TableRead | None = None

    @property
    def rejects(self) -> pd.DataFrame:
        """Unusable rows of all tables."""
        others = (self.reviews, self.draws)
        parts = [self.decisions.rejects, *(read.rejects for read in others if read is not None)]
        return pd.concat(parts, ignore_index=True)


def load_snapshot(
    config: Config,
    *,
    progress: Progress,
    need_reviews: bool = False,
    drawn_before: datetime | None = None,
) -> LoadedData:
    """Read decisions, reviews, draws and policies as the config says, and refuse a broken join.

    Parameters
    ----------
    config, progress
        From `load_config`; callback for progress messages.
    need_reviews
        Whether to refuse a config without reviews.
    drawn_before
        Only draws that the ledger has from before this moment; None for all.

    Raises
    ------
    ConfigError
        Where reviews are needed and the config names none.
    DataError
        Where a table cannot be used, or too many of its rows cannot.
    Refusal
        Where too much of a designed sample is lost between decisions and reviews.
    """
    loaded = read_tables(
        config, progress=progress, need_reviews=need_reviews, drawn_before=drawn_before
    )
    loaded.log.raise_if_too_many(config.data.max_rejected)
    check_losses(config, loaded.snapshot)
    notes = (*loaded.notes, *loaded.log.notes(), *loaded.snapshot.intake.lines())
    return replace(loaded, notes=(*notes, *_reminders(loaded.snapshot)))


def _reminders(snapshot: Snapshot) -> Iterator[str]:
    """Yield what `validate` warned of and every figure depends on."""
    enforced = snapshot.decisions["enforced"]
    if len(enforced) and (enforced.all() or not enforced.any()):
        meaning, other = ("enforce", "allow") if enforced.iloc[0] else ("allow", "enforce")
        yield (
            f"every action means {meaning}, so errors of one kind cannot be found; if a word means {other}, "
            "say so in data.actions"
        )
    audit = snapshot.reviews[snapshot.reviews["source"] == AUDIT]
    lacking = int(audit["inclusion_probability"].isna().sum())
    if lacking and snapshot.draws is None:
        yield (
            f"{lacking:,} audit reviews have no inclusion_probability, so no estimate can weigh them: a random tenth "
            "has 0.1 (constants: {inclusion_probability: 0.1}), and reviews that no one sampled are re_review"
        )


def check_losses(config: Config, snapshot: Snapshot) -> None:
    """Refuse where too much of a designed sample is lost between decisions and reviews.

    Raises
    ------
    Refusal
    """
    if not len(snapshot.reviews):
        return
    check_lost_sample(
        snapshot.intake,
        snapshot.audit_weight,
        snapshot.lost_draws,
        snapshot.review_history,
        snapshot.decisions["decision_id"],
        max_lost=config.estimate.max_lost,
    )


def read_tables(
    config: Config,
    *,
    progress: Progress,
    need_reviews: bool = False,
    drawn_before: datetime | None = None,
) -> LoadedData:
    """Read decisions, reviews, draws and policies as the config says, without checking the join.

    Parameters
    ----------
    config, progress, need_reviews, drawn_before
        See `load_snapshot`.

    Raises
    ------
    ConfigError
        Where reviews are needed and the config names none.
    DataError
        Where a table cannot be read at all.
    """
    data = config.data
    policies = read_policies(config.data_paths(data.policies)[0]) if data.policies else {}
    reviews = load_reviews(config, progress=progress)
    if need_reviews and reviews is None:
        do = "Add the file with your reviews under data, or import some with `errdetect ingest`."
        raise ConfigError(
            [error_message("data.reviews", "name the reviews to learn from", "nothing", do)]
        )
    draws = load_draws(config, progress=progress, drawn_before=drawn_before)
    progress("reading decisions")
    decisions = read_decisions(
        config.data_paths(data.decisions),
        columns=data.columns,
        actions=data.actions,
        drop=data.drop,
        mapping=data.mapping("decisions"),
    )
    log = Rejections("The decisions")
    log.add(decisions)
    every = empty_reviews() if reviews is None else reviews.frame
    out, unknown = excluded_reviews(config, every)
    snapshot = Snapshot(
        decisions.frame,
        every[~out].reset_index(drop=True) if out.any() else every,
        policies,
        config.labels.as_of,
        label_rules(config),
        ReadSummary.of({"decisions": log}, reviews, draws, every[out]),
        None if draws is None else draws.frame,
    )
    others = (read for read in (reviews, draws) if read is not None)
    notes = (*decisions.notes, *(note for read in others for note in read.notes), *unknown)
    return LoadedData(snapshot, log, decisions, reviews, notes, draws)


def excluded_reviews(
    config: Config, reviews: pd.DataFrame
) -> tuple[npt.NDArray[np.bool_], tuple[str, ...]]:
    """Find the reviews by those whom labels.exclude_reviewers names.

    Parameters
    ----------
    config
        From `load_config`.
    reviews
        Shape (n_reviews, any).

    Returns
    -------
    (excluded, notes)
        Which reviews, shape (n_reviews,), and a note for each entry that matches none. The entry
        `auto` is not a name: `estimation_sample` applies it.
    """
    out, notes = np.zeros(len(reviews), dtype=bool), []
    for entry in config.labels.exclude_reviewers:
        if entry == AUTO:
            continue
        kind, mark, name = entry.partition(":")
        column, name = (
            ({"site": "site", "reviewer": "reviewer_id"}[kind], name)
            if mark and kind in ("site", "reviewer")
            else ("reviewer_id", entry)
        )
        own = (
            written_by(config, reviews[column], name).to_numpy(dtype=bool)
            if column == "reviewer_id"
            else (reviews[column] == name).to_numpy(dtype=bool, na_value=False)
        )
        if not own.any():
            notes.append(f"labels.exclude_reviewers: no review is by {escape_hidden(entry)[:60]}")
        out |= own
    return out, tuple(notes)


def label_rules(config: Config) -> LabelRules:
    """Return the config's rules for labels."""
    maturity = dict(MATURITY)
    for source, days in config.labels.maturity_days.items():
        maturity[str(source)] = timedelta(days=days)
    return LabelRules(config.labels.reviewers, maturity)


def load_reviews(config: Config, *, progress: Progress) -> TableRead | None:
    """Read the config's reviews, and those imported into the ledger; None if there are neither.

    Rows of both are versions of the reviews. A version that both hold counts once; where the two
    differ at one moment, the config's is kept and the ledger's is a reject. Reading never makes a
    ledger.

    Raises
    ------
    DataError
        Where a table or the ledger cannot be used.
    """
    read = None
    if config.data.reviews is not None:
        progress("reading reviews")
        paths = config.data_paths(config.data.reviews)
        read = read_reviews(
            paths, columns=config.data.columns, mapping=config.data.mapping("reviews")
        )
    ledger = find_project_ledger(config)
    if ledger is None:
        return read
    with ledger:
        recorded = ledger.reviews()
        if read is not None:
            recorded = link_reviewers(config, ledger, read.frame, recorded)
        return add_ledger_reviews(read, recorded, ledger.place)


def load_draws(
    config: Config, *, progress: Progress, drawn_before: datetime | None = None
) -> TableRead | None:
    """Read the config's audit draws, and those of the ledger; None if there are neither.

    A decision stands in a draw once. Where both differ, the config's row is kept and the ledger's
    is a reject. Reading never makes a ledger.

    Parameters
    ----------
    config, progress
        From `load_config`; callback for progress messages.
    drawn_before
        Only draws that the ledger has from before this moment; None for all.

    Raises
    ------
    DataError
        Where a table or the ledger cannot be used.
    """
    read = None
    if config.data.draws is not None:
        progress("reading draws")
        read = read_draws(
            config.data_paths(config.data.draws),
            columns=config.data.columns,
            mapping=config.data.mapping("draws"),
        )
    ledger = find_project_ledger(config)
    if ledger is not None:
        with ledger:
            read = add_ledger_draws(read, ledger.draws(before=drawn_before), ledger.place)
    return read


def free_threads(rows: int) -> int:
    """Return how many processors to use: more than are free is much slower."""
    if rows < _SMALL:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, (cores or 1) - _busy_processors())


def _busy_processors() -> int:
    """Return how many threads of others run now: the load average still holds what ended a minute ago."""
    try:
        running = []
        for _ in range(_LOOKS):
            running.append(int(_RUNNING.read_text().split()[3].partition("/")[0]))
            time.sleep(_PAUSE)
    except (OSError, ValueError, IndexError):  # no Linux
        return int(os.getloadavg()[0]) if hasattr(os, "getloadavg") else 0
    return max(0, sorted(running)[_LOOKS // 2] - 1)  # this thread reads it
