"""Scoring runs in the ledger: scores, inclusion probabilities and the queue."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from sqlalchemy import Connection, Engine, exists, func, select, update

from errdetect import schemas
from errdetect.data.database_tables import (
    dump_json,
    read_transaction,
    upsert_rows,
    write_transaction,
)
from errdetect.data.review_versions import find_repeated_versions, known_at
from errdetect.errors import DataError, error_message
from errdetect.ledger import table_definitions as tables
from errdetect.ledger.row_conversion import (
    frame_to_rows,
    id_condition,
    record_events,
    require_columns,
    rows_to_frame,
    to_utc,
)

__all__ = [
    "IngestCounts",
    "QueueCounts",
    "ScoringRun",
    "inclusion_probabilities",
    "ingest_reviews",
    "queued_decisions",
    "record_run",
    "recorded_reviews",
    "recorded_runs",
    "scored_decisions",
]


_NAMES = tuple(column.name for column in schemas.REVIEWS)
_TYPES = {
    "string": pa.large_string(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "number": pa.float64(),
}
_SCHEMA = pa.schema([(column.name, _TYPES[column.kind]) for column in schemas.REVIEWS])


@dataclass(frozen=True)
class IngestCounts:
    """Counts of ingested reviews.

    Parameters
    ----------
    new, repeated, conflicting
        Added; recorded with equal values; recorded with other values at the same moment, so left out.
    conflicts
        The review_id of each conflict, in the order given.
    corrected, earlier
        Rows added to the history of a recorded review: later ones, which count from their moment
        on, and earlier ones, which count only before the recorded one.
    conflicting_rows
        The position of each conflicting row in the frame, from 0.
    """

    new: int
    repeated: int
    conflicting: int
    conflicts: tuple[str, ...] = ()
    corrected: int = 0
    earlier: int = 0
    conflicting_rows: tuple[int, ...] = field(default=(), compare=False)


def ingest_reviews(engine: Engine, frame: pd.DataFrame, at: datetime) -> IngestCounts:
    """Add reviews, and versions of reviews, that are new; see `Ledger.ingest`."""
    require_columns(frame, [c.name for c in schemas.REVIEWS if c.required], "The reviews")
    stamped = frame.assign(known_at=known_at(frame), ingested_at=pd.Timestamp(to_utc(at)))
    rows = frame_to_rows(stamped, tables.REVIEWS)
    given = rows_to_frame(([row[name] for name in _NAMES] for row in rows), _SCHEMA)
    with write_transaction(engine) as connection:
        known = _known_reviews(connection, given["review_id"].unique().tolist())
        every = pd.concat([known, given], ignore_index=True)
        copy, conflict = (mask[len(known) :] for mask in find_repeated_versions(every))
        before = _previously_known_at(every)[len(known) :]
        added = ~copy & ~conflict
        upsert_rows(connection, tables.REVIEWS, [rows[i] for i in np.flatnonzero(added).tolist()])
        moments = known_at(given).to_numpy("datetime64[us]")
        ids = given["review_id"]
        counts = IngestCounts(
            new=int((added & np.isnat(before)).sum()),
            repeated=int(copy.sum()),
            conflicting=int(conflict.sum()),
            conflicts=tuple(ids[conflict].tolist()),
            corrected=int((added & (moments > before)).sum()),
            earlier=int((added & (moments < before)).sum()),
            conflicting_rows=tuple(np.flatnonzero(conflict).tolist()),
        )
        if added.any():
            event = {"entity": "reviews", "id": ids[added].iloc[0], "what": "ingested"}
            record_events(
                connection, tables.EVENTS, [event | {"note": _ingest_note(counts, len(rows))}], at
            )
    return counts


def _ingest_note(counts: IngestCounts, n: int) -> str:
    """Return the history's note on an ingest."""
    parts = [f"{counts.new:,} new reviews of {n:,}"]
    if counts.corrected:
        parts.append(f"{counts.corrected:,} corrections")
    if counts.earlier:
        parts.append(f"{counts.earlier:,} earlier versions")
    return ", ".join(parts)


def _previously_known_at(every: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.datetime64]]:
    """Return the latest moment of each row's review among the rows above it; NaT without one."""
    moments = known_at(every).dt.tz_convert(None)
    latest = moments.astype("int64").groupby(every["review_id"]).cummax()
    above = latest.groupby(every["review_id"]).shift()
    return np.asarray(pd.to_datetime(above, unit="us"), dtype="datetime64[us]")


def recorded_reviews(engine: Engine, ids: Sequence[str] | None = None) -> pd.DataFrame:
    """Return every version of the reviews; see `Ledger.reviews`."""
    with read_transaction(engine) as connection:
        return _known_reviews(connection, ids)


def _known_reviews(connection: Connection, ids: Sequence[str] | None) -> pd.DataFrame:
    table = tables.REVIEWS.c
    wanted = select(*(table[name] for name in _NAMES))
    if ids is not None:
        wanted = wanted.where(id_condition(connection, table.review_id, ids))
    order = (table.known_at, table.review_id)
    return rows_to_frame(connection.execute(wanted.order_by(*order)), _SCHEMA)


_TIME = pa.timestamp("us", tz="UTC")
_RUNS = pa.schema(
    [
        ("run_id", pa.string()),
        ("model_version", pa.string()),
        ("scored_at", _TIME),
        ("n_scored", pa.int64()),
        ("n_queued", pa.int64()),
        ("design", pa.string()),
    ]
)
_SCORED = pa.schema(
    [
        ("decision_id", pa.string()),
        ("p_error", pa.float64()),
        ("inclusion_probability", pa.float64()),
        ("job_id", pa.string()),
        ("arm", pa.string()),
        ("run_id", pa.string()),
        ("scored_at", _TIME),
    ]
)
_JSON = ("reasons", "more")
#: The arm of decisions that an earlier run queued.
_QUEUED = "queued"


@dataclass(frozen=True)
class ScoringRun:
    """One scoring run.

    Parameters
    ----------
    run_id
        Its id; equal runs must have equal ids, different runs different ones.
    model_version
        The model that scored.
    scored_at
        When, with a zone.
    design
        Settings of the draw (budget, exploration share, seed, ...), for the record.
    """

    run_id: str
    model_version: str
    scored_at: datetime
    design: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class QueueCounts:
    """How many decisions a run added to the queue, and how many were already queued."""

    new: int
    already: int


def record_run(
    engine: Engine, run: ScoringRun, queue: pd.DataFrame, scored: pd.DataFrame
) -> QueueCounts:
    """Record a run whole or not at all; see `Ledger.record_run`."""
    require_columns(queue, ["decision_id"], "The queue")
    require_columns(scored, ["decision_id", "inclusion_probability"], "The scores")
    rows = _queue_rows(_add_run_columns(queue, run))
    known = [name for name in _SCORED.names if name in scored]
    chances = _add_run_columns(scored[known].reindex(columns=_SCORED.names), run)
    designs = frame_to_rows(chances, tables.SCORED)
    _refuse_repeated("The queue", rows)
    _refuse_repeated("The scores", designs)
    _refuse_unscored(rows, designs)
    with write_transaction(engine) as connection:
        already = _queued_ids(connection, [row["decision_id"] for row in rows])
        if _run_exists(connection, run.run_id):
            _refuse_other_queue(run.run_id, len(rows) - len(already))
            return QueueCounts(0, len(rows))
        new = [row for row in rows if row["decision_id"] not in already]
        _insert_run(connection, run, len(designs), len(new))
        upsert_rows(connection, tables.SCORED, designs, later=tables.SCORED.c.scored_at)
        upsert_rows(connection, tables.QUEUED, new)
        _mark_certain_reviews(connection, run.run_id)
        note = f"{len(designs):,} scored, {len(new):,} queued, {len(already):,} already queued"
        event = {"entity": "run", "id": run.run_id, "what": "recorded", "note": note}
        record_events(connection, tables.EVENTS, [event], run.scored_at)
    return QueueCounts(len(new), len(already))


def recorded_runs(engine: Engine) -> pd.DataFrame:
    """Return every run, oldest first."""
    table = tables.RUNS
    columns = [table.c[name] for name in _RUNS.names]
    with read_transaction(engine) as connection:
        found = connection.execute(select(*columns).order_by(table.c.scored_at, table.c.run_id))
        return rows_to_frame(found, _RUNS)


def queued_decisions(
    engine: Engine, ids: Sequence[str] | None = None, *, open_only: bool = False
) -> pd.DataFrame:
    """Return the queue; see `Ledger.queued_decisions`."""
    table = tables.QUEUED
    wanted = select(*(table.c[name] for name in (*_stored_queue_columns(), "more")))
    with read_transaction(engine) as connection:
        if ids is not None:
            wanted = wanted.where(id_condition(connection, table.c.decision_id, list(ids)))
        if open_only:
            review = tables.REVIEWS.c
            wanted = wanted.where(
                ~exists().where(
                    review.decision_id == table.c.decision_id,
                    review.source != schemas.GOLDEN,
                    review.known_at >= table.c.scored_at,
                )
            )
        order = (table.c.scored_at, table.c.run_id, table.c.rank, table.c.decision_id)
        return _queue_frame(connection.execute(wanted.order_by(*order)).all())


def inclusion_probabilities(engine: Engine, ids: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return each decision's latest inclusion probability; see `Ledger.inclusion_probabilities`."""
    table = tables.SCORED.c
    wanted = select(table.decision_id, table.inclusion_probability)
    with read_transaction(engine) as connection:
        rows = connection.execute(
            wanted.where(id_condition(connection, table.decision_id, list(ids)))
        )
        found = {row[0]: row[1] for row in rows}
    chances = [found.get(one) for one in ids]
    return np.array([np.nan if c is None else c for c in chances], dtype=np.float64)


def scored_decisions(engine: Engine) -> pd.DataFrame:
    """Return the latest scores of every decision; see `Ledger.scored`."""
    table = tables.SCORED
    columns = [table.c[name] for name in _SCORED.names]
    with read_transaction(engine) as connection:
        return rows_to_frame(
            connection.execute(select(*columns).order_by(table.c.decision_id)), _SCORED
        )


def _add_run_columns(frame: pd.DataFrame, run: ScoringRun) -> pd.DataFrame:
    return frame.assign(run_id=run.run_id, scored_at=pd.Timestamp(to_utc(run.scored_at)))


def _stored_queue_columns() -> list[str]:
    """Return the queue's columns that the ledger's table has."""
    return [name for name in schemas.QUEUE.names if name in tables.QUEUED.c]


def _queue_rows(queue: pd.DataFrame) -> list[dict[str, Any]]:
    """Write reasons, and columns that the table lacks, as JSON."""
    further = [str(name) for name in queue.columns if name not in tables.QUEUED.c]
    more = queue[further].to_dict("records")
    reasons = queue["reasons"] if "reasons" in queue else pd.Series([[]] * len(queue))
    text = {
        "reasons": [dump_json([] if one is None else one) for one in reasons],
        "more": [dump_json(row) for row in more],
    }
    written = {name: pd.Series(text[name], queue.index) for name in _JSON}
    return frame_to_rows(queue.assign(**written), tables.QUEUED)


def _refuse_repeated(what: str, rows: Sequence[dict[str, Any]]) -> None:
    again = len(rows) - len({row["decision_id"] for row in rows})
    if again:
        do = "Keep each decision's first row."
        raise DataError(error_message(what, "name each decision once", f"{again:,} repeated", do))


def _queue_frame(rows: Sequence[Sequence[object]]) -> pd.DataFrame:
    names = _stored_queue_columns()
    schema = schemas.QUEUE
    at = names.index("reasons")
    listed = [[*row[:at], json.loads(str(row[at])), *row[at + 1 : -1]] for row in rows]
    frame = rows_to_frame(listed, pa.schema([schema.field(name) for name in names]))
    more = pd.DataFrame([json.loads(str(row[-1])) for row in rows], index=frame.index)
    for name in schema.names:
        if name not in frame and name not in more:
            more[name] = None
    return pd.concat([frame, more], axis=1)


def _queued_ids(connection: Connection, ids: Sequence[str]) -> set[str]:
    key = tables.QUEUED.c.decision_id
    return set(connection.execute(select(key).where(id_condition(connection, key, ids))).scalars())


def _run_exists(connection: Connection, run_id: str) -> bool:
    table = tables.RUNS.c
    wanted = select(func.count()).where(table.run_id == run_id)
    return bool(connection.execute(wanted).scalar_one())


def _refuse_other_queue(run_id: str, strange: int) -> None:
    if strange:
        what = f"The queue of run {run_id}, which the ledger holds,"
        got = f"{strange:,} more decisions"
        do = "Give another run another run_id."
        raise DataError(error_message(what, "be the one recorded", got, do))


def _refuse_unscored(rows: Sequence[dict[str, Any]], designs: Sequence[dict[str, Any]]) -> None:
    known = {row["decision_id"] for row in designs}
    strange = [row["decision_id"] for row in rows if row["decision_id"] not in known]
    if strange:
        got = f"{len(strange):,} others, such as {strange[0]!r}"
        do = "Give every scored decision with its inclusion probability."
        raise DataError(error_message("The queue", "hold scored decisions only", got, do))


def _insert_run(connection: Connection, run: ScoringRun, n_scored: int, n_queued: int) -> None:
    row = {
        "run_id": run.run_id,
        "model_version": run.model_version,
        "scored_at": to_utc(run.scored_at),
        "n_scored": n_scored,
        "n_queued": n_queued,
        "design": dump_json(run.design),
    }
    upsert_rows(connection, tables.RUNS, [row])


def _mark_certain_reviews(connection: Connection, run_id: str) -> None:
    """Set inclusion probability 1 where another run queued the decision: its review is certain.

    The run that set the probability may not have known of that queue, if two scored at once or
    one is recorded late; given the queue, its own probability would be wrong.
    """
    scored, queue = tables.SCORED.c, tables.QUEUED.c
    for stated, queued_by in (
        (scored.run_id == run_id, queue.run_id != run_id),
        (scored.run_id != run_id, queue.run_id == run_id),
    ):
        certain = scored.decision_id.in_(select(queue.decision_id).where(queued_by))
        design = {"inclusion_probability": 1.0, "arm": _QUEUED}
        connection.execute(update(tables.SCORED).where(stated, certain).values(design))
