"""Command line: one command per workflow, no logic. Each command imports only what it needs."""

import gc
import os
from typing import Annotated

import typer

from errdetect.cli import first_steps as first_steps
from errdetect.cli import operations as operations
from errdetect.cli import privacy_commands as privacy_commands
from errdetect.cli import session_commands as session_commands
from errdetect.cli.commands import app
from errdetect.cli.first_steps import COMPLETING
from errdetect.errors import exit_on_error
from errdetect.version import __version__

__all__ = ["app", "main"]

_NEW_OBJECTS = 10_000  # between two looks for cyclic garbage; Python's own 700
#: The headings of `errdetect --help`, in the order of use.
_PANELS = {
    "Start here": ("demo", "init", "validate", "run"),
    "Find wrong decisions": ("train", "promote", "score", "serve", "export", "ingest"),
    "Measure": ("plan-audit", "estimate", "report", "monitor"),
    "Correct": ("proposals", "remediate", "calibrate"),
    "Check and answer for": ("verify", "trace", "evidence", "forget", "reviewer", "retention"),
}


def _arrange() -> None:
    """Put the commands under their headings."""
    places = {name: panel for panel, names in _PANELS.items() for name in names}
    order = list(places)

    def place(name: str) -> int:
        return order.index(name) if name in places else len(order)

    named = {
        id(one): one.name or str(one.callback and one.callback.__name__)
        for one in app.registered_commands
    }
    app.registered_commands.sort(key=lambda one: place(named[id(one)].replace("_", "-")))
    for one in app.registered_commands:
        one.rich_help_panel = places.get(named[id(one)].replace("_", "-"), "More")


_arrange()


def main() -> None:
    """Run a command; errors that the user can fix end with one clear message and an exit status."""
    # Imports make many objects and little garbage: looking for it took a tenth of a short command's time.
    gc.set_threshold(_NEW_OBJECTS)
    if COMPLETING in os.environ:
        from typer.completion import completion_init  # type: ignore[attr-defined]

        completion_init()  # Typer's own options for this would crowd every --help
    with exit_on_error():
        app(prog_name="errdetect")


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
