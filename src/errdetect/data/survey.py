"""The first, quick pass over the files of a table: its columns, their kinds, repeated ids.

It reads a Parquet file's footer and id column, and text formats once, in bounded memory. The second
pass then treats every batch alike, whatever its own values look like.
"""

import difflib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from errdetect.data.coerce import to_text
from errdetect.data.looks import FeatureKind, Look, kind_of, look_of_text, look_of_type, merged
from errdetect.data.readers import parquet_columns, read_batches
from errdetect.data.sources import SourceFile
from errdetect.errors import DataError, sentence
from errdetect.schemas import DECISIONS, REVIEWS, Column

__all__ = ["Survey", "hash_ids", "rename", "survey_files"]


@dataclass(frozen=True)
class Survey:
    """How every batch of these files is to be read.

    Parameters
    ----------
    files
        The files, in order.
    columns
        The contract's columns that the table will have; the first is its id.
    features
        Every further column -> `number`, `bool`, `flag` (true/false with gaps: 1, 0 or missing)
        or `text`.
    names
        The user's column name -> the contract's.
    drop
        The user's columns to leave out.
    repeated
        Hashes (sorted) of the ids that occur more than once.
    n_rows
        Rows that could be split into columns.
    told
        What was found, in plain words.
    """

    files: tuple[SourceFile, ...]
    columns: tuple[Column, ...]
    features: dict[str, FeatureKind]
    names: dict[str, str]
    drop: frozenset[str]
    repeated: npt.NDArray[np.uint64]
    n_rows: int
    told: tuple[str, ...] = ()


@dataclass
class _FileFacts:
    """What one file holds: column -> look, which columns have gaps, rows, hashed ids."""

    looks: dict[str, Look] = field(default_factory=dict)
    gaps: set[str] = field(default_factory=set)
    n_rows: int = 0
    broken: int = 0
    ids: list[npt.NDArray[np.uint64]] = field(default_factory=list)


def survey_files(
    files: Sequence[SourceFile],
    schema: Sequence[Column],
    *,
    columns: Mapping[str, str],
    drop: Collection[str],
    features: bool,
    batch_rows: int,
) -> Survey:
    """Look through the files once, and refuse what cannot become this table.

    Parameters
    ----------
    files
        What to read.
    schema
        The contract's columns; the first is the id.
    columns
        The user's column name -> the contract's.
    drop
        The user's columns to leave out.
    features
        Whether further columns are kept.
    batch_rows
        Most rows held at once.

    Raises
    ------
    DataError
        If required columns are missing (all are named at once), the mapping does not fit, or
        there is no row.
    """
    facts = [_look_through(file, schema[0].name, columns, batch_rows) for file in files]
    if not any(one.n_rows + one.broken for one in facts):
        where = ", ".join(str(file.path) for file in files)
        raise DataError(f"{where} must hold at least one row, got none. Check how it was written.")
    found = list(dict.fromkeys(name for one in facts for name in one.looks))
    named = _checked_mapping(files, facts, schema, columns, drop)
    for one in facts:
        kept = {k: v for k, v in one.looks.items() if k not in drop and not _is_index(k)}
        one.looks = {named.get(name, name): look for name, look in kept.items()}
        one.gaps = {named.get(name, name) for name in one.gaps}
    _require(files, facts, schema, found)
    told = _file_notes(files, facts, schema) + _option_notes(found, columns, drop)
    kinds, more = _feature_kinds(facts, {column.name for column in schema}, keep=features)
    present = {name for one in facts for name in one.looks}
    return Survey(
        files=tuple(files),
        columns=tuple(c for c in schema if c.required or c.name in present or not features),
        features=kinds,
        names=named,
        drop=frozenset(drop),
        repeated=_repeated([part for one in facts for part in one.ids]),
        n_rows=sum(one.n_rows for one in facts),
        told=(*told, *more),
    )


def rename(table: pa.Table, names: Mapping[str, str], drop: Collection[str]) -> pa.Table:
    """Give a table the contract's column names, without the columns to leave out."""
    kept = [name for name in table.column_names if name not in drop and not _is_index(name)]
    return table.select(kept).rename_columns([names.get(name, name) for name in kept])


def _is_index(name: str) -> bool:
    """Whether pandas made up this name for a row index that was saved by the way."""
    return bool(re.fullmatch(r"|__index_level_\d+__|Unnamed: \d+", name))


def hash_ids(ids: pa.Array) -> npt.NDArray[np.uint64]:
    """Hash ids to 64 bits; equal on every machine.

    Examples
    --------
    >>> int(hash_ids(pa.array(["a", "a"]))[0]) == int(hash_ids(pa.array(["a"]))[0])
    True
    """
    texts = ids.cast(pa.large_string()).to_pandas()
    return np.asarray(pd.util.hash_pandas_object(texts, index=False), dtype=np.uint64)


def _repeated(parts: Sequence[npt.NDArray[np.uint64]]) -> npt.NDArray[np.uint64]:
    hashes = np.sort(np.concatenate([*parts, np.empty(0, dtype=np.uint64)]))
    return np.unique(hashes[1:][hashes[1:] == hashes[:-1]])


# --- one file ----------------------------------------------------------------------------------


def _look_through(
    file: SourceFile, id_name: str, columns: Mapping[str, str], batch_rows: int
) -> _FileFacts:
    """Collect a file's facts."""
    facts = _FileFacts()
    wanted = None
    user_id = next((user for user, ours in columns.items() if ours == id_name), id_name)
    if file.format == "parquet":
        schema, _, gapless = parquet_columns(file)
        facts.looks = {name: look_of_type(schema.field(name).type) for name in schema.names}
        facts.gaps = set(schema.names) - gapless
        user_id = user_id if user_id in schema.names else id_name
        wanted = [user_id]
    for batch in read_batches(file, batch_rows=batch_rows, columns=wanted):
        facts.n_rows += len(batch.rows)
        facts.broken += len(batch.broken)
        if file.format != "parquet":
            _look_at(batch.table, facts, typed=file.format in ("jsonl", "database"))
        name = user_id if user_id in batch.table.column_names else id_name
        if name in batch.table.column_names:
            ids = to_text(name, batch.table[name].combine_chunks()).values
            facts.ids.append(hash_ids(ids.drop_null()))
    return facts


def _look_at(table: pa.Table, facts: _FileFacts, *, typed: bool) -> None:
    """Take a batch of a text format into the facts."""
    if table.num_rows:
        facts.gaps |= facts.looks.keys() - set(table.column_names)
    for name in table.column_names:
        values = table[name].combine_chunks()
        look = look_of_type(values.type)
        if values.null_count == len(values):
            look = "empty"
        elif look == "text" and not typed:
            look = look_of_text(values)
        if values.null_count or (name not in facts.looks and facts.n_rows > len(values)):
            facts.gaps.add(name)
        facts.looks[name] = merged(facts.looks.get(name, "empty"), look)


# --- all files together ------------------------------------------------------------------------


def _checked_mapping(
    files: Sequence[SourceFile],
    facts: Sequence[_FileFacts],
    schema: Sequence[Column],
    columns: Mapping[str, str],
    drop: Collection[str],
) -> dict[str, str]:
    """Check the user's mapping against the columns that are there, and keep what applies."""
    found = {name for one in facts for name in one.looks}
    for user, ours in columns.items():
        if user not in found and _needed(ours, schema, found):
            do = _near(user, found) or f"The columns are {', '.join(sorted(found))}."
            what = f"columns: {user!r} -> {ours!r}"
            raise DataError(sentence(what, "name a column of the table", "none of that name", do))
    used = {user: ours for user, ours in columns.items() if user in found}
    for ours, times in Counter(used.values()).items():
        if times > 1:
            users = " and ".join(repr(user) for user, target in used.items() if target == ours)
            what = f"columns: {ours!r}"
            raise DataError(sentence(what, "come from one column", users, "Keep one of them."))
    for file, one in zip(files, facts, strict=True):
        taken = one.looks.keys() - used.keys() - set(drop)
        for user, ours in used.items():
            if user in one.looks and ours in taken:
                do = f"Take the mapping out, or drop {ours!r}, or map it to another name."
                got = f"a column {ours!r} of its own in {file.path}"
                what = f"columns: {user!r} -> {ours!r}"
                raise DataError(sentence(what, "map to a name that is free", got, do))
    return used


def _needed(ours: str, schema: Sequence[Column], found: Collection[str]) -> bool:
    """Whether a mapping to this name is at fault if its column is absent.

    One mapping serves decisions and reviews, so what only the other table needs is no fault here,
    nor is what stands there under its own name.
    """
    names = {column.name for column in schema}
    if ours in names:
        return ours not in found
    return schema[0] == DECISIONS[0] and ours not in {column.name for column in REVIEWS}


def _require(
    files: Sequence[SourceFile],
    facts: Sequence[_FileFacts],
    schema: Sequence[Column],
    found: Collection[str],
) -> None:
    """Refuse a file without the required columns, all of them named at once."""
    for file, one in zip(files, facts, strict=True):
        missing = [c.name for c in schema if c.required and c.name not in one.looks]
        if missing and one.n_rows:
            near = [f"{name} ({_near(name, found)})" for name in missing if _near(name, found)]
            hints = f" Near names: {'; '.join(near)}." if near else ""
            raise DataError(
                f"{file.path} must have the columns {', '.join(missing)}, got "
                f"{', '.join(sorted(one.looks)) or 'none'}.{hints} "
                "Rename them, or map them under `data.columns`."
            )


def _file_notes(
    files: Sequence[SourceFile], facts: Sequence[_FileFacts], schema: Sequence[Column]
) -> list[str]:
    """Tell of empty files, and of columns that only some files have."""
    told = [
        f"{file.path} holds no row"
        for file, one in zip(files, facts, strict=True)
        if not one.n_rows + one.broken
    ]
    full = [(file, one) for file, one in zip(files, facts, strict=True) if one.n_rows]
    order = {column.name: place for place, column in enumerate(schema)}
    everywhere = dict.fromkeys(name for _, one in full for name in one.looks)
    for name in sorted(everywhere, key=lambda name: order.get(name, len(order))):
        lacking = [file.path.name for file, one in full if name not in one.looks]
        if lacking:
            named = ", ".join(lacking[:3]) + (", ..." if len(lacking) > 3 else "")
            told.append(f"{name}: missing in {len(lacking)} of {len(full)} files ({named})")
    return told


def _option_notes(
    found: Collection[str], columns: Mapping[str, str], drop: Collection[str]
) -> list[str]:
    """Tell of mappings and drops that met no column, and of what was dropped unasked."""
    told = [
        f"columns: there is no {user!r}; {ours} is there under its own name"
        for user, ours in columns.items()
        if user not in found and ours in found
    ]
    told += [f"drop: there is no column {name!r}" for name in sorted(set(drop) - set(found))]
    return told + [f"{name!r}: a saved row index, left out" for name in found if _is_index(name)]


def _feature_kinds(
    facts: Sequence[_FileFacts], contract: Collection[str], *, keep: bool
) -> tuple[dict[str, FeatureKind], list[str]]:
    """Settle the kind of every further column, and tell which are left out."""
    full = [one for one in facts if one.n_rows]
    looks: dict[str, list[Look]] = {}
    for one in full:
        for name, look in one.looks.items():
            if name not in contract:
                looks.setdefault(name, []).append(look)
    if not keep:
        left = f"columns not used here: {', '.join(sorted(looks))}"
        return {}, [left] if looks else []
    kinds: dict[str, FeatureKind] = {}
    told = []
    for name, seen in looks.items():
        look = merged(*seen)
        if look == "other":
            told.append(f"{name}: left out, it is neither a number, true/false nor text")
            continue
        if look == "empty":
            told.append(f"{name}: no row has a value")
        if look == "text" and {"number", "bool", "flag"} & set(seen):
            told.append(
                f"{name}: numbers or true/false in some files, text in others; read as text"
            )
        gaps = len(seen) < len(full) or any(name in one.gaps for one in full)
        kinds[name] = kind_of(look, gaps=gaps)
    return kinds, told


def _near(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, sorted(names), n=1)
    return f"did you mean {near[0]!r}?" if near else ""
