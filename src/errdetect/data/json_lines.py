"""JSON Lines: Arrow's parser where it keeps every value exact, Python's where it would not."""

import io
import json
from collections.abc import Iterator, Sequence
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pajson

from errdetect.data.opening import BLOCK, RawBatch, open_source
from errdetect.data.sources import SourceFile
from errdetect.errors import DataError

__all__ = ["read_json_lines"]

_EXACT = 2.0**53
#: No line may be as long as this, in bytes.
_LONGEST = 256 << 20


def read_json_lines(file: SourceFile, batch_rows: int) -> Iterator[RawBatch]:
    """Read one JSON object a line; blank lines are passed over, rows numbered by line.

    Parameters
    ----------
    file
        What to read.
    batch_rows
        Most rows of a batch.

    Yields
    ------
    RawBatch
        Lines that are no object come as `broken`.

    Raises
    ------
    DataError
        If the file holds one list instead of lines.
    """
    first, times = 1, set[str]()
    with open_source(file) as stream:
        while lines := _lines(file, stream):
            if first == 1:
                lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")
                _refuse_list(file, lines[0])
            table, rows, broken = _parsed(lines, first, times)
            first += len(lines)
            for start in range(0, len(rows), batch_rows):
                numbers = np.array(rows[start : start + batch_rows], dtype=np.int64)
                yield RawBatch(file.shown, table.slice(start, len(numbers)), numbers)
            if broken:
                none = np.empty(0, dtype=np.int64)
                yield RawBatch(file.shown, table.slice(0, 0), none, tuple(broken))


def _lines(file: SourceFile, stream: IO[bytes]) -> list[bytes]:
    """Read a block of whole lines, none of them without end: it would fill the memory."""
    lines, size = list[bytes](), 0
    while size < BLOCK and (line := stream.readline(_LONGEST)):
        if len(line) == _LONGEST:
            do = "Write one JSON object a line."
            raise DataError(f"{file.shown} must have lines below {_LONGEST >> 20} MB. {do}")
        lines.append(line)
        size += len(line)
    return lines


def _refuse_list(file: SourceFile, line: bytes) -> None:
    if line.lstrip().startswith(b"["):
        do = "Write each row on a line of its own, without the list's brackets and commas."
        raise DataError(f"{file.shown} must hold one JSON object a line, got a list. {do}")


def _parsed(
    lines: Sequence[bytes], first: int, times: set[str]
) -> tuple[pa.Table, list[int], list[tuple[int, str]]]:
    """Parse a block of lines into a table, its rows' numbers, and the lines that are no rows."""
    rows = [number for number, line in enumerate(lines, start=first) if not line.isspace()]
    table = _by_arrow(b"".join(lines), times)
    if table is not None and table.num_rows == len(rows):
        return table, rows, []
    objects, kept, broken = [], [], []
    for number in rows:
        text = lines[number - first].decode("utf-8").strip()
        value = _loaded(text)
        if isinstance(value, dict):
            objects.append(value)
            kept.append(number)
        else:
            broken.append((number, f"the line must be a JSON object, got {text[:30]!r}"))
    return _columns(objects), kept, broken


def _by_arrow(block: bytes, times: set[str]) -> pa.Table | None:
    """Parse with Arrow, or give None where its guesses would change a value.

    It takes text that looks like a time for one: such columns (kept in `times` for the next block)
    are read again as text.
    """
    try:
        table = _arrow_table(block, times)
        guessed = {f.name for f in table.schema if pa.types.is_timestamp(f.type)}
        if guessed:
            times |= guessed
            table = _arrow_table(block, times)
        table.validate(full=True)
    except pa.ArrowInvalid:
        return None
    for column in table.columns:
        if pa.types.is_floating(column.type) and (pc.max(pc.abs(column)).as_py() or 0) >= _EXACT:
            return None
    return table


def _arrow_table(block: bytes, texts: set[str]) -> pa.Table:
    fields = [(name, pa.string()) for name in sorted(texts)]
    return pajson.read_json(
        io.BytesIO(block),
        pajson.ReadOptions(use_threads=False, block_size=len(block) + 1),
        pajson.ParseOptions(explicit_schema=pa.schema(fields) if fields else None),
    )


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return None


def _columns(objects: Sequence[dict[str, Any]]) -> pa.Table:
    """Turn objects into columns: the union of their keys, in the order of appearance."""
    names = dict.fromkeys(name for row in objects for name in row)
    return pa.table({name: _column([row.get(name) for row in objects]) for name in names})


def _column(values: list[Any]) -> pa.Array:
    """Give a column Arrow's type for it; values of several types become their JSON text."""
    try:
        return pa.array(values, from_pandas=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError):
        return pa.array([_as_text(value) for value in values], pa.large_string())


def _as_text(value: object) -> str | None:
    """Write a value as text, 7.0 as 7; half of a surrogate pair, which no encoding has, as `?`."""
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        value = int(value)
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "replace").decode("utf-8")
