"""Commands that close the loop: what people answered, and what is done about it."""

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
    show,
    told,
    utc,
)

__all__: list[str] = []


@app.command()
def ingest(
    config: ConfigFile,
    reviews: Annotated[
        list[str],
        typer.Option(
            "--reviews",
            metavar="FILE",
            help="Finished reviews: a path, a glob, a folder, or a database's URL::table; "
            "may be given several times.",
        ),
    ],
    more: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE]...", help="Further files, as a shell expands a glob."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder for rejects; default: the config's."),
    ] = None,
    overrides: Overrides = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Take finished reviews into the ledger; the same reviews again change nothing.

    Every other command counts them from then on. A known review_id with a later updated_at or
    reviewed_at is a correction and counts from then on. Reviews that cannot be used are written to
    rejects.parquet with the reason.

    Label Studio's exports (JSON, JSON-MIN, CSV) and target storages are read as they are.

    Example: `errdetect ingest market/config.yaml --reviews finished.csv`
    """
    from errdetect.workflows.ingest import ingest as run

    result = run(load(config, overrides), [*reviews, *(more or ())], out=out, progress=told(quiet))
    show(result, as_json)


@app.command()
def remediate(
    config: ConfigFile,
    out: Out,
    apply: Annotated[
        bool, typer.Option("--apply", help="Record the plan in the ledger; needs two people.")
    ] = False,
    by: Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who does it.")] = None,
    approved_by: Annotated[
        str | None,
        typer.Option("--approved-by", metavar="OTHER", help="The second person, who approved."),
    ] = None,
    overrides: Overrides = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Plan what follows from overturned reviews: reversals, penalties, labels, whitelists, look-alikes.

    A dry run unless `--apply` is given. Applying the same plan twice changes nothing.

    Example: `errdetect remediate market/config.yaml --out plan`

    Record it: `errdetect remediate market/config.yaml --out plan --apply --by ann --approved-by bob`
    """
    from errdetect.workflows.remediate import remediate as run

    result = run(
        load(config, overrides),
        out,
        apply=apply,
        by=by,
        approved_by=approved_by,
        progress=told(quiet),
    )
    show(result, as_json)


@app.command()
def export(
    config: ConfigFile,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="parquet, csv (safe in spreadsheets), jsonl, label-studio or database.",
        ),
    ],
    out: Annotated[
        str, typer.Option("--out", metavar="FILE", help="A file, or a database's URL::table.")
    ],
    queue: Annotated[
        Path | None,
        typer.Option(
            "--queue",
            metavar="FILE",
            help="A queue.parquet; default: the ledger's queue that nobody has reviewed yet.",
        ),
    ] = None,
    decisions: Annotated[
        str | None,
        typer.Option(
            "--decisions", metavar="FILE", help="The scored decisions; default: the config's."
        ),
    ] = None,
    label_config: Annotated[
        Path | None,
        typer.Option(
            "--label-config", metavar="FILE", help="Also write Label Studio's labelling config."
        ),
    ] = None,
    overrides: Overrides = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the review queue for another system, with what reviewers need to know.

    Example: `errdetect export market/config.yaml --format csv --queue queue/queue.parquet --out queue.csv`
    """
    from errdetect.workflows.export import export as run

    result = run(
        load(config, overrides),
        form,
        out,
        queue=queue,
        decisions=decisions,
        label_config=label_config,
        progress=told(quiet),
    )
    show(result, as_json)


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
    from errdetect.workflows.proposals import proposals as run

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
