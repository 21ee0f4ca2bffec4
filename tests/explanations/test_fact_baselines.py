"""Reasons that a reviewer believes: compared with others, and never against their own direction."""

import json

import numpy as np
import pandas as pd
import pytest

from errdetect.explanations.fact_baselines import (
    FactSignal,
    baselines_from_jsonable,
    fact_signal,
    fit_fact_baselines,
)
from errdetect.explanations.reason_facts import ReasonFacts
from errdetect.explanations.reason_templates import load_templates
from errdetect.explanations.reasons import decision_reasons
from errdetect.features.feature_matrix import ReferenceDistribution

RECORD = tuple(f"history_account_{what}_90d" for what in ("decisions", "reviewed", "errors"))
ACCOUNT = "this account's {} reviewed decisions in the 90 days before were wrong"


def words(*values) -> FactSignal:
    return FactSignal(np.full(len(values), np.nan), np.array(values, dtype=object))


def numbers(values) -> FactSignal:
    found = np.asarray(values, dtype=float)
    return FactSignal(found, np.full(len(found), None, dtype=object))


def fitted(rates: dict[str, float], each: int = 100, design: float = 1.0, enforced: bool = True):
    """Policies with such error rates, so many decisions each."""
    policy = np.repeat(np.array(list(rates), dtype=object), each)
    wrong = np.concatenate([np.arange(each) < round(each * rate) for rate in rates.values()])
    n = len(policy)
    return fit_fact_baselines(
        {"policy_id": words(*policy)}, np.full(n, enforced), wrong.astype(float), np.full(n, design)
    )


def reasons(baselines, contributions: dict[str, float], names=("enforced",), X=None, **columns):
    frame = pd.DataFrame(
        [{"decision_id": "d", "policy_id": "p", "action": "remove", "enforced": True} | columns]
    )
    X = np.array([[1.0]]) if X is None else X
    facts = ReasonFacts(frame, X, names, load_templates(), baselines=baselines)
    grouped = pd.DataFrame([contributions])
    return [
        [r["text"] for r in decision_reasons(facts, grouped, towards=way)[0]]
        for way in (True, False)
    ]


def test_a_policy_is_a_reason_only_where_it_errs_more_than_others():
    baselines = fitted({"p": 0.4, "q": 0.1})
    (text,), _ = reasons(baselines, {"policy_id": 0.5})
    assert text == "Decided under the policy p. Of such enforcements 38% were wrong, of all 25%"
    assert reasons(baselines, {"policy_id": -0.5})[1] == []
    assert reasons(fitted({"p": 0.25, "q": 0.25}), {"policy_id": 0.5})[0] == []
    assert reasons(None, {"policy_id": 0.5})[0] == []


def test_the_next_reason_takes_the_place_of_an_empty_one():
    baselines = fitted({"p": 0.25, "q": 0.25})
    texts, _ = reasons(
        baselines, {"policy_id": 0.9, "margin": 0.5}, ("enforced", "score", "threshold", "margin"),
        np.array([[1.0, 0.63, 0.6, 0.03]]),
    )  # fmt: skip
    assert texts == ["The machine's score 0.63 is only 0.03 above the threshold 0.60"]


@pytest.mark.parametrize("baselines", [None, "fitted"])
def test_a_clean_record_never_raises_the_probability_of_error(baselines):
    known = None if baselines is None else fitted({"p": 0.3, "q": 0.1})
    up, _ = reasons(known, {"history_account": 0.5}, RECORD, np.array([[9.0, 7.0, 0.0]]))
    _, down = reasons(known, {"history_account": -0.5}, RECORD, np.array([[9.0, 7.0, 0.0]]))
    assert up == []
    assert len(down) == 1
    assert down[0].startswith("0 of " + ACCOUNT.format(7))
    assert ("Of all reviewed decisions 20% were wrong" in down[0]) == (known is not None)


def test_a_bad_record_never_lowers_it():
    known = fitted({"p": 0.3, "q": 0.1})
    record = np.array([[9.0, 7.0, 5.0]])
    up, _ = reasons(known, {"history_account": 0.5}, RECORD, record)
    _, down = reasons(known, {"history_account": -0.5}, RECORD, record)
    assert up == [f"5 of {ACCOUNT.format(7)}. Of all reviewed decisions 20% were wrong"]
    assert down == []


def test_a_number_is_a_reason_only_with_what_is_usual_beside_it():
    """That a price is low says nothing of errors; how often such decisions are wrong does."""
    price = np.linspace(0, 100, 400)
    for low, expected in ((0.2, "of all 16%"), (0.15, None), (0.1, None)):
        wrong = np.where(price < 25, low, 0.15)
        known = fit_fact_baselines(
            {"price": numbers(price)}, np.ones(400, bool), wrong, np.ones(400)
        )
        frame = pd.DataFrame(
            [{"decision_id": "d", "policy_id": "p", "price": 2.0, "enforced": True}]
        )
        reference = ReferenceDistribution({"price": tuple(price)})
        facts = ReasonFacts(frame, np.array([[1.0, 2.0]]), ("enforced", "price"), load_templates(),
                            reference=reference, baselines=known)  # fmt: skip
        found = [r["text"] for r in decision_reasons(facts, pd.DataFrame([{"price": 0.4}]))[0]]
        if expected is None:
            assert found == [], low
        else:
            assert "less than in" in found[0]
            assert found[0].endswith(expected)


def test_what_machines_usually_do_is_no_reason_where_it_is_not_unusual():
    """That machines act on 23 % of such content does not speak against having let it pass."""
    names = ("enforced", "usual_logit")
    X = np.array([[0.0, np.log(0.23 / 0.77)]])
    same = np.full(400, 0.1)
    known = fit_fact_baselines(
        {"usual": numbers(np.linspace(-3, 3, 400))}, np.zeros(400, bool), same, np.ones(400)
    )
    assert reasons(known, {"usual": 0.4}, names, X, enforced=False)[0] == []


def test_a_score_far_from_its_threshold_does_not_raise_it():
    names, X = ("enforced", "score", "threshold", "margin"), np.array([[1.0, 0.97, 0.5, 0.47]])
    assert reasons(None, {"margin": 0.5}, names, X)[0] == []
    assert len(reasons(None, {"margin": -0.5}, names, X)[1]) == 1


def test_the_designed_audit_comes_first():
    n = 600
    audited = np.arange(n) < 300
    policy = words(*np.where(np.arange(n) % 2, "p", "q"))
    wrong = np.where(audited, 0.1, 0.9)  # appeals are mostly of errors
    found = fit_fact_baselines({"policy_id": policy}, np.ones(n, bool), wrong, audited * 10.0)
    assert found.overall["enforced"] == pytest.approx(0.1)
    assert found.reviewed == pytest.approx(0.5)
    thin = (np.arange(n) < 50) * 10.0
    few = fit_fact_baselines({"policy_id": policy}, np.ones(n, bool), wrong, thin)
    assert few.overall["enforced"] == pytest.approx(0.5)


def test_audited_decisions_count_as_their_design_says():
    n = 400
    heavy = np.arange(n) % 2 == 0
    signal = {"policy_id": words(*["p"] * n)}
    wrong, design = np.where(heavy, 0.4, 0.0), np.where(heavy, 3.0, 1.0)
    found = fit_fact_baselines(signal, np.ones(n, bool), wrong, design)
    assert found.overall["enforced"] == pytest.approx(0.3)


def test_sides_are_apart_and_a_rare_fact_has_no_rate():
    found = fitted({"p": 0.4, "q": 0.1})
    allowed = found.compare("policy_id", words("p"), np.array([False]))
    assert np.isnan(allowed.rate).all()
    rare = fitted({"p": 0.4}, each=100)
    assert np.isnan(rare.compare("policy_id", words("new"), np.array([True])).rate).all()
    assert rare.compare("policy_id", words("new"), np.array([True])).direction.tolist() == [0]


def test_numbers_are_compared_within_their_range():
    value = np.linspace(0, 1, 800)
    wrong = np.where(value > 0.75, 0.6, 0.1)
    found = fit_fact_baselines({"price": numbers(value)}, np.ones(800, bool), wrong, np.ones(800))
    seen = found.compare("price", numbers([0.1, 0.9, np.nan]), np.ones(3, bool))
    assert seen.direction.tolist() == [-1, 1, 0]
    assert np.isnan(seen.rate[2])


def test_they_survive_the_bundle_and_older_bundles_have_none():
    found = fitted({"p": 0.4, "q": 0.1}).joined(fitted({"r": 0.2}, enforced=False))
    again = baselines_from_jsonable(json.loads(json.dumps(found.to_jsonable(), allow_nan=False)))
    assert again == found
    assert baselines_from_jsonable(None) is None
    assert baselines_from_jsonable({}) is None


def test_rates_of_other_decisions_are_put_in_proportion():
    late = fit_fact_baselines(
        {"text": numbers(np.linspace(-1, 1, 400))}, np.ones(400, bool), np.full(400, 0.4), np.ones(400)
    )  # fmt: skip
    both = fitted({"p": 0.2, "q": 0.2}).joined(late)
    assert both.compare("text", numbers([0.0]), np.array([True])).rate == pytest.approx(0.2)


def test_signals_follow_the_sentence():
    frame = pd.DataFrame({"decision_id": list("abc"), "moderator": ["m", "m", None],
                          "moderator_version": ["1", "2", "1"]})  # fmt: skip
    X = np.array([[9.0, 4.0, 1.0], [9.0, 0.0, 0.0], [np.nan, np.nan, np.nan]])
    found = fact_signal("history_account", frame, X, RECORD)
    assert found.number[0] == 0.25
    assert found.category.tolist() == [None, "unreviewed", None]
    assert fact_signal("moderator", frame, X, RECORD).category.tolist() == ["m, 1", "m, 2", None]
    names = [
        f"similar_{kind}_{what}" for kind in ("near", "text") for what in ("reviewed", "wrong")
    ]
    X = np.array([[5.0, 0.2, 2.0, 0.5], [5.0, 0.2, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    same = fact_signal("similar", frame, X, names)
    np.testing.assert_allclose(same.number, [0.5, 0.2, np.nan])
