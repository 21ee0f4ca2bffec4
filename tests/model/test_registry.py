import dataclasses
import os
import shutil

import numpy as np
import pytest

from errdetect.errors import ModelError
from errdetect.model.bundle import HeldOutScores, ModelBundle, hash_ids, load_bundle, save_bundle
from errdetect.model.ensemble_members import FitOptions
from errdetect.model.gate import GateRules
from errdetect.model.registry import ModelRegistry
from errdetect.model.training import TrainingPlan, train_detector


@pytest.fixture(scope="module")
def bundle(examples) -> ModelBundle:
    trained = train_detector(
        examples.take(examples.decisions.index.to_numpy() < 700),
        TrainingPlan(budgets=[0.1], resamples=50, gate=GateRules(min_errors=1)),
        FitOptions(),
    )
    ids = hash_ids(examples.decisions["decision_id"])
    return ModelBundle(trained.detector, trained.calibrator, ids, {"actions": {"block": "enforce"}})


LOG = {
    "params": {"a": 1},
    "metrics": {"ap": 0.5, "nothing": float("nan")},
    "tags": {"gate": "validated", "gate_why": "it is better"},
    "champion": "it is better",
    "tables": {},
}


def test_nothing_registered_yet(tmp_path):
    with pytest.raises(
        ModelError, match=r"must hold a trained model, got none .* Run `errdetect train`"
    ):
        ModelRegistry(tmp_path, "m").load()


def test_only_accepted_models_are_registered(bundle, examples, tmp_path, capfd):
    registry = ModelRegistry(tmp_path / "models", "shop")
    assert registry.record(bundle, accept=False, **LOG) is None
    with pytest.raises(ModelError, match="none named 'shop'"):
        registry.load()
    for answer, said in (("unknown", "could not tell"), ("rejected", "was rejected by the gate")):
        tags = {"gate": answer, "gate_why": f"because it is {answer}"}
        assert registry.record(bundle, accept=False, **LOG | {"tags": tags}) is None
        with pytest.raises(
            ModelError, match=rf"none named 'shop' .*{said} .*\(because it is {answer}\)"
        ) as refused:
            registry.load()
        assert "plan-audit" in str(refused.value)
        assert "Then train again" in str(refused.value)
        with pytest.raises(
            ModelError, match=r"got none named 'sho' in .*train` with this config first"
        ):
            ModelRegistry(tmp_path / "models", "sho").load()
    assert registry.record(bundle, accept=True, **LOG) == "1"
    assert registry.record(bundle, accept=True, **LOG) == "2"
    back, version = registry.load()
    assert version == "2"
    head = examples.decisions.head(5)
    X = bundle.detector.features(head)
    assert back.probability(X, head).tolist() == bundle.probability(X, head).tolist()
    assert capfd.readouterr().out == ""


def test_a_later_model_waits_until_it_is_promoted(bundle, tmp_path):
    registry = ModelRegistry(tmp_path / "models", "shop")
    waiting = LOG | {"champion": None}
    assert registry.record(bundle, accept=True, **waiting) == "1"
    with pytest.raises(
        ModelError, match=r"must have a champion, got none .*: 1\)\. Run `errdetect promote`"
    ):
        registry.load()
    assert registry.find() is None
    assert registry.champion_version() is None
    first = registry.promote("1", by="Ann", why="it is the first")
    assert (first.version, first.before, first.by) == ("1", None, "Ann")
    assert registry.load()[1] == "1"
    assert registry.challenger_version() is None
    assert registry.record(bundle, accept=True, **waiting) == "2"
    assert (registry.load()[1], registry.challenger_version()) == ("1", "2")
    assert registry.load("2")[1] == "2"
    registry.promote("2", by="Bo", why="better")
    registry.promote("1", by="Ann", why="back")
    assert [(c.version, c.before, c.by) for c in registry.history()] == [
        ("1", None, "Ann"),
        ("2", "1", "Bo"),
        ("1", "2", "Ann"),
    ]
    with pytest.raises(ModelError, match=r"must be registered, got 9; there are 1, 2"):
        registry.promote("9", by="Ann", why="?")
    assert len(registry.history()) == 3


def test_a_version_carries_the_gate_s_reasons(bundle, tmp_path):
    registry = ModelRegistry(tmp_path / "models", "shop")
    registry.record(bundle, accept=True, **LOG)
    from mlflow.tracking import MlflowClient

    client = MlflowClient(registry.tracking_uri, registry.tracking_uri)
    assert client.get_model_version("shop", "1").tags == LOG["tags"]


def test_held_out_scores_come_back_with_the_bundle(bundle, examples, tmp_path):
    head = examples.decisions.head(40)
    scores = HeldOutScores.of(head, np.linspace(0, 1, 40))
    save_bundle(dataclasses.replace(bundle, held_out=scores), tmp_path)
    back = load_bundle(tmp_path).held_out
    assert back.find(head["decision_id"]).tolist() == np.linspace(0, 1, 40).tolist()
    assert np.isnan(back.find(examples.decisions["decision_id"].tail(3))).all()
    assert back.start == head["decided_at"].iloc[0].isoformat()


def test_mlflow_serves_no_model_without_its_state_and_nothing_is_pickled(bundle, tmp_path):
    import mlflow

    registry = ModelRegistry(tmp_path / "models", "shop")
    registry.record(bundle, accept=True, **LOG)
    mlflow.set_tracking_uri(registry.tracking_uri)
    mlflow.set_registry_uri(registry.tracking_uri)
    with pytest.raises(ModelError, match="must hold what a served model needs"):
        mlflow.pyfunc.load_model("models:/shop@champion", model_config={"state": str(tmp_path)})
    stored = {p.suffix for p in (tmp_path / "models" / "artifacts").rglob("*") if p.is_file()}
    assert not stored & {".pkl", ".pickle", ".joblib", ".cloudpickle"}


def test_a_registry_that_was_moved_or_copied_scores_and_trains_where_it_is(bundle, tmp_path):
    ModelRegistry(tmp_path / "old", "shop").record(bundle, accept=True, **LOG)
    shutil.copytree(tmp_path / "old", tmp_path / "copy")
    shutil.move(tmp_path / "old", tmp_path / "gone")
    copy = ModelRegistry(tmp_path / "copy", "shop")
    assert copy.load()[1] == "1"
    assert copy.record(bundle, accept=True, **LOG) == "2"
    assert copy.load()[1] == "2"
    assert not (tmp_path / "old").exists(), "nothing is written where it once was"
    assert (
        copy.champion_version()[1] == ModelRegistry(tmp_path / "gone", "shop").champion_version()[1]
    )


def test_a_registry_without_its_files_says_so(bundle, tmp_path):
    ModelRegistry(tmp_path / "old", "shop").record(bundle, accept=True, **LOG)
    shutil.rmtree(tmp_path / "old" / "artifacts")
    with pytest.raises(
        ModelError, match=r"must hold the files of its models, got no files of vers"
    ):
        ModelRegistry(tmp_path / "old", "shop").load()


def test_training_inside_another_s_run_makes_a_run_of_its_own(bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "theirs")
    registry = ModelRegistry(tmp_path / "models", "shop")
    assert registry.record(bundle, accept=True, **LOG) == "1"
    assert registry.load()[1] == "1"
    assert os.environ["MLFLOW_RUN_ID"] == "0" * 32


@pytest.mark.parametrize("name", ["what? is #1 100%41", "a'b;c&d → [x]*"])
def test_a_registry_in_a_folder_of_any_name(bundle, tmp_path, name):
    home = tmp_path / name
    registry = ModelRegistry(home / "models", "shop")
    assert registry.record(bundle, accept=True, **LOG) == "1"
    assert registry.load()[1] == "1"
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert sorted(p.name for p in (home / "models").iterdir()) == ["artifacts", "mlflow.db"]


def test_settings_of_another_mlflow_play_no_part(bundle, tmp_path, monkeypatch):
    theirs = {
        "MLFLOW_TRACKING_URI": "http://localhost:1", "MLFLOW_REGISTRY_URI": "http://localhost:1",
        "MLFLOW_RUN_ID": "0" * 32, "MLFLOW_EXPERIMENT_ID": "77", "MLFLOW_TRACKING_TOKEN": "t",
        "MLFLOW_ARTIFACT_URI": "s3://no", "MLFLOW_ACTIVE_MODEL_ID": "m-0",
    }  # fmt: skip
    for name, value in theirs.items():
        monkeypatch.setenv(name, value)
    registry = ModelRegistry(tmp_path / "models", "shop")
    assert registry.record(bundle, accept=True, **LOG) == "1"
    assert {name: os.environ[name] for name in theirs} == theirs


def _damage(database):
    held = database.read_bytes()
    yield "noise", b"\x00garbage" * 1000
    yield "cut", held[: len(held) // 2]
    yield "overwritten", held[:4096] + b"\xff" * (len(held) - 4096)
    yield "text", b"not a database, but long enough to be one" * 10


def test_a_damaged_database_is_one_sentence(bundle, tmp_path):
    ModelRegistry(tmp_path / "models", "shop").record(bundle, accept=True, **LOG)
    database = tmp_path / "models" / "mlflow.db"
    for what, content in _damage(database):
        database.write_bytes(content)
        registry = ModelRegistry(tmp_path / "models", "shop")
        for use in (registry.load, lambda r=registry: r.record(bundle, accept=True, **LOG)):
            with pytest.raises(ModelError, match="must be MLflow's, got") as caught:
                use()
            assert "\n" not in str(caught.value), what


def test_a_killed_training_leaves_no_running_run_and_no_half_database(bundle, tmp_path):
    import mlflow

    models = tmp_path / "models"
    models.mkdir()
    (models / ".errdetect-0123456789abcdef.tmp").write_bytes(b"SQLite format 3\0 half")
    registry = ModelRegistry(models, "shop")
    assert registry.record(bundle, accept=True, **LOG) == "1"
    client = mlflow.tracking.MlflowClient(registry.tracking_uri, registry.tracking_uri)
    experiment = client.get_experiment_by_name("shop").experiment_id
    dead = client.create_run(experiment, run_name="train").info.run_id
    other = client.create_run(experiment, run_name="somebody's own").info.run_id
    assert registry.record(bundle, accept=False, **LOG) is None
    assert client.get_run(dead).info.status == "KILLED"
    assert client.get_run(other).info.status == "RUNNING"
    assert sorted(p.name for p in models.iterdir()) == ["artifacts", "mlflow.db"]


def test_a_registry_that_cannot_be_written_is_read_and_says_so(bundle, tmp_path, monkeypatch):
    registry = ModelRegistry(tmp_path / "models", "shop")
    registry.record(bundle, accept=True, **LOG)

    def refuse(self, *_, **__):
        raise OSError(30, "Read-only file system", str(self))

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    assert registry.load()[1] == "1"
    with pytest.raises(ModelError, match="Read-only file system"):
        registry.record(bundle, accept=True, **LOG)
