"""Agreement before and after a session, and what each item's ballots say."""

import numpy as np
import pandas as pd
import pytest

from errdetect.findings.calibration_results import (
    AFTER,
    BALLOTS,
    REVIEWS_BEFORE,
    compare_agreement,
    read_items,
)
from errdetect.reviewers.agreement import nominal_alpha
from errdetect.snapshot import Snapshot


def answers(p, *, n=20, people=5, seed=0):
    """Each person upholds with the item's own share."""
    rng = np.random.default_rng(seed)
    share = np.broadcast_to(p, n)
    rows = [
        (f"d{i}", f"r{who}", rng.random() < share[i]) for i in range(n) for who in range(people)
    ]
    table = pd.DataFrame(rows, columns=["decision_id", "reviewer_id", "yes"])
    return table.assign(verdict=np.where(table["yes"], "upheld", "overturned"))


def of(table, stage, measure):
    return table[(table["stage"] == stage) & (table["measure"] == measure)].iloc[0]


def test_agreement_rises_after_a_ruling_and_intervals_hold_the_truth():
    truth = 0.5**2 + 0.5**2
    held, rises = 0, 0
    for seed in range(60):
        before, after = answers(0.5, seed=seed), answers(0.95, seed=100 + seed)
        table = compare_agreement({BALLOTS: before, AFTER: after})
        one, change = of(table, BALLOTS, "agreement"), of(table, "change", "agreement")
        held += one["low"] <= truth <= one["high"]
        rises += change["low"] > 0
        assert of(table, "change", "agreement")["n_items"] == 20
    assert held >= 54
    assert rises >= 55


def test_a_change_is_no_news_where_nothing_changed():
    wrong = sum(
        not row["low"] <= 0 <= row["high"]
        for seed in range(80)
        for row in [
            of(
                compare_agreement(
                    {BALLOTS: answers(0.7, seed=seed), AFTER: answers(0.7, seed=900 + seed)}
                ),
                "change",
                "agreement",
            )
        ]
    )
    assert wrong <= 9


def test_alpha_is_krippendorffs_and_selection_is_noted():
    before = answers(np.tile([0.1, 0.9], 10))
    table = compare_agreement({REVIEWS_BEFORE: before, BALLOTS: before})
    counts = pd.crosstab(before["decision_id"], before["verdict"]).to_numpy()
    assert of(table, BALLOTS, "alpha")["value"] == pytest.approx(nominal_alpha(counts))
    assert "chosen because" in of(table, REVIEWS_BEFORE, "agreement")["note"]
    assert "chosen because" in of(table, "change", "alpha")["note"]
    assert of(table, BALLOTS, "alpha")["note"] == ""


def test_few_items_and_equal_answers_give_no_figure():
    few = compare_agreement({BALLOTS: answers(0.5, n=4)})
    assert few["value"].isna().all()
    assert few["note"].str.contains("Fewer than 5 items").all()
    same = compare_agreement({BALLOTS: answers(1.0)})
    assert of(same, BALLOTS, "agreement")["value"] == 1
    assert of(same, BALLOTS, "agreement")["low"] < 0.9
    assert "undefined" in of(same, BALLOTS, "alpha")["note"]
    alone = answers(0.5, people=1)
    assert of(compare_agreement({BALLOTS: alone}), BALLOTS, "agreement")["n_items"] == 0


def test_each_item_is_read_by_its_ballots():
    day = pd.Timestamp("2026-01-01", tz="UTC")
    ids = ["open", "clear", "other", "none"]
    decisions = pd.DataFrame({"decision_id": ids, "decided_at": day, "policy_id": ["p", "p", "q", "p"],
                              "enforced": [True, False, True, True]})  # fmt: skip
    items = pd.DataFrame({"decision_id": ids, "policy_id": "p", "cited_policy_id": decisions["policy_id"],
                          "side": ["enforced", "allowed", "enforced", "enforced"],
                          "p_ambiguous": 0.3})  # fmt: skip
    given = {
        "open": ["upheld", "upheld", "overturned", "overturned"],
        "clear": ["overturned"] * 5,
        "other": ["relabelled"] * 5,
    }
    rows = [(one, f"r{i}", v) for one, verdicts in given.items() for i, v in enumerate(verdicts)]
    ballots = pd.DataFrame(rows, columns=["decision_id", "reviewer_id", "verdict"]).assign(
        correct_policy_id=lambda t: t["verdict"].map({"relabelled": "p"})
    )
    found = read_items(items, ballots, Snapshot(decisions)).set_index("decision_id")
    assert found["reading"].to_dict() == {
        "open": "the clause leaves it open",
        "clear": "the clause is clear",
        "other": "the clause is clear",
        "none": "no ballots",
    }
    assert found["n_ballots_apply"].to_dict() == {"open": 2, "clear": 5, "other": 5, "none": 0}
