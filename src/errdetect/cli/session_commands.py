"""The command of calibration sessions: people agree on what a policy's clause means."""

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

__all__ = ["calibrate"]

_Files = list[str] | None


@app.command()
def calibrate(
    config: ConfigFile,
    out: Out,
    policy: Annotated[
        str | None, typer.Option(metavar="ID", help="The policy whose clause is discussed.")
    ] = None,
    items: Annotated[int, typer.Option(metavar="N", help="How many items.")] = 20,
    ingest: Annotated[
        _Files,
        typer.Option(
            "--ingest", metavar="FILE", help="Ballots that came back; may be given several times."
        ),
    ] = None,
    after: Annotated[
        _Files, typer.Option(metavar="FILE", help="Ballots on the same items after the ruling.")
    ] = None,
    rulings: Annotated[
        _Files, typer.Option(metavar="FILE", help="The filled-in rulings.xlsx: become precedents.")
    ] = None,
    overrides: Overrides = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a calibration session's items as blind ballots, and take the answers in.

    The items tell best whether a clause is ambiguous or a reviewer is weak. Ballots are Excel forms and tasks for
    Label Studio, without scores, reasons or earlier verdicts. With `--ingest`, the session's folder gets the
    agreement before and after with intervals; rulings are kept in the ledger as precedents of the clause, and
    shown with later cases of the policy.

    Example: `errdetect calibrate market/config.yaml --policy scam --out session`

    Back in: `errdetect calibrate market/config.yaml --out session --ingest ana.xlsx --rulings rulings.xlsx`
    """
    from errdetect.workflows.calibrate import calibrate as run
    from errdetect.workflows.calibrate import ingest_calibration

    if (policy is None) == (ingest is None):
        raise typer.BadParameter("Give --policy to begin a session, or --ingest to end one.")
    settings, progress = load_settings(config, overrides), progress_printer(quiet)
    if policy is not None:
        if after or rulings:
            raise typer.BadParameter("--after and --rulings go with --ingest.")
        result = run(settings, Path(out), policy=policy, n_items=items, progress=progress)
    else:
        result = ingest_calibration(
            settings,
            Path(out),
            ingest or (),
            after=after or (),
            rulings=rulings or (),
            progress=progress,
        )
    print_result(result, as_json)
