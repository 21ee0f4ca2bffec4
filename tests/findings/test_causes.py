"""Each planted cause is named by its evidence, and nothing is named where nothing tells."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from errdetect.data.policy_catalogue import Policy
from errdetect.findings.findings import find_findings
from errdetect.findings.root_causes import (
    CAUSES,
    UNKNOWN_CAUSE,
    CauseEvidence,
    compare_answers,
    weigh_causes,
)


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def top(snapshot):
    found = find_findings(snapshot, rng=np.random.default_rng(0)).findings
    slices = found[(found["kind"] == "slice") & found["confirmed"]]
    assert len(slices), "nothing was confirmed"
    return slices.iloc[0]


def test_people_who_agree_point_at_the_machine(log_of, reviewed, rng):
    log = log_of(rng=rng)
    wrong = rng.random(len(log)) < np.where(log["category"] == "a", 0.35, 0.03)
    noise = np.full(len(log), 0.06)
    found = top(reviewed(log, wrong, rng=rng, noise=noise, judges=2))
    assert (found["rule"], found["cause"]) == ("category is a", "machine_fault")
    assert "Reviewers agree" in found["cause_text"]


def test_people_who_disagree_point_at_the_policys_text(log_of, reviewed, rng):
    log = log_of(rng=rng)
    unclear = (log["category"] == "a").to_numpy()
    wrong = rng.random(len(log)) < np.where(unclear, 0.35, 0.03)
    noise = np.where(unclear, 0.45, 0.03)
    found = top(reviewed(log, wrong, rng=rng, noise=noise, judges=2))
    assert found["cause"] == "policy_ambiguity"
    assert "the policy's text leaves the case open" in found["cause_text"]


def test_errors_that_came_with_a_version_point_at_the_change(log_of, reviewed, rng):
    log = log_of(rng=rng)
    late = np.arange(len(log)) >= 3_000
    log = log.assign(moderator_version=np.where(late, "2", "1"))
    worse = (log["market"] == "DE").to_numpy() & late
    wrong = rng.random(len(log)) < np.where(worse, 0.4, 0.03)
    found = top(reviewed(log, wrong, rng=rng))
    assert found["cause"] == "change_in_time"
    assert "under version 2" in found["cause_text"]


def test_errors_that_came_with_a_policys_text_point_at_the_change(log_of, reviewed, rng):
    log = log_of(rng=rng)
    since = pd.Timestamp("2026-02-10", tz="UTC")
    worse = (log["market"] == "DE") & (log["decided_at"] >= since)
    wrong = rng.random(len(log)) < np.where(worse, 0.4, 0.03)
    policy = Policy("spam", "Spam", severity=2, effective_from=since.date())
    found = top(replace(reviewed(log, wrong, rng=rng), policies={"spam": policy}))
    assert found["cause"] == "change_in_time"
    assert "text of 2026-02-10" in found["cause_text"]


def test_a_low_bar_is_named(log_of, reviewed, rng):
    log = log_of(rng=rng)
    low = (log["market"] == "DE").to_numpy()
    log = log.assign(threshold=np.where(low, 0.3, 0.6))
    log = log.assign(enforced=log["score"] >= log["threshold"])
    violates = rng.random(len(log)) < np.where(log["score"] > 0.6, 0.97, 0.02)
    found = top(reviewed(log, violates != log["enforced"].to_numpy(), rng=rng))
    assert (found["rule"], found["cause"]) == ("market is DE", "threshold")
    assert "0.30 here and 0.60 elsewhere" in found["cause_text"]


def test_what_tells_of_accounts_points_at_them(log_of, reviewed, rng):
    log = log_of(rng=rng)
    number = log["account_id"].str.slice(1).astype(int)
    log = log.assign(seller_age=(number * 3 % 800).astype(float))
    wrong = rng.random(len(log)) < np.where(log["seller_age"] < 120, 0.35, 0.03)
    found = top(reviewed(log, wrong, rng=rng))
    assert "seller age is below" in found["rule"]
    assert found["cause"] == "account_cluster"


def test_few_accounts_that_go_on_to_err_are_named(log_of, reviewed, rng):
    log = log_of(rng=rng)
    number = log["account_id"].str.slice(1).astype(int)
    theirs = (number < 20).to_numpy()
    log = log.assign(category=np.where(theirs | (rng.random(len(log)) < 0.1), "a", "b"))
    log = log.assign(market="DE", price=1.0)
    # Twenty accounts are a third of the category; only they are wronged.
    wrong = rng.random(len(log)) < np.where(theirs, 0.8, 0.03)
    found = top(reviewed(log, wrong, rng=rng, share=0.6))
    assert (found["rule"], found["cause"]) == ("category is a", "account_cluster")
    assert "of the earlier errors" in found["cause_text"]


def test_one_site_that_flags_alone_is_named(log_of, reviewed, rng):
    log = log_of(rng=rng)
    here = (log["market"] == "DE").to_numpy()
    snapshot = reviewed(log, rng.random(len(log)) < 0.04, rng=rng)
    reviews = snapshot.reviews
    row = reviews["row"].to_numpy()
    harsh = (reviews["source"] == "audit") & (reviews["site"] == "Oslo") & here[row]
    harsh &= rng.random(len(reviews)) < 0.5
    verdict = np.where(harsh, "overturned", reviews["verdict"])
    reviews = reviews.assign(verdict=verdict)
    found = top(replace(snapshot, reviews=reviews))
    assert (found["rule"], found["cause"]) == ("market is DE", "reviewer_inconsistency")
    assert "Oslo" in found["cause_text"]


@pytest.mark.parametrize("strength", [0.0, 0.2])
def test_weak_evidence_names_nothing(strength):
    told = weigh_causes([CauseEvidence("machine_fault", strength, "", {})])
    assert (told.cause, told.sure) == (UNKNOWN_CAUSE, "open")
    assert told.words == "The cause is unknown: the reviews here are inconclusive."


def test_a_close_second_makes_it_likely_only():
    told = weigh_causes(
        [CauseEvidence("threshold", 0.6, "a", {}), CauseEvidence("machine_fault", 0.5, "b", {})]
    )
    assert (told.cause, told.runner_up, told.sure) == ("threshold", "machine_fault", "likely")
    assert {told.cause, told.runner_up} < set(CAUSES)


def test_comparisons_with_what_is_usual(log_of, reviewed, rng):
    log = log_of(2_000, rng=rng)
    wrong = rng.random(len(log)) < 0.1
    snapshot = reviewed(log, wrong, rng=rng, noise=np.full(len(log), 0.1), judges=2)
    votes, reviews = compare_answers(snapshot), snapshot.reviews
    assert set(votes.sort.tolist()) == {2, 3}
    expert = votes.sort == 2
    flagged = reviews[reviews["source"] == "adjudication"]["row"]
    assert set(votes.position[expert].tolist()) == set(flagged.tolist())
    assert 0.1 < votes.differs[expert].mean() < 0.5
    assert votes.sites == ("Oslo", "Riga")
