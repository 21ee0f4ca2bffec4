"""Resolving a source: a path, a glob, a folder of parts, a database's table, a DataFrame, or a list of these.

A DataFrame is written as Parquet for one run, and named as what it is.
"""

import difflib
import os
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath, PurePosixPath
from typing import Literal
from urllib.parse import unquote

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from errdetect.data.atomic_writing import to_arrow_array
from errdetect.data.database_tables import redacted_url
from errdetect.data.output_folders import hold_temporary_folder
from errdetect.errors import DataError, error_message, escape_hidden
from errdetect.table_settings import TableMapping

__all__ = [
    "SourceFile",
    "Sources",
    "TableName",
    "TableSource",
    "dataframe_name",
    "dataframes_as_files",
    "dataset_name",
    "find_files",
    "name_files",
    "parse_table_source",
    "shown_path",
    "source_label",
]

#: Files that hold a DataFrame while a run reads them -> what messages and records call them.
_NAMES: dict[Path, str] = {}
#: What Arrow raises for a column of mixed or unknown objects.
_NO_COLUMN = (pa.ArrowException, TypeError, ValueError, OverflowError)
#: Which of the tables a source holds; empty where it does not matter.
TableName = Literal["decisions", "reviews", "draws", ""]

#: What callers may pass as a source.
_FORMATS = {
    "parquet": (".parquet", ".pq"),
    "csv": (".csv", ".txt", ".tab"),
    "tsv": (".tsv",),
    "jsonl": (".jsonl", ".ndjson", ".json"),
    "excel": (".xlsx", ".xlsm", ".xls"),
}
_COMPRESSED = (".gz", ".bz2", ".xz")
_ZIP = ".zip"
#: A zip archive is refused if it unpacks to more than this size and more than this ratio.
_ZIP_LIMIT, _ZIP_RATIO = 1 << 30, 200
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_NO_PARTITION = "__HIVE_DEFAULT_PARTITION__"


_SQLITE = "sqlite:///"
#: Entries of a folder, or of those that a pattern with ** walks, above which it is no source.
_MOST_ENTRIES = 200_000
_WILD = re.compile(r"[*?\[]")
_IN_DATABASE = re.compile(r"([A-Za-z][\w+.-]*://(?:\[[^\]]*\]|[^\[])*?)(?:::(.*))?", re.S)


def dataframe_name(path: str | Path) -> str | None:
    """Return what to call the DataFrame that a file holds; None where the file is just a file."""
    return _NAMES.get(Path(path))


def shown_path(path: str | Path) -> str:
    """Return how to name a file in messages and records: its path, or the DataFrame it holds.

    Examples
    --------
    >>> shown_path("log/decisions.parquet")
    'log/decisions.parquet'
    """
    return dataframe_name(path) or str(path)


@contextmanager
def name_files(names: Mapping[Path, str]) -> Iterator[None]:
    """Have messages and records call temporary files by other names, as long as the block lasts.

    Examples
    --------
    >>> with name_files({Path("/tmp/x/part-0.parquet"): "s3a://bucket/day"}):
    ...     shown_path("/tmp/x/part-0.parquet")
    's3a://bucket/day'
    """
    _NAMES.update(names)
    try:
        yield
    finally:
        for path in names:
            del _NAMES[path]


@contextmanager
def dataframes_as_files(frames: Mapping[str, pd.DataFrame]) -> Iterator[dict[str, str]]:
    """Write DataFrames to a temporary folder, which is removed with the block.

    Parameters
    ----------
    frames
        Parameter's name -> the frame given for it. Nothing of it is changed; its index is left out.

    Yields
    ------
    dict
        Parameter's name -> the file's path.

    Raises
    ------
    DataError
        If something is no DataFrame, or cannot be written as a table.

    Examples
    --------
    >>> with dataframes_as_files({"decisions": pd.DataFrame({"decision_id": ["d1", 7]})}) as files:
    ...     name, table = shown_path(files["decisions"]), pq.read_table(files["decisions"])
    >>> name, table.to_pylist()
    ('the DataFrame given as decisions', [{'decision_id': 'd1'}, {'decision_id': '7'}])
    """
    if not frames:
        yield {}
        return
    with hold_temporary_folder() as folder:
        files = {what: folder / f"{what}.parquet" for what in frames}
        _NAMES.update({path: f"the DataFrame given as {what}" for what, path in files.items()})
        try:
            for what, path in files.items():
                pq.write_table(_table(frames[what], _NAMES[path]), path)
            yield {what: str(path) for what, path in files.items()}
        finally:
            for path in files.values():
                del _NAMES[path]


def _table(frame: pd.DataFrame, name: str) -> pa.Table:
    """Return a DataFrame's columns as an Arrow table; the readers refuse names that stand twice."""
    if not isinstance(frame, pd.DataFrame):
        do = "Convert it, or name a file in the config."
        got = f"a {type(frame).__name__}"
        raise DataError(error_message(name, "be a pandas DataFrame", got, do))
    columns = [frame.iloc[:, place] for place in range(frame.shape[1])]
    names = [str(column) for column in frame.columns]
    try:
        return pa.Table.from_arrays([_array(column) for column in columns], names=names)
    except UnicodeEncodeError as error:
        do = "Clean it, for example with .str.encode('utf-8', 'replace').str.decode('utf-8')."
        got = f"a lone surrogate ({error.reason})"
        raise DataError(error_message(name, "hold text that UTF-8 can write", got, do)) from error


def _array(column: pd.Series) -> pa.Array:
    """Return a column as Arrow and Parquet hold it; one of mixed objects becomes text."""
    try:
        array = to_arrow_array(column)
    except UnicodeEncodeError:
        raise
    except _NO_COLUMN:
        array = None
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if array is None or isinstance(array, pa.ExtensionArray):
        missing = column.isna().to_numpy(bool)
        values = zip(column.astype(object), missing, strict=True)
        return pa.array([None if gone else str(value) for value, gone in values], pa.string())
    return array


@dataclass(frozen=True)
class TableSource:
    """Rows of a database.

    Parameters
    ----------
    url
        The database's URL; it may hold a password and is never shown.
    what
        A table, `schema.table`, or a query that begins with SELECT or WITH.
    """

    url: str = field(repr=False)
    what: str


@dataclass(frozen=True)
class SourceFile:
    """One file of a source, or one table.

    Parameters
    ----------
    path
        Its path; for a database table, the name to show.
    format
        `parquet`, `csv`, `tsv`, `jsonl` or `excel`, from its name, or `database`.
    partition
        Column -> value from its folders' names (`market=DE/part-0.parquet`); None is a
        missing value.
    mapping
        How its columns and words become ours; None where it is a table as it is.
    rows
        The database table or query, if it is not a file.
    member
        Its name inside the zip archive `path`, if it is in one.
    table
        Which table it is a part of.
    """

    path: Path
    format: str
    partition: dict[str, str | None] = field(default_factory=dict)
    mapping: TableMapping | None = None
    rows: TableSource | None = None
    member: str | None = None
    table: TableName = ""

    @property
    def shown(self) -> str:
        """What to call it in messages: its path, with its name in an archive."""
        return shown_path(self.path) if self.member is None else f"{self.path}/{self.member}"

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.name if self.member is None else PurePosixPath(self.member).name


Sources = str | Path | Sequence[str | Path]


def parse_table_source(source: str | Path) -> TableSource | None:
    """Read `URL::table` or `URL::query`; None where the source is a path.

    Raises
    ------
    DataError
        If the URL is there, but no table.

    Examples
    --------
    >>> parse_table_source("sqlite:///log.db::SELECT id::text FROM t").what
    'SELECT id::text FROM t'
    >>> parse_table_source("logs/*.parquet") is None
    True
    """
    if not isinstance(source, str):
        return None
    if source.lower().startswith(_SQLITE):  # its path may hold any character
        url, _, rows = source.partition("::")
    else:
        match = _IN_DATABASE.fullmatch(source)
        if match is None:
            return None
        url, rows = match[1], match[2] or ""
    if not rows.strip():
        do = "Write URL::table, or URL::SELECT ... in quotes."
        raise DataError(
            error_message(f"The source {redacted_url(url)}", "name a table", "none", do)
        )
    return TableSource(url, rows.strip())


def dataset_name(source: str) -> str:
    """Return the name of a source's dataset: its folder or its database, never its address.

    Examples
    --------
    >>> dataset_name("/srv/market/decisions.parquet")
    'market'
    >>> dataset_name("postgresql://anna:secret@host/shop::public.decisions")
    'shop'
    """
    if dataframe_name(source) is not None:
        return "a DataFrame"
    rows = parse_table_source(source)
    return Path(source).parent.name if rows is None else Path(redacted_url(rows.url)).name


def find_files(
    sources: Sources | Sequence[SourceFile],
    *,
    mapping: TableMapping | None = None,
    table: TableName = "",
) -> list[SourceFile]:
    """Find the files of the sources, in a stable order, each once.

    Parameters
    ----------
    sources
        A path, a glob (`logs/2026-*/decisions*.parquet`; `**` means any folders), a folder of
        part files as Spark writes them, a database's `URL::table` or `URL::query`, or a list of
        these.
    mapping, table
        How their columns and words become ours, and which table they are.

    Returns
    -------
    list of SourceFile
        In the order of the sources; within a glob or folder by name.

    Raises
    ------
    DataError
        If a source matches no file, or one of an unsupported format (with this preset).

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     part = Path(folder) / "log" / "market=DE" / "part-0.csv.gz"
    ...     part.parent.mkdir(parents=True)
    ...     part.touch()
    ...     found = find_files(Path(folder) / "log")
    >>> found[0].format, found[0].partition
    ('csv', {'market': 'DE'})
    """
    given = [sources] if isinstance(sources, str | Path) else list(sources)
    if not given:
        raise DataError("A source must name at least one file, got an empty list. Name a file.")
    found: dict[tuple[Path, str | None] | TableSource, SourceFile] = {}
    for source in given:
        if isinstance(source, SourceFile):  # found before
            found.setdefault((source.path.resolve(), source.member), source)
            continue
        rows = parse_table_source(source)
        if rows is not None:
            name = Path(source_label(str(source)))
            found.setdefault(rows, SourceFile(name, "database", rows=rows))
            continue
        for file in _expand_source(Path(source)):
            found.setdefault((file.path.resolve(), file.member), file)
    preset = None if mapping is None else mapping.preset
    for file in found.values():
        if preset == "dsa_statements" and file.format in ("parquet", "database", "excel"):
            do = "Give the CSV, or leave data.preset out."
            raise DataError(
                error_message(f"A source with the preset {preset}", "be CSV", file.shown, do)
            )
    return [replace(file, mapping=mapping, table=table) for file in found.values()]


def source_label(source: str) -> str:
    """Return a source's name for messages: a path as it is, a table with its database's name.

    Examples
    --------
    >>> source_label("postgresql://anna:secret@host/shop::public.decisions")
    'shop::public.decisions'
    >>> source_label("sqlite:////srv/log.db::SELECT * FROM t")
    'log.db::query'
    """
    rows = parse_table_source(source)
    if rows is None:
        return source
    table = rows.what if re.fullmatch(r'[\w."]+', rows.what) else "query"
    return f"{Path(redacted_url(rows.url)).name}::{table}"


def _expand_source(source: Path) -> Iterator[SourceFile]:
    """Yield the files of one source."""
    paths = [source] if _exists(source) else _expand_glob(source)
    if not paths:
        raise DataError(_not_found_message(source))
    for path in paths:
        if path.is_dir():
            yield from _list_part_files(path)
        elif path.name.lower().endswith(_ZIP):
            yield from _zip_members(path, {})
        elif (form := _file_format(path)) is None:
            must = f"end in one of {_supported_suffixes()}"
            do = "Convert it, or give it the ending of its format."
            raise DataError(error_message(f"The name of {path}", must, repr(path.name), do))
        else:
            yield SourceFile(path, form)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long, or holds a NUL character
        return False


def _refuse_vast(folder: Path, source: Path) -> None:
    """Refuse to walk a whole machine: a file system's root, or a folder of very many entries."""
    do = "Name the folder that holds the tables, or a narrower pattern."
    if folder.resolve() == Path(folder.resolve().anchor):
        must = "name a folder of tables"
        raise DataError(error_message(f"The source {source}", must, "a whole file system", do))
    count = 0
    for _, below, files in os.walk(folder):
        count += len(below) + len(files)
        if count > _MOST_ENTRIES:
            must = f"hold at most {_MOST_ENTRIES:,} files and folders"
            raise DataError(error_message(f"The source {source}", must, "more", do))


def _expand_glob(pattern: Path) -> list[Path]:
    """Expand a glob by name; hidden files never match."""
    parts = pattern.parts
    deep = next((n for n, part in enumerate(parts) if "**" in part), None)
    if deep is not None:
        wild = next(n for n, part in enumerate(parts) if _WILD.search(part))
        folder = Path(*parts[:wild])
        if _exists(folder):
            _refuse_vast(folder, pattern)
    try:
        found = Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor)))
        return sorted(path for path in found if not path.name.startswith("."))
    except (ValueError, OSError, NotImplementedError, re.error) as error:
        raise DataError(f"The pattern {pattern} cannot be used: {error}.") from error


def _list_part_files(folder: Path) -> list[SourceFile]:
    """List a folder's part files; names that begin with `_` or `.` are Spark's own notes."""
    _refuse_vast(folder, folder)
    parts = []
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(folder).parts
        form, zipped = _file_format(path), path.name.lower().endswith(_ZIP)
        # A folder of parts may hold a README.txt; a text file counts where it is named.
        noted = any(p.startswith(("_", ".")) for p in inner) or path.suffix.lower() == ".txt"
        usable = path.is_file() and not noted
        if usable and (zipped or form is not None):
            pairs = (part.partition("=") for part in inner[:-1] if "=" in part)
            values = {key: None if v == _NO_PARTITION else unquote(v) for key, _, v in pairs}
            parts += (
                _zip_members(path, values) if zipped else [SourceFile(path, form or "", values)]
            )
    if not parts:
        must = "hold Parquet, CSV, JSON Lines or Excel files"
        do = "Name the folder that holds the parts."
        raise DataError(error_message(f"The folder {folder}", must, "none", do))
    return parts


def _file_format(path: PurePath) -> str | None:
    name = path.name.lower()
    packed = next((ending for ending in _COMPRESSED if name.endswith(ending)), "")
    plain = name.removesuffix(packed)
    for form, endings in _FORMATS.items():
        if plain.endswith(endings) and not (packed and form in ("parquet", "excel")):
            return form
    return None


def _supported_suffixes() -> str:
    plain = [ending for listed in _FORMATS.values() for ending in listed]
    return f"{', '.join(plain)}, text also with {', '.join(_COMPRESSED)}, or {_ZIP}"


def _zip_members(path: Path, partition: dict[str, str | None]) -> list[SourceFile]:
    """List a zip archive's tables; they are read as streams and never unpacked by their names."""
    try:
        with zipfile.ZipFile(path) as archive:
            infos = [info for info in archive.infolist() if not _is_ignored_member(info)]
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        do = "Write or download it again."
        raise DataError(
            f"{path} cannot be read, it is damaged or not a zip archive. {do}"
        ) from error
    fault = _zip_fault(infos)
    if fault:
        must, got, do = fault
        raise DataError(error_message(f"The archive {path}", must, got, do))
    infos.sort(key=lambda info: info.filename)
    names = [info.filename for info in infos]
    return [
        SourceFile(path, _file_format(PurePosixPath(n)) or "", partition, member=n) for n in names
    ]


def _is_ignored_member(info: zipfile.ZipInfo) -> bool:
    """Return whether it is a folder, or a by-product of an operating system or Spark."""
    parts = [part for part in PurePosixPath(info.filename).parts if part not in (".", "..")]
    return info.is_dir() or any(part.startswith(("_", ".")) for part in parts)


def _zip_fault(infos: Sequence[zipfile.ZipInfo]) -> tuple[str, str, str] | None:
    """Return why an archive cannot be read: what it must be, what it got, what to do."""
    names = [info.filename for info in infos]
    # A text file beside tables is a note, not a table.
    forms = {None if n.lower().endswith(".txt") else _file_format(PurePosixPath(n)) for n in names}
    shown = ", ".join(repr(escape_hidden(name)) for name in names[:3]) or "none"
    if any(info.flag_bits & 1 for info in infos):
        return "open without a password", "an encrypted one", "Write it without a password."
    if any(name.lower().endswith((_ZIP, *_COMPRESSED)) for name in names):
        return "hold tables, not archives", shown, "Unpack the inner archive."
    if None in forms or not names:
        return (
            f"hold files that end in one of {_supported_suffixes()}",
            shown,
            "Put only tables into it.",
        )
    if len(forms) > 1:
        return "hold tables of one format", shown, "Zip each format by itself."
    if len(set(names)) < len(names) or any(i.compress_type not in _ZIP_METHODS for i in infos):
        do = "Write it again with the deflate method."
        return "hold each name once, in a supported method", shown, do
    size, packed = sum(i.file_size for i in infos), sum(i.compress_size for i in infos)
    if size > _ZIP_LIMIT and size > _ZIP_RATIO * packed:
        got = f"{size >> 20:,} MB out of {packed >> 20:,} MB"
        return f"unpack to at most {_ZIP_RATIO} times its size", got, "If it is genuine, unpack it."
    return None


def _is_folder(path: Path) -> bool:
    """Return whether a path is a folder; one that the system takes for no name at all is not."""
    try:
        return path.is_dir()
    except OSError:  # such as a name of 300 characters
        return False


def _not_found_message(source: Path) -> str:
    """Return which pattern matched nothing, where it fails, and similar names."""
    folder, missing = source.parent, source.name
    while not _is_folder(folder) and folder != folder.parent:
        folder, missing = folder.parent, folder.name
    names = sorted(entry.name for entry in folder.iterdir())
    near = difflib.get_close_matches(missing, names, n=3, cutoff=0.4) or names[:3]
    more = f" and {len(names) - len(near)} more" if len(names) > len(near) else ""
    holds = f"it holds {', '.join(near)}{more}" if names else "it is empty"
    return f"No file matches {source}. The folder {folder.absolute()} has no {missing}; {holds}."
