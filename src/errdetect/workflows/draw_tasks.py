"""What workers do for the queue, each with a part of the batch: threads of one machine, or Spark's processes."""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from errdetect.data.arrow_frames import POSITION, to_frame
from errdetect.data.atomic_writing import write_parquet
from errdetect.data.provenance import Provenance
from errdetect.data.renamed_columns import add_old_columns, schema_with_old_names
from errdetect.estimation.queue_sample import QUEUED
from errdetect.ledger.run_records import ScoringRun
from errdetect.queue.random_arm import id_hashes, pack_levels, random_keys
from errdetect.queue.review_value import age_weights, job_heads, review_value
from errdetect.queue.selection import EXPLORE, RANKED
from errdetect.schemas import SCORES
from errdetect.workflows.queueing import exclusion_reasons, row_sums

__all__ = [
    "FACTS",
    "IN_LINE",
    "KIND",
    "LEADING",
    "LEDGER",
    "LINE",
    "OUTPUT",
    "SCORED",
    "VALUED",
    "DrawnReviews",
    "GroupIndex",
    "LineTask",
    "OutputTask",
    "PartWriter",
    "ReviewTerms",
    "Shared",
    "ValueTask",
    "batch_kinds",
    "best_reviews",
    "content_numbers",
    "finish_rows",
    "kinds_table",
    "open_heads",
    "scored_batch",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FACTS = "_facts"
#: What tells the kind of a decision, whose reviews have the same duration and pools.
KIND = ("policy_id", "error_kind", "market", "language")
#: What is known of each scored decision; a row without a position holds the account of a part in `_facts`.
SCORED = {
    POSITION: pa.int64(), FACTS: pa.string(), "decision_id": pa.string(),
    "decided_at": pa.timestamp("us", "UTC"), "enforced": pa.bool_(), "policy_id": pa.string(),
    "market": pa.string(), "language": pa.string(), "account_id": pa.string(), "content": pa.binary(),
    "p_error": pa.float64(), "error_kind": pa.string(), "suggested_policy_id": pa.string(),
    "harm": pa.float64(), "exposure_weight": pa.float64(), "expected_harm": pa.float64(),
}  # fmt: skip
#: What the ledger keeps of each decision.
LEDGER = ("decision_id", "inclusion_probability", "p_error", "job_id", "arm")
_ANY_POOL = "any"
_BLOCK = 16  # bits of a position within a block of rows that go to the same file
_SENT_ROWS = 50_000
_OWN = {
    "decision_id": pa.string(), "policy_id": pa.string(), "market": pa.string(),
    "language": pa.string(), "account_id": pa.string(), "p_error": pa.float64(),
    "error_kind": pa.string(), "suggested_policy_id": pa.string(), "harm": pa.float64(),
    "exposure_weight": pa.float64(), "expected_harm": pa.float64(), "p_overturn": pa.float64(),
    "age_weight": pa.float64(), "minutes": pa.float64(), "value": pa.float64(),
}  # fmt: skip
#: What workers keep of each decision: `closed` says why it is not queued, `head` is the position of the
#: decision that is reviewed for it, `worth` the sum of what that review covers, `place` and `fine` its group.
VALUED = pa.schema(
    [
        (POSITION, pa.int64()), (FACTS, pa.string()), *_OWN.items(), ("closed", pa.string()),
        ("head", pa.int64()), ("job_id", pa.string()), ("identity", pa.int64()),
        ("worth", pa.float64()), ("place", pa.int64()), ("fine", pa.int64()), ("floors", pa.int64()),
    ]
)  # fmt: skip
#: What tells the most valuable reviews, and what puts reviews in line.
LEADING = (POSITION, "worth", "place", "fine", "floors", "identity")
LINE = ("identity", "place", "fine", "head", POSITION)
#: What workers send of the decisions near a mark.
IN_LINE = {
    "bucket": pa.int64(), "key": pa.int64(), POSITION: pa.int64(), "units": pa.int64(),
    "identity": pa.int64(), "group": pa.int64(),
}  # fmt: skip
OUTPUT = pa.schema([(POSITION, pa.int64()), ("_part", pa.int64()), *SCORES])


_T_co = TypeVar("_T_co", covariant=True)


class Shared(Protocol[_T_co]):
    """What all workers are given once, such as Spark's broadcast."""

    @property
    def value(self) -> _T_co:
        """What it is."""


def scored_batch(frame: pd.DataFrame) -> pa.RecordBatch:
    """Return rows with the columns of `SCORED`; what is absent is missing."""
    n = len(frame)
    arrays = [
        pa.array(frame[name], kind, from_pandas=True) if name in frame else pa.nulls(n, kind)
        for name, kind in SCORED.items()
    ]
    return pa.record_batch(arrays, schema=pa.schema(SCORED.items()))


def content_numbers(table: pa.Table, n: int, together: int) -> Ints:
    """Assign scored decisions to `n` groups, such that equal content meets in one.

    Parameters
    ----------
    table
        Shape (m, any), with the columns `SCORED`.
    n
        Number of groups.
    together
        Neighbouring decisions without content that go to the same group.

    Returns
    -------
    numpy.ndarray
        int64, shape (m,).
    """
    place = table[POSITION].to_numpy() // together % n
    content = table["content"].combine_chunks()
    empty = np.asarray(content.is_null().to_numpy(zero_copy_only=False), bool)
    if empty.all():
        return np.asarray(place, np.int64)
    digests = content.fill_null(bytes(16)).cast(pa.binary(16))
    words = np.frombuffer(digests.buffers()[1], np.uint64)[2 * digests.offset :: 2]
    return np.where(empty, place, (words[: len(place)] % np.uint64(n)).astype(np.int64))


def batch_kinds(batch: pa.RecordBatch) -> Counter[tuple[str | None, ...]]:
    """Count the decisions of a scored batch by `KIND`."""
    table = pa.Table.from_batches([batch]).select(list(KIND))
    found = table.group_by(list(KIND)).aggregate([([], "count_all")])
    kinds = zip(*(found[name].to_pylist() for name in KIND), strict=True)
    return Counter(dict(zip(kinds, found["count_all"].to_pylist(), strict=True)))


def kinds_table(kinds: Counter[tuple[str | None, ...]], absent: Collection[str]) -> pd.DataFrame:
    """Return the number of decisions of each kind, in order.

    Parameters
    ----------
    kinds
        From `batch_kinds`.
    absent
        Columns that the decisions lack.
    """
    rows = sorted(kinds, key=lambda kind: [(value is None, value or "") for value in kind])
    table = pd.DataFrame(rows, columns=list(KIND)).astype("str")
    table = table.assign(count=[kinds[kind] for kind in rows])
    return table.drop(columns=[name for name in absent if name in table])


@dataclass(frozen=True)
class ReviewTerms:
    """What decides a review's value besides the scores.

    Parameters
    ----------
    kinds
        Every kind of decision: number, `keys`, p_overturn, minutes, kind (of class and minutes), floors.
    keys
        Columns of the decisions that tell its kind.
    latest
        The newest decision's timestamp.
    half_life
        Days, as for `age_weights`.
    one_job
        Whether decisions of equal content share a review.
    reviewed, waiting
        As for `exclusion_reasons`.
    """

    kinds: pd.DataFrame
    keys: Sequence[str]
    latest: pd.Timestamp
    half_life: float | None
    one_job: bool
    reviewed: pd.Index
    waiting: pd.Series


@dataclass(frozen=True)
class ValueTask:
    """Values the reviews of a partition, which holds all decisions of equal content.

    Parameters
    ----------
    terms
        Held once by each worker.
    """

    terms: "Shared[ReviewTerms]"

    def run(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Value them in the input's order, and account for them."""
        held = [batch for batch in batches if batch.num_rows]
        if not held:
            return
        terms = self.terms.value
        frame = to_frame(pa.Table.from_batches(held).sort_by(POSITION))
        rows, number = _valued(frame, terms)
        yield from _sent(rows, VALUED)
        closed = rows["closed"].to_numpy(object)
        blocks, sizes = np.unique(rows[POSITION].to_numpy() >> _BLOCK, return_counts=True)
        account = {
            "sums": row_sums(rows, terms.reviewed).tolist(),
            "closed": pd.Series(closed[closed != ""]).value_counts().to_dict(),
            "kinds": pd.Series(number[closed == ""]).value_counts().to_dict(),
            "positions": dict(zip(blocks.tolist(), sizes.tolist(), strict=True)),
        }
        yield from _sent(pd.DataFrame({POSITION: [-1], FACTS: [json.dumps(account)]}), VALUED)


def _valued(frame: pd.DataFrame, terms: ReviewTerms) -> tuple[pd.DataFrame, Ints]:
    """Return the rows with the columns of `VALUED`, and the number of each one's kind."""
    kinds = frame[list(terms.keys)].merge(terms.kinds, on=list(terms.keys), how="left")
    rows = frame.assign(
        p_overturn=kinds["p_overturn"],
        age_weight=age_weights(frame["decided_at"], terms.half_life, terms.latest),
        minutes=kinds["minutes"],
    )
    rows = rows.assign(value=review_value(rows))
    closed = exclusion_reasons(rows["decision_id"], terms.reviewed, terms.waiting)
    open_, value, n = closed == "", rows["value"].to_numpy(np.float64), len(rows)
    heads = job_heads(rows["content"], open_, value) if terms.one_job else np.arange(n)
    size = np.bincount(heads[open_], minlength=n)
    worth = np.bincount(heads[open_], value[open_], minlength=n).astype(np.float64)
    place = (kinds["kind"].to_numpy(np.int64)[heads] << 32) | size[heads]
    fine = pack_levels(rows["p_error"].to_numpy(np.float64)[heads], worth[heads])
    position, ids = rows[POSITION].to_numpy(np.int64), rows["decision_id"]
    rows = rows.assign(
        closed=closed, head=position[heads], job_id=ids.to_numpy(object)[heads],
        identity=id_hashes(ids).view(np.int64), worth=worth, place=np.where(open_, place, -1),
        fine=np.where(open_, fine, -1), floors=kinds["floors"],
    )  # fmt: skip
    return rows, kinds["number"].to_numpy(np.int64)


def open_heads(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """Return some columns of the decisions that stand for open reviews."""
    own = table["head"].to_numpy() == table[POSITION].to_numpy()
    own &= table["place"].to_numpy() >= 0
    return table.select(list(names)).filter(pa.array(own))


def best_reviews(table: pa.Table, most: Ints) -> pa.Table:
    """Keep the most valuable reviews of each kind and set of floors; equal ones by their place.

    Parameters
    ----------
    table
        Open heads with the columns `LEADING`.
    most
        Number to keep of each kind.
    """
    kind, floors = table["place"].to_numpy() >> 32, table["floors"].to_numpy()
    order = np.lexsort((table[POSITION].to_numpy(), -table["worth"].to_numpy(), floors, kind))
    new = np.ones(len(order), bool)
    new[1:] = (np.diff(kind[order]) != 0) | (np.diff(floors[order]) != 0)
    first = np.flatnonzero(new)
    rank = np.arange(len(order)) - np.repeat(first, np.diff(np.r_[first, len(order)]))
    return table.take(pa.array(order[rank < most[kind[order]]]))


def _sent(frame: pd.DataFrame, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    n = len(frame)
    arrays = [
        pa.array(frame[f.name], f.type, from_pandas=True)
        if f.name in frame
        else pa.nulls(n, f.type)
        for f in schema
    ]
    table = pa.table(arrays, schema=schema).combine_chunks()
    yield from table.to_batches(max_chunksize=_SENT_ROWS)


@dataclass(frozen=True)
class GroupIndex:
    """Finds groups by place and fine, both from the workers.

    Parameters
    ----------
    places
        The distinct places, ascending.
    packed
        Shape (k,), the number of each group's place and its fine, ascending.
    """

    places: Ints
    packed: Ints

    @classmethod
    def of(cls, place: Ints, fine: Ints) -> "GroupIndex":
        """Make it of all groups, in order.

        Examples
        --------
        >>> index = GroupIndex.of(np.array([3, 3, 8]), np.array([1, 5, 1]))
        >>> index.find(np.array([8, 3]), np.array([1, 5])).tolist()
        [2, 1]
        """
        places, number = np.unique(place, return_inverse=True)
        return cls(places, (number.astype(np.int64) << 31) | fine)

    def find(self, place: Ints, fine: Ints) -> Ints:
        """Return the group of each row, all of which have one."""
        number = np.searchsorted(self.places, place)
        return np.searchsorted(self.packed, (number << 31) | fine).astype(np.int64)


@dataclass(frozen=True)
class LineTask:
    """Puts open reviews in the line from which marks draw: by layer, then by key.

    Parameters
    ----------
    index
        Finds the groups.
    layer, units
        Shape (k,), of each group; layer -1: not drawn.
    ranked
        Positions of the ranked reviews, ascending.
    seed
        As for `random_keys`.
    bits
        Upper bits of the key that tell apart the parts of a layer.
    wanted
        Parts whose rows are asked for, ascending.
    """

    index: GroupIndex
    layer: Ints
    units: Ints
    ranked: Ints
    seed: str
    bits: int
    wanted: Ints

    def within(self, buckets: Ints) -> "LineTask":
        """Return the same line, asked for the rows of some parts."""
        return replace(self, wanted=buckets)

    def totals(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Sum up the units of each part."""
        for batch in batches:
            line = self._line(batch)
            bucket, code = np.unique(line["bucket"], return_inverse=True)
            total = np.zeros(len(bucket), np.int64)
            np.add.at(total, code, line["units"])
            yield pa.record_batch([bucket, total], names=["bucket", "units"])

    def rows(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Send the rows of the parts asked for."""
        for batch in batches:
            line = self._line(batch)
            own = np.isin(line["bucket"], self.wanted)
            yield pa.record_batch(
                [pa.array(line[n][own], t) for n, t in IN_LINE.items()], names=list(IN_LINE)
            )

    def _line(self, batch: pa.RecordBatch) -> dict[str, Ints]:
        held = {name: batch[name].to_numpy() for name in batch.schema.names}
        group = self.index.find(held["place"], held["fine"])
        own = (self.layer[group] >= 0) & ~np.isin(held[POSITION], self.ranked)
        group, identity = group[own], held["identity"][own]
        keys = random_keys(identity.view(np.uint64), self.seed)
        part = (keys >> np.uint64(64 - self.bits)).astype(np.int64)
        return {
            "bucket": (self.layer[group] << self.bits) | part, "key": keys.view(np.int64),
            POSITION: held[POSITION][own], "units": self.units[group], "identity": identity,
            "group": group,
        }  # fmt: skip


@dataclass(frozen=True)
class DrawnReviews:
    """The draw, as workers need it to finish their rows.

    Parameters
    ----------
    index, probability
        The groups, and the inclusion probability of each, shape (k,).
    positions, explored, pool
        The queue: where its decisions stand in the input, whether each was drawn, and its pool.
    names
        Names of the pools; None without any.
    run
        The run.
    waiting
        As for `exclusion_reasons`.
    by_language
        Whether decisions have a language, which stands for the pool where there are none.
    parts
        Blocks of positions, and the file of each.
    """

    index: GroupIndex
    probability: Floats
    positions: Ints
    explored: Bools
    pool: Ints
    names: Sequence[str] | None
    run: ScoringRun
    waiting: pd.Series
    by_language: bool
    parts: tuple[Ints, Ints]


def finish_rows(rows: pd.DataFrame, plan: DrawnReviews) -> pd.DataFrame:
    """Add inclusion probability, arm, pool, job and run to rows with the columns of `VALUED`.

    Parameters
    ----------
    rows
        Shape (n, any).
    plan
        The draw.
    """
    order = np.argsort(plan.positions)
    places = plan.positions[order]
    head, closed = rows["head"].to_numpy(np.int64), rows["closed"].to_numpy(object)
    open_ = closed == ""
    at = np.minimum(np.searchsorted(places, head), max(len(places) - 1, 0))
    chosen = open_ & (places[at] == head) if len(places) else np.zeros(len(rows), bool)
    explored = np.zeros(len(rows), bool)
    pool = np.full(len(rows), None, dtype=object)
    explored[chosen] = plan.explored[order][at[chosen]]
    if plan.names is not None:
        pool[chosen] = np.array(plan.names, dtype=object)[plan.pool[order][at[chosen]]]
    else:
        language = rows["language"].fillna(_ANY_POOL).to_numpy(object)
        pool[chosen] = language[chosen] if plan.by_language else _ANY_POOL
    arm = closed.copy()
    arm[open_] = None
    arm[chosen] = np.where(explored[chosen], EXPLORE, RANKED)
    probability = np.ones(len(rows))
    group = plan.index.find(*(rows[n].to_numpy(np.int64)[open_] for n in ("place", "fine")))
    probability[open_] = plan.probability[group]
    probability[chosen & ~explored] = 1.0
    job = rows["job_id"].astype("str")
    earlier = rows["decision_id"].map(plan.waiting)
    return rows.assign(
        inclusion_probability=probability,
        arm=pd.Series(arm, index=rows.index, dtype="str"),
        pool=pd.Series(pool, index=rows.index, dtype="str"),
        job_id=job.where(pd.Series(arm != QUEUED, index=rows.index), earlier),
        model_version=plan.run.model_version,
        run_id=plan.run.run_id,
        scored_at=pd.Timestamp(plan.run.scored_at).as_unit("us"),
    )


@dataclass(frozen=True)
class OutputTask:
    """Finishes rows.

    Parameters
    ----------
    plan
        Held once by each worker.
    """

    plan: "Shared[DrawnReviews]"

    def run(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Return rows with the columns of `OUTPUT`."""
        plan = self.plan.value
        for batch in batches:
            if not batch.num_rows:
                continue
            rows = finish_rows(to_frame(pa.Table.from_batches([batch])), plan)
            blocks, parts = plan.parts
            block = np.searchsorted(blocks, rows[POSITION].to_numpy() >> _BLOCK)
            yield from _sent(rows.assign(_part=parts[block]), OUTPUT)


@dataclass(frozen=True)
class PartWriter:
    """Writes a part of the scores; done again, it replaces what was there.

    Parameters
    ----------
    folder
        Where to.
    origin
        The run's provenance; each part carries it.
    """

    folder: str
    origin: Provenance | None

    @staticmethod
    def name(part: int) -> str:
        """Return a part's file name.

        Examples
        --------
        >>> PartWriter.name(3)
        'part-00003.parquet'
        """
        return f"part-{part:05d}.parquet"

    def run(self, table: pa.Table) -> pa.Table:
        """Write rows in the input's order; return part and number of rows."""
        part = table["_part"][0].as_py()
        rows = to_frame(table.sort_by(POSITION).select(SCORES.names))
        write_parquet(
            add_old_columns(rows, "scores"),
            Path(self.folder) / self.name(part),
            schema_with_old_names("scores", SCORES),
            provenance=self.origin,
        )
        return pa.table({"part": [part], "n": [len(rows)]})
