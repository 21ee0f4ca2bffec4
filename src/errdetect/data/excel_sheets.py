"""Reading one sheet of an Excel workbook as a table of texts; formulas are never evaluated.

A workbook is a zip archive that others made: its size, and the size of the grid that it spans, are
bounded before anything is loaded.
"""

import datetime as dt
import io
import re
import zipfile
from collections.abc import Sequence
from decimal import Decimal
from typing import IO

import python_calamine as calamine

from errdetect.errors import DataError, error_message, escape_hidden

__all__ = ["Sheet", "read_sheet", "sheet_names"]

#: Most bytes of a workbook, packed and unpacked, and most places of the rectangle that a sheet spans.
_PACKED, _UNPACKED, _PLACES = 200 << 20, 1 << 30, 60_000_000
_PLACE = re.compile(rb'<(?:\w+:)?(?:c|row)\b[^>]{0,200}?\br="([A-Z]{0,4})(\d{1,9})"')
_OLD = b"\xd0\xcf\x11\xe0"
_HEADER_ROWS = 20
#: Share of the widest row that a header fills: titles above it fill less.
_HEADER_SHARE = 0.6
_EXACT = 1e15


Sheet = tuple[list[str], list[list[str | None]], int]


def sheet_names(stream: IO[bytes], shown: str) -> list[str]:
    """Return the names of a workbook's visible sheets, in order.

    Raises
    ------
    DataError
        If it is no workbook, or is too large.
    """
    book = _open(stream, shown)
    visible = calamine.SheetVisibleEnum.Visible
    return [one.name for one in book.sheets_metadata if one.visible == visible]


def read_sheet(
    stream: IO[bytes], shown: str, sheet: str | int | None, *, decimal: str = "."
) -> Sheet:
    """Read a sheet: column names, rows of texts, and the number of lines above the names.

    Parameters
    ----------
    stream
        The workbook (.xlsx, .xlsm, .xls).
    shown
        Its name, for messages.
    sheet
        A name, or a number from 1; None where only one sheet has rows.
    decimal
        The sign with which numbers are written as text.

    Raises
    ------
    DataError
        If it is no workbook, is too large, has no such sheet, or several and none is named.
    """
    book = _open(stream, shown)
    for name in _choose(book, shown, sheet):
        rows = book.get_sheet_by_name(name).to_python()
        head = _header_row(rows)
        if head is not None:
            return _to_texts(rows, head, decimal)
    return [], [], 0


def _open(stream: IO[bytes], shown: str) -> calamine.CalamineWorkbook:
    content = stream.read(_PACKED + 1)
    if len(content) > _PACKED:
        raise _too_large(shown, f"more than {_PACKED >> 20} MB")
    try:
        safe = content if content.startswith(_OLD) else _unpack_bounded(content, shown)
        return calamine.load_workbook(io.BytesIO(safe))
    except (calamine.CalamineError, zipfile.BadZipFile, EOFError, OSError, NotImplementedError,
            RuntimeError, ValueError) as error:  # fmt: skip
        problem = escape_hidden(str(error).splitlines()[0][:200] if str(error) else "no workbook")
        do = "Open it in a spreadsheet and save it as .xlsx without a password, or as CSV."
        raise DataError(
            error_message(shown, "be an Excel workbook", f"another file ({problem})", do)
        ) from error


def _too_large(shown: str, got: str) -> DataError:
    do = "Save the sheet as CSV."
    return DataError(error_message(shown, "be a workbook of a size that fits memory", got, do))


def _unpack_bounded(content: bytes, shown: str) -> bytes:
    """Copy the archive unpacked, so that no more is read later than was counted here."""
    copy, left = io.BytesIO(), _UNPACKED
    with zipfile.ZipFile(io.BytesIO(content)) as packed, zipfile.ZipFile(copy, "w") as plain:
        for info in packed.infolist():
            with packed.open(info) as member:
                data = member.read(left + 1)
            left -= len(data)
            if left < 0:
                raise _too_large(shown, f"one that unpacks to more than {_UNPACKED >> 20:,} MB")
            if "worksheets/" in info.filename:
                _refuse_vast_grid(data, shown)
            plain.writestr(info.filename, data)
    return copy.getvalue()


def _refuse_vast_grid(xml: bytes, shown: str) -> None:
    """Refuse a sheet whose far corner would make a grid that fills the memory."""
    row = column = 0
    for match in _PLACE.finditer(xml):
        row = max(row, int(match[2]))
        number = 0
        for letter in match[1]:
            number = number * 26 + letter - 64
        column = max(column, number)
    if row * max(column, 1) > _PLACES:
        raise _too_large(shown, f"a sheet of {row:,} rows and {column:,} columns")


def _choose(book: calamine.CalamineWorkbook, shown: str, sheet: str | int | None) -> list[str]:
    names = list(book.sheet_names)
    if isinstance(sheet, int) and 1 <= sheet <= len(names):
        return [names[sheet - 1]]
    if isinstance(sheet, str) and sheet in names:
        return [sheet]
    listed = ", ".join(repr(escape_hidden(name)) for name in names[:20])
    if sheet is not None:
        do = f"Its sheets are {listed}."
        raise DataError(error_message(f"sheet {sheet!r}", f"be a sheet of {shown}", "none", do))
    full = [
        name for name in names if _header_row(book.get_sheet_by_name(name).to_python()) is not None
    ]
    if len(full) > 1:
        do = f"Name one with `sheet:` under `data`; its sheets are {listed}."
        raise DataError(error_message(shown, "hold one sheet with a table", str(len(full)), do))
    return full


def _header_row(rows: Sequence[Sequence[object]]) -> int | None:
    """Return the first row that is filled like the widest of the first rows, all in words."""
    head = rows[:_HEADER_ROWS]
    filled = [sum(value not in ("", None) for value in row) for row in head]
    most = max(filled, default=0)
    if most == 0:
        return None
    for place, (row, count) in enumerate(zip(head, filled, strict=True)):
        words = all(isinstance(value, str) for value in row if value not in ("", None))
        if count >= max(1, _HEADER_SHARE * most) and words:
            return place
    return None


def _to_texts(rows: Sequence[Sequence[object]], head: int, decimal: str) -> Sheet:
    names = [str(value).strip() for value in rows[head]]
    used = [
        place for place, name in enumerate(names) if name or _any_value(rows[head + 1 :], place)
    ]
    clock = {place for place in used if any(isinstance(row[place], dt.datetime) for row in rows)}
    texts = [
        [_text(row[place], decimal, clock=place in clock) for place in used]
        for row in rows[head + 1 :]
    ]
    return [names[place] or f"Unnamed: {place}" for place in used], texts, head


def _any_value(rows: Sequence[Sequence[object]], place: int) -> bool:
    return any(row[place] not in ("", None) for row in rows)


def _text(value: object, decimal: str, *, clock: bool) -> str | None:
    """Write a value as text: whole numbers without a point, times as ISO 8601."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if abs(value) >= _EXACT:  # digits are lost: an id must not look as if it had them
            return repr(value)
        return (
            str(int(value))
            if value.is_integer()
            else f"{Decimal(repr(value)):f}".replace(".", decimal)
        )
    if isinstance(value, dt.datetime):
        return value.isoformat(" ")
    if isinstance(value, dt.date):
        return f"{value.isoformat()} 00:00:00" if clock else value.isoformat()
    return str(value)
