import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errdetect.queue.random_arm import FLOOR, plan_random_arm, width_ratio

ONE = np.ones((1, 1), bool)


def plan(p, minutes, room, **more):
    everybody = np.ones(len(p), bool)
    return plan_random_arm(
        p, minutes, np.zeros(len(p), int), ONE, np.array([float(room)]), members=everybody, **more
    )


@given(st.integers(0, 10**6), st.integers(2, 300), st.floats(1, 200))
def test_chances_keep_their_floor_and_add_up_to_whole_reviews(seed, n, room):
    rng = np.random.default_rng(seed)
    p = rng.choice([0.0, 1e-9, 0.02, 0.5, 1.0], n)
    minutes, worth = rng.choice([1.0, 2.5], n), rng.gamma(0.3, 5, n)
    chance = plan(p, minutes, room, worth=worth).probability
    total = chance.sum()
    assert total == pytest.approx(round(total), abs=1e-9)
    assert chance.min() >= FLOOR * total / n - 1e-12
    assert chance.max() <= 1 + 1e-12
    assert round(total) == 1 or chance @ minutes <= room + 1e-9


def test_what_remedies_more_is_drawn_more_often():
    p, minutes = np.full(100, 0.1), np.ones(100)
    worth = np.r_[np.full(50, 1.0), np.zeros(50)]
    chance = plan(p, minutes, 20, worth=worth).probability
    assert chance[0] / chance[-1] == pytest.approx(np.sqrt(5))
    assert plan(p, minutes, 20).probability == pytest.approx(np.full(100, 0.2))


def test_few_draws_foretell_a_wider_interval():
    """The same variance that hangs on a few heavy draws is seen less exactly."""
    p = np.full(1000, 0.05)
    assert width_ratio(p, np.full(1000, 0.1), 100) == pytest.approx(1.0)
    uneven = np.where(np.arange(1000) < 50, 1.0, 50 / 950)
    weights = np.sqrt((950 * (950 / 50 - 1)) / (1000 * 9.0))
    assert width_ratio(p, uneven, 100) > weights


@pytest.mark.parametrize("capacity", [[10.0, 10.0], [15.0, 5.0]])
def test_pools_share_every_class_that_both_can_review(capacity):
    of = np.repeat([0, 1], 100)
    can, everybody = np.ones((2, 2), bool), np.ones(200, bool)
    found = plan_random_arm(
        np.full(200, 0.1), np.ones(200), of, can, np.array(capacity), members=everybody
    )
    shares = [np.bincount(found.home[of == kind], minlength=2) / 100 for kind in (0, 1)]
    wanted = np.array(capacity) / sum(capacity)
    assert np.abs(np.array(shares) - wanted).max() <= 0.03


def test_a_pool_gets_only_what_it_can_review():
    of, can = np.repeat([0, 1], 50), np.array([[True, False], [True, True]])
    found = plan_random_arm(
        np.full(100, 0.1), np.ones(100), of, can, np.array([10.0, 10.0]), members=np.ones(100, bool)
    )
    assert set(found.home[of == 0]) == {0}
    assert (found.home == 1).sum() > 40
