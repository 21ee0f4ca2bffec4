"""report: the policy report, each of its tables, and the briefs."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from errdetect.changes.briefs import Brief
from errdetect.changes.decision_volumes import policy_volumes
from errdetect.config import Config
from errdetect.data.atomic_writing import stage_outputs, write_csv, write_parquet, write_text
from errdetect.data.provenance import Provenance
from errdetect.data.sources import dataset_name
from errdetect.errors import ContradictionError, DataError, ModelError, Refusal
from errdetect.estimation.error_rates import RateEstimates
from errdetect.model.registry import ModelRegistry
from errdetect.report.report import ReportContent, render_report, report_tables
from errdetect.report.report_content import Picture as Shown
from errdetect.schemas import FINDINGS, INTAKE, SLICES, THRESHOLDS, WHITELIST
from errdetect.snapshot import Snapshot
from errdetect.workflows.control_variate import refuse_broken_design
from errdetect.workflows.decision_explainer import Picture, load_reason_templates, write_pictures
from errdetect.workflows.discovery_levels import discovery_level, record_discoveries
from errdetect.workflows.load_data import Progress, load_snapshot
from errdetect.workflows.report_changes import (
    confirmed_briefs,
    finding_parts,
    outcome_parts,
    planned_whitelist,
    proposal_rows,
    record_briefs,
    target_groupings,
    write_briefs,
)
from errdetect.workflows.report_estimates import (
    estimate_report_rates,
    find_error_slices,
    rate_tables,
    report_sample,
    review_parts,
)
from errdetect.workflows.report_model import model_facts, unreviewed_parts
from errdetect.workflows.reviewer_quality import check_reviewers
from errdetect.workflows.run_description import champion_version, describe_run

__all__ = ["ReportResult", "report"]

_SCHEMAS: Mapping[str, pa.Schema] = {
    "slices": SLICES,
    "findings": FINDINGS,
    "thresholds": THRESHOLDS,
    "whitelist": WHITELIST,
    "intake": INTAKE,
}


@dataclass(frozen=True)
class ReportResult:
    """The files written, and notes for the reader."""

    files: Mapping[str, Path]
    notes: tuple[str, ...]
    n_confirmed: int = 0
    n_proposed: int = 0

    def lines(self) -> list[str]:
        """Return the summary lines."""
        held = "1 finding was" if self.n_confirmed == 1 else f"{self.n_confirmed:,} findings were"
        return [
            f"{held} confirmed; {self.n_proposed:,} new in the proposals.",
            *(f"Note: {note.rstrip('.')}." for note in self.notes),
            *(f"  {name}  {path}" for name, path in self.files.items()),
        ]


def report(
    config: Config,
    out: str | Path,
    *,
    generated_at: datetime | None = None,
    progress: Progress = lambda _: None,
) -> ReportResult:
    """Write the policy report of the config's data.

    Parameters
    ----------
    config
        From `load_config`.
    out
        Folder for report.html, tables/, briefs/ and plots/: all or none.
    generated_at
        The report's date; default: now.
    progress
        Callback for progress messages.

    Returns
    -------
    ReportResult
        New briefs are recorded in the ledger as proposals once the report is written.

    Raises
    ------
    ErrdetectError
        Where the input cannot be used. Without a model or reviews, the report states what is missing.
    """
    check_reviewers(config)
    load_reason_templates(config)
    loaded = load_snapshot(config, progress=progress)
    refuse_broken_design(loaded.snapshot)
    snapshot = loaded.snapshot
    decisions = snapshot.decisions
    now = generated_at or datetime.now(UTC)
    content: dict[str, Any] = {
        "title": config.report.title or "Policy report",
        "generated_at": now,
        "data_name": dataset_name(config.data_paths(config.data.decisions)[0]),
        "period": (decisions["decided_at"].min(), decisions["decided_at"].max()),
        "n_decisions": len(decisions),
        "policies": snapshot.policies,
        "intake": snapshot.intake.frame(),
        "volumes": policy_volumes(decisions, snapshot.reviews),
    }
    said, briefs, notes = _review_sections(config, snapshot, now, progress)
    level = said.pop("discovery_level", None)
    content |= said
    notes = [*loaded.notes, *notes]
    pictures: tuple[Picture, ...] = ()
    try:
        bundle, version = ModelRegistry(
            config.path(config.registry.path), config.registry.name
        ).load()
    except ModelError as error:
        notes.append(str(error))
    else:
        progress("scoring unreviewed decisions")
        unseen, pictures = unreviewed_parts(config, snapshot, bundle, now)
        content |= {**model_facts(bundle, version), **unseen}
        content["pictures"] = [Shown(p.title, p.alt, p.png) for p in pictures]
    progress("writing the report")
    run = describe_run(
        config, "report", {"generated_at": generated_at}, decisions=decisions, seed=config.train.seed,
        reviews=snapshot.reviews, at=now, model_version=champion_version(config),
        intake=snapshot.intake.to_jsonable(),
    )  # fmt: skip
    files = _write_files(
        Path(out), run, ReportContent(**content, notes=tuple(notes)), briefs, pictures
    )
    new = record_briefs(config, briefs, at=now)
    found = content.get("findings")
    confirmed = 0 if found is None else int(found["confirmed"].sum())
    if level is not None:
        record_discoveries(config, snapshot, level, confirmed, at=now)
    return ReportResult(files, tuple(notes), confirmed, new)


def _review_sections(
    config: Config, snapshot: Snapshot, now: datetime, progress: Progress
) -> tuple[dict[str, Any], tuple[Brief, ...], list[str]]:
    """Return all results from reviews: rates, reviewers, findings, changes; briefs; notes."""
    if not len(snapshot.reviews):
        return {}, (), []
    progress("measuring reviewers")
    content = review_parts(config, snapshot)
    content["whitelist"] = planned_whitelist(config, snapshot)
    notes: list[str] = []
    estimates: RateEstimates | None = None
    briefs: tuple[Brief, ...] = ()
    try:
        sample = report_sample(config, snapshot, progress)
        if sample is not None:
            progress("estimating error rates")
            goals = target_groupings(config, sample.snapshot)
            estimates = estimate_report_rates(config, sample, goals)
            content |= rate_tables(config, estimates)
            notes += sample.notes
        known = None if sample is None else sample.p_error
        level = discovery_level(config, snapshot)
        found = find_error_slices(config, snapshot, level=level, p_error=known, progress=progress)
        if found.searched:
            content["discovery_level"] = level
            notes.append(
                f"The findings were tested at a false discovery rate of {level:.1%}, so that it stays "
                "within 5 % over this and all earlier reports in the ledger"
            )
        content |= finding_parts(found)
        notes += found.notes
        until = config.labels.as_of or now
        briefs, content["briefs"] = confirmed_briefs(config, snapshot, found, until=until)
        if sample is not None and estimates is not None:
            progress("measuring effects of changes, and targets")
            cards = content.get("reviewers")
            outcome, more = outcome_parts(config, sample.snapshot, estimates, found, cards=cards)
            content |= outcome
            notes += more
    except (ContradictionError, DataError, Refusal) as error:
        notes.append(f"No error rate can be estimated: {error}")
    content["proposals"] = proposal_rows(config, briefs, content.get("effects"))
    return content, briefs, notes


def _write_files(
    out: Path,
    run: Provenance,
    content: ReportContent,
    briefs: tuple[Brief, ...],
    pictures: tuple[Picture, ...],
) -> dict[str, Path]:
    with stage_outputs(out, run) as stage:
        write_text(stage / "report.html", render_report(content))
        (stage / "tables").mkdir()
        for name, frame in report_tables(content).items():
            write_parquet(frame, stage / "tables" / f"{name}.parquet", _SCHEMAS.get(name))
            write_csv(frame, stage / "tables" / f"{name}.csv")
        write_briefs(briefs, stage / "briefs")
        if pictures:
            write_pictures(pictures, stage / "plots")
    files = {"report": out / "report.html", "tables": out / "tables"}
    files |= {"briefs": out / "briefs"} if briefs else {}
    return files | ({"plots": out / "plots"} if pictures else {})
