"""The commands: arguments in, summary lines out."""

import json
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from errdetect.errors import escape_hidden, mask_secrets, mask_values

if TYPE_CHECKING:
    from errdetect.config import Config


__all__ = [
    "ConfigFile",
    "Json",
    "Out",
    "Overrides",
    "Quiet",
    "app",
    "as_utc",
    "end_of_day",
    "load_settings",
    "print_result",
    "progress_printer",
    "split_names",
]


app = typer.Typer(
    name="errdetect",
    help="Find wrong automated moderation decisions, rank them for human review, and estimate how often the "
    "machine errs.\n\nStart with your own files: `errdetect init FILE...`, then `errdetect run`. Or see everything on "
    "a simulated marketplace first: `errdetect demo`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Engine(StrEnum):
    """Where batches are scored."""

    local = "local"
    spark = "spark"


ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="The YAML config file.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. train.trials=50."),
]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the outputs.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Hide progress messages.")]


def load_settings(config: Path, overrides: list[str] | None) -> "Config":
    """Read the config file with its overrides."""
    from errdetect.config import load_config

    return load_config(config, overrides or ())


def split_names(text: str) -> list[str]:
    """Split a list of names at its commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def as_utc(moment: datetime | None) -> datetime | None:
    """Read a moment without a time zone as UTC."""
    from datetime import UTC

    return None if moment is None else moment.replace(tzinfo=UTC)


def end_of_day(moment: datetime | None) -> datetime | None:
    """Read a moment as UTC; a date alone, which has no time of day, means the end of that day."""
    from datetime import time, timedelta

    day = moment is not None and moment.time() == time()
    utc = as_utc(moment)
    return utc if utc is None or not day else utc + timedelta(days=1, microseconds=-1)


def progress_printer(quiet: bool) -> Callable[[str], None]:
    """Return a callback that prints progress to stderr; silent with `--quiet`."""
    if quiet:
        return lambda _: None
    return lambda message: typer.echo(escape_hidden(mask_secrets(f"... {message}")), err=True)


def print_result(result: Any, as_json: bool) -> None:
    """Print a result: text for people, or JSON for machines."""
    from errdetect.data.atomic_writing import to_json_value
    from errdetect.workflows.result_summaries import summary_text

    # ASCII: a terminal must not run what content holds, such as a single-byte escape.
    plain = json.dumps(mask_values(to_json_value(result)), ensure_ascii=True, allow_nan=False)
    typer.echo(plain if as_json else mask_secrets(summary_text(result)))


@app.command()
def ingest(
    config: ConfigFile,
    reviews: Annotated[
        list[str],
        typer.Option(
            "--reviews",
            metavar="FILE",
            help="Finished reviews: a path, a glob, a folder, or a database's URL::table; "
            "may be given several times.",
        ),
    ],
    more: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE]...", help="Further files, as a shell expands a glob."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder for rejects; default: the config's."),
    ] = None,
    overrides: Overrides = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Import finished reviews into the ledger; importing the same reviews again changes nothing.

    All other commands use them from then on. A known review_id with a later updated_at or
    reviewed_at is a correction and counts from then on. Reviews that cannot be used are written to
    rejects.parquet with the reason.

    Label Studio's exports (JSON, JSON-MIN, CSV) and target storages are read as they are.

    Example: `errdetect ingest market/config.yaml --reviews finished.csv`
    """
    from errdetect.workflows.ingest import ingest as run

    result = run(
        load_settings(config, overrides),
        [*reviews, *(more or ())],
        out=out,
        progress=progress_printer(quiet),
    )
    print_result(result, as_json)


@app.command()
def remediate(
    config: ConfigFile,
    out: Out,
    apply: Annotated[
        bool, typer.Option("--apply", help="Record the plan in the ledger; needs two people.")
    ] = False,
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="Who applies the plan.")
    ] = None,
    approved_by: Annotated[
        str | None,
        typer.Option("--approved-by", metavar="OTHER", help="The second person, who approved."),
    ] = None,
    overrides: Overrides = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Plan what follows from overturned reviews: reversals, penalties, labels, whitelists, look-alikes.

    A dry run unless `--apply` is given. Applying the same plan twice changes nothing.

    Example: `errdetect remediate market/config.yaml --out plan`

    Record it: `errdetect remediate market/config.yaml --out plan --apply --by ann --approved-by bob`
    """
    from errdetect.workflows.remediate import remediate as run

    result = run(
        load_settings(config, overrides),
        out,
        apply=apply,
        by=by,
        approved_by=approved_by,
        progress=progress_printer(quiet),
    )
    print_result(result, as_json)


@app.command()
def export(
    config: ConfigFile,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="parquet, csv (safe in spreadsheets), jsonl, label-studio or database.",
        ),
    ],
    out: Annotated[
        str, typer.Option("--out", metavar="FILE", help="A file, or a database's URL::table.")
    ],
    queue: Annotated[
        Path | None,
        typer.Option(
            "--queue",
            metavar="FILE",
            help="A queue.parquet; default: the ledger's queued decisions without a review yet.",
        ),
    ] = None,
    decisions: Annotated[
        str | None,
        typer.Option(
            "--decisions", metavar="FILE", help="The scored decisions; default: the config's."
        ),
    ] = None,
    label_config: Annotated[
        Path | None,
        typer.Option(
            "--label-config", metavar="FILE", help="Also write Label Studio's labelling config."
        ),
    ] = None,
    overrides: Overrides = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the review queue for another system, with what reviewers need to know.

    Example: `errdetect export market/config.yaml --format csv --queue queue/queue.parquet --out queue.csv`
    """
    from errdetect.workflows.export import export as run

    result = run(
        load_settings(config, overrides),
        form,
        out,
        queue=queue,
        decisions=decisions,
        label_config=label_config,
        progress=progress_printer(quiet),
    )
    print_result(result, as_json)


@app.command()
def proposals(
    config: ConfigFile,
    accept: Annotated[str | None, typer.Option(metavar="ID", help="Accept this proposal.")] = None,
    reject: Annotated[str | None, typer.Option(metavar="ID", help="Reject this proposal.")] = None,
    close: Annotated[
        str | None, typer.Option(metavar="ID", help="Close this proposal: no longer measured.")
    ] = None,
    history: Annotated[
        str | None, typer.Option(metavar="ID", help="Show what happened to this proposal.")
    ] = None,
    by: Annotated[str | None, typer.Option(metavar="NAME", help="Who decides.")] = None,
    effective: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="When the change takes effect (with --accept)."),
    ] = None,
    note: Annotated[str, typer.Option(help="Why.")] = "",
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """List the proposals from the reports' briefs; accept, reject or close one.

    Accepting records the decision and its date; later reports measure what the change did.

    Example: `errdetect proposals market/config.yaml --accept P-1f2e3d4c5b --by Ana --effective 2026-03-01`
    """
    from errdetect.workflows.proposals import proposals as run

    result = run(
        load_settings(config, overrides),
        accept=accept,
        reject=reject,
        close=close,
        history=history,
        by=by,
        effective=as_utc(effective),
        note=note,
    )
    print_result(result, as_json)


@app.command()
def demo(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the demo.")] = Path(
        "errdetect-demo"
    ),
    decisions: Annotated[
        int, typer.Option(help="Decisions to simulate; of fewer, a larger share is reviewed.")
    ] = 60_000,
    seed: Annotated[int, typer.Option(help="Random seed of the marketplace.")] = 7,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Simulate a marketplace, train, score, and write a review queue and a policy report.

    Example: `errdetect demo my-demo`
    """
    from errdetect.workflows.demo import demo as run

    print_result(
        run(out, decisions=decisions, seed=seed, progress=progress_printer(quiet)), as_json
    )


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the tables.")],
    decisions: Annotated[int, typer.Option(help="How many decisions.")] = 100_000,
    days: Annotated[int, typer.Option(help="How many days.")] = 180,
    seed: Annotated[int, typer.Option(help="Random seed; the same seed gives the same bytes.")] = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Simulate a marketplace with known true verdicts: decisions, reviews, policies, truth and a config.

    Example: `errdetect simulate market --decisions 100000 --days 180 --seed 1`
    """
    from errdetect.workflows.simulate import simulate as run

    print_result(
        run(out, decisions=decisions, days=days, seed=seed, progress=progress_printer(quiet)),
        as_json,
    )


@app.command()
def validate(
    config: ConfigFile, overrides: Overrides = None, as_json: Json = False, quiet: Quiet = False
) -> None:
    """Report all problems of config and data at once, with counts and examples.

    Exit status 2 if there are errors. A few unusable rows do not stop the other commands: they
    continue with the rest and write the unusable rows to rejects.parquet.

    Example: `errdetect validate market/config.yaml`
    """
    from errdetect.workflows.validate import validate as run

    result = run(load_settings(config, overrides), progress=progress_printer(quiet))
    print_result(result, as_json)
    if not result.usable:
        raise typer.Exit(2)


@app.command()
def train(
    config: ConfigFile,
    promote: Annotated[
        bool | None,
        typer.Option(
            "--promote/--no-promote",
            help="Whether a validated model replaces the champion at once; default: gate.promote.",
        ),
    ] = None,
    overrides: Overrides = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Learn from reviews which decisions are wrong, and register the model if it is good enough.

    The first registered model becomes the champion, which `score` uses; a later one waits as
    challenger. Exit status 1 if the gate fails or is inconclusive.

    The smallest config is `{version: 1, data: {decisions: decisions.parquet, reviews: reviews.parquet}}`.

    Example: `errdetect train market/config.yaml --set train.trials=30`
    """
    from errdetect.workflows.train import train as run

    result = run(
        load_settings(config, overrides), promote=promote, progress=progress_printer(quiet)
    )
    print_result(result, as_json)
    if result.version is None:
        raise typer.Exit(1)


@app.command()
def promote(
    config: ConfigFile,
    version: Annotated[
        str | None, typer.Option(metavar="N", help="This version; default: the challenger.")
    ] = None,
    rollback: Annotated[
        bool,
        typer.Option("--rollback", help="Go back to the champion before, or to --version."),
    ] = False,
    history: Annotated[
        bool, typer.Option("--history", help="Show who was champion when, and why.")
    ] = False,
    by: Annotated[str, typer.Option(metavar="NAME", help="Who decides.")] = "",
    overrides: Overrides = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make the challenger the champion where the gate's evidence holds, or go back to an earlier one.

    Compares both on the same held-out decisions, and writes the evidence beside the registry. Exit
    status 1 if the evidence does not hold.

    Example: `errdetect promote market/config.yaml --by Ana`

    Back: `errdetect promote market/config.yaml --rollback --by Ana`
    """
    from errdetect.workflows.promote import promote as run

    result = run(
        load_settings(config, overrides),
        version=version,
        rollback=rollback,
        history=history,
        by=by,
        progress=progress_printer(quiet),
    )
    print_result(result, as_json)
    if result.answer == "refused":
        raise typer.Exit(1)


@app.command()
def trace(
    config: ConfigFile,
    what: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="A decision, run, model version, draw, remediation, proposal or output.",
        ),
    ],
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Trace a queue row, run, model or output back to model, config, data and code.

    Example: `errdetect trace market/config.yaml d00012345`

    A report's figures: `errdetect trace market/config.yaml report`
    """
    from errdetect.workflows.trace import trace as run

    print_result(run(load_settings(config, overrides), what), as_json)


@app.command()
def score(
    config: ConfigFile,
    decisions: Annotated[
        str,
        typer.Option(
            "--decisions",
            metavar="FILE",
            help="Decisions to score; a path, a glob, or a database's URL::table.",
        ),
    ],
    out: Out,
    budget: Annotated[
        int | None, typer.Option(min=1, help="Reviews to queue; default: the config's.")
    ] = None,
    also: Annotated[
        str | None,
        typer.Option(
            metavar="VERSION",
            help="Score with this version too, or `challenger`: shadow_scores.parquet.",
        ),
    ] = None,
    engine: Annotated[
        Engine, typer.Option(help="`local`: this machine; `spark`: Spark's workers, same result.")
    ] = Engine.local,
    overrides: Overrides = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score decisions with the champion, and write scores and the review queue.

    Example: `errdetect score market/config.yaml --decisions market/decisions.parquet --out queue --budget 500`
    """
    from errdetect.workflows.score import score as run

    print_result(
        run(
            load_settings(config, overrides),
            decisions,
            out,
            budget=budget,
            also=also,
            engine=engine.value,
            progress=progress_printer(quiet),
        ),
        as_json,
    )


@app.command()
def estimate(
    config: ConfigFile,
    out: Out,
    by: Annotated[
        str, typer.Option(metavar="COL,COL", help="Columns of the decisions to split by.")
    ] = "",
    start: Annotated[datetime | None, typer.Option("--from", help="First day (UTC).")] = None,
    end: Annotated[datetime | None, typer.Option("--to", help="Day after the last (UTC).")] = None,
    dsa: Annotated[
        Path | None,
        typer.Option(
            "--dsa",
            metavar="FILE",
            help="Also draft the EU (DSA) transparency report's rows on automated means, as CSV.",
        ),
    ] = None,
    overrides: Overrides = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Estimate how often the machine errs, with 95 % intervals, from designed samples only.

    Example: `errdetect estimate market/config.yaml --out estimates --by policy_id,market`

    The EU's report: `errdetect estimate market/config.yaml --out estimates --dsa dsa.csv --set dsa.service=Market`
    """
    from errdetect.workflows.estimate import estimate as run

    result = run(
        load_settings(config, overrides),
        out,
        by=split_names(by),
        start=as_utc(start),
        end=as_utc(end),
        dsa=dsa,
        progress=progress_printer(quiet),
    )
    print_result(result, as_json)


@app.command("plan-audit")
def plan_audit(
    config: ConfigFile,
    out: Out,
    budget: Annotated[int | None, typer.Option(min=1, help="Reviews to spend.")] = None,
    half_width: Annotated[
        float | None, typer.Option(help="Or: half width of the 95 % interval, e.g. 0.01.")
    ] = None,
    by: Annotated[
        str, typer.Option(metavar="COL,COL", help="Columns whose combinations are segments.")
    ] = "",
    method: Annotated[
        str | None,
        typer.Option(
            help="unequal (favours likely errors) or neyman (strata); default: the config's."
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Draw with this seed, e.g. one that an auditor gave; default: drawn at random and recorded.",
        ),
    ] = None,
    due: Annotated[
        datetime | None,
        typer.Option(
            metavar="DATE", help="When the reviews are due (UTC); a date means the end of that day."
        ),
    ] = None,
    drawn_by: Annotated[
        str | None,
        typer.Option("--drawn-by", metavar="NAME", help="Who draws; default: the login name."),
    ] = None,
    earlier_draws: Annotated[
        str | None,
        typer.Option(
            "--earlier-draws",
            help="include (decisions of earlier draws can be drawn again) or leave-out; default: the config's.",
        ),
    ] = None,
    overrides: Overrides = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw the next audit with known inclusion probabilities; show the expected interval and cost.

    Give one of `--budget` and `--half-width`. The ledger records the draw; audit.json is its receipt, from which
    `errdetect verify` draws it again.

    Example: `errdetect plan-audit market/config.yaml --out audit --budget 1000 --by policy_id --due 2030-01-31`

    Anybody can check it: `errdetect verify audit --config market/config.yaml`
    """
    from errdetect.workflows.plan_audit import plan_audit as run

    settings = {"audit.method": method, "audit.earlier_draws": earlier_draws}
    chosen = [*(overrides or []), *(f"{key}={word}" for key, word in settings.items() if word)]
    result = run(
        load_settings(config, chosen),
        out,
        budget=budget,
        half_width=half_width,
        by=split_names(by),
        seed=seed,
        due_at=end_of_day(due),
        drawn_by=drawn_by,
        progress=progress_printer(quiet),
    )
    print_result(result, as_json)


@app.command()
def report(
    config: ConfigFile,
    out: Out,
    overrides: Overrides = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the policy report: one HTML page for policy owners, and its tables.

    Example: `errdetect report market/config.yaml --out report`
    """
    from errdetect.workflows.report import report as run

    print_result(
        run(load_settings(config, overrides), out, progress=progress_printer(quiet)), as_json
    )


@app.command()
def verify(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="An output folder, with its run.json.")
    ],
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="CONFIG", help="The config that the run was made with."),
    ] = None,
    decisions: Annotated[
        str | None,
        typer.Option(
            "--decisions",
            metavar="FILE",
            help="Where the scored decisions are now; default: where they were.",
        ),
    ] = None,
    overrides: Overrides = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Recompute an output folder; report that it is equal, or what differs and what changed since.

    The run's own `--set` and arguments are reused. Nothing is written: the ledger is read as it
    was at the time of the run. Exit status 1 if something differs, 2 if the folder cannot be verified.

    Of an audit's plan the frame is compared with the log, and the draw is repeated from its receipt, without ledger
    or model.

    Example: `errdetect verify estimates --config market/config.yaml`
    """
    from errdetect.workflows.verify import verify as run

    result = run(
        folder,
        config,
        overrides=overrides or (),
        decisions=decisions,
        progress=progress_printer(quiet),
    )
    print_result(result, as_json)
    if not result.equal:
        raise typer.Exit(1)
