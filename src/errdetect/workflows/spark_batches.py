"""What Spark's workers do with batches; kept apart, as every worker has to import it."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from errdetect.data.arrow_frames import POSITION, to_frame
from errdetect.spark.clean_rows import IDENTITY, KEY, join_piece, split_table
from errdetect.spark.counting import CHUNK_BITS, unpack_counts
from errdetect.spark.known_before import KnownBefore
from errdetect.workflows.draw_tasks import FACTS, batch_kinds, content_numbers, scored_batch
from errdetect.workflows.score_batches import BatchScorer

if TYPE_CHECKING:
    import pandas as pd
    from pyspark import Broadcast

__all__ = ["ROWS", "SCORED_PIECES", "SENT", "ScoringTask", "content_columns", "text_keys"]

#: Pieces of rows (of kind `ROWS`) and counts of earlier decisions by kind of key, by chunk of positions.
SENT = pa.schema(
    [("chunk", pa.int64()), ("kind", pa.int64()), ("held", pa.binary()), ("wide", pa.binary())]
)
ROWS = -1
#: Scored decisions by number of `content_numbers`, packed; or the account of a part.
SCORED_PIECES = pa.schema([("number", pa.int64()), (FACTS, pa.string()), ("held", pa.binary())])
_SPLIT_ROWS = 200_000  # scored decisions split together
_TOGETHER = 1 << CHUNK_BITS


@dataclass(frozen=True)
class ScoringTask:
    """What a worker needs to score chunks of decisions.

    Parameters
    ----------
    scorer, known
        The model and what was known before, held once by each worker.
    gone
        Positions of rows that do not count, ascending.
    parts
        Into how many parts scored decisions are split, equal content into one.
    """

    scorer: "Broadcast[BatchScorer]"
    known: "Broadcast[KnownBefore | None]"
    gone: "Broadcast[npt.NDArray[np.int64]]"
    parts: int

    def run(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Score chunks, each by itself as on one machine; then send the account of them."""
        scorer, known = self.scorer.value, self.known.value
        counts, learnt = scorer.counts(), 0
        kinds, times = Counter[tuple[str | None, ...]](), list[int]()
        waiting: list[pa.RecordBatch] = []
        for table, earlier in _chunks(batches, self.gone.value):
            positions = table[POSITION].to_numpy()
            frame = to_frame(table.select(content_columns(table.column_names)))
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
            waiting.append(sent)
            if sum(map(len, waiting)) >= _SPLIT_ROWS:
                yield self._split(waiting)
                waiting = []
        if waiting:
            yield self._split(waiting)
        account = {
            "rows": counts.rows,
            "unseen": dict(counts.unseen),
            "given": dict(counts.given),
            "learnt": learnt,
            "kinds": [[*kind, n] for kind, n in kinds.items()],
            "times": times,
        }
        yield _record_batch([(0, json.dumps(account), None)])

    def _split(self, scored: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
        table = pa.Table.from_batches(scored)
        pieces = split_table(table, content_numbers(table, self.parts, _TOGETHER))
        return _record_batch([(number, None, held) for number, held in pieces])


def _record_batch(rows: Sequence[tuple[int, str | None, bytes | None]]) -> pa.RecordBatch:
    columns = [pa.array([row[i] for row in rows], f.type) for i, f in enumerate(SCORED_PIECES)]
    return pa.record_batch(columns, schema=SCORED_PIECES)


def _chunks(
    batches: Iterator[pa.RecordBatch], gone: npt.NDArray[np.int64]
) -> Iterator[tuple[pa.Table, list[tuple[int, bytes]]]]:
    """Put rows with the columns `SENT`, sorted by chunk, together: a chunk's rows and its counts."""
    now: int | None = None
    rows: list[pa.Table] = []
    counts: list[tuple[int, bytes]] = []

    def together() -> Iterator[tuple[pa.Table, list[tuple[int, bytes]]]]:
        table = pa.concat_tables(rows).sort_by(POSITION)
        if len(gone):
            table = table.filter(pa.array(~np.isin(table[POSITION].to_numpy(), gone)))
        if table.num_rows:
            yield table, counts

    for batch in batches:
        for chunk, kind, held, wide in zip(*batch.columns, strict=True):
            if chunk.as_py() != now:
                if rows:
                    yield from together()
                now, rows, counts = chunk.as_py(), [], []
            if kind.as_py() == ROWS:
                rows.append(join_piece(held.as_buffer(), wide.as_buffer()))
            else:
                counts.append((kind.as_py(), held.as_py()))
    if rows:
        yield from together()


def text_keys(frame: "pd.DataFrame") -> list[str]:
    """Return the columns that stand for texts among the keys; they are no features."""
    return [
        name for name in map(str, frame) if name == "text_key" or re.fullmatch(r"near_key_\d", name)
    ]


def content_columns(names: Sequence[str]) -> list[str]:
    """Return the decisions' own columns, and the texts' keys, among those of a table of clean rows."""
    return [n for n in names if n not in (POSITION, IDENTITY) and not n.startswith(KEY)]
