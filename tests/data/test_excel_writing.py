"""Workbooks that others open: our reader and openpyxl read them, and nothing in them runs."""

import io
import zipfile

import openpyxl
import pandas as pd
import pytest

from errdetect.data.excel_sheets import read_sheet
from errdetect.data.excel_writing import FormSheet, workbook_bytes

HOSTILE = ["=cmd|' /C calc'!A0", "+1", "@SUM(A1)", "<script>alert(1)</script>", "a&b \"c\"",
           "\x00\x1b[31m", "x" * 40_000]  # fmt: skip


@pytest.fixture
def book():
    ids = [f"d{i}" for i in range(len(HOSTILE))]
    rows = pd.DataFrame({"decision_id": ids, "text": HOSTILE, "verdict": None})
    words = ("upheld", "overturned", "relabelled")
    form = FormSheet(rows, {"verdict": words}, to_fill=["verdict"], wide=["text"])
    return workbook_bytes({"Ballot": form, "Read & me": FormSheet(pd.DataFrame({"a": ["b"]}))})


def test_other_programs_read_it_as_text(book):
    opened = openpyxl.load_workbook(io.BytesIO(book))
    assert opened.sheetnames == ["Ballot", "Read & me"]
    sheet = opened["Ballot"]
    values = [sheet.cell(row, 2).value for row in range(2, 9)]
    assert values[0] == "'" + HOSTILE[0]
    assert values[3:5] == HOSTILE[3:5]
    assert all(sheet.cell(row, 2).data_type in ("s", "inlineStr") for row in range(2, 9))
    assert len(values[6]) == 32_767
    (offered,) = sheet.data_validations.dataValidation
    assert offered.formula1 == '"upheld,overturned,relabelled"'
    assert str(offered.sqref) == "C2:C8"


def test_our_reader_gets_it_back_and_bytes_are_equal(book):
    names, rows, _ = read_sheet(io.BytesIO(book), "b.xlsx", "Ballot")
    assert names == ["decision_id", "text", "verdict"]
    assert [row[0] for row in rows] == [f"d{i}" for i in range(len(HOSTILE))]
    assert rows[5][1] == "[U+0000][U+001B][31m"
    form = {"a": FormSheet(pd.DataFrame({"n": [1.5, None]}))}
    assert workbook_bytes(form) == workbook_bytes(form)
    with zipfile.ZipFile(io.BytesIO(book)) as archive:
        assert not any(b"<f>" in archive.read(name) for name in archive.namelist())
