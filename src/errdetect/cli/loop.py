"""Commands that close the loop: what people decide on, and what comes of it."""

from datetime import datetime
from typing import Annotated

import typer

from errdetect.cli.options import ConfigFile, Json, Overrides, app, load, show, utc

__all__: list[str] = []


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
        typer.Option(formats=["%Y-%m-%d"], help="From when the change holds (with --accept)."),
    ] = None,
    note: Annotated[str, typer.Option(help="Why.")] = "",
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """List what the reports' briefs proposed; accept, reject or close one.

    Accepting records the decision and its date; later reports measure what the change did.

    Example: `errdetect proposals market/config.yaml --accept P-1f2e3d4c5b --by Ana --effective 2026-03-01`
    """
    from errdetect.jobs.proposals import proposals as run

    result = run(
        load(config, overrides),
        accept=accept,
        reject=reject,
        close=close,
        history=history,
        by=by,
        effective=utc(effective),
        note=note,
    )
    show(result, as_json)
