"""plan-audit: who to audit next, with which chance, and what interval to expect."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.config import Config
from errdetect.data.writing import staged, write_parquet
from errdetect.errors import ConfigError, sentence
from errdetect.estimate.audit import read_audit
from errdetect.estimate.plan import USUAL_RATE, AuditCost, Method, Reviewing
from errdetect.estimate.plan import plan_audit as draw_audit
from errdetect.estimate.reviewer_error import MIN_GOLDEN
from errdetect.jobs.control import champion_probability, find_champion
from errdetect.jobs.labels import known_reviews
from errdetect.jobs.provenance import champion_version, describe_run
from errdetect.jobs.tables import Progress, Tables, load_tables
from errdetect.labels.audit import flag_rates
from errdetect.schemas import ADJUDICATION, AUDIT

__all__ = ["PlanAuditResult", "plan_audit"]


@dataclass(frozen=True)
class PlanAuditResult:
    """The next audit.

    Parameters
    ----------
    expected
        The `by` columns, n_decisions, n_reviews, expected_rate, half_width (of the 95 % interval),
        limit (no design does better with this ranker) and uniform (an audit that draws evenly).
    cost
        Reviews, adjudications, golden items and hours.
    files
        What was written.
    notes
        What the reader must know, in plain words.
    """

    expected: pd.DataFrame
    cost: AuditCost
    files: Mapping[str, Path]
    notes: tuple[str, ...]


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
        One of the two: reviews to spend, or the half width that the interval should have.
    by
        Columns whose combinations are segments.
    method
        `unequal` leans towards likely errors, above a floor; `neyman` allocates to strata; None
        takes the config's.
    seed
        The same seed draws the same decisions.
    progress
        Told what is going on.

    Raises
    ------
    ErrdetectError
        Where the input cannot be used or the wishes cannot be met.
    """
    tables = load_tables(config, progress=progress)
    decisions = tables.decisions.frame
    unknown = [name for name in by if name not in decisions]
    if unknown:
        do = f"Known: {', '.join(decisions.columns)}."
        got = ", ".join(unknown)
        raise ConfigError([sentence("--by", "name columns of the decisions", got, do)])
    p, leaning = _p_error(config, tables, progress)
    reviewing, people = _reviewing(config, tables, progress)
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
        expected_rate=_last_rate(config, tables),
        reviewing=reviewing,
    )
    told = {"budget": budget, "half_width": half_width, "by": list(by), "method": method}
    run = describe_run(
        config, "plan-audit", told, decisions=decisions, model_version=champion_version(config),
        reviews=None if tables.reviews is None else tables.reviews.frame, seed=seed,
    )  # fmt: skip
    with staged(out, run) as stage:
        write_parquet(plan.draws, stage / "audit.parquet")
        write_parquet(plan.expected, stage / "expected.parquet")
    files = {name: Path(out) / f"{name}.parquet" for name in ("audit", "expected")}
    return PlanAuditResult(plan.expected, plan.cost, files, (*tables.notes, leaning, people))


def _p_error(
    config: Config, tables: Tables, progress: Progress
) -> tuple[npt.NDArray[np.float64] | None, str]:
    """Return the champion's P(error), or None where there is no champion, and say which."""
    champion = find_champion(config)
    if champion is None:
        return None, "no model is registered, so every decision has the same chance"
    bundle, version = champion
    progress("scoring decisions")
    reviews = tables.reviews.frame if tables.reviews else None
    p = champion_probability(config, bundle, tables.decisions.frame, reviews)
    return p, f"chances lean towards likely errors as version {version} sees them"


def _last_rate(config: Config, tables: Tables) -> float:
    """Return the error rate that the last audit's reviewers saw, or a usual one without an audit."""
    if tables.reviews is None:
        return USUAL_RATE
    audit = read_audit(tables.decisions.frame, known_reviews(config, tables.reviews.frame))
    if not len(audit.weight):
        return USUAL_RATE
    said = np.where(audit.adjudicated, audit.expert_error, audit.error)
    n = len(said)  # half an error more: none seen does not mean none
    return float((n * np.average(said, weights=audit.weight) + 0.5) / (n + 1))


def _reviewing(config: Config, tables: Tables, progress: Progress) -> tuple[Reviewing, str]:
    """Say what to expect of those who will review, from those who did; and where that is from."""
    usual = Reviewing()
    how: dict[str, Any] = {
        "adjudicate_flags": config.audit.adjudicate_flags,
        "golden_per_site": config.audit.golden_per_site,
    }
    if tables.reviews is None or not (tables.reviews.frame["source"] == AUDIT).any():
        note = "no audit tells of the reviewers yet, so they are taken for unerring"
        return replace(usual, **how), note
    progress("measuring reviewers")
    reviews = known_reviews(config, tables.reviews.frame)
    audit = reviews[reviews["source"] == AUDIT]
    how["sites"] = max(int(audit["site"].nunique()), 1)
    how["minutes"] = _median(audit["minutes"], usual.minutes)
    experts = reviews.loc[reviews["source"] == ADJUDICATION, "minutes"]
    how["expert_minutes"] = _median(experts, usual.expert_minutes)
    rates = flag_rates(tables.decisions.frame, reviews)
    if min(rates.n_errors, rates.n_right) < MIN_GOLDEN:
        note = "too few golden items tell how reviewers err, so they are taken for unerring"
        return replace(usual, **how), note
    note = (
        f"golden items say that reviewers call {rates.sensitivity:.0%} of the errors and "
        f"{rates.false_positive_rate:.1%} of the right decisions wrong; so it is expected"
    )
    how |= {"found": rates.sensitivity, "alarm": rates.false_positive_rate}
    return replace(usual, **how), note


def _median(minutes: pd.Series, usual: float) -> float:
    known = minutes.dropna()
    return float(known.median()) if len(known) else usual
