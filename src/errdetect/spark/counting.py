"""Counts of earlier decisions by key, on Spark: one sorted pass per group of keys, large keys split by time.

Rows of one key go to one worker, and are counted there by the same code as on one machine. A key with more
rows than fit (or the log as one) is split by time: each slot of time holds its decisions, and those that leave the
windows during it; what came before is one total for each slot. What workers exchange are arrays of many rows in one
binary value each: as rows of their own, ten keys of each decision cost Spark most of the time.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from errdetect.features.point_in_time import DAY, EventClock, EventTally
from errdetect.features.point_in_time_features import WINDOWS, window_counts
from errdetect.features.similar_content import counts_before

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = [
    "CHUNK_BITS",
    "SPLIT_ROWS",
    "EarlierCounts",
    "KeyCounter",
    "count_earlier",
    "unpack_counts",
]

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Rows = dict[str, npt.NDArray[Any]]
_Read = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]
_Ask = Callable[[_Read, str], "DataFrame"]

#: Rows of one key above which it is split by time.
SPLIT_ROWS = 1_000_000
#: Bits of a position within a chunk, whose decisions are scored together.
CHUNK_BITS = 14
_QUANTILES = 1024
_LISTED = 1_000  # chunks that a query names
_BLOCK_ROWS = 200_000  # decisions whose keys are sent together
#: The place of what is only counted, and the chunk of what only says that decisions share a kind of key.
_NOWHERE = -1
_EVENT = np.dtype([("key", "<i8"), ("at", "<i8"), ("place", "<i8"), ("flags", "u1")])
_ACTED, _COUNTS, _STREAM = 1, 2, 2  # flags, and the bits before the stream
_PLACED = "kind bigint, bucket bigint, slot bigint, events binary"
_COUNTED = "chunk bigint, kind bigint, counts binary"
_TOTALS = ("kind", "key", "slot", "stream", "n", "acted")
_TIMES = "kind bigint, key bigint, n bigint, times binary"


@dataclass(frozen=True)
class KeyCounter:
    """Counts, before each decision, the earlier ones with the same key.

    Parameters
    ----------
    columns
        Column of each kind of key; None where all decisions share it.
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

    columns: tuple[str | None, ...]
    windowed: tuple[bool, ...]
    buckets: int
    edges: Mapping[tuple[int, int], Ints] = field(default_factory=dict)
    before: Mapping[tuple[int, int, int], Ints] = field(default_factory=dict)

    def blocks(self, batches: Iterable[pa.RecordBatch]) -> Iterator[list[Rows]]:
        """Yield many decisions at a time: key, at, acted, place and event of those that have a key, by kind.

        Parameters
        ----------
        batches
            With at, acted, place (of a decision to score; else null), event (whether it counts for
            others), and the columns of the keys.
        """
        held: list[pa.RecordBatch] = []
        for batch in batches:
            held.append(batch)
            if sum(map(len, held)) >= _BLOCK_ROWS:
                yield self._block(pa.Table.from_batches(held))
                held = []
        if sum(map(len, held)):
            yield self._block(pa.Table.from_batches(held))

    def _block(self, table: pa.Table) -> list[Rows]:
        plain = {
            name: table[name].combine_chunks().fill_null(_NOWHERE).to_numpy(zero_copy_only=False)
            for name in ("at", "place")
        }
        plain |= {n: table[n].to_numpy().astype(bool) for n in ("acted", "event")}
        out = []
        for name in self.columns:
            if name is None:
                out.append({"key": np.zeros(len(table), np.int64), **plain})
                continue
            column = table[name].combine_chunks()
            own = column.is_valid().to_numpy(zero_copy_only=False)
            key = column.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
            rows = {"key": key, **plain}
            out.append(rows if own.all() else {n: some[own] for n, some in rows.items()})
        return out

    def place(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Assign rows to groups."""
        for block in self.blocks(batches):
            sent: dict[str, list[Any]] = {n: [] for n in ("kind", "bucket", "slot", "events")}
            for kind, rows in enumerate(block):
                left = np.ones(len(rows["key"]), bool)
                for key, part in self._streams(kind, rows, left):
                    slots = len(self.edges[kind, key])
                    keep = (part["slot"] > 0) & (part["slot"] < slots)
                    part = {name: values[keep] for name, values in part.items()}
                    for slot, events in _packed(part, part["slot"]):
                        _append(sent, kind, key, slot, events)
                cold = {name: values[left] for name, values in rows.items()}
                number = np.asarray(cold["key"] % self.buckets, np.int64)
                for bucket, events in _packed(cold, number):
                    _append(sent, kind, bucket, _NOWHERE, events)
            yield pa.record_batch(
                [pa.array(sent[n], pa.int64()) for n in ("kind", "bucket", "slot")]
                + [pa.array(sent["events"], pa.binary())],
                names=list(sent),
            )

    def heavy(self, batches: Iterable[pa.RecordBatch], share: float) -> Iterator[pa.RecordBatch]:
        """Send the keys that hold at least so large a share of some rows, and of how many."""
        for block in self.blocks(batches):
            found: list[tuple[int, int, int]] = []
            for kind, rows in enumerate(block):
                keys, n = np.unique(rows["key"], return_counts=True)
                some = np.flatnonzero(n >= max(1.0, share * len(rows["key"])))
                found += [(kind, int(keys[i]), int(n[i])) for i in some]
            yield pa.record_batch(
                [pa.array([row[i] for row in found], pa.int64()) for i in range(3)],
                names=["kind", "key", "n"],
            )

    def times(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Send the split keys' times of decisions to score, as quantiles with both ends."""
        for block in self.blocks(batches):
            found: list[tuple[int, int, int, bytes]] = []
            for kind, key in self.edges:
                rows = block[kind]
                at = np.sort(rows["at"][(rows["key"] == key) & (rows["place"] >= 0)])
                if len(at):
                    some = np.linspace(0, len(at) - 1, min(len(at), _QUANTILES)).astype(np.int64)
                    found.append((kind, key, len(at), at[some].astype("<i8").tobytes()))
            yield pa.record_batch(
                [pa.array([row[i] for row in found], pa.int64()) for i in range(3)]
                + [pa.array([row[3] for row in found], pa.binary())],
                names=["kind", "key", "n", "times"],
            )

    def totals(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Sum up the split keys' decisions by slot."""
        for block in self.blocks(batches):
            for kind, rows in enumerate(block):
                for key, part in self._streams(kind, rows, np.ones(len(rows["key"]), bool)):
                    yield self._slot_totals(kind, key, part)

    def _slot_totals(self, kind: int, key: int, part: Rows) -> pa.RecordBatch:
        slots = len(self.edges[kind, key]) + 1
        index = part["stream"] * slots + part["slot"]
        event = part["event"].astype(np.int64)
        n = np.bincount(index, event, 4 * slots).astype(np.int64)
        acted = np.bincount(index, event * part["acted"], 4 * slots).astype(np.int64)
        some = np.flatnonzero(n)
        m = len(some)
        columns = [
            np.full(m, kind), np.full(m, key), some % slots, some // slots, n[some], acted[some],
        ]  # fmt: skip
        return pa.record_batch(columns, names=list(_TOTALS))

    def _streams(self, kind: int, rows: Rows, left: Bools) -> Iterator[tuple[int, Rows]]:
        """Yield the rows of each split key, moved on by each window; and clear them in `left`."""
        for (of, key), edges in self.edges.items():
            own = rows["key"] == key
            if of != kind or not own.any():
                continue
            left &= ~own
            for stream, days in enumerate((0, *WINDOWS) if self.windowed[kind] else (0,)):
                some = own if not stream else own & rows["event"]
                part = {name: values[some] for name, values in rows.items()}
                if not len(part["key"]):
                    continue
                part["at"] = part["at"] + days * DAY
                part["slot"] = np.searchsorted(edges, part["at"], side="right").astype(np.int64)
                part["stream"] = np.full(len(part["at"]), stream)
                if stream:
                    part["place"] = np.full(len(part["at"]), _NOWHERE)
                yield key, part

    def count(self, table: pa.Table) -> pa.Table:
        """Count for the rows of one group that are to be scored."""
        kind, bucket, slot = (table[n][0].as_py() for n in ("kind", "bucket", "slot"))
        rows = _unpacked(table["events"].to_pylist())
        target = rows["place"] >= 0
        if slot < 0:
            counts, shared = self._count_keys(rows, target, self.windowed[kind])
        else:
            before = self.before[kind, bucket, slot]
            counts, shared = self._count_slot(rows, target, before), False
        some = counts.any(axis=1)
        places = rows["place"][target][some]
        packed = np.column_stack([places, counts[some]]).astype("<i8")
        found = list(_by_number(packed, places >> CHUNK_BITS))
        if shared:
            found.append((_NOWHERE, b""))
        return pa.table({
            "chunk": pa.array([chunk for chunk, _ in found], pa.int64()),
            "kind": np.full(len(found), kind),
            "counts": pa.array([held for _, held in found], pa.binary()),
        })  # fmt: skip

    @staticmethod
    def _count_keys(rows: Rows, target: Bools, windowed: bool) -> tuple[Ints, bool]:
        at, event = rows["at"], rows["event"]
        code = np.unique(rows["key"], return_inverse=True)[1].astype(np.int64)
        clock = EventClock(at[event])
        acted = rows["acted"][event].astype(np.int64)[:, None]
        tally = EventTally(code[event], clock.ticks(at[event]), acted, len(clock))
        group, now = code[target], clock.ticks(at[target])
        shared = bool((np.bincount(code[event], minlength=1) > 1).any())
        if not windowed:
            return counts_before(tally, group, now), shared
        since = [clock.ticks(at[target] - days * DAY) for days in WINDOWS]
        return window_counts(tally, group, now, since), shared

    @staticmethod
    def _count_slot(rows: Rows, target: Bools, before: Ints) -> Ints:
        at, event = rows["at"], rows["event"]
        sums = []
        for stream in range(len(before)):
            some = event & (rows["stream"] == stream)
            clock = EventClock(at[some])
            nobody = np.zeros(int(some.sum()), np.int64)
            acted = rows["acted"][some].astype(np.int64)[:, None]
            tally = EventTally(nobody, clock.ticks(at[some]), acted, len(clock))
            zeros = np.zeros(int(target.sum()), np.int64)
            sums.append(before[stream] + counts_before(tally, zeros, clock.ticks(at[target])))
        return sums[0] if len(sums) == 1 else np.hstack([sums[0] - one for one in sums[1:]])


def _append(sent: dict[str, list[Any]], *values: object) -> None:
    for held, value in zip(sent.values(), values, strict=True):
        held.append(value)


def _packed(rows: Rows, number: Ints) -> Iterator[tuple[int, bytes]]:
    """Pack rows by number."""
    events = np.empty(len(number), _EVENT)
    for name in ("key", "at", "place"):
        events[name] = rows[name]
    events["flags"] = rows["acted"] * _ACTED + rows["event"] * _COUNTS
    if "stream" in rows:
        events["flags"] += (rows["stream"] << _STREAM).astype(np.uint8)
    return _by_number(events, number)


def _unpacked(packed: Sequence[bytes]) -> Rows:
    """Unpack rows from `_packed`."""
    events = np.frombuffer(b"".join(packed), _EVENT)
    rows = {name: events[name].astype(np.int64) for name in ("key", "at", "place")}
    flags = events["flags"]
    return rows | {
        "acted": (flags & _ACTED) > 0, "event": (flags & _COUNTS) > 0,
        "stream": (flags >> _STREAM).astype(np.int64),
    }  # fmt: skip


def _by_number(rows: npt.NDArray[Any], number: Ints) -> Iterator[tuple[int, bytes]]:
    """Yield the bytes of the rows with each number."""
    order = np.argsort(number, kind="stable")
    rows, number = rows[order], number[order]
    first = np.flatnonzero(np.append(True, number[1:] != number[:-1])[: len(number)])
    for start, stop in pairwise([*first.tolist(), len(number)]):
        yield int(number[start]), rows[start:stop].tobytes()


@dataclass(frozen=True)
class EarlierCounts:
    """Counts before the decisions to score, on the workers.

    Parameters
    ----------
    rows
        Spark's table: chunk (of positions), kind and counts, see `unpack_counts`; kept on the workers' disks.
    windowed
        See `KeyCounter`.
    shared
        The kinds of which two decisions share a key.
    """

    rows: "DataFrame"
    windowed: tuple[bool, ...]
    shared: frozenset[int]

    def at(self, positions: Ints) -> list[Ints]:
        """Fetch the counts of some decisions, each kind's as from `unpack_counts`.

        Parameters
        ----------
        positions
            Shape (n,), ascending.
        """
        if not len(positions):
            return unpack_counts(positions, [], self.windowed)
        task = _PickTask(self.windowed, positions)
        chunks = np.unique(positions >> CHUNK_BITS)
        rows = self.rows.where(f"chunk BETWEEN {chunks[0]} AND {chunks[-1]}")
        if len(chunks) <= _LISTED:
            rows = rows.where(rows["chunk"].isin(chunks.tolist()))
        found = rows.select("kind", "counts").mapInArrow(task.run, "kind bigint, counts binary")
        table = found.toArrow()
        pairs = zip(table["kind"].to_pylist(), table["counts"].to_pylist(), strict=True)
        return unpack_counts(positions, pairs, self.windowed)


@dataclass(frozen=True)
class _PickTask:
    """Picks the counts of some decisions."""

    windowed: tuple[bool, ...]
    positions: Ints

    def run(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            kinds, picked = [], []
            for kind, held in zip(*(batch[n].to_pylist() for n in ("kind", "counts")), strict=True):
                rows = _counts_of(held, self.windowed[kind])
                rows = rows[np.isin(rows[:, 0], self.positions)]
                if len(rows):
                    kinds.append(kind)
                    picked.append(rows.tobytes())
            columns = [pa.array(kinds, pa.int64()), pa.array(picked, pa.binary())]
            yield pa.record_batch(columns, names=["kind", "counts"])


def _counts_of(held: bytes, windowed: bool) -> Ints:
    """Return the places and the counts of a packed value, shape (n, 1 + counts)."""
    width = 2 * len(WINDOWS) if windowed else 2
    return np.frombuffer(held, "<i8").reshape(-1, 1 + width).astype(np.int64, copy=False)


def unpack_counts(
    positions: Ints, packed: Iterable[tuple[int, bytes]], windowed: tuple[bool, ...]
) -> list[Ints]:
    """Return each kind's counts, shape (n, 6) or (n, 2); 0 where there are none.

    Parameters
    ----------
    positions
        Shape (n,), of the decisions, ascending.
    packed
        Kind, and rows of a position (one of these) and counts, 64-bit numbers with the lowest byte first.
    windowed
        See `KeyCounter`.

    Examples
    --------
    >>> one = np.array([[7, 3, 2]], "<i8").tobytes()
    >>> [found.tolist() for found in unpack_counts(np.array([5, 7]), [(1, one)], (True, False))]
    [[[0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]], [[0, 0], [3, 2]]]
    """
    widths = [2 * len(WINDOWS) if wide else 2 for wide in windowed]
    out = [np.zeros((len(positions), width), np.int64) for width in widths]
    for kind, held in packed:
        rows = _counts_of(held, windowed[kind])
        out[kind][np.searchsorted(positions, rows[:, 0])] = rows[:, 1:]
    return out


def count_earlier(
    events: "DataFrame",
    columns: tuple[str | None, ...],
    windowed: tuple[bool, ...],
    n: int,
    split_rows: int = SPLIT_ROWS,
    read: _Read = iter,
) -> EarlierCounts:
    """Count the decisions before each that is to be scored, by each of its keys.

    Parameters
    ----------
    events
        What `read` turns into a row for each decision: at (microseconds), acted (whether enforced), place (of a
        decision to score; else null), event (whether it counts for others), and the columns of the keys.
    columns, windowed
        See `KeyCounter`.
    n
        Number of decisions.
    split_rows
        Rows of one key above which it is split by time.
    read
        How workers read `events`.
    """
    from pyspark import StorageLevel
    from pyspark.sql import functions as F  # noqa: N812

    counter = KeyCounter(columns, windowed, max(1, -(-2 * n // split_rows)))
    ask: _Ask = lambda task, schema: events.mapInArrow(lambda some: task(read(some)), schema)  # noqa: E731
    large = _large_keys(ask, counter, n, split_rows)
    if large:
        counter = _split_large(ask, counter, large, split_rows)
    placed = ask(counter.place, _PLACED)
    groups = placed.groupBy("kind", "bucket", "slot")
    counted = groups.applyInArrow(lambda table: counter.count(table), _COUNTED)
    counted = counted.persist(StorageLevel.DISK_ONLY)
    shared = counted.where(F.col("chunk") == _NOWHERE).select("kind").distinct().collect()
    found = {row["kind"] for row in shared} | {kind for kind, _ in counter.edges}
    return EarlierCounts(counted.where(F.col("chunk") >= 0), windowed, frozenset(found))


def _large_keys(
    ask: _Ask, counter: KeyCounter, n: int, split_rows: int
) -> dict[tuple[int, int], int]:
    """Find the keys with more than so many rows, and perhaps some with half as many.

    Of every block of rows, keys with less than half the share are not sent: all in all less than half of
    `split_rows` of any key.
    """
    if n <= split_rows:
        return {}
    share = split_rows / (2 * n)
    found = ask(lambda batches: counter.heavy(batches, share), "kind bigint, key bigint, n bigint")
    sizes = Counter[tuple[int, int]]()
    for row in found.toArrow().to_pylist():
        sizes[row["kind"], row["key"]] += row["n"]
    return {pair: size for pair, size in sizes.items() if size > split_rows / 2}


def _split_large(
    ask: _Ask, counter: KeyCounter, sizes: Mapping[tuple[int, int], int], split_rows: int
) -> KeyCounter:
    """Choose the slots of large keys by the times of the decisions to score, and sum up what came before."""
    nothing = {pair: np.empty(0, np.int64) for pair in sorted(sizes)}
    asking = KeyCounter(counter.columns, counter.windowed, counter.buckets, nothing)
    times: dict[tuple[int, int], list[tuple[int, Ints]]] = {pair: [] for pair in nothing}
    for row in ask(asking.times, _TIMES).toArrow().to_pylist():
        times[row["kind"], row["key"]].append((row["n"], np.frombuffer(row["times"], "<i8")))
    edges = nothing | {
        pair: _edges(found, sizes[pair], split_rows) for pair, found in times.items() if found
    }
    split = KeyCounter(counter.columns, counter.windowed, counter.buckets, edges)
    names = ", ".join(f"{name} bigint" for name in _TOTALS)
    within = {pair: np.zeros((4, len(at) + 1, 2), np.int64) for pair, at in edges.items()}
    for row in ask(split.totals, names).toArrow().to_pylist():
        within[row["kind"], row["key"]][row["stream"], row["slot"]] += row["n"], row["acted"]
    before: dict[tuple[int, int, int], Ints] = {}
    for (kind, key), held in within.items():
        width = 4 if counter.windowed[kind] else 1
        until = np.cumsum(held, axis=1) - held
        before |= {(kind, key, slot): until[:width, slot] for slot in range(held.shape[1])}
    return KeyCounter(counter.columns, counter.windowed, counter.buckets, edges, before)


def _edges(found: Sequence[tuple[int, Ints]], size: int, split_rows: int) -> Ints:
    """Return where slots begin, such that each holds about as many decisions to score."""
    at = np.concatenate([times for _, times in found])
    weight = np.concatenate([np.full(len(times), n / len(times)) for n, times in found])
    order = np.argsort(at, kind="stable")
    at, until = at[order], np.cumsum(weight[order])
    slots = max(1, -(-2 * size // split_rows))
    inner = at[np.searchsorted(until, until[-1] * np.arange(slots) / slots)]
    return np.append(np.unique(np.append(at[0], inner)), at[-1] + 1).astype(np.int64)
