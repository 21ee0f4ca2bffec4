"""Reading JSON that is no plain JSON Lines: one list of rows printed in any way, rows of nested objects."""

import json
from collections.abc import Iterator
from typing import IO, Any

import pyarrow as pa

from errdetect.errors import DataError, error_message

__all__ = ["flatten_objects", "iter_json_rows"]

#: Most characters of one row, and of a document whose list stands inside an object.
_LONGEST = 64 << 20
_CHUNK = 1 << 20
_SPACE = " \t\r\n,"
#: How deep in an object the list of rows is looked for.
_DEPTH = 3


def iter_json_rows(stream: IO[str], shown: str, *, unwrap: bool = True) -> Iterator[Any]:
    r"""Yield the values of a JSON list one by one, or those of the list in an object.

    Parameters
    ----------
    stream
        The text, from its beginning.
    shown
        The file, for messages.
    unwrap
        Whether the rows of a single object are those of the first list in it.

    Raises
    ------
    DataError
        If it is no JSON, or no list of rows is found.

    Examples
    --------
    >>> import io
    >>> list(iter_json_rows(io.StringIO('[{"a": 1},\n {"a": 2}]'), "x.json"))
    [{'a': 1}, {'a': 2}]
    >>> list(iter_json_rows(io.StringIO('{"next": null, "events": [{"a": 1}]}'), "x.json"))
    [{'a': 1}]
    """
    text = stream.read(_CHUNK).lstrip("\ufeff").lstrip()
    if not text.startswith("["):
        yield from _rows_of_objects(stream, text, shown, unwrap=unwrap)
        return
    buffer, at, ended, decoder = text, 1, False, json.JSONDecoder()
    while True:
        while at < len(buffer) and buffer[at] in _SPACE:
            at += 1
        if buffer[at : at + 1] == "]":
            return
        value, end = _decode(decoder, buffer, at)
        # A number at the end of what was read may go on.
        if end is None or (end == len(buffer) and not ended):
            if ended or len(buffer) - at > _LONGEST:
                raise _fault(shown, buffer[at:])
            more = stream.read(max(_CHUNK, len(buffer) - at))
            buffer, at, ended = buffer[at:] + more, 0, not more
            continue
        yield value
        at = end


def _decode(decoder: json.JSONDecoder, text: str, at: int) -> tuple[Any, int | None]:
    try:
        return decoder.raw_decode(text, at)
    except (ValueError, RecursionError):
        return None, None


def _rows_of_objects(stream: IO[str], text: str, shown: str, *, unwrap: bool) -> Iterator[Any]:
    """Yield the rows of one object that holds a list, or objects that are printed over several lines."""
    text += stream.read(_LONGEST)
    if len(text) > _LONGEST:
        do = "Write one JSON object a line."
        raise DataError(error_message(shown, "be a list or JSON Lines", "a large object", do))
    decoder, rows, at = json.JSONDecoder(), list[Any](), 0
    while at < len(text):
        if text[at] in _SPACE:
            at += 1
            continue
        value, end = _decode(decoder, text, at)
        if end is None:
            raise _fault(shown, text[at:])
        rows.append(value)
        at = end
    inner = _find_rows(rows[0], _DEPTH) if len(rows) == 1 and unwrap else None
    yield from rows if inner is None else inner


def _find_rows(value: Any, depth: int) -> list[Any] | None:
    """Return the first list of objects inside an object, the outermost first."""
    if not isinstance(value, dict) or depth == 0:
        return None
    for inner in value.values():
        if isinstance(inner, list) and inner and all(isinstance(row, dict) for row in inner):
            return inner
    for inner in value.values():
        if (found := _find_rows(inner, depth - 1)) is not None:
            return found
    return None


def _fault(shown: str, text: str) -> DataError:
    do = "Write one JSON object a line, or one list of objects."
    return DataError(error_message(shown, "be JSON", f"{text[:40]!r}", do))


def flatten_objects(table: pa.Table) -> pa.Table:
    """Give each field of a nested object a column of its own, named by its path.

    Parameters
    ----------
    table
        Rows as they were read. Lists stay as they are, and so does an object whose field would get
        the name of another column.

    Examples
    --------
    >>> rows = pa.table({"id": ["a"], "model": [{"name": "cnn", "out": {"p": 0.5}}]})
    >>> flatten_objects(rows).to_pylist()
    [{'id': 'a', 'model.name': 'cnn', 'model.out.p': 0.5}]
    """
    arrays: dict[str, pa.ChunkedArray] = {}
    open_columns = list(zip(table.column_names, table.columns, strict=True))
    names = set(table.column_names)
    while open_columns:
        name, values = open_columns.pop(0)
        kind = values.type
        inner = [] if not pa.types.is_struct(kind) else [f"{name}.{one.name}" for one in kind]
        if not inner or len(set(inner)) < len(inner) or names & set(inner):
            arrays[name] = values
            continue
        names |= set(inner)
        open_columns[:0] = list(zip(inner, values.flatten(), strict=True))
    return pa.table(arrays) if arrays else table
