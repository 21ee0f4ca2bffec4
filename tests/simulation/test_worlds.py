"""Other worlds: each changes what it says and nothing else, and the default one stays as it was."""

import dataclasses
import json

import numpy as np
import pytest

from errdetect.errors import DataError
from errdetect.simulation.marketplace import simulate, write_marketplace
from errdetect.simulation.worlds import WorldSettings

SIZE = (12_000, 60, 2)


@pytest.fixture(scope="module")
def plain():
    return simulate(*SIZE)


def _violations(market, moderator, action, part):
    log, n = market.decisions, len(market.decisions)
    rows = (log["moderator"] == moderator) & ((log["action"] == "approve") == (action == "allowed"))
    share = np.arange(n) / n  # of the decisions; the level moves after half of the time
    return market.truth["violates"][rows & ((share > 0.55) if part == "late" else (share < 0.4))]


def test_off_is_the_default_to_the_byte(plain, tmp_path):
    off = simulate(*SIZE, world=WorldSettings(drift_side="both", drift_from=0.1))
    first, second = write_marketplace(plain, tmp_path / "a"), write_marketplace(off, tmp_path / "b")
    for name in ("decisions", "reviews", "truth", "policies", "config"):
        assert first[name].read_bytes() == second[name].read_bytes(), name
    assert "world" not in json.loads(first["planted"].read_text())
    assert json.loads(second["planted"].read_text())["world"]["drift_side"] == "both"


def test_level_drift_moves_one_side_of_one_machine(plain):
    moved = simulate(*SIZE, world=WorldSettings(level_drift=3.0))
    assert moved.decisions.equals(plain.decisions)
    for moderator in sorted(set(plain.decisions["moderator"])):
        for action in ("allowed", "enforced"):
            before = _violations(plain, moderator, action, "late").mean()
            after = _violations(moved, moderator, action, "late").mean()
            drifts = (moderator, action) == ("text-model", "allowed")
            assert (after > 1.5 * before) if drifts else after == before, (moderator, action)
            early = [_violations(m, moderator, action, "early").mean() for m in (plain, moved)]
            assert early[0] == early[1]
    drifted = moved.truth["cause"] == "level_drift"
    assert set(moved.truth["error_kind"][drifted]) == {"missed_violation"}
    assert (moved.truth["is_error"] & ~plain.truth["is_error"]).sum() == drifted.sum()


def test_level_drift_is_a_shift_of_log_odds():
    """Among content of one kind the odds of a violation are multiplied."""
    settings = {"level_drift": 1.2, "drift_from": 0.0, "drift_side": "both"}
    pairs = []
    for seed in range(3):
        plain = simulate(20_000, 60, seed)
        moved = simulate(20_000, 60, seed, world=WorldSettings(**settings))
        for action in ("allowed", "enforced"):
            before, after = (_violations(m, "text-model", action, "late") for m in (plain, moved))
            pairs.append([action, before.mean(), after.mean()])
    for action, before, after in pairs:
        # From half of the drift to all of it; a mixture of kinds moves somewhat less than each.
        gain = np.log(after / (1 - after)) - np.log(before / (1 - before))
        assert 0.4 < gain < 1.2, (action, gain)


def test_a_negative_drift_makes_violations_harmless(plain):
    moved = simulate(*SIZE, world=WorldSettings(level_drift=-3.0, drift_side="both"))
    for action in ("allowed", "enforced"):
        before, after = (_violations(m, "text-model", action, "late") for m in (plain, moved))
        assert after.mean() < 0.9 * before.mean()
        assert not (after & ~before).any()


def test_reviewers_follow_the_drift(plain):
    moved = simulate(*SIZE, world=WorldSettings(level_drift=4.0, drift_from=0.2))
    at = moved.truth.set_index("decision_id")["cause"] == "level_drift"
    audited = moved.reviews[moved.reviews["source"] == "audit"]
    verdicts = audited.loc[at[audited["decision_id"]].to_numpy(), "verdict"]
    assert len(verdicts) > 20
    assert (verdicts == "overturned").mean() > 0.7


def test_a_crowd_is_anonymous_and_its_majority_is_mostly_the_truth():
    world = WorldSettings(crowd=7)
    market = simulate(4000, 60, 2, audit_share=0.5, world=world)
    reviews = market.reviews
    assert set(reviews["source"]) == {"audit"}
    assert reviews[["reviewer_id", "site", "expected", "minutes"]].isna().all(axis=None)
    assert set(reviews["inclusion_probability"]) == {0.5}
    assert set(reviews.groupby("decision_id").size()) == {7}
    assert 1800 < reviews["decision_id"].nunique() < 2200
    flags = (reviews["verdict"] != "upheld").groupby(reviews["decision_id"]).mean()
    truth = market.truth.set_index("decision_id")["is_error"].loc[flags.index]
    assert ((flags > 0.5) == truth).mean() > 0.97
    assert 0.1 < ((flags > 0) & (flags < 1)).mean() < 0.4
    assert market.planted["world"] == dataclasses.asdict(world)
    assert market.planted["reviewers"] == {"sites": [], "reviewers": [], "faults": []}


def test_hard_content_is_misread_more_and_easy_content_as_before(plain):
    hard = simulate(*SIZE, world=WorldSettings(hard_content=5.0))
    assert hard.truth.equals(plain.truth)
    rates = [
        [site["sensitivity"] for site in m.planted["reviewers"]["sites"]] for m in (plain, hard)
    ]
    assert np.mean(rates[1]) < np.mean(rates[0]) - 0.03
    wrong = plain.truth.set_index("decision_id")

    def misses(market, cause):
        audited = market.reviews[market.reviews["source"] == "audit"]
        own = wrong.loc[audited["decision_id"]]
        rows = (own["error_kind"] == "missed_violation").to_numpy() & (own["cause"] == cause)
        return (audited["verdict"] == "upheld")[rows.to_numpy()].mean()

    # Unseen violations are hard, and what the machine overlooked in plain words is not.
    assert misses(hard, "unseen_violation") > misses(plain, "unseen_violation") + 0.1


@pytest.mark.parametrize(
    ("setting", "value", "must"),
    [
        ("level_drift", float("nan"), r"lie in \[-10, 10\]"),
        ("drift_moderator", "nobody", "be one of"),
        ("drift_side", "left", "be one of"),
        ("drift_from", 1.0, r"lie in \[0, 1\)"),
        ("crowd", 1, "be 0, or from 2 to 50"),
        ("hard_content", -1.0, r"lie in \[0, 10\]"),
    ],
)
def test_impossible_worlds_are_refused(setting, value, must):
    with pytest.raises(DataError, match=f"{setting} must {must}"):
        WorldSettings(**{setting: value})
