"""Rules where a policy errs more: found where they are, and not where they are not."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from errdetect.findings.audit_evidence import (
    KINDS,
    AuditEvidence,
    earlier_part,
    read_audit_evidence,
    read_decision_log,
)
from errdetect.findings.conditions import (
    Condition,
    condition_columns,
    list_conditions,
    rule_mask,
    rule_text,
)
from errdetect.findings.error_slices import find_slices, search_rules
from errdetect.findings.rate_tests import (
    excess_p_value,
    weighted_rate,
)


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def find(snapshot, seed=0, **options):
    known = read_decision_log(snapshot)
    judged = read_audit_evidence(snapshot, known.policy, known.early)
    rng = np.random.default_rng(seed)
    log = snapshot.decisions
    return find_slices(log, judged, known.policy, known.known, rng=rng, **options)


def evenly(errors: np.ndarray, weight: np.ndarray | None = None) -> AuditEvidence:
    n = len(errors)
    weight = np.ones(n) if weight is None else weight
    columns = np.column_stack([errors, errors, np.zeros(n), np.zeros(n)]).astype(float)
    return AuditEvidence(
        position=np.arange(n),
        policy=np.zeros(n, dtype=np.int64),
        weight=weight,
        errors=columns,
        spread=np.repeat(weight[:, None], 4, axis=1),
        settled=np.ones(n, dtype=bool),
        early=np.zeros(n, dtype=bool),
    )


def test_a_worse_slice_is_found_and_confirmed(log_of, reviewed, rng):
    log = log_of(rng=rng)
    worse = (log["market"] == "DE") & (log["category"] == "a")
    wrong = rng.random(len(log)) < np.where(worse, 0.4, 0.03)
    found = [s for s in find(reviewed(log, wrong, rng=rng)) if s.confirmed]
    assert [rule_text(s.rule) for s in found] == ["market is DE and category is a"]
    assert found[0].inside.low < wrong[worse].mean() < found[0].inside.high
    assert found[0].outside.estimate < 0.06


def test_a_number_is_cut_near_where_errors_begin(log_of, reviewed, rng):
    log = log_of(rng=rng)
    wrong = rng.random(len(log)) < np.where(log["price"] >= 70, 0.35, 0.03)
    (found,) = [s for s in find(reviewed(log, wrong, rng=rng)) if s.confirmed]
    (condition,) = found.rule
    assert (condition.column, condition.op) == ("price", ">=")
    assert 55 < condition.value < 85


def test_nothing_is_confirmed_where_errors_are_even(log_of, reviewed):
    confirmed = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        log = log_of(3_000, rng=rng)
        wrong = rng.random(len(log)) < 0.08
        confirmed += sum(s.confirmed for s in find(reviewed(log, wrong, rng=rng)))
    assert confirmed <= 2


def test_more_appeals_are_no_evidence_of_more_errors(log_of, reviewed, rng):
    log = log_of(rng=rng)
    wrong = rng.random(len(log)) < 0.08
    snapshot = reviewed(log, wrong, rng=rng)
    loud = np.flatnonzero(wrong & (log["market"] == "DE").to_numpy())
    appeals = pd.DataFrame(
        {
            "review_id": [f"z{i}" for i in loud],
            "decision_id": log["decision_id"].to_numpy()[loud],
            "reviewed_at": log["decided_at"].to_numpy()[loud] + pd.Timedelta("2h"),
            "source": "appeal",
            "verdict": "overturned",
            "reviewer_id": "appeals",
        }
    )
    both = pd.concat([snapshot.reviews, appeals], ignore_index=True)
    found = find(replace(snapshot, reviews=both))
    assert any(s.rule[0].value == "DE" for s in found), "the search takes appeals as a hint"
    assert not any(s.confirmed for s in found), "only the audit confirms"


@pytest.mark.parametrize("when", ["early", "late"])
def test_what_only_one_half_shows_is_not_confirmed(log_of, reviewed, rng, when):
    log = log_of(rng=rng).assign(moderator="m", moderator_version="1")
    early = earlier_part(log, np.zeros(len(log), dtype=np.int64))
    worse = (log["market"] == "DE").to_numpy() & (early if when == "early" else ~early)
    found = find(reviewed(log, rng.random(len(log)) < np.where(worse, 0.4, 0.03), rng=rng))
    of_market = [s for s in found if s.rule == (Condition("market", "==", "DE"),)]
    assert of_market, "the half that shows it finds it"
    assert not any(s.confirmed for s in of_market)


def test_a_later_slice_is_found_by_the_later_half(log_of, reviewed, rng):
    log = log_of(rng=rng)
    worse = log["market"] == "DE"
    snapshot = reviewed(log, rng.random(len(log)) < np.where(worse, 0.3, 0.03), rng=rng)
    known = read_decision_log(snapshot)
    hidden = known.early & (known.known > 0)
    judged = read_audit_evidence(snapshot, known.policy, known.early)
    found = find_slices(
        log, judged, known.policy, np.where(hidden, 0, known.known), rng=np.random.default_rng(0)
    )
    assert any(s.confirmed and s.rule == (Condition("market", "==", "DE"),) for s in found)


def test_a_rule_within_a_stronger_one_is_left_out(log_of, reviewed, rng):
    log = log_of(rng=rng)
    twin = log["market"].map({"DE": "de", "FR": "fr", "US": "en", "PL": "pl"})
    log = log.assign(language=twin)
    wrong = rng.random(len(log)) < np.where(log["market"] == "DE", 0.3, 0.03)
    found = [s for s in find(reviewed(log, wrong, rng=rng)) if s.confirmed]
    assert len(found) == 1
    assert len(found[0].rule) == 1


def test_equal_input_gives_equal_slices(log_of, reviewed, rng):
    log = log_of(3_000, rng=rng)
    snapshot = reviewed(
        log, rng.random(len(log)) < np.where(log["market"] == "DE", 0.3, 0.03), rng=rng
    )
    first, second = find(snapshot), find(snapshot)
    assert [(s.rule, s.kind, s.q_value) for s in first] == [
        (s.rule, s.kind, s.q_value) for s in second
    ]


def test_columns_can_be_left_out(log_of, reviewed, rng):
    log = log_of(rng=rng)
    wrong = rng.random(len(log)) < np.where(log["market"] == "DE", 0.3, 0.03)
    found = find(reviewed(log, wrong, rng=rng), leave_out=["market"])
    assert not any(c.column == "market" for s in found for c in s.rule)


def test_the_decisions_own_marks_are_no_conditions(log_of, rng):
    log = log_of(50, rng=rng).assign(score_of_another=0.5, text="x", exposure=1.0)
    assert condition_columns(log) == [
        "moderator", "moderator_version", "market", "category", "price",
    ]  # fmt: skip


def test_no_decision_serves_search_and_confirmation_and_versions_are_in_both():
    days = pd.date_range("2026-01-01", periods=40, tz="UTC")
    log = pd.DataFrame({"decided_at": days, "moderator_version": ["1"] * 30 + ["2"] * 10})
    early = earlier_part(log, np.zeros(40, dtype=np.int64))
    assert early.tolist() == [True] * 15 + [False] * 15 + [True] * 5 + [False] * 5


def test_hostile_values_stay_data():
    frame = pd.DataFrame({"seller": ["<script>\x1b[31m"] * 20 + ["b"] * 20})
    items = list_conditions(frame, least=5).items
    assert items[0].value == "<script>\x1b[31m"
    assert rule_text(items[:1]) == "seller is <script>[U+001B][31m"
    assert len(rule_text([Condition("text", "==", "x" * 10_000)])) < 100


def test_missing_meets_no_condition():
    frame = pd.DataFrame({"a": [1.0, np.nan], "b": pd.array(["x", None], dtype="str")})
    for rule in ([Condition("a", ">=", 0)], [Condition("a", "<", 9)], [Condition("b", "==", "x")]):
        assert rule_mask(frame, rule).tolist() == [True, False]


def test_few_errors_are_not_searched():
    log = pd.DataFrame({"market": ["DE"] * 30 + ["FR"] * 30})
    kind = np.zeros(60, dtype=np.int64)
    assert search_rules(list_conditions(log, least=5), kind, most=3) == []
    kind[:2] = 1
    assert search_rules(list_conditions(log, least=5), kind, most=3) == []


def test_one_heavy_error_is_no_evidence():
    errors = np.zeros(200)
    errors[[0, 50, 60, 70, 80]] = 1
    weight = np.ones(200)
    weight[0] = 30.0
    inside = np.arange(200) < 20
    judged = evenly(errors, weight)
    assert weighted_rate(judged, inside, 0).estimate > 0.5
    assert weighted_rate(judged, inside, 0).low < 0.2
    # Were it one of twenty alike, its own chance to be wrong would be the p-value.
    assert excess_p_value(judged, inside, ~inside, 0) > 4 / 180


def test_p_values_are_honest_for_even_errors():
    rng = np.random.default_rng(5)
    weight = rng.choice([2.0, 20.0], 600, p=[0.4, 0.6])
    inside = np.arange(600) < 60
    p = [
        excess_p_value(evenly((rng.random(600) < 0.08).astype(float), weight), inside, ~inside, 0)
        for _ in range(400)
    ]
    assert np.mean(np.array(p) < 0.05) <= 0.075
    assert np.mean(np.array(p) < 0.01) <= 0.025


def test_intervals_hold_under_unequal_weights():
    rng = np.random.default_rng(6)
    weight = rng.choice([2.0, 20.0], 300, p=[0.5, 0.5])
    rows, held_ = np.ones(300, dtype=bool), 0
    for _ in range(300):
        rate = weighted_rate(evenly((rng.random(300) < 0.1).astype(float), weight), rows, 0)
        held_ += rate.low <= 0.1 <= rate.high
    assert held_ / 300 > 0.92


def test_no_reviews_say_nothing():
    judged = evenly(np.zeros(4))
    none = np.zeros(4, dtype=bool)
    rate = weighted_rate(judged, none, 0)
    assert np.isnan(rate.estimate)
    assert (rate.low, rate.high, rate.n_reviews) == (0.0, 1.0, 0)
    assert excess_p_value(judged, none, ~none, 0) == 1.0


def test_rare_heavy_weights_make_the_tail_long():
    errors = np.zeros(200)
    errors[[0, 1, 2, 50, 90, 120, 150]] = 1
    inside = np.arange(200) < 40
    weight = np.where(np.arange(200) % 20 == 19, 8.0, 1.0)
    p = excess_p_value(evenly(errors, weight), inside, ~inside, 0)
    assert p > 0.4, "a count of the same mean and variance alone would say 0.306"


@pytest.mark.parametrize("kind", KINDS[1:])
def test_kinds_of_error_are_told_apart(log_of, reviewed, rng, kind):
    log = log_of(rng=rng)
    side = {"wrongful_action": log["enforced"], "missed_violation": ~log["enforced"]}
    of_kind = side.get(kind, log["enforced"]).to_numpy()
    worse = (log["market"] == "DE").to_numpy() & of_kind
    wrong = rng.random(len(log)) < np.where(worse, 0.5, 0.03)
    snapshot = reviewed(log, wrong, rng=rng)
    if kind == "wrong_label":
        verdict = snapshot.reviews["verdict"].replace("overturned", "relabelled")
        snapshot = replace(snapshot, reviews=snapshot.reviews.assign(verdict=verdict))
    found = [s for s in find(snapshot) if s.confirmed]
    assert KINDS[found[0].kind] in (kind, "any")
    assert found[0].rule == (Condition("market", "==", "DE"),)


def test_a_rule_that_holds_nearly_all_decisions_is_confirmed_by_chance_only_rarely():
    rng = np.random.default_rng(11)
    inside = np.arange(520) < 500  # twenty others, most often with one error or none
    p = np.array([
        excess_p_value(evenly((rng.random(520) < 0.08).astype(float)), inside, ~inside, 0)
        for _ in range(1500)
    ])  # fmt: skip
    assert (p < 0.05).mean() < 0.05
    assert (p < 0.005).mean() < 0.005
