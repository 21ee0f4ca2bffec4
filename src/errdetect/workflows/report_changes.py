"""Changes for the report: findings, briefs, proposals with their effect, quality targets."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from errdetect.changes.briefs import Brief, brief_table, build_briefs, render_briefs
from errdetect.changes.improvement_plan import improvement_plan
from errdetect.changes.measured_effects import measure_effects
from errdetect.changes.outcome_text import (
    audit_sentence,
    effect_sentence,
    step_sentence,
    target_sentence,
)
from errdetect.changes.proposals import new_proposals, proposals_in_effect
from errdetect.changes.quality_targets import (
    NextAudit,
    check_reviewer_targets,
    check_targets,
    size_next_audit,
)
from errdetect.config import Config
from errdetect.data.atomic_writing import write_text
from errdetect.data.policy_catalogue import Policy
from errdetect.errors import DataError
from errdetect.estimation.audit_plan import USUAL_RATE
from errdetect.estimation.error_rates import RateEstimates
from errdetect.findings.findings import Findings
from errdetect.ledger.ledger import Ledger
from errdetect.remediation.whitelist import whitelist_table
from errdetect.report.policy_tables import PROPOSED
from errdetect.snapshot import Snapshot
from errdetect.stats.multiple_testing import online_level
from errdetect.workflows.project_ledger import find_project_ledger, open_project_ledger

__all__ = [
    "QualityTargets",
    "confirmed_briefs",
    "discovery_level",
    "finding_parts",
    "ledger_problem",
    "measured_effects",
    "outcome_parts",
    "planned_whitelist",
    "policy_briefs",
    "proposal_rows",
    "quality_targets",
    "record_briefs",
    "record_discoveries",
    "target_groupings",
    "write_briefs",
]


def policy_briefs(
    config: Config,
    findings: pd.DataFrame,
    *,
    policies: Mapping[str, Policy],
    decisions: pd.DataFrame,
    thresholds: pd.DataFrame | None,
    found_at: datetime,
) -> tuple[Brief, ...]:
    """Make the briefs of a report, each with its proposal's state in the ledger.

    Parameters
    ----------
    config
        From `load_config`.
    findings, thresholds
        The findings; only confirmed ones become briefs.
    policies, decisions
        The catalogue, and the decisions behind the findings.
    found_at
        The moment up to which the findings know the log.
    """
    ledger = find_project_ledger(config)
    known = None
    if ledger is not None:
        with ledger:
            known = ledger.proposals()
    return build_briefs(
        findings,
        policies=policies,
        decisions=decisions,
        thresholds=thresholds,
        known=known,
        evidence_until=pd.Timestamp(found_at),
    )


def write_briefs(briefs: tuple[Brief, ...], folder: Path) -> None:
    """Write one Markdown file for each brief into a new folder, which may stay empty.

    Parameters
    ----------
    briefs
        From `policy_briefs`.
    folder
        `briefs` inside the report's staged folder.
    """
    folder.mkdir()
    for name, text in render_briefs(briefs).items():
        write_text(folder / name, text)


def record_briefs(config: Config, briefs: tuple[Brief, ...], *, at: datetime) -> int:
    """Record new briefs as proposals; repeating the same report adds nothing.

    Parameters
    ----------
    config
        From `load_config`.
    briefs
        From `policy_briefs`; call this once the report is written.
    at
        The report's moment.

    Returns
    -------
    int
        How many were added, as `proposed`.
    """
    if not briefs:
        return 0
    with open_project_ledger(config) as ledger:
        new = new_proposals(briefs, ledger.proposals())
        return ledger.add_proposals(new, at=at) if len(new) else 0


def measured_effects(config: Config, snapshot: Snapshot) -> pd.DataFrame | None:
    """Measure the effect of each accepted proposal so far.

    Parameters
    ----------
    config
        From `load_config`.
    snapshot
        Automated decisions, and what was known about them.

    Returns
    -------
    DataFrame or None
        `measure_effects` with words: each row as text. None without accepted proposals.
    """
    ledger = find_project_ledger(config)
    if ledger is None:
        return None
    now = snapshot.as_of or snapshot.decisions["decided_at"].max()
    with ledger:
        accepted = _accepted_proposals(ledger, pd.Timestamp(now))
    if accepted.empty:
        return None
    least = max(config.estimate.min_reviews, config.report.min_group)
    settings = config.estimate.model_copy(update={"min_reviews": least})
    effects = measure_effects(snapshot, accepted, settings=settings)
    words = [
        effect_sentence({str(k): v for k, v in row.items()}) for row in effects.to_dict("records")
    ]
    return effects.assign(words=pd.Series(words, dtype="str", index=effects.index))


def _accepted_proposals(ledger: Ledger, now: pd.Timestamp) -> pd.DataFrame:
    return proposals_in_effect(ledger.proposals(), ledger.history("proposal"), as_of=now)


@dataclass(frozen=True)
class QualityTargets:
    """Status of the targets.

    Parameters
    ----------
    table
        policy_id, market, site (missing where not applicable), the columns of
        `check_targets`, and words: the row as a sentence.
    plan
        `improvement_plan` of the missed ones, with policy_id and market.
    audits
        The audits that would decide inconclusive targets: one for policies, one for markets.
    notes
        Sentences for people.
    """

    table: pd.DataFrame
    plan: pd.DataFrame
    audits: tuple[NextAudit, ...]
    notes: tuple[str, ...]


def target_groupings(config: Config, snapshot: Snapshot) -> list[list[str]]:
    """Return the groupings whose rates the targets need.

    Parameters
    ----------
    config
        From `load_config`.
    snapshot
        Its decisions and its catalogue.
    """
    wanted = config.targets.rates or any(policy.targets for policy in snapshot.policies.values())
    levels = [["policy_id"]] if wanted else []
    if wanted and config.targets.per_market and _has_market(snapshot):
        levels.append(["policy_id", "market"])
    return levels


def quality_targets(
    config: Config,
    snapshot: Snapshot,
    estimates: RateEstimates,
    *,
    findings: pd.DataFrame | None = None,
    cards: pd.DataFrame | None = None,
) -> QualityTargets:
    """Compare results of the audit and golden items with the catalogue's and the config's targets.

    Parameters
    ----------
    config
        From `load_config`.
    snapshot
        Automated decisions and the catalogue.
    estimates
        With the groupings of `target_groupings`, so that figures match the report.
    findings
        Confirmed and other findings; None without a search.
    cards
        Scorecards of reviewers; None where they are not measured.
    """
    limits = {str(measure): limit for measure, limit in config.targets.rates.items()}
    decisions, policies = snapshot.decisions, snapshot.policies
    levels = target_groupings(config, snapshot)
    notes = []
    if levels and config.targets.per_market and not _has_market(snapshot):
        notes.append("Targets per market cannot be checked: no decision names its market.")
    tables, plans, audits = [], [], []
    for by in levels:
        rates = estimates.frame(*by)
        found = check_targets(rates, policies=policies, limits=limits, by=by, usual_rate=USUAL_RATE)
        if len(by) > 1:  # a policy without decisions has no markets
            found = found[found["market"].notna()]
        tables.append(found)
        audit = size_next_audit(found, rates, by=by, floor=config.audit.floor)
        if audit is not None:
            audits.append(audit)
            notes.append(audit_sentence(audit))
        if findings is not None and len(findings):
            plans.append(improvement_plan(found, findings, decisions))
    accuracy = config.targets.reviewer_accuracy
    if accuracy is not None:
        if cards is None:
            notes.append("Targets for reviewers cannot be checked: reviewers are not measured.")
        else:
            tables.append(check_reviewer_targets(cards, accuracy, sites=config.targets.sites))
    return QualityTargets(_join_targets(tables), _stack_plans(plans), tuple(audits), tuple(notes))


def _has_market(snapshot: Snapshot) -> bool:
    decisions = snapshot.decisions
    return "market" in decisions and bool(decisions["market"].notna().any())


def _join_targets(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Put all targets in one table, each with its sentence."""
    places = ["policy_id", "market", "site"]
    frame = _stack_tables(tables or [check_targets(_NOTHING, policies={})], places)
    words = [
        target_sentence({str(k): v for k, v in row.items()}) for row in frame.to_dict("records")
    ]
    return frame.assign(words=pd.Series(words, dtype="str", index=frame.index))


_NOTHING = pd.DataFrame(
    columns=["policy_id", "measure", "estimate", "low", "high", "n_reviews", "n_decisions"]
)


def _stack_plans(plans: list[pd.DataFrame]) -> pd.DataFrame:
    return _stack_tables(plans, ["policy_id", "market"]) if plans else pd.DataFrame()


def _stack_tables(tables: list[pd.DataFrame], places: list[str]) -> pd.DataFrame:
    rest = [name for name in tables[0].columns if name not in places]
    full = [table.reindex(columns=[*places, *rest]) for table in tables]
    stacked = pd.concat([t.astype(dict.fromkeys(places, "str")) for t in full], ignore_index=True)
    return stacked.reset_index(drop=True)


def planned_whitelist(config: Config, snapshot: Snapshot) -> pd.DataFrame:
    """List the accounts that `remediate` would whitelist under the same settings.

    Parameters
    ----------
    config
        From `load_config`; `remediation.planned_whitelist` sets the rule.
    snapshot
        Decisions and reviews.

    Returns
    -------
    pandas.DataFrame
        As `schemas.WHITELIST`.
    """
    return whitelist_table(snapshot.decided, config.remediation.whitelist)


_WHOLE = "error_rate"  # the main measure of a change's effect


def finding_parts(found: Findings) -> dict[str, Any]:
    """Return the findings' tables as the report takes them, and why parts are empty."""
    names = ("slices", "thresholds", "findings")
    parts: dict[str, Any] = {name: getattr(found, name) for name in names}
    missing = {} if found.searched else dict.fromkeys(names, " ".join(found.notes))
    return {**parts, "reasons_missing": missing}


def confirmed_briefs(
    config: Config, snapshot: Snapshot, found: Findings, *, until: datetime
) -> tuple[tuple[Brief, ...], pd.DataFrame]:
    """Return the briefs of confirmed findings, and as a table with their texts."""
    briefs = policy_briefs(
        config,
        found.findings,
        policies=snapshot.policies,
        decisions=snapshot.automated.decisions,
        thresholds=found.thresholds,
        found_at=until,
    )
    texts = render_briefs(briefs)
    table = brief_table(briefs)
    text = pd.Series([texts[file] for file in table["file"]], dtype="str", index=table.index)
    return briefs, table.assign(text=text)


def outcome_parts(
    config: Config,
    snapshot: Snapshot,
    estimates: RateEstimates,
    found: Findings,
    *,
    cards: pd.DataFrame | None,
) -> tuple[dict[str, Any], list[str]]:
    """Return effects of accepted changes and the status of targets, with notes.

    Parameters
    ----------
    config
        From `load_config`.
    snapshot
        Automated decisions, and what was known about them.
    estimates
        The report's, with the groupings that the targets need.
    found
        The findings.
    cards
        Scorecards of reviewers; None where they are not measured.

    Raises
    ------
    ErrdetectError
        Where the estimates cannot be made.
    """
    effects = measured_effects(config, snapshot)
    goals = quality_targets(config, snapshot, estimates, findings=found.findings, cards=cards)
    parts: dict[str, Any] = {"effects": effects}
    if len(goals.table):
        plan = goals.plan
        if len(plan):
            said = [
                step_sentence({str(k): v for k, v in row.items()})
                for row in plan.to_dict("records")
            ]
            plan = plan.assign(words=pd.Series(said, dtype="str", index=plan.index))
        parts |= {"targets": goals.table, "plan": plan if len(plan) else None}
    return parts, list(goals.notes)


def proposal_rows(
    config: Config, briefs: tuple[Brief, ...], effects: pd.DataFrame | None
) -> pd.DataFrame | None:
    """Return the proposals, including new ones, each with its effect and its brief.

    None where there is none.
    """
    known = _known_proposals(config)
    new = new_proposals(briefs, known)
    if known.empty and new.empty:
        return None
    columns = ["proposal_id", "policy_id", "title", "change", "state", "effective_from", "owner"]
    stood = known.reindex(columns=columns)
    added = new.assign(state=PROPOSED).reindex(columns=columns)
    rows = pd.concat([part for part in (stood, added) if len(part)], ignore_index=True)
    if effects is not None:
        said = effects[effects["measure"] == _WHOLE].set_index("proposal_id")
        for to, column in (("effect", "estimate"), ("effect_low", "low"), ("effect_high", "high")):
            rows[to] = rows["proposal_id"].map(said[column])
        rows["effect_words"] = rows["proposal_id"].map(said["words"])
    files = {proposal: brief.file for brief in briefs for proposal, _ in brief.recorded}
    return rows.assign(brief=rows["proposal_id"].map(files).astype("str"))


def _known_proposals(config: Config) -> pd.DataFrame:
    ledger = find_project_ledger(config)
    if ledger is None:
        return pd.DataFrame(columns=["proposal_id", "finding_id", "state", "expected"])
    with ledger:
        return ledger.proposals()


def discovery_level(config: Config, snapshot: Snapshot) -> float:
    """Return the false discovery rate at which the report of this snapshot tests.

    Parameters
    ----------
    config
        From `load_config`.
    snapshot
        The report's decisions.

    Returns
    -------
    float
        The recorded level where a report of the same period was made before; else what the earlier
        periods leave.
    """
    ledger = find_project_ledger(config)
    if ledger is None:
        return online_level([])
    with ledger:
        events = ledger.history("discovery")
    latest = events.drop_duplicates("id", keep="last").set_index("id")
    period = _period(snapshot)
    if period in latest.index:
        return float(str(latest.loc[period, "from"]))
    in_order = events["id"].drop_duplicates()
    return online_level(latest.loc[in_order, "to"].astype(int).tolist())


def ledger_problem(config: Config) -> str | None:
    """Return why a report can record nothing in the ledger, as on read-only storage; None where it can.

    Parameters
    ----------
    config
        From `load_config`; its ledger is created if needed.
    """
    try:
        with open_project_ledger(config) as ledger:
            ledger.check_writable()
    except DataError as error:
        return str(error)
    return None


def record_discoveries(
    config: Config, snapshot: Snapshot, level: float, confirmed: int, *, at: datetime
) -> None:
    """Record the level that a report spent and its confirmed findings; once for each period.

    Parameters
    ----------
    config, snapshot
        As for `discovery_level`.
    level
        From `discovery_level`.
    confirmed
        Confirmed findings.
    at
        The report's moment.
    """
    with open_project_ledger(config) as ledger:
        ledger.record_discoveries(_period(snapshot), level, confirmed, at=at)


def _period(snapshot: Snapshot) -> str:
    """Return the first and last day of the decisions: what makes two reports the same."""
    times = snapshot.decisions["decided_at"]
    return f"{times.min():%Y-%m-%d}..{times.max():%Y-%m-%d}"
