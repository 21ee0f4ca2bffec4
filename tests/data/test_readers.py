"""Opening files: formats agree, row numbers are the file's own, damage is said."""

import gzip
import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errdetect.data.delimited import read_delimited
from errdetect.data.json_lines import read_json_lines
from errdetect.data.readers import read_batches
from errdetect.data.sources import SourceFile, find_files
from errdetect.errors import DataError


def _file(tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return find_files(path)[0]


def _read(file, batch_rows=100):
    batches = list(read_batches(file, batch_rows=batch_rows))
    values = [row for batch in batches for row in batch.table.to_pylist()]
    rows = [row for batch in batches for row in batch.rows.tolist()]
    broken = [fault for batch in batches for fault in batch.broken]
    return values, rows, broken


def test_csv_fields_are_exact_text(tmp_path):
    file = _file(tmp_path, "a.csv", b'\xef\xbb\xbfid,text\n007,"a ""b""\nc"\n,NA\n\n1e5,\n')
    values, rows, broken = _read(file)
    assert values == [
        {"id": "007", "text": 'a "b"\nc'},
        {"id": None, "text": "NA"},
        {"id": "1e5", "text": None},
    ]
    assert rows == [1, 2, 3]
    assert broken == []


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_other_delimiters(tmp_path, mark):
    assert _read(_file(tmp_path, "a.csv", f"id{mark}b\n1{mark}2\n"))[0] == [{"id": "1", "b": "2"}]


def test_gzip_and_tsv(tmp_path):
    file = _file(tmp_path, "a.tsv.gz", gzip.compress(b"id\tb,c\n1\tx\n"))
    assert _read(file)[0] == [{"id": "1", "b,c": "x"}]


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
@pytest.mark.parametrize("block", [64, 1 << 20])
def test_ragged_rows_are_told_and_do_not_shift_numbers(tmp_path, monkeypatch, batch_rows, block):
    monkeypatch.setattr("errdetect.data.delimited.BLOCK", block)
    lines = ["id,b"] + [f"{n},x" if n % 4 else f"{n}" for n in range(1, 31)]
    file = _file(tmp_path, "a.csv", "\n".join(lines) + "\n")
    values, rows, broken = _read(file, batch_rows)
    assert [int(row["id"]) for row in values] == rows == [n for n in range(1, 31) if n % 4]
    assert broken == [(n, "the row must have 2 fields, got 1") for n in range(1, 31) if not n % 4]


@pytest.mark.parametrize("row", ['3,"x\n4,y\n', '"3,x\n4,y\n'])
def test_an_open_quote_is_refused(tmp_path, row):
    file = _file(tmp_path, "a.csv", f"id,b\n1,x\n2,x\n{row}")
    with pytest.raises(DataError, match=r"a\.csv must close every quote, got one that stays open"):
        _read(file)


def test_a_line_break_in_the_last_field_is_no_open_quote(tmp_path):
    for end in ("\n", "", "\r\n"):
        rows = _read(_file(tmp_path, "a.csv", f'id,b\n1,5" wide\n2,"x\ny"{end}'))[0]
        assert rows == [{"id": "1", "b": '5" wide'}, {"id": "2", "b": "x\ny"}]


def test_a_row_beyond_the_block_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("errdetect.data.delimited.BLOCK", 64)
    file = _file(tmp_path, "a.csv", "id,b\n1,x\n2," + "y" * 500 + "\n")
    with pytest.raises(DataError, match="a row is longer than 16 MB"):
        _read(file)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.csv", "id,id\n1,2\n", "must name each column once, got 'id' twice. Rename one."),
        ("a.csv", 'id,"b\nc"\n1,2\n', "must begin with its column names, got others."),
        ("a.csv", b"id,b\n1,x\n2,\xe9\n", "must be UTF-8, got other bytes in line 3."),
        ("a.csv", "id,b\n1,x\n".encode("utf-16"), "must be UTF-8, got other bytes in line 1."),
        ("a.csv.gz", "id,b\n", "it is damaged: Not a gzipped file"),
        (
            "a.csv.gz",
            gzip.compress(b"id,b\n" * 5000, mtime=0)[:-9],
            "it is damaged: Truncated compressed",
        ),
        ("a.jsonl.gz", gzip.compress(b"{}\n" * 5000, mtime=0)[:-9], "Compressed file ended before"),
        ("a.jsonl", b'{"a": "\xe9"}\n', "must be UTF-8, got other bytes in line 1."),
        ("a.jsonl", '[{"a": 1}]', "must hold one JSON object a line, got a list."),
        ("a.parquet", b"", "it is damaged: Parquet file size is 0 bytes"),
        ("a.parquet", b"no parquet at all", "it is damaged: Parquet magic bytes not found"),
    ],
)
def test_damage_is_said_with_the_files_name(tmp_path, name, data, said):
    file = _file(tmp_path, name, data)
    with pytest.raises(DataError) as caught:
        _read(file)
    assert str(caught.value).startswith(str(file.path))
    assert said in str(caught.value)


def test_damage_inside_a_parquet_file(tmp_path):
    path = tmp_path / "a.parquet"
    pd.DataFrame({"id": [f"{n * 7919 % 1000}" for n in range(2000)]}).to_parquet(path)
    data = bytearray(path.read_bytes())
    data[100:300] = bytes(200)
    with pytest.raises(DataError, match=r"a\.parquet cannot be read, it is damaged"):
        _read(_file(tmp_path, "a.parquet", bytes(data)))
    bad = pa.array([b"\xff"]).view(pa.string())
    pq.write_table(pa.table({"id": bad}), path)
    with pytest.raises(DataError, match=r"a\.parquet must hold UTF-8 text, got other bytes"):
        _read(find_files(path)[0])


def test_a_file_without_permission_or_gone(tmp_path):
    with pytest.raises(DataError, match=r"none\.csv cannot be read: No such file or directory\."):
        _read(SourceFile(tmp_path / "none.csv", "csv"))


def test_json_values_are_exact(tmp_path):
    rows = [
        {"id": "2026-01-01", "n": 1, "t": "2026-01-01T00:00:00Z"},
        {"id": "007", "n": 2.5, "late": True},
        {},
    ]
    text = "\n\n".join(json.dumps(row) for row in rows)
    values, numbers, broken = _read(_file(tmp_path, "a.jsonl", "\ufeff" + text))
    assert values == [dict.fromkeys(["id", "n", "t", "late"]) | row for row in rows]
    assert numbers == [1, 3, 5]
    assert broken == []


@pytest.mark.parametrize(
    ("ids", "texts"),
    [
        (["7", '"007"', "7.0", "7.5", "true"], ["7", "007", "7", "7.5", "true"]),
        (["12345678901234567890", '"a"'], ["12345678901234567890", "a"]),
        (['"\\ud83d"', '"b"'], ["?", "b"]),
        (['{"a": 1}', "1"], ['{"a": 1}', "1"]),
    ],
)
def test_json_columns_of_several_types_become_text(tmp_path, ids, texts):
    file = _file(tmp_path, "a.jsonl", "\n".join(f'{{"id": {i}}}' for i in ids))
    assert [row["id"] for row in _read(file)[0]] == texts


def test_large_json_integers_keep_every_digit(tmp_path):
    file = _file(tmp_path, "a.jsonl", '{"id": 12345678901234567890}\n{"id": 1}\n')
    assert [row["id"] for row in _read(file)[0]] == ["12345678901234567890", "1"]


def test_lines_that_are_no_objects_are_told(tmp_path):
    deep = "[" * 100_000
    file = _file(tmp_path, "a.jsonl", f'{{"id": 1}}\nnonsense\n{deep}\n7\n{{"id": 2}}{{"id": 3}}\n')
    values, rows, broken = _read(file)
    assert (values, rows) == ([{"id": 1}], [1])
    assert [row for row, _ in broken] == [2, 3, 4, 5]
    assert broken[0][1] == "the line must be a JSON object, got 'nonsense'"


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "a": st.none() | st.text(max_size=5),
                "b": st.integers(-(2**63), 2**63 - 1) | st.none(),
                "c": st.booleans(),
                "d": st.floats(allow_nan=False, allow_infinity=False, width=32),
                "e": st.text(max_size=3) | st.integers(0, 9),
            },
        ),
        min_size=1,
    ),
    st.integers(1, 4),
)
def test_json_lines_lose_no_row(tmp_path_factory, objects, batch_rows):
    path = tmp_path_factory.mktemp("json") / "a.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in objects))
    batches = list(read_json_lines(SourceFile(path, "jsonl"), batch_rows))
    read = [row for batch in batches for row in batch.table.to_pylist()]
    assert len(read) == len(objects)
    for got, given_row in zip(read, objects, strict=True):
        for name in ("a", "b", "c", "d"):
            assert got.get(name) == given_row.get(name)
        assert got.get("e") in (given_row.get("e"), str(given_row.get("e")))


_field = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=6)


@given(st.lists(st.tuples(_field, _field), min_size=1), st.integers(1, 4))
def test_csv_round_trips(tmp_path_factory, rows, batch_rows):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    quoted = "\n".join(",".join('"' + f.replace('"', '""') + '"' for f in row) for row in rows)
    path.write_text(f"a,b\n{quoted}\n", encoding="utf-8", newline="")
    batches = list(read_delimited(SourceFile(path, "csv"), batch_rows))
    read = [tuple(row.values()) for batch in batches for row in batch.table.to_pylist()]
    assert read == [tuple(field or None for field in row) for row in rows]
    assert all(len(batch.rows) <= batch_rows for batch in batches)


def test_partitions_become_columns(tmp_path):
    folder = tmp_path / "log" / "market=DE"
    folder.mkdir(parents=True)
    pd.DataFrame({"id": ["1"]}).to_parquet(folder / "p.parquet")
    file = find_files(tmp_path / "log")[0]
    assert _read(file)[0] == [{"id": "1", "market": "DE"}]
    only = next(read_batches(file, batch_rows=9, columns=["id"]))
    assert only.table.column_names == ["id"]


def test_block_is_large_enough_for_texts_of_a_megabyte(tmp_path):
    text = "x" * (1 << 20)
    assert _read(_file(tmp_path, "a.csv", f"id,text\n1,{text}\n"))[0][0]["text"] == text
