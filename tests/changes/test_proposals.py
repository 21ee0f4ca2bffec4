"""Proposals: one finding is proposed once, and what was decided stays decided."""

import json

import numpy as np
import pandas as pd
import pytest

from errdetect.changes.briefs import build_briefs
from errdetect.changes.measured_effects import measure_effects
from errdetect.changes.proposals import (
    CHANGES,
    estimated_effort,
    findings_in_use,
    new_proposals,
    proposals_in_effect,
)
from errdetect.snapshot import Snapshot

NOW = pd.Timestamp("2026-03-01", tz="UTC")


def briefs(*ids, **changes):
    rows = [
        {
            "finding_id": name, "policy_id": "spam", "kind": "slice", "rule": f"rule {name}",
            "conditions": np.array([{"column": "n", "op": ">=", "value": np.int64(3)}]),
            "account_ids": None, "error_kind": "wrongful_action", "n": 900, "error_rate": 0.3,
            "low": 0.25, "high": 0.36, "base_rate": 0.1, "confirmed": True, "harm_saved": 1.0,
            "cause": "machine_fault", **changes,
        }
        for name in ids
    ]  # fmt: skip
    return build_briefs(pd.DataFrame(rows), policies={}, evidence_until=NOW)


def recorded(frame, state="proposed"):
    return frame.assign(state=state, effective_from=pd.NaT)


def test_a_brief_is_proposed_once():
    new = new_proposals(briefs("f1"), pd.DataFrame())
    assert len(new) == 1
    assert new_proposals(briefs("f1"), recorded(new)).empty


@pytest.mark.parametrize("state", ["proposed", "accepted", "rejected"])
def test_only_what_is_new_of_a_brief_is_proposed(state):
    known = recorded(new_proposals(briefs("f1"), pd.DataFrame()), state)
    new = new_proposals(briefs("f1", "f2"), known)
    assert new["finding_id"].tolist() == ["f2"]
    assert json.loads(new["expected"].iloc[0])["finding_ids"] == ["f2"]
    assert new["proposal_id"].iloc[0] != known["proposal_id"].iloc[0]


def test_a_closed_proposal_lets_its_finding_return_under_a_new_name():
    known = recorded(new_proposals(briefs("f1"), pd.DataFrame()), "closed")
    new = new_proposals(briefs("f1"), known)
    assert new["proposal_id"].iloc[0] == known["proposal_id"].iloc[0] + "-2"
    third = new_proposals(briefs("f1"), pd.concat([known, recorded(new, "closed")]))
    assert third["proposal_id"].iloc[0].endswith("-3")


def test_a_brief_knows_what_became_of_its_findings():
    known = recorded(new_proposals(briefs("f1"), pd.DataFrame()), "accepted")
    rows = pd.DataFrame([{
        "finding_id": name, "policy_id": "spam", "kind": "slice", "rule": "r", "n": 9,
        "error_kind": "wrongful_action", "error_rate": 0.3, "low": 0.2, "high": 0.4,
        "base_rate": 0.1, "confirmed": True, "cause": "machine_fault",
    } for name in ("f1", "f2")])  # fmt: skip
    (brief,) = build_briefs(rows, policies={}, known=known)
    assert [state for _, state in brief.recorded] == ["accepted", "new"]
    assert brief.recorded[0][0] == known["proposal_id"].iloc[0]
    assert brief.recorded[1][0] == new_proposals((brief,), known)["proposal_id"].iloc[0]


def test_findings_are_found_by_their_column_where_there_is_no_json():
    known = pd.DataFrame({"proposal_id": ["p"], "state": ["proposed"], "finding_id": ["f"],
                          "expected": [None]})  # fmt: skip
    assert findings_in_use(known) == {"f": ("p", "proposed")}
    assert findings_in_use(pd.DataFrame()) == {}


def test_what_is_recorded_comes_back_as_what_is_measured():
    new = new_proposals(briefs("f1"), pd.DataFrame())
    known = new.assign(state="accepted", effective_from=NOW + pd.Timedelta(days=5))
    found = proposals_in_effect(known, pd.DataFrame(), as_of=NOW + pd.Timedelta(days=70))
    row = found.iloc[0]
    part = {"account_ids": [], "conditions": [{"column": "n", "op": ">=", "value": 3}]}
    assert row["parts"] == [part]
    assert row["expected"] == pytest.approx(-0.2)
    assert row["evidence_until"] == NOW
    assert row["look"] == 3
    assert pd.isna(row["closed_at"])


def test_a_closed_one_ends_when_it_was_closed():
    new = new_proposals(briefs("f1"), pd.DataFrame())
    known = new.assign(state="closed", effective_from=NOW)
    end = NOW + pd.Timedelta(days=9)
    events = pd.DataFrame(
        {"id": known["proposal_id"], "from": "accepted", "to": "closed", "at": end}
    )
    found = proposals_in_effect(known, events, as_of=NOW + pd.Timedelta(days=70))
    assert found["closed_at"].tolist() == [end]


def test_what_was_never_accepted_is_not_in_effect():
    known = recorded(new_proposals(briefs("f1"), pd.DataFrame()))
    found = proposals_in_effect(known, pd.DataFrame(), as_of=NOW)
    assert found.empty
    decisions = pd.DataFrame({"decision_id": ["d"], "decided_at": [NOW], "policy_id": "spam"})
    assert measure_effects(Snapshot(decisions), found).empty


def test_every_change_has_steps_a_pilot_and_work():
    for cause, change in CHANGES.items():
        assert change.steps
        assert change.pilot
        assert estimated_effort(cause) == change.effort > 0
