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
from errdetect.workflows.score_batches import BatchScorer

if TYPE_CHECKING:
    from pyspark import Broadcast

__all__ = ["COUNTS", "KIND", "SCORED", "ScoringTask", "content_columns", "text_keys"]

#: The column with the counts of earlier decisions.
COUNTS = "_counts"
#: What tells the kind of a decision, whose reviews have the same duration and pools.
KIND = ("policy_id", "error_kind", "market", "language")
#: What workers send of each decision, and `_facts` of what they did.
SCORED = {
    POSITION: pa.int64(), "_facts": pa.string(), "decision_id": pa.string(),
    "decided_at": pa.timestamp("us", "UTC"), "enforced": pa.bool_(), "policy_id": pa.string(),
    "market": pa.string(), "language": pa.string(), "account_id": pa.string(), "content": pa.binary(),
    "p_error": pa.float64(), "error_kind": pa.string(), "suggested_policy_id": pa.string(),
    "harm": pa.float64(), "exposure_weight": pa.float64(), "expected_harm": pa.float64(),
}  # fmt: skip


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
            kinds.update(_kinds(scored))
            moments = scored["decided_at"].dt.as_unit("us").astype("int64")
            times = [min([*times, int(moments.min())]), max([*times, int(moments.max())])]
            yield _to_batch(scored.assign(**{POSITION: table[POSITION].to_numpy()}))
        account = {
            "rows": counts.rows,
            "unseen": dict(counts.unseen),
            "given": dict(counts.given),
            "learnt": learnt,
            "kinds": [[*kind, n] for kind, n in kinds.items()],
            "times": times,
        }
        yield _to_batch(pd.DataFrame({POSITION: [-1], "_facts": [json.dumps(account)]}))


def _kinds(scored: pd.DataFrame) -> Counter[tuple[str | None, ...]]:
    """Count the decisions by `KIND`."""
    columns = [scored[n].tolist() if n in scored else [None] * len(scored) for n in KIND]
    plain = ([None if pd.isna(value) else str(value) for value in column] for column in columns)
    return Counter(zip(*plain, strict=True))


def _to_batch(frame: pd.DataFrame) -> pa.RecordBatch:
    n = len(frame)
    arrays = [
        pa.array(frame[name], kind, from_pandas=True) if name in frame else pa.nulls(n, kind)
        for name, kind in SCORED.items()
    ]
    return pa.record_batch(arrays, schema=pa.schema(SCORED.items()))


def text_keys(frame: pd.DataFrame) -> list[str]:
    """Return the columns that stand for texts among the keys; they are no features."""
    return [
        name for name in map(str, frame) if name == "text_key" or re.fullmatch(r"near_key_\d", name)
    ]


def content_columns(task: CleaningTask, names: Sequence[str]) -> list[str]:
    """Return the decisions' own columns, and the texts' keys, among those of a table."""
    made = {*task.schema.names[:3], *(n for n in names if n.startswith(KEY)), COUNTS}
    return [name for name in task.schema.names if name in names and name not in made]
