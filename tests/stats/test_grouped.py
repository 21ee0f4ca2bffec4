"""Cut points between groups."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from errdetect.stats.group_sums import quantile_edges, sum_by_group


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.integers(1, 12))
def test_edges_rise_within_the_finite_values(values, bins):
    edges = quantile_edges(np.array([*values, np.nan, np.inf, -np.inf]), bins)
    assert len(edges) <= bins - 1
    assert (np.diff(edges) > 0).all()
    assert all(min(values) <= edge <= max(values) for edge in edges)


def test_without_finite_values_there_are_no_edges():
    assert len(quantile_edges(np.array([np.nan, np.inf]), 4)) == 0


def test_bools_are_counted():
    assert sum_by_group(np.array([0, 1, 1]), np.array([True, True, False]), 3).tolist() == [
        1.0,
        1.0,
        0.0,
    ]
