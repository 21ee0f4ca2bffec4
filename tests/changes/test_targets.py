"""Targets: met, missed or cannot tell, from intervals; what would settle it; the way to a miss."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errdetect.changes.improvement_plan import improvement_plan
from errdetect.changes.outcome_text import target_sentence
from errdetect.changes.quality_targets import (
    AT_LEAST,
    check_reviewer_targets,
    check_targets,
    reviews_to_decide,
    size_next_audit,
    target_status,
)
from errdetect.data.policy_catalogue import Policy
from errdetect.errors import ConfigError
from errdetect.estimation.audit_plan import plan_audit
from errdetect.schemas import MEASURES
from errdetect.stats.intervals import wilson


def estimates(*rows, **columns):
    base = {"policy_id": "spam", "measure": "wrongful_rate", "estimate": 0.05, "low": 0.02,
            "high": 0.11, "n_reviews": 100, "n_decisions": 5000}  # fmt: skip
    return pd.DataFrame([{**base, **columns, **row} for row in rows or ({},)])


def spam(**targets):
    return {"spam": Policy("spam", "Spam", 2, targets=targets)}


@given(st.sampled_from(MEASURES), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_status_rests_on_the_whole_interval(measure, limit, one, other):
    low, high = sorted((one, other))
    status = target_status(measure, limit, low, high)
    keeps = [(v >= limit) if measure in AT_LEAST else (v <= limit) for v in (low, high)]
    assert status == ("met" if all(keeps) else "missed" if not any(keeps) else "cannot_tell")


def test_without_an_interval_nobody_can_tell():
    assert target_status("wrongful_rate", 0.5, np.nan, np.nan) == "cannot_tell"


def test_the_catalogue_goes_before_the_config():
    own = check_targets(
        estimates(), policies=spam(wrongful_rate=0.2), limits={"wrongful_rate": 0.01}
    )
    assert own[["limit", "status"]].to_numpy().tolist() == [[0.2, "met"]]
    config = check_targets(estimates(), policies=spam(), limits={"wrongful_rate": 0.01})
    assert config[["limit", "status"]].to_numpy().tolist() == [[0.01, "missed"]]


def test_policies_that_the_catalogue_does_not_know_are_held_to_the_configs_targets():
    found = check_targets(estimates(policy_id="new"), policies={}, limits={"wrongful_rate": 0.01})
    assert found["policy_id"].tolist() == ["new"]


def test_a_target_without_decisions_is_not_met_in_silence():
    found = check_targets(estimates(), policies={"x": Policy("x", "X", 1, targets={"recall": 0.5})})
    assert found[["policy_id", "status", "n_reviews"]].to_numpy().tolist() == [
        ["x", "cannot_tell", 0]
    ]
    assert "too few reviews" in target_sentence(found.iloc[0].to_dict())


def test_markets_are_held_one_by_one_and_the_whole_is_left_out():
    table = estimates({"market": "DE"}, {"market": "FR", "low": 0.06}, {"market": None})
    found = check_targets(table, policies=spam(wrongful_rate=0.05), by=("policy_id", "market"))
    assert found[["market", "status"]].to_numpy().tolist() == [
        ["DE", "cannot_tell"],
        ["FR", "missed"],
    ]


def test_measures_that_should_be_high():
    table = estimates(measure="precision", estimate=0.95, low=0.89, high=0.98)
    (row,) = check_targets(table, policies=spam(precision=0.9)).to_dict("records")
    assert (row["sense"], row["status"]) == ("at least", "cannot_tell")
    assert row["reviews_needed"] > 0


@pytest.mark.parametrize(
    ("limits", "words"),
    [({"eror": 0.1}, r"targets.rates must name measures \(error_rate.* got 'eror'"),
     ({"recall": 3}, r"targets.rates.recall must be a share from 0 to 1, got 3")],
)  # fmt: skip
def test_targets_that_make_no_sense_are_refused(limits, words):
    with pytest.raises(ConfigError, match=words):
        check_targets(estimates(), policies={}, limits=limits)


# What settles a target


@pytest.mark.parametrize(("rate", "limit"), [(0.02, 0.04), (0.06, 0.03), (0.5, 0.45)])
def test_so_many_reviews_settle_it_in_four_of_five(rate, limit):
    so_far = wilson(np.array([rate]), np.array([200.0]))
    more = reviews_to_decide(rate, float(so_far.low[0]), float(so_far.high[0]), limit, 200, None)
    assert more is not None
    n = 200 + more
    rng = np.random.default_rng(3)
    # The plan leans half an error towards caution, so a bit more than four of five.
    found = wilson(rng.binomial(n, rate, 4000) / n, np.full(4000, float(n)))
    settled = (found.high <= limit) | (found.low > limit)
    assert 0.74 <= settled.mean() <= 0.93


@given(st.floats(0, 1), st.floats(0.01, 0.99), st.integers(5, 400), st.integers(400, 10_000))
def test_reviewing_everything_always_settles(estimate, limit, n, size):
    own = wilson(np.array([estimate]), np.array([float(n)]))
    more = reviews_to_decide(estimate, float(own.low[0]), float(own.high[0]), limit, n, size)
    assert more is not None
    assert 1 <= more <= max(size - n, 1)


def test_a_rate_at_its_limit_is_never_settled():
    assert reviews_to_decide(0.5, 0.4, 0.6, 0.5, 100, None) is None
    assert reviews_to_decide(0.5, 0.4, 0.6, 0.5, 100, 1000) == 900


def test_a_rougher_design_needs_more():
    fine = reviews_to_decide(0.05, 0.02, 0.11, 0.03, 100, None)
    rough = reviews_to_decide(0.05, 0.01, 0.19, 0.03, 100, None)
    assert fine is not None
    assert rough is not None
    assert rough > 1.5 * fine


def test_no_error_seen_yet_is_not_taken_for_none():
    assert reviews_to_decide(0.0, 0.0, 0.06, 0.03, 60, None) > 60


def test_the_audit_that_is_named_can_be_drawn():
    table = pd.concat([
        estimates({"policy_id": p, "measure": m, "n_decisions": n})
        for p, size in (("spam", 9000), ("arms", 2000), ("tiny", 50))
        for m, n in (("error_rate", size), ("wrongful_rate", size // 2))
    ])  # fmt: skip
    targets = check_targets(table, policies={}, limits={"wrongful_rate": 0.03})
    audit = size_next_audit(targets, table)
    assert audit is not None
    assert (audit.n_open, audit.n_targets) == (3, 2)  # the smallest needs them all
    assert re.search(rf"--budget {audit.budget} --set audit.min_per_segment={audit.minimum}$",
                     audit.command)  # fmt: skip
    policy = np.repeat(["spam", "arms", "tiny"], [9000, 2000, 50])
    decisions = pd.DataFrame({"decision_id": [f"d{i}" for i in range(11_050)], "policy_id": policy})
    rng = np.random.default_rng(0)
    plan = plan_audit(decisions, rng=rng, p_error=rng.beta(1, 15, 11_050), by=["policy_id"],
                      budget=audit.budget, minimum=audit.minimum)  # fmt: skip
    drawn = plan.draws["policy_id"].value_counts()
    assert drawn["spam"] >= audit.minimum - 1
    assert drawn["arms"] >= audit.minimum - 1


def test_a_small_audit_names_the_targets_that_it_would_decide():
    table = pd.concat(
        [
            estimates(
                {
                    "policy_id": policy,
                    "low": 0.01,
                    "estimate": rate,
                    "high": 0.2,
                    "n_decisions": 50_000,
                }
            )
            for policy, rate in (("near", 0.09), ("far", 0.0335), ("next", 0.085))
        ]
    )
    targets = check_targets(table, policies={}, limits={"wrongful_rate": 0.03})
    needed = targets.set_index("policy_id")["reviews_needed"]
    assert needed["far"] > 500 > needed["near"] + needed["next"]
    audit = size_next_audit(targets, table)
    assert [place for place, _, _ in audit.nearest] == ["near", "next"]
    only = size_next_audit(targets[targets["policy_id"] == "far"], table)
    assert [need for _, _, need in only.nearest] == [needed["far"]]


def test_nothing_open_needs_no_audit():
    table = estimates(low=0.04, estimate=0.06)
    assert (
        size_next_audit(check_targets(table, policies={}, limits={"wrongful_rate": 0.03}), table)
        is None
    )


# Reviewers


def test_each_site_is_held_to_its_own_or_the_common_limit():
    cards = pd.DataFrame({
        "site": ["a", "b", "c", "a", None, "a"], "reviewer": [None, None, None, "r", None, None],
        "measure": ["accuracy"] * 5 + ["minutes"], "value": [0.97, 0.8, np.nan, 0.5, 0.9, 3.0],
        "low": [0.96, 0.75, np.nan, 0.4, 0.8, 2.0], "high": [0.98, 0.85, np.nan, 0.6, 0.95, 4.0],
        "n": [900.0, 300.0, 7.0, 30.0, 50.0, 100.0],
    })  # fmt: skip
    found = check_reviewer_targets(cards, 0.95, sites={"b": 0.7})
    assert found[["site", "limit", "status"]].to_numpy().tolist() == [
        ["a", 0.95, "met"], ["b", 0.7, "met"], ["c", 0.95, "cannot_tell"],
    ]  # fmt: skip


def test_a_site_without_a_figure_says_so():
    card = pd.DataFrame({"site": ["c"], "reviewer": [None], "measure": "accuracy", "value": np.nan,
                         "low": np.nan, "high": np.nan, "n": 7.0})  # fmt: skip
    (row,) = check_reviewer_targets(card, 0.9).to_dict("records")
    assert row["reviews_needed"] > 0
    assert "Reviewers' accuracy at least 90.0" in target_sentence(row)


# The way to a missed target

DECISIONS = pd.DataFrame({
    "policy_id": ["spam"] * 100 + ["other"] * 50, "market": ["DE", "FR"] * 75,
    "age": list(range(150)), "enforced": True,
})  # fmt: skip


def finding(name, column, op, value, **changes):
    base = {"finding_id": name, "policy_id": "spam", "rule": name, "error_kind": "wrongful_action",
            "error_rate": 0.3, "low": 0.2, "high": 0.4, "base_rate": 0.1, "confirmed": True,
            "cause": "machine_fault", "account_ids": None,
            "conditions": [{"column": column, "op": op, "value": value}]}  # fmt: skip
    return {**base, **changes}


def missed(limit=0.1, estimate=0.2, measure="wrongful_rate", **more):
    low, high = more.get("low", estimate - 0.02), more.get("high", estimate + 0.02)
    table = estimates(estimate=estimate, low=low, high=high, measure=measure)
    return check_targets(table, policies={}, limits={measure: limit})


def test_findings_go_by_what_they_bring_for_their_work():
    findings = pd.DataFrame([
        finding("dear", "age", "<", 60), finding("cheap", "age", ">=", 60, cause="threshold"),
        finding("unsure", "age", ">=", 60, confirmed=False),
        finding("elsewhere", "age", "<", 60, policy_id="other"),
        finding("other kind", "age", "<", 60, error_kind="missed_violation"),
    ])  # fmt: skip
    plan = improvement_plan(missed(), findings, DECISIONS)
    assert plan["finding_id"].tolist() == ["cheap", "dear"]
    assert plan["step"].tolist() == [1, 2]
    assert plan["brings"].tolist() == pytest.approx([0.08, 0.12])
    assert plan["left"].tolist() == pytest.approx([0.12, 0.0])
    assert plan["reaches"].tolist() == ["no", "likely"]


def test_errors_of_all_decisions_count_against_the_enforced():
    half = DECISIONS.assign(enforced=np.arange(150) % 2 == 0)
    plan = improvement_plan(missed(), pd.DataFrame([finding("a", "age", "<", 40)]), half)
    # 40 decisions err 20 points more than usual: 8 errors among 50 enforced.
    assert plan["brings"].tolist() == pytest.approx([8 / 50])


def test_what_slices_share_counts_once():
    twice = pd.DataFrame([finding("a", "age", "<", 50), finding("b", "age", "<", 50)])
    plan = improvement_plan(missed(), twice, DECISIONS)
    assert plan["finding_id"].tolist() == ["a"]
    half = pd.DataFrame([finding("a", "age", "<", 50), finding("b", "age", "<", 75)])
    plan = improvement_plan(missed(), half, DECISIONS)
    assert plan["brings"].sum() == pytest.approx(0.75 * 0.2)


def test_steps_promise_no_more_errors_than_there_are():
    both = pd.DataFrame([finding("a", "age", "<", 50, error_rate=0.9, low=0.5, high=1.0),
                         finding("b", "age", ">=", 50, error_rate=0.9, low=0.5, high=1.0)])  # fmt: skip
    plan = improvement_plan(missed(estimate=0.5), both, DECISIONS)
    assert plan["brings"].tolist() == pytest.approx([0.4, 0.1])
    assert (plan["brings_high"] >= plan["brings"]).all()
    assert plan["left"].tolist() == pytest.approx([0.1, 0.0])
    assert (plan["brings_low"] <= plan["brings"]).all()
    high = improvement_plan(missed(0.9, 0.5, "precision"), both, DECISIONS)
    assert high["brings"].sum() == pytest.approx(0.5)


def test_no_finding_says_that_nothing_is_known_to_help():
    plan = improvement_plan(missed(), pd.DataFrame([finding("a", "age", "<", 0)]), DECISIONS)
    assert plan[["step", "reaches"]].to_numpy().tolist() == [[0, "no"]]
    assert plan["finding_id"].isna().all()


def test_only_missed_targets_have_a_plan():
    met = check_targets(estimates(), policies=spam(wrongful_rate=0.5))
    assert improvement_plan(met, pd.DataFrame([finding("a", "age", "<", 50)]), DECISIONS).empty


def test_a_measure_that_should_be_high_is_led_upwards():
    plan = improvement_plan(missed(0.9, 0.8, "precision"),
                            pd.DataFrame([finding("a", "age", "<", 80)]), DECISIONS)  # fmt: skip
    assert plan["left"].tolist() == pytest.approx([0.96])
    assert plan["left_low"].tolist() == pytest.approx([0.86])
    assert plan["reaches"].tolist() == ["likely"]


def test_a_target_of_one_market_counts_its_decisions_only():
    table = estimates(market="DE", estimate=0.2, low=0.18, high=0.22)
    targets = check_targets(
        table, policies={}, limits={"wrongful_rate": 0.1}, by=("policy_id", "market")
    )
    findings = pd.DataFrame(
        [finding("a", "market", "==", "DE"), finding("b", "market", "==", "FR")]
    )
    plan = improvement_plan(targets, findings, DECISIONS)
    assert plan["finding_id"].tolist() == ["a"]
    assert plan["brings"].tolist() == pytest.approx([0.2])
