"""Scoring runs in the ledger: scores, inclusion probabilities and the queue."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
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
    upsert_columns,
    upsert_rows,
    write_transaction,
)
from errdetect.data.id_lookup import IdSet
from errdetect.data.renamed_columns import use_new_names
from errdetect.errors import DataError, error_message
from errdetect.ledger import table_definitions as tables
from errdetect.ledger.row_conversion import (
    frame_to_columns,
    frame_to_rows,
    id_condition,
    record_events,
    require_columns,
    rows_to_frame,
    to_utc,
)

__all__ = ["QueueCounts", "RunRecords", "ScoringRun"]

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
_CHUNK = 50_000  # scores recorded at a time


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


class RunRecords:
    """The part of a `Ledger` that records what was scored and queued."""

    engine: Engine

    def record_run(
        self,
        run: ScoringRun,
        queue: pd.DataFrame,
        scored: pd.DataFrame | Iterable[pd.DataFrame],
        n_scored: int | None = None,
    ) -> QueueCounts:
        """Record a scoring run and add its queue; a decision is queued once only.

        Parameters
        ----------
        run
            The run. A known run_id changes nothing.
        queue
            One row a decision to review, with the columns of `schemas.QUEUE`, and any others.
            Decisions that an earlier run queued are skipped.
        scored
            decision_id and inclusion_probability of every decision scored, and, where known,
            p_error, job_id (whose review also covers it) and arm. The latest run (by
            `scored_at`) sets a decision's inclusion probability; where another run queued it, it is
            1, as its review is then certain. Also part by part, in bounded memory; parts have no
            decision in common.
        n_scored
            Number of decisions scored; needed where they come in parts.

        Returns
        -------
        QueueCounts
            How many decisions are new in the queue, and how many were already queued.

        Raises
        ------
        DataError
            If the run is recorded with another queue, a column is missing, or a queued decision was
            not scored.

        Examples
        --------
        >>> import tempfile
        >>> from datetime import UTC
        >>> from errdetect.ledger.ledger import open_ledger
        >>> queue = pd.DataFrame({"decision_id": ["d1"], "rank": [1], "inclusion_probability": [1.0]})
        >>> scored = pd.DataFrame(
        ...     {"decision_id": ["d1", "d2"], "inclusion_probability": [1.0, 0.05]}
        ... )
        >>> run = ScoringRun("r1", "3", datetime(2026, 3, 1, tzinfo=UTC), {"budget": 1})
        >>> with (
        ...     tempfile.TemporaryDirectory() as folder,
        ...     open_ledger(f"sqlite:///{folder}/ledger.db") as ledger,
        ... ):
        ...     [ledger.record_run(run, queue, scored) for _ in range(2)]
        ...     ledger.inclusion_probabilities(["d2", "d9"]).tolist()
        [QueueCounts(new=1, already=0), QueueCounts(new=0, already=1)]
        [0.05, nan]
        """
        require_columns(queue, ["decision_id"], "The queue")
        rows = _queue_rows(_add_run_columns(queue, run))
        queued = pd.Series([row["decision_id"] for row in rows], dtype="str")
        _refuse_repeated("The queue", queued)
        parts = [scored] if isinstance(scored, pd.DataFrame) else scored
        with write_transaction(self.engine) as connection:
            already = _queued_ids(connection, queued.tolist())
            if _run_exists(connection, run.run_id):
                _refuse_other_queue(run.run_id, len(rows) - len(already))
                return QueueCounts(0, len(rows))
            new = [row for row in rows if row["decision_id"] not in already]
            n_scored = len(scored) if isinstance(scored, pd.DataFrame) else n_scored
            assert n_scored is not None
            _insert_run(connection, run, n_scored, len(new))
            _insert_scores(connection, run, parts, queued)
            upsert_rows(connection, tables.QUEUED, new)
            _mark_certain_reviews(connection, run.run_id)
            note = f"{n_scored:,} scored, {len(new):,} queued, {len(already):,} already queued"
            event = {"entity": "run", "id": run.run_id, "what": "recorded", "note": note}
            record_events(connection, tables.EVENTS, [event], run.scored_at)
        return QueueCounts(len(new), len(already))

    def runs(self) -> pd.DataFrame:
        """Return every run: run_id, model_version, scored_at, n_scored, n_queued, design (JSON)."""
        table = tables.RUNS
        columns = [table.c[name] for name in _RUNS.names]
        with read_transaction(self.engine) as connection:
            found = connection.execute(select(*columns).order_by(table.c.scored_at, table.c.run_id))
            return rows_to_frame(found, _RUNS)

    def queued_decisions(
        self,
        ids: Sequence[str] | None = None,
        *,
        open_only: bool = False,
        run_id: str | None = None,
    ) -> pd.DataFrame:
        """Return the queue by run, oldest first, then rank.

        Parameters
        ----------
        ids
            Only these decisions.
        open_only
            Only decisions without a review (golden ones do not count) in the ledger since they
            were queued.
        run_id
            Only this run's.

        Returns
        -------
        DataFrame
            The columns of `schemas.QUEUE`, then further columns of the runs.
        """
        table = tables.QUEUED
        wanted = select(*(table.c[name] for name in (*_stored_queue_columns(), "more")))
        with read_transaction(self.engine) as connection:
            if ids is not None:
                wanted = wanted.where(id_condition(connection, table.c.decision_id, list(ids)))
            if run_id is not None:
                wanted = wanted.where(table.c.run_id == run_id)
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

    def scored(
        self,
        ids: Sequence[str] | None = None,
        *,
        run_id: str | None = None,
        arms: Collection[str] | None = None,
    ) -> pd.DataFrame:
        """Return the latest run's scores of every decision ever scored, by decision_id.

        Parameters
        ----------
        ids, run_id, arms
            Only these decisions, those last scored by this run, those in these arms.

        Returns
        -------
        DataFrame
            decision_id, p_error, inclusion_probability, job_id, arm, run_id, scored_at. The arm is
            `queued` if another run had queued the decision.
        """
        table = tables.SCORED
        wanted = select(*(table.c[name] for name in _SCORED.names)).order_by(table.c.decision_id)
        if run_id is not None:
            wanted = wanted.where(table.c.run_id == run_id)
        if arms is not None:
            wanted = wanted.where(table.c.arm.in_(sorted(arms)))
        with read_transaction(self.engine) as connection:
            if ids is not None:
                wanted = wanted.where(id_condition(connection, table.c.decision_id, list(ids)))
            rows = connection.execute(wanted, execution_options={"yield_per": _CHUNK})
            parts = [rows_to_frame(part, _SCORED) for part in rows.partitions()]
        return pd.concat(parts, ignore_index=True) if parts else rows_to_frame([], _SCORED)

    def inclusion_probabilities(self, ids: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return each decision's inclusion probability in the latest run.

        Parameters
        ----------
        ids
            n decisions.

        Returns
        -------
        ndarray of shape (n,)
            In (0, 1]; NaN where no run scored it.
        """
        table = tables.SCORED.c
        wanted = select(table.decision_id, table.inclusion_probability)
        with read_transaction(self.engine) as connection:
            rows = connection.execute(
                wanted.where(id_condition(connection, table.decision_id, list(ids)))
            )
            found = {row[0]: row[1] for row in rows}
        chances = [found.get(one) for one in ids]
        return np.array([np.nan if c is None else c for c in chances], dtype=np.float64)


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


def _refuse_repeated(what: str, ids: pd.Series) -> None:
    again = int(ids.duplicated().sum())
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
    more = use_new_names(more, "queue")  # older versions recorded the old ones
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


def _refuse_unscored(strange: pd.Series) -> None:
    if len(strange):
        got = f"{len(strange):,} others, such as {strange.iloc[0]!r}"
        do = "Give every scored decision with its inclusion probability."
        raise DataError(error_message("The queue", "hold scored decisions only", got, do))


def _insert_scores(
    connection: Connection, run: ScoringRun, parts: Iterable[pd.DataFrame], queued: pd.Series
) -> None:
    """Record every decision's scores, some at a time; a later run's stay."""
    moment, unscored = to_utc(run.scored_at), queued
    for scored in parts:
        require_columns(scored, ["decision_id", "inclusion_probability"], "The scores")
        _refuse_repeated("The scores", scored["decision_id"])
        ids = scored["decision_id"]
        unscored = unscored[~unscored.isin(ids[IdSet(unscored).among(ids)])]
        names = [name for name in _SCORED.names if name in scored]
        for start in range(0, len(scored), _CHUNK):
            part = scored[names].iloc[start : start + _CHUNK]
            columns = frame_to_columns(part, tables.SCORED)
            columns |= {"run_id": [run.run_id] * len(part), "scored_at": [moment] * len(part)}
            upsert_columns(connection, tables.SCORED, columns, later=tables.SCORED.c.scored_at)
    _refuse_unscored(unscored)


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
