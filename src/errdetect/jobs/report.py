"""report: the policy report, each of its tables, and the briefs."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from errdetect.config import Config
from errdetect.data.provenance import Provenance
from errdetect.data.sources import data_name
from errdetect.data.spreadsheet import write_csv
from errdetect.data.writing import staged, write_parquet, write_text
from errdetect.errors import DataError, ModelError, Refusal
from errdetect.explain.findings import Findings
from errdetect.jobs.briefs import record_briefs, write_briefs
from errdetect.jobs.drivers import Picture, write_pictures
from errdetect.jobs.explaining import reason_words
from errdetect.jobs.findings import findings
from errdetect.jobs.labels import measure_reviewers
from errdetect.jobs.provenance import champion_version, describe_run
from errdetect.jobs.report_audit import Audited, audited, rates, reviewed
from errdetect.jobs.report_changes import (
    finding_parts,
    outcome_parts,
    proposal_rows,
    wanted_briefs,
)
from errdetect.jobs.report_model import model_facts, unseen_parts
from errdetect.jobs.reviewers import check_reviewers
from errdetect.jobs.tables import Progress, Tables, load_tables
from errdetect.model.registry import Registry
from errdetect.policy.briefs import Brief
from errdetect.policy.content import Picture as Shown
from errdetect.policy.report import ReportContent, render_report, report_tables
from errdetect.policy.volumes import policy_volumes
from errdetect.schemas import FINDINGS, SLICES, THRESHOLDS, WHITELIST

__all__ = ["ReportResult", "report"]

_SCHEMAS: Mapping[str, pa.Schema] = {
    "slices": SLICES,
    "findings": FINDINGS,
    "thresholds": THRESHOLDS,
    "whitelist": WHITELIST,
}


@dataclass(frozen=True)
class ReportResult:
    """The files written, and what the reader must know."""

    files: Mapping[str, Path]
    notes: tuple[str, ...]
    n_confirmed: int = 0
    n_proposed: int = 0

    def lines(self) -> list[str]:
        """Return what people are told."""
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
        Told what is going on.

    Returns
    -------
    ReportResult
        New briefs are recorded in the ledger as proposals once the report stands.

    Raises
    ------
    ErrdetectError
        Where the input cannot be used. Without a model or reviews the report says what is missing.
    """
    check_reviewers(config)
    reason_words(config)
    tables = load_tables(config, progress=progress)
    decisions = tables.decisions.frame
    now = generated_at or datetime.now(UTC)
    content: dict[str, Any] = {
        "title": config.report.title or "Policy report",
        "generated_at": now,
        "data_name": data_name(config.data_paths(config.data.decisions)[0]),
        "period": (decisions["decided_at"].min(), decisions["decided_at"].max()),
        "n_decisions": len(decisions),
        "policies": tables.policies,
        "volumes": policy_volumes(decisions, tables.reviews.frame if tables.reviews else None),
    }
    said, briefs, notes = _said_by_people(config, tables, now, progress)
    content |= said
    notes = [*tables.notes, *notes]
    pictures: tuple[Picture, ...] = ()
    try:
        bundle, version = Registry(config.path(config.registry.path), config.registry.name).load()
    except ModelError as error:
        notes.append(str(error))
    else:
        progress("scoring decisions that nobody reviewed")
        unseen, pictures = unseen_parts(config, tables, bundle, now)
        content |= {**model_facts(bundle, version), **unseen}
        content["pictures"] = [Shown(p.title, p.alt, p.png) for p in pictures]
    progress("writing the report")
    run = describe_run(
        config, "report", {"generated_at": generated_at}, decisions=decisions, seed=config.train.seed,
        reviews=tables.reviews.frame if tables.reviews else None, at=now,
        model_version=champion_version(config),
    )  # fmt: skip
    files = _write(Path(out), run, ReportContent(**content, notes=tuple(notes)), briefs, pictures)
    new = record_briefs(config, briefs, at=now)
    found = content.get("findings")
    confirmed = 0 if found is None else int(found["confirmed"].sum())
    return ReportResult(files, tuple(notes), confirmed, new)


def _said_by_people(
    config: Config, tables: Tables, now: datetime, progress: Progress
) -> tuple[dict[str, Any], tuple[Brief, ...], list[str]]:
    """Return all that reviews tell: rates, reviewers, findings, what to change; briefs; notes."""
    if tables.reviews is None:
        return {}, (), []
    progress("measuring reviewers")
    model = measure_reviewers(config, tables.decisions.frame, tables.reviews.frame)
    content = reviewed(config, tables, model)
    notes: list[str] = []
    sample: Audited | None = None
    found: Findings | None = None
    briefs: tuple[Brief, ...] = ()
    try:
        sample = audited(config, tables, progress)
        if sample is not None:
            progress("estimating error rates")
            content |= rates(config, sample)
            notes += sample.notes
        found = findings(config, tables, model=model, progress=progress)
        content |= finding_parts(found)
        notes += found.notes
        until = config.labels.as_of or now
        briefs, content["briefs"] = wanted_briefs(config, tables, found, until=until)
        progress("measuring what changes did, and the targets")
        outcome, more = outcome_parts(config, tables, sample, found, cards=content.get("reviewers"))
        content |= outcome
        notes += more
    except (DataError, Refusal) as error:
        notes.append(f"No error rate can be said: {error}")
    content["proposals"] = proposal_rows(config, briefs, content.get("effects"))
    return content, briefs, notes


def _write(
    out: Path,
    run: Provenance,
    content: ReportContent,
    briefs: tuple[Brief, ...],
    pictures: tuple[Picture, ...],
) -> dict[str, Path]:
    with staged(out, run) as stage:
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
