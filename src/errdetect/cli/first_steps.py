"""The commands for a first look: a config from files, and everything from a config."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from errdetect.cli.commands import (
    ConfigFile,
    Json,
    Out,
    Overrides,
    Quiet,
    app,
    load_settings,
    print_result,
    progress_printer,
)

__all__ = ["COMPLETING"]

#: Set by a shell that asks for completions, see `errdetect completion`.
COMPLETING = "_ERRDETECT_COMPLETE"


def _ask(question: str, answers: Sequence[str]) -> str:
    """Ask on the terminal until one of the answers is given."""
    from errdetect.errors import escape_hidden

    while True:
        shown = f"{escape_hidden(question)} [{'/'.join(answers)}]"
        given = (
            str(typer.prompt(shown, default=answers[0], show_default=False, err=True))
            .strip()
            .lower()
        )
        found = [one for one in answers if one.startswith(given)]
        if len(found) == 1:
            return found[0]


class Shell(StrEnum):
    """Shells that can complete commands."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


@app.command()
def completion(
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
) -> None:
    """Print what makes a shell complete commands and options.

    For bash, add `eval "$(errdetect completion bash)"` to ~/.bashrc; for zsh the same with zsh to ~/.zshrc, after
    `compinit`; for fish, write it to ~/.config/fish/completions/errdetect.fish.

    Example: `errdetect completion bash`
    """
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    script = get_completion_script(
        prog_name="errdetect", complete_var=COMPLETING, shell=shell.value
    )
    typer.echo(script)


@app.command()
def init(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...", help="Your decision log, your reviews, a policy catalogue."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", metavar="CONFIG", help="The config to write; never overwritten."),
    ] = Path("errdetect.yaml"),
    interactive: Annotated[
        bool, typer.Option("--interactive", help="Ask about what the files do not tell.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Look at your files, guess what is what, and write a commented config.

    Reads CSV, TSV, Excel, JSON and Parquet; each sheet of a workbook is a table. Guesses the tables, columns, words,
    dates and scales by names and values, and marks what it cannot know. Exit status 1 if the config does
    not validate yet.

    Example: `errdetect init log.csv qa.xlsx`
    """
    from errdetect.workflows.init import init as run

    result = run(files, out, ask=_ask if interactive else None, progress=progress_printer(quiet))
    print_result(result, as_json)
    if result.problem:
        raise typer.Exit(1)


@app.command("run")
def run_all(
    config: ConfigFile,
    out: Out = Path("results"),
    overrides: Overrides = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Validate, train, score the latest decisions, estimate and report; skip what lacks its data, and say why.

    Ends with what to open. Exit status 1 if there is no report.

    Example: `errdetect run errdetect.yaml --out results`
    """
    from errdetect.workflows.run import run

    result = run(load_settings(config, overrides), out, progress=progress_printer(quiet))
    print_result(result, as_json)
    if "policy report" not in result.files:
        raise typer.Exit(1)
