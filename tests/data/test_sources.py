"""Which files a source means."""

from pathlib import Path

import pytest

from errdetect.data.sources import dataset_name, find_files, parse_table_source, source_label
from errdetect.errors import DataError
from errdetect.table_settings import TableMapping


@pytest.fixture
def folder(tmp_path):
    for name in (
        "a.parquet",
        "b.csv",
        "c.JSONL.GZ",
        "notes.pdf",
        ".hidden.csv",
        "parts/_SUCCESS",
        "parts/part-1.parquet",
        "parts/part-0.parquet",
        "parts/.part-0.parquet.crc",
        "parts/_tmp/part-9.parquet",
        "hive/market=DE/day=2026-01-01/p.parquet",
        "hive/market=__HIVE_DEFAULT_PARTITION__/day=a%2Fb/p.parquet",
        "odd[1].csv",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def _names(files):
    return [file.path.name for file in files]


def test_a_path_a_glob_a_folder_and_lists(folder, monkeypatch):
    assert _names(find_files(folder / "a.parquet")) == ["a.parquet"]
    assert _names(find_files(str(folder / "*.csv"))) == ["b.csv", "odd[1].csv"]
    assert _names(find_files(folder / "odd[1].csv")) == ["odd[1].csv"]
    assert _names(find_files(folder / "parts")) == ["part-0.parquet", "part-1.parquet"]
    assert _names(find_files(folder / "pa*")) == ["part-0.parquet", "part-1.parquet"]
    assert _names(find_files(folder / "**" / "part-*.parquet"))[:1] == ["part-9.parquet"]
    monkeypatch.chdir(folder)
    assert find_files(["b.csv", "*.csv", Path("a.parquet")])[0].path == Path("b.csv")
    assert _names(find_files(["b.csv", "*.csv"])) == ["b.csv", "odd[1].csv"]


def test_formats_come_from_names(folder):
    formats = [find_files(folder / name)[0].format for name in ("a.parquet", "b.csv", "c.JSONL.GZ")]
    assert formats == ["parquet", "csv", "jsonl"]


def test_partitions_come_from_folders(folder):
    first, second = find_files(folder / "hive")
    assert first.partition == {"market": "DE", "day": "2026-01-01"}
    assert second.partition == {"market": None, "day": "a/b"}


def test_what_is_not_found_is_said_with_near_names(folder):
    with pytest.raises(
        DataError, match=r"^No file matches .*/a\.parqet\. The folder .* has no "
    ) as e:
        find_files(folder / "a.parqet")
    assert "has no a.parqet; it holds a.parquet, parts and 6 more." in str(e.value)
    with pytest.raises(DataError, match=r"/x\.csv\. The folder .* has no none; it holds "):
        find_files(folder / "none" / "deeper" / "x.csv")
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match=r"/empty has no \*\.csv; it is empty\.$"):
        find_files(folder / "empty" / "*.csv")


@pytest.mark.parametrize("place", ["n" * 300 + "/x", "sub/" + "9" * 5_000 + "/../x", "{[" * 200])
def test_a_name_that_no_system_takes_is_not_found(folder, place):
    with pytest.raises(DataError, match=r"No file matches|cannot be used"):
        find_files(str(folder / place))


def test_other_formats_and_empty_folders_are_refused(folder):
    with pytest.raises(DataError, match=r"must end in one of \.parquet, .*got 'notes\.pdf'"):
        find_files(folder / "notes.pdf")
    (folder / "empty").mkdir()
    with pytest.raises(
        DataError, match="must hold Parquet, CSV, JSON Lines or Excel files, got none"
    ):
        find_files(folder / "empty")
    with pytest.raises(DataError, match="at least one file, got an empty list"):
        find_files([])


@pytest.mark.parametrize(
    ("source", "url", "what"),
    [
        ("postgresql://u:p@[::1]:5432/d::a.b", "postgresql://u:p@[::1]:5432/d", "a.b"),
        ("sqlite:///x.db::SELECT a::text, b FROM t", "sqlite:///x.db", "SELECT a::text, b FROM t"),
        ("postgresql+psycopg://h/d::with q as\n(select 1) select * from q", None, None),
    ],
)
def test_a_table_or_query_stands_after_the_url(source, url, what):
    found = parse_table_source(source)
    head, _, tail = source.rpartition("::") if url is None else (url, "", what)
    assert (found.url, found.what) == (head, tail)


def test_a_database_is_named_without_its_address():
    source = "postgresql://anna:hunter2@host/shop?sslpassword=hunter2::orders"
    (file,) = find_files(source)
    assert str(file.path) == source_label(source) == "shop::orders"
    assert dataset_name(source) == "shop"
    assert "hunter2" not in repr(file)
    assert len(find_files([source, source, source + "2"])) == 2


@pytest.mark.parametrize("source", ["mysql://u:hunter2@h/d::t", "mysql://u:hunter2@h/d"])
def test_other_databases_are_refused_without_a_secret(source):
    with pytest.raises(DataError, match="must look like postgresql://") as error:
        find_files(source)
    assert "hunter2" not in str(error.value)


def test_a_database_has_no_preset():
    with pytest.raises(DataError, match="with the preset dsa_statements must be CSV"):
        find_files("sqlite:///x.db::t", mapping=TableMapping(preset="dsa_statements"))
