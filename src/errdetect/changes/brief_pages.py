"""Briefs, the improvement plan and the projects as pages, with owners and dates."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from errdetect.changes.briefs import Brief
from errdetect.changes.outcome_text import step_sentence
from errdetect.changes.team_pages import Block, Page, Section, numbered, paragraph, table
from errdetect.changes.text_formatting import (
    MEASURE_WORDS,
    clean_text,
    count_with_noun,
    format_day,
    format_optional_day,
    format_percent,
    has_rows,
    to_records,
)
from errdetect.data.policy_catalogue import Policy

__all__ = ["DECIDE_DAYS", "brief_page", "follow_up", "plan_page", "projects_page"]

#: Days within which an owner decides on a proposal: a rule of thumb, for the plan's dates.
DECIDE_DAYS = 14
_MEASURED_DAYS = 30
_UNNAMED = "not named: name one"


def brief_page(brief: Brief, rulings: Sequence[str] = ()) -> Page:
    """Lay out a brief (a BRD): requirements R1, R2, ... and acceptance A1, A2, ...

    Parameters
    ----------
    brief
        From `build_briefs`.
    rulings
        Sentences on the precedents of the policy's clause.

    Examples
    --------
    >>> from errdetect.changes.briefs import build_briefs
    >>> findings = pd.DataFrame({"finding_id": ["f1"], "policy_id": "spam", "kind": "slice",
    ...     "rule": "market is DE", "error_kind": "wrongful_action", "n": 900, "error_rate": 0.3,
    ...     "low": 0.25, "high": 0.35, "base_rate": 0.1, "confirmed": True, "cause": "threshold"})
    >>> page = brief_page(build_briefs(findings, policies={})[0])
    >>> [section.heading for section in page.sections][:2]
    ['Problem', 'Requirements']
    """
    ids = ", ".join(f"{name} ({state})" for name, state in brief.recorded)
    facts = [
        ("Policy", brief.policy_name),
        ("Owner", clean_text(brief.owner, missing=_UNNAMED)),
        ("Proposal", ids),
        ("Where", brief.rule),
        ("Change", brief.change_title),
        ("Work", f"about {brief.effort:g} person-days (a rough guide)"),
    ]
    columns = ("Where", "Decisions", "Accounts", "Reviews", brief.share_words, "95 % interval",
               "In the policy as a whole")  # fmt: skip
    rows = [
        (e.rule, e.n, e.accounts, e.reviews, e.rate, e.interval, e.base) for e in brief.evidence
    ]
    steps = list(brief.steps)
    steps.append("Measure both kinds of error before and after, as under Acceptance.")
    sections = [
        Section("Problem", [paragraph(brief.problem), Block("bullets", brief.cause_lines)]),
        Section("Requirements", [numbered(steps, "R"), *_clause(brief.clause)]),
        Section("Acceptance", [numbered(brief.acceptance, "A")]),
        Section("Evidence", [table("Confirmed on decisions that were not used to find it", columns, rows)]),
        Section("Volume", [Block("bullets", brief.volume)]),
        Section("Expected effect and risks", [Block("bullets", (*brief.effect, *map(_sentence, brief.risk)))]),
        Section("Pilot", [Block("bullets", brief.pilot_lines)]),
    ]  # fmt: skip
    if rulings:
        sections.append(Section("Rulings on this clause", [Block("bullets", tuple(rulings))]))
    decide = (
        f"The owner accepts {brief.recorded[0][0]} with the date on which the change takes effect, or rejects it with "
        "the reason. Whoever runs errdetect records it. The next reports then measure what the change did."
    )
    return Page(brief.title, facts, [*sections, Section("To decide", [paragraph(decide)])])


def _sentence(line: str) -> str:
    """Begin a line with a capital letter: a brief as text has it behind a word and a colon."""
    return line[:1].upper() + line[1:]


def _clause(clause: str | None) -> list[Block]:
    if not clause:
        return []
    return [paragraph("The rule's text today:"), Block("quote", (clean_text(clause, 4000),))]


def follow_up(proposals: pd.DataFrame, *, now: pd.Timestamp) -> pd.DataFrame:
    """Give each proposal its next date, and say whether that is met.

    An open proposal is to be decided within 14 days of the report that first made it; an accepted
    change takes effect on its owner's date, and its effect is measured from 30 days later.

    Parameters
    ----------
    proposals
        proposal_id, state, created_at, effective_from and, where known, effect_words.
    now
        The report's moment.

    Returns
    -------
    pandas.DataFrame
        The rows with due_at (missing: nothing is due), next (what is due) and on_time (`overdue`,
        `on time`, `done`), the overdue ones first.

    Examples
    --------
    >>> day = pd.Timestamp("2026-03-01", tz="UTC")
    >>> open_ = pd.DataFrame({"proposal_id": ["p"], "state": "proposed", "created_at": day,
    ...                       "effective_from": pd.Series([pd.NaT], dtype="datetime64[us, UTC]")})
    >>> follow_up(open_, now=day + pd.Timedelta(days=20))[["next", "on_time"]].values.tolist()
    [['decide', 'overdue']]
    """
    created = pd.to_datetime(proposals["created_at"], utc=True)
    since = pd.to_datetime(proposals["effective_from"], utc=True)
    state = proposals["state"].to_numpy(object)
    due, due_for = list[Any](), list[str]()
    for one, start, at, undated, unset in zip(
        state, since, created, created.isna(), since.isna(), strict=True
    ):
        if one == "proposed":
            due.append((now if undated else at) + pd.Timedelta(days=DECIDE_DAYS))
            due_for.append("decide")
        elif one == "accepted" and not unset:
            ahead = start > now
            due.append(start if ahead else start + pd.Timedelta(days=_MEASURED_DAYS))
            due_for.append("takes effect" if ahead else "first measured")
        else:
            due.append(pd.NaT)
            due_for.append("nothing")
    dates = pd.Series(pd.to_datetime(pd.Series(due, dtype="object"), utc=True).to_numpy())
    dates = pd.to_datetime(dates, utc=True)
    late = (dates < now) & pd.Series([what == "decide" for what in due_for])
    measured = (dates < now) & ~late
    words = late.map({True: "overdue", False: "on time"}).where(~measured, "done")
    table_ = proposals.reset_index(drop=True).assign(
        due_at=dates, next=due_for, on_time=words.where(dates.notna(), "done").astype("str")
    )
    rank = table_["on_time"].map({"overdue": 0, "on time": 1, "done": 2})
    order = table_.assign(_rank=rank).sort_values(["_rank", "due_at", "proposal_id"], kind="stable")
    return order.drop(columns="_rank").reset_index(drop=True)


def plan_page(
    plan: pd.DataFrame | None,
    proposals: pd.DataFrame | None,
    of_finding: Mapping[str, str],
    policies: Mapping[str, Policy],
    *,
    now: pd.Timestamp,
) -> Page:
    """Lay out the improvement plan: steps for each missed target, with owner, date and state.

    Parameters
    ----------
    plan
        From `improvement_plan`; None where every target is met, or none is set.
    proposals
        The ledger's and this report's, as `follow_up` takes them, with title, owner and policy_id; None
        without any.
    of_finding
        finding_id -> proposal_id.
    policies
        The catalogue, for names and owners.
    now
        The report's moment.
    """
    known = None if proposals is None else follow_up(proposals, now=now)
    by_id = {} if known is None else {row["proposal_id"]: row for row in to_records(known)}
    sections = []
    if plan is not None and has_rows(plan):
        places = [name for name in ("policy_id", "market", "measure") if name in plan]
        for key, steps in plan.groupby(places, sort=False, dropna=False):
            at = dict(zip(places, key, strict=True))
            sections.append(_target_section(at, to_records(steps), of_finding, by_id, policies))
    else:
        why = "No target is missed beyond its interval, or none is set in the policy catalogue."
        sections.append(Section("Missed targets", [paragraph(why)]))
    if known is not None:
        sections.append(_follow_section(known))
    return Page("Improvement plan", [("As of", format_day(now))], sections)


def _target_section(
    at: Mapping[str, Any],
    steps: Sequence[Mapping[str, Any]],
    of_finding: Mapping[str, str],
    by_id: Mapping[str, Mapping[str, Any]],
    policies: Mapping[str, Policy],
) -> Section:
    policy = policies.get(str(at["policy_id"]))
    name = clean_text(policy.name if policy else at["policy_id"], 100)
    market = at.get("market")
    place = f"{name}, {clean_text(market, 40)}" if isinstance(market, str) else name
    limit = format_percent(float(steps[0]["limit"]))
    words = MEASURE_WORDS.get(str(at["measure"]))
    rate = words.name if words else str(at["measure"]).replace("_", " ")
    heading = f"{place}: {_uncapitalised(rate)}, target {limit}"
    if not steps[0]["step"]:
        return Section(heading, [paragraph(step_sentence(steps[0]))])
    rows = []
    for step in steps:
        known = by_id.get(of_finding.get(str(step["finding_id"]), ""), {})
        owner = known.get("owner") or (policy.owner if policy else None)
        rows.append(
            (
                str(int(step["step"])),
                step_sentence(step),
                clean_text(owner, missing=_UNNAMED),
                _days(float(step["effort"])),
                clean_text(known.get("proposal_id"), missing=""),
                _due(known),
                clean_text(known.get("state"), missing=""),
            )
        )
    columns = ("Step", "What, and what it may bring", "Owner", "Work", "Proposal", "Next date", "State")  # fmt: skip
    return Section(heading, [table("Steps, the most effect for the work first", columns, rows)])


def _days(n: float) -> str:
    return "1 day" if n == 1 else f"{n:g} days"


def _uncapitalised(words: str) -> str:
    return words[:1].lower() + words[1:]


def _due(row: Mapping[str, Any]) -> str:
    if not row or pd.isna(row["due_at"]):
        return ""
    late = ": overdue" if row["on_time"] == "overdue" else ""
    return f"{row['next']} {format_day(row['due_at'])}{late}"


def _follow_section(known: pd.DataFrame) -> Section:
    rows = [
        (
            clean_text(row["proposal_id"], 40),
            clean_text(row.get("title"), 200),
            clean_text(row.get("owner"), missing=_UNNAMED),
            str(row["state"]),
            _due(row),
            clean_text(row.get("effect_words"), 400, ""),
        )
        for row in to_records(known[known["on_time"] != "done"])
    ]
    if not rows:
        return Section("Open dates", [paragraph("No proposal waits for a decision or a date.")])
    late = int((known["on_time"] == "overdue").sum())
    late_words = count_with_noun(late, "decision is overdue", "decisions are overdue")
    lead = f"{late_words}." if late else "No decision is overdue."
    columns = ("Proposal", "Change", "Owner", "State", "Next date", "Measured so far")
    return Section("Open dates", [paragraph(lead), table("The overdue first", columns, rows)])


def projects_page(
    proposals: pd.DataFrame | None, briefs: Sequence[Brief], *, now: pd.Timestamp
) -> Page:
    """Lay out every proposed change and its pilot with their state.

    Parameters
    ----------
    proposals
        As for `plan_page`.
    briefs
        This report's, for the pilots' sizes.
    now
        The report's moment.
    """
    facts = [("As of", format_day(now))]
    if proposals is None or not has_rows(proposals):
        none = paragraph("There is none yet: briefs of confirmed findings become proposals.")
        return Page("Projects and pilots", facts, [Section("Proposals", [none])])
    pilots = {name: _pilot_words(brief) for brief in briefs for name, _ in brief.recorded}
    known = follow_up(proposals, now=now)
    sections = []
    for state, heading in (
        ("accepted", "In effect or about to be"),
        ("proposed", "Waiting for a decision"),
        ("closed", "Closed"),
        ("rejected", "Rejected"),
    ):
        rows = [
            (
                clean_text(row["proposal_id"], 40),
                clean_text(row.get("title"), 200),
                clean_text(row.get("owner"), missing=_UNNAMED),
                format_optional_day(row.get("effective_from")) if state != "proposed" else "",
                pilots.get(str(row["proposal_id"]), "no brief in this report"),
                clean_text(row.get("effect_words"), 400, "not measured yet"),
            )
            for row in to_records(known[known["state"] == state])
        ]
        if rows:
            columns = ("Proposal", "Change", "Owner", "From", "Pilot", "Effect so far")
            sections.append(Section(f"{heading}: {len(rows):,}", [table(heading, columns, rows)]))
    return Page("Projects and pilots", facts, sections)


def _pilot_words(brief: Brief) -> str:
    pilot = brief.pilot
    if pilot is None:
        return "none needed: the slice errs no more than its policy"
    if pilot.reviews is None:
        return "too few accounts for halves: compare before and after"
    days = "" if pilot.days is None else f", about {count_with_noun(pilot.days, 'day', 'days')}"
    return f"{pilot.reviews:,} reviews of each side{days}"
