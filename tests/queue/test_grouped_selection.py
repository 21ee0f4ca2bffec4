"""Leading reviews and sums of groups give the choice that all rows give."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errdetect.queue.allocation import AccountLimit, Floor, OpenReviews
from errdetect.queue.grouped_selection import (
    GroupedReviews,
    leading_reviews,
    marked,
    select_grouped,
)
from errdetect.queue.random_arm import UNIT, draw_random_arm, group_reviews, random_keys
from errdetect.queue.reviewer_pools import PoolClasses
from errdetect.queue.selection import ReviewCandidates, select_reviews


def leading(value, kinds, capacity, minutes, limit):
    """The rows that a cluster would send: the best of each kind."""
    frame = pd.DataFrame({"value": -value, "kind": kinds, "minutes": minutes})
    frame["row"] = np.arange(len(value))
    if limit is not None:
        frame["account"] = limit.account
        same = frame.sort_values(["value", "row"]).groupby(["kind", "minutes", "account"])
        frame = frame[(same.cumcount() < limit.cap).reindex(frame.index) | (frame["account"] < 0)]
    place = frame.sort_values(["value", "row"]).groupby(["kind", "minutes"]).cumcount()
    cap = None if limit is None else limit.cap
    most = frame["minutes"].map({m: leading_reviews(m, capacity, cap) for m in set(minutes)})
    return np.flatnonzero(
        (place.reindex(frame.index) < most).reindex(range(len(value)), fill_value=False)
    )


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6), st.integers(1, 3_000), st.sampled_from([0.2, 0.7, "auto"]),
    st.booleans(), st.booleans(),
)  # fmt: skip
def test_the_same_choice_from_leading_reviews_and_sums(seed, n, share, limited, floored):
    rng = np.random.default_rng(seed)
    p = rng.beta(0.4, 4, n)
    value = np.round(p * rng.gamma(1, 2, n), rng.integers(1, 9))
    of, can = rng.integers(0, 3, n), np.array([[True, False], [False, True], [False, False]])
    minutes = rng.choice([1.0, 1.5, 4.0], n)
    capacity = np.array([rng.integers(5, 60), rng.integers(5, 60)]).astype(float)
    limit = AccountLimit(rng.integers(-1, 40, n), 2) if limited else None
    member = rng.random(n) < 0.2
    floors = (Floor(member, 15.0),) if floored else ()
    identity = random_keys(np.arange(n, dtype=np.uint64), "ids")
    x = ReviewCandidates(
        value, np.ones(n, bool), p, minutes, PoolClasses(of, can), identity=identity
    )
    one = select_reviews(x, capacity, explore_share=share, seed="5", floors=floors, limit=limit)

    every = OpenReviews(value, minutes, of, can)
    groups, code = group_reviews(p, every, np.ones(n))
    rows = leading(value, of * 2 + member * floored, capacity, minutes, limit)
    work = GroupedReviews(
        every.take(rows), code[rows], groups, tuple(Floor(f.member[rows], f.minutes) for f in floors),
        None if limit is None else AccountLimit(limit.account[rows], 2),
    )  # fmt: skip
    arms = select_grouped(work, capacity, share)
    ranked = rows[arms.ranked.pool >= 0]
    assert set(ranked) == set(one.order[~one.explored])
    assert arms.share == one.explore_share
    assert arms.ratio == pytest.approx(one.width_ratio)
    assert arms.ranked.short == pytest.approx(one.short)
    chance = arms.probability[code]
    chance[ranked] = 1.0
    assert (chance == one.inclusion_probability).all()


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 500), st.integers(1, 20))
def test_marks_are_found_part_by_part(seed, n, parts):
    rng = np.random.default_rng(seed)
    units = rng.integers(1, UNIT, n)
    units[rng.random(n) < 0.1] = UNIT
    plan = type(
        "Plan",
        (),
        {"home": np.zeros(n, int), "probability": units / UNIT, "layer": np.zeros(n, int)},
    )
    identity = np.arange(n, dtype=np.uint64)
    drawn = draw_random_arm(plan, identity, str(seed))
    order = np.argsort(random_keys(identity, f"draw {seed}"))
    assert set(order[marked(units[order], str(seed))]) == set(drawn)
    part = np.sort(rng.integers(0, parts, n))
    totals = np.bincount(part, units[order], parts).astype(np.int64)
    hit = marked(totals, str(seed))
    before = (np.cumsum(units[order]) - units[order])[hit[part]]
    found = order[hit[part]][marked(units[order][hit[part]], str(seed), before)]
    assert set(found) == set(drawn)
