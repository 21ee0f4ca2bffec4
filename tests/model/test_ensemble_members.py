import numpy as np
from scipy.special import expit

from errdetect.model.ensemble_members import AdditiveModel, fit_additive
from errdetect.stats.ranking_metrics import log_loss


def data(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A bent number that turns with the side, a category, and something unknown at times."""
    X = np.column_stack(
        [rng.normal(size=n), rng.integers(0, 3, n), rng.random(n) < 0.5, rng.normal(size=n)]
    )
    X[rng.random(n) < 0.2, 3] = np.nan
    z = np.abs(X[:, 0]) * (2 * X[:, 2] - 1) * 2 + (X[:, 1] == 2) * 1.5 - 0.5
    return X, (rng.random(n) < expit(z)).astype(float)


def fitted(n: int = 3000) -> AdditiveModel:
    X, y = data(n, np.random.default_rng(0))
    return fit_additive(X, y, np.ones(n), categories={1: 3}, side=2, ridge=5.0)


def test_bends_sides_and_categories_are_learnt():
    X, y = data(2000, np.random.default_rng(1))
    loss = log_loss(y, expit(fitted().raw(X)))
    assert loss < log_loss(y, np.full(2000, y.mean())) - 0.1


def test_parts_add_up_and_belong_to_their_columns():
    X, _ = data(100, np.random.default_rng(2))
    model = fitted()
    parts = model.contributions(X)
    np.testing.assert_allclose(parts.sum(axis=1), model.raw(X), atol=1e-12)
    moved = X.copy()
    moved[:, 1] = (moved[:, 1] + 1) % 3
    changed = np.abs(model.contributions(moved) - parts).sum(axis=0)
    assert changed[1] > 0
    assert changed[[0, 2, 3, 4]].sum() == 0


def test_unknown_numbers_are_a_level_of_their_own():
    model = fitted()
    X = np.array([[np.nan, np.nan, 1.0, np.nan]])
    assert np.isfinite(model.raw(X)).all()


def test_weights_are_repetitions():
    X, y = data(400, np.random.default_rng(3))
    w = np.where(np.arange(400) < 200, 2.0, 1.0)
    twice = np.concatenate([np.arange(200), np.arange(400)])
    how = {"categories": {1: 3}, "side": 2, "ridge": 5.0}
    weighted = fit_additive(X, y, w, **how)
    repeated = fit_additive(X[twice], y[twice], np.ones(600), **how)
    # quantiles are of rows, so knots differ a little; predictions hardly
    assert np.corrcoef(weighted.raw(X), repeated.raw(X))[0, 1] > 0.99


def test_arrays_bring_the_model_back():
    X, _ = data(50, np.random.default_rng(4))
    model = fitted(500)
    back = AdditiveModel.from_arrays(model.arrays())
    np.testing.assert_array_equal(back.raw(X), model.raw(X))


def test_columns_that_never_vary_or_are_never_known():
    X = np.column_stack([np.ones(60), np.full(60, np.nan), np.arange(60) % 2, np.arange(60.0)])
    y = (np.arange(60) >= 30).astype(float)
    model = fit_additive(X, y, np.ones(60), categories={}, side=2, ridge=1.0)
    assert np.isfinite(model.raw(X)).all()
    assert model.raw(X)[-1] > model.raw(X)[0]
