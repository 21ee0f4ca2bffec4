"""Policies cited where another is correct: shares, intervals, order, and what is left out."""

import numpy as np
import pandas as pd

from errdetect.findings.label_mixups import MIXUP_COLUMNS, find_label_mixups
from errdetect.model.policy_correction import fit_policy_correction
from errdetect.snapshot import Snapshot


def marketplace(seed=0, n=4000, mixed=0.2, rates=(0.6, 0.15), **review):
    """Half of the decisions cite `scam`, of which a share should cite `fakes`; drawn unequally."""
    rng = np.random.default_rng(seed)
    ids = [f"d{i}" for i in range(n)]
    policy = np.where(rng.random(n) < 0.5, "scam", "spam")
    wrong = (policy == "scam") & (rng.random(n) < mixed)
    probability = np.where(wrong, *rates)
    drawn = np.flatnonzero(rng.random(n) < probability)
    day = pd.Timestamp("2026-01-01", tz="UTC")
    decisions = pd.DataFrame(
        {"decision_id": ids, "decided_at": day, "policy_id": policy, "enforced": True}
    )
    reviews = pd.DataFrame(
        {
            "review_id": [f"r{i}" for i in drawn],
            "decision_id": np.array(ids)[drawn],
            "reviewed_at": day + pd.Timedelta(days=1),
            "source": "audit",
            "verdict": np.where(wrong[drawn], "relabelled", "upheld"),
            "correct_policy_id": np.where(wrong[drawn], "fakes", None),
            "reviewer_id": "ann",
            "inclusion_probability": probability[drawn],
            **review,
        }
    )
    return Snapshot(decisions, reviews), wrong.sum() / (policy == "scam").sum(), int(wrong.sum())


def test_the_share_is_the_log_s_and_not_the_sample_s():
    inside = 0
    for seed in range(20):
        snapshot, share, count = marketplace(seed)
        row = find_label_mixups(snapshot).iloc[0]
        assert (row["policy_id"], row["correct_policy_id"]) == ("scam", "fakes")
        inside += row["low"] < share < row["high"]
        assert row["n_decisions_low"] < row["n_decisions"] < row["n_decisions_high"]
        assert row["n_decisions"] / count == np.clip(row["n_decisions"] / count, 0.7, 1.4)
    assert inside >= 17


def test_few_heavy_draws_that_are_mixed_up_make_a_share_uncertain():
    inside = []
    for seed in range(30):
        snapshot, share, _ = marketplace(seed, n=6000, mixed=0.08, rates=(0.03, 0.3))
        found = find_label_mixups(snapshot)
        if len(found):
            inside.append(found.iloc[0]["low"] < share < found.iloc[0]["high"])
    assert np.mean(inside) > 0.85  # by weights alone, whatever they meet: 0.57


def test_without_relabels_there_is_nothing():
    snapshot, _, _ = marketplace(mixed=0.0)
    found = find_label_mixups(snapshot)
    assert found.empty
    assert tuple(found.columns) == MIXUP_COLUMNS


def test_reviews_that_nobody_sampled_give_examples_but_no_share():
    snapshot, _, _ = marketplace(source="re_review", inclusion_probability=None)
    assert find_label_mixups(snapshot).empty


def test_few_audited_decisions_suppress_the_figures():
    snapshot, _, _ = marketplace(n=60)
    found = find_label_mixups(snapshot, minimum=1000)
    assert found["suppressed"].all()
    assert found[["share", "low", "high", "n_decisions"]].isna().all(axis=None)


def test_a_pair_of_one_review_comes_last_and_the_reverse_is_noticed():
    snapshot, _, _ = marketplace(1)
    reviews = snapshot.reviews.copy()
    spam = snapshot.decisions.set_index("decision_id")["policy_id"].reindex(reviews["decision_id"])
    once = np.flatnonzero((spam == "spam").to_numpy())
    reviews.loc[reviews.index[once[0]], ["verdict", "correct_policy_id"]] = ["relabelled", "scam"]
    reviews.loc[reviews.index[once[0]], "inclusion_probability"] = 0.0005  # counts for 2,000
    scam = np.flatnonzero((spam == "scam").to_numpy())
    for row in scam[:2]:
        reviews.loc[reviews.index[row], ["verdict", "correct_policy_id"]] = ["relabelled", "spam"]
    found = find_label_mixups(Snapshot(snapshot.decisions, reviews))
    assert found.iloc[-1][["policy_id", "correct_policy_id", "n_mixed"]].tolist() == [
        "spam",
        "scam",
        1,
    ]
    both = found.set_index(["policy_id", "correct_policy_id"])["both_ways"]
    assert both[("spam", "scam")]
    assert both[("scam", "spam")]
    assert not both[("scam", "fakes")]


def described(snapshot, wrong, seed):
    """Give decisions a text that mostly tells which policy is correct."""
    rng = np.random.default_rng(seed)
    told = np.where(rng.random(len(wrong)) < 0.9, wrong, ~wrong)
    policy = snapshot.decisions["policy_id"].to_numpy(object)
    topic = np.where(
        told & (policy == "scam"),
        "replica watch",
        np.where(policy == "scam", "win money", "buy now"),
    )
    text = [f"{words} {i}" for i, words in enumerate(topic)]
    return snapshot.decisions.assign(text=text, item_id=snapshot.decisions["decision_id"])


def test_a_model_of_the_correct_policy_narrows_the_interval_and_moves_no_estimate():
    widths, inside, off = [], 0, []
    for seed in range(12):
        plain, share, _ = marketplace(seed, n=3000, mixed=0.15, rates=(0.08, 0.08))
        rng = np.random.default_rng(seed)
        policy = np.where(rng.random(3000) < 0.5, "scam", "spam")
        wrong = (policy == "scam") & (rng.random(3000) < 0.15)
        snapshot = Snapshot(described(plain, wrong, seed), plain.reviews)
        known = snapshot.correct_policies
        model = fit_policy_correction(
            snapshot.decisions, known, known.notna().to_numpy(bool), min_relabelled=5
        )
        alone, helped = (find_label_mixups(snapshot, model=m).iloc[0] for m in (None, model))
        widths.append((helped["high"] - helped["low"]) / (alone["high"] - alone["low"]))
        inside += helped["low"] < share < helped["high"]
        off.append(helped["share"] - share)
    assert np.mean(widths) < 0.85
    assert inside >= 10
    assert abs(np.mean(off)) < 0.02
