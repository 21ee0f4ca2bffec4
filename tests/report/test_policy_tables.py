import pandas as pd

from errdetect.data.policy_catalogue import Policy
from errdetect.report.action_items import read_accounts
from errdetect.report.policy_tables import read_findings, read_proposals, read_targets


def plain(text):
    return text.replace("\u00a0", " ")


def test_findings_stand_confirmed_first_then_by_harm(make):
    frame = make["findings"](["a"], 3)
    frame.loc[3, "harm_saved"] = 9000.0
    found = read_findings(frame.iloc[::-1])["a"]
    assert [f.worth for f in found] == [140.0, 120.0, 100.0, 9000.0]
    assert [f.confirmed for f in found] == [True, True, True, False]
    assert found[0].saves == "140 (between 90 and 200)"
    assert found[0].size == "900 decisions, 410 accounts, 120 reviews behind it"


def test_an_unknown_cause_and_kind_are_shown_as_they_are(make):
    frame = make["findings"](["a"], 1).assign(cause="moon", error_kind="any", runner_up=None)
    found = read_findings(frame)["a"][0]
    assert (found.cause, found.kind, found.runner_up) == ("moon", "error", "")


def test_harm_without_an_interval_says_so(make):
    frame = make["findings"](["a"], 1).drop(columns=["harm_saved_low"])
    assert read_findings(frame)["a"][0].saves == "140 (no interval)"


def test_proposals_wait_first_and_tell_their_effect(make):
    frame = make["proposals"](["a", "b", "c"]).assign(policy_id="a")
    found = read_proposals(frame.iloc[::-1])["a"]
    assert [p.state for p in found] == ["proposed", "accepted", "closed"]
    assert found[1].state_words == "accepted, from 1 Mar 2025"
    assert [p.effect for p in found] == [
        "not in effect",
        "wrong among all decisions of the slice -3.1 points (between -5.0 and -1.2)",
        "not known yet",
    ]


def test_targets_stand_missed_first_and_say_what_would_settle_them(make):
    found = read_targets(make["targets"](["a", "b", "c"]))
    assert [t.status for t in found] == ["missed", "cannot_tell", "met", "met"]
    assert found[1].needed == "about 1,200 more reviews would decide it"
    site = next(t for t in found if t.where)
    assert (site.where, site.measure, plain(site.limit)) == (
        "site alder",
        "Reviewer accuracy",
        "at least 90.0 %",
    )


def test_a_status_that_nobody_knows_cannot_be_told(make):
    found = read_targets(make["targets"](["a"]).assign(status="fine"))
    assert {t.status for t in found} == {"cannot_tell"}


def test_accounts_stand_by_what_is_sure():
    rows = [
        {"account_id": i, "policy_id": p, "n": 9, "wrongful_rate": 0.8, "low": low, "high": 0.9}
        for i, p, low in (("x", "a", 0.3), ("y", None, 0.6))
    ]
    found = read_accounts(pd.DataFrame(rows), {"a": Policy("a", "Animals", 2)})
    assert [(a.key, a.policy) for a in found] == [("y", "all policies"), ("x", "Animals")]
