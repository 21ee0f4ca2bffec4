"""Comparing tables: what differs is named by column, count and first key; rows are matched by name."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errdetect.data.table_comparison import compare_tables

ESTIMATES = pa.table(
    {
        "policy_id": ["spam", "spam", "scam", None],
        "market": ["DE", "FR", "DE", None],
        "measure": ["error_rate"] * 4,
        "estimate": [0.1, 0.2, None, 0.15],
        "n_reviews": [10, 20, 0, 30],
        "suppressed": [False, False, True, False],
    }
)


def _with(table, column, row, value):
    values = table[column].to_pylist()
    values[row] = value
    at = table.column_names.index(column)
    return table.set_column(at, table.schema.field(column), pa.array(values, table[column].type))


def test_equal_tables_are_equal():
    assert compare_tables(ESTIMATES, ESTIMATES).equal


@pytest.mark.parametrize(
    ("column", "row", "value", "was"),
    [
        ("estimate", 1, 0.21, 0.2),
        ("estimate", 2, 0.0, None),
        ("estimate", 0, None, 0.1),
        ("n_reviews", 3, 31, 30),
        ("n_reviews", 3, None, 30),
        ("suppressed", 2, False, True),
    ],
)
def test_a_changed_cell_is_named(column, row, value, was):
    found = compare_tables(_with(ESTIMATES, column, row, value), ESTIMATES)
    assert not found.equal
    assert dict(found.columns) == {column: 1}
    assert found.first is not None
    policy, market = (ESTIMATES[name][row].as_py() for name in ("policy_id", "market"))
    assert dict(found.first.key) == {"policy_id": policy, "market": market}
    shown = [None if v is None or v != v else v for v in (found.first.found, found.first.expected)]
    assert (found.first.column, *shown) == (column, value, was)


def test_a_changed_key_is_a_row_too_many_and_one_missing():
    found = compare_tables(_with(ESTIMATES, "policy_id", 0, "fraud"), ESTIMATES)
    assert (found.further, found.missing) == (1, 1)
    assert found.first_further == {"policy_id": "fraud", "market": "DE"}
    assert found.first_missing == {"policy_id": "spam", "market": "DE"}


def test_rows_and_columns_that_go_or_come():
    fewer = compare_tables(ESTIMATES.slice(1), ESTIMATES)
    assert (fewer.missing, fewer.further, fewer.columns) == (1, 0, {})
    assert compare_tables(ESTIMATES.drop(["estimate"]), ESTIMATES).columns_missing == ("estimate",)
    extra = ESTIMATES.append_column("x", pa.array([1] * 4))
    assert compare_tables(extra, ESTIMATES).columns_further == ("x",)
    wide = ESTIMATES.set_column(4, "n_reviews", ESTIMATES["n_reviews"].cast(pa.float64()))
    assert compare_tables(wide, ESTIMATES).columns_retyped == ("n_reviews",)


def test_another_order_is_said_and_nothing_else():
    found = compare_tables(ESTIMATES.take([1, 0, 2, 3]), ESTIMATES)
    assert found.reordered
    assert not found.equal
    assert not found.columns


def test_rows_without_a_name_are_matched_by_place():
    table = pa.table({"market": ["DE", "DE"], "n": [0.5, 0.5]})
    found = compare_tables(_with(table, "n", 1, 0.7), table)
    assert found.first is not None
    assert found.first.key == {"row": 2}


def test_reasons_are_compared_inside():
    kind = pa.list_(pa.struct([("code", pa.string()), ("contribution", pa.float64())]))
    one = pa.table(
        {
            "decision_id": ["d1", "d2"],
            "reasons": pa.array([[{"code": "A", "contribution": 0.1}], None], kind),
        }
    )
    near = _with(one, "reasons", 0, [{"code": "A", "contribution": 0.1 * (1 + 1e-13)}])
    assert compare_tables(near, one).equal
    far = compare_tables(_with(one, "reasons", 0, [{"code": "B", "contribution": 0.1}]), one)
    assert dict(far.columns) == {"reasons": 1}
    assert far.first is not None
    assert far.first.key == {"decision_id": "d1"}


@given(st.integers(0, 49), st.floats(-1e6, 1e6), st.sampled_from(["a", "b", "t"]), st.randoms())
def test_any_edit_of_any_cell_is_found(row, value, column, random):
    rng = np.random.default_rng(random.randrange(1000))
    table = pa.table(
        {
            "decision_id": [f"d{i}" for i in range(50)],
            "a": rng.random(50),
            "b": rng.integers(0, 9, 50),
            "t": [f"x{i % 3}" for i in range(50)],
        }
    )
    new = {"a": value, "b": 1000 + int(value), "t": f"y{value}"}[column]
    edited = _with(table, column, row, new)
    found = compare_tables(edited, table)
    assert (
        found.equal == bool(np.isclose(new, table["a"][row].as_py(), 1e-9, 1e-12))
        if (column == "a")
        else dict(found.columns) == {column: 1}
    )
    if not found.equal:
        assert found.first is not None
        assert found.first.key == {"decision_id": f"d{row}"}
