"""Quality targets of a report: which are met, the way to the missed, what settles the open ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from errdetect.config import Config
from errdetect.data.policies import Policy
from errdetect.estimate.plan import USUAL_RATE
from errdetect.estimate.rates import estimate_rates
from errdetect.policy.improvement import improvement_plan
from errdetect.policy.outcome_words import say_audit, say_target
from errdetect.policy.targets import (
    SettlingAudit,
    check_targets,
    reviewer_targets,
    settling_audit,
)

__all__ = ["QualityTargets", "quality_targets"]


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


def quality_targets(
    config: Config,
    decisions: pd.DataFrame,
    reviews: pd.DataFrame,
    policies: Mapping[str, Policy],
    *,
    terms: Mapping[str, Any],
    findings: pd.DataFrame | None = None,
    cards: pd.DataFrame | None = None,
) -> QualityTargets:
    """Hold what the audit and golden items say against the catalogue's and the config's targets.

    Parameters
    ----------
    config
        From `load_config`.
    decisions, reviews
        Cleaned tables, automated decisions only.
    policies
        The catalogue.
    terms
        From `estimation_terms`, so that the figures are the report's.
    findings
        Confirmed and other findings; None where none were looked for.
    cards
        Scorecards of reviewers; None where they are not measured.

    Raises
    ------
    ErrdetectError
        Where the estimates cannot be made.
    """
    limits = {str(measure): limit for measure, limit in config.targets.rates.items()}
    wanted = bool(limits) or any(policy.targets for policy in policies.values())
    levels = [["policy_id"]] if wanted else []
    notes = []
    if wanted and config.targets.per_market:
        if "market" in decisions and decisions["market"].notna().any():
            levels.append(["policy_id", "market"])
        else:
            notes.append("Targets per market cannot be held: no decision names its market.")
    tables, plans, audits = [], [], []
    for by in levels:
        estimates = estimate_rates(decisions, reviews, by=by, **terms)
        found = check_targets(
            estimates, policies=policies, limits=limits, by=by, usual_rate=USUAL_RATE
        )
        if len(by) > 1:  # a policy without decisions has no markets
            found = found[found["market"].notna()]
        tables.append(found)
        audit = settling_audit(found, estimates, by=by, floor=config.audit.floor)
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
