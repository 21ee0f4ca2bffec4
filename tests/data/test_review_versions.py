"""Versions of reviews: which of several rows of one review_id is kept, and which counts."""

import pandas as pd
import pytest

from errdetect.data import table_reading as tables
from errdetect.data.review_versions import (
    find_repeated_versions,
    known_at,
    latest_versions,
    superseded_at,
)
from errdetect.data.table_reading import TableRead, add_ledger_reviews, read_reviews
from errdetect.schemas import REJECTS

DAY = pd.date_range("2026-03-01", periods=9, tz="UTC").as_unit("us")


def rows(*given):
    """Reviews of d1: (review_id, day of reviewed_at, day of updated_at or None, verdict)."""
    frame = pd.DataFrame(
        [
            {"review_id": name, "decision_id": "d1", "reviewed_at": DAY[day], "source": "audit",
             "verdict": verdict, "updated_at": pd.NaT if updated is None else DAY[updated]}
            for name, day, updated, verdict in given
        ]
    )  # fmt: skip
    return frame.assign(updated_at=pd.to_datetime(frame["updated_at"], utc=True))


def test_a_row_is_known_at_the_later_of_its_two_times():
    frame = rows(("a", 1, None, "upheld"), ("b", 1, 3, "upheld"), ("c", 3, 1, "upheld"))
    assert known_at(frame).tolist() == [DAY[1], DAY[3], DAY[3]]
    assert known_at(frame.drop(columns="updated_at")).tolist() == [DAY[1], DAY[1], DAY[3]]
    assert known_at(frame.iloc[:0]).empty


def test_the_next_version_supersedes_a_row():
    frame = rows(
        ("a", 5, None, "upheld"), ("a", 1, None, "overturned"), ("b", 2, None, "upheld"),
        ("a", 1, 3, "relabelled"),
    )  # fmt: skip
    found = pd.Series(superseded_at(frame)).dt.tz_localize("UTC")
    assert found.isna().tolist() == [True, False, True, False]
    assert found[1] == DAY[3]
    assert found[3] == DAY[5]
    assert latest_versions(frame)["verdict"].tolist() == ["upheld", "upheld"]
    assert latest_versions(frame).index.tolist() == [0, 2]


def test_of_one_moment_the_first_row_counts():
    frame = rows(("a", 1, None, "upheld"), ("a", 1, None, "overturned"))
    assert latest_versions(frame)["verdict"].tolist() == ["upheld"]


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
@pytest.mark.parametrize("name", ["r.csv", "r.parquet", "r.jsonl"])
def test_reading_keeps_versions_and_drops_copies_and_conflicts(
    tmp_path, monkeypatch, name, batch_rows
):
    monkeypatch.setattr(tables, "_BATCH_ROWS", batch_rows)
    frame = rows(
        ("a", 1, None, "upheld"),
        ("a", 1, 4, "overturned"),
        ("b", 2, None, "upheld"),
        ("a", 1, None, "upheld"),
        ("a", 4, None, "overturned"),  # known at the same moment, with the same answer
        ("b", 2, None, "relabelled"),
        ("a", 2, None, "relabelled"),
    )
    path = tmp_path / name
    if name.endswith("csv"):
        frame.to_csv(path, index=False)
    elif name.endswith("parquet"):
        frame.to_parquet(path)
    else:
        frame.to_json(path, orient="records", lines=True, date_format="iso")
    read = read_reviews(path)
    assert read.frame[["review_id", "verdict"]].values.tolist() == [
        ["a", "upheld"], ["a", "overturned"], ["b", "upheld"], ["a", "relabelled"],
    ]  # fmt: skip
    assert read.n_duplicates == 2
    assert read.rejects[["row", "id"]].values.tolist() == [[6, "b"]]
    assert read.rejects["reason"].tolist() == [
        "review_id must have one answer at one moment, and the first row read is kept "
        "(a correction needs a later updated_at or reviewed_at), got 'b' with other values"
    ]
    assert read.n_rows == len(read.frame) + len(read.rejects) + read.n_duplicates
    assert any(note.startswith("2 rows are earlier versions of a review") for note in read.notes)


def test_file_and_ledger_hold_versions_of_one_review():
    file = rows(("a", 1, None, "upheld"), ("b", 1, None, "upheld"), ("c", 3, None, "upheld"))
    ledger = rows(
        ("a", 1, 4, "overturned"), ("b", 1, None, "upheld"), ("c", 1, None, "overturned"),
        ("c", 3, None, "relabelled"), ("d", 1, None, "upheld"),
    )  # fmt: skip
    names = [column.name for column in tables.REVIEWS]
    file, ledger = (frame.reindex(columns=names) for frame in (file, ledger))
    none = REJECTS.empty_table().to_pandas()
    read = add_ledger_reviews(TableRead(file, none, (), 3), ledger, "ledger.db")
    latest = latest_versions(read.frame).set_index("review_id")["verdict"]
    assert latest.to_dict() == {"a": "overturned", "b": "upheld", "c": "upheld", "d": "upheld"}
    assert len(read.frame) == 6
    assert read.rejects["id"].tolist() == ["c"]
    assert "must have one answer at one moment" in read.rejects["reason"][0]
    assert read.n_duplicates == 1
    assert read.n_rows == len(read.frame) + len(read.rejects) + read.n_duplicates
    assert read.notes == ("reviews from the ledger: 3",)


def test_an_annotation_names_its_annotator_by_number_or_by_address():
    frame = rows(*[("label-studio-1-2-ab", 1, None, "upheld")] * 4, ("r", 1, None, "upheld"))
    frame = pd.concat([frame, frame.tail(1)], ignore_index=True)
    frame["reviewer_id"] = ["3", "eve@x.example", "4", "3", "3", "eve@x.example"]
    copy, conflict = find_repeated_versions(frame)
    assert copy.tolist() == [False, True, False, True, False, False]
    assert conflict.tolist() == [False, False, True, False, False, True]
