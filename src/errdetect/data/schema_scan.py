"""The first, quick pass over the files of a table: its columns, their kinds, repeated ids.

It reads a Parquet file's footer and id column, and text formats once, in bounded memory. The second
pass then parses every batch the same way, whatever its own values.
"""

import difflib
import hashlib
import itertools
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from errdetect.data.file_readers import read_batches, read_parquet_footer
from errdetect.data.identifiers import (
    ID_COLUMNS,
    IdFormat,
    id_match_keys,
    infer_id_format,
    merge_id_formats,
    resolve_file_format,
)
from errdetect.data.number_formats import (
    NumberFormat,
)
from errdetect.data.sources import SourceFile
from errdetect.data.table_mapping import needs_mapping
from errdetect.data.type_coercion import (
    dictionary_value_type,
    is_text_type,
    to_id,
    to_text,
)
from errdetect.data.type_inference import (
    FeatureKind,
    Look,
    infer_arrow_type,
    infer_type_and_format,
    is_mostly_numeric,
    merge_types,
    resolve_feature_kind,
)
from errdetect.errors import DataError, error_message, escape_hidden
from errdetect.schemas import DECISIONS, DRAWS, REVIEWS, ColumnSpec
from errdetect.table_settings import FileSource

__all__ = ["SchemaScan", "hash_ids", "rename_columns", "scan_files"]


#: Rows of a Parquet file sampled to decide whether text could be numbers or reformatted ids.
_HEAD_ROWS = 1000


@dataclass(frozen=True)
class SchemaScan:
    """How to read every batch of these files.

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
        Findings, in plain words.
    numbers
        The contract's name of a column of texts -> how it writes numbers.
    ids
        The contract's name of an id column of texts -> how it writes ids.
    scales
        The contract's name of a number column -> what its numbers are divided by.
    hashes
        Hashes of all ids.
    """

    files: tuple[SourceFile, ...]
    columns: tuple[ColumnSpec, ...]
    features: dict[str, FeatureKind]
    names: dict[str, str]
    drop: frozenset[str]
    repeated: npt.NDArray[np.uint64]
    n_rows: int
    told: tuple[str, ...] = ()
    numbers: Mapping[str, NumberFormat] = field(default_factory=dict)
    ids: Mapping[str, IdFormat] = field(default_factory=dict)
    scales: Mapping[str, float] = field(default_factory=dict)
    hashes: npt.NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))

    @property
    def reading(self) -> str:
        """A digest of how rows are read: files with equal ones can be read together or apart."""
        numbers = {
            name: (
                (form.decimal_sign, form.comma_or_group, form.point_or_group),
                (form.numbers == form.given, is_mostly_numeric(form)),
            )
            for name, form in self.numbers.items()
        }
        ids = {  # how many UUIDs there are matters only where they are not enough
            name: (replace(form, compact=0), form.is_uuids or form.compact)
            for name, form in self.ids.items()
        }
        maps = (self.features, self.names, numbers, ids, self.scales)
        kinds = sorted({file.format for file in self.files}), sorted(self.drop)
        how = repr((self.columns, kinds, *(sorted(one.items()) for one in maps)))
        return hashlib.sha256(how.encode("utf-8", "surrogatepass")).hexdigest()


#: A column's role: an id, a number or another column of the contract, or a feature.
_Role = Literal["id", "number", "word", "feature"]


@dataclass
class _FileScan:
    """Content of one file: column -> type, columns with missing values, rows, hashed ids.

    `numbers` and `id_forms` hold the texts' formats, `texts` the columns of type text.
    """

    looks: dict[str, Look] = field(default_factory=dict)
    gaps: set[str] = field(default_factory=set)
    numbers: dict[str, NumberFormat] = field(default_factory=dict)
    id_forms: dict[str, IdFormat] = field(default_factory=dict)
    texts: set[str] = field(default_factory=set)
    n_rows: int = 0
    broken: int = 0
    skipped: int = 0
    ids: list[npt.NDArray[np.uint64]] = field(default_factory=list)


def scan_files(
    files: Sequence[SourceFile],
    schema: Sequence[ColumnSpec],
    *,
    columns: Mapping[str, str],
    drop: Collection[str],
    features: bool,
    batch_rows: int,
    head_only: bool = False,
) -> SchemaScan:
    """Scan the files once, and refuse those that cannot become this table.

    Parameters
    ----------
    files
        Files to read.
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
    head_only
        Whether each file's first batch is enough: then repeated ids remain unknown.

    Raises
    ------
    DataError
        If required columns are missing (all are named at once), the mapping does not fit, or
        there are no rows.
    """
    files = _resolve_own_mapping(files)
    roles = _ColumnRoles(schema, columns, features=features)
    most = 1 if head_only else None
    facts = [_scan_file(file, roles, batch_rows, most) for file in files]
    if not any(one.n_rows + one.broken for one in facts):
        where = ", ".join(file.shown for file in files)
        raise DataError(f"{where} must hold at least one row, got none. Check how it was written.")
    found = list(dict.fromkeys(name for one in facts for name in one.looks))
    named = _validate_mapping(files, facts, schema, columns, drop)
    for one in facts:
        kept = {k: v for k, v in one.looks.items() if k not in drop and not _is_saved_index(k)}
        one.looks = {named.get(name, name): look for name, look in kept.items()}
        one.gaps = {named.get(name, name) for name in one.gaps}
        one.texts = {named.get(name, name) for name in one.texts}
        one.numbers = {named.get(name, name): form for name, form in one.numbers.items()}
        one.id_forms = {named.get(name, name): form for name, form in one.id_forms.items()}
    _require_columns(files, facts, schema, found)
    told = _file_notes(files, facts, schema) + _option_notes(found, columns, drop)
    mapping = files[0].mapping
    decimal = None if mapping is None else mapping.decimal
    numbers, ids = _column_number_formats(facts, decimal), _column_id_formats(facts)
    contract = {column.name for column in schema}
    kinds, more = _resolve_feature_kinds(facts, contract, numbers, keep=features)
    present = {name for one in facts for name in one.looks}
    return SchemaScan(
        files=tuple(files),
        columns=tuple(c for c in schema if c.required or c.name in present or not features),
        features=kinds,
        names=named,
        drop=frozenset(drop),
        repeated=_repeated_hashes([part for one in facts if not head_only for part in one.ids]),
        n_rows=sum(one.n_rows for one in facts),
        told=(*told, *more),
        numbers=numbers,
        ids=ids,
        hashes=np.concatenate([*(p for one in facts for p in one.ids), np.empty(0, np.uint64)]),
        scales={} if mapping is None else _check_scales(mapping.scale, schema),
    )


def _resolve_own_mapping(files: Sequence[SourceFile]) -> Sequence[SourceFile]:
    """Refuse a mapping that names columns which no file has; files with our names are read as they are."""
    mapping = files[0].mapping
    if mapping is None or not mapping.columns or mapping.preset is not None:
        return files
    found: dict[str, None] = {}
    for file in files:
        plain = replace(file, mapping=_reading_only(file))
        batch = next(iter(read_batches(plain, batch_rows=_HEAD_ROWS)), None)
        found |= dict.fromkeys([] if batch is None else batch.table.column_names)
    shown = files[0].shown + (f" and {len(files) - 1:,} more" if len(files) > 1 else "")
    if not found or needs_mapping(mapping, files[0].table, list(found), shown):
        return files
    return [replace(file, mapping=_reading_only(file) or FileSource(path="")) for file in files]


def _reading_only(file: SourceFile) -> FileSource | None:
    """Return what of a mapping tells where the rows are, and nothing of what they mean."""
    mapping = file.mapping
    if not isinstance(mapping, FileSource) or mapping.sheet is None:
        return None
    return FileSource(path="", sheet=mapping.sheet)


def _check_scales(scale: Mapping[str, float], schema: Sequence[ColumnSpec]) -> dict[str, float]:
    numbers = [column.name for column in schema if column.kind == "number"]
    strange = sorted(set(scale) - set(numbers))
    if strange:
        do = f"It can name {', '.join(numbers)}."
        raise DataError(error_message("scale", "name number columns", ", ".join(strange), do))
    return dict(scale)


def rename_columns(table: pa.Table, names: Mapping[str, str], drop: Collection[str]) -> pa.Table:
    """Rename a table's columns to the contract's names, and drop the columns to leave out."""
    kept = [name for name in table.column_names if name not in drop and not _is_saved_index(name)]
    return table.select(kept).rename_columns([names.get(name, name) for name in kept])


def _is_saved_index(name: str) -> bool:
    """Return whether pandas made up this name for a saved row index."""
    return bool(re.fullmatch(r"|__index_level_\d+__|Unnamed: \d+", name))


def hash_ids(ids: pa.Array) -> npt.NDArray[np.uint64]:
    """Hash ids to 64 bits; equal on every machine, and for ids that could be the same one.

    Examples
    --------
    >>> int(hash_ids(pa.array(["a", "a"]))[0]) == int(hash_ids(pa.array(["a"]))[0])
    True
    """
    texts = id_match_keys(ids.cast(pa.large_string())).to_pandas()
    return np.asarray(pd.util.hash_pandas_object(texts, index=False), dtype=np.uint64)


def _repeated_hashes(parts: Sequence[npt.NDArray[np.uint64]]) -> npt.NDArray[np.uint64]:
    hashes = np.sort(np.concatenate([*parts, np.empty(0, dtype=np.uint64)]))
    return np.unique(hashes[1:][hashes[1:] == hashes[:-1]])


# --- one file ----------------------------------------------------------------------------------


class _ColumnRoles:
    """The role of each of the user's columns."""

    def __init__(
        self, schema: Sequence[ColumnSpec], columns: Mapping[str, str], *, features: bool
    ) -> None:
        self.id_name = schema[0].name
        self._columns = columns
        self._kinds = {column.name: column.kind for column in schema}
        self._rest: _Role = "feature" if features else "word"

    def of(self, user: str) -> _Role:
        """Return the role of a column, by the user's name."""
        name = self._columns.get(user, user)
        if name not in self._kinds:
            return self._rest
        if name in ID_COLUMNS:
            return "id"
        return "number" if self._kinds[name] == "number" else "word"

    def user_id_column(self, names: Collection[str]) -> str:
        """Return the user's name of the table's id column."""
        mapped = (user for user, ours in self._columns.items() if ours == self.id_name)
        return next((user for user in mapped if user in names), self.id_name)


def _scan_file(
    file: SourceFile, roles: _ColumnRoles, batch_rows: int, most: int | None = None
) -> _FileScan:
    """Collect a file's facts, from all of its batches or at most so many."""
    facts = _FileScan()
    wanted = None
    typed = file.format in ("parquet", "jsonl", "database")
    if file.format == "parquet" and (file.mapping is None or not file.mapping.converts):
        wanted = _scan_parquet_footer(file, roles, facts)
    batches = read_batches(file, batch_rows=batch_rows, columns=wanted)
    for batch in itertools.islice(batches, most):
        if wanted is None:
            _record_missing_values(batch.table, facts)
        facts.n_rows += len(batch.rows)
        facts.broken += len(batch.broken)
        facts.skipped += batch.skipped
        for name in batch.table.column_names:
            if wanted is None or name in facts.texts:
                _scan_column(name, batch.table[name].combine_chunks(), roles, facts, typed=typed)
        name = roles.user_id_column(batch.table.column_names)
        if name in batch.table.column_names:
            facts.ids.append(
                hash_ids(_id_texts(name, batch.table[name].combine_chunks()).drop_null())
            )
    for name in facts.texts:
        if facts.looks[name] == "empty" and wanted is not None:
            facts.looks[name] = "text"
    facts.id_forms = {name: resolve_file_format(form) for name, form in facts.id_forms.items()}
    return facts


def _scan_parquet_footer(file: SourceFile, roles: _ColumnRoles, facts: _FileScan) -> list[str]:
    """Record a Parquet file's types, and return the columns to scan.

    These are the id, and texts whose first rows could be numbers or reformatted ids.
    """
    schema, _, gapless = read_parquet_footer(file)
    facts.looks = {name: infer_arrow_type(schema.field(name).type) for name in schema.names}
    facts.gaps = set(schema.names) - gapless
    texts = {
        name
        for name in schema.names
        if is_text_type(dictionary_value_type(schema.field(name).type))
    }
    facts.texts = {name for name in texts if roles.of(name) != "word"}
    first = _FileScan(looks=dict.fromkeys(facts.texts, "text"), texts=set(facts.texts))
    if facts.texts:
        heads = read_batches(file, batch_rows=_HEAD_ROWS, columns=sorted(facts.texts))
        for batch in itertools.islice(heads, 1):
            for name in batch.table.column_names:
                _scan_column(name, batch.table[name].combine_chunks(), roles, first, typed=True)
    for name in sorted(facts.texts):
        form, ids = first.numbers.get(name, NumberFormat()), first.id_forms.get(name, IdFormat())
        plain_text = roles.of(name) == "feature" and form.given and not is_mostly_numeric(form)
        if ids.other or plain_text:
            facts.texts.discard(name)
            facts.id_forms |= {name: ids} if roles.of(name) == "id" else {}
            facts.numbers |= {name: form} if plain_text else {}
        else:
            facts.looks[name] = "empty"
    return [
        roles.user_id_column(schema.names),
        *sorted(facts.texts - {roles.user_id_column(schema.names)}),
    ]


def _id_texts(name: str, values: pa.Array) -> pa.Array:
    """Return ids as text."""
    if is_text_type(dictionary_value_type(values.type)):
        return to_text(name, values).values
    return to_id(name, values).values


def _record_missing_values(table: pa.Table, facts: _FileScan) -> None:
    """Record which columns have missing values."""
    if table.num_rows:
        facts.gaps |= facts.looks.keys() - set(table.column_names)
    for name in table.column_names:
        if table[name].null_count or (name not in facts.looks and facts.n_rows):
            facts.gaps.add(name)


def _scan_column(
    name: str, values: pa.Array, roles: _ColumnRoles, facts: _FileScan, *, typed: bool
) -> None:
    """Add a batch's column to the file's facts."""
    look, role = infer_arrow_type(values.type), roles.of(name)
    if values.null_count == len(values):
        look = "empty"
    elif look == "text" and role == "id":
        form = facts.id_forms.get(name, IdFormat())
        if not form.other:
            found = infer_id_format(to_text(name, values).values)
            facts.id_forms[name] = merge_id_formats(form, found)
    elif look == "text" and role != "word" and is_text_type(dictionary_value_type(values.type)):
        known = facts.numbers.get(name, NumberFormat())
        seen, form_seen = infer_type_and_format(_decode_dictionary(values), known)
        facts.numbers[name] = known + form_seen
        facts.texts |= {name} if typed else set()
        look = seen if not typed or seen == "number" else "text"
    facts.looks[name] = merge_types(facts.looks.get(name, "empty"), look)


def _decode_dictionary(values: pa.Array) -> pa.Array:
    return values.cast(pa.large_string())


# --- all files together ------------------------------------------------------------------------


def _validate_mapping(
    files: Sequence[SourceFile],
    facts: Sequence[_FileScan],
    schema: Sequence[ColumnSpec],
    columns: Mapping[str, str],
    drop: Collection[str],
) -> dict[str, str]:
    """Check the user's mapping against the existing columns, and keep what applies."""
    found = {name for one in facts for name in one.looks}
    for user, ours in columns.items():
        if user not in found and _is_required(ours, schema, found):
            do = _closest_match(user, found) or f"The columns are {', '.join(sorted(found))}."
            what = f"columns: {user!r} -> {ours!r}"
            raise DataError(
                error_message(what, "name a column of the table", "none of that name", do)
            )
    used = {user: ours for user, ours in columns.items() if user in found}
    for ours, times in Counter(used.values()).items():
        if times > 1:
            users = " and ".join(repr(user) for user, target in used.items() if target == ours)
            what = f"columns: {ours!r}"
            raise DataError(error_message(what, "come from one column", users, "Keep one of them."))
    for file, one in zip(files, facts, strict=True):
        taken = one.looks.keys() - used.keys() - set(drop)
        for user, ours in used.items():
            if user in one.looks and ours in taken:
                do = f"Take the mapping out, or drop {ours!r}, or map it to another name."
                got = f"a column {ours!r} of its own in {file.shown}"
                what = f"columns: {user!r} -> {ours!r}"
                raise DataError(error_message(what, "map to a name that is free", got, do))
    return used


def _is_required(ours: str, schema: Sequence[ColumnSpec], found: Collection[str]) -> bool:
    """Return whether a mapping to this name is a fault if its column is absent.

    One mapping serves decisions, reviews and draws, so a column that only another table needs is
    no fault here, nor is one that exists under its own name.
    """
    names = {column.name for column in schema}
    if ours in names:
        return ours not in found
    others = {column.name for column in (*REVIEWS, *DRAWS)}
    return tuple(schema[:2]) == DECISIONS[:2] and ours not in others


def _require_columns(
    files: Sequence[SourceFile],
    facts: Sequence[_FileScan],
    schema: Sequence[ColumnSpec],
    found: Collection[str],
) -> None:
    """Refuse a file without the required columns, all of them named at once."""
    for file, one in zip(files, facts, strict=True):
        missing = [c.name for c in schema if c.required and c.name not in one.looks]
        if missing and "decision_id" in one.looks:
            missing = [name for name in missing if name != "item_id"]
        if missing and one.n_rows:
            near = [
                f"{name} ({_closest_match(name, found)})"
                for name in missing
                if _closest_match(name, found)
            ]
            hints = f" Near names: {'; '.join(near)}." if near else ""
            raise DataError(
                f"{file.shown} must have the columns {', '.join(missing)}, got "
                f"{', '.join(sorted(one.looks)) or 'none'}.{hints} "
                "Rename them, or map them under `data.columns`."
            )


def _why_skipped(file: SourceFile) -> str:
    column = None if file.mapping is None else file.mapping.only_with
    return "rows are events of another kind" if column is None else f"rows have no {column}"


def _file_notes(
    files: Sequence[SourceFile], facts: Sequence[_FileScan], schema: Sequence[ColumnSpec]
) -> list[str]:
    """Return notes on empty files, and on columns that only some files have."""
    told = [
        f"{file.shown} holds no row"
        for file, one in zip(files, facts, strict=True)
        if not one.n_rows + one.broken
    ]
    told += [
        f"{file.shown}: {one.skipped:,} {_why_skipped(file)}, left out"
        for file, one in zip(files, facts, strict=True)
        if one.skipped
    ]
    full = [(file, one) for file, one in zip(files, facts, strict=True) if one.n_rows]
    if any(c.name == "item_id" for c in schema) and any(
        "item_id" not in one.looks for _, one in full
    ):
        told.append("item_id: there is none, so each decision is an item of its own")
    order = {column.name: place for place, column in enumerate(schema)}
    everywhere = dict.fromkeys(name for _, one in full for name in one.looks)
    for name in sorted(everywhere, key=lambda name: order.get(name, len(order))):
        lacking = [file.name for file, one in full if name not in one.looks]
        if lacking:
            named = ", ".join(lacking[:3]) + (", ..." if len(lacking) > 3 else "")
            told.append(f"{name}: missing in {len(lacking)} of {len(full)} files ({named})")
    return told


def _option_notes(
    found: Collection[str], columns: Mapping[str, str], drop: Collection[str]
) -> list[str]:
    """Return notes on mappings and drops without a column, and on columns dropped automatically."""
    told = [
        f"columns: there is no {user!r}; {ours} is there under its own name"
        for user, ours in columns.items()
        if user not in found and ours in found
    ]
    told += [f"drop: there is no column {name!r}" for name in sorted(set(drop) - set(found))]
    return told + [
        f"{name!r}: a saved row index, left out" for name in found if _is_saved_index(name)
    ]


def _column_number_formats(
    facts: Sequence[_FileScan], decimal: str | None
) -> dict[str, NumberFormat]:
    """Combine the number formats of each column.

    `decimal` is the sign that the config names for columns whose values leave it open. Where another
    column has decimal commas, 1.234 is unambiguous only if its own column decides.
    """
    forms: dict[str, NumberFormat] = {}
    for one in facts:
        for name, form in one.numbers.items():
            forms[name] = forms.get(name, NumberFormat()) + form
    if decimal is not None:  # where a column's own values do not settle its sign
        comma = decimal == ","
        return {
            name: form if form.decimal_sign in ("comma", "point")
            else replace(form, comma=comma, point=not comma)
            for name, form in forms.items()
        }  # fmt: skip
    if any(form.decimal_sign == "comma" for form in forms.values()):
        for name, form in forms.items():
            if form.decimal_sign == "unknown" and form.point_or_group:
                forms[name] = replace(form, comma=True, point=True)
    return forms


def _column_id_formats(facts: Sequence[_FileScan]) -> dict[str, IdFormat]:
    """Combine the formats of each id column."""
    forms: dict[str, IdFormat] = {}
    for one in facts:
        for name, form in one.id_forms.items():
            forms[name] = merge_id_formats(forms.get(name, IdFormat()), form)
    return forms


def _resolve_feature_kinds(
    facts: Sequence[_FileScan],
    contract: Collection[str],
    numbers: Mapping[str, NumberFormat],
    *,
    keep: bool,
) -> tuple[dict[str, FeatureKind], list[str]]:
    """Return the type of every further column, and notes on those left out."""
    full = [one for one in facts if one.n_rows]
    looks: dict[str, list[Look]] = {}
    for one in full:
        for name, look in one.looks.items():
            if name not in contract:
                form = numbers.get(name, NumberFormat())
                keeps = name in one.texts and not form.formed
                looks.setdefault(name, []).append("text" if keeps and look == "number" else look)
    if not keep:
        left = f"columns not used here: {', '.join(sorted(looks))}"
        return {}, [left] if looks else []
    kinds: dict[str, FeatureKind] = {}
    told = []
    for name, seen in looks.items():
        look = merge_types(*seen)
        if look == "other":
            told.append(f"{name}: left out, it is neither a number, true/false nor text")
            continue
        if look == "empty":
            told.append(f"{name}: no row has a value")
        if look == "text" and {"number", "bool", "flag"} & set(seen):
            told.append(
                f"{name}: numbers or true/false in some files, text in others; read as text"
            )
        elif look in ("text", "number") and name in numbers:
            look, more = _resolve_mixed_column(name, look, numbers[name])
            told += more
        gaps = len(seen) < len(full) or any(name in one.gaps for one in full)
        kinds[name] = resolve_feature_kind(look, gaps=gaps)
    return kinds, told


def _resolve_mixed_column(name: str, look: Look, form: NumberFormat) -> tuple[Look, list[str]]:
    """Decide the type of a column of mostly numeric texts, with a note if it is text."""
    if look == "number" and not form.ambiguous:
        return look, []
    if look == "number":
        example = form.examples.get("unclear") or form.examples.get("number", "")
        return "text", [
            f"{name}: read as text: numbers such as {example!r} can be read in two ways, and no other "
            "value settles which (write a decimal point and no thousands separators)"
        ]
    if not is_mostly_numeric(form):
        return look, []
    if form.numbers == form.given:
        example = form.examples.get("number", "")
        return look, [
            f"{name}: read as text, its type in the file, though every value is a number (such as "
            f"{example!r})"
        ]
    example = form.examples.get("other", "")
    others = form.given - form.numbers
    count = (
        f"{others:,} of {form.given:,} values {'is no number' if others == 1 else 'are no numbers'}"
    )
    return look, [f"{name}: read as text: {count}, such as {escape_hidden(example)!r}"]


def _closest_match(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, sorted(names), n=1)
    return f"did you mean {near[0]!r}?" if near else ""
