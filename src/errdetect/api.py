"""The Python interface: the workflows, for a config or its path, with DataFrames in place of files.

`import errdetect` offers these functions. Each adds to the workflow of its name that `config` may be a
path, and that a DataFrame may stand for a file; all else is the workflow's.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import pandas as pd

from errdetect.config import Config, load_config
from errdetect.data.output_folders import hold_temporary_folder
from errdetect.data.sources import dataframes_as_files
from errdetect.errors import ConfigError, error_message

if TYPE_CHECKING:
    from errdetect.data.sources import Sources
    from errdetect.workflows.estimate import EstimateResult
    from errdetect.workflows.export import ExportResult
    from errdetect.workflows.forget import ForgetResult
    from errdetect.workflows.ingest import IngestResult
    from errdetect.workflows.plan_audit import PlanAuditResult
    from errdetect.workflows.promote import PromoteResult
    from errdetect.workflows.proposals import ProposalsResult
    from errdetect.workflows.remediate import RemediateResult
    from errdetect.workflows.report import ReportResult
    from errdetect.workflows.run_description import ResultTables
    from errdetect.workflows.score import ScoreResult
    from errdetect.workflows.simulate import SimulateResult
    from errdetect.workflows.trace import TraceResult
    from errdetect.workflows.train import TrainResult
    from errdetect.workflows.validate import ValidateResult
    from errdetect.workflows.verify import VerifyResult

__all__ = [
    "estimate",
    "export",
    "forget",
    "ingest",
    "plan_audit",
    "promote",
    "proposals",
    "remediate",
    "report",
    "score",
    "simulate",
    "trace",
    "train",
    "validate",
    "verify",
]

Progress = Callable[[str], None]
_Written = TypeVar("_Written", bound="ResultTables")


def _silent(_: str) -> None: ...


def simulate(
    out: str | Path, *, decisions: int, days: int, seed: int, progress: Progress = _silent
) -> "SimulateResult":
    """Simulate a marketplace and write its tables, truth and config.

    Parameters
    ----------
    out
        Folder; made if missing.
    decisions, days
        Size and length.
    seed
        Which marketplace; the same seed writes the same bytes.
    progress
        Callback for progress messages.
    """
    from errdetect.workflows.simulate import simulate as run

    return run(out, decisions=decisions, days=days, seed=seed, progress=progress)


def validate(
    config: Config | str | Path,
    *,
    decisions: pd.DataFrame | None = None,
    reviews: pd.DataFrame | None = None,
    draws: pd.DataFrame | None = None,
    progress: Progress = _silent,
) -> "ValidateResult":
    """Check decisions and reviews, each and against each other.

    Parameters
    ----------
    config
        A config, or the path of its file.
    decisions, reviews, draws
        In place of `data.decisions`, `data.reviews` and `data.draws`.
    progress
        Callback for progress messages.

    Raises
    ------
    ErrdetectError
        Where a table cannot be read at all.
    """
    from errdetect.workflows.validate import validate as run

    with _config_with(config, decisions=decisions, reviews=reviews, draws=draws) as given:
        return run(given, progress=progress)


def trace(config: Config | str | Path, what: str) -> "TraceResult":
    """Trace a decision, run, model, ledger row or output back to model, config, data and code.

    Parameters
    ----------
    config
        A config, or the path of its file.
    what
        A decision_id, review_id, run_id, version of a model, draw_id, remediation_id or proposal_id; or
        the path of an output folder or Parquet file.

    Raises
    ------
    ErrdetectError
        Where nothing has this id.
    """
    from errdetect.workflows.trace import trace as run

    return run(_loaded(config), what)


def train(
    config: Config | str | Path,
    *,
    decisions: pd.DataFrame | None = None,
    reviews: pd.DataFrame | None = None,
    draws: pd.DataFrame | None = None,
    promote: bool | None = None,
    progress: Progress = _silent,
) -> "TrainResult":
    """Train a model, and register it if the gate says yes.

    Parameters
    ----------
    config
        A config, or the path of its file.
    decisions, reviews, draws
        In place of `data.decisions`, `data.reviews` and `data.draws`.
    promote
        Whether a validated model replaces the champion at once; default: `gate.promote`. The first
        becomes the champion in any case.
    progress
        Callback for progress messages.

    Raises
    ------
    ErrdetectError
        Where the config or the data cannot be used.
    """
    from errdetect.workflows.train import train as run

    with _config_with(config, decisions=decisions, reviews=reviews, draws=draws) as given:
        return run(given, promote=promote, progress=progress)


def promote(
    config: Config | str | Path,
    *,
    version: str | None = None,
    rollback: bool = False,
    history: bool = False,
    by: str = "",
    progress: Progress = _silent,
) -> "PromoteResult":
    """Make the challenger the champion where the gate's evidence holds, or go back to an earlier one.

    Parameters
    ----------
    config
        A config, or the path of its file.
    version
        The version to promote; default: the challenger, or with `rollback` the champion before.
    rollback
        Go back to a version that was champion earlier.
    history
        Change nothing; return the history.
    by
        Who decides.
    progress
        Callback for progress messages.

    Raises
    ------
    ErrdetectError
        Where there is no such version, or the data cannot be used.
    """
    from errdetect.workflows.promote import promote as run

    return run(
        _loaded(config), version=version, rollback=rollback, history=history, by=by,
        progress=progress,
    )  # fmt: skip


def score(
    config: Config | str | Path,
    decisions: pd.DataFrame | str | Path,
    out: str | Path | None = None,
    *,
    log: pd.DataFrame | None = None,
    reviews: pd.DataFrame | None = None,
    budget: int | None = None,
    also: str | None = None,
    scored_at: datetime | None = None,
    engine: Literal["local", "spark"] = "local",
    progress: Progress = _silent,
) -> "ScoreResult":
    """Score decisions with the champion, and queue the worst and some at random for review.

    Parameters
    ----------
    config
        A config, or the path of its file.
    decisions
        The decisions to score: a DataFrame, a path, a glob, or a database's `URL::table`.
    out
        Folder for the tables; None: they are on the result only, as `scores`, `queue`,
        `explanations` and `rejects`.
    log, reviews
        In place of `data.decisions`, the log of decisions before these, and of `data.reviews`.
    budget, also, scored_at, engine
        As for the command.
    progress
        Callback for progress messages.

    Raises
    ------
    ErrdetectError
        Where there is no model yet, or the input cannot be used.
    """
    from errdetect.workflows.score import score as run

    batch = {} if isinstance(decisions, str | Path) else {"decisions": decisions}
    with (
        _config_with(config, decisions=log, reviews=reviews, named={"decisions": "log"}) as given,
        dataframes_as_files(batch) as files,
    ):
        place = files.get("decisions", decisions)
        assert isinstance(place, str | Path)
        return _written(
            out,
            lambda folder: run(
                given,
                place,
                folder,
                budget=budget,
                also=also,
                scored_at=scored_at,
                engine=engine,
                progress=progress,
            ),
        )


def estimate(
    config: Config | str | Path,
    out: str | Path | None = None,
    *,
    decisions: pd.DataFrame | None = None,
    reviews: pd.DataFrame | None = None,
    draws: pd.DataFrame | None = None,
    by: Sequence[str] = (),
    start: datetime | None = None,
    end: datetime | None = None,
    dsa: str | Path | None = None,
    progress: Progress = _silent,
) -> "EstimateResult":
    """Estimate error rates from the audit, overall and by columns.

    Parameters
    ----------
    config
        A config, or the path of its file.
    out
        Folder for the tables; None: they are on the result only, as `estimates`, `labels` and
        `rejects`.
    decisions, reviews, draws
        In place of `data.decisions`, `data.reviews` and `data.draws`.
    by
        Columns of the decisions; their combinations are the domains.
    start, end
        Only decisions taken from `start` up to, not including, `end`.
    dsa
        CSV file for the EU transparency report's rows on automated means, a draft.
    progress
        Callback for progress messages.

    Raises
    ------
    ErrdetectError
        Where the input cannot be used, or no figure would hold.
    """
    from errdetect.workflows.estimate import estimate as run

    with _config_with(config, decisions=decisions, reviews=reviews, draws=draws) as given:
        return _written(
            out,
            lambda folder: run(
                given, folder, by=by, start=start, end=end, dsa=dsa, progress=progress
            ),
        )


def plan_audit(
    config: Config | str | Path,
    out: str | Path | None = None,
    *,
    decisions: pd.DataFrame | None = None,
    reviews: pd.DataFrame | None = None,
    draws: pd.DataFrame | None = None,
    budget: int | None = None,
    half_width: float | None = None,
    by: Sequence[str] = (),
    method: Literal["unequal", "neyman"] | None = None,
    seed: int | None = None,
    due_at: datetime | None = None,
    drawn_by: str | None = None,
    drawn_at: datetime | None = None,
    progress: Progress = _silent,
) -> "PlanAuditResult":
    """Draw the next audit.

    Parameters
    ----------
    config
        A config, or the path of its file.
    out
        Folder for the tables and the receipt; None: they are on the result only, as `audit`,
        `frame`, `expected` and `receipt`.
    decisions, reviews, draws
        In place of `data.decisions`, `data.reviews` and `data.draws`.
    budget, half_width
        One of the two: reviews to spend, or the half width that the interval should have.
    by
        Columns whose combinations are segments.
    method
        `unequal` leans towards likely errors, above a floor; `neyman` allocates to strata; None
        takes the config's.
    seed
        The same seed draws the same decisions from the same frame; None draws one from the
        operating system.
    due_at
        By when the reviews are due, with a zone.
    drawn_by
        Who draws; default: the login name.
    drawn_at
        When, with a zone; default: now.
    progress
        Callback for progress messages.

    Raises
    ------
    ErrdetectError
        Where the input cannot be used or the wishes cannot be met.
    """
    from errdetect.workflows.plan_audit import plan_audit as run

    with _config_with(config, decisions=decisions, reviews=reviews, draws=draws) as given:
        return _written(
            out,
            lambda folder: run(
                given, folder, budget=budget, half_width=half_width, by=by, method=method,
                seed=seed, due_at=due_at, drawn_by=drawn_by, drawn_at=drawn_at, progress=progress,
            ),
        )  # fmt: skip


def report(
    config: Config | str | Path,
    out: str | Path,
    *,
    decisions: pd.DataFrame | None = None,
    reviews: pd.DataFrame | None = None,
    draws: pd.DataFrame | None = None,
    generated_at: datetime | None = None,
    progress: Progress = _silent,
) -> "ReportResult":
    """Write the policy report.

    Parameters
    ----------
    config
        A config, or the path of its file.
    out
        Folder for report.html, tables/, briefs/ and plots/: all or none.
    decisions, reviews, draws
        In place of `data.decisions`, `data.reviews` and `data.draws`.
    generated_at
        The report's date; default: now.
    progress
        Callback for progress messages.

    Raises
    ------
    ErrdetectError
        Where the input cannot be used. Without a model or reviews the report says what is missing.
    """
    from errdetect.workflows.report import report as run

    with _config_with(config, decisions=decisions, reviews=reviews, draws=draws) as given:
        return run(given, out, generated_at=generated_at, progress=progress)


def ingest(
    config: Config | str | Path,
    reviews: "pd.DataFrame | Sources",
    *,
    at: datetime | None = None,
    out: str | Path | None = None,
    progress: Progress = _silent,
) -> "IngestResult":
    """Take finished reviews, and corrections of them, into the ledger.

    Parameters
    ----------
    config
        A config, or the path of its file.
    reviews
        A DataFrame, or paths, globs, folders or databases' `URL::table`; Label Studio's exports too.
    at
        When they came in, for the history; default: now.
    out
        Folder for rejects.parquet, written only if there are any; default: the config's.
    progress
        Callback for progress messages.

    Raises
    ------
    ErrdetectError
        Where a file cannot be read at all, or the ledger cannot be used.
    """
    from errdetect.workflows.ingest import ingest as run

    loaded = _loaded(config)
    if isinstance(reviews, pd.DataFrame):
        with dataframes_as_files({"reviews": reviews}) as files:
            return run(loaded, files["reviews"], at=at, out=out, progress=progress)
    return run(loaded, reviews, at=at, out=out, progress=progress)


def remediate(
    config: Config | str | Path,
    out: str | Path | None = None,
    *,
    decisions: pd.DataFrame | None = None,
    reviews: pd.DataFrame | None = None,
    draws: pd.DataFrame | None = None,
    apply: bool = False,
    by: str | None = None,
    approved_by: str | None = None,
    at: datetime | None = None,
    progress: Progress = _silent,
) -> "RemediateResult":
    """Plan what follows from overturned reviews; record it only if two people stand behind it.

    Parameters
    ----------
    config
        A config, or the path of its file.
    out
        Folder for the plan; None: it is on the result only, as `plan`.
    decisions, reviews, draws
        In place of `data.decisions`, `data.reviews` and `data.draws`.
    apply
        Whether to record the plan in the ledger.
    by, approved_by
        Who does it, and the second person who approved; needed to apply.
    at
        When, for the ledger's history; default: now.
    progress
        Callback for progress messages.

    Raises
    ------
    ErrdetectError
        Where the input cannot be used, or one person stands alone.
    """
    from errdetect.workflows.remediate import remediate as run

    with _config_with(config, decisions=decisions, reviews=reviews, draws=draws) as given:
        return _written(
            out,
            lambda folder: run(
                given, folder, apply=apply, by=by, approved_by=approved_by, at=at, progress=progress
            ),
        )


def export(
    config: Config | str | Path,
    form: str,
    out: str | Path,
    *,
    queue: pd.DataFrame | str | Path | None = None,
    decisions: pd.DataFrame | str | None = None,
    label_config: str | Path | None = None,
    progress: Progress = _silent,
) -> "ExportResult":
    """Write the queue for another system.

    Parameters
    ----------
    config
        A config, or the path of its file; `export.columns` says which columns go along.
    form
        `parquet`, `csv`, `jsonl`, `label-studio` or `database`.
    out
        A file, or for `database` a `URL::table` that is not there yet.
    queue
        A DataFrame or a queue.parquet; default: the ledger's queued decisions that are not reviewed yet.
    decisions
        The queued decisions with their content, as a DataFrame or its source; default: the config's.
    label_config
        Where to write the labelling config for Label Studio.
    progress
        Callback for progress messages.

    Raises
    ------
    ErrdetectError
        Where the queue or the decisions cannot be read, or `out` cannot be written.
    """
    from errdetect.workflows.export import export as run

    given = {"queue": queue, "decisions": decisions}
    frames = {name: one for name, one in given.items() if isinstance(one, pd.DataFrame)}
    loaded = _loaded(config)
    with dataframes_as_files(frames) as files:
        return run(
            loaded,
            form,
            out,
            queue=files["queue"] if isinstance(queue, pd.DataFrame) else queue,
            decisions=files["decisions"] if isinstance(decisions, pd.DataFrame) else decisions,
            label_config=label_config,
            progress=progress,
        )


def proposals(
    config: Config | str | Path,
    *,
    accept: str | None = None,
    reject: str | None = None,
    close: str | None = None,
    history: str | None = None,
    by: str | None = None,
    effective: datetime | None = None,
    note: str = "",
    now: datetime | None = None,
) -> "ProposalsResult":
    """List the ledger's proposals, or move one on.

    Parameters
    ----------
    config
        A config, or the path of its file.
    accept, reject, close
        Id of the proposal to move; one of the three at most.
    history
        Id of the proposal whose history is wanted.
    by
        Who decides; needed to move one.
    effective
        From when the change holds; needed to accept.
    note
        Why.
    now
        The moment of the move; default: the clock's.

    Raises
    ------
    ErrdetectError
        Where the options do not go together, or there is no such proposal.
    """
    from errdetect.workflows.proposals import proposals as run

    return run(
        _loaded(config), accept=accept, reject=reject, close=close, history=history, by=by,
        effective=effective, note=note, now=now,
    )  # fmt: skip


def forget(
    config: Config | str | Path,
    *,
    account: str | None = None,
    reviewer: str | None = None,
    at: datetime | None = None,
    progress: Progress = _silent,
) -> "ForgetResult":
    """Remove a person from the ledger; the result says where else the person may stand.

    Parameters
    ----------
    config
        A config, or the path of its file.
    account, reviewer
        Whom: one of the two, as the tables name them.
    at
        The moment, for the history; default: now.
    progress
        Callback for progress messages.

    Raises
    ------
    ErrdetectError
        Where not exactly one is named, or the ledger or the decisions cannot be read.
    """
    from errdetect.workflows.forget import forget as run

    return run(_loaded(config), account=account, reviewer=reviewer, at=at, progress=progress)


def verify(
    folder: str | Path,
    config: Config | str | Path | None,
    *,
    overrides: Sequence[str] = (),
    decisions: str | None = None,
    progress: Progress = _silent,
) -> "VerifyResult":
    """Recompute a folder's run with today's config, data and model, and compare every table.

    Parameters
    ----------
    folder
        An output folder of a command, with its `run.json`.
    config
        The path of the config file, or a config as the run had it; None suffices for `simulate`.
    overrides
        `key=value` each, beyond those that the run was made with; only with a path.
    decisions
        Where the scored decisions are now, if they moved.
    progress
        Callback for progress messages.

    Raises
    ------
    ErrdetectError
        If the folder is none of errdetect's, its record was changed, or the run cannot be repeated.
    """
    from errdetect.workflows.verify import verify as run

    return run(folder, config, overrides=overrides, decisions=decisions, progress=progress)


def _loaded(config: Config | str | Path) -> Config:
    """Return the config, read from its file where a path is given."""
    if isinstance(config, Config):
        return config
    if isinstance(config, str | Path):
        return load_config(config)
    do = "Write errdetect.load_config('config.yaml'), or give that path."
    got = f"a {type(config).__name__}"
    raise ConfigError([error_message("The config", "be a Config or the path of its file", got, do)])


@contextmanager
def _config_with(
    config: Config | str | Path,
    *,
    decisions: pd.DataFrame | None,
    reviews: pd.DataFrame | None,
    draws: pd.DataFrame | None = None,
    named: Mapping[str, str] = {},
) -> Iterator[Config]:
    """Give the config with DataFrames in its data section, as `named` parameters."""
    loaded = _loaded(config)
    given = {"decisions": decisions, "reviews": reviews, "draws": draws}
    names = {key: named.get(key, key) for key in given}
    frames = {names[key]: frame for key, frame in given.items() if frame is not None}
    with dataframes_as_files(frames) as files:
        places = {key: files[name] for key, name in names.items() if name in files}
        data = loaded.data.with_files(places)
        yield loaded.model_copy(update={"data": data})


def _written(out: str | Path | None, run: Callable[[Path], _Written]) -> _Written:
    """Run into a folder; without one, into a temporary one whose tables are read back."""
    if out is not None:
        return run(Path(out))
    with hold_temporary_folder() as folder:
        return run(folder / "out").without_folder(folder)
