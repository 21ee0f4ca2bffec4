"""The report's briefs: written as files, recorded as proposals, their effect measured afterwards."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import pandas as pd

from errdetect.config import Config
from errdetect.data.policies import Policy
from errdetect.data.store.ledger import Ledger, find_ledger, open_ledger
from errdetect.data.writing import write_text
from errdetect.changes.briefs import Brief, build_briefs, render_briefs
from errdetect.changes.effects import measure_effects
from errdetect.changes.outcome_text import say_effect
from errdetect.changes.proposals import in_effect, new_proposals
from errdetect.snapshot import Snapshot

__all__ = ["measured_effects", "policy_briefs", "record_briefs", "write_briefs"]


def policy_briefs(
    config: Config,
    findings: pd.DataFrame,
    *,
    policies: Mapping[str, Policy],
    decisions: pd.DataFrame,
    thresholds: pd.DataFrame | None,
    found_at: datetime,
) -> tuple[Brief, ...]:
    """Make the briefs of a report, each with what the ledger knows of its proposal.

    Parameters
    ----------
    config
        From `load_config`.
    findings, thresholds
        What was found; only confirmed findings become briefs.
    policies, decisions
        The catalogue, and what the findings were made on.
    found_at
        The moment up to which reviews were known to the findings.
    """
    ledger = find_ledger(config.ledger_url())
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
    """Write one Markdown file for each brief into a folder that is made, empty ones too.

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
    """Record what is new among the briefs as proposals; the same report again adds nothing.

    Parameters
    ----------
    config
        From `load_config`.
    briefs
        From `policy_briefs`; call this once the report stands.
    at
        The report's moment.

    Returns
    -------
    int
        How many were added, as `proposed`.
    """
    if not briefs:
        return 0
    with open_ledger(config.ledger_url()) as ledger:
        new = new_proposals(briefs, ledger.proposals())
        return ledger.add_proposals(new, at=at) if len(new) else 0


def measured_effects(config: Config, snapshot: Snapshot) -> pd.DataFrame | None:
    """Measure what each accepted proposal did up to now.

    Parameters
    ----------
    config
        From `load_config`.
    snapshot
        Automated decisions, and what was known of them.

    Returns
    -------
    DataFrame or None
        `measure_effects` with words: each row in sentences. None where nothing was ever accepted.
    """
    ledger = find_ledger(config.ledger_url())
    if ledger is None:
        return None
    now = snapshot.as_of or snapshot.decisions["decided_at"].max()
    with ledger:
        accepted = _accepted(ledger, pd.Timestamp(now))
    if accepted.empty:
        return None
    effects = measure_effects(snapshot, accepted, settings=config.estimate)
    words = [say_effect({str(k): v for k, v in row.items()}) for row in effects.to_dict("records")]
    return effects.assign(words=pd.Series(words, dtype="str", index=effects.index))


def _accepted(ledger: Ledger, now: pd.Timestamp) -> pd.DataFrame:
    return in_effect(ledger.proposals(), ledger.history("proposal"), as_of=now)
