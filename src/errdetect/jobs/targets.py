"""Quality targets of a report: which are met, the way to the missed, what settles the open ones."""

from dataclasses import dataclass

import pandas as pd

from errdetect.config import Config
from errdetect.estimation.audit_plan import USUAL_RATE
from errdetect.estimation.error_rates import RateEstimates
from errdetect.changes.improvement import improvement_plan
from errdetect.changes.outcome_text import say_audit, say_target
from errdetect.changes.targets import (
    SettlingAudit,
    check_targets,
    reviewer_targets,
    settling_audit,
)
from errdetect.snapshot import Snapshot

__all__ = ["QualityTargets", "quality_targets", "target_groupings"]


@dataclass(frozen=True)
class QualityTargets:
    """What is known of the targets.

    Parameters
    ----------
    table
        policy_id, market, site (missing where a target is not of one), the columns of
        `check_targets`, and words: the row in a sentence.
    plan
        `improvement_plan` of the missed ones, with policy_id and market.
    audits
        The audits that would settle what cannot be told yet: one for policies, one for markets.
    notes
        Sentences for people.
    """

    table: pd.DataFrame
    plan: pd.DataFrame
    audits: tuple[SettlingAudit, ...]
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
    """Compare what the audit and golden items say with the catalogue's and the config's targets.

    Parameters
    ----------
    config
        From `load_config`.
    snapshot
        Automated decisions and the catalogue.
    estimates
        With the groupings of `target_groupings`, so that the figures are the report's.
    findings
        Confirmed and other findings; None where none were looked for.
    cards
        Scorecards of reviewers; None where they are not measured.
    """
    limits = {str(measure): limit for measure, limit in config.targets.rates.items()}
    decisions, policies = snapshot.decisions, snapshot.policies
    levels = target_groupings(config, snapshot)
    notes = []
    if levels and config.targets.per_market and not _has_market(snapshot):
        notes.append("Targets per market cannot be held: no decision names its market.")
    tables, plans, audits = [], [], []
    for by in levels:
        rates = estimates.frame(*by)
        found = check_targets(rates, policies=policies, limits=limits, by=by, usual_rate=USUAL_RATE)
        if len(by) > 1:  # a policy without decisions has no markets
            found = found[found["market"].notna()]
        tables.append(found)
        audit = settling_audit(found, rates, by=by, floor=config.audit.floor)
        if audit is not None:
            audits.append(audit)
            notes.append(say_audit(audit.n_open, audit.n_targets, audit.budget, audit.command))
        if findings is not None and len(findings):
            plans.append(improvement_plan(found, findings, decisions))
    accuracy = config.targets.reviewer_accuracy
    if accuracy is not None:
        if cards is None:
            notes.append("Targets for reviewers cannot be held: reviewers are not measured.")
        else:
            tables.append(reviewer_targets(cards, accuracy, sites=config.targets.sites))
    return QualityTargets(_joined(tables), _placed(plans), tuple(audits), tuple(notes))


def _has_market(snapshot: Snapshot) -> bool:
    decisions = snapshot.decisions
    return "market" in decisions and bool(decisions["market"].notna().any())


def _joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Put all targets in one table, each with its words."""
    places = ["policy_id", "market", "site"]
    frame = _stacked(tables or [check_targets(_NOTHING, policies={})], places)
    words = [say_target({str(k): v for k, v in row.items()}) for row in frame.to_dict("records")]
    return frame.assign(words=pd.Series(words, dtype="str", index=frame.index))


_NOTHING = pd.DataFrame(
    columns=["policy_id", "measure", "estimate", "low", "high", "n_reviews", "n_decisions"]
)


def _placed(plans: list[pd.DataFrame]) -> pd.DataFrame:
    return _stacked(plans, ["policy_id", "market"]) if plans else pd.DataFrame()


def _stacked(tables: list[pd.DataFrame], places: list[str]) -> pd.DataFrame:
    rest = [name for name in tables[0].columns if name not in places]
    full = [table.reindex(columns=[*places, *rest]) for table in tables]
    stacked = pd.concat([t.astype(dict.fromkeys(places, "str")) for t in full], ignore_index=True)
    return stacked.reset_index(drop=True)
