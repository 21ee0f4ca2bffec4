"""CSV and TSV: every field as text, ragged rows told, quoted line breaks kept."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from errdetect.data.opening import BLOCK, RawBatch, one_name_each, open_bytes
from errdetect.data.sources import SourceFile
from errdetect.errors import DataError

__all__ = ["read_delimited"]


def read_delimited(file: SourceFile, batch_rows: int) -> Iterator[RawBatch]:
    """Read a delimited file with a header; empty fields are missing.

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
    header, delimiter = _header(file)
    if not header:
        return
    broken: list[tuple[int, str]] = []

    def note_ragged(row: Any) -> str:
        left = " and a quote left open" if "\n" in row.text and row.text.count('"') % 2 else ""
        fault = f"the row must have {row.expected_columns} fields, got {row.actual_columns}{left}"
        broken.append((row.number - 1, fault))
        return "skip"

    texts = {name: pa.large_string() for name in header}
    with pa.input_stream(str(file.path), compression="detect") as stream:
        reader = pacsv.open_csv(
            stream,
            pacsv.ReadOptions(use_threads=False, block_size=BLOCK),
            pacsv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=note_ragged
            ),
            pacsv.ConvertOptions(column_types=texts, strings_can_be_null=True, null_values=[""]),
        )
        if reader.schema.names != header:
            do = "Write the column names on the first line, each without a line break."
            raise DataError(f"{file.path} must begin with its column names, got others. {do}")
        yield from _numbered(file, reader, batch_rows, broken)


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
            yield RawBatch(str(file.path), last, rows)
    ragged_open = any("quote left open" in fault for _, fault in broken)
    _refuse_open_quote(file.path, last, ragged_open=ragged_open)
    if broken:
        none = np.empty(0, dtype=np.int64)
        yield RawBatch(str(file.path), reader.schema.empty_table(), none, tuple(broken))


def _header(file: SourceFile) -> tuple[list[str], str]:
    """Read the column names, and what stands between them."""
    with open_bytes(file.path) as stream, io.TextIOWrapper(stream, "utf-8-sig", newline="") as text:
        line = next((line for line in text if line.strip()), "")
        delimiter = "\t" if file.format == "tsv" else _delimiter(line)
        header = next(csv.reader([line], delimiter=delimiter), [])
    one_name_each(file.path, header)
    return header, delimiter


def _delimiter(line: str) -> str:
    """Expect commas; but a header without any may hold semicolons, tabs or bars."""
    return "," if "," in line else next((mark for mark in ";\t|" if mark in line), ",")


def _refuse_open_quote(path: Path, last: pa.Table, *, ragged_open: bool) -> None:
    """Refuse a file whose last quote is never closed: it swallows every row behind it.

    Where a row with all of its fields did so, its last one runs over lines up to the file's end.
    """
    ends = last.column(last.num_columns - 1).slice(max(last.num_rows - 1, 0)).to_pylist()
    if ragged_open or (any("\n" in (end or "") for end in ends) and not _ends_quoted(path)):
        do = "Close it, or write quotes inside a field twice."
        raise DataError(f"{path} must close every quote, got one that stays open. {do}")


def _ends_quoted(path: Path) -> bool:
    tail = b""
    with open_bytes(path) as stream:
        while block := stream.read(1 << 20):
            tail = (tail + block)[-16:]
    return tail.rstrip(b"\r\n").endswith(b'"')
