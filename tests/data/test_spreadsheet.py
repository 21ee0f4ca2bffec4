"""CSV that no spreadsheet runs, and that loses nothing."""

import csv
import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errdetect.data.atomic_writing import RISKY, escape_formula, unescape_formula, write_csv
from errdetect.errors import escape_hidden

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(st.one_of(TEXT, TEXT.map(lambda t: "=" + t), TEXT.map(lambda t: " '" + t)))
def test_every_text_comes_back_and_none_begins_a_formula(text):
    cell = escape_formula(text)
    assert unescape_formula(cell) == text
    assert not cell.lstrip(" ").startswith(tuple(set(RISKY) - {"'"}))


@pytest.mark.parametrize("mark", ["=", "+", "-", "@", "\t", "\r", "\n", "\0", "＝", " ="])
def test_marks_that_begin_a_formula(mark):
    assert escape_formula(f"{mark}1+1") == f"'{mark}1+1"


@given(st.lists(st.tuples(TEXT, st.floats(allow_infinity=False)), min_size=1, max_size=5))
def test_a_written_table_is_read_back(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "hypothesis.csv"
    frame = pd.DataFrame(rows, columns=["=text", "n"])
    write_csv(frame, path)
    with path.open(encoding="utf-8", newline="") as stream:
        header, *lines = csv.reader(io.StringIO(stream.read(), newline=""))
    assert header == ["'=text", "n"]
    shown = [escape_hidden(text.replace("\r\n", "\n")) for text, _ in rows]
    assert [unescape_formula(text) for text, _ in lines] == shown
    assert [n for _, n in lines] == ["" if np.isnan(n) else str(n) for _, n in rows]


def test_every_kind_of_value(tmp_path):
    frame = pd.DataFrame(
        {
            "at": pd.to_datetime(["2026-01-01T10:00Z", None], utc=True),
            "yes": [True, None],
            "ids": [np.array(["=1", "b"], dtype=object), None],
            "n": [-1, 2],
        }
    )
    write_csv(frame, tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text(encoding="utf-8").splitlines() == [
        "at,yes,ids,n",
        '2026-01-01T10:00:00+00:00,True,"[""=1"", ""b""]",-1',
        ",,,2",
    ]


@pytest.mark.parametrize("mark", ["\x1b[31m", "\x07", "\x9b31m", "\u202e", "\u200b", "\r", "\x00"])
def test_no_control_character_and_no_change_of_direction_is_written(tmp_path, mark):
    write_csv(pd.DataFrame({f"a{mark}": [f"x{mark}y", [f"z{mark}"]]}), tmp_path / "x.csv")
    text = (tmp_path / "x.csv").read_bytes().decode()
    assert mark not in text.replace("\r\n", "")
    assert text.count(f"[U+{ord(mark[0]):04X}]") >= 2
