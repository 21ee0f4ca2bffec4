import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from errdetect.estimation.error_rates import estimate_rates
from errdetect.estimation.queue_sample import extend_to_duplicates, read_queue_design
from errdetect.snapshot import Snapshot

START = pd.Timestamp("2026-01-01", tz="UTC")
DAY = pd.Timestamp("2026-01-02", tz="UTC")


def reviewed(ids, wrong, source, chance=None):
    ids = np.asarray(ids, dtype=object)
    return pd.DataFrame({
        "review_id": source + ids, "decision_id": ids, "source": source, "site": "x", "expected": None,
        "verdict": np.where(wrong, "overturned", "upheld"), "reviewed_at": DAY,
        "inclusion_probability": np.nan if chance is None else chance,
    })  # fmt: skip


def queued(seed, n=2000, *, audit=0, ranked=60, explored=90):
    """Decisions, P(error) that errs, truth, reviews and scores of one run after appeals came in."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 1.3, n)
    wrong = rng.random(n) < expit(-3.3 + z)
    p = expit(-3.3 + z + rng.normal(0, 0.8, n))
    ids = np.array([f"d{i}" for i in range(n)], dtype=object)
    decisions = pd.DataFrame(
        {"decision_id": ids, "decided_at": START, "enforced": rng.random(n) < 0.5}
    )
    # Who appeals has reason to: the very selection that must not matter.
    judged = rng.random(n) < np.where(wrong, 0.3, 0.02)
    parts = [reviewed(ids[judged], wrong[judged], "appeal")]
    if audit:
        drawn = np.isin(np.arange(n), rng.permutation(n)[:audit])
        parts.append(reviewed(ids[drawn], wrong[drawn], "audit", audit / n))
        judged = judged | drawn
    open_ = np.flatnonzero(~judged)
    order = open_[np.argsort(-p[open_], kind="stable")]
    top, rest = order[:ranked], order[ranked:]
    want = 0.25 + 0.75 * np.sqrt(p[rest]) / np.sqrt(p[rest]).mean()
    chance = np.ones(n)
    chance[rest] = explored * want / want.sum()
    reach = np.cumsum(chance[mixed := rng.permutation(rest)])
    lucky = mixed[np.searchsorted(reach, np.arange(explored) + rng.random())]
    arm = np.full(n, None, dtype=object)
    arm[judged], arm[top], arm[lucky] = "judged", "ranked", "explore"
    done = np.r_[top, lucky]
    parts.append(reviewed(ids[done], wrong[done], "re_review"))
    scores = pd.DataFrame(
        {"decision_id": ids, "job_id": ids, "inclusion_probability": chance, "arm": arm, "p_error": p}
    )  # fmt: skip
    return decisions, wrong, pd.concat(parts, ignore_index=True), scores


def figures(decisions, reviews, scores):
    snapshot = Snapshot(decisions, reviews)
    design, words = read_queue_design(snapshot, scores)
    p = scores.set_index("decision_id")["p_error"]
    return estimate_rates(snapshot, p_error=p, queue=design).overall.set_index("measure"), words


@pytest.mark.parametrize("audit", [0, 150])
def test_estimates_are_unbiased_and_cover_whoever_appealed(audit):
    told = []
    for seed in range(120):
        decisions, wrong, reviews, scores = queued([seed, audit], audit=audit)
        table, _ = figures(decisions, reviews, scores)
        row = table.loc["error_rate"]
        told.append((row["estimate"] - wrong.mean(), row["low"] <= wrong.mean() <= row["high"]))
    error, covered = np.array(told).T
    assert abs(error.mean()) < 3 * error.std() / np.sqrt(len(error))
    assert covered.mean() >= 0.9


def test_the_queue_s_own_ranking_would_mislead_without_its_chances():
    """What the sample would say if it were taken for an even one: here it can fail."""
    decisions, wrong, reviews, scores = queued(1)
    naive = (reviews["verdict"] == "overturned").mean()
    row = figures(decisions, reviews, scores)[0].loc["error_rate"]
    assert naive > 3 * wrong.mean()
    assert row["low"] <= wrong.mean() <= row["high"]
    assert "the sample is the review queue" in row["method"]


def test_both_samples_tell_more_than_one():
    decisions, _, reviews, scores = queued(2, audit=250)
    both, words = figures(decisions, reviews, scores)
    alone = estimate_rates(
        Snapshot(decisions, reviews), p_error=scores.set_index("decision_id")["p_error"]
    ).overall.set_index("measure")
    width = [t.loc["error_rate", "high"] - t.loc["error_rate", "low"] for t in (both, alone)]
    assert width[0] < 0.95 * width[1]
    assert "with the audit" in words
    assert "second sample" in both.loc["error_rate", "method"]


def test_an_unfinished_random_part_is_not_used():
    decisions, _, reviews, scores = queued(3)
    waits = scores.loc[scores["arm"] == "explore", "decision_id"].iloc[0]
    design, words = read_queue_design(
        Snapshot(decisions, reviews[reviews["decision_id"] != waits]), scores
    )
    assert design is None
    assert "149 of its 150 decisions are reviewed, and 1 of those still to do were drawn" in words


def test_ranked_decisions_that_wait_widen_the_interval_by_what_they_might_be():
    decisions, wrong, reviews, scores = queued(4)
    full, _ = figures(decisions, reviews, scores)
    waits = scores.loc[scores["arm"] == "ranked", "decision_id"].iloc[:25]
    part, words = figures(decisions, reviews[~reviews["decision_id"].isin(waits)], scores)
    assert (
        "the interval covers the cases that the 25 still to do are all right or all wrong" in words
    )
    low, high = part.loc["error_rate", ["low", "high"]]
    assert low < full.loc["error_rate", "low"]
    assert (
        high - low
        > full.loc["error_rate", "high"] - full.loc["error_rate", "low"] + 0.9 * 25 / 2000
    )
    assert low <= wrong.mean() <= high


def test_beside_an_audit_an_unfinished_queue_is_left_out():
    decisions, _, reviews, scores = queued(5, audit=100)
    waits = scores.loc[scores["arm"] == "ranked", "decision_id"].iloc[0]
    design, words = read_queue_design(
        Snapshot(decisions, reviews[reviews["decision_id"] != waits]), scores
    )
    assert design is None
    assert "ranked decisions that are not reviewed have no certain inclusion" in words


def test_flags_that_experts_have_not_settled_do_not_spoil_an_audit_whose_are():
    decisions, _, reviews, scores = queued(6, audit=200)
    audited = reviews[(reviews["source"] == "audit") & (reviews["verdict"] == "overturned")]
    experts = audited.assign(
        source="adjudication", review_id="x" + audited["review_id"], inclusion_probability=1.0
    )
    design, words = read_queue_design(Snapshot(decisions, pd.concat([reviews, experts])), scores)
    assert design is None
    assert "experts settled the audit's flags, but not all of the queue's" in words


def test_decisions_that_no_pool_could_take_are_outside_of_what_is_said():
    decisions, _, reviews, scores = queued(7)
    out = scores["arm"].isna() & (np.arange(len(scores)) % 4 == 0)
    scores.loc[out, "inclusion_probability"] = 0.0
    table, _ = figures(decisions, reviews, scores)
    assert table.loc["error_rate", "n_decisions"] == (~out).sum()


def test_one_verdict_answers_for_identical_content_and_counts_as_one_draw():
    decisions = pd.DataFrame({"decision_id": list("abcdef"), "decided_at": START, "enforced": True})
    scores = pd.DataFrame({
        "decision_id": list("abcdef"), "job_id": list("aaccef"), "p_error": 0.1,
        "inclusion_probability": [1, 1, 0.5, 0.5, 0.5, 0.5],
        "arm": ["ranked", "ranked", "explore", "explore", None, None],
    })  # fmt: skip
    reviews = extend_to_duplicates(reviewed(["a", "c"], [True, False], "re_review"), scores)
    assert reviews["decision_id"].tolist() == ["a", "c", "b", "d"]
    design, words = read_queue_design(Snapshot(decisions, reviews), scores)
    frame = design.frame.set_index("decision_id")
    assert frame["drawn"].tolist() == [True, True, True, True, False, False]
    assert frame["variance"].tolist() == [0.0, 0.0, 4.0, 4.0, 2.0, 2.0]
    assert "all of its 4 decisions" in words
