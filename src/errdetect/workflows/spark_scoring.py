"""Scoring on Spark: the same batches, histories and queue as on one machine, on many workers."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd

from errdetect.config import Config
from errdetect.data.arrow_frames import POSITION, to_frame
from errdetect.data.policy_catalogue import Policy
from errdetect.data.rejected_rows import Rejections
from errdetect.data.sources import SourceFile, find_files
from errdetect.data.table_reading import scan_decisions
from errdetect.errors import ConfigError, DataError, error_message
from errdetect.features.counted_log import OVERALL, CountedKeys
from errdetect.features.feature_matrix import Encoding
from errdetect.features.point_in_time_features import PointInTimeFeatures
from errdetect.features.typed_columns import ColumnCounts
from errdetect.model.bundle import ModelBundle
from errdetect.snapshot import Snapshot
from errdetect.spark.clean_rows import KEY, EventReader, find_known, read_events
from errdetect.spark.cleaning import CleanDecisions, CleaningTask, clean_decisions
from errdetect.spark.counting import SPLIT_ROWS, EarlierCounts, count_earlier
from errdetect.spark.known_before import VERSIONS, KnownBefore, first_versions
from errdetect.spark.session import (
    PARTITION_ROWS,
    check_spark,
    open_session,
    size_shuffles,
    spark_schema,
)
from errdetect.workflows.current_levels import recent_ids
from errdetect.workflows.decision_explainer import contrast_candidates
from errdetect.workflows.draw_tasks import FACTS, SCORED, kinds_table
from errdetect.workflows.load_data import Progress
from errdetect.workflows.score_batches import BatchScorer, scoring_notes
from errdetect.workflows.spark_batches import (
    ROWS,
    SCORED_PIECES,
    ScoringTask,
    content_columns,
    text_keys,
)
from errdetect.workflows.spark_queue import ScoredOnSpark

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["SparkSource", "check_spark_run", "score_on_spark", "translated_failures"]

_T = TypeVar("_T")
_PLACES = ("market", "language", "policy_id")
_REVIEWED = ("decision_id", "decided_at", "policy_id", "enforced")


@contextmanager
def translated_failures() -> Iterator[None]:
    """Turn Spark's account of a worker's fault into the words that one machine has for it.

    Raises
    ------
    DataError
        With the worker's message.
    """
    from pyspark.errors import PySparkException

    try:
        yield
    except PySparkException as error:
        text = str(error)
        ours = re.search(r"errdetect\.errors\.\w+: (.*?)(?:\n\n|\n\s*at |\Z)", text, re.S)
        if ours is not None:
            raise DataError(ours[1].strip()) from error
        causes = re.findall(r"^[\w.]*(?:Error|Exception): .+", text, re.M)
        first = causes[-1] if causes else text.strip().partition("\n")[0]
        do = "See Spark's own log of its workers."
        raise DataError(error_message("Spark", "finish its tasks", first[:300], do)) from error


def check_spark_run(also: str | None) -> None:
    """Refuse, before anything is read, what Spark cannot do.

    Raises
    ------
    ConfigError
        Where PySpark or Java is absent, or another version is to score as well.
    """
    check_spark()
    if also is not None:
        do = "Score with --engine spark without it, or on one machine with it."
        raise ConfigError([error_message("--also", "be left out with --engine spark", also, do)])


class SparkSource:
    """The log and the decisions to score on Spark: what `ScoringSource` is on one machine.

    Parameters
    ----------
    config
        From `load_config`.
    decisions
        Path or glob.
    reviewed
        Ids of reviewed decisions, including golden items.
    encoding
        The model's.
    """

    def __init__(
        self,
        config: Config,
        decisions: str,
        reviewed: pd.Index,
        encoding: Encoding,
    ) -> None:
        self._config, self._encoding, self._reviewed = config, encoding, reviewed
        sources = {"log": config.data_paths(config.data.decisions), "decisions": decisions}
        mapping = config.data.mapping("decisions")
        files = {n: find_files(s, mapping=mapping, table="decisions") for n, s in sources.items()}
        surveys = {
            n: scan_decisions(f, config.data.columns, config.data.drop) for n, f in files.items()
        }
        columns = {c.name for s in surveys.values() for c in s.columns}
        columns |= {name for s in surveys.values() for name in s.features}
        self.keys = CountedKeys.of(encoding.names, sorted(columns))
        self._parts: dict[str, CleanDecisions] = {}
        self._tasks = {
            name: self._task(files[name], surveys[name], len(files["log"]) if name != "log" else 0)
            for name in sources
        }
        # Faults of the input are told before Spark takes seconds to start.
        self.spark = open_session()
        self._known: KnownBefore | None = None
        self._special = pd.DataFrame()
        self._counts: EarlierCounts | None = None
        self._versions: pd.DataFrame | None = None

    def _task(self, files: Sequence[SourceFile], survey: Any, first: int) -> CleaningTask:
        return CleaningTask(
            tuple(files), first, survey, self._config.data.actions,
            self._encoding.numeric_kinds, self._encoding.levels, self.keys.hashed, self.keys.content,
            full=None if first else frozenset(self._reviewed),
        )  # fmt: skip

    def walk(self) -> None:
        """Clean the log and the decisions to score.

        Raises
        ------
        DataError
            At the end of either, if too many of its rows cannot be used.
        """
        # Spark's default of 200 parts is for tables of gigabytes; the rows are counted below.
        size_shuffles(self.spark, 0)
        words = {"log": "The log's decisions", "decisions": "The decisions to score"}

        def clean(name: str) -> CleanDecisions:
            with translated_failures():
                part = clean_decisions(self.spark, self._tasks[name], words[name])
            part.rejections.raise_if_too_many(self._config.data.max_rejected)
            return part

        self._parts = dict(zip(self._tasks, self._of_both(clean), strict=True))
        size_shuffles(self.spark, self._n)

    def _of_both(self, work: Callable[[str], _T]) -> list[_T]:
        """Do work for both sources at once: small jobs leave workers idle."""
        with ThreadPoolExecutor(len(self._tasks)) as pool:
            return [job.result() for job in [pool.submit(work, name) for name in self._tasks]]

    @property
    def rejections(self) -> dict[str, Rejections]:
        """The accounts of unusable rows."""
        return {name: part.rejections for name, part in self._parts.items()}

    @property
    def _n(self) -> int:
        return sum(part.rejections.n_rows for part in self._parts.values())

    @property
    def batch(self) -> CleanDecisions:
        """The decisions to score."""
        return self._parts["decisions"]

    def notes(self) -> list[str]:
        """Describe the unusable rows of the log and of the batch, and the likely cause."""
        return [note for part in self.rejections.values() for note in part.notes()]

    def places(self) -> Mapping[str, set[str]]:
        """Return the markets, languages and policies that occur in the log, by column."""
        return {name: set().union(*(f.get(name, ()) for f in self._values)) for name in _PLACES}

    @cached_property
    def _values(self) -> list[dict[str, set[Any]]]:
        """Each source's markets, languages and policies, and the least and the greatest of its keys."""
        keys = [KEY + key for key in self.keys.history]
        return self._of_both(lambda name: self._parts[name].rows.values(_PLACES, keys))

    def reviewed(self) -> pd.DataFrame:
        """Return decision_id, decided_at, policy_id, enforced and keys of the decisions reviewed."""
        names = [*_REVIEWED, "action", *(n for n in self.keys.columns if n not in _REVIEWED)]

        def pick(source: str) -> pd.DataFrame:
            some = self._parts[source].rows.pick(self._reviewed)
            return to_frame(some.select([name for name in names if name in some.column_names]))

        rows = pd.concat(self._of_both(pick), ignore_index=True)
        return rows.drop_duplicates("decision_id", ignore_index=True)

    def look_up(
        self, bundle: ModelBundle, snapshot: Snapshot, reviewed: pd.DataFrame, now: datetime
    ) -> None:
        """Count what was known before each decision to score, and before those that explain them."""
        upheld = contrast_candidates(reviewed, snapshot, now)
        special = pd.Index(upheld).union(recent_ids(bundle, snapshot))
        with translated_failures():
            self._count(special)
            if self._counts is not None:
                self._know(snapshot, reviewed)
            frames = self._of_both(lambda name: self._finish(self._parts[name], special))
        rows = pd.concat(frames, ignore_index=True)
        self._special = rows.drop_duplicates("decision_id", ignore_index=True)

    def _count(self, special: pd.Index) -> None:
        if not (self.keys.names or self.keys.changes):
            return
        from pyspark import StorageLevel

        log, batch = (self._parts[name].rows for name in ("log", "decisions"))
        made = {*log.schema.names, *batch.schema.names}
        columns = tuple(
            None if name == OVERALL else KEY + name if KEY + name in made else name
            for name in self.keys.names
        )
        versions = [n for n in VERSIONS if n in made] if self.keys.changes else []
        known = find_known(log, batch, self._n)
        events = read_events(log, batch, known)
        if known is not None:
            events = events.persist(StorageLevel.DISK_ONLY)
        read = EventReader(
            log.places_of(special),
            np.union1d(log.gone, batch.gone),
            tuple(dict.fromkeys([*(name for name in columns if name), *versions])),
        )
        self._counts = count_earlier(events, columns, self.keys.windowed, self._n, SPLIT_ROWS, read)
        self._versions = first_versions(events, read) if self.keys.changes else None

    def _know(self, snapshot: Snapshot, reviewed: pd.DataFrame) -> None:
        assert self._counts is not None
        kinds = [kind for kind, own in self.keys.similar.items()
                 if any(self.keys.names.index(name) in self._counts.shared for name in own)]  # fmt: skip
        split = [key for key in self.keys.history
                 if len(set().union(*(found.get(KEY + key, ()) for found in self._values))) > 1]  # fmt: skip
        self._known = KnownBefore.of(
            self.keys,
            reviewed,
            snapshot.reviews,
            (split, kinds),
            self._versions,
            self._encoding.names,
        )

    def _finish(self, part: CleanDecisions, ids: pd.Index) -> pd.DataFrame:
        """Fetch some decisions, with what was known before each."""
        table = part.rows.pick(ids)
        frame = to_frame(table.select(content_columns(table.column_names)))
        if self._known is None:
            return frame.drop(columns=text_keys(frame))
        assert self._counts is not None
        known = self._known.add(frame, self._counts.at(table[POSITION].to_numpy()))
        return known.drop(columns=text_keys(known))

    def index(self, names: Sequence[str], reviews: pd.DataFrame) -> PointInTimeFeatures:
        """Return what adds nothing: these frames have the columns of what was known before."""
        assert names
        return PointInTimeFeatures([], reviews, history=False, similar=False)

    def decided(self) -> Iterator[pd.DataFrame]:
        """Return the config's decisions that others are compared with."""
        yield self._special

    def every(self) -> Iterator[pd.DataFrame]:
        """Return the decisions from which the level is followed."""
        yield self._special

    def frames_of(self, ids: pd.Index) -> Iterator[pd.DataFrame]:
        """Return some of the decisions to score, with what was known before each."""
        with translated_failures():
            yield self._finish(self.batch, ids)

    def score(self, scorer: BatchScorer) -> "DataFrame":
        """Score every decision; rows without a position hold the account of a part."""
        own = self.batch.rows
        rows = own.pieces.selectExpr("chunk", f"{ROWS}L AS kind", "narrow AS held", "wide")
        if self._counts is not None:
            # Chunks meet their counts; without any, those of each part stay where they are.
            counts = self._counts.rows.selectExpr(
                "chunk", "kind", "counts AS held", "CAST(NULL AS binary) AS wide"
            )
            n = max(self.spark.sparkContext.defaultParallelism, -(-self._n // PARTITION_ROWS))
            rows = rows.union(counts).repartition(n, "chunk").sortWithinPartitions("chunk")
        share = self.spark.sparkContext.broadcast
        scoring = ScoringTask(share(scorer), share(self._known), share(own.gone), self.parts)
        return rows.mapInArrow(scoring.run, spark_schema(SCORED_PIECES))

    @property
    def parts(self) -> int:
        """Parts that scored decisions are split into, equal content into one."""
        workers: int = self.spark.sparkContext.defaultParallelism
        return max(workers, -(-self.batch.rejections.n_rows // PARTITION_ROWS))


def score_on_spark(
    source: SparkSource,
    bundle: ModelBundle,
    policies: Mapping[str, Policy],
    config: Config,
    progress: Progress,
) -> ScoredOnSpark:
    """Score every decision on Spark; as `score_batches` on one machine, but kept on the workers.

    Parameters
    ----------
    source
        After `look_up`.
    bundle, policies, config, progress
        As for `score_batches`.
    """
    from pyspark import StorageLevel

    scorer = BatchScorer(bundle, policies, config.queue)
    rows = source.score(scorer).persist(StorageLevel.DISK_ONLY)
    with translated_failures():
        facts = rows.where(f"{FACTS} IS NOT NULL").select(FACTS).collect()
    accounts = [json.loads(row[FACTS]) for row in facts]
    counts = replace(scorer.counts(), unreadable=source.batch.unreadable)
    kinds, times = Counter[tuple[str | None, ...]](), list[int]()
    for account in accounts:
        counts.merge(_counts_from(scorer.counts(), account))
        kinds.update({tuple(kind): n for *kind, n in account["kinds"]})
        times += account["times"]
    gone = {"market", "language", "account_id"} - set(source.batch.task.columns)
    table = kinds_table(kinds, gone)
    progress(f"scored {kinds.total():,} decisions")
    notes = scoring_notes(counts, sum(a["learnt"] for a in accounts), bundle, config.score)
    return ScoredOnSpark(
        rows,
        source.parts,
        tuple(name for name in SCORED if name not in {POSITION, FACTS, *gone}),
        table,
        (
            pd.Timestamp(min(times), unit="us", tz="UTC"),
            pd.Timestamp(max(times), unit="us", tz="UTC"),
        ),
        source.batch.rejects,
        (*source.batch.notes, *notes),
    )


def _counts_from(empty: ColumnCounts, account: Mapping[str, Any]) -> ColumnCounts:
    unseen, given = Counter(account["unseen"]), Counter(account["given"])
    return replace(empty, rows=account["rows"], unseen=unseen, given=given)
