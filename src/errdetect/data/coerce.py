"""Turning a column's values into text, numbers or UTC times, and telling what was turned."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

from errdetect.errors import DataError, sentence

__all__ = ["MISSING_WORDS", "Coerced", "plain_type", "to_number", "to_text", "to_time"]

Mask = npt.NDArray[np.bool_]

#: Words that stand for "no number" in exports; in a text column they are text (NA is Namibia).
MISSING_WORDS = ("na", "n/a", "nan", "null", "none", "-", r"\n", "#n/a")

_TEXT = pa.large_string()
_TIME = pa.timestamp("us", tz="UTC")
_UTC_NAMES = ("UTC", "Etc/UTC", "+00:00", "Z", "GMT")
_DAY = r"^\d{4}[-/]\d{1,2}[-/]\d{1,2}"
_OFFSET = r"\d:?\d{2}(?:[.,]\d+)? ?(?:[Zz]|UTC|[+-]\d{2}(?::?\d{2})?)$"
_ZERO_OFFSET = r"(?:[Zz]|UTC|[+-]00(?::?00)?)$"
_NUMBER = r"^[+-]?\d+(?:\.\d*)?$"

#: 2000-01-01 and 2100-01-01 in epoch seconds: between them the unit of a number is certain.
_FIRST_SECOND, _LAST_SECOND = 946_684_800, 4_102_444_800
_EPOCH_UNITS = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}


@dataclass(frozen=True)
class Coerced:
    """A column turned into the type that it must have.

    Parameters
    ----------
    values
        Arrow array; missing and unreadable values are null.
    bad
        Where there was a value that could not be read.
    told
        What was turned into what, as a phrase with `{n}` for the number of values.
    """

    values: pa.Array
    bad: Mask
    told: Counter[str] = field(default_factory=Counter)


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Look through a dictionary encoding."""
    return kind.value_type if pat.is_dictionary(kind) else kind


def _plain(values: pa.Array) -> pa.Array:
    if pat.is_dictionary(values.type):
        return values.cast(values.type.value_type)
    if isinstance(values.type, pa.BaseExtensionType):
        return pa.array([None if v is None else str(v) for v in values.to_pylist()], _TEXT)
    return values


def _is_text(kind: pa.DataType) -> bool:
    return bool(pat.is_string(kind) or pat.is_large_string(kind) or pat.is_string_view(kind))


def _is_numeric(kind: pa.DataType) -> bool:
    return bool(pat.is_integer(kind) or pat.is_floating(kind) or pat.is_decimal(kind))


def _none(values: pa.Array) -> Mask:
    return np.zeros(len(values), dtype=bool)


def _mask(values: pa.Array) -> Mask:
    """Give a bool array as numpy, null as False."""
    return np.asarray(pc.fill_null(values, False).to_numpy(zero_copy_only=False), dtype=bool)


def _wrong_type(name: str, must: str, values: pa.Array) -> DataError:
    do = "Convert the column, or leave it out."
    return DataError(sentence(f"Column {name}", must, f"the type {values.type}", do))


def to_text(name: str, values: pa.Array) -> Coerced:
    """Read text exactly as it is; empty text is missing.

    Whole numbers become their digits, also where they came as 7.0 (told, for ids that pandas
    turned into floats); other numbers their shortest form.

    Raises
    ------
    DataError
        If the column is nested or binary.

    Examples
    --------
    >>> to_text("decision_id", pa.array([7.0, None])).values.to_pylist()
    ['7', None]
    """
    values = _plain(values)
    kind, told = values.type, Counter[str]()
    if pat.is_nested(kind):
        raise _wrong_type(name, "hold text", values)
    if pat.is_floating(kind):
        values, told = _digits(values)
    elif not _is_text(kind):
        try:
            values = values.cast(_TEXT)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise _wrong_type(name, "hold text", values) from error
        if values.null_count < len(values):
            what = "whole numbers" if pat.is_integer(kind) else f"values of type {kind}"
            told[f"{{n}} {what} read as text"] = len(values) - values.null_count
    values = values.cast(_TEXT)
    empty = pc.equal(pc.utf8_trim_whitespace(values), "")
    if pc.any(empty).as_py():
        values = pc.if_else(empty, pa.scalar(None, _TEXT), values)
    return Coerced(values, _none(values), told)


def _digits(values: pa.Array) -> tuple[pa.Array, Counter[str]]:
    """Write floats as text: 7.0 as 7, 7.5 as 7.5."""
    numbers = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    known = ~np.isnan(numbers)
    whole = known & (np.abs(numbers) < 2**53) & (numbers == np.trunc(numbers))
    texts = np.full(len(numbers), None, dtype=object)
    texts[whole] = numbers[whole].astype(np.int64).astype(str)
    texts[known & ~whole] = [repr(float(number)) for number in numbers[known & ~whole]]
    told = Counter[str]()
    if known.any():
        told["{n} numbers with a decimal point read as text (7.0 as '7')"] = int(known.sum())
    return pa.array(texts, _TEXT), told


def to_number(name: str, values: pa.Array, *, typed: bool = True) -> Coerced:
    """Read float64 numbers.

    Parameters
    ----------
    name
        The column, for messages.
    values
        Numbers, or text of numbers with a decimal point; words such as NA are missing.
    typed
        Whether the file has types: numbers written as text are then told.

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
    values = _plain(values)
    kind = values.type
    if _is_text(kind):
        return _parse_numbers(values, typed=typed)
    told = Counter[str]()
    if pat.is_boolean(kind):
        values = values.cast(pa.int8())
        told["{n} true/false values read as 1/0"] = len(values) - values.null_count
    elif not (_is_numeric(kind) or pat.is_null(kind)):
        raise _wrong_type(name, "hold numbers", values)
    values = values.cast(pa.float64(), safe=False)
    nan = pc.is_nan(values)
    if pc.any(nan).as_py():
        values = pc.if_else(nan, pa.scalar(None, pa.float64()), values)
    return Coerced(values, _none(values), told)


def _parse_numbers(values: pa.Array, *, typed: bool) -> Coerced:
    """Parse text: all at once where all of it is numbers, else value by value."""
    trimmed = pc.utf8_trim_whitespace(values.cast(_TEXT))
    told, bad = Counter[str](), _none(values)
    try:
        numbers = trimmed.cast(pa.float64())
    except pa.ArrowInvalid:
        lower = pc.utf8_lower(trimmed)
        missing = pc.or_(pc.equal(lower, ""), pc.is_in(lower, value_set=pa.array(MISSING_WORDS)))
        words = _mask(missing) & _mask(pc.not_equal(lower, ""))
        if words.any():
            told["{n} words such as NA or null read as missing"] = int(words.sum())
        texts = pc.if_else(missing, pa.scalar(None, _TEXT), trimmed)
        parsed = pd.to_numeric(texts.to_pandas(), errors="coerce").to_numpy(np.float64)
        bad = np.isnan(parsed) & _mask(texts.is_valid())
        numbers = pa.array(parsed, from_pandas=True)
    numbers = pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)
    read = len(numbers) - numbers.null_count
    if typed and read:
        told["{n} text values read as numbers"] = read
    return Coerced(numbers, bad, told)


def to_time(name: str, values: pa.Array) -> Coerced:
    """Read UTC times.

    Times with a zone or offset are converted; those without are taken as UTC; days are their
    midnight. Numbers (and text of digits) are epoch seconds, milli-, micro- or nanoseconds if
    that puts them between 2000 and 2100, where the unit is certain; others are unreadable. So
    is text that is not ISO 8601, year first: 03/04/2026 is two days.

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
    values = _plain(values)
    kind = values.type
    if pat.is_null(kind):
        return Coerced(values.cast(_TIME), _none(values))
    if _is_text(kind):
        return _parse_times(values.cast(_TEXT))
    if _is_numeric(kind):
        times, told = _epochs(values)
        return Coerced(times, _mask(_has_number(values)) & _mask(times.is_null()), told)
    count = len(values) - values.null_count
    if pat.is_date(kind):
        phrase = "{n} days read as midnight UTC"
    elif pat.is_timestamp(kind) and kind.tz is None:
        phrase = "{n} times without a zone taken as UTC"
    elif pat.is_timestamp(kind):
        phrase = "" if kind.tz in _UTC_NAMES else f"{{n}} times in zone {kind.tz} converted to UTC"
    else:
        raise _wrong_type(name, "hold times", values)
    told = Counter({phrase: count}) if phrase and count else Counter[str]()
    if not pat.is_timestamp(kind):
        values = values.cast(pa.timestamp("us"))
    micros = values.cast(pa.timestamp("us", tz=values.type.tz), safe=False)
    return Coerced(micros.cast(_TIME), _none(values), told)


def _has_number(values: pa.Array) -> pa.Array:
    return pc.and_(values.is_valid(), pc.invert(pc.is_nan(values.cast(pa.float64(), safe=False))))


def _epochs(values: pa.Array) -> tuple[pa.Array, Counter[str]]:
    """Read numbers as epoch times where the unit is certain."""
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


def _parse_times(texts: pa.Array) -> Coerced:
    """Parse ISO 8601 text; digits alone are epoch numbers."""
    trimmed = pc.utf8_trim_whitespace(texts)
    given = _mask(pc.not_equal(trimmed, ""))
    told = Counter[str]()
    days = _mask(pc.match_substring_regex(trimmed, _DAY))
    parsed = _iso_times(pc.if_else(pa.array(days), trimmed, pa.scalar(None, _TEXT)))
    offset = days & _mask(pc.match_substring_regex(trimmed, _OFFSET))
    zero = offset & _mask(pc.match_substring_regex(trimmed, _ZERO_OFFSET))
    read = parsed.notna()
    counts = {
        "{n} times without a zone taken as UTC": read & ~offset,
        "{n} times with an offset converted to UTC": read & offset & ~zero,
    }
    times = pa.array(parsed.tz_localize(None), pa.timestamp("us")).cast(_TIME)
    digits = given & ~days & _mask(pc.match_substring_regex(trimmed, _NUMBER))
    if digits.any():
        numbers = pc.if_else(pa.array(digits), trimmed, pa.scalar(None, _TEXT)).cast(pa.float64())
        epochs, told = _epochs(numbers)
        times = pc.coalesce(times, epochs)
    told.update({phrase: int(mask.sum()) for phrase, mask in counts.items() if mask.any()})
    return Coerced(times, given & _mask(times.is_null()), told)


def _iso_times(texts: pa.Array) -> pd.DatetimeIndex:
    """Parse with pandas, digits beyond microseconds cut, ` UTC` written as Z."""
    texts = pc.replace_substring_regex(texts, r"([.,]\d{6})\d+", r"\1")
    texts = pc.replace_substring_regex(texts, r" ?UTC$", "Z")
    parsed = pd.to_datetime(texts.to_pandas(), format="ISO8601", utc=True, errors="coerce")
    return pd.DatetimeIndex(parsed)
