"""Look-alikes: what counts as alike, and how many are expected to be wrong."""

import numpy as np
import pandas as pd
import pytest

from errdetect.config_schema import LookAlikesSettings
from errdetect.remediation.look_alikes import look_alikes
from errdetect.snapshot import LabelRules, Snapshot


def found(decisions, reviews, **how):
    return look_alikes(
        Snapshot(decisions, reviews, rules=LabelRules("votes")), LookAlikesSettings(**how)
    )


@pytest.fixture
def seed(review):
    return review(("r", "seed", "adjudication", "overturned"))


def test_alike_by_account_policy_version_and_side(decide, seed):
    decisions = decide(
        ("seed", "spam", "a", True), ("same", "spam", "a", True), ("policy", "scam", "a", True),
        ("account", "spam", "b", True), ("side", "spam", "a", False), ("version", "spam", "a", True),
        ("nobody", "spam", "a", True),
        moderator="m", moderator_version=["1", "1", "1", "1", "1", "2", None],
    )  # fmt: skip
    table = found(decisions, seed)
    assert table["decision_id"].tolist() == ["same"]
    assert table["review_ids"].tolist() == [["r"]]
    assert (
        table["evidence"]
        .iloc[0]
        .startswith("The same account and moderator version: 1 overturned, 0 upheld.")
    )


def test_alike_by_content(decide, seed):
    long = "Genuine leather handbag with golden chain, brand new, ships today"
    decisions = decide(
        ("seed", "spam", "a", True), ("near", "spam", "b", True), ("else", "spam", "c", True),
        ("item", "spam", "d", True), ("picture", "spam", "e", True), ("none", "spam", "f", True),
        text=[long, long.upper() + "!", "quite another thing", "x", "y", None],
        item_id=["i", "j", "k", "i", "l", "m"],
        image_hash=["h", None, None, None, "h", None],
    )  # fmt: skip
    decisions.loc[3, "decided_at"] = pd.Timestamp("2025-12-31", tz="UTC")  # so "seed" is the newest
    table = found(decisions.iloc[[0, 1, 2, 4, 5]], seed)
    assert table["decision_id"].tolist() == ["near", "picture"]
    assert table["evidence"].str.startswith("The same or nearly the same content: 1 over").all()


def test_people_who_upheld_the_like_weigh_against(decide, review):
    decisions = decide(*((f"d{i}", "spam", "a", True) for i in range(4)))
    split = review(("1", "d0", "audit", "overturned"), ("2", "d1", "audit", "upheld"))
    assert len(found(decisions, split)) == 0
    most = review(
        ("1", "d0", "audit", "overturned"), ("2", "d1", "audit", "overturned"),
        ("3", "d2", "audit", "upheld"),
    )  # fmt: skip
    assert found(decisions, most)["decision_id"].tolist() == ["d3"]


def test_content_that_was_upheld_clears_the_account(decide, review):
    text = ["one gold ring as new", "second hand radio set", "second hand radio set"]
    decisions = decide(*((f"d{i}", "spam", "ab"[i // 3], True) for i in range(3)), text=text)
    reviews = review(("1", "d0", "audit", "overturned"))
    assert found(decisions, reviews)["decision_id"].tolist() == ["d1", "d2"]
    other = decide(("o", "spam", "z", True), text=[text[1]])
    decisions = pd.concat([decisions, other], ignore_index=True)
    reviews = review(("1", "d0", "audit", "overturned"), ("2", "o", "audit", "upheld"))
    assert len(found(decisions, reviews)) == 0


def test_what_people_saw_or_a_later_decision_replaced_is_no_look_alike(decide, review):
    decisions = decide(
        ("seed", "spam", "a", True), ("tied", "spam", "a", True), ("golden", "spam", "a", True),
        ("old", "spam", "a", True), ("new", "spam", "a", True),
        item_id=["1", "2", "3", "4", "4"],
    )  # fmt: skip
    reviews = review(
        ("1", "seed", "adjudication", "overturned"), ("2", "tied", "audit", "overturned"),
        ("3", "tied", "audit", "upheld"), ("4", "golden", "golden", "upheld"),
    )  # fmt: skip
    assert found(decisions, reviews)["decision_id"].tolist() == ["new"]


def crowd(decide, review, n, wrong, chance):
    """One overturned seed an account, and an audited decision beside it."""
    rows, votes, chances = [], [], []
    for i in range(n):
        rows += [(f"s{i}", "spam", f"a{i}", True), (f"t{i}", "spam", f"a{i}", True)]
        rows += [(f"c{i}", "spam", f"a{i}", True)]
        votes += [(f"rs{i}", f"s{i}", "adjudication", "overturned")]
        votes += [(f"rt{i}", f"t{i}", "audit", "overturned" if wrong[i] else "upheld")]
        chances += [np.nan, chance[i]]
    return decide(*rows), review(*votes, inclusion_probability=chances)


def test_expected_precision_is_that_of_audited_ones_left_out_in_turn(decide, review):
    wrong = [True] * 12 + [False] * 18
    table = found(*crowd(decide, review, 30, wrong, [0.5] * 30))
    # An upheld one beside its overturned seed is a tie: those accounts have no look-alike.
    assert table["decision_id"].tolist() == sorted(f"c{i}" for i in range(12))
    assert table["expected_precision"].to_numpy() == pytest.approx(12 / 30)
    assert (table["precision_low"] > 0.24).all()
    assert (table["precision_high"] < 0.58).all()
    assert "40% are expected to be wrong" in table["evidence"].iloc[0]
    assert len(found(*crowd(decide, review, 30, wrong, [0.5] * 30), min_precision=0.5)) == 0


def test_each_audited_one_stands_for_those_that_were_not_drawn(decide, review):
    wrong = [True] * 10 + [False] * 20
    chance = [0.1] * 10 + [0.6] * 20
    table = found(*crowd(decide, review, 30, wrong, chance))
    expected = 10 * 9 / (10 * 9 + 20 * (0.4 / 0.6))
    assert table["expected_precision"].to_numpy() == pytest.approx(expected)


def test_too_few_audited_ones_tell_nothing(decide, review):
    decisions, reviews = crowd(decide, review, 10, [True] * 10, [0.5] * 10)
    table = found(decisions, reviews, min_precision=0.9)
    assert len(table) == 10, "what is unknown is not left out"
    assert table["expected_precision"].isna().all()
    assert "unknown: 10 were audited, 20 are needed" in table["evidence"].iloc[0]


def test_appeals_do_not_tell_how_many_are_wrong(decide, review):
    decisions, reviews = crowd(decide, review, 30, [True] * 30, [0.5] * 30)
    appeals = reviews.assign(source=reviews["source"].replace("audit", "appeal"))
    assert found(decisions, appeals)["expected_precision"].isna().all()
