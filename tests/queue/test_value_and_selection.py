import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errdetect.data.policies import Policy
from errdetect.errors import DataError
from errdetect.queue.selection import budget_count, select
from errdetect.queue.value import expected_harm


def test_harm_is_of_the_kind_that_the_error_would_be():
    policies = {"p": Policy("p", "P", severity=2, harm_missed=7.0)}
    frame = pd.DataFrame({"policy_id": ["p", "p", "new"], "enforced": [True, False, False]})
    assert expected_harm(frame, np.full(3, 0.5), policies).tolist() == [1.0, 3.5, 0.5]


def test_exposure_weighs_and_unknown_exposure_weighs_one():
    frame = pd.DataFrame({"policy_id": "p", "enforced": True, "exposure": [0.0, np.e - 1, np.nan]})
    p = np.ones(3)
    assert expected_harm(frame, p, {}, "log").tolist() == pytest.approx([1, 2, 1])
    assert expected_harm(frame, p, {}, "linear").tolist() == pytest.approx([0, np.e - 1, 1])
    assert expected_harm(frame, p, {}, "none").tolist() == [1, 1, 1]


def test_budgets_are_counts_or_shares():
    assert [budget_count(b, 200) for b in (1, 50, 1000, 0.1, 1.0, 0.0001)] == [
        1,
        50,
        200,
        20,
        200,
        1,
    ]


@settings(max_examples=150)
@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 40), st.floats(0.01, 1))
def test_what_every_selection_keeps(seed, n, budget, share):
    rng = np.random.default_rng(seed)
    value, open_ = rng.random(n), rng.random(n) < 0.7
    chosen = select(value, open_, budget=budget, explore_share=share, rng=rng)
    queued = np.concatenate([chosen.ranked, chosen.explored])
    assert len(queued) == len(set(queued)) == min(budget, open_.sum())
    assert open_[queued].all()
    assert (np.diff(value[chosen.ranked]) <= 0).all()
    pi = chosen.inclusion_probability
    assert ((pi > 0) & (pi <= 1)).all()
    assert (pi[chosen.ranked] == 1).all()
    assert (pi[~open_] == 1).all()
    assert pi[open_].sum() == pytest.approx(len(queued))
    rest = np.setdiff1d(np.flatnonzero(open_), chosen.ranked)
    if len(chosen.ranked) and len(rest):
        assert value[chosen.ranked].min() >= value[rest].max()


def test_inclusion_probabilities_are_the_frequencies():
    value, open_ = np.arange(30.0), np.arange(30) % 5 != 0
    seen, stated = np.zeros(30), np.zeros(30)
    for seed in range(4000):
        chosen = select(value, open_, budget=10, explore_share=0.4, rng=np.random.default_rng(seed))
        seen[np.concatenate([chosen.ranked, chosen.explored])] += 1 / 4000
        stated = chosen.inclusion_probability
    assert np.abs(seen - stated)[open_].max() < 0.04


def test_ties_keep_the_input_s_order():
    chosen = select(
        np.ones(9), np.ones(9, bool), budget=3, explore_share=0.01, rng=np.random.default_rng(0)
    )
    assert chosen.ranked.tolist() == [0, 1]


def test_no_budget():
    with pytest.raises(DataError, match="The budget must be at least 1 review, got 0"):
        select(
            np.ones(2), np.ones(2, bool), budget=0, explore_share=0.1, rng=np.random.default_rng(0)
        )


def test_a_wrong_label_harms_in_its_own_way():
    frame = pd.DataFrame({"policy_id": ["a"] * 3, "enforced": [True] * 3})
    policies = {"a": Policy("a", "A", severity=2, harm_wrongful=10.0)}
    p = np.array([0.5, 0.5, 0.5])
    harm = expected_harm(frame, p, policies, "none", np.array([np.nan, 0.0, 0.4]))
    np.testing.assert_allclose(harm, [5.0, 5.0, 0.1 * 10 + 0.4 * 2])
