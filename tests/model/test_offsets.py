import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errdetect.model.calibration import ColumnOffsets, fit_offsets


def draw(shifts, n=800, seed=0):
    rng = np.random.default_rng(seed)
    column = pd.Series(np.repeat([f"s{i}" for i in range(len(shifts))], n), name="policy_id")
    p = rng.uniform(0.1, 0.5, len(column))
    odds = p / (1 - p) * np.exp(np.repeat(shifts, n))
    y = (rng.random(len(column)) < odds / (1 + odds)).astype(float)
    return column, y, p, np.ones(len(column))


def test_finds_what_was_planted():
    shifts = [1.0, 0.0, -0.7, 0.2]
    found = fit_offsets(*draw(shifts), 1.0)
    assert list(found.by_value.values()) == pytest.approx(shifts, abs=0.2)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000))
def test_chance_is_shrunk_away(seed):
    found = fit_offsets(*draw([0.0] * 20, n=60, seed=seed), 1.0)
    assert np.abs(list(found.by_value.values())).mean() < 0.2


def test_small_segments_move_less():
    column, y, p, w = draw([0.8, -0.8, 0.8, -0.8])
    few = np.ones(len(y), bool)
    few[30:800] = False  # 30 rows are left of the first
    found = fit_offsets(column[few], y[few], p[few], w[few], 1.0).by_value
    assert abs(found["s0"]) < abs(found["s2"])


def test_unseen_and_missing_add_nothing():
    column = pd.Series(pd.Categorical(["a", None, "new", "b"]))
    assert ColumnOffsets("c", {"a": 0.5, "b": -1.0}).of(column).tolist() == [0.5, 0.0, 0.0, -1.0]


def test_a_column_without_values_is_fitted_to_nothing():
    column = pd.Series([None] * 5, name="market", dtype="str")
    assert fit_offsets(column, np.ones(5), np.full(5, 0.5), np.ones(5), 1.0) == ColumnOffsets(
        "market", {}
    )
