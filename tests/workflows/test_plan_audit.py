import pandas as pd
import pytest

from errdetect.config import load_config
from errdetect.config_schema import AuditSettings, LedgerSettings
from errdetect.errors import ConfigError, ErrdetectError
from errdetect.ledger.ledger import open_ledger
from errdetect.workflows.plan_audit import plan_audit
from errdetect.workflows.result_summaries import summary_text


def own_ledger(folder):
    return LedgerSettings(url=f"sqlite:///{folder}/ledger.db")


def test_a_budget_is_drawn_with_stated_chances(config, trained, market, tmp_path):
    config = config.model_copy(update={"ledger": own_ledger(tmp_path)})
    result = plan_audit(config, tmp_path / "once", budget=400, by=["market"], seed=0)
    drawn = pd.read_parquet(result.files["audit"])
    assert len(drawn) == 400
    assert drawn["decision_id"].is_unique
    assert drawn["inclusion_probability"].between(0, 1, inclusive="right").all()
    assert drawn["inclusion_probability"].nunique() > 10
    assert (1 / drawn["inclusion_probability"]).sum() == pytest.approx(12_000, rel=0.15)
    whole = result.expected.iloc[0]
    assert whole["limit"] <= whole["half_width"] < whole["uniform"]
    assert "400 reviews" in summary_text(result)
    again = plan_audit(config, tmp_path / "again", budget=400, by=["market"], seed=0)
    for name in ("audit", "expected", "frame", "intake"):
        assert again.files[name].read_bytes() == result.files[name].read_bytes()
    assert again.receipt == result.receipt
    assert any("the ledger has this very draw already" in note for note in again.notes)
    with open_ledger(config.ledger_url()) as ledger:
        assert len(ledger.audits()) == 1
    other = plan_audit(config, tmp_path / "other", budget=400, by=["market"])
    assert set(other.audit["decision_id"]) != set(drawn["decision_id"])
    assert other.receipt["seed"]["source"] == "drawn from the operating system"


def test_a_wanted_width_is_reached_without_a_model(market, tmp_path):
    keys = [f"registry.path={tmp_path / 'none'}", "audit.record=false"]
    bare = load_config(market / "config.yaml", keys)
    result = plan_audit(bare, tmp_path / "out", half_width=0.02)
    assert result.expected.iloc[0]["half_width"] <= 0.02
    assert (
        result.notes[0]
        == "no model is registered, so every decision has the same inclusion probability"
    )
    assert "golden items show that reviewers call" in result.notes[1]
    chances = pd.read_parquet(result.files["audit"])["inclusion_probability"]
    assert chances.min() == chances.max()


@pytest.mark.parametrize("adjudicated", [True, False])
def test_without_golden_items_the_plan_says_why_most_are_to_be_errors(
    market, tmp_path, adjudicated
):
    reviews = pd.read_parquet(market / "reviews.parquet")
    reviews[reviews["source"] != "golden"].to_parquet(tmp_path / "reviews.parquet")
    keys = [
        f"data.reviews={tmp_path / 'reviews.parquet'}", f"registry.path={tmp_path / 'none'}",
        "audit.record=false", f"audit.adjudicate_flags={str(adjudicated).lower()}",
    ]  # fmt: skip
    bare = load_config(market / "config.yaml", keys)
    told = summary_text(plan_audit(bare, tmp_path / "out", budget=100))
    why = (
        "golden items are to be errors because an expert settles every flag, so only missed errors"
    )
    assert (why in told) == adjudicated


def test_wishes_that_cannot_be_met(config, trained, tmp_path):
    with pytest.raises(ConfigError, match="--by must name columns of the decisions, got colour"):
        plan_audit(config, tmp_path, budget=10, by=["colour"])
    for wishes in ({}, {"budget": 10, "half_width": 0.1}, {"half_width": -0.1}):
        with pytest.raises(ErrdetectError):
            plan_audit(config, tmp_path / "x", **wishes)
    assert not (tmp_path / "x").exists()


def test_the_planned_audit_estimates_the_truth(config, trained, market, tmp_path):
    """Judged by the truth, the drawn decisions give back the marketplace's error rate."""
    from errdetect.data.table_reading import read_decisions
    from errdetect.estimation.error_rates import estimate_rates
    from errdetect.snapshot import Snapshot

    truth = pd.read_parquet(market / "truth.parquet").set_index("decision_id")["is_error"]
    decisions = read_decisions(market / "decisions.parquet").frame
    config = config.model_copy(update={"audit": AuditSettings(record=False)})
    hits = 0
    for seed in range(20):
        files = plan_audit(config, tmp_path / str(seed), budget=600, seed=seed).files
        drawn = pd.read_parquet(files["audit"])[["decision_id", "inclusion_probability"]]
        reviews = drawn.assign(
            review_id=[f"r{i}" for i in range(len(drawn))], source="audit", site="s", expected=None,
            reviewed_at=decisions["decided_at"].max(),
            verdict=truth[drawn["decision_id"]].map({True: "overturned", False: "upheld"}).to_numpy(),
        )  # fmt: skip
        found = estimate_rates(Snapshot(decisions, reviews)).overall
        row = found.set_index("measure").loc["error_rate"]
        hits += int(row["low"] <= truth.mean() <= row["high"])
    assert hits >= 16
