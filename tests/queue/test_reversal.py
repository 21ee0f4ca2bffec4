import numpy as np
import pandas as pd
import pytest

from errdetect.queue.review_value import golden_detections, p_overturn, site_sensitivity


def test_only_golden_items_that_hold_an_error_are_counted():
    decisions = pd.DataFrame(
        {"decision_id": list("abcd"), "policy_id": "p", "enforced": [True, False, True, True]}
    )
    reviews = pd.DataFrame({
        "review_id": list("12345"),
        "decision_id": list("abcda"),
        "source": ["golden", "golden", "golden", "golden", "audit"],
        "expected": ["overturned", "overturned", "upheld", "relabelled", None],
        "verdict": ["overturned", "upheld", "overturned", "relabelled", "upheld"],
    })  # fmt: skip
    counts = golden_detections(reviews, decisions).set_index("error_kind")
    assert counts["n"].to_dict() == {"missed_violation": 1, "wrong_label": 1, "wrongful_action": 1}
    assert counts["found"].to_dict() == {
        "missed_violation": 0,
        "wrong_label": 1,
        "wrongful_action": 1,
    }


def test_a_policy_with_few_items_keeps_the_level_and_one_with_many_its_own():
    finds = pd.DataFrame({"policy_id": ["few", "many"], "n": [1, 5000], "found": [0, 2500]})
    finds["error_kind"] = "wrongful_action"
    kinds, policies = pd.Series(["wrongful_action"] * 3), pd.Series(["few", "many", "none"])
    level = pd.DataFrame({"wrongful_action": [0.9, 0.9, 0.9]})
    assert p_overturn(kinds, policies, finds, level) == pytest.approx([18 / 21, 2518 / 5020, 0.9])


def test_too_little_evidence_is_unknown_and_not_a_figure():
    finds = pd.DataFrame(
        {"error_kind": "wrongful_action", "policy_id": ["a"], "n": [9], "found": [9]}
    )
    kinds = pd.Series(["wrongful_action", "wrong_label"])
    assert np.isnan(p_overturn(kinds, pd.Series(["a", "a"]), finds)).all()
    level = pd.DataFrame({"wrongful_action": [0.8, np.nan]})
    found = p_overturn(kinds, pd.Series(["a", "b"]), finds, level)
    assert found[0] == pytest.approx((9 + 16) / 29)
    assert np.isnan(found[1])


def test_the_side_s_own_rate_comes_before_the_mixed_one():
    sites = pd.DataFrame({
        "site": ["x"] * 3, "side": ["both", "enforced", "allowed"],
        "wrongful_call": [0.5, 0.1, 0.9], "wrongful_call_n": 100.0,
        "missed_violation": [0.5, 0.6, 0.2], "missed_violation_n": 100.0,
    })  # fmt: skip
    assert site_sensitivity(sites, "wrongful_action") == pytest.approx(0.9)
    assert site_sensitivity(sites, "missed_violation") == pytest.approx(0.8)
    assert np.isnan(site_sensitivity(sites, "wrongful_action", ["elsewhere"]))
    assert np.isnan(site_sensitivity(sites, "wrong_label"))


def test_a_corrected_golden_review_counts_once():
    decisions = pd.DataFrame({"decision_id": ["a"], "policy_id": "p", "enforced": True})
    reviews = pd.DataFrame(
        {
            "review_id": "1", "decision_id": "a", "source": "golden", "expected": "overturned",
            "verdict": ["overturned", "upheld"],
            "reviewed_at": pd.to_datetime(["2026-01-03", "2026-01-01"], utc=True),
        }
    )  # fmt: skip
    assert golden_detections(reviews, decisions)[["n", "found"]].values.tolist() == [[1, 1]]
