"""None"""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errdetect.errors import DataError
from errdetect.queue.allocation import AccountLimit, Floor, OpenReviews
from errdetect.queue.random_arm import FLOOR, draw_random_arm, plan_random_arm
from errdetect.queue.review_value import job_heads
from errdetect.queue.reviewer_pools import Pool, group_by_pools
from errdetect.queue.selection import (
    SHARES,
    WIDER,
    ReviewCandidates,
    budget_count,
    select_reviews,
    width_ratio,
)

LANGUAGES = ["de", "fr", "en", "tr"]
ONE = np.ones((1, 1), bool)
NAMES = np.arange(400, dtype=np.uint64)


def marketplace(seed, n=400):
    """Decisions of four languages and 3 to 60 accounts, some with content in common; three pools."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"language": rng.choice(LANGUAGES, n)})
    pools = [
        Pool("a", 40.0, languages=("de", "fr")),
        Pool("b", 30.0, languages=("fr", "en")),
        Pool("c", 25.0, languages=("en",)),
    ]
    p = rng.beta(0.4, 4, n)
    value = p * rng.gamma(1, 2, n)
    open_ = rng.random(n) < 0.9
    content = pd.Series(
        np.where(rng.random(n) < 0.3, rng.integers(0, 20, n), np.arange(100, 100 + n))
    )
    key = content.astype(str) + frame["language"]
    minutes = frame["language"].map({"de": 1.5, "fr": 2.0, "en": 3.0, "tr": 1.0}).to_numpy()
    classes, heads = group_by_pools(frame, pools), job_heads(key, open_, value)
    candidates = ReviewCandidates(value, open_, p, minutes, classes, heads)
    capacity = np.array([pool.minutes for pool in pools])
    return candidates, capacity, AccountLimit(rng.integers(-1, 60, n), 2)


def test_budgets_are_counts_or_shares():
    assert [budget_count(b, 200) for b in (1, 50, 1000, 0.1, 1.0, 0.0001)] == [
        1,
        50,
        200,
        20,
        200,
        1,
    ]


@settings(max_examples=100)
@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 40), st.floats(0.01, 1))
def test_what_every_selection_keeps(seed, n, budget, share):
    rng = np.random.default_rng(seed)
    value, open_ = rng.random(n) + 0.01, rng.random(n) < 0.7
    candidates = ReviewCandidates(value, open_, rng.random(n))
    chosen = select_reviews(candidates, [budget], explore_share=share, seed=str(seed))
    queued, ranked = chosen.order, chosen.order[~chosen.explored]
    assert len(queued) == len(set(queued)) == min(budget, open_.sum())
    assert open_[queued].all()
    assert (np.diff(value[ranked]) <= 0).all()
    pi = chosen.inclusion_probability
    assert ((pi > 0) & (pi <= 1)).all()
    assert (pi[ranked] == 1).all()
    assert (pi[~open_] == 1).all()
    assert pi[open_].sum() == pytest.approx(len(queued))
    rest = np.setdiff1d(np.flatnonzero(open_), ranked)
    if len(ranked) and len(rest):
        assert value[ranked].min() >= value[rest].max()


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.floats(0.05, 0.9))
def test_what_every_selection_under_pools_keeps(seed, share):
    x, capacity, limit = marketplace(seed)
    chosen = select_reviews(x, capacity, explore_share=share, seed=str(seed), limit=limit)
    used = np.bincount(chosen.pool, x.minutes[chosen.order], 3)
    assert (used <= capacity + 1e-6).all()
    assert x.classes.can[x.classes.of[chosen.order], chosen.pool].all()
    heads = x.heads[x.open_]
    sizes = np.bincount(heads, minlength=400)
    assert (chosen.covers == sizes[chosen.order]).all()
    ranked = limit.account[chosen.order[~chosen.explored]]
    assert np.bincount(ranked[ranked >= 0]).max(initial=0) <= 2
    pi = chosen.inclusion_probability
    able = x.classes.can[x.classes.of].any(axis=1)
    assert (pi[x.open_ & ~able] == 0).all()
    assert (pi[x.open_ & able] > 0).all()
    # One verdict for all of a job, so one chance; chances of jobs add up to the reviews.
    assert (pi[x.open_] == pi[heads]).all()
    assert pi[np.unique(heads)].sum() == pytest.approx(len(chosen.order))


def test_the_stated_chances_are_the_frequencies():
    x, capacity, limit = marketplace(5)
    draws, seen = 2000, np.zeros(400)
    for seed in range(draws):
        if not seed:
            chosen = select_reviews(x, capacity, explore_share=0.3, seed=str(seed), limit=limit)
            stated, ranked = chosen.inclusion_probability, chosen.order[~chosen.explored]
            design = _plan(x, capacity, chosen)
        drawn = draw_random_arm(design, NAMES, f"7 {seed}")
        seen[drawn] += 1 / draws
    open_jobs = np.unique(x.heads[x.open_])
    rest = np.setdiff1d(open_jobs, ranked)
    at = stated[rest]
    error = (seen[rest] - at) / np.sqrt(np.maximum(at * (1 - at), 1e-12) / draws)
    assert np.abs(error[at > 0]).max() < 4.5  # some 200 of them
    assert abs(np.mean(error[at > 0] ** 2) - 1) < 0.35
    assert (seen[rest][at == 0] == 0).all()


def _plan(x, capacity, chosen):
    """The exploration that `select_reviews` drew from, made again from what it says."""
    members = np.zeros(400, bool)
    members[np.unique(x.heads[x.open_])] = True
    members[chosen.order[~chosen.explored]] = False
    size = np.bincount(x.heads[x.open_], minlength=400).astype(float)
    worth = np.bincount(x.heads[x.open_], x.value[x.open_], minlength=400)
    plan = plan_random_arm(
        x.p_error, OpenReviews(worth, x.minutes, x.classes.of, x.classes.can), 0.3 * capacity,
        members=members, size=np.maximum(size, 1),
    )  # fmt: skip
    stated = chosen.inclusion_probability
    np.testing.assert_allclose(plan.probability[members], stated[members], rtol=1e-9)
    return plan


def test_a_whole_run_draws_with_the_stated_chances():
    """From the top: every seed of the run, few decisions."""
    rng = np.random.default_rng(0)
    value, p = rng.random(30), rng.beta(1, 5, 30)
    open_ = np.arange(30) % 5 != 0
    seen = np.zeros(30)
    for seed in range(2000):
        chosen = select_reviews(
            ReviewCandidates(value, open_, p), [10], explore_share=0.4,
            seed=str(seed),
        )  # fmt: skip
        seen[chosen.order] += 1 / 2000
    assert np.abs(seen - chosen.inclusion_probability)[open_].max() < 0.045


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 300), st.floats(0.5, 200))
def test_exploration_is_of_fixed_size_within_its_minutes_and_above_its_floor(seed, n, room):
    rng = np.random.default_rng(seed)
    minutes = rng.choice([1.0, 2.5, 4.0], n)
    jobs = OpenReviews(np.zeros(n), minutes, np.zeros(n, np.int64), np.ones((1, 1), bool))
    plan = plan_random_arm(rng.random(n), jobs, np.array([room]), members=np.ones(n, bool))
    count = plan.probability.sum()
    assert count == pytest.approx(round(count))
    assert round(count) >= 1
    assert plan.probability.min() >= FLOOR * count / n * 0.999
    for seed_ in range(5):
        drawn = draw_random_arm(plan, NAMES[:n], str(seed_))
        assert len(drawn) == len(set(drawn)) == round(count)
        assert minutes[drawn].sum() <= max(room, 4.0) + 1e-9


def test_auto_takes_the_smallest_share_that_keeps_the_interval():
    rng = np.random.default_rng(1)
    p = rng.beta(0.5, 6, 4000)
    x = ReviewCandidates(p * rng.gamma(1, 1, 4000), np.ones(4000, bool), p)
    chosen = select_reviews(x, [300], explore_share="auto", seed="1")
    assert chosen.width_ratio <= WIDER
    assert chosen.explore_share in SHARES
    less = SHARES[SHARES.index(chosen.explore_share) - 1]
    assert select_reviews(x, [300], explore_share=less, seed="1").width_ratio > WIDER


def test_ties_keep_the_input_s_order():
    candidates = ReviewCandidates(np.ones(9), np.ones(9, bool), np.full(9, 0.1))
    chosen = select_reviews(candidates, [3], explore_share=0.01, seed="0")
    assert chosen.order[~chosen.explored].tolist() == [0, 1]


def test_the_random_part_is_spread_among_the_ranked():
    candidates = ReviewCandidates(np.ones(900), np.ones(900, bool), np.full(900, 0.1))
    chosen = select_reviews(candidates, [100], explore_share=0.2, seed="0")
    for part in np.split(chosen.explored, 4):
        assert part.sum() == 5


def test_minimum_shares_are_held_to_within_a_review():
    rng = np.random.default_rng(2)
    value, minutes = rng.random(600), np.full(600, 2.0)
    rare = np.arange(600) % 6 == 0
    value[rare] /= 50
    candidates = ReviewCandidates(value, np.ones(600, bool), np.full(600, 0.1), minutes)

    def chosen(floors):
        return select_reviews(candidates, [200.0], explore_share=0.1, seed="2", floors=floors)

    plain, held = chosen([]), chosen([Floor(rare, 50.0)])
    got = [minutes[c.order[rare[c.order] & ~c.explored]].sum() for c in (plain, held)]
    assert got[0] < 10 < 43 <= got[1]
    assert held.short.tolist() == [0.0]
    much = chosen([Floor(value > 2, 50.0)])
    assert much.short.tolist() == pytest.approx([45.0])


def test_no_budget():
    with pytest.raises(DataError, match="The budget must be at least 1 review, got 0"):
        select_reviews(
            ReviewCandidates(np.ones(2), np.ones(2, bool), np.ones(2)), [0], explore_share=0.1,
            seed="0",
        )  # fmt: skip


def plan(p, minutes, room, worth=None):
    everybody = np.ones(len(p), bool)
    worth = np.zeros(len(p)) if worth is None else worth
    jobs = OpenReviews(worth, minutes, np.zeros(len(p), int), ONE)
    return plan_random_arm(p, jobs, np.array([float(room)]), members=everybody)


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
    work = OpenReviews(np.ones(200), np.ones(200), of, np.ones((2, 2), bool))
    found = plan_random_arm(np.full(200, 0.1), work, np.array(capacity), members=np.ones(200, bool))
    shares = [np.bincount(found.home[of == kind], minlength=2) / 100 for kind in (0, 1)]
    wanted = np.array(capacity) / sum(capacity)
    assert np.abs(np.array(shares) - wanted).max() <= 0.03


def test_a_pool_gets_only_what_it_can_review():
    of, can = np.repeat([0, 1], 50), np.array([[True, False], [True, True]])
    found = plan_random_arm(
        np.full(100, 0.1),
        OpenReviews(np.ones(100), np.ones(100), of, can),
        np.array([10.0, 10.0]),
        members=np.ones(100, bool),
    )
    assert set(found.home[of == 0]) == {0}
    assert (found.home == 1).sum() > 40
