"""Ids in canonical form (digits, lower-case UUIDs), so that ids from different systems join."""

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from errdetect.errors import DataError, error_message

__all__ = [
    "DIGITS_LOST",
    "ID_COLUMNS",
    "IdFormat",
    "any_contains",
    "canonical_ids",
    "decode_binary_ids",
    "id_match_keys",
    "infer_id_format",
    "merge_id_formats",
    "resolve_file_format",
]

Mask = npt.NDArray[np.bool_]

#: The contract's id columns; readable ids such as a policy's stay as they are.
ID_COLUMNS = frozenset(
    {"decision_id", "item_id", "account_id", "review_id", "reviewer_id", "draw_id"}
)

_TEXT = pa.large_string()
_PARTS = ("[0-9a-f]{8}", "[0-9a-f]{4}", "[0-9a-f]{4}", "[0-9a-f]{4}", "[0-9a-f]{12}")
_BARE = "-".join(_PARTS)
_UUID = rf"^(?:{_BARE}|\{{{_BARE}\}}|\({_BARE}\)|urn:uuid:{_BARE})$"
#: Without hyphens it is a UUID only with the version and variant of RFC 9562; hashes lack them.
_HEX = r"^[0-9a-f]{12}[1-8][0-9a-f]{3}[89ab][0-9a-f]{15}$"
_SHORTEST_UUID = 32
#: If this many all have a UUID's version and variant, they are not hashes, of which 1 in 8 does.
_MANY = 20
_UUID_LENGTHS = pa.array([36, 38, 45], pa.int64())

_WHOLE = r"^-?(?:0|[1-9]\d*)$"
_ZEROS = r"^(-?(?:0|[1-9]\d*))\.0+$"
_SCIENTIFIC = r"^-?[1-9](?:\.\d+[eE]\+?|[eE]\+)\d{1,3}$"
#: A number too long for a spreadsheet, in its notation; nothing else has this form.
_SHORTENED = r"^[1-9](?:\.\d+)?[eE]\+\d{2,3}$"
_SAMPLE = 200

DIGITS_LOST = (
    "have all of its digits, but scientific notation cut them off (export the ids as text)"
)
_DECIMALS = (
    "{n} ids written with decimals or in scientific notation read by their digits ('7.0' as '7')"
)
_ONE_FORM = "{n} UUIDs written in one form (lower case, with hyphens)"


@dataclass(frozen=True)
class IdFormat:
    """The formats in a whole id column of texts.

    Parameters
    ----------
    whole, zeros, scientific, hyphens, hashes, other
        Whether it holds plain whole numbers, whole numbers with decimals (`7.0`), scientific
        notation, UUIDs with hyphens, other values of 32 hexadecimal digits, anything else.
    compact
        How many UUIDs without hyphens it holds.
    """

    whole: bool = False
    zeros: bool = False
    scientific: bool = False
    hyphens: bool = False
    hashes: bool = False
    other: bool = False
    compact: int = 0

    @property
    def numeric(self) -> bool:
        """Whether all values are numbers, some not written as plain digits."""
        return (self.zeros or self.scientific) and not (self.other or self.compact or self.hyphens)

    @property
    def is_uuids(self) -> bool:
        """Whether its 32 hexadecimal digits are UUIDs: all values are, or many are and no hashes."""
        texts = self.whole or self.zeros or self.scientific or self.other
        return not self.hashes and self.compact >= (_MANY if texts else 1)


def infer_id_format(values: pa.Array) -> IdFormat:
    """Return the formats of one batch's ids.

    Examples
    --------
    >>> infer_id_format(pa.array(["7.0", "8.0"])).numeric, infer_id_format(pa.array(["7.0", "x"])).numeric
    (True, False)
    """
    texts = values.drop_null().cast(_TEXT)
    head = _infer_text_format(texts.slice(0, _SAMPLE))
    return head if head.other or len(texts) <= _SAMPLE else _infer_text_format(texts)


def _infer_text_format(texts: pa.Array) -> IdFormat:
    rest = texts.filter(pc.not_equal(pc.utf8_trim_whitespace(texts), ""))
    found = {}
    for name, pattern in (("whole", _WHOLE), ("zeros", _ZEROS), ("scientific", _SCIENTIFIC)):
        rest, found[name] = _split_off_matches(rest, pattern)
    given = rest = pc.utf8_lower(rest)
    rest, _ = _split_off_matches(rest, _HEX)
    compact = len(given) - len(rest)
    rest, hyphens = _split_off_matches(rest, _UUID)
    hashes = len(_split_off_matches(rest, "^[0-9a-f]{32}$")[0]) < len(rest)
    return IdFormat(**found, compact=compact, hyphens=hyphens, hashes=hashes, other=len(rest) > 0)


def _split_off_matches(texts: pa.Array, pattern: str) -> tuple[pa.Array, bool]:
    if not len(texts):
        return texts, False
    fits = pc.match_substring_regex(texts, pattern)
    return texts.filter(pc.invert(fits)), bool(pc.any(fits).as_py())


def merge_id_formats(one: IdFormat, another: IdFormat) -> IdFormat:
    """Combine the formats of two batches.

    Examples
    --------
    >>> merge_id_formats(IdFormat(zeros=True), IdFormat(other=True)).numeric
    False
    """
    flags = {name: getattr(one, name) or getattr(another, name) for name in vars(one)}
    return IdFormat(**flags | {"compact": one.compact + another.compact})


def resolve_file_format(form: IdFormat) -> IdFormat:
    """Return the format of a whole file; if it has both `7` and `7.0`, they are different texts.

    Examples
    --------
    >>> resolve_file_format(infer_id_format(pa.array(["7.0", "7"]))).numeric
    False
    """
    both = form.whole and form.zeros and not form.scientific
    return replace(form, other=True) if both else form


@dataclass
class _CanonicalIds:
    """Ids in canonical form, which of them lost digits, and the conversions made."""

    texts: pa.Array
    lost: Mask
    told: Counter[str] = field(default_factory=Counter)


def canonical_ids(texts: pa.Array, form: IdFormat) -> tuple[pa.Array, Mask, Counter[str]]:
    """Return ids in canonical form: UUIDs in lower case with hyphens, numbers as digits.

    Parameters
    ----------
    texts
        large_string array.
    form
        The whole column's format.

    Returns
    -------
    texts, lost, told
        The ids; where scientific notation cut digits off (null there); and the conversions made.

    Examples
    --------
    >>> ids = pa.array(["{6BA7B810-9DAD-11D1-80B4-00C04FD430C8}", "1.2E+17"], pa.large_string())
    >>> read, lost, _ = canonical_ids(ids, IdFormat(other=True))
    >>> read.to_pylist(), lost.tolist()
    (['6ba7b810-9dad-11d1-80b4-00c04fd430c8', None], [False, True])
    """
    ids = _CanonicalIds(texts, np.zeros(len(texts), dtype=bool))
    lengths = pc.binary_length(texts)
    if (pc.max(lengths).as_py() or 0) >= _SHORTEST_UUID:
        likely = pc.is_in(pc.cast(lengths, pa.int64()), value_set=_UUID_LENGTHS)
        if form.is_uuids:
            likely = pc.or_kleene(likely, pc.equal(lengths, 32))
        _canonicalise_uuids(ids, likely, compact=form.is_uuids)
    if form.numeric:
        _canonicalise_numbers(ids, pc.match_substring_regex(ids.texts, _ZEROS))
    if form.numeric or any_contains(ids.texts, "E+") or any_contains(ids.texts, "e+"):
        pattern = _SCIENTIFIC if form.numeric else _SHORTENED
        _expand_exponents(ids, pc.match_substring_regex(ids.texts, pattern), exact=form.numeric)
    return ids.texts, ids.lost, ids.told


def id_match_keys(texts: pa.Array) -> pa.Array:
    """Return keys that are equal for ids that could be the same.

    Examples
    --------
    >>> id_match_keys(pa.array(["7.0", "x"], pa.large_string())).to_pylist()
    ['7', 'x']
    """
    if any_contains(texts, "."):
        texts = pc.coalesce(canonical_ids(texts, IdFormat(zeros=True))[0], texts)
    return pc.coalesce(canonical_ids(texts, IdFormat(compact=1))[0], texts)


def any_contains(texts: pa.Array, part: str) -> bool:
    """Return whether some text of a large_string array contains this one (missing ones may).

    Examples
    --------
    >>> any_contains(pa.array(["a", "b.c"], pa.large_string()), ".")
    True
    """
    _, offsets, data = texts.buffers()
    if data is None or not len(texts):
        return False
    bounds = np.frombuffer(offsets, dtype=np.int64)[texts.offset :]
    first, last = int(bounds[0]), int(bounds[len(texts)])
    return part.encode() in data.slice(first, last - first).to_pybytes()


def _canonicalise_uuids(ids: _CanonicalIds, likely: pa.Array, *, compact: bool) -> None:
    at = np.flatnonzero(_to_mask(likely))
    if not len(at):
        return
    lower = pc.utf8_lower(ids.texts.take(pa.array(at)))
    fits = _to_mask(pc.match_substring_regex(lower, _UUID))
    if compact:
        fits |= _to_mask(pc.match_substring_regex(lower, _HEX))
    at, lower = at[fits], lower.filter(pa.array(fits))
    bare = pc.replace_substring_regex(lower, r"urn:uuid:|[{}()-]", "")
    pattern = "".join(rf"([0-9a-f]{{{n}}})" for n in (8, 4, 4, 4, 12))
    written = pc.replace_substring_regex(bare, f"^{pattern}$", r"\1-\2-\3-\4-\5")
    differs = _to_mask(pc.not_equal(written, ids.texts.take(pa.array(at))))
    if differs.any():
        ids.texts = _replace_at(ids.texts, at[differs], written.filter(pa.array(differs)))
        ids.told[_ONE_FORM] += int(differs.sum())


def _canonicalise_numbers(ids: _CanonicalIds, fits: pa.Array) -> None:
    at = np.flatnonzero(_to_mask(fits))
    if len(at):
        digits = pc.replace_substring_regex(ids.texts.take(pa.array(at)), r"\.0+$", "")
        digits = pc.replace_substring_regex(digits, r"^-0$", "0")
        ids.texts = _replace_at(ids.texts, at, digits)
        ids.told[_DECIMALS] += len(at)


def _expand_exponents(ids: _CanonicalIds, fits: pa.Array, *, exact: bool) -> None:
    """Write 1.022E3 as 1022; if fewer digits are written than the number has, they are lost."""
    at = np.flatnonzero(_to_mask(fits))
    if not len(at):
        return
    written = [_expand_exponent(text) for text in ids.texts.take(pa.array(at)).to_pylist()]
    known = np.array([digits is not None for digits in written])
    lost = at[~known]
    ids.lost[lost] = True
    if exact and known.any():
        found = pa.array([d for d in written if d is not None], _TEXT)
        ids.texts = _replace_at(ids.texts, at[known], found)
        ids.told[_DECIMALS] += int(known.sum())
    ids.texts = _replace_at(ids.texts, lost, pa.nulls(len(lost), _TEXT))


def _expand_exponent(text: str) -> str | None:
    mantissa, _, power = text.lower().partition("e")
    head, _, tail = mantissa.partition(".")
    shift, kept = int(power), tail.rstrip("0")
    if len(tail) < shift or len(kept) > shift:
        return None
    return head + tail[:shift]


def _replace_at(texts: pa.Array, at: npt.NDArray[np.int64], values: pa.Array) -> pa.Array:
    """Replace the values at these positions."""
    if not len(at):
        return texts
    mask = np.zeros(len(texts), dtype=bool)
    mask[at] = True
    return pc.replace_with_mask(texts, pa.array(mask), values.cast(_TEXT))


def _to_mask(values: pa.Array) -> Mask:
    return np.asarray(pc.fill_null(values, False).to_numpy(zero_copy_only=False), dtype=bool)


# --- bytes -------------------------------------------------------------------------------------

_HEXDIGITS = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
#: Positions of the 32 hexadecimal digits among the 36 characters.
_PLACES = np.array([i for i in range(36) if i not in (8, 13, 18, 23)])


def decode_binary_ids(name: str, values: pa.Array) -> tuple[pa.Array, int]:
    r"""Decode binary ids: printable ones as text, 16 bytes as UUIDs.

    Parameters
    ----------
    name
        The column, for messages.
    values
        Binary array, of any width.

    Returns
    -------
    texts, n_uuids
        large_string array, and how many of them are UUIDs. A UUID's ninth byte is not ASCII
        (RFC 9562, 4.1), so it cannot be mistaken for text of 16 characters.

    Raises
    ------
    DataError
        If a value is neither.

    Examples
    --------
    >>> decode_binary_ids("decision_id", pa.array([b"d1", bytes(range(16))]))[0].to_pylist()
    ['d1', '00010203-0405-0607-0809-0a0b0c0d0e0f']
    """
    binary = values.cast(pa.large_binary())
    sixteen = _to_mask(pc.equal(pc.binary_length(binary), 16))
    if not sixteen.all() or binary.null_count:
        printable = np.array([_is_printable(value) for value in binary.to_pylist()], dtype=bool)
    else:
        data = np.frombuffer(b"".join(binary.to_pylist()), dtype=np.uint8).reshape(-1, 16)
        printable = np.asarray(((data >= 0x20) & (data < 0x7F)).all(axis=1), dtype=bool)
    wrong = _to_mask(binary.is_valid()) & ~printable & ~sixteen
    if wrong.any():
        example = binary[int(np.flatnonzero(wrong)[0])].as_py().hex()
        got = f"binary values such as 0x{example[:32]}{'…' if len(example) > 32 else ''}"
        must = "hold text, numbers or UUIDs (16 bytes)"
        do = "Export the column as text, such as its hexadecimal digits, in every table."
        raise DataError(error_message(f"Column {name}", must, got, do))
    at = np.flatnonzero(sixteen & ~printable)
    readable = pc.if_else(pa.array(printable), binary, pa.scalar(None, pa.large_binary()))
    return _replace_at(readable.cast(_TEXT), at, _format_uuids(binary.take(pa.array(at)))), len(at)


def _is_printable(value: bytes | None) -> bool:
    try:
        if value is None or (len(value) == 16 and not value.isascii()):
            return False
        return value.decode("utf-8").isprintable()
    except UnicodeDecodeError:
        return False


def _format_uuids(binary: pa.Array) -> pa.Array:
    """Format arrays of 16 bytes as UUIDs, vectorised."""
    data = np.frombuffer(b"".join(binary.to_pylist()), dtype=np.uint8).reshape(-1, 16)
    digits = np.empty((len(data), 32), dtype=np.uint8)
    digits[:, 0::2], digits[:, 1::2] = _HEXDIGITS[data >> 4], _HEXDIGITS[data & 15]
    out = np.full((len(data), 36), ord("-"), dtype=np.uint8)
    out[:, _PLACES] = digits
    offsets = np.arange(len(data) + 1, dtype=np.int64) * 36
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(out.tobytes())]
    return pa.Array.from_buffers(_TEXT, len(data), buffers)
