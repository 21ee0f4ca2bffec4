"""Sequential tests of a rise: valid at every look, and quick where there is one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errdetect.stats.drift import population_stability
from errdetect.stats.sequential import (
    ReferenceRate,
    e_benjamini_hochberg,
    reference_rate,
    rise_evidence,
)

EVEN = ReferenceRate(0.05, 0.05, 1000, 1.0, 1.0)


def evidence(error, weight, *, limit=0.05, per_day=20, cluster=None, reference=EVEN):
    day = np.arange(len(error)) // per_day
    own = np.arange(len(error)) if cluster is None else cluster
    return rise_evidence(
        error, weight, day, own, limit=limit, reference=reference, n_days=int(day[-1]) + 1
    )


def test_at_the_limit_few_years_pass_the_threshold():
    rng = np.random.default_rng(0)
    crossed = [
        evidence((rng.random(364 * 20) < 0.05) * 1.0, np.ones(364 * 20)).e_value.max() >= 10
        for _ in range(120)
    ]
    assert np.mean(crossed) <= 0.1 + 2 * np.sqrt(0.1 * 0.9 / 120)


def test_with_unequal_weights_few_years_pass_the_threshold():
    """Unlikely errors weigh eight times as much, and the weighted rate is the limit."""
    rng = np.random.default_rng(1)
    crossed = []
    for _ in range(120):
        rare = rng.random(364 * 20) < 0.5
        weight = np.where(rare, 8.0, 1.0)
        error = (rng.random(len(rare)) < np.where(rare, 0.04, 0.13)) * 1.0  # (8*.04+.13)/9 = .05
        reference = ReferenceRate(0.05, 0.05, 1000, 4.5, 32.5 / 4.5**2)
        crossed.append(evidence(error, weight, reference=reference).e_value.max() >= 10)
    assert np.mean(crossed) <= 0.1 + 2 * np.sqrt(0.1 * 0.9 / 120)


@pytest.mark.parametrize(
    ("rare", "error", "probability"),
    [
        (0.2, (0.4, 0.02), (0.9, 0.02)),
        (0.1, (0.2, 0.0), (0.5, 0.002)),
        (0.05, (0.35, 0.0), (0.5, 0.005)),
    ],
)
def test_audits_of_likely_errors_do_not_alarm_by_their_heavy_draws(rare, error, probability):
    """Few draws stand for many decisions that hardly ever err; the weighted rate is the limit."""
    rng = np.random.default_rng(3)
    shares = np.array([1 - rare, rare])
    limit = float(shares @ np.array(error))
    drawn = shares * np.array(probability)

    def year(days):
        group = rng.choice(2, 43 * days, p=drawn / drawn.sum())
        wrong = (rng.random(len(group)) < np.array(error)[group]) * 1.0
        return wrong, 1 / np.array(probability)[group]

    crossed = []
    for _ in range(100):
        known, heavy = year(91)
        reference = reference_rate(known, heavy, np.arange(len(known)))
        found = evidence(*year(364), limit=limit, per_day=43, reference=reference)
        crossed.append(found.e_value.max() >= 10)
    assert np.mean(crossed) <= 0.1 + 2 * np.sqrt(0.1 * 0.9 / 100)


def test_a_cluster_of_a_day_is_one_bet():
    """Answers repeated ten times, as accounts with ten equal decisions, are no tenfold evidence."""
    rng = np.random.default_rng(2)
    once = (rng.random(400) < 0.05) * 1.0
    tenfold = np.repeat(once, 10)
    kept = evidence(tenfold, np.ones(4000), per_day=200, cluster=np.repeat(np.arange(400), 10))
    loose = evidence(tenfold, np.ones(4000), per_day=200)
    assert np.log(kept.e_value).std() < np.log(loose.e_value).std()
    assert kept.e_value.max() < 20


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=5, max_size=60), st.floats(0.01, 0.9))
def test_evidence_is_never_negative_and_finite(error, limit):
    found = evidence(np.array(error), np.ones(len(error)), limit=limit, per_day=1)
    assert (found.e_value >= 0).all()
    assert np.isfinite(found.e_value).all()


def test_each_step_is_fair_at_the_limit():
    """The mean of tomorrow's evidence over both answers, at the limit, is today's."""
    past = np.array([0.0, 1.0, 0.0, 0.0, 1.0])
    limit = 0.2
    ends = [
        evidence(np.append(past, y), np.ones(6), limit=limit, per_day=1).e_value for y in (0.0, 1.0)
    ]
    assert limit * ends[1][-1] + (1 - limit) * ends[0][-1] == pytest.approx(ends[0][-2])


def test_a_rise_is_found_with_its_day():
    rng = np.random.default_rng(3)
    rate = np.where(np.arange(200 * 40) // 40 < 100, 0.05, 0.12)
    found = evidence((rng.random(len(rate)) < rate) * 1.0, np.ones(len(rate)), per_day=40)
    first = found.first_above(100.0)
    assert first is not None
    assert 100 <= first <= 120
    assert 91 <= found.start[first] <= 112


def test_the_new_year_has_a_new_budget():
    error = np.zeros(800)
    error[350:364] = 1.0
    found = evidence(error, np.ones(800), per_day=1)
    assert found.e_value[363] > 1e6
    assert found.e_value[370] < 2  # the first full week of the new year


def test_reference_limits_hold_for_clusters():
    rng = np.random.default_rng(4)
    below = 0
    for _ in range(300):
        fate = rng.beta(0.5, 4.5, 150)
        error = (rng.random((150, 4)) < fate[:, None]).astype(float).ravel()
        found = reference_rate(error, np.ones(600), np.repeat(np.arange(150), 4), miss=0.05)
        below += found.upper < 0.1
    assert below / 300 <= 0.09


def test_without_answers_the_reference_is_unknown():
    nothing = reference_rate(np.array([]), np.array([]), np.array([], dtype=np.int64))
    assert nothing.n == 0
    assert np.isnan(nothing.upper)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=12), st.sampled_from([0.01, 0.05, 0.2]))
def test_any_discovery_means_that_the_mean_evidence_suffices(values, level):
    """So the budget holds whatever the segments' dependence, at every look."""
    e = np.array(values)
    if e_benjamini_hochberg(e, level).any():
        assert e.mean() >= 1 / level - 1e-9


def test_discoveries_are_the_largest():
    found = e_benjamini_hochberg(np.array([1.0, 500.0, 90.0, 2.0]), 0.05)
    assert found.tolist() == [False, True, True, False]


def test_stability_is_symmetric_and_grows():
    even, bent, more = np.array([0.5, 0.5]), np.array([0.6, 0.4]), np.array([0.9, 0.1])
    assert population_stability(even, bent) == pytest.approx(population_stability(bent, even))
    assert 0 < population_stability(even, bent) < population_stability(even, more)
    assert np.isfinite(population_stability(even, np.array([1.0, 0.0])))
