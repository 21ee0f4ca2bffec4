"""What Spark's workers do with batches; kept apart, as every worker has to import it."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from errdetect.data.arrow_frames import POSITION, to_frame
from errdetect.spark.cleaning import KEY, CleaningTask
from errdetect.spark.counting import CHUNK_BITS, unpack_counts
from errdetect.spark.known_before import KnownBefore
from errdetect.workflows.draw_tasks import FACTS, batch_kinds, scored_batch
from errdetect.workflows.score_batches import BatchScorer

if TYPE_CHECKING:
    from pyspark import Broadcast

__all__ = ["PACKED", "PackTask", "ScoringTask", "content_columns", "text_keys"]

#: Rows (of this kind) and counts of earlier decisions by kind of key, packed by chunk of positions.
PACKED = pa.schema({"chunk": pa.int64(), "kind": pa.int64(), "held": pa.binary()})
_ROWS = -1
_SENT_ROWS = 10_000


@dataclass(frozen=True)
class PackTask:
    """Packs rows by chunk, each chunk's as Arrow's bytes: Spark sorts few large values faster than many rows.

    Parameters
    ----------
    names
        Columns to keep.
    """

    names: tuple[str, ...]

    def run(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Pack rows."""
        for batch in batches:
            if not batch.num_rows:
                continue
            table = pa.Table.from_batches([batch]).select(list(self.names))
            chunks = table[POSITION].to_numpy() >> CHUNK_BITS
            numbers, held = [], []
            for chunk in np.unique(chunks).tolist():
                numbers.append(chunk)
                held.append(_to_bytes(table.filter(pa.array(chunks == chunk))))
            n = len(numbers)
            yield pa.record_batch(
                [pa.array(numbers, pa.int64()), np.full(n, _ROWS), pa.array(held, pa.binary())],
                names=list(PACKED.names),
            )


def _to_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    held: bytes = sink.getvalue().to_pybytes()
    return held


@dataclass(frozen=True)
class ScoringTask:
    """What a worker needs to score chunks of decisions.

    Parameters
    ----------
    scorer, known
        The model and what was known before, held once by each worker.
    cleaning
        How the decisions were cleaned.
    """

    scorer: "Broadcast[BatchScorer]"
    known: "Broadcast[KnownBefore | None]"
    cleaning: CleaningTask

    def run(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Score chunks, each by itself as on one machine; then send the account of them."""
        scorer, known = self.scorer.value, self.known.value
        counts, learnt = scorer.counts(), 0
        kinds, times = Counter[tuple[str | None, ...]](), list[int]()
        for table, earlier in _chunks(batches):
            positions = table[POSITION].to_numpy()
            frame = to_frame(table.select(content_columns(self.cleaning, table.column_names)))
            full = frame
            if known is not None:
                full = known.add(frame, unpack_counts(positions, earlier, known.keys.windowed))
            plain = frame.drop(columns=text_keys(frame))
            scored, old, held = scorer.score(plain, full.drop(columns=text_keys(full)))
            counts.merge(held)
            learnt += old
            moments = scored["decided_at"].dt.as_unit("us").astype("int64")
            times = [min([*times, int(moments.min())]), max([*times, int(moments.max())])]
            sent = scored_batch(scored.assign(**{POSITION: positions}))
            kinds.update(batch_kinds(sent))
            yield from (sent.slice(i, _SENT_ROWS) for i in range(0, sent.num_rows, _SENT_ROWS))
        account = {
            "rows": counts.rows,
            "unseen": dict(counts.unseen),
            "given": dict(counts.given),
            "learnt": learnt,
            "kinds": [[*kind, n] for kind, n in kinds.items()],
            "times": times,
        }
        yield scored_batch(pd.DataFrame({POSITION: [-1], FACTS: [json.dumps(account)]}))


def _chunks(
    batches: Iterator[pa.RecordBatch],
) -> Iterator[tuple[pa.Table, list[tuple[int, bytes]]]]:
    """Put packed rows with the columns `PACKED`, sorted by chunk, together: a chunk's rows and its counts."""
    now: int | None = None
    rows: list[pa.Table] = []
    counts: list[tuple[int, bytes]] = []
    for batch in batches:
        for chunk, kind, held in zip(*(c.to_pylist() for c in batch.columns), strict=True):
            if chunk != now:
                if rows:
                    yield pa.concat_tables(rows).sort_by(POSITION), counts
                now, rows, counts = chunk, [], []
            if kind == _ROWS:
                rows.append(pa.ipc.open_stream(held).read_all())
            else:
                counts.append((kind, held))
    if rows:
        yield pa.concat_tables(rows).sort_by(POSITION), counts


def text_keys(frame: pd.DataFrame) -> list[str]:
    """Return the columns that stand for texts among the keys; they are no features."""
    return [
        name for name in map(str, frame) if name == "text_key" or re.fullmatch(r"near_key_\d", name)
    ]


def content_columns(task: CleaningTask, names: Sequence[str]) -> list[str]:
    """Return the decisions' own columns, and the texts' keys, among those of a table."""
    made = {*task.schema.names[:3], *(n for n in names if n.startswith(KEY))}
    return [name for name in task.schema.names if name in names and name not in made]
