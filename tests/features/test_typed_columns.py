"""Columns in the model's types: nothing raises, what cannot be read is missing and counted."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errdetect.errors import DataError
from errdetect.features.feature_matrix import build_features, fit_encoding
from errdetect.features.typed_columns import ColumnCounts, read_levels, read_numbers, typed_columns

ANY = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)


@given(st.lists(ANY, max_size=9), st.sampled_from([None, True, False]))
def test_no_value_raises(values, flag):
    column = pd.Series(values, dtype=object, name="x")
    numbers, bad = read_numbers(column, flag=flag)
    assert numbers.shape == bad.shape == (len(values),)
    assert np.isnan(numbers[bad]).all()
    assert len(read_levels(column)) == len(values)


@pytest.mark.parametrize(
    "word",
    ["12,50 EUR", "old", "2026-01-01", "True", "1e999", "0x1F", "１２", "--", "7 years", "=1"],
)
def test_one_bad_value_is_missing_and_counted(word):
    frame = pd.DataFrame({"price": [*map(str, range(1, 100)), word]})
    typed, unreadable = typed_columns(frame, {"price": False}, {})
    numbers = typed["price"].to_numpy()
    readable = float("12") if word == "１２" and not unreadable else np.nan
    assert numbers[:99].tolist() == [float(x) for x in range(1, 100)]
    assert np.array_equal(numbers[99:], [readable], equal_nan=True)
    assert dict(unreadable) == ({"price": 1} if np.isnan(readable) else {})


def test_words_for_missing_are_missing_and_no_fault():
    frame = pd.DataFrame({"price": ["n/a", "NA", "", " ", None, "null"]})
    typed, unreadable = typed_columns(frame, {"price": False}, {})
    assert typed["price"].isna().all()
    assert not unreadable


def test_true_and_false_are_numbers_only_of_flags():
    frame = pd.DataFrame({"flag": [True, False], "price": [True, False], "old": ["true", "x"]})
    typed, unreadable = typed_columns(frame, {"flag": True, "price": False, "old": None}, {})
    assert typed["flag"].tolist() == [True, False]
    assert typed["price"].isna().all()
    assert typed["old"].tolist()[0] == 1.0
    assert dict(unreadable) == {"price": 2, "old": 1}


def test_levels_are_written_as_in_training():
    train = pd.DataFrame(
        {
            "enforced": [True, False] * 30,
            "code": ["7", "x"] * 30,
            "sure": ["True", "maybe"] * 30,
            "list": ["1, 2", "2, 3"] * 30,
            "new": [True, False] * 30,
            "price": np.arange(60.0),
        }
    )
    encoding = fit_encoding(train)
    assert encoding.flags == ("new",)
    assert encoding.numeric_kinds == {"new": True, "price": False}
    later = pd.DataFrame(
        {"enforced": [True], "code": [7.0], "sure": [True], "list": [2], "price": ["old"]}
    )
    X = build_features(later, encoding, None)[0]
    value = dict(zip(encoding.names, X, strict=True))
    assert value["code"] == encoding.categorical["code"].index("7")
    assert value["sure"] == encoding.categorical["sure"].index("True")
    assert (value["list=2"], value["list=1"]) == (1.0, 0.0)
    assert np.isnan(value["price"])


def _counts(frame, unreadable=(), **known):
    counts = ColumnCounts({n: frozenset(v) for n, v in known.items()}, {"text": 0.31, "price": 0.2})
    counts.add(frame, ["market", "price", "text"], dict(unreadable))
    return counts


def test_what_the_model_does_not_know_is_told():
    frame = pd.DataFrame({"market": ["FR"] * 80 + ["DE"] * 20, "price": [1.0] * 100})
    counts = _counts(frame, {"price": 1}, market=["DE"])
    assert counts.notes(["market", "price", "text"]) == [
        "price: 1 value could not be read as a number and counts as missing",
        "80 decisions of a market never seen in training",
        "text is absent: 31 % of the model's gain rests on it",
    ]
    counts = _counts(frame.assign(price=np.nan), market=["DE", "FR"])
    assert counts.notes(["market", "price", "text"]) == [
        "text, price are absent: 51 % of the model's gain rests on them"
    ]


def test_too_many_unreadable_values_refuse():
    frame = pd.DataFrame({"price": [1.0] * 100})
    _counts(frame, {"price": 1}).refuse_unreadable(0.01)
    with pytest.raises(DataError, match=r"2 of 100 in price\. Correct .* score.max_unreadable"):
        _counts(frame, {"price": 2}).refuse_unreadable(0.01)
