import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from errdetect.model.evaluation import reliability_by_segment, reliability_table


def draw(n, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.beta(1, 4, n)
    return (rng.random(n) < p).astype(float), p, rng.choice([1.0, 3.0], n)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 900), st.integers(0, 1000))
def test_groups_are_ordered_and_hold_every_review(n, seed):
    y, p, w = draw(n, seed)
    w[::7] = 0
    table = reliability_table(y, p, w)
    assert len(table) <= 10
    assert table["n"].sum() == (0 if len(table) == 0 else (w > 0).sum())
    assert table["predicted"].is_monotonic_increasing
    assert ((table["low"] <= table["observed"]) & (table["observed"] <= table["high"])).all()


def test_true_probabilities_hold_and_false_ones_do_not():
    y, p, w = draw(6000)
    table = reliability_table(y, p, w)
    assert ((table["low"] <= table["predicted"]) & (table["predicted"] <= table["high"])).sum() >= 8
    wrong = reliability_table(y, np.sqrt(p), w)
    assert (wrong["high"] < wrong["predicted"]).sum() >= 8


def test_fewer_than_thirty_reviews_are_no_figure():
    y, p, w = draw(29)
    assert reliability_table(y, p, w).empty
    assert reliability_by_segment(y, p, w, pd.DataFrame({"market": ["PL"] * 29})).empty


def test_weights_count_as_decisions_and_widen_the_interval():
    y, p = np.append(np.ones(30), np.zeros(30)), np.full(60, 0.5)
    w = np.append(np.full(30, 9.0), np.ones(30))
    row = reliability_table(y, p, w, bins=1).iloc[0]
    even = reliability_table(y, p, np.ones(60), bins=1).iloc[0]
    assert row["observed"] == 0.9
    assert row["n"] == 60
    narrow = even["high"] - even["low"]  # at a half; at .9 as many reviews would tell more
    assert row["high"] - row["low"] > 0.6 * narrow


def test_only_a_planted_segment_stands_out():
    y, p, _ = draw(8000)
    market = np.array([f"m{i % 20:02}" for i in range(8000)], dtype=object)
    planted = market == "m07"
    y[planted] = (np.random.default_rng(1).random(planted.sum()) < p[planted] * 2).astype(float)
    market[::50] = None
    found = reliability_by_segment(y, p, np.ones(8000), pd.DataFrame({"market": market}))
    assert found.loc[found["differs"], "value"].tolist() == ["m07"]
    assert len(found) == 20


def test_chance_seldom_makes_any_segment_stand_out():
    market = pd.DataFrame({"market": [f"m{i % 20}" for i in range(2000)]})
    any_ = [reliability_by_segment(*draw(2000, s), market)["differs"].any() for s in range(40)]
    assert sum(any_) <= 6


def test_a_column_with_one_value_has_no_segments():
    y, p, w = draw(200)
    segments = pd.DataFrame({"policy_id": ["spam"] * 200, "market": ["PL", "DE"] * 100})
    assert reliability_by_segment(y, p, w, segments)["column"].unique().tolist() == ["market"]
