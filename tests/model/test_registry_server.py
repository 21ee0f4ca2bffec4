"""Registries behind an address: a real MLflow server, a real PostgreSQL, SQLite elsewhere."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pandas as pd
import pytest

from errdetect.errors import ModelError, remember_secrets
from errdetect.model.bundle import ModelBundle, hash_ids
from errdetect.model.ensemble_members import FitOptions
from errdetect.model.gate import GateRules
from errdetect.model.registry import ModelRegistry
from errdetect.model.run_contents import LoggedData, RunContents
from errdetect.model.training import TrainingPlan, train_detector

LOG = {
    "params": {"a": 1}, "metrics": {"ap": 0.5}, "tables": {"trials": pd.DataFrame({"a": [1]})},
    "tags": {"gate": "validated", "gate_why": "it is better"},
}  # fmt: skip


@pytest.fixture(scope="module")
def bundle(examples) -> ModelBundle:
    trained = train_detector(
        examples.take(examples.decisions.index.to_numpy() < 700),
        TrainingPlan(budgets=[0.1], resamples=50, gate=GateRules(min_errors=1)),
        FitOptions(),
    )
    return ModelBundle(
        trained.detector, trained.calibrator, hash_ids(examples.decisions["decision_id"])
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A real tracking server; its address."""
    home = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
        "--workers", "1", "--backend-store-uri", f"sqlite:///{home}/server.db",
        "--artifacts-destination", str(home / "artifacts"),
    ]  # fmt: skip
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with (home / "log").open("w") as log:
        running = subprocess.Popen(
            command,
            env={**os.environ, "PATH": path, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
                break
            except OSError:
                assert running.poll() is None, (home / "log").read_text()
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(running.pid, 15)
        running.wait(30)


def _live(registry: ModelRegistry, bundle: ModelBundle, examples) -> None:
    """Record, promote, roll back and score."""
    with pytest.raises(ModelError, match="must hold a trained model"):
        registry.load()
    refused = LOG | {"tags": {"gate": "rejected", "gate_why": "worse than margin"}}
    assert registry.record(bundle, accept=False, champion=None, **refused) is None
    assert "worse than margin" in registry.turned_down()
    assert registry.record(bundle, accept=True, champion="the first", **LOG) == "1"
    assert registry.record(bundle, accept=True, champion=None, **LOG) == "2"
    assert (registry.challenger_version(), registry.champion_version()[0]) == ("2", "1")
    registry.promote("2", by="Bo", why="better")
    registry.promote("1", by="Ann", why="back")
    assert [(c.version, c.before, c.by) for c in registry.history()] == [
        ("1", None, "errdetect train"), ("2", "1", "Bo"), ("1", "2", "Ann"),
    ]  # fmt: skip
    back, version = registry.load()
    head = examples.decisions.head(5)
    X = bundle.detector.features(head)
    assert version == "1"
    assert back.probability(X, head).tolist() == bundle.probability(X, head).tolist()
    assert registry.digest("1") == registry.champion_version()[1] is not None
    with pytest.raises(ModelError, match="must be registered, got 9; there are 1, 2"):
        registry.promote("9", by="Ann", why="?")


def test_a_tracking_server_is_a_registry(server, bundle, examples, tmp_path):
    _live(ModelRegistry(tmp_path / "models", "shop", server), bundle, examples)
    other = ModelRegistry(tmp_path / "another machine", "shop", server)
    assert other.load()[1] == "1"
    assert not (tmp_path / "models" / "mlflow.db").exists()


def test_a_run_on_a_server_holds_files_data_and_trials(server, bundle, tmp_path):
    from mlflow.tracking import MlflowClient

    contents = RunContents(
        name="train full: 700 labels", description="# card", files={"model_card.md": "# card"},
        data=[LoggedData("decisions", "d.parquet", "ab" * 32)],
        trials=pd.DataFrame({"num_leaves": [4, 8], "average_precision": [0.1, 0.2], "state": "complete"}),
        example={"decision_id": "example", "action": "remove"},
    )  # fmt: skip
    registry = ModelRegistry(tmp_path / "models", "full", server)
    registry.record(bundle, accept=True, champion="first", contents=contents, **LOG)
    client = MlflowClient(server, server)
    made = client.get_model_version("full", "1")
    assert made.description == "# card"
    run = client.get_run(made.run_id)
    assert run.info.run_name == "train full: 700 labels"
    assert [one.dataset.name for one in run.inputs.dataset_inputs] == ["decisions"]
    held = {one.path for one in client.list_artifacts(made.run_id)}
    assert {"model_card.md", "tables"} <= held
    query = f"tags.`mlflow.parentRunId` = '{made.run_id}'"
    nested = client.search_runs([run.info.experiment_id], query)
    assert sorted(one.data.metrics["average_precision"] for one in nested) == [0.1, 0.2]
    assert {one.info.status for one in nested} == {"FINISHED"}


def test_postgresql_is_a_registry(postgres_server, bundle, examples, tmp_path):
    uri = postgres_server.get_uri()
    assert uri.startswith("postgresql://")
    _live(ModelRegistry(tmp_path / "models", "pg", uri), bundle, examples)


def test_sqlite_elsewhere_is_a_registry(bundle, examples, tmp_path):
    uri = f"sqlite:///{tmp_path}/elsewhere.db"
    _live(ModelRegistry(tmp_path / "models", "shop", uri), bundle, examples)


def test_a_server_that_does_not_answer_is_one_sentence_without_its_password(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    remember_secrets(["hunter2hunter2"])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        uri = f"http://ana:hunter2hunter2@127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(ModelError, match=r"Check registry\.uri") as caught:
        ModelRegistry(tmp_path, "shop", uri).load()
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_mlflow_itself_finds_the_model_of_a_moved_registry(bundle, tmp_path):
    from mlflow.tracking import MlflowClient

    ModelRegistry(tmp_path / "old", "shop").record(bundle, accept=True, champion="first", **LOG)
    shutil.move(tmp_path / "old", tmp_path / "new")
    moved = ModelRegistry(tmp_path / "new", "shop")
    assert moved.load()[1] == "1"
    client = MlflowClient(moved.tracking_uri, moved.tracking_uri)
    place = client.get_model_version_download_uri("shop", "1")
    assert place.startswith((tmp_path / "new").as_uri())
    assert Path(place.removeprefix("file://")).is_dir()
