import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from errdetect.labels.intervals import clustered_rates, wilson


@pytest.mark.parametrize(("count", "n"), [(0, 10), (3, 40), (40, 40), (1, 1), (250, 1_000)])
def test_wilson_is_the_one_of_statsmodels(count, n):
    low, high = wilson(np.array([count / n]), np.array([float(n)]))
    assert (low[0], high[0]) == pytest.approx(proportion_confint(count, n, method="wilson"))


def test_nothing_seen_says_nothing():
    low, high = wilson(np.array([0.3, np.nan]), np.array([0.0, 0.0]))
    assert (low[0], high[0]) == (0.0, 1.0)
    assert np.isnan([low[1], high[1]]).all()


def test_without_repeats_every_answer_counts():
    rng = np.random.default_rng(1)
    values = (rng.random(200) < 0.2).astype(float)
    mean, n = clustered_rates(values, np.repeat([0, 1], 100), np.arange(200), 3)
    np.testing.assert_allclose(mean[:2], [values[:100].mean(), values[100:].mean()])
    assert n.tolist() == [100, 100, 0]
    assert np.isnan(mean[2])


def test_repeats_that_agree_count_once():
    item = np.repeat(np.arange(50), 4)
    values = (item % 5 == 0).astype(float)
    mean, n = clustered_rates(values, np.zeros(200, dtype=int), item, 1)
    assert mean[0] == 0.2
    assert n[0] == pytest.approx(50)


def test_repeats_that_all_agree_are_worth_their_items():
    mean, n = clustered_rates(np.ones(12), np.zeros(12, dtype=int), np.arange(12) % 3, 1)
    assert (mean[0], n[0]) == (1.0, 3.0)


def test_repeats_that_are_independent_count_in_full():
    rng = np.random.default_rng(2)
    values = (rng.random(40_000) < 0.3).astype(float)
    item = np.arange(40_000) % 10_000
    n = clustered_rates(values, np.zeros(40_000, dtype=int), item, 1)[1]
    assert n[0] > 38_000
