"""Clean decisions on Spark: every worker reads its share of the files as one machine would."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from errdetect.data.action_meanings import action_meanings
from errdetect.data.arrow_frames import POSITION
from errdetect.data.file_readers import RawBatch, read_batches, read_parquet_footer
from errdetect.data.rejected_rows import Rejections
from errdetect.data.row_validation import clean_raw_batch, columns_to_read, settle_repeated_ids
from errdetect.data.schema_scan import SchemaScan
from errdetect.data.sources import SourceFile
from errdetect.data.table_reading import TableRead, conversion_notes, refuse_unusable, to_table_read
from errdetect.features.similar_content import with_content_keys
from errdetect.features.typed_columns import typed_columns

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__all__ = [
    "KEY",
    "CleanDecisions",
    "CleaningTask",
    "clean_decisions",
    "key_hashes",
    "spark_schema",
]

Ints = npt.NDArray[np.int64]

#: The prefix of the columns with the hashes of keys.
KEY = "_key_"
_ROW, _REJECT, _ACCOUNT = 0, 1, 2
_RAW_ROWS = 100_000  # cleaned together, as on one machine
_SENT_ROWS = 10_000
_FILE_BITS = 40
_META = {"_kind": pa.int64(), POSITION: pa.int64(), "_facts": pa.string()}
_NAMES = {
    pa.string(): "string",
    pa.binary(): "binary",
    pa.float64(): "double",
    pa.bool_(): "boolean",
    pa.int64(): "bigint",
}
_TIME = pa.timestamp("us", "UTC")
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


@dataclass(frozen=True)
class CleaningTask:
    """What a worker needs to clean its share of a source.

    Parameters
    ----------
    files
        The source's files.
    first
        Number of the first file among those of all sources.
    survey
        From `scan_decisions`.
    actions
        As for `read_decisions`.
    numeric, levels
        The model's columns, as for `typed_columns`.
    keys
        Name -> columns whose combinations are hashed.
    content
        Whether the keys of similar texts are needed.
    full
        Ids of the decisions of which every column is kept; None for all.
    pieces
        File, part and number of parts of each share.
    """

    files: tuple[SourceFile, ...]
    first: int
    survey: SchemaScan
    actions: Mapping[str, str]
    numeric: Mapping[str, bool | None]
    levels: Mapping[str, Sequence[str]]
    keys: Mapping[str, Sequence[str]]
    content: bool
    full: frozenset[str] | None = None
    pieces: tuple[tuple[int, int, int], ...] = ()

    @property
    def schema(self) -> pa.Schema:
        """Columns that workers send."""
        kinds = {
            c.name: pa.float64() if c.kind == "number" else pa.string() for c in self.survey.columns
        }
        kinds |= {c.name: _TIME for c in self.survey.columns if c.kind == "timestamp"}
        for name, kind in self.survey.features.items():
            plain = {"text": pa.string(), "bool": pa.bool_()}.get(kind, pa.float64())
            if name in self.numeric and (kind != "bool" or self.numeric[name] is False):
                plain = pa.float64()
            elif name in self.levels:
                plain = pa.string()
            kinds[name] = plain
        kinds["enforced"] = pa.bool_()
        if self.content and "text" in kinds:
            nothing = pd.DataFrame({"text": pd.Series([], dtype="str")})
            kinds |= {str(name): pa.int64() for name in with_content_keys(nothing)}
        hashed = {KEY + name: pa.int64() for name in self.keys}
        return pa.schema({**_META, **kinds, **hashed}.items())

    @property
    def columns(self) -> list[str]:
        """Names of the decisions' columns."""
        return [*(c.name for c in self.survey.columns), *self.survey.features, "enforced"]

    def run(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Clean the pieces that these batches number."""
        for batch in batches:
            for number in batch.column(0).to_pylist():
                file, part, parts = self.pieces[number]
                raws = read_batches(
                    self.files[file], batch_rows=_RAW_ROWS, columns=columns_to_read(self.survey),
                    share=(part, parts),
                )  # fmt: skip
                for raw in raws:
                    yield from self._clean(raw, file)

    def _clean(self, raw: RawBatch, file: int) -> Iterator[pa.RecordBatch]:
        """Send a batch's usable rows, its rejects, and its account."""
        typed = self.files[file].format in ("parquet", "jsonl", "database")
        meanings = action_meanings(self.actions)
        cleaned = clean_raw_batch(raw, self.survey, meanings, typed=typed)
        read = to_table_read(cleaned)
        frame, unreadable = typed_columns(read.frame, self.numeric, self.levels)
        base = (self.first + file) << _FILE_BITS
        usable = ~np.isin(raw.rows, read.rejects["row"].to_numpy(np.int64))
        yield from self._send(_ROW, self._keyed(frame), base + raw.rows[usable])
        facts = read.rejects.to_dict("records")
        if facts:
            places = base + read.rejects["row"].to_numpy(np.int64)
            yield from self._send(
                _REJECT, read.rejected, places, [json.dumps(one) for one in facts]
            )
        account = {
            "notes": list(read.notes), "n_rows": read.n_rows, "kept": len(frame),
            "unknown_actions": dict(read.unknown_actions), "unreadable": dict(unreadable),
        }  # fmt: skip
        last = base + int(raw.rows[-1]) if len(raw.rows) else base
        yield from self._send(
            _ACCOUNT, pd.DataFrame(index=range(1)), np.array([last]), [json.dumps(account)]
        )

    def _keyed(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Add the keys; blank what is needed of some decisions only."""
        hashed: dict[str, Any] = {
            KEY + name: key_hashes(frame, columns).to_pandas(integer_object_nulls=True)
            for name, columns in self.keys.items()
        }
        keyed = with_content_keys(frame[["text"]]) if self.content and "text" in frame else None
        out = frame if keyed is None else pd.concat([frame, keyed], axis=1)
        if self.full is not None:
            needed = [c.name for c in self.survey.columns if c.name != "text"]
            blank = ~out["decision_id"].isin(self.full).to_numpy(bool)
            for name in (n for n in frame if n not in {*needed, "enforced"}):
                out = out.assign(**{str(name): out[name].astype(object).where(~blank, None)})
        return out.assign(**hashed)

    def _send(
        self, kind: int, frame: pd.DataFrame, places: Ints, facts: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        schema, n = self.schema, len(places)
        meta = {"_kind": pa.array(np.full(n, kind)), POSITION: pa.array(places),
                "_facts": pa.nulls(n, pa.string()) if facts is None else pa.array(facts, pa.string())}  # fmt: skip
        for name in schema.names[len(meta) :]:
            held = schema.field(name).type
            values = pa.array(frame[name], held, from_pandas=True) if name in frame else None
            meta[name] = pa.nulls(n, held) if values is None else values
        sent = pa.table(meta, schema=schema).combine_chunks()
        yield from sent.to_batches(max_chunksize=_SENT_ROWS)


@dataclass
class CleanDecisions:
    """The clean decisions of a source.

    Parameters
    ----------
    task
        How they were cleaned.
    rows
        Spark's table of the usable rows.
    rejections
        The account of the others.
    rejects
        Unusable rows, as `schemas.REJECTS`.
    notes
        Notes on the reading.
    unreadable
        Column of the model -> values that are no numbers.
    """

    task: CleaningTask
    rows: "DataFrame"
    rejections: Rejections
    rejects: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    unreadable: Counter[str] = field(default_factory=Counter)


def clean_decisions(spark: "SparkSession", task: CleaningTask, what: str) -> CleanDecisions:
    """Clean a source on Spark.

    Parameters
    ----------
    spark
        The session.
    task
        How to clean; its pieces are set here.
    what
        The table's name for messages.

    Raises
    ------
    DataError
        Where no row can be used.
    """
    from pyspark import StorageLevel
    from pyspark.sql import functions as F  # noqa: N812

    task = replace(task, pieces=tuple(_pieces(task, spark.sparkContext.defaultParallelism)))
    n = len(task.pieces)
    every = spark.range(0, n, 1, n).mapInArrow(task.run, spark_schema(task.schema))
    every = every.persist(StorageLevel.DISK_ONLY)
    rows = every.where(F.col("_kind") == _ROW)
    again = rows.groupBy("decision_id").count().where("count > 1").select("decision_id")
    repeated = again.toPandas()["decision_id"].tolist()
    if repeated and task.full is not None and not task.full.issuperset(repeated):
        every.unpersist()
        return clean_decisions(spark, replace(task, full=task.full | set(repeated)), what)
    reads = _accounts(task, every.where(F.col("_kind") != _ROW).toArrow().to_pandas())
    drop: Ints = np.empty(0, np.int64)
    if repeated:
        suspects = rows.where(F.col("decision_id").isin(repeated)).orderBy(POSITION).toArrow()
        drop = _settle(task, suspects, reads)
        gone = F.broadcast(spark.createDataFrame(pa.table({POSITION: drop})))
        rows = rows.join(gone, POSITION, "left_anti")
    return _account_for(task, rows, reads, what, len(drop))


def spark_schema(schema: pa.Schema) -> str:
    """Return a schema in Spark's words.

    Examples
    --------
    >>> spark_schema(pa.schema({"a`b": pa.string(), "n": pa.int64()}.items()))
    '`a``b` string, `n` bigint'
    """
    return ", ".join(
        f"`{f.name.replace('`', '``')}` {_NAMES.get(f.type, 'timestamp')}" for f in schema
    )


def _pieces(task: CleaningTask, workers: int) -> Iterator[tuple[int, int, int]]:
    """Split the files: Parquet by rows, of which others are not read; other files stay in one piece."""
    for number, file in enumerate(task.files):
        parts = 1
        if file.format == "parquet":
            parts = max(1, min(workers, -(-read_parquet_footer(file)[1] // _RAW_ROWS)))
        yield from ((number, part, parts) for part in range(parts))


def _accounts(task: CleaningTask, held: pd.DataFrame) -> list[TableRead]:
    """Return the account of each batch, in order."""
    held = held.sort_values([POSITION, "_kind"], kind="stable", ignore_index=True)
    contract = [column.name for column in task.survey.columns]
    out: list[TableRead] = []
    first = 0
    for last in np.flatnonzero(held["_kind"] == _ACCOUNT).tolist():
        part = held.iloc[first:last]
        facts = json.loads(held["_facts"].iloc[last])
        rejects = pd.DataFrame(
            [json.loads(one) for one in part["_facts"]], columns=["source", "row", "id", "reason"]
        )
        out.append(
            TableRead(
                frame=pd.DataFrame(index=range(facts["kept"])), rejects=rejects,
                notes=tuple(facts["notes"]), n_rows=facts["n_rows"],
                rejected=part[contract].reset_index(drop=True),
                unknown_actions=Counter(facts["unknown_actions"]), unreadable=Counter(facts["unreadable"]),
            )
        )  # fmt: skip
        first = last + 1
    return out


def _settle(task: CleaningTask, suspects: pa.Table, reads: list[TableRead]) -> Ints:
    """Decide which rows of repeated ids count, add the others to the account; return their positions."""
    clean = suspects.select(task.columns)
    kept, copies, reasons = settle_repeated_ids(clean, task.survey)
    places = suspects[POSITION].to_numpy()
    contract = [column.name for column in task.survey.columns]
    frame = clean.select(contract).to_pandas()
    bad = sorted(reasons)
    files = [task.files[(place >> _FILE_BITS) - task.first] for place in places[bad].tolist()]
    rejects = pd.DataFrame(
        {
            "source": [file.shown for file in files],
            "row": places[bad] & ((1 << _FILE_BITS) - 1),
            "id": frame["decision_id"].iloc[bad].to_numpy(object),
            "reason": [reasons[row] for row in bad],
        }
    )
    every = TableRead(
        frame=pd.DataFrame(),
        rejects=rejects,
        notes=tuple(conversion_notes({}, len(copies))),
        n_rows=0,
        n_duplicates=len(copies),
        rejected=frame.iloc[bad].reset_index(drop=True),
        copies=frame.iloc[copies],
    )
    reads.append(every)  # the last: its copies are those of the source
    gone: Ints = places[~kept].astype(np.int64)
    return gone


def _account_for(
    task: CleaningTask, rows: "DataFrame", reads: Sequence[TableRead], what: str, dropped: int
) -> CleanDecisions:
    """Add up the account of all batches, as if they had been read in order."""
    rejects = pd.concat([read.rejects for read in reads], ignore_index=True)
    place = rejects["source"].map({f.shown: i for i, f in enumerate(task.files)})
    order = np.lexsort((rejects["row"], place))
    rejects = rejects.iloc[order].reset_index(drop=True)
    rejected = pd.concat([read.rejected for read in reads], ignore_index=True)
    actions, unreadable = Counter[str](), Counter[str]()
    for read in reads:
        actions.update(read.unknown_actions)
        unreadable.update(read.unreadable)
    every = replace(
        reads[-1],
        rejects=rejects,
        rejected=rejected.iloc[order].reset_index(drop=True),
        n_rows=sum(read.n_rows for read in reads),
        unknown_actions=actions,
    )
    rejections = Rejections(what)
    rejections.add(every)
    if not sum(len(read.frame) for read in reads) - dropped:
        refuse_unusable(task.survey, rejections.reasons, rejections.actions)
    notes = [*task.survey.told, *(note for read in reads for note in read.notes)]
    return CleanDecisions(task, rows, rejections, rejects, list(dict.fromkeys(notes)), unreadable)
