"""Rates made of other rates."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from errdetect.estimate.limits import Limits, Misjudgement, corrected_limits, cross, recall_limits
from errdetect.estimate.limits import wilson as wilson_limits


def at(value, low, high):
    return Limits(*(np.array([float(v)]) for v in (value, low, high)))


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 500), share=st.floats(0, 1))
def test_wilson_is_the_library_s(n, share):
    x = round(share * n)
    ours = wilson_limits(np.array([float(x)]), np.array([float(n)]))
    low, high = proportion_confint(x, n, method="wilson")
    assert ours.low[0] == pytest.approx(max(low, 0), abs=1e-9)
    assert ours.high[0] == pytest.approx(min(high, 1), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(root=st.floats(-30, 30), end=st.floats(31, 40), scale=st.floats(1e-3, 1e3))
def test_cross_finds_the_crossing(root, end, scale):
    found = cross(lambda x: scale * np.expm1((x - root) / 10), np.array([-40.0]), np.array([end]))
    assert found[0] == pytest.approx(root, abs=1e-7)


def test_cross_without_a_crossing_is_the_end():
    found = cross(lambda x: x - np.array([5.0, 0.5]), np.zeros(2), np.ones(2))
    assert found == pytest.approx([1.0, 0.5])


@settings(max_examples=40, deadline=None)
@given(
    caught=st.floats(1, 1000),
    missed=st.floats(1, 1000),
    a=st.floats(0.01, 0.9),
    b=st.floats(0.01, 0.9),
)
def test_recall_holds_its_estimate(caught, missed, a, b):
    limits = recall_limits(
        at(caught, caught * (1 - a), caught * (1 + a)),
        at(missed, missed * (1 - b), missed * (1 + b)),
    )
    assert 0 <= limits.low[0] <= limits.estimate[0] <= limits.high[0] <= 1
    assert limits.estimate[0] == pytest.approx(caught / (caught + missed))


def test_recall_of_nothing_is_unknown():
    limits = recall_limits(at(0, 0, 3), at(0, 0, 2))
    assert np.isnan(limits.estimate[0])
    assert (limits.low[0], limits.high[0]) == (0, 1)


def test_recall_where_nothing_missed_was_seen_reaches_one():
    limits = recall_limits(at(100, 90, 110), at(0, 0, 20))
    assert limits.high[0] == 1
    assert 0.8 < limits.low[0] < 0.85


def test_exact_reviewers_leave_a_rate_as_it_was():
    perfect = Misjudgement(at(1, 1, 1), at(0, 0, 0))
    limits = corrected_limits(at(0.2, 0.15, 0.27), perfect)
    assert [limits.low[0], limits.estimate[0], limits.high[0]] == pytest.approx([0.15, 0.2, 0.27])


def test_a_rate_below_the_false_alarms_is_zero_not_negative():
    limits = corrected_limits(
        at(0.01, 0.005, 0.02), Misjudgement(at(0.9, 0.8, 0.95), at(0.03, 0.01, 0.06))
    )
    assert limits.estimate[0] == 0
    assert limits.low[0] == 0
    assert limits.high[0] > 0
