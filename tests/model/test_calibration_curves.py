import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression

from errdetect.model.calibration import METHODS, CalibrationCurve, fit_curve, venn_abers


def draw(seed, n=300, distinct=None):
    rng = np.random.default_rng(seed)
    raw = rng.normal(-1, 1.5, n)
    if distinct is not None:
        raw = np.round(raw * distinct) / distinct
    y = (rng.random(n) < expit(1.5 * raw + 0.5)).astype(float)
    return raw, y, rng.choice([1.0, 2.0, 7.5], n)


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.booleans(), st.sampled_from([None, 1, 4]))
def test_rises_within_the_unit_interval(method, seed, soft, distinct):
    raw, y, weight = draw(seed, distinct=distinct)
    if soft:
        y = np.random.default_rng(seed).random(len(raw))
    p = fit_curve(method, raw, y, weight).probability(np.linspace(-60, 60, 900))
    assert (np.diff(p) >= 0).all()
    assert (p > 0).all()
    assert (p < 1).all()


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_soft_targets_are_rows_of_either_kind(method, seed):
    raw, _, weight = draw(seed)
    y = np.random.default_rng(seed).integers(0, 5, len(raw)) / 4
    soft = fit_curve(method, raw, y, weight, one=2.0)
    both = np.tile(raw, 2)
    hard = np.repeat([1.0, 0.0], len(raw))
    parts = np.concatenate([weight * y, weight * (1 - y)])
    kept = parts > 0
    split = fit_curve(method, both[kept], hard[kept], parts[kept], one=2.0)
    at = np.linspace(-6, 6, 50)
    np.testing.assert_allclose(soft.probability(at), split.probability(at), atol=2e-3)


@pytest.mark.parametrize("method", METHODS)
def test_equal_rows_give_equal_bytes(method):
    one, other = fit_curve(method, *draw(3)), fit_curve(method, *draw(3))
    assert np.array(one.values).tobytes() == np.array(other.values).tobytes()


@pytest.mark.parametrize("method", ["isotonic", "venn_abers"])
def test_steps_keep_the_ranking_also_beyond_the_knots(method):
    raw, y, weight = draw(1, n=2000)
    p = fit_curve(method, raw, y, weight).probability(np.linspace(-9, 8, 2000))
    assert (np.diff(p) > 0).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.5, 5))
def test_venn_abers_is_isotonic_regression_with_one_review_more(seed, one):
    raw, y, weight = draw(seed, n=60, distinct=3)
    scores, place = np.unique(raw, return_inverse=True)
    p0, p1 = venn_abers(np.bincount(place, weight * y), np.bincount(place, weight), one)
    for i, score in enumerate(scores):
        for label, found in ((0.0, p0[i]), (1.0, p1[i])):
            fitted = IsotonicRegression().fit(
                np.append(raw, score), np.append(y, label), sample_weight=np.append(weight, one)
            )
            assert found == pytest.approx(fitted.predict([score])[0])
    assert (p0 < p1).all()


def test_venn_abers_merges_as_published():
    """p1 / (1 - p0 + p1) at each score where neighbours differ; few errors never say 0 or 1."""
    raw = np.repeat([-2.0, 2.0], 50)
    y = np.repeat([0.0, 1.0], 50)
    curve = fit_curve("venn_abers", raw, y, np.ones(100))
    p0, p1 = venn_abers(np.array([0.0, 50.0]), np.array([50.0, 50.0]), 1.0)
    assert curve.probability(np.array([-2.0, 2.0])) == pytest.approx(p1 / (1 - p0 + p1))
    assert p1 == pytest.approx([1 / 51, 1.0])


def test_beta_undoes_beta():
    p = np.array([0.2, 0.7])
    shaped = CalibrationCurve("beta", (2.0, 0.5, 0.3)).probability(logit(p))
    assert shaped == pytest.approx(expit(2 * np.log(p) - 0.5 * np.log1p(-p) + 0.3))


@pytest.mark.parametrize("method", ["shift", "platt", "beta"])
def test_few_reviews_move_little(method):
    raw, y = np.zeros(3), np.ones(3)
    assert fit_curve(method, raw, y, np.ones(3)).probability(np.zeros(1))[0] < 0.85


def test_unequal_weights_count_for_what_they_are_worth():
    """A row of weight 1,000 among small ones is one review, not a thousand."""
    raw, y, weight = (
        np.zeros(41),
        np.append(np.ones(1), np.zeros(40)),
        np.append(1000.0, np.ones(40)),
    )
    assert 0.5 < fit_curve("shift", raw, y, weight).probability(np.zeros(1))[0] < 0.8
