"""What a column looks like settles how every batch of it is read."""

import itertools

import pyarrow as pa
import pytest

from errdetect.data.number_formats import NumberFormat
from errdetect.data.type_inference import (
    infer_arrow_type,
    infer_text_type,
    infer_type_and_format,
    merge_types,
    resolve_feature_kind,
)

LOOKS = ("empty", "words", "bool", "flag", "number", "text", "other")


@pytest.mark.parametrize(
    ("values", "look"),
    [
        (["1", "2.5", None], "number"),
        (["1", "NA", "-"], "number"),
        (["0", "0.5", "-0.5"], "number"),
        (["007", "1"], "text"),
        (["True", "false"], "bool"),
        (["true", "n/a"], "flag"),
        (["NA", "null"], "words"),
        (["nan"], "words"),
        (["inf"], "text"),
        ([None], "empty"),
        (["1"] * 500 + ["x"], "text"),
        (["1"] * 500 + ["001"], "text"),
    ],
)
def test_look_of_text(values, look):
    assert infer_text_type(pa.array(values, pa.string())) == look


@pytest.mark.parametrize(
    ("kind", "look"),
    [
        (pa.bool_(), "bool"),
        (pa.decimal128(5, 2), "number"),
        (pa.dictionary(pa.int8(), pa.string()), "text"),
        (pa.uuid(), "text"),
        (pa.list_(pa.int8()), "other"),
        (pa.timestamp("us"), "other"),
        (pa.null(), "empty"),
    ],
)
def test_look_of_type(kind, look):
    assert infer_arrow_type(kind) == look


def test_merging_does_not_depend_on_order():
    for parts in itertools.product(LOOKS, repeat=3):
        results = {merge_types(*order) for order in itertools.permutations(parts)}
        assert len(results) == 1, parts


def test_kinds():
    assert [resolve_feature_kind(look, gaps=True) for look in LOOKS[:6]] == [
        "number",
        "text",
        "flag",
        "flag",
        "number",
        "text",
    ]
    assert resolve_feature_kind("bool", gaps=False) == "bool"


@pytest.mark.parametrize(
    ("values", "look", "numbers"),
    [
        (["0,93", "NA", None], "number", 1),
        (["93%", "1.234,5"], "number", 2),
        (["5", "7"], "number", 2),
        (["5", "7", "x"], "text", 2),
        (["a", "b", "5"], "text", 0),
        (["007", "1,5"], "text", 1),
        (["true", "false"], "bool", 0),
    ],
)
def test_numbers_in_other_forms_look_like_numbers(values, look, numbers):
    seen, form = infer_type_and_format(pa.array(values, pa.string()), NumberFormat())
    assert (seen, form.numbers) == (look, numbers)


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_the_form_does_not_depend_on_the_batches(size):
    texts = ["1"] * 500 + ["1,234"] * 300 + ["0,5"] + ["12"] * 400
    form = NumberFormat()
    for start in range(0, len(texts), size):
        form += infer_type_and_format(pa.array(texts[start : start + size]), form)[1]
    assert (form.decimal_sign, form.given, form.numbers) == ("comma", len(texts), len(texts))
