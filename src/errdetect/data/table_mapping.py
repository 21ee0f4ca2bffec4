"""A table's own mapping: its columns, words, constants and times become ours before anything is checked."""

import difflib
import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from errdetect.data.local_times import to_iso_times
from errdetect.data.type_coercion import to_text
from errdetect.errors import DataError, error_message
from errdetect.schemas import DECISIONS, DRAWS, REVIEWS
from errdetect.table_settings import TableMapping

__all__ = ["apply_mapping", "has_value", "needs_mapping", "review_digests"]

_TEXT = pa.large_string()
_TIMES = [c.name for c in (*DECISIONS, *REVIEWS, *DRAWS) if c.kind == "timestamp"]
_DAY_ENDS = ("reviewed_at", "updated_at", "drawn_at", "due_at")
#: What tells one review from another where no review_id does.
_IDENTITY = ("decision_id", "reviewed_at", "source", "reviewer_id", "site")
_SCHEMAS = {"decisions": DECISIONS, "reviews": REVIEWS, "draws": DRAWS}


def needs_mapping(mapping: TableMapping, table: str, found: Sequence[str], shown: str) -> bool:
    """Return whether files need their mapping; refuse one that names columns which they do not have.

    Files that have none of the named columns, but all of the required ones under our names, need none:
    such as a batch that was already converted.

    Parameters
    ----------
    mapping, table
        The mapping, of `decisions`, `reviews` or `draws`.
    found
        The user's columns in all files.
    shown
        The files, for messages.

    Raises
    ------
    DataError
        Naming every such column, with the nearest one.
    """
    users = [user for user, _ in mapping.pairs()]
    absent = [user for user in users if user not in found]
    required = {column.name for column in _SCHEMAS.get(table, ()) if column.required}
    ours = required - set(mapping.constants) - {"item_id", "review_id"}
    if not absent:
        return True
    if len(absent) == len(users) and ours <= set(found):
        return False
    near = [difflib.get_close_matches(user, found, n=1) for user in absent]
    hints = [f"{one[0]!r} for {user!r}" for one, user in zip(near, absent, strict=True) if one]
    do = f"Did you mean {', '.join(hints)}?" if hints else f"It has {', '.join(sorted(found))}."
    fed = {ours for user, named in mapping.pairs() if user in found for ours in named}
    unfed = sorted(ours - fed - set(found))
    if unfed:
        do += f" Needed and fed by no column: {', '.join(unfed)}."
    what = f"data.{table}.columns" if table else "columns"
    must = f"name columns of {shown}"
    raise DataError(error_message(what, must, ", ".join(map(repr, absent)), do))


def apply_mapping(table: pa.Table, mapping: TableMapping, name: str, shown: str) -> pa.Table:
    """Give a batch of rows our columns and words.

    Parameters
    ----------
    table
        The rows, with the user's columns.
    mapping
        The table's mapping.
    name
        `decisions`, `reviews` or `draws`; reviews without a review_id get one.
    shown
        The file, for messages.

    Returns
    -------
    pyarrow.Table
        Mapped columns under our names, others as they are.

    Raises
    ------
    DataError
        If a column would stand twice.

    Examples
    --------
    >>> rows = pa.table({"case": ["a1", "a2"], "qa": ["Correct", "Dunno"]})
    >>> mapping = TableMapping(
    ...     columns={"case": "decision_id", "qa": "verdict"},
    ...     values={"verdict": {"correct": "upheld"}}, constants={"source": "re_review"},
    ... )
    >>> apply_mapping(rows, mapping, "", "qa.csv").to_pylist()[1]
    {'decision_id': 'a2', 'verdict': 'Dunno', 'source': 're_review'}
    """
    arrays = _rename(table, mapping, shown)
    for ours, value in mapping.constants.items():
        arrays[ours] = pa.array([value] * table.num_rows, _TEXT if isinstance(value, str) else None)
    for ours, words in mapping.values.items():
        if ours in arrays:
            arrays[ours] = _replace_words(ours, arrays[ours], words)
    if mapping.dates is not None or mapping.time_zone is not None:
        for ours in [time for time in _TIMES if time in arrays]:
            arrays[ours] = to_iso_times(
                arrays[ours],
                dates=mapping.dates,
                zone=mapping.time_zone,
                markets=arrays.get("market"),
                day_end=ours in _DAY_ENDS,
            )
    if name == "reviews" and "review_id" not in arrays and "decision_id" in arrays:
        arrays["review_id"] = review_digests(arrays)
    return pa.table(arrays) if arrays else table


def _rename(table: pa.Table, mapping: TableMapping, shown: str) -> dict[str, pa.Array]:
    """Return the columns under our names; the user's own column of a constant's name is left out."""
    pairs = [(user, ours) for user, ours in mapping.pairs() if user in table.column_names]
    used = {user for user, _ in pairs}
    targets = {ours for _, named in pairs for ours in named}
    arrays: dict[str, pa.Array] = {}
    for user in table.column_names:
        if user not in used and user in targets:
            do = f"Map it too, for example to their_{user}, or leave it out under data.drop."
            what = f"columns: {user!r}"
            got = f"a column of its own in {shown}"
            raise DataError(error_message(what, "map to a name that is free", got, do))
        named = next((ours for name, ours in pairs if name == user), [user])
        for ours in named:
            arrays[ours] = table[user].combine_chunks()
    return arrays


def _replace_words(column: str, values: pa.Array, words: Mapping[str, str]) -> pa.Array:
    """Replace the words that the config names, whatever their case; others stay as they are."""
    texts = to_text(column, values).values
    keys = pa.array([word.strip().lower() for word in words], _TEXT)
    place = pc.index_in(pc.utf8_lower(pc.utf8_trim_whitespace(texts)), value_set=keys)
    return pc.coalesce(pa.array(list(words.values()), _TEXT).take(place), texts)


def has_value(column: str, values: pa.Array) -> npt.NDArray[np.bool_]:
    """Return which rows have a value, shape (n,); text of spaces is none.

    Examples
    --------
    >>> has_value("verdict", pa.array(["upheld", "", None])).tolist()
    [True, False, False]
    """
    texts = pc.utf8_trim_whitespace(to_text(column, values).values)
    given = pc.not_equal(pc.coalesce(texts, pa.scalar("", _TEXT)), "")
    return np.asarray(given.to_numpy(zero_copy_only=False), dtype=np.bool_)


def review_digests(arrays: Mapping[str, pa.Array]) -> pa.Array:
    """Return an id for each review: a digest of whose review of what it is, and when.

    Parameters
    ----------
    arrays
        The reviews' columns; the decision, the time, the source, the reviewer and the site count,
        the verdict does not. So equal rows are one review, and two verdicts at one moment conflict.

    Examples
    --------
    >>> review_digests({"decision_id": pa.array(["d1"]), "verdict": pa.array(["upheld"])}).to_pylist()
    ['row-ed2e0122e8c3eb7c']
    """
    parts = [_plain(name, arrays[name]) if name in arrays else None for name in _IDENTITY]
    rows = zip(*(part for part in parts if part is not None), strict=True)
    names = "\x1f".join(name for name in _IDENTITY if name in arrays)
    texts = (names + "\x1e" + "\x1f".join(row) for row in rows)
    digests = [hashlib.blake2b(one.encode(), digest_size=8).hexdigest() for one in texts]
    return pa.array([f"row-{digest}" for digest in digests], _TEXT)


def _plain(name: str, values: pa.Array) -> list[str]:
    """Return a column as text, missing as empty."""
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
        zone = getattr(values.type, "tz", None)
        values = values.cast(pa.timestamp("us", tz=zone), safe=False).cast(pa.int64())
    texts = pc.utf8_trim_whitespace(to_text(name, values).values)
    return [text or "" for text in texts.to_pylist()]
