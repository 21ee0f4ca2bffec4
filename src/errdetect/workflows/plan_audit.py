"""plan-audit: what to audit next, with which inclusion probability, and the expected interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.config import Config
from errdetect.data.atomic_writing import stage_outputs, write_parquet
from errdetect.errors import ConfigError, error_message
from errdetect.estimation.audit_plan import USUAL_RATE, AuditCost, Method, ReviewAssumptions
from errdetect.estimation.audit_plan import plan_audit as draw_audit
from errdetect.estimation.misclassification import golden_misclassification, site_shares
from errdetect.labels.intake_account import Intake
from errdetect.schemas import ADJUDICATION, AUDIT, INTAKE
from errdetect.snapshot import Snapshot
from errdetect.workflows.control_variate import champion_probability, find_champion
from errdetect.workflows.load_data import Progress, load_snapshot
from errdetect.workflows.run_description import ResultTables, champion_version, describe_run

__all__ = ["PlanAuditResult", "plan_audit"]


@dataclass(frozen=True)
class PlanAuditResult(ResultTables):
    """Plan of the next audit.

    Parameters
    ----------
    expected
        The `by` columns, n_decisions, n_reviews, expected_rate, half_width (of the 95 % interval),
        limit (lower bound for this ranker) and uniform (an audit with equal probabilities).
    cost
        Reviews, adjudications, golden items and hours.
    files
        Files written.
    notes
        Notes for the reader.
    intake
        Rows read, used and left out.
    """

    expected: pd.DataFrame
    cost: AuditCost
    files: Mapping[str, Path]
    notes: tuple[str, ...]
    intake: Intake

    @property
    def audit(self) -> pd.DataFrame:
        """The decisions drawn: decision_id, inclusion_probability, `by` columns."""
        return self.table("audit")


def plan_audit(
    config: Config,
    out: str | Path,
    *,
    budget: int | None = None,
    half_width: float | None = None,
    by: Sequence[str] = (),
    method: Method | None = None,
    seed: int = 0,
    progress: Progress = lambda _: None,
) -> PlanAuditResult:
    """Draw the next audit from the config's decisions.

    Parameters
    ----------
    config
        From `load_config`.
    out
        Folder for audit.parquet (decision_id, inclusion_probability, `by` columns) and
        expected.parquet: both or none.
    budget, half_width
        One of the two: reviews to spend, or the target half width of the interval.
    by
        Columns whose combinations are segments.
    method
        `unequal` favours likely errors, above a floor; `neyman` allocates to strata; None
        takes the config's.
    seed
        The same seed draws the same decisions.
    progress
        Callback for progress messages.

    Raises
    ------
    ErrdetectError
        Where the input cannot be used or the targets cannot be met.
    """
    loaded = load_snapshot(config, progress=progress)
    snapshot = loaded.snapshot
    decisions = snapshot.decisions
    unknown = [name for name in by if name not in decisions]
    if unknown:
        do = f"Known: {', '.join(decisions.columns)}."
        got = ", ".join(unknown)
        raise ConfigError([error_message("--by", "name columns of the decisions", got, do)])
    p, leaning = _p_error(config, snapshot, progress)
    reviewing, people = _reviewer_assumptions(config, snapshot, progress)
    progress("drawing")
    plan = draw_audit(
        decisions,
        rng=np.random.default_rng(seed),
        p_error=p,
        by=by,
        budget=budget,
        half_width=half_width,
        method=method or config.audit.method,
        floor=config.audit.floor,
        minimum=config.audit.min_per_segment,
        expected_rate=_last_rate(snapshot),
        reviewing=reviewing,
    )
    told = {"budget": budget, "half_width": half_width, "by": list(by), "method": method}
    run = describe_run(
        config, "plan-audit", told, decisions=decisions, model_version=champion_version(config),
        reviews=snapshot.reviews, seed=seed, intake=snapshot.intake.to_jsonable(),
    )  # fmt: skip
    with stage_outputs(out, run) as stage:
        write_parquet(plan.draws, stage / "audit.parquet")
        write_parquet(plan.expected, stage / "expected.parquet")
        write_parquet(snapshot.intake.frame(), stage / "intake.parquet", INTAKE)
    files = {name: Path(out) / f"{name}.parquet" for name in ("audit", "expected", "intake")}
    notes = (leaning, people, *loaded.notes)
    return PlanAuditResult(plan.expected, plan.cost, files, notes, snapshot.intake)


def _p_error(
    config: Config, snapshot: Snapshot, progress: Progress
) -> tuple[npt.NDArray[np.float64] | None, str]:
    """Return the champion's P(error), or None where there is no champion, with a note."""
    champion = find_champion(config)
    if champion is None:
        return None, "no model is registered, so every decision has the same inclusion probability"
    bundle, version = champion
    progress("scoring decisions")
    p = champion_probability(config, bundle, snapshot.decisions, snapshot.reviews)
    return p, f"inclusion probabilities favour likely errors, as predicted by version {version}"


def _last_rate(snapshot: Snapshot) -> float:
    """Return the error rate seen in the last audit, or a default without an audit."""
    audit = snapshot.audit_sample
    n = len(audit.weight)
    if not n:
        return USUAL_RATE
    # Half an error more: zero observed does not mean zero.
    return float((n * np.average(audit.answer, weights=audit.weight) + 0.5) / (n + 1))


def _reviewer_assumptions(
    config: Config, snapshot: Snapshot, progress: Progress
) -> tuple[ReviewAssumptions, str]:
    """Return the expected reviewer error rates, from past reviewers, with their source."""
    usual = ReviewAssumptions()
    how: dict[str, Any] = {
        "adjudicate_flags": config.audit.adjudicate_flags,
        "golden_per_site": config.audit.golden_per_site,
    }
    if not snapshot.has_audit:
        note = "there is no audit of the reviewers yet, so they are assumed to be correct"
        return replace(usual, **how), note
    progress("measuring reviewers")
    reviews, sample = snapshot.current_reviews, snapshot.audit_sample
    how["sites"] = max(len(sample.sites), 1)
    how["minutes"] = _median_minutes(
        reviews.loc[reviews["source"] == AUDIT, "minutes"], usual.minutes
    )
    experts = reviews.loc[reviews["source"] == ADJUDICATION, "minutes"]
    how["expert_minutes"] = _median_minutes(experts, usual.expert_minutes)
    whole = np.zeros(len(sample.position), np.int64)
    found = golden_misclassification(
        snapshot.golden_items(sample.sites),
        site_shares(sample, whole, 1),
        action_only=False,
        enforced=None,
    )
    if found is None:
        note = "there are too few golden items on reviewer error, so reviewers are assumed to be correct"
        return replace(usual, **how), note
    sensitivity, alarm = float(found.found.estimate[0]), float(found.alarm.estimate[0])
    note = (
        f"golden items show that reviewers call {sensitivity:.0%} of the errors and "
        f"{alarm:.1%} of the correct decisions wrong; the plan assumes the same"
    )
    how |= {"found": sensitivity, "alarm": alarm}
    return replace(usual, **how), note


def _median_minutes(minutes: pd.Series, usual: float) -> float:
    known = minutes.dropna()
    return float(known.median()) if len(known) else usual
