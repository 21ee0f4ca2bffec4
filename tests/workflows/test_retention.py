"""What is old is removed where the config says so; who is forgotten is in no file that is not named."""

import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import pandas as pd
import pyarrow.parquet as pq
import pytest

from errdetect.config import load_config
from errdetect.workflows.estimate import estimate
from errdetect.workflows.export import export
from errdetect.workflows.find_reviewer import find_reviewer
from errdetect.workflows.forget import forget
from errdetect.workflows.ingest import ingest
from errdetect.workflows.project_ledger import find_project_ledger, open_project_ledger
from errdetect.workflows.remediate import remediate
from errdetect.workflows.report import report
from errdetect.workflows.retention import retention
from errdetect.workflows.score import score

#: An account and a reviewer whose ids occur nowhere by accident.
SELLER, PERSON = "Seller.Qvist+7", "Zoë.Qvist+7"
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def used(market, trained, tmp_path_factory):
    """A project in use: scored, ingested, exported, remediated, reported."""
    out = tmp_path_factory.mktemp("used")
    for name in ("config.yaml", "decisions.parquet", "reviews.parquet", "policies.yaml"):
        shutil.copy(market / name, out / name)
    shutil.copytree(market / "models", out / "models")
    decisions = pd.read_parquet(out / "decisions.parquet")
    reviews = pd.read_parquet(out / "reviews.parquet")
    wrong = reviews.loc[reviews["verdict"] == "overturned", "decision_id"]
    of = decisions.loc[decisions["decision_id"].isin(wrong), "account_id"].mode()[0]
    who = reviews["reviewer_id"].mode()[0]
    decisions["account_id"] = decisions["account_id"].replace(of, SELLER)
    reviews["reviewer_id"] = reviews["reviewer_id"].replace(who, PERSON)
    decisions.to_parquet(out / "decisions.parquet")
    reviews.to_parquet(out / "reviews.parquet")
    columns = "export.columns=[account_id, text, action]"
    config = load_config(out / "config.yaml", ["report.explained=20", "report.texts=true", columns])
    own = decisions["account_id"] == SELLER
    pd.concat([decisions[own], decisions.tail(400)]).drop_duplicates("decision_id").to_parquet(
        out / "batch.parquet"
    )
    score(config, decisions=str(out / "batch.parquet"), out=out / "queue", budget=200)
    ingest(config, str(out / "reviews.parquet"))
    estimate(config, out / "figures", by=["policy_id"])
    export(config, "parquet", out / "tasks.parquet")
    export(config, "jsonl", out / "tasks.jsonl")
    remediate(config, out / "plan", apply=True, by="Ana", approved_by="Ben")
    report(config, out / "report")
    return out


@pytest.fixture
def place(used, tmp_path):
    shutil.copytree(used, tmp_path / "p")
    return tmp_path / "p"


def _grep(place, word):
    """Every file that holds the word, by the system's own grep, and Parquet files by their cells."""
    done = subprocess.run(["grep", "-rlaF", word, str(place)], capture_output=True, text=True)
    found = set(done.stdout.split())
    for file in place.rglob("*.parquet"):
        table = pq.read_table(file)
        if word in repr(table.to_pydict()):
            found.add(str(file))
    return found


@pytest.mark.parametrize("who", ["account", "reviewer"])
def test_after_forgetting_only_named_files_hold_the_id(place, who):
    name = SELLER if who == "account" else PERSON
    config = load_config(place / "config.yaml")
    before = _grep(place, name)
    result = forget(config, **{who: name})
    after = _grep(place, name)
    assert after <= {str(file) for file in result.files}
    told = "\n".join(result.lines())
    assert all(str(file) in told for file in after)
    own = {str(place / f"{'decisions' if who == 'account' else 'reviews'}.parquet")}
    if who == "account":
        assert {str(place / "plan" / "plan.parquet"), str(place / "tasks.parquet")} <= before
        assert result.n_files > 2
        assert result.n_remediations > 0
        # The batch and the JSON lines are not known as errdetect's own.
        assert after == own | {str(place / "batch.parquet"), str(place / "tasks.jsonl")}
    else:
        assert after == own
        assert result.n_reviews > 0
    assert any("cannot forget them" in note for note in result.remains)


def test_a_reviewers_pseudonym_leaves_report_and_ledger(place):
    config = load_config(place / "config.yaml")
    hidden = str(find_reviewer(config, PERSON).pseudonym)
    assert any(file.endswith("reviewers.parquet") for file in _grep(place, hidden))
    forget(config, reviewer=PERSON)
    assert _grep(place, hidden) == set()
    with find_project_ledger(config) as ledger:
        assert ledger.reviews()["reviewer_id"].str.startswith("forgotten-").any()


def test_rows_stay_and_content_of_the_account_goes(place):
    config = load_config(place / "config.yaml")
    decisions = pd.read_parquet(place / "decisions.parquet")
    own = set(decisions.loc[decisions["account_id"] == SELLER, "decision_id"])
    before = pd.read_parquet(place / "tasks.parquet")
    assert before["decision_id"].isin(own).any()
    forget(config, account=SELLER)
    after = pd.read_parquet(place / "tasks.parquet")
    mine = after["decision_id"].isin(own)
    assert after["decision_id"].tolist() == before["decision_id"].tolist()
    assert after.loc[mine, ["text", "reasons", "account_id"]].isna().all(axis=None)
    pd.testing.assert_frame_equal(after[~mine], before[~mine])


def test_nothing_is_removed_by_default(place):
    config = load_config(place / "config.yaml")
    before = {p: p.read_bytes() for p in place.rglob("*") if p.is_file()}
    result = retention(config, at=NOW + timedelta(days=4_000))
    assert result.lines() == ["The config keeps everything: it names no days under retention."]
    assert {p: p.read_bytes() for p in place.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("kind", ["texts", "reviews", "appeals", "runs"])
def test_what_is_older_is_removed_and_counted(place, kind):
    config = load_config(place / "config.yaml", [f"retention.{kind}=30", "data.reviews=null"])
    assert not any(retention(config, at=NOW - timedelta(days=900)).rows.values())
    if kind in ("texts", "runs"):
        assert retention(config).rows == {}
    with find_project_ledger(config) as ledger:
        reviews, appeals = ledger.reviews(), int((ledger.reviews()["source"] == "appeal").sum())
        assert appeals
    result = retention(config, at=NOW + timedelta(days=40))
    assert result.rows[kind] > 0
    assert f"rows of {kind}" in result.lines()[1]
    with find_project_ledger(config) as ledger:
        left = ledger.reviews()
        queue = ledger.queued_decisions()
        assert ledger.history("retention")["id"].tolist()[-1] == kind
        assert len(ledger.history("run")) == 1  # the history stays
        if kind == "reviews":
            assert left.empty
        elif kind == "appeals":
            assert len(left) == len(reviews) - appeals
            assert "appeal" not in set(left["source"])
        elif kind == "runs":
            assert queue.empty
            assert ledger.runs().empty
            assert ledger.scored().empty
        else:
            assert queue["reasons"].map(len).eq(0).all()
            assert result.n_files > 0
            queued = pd.read_parquet(place / "queue" / "queue.parquet")
            assert queued["reasons"].isna().all()
            assert queued["p_error"].notna().all()
    assert retention(config, at=NOW + timedelta(days=40)).rows == {}


def test_every_run_that_writes_removes_and_says_so(place, caplog):
    config = load_config(place / "config.yaml", ["retention.appeals=1"])
    with open_project_ledger(config) as ledger:
        assert "appeal" not in set(ledger.reviews()["source"])
    assert "retention.appeals: removed" in caplog.text


def test_old_texts_leave_the_kept_state_too(place):
    config = load_config(place / "config.yaml", ["retention.texts=30"])
    state = config.path(config.state.folder)
    assert state.is_dir()  # score made it
    result = retention(config)
    assert result.state_removed
    assert not state.exists()
    assert any("kept state" in line for line in result.lines())
    assert not retention(config).state_removed
