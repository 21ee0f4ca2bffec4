"""The door: one command a verb, no logic. Rooms are opened only when a command needs them."""

from typing import Annotated

import typer

from errdetect.cli.commands import app
from errdetect.errors import exit_on_error
from errdetect.version import __version__

__all__ = ["app", "main"]


def main() -> None:
    """Run a command; faults that the user can mend end with one clear message and their status."""
    with exit_on_error():
        app()


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"errdetect {__version__}")
        raise typer.Exit


@app.callback()
def _root_options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    pass
