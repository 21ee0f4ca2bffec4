"""What earlier runs of `score` said: the chance that each decision had to be reviewed."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from errdetect.config import Config
from errdetect.data.store.ledger import find_ledger
from errdetect.errors import DataError, sentence
from errdetect.estimation.queue_sample import QUEUED, covering_reviews
from errdetect.schemas import RE_REVIEW, SCORES
from errdetect.snapshot import Snapshot

__all__ = ["latest_scores", "queue_sample"]

_COLUMNS = (
    "decision_id",
    "p_error",
    "inclusion_probability",
    "job_id",
    "arm",
    "run_id",
    "scored_at",
)


def latest_scores(config: Config, *, leave_out: str | None = None) -> pd.DataFrame | None:
    """Read, of every decision that was scored, what the latest run said.

    Parameters
    ----------
    config
        From `load_config`; `queue.scores` names files, without which the ledger tells.
    leave_out
        A run that does not count: scoring the same again is the same run. What it found queued
        by earlier runs still does.

    Returns
    -------
    pandas.DataFrame or None
        decision_id (unique), p_error, inclusion_probability, job_id, arm, run_id, scored_at; None
        where nothing was scored.

    Raises
    ------
    DataError
        Where a place holds no scores, or scores that do not say how they were drawn.
    """
    rows = _in_ledger(config) if config.queue.scores is None else _in_files(config, leave_out)
    if rows is None:
        return None
    if leave_out is not None:
        rows = rows[(rows["run_id"] != leave_out) | (rows["arm"] == QUEUED)]
    if rows.empty:
        return None
    rows = rows.sort_values(["scored_at", "run_id"], kind="stable")
    return rows.drop_duplicates("decision_id", keep="last").reset_index(drop=True)


def queue_sample(config: Config, snapshot: Snapshot) -> tuple[Snapshot, pd.DataFrame | None]:
    """Give the queue's scores where its reviews can count as a sample.

    Parameters
    ----------
    config
        From `load_config`.
    snapshot
        What was known.

    Returns
    -------
    (snapshot, scores)
        With the queue's verdicts repeated for the content that they answer for, and the latest
        scores; None where nobody has reviewed anything of a queue.
    """
    known = (snapshot.known_reviews["source"] == RE_REVIEW).any()
    scores = latest_scores(config) if config.queue.scores is not None or known else None
    if scores is None:
        return snapshot, None
    return snapshot.with_reviews(covering_reviews(snapshot.reviews, scores)), scores


def _in_ledger(config: Config) -> pd.DataFrame | None:
    ledger = find_ledger(config.ledger_url())
    if ledger is None:
        return None
    with ledger:
        return ledger.scored()


def _in_files(config: Config, leave_out: str | None) -> pd.DataFrame | None:
    named = config.queue.scores
    places = [named] if isinstance(named, str) else named or []
    files = [file for place in places for file in _files(config.path(place))]
    if not files and leave_out is None:
        do = "Run `errdetect score` first, or set queue.scores to null."
        raise DataError(sentence("queue.scores", "name scores.parquet files", "none there", do))
    parts = [_read(file) for file in files]
    return pd.concat(parts, ignore_index=True) if parts else None


def _files(place: Path) -> list[Path]:
    return sorted(Path(place.anchor).glob(str(place.relative_to(place.anchor))))


def _read(file: Path) -> pd.DataFrame:
    missing = sorted(set(_COLUMNS) - set(pq.read_schema(file).names))
    if missing:
        do = "Score again with this version: the older files do not say who was drawn."
        what = f"'{file}'"
        raise DataError(
            sentence(what, f"have the columns {', '.join(_COLUMNS)}", f"no {missing[0]}", do)
        )
    schema = pa.schema([SCORES.field(name) for name in _COLUMNS])
    frame: pd.DataFrame = pq.read_table(file, columns=list(_COLUMNS)).cast(schema).to_pandas()
    return frame
