"""The commands about people: who is behind a pseudonym, and what is removed."""

from typing import Annotated

import typer

from errdetect.cli.commands import (
    ConfigFile,
    Json,
    Overrides,
    Quiet,
    app,
    load_settings,
    print_result,
    progress_printer,
)

__all__ = ["forget", "retention", "reviewer"]


@app.command()
def forget(
    config: ConfigFile,
    account: Annotated[
        str | None, typer.Option(metavar="ID", help="The account to remove.")
    ] = None,
    reviewer: Annotated[
        str | None, typer.Option(metavar="ID", help="The reviewer to remove: an id or a pseudonym.")
    ] = None,
    overrides: Overrides = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Remove a person from the ledger, and say where else the person stands, and until when.

    Example: `errdetect forget market/config.yaml --reviewer r17`
    """
    from errdetect.workflows.forget import forget as run

    result = run(
        load_settings(config, overrides),
        account=account,
        reviewer=reviewer,
        progress=progress_printer(quiet),
    )
    print_result(result, as_json)


@app.command()
def reviewer(
    config: ConfigFile,
    who: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="A reviewer's id, or a pseudonym.")
    ] = None,
    new_key: Annotated[
        bool,
        typer.Option("--new-key", help="Accept a new key of the pseudonyms: the old one was lost."),
    ] = False,
    overrides: Overrides = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show a reviewer's pseudonym, or whose pseudonym this is. Whoever runs it needs the key.

    Example: `errdetect reviewer market/config.yaml reviewer-a73f7456b484`
    """
    from errdetect.workflows.find_reviewer import accept_new_key, find_reviewer

    if new_key == (who is not None):
        raise typer.BadParameter("Give a reviewer's id or pseudonym, or --new-key.")
    settings = load_settings(config, overrides)
    if who is None:
        print_result(accept_new_key(settings), as_json)
    else:
        print_result(find_reviewer(settings, who, progress=progress_printer(quiet)), as_json)


@app.command()
def retention(
    config: ConfigFile,
    overrides: Overrides = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Remove what ledger and outputs have kept for longer than the config's retention says.

    Commands that write to the ledger do so for its rows, too.

    Example: `errdetect retention market/config.yaml --set retention.texts=90`
    """
    from errdetect.workflows.retention import retention as run

    print_result(run(load_settings(config, overrides), progress=progress_printer(quiet)), as_json)
