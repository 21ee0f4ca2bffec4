"""Opening files: bytes from plain or compressed ones, and plain words for damaged ones."""

import bz2
import gzip
import lzma
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from errdetect.data.sources import SourceFile
from errdetect.errors import DataError

__all__ = [
    "BLOCK",
    "RawBatch",
    "encoding_of",
    "naming",
    "one_name_each",
    "open_bytes",
    "open_source",
    "seekable",
]

#: Bytes of text that are parsed at once; no row may be longer.
BLOCK = 16 << 20

_DAMAGE = (
    pa.ArrowInvalid,
    pa.ArrowNotImplementedError,
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
)


@dataclass(frozen=True)
class RawBatch:
    """Rows of one file as they stand there.

    Parameters
    ----------
    source
        The file's path.
    table
        Its columns; of CSV all are text, empty fields missing.
    rows
        Each row's number in the file, from 1 (a CSV's header is not counted).
    broken
        Row number and fault of what could not be split into columns.
    """

    source: str
    table: pa.Table
    rows: npt.NDArray[np.int64]
    broken: tuple[tuple[int, str], ...] = ()


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file's bytes, decompressed if its name ends in `.gz`, `.bz2` or `.xz`."""
    ending = path.suffix.lower()
    if ending == ".gz":
        return cast(IO[bytes], gzip.open(path, "rb"))
    if ending == ".bz2":
        return bz2.open(path, "rb")
    return lzma.open(path, "rb") if ending == ".xz" else path.open("rb")


def open_source(file: SourceFile) -> IO[bytes]:
    """Open a source's bytes, also those of a zip archive's member, as a stream."""
    if file.member is None:
        return open_bytes(file.path)
    with zipfile.ZipFile(file.path) as archive:
        return archive.open(file.member)


@contextmanager
def seekable(file: SourceFile) -> Iterator[Path | IO[bytes]]:
    """Give what can be read from any place: the file, or a nameless copy of a zip's member."""
    if file.member is None:
        yield file.path
        return
    with tempfile.TemporaryFile() as copy, open_source(file) as stream:
        shutil.copyfileobj(stream, copy)
        copy.seek(0)
        yield copy


def encoding_of(file: SourceFile) -> str:
    """Tell the encoding of text that begins with ASCII: UTF-16 by its mark or zeros, else UTF-8."""
    with open_source(file) as stream:
        head = stream.read(2)
    if head in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    if len(head) == 2 and 0 in head and any(head):
        return "utf-16-le" if head[1] == 0 else "utf-16-be"
    return "utf-8-sig"


@contextmanager
def naming(file: SourceFile) -> Iterator[None]:
    """Turn what a library says about damaged bytes into a sentence with the file's name.

    Raises
    ------
    DataError
        Where the block met bytes that are no table.
    """
    path = file.shown
    try:
        yield
    except UnicodeDecodeError as error:
        raise DataError(_not_utf8(file)) from error
    except _DAMAGE as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        if "UTF8" in said:
            raise DataError(_not_utf8(file)) from error
        if "straddling" in said:
            said = f"a row is longer than {BLOCK >> 20} MB (is a quote left open?)"
        if isinstance(error, OSError) and error.strerror:
            raise DataError(f"{path} cannot be read: {error.strerror}.") from error
        do = f"{said.rstrip('.')}. Write or fetch it anew."
        raise DataError(f"{path} cannot be read, it is damaged: {do}") from error


def _not_utf8(file: SourceFile) -> str:
    """Name the first line that is not UTF-8."""
    path = file.shown
    if file.format in ("parquet", "database"):
        return f"{path} must hold UTF-8 text, got other bytes. Write it anew."
    with open_source(file) as lines:
        number = next((n for n, line in enumerate(lines, start=1) if not _is_utf8(line)), 1)
    return f"{path} must be UTF-8, got other bytes in line {number}. Save it as UTF-8."


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def one_name_each(path: str, names: Iterable[str]) -> None:
    """Refuse a file in which two columns share a name.

    Raises
    ------
    DataError
        Naming them.
    """
    listed = list(names)
    twice = sorted({name for name in listed if listed.count(name) > 1})
    if twice:
        got = ", ".join(map(repr, twice))
        raise DataError(f"{path} must name each column once, got {got} twice. Rename one.")
