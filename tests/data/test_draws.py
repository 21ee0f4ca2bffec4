"""Audit draws as they come: read as robustly as reviews, joined with the ledger's, once each."""

import numpy as np
import pandas as pd
import pytest

from errdetect.data import table_reading as tables
from errdetect.data.table_reading import add_ledger_draws, read_decisions, read_draws, read_reviews
from errdetect.errors import DataError
from errdetect.schemas import DRAWS

NAMES = [column.name for column in DRAWS]
AT = "2026-03-02T08:30:00Z"


def rows(*given):
    """(draw_id, decision_id, probability) each, as text."""
    frame = pd.DataFrame(given, columns=["draw_id", "decision_id", "inclusion_probability"])
    return frame.assign(drawn_at=AT, due_at=None)


def write(frame, path):
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    elif path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_parquet(path)
    return path


@pytest.mark.parametrize("name", ["d.csv", "d.parquet", "d.jsonl"])
@pytest.mark.parametrize("batch_rows", [1, 2, 100])
def test_a_decision_is_in_a_draw_once_and_in_several_draws(tmp_path, monkeypatch, name, batch_rows):
    monkeypatch.setattr(tables, "_BATCH_ROWS", batch_rows)
    given = rows(
        ("a1", "x", 0.5), ("a2", "x", 0.25), ("a1", "x", 0.5), ("a1", "x", 0.4), ("a1", "y", 1.0)
    )
    read = read_draws(write(given, tmp_path / name))
    assert list(read.frame.columns) == NAMES
    assert read.frame[NAMES[:3]].to_numpy().tolist() == [
        ["a1", "x", 0.5],
        ["a2", "x", 0.25],
        ["a1", "y", 1.0],
    ]
    assert (read.n_rows, read.n_duplicates) == (5, 1)
    assert read.rejects[["row", "id"]].to_numpy().tolist() == [[4, "x"]]
    assert read.rejects["reason"][0].startswith("decision_id must be drawn once in a draw")
    assert read.frame["due_at"].isna().all()
    assert read.frame["drawn_at"].tolist() == [pd.Timestamp(AT)] * 3


@pytest.mark.parametrize("empty", [False, True])
def test_without_draw_ids_there_is_one_draw(tmp_path, empty):
    given = rows((None, "x", 0.5), (None, "y", 0.5))
    given = given if empty else given.drop(columns="draw_id")
    read = read_draws(write(given, tmp_path / "d.csv"))
    assert read.frame["draw_id"].tolist() == ["draw", "draw"]
    assert "draw_id: no row has one, so all 2 rows belong to one draw, 'draw'" in read.notes


def test_a_row_without_its_draw_is_rejected_where_others_have_one(tmp_path):
    read = read_draws(write(rows(("a", "x", 0.5), (None, "y", 0.5)), tmp_path / "d.csv"))
    assert read.frame["decision_id"].tolist() == ["x"]
    assert read.rejects[["id", "reason"]].to_numpy().tolist() == [
        ["y", "draw_id must have a value, got nothing"]
    ]


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("inclusion_probability", "0", r"must lie in (0, 1], got '0'"),
        ("inclusion_probability", "1.5", r"must lie in (0, 1], got '1.5'"),
        ("inclusion_probability", "often", "must be a number, got 'often'"),
        ("inclusion_probability", None, "must have a value"),
        ("decision_id", None, "must have a value"),
        ("drawn_at", "soon", "must be an ISO 8601 time"),
        ("drawn_at", None, "must have a value"),
    ],
)
def test_unusable_rows_are_rejected_and_counted(tmp_path, column, value, says):
    given = rows(*(("a", f"d{i}", 0.5) for i in range(4))).astype(object)
    given.loc[2, column] = value
    read = read_draws(write(given, tmp_path / "d.csv"))
    assert len(read.frame) == 3
    assert f"{column} {says}" in read.rejects["reason"].item()
    assert read.n_rows == 4


@pytest.mark.parametrize("column", ["drawn_at", "decision_id", "inclusion_probability"])
def test_a_missing_column_is_named(tmp_path, column):
    given = rows(("a", "x", 0.5)).drop(columns=column)
    with pytest.raises(DataError, match=f"must have the columns {column}"):
        read_draws(write(given, tmp_path / "d.csv"))


def test_ids_join_those_of_the_decisions(tmp_path):
    log = pd.DataFrame({"decision_id": [7, 8], "decided_at": AT, "item_id": "i", "policy_id": "spam",
                        "action": "remove"})  # fmt: skip
    draws = rows((3.0, 7.0, 0.5), (3.0, 8.0, 0.5))
    found = read_draws(write(draws, tmp_path / "d.parquet")).frame
    decisions = read_decisions(write(log, tmp_path / "log.csv")).frame
    assert found["decision_id"].tolist() == decisions["decision_id"].tolist() == ["7", "8"]
    assert set(found["draw_id"]) == {"3"}


def test_a_day_lasts_until_its_end(tmp_path):
    given = rows(("a", "x", 0.5)).assign(drawn_at="2026-03-02", due_at="2026-03-09")
    read = read_draws(write(given, tmp_path / "d.csv"))
    assert read.frame["drawn_at"][0] == pd.Timestamp("2026-03-02T23:59:59.999999Z")
    assert read.frame["due_at"][0] == pd.Timestamp("2026-03-09T23:59:59.999999Z")
    assert "drawn_at: 1 time is only a day: it is taken as that day's end (UTC)" in read.notes


def test_one_mapping_serves_every_table(tmp_path):
    names = {"id": "decision_id", "p": "inclusion_probability", "when": "drawn_at", "rid": "review_id",
             "risk": "score", "said": "verdict"}  # fmt: skip
    draws = rows(("a", "x", 0.5)).rename(columns={v: k for k, v in names.items()})
    read = read_draws(write(draws, tmp_path / "d.csv"), columns=names)
    assert read.frame[NAMES[:3]].to_numpy().tolist() == [["a", "x", 0.5]]
    log = pd.DataFrame({"id": ["x"], "decided_at": AT, "item_id": "i", "policy_id": "spam",
                        "action": "remove", "risk": 0.5})  # fmt: skip
    assert len(read_decisions(write(log, tmp_path / "log.csv"), columns=names).frame) == 1
    reviews = pd.DataFrame({"rid": ["r"], "id": "x", "reviewed_at": AT, "source": "audit",
                            "said": "upheld", "p": 0.5})  # fmt: skip
    assert len(read_reviews(write(reviews, tmp_path / "r.csv"), columns=names).frame) == 1


def test_the_ledger_adds_what_the_file_lacks(tmp_path):
    file = rows(("a", "x", 0.5), ("a", "y", 0.25), ("a", "z", 1 / 3))
    read = read_draws(write(file, tmp_path / "d.csv"))
    recorded = rows(("a", "x", 0.5), ("a", "y", 0.75), ("a", "z", 0.3333333334), ("b", "x", 0.125))
    recorded["drawn_at"] = pd.to_datetime(recorded["drawn_at"]).dt.as_unit("us")
    recorded["due_at"] = pd.Series(pd.NaT, recorded.index, dtype="datetime64[us, UTC]")
    both = add_ledger_draws(read, recorded, "sqlite:///ledger.db")
    assert both.frame[NAMES[:2]].to_numpy().tolist() == [
        ["a", "x"], ["a", "y"], ["a", "z"], ["b", "x"],
    ]  # fmt: skip
    assert np.allclose(both.frame["inclusion_probability"], [0.5, 0.25, 1 / 3, 0.125])
    assert both.rejects[["source", "id"]].to_numpy().tolist() == [["sqlite:///ledger.db", "y"]]
    assert (both.n_rows, both.n_duplicates, len(both.rejected)) == (7, 2, 1)
    assert both.n_rows == len(both.frame) + len(both.rejects) + both.n_duplicates
    alone = add_ledger_draws(None, recorded, "sqlite:///ledger.db")
    assert len(alone.frame) == alone.n_rows == 4
    assert add_ledger_draws(None, recorded[:0], "") is None
    assert add_ledger_draws(read, recorded[:0], "") is read
