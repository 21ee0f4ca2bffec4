"""Reading decisions and reviews: usable rows in the contract's columns, the others told why."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from errdetect.data.cleaning import CleanBatch, clean_batches, count_reasons
from errdetect.data.sources import Preset, Sources, find_files
from errdetect.data.survey import Survey, survey_files
from errdetect.errors import ConfigError, DataError, sentence
from errdetect.schemas import ALLOW_ACTIONS, DECISIONS, REVIEWS

__all__ = ["TableRead", "iter_decisions", "read_decisions", "read_reviews"]

_BATCH_ROWS = 100_000
_ENFORCED = "enforced"
#: Fewer times at midnight could be chance.
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
        What was turned or repaired, in plain words with counts.
    n_rows
        Rows seen: `len(frame) + len(rejects) + n_duplicates`.
    n_duplicates
        Rows left out because an earlier one is equal in every value.
    """

    frame: pd.DataFrame
    rejects: pd.DataFrame
    notes: tuple[str, ...]
    n_rows: int
    n_duplicates: int = 0


def read_decisions(
    sources: Sources,
    *,
    columns: Mapping[str, str] | None = None,
    actions: Mapping[str, str] | None = None,
    drop: Collection[str] = (),
    preset: Preset | None = None,
) -> TableRead:
    r"""Read a decision log whole.

    Parameters
    ----------
    sources
        A path, a glob, a folder of parts, or a list of these: Parquet, CSV, TSV or JSON Lines,
        the text formats also gzipped.
    columns
        The user's column name -> the contract's. An entry for a column that only the reviews need
        is passed over, so that one mapping serves both tables.
    actions
        Action -> `allow` or `enforce`; case and outer spaces do not matter. Unless said otherwise
        approve, allow and keep mean allow, and every other action enforces.
    drop
        The user's columns to leave out.
    preset
        `dsa_statements` where the files are the CSV of the EU's Transparency Database.

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
        If `actions` maps to another word.

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
    survey = _survey_decisions(sources, columns or {}, drop, _BATCH_ROWS, preset)
    allowed = _allowed(actions or {})
    batches = (_with_enforced(one, allowed) for one in _batches(survey, _BATCH_ROWS))
    return _whole(survey, batches)


def iter_decisions(
    sources: Sources,
    *,
    columns: Mapping[str, str] | None = None,
    actions: Mapping[str, str] | None = None,
    drop: Collection[str] = (),
    batch_rows: int = _BATCH_ROWS,
    preset: Preset | None = None,
) -> Iterator[TableRead]:
    r"""Read a decision log batch by batch, each as `read_decisions` would have read it.

    Memory is bounded by the batch, but for 8 bytes an id and the ids that occur twice: a quick
    first pass settles every column's kind and finds repeated ids over all files.

    Parameters
    ----------
    sources, columns, actions, drop, preset
        See `read_decisions`.
    batch_rows
        Most rows of a batch.

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
    survey = _survey_decisions(sources, columns or {}, drop, batch_rows, preset)
    allowed = _allowed(actions or {})
    notes = survey.told
    for batch in _batches(survey, batch_rows):
        full = _with_enforced(batch, allowed)
        yield TableRead(
            frame=full.table.to_pandas(),
            rejects=full.rejects.to_pandas(),
            notes=(*notes, *_notes(full.told, full.n_duplicates)),
            n_rows=full.n_rows,
            n_duplicates=full.n_duplicates,
        )
        notes = ()


def read_reviews(sources: Sources, *, columns: Mapping[str, str] | None = None) -> TableRead:
    r"""Read reviews whole.

    Parameters
    ----------
    sources
        See `read_decisions`.
    columns
        The user's column name -> the contract's; entries that only the decisions need are passed
        over.

    Returns
    -------
    TableRead
        Its frame has all of the contract's review columns, missing values where a file has none;
        further columns are left out, and told.

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
    survey = survey_files(
        find_files(sources),
        REVIEWS,
        columns=columns or {},
        drop=(),
        features=False,
        batch_rows=_BATCH_ROWS,
    )
    return _known_at_days_end(_whole(survey, _batches(survey, _BATCH_ROWS)))


def _known_at_days_end(read: TableRead) -> TableRead:
    """Take reviews whose times are all exactly midnight as given by the day: known at its end."""
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


def _survey_decisions(
    sources: Sources,
    columns: Mapping[str, str],
    drop: Collection[str],
    batch_rows: int,
    preset: Preset | None,
) -> Survey:
    if batch_rows < 1:
        raise ValueError(f"batch_rows must be at least 1, got {batch_rows}")
    survey = survey_files(
        find_files(sources, preset=preset),
        DECISIONS,
        columns=columns,
        drop=drop,
        features=True,
        batch_rows=batch_rows,
    )
    if _ENFORCED in survey.features:
        must = "not be a column of the decisions, for errdetect derives it from the action"
        do = "Map it to another name under `data.columns`, or drop it."
        raise DataError(sentence(f"{_ENFORCED!r}", must, "one", do))
    return survey


def _batches(survey: Survey, batch_rows: int) -> Iterator[CleanBatch]:
    """Clean batch by batch; at the end refuse a table without any usable row."""
    kept, reasons = 0, Counter[str]()
    for batch in clean_batches(survey, batch_rows=batch_rows):
        kept += batch.table.num_rows
        if not kept:
            reasons.update(count_reasons(batch.rejects.to_pandas()))
        yield batch
    if not kept:
        where = ", ".join(str(file.path) for file in survey.files)
        common = reasons.most_common(3)
        top = "; ".join(f"{reason} ({_counted('{n} rows', n)})" for reason, n in common)
        raise DataError(f"{where} must hold at least one usable row, got none. Reasons: {top}.")


def _whole(survey: Survey, batches: Iterable[CleanBatch]) -> TableRead:
    """Put all batches into one."""
    tables, rejects = [], []
    told: Counter[tuple[str, str]] = Counter()
    n_rows = copies = 0
    for batch in batches:
        tables.append(batch.table)
        rejects.append(batch.rejects)
        told.update(batch.told)
        n_rows += batch.n_rows
        copies += batch.n_duplicates
    return TableRead(
        frame=pa.concat_tables(tables).to_pandas(),
        rejects=_in_file_order(pa.concat_tables(rejects).to_pandas()),
        notes=(*survey.told, *_notes(told, copies)),
        n_rows=n_rows,
        n_duplicates=copies,
    )


def _in_file_order(rejects: pd.DataFrame) -> pd.DataFrame:
    """Sort rejects by file, then row: those that could not be split come last in their file."""
    files, _ = pd.factorize(rejects["source"])
    order = np.lexsort((rejects["row"].to_numpy(), files))
    return rejects.iloc[order].reset_index(drop=True)


def _notes(told: Mapping[tuple[str, str], int], copies: int) -> list[str]:
    """Say what was turned, in numbers: `score: 1,204 text values read as numbers`."""
    notes = [f"{column}: {_counted(phrase, n)}" for (column, phrase), n in told.items()]
    if copies:
        notes.append(
            _counted("{n} rows left out, each equal in every value to an earlier one", copies)
        )
    return notes


def _counted(phrase: str, n: int) -> str:
    said = phrase.format(n=f"{n:,}")
    if n == 1:
        said = said.replace(" are only a day: each is", " is only a day: it is")
    return (
        re.sub(r"(value|number|time|day|word|row|cop(?=ie))s\b", r"\1", said, count=1)
        if n == 1
        else said
    )


def _allowed(actions: Mapping[str, str]) -> pa.Array:
    """List the actions, in lower case, that mean allow."""
    words = dict.fromkeys(ALLOW_ACTIONS, "allow")
    faults = []
    said: dict[str, str] = {}
    for action, meaning in actions.items():
        key = str(action).strip().lower()
        if meaning not in ("allow", "enforce"):
            must = "map to `allow` or `enforce`"
            faults.append(sentence(f"actions: {action!r}", must, repr(meaning), "Choose one."))
        elif said.setdefault(key, meaning) != meaning:
            must = "have one meaning (case does not matter)"
            faults.append(sentence(f"actions: {key!r}", must, "both", "Keep one of them."))
    if faults:
        raise ConfigError(faults)
    words |= said
    return pa.array([a for a, meaning in words.items() if meaning == "allow"], pa.large_string())


def _with_enforced(batch: CleanBatch, allowed: pa.Array) -> CleanBatch:
    """Add whether the action enforces."""
    action = pc.utf8_lower(pc.utf8_trim_whitespace(batch.table["action"]))
    enforced = pc.invert(pc.is_in(action, value_set=allowed))
    table = batch.table.append_column(_ENFORCED, enforced)
    return CleanBatch(table, batch.rejects, batch.told, batch.n_rows, batch.n_duplicates)
