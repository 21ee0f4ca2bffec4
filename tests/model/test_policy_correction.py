import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errdetect.model.evaluation import Bootstrap, evaluate_policy_correction, is_beaten_by_baseline
from errdetect.model.policy_correction import (
    PolicyCorrection,
    PolicyTokens,
    content_folds,
    fit_policy_correction,
    load_policy_correction,
)
from errdetect.stats.intervals import wilson
from errdetect.stats.ranking_metrics import average_precision

WORDS = {
    "medicines": ["pills", "syrup", "dose"],
    "scam": ["prize", "transfer", "win"],
    "spam": ["follow", "click", "subscribe"],
}


def make(n: int = 1200, seed: int = 0, wrong: float = 0.15):
    """Enforcements whose words tell the right policy; `scam` is used in place of `spam`."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(list(WORDS), n)
    own = np.where((truth == "spam") & (rng.random(n) < 3 * wrong), "scam", truth)
    text = [f"{' '.join(rng.choice(WORDS[t], 2))} {rng.integers(10**9)}" for t in truth]
    frame = pd.DataFrame(
        {
            "policy_id": own,
            "enforced": True,
            "item_id": [f"i{i}" for i in range(n)],
            "text": text,
            "category": rng.choice(["toys", "shoes"], n),
            "price": rng.lognormal(size=n),
        }
    )
    return frame, pd.Series(truth, dtype="str")


@pytest.fixture(scope="module")
def fitted() -> PolicyCorrection:
    frame, truth = make()
    model = fit_policy_correction(frame, truth, np.ones(len(frame), dtype=bool))
    assert model is not None
    return model


def test_finds_wrong_labels_and_the_right_policy(fitted):
    frame, truth = make(seed=1)
    wrong = (frame["policy_id"] != truth).to_numpy()
    said = fitted.predict(frame, np.full(len(frame), 0.3))
    assert average_precision(wrong.astype(float), said["p_wrong_label"].to_numpy()) > 0.95
    assert (said["suggested_policy_id"][wrong] == truth[wrong]).mean() > 0.95
    assert said["suggested_policy_id"][~wrong].isna().mean() > 0.95


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_a_wrong_label_is_never_likelier_than_an_error(fitted, p):
    frame, _ = make(4)
    p_error = np.array(p)
    said = fitted.predict(frame, p_error)
    chance = said["p_wrong_label"].to_numpy()
    assert ((chance >= 0) & (chance <= p_error)).all()
    suggested = said["suggested_policy_id"].notna().to_numpy()
    np.testing.assert_array_equal(suggested, chance > p_error - chance)
    assert not (said["suggested_policy_id"] == frame["policy_id"]).any()


def test_chances_are_about_right(fitted):
    frame, truth = make(4000, seed=2)
    q, own = fitted.policy_posterior(frame)
    np.testing.assert_allclose(q.sum(axis=1), 1)
    doubt = 1 - q[np.arange(len(own)), own]
    assert doubt.mean() == pytest.approx((frame["policy_id"] != truth).mean(), abs=0.03)


def test_what_it_does_not_know_is_unknown(fitted):
    frame, _ = make(3)
    frame["policy_id"] = ["scam", "a new rule", "scam"]
    frame["enforced"] = [True, True, False]
    said = fitted.predict(frame, np.full(3, 0.5))
    assert said["p_wrong_label"].isna().tolist() == [False, True, True]
    assert said["likeliest_policy_id"].isna().tolist() == [False, True, True]
    assert fitted.usual(frame["policy_id"]).isna().tolist() == [False, True, False]
    bare = frame[["policy_id", "enforced"]].assign(text=None)
    assert fitted.predict(bare, np.full(3, 0.5))["p_wrong_label"].notna().tolist()[0]


def test_too_few_relabelled_say_nothing():
    frame, truth = make(600)
    judged = np.ones(len(frame), dtype=bool)
    wrong = np.flatnonzero(frame["policy_id"] != truth)
    for kept, there in ((19, False), (20, True)):
        known = truth.copy()
        known.iloc[wrong[kept:]] = None
        assert (fit_policy_correction(frame, known, judged) is not None) == there


def test_no_decision_vouches_for_its_own_policy():
    """A planted leak: the wrong labels to be found stand in the log, repeated, as the machine decided."""
    frame, truth = make(900)
    later, right = make(900, seed=9)
    wrong = (later["policy_id"] != right).to_numpy()
    log = pd.concat([frame] + [later[wrong]] * 3, ignore_index=True)
    known = truth.reindex(range(len(log)))
    model = fit_policy_correction(log, known, np.arange(len(log)) < len(frame))
    assert model is not None
    said = model.predict(later, np.full(len(later), 0.3))
    assert average_precision(wrong.astype(float), said["p_wrong_label"].to_numpy()) > 0.9


def test_state_is_plain_and_comes_back_whole(fitted, tmp_path):
    np.savez(tmp_path / "a.npz", allow_pickle=False, **fitted.arrays())
    facts = json.loads(json.dumps(fitted.facts(), allow_nan=False))
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        back = load_policy_correction(facts, dict(arrays))
    frame, _ = make(50, seed=3)
    p = np.linspace(0, 1, 50)
    pd.testing.assert_frame_equal(back.predict(frame, p), fitted.predict(frame, p))


def test_equal_input_gives_an_equal_model_and_neighbours_do_not_matter(fitted):
    frame, truth = make()
    again = fit_policy_correction(frame, truth, np.ones(len(frame), dtype=bool))
    assert again is not None
    assert again.facts() == fitted.facts()
    np.testing.assert_array_equal(again.weight, fitted.weight)
    p = np.full(len(frame), 0.2)
    part = fitted.predict(frame.iloc[[7, 3]], p[:2])
    pd.testing.assert_frame_equal(part, fitted.predict(frame, p).iloc[[7, 3]])


def test_without_text_columns_tell():
    frame, truth = make(1200, seed=4)
    frame = frame.drop(columns="text").assign(category=truth.map({"spam": "x", "scam": "y"}))
    model = fit_policy_correction(frame, truth, np.ones(len(frame), dtype=bool))
    assert model is not None
    wrong = (frame["policy_id"] != truth).to_numpy()
    said = model.predict(frame, np.full(len(frame), 0.3))
    assert average_precision(wrong.astype(float), said["p_wrong_label"].to_numpy()) > 0.9


def test_columns_left_out_are_not_read():
    frame, truth = make(1200, seed=4)
    model = fit_policy_correction(
        frame, truth, np.ones(len(frame), dtype=bool), leave_out=["category", "price"], text=False
    )
    assert model is not None
    assert (model.tokens.categorical, dict(model.tokens.edges), model.tokens.text) == (
        (),
        {},
        False,
    )


def test_tokens_of_missing_columns_say_nothing():
    frame, _ = make(30)
    tokens, X = PolicyTokens.learn(frame, ["category"], ["price"], True)
    assert X.shape == (30, len(tokens.idf))
    assert tokens.token_matrix(frame.drop(columns=["category", "price", "text"])).nnz == 0
    assert set(content_folds(frame, 3).tolist()) == {0, 1, 2}


def measured(y, model, without, right, named, weight=None):
    policies = pd.DataFrame({"correct": right, "suggested": named[0], "usual": named[1]})
    return evaluate_policy_correction(
        y,
        (model, without),
        policies,
        np.ones(len(y)) if weight is None else weight,
        budgets=[0.1],
        bootstrap=Bootstrap(100, np.random.default_rng(0)),
    )


def test_evaluation_measures_what_it_says():
    y = np.tile([1.0, 0, 0, 0], 20)
    right = pd.Series(np.tile(["spam", "scam", "scam", "scam"], 20))
    guess = pd.Series(np.where(np.arange(80) < 60, "spam", "fake"))
    table = measured(y, y, 1 - y, right, (guess, right)).set_index(["method", "measure"])
    assert table.loc[("errdetect", "wrong_label_average_precision"), "value"] == 1
    assert table.loc[("random", "wrong_label_average_precision"), "value"] == 0.25
    assert table.loc[("errdetect", "wrong_label_recall_at_10"), "value"] == pytest.approx(0.4)
    row = table.loc[("errdetect", "suggested_policy_accuracy")]
    _, low, high = wilson(np.array([0.75]), np.array([20.0]))
    assert row.tolist() == pytest.approx([0.75, low[0], high[0]])
    assert not is_beaten_by_baseline(table.reset_index())
    assert is_beaten_by_baseline(measured(y, 1 - y, y, right, (guess, right)))


def test_too_few_held_out_measure_nothing():
    y = np.array([1.0] * 4 + [0.0] * 50)
    names = pd.Series(["spam"] * 54)
    assert measured(y, y, y, names, (names, names)).empty
    more = np.array([1.0] * 8 + [0.0] * 50)
    names = pd.Series(["spam"] * 58)
    undrawn = np.where(np.arange(58) < 4, 0.0, 1.0)
    assert measured(more, more, more, names, (names, names), undrawn).empty
