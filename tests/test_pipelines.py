"""Pipelines: killed at every step they end as if nothing had happened; cron and systemd run them."""

import configparser
import importlib
import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from errdetect.config import load_config
from errdetect.errors import DataError
from errdetect.ledger.ledger import open_ledger
from errdetect.pipeline_steps import JOURNAL, PipelineRun, StepJournal, _run_key
from errdetect.workflows import retrain_due
from errdetect.workflows.simulate import simulate
from errdetect.workflows.train import train

#: Runs a script, and ends the process as a kill does, before or after the journal's Nth entry.
KILLER = """
import os, runpy, sys
from errdetect.pipeline_steps import StepJournal
at, when, script, *words = sys.argv[1:]
append, seen = StepJournal.append, []
def counted(self, entry):
    seen.append(1)
    if len(seen) == int(at) and when == "before":
        os._exit(137)
    append(self, entry)
    if len(seen) == int(at) and when == "after":
        os._exit(137)
StepJournal.append = counted
sys.argv = [script, *words]
runpy.run_path(script, run_name="__main__")
"""
QUICK = ["train.trials=0", "evaluate.bootstrap=50"]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A trained project; each test works on a copy."""
    place = tmp_path_factory.mktemp("project")
    simulate(place, decisions=12_000, days=90, seed=3)
    assert train(load_config(place / "config.yaml", QUICK)).version
    log = pd.read_parquet(place / "decisions.parquet")
    log.tail(600).to_parquet(place / "batch.parquet")
    reviews = pd.read_parquet(place / "reviews.parquet")
    new = reviews[reviews["source"] == "audit"].head(80)
    new.assign(
        review_id="n" + new["review_id"], source="appeal", inclusion_probability=None
    ).to_parquet(place / "finished.parquet")
    return place


@pytest.fixture
def copy(project, tmp_path) -> Path:
    return Path(shutil.copytree(project, tmp_path / "market"))


def run(repo, place, name, *words, kill=None):
    script = str(repo / f"pipelines/{name}.py")
    start = [sys.executable] if kill is None else [sys.executable, "-c", KILLER, *kill]
    done = subprocess.run(
        [*start, script, "config.yaml", *words], cwd=place, capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


NIGHT = ("nightly_score", "batch.parquet", "out")
BACK = ("reviews_back", "finished.parquet", "out")


def queue_of(place):
    config = load_config(place / "config.yaml")
    with open_ledger(config.ledger_url()) as ledger:
        runs = ledger.runs()
        queued = ledger.queued_decisions().drop(columns=["scored_at"])
    lines = [json.loads(line) for line in (place / "out/queue.jsonl").read_text().splitlines()]
    handed = [(line["decision_id"], line["p_error"]) for line in lines]
    return len(runs), queued.drop(columns=["run_id"], errors="ignore"), handed


AT = [(str(n), when) for n in (1, 2, 3) for when in ("before", "after")]


@pytest.mark.skipif(sys.platform != "linux", reason="needs fork and process groups")
def test_pipelines_killed_at_random_end_equal(repo, tmp_path):
    """A few of the hundred kills of benchmarks/pipeline_kills.py, in a process of its own."""
    words = ["--kills", "4", "--seed", "3", "--only", "reviews_back|daily_monitor"]
    done = subprocess.run(
        [sys.executable, "benchmarks/pipeline_kills.py", *words, "--out", str(tmp_path / "k.md")],
        cwd=repo, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(repo / "src"), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "| reviews_back |" in (tmp_path / "k.md").read_text()


def test_what_a_kill_leaves_unequal_is_found(repo, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(repo))
    kills = importlib.import_module("benchmarks.pipeline_kills")
    one, two = {"a": "1", "b": "2", "at": "x"}, {"a": "1", "b": "2", "at": "y"}
    assert kills.compare(one, two, {"a": "1", "b": "2", "at": "z"}) == []
    assert kills.compare(one, two, {"a": "9", "at": "z"}) == ["a differs", "b is missing"]
    assert kills.compare(one, two, {**one, "c.tmp": "0", "models/x": "0"}) == ["c.tmp is new"]
    place = tmp_path / "p"
    place.mkdir()
    with closing(sqlite3.connect(place / "l.db")) as database:
        database.execute("CREATE TABLE t (a)")
        database.execute("INSERT INTO t VALUES (1)")
        database.commit()
    before = kills.state(place, "x")
    with closing(sqlite3.connect(place / "l.db")) as database:
        database.execute("INSERT INTO t VALUES (1)")
        database.commit()
    assert kills.compare(before, before, kills.state(place, "x")) == [
        "l.db t rows differs",
        "l.db t.a differs",
    ]


@pytest.fixture(scope="module")
def undisturbed(repo, project, tmp_path_factory):
    """The queue of a night without a kill."""
    place = Path(shutil.copytree(project, tmp_path_factory.mktemp("night") / "market"))
    done = run(repo, place, *NIGHT)
    assert done.returncode == 0, done.stderr
    return queue_of(place)


@pytest.mark.parametrize(
    "kill", [AT[2], *(pytest.param(at, marks=pytest.mark.slow) for at in AT if at != AT[2])]
)
def test_nightly_score_killed_at_any_step_ends_equal(repo, copy, undisturbed, kill):
    assert run(repo, copy, *NIGHT, kill=kill).returncode == 137
    done = run(repo, copy, *NIGHT)
    assert done.returncode == 0, done.stderr
    found = queue_of(copy)
    assert found[0] == undisturbed[0] == 1  # one scoring run
    pd.testing.assert_frame_equal(found[1], undisturbed[1])
    assert found[2] == undisturbed[2]


def test_reviews_back_killed_after_its_work_takes_each_review_once(repo, project, tmp_path):
    counts = set()
    for number, kill in enumerate([None, ("2", "before")]):
        place = Path(shutil.copytree(project, tmp_path / str(number)))
        if kill is not None:
            assert run(repo, place, *BACK, kill=kill).returncode == 137
        assert run(repo, place, *BACK).returncode == 0
        with open_ledger(load_config(place / "config.yaml").ledger_url()) as ledger:
            reviews = ledger.reviews()
        plan = pd.read_parquet(place / "out/plan.parquet")
        counts.add((len(reviews), reviews["review_id"].nunique(), len(plan)))
    assert len(counts) == 1
    assert next(iter(counts))[0] == 80


def test_a_finished_run_is_not_repeated_and_new_content_is_another(repo, copy):
    first = run(repo, copy, *NIGHT, "--json")
    lines = [json.loads(line) for line in first.stdout.splitlines()]
    assert [(line["step"], line["what"]) for line in lines] == [
        ("score", "done"),
        ("export", "done"),
    ]
    assert lines[0]["n_scored"] == 600
    assert lines[0]["seconds"] > 0
    assert run(repo, copy, *NIGHT).stdout.count("done before") == 2
    batch = pd.read_parquet(copy / "batch.parquet")
    batch.head(500).to_parquet(copy / "batch.parquet")
    assert "n_scored=500" in run(repo, copy, *NIGHT).stdout


def test_two_pipelines_do_not_run_at_once(repo, copy):
    with StepJournal(copy / JOURNAL).lock():
        done = run(repo, copy, *NIGHT)
    assert done.returncode == 2
    assert "Another pipeline" in done.stderr


def test_the_monitor_ends_with_the_alarm_also_on_a_rerun(repo, copy):
    done = run(repo, copy, "daily_monitor", "out", "monitor.max_error_rate={all: 0.0001}",
               "monitor.reference_to=2025-01-20")  # fmt: skip
    again = run(repo, copy, "daily_monitor", "out", "monitor.max_error_rate={all: 0.0001}",
                "monitor.reference_to=2025-01-20")  # fmt: skip
    assert (done.returncode, again.returncode) == (1, 1)
    assert "done before" in again.stdout


# --- the journal ---


def a_run(tmp_path, entries=()):
    config = load_config_of(tmp_path)
    journal = StepJournal(tmp_path / JOURNAL)
    own = [*entries, *journal.read()]
    return PipelineRun(
        "p", "k", config, {}, pd.Timestamp("2026-01-01", tz="UTC"), journal, False, own
    )


def load_config_of(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("version: 1\ndata: {decisions: d.parquet}\n")
    return load_config(path)


def test_an_entry_that_a_kill_cut_short_is_no_step(tmp_path):
    journal = StepJournal(tmp_path / JOURNAL)
    journal.append({"step": "a"})
    with journal.path.open("ab") as opened:
        opened.write(b'{"step": "b", "wh')
    assert [e["step"] for e in journal.read()] == ["a"]
    journal.append({"step": "c"})
    assert [e["step"] for e in journal.read()] == ["a", "c"]


def test_a_step_whose_work_was_done_before_the_kill_is_not_repeated(tmp_path):
    state = ["1"]

    def work():
        state[0] = "2"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        a_run(tmp_path).step("train", work, mark=lambda: state[0])
    assert (
        a_run(tmp_path).step("train", lambda: pytest.fail("twice"), mark=lambda: state[0]) is None
    )
    # Killed before its work, it is done.
    calls: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        a_run(tmp_path).step("other", _interrupt, mark=lambda: state[0])
    a_run(tmp_path).step("other", lambda: calls.append(1), mark=lambda: state[0])
    assert calls == [1]


def _interrupt():
    raise KeyboardInterrupt


def test_a_failing_step_is_not_done(tmp_path):
    with pytest.raises(ValueError, match="bad"):
        a_run(tmp_path).step("a", lambda: int("bad"))
    assert a_run(tmp_path).step("a", lambda: 7) == 7


def test_inputs_at_a_url_are_one_run_for_each_address_and_day(tmp_path):
    keys = {
        _run_key(
            {"decisions": f"postgresql://db/x::{table}", "out": "o"}, ["decisions"], "%Y-%m-%d"
        )
        for table in ("monday", "tuesday", "monday")
    }
    assert len(keys) == 2


# --- when to retrain ---


def due(tmp_path, settings, entries=(), trained_days_ago=10.0):
    run = a_run(tmp_path)
    config = load_config(tmp_path / "config.yaml", settings)
    run = replace(run, name="weekly_retrain", key="today", config=config)
    for days, pipeline, step, status in entries:
        at = (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="seconds")
        run.journal.append({"pipeline": pipeline, "run": "earlier", "step": step, "what": "done",
                            "at": at, "status": status})  # fmt: skip
    trained = datetime.now(UTC) - timedelta(days=trained_days_ago)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(retrain_due, "_champion_trained_at", lambda _: trained)
        return retrain_due.retrain_due(config, run.earlier())


@pytest.mark.parametrize(
    ("settings", "entries", "reasons"),
    [
        ([], [], ("every start",)),
        (["train.retrain.days=28"], [], ()),
        (["train.retrain.days=7"], [], ("10 days old",)),
        (["train.retrain.days=7"], [(2, "weekly_retrain", "train", 1)], ()),
        (["train.retrain.alert=true"], [(3, "daily_monitor", "monitor", 0)], ()),
        (["train.retrain.alert=true"], [(3, "daily_monitor", "monitor", 1)], ("alarm of",)),
        (["train.retrain.alert=true"], [(12, "daily_monitor", "monitor", 1)], ()),
        (
            ["train.retrain.alert=true"],
            [(3, "daily_monitor", "monitor", 1), (1, "weekly_retrain", "train", 0)],
            (),
        ),
    ],
)
def test_retraining_is_due_by_age_or_alarm_since_the_last_try(tmp_path, settings, entries, reasons):
    found = due(tmp_path, settings, entries)
    assert len(found.reasons) == len(reasons)
    assert all(a.startswith(b) for a, b in zip(found.reasons, reasons, strict=True))


@pytest.mark.parametrize(("wanted", "is_due"), [(3, True), (4, False)])
def test_retraining_is_due_with_enough_labels_since(tmp_path, wanted, is_due):
    now = pd.Timestamp.now(tz="UTC")
    ids = [f"d{i}" for i in range(6)]
    load_config_of(tmp_path)
    pd.DataFrame({"decision_id": ids, "decided_at": now - pd.Timedelta(days=30), "policy_id": "spam",
                  "action": "remove", "item_id": ids}).to_parquet(tmp_path / "d.parquet")  # fmt: skip
    days = [20, 5, 4, 3, 2, 1]
    sources = ["appeal", "appeal", "appeal", "appeal", "golden", "appeal"]
    pd.DataFrame({"review_id": ids, "decision_id": ["d0", "d1", "d2", "d3", "d4", "d1"], "source": sources,
                  "reviewed_at": [now - pd.Timedelta(days=d) for d in days], "verdict": "upheld",
                  "expected": [None] * 4 + ["upheld", None]}).to_parquet(tmp_path / "r.parquet")  # fmt: skip
    found = due(tmp_path, [f"train.retrain.labels={wanted}", "data.reviews=r.parquet"])
    assert found.n_labels == 3  # d1, d2, d3: golden answers and earlier reviews do not count
    assert bool(found.reasons) == is_due


def test_a_retraining_that_is_not_due_trains_nothing(repo, copy):
    done = run(repo, copy, "weekly_retrain", "train.retrain.days=28")
    assert done.returncode == 0
    assert "not due" in done.stdout
    assert "train done" not in done.stdout


# --- under schedulers ---


def blocks(repo, language):
    text = (repo / "docs/pipelines.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def placed(command, repo, place):
    command = re.sub(r"(/srv/market/)?\.venv/bin/python", sys.executable, command)
    command = command.replace("pipelines/", f"{repo}/pipelines/")
    return command.replace("/srv/market", str(place))


def test_the_cron_line_runs(repo, copy):
    (line,) = blocks(repo, "cron")
    fields = line.split(maxsplit=5)
    assert all(re.fullmatch(r"[\d*/,-]+", field) for field in fields[:5])
    assert "%" not in fields[5]  # cron reads it as a newline
    shutil.copy(copy / "decisions.parquet", copy / "all.parquet")
    command = placed(fields[5].strip(), repo, copy).replace("decisions.parquet", "batch.parquet")
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True)
    log = (copy / "pipelines.log").read_text()
    assert done.returncode == 0, log
    assert "nightly_score score done" in log
    assert (copy / "out/queue/queue.jsonl").is_file()


def test_the_systemd_units_are_valid_and_run(repo, copy, tmp_path):
    service, timer = blocks(repo, "systemd")
    units = []
    for name, text in (("errdetect.service", service), ("errdetect.timer", timer)):
        unit = tmp_path / name
        unit.write_text(placed(text, repo, copy))
        units.append(unit)
    if shutil.which("systemd-analyze"):
        done = subprocess.run(
            ["systemd-analyze", "verify", *map(str, units)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    parsed = configparser.ConfigParser(interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read(units)
    assert parsed["Timer"]["OnCalendar"]
    assert parsed["Service"]["Type"] == "oneshot"
    command = shlex.split(
        parsed["Service"]["ExecStart"].replace("reviews.parquet", "finished.parquet")
    )
    done = subprocess.run(
        command, cwd=parsed["Service"]["WorkingDirectory"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "reviews_back ingest done" in done.stdout


def test_retraining_killed_after_training_registers_one_model(repo, copy):
    """Entries: started, validate, begun, done; the kill comes when the model is registered."""
    registered = "SELECT count(*) FROM model_versions"

    def versions():
        with closing(sqlite3.connect(copy / "models/mlflow.db")) as database:
            return database.execute(registered).fetchone()[0]

    before = versions()
    words = (
        "weekly_retrain",
        "train.trials=0",
        "evaluate.bootstrap=50",
        "gate.margin=0.9",
        "gate.cheaper=1",
    )
    assert run(repo, copy, *words, kill=("4", "before")).returncode == 137
    trained = versions()
    done = run(repo, copy, *words)
    assert versions() == trained
    assert trained <= before + 1
    if trained > before:
        assert "train done before" in done.stdout
    assert done.returncode in (0, 1)
    assert run(repo, copy, *words).returncode == done.returncode  # the week's run is over


def test_a_journal_that_cannot_be_used_is_one_sentence(tmp_path):
    journal = StepJournal(tmp_path / JOURNAL)
    journal.path.mkdir()
    for use in (lambda: journal.append({"what": "started"}), journal.read):
        with pytest.raises(DataError, match=r"The journal .* must be a file that can be read"):
            use()
    journal.path.with_suffix(".lock").mkdir()
    with pytest.raises(DataError, match="The journal"), journal.lock():
        pass


def test_lines_of_others_in_a_journal_are_ignored(tmp_path):
    journal = StepJournal(tmp_path / JOURNAL)
    journal.path.write_bytes(b'[1]\nnull\n\xff\n{"pipeline": "p", "run": "r"}\n{"a": ')
    assert journal.read() == [{"pipeline": "p", "run": "r"}]
    journal.append({"what": "started"})
    assert journal.read()[-1] == {"what": "started"}
