"""Cleaning one batch: types, ranges, days without a time of day; other rows get a reason."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from errdetect.data.action_meanings import canonical_action_column
from errdetect.data.file_readers import RawBatch, read_batches
from errdetect.data.identifiers import ID_COLUMNS
from errdetect.data.number_formats import NumberFormat
from errdetect.data.review_versions import ANSWER, known_at
from errdetect.data.schema_scan import SchemaScan, hash_ids, rename_columns
from errdetect.data.time_formats import find_sentinels
from errdetect.data.type_coercion import (
    CoercedColumn,
    is_text_type,
    to_id,
    to_number,
    to_text,
    to_time,
)
from errdetect.data.type_inference import FeatureKind
from errdetect.schemas import DRAWS, REJECTS, REVIEWS, ColumnSpec

__all__ = [
    "DAY_ONLY",
    "CleanBatch",
    "clean_batches",
    "clean_raw_batch",
    "columns_to_read",
    "count_reasons",
    "settle_repeated_ids",
]

Mask = npt.NDArray[np.bool_]
_SHOWN = 40
#: Columns with the time at which something became known.
_KNOWN_AT = ("reviewed_at", "updated_at")
#: Columns of the draws that hold a day's end where only a day is given.
_DAY_ENDS = ("drawn_at", "due_at")
_LAST_MICRO = 86_400 * 10**6 - 1
DAY_ONLY = "{n} review times are only a day: each is taken as known at that day's end (UTC)"
_DAY_END = "{n} times are only a day: each is taken as that day's end (UTC)"
_DAY_PHRASES = ("{n} days read as midnight UTC", "{n} times without a zone taken as UTC")
_SENTINELS_MISSING = "{n} sentinel times (such as year 1 or 9999) read as missing"
_ROUNDING = 1e-6
_PER_CENT = 100.0
_ONE_ROW = "be unique, and the first row of an id is kept"
_ONE_DRAW = "be drawn once in a draw, and the first row is kept"
_ONE_VERSION = (
    "have one answer at one moment, and the first row read is kept (a correction needs a later "
    "updated_at or reviewed_at)"
)

#: Id -> what tells its rows apart (a review's moment, a drawn decision's draw_id, else 0) -> hash
#: of the values kept.
_Seen = dict[str, dict[int | str | None, int]]


@dataclass(frozen=True)
class CleanBatch:
    """The rows of one batch that can be used, and those that cannot.

    Parameters
    ----------
    table
        Clean rows.
    rejects
        One row for each unusable one, with the columns of `schemas.REJECTS`.
    told
        (column, phrase) -> number of values that were converted or repaired.
    n_rows
        Rows seen.
    n_duplicates
        Rows left out because an earlier one is equal in every value.
    rejected
        What could be read of the rejected rows, one row for each of `rejects`: the contract's
        columns, missing where unreadable.
    copies
        The rows left out as copies.
    unknown_actions
        Action that is neither known nor mapped -> number of rows.
    """

    table: pa.Table
    rejects: pa.Table
    told: Counter[tuple[str, str]]
    n_rows: int
    n_duplicates: int
    rejected: pa.Table
    copies: pa.Table
    unknown_actions: Counter[str] = field(default_factory=Counter)


@dataclass
class _RowFaults:
    """Why rows cannot be used: row of the batch -> reasons."""

    reasons: dict[int, list[str]] = field(default_factory=dict)

    def add(self, mask: Mask, column: str, must: str, values: pa.Array | pa.ChunkedArray) -> None:
        for row in np.flatnonzero(mask).tolist():
            reason = f"{column} must {must}, got {_shorten_value(_python_value(values[row]))}"
            self.reasons.setdefault(row, []).append(reason)


def _python_value(value: pa.Scalar) -> object:
    try:
        return value.as_py()
    except (OverflowError, ValueError):  # a time beyond the year 9999, or text that is no UTF-8
        return f"a {value.type} that cannot be shown"


def clean_batches(
    survey: SchemaScan, *, batch_rows: int, meanings: Mapping[str, str] | None = None
) -> Iterator[CleanBatch]:
    """Read the scanned files batch by batch, and clean each batch.

    Parameters
    ----------
    survey
        What the first pass found.
    batch_rows
        Most rows of a batch.
    meanings
        From `action_meanings`, for decisions: adds the bool column `enforced`, and rejects rows
        whose action has no meaning.
    """
    seen: _Seen = {}
    for file in survey.files:
        typed = file.format in ("parquet", "jsonl", "database")
        for raw in read_batches(file, batch_rows=batch_rows, columns=columns_to_read(survey)):
            yield _clean_batch(raw, survey, seen, meanings, typed=typed)


def count_reasons(rejects: pd.DataFrame) -> Counter[str]:
    """Count rejected rows by reason, without the single values.

    Examples
    --------
    >>> rejects = pd.DataFrame({"reason": ["score must lie in [0, 1], got 2", "a must b, got c"]})
    >>> count_reasons(rejects).most_common(1)
    [('score must lie in [0, 1]', 1)]
    """
    reasons = (part for reason in rejects["reason"] for part in reason.split("; "))
    return Counter(reason.split(", got ")[0] for reason in reasons)


def clean_raw_batch(
    raw: RawBatch, survey: SchemaScan, meanings: Mapping[str, str], *, typed: bool
) -> CleanBatch:
    """Clean one batch of decisions by itself; repeated ids stay in, for `settle_repeated_ids`.

    Parameters
    ----------
    raw
        From `read_batches`.
    survey, meanings
        As for `clean_batches`.
    typed
        Whether the format has types.
    """
    nothing = replace(survey, repeated=survey.repeated[:0])
    return _clean_batch(raw, nothing, {}, meanings, typed=typed)


def settle_repeated_ids(
    decisions: pa.Table, survey: SchemaScan
) -> tuple[Mask, list[int], dict[int, str]]:
    """Decide which rows of repeated ids count, as reading in one go does.

    Parameters
    ----------
    decisions
        Shape (n, any), clean decisions in the source's order: all whose id occurs more than once.
    survey
        What the first pass found.

    Returns
    -------
    kept, copies, reasons
        Which rows count, shape (n,); the rows equal to an earlier one; why others are rejected, by row.
    """
    ids = decisions[survey.columns[0].name].combine_chunks()
    every = replace(survey, repeated=np.unique(hash_ids(ids)))
    faults, kept = _RowFaults(), np.ones(len(decisions), dtype=bool)
    copies = _drop_repeated_ids(decisions, kept, every, {}, faults)
    return kept, copies, {row: "; ".join(why) for row, why in faults.reasons.items()}


def columns_to_read(survey: SchemaScan) -> list[str]:
    """Return the user's names of the columns to read."""
    user = {ours: theirs for theirs, ours in survey.names.items()}
    ours = [*(column.name for column in survey.columns), *survey.features]
    return [user.get(name, name) for name in ours] + [name for name in ours if name in user]


def _clean_batch(
    raw: RawBatch,
    survey: SchemaScan,
    seen: _Seen,
    meanings: Mapping[str, str] | None,
    *,
    typed: bool,
) -> CleanBatch:
    table = rename_columns(raw.table, survey.names, survey.drop)
    told: Counter[tuple[str, str]] = Counter()
    faults = _RowFaults()
    arrays: dict[str, pa.Array] = {}
    for column in survey.columns:
        own = column.name != "item_id" or "item_id" in table.column_names
        values = _column_values(table, column.name if own else "decision_id", len(raw.rows))
        read = _coerce_column(column, values, survey, typed=typed)
        arrays[column.name] = _check_column(column, read, values, faults, told)
        told.update({(column.name, phrase): n for phrase, n in read.told.items()})
    for name, kind in survey.features.items():
        read = _coerce_feature(
            name, _column_values(table, name, len(raw.rows)), kind, survey.numbers.get(name)
        )
        arrays[name] = read.values
        told.update({(name, phrase): n for phrase, n in read.told.items()})
    unknown: Counter[str] = Counter()
    if meanings is not None:
        arrays["enforced"], unknown = _resolve_enforced(arrays["action"], meanings, faults)
    clean = pa.table(arrays)
    usable = np.ones(len(raw.rows), dtype=bool)
    usable[list(faults.reasons)] = False
    copies = _drop_repeated_ids(clean, usable, survey, seen, faults)
    return CleanBatch(
        table=clean if usable.all() else clean.filter(pa.array(usable)),
        rejects=_build_rejects(raw, clean, survey.columns[0].name, faults),
        told=told,
        n_rows=len(raw.rows) + len(raw.broken),
        n_duplicates=len(copies),
        rejected=_pad_broken_rows(clean, survey.columns, sorted(faults.reasons), len(raw.broken)),
        copies=_pad_broken_rows(clean, survey.columns, copies, 0),
        unknown_actions=unknown,
    )


def _resolve_enforced(
    actions: pa.Array, meanings: Mapping[str, str], faults: _RowFaults
) -> tuple[pa.Array, Counter[str]]:
    """Return which actions enforce; record rows whose action has no meaning, and the actions."""
    words = canonical_action_column(actions)
    enforce = [word for word, meaning in meanings.items() if meaning == "enforce"]
    known = pc.is_in(words, value_set=pa.array(list(meanings), pa.large_string()))
    strange = _to_mask(pc.and_(pc.invert(known), words.is_valid()))
    must = "be a known action word, or be mapped under data.actions"
    faults.add(strange, "action", must, actions)
    unknown = Counter(actions.filter(pa.array(strange)).to_pylist())
    return pc.is_in(words, value_set=pa.array(enforce, pa.large_string())), unknown


def _pad_broken_rows(
    clean: pa.Table, columns: Sequence[ColumnSpec], rows: Sequence[int], broken: int
) -> pa.Table:
    """Return what could be read of some rows, and an empty row for each that could not be split."""
    part = clean.select([column.name for column in columns]).take(pa.array(rows, pa.int64()))
    nothing = pa.table({name: pa.nulls(broken, part[name].type) for name in part.column_names})
    return pa.concat_tables([part, nothing])


def _column_values(table: pa.Table, name: str, n_rows: int) -> pa.Array:
    """Return a column as one array; all missing if this file lacks it."""
    place = table.schema.get_field_index(name)  # unlike a list of names, at once in a wide table
    return pa.nulls(n_rows) if place < 0 else table.column(place).combine_chunks()


def _coerce_column(
    column: ColumnSpec, values: pa.Array, survey: SchemaScan, *, typed: bool
) -> CoercedColumn:
    name = column.name
    if column.kind == "timestamp":
        read = _reject_sentinels(column, to_time(name, values))
        if name in _KNOWN_AT + _DAY_ENDS:
            return _shift_to_day_end(read, DAY_ONLY if name in _KNOWN_AT else _DAY_END)
        return read
    if column.kind == "number":
        form, scale = survey.numbers.get(name), survey.scales.get(name, 1.0)
        if scale == 1:
            return to_number(name, values, typed=typed, form=form, percent=column.high == 1)
        if scale == _PER_CENT and is_text_type(values.type):
            values = pc.replace_substring_regex(values, r"\s*%\s*$", "")
        read = to_number(name, values, typed=typed, form=form, percent=False)
        return replace(read, values=pc.divide(read.values, scale))
    if name in ID_COLUMNS:
        return to_id(name, values, survey.ids.get(name))
    read = to_text(name, values)
    return _match_choices(read, column.choices) if column.choices else read


def _reject_sentinels(column: ColumnSpec, read: CoercedColumn) -> CoercedColumn:
    """Reject sentinel times; in an optional column they become missing."""
    known = read.values.is_valid()
    micros = np.asarray(pc.fill_null(read.values.cast(pa.int64()), 1).to_numpy())
    found = {must: mask & _to_mask(known) for must, mask in find_sentinels(micros).items()}
    found = {must: mask for must, mask in found.items() if mask.any()}
    if not found:
        return read
    every = np.logical_or.reduce(list(found.values()))
    values = pc.if_else(pa.array(every), pa.scalar(None, read.values.type), read.values)
    if not column.required:
        told = read.told + Counter({_SENTINELS_MISSING: int(every.sum())})
        return replace(read, values=values, told=told, day_only=read.day_only & ~every)
    causes = {**read.causes, **found}
    return replace(
        read, values=values, bad=read.bad | every, causes=causes, day_only=read.day_only & ~every
    )


def _shift_to_day_end(read: CoercedColumn, phrase: str) -> CoercedColumn:
    """Treat what became known on a day as known at its last microsecond, never earlier."""
    count = int(read.day_only.sum())
    if not count:
        return read
    last = pc.add(read.values, pa.scalar(_LAST_MICRO, pa.duration("us")))
    told = read.told.copy()
    for other in _DAY_PHRASES:
        told[other] -= count if other in told else 0
    told[phrase] = count
    values = pc.if_else(pa.array(read.day_only), last, read.values)
    return replace(read, values=values, told=+told)


def _match_choices(read: CoercedColumn, choices: Sequence[str]) -> CoercedColumn:
    """Match allowed values despite case, spaces or hyphens, and count the matches."""
    words = pc.replace_substring_regex(
        pc.utf8_lower(pc.utf8_trim_whitespace(read.values)), r"[\s-]+", "_"
    )
    known = pc.is_in(words, value_set=pa.array(choices, pa.large_string()))
    differs = pc.and_(known, pc.not_equal(words, read.values))
    count = int(pc.sum(pc.cast(pc.fill_null(differs, False), pa.int64())).as_py() or 0)
    told = read.told.copy()
    if count:
        told["{n} values matched despite different case, spaces or hyphens"] = count
    return CoercedColumn(pc.if_else(pc.fill_null(known, False), words, read.values), read.bad, told)


def _check_column(
    column: ColumnSpec,
    read: CoercedColumn,
    values: pa.Array,
    faults: _RowFaults,
    told: Counter[tuple[str, str]],
) -> pa.Array:
    """Record rows whose value is unreadable, absent or out of range."""
    name = column.name
    if column.required:
        missing = _to_mask(read.values.is_null()) & ~read.bad
        faults.add(missing, name, "have a value", pa.nulls(len(values)))
    if read.bad.any():
        kinds = {"timestamp": "be an ISO 8601 time or an unambiguous epoch number"}
        unnamed = read.bad.copy()
        for must, mask in read.causes.items():
            faults.add(mask, name, must, values)
            unnamed &= ~mask
        faults.add(unnamed, name, kinds.get(column.kind, "be a number"), values)
    if column.choices:
        known = pc.is_in(read.values, value_set=pa.array(column.choices, pa.large_string()))
        unknown = _to_mask(pc.and_(pc.invert(known), read.values.is_valid()))
        faults.add(unknown, name, f"be one of {', '.join(column.choices)}", values)
    if column.kind != "number":
        return read.values
    numbers = read.values.to_numpy(zero_copy_only=False)
    rounded = _clip_rounding_error(column, numbers)
    faults.add(_out_of_range(column, rounded), name, _format_range(column), values)
    count = int(np.sum((rounded != numbers) & ~np.isnan(numbers)))
    if not count:
        return read.values
    told[name, "{n} values beyond the limit by rounding only, set to the limit"] = count
    return pa.array(rounded, from_pandas=True)


def _clip_rounding_error(
    column: ColumnSpec, numbers: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Clip values that exceed a limit by no more than a float32's rounding."""
    rounded = numbers
    for limit, beyond in ((column.low, -_ROUNDING), (column.high, _ROUNDING)):
        if limit is not None and not (beyond < 0 and column.low_open):
            off = (rounded - limit) * np.sign(beyond)
            rounded = np.where((off > 0) & (off <= _ROUNDING), limit, rounded)
    return rounded


def _out_of_range(column: ColumnSpec, numbers: npt.NDArray[np.float64]) -> Mask:
    outside = np.isinf(numbers)
    if column.low is not None:
        outside |= (numbers <= column.low) if column.low_open else (numbers < column.low)
    if column.high is not None:
        outside |= numbers > column.high
    return np.asarray(outside, dtype=bool)


def _format_range(column: ColumnSpec) -> str:
    if column.high is None:
        least = f"{'above' if column.low_open else 'at least'} {column.low:g}"
        return f"be finite and {least}"
    return f"lie in {'(' if column.low_open else '['}{column.low:g}, {column.high:g}]"


def _coerce_feature(
    name: str, values: pa.Array, kind: FeatureKind, form: NumberFormat | None
) -> CoercedColumn:
    """Read a further column with the type from the schema scan."""
    if kind == "text":
        return to_text(name, values)
    if kind == "number":
        read = to_number(name, values, typed=False, form=form)
        if read.bad.any():
            unread = Counter(
                {"{n} values that are no unambiguous number read as missing": int(read.bad.sum())}
            )
            read = replace(read, told=read.told + unread)
        infinite = pc.is_inf(read.values)
        count = int(pc.sum(pc.cast(infinite, pa.int64())).as_py() or 0)
        if not count:
            return read
        told = read.told + Counter({"{n} infinite values taken as missing": count})
        finite = pc.if_else(infinite, pa.scalar(None, pa.float64()), read.values)
        return CoercedColumn(finite, read.bad, told)
    if not pa.types.is_boolean(values.type):
        words = pc.utf8_lower(pc.utf8_trim_whitespace(to_text(name, values).values))
        known = pc.is_in(words, value_set=pa.array(["true", "false"], pa.large_string()))
        values = pc.if_else(known, pc.equal(words, "true"), pa.scalar(None, pa.bool_()))
    if kind == "flag":
        values = values.cast(pa.int8()).cast(pa.float64())
    return CoercedColumn(values, np.zeros(len(values), dtype=bool))


def _drop_repeated_ids(
    clean: pa.Table, usable: Mask, survey: SchemaScan, seen: _Seen, faults: _RowFaults
) -> list[int]:
    """Keep the first usable row of an id; list equal copies, reject rows that differ.

    A review may have several rows, known at different moments: each is a version of it. Of one
    moment the first row is kept. A decision may be drawn in several draws, once in each.
    """
    id_name = survey.columns[0].name
    if not len(survey.repeated) or not usable.any():
        return []
    hashes = hash_ids(clean[id_name].combine_chunks())
    places = np.searchsorted(survey.repeated, hashes).clip(max=len(survey.repeated) - 1)
    again = np.flatnonzero(usable & (survey.repeated[places] == hashes))
    if not len(again):
        return []
    rows = clean.take(pa.array(again)).to_pandas()
    moments: Sequence[int | str | None] = [0] * len(rows)
    values, must = rows, _ONE_ROW
    if any(column.name == DRAWS[0].name for column in survey.columns):
        names = rows[DRAWS[0].name]
        moments, must = names.astype(object).where(names.notna(), None).tolist(), _ONE_DRAW
    elif id_name == REVIEWS[0].name:
        moments = known_at(rows).astype("int64").tolist()
        values, must = rows[[name for name in ANSWER if name in rows]], _ONE_VERSION
    prints = pd.util.hash_pandas_object(values, index=False).tolist()
    copies = []
    keys = rows[id_name].tolist()
    for row, key, moment, content in zip(again.tolist(), keys, moments, prints, strict=True):
        versions = seen.setdefault(key, {})
        if moment not in versions:
            versions[moment] = content
            continue
        usable[row] = False
        if versions[moment] == content:
            copies.append(row)
        else:
            faults.reasons[row] = [
                f"{id_name} must {must}, got {_shorten_value(key)} with other values"
            ]
    return copies


def _build_rejects(raw: RawBatch, clean: pa.Table, id_name: str, faults: _RowFaults) -> pa.Table:
    order = sorted(faults.reasons)
    ids = clean[id_name].take(pa.array(order, pa.int64())).to_pylist() if order else []
    rows = [*raw.rows[order].tolist(), *(row for row, _ in raw.broken)]
    reasons = ["; ".join(faults.reasons[row]) for row in order]
    return pa.table(
        {
            "source": [raw.source] * len(rows),
            "row": rows,
            "id": [*ids, *(None for _ in raw.broken)],
            "reason": [*reasons, *(reason for _, reason in raw.broken)],
        },
        schema=REJECTS,
    )


def _shorten_value(value: object) -> str:
    """Format a data value for a reason: short, on one line, without our separator."""
    if value is None:
        return "nothing"
    text = repr(value) if isinstance(value, str) else str(value)
    text = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
    return text.replace("; ", ", ")


def _to_mask(values: pa.Array) -> Mask:
    return np.asarray(pc.fill_null(values, False).to_numpy(zero_copy_only=False), dtype=bool)
