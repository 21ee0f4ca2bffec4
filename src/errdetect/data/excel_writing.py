"""Writing an Excel workbook of forms for people to fill in: text only, no formulas, no macros."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape, quoteattr

import pandas as pd

from errdetect.data.atomic_writing import escape_formula
from errdetect.errors import escape_hidden

__all__ = ["FormSheet", "workbook_bytes"]

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_PARTS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_DATE = (1980, 1, 1, 0, 0, 0)  # equal content gives equal bytes
_LONGEST = 32_767  # characters of a place in a sheet
_WIDTH, _WIDE = 16, 60
_WRAP = '<alignment vertical="top" wrapText="1"/>'
_STYLES = (
    f'<styleSheet xmlns="{_MAIN}"><fonts count="2"><font><sz val="11"/><name val="Calibri"/></font>'
    '<font><b/><sz val="11"/><name val="Calibri"/></font></fonts><fills count="3">'
    '<fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill>'
    '<fill><patternFill patternType="solid"><fgColor rgb="FFFFF2CC"/></patternFill></fill></fills>'
    '<borders count="1"><border/></borders><cellStyleXfs count="1"><xf/></cellStyleXfs>'
    f'<cellXfs count="3"><xf numFmtId="49" applyAlignment="1">{_WRAP}</xf>'
    '<xf numFmtId="49" fontId="1" applyFont="1"/>'
    f'<xf numFmtId="49" fillId="2" applyFill="1" applyAlignment="1">{_WRAP}</xf></cellXfs>'
    '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
)


@dataclass(frozen=True)
class FormSheet:
    """One sheet.

    Parameters
    ----------
    rows
        The table; missing values are empty, everything else is written as text.
    choices
        Column -> the values that its places offer as a list.
    to_fill
        Columns that people fill in: coloured.
    wide
        Columns of long text.
    """

    rows: pd.DataFrame
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    to_fill: Sequence[str] = ()
    wide: Sequence[str] = ()


def workbook_bytes(sheets: Mapping[str, FormSheet]) -> bytes:
    """Return an .xlsx workbook; equal sheets give equal bytes.

    Parameters
    ----------
    sheets
        Name -> sheet, in order.

    Returns
    -------
    bytes
        Every value is text, escaped as in CSV, so that no program runs it as a formula, also after
        it was saved as CSV. Text beyond Excel's 32,767 characters is cut.

    Notes
    -----
    ECMA-376, Office Open XML, part 1, section 18 (SpreadsheetML), with inline strings.

    Examples
    --------
    >>> from errdetect.data.excel_sheets import read_sheet
    >>> book = workbook_bytes({"Ballot": FormSheet(pd.DataFrame({"text": ["=1+1", "a<b"]}))})
    >>> read_sheet(io.BytesIO(book), "book.xlsx", "Ballot")[1]
    [["'=1+1"], ['a<b']]
    """
    names = list(sheets)
    numbers = range(1, len(names) + 1)
    files = {
        "[Content_Types].xml": _content_types(len(names)),
        "_rels/.rels": _relations({"rId1": ("officeDocument", "xl/workbook.xml")}),
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_PARTS}"><sheets>'
        + "".join(
            f'<sheet name={quoteattr(name)} sheetId="{n}" r:id="rId{n}"/>'
            for n, name in zip(numbers, names, strict=True)
        )
        + "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": _relations(
            {f"rId{n}": ("worksheet", f"worksheets/sheet{n}.xml") for n in numbers}
            | {"rId0": ("styles", "styles.xml")}
        ),
        "xl/styles.xml": _STYLES,
        **{
            f"xl/worksheets/sheet{n}.xml": _sheet_xml(sheets[name])
            for n, name in zip(numbers, names, strict=True)
        },
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), _HEAD + text, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _content_types(n_sheets: int) -> str:
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = [("/xl/workbook.xml", "sheet.main"), ("/xl/styles.xml", "styles")]
    parts += [(f"/xl/worksheets/sheet{n}.xml", "worksheet") for n in range(1, n_sheets + 1)]
    overrides = (
        f'<Override PartName="{part}" ContentType="{kind}.{name}+xml"/>' for part, name in parts
    )
    relations = "application/vnd.openxmlformats-package.relationships+xml"
    return (
        f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" ContentType="{relations}"/>'
        f'<Default Extension="xml" ContentType="application/xml"/>{"".join(overrides)}</Types>'
    )


def _relations(targets: Mapping[str, tuple[str, str]]) -> str:
    parts = (
        f'<Relationship Id="{name}" Type="{_PARTS}/{kind}" Target="{target}"/>'
        for name, (kind, target) in targets.items()
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{"".join(parts)}</Relationships>'


def _sheet_xml(sheet: FormSheet) -> str:
    names = [str(name) for name in sheet.rows.columns]
    widths = "".join(
        f'<col min="{n}" max="{n}" width="{_WIDE if name in sheet.wide else _WIDTH}" customWidth="1"/>'
        for n, name in enumerate(names, start=1)
    )
    styles = [2 if name in sheet.to_fill else 0 for name in names]
    lines = [_row_xml(1, names, [1] * len(names))]
    for number, row in enumerate(sheet.rows.itertuples(index=False), start=2):
        lines.append(_row_xml(number, list(row), styles))
    last = max(len(sheet.rows) + 1, 2)
    lists = [
        f'<dataValidation type="list" allowBlank="1" sqref="{_letters(at)}2:{_letters(at)}{last}"><formula1>'
        f"{escape(quoteattr(','.join(sheet.choices[name])))}</formula1></dataValidation>"
        for at, name in enumerate(names)
        if name in sheet.choices
    ]
    offered = (
        f'<dataValidations count="{len(lists)}">{"".join(lists)}</dataValidations>' if lists else ""
    )
    return (
        f'<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0">'
        '<pane ySplit="1" topLeftCell="A2" state="frozen"/></sheetView></sheetViews>'
        f"<cols>{widths}</cols><sheetData>{''.join(lines)}</sheetData>{offered}</worksheet>"
    )


def _row_xml(number: int, values: Sequence[object], styles: Sequence[int]) -> str:
    places = (
        f'<c r="{_letters(at)}{number}" s="{style}" t="inlineStr"><is><t xml:space="preserve">'
        f"{escape(_text(value))}</t></is></c>"
        if not _is_missing(value)
        else f'<c r="{_letters(at)}{number}" s="{style}"/>'
        for at, (value, style) in enumerate(zip(values, styles, strict=True))
    )
    return f'<row r="{number}">{"".join(places)}</row>'


def _is_missing(value: object) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or value != value or value == ""


def _text(value: object) -> str:
    """Return a value as harmless text: formulas escaped, hidden characters as codes."""
    shown = str(value).encode("utf-8", "replace").decode("utf-8").replace("\r\n", "\n")
    return escape_formula(escape_hidden(shown))[:_LONGEST]


def _letters(at: int) -> str:
    """Return a column's letters: 0 is A, 26 is AA."""
    text = ""
    at += 1
    while at:
        at, rest = divmod(at - 1, 26)
        text = chr(65 + rest) + text
    return text
