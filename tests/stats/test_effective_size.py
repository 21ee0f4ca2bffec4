"""What unequal weights are worth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errdetect.stats.effective_size import effective_size, effective_size_from_sums, effective_sizes

WEIGHTS = st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=30)


@given(WEIGHTS, st.floats(1e-3, 1e3))
def test_between_one_and_the_number_of_rows_whatever_the_scale(values, scale):
    weight = np.array(values)
    size = effective_size(weight)
    assert 1 - 1e-9 <= size <= len(weight) + 1e-9
    assert effective_size(weight * scale) == pytest.approx(size)


@given(st.integers(1, 50), st.floats(1e-3, 1e3))
def test_equal_weights_count_in_full(n, weight):
    assert effective_size(np.full(n, weight)) == pytest.approx(n)


@given(WEIGHTS)
def test_rows_without_weight_count_nothing(values):
    weight = np.array(values)
    assert effective_size(np.append(weight, [0.0, 0.0])) == pytest.approx(effective_size(weight))


@given(st.lists(st.tuples(st.floats(0, 1e3), st.integers(0, 3)), max_size=30))
def test_groups_are_the_same_one_by_one(rows):
    weight = np.array([w for w, _ in rows])
    group = np.array([g for _, g in rows], dtype=np.int64)
    expected = [effective_size(weight[group == g]) for g in range(5)]
    np.testing.assert_allclose(effective_sizes(weight, group, 5), expected)


def test_no_weight_is_worth_nothing():
    assert effective_size(np.empty(0)) == effective_size(np.zeros(3)) == 0.0
    assert effective_size_from_sums(np.zeros(2), np.zeros(2)).tolist() == [0.0, 0.0]
