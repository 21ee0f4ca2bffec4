"""CSV and TSV: every field as text, ragged rows told, quoted line breaks kept."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from errdetect.data.opening import BLOCK, RawBatch, encoding_of, one_name_each, open_source
from errdetect.data.sources import SourceFile
from errdetect.errors import DataError

__all__ = ["read_delimited"]

_DELIMITERS = ",;\t|"
#: A first line that tells a spreadsheet what stands between the fields.
_SEP_LINE = re.compile(r'"?sep=(.|\\t)"?\1*', re.IGNORECASE)


@dataclass(frozen=True)
class _Header:
    """Column names, what stands between them, the lines before them, and the encoding."""

    names: list[str]
    delimiter: str
    skip: int
    encoding: str


def read_delimited(file: SourceFile, batch_rows: int) -> Iterator[RawBatch]:
    """Read a delimited file with a header; empty fields are missing.

    A first line such as `sep=;` names the delimiter and is no header; otherwise the header shows
    it. Text is UTF-8 or UTF-16.

    Parameters
    ----------
    file
        What to read.
    batch_rows
        Most rows of a batch.

    Yields
    ------
    RawBatch
        Rows with too few or too many fields come as `broken` with the last batch.

    Raises
    ------
    DataError
        If two columns share a name, or a quote is never closed.
    """
    header = _header(file)
    if not header.names:
        return
    broken: list[tuple[int, str]] = []

    def note_ragged(row: Any) -> str:
        left = " and a quote left open" if "\n" in row.text and row.text.count('"') % 2 else ""
        if header.delimiter == "," and row.actual_columns > row.expected_columns and not left:
            left = (
                " (a comma inside a field, such as a decimal comma, needs quotes around the field)"
            )
        fault = f"the row must have {row.expected_columns} fields, got {row.actual_columns}{left}"
        broken.append((row.number - 1 - header.skip, fault))
        return "skip"

    texts = {name: pa.large_string() for name in header.names}
    with _stream(file, header.encoding) as stream:
        reader = pacsv.open_csv(
            stream,
            pacsv.ReadOptions(use_threads=False, block_size=BLOCK, skip_rows=header.skip),
            pacsv.ParseOptions(
                delimiter=header.delimiter, newlines_in_values=True, invalid_row_handler=note_ragged
            ),
            pacsv.ConvertOptions(column_types=texts, strings_can_be_null=True, null_values=[""]),
        )
        if reader.schema.names != header.names:
            do = "Write the column names on the first line, each without a line break."
            raise DataError(f"{file.shown} must begin with its column names, got others. {do}")
        yield from _numbered(file, reader, batch_rows, broken)


def _stream(file: SourceFile, encoding: str) -> pa.NativeFile:
    """Open a file for Arrow, as UTF-8."""
    if file.member is None and file.path.suffix.lower() != ".xz":
        stream = pa.input_stream(str(file.path), compression="detect")
    else:
        stream = pa.PythonFile(open_source(file), mode="r")
    if encoding.startswith("utf-16"):
        return pa.transcoding_input_stream(stream, encoding, "utf-8")
    return stream


def _numbered(
    file: SourceFile, reader: Any, batch_rows: int, broken: list[tuple[int, str]]
) -> Iterator[RawBatch]:
    """Give each row the number it has in the file, ragged rows counted; those come last."""
    first, last = 1, reader.schema.empty_table()
    for block in reader:
        for start in range(0, block.num_rows, batch_rows):
            last = pa.Table.from_batches([block.slice(start, batch_rows)])
            ragged = [row for row, _ in broken if row >= first]
            rows = np.arange(first, first + last.num_rows + len(ragged))
            rows = rows[~np.isin(rows, ragged)][: last.num_rows]
            first = int(rows[-1]) + 1
            yield RawBatch(file.shown, last, rows)
    ragged_open = any("quote left open" in fault for _, fault in broken)
    _refuse_open_quote(file, last, ragged_open=ragged_open)
    if broken:
        none = np.empty(0, dtype=np.int64)
        yield RawBatch(file.shown, reader.schema.empty_table(), none, tuple(broken))


def _header(file: SourceFile) -> _Header:
    """Read the column names, and what stands between them."""
    encoding = encoding_of(file)
    with open_source(file) as stream, io.TextIOWrapper(stream, encoding, newline="") as text:
        lines = enumerate(text)
        at, line = next(((at, line) for at, line in lines if line.strip()), (0, ""))
        sep, skip = _SEP_LINE.fullmatch(line.rstrip("\r\n")), 0
        if sep:
            line, skip = next((line for _, line in lines if line.strip()), ""), at + 1
    if sep:
        delimiter = "\t" if sep[1] == "\\t" else sep[1]
    else:
        delimiter = "\t" if file.format == "tsv" and "\t" in line else _delimiter(line)
    header = next(csv.reader([line], delimiter=delimiter), [])
    one_name_each(file.shown, header)
    return _Header(header, delimiter, skip, encoding)


def _delimiter(line: str) -> str:
    """Expect what splits the header into most names; commas where nothing does better."""
    counts = {mark: len(next(csv.reader([line], delimiter=mark), [])) for mark in _DELIMITERS}
    return max(counts, key=lambda mark: counts[mark])


def _refuse_open_quote(file: SourceFile, last: pa.Table, *, ragged_open: bool) -> None:
    """Refuse a file whose last quote is never closed: it swallows every row behind it.

    Where a row with all of its fields did so, its last one runs over lines up to the file's end.
    """
    ends = last.column(last.num_columns - 1).slice(max(last.num_rows - 1, 0)).to_pylist()
    if ragged_open or (any("\n" in (end or "") for end in ends) and not _ends_quoted(file)):
        do = "Close it, or write quotes inside a field twice."
        raise DataError(f"{file.shown} must close every quote, got one that stays open. {do}")


def _ends_quoted(file: SourceFile) -> bool:
    tail = b""
    with open_source(file) as stream:
        while block := stream.read(1 << 20):
            tail = (tail + block)[-16:]
    return tail.replace(b"\x00", b"").rstrip(b"\r\n").endswith(b'"')
