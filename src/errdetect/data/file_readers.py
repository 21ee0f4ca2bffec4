"""Reading table files batch by batch, in bounded memory, whatever their format."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.json as pajson
import pyarrow.parquet as pq

from errdetect.data.database_tables import read_table_batches
from errdetect.data.excel_sheets import read_sheet
from errdetect.data.file_opening import DAMAGE, detect_encoding, open_seekable, open_source
from errdetect.data.json_documents import flatten_objects, iter_json_rows
from errdetect.data.log_presets import DOCUMENT_PRESETS, apply_preset
from errdetect.data.sources import SourceFile
from errdetect.data.table_mapping import apply_mapping, has_value
from errdetect.errors import DataError, error_message, escape_hidden
from errdetect.table_settings import FileSource

__all__ = [
    "BLOCK",
    "RawBatch",
    "are_empty",
    "read_batches",
    "read_delimited",
    "read_json_lines",
    "read_parquet_footer",
    "require_unique_columns",
    "translate_read_errors",
]


_BATCH = 50_000
#: Bytes of text parsed at once; the longest row allowed.
BLOCK = 16 << 20

#: First bytes -> what such a file is, and what to do where text is expected.
_BINARY = {
    b"\x1f\x8b": ("gzip", "Let its name end in .gz, or unpack it."),
    b"BZh": ("bzip2", "Let its name end in .bz2, or unpack it."),
    b"\xfd7zXZ": ("xz", "Let its name end in .xz, or unpack it."),
    b"PK\x03\x04": (
        "a zip archive or a spreadsheet",
        "Let its name end in .zip or .xlsx, or save it as CSV.",
    ),
    b"PAR1": ("Parquet", "Let its name end in .parquet."),
    b"\xd0\xcf\x11\xe0": ("an old spreadsheet", "Let its name end in .xls, or save it as CSV."),
    b"SQLite format 3": ("a database", "Name it as sqlite:///FILE::table."),
    b"%PDF": ("a PDF file", "Name the table itself."),
}


@dataclass(frozen=True)
class RawBatch:
    """Rows of one file, unconverted.

    Parameters
    ----------
    source
        The file's path.
    table
        Its columns; of CSV all are text, empty fields missing.
    rows
        Each row's number in the file, from 1 (a CSV's header is not counted).
    broken
        Row number and fault of rows that could not be split into columns.
    skipped
        Rows of another kind that a preset leaves out, such as comments in a moderation log.
    """

    source: str
    table: pa.Table
    rows: npt.NDArray[np.int64]
    broken: tuple[tuple[int, str], ...] = ()
    skipped: int = 0


def _refuse_other_formats(file: SourceFile) -> None:
    """Refuse what is no text by its first bytes, such as gzip by the name of a CSV."""
    with open_source(file) as stream:
        head = stream.read(max(map(len, _BINARY)))
    for mark, (kind, do) in _BINARY.items():
        if head.startswith(mark):
            raise DataError(error_message(file.shown, "be text", f"{kind}", do))


@contextmanager
def translate_read_errors(file: SourceFile) -> Iterator[None]:
    """Translate a library's errors about damaged bytes into a message that names the file.

    Raises
    ------
    DataError
        If the bytes are not a table.
    """
    path = file.shown
    try:
        yield
    except UnicodeDecodeError as error:
        raise DataError(_invalid_utf8_line(file)) from error
    except DAMAGE as error:
        lines = str(error).splitlines()
        problem = escape_hidden(lines[0][:300]) if lines else type(error).__name__
        if "UTF8" in problem:
            raise DataError(_invalid_utf8_line(file)) from error
        if "straddling" in problem:
            problem = f"a row is longer than {BLOCK >> 20} MB (is a quote left open?)"
        if isinstance(error, OSError) and error.strerror:
            raise DataError(f"{path} cannot be read: {error.strerror}.") from error
        do = f"{problem.rstrip('.')}. Write or download it again."
        raise DataError(f"{path} cannot be read, it is damaged: {do}") from error


def _invalid_utf8_line(file: SourceFile) -> str:
    """Return a message that names the first line that is not UTF-8."""
    path = file.shown
    if file.format in ("parquet", "database"):
        return f"{path} must hold UTF-8 text, got other bytes. Write it again."
    try:
        with open_source(file) as lines:
            number = next((n for n, line in enumerate(lines, start=1) if not _is_utf8(line)), 1)
    except DAMAGE:  # damaged compression gives wrong bytes first
        return f"{path} cannot be read, it is damaged. Write or download it again."
    return f"{path} must be UTF-8, got other bytes in line {number}. Save it as UTF-8."


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def require_unique_columns(path: str, names: Iterable[str]) -> None:
    """Refuse a file in which two columns share a name.

    Raises
    ------
    DataError
        Naming them.
    """
    twice = sorted(name for name, n in Counter(names).items() if n > 1)
    if twice:
        got = ", ".join(map(repr, twice))
        raise DataError(f"{path} must name each column once, got {got} twice. Rename one.")


_DELIMITERS = ",;\t|"
#: A first line that names the delimiter for spreadsheets.
_SEP_LINE = re.compile(r'"?sep=(.|\\t)"?\1*', re.IGNORECASE)


@dataclass(frozen=True)
class _Header:
    """Column names, their delimiter, the number of lines before them, and the encoding."""

    names: list[str]
    delimiter: str
    skip: int
    encoding: str


def read_delimited(file: SourceFile, batch_rows: int) -> Iterator[RawBatch]:
    """Read a delimited file with a header; empty fields are missing.

    A first line such as `sep=;` names the delimiter and is not the header; otherwise the header shows
    it. Text is UTF-8, UTF-16 or Windows-1252.

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
    header = _read_header(file)
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
    with _open_as_utf8(file, header.encoding) as stream:
        reader = pacsv.open_csv(
            stream,
            pacsv.ReadOptions(use_threads=False, block_size=BLOCK, skip_rows=header.skip),
            pacsv.ParseOptions(
                delimiter=header.delimiter, newlines_in_values=True, invalid_row_handler=note_ragged
            ),
            pacsv.ConvertOptions(column_types=texts, strings_can_be_null=True, null_values=[""]),
        )
        if reader.schema.names != header.names:
            do = "Write the column names on the first line, in quotes where they hold a line break."
            raise DataError(f"{file.shown} must begin with its column names, got others. {do}")
        yield from _number_rows(file, reader, batch_rows, broken)


def _open_as_utf8(file: SourceFile, encoding: str) -> pa.NativeFile:
    """Open a file for Arrow, as UTF-8."""
    if file.member is None and file.path.suffix.lower() != ".xz":
        stream = pa.input_stream(str(file.path), compression="detect")
    else:
        stream = pa.PythonFile(open_source(file), mode="r")
    if encoding != "utf-8-sig":
        return pa.transcoding_input_stream(stream, encoding, "utf-8")
    return stream


def _number_rows(
    file: SourceFile, reader: Any, batch_rows: int, broken: list[tuple[int, str]]
) -> Iterator[RawBatch]:
    """Yield the rows numbered as in the file, counting ragged rows; those come last."""
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


def _read_header(file: SourceFile) -> _Header:
    """Read the column names and their delimiter."""
    encoding = detect_encoding(file)
    with open_source(file) as stream, io.TextIOWrapper(stream, encoding, newline="") as text:
        lines = enumerate(text)
        at, line = next(((at, line) for at, line in lines if line.strip()), (0, ""))
        sep, skip = _SEP_LINE.fullmatch(line.rstrip("\r\n")), 0
        if sep:
            line, skip = next((line for _, line in lines if line.strip()), ""), at + 1
        # A name may hold line breaks, between quotes: "Screened\nat".
        for _, more in islice(lines, _HEADER_LINES):
            if line.count('"') % 2 == 0:
                break
            line += more
    if sep:
        delimiter = "\t" if sep[1] == "\\t" else sep[1]
    else:
        delimiter = "\t" if file.format == "tsv" and "\t" in line else _detect_delimiter(line)
    header = _split(line, delimiter)
    require_unique_columns(file.shown, header)
    return _Header(header, delimiter, skip, encoding)


def _detect_delimiter(line: str) -> str:
    """Choose the delimiter that splits the header into most names; commas by default."""
    counts = {mark: len(_split(line, mark)) for mark in _DELIMITERS}
    return max(counts, key=lambda mark: counts[mark])


def _split(line: str, delimiter: str) -> list[str]:
    """Return the column names of a header, which may hold line breaks."""
    return next(csv.reader(io.StringIO(line, newline=""), delimiter=delimiter), [])


def _refuse_open_quote(file: SourceFile, last: pa.Table, *, ragged_open: bool) -> None:
    """Refuse a file whose last quote is never closed: it swallows every later row.

    If such a row has all of its fields, its last field runs to the end of the file.
    """
    ends = last.column(last.num_columns - 1).slice(max(last.num_rows - 1, 0)).to_pylist()
    if ragged_open or (any("\n" in (end or "") for end in ends) and not _ends_in_quote(file)):
        do = "Close it, or write quotes inside a field twice."
        raise DataError(f"{file.shown} must close every quote, got one that stays open. {do}")


def _ends_in_quote(file: SourceFile) -> bool:
    tail = b""
    with open_source(file) as stream:
        while block := stream.read(1 << 20):
            tail = (tail + block)[-16:]
    return tail.replace(b"\x00", b"").rstrip(b"\r\n").endswith(b'"')


_EXACT = 2.0**53
#: Line breaks in the column names.
_HEADER_LINES = 50
#: No line may be as long as this, in bytes.
_LONGEST = 256 << 20


def read_json_lines(file: SourceFile, batch_rows: int) -> Iterator[RawBatch]:
    """Read one JSON object per line; blank lines are skipped, rows numbered by line.

    Parameters
    ----------
    file
        What to read.
    batch_rows
        Most rows of a batch.

    Yields
    ------
    RawBatch
        Lines that are not objects come as `broken`.

    Raises
    ------
    DataError
        If a document that is no JSON Lines holds no list of rows.
    """
    first, times = 1, set[str]()
    with open_source(file) as stream:
        while lines := _read_line_block(file, stream):
            if first == 1:
                lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")
                if _is_document(file, lines):
                    yield from _read_json_document(file, batch_rows)
                    return
            table, rows, broken = _parse_line_block(lines, first, times)
            first += len(lines)
            for start in range(0, len(rows), batch_rows):
                numbers = np.array(rows[start : start + batch_rows], dtype=np.int64)
                yield RawBatch(file.shown, table.slice(start, len(numbers)), numbers)
            if broken:
                none = np.empty(0, dtype=np.int64)
                yield RawBatch(file.shown, table.slice(0, 0), none, tuple(broken))


def _read_line_block(file: SourceFile, stream: IO[bytes]) -> list[bytes]:
    """Read a block of whole lines; an endless line would fill the memory and is refused."""
    lines, size = list[bytes](), 0
    while size < BLOCK and (line := stream.readline(_LONGEST)):
        if len(line) == _LONGEST:
            do = "Write one JSON object a line."
            raise DataError(f"{file.shown} must have lines below {_LONGEST >> 20} MB. {do}")
        lines.append(line)
        size += len(line)
    return lines


def _is_document(file: SourceFile, lines: Sequence[bytes]) -> bool:
    """Return whether a file is one list, or objects printed over several lines, and no JSON Lines."""
    text = next((line.strip() for line in lines if line.strip()), b"")
    if text.startswith(b"[") or text in (b"{", b""):
        return bool(text)
    preset = None if file.mapping is None else file.mapping.preset
    return preset in DOCUMENT_PRESETS and len(lines) == 1


def _read_json_document(file: SourceFile, batch_rows: int) -> Iterator[RawBatch]:
    """Read a list of objects, numbered from 1; other values are broken rows."""
    preset = None if file.mapping is None else file.mapping.preset
    unwrap = preset is None or preset in DOCUMENT_PRESETS
    objects, rows, broken = list[dict[str, Any]](), list[int](), list[tuple[int, str]]()

    def batch() -> RawBatch:
        table, numbers, faults = _objects_to_table(objects), list(rows), tuple(broken)
        for one in (objects, rows, broken):
            one.clear()
        return RawBatch(file.shown, table, np.array(numbers, dtype=np.int64), faults)

    encoding = detect_encoding(file)
    with open_source(file) as stream, io.TextIOWrapper(stream, encoding) as text:
        for number, value in enumerate(iter_json_rows(text, file.shown, unwrap=unwrap), start=1):
            if isinstance(value, dict):
                objects.append(value)
                rows.append(number)
            else:
                broken.append((number, f"the row must be a JSON object, got {str(value)[:30]!r}"))
            if len(rows) + len(broken) >= batch_rows:
                yield batch()
    if rows or broken:
        yield batch()


def _parse_line_block(
    lines: Sequence[bytes], first: int, times: set[str]
) -> tuple[pa.Table, list[int], list[tuple[int, str]]]:
    """Parse a block of lines into a table, its rows' numbers, and the lines that are not rows."""
    rows = [number for number, line in enumerate(lines, start=first) if not line.isspace()]
    table = _parse_with_arrow(b"".join(lines), times)
    if table is not None and table.num_rows == len(rows):
        return table, rows, []
    objects, kept, broken = [], [], []
    for number in rows:
        text = lines[number - first].decode("utf-8").strip()
        value = _load_json_line(text)
        if isinstance(value, dict):
            objects.append(value)
            kept.append(number)
        else:
            broken.append((number, f"the line must be a JSON object, got {text[:30]!r}"))
    return _objects_to_table(objects), kept, broken


def _parse_with_arrow(block: bytes, times: set[str]) -> pa.Table | None:
    """Parse with Arrow, or return None where its guesses would change a value.

    It parses text that resembles a time as one: such columns (kept in `times` for the next block)
    are read again as text.
    """
    try:
        table = _read_arrow_json(block, times)
        guessed = {f.name for f in table.schema if pa.types.is_timestamp(f.type)}
        if guessed:
            times |= guessed
            table = _read_arrow_json(block, times)
        table.validate(full=True)
    except pa.ArrowInvalid:
        return None
    if any(pa.types.is_struct(f.type) and "timestamp" in str(f.type) for f in table.schema):
        return None
    for column in table.columns:
        if pa.types.is_floating(column.type) and (pc.max(pc.abs(column)).as_py() or 0) >= _EXACT:
            return None
    return table


def _read_arrow_json(block: bytes, texts: set[str]) -> pa.Table:
    fields = [(name, pa.string()) for name in sorted(texts)]
    return pajson.read_json(
        io.BytesIO(block),
        pajson.ReadOptions(use_threads=False, block_size=len(block) + 1),
        pajson.ParseOptions(explicit_schema=pa.schema(fields) if fields else None),
    )


def _load_json_line(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # no JSON, or a number of more digits than Python reads
        return None


def _objects_to_table(objects: Sequence[dict[str, Any]]) -> pa.Table:
    """Convert objects to columns: the union of their keys, in order of appearance."""
    names = dict.fromkeys(name for row in objects for name in row)
    return pa.table(
        {_format_value(name): _to_arrow_array([row.get(name) for row in objects]) for name in names}
    )


def _to_arrow_array(values: list[Any]) -> pa.Array:
    """Convert values to an Arrow array; values of several types become their JSON text."""
    try:
        return pa.array(values, from_pandas=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError):
        return pa.array([_format_value(value) for value in values], pa.large_string())


def _format_value(value: object) -> str | None:
    """Write a value as text, 7.0 as 7; a lone surrogate, which cannot be encoded, as `?`."""
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        value = int(value)
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "replace").decode("utf-8")


def are_empty(files: Sequence[SourceFile]) -> bool:
    r"""Return whether tables are well formed and hold no row: an empty night's batch.

    A text file without even its column names is no such table; it may have been cut off.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "log.csv"
    ...     _ = path.write_text("decision_id,decided_at\n")
    ...     are_empty([SourceFile(path, "csv")])
    True
    """
    return all(_is_empty(file) for file in files)


def _is_empty(file: SourceFile) -> bool:
    if file.format == "parquet":
        return read_parquet_footer(file)[1] == 0
    with translate_read_errors(file):
        if file.format in ("csv", "tsv"):
            _refuse_other_formats(file)
            if not _read_header(file).names:
                return False
        batches = _read_raw(file, 1, None)
        return not any(len(batch.rows) or batch.broken for batch in batches)


def read_batches(
    file: SourceFile,
    *,
    batch_rows: int,
    columns: Sequence[str] | None = None,
    share: tuple[int, int] = (0, 1),
) -> Iterator[RawBatch]:
    """Read a file batch by batch.

    Parameters
    ----------
    file
        What to read.
    batch_rows
        Most rows of a batch.
    columns
        Columns to read, where the format can skip the others; default all.
    share
        Which of how many neighbouring parts of a Parquet file to read; the batches of all parts are those of
        the file.

    Yields
    ------
    RawBatch
        In the file's order.

    Raises
    ------
    DataError
        If the file is damaged, is not UTF-8, or is not a table.
    """
    wanted = columns if file.mapping is None or not file.mapping.converts else None
    with translate_read_errors(file):
        for batch in _read_raw(file, batch_rows, wanted, share):
            if file.format == "jsonl" and (file.mapping is None or file.mapping.preset is None):
                batch = replace(batch, table=flatten_objects(batch.table))
            yield _map_batch(_add_partition_columns(batch, file, wanted), file)


def _read_raw(
    file: SourceFile,
    batch_rows: int,
    columns: Sequence[str] | None,
    share: tuple[int, int] = (0, 1),
) -> Iterator[RawBatch]:
    if file.format == "parquet":
        return _read_parquet(file, batch_rows, columns, share)
    assert share == (0, 1)
    if file.rows is not None:
        return _read_database(file, batch_rows)
    if file.format == "excel":
        return _read_excel(file, batch_rows)
    _refuse_other_formats(file)
    return (read_json_lines if file.format == "jsonl" else read_delimited)(file, batch_rows)


def _map_batch(batch: RawBatch, file: SourceFile) -> RawBatch:
    """Convert another system's rows to ours, then the columns and words that the config names."""
    mapping = file.mapping
    if mapping is None:
        return batch
    table, rows, skipped = batch.table, batch.rows, 0
    if mapping.preset is not None and table.num_rows:
        every = partial(_every_row, file)
        table, kept = apply_preset(table, mapping, file.table, batch.source, every)
        if kept is not None:
            skipped = len(rows) - len(np.unique(kept))
            rows = rows[kept]
    if table.num_columns:
        table = apply_mapping(table, mapping, file.table, batch.source)
    if mapping.only_with is not None and mapping.only_with in table.column_names:
        given = has_value(mapping.only_with, table[mapping.only_with].combine_chunks())
        skipped += int(np.sum(~given))
        table, rows = table.filter(pa.array(given)), rows[given]
    return RawBatch(batch.source, table, rows, batch.broken, skipped)


def _every_row(file: SourceFile) -> Iterator[pa.Table]:
    """Yield all rows of a moderation log as they are."""
    own = FileSource(path="", preset=None if file.mapping is None else file.mapping.preset)
    for batch in _read_raw(replace(file, mapping=own), _BATCH, None):
        yield batch.table


def _add_partition_columns(
    batch: RawBatch, file: SourceFile, wanted: Sequence[str] | None
) -> RawBatch:
    """Add the columns named by the folders, unless the file has them."""
    table = batch.table
    for name, value in file.partition.items():
        if name not in table.column_names and (wanted is None or name in wanted):
            values = pa.array([value] * table.num_rows, pa.large_string())
            table = table.append_column(name, values)
    return RawBatch(batch.source, table, batch.rows, batch.broken)


def read_parquet_footer(file: SourceFile) -> tuple[pa.Schema, int, set[str]]:
    """Read columns, row count and possibly missing values from a Parquet file's footer.

    Returns
    -------
    schema, n_rows, gapless
        `gapless` are the columns whose statistics report no missing value.
    """
    with (
        translate_read_errors(file),
        open_seekable(file) as place,
        pq.ParquetFile(place) as parquet,
    ):
        meta, schema = parquet.metadata, parquet.schema_arrow
        require_unique_columns(file.shown, schema.names)
        gaps: set[str] = set()
        for group in range(meta.num_row_groups):
            for index in range(meta.num_columns):
                column = meta.row_group(group).column(index)
                statistics = column.statistics
                if statistics is None or not statistics.has_null_count or statistics.null_count:
                    gaps.add(column.path_in_schema)
        for name, value in file.partition.items():
            if name not in schema.names:
                schema = schema.append(pa.field(name, pa.large_string()))
                gaps |= {name} if value is None else set()
    return schema, meta.num_rows, set(schema.names) - gaps


def _read_parquet(
    file: SourceFile, batch_rows: int, columns: Sequence[str] | None, share: tuple[int, int]
) -> Iterator[RawBatch]:
    with open_seekable(file) as place, pq.ParquetFile(place) as parquet:
        there = parquet.schema_arrow.names
        wanted = None if columns is None else [name for name in columns if name in there]
        (part, parts), n = share, parquet.metadata.num_rows
        begin, end = n * part // parts, n * (part + 1) // parts
        first = 0
        for groups, rows in _row_group_runs(parquet.metadata, batch_rows):
            if first + rows <= begin or (first >= end and first):
                first += rows
                continue
            for batch in parquet.iter_batches(batch_rows, groups, columns=wanted):
                if begin <= first < end or n == 0:
                    batch.validate(full=True)
                    numbers = np.arange(first + 1, first + 1 + batch.num_rows)
                    yield RawBatch(file.shown, pa.Table.from_batches([batch]), numbers)
                first += batch.num_rows


def _row_group_runs(metadata: pq.FileMetaData, rows: int) -> Iterator[tuple[list[int], int]]:
    """Split row groups into runs of about so many rows, with their rows: one pass over all keeps what it read."""
    groups = range(metadata.num_row_groups)
    sizes = np.array([metadata.row_group(group).num_rows for group in groups], np.int64)
    number = (np.cumsum(sizes) - sizes) // rows
    for run in np.unique(number):
        yield np.flatnonzero(number == run).tolist(), int(sizes[number == run].sum())


def _read_excel(file: SourceFile, batch_rows: int) -> Iterator[RawBatch]:
    """Read a sheet as text; its rows are numbered as those below the column names."""
    mapping = file.mapping
    sheet = mapping.sheet if isinstance(mapping, FileSource) else None
    decimal = "," if mapping is not None and mapping.decimal == "," else "."
    with open_source(file) as stream:
        names, rows, _ = read_sheet(stream, file.shown, sheet, decimal=decimal)
    require_unique_columns(file.shown, names)
    full = [number for number, row in enumerate(rows, start=1) if any(row)]
    for start in range(0, max(len(full), 1), batch_rows):
        part = full[start : start + batch_rows]
        columns = [[rows[number - 1][place] for number in part] for place in range(len(names))]
        arrays = [pa.array(column, pa.large_string()) for column in columns]
        yield RawBatch(file.shown, pa.table(arrays, names=names), np.array(part, dtype=np.int64))


def _read_database(file: SourceFile, batch_rows: int) -> Iterator[RawBatch]:
    assert file.rows is not None
    first = 1
    for table in read_table_batches(file.rows.url, file.rows.what, batch_rows=batch_rows):
        require_unique_columns(file.shown, table.column_names)
        rows = np.arange(first, first + table.num_rows)
        yield RawBatch(file.shown, table, rows)
        first += table.num_rows
