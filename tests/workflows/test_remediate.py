"""The plan, and what two people record of it."""

import json
from datetime import UTC, datetime

import pandas as pd
import pytest
from typer.testing import CliRunner

from errdetect.cli import app
from errdetect.config import load_config
from errdetect.errors import Refusal
from errdetect.ledger.ledger import open_ledger
from errdetect.schemas import PLAN
from errdetect.workflows.remediate import remediate
from errdetect.workflows.simulate import simulate

PEOPLE = {"apply": True, "by": "ann", "approved_by": "bob"}
AT = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    out = tmp_path_factory.mktemp("remediate")
    simulate(out, decisions=3_000, days=60, seed=5)
    return out


@pytest.fixture
def config(place, tmp_path):
    return load_config(place / "config.yaml", [f"ledger.url=sqlite:///{tmp_path}/ledger.db"])


def ledger_of(config):
    with open_ledger(config.ledger_url()) as ledger:
        return ledger.remediations(), ledger.history("remediation")


def total(result, status):
    return sum(states[status] for states in result.counts.values())


def test_a_dry_run_changes_nothing(config, tmp_path):
    result = remediate(config, tmp_path / "out")
    plan = pd.read_parquet(result.files["plan.parquet"])
    assert list(plan)[: len(PLAN)] == PLAN.names
    assert (plan["status"] == "planned").sum() == total(result, "planned") > 10
    assert not (tmp_path / "ledger.db").exists()
    assert "Nothing was changed." in "\n".join(result.lines())
    sheet = pd.read_csv(result.files["plan.csv"])
    assert sheet["remediation_id"].tolist() == plan["remediation_id"].tolist()
    summary = result.files["summary.txt"].read_text()
    assert f"Actions to reverse: {result.counts['reverse']['planned']} planned" in summary
    again = remediate(config, tmp_path / "again")
    for name in result.files:
        assert again.files[name].read_bytes() == result.files[name].read_bytes()


def test_applying_twice_changes_nothing(config, tmp_path):
    dry = remediate(config, tmp_path / "dry")
    first = remediate(config, tmp_path / "out", **PEOPLE, at=AT)
    assert first.n_recorded == total(dry, "planned") == total(first, "applied")
    known, history = ledger_of(config)
    assert len(known) == len(history) == first.n_recorded
    assert (known["status"] == "applied").all()
    assert set(known["by"]) == {"ann"}
    assert set(known["approved_by"]) == {"bob"}
    assert (known["review_ids"].map(len) > 0).all()
    second = remediate(config, tmp_path / "out", **PEOPLE)
    assert (second.n_recorded, second.n_withdrawn) == (0, 0)
    nothing = "The ledger already holds all of this: nothing was changed."
    assert second.lines()[-1 - len(second.files)] == nothing
    assert set(second.files) == {"plan.parquet", "plan.csv", "intake.parquet", "summary.txt"}
    again, later = ledger_of(config)
    pd.testing.assert_frame_equal(again, known)
    pd.testing.assert_frame_equal(later, history)


def test_an_expert_takes_it_back_out_and_may_put_it_back(config, tmp_path):
    remediate(config, tmp_path / "out", **PEOPLE, at=AT)
    known, _ = ledger_of(config)
    step = known[known["kind"] == "revoke_penalty"].iloc[0]
    end = pd.read_parquet(tmp_path / "out/plan.parquet")
    assert step["remediation_id"] in set(end["remediation_id"])

    def say(number, verdict):
        review = pd.DataFrame(
            {
                "review_id": [f"expert{number}"], "decision_id": [step["decision_id"]],
                "reviewed_at": pd.Timestamp(f"2026-04-0{number}T00:00Z"),
                "source": "adjudication", "verdict": verdict, "reviewer_id": "reviewer-0123456789ab",
            }
        )  # fmt: skip
        with open_ledger(config.ledger_url()) as ledger:
            assert ledger.ingest(review, AT).new == 1

    say(1, "upheld")
    seen = remediate(config, tmp_path / "dry")
    assert total(seen, "withdrawn") == 2
    assert len(ledger_of(config)[0][lambda t: t["status"] == "withdrawn"]) == 0
    taken = remediate(config, tmp_path / "out", **PEOPLE, at=AT)
    assert taken.n_withdrawn == 2
    back, _ = ledger_of(config)
    back = back[back["status"] == "withdrawn"]
    assert set(back["kind"]) == {"reverse", "revoke_penalty"}
    assert set(back["decision_id"]) == {step["decision_id"]}
    assert (
        back["withdrawn_reason"]
        .str.contains("Reviews now find the decision correct. See review expert1", regex=False)
        .all()
    )
    still = remediate(config, tmp_path / "out", **PEOPLE, at=AT)
    assert (still.n_recorded, still.n_withdrawn) == (0, 0)
    say(2, "overturned")
    again = remediate(config, tmp_path / "out", **PEOPLE, at=AT)
    assert (again.n_recorded, again.n_withdrawn) == (2, 0)
    assert (ledger_of(config)[0]["status"] == "applied").all()


def test_what_is_taken_on_trust_is_said(place, tmp_path):
    votes = load_config(place / "config.yaml", ["labels.reviewers=votes"])
    trusting = "reviewers' error rates are not measured, so reviews are assumed to be correct"
    assert trusting in remediate(votes, tmp_path / "votes").notes[-1]
    frame = pd.read_parquet(place / "decisions.parquet").drop(columns="account_id")
    frame = frame.assign(policy_id=frame["policy_id"].where(frame.index != 0))
    frame.to_parquet(tmp_path / "bare.parquet")
    bare = load_config(place / "config.yaml", [f"data.decisions={tmp_path / 'bare.parquet'}"])
    result = remediate(bare, tmp_path / "bare")
    assert result.notes[0].startswith("the decisions: 1 of 3,000 rows (0.0%) cannot be used;")
    assert any(note.startswith("1 decision left out: rejected (e.g. ") for note in result.notes)
    assert "the decisions name no account" in result.notes[-2]
    assert total(result, "planned") > 0
    assert sum(result.counts["revoke_penalty"].values()) == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--apply", "--by", "ann", "--approved-by", " ANN "], "must name a second person"),
        (["--apply", "--by", "ann"], "--approved-by must name a person, got nothing"),
        (["--apply"], "--by must name a person, got nothing"),
        (["--by", "ann"], "must come with --apply, got only these"),
    ],
)
def test_one_person_alone_is_refused(place, tmp_path, words, says):
    out = tmp_path / "out"
    line = ["remediate", str(place / "config.yaml"), "--out", str(out), "-q", *words]
    done = CliRunner().invoke(app, line)
    assert isinstance(done.exception, Refusal)
    assert done.exception.exit_code == 2
    assert says in str(done.exception)
    assert not out.exists(), "nothing is half-written"


def test_nothing_later_than_the_configs_moment_counts(place, tmp_path):
    moment = pd.Timestamp("2025-01-31T00:00Z")
    config = load_config(place / "config.yaml", [f"labels.as_of={moment.isoformat()}"])
    plan = pd.read_parquet(remediate(config, tmp_path).files["plan.parquet"])
    decisions = pd.read_parquet(place / "decisions.parquet").set_index("decision_id")
    reviews = pd.read_parquet(place / "reviews.parquet").set_index("review_id")
    assert len(plan) > 10
    assert (decisions.loc[plan["decision_id"].dropna(), "decided_at"] <= moment).all()
    assert (reviews.loc[plan["review_ids"].explode(), "reviewed_at"] <= moment).all()


def test_the_command(place, tmp_path):
    line = ["remediate", str(place / "config.yaml"), "--out", str(tmp_path), "-q", "--json"]
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["applied"] is False
    assert told["counts"]["reverse"]["planned"] > 0
    assert told["expected_errors"] is None, "what is unknown is no number"
    assert told["n_unknown"] == told["counts"]["look_alike"]["review"]
