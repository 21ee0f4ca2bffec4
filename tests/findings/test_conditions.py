"""One evaluator of rule conditions: missing values, numbers as text, what cannot be read."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errdetect.errors import DataError
from errdetect.findings.conditions import Condition, list_conditions, rule_mask, scope_mask

FRAME = pd.DataFrame(
    {
        "market": pd.array(["DE", None, "FR", "DE"], dtype="str"),
        "age": [1.0, 5.0, np.nan, 9.0],
        "count": [1, 2, 9_007_199_254_740_993, 9_007_199_254_740_992],
        "new": [True, False, True, True],
        "checked": pd.array([True, None, False, True], dtype="boolean"),
        "size": ["5", "5.0", "large", None],
        "flag": ["true", "False", None, "TRUE"],
        "kind": pd.Categorical(["a", "b", None, "a"]),
        "grade": pd.Categorical([1, 2, None, 1]),
        "empty": [np.nan] * 4,
    }
)


def meets(column, op, value):
    """Return the rows as 0 and 1; the rule and the mapping of a table must agree."""
    rows = rule_mask(FRAME, [Condition(column, op, value)])
    same = scope_mask(FRAME, conditions=[{"column": column, "op": op, "value": value}])
    assert rows.tolist() == same.tolist()
    return rows.astype(int).tolist()


@pytest.mark.parametrize(
    ("column", "op", "value", "rows"),
    [
        ("market", "==", "DE", [1, 0, 0, 1]),
        ("market", "is", "DE", [1, 0, 0, 1]),
        ("market", "!=", "DE", [0, 1, 1, 0]),
        ("market", "in", ["DE", "FR"], [1, 0, 1, 1]),
        ("market", "in", "DE", [1, 0, 0, 1]),
        ("market", "not in", np.array(["DE"], dtype=object), [0, 1, 1, 0]),
        ("market", "missing", None, [0, 1, 0, 0]),
        ("age", ">=", 5, [0, 1, 0, 1]),
        ("age", "<", 5, [1, 0, 0, 0]),
        ("age", "!=", 5, [1, 0, 1, 1]),
        ("age", "missing", None, [0, 0, 1, 0]),
        ("checked", "==", True, [1, 0, 0, 1]),
        ("checked", "!=", True, [0, 1, 1, 0]),
        ("kind", "==", "a", [1, 0, 0, 1]),
        ("kind", "not in", ["a"], [0, 1, 1, 0]),
        ("grade", "<", 2, [1, 0, 0, 1]),
        ("grade", "==", "2", [0, 1, 0, 0]),
        ("empty", "==", "DE", [0, 0, 0, 0]),
        ("empty", "not in", ["DE"], [1, 1, 1, 1]),
        ("empty", ">=", 0, [0, 0, 0, 0]),
    ],
)
def test_a_missing_value_meets_no_comparison_but_the_negations(column, op, value, rows):
    assert meets(column, op, value) == rows


@pytest.mark.parametrize(
    ("column", "op", "value", "rows"),
    [
        ("age", "==", "5", [0, 1, 0, 0]),
        ("age", "<", "5.0", [1, 0, 0, 0]),
        ("age", "in", ["5", 9], [0, 1, 0, 1]),
        ("count", "==", "9007199254740993", [0, 0, 1, 0]),
        ("new", "==", "True", [1, 0, 1, 1]),
        ("new", "in", ["false"], [0, 1, 0, 0]),
        ("size", "==", 5, [1, 1, 0, 0]),
        ("size", "==", "5", [1, 0, 0, 0]),
        ("size", ">=", 5, [1, 1, 0, 0]),
        ("flag", "==", True, [1, 0, 0, 1]),
        ("flag", "!=", True, [0, 1, 1, 0]),
    ],
)
def test_values_that_went_through_text_are_read_as_their_column(column, op, value, rows):
    assert meets(column, op, value) == rows


@pytest.mark.parametrize(
    ("column", "op", "value", "message"),
    [
        ("age", "like", 1, "op must be one of ==, !=, <.* got like"),
        ("age", None, 1, "op must be one of"),
        ("gone", "==", 1, "must name a column of the decisions, got gone"),
        ("age", "<", "old", "on age must be a number, got 'old'"),
        ("age", "<", None, "on age must be a number, got None"),
        ("age", "==", "old", "on age must be a number"),
        ("new", "==", "perhaps", "on new must be true or false, got 'perhaps'"),
    ],
)
def test_what_cannot_be_read_is_refused(column, op, value, message):
    with pytest.raises(DataError, match=message):
        rule_mask(FRAME, [Condition(column, op, value)])


def test_every_condition_of_a_rule_must_hold_and_an_empty_rule_holds_everywhere():
    rule = [Condition("market", "==", "DE"), Condition("age", ">=", 5)]
    assert rule_mask(FRAME, rule).tolist() == [False, False, False, True]
    assert rule_mask(FRAME, []).all()


@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.sampled_from("abc")),
            st.one_of(st.none(), st.floats(-5, 5), st.integers(-5, 5)),
            st.booleans(),
        ),
        min_size=4,
        max_size=30,
    )
)
def test_the_search_and_the_evaluator_agree(rows):
    frame = pd.DataFrame(rows, columns=["text", "number", "flag"]).astype(
        {"text": "str", "number": "float64"}
    )
    found = list_conditions(frame, least=1)
    for at, condition in enumerate(found.items):
        assert rule_mask(frame, [condition]).tolist() == (found.met[:, at] > 0).tolist()
