"""Times of a table whose config names its time zone or the order of day and month, written as ISO 8601."""

import datetime as dt
from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

from errdetect.data.time_formats import DAY_NUMBER, TimeFormatError, parse_time
from errdetect.errors import DataError, error_message

__all__ = ["DateForm", "to_iso_times"]

#: How a table writes days: their order with the month, or as spreadsheets count them.
DateForm = Literal["day_first", "month_first", "day_numbers"]

_TEXT = pa.large_string()
_ORDER = {
    "day_first": ((r"^(\d{1,2})[/.-](\d{1,2})[/.-]", r"\2-\1"),),
    "month_first": ((r"^(\d{1,2})[/.-](\d{1,2})[/.-]", r"\1-\2"),),
}
#: A day with its month as numbers, year last: with four digits, or with two of this century.
_YEAR_LAST = (
    r"^(\d{1,2}-\d{1,2})(\d{4})(?:,? +|T|$)(.*)$",
    r"^(\d{1,2}-\d{1,2})(\d{2})(?:,? +|T|$)(.*)$",
)
_PADDED = (
    (r"^(\d{4})-(\d)-", r"\1-0\2-"),
    (r"^(\d{4}-\d{2})-(\d)(\D|$)", r"\1-0\2\3"),
    (r"^(\d{4}-\d{2}-\d{2})[ T](\d):", r"\1 0\2:"),
    (r"^(\d{4}-\d{2}-\d{2}) $", r"\1"),
)
_LOCAL = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?$"
_DAY = r"^(\d{4}-\d{2}-\d{2})$"
#: Lotus counted 1900 as a leap year, and spreadsheets still do: so from 1 March 1900 days count from here.
_DAY_ZERO = dt.datetime(1899, 12, 30)
_FIRST, _LAST = "00:00:00", "23:59:59.999999"
_NO_ZONE = "no zone for market "
_NUMBER = r"^[+-]?\d+(?:\.\d*)?$"


def to_iso_times(
    values: pa.Array,
    *,
    dates: DateForm | None,
    zone: str | Mapping[str, str] | None,
    markets: pa.Array | None,
    day_end: bool,
) -> pa.Array:
    """Write the times of one column as ISO 8601, local ones in UTC.

    Parameters
    ----------
    values
        Text, times or days, shape (n,). Times with a zone stay as they are, and so do numbers that
        are no days.
    dates
        The order of day and month in dates that do not begin with the year, or `day_numbers` where
        numbers from 20000 to 69999 count days since 30 December 1899; None leaves them.
    zone
        The zone of times that name none, or the zone of each market; None leaves them.
    markets
        Each row's market, shape (n,), where the zone depends on it.
    day_end
        Whether a day alone means its end in the zone, rather than its beginning.

    Returns
    -------
    pyarrow.Array
        Text; what cannot be read is left as it was, so that its row is rejected with the value.

    Raises
    ------
    DataError
        If the zone depends on a market that the table does not have.

    Examples
    --------
    >>> column = pa.array(["3.4.2026 13:05", "03/04/2026 1:05 PM", "2026-01-01T00:00Z", "soon"])
    >>> to_iso_times(
    ...     column, dates="day_first", zone="Europe/Berlin", markets=None, day_end=False
    ... ).to_pylist()
    ['2026-04-03T11:05:00.000000Z', '2026-04-03 01:05 PM[Europe/Berlin]', '2026-01-01T00:00Z', 'soon']
    """
    texts = _as_text(values)
    if dates == "day_numbers":
        texts = _from_day_numbers(values.cast(_TEXT) if texts is None else texts)
        dates = None
    if texts is None:
        return values
    if dates is not None:
        texts = _year_first(texts, dates)
    if zone is None:
        return texts
    if isinstance(zone, str):
        return _localize(texts, zone, day_end)
    if markets is None:
        do = "Map one, or name one zone."
        raise DataError(error_message("time_zone by market", "find a market column", "none", do))
    names = pc.fill_null(markets.cast(_TEXT), "").to_pylist()
    zones = np.array([zone.get(name, _NO_ZONE + name) for name in names], object)
    out = np.array(texts.to_pylist(), dtype=object)
    for one in dict.fromkeys(zones.tolist()):
        rows = np.flatnonzero(zones == one)
        out[rows] = _localize(texts.take(pa.array(rows)), one, day_end).to_pylist()
    return pa.array(out, _TEXT)


def _as_text(values: pa.Array) -> pa.Array | None:
    """Return times without a zone as text; None for numbers and for times with a zone."""
    kind = values.type
    if pat.is_dictionary(kind):
        return _as_text(values.cast(kind.value_type))
    if pat.is_date(kind):
        return values.cast(pa.date32()).cast(_TEXT)
    if pat.is_timestamp(kind) and kind.tz is None:
        return pc.strftime(values.cast(pa.timestamp("us"), safe=False), "%Y-%m-%dT%H:%M:%S").cast(
            _TEXT
        )
    if pat.is_string(kind) or pat.is_large_string(kind) or pat.is_string_view(kind):
        return pc.utf8_trim_whitespace(values.cast(_TEXT))
    return None


def _from_day_numbers(texts: pa.Array) -> pa.Array:
    """Write 46054 and 46054,5 as 2026-02-01 and 2026-02-01T12:00:00; others stay as they are."""
    rows = np.flatnonzero(_mask(pc.match_substring_regex(texts, DAY_NUMBER)))
    if not len(rows):
        return texts
    out = np.array(texts.to_pylist(), dtype=object)
    for row in rows:
        days = float(out[row].replace(",", "."))
        moment = _DAY_ZERO + dt.timedelta(seconds=round(days * 86_400))
        out[row] = moment.date().isoformat() if days == int(days) else moment.isoformat()
    return pa.array(out, _TEXT)


def _year_first(texts: pa.Array, dates: str) -> pa.Array:
    """Write 3.4.2026 and 3/4/26 as 2026-04-03, in the order that the config names."""
    for pattern, put in _ORDER[dates]:
        texts = pc.replace_substring_regex(texts, pattern, put)
    texts = pc.replace_substring_regex(texts, _YEAR_LAST[0], r"\2-\1 \3")
    texts = pc.replace_substring_regex(texts, _YEAR_LAST[1], r"20\2-\1 \3")
    for pattern, put in _PADDED:
        texts = pc.replace_substring_regex(texts, pattern, put)
    return texts


def _localize(texts: pa.Array, zone: str, day_end: bool) -> pa.Array:
    """Convert times without a zone from this one to UTC."""
    full = pc.replace_substring_regex(texts, _DAY, rf"\1T{_LAST if day_end else _FIRST}")
    out = np.array(full.to_pylist(), dtype=object)
    left = ~_mask(texts.is_null()) & ~_mask(pc.match_substring_regex(texts, _NUMBER))
    rows = np.flatnonzero(_mask(pc.match_substring_regex(full, _LOCAL)))
    if len(rows) and not zone.startswith(_NO_ZONE):
        plain = pc.replace_substring(full.take(pa.array(rows)), ",", ".")
        naive = pd.to_datetime(plain.to_pandas(), format="ISO8601", errors="coerce")
        moments = naive.dt.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
        known = moments.notna().to_numpy(bool)
        utc = moments[known].dt.tz_convert("UTC").dt.tz_localize(None)
        texts_utc = pc.strftime(pa.array(utc, pa.timestamp("us")), "%Y-%m-%dT%H:%M:%SZ")
        out[rows[known]] = texts_utc.to_pylist()
        left[rows[known]] = False
    named = {text: _name_zone(text, zone) for text in dict.fromkeys(out[left].tolist())}
    out[left] = [named[text] for text in out[left].tolist()]
    return pa.array(out, _TEXT)


def _name_zone(text: str, zone: str) -> str:
    """Add the zone to a time that has none; the reader then says what is wrong with it, if anything."""
    try:
        read = parse_time(text)
    except TimeFormatError:
        return text
    return f"{text}[{zone}]" if read.zone == "none" and not read.day_only else text


def _mask(values: pa.Array) -> npt.NDArray[np.bool_]:
    return np.asarray(pc.fill_null(values, False).to_numpy(zero_copy_only=False), dtype=bool)
