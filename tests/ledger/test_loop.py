"""Remediations, proposals and history in the ledger."""

import json
from datetime import timedelta

import pandas as pd
import pytest

from errdetect.errors import DataError, Refusal
from errdetect.schemas import PLAN


@pytest.fixture
def at(make_run):
    return make_run()[0].scored_at


@pytest.fixture
def plan(at):
    return pd.DataFrame(
        {
            "remediation_id": ["m1", "m2", "m3"],
            "decision_id": ["d1", None, "d3"],
            "kind": ["reverse", "whitelist", "look_alike"],
            "account_id": ["a", "a", "b"],
            "policy_id": "spam",
            "reason": "a reviewer overturned it",
            "evidence": "8 of 9\0",
            "expires_at": [pd.NaT, pd.Timestamp(at) + pd.Timedelta(days=90), pd.NaT],
            "status": ["planned", "planned", "review"],
            "review_ids": [["r1", "r2"], ["r1"], []],
            "correct_policy_id": None,
        }
    )


def test_a_plan_is_recorded_once(ledger, plan, at):
    people = {"by": "Ana", "approved_by": "Ben"}
    assert ledger.record_remediations(plan, at=at, **people) == 3
    before = ledger.remediations()
    assert ledger.record_remediations(plan, at=at + timedelta(days=1), **people) == 0
    pd.testing.assert_frame_equal(ledger.remediations(), before)
    assert list(before.columns[: len(PLAN.names)]) == PLAN.names
    assert before["status"].tolist() == ["applied", "applied", "review"]
    assert [list(ids) for ids in before["review_ids"]] == [["r1", "r2"], ["r1"], []]
    assert before["evidence"].tolist() == ["8 of 9\ufffd"] * 3
    assert before["expires_at"].tolist()[1] == plan["expires_at"].iloc[1]
    assert ledger.history("remediation")["note"].tolist() == ["approved by Ben"] * 3


def test_a_step_can_be_withdrawn_and_stand_again(ledger, plan, at):
    people = {"by": "Ana", "approved_by": "Ben"}
    ledger.record_remediations(plan, at=at, **people)
    assert ledger.withdraw_remediations(["m1", "none"], reason="r9 upholds it", at=at) == 1
    assert ledger.withdraw_remediations(["m1"], reason="again", at=at) == 0
    found = ledger.remediations().set_index("remediation_id").loc["m1"]
    assert (found["status"], found["withdrawn_reason"]) == ("withdrawn", "r9 upholds it")
    assert ledger.record_remediations(plan, at=at + timedelta(days=2), **people) == 1
    found = ledger.remediations().set_index("remediation_id").loc["m1"]
    assert found["status"] == "applied"
    assert found["withdrawn_reason"] is None or pd.isna(found["withdrawn_reason"])
    assert ledger.history(id="m1")["to"].tolist() == ["applied", "withdrawn", "applied"]


@pytest.mark.parametrize(
    ("by", "other"), [("Ana", " ana "), ("Ana  B", "ANA b"), ("", "Ben"), ("Ana", "")]
)
def test_a_second_person_is_required(ledger, plan, at, by, other):
    with pytest.raises(Refusal, match=r"must name a (second )?person"):
        ledger.record_remediations(plan, by=by, approved_by=other, at=at)
    assert ledger.remediations().empty


def test_proposals_go_their_way(ledger, at):
    given = pd.DataFrame(
        {
            "proposal_id": ["p1", "p2", "p1"],
            "policy_id": "spam",
            "title": ["'; DROP TABLE x; --", "b", "c"],
            "expected": [{"harm": 3.5}, '{"a": 1}', None],
            "unknown_column": 1,
        }
    )
    assert ledger.add_proposals(given, at=at) == 2
    assert ledger.add_proposals(given, at=at) == 0
    found = ledger.proposals()
    assert found["title"].tolist() == ["'; DROP TABLE x; --", "b"]
    assert json.loads(found["expected"].iloc[0]) == {"harm": 3.5}
    assert found["state"].tolist() == ["proposed"] * 2
    assert found["owner"].isna().all()
    ledger.move_proposal("p1", "accepted", by="Ana", at=at, effective_from=at + timedelta(days=7))
    ledger.move_proposal("p1", "closed", by="Ben", at=at + timedelta(days=90), note="done")
    found = ledger.proposals().set_index("proposal_id").loc["p1"]
    assert found["state"] == "closed"
    assert found["effective_from"] == at + timedelta(days=7)
    told = ledger.history("proposal", "p1")
    assert told["from"].tolist()[1:] == ["proposed", "accepted"]
    assert told["by"].tolist()[1:] == ["Ana", "Ben"]
    assert told["note"].tolist()[2] == "done"


@pytest.mark.parametrize(
    ("moves", "says"),
    [
        (["closed"], "which is proposed, must be moved to accepted or rejected, got 'closed'"),
        (["rejected", "accepted"], "which is rejected, must be moved to closed, got 'accepted'"),
        (["rejected", "closed", "proposed"], "which is closed, must stay closed, got 'proposed'"),
        (["accepted"], "to be accepted, must state when it takes effect, got no date"),
    ],
)
def test_other_moves_are_refused(ledger, at, moves, says):
    ledger.add_proposals(pd.DataFrame({"proposal_id": ["p"]}), at=at)
    *first, last = moves
    for to in first:
        ledger.move_proposal("p", to, by="Ana", at=at)
    n = len(ledger.history())
    with pytest.raises(DataError, match=says):
        ledger.move_proposal("p", last, by="Ana", at=at)
    assert len(ledger.history()) == n


def test_moves_need_a_proposal_and_a_person(ledger, at):
    with pytest.raises(DataError, match="The proposal 'p' must be in the ledger"):
        ledger.move_proposal("p", "accepted", by="Ana", at=at)
    with pytest.raises(DataError, match="must name a person"):
        ledger.move_proposal("p", "accepted", by=" ", at=at)
