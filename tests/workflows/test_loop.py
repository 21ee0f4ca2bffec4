"""The loop: scored, queued, reviewed, taken in, estimated, remedied, reported."""

import json
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from errdetect.config import load_config
from errdetect.ledger.ledger import find_ledger, open_ledger
from errdetect.workflows.estimate import estimate
from errdetect.workflows.export import export
from errdetect.workflows.ingest import ingest
from errdetect.workflows.proposals import proposals
from errdetect.workflows.remediate import remediate
from errdetect.workflows.report import report
from errdetect.workflows.score import score

BUDGET = 60


@pytest.fixture(scope="module")
def batch(market, tmp_path_factory):
    frame = pd.read_parquet(market / "decisions.parquet").tail(800)
    place = tmp_path_factory.mktemp("batch") / "batch.parquet"
    frame.to_parquet(place, index=False)
    return place


@pytest.fixture
def own(config, trained, market, tmp_path):
    return load_config(
        market / "config.yaml",
        [f"ledger.url=sqlite:///{tmp_path}/ledger.db", f"queue.budget={BUDGET}", "report.explained=50"],
    )  # fmt: skip


def reviewed(queue: pd.DataFrame, market, tmp_path):
    """Every queued decision judged as it is in truth, which reviewers and experts alone may read."""
    truth = pd.read_parquet(market / "truth.parquet").set_index("decision_id")
    wrong = truth["is_error"].loc[queue["decision_id"]].to_numpy(bool)
    frame = pd.DataFrame(
        {
            "review_id": "q-" + queue["decision_id"],
            "decision_id": queue["decision_id"],
            "reviewed_at": queue["scored_at"] + timedelta(hours=1),
            "source": "re_review",
            "verdict": np.where(wrong, "overturned", "upheld"),
            "reviewer_id": "ana",
        }
    )
    settled = frame[wrong].assign(
        review_id="x-" + frame["decision_id"],
        reviewed_at=frame["reviewed_at"] + timedelta(hours=1),
        source="adjudication",
        reviewer_id="expert",
        inclusion_probability=1.0,
    )
    pd.concat([frame, settled]).to_csv(tmp_path / "finished.csv", index=False)
    return tmp_path / "finished.csv"


def test_scoring_again_queues_nothing_twice_and_gives_the_same_queue(own, batch, tmp_path):
    first = score(own, batch, tmp_path / "one")
    again = score(own, batch, tmp_path / "two")
    assert again.run_id == first.run_id
    one, two = (pd.read_parquet(tmp_path / name / "queue.parquet") for name in ("one", "two"))
    asked = ["decision_id", "rank", "arm", "inclusion_probability", "value", "job_id", "covers"]
    pd.testing.assert_frame_equal(one[asked], two[asked])
    chances = ["decision_id", "p_error", "inclusion_probability", "arm", "job_id", "pool"]
    pd.testing.assert_frame_equal(
        pd.read_parquet(first.files["scores"])[chances],
        pd.read_parquet(again.files["scores"])[chances],
    )
    assert any("was scored before" in note for note in again.notes)
    with find_ledger(own.ledger_url()) as ledger:
        assert len(ledger.queued_decisions()) == len(one)
        assert len(ledger.runs()) == 1


def test_another_run_does_not_queue_what_waits(own, batch, market, tmp_path):
    first = score(own, batch, tmp_path / "one")
    more = score(own, batch, tmp_path / "two", budget=30)
    assert more.run_id != first.run_id
    one, two = (pd.read_parquet(tmp_path / name / "queue.parquet") for name in ("one", "two"))
    assert not set(one["decision_id"]) & set(two["decision_id"])
    scores = pd.read_parquet(more.files["scores"]).set_index("decision_id")
    assert (scores.loc[one["decision_id"], "inclusion_probability"] == 1).all()
    assert set(scores.loc[one["decision_id"], "arm"]) == {"queued"}
    # Scored again after another run, the first still gives its own queue.
    third = score(own, batch, tmp_path / "three")
    assert third.run_id == first.run_id
    three = pd.read_parquet(tmp_path / "three" / "queue.parquet")
    assert three["decision_id"].tolist() == one["decision_id"].tolist()


def test_without_a_record_scoring_leaves_no_ledger(own, batch, tmp_path):
    silent = own.model_copy(update={"queue": own.queue.model_copy(update={"record": False})})
    score(silent, batch, tmp_path / "out")
    assert find_ledger(own.ledger_url()) is None


def test_the_whole_loop(own, batch, market, tmp_path):
    score(own, batch, tmp_path / "q")
    queue = pd.read_parquet(tmp_path / "q" / "queue.parquet")
    waiting = export(own, "jsonl", tmp_path / "waiting.jsonl")
    assert waiting.n_rows == len(queue)
    finished = reviewed(queue, market, tmp_path)
    assert ingest(own, finished).n_new == len(pd.read_csv(finished))
    assert ingest(own, finished).n_new == 0
    assert export(own, "jsonl", tmp_path / "none.jsonl").n_rows == 0
    found = estimate(own, tmp_path / "est")
    assert any("the queue's reviews are used" in note for note in found.notes), found.notes
    remediate(own, tmp_path / "plan")
    rows = pd.read_parquet(tmp_path / "plan" / "plan.parquet")
    wrong = set(pd.read_csv(finished).query("verdict == 'overturned'")["decision_id"])
    assert wrong & set(rows.loc[rows["kind"] == "reverse", "decision_id"])
    told = report(own, tmp_path / "report")
    listed = proposals(own)
    assert len(listed.proposals) == told.n_proposed
    tables = {path.stem for path in (tmp_path / "report" / "tables").glob("*.parquet")}
    assert {"estimates", "drivers", "slices", "thresholds", "findings", "reviewers"} <= tables


def test_an_accepted_change_is_measured_in_the_next_report(own, market, tmp_path):
    rows = pd.read_parquet(market / "decisions.parquet")
    policy = rows["policy_id"].value_counts().index[0]
    middle = rows["decided_at"].min() + (rows["decided_at"].max() - rows["decided_at"].min()) / 2
    terms = {"parts": [{"conditions": [], "account_ids": []}], "finding_ids": ["f1"]}
    made_up = pd.DataFrame(
        {
            "proposal_id": ["P-1"], "policy_id": [policy], "kind": ["rule_text"], "title": ["Say it clearer"],
            "rule": ["all"], "change": ["Add two examples"], "owner": ["Ana"], "finding_id": ["f1"],
            "expected": [json.dumps(terms)],
        }
    )  # fmt: skip
    with open_ledger(own.ledger_url()) as ledger:
        ledger.add_proposals(made_up, at=rows["decided_at"].min().to_pydatetime())
    proposals(own, accept="P-1", by="Ana", effective=middle.to_pydatetime())
    done = report(own, tmp_path / "report")
    effects = pd.read_parquet(done.files["tables"] / "effects.parquet")
    assert set(effects["proposal_id"]) == {"P-1"}
    told = effects.set_index("measure").loc["error_rate"]
    assert told["verdict"] in {"improved", "worsened", "no_effect", "unknown", "confounded"}
    page = done.files["report"].read_text(encoding="utf-8")
    assert "Say it clearer" in page
    assert told["words"].split(".")[0] in page
