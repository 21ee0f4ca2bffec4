"""Ledgers, models and output files of version 0.1.0 (see tests/data_of_0_1/README.md) still open."""

import json
import shutil
import sqlite3
import tarfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from sqlalchemy import inspect

from errdetect import schemas
from errdetect.config import load_config
from errdetect.data.pseudonyms import PseudonymKey
from errdetect.data.renamed_columns import complete_columns, use_new_names
from errdetect.data.table_comparison import compare_tables
from errdetect.data.table_reading import iter_decisions
from errdetect.errors import DataError
from errdetect.integrations.queue_export import read_queue
from errdetect.ledger.ledger import open_ledger
from errdetect.ledger.table_definitions import METADATA
from errdetect.model.bundle import load_bundle
from errdetect.report.model_section import read_reliability
from errdetect.workflows.control_variate import latest_scores
from errdetect.workflows.export import export
from errdetect.workflows.project_ledger import open_project_ledger
from errdetect.workflows.report import model_facts
from errdetect.workflows.verify import verify

KEY = PseudonymKey(b"of the tests only", "tests", saved=True)

ARCHIVE = Path(__file__).with_name("data_of_0_1") / "files.tar.xz"


@pytest.fixture(scope="module", name="old")
def _old(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("data_of_0_1")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(out, filter="data")
    return out


@pytest.fixture
def config(old, tmp_path):
    """A config with a copy of the old ledger and the old batch as its decisions."""
    shutil.copy(old / "ledger.db", tmp_path / "errdetect.db")
    shutil.copy(old / "batch.parquet", tmp_path)
    text = "version: 1\ndata: {decisions: batch.parquet}\n"
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    return load_config(tmp_path / "config.yaml")


def counts(file: Path) -> dict[str, int]:
    names = [f"errdetect_{t}" for t in ("runs", "scored", "queued", "reviews", "remediations")]
    names += ["errdetect_proposals", "errdetect_events"]
    with closing(sqlite3.connect(file)) as base:
        return {n: base.execute(f"SELECT count(*) FROM {n}").fetchone()[0] for n in names}


def test_the_archive_is_small_and_runs_nothing():
    assert ARCHIVE.stat().st_size < 200_000
    with tarfile.open(ARCHIVE) as archive:
        suffixes = {Path(name).suffix for name in archive.getnames()}
    assert suffixes == {"", ".db", ".json", ".npy", ".npz", ".parquet", ".txt"}


# --- the ledger ---


def test_the_ledger_upgrades_and_keeps_every_row(old, tmp_path):
    file = tmp_path / "ledger.db"
    shutil.copy(old / "ledger.db", file)
    before = counts(file)
    assert min(before.values()) > 0
    with open_ledger(f"sqlite:///{file}", key=lambda: KEY) as ledger:
        found = inspect(ledger.engine)
        for table in METADATA.sorted_tables:
            columns = {column["name"] for column in found.get_columns(table.name)}
            assert columns == {column.name for column in table.columns}, table.name
    told = {"errdetect_events": before["errdetect_events"] + 1}  # ids became pseudonyms
    assert counts(file) == before | told
    with open_ledger(f"sqlite:///{file}", key=lambda: KEY):
        pass
    assert counts(file) == before | told


def test_runs_queue_and_scores_are_those_of_the_files(old, config):
    scores = pd.read_parquet(old / "queue/scores.parquet").set_index("decision_id").sort_index()
    queue = pd.read_parquet(old / "queue/queue.parquet")
    with open_ledger(config.ledger_url()) as ledger:
        (run,) = ledger.runs().to_dict("records")
        queued, scored = ledger.queued_decisions(), ledger.scored().set_index("decision_id")
        waiting = ledger.queued_decisions(open_only=True)
    assert (run["n_scored"], run["n_queued"]) == (len(scores), len(queue))
    assert run["run_id"] == queue["run_id"].iloc[0]
    for name in ("p_error", "inclusion_probability"):
        np.testing.assert_array_equal(scored[name], scores[name])
    assert set(schemas.QUEUE.names) <= set(queued)
    assert "p_reverse" not in queued
    renamed = queue.rename(columns={"p_reverse": "p_overturn"})
    for name in ("decision_id", "rank", "policy_id", "harm", "value", "covers", "arm", "job_id"):
        assert queued[name].tolist() == renamed[name].tolist(), name
    given = pd.Series(queued["p_overturn"], dtype="float64")
    pd.testing.assert_series_equal(given, renamed["p_overturn"])
    assert [[r["code"] for r in one] for one in queued["reasons"]] == [
        [r["code"] for r in one] for one in queue["reasons"]
    ]
    assert len(waiting) == len(queue) - len(queue.iloc[::2])


def test_reviews_are_known_from_their_review_on(old, config):
    queue = pd.read_parquet(old / "queue/queue.parquet").iloc[::2]
    with open_project_ledger(config) as ledger:
        found = ledger.reviews()
        again = ledger.ingest(found, datetime.now(UTC))
    assert sorted(found["review_id"]) == sorted("finished-" + queue["decision_id"])
    assert set(found["verdict"]) <= set(schemas.VERDICTS)
    assert found["reviewer_id"].str.fullmatch("reviewer-[0-9a-f]{12}").all()
    assert found["updated_at"].isna().all()
    assert (again.new, again.repeated, again.conflicting) == (0, len(found), 0)


def test_remediations_and_proposals_keep_state_and_history(old, config):
    plan = pd.read_parquet(old / "plan/plan.parquet")
    applied = plan[plan["status"] == "applied"].set_index("remediation_id").sort_index()
    with open_ledger(config.ledger_url()) as ledger:
        steps = ledger.remediations().set_index("remediation_id").sort_index()
        proposals = ledger.proposals()
        assert set(proposals["state"]) <= {"proposed", "accepted"}
        (proposal,) = proposals[proposals["state"] == "accepted"].to_dict("records")
        moves = ledger.history("proposal", proposal["proposal_id"])
        again = ledger.record_remediations(
            plan[plan["status"] == "applied"], by="ann", approved_by="bob", at=datetime.now(UTC)
        )
        ledger.move_proposal(proposal["proposal_id"], "closed", by="ann", at=datetime.now(UTC))
    assert steps.index.tolist() == applied.index.tolist()
    assert set(zip(steps["by"], steps["approved_by"], strict=True)) == {("ann", "bob")}
    assert [list(one) for one in steps["review_ids"]] == [list(o) for o in applied["review_ids"]]
    named = applied["right_policy_id"].dropna()
    assert len(named)
    assert steps["correct_policy_id"].dropna().to_dict() == named.to_dict()
    assert again == 0
    assert (proposal["state"], moves["to"].tolist()) == ("accepted", ["proposed", "accepted"])
    assert proposal["effective_from"] == pd.Timestamp("2025-02-01", tz="UTC")
    assert json.loads(proposal["expected"])


# --- the model ---


def test_the_bundle_scores_as_it_did(old):
    bundle = load_bundle(old / "bundle")
    assert bundle.detector.usual is not None
    assert bundle.detector.doubt is not None
    assert bundle.relabelling is not None
    (batch,) = iter_decisions(str(old / "batch.parquet"))
    recorded = pd.read_parquet(old / "bundle_scores.parquet")
    assert batch.frame["decision_id"].tolist() == recorded["decision_id"].tolist()
    p = bundle.probability(bundle.detector.features(batch.frame), batch.frame)
    np.testing.assert_allclose(p, recorded["p_error"], rtol=0, atol=1e-12)
    label = bundle.wrong_labels(batch.frame, p)
    wrong = label["p_wrong_label"].to_numpy(float)
    np.testing.assert_allclose(wrong, recorded["p_wrong_label"], rtol=0, atol=1e-12)
    assert np.isfinite(wrong).any()
    given, then = (t["suggested_policy_id"].fillna("").tolist() for t in (label, recorded))
    assert given == then
    assert len(np.unique(p.round(6))) > 20


def test_the_report_reads_what_the_old_model_measured(old):
    facts = model_facts(load_bundle(old / "bundle"), "1")
    assert list(facts["reliability"]) == ["predicted", "observed", "low", "high", "n"]
    found = read_reliability(facts["reliability"], facts["reliability_by"])
    assert found is not None
    assert len(found.groups) == len(facts["reliability"])


# --- the files ---


def test_scores_of_the_old_version_are_earlier_scores(old, config):
    settings = config.queue.model_copy(update={"scores": str(old / "queue/scores.parquet")})
    found = latest_scores(config.model_copy(update={"queue": settings}))
    recorded = pd.read_parquet(old / "queue/scores.parquet")
    assert found is not None
    assert sorted(found["decision_id"]) == sorted(recorded["decision_id"])
    pd.testing.assert_frame_equal(
        found.sort_values("decision_id")[["decision_id", "p_error"]].reset_index(drop=True),
        latest_scores(config)
        .sort_values("decision_id")[["decision_id", "p_error"]]
        .reset_index(drop=True),
    )


@pytest.mark.parametrize("source", ["file", "ledger"])
def test_an_old_queue_is_exported_under_both_names(old, config, tmp_path, source):
    queue = old / "queue/queue.parquet" if source == "file" else None
    for form in ("parquet", "csv", "jsonl", "label-studio"):
        result = export(config, form, tmp_path / form, queue=queue)
        assert (result.n_rows, result.n_absent) == ((20, 0) if source == "file" else (10, 0))
    table = pd.read_parquet(tmp_path / "parquet")
    pd.testing.assert_series_equal(table["p_reverse"], table["p_overturn"], check_names=False)
    assert {"p_reverse", "p_overturn"} <= set(pd.read_csv(tmp_path / "csv"))
    rows = [json.loads(line) for line in (tmp_path / "jsonl").read_text().splitlines()]
    assert all(row["p_reverse"] == row["p_overturn"] for row in rows)


def test_an_old_queue_reads_under_the_new_names(old):
    found, raw = (
        read_queue(old / "queue/queue.parquet"),
        pd.read_parquet(old / "queue/queue.parquet"),
    )
    assert "p_reverse" not in found
    pd.testing.assert_series_equal(found["p_overturn"], raw["p_reverse"], check_names=False)


@pytest.mark.parametrize("name", ["findings", "thresholds", "reliability", "reliability_by"])
def test_report_tables_of_the_old_version_compare_with_todays(old, name):
    table = pq.read_table(old / f"tables/{name}.parquet")
    pairs = schemas.RENAMED_COLUMNS[name]
    assert set(pairs.values()) <= set(table.column_names)
    today = complete_columns(table, name)
    assert compare_tables(complete_columns(table, name), today).equal
    assert set(pairs) <= set(today.column_names)
    renamed = use_new_names(table.to_pandas(), name)
    assert set(pairs) <= set(renamed)
    assert not set(pairs.values()) & set(renamed)


def test_a_folder_without_a_record_is_refused_in_one_sentence(old, config):
    with pytest.raises(DataError, match=r"run\.json"):
        verify(old / "queue", config)
