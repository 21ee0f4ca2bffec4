"""Converting a column's values to text, numbers or UTC times, with counts of conversions."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

from errdetect.data.identifiers import (
    DIGITS_LOST,
    IdFormat,
    canonical_ids,
    decode_binary_ids,
    infer_id_format,
    resolve_file_format,
)
from errdetect.data.number_formats import (
    AMBIGUOUS,
    MISSING_WORDS,
    PERCENT,
    NumberFormat,
    infer_number_format,
    parse_formatted_numbers,
)
from errdetect.data.time_formats import ParsedTime, TimeFormatError, parse_time, sentinel_fault
from errdetect.errors import DataError, error_message

__all__ = [
    "MISSING_WORDS",
    "CoercedColumn",
    "dictionary_value_type",
    "is_text_type",
    "to_id",
    "to_number",
    "to_text",
    "to_time",
]

Mask = npt.NDArray[np.bool_]

_TEXT = pa.large_string()
_TIME = pa.timestamp("us", tz="UTC")
_UTC_NAMES = ("UTC", "Etc/UTC", "+00:00", "Z", "GMT")
_DAY = r"^\d{4}[-/]\d{1,2}[-/]\d{1,2}"
_OFFSET = r"\d:?\d{2}(?:[.,]\d+)? ?(?:[Zz]|UTC|[+-]\d{2}(?::?\d{2})?)$"
_ZERO_OFFSET = r"(?:[Zz]|UTC|[+-]00(?::?00)?)$"
_MISSING = pa.array(MISSING_WORDS, pa.large_string())
_DAY_ALONE = r"^\d{4}[-/]\d{1,2}[-/]\d{1,2}$"
_WITH_POINT = "{n} numbers with a decimal point read as text (7.0 as '7')"
_ZERO = sentinel_fault("0, which is 1970-01-01 at midnight,")
_NO_ZONE = "{n} times without a zone taken as UTC"
_WITH_OFFSET = "{n} times with an offset converted to UTC"
_ZONES = {
    "none": _NO_ZONE,
    "offset": _WITH_OFFSET,
    "named": "{n} times with the name of a zone (such as Europe/Berlin) converted to UTC",
}
#: Number of values from which rewriting them as ISO 8601 in bulk pays off.
_MANY = 1000
_CLOCK_TIME = r"\d{2}:\d{2}:\d{2}(?:\.\d+)?"
#: Common forms of other systems -> ISO 8601 with an offset or Z, in this order.
_AS_ISO = (
    (r"^(\d{4})(\d{2})(\d{2})[Tt](\d{2})(\d{2})(\d{2})", r"\1-\2-\3T\4:\5:\6"),
    (r"^(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2}),(\d)", r"\1T\2.\3"),
    (r"^(\d{4}-\d{2}-\d{2})t", r"\1T"),
    (rf"({_CLOCK_TIME})(?:z| \+0000 UTC| UTC|Z\[UTC\])$", r"\1Z"),
    (rf"({_CLOCK_TIME}) ?([+-]\d{{2}}):?(\d{{2}})(?:\[\w+/[\w/+-]+\]| [A-Z]{{3,4}})?$", r"\1\2:\3"),
)
_ISO_WITH_ZONE = (
    r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-](?:0\d|1[0-7]):[0-5]\d)$"
)
_OTHER_FORM = "{n} times in another format than 2026-03-01T10:00:00Z read (as Java, Go, .NET or ISO 8601 write them)"
_LOST = (
    "have all of its digits, but a float has lost those beyond 2^{power} (export the ids as text)"
)
#: Bits of a float -> below which power of two every whole number is exact (IEEE 754).
_EXACT_POWERS = {16: 11, 32: 24, 64: 53}
_NUMBER = r"^[+-]?\d+(?:\.\d*)?$"

#: 2000-01-01 and 2100-01-01 in epoch seconds: between them a number's unit is unambiguous.
_FIRST_SECOND, _LAST_SECOND = 946_684_800, 4_102_444_800
_EPOCH_UNITS = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}


@dataclass(frozen=True)
class CoercedColumn:
    """A column turned into the type that it must have.

    Parameters
    ----------
    values
        Arrow array; missing and unreadable values are null.
    bad
        Where there was a value that could not be read.
    told
        Conversions made, as phrases with `{n}` for the number of values.
    causes
        What some of the bad values must be, where known -> mask of those values.
    day_only
        Where a time is only a day, set to its beginning.
    """

    values: pa.Array
    bad: Mask
    told: Counter[str] = field(default_factory=Counter)
    causes: Mapping[str, Mask] = field(default_factory=dict)
    day_only: Mask = field(default_factory=lambda: np.zeros(0, dtype=bool))

    def __post_init__(self) -> None:
        if len(self.day_only) != len(self.values):
            object.__setattr__(self, "day_only", np.zeros(len(self.values), dtype=bool))


def dictionary_value_type(kind: pa.DataType) -> pa.DataType:
    """Return the value type of a dictionary-encoded array."""
    return kind.value_type if pat.is_dictionary(kind) else kind


def _decode_dictionary(values: pa.Array) -> pa.Array:
    if pat.is_dictionary(values.type):
        return values.cast(values.type.value_type)
    if isinstance(values.type, pa.UuidType):
        return decode_binary_ids("", values.storage)[0]
    if isinstance(values.type, pa.BaseExtensionType):
        return pa.array([None if v is None else str(v) for v in values.to_pylist()], _TEXT)
    return values


def is_text_type(kind: pa.DataType) -> bool:
    """Return whether this is one of Arrow's text types."""
    return bool(pat.is_string(kind) or pat.is_large_string(kind) or pat.is_string_view(kind))


def _is_numeric_type(kind: pa.DataType) -> bool:
    return bool(pat.is_integer(kind) or pat.is_floating(kind) or pat.is_decimal(kind))


def _false_mask(values: pa.Array) -> Mask:
    return np.zeros(len(values), dtype=bool)


def _to_mask(values: pa.Array) -> Mask:
    """Convert a bool array to numpy, null as False."""
    return np.asarray(pc.fill_null(values, False).to_numpy(zero_copy_only=False), dtype=bool)


def _wrong_type_error(name: str, must: str, values: pa.Array) -> DataError:
    do = "Convert the column, or leave it out."
    return DataError(error_message(f"Column {name}", must, f"the type {values.type}", do))


def to_text(name: str, values: pa.Array) -> CoercedColumn:
    """Read text exactly as it is; empty text is missing.

    Whole numbers become their digits, also where they arrive as 7.0 (counted, for ids that pandas or a
    database turned into floats or decimals); other numbers their shortest form.

    Raises
    ------
    DataError
        If the column is nested or binary.

    Examples
    --------
    >>> to_text("decision_id", pa.array([7.0, None])).values.to_pylist()
    ['7', None]
    """
    values = _decode_dictionary(values)
    kind, told = values.type, Counter[str]()
    if pat.is_nested(kind):
        raise _wrong_type_error(name, "hold text", values)
    if pat.is_floating(kind):
        values, told = _format_floats(values)
    elif pat.is_decimal(kind):
        values, told = _format_decimals(values)
    elif not is_text_type(kind):
        try:
            values = values.cast(_TEXT)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise _wrong_type_error(name, "hold text", values) from error
        if values.null_count < len(values):
            what = "whole numbers" if pat.is_integer(kind) else f"values of type {kind}"
            told[f"{{n}} {what} read as text"] = len(values) - values.null_count
    values = values.cast(_TEXT)
    empty = pc.or_(pc.equal(pc.binary_length(values), 0), pc.utf8_is_space(values))
    if pc.any(empty).as_py():
        values = pc.if_else(empty, pa.scalar(None, _TEXT), values)
    return CoercedColumn(values, _false_mask(values), told)


def _format_floats(values: pa.Array) -> tuple[pa.Array, Counter[str]]:
    """Write floats as text: 7.0 as 7, 7.5 as 7.5."""
    numbers = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    known = ~np.isnan(numbers)
    whole = known & (np.abs(numbers) < 2**53) & (numbers == np.trunc(numbers))
    texts = np.full(len(numbers), None, dtype=object)
    texts[whole] = numbers[whole].astype(np.int64).astype(str)
    texts[known & ~whole] = [repr(float(number)) for number in numbers[known & ~whole]]
    told = Counter[str]()
    if known.any():
        told[_WITH_POINT] = int(known.sum())
    return pa.array(texts, _TEXT), told


def _format_decimals(values: pa.Array) -> tuple[pa.Array, Counter[str]]:
    """Write decimals as text: 7.0000000000 as 7, 7.5000000000 as 7.5, exactly."""
    scale = values.type.scale
    digits = pc.floor(values.cast(pa.decimal256(76, max(scale, 0)))).cast(pa.decimal256(76, 0))
    texts = digits.cast(_TEXT)
    told, count = Counter[str](), len(values) - values.null_count
    if scale > 0:
        whole = pc.equal(digits.cast(pa.decimal256(76, scale), safe=False), values)
        if not pc.all(whole).as_py():
            exact = [None if v is None else f"{v.normalize():f}" for v in values.to_pylist()]
            texts = pc.if_else(whole, texts, pa.array(exact, _TEXT))
    if count:
        told[_WITH_POINT if scale > 0 else "{n} whole numbers read as text"] = count
    return texts, told


def to_id(name: str, values: pa.Array, form: IdFormat | None = None) -> CoercedColumn:
    """Read ids in one form, so that the same id is the same text whatever system wrote it.

    UUIDs (text with or without braces, `urn:uuid:`, 16 bytes) are written in lower case with
    hyphens; numbers by their digits. Where a float or scientific notation has lost digits, the id
    is unreadable. Text such as 007 or 1.10 stays as it is.

    Parameters
    ----------
    name
        The column, for messages.
    values
        Text, numbers, UUIDs or bytes.
    form
        How the whole column's texts are written; default: as these values are.

    Raises
    ------
    DataError
        If the column is nested, or binary and neither text nor UUIDs.

    Examples
    --------
    >>> read = to_id("decision_id", pa.array([7.0, 2.0**60]))
    >>> read.values.to_pylist(), list(read.causes)
    (['7', None], ['have all of its digits, but a float has lost those beyond 2^53 (export the ids as text)'])
    """
    values = _decode_dictionary(values)
    kind = values.type
    if _is_binary_type(kind):
        texts, count = decode_binary_ids(name, values)
        told = Counter({"{n} binary UUIDs (16 bytes) read as text": count} if count else {})
        values = texts
    else:
        told = Counter[str]()
    read = to_text(name, values)
    told += read.told
    if pat.is_floating(kind):
        return _find_inexact_ids(read, values)
    if not is_text_type(kind) and not _is_binary_type(kind):
        return read
    settled = form if form is not None else resolve_file_format(infer_id_format(read.values))
    ids, lost, more = canonical_ids(read.values, settled)
    return CoercedColumn(ids, lost, told + more, {DIGITS_LOST: lost} if lost.any() else {})


def _is_binary_type(kind: pa.DataType) -> bool:
    binary = pat.is_binary(kind) or pat.is_large_binary(kind) or pat.is_binary_view(kind)
    return bool(binary or pat.is_fixed_size_binary(kind))


def _find_inexact_ids(read: CoercedColumn, floats: pa.Array) -> CoercedColumn:
    """Find ids that a float cannot hold exactly: several such ids become one."""
    power = _EXACT_POWERS[floats.type.bit_width]
    numbers = floats.cast(pa.float64()).to_numpy(zero_copy_only=False)
    with np.errstate(invalid="ignore"):
        lost = np.asarray(np.abs(numbers) >= 2.0**power, dtype=bool)
    if not lost.any():
        return read
    values = pc.if_else(pa.array(lost), pa.scalar(None, _TEXT), read.values)
    told = read.told - Counter({_WITH_POINT: int(lost.sum())})
    return CoercedColumn(values, lost, told, {_LOST.format(power=power): lost})


def to_number(
    name: str,
    values: pa.Array,
    *,
    typed: bool = True,
    form: NumberFormat | None = None,
    percent: bool = True,
) -> CoercedColumn:
    """Read float64 numbers, also with decimal commas, percent signs and grouped digits.

    Parameters
    ----------
    name
        The column, for messages.
    values
        Numbers, or text of numbers; words such as NA are missing.
    typed
        Whether the file has types: numbers written as text are then counted.
    form
        How the whole column writes numbers; default: as these values do. It decides how 1,234 is read.
    percent
        Whether a percent sign may stand there: 93% is 0.93.

    Raises
    ------
    DataError
        If the column is neither text nor numbers.

    Examples
    --------
    >>> read = to_number("score", pa.array(["0.5", "high", "NA"]))
    >>> read.values.to_pylist(), read.bad.tolist()
    ([0.5, None, None], [False, True, False])
    """
    values = _decode_dictionary(values)
    kind = values.type
    if is_text_type(kind):
        return _parse_numbers(values, form, typed=typed, percent=percent)
    told = Counter[str]()
    if pat.is_boolean(kind):
        values = values.cast(pa.int8())
        told["{n} true/false values read as 1/0"] = len(values) - values.null_count
    elif not (_is_numeric_type(kind) or pat.is_null(kind)):
        raise _wrong_type_error(name, "hold numbers", values)
    values = values.cast(pa.float64(), safe=False)
    nan = pc.is_nan(values)
    if pc.any(nan).as_py():
        values = pc.if_else(nan, pa.scalar(None, pa.float64()), values)
    return CoercedColumn(values, _false_mask(values), told)


def _parse_numbers(
    values: pa.Array, form: NumberFormat | None, *, typed: bool, percent: bool
) -> CoercedColumn:
    """Parse text at once if all of it is plain numbers, else format by format."""
    trimmed = pc.utf8_trim_whitespace(values.cast(_TEXT))
    told, bad, causes = Counter[str](), _false_mask(values), dict[str, Mask]()
    plain = form is None or form.decimal_sign in ("point", "unknown")
    numbers = _cast_numbers(trimmed) if plain else None
    if numbers is None:
        lower = pc.utf8_lower(trimmed)
        missing = pc.or_(pc.equal(lower, ""), pc.is_in(lower, value_set=_MISSING))
        words = _to_mask(missing) & _to_mask(pc.not_equal(lower, ""))
        if words.any():
            told["{n} words such as NA or null read as missing"] = int(words.sum())
        texts = pc.if_else(missing, pa.scalar(None, _TEXT), trimmed)
        numbers = _cast_numbers(texts) if plain else None
        if numbers is None:
            numbers, causes, more = _parse_by_format(
                texts, form or infer_number_format(texts), percent
            )
            told += more
        bad = _to_mask(numbers.is_null()) & _to_mask(texts.is_valid())
    read = len(numbers) - numbers.null_count
    if typed and read:
        told["{n} text values read as numbers"] = read
    return CoercedColumn(numbers, bad, told, causes)


def _cast_numbers(texts: pa.Array) -> pa.Array | None:
    """Cast text to numbers, NaN to missing; None if some of it is not a plain number."""
    try:
        numbers = texts.cast(pa.float64())
    except pa.ArrowInvalid:
        return None
    return pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)


def _parse_by_format(
    texts: pa.Array, form: NumberFormat, percent: bool
) -> tuple[pa.Array, dict[str, Mask], Counter[str]]:
    """Read plain numbers with pandas, the others by the column's format."""
    parsed = pd.to_numeric(texts.to_pandas(), errors="coerce").to_numpy(np.float64, copy=True)
    plain = ~np.isnan(parsed)
    if form.decimal_sign in ("comma", "both"):
        plain &= ~_to_mask(pc.match_substring(texts, "."))
    rest = np.flatnonzero(~plain & _to_mask(texts.is_valid()))
    read = parse_formatted_numbers(texts.take(pa.array(rest)), form, percent=percent)
    parsed[rest] = read.values.to_numpy(zero_copy_only=False)
    causes = {}
    for must, found in ((AMBIGUOUS, read.ambiguous), (PERCENT, read.percent)):
        if found.any():
            causes[must] = np.isin(np.arange(len(texts)), rest[found])
    return pa.array(parsed, from_pandas=True), causes, read.told


def to_time(name: str, values: pa.Array) -> CoercedColumn:
    """Read UTC times.

    Times with a zone or offset are converted; those without are taken as UTC; days are their
    midnight. Numbers (and text of digits) are epoch seconds, milli-, micro- or nanoseconds if
    that puts them between 2000 and 2100, where the unit is unambiguous; others are unreadable, as
    is text that does not begin with the year: 03/04/2026 can be two days.

    Raises
    ------
    DataError
        If the column is neither times, text nor numbers.

    Examples
    --------
    >>> read = to_time("decided_at", pa.array(["2026-03-01T12:00+02:00"]))
    >>> read.values[0].as_py().isoformat(), list(read.told)
    ('2026-03-01T10:00:00+00:00', ['{n} times with an offset converted to UTC'])
    """
    values = _decode_dictionary(values)
    kind = values.type
    if pat.is_null(kind):
        return CoercedColumn(values.cast(_TIME), _false_mask(values))
    if is_text_type(kind):
        return _parse_times(values.cast(_TEXT))
    if _is_numeric_type(kind):
        if pat.is_float16(kind):  # Arrow compares none of these
            values, kind = values.cast(pa.float32()), pa.float32()
        times, told = _parse_epochs(values)
        bad = _to_mask(_is_present_number(values)) & _to_mask(times.is_null())
        zero = bad & _to_mask(pc.equal(values, pa.scalar(0).cast(kind)))
        return CoercedColumn(times, bad, told, {_ZERO: zero} if zero.any() else {})
    count = len(values) - values.null_count
    if pat.is_date(kind):
        phrase = "{n} days read as midnight UTC"
    elif pat.is_timestamp(kind) and kind.tz is None:
        phrase = "{n} times without a zone taken as UTC"
    elif pat.is_timestamp(kind):
        phrase = "" if kind.tz in _UTC_NAMES else f"{{n}} times in zone {kind.tz} converted to UTC"
    else:
        raise _wrong_type_error(name, "hold times", values)
    told = Counter({phrase: count}) if phrase and count else Counter[str]()
    beyond = _beyond_microseconds(values)
    values = pc.if_else(pa.array(beyond), pa.scalar(None, kind), values)
    if not pat.is_timestamp(kind):
        values = values.cast(pa.timestamp("us"))
    micros = values.cast(pa.timestamp("us", tz=values.type.tz), safe=False)
    days = _to_mask(micros.is_valid()) if pat.is_date(kind) else _false_mask(values)
    return CoercedColumn(micros.cast(_TIME), beyond, told, day_only=days)


def _beyond_microseconds(values: pa.Array) -> Mask:
    """Return which times or days lie beyond what 64 bits of microseconds hold: they would wrap around."""
    kind = values.type
    if pat.is_date32(kind):
        ticks, each = values.cast(pa.int32()).cast(pa.int64()), 86_400 * 10**6
    else:
        unit = "ms" if pat.is_date(kind) else kind.unit
        ticks, each = values.cast(pa.int64()), {"s": 10**6, "ms": 10**3}.get(unit, 1)
    limit = (2**63 - 1) // each
    return _to_mask(pc.or_(pc.greater(ticks, limit), pc.less(ticks, -limit)))


def _is_present_number(values: pa.Array) -> pa.Array:
    return pc.and_(values.is_valid(), pc.invert(pc.is_nan(values.cast(pa.float64(), safe=False))))


def _parse_epochs(values: pa.Array) -> tuple[pa.Array, Counter[str]]:
    """Read numbers as epoch times where the unit is unambiguous."""
    floats = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    exact = floats
    if pat.is_integer(values.type):
        exact = np.asarray(pc.fill_null(values.cast(pa.int64(), safe=False), 0))
    micros = np.zeros(len(values), dtype=np.int64)
    known = np.zeros(len(values), dtype=bool)
    told = Counter[str]()
    for unit, scale in _EPOCH_UNITS.items():
        fits = (floats >= _FIRST_SECOND * scale) & (floats < _LAST_SECOND * scale)
        if fits.any():
            told[f"{{n}} numbers read as epoch {unit}"] = int(fits.sum())
            part = exact[fits]
            micros[fits] = np.rint(part * (10**6 // scale)) if scale <= 10**6 else part // 1000
            known |= fits
    times = pa.array(micros, mask=~known).cast(pa.timestamp("us")).cast(_TIME)
    return times, told


def _parse_times(texts: pa.Array) -> CoercedColumn:
    """Parse ISO 8601 text; digits alone are epoch numbers; the rest is read format by format."""
    trimmed = pc.utf8_trim_whitespace(texts)
    given = _to_mask(pc.not_equal(trimmed, ""))
    days = _to_mask(pc.match_substring_regex(trimmed, _DAY))
    parsed = _parse_iso_times(pc.if_else(pa.array(days), trimmed, pa.scalar(None, _TEXT)))
    offset = days & _to_mask(pc.match_substring_regex(trimmed, _OFFSET))
    zero = offset & _to_mask(pc.match_substring_regex(trimmed, _ZERO_OFFSET))
    read = parsed.notna()
    counts = Counter({_NO_ZONE: int((read & ~offset).sum())})
    counts[_WITH_OFFSET] = int((read & offset & ~zero).sum())
    times = pa.array(parsed.tz_localize(None), pa.timestamp("us")).cast(_TIME)
    day_only = read & _to_mask(pc.less_equal(pc.binary_length(trimmed), 10))
    if day_only.any():
        day_only &= _to_mask(pc.match_substring_regex(trimmed, _DAY_ALONE))
    told = Counter[str]()
    digits = given & ~days & _to_mask(pc.match_substring_regex(trimmed, _NUMBER))
    if digits.any():
        numbers = pc.if_else(pa.array(digits), trimmed, pa.scalar(None, _TEXT)).cast(pa.float64())
        epochs, told = _parse_epochs(numbers)
        times = pc.coalesce(times, epochs)
    left = np.flatnonzero(given & _to_mask(times.is_null()))
    causes: dict[str, Mask] = {}
    if len(left):
        rest = _parse_formatted_times(trimmed.take(pa.array(left)))
        times = pc.replace_with_mask(times, pa.array(_rows_to_mask(left, len(times))), rest.values)
        day_only[left] = rest.day_only
        counts += rest.told
        causes = {must: _rows_to_mask(left[mask], len(times)) for must, mask in rest.causes.items()}
    told.update({phrase: n for phrase, n in counts.items() if n})
    return CoercedColumn(times, given & _to_mask(times.is_null()), told, causes, day_only)


def _rows_to_mask(rows: npt.NDArray[np.int64], n: int) -> Mask:
    mask = np.zeros(n, dtype=bool)
    mask[rows] = True
    return mask


def _parse_formatted_times(texts: pa.Array) -> CoercedColumn:
    """Read the times of other systems: common formats at once, then each distinct value."""
    if len(texts) < _MANY:
        return _parse_distinct_times(texts)
    plain = texts
    for pattern, put in _AS_ISO:
        plain = pc.replace_substring_regex(plain, pattern, put)
    strict = _to_mask(pc.match_substring_regex(plain, _ISO_WITH_ZONE))
    parsed = _parse_iso_times(pc.if_else(pa.array(strict), plain, pa.scalar(None, _TEXT)))
    strict &= parsed.notna()
    times = pa.array(parsed.tz_localize(None), pa.timestamp("us")).cast(_TIME)
    ahead = strict & ~_to_mask(pc.match_substring_regex(plain, _ZERO_OFFSET))
    told = Counter({_OTHER_FORM: int(strict.sum()), _WITH_OFFSET: int(ahead.sum())})
    left = np.flatnonzero(~strict)
    rest = _parse_distinct_times(texts.take(pa.array(left)))
    day_only = _false_mask(texts)
    day_only[left] = rest.day_only
    return CoercedColumn(
        pc.replace_with_mask(times, pa.array(~strict), rest.values),
        _rows_to_mask(left[rest.bad], len(texts)),
        +(told + rest.told),
        {must: _rows_to_mask(left[mask], len(texts)) for must, mask in rest.causes.items()},
        day_only,
    )


def _parse_distinct_times(texts: pa.Array) -> CoercedColumn:
    """Read times format by format, each distinct value once."""
    codes = texts.dictionary_encode()
    distinct, at = codes.dictionary, codes.indices.to_numpy()
    read = [_parse_or_fault(text) for text in distinct.to_pylist()]
    good = [one if isinstance(one, ParsedTime) else None for one in read]
    micros = pa.array([None if one is None else one.micros for one in good], pa.int64())
    zones = np.array(["" if one is None else one.zone for one in good], dtype=object)[at]
    faults = np.array([one if isinstance(one, str) else "" for one in read], dtype=object)[at]
    told = Counter({p: int((zones == zone).sum()) for zone, p in _ZONES.items()})
    told[_OTHER_FORM] = int((zones != "").sum())
    return CoercedColumn(
        micros.take(pa.array(at)).cast(pa.timestamp("us")).cast(_TIME),
        faults != "",
        +told,
        {must: faults == must for must in dict.fromkeys(faults[faults != ""])},
        np.array([one is not None and one.day_only for one in good], dtype=bool)[at],
    )


def _parse_or_fault(text: str) -> ParsedTime | str:
    try:
        return parse_time(text)
    except TimeFormatError as fault:
        return _ZERO if text in ("0", "0.0") else fault.must


def _parse_iso_times(texts: pa.Array) -> pd.DatetimeIndex:
    """Parse with pandas, digits beyond microseconds cut, ` UTC` written as Z."""
    texts = pc.replace_substring_regex(texts, r"([.,]\d{6})\d+", r"\1")
    texts = pc.replace_substring_regex(texts, r" ?UTC$", "Z")
    parsed = pd.to_datetime(texts.to_pandas(), format="ISO8601", utc=True, errors="coerce")
    return pd.DatetimeIndex(parsed)
