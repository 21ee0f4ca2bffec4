"""What to change, for the report: findings, briefs, proposals with their effect, quality targets."""

from datetime import datetime
from typing import Any

import pandas as pd

from errdetect.config import Config
from errdetect.data.store.ledger import find_ledger
from errdetect.estimation.error_rates import RateEstimates
from errdetect.findings.findings import Findings
from errdetect.jobs.briefs import measured_effects, policy_briefs
from errdetect.jobs.targets import quality_targets
from errdetect.changes.briefs import Brief, brief_table, render_briefs
from errdetect.changes.outcome_text import say_step
from errdetect.report.pages.proposals import PROPOSED
from errdetect.changes.proposals import new_proposals
from errdetect.snapshot import Snapshot

__all__ = ["finding_parts", "outcome_parts", "proposal_rows", "wanted_briefs"]

_WHOLE = "error_rate"  # the measure that says most of what a change did


def finding_parts(found: Findings) -> dict[str, Any]:
    """Return the findings' tables as the report takes them, and why parts are empty."""
    names = ("slices", "thresholds", "findings")
    parts: dict[str, Any] = {name: getattr(found, name) for name in names}
    missing = {} if found.searched else dict.fromkeys(names, " ".join(found.notes))
    return {**parts, "reasons_missing": missing}


def wanted_briefs(
    config: Config, snapshot: Snapshot, found: Findings, *, until: datetime
) -> tuple[tuple[Brief, ...], pd.DataFrame]:
    """Return the briefs of confirmed findings, and the same as a table with their texts."""
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
    """Return what accepted changes did, and how the targets stand, with notes.

    Parameters
    ----------
    config
        From `load_config`.
    snapshot
        Automated decisions, and what was known of them.
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
                say_step({str(k): v for k, v in row.items()}) for row in plan.to_dict("records")
            ]
            plan = plan.assign(words=pd.Series(said, dtype="str", index=plan.index))
        parts |= {"targets": goals.table, "plan": plan if len(plan) else None}
    return parts, list(goals.notes)


def proposal_rows(
    config: Config, briefs: tuple[Brief, ...], effects: pd.DataFrame | None
) -> pd.DataFrame | None:
    """Return the proposals, those new in this report too, each with what it did and its brief.

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
    ledger = find_ledger(config.ledger_url())
    if ledger is None:
        return pd.DataFrame(columns=["proposal_id", "finding_id", "state", "expected"])
    with ledger:
        return ledger.proposals()
