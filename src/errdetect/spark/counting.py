"""Counts of earlier decisions by key, on Spark: one sorted pass per group of keys, large keys split by time.

Rows of one key go to one worker, and are counted there by the same code as on one machine. A key with more
rows than fit (or the log as one) is split by time: each slot of time holds its decisions, and those that leave the
windows during it; what came before is one total for each slot.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from errdetect.features.point_in_time import DAY, EventClock, EventTally
from errdetect.features.point_in_time_features import WINDOWS, window_counts
from errdetect.features.similar_content import counts_before

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["SPLIT_ROWS", "KeyCounter", "count_earlier", "decode_counts"]

Ints = npt.NDArray[np.int64]

#: Rows of one key above which it is split by time.
SPLIT_ROWS = 1_000_000
_QUANTILES = 1024
_ROW = {
    "kind": "bigint",
    "key": "bigint",
    "at": "bigint",
    "acted": "bigint",
    "place": "bigint",
    "event": "boolean",
}
_PLACED = {**_ROW, "bucket": "bigint", "slot": "bigint", "stream": "bigint"}
_COUNTED = {"place": "bigint", "kind": "bigint", "counts": "binary"}
_TOTALS = ("kind", "key", "slot", "stream", "n", "acted")
#: The place of rows that only say that decisions share a kind of key.
_SHARED = -1


def _ddl(columns: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in columns.items())


def _columns(batch: pa.RecordBatch | pa.Table) -> dict[str, npt.NDArray[Any]]:
    """Return a batch's columns; a missing place is below `_SHARED`."""
    out = {}
    for name in batch.column_names:
        column = batch[name]
        column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        column = column.fill_null(_SHARED - 1) if name == "place" else column
        out[name] = column.to_numpy(zero_copy_only=False)
    return out


@dataclass(frozen=True)
class KeyCounter:
    """Counts, before each decision, the earlier ones with the same key.

    Parameters
    ----------
    windowed
        Shape (kinds,), whether a kind of key counts in each of `WINDOWS` (6 numbers: decisions and
        enforced ones) or from the beginning (2 numbers).
    buckets
        Number of groups that a kind's keys are spread over.
    edges
        (kind, key) of the keys to split -> where their slots of time begin, in microseconds: the first
        at the first decision to score, the last one after the last, where nothing is needed.
    before
        (kind, key, slot) -> decisions and enforced ones before the slot, now and for each window,
        shape (4, 2).
    """

    windowed: tuple[bool, ...]
    buckets: int
    edges: Mapping[tuple[int, int], Ints] = field(default_factory=dict)
    before: Mapping[tuple[int, int, int], Ints] = field(default_factory=dict)

    def place(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Assign rows to groups."""
        for batch in batches:
            rows = _columns(batch)
            n = len(rows["kind"])
            left = np.ones(n, bool)
            for key, part in self._streams(rows, left):
                slots = len(self.edges[int(part["kind"][0]), key])
                keep = (part["slot"] > 0) & (part["slot"] < slots)
                bucket = np.full(int(keep.sum()), key)
                yield _to_batch(
                    {**{name: values[keep] for name, values in part.items()}, "bucket": bucket}
                )
            cold = {name: values[left] for name, values in rows.items()}
            m = len(cold["kind"])
            more = {"bucket": np.asarray(cold["key"] % self.buckets, np.int64),
                    "slot": np.full(m, -1), "stream": np.zeros(m, np.int64)}  # fmt: skip
            yield _to_batch(cold | more)

    def totals(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Sum up the split keys' decisions by slot."""
        for batch in batches:
            rows = _columns(batch)
            for key, part in self._streams(rows, np.ones(len(rows["kind"]), bool)):
                slots = len(self.edges[int(part["kind"][0]), key]) + 1
                index = part["stream"] * slots + part["slot"]
                event = part["event"].astype(np.int64)
                n = np.bincount(index, event, 4 * slots).astype(np.int64)
                acted = np.bincount(index, event * part["acted"], 4 * slots).astype(np.int64)
                some = np.flatnonzero(n)
                m = len(some)
                yield pa.record_batch(
                    [
                        np.full(m, part["kind"][0]),
                        np.full(m, key),
                        some % slots,
                        some // slots,
                        n[some],
                        acted[some],
                    ],
                    names=list(_TOTALS),
                )

    def _streams(
        self, rows: Mapping[str, npt.NDArray[Any]], left: npt.NDArray[np.bool_]
    ) -> Iterator[tuple[int, dict[str, npt.NDArray[Any]]]]:
        """Yield the rows of each split key, moved on by each window; and clear them in `left`."""
        for (kind, key), edges in self.edges.items():
            own = (rows["kind"] == kind) & (rows["key"] == key)
            if not own.any():
                continue
            left &= ~own
            for stream, days in enumerate((0, *WINDOWS) if self.windowed[kind] else (0,)):
                some = own if not stream else own & rows["event"].astype(bool)
                part = {name: values[some] for name, values in rows.items()}
                if not len(part["kind"]):
                    continue
                part["at"] = part["at"] + days * DAY
                part["slot"] = np.searchsorted(edges, part["at"], side="right").astype(np.int64)
                part["stream"] = np.full(len(part["at"]), stream)
                if stream:
                    part["place"] = np.full(len(part["at"]), _SHARED - 1)
                yield key, part

    def count(self, table: pa.Table) -> pa.Table:
        """Count for the rows of one group that are to be scored."""
        rows = _columns(table)
        kind, slot = int(rows["kind"][0]), int(rows["slot"][0])
        target = rows["place"] >= 0
        places = rows["place"][target]
        if slot < 0:
            counts, shared = self._count_keys(rows, target, self.windowed[kind])
        else:
            key = kind, int(rows["key"][0]), slot
            counts, shared = self._count_slot(rows, target, self.before[key]), False
        some = counts.any(axis=1)
        places, counts = places[some], counts[some]
        packed = np.ascontiguousarray(counts, "<i8")
        width = packed.shape[1] * 8
        values = pa.Array.from_buffers(
            pa.binary(width), len(packed), [None, pa.py_buffer(packed.tobytes())]
        ).cast(pa.binary())
        if shared:
            places = np.append(places, _SHARED)
            values = pa.concat_arrays([values, pa.array([b""], pa.binary())])
        return pa.table({"place": places, "kind": np.full(len(places), kind), "counts": values})

    @staticmethod
    def _count_keys(
        rows: Mapping[str, npt.NDArray[Any]], target: npt.NDArray[np.bool_], windowed: bool
    ) -> tuple[Ints, bool]:
        at, event = rows["at"].astype(np.int64), rows["event"].astype(bool)
        code = np.unique(rows["key"], return_inverse=True)[1].astype(np.int64)
        clock = EventClock(at[event])
        acted = rows["acted"].astype(np.int64)[event][:, None]
        tally = EventTally(code[event], clock.ticks(at[event]), acted, len(clock))
        group, now = code[target], clock.ticks(at[target])
        shared = bool((np.bincount(code[event], minlength=1) > 1).any())
        if not windowed:
            return counts_before(tally, group, now), shared
        since = [clock.ticks(at[target] - days * DAY) for days in WINDOWS]
        return window_counts(tally, group, now, since), shared

    @staticmethod
    def _count_slot(
        rows: Mapping[str, npt.NDArray[Any]], target: npt.NDArray[np.bool_], before: Ints
    ) -> Ints:
        at, event = rows["at"].astype(np.int64), rows["event"].astype(bool)
        sums = []
        for stream in range(len(before)):
            some = event & (rows["stream"] == stream)
            clock = EventClock(at[some])
            nobody = np.zeros(int(some.sum()), np.int64)
            acted = rows["acted"].astype(np.int64)[some][:, None]
            tally = EventTally(nobody, clock.ticks(at[some]), acted, len(clock))
            zeros = np.zeros(int(target.sum()), np.int64)
            sums.append(before[stream] + counts_before(tally, zeros, clock.ticks(at[target])))
        return sums[0] if len(sums) == 1 else np.hstack([sums[0] - one for one in sums[1:]])


def _to_batch(columns: Mapping[str, npt.NDArray[Any]]) -> pa.RecordBatch:
    arrays = []
    for name in _PLACED:
        values = columns[name]
        mask = values < _SHARED if name == "place" else None
        arrays.append(pa.array(values, mask=mask))
    return pa.record_batch(arrays, names=list(_PLACED))


def count_earlier(
    rows: "DataFrame", windowed: tuple[bool, ...], n: int, split_rows: int = SPLIT_ROWS
) -> tuple["DataFrame", frozenset[int]]:
    """Count the decisions before each that is to be scored, by each of its keys.

    Parameters
    ----------
    rows
        One row for each decision and key: kind (0 to kinds - 1), key, at (microseconds), acted (1 where
        enforced), place (of a decision to score; else null), event (whether it counts for others).
    windowed
        See `KeyCounter`.
    n
        Number of decisions.
    split_rows
        Rows of one key above which it is split by time.

    Returns
    -------
    counts, shared
        Place and an array of kind and counts (without those that are all 0), see `decode_counts`; and the
        kinds of which two decisions share a key.
    """
    from pyspark import StorageLevel
    from pyspark.sql import functions as F  # noqa: N812

    sizes = rows.groupBy("kind", "key").count() if n > split_rows else None
    large = sizes.where(F.col("count") > split_rows).collect() if sizes is not None else []
    counter = KeyCounter(windowed, max(1, -(-2 * n // split_rows)))
    if large:
        counter = _split_large(
            rows, counter, {(r["kind"], r["key"]): r["count"] for r in large}, split_rows
        )
        placed = rows.mapInArrow(counter.place, _ddl(_PLACED))
    else:
        placed = rows.selectExpr(
            "*", f"key % {counter.buckets} AS bucket", "-1L AS slot", "0L AS stream"
        )
    groups = placed.groupBy("kind", "bucket", "slot")
    counted = groups.applyInArrow(lambda table: counter.count(table), _ddl(_COUNTED)).persist(
        StorageLevel.DISK_ONLY
    )
    shared = counted.where(F.col("place") == _SHARED).select("kind").distinct().collect()
    found = {row["kind"] for row in shared} | {kind for kind, _ in counter.edges}
    pairs = F.collect_list(F.struct("kind", "counts")).alias("counts")
    return counted.where(F.col("place") >= 0).groupBy("place").agg(pairs), frozenset(found)


def _split_large(
    rows: "DataFrame", counter: KeyCounter, sizes: Mapping[tuple[int, int], int], split_rows: int
) -> KeyCounter:
    """Choose the slots of large keys by the times of the decisions to score, and sum up what came before."""
    from pyspark.sql import functions as F  # noqa: N812

    hot = F.lit(False)
    for kind, key in sizes:
        hot = hot | ((F.col("kind") == kind) & (F.col("key") == key))
    some = rows.where(hot)
    shares = [i / _QUANTILES for i in range(_QUANTILES)]
    times = some.where("place IS NOT NULL").groupBy("kind", "key")
    found = times.agg(
        F.min("at").alias("first"),
        F.max("at").alias("last"),
        F.percentile_approx("at", shares, 10_000).alias("at"),
    ).collect()
    edges = {pair: np.empty(0, np.int64) for pair in sizes}
    for row in found:
        pair = row["kind"], row["key"]
        step = max(1, _QUANTILES * split_rows // (2 * sizes[pair]))
        inner = np.array([row["first"], *row["at"][::step]], np.int64)
        edges[pair] = np.append(np.unique(inner), row["last"] + 1)
    split = KeyCounter(counter.windowed, counter.buckets, edges)
    names = ", ".join(f"{name} bigint" for name in _TOTALS)
    sums = some.mapInArrow(split.totals, names).groupBy(*_TOTALS[:4])
    totals = sums.agg(F.sum("n").alias("n"), F.sum("acted").alias("acted")).collect()
    within = {pair: np.zeros((4, len(at) + 1, 2), np.int64) for pair, at in edges.items()}
    for row in totals:
        within[row["kind"], row["key"]][row["stream"], row["slot"]] = row["n"], row["acted"]
    before: dict[tuple[int, int, int], Ints] = {}
    for (kind, key), held in within.items():
        width = 4 if counter.windowed[kind] else 1
        until = np.cumsum(held, axis=1) - held
        before |= {(kind, key, slot): until[:width, slot] for slot in range(held.shape[1])}
    return KeyCounter(counter.windowed, counter.buckets, edges, before)


def decode_counts(counts: pa.ListArray, windowed: tuple[bool, ...]) -> list[Ints]:
    """Return each kind's counts, shape (n, 6) or (n, 2), from what `count_earlier` gives.

    Examples
    --------
    >>> one = [{"kind": 1, "counts": np.array([3, 2], "<i8").tobytes()}]
    >>> kind = pa.list_(pa.struct({"kind": pa.int64(), "counts": pa.binary()}))
    >>> [found.tolist() for found in decode_counts(pa.array([one, None], kind), (True, False))]
    [[[0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]], [[3, 2], [0, 0]]]
    """
    n = len(counts)
    rows = np.asarray(pa.compute.list_parent_indices(counts).to_numpy(), np.int64)
    pairs = pa.compute.list_flatten(counts)
    kinds, values = pairs.field("kind").to_numpy(zero_copy_only=False), pairs.field("counts")
    out = []
    for kind, wide in enumerate(windowed):
        width = 2 * len(WINDOWS) if wide else 2
        found = np.zeros((n, width), np.int64)
        own = kinds == kind
        if own.any():
            held = b"".join(values.filter(pa.array(own)).to_pylist())
            found[rows[own]] = np.frombuffer(held, "<i8").reshape(-1, width)
        out.append(found)
    return out
