"""Running a recorded command again, aside: its arguments and moments, and what was known then."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq

from errdetect.config import Config
from errdetect.data.digests import without_secrets
from errdetect.data.provenance import Provenance
from errdetect.data.store.ledger import find_ledger
from errdetect.ledger.replica import replicate_ledger
from errdetect.data.writing import write_parquet
from errdetect.errors import DataError, sentence
from errdetect.workflows.estimate import estimate
from errdetect.workflows.plan_audit import plan_audit
from errdetect.workflows.run_description import data_digests, resolved_path, score_files
from errdetect.workflows.remediate import remediate
from errdetect.workflows.report import report
from errdetect.jobs.salt import SALT
from errdetect.workflows.score import ScoreResult, score
from errdetect.workflows.simulate import simulate
from errdetect.workflows.load import Progress
from errdetect.settings import Ledger

__all__ = ["recompute", "scored_place"]

#: Two people who record a recomputed plan: in the replica of the ledger, and nowhere else.
_PEOPLE = ("verify", "verify again")


@dataclass(frozen=True)
class _Again:
    """A run to make again: what was recorded of it, and how it is to be made now."""

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


def recompute(
    config: Config,
    run: Provenance,
    folder: Path,
    *,
    decisions: str | None = None,
    progress: Progress = lambda _: None,
) -> Path:
    """Run a command again with today's config and data; nothing but `folder` is written to.

    Parameters
    ----------
    config
        From `load_config`, with the run's overrides.
    run
        What `run.json` says of it.
    folder
        An empty folder, for the outputs and for the ledger as it stood at the run's moment.
    decisions
        From `scored_place`, for `score`.
    progress
        Callback for progress messages.

    Returns
    -------
    Path
        The folder with the outputs.

    Raises
    ------
    ErrdetectError
        If the command is not one that is recomputed, or an input cannot be used any more.
    """
    if run.command not in _COMMANDS:
        known = ", ".join(_COMMANDS)
        do = "Other commands write no folder that can be recomputed."
        raise DataError(sentence("The run's command", f"be one of {known}", repr(run.command), do))
    if run.command == "simulate":
        again = _Again(run, config, folder / "out", None, False, progress, "")
    else:
        grown = _has_grown(config, run, decisions)
        then = _as_then(config, run, folder, grown=grown)
        again = _Again(run, then, folder / "out", decisions, grown, progress, config.ledger_url())
    try:
        call = _COMMANDS[run.command](again)
    except (KeyError, TypeError, ValueError) as error:
        got = f"others ({type(error).__name__}: {error})"
        do = "Use the errdetect that wrote the folder, or run the command again."
        must = f"be those of errdetect {run.command}"
        raise DataError(sentence("The run's arguments", must, got, do)) from error
    with _no_new_salt(config):
        call()
    return again.out


def scored_place(config: Config, run: Provenance, given: str | None) -> str | None:
    """Return where the decisions are that `score` scored; None for other commands.

    Parameters
    ----------
    config, run
        As for `recompute`.
    given
        From the command line: goes before what was recorded.

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
        if without_secrets(place) == recorded:
            return place
    do = "Give their place with --decisions URL::table; user and password are never recorded."
    raise DataError(sentence("The database of the scored decisions", "be known", recorded, do))


def _has_grown(config: Config, run: Provenance, decisions: str | None) -> bool:
    """Say whether an input may hold other rows than it did: its digest differs, or it has none yet."""
    assert run.created_at is not None
    given = {} if decisions is None else {"decisions": decisions}
    now = data_digests(config, given, known_at=run.created_at)
    return bool(now != run.data)


def _as_then(config: Config, run: Provenance, folder: Path, *, grown: bool) -> Config:
    """Return the config with the ledger as it stood, and the moment that was the data's latest."""
    assert run.created_at is not None
    moment = run.at or run.created_at
    file = folder / "ledger.db"
    url = config.ledger_url()
    replicate_ledger(url, file, known_at=run.created_at, recorded_at=moment)
    update: dict[str, Any] = {"ledger": _ledger(file)}
    if grown and config.labels.as_of is None and run.as_of is not None:
        update["labels"] = config.labels.model_copy(update={"as_of": run.as_of})
    scores = _earlier_scores(config, folder, moment)
    if scores is not None:
        update["queue"] = config.queue.model_copy(update={"scores": str(scores)})
    return config.model_copy(update=update)


def _ledger(file: Path) -> Ledger:
    return Ledger(url=f"sqlite:///{file.absolute()}")


def _earlier_scores(config: Config, folder: Path, moment: datetime) -> Path | None:
    """Copy the rows of `queue.scores` that were scored before; None where all of them were."""
    parts, later = [], 0
    for file in score_files(config):
        table = pq.read_table(file)
        if "scored_at" not in table.column_names:
            return None  # the command itself says what is wrong with it
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
    """Leave no salt for pseudonyms behind where there was none."""
    place = config.path(config.registry.path) / SALT
    there = place.exists()
    try:
        yield
    finally:
        if not there:
            place.unlink(missing_ok=True)


Call = Callable[..., object]


def _simulate(again: _Again) -> Call:
    sizes = {name: int(again.get(name)) for name in ("decisions", "days", "seed")}
    return partial(simulate, again.out, **sizes, progress=again.progress)


def _estimate(again: _Again) -> Call:
    start, end = again.moment("from"), again.moment("to")
    if again.grown and end is None and again.run.period is not None:
        end = again.run.period[1] + timedelta(microseconds=1)
    return partial(
        estimate,
        again.config,
        again.out,
        by=_names(again.get("by")),
        start=start,
        end=end,
        progress=again.progress,
    )


def _plan_audit(again: _Again) -> Call:
    return partial(
        plan_audit,
        again.config,
        again.out,
        budget=again.get("budget"),
        half_width=again.get("half_width"),
        by=_names(again.get("by")),
        method=again.get("method"),
        seed=int(cast("int", again.run.seed)),
        progress=again.progress,
    )


def _report(again: _Again) -> Call:
    return partial(
        report, again.config, again.out, generated_at=again.run.at, progress=again.progress
    )


def _remediate(again: _Again) -> Call:
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


def _score(again: _Again) -> Call:
    if again.decisions is None:
        raise KeyError("decisions")
    budget, at = again.get("budget"), again.run.at
    call = partial(score, decisions=again.decisions, budget=budget, progress=again.progress)
    return partial(
        _score_again, again, partial(call, again.config, out=again.out, scored_at=at), call
    )


def _score_again(again: _Again, repeat: Callable[[], ScoreResult], call: Call) -> None:
    """Score once more; where that repeats a recorded run whose scores the ledger lost, that run first.

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
    config = again.config.model_copy(update={"ledger": _ledger(file)})
    call(config, out=again.out.parent / "first", scored_at=first)
    call(config, out=again.out, scored_at=again.run.at)


def _names(value: object) -> list[str]:
    if not isinstance(value, list):
        raise TypeError(f"a list is wanted, got {value!r}")
    return [str(name) for name in value]


_COMMANDS: Mapping[str, Callable[[_Again], Call]] = {
    "simulate": _simulate,
    "score": _score,
    "estimate": _estimate,
    "plan-audit": _plan_audit,
    "report": _report,
    "remediate": _remediate,
}
