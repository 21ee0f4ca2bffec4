import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from errdetect.config import load_config
from errdetect.config_schema import LedgerSettings
from errdetect.data.atomic_writing import to_json_value
from errdetect.data.renamed_columns import schema_with_old_names
from errdetect.errors import ConfigError, DataError, ModelError
from errdetect.schemas import QUEUE, SCORES
from errdetect.stats.ranking_metrics import average_precision, recall_at
from errdetect.workflows.estimate import estimate
from errdetect.workflows.report import report
from errdetect.workflows.result_summaries import summary_text
from errdetect.workflows.score import score
from errdetect.workflows.simulate import simulate
from errdetect.workflows.train import train
from errdetect.workflows.validate import validate

AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="session")
def alone(config, tmp_path_factory):
    """The config with a ledger that no other test scores into."""
    place = tmp_path_factory.mktemp("ledger") / "ledger.db"
    return config.model_copy(update={"ledger": LedgerSettings(url=f"sqlite:///{place}")})


@pytest.fixture(scope="module")
def scored(alone, market, trained, tmp_path_factory):
    assert trained.version == "1"
    out = tmp_path_factory.mktemp("queue")
    return score(alone, market / "decisions.parquet", out, budget=200, scored_at=AT)


def test_the_simulated_data_is_valid(config):
    result = validate(config)
    assert result.usable
    assert result.n_decisions == 12_000
    assert "the data can be used" in summary_text(result)


def test_training_beats_doing_without(trained):
    table = trained.evaluation.set_index(["method", "measure"])["value"]
    assert table["errdetect", "average_precision"] > table["margin", "average_precision"]
    assert "now the champion" in summary_text(trained)


def test_ranking_holds_on_decisions_nobody_reviewed(market, scored):
    """The truth is read here to measure, as nothing else may."""
    truth = pd.read_parquet(market / "truth.parquet").set_index("decision_id")["is_error"]
    decisions = pd.read_parquet(market / "decisions.parquet").set_index("decision_id")
    scores = pd.read_parquet(scored.files["scores"]).set_index("decision_id")
    open_ = scores.index[scores["inclusion_probability"] < 1]
    y, p = truth[open_].to_numpy(float), scores.loc[open_, "p_error"].to_numpy()
    margin = -(decisions["score"] - decisions["threshold"]).abs()[open_].to_numpy()
    assert average_precision(y, p) > average_precision(y, margin) * 1.2
    assert recall_at(y, p, [0.1])[0] > recall_at(y, margin, [0.1])[0]
    # some 340 held-out reviews say the level: two standard errors are .036, and reviewers err as well
    assert abs(p.mean() - y.mean()) < 0.04


def test_queue_is_as_the_contract_says(scored, market):
    queue, scores = pq.read_table(scored.files["queue"]), pq.read_table(scored.files["scores"])
    assert queue.schema.remove_metadata() == schema_with_old_names("queue", QUEUE)
    assert scores.schema.remove_metadata() == schema_with_old_names("scores", SCORES)
    assert queue.schema.names == [*QUEUE.names, "p_reverse"]
    frame = queue.to_pandas()
    assert frame["rank"].tolist() == list(range(1, 201))
    arms = frame["arm"].value_counts()
    assert set(arms.index) == {"ranked", "explore"}
    assert arms["explore"] >= 20
    assert frame.loc[frame["arm"] == "ranked", "value"].is_monotonic_decreasing
    assert len(scores) == 12_000
    reviewed = set(
        pd.read_parquet(market / "reviews.parquet").query("source != 'golden'")["decision_id"]
    )
    assert not reviewed & set(frame["decision_id"])
    for found in frame["reasons"]:
        assert len(found) <= 5
        parts = [r["contribution"] for r in found]
        assert parts == sorted(parts, reverse=True)
        assert all(part > 0 for part in parts)
    merged = frame.merge(scores.to_pandas(), on="decision_id", suffixes=("", "_of_all"))
    for name in ("p_error", "expected_harm", "inclusion_probability"):
        assert (merged[name] == merged[f"{name}_of_all"]).all()


def test_too_few_relabelled_reviews_suggest_nothing(trained, scored):
    assert any("the correct policy is unknown" in note for note in trained.notes)
    assert not trained.evaluation["measure"].str.startswith("wrong_label").any()
    assert pd.read_parquet(scored.files["scores"])["suggested_policy_id"].isna().all()
    kinds = pd.read_parquet(scored.files["queue"])["error_kind"]
    assert set(kinds) <= {"wrongful_action", "missed_violation"}


def test_scoring_again_gives_the_same_bytes(alone, market, scored, tmp_path):
    again = score(alone, market / "decisions.parquet", tmp_path, budget=200, scored_at=AT)
    assert again.run_id == scored.run_id
    for name, path in scored.files.items():
        same = again.files[name].read_bytes() == path.read_bytes()
        assert same, name  # comparing in the assertion itself would print a diff of megabytes


def test_files_formats_and_batches_do_not_matter(config, market, scored, tmp_path):
    """The same decisions as CSV parts, shuffled columns, are scored alike."""
    frame = pd.read_parquet(market / "decisions.parquet").head(3000)
    frame = frame[sorted(frame.columns)]
    frame.iloc[:1000].to_csv(tmp_path / "part-1.csv", index=False)
    frame.iloc[1000:].to_csv(tmp_path / "part-2.csv.gz", index=False)
    result = score(config, str(tmp_path / "part-*"), tmp_path / "out", scored_at=AT)
    mine = pd.read_parquet(result.files["scores"]).set_index("decision_id")["p_error"]
    theirs = pd.read_parquet(scored.files["scores"]).set_index("decision_id")["p_error"]
    np.testing.assert_allclose(mine, theirs[mine.index], atol=1e-9)


def test_in_sample_scores_are_told(scored):
    assert any("in-sample" in note for note in scored.notes)


def test_nothing_is_left_half_written(config, trained, tmp_path):
    (tmp_path / "bad.csv").write_text("decision_id,action\n1,remove\n")
    with pytest.raises(DataError, match="decided_at"):
        score(config, tmp_path / "bad.csv", tmp_path / "out")
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_score_before_train(market, tmp_path):
    bare = load_config(market / "config.yaml", [f"registry.path={tmp_path / 'none'}"])
    with pytest.raises(ModelError, match="Run `errdetect train` with this config first"):
        score(bare, market / "decisions.parquet", tmp_path / "out")


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """A marketplace for trainings that only have to be equal."""
    out = tmp_path_factory.mktemp("small")
    simulate(out, decisions=4_000, days=90, seed=3)
    return out


def test_future_reviews_do_not_count(small, tmp_path):
    """A planted leak: reviews after `as_of` say the opposite of everything; labels must not move."""
    reviews = pd.read_parquet(small / "reviews.parquet")
    cut = reviews["reviewed_at"].quantile(0.7)
    late = reviews["reviewed_at"] > cut
    turned = reviews.assign(
        verdict=reviews["verdict"].where(
            ~late, reviews["verdict"].map({"upheld": "overturned"}).fillna("upheld")
        )
    )
    turned.to_parquet(tmp_path / "turned.parquet")
    results = []
    for name in (small / "reviews.parquet", tmp_path / "turned.parquet"):
        settings = [f"data.reviews={name}", f"labels.as_of={cut.isoformat()}", f"registry.path={tmp_path / name.stem}",
                    "train.trials=0", "evaluate.bootstrap=50", "gate.min_errors=1"]  # fmt: skip
        results.append(train(load_config(small / "config.yaml", settings)))
    assert results[0].evaluation["value"].notna().any()
    pd.testing.assert_frame_equal(results[0].evaluation, results[1].evaluation)
    assert results[0].counts == results[1].counts


def test_golden_reviews_are_no_labels(small, tmp_path):
    reviews = pd.read_parquet(small / "reviews.parquet")
    n = len(reviews) // 3
    golden = reviews.head(n).assign(
        review_id=[f"g{i}" for i in range(n)], source="golden", verdict="overturned", expected="overturned",
        inclusion_probability=np.nan,
    )  # fmt: skip
    pd.concat([reviews, golden]).to_parquet(tmp_path / "more.parquet")
    settings = [f"registry.path={tmp_path / 'm'}", "train.trials=0", "evaluate.bootstrap=50"]
    sources = ([], [f"data.reviews={tmp_path / 'more.parquet'}"])
    # Where votes count alike, golden reviews change nothing at all.
    votes = [*settings, "labels.reviewers=votes"]
    plain_, more = (train(load_config(small / "config.yaml", [*votes, *s])) for s in sources)
    assert plain_.evaluation["value"].notna().any()
    pd.testing.assert_frame_equal(plain_.evaluation, more.evaluation)
    # Where they measure reviewers, they still label nothing.
    plain_, more = (train(load_config(small / "config.yaml", [*settings, *s])) for s in sources)
    labelled = [name for name in plain_.counts if name.endswith("_decisions")]
    assert {n: plain_.counts[n] for n in labelled} == {n: more.counts[n] for n in labelled}


def test_truth_is_never_read(small, tmp_path):
    """Training does not notice that the truth is gone."""
    (small / "truth.parquet").rename(tmp_path / "aside.parquet")
    try:
        settings = [f"registry.path={tmp_path / 'm'}", "train.trials=0", "evaluate.bootstrap=50"]
        assert train(load_config(small / "config.yaml", settings)).counts["test_decisions"] > 20
    finally:
        (tmp_path / "aside.parquet").rename(small / "truth.parquet")


def test_estimates_and_labels(config, market, tmp_path):
    result = estimate(config, tmp_path, by=["policy_id"])
    truth = pd.read_parquet(market / "truth.parquet")
    whole = result.estimates[result.estimates["policy_id"].isna()].set_index("measure")
    assert (
        whole.loc["error_rate", "low"] < truth["is_error"].mean() < whole.loc["error_rate", "high"]
    )
    labels = pd.read_parquet(result.files["labels"])
    assert set(labels["label"]) == {"error", "correct", "unknown"}
    reviewed = pd.read_parquet(market / "reviews.parquet").query("source != 'golden'")[
        "decision_id"
    ]
    assert (labels.loc[~labels["decision_id"].isin(reviewed), "label"] == "unknown").all()
    with pytest.raises(ConfigError, match="--by must name columns of the decisions, got colour"):
        estimate(config, tmp_path, by=["colour"])
    with pytest.raises(DataError, match="The period must hold decisions"):
        estimate(config, tmp_path, start=datetime(2031, 1, 1, tzinfo=UTC))


def test_report_stands_alone(config, trained, tmp_path):
    result = report(config, tmp_path, generated_at=AT)
    page = result.files["report"].read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>") or page.startswith("<!doctype html>")
    assert "associated with" in page
    names = {path.name for path in result.files["tables"].iterdir()}
    for name in ("estimates", "drivers", "volumes", "trend_by"):
        assert {f"{name}.parquet", f"{name}.csv"} <= names
    volumes = pd.read_parquet(result.files["tables"] / "volumes.parquet")
    assert volumes["n_decisions"].sum() == 12_000
    assert page.count("<article") == len(volumes)
    cases = pd.read_parquet(result.files["tables"] / "cases.parquet")
    assert cases.groupby("policy_id").size().max() == 3
    halves = pd.read_parquet(result.files["tables"] / "trend_by.parquet")
    assert halves["period_start"].nunique() == 2


def test_report_without_reviews_and_without_model_says_so(market, tmp_path):
    bare = load_config(
        market / "config.yaml",
        ["data.reviews=null", "data.policies=null", f"registry.path={tmp_path / 'none'}"],
    )
    page = report(bare, tmp_path / "r").files["report"].read_text(encoding="utf-8")
    assert "errdetect train" in page


def test_results_are_plain_values(trained, scored):
    for result in (trained, scored):
        again = json.loads(json.dumps(to_json_value(result), allow_nan=False))
        assert set(again) == {f.name for f in dataclasses.fields(result)}


def test_validate_tells_the_configs_own_faults_too(market, tmp_path):
    words = tmp_path / "words.yaml"
    words.write_text('market: {text: "Der Markt ist {nobody}"}\n', encoding="utf-8")
    asked = load_config(market / "config.yaml", [f"report.words={words}", "reviewers.aql=3"])
    result = validate(asked)
    faults = [f.message for f in result.findings if f.code == "C001"]
    assert not result.usable
    assert any("reviewers.aql" in fault for fault in faults)
    assert any("{nobody}" in fault for fault in faults)
