"""Reading decisions, reviews and draws: usable rows in the contract's columns, the others with reasons."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from errdetect.data.action_meanings import action_meanings, unknown_actions_hint
from errdetect.data.file_readers import read_batches
from errdetect.data.review_versions import find_repeated_versions
from errdetect.data.row_validation import CleanBatch, clean_batches, count_reasons
from errdetect.data.schema_scan import SchemaScan, scan_files
from errdetect.data.sources import SourceFile, Sources, find_files
from errdetect.errors import DataError, error_message
from errdetect.schemas import DECISIONS, DRAWS, OPEN_APPEALS, REJECTS, REVIEWS, ColumnSpec
from errdetect.table_settings import TableMapping

__all__ = [
    "ONE_DRAW",
    "TableRead",
    "add_ledger_draws",
    "add_ledger_reviews",
    "conversion_notes",
    "iter_decisions",
    "read_decisions",
    "read_draws",
    "read_open_appeals",
    "read_reviews",
    "refuse_unusable",
    "scan_decisions",
    "scan_log",
    "to_table_read",
]


_BATCH_ROWS = 100_000
_HEAD_ROWS = 1000
_ENFORCED = "enforced"
#: Fewer times at midnight could be coincidence.
_FEWEST_MIDNIGHTS = 3


@dataclass(frozen=True)
class TableRead:
    """A table as read.

    Parameters
    ----------
    frame
        The rows that can be used.
    rejects
        Those that cannot, with the columns of `schemas.REJECTS`: the file, the row's number in it
        (from 1, a header not counted), its id and why.
    notes
        Conversions and repairs, in plain words with counts.
    n_rows
        Rows seen: `len(frame) + len(rejects) + n_duplicates`.
    n_duplicates
        Rows left out because an earlier one is equal in every value (of reviews, known at the same
        moment).
    rejected
        What could be read of each of `rejects`, in the same order: the contract's columns, missing
        where unreadable.
    copies
        The contract's columns of the rows left out as copies.
    unknown_actions
        Action that is neither known nor mapped -> number of rows.
    unreadable
        Column -> number of values without the type that a model learned; missing in `frame`.
    """

    frame: pd.DataFrame
    rejects: pd.DataFrame
    notes: tuple[str, ...]
    n_rows: int
    n_duplicates: int = 0
    rejected: pd.DataFrame = field(default_factory=pd.DataFrame)
    copies: pd.DataFrame = field(default_factory=pd.DataFrame)
    unknown_actions: Counter[str] = field(default_factory=Counter)
    unreadable: Counter[str] = field(default_factory=Counter)


def read_decisions(
    sources: Sources,
    *,
    columns: Mapping[str, str] | None = None,
    actions: Mapping[str, str] | None = None,
    drop: Collection[str] = (),
    mapping: TableMapping | None = None,
) -> TableRead:
    r"""Read a decision log whole.

    Parameters
    ----------
    sources
        A path, a glob, a folder of parts, or a list of these: Parquet, CSV, TSV, JSON or Excel,
        the text formats also gzipped.
    columns
        The user's column name -> the contract's. An entry for a column that only the reviews need
        is ignored, so that one mapping serves both tables.
    actions
        Action -> `allow` or `enforce`, in addition to the built-in actions.
        A row whose action has no meaning is a reject.
    drop
        The user's columns to leave out.
    mapping
        How the table's own columns and words become ours, before `columns`; the config's
        `data.mapping("decisions")`.

    Returns
    -------
    TableRead
        Its frame has the contract's columns that the files have, every further column as a
        feature (float64, bool or str) and the derived bool column `enforced`.

    Raises
    ------
    DataError
        If the files cannot be read, lack required columns, or hold no usable row.
    ConfigError
        If `actions` maps to anything else.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "log.csv"
    ...     _ = path.write_text(
    ...         "decision_id,decided_at,item_id,policy_id,action,score\n"
    ...         "007,2026-03-01T12:00Z,i1,spam,remove,0.9\n"
    ...         "008,2026-03-01T12:00Z,i2,spam,approve,1.9\n"
    ...     )
    ...     read = read_decisions(path)
    >>> read.frame[["decision_id", "score", "enforced"]].to_dict("records")
    [{'decision_id': '007', 'score': 0.9, 'enforced': True}]
    >>> read.rejects["reason"].tolist()
    ["score must lie in [0, 1], got '1.9'"]
    """
    survey = _scan_decisions(sources, columns or {}, drop, _BATCH_ROWS, mapping)
    return _concat_batches(
        survey, _clean_and_require(survey, _BATCH_ROWS, action_meanings(actions or {}))
    )


def iter_decisions(
    sources: Sources | Sequence[SourceFile],
    *,
    columns: Mapping[str, str] | None = None,
    actions: Mapping[str, str] | None = None,
    drop: Collection[str] = (),
    batch_rows: int = _BATCH_ROWS,
    mapping: TableMapping | None = None,
    scanned: Callable[[SchemaScan], None] = lambda _: None,
) -> Iterator[TableRead]:
    r"""Read a decision log batch by batch, each as `read_decisions` would have read it.

    Memory is bounded by the batch, but for 8 bytes an id and the ids that occur twice: a quick
    first pass infers every column's type and finds repeated ids over all files.

    Parameters
    ----------
    sources, columns, actions, drop, mapping
        See `read_decisions`.
    batch_rows
        Most rows of a batch.
    scanned
        Called with what the first pass found.

    Yields
    ------
    TableRead
        Notes on the files as a whole come with the first batch.

    Raises
    ------
    DataError
        As `read_decisions`; that no row is usable is known only at the end.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "log.jsonl"
    ...     row = '{"decision_id": %d, "decided_at": "2026-03-01", "item_id": "i", '
    ...     row += '"policy_id": "spam", "action": "keep"}'
    ...     _ = path.write_text("\n".join(row % i for i in range(5)))
    ...     [len(batch.frame) for batch in iter_decisions(path, batch_rows=2)]
    [2, 2, 1]
    """
    survey = _scan_decisions(sources, columns or {}, drop, batch_rows, mapping)
    scanned(survey)
    notes = survey.told
    for batch in _clean_and_require(survey, batch_rows, action_meanings(actions or {})):
        yield to_table_read(batch, notes)
        notes = ()


def scan_log(
    sources: Sources | Sequence[SourceFile],
    *,
    columns: Mapping[str, str] | None = None,
    drop: Collection[str] = (),
    mapping: TableMapping | None = None,
) -> SchemaScan:
    """Do the first pass of `iter_decisions` alone.

    Parameters
    ----------
    sources, columns, drop, mapping
        See `read_decisions`.
    """
    return _scan_decisions(sources, columns or {}, drop, _BATCH_ROWS, mapping)


def to_table_read(batch: CleanBatch, notes: Sequence[str] = ()) -> TableRead:
    """Return a cleaned batch as frames, with notes on the files as a whole."""
    return TableRead(
        frame=batch.table.to_pandas(),
        rejects=batch.rejects.to_pandas(),
        notes=(*notes, *conversion_notes(batch.told, batch.n_duplicates)),
        n_rows=batch.n_rows,
        n_duplicates=batch.n_duplicates,
        rejected=batch.rejected.to_pandas(),
        copies=batch.copies.to_pandas(),
        unknown_actions=batch.unknown_actions,
    )


def read_reviews(
    sources: Sources,
    *,
    columns: Mapping[str, str] | None = None,
    mapping: TableMapping | None = None,
) -> TableRead:
    r"""Read reviews whole.

    Parameters
    ----------
    sources
        See `read_decisions`.
    columns
        The user's column name -> the contract's; entries that only the decisions need are
        ignored.
    mapping
        See `read_decisions`.

    Returns
    -------
    TableRead
        Its frame has all of the contract's review columns, missing values where a file has none;
        further columns are left out, with a note. A `review_id` may have several rows, known at
        different moments: see `review_versions` for which counts when. Of two rows of one
        review and one moment the first is kept; the other is a copy or a reject.

    Raises
    ------
    DataError
        If the files cannot be read, lack required columns, or hold no usable row.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "reviews.csv"
    ...     _ = path.write_text(
    ...         "review_id,decision_id,reviewed_at,source,verdict\n"
    ...         "r1,007,2026-03-02 08:30,Re-review,upheld\n"
    ...     )
    ...     read = read_reviews(path)
    >>> read.frame["source"].tolist()
    ['re_review']
    >>> read.notes[0]
    'reviewed_at: 1 time without a zone taken as UTC'
    """
    files = find_files(sources, mapping=mapping, table="reviews")
    files, columns = _give_review_ids(files, columns or {})
    survey = scan_files(
        files,
        REVIEWS,
        columns=columns,
        drop=(),
        features=False,
        batch_rows=_BATCH_ROWS,
    )
    read = _shift_known_at(_concat_batches(survey, _clean_and_require(survey, _BATCH_ROWS)))
    versions = int(read.frame["review_id"].duplicated().sum())
    if not versions:
        return read
    told = "{n} rows are earlier versions of a review: the latest version counts, from then on"
    return replace(read, notes=(*read.notes, _format_count(told, versions)))


def _give_review_ids(
    files: list[SourceFile], columns: Mapping[str, str]
) -> tuple[list[SourceFile], Mapping[str, str]]:
    """Let files without a review_id get one: a digest of decision, time, source, reviewer and site."""
    if any(file.mapping is not None for file in files):
        return files, columns
    found = {name for file in files for name in _column_names(file)}
    users = {user: ours for user, ours in columns.items() if user in found}
    if not found or "review_id" in found or "review_id" in users.values():
        return files, columns
    if len(set(users.values())) < len(users) or "decision_id" not in found | set(users.values()):
        return files, columns
    mapping = TableMapping(columns={**users})
    return [replace(file, mapping=mapping) for file in files], {}


def _column_names(file: SourceFile) -> list[str]:
    batch = next(iter(read_batches(file, batch_rows=_HEAD_ROWS)), None)
    return [] if batch is None else list(batch.table.column_names)


#: The draw_id where a table of draws has no such column.
ONE_DRAW = "draw"
#: The draws' columns with the decision first: rejects are named by it.
_BY_DECISION = (DRAWS[1], DRAWS[0], *DRAWS[2:])
#: Relative difference of two inclusion probabilities that writing as text may explain.
_ROUNDING = 1e-6


def read_draws(
    sources: Sources,
    *,
    columns: Mapping[str, str] | None = None,
    mapping: TableMapping | None = None,
) -> TableRead:
    r"""Read all audit draws.

    Parameters
    ----------
    sources, columns, mapping
        See `read_reviews`.

    Returns
    -------
    TableRead
        Its frame has the columns of `schemas.DRAWS`; the ids of its rejects are those of the
        decisions. A (draw_id, decision_id) occurs once. Without any draw_id all rows belong to one
        draw, which is called `draw`, with a note.

    Raises
    ------
    DataError
        If the files cannot be read, lack required columns, or hold no usable row.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "draws.csv"
    ...     _ = path.write_text(
    ...         "decision_id,inclusion_probability,drawn_at\n"
    ...         "007,0.25,2026-03-02T08:30Z\n"
    ...         "008,0,2026-03-02T08:30Z\n"
    ...     )
    ...     read = read_draws(path)
    >>> read.frame[["draw_id", "decision_id", "inclusion_probability"]].values.tolist()
    [['draw', '007', 0.25]]
    >>> read.rejects["reason"].tolist()
    ["inclusion_probability must lie in (0, 1], got '0'"]
    """
    files = find_files(sources, mapping=mapping, table="draws")
    read = _read_draws_as(files, replace(DRAWS[0], required=False), columns or {})
    unnamed = read.frame["draw_id"].isna()
    if not unnamed.all():
        # Which draw a row without a name belongs to is unknown, so such rows are rejected.
        return _read_draws_as(files, DRAWS[0], columns or {}) if unnamed.any() else read
    frame = read.frame.assign(draw_id=pd.Series(ONE_DRAW, read.frame.index, dtype="str"))
    note = f"draw_id: no row has one, so all {len(frame):,} rows belong to one draw, {ONE_DRAW!r}"
    return replace(read, frame=frame, notes=(*read.notes, note))


def _read_draws_as(
    files: list[SourceFile], draw_id: ColumnSpec, columns: Mapping[str, str]
) -> TableRead:
    """Read the draws with a draw_id that is required or not."""
    schema = (_BY_DECISION[0], draw_id, *_BY_DECISION[2:])
    survey = scan_files(
        files, schema, columns=columns, drop=(), features=False, batch_rows=_BATCH_ROWS
    )
    read = _concat_batches(survey, _clean_and_require(survey, _BATCH_ROWS))
    return replace(read, frame=read.frame[_DRAW_NAMES])


def read_open_appeals(sources: Sources) -> TableRead:
    """Read the appeals that wait for an answer, columns of `schemas.OPEN_APPEALS`; none is fine."""
    survey = scan_files(
        find_files(sources), OPEN_APPEALS, columns={}, drop=(), features=False, batch_rows=_BATCH_ROWS
    )  # fmt: skip
    return _concat_batches(survey, clean_batches(survey, batch_rows=_BATCH_ROWS, meanings=None))


def _shift_known_at(read: TableRead) -> TableRead:
    """Treat reviews whose times are all exactly midnight as dated by day: known at its end."""
    times, day = read.frame["reviewed_at"], pd.Timedelta(days=1)
    last = day - pd.Timedelta(microseconds=1)
    into = times - times.dt.floor("D")
    midnight = into == pd.Timedelta(0)
    count = int(midnight.sum())
    if not count or len(times) < _FEWEST_MIDNIGHTS or not (midnight | (into == last)).all():
        return read
    frame = read.frame.assign(reviewed_at=times.where(~midnight, times + last))
    note = f"reviewed_at: {count:,} times are exactly midnight, and no other time of day is there"
    note += ": each is taken as known at that day's end (UTC)"
    return replace(read, frame=frame, notes=(*read.notes, note))


def scan_decisions(
    files: Sequence[SourceFile], columns: Mapping[str, str], drop: Collection[str]
) -> SchemaScan:
    """Infer from each file's head how to read every batch of its decisions, on any machine.

    Parameters
    ----------
    files
        From `find_files`.
    columns, drop
        See `read_decisions`.

    Raises
    ------
    DataError
        If the files cannot be read, or lack required columns.
    """
    survey = scan_files(
        files,
        DECISIONS,
        columns=columns,
        drop=drop,
        features=True,
        batch_rows=_BATCH_ROWS,
        head_only=True,
    )
    _refuse_enforced(survey)
    return survey


def _scan_decisions(
    sources: Sources | Sequence[SourceFile],
    columns: Mapping[str, str],
    drop: Collection[str],
    batch_rows: int,
    mapping: TableMapping | None,
) -> SchemaScan:
    if batch_rows < 1:
        raise ValueError(f"batch_rows must be at least 1, got {batch_rows}")
    survey = scan_files(
        find_files(sources, mapping=mapping, table="decisions"),
        DECISIONS,
        columns=columns,
        drop=drop,
        features=True,
        batch_rows=batch_rows,
    )
    _refuse_enforced(survey)
    return survey


def _refuse_enforced(survey: SchemaScan) -> None:
    if _ENFORCED in survey.features:
        must = "not be a column of the decisions, for errdetect derives it from the action"
        do = "Map it to another name under `data.columns`, or drop it."
        raise DataError(error_message(f"{_ENFORCED!r}", must, "one", do))


def _clean_and_require(
    survey: SchemaScan, batch_rows: int, meanings: Mapping[str, str] | None = None
) -> Iterator[CleanBatch]:
    """Clean batch by batch; at the end refuse a table without any usable row."""
    kept, reasons, words = 0, Counter[str](), Counter[str]()
    strange: dict[str, Counter[str]] = {c.name: Counter() for c in survey.columns if c.choices}
    for batch in clean_batches(survey, batch_rows=batch_rows, meanings=meanings):
        kept += batch.table.num_rows
        if not kept:
            reasons.update(count_reasons(batch.rejects.to_pandas()))
            words.update(batch.unknown_actions)
            for name, counts in strange.items():
                counts.update(batch.rejected[name].drop_null().to_pylist())
        yield batch
    if not kept:
        refuse_unusable(survey, reasons, words, strange)


def refuse_unusable(
    survey: SchemaScan,
    reasons: Counter[str],
    unknown_actions: Counter[str],
    strange: Mapping[str, Counter[str]] | None = None,
) -> NoReturn:
    """Refuse a table without any usable row; `strange` are the words of columns with choices.

    Raises
    ------
    DataError
        With the most common reasons.
    """
    where = ", ".join(file.shown for file in survey.files)
    common = reasons.most_common(3)
    top = "; ".join(f"{reason} ({_format_count('{n} rows', n)})" for reason, n in common)
    more = f"\n{unknown_actions_hint(unknown_actions)}" if unknown_actions else ""
    choices = {c.name: c.choices for c in survey.columns}
    for name, counts in (strange or {}).items():
        odd = [
            f"{word[:40]!r} ({n:,})"
            for word, n in counts.most_common(10)
            if word not in choices[name]
        ]
        more += f" Words of {name}: {', '.join(odd)}." if odd else ""
    raise DataError(f"{where} must hold at least one usable row, got none. Reasons: {top}.{more}")


def _concat_batches(survey: SchemaScan, batches: Iterable[CleanBatch]) -> TableRead:
    """Concatenate all batches."""
    tables, rejects, rejected, copies = [], [], [], []
    told: Counter[tuple[str, str]] = Counter()
    words: Counter[str] = Counter()
    n_rows = 0
    for batch in batches:
        tables.append(batch.table)
        rejects.append(batch.rejects)
        rejected.append(batch.rejected)
        copies.append(batch.copies)
        told.update(batch.told)
        words.update(batch.unknown_actions)
        n_rows += batch.n_rows
    left_out = pa.concat_tables(rejects).to_pandas()
    order = _source_order(left_out)
    same = pa.concat_tables(copies).to_pandas()
    return TableRead(
        frame=pa.concat_tables(tables).to_pandas(),
        rejects=left_out.iloc[order].reset_index(drop=True),
        notes=(*survey.told, *conversion_notes(told, len(same))),
        n_rows=n_rows,
        n_duplicates=len(same),
        rejected=pa.concat_tables(rejected).to_pandas().iloc[order].reset_index(drop=True),
        copies=same,
        unknown_actions=words,
    )


def _source_order(rejects: pd.DataFrame) -> npt.NDArray[np.intp]:
    """Order rejects by file, then row: rows that could not be split come last in their file."""
    files, _ = pd.factorize(rejects["source"])
    return np.lexsort((rejects["row"].to_numpy(), files))


def conversion_notes(told: Mapping[tuple[str, str], int], copies: int) -> list[str]:
    """Return notes on conversions, with counts: `score: 1,204 text values read as numbers`."""
    notes = [f"{column}: {_format_count(phrase, n)}" for (column, phrase), n in told.items()]
    if copies:
        notes.append(
            _format_count("{n} rows left out, each equal in every value to an earlier one", copies)
        )
    return notes


def _format_count(phrase: str, n: int) -> str:
    text = phrase.format(n=f"{n:,}")
    if n == 1:
        text = text.replace(" are only a day: each is", " is only a day: it is")
    return (
        re.sub(r"(value|number|time|day|word|row|cop(?=ie))s\b", r"\1", text, count=1)
        if n == 1
        else text
    )


_NAMES = [column.name for column in REVIEWS]
_DRAW_NAMES = [column.name for column in DRAWS]


def add_ledger_reviews(
    read: TableRead | None, returned: pd.DataFrame, place: str
) -> TableRead | None:
    """Add the ledger's reviews to those read: rows of both are versions of the reviews.

    Parameters
    ----------
    read
        The file's reviews; None without a file.
    returned
        The ledger's, with the columns of `schemas.REVIEWS`.
    place
        The ledger's name, for the rejects.

    Returns
    -------
    TableRead or None
        The file's rows first. A version that both hold counts once; where the two differ at one
        moment, the ledger's is a reject. None if neither has a review.
    """
    if read is None:
        if returned.empty:
            return None
        nothing = REJECTS.empty_table().to_pandas()
        note = _ledger_reviews_note(len(returned))
        return TableRead(returned[_NAMES], nothing, (note,), len(returned))
    if returned.empty:
        return read
    every = pd.concat([read.frame, returned[_NAMES]], ignore_index=True)
    copy, conflict = find_repeated_versions(every)
    differ = np.flatnonzero(conflict)
    rejects = pd.DataFrame(
        {
            "source": place,
            "row": pd.array([None] * len(differ), dtype="Int64"),
            "id": every["review_id"].iloc[differ].to_numpy(),
            "reason": "review_id must have one answer at one moment, got other values than the "
            "file's, which is kept",
        }
    )
    frame = every[~copy & ~conflict].reset_index(drop=True)
    return TableRead(
        frame=frame,
        rejects=pd.concat([read.rejects, rejects], ignore_index=True)
        if len(differ)
        else read.rejects,
        notes=(*read.notes, _ledger_reviews_note(len(frame) - len(read.frame))),
        n_rows=read.n_rows + len(returned),
        n_duplicates=read.n_duplicates + int(copy.sum()),
    )


def _ledger_reviews_note(n: int) -> str:
    return f"reviews from the ledger: {n:,}"


def add_ledger_draws(
    read: TableRead | None, recorded: pd.DataFrame, place: str
) -> TableRead | None:
    """Add the ledger's draws to those read; a decision stands in a draw once.

    Parameters
    ----------
    read
        The file's draws; None without a file.
    recorded
        The ledger's, with the columns of `schemas.DRAWS`.
    place
        The ledger's name, for the rejects.

    Returns
    -------
    TableRead or None
        The file's rows first. A row that both hold counts once; where the two give different
        probabilities, the ledger's is a reject. None if neither has a draw.
    """
    note = f"drawn decisions from the ledger: {len(recorded):,}"
    if recorded.empty:
        return read
    if read is None:
        nothing = REJECTS.empty_table().to_pandas()
        return TableRead(recorded[_DRAW_NAMES], nothing, (note,), len(recorded))
    key = ["draw_id", "decision_id"]
    mine = pd.MultiIndex.from_frame(read.frame[key])
    at = mine.get_indexer(pd.MultiIndex.from_frame(recorded[key]))
    held = at >= 0
    probability = read.frame["inclusion_probability"].to_numpy()[at]
    other = ~np.isclose(recorded["inclusion_probability"], probability, rtol=_ROUNDING, atol=0)
    differ = np.flatnonzero(held & other)
    reason = (
        "inclusion_probability must be one in a draw, got another than the file's, which is kept"
    )
    rejects = pd.DataFrame({"source": place, "row": pd.array([None] * len(differ), dtype="Int64"),
                            "id": recorded["decision_id"].iloc[differ].to_numpy(),
                            "reason": reason})  # fmt: skip
    return replace(
        read,
        frame=pd.concat([read.frame, recorded.loc[~held, _DRAW_NAMES]], ignore_index=True),
        rejects=pd.concat([read.rejects, rejects], ignore_index=True)
        if len(differ)
        else read.rejects,
        rejected=pd.concat([read.rejected, recorded.iloc[differ]], ignore_index=True)
        if len(differ)
        else read.rejected,
        copies=pd.concat([read.copies, recorded[held & ~other]], ignore_index=True),
        notes=(*read.notes, note),
        n_rows=read.n_rows + len(recorded),
        n_duplicates=read.n_duplicates + int((held & ~other).sum()),
    )
