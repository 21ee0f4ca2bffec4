"""run: everything from a config: validate, train, score the latest decisions, estimate, report."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from errdetect.config import Config
from errdetect.data.atomic_writing import write_parquet
from errdetect.errors import DataError, ErrdetectError, error_message
from errdetect.schemas import AUDIT
from errdetect.workflows.estimate import estimate
from errdetect.workflows.load_data import Progress, read_tables
from errdetect.workflows.report import report
from errdetect.workflows.run_description import describe_step
from errdetect.workflows.score import score
from errdetect.workflows.train import train
from errdetect.workflows.validate import validate

__all__ = ["RunResult", "Step", "run"]

#: Days that are the latest where they hold this many decisions.
_WINDOWS, _ENOUGH = (7, 30), 500
_STEPS = ("validate", "train", "score", "estimate", "report")


@dataclass(frozen=True)
class Step:
    """What came of one step.

    Parameters
    ----------
    name
        Its command.
    done
        Whether it ran to its end.
    summary
        What it found, or why it was skipped.
    """

    name: str
    done: bool
    summary: str


@dataclass(frozen=True)
class RunResult:
    """The steps, and the files to open."""

    steps: tuple[Step, ...]
    files: Mapping[str, Path]

    def lines(self) -> list[str]:
        """Return a line for each step, and what to open."""
        out = [
            f"{one.name:9} {'done' if one.done else 'skipped'}: {one.summary}" for one in self.steps
        ]
        if not self.files:
            return [*out, "", "Nothing to open: see above for what is missing."]
        return [
            *out,
            "",
            "Open these:",
            *(f"  {name}: {path}" for name, path in self.files.items()),
        ]


def run(config: Config, out: str | Path, *, progress: Progress = lambda _: None) -> RunResult:
    """Do what the data allows: validate, train, score the latest decisions, estimate, report.

    Parameters
    ----------
    config
        From `load_config`.
    out
        Folder for the folders queue, estimates and report.
    progress
        Callback for progress messages.

    Raises
    ------
    ErrdetectError
        If the decisions cannot be read at all.
    """
    place = Path(out)
    steps: list[Step] = []
    files: dict[str, Path] = {}

    def told(name: str) -> Progress:
        number = _STEPS.index(name) + 1
        return lambda message: progress(f"[{number}/{len(_STEPS)}] {name}: {message}")

    def attempt(name: str, do: Callable[[Progress], tuple[str, Mapping[str, Path]]]) -> None:
        try:
            summary, found = do(told(name))
        except ErrdetectError as error:
            steps.append(Step(name, False, str(error)))
            return
        steps.append(Step(name, True, summary))
        files.update(found)

    checked = validate(config, progress=told("validate"))
    errors = [one for one in checked.findings if one.severity == "error"]
    more = "" if not errors else f"; {len(errors)} errors, the first: {errors[0].message}"
    summary = f"{checked.n_decisions:,} decisions and {checked.n_reviews:,} reviews{more}"
    steps.append(Step("validate", True, summary))
    attempt("train", lambda progress: _train(config, progress))
    attempt("score", lambda progress: _score(config, place, progress))
    attempt("estimate", lambda progress: _estimate(config, place, progress))
    attempt("report", lambda progress: _report(config, place, progress))
    order = ("policy report", "briefs", "review queue", "estimates", "scores")
    return RunResult(tuple(steps), {name: files[name] for name in order if name in files})


def _train(config: Config, progress: Progress) -> tuple[str, Mapping[str, Path]]:
    result = train(config, progress=progress)
    if result.version is None:
        return f"no model registered, the gate says {result.answer}: {result.why}", {}
    now = "scores now" if result.champion == result.version else "waits as challenger"
    return f"version {result.version} {now} ({result.why})", {}


def _score(config: Config, place: Path, progress: Progress) -> tuple[str, Mapping[str, Path]]:
    """Score the decisions of the log's last days."""
    latest, period = _latest(config, progress)
    batch = place / "latest.parquet"
    place.mkdir(parents=True, exist_ok=True)
    write_parquet(latest, batch, provenance=describe_step(config, "run", {"decisions": period}))
    result = score(config, batch, place / "queue", progress=progress)
    summary = f"{result.n_scored:,} decisions of {period}; {result.n_queued:,} queued for review"
    return summary, {"review queue": result.files["queue"], "scores": result.files["scores"]}


def _latest(config: Config, progress: Progress) -> tuple[pd.DataFrame, str]:
    frame = read_tables(config, progress=progress).decisions.frame.drop(columns="enforced")
    last = frame["decided_at"].max()
    for days in _WINDOWS:
        recent = frame[frame["decided_at"] > last - pd.Timedelta(days=days)]
        if len(recent) >= _ENOUGH:
            return recent, f"the last {days} days"
    return frame, "the log"


def _estimate(config: Config, place: Path, progress: Progress) -> tuple[str, Mapping[str, Path]]:
    reviews = read_tables(config, progress=progress).snapshot.reviews
    if not (reviews["source"] == AUDIT).any():
        do = "Plan one: errdetect plan-audit CONFIG --out audit --budget 300"
        must = "hold an audit: error rates come from random samples only"
        raise DataError(error_message("The reviews", must, "none", do))
    result = estimate(config, place / "estimates", progress=progress)
    return "error rates with 95 % intervals", {"estimates": result.files["estimates"]}


def _report(config: Config, place: Path, progress: Progress) -> tuple[str, Mapping[str, Path]]:
    result = report(config, place / "report", progress=progress)
    found = {"policy report": result.files["report"]}
    if "briefs" in result.files:
        found["briefs"] = result.files["briefs"]
    return "the policy report, its tables and briefs", found
