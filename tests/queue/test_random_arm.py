"""The random part is a function of seed and ids: the same on one machine and on many."""

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from errdetect.queue.allocation import OpenReviews
from errdetect.queue.random_arm import (
    UNIT,
    draw_random_arm,
    group_reviews,
    id_hashes,
    plan_random_arm,
    random_keys,
)


def reviews(seed, n):
    rng = np.random.default_rng(seed)
    p = rng.choice([0.0, 0.5, 1.0, 1e-12, *rng.beta(0.3, 4, 50)], n)
    possible = OpenReviews(
        p * rng.gamma(1, 2, n), rng.choice([1.0, 2.5], n), rng.integers(0, 2, n), np.eye(2) > 0
    )
    return p, possible, id_hashes(pd.Series([f"d{i}" for i in range(n)]))


@settings(max_examples=50)
@given(st.integers(0, 10**6), st.integers(1, 400), st.floats(1, 120))
def test_the_input_s_order_changes_nothing(seed, n, room):
    p, possible, identity = reviews(seed, n)
    rows = np.random.default_rng(seed).permutation(n)
    capacity, everybody = np.array([room, room / 2]), np.ones(n, bool)
    plan = plan_random_arm(p, possible, capacity, members=everybody)
    other = plan_random_arm(p[rows], possible.take(rows), capacity, members=everybody)
    assert (plan.probability[rows] == other.probability).all()
    drawn, again = draw_random_arm(plan, identity, "3"), draw_random_arm(other, identity[rows], "3")
    assert identity[drawn].tolist() == identity[rows][again].tolist()


@settings(max_examples=50)
@given(st.integers(0, 10**6), st.integers(1, 400), st.floats(1, 120))
def test_probabilities_are_units_that_add_up_to_whole_reviews(seed, n, room):
    p, possible, _ = reviews(seed, n)
    plan = plan_random_arm(p, possible, np.array([room, room]), members=np.ones(n, bool))
    units = plan.probability * UNIT
    assert (units == np.rint(units)).all()
    for pool in np.unique(plan.home):
        total = int(units[plan.home == pool].astype(np.int64).sum())
        assert abs(total - UNIT * round(total / UNIT)) <= n / 2


def test_a_group_holds_reviews_that_differ_little():
    p, possible, _ = reviews(1, 2_000)
    size = np.random.default_rng(2).integers(1, 4, 2_000).astype(float)
    groups, code = group_reviews(p, possible, size)
    assert (np.bincount(code) == groups.count).all()
    for exact, rough in ((p, groups.p_error[code]), (possible.value, groups.value[code])):
        assert (np.abs(exact - rough) <= 0.035 * exact + 1e-300).all()
    left = np.abs((1 - p) - (1 - groups.p_error[code]))
    assert (left <= 0.035 * (1 - p) + 1e-15).all()
    assert (groups.size[code] == size).all()
    assert (groups.minutes[code] == possible.minutes).all()
    assert (groups.of[code] == possible.of).all()


def test_keys_are_even_and_unrelated_between_seeds():
    identity = np.arange(100_000, dtype=np.uint64)
    one, other = (random_keys(identity, seed) / 2.0**64 for seed in ("1", "2"))
    for keys in (one, other):
        counts = np.bincount((keys * 100).astype(int), minlength=100)
        assert ((counts - 1000) ** 2 / 1000).sum() < 160  # chi-square with 99 degrees of freedom
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.015
    assert abs(np.corrcoef(one[:-1], one[1:])[0, 1]) < 0.015


def test_drawn_reviews_come_in_random_order():
    """A half-finished queue holds each drawn decision as often as any other."""
    n, first = 60, np.zeros(60)
    possible = OpenReviews(np.zeros(n), np.ones(n), np.zeros(n, np.int64), np.ones((1, 1), bool))
    plan = plan_random_arm(np.full(n, 0.2), possible, np.array([20.0]), members=np.ones(n, bool))
    for seed in range(2_000):
        first[draw_random_arm(plan, np.arange(n, dtype=np.uint64), str(seed))[:10]] += 1 / 2_000
    spread = np.sqrt(1 / 6 * 5 / 6 / 2_000)
    assert np.abs(first - 1 / 6).max() < 4.5 * spread
