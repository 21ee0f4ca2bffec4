"""A score leads back to what made it, and a second version scores beside the champion."""

import shutil

import pandas as pd
import pytest

from errdetect.config import load_config
from errdetect.errors import DataError, ModelError
from errdetect.workflows.result_summaries import summary_text
from errdetect.workflows.run_description import open_registry
from errdetect.workflows.score import score
from errdetect.workflows.trace import trace

LOG = {"params": {}, "metrics": {}, "tags": {}, "tables": {}}


@pytest.fixture(scope="module")
def place(market, trained, config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("traced")
    shutil.copytree(config.path(config.registry.path), folder / "models")
    keys = [f"registry.path={folder / 'models'}", f"ledger.url=sqlite:///{folder}/ledger.db"]
    return load_config(market / "config.yaml", keys)


@pytest.fixture(scope="module")
def batch(market, tmp_path_factory):
    """The last 600 decisions."""
    path = tmp_path_factory.mktemp("batch") / "batch.parquet"
    pd.read_parquet(market / "decisions.parquet").tail(600).to_parquet(path)
    return path


@pytest.fixture(scope="module")
def scored(place, batch, tmp_path_factory):
    registry = open_registry(place)
    registry.record(registry.load("1")[0], accept=True, **LOG)
    out = tmp_path_factory.mktemp("scored")
    return score(place, batch, out, budget=30, also="challenger")


def test_a_queued_decision_leads_to_its_run_model_and_data(place, scored):
    decision = scored.queue["decision_id"].iloc[0]
    steps = {step.what: step for step in trace(place, decision).steps}
    assert steps["decision"].facts["run_id"] == scored.run_id
    assert steps["run"].id == scored.run_id
    model = steps["model"]
    assert model.id == scored.model_version == "1"
    assert model.facts["gate answer"] == "validated"
    assert model.facts["files sha256"] == open_registry(place).champion_version()[1]
    assert any(name.startswith("data reviews") for name in model.facts)
    assert any(name.startswith("champion at") for name in model.facts)
    assert f"decision {decision}" in summary_text(trace(place, decision))


def test_what_the_ledger_does_not_have_is_left_out(place, scored):
    rows = scored.scores
    decision = rows.loc[rows["arm"].isna(), "decision_id"].iloc[0]
    (step,) = (one for one in trace(place, decision).steps if one.what == "decision")
    assert "arm" not in step.facts
    assert "nan" not in summary_text(trace(place, decision)).lower().split()


def test_an_output_a_run_and_a_version_are_traced(place, scored):
    folder = scored.files["queue"].parent
    first = trace(place, str(folder)).steps
    assert [s.what for s in first] == ["output", "model"]
    assert first[0].facts["config sha256"].endswith("(as it is)")
    assert [s.what for s in trace(place, str(scored.files["queue"])).steps] == ["output", "model"]
    assert [s.what for s in trace(place, scored.run_id).steps] == ["run", "model"]
    assert [s.id for s in trace(place, "2").steps] == ["2"]
    with pytest.raises(DataError, match="must be the id of a decision, review, run, model"):
        trace(place, "nothing")


def test_the_challenger_scores_beside_the_champion(place, scored, batch, tmp_path):
    shadow = pd.read_parquet(scored.files["shadow_scores"])
    assert set(shadow["model_version"]) == {"2"}
    both = scored.scores.merge(shadow, on="decision_id", validate="1:1")
    assert len(both) == 600
    assert (both["model_version_x"] == "1").all()
    alone = score(place, batch, tmp_path, budget=30)
    assert "shadow_scores" not in alone.files
    assert alone.run_id == scored.run_id, "the queue does not depend on it"
    with pytest.raises(ModelError, match=r"trained model, got none named .* of version 9"):
        score(place, batch, tmp_path / "x", also="9")
