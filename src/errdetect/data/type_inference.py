"""What type a column of text holds: numbers, flags, missing words or text."""

from functools import reduce
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

from errdetect.data.number_formats import (
    NumberFormat,
    infer_number_format,
    infer_plain_format,
    may_be_numeric,
)
from errdetect.data.type_coercion import (
    MISSING_WORDS,
    dictionary_value_type,
)

__all__ = [
    "FeatureKind",
    "Look",
    "infer_arrow_type",
    "infer_text_type",
    "infer_type_and_format",
    "is_mostly_numeric",
    "merge_types",
    "resolve_feature_kind",
]


#: How a feature is read; a `flag` is true/false with gaps: 1, 0 or missing.
FeatureKind = Literal["number", "bool", "flag", "text"]

#: In text without types, `words` are only NA, null and the like; `flag` is true/false with these.
Look = Literal["empty", "words", "bool", "flag", "number", "text", "other"]

_LEADING_ZERO = r"^[+-]?0\d"
_SAMPLE = 200


def infer_arrow_type(kind: pa.DataType) -> Look:
    """Infer it from the column's type in a typed file.

    Examples
    --------
    >>> infer_arrow_type(pa.int8()), infer_arrow_type(pa.date32())
    ('number', 'other')
    """
    kind = dictionary_value_type(kind)
    if pat.is_null(kind):
        return "empty"
    if pat.is_boolean(kind):
        return "bool"
    if pat.is_integer(kind) or pat.is_floating(kind) or pat.is_decimal(kind):
        return "number"
    text = pat.is_string(kind) or pat.is_large_string(kind) or pat.is_string_view(kind)
    return "text" if text or isinstance(kind, pa.BaseExtensionType) else "other"


def infer_text_type(values: pa.Array) -> Look:
    """Infer it from the values of an untyped file; 007 is text, as numbers have no leading zero.

    Examples
    --------
    >>> infer_text_type(pa.array(["1", "NA", None])), infer_text_type(pa.array(["007"]))
    ('number', 'text')
    """
    given = values.drop_null().cast(pa.large_string())
    head = _infer_type(given.slice(0, _SAMPLE))
    return head if head == "text" or len(given) <= _SAMPLE else _infer_type(given)


def infer_type_and_format(values: pa.Array, known: NumberFormat) -> tuple[Look, NumberFormat]:
    """Infer a batch's type, and its number format if most values are numbers.

    Parameters
    ----------
    values
        Text of a file without types.
    known
        Format of the column's earlier batches.

    Returns
    -------
    look, form
        Decimal commas, percent signs and grouped digits make numbers too. For other texts the
        format only has their count.

    Examples
    --------
    >>> look, form = infer_type_and_format(pa.array(["0,93", "NA"]), NumberFormat())
    >>> look, form.decimal_sign
    ('number', 'comma')
    """
    given = values.drop_null().cast(pa.large_string())
    head = given.slice(0, _SAMPLE)
    look = _infer_type(head)
    if look == "text" and not is_mostly_numeric(known):
        form = infer_number_format(head) if may_be_numeric(head.to_pylist()) else NumberFormat()
        if not is_mostly_numeric(form):
            return "text", NumberFormat(given=len(given))
    look = look if len(given) <= _SAMPLE and look != "text" else _infer_type(given)
    if look == "number":
        return look, infer_plain_format(given, known)
    if look != "text":
        return look, NumberFormat()
    form = infer_number_format(given)
    return ("number" if form.numbers == form.given else "text"), form


def is_mostly_numeric(form: NumberFormat) -> bool:
    """Return whether at least half of a column's values are numbers in some format.

    Examples
    --------
    >>> is_mostly_numeric(NumberFormat(given=3, numbers=2))
    True
    """
    return 0 < form.given <= 2 * form.numbers


def _infer_type(texts: pa.Array) -> Look:
    if not len(texts):
        return "empty"
    if _is_all_numeric(texts):
        return "number"
    lower = pc.utf8_lower(pc.utf8_trim_whitespace(texts))
    rest = lower.filter(pc.invert(pc.is_in(lower, value_set=_string_array(*MISSING_WORDS))))
    if not len(rest):
        return "words"
    if pc.all(pc.is_in(rest, value_set=_string_array("true", "false"))).as_py():
        return "bool" if len(rest) == len(lower) else "flag"
    return "number" if _is_all_numeric(rest) else "text"


def _is_all_numeric(texts: pa.Array) -> bool:
    """Return whether all values are numbers, none with a leading zero, at least one finite."""
    try:
        numbers = texts.cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    if not pc.any(pc.is_finite(numbers)).as_py():
        return False
    return not pc.any(pc.match_substring_regex(texts, _LEADING_ZERO)).as_py()


def _string_array(*words: str) -> pa.Array:
    return pa.array(words, pa.large_string())


def merge_types(*looks: Look) -> Look:
    """Return the type of a column whose parts have these types.

    Examples
    --------
    >>> merge_types("empty", "number"), merge_types("number", "text"), merge_types("words", "bool")
    ('number', 'text', 'flag')
    """
    return reduce(_merge_two_types, looks)


def _merge_two_types(one: Look, other: Look) -> Look:
    if one == other or other == "empty":
        return one
    if one == "empty":
        return other
    if "other" in (one, other):
        return "other"
    if {one, other} <= {"words", "bool", "flag"}:
        return "flag"
    return "number" if {one, other} == {"words", "number"} else "text"


def resolve_feature_kind(look: Look, *, gaps: bool) -> FeatureKind:
    """Return how to read a column of this type; an empty one holds missing numbers.

    Parameters
    ----------
    look
        The column's inferred type, not `other`.
    gaps
        Whether values can be missing.

    Examples
    --------
    >>> resolve_feature_kind("bool", gaps=False), resolve_feature_kind("bool", gaps=True)
    ('bool', 'flag')
    """
    if look in ("bool", "flag"):
        return "flag" if gaps or look == "flag" else "bool"
    return "text" if look in ("text", "words") else "number"
