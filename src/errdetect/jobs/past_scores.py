"""What earlier runs of `score` said: the chance that each decision had to be reviewed."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from errdetect.config import Config
from errdetect.errors import DataError, sentence
from errdetect.schemas import SCORES

__all__ = ["latest_scores"]

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
        From `load_config`; `queue.scores` names the files.
    leave_out
        A run that does not count: scoring the same again is the same run.

    Returns
    -------
    pandas.DataFrame or None
        decision_id (unique), p_error, inclusion_probability, job_id, arm, run_id, scored_at; None
        where the config names no scores.

    Raises
    ------
    DataError
        Where a place holds no scores, or scores that do not say how they were drawn.
    """
    if config.queue.scores is None:
        return None
    places = [config.queue.scores] if isinstance(config.queue.scores, str) else config.queue.scores
    files = [file for place in places for file in _files(config.path(place))]
    if not files and leave_out is None:
        do = "Run `errdetect score` first, or set queue.scores to null."
        raise DataError(sentence("queue.scores", "name scores.parquet files", "none there", do))
    parts = [_read(file) for file in files]
    if not parts:
        return None
    rows = pd.concat(parts, ignore_index=True)
    if leave_out is not None:
        rows = rows[rows["run_id"] != leave_out]
    rows = rows.sort_values(["scored_at", "run_id"], kind="stable")
    return rows.drop_duplicates("decision_id", keep="last").reset_index(drop=True)


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
