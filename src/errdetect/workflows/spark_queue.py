"""Scored decisions on Spark's workers: what `grouped_draw` asks of them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from errdetect.data.arrow_frames import POSITION, to_frame
from errdetect.data.atomic_writing import stage_provenance
from errdetect.spark.session import spark_schema
from errdetect.workflows.draw_tasks import (
    FACTS,
    IN_LINE,
    LEDGER,
    OUTPUT,
    VALUED,
    DrawnReviews,
    LineTask,
    OutputTask,
    PartWriter,
    ReviewTerms,
    ValueTask,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["FinishedOnSpark", "ScoredOnSpark", "ValuedOnSpark"]

Ints = npt.NDArray[np.int64]

_PARTITION_ROWS = 200_000  # valued together
_PART_ROWS = 250_000  # of a file


@dataclass(frozen=True)
class ScoredOnSpark:
    """All decisions scored, on the workers: see `ScoredRows`.

    Parameters
    ----------
    rows
        Spark's table with the columns `spark_batches.SCORED`, kept on the workers' disks.
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
    names: tuple[str, ...]
    kinds: pd.DataFrame
    period: tuple[pd.Timestamp, pd.Timestamp]
    rejects: pd.DataFrame
    notes: tuple[str, ...]

    def frame(self) -> pd.DataFrame:
        """Fetch all of them, in the input's order: what a draw among all decisions needs."""
        table = self.rows.where(f"{POSITION} >= 0").toArrow().sort_by(POSITION)
        return to_frame(table.select(list(self.names)))

    def value(self, terms: ReviewTerms) -> "ValuedOnSpark":
        """Value the reviews; decisions of equal content meet in one partition."""
        from pyspark import StorageLevel
        from pyspark.sql import functions as F  # noqa: N812

        rows = self.rows.where(f"{POSITION} >= 0")
        spark = rows.sparkSession
        if terms.one_job:
            size = -(-int(self.kinds["count"].sum()) // _PARTITION_ROWS)
            content = F.when(F.col("content").isNotNull(), F.xxhash64("content"))
            rows = rows.repartition(
                max(spark.sparkContext.defaultParallelism, size),
                F.coalesce(content, F.col(POSITION)),
            )
        task = ValueTask(spark.sparkContext.broadcast(terms))
        valued = rows.mapInArrow(task.run, spark_schema(VALUED))
        return ValuedOnSpark(valued.persist(StorageLevel.DISK_ONLY))


@dataclass(frozen=True)
class ValuedOnSpark:
    """All decisions with the value of their reviews, on the workers: see `ValuedRows`.

    Parameters
    ----------
    rows
        Spark's table with the columns `VALUED`.
    """

    rows: "DataFrame"

    @property
    def part_rows(self) -> int:
        """Decisions of each file."""
        return _PART_ROWS

    @property
    def _heads(self) -> "DataFrame":
        return self.rows.where(f"place >= 0 AND head = {POSITION}")

    def accounts(self) -> Sequence[Mapping[str, Any]]:
        """Return each part's totals."""
        found = self.rows.where(f"{POSITION} < 0").select(FACTS).collect()
        return [json.loads(row[FACTS]) for row in found]

    def group_sizes(self) -> pa.Table:
        """Count the open reviews by place and fine."""
        table = self._heads.groupBy("place", "fine").count().toArrow()
        return table.sort_by([("place", "ascending"), ("fine", "ascending")])

    def leading(self, most: Ints) -> pa.Table:
        """Return the most valuable open reviews of each kind and set of floors."""
        from pyspark.sql import Window
        from pyspark.sql import functions as F  # noqa: N812

        best = [F.desc("worth"), F.asc(POSITION)]
        own = Window.partitionBy("kind", "floors").orderBy(*best)
        heads = self._heads.withColumn("kind", F.shiftright("place", 32))
        heads = heads.withColumn("_rank", F.row_number().over(own))
        names = [POSITION, "worth", "place", "fine", "floors", "identity", "_rank"]
        heads = heads.where(F.col("_rank") <= int(most.max(initial=0))).select(*names)
        table = heads.toArrow().sort_by(POSITION)
        kind = table["place"].to_numpy() >> 32
        return table.filter(pa.array(table["_rank"].to_numpy() <= most[kind]))

    def line_totals(self, line: LineTask) -> pa.Table:
        """Sum up the units of each bucket."""
        sums = self._in_line().mapInArrow(line.totals, "bucket bigint, units bigint")
        return sums.groupBy("bucket").agg({"units": "sum"}).toArrow().sort_by("bucket")

    def line_rows(self, line: LineTask) -> pa.Table:
        """Return the rows of the buckets that `line` wants."""
        schema = spark_schema(pa.schema(IN_LINE.items()))
        return self._in_line().mapInArrow(line.rows, schema).toArrow()

    def _in_line(self) -> "DataFrame":
        return self._heads.select("identity", "place", "fine", "head", POSITION)

    def at(self, positions: Ints) -> pa.Table:
        """Return the rows at some positions."""
        from pyspark.sql import functions as F  # noqa: N812

        wanted = self.rows.sparkSession.createDataFrame(pa.table({POSITION: positions}))
        found = self.rows.join(F.broadcast(wanted), POSITION, "left_semi")
        return found.toArrow().sort_by(POSITION)

    def finish(self, plan: DrawnReviews) -> "FinishedOnSpark":
        """Give every decision its inclusion probability, arm, pool and job."""
        task = OutputTask(self.rows.sparkSession.sparkContext.broadcast(plan))
        own = self.rows.where(f"{POSITION} >= 0")
        return FinishedOnSpark(own.mapInArrow(task.run, spark_schema(OUTPUT)), self)

    def close(self) -> None:
        """Free the workers' disks."""
        self.rows.unpersist()


@dataclass(frozen=True)
class FinishedOnSpark:
    """All decisions with their inclusion probabilities, on the workers: see `FinishedRows`.

    Parameters
    ----------
    rows
        Spark's table with the columns of `schemas.SCORES`, and the file of each row.
    valued
        What they are made from.
    """

    rows: "DataFrame"
    valued: ValuedOnSpark

    def ledger_rows(self) -> Iterator[pd.DataFrame]:
        """Fetch what the ledger keeps of each decision, in the input's order."""
        table = self.rows.select(POSITION, *LEDGER).toArrow().sort_by(POSITION)
        yield to_frame(table.drop_columns([POSITION]))

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
        groups = self.rows.groupBy("_part")
        done = groups.applyInArrow(
            lambda table: writer.run(table), "part bigint, n bigint"
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
