"""Rates made of other rates."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errdetect.estimation.misclassification_intervals import (
    Misclassification,
    corrected_interval,
    recall_interval,
)
from errdetect.stats.intervals import Interval


def at(value, low, high):
    return Interval(*(np.array([float(v)]) for v in (value, low, high)))


@settings(max_examples=40, deadline=None)
@given(
    caught=st.floats(1, 1000),
    missed=st.floats(1, 1000),
    a=st.floats(0.01, 0.9),
    b=st.floats(0.01, 0.9),
)
def test_recall_holds_its_estimate(caught, missed, a, b):
    limits = recall_interval(
        at(caught, caught * (1 - a), caught * (1 + a)),
        at(missed, missed * (1 - b), missed * (1 + b)),
    )
    assert 0 <= limits.low[0] <= limits.estimate[0] <= limits.high[0] <= 1
    assert limits.estimate[0] == pytest.approx(caught / (caught + missed))


def test_recall_of_nothing_is_unknown():
    limits = recall_interval(at(0, 0, 3), at(0, 0, 2))
    assert np.isnan(limits.estimate[0])
    assert (limits.low[0], limits.high[0]) == (0, 1)


def test_recall_where_nothing_missed_was_seen_reaches_one():
    limits = recall_interval(at(100, 90, 110), at(0, 0, 20))
    assert limits.high[0] == 1
    assert 0.8 < limits.low[0] < 0.85


def test_exact_reviewers_leave_a_rate_as_it_was():
    perfect = Misclassification(at(1, 1, 1), at(0, 0, 0))
    limits = corrected_interval(at(0.2, 0.15, 0.27), perfect)
    assert [limits.low[0], limits.estimate[0], limits.high[0]] == pytest.approx([0.15, 0.2, 0.27])


def test_a_rate_below_the_false_alarms_is_zero_not_negative():
    limits = corrected_interval(
        at(0.01, 0.005, 0.02), Misclassification(at(0.9, 0.8, 0.95), at(0.03, 0.01, 0.06))
    )
    assert limits.estimate[0] == 0
    assert limits.low[0] == 0
    assert limits.high[0] > 0


@pytest.mark.parametrize("scale", [0.001, 0.01, 1.0, 1000.0])
def test_recall_does_not_depend_on_the_unit_of_its_totals(scale):
    def total(*values):
        return Interval(*(np.array([v]) for v in values))

    def scaled(*values):
        return total(*(v * scale for v in values))

    found = recall_interval(scaled(80.0, 70.0, 90.0), scaled(20.0, 15.0, 26.0))
    wanted = recall_interval(total(80.0, 70.0, 90.0), total(20.0, 15.0, 26.0))
    assert [float(v[0]) for v in (found.low, found.estimate, found.high)] == pytest.approx(
        [float(v[0]) for v in (wanted.low, wanted.estimate, wanted.high)], abs=1e-7
    )


def test_one_uncertain_error_rate_alone_gives_the_rates_at_its_limits():
    """With all else exact the corrected rate is a monotone function of it."""
    rate = at(0.3, 0.3, 0.3)
    alarm = corrected_interval(rate, Misclassification(at(1, 1, 1), at(0.1, 0.04, 0.2)))
    assert alarm.estimate[0] == pytest.approx(0.2 / 0.9)
    assert alarm.low[0] == pytest.approx((0.3 - 0.2) / (1 - 0.2), abs=1e-7)
    assert alarm.high[0] == pytest.approx((0.3 - 0.04) / (1 - 0.04), abs=1e-7)
    found = corrected_interval(rate, Misclassification(at(0.8, 0.7, 0.95), at(0, 0, 0)))
    assert found.estimate[0] == pytest.approx(0.3 / 0.8)
    assert found.low[0] == pytest.approx(0.3 / 0.95, abs=1e-7)
    assert found.high[0] == pytest.approx(0.3 / 0.7, abs=1e-7)
