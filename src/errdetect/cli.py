"""The door: one command a verb, no logic. Rooms are opened only when a command needs them."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from errdetect import __version__
from errdetect.errors import clear_exit

if TYPE_CHECKING:
    from errdetect.config import Config

__all__ = ["app", "main"]

app = typer.Typer(
    name="errdetect",
    help="Find wrong automated moderation decisions, rank them for human review, and say honestly how often the "
    "machine errs.\n\nStart with `errdetect demo`, which shows everything on a simulated marketplace.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="The YAML config file.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. train.trials=50."),
]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the outputs.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing while working.")]


def main() -> None:
    """Run a command; faults that the user can mend end with one clear message and their status."""
    with clear_exit():
        app()


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"errdetect {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


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
    from errdetect.jobs.demo import demo as run

    _show(run(out, decisions=decisions, seed=seed, progress=_progress(quiet)), as_json)


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
    from errdetect.jobs.simulate import simulate as run

    _show(run(out, decisions=decisions, days=days, seed=seed, progress=_progress(quiet)), as_json)


@app.command()
def validate(
    config: ConfigFile, overrides: Overrides = None, as_json: Json = False, quiet: Quiet = False
) -> None:
    """Show every fault of config and data at once, with counts and examples.

    Exit status 2 if something is wrong. Single rows that cannot be used do not stop the other commands: they
    go on with the rest and write what they left out to rejects.parquet.

    Example: `errdetect validate market/config.yaml`
    """
    from errdetect.jobs.validate import validate as run

    result = run(_load(config, overrides), progress=_progress(quiet))
    _show(result, as_json)
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
    from errdetect.jobs.train import train as run

    result = run(_load(config, overrides), progress=_progress(quiet))
    _show(result, as_json)
    if result.version is None:
        raise typer.Exit(1)


@app.command()
def score(
    config: ConfigFile,
    decisions: Annotated[
        str, typer.Option("--decisions", metavar="FILE", help="Decisions to score; a path or glob.")
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
    from errdetect.jobs.score import score as run

    _show(
        run(_load(config, overrides), decisions, out, budget=budget, progress=_progress(quiet)),
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
    from errdetect.jobs.estimate import estimate as run

    result = run(
        _load(config, overrides),
        out,
        by=_names(by),
        start=_utc(start),
        end=_utc(end),
        dsa=dsa,
        progress=_progress(quiet),
    )
    _show(result, as_json)


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
    from errdetect.jobs.plan_audit import plan_audit as run

    chosen = [*(overrides or []), *([f"audit.method={method}"] if method else [])]
    result = run(
        _load(config, chosen),
        out,
        budget=budget,
        half_width=half_width,
        by=_names(by),
        seed=seed,
        progress=_progress(quiet),
    )
    _show(result, as_json)


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
    from errdetect.jobs.report import report as run

    _show(run(_load(config, overrides), out, progress=_progress(quiet)), as_json)


def _load(config: Path, overrides: list[str] | None) -> "Config":
    from errdetect.config import load_config

    return load_config(config, overrides or ())


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _utc(moment: datetime | None) -> datetime | None:
    from datetime import UTC

    return None if moment is None else moment.replace(tzinfo=UTC)


def _progress(quiet: bool) -> Callable[[str], None]:
    return (lambda _: None) if quiet else (lambda message: typer.echo(f"... {message}", err=True))


def _show(result: Any, as_json: bool) -> None:
    from errdetect.jobs.summaries import plain, say

    typer.echo(
        json.dumps(plain(result), ensure_ascii=False, allow_nan=False) if as_json else say(result)
    )
