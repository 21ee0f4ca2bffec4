import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errdetect.explanations.drivers import DRIVERS, MIN_DECISIONS, ExplainedSample, error_drivers
from errdetect.explanations.reason_templates import load_templates
from errdetect.features.feature_matrix import ReferenceDistribution

CODES = ["margin", "market", "price", "text"]


def table(
    pushes: np.ndarray, policy: list[str], p: np.ndarray | None = None, seed: int = 0, **more
) -> pd.DataFrame:
    frame = pd.DataFrame(
        {"decision_id": [f"d{i:04}" for i in range(len(policy))], "policy_id": policy}
    )
    p = np.ones(len(policy)) if p is None else p
    sample = ExplainedSample(frame, pd.DataFrame(pushes, columns=CODES), p, **more)
    rng = np.random.default_rng(seed)
    return error_drivers(sample, load_templates(), ReferenceDistribution(), rng)


def test_shares_add_up_by_policy():
    rng = np.random.default_rng(0)
    found = table(rng.normal(size=(60, 4)), ["a", "b", "c"] * 20, rng.random(60))
    assert tuple(found.columns) == DRIVERS
    sums = found.groupby(found["policy_id"].fillna("all"))["share"].sum()
    assert sums.tolist() == pytest.approx([1] * 4)
    assert set(found.loc[found["policy_id"] == "a", "n_decisions"]) == {20}
    whole = found[found["policy_id"].isna()]
    assert whole["share"].is_monotonic_decreasing
    assert whole["rank"].tolist() == [1, 2, 3, 4]


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 80))
def test_limits_hold_what_they_are_about(seed, n):
    rng = np.random.default_rng(seed)
    pushes = rng.normal(size=(n, 4)) ** 3
    found = table(
        pushes, list(rng.choice(["a", "b"], n)), rng.random(n), later=np.arange(n) >= n // 2
    )
    few = found["n_decisions"] < MIN_DECISIONS
    assert found.loc[few, ["low", "high"]].isna().all().all()
    enough = found[~few]
    assert (enough["low"] <= enough["share"]).all()
    assert (enough["share"] <= enough["high"]).all()
    assert (enough["low"] >= 0).all()
    assert (enough["high"] <= 1).all()
    assert (found["rank_low"] <= found["rank"]).all()
    assert (found["rank"] <= found["rank_high"]).all()
    change = (found["share_after"] - found["share_before"]).dropna()
    told = found.loc[change.index]
    assert (told["change_low"] <= change + 1e-12).all()
    assert (change <= told["change_high"] + 1e-12).all()


def test_too_few_decisions_cannot_tell():
    found = table(np.ones((29, 4)), ["a"] * 29)
    assert found["stable"].isna().all()
    assert found[["share_before", "moved"]].isna().all().all()


def test_steady_and_unsteady_places():
    rng = np.random.default_rng(1)
    steady = np.abs(rng.normal([8.0, 4.0, 2.0, 1.0], 0.3, size=(300, 4)))
    assert table(steady, ["a"] * 300)["stable"].all()
    wild = rng.exponential(1, size=(40, 4)) ** 4
    assert not table(wild, ["a"] * 40)["stable"].any()


def test_a_move_is_told_and_chance_is_not():
    rng = np.random.default_rng(2)
    pushes = rng.exponential(1, size=(400, 4))
    later = np.arange(400) >= 200
    calm = table(pushes, ["a"] * 400, later=later)
    assert not calm["moved"].any()
    pushes[200:, 2] += 3
    moved = table(pushes, ["a"] * 400, later=later).set_index(["policy_id", "code"])
    price = moved.loc[("a", "price")]
    assert price["moved"]
    assert (
        0
        < price["change_low"]
        < price["share_after"] - price["share_before"]
        < price["change_high"]
    )
    assert moved.loc[("a", "text"), "change_high"] < 0


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(3)
    mean = np.array([4.0, 3.0, 2.0, 1.0])
    hits = 0
    for seed in range(60):
        found = table(rng.exponential(mean, size=(80, 4)), ["a"] * 80, seed=seed)
        whole = found[found["policy_id"].isna()].set_index("code").loc[CODES]
        truth = mean / mean.sum()
        hits += int(((whole["low"] <= truth) & (truth <= whole["high"])).sum())
    assert 0.88 <= hits / 240 <= 0.99


def test_a_sample_counts_for_those_it_stands_for():
    pushes = np.array([[1.0, 0, 0, 0]] * 30 + [[0, 1.0, 0, 0]] * 30)
    policy = ["big"] * 30 + ["small"] * 30
    found = table(pushes, policy, stands_for=np.repeat([9.0, 1.0], 30))
    assert found.loc[found["policy_id"].isna(), "share"].tolist() == pytest.approx([0.9, 0.1])


def test_examples_show_it_most():
    pushes = np.zeros((40, 4))
    pushes[[3, 5, 7], 1] = [1.0, 3.0, 2.0]
    found = table(pushes, ["a"] * 40)
    assert found["example_ids"].iloc[0] == ["d0005", "d0007", "d0003"]
    assert len(found) == 2


def test_nothing_towards_error_gives_no_rows_but_all_columns():
    assert len(table(-np.ones((40, 4)), ["a"] * 40)) == 0
    assert tuple(table(np.empty((0, 4)), []).columns) == DRIVERS


def test_equal_input_gives_equal_output():
    pushes = np.random.default_rng(5).normal(size=(90, 4))
    policy = ["b", "a", "c"] * 30
    pd.testing.assert_frame_equal(table(pushes, policy), table(pushes, policy))
