"""The door: one command a verb, no logic. Rooms are opened only when a command needs them."""

from typing import Annotated

import typer

from errdetect.cli.commands import app
from errdetect.errors import clear_exit
from errdetect.version import __version__

__all__ = ["app", "main"]


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
