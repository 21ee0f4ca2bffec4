"""Writing: whole or not at all, the schema's columns, equal bytes for equal tables."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from errdetect.data.atomic_writing import (
    ParquetSink,
    stage_outputs,
    to_arrow,
    write_json,
    write_parquet,
    write_text,
)
from errdetect.errors import DataError
from errdetect.schemas import ESTIMATES, QUEUE

FRAME = pd.DataFrame({"n": [1, 2, 3], "market": ["DE", None, "FR"]})


def _names(folder):
    return sorted(path.name for path in folder.rglob("*"))


def test_parquet_round_trip_and_equal_bytes(tmp_path):
    write_parquet(FRAME, tmp_path / "new" / "a.parquet")
    write_parquet(FRAME.copy(), tmp_path / "b.parquet")
    assert (tmp_path / "new" / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    table = pq.read_table(tmp_path / "b.parquet")
    assert table.to_pydict() == {"n": [1, 2, 3], "market": ["DE", None, "FR"]}
    assert table.schema.metadata is None
    assert _names(tmp_path) == ["a.parquet", "b.parquet", "new"]


def test_schema_sets_types_and_order():
    frame = pd.DataFrame({name: [None] for name in reversed(ESTIMATES.names)}).assign(market="DE")
    table = to_arrow(frame, ESTIMATES)
    assert table.column_names == ["market", *ESTIMATES.names]
    assert table.schema.field("n_reviews").type == pa.int64()


def test_nested_reasons_are_kept(tmp_path):
    reasons = [{"code": "margin", "text": "near the bar", "contribution": 0.5}]
    row = dict.fromkeys(QUEUE.names) | {"decision_id": "d1", "reasons": reasons}
    row["scored_at"] = pd.Timestamp("2026-03-01", tz="UTC")
    write_parquet(pd.DataFrame([row]), tmp_path / "queue.parquet", QUEUE)
    table = pq.read_table(tmp_path / "queue.parquet")
    assert table.schema.equals(QUEUE)
    assert table["reasons"].to_pylist() == [reasons]


def test_missing_schema_columns_are_an_error(tmp_path):
    schema = pa.schema([("n", pa.int64()), ("error_kind", pa.string()), ("p_label", pa.float64())])
    with pytest.raises(ValueError, match="the table lacks error_kind, p_label"):
        write_parquet(FRAME, tmp_path / "a.parquet", schema)
    assert _names(tmp_path) == []


def test_failed_write_leaves_the_former_file(tmp_path):
    write_json(tmp_path / "a.json", {"kept": True})
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"bad": float("nan")})
    assert json.loads((tmp_path / "a.json").read_text()) == {"kept": True}
    assert _names(tmp_path) == ["a.json"]


def test_text_is_utf8_with_plain_line_ends(tmp_path):
    write_text(tmp_path / "a.txt", "ü\nß\r\n")
    assert (tmp_path / "a.txt").read_bytes() == "ü\nß\r\n".encode()


def test_unwritable_places_are_said(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match=r"file/a\.txt cannot be written: .*Choose another path"):
        write_text(tmp_path / "file" / "a.txt", "x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="folder cannot be written: Is a directory"):
        write_text(tmp_path / "folder", "x")
    with (
        pytest.raises(DataError, match="out cannot be written"),
        stage_outputs(tmp_path / "file" / "out"),
    ):
        pass
    assert _names(tmp_path) == ["file", "folder"]


def test_sink_streams_batches_to_one_file(tmp_path):
    with ParquetSink(tmp_path / "a.parquet", pa.schema([("n", pa.float64())])) as sink:
        for n in range(3):
            sink.write(pd.DataFrame({"n": [n]}))
        assert not (tmp_path / "a.parquet").exists()
    assert sink.rows == 3
    assert pq.read_table(tmp_path / "a.parquet")["n"].to_pylist() == [0.0, 1.0, 2.0]
    assert _names(tmp_path) == ["a.parquet"]


def test_sink_leaves_nothing_after_an_exception(tmp_path):
    def fail():
        with ParquetSink(tmp_path / "a.parquet") as sink:
            sink.write(FRAME)
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        fail()
    assert _names(tmp_path) == []


def test_sink_passes_on_another_files_fault(tmp_path):
    with pytest.raises(FileNotFoundError, match="elsewhere"), ParquetSink(tmp_path / "a.parquet"):
        (tmp_path / "elsewhere").read_text()


def test_sink_without_batches(tmp_path):
    with ParquetSink(tmp_path / "a.parquet", QUEUE):
        pass
    assert pq.read_table(tmp_path / "a.parquet").schema.equals(QUEUE)
    with (
        pytest.raises(ValueError, match="got neither a batch nor a schema"),
        ParquetSink(tmp_path / "b.parquet"),
    ):
        pass
    assert _names(tmp_path) == ["a.parquet"]


def test_sink_refuses_another_batchs_columns(tmp_path):
    with ParquetSink(tmp_path / "a.parquet") as sink:
        sink.write(FRAME)
        with pytest.raises(KeyError, match="market"):
            sink.write(FRAME[["n"]])
    assert pq.read_table(tmp_path / "a.parquet").num_rows == 3


def test_staged_moves_all_files_at_the_end(tmp_path):
    out = tmp_path / "out"
    (out / "briefs").mkdir(parents=True)
    (out / "briefs" / "stale.md").write_text("old")
    (out / "report.html").write_text("old")
    (out / "kept.txt").write_text("kept")
    with stage_outputs(out) as stage:
        write_text(stage / "report.html", "new")
        write_text(stage / "briefs" / "one.md", "new")
        assert (out / "report.html").read_text() == "old"
    assert _names(out) == ["briefs", "kept.txt", "one.md", "report.html"]
    assert (out / "report.html").read_text() == "new"
    assert _names(tmp_path) == ["briefs", "kept.txt", "one.md", "out", "report.html"]


def test_staged_leaves_nothing_after_an_exception(tmp_path):
    out = tmp_path / "out"

    def fail():
        with stage_outputs(out) as stage:
            write_parquet(pd.DataFrame({"x": np.arange(3)}), stage / "a.parquet")
            raise DataError("no")

    with pytest.raises(DataError, match="no"):
        fail()
    assert _names(tmp_path) == ["out"]
