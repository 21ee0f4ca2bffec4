"""verify: a folder that is what its run gives is equal; what is not is named, with what changed."""

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from errdetect.config import load_config
from errdetect.data.atomic_writing import to_json_value, write_json
from errdetect.data.database_tables import write_table
from errdetect.data.provenance import read_provenance, run_record
from errdetect.errors import ConfigError, DataError, ModelError
from errdetect.ledger.ledger import open_ledger
from errdetect.workflows.estimate import estimate
from errdetect.workflows.ingest import ingest
from errdetect.workflows.plan_audit import plan_audit
from errdetect.workflows.remediate import remediate
from errdetect.workflows.report import report
from errdetect.workflows.result_summaries import summary_text
from errdetect.workflows.score import score
from errdetect.workflows.simulate import simulate
from errdetect.workflows.verify import verify

PERIOD = {"start": datetime(2025, 1, 5, tzinfo=UTC), "end": datetime(2025, 2, 5, tzinfo=UTC)}
RUNS = {
    "estimate": lambda config, out: estimate(config, out, by=["policy_id", "market"], **PERIOD),
    "plan-audit": lambda config, out: plan_audit(
        config, out, half_width=0.02, by=["policy_id"], method="neyman", seed=4
    ),
    "report": report,
    "remediate": remediate,
    "remediate --apply": lambda config, out: remediate(
        config, out, apply=True, by="ann", approved_by="bob"
    ),
}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    out = tmp_path_factory.mktemp("small")
    simulate(out, decisions=2_500, days=60, seed=5)
    return out


@pytest.fixture
def own(small, tmp_path):
    """A copy of the small marketplace that a test may change; returns its config file."""
    shutil.copytree(small, tmp_path / "market")
    return tmp_path / "market" / "config.yaml"


def _edited(file, change):
    """Change a table as somebody would who leaves its metadata alone."""
    table = pq.read_table(file)
    frame = table.to_pandas()
    other = change(frame)
    frame = frame if other is None else other
    changed = pa.Table.from_pandas(frame, table.schema, preserve_index=False)
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), file)


def _ledger(config_file):
    with open_ledger(load_config(config_file).ledger_url()) as ledger:
        return ledger.history(), ledger.remediations(), ledger.proposals()


@pytest.mark.parametrize("name", RUNS)
def test_what_a_command_wrote_is_equal(own, tmp_path, name):
    RUNS[name](load_config(own), tmp_path / "out")
    for file in (tmp_path / "out").rglob("*.parquet"):
        assert read_provenance(file).command == name.split()[0]
    before = _ledger(own)
    result = verify(tmp_path / "out", own)
    assert result.equal, summary_text(result)
    assert not result.changed
    assert not result.notes
    assert any(check.comparison is not None for check in result.files)
    for one, other in zip(before, _ledger(own), strict=True):
        pd.testing.assert_frame_equal(one, other)
    # What others did since is no part of this run.
    remediate(load_config(own), tmp_path / "later", apply=True, by="eve", approved_by="dan")
    if name != "report":
        result = verify(tmp_path / "out", own)
        assert result.equal, summary_text(result)


def test_a_simulation_needs_no_config(own, tmp_path):
    result = verify(own.parent, None)
    assert result.equal, summary_text(result)
    _edited(own.parent / "truth.parquet", lambda t: t.drop(index=3))
    result = verify(own.parent, None)
    assert [check.file for check in result.files if not check.equal] == ["truth.parquet"]
    assert "1 rows are missing here, the first decision_id='d00000003'" in summary_text(result)


def test_scoring_is_equal_whatever_the_ledger_recorded(config, trained, market, tmp_path):
    """The run itself, its repetition, and later runs over the same decisions are in the ledger."""
    settings = tmp_path / "config.yaml"
    data = {"folder": str(market), "decisions": "decisions.parquet", "reviews": "reviews.parquet",
            "policies": "policies.yaml"}  # fmt: skip
    registry = {"path": str(market / "models")}
    settings.write_text(
        yaml.safe_dump({"version": 1, "data": data, "registry": registry, "ledger": {"url": "sqlite:///ledger.db"},
                        "train": {"trials": 1}, "evaluate": {"bootstrap": 60}})
    )  # fmt: skip
    own = load_config(settings)
    batch = tmp_path / "last decisions.parquet"
    pd.read_parquet(market / "decisions.parquet").tail(1_500).to_parquet(batch)
    for name, budget in (("first", 60), ("again", 60), ("last", 90)):
        score(own, batch, tmp_path / name, budget=budget)
    for name in ("first", "again", "last"):
        result = verify(tmp_path / name, settings)
        assert result.equal, summary_text(result)
        assert not result.changed
    with open_ledger(own.ledger_url()) as ledger:
        assert len(ledger.runs()) == 2
    (bundle,) = (market / "models").rglob("bundle.json")
    was = bundle.read_bytes()
    try:
        bundle.write_bytes(was + b"\n")
        with pytest.raises(ModelError, match=r"bundle\.json must be as errdetect wrote it"):
            verify(tmp_path / "last", settings)
    finally:
        bundle.write_bytes(was)
    run = read_provenance(tmp_path / "first")
    assert (run.model_version, run.seed) == (trained.version, 0)
    assert run.data["scored"][0]["source"].endswith("decisions.parquet")
    _edited(tmp_path / "first/queue.parquet", lambda t: t.loc.__setitem__((4, "p_error"), 0.0))
    result = verify(tmp_path / "first", settings)
    found = {check.file: check for check in result.files if not check.equal}
    assert list(found) == ["queue.parquet"]
    assert dict(found["queue.parquet"].comparison.columns) == {"p_error": 1}


def test_a_changed_cell_is_named(own, tmp_path):
    estimate(load_config(own), tmp_path / "out", by=["market"])
    file = tmp_path / "out" / "estimates.parquet"
    was = pd.read_parquet(file)
    row = int(was["estimate"].notna().to_numpy().nonzero()[0][2])
    _edited(file, lambda t: t.loc.__setitem__((row, "estimate"), 0.123456))
    result = verify(tmp_path / "out", own)
    assert not result.equal
    (check,) = [check for check in result.files if not check.equal]
    assert check.edited
    first = check.comparison.first
    key = {name: was[name][row] for name in ("market", "measure") if name in first.key}
    assert {k: v for k, v in first.key.items() if v is not None} == {
        k: v for k, v in key.items() if isinstance(v, str)
    }
    assert (first.column, first.found, first.expected) == (
        "estimate", 0.123456, pytest.approx(was["estimate"][row]),
    )  # fmt: skip
    assert result.changed == (
        "file: estimates.parquet was changed or removed after the run wrote it",
    )
    said = summary_text(result)
    assert "DIFFERS  estimates.parquet" in said
    assert "estimate is 0.123456 here" in said
    assert "equal    labels.parquet" in said
    assert json.dumps(to_json_value(result))


def test_files_that_went_or_were_rewritten_are_named(own, tmp_path):
    remediate(load_config(own), out := tmp_path / "out")
    (out / "summary.txt").unlink()
    frame = pd.read_parquet(out / "plan.parquet")
    frame.to_parquet(out / "plan.parquet")
    (out / "plan.csv").write_text((out / "plan.csv").read_text() + "x\n")
    frame.to_parquet(out / "more.parquet")
    result = verify(out, own)
    assert {check.file for check in result.files if not check.equal} == {
        "plan.parquet", "plan.csv", "summary.txt",
    }  # fmt: skip
    assert "another program wrote it" in summary_text(result)
    assert result.notes == ("not of this run, so not checked: more.parquet",)


def test_a_changed_config_key_is_named(own, tmp_path):
    estimate(load_config(own), tmp_path / "out", by=["policy_id"])
    own.write_text(own.read_text() + "estimate: {min_reviews: 40}\nqueue: {budget: 7}\n")
    result = verify(tmp_path / "out", own)
    assert not result.equal
    assert result.changed == (
        "config: estimate.min_reviews was 5, is 40",
        "config: queue.budget was 0.05, is 7",
    )
    assert "columns differ" in summary_text(result)


def test_a_key_that_changes_nothing_is_said_beside_equal(own, tmp_path):
    estimate(load_config(own), tmp_path / "out")
    own.write_text(own.read_text() + "queue: {budget: 7}\n")
    result = verify(tmp_path / "out", own)
    assert result.equal
    assert "Changed since the run, with no effect on it:" in summary_text(result)


@pytest.mark.parametrize("table", ["reviews", "decisions"])
def test_a_changed_input_row_is_named(own, tmp_path, table):
    estimate(load_config(own), tmp_path / "out")
    file = own.parent / f"{table}.parquet"

    def turn(frame):
        if table == "reviews":
            row = frame.index[(frame["source"] == "audit") & (frame["verdict"] == "upheld")][0]
            frame.loc[row, "verdict"] = "overturned"
        else:
            frame.loc[0, "decision_id"] = "another"

    _edited(file, turn)
    result = verify(tmp_path / "out", own)
    assert not result.equal
    assert len(result.changed) == 1
    assert result.changed[0].startswith(f"data: {table}: {table}.parquet was sha256 ")


def test_a_changed_catalogue_and_model_are_named(own, tmp_path):
    config = load_config(own)
    run = estimate(config, tmp_path / "out").files["estimates"]
    assert read_provenance(run).model_version is None
    catalogue = own.parent / "policies.yaml"
    catalogue.write_text(catalogue.read_text() + "\n# reviewed\n")
    record = json.loads((tmp_path / "out/run.json").read_text())
    del record["digest"]
    result = verify(tmp_path / "out", own)
    assert result.equal
    assert [one.partition(":")[0] for one in result.changed] == ["policies"]


def test_what_came_since_does_not_count(own, tmp_path):
    """The recorded moment and period stand where the config leaves them to the data."""
    estimate(load_config(own), tmp_path / "out", by=["market"])
    remediate(load_config(own), tmp_path / "plan")
    for name, moment in (("decisions", "decided_at"), ("reviews", "reviewed_at")):
        frame = pd.read_parquet(own.parent / f"{name}.parquet")
        later = frame.tail(300).assign(**{moment: frame[moment].max() + pd.Timedelta(days=9)})
        later[f"{name[:-1]}_id"] = [f"new{i}" for i in range(len(later))]
        if name == "reviews":
            later["decision_id"] = [f"new{i}" for i in range(len(later))]
        write = pd.concat([frame, later], ignore_index=True)
        write.to_parquet(own.parent / f"{name}.parquet")
    for place in ("out", "plan"):
        result = verify(tmp_path / place, own)
        assert result.equal, summary_text(result)
        assert {one.split(":")[1] for one in result.changed} == {" decisions", " reviews"}
        assert any("compared with run.json's account" in note for note in result.notes)
    _edited(tmp_path / "out/intake.parquet", lambda t: t.loc.__setitem__((1, "n"), 7))
    result = verify(tmp_path / "out", own)
    assert [check.file for check in result.files if not check.equal] == ["intake.parquet"]


def test_reviews_that_came_back_are_known_by_digest(own, tmp_path):
    reviews = pd.read_parquet(own.parent / "reviews.parquet").head(20)
    back = reviews.assign(
        review_id=[f"back{i}" for i in range(20)], source="appeal", inclusion_probability=np.nan
    )
    back.iloc[:10].to_csv(tmp_path / "a.csv", index=False)
    back.iloc[10:].to_csv(tmp_path / "b.csv", index=False)
    ingest(load_config(own), tmp_path / "a.csv")
    remediate(load_config(own), tmp_path / "out")
    assert read_provenance(tmp_path / "out").data["ledger"][0]["rows"] == 10
    ingest(load_config(own), tmp_path / "b.csv")
    result = verify(tmp_path / "out", own)
    assert result.equal, summary_text(result)
    assert not result.changed


def test_arguments_and_overrides_are_used_again(own, tmp_path):
    config = load_config(own, ["estimate.min_reviews=30", "report.title=Weekly"])
    estimate(config, tmp_path / "out", by=["market"])
    assert read_provenance(tmp_path / "out").arguments["set"] == list(config.overrides)
    assert verify(tmp_path / "out", own).equal
    other = verify(tmp_path / "out", own, overrides=["estimate.min_reviews=3"])
    assert not other.equal
    assert other.changed == ("config: estimate.min_reviews was 30, is 3",)


def test_a_moved_project_verifies(own, tmp_path):
    estimate(load_config(own), own.parent / "out")
    moved = tmp_path / "elsewhere" / "deep"
    shutil.move(own.parent, moved)
    result = verify(moved / "out", moved / "config.yaml")
    assert result.equal
    assert not result.changed


def test_equal_input_gives_equal_bytes(own, tmp_path):
    for name in RUNS:
        if "--apply" in name:
            continue
        for turn in "ab":
            RUNS[name](load_config(own), tmp_path / name / turn)
        for file in (tmp_path / name / "a").rglob("*.parquet"):
            other = tmp_path / name / "b" / file.relative_to(tmp_path / name / "a")
            assert file.read_bytes() == other.read_bytes(), file


def test_what_cannot_be_verified_is_refused(own, tmp_path):
    config = load_config(own)
    (tmp_path / "empty").mkdir()
    for place in (tmp_path / "empty", tmp_path / "none"):
        with pytest.raises(DataError, match=r"run\.json must be there"):
            verify(place, own)
    estimate(config, tmp_path / "a", by=["market"])
    with pytest.raises(DataError, match="must have a config, got none"):
        verify(tmp_path / "a", None)
    with pytest.raises(ConfigError, match="must be a file"):
        verify(tmp_path / "a", tmp_path / "none.yaml")
    plan_audit(config, tmp_path / "b", budget=50)
    for name in ("audit", "expected"):
        shutil.copy(tmp_path / "b" / f"{name}.parquet", tmp_path / "a")
    shutil.copy(tmp_path / "b/run.json", tmp_path / "a/run.json")
    assert verify(tmp_path / "a", own).notes == (
        "not of this run, so not checked: estimates.parquet, labels.parquet",
    )


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"command": "train"}, "must be one of simulate, score"),
        ({"arguments": {}}, "arguments must be those of errdetect estimate"),
        ({"arguments": {"by": "market", "from": None, "to": None}}, "arguments must be those of"),
        ({"arguments": {"by": [], "from": "soon", "to": None}}, "arguments must be those of"),
        ({"created_at": None}, "must state when it was made"),
    ],
)
def test_a_forged_record_is_refused(own, tmp_path, values, says):
    """Its digest is right, and its tables carry it: all the same it is none of ours."""
    estimate(load_config(own), tmp_path)
    run = read_provenance(tmp_path)
    forged = type(run)(**{name: getattr(run, name) for name in run.__dataclass_fields__} | values)
    for name in ("estimates", "labels"):
        table = pq.read_table(tmp_path / f"{name}.parquet")
        stamped = table.replace_schema_metadata({"errdetect": forged.to_json()})
        pq.write_table(stamped, tmp_path / f"{name}.parquet")
    write_json(tmp_path / "run.json", run_record(forged, tmp_path))
    with pytest.raises(DataError, match=says):
        verify(tmp_path, own)


def test_a_record_of_another_run_is_refused(own, tmp_path):
    estimate(load_config(own), tmp_path / "a", by=["market"])
    estimate(load_config(own), tmp_path / "b")
    shutil.copy(tmp_path / "b/run.json", tmp_path / "a/run.json")
    with pytest.raises(DataError, match="must describe the run that its tables carry"):
        verify(tmp_path / "a", own)


def test_no_password_is_written_anywhere(own, postgres_server, tmp_path):
    secret = "hunter2hunter2"
    plain_url = postgres_server.get_uri()
    url = plain_url.replace("postgres:@", f"postgres:{secret}@")
    assert secret in url
    for name in ("decisions", "reviews"):
        frame = pd.read_parquet(own.parent / f"{name}.parquet")
        write_table(frame, plain_url, f"verify_{name}", if_exists="replace")
    data = {n: {"url": url, "table": f"verify_{n}"} for n in ("decisions", "reviews")}
    own.write_text(yaml.safe_dump({"version": 1, "data": data}))
    overrides = [f"data.decisions={{url: '{url}', table: verify_decisions}}"]
    estimate(load_config(own, overrides), tmp_path / "out", by=["market"])
    remediate(load_config(own), tmp_path / "plan")
    files = [f for place in ("out", "plan") for f in (tmp_path / place).rglob("*") if f.is_file()]
    assert len(files) == 9
    for file in files:
        assert secret.encode() not in file.read_bytes(), file
    run = read_provenance(tmp_path / "out")
    assert run.arguments["set_not_recorded"] == ["data.decisions"]
    assert run.data["decisions"][0]["rows"] == 2_500
    results = [verify(tmp_path / "out", own), verify(tmp_path / "plan", own)]
    for result in results:
        assert result.equal, summary_text(result)
        assert secret not in summary_text(result) + json.dumps(to_json_value(result))
    frame = pd.read_parquet(own.parent / "reviews.parquet")
    frame.loc[frame.index[frame["source"] == "audit"][:9], "verdict"] = "overturned"
    write_table(frame, plain_url, "verify_reviews", if_exists="replace")
    result = verify(tmp_path / "out", own)
    assert not result.equal
    assert [one.partition(" was")[0] for one in result.changed] == [
        "data: reviews: postgres::verify_reviews"
    ]


def test_the_command_says_it_by_its_exit_status(own, tmp_path):
    def run(*words):
        command = [sys.executable, "-m", "errdetect", "verify", *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True)

    remediate(load_config(own), out := tmp_path / "out")
    done = run(out, "--config", own, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["equal"] is True
    _edited(out / "plan.parquet", lambda t: t.loc.__setitem__((0, "account_id"), "nobody"))
    done = run(out, "--config", own, "-q")
    assert done.returncode == 1
    assert "account_id is 'nobody' here" in done.stdout
    assert done.stderr == ""
    done = run(own.parent / "models", "--config", own)
    assert done.returncode == 2
    assert done.stderr.startswith("errdetect: An output folder's run.json must be there")
    assert len(done.stderr.splitlines()) == 1
