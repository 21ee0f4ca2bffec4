"""Whitelists: only where the lower limit is high enough, and the bias is said."""

import pandas as pd
import pytest

from errdetect.config_schema import WhitelistSettings
from errdetect.remediation.whitelist import account_rates, whitelist_candidates
from errdetect.snapshot import LabelRules, Snapshot


def log(decide, review, counts, source="audit", chance=0.2):
    """Reviewed enforcements of accounts: account -> (overturned, upheld)."""
    rows, votes = [], []
    for account, (wrong, right) in counts.items():
        for i in range(wrong + right):
            name = f"{account}{i}"
            rows.append((name, "spam", account, True))
            votes.append((f"r{name}", name, source, "overturned" if i < wrong else "upheld"))
    return decide(*rows), review(*votes, inclusion_probability=chance)


def by_votes(decisions, reviews):
    return Snapshot(decisions, reviews, rules=LabelRules("votes"))


def rates(decisions, reviews):
    return account_rates(by_votes(decisions, reviews), WhitelistSettings())


def test_limits_are_the_exact_ones(decide, review):
    from scipy.stats import binomtest

    decisions, reviews = log(decide, review, {"a": (9, 1), "b": (1, 9), "c": (3, 0)})
    table = rates(decisions, reviews)
    assert table["account_id"].tolist() == ["a", "b"], "three reviews tell nothing"
    exact = binomtest(9, 10, 0.5, alternative="greater")
    limits = binomtest(9, 10).proportion_ci(0.95, "exact")
    assert table["low"].iloc[0] == pytest.approx(limits.low)
    assert table["high"].iloc[0] == pytest.approx(limits.high)
    assert table["p_value"].iloc[0] == pytest.approx(exact.pvalue)
    assert table["chosen"].tolist() == [True, False]


def test_many_accounts_need_stronger_evidence(decide, review):
    alone = log(decide, review, {"a": (8, 1)})
    assert rates(*alone)["low"].iloc[0] > 0.5
    assert rates(*alone)["chosen"].all()
    crowd = log(decide, review, {"a": (8, 1), **{f"b{i}": (4, 5) for i in range(30)}})
    assert not rates(*crowd)["chosen"].any()


def test_the_plan_says_evidence_and_expiry(decide, review):
    decisions, reviews = log(decide, review, {"a": (10, 0)})
    plan = whitelist_candidates(by_votes(decisions, reviews), WhitelistSettings(days=30))
    row = plan.iloc[0]
    assert (row["kind"], row["account_id"], row["policy_id"]) == ("whitelist", "a", "spam")
    assert row["status"] == "planned"
    assert row["evidence"] == (
        "100% of 10 reviewed enforcements were wrong (95 % interval 69% to 100%). "
        "The audit drew them with known probabilities."
    )
    assert row["expires_at"] == reviews["reviewed_at"].max() + pd.Timedelta(days=30)
    assert len(row["review_ids"]) == 10
    assert pd.isna(row["decision_id"])


def test_reviews_as_they_came_are_not_enough_by_themselves(decide, review):
    decisions, reviews = log(decide, review, {"a": (10, 0)}, source="appeal", chance=float("nan"))
    plan = whitelist_candidates(by_votes(decisions, reviews), WhitelistSettings())
    assert plan["status"].tolist() == ["review"]
    assert "mostly from wronged accounts" in plan["evidence"].iloc[0]


def test_the_audit_overrules_the_appeals(decide, review):
    decisions, audit = log(decide, review, {"a": (2, 8)})
    more, appeals = log(decide, review, {"z": (30, 0)}, source="appeal", chance=float("nan"))
    decisions = pd.concat([decisions, more.assign(account_id="a")], ignore_index=True)
    reviews = pd.concat([audit, appeals], ignore_index=True)
    table = rates(decisions, reviews)
    assert table[["basis", "n"]].values.tolist() == [["audit", 10]]
    assert not table["chosen"].any()


def test_unequal_chances_weigh_and_cost(decide, review):
    decisions, reviews = log(decide, review, {"a": (8, 2)})
    chance = [0.1] * 8 + [0.9] * 2
    even, odd = (
        rates(decisions, reviews),
        rates(decisions, reviews.assign(inclusion_probability=chance)),
    )
    assert odd["rate"].iloc[0] == pytest.approx(80 / (80 + 2 / 0.9))
    assert odd["high"].iloc[0] - odd["low"].iloc[0] > 0
    assert even["rate"].iloc[0] == pytest.approx(0.8)


def test_wrong_labels_are_no_wrongful_actions(decide, review):
    decisions, reviews = log(decide, review, {"a": (10, 0)})
    relabelled = reviews.assign(verdict="relabelled", correct_policy_id="scam")
    assert rates(decisions, relabelled)["rate"].tolist() == [0.0]


def test_expired_and_fallen_whitelists_are_taken_back(decide, review, plan_of):
    decisions, reviews = log(decide, review, {"a": (10, 0)})
    first = plan_of(decisions, reviews)
    done = first[first["kind"] == "whitelist"].assign(status="applied")

    def again(decisions, reviews, recorded):
        plan = plan_of(decisions, reviews, recorded=recorded)
        return plan[plan["kind"] == "whitelist"]

    kept = again(decisions, reviews, done)
    assert kept["status"].tolist() == ["applied"]
    old = done.assign(expires_at=reviews["reviewed_at"].max())
    assert again(decisions, reviews, old)["reason"].tolist() == ["It has expired."]
    more, upheld = log(decide, review, {"n": (0, 10)})
    decisions = pd.concat([decisions, more.assign(account_id="a")], ignore_index=True)
    fallen = again(decisions, pd.concat([reviews, upheld], ignore_index=True), done)
    assert fallen["status"].tolist() == ["withdrawn"]
    assert fallen["reason"].tolist() == [
        "Of 20 reviewed enforcements, too few are wrong now: the lower limit is 27%."
    ]


def test_without_accounts_there_is_nobody_to_spare(decide, review):
    decisions, reviews = log(decide, review, {"a": (10, 0)})
    assert len(rates(decisions.drop(columns="account_id"), reviews)) == 0
