import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.metrics import log_loss as sk_log_loss

from errdetect.stats.ranking_metrics import (
    auroc,
    auroc_interval,
    average_precision,
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
    with np.errstate(all="raise"):  # nor is it divided by
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


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 4), st.integers(1, 5)), min_size=4, max_size=40
    ).filter(lambda rows: len({r[0] for r in rows}) == 2)
)
def test_weighted_auroc_is_the_one_of_scikit_learn(rows):
    y, score, w = (np.array(v, float) for v in zip(*rows, strict=True))
    assert auroc(y, score, w) == pytest.approx(roc_auc_score(y, score, sample_weight=w))


SCORES = st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 0.5 + 1e-9, 2.0, np.inf])


@given(st.lists(SCORES, min_size=1, max_size=15), st.lists(SCORES, min_size=1, max_size=15))
def test_auroc_counts_the_pairs_with_ties_as_half(wrong, right):
    pairs = [(a > b) + 0.5 * (a == b) for a in wrong for b in right]
    y = np.repeat([1.0, 0.0], [len(wrong), len(right)])
    assert auroc(y, np.array(wrong + right)) == pytest.approx(np.mean(pairs), abs=1e-12)
    assert auroc(1 - y, np.array(wrong + right)) == pytest.approx(1 - np.mean(pairs), abs=1e-12)


@pytest.mark.parametrize("y", [[], [0.0, 0.0], [1.0, 1.0]])
def test_auroc_of_one_kind_only_is_unknown(y):
    assert np.isnan(auroc(np.array(y), np.arange(float(len(y)))))


@given(st.floats(0, 1), st.floats(1, 1e4), st.floats(1, 1e4))
def test_auroc_interval_contains_its_estimate_and_narrows(share, n_wrong, n_right):
    low, high = auroc_interval(share, n_wrong, n_right)
    assert 0 <= low <= share <= high <= 1
    more_low, more_high = auroc_interval(share, 4 * n_wrong, 4 * n_right)
    assert more_low >= low - 1e-12
    assert more_high <= high + 1e-12


def test_infinite_scores_tie():
    y, score = np.array([1.0, 0.0]), np.array([-np.inf, -np.inf])
    assert recall_at(y, score, [0.5]).tolist() == [0.5]
    assert average_precision(y, score) == 0.5
