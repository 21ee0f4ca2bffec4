"""Each check: ok, warn and unknown from small tables of its own."""

import numpy as np
import pandas as pd
import pytest

from errdetect.config_schema import MonitorSettings
from errdetect.data.policy_catalogue import Policy
from errdetect.monitoring.audit_stream import AuditStream, Periods, audit_stream, choose_periods
from errdetect.monitoring.change_causes import explain_change
from errdetect.monitoring.change_points import named_changes
from errdetect.monitoring.checks import Check, check_table
from errdetect.monitoring.error_evidence import audited_evidence
from errdetect.monitoring.golden_answers import GoldenAnswers
from errdetect.monitoring.input_drift import input_checks
from errdetect.monitoring.monthly_history import monthly_history
from errdetect.monitoring.operations import (
    calibration_check,
    estimated_error_check,
    queue_yield_check,
    response_check,
    reviewer_checks,
)
from errdetect.monitoring.prometheus import prometheus_text
from errdetect.snapshot import Snapshot

START = pd.Timestamp("2026-01-05", tz="UTC")
SETTINGS = MonitorSettings()
DAYS = 91 + 56
PERIODS = Periods(
    START,
    START + pd.Timedelta(days=91),
    START + pd.Timedelta(days=91),
    START + pd.Timedelta(days=DAYS - 28),
    START + pd.Timedelta(days=DAYS),
)


def moments(day):
    return START + pd.to_timedelta(np.asarray(day) + 0.5, unit="D")


def make_stream(rng, rate, *, per_day=40, **columns):
    """Answers whose error rate is a function of day and policy."""
    day = np.repeat(np.arange(DAYS), per_day)
    n = len(day)
    frame = pd.DataFrame(
        {
            "position": np.arange(n),
            "known_at": moments(day),
            "decided_at": moments(day),
            "weight": 1.0,
            "cluster": np.arange(n),
            "policy_id": rng.choice(["spam", "scam"], n),
            "market": rng.choice(["DE", "FR"], n),
            "moderator": "text",
            "moderator_version": "1",
        }
    ).assign(**columns)
    frame["error"] = (rng.random(n) < rate(day, frame)) * 1.0
    return AuditStream(frame)


def late(day):
    return day >= DAYS - 28


# --- periods and stream ---


def test_an_answer_counts_when_it_became_known_and_experts_settle_it():
    day = pd.to_datetime(["2026-01-01"] * 4, utc=True)
    decisions = pd.DataFrame({"decision_id": list("abcd"), "decided_at": day, "policy_id": "spam",
                              "enforced": True})  # fmt: skip
    reviews = pd.DataFrame(
        {
            "review_id": list("12345"),
            "decision_id": ["a", "b", "c", "a", "b"],
            "reviewed_at": pd.to_datetime(
                ["2026-01-03", "2026-01-02", "2026-01-02", "2026-01-09", "2026-01-05"], utc=True
            ),
            "source": ["audit", "audit", "audit", "adjudication", "adjudication"],
            "verdict": ["overturned", "overturned", "overturned", "upheld", "overturned"],
            "inclusion_probability": [0.5, 0.5, 0.5, 1.0, 1.0],
        }
    )
    found = audit_stream(Snapshot(decisions, reviews))
    assert found.n_open == 1  # c waits for its expert
    assert found.settled
    assert found.frame["error"].tolist() == [1.0, 0.0]
    assert found.frame["known_at"].dt.day.tolist() == [5, 9]


def test_without_experts_the_reviewers_answer_counts():
    day = pd.to_datetime(["2026-01-01"], utc=True)
    decisions = pd.DataFrame(
        {"decision_id": ["a"], "decided_at": day, "policy_id": "x", "enforced": True}
    )
    reviews = pd.DataFrame({"review_id": ["1"], "decision_id": ["a"], "reviewed_at": day, "source": "audit",
                            "verdict": "overturned", "inclusion_probability": 0.5})  # fmt: skip
    found = audit_stream(Snapshot(decisions, reviews))
    assert (found.n_open, found.settled, found.frame["error"].tolist()) == (0, False, [1.0])


def test_the_reference_does_not_move_with_the_days():
    stream = make_stream(np.random.default_rng(0), lambda day, _: np.full(len(day), 0.05))
    one, other = (
        choose_periods(stream, START + pd.Timedelta(days=d), SETTINGS) for d in (100, 146)
    )
    assert one is not None
    assert other is not None
    assert (one.reference_from, one.reference_to) == (other.reference_from, other.reference_to)
    assert other.n_days == one.n_days + 46


def test_no_answer_no_periods():
    frame = make_stream(np.random.default_rng(0), lambda day, _: day * 0.0).frame
    assert choose_periods(AuditStream(frame.iloc[:0]), START, SETTINGS) is None


# --- audited error ---


def test_a_rise_is_an_alarm_and_quiet_is_not():
    rng = np.random.default_rng(1)
    risen = audited_evidence(
        make_stream(rng, lambda day, _: np.where(late(day), 0.2, 0.06)), PERIODS, SETTINGS
    )
    quiet = audited_evidence(
        make_stream(rng, lambda day, _: np.full(len(day), 0.06)), PERIODS, SETTINGS
    )
    assert risen[0].risen
    assert risen[0].changed is not None
    assert abs(risen[0].changed - PERIODS.window_from) <= pd.Timedelta(days=10)
    assert not any(found.risen for found in quiet)


def test_a_rise_of_one_policy_names_it():
    rng = np.random.default_rng(2)
    stream = make_stream(
        rng, lambda day, f: np.where(late(day) & (f["policy_id"] == "spam"), 0.3, 0.06)
    )
    found = {s.segment: s.risen for s in audited_evidence(stream, PERIODS, SETTINGS)}
    assert found["policy_id=spam"]
    assert not found["policy_id=scam"]


def test_an_alarm_that_was_dealt_with_is_over():
    rng = np.random.default_rng(3)
    bad = lambda day, _: np.where((day >= 95) & (day < 120), 0.3, 0.05)  # noqa: E731
    stream = make_stream(rng, bad)
    assert audited_evidence(stream, PERIODS, SETTINGS)[0].risen
    since = SETTINGS.model_copy(update={"since": moments(121).to_pydatetime()})
    later = choose_periods(stream, PERIODS.now - pd.Timedelta(hours=1), since)
    assert later is not None
    assert not audited_evidence(stream, later, since)[0].risen


def test_few_answers_are_unknown_and_a_configured_limit_needs_no_reference():
    rng = np.random.default_rng(4)
    stream = make_stream(rng, lambda day, _: np.full(len(day), 0.3))
    after = stream.select(~PERIODS.in_reference(stream.frame["known_at"]))
    assert np.isnan(audited_evidence(after, PERIODS, SETTINGS)[0].e_value)
    fixed = SETTINGS.model_copy(update={"max_error_rate": {"all": 0.1}})
    found = audited_evidence(after, PERIODS, fixed)[0]
    assert found.limit == 0.1
    assert found.risen


# --- causes ---


def log_of(rng, n=20_000, **columns):
    day = np.sort(rng.integers(0, DAYS, n))
    return pd.DataFrame(
        {
            "decided_at": moments(day),
            "policy_id": rng.choice(["spam", "scam"], n),
            "market": rng.choice(["DE", "FR"], n),
            "moderator": "text",
            "moderator_version": "1",
        }
    ).assign(**{name: make(day, rng) for name, make in columns.items()})


def test_the_parts_add_up_to_the_change():
    rng = np.random.default_rng(5)
    stream = make_stream(rng, lambda day, _: np.where(late(day), 0.15, 0.05))
    found = explain_change(stream, log_of(rng), PERIODS, None)
    assert found is not None
    parts = {part.name: part.value for part in found.parts}
    assert np.isnan(parts.pop("reviewers"))
    assert sum(parts.values()) == pytest.approx(found.total.value)
    assert found.cause == "rest"
    assert found.frame()["cause"].tolist()[0] == "total"


def test_a_mix_that_moved_is_not_the_machines_fault():
    rng = np.random.default_rng(6)

    def mix(day, rng):
        spam = rng.random(len(day)) < np.where(late(day), 0.9, 0.3)
        return np.where(spam, "spam", "scam")

    day = np.repeat(np.arange(DAYS), 40)
    stream = make_stream(
        rng, lambda d, f: np.where(f["policy_id"] == "spam", 0.25, 0.03), policy_id=mix(day, rng)
    )
    found = explain_change(stream, log_of(rng, policy_id=mix), PERIODS, None)
    assert found is not None
    assert found.cause == "policy_mix"


def test_a_log_without_versions_leaves_them_unknown():
    rng = np.random.default_rng(7)
    stream = make_stream(rng, lambda day, _: np.full(len(day), 0.1))
    log = log_of(rng).drop(columns=["moderator_version"])
    found = explain_change(stream, log, PERIODS, None)
    assert found is not None
    assert np.isnan(found.parts[0].value)


def test_reviewers_are_told_from_the_machine_by_golden_items():
    rng = np.random.default_rng(8)
    stream = make_stream(rng, lambda day, _: np.where(late(day), 0.2, 0.05))
    n = 800
    is_late = np.arange(n) >= n // 2
    flags = rng.random(n) < np.where(is_late, 0.18, 0.02)
    golden = GoldenAnswers(pd.DataFrame({"flags": flags, "wrong": False, "late": is_late}))
    found = explain_change(stream, log_of(rng), PERIODS, golden.shift(30))
    assert found is not None
    assert found.cause == "reviewers"
    assert golden.shift(1000) is None
    settled = golden.shift(30, settled=True)
    assert settled is not None
    assert settled.false_positive == 0


def test_versions_near_the_change_are_named():
    rng = np.random.default_rng(9)
    log = log_of(rng, moderator_version=lambda day, _: np.where(day >= 100, "2", "1"))
    policies = {"spam": Policy("spam", "Spam", 2, effective_from=moments(99).date(), version="7")}
    near = named_changes(log, policies, moments(101))
    assert len(near) == 2
    assert any("version text 2" in text for text in near)
    assert any("policy spam 7" in text for text in near)
    assert named_changes(log, policies, moments(30)) == ()
    assert len(named_changes(log, policies, moments(101), "policy_id=scam")) == 1


# --- inputs ---


def by_name(checks):
    return {(c.check, c.segment): c for c in checks}


def test_inputs_that_moved_warn_and_others_do_not():
    rng = np.random.default_rng(10)
    log = log_of(
        rng,
        market=lambda day, r: np.where(late(day) & (r.random(len(day)) < 0.3), "XX", "DE"),
        price=lambda day, r: r.normal(np.where(late(day), 2.0, 0.0)),
        age=lambda day, r: r.normal(size=len(day)),
        rating=lambda day, r: np.where(late(day) & (r.random(len(day)) < 0.4), np.nan, 1.0),
        score=lambda day, r: r.random(len(day)),
    )
    found = by_name(input_checks(log, PERIODS, SETTINGS))
    assert found["new_values", "market"].status == "warn"
    assert "XX" in found["new_values", "market"].note
    assert found["feature_drift", "price"].status == "warn"
    assert found["feature_shift", "price"].value == pytest.approx(2.0, abs=0.15)
    assert found["feature_drift", "age"].status == "ok"
    assert found["missing_feature", "rating"].status == "warn"
    assert found["score_drift", "score"].status == "ok"
    assert found["volume", "all"].status == "ok"


def test_a_feed_that_dries_up_warns_and_a_short_log_is_unknown():
    rng = np.random.default_rng(11)
    log = log_of(rng)
    thin = log[~(late((log["decided_at"] - START).dt.days) & (rng.random(len(log)) < 0.7))]
    assert by_name(input_checks(thin, PERIODS, SETTINGS))["volume", "all"].status == "warn"
    short = log[(log["decided_at"] - START).dt.days >= 100]
    found = input_checks(short, PERIODS, SETTINGS)
    assert {c.status for c in found} == {"unknown"}


# --- operations ---


def scored(rng, p):
    log = log_of(rng, n=4000).assign(decision_id=lambda f: [f"d{i}" for i in range(len(f))])
    day = (log["decided_at"] - START).dt.days.to_numpy()
    return log, pd.Series(p(day), index=log["decision_id"]).astype(float)


def test_the_estimated_error_is_an_early_warning():
    rng = np.random.default_rng(12)
    log, p = scored(rng, lambda day: np.where(late(day), 0.2, 0.1))
    assert estimated_error_check(log, p, PERIODS, SETTINGS).status == "warn"
    assert estimated_error_check(log, p * 0 + 0.1, PERIODS, SETTINGS).status == "ok"
    assert estimated_error_check(log, p.iloc[:0], PERIODS, SETTINGS).status == "unknown"


def test_calibration_compares_audited_with_estimated_errors():
    rng = np.random.default_rng(13)
    stream = make_stream(rng, lambda day, _: np.full(len(day), 0.2))
    log = stream.frame.assign(decision_id=[f"d{i}" for i in range(len(stream))])
    good = pd.Series(0.2, index=log["decision_id"])
    assert calibration_check(stream, log, good, PERIODS, SETTINGS).status == "ok"
    low = calibration_check(stream, log, good / 4, PERIODS, SETTINGS)
    assert low.status == "warn"
    assert low.value == pytest.approx(4, abs=0.8)
    assert calibration_check(stream, log, good.iloc[:0], PERIODS, SETTINGS).status == "unknown"


def reviews_of(ids, source, verdict, day):
    return pd.DataFrame(
        {"decision_id": ids, "source": source, "verdict": verdict, "reviewed_at": moments(day)}
    )


def test_a_queue_that_finds_less_than_expected_warns():
    ids = [f"d{i}" for i in range(100)]
    day = np.full(100, DAYS - 5)
    scores = pd.DataFrame({"decision_id": ids, "p_error": 0.6})
    few = reviews_of(ids, "re_review", ["overturned"] * 10 + ["upheld"] * 90, day)
    many = reviews_of(ids, "re_review", ["overturned"] * 60 + ["upheld"] * 40, day)
    assert queue_yield_check(few, scores, PERIODS, SETTINGS).status == "warn"
    assert queue_yield_check(many, scores, PERIODS, SETTINGS).status == "ok"
    assert queue_yield_check(many, None, PERIODS, SETTINGS).status == "unknown"


def test_unanswered_draws_warn_once_due():
    ids = [f"d{i}" for i in range(100)]
    draws = pd.DataFrame({"decision_id": ids, "drawn_at": moments(np.full(100, DAYS - 40))})
    draws["due_at"] = pd.Series(pd.NaT, index=draws.index, dtype="datetime64[us, UTC]")
    answered = reviews_of(ids[:60], "audit", "upheld", np.full(60, DAYS - 20))
    found = response_check(draws, answered, PERIODS, SETTINGS)
    assert (found.status, found.value) == ("warn", 0.6)
    assert response_check(None, answered, PERIODS, SETTINGS).status == "unknown"


def test_months_with_few_answers_have_no_estimate():
    stream = make_stream(np.random.default_rng(14), lambda day, _: np.full(len(day), 0.1))
    log = stream.frame.assign(decision_id=[f"d{i}" for i in range(len(stream))], enforced=True)
    found = monthly_history(Snapshot(log), stream, 1_100)
    assert found["suppressed"].tolist() == [True] + [False] * 4  # January from the 5th
    assert found["estimate"].isna().tolist() == found["suppressed"].tolist()
    known = found[~found["suppressed"]]
    assert (known["low"] < known["estimate"]).all()
    assert found["n_reviews"].sum() == len(stream)


# --- the table elsewhere ---


def test_prometheus_escapes_what_content_holds():
    table = check_table(
        [Check("new_values", 'a"\n\\b', "warn", 0.5), Check("volume", "all", "unknown")]
    )
    text = prometheus_text(table)
    assert 'segment="a\\"\\n\\\\b"} 0.5' in text
    assert 'errdetect_monitor_status{check="volume",segment="all"} -1' in text
    assert 'errdetect_monitor_value{check="volume"' not in text
    assert all(line.startswith(("#", "errdetect_monitor_")) for line in text.splitlines())


# --- designs that look like a change and are none ---


@pytest.mark.parametrize("first", range(7))
def test_a_rate_that_follows_the_weekday_is_no_rise(first):
    """Mondays bring three times the errors; evidence of single days would pass any limit."""
    rng = np.random.default_rng(first)
    found = make_stream(rng, lambda day, _: np.where(day % 7 == first, 0.24, 0.32 / 6))
    assert not any(s.risen for s in audited_evidence(found, PERIODS, SETTINGS))


def test_experts_who_settle_flags_once_a_month_are_no_rise():
    rng = np.random.default_rng(3)
    found = make_stream(rng, lambda day, _: np.full(len(day), 0.08)).frame
    day = ((found["known_at"] - START) / pd.Timedelta(days=1)).astype(int)
    wait = pd.to_timedelta(np.where(found["error"] > 0, 27 - day % 28, 0), unit="D")
    late_known = found.assign(first_at=found["known_at"], known_at=found["known_at"] + wait)
    late_known = late_known[late_known["known_at"] < PERIODS.now]
    late_known = late_known.sort_values("known_at", kind="stable", ignore_index=True)
    assert not any(s.risen for s in audited_evidence(AuditStream(late_known), PERIODS, SETTINGS))


def test_a_rise_is_still_found_within_two_weeks():
    rng, took = np.random.default_rng(4), []
    for _ in range(9):
        found = make_stream(rng, lambda day, _: np.where(day >= 98, 0.16, 0.08))
        since = audited_evidence(found, PERIODS, SETTINGS)[0].since
        took.append(99 if since is None else (since - START).days + 1 - 98)
    assert np.median(took) <= 14


def test_heavy_draws_without_an_error_are_no_miscalibration():
    rng = np.random.default_rng(5)
    found = make_stream(rng, lambda day, _: np.full(len(day), 0.05)).frame
    heavy = np.arange(len(found)) % 200 == 0
    found["weight"] = np.where(heavy, 100.0, 1.0)
    found.loc[heavy, "error"] = 0.0
    decisions = pd.DataFrame({"decision_id": [f"d{i}" for i in range(len(found))]})
    p = pd.Series(0.05, decisions["decision_id"])
    assert calibration_check(AuditStream(found), decisions, p, PERIODS, SETTINGS).status == "ok"
    found["error"] = (rng.random(len(found)) < 0.25) * 1.0
    assert calibration_check(AuditStream(found), decisions, p, PERIODS, SETTINGS).status == "warn"


def test_few_decisions_with_a_higher_estimate_by_accident_are_no_warning():
    day = moments(np.r_[np.arange(80), np.repeat(DAYS - 5, 40)])
    decisions = pd.DataFrame({"decision_id": [f"d{i}" for i in range(120)], "decided_at": day})
    low = np.r_[np.full(80, 0.05), np.full(38, 0.02), 0.9, 0.9]
    few = estimated_error_check(
        decisions, pd.Series(low, decisions["decision_id"]), PERIODS, SETTINGS
    )
    assert few.value > few.limit
    assert few.status == "ok"
    high = pd.Series(np.r_[np.full(80, 0.05), np.full(40, 0.12)], decisions["decision_id"])
    assert estimated_error_check(decisions, high, PERIODS, SETTINGS).status == "warn"


def test_more_golden_items_that_are_errors_are_no_other_reviewers():
    n_old, n_new = 400, 400
    wrong = np.r_[np.arange(n_old) % 10 == 0, np.arange(n_new) % 2 == 0]
    is_late = np.r_[np.zeros(n_old, bool), np.ones(n_new, bool)]
    right = np.where(wrong, np.arange(n_old + n_new) % 5 > 0, np.arange(n_old + n_new) % 50 > 0)

    def accuracy(right):
        frame = pd.DataFrame({"site": "elm", "right": right, "flags": right == wrong, "wrong": wrong,
                              "late": is_late})  # fmt: skip
        return {c.segment: c for c in golden_checks(GoldenAnswers(frame))}["site=elm"]

    assert accuracy(right).status == "ok"
    worse = right & ~(is_late & (np.arange(len(right)) % 3 == 0))
    assert accuracy(worse).status == "warn"


def golden_checks(golden):
    decisions = pd.DataFrame({"decision_id": ["a"], "decided_at": moments([0]), "policy_id": "spam",
                              "enforced": True})  # fmt: skip
    reviews = pd.DataFrame(
        {"review_id": ["1"], "decision_id": ["a"], "reviewed_at": moments([1]), "source": "audit",
         "verdict": "upheld", "inclusion_probability": 0.5, "reviewer_id": None, "site": None}
    )  # fmt: skip
    found = reviewer_checks(Snapshot(decisions, reviews), golden, PERIODS, SETTINGS)
    return [c for c in found if c.check == "golden_accuracy"]


def test_many_categories_in_few_rows_drift_by_accident():
    rng = np.random.default_rng(6)
    days = np.r_[rng.integers(0, 91, 250), rng.integers(DAYS - 28, DAYS, 250)]
    log = pd.DataFrame(
        {"decided_at": moments(days), "shop": rng.choice([f"s{i}" for i in range(45)], 500)}
    )
    found = {c.check: c for c in input_checks(log, PERIODS, SETTINGS) if c.segment == "shop"}
    assert found["feature_drift"].value > SETTINGS.drift  # by accident
    assert found["feature_drift"].status == "ok"
    log.loc[days >= DAYS - 28, "shop"] = "s1"
    found = {c.check: c for c in input_checks(log, PERIODS, SETTINGS) if c.segment == "shop"}
    assert found["feature_drift"].status == "warn"


def test_one_heavy_draw_of_a_rare_policy_does_not_explain_the_change_of_all():
    named = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        found = make_stream(rng, lambda day, _: np.where(late(day), 0.14, 0.08)).frame
        rare = np.flatnonzero(late((found["known_at"] - START) / pd.Timedelta(days=1)))[:1]
        found.loc[rare, ["policy_id", "weight", "error"]] = ["rare", 80.0, 1.0]
        log = found[["decided_at", "policy_id", "market", "moderator", "moderator_version"]]
        parts = explain_change(AuditStream(found), log, PERIODS, None)
        named.append(parts.cause)
    assert "policy_id=rare" not in named
