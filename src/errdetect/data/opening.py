"""Opening files: bytes from plain or gzipped ones, and plain words for damaged ones."""

import gzip
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from errdetect.errors import DataError

__all__ = ["BLOCK", "RawBatch", "naming", "one_name_each", "open_bytes"]

#: Bytes of text that are parsed at once; no row may be longer.
BLOCK = 16 << 20


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
    """Open a file's bytes, unzipped if its name ends in `.gz`."""
    if path.name.lower().endswith(".gz"):
        return cast(IO[bytes], gzip.open(path, "rb"))
    return path.open("rb")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn what a library says about damaged bytes into a sentence with the file's name.

    Raises
    ------
    DataError
        Where the block met bytes that are no table.
    """
    try:
        yield
    except UnicodeDecodeError as error:
        raise DataError(_not_utf8(path)) from error
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError, EOFError, zlib.error) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        if "UTF8" in said:
            raise DataError(_not_utf8(path)) from error
        if "straddling" in said:
            said = f"a row is longer than {BLOCK >> 20} MB (is a quote left open?)"
        if isinstance(error, OSError) and error.strerror:
            raise DataError(f"{path} cannot be read: {error.strerror}.") from error
        do = f"{said.rstrip('.')}. Write or fetch it anew."
        raise DataError(f"{path} cannot be read, it is damaged: {do}") from error


def _not_utf8(path: Path) -> str:
    """Name the first line that is not UTF-8."""
    if path.name.lower().endswith((".parquet", ".pq")):
        return f"{path} must hold UTF-8 text, got other bytes. Write it anew."
    with open_bytes(path) as lines:
        number = next(n for n, line in enumerate(lines, start=1) if not _is_utf8(line))
    return f"{path} must be UTF-8, got other bytes in line {number}. Save it as UTF-8."


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def one_name_each(path: Path, names: Iterable[str]) -> None:
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
