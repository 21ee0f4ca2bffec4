"""Opening a source's bytes, decompressed and out of archives, and finding the encoding of its text."""

import bz2
import csv
import gzip
import lzma
import re
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, cast

import pyarrow as pa

from errdetect.data.sources import SourceFile

__all__ = ["DAMAGE", "detect_encoding", "open_bytes", "open_seekable", "open_source"]

#: What libraries raise for damaged bytes.
DAMAGE = (
    pa.ArrowException,
    csv.Error,
    UnicodeError,
    struct.error,
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
)


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
def open_seekable(file: SourceFile) -> Iterator[Path | IO[bytes]]:
    """Yield a seekable source: the file, or an unnamed copy of a zip's member."""
    if file.member is None:
        yield file.path
        return
    with tempfile.TemporaryFile() as copy, open_source(file) as stream:
        shutil.copyfileobj(stream, copy)
        copy.seek(0)
        yield copy


def detect_encoding(file: SourceFile) -> str:
    """Detect the encoding of text that begins with ASCII: UTF-16 by its mark or zeros, else UTF-8."""
    with open_source(file) as stream:
        head = stream.read(2)
    if head in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    if len(head) == 2 and 0 in head and any(head):
        return "utf-16-le" if head[1] == 0 else "utf-16-be"
    if file.format in ("csv", "tsv"):
        stat = file.path.stat()
        return _single_byte_encoding(file.path, file.member, stat.st_mtime_ns, stat.st_size)
    return "utf-8-sig"


@lru_cache(maxsize=1024)
def _single_byte_encoding(path: Path, member: str | None, _changed: int, _size: int) -> str:
    """Return Windows-1252 for text that is surely no UTF-8: it has letters beyond ASCII, none as UTF-8.

    A file that has both is UTF-8 with damaged bytes, and is refused as such.
    """
    file = SourceFile(path, "csv", member=member)
    text, rest = b"", False
    try:
        with open_source(file) as stream:
            while block := stream.read(1 << 20):
                text = text[-4:] + block
                if not text.isascii():
                    if _UTF8_LETTER.search(text):
                        return "utf-8-sig"
                    rest = True
                    if _NOT_1252.search(block):
                        return "utf-8-sig"
    except DAMAGE:
        return "utf-8-sig"
    return "cp1252" if rest else "utf-8-sig"


_UTF8_LETTER = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
#: Bytes that Windows-1252 does not have, and its signs that stand in no text.
_NOT_1252 = re.compile(rb"[\x81\x8d\x8f\x90\x9d\x00-\x08]")
