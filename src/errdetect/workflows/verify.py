"""verify: recompute an output folder and report equality, or what differs and the likely cause."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from errdetect.config import Config, load_config
from errdetect.config_schema import LedgerSettings
from errdetect.data.atomic_writing import write_csv, write_parquet
from errdetect.data.output_folders import hold_temporary_folder
from errdetect.data.provenance import (
    Provenance,
    RunRecord,
    digest_file,
    read_provenance,
    read_run,
    redact_secrets,
)
from errdetect.data.renamed_columns import complete_columns
from errdetect.data.table_comparison import TableComparison, compare_tables
from errdetect.errors import DataError, error_message
from errdetect.ledger.ledger import find_ledger
from errdetect.ledger.ledger_replica import replicate_ledger
from errdetect.schemas import INTAKE
from errdetect.workflows.audit_receipt import RECEIPT_FILE
from errdetect.workflows.changed_inputs import MOST, changed_notes, inputs_today
from errdetect.workflows.estimate import estimate
from errdetect.workflows.load_data import Progress
from errdetect.workflows.plan_audit import plan_audit
from errdetect.workflows.remediate import remediate
from errdetect.workflows.report import report
from errdetect.workflows.reviewer_quality import SALT
from errdetect.workflows.run_description import (
    data_digests,
    resolved_config,
    resolved_path,
    score_files,
)
from errdetect.workflows.score import ScoreResult, score
from errdetect.workflows.simulate import simulate
from errdetect.workflows.verify_audit import check_receipt

__all__ = ["FileCheck", "VerifyResult", "recompute_run", "scored_source", "verify"]


#: Two people who record a recomputed plan: only in the replica of the ledger.
_PEOPLE = ("verify", "verify again")


@dataclass(frozen=True)
class _Rerun:
    """A run to repeat: its record, and how to run it now."""

    run: Provenance
    config: Config
    out: Path
    decisions: str | None
    grown: bool
    progress: Progress
    ledger: str

    def get(self, name: str) -> Any:
        """Return an argument; None where there is none."""
        return self.run.arguments[name]

    def moment(self, name: str) -> datetime | None:
        """Return an argument that is a moment."""
        text = self.get(name)
        return None if text is None else datetime.fromisoformat(text)


def recompute_run(
    config: Config,
    run: Provenance,
    folder: Path,
    *,
    decisions: str | None = None,
    progress: Progress = lambda _: None,
) -> Path:
    """Run a command again with today's config and data; writes only to `folder`.

    Parameters
    ----------
    config
        From `load_config`, with the run's overrides.
    run
        Its record in `run.json`.
    folder
        An empty folder, for the outputs and for the ledger as of the run.
    decisions
        From `scored_source`, for `score`.
    progress
        Callback for progress messages.

    Returns
    -------
    Path
        The folder with the outputs.

    Raises
    ------
    ErrdetectError
        If the command cannot be recomputed, or an input is no longer usable.
    """
    if run.command not in _COMMANDS:
        known = ", ".join(_COMMANDS)
        do = "Other commands write no folder that can be recomputed."
        raise DataError(
            error_message("The run's command", f"be one of {known}", repr(run.command), do)
        )
    if run.command == "simulate":
        again = _Rerun(run, config, folder / "out", None, False, progress, "")
    else:
        grown = _has_grown(config, run, decisions)
        then = _config_at_run(config, run, folder, grown=grown)
        again = _Rerun(run, then, folder / "out", decisions, grown, progress, config.ledger_url())
    try:
        call = _COMMANDS[run.command](again)
    except (KeyError, TypeError, ValueError) as error:
        got = f"others ({type(error).__name__}: {error})"
        do = "Use the errdetect that wrote the folder, or run the command again."
        must = f"be those of errdetect {run.command}"
        raise DataError(error_message("The run's arguments", must, got, do)) from error
    with _no_new_salt(config):
        call()
    return again.out


def scored_source(config: Config, run: Provenance, given: str | None) -> str | None:
    """Return where the decisions are that `score` scored; None for other commands.

    Parameters
    ----------
    config, run
        As for `recompute_run`.
    given
        From the command line; overrides the record.

    Raises
    ------
    DataError
        If they came from a database whose address the config does not hold.
    """
    recorded = run.arguments.get("decisions") if run.command == "score" else None
    if recorded is None or given is not None:
        return given if run.command == "score" else None
    if "://" not in str(recorded):
        return resolved_path(config, str(recorded))
    for place in config.data_paths(config.data.decisions):
        if redact_secrets(place) == recorded:
            return place
    do = "Give their source with --decisions URL::table; user and password are never recorded."
    raise DataError(error_message("The database of the scored decisions", "be known", recorded, do))


def _has_grown(config: Config, run: Provenance, decisions: str | None) -> bool:
    """Return whether an input may have changed: its digest differs, or it has none yet."""
    assert run.created_at is not None
    given = {} if decisions is None else {"decisions": decisions}
    moment = run.at or run.created_at
    now = data_digests(config, given, known_at=run.created_at, drawn_before=moment)
    return bool(now != run.data)


def _config_at_run(config: Config, run: Provenance, folder: Path, *, grown: bool) -> Config:
    """Return the config with the ledger as of the run, and the latest moment of the data then."""
    assert run.created_at is not None
    moment = run.at or run.created_at
    file = folder / "ledger.db"
    url = config.ledger_url()
    replicate_ledger(url, file, known_at=run.created_at, recorded_at=moment)
    update: dict[str, Any] = {"ledger": _open_ledger(file)}
    if grown and config.labels.as_of is None and run.as_of is not None:
        update["labels"] = config.labels.model_copy(update={"as_of": run.as_of})
    scores = _earlier_scores(config, folder, moment)
    if scores is not None:
        update["queue"] = config.queue.model_copy(update={"scores": str(scores)})
    return config.model_copy(update=update)


def _open_ledger(file: Path) -> LedgerSettings:
    return LedgerSettings(url=f"sqlite:///{file.absolute()}")


def _earlier_scores(config: Config, folder: Path, moment: datetime) -> Path | None:
    """Copy the rows of `queue.scores` that were scored before; None where all were."""
    parts, later = [], 0
    for file in score_files(config):
        table = pq.read_table(file)
        if "scored_at" not in table.column_names:
            return None  # the command itself reports the error
        kept = table.filter(pc.less(table["scored_at"], pd.Timestamp(moment)))
        later += table.num_rows - kept.num_rows
        parts.append(kept.to_pandas())
    if not later:
        return None
    place = folder / "scores.parquet"
    write_parquet(pd.concat(parts, ignore_index=True), place)
    return place.absolute()


@contextmanager
def _no_new_salt(config: Config) -> Iterator[None]:
    """Remove the pseudonym salt if there was none before."""
    place = config.path(config.registry.path) / SALT
    there = place.exists()
    try:
        yield
    finally:
        if not there:
            place.unlink(missing_ok=True)


Call = Callable[..., object]


def _rerun_simulate(again: _Rerun) -> Call:
    sizes = {name: int(again.get(name)) for name in ("decisions", "days", "seed")}
    return partial(simulate, again.out, **sizes, progress=again.progress)


def _rerun_estimate(again: _Rerun) -> Call:
    start, end = again.moment("from"), again.moment("to")
    if again.grown and end is None and again.run.period is not None:
        end = again.run.period[1] + timedelta(microseconds=1)
    return partial(
        estimate,
        again.config,
        again.out,
        by=_list_names(again.get("by")),
        start=start,
        end=end,
        progress=again.progress,
    )


def _rerun_plan_audit(again: _Rerun) -> Call:
    return partial(
        plan_audit,
        again.config,
        again.out,
        budget=again.get("budget"),
        half_width=again.get("half_width"),
        by=_list_names(again.get("by")),
        method=again.get("method"),
        seed=int(cast("int", again.run.seed)),
        due_at=again.moment("due_at"),
        drawn_at=again.run.at,
        progress=again.progress,
    )


def _rerun_report(again: _Rerun) -> Call:
    return partial(
        report, again.config, again.out, generated_at=again.run.at, progress=again.progress
    )


def _rerun_remediate(again: _Rerun) -> Call:
    by, approved_by = _PEOPLE if again.get("apply") else (None, None)
    return partial(
        remediate,
        again.config,
        again.out,
        apply=bool(again.get("apply")),
        by=by,
        approved_by=approved_by,
        at=again.run.at,
        progress=again.progress,
    )


def _rerun_score(again: _Rerun) -> Call:
    if again.decisions is None:
        raise KeyError("decisions")
    budget, at = again.get("budget"), again.run.at
    call = partial(
        score,
        decisions=again.decisions,
        budget=budget,
        also=again.run.arguments.get("also"),
        progress=again.progress,
    )
    return partial(
        _repeat_scoring, again, partial(call, again.config, out=again.out, scored_at=at), call
    )


def _repeat_scoring(again: _Rerun, repeat: Callable[[], ScoreResult], call: Call) -> None:
    """Score again; if this repeats a recorded run whose scores the ledger lost, restore that run first.

    The ledger keeps the latest score of a decision: a later run over the same decisions replaces
    those of the run that the folder repeats.
    """
    found = repeat()
    drawn = pq.read_table(found.files["scores"], columns=["inclusion_probability"])
    ledger = find_ledger(again.ledger)
    if ledger is None or drawn.column(0).null_count == 0:
        return
    with ledger:
        runs = ledger.runs().set_index("run_id")["scored_at"]
    first = runs[found.run_id].to_pydatetime()
    known_at = again.run.created_at or first
    file = again.out.parent / "first.db"
    replicate_ledger(again.ledger, file, known_at=known_at, recorded_at=first)
    config = again.config.model_copy(update={"ledger": _open_ledger(file)})
    call(config, out=again.out.parent / "first", scored_at=first)
    call(config, out=again.out, scored_at=again.run.at)


def _list_names(value: object) -> list[str]:
    if not isinstance(value, list):
        raise TypeError(f"a list is wanted, got {value!r}")
    return [str(name) for name in value]


_COMMANDS: Mapping[str, Callable[[_Rerun], Call]] = {
    "simulate": _rerun_simulate,
    "score": _rerun_score,
    "estimate": _rerun_estimate,
    "plan-audit": _rerun_plan_audit,
    "report": _rerun_report,
    "remediate": _rerun_remediate,
}


_TABLE = ".parquet"
_INTAKE = "intake.parquet"
_RECOMPUTED_TEXT = (".csv", ".txt")  # written from the tables alone


@dataclass(frozen=True)
class FileCheck:
    """One file of the folder compared with its record and its recomputation.

    Parameters
    ----------
    file
        Its path in the folder.
    equal
        Whether it equals the recomputation; for files other than tables and their text
        forms, whether it is unchanged since the run.
    edited
        Whether its bytes changed since the run.
    rows
        Of a table.
    deviations
        Differences, in sentences.
    comparison
        Of a table; None of other files, and where one side is missing.
    """

    file: str
    equal: bool
    edited: bool
    rows: int | None = None
    deviations: tuple[str, ...] = ()
    comparison: TableComparison | None = None


@dataclass(frozen=True)
class VerifyResult:
    """Whether a folder equals what its run gives today.

    Parameters
    ----------
    folder, command
        Which run.
    equal
        Whether every file is equal.
    files
        Each file that the run wrote, or should have.
    changed
        What changed since the run: files, config, data, model, errdetect.
    notes
        Notes for the reader.
    """

    folder: Path
    command: str
    equal: bool
    files: tuple[FileCheck, ...]
    changed: tuple[str, ...]
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return the summary lines."""
        said = []
        for check in self.files:
            rows = "" if check.rows is None else f", {check.rows:,} rows"
            if check.equal:
                said.append(f"  equal    {check.file}{rows}")
            else:
                said.append(f"  DIFFERS  {check.file}{rows}")
                said += [f"             {one}" for one in check.deviations]
        n = sum(not check.equal for check in self.files)
        if self.equal:
            answer = f"{self.folder} is what `errdetect {self.command}` gives."
        else:
            answer = f"{self.folder} is not what `errdetect {self.command}` gives: "
            answer += f"{n} of {len(self.files)} files differ."
        head = "Changed since the run" + (", with no effect on it:" if self.equal else ":")
        return [
            answer,
            *said,
            *([head, *(f"  {one}" for one in self.changed)] if self.changed else []),
            *(f"Note: {note.rstrip('.')}." for note in self.notes),
        ]


def verify(
    folder: str | Path,
    config: Config | str | Path | None,
    *,
    overrides: Sequence[str] = (),
    decisions: str | None = None,
    progress: Progress = lambda _: None,
) -> VerifyResult:
    """Recompute a folder's run with today's config, data and model, and compare every table.

    Parameters
    ----------
    folder
        An output folder of a command, with its `run.json`.
    config
        The config file, or a config as the run had it; not needed for `simulate`.
    overrides
        `key=value` each, beyond those that the run was made with.
    decisions
        Current location of the scored decisions, if they moved.
    progress
        Callback for progress messages.

    Returns
    -------
    VerifyResult
        Neither folder, ledger nor registry are written to.

    Raises
    ------
    ErrdetectError
        If errdetect did not write the folder, its record was changed, or the run cannot be repeated.
    """
    place = Path(folder)
    record = read_run(place)
    run = record.provenance
    if run.created_at is None:
        do = "Run the command again."
        raise DataError(
            error_message(f"The run of {place}", "state when it was made", "nothing", do)
        )
    _refuse_other_run(place, record)
    loaded, notes = _load_run_config(run, config, overrides)
    where = scored_source(loaded, run, decisions)
    drawn: dict[str, list[str]] = {}
    inputs: list[str] = []
    if RECEIPT_FILE in record.outputs:
        progress("drawing again")
        drawn = check_receipt(place, run, loaded)
        inputs = list(changed_notes(run, inputs_today(loaded, run), resolved_config(loaded)))
    if inputs:
        notes.append(f"inputs changed: the draw is checked with {RECEIPT_FILE} and the log only")
        checks = tuple(_check_written(place, record))
    else:
        with hold_temporary_folder() as temporary:
            again = recompute_run(loaded, run, temporary, decisions=where, progress=progress)
            progress("comparing")
            fresh = read_run(again)
            if run.data != fresh.provenance.data and _recorded_account(run, again):
                notes.append(
                    "the inputs changed, so intake.parquet is compared with run.json's account"
                )
            checks = tuple(_check_files(place, again, record, fresh))
        inputs = list(changed_notes(run, fresh.provenance, resolved_config(loaded)))
    checks = tuple(_with_deviations(check, drawn.get(check.file, ())) for check in checks)
    changed = [*_edited_notes(checks), *inputs]
    equal = all(check.equal for check in checks)
    if not equal and not changed:
        notes.append(
            "nothing that was recorded has changed: look at the versions of the libraries, and at "
            "what the ledger lost"
        )
    strange = _unexpected_files(place, record)
    if strange:
        notes.append(f"not of this run, so not checked: {', '.join(strange[:MOST])}")
    return VerifyResult(place, run.command, equal, checks, tuple(changed), tuple(notes))


def _check_written(folder: Path, record: RunRecord) -> Iterator[FileCheck]:
    """Check that every file is as the run wrote it."""
    for name, digest in sorted(record.outputs.items()):
        there = (folder / name).is_file()
        edited = not there or digest_file(folder / name) != digest
        deviation = (
            "is not as the run wrote it" if there else "was written by the run, and is missing now"
        )
        yield FileCheck(name, not edited, edited, deviations=(deviation,) if edited else ())


def _with_deviations(check: FileCheck, more: Sequence[str]) -> FileCheck:
    every = (*check.deviations, *more)
    return replace(check, equal=check.equal and not more, deviations=every)


def _load_run_config(
    run: Provenance, file: Config | str | Path | None, overrides: Sequence[str]
) -> tuple[Config, list[str]]:
    """Load the config with the overrides that the run was made with, with a note on unknown ones."""
    if run.command == "simulate":
        return Config.model_validate({"version": 1, "data": {"decisions": "none"}}), []
    if file is None:
        do = "Add --config CONFIG, the config that the run was made with."
        raise DataError(
            error_message(f"Verifying `errdetect {run.command}`", "have a config", "none", do)
        )
    if isinstance(file, Config):
        if overrides:
            do = "Load the config with them, or give its path."
            must = "come with a config's path"
            raise DataError(error_message("Overrides", must, "a config that is loaded", do))
        return file, []
    again = [str(one) for one in run.arguments.get("set", ())]
    given = {one.partition("=")[0] for one in overrides}
    lost = [key for key in run.arguments.get("set_not_recorded", ()) if key not in given]
    notes = [
        f"the run had --set {key} with an address that holds a password, which is not recorded: give it again"
        for key in lost
    ]
    return load_config(file, [*again, *overrides]), notes


def _refuse_other_run(folder: Path, record: RunRecord) -> None:
    """Refuse a record where all tables carry another one: it does not belong to them."""
    files = (folder / name for name in record.outputs if name.endswith(_TABLE))
    carried = [found for found in map(_embedded_provenance, files) if found is not None]
    if carried and record.provenance.metadata() not in carried:
        do = "Restore the folder as it was written, or run the command again."
        raise DataError(
            error_message(
                f"{folder}'s run.json", "describe the run that its tables carry", "another run", do
            )
        )


def _embedded_provenance(file: Path) -> dict[str, Any] | None:
    """Return the provenance that a table carries; None where it carries none."""
    try:
        return read_provenance(file).metadata()
    except DataError:
        return None


def _recorded_account(run: Provenance, again: Path) -> bool:
    """Use the run's recorded account instead of one that counts newer rows."""
    files = list(again.rglob(_INTAKE))
    for file in files:
        rows = pd.DataFrame(list(run.intake), columns=INTAKE.names).astype({"weight": "float64"})
        write_parquet(rows, file, INTAKE)
        if (sheet := file.with_suffix(".csv")).exists():
            write_csv(rows, sheet)
    return bool(files)


def _check_files(
    folder: Path, again: Path, record: RunRecord, fresh: RunRecord
) -> Iterator[FileCheck]:
    """Compare every file that the run wrote, or that it writes today."""
    names = sorted({*record.outputs, *fresh.outputs}, key=lambda n: (not n.endswith(_TABLE), n))
    for name in names:
        mine, theirs = folder / name, again / name
        edited = name in record.outputs and (
            not mine.is_file() or digest_file(mine) != record.outputs[name]
        )
        if not name.endswith((_TABLE, *_RECOMPUTED_TEXT)):
            if name in record.outputs:  # not recomputed byte for byte: it must be as written
                gone = ("was written by the run, and is missing now",)
                said = ("is not as the run wrote it",) if mine.is_file() else gone
                yield FileCheck(name, not edited, edited, deviations=said if edited else ())
        elif not mine.is_file():
            yield FileCheck(name, False, edited, deviations=("is not in the folder",))
        elif not theirs.is_file():
            yield FileCheck(name, False, edited, deviations=("is no longer written",))
        elif name.endswith(_TABLE):
            yield _compare_table(name, mine, theirs, record, edited=edited)
        else:
            same = mine.read_bytes() == theirs.read_bytes()
            other = "its text differs from the recomputed one"
            yield FileCheck(name, same, edited, deviations=() if same else (other,))


def _compare_table(
    name: str, mine: Path, theirs: Path, record: RunRecord, *, edited: bool
) -> FileCheck:
    try:
        found = pq.read_table(mine)
    except (OSError, pa.ArrowInvalid):
        return FileCheck(name, False, edited, deviations=("cannot be read as Parquet",))
    # Columns renamed since then are compared under their new names too.
    compared = compare_tables(complete_columns(found, mine.stem), pq.read_table(theirs))
    said = list(_difference_sentences(compared))
    if _embedded_provenance(mine) != record.provenance.metadata():
        said.append("it does not carry the provenance of this run: another program wrote it")
    return FileCheck(name, not said, edited, found.num_rows, tuple(said), compared)


def _difference_sentences(found: TableComparison) -> Iterator[str]:
    """List what differs in a table."""
    if found.columns:
        counts = ", ".join(f"{name} in {n:,}" for name, n in found.columns.items())
        yield f"columns differ, in rows: {counts}"
    if found.first is not None:
        first = found.first
        yield (
            f"first at {_key_text(first.key)}: {first.column} is {first.found!r} here, "
            f"{first.expected!r} recomputed"
        )
    if found.further and found.first_further is not None:
        yield f"{found.further:,} rows are only here, the first {_key_text(found.first_further)}"
    if found.missing and found.first_missing is not None:
        yield f"{found.missing:,} rows are missing here, the first {_key_text(found.first_missing)}"
    for names, what in (
        (found.columns_further, "columns that are only here"),
        (found.columns_missing, "columns that are missing here"),
        (found.columns_retyped, "columns of another type"),
    ):
        if names:
            yield f"{what}: {', '.join(names)}"
    if found.reordered:
        yield "its rows are in another order"


def _key_text(key: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in key.items())


def _edited_notes(checks: Sequence[FileCheck]) -> Iterator[str]:
    for check in checks:
        if check.edited:
            yield f"file: {check.file} was changed or removed after the run wrote it"


def _unexpected_files(folder: Path, record: RunRecord) -> list[str]:
    """List tables in the folder that the run did not write."""
    names = {path.relative_to(folder).as_posix() for path in folder.rglob(f"*{_TABLE}")}
    return sorted(names - set(record.outputs))
