"""Scored decisions on Spark's workers: what `grouped_draw` asks of them."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from errdetect.data.arrow_frames import POSITION, to_frame
from errdetect.data.atomic_writing import stage_provenance
from errdetect.spark.clean_rows import join_piece, pack_table, split_table, unpack_table
from errdetect.spark.session import spark_schema
from errdetect.workflows.draw_tasks import (
    FACTS,
    IN_LINE,
    LEADING,
    LEDGER,
    LINE,
    OUTPUT,
    SCORED,
    VALUED,
    DrawnReviews,
    LineTask,
    OutputTask,
    PartWriter,
    ReviewTerms,
    ValueTask,
    best_reviews,
    open_heads,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["FinishedOnSpark", "ScoredOnSpark", "ValuedOnSpark"]

Ints = npt.NDArray[np.int64]

_PART_ROWS = 250_000  # of a file
_PIECE_ROWS = 50_000
_NARROW = (POSITION, "head", "identity", "worth", "place", "fine", "floors")
_WIDE = [name for name in VALUED.names if name not in (*_NARROW, FACTS)]
_PIECES = pa.schema([(FACTS, pa.string()), ("narrow", pa.binary()), ("wide", pa.binary())])
_SIZES = pa.schema({"place": pa.int64(), "fine": pa.int64(), "n": pa.int64()})
_BEST = pa.schema({"kind": pa.int64(), **{n: VALUED.field(n).type for n in LEADING}})
_FINISHED = pa.schema({"part": pa.int64(), "held": pa.binary()})
_Batches = Iterator[pa.RecordBatch]


def _unpacked(batches: _Batches) -> _Batches:
    """Unpack tables, each the value `held` of a row."""
    for batch in batches:
        for held in batch["held"]:
            yield from unpack_table(held.as_buffer()).to_batches()


def _pieces(batches: _Batches) -> _Batches:
    """Pack batches with the columns `VALUED`."""
    for batch in batches:
        if not batch[FACTS].null_count:
            yield _one_piece(batch[FACTS].to_pylist(), None, None)
        for start in range(0, batch.num_rows if batch[FACTS].null_count else 0, _PIECE_ROWS):
            piece = pa.Table.from_batches([batch.slice(start, _PIECE_ROWS)])
            packed = [pack_table(piece.select(list(names))) for names in (_NARROW, _WIDE)]
            yield _one_piece([None], *packed)


def _one_piece(
    facts: Sequence[str | None], narrow: bytes | None, wide: bytes | None
) -> pa.RecordBatch:
    columns = [pa.array(facts, pa.string())]
    columns += [pa.array([held] * len(facts), pa.binary()) for held in (narrow, wide)]
    return pa.record_batch(columns, schema=_PIECES)


def _valued(batches: _Batches) -> _Batches:
    """Unpack the rows of `_pieces`."""
    for batch in batches:
        for narrow, wide in zip(batch["narrow"], batch["wide"], strict=True):
            table = join_piece(narrow.as_buffer(), wide.as_buffer())
            table = table.append_column(FACTS, pa.nulls(len(table), pa.string()))
            yield from table.select(VALUED.names).combine_chunks().to_batches()


def _heads(batches: _Batches, names: Sequence[str]) -> Iterator[pa.Table]:
    for batch in batches:
        for narrow in batch["narrow"]:
            yield open_heads(unpack_table(narrow.as_buffer()), names)


def _sizes(batches: _Batches) -> _Batches:
    """Count the open reviews by place and fine."""
    keys = ["place", "fine"]
    found = [heads.group_by(keys).aggregate([([], "count_all")]) for heads in _heads(batches, keys)]
    if found:
        both = pa.concat_tables(found).group_by(keys).aggregate([("count_all", "sum")])
        yield from both.rename_columns(_SIZES.names).cast(_SIZES).combine_chunks().to_batches()


@dataclass(frozen=True)
class _BestTask:
    """Sends the most valuable open reviews of a part."""

    most: Ints

    def run(self, batches: _Batches) -> _Batches:
        found: pa.Table | None = None
        for heads in _heads(batches, LEADING):
            both = heads if found is None else pa.concat_tables([found, heads])
            found = best_reviews(both, self.most)
        if found is not None:
            kind = pa.array(found["place"].to_numpy() >> 32)
            table = found.append_column("kind", kind).select(_BEST.names)
            yield from table.combine_chunks().to_batches()


@dataclass(frozen=True)
class _AtTask:
    """Sends the rows at some positions, packed."""

    positions: Ints

    def run(self, batches: _Batches) -> _Batches:
        for batch in _valued(batches):
            own = np.isin(batch[POSITION].to_numpy(), self.positions)
            if own.any():
                held = pack_table(pa.Table.from_batches([batch.filter(pa.array(own))]))
                yield pa.record_batch([pa.array([held], pa.binary())], names=["held"])


@dataclass(frozen=True)
class _FinishTask:
    """Finishes rows, and packs them by the file that they go to."""

    task: OutputTask

    def run(self, batches: _Batches) -> _Batches:
        done = list(self.task.run(_valued(batches)))
        if done:
            table = pa.Table.from_batches(done)
            for part, held in split_table(table, table["_part"].to_numpy()):
                yield pa.record_batch([pa.array([part]), pa.array([held])], schema=_FINISHED)


def _ledger_rows(batches: _Batches) -> _Batches:
    for batch in _unpacked(batches):
        held = pack_table(pa.Table.from_batches([batch]).select([POSITION, *LEDGER]))
        yield pa.record_batch([pa.array([held], pa.binary())], names=["held"])


def _fetched(rows: "DataFrame", schema: pa.Schema) -> pa.Table:
    """Fetch packed tables, in the input's order."""
    held = rows.toArrow()["held"]
    tables = [unpack_table(one.as_buffer()) for one in held]
    return pa.concat_tables([schema.empty_table(), *tables]).sort_by(POSITION)


@dataclass(frozen=True)
class ScoredOnSpark:
    """All decisions scored, on the workers: see `ScoredRows`.

    Parameters
    ----------
    rows
        Spark's table with the columns `spark_batches.SCORED_PIECES`, kept on the workers' disks.
    parts
        The number of their parts, equal content in one.
    names
        Columns of `ScoredFiles.frame`.
    kinds
        Decisions by policy_id, error_kind, and market and language where known; `count` of each.
    period
        The earliest and the latest decided_at.
    rejects, notes
        As for `ScoredDecisions`.
    """

    rows: "DataFrame"
    parts: int
    names: tuple[str, ...]
    kinds: pd.DataFrame
    period: tuple[pd.Timestamp, pd.Timestamp]
    rejects: pd.DataFrame
    notes: tuple[str, ...]

    def frame(self) -> pd.DataFrame:
        """Fetch all of them, in the input's order: what a draw among all decisions needs."""
        table = _fetched(self._held, pa.schema(SCORED.items()))
        return to_frame(table.select(list(self.names)))

    @property
    def _held(self) -> "DataFrame":
        return self.rows.where("held IS NOT NULL")

    def value(self, terms: ReviewTerms) -> "ValuedOnSpark":
        """Value the reviews; decisions of equal content meet in one partition."""
        from pyspark import StorageLevel

        rows = self._held
        if terms.one_job:
            rows = rows.repartitionById(self.parts, rows["number"].cast("int"))
        task = ValueTask(rows.sparkSession.sparkContext.broadcast(terms))
        valued = rows.mapInArrow(
            lambda batches: _pieces(task.run(_unpacked(batches))), spark_schema(_PIECES)
        )
        return ValuedOnSpark(valued.persist(StorageLevel.DISK_ONLY))


@dataclass(frozen=True)
class ValuedOnSpark:
    """All decisions with the value of their reviews, on the workers: see `ValuedRows`.

    Parameters
    ----------
    rows
        Spark's table of packed pieces: narrow and wide columns of `VALUED`, and each part's account.
    """

    rows: "DataFrame"

    @property
    def part_rows(self) -> int:
        """Decisions of each file."""
        return _PART_ROWS

    def accounts(self) -> Sequence[Mapping[str, Any]]:
        """Return each part's totals."""
        found = self.rows.where(f"{FACTS} IS NOT NULL").select(FACTS).collect()
        return [json.loads(row[FACTS]) for row in found]

    def _ask(self, work: Callable[[_Batches], _Batches], schema: pa.Schema) -> "DataFrame":
        rows = self.rows.where(f"{FACTS} IS NULL").select("narrow")
        return rows.mapInArrow(work, spark_schema(schema))

    def group_sizes(self) -> pa.Table:
        """Count the open reviews by place and fine."""
        sums = self._ask(_sizes, _SIZES).groupBy("place", "fine").agg({"n": "sum"})
        table = sums.toArrow().rename_columns(["place", "fine", "count"])
        return table.sort_by([("place", "ascending"), ("fine", "ascending")])

    def leading(self, most: Ints) -> pa.Table:
        """Return the most valuable open reviews of each kind and set of floors."""
        from pyspark.sql import Window
        from pyspark.sql import functions as F  # noqa: N812

        best = [F.desc("worth"), F.asc(POSITION)]
        own = Window.partitionBy("kind", "floors").orderBy(*best)
        heads = self._ask(_BestTask(most).run, _BEST)
        heads = heads.withColumn("_rank", F.row_number().over(own))
        heads = heads.where(F.col("_rank") <= int(most.max(initial=0)))
        table = heads.toArrow().sort_by(POSITION)
        kept = table["_rank"].to_numpy() <= most[table["kind"].to_numpy()]
        return table.filter(pa.array(kept)).select([*LEADING, "_rank"])

    def line_totals(self, line: LineTask) -> pa.Table:
        """Sum up the units of each bucket."""
        schema = pa.schema({"bucket": pa.int64(), "units": pa.int64()})
        sums = self._ask(lambda batches: line.totals(_line(batches)), schema)
        return sums.groupBy("bucket").agg({"units": "sum"}).toArrow().sort_by("bucket")

    def line_rows(self, line: LineTask) -> pa.Table:
        """Return the rows of the buckets that `line` wants."""
        schema = pa.schema(IN_LINE.items())
        return self._ask(lambda batches: line.rows(_line(batches)), schema).toArrow()

    def at(self, positions: Ints) -> pa.Table:
        """Return the rows at some positions."""
        rows = self.rows.where(f"{FACTS} IS NULL")
        return _fetched(rows.mapInArrow(_AtTask(positions).run, "held binary"), VALUED)

    def finish(self, plan: DrawnReviews) -> "FinishedOnSpark":
        """Give every decision its inclusion probability, arm, pool and job."""
        task = OutputTask(self.rows.sparkSession.sparkContext.broadcast(plan))
        rows = self.rows.where(f"{FACTS} IS NULL")
        done = rows.mapInArrow(_FinishTask(task).run, spark_schema(_FINISHED))
        return FinishedOnSpark(done, self)

    def close(self) -> None:
        """Free the workers' disks."""
        self.rows.unpersist()


def _line(batches: _Batches) -> _Batches:
    for heads in _heads(batches, LINE):
        yield from heads.combine_chunks().to_batches()


@dataclass(frozen=True)
class FinishedOnSpark:
    """All decisions with their inclusion probabilities, on the workers: see `FinishedRows`.

    Parameters
    ----------
    rows
        Spark's table of the number of each file, and packed rows with the columns `OUTPUT`.
    valued
        What they are made from.
    """

    rows: "DataFrame"
    valued: ValuedOnSpark

    def ledger_rows(self) -> Iterator[pd.DataFrame]:
        """Fetch what the ledger keeps of each decision, in the input's order."""
        schema = pa.schema([OUTPUT.field(name) for name in (POSITION, *LEDGER)])
        table = _fetched(self.rows.mapInArrow(_ledger_rows, "held binary"), schema)
        yield to_frame(table.select(list(LEDGER)))

    def write(self, folder: Path) -> None:
        """Write scores.parquet, in the input's order: a file, or a folder of parts where there are several.

        Parameters
        ----------
        folder
            The stage, which workers on other machines have to share.
        """
        place = folder / "parts"
        place.mkdir()
        writer = PartWriter(str(place.absolute()), stage_provenance(place))
        groups = self.rows.groupBy("part")
        done = groups.applyInArrow(
            lambda table: writer.run(pa.Table.from_batches(_unpacked(table.to_batches()))),
            "part bigint, n bigint",
        ).toArrow()
        kept = {PartWriter.name(part) for part in done["part"].to_pylist()}
        for path in place.iterdir():  # what a lost worker left behind
            if path.name not in kept:
                path.unlink()
        found = place if len(kept) > 1 else place / kept.pop()
        found.rename(folder / "scores.parquet")
        if place.exists():
            place.rmdir()
        self.valued.close()
