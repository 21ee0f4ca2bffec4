import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score
from sklearn.metrics import log_loss as sk_log_loss

from errdetect.model.metrics import (
    average_precision,
    bootstrap,
    calibration_error,
    log_loss,
    recall_at,
)


def cases(seed: int, n: int = 300) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    score = rng.integers(0, 40, n) / 40
    y = (rng.random(n) < score).astype(float)
    return y, score, rng.integers(1, 5, n).astype(float)


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_scikit_learn(seed):
    y, score, w = cases(seed)
    assert average_precision(y, score) == pytest.approx(average_precision_score(y, score))
    assert average_precision(y, score, w) == pytest.approx(
        average_precision_score(y, score, sample_weight=w)
    )
    p = np.clip(score, 0.01, 0.99)
    assert log_loss(y, p, w) == pytest.approx(sk_log_loss(y, p, sample_weight=w))


@pytest.mark.parametrize("seed", range(5))
def test_a_weight_is_so_many_equal_rows(seed):
    y, score, w = cases(seed, 80)
    many = np.repeat(np.arange(80), w.astype(int))
    budgets = [0.05, 0.2, 0.7]
    np.testing.assert_allclose(
        recall_at(y, score, budgets, w), recall_at(y[many], score[many], budgets)
    )


def test_ties_are_shared_evenly():
    y = np.array([1.0, 1, 0, 0])
    assert recall_at(y, np.zeros(4), [0.25, 0.5, 1.0]).tolist() == [0.25, 0.5, 1.0]


def test_no_errors_is_unknown():
    assert np.isnan(recall_at(np.zeros(3), np.arange(3.0), [0.5])).all()
    assert np.isnan(average_precision(np.zeros(3), np.arange(3.0)))


@settings(max_examples=60)
@given(st.integers(0, 10**6))
def test_recall_rises_with_the_budget(seed):
    y, score, w = cases(seed, 60)
    if y.sum():
        found = recall_at(y, score, np.linspace(0.01, 1, 25).tolist(), w)
        assert (np.diff(found) >= -1e-12).all()
        assert found[-1] == pytest.approx(1)


def test_calibration_error_of_true_and_false_probabilities():
    rng = np.random.default_rng(0)
    p = rng.random(200_000)
    y = (rng.random(200_000) < p).astype(float)
    assert calibration_error(y, p) < 0.005
    assert calibration_error(y, p**2) > 0.1


def test_bootstrap_covers():
    hits = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        x = (rng.random(100) < 0.3).astype(float)
        low, high = bootstrap(
            lambda w, x=x: np.array([np.average(x, weights=w)]),
            np.ones(100),
            resamples=200,
            rng=rng,
        )
        hits += int(low[0] <= 0.3 <= high[0])
    assert hits >= 180
