"""The right label, from reviews to the queue; and the held-out evaluation by segments."""

import json

import pandas as pd
import pytest

from errdetect.config import load_config
from errdetect.model.evaluation import HeldOut
from errdetect.model.registry import ModelRegistry
from errdetect.schemas import QUEUE, SCORES
from errdetect.simulation.marketplace import simulate, write_marketplace
from errdetect.workflows.load_data import load_snapshot
from errdetect.workflows.result_summaries import summary_text
from errdetect.workflows.score import score
from errdetect.workflows.train import label_examples, learn_policy_correction, train

SETTINGS = ["train.trials=0", "evaluate.bootstrap=50"]


@pytest.fixture(scope="module")
def well_reviewed(tmp_path_factory):
    """A marketplace with enough relabelled reviews."""
    out = tmp_path_factory.mktemp("well_reviewed")
    write_marketplace(simulate(10_000, 90, 3, audit_share=0.4), out)
    config = load_config(out / "config.yaml", SETTINGS)
    return out, config, train(config)


@pytest.fixture(scope="module")
def scored(well_reviewed, tmp_path_factory):
    folder, config, _ = well_reviewed
    result = score(config, folder / "decisions.parquet", tmp_path_factory.mktemp("q"), budget=3000)
    return pd.read_parquet(result.files["scores"]), pd.read_parquet(result.files["queue"])


def test_the_evaluation_measures_wrong_labels(well_reviewed):
    result = well_reviewed[2]
    table = result.evaluation.set_index(["method", "measure"])
    found = table.loc[("errdetect", "wrong_label_average_precision"), "value"]
    assert found > 2 * table.loc[("random", "wrong_label_average_precision"), "value"]
    assert table.loc[("errdetect", "suggested_policy_accuracy"), "value"] > 0.4
    assert "Correct policy suggested for wrong labels: errdetect" in summary_text(result)
    assert any("is learnt from" in note for note in result.notes)


def test_suggestions_stand_where_the_label_looks_wrong(well_reviewed, scored):
    scores, queue = scored
    assert list(scores.columns) == [*SCORES.names, "p_reverse"]
    assert list(queue.columns) == [*QUEUE.names, "p_reverse"]
    suggested = queue["suggested_policy_id"].notna()
    assert 0 < suggested.sum() < len(queue) / 2
    assert ((queue["error_kind"] == "wrong_label") == suggested).all()
    assert not (queue["suggested_policy_id"] == queue["policy_id"]).any()
    merged = queue.merge(scores, on="decision_id", suffixes=("", "_of_all"))
    both = merged["suggested_policy_id"].fillna(""), merged["suggested_policy_id_of_all"].fillna("")
    assert (both[0] == both[1]).all()
    decisions = pd.read_parquet(well_reviewed[0] / "decisions.parquet").set_index("decision_id")
    acted = decisions.loc[scores["decision_id"], "action"] != "approve"
    assert scores["suggested_policy_id"][~acted.to_numpy()].isna().all()


def test_suggestions_are_right_more_often_than_not(well_reviewed, scored):
    """The truth is read here to measure, as nothing else may."""
    truth = pd.read_parquet(well_reviewed[0] / "truth.parquet")
    queue = scored[1].merge(truth, on="decision_id", suffixes=("", "_true"))
    wrong = queue[queue["is_error"] & queue["suggested_policy_id"].notna()]
    labels = wrong["error_kind_true"] == "wrong_label"
    assert labels.mean() > 0.4
    right = wrong["suggested_policy_id"] == wrong["correct_policy_id"]
    assert right[labels].mean() > 0.5


def test_segments_are_measured_and_kept_with_the_model(well_reviewed):
    _, config, result = well_reviewed
    assert {"all", "policy_id", "market", "language", "moderator", "reviewers"} == set(
        result.segments["segment"]
    )
    assert result.segments["suppressed"].any()
    bundle, _ = ModelRegistry(config.path(config.registry.path), config.registry.name).load()
    kept = pd.DataFrame(bundle.about["segments"])
    assert len(kept) == (result.segments["measure"] == "auroc").sum()
    assert bundle.relabelling is not None
    # the detector sees the doubt about the label, and what machines usually do
    extra = ("usual_logit", "usual_against", "other_policy_logit")
    assert bundle.detector.encoding.extra == extra
    assert bundle.detector.doubt is not None
    assert bundle.detector.usual is not None
    assert json.dumps(bundle.relabelling.facts())


def test_labels_carry_the_right_policy_known_by_then(well_reviewed):
    config = well_reviewed[1]
    snapshot = load_snapshot(config, progress=lambda _: None).snapshot
    decisions, reviews, labels = snapshot.decisions, snapshot.reviews, snapshot.labels
    examples = label_examples(snapshot)
    own = examples.decisions["policy_id"].to_numpy(object)
    wrong = (labels["error_kind"] == "wrong_label").to_numpy()[labels["label"] != "unknown"]
    named = pd.notna(examples.right_policy)
    assert wrong.sum() >= 20
    assert (examples.right_policy[wrong & named] != own[wrong & named]).all()
    assert (wrong & named).sum() > 0.9 * wrong.sum()
    assert not named[~examples.decisions["enforced"].to_numpy(bool)].any()
    moment = decisions["decided_at"].iloc[len(decisions) // 2].to_pydatetime()
    then = label_examples(snapshot.before(moment))
    given = set(reviews["decision_id"][reviews["reviewed_at"] <= moment])
    assert set(then.decisions["decision_id"][pd.notna(then.right_policy)]) <= given


def test_where_hardly_any_were_relabelled_it_says_unknown(well_reviewed):
    config = well_reviewed[1]
    snapshot = load_snapshot(config, progress=lambda _: None).snapshot
    reviews, examples = snapshot.reviews, label_examples(snapshot)
    held = HeldOut(examples, examples.error, examples.design)
    first = reviews[reviews["verdict"] == "relabelled"]["decision_id"].unique()[:6]
    rest = reviews["verdict"] != "relabelled"
    for kept, says in (
        (rest, " 0 relabelled"),
        (rest | reviews["decision_id"].isin(first), "20 are"),
    ):
        found = learn_policy_correction(config, snapshot.with_reviews(reviews[kept]), held)
        assert found.model is None
        assert found.evaluation.empty
        assert "the correct policy is unknown" in found.notes[0]
        assert says in found.notes[0]
