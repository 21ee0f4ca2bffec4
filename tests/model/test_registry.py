import os
import shutil

import pandas as pd
import pytest

from errdetect.errors import ModelError
from errdetect.model.bundle import ModelBundle, hash_ids
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
    "tags": {"gate": "validated"},
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
    assert registry.record(bundle, accept=True, **LOG) == "1"
    assert registry.record(bundle, accept=True, **LOG) == "2"
    back, version = registry.load()
    assert version == "2"
    head = examples.decisions.head(5)
    X = bundle.detector.features(head)
    assert back.probability(X, head).tolist() == bundle.probability(X, head).tolist()
    assert capfd.readouterr().out == ""


def test_mlflow_serves_it(bundle, examples, tmp_path):
    import mlflow

    registry = ModelRegistry(tmp_path / "models", "shop")
    registry.record(bundle, accept=True, **LOG)
    mlflow.set_tracking_uri(registry.tracking_uri)
    mlflow.set_registry_uri(registry.tracking_uri)
    served = mlflow.pyfunc.load_model("models:/shop@champion")
    frame = examples.decisions.head(20).drop(columns="enforced")
    head = examples.decisions.head(20)
    expected = bundle.probability(bundle.detector.features(head), head)
    assert served.predict(frame)["p_error"].tolist() == pytest.approx(expected.tolist())
    with pytest.raises(Exception, match="must have the column 'action'"):
        served.predict(pd.DataFrame({"score": [0.5]}))
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
