"""What commands share: the app, options that mean the same everywhere, and how results are shown."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from errdetect.config import Config

__all__ = [
    "ConfigFile",
    "Json",
    "Out",
    "Overrides",
    "Quiet",
    "app",
    "load",
    "names",
    "show",
    "told",
    "utc",
]

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


def load(config: Path, overrides: list[str] | None) -> "Config":
    """Read the config file with its overrides."""
    from errdetect.config import load_config

    return load_config(config, overrides or ())


def names(text: str) -> list[str]:
    """Split a list of names at its commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def utc(moment: datetime | None) -> datetime | None:
    """Take a moment without a zone as UTC."""
    from datetime import UTC

    return None if moment is None else moment.replace(tzinfo=UTC)


def told(quiet: bool) -> Callable[[str], None]:
    """Return what tells people on stderr what is going on, unless they want quiet."""
    return (lambda _: None) if quiet else (lambda message: typer.echo(f"... {message}", err=True))


def show(result: Any, as_json: bool) -> None:
    """Print a result: words for people, or JSON for machines."""
    from errdetect.data.plain import plain_value
    from errdetect.workflows.summaries import say

    typer.echo(
        json.dumps(plain_value(result), ensure_ascii=False, allow_nan=False)
        if as_json
        else say(result)
    )
