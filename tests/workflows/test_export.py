"""The queue for another system, from a file or from the ledger."""

import json
import sqlite3
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from errdetect.cli import app
from errdetect.config import load_config
from errdetect.data.table_reading import read_decisions
from errdetect.errors import ConfigError, DataError, ErrdetectError
from errdetect.integrations.label_studio import convert_label_studio
from errdetect.ledger.ledger import open_ledger
from errdetect.ledger.run_records import ScoringRun
from errdetect.schemas import QUEUE
from errdetect.workflows.export import export
from errdetect.workflows.ingest import ingest
from errdetect.workflows.remediate import remediate
from errdetect.workflows.simulate import simulate


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    out = tmp_path_factory.mktemp("export")
    simulate(out, decisions=400, days=20, seed=2)
    return out


@pytest.fixture
def config(place, tmp_path):
    return load_config(place / "config.yaml", [f"ledger.url=sqlite:///{tmp_path}/ledger.db"])


@pytest.fixture
def queue(place, tmp_path):
    """Thirty decisions, queued without a model."""
    decisions = read_decisions(place / "decisions.parquet").frame.tail(30)
    frame = pd.DataFrame(
        {
            "decision_id": decisions["decision_id"], "rank": range(1, 31),
            "p_error": np.linspace(0.9, 0.1, 30), "error_kind": "wrongful_action",
            "expected_harm": 1.0, "arm": "ranked", "inclusion_probability": 1.0, "pool": "any",
            "reasons": [[{"code": "c", "text": "because", "contribution": 1.0}]] * 30,
            "policy_id": decisions["policy_id"], "suggested_policy_id": None,
            "model_version": "3", "run_id": "r1", "scored_at": pd.Timestamp("2026-03-01T00:00Z"),
        }
    )  # fmt: skip
    frame.to_parquet(tmp_path / "queue.parquet")
    return tmp_path / "queue.parquet"


def record(config, queue):
    frame = pd.read_parquet(queue)
    run = ScoringRun("r1", "3", datetime(2026, 3, 1, tzinfo=UTC), {"budget": 30})
    with open_ledger(config.ledger_url()) as ledger:
        ledger.record_run(run, frame, frame[["decision_id", "inclusion_probability"]])


def test_no_account_goes_along_unless_it_is_named(config, queue, place, tmp_path):
    out = tmp_path / "queue.parquet.out"
    result = export(config, "parquet", out, queue=queue)
    table = pd.read_parquet(out)
    assert result.n_rows == len(table) == 30
    assert result.n_absent == 0
    assert list(table)[: len(QUEUE.names)] == QUEUE.names
    assert {"text", "action", "item_id", "score"} <= set(table)
    assert "account_id" not in table
    assert table["action"].notna().all()
    named = load_config(
        place / "config.yaml",
        [f"ledger.url=sqlite:///{tmp_path}/l.db", "export.columns=[account_id, colour]"],
    )
    result = export(named, "csv", tmp_path / "q.csv", queue=queue)
    assert "account_id" in pd.read_csv(tmp_path / "q.csv")
    assert result.lines()[1:3] == [
        "Note: the decisions have no columns colour.",
        "Note: account ids are included, since export.columns names them.",
    ]


def test_the_ledgers_open_queue_is_the_default(config, queue, tmp_path):
    with pytest.raises(DataError, match="must be in the ledger or in a file, got neither"):
        export(config, "jsonl", tmp_path / "a.jsonl")
    assert not (tmp_path / "ledger.db").exists(), "looking for a ledger makes none"
    record(config, queue)
    first = pd.read_parquet(queue)["decision_id"].iloc[0]
    review = pd.DataFrame(
        {
            "review_id": ["r"], "decision_id": [first], "source": "re_review", "verdict": "upheld",
            "reviewed_at": pd.Timestamp("2026-03-02T00:00Z"),
        }
    )  # fmt: skip
    with open_ledger(config.ledger_url()) as ledger:
        ledger.ingest(review, datetime(2026, 3, 2, tzinfo=UTC))
    result = export(config, "jsonl", tmp_path / "a.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert result.n_rows == len(rows) == 29
    assert first not in {row["decision_id"] for row in rows}
    assert rows[0]["text"] is not None


def test_label_studio_and_back(config, queue, tmp_path):
    out, xml = tmp_path / "tasks.json", tmp_path / "config.xml"
    result = export(config, "label-studio", out, queue=queue, label_config=xml)
    tasks = json.loads(out.read_text())
    assert len(tasks) == 30
    assert tasks[0]["data"]["clause"]
    assert '<Choice value="relabelled"/>' in xml.read_text()
    assert f"  labelling config  {xml}" in result.lines()
    choice = {"from_name": "verdict", "to_name": "text", "type": "choices",
              "value": {"choices": ["overturned"]}}  # fmt: skip
    done = [
        {"id": i, "data": task["data"], "annotations": [
            {"id": i, "completed_by": 1, "result": [choice], "was_cancelled": i == 3,
             "created_at": "2026-03-02T00:00:00Z", "lead_time": 60}]}
        for i, task in enumerate(tasks)
    ]  # fmt: skip
    (tmp_path / "done.json").write_text(json.dumps(done))
    back = convert_label_studio(tmp_path / "done.json")
    assert len(back.frame) == 29
    assert back.rejects["reason"].tolist() == ["the annotator skipped the task"]
    took = [ingest(config, tmp_path / "done.json", out=tmp_path) for _ in range(2)]
    assert [(one.n_new, one.n_known, one.n_rejected) for one in took] == [(29, 0, 1), (0, 29, 1)]
    (rejected,) = pd.read_parquet(tmp_path / "rejects.parquet")["id"]
    assert rejected.startswith("label-studio-3-3-")
    plan = pd.read_parquet(remediate(config, tmp_path / "plan").files["plan.parquet"])
    sent = pd.read_parquet(queue)["decision_id"]
    assert set(sent.drop(sent.index[3])) <= set(plan["decision_id"])
    assert back.frame["decision_id"].tolist() == sent.drop(sent.index[3]).tolist()


def test_both_files_are_new_or_neither(config, queue, tmp_path):
    out, xml = tmp_path / "tasks.json", tmp_path / "labels" / "config.xml"
    xml.mkdir(parents=True)
    with pytest.raises(DataError, match=r"config\.xml cannot be written: Is a directory"):
        export(config, "label-studio", out, queue=queue, label_config=xml)
    assert not out.exists()
    with pytest.raises(ConfigError, match="--label-config must differ from --out"):
        export(config, "label-studio", out, queue=queue, label_config=out)
    xml = xml / "it.xml"
    export(config, "label-studio", out, queue=queue, label_config=xml)
    assert out.stat().st_mode & 0o777 == 0o600
    task = json.loads(out.read_text())[0]
    assert not {"score", "threshold", "p_error", "reasons"} & set(task["data"])


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_only_the_owner_may_read_a_queue(config, queue, tmp_path, form):
    export(config, form, tmp_path / "q", queue=queue)
    assert (tmp_path / "q").stat().st_mode & 0o777 == 0o600


def test_a_database_table(config, queue, tmp_path):
    url = f"sqlite:///{tmp_path}/desk.db::review_queue"
    result = export(config, "database", url, queue=queue)
    assert result.n_rows == 30
    with sqlite3.connect(tmp_path / "desk.db") as desk:
        rows = desk.execute('SELECT decision_id, "rank", text FROM review_queue').fetchall()
    assert [row[1] for row in rows] == list(range(1, 31))
    assert rows[0][2]
    with pytest.raises(ErrdetectError):
        export(config, "database", url, queue=queue)


def test_decisions_that_are_elsewhere(config, queue, place, tmp_path):
    frame = pd.read_parquet(place / "decisions.parquet")
    frame.head(300).to_parquet(tmp_path / "early.parquet")
    result = export(
        config, "csv", tmp_path / "q.csv", queue=queue, decisions=str(tmp_path / "early.parquet")
    )
    assert result.n_absent == 30
    assert "Name the scored file with --decisions." in result.lines()[1]


@pytest.mark.parametrize(
    ("form", "out", "says"),
    [
        ("xml", "a.xml", "--format must be one of parquet, csv, jsonl, label-studio, database"),
        ("database", "a.db", "--out must be a database's URL::table, got a path"),
        ("csv", "sqlite:///a.db::t", "--out must be a file, got a database's table"),
    ],
)
def test_wishes_that_do_not_fit(config, queue, form, out, says):
    with pytest.raises(ConfigError, match=says):
        export(config, form, out, queue=queue)


def test_the_command(place, queue, tmp_path):
    words = ["export", str(place / "config.yaml"), "--format", "csv", "--queue", str(queue)]
    done = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "q.csv"), "--json", "-q"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["n_rows"] == 30
