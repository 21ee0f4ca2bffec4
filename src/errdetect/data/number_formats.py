"""Numbers as people and spreadsheets write them: decimal commas, percent signs, grouped digits.

A column's format is inferred from all of its values, so that 1,234 is read the same way in every
batch, and only where another value makes it unambiguous.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from errdetect.data.identifiers import any_contains

__all__ = [
    "AMBIGUOUS",
    "MISSING_WORDS",
    "PERCENT",
    "NumberFormat",
    "ParsedNumbers",
    "infer_number_format",
    "infer_plain_format",
    "may_be_numeric",
    "parse_formatted_numbers",
]

Mask = npt.NDArray[np.bool_]

#: Words for a missing number in exports; in a text column they are text (NA is Namibia).
MISSING_WORDS = ("na", "n/a", "nan", "null", "none", "-", r"\n", "#n/a")

_TEXT = pa.large_string()
_NONE = pa.scalar(None, _TEXT)
_POWER = r"(?:[eE][+-]?\d+)?$"
_HEAD = r"^[+-]?[1-9]\d{0,2}"
#: A comma that can be the decimal sign, also after points that group digits; and a point.
_COMMA = rf"^[+-]?\d*,\d+{_POWER}|{_HEAD}(?:\.\d{{3}})+,\d+$|{_HEAD}(?:\.\d{{3}}){{2,}}$"
_POINT = rf"^[+-]?\d*\.\d+{_POWER}|{_HEAD}(?:,\d{{3}})+\.\d+$|{_HEAD}(?:,\d{{3}}){{2,}}$"
#: 1,234 and 1.234: the mark may also group digits.
_COMMA_OR_GROUP = rf"{_HEAD},\d{{3}}$"
_POINT_OR_GROUP = rf"{_HEAD}\.\d{{3}}$"
_WHOLE = rf"^[+-]?\d+\.?{_POWER}"
_LEADING_ZERO = r"^[+-]?0\d"
_SPACES = "[\u00a0\u2007\u2008\u2009\u202f]"
_GROUP_SIGNS = "[ '\u2019]"
_SPACED = rf"{_HEAD}(?:{_GROUP_SIGNS}\d{{3}})+(?:[.,]\d+)?$"
_PERCENT_SIGN = "\\s*[%\uff05\ufe6a]$|^[%\uff05\ufe6a]\\s*"
_GROUPS = rf"{_HEAD}(?:[.,]\d{{3}})+[.,]"
_LIKE_NUMBERS = re.compile(r"[\s\d.,'’%％﹪+\u2212eE-]*\d[\s\d.,'’%％﹪+\u2212eE-]*")
_SAMPLE = 200

AMBIGUOUS = (
    "be an unambiguous number (no other value of the column shows whether its "
    "comma or point marks decimals or thousands: write a decimal point and no thousands separators)"
)
PERCENT = "be a number without a percent sign"


@dataclass(frozen=True)
class NumberFormat:
    """How a whole column of texts writes numbers.

    Parameters
    ----------
    given
        Values that are neither empty nor a word for missing.
    numbers
        Those that are numbers in some format; a leading zero (007) makes text.
    comma, point
        Whether some value certainly has a decimal comma, or a decimal point.
    comma_or_group, point_or_group
        Whether there are values such as 1,234, such as 1.234.
    formed
        Numbers in another form than a plain one.
    examples
        Kind (`comma`, `percent`, `group`, `unclear`, `other`) -> the first such value.
    """

    given: int = 0
    numbers: int = 0
    comma: bool = False
    point: bool = False
    comma_or_group: bool = False
    point_or_group: bool = False
    formed: int = 0
    examples: dict[str, str] = field(default_factory=dict)

    def __add__(self, another: "NumberFormat") -> "NumberFormat":
        """Combine the formats of two batches."""
        return NumberFormat(
            self.given + another.given,
            self.numbers + another.numbers,
            self.comma or another.comma,
            self.point or another.point,
            self.comma_or_group or another.comma_or_group,
            self.point_or_group or another.point_or_group,
            self.formed + another.formed,
            another.examples | self.examples,
        )

    @property
    def decimal_sign(self) -> Literal["comma", "point", "both", "unknown"]:
        """The decimal sign of the column's unambiguous values."""
        if self.comma:
            return "both" if self.point else "comma"
        return "point" if self.point else "unknown"

    @property
    def ambiguous(self) -> bool:
        """Whether some value can be read in two ways, and no other value decides."""
        if self.decimal_sign == "both":
            return self.comma_or_group or self.point_or_group
        return self.decimal_sign == "unknown" and self.comma_or_group


@dataclass(frozen=True)
class ParsedNumbers:
    """Numbers read from text.

    Parameters
    ----------
    values
        float64 array; null where there is no number.
    ambiguous, percent
        Which of the unreadable values are ambiguous, or carry a percent sign where none is
        allowed.
    told
        What was read, as phrases with `{n}`.
    """

    values: pa.Array
    ambiguous: Mask
    percent: Mask
    told: Counter[str]


@dataclass(frozen=True)
class _StrippedTexts:
    """Texts without their spaces and signs, and which of them had which."""

    core: pa.Array
    percent: Mask
    spaced: Mask


def infer_number_format(texts: pa.Array) -> NumberFormat:
    """Return how these texts write numbers, value by value.

    Examples
    --------
    >>> form = infer_number_format(pa.array(["0,93", "1,234", "n/a"]))
    >>> form.decimal_sign, form.numbers, form.given, form.ambiguous
    ('comma', 2, 2, False)
    """
    texts = texts.drop_null().cast(_TEXT)
    lower = pc.utf8_lower(pc.utf8_trim_whitespace(texts))
    missing = pc.is_in(lower, value_set=pa.array(["", *MISSING_WORDS], _TEXT))
    texts = texts.filter(pc.invert(missing))
    parts = _strip_signs(texts)
    whole, comma, point = (_matches_pattern(parts.core, one) for one in (_WHOLE, _COMMA, _POINT))
    either_comma = _matches_pattern(parts.core, _COMMA_OR_GROUP)
    either_point = _matches_pattern(parts.core, _POINT_OR_GROUP)
    number = (whole | comma | point) & ~_matches_pattern(parts.core, _LEADING_ZERO)
    formed = number & (comma | _matches_pattern(parts.core, ",") | parts.percent | parts.spaced)
    kinds = {
        "comma": number & comma & ~either_comma,
        "percent": number & parts.percent,
        "group": number & (parts.spaced | _matches_pattern(parts.core, _GROUPS)),
        "unclear": number & either_comma,
        "other": ~number,
    }
    return NumberFormat(
        given=len(texts),
        numbers=int(number.sum()),
        comma=bool(kinds["comma"].any()),
        point=bool((number & point & ~either_point).any()),
        comma_or_group=bool((number & either_comma).any()),
        point_or_group=bool((number & either_point).any()),
        formed=int(formed.sum()),
        examples={k: texts[int(np.argmax(m))].as_py() for k, m in kinds.items() if m.any()},
    )


def may_be_numeric(texts: Sequence[str]) -> bool:
    """Return whether at least half of a few texts hold only characters of numbers.

    Examples
    --------
    >>> may_be_numeric(["1 234,5", "n/a"]), may_be_numeric(["d1", "d2"])
    (True, False)
    """
    return 2 * sum(bool(_LIKE_NUMBERS.fullmatch(text)) for text in texts) >= len(texts)


def infer_plain_format(texts: pa.Array, known: NumberFormat) -> NumberFormat:
    """Return the format of plain numbers: whether they certainly have decimal points, quickly.

    Parameters
    ----------
    texts
        large_string array.
    known
        Format of the column's earlier batches.

    Examples
    --------
    >>> infer_plain_format(pa.array(["3", "0.5"], pa.large_string()), NumberFormat()).decimal_sign
    'point'
    """
    n = len(texts)
    if known.point:
        return NumberFormat(n, n, point=True)
    head = (
        infer_number_format(texts.slice(0, _SAMPLE)) if any_contains(texts, ".") else NumberFormat()
    )
    point = head.point
    if not point and any_contains(texts, "."):
        marked = texts.filter(pc.match_substring(texts, "."))
        head = infer_number_format(marked) if len(marked) else head
    first = {"number": texts[0].as_py()} if len(texts) else {}
    either = head.point_or_group
    return NumberFormat(n, n, point=point or head.point, point_or_group=either, examples=first)


def _strip_signs(texts: pa.Array) -> _StrippedTexts:
    core = pc.replace_substring_regex(texts, _SPACES, " ")
    core = pc.replace_substring(pc.utf8_trim_whitespace(core), "\u2212", "-")
    bare = pc.replace_substring_regex(core, _PERCENT_SIGN, "")
    percent = _to_mask(pc.not_equal(bare, core))
    spaced = _matches_pattern(bare, _SPACED)
    if spaced.any():
        joined = pc.replace_substring_regex(bare, _GROUP_SIGNS, "")
        bare = pc.if_else(pa.array(spaced), joined, bare)
    return _StrippedTexts(bare, percent, spaced)


def parse_formatted_numbers(texts: pa.Array, form: NumberFormat, *, percent: bool) -> ParsedNumbers:
    """Read numbers in the column's format.

    Parameters
    ----------
    texts
        large_string array.
    form
        Of the whole column.
    percent
        Whether a percent sign may stand there: 93% is 0.93.

    Examples
    --------
    >>> texts = pa.array(["93,4 %", "1.234,5"], pa.large_string())
    >>> parse_formatted_numbers(texts, infer_number_format(texts), percent=True).values.to_pylist()
    [0.934, 1234.5]
    """
    parts = _strip_signs(texts)
    core, decimal = parts.core, form.decimal_sign
    either_comma, either_point = (
        _matches_pattern(core, _COMMA_OR_GROUP),
        _matches_pattern(core, _POINT_OR_GROUP),
    )
    comma, point = (
        _matches_pattern(core, _COMMA),
        _matches_pattern(core, _POINT) | _matches_pattern(core, _WHOLE),
    )
    ambiguous = np.zeros(len(texts), dtype=bool)
    if decimal in ("both", "unknown"):
        ambiguous = either_comma | (either_point if decimal == "both" else ambiguous)
        comma &= ~either_comma
    by_comma = (comma | either_point) if decimal == "comma" else comma & ~point
    by_comma &= ~((decimal == "point") & either_comma)
    by_point = (point | either_comma) & ~by_comma
    wrong_sign = parts.percent & (not percent)
    usable = (by_comma | by_point) & ~ambiguous & ~wrong_sign
    plain = pc.if_else(
        pa.array(by_comma),
        pc.replace_substring(pc.replace_substring(core, ".", ""), ",", "."),
        pc.replace_substring(core, ",", ""),
    )
    signed = usable & parts.percent
    if signed.any():
        shift = signed & ~_matches_pattern(plain, "[eE]")
        plain = pc.if_else(pa.array(shift), pc.replace_substring_regex(plain, "$", "e-2"), plain)
        signed &= ~shift
    values = pc.if_else(pa.array(usable), plain, _NONE).cast(pa.float64())
    if signed.any():
        values = pc.if_else(pa.array(signed), pc.divide(values, 100.0), values)
    grouped = usable & (parts.spaced | _matches_pattern(core, _GROUPS))
    grouped |= usable & (either_point & by_comma | either_comma & by_point)
    told = Counter[str]()
    for kind, words, mask in (
        ("comma", "a decimal comma", usable & by_comma & _matches_pattern(core, ",")),
        ("percent", "a percent sign", usable & parts.percent),
        ("group", "grouped digits", grouped),
    ):
        if mask.any():
            example = form.examples.get(kind) or form.examples.get("unclear", "")
            example = re.sub(r"\s", " ", example)
            told[f"{{n}} numbers with {words} read (such as {example!r})"] = int(mask.sum())
    return ParsedNumbers(values, ambiguous & ~wrong_sign, wrong_sign, told)


def _matches_pattern(texts: pa.Array, pattern: str) -> Mask:
    return _to_mask(pc.match_substring_regex(texts, pattern))


def _to_mask(values: pa.Array) -> Mask:
    return np.asarray(pc.fill_null(values, False).to_numpy(zero_copy_only=False), dtype=bool)
