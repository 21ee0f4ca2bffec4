import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from errdetect.features.feature_matrix import build_features, fit_encoding
from errdetect.model.ensemble_members import FitOptions
from errdetect.model.training import FOLDS, cross_fit


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
