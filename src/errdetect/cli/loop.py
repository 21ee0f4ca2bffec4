"""Commands that close the loop: what people answered, and what is done about it."""

from pathlib import Path
from typing import Annotated

import typer

from errdetect.cli.options import ConfigFile, Json, Overrides, Quiet, app, load, show, told

__all__: list[str] = []


@app.command()
def ingest(
    config: ConfigFile,
    reviews: Annotated[
        str,
        typer.Option(
            "--reviews",
            metavar="FILE",
            help="Finished reviews; a path, a glob, or a database's URL::table.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder for rejects; default: the config's."),
    ] = None,
    overrides: Overrides = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Take finished reviews into the ledger; the same reviews again change nothing.

    Every other command counts them from then on. Reviews that cannot be used are written to
    rejects.parquet with the reason.

    Example: `errdetect ingest market/config.yaml --reviews finished.csv`
    """
    from errdetect.jobs.ingest import ingest as run

    result = run(load(config, overrides), reviews, out=out, progress=told(quiet))
    show(result, as_json)
