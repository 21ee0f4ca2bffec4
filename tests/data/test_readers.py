"""Opening files: formats agree, row numbers are the file's own, damage is said."""

import bz2
import gzip
import json
import lzma
import zipfile

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errdetect.data.file_readers import BLOCK, read_batches, read_delimited, read_json_lines
from errdetect.data.sources import SourceFile, find_files
from errdetect.data.table_reading import read_decisions
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
    monkeypatch.setattr("errdetect.data.file_readers.BLOCK", block)
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


def test_a_row_beyond_the_block_is_refused(tmp_path):
    file = _file(tmp_path, "a.csv", "id,b\n1,x\n2," + "y" * (2 * BLOCK) + "\n")
    with pytest.raises(DataError, match="a row is longer than 16 MB"):
        _read(file)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.csv", "id,id\n1,2\n", "must name each column once, got 'id' twice. Rename one."),
        ("a.csv", b"id,b\n1,\xc3\xa9\n2,\xe9\n", "must be UTF-8, got other bytes in line 3."),
        ("a.csv.gz", "id,b\n", "it is damaged: Not a gzipped file"),
        (
            "a.csv.gz",
            gzip.compress(b"id,b\n" * 5000, mtime=0)[:-9],
            "it is damaged: Truncated compressed",
        ),
        ("a.jsonl.gz", gzip.compress(b"{}\n" * 5000, mtime=0)[:-9], "Compressed file ended before"),
        ("a.jsonl", b'{"a": "\xe9"}\n', "must be UTF-8, got other bytes in line 1."),
        ("a.jsonl", '[{"a": 1}', "must be JSON, got ''"),
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


@pytest.mark.parametrize("first", ["sep={}", "SEP={}", '"sep={}"', "sep={}{}{}", "\ufeffsep={}"])
@pytest.mark.parametrize("mark", [";", ",", "|", "\t", "^"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_sep_line_names_the_delimiter(tmp_path, first, mark, end):
    lines = [first.replace("{}", mark), f"id{mark}b", f"1{mark}x", "2", f"3{mark}y"]
    values, rows, broken = _read(_file(tmp_path, "a.csv", end.join(lines) + end))
    assert values == [{"id": "1", "b": "x"}, {"id": "3", "b": "y"}]
    assert rows == [1, 3]
    assert broken == [(2, "the row must have 2 fields, got 1")]


def test_a_column_called_sep_is_no_sep_line(tmp_path):
    assert _read(_file(tmp_path, "a.csv", "sep,b\n1,x\n"))[0] == [{"sep": "1", "b": "x"}]


def test_the_delimiter_is_what_splits_the_header_most(tmp_path):
    file = _file(tmp_path, "a.csv", 'id;"price, net";b\n1;2,5;3\n')
    assert _read(file)[0] == [{"id": "1", "price, net": "2,5", "b": "3"}]
    file = _file(tmp_path, "b.tsv", "id;b\n1;2\n")
    assert _read(file)[0] == [{"id": "1", "b": "2"}]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_encodings_with_a_mark(tmp_path, encoding):
    text = 'sep=;\r\nid;b\r\n1;"é\r\nÜ"\r\n'
    assert _read(_file(tmp_path, "a.csv", text.encode(encoding)))[0] == [{"id": "1", "b": "é\r\nÜ"}]
    for data in ("\ufeffid,b\n1,é\n".encode("utf-16-be"), "id,b\n1,é\n".encode("utf-16-le")):
        assert _read(_file(tmp_path, "b.csv", data))[0] == [{"id": "1", "b": "é"}]


@pytest.mark.parametrize(("ending", "pack"), [("bz2", bz2.compress), ("xz", lzma.compress)])
def test_other_compressions(tmp_path, ending, pack):
    file = _file(tmp_path, f"a.csv.{ending}", pack(b"id,b\n1,x\n"))
    assert _read(file)[0] == [{"id": "1", "b": "x"}]
    file = _file(tmp_path, f"a.jsonl.{ending}", pack(b'{"id": 1}'))
    assert _read(file)[0] == [{"id": 1}]
    damaged = _file(tmp_path, f"b.csv.{ending}", pack(b"id,b\n1,x\n" * 500)[:-9])
    with pytest.raises(DataError, match=r"b\.csv\..* cannot be read, it is damaged"):
        _read(damaged)


def test_a_decimal_comma_without_quotes_is_named(tmp_path):
    broken = _read(_file(tmp_path, "a.csv", "id,b\n1,0,5\n2,x\n"))[2]
    assert broken[0][1].startswith("the row must have 2 fields, got 3 (a comma inside a field")


def test_a_line_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("errdetect.data.file_readers._LONGEST", 64)
    file = _file(tmp_path, "a.jsonl", '{"id": 1}\n{"id": "' + "x" * 100 + '"}\n')
    with pytest.raises(DataError, match=r"a\.jsonl must have lines below"):
        _read(file)


# --- zip ---------------------------------------------------------------------------------------


def _zip(tmp_path, name="a.zip", **members):
    path = tmp_path / name
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return path


def test_the_tables_of_a_zip_are_read_as_parts(tmp_path):
    members = {"b/2.csv": "id,b\n2,y\n", "a.csv": "id,b\n1,x\n", "../up.csv": "id,b\n3,z\n"}
    litter = {"__MACOSX/._a.csv": "x", ".DS_Store": "x", "b/_SUCCESS": ""}
    path = _zip(tmp_path, **members, **litter)
    files = find_files(path)
    assert [file.shown for file in files] == [
        f"{path}/{n}" for n in ("../up.csv", "a.csv", "b/2.csv")
    ]
    assert [_read(file)[0][0]["id"] for file in files] == ["3", "1", "2"]
    assert not (tmp_path.parent / "up.csv").exists()
    assert len(find_files([path, path])) == 3


@pytest.mark.parametrize("name", ["t.parquet", "t.jsonl", "t.tsv"])
def test_every_format_is_read_from_a_zip(tmp_path, name):
    plain = tmp_path / name
    frame = pd.DataFrame({"id": ["1", "2"]})
    if name == "t.parquet":
        frame.to_parquet(plain)
    else:
        plain.write_text("id\n1\n2\n" if name == "t.tsv" else '{"id": "1"}\n{"id": "2"}\n')
    (file,) = find_files(_zip(tmp_path, **{name: plain.read_bytes()}))
    assert _read(file)[:2] == ([{"id": "1"}, {"id": "2"}], [1, 2])


def test_a_folder_may_hold_zips(tmp_path):
    folder = tmp_path / "log" / "market=DE"
    folder.mkdir(parents=True)
    _zip(folder, "p.zip", **{"p.csv": "id\n1\n"})
    (file,) = find_files(tmp_path / "log")
    assert _read(file)[0] == [{"id": "1", "market": "DE"}]


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({}, "must hold files that end in one of .parquet"),
        ({"readme.txt": "x"}, "must hold files that end in one of .parquet"),
        ({"a.zip": "x"}, "must hold tables, not archives, got 'a.zip'"),
        ({"a.csv.gz": "x"}, "must hold tables, not archives"),
        (
            {"a.csv": "id", "b.jsonl": "{}"},
            "must hold tables of one format, got 'a.csv', 'b.jsonl'",
        ),
    ],
)
def test_other_zips_are_refused_in_one_message(tmp_path, members, said):
    with pytest.raises(DataError, match=r"^The archive .*a\.zip must ") as error:
        find_files(_zip(tmp_path, **members))
    assert said in str(error.value)


def test_zips_with_a_password_too_large_or_damaged_are_refused(tmp_path, monkeypatch):
    path = _zip(tmp_path, **{"a.csv": "id,b\n" + "1,x\n" * 5000})
    monkeypatch.setattr("errdetect.data.sources._ZIP_LIMIT", 1000)
    monkeypatch.setattr("errdetect.data.sources._ZIP_RATIO", 10)
    with pytest.raises(DataError, match="must unpack to at most 10 times its size"):
        find_files(path)
    monkeypatch.undo()
    data = bytearray(path.read_bytes())
    locked = data.copy()
    locked[6] |= 1
    locked[locked.find(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(locked)
    with pytest.raises(DataError, match="must open without a password"):
        find_files(path)
    data[45] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"a\.zip/a\.csv cannot be read, it is damaged"):
        _read(find_files(path)[0])
    path.write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(DataError, match="it is damaged or not a zip archive"):
        find_files(path)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        (
            "a.csv",
            gzip.compress(b"decision_id\n1\n", mtime=0),
            "must be text, got gzip. Let its name end in .gz",
        ),
        ("a.jsonl", b"PK\x03\x04zip", "must be text, got a zip archive or a spreadsheet"),
        ("a.tsv", b"PAR1PAR1", "must be text, got Parquet"),
        ("a.jsonl", b'{"decision_id": ' + b"9" * 4400 + b"}\n", "must"),
        ("a.jsonl", b'{"\\ud800": 1, "decision_id": "\\udfff"}\n', "must"),
        ("a.csv", b"decision_id,action\ra,b\rc,d", "."),
        ("a.csv", b'"' + b"x" * 140_000 + b'",b\n1,2\n', "."),
    ],
)
def test_what_no_reader_expects_is_one_sentence(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=says) as caught:
        read_decisions(tmp_path / name)
    assert "\n" not in str(caught.value).strip()


def test_damaged_compression_that_gives_wrong_bytes_first(tmp_path):
    held = bytearray(gzip.compress(b"decision_id,text\n" + bytes(range(128)) * 900, 1))
    for at in range(20, len(held), 40):
        changed = bytes(held[:at]) + bytes([held[at] ^ 0x55]) + bytes(held[at + 1 :])
        (tmp_path / "a.csv.gz").write_bytes(changed)
        with pytest.raises(DataError):
            read_decisions(tmp_path / "a.csv.gz")


def test_column_names_may_hold_line_breaks_and_text_files_any_delimiter(tmp_path):
    (tmp_path / "log.txt").write_bytes('"Case\nno"\tAction\r\nc1\t"a\nb"\r\n'.encode("utf-16"))
    (file,) = find_files(tmp_path / "log.txt")
    (batch,) = read_batches(file, batch_rows=10)
    assert batch.table.to_pylist() == [{"Case\nno": "c1", "Action": "a\nb"}]


def test_a_note_in_a_folder_of_parts_is_no_table(tmp_path):
    (tmp_path / "part-0.csv").write_text("a,b\n1,2\n")
    (tmp_path / "README.txt").write_text("These are the parts.\n")
    assert [one.path.name for one in find_files(tmp_path)] == ["part-0.csv"]


@given(
    n=st.integers(0, 40),
    group=st.integers(1, 15),
    batch=st.integers(1, 15),
    parts=st.integers(1, 6),
)
def test_shares_of_a_parquet_file_are_the_file(tmp_path_factory, n, group, batch, parts):
    """Each batch is in one share, whole, with its row numbers; all together in order."""
    path = tmp_path_factory.mktemp("shares") / "a.parquet"
    pq.write_table(pa.table({"id": [str(i) for i in range(n)]}), path, row_group_size=group)
    file = find_files(path)[0]

    def read(share):
        return [
            (one.rows.tolist(), one.table["id"].to_pylist())
            for one in read_batches(file, batch_rows=batch, share=share)
        ]

    whole = read((0, 1))
    assert [part for i in range(parts) for part in read((i, parts))] == whole
    assert [row for rows, _ in whole for row in rows] == list(range(1, n + 1))
    assert [i for _, ids in whole for i in ids] == [str(i) for i in range(n)]
    assert all(len(rows) <= batch for rows, _ in whole)
