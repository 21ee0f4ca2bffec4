import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from errdetect.errors import DataError
from errdetect.queue.allocation import (
    AccountLimit,
    Floor,
    OpenReviews,
    allocate_reviews,
    exchange_reviews,
)


def instance(seed, n=250, n_pools=5, n_classes=6):
    rng = np.random.default_rng(seed)
    can = rng.random((n_classes, n_pools)) < 0.5
    can[0] = True
    minutes = rng.choice([1, 1.5, 2, 3, 4, 6], n)
    of = rng.integers(0, n_classes, n)
    extra = {}
    if seed % 2:
        extra["floors"] = [Floor(of == c, 12.0) for c in (1, 2) if can[c].any()]
    if seed % 3 == 1:
        extra["limit"] = AccountLimit(rng.integers(0, n // 6, n), 2)
    value = rng.gamma(0.5, 2, n) * rng.choice([1, 3, 8], n) / minutes
    return OpenReviews(value, minutes, of, can), rng.integers(25, 80, n_pools).astype(float), extra


def optimum(jobs, room, floors=(), limit=None):
    """The exact optimum by HiGHS, within a two-thousandth."""
    value, minutes, of = jobs.value, jobs.minutes, jobs.of
    row, pool = np.nonzero(jobs.can[of])
    k = np.arange(len(row))

    def total(weight, group, n_groups):
        return sparse.csr_array((weight, (group, k)), (n_groups, len(k)))

    rows = [total(np.ones(len(k)), row, len(of)), total(minutes[row], pool, len(room))]
    most = [np.ones(len(of)), room]
    for floor in floors:
        rows.append(-total(minutes[row] * floor.member[row], 0 * row, 1))
        most.append([-floor.minutes])
    if limit is not None:
        n_accounts = limit.account.max() + 1
        rows.append(total(np.ones(len(k)), limit.account[row], n_accounts))
        most.append(np.full(n_accounts, limit.cap))
    found = milp(
        -(value * minutes)[row], integrality=np.ones(len(k)), bounds=Bounds(0, 1),
        constraints=LinearConstraint(sparse.vstack(rows), -np.inf, np.concatenate(most)),
        options={"mip_rel_gap": 5e-4, "time_limit": 20},
    )  # fmt: skip
    return -found.fun


@pytest.mark.parametrize("seed", range(21))
def test_it_reaches_the_optimum_within_a_hundredth(seed):
    jobs, room, extra = instance(seed)
    found = allocate_reviews(jobs, room, **extra)
    value, minutes, of, can = jobs.value, jobs.minutes, jobs.of, jobs.can
    chosen = found.pool >= 0
    assert can[of[chosen], found.pool[chosen]].all()
    assert (np.bincount(found.pool[chosen], minutes[chosen], len(room)) <= room + 1e-9).all()
    for floor in extra.get("floors", ()):
        assert minutes[chosen & floor.member].sum() >= floor.minutes - minutes.max()
    if "limit" in extra:
        assert np.bincount(extra["limit"].account[chosen]).max() <= extra["limit"].cap
    assert (value * minutes)[chosen].sum() >= 0.99 * optimum(jobs, room, **extra)


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 80), st.integers(1, 4))
def test_what_every_allocation_keeps(seed, n, n_pools):
    rng = np.random.default_rng(seed)
    can = rng.random((3, n_pools)) < 0.6
    of, value, minutes = rng.integers(0, 3, n), rng.random(n) + 0.01, rng.choice([1.0, 2.0, 5.0], n)
    room = rng.choice([0.0, 1.0, 7.0, 60.0], n_pools)
    found = allocate_reviews(OpenReviews(value, minutes, of, can), room)
    chosen = found.pool >= 0
    assert can[of[chosen], found.pool[chosen]].all()
    left = room - np.bincount(found.pool[chosen], minutes[chosen], n_pools)
    assert (left >= -1e-9).all()
    # Whoever is left out fits nowhere.
    assert not (can[of[~chosen]] & (left >= minutes[~chosen][:, None])).any()


def test_a_minute_more_is_worth_its_price():
    value = np.linspace(10, 0.1, 100)
    jobs = OpenReviews(value, np.ones(100), np.zeros(100, int), np.ones((1, 1), bool))
    found = allocate_reviews(jobs, [30])
    assert found.pool.tolist() == [0] * 30 + [-1] * 70
    assert found.price[0] == pytest.approx(value[30], abs=0.2)


@pytest.mark.parametrize(
    ("value", "minutes", "said"),
    [(1.0, 0.0, "minutes must be above 0, got 0"), (-1.0, 1.0, "value must be 0 or more, got -1")],
)
def test_bad_figures(value, minutes, said):
    with pytest.raises(DataError, match=said):
        allocate_reviews(
            OpenReviews(
                np.array([value]), np.array([minutes]), np.zeros(1, int), np.ones((1, 1), bool)
            ),
            [5],
        )


def test_a_floor_is_not_overfilled():
    """What a floor's decisions are worth beyond it is their own value only."""
    rng = np.random.default_rng([2024, 37])
    n_pools, n = int(rng.integers(2, 8)), 300
    can = rng.random((8, n_pools)) < 0.5
    can[0] = True
    of, minutes = rng.integers(0, 8, n), rng.choice([1, 1.5, 2, 3, 4, 6], n)
    value = rng.gamma(0.5, 2, n) / minutes
    room = rng.integers(30, 120, n_pools).astype(float)
    floors = [Floor(of == 1, 15.0)]
    jobs = OpenReviews(value, minutes, of, can)
    chosen = allocate_reviews(jobs, room, floors=floors).pool >= 0
    assert 9 <= minutes[chosen & (of == 1)].sum() <= 18
    assert (value * minutes)[chosen].sum() >= 0.99 * optimum(jobs, room, floors)


def test_a_full_account_changes_one_of_its_own():
    """The worthiest long review of an account comes in for its two short ones."""
    gain, minutes = np.array([3.0, 3.0, 5.0, 1.0]), np.array([1.0, 1.0, 2.0, 2.0])
    pool, left = np.array([0, 0, -1, -1]), np.array([1.0])
    limit = AccountLimit(np.array([7, 7, 7, 8]), 2)
    jobs = OpenReviews(gain / minutes, minutes, np.zeros(4, int), np.ones((1, 1), bool))
    assert exchange_reviews(pool, np.array([2, 3]), gain, jobs, left, limit) == 1
    assert sorted(np.flatnonzero(pool == 0)) in ([0, 2], [1, 2])
    assert left.tolist() == [0.0]
