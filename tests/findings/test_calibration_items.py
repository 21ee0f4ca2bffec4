"""Which items tell an ambiguous clause from a weak reviewer: a planted clause, a planted reviewer."""

import numpy as np
import pandas as pd

from errdetect.findings.calibration_items import (
    ITEM_COLUMNS,
    ClauseVotes,
    ambiguity,
    clause_votes,
    select_calibration_items,
)
from errdetect.snapshot import LabelRules, Snapshot

START = pd.Timestamp("2026-01-01", tz="UTC")


def make_snapshot(n=900, *, ambiguous=0.0, weak=0.0, seed=1, rules=None):
    """Four reviewers, three an item; on the ambiguous ones each reads the clause as they like."""
    rng = np.random.default_rng(seed)
    unclear = rng.random(n) < ambiguous
    enforced = rng.random(n) < 0.5
    violates = enforced ^ (rng.random(n) < 0.1)
    decisions = pd.DataFrame(
        {"decision_id": [f"d{i}" for i in range(n)], "decided_at": START, "policy_id": "spam",
         "enforced": enforced, "account_id": [f"a{i % 400}" for i in range(n)],
         "category": rng.choice(list("abc"), n), "text": [f"text {i}" for i in range(n)]}
    )  # fmt: skip
    rows = []
    for i in range(n):
        for who in rng.choice(4, 3, replace=False):
            says = violates[i] ^ (rng.random() < (weak if who == 0 else 0.04))
            if unclear[i]:
                says = rng.random() < 0.5
            rows.append((i, f"r{who}", ["Riga", "Oslo"][who % 2], says != enforced[i]))
    table = pd.DataFrame(rows, columns=["row", "reviewer_id", "site", "flags"])
    reviews = table.assign(
        review_id=[f"v{i}" for i in range(len(table))],
        decision_id=[f"d{i}" for i in table["row"]],
        reviewed_at=START + pd.Timedelta(hours=2),
        source="audit",
        verdict=np.where(table["flags"], "overturned", "upheld"),
        correct_policy_id=None,
        inclusion_probability=0.5,
    )
    return Snapshot(decisions, reviews, rules=rules or LabelRules()), unclear


def test_items_of_an_ambiguous_clause_are_chosen_rather_than_a_weak_reviewers():
    snapshot, unclear = make_snapshot(ambiguous=0.06, weak=0.35)
    items = select_calibration_items(snapshot, "spam", n_items=20)
    assert items.columns.tolist() == list(ITEM_COLUMNS)
    assert items["item"].tolist() == list(range(1, 21))
    named = items["decision_id"].str.removeprefix("d").astype(int).to_numpy()
    split = (items["n_applies"] > 0) & (items["n_applies"] < items["n_reviews"])
    assert split.mean() > 0.9
    votes = clause_votes(snapshot, "spam")
    answers = pd.DataFrame({"at": votes.position, "yes": votes.applies})
    share = answers.groupby("at")["yes"].mean()
    disputed = share.index[(share > 0) & (share < 1)]
    # among all disputed items fewer are ambiguous: the weak reviewer made most of them
    assert unclear[named].mean() > 1.5 * unclear[disputed].mean()


def test_a_weak_reviewer_explains_a_split_and_a_good_one_does_not():
    def of(rate):
        return ClauseVotes(
            np.zeros(4, np.int64), np.array([True, True, True, False]),
            np.array([0.05, 0.05, 0.05, rate]), np.full(4, 0.05), np.full(4, None),
        )  # fmt: skip

    good, weak = (float(ambiguity(of(r), np.array([0.1]))["p_ambiguous"][0]) for r in (0.05, 0.5))
    assert weak < 0.1 < 0.15 < good


def test_the_order_finds_planted_ambiguity_whatever_share_is_assumed():
    snapshot, unclear = make_snapshot(2_000, ambiguous=0.1, weak=0.2, seed=3)
    votes = clause_votes(snapshot, "spam")
    for assumed in (0.02, 0.1, 0.3):
        table = ambiguity(votes, np.full(len(np.unique(votes.position)), assumed))
        top = table.nlargest(100, "p_ambiguous")["position"]
        assert unclear[top].mean() > 3 * unclear.mean()


def test_the_choice_is_spread_and_repeats_nothing():
    snapshot, _ = make_snapshot(ambiguous=0.1)
    one = "the same offer"
    decisions = snapshot.decisions.assign(text=one, account_id="a")
    same = Snapshot(decisions, snapshot.reviews)
    assert len(select_calibration_items(same, "spam")) == 1
    items = select_calibration_items(snapshot, "spam")
    assert items["side"].value_counts().min() >= 5
    assert set(items["difficulty"]) == {"likely applies", "likely does not apply"}
    accounts = snapshot.decisions.set_index("decision_id")["account_id"]
    assert accounts[items["decision_id"]].value_counts().max() <= 2
    again = select_calibration_items(snapshot, "spam", ruled=items["decision_id"].tolist())
    assert not set(again["decision_id"]) & set(items["decision_id"])
    pd.testing.assert_frame_equal(items, select_calibration_items(snapshot, "spam"))


def test_items_whose_answer_is_known_are_left_out_and_votes_without_a_model_count():
    snapshot, _ = make_snapshot(40, ambiguous=0.5, rules=LabelRules("votes"))
    reviews = snapshot.reviews
    expert = reviews.head(1).assign(
        review_id="x", source="adjudication", reviewer_id="e", verdict="upheld"
    )
    known = Snapshot(snapshot.decisions, pd.concat([reviews, expert], ignore_index=True))
    ids = select_calibration_items(known, "spam", n_items=100)["decision_id"]
    assert expert["decision_id"].iloc[0] not in set(ids)
    assert len(ids) == 39
    assert select_calibration_items(snapshot, "other").empty
