from datetime import datetime

from errdetect.report.action_items import top_action_items
from errdetect.report.policy_page import PageLimits, policy_pages
from errdetect.report.policy_tables import read_targets
from errdetect.report.report_content import ReportContent


def pages(**parts):
    content = ReportContent("t", datetime(2025, 1, 1), "d", None, 1, **parts)
    return policy_pages(content, None, ["a", "b"], PageLimits(10, 10, 10))


def whats(found, aims=(), **changes):
    known = {"n_audit": 9, "n_queued": None, "has_model": True} | changes
    return [todo.what for todo in top_action_items(found, aims, **known)]


def test_missing_ground_comes_first(make):
    found = whats(pages(findings=make["findings"](["a"])), n_audit=0)
    assert found[0] == "Plan an audit"


def test_only_findings_that_hold_are_named_the_most_useful_first(make):
    frame = make["findings"](["a", "b"]).assign(harm_saved=range(6))
    held = whats(pages(findings=frame))
    assert held == [
        "b: fix where moderator is text-transformer 2.0 and language is pl",
        "b: fix where market is DE",
    ]
    assert whats(pages(findings=frame.assign(confirmed=False))) == []


def test_a_missed_target_is_named_once_a_policy(make):
    frame = make["targets"](["a"]).iloc[[0, 0]]
    found = top_action_items(
        pages(targets=frame), read_targets(frame), n_audit=1, n_queued=None, has_model=True
    )
    assert [todo.what for todo in found] == ["a: a target is missed"]
    assert found[0].anchor == "policy-a"


def test_proposals_the_queue_and_open_targets_are_counted(make):
    aims = read_targets(make["targets"](["x", "y", "z"]))
    assert whats(pages(proposals=make["proposals"](["a", "b"])), aims, n_queued=40) == [
        "Decide on 1 proposal",
        "Review the 40 decisions of the queue",
        "Audit where 1 target is inconclusive",
    ]


def test_without_a_model_one_is_to_be_trained():
    assert whats(pages(), has_model=False) == ["Train a model"]


def test_a_model_that_was_turned_down_is_not_asked_for_again():
    why = "The gate could not tell (9 errors, 20 are needed)"
    found = top_action_items((), (), n_audit=9, n_queued=None, has_model=False, no_model=why)
    assert [(todo.what, todo.why) for todo in found] == [("Review more, then train again", why)]
