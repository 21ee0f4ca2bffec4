"""What a training's run holds, and that its config gives the same model again."""

import hashlib
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from errdetect.config import load_config
from errdetect.errors import ConfigError
from errdetect.model.registry import ModelRegistry
from errdetect.model.run_contents import RunContents
from errdetect.workflows.run_description import open_registry
from errdetect.workflows.train import train
from errdetect.workflows.training_run import model_card


@pytest.fixture(scope="module")
def run(trained, config):
    """The run of the session's training, and its client."""
    from mlflow.tracking import MlflowClient

    uri = open_registry(config).tracking_uri
    client = MlflowClient(uri, uri)
    return client.get_run(client.get_model_version("errdetect", trained.version).run_id), client


@pytest.fixture(scope="module")
def files(run, tmp_path_factory):
    import mlflow

    place = tmp_path_factory.mktemp("run")
    uri = run[1].tracking_uri
    mlflow.set_tracking_uri(uri)
    found = mlflow.artifacts.download_artifacts(run_id=run[0].info.run_id, dst_path=str(place))
    return Path(found)


def test_a_run_says_what_it_is_and_where_it_comes_from(run, trained, config):
    held, client = run
    tags = held.data.tags
    assert held.info.run_name.startswith("train errdetect: ")
    for name in ("code_sha256", "config_sha256", "data_sha256"):
        assert len(tags[name]) == 64, name
    assert tags["labels"] in held.info.run_name.replace(",", "")
    assert tags["as_of"] >= tags["decided_to"] > tags["decided_from"]
    names = {one.dataset.name for one in held.inputs.dataset_inputs}
    assert {"decisions", "reviews"} <= names
    made = client.get_model_version("errdetect", trained.version)
    assert made.tags["data_sha256"] == tags["data_sha256"]
    assert made.description.startswith("# Model card")


def test_every_metric_has_its_interval(run, trained):
    metrics = run[0].data.metrics
    for row in trained.evaluation.dropna().to_dict("records"):
        name = f"{row['method'].replace(' ', '_')}.{row['measure']}"
        found = [metrics[name], metrics[f"{name}.low"], metrics[f"{name}.high"]]
        assert found == [row["value"], row["low"], row["high"]]


def test_files_plots_and_trials_are_there(run, files, trained):
    held, client = run
    for name in ("recall_by_budget", "reliability", "drivers", "tuning_history"):
        assert (files / "plots" / f"{name}.png").read_bytes().startswith(b"\x89PNG"), name
    card = (files / "model_card.md").read_text()
    for word in ("labelled decisions", "per million decisions", "## Groups", "average_precision"):
        assert word in card
    trials = pd.read_csv(files / "tables" / "trials.csv")
    query = f"tags.`mlflow.parentRunId` = '{held.info.run_id}'"
    nested = client.search_runs([held.info.experiment_id], query)
    assert len(nested) == len(trials) == 2
    best = max(one.data.metrics["average_precision"] for one in nested)
    assert best == pytest.approx(trials["average_precision"].max())


def test_signature_and_example_show_the_log_s_columns_and_nobody_s_content(trained, config, market):
    import mlflow

    uri = open_registry(config).tracking_uri
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    info = mlflow.models.get_model_info("models:/errdetect@champion")
    columns = pd.read_parquet(market / "decisions.parquet").columns
    assert set(info.signature.inputs.input_names()) == set(columns)
    assert "p_error" in info.signature.outputs.input_names()
    held = json.loads((_model(open_registry(config), "1") / "input_example.json").read_text())
    row = dict(zip(held["columns"], held["data"][0], strict=True))
    assert {row[name] for name in ("decision_id", "item_id", "account_id", "text")} == {"example"}
    assert row["policy_id"] in set(pd.read_parquet(market / "decisions.parquet")["policy_id"])


def test_the_logged_config_on_the_same_data_gives_the_same_model_to_the_byte(
    files, trained, config, market, tmp_path
):
    for name in ("decisions.parquet", "reviews.parquet", "policies.yaml"):
        shutil.copy(market / name, tmp_path / name)
    shutil.copy(files / "config.yaml", tmp_path / "config.yaml")
    again = load_config(tmp_path / "config.yaml")
    assert again.train.trials == 1, "overrides of the command line are in it"
    result = train(again)
    assert result.version == "1"
    one, other = (_digests(open_registry(c), "1") for c in (config, again))
    volatile = {"about.json", "parts.json"}
    assert set(one) == set(other) > volatile
    assert [name for name in one if one[name] != other[name] and name not in volatile] == []


def _model(registry, version):
    """The folder of a version."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(registry.tracking_uri, registry.tracking_uri)
    place = client.get_model_version_download_uri(registry.name, version)
    return Path(place.removeprefix("file://"))


def _digests(registry, version):
    folder = next(_model(registry, version).rglob("bundle"))
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def test_a_logged_config_holds_no_password(market, config):
    from errdetect.workflows.run_description import resolved_config

    secret = "postgresql://ana:s3cretword@db.example/mlflow"
    other = load_config(market / "config.yaml", [f"registry.uri={secret}"])
    assert "s3cretword" not in yaml.safe_dump(resolved_config(other))
    assert "s3cretword" not in open_registry(other).shown


def test_an_address_as_registry_path_points_to_registry_uri(market):
    with pytest.raises(ConfigError, match=r"registry\.path.*goes into registry\.uri"):
        load_config(market / "config.yaml", ["registry.path=http://localhost:5000"])
    with pytest.raises(ConfigError, match=r"registry\.uri.*must begin with http"):
        load_config(market / "config.yaml", ["registry.uri=ftp://host"])


def test_an_unset_variable_in_the_address_is_refused(market, monkeypatch):
    monkeypatch.delenv("NO_SUCH_SERVER", raising=False)
    for value in ("${NO_SUCH_SERVER}", "http://${NO_SUCH_SERVER}:5000"):
        with pytest.raises(
            ConfigError, match=r"registry\.uri: the environment variable NO_SUCH_SERVER"
        ):
            load_config(market / "config.yaml", [f"registry.uri={value}"])
    monkeypatch.setenv("NO_SUCH_SERVER", "http://h:5000")
    assert load_config(
        market / "config.yaml", ["registry.uri=${NO_SUCH_SERVER}"]
    ).registry_uri() == ("http://h:5000")


def test_two_trainings_at_once_both_get_a_version(trained, config, tmp_path):
    bundle, _ = open_registry(config).load()
    what = {
        "params": {},
        "metrics": {},
        "tags": {"gate": "validated"},
        "tables": {},
        "champion": None,
    }

    def record(number):
        contents = RunContents(name=f"run {number}", files={"a.txt": str(number)})
        registry = ModelRegistry(tmp_path / "models", "shop")
        return registry.record(bundle, accept=True, contents=contents, **what)

    processes = [_recording(tmp_path, config) for _ in range(2)]
    assert sorted(process.wait(900) for process in processes) == [0, 0]
    registry = ModelRegistry(tmp_path / "models", "shop")
    assert registry.has("1")
    assert registry.has("2")
    assert registry.challenger_version() == "2"
    assert record(3) == "3"


def _recording(tmp_path, config):
    """Start a process that registers the champion's model anew."""
    import subprocess
    import sys

    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from errdetect.model.registry import ModelRegistry\n"
        "bundle, _ = ModelRegistry(Path(sys.argv[1]), 'errdetect').load()\n"
        "ModelRegistry(Path(sys.argv[2]), 'shop').record(bundle, accept=True, params={}, metrics={},\n"
        "    tags={'gate': 'validated'}, tables={})\n"
    )
    place = str(config.path(config.registry.path))
    return subprocess.Popen([sys.executable, "-c", code, place, str(tmp_path / "models")])


def test_names_in_a_model_card_are_data():
    about = {
        "labels": 1, "errors": 0, "decided_from": "2026-01-01", "decided_to": "2026-01-02", "counts": {},
        "gate": {"answer": "unknown", "why": "few\n# no heading"}, "price_microseconds": 3.5, "notes": [],
        "evaluation": [], "segments": [{"segment": "a|b", "level": "x\ny", "value": None, "low": None,
                                        "high": None}],
    }  # fmt: skip
    card = model_card(about)
    assert "3.5 seconds of one processor per million" in card
    assert "| a/b | x y | unknown | unknown | unknown |" in card
    assert "\n# no heading" not in card
