"""Intervals of rates: against libraries, and what must hold for every input."""

import math
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from statsmodels.stats.proportion import proportion_confint

from errdetect.stats.intervals import (
    bootstrap_interval,
    clopper_pearson,
    clustered_rates,
    critical_value,
    find_roots,
    rate_difference,
    wilson,
    wilson_half_width,
)

RATES = st.floats(0, 1)
TRIALS = st.floats(1e-3, 1e6)
CONFIDENCES = st.floats(0.5, 0.999)


class Rate(NamedTuple):
    estimate: float
    low: float
    high: float


KNOWN = (
    st.lists(st.floats(0, 1), min_size=3, max_size=3)
    .map(sorted)
    .map(lambda r: Rate(r[1], r[0], r[2]))
)


def counts_interval(method, rate, n, confidence=0.95):
    """Return one rate's interval by a method: Wilson's takes rates, Clopper and Pearson's counts."""
    count, trials = np.array([rate * n]), np.array([n])
    if method is wilson:
        return wilson(np.array([rate]), trials, confidence)
    return clopper_pearson(count, trials, confidence)


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 500), share=RATES, confidence=CONFIDENCES)
def test_wilson_is_the_one_of_statsmodels(n, share, confidence):
    x = round(share * n)
    _, low, high = wilson(np.array([x / n]), np.array([float(n)]), confidence)
    expected = proportion_confint(x, n, 1 - confidence, method="wilson")
    assert (low[0], high[0]) == pytest.approx(np.clip(expected, 0, 1), abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 500), share=RATES, confidence=CONFIDENCES)
def test_clopper_pearson_is_the_one_of_statsmodels(n, share, confidence):
    x = round(share * n)
    _, low, high = clopper_pearson(np.array([float(x)]), np.array([float(n)]), confidence)
    expected = proportion_confint(x, n, 1 - confidence, method="beta")
    assert (low[0], high[0]) == pytest.approx(np.nan_to_num(expected, nan=0.0), abs=1e-9)


@pytest.mark.parametrize("method", [wilson, clopper_pearson])
@given(rate=RATES, n=TRIALS, confidence=CONFIDENCES)
def test_an_interval_contains_its_estimate(method, rate, n, confidence):
    estimate, low, high = (v[0] for v in counts_interval(method, rate, n, confidence))
    assert estimate == pytest.approx(rate)
    assert 0 <= low <= estimate <= high <= 1


@pytest.mark.parametrize("method", [wilson, clopper_pearson])
@given(rate=RATES, n=TRIALS, confidences=st.tuples(CONFIDENCES, CONFIDENCES))
def test_more_confidence_never_narrows(method, rate, n, confidences):
    narrow, wide = (counts_interval(method, rate, n, c) for c in sorted(confidences))
    assert wide.low[0] <= narrow.low[0] + 1e-9
    assert wide.high[0] >= narrow.high[0] - 1e-9


@pytest.mark.parametrize("method", [wilson, clopper_pearson])
@given(count=st.integers(0, 50), n=st.integers(1, 50), more=st.integers(2, 20))
def test_more_trials_narrow(method, count, n, more):
    rate = min(count, n) / n
    few, many = (counts_interval(method, rate, float(k)) for k in (n, n * more))
    assert many.high[0] - many.low[0] < few.high[0] - few.low[0]


@given(rate=RATES, n=st.floats(0, 1e6), confidence=CONFIDENCES)
def test_half_the_width_is_wilson_s_where_nothing_is_cut(rate, n, confidence):
    _, low, high = wilson(np.array([rate]), np.array([n]), confidence)
    half = wilson_half_width(np.array([rate]), np.array([n]), confidence)[0]
    assert (high[0] - low[0]) / 2 == pytest.approx(half, abs=1e-12)


def test_nothing_seen_says_nothing():
    _, low, high = wilson(np.array([0.3, np.nan]), np.array([0.0, 0.0]))
    assert (low[0], high[0]) == (0.0, 1.0)
    assert np.isnan([low[1], high[1]]).all()


@given(confidence=CONFIDENCES, comparisons=st.integers(1, 1000))
def test_critical_value_shares_the_error_among_comparisons(confidence, comparisons):
    expected = norm.isf((1 - confidence) / 2 / comparisons)
    assert critical_value(confidence, comparisons) == pytest.approx(expected, rel=1e-9)


@given(KNOWN, KNOWN)
def test_a_difference_holds_its_estimate_and_turns_around_with_its_rates(one, other):
    there, back = Rate(*rate_difference(one, other)), Rate(*rate_difference(other, one))
    assert -1 <= there.low <= there.estimate <= there.high <= 1
    assert there.low == pytest.approx(-back.high)
    assert there.high == pytest.approx(-back.low)


@given(KNOWN, KNOWN)
def test_a_difference_is_clear_wherever_the_intervals_lie_apart(one, other):
    gap = Rate(*rate_difference(one, other))
    if other.low > one.high:
        assert gap.high <= 0
    if other.high < one.low:
        assert gap.low >= 0


def test_equal_half_widths_add_by_their_squares():
    _, _, high = rate_difference(Rate(0.5, 0.4, 0.6), Rate(0.5, 0.4, 0.6))
    assert high == pytest.approx(0.1 * math.sqrt(2))


def test_the_interval_of_a_difference_covers_about_as_often_as_it_says():
    rng = np.random.default_rng(5)
    p, q, n, covered = 0.12, 0.07, 400, 0
    for _ in range(2000):
        seen = wilson(rng.binomial(n, [p, q]) / n, np.full(2, float(n)))
        one, other = (Rate(*(float(v[i]) for v in seen)) for i in (0, 1))
        _, low, high = rate_difference(one, other)
        covered += low <= p - q <= high
    assert 0.935 < covered / 2000 < 0.97


@settings(max_examples=40, deadline=None)
@given(root=st.floats(-30, 30), end=st.floats(31, 40), scale=st.floats(1e-3, 1e3))
def test_find_roots_finds_the_root(root, end, scale):
    found = find_roots(
        lambda x: scale * np.expm1((x - root) / 10), np.array([-40.0]), np.array([end])
    )
    assert found[0] == pytest.approx(root, abs=1e-7)


def test_find_roots_without_a_root_returns_the_end():
    found = find_roots(lambda x: x - np.array([5.0, 0.5]), np.zeros(2), np.ones(2))
    assert found == pytest.approx([1.0, 0.5])


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


def test_bootstrap_covers():
    hits = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        x = (rng.random(100) < 0.3).astype(float)
        low, high = bootstrap_interval(
            lambda w, x=x: np.array([np.average(x, weights=w)]),
            np.ones(100),
            resamples=200,
            rng=rng,
        )
        hits += int(low[0] <= 0.3 <= high[0])
    assert hits >= 180
