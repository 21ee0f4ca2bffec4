"""An empty night: nothing to score or to import is no error, and leaves empty tables."""

import gzip
import sqlite3
import zipfile
from contextlib import closing

import pandas as pd
import pyarrow.parquet as pq
import pytest

from errdetect.data.table_reading import read_decisions
from errdetect.errors import DataError
from errdetect.schemas import EXPLANATIONS, QUEUE, SCORES
from errdetect.workflows.ingest import ingest
from errdetect.workflows.score import score

HEADER = "decision_id,decided_at,item_id,policy_id,action,score\n"


def batches(folder):
    (folder / "a.csv").write_text(HEADER)
    (folder / "b.csv.gz").write_bytes(gzip.compress(HEADER.encode()))
    (folder / "c.jsonl").write_text("")
    pd.DataFrame(
        {name: pd.Series([], dtype="str") for name in HEADER.strip().split(",")}
    ).to_parquet(folder / "d.parquet")
    (folder / "e.json").write_text("[]")
    pd.DataFrame(columns=HEADER.strip().split(",")).to_excel(folder / "f.xlsx", index=False)
    with zipfile.ZipFile(folder / "g.zip", "w") as archive:
        archive.writestr("g.csv", HEADER)
    (folder / "h.txt").write_bytes(HEADER.replace(",", "\t").encode("utf-16"))


BATCHES = ["a.csv", "b.csv.gz", "c.jsonl", "d.parquet", "e.json", "f.xlsx", "g.zip", "h.txt"]


def check_empty(config, source, tmp_path):
    result = score(config, source, tmp_path / "out")
    assert (result.n_scored, result.n_queued) == (0, 0)
    for table, schema in (("scores", SCORES), ("queue", QUEUE), ("explanations", EXPLANATIONS)):
        read = pq.read_table(tmp_path / "out" / f"{table}.parquet")
        assert read.num_rows == 0
        assert set(schema.names) <= set(read.column_names)
        assert read.schema.field("decision_id").type == schema.field("decision_id").type


@pytest.mark.parametrize("name", BATCHES)
def test_scoring_no_decision_writes_empty_tables(config, trained, tmp_path, name):
    batches(tmp_path)
    check_empty(config, tmp_path / name, tmp_path)


def test_a_database_without_new_rows_writes_empty_tables(config, trained, tmp_path):
    with closing(sqlite3.connect(tmp_path / "log.db")) as database:
        database.execute(f"CREATE TABLE log ({HEADER})")
        database.commit()
    url = f"sqlite:///{tmp_path / 'log.db'}"
    check_empty(config, f"{url}::log", tmp_path)
    check_empty(config, f"{url}::SELECT * FROM log WHERE score > 2", tmp_path)


def test_a_file_without_a_header_is_no_empty_batch(config, trained, tmp_path):
    (tmp_path / "cut.csv").write_text("")
    with pytest.raises(DataError, match="must hold at least one row"):
        score(config, tmp_path / "cut.csv", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_importing_no_review_changes_nothing(config, trained, tmp_path):
    (tmp_path / "r.csv").write_text("review_id,decision_id,reviewed_at,source,verdict\n")
    result = ingest(config, str(tmp_path / "r.csv"))
    assert (result.n_new, result.n_rejected) == (0, 0)


def test_an_empty_log_is_still_refused(tmp_path):
    (tmp_path / "log.csv").write_text(HEADER)
    with pytest.raises(DataError, match="must hold at least one row"):
        read_decisions(tmp_path / "log.csv")
