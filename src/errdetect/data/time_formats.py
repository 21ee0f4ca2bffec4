"""Times as Java, Go, .NET, Python, PostgreSQL, mail and ISO 8601 write them, where unambiguous."""

import datetime as dt
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt

__all__ = [
    "DAY_NUMBER",
    "ParsedTime",
    "TimeFormatError",
    "Zone",
    "find_sentinels",
    "parse_time",
    "sentinel_fault",
]

Mask = npt.NDArray[np.bool_]

#: Where the zone of a time comes from: UTC as written, an offset, a zone's name, or none is given.
Zone = Literal["utc", "offset", "named", "none"]

_MONTH_NAMES = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip
_MONTHS = {
    name: number
    for number, full in enumerate(_MONTH_NAMES, start=1)
    for name in (full, full[:3], full[:4] if full == "september" else full)
}
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_UTC = ("z", "utc", "gmt", "ut", "zulu", "etc/utc", "etc/gmt", "uct", "universal", "etc/uct")

_CLOCK = (
    r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,:](?P<part>\d+))?)?"
    r"|(?P<hour2>\d{2})(?:(?P<minute2>\d{2})(?:(?P<second2>\d{2})(?:[.,](?P<part2>\d+))?)?)?"
)
_REST = rf"(?:{_CLOCK})(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?(?P<zone>.*)$"
_WEEKDAY = r"(?:(?P<weekday>[A-Za-z]{3,9})\.?,? )?"
_ISO = re.compile(
    r"^(?:(?P<y>\d{4})(?P<s>[-/.])(?P<m>\d{1,2})(?P=s)(?P<d>\d{1,2})"
    r"|(?P<y1>\d{4})-(?P<o>\d{3})"
    r"|(?P<y2>\d{4})-?[Ww](?P<w>\d{2})-?(?P<wd>[1-7])"
    r"|(?P<y3>\d{4})(?P<m3>\d{2})(?P<d3>\d{2})(?=[Tt ])"
    r"|(?P<y4>\d{4})(?P<o4>\d{3})(?=[Tt ]))"
    rf"(?:(?: ?[Tt] ?| )(?:{_REST}))?$"
)
#: Sun, 01 Mar 2026 10:00:00 GMT and Sunday, 01-Mar-26 10:00:00 UTC
_DAY_FIRST = re.compile(
    rf"^{_WEEKDAY}(?P<d>\d{{1,2}})[ -](?P<mon>[A-Za-z]{{3,9}})\.?,?[ -](?P<y>\d{{2}}|\d{{4}})"
    rf"(?:,? (?:{_REST}))?$"
)
#: Mar 1, 2026 10:00:00 AM and JavaScript's Sun Mar 01 2026 10:00:00 GMT+0100 (...)
_MONTH_FIRST = re.compile(
    rf"^{_WEEKDAY}(?P<mon>[A-Za-z]{{3,9}})\.? +(?P<d>\d{{1,2}}),? (?P<y>\d{{4}})(?:,? (?:at )?(?:{_REST}))?$"
)
#: Java's Date.toString, Go's ANSIC, UnixDate and RubyDate, C's ctime: the year comes last.
_YEAR_LAST = re.compile(
    rf"^{_WEEKDAY}(?P<mon>[A-Za-z]{{3}}) +(?P<d>\d{{1,2}}) (?:{_CLOCK})(?P<zone> .+?)?? (?P<y>\d{{4}})$"
)
_DOTNET = re.compile(r"^\\?/Date\((-?\d{1,15})(?:[+-]\d{4})?\)\\?/$")
_GO_MONOTONIC = re.compile(r" m=[+-]\d+(?:\.\d+)?$")
_OFFSET = re.compile(r"^(?:UTC|GMT|UT|Z)?([+-])(\d{1,2})(?::?(\d{2})(?::?(\d{2}))?)?$", re.I)
_ABBREVIATION = re.compile(r"^\(?[A-Za-z]{2,5}\)?$")
_SLASHED = re.compile(r"^\d{1,2}([/.-])\d{1,2}\1\d{2,4}\b")
#: A spreadsheet's day, from 1954 to 2091; Arrow reads the pattern too.
DAY_NUMBER = r"^[2-6]\d{4}(?:[.,]\d+)?$"
_SERIAL = re.compile(DAY_NUMBER)
_EARLIEST = re.compile(r"^000[01]-")


@dataclass(frozen=True)
class ParsedTime:
    """A time that was read.

    Parameters
    ----------
    micros
        Microseconds since 1970 in UTC.
    zone
        Where its zone comes from.
    day_only
        Whether it is only a day.
    """

    micros: int
    zone: Zone
    day_only: bool = False


class TimeFormatError(Exception):
    """Why a time cannot be read; `must` is what it must be."""

    def __init__(self, must: str) -> None:
        super().__init__(must)
        self.must = must


_ISO_8601 = "be an ISO 8601 time or an unambiguous epoch number"
_WHICH_FIRST = "begin with the year (otherwise day and month are ambiguous)"
_TWO_DIGITS = "have a four-digit year (with two digits the century is ambiguous)"
_ZONE_WORD = (
    "have an offset such as +01:00 or a zone such as Europe/Berlin "
    "(abbreviations of zones are ambiguous)"
)
_UNKNOWN_ZONE = (
    "name a zone that exists (UTC, an offset such as +01:00, or a name such as Europe/Berlin)"
)
_TWICE = "have an offset (at this local time the zone's clocks were changed)"
_WEEK = "name a day (this is a whole week)"
_NO_SUCH = "be a time that exists"
_LEAP = "be a time that exists (there was no leap second)"
_DIGITS = "be a time with its year, month and day set apart (digits alone are a date or a number)"
_DAY_NUMBER = "be a time (this looks like a spreadsheet's day number: write `dates: day_numbers` for the table)"
_NOT_FINITE = "be a time (infinity is none)"
_WRONG_DAY = "name the weekday of its date"

#: Sentinels that systems write for missing times.
_SENTINELS = {
    dt.datetime(1, 1, 1): "year 1",
    dt.datetime(1753, 1, 1): "1753-01-01",
    dt.datetime(1899, 12, 30): "1899-12-30",
    dt.datetime(1900, 1, 1): "1900-01-01",
    dt.datetime(1970, 1, 1): "1970-01-01 at midnight",
}
_EPOCH = dt.datetime(1970, 1, 1)
_MICRO = dt.timedelta(microseconds=1)
_SENTINEL_MICROS = {(moment - _EPOCH) // _MICRO: name for moment, name in _SENTINELS.items()}
_FIRST, _LAST = ((dt.datetime(y, 1, 1) - _EPOCH) // _MICRO for y in (2, 9999))


def find_sentinels(micros: npt.NDArray[np.int64]) -> dict[str, Mask]:
    """Find sentinel times: year 1, 1900-01-01, 1970-01-01 at midnight, year 9999.

    Parameters
    ----------
    micros
        Microseconds since 1970 in UTC, shape (n,).

    Returns
    -------
    dict
        Message of `sentinel_fault` -> where there is such a value, bool (n,).

    Examples
    --------
    >>> {must[:32]: mask.tolist() for must, mask in find_sentinels(np.array([0, 1])).items()}
    {'be a real time (1970-01-01 at mi': [True, False]}
    """
    if not len(micros) or (micros.min() > 0 and micros.max() < _LAST):
        return {}
    found = {name: micros == moment for moment, name in _SENTINEL_MICROS.items()}
    found |= {"year 1": micros < _FIRST, "year 9999": micros >= _LAST}
    return {sentinel_fault(name): mask for name, mask in found.items() if mask.any()}


def sentinel_fault(name: str) -> str:
    """Return the message for a sentinel time.

    Examples
    --------
    >>> sentinel_fault("year 1")
    'be a real time (year 1 is a sentinel for a missing time)'
    """
    return f"be a real time ({name} is a sentinel for a missing time)"


def parse_time(text: str) -> ParsedTime:
    """Read an unambiguous time.

    Parameters
    ----------
    text
        Without spaces around it.

    Raises
    ------
    TimeFormatError
        If it is not a time, or is ambiguous: `must` names the cause.

    Examples
    --------
    >>> parse_time("2026-03-01T10:00:00+01:00[Europe/Berlin]")
    ParsedTime(micros=1772355600000000, zone='offset', day_only=False)
    >>> try: parse_time("03/01/2026")
    ... except TimeFormatError as fault: print(fault.must)
    begin with the year (otherwise day and month are ambiguous)
    """
    text = re.sub(r"\s+", " ", text.replace("\u2212", "-")).strip(" '\"")
    text = _GO_MONOTONIC.sub("", text)
    if ticks := _DOTNET.match(text):
        return ParsedTime(int(ticks[1]) * 1000, "utc")
    for pattern in (_ISO, _DAY_FIRST, _MONTH_FIRST, _YEAR_LAST):
        if match := pattern.match(text):
            return _parse_matched_time(
                {k: v for k, v in match.groupdict().items() if v is not None}
            )
    raise TimeFormatError(_guess_time_format(text))


def _guess_time_format(text: str) -> str:
    """Return what a text that fits no format should have been."""
    if _SLASHED.match(text):
        return _WHICH_FIRST
    if text.lower().lstrip("-") == "infinity":
        return _NOT_FINITE
    if _EARLIEST.match(text):
        return sentinel_fault("year 1")
    if re.match(r"^\d{4}-?[Ww]\d{2}$", text):
        return _WEEK
    if re.match(r"^\d{7,8}$|^\d{14}$", text):
        return _DIGITS
    return _DAY_NUMBER if _SERIAL.match(text) else _ISO_8601


def _parse_matched_time(got: dict[str, str]) -> ParsedTime:
    date = _parse_matched_date(got)
    clock = [got.get(name) or got.get(f"{name}2") or "0" for name in ("hour", "minute", "second")]
    hour, minute, second = (int(part) for part in clock)
    if not got.get("hour") and not got.get("hour2"):
        return _to_utc(dt.datetime.combine(date, dt.time()), "", day_only=True)
    hour = _to_24_hours(hour, got.get("half"))
    part = ((got.get("part") or got.get("part2") or "") + "000000")[:6]
    leap, later = second == 60, hour == 24
    if later and (minute or second or int(part)):
        raise TimeFormatError(_NO_SUCH)
    if hour > 24 or minute > 59 or second > 60:
        raise TimeFormatError(_NO_SUCH)
    local = dt.datetime.combine(date, dt.time(0 if later else hour, minute, 59 if leap else second))
    local += dt.timedelta(days=later, microseconds=0 if leap else int(part))
    read = _to_utc(local, got.get("zone", "").strip())
    return _resolve_leap_second(read) if leap else read


def _parse_matched_date(got: dict[str, str]) -> dt.date:
    try:
        if "w" in got:
            return dt.date.fromisocalendar(int(got["y2"]), int(got["w"]), int(got["wd"]))
        if days := got.get("o") or got.get("o4"):
            year = int(got.get("y1") or got["y4"])
            date = dt.date(year, 1, 1) + dt.timedelta(days=int(days) - 1)
            if date.year != year:
                raise TimeFormatError(_NO_SUCH)
            return date
        if "mon" in got:
            return _parse_named_month(got)
        numbers = [got.get(name) or got[f"{name}3"] for name in ("y", "m", "d")]
        return dt.date(*(int(number) for number in numbers))
    except (ValueError, OverflowError) as error:
        first = got.get("y") or got.get("y1") or got.get("y2") or got.get("y3") or ""
        raise TimeFormatError(sentinel_fault("year 0") if first == "0000" else _NO_SUCH) from error


def _parse_named_month(got: dict[str, str]) -> dt.date:
    """Read a date with a month's name; the weekday gives the century of a two-digit year."""
    month, weekday = _MONTHS.get(got["mon"].lower()), got.get("weekday", "").lower()
    if month is None or (weekday and not any(_abbreviates_name(day, weekday) for day in _DAYS)):
        raise TimeFormatError(_ISO_8601)
    years = [int(got["y"])] if len(got["y"]) == 4 else [1900 + int(got["y"]), 2000 + int(got["y"])]
    if len(years) > 1 and not weekday:
        raise TimeFormatError(_TWO_DIGITS)
    dates = [
        dt.date(year, month, int(got["d"]))
        for year in years
        if _is_valid_date(year, month, got["d"])
    ]
    dates = [
        date for date in dates if not weekday or _abbreviates_name(_DAYS[date.weekday()], weekday)
    ]
    dates = [date for date in dates if len(years) == 1 or date.year >= _EPOCH.year]
    if len(dates) != 1:
        raise TimeFormatError(_WRONG_DAY if weekday else _NO_SUCH)
    return dates[0]


def _abbreviates_name(day: str, word: str) -> bool:
    return len(word) >= 3 and day.startswith(word)


def _is_valid_date(year: int, month: int, day: str) -> bool:
    try:
        dt.date(year, month, int(day))
    except ValueError:
        return False
    return True


def _to_24_hours(hour: int, half: str | None) -> int:
    """Convert an hour of a 12-hour clock to 24 hours."""
    if half is None:
        return hour
    if not 1 <= hour <= 12:
        raise TimeFormatError(_NO_SUCH)
    return hour % 12 + (12 if half.lower() == "p" else 0)


def _resolve_leap_second(read: ParsedTime) -> ParsedTime:
    """Replace a leap second by the next second; they occur at the ends of these days only."""
    moment = _EPOCH + read.micros * _MICRO + dt.timedelta(seconds=1)
    if (moment.month, moment.day) not in ((1, 1), (7, 1)) or moment.time() != dt.time():
        raise TimeFormatError(_LEAP)
    return ParsedTime(read.micros + 10**6, read.zone)


# --- zones -------------------------------------------------------------------------------------


def _to_utc(local: dt.datetime, zone: str, *, day_only: bool = False) -> ParsedTime:
    """Convert a local time by its offset, else by its zone's name; without either it is UTC."""
    try:
        shift, kind = _utc_offset(zone, local)
        return ParsedTime((local - shift - _EPOCH) // _MICRO, kind, day_only)
    except OverflowError as error:
        raise TimeFormatError(
            sentinel_fault("year 1" if local.year == 1 else "year 9999")
        ) from error


def _utc_offset(zone: str, local: dt.datetime) -> tuple[dt.timedelta, Zone]:
    """Return a local time's offset from UTC, and the offset's source."""
    zone, _, comment = zone.partition("(")
    zone, _, name = zone.partition("[")
    words, name = zone.split(), name.removesuffix("]")
    offsets = [word for word in words if _OFFSET.match(word)]
    if offsets:
        rest = [word for word in words if word not in offsets]
        _refuse_trailing_text(rest, offsets)
        shift = _parse_offset(offsets[0])
        return shift, "offset" if shift else "utc"
    if not words and not name:
        if comment:
            raise TimeFormatError(_ISO_8601)
        return dt.timedelta(), "none"
    if len(words) > 1 or (len(words) == 1 and name and words[0].lower() not in _UTC):
        raise TimeFormatError(_UNKNOWN_ZONE)
    word = words[0] if words else name
    if word.lower() in _UTC:
        return dt.timedelta(), "utc"
    return _zone_offset(word, local), "named"


def _refuse_trailing_text(rest: list[str], offsets: list[str]) -> None:
    """Allow a zone's name next to its offset, as Go writes it; reject other words."""
    if len(rest) > 1 or (rest and not (_ABBREVIATION.match(rest[0]) or "/" in rest[0])):
        raise TimeFormatError(_ISO_8601)
    if len({_parse_offset(offset) for offset in offsets}) > 1:
        raise TimeFormatError(_UNKNOWN_ZONE)


def _parse_offset(text: str) -> dt.timedelta:
    match = _OFFSET.match(text)
    if match is None:
        raise TimeFormatError(_UNKNOWN_ZONE)
    digits = match[2], match[3] or "0", match[4] or "0"
    hours, minutes, seconds = (int(part) for part in digits)
    shift = dt.timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if minutes > 59 or seconds > 59 or shift > dt.timedelta(hours=18):
        raise TimeFormatError(_UNKNOWN_ZONE)
    return -shift if match[1] == "-" else shift


def _zone_offset(name: str, local: dt.datetime) -> dt.timedelta:
    """Return the offset of a named zone at a local time; it is ambiguous where clocks changed."""
    zone = _load_zone(name) if "/" in name else None
    if zone is None:
        raise TimeFormatError(_ZONE_WORD if _ABBREVIATION.match(name) else _UNKNOWN_ZONE)
    shifts = {local.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1)}
    shift = shifts.pop()
    if shifts or shift is None:
        raise TimeFormatError(_TWICE)
    return shift


@lru_cache(maxsize=256)
def _load_zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
