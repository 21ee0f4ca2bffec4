"""ErrorClassifier keeps scikit-learn's contract, and learns what the project's models learn."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.impute import SimpleImputer
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from errdetect.errors import ConfigError
from errdetect.model.classifier import ErrorClassifier

#: Checks of scikit-learn that do not apply -> why.
NOT_APPLICABLE = {
    "check_sample_weight_equivalence_on_dense_data": "trees draw rows (bagging) and need 20 of them in a leaf, "
    "and levels, bins and folds count rows: a row of weight 2 is not two rows",
}
#: Checks that scikit-learn itself leaves out here.
LEFT_OUT = {"check_array_api_input"}


def log(n: int, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Decisions of which those of one market are often wrong, more so near the threshold."""
    rng = np.random.default_rng(seed)
    score = rng.random(n)
    market = rng.choice(["DE", "FR", "PL"], n)
    frame = pd.DataFrame(
        {
            "decision_id": [f"d{i}" for i in range(n)],
            "item_id": [f"i{i}" for i in range(n)],
            "decided_at": pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(np.arange(n), "h"),
            "policy_id": pd.Categorical(rng.choice(["spam", "scam"], n)),
            "market": np.where(rng.random(n) < 0.1, None, market),
            "score": score,
            "threshold": 0.5,
            "action": np.where(score >= 0.5, "remove", "keep"),
            "new_seller": rng.random(n) < 0.3,
            "price": np.where(rng.random(n) < 0.2, np.nan, rng.lognormal(3, 1, n)),
        }
    )
    p = 0.03 + 0.5 * (market == "PL") * (np.abs(score - 0.5) < 0.25) + 0.2 * frame["new_seller"]
    return frame, (rng.random(n) < p).astype(int).to_numpy()


@pytest.mark.slow
def test_scikit_learns_checks_pass():
    results = check_estimator(
        ErrorClassifier(), expected_failed_checks=NOT_APPLICABLE, on_fail=None, on_skip=None
    )
    status = {r["check_name"]: (r["status"], r["exception"]) for r in results}
    assert {n for n, (s, _) in status.items() if s == "failed"} == set()
    assert {n for n, (s, _) in status.items() if s == "xfail"} == set(NOT_APPLICABLE)
    assert {n for n, (s, _) in status.items() if s == "skipped"} <= LEFT_OUT
    assert len(status) > 50


def test_it_ranks_errors_of_later_decisions():
    X, y = log(3_000)
    model = ErrorClassifier().fit(X[:2_000], y[:2_000])
    p = model.predict_proba(X[2_000:])
    assert p.shape == (1_000, 2)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert roc_auc_score(y[2_000:], p[:, 1]) > 0.75
    assert abs(p[:, 1].mean() - y[2_000:].mean()) < 0.03
    decided = model.decision_function(X[2_000:])
    np.testing.assert_array_equal(model.predict(X[2_000:]), (decided > 0).astype(int))
    np.testing.assert_array_equal(
        np.argsort(decided, kind="stable"), np.argsort(p[:, 1], kind="stable")
    )


def test_equal_input_gives_equal_models_and_nothing_is_changed():
    X, y = log(600)
    before = X.copy(deep=True)
    first = ErrorClassifier(random_state=3).fit(X, y).predict_proba(X)
    second = clone(ErrorClassifier(random_state=3)).fit(X.set_index("item_id", drop=False), y)
    np.testing.assert_array_equal(first, second.predict_proba(X))
    assert not np.array_equal(first, ErrorClassifier(random_state=4).fit(X, y).predict_proba(X))
    pd.testing.assert_frame_equal(X, before)


def test_rows_may_stand_in_any_order_where_times_are_known():
    X, y = log(600)
    order = np.random.default_rng(0).permutation(600)
    straight = ErrorClassifier().fit(X, y).predict_proba(X)
    mixed = ErrorClassifier().fit(X.iloc[order], y[order]).predict_proba(X)
    np.testing.assert_allclose(straight, mixed)
    as_text = X.assign(decided_at=X["decided_at"].map(lambda t: t.isoformat()))
    mixed = ErrorClassifier().fit(as_text.iloc[order], y[order]).predict_proba(X)
    np.testing.assert_allclose(straight, mixed)


def test_ids_times_and_exposure_are_no_features():
    X, y = log(600)
    odd = X.assign(decision_id="d", exposure=y * 1000.0, account_id=np.where(y, "bad", "good"))
    model = ErrorClassifier().fit(odd, y)
    assert not {"decision_id", "exposure", "account_id", "decided_at"} & set(
        model.detector_.encoding.names
    )
    assert average_precision_score(y, model.predict_proba(odd)[:, 1]) < 0.9


def test_pipelines_cross_validation_and_grid_search():
    X, y = log(900)
    scores = cross_val_score(ErrorClassifier(), X, y, cv=3, scoring="roc_auc")
    dummy = cross_val_score(DummyClassifier(), X, y, cv=3, scoring="roc_auc")
    assert (scores > dummy + 0.1).all()
    numbers = X[["score", "price", "new_seller"]].to_numpy(float)
    pipe = make_pipeline(SimpleImputer(), ErrorClassifier())
    assert pipe.fit(numbers, y).predict_proba(numbers).shape == (900, 2)
    assert pipe[-1].detector_.encoding.numeric == ("x0", "x1", "x2")
    found = GridSearchCV(ErrorClassifier(), {"num_leaves": [4, 15]}, cv=2).fit(X, y)
    assert found.best_params_["num_leaves"] in (4, 15)


def test_arrays_stand_for_the_columns_that_fit_saw():
    X, y = log(600)
    numbers = X[["score", "threshold", "price"]]
    model = ErrorClassifier().fit(numbers, y)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        p = model.predict_proba(numbers.to_numpy())
    np.testing.assert_array_equal(p, model.predict_proba(numbers))
    assert model.feature_names_in_.tolist() == ["score", "threshold", "price"]
    assert model.n_features_in_ == 3


def test_labels_of_any_kind_keep_their_order():
    X, y = log(600)
    words = np.where(y == 1, "wrong", "right")
    model = ErrorClassifier().fit(X, words)
    assert model.classes_.tolist() == ["right", "wrong"]
    np.testing.assert_array_equal(
        model.predict_proba(X), ErrorClassifier().fit(X, y).predict_proba(X)
    )
    assert set(model.predict(X)) <= {"right", "wrong"}


def test_the_side_comes_from_enforced_or_action():
    X, y = log(600)
    enforced = (X["action"] == "remove").to_numpy(bool)
    by_action = ErrorClassifier().fit(X, y).predict_proba(X)
    by_column = ErrorClassifier().fit(X.assign(enforced=enforced), y)
    np.testing.assert_array_equal(by_action, by_column.predict_proba(X.assign(enforced=enforced)))
    own = X.replace({"action": {"remove": "zap"}})
    with pytest.raises(ValueError, match="action must be a known word, got 'zap'"):
        ErrorClassifier().fit(own, y)
    mapped = ErrorClassifier(actions={"Zap": "enforce"}).fit(own, y)
    assert mapped.detector_.encoding.names.count("enforced") == 1
    side = mapped.detector_.features(mapped._frame(own, reset=False))
    np.testing.assert_array_equal(
        side[:, mapped.detector_.encoding.names.index("enforced")], enforced
    )
    with pytest.raises(ConfigError):
        ErrorClassifier(actions={"zap": "perhaps"}).fit(own, y)
    with pytest.raises(ValueError, match="enforced must be true or false, got nan"):
        ErrorClassifier().fit(X.assign(enforced=np.nan), y)


def test_texts_are_learnt_from_unless_left_out():
    X, _ = log(900)
    rng = np.random.default_rng(1)
    violates = rng.random(900) < 0.5
    plain = [f"word{i}" for i in range(400)]
    texts = [
        " ".join([*rng.choice(plain, 8), rng.choice(["replica", "fake"]) if bad else "garden"])
        for bad in violates
    ]
    y = (violates != (X["action"] == "remove")).to_numpy(int)
    X = X.assign(text=np.where(rng.random(900) < 0.1, None, texts))
    with_text = ErrorClassifier().fit(X[:700], y[:700]).predict_proba(X[700:])[:, 1]
    without = ErrorClassifier(text=False).fit(X[:700], y[:700]).predict_proba(X[700:])[:, 1]
    assert roc_auc_score(y[700:], with_text) > 0.85
    assert roc_auc_score(y[700:], without) < 0.65


def test_weights_count():
    X, y = log(600)
    ones = ErrorClassifier().fit(X, y, sample_weight=np.ones(600)).predict_proba(X)
    np.testing.assert_array_equal(ones, ErrorClassifier().fit(X, y).predict_proba(X))
    heavy = ErrorClassifier().fit(X, y, sample_weight=np.where(y == 1, 5.0, 1.0))
    assert heavy.predict_proba(X)[:, 1].mean() > ones[:, 1].mean() + 0.1
    kept = np.arange(600) % 2 == 0
    some = ErrorClassifier().fit(X, y, sample_weight=kept.astype(float)).predict_proba(X)
    np.testing.assert_array_equal(some, ErrorClassifier().fit(X[kept], y[kept]).predict_proba(X))


@pytest.mark.parametrize("n", [2, 5, 12, 40])
def test_few_rows_are_enough(n):
    X, _ = log(n)
    y = (np.arange(n) == n - 1).astype(int)
    p = ErrorClassifier().fit(X, y).predict_proba(X)
    assert np.isfinite(p).all()


def test_faults_are_named():
    X, y = log(60)
    cases = [
        (X, np.zeros(60), "y must hold two classes"),
        (X, np.arange(60) % 3, "Only binary classification is supported"),
        (X.assign(price=np.inf), y, "Column 'price' must be finite or NaN"),
        (X.assign(score="high"), y, "Column 'score' must hold numbers"),
        (pd.concat([X, X[["price"]]], axis=1), y, "unique column names|one name each"),
        (X[:0], y[:0], "0 sample"),
        (X, y[:50], "inconsistent numbers of samples"),
    ]
    for frame, labels, message in cases:
        with pytest.raises(ValueError, match=message):
            ErrorClassifier().fit(frame, labels)
    with pytest.raises(ValueError, match="two classes"):
        ErrorClassifier().fit(X, y, sample_weight=(y == 0).astype(float))
