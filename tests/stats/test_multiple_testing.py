"""False discovery rates: against a library, and what must hold for every input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from errdetect.stats.multiple_testing import adaptive_q_values, benjamini_hochberg

P_VALUES = st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=30)


@given(P_VALUES)
@settings(max_examples=50)
def test_q_values_are_the_ones_of_scipy(values):
    p = np.array(values)
    np.testing.assert_allclose(benjamini_hochberg(p), false_discovery_control(p), atol=1e-12)
    assert benjamini_hochberg(p, np.full(len(p), 3.0)) == pytest.approx(benjamini_hochberg(p))


@given(P_VALUES)
@settings(max_examples=50)
def test_q_values_keep_order_and_are_never_below_p(values):
    p = np.array(values)
    q = benjamini_hochberg(p)
    assert (q >= p - 1e-12).all()
    assert (q <= 1).all()
    assert (np.diff(q[np.argsort(p, kind="stable")]) >= -1e-12).all()


@given(P_VALUES, st.floats(0.01, 0.5))
@settings(max_examples=50)
def test_discoveries_are_those_of_the_step_up_rule(values, rate):
    p = np.array(values)
    ranked, k = np.sort(p), np.arange(1, len(p) + 1)
    # Only away from the bar itself, where rounding decides.
    if (np.abs(ranked * len(p) / k - rate) > 1e-9).all():
        last = ranked[ranked <= rate * k / len(p)].max(initial=-1.0)
        assert ((benjamini_hochberg(p) <= rate) == (p <= last)).all()


def test_a_favoured_test_needs_less():
    p = np.array([0.03, 0.03, 0.9, 0.9])
    q = benjamini_hochberg(p, np.array([3.0, 0.5, 0.25, 0.25]))
    assert q[0] < 0.05 < q[1]


@given(P_VALUES)
@settings(max_examples=50)
def test_adaptive_q_values_are_never_above_the_usual_ones(values):
    p = np.array(values)
    usual, adaptive = benjamini_hochberg(p), adaptive_q_values(p)
    assert (adaptive <= usual).all()
    if (p > 0.5).mean() >= 0.5:
        assert adaptive.tolist() == usual.tolist()


@pytest.mark.parametrize("method", [benjamini_hochberg, adaptive_q_values])
def test_without_tests_there_are_no_q_values(method):
    assert method(np.empty(0)).tolist() == method(np.empty(0), np.empty(0)).tolist() == []
