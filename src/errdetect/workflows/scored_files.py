"""Scored decisions in files of one machine: what `grouped_draw` asks of them, in bounded memory."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from errdetect.data.arrow_frames import POSITION, to_frame
from errdetect.data.atomic_writing import ParquetSink
from errdetect.data.id_lookup import release_memory
from errdetect.data.renamed_columns import add_old_columns, schema_with_old_names
from errdetect.data.split_files import SplitFiles
from errdetect.schemas import SCORES
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
    ReviewTerms,
    ValueTask,
    batch_kinds,
    best_reviews,
    content_numbers,
    kinds_table,
    open_heads,
    scored_batch,
)

__all__ = ["FinishedFiles", "ScoredFiles", "ValuedFiles", "in_threads", "read_ahead"]

Ints = npt.NDArray[np.int64]
_T = TypeVar("_T")
_R = TypeVar("_R")

_ROWS = 100_000  # of a file: valued together, or written together
_MOST_FILES = 200  # open at the same time
_BUFFER = 100_000  # rows split together


@dataclass(frozen=True)
class _Held:
    """What all workers are given once: see `Shared`."""

    value: Any


def in_threads(work: Callable[[_T], _R], items: Iterable[_T], threads: int) -> Iterator[_R]:
    """Do work in threads, in order; what is done waits for no more than one of each to be used.

    Parameters
    ----------
    work
        Releases the lock where it can.
    items
        What to do it with.
    threads
        Their number.

    Examples
    --------
    >>> list(in_threads(abs, [-1, -2, 3], 2))
    [1, 2, 3]
    """
    rest = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        running = [pool.submit(work, item) for item in islice(rest, threads)]
        while running:
            done = running.pop(0).result()
            running += [pool.submit(work, item) for item in islice(rest, 1)]
            yield done


def read_ahead(items: Iterable[_T]) -> Iterator[_T]:
    """Yield items in order, while a thread makes the next one.

    Examples
    --------
    >>> list(read_ahead([3, 1]))
    [3, 1]
    """
    rest, end = iter(items), object()
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(next, rest, end)
        while (item := following.result()) is not end:
            following = pool.submit(next, rest, end)
            yield cast("_T", item)


class ScoredFiles:
    """All decisions scored, in files, equal content in one of them: see `ScoredRows`.

    Parameters
    ----------
    folder
        An empty folder.
    n
        Number of decisions.
    threads
        Processors to use.
    """

    def __init__(self, folder: Path, n: int, threads: int) -> None:
        self._folder, self._threads = folder, threads
        files = min(max(1, -(-n // _ROWS)), _MOST_FILES)
        self._files = SplitFiles(folder / "scored", pa.schema(SCORED.items()), files)
        self._waiting: list[pa.RecordBatch] = []
        self._n = self._valuations = 0
        self._kinds = Counter[tuple[str | None, ...]]()
        self._times: list[pd.Timestamp] = []
        self._absent: set[str] = set()

    def add(self, scored: pd.DataFrame) -> None:
        """Add decisions, in the input's order, with the columns `SCORED` that there are."""
        own = {POSITION, FACTS}
        self._absent |= {name for name in SCORED if name not in scored and name not in own}
        places = np.arange(self._n, self._n + len(scored))
        batch = scored_batch(scored.assign(**{POSITION: places}))
        self._n += len(scored)
        self._kinds.update(batch_kinds(batch))
        ends = [*self._times, scored["decided_at"].min(), scored["decided_at"].max()]
        self._times = [min(ends), max(ends)]
        self._waiting.append(batch)
        if sum(one.num_rows for one in self._waiting) >= _BUFFER:
            self._split()

    def close(self) -> None:
        """Finish adding."""
        self._split()
        self._files.close()

    def _split(self) -> None:
        if self._waiting:
            table = pa.Table.from_batches(self._waiting)
            self._waiting = []
            self._files.write(table, content_numbers(table, len(self._files), _ROWS))

    @property
    def names(self) -> Sequence[str]:
        """Columns of the decisions that there are."""
        return [n for n in SCORED if n not in self._absent and n not in (POSITION, FACTS)]

    @property
    def kinds(self) -> pd.DataFrame:
        """Decisions by policy_id, error_kind, and market and language where known; `count` of each."""
        return kinds_table(self._kinds, self._absent)

    @property
    def period(self) -> tuple[pd.Timestamp, pd.Timestamp]:
        """The earliest and the latest decided_at."""
        return self._times[0], self._times[-1]

    def frame(self) -> pd.DataFrame:
        """Read all of them at once, in the input's order."""
        tables = [self._files.read(i) for i in range(len(self._files))]
        return to_frame(pa.concat_tables(tables).sort_by(POSITION).select(list(self.names)))

    def value(self, terms: ReviewTerms) -> "ValuedFiles":
        """Value the reviews, file by file."""
        self._valuations += 1
        folder = self._folder / f"valued{self._valuations}"
        valued = SplitFiles(folder, VALUED, len(self._files))
        task = ValueTask(_Held(terms))

        def value_file(number: int) -> list[Mapping[str, Any]]:
            facts = []
            for batch in task.run(iter(self._files.read(number).to_batches())):
                if batch[FACTS].null_count:
                    valued.add(number, pa.Table.from_batches([batch]))
                else:
                    facts += [json.loads(fact) for fact in batch[FACTS].to_pylist()]
            return facts

        found = in_threads(value_file, range(len(self._files)), self._threads)
        accounts = [facts for file in found for facts in file]
        valued.close()
        release_memory()
        return ValuedFiles(folder, valued, accounts, self._n, self._threads)


class ValuedFiles:
    """All decisions with the value of their reviews, in files: see `ValuedRows`.

    Parameters
    ----------
    folder
        For further files.
    files
        With the columns `VALUED`.
    accounts
        Each file's totals.
    n
        Number of decisions.
    threads
        Processors to use.
    """

    def __init__(
        self,
        folder: Path,
        files: SplitFiles,
        accounts: Sequence[Mapping[str, Any]],
        n: int,
        threads: int,
    ) -> None:
        self._folder, self._files, self._accounts = folder, files, accounts
        self._n, self._threads = n, threads

    @property
    def part_rows(self) -> int:
        """Decisions of each part of the output."""
        return _ROWS

    def accounts(self) -> Sequence[Mapping[str, Any]]:
        """Return each file's totals."""
        return self._accounts

    def _heads(self, names: Sequence[str]) -> Iterator[pa.Table]:
        """Read some columns of the open reviews, file by file."""
        wanted = {*names, "place", "head", POSITION}
        for number in range(len(self._files)):
            table = self._files.read(number, sorted(wanted))
            yield open_heads(table, names)

    def group_sizes(self) -> pa.Table:
        """Count the open reviews by place and fine."""
        keys = ["place", "fine"]
        found = [heads.group_by(keys).aggregate([([], "count_all")]) for heads in self._heads(keys)]
        table = pa.concat_tables(found).group_by(keys).aggregate([("count_all", "sum")])
        table = table.rename_columns([*keys, "count"])
        return table.sort_by([(key, "ascending") for key in keys])

    def leading(self, most: Ints) -> pa.Table:
        """Return the most valuable open reviews of each kind and set of floors."""
        found: pa.Table | None = None
        for heads in self._heads(LEADING):
            both = heads if found is None else pa.concat_tables([found, heads])
            found = best_reviews(both, most)
        assert found is not None
        return found.sort_by(POSITION)

    def line_totals(self, line: LineTask) -> pa.Table:
        """Sum up the units of each bucket."""
        sums = pa.Table.from_batches(
            line.totals(self._line_batches()),
            pa.schema({"bucket": pa.int64(), "units": pa.int64()}),
        )
        sums = sums.group_by("bucket").aggregate([("units", "sum")])
        return sums.select(["bucket", "units_sum"]).sort_by("bucket")

    def line_rows(self, line: LineTask) -> pa.Table:
        """Return the rows of the buckets that `line` wants."""
        batches = line.rows(self._line_batches())
        return pa.Table.from_batches(batches, pa.schema(IN_LINE.items()))

    def _line_batches(self) -> Iterator[pa.RecordBatch]:
        for heads in self._heads(LINE):
            yield from heads.combine_chunks().to_batches()

    def at(self, positions: Ints) -> pa.Table:
        """Return the rows at some positions."""
        found = []
        for number in range(len(self._files)):
            own = np.isin(self._files.read(number, [POSITION])[POSITION].to_numpy(), positions)
            if own.any():
                found.append(self._files.read(number).filter(pa.array(own)))
        return pa.concat_tables(found or [VALUED.empty_table()]).sort_by(POSITION)

    def finish(self, plan: DrawnReviews) -> "FinishedFiles":
        """Give every decision its inclusion probability, arm, pool and job."""
        parts = int(plan.parts[1].max(initial=0)) + 1
        finished = SplitFiles(self._folder / "finished", OUTPUT, parts)
        task = OutputTask(_Held(plan))

        def finish_file(number: int) -> list[pa.RecordBatch]:
            return list(task.run(iter(self._files.read(number).to_batches())))

        for batches in in_threads(finish_file, range(len(self._files)), self._threads):
            table = pa.Table.from_batches(batches, OUTPUT)
            finished.write(table, table["_part"].to_numpy())
        finished.close()
        self.close()
        release_memory()
        return FinishedFiles(finished)

    def close(self) -> None:
        """Delete the files."""
        self._files.remove()


class FinishedFiles:
    """All decisions with their inclusion probabilities, in files: see `FinishedRows`.

    Parameters
    ----------
    files
        With the columns `OUTPUT`, each with the decisions that come after those of the one before.
    """

    def __init__(self, files: SplitFiles) -> None:
        self._files = files

    def ledger_rows(self) -> Iterator[pd.DataFrame]:
        """Read what the ledger keeps of each decision, part by part, in the input's order."""
        for number in range(len(self._files)):
            table = self._files.read(number, [POSITION, *LEDGER]).sort_by(POSITION)
            yield to_frame(table.select(list(LEDGER)))

    def write(self, folder: Path) -> None:
        """Write scores.parquet, part by part."""
        with ParquetSink(
            folder / "scores.parquet", schema_with_old_names("scores", SCORES)
        ) as sink:
            for number in range(len(self._files)):
                table = self._files.read(number).sort_by(POSITION).select(SCORES.names)
                sink.write(add_old_columns(to_frame(table), "scores"))
        self._files.remove()
