"""Clean decisions on Spark's workers, in pieces of neighbouring rows, each packed as Arrow's bytes.

Java keeps and sends pieces, and never sees single rows, which cost it more than scoring costs Python. A piece has two
values: the narrow one holds times, ids and keys, of which many passes are made; the wide one everything else.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from errdetect.data.arrow_frames import POSITION
from errdetect.spark.counting import CHUNK_BITS
from errdetect.spark.session import spark_schema

if TYPE_CHECKING:
    from pyspark import Broadcast
    from pyspark.sql import DataFrame

__all__ = [
    "IDENTITY",
    "KEY",
    "PIECES",
    "CleanRows",
    "EventReader",
    "find_known",
    "identities",
    "join_piece",
    "key_hashes",
    "pack_pieces",
    "pack_table",
    "piece_batch",
    "read_events",
    "repeated_ids",
    "split_table",
    "unpack_table",
]

Ints = npt.NDArray[np.int64]

#: The prefix of the columns with the hashes of keys, and the column with the hash of the decision's id.
KEY = "_key_"
IDENTITY = "_identity"
#: Pieces of the rows of one chunk of positions.
PIECES = pa.schema([("chunk", pa.int64()), ("narrow", pa.binary()), ("wide", pa.binary())])
_PIECE_BYTES = 16 * 2**20
_NARROW = {
    POSITION, IDENTITY, "decision_id", "decided_at", "enforced", "policy_id", "market", "language",
    "moderator", "moderator_version", "text_key",
}  # fmt: skip
_NARROW_PREFIXES = (KEY, "near_key_")
_BUCKET_ROWS = 1_000_000  # ids compared together
_PAIRS = "bucket bigint, of_batch boolean, pairs binary"
_ODD = np.uint64(0x9E3779B97F4A7C15)


def key_hashes(frame: pd.DataFrame, columns: Sequence[str]) -> pa.Array:
    """Hash combinations of values to 64 bits, shape (n,); null where any of them is missing.

    Examples
    --------
    >>> frame = pd.DataFrame({"a": ["x", "x", None], "b": ["y", "z", "y"]})
    >>> hashes = key_hashes(frame, ["a", "b"])
    >>> hashes.null_count, hashes[0] == hashes[1]
    (1, False)
    """
    total: npt.NDArray[np.uint64] = np.zeros(len(frame), np.uint64)
    missing = np.zeros(len(frame), bool)
    for name in columns:
        if name not in frame:
            return pa.nulls(len(frame), pa.int64())
        column = frame[name]
        missing |= column.isna().to_numpy(bool)
        plain = column if pd.api.types.is_numeric_dtype(column.dtype) else column.astype(object)
        hashes = pd.util.hash_pandas_object(plain, index=False).to_numpy()
        total = np.asarray(total * _ODD + hashes, np.uint64)
    return pa.array(total.view(np.int64), mask=missing)


def identities(ids: pd.Index) -> Ints:
    """Return the hashes of ids, as in the column `IDENTITY`."""
    hashes = key_hashes(pd.DataFrame({"id": ids.astype(object)}), ["id"])
    return np.asarray(hashes.to_numpy(zero_copy_only=False), np.int64)


def pack_table(table: pa.Table) -> bytes:
    """Return a table as bytes.

    Examples
    --------
    >>> unpack_table(pack_table(pa.table({"a": [1]}))).to_pylist()
    [{'a': 1}]
    """
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    held: bytes = sink.getvalue().to_pybytes()
    return held


def unpack_table(held: bytes | pa.Buffer) -> pa.Table:
    """Return the table that `pack_table` packed."""
    return pa.ipc.open_stream(held).read_all()


def split_table(table: pa.Table, numbers: Ints) -> Iterator[tuple[int, bytes]]:
    """Pack the rows of each number.

    Examples
    --------
    >>> parts = split_table(pa.table({"a": [1, 2, 3]}), np.array([5, 0, 5]))
    >>> [(number, unpack_table(held)["a"].to_pylist()) for number, held in parts]
    [(0, [2]), (5, [1, 3])]
    """
    order = np.argsort(numbers, kind="stable")
    table, numbers = table.take(pa.array(order)), numbers[order]
    edges = np.flatnonzero(np.append(True, numbers[1:] != numbers[:-1])[: len(numbers)])
    for start, stop in pairwise([*edges.tolist(), len(numbers)]):
        yield int(numbers[start]), pack_table(table.slice(start, stop - start))


def pack_pieces(table: pa.Table) -> Iterator[tuple[int, bytes, bytes]]:
    """Pack rows by chunk of positions: chunk, narrow and wide value of each piece."""
    chunks = table[POSITION].to_numpy() >> CHUNK_BITS
    narrow = [n for n in table.column_names if n in _NARROW or n.startswith(_NARROW_PREFIXES)]
    wide = [n for n in table.column_names if n not in narrow]
    for chunk in np.unique(chunks).tolist():
        part = table.filter(pa.array(chunks == chunk))
        size = max(1, part.num_rows * _PIECE_BYTES // max(part.nbytes, 1))
        for start in range(0, part.num_rows, size):
            piece = part.slice(start, size)
            yield chunk, pack_table(piece.select(narrow)), pack_table(piece.select(wide))


def join_piece(narrow: bytes | pa.Buffer, wide: bytes | pa.Buffer) -> pa.Table:
    """Return a piece's rows with all columns."""
    table = unpack_table(narrow)
    more = unpack_table(wide)
    for name in more.column_names:
        table = table.append_column(more.schema.field(name), more[name])
    return table


@dataclass(frozen=True)
class _Wanted:
    """Ids to look for; `hashes` are theirs, sorted. Without ids, everything with such a hash."""

    hashes: Ints
    ids: frozenset[str] | None

    @classmethod
    def of(cls, ids: pd.Index) -> "_Wanted":
        return cls(np.unique(identities(ids)), frozenset(ids))

    def rows(self, table: pa.Table) -> Ints:
        """Return where they are in a narrow table."""
        found = np.flatnonzero(np.isin(table[IDENTITY].to_numpy(), self.hashes))
        if self.ids is None or not len(found):
            return found
        names = table["decision_id"].take(found).to_pylist()
        return found[[name in self.ids for name in names]]


@dataclass(frozen=True)
class _PickTask:
    """Sends the wanted rows of pieces, packed again."""

    wanted: "Broadcast[_Wanted]"
    gone: Ints

    def run(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        wanted = self.wanted.value
        for batch in batches:
            rows = []
            for chunk, narrow, wide in _pieces(batch, "narrow", "wide"):
                table = unpack_table(narrow)
                found = wanted.rows(table)
                found = found[~np.isin(table[POSITION].to_numpy()[found], self.gone)]
                if len(found):
                    picked = (
                        pack_table(table.take(found)),
                        pack_table(unpack_table(wide).take(found)),
                    )
                    rows.append((chunk, *picked))
            yield piece_batch(rows)

    def places(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Send their positions only."""
        for batch in batches:
            found = [np.empty(0, np.int64)]
            for _, narrow in _pieces(batch, "narrow"):
                table = unpack_table(narrow)
                found.append(table[POSITION].to_numpy()[self.wanted.value.rows(table)])
            places = np.concatenate(found)
            yield pa.record_batch([places[~np.isin(places, self.gone)]], names=[POSITION])


def _pieces(batch: pa.RecordBatch, *names: str) -> Iterator[tuple[Any, ...]]:
    """Yield each piece's chunk and some of its values, not copied."""
    chunks = batch["chunk"].to_pylist()
    values = [[one.as_buffer() for one in batch[name]] for name in names]
    yield from zip(chunks, *values, strict=True)


def piece_batch(rows: Sequence[tuple[int, bytes, bytes]]) -> pa.RecordBatch:
    """Return pieces as Arrow's rows."""
    columns = [pa.array([row[i] for row in rows], f.type) for i, f in enumerate(PIECES)]
    return pa.record_batch(columns, schema=PIECES)


@dataclass(frozen=True)
class _ValuesTask:
    """Sends the distinct values of some narrow columns, and the least and the greatest of others."""

    names: tuple[str, ...]
    ends: tuple[str, ...]
    gone: Ints

    def run(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        found: dict[str, set[Any]] = {name: set() for name in (*self.names, *self.ends)}
        for batch in batches:
            for _, narrow in _pieces(batch, "narrow"):
                table = _without(unpack_table(narrow), self.gone)
                for name in self.names:
                    found[name] |= set(table[name].unique().to_pylist()) - {None}
                for name in self.ends:
                    some = set(pc.min_max(table[name]).as_py().values())
                    some = (found[name] | some) - {None}
                    found[name] = {min(some), max(some)} if some else set()
        facts = json.dumps({name: sorted(values) for name, values in found.items()})
        yield pa.record_batch([pa.array([facts])], names=["facts"])


def _without(table: pa.Table, gone: Ints) -> pa.Table:
    if not len(gone):
        return table
    return table.filter(pa.array(~np.isin(table[POSITION].to_numpy(), gone)))


@dataclass(frozen=True)
class CleanRows:
    """Clean decisions on the workers' disks.

    Parameters
    ----------
    pieces
        Spark's table with the columns `PIECES`.
    schema
        The rows' columns.
    gone
        Positions of rows that do not count, ascending.
    """

    pieces: "DataFrame"
    schema: pa.Schema
    gone: Ints

    def pick(self, ids: pd.Index) -> pa.Table:
        """Fetch some decisions with all columns, in the input's order."""
        return self._pick(_Wanted.of(ids))

    def _pick(self, wanted: _Wanted) -> pa.Table:
        task = self._task(wanted)
        found = self.pieces.mapInArrow(task.run, spark_schema(PIECES)).toArrow()
        tables = [join_piece(n.as_buffer(), w.as_buffer())
                  for n, w in zip(found["narrow"], found["wide"], strict=True)]  # fmt: skip
        nothing = self.schema.empty_table()
        return pa.concat_tables(
            [nothing, *(t.select(nothing.column_names) for t in tables)]
        ).sort_by(POSITION)

    def places_of(self, ids: pd.Index) -> Ints:
        """Return the positions of some decisions, ascending."""
        task = self._task(_Wanted.of(ids))
        found = self.pieces.select("chunk", "narrow").mapInArrow(task.places, f"{POSITION} bigint")
        return np.sort(found.toArrow()[POSITION].to_numpy())

    def _task(self, wanted: _Wanted) -> _PickTask:
        return _PickTask(self.pieces.sparkSession.sparkContext.broadcast(wanted), self.gone)

    def values(self, names: Sequence[str], ends: Sequence[str]) -> dict[str, set[Any]]:
        """Return the distinct values of some narrow columns, and the least and the greatest of others."""
        own = [tuple(n for n in some if n in self.schema.names) for some in (names, ends)]
        task = _ValuesTask(own[0], own[1], self.gone)
        found = self.pieces.select("chunk", "narrow").mapInArrow(task.run, "facts string").collect()
        out: dict[str, set[Any]] = {name: set() for some in own for name in some}
        for row in found:
            for name, values in json.loads(row["facts"]).items():
                out[name] |= set(values)
        return out


@dataclass(frozen=True)
class _PairTask:
    """Sends the hash of each id with its position, by bucket of hashes."""

    buckets: int
    of_batch: bool
    gone: Ints

    def run(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            held: list[tuple[int, bytes]] = []
            for _, narrow in _pieces(batch, "narrow"):
                table = _without(unpack_table(narrow), self.gone)
                pairs = np.column_stack([table[n].to_numpy() for n in (IDENTITY, POSITION)])
                bucket = pairs[:, 0] % self.buckets
                held += [
                    (int(b), pairs[bucket == b].astype("<i8").tobytes()) for b in np.unique(bucket)
                ]
            columns = [
                pa.array([b for b, _ in held], pa.int64()),
                pa.array([self.of_batch] * len(held), pa.bool_()),
                pa.array([pairs for _, pairs in held], pa.binary()),
            ]
            yield pa.record_batch(columns, names=["bucket", "of_batch", "pairs"])


def _pairs(table: pa.Table, of_batch: bool) -> Ints:
    own = [
        p
        for b, p in zip(table["of_batch"].to_pylist(), table["pairs"].to_pylist(), strict=True)
        if b == of_batch
    ]
    return np.frombuffer(b"".join(own), "<i8").reshape(-1, 2).astype(np.int64, copy=False)


def repeated_ids(rows: CleanRows, n: int) -> list[str]:
    """Return the ids that more than one row has.

    Parameters
    ----------
    rows
        All rows of a source.
    n
        Their number.
    """
    task = _PairTask(_n_buckets(rows, n), False, rows.gone)

    def repeated(table: pa.Table) -> pa.Table:
        hashes, counts = np.unique(_pairs(table, False)[:, 0], return_counts=True)
        return pa.table({"hash": pa.array(hashes[counts > 1], pa.int64())})

    pairs = rows.pieces.select("chunk", "narrow").mapInArrow(task.run, _PAIRS)
    found = pairs.groupBy("bucket").applyInArrow(repeated, "hash bigint").toArrow()
    if not len(found):
        return []
    ids = rows._pick(_Wanted(np.sort(found["hash"].to_numpy()), None))["decision_id"].to_pandas()
    return sorted(set(ids[ids.duplicated()]))


def find_known(log: CleanRows, batch: CleanRows, n: int) -> "DataFrame | None":
    """Find the decisions to score that the log holds, too, by the hashes of their ids.

    Parameters
    ----------
    log, batch
        Both sources.
    n
        Number of decisions of both.

    Returns
    -------
    pyspark.sql.DataFrame or None
        One row for each chunk with such decisions: chunk, and known, a list of packed positions. None without any.
    """
    from pyspark import StorageLevel
    from pyspark.sql import functions as F  # noqa: N812

    buckets = _n_buckets(log, n)
    tasks = {
        of_batch: _PairTask(buckets, of_batch, rows.gone)
        for of_batch, rows in ((False, log), (True, batch))
    }
    both = [rows.pieces.select("chunk", "narrow").mapInArrow(tasks[of_batch].run, _PAIRS)
            for of_batch, rows in ((False, log), (True, batch))]  # fmt: skip

    def known(table: pa.Table) -> pa.Table:
        own = _pairs(table, True)
        places = np.sort(own[np.isin(own[:, 0], _pairs(table, False)[:, 0]), 1])
        chunks = places >> CHUNK_BITS
        found = np.unique(chunks)
        held = [places[chunks == chunk].astype("<i8").tobytes() for chunk in found]
        return pa.table({"chunk": pa.array(found, pa.int64()), "held": pa.array(held, pa.binary())})

    found = (
        both[0].union(both[1]).groupBy("bucket").applyInArrow(known, "chunk bigint, held binary")
    )
    found = found.persist(StorageLevel.DISK_ONLY)
    if not found.count():
        found.unpersist()
        return None
    return found.groupBy("chunk").agg(F.collect_list("held").alias("known"))


def _n_buckets(rows: CleanRows, n: int) -> int:
    workers: int = rows.pieces.sparkSession.sparkContext.defaultParallelism
    return max(workers, -(-n // _BUCKET_ROWS))


@dataclass(frozen=True)
class EventReader:
    """Reads pieces as decisions to count: see `count_earlier`.

    Parameters
    ----------
    places
        Positions of the log's decisions to count for, ascending.
    gone
        Positions of rows that do not count, ascending.
    columns
        Narrow columns to keep.
    """

    places: Ints
    gone: Ints
    columns: tuple[str, ...]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Read pieces of both sources: of_batch, narrow, and known, positions of those that the log holds."""
        for batch in batches:
            values = (batch["of_batch"].to_pylist(), batch["narrow"], batch["known"].to_pylist())
            for of_batch, narrow, known in zip(*values, strict=True):
                table = _without(unpack_table(narrow.as_buffer()), self.gone)
                yield self._events(table, of_batch, np.frombuffer(b"".join(known or ()), "<i8"))

    def _events(self, table: pa.Table, of_batch: bool, known: Ints) -> pa.RecordBatch:
        position, n = table[POSITION].to_numpy(), len(table)
        own = np.ones(n, bool) if of_batch else np.isin(position, self.places)
        columns = {
            "at": table["decided_at"].cast(pa.int64()),
            "acted": table["enforced"],
            "place": pa.array(position, mask=~own),
            "event": pa.array(~np.isin(position, known)),
        }
        for name in self.columns:
            hashed = name.startswith(_NARROW_PREFIXES) or name == "text_key"
            kind = pa.int64() if hashed else pa.string()
            columns[name] = table[name] if name in table.column_names else pa.nulls(n, kind)
        events = pa.table(columns)
        return pa.record_batch(
            [_one_array(column) for column in events.columns], schema=events.schema
        )


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    held = column.combine_chunks()
    return held.combine_chunks() if isinstance(held, pa.ChunkedArray) else held


def read_events(log: CleanRows, batch: CleanRows, known: "DataFrame | None") -> "DataFrame":
    """Return the pieces of both sources for `EventReader`."""
    from pyspark.sql import functions as F  # noqa: N812

    parts = []
    for of_batch, rows in ((False, log), (True, batch)):
        own = rows.pieces.select("chunk", "narrow")
        if of_batch and known is not None:
            own = own.join(known, "chunk", "left")
        else:
            own = own.withColumn("known", F.expr("CAST(NULL AS array<binary>)"))
        parts.append(own.select(F.lit(of_batch).alias("of_batch"), "narrow", "known"))
    return parts[0].union(parts[1])
