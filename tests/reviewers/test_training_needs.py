"""Which site misreads which policy: planted faults are found, and honest sites are left alone."""

import numpy as np
import pandas as pd
import pytest

from errdetect.reviewers.training_needs import find_training_needs
from errdetect.snapshot import Snapshot

SITES = ["Riga", "Porto", "Lodz", "Cork"]
POLICIES = ["spam", "scam", "drugs"]


def marketplace(seed, *, fault=None, overlap=0.5, n=3000):
    """Audited decisions with one or two reviewers of different sites; `fault`: (site, policy, kind)."""
    rng = np.random.default_rng(seed)
    policy = rng.choice(POLICIES, n)
    violates = rng.random(n) < 0.4
    enforced = np.where(rng.random(n) < 0.1, ~violates, violates)
    day = pd.Timestamp("2026-01-01", tz="UTC")
    decided = day + pd.to_timedelta(rng.uniform(0, 60, n), unit="D")
    ids = np.array([f"d{i}" for i in range(n)])
    decisions = pd.DataFrame(
        {"decision_id": ids, "decided_at": decided, "policy_id": policy, "enforced": enforced}
    )
    twice = np.flatnonzero(rng.random(n) < overlap)
    at = np.concatenate([np.arange(n), twice])
    first = rng.integers(0, len(SITES), n)
    site = np.concatenate(
        [first, (first[twice] + rng.integers(1, len(SITES), len(twice))) % len(SITES)]
    )
    names = np.array(SITES)[site]
    miss, call = np.full(len(at), 0.07), np.full(len(at), 0.03)
    if fault:
        planted = (names == fault[0]) & (policy[at] == fault[1])
        (miss if fault[2] == "missed_violation" else call)[planted] = 0.45
    wrong = rng.random(len(at)) < np.where(violates[at], miss, call)
    says = np.where(wrong, ~violates[at], violates[at])
    reviews = pd.DataFrame(
        {
            "review_id": [f"r{i}" for i in range(len(at))],
            "decision_id": ids[at],
            "reviewed_at": decided[at] + pd.Timedelta(days=1),
            "source": "audit",
            "verdict": np.where(says == enforced[at], "upheld", "overturned"),
            "reviewer_id": [f"{name}-{i % 7}" for i, name in enumerate(names)],
            "site": names,
            "inclusion_probability": 0.1,
        }
    )
    return Snapshot(decisions, reviews)


def needs(snapshot, **more):
    return find_training_needs(snapshot.verdicts, snapshot.decisions, **more)


@pytest.mark.parametrize("kind", ["missed_violation", "wrongful_call"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_planted_fault_comes_first(seed, kind):
    market = marketplace(seed, fault=("Lodz", "scam", kind))
    found = needs(market)
    first = found.iloc[0]
    assert first[["site", "policy_id", "measure"]].tolist() == ["Lodz", "scam", kind]
    assert first["needed"]
    assert 0.3 < first["value"] < 0.6
    assert first["others"] < 0.15
    cases = market.verdicts[market.verdicts["site"] == "Lodz"].set_index("position")
    for name in first["cases"]:
        position = int(name[1:])
        assert cases.loc[[position], "policy_id"].eq("scam").all()
        assert (cases.loc[[position], "violates"] == (kind == "wrongful_call")).any()


def test_intervals_hold():
    held = []
    for seed in range(100, 108):
        found = needs(marketplace(seed, fault=("Lodz", "scam", "missed_violation")))
        planted = (
            (found["site"] == "Lodz")
            & (found["policy_id"] == "scam")
            & (found["measure"] == "missed_violation")
        )
        usual = np.where(found["measure"] == "missed_violation", 0.07, 0.03)
        true = np.where(planted, 0.45, usual)
        held += [(found["low"] < true) & (true < found["high"])]
    assert np.concatenate(held).mean() > 0.85  # of 192 intervals, which depend on each other


def test_honest_sites_are_hardly_ever_named():
    named = [int(needs(marketplace(seed))["needed"].sum()) for seed in range(20)]
    assert sum(count > 0 for count in named) <= 3  # a false discovery rate of 5 %


def test_a_site_is_never_its_own_witness():
    """Decisions that one site alone reviewed tell what it says, not what is true of them."""
    market = marketplace(4, overlap=0.0, fault=("Lodz", "scam", "missed_violation"))
    alone = market.verdicts["site"] == "Lodz"
    first = needs(market)
    flipped = market.verdicts.assign(
        violates=market.verdicts["violates"] ^ alone, flags=market.verdicts["flags"] ^ alone
    )
    second = find_training_needs(flipped, market.decisions)
    own = ["site", "policy_id", "measure"]
    other = first[first["site"] != "Lodz"].set_index(own)["n"]
    again = second[second["site"] != "Lodz"].set_index(own)["n"]
    # What the other sites' items are moves only through what is usual of such decisions.
    assert (other - again.reindex(other.index)).abs().max() < 0.35 * other.max()


def test_few_items_give_no_figure():
    market = marketplace(5, n=60)
    found = needs(market, minimum=10)
    few = found[found["n"] < 10]
    assert len(few)
    assert few["suppressed"].all()
    assert few[["value", "low", "high", "others", "excess"]].isna().all(axis=None)
    assert not few["needed"].any()
    assert all(cases == [] for cases in few["cases"])


def test_a_likely_fault_with_few_items_says_how_many_reviews_are_missing():
    market = marketplace(8, fault=("Lodz", "scam", "missed_violation"), n=240)
    found = needs(market, minimum=30)
    row = found.iloc[0]
    assert row[["site", "policy_id", "measure"]].tolist() == ["Lodz", "scam", "missed_violation"]
    assert row["suppressed"]
    assert row["n"] < 30
    reviews = (market.reviews["site"] == "Lodz").sum() / len(POLICIES)
    assert row["reviews_needed"] == pytest.approx(reviews * (30 / row["n"] - 1), rel=0.35)
    settled = needs(marketplace(1, fault=("Lodz", "scam", "missed_violation")))
    assert settled.iloc[0]["needed"]
    assert pd.isna(settled.iloc[0]["reviews_needed"])


def test_one_site_cannot_be_compared():
    market = marketplace(6)
    verdicts = market.verdicts.assign(site="Riga")
    assert find_training_needs(verdicts, market.decisions).empty


def test_the_order_of_the_reviews_changes_nothing():
    market = marketplace(7, fault=("Cork", "spam", "wrongful_call"))
    shuffled = Snapshot(market.decisions, market.reviews.sample(frac=1, random_state=1))
    pd.testing.assert_frame_equal(needs(market), needs(shuffled), rtol=1e-9)
