"""Kept libraries on the cases that they cover: a survey library, and prediction-powered inference."""

import numpy as np
import pytest
from scipy.special import expit

from errdetect.estimation.domains import bin_p_error, bin_variance_factors, gather_domains
from errdetect.estimation.score_intervals import rate_intervals

N = 50_000


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(11)
    p = expit(-2 + 1.5 * rng.standard_normal(N))
    return p, (rng.random(N) < p).astype(float), rng


def ours(p, draw, weight, error):
    bins = bin_p_error(p, N)
    spread = bin_variance_factors(bins, draw, weight)
    zero = np.zeros(N, int)
    cells = gather_domains(bins, spread, zero, 1, draw=draw, weight=weight, error=error)
    return rate_intervals(cells, whole=True)


def test_weighted_mean_and_width_agree_with_samplics(world):
    """Without a model it is Hajek's estimate, and somewhat wider than Taylor's interval.

    Wider, because without P(error) nothing says that the densely drawn are the ones that err.
    """
    samplics = pytest.importorskip("samplics")
    p, wrong, rng = world
    chance = np.where(p > 0.2, 0.06, 0.02)
    draw = np.flatnonzero(rng.random(N) < chance)
    limits = ours(None, draw, 1 / chance[draw], wrong[draw])
    taylor = samplics.TaylorEstimator(samplics.PopParam.mean)
    taylor.estimate(y=wrong[draw], samp_weight=1 / chance[draw])
    assert limits.estimate[0] == pytest.approx(float(taylor.point_est), abs=1e-6)
    width = float(taylor.upper_ci) - float(taylor.lower_ci)
    assert 0.95 * width < limits.high[0] - limits.low[0] < 1.2 * width


def test_estimate_and_width_agree_with_ppi_python_on_a_uniform_audit(world):
    ppi = pytest.importorskip("ppi_py")
    p, wrong, rng = world
    draw = rng.choice(N, 2000, replace=False)
    limits = ours(p, draw, np.full(2000, N / 2000), wrong[draw])
    low, high = ppi.ppi_mean_ci(wrong[draw], p[draw], p, alpha=0.05)
    low, high = float(np.ravel(low)[0]), float(np.ravel(high)[0])
    assert limits.estimate[0] == pytest.approx((low + high) / 2, abs=0.2 * (high - low))
    assert limits.high[0] - limits.low[0] == pytest.approx(high - low, rel=0.1)
