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
from errdetect.spark.clean_rows import (
    IDENTITY,
    KEY,
    PIECES,
    CleanRows,
    identities,
    key_hashes,
    pack_pieces,
    pack_table,
    repeated_ids,
    unpack_table,
)
from errdetect.spark.counting import CHUNK_BITS
from errdetect.spark.session import spark_schema

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = [
    "CleanDecisions",
    "CleaningTask",
    "clean_decisions",
]

Ints = npt.NDArray[np.int64]

_ROWS, _ACCOUNT = 0, 1
_RAW_ROWS = 100_000  # cleaned together, as on one machine
_FILE_BITS = 40
#: Pieces of rows; and accounts of what was read, at the position of its last row, with the rejected rows.
_CLEANED = pa.schema(
    [("_kind", pa.int64()), (POSITION, pa.int64()), ("_facts", pa.string()), *PIECES]
)
_TIME = pa.timestamp("us", "UTC")


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
        """Columns of the clean rows."""
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
        return pa.schema({POSITION: pa.int64(), **kinds, IDENTITY: pa.int64(), **hashed}.items())

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
        rows = self._table(self._keyed(frame).assign(**{POSITION: base + raw.rows[usable]}))
        sent: list[tuple[Any, ...]] = [
            (_ROWS, chunk << CHUNK_BITS, None, chunk, *held) for chunk, *held in pack_pieces(rows)
        ]
        facts = {
            "notes": list(read.notes), "n_rows": read.n_rows, "kept": len(frame),
            "unknown_actions": dict(read.unknown_actions), "unreadable": dict(unreadable),
            "rejects": read.rejects.to_dict("records"),
        }  # fmt: skip
        last = base + int(raw.rows[-1]) if len(raw.rows) else base
        rejected = pack_table(self._table(read.rejected))
        sent.append((_ACCOUNT, last, json.dumps(facts), -1, rejected, b""))
        columns = [pa.array([row[i] for row in sent], f.type) for i, f in enumerate(_CLEANED)]
        yield pa.record_batch(columns, schema=_CLEANED)

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
        return out.assign(**hashed, **{IDENTITY: identities(pd.Index(out["decision_id"]))})

    def _table(self, frame: pd.DataFrame) -> pa.Table:
        """Return a frame with the columns of `schema`; what is absent is missing."""
        n = len(frame)
        columns = [
            pa.array(frame[f.name], f.type, from_pandas=True)
            if f.name in frame
            else pa.nulls(n, f.type)
            for f in self.schema
        ]
        return pa.table(columns, schema=self.schema)


@dataclass
class CleanDecisions:
    """The clean decisions of a source.

    Parameters
    ----------
    task
        How they were cleaned.
    rows
        The usable rows.
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
    rows: CleanRows
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
    every = spark.range(0, n, 1, n).mapInArrow(task.run, spark_schema(_CLEANED))
    every = every.persist(StorageLevel.DISK_ONLY)
    reads = _accounts(task, every.where(F.col("_kind") == _ACCOUNT).toArrow())
    nothing: Ints = np.empty(0, np.int64)
    rows = CleanRows(
        every.where(F.col("_kind") == _ROWS).select(*PIECES.names), task.schema, nothing
    )
    repeated = repeated_ids(rows, sum(len(read.frame) for read in reads))
    if repeated and task.full is not None and not task.full.issuperset(repeated):
        every.unpersist()
        return clean_decisions(spark, replace(task, full=task.full | set(repeated)), what)
    if repeated:
        rows = replace(rows, gone=_settle(task, rows.pick(pd.Index(repeated)), reads))
    return _account_for(task, rows, reads, what, len(rows.gone))


def _pieces(task: CleaningTask, workers: int) -> Iterator[tuple[int, int, int]]:
    """Split the files: Parquet by rows, of which others are not read; other files stay in one piece."""
    for number, file in enumerate(task.files):
        parts = 1
        if file.format == "parquet":
            parts = max(1, min(workers, -(-read_parquet_footer(file)[1] // _RAW_ROWS)))
        yield from ((number, part, parts) for part in range(parts))


def _accounts(task: CleaningTask, held: pa.Table) -> list[TableRead]:
    """Return the account of each batch, in order."""
    contract = [column.name for column in task.survey.columns]
    out: list[TableRead] = []
    for account in held.sort_by(POSITION).select(["_facts", "narrow"]).to_pylist():
        facts = json.loads(account["_facts"])
        out.append(
            TableRead(
                frame=pd.DataFrame(index=range(facts["kept"])),
                rejects=pd.DataFrame(facts["rejects"], columns=["source", "row", "id", "reason"]),
                notes=tuple(facts["notes"]), n_rows=facts["n_rows"],
                rejected=unpack_table(account["narrow"]).select(contract).to_pandas(),
                unknown_actions=Counter(facts["unknown_actions"]), unreadable=Counter(facts["unreadable"]),
            )
        )  # fmt: skip
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
    gone: Ints = np.sort(places[~kept]).astype(np.int64)
    return gone


def _account_for(
    task: CleaningTask, rows: CleanRows, reads: Sequence[TableRead], what: str, dropped: int
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
