"""The frame of a pipeline: arguments in, steps that are journaled, one log line each, an exit status.

A journal beside the ledger holds every finished step. A pipeline that was killed goes on where it
was: finished steps are not repeated, the others run as if nothing had happened.
"""

import argparse
import fcntl
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from errdetect.config import Config, load_config
from errdetect.data.provenance import digest_file
from errdetect.data.sources import find_files
from errdetect.errors import DataError, error_message, escape_hidden, exit_on_error, mask_secrets

__all__ = ["JOURNAL", "PipelineRun", "StepJournal", "pipeline"]

#: The journal's file, beside the ledger.
JOURNAL = "errdetect-steps.jsonl"
_T = TypeVar("_T")


class StepJournal:
    """An append-only file of finished steps; one pipeline uses it at a time.

    Parameters
    ----------
    path
        The file; created when first written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[dict[str, Any]]:
        """Return the entries; a last line that a kill cut short is not one."""
        if not self.path.exists():
            return []
        with self._refusing():
            lines = self.path.read_bytes().split(b"\n")[:-1]
        entries = []
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # cut short, and closed by the next append
            if isinstance(entry, dict):
                entries.append(entry)
        return entries

    def append(self, entry: Mapping[str, Any]) -> None:
        """Write an entry, and wait until it is on the disk."""
        line = json.dumps(entry, ensure_ascii=True).encode() + b"\n"
        with self._refusing(), self.path.open("ab") as opened:
            if opened.tell() and not self._ends_with_newline():
                line = b"\n" + line
            opened.write(line)
            opened.flush()
            os.fsync(opened.fileno())

    def _ends_with_newline(self) -> bool:
        with self.path.open("rb") as opened:
            opened.seek(-1, os.SEEK_END)
            return opened.read(1) == b"\n"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the journal, so that a second run of a pipeline does not start.

        Raises
        ------
        DataError
            Where another pipeline holds it.
        """
        with ExitStack() as opened:
            with self._refusing():
                held = opened.enter_context(self.path.with_suffix(".lock").open("w"))
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                do = "Wait until it ends; then run this again."
                got = f"one that holds '{self.path}'"
                message = error_message("Another pipeline of this config", "not run", got, do)
                raise DataError(message) from None
            yield

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """Say in one sentence that the journal cannot be used."""
        try:
            yield
        except OSError as error:
            do = "Free some space, or let this user write there."
            got = error.strerror or type(error).__name__
            must = "be a file that can be read and written"
            raise DataError(error_message(f"The journal '{self.path}'", must, got, do)) from error


@dataclass
class PipelineRun:
    """One run of a pipeline, begun now or earlier.

    Parameters
    ----------
    name, key
        The pipeline, and what this run is about: equal for a rerun after a kill.
    config
        The loaded config.
    arguments
        The command line's other arguments, by name.
    started_at
        When the run began first: the moment to give to steps that record one.
    journal
        Where its steps are recorded.
    as_json
        Whether log lines are JSON.
    entries
        The run's earlier entries.
    status
        The exit status so far.
    """

    name: str
    key: str
    config: Config
    arguments: Mapping[str, str]
    started_at: datetime
    journal: StepJournal
    as_json: bool
    entries: list[dict[str, Any]] = field(default_factory=list)
    status: int = 0

    def step(
        self,
        name: str,
        run: Callable[[], _T],
        *,
        status: Callable[[_T], int] = lambda _: 0,
        mark: Callable[[], str | None] | None = None,
    ) -> _T | None:
        """Run a step unless it is done already, record it, and log one line.

        Parameters
        ----------
        name
            The step's name.
        run
            Does the work; safe to repeat if it was killed half-way, or guarded by `mark`.
        status
            The exit status of its result; the pipeline's is the highest.
        mark
            Reads what `run` changes, such as the newest model. It is recorded before; where a rerun
            reads another value, the killed step had done its work.

        Returns
        -------
        object or None
            The result; None where the step was done by an earlier run.
        """
        done = self._find(name, "done")
        if done is not None:
            self.status = max(self.status, int(done["status"]))
            self.log(name, "done before", {})
            return None
        if mark is not None:
            begun, now = self._find(name, "begun"), mark()
            if begun is not None and begun["mark"] != now:
                self._record(name, "done", status=0, counts={}, seconds=0.0)
                self.log(name, "done before", {})
                return None
            if begun is None:
                self._record(name, "begun", mark=now)
        began = time.perf_counter()
        result = run()
        seconds = round(time.perf_counter() - began, 3)
        own, counts = status(result), _counts(result)
        self._record(name, "done", status=own, counts=counts, seconds=seconds)
        self.status = max(self.status, own)
        self.log(name, "done", {"seconds": seconds, "status": own, **counts})
        return result

    def earlier(self) -> list[dict[str, Any]]:
        """Return the journal's entries of other runs, of any pipeline."""
        own = (self.name, self.key)
        return [e for e in self.journal.read() if (e.get("pipeline"), e.get("run")) != own]

    def _find(self, step: str, what: str) -> dict[str, Any] | None:
        own = (e for e in self.entries if (e.get("step"), e.get("what")) == (step, what))
        return next(own, None)

    def _record(self, step: str, what: str, **facts: Any) -> None:
        at = datetime.now(UTC).isoformat(timespec="seconds")
        entry = {"pipeline": self.name, "run": self.key, "step": step, "what": what, "at": at}
        self.journal.append({**entry, **facts})
        self.entries.append({**entry, **facts})

    def log(self, step: str, what: str, facts: Mapping[str, Any]) -> None:
        """Print one line: when, pipeline, step, what, and facts.

        Parameters
        ----------
        step, what
            The step, and what became of it.
        facts
            Counts and other plain values.
        """
        at = datetime.now(UTC).isoformat(timespec="seconds")
        if self.as_json:
            line = json.dumps(
                {"at": at, "pipeline": self.name, "step": step, "what": what, **facts}
            )
        else:
            shown = " ".join(f"{key}={value}" for key, value in facts.items())
            line = f"{at} {self.name} {step} {what} {shown}".rstrip()
        sys.stdout.write(escape_hidden(mask_secrets(line)) + "\n")
        sys.stdout.flush()


def _counts(result: object) -> dict[str, int]:
    """Return a result's counts: its fields named n_..."""
    if not is_dataclass(result):
        return {}
    named = (f.name for f in fields(result) if f.name.startswith("n_"))
    return {name: value for name in named if isinstance(value := getattr(result, name), int)}


@contextmanager
def pipeline(
    name: str,
    takes: Sequence[str] = (),
    *,
    inputs: Sequence[str] = (),
    every: str | Callable[[Config], str] = "%Y-%m-%d",
    argv: Sequence[str] | None = None,
) -> Iterator[PipelineRun]:
    """Read the command line, and run a pipeline's steps; ends the process with its exit status.

    Parameters
    ----------
    name
        The pipeline's name.
    takes
        Names of the arguments after CONFIG.
    inputs
        Those of them that are sources of rows: other content is another run.
    every
        Without inputs, one run per period, as `strftime` writes it in UTC; a function of the config
        where that decides.
    argv
        Default: the process's.

    Yields
    ------
    PipelineRun
    """
    parser = argparse.ArgumentParser(prog=name)
    for argument in ("config", *takes):
        parser.add_argument(argument)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--run", help="name of this run; default: by its inputs, or the date")
    parser.add_argument("--json", action="store_true", help="log lines as JSON")
    given = parser.parse_args(argv)
    with exit_on_error():
        config = load_config(given.config, given.overrides)
        arguments = {argument: str(getattr(given, argument)) for argument in takes}
        journal = StepJournal(_beside_ledger(config) / JOURNAL)
        with journal.lock():
            form = every if isinstance(every, str) else every(config)
            key = given.run or _run_key(arguments, inputs, form)
            own = [e for e in journal.read() if e.get("pipeline") == name and e.get("run") == key]
            start = datetime.now(UTC).replace(microsecond=0)
            if own and "started_at" in own[0]:
                start = datetime.fromisoformat(own[0]["started_at"])
            else:
                entry = {"pipeline": name, "run": key, "what": "started"}
                journal.append({**entry, "started_at": start.isoformat()})
            run = PipelineRun(name, key, config, arguments, start, journal, given.json, own)
            yield run
    if run.status:
        raise SystemExit(run.status)


def _beside_ledger(config: Config) -> Path:
    """Return the folder of an SQLite ledger, or else the config's."""
    head = "sqlite:///"
    url = config.ledger_url()
    place = Path(url.removeprefix(head)).parent if url.startswith(head) else config.base
    place.mkdir(parents=True, exist_ok=True)
    return place


def _run_key(arguments: Mapping[str, str], inputs: Sequence[str], every: str) -> str:
    """Name a run by its arguments and the content of its inputs, or by the date."""
    day = f"{datetime.now(UTC):{every}}"
    if not inputs:
        return day
    digest = sha256(json.dumps(sorted(arguments.items())).encode())
    if any("://" in arguments[name] for name in inputs):  # their content has no digest
        return f"{day} {digest.hexdigest()[:16]}"
    for name in inputs:
        for file in find_files(arguments[name]):
            digest.update(digest_file(Path(file.path)).encode())
    return digest.hexdigest()[:16]
