"""Rows from a database, read like a file's; and a frame into a table."""

import datetime as dt
import uuid
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import text

from errdetect.data.database_tables import (
    open_engine,
    read_table_batches,
    read_transaction,
    write_table,
    write_transaction,
)
from errdetect.data.table_reading import iter_decisions, read_decisions, read_reviews
from errdetect.errors import DataError

START = pd.Timestamp("2026-03-01", tz="UTC")


def _log(n=7):
    return pd.DataFrame(
        {
            "decision_id": [f"d{i}" for i in range(n)],
            "decided_at": START + pd.to_timedelta(np.arange(n), "h"),
            "item_id": "007",
            "policy_id": "spam",
            "action": ["remove", "approve"] * (n // 2) + ["remove"] * (n % 2),
            "score": np.linspace(0, 1, n),
            "verified": [True, False] * (n // 2) + [None] * (n % 2),
            "views": pd.array([1] * (n - 1) + [None], dtype="Int64"),
            "text": ["50% off; DROP TABLE log", "=1+1", "a:b::c"] * (n // 3) + [None] * (n % 3),
        }
    )


def _rows(url, what):
    return pd.concat(
        [t.to_pandas() for t in read_table_batches(url, what, batch_rows=3)], ignore_index=True
    )


def test_a_table_reads_as_its_file_does(url, tmp_path):
    log = _log()
    log.loc[2, "score"] = 1.5
    write_table(log, url, "log")
    log.to_parquet(tmp_path / "log.parquet")
    file, table = read_decisions(tmp_path / "log.parquet"), read_decisions(f"{url}::log")
    pd.testing.assert_frame_equal(
        table.frame.drop(columns="verified"), file.frame.drop(columns="verified")
    )
    assert table.rejects[["row", "id", "reason"]].equals(file.rejects[["row", "id", "reason"]])
    assert table.rejects["source"].iloc[0].endswith("::log")
    parts = list(iter_decisions(f"{url}::log", batch_rows=3))
    assert [part.n_rows for part in parts] == [3, 3, 1]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM log WHERE decision_id LIKE 'd%' AND text <> ':name'",
        "with few as (select * from log)\nselect * from few where text like '%:b::c'",
    ],
)
def test_a_query_is_a_source(url, query):
    write_table(_log(), url, "log")
    found = read_decisions(f"{url}::{query}")
    assert len(found.frame) in (6, 2)
    with read_transaction(open_engine(url)) as connection:
        n = connection.exec_driver_sql(
            f"SELECT count(*) FROM ({query}) q", execution_options={"no_parameters": True}
        ).scalar_one()
    assert len(found.frame) == n


def test_reviews_from_a_table_with_other_names(url):
    reviews = pd.DataFrame(
        {"nr": [1, 2], "decision_id": ["a", "b"], "reviewed_at": [START, START]}
    ).assign(source="audit", verdict=["Upheld", "nonsense"])
    write_table(reviews, url, "odd name")
    read = read_reviews(f'{url}::"odd name"', columns={"nr": "review_id"})
    assert read.frame["review_id"].tolist() == ["1"]
    assert read.frame["verdict"].tolist() == ["upheld"]
    assert "verdict must be one of" in read.rejects["reason"].iloc[0]


def test_sources_cannot_write(url):
    write_table(_log(), url, "log")
    for what in (
        "WITH gone AS (DELETE FROM log RETURNING *) SELECT * FROM gone",
        "SELECT 1; DROP TABLE log",
    ):
        with pytest.raises(DataError, match="cannot be used"):
            _rows(url, what)
    assert len(_rows(url, "log")) == 7


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("none", "cannot be used: .*none"),
        ("SELECT nonsense FROM nowhere", "cannot be used: .*nowhere"),
        ("a.b.c", "A table must be named table or schema.table, got 'a.b.c'"),
        ("", "must name a table, got none. Write URL::table"),
    ],
)
def test_faults_of_a_source_are_told(url, what, says):
    write_table(_log(), url, "log")
    with pytest.raises(DataError, match=says):
        read_decisions(f"{url}::{what}")


def test_a_missing_sqlite_file_is_told_and_not_made(tmp_path):
    with pytest.raises(DataError, match=r"log\.db cannot be used: unable to open database file"):
        read_decisions(f"sqlite:///{tmp_path}/log.db::log")
    assert not list(tmp_path.iterdir())


def test_an_empty_table_is_told(url):
    write_table(_log().iloc[:0], url, "log")
    with pytest.raises(DataError, match="::log must hold at least one row, got none"):
        read_decisions(f"{url}::log")


def test_columns_that_share_a_name_are_told(url):
    write_table(_log(), url, "log")
    with pytest.raises(DataError, match="must name each column once, got 'item_id' twice"):
        read_decisions(f"{url}::SELECT *, item_id FROM log")


def test_postgresql_types_become_ours(postgres_url):
    one = uuid.UUID(int=7)
    with write_transaction(open_engine(postgres_url)) as connection:
        connection.execute(
            text(
                "CREATE TABLE t (id uuid, price numeric(10, 2), day date, at timestamptz,"
                " bare timestamp, doc jsonb, tags text[], n smallint)"
            )
        )
        connection.execute(
            text(
                "INSERT INTO t VALUES (:id, 1.25, '2026-03-01', '2026-03-01 12:00+02',"
                " '2026-03-01 12:00', '{\"a\": 1}', '{x,y}', 3), (null, null, null, null, null,"
                " null, null, null)"
            ),
            {"id": one},
        )
    (table,) = read_table_batches(postgres_url, "t", batch_rows=10)
    first = table.to_pylist()[0]
    assert first["id"] == str(one)
    assert first["price"] == float(Decimal("1.25"))
    assert first["at"] == dt.datetime(2026, 3, 1, 10, tzinfo=dt.UTC)
    assert first["bare"] == dt.datetime(2026, 3, 1, 12)
    assert (first["day"], first["n"], first["tags"]) == (dt.date(2026, 3, 1), 3, ["x", "y"])
    assert table.to_pylist()[1] == dict.fromkeys(table.column_names)


def test_a_table_is_written_whole_or_not_at_all(url):
    frame = pd.DataFrame({"n": [1, 2], "reasons": [[{"code": "a"}], None], "t": ["x\0", "'; --"]})
    write_table(frame, url, "out")
    with pytest.raises(
        DataError, match=r"The table out in .* must not exist yet, got an existing one"
    ):
        write_table(frame, url, "out")
    write_table(frame.assign(n=[3, 4]), url, "out", if_exists="append")
    found = _rows(url, "SELECT * FROM out ORDER BY n")
    assert found["n"].tolist() == [1, 2, 3, 4]
    assert found["reasons"].iloc[0] == '[{"code": "a"}]'
    assert pd.isna(found["reasons"].iloc[1])
    assert found["t"].tolist()[:2] == ["x\ufffd", "'; --"]
    with pytest.raises(DataError, match="cannot be used"):
        write_table(pd.DataFrame({"other": [1]}), url, "out", if_exists="append")
    assert len(_rows(url, "out")) == 4
    write_table(pd.DataFrame({"other": [1]}), url, "out", if_exists="replace")
    assert _rows(url, "out").to_dict("list") == {"other": [1]}


def test_a_replacement_that_fails_leaves_the_old_table(url, monkeypatch):
    from errdetect.data import database_tables as query

    write_table(pd.DataFrame({"n": [1]}), url, "out")

    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(query, "insert_rows", fail)
    with pytest.raises(ZeroDivisionError):
        write_table(pd.DataFrame({"n": [2]}), url, "out", if_exists="replace")
    assert _rows(url, "out")["n"].tolist() == [1]
