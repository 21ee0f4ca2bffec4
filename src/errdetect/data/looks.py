"""What a further column's values look like, so that every batch of it is read alike."""

from functools import reduce
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

from errdetect.data.type_coercion import MISSING_WORDS, plain_type
from errdetect.data.number_formats import NumberForm, could_be_numbers, form_of_numbers, plain_form

__all__ = [
    "FeatureKind",
    "Look",
    "kind_of",
    "look_and_form",
    "look_of_text",
    "look_of_type",
    "merged",
    "mostly_numbers",
]

#: How a feature is read; a `flag` is true/false with gaps: 1, 0 or missing.
FeatureKind = Literal["number", "bool", "flag", "text"]

#: In text without types `words` are only NA, null and the like, `flag` is true/false among such.
Look = Literal["empty", "words", "bool", "flag", "number", "text", "other"]

_LEADING_ZERO = r"^[+-]?0\d"
_SAMPLE = 200


def look_of_type(kind: pa.DataType) -> Look:
    """Tell it from the type of a file that has types.

    Examples
    --------
    >>> look_of_type(pa.int8()), look_of_type(pa.date32())
    ('number', 'other')
    """
    kind = plain_type(kind)
    if pat.is_null(kind):
        return "empty"
    if pat.is_boolean(kind):
        return "bool"
    if pat.is_integer(kind) or pat.is_floating(kind) or pat.is_decimal(kind):
        return "number"
    text = pat.is_string(kind) or pat.is_large_string(kind) or pat.is_string_view(kind)
    return "text" if text or isinstance(kind, pa.BaseExtensionType) else "other"


def look_of_text(values: pa.Array) -> Look:
    """Tell it from the values of a file without types; 007 is text, for it is no number's form.

    Examples
    --------
    >>> look_of_text(pa.array(["1", "NA", None])), look_of_text(pa.array(["007"]))
    ('number', 'text')
    """
    given = values.drop_null().cast(pa.large_string())
    head = _look(given.slice(0, _SAMPLE))
    return head if head == "text" or len(given) <= _SAMPLE else _look(given)


def look_and_form(values: pa.Array, known: NumberForm) -> tuple[Look, NumberForm]:
    """Tell what a batch of texts looks like, and how it writes numbers where most of it is some.

    Parameters
    ----------
    values
        Text of a file without types.
    known
        Of the column's batches before.

    Returns
    -------
    look, form
        Numbers with decimal commas, percent signs or grouped digits look like numbers too. Of
        other texts the form only has how many there are.

    Examples
    --------
    >>> look, form = look_and_form(pa.array(["0,93", "NA"]), NumberForm())
    >>> look, form.decimal
    ('number', 'comma')
    """
    given = values.drop_null().cast(pa.large_string())
    head = given.slice(0, _SAMPLE)
    look = _look(head)
    if look == "text" and not mostly_numbers(known):
        form = form_of_numbers(head) if could_be_numbers(head.to_pylist()) else NumberForm()
        if not mostly_numbers(form):
            return "text", NumberForm(given=len(given))
    look = look if len(given) <= _SAMPLE and look != "text" else _look(given)
    if look == "number":
        return look, plain_form(given, known)
    if look != "text":
        return look, NumberForm()
    form = form_of_numbers(given)
    return ("number" if form.numbers == form.given else "text"), form


def mostly_numbers(form: NumberForm) -> bool:
    """Whether at least half of a column's values are numbers in some form.

    Examples
    --------
    >>> mostly_numbers(NumberForm(given=3, numbers=2))
    True
    """
    return 0 < form.given <= 2 * form.numbers


def _look(texts: pa.Array) -> Look:
    if not len(texts):
        return "empty"
    if _numbers(texts):
        return "number"
    lower = pc.utf8_lower(pc.utf8_trim_whitespace(texts))
    rest = lower.filter(pc.invert(pc.is_in(lower, value_set=_words(*MISSING_WORDS))))
    if not len(rest):
        return "words"
    if pc.all(pc.is_in(rest, value_set=_words("true", "false"))).as_py():
        return "bool" if len(rest) == len(lower) else "flag"
    return "number" if _numbers(rest) else "text"


def _numbers(texts: pa.Array) -> bool:
    """Whether all of it is numbers, none with a leading zero, at least one finite."""
    try:
        numbers = texts.cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    if not pc.any(pc.is_finite(numbers)).as_py():
        return False
    return not pc.any(pc.match_substring_regex(texts, _LEADING_ZERO)).as_py()


def _words(*words: str) -> pa.Array:
    return pa.array(words, pa.large_string())


def merged(*looks: Look) -> Look:
    """Say what a column looks like whose parts look like this.

    Examples
    --------
    >>> merged("empty", "number"), merged("number", "text"), merged("words", "bool")
    ('number', 'text', 'flag')
    """
    return reduce(_merged, looks)


def _merged(one: Look, other: Look) -> Look:
    if one == other or other == "empty":
        return one
    if one == "empty":
        return other
    if "other" in (one, other):
        return "other"
    if {one, other} <= {"words", "bool", "flag"}:
        return "flag"
    return "number" if {one, other} == {"words", "number"} else "text"


def kind_of(look: Look, *, gaps: bool) -> FeatureKind:
    """Settle how to read a column of this look; an empty one is missing numbers.

    Parameters
    ----------
    look
        What it looks like, not `other`.
    gaps
        Whether values can be missing.

    Examples
    --------
    >>> kind_of("bool", gaps=False), kind_of("bool", gaps=True)
    ('bool', 'flag')
    """
    if look in ("bool", "flag"):
        return "flag" if gaps or look == "flag" else "bool"
    return "text" if look in ("text", "words") else "number"
