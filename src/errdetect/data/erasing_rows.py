"""Emptying what files for people quote of decisions' content: CSV, JSON, JSON Lines, and our own Excel workbooks."""

import csv
import io
import json
import re
import zipfile
from collections.abc import Collection, Iterator
from typing import Any
from xml.sax.saxutils import unescape

from errdetect.data.atomic_writing import unescape_formula

__all__ = ["ROW_FORMATS", "empty_rows", "sheet_texts"]

#: Suffixes of the files whose rows can be emptied.
ROW_FORMATS = (".csv", ".json", ".jsonl", ".xlsx")
_ID = "decision_id"
_SHEET = re.compile(r"xl/worksheets/sheet\d+\.xml")
_ROW = re.compile(r'<row r="\d+">.*?</row>', re.S)
_PLACE = re.compile(
    r'<c r="([A-Z]+)(\d+)"( s="\d+")(?:/>| t="inlineStr"><is><t[^>]*>(.*?)</t></is></c>)', re.S
)
_MOST = 1 << 28  # bytes of a workbook's part


def empty_rows(
    suffix: str, content: bytes, ids: Collection[str] | None, columns: Collection[str]
) -> bytes:
    r"""Empty columns in the rows of some decisions.

    Parameters
    ----------
    suffix
        One of `ROW_FORMATS`.
    content
        The file's bytes; as errdetect writes them, or they come back unchanged.
    ids
        The decisions; None for all rows.
    columns
        Columns to empty.

    Examples
    --------
    >>> empty_rows(".csv", b"decision_id,text\r\nd1,mine\r\nd2,other\r\n", {"d1"}, {"text"})
    b'decision_id,text\r\nd1,\r\nd2,other\r\n'
    >>> empty_rows(".jsonl", b'{"data": {"decision_id": "d1", "text": "mine"}}\n', {"d1"}, {"text"})
    b'{"data": {"decision_id": "d1", "text": null}}\n'
    """
    own = None if ids is None else frozenset(ids)
    empty = {".csv": _csv, ".json": _json, ".jsonl": _json_lines, ".xlsx": _workbook}[suffix]
    try:
        return empty(content, own, frozenset(columns))
    except (ValueError, RecursionError, csv.Error, zipfile.BadZipFile):
        return content  # not ours


def _is_own(value: object, ids: frozenset[str] | None) -> bool:
    return ids is None or (
        isinstance(value, str) and {value, unescape_formula(value)} & ids != set()
    )


def _csv(content: bytes, ids: frozenset[str] | None, columns: frozenset[str]) -> bytes:
    mark = content[:3] if content.startswith(b"\xef\xbb\xbf") else b""
    text = content[len(mark) :].decode()
    rows = list(csv.reader(io.StringIO(text, newline="")))
    places = [at for at, name in enumerate(rows[0]) if name in columns] if rows else []
    if not places or (ids is not None and _ID not in rows[0]):
        return content
    changed = False
    for row in rows[1:]:
        if ids is None or _is_own(row[rows[0].index(_ID)], ids):
            for at in places:
                changed |= bool(row[at])
                row[at] = ""
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n" if "\r\n" in text else "\n").writerows(rows)
    return mark + out.getvalue().encode() if changed else content


def _json(content: bytes, ids: frozenset[str] | None, columns: frozenset[str]) -> bytes:
    value = json.loads(content)
    if not _emptied(value, ids, columns):
        return content
    return f"{json.dumps(value, ensure_ascii=False, indent=1)}\n".encode()


def _json_lines(content: bytes, ids: frozenset[str] | None, columns: frozenset[str]) -> bytes:
    lines = content.split(b"\n")
    for at, line in enumerate(lines):
        value = json.loads(line) if line.strip() else None
        if _emptied(value, ids, columns):
            lines[at] = json.dumps(value, ensure_ascii=False).encode()
    return b"\n".join(lines)


def _emptied(value: Any, ids: frozenset[str] | None, columns: frozenset[str]) -> bool:
    """Empty the columns of every object that names such a decision, at any depth; return whether any had some."""
    if isinstance(value, list):
        return (
            sum(_emptied(one, ids, columns) for one in value) > 0
        )  # all of them, not to the first
    if not isinstance(value, dict):
        return False
    changed = sum(_emptied(one, ids, columns) for one in value.values()) > 0
    if _ID in value and _is_own(value[_ID], ids):
        for name in columns & value.keys():
            changed |= value[name] not in (None, "", [])
            value[name] = None
    return changed


def _workbook(content: bytes, ids: frozenset[str] | None, columns: frozenset[str]) -> bytes:
    out, changed = io.BytesIO(), False
    with zipfile.ZipFile(io.BytesIO(content)) as book, zipfile.ZipFile(out, "w") as again:
        for part in book.infolist():
            held = _part(book, part)
            if _SHEET.fullmatch(part.filename):
                bare = _sheet(held.decode(), ids, columns).encode()
                changed |= bare != held
                held = bare
            again.writestr(
                zipfile.ZipInfo(part.filename, part.date_time), held, zipfile.ZIP_DEFLATED
            )
    return out.getvalue() if changed else content


def _part(book: zipfile.ZipFile, part: zipfile.ZipInfo) -> bytes:
    if part.file_size > _MOST:
        raise ValueError(part.filename)
    return book.read(part)


def _sheet(text: str, ids: frozenset[str] | None, columns: frozenset[str]) -> str:
    heads = {
        place[1]: unescape(place[4] or "") for place in _PLACE.finditer(text) if place[2] == "1"
    }
    by_name = {name: letters for letters, name in heads.items()}
    empty = {letters for name, letters in by_name.items() if name in columns}
    if not empty or (ids is not None and _ID not in by_name):
        return text

    def bare(row: re.Match[str]) -> str:
        places = {place[1]: place for place in _PLACE.finditer(row[0])}
        if any(place[2] == "1" for place in places.values()):
            return row[0]
        if ids is not None:
            named = places.get(by_name[_ID])
            if named is None or not _is_own(unescape(named[4] or ""), ids):
                return row[0]
        return _PLACE.sub(
            lambda c: f'<c r="{c[1]}{c[2]}"{c[3]}/>' if c[1] in empty else c[0], row[0]
        )

    return _ROW.sub(bare, text)


def sheet_texts(content: bytes) -> Iterator[bytes]:
    """Yield the text of a workbook's parts, whoever wrote it; nothing where it is none.

    Examples
    --------
    >>> list(sheet_texts(b"no workbook"))
    []
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as book:
            for part in book.infolist():
                if part.filename.endswith(".xml") and part.file_size <= _MOST:
                    yield unescape(book.read(part).decode("utf-8", "replace")).encode()
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError):
        return
