"""export: the queue for another system, with what reviewers need to know."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from errdetect.config import Config
from errdetect.data.atomic_writing import write_files
from errdetect.data.database_tables import write_table
from errdetect.data.policy_catalogue import Policy, read_policies
from errdetect.data.rejected_rows import Rejections
from errdetect.data.renamed_columns import add_old_columns
from errdetect.data.sources import parse_table_source, shown_path, source_label
from errdetect.data.table_reading import iter_decisions
from errdetect.errors import ConfigError, DataError, error_message
from errdetect.integrations.precedents import add_precedents
from errdetect.integrations.queue_export import (
    FORMATS,
    join_decision_context,
    labelling_config,
    queue_content,
    read_queue,
)
from errdetect.labels.intake_account import Intake, IntakeRow, decision_rows
from errdetect.workflows.load_data import Progress
from errdetect.workflows.own_inputs import refuse_own_inputs
from errdetect.workflows.project_ledger import find_project_ledger, known_precedents
from errdetect.workflows.run_description import describe_step

__all__ = ["DATABASE", "ExportResult", "export"]

#: The form that is no file: a database's table.
DATABASE = "database"


@dataclass(frozen=True)
class ExportResult:
    """Result of an export.

    Parameters
    ----------
    form
        Format.
    n_rows
        Queued decisions written.
    n_absent
        How many of them are not among the decisions: they are exported without content.
    out
        Where to, without a database's user or password.
    label_config
        The labelling config, if one was asked for.
    notes
        Notes for the reader.
    intake
        What was read, used and left out.
    """

    form: str
    n_rows: int
    n_absent: int
    out: str
    label_config: Path | None
    notes: tuple[str, ...]
    intake: Intake

    def lines(self) -> list[str]:
        """Return the summary lines."""
        told = [f"Wrote {self.n_rows:,} queued decisions as {self.form}."]
        if self.n_absent:
            told.append(
                f"Note: {self.n_absent:,} of them are not among the decisions, so they have no "
                "content. Name the scored file with --decisions."
            )
        told += [f"Note: {note}." for note in self.notes]
        told.append(f"  queue  {self.out}")
        if self.label_config is not None:
            told.append(f"  labelling config  {self.label_config}")
        return told


def export(
    config: Config,
    form: str,
    out: str | Path,
    *,
    queue: str | Path | None = None,
    decisions: str | None = None,
    label_config: str | Path | None = None,
    progress: Progress = lambda _: None,
) -> ExportResult:
    """Write the queue for another system.

    Parameters
    ----------
    config
        From `load_config`; `export.columns` names the decisions' columns to include.
    form
        `parquet`, `csv`, `jsonl`, `label-studio` or `database`.
    out
        A file, or for `database` a `URL::table` that does not exist yet.
    queue
        A queue.parquet; default: the ledger's queued decisions without a review yet.
    decisions
        Source of the queued decisions' content; default: the config's decisions.
    label_config
        Where to write the labelling config for Label Studio; it changes together with `out`.
    progress
        Callback for progress messages.

    Raises
    ------
    ErrdetectError
        Where the queue or the decisions cannot be read, or `out` cannot be written.
    """
    _check_format(form, out, label_config)
    data = config.data
    file = None if form == DATABASE else out
    refuse_own_inputs(
        config,
        files=(file, label_config),
        sources=(None if queue is None else str(queue), decisions),
    )
    policies = read_policies(config.data_paths(data.policies)[0]) if data.policies else {}
    progress("reading the queue")
    rows = _open_queue(config) if queue is None else read_queue(queue)
    progress("looking up the queued decisions")
    place = config.data_paths(data.decisions) if decisions is None else decisions
    log = Rejections("The decisions")
    joined, absent = join_decision_context(
        rows, _read_batches(config, place, log), config.export.columns
    )
    log.raise_if_too_many(config.data.max_rejected)
    joined = add_precedents(joined, known_precedents(config), policies)
    intake = Intake((*decision_rows(log), *_queue_rows(rows, absent)))
    progress("writing")
    written = None if label_config is None else Path(label_config)
    files: dict[Path, bytes] = {}
    if written is not None:
        files[written] = _render_label_config(joined, policies).encode("utf-8")
    if form == DATABASE:
        _write_to_database(joined, str(out))
    else:
        given = {"queue": queue, "decisions": decisions}
        told = {"format": form} | {
            n: None if x is None else shown_path(x) for n, x in given.items()
        }
        run = describe_step(config, "export", told, intake=intake.to_jsonable())
        files[Path(out)] = queue_content(joined, form, policies=policies, provenance=run,
                                         show_reasons=config.export.show_reasons)  # fmt: skip
    write_files(files, private=[Path(out)])
    shown = source_label(str(out)) if form == DATABASE else str(out)
    notes = (*log.notes(), *_export_notes(config, joined))
    return ExportResult(form, len(joined), absent, shown, written, notes, intake)


def _check_format(form: str, out: str | Path, label_config: str | Path | None) -> None:
    known = (*FORMATS, DATABASE)
    if form not in known:
        do = "Choose one."
        raise ConfigError(
            [error_message("--format", f"be one of {', '.join(known)}", f"'{form}'", do)]
        )
    in_table = parse_table_source(str(out)) is not None
    if form == DATABASE and not in_table:
        do = "Write --out postgresql://user@host/name::table."
        raise ConfigError([error_message("--out", "be a database's URL::table", "a path", do)])
    if form != DATABASE and in_table:
        do = "Add --format database, or give a file."
        raise ConfigError([error_message("--out", "be a file", "a database's table", do)])
    if label_config is not None and Path(label_config).absolute() == Path(out).absolute():
        do = "Name another file with --label-config."
        got = "the same file"
        raise ConfigError([error_message("--label-config", "differ from --out", got, do)])


def _open_queue(config: Config) -> pd.DataFrame:
    """Read the ledger's queued decisions without a review yet."""
    ledger = find_project_ledger(config)
    if ledger is None:
        do = "Name a queue.parquet with --queue, or score with a ledger first."
        raise DataError(error_message("The queue", "be in the ledger or in a file", "neither", do))
    with ledger:
        return ledger.queued_decisions(open_only=True)


def _queue_rows(queue: pd.DataFrame, absent: int) -> Iterator[IntakeRow]:
    """Count the queued decisions."""
    first = str(queue["decision_id"].iloc[0]) if len(queue) else ""
    yield IntakeRow("queue", "", "read", len(queue), float("nan"), first)
    if absent:
        yield IntakeRow("queue", "", "no such decision", absent, float("nan"), "")


def _read_batches(
    config: Config, place: str | list[str], log: Rejections
) -> Iterator[pd.DataFrame]:
    data = config.data
    for batch in iter_decisions(
        place,
        columns=data.columns,
        actions=data.actions,
        drop=data.drop,
        mapping=data.mapping("decisions"),
    ):
        log.add(batch)
        yield batch.frame


def _write_to_database(rows: pd.DataFrame, out: str) -> None:
    """Write a new table; existing tables are never replaced."""
    place = parse_table_source(out)
    assert place is not None
    write_table(add_old_columns(rows, "queue"), place.url, place.what, if_exists="fail")


def _render_label_config(rows: pd.DataFrame, policies: dict[str, Policy]) -> str:
    ids = set(rows["policy_id"].dropna()) | set(rows["suggested_policy_id"].dropna())
    return labelling_config(ids, policies)


def _export_notes(config: Config, rows: pd.DataFrame) -> tuple[str, ...]:
    """Return notes on missing requested columns and on included personal data."""
    absent = [name for name in config.export.columns if name not in rows]
    asked = type(config.export)().columns
    strange = [name for name in absent if name not in asked]
    notes = []
    if strange:
        notes.append(f"the decisions have no columns {', '.join(strange)}")
    if "account_id" in rows:
        notes.append("account ids are included, since export.columns names them")
    return tuple(notes)
