"""Removing a person's id, or old texts, from files that errdetect wrote; finding who else's files name one."""

import contextlib
import json
import re
import secrets
from collections.abc import Collection, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pat

from errdetect.data.erasing_rows import ROW_FORMATS, empty_rows, sheet_texts
from errdetect.data.provenance import PARQUET_KEY, RUN_FILE, digest_file, digest_value, read_run
from errdetect.errors import DataError

__all__ = [
    "FORGOTTEN",
    "erase_from_outputs",
    "erase_texts",
    "files_naming",
    "returned_workbooks",
]

#: What stands in the place of an id within a text.
FORGOTTEN = "forgotten"
#: Columns of outputs that quote what the author of a decision's content wrote.
CONTENT = (
    "text", "reasons", "against", "contrast", "contrast_text", "text_own", "text_other", "why", "reason", "comment",
)  # fmt: skip
_TEXTS = {".csv", ".json", ".jsonl", ".md", ".txt", ".html", ".svg"}
_BOOKS = (".xlsx", ".xlsm")
_TAGS = re.compile(
    r"(<(?:style|script)\b.*?</(?:style|script)>|<[^>]*>)", re.DOTALL | re.IGNORECASE
)
_LARGEST = 1 << 30  # bytes that are read of a file; outputs are smaller


def erase_from_outputs(
    base: Path, names: Collection[str], decisions: Collection[str], columns: Collection[str] = ()
) -> int:
    """Remove a person from the files beneath a folder that errdetect wrote.

    Ids become missing in tables and `forgotten` in texts; texts and reasons of the person's decisions become
    missing. Rows stay, so that counts and inclusion probabilities do.

    Parameters
    ----------
    base
        The project's folder.
    names
        The person's ids.
    decisions
        Ids of the person's decisions; none for a reviewer.
    columns
        Further columns with content of decisions.

    Returns
    -------
    int
        Number of files that were changed.
    """
    pattern, ids, changed = _pattern(names), pa.array(sorted(decisions), pa.string()), 0
    for folder, files in _outputs(base):
        done = [f for f in files if _erase(f, names, pattern, (ids, {*CONTENT, *columns}))]
        changed += len(done)
        if done and folder is not None:
            _digest_again(folder, done)
    return changed


def erase_texts(base: Path, before: datetime) -> int:
    """Remove texts and reasons from the tables beneath a folder that errdetect wrote before a moment.

    Returns
    -------
    int
        Number of files that were changed.
    """
    changed = 0
    for folder, files in _outputs(base):
        done = []
        for file in files:
            if file.stat().st_mtime >= before.timestamp():
                continue
            if file.suffix == ".parquet":
                table = pq.read_table(file)
                emptied = _rewrite(file, table, _without_content(table, None, CONTENT))
            else:
                emptied = file.suffix in ROW_FORMATS and _empty_file(file, None, CONTENT)
            done += [file] if emptied else []
        changed += len(done)
        if done and folder is not None:
            _digest_again(folder, done)
    return changed


def files_naming(base: Path, names: Collection[str]) -> list[Path]:
    """Return the files beneath a folder whose bytes, or whose Parquet values, hold one of the ids as a word."""
    pattern = _pattern(names)
    found = []
    for file in _files(base):
        with contextlib.suppress(OSError, pa.ArrowException):
            content = _read(file)
            named = bool(pattern.search(content))
            if not named and file.suffix == ".parquet":
                named = _values_name(pq.read_table(file), pattern)
            elif not named and file.suffix in _BOOKS:
                named = any(pattern.search(text) for text in sheet_texts(content))
            if named:
                found.append(file)
    return found


def returned_workbooks(base: Path, decisions: Collection[str]) -> list[Path]:
    """Return the workbooks beneath a folder that errdetect did not write as they are, and that name such decisions.

    Filled-in ballots quote the content that was shown to reviewers.
    """
    if not decisions:
        return []
    pattern = _pattern(decisions)
    written = {file for _, files in _outputs(base) for file in files}
    books = (file for file in _files(base) if file.suffix in _BOOKS and file not in written)
    return [f for f in books if any(pattern.search(text) for text in sheet_texts(_read(f)))]


def _files(base: Path) -> Iterator[Path]:
    return (p for p in sorted(base.rglob("*")) if p.is_file() and not p.is_symlink())


def _outputs(base: Path) -> Iterator[tuple[Path | None, list[Path]]]:
    """Yield errdetect's output folders with their files, then its Parquet files that lie elsewhere."""
    within: set[Path] = set()
    for run in sorted(base.rglob(RUN_FILE)):
        with contextlib.suppress(DataError):
            record = read_run(run.parent)
            if record.provenance.command == "simulate":
                continue  # the simulated input, which is the user's
            files = [run.parent / name for name in record.outputs if (run.parent / name).is_file()]
            within.update(files)
            yield run.parent, files
    for file in _files(base):
        if file.suffix == ".parquet" and file not in within:
            with contextlib.suppress(OSError, pa.ArrowException):
                about = (pq.read_schema(file).metadata or {}).get(PARQUET_KEY.encode())
                if about is not None and json.loads(about).get("command") != "simulate":
                    yield None, [file]


def _pattern(names: Collection[str]) -> re.Pattern[bytes]:
    """Return what finds the ids as words of their own, as UTF-8 and as JSON writes them."""
    forms = {n.encode("utf-8", "surrogatepass") for n in names}
    forms |= {json.dumps(n)[1:-1].encode() for n in names}
    either = b"|".join(re.escape(one) for one in sorted(forms, key=len, reverse=True))
    return re.compile(rb"(?<![A-Za-z0-9_])(?:" + either + rb")(?![A-Za-z0-9_])")


def _read(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(_LARGEST)


def _empty_file(file: Path, ids: Collection[str] | None, columns: Collection[str]) -> bool:
    before = _read(file)
    after = empty_rows(file.suffix, before, ids, columns)
    if after != before:
        _replace(file, after)
    return after != before


def _erase(
    file: Path,
    names: Collection[str],
    pattern: re.Pattern[bytes],
    content: tuple[pa.Array, Collection[str]],
) -> bool:
    ids, columns = content
    if file.suffix == ".parquet":
        table = pq.read_table(file)
        bare = _without_names(_without_content(table, ids, columns), names, pattern)
        return _rewrite(file, table, bare)
    emptied = bool(len(ids)) and file.suffix in ROW_FORMATS
    emptied = emptied and _empty_file(file, ids.to_pylist(), columns)
    return _without_words(file, pattern) or emptied


def _without_words(file: Path, pattern: re.Pattern[bytes]) -> bool:
    """Replace the person's ids in a text by `forgotten`."""
    if file.suffix not in _TEXTS:
        return False
    before = _read(file)
    put = FORGOTTEN.encode()
    if file.suffix in (".html", ".svg"):
        text = before.decode("utf-8", "surrogateescape")
        parts = _TAGS.split(text)
        parts[::2] = [
            pattern.sub(put, one.encode("utf-8", "surrogateescape")).decode(
                "utf-8", "surrogateescape"
            )
            for one in parts[::2]
        ]
        after = "".join(parts).encode("utf-8", "surrogateescape")
    else:
        after = pattern.sub(put, before)
    if after != before:
        _replace(file, after)
    return after != before


def _without_content(table: pa.Table, ids: pa.Array | None, columns: Collection[str]) -> pa.Table:
    """Empty the columns of content: of these decisions, or of all."""
    if ids is not None and "decision_id" not in table.column_names:
        return table
    own = None if ids is None else pc.is_in(table["decision_id"].cast(pa.string()), value_set=ids)
    if own is not None and not pc.any(own).as_py():
        return table
    for name in (name for name in table.column_names if name in columns):
        at = table.column_names.index(name)
        column = table.column(name)
        if own is None:
            bare = pa.nulls(len(table), column.type)
        else:
            keep = [
                None if mine else one
                for mine, one in zip(own.to_pylist(), column.to_pylist(), strict=True)
            ]
            bare = pa.array(keep, column.type)
        table = table.set_column(at, table.schema.field(at), bare)
    return table


def _without_names(table: pa.Table, names: Collection[str], pattern: re.Pattern[bytes]) -> pa.Table:
    for at, name in enumerate(table.column_names):
        column = table.column(name)
        kind = column.type.value_type if pat.is_dictionary(column.type) else column.type
        if _column_names(column, pattern):
            values = [_bare(one, names, pattern) for one in column.to_pylist()]
            field = table.schema.field(at)
            if pat.is_dictionary(column.type):
                field = pa.field(name, kind, metadata=field.metadata)
            table = table.set_column(at, field, pa.array(values, kind))
    return table


def _bare(value: Any, names: Collection[str], pattern: re.Pattern[bytes]) -> Any:
    if isinstance(value, str):
        if value in names:
            return None
        text = value.encode("utf-8", "surrogatepass")
        return pattern.sub(FORGOTTEN.encode(), text).decode("utf-8", "surrogatepass")
    if isinstance(value, list):
        return [_bare(one, names, pattern) for one in value]
    if isinstance(value, dict):
        return {key: _bare(one, names, pattern) for key, one in value.items()}
    return value


def _values_name(table: pa.Table, pattern: re.Pattern[bytes]) -> bool:
    return any(_column_names(table.column(name), pattern) for name in table.column_names)


def _column_names(column: pa.ChunkedArray, pattern: re.Pattern[bytes]) -> bool:
    """Return whether a text within a column, at any depth, holds an id as a word."""
    kind = column.type.value_type if pat.is_dictionary(column.type) else column.type
    if pat.is_string(kind) or pat.is_large_string(kind):
        values: Any = pc.unique(column).to_pylist()
    elif pat.is_nested(kind):
        values = column.to_pylist()
    else:
        return False
    return any(pattern.search(text) for text in _texts(values))


def _texts(value: Any) -> Iterator[bytes]:
    if isinstance(value, str):
        yield value.encode("utf-8", "surrogatepass")
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, dict):
        yield from _texts(list(value.values()))


def _rewrite(file: Path, before: pa.Table, after: pa.Table) -> bool:
    if after.equals(before):
        return False
    sink = pa.BufferOutputStream()
    pq.write_table(after, sink, compression="zstd")
    _replace(file, sink.getvalue().to_pybytes())
    return True


def _replace(file: Path, content: bytes) -> None:
    """Replace a file in one step; who may read it stays."""
    aside = file.with_name(f".{file.name}.{secrets.token_hex(4)}.tmp")
    try:
        aside.write_bytes(content)
        aside.chmod(file.stat().st_mode & 0o777)
        aside.replace(file)
    finally:
        aside.unlink(missing_ok=True)


def _digest_again(folder: Path, files: Collection[Path]) -> None:
    """Record the changed files' digests, so that the folder is still known as ours."""
    found = json.loads((folder / RUN_FILE).read_bytes())
    for file in files:
        found["outputs"][file.relative_to(folder).as_posix()] = digest_file(file)
    rest = {key: value for key, value in found.items() if key != "digest"}
    text = json.dumps(rest | {"digest": digest_value(rest)}, ensure_ascii=False, indent=2)
    _replace(folder / RUN_FILE, (text + "\n").encode())
