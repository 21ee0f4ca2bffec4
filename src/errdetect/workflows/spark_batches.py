"""What Spark's workers do with batches; kept apart, as every worker has to import it."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from errdetect.spark.cleaning import KEY, POSITION, CleaningTask
from errdetect.spark.known_before import KnownBefore, to_frame
from errdetect.workflows.draw_tasks import FACTS, batch_kinds, scored_batch
from errdetect.workflows.score_batches import BatchScorer

if TYPE_CHECKING:
    from pyspark import Broadcast

__all__ = ["COUNTS", "ScoringTask", "content_columns", "text_keys"]

#: The column with the counts of earlier decisions.
COUNTS = "_counts"


@dataclass(frozen=True)
class ScoringTask:
    """What a worker needs to score batches.

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
        """Score batches, each by itself as on one machine; then send the account of them."""
        scorer, known = self.scorer.value, self.known.value
        counts, learnt = scorer.counts(), 0
        kinds, times = Counter[tuple[str | None, ...]](), list[int]()
        for batch in batches:
            table = pa.Table.from_batches([batch])
            if not len(table):
                continue
            frame = to_frame(table.select(content_columns(self.cleaning, table.column_names)))
            full = frame if known is None else known.add(frame, table[COUNTS].combine_chunks())
            plain = frame.drop(columns=text_keys(frame))
            scored, old, held = scorer.score(plain, full.drop(columns=text_keys(full)))
            counts.merge(held)
            learnt += old
            moments = scored["decided_at"].dt.as_unit("us").astype("int64")
            times = [min([*times, int(moments.min())]), max([*times, int(moments.max())])]
            sent = scored_batch(scored.assign(**{POSITION: table[POSITION].to_numpy()}))
            kinds.update(batch_kinds(sent))
            yield sent
        account = {
            "rows": counts.rows,
            "unseen": dict(counts.unseen),
            "given": dict(counts.given),
            "learnt": learnt,
            "kinds": [[*kind, n] for kind, n in kinds.items()],
            "times": times,
        }
        yield scored_batch(pd.DataFrame({POSITION: [-1], FACTS: [json.dumps(account)]}))


def text_keys(frame: pd.DataFrame) -> list[str]:
    """Return the columns that stand for texts among the keys; they are no features."""
    return [
        name for name in map(str, frame) if name == "text_key" or re.fullmatch(r"near_key_\d", name)
    ]


def content_columns(task: CleaningTask, names: Sequence[str]) -> list[str]:
    """Return the decisions' own columns, and the texts' keys, among those of a table."""
    made = {*task.schema.names[:3], *(n for n in names if n.startswith(KEY)), COUNTS}
    return [name for name in task.schema.names if name in names and name not in made]
