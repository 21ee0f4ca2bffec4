"""Times that are certain are read, and the cause is named where one is not."""

import datetime as dt

import numpy as np
import pytest

from errdetect.data.time_formats import TimeFormatError, find_sentinels, parse_time


def _read(text):
    read = parse_time(text)
    return dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=read.micros)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-03-01T24:00:00Z", (2026, 3, 2)),
        ("2026-12-31T24:00Z", (2027, 1, 1)),
        ("2016-12-31T23:59:60Z", (2017, 1, 1)),
        ("2017-01-01T00:59:60+01:00", (2017, 1, 1)),
        ("2026-03-01 12:00:00 AM", (2026, 3, 1)),
        ("2026-03-01 12:30 PM", (2026, 3, 1, 12, 30)),
        ("Mar 1, 2026, 1:02:03 PM", (2026, 3, 1, 13, 2, 3)),
        ("01-MAR-2026 10:00:00", (2026, 3, 1, 10)),
        ("Sunday, 01 March 2026 10:00:00", (2026, 3, 1, 10)),
        ("Saturday, 01-Mar-86 10:00:00 UTC", (1986, 3, 1, 10)),
        ("2026-03-01 10:00:00 Europe/Berlin", (2026, 3, 1, 9)),
        ("2026-07-01T10:00[America/New_York]", (2026, 7, 1, 14)),
        ("2026-03-01T10:00:00Z[UTC]", (2026, 3, 1, 10)),
        ("2026-03-01 10:00:00 GMT+2", (2026, 3, 1, 8)),
        ("2026-03-01 10:00:00 +0200 +0200", (2026, 3, 1, 8)),
        ("2026060T100000Z", (2026, 3, 1, 10)),
        ("2024-366", (2024, 12, 31)),
        ("2026-W53-7", (2027, 1, 3)),
        ("'2026-03-01T10:00Z'", (2026, 3, 1, 10)),
    ],
)
def test_certain_times_are_read(text, time):
    assert _read(text) == dt.datetime(*time)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("03/01/2026", "begin with the year"),
        ("13/01/2026 10:00", "begin with the year"),
        ("01.03.2026", "begin with the year"),
        ("01-Mar-26 10:00", "century"),
        ("Monday, 01-Mar-26 10:00:00 UTC", "weekday"),
        ("Mon, 03 Mar 2026 10:00:00 GMT", "weekday"),
        ("2026-03-01 10:00:00 CET", "abbreviation"),
        ("Sun Mar 01 10:00:00 IST 2026", "abbreviation"),
        ("Sun, 01 Mar 2026 10:00:00 EST", "abbreviation"),
        ("2026-03-01T10:00[Europe/Nowhere]", "zone that exists"),
        ("2026-03-01T10:00+25:00", "zone that exists"),
        ("2026-03-01 10:00:00 +0100 +0200", "zone that exists"),
        ("2026-03-29T02:30[Europe/Berlin]", "clocks were changed"),
        ("2026-10-25T02:30[Europe/Berlin]", "clocks were changed"),
        ("2026-02-29T10:00Z", "exists"),
        ("2026-366", "exists"),
        ("2026-W54-1", "exists"),
        ("2026-03-01T25:00Z", "exists"),
        ("2026-03-01T24:00:01Z", "exists"),
        ("2026-03-01 13:00 PM", "exists"),
        ("2026-03-01T23:59:60Z", "leap second"),
        ("2026-W09", "whole week"),
        ("20260301", "digits alone"),
        ("46082.5", "spreadsheet"),
        ("infinity", "infinity"),
        ("0001-01-01T00:00:00+01:00", "year 1 is a sentinel"),
        ("9999-12-31T23:59:59-01:00", "year 9999 is a sentinel"),
        ("0000-00-00 00:00:00", "year 0 is a sentinel"),
        ("2026-03-01T", "ISO 8601"),
        ("10:00", "ISO 8601"),
        ("Sun Foo 01 2026 10:00", "ISO 8601"),
    ],
)
def test_the_cause_is_named(text, cause):
    with pytest.raises(TimeFormatError) as caught:
        parse_time(text)
    assert cause in caught.value.must
    assert ", got " not in caught.value.must
    assert ";" not in caught.value.must


def test_sentinels_are_exact():
    def micros(*when):
        return (dt.datetime(*when) - dt.datetime(1970, 1, 1)) // dt.timedelta(microseconds=1)

    times = [(1, 1, 1), (1900, 1, 1), (1970, 1, 1), (9999, 12, 31, 23), (1970, 1, 1, 0, 0, 1)]
    found = find_sentinels(np.array([micros(*time) for time in times] + [micros(2026, 1, 1)]))
    assert np.logical_or.reduce(list(found.values())).tolist() == [True] * 4 + [False] * 2
    assert find_sentinels(np.array([micros(2026, 1, 1)])) == {}
    assert find_sentinels(np.array([], dtype=np.int64)) == {}
