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
