"""The first, quick pass over the files of a table: its columns, their kinds, repeated ids.

It reads a Parquet file's footer and id column, and text formats once, in bounded memory. The second
pass then treats every batch alike, whatever its own values look like.
"""

import difflib
import itertools
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

from errdetect.data.identifiers import (
    ID_COLUMNS,
    IdForm,
    form_of_ids,
    loosely,
    merged_forms,
    of_one_file,
)
from errdetect.data.number_formats import NumberForm, could_be_numbers, form_of_numbers, plain_form
from errdetect.data.readers import parquet_columns, read_batches
from errdetect.data.sources import SourceFile
from errdetect.data.type_coercion import MISSING_WORDS, is_text, plain_type, to_id, to_text
from errdetect.errors import DataError, sentence, visible
from errdetect.schemas import DECISIONS, REVIEWS, Column

__all__ = [
    "FeatureKind",
    "Look",
    "Survey",
    "hash_ids",
    "kind_of",
    "look_and_form",
    "look_of_text",
    "look_of_type",
    "merged",
    "mostly_numbers",
    "rename",
    "survey_files",
]


#: How a feature is read; a `flag` is true/false with gaps: 1, 0 or missing.
FeatureKind = Literal["number", "bool", "flag", "text"]

#: In text without types `words` are only NA, null and the like, `flag` is true/false among such.
Look = Literal["empty", "words", "bool", "flag", "number", "text", "other"]

_LEADING_ZERO = r"^[+-]?0\d"
_SAMPLE = 200


def look_of_type(kind: pa.DataType) -> Look:
    """Tell it from the type of a file that has types.

    Examples
    --------
    >>> look_of_type(pa.int8()), look_of_type(pa.date32())
    ('number', 'other')
    """
    kind = plain_type(kind)
    if pat.is_null(kind):
        return "empty"
    if pat.is_boolean(kind):
        return "bool"
    if pat.is_integer(kind) or pat.is_floating(kind) or pat.is_decimal(kind):
        return "number"
    text = pat.is_string(kind) or pat.is_large_string(kind) or pat.is_string_view(kind)
    return "text" if text or isinstance(kind, pa.BaseExtensionType) else "other"


def look_of_text(values: pa.Array) -> Look:
    """Tell it from the values of a file without types; 007 is text, for it is no number's form.

    Examples
    --------
    >>> look_of_text(pa.array(["1", "NA", None])), look_of_text(pa.array(["007"]))
    ('number', 'text')
    """
    given = values.drop_null().cast(pa.large_string())
    head = _look(given.slice(0, _SAMPLE))
    return head if head == "text" or len(given) <= _SAMPLE else _look(given)


def look_and_form(values: pa.Array, known: NumberForm) -> tuple[Look, NumberForm]:
    """Tell what a batch of texts looks like, and how it writes numbers where most of it is some.

    Parameters
    ----------
    values
        Text of a file without types.
    known
        Of the column's batches before.

    Returns
    -------
    look, form
        Numbers with decimal commas, percent signs or grouped digits look like numbers too. Of
        other texts the form only has how many there are.

    Examples
    --------
    >>> look, form = look_and_form(pa.array(["0,93", "NA"]), NumberForm())
    >>> look, form.decimal
    ('number', 'comma')
    """
    given = values.drop_null().cast(pa.large_string())
    head = given.slice(0, _SAMPLE)
    look = _look(head)
    if look == "text" and not mostly_numbers(known):
        form = form_of_numbers(head) if could_be_numbers(head.to_pylist()) else NumberForm()
        if not mostly_numbers(form):
            return "text", NumberForm(given=len(given))
    look = look if len(given) <= _SAMPLE and look != "text" else _look(given)
    if look == "number":
        return look, plain_form(given, known)
    if look != "text":
        return look, NumberForm()
    form = form_of_numbers(given)
    return ("number" if form.numbers == form.given else "text"), form


def mostly_numbers(form: NumberForm) -> bool:
    """Whether at least half of a column's values are numbers in some form.

    Examples
    --------
    >>> mostly_numbers(NumberForm(given=3, numbers=2))
    True
    """
    return 0 < form.given <= 2 * form.numbers


def _look(texts: pa.Array) -> Look:
    if not len(texts):
        return "empty"
    if _numbers(texts):
        return "number"
    lower = pc.utf8_lower(pc.utf8_trim_whitespace(texts))
    rest = lower.filter(pc.invert(pc.is_in(lower, value_set=_words(*MISSING_WORDS))))
    if not len(rest):
        return "words"
    if pc.all(pc.is_in(rest, value_set=_words("true", "false"))).as_py():
        return "bool" if len(rest) == len(lower) else "flag"
    return "number" if _numbers(rest) else "text"


def _numbers(texts: pa.Array) -> bool:
    """Whether all of it is numbers, none with a leading zero, at least one finite."""
    try:
        numbers = texts.cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    if not pc.any(pc.is_finite(numbers)).as_py():
        return False
    return not pc.any(pc.match_substring_regex(texts, _LEADING_ZERO)).as_py()


def _words(*words: str) -> pa.Array:
    return pa.array(words, pa.large_string())


def merged(*looks: Look) -> Look:
    """Say what a column looks like whose parts look like this.

    Examples
    --------
    >>> merged("empty", "number"), merged("number", "text"), merged("words", "bool")
    ('number', 'text', 'flag')
    """
    return reduce(_merged, looks)


def _merged(one: Look, other: Look) -> Look:
    if one == other or other == "empty":
        return one
    if one == "empty":
        return other
    if "other" in (one, other):
        return "other"
    if {one, other} <= {"words", "bool", "flag"}:
        return "flag"
    return "number" if {one, other} == {"words", "number"} else "text"


def kind_of(look: Look, *, gaps: bool) -> FeatureKind:
    """Settle how to read a column of this look; an empty one is missing numbers.

    Parameters
    ----------
    look
        What it looks like, not `other`.
    gaps
        Whether values can be missing.

    Examples
    --------
    >>> kind_of("bool", gaps=False), kind_of("bool", gaps=True)
    ('bool', 'flag')
    """
    if look in ("bool", "flag"):
        return "flag" if gaps or look == "flag" else "bool"
    return "text" if look in ("text", "words") else "number"


#: Rows of a Parquet file whose texts show whether a column could be numbers or ids in another form.
_HEAD_ROWS = 1000


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
    numbers
        The contract's name of a column of texts -> how it writes numbers.
    ids
        The contract's name of an id column of texts -> how it writes ids.
    """

    files: tuple[SourceFile, ...]
    columns: tuple[Column, ...]
    features: dict[str, FeatureKind]
    names: dict[str, str]
    drop: frozenset[str]
    repeated: npt.NDArray[np.uint64]
    n_rows: int
    told: tuple[str, ...] = ()
    numbers: Mapping[str, NumberForm] = field(default_factory=dict)
    ids: Mapping[str, IdForm] = field(default_factory=dict)


#: What a column is for: an id, a number or another word of the contract, or a feature.
_Role = Literal["id", "number", "word", "feature"]


@dataclass
class _FileFacts:
    """What one file holds: column -> look, which columns have gaps, rows, hashed ids.

    `numbers` and `id_forms` say how texts are written, `texts` which columns have text for a type.
    """

    looks: dict[str, Look] = field(default_factory=dict)
    gaps: set[str] = field(default_factory=set)
    numbers: dict[str, NumberForm] = field(default_factory=dict)
    id_forms: dict[str, IdForm] = field(default_factory=dict)
    texts: set[str] = field(default_factory=set)
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
    roles = _Roles(schema, columns, features=features)
    facts = [_look_through(file, roles, batch_rows) for file in files]
    if not any(one.n_rows + one.broken for one in facts):
        where = ", ".join(file.shown for file in files)
        raise DataError(f"{where} must hold at least one row, got none. Check how it was written.")
    found = list(dict.fromkeys(name for one in facts for name in one.looks))
    named = _checked_mapping(files, facts, schema, columns, drop)
    for one in facts:
        kept = {k: v for k, v in one.looks.items() if k not in drop and not _is_index(k)}
        one.looks = {named.get(name, name): look for name, look in kept.items()}
        one.gaps = {named.get(name, name) for name in one.gaps}
        one.texts = {named.get(name, name) for name in one.texts}
        one.numbers = {named.get(name, name): form for name, form in one.numbers.items()}
        one.id_forms = {named.get(name, name): form for name, form in one.id_forms.items()}
    _require(files, facts, schema, found)
    told = _file_notes(files, facts, schema) + _option_notes(found, columns, drop)
    numbers, ids = _number_forms(facts), _id_forms(facts)
    contract = {column.name for column in schema}
    kinds, more = _feature_kinds(facts, contract, numbers, keep=features)
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
        numbers=numbers,
        ids=ids,
    )


def rename(table: pa.Table, names: Mapping[str, str], drop: Collection[str]) -> pa.Table:
    """Give a table the contract's column names, without the columns to leave out."""
    kept = [name for name in table.column_names if name not in drop and not _is_index(name)]
    return table.select(kept).rename_columns([names.get(name, name) for name in kept])


def _is_index(name: str) -> bool:
    """Whether pandas made up this name for a row index that was saved by the way."""
    return bool(re.fullmatch(r"|__index_level_\d+__|Unnamed: \d+", name))


def hash_ids(ids: pa.Array) -> npt.NDArray[np.uint64]:
    """Hash ids to 64 bits; equal on every machine, and for ids that could be the same one.

    Examples
    --------
    >>> int(hash_ids(pa.array(["a", "a"]))[0]) == int(hash_ids(pa.array(["a"]))[0])
    True
    """
    texts = loosely(ids.cast(pa.large_string())).to_pandas()
    return np.asarray(pd.util.hash_pandas_object(texts, index=False), dtype=np.uint64)


def _repeated(parts: Sequence[npt.NDArray[np.uint64]]) -> npt.NDArray[np.uint64]:
    hashes = np.sort(np.concatenate([*parts, np.empty(0, dtype=np.uint64)]))
    return np.unique(hashes[1:][hashes[1:] == hashes[:-1]])


# --- one file ----------------------------------------------------------------------------------


class _Roles:
    """What each of the user's columns is for."""

    def __init__(
        self, schema: Sequence[Column], columns: Mapping[str, str], *, features: bool
    ) -> None:
        self.id_name = schema[0].name
        self._columns = columns
        self._kinds = {column.name: column.kind for column in schema}
        self._rest: _Role = "feature" if features else "word"

    def of(self, user: str) -> _Role:
        """Give the role of a column, as the user calls it."""
        name = self._columns.get(user, user)
        if name not in self._kinds:
            return self._rest
        if name in ID_COLUMNS:
            return "id"
        return "number" if self._kinds[name] == "number" else "word"

    def id_of(self, names: Collection[str]) -> str:
        """Give what the user calls the table's id."""
        mapped = (user for user, ours in self._columns.items() if ours == self.id_name)
        return next((user for user in mapped if user in names), self.id_name)


def _look_through(file: SourceFile, roles: _Roles, batch_rows: int) -> _FileFacts:
    """Collect a file's facts."""
    facts = _FileFacts()
    wanted = None
    typed = file.format in ("parquet", "jsonl", "database")
    if file.format == "parquet":
        wanted = _look_at_footer(file, roles, facts)
    for batch in read_batches(file, batch_rows=batch_rows, columns=wanted):
        if wanted is None:
            _note_gaps(batch.table, facts)
        facts.n_rows += len(batch.rows)
        facts.broken += len(batch.broken)
        for name in batch.table.column_names:
            if wanted is None or name in facts.texts:
                _look_at(name, batch.table[name].combine_chunks(), roles, facts, typed=typed)
        name = roles.id_of(batch.table.column_names)
        if name in batch.table.column_names:
            facts.ids.append(hash_ids(_ids(name, batch.table[name].combine_chunks()).drop_null()))
    for name in facts.texts:
        if facts.looks[name] == "empty" and file.format == "parquet":
            facts.looks[name] = "text"
    facts.id_forms = {name: of_one_file(form) for name, form in facts.id_forms.items()}
    return facts


def _look_at_footer(file: SourceFile, roles: _Roles, facts: _FileFacts) -> list[str]:
    """Take a Parquet file's types, and name the columns to look through.

    They are the id, and texts that by their first rows could be numbers, or ids in another form.
    """
    schema, _, gapless = parquet_columns(file)
    facts.looks = {name: look_of_type(schema.field(name).type) for name in schema.names}
    facts.gaps = set(schema.names) - gapless
    texts = {name for name in schema.names if is_text(plain_type(schema.field(name).type))}
    facts.texts = {name for name in texts if roles.of(name) != "word"}
    first = _FileFacts(looks=dict.fromkeys(facts.texts, "text"), texts=set(facts.texts))
    if facts.texts:
        heads = read_batches(file, batch_rows=_HEAD_ROWS, columns=sorted(facts.texts))
        for batch in itertools.islice(heads, 1):
            for name in batch.table.column_names:
                _look_at(name, batch.table[name].combine_chunks(), roles, first, typed=True)
    for name in sorted(facts.texts):
        form, ids = first.numbers.get(name, NumberForm()), first.id_forms.get(name, IdForm())
        plain_text = roles.of(name) == "feature" and form.given and not mostly_numbers(form)
        if ids.other or plain_text:
            facts.texts.discard(name)
            facts.id_forms |= {name: ids} if roles.of(name) == "id" else {}
            facts.numbers |= {name: form} if plain_text else {}
        else:
            facts.looks[name] = "empty"
    return [roles.id_of(schema.names), *sorted(facts.texts - {roles.id_of(schema.names)})]


def _ids(name: str, values: pa.Array) -> pa.Array:
    """Give ids as text."""
    if is_text(plain_type(values.type)):
        return to_text(name, values).values
    return to_id(name, values).values


def _note_gaps(table: pa.Table, facts: _FileFacts) -> None:
    """Note which columns lack a value somewhere."""
    if table.num_rows:
        facts.gaps |= facts.looks.keys() - set(table.column_names)
    for name in table.column_names:
        if table[name].null_count or (name not in facts.looks and facts.n_rows):
            facts.gaps.add(name)


def _look_at(name: str, values: pa.Array, roles: _Roles, facts: _FileFacts, *, typed: bool) -> None:
    """Take a column of a batch into the facts."""
    look, role = look_of_type(values.type), roles.of(name)
    if values.null_count == len(values):
        look = "empty"
    elif look == "text" and role == "id":
        form = facts.id_forms.get(name, IdForm())
        if not form.other:
            found = form_of_ids(to_text(name, values).values)
            facts.id_forms[name] = merged_forms(form, found)
    elif look == "text" and role != "word" and is_text(plain_type(values.type)):
        known = facts.numbers.get(name, NumberForm())
        seen, form_seen = look_and_form(_decoded(values), known)
        facts.numbers[name] = known + form_seen
        facts.texts |= {name} if typed else set()
        look = seen if not typed or seen == "number" else "text"
    facts.looks[name] = merged(facts.looks.get(name, "empty"), look)


def _decoded(values: pa.Array) -> pa.Array:
    return values.cast(pa.large_string())


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
                got = f"a column {ours!r} of its own in {file.shown}"
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
                f"{file.shown} must have the columns {', '.join(missing)}, got "
                f"{', '.join(sorted(one.looks)) or 'none'}.{hints} "
                "Rename them, or map them under `data.columns`."
            )


def _file_notes(
    files: Sequence[SourceFile], facts: Sequence[_FileFacts], schema: Sequence[Column]
) -> list[str]:
    """Tell of empty files, and of columns that only some files have."""
    told = [
        f"{file.shown} holds no row"
        for file, one in zip(files, facts, strict=True)
        if not one.n_rows + one.broken
    ]
    full = [(file, one) for file, one in zip(files, facts, strict=True) if one.n_rows]
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
    """Tell of mappings and drops that met no column, and of what was dropped unasked."""
    told = [
        f"columns: there is no {user!r}; {ours} is there under its own name"
        for user, ours in columns.items()
        if user not in found and ours in found
    ]
    told += [f"drop: there is no column {name!r}" for name in sorted(set(drop) - set(found))]
    return told + [f"{name!r}: a saved row index, left out" for name in found if _is_index(name)]


def _number_forms(facts: Sequence[_FileFacts]) -> dict[str, NumberForm]:
    """Put together how each column writes numbers.

    Where another column has decimal commas, 1.234 is certain only if its own column settles it.
    """
    forms: dict[str, NumberForm] = {}
    for one in facts:
        for name, form in one.numbers.items():
            forms[name] = forms.get(name, NumberForm()) + form
    if any(form.decimal == "comma" for form in forms.values()):
        for name, form in forms.items():
            if form.decimal == "unknown" and form.point_or_group:
                forms[name] = replace(form, comma=True, point=True)
    return forms


def _id_forms(facts: Sequence[_FileFacts]) -> dict[str, IdForm]:
    """Put together how each id column is written."""
    forms: dict[str, IdForm] = {}
    for one in facts:
        for name, form in one.id_forms.items():
            forms[name] = merged_forms(forms.get(name, IdForm()), form)
    return forms


def _feature_kinds(
    facts: Sequence[_FileFacts],
    contract: Collection[str],
    numbers: Mapping[str, NumberForm],
    *,
    keep: bool,
) -> tuple[dict[str, FeatureKind], list[str]]:
    """Settle the kind of every further column, and tell which are left out."""
    full = [one for one in facts if one.n_rows]
    looks: dict[str, list[Look]] = {}
    for one in full:
        for name, look in one.looks.items():
            if name not in contract:
                form = numbers.get(name, NumberForm())
                keeps = name in one.texts and not form.formed
                looks.setdefault(name, []).append("text" if keeps and look == "number" else look)
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
        elif look in ("text", "number") and name in numbers:
            look, more = _as_number_or_text(name, look, numbers[name])
            told += more
        gaps = len(seen) < len(full) or any(name in one.gaps for one in full)
        kinds[name] = kind_of(look, gaps=gaps)
    return kinds, told


def _as_number_or_text(name: str, look: Look, form: NumberForm) -> tuple[Look, list[str]]:
    """Settle a column of texts that are numbers, or most of them, and tell where it is text."""
    if look == "number" and not form.ambiguous:
        return look, []
    if look == "number":
        example = form.examples.get("unclear") or form.examples.get("number", "")
        return "text", [
            f"{name}: read as text: numbers such as {example!r} can be read in two ways, and no other "
            "value settles which (write a decimal point and no thousands separators)"
        ]
    if not mostly_numbers(form):
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
    return look, [f"{name}: read as text: {count}, such as {visible(example)!r}"]


def _near(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, sorted(names), n=1)
    return f"did you mean {near[0]!r}?" if near else ""
