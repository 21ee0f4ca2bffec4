"""Writing files: whole or not at all, without NaN in JSON, and with no formulas in CSV."""

import csv
import dataclasses
import io
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import date, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from errdetect.data.output_folders import (
    commit_stage,
    follow_commit,
    hold_lock,
    hold_stage,
    replace_files,
    sweep_litter,
    temporary_name,
)
from errdetect.data.provenance import (
    PARQUET_KEY,
    RUN_FILE,
    Provenance,
    digest_file,
    read_run,
    run_record,
)
from errdetect.errors import DataError, escape_hidden

__all__ = [
    "RISKY",
    "ParquetSink",
    "csv_text",
    "escape_formula",
    "parquet_bytes",
    "stage_outputs",
    "stage_provenance",
    "to_arrow",
    "to_arrow_array",
    "to_json_value",
    "unescape_formula",
    "write_csv",
    "write_files",
    "write_json",
    "write_parquet",
    "write_text",
]


def to_json_value(value: Any) -> Any:
    """Convert a value to what JSON can hold.

    Parameters
    ----------
    value
        A scalar, a time, a path, a list, a mapping, a table or a dataclass, also nested, as Python,
        pandas, numpy and Arrow give them.

    Returns
    -------
    object
        Text, numbers, booleans, None (what is missing or not finite), lists and dicts; tables as
        lists of rows, dataclasses as dicts; days and times in ISO 8601.

    Examples
    --------
    >>> to_json_value({"n": np.int64(3), "x": float("nan"), "at": pd.Timestamp("2026-01-01", tz="UTC")})
    {'n': 3, 'x': None, 'at': '2026-01-01T00:00:00+00:00'}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json_value(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, pd.DataFrame):
        return [to_json_value(row) for row in value.to_dict("records")]
    if isinstance(value, Mapping):
        return {str(name): to_json_value(one) for name, one in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return [to_json_value(one) for one in value]
    return _scalar_to_json(value)


def _scalar_to_json(value: Any) -> Any:
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    elif isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NaT or value is pd.NA or value != value:
        return None
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if isinstance(value, str | bool | int | float):
        return value
    return value.isoformat() if isinstance(value, date) else str(value)


_OPTIONS = {"compression": "zstd"}
#: Open stages -> the run whose provenance every Parquet file below them carries.
_STAGES: dict[Path, Provenance] = {}


def to_arrow(table: pd.DataFrame | pa.Table, schema: pa.Schema | None = None) -> pa.Table:
    """Give a table the schema's columns and types, without pandas' own metadata.

    Parameters
    ----------
    table
        Rows to write.
    schema
        Required columns. Further columns come before them, in the table's order.

    Raises
    ------
    ValueError
        If a column of the schema is missing.

    Examples
    --------
    >>> schema = pa.schema([("n", pa.int64())])
    >>> to_arrow(pd.DataFrame({"n": [1], "market": ["DE"]}), schema).column_names
    ['market', 'n']
    """
    if isinstance(table, pd.DataFrame):
        table = _from_pandas(table, schema)
    if schema is not None:
        missing = [name for name in schema.names if name not in table.column_names]
        if missing:
            raise ValueError(f"the table lacks {', '.join(missing)}, which its schema names")
        further = [name for name in table.column_names if name not in schema.names]
        full = pa.schema([*(table.schema.field(name) for name in further), *schema])
        table = table.select(full.names).cast(full)
    return table.replace_schema_metadata(None)


def _from_pandas(frame: pd.DataFrame, schema: pa.Schema | None) -> pa.Table:
    """Convert column by column: the schema's types apply, the others are inferred."""
    known = set(schema.names) if schema is not None else set()
    arrays = {
        str(name): to_arrow_array(
            frame[name], schema.field(name).type if schema is not None and name in known else None
        )
        for name in frame.columns
    }
    return pa.table(arrays)


def to_arrow_array(column: pd.Series, kind: pa.DataType | None = None) -> pa.Array:
    """Convert a column as `pyarrow.array` does, but times without pandas' deprecated `Series.values`.

    Parameters
    ----------
    column
        Shape (n,).
    kind
        The Arrow type; None: inferred.

    Examples
    --------
    >>> to_arrow_array(pd.Series(pd.to_datetime(["2026-01-31 12:00"], utc=True)).dt.as_unit("us")).type
    TimestampType(timestamp[us, tz=UTC])
    """
    held = column.dtype
    if not isinstance(held, pd.DatetimeTZDtype) or not (
        kind is None or pa.types.is_timestamp(kind)
    ):
        return pa.array(column, kind, from_pandas=True)
    own = pa.timestamp(held.unit, pa.lib.tzinfo_to_string(held.tz))
    moments = pa.array(column.dt.tz_convert(None).to_numpy(), own)
    return moments if kind is None else moments.cast(kind)


@contextmanager
def _translate_write_errors(path: Path) -> Iterator[None]:
    """Translate the system's write errors into a message about `path`."""
    if "\0" in str(path) or any("\ud800" <= sign <= "\udc7f" for sign in str(path)):
        raise DataError(f"{str(path)!r} cannot be written: it is no path. Choose another path.")
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        do = "Choose another path, or free some space."
        raise DataError(f"{path} cannot be written: {reason}. {do}") from error


@contextmanager
def _temporary_file(path: Path) -> Iterator[Path]:
    """Yield a locked, empty file next to `path`, used until the file is complete; remove it."""
    with _translate_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep_litter(path.parent)
        temporary = temporary_name(path.parent)
        temporary.touch()
    try:
        with hold_lock(temporary):
            yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary name next to `path`; move it there at the end, or leave nothing."""
    with _temporary_file(path) as temporary, _translate_write_errors(path):
        yield temporary
        temporary.replace(path)


def stage_provenance(path: Path) -> Provenance | None:
    """Return the run whose stage a path lies in: other processes that write there have to be given it."""
    stage = next((one for one in path.absolute().parents if one in _STAGES), None)
    return None if stage is None else _STAGES[stage]


def _file_metadata(path: Path, provenance: Provenance | None = None) -> dict[str, str] | None:
    """Return the metadata of a file: the provenance given, or that of its stage."""
    found = stage_provenance(path) if provenance is None else provenance
    return None if found is None else {PARQUET_KEY: found.to_json()}


def write_parquet(
    table: pd.DataFrame | pa.Table,
    path: str | Path,
    schema: pa.Schema | None = None,
    *,
    provenance: Provenance | None = None,
) -> None:
    """Write a Parquet file whole or not at all; equal tables give equal bytes.

    Parameters
    ----------
    table
        Rows to write.
    path
        The file; missing folders are created.
    schema
        See `to_arrow`.
    provenance
        Written to the file's metadata; below a stage, the stage's by default.

    Raises
    ------
    DataError
        If the file cannot be written.
    ValueError
        If a column of the schema is missing.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_parquet(pd.DataFrame({"n": [1, 2]}), Path(folder) / "n.parquet")
    ...     pq.read_table(Path(folder) / "n.parquet").num_rows
    2
    """
    arrow = to_arrow(table, schema)
    arrow = arrow.replace_schema_metadata(_file_metadata(Path(path), provenance))
    with _atomic_path(Path(path)) as temporary:
        pq.write_table(arrow, temporary, **_OPTIONS)


def parquet_bytes(
    table: pd.DataFrame | pa.Table, schema: pa.Schema | None, provenance: Provenance | None
) -> bytes:
    """Return the content of the Parquet file that `write_parquet` writes outside of a stage."""
    held = None if provenance is None else {PARQUET_KEY: provenance.to_json()}
    out = io.BytesIO()
    pq.write_table(to_arrow(table, schema).replace_schema_metadata(held), out, **_OPTIONS)
    return out.getvalue()


def write_files(contents: Mapping[Path, bytes], private: Collection[Path] = ()) -> None:
    """Write single files that change together, all or none.

    Parameters
    ----------
    contents
        Bytes of each file; missing folders are created.
    private
        Those with personal data: only their owner may read them. Where a file was there that others could not
        read either, its group keeps what it may do.

    Raises
    ------
    DataError
        If one of them cannot be written; then none is.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_files({Path(folder) / "a.txt": b"1", Path(folder) / "b.txt": b"2"})
    ...     sorted(path.name for path in Path(folder).iterdir())
    ['a.txt', 'b.txt']
    """
    for path in contents:
        with _translate_write_errors(path):  # what is no path
            pass
    try:
        replace_files(
            {path.absolute(): content for path, content in contents.items()},
            [path.absolute() for path in private],
        )
    except OSError as error:
        blamed = Path(str(error.filename or "")).absolute()
        names = sorted(
            contents,
            key=lambda one: (one.absolute() != blamed, one.absolute().parent != blamed.parent),
        )
        with _translate_write_errors(names[0]):
            raise


def write_text(path: str | Path, text: str) -> None:
    r"""Write UTF-8 text with `\n` line ends, whole or not at all.

    Raises
    ------
    DataError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_text(Path(folder) / "a.txt", "überall")
    ...     (Path(folder) / "a.txt").read_text(encoding="utf-8")
    'überall'
    """
    with _atomic_path(Path(path)) as temporary:
        temporary.write_bytes(text.encode("utf-8"))


def write_json(path: str | Path, value: object) -> None:
    """Write JSON for people and machines: sorted keys, two spaces, no NaN.

    Raises
    ------
    DataError
        If the file cannot be written.
    ValueError
        If a number is not finite, which JSON cannot hold.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_json(Path(folder) / "a.json", {"b": 1, "a": None})
    ...     json.loads((Path(folder) / "a.json").read_text())
    {'a': None, 'b': 1}
    """
    text = json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True, allow_nan=False)
    write_text(path, text + "\n")


class ParquetSink:
    """One Parquet file written batch by batch; it appears complete at the end or not at all.

    Below a stage it carries the stage's provenance.

    Parameters
    ----------
    path
        The final path.
    schema
        The columns of every batch; without one, the first batch's columns.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with ParquetSink(Path(folder) / "n.parquet") as sink:
    ...         sink.write(pd.DataFrame({"n": [1, 2]}))
    ...         sink.write(pd.DataFrame({"n": [3]}))
    ...     pq.read_table(Path(folder) / "n.parquet")["n"].to_pylist()
    [1, 2, 3]
    """

    def __init__(self, path: str | Path, schema: pa.Schema | None = None) -> None:
        self.path = Path(path)
        self.rows = 0
        self._schema = schema
        self._temporary = self.path
        self._held = ExitStack()
        self._writer: Any = None

    def __enter__(self) -> Self:
        """Choose the temporary name; the first batch creates the file."""
        self._temporary = self._held.enter_context(_temporary_file(self.path))
        return self

    def write(self, table: pd.DataFrame | pa.Table) -> None:
        """Append a batch; it must have the first one's columns."""
        arrow = to_arrow(table, self._schema)
        with _translate_write_errors(self.path):
            if self._writer is None:
                stamped = arrow.schema.with_metadata(_file_metadata(self.path))
                self._writer = pq.ParquetWriter(self._temporary, stamped, **_OPTIONS)
            schema = self._writer.schema
            self._writer.write_table(arrow.select(schema.names).cast(schema))
        self.rows += arrow.num_rows

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Move the file into place, or remove it after an error."""
        with self._held, _translate_write_errors(self.path):
            if error is None and self._writer is None:
                self._write_no_rows()
            if self._writer is not None:
                self._writer.close()
            if error is None:
                self._temporary.replace(self.path)

    def _write_no_rows(self) -> None:
        if self._schema is None:
            raise ValueError(f"{self.path} got neither a batch nor a schema")
        self.write(self._schema.empty_table())


@contextmanager
def stage_outputs(
    out: str | Path,
    provenance: Provenance | None = None,
    beside: Mapping[Path, str] | None = None,
) -> Iterator[Path]:
    """Stage a command's outputs, and move them into `out` only when all are written.

    Parameters
    ----------
    out
        The folder that receives them; created if missing. A file replaces the file of its name, a
        folder replaces the whole folder of its name (so no stale part remains); everything else
        in `out` stays.
    provenance
        Of the run: every Parquet file that is written below the stage carries it, and `run.json`
        holds it with the digests of all files.
    beside
        Texts of single files elsewhere that change together with the folder; needs `provenance`.

    Yields
    ------
    Path
        An empty folder next to `out` to write into. It is removed if the block raises.

    Raises
    ------
    DataError
        If `out` cannot be written, or has a folder by the name of a file or the other way round that is
        not, unchanged, a former run's.

    Examples
    --------
    >>> run = Provenance("estimate", "1.0")
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with stage_outputs(Path(folder) / "out", run) as stage:
    ...         write_parquet(pd.DataFrame({"n": [1]}), stage / "n.parquet")
    ...     metadata = pq.read_schema(Path(folder) / "out" / "n.parquet").metadata
    ...     sorted(p.name for p in (Path(folder) / "out").iterdir()), list(metadata)
    (['n.parquet', 'run.json'], [b'errdetect'])
    """
    out = Path(out).absolute()
    with ExitStack() as held:
        with _translate_write_errors(out):
            stage = held.enter_context(hold_stage(out))
        held.callback(_STAGES.pop, stage.path, None)
        if provenance is not None:
            _STAGES[stage.path] = provenance
        yield stage.path
        files = {path.absolute(): text for path, text in (beside or {}).items()}
        for path in [one for one in files if one.parent == out]:
            write_text(stage.path / path.name, files.pop(path))
        if provenance is not None:
            write_json(stage.path / RUN_FILE, run_record(provenance, stage.path))
        with (
            _translate_write_errors(next(iter(files), out)),
            follow_commit(stage, files),
            _translate_write_errors(out),
        ):
            commit_stage(stage, _stale_outputs(stage.path, out, provenance))


def _stale_outputs(stage: Path, out: Path, provenance: Provenance | None) -> list[str]:
    """Return the unchanged entries of a former run in `out` that go.

    The same command did not write them again, or a command wrote a folder where this one writes a file (or
    the other way round).
    """
    if provenance is None or not (out / RUN_FILE).is_file():
        return []
    try:
        former = read_run(out)
    except DataError:  # not ours, or changed: nothing is known about the files
        return []
    again = former.provenance.command == provenance.command
    gone = [
        name
        for name in sorted({Path(name).parts[0] for name in former.outputs})
        if ((stage / name).is_dir() != (out / name).is_dir() if (stage / name).exists() else again)
    ]
    return [name for name in gone if _is_as_written(out, name, former.outputs)]


def _is_as_written(out: Path, name: str, outputs: Mapping[str, str]) -> bool:
    """Return whether an entry holds exactly what a run wrote: nothing edited, nothing added."""
    place = out / name
    if place.is_symlink() or not place.exists():
        return False
    files = [place] if place.is_file() else [one for one in place.rglob("*") if not one.is_dir()]
    return all(outputs.get(file.relative_to(out).as_posix()) == digest_file(file) for file in files)


#: What a spreadsheet may take for the beginning of a formula, also in full width, and the
#: apostrophe itself, so that nothing is lost: removing one apostrophe restores every text.
RISKY: Final = tuple("=+-@\t\r\n\x00'＝＋－＠")


def escape_formula(text: str) -> str:
    """Put an apostrophe before text that a spreadsheet would run as a formula.

    Parameters
    ----------
    text
        A cell or a column's name.

    Returns
    -------
    str
        The text, with an apostrophe before it where it begins with one of `RISKY`, also after
        spaces, which some programs drop.

    Notes
    -----
    OWASP, CSV Injection; ASVS 5.0, requirement 1.2.10.

    Examples
    --------
    >>> escape_formula("=HYPERLINK(1)"), escape_formula("plain"), escape_formula("'quoted'")
    ("'=HYPERLINK(1)", 'plain', "''quoted'")
    """
    return f"'{text}" if text.lstrip(" ").startswith(RISKY) else text


def unescape_formula(cell: str) -> str:
    """Return the text that `escape_formula` was given.

    Examples
    --------
    >>> [unescape_formula(escape_formula(text)) for text in ("=1", "'=1", " -1", "fine")]
    ['=1', "'=1", ' -1', 'fine']
    """
    return cell.removeprefix("'")


def write_csv(frame: pd.DataFrame, path: str | Path) -> None:
    r"""Write a table as CSV in UTF-8, all text escaped, whole or not at all.

    Follows RFC 4180. Numbers stay numbers, also negative ones. Missing values are empty. Times are ISO 8601 in UTC. A
    list becomes JSON. Control characters and changes of the text's direction become codes such as [U+001B].

    Parameters
    ----------
    frame
        The table; its index is not written.
    path
        The file; missing folders are created.

    Raises
    ------
    DataError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.csv"
    >>> write_csv(pd.DataFrame({"=x": ["@SUM(1)", None], "n": [-1.5, 2.0]}), path)
    >>> path.read_bytes().decode()
    "'=x,n\r\n'@SUM(1),-1.5\r\n,2.0\r\n"
    """
    write_text(path, csv_text(frame))


def csv_text(frame: pd.DataFrame) -> str:
    r"""Return a table as CSV, all text escaped, as `write_csv` writes it.

    Examples
    --------
    >>> csv_text(pd.DataFrame({"x": ["=1+1", "a\x1b[31m"], "n": [-1.5, 2.0]}))
    "x,n\r\n'=1+1,-1.5\r\na[U+001B][31m,2.0\r\n"
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(_harmless(str(name)) for name in frame.columns)
    columns = [map(_format_cell, frame[name].tolist()) for name in frame.columns]
    writer.writerows(zip(*columns, strict=True))
    return out.getvalue()


def _harmless(text: str) -> str:
    """Escape formulas, and write control characters and changes of direction as their codes."""
    return escape_formula(escape_hidden(text.replace("\r\n", "\n")))


def _format_cell(value: Any) -> Any:
    """Format one value: text escaped, numbers as they are, missing as empty."""
    if isinstance(value, str):
        return _harmless(value)
    if isinstance(value, dict) or (isinstance(value, Iterable) and not np.isscalar(value)):
        return _harmless(json.dumps(to_json_value(value), ensure_ascii=False))
    if value is None or value is pd.NaT or value is pd.NA or value != value:
        return ""
    return value.isoformat() if isinstance(value, datetime) else value
