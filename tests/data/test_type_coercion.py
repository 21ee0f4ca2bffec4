"""Values turned into text, numbers and times: exactly, or not at all."""

import datetime as dt
import decimal
import math
import uuid

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errdetect.data import type_coercion as coerce
from errdetect.data.table_reading import read_decisions
from errdetect.data.type_coercion import to_id, to_number, to_text, to_time
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
    assert read.values.to_pylist() == [0.5, 0.001, None, None, None, None, None, 0.5, 0.05]
    assert read.bad.tolist() == [False] * 6 + [True] + [False] * 2
    assert read.told == {
        "{n} words such as NA or null read as missing": 2,
        "{n} numbers with a decimal comma read (such as '0,5')": 1,
        "{n} numbers with a percent sign read (such as '5%')": 1,
        "{n} text values read as numbers": 4,
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


# --- ids ---------------------------------------------------------------------------------------

_wholes = st.lists(st.integers(0, 10**27), min_size=1)


@given(_wholes, st.sampled_from([1, 10]))
def test_decimal_ids_are_written_by_their_digits(ids, scale):
    decimals = pa.array([decimal.Decimal(i) for i in ids], pa.decimal128(38, scale))
    assert to_id("id", decimals).values.to_pylist() == [str(i) for i in ids]


@given(st.lists(st.decimals(-1000, 1000, places=4), min_size=1))
def test_other_decimals_keep_their_value(numbers):
    texts = to_text("x", pa.array(numbers, pa.decimal128(20, 6))).values.to_pylist()
    assert [decimal.Decimal(text) for text in texts] == numbers
    assert not any(text.endswith("0") and "." in text for text in texts)


@given(_wholes, st.integers(1, 10))
def test_whole_numbers_with_decimals_in_text(ids, zeros):
    texts = pa.array([f"{i}.{'0' * zeros}" for i in ids])
    read = to_id("id", texts)
    assert read.values.to_pylist() == [str(i) for i in ids]
    assert list(read.told.values()) == [len(ids)]


@given(st.lists(st.integers(10, 10**15).filter(lambda i: i % 10), min_size=1))
def test_scientific_notation_with_every_digit_is_read(ids):
    texts = [f"{str(i)[0]}.{str(i)[1:]}E{len(str(i)) - 1}" for i in ids]
    assert to_id("id", pa.array(texts)).values.to_pylist() == [str(i) for i in ids]


@pytest.mark.parametrize(
    "ids",
    [
        ["007", "1.10"],
        ["1.10", "1.20"],
        ["1.0", "1.1"],
        ["7.0", "7"],
        ["5E10", "12"],
        ["1.5E-3", "2.0"],
        ["d41d8cd98f00b204e9800998ecf8427e"],
        ["6ba7b8109dad41d180b400c04fd430c8", "x"],
        ["{6ba7b810-9dad-41d1-80b4-00c04fd430c8", "x"],
        [" a ", "É"],
    ],
)
def test_text_ids_that_are_no_certain_number_or_uuid_stay(ids):
    read = to_id("id", pa.array(ids))
    assert read.values.to_pylist() == ids
    assert not read.told


@pytest.mark.parametrize(
    ("kind", "power"), [(pa.float64(), 53), (pa.float32(), 24), (pa.float16(), 11)]
)
def test_a_float_that_lost_digits_is_no_id(kind, power):
    numbers = np.array([7.0, 2.0**power, np.nan, 2.0 ** (power + 1)])
    read = to_id("id", pa.array(numbers, from_pandas=True).cast(kind))
    assert read.values.to_pylist() == ["7", None, None, None]
    (must,) = read.causes
    assert f"beyond 2^{power} (export the ids as text)" in must
    assert read.causes[must].tolist() == read.bad.tolist() == [False, True, False, True]
    assert list(read.told.values()) == [1]


def test_digits_that_a_spreadsheet_cut_off_are_named_among_any_ids():
    read = to_id("id", pa.array(["d1", "1.23457E+17", "1E+17", "7.0"]))
    assert read.values.to_pylist() == ["d1", None, None, "7.0"]
    assert ["scientific notation" in must for must in read.causes] == [True]


_uuids = st.lists(st.uuids(version=4), min_size=1, max_size=5)
_FORMS = {
    "canonical": str,
    "upper": lambda u: str(u).upper(),
    "braces": lambda u: f"{{{u}}}",
    "parentheses": lambda u: f"({u})",
    "urn": lambda u: u.urn,
    "compact": lambda u: u.hex,
    "COMPACT": lambda u: u.hex.upper(),
}


@given(_uuids, st.sampled_from(sorted(_FORMS)), st.booleans())
def test_uuids_in_every_form_of_text_are_one(ids, form, encoded):
    texts = pa.array([_FORMS[form](u) for u in ids])
    read = to_id("id", texts.dictionary_encode() if encoded else texts)
    assert read.values.to_pylist() == [str(u) for u in ids]
    assert sum(read.told.values()) == (0 if form == "canonical" else len(ids))


@given(
    _uuids,
    st.sampled_from([pa.binary(), pa.large_binary(), pa.binary(16), pa.binary_view(), pa.uuid()]),
    st.booleans(),
)
def test_uuids_in_bytes_are_the_same(ids, kind, gap):
    values = pa.array([u.bytes for u in ids] + [None] * gap, kind)
    assert to_id("id", values).values.to_pylist() == [str(u) for u in ids] + [None] * gap


def test_one_uuid_with_hyphens_among_other_ids_is_still_one():
    one = uuid.UUID("6ba7b810-9dad-41d1-80b4-00c04fd430c8")
    read = to_id("id", pa.array(["d1", str(one).upper(), None]))
    assert read.values.to_pylist() == ["d1", str(one), None]


def test_many_compact_uuids_are_certain_beside_a_stray_id():
    ids = [uuid.UUID(int=i, version=4) for i in range(20)]
    read = to_id("id", pa.array([u.hex for u in ids] + ["test"])).values.to_pylist()
    assert read == [*map(str, ids), "test"]
    hashed = [u.hex for u in ids] + ["d41d8cd98f00b204e9800998ecf8427e"]
    assert to_id("id", pa.array(hashed)).values.to_pylist() == hashed


def test_binary_ids_that_are_text_are_read_and_others_refused():
    values = pa.array([b"decision-0000001", b"d2", None])
    assert to_id("id", values).values.to_pylist() == ["decision-0000001", "d2", None]
    with pytest.raises(DataError, match=r"Column id must hold text, numbers or UUIDs .*0xff01\."):
        to_id("id", pa.array([b"d1", b"\xff\x01"]))


# --- numbers -----------------------------------------------------------------------------------


def _number(texts, **kwargs):
    return to_number("x", pa.array(texts), typed=False, **kwargs)


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        (["0,93", "1,234", "-1.234,5", "1.234"], [0.93, 1.234, -1234.5, 1234.0]),
        (["0.93", "1,234", "1,234.5"], [0.93, 1234.0, 1234.5]),
        (["1,234,567", "1,234"], [1234567.0, 1234.0]),
        (["1.234.567", "1.234"], [1234567.0, 1234.0]),
        (["1\u00a0234,5", "1\u202f234", "1\u2009234\u00a0567"], [1234.5, 1234.0, 1234567.0]),
        (["1'234.5", "1\u2019234"], [1234.5, 1234.0]),
        (["93%", "93 %", "93,4\u00a0%", "%5", "\u22125%"], [0.93, 0.93, 0.934, 0.05, -0.05]),
        (["0,5", "0.25"], [0.5, 0.25]),
        (["1.234", "2"], [1.234, 2.0]),
        ([",5", "1,5e3"], [0.5, 1500.0]),
    ],
)
def test_numbers_in_other_forms(texts, numbers):
    read = _number(texts)
    assert read.values.to_pylist() == numbers
    assert not read.bad.any()


@pytest.mark.parametrize(
    ("texts", "bad"),
    [
        (["1,234", "5"], [True, False]),
        (["0,5", "0.5", "1,234", "1.234"], [False, False, True, True]),
    ],
)
def test_a_number_that_can_be_read_in_two_ways_is_never_guessed(texts, bad):
    read = _number(texts)
    assert read.bad.tolist() == bad
    (must,) = read.causes
    assert "unambiguous number" in must
    assert read.causes[must].tolist() == bad


@pytest.mark.parametrize(
    "text", ["1,2,3", "1.2,3.4", "12,34,567", "1 2", "%", "5%%", "0x10", "1_0"]
)
def test_what_is_no_number_stays_none(text):
    read = _number([text, "0.5"])
    assert read.values.to_pylist() == [None, 0.5]
    assert read.bad.tolist() == [True, False]


def test_a_percent_sign_where_none_may_stand_is_named():
    read = _number(["5%", "0.5"], percent=False)
    assert read.values.to_pylist() == [None, 0.5]
    assert [mask.tolist() for mask in read.causes.values()] == [[True, False]]


_cents = st.lists(st.integers(-(10**11), 10**11), min_size=1)


@given(_cents, st.sampled_from([",.", ".,", " ,", "\u202f,", "'.", ",", "."]))
def test_numbers_round_trip_in_every_form(cents, marks):
    plain = [f"{c / 100:,.2f}" for c in cents]
    group, mark = marks if len(marks) == 2 else ("", marks)
    texts = [p.replace(",", "g").replace(".", mark).replace("g", group) for p in plain]
    read = _number(texts)
    assert read.values.to_pylist() == [float(p.replace(",", "")) for p in plain]


@given(st.lists(st.integers(0, 10_000), min_size=1), st.sampled_from(["%", " %", "\u00a0%"]))
def test_percentages_are_exact(parts, sign):
    texts = [f"{p // 100},{p % 100:02d}{sign}" for p in parts]
    assert _number(texts).values.to_pylist() == [
        float(f"0.{p:04d}") if p < 10_000 else 1.0 for p in parts
    ]


# --- times in other forms ----------------------------------------------------------------------


def _offset_text(moment, hours):
    zone = dt.timezone(dt.timedelta(hours=hours))
    return moment.astimezone(zone), f"{'-' if hours < 0 else '+'}{abs(hours):02d}"


_TIME_FORMS = {
    "java zoned": lambda m, h: f"{_offset_text(m, h)[0].isoformat()}[Etc/GMT{-h:+d}]",
    "java date": lambda m, _: m.strftime("%a %b %d %H:%M:%S UTC %Y"),
    "go": lambda m, h: (
        f"{_offset_text(m, h)[0]:%Y-%m-%d %H:%M:%S.%f}001 {_offset_text(m, h)[1]}00 CET"
    ),
    "go now": lambda m, _: f"{m:%Y-%m-%d %H:%M:%S.%f} +0000 UTC m=+0.000012345",
    "rfc 1123": lambda m, _: m.strftime("%a, %d %b %Y %H:%M:%S GMT"),
    "rfc 2822": lambda m, h: _offset_text(m, h)[0].strftime("%a, %d %b %Y %H:%M:%S %z (CET)"),
    "rfc 850": lambda m, _: m.strftime("%A, %d-%b-%y %H:%M:%S UTC"),
    ".net ticks": lambda m, _: f"/Date({(m - _EPOCH) // dt.timedelta(milliseconds=1)})/",
    ".net": lambda m, _: f"{m:%Y-%m-%dT%H:%M:%S.%f}7Z",
    "comma": lambda m, _: f"{m:%Y-%m-%dT%H:%M:%S,%f}Z",
    "basic": lambda m, h: _offset_text(m, h)[0].strftime("%Y%m%dT%H%M%S.%f%z"),
    "ordinal": lambda m, _: m.strftime("%Y-%jT%H:%M:%S.%fZ"),
    "week": lambda m, _: m.strftime("%G-W%V-%uT%H:%M:%S.%fZ"),
    "lower": lambda m, _: f"{m:%Y-%m-%dt%H:%M:%S.%f}z",
    "postgres": lambda m, h: f"{_offset_text(m, h)[0]:%Y-%m-%d %H:%M:%S.%f}{_offset_text(m, h)[1]}",
    "javascript": lambda m, h: _offset_text(m, h)[0].strftime("%a %b %d %Y %H:%M:%S GMT%z (Zone)"),
    "ctime": lambda m, _: m.strftime("%a %b %e %H:%M:%S %Y"),
    "half day": lambda m, _: m.strftime("%Y-%m-%d %I:%M:%S.%f %p Z"),
    "minus": lambda m, _: f"{_offset_text(m, -3)[0].isoformat()}".replace("-03:00", "\u221203:00"),
}
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=UTC)
_STEPS = {".net ticks": 1000} | dict.fromkeys(
    ["java date", "rfc 1123", "rfc 2822", "rfc 850", "javascript", "ctime"], 10**6
)


@given(
    st.lists(_moments, min_size=1, max_size=4),
    st.sampled_from(sorted(_TIME_FORMS)),
    st.integers(-11, 12),
    st.booleans(),
)
def test_times_of_other_systems_round_trip(moments, form, hours, at_once):
    texts = [_TIME_FORMS[form](moment, hours) for moment in moments]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coerce, "_MANY", 1 if at_once else 1000)
        read = _times(texts)
    step = _STEPS.get(form, 1)
    micros = [(m - _EPOCH) // dt.timedelta(microseconds=1) // step * step for m in moments]
    assert read.values.cast(pa.int64()).to_pylist() == micros, texts
    assert not read.bad.any()


def test_the_quick_way_and_the_slow_one_read_alike(monkeypatch):
    texts = [
        "2026-03-01T10:00:00,5+01:00[Europe/Berlin]",
        "2026-02-30T10:00:00,5Z",
        "20260301T106000Z",
        "2026-03-01 10:00:00 CET",
        "2026-03-01T24:00:00Z",
        "2026-03-01T10:00:00 +1900",
        "2026-060",
        "x",
    ]
    slow = _times(texts)
    monkeypatch.setattr(coerce, "_MANY", 1)
    quick = _times(texts)
    assert quick.values.equals(slow.values)
    assert quick.told == slow.told
    assert quick.day_only.tolist() == slow.day_only.tolist()
    assert {must: mask.tolist() for must, mask in quick.causes.items()} == {
        must: mask.tolist() for must, mask in slow.causes.items()
    }


def test_which_times_are_only_a_day():
    read = _times(["2026-03-01", "2026-3-1", "2026-03-01T00:00Z", "2026-060", "2026-W09-7", None])
    assert read.day_only.tolist() == [True, True, False, True, True, False]
    assert _times([dt.date(2026, 3, 1), None]).day_only.tolist() == [True, False]
    assert _times([dt.datetime(2026, 3, 1)]).day_only.tolist() == [False]
    assert _times([1772323200]).day_only.tolist() == [False]


@pytest.mark.parametrize(
    ("ticks", "kind"),
    [(2**40, pa.timestamp("s")), (2**50, pa.timestamp("s")), (-(2**62), pa.timestamp("ms")),
     (2**62, pa.timestamp("us", "UTC")), (2**31 - 1, pa.date32()), (-(2**62), pa.date64())],
)  # fmt: skip
def test_times_beyond_any_calendar_are_unreadable_and_never_wrap_around(tmp_path, ticks, kind):
    whole = pa.array([ticks], pa.int32() if kind == pa.date32() else pa.int64()).cast(kind)
    column = pa.concat_arrays([whole, pa.array([dt.date(2026, 1, 31)]).cast(kind)])
    read = to_time("decided_at", column)
    assert read.values[1].as_py().isoformat() == "2026-01-31T00:00:00+00:00"
    log = {"decision_id": ["d1", "d2"], "decided_at": column, "item_id": "i", "policy_id": "spam"}
    log = {n: v if isinstance(v, list | pa.Array) else [v] * 2 for n, v in log.items()}
    pq.write_table(pa.table({**log, "action": ["remove"] * 2}), tmp_path / "d.parquet")
    found = read_decisions(tmp_path / "d.parquet")
    assert found.frame["decision_id"].tolist() == ["d2"]
    assert found.rejects["id"].tolist() == ["d1"]
    assert "decided_at must" in found.rejects["reason"][0]


def test_half_floats_are_numbers():
    halves = pa.array(np.array([0.5, np.inf, 0.0], "float16"))
    assert to_number("score", halves).values[0].as_py() == 0.5
    assert to_time("decided_at", halves).bad.all()
