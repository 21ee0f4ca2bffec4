"""Who departs from the others: reversed, silent and careless reviewers are named, honest ones are not."""

import numpy as np
import pandas as pd
import pytest

from errdetect.reviewers.deviations import (
    E_THRESHOLD,
    REVERSED,
    TOO_FEW,
    TOO_MANY,
    find_deviations,
    golden_outside_log,
)
from errdetect.snapshot import Snapshot

DAY = pd.Timestamp("2026-01-01", tz="UTC")
N = 1_500


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(17)
    p = 1 / (1 + np.exp(-(-3.2 + 1.4 * rng.standard_normal(N))))
    decisions = pd.DataFrame(
        {
            "decision_id": [f"d{i}" for i in range(N)],
            "decided_at": DAY + pd.to_timedelta(np.sort(rng.uniform(0, 120, N)), unit="D"),
            "policy_id": rng.choice(["spam", "scam"], N),
            "enforced": rng.random(N) < 0.3,
        }
    )
    return decisions, rng.random(N) < p, p


def reviews_of(world, answer=None, *, n_people=40, golden=0, seed=3):
    """Honest reviews of every decision; `answer(who, said, rows)` changes the verdicts."""
    decisions, wrong, _ = world
    rng = np.random.default_rng(seed)
    row = np.concatenate([np.arange(N), rng.integers(0, N, golden)])
    source = np.where(np.arange(len(row)) < N, "audit", "golden")
    who = rng.integers(0, n_people, len(row))
    said = np.where(wrong[row], rng.random(len(row)) < 0.92, rng.random(len(row)) < 0.03)
    if answer is not None:
        said = answer(who, said, row)
    truth = np.where(wrong[row], "overturned", "upheld")
    return pd.DataFrame(
        {
            "review_id": [f"r{i}" for i in range(len(row))],
            "decision_id": decisions["decision_id"].to_numpy()[row],
            "reviewed_at": decisions["decided_at"].to_numpy()[row],
            "source": source,
            "verdict": np.where(said, "overturned", "upheld"),
            "reviewer_id": [f"p{i}" for i in who],
            "site": [f"s{i % 8}" for i in who],
            "expected": np.where(source == "golden", truth, None),
            "inclusion_probability": np.where(source == "audit", 0.1, np.nan),
        }
    )


def deviations(world, reviews, *, with_p=True):
    verdicts = Snapshot(world[0], reviews).verdicts
    return find_deviations(verdicts, world[0], world[2] if with_p else None)


def test_honest_reviewers_and_sites_are_not_named(world):
    found = deviations(world, reviews_of(world, golden=300))
    assert len(found.named) == 0
    assert set(found.table["level"]) == {"reviewer", "site", "site and policy"}
    assert (found.table["e_value"] < E_THRESHOLD).all()


@pytest.mark.parametrize("with_p", [True, False])
def test_two_who_answer_the_reverse_are_named_and_useless(world, with_p):
    reviews = reviews_of(world, lambda who, said, _: said ^ (who < 2))
    found = deviations(world, reviews, with_p=with_p)
    assert set(found.named["reviewer_id"]) == {"p0", "p1"}
    assert set(found.named["kind"]) <= {REVERSED, TOO_MANY}
    assert found.named["useless"].all()
    covered = found.covers(reviews, useless=True)
    assert covered.tolist() == reviews["reviewer_id"].isin(["p0", "p1"]).tolist()


def test_a_silent_site_is_named_and_its_neighbours_are_not(world):
    reviews = reviews_of(world, lambda who, said, _: said & (who % 8 != 5))
    named = deviations(world, reviews).named
    sites = named[named["level"] == "site"]
    assert sites["site"].tolist() == ["s5"]
    assert sites["kind"].tolist() == [TOO_FEW]
    assert sites["seen"].tolist() == [0]
    assert sites["useless"].tolist() == [True]
    assert set(named["site"]) == {"s5"}


def test_one_reversed_reviewer_does_not_condemn_the_site(world):
    reviews = reviews_of(world, lambda who, said, _: said ^ (who == 3))
    named = deviations(world, reviews).named
    assert named[["level", "reviewer_id"]].values.tolist() == [["reviewer", "p3"]]


def test_a_site_that_fails_on_one_policy_is_named_for_it_alone(world):
    scam = (world[0]["policy_id"] == "scam").to_numpy()
    reviews = reviews_of(
        world, lambda who, said, row: said & ~((who % 4 == 1) & scam[row]), golden=900
    )
    reviews["site"] = "s" + (reviews["reviewer_id"].str[1:].astype(int) % 4).astype("str")
    named = deviations(world, reviews).named
    pairs = named[named["level"] == "site and policy"]
    assert pairs[["site", "policy_id", "kind"]].values.tolist() == [["s1", "scam", TOO_FEW]]
    assert not (named["level"] == "site").any()


def test_who_goes_wrong_later_is_named_with_the_time(world):
    late = (world[0]["decided_at"] - DAY).dt.days.to_numpy() >= 90
    reviews = reviews_of(world, lambda who, said, row: said ^ ((who == 7) & late[row]), n_people=16)
    named = deviations(world, reviews).named
    assert named["reviewer_id"].tolist() == ["p7"]
    assert named["kind"].tolist() == [REVERSED]
    assert named["since"].iloc[0] >= DAY + pd.Timedelta(days=59)


def test_few_verdicts_name_nobody(world):
    """Nine reversed verdicts are no evidence to act on; the many of others stay out of it."""
    reviews = reviews_of(world, lambda who, said, _: said ^ (who == 0))
    mine = reviews["reviewer_id"] == "p0"
    reviews = reviews[~mine | (mine.cumsum() <= 9)].reset_index(drop=True)
    assert len(deviations(world, reviews).named) == 0


def test_reviews_without_names_and_sites_name_nobody(world):
    reviews = reviews_of(world).assign(reviewer_id=None, site=None)
    assert len(deviations(world, reviews).table) == 0
    assert len(find_deviations(Snapshot(world[0]).verdicts, world[0]).table) == 0


def test_the_order_of_reviews_does_not_matter(world):
    reviews = reviews_of(world, lambda who, said, _: said ^ (who < 2))
    one = deviations(world, reviews).named
    two = deviations(world, reviews.sample(frac=1, random_state=1, ignore_index=True)).named
    columns = ["level", "site", "reviewer_id", "kind", "seen", "n"]
    pd.testing.assert_frame_equal(one[columns], two[columns])
    np.testing.assert_allclose(one["e_value"], two["e_value"], rtol=1e-6)


def test_golden_items_outside_of_the_log_show_a_silent_reviewer(world):
    """The audit alone is too small to tell; the golden items are known to be errors."""
    golden = reviews_of(world, lambda who, said, _: said & (who != 4), n_people=6, golden=900)
    golden = golden[golden["source"] == "golden"]
    golden = golden.assign(decision_id="elsewhere-" + golden["decision_id"])
    audit = reviews_of(world, lambda who, said, _: said & (who != 4), n_people=6).head(60)
    snapshot = Snapshot(world[0], pd.concat([audit, golden], ignore_index=True))
    outside = golden_outside_log(snapshot.review_history)
    assert len(outside) == len(golden)
    assert len(find_deviations(snapshot.verdicts, world[0], world[2]).named) == 0
    both = pd.concat([snapshot.verdicts[list(outside)], outside], ignore_index=True)
    named = find_deviations(both, world[0], world[2]).named
    assert "p4" in set(named["reviewer_id"])
