"""None"""

import dataclasses

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from errdetect.errors import DataError, ModelError
from errdetect.features.feature_matrix import build_features, fit_encoding
from errdetect.model.bundle import ModelBundle, hash_ids, load_bundle, save_bundle
from errdetect.model.detector import Detector, Examples
from errdetect.model.ensemble_members import FitOptions
from errdetect.model.gate import GateRules
from errdetect.model.training import FOLDS, TrainedModel, TrainingPlan, cross_fit, train_detector
from errdetect.model.tuning import Search

# With 300 held-out decisions, a lead within the first twentieth is beyond any gate's power.
PLAN = TrainingPlan(
    search=Search(trials=1), budgets=[0.05, 0.2], resamples=60, gate=GateRules(budget=0.2)
)
UNTUNED = dataclasses.replace(PLAN, search=Search(trials=0))


@pytest.fixture(scope="session")
def trained(examples) -> TrainedModel:
    return train_detector(examples, PLAN, FitOptions())


def value(trained: TrainedModel, method: str, measure: str = "average_precision") -> float:
    table = trained.evaluation
    return float(
        table[(table["method"] == method) & (table["measure"] == measure)]["value"].iloc[0]
    )


def test_learns_what_the_margin_cannot_see(trained):
    assert trained.verdict.answer == "validated"
    assert value(trained, "errdetect") > value(trained, "margin") + 0.1
    assert value(trained, "errdetect") > value(trained, "random") + 0.2


def test_noise_is_not_validated(examples):
    """Labels that nothing can tell must not look learnt: the leak that a sloppy split would show."""
    rng = np.random.default_rng(5)
    noise = dataclasses.replace(
        examples, error=rng.permutation(examples.error), violates=rng.permutation(examples.violates)
    )
    result = train_detector(noise, PLAN, FitOptions())
    table = result.evaluation.set_index(["method", "measure"])
    assert table.loc[("random", "lead"), "low"] < 0.03
    assert value(result, "errdetect") < value(result, "random") + 0.08
    assert result.verdict.answer == "rejected"


def test_contributions_add_up_to_the_prediction(trained, examples):
    X = trained.detector.features(examples.decisions.head(200))
    parts = trained.detector.contributions(X, threads=1)
    np.testing.assert_allclose(parts.sum(axis=1), trained.detector.raw(X, threads=1), atol=1e-9)
    assert parts.shape == (200, len(trained.detector.encoding.names) + 1)


def test_every_member_s_parts_add_up_to_its_log_odds(trained, examples):
    X = trained.detector.features(examples.decisions.head(50))
    side = np.where(examples.decisions["enforced"].head(50), 1.0, -1.0)
    assert {m.name for m in trained.detector.members} >= {"violates", "extra", "extra_error"}
    for member in trained.detector.members:
        parts = member.contributions(X, side, threads=1)
        np.testing.assert_allclose(parts.sum(axis=1), member.raw(X, side, threads=1), atol=1e-9)


def test_a_row_s_score_does_not_depend_on_its_neighbours(trained, examples):
    detector = trained.detector
    whole = detector.raw(detector.features(examples.decisions), threads=1)
    part = detector.raw(detector.features(examples.decisions.iloc[[7, 3]]), threads=1)
    np.testing.assert_allclose(part, whole[[7, 3]])


def test_equal_input_gives_an_equal_model(trained, examples):
    again = train_detector(examples, PLAN, FitOptions())
    X = trained.detector.features(examples.decisions)
    np.testing.assert_array_equal(again.detector.features(examples.decisions), X)
    np.testing.assert_array_equal(again.detector.raw(X, 1), trained.detector.raw(X, 1))
    assert again.calibrator == trained.calibrator
    pd.testing.assert_frame_equal(again.evaluation, trained.evaluation)


def test_later_labels_are_kept_from_earlier_models(examples):
    """The evaluation's models see only labels known when their part ended."""
    asked = []

    def early(moment: pd.Timestamp, part: Examples) -> Examples:
        asked.append((moment, part.decisions["decided_at"].max()))
        return part

    train_detector(examples, PLAN, FitOptions(), early=early)
    assert [moment > latest for moment, latest in asked] == [True, True]


def test_bundle_comes_back_whole(trained, examples, tmp_path):
    ids = np.unique(hash_ids(examples.decisions["decision_id"]))
    bundle = ModelBundle(trained.detector, trained.calibrator, ids, {"labels": 3})
    save_bundle(bundle, tmp_path)
    back = load_bundle(tmp_path)
    X = bundle.detector.features(examples.decisions)
    np.testing.assert_array_equal(back.detector.features(examples.decisions), X)
    d = examples.decisions
    np.testing.assert_array_equal(back.probability(X, d), bundle.probability(X, d))
    assert back.about == {"labels": 3}
    assert back.in_sample(pd.Series(["d00000", "other"])).tolist() == [True, False]
    assert {p.suffix for p in tmp_path.iterdir()} <= {".json", ".txt", ".npy", ".npz"}


def test_damaged_bundles_are_named(trained, examples, tmp_path):
    save_bundle(ModelBundle(trained.detector, trained.calibrator, np.zeros(0, np.uint64)), tmp_path)
    (tmp_path / "trees_violates.txt").unlink()
    with pytest.raises(ModelError, match=r"trees_violates\.txt must be as errdetect wrote it"):
        load_bundle(tmp_path)


@pytest.mark.parametrize(
    ("turn", "says"),
    [
        (lambda e: e.take(np.arange(30)), "at least 50 labelled decisions, got 30"),
        (lambda e: e.take(e.error == 0), "none is an error"),
        (lambda e: e.take(e.error == 1), "all are errors"),
    ],
)
def test_labels_that_teach_nothing(examples, turn, says):
    with pytest.raises(DataError, match=says):
        train_detector(turn(examples), PLAN, FitOptions())


def test_too_few_errors_is_unknown_not_validated(examples):
    few = examples.take((examples.error == 0) | (np.arange(len(examples)) % 40 == 0))
    result = train_detector(
        few, dataclasses.replace(PLAN, gate=GateRules(min_errors=30)), FitOptions()
    )
    assert result.verdict.answer == "unknown"
    assert "at least 30 of each are needed" in result.verdict.why


def test_without_text_and_without_score(examples):
    bare = examples.take(np.arange(600))
    frame = bare.decisions.drop(columns=["text", "score", "threshold", "moderator"])
    result = train_detector(dataclasses.replace(bare, decisions=frame), PLAN, FitOptions())
    assert isinstance(result.detector, Detector)
    assert result.detector.text is None


def test_processors_change_nothing(trained, examples):
    again = train_detector(examples, PLAN, FitOptions(threads=2))
    X = trained.detector.features(examples.decisions)
    np.testing.assert_array_equal(again.detector.features(examples.decisions), X)
    np.testing.assert_allclose(again.detector.raw(X, 1), trained.detector.raw(X, 1), atol=1e-6)


def test_few_labels_get_simpler_models_and_are_told(examples):
    result = train_detector(examples.take(np.arange(260)), PLAN, FitOptions())
    assert {m.name for m in result.detector.members} <= {"additive", "segment", "text"}
    assert any("simpler models are used" in note for note in result.notes)


def test_unsure_labels_are_learnt_as_unsure(examples):
    """A label that reviews leave open pulls the log-odds towards even."""
    sure = train_detector(examples, UNTUNED, FitOptions())
    open_ = dataclasses.replace(
        examples, p_error=0.5 + 0.3 * (examples.error - 0.5),
        p_violates=0.5 + 0.3 * (examples.violates - 0.5),
    )  # fmt: skip
    unsure = train_detector(open_, UNTUNED, FitOptions())
    spread = [
        np.abs(t.detector.raw(t.detector.features(examples.decisions), 1)).mean()
        for t in (sure, unsure)
    ]
    assert spread[1] < spread[0] / 2


def test_histories_wait_for_labels(examples):
    """Few labels cannot tell what histories are worth: such columns are no features then."""
    frame = examples.decisions.assign(history_account_rate=examples.error)
    told = dataclasses.replace(examples, decisions=frame)
    few, many = (
        train_detector(e, UNTUNED, FitOptions()) for e in (told.take(np.arange(260)), told)
    )
    assert "history_account_rate" not in few.detector.encoding.names
    assert "history_account_rate" in many.detector.encoding.names
    assert any("history_account_rate" in note and "too few" in note for note in few.notes)


@pytest.fixture(scope="module")
def noise():
    """Reviews that are pure chance: whatever predicts them has looked at them."""
    rng = np.random.default_rng(3)
    n = 3000
    frame = pd.DataFrame({f"x{i}": rng.random(n) for i in range(8)})
    frame["item_id"] = [f"i{i}" for i in range(n)]
    frame["enforced"] = rng.random(n) < 0.5
    said = (rng.random(1500) < 0.3).astype(float)
    return frame, np.arange(1500), said


def test_no_decision_s_own_review_has_a_part_in_its_p(noise):
    frame, drawn, said = noise
    p = cross_fit(frame, drawn, said, np.ones(1500)).p_error
    assert abs(roc_auc_score(said, p[drawn]) - 0.5) < 0.06
    # The leak that this guards against is a large one: the same trees, fitted on everything.
    encoding = fit_encoding(frame.iloc[drawn], text=False)
    X = build_features(frame.iloc[drawn], encoding, None)
    leaky = lgb.train(
        {"verbose": -1, "objective": "binary", "learning_rate": 0.08}, lgb.Dataset(X, said), 80
    )
    assert roc_auc_score(said, leaky.predict(X)) > 0.9


def test_copies_of_an_item_share_a_fold(noise):
    frame, drawn, said = noise
    twice = frame.assign(item_id=[f"i{i // 2}" for i in range(len(frame))])
    fold = cross_fit(twice, drawn, said, np.ones(1500)).fold
    assert (fold[0::2] == fold[1::2]).all()
    assert set(fold) == set(range(FOLDS))


def test_equal_input_gives_equal_bytes_and_shares_are_fine(noise):
    frame, drawn, said = noise
    shares = np.where(said > 0, 0.5, 0.0) + np.where(np.arange(1500) % 4 == 0, 0.25, 0.0)
    one, two = (
        cross_fit(frame, drawn, shares, np.ones(1500), FitOptions(seed=5)).p_error for _ in range(2)
    )
    assert one.tobytes() == two.tobytes()
    assert ((one > 0) & (one < 1)).all()


@pytest.mark.parametrize("wrong", [0, 29, 1471, 1500])
def test_too_few_of_either_kind_give_nothing(noise, wrong):
    frame, drawn, _ = noise
    said = (np.arange(1500) < wrong).astype(float)
    assert cross_fit(frame, drawn, said, np.ones(1500)) is None
