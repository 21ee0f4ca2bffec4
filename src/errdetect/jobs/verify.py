"""verify: recompute what an output folder holds, and say equal, or what differs and the likely cause."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from errdetect import __version__
from errdetect.config import Config, load_config
from errdetect.data.comparing import TableComparison, compare_tables
from errdetect.data.digests import digest_file
from errdetect.data.provenance import Provenance, RunRecord, read_provenance, read_run
from errdetect.data.spreadsheet import write_csv
from errdetect.data.writing import write_parquet
from errdetect.errors import DataError, sentence
from errdetect.jobs.provenance import resolved
from errdetect.jobs.recompute import recompute, scored_place
from errdetect.jobs.tables import Progress
from errdetect.schemas import INTAKE

__all__ = ["FileCheck", "VerifyResult", "verify"]

_TABLE = ".parquet"
_INTAKE = "intake.parquet"
_RECOMPUTED_TEXT = (".csv", ".txt")  # written from the tables alone
_MOST = 12  # changed keys or files that are listed


@dataclass(frozen=True)
class FileCheck:
    """One file of the folder against what was recorded and recomputed.

    Parameters
    ----------
    file
        Its path below the folder.
    equal
        Whether it is what the recomputation gives; of other files than tables and their text
        forms, whether it is as it was written.
    edited
        Whether its bytes are other than the run wrote.
    rows
        Of a table.
    differences
        What differs, in sentences.
    comparison
        Of a table; None of other files, and where one side is missing.
    """

    file: str
    equal: bool
    edited: bool
    rows: int | None = None
    differences: tuple[str, ...] = ()
    comparison: TableComparison | None = None


@dataclass(frozen=True)
class VerifyResult:
    """Whether a folder holds what its run gives today.

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
        What the reader must know.
    """

    folder: Path
    command: str
    equal: bool
    files: tuple[FileCheck, ...]
    changed: tuple[str, ...]
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return the lines that people read."""
        said = []
        for check in self.files:
            rows = "" if check.rows is None else f", {check.rows:,} rows"
            if check.equal:
                said.append(f"  equal    {check.file}{rows}")
            else:
                said.append(f"  DIFFERS  {check.file}{rows}")
                said += [f"             {one}" for one in check.differences]
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
    config: str | Path | None,
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
        The config file; not needed for `simulate`.
    overrides
        `key=value` each, beyond those that the run was made with.
    decisions
        Where the scored decisions are now, if they moved.
    progress
        Callback for progress messages.

    Returns
    -------
    VerifyResult
        Neither folder, ledger nor registry are written to.

    Raises
    ------
    ErrdetectError
        If the folder is none of errdetect's, its record was changed, or the run cannot be repeated.
    """
    place = Path(folder)
    record = read_run(place)
    run = record.provenance
    if run.created_at is None:
        do = "Run the command again."
        raise DataError(sentence(f"The run of {place}", "say when it was made", "nothing", do))
    _refuse_other_run(place, record)
    loaded, notes = _config(run, config, overrides)
    where = scored_place(loaded, run, decisions)
    with tempfile.TemporaryDirectory(prefix="errdetect-verify-") as temporary:
        again = recompute(loaded, run, Path(temporary), decisions=where, progress=progress)
        progress("comparing")
        fresh = read_run(again)
        if run.data != fresh.provenance.data and _recorded_account(run, again):
            notes.append(
                "the inputs changed, so intake.parquet is compared with run.json's account"
            )
        checks = tuple(_checks(place, again, record, fresh))
        changed = [*_edited(checks), *_changed(run, fresh.provenance, resolved(loaded))]
    equal = all(check.equal for check in checks)
    if not equal and not changed:
        notes.append(
            "nothing that was recorded has changed: look at the versions of the libraries, and at "
            "what the ledger lost"
        )
    strange = _strange(place, record)
    if strange:
        notes.append(f"not of this run, so not checked: {', '.join(strange[:_MOST])}")
    return VerifyResult(place, run.command, equal, checks, tuple(changed), tuple(notes))


def _config(
    run: Provenance, file: str | Path | None, overrides: Sequence[str]
) -> tuple[Config, list[str]]:
    """Load the config with the overrides that the run was made with, and say which are unknown."""
    if run.command == "simulate":
        return Config.model_validate({"version": 1, "data": {"decisions": "none"}}), []
    if file is None:
        do = "Add --config CONFIG, the config that the run was made with."
        raise DataError(
            sentence(f"Verifying `errdetect {run.command}`", "have a config", "none", do)
        )
    again = [str(one) for one in run.arguments.get("set", ())]
    given = {one.partition("=")[0] for one in overrides}
    lost = [key for key in run.arguments.get("set_not_recorded", ()) if key not in given]
    notes = [
        f"the run had --set {key} with an address that holds a password, which is not recorded: give it again"
        for key in lost
    ]
    return load_config(file, [*again, *overrides]), notes


def _refuse_other_run(folder: Path, record: RunRecord) -> None:
    """Refuse a record where all tables carry another one: it was put beside them."""
    files = (folder / name for name in record.outputs if name.endswith(_TABLE))
    carried = [found for found in map(_carried, files) if found is not None]
    if carried and record.provenance.metadata() not in carried:
        do = "Restore the folder as it was written, or run the command again."
        raise DataError(
            sentence(
                f"{folder}'s run.json", "tell of the run that its tables tell of", "another", do
            )
        )


def _carried(file: Path) -> dict[str, Any] | None:
    """Return the provenance that a table carries; None where it carries none."""
    try:
        return read_provenance(file).metadata()
    except DataError:
        return None


def _recorded_account(run: Provenance, again: Path) -> bool:
    """Put the account that the run recorded for one that counts rows which came since."""
    files = list(again.rglob(_INTAKE))
    for file in files:
        rows = pd.DataFrame(list(run.intake), columns=INTAKE.names).astype({"weight": "float64"})
        write_parquet(rows, file, INTAKE)
        if (sheet := file.with_suffix(".csv")).exists():
            write_csv(rows, sheet)
    return bool(files)


def _checks(folder: Path, again: Path, record: RunRecord, fresh: RunRecord) -> Iterator[FileCheck]:
    """Compare every file that the run wrote, or that it writes today."""
    names = sorted({*record.outputs, *fresh.outputs}, key=lambda n: (not n.endswith(_TABLE), n))
    for name in names:
        mine, theirs = folder / name, again / name
        edited = name in record.outputs and (
            not mine.is_file() or digest_file(mine) != record.outputs[name]
        )
        if not name.endswith((_TABLE, *_RECOMPUTED_TEXT)):
            if name in record.outputs:  # not recomputed byte for byte: it must be as written
                gone = ("was written by the run, and is not there any more",)
                said = ("is not as the run wrote it",) if mine.is_file() else gone
                yield FileCheck(name, not edited, edited, differences=said if edited else ())
        elif not mine.is_file():
            yield FileCheck(name, False, edited, differences=("is not in the folder",))
        elif not theirs.is_file():
            yield FileCheck(name, False, edited, differences=("is not written any more",))
        elif name.endswith(_TABLE):
            yield _table(name, mine, theirs, record, edited=edited)
        else:
            same = mine.read_bytes() == theirs.read_bytes()
            other = "its text differs from the recomputed one"
            yield FileCheck(name, same, edited, differences=() if same else (other,))


def _table(name: str, mine: Path, theirs: Path, record: RunRecord, *, edited: bool) -> FileCheck:
    try:
        found = pq.read_table(mine)
    except (OSError, pa.ArrowInvalid):
        return FileCheck(name, False, edited, differences=("cannot be read as Parquet",))
    compared = compare_tables(found, pq.read_table(theirs))
    said = list(_sentences(compared))
    if _carried(mine) != record.provenance.metadata():
        said.append("it does not carry the provenance of this run: another program wrote it")
    return FileCheck(name, not said, edited, found.num_rows, tuple(said), compared)


def _sentences(found: TableComparison) -> Iterator[str]:
    """Say what differs in a table."""
    if found.columns:
        counts = ", ".join(f"{name} in {n:,}" for name, n in found.columns.items())
        yield f"columns differ, in rows: {counts}"
    if found.first is not None:
        first = found.first
        yield (
            f"first at {_named(first.key)}: {first.column} is {first.found!r} here, "
            f"{first.expected!r} recomputed"
        )
    if found.further and found.first_further is not None:
        yield f"{found.further:,} rows are only here, the first {_named(found.first_further)}"
    if found.missing and found.first_missing is not None:
        yield f"{found.missing:,} rows are missing here, the first {_named(found.first_missing)}"
    for names, what in (
        (found.columns_further, "columns that are only here"),
        (found.columns_missing, "columns that are missing here"),
        (found.columns_retyped, "columns of another type"),
    ):
        if names:
            yield f"{what}: {', '.join(names)}"
    if found.reordered:
        yield "its rows stand in another order"


def _named(key: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in key.items())


def _edited(checks: Sequence[FileCheck]) -> Iterator[str]:
    for check in checks:
        if check.edited:
            yield f"file: {check.file} was changed or removed after the run wrote it"


def _changed(run: Provenance, fresh: Provenance, config: Mapping[str, Any]) -> Iterator[str]:
    """Say what a run rests on that is other than it was."""
    if run.version != __version__:
        yield f"errdetect: version {run.version} then, {__version__} now"
    if run.config is not None:
        yield from _changed_keys(_flat(run.config), _flat(config))
    for name in sorted({*run.data, *fresh.data}):
        yield from _changed_sources(name, run.data.get(name, ()), fresh.data.get(name, ()))
    if run.policies_digest != fresh.policies_digest:
        yield f"policies: {_short(run.policies_digest)} then, {_short(fresh.policies_digest)} now"
    if (run.model_version, run.model_digest) != (fresh.model_version, fresh.model_digest):
        then, now = (
            f"version {one.model_version or 'none'} ({_short(one.model_digest)})"
            for one in (run, fresh)
        )
        yield f"model: {then} then, {now} now"


def _changed_keys(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    keys = [key for key in sorted({*then, *now}) if then.get(key) != now.get(key)]
    for key in keys[:_MOST]:
        yield f"config: {key} was {then.get(key)!r}, is {now.get(key)!r}"
    if len(keys) > _MOST:
        yield f"config: {len(keys) - _MOST} more keys"


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a config's values by dotted key."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


def _changed_sources(
    name: str, then: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    """Say which files of an input changed, went or came."""
    old = {str(one.get("source")): one for one in then}
    new = {str(one.get("source")): one for one in now}
    said = []
    for source in sorted({*old, *new}):
        if source not in new:
            said.append(f"{source} is not read any more")
        elif source not in old:
            said.append(f"{source} is new")
        elif old[source].get("sha256") != new[source].get("sha256"):
            digests = (_short(one[source].get("sha256")) for one in (old, new))
            said.append("{} was {}, is {}".format(source, *digests))
    for one in said[:_MOST]:
        yield f"data: {name}: {one}"
    if len(said) > _MOST:
        yield f"data: {name}: {len(said) - _MOST} more files"


def _short(digest: str | None) -> str:
    return "no digest" if digest is None else f"sha256 {digest[:12]}"


def _strange(folder: Path, record: RunRecord) -> list[str]:
    """Name tables in the folder that the run did not write."""
    names = {path.relative_to(folder).as_posix() for path in folder.rglob(f"*{_TABLE}")}
    return sorted(names - set(record.outputs))
