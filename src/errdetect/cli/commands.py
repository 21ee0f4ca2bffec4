"""Commands that learn, score, measure and report."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from errdetect.cli.options import (
    ConfigFile,
    Json,
    Out,
    Overrides,
    Quiet,
    app,
    load,
    names,
    show,
    told,
    utc,
)

__all__: list[str] = []


@app.command()
def demo(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the demo.")] = Path(
        "errdetect-demo"
    ),
    decisions: Annotated[int, typer.Option(help="Decisions to simulate.")] = 60_000,
    seed: Annotated[int, typer.Option(help="Which marketplace.")] = 7,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Simulate a marketplace, train, score, and write a review queue and a policy report.

    Example: `errdetect demo my-demo`
    """
    from errdetect.workflows.demo import demo as run

    show(run(out, decisions=decisions, seed=seed, progress=told(quiet)), as_json)


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the tables.")],
    decisions: Annotated[int, typer.Option(help="How many decisions.")] = 100_000,
    days: Annotated[int, typer.Option(help="How many days.")] = 180,
    seed: Annotated[
        int, typer.Option(help="Which marketplace; the same seed gives the same bytes.")
    ] = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a marketplace whose truth is known: decisions, reviews, policies, truth and a config.

    Example: `errdetect simulate market --decisions 100000 --days 180 --seed 1`
    """
    from errdetect.workflows.simulate import simulate as run

    show(run(out, decisions=decisions, days=days, seed=seed, progress=told(quiet)), as_json)


@app.command()
def validate(
    config: ConfigFile, overrides: Overrides = None, as_json: Json = False, quiet: Quiet = False
) -> None:
    """Show every fault of config and data at once, with counts and examples.

    Exit status 2 if something is wrong. Single rows that cannot be used do not stop the other commands: they
    go on with the rest and write what they left out to rejects.parquet.

    Example: `errdetect validate market/config.yaml`
    """
    from errdetect.workflows.validate import validate as run

    result = run(load(config, overrides), progress=told(quiet))
    show(result, as_json)
    if not result.usable:
        raise typer.Exit(2)


@app.command()
def train(
    config: ConfigFile, overrides: Overrides = None, as_json: Json = False, quiet: Quiet = False
) -> None:
    """Learn from reviews which decisions are wrong, and register the model if it is good enough.

    Exit status 1 if the gate says no, or cannot tell.

    The smallest config is `{version: 1, data: {decisions: decisions.parquet, reviews: reviews.parquet}}`.

    Example: `errdetect train market/config.yaml --set train.trials=30`
    """
    from errdetect.workflows.train import train as run

    result = run(load(config, overrides), progress=told(quiet))
    show(result, as_json)
    if result.version is None:
        raise typer.Exit(1)


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
    overrides: Overrides = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score decisions with the champion, and write scores and the review queue.

    Example: `errdetect score market/config.yaml --decisions market/decisions.parquet --out queue --budget 500`
    """
    from errdetect.workflows.score import score as run

    show(
        run(load(config, overrides), decisions, out, budget=budget, progress=told(quiet)),
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
        load(config, overrides),
        out,
        by=names(by),
        start=utc(start),
        end=utc(end),
        dsa=dsa,
        progress=told(quiet),
    )
    show(result, as_json)


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
            help="unequal (lean towards likely errors) or neyman (strata); default: the config's."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed draws the same decisions.")] = 0,
    overrides: Overrides = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw the next audit with known chances, and say what interval and cost to expect.

    Give one of `--budget` and `--half-width`.

    Example: `errdetect plan-audit market/config.yaml --out audit --budget 1000 --by policy_id`
    """
    from errdetect.workflows.plan_audit import plan_audit as run

    chosen = [*(overrides or []), *([f"audit.method={method}"] if method else [])]
    result = run(
        load(config, chosen),
        out,
        budget=budget,
        half_width=half_width,
        by=names(by),
        seed=seed,
        progress=told(quiet),
    )
    show(result, as_json)


@app.command()
def report(
    config: ConfigFile,
    out: Out,
    overrides: Overrides = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the policy report: one HTML page for people who own the rules, and its tables.

    Example: `errdetect report market/config.yaml --out report`
    """
    from errdetect.workflows.report import report as run

    show(run(load(config, overrides), out, progress=told(quiet)), as_json)


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
    """Recompute what an output folder holds, and say equal, or what differs and since what change.

    The run's own `--set` and arguments are used again. Nothing is written: the ledger is read as it
    stood at the run's moment. Exit status 1 if something differs, 2 if the folder cannot be verified.

    Example: `errdetect verify estimates --config market/config.yaml`
    """
    from errdetect.workflows.verify import verify as run

    result = run(
        folder, config, overrides=overrides or (), decisions=decisions, progress=told(quiet)
    )
    show(result, as_json)
    if not result.equal:
        raise typer.Exit(1)
