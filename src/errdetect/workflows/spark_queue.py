"""The queue on Spark: workers value reviews, draw and write; the driver holds candidates and totals."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from errdetect.config import Config
from errdetect.data.atomic_writing import stage_provenance
from errdetect.ledger.run_records import ScoringRun
from errdetect.queue.allocation import AccountLimit, Floor, OpenReviews
from errdetect.queue.grouped_selection import (
    GroupedArms,
    GroupedReviews,
    leading_reviews,
    marked,
    select_grouped,
)
from errdetect.queue.random_arm import UNIT, ReviewGroups, random_keys, unpack_levels
from errdetect.queue.selection import Selection, interleave_arms
from errdetect.snapshot import Snapshot
from errdetect.spark.cleaning import POSITION, spark_schema
from errdetect.spark.known_before import to_frame
from errdetect.workflows.control_variate import latest_scores
from errdetect.workflows.queueing import (
    WAITING,
    KnownPlaces,
    ReviewerCapacity,
    count_kinds,
    exclusion_notes,
    reviewer_capacity,
    selection_notes,
    value_reviews,
    waiting_reviews,
)
from errdetect.workflows.spark_queue_tasks import (
    FACTS,
    IN_LINE,
    OUTPUT,
    VALUED,
    DrawnReviews,
    GroupIndex,
    LineTask,
    OutputTask,
    PartWriter,
    ReviewTerms,
    ValueTask,
    finish_rows,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["ScoredOnSpark", "SparkDraw", "draw_on_spark"]

Ints = npt.NDArray[np.int64]

_PLACES = ("market", "language")
_PARTITION_ROWS = 200_000  # valued together
_PART_ROWS = 250_000  # of a file
_BUCKET_ROWS = 256  # reviews of each sum in the line from which marks draw
_MOST_FLOORS = 60


@dataclass(frozen=True)
class ScoredOnSpark:
    """All decisions scored, on the workers.

    Parameters
    ----------
    rows
        Spark's table with the columns `spark_batches.SCORED`, kept on the workers' disks.
    names
        Columns of `ScoredDecisions.frame`.
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

    @property
    def n(self) -> int:
        """Number of decisions."""
        return int(self.kinds["count"].sum())

    @property
    def period_frame(self) -> pd.DataFrame:
        """Both ends of the period."""
        return pd.DataFrame({"decided_at": list(self.period)})

    def frame(self) -> pd.DataFrame:
        """Fetch all of them, in the input's order: what one machine's draw needs."""
        table = self.rows.where(f"{POSITION} >= 0").toArrow().sort_by(POSITION)
        return to_frame(table.select(list(self.names)))


@dataclass(frozen=True)
class SparkDraw:
    """A run's draw, of which the driver has the queue and the workers all scores.

    Parameters
    ----------
    run
        The run.
    staff
        The reviewers.
    queue
        As `QueueDraw.queue`.
    notes
        Notes for the reader.
    scores
        Spark's table with the columns of `schemas.SCORES`, and the file of each row.
    valued
        What the workers keep; freed by `close`.
    n, period, recorded
        As for `RunDraw`.
    """

    run: ScoringRun
    staff: ReviewerCapacity
    queue: pd.DataFrame
    notes: tuple[str, ...]
    scores: "DataFrame"
    valued: "DataFrame"
    n: int
    period: pd.DataFrame
    recorded: bool = False

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
        groups = self.scores.groupBy("_part")
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
        self.close()

    def ledger_rows(self) -> pd.DataFrame:
        """Fetch what the ledger keeps of each decision, in the input's order."""
        names = ["decision_id", "inclusion_probability", "p_error", "job_id", "arm"]
        table = self.scores.select(POSITION, *names).toArrow().sort_by(POSITION)
        return to_frame(table.drop_columns([POSITION]))

    def close(self) -> None:
        """Free the workers' disks."""
        self.valued.unpersist()


@dataclass(frozen=True)
class _Inputs:
    """What decides the draw besides the scores."""

    config: Config
    scored: ScoredOnSpark
    staff: ReviewerCapacity
    kinds: pd.DataFrame
    codes: pd.DataFrame

    @property
    def capacity(self) -> npt.NDArray[np.float64]:
        return self.staff.capacity

    @cached_property
    def floors(self) -> list[tuple[str, str, float]]:
        """Column, value and minutes of each minimum share."""
        total = float(self.capacity.sum())
        shares = self.config.queue.minimum_shares
        return [
            (c, name, share * total) for c, own in shares.items() for name, share in own.items()
        ]


def draw_on_spark(
    config: Config,
    source: KnownPlaces,
    scored: ScoredOnSpark,
    snapshot: Snapshot,
    make_run: Callable[[npt.NDArray[np.uint64]], ScoringRun],
    *,
    reviewed: pd.Index,
    budget: int | None,
    is_recorded: Callable[[str], bool],
) -> SparkDraw | None:
    """Choose the reviews as one machine does, to the row.

    Parameters
    ----------
    config, source, snapshot, budget
        As for `reviewer_capacity` and `value_reviews`.
    scored
        All decisions.
    make_run
        Makes the run from `row_sums` of all decisions.
    reviewed
        Decisions that are not queued, since they were reviewed.
    is_recorded
        Whether the ledger has a run's draw.

    Returns
    -------
    SparkDraw or None
        None where one machine has to draw: several pools compete for the same decisions, or the ledger has the draw.
    """
    inputs, notes = _inputs(config, source, scored, snapshot, budget)
    can = inputs.staff.classes.can & (inputs.capacity > 0)
    if (can.sum(axis=1) > 1).any() or len(inputs.floors) > _MOST_FLOORS:
        return None
    before = latest_scores(config, arms=WAITING)
    valued, account = _value(inputs, reviewed, waiting_reviews(before))
    run = make_run(account.sums)
    if is_recorded(run.run_id):
        valued.unpersist()
        return None
    if before is not None and (before["run_id"] == run.run_id).any():
        valued.unpersist()  # this run's own reviews are no other run's
        before = latest_scores(config, leave_out=run.run_id, arms=WAITING)
        valued, account = _value(inputs, reviewed, waiting_reviews(before))
    seed = f"{config.queue.seed} {run.run_id}"
    groups, index = _groups(valued, inputs)
    leading, work = _leading(valued, inputs, groups, index)
    arms = select_grouped(work, inputs.capacity, config.queue.explore_share)
    ranked = leading.take(np.flatnonzero(arms.ranked.pool >= 0))
    drawn = _draw(valued, (groups, index, arms), ranked[POSITION].to_numpy(), seed)
    chosen = _Chosen.of(ranked, arms, drawn, seed)
    names = [pool.name for pool in inputs.staff.pools] if config.queue.pools else None
    plan = DrawnReviews(
        index, arms.probability, chosen.positions, chosen.explored, chosen.pool, names, run,
        waiting_reviews(before), "language" in scored.names, account.parts(_PART_ROWS),
    )  # fmt: skip
    queue = _queue_rows(valued, chosen, plan)
    selection = chosen.selection(arms, queue["covers"].to_numpy(np.int64))
    out_of_reach = count_kinds(*_out_of_reach(inputs, can, account))
    told = selection_notes(config, inputs.staff, selection, out_of_reach)
    task = OutputTask(valued.sparkSession.sparkContext.broadcast(plan))
    scores = valued.where(f"{POSITION} >= 0").mapInArrow(task.run, spark_schema(OUTPUT))
    every = (*notes, *exclusion_notes(account.closed), *told)
    return SparkDraw(run, inputs.staff, queue, every, scores, valued, scored.n, scored.period_frame)


def _inputs(
    config: Config,
    source: KnownPlaces,
    scored: ScoredOnSpark,
    snapshot: Snapshot,
    budget: int | None,
) -> tuple[_Inputs, list[str]]:
    """Work out, for each kind of decision, who can review it and what decides the review's value."""
    kinds = scored.kinds
    staff = reviewer_capacity(config, source, kinds, budget, scored.n)
    plain = kinds.assign(p_error=1.0, harm=1.0, exposure_weight=1.0, decided_at=scored.period[1])
    count = kinds["count"].to_numpy(np.int64)
    terms, notes = value_reviews(config, plain, staff, snapshot, count)
    lasts = np.ones(len(kinds)) if staff.counted else terms["minutes"].to_numpy(np.float64)
    pairs = pd.MultiIndex.from_arrays([staff.classes.of, lasts])
    codes = pairs.unique().sort_values()
    table = pd.DataFrame({"of": codes.get_level_values(0), "minutes": codes.get_level_values(1)})
    kinds = kinds.assign(
        p_overturn=terms["p_overturn"], minutes=terms["minutes"], kind=codes.get_indexer(pairs)
    )
    return _Inputs(config, scored, staff, kinds, table), notes


@dataclass(frozen=True)
class _Account:
    """Totals of all parts of the batch."""

    sums: npt.NDArray[np.uint64]
    closed: Counter[str]
    open_kinds: Counter[int]
    positions: Counter[int]

    def parts(self, rows: int) -> tuple[Ints, Ints]:
        """Return the blocks of positions, and the number of the file of each."""
        blocks = np.array(sorted(self.positions), np.int64)
        counts = np.array([self.positions[int(block)] for block in blocks], np.int64)
        return blocks, (np.cumsum(counts) - counts) // rows


def _value(inputs: _Inputs, reviewed: pd.Index, waiting: pd.Series) -> tuple["DataFrame", _Account]:
    """Value reviews; decisions of equal content meet in one partition."""
    from pyspark import StorageLevel
    from pyspark.sql import functions as F  # noqa: N812

    scored, queue = inputs.scored, inputs.config.queue
    keys = [n for n in ("policy_id", "error_kind", *_PLACES) if n in inputs.kinds]
    floors = np.zeros(len(inputs.kinds), np.int64)
    for i, (column, name, _) in enumerate(inputs.floors):
        floors |= (inputs.kinds[column] == name).to_numpy(np.int64) << i
    kinds = inputs.kinds[[*keys, "p_overturn", "minutes", "kind"]].assign(floors=floors)
    terms = ReviewTerms(
        kinds.reset_index(names="number"), keys, scored.period[1], queue.half_life_days,
        queue.one_job, reviewed, waiting,
    )  # fmt: skip
    rows = scored.rows.where(f"{POSITION} >= 0")
    if queue.one_job:
        spark = rows.sparkSession
        n = max(spark.sparkContext.defaultParallelism, -(-scored.n // _PARTITION_ROWS))
        content = F.when(F.col("content").isNotNull(), F.xxhash64("content"))
        rows = rows.repartition(n, F.coalesce(content, F.col(POSITION)))
    task = ValueTask(rows.sparkSession.sparkContext.broadcast(terms))
    valued = rows.mapInArrow(task.run, spark_schema(VALUED)).persist(StorageLevel.DISK_ONLY)
    sums = np.zeros(2, np.uint64)
    totals: dict[str, Counter[str]] = {name: Counter() for name in ("closed", "kinds", "positions")}
    for row in valued.where(f"{POSITION} < 0").select(FACTS).collect():
        facts: Mapping[str, Any] = json.loads(row[FACTS])
        sums = sums + np.array(facts["sums"], np.uint64)
        for name, counts in totals.items():
            counts.update(facts[name])
    numbers = [Counter({int(k): v for k, v in totals[n].items()}) for n in ("kinds", "positions")]
    return valued, _Account(sums, totals["closed"], *numbers)


def _groups(valued: "DataFrame", inputs: _Inputs) -> tuple[ReviewGroups, GroupIndex]:
    heads = valued.where(f"place >= 0 AND head = {POSITION}")
    table = heads.groupBy("place", "fine").count().toArrow()
    table = table.sort_by([("place", "ascending"), ("fine", "ascending")])
    place, fine, count = (table[name].to_numpy() for name in ("place", "fine", "count"))
    codes, kind = inputs.codes, place >> 32
    of = codes["of"].to_numpy(np.int64)[kind]
    minutes = codes["minutes"].to_numpy(np.float64)[kind]
    size = (place & 0xFFFFFFFF).astype(np.float64)
    groups = ReviewGroups(of, minutes, size, *unpack_levels(fine), count)
    return groups, GroupIndex.of(place, fine)


def _leading(
    valued: "DataFrame", inputs: _Inputs, groups: ReviewGroups, index: GroupIndex
) -> tuple[pa.Table, GroupedReviews]:
    """Fetch the most valuable reviews of each kind."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F  # noqa: N812

    cap, codes = inputs.config.queue.account_cap, inputs.codes
    most = [leading_reviews(m, inputs.capacity, cap) for m in codes["minutes"]]
    best = [F.desc("worth"), F.asc(POSITION)]
    heads = valued.where(f"place >= 0 AND head = {POSITION}")
    heads = heads.withColumn("kind", F.shiftright("place", 32))
    if cap is not None and "account_id" in inputs.scored.names:
        same = Window.partitionBy("kind", "floors", "account_id").orderBy(*best)
        heads = heads.withColumn("_nth", F.row_number().over(same))
        heads = heads.where((F.col("_nth") <= cap) | F.col("account_id").isNull())
    own = Window.partitionBy("kind", "floors").orderBy(*best)
    heads = heads.withColumn("_rank", F.row_number().over(own)).where(F.col("_rank") <= max(most))
    names = [POSITION, "worth", "place", "fine", "floors", "account_id", "identity", "_rank"]
    table = heads.select(*names).toArrow().sort_by(POSITION)
    kind = table["place"].to_numpy() >> 32
    table = table.filter(pa.array(table["_rank"].to_numpy() <= np.array(most)[kind]))
    kind = table["place"].to_numpy() >> 32
    of, minutes = (codes[name].to_numpy()[kind] for name in ("of", "minutes"))
    reviews = OpenReviews(table["worth"].to_numpy(), minutes, of, inputs.staff.classes.can)
    bits = table["floors"].to_numpy()
    floors = [
        Floor((bits >> i & 1).astype(bool), total) for i, (*_, total) in enumerate(inputs.floors)
    ]
    limit = None
    if cap is not None and "account_id" in inputs.scored.names:
        account = pd.factorize(table["account_id"].to_pandas())[0].astype(np.int64)
        limit = AccountLimit(account, cap)
    code = index.find(table["place"].to_numpy(), table["fine"].to_numpy())
    return table, GroupedReviews(reviews, code, groups, tuple(floors), limit)


def _draw(
    valued: "DataFrame",
    design: tuple[ReviewGroups, GroupIndex, GroupedArms],
    ranked: Ints,
    seed: str,
) -> pa.Table:
    """Draw the random part: sums of the line's parts to the driver, then the rows where marks fall."""
    groups, index, arms = design
    rows = np.flatnonzero(arms.probability > 0)
    if not len(rows):
        return pa.schema(IN_LINE.items()).empty_table()
    order = rows[np.lexsort((groups.minutes[rows], arms.home[rows]))]
    new = (np.diff(arms.home[order]) != 0) | (np.diff(groups.minutes[order]) != 0)
    layer = np.full(len(arms.home), -1, np.int64)
    layer[order] = np.cumsum(np.r_[0, new])
    units = (arms.probability * UNIT).astype(np.int64)
    buckets = max(1, int(groups.count.sum()) // _BUCKET_ROWS)
    bits = min(max(int(buckets).bit_length(), 1), 40)
    line = LineTask(
        index, layer, units, np.sort(ranked), f"draw {seed}", bits, np.empty(0, np.int64)
    )
    names = ["identity", "place", "fine", "head", POSITION]
    heads = valued.where(f"place >= 0 AND head = {POSITION}").select(*names)
    sums = heads.mapInArrow(line.totals, "bucket bigint, units bigint")
    table = sums.groupBy("bucket").agg({"units": "sum"}).toArrow().sort_by("bucket")
    bucket, total = table.column(0).to_numpy(), table.column(1).to_numpy()
    hit = marked(total, seed)
    begin = (np.cumsum(total) - total)[hit]
    wanted = line.within(bucket[hit])
    found = heads.mapInArrow(wanted.rows, spark_schema(pa.schema(IN_LINE.items()))).toArrow()
    found = _in_line(found)
    own, units = found["bucket"].to_numpy(), found["units"].to_numpy()
    first = np.searchsorted(own, bucket[hit])
    until = np.cumsum(units) - units
    before = until - np.repeat(until[first] - begin, np.diff(np.r_[first, len(own)]))
    return found.filter(pa.array(marked(units, seed, before)))


def _in_line(table: pa.Table) -> pa.Table:
    keys = table["key"].to_numpy().view(np.uint64)
    order = np.lexsort((table[POSITION].to_numpy(), keys, table["bucket"].to_numpy()))
    return table.take(pa.array(order))


@dataclass(frozen=True)
class _Chosen:
    """The reviews, first to last: where they stand in the input, how and for whom they were chosen."""

    positions: Ints
    explored: npt.NDArray[np.bool_]
    pool: Ints

    @classmethod
    def of(cls, ranked: pa.Table, arms: GroupedArms, drawn: pa.Table, seed: str) -> "_Chosen":
        pools = arms.ranked.pool[arms.ranked.pool >= 0]
        best = np.argsort(-ranked["worth"].to_numpy(), kind="stable")
        keys = random_keys(drawn["identity"].to_numpy().view(np.uint64), f"order {seed}")
        mixed = np.argsort(keys, kind="stable")
        places = np.r_[ranked[POSITION].to_numpy()[best], drawn[POSITION].to_numpy()[mixed]]
        homes = np.r_[pools[best], arms.home[drawn["group"].to_numpy()[mixed]]]
        n, m = len(best), len(places)
        order, explored = interleave_arms(np.arange(n), np.arange(n, m))
        return cls(places[order].astype(np.int64), explored, homes[order].astype(np.int64))

    def selection(self, arms: GroupedArms, covers: Ints) -> Selection:
        """Return what the notes are about."""
        nothing = np.empty(0)
        return Selection(
            self.positions, self.explored, self.pool, nothing.astype(np.int64), covers, nothing,
            arms.share, arms.ratio, arms.ranked.short,
        )  # fmt: skip


def _queue_rows(valued: "DataFrame", chosen: _Chosen, plan: DrawnReviews) -> pd.DataFrame:
    """Fetch the queue."""
    from pyspark.sql import functions as F  # noqa: N812

    spark: SparkSession = valued.sparkSession
    wanted = spark.createDataFrame(pa.table({POSITION: chosen.positions}))
    table = valued.join(F.broadcast(wanted), POSITION, "left_semi").toArrow().sort_by(POSITION)
    frame = to_frame(table)
    order = np.searchsorted(frame[POSITION].to_numpy(), chosen.positions)
    frame = frame.iloc[order].reset_index(drop=True)
    return finish_rows(frame, plan).assign(
        rank=np.arange(1, len(frame) + 1),
        value=frame["worth"],
        covers=(frame["place"].to_numpy(np.int64) & 0xFFFFFFFF),
    )


def _out_of_reach(
    inputs: _Inputs, can: npt.NDArray[np.bool_], account: _Account
) -> tuple[pd.DataFrame, Ints]:
    """Return the kinds of open decisions that no pool can take, and how many there are of each."""
    none = np.logical_not(np.any(can, axis=1))[inputs.staff.classes.of]
    count = np.array([account.open_kinds[i] for i in range(len(inputs.kinds))], np.int64)
    rows = np.flatnonzero(none & (count > 0))
    return inputs.kinds.iloc[rows], count[rows]
