"""Challenger and champion: who becomes which, with what evidence."""

import dataclasses
import json
import shutil
import time

import numpy as np
import pandas as pd
import pytest

from errdetect.config import load_config
from errdetect.errors import ModelError
from errdetect.model.registry import ModelRegistry
from errdetect.workflows.champion import champion_on
from errdetect.workflows.load_data import load_snapshot
from errdetect.workflows.promote import promote
from errdetect.workflows.result_summaries import summary_text
from errdetect.workflows.run_description import open_registry
from errdetect.workflows.score import score
from errdetect.workflows.train import label_examples

LOG = {"params": {}, "metrics": {}, "tags": {"gate": "validated"}, "tables": {}}


@pytest.fixture
def place(market, trained, config, tmp_path):
    """A registry with the trained model as champion, version 1."""
    assert trained.champion == trained.version == "1"
    assert trained.gate["passed"].all()
    shutil.copytree(config.path(config.registry.path), tmp_path / "models")
    return load_config(
        market / "config.yaml",
        [f"registry.path={tmp_path / 'models'}", "queue.record=false"],
    )


def challenge(config, market, mix: float, *, met: str | None = "1") -> ModelRegistry:
    """Register a version whose held-out scores are the truth, mixed with what the champion said."""
    registry = open_registry(config)
    bundle, _ = registry.load("1")
    reviews = pd.read_parquet(market / "reviews.parquet")
    wrong = reviews[reviews["verdict"] != "upheld"]["decision_id"]
    decisions = pd.read_parquet(market / "decisions.parquet")["decision_id"]
    held = bundle.held_out
    found = pd.Series(held.find(decisions), index=decisions).dropna()
    truth = found.index.isin(set(wrong)).astype(float)
    scores = mix * truth + (1 - mix) * found.to_numpy()
    if mix < 0:
        scores = np.random.default_rng(0).permutation(found.to_numpy())
    frame = pd.DataFrame({"decision_id": found.index, "decided_at": pd.Timestamp(held.start)})
    gate = {"answer": "validated", "why": "as it was", "champion": met, "checks": []}
    made = dataclasses.replace(
        bundle,
        held_out=type(held).of(frame, np.clip(scores, 0.001, 0.999)),
        about={**bundle.about, "gate": gate},
    )
    registry.record(made, accept=True, **LOG)
    return registry


def test_a_better_challenger_becomes_champion_and_everything_is_noted(place, market):
    registry = challenge(place, market, -1)
    registry.promote("2", by="Bo", why="a mistake")
    challenge(place, market, 0.9, met="1")
    assert registry.champion_version()[0] == "2"
    result = promote(place, by="Ana")
    assert (result.answer, result.version, result.before) == ("promoted", "3", "2")
    assert registry.champion_version()[0] == "3"
    lead = result.comparison.set_index("measure").loc["average_precision"]
    assert lead["low"] > 0
    said = summary_text(result)
    assert "On the same" in said
    assert "Version 2: " in said
    assert " microseconds" in said
    assert "seconds per million decisions" in said
    assert "calibration error" in said
    assert "Version 3 is now the champion, after version 2" in said
    evidence = json.loads(result.evidence.read_text(encoding="utf-8"))
    assert evidence["change"]["by"] == "Ana"
    assert evidence["comparison"][0]["measure"] == "average_precision"
    assert set(evidence["models"]) == {"2", "3"}
    assert evidence["models"]["2"]["gate"]["answer"] == "validated"


def test_one_that_is_clearly_worse_by_now_is_refused(place, market):
    registry = challenge(place, market, -1)
    result = promote(place)
    assert result.answer == "refused"
    assert registry.champion_version()[0] == "1"
    assert len(registry.history()) == 1
    assert "Refused: " in summary_text(result)
    assert json.loads(result.evidence.read_text(encoding="utf-8"))["answer"] == "refused"


def test_the_gate_counts_only_against_the_champion_that_it_met(place, market):
    challenge(place, market, 0.0, met="7")  # an equal model: nothing shows that it is better
    assert promote(place).answer == "refused"
    challenge(place, market, 0.0, met="1")
    assert promote(place).answer == "promoted"


def test_back_within_seconds_to_any_earlier_champion(place, market):
    for _ in range(2):
        challenge(place, market, 0.0)
        registry = open_registry(place)
        registry.promote(registry.challenger_version(), by="Ana", why="test")
    began = time.perf_counter()
    result = promote(place, rollback=True, by="Bo")
    assert time.perf_counter() - began < 5
    assert (result.answer, result.version, result.before) == ("rolled back", "2", "3")
    assert promote(place, rollback=True).version == "3", "back again"
    assert promote(place, rollback=True, version="1").version == "1"
    with pytest.raises(ModelError, match=r"earlier champion, got 9; earlier champions: 2, 3"):
        promote(place, rollback=True, version="9")
    history = promote(place, history=True)
    assert history.history["version"].tolist() == ["1", "2", "3", "2", "3", "1"]
    assert history.evidence is None
    assert "by Bo: rolled back from version 3" in summary_text(history)


def test_a_damaged_version_does_not_come_back(place, market):
    registry = challenge(place, market, 0.0)
    (about,) = registry.model_folder().rglob("about.json")  # of version 1
    registry.promote("2", by="Ana", why="test")
    whole = about.read_bytes()
    about.write_bytes(whole.rstrip(b"}\n") + b" }")
    with pytest.raises(ModelError, match=r"about\.json must be as errdetect wrote it"):
        promote(place, rollback=True)
    assert registry.champion_version()[0] == "2"
    assert len(registry.history()) == 2
    about.write_bytes(whole)
    assert promote(place, rollback=True).version == "1"


def test_without_a_challenger_it_says_what_to_do(place, market, tmp_path):
    with pytest.raises(
        ModelError, match=r"must have a challenger, got none .*Run `errdetect train`"
    ):
        promote(place)
    with pytest.raises(ModelError, match="must not be the champion already, got 1"):
        promote(place, version="1")
    with pytest.raises(ModelError, match="go to an earlier champion"):
        promote(place, rollback=True)


def test_the_champion_is_scored_by_what_did_not_learn_from_a_decision(place):
    bundle, _ = open_registry(place).load("1")
    snapshot = load_snapshot(place, progress=lambda _: None).snapshot
    order = snapshot.decisions.sort_values("decided_at", kind="stable", ignore_index=True)
    snapshot = snapshot.with_columns(order)
    examples = label_examples(snapshot)
    kept = bundle.held_out.find(examples.decisions["decision_id"])
    held = ~np.isnan(kept)
    assert 100 < held.sum() < len(held) / 2
    late = champion_on(bundle, "1", snapshot, examples.take(held))
    assert late.unseen.all()
    assert late.p.tolist() == kept[held].tolist()
    last = held & (np.cumsum(held) > 0.75 * held.sum())
    newer = champion_on(
        bundle, "1", snapshot, examples.take(last)
    )  # a challenger that learned more
    assert not newer.unseen.any()
    strange = examples.decisions.tail(5).assign(decision_id=[f"new{i}" for i in range(5)])
    fresh = champion_on(
        bundle, "1", snapshot, dataclasses.replace(examples.take(np.arange(5)), decisions=strange)
    )
    assert fresh.unseen.all()


def test_training_says_who_scores(trained):
    assert "Version 1 is now the champion" in summary_text(trained)
    waits = summary_text(dataclasses.replace(trained, version="2"))
    assert "It waits as challenger; version 1 stays the champion until `errdetect promote`" in waits
    failed = dataclasses.replace(trained, version=None, answer="rejected", why="noise")
    assert "Gate: rejected: noise. Not registered; version 1 stays the champion." in summary_text(
        failed
    )


def test_scoring_without_a_champion_says_how_to_promote(place, market, trained, tmp_path):
    bundle, _ = open_registry(place).load()
    bare = place.model_copy(
        update={"registry": place.registry.model_copy(update={"name": "other"})}
    )
    open_registry(bare).record(bundle, accept=True, **LOG)
    with pytest.raises(ModelError, match=r"registered versions: 1\). Run `errdetect promote`"):
        score(bare, market / "decisions.parquet", tmp_path / "out")
    assert promote(bare).answer == "promoted"
    assert open_registry(bare).load()[1] == "1"
