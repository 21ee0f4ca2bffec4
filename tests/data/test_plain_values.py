"""What JSON holds of the values of tables and results."""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errdetect.data.atomic_writing import to_json_value
from errdetect.data.database_tables import dump_json

NOON = pd.Timestamp("2026-01-02T12:00Z")


@dataclass
class Result:
    folder: Path
    table: pd.DataFrame


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.bool_(True), True),
        (np.float32(0.5), 0.5),
        (np.float64("inf"), None),
        (pd.NA, None),
        (pd.NaT, None),
        (NOON, "2026-01-02T12:00:00+00:00"),
        (datetime(2026, 1, 2, 12, tzinfo=UTC), "2026-01-02T12:00:00+00:00"),
        (date(2026, 1, 2), "2026-01-02"),
        (np.array(["2026-01-02T12:00"], dtype="datetime64[ns]"), ["2026-01-02T12:00:00"]),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (pd.Series([1.0, np.nan]), [1.0, None]),
        (("a", {1: float("nan")}), ["a", {"1": None}]),
        (Path("a/b"), "a/b"),
        (b"ab", "b'ab'"),
        (
            Result(Path("out"), pd.DataFrame({"n": [1, 2], "at": [NOON, pd.NaT]})),
            {
                "folder": "out",
                "table": [{"n": 1, "at": "2026-01-02T12:00:00+00:00"}, {"n": 2, "at": None}],
            },
        ),
    ],
)
def test_values_become_what_json_holds(value, expected):
    found = to_json_value(value)
    assert found == expected
    assert type(found) is type(expected)
    assert json.loads(dump_json(value)) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)  # fmt: skip


@given(JSON)
def test_what_json_holds_already_stays(value):
    assert to_json_value(value) == value
