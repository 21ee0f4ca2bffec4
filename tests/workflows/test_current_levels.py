"""Scoring follows the level of P(error) by the designed reviews since the training."""

import numpy as np
import pandas as pd
import pytest

from errdetect.config import load_config
from errdetect.model import training
from errdetect.model.gate import GateResult
from errdetect.workflows.report import report
from errdetect.workflows.score import score
from errdetect.workflows.train import train


def accept(*_, **__):
    """Stand in for the gate, which few labels cannot pass; what it says is not tested here."""
    return GateResult("validated", "a test")


@pytest.fixture(scope="module")
def moved(market, tmp_path_factory):
    """A model trained at three quarters of the time; after that, allowed decisions go wrong often."""
    folder = tmp_path_factory.mktemp("moved")
    log, reviews = (pd.read_parquet(market / f"{n}.parquet") for n in ("decisions", "reviews"))
    cut = log["decided_at"].quantile(0.75)
    later = log.loc[log["decided_at"] > cut, ["decision_id", "action"]]
    allowed = later.loc[later["action"] == "approve", "decision_id"]
    rng = np.random.default_rng(0)
    drawn = (reviews["source"] == "audit") & reviews["decision_id"].isin(allowed)
    turned = drawn & (rng.random(len(reviews)) < 0.5)
    reviews.loc[turned, "verdict"] = "overturned"
    log.to_parquet(folder / "decisions.parquet", index=False)
    reviews.to_parquet(folder / "reviews.parquet", index=False)
    (folder / "policies.yaml").write_bytes((market / "policies.yaml").read_bytes())
    text = (market / "config.yaml").read_text(encoding="utf-8")
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    settings = ["train.trials=0", "evaluate.bootstrap=60"]
    early = load_config(folder / "config.yaml", [*settings, f"labels.as_of={cut.isoformat()}"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "apply_gate", accept)
        train(early)
    return load_config(folder / "config.yaml", settings), folder, cut


def scores(config, folder, name):
    batch = pd.read_parquet(folder / "decisions.parquet").tail(600)
    batch = batch.assign(decision_id="new " + batch["decision_id"])
    batch.to_parquet(folder / "batch.parquet", index=False)
    return score(config, folder / "batch.parquet", folder / name)


def test_scores_follow_the_reviews_since_the_training(moved):
    config, folder, cut = moved
    before = load_config(folder / "config.yaml", [f"labels.as_of={cut.isoformat()}"])
    old, new = scores(before, folder, "old"), scores(config, folder, "new")
    assert "levels" not in old.files
    levels = pd.read_parquet(new.files["levels"]).set_index("segment")
    assert levels.loc["allowed", "moved"]
    assert levels.loc["allowed", "observed"] > levels.loc["allowed", "trained"] + 0.1
    assert any("level has moved" in note and "allowed" in note for note in new.notes)
    both = old.scores.merge(new.scores, on="decision_id", suffixes=("_old", "_new"))
    allowed = both["error_kind_old"] == "missed_violation"
    assert (both["p_error_new"] > both["p_error_old"] + 1e-6)[allowed].all()


def test_the_trained_level_is_kept_if_asked(moved):
    _config, folder, cut = moved
    before = load_config(folder / "config.yaml", [f"labels.as_of={cut.isoformat()}"])
    kept = load_config(folder / "config.yaml", ["score.follow_levels=false"])
    old, new = scores(before, folder, "kept_old"), scores(kept, folder, "kept_new")
    assert "levels" not in new.files
    both = old.scores.merge(new.scores, on="decision_id")
    np.testing.assert_allclose(both["p_error_x"], both["p_error_y"], atol=1e-12)


def test_reasons_add_up_to_the_scores_that_were_served(moved):
    config, folder, _ = moved
    result = scores(config, folder, "reasons")
    rows = result.explanations.merge(result.scores, on="decision_id")
    assert len(rows) > 10
    served = np.log(rows["p_error"] / (1 - rows["p_error"]))
    np.testing.assert_allclose(rows["log_odds"], served, atol=1e-6)


def test_the_report_follows_the_level_and_says_which_it_shows(moved):
    config, folder, _ = moved
    at = pd.Timestamp(pd.read_parquet(folder / "decisions.parquet")["decided_at"].max())
    at = at.to_pydatetime()
    new = report(config, folder / "report_new", generated_at=at)
    kept = load_config(folder / "config.yaml", ["score.follow_levels=false"])
    old = report(kept, folder / "report_old", generated_at=at)
    pages = [r.files["report"].read_text(encoding="utf-8") for r in (old, new)]
    assert "Shown as trained. Scores in this report" not in pages[0]
    assert "Shown as trained. Scores in this report, and of the score command, follow" in pages[1]
    assert not any("level has moved" in note for note in old.notes)
    assert any("level has moved" in note for note in new.notes)
    heads = [
        pd.read_parquet(folder / f"report_{n}/tables/queue_head.parquet") for n in ("old", "new")
    ]
    both = heads[0].merge(heads[1], on="decision_id")
    allowed = both["error_kind_x"] == "missed_violation"
    assert allowed.any()
    assert (both["p_error_y"] > both["p_error_x"])[allowed].all()
