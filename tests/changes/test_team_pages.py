"""Pages for people without Markdown: hostile text stays text, requirements are numbered, dates are followed."""

import html
import re

import pandas as pd
import pytest

from errdetect.changes.brief_pages import brief_page, follow_up, plan_page, projects_page
from errdetect.changes.briefs import build_briefs
from errdetect.changes.improvement_plan import improvement_plan
from errdetect.changes.quality_framework import FrameworkSettings, framework_page
from errdetect.changes.team_pages import Page, Section, render_page, table
from errdetect.changes.training_packs import TrainingMaterial, training_pages
from errdetect.config_schema import (
    AuditSettings,
    MonitorSettings,
    QueueSettings,
    RemediationSettings,
    ReviewersSettings,
    TargetsSettings,
)
from errdetect.data.policy_catalogue import Policy
from errdetect.snapshot import Snapshot

HOSTILE = '<img src=x onerror=alert(1)>"\u202e&'
DAY = pd.Timestamp("2026-03-01", tz="UTC")
NOT_YET = pd.Series([pd.NaT], dtype="datetime64[us, UTC]")
SPAM = Policy(
    "spam",
    f"Spam {HOSTILE}",
    2,
    owner="Ana",
    clause=f"No offers {HOSTILE}",
    targets={"error_rate": 0.1},
)
POLICIES = {"spam": SPAM}


@pytest.fixture
def findings():
    return pd.DataFrame(
        {"finding_id": ["f"], "policy_id": "spam", "kind": "slice", "rule": f"market is {HOSTILE}",
         "error_kind": "wrongful_action", "n": 50, "error_rate": 0.3, "low": 0.25, "high": 0.35,
         "base_rate": 0.1, "confirmed": True, "cause": "policy_ambiguity",
         "conditions": [[{"column": "market", "op": "==", "value": "DE"}]]}
    )  # fmt: skip


def text_of(page: str) -> str:
    text = html.unescape(re.sub(r"<[^>]+>", " ", page[page.index("<body>") :]))
    return text.replace("\u00a0", " ")


def proposals(**columns):
    rows = pd.DataFrame({"proposal_id": ["P-1"], "policy_id": "spam", "title": "Clarify", "owner": "Ana",
                         "state": "proposed", "created_at": DAY, "effective_from": NOT_YET})  # fmt: skip
    return rows.assign(**columns)


def test_nothing_hostile_runs_and_nothing_is_loaded(findings):
    brief = build_briefs(findings, policies=POLICIES)[0]
    page = render_page(brief_page(brief, [f"Ruled {HOSTILE}"]))
    assert "<img" not in page
    assert "<script" not in page
    assert "\u202e" not in page
    assert "default-src 'none'" in page
    assert "http" not in page.replace("http-equiv", "")
    assert page == render_page(brief_page(brief, [f"Ruled {HOSTILE}"]))


def test_a_brief_numbers_its_requirements_and_acceptance(findings):
    brief = build_briefs(findings, policies=POLICIES)[0]
    page = render_page(brief_page(brief))
    assert re.findall(r'<li id="R(\d+)"', page) == [str(n) for n in range(1, len(brief.steps) + 2)]
    assert re.findall(r'<li id="A(\d+)"', page) == [
        str(n) for n in range(1, len(brief.acceptance) + 1)
    ]
    assert "errdetect proposals" not in page


def test_dates_are_followed_from_report_to_report():
    open_ = proposals()
    assert follow_up(open_, now=DAY)["due_at"].tolist() == [DAY + pd.Timedelta(days=14)]
    late = follow_up(open_, now=DAY + pd.Timedelta(days=15))
    assert late[["next", "on_time"]].values.tolist() == [["decide", "overdue"]]
    effective = DAY + pd.Timedelta(days=30)
    accepted = proposals(state="accepted", effective_from=effective)
    ahead = follow_up(accepted, now=DAY)
    assert ahead["next"].tolist() == ["takes effect"]
    assert ahead["due_at"].tolist() == [effective]
    after = follow_up(accepted, now=effective + pd.Timedelta(days=1))
    assert after[["next", "on_time"]].values.tolist() == [["first measured", "on time"]]
    done = follow_up(accepted, now=effective + pd.Timedelta(days=31))
    assert done["on_time"].tolist() == ["done"]
    for state in ("rejected", "closed"):
        assert follow_up(proposals(state=state), now=DAY)["due_at"].isna().all()


def test_the_plan_names_owner_date_and_state(findings):
    targets = pd.DataFrame({"policy_id": ["spam"], "measure": "error_rate", "limit": 0.1,
                            "estimate": 0.15, "low": 0.13, "high": 0.17, "status": "missed"})  # fmt: skip
    decisions = pd.DataFrame({"policy_id": "spam", "market": ["DE", "FR"] * 50, "enforced": True})
    plan = improvement_plan(targets, findings, decisions)
    later = DAY + pd.Timedelta(days=20)
    page = plan_page(plan, proposals(), {"f": "P-1"}, POLICIES, now=later)
    said = text_of(render_page(page))
    assert "decide 15 Mar 2026: overdue" in said
    assert "1 decision is overdue" in said
    assert "target 10.0 %" in said
    assert "No target is missed" in text_of(render_page(plan_page(None, None, {}, {}, now=DAY)))
    nothing = text_of(render_page(projects_page(None, [], now=DAY)))
    assert "none yet" in nothing


def test_the_framework_is_made_from_config_and_catalogue():
    settings = FrameworkSettings(
        TargetsSettings(rates={"recall": 0.9}, reviewer_accuracy=0.95, sites={"Riga": 0.9}),
        AuditSettings(method="neyman", golden_per_site=40), QueueSettings(budget=120),
        ReviewersSettings(aql=2.5), RemediationSettings(), MonitorSettings(), {"appeal": 30.0}, 12,
    )  # fmt: skip
    said = text_of(render_page(framework_page(POLICIES, settings)))
    for part in ("at least 90.0 %", "at most 10.0 %", "site Riga", "Neyman", "40 for each site", "120, ranked",
                 "AQL of 2.5 %", "appeal 30 days", "fewer than 12 reviews", "Ana"):  # fmt: skip
        assert part in said, part
    none = FrameworkSettings(TargetsSettings(), AuditSettings(), QueueSettings(), ReviewersSettings(),
                             RemediationSettings(), MonitorSettings(), {}, 10)  # fmt: skip
    assert "No target is set" in text_of(render_page(framework_page({}, none)))


def material(texts):
    day = [DAY, DAY + pd.Timedelta(days=1)]
    decisions = pd.DataFrame({"decision_id": ["d1", "d2", "d3"], "decided_at": DAY, "policy_id": "spam",
                              "enforced": True, "action": "remove", "text": f"secret {HOSTILE}"})  # fmt: skip
    reviews = pd.DataFrame(
        {"review_id": list("abcd"), "decision_id": ["d1", "d1", "d2", "d3"], "reviewed_at": day[1],
         "source": ["audit", "adjudication", "golden", "audit"],
         "verdict": ["upheld", "overturned", "upheld", "upheld"],
         "expected": [None, None, "overturned", None], "reviewer_id": ["ana", "eva", "ana", "ana"], "site": "Riga"}
    )  # fmt: skip
    row = {"site": "Riga", "policy_id": "spam", "measure": "wrongful_call", "value": 0.3, "low": 0.2,
           "high": 0.4, "others": 0.1, "needed": True, "suppressed": False, "cases": ["d1", "d2", "d3"]}  # fmt: skip
    needs = pd.DataFrame([row, {**row, "site": "Oslo", "suppressed": True, "cases": []}])
    held = pd.DataFrame({"policy_id": ["spam"], "decision_id": ["d3"], "ruling": ["relabelled"]})
    snapshot = Snapshot(decisions, reviews, POLICIES)
    return TrainingMaterial(needs, snapshot, held, {"spam": ["Ruled so."]}, texts)


@pytest.mark.parametrize("texts", [True, False])
def test_a_pack_holds_clause_cases_and_rulings_but_no_names(texts):
    pages = training_pages(material(texts))
    ((name, pack),) = pages.items()
    assert name.startswith("training--riga-")
    page = render_page(pack)
    said = text_of(page)
    assert ("secret" in said) is texts
    assert "<img" not in page
    for part in ("No offers", "Ruled so.", "1: the action is wrong (an expert).",
                 "2: the action is wrong (known answer).", "3: the action is correct, the policy is wrong (ruling",
                 "Case 2: golden.",
                 "calls violating 30.0 % of compliant items"):  # fmt: skip
        assert part in said, part
    assert "ana" not in said.replace("Ana", "")
    assert "eva" not in said


def test_long_tables_say_how_many_they_leave_out():
    block = table("Rows", ["n"], [[str(n)] for n in range(300)])
    assert len(block.rows) == 250
    assert "the first 250 of 300" in render_page(Page("t", sections=[Section("s", [block])]))


def test_every_region_has_a_name_of_its_own():
    cases = table("Cases", ["No."], [["1"]])
    owners = table("Owners", ["Who"], [["Ana"]])
    page = render_page(
        Page("Pack", sections=[Section(name, [cases]) for name in ("Spam", "Owners")])
    )
    page += render_page(Page("Plan", sections=[Section("Owners", [owners])]))
    names = re.findall(r'role="region" aria-label="([^"]*)"', page)
    assert len(names) == 3
    assert len({*names, "Spam", "Owners"}) == 5
