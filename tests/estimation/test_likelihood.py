"""The empirical likelihood against a plain search for its multiplier."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit

from errdetect.estimation.domains import bin_p_error, bin_variance_factors, gather_domains
from errdetect.estimation.score_intervals import likelihood_interval


def plain(cells, theta_tilt):
    z = cells.draw_weight * (cells.draw_error - expit(cells.draw_logit + theta_tilt))
    low, high = -1 / z.max(), -1 / z.min()
    multiplier = brentq(
        lambda v: (z / (1 + v * z)).sum(), low * (1 - 1e-9), high * (1 - 1e-9), xtol=1e-14
    )
    return 2 * np.log1p(multiplier * z).sum()


def sample(errors, n=200, population=10**6):
    error = np.zeros(n)
    error[:errors] = 1
    bins = bin_p_error(None, population)
    draw, weight = np.arange(n), np.full(n, population / n)
    spread = bin_variance_factors(bins, draw, weight)
    zero = np.zeros(population, int)
    return gather_domains(bins, spread, zero, 1, draw=draw, weight=weight, error=error)


@pytest.mark.parametrize("errors", [1, 5, 60])
def test_limits_are_where_the_statistic_reaches_its_critical_value(errors):
    cells = sample(errors)
    limits = likelihood_interval(cells, 0, errors / 200, 0.95)
    assert limits is not None
    for rate in limits:
        tilt = np.log(rate / (1 - rate))
        assert plain(cells, tilt) == pytest.approx(3.8415, abs=0.01)


def test_one_class_has_no_likelihood_interval():
    assert likelihood_interval(sample(0), 0, 0.0, 0.95) is None
    assert likelihood_interval(sample(200), 0, 1.0, 0.95) is None
