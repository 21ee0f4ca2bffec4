"""Values turned into text, numbers and times: exactly, or not at all."""

import datetime as dt
import decimal
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errdetect.data.coerce import to_number, to_text, to_time
from errdetect.errors import DataError

UTC = dt.UTC


def _times(values, **kwargs):
    return to_time("t", pa.array(values, **kwargs))


def _one(value):
    return _times([value]).values[0].as_py()


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (pa.array(["007", " a ", "", "  ", None]), ["007", " a ", None, None, None]),
        (pa.array([7, None, 2**62]), ["7", None, str(2**62)]),
        (pa.array([7.0, 7.5, None, math.nan, -0.0]), ["7", "7.5", None, None, "0"]),
        (pa.array([True, None]), ["true", None]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
        (pa.array([None, None]), [None, None]),
        (pa.array([decimal.Decimal("12")]), ["12"]),
        (pa.array([b"\x01" * 16], pa.uuid()), ["01010101-0101-0101-0101-010101010101"]),
        (pa.array([b"ab"]), ["ab"]),
    ],
)
def test_text(values, texts):
    assert to_text("id", values).values.to_pylist() == texts


def test_text_tells_what_it_turned():
    assert to_text("id", pa.array([7, 8])).told == {"{n} whole numbers read as text": 2}
    told = to_text("id", pa.array([7.0])).told
    assert told == {"{n} numbers with a decimal point read as text (7.0 as '7')": 1}
    assert not to_text("id", pa.array(["7"])).told


def test_nested_and_binary_text_is_refused():
    with pytest.raises(DataError, match="Column text must hold text, got the type list<"):
        to_text("text", pa.array([["a"]]))
    with pytest.raises(DataError, match="Column text must hold text, got the type binary"):
        to_text("text", pa.array([b"\xff"]))


@given(st.lists(st.integers(min_value=-(2**63), max_value=2**63 - 1), min_size=1))
def test_integer_ids_keep_every_digit(ids):
    assert to_text("id", pa.array(ids, pa.int64())).values.to_pylist() == [str(i) for i in ids]


def test_numbers():
    read = to_number(
        "score", pa.array([" 0.5", "1e-3", "NA", "null", "", None, "high", "0,5", "5%"])
    )
    assert read.values.to_pylist() == [0.5, 0.001, None, None, None, None, None, None, None]
    assert read.bad.tolist() == [False] * 6 + [True] * 3
    assert read.told == {
        "{n} words such as NA or null read as missing": 2,
        "{n} text values read as numbers": 2,
    }
    assert not to_number("score", pa.array(["0.5"]), typed=False).told
    assert to_number("x", pa.array([1, None])).values.to_pylist() == [1.0, None]
    assert to_number("x", pa.array([math.nan, 2.5])).values.to_pylist() == [None, 2.5]
    assert to_number("x", pa.array([decimal.Decimal("0.25")])).values.to_pylist() == [0.25]
    assert to_number("x", pa.array([True])).told == {"{n} true/false values read as 1/0": 1}
    with pytest.raises(DataError, match="Column score must hold numbers, got the type date32"):
        to_number("score", pa.array([dt.date(2026, 1, 1)]))


@given(st.lists(st.floats(allow_nan=False) | st.none()))
def test_number_text_round_trips(numbers):
    texts = pa.array([None if n is None else repr(n) for n in numbers], pa.string())
    read = to_number("x", texts)
    assert read.values.to_pylist() == numbers
    assert not read.bad.any()


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-03-01T12:00:00Z", (2026, 3, 1, 12)),
        ("2026-03-01 12:00:00 UTC", (2026, 3, 1, 12)),
        ("2026-03-01T12:00+02:00", (2026, 3, 1, 10)),
        ("2026-03-01T12:00:00.5-0330", (2026, 3, 1, 15, 30, 0, 500_000)),
        ("2026-03-01T12:00:00.123456789", (2026, 3, 1, 12, 0, 0, 123_456)),
        (" 2026/03/01 ", (2026, 3, 1)),
        ("1772323200", (2026, 3, 1)),
        ("1772323200.25", (2026, 3, 1, 0, 0, 0, 250_000)),
        ("1772323200000", (2026, 3, 1)),
        ("9999-12-31T23:59:59Z", (9999, 12, 31, 23, 59, 59)),
    ],
)
def test_time_text(text, time):
    assert _one(text) == dt.datetime(*time, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "03/04/2026",
        "20260301",
        "2026-13-01",
        "2026-02-30",
        "2026",
        "now",
        "today",
        "12:00",
        "1",
        "x",
    ],
)
def test_uncertain_time_text_is_not_guessed(text):
    read = _times([text, "", None])
    assert read.values.to_pylist() == [None, None, None]
    assert read.bad.tolist() == [True, False, False]


def test_typed_times():
    naive = dt.datetime(2026, 3, 1, 12)
    assert _one(naive) == naive.replace(tzinfo=UTC)
    assert _times([naive]).told == {"{n} times without a zone taken as UTC": 1}
    berlin = _times([naive], type=pa.timestamp("ns", "Europe/Berlin"))
    assert berlin.values.to_pylist() == [naive.replace(tzinfo=UTC)]
    assert berlin.told == {"{n} times in zone Europe/Berlin converted to UTC": 1}
    assert _one(dt.date(2026, 3, 1)) == dt.datetime(2026, 3, 1, tzinfo=UTC)
    assert _times([1772323200, 1, None]).bad.tolist() == [False, True, False]
    assert _times([1772323200.5]).values.to_pylist()[0].microsecond == 500_000
    assert _times([1772323200_000_000_000]).told == {"{n} numbers read as epoch nanoseconds": 1}
    assert _times([math.nan]).bad.tolist() == [False]
    with pytest.raises(DataError, match="Column t must hold times, got the type bool"):
        _times([True])


def test_times_tell_zones_and_offsets():
    read = _times(["2026-03-01T12:00", "2026-03-01", "2026-03-01T12:00Z", "2026-03-01T12:00+01:00"])
    assert read.told == {
        "{n} times without a zone taken as UTC": 2,
        "{n} times with an offset converted to UTC": 1,
    }


_moments = st.datetimes(dt.datetime(2000, 1, 2), dt.datetime(2099, 12, 30), timezones=st.just(UTC))


@given(st.lists(_moments, min_size=1), st.sampled_from(["iso", "s", "ms", "us", "ns", "numbers"]))
def test_times_round_trip_in_every_form(moments, form):
    micros = [
        (m - dt.datetime(1970, 1, 1, tzinfo=UTC)) // dt.timedelta(microseconds=1) for m in moments
    ]
    if form == "iso":
        values, step = pa.array([m.isoformat() for m in moments]), 1
    elif form == "numbers":
        values, step = pa.array([m // 10**6 for m in micros]), 10**6
    else:
        step = {"s": 10**6, "ms": 1000, "us": 1, "ns": 1}[form]
        typed = np.array(micros, "datetime64[us]").astype(f"datetime64[{form}]")
        values = pa.array(typed)
    read = to_time("t", values).values.cast(pa.int64()).to_pylist()
    assert read == [m // step * step for m in micros]
