"""An audit's draw is recorded, comes back as data.draws, and anybody can check it."""

import json
import shutil
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from errdetect import api
from errdetect.cli.commands import app
from errdetect.config import load_config
from errdetect.data.atomic_writing import write_json
from errdetect.data.provenance import read_run, run_record
from errdetect.errors import ConfigError, DataError
from errdetect.ledger.ledger import find_ledger, open_ledger
from errdetect.workflows.estimate import estimate
from errdetect.workflows.load_data import load_snapshot
from errdetect.workflows.plan_audit import plan_audit
from errdetect.workflows.result_summaries import summary_text
from errdetect.workflows.validate import validate
from errdetect.workflows.verify import verify

START = pd.Timestamp("2026-03-01", tz="UTC").as_unit("us")
N = 600
DUE = datetime(2999, 1, 1, tzinfo=UTC)


def log(n=N):
    at = np.arange(n)
    return pd.DataFrame(
        {
            "decision_id": [f"D-{(i * 7) % 1000:05d}" for i in at],  # in no order
            "decided_at": START + pd.to_timedelta(at, "h"),
            "item_id": [f"i{i}" for i in at],
            "policy_id": np.where(at % 10 == 0, "weapons", "spam"),
            "market": np.where(at % 3 == 0, "DE", "FR"),
            "action": np.where(at % 2 == 0, "remove", "approve"),
        }
    )


@pytest.fixture
def shop(tmp_path):
    """A folder with a log; gives its config with further settings."""
    place = tmp_path / "shop"
    place.mkdir()
    log().to_parquet(place / "decisions.parquet")
    (place / "c.yaml").write_text("version: 1\ndata: {decisions: decisions.parquet}\n")
    return lambda *settings: load_config(place / "c.yaml", list(settings))


@pytest.fixture
def planned(shop, tmp_path):
    plan_audit(shop(), tmp_path / "plan", budget=60, by=["market"], due_at=DUE, drawn_by="Ann")
    return tmp_path / "plan"


def edit(file, change):
    """Change a table as somebody would who keeps its metadata."""
    table = pq.read_table(file)
    frame = change(table.to_pandas())
    changed = pa.Table.from_pandas(frame, table.schema, preserve_index=False)
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), file)


def forge(folder):
    """Write a run.json whose digests fit the changed files."""
    run = read_run(folder).provenance
    (folder / "run.json").unlink()
    write_json(folder / "run.json", run_record(run, folder))


def differing(folder, config):
    result = verify(folder, config)
    found = {check.file: " | ".join(check.deviations) for check in result.files if not check.equal}
    assert result.equal == (not found)
    assert ("DIFFERS" in summary_text(result)) == bool(found)
    return found


def test_a_plan_is_recorded_and_says_all_of_the_draw(shop, planned):
    receipt = json.loads((planned / "audit.json").read_text())
    audit, frame = (pd.read_parquet(planned / f"{name}.parquet") for name in ("audit", "frame"))
    assert receipt["frame"]["n_decisions"] == len(frame) == N
    assert receipt["drawn"]["n_decisions"] == len(audit) == 60
    assert (receipt["drawn_by"], receipt["due_at"]) == ("Ann", DUE.isoformat())
    assert receipt["frame"]["period_from"] == START.isoformat()
    assert receipt["design"]["budget"] == 60
    assert [s["values"]["market"] for s in receipt["design"]["strata"]] == ["DE", "FR"]
    assert sum(s["n_decisions"] for s in receipt["design"]["strata"]) == N
    assert set(frame.columns) == {"decision_id", "decided_at", "inclusion_probability", "stratum"}
    assert frame["inclusion_probability"].sum() == pytest.approx(60)
    assert set(audit.columns) == {
        "decision_id", "inclusion_probability", "market", "draw_id", "drawn_at", "due_at",
    }  # fmt: skip
    assert not (planned / "left_out.parquet").exists()
    with find_ledger(shop().ledger_url()) as ledger:
        (held,) = ledger.audits().to_dict("records")
        assert json.loads(held["receipt"]) == receipt
        assert held["draw_id"] == receipt["draw_id"]
        assert set(ledger.draws()["decision_id"]) == set(audit["decision_id"])


def test_nobody_chooses_the_seed_of_daily_use(shop, tmp_path):
    results = [plan_audit(shop(), tmp_path / f"{i}", budget=60) for i in range(3)]
    assert len({r.receipt["seed"]["value"] for r in results}) == 3
    assert len({frozenset(r.audit["decision_id"]) for r in results}) == 3
    assert all(verify(tmp_path / f"{i}", shop()).equal for i in range(3))


def test_without_recording_there_is_no_ledger(shop, tmp_path):
    result = plan_audit(shop("audit.record=false"), tmp_path / "plan", budget=60)
    assert find_ledger(shop().ledger_url()) is None
    assert any("is not recorded in the ledger" in note for note in result.notes)
    assert differing(tmp_path / "plan", shop("audit.record=false")) == {}


def test_the_audit_is_its_own_data_draws(shop, planned, tmp_path):
    other = f"ledger.url=sqlite:///{tmp_path}/other.db"
    config = shop(other, f"data.draws={planned / 'audit.parquet'}")
    recorded = load_snapshot(shop(), progress=print).snapshot.draws
    given = load_snapshot(config, progress=print).snapshot.draws
    order = ["decision_id"]
    pd.testing.assert_frame_equal(
        given.sort_values(order, ignore_index=True), recorded.sort_values(order, ignore_index=True),
        check_dtype=False,
    )  # fmt: skip
    both = load_snapshot(shop(f"data.draws={planned / 'audit.parquet'}"), progress=print)
    assert len(both.snapshot.draws) == 60
    assert both.draws.n_duplicates == 60
    assert load_snapshot(shop(other), progress=print).snapshot.draws is None
    codes = [finding.code for finding in validate(config).findings]
    assert {"A004", "A010"} <= set(codes)
    assert not {code for code in codes if code[0] == "A"} - {"A004", "A010"}


def answers(audit):
    return pd.DataFrame(
        {
            "review_id": "r-" + audit["decision_id"],
            "decision_id": audit["decision_id"],
            "reviewed_at": audit["drawn_at"] + pd.Timedelta(days=1),
            "source": "audit",
            "verdict": np.where(np.arange(len(audit)) % 6 == 0, "overturned", "upheld"),
            "site": "Riga",
            "inclusion_probability": audit["inclusion_probability"],
        }
    )


def test_dataframes_of_draws_count_as_files_do(shop, planned, tmp_path):
    audit = pd.read_parquet(planned / "audit.parquet")
    config = shop(f"ledger.url=sqlite:///{tmp_path}/other.db")
    given = {"reviews": answers(audit), "draws": audit}
    checked = api.validate(config, **given)
    assert "A010" in [finding.code for finding in checked.findings]
    frames = api.estimate(config, **given)
    own = frames.intake.frame()
    own = own[own["table"] == "draws"].set_index("reason")["n"]
    assert own.to_dict() == {"read": 60, "used": 60}
    assert set(frames.estimates["measure"]) >= {"error_rate"}
    changed = audit.assign(inclusion_probability=audit["inclusion_probability"] / 2)
    other = api.validate(config, reviews=given["reviews"], draws=changed)
    assert [f.count for f in other.findings if f.code == "A008"] == [60]


def test_estimates_record_the_draws_that_they_know(shop, planned, tmp_path):
    answers(pd.read_parquet(planned / "audit.parquet")).to_parquet(tmp_path / "shop/r.parquet")
    config = shop("data.reviews=r.parquet")
    estimate(config, tmp_path / "out")
    (held,) = read_run(tmp_path / "out").provenance.data["ledger"]
    assert (held["source"], held["rows"]) == ("draws", 60)
    plan_audit(config, tmp_path / "next", budget=30)
    result = verify(tmp_path / "out", config)
    assert result.equal, summary_text(result)
    assert not result.changed


def test_leaving_out_and_drawing_again(shop, planned, tmp_path):
    first = set(pd.read_parquet(planned / "audit.parquet")["decision_id"])
    config = shop("audit.earlier_draws=leave-out")
    result = plan_audit(config, tmp_path / "next", budget=60)
    assert not first & set(result.frame["decision_id"])
    assert len(result.frame) == N - 60
    assert result.receipt["left_out"]["n_decisions"] == 60
    assert set(result.table("left_out")["decision_id"]) == first
    assert "60 decisions of 1 earlier draws are left out" in " ".join(result.notes)
    assert result.receipt["frame"]["period_from"] == START.isoformat()
    assert differing(tmp_path / "next", config) == {}
    kept = plan_audit(shop(), tmp_path / "with", budget=590)
    assert first & set(kept.audit["decision_id"])
    plan_audit(shop(), tmp_path / "all", budget=N)
    with pytest.raises(DataError, match="hold one that was not drawn yet, got all 600"):
        plan_audit(config, tmp_path / "none", budget=5)
    assert not (tmp_path / "none").exists()


def test_draws_made_elsewhere_are_left_out_too(shop, tmp_path):
    early = log().head(100).assign(inclusion_probability=0.5, drawn_at=START)
    early[["decision_id", "inclusion_probability", "drawn_at"]].to_csv(tmp_path / "shop/d.csv")
    config = shop("audit.earlier_draws=leave-out", "data.draws=d.csv")
    result = plan_audit(config, tmp_path / "plan", budget=60)
    assert len(result.frame) == N - 100
    assert result.receipt["left_out"]["draws"] == ["draw"]


def test_a_due_date_lies_ahead(shop, tmp_path):
    with pytest.raises(
        ConfigError, match="--due must lie after the moment of the draw, got 2026-03-01"
    ):
        plan_audit(shop(), tmp_path / "x", budget=5, due_at=START.to_pydatetime())
    at = DUE - timedelta(days=1)
    plan_audit(shop(), tmp_path / "x", budget=5, due_at=DUE, drawn_at=at)
    assert pd.read_parquet(tmp_path / "x/audit.parquet")["drawn_at"].unique() == [pd.Timestamp(at)]


def test_a_repeated_draw_is_the_recorded_one(shop, planned, tmp_path):
    receipt = json.loads((planned / "audit.json").read_text())
    plan_audit(shop(), tmp_path / "between", budget=5)
    again = plan_audit(shop(), tmp_path / "again", budget=60, by=["market"],
                       seed=receipt["seed"]["value"], drawn_by="Bob")  # fmt: skip
    assert again.receipt["draw_id"] == receipt["draw_id"]
    assert again.receipt["drawn_by"] == "Ann"
    assert again.receipt["drawn_at"] == receipt["drawn_at"]
    with open_ledger(shop().ledger_url()) as ledger:
        assert len(ledger.audits()) == 2
    assert differing(tmp_path / "again", shop()) == {}


def test_a_third_party_needs_neither_ledger_nor_model_nor_reviews(shop, planned, tmp_path):
    other = tmp_path / "auditor"
    other.mkdir()
    log().sample(frac=1.0, random_state=1).to_csv(other / "log.csv", index=False)
    (other / "c.yaml").write_text("version: 1\ndata: {decisions: log.csv}\n")
    shutil.move(planned, other / "plan")
    result = verify(other / "plan", other / "c.yaml")
    assert result.equal, summary_text(result)
    assert any("checked with audit.json and the log only" in note for note in result.notes)
    assert any("decisions" in change for change in result.changed)
    assert not (other / "errdetect.db").exists()


def test_late_decisions_are_named(shop, planned, tmp_path):
    frame = log()
    late = frame.iloc[[5, 6]].assign(decision_id=["late-1", "late-2"])
    after = frame.tail(3).assign(decision_id=list("xyz"), decided_at=START + pd.Timedelta(days=99))
    place = tmp_path / "shop/decisions.parquet"
    pd.concat([frame, after]).to_parquet(place)
    assert differing(planned, shop()) == {}
    pd.concat([frame, late, after]).to_parquet(place)
    found = differing(planned, shop())
    assert list(found) == ["frame.parquet"]
    assert (
        "the log has 2 more decisions of that time, such as late-1, late-2"
        in found["frame.parquet"]
    )
    frame.drop(index=[0, 9]).to_parquet(place)
    assert (
        "the log lacks 2 of its decisions, such as D-00000, D-00063"
        in differing(planned, shop())["frame.parquet"]
    )
    moved = frame["decided_at"].mask(frame.index == 3, START + pd.Timedelta(days=2, hours=1))
    frame.assign(decided_at=moved).to_parquet(place)
    found = differing(planned, shop())["frame.parquet"]
    assert "decided_at is another in the log for 1 decisions, such as D-00021" in found


@pytest.mark.parametrize("consistent", [False, True])
@pytest.mark.parametrize("recompute", [False, True])
def test_tampering_is_named(shop, planned, consistent, recompute):
    """Also where run.json was made to fit, and whether or not the plan can be recomputed."""
    config = shop() if recompute else shop("queue.budget=7")

    def told(name, change):
        was = {file: file.read_bytes() for file in planned.iterdir()}
        if name == "audit.json":
            receipt = json.loads((planned / name).read_text())
            change(receipt)
            write_json(planned / name, receipt)
        else:
            edit(planned / name, change)
        if consistent:
            forge(planned)
        found = differing(planned, config)
        for file, content in was.items():
            file.write_bytes(content)
        return found

    assert differing(planned, config) == {}
    found = told("audit.json", lambda r: r["seed"].update(value=r["seed"]["value"] + 1))
    assert "that of run.json is" in found["audit.json"]
    assert "its draw_id is not the digest" in found["audit.json"]
    assert "are not drawn by seed and frame" in found["audit.parquet"]
    found = told("audit.json", lambda r: r.update(drawn_by="Eve"))
    assert "the ledger's receipt of this draw differs in drawn_by" in found["audit.json"]
    found = told("audit.json", lambda r: r["frame"].update(digest="0" * 64))
    assert "decision_id and decided_at are not those of audit.json" in found["frame.parquet"]
    found = told("audit.json", lambda r: r.pop("seed"))
    assert "cannot be read as a receipt (it has no 'seed')" in found["audit.json"]
    found = told(
        "frame.parquet",
        lambda f: f.assign(
            inclusion_probability=f["inclusion_probability"].mask(f.index == 4, 0.9)
        ),
    )
    assert "inclusion_probability and stratum are not those of audit.json" in found["frame.parquet"]
    found = told("frame.parquet", lambda f: f.drop(index=4))
    assert "the log has 1 more decisions of that time" in found["frame.parquet"]
    found = told("frame.parquet", lambda f: f.assign(inclusion_probability=0.0))
    assert "an inclusion_probability is outside of (0, 1]" in found["frame.parquet"]
    found = told(
        "audit.parquet",
        lambda f: f.assign(
            inclusion_probability=f["inclusion_probability"].mask(f.index == 4, 0.9)
        ),
    )
    assert (
        "inclusion_probability is not that of frame.parquet for 1 decisions"
        in found["audit.parquet"]
    )
    found = told("audit.parquet", lambda f: f.drop(index=4))
    assert "1 decisions drawn by seed and frame are missing" in found["audit.parquet"]
    found = told("audit.parquet", lambda f: f.assign(draw_id="mine"))
    assert "draw_id is not that of audit.json" in found["audit.parquet"]
    assert differing(planned, config) == {}


def test_missing_files_are_named(shop, planned):
    (planned / "frame.parquet").unlink()
    assert "cannot be read" in differing(planned, shop())["frame.parquet"]
    (planned / "audit.json").unlink()
    assert "missing now" in differing(planned, shop())["audit.json"]


def test_the_command_line(shop, tmp_path):
    file = str(tmp_path / "shop/c.yaml")
    words = [
        "plan-audit",
        file,
        "--out",
        str(tmp_path / "p"),
        "--budget",
        "50",
        "--due",
        "2999-01-31",
    ]
    done = CliRunner().invoke(
        app, [*words, "--drawn-by", "Ann", "--earlier-draws", "leave-out", "-q"]
    )
    assert done.exit_code == 0, done.output
    assert "50 of 600 decisions, by Ann, seed " in done.output
    assert "(drawn from the operating system)" in done.output
    due = pd.read_parquet(tmp_path / "p/audit.parquet")["due_at"].unique()
    assert due == [pd.Timestamp("2999-01-31T23:59:59.999999Z")]
    done = CliRunner().invoke(app, ["verify", str(tmp_path / "p"), "--config", file, "-q"])
    assert done.exit_code == 0, done.output
    edit(tmp_path / "p/audit.parquet", lambda f: f.iloc[1:])
    done = CliRunner().invoke(app, ["verify", str(tmp_path / "p"), "--config", file, "-q"])
    assert done.exit_code == 1
    assert "1 decisions drawn by seed and frame are missing" in done.output
    with pytest.raises(ConfigError, match=r"audit\.earlier_draws"):
        shop("audit.earlier_draws=never")
