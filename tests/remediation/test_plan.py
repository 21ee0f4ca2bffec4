"""Which reviews lead to which step."""

from types import SimpleNamespace

import pandas as pd

from errdetect.config_schema import RemediationSettings
from errdetect.remediation.confirmed_errors import plan_table, remediation_id
from errdetect.remediation.remediation_plan import direct_remedies, plan_remediation
from errdetect.snapshot import LabelRules, Snapshot


def steps(plan):
    return [tuple(row) for row in plan[["kind", "decision_id", "status"]].itertuples(index=False)]


def test_each_outcome_has_its_remedy(decide, review, plan_of):
    decisions = decide(
        ("removed", "spam", "a", True), ("passed", "spam", "b", False),
        ("named", "spam", "c", True), ("fine", "spam", "d", True), ("silent", "spam", "e", True),
    )  # fmt: skip
    reviews = review(
        ("1", "removed", "audit", "overturned"), ("2", "passed", "audit", "overturned"),
        ("3", "named", "audit", "relabelled"), ("4", "fine", "audit", "upheld"),
        correct_policy_id=[None, None, "scam", None],
    )  # fmt: skip
    plan = plan_of(decisions, reviews)
    assert steps(plan) == [
        ("reverse", "passed", "planned"), ("reverse", "removed", "planned"),
        ("revoke_penalty", "removed", "planned"), ("relabel", "named", "planned"),
    ]  # fmt: skip
    row = plan.iloc[3]
    assert row["correct_policy_id"] == "scam"
    assert row["review_ids"] == ["3"]
    assert row["evidence"] == (
        "Settled by reviews on 2026-01-04: 1 of 1 counting reviews flag it; P(error) 1.00."
    )
    assert plan["correct_policy_id"].iloc[:3].isna().all()
    assert plan.iloc[0]["reason"] == "The item violates the policy and was allowed: act on it."


def test_a_flag_that_is_probably_false_goes_to_a_person(decide, review, monkeypatch):
    decisions = decide(
        ("d1", "spam", "a", True), ("d2", "spam", "b", True), ("d3", "spam", "c", True)
    )
    reviews = review(
        ("1", "d1", "audit", "overturned"), ("2", "d2", "appeal", "overturned"),
        ("3", "d3", "adjudication", "overturned"),
    )  # fmt: skip
    doubt = SimpleNamespace(p_error=pd.Series({"d1": 0.3, "d2": 0.3}))
    monkeypatch.setattr("errdetect.snapshot.fit_reviewer_model", lambda *_, **__: doubt)
    snapshot = Snapshot(decisions, reviews)
    plan = direct_remedies(snapshot)
    reverse = plan[plan["kind"] == "reverse"].set_index("decision_id")
    assert reverse["status"].to_dict() == {"d1": "review", "d2": "planned", "d3": "planned"}
    assert reverse.loc["d1", "evidence"].startswith("Not settled: 1 of 1 counting reviews flag it")
    assert "P(error) is only 0.30" in reverse.loc["d1", "evidence"]
    assert "granted appeal" in reverse.loc["d2", "evidence"]
    assert "expert" in reverse.loc["d3", "evidence"]
    bold = direct_remedies(snapshot, min_p_error=0.2)
    assert (bold["status"] == "planned").all()


def test_without_an_account_there_is_no_penalty_to_take_back(decide, review, plan_of):
    decisions = decide(("d1", "spam", None, True))
    reviews = review(("1", "d1", "audit", "overturned"))
    assert steps(plan_of(decisions, reviews)) == [("reverse", "d1", "planned")]
    bare = plan_of(decisions.drop(columns="account_id"), reviews)
    assert steps(bare) == [("reverse", "d1", "planned")]


def test_a_wrong_label_without_a_right_one_is_asked_for(decide, review, plan_of):
    decisions = decide(("d1", "spam", "a", True))
    for named in (None, "spam"):
        reviews = review(("1", "d1", "audit", "relabelled"), correct_policy_id=named)
        plan = plan_of(decisions, reviews)
        assert steps(plan) == [("relabel", "d1", "review")]
        assert "ask which" in plan["reason"].iloc[0]


def test_what_a_later_decision_replaced_is_not_undone_blindly(decide, review, plan_of):
    decisions = decide(
        ("old", "spam", "a", True), ("new", "spam", "a", True), ("other", "scam", "a", True),
        item_id="i",
    )  # fmt: skip
    reviews = review(("1", "old", "audit", "overturned"), ("2", "new", "audit", "upheld"))
    plan = plan_of(decisions, reviews)
    assert steps(plan) == [("reverse", "old", "review"), ("revoke_penalty", "old", "planned")]
    assert plan["evidence"].iloc[0].endswith("replaced it: new.")


def test_ties_and_golden_reviews_lead_to_nothing(decide, review, plan_of):
    decisions = decide(("d1", "spam", "a", True), ("d2", "spam", "b", True))
    reviews = review(
        ("1", "d1", "audit", "overturned"), ("2", "d1", "audit", "upheld"),
        ("3", "d2", "golden", "overturned"),
    )  # fmt: skip
    assert len(plan_of(decisions, reviews)) == 0


def test_nothing_counts_before_it_was_known(decide, review):
    decisions = decide(("d1", "spam", "a", True))
    reviews = review(("1", "d1", "audit", "overturned"), ("2", "d1", "adjudication", "upheld"))
    early = pd.Timestamp("2026-01-02T12:00Z")
    snapshot = Snapshot(decisions, reviews, rules=LabelRules("votes"))
    plan = plan_remediation(snapshot.before(early), RemediationSettings())
    assert list(plan["kind"]) == ["reverse", "revoke_penalty"]
    late = plan_remediation(snapshot, RemediationSettings())
    assert len(late) == 0


def test_why_a_step_is_taken_back(decide, review, plan_of):
    decisions = decide(("d1", "spam", "a", True))
    first = review(("1", "d1", "audit", "overturned"))
    done = plan_of(decisions, first).assign(status="applied")
    cases = {
        ("adjudication", "upheld"): "Reviews now find the decision correct. See review 2 "
        "(adjudication, upheld, 2026-01-03).",
        ("re_review", "upheld"): "Reviews now disagree, and no expert has settled it. See review 2 "
        "(re_review, upheld, 2026-01-03).",
        ("adjudication", "relabelled"): "Reviews now find the action correct, under another "
        "policy. See review 2 (adjudication, relabelled, 2026-01-03).",
    }
    for (source, verdict), reason in cases.items():
        both = review(("1", "d1", "audit", "overturned"), ("2", "d1", source, verdict))
        plan = plan_of(decisions, both, recorded=done)
        back = plan[plan["status"] == "withdrawn"]
        assert list(back["kind"]) == ["reverse", "revoke_penalty"]
        assert back["reason"].tolist() == [reason] * 2
        assert back["review_ids"].tolist() == [["1"]] * 2


def test_another_right_policy_takes_a_relabel_back(decide, review, plan_of):
    decisions = decide(("d1", "spam", "a", True))
    first = review(("1", "d1", "audit", "relabelled"), correct_policy_id="scam")
    done = plan_of(decisions, first).assign(status="applied")
    assert (plan_of(decisions, first, recorded=done)["status"] == "applied").all()
    votes = [("1", "d1", "audit", "relabelled"), ("2", "d1", "adjudication", "relabelled")]
    both = review(*votes, correct_policy_id=["scam", "hate"])
    back = plan_of(decisions, both, recorded=done)
    assert steps(back) == [("relabel", "d1", "withdrawn")]
    assert back["reason"].iloc[0].startswith("Reviews now name another policy")
    again = plan_of(decisions, both, recorded=back)
    assert again[["status", "correct_policy_id"]].values.tolist() == [["planned", "hate"]]


def test_what_nobody_contradicts_stays(decide, review, plan_of):
    decisions = decide(("d1", "spam", "a", True), ("d2", "spam", "b", True))
    reviews = review(("1", "d1", "audit", "overturned"))
    done = plan_of(decisions, reviews).assign(status="applied")
    assert (plan_of(decisions, reviews, recorded=done)["status"] == "applied").all()
    gone = plan_of(decisions.iloc[1:], reviews, recorded=done)
    assert len(gone) == 0, "a decision that is not in the data tells nothing"
    silent = plan_of(decisions, reviews.iloc[:0], recorded=done)
    assert len(silent) == 0, "reviews that are missing contradict nothing"


def test_withdrawn_steps_come_back_with_new_evidence(decide, review, plan_of):
    decisions = decide(("d1", "spam", "a", True))
    reviews = review(("1", "d1", "adjudication", "overturned"))
    once = plan_of(decisions, reviews).assign(status="withdrawn")
    assert (plan_of(decisions, reviews, recorded=once)["status"] == "planned").all()


def test_ids_are_stable_and_about_one_thing(decide, review, plan_of):
    decisions = decide(("d1", "spam", "a", True))
    reviews = review(("1", "d1", "audit", "overturned"))
    more = review(("1", "d1", "audit", "overturned"), ("9", "d1", "audit", "overturned"))
    first, second = plan_of(decisions, reviews), plan_of(decisions, more)
    assert first["remediation_id"].tolist() == second["remediation_id"].tolist()
    assert first["remediation_id"].iloc[0] == remediation_id("reverse", "d1", "a", "spam")
    assert remediation_id("reverse", "d1", None, "spam") != remediation_id(
        "reverse", "d1", "", "spam"
    )
    assert remediation_id("reverse", "a", "b", "c") != remediation_id("reverse", "ab", "", "c")


def test_an_empty_plan_has_all_columns():
    empty = plan_table(pd.DataFrame({"kind": [], "status": []}))
    assert len(empty) == 0
    assert str(empty["expires_at"].dtype) == "datetime64[us, UTC]"
