"""The queue in each form, with its decisions' content."""

import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from errdetect.data.atomic_writing import unescape_formula
from errdetect.errors import DataError
from errdetect.integrations.queue_export import (
    FORMATS,
    join_decision_context,
    read_queue,
    write_queue,
)
from errdetect.schemas import QUEUE


@pytest.fixture
def queue(tmp_path):
    rows = [
        {"decision_id": f"d{i}", "rank": i, "p_error": 0.5 if i else None, "policy_id": "spam",
         "reasons": [{"code": "c", "text": "=why", "contribution": 1.0}],
         "scored_at": pd.Timestamp("2026-03-01T00:00Z")} for i in (0, 1)
    ]  # fmt: skip
    path = tmp_path / "queue.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_each_form_holds_every_row(queue, tmp_path):
    content = pd.DataFrame({"decision_id": ["d1", "d0"], "text": ["@SUM(1)", "fine"]})
    joined, absent = join_decision_context(read_queue(queue), [content], ["text"])
    assert absent == 0
    for form in FORMATS:
        write_queue(joined, tmp_path / form, form)
    table = pq.read_table(tmp_path / "parquet")
    assert table.column_names == [*QUEUE.names, "p_reverse", "text"]
    assert table["text"].to_pylist() == ["fine", "@SUM(1)"]
    lines = (tmp_path / "jsonl").read_text(encoding="utf-8").splitlines()
    first, second = map(json.loads, lines)
    assert first["p_error"] is None
    assert second["text"] == "@SUM(1)"
    assert second["reasons"] == [{"code": "c", "text": "=why", "contribution": 1.0}]
    assert second["scored_at"] == "2026-03-01T00:00:00+00:00"
    sheet = pd.read_csv(tmp_path / "csv")
    assert sheet["text"].tolist() == ["fine", "'@SUM(1)"]
    assert sheet["reasons"].tolist() == ["'=why"] * 2
    assert unescape_formula(sheet["reasons"][0]) == "=why"
    tasks = json.loads((tmp_path / "label-studio").read_text(encoding="utf-8"))
    assert [task["data"]["decision_id"] for task in tasks] == ["d0", "d1"]
    assert tasks[0]["predictions"] == []
    write_queue(joined, tmp_path / "shown", "label-studio", show_reasons=True)
    tasks = json.loads((tmp_path / "shown").read_text(encoding="utf-8"))
    assert "score" not in tasks[0]["predictions"][0]


def test_equal_input_gives_equal_bytes(queue, tmp_path):
    for form in FORMATS:
        for name in ("a", "b"):
            write_queue(read_queue(queue), tmp_path / name, form)
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_an_empty_queue_has_a_form_too(queue, tmp_path):
    for form in FORMATS:
        write_queue(read_queue(queue).iloc[:0], tmp_path / form, form)
    assert json.loads((tmp_path / "label-studio").read_text()) == []
    assert (tmp_path / "csv").read_text().startswith("decision_id,rank")


def test_what_is_not_found_is_counted_and_the_queue_keeps_its_own(queue):
    content = pd.DataFrame({"decision_id": ["d1", "x"], "policy_id": "other", "text": "t"})
    joined, absent = join_decision_context(
        read_queue(queue), [content], ["policy_id", "text", "market"]
    )
    assert absent == 1
    assert joined["policy_id"].tolist() == ["spam", "spam"]
    assert joined["text"].isna().tolist() == [True, False]
    assert "market" not in joined


def test_faulty_queues_are_refused(tmp_path):
    with pytest.raises(DataError, match="must be a Parquet file"):
        read_queue(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("no")
    with pytest.raises(DataError, match="must be a Parquet file"):
        read_queue(tmp_path / "text.parquet")
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="must have the column decision_id, got id"):
        read_queue(tmp_path / "a.parquet")
    pq.write_table(pa.table({"decision_id": ["a", "a"]}), tmp_path / "b.parquet")
    with pytest.raises(DataError, match="must hold each decision once, got 'a' twice"):
        read_queue(tmp_path / "b.parquet")
    with pytest.raises(ValueError, match="unknown format 'xml'"):
        write_queue(pd.DataFrame(), tmp_path / "x", "xml")
