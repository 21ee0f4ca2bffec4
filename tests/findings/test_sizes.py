"""Sizes of what was confirmed: free of the luck that confirmed it, and narrower with P(error)."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, norm

from errdetect.findings.audit_evidence import AuditEvidence, read_audit_evidence, read_decision_log
from errdetect.findings.error_slices import AssistingModel, find_slices
from errdetect.findings.rate_tests import (
    Rate,
    excess_test,
    fit_assistance,
    selected_gain,
    selected_rate,
    weighted_rate,
)


@pytest.mark.parametrize(
    ("n", "rate", "base"), [(30, 0.33, 0.08), (60, 0.26, 0.08), (60, 0.18, 0.08)]
)
@pytest.mark.parametrize("level", [0.05, 0.01])
def test_confirmed_rates_are_unbiased_within_ten_per_cent(n, rate, base, level):
    least = next(k for k in range(n) if binom.sf(k - 1, n, base) <= level)
    k = np.arange(least, n + 1)
    share = binom.pmf(k, n, rate) / binom.sf(least - 1, n, rate)
    critical = (least - 0.5) / n
    said = [selected_rate(Rate(i / n, 0.0, 1.0, n, float(n)), critical, base) for i in k]
    assert abs(share @ np.array(said) - rate) < 0.1 * (rate - base)


def test_a_gain_is_shrunk_near_its_critical_value_only():
    gains = np.linspace(1.97, 9.0, 800)
    for truth in (2.0, 3.0, 4.0):
        share = norm.pdf(gains - truth)
        said = np.array([selected_gain(gain, 1.0, 1.96) for gain in gains])
        assert abs(share @ said / share.sum() / truth - 1) < 0.12
    assert selected_gain(-0.5, 1.0, 1.96) == 0.0
    assert selected_gain(9.0, 1.0, 1.96) == pytest.approx(9.0, abs=1e-6)


def test_the_critical_rate_has_the_p_value_of_the_level():
    rng = np.random.default_rng(3)
    judged = evidence(rng.random(400) < 0.1, np.full(400, 5.0))
    inside = np.arange(400) < 80
    test = excess_test(judged, inside, ~inside, 0)
    critical = test.critical_rate(0.02)
    at = replace(test, total=critical * test.weight)
    assert at.p_value == pytest.approx(0.02, rel=1e-6)


def evidence(errors, weight):
    n = len(errors)
    columns = np.column_stack([errors, errors, np.zeros(n), np.zeros(n)]).astype(float)
    return AuditEvidence(
        position=np.arange(n), policy=np.zeros(n, dtype=np.int64), weight=weight, errors=columns,
        spread=np.repeat(weight[:, None], 4, axis=1), settled=np.ones(n, dtype=bool),
        early=np.zeros(n, dtype=bool),
    )  # fmt: skip


def test_p_error_narrows_a_rate_and_keeps_its_coverage():
    covered, widths = 0, []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        p = rng.beta(0.5, 3.0, 4_000)
        wrong = rng.random(4_000) < p
        rule = rng.random(4_000) < 0.3
        drawn = rng.permutation(4_000)[:300]
        judged = evidence(wrong[drawn], np.full(300, 4_000 / 300))
        every = np.ones(300, dtype=bool)
        means = float(p[rule].mean()), float(p[~rule].mean())
        control = fit_assistance(judged, every, 0, p[drawn], rule[drawn], means)
        plain = weighted_rate(judged, rule[drawn], 0)
        assisted = weighted_rate(judged, rule[drawn], 0, assist=control)
        covered += assisted.low <= wrong[rule].mean() <= assisted.high
        widths.append((assisted.high - assisted.low) / (plain.high - plain.low))
    assert covered / 150 >= 0.93
    assert np.mean(widths) < 0.95


def test_a_useless_p_error_raises_no_false_alarm():
    alarms = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        wrong, p = rng.random(3_000) < 0.1, rng.random(3_000)
        rule = rng.random(3_000) < 0.2
        drawn = rng.permutation(3_000)[:400]
        judged = evidence(wrong[drawn], np.full(400, 7.5))
        every = np.ones(400, dtype=bool)
        means = float(p[rule].mean()), float(p[~rule].mean())
        control = fit_assistance(judged, every, 0, p[drawn], rule[drawn], means)
        test = excess_test(judged, rule[drawn], ~rule[drawn], 0, control)
        alarms += test is not None and test.p_value < 0.05
    assert alarms / 200 < 0.08


def appealed(log, wrong, rng, share):
    """Appeals against wrong enforcements that were not audited."""
    loud = np.flatnonzero(wrong & (rng.random(len(log)) < share))
    return pd.DataFrame(
        {
            "review_id": [f"z{i}" for i in loud],
            "decision_id": log["decision_id"].to_numpy()[loud],
            "reviewed_at": log["decided_at"].to_numpy()[loud] + pd.Timedelta("2h"),
            "source": "appeal",
            "verdict": "overturned",
            "reviewer_id": "appeals",
        }
    )


def test_what_other_reviews_find_the_whole_audit_confirms(log_of, reviewed):
    found = 0
    for seed in range(5):
        rng = np.random.default_rng(seed)
        log = log_of(8_000, rng=rng)
        worse = ((log["market"] == "DE") & (log["category"] == "a")).to_numpy()
        wrong = rng.random(len(log)) < np.where(worse, 0.47, 0.26)
        snapshot = reviewed(log, wrong, rng=rng, share=0.1)
        audited = log["decision_id"].isin(snapshot.reviews["decision_id"]).to_numpy()
        appeals = appealed(log, wrong & ~audited, rng, 0.5)
        both = snapshot.with_reviews(pd.concat([snapshot.reviews, appeals], ignore_index=True))
        known = read_decision_log(both)
        judged = read_audit_evidence(both, known.policy, known.early)
        slices = find_slices(log, judged, known.policy, known.known, rng=np.random.default_rng(0))
        hits = [s for s in slices if s.confirmed and worse[judged.position[s.rows]].mean() > 0.5]
        found += bool(hits)
        assert all(s.inside.estimate <= s.inside.high for s in slices)
    assert found >= 3


def test_a_control_of_another_frame_is_not_used(log_of, reviewed):
    rng = np.random.default_rng(1)
    log = log_of(4_000, rng=rng)
    wrong = rng.random(len(log)) < np.where(log["market"] == "DE", 0.4, 0.05)
    snapshot = reviewed(log, wrong, rng=rng)
    known = read_decision_log(snapshot)
    judged = read_audit_evidence(snapshot, known.policy, known.early)
    # The audit drew from the first half of the log only: P(error) of the rest says nothing of it.
    some = judged.select_rows(judged.position < 2_000)
    kind = np.where(log["enforced"].to_numpy(bool), 1, 2)
    control = AssistingModel(np.where(np.arange(4_000) < 2_000, 0.1, 0.9), kind, known.early)
    with_it, without = (
        find_slices(log, some, known.policy, known.known, rng=np.random.default_rng(0), assist=one)
        for one in (control, None)
    )
    assert [s.p_value for s in with_it] == [s.p_value for s in without]
