"""Commands for what runs for years: monitoring, evidence, the config's schema."""

import json
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

__all__ = ["config_schema", "evidence", "monitor", "serve"]


@app.command()
def monitor(
    config: ConfigFile,
    out: Out,
    send: Annotated[
        bool,
        typer.Option("--notify/--no-notify", help="Whether to send alarms as monitor.notify says."),
    ] = True,
    overrides: Overrides = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check production: audited error, causes, drift, delays, reviewers and ages; looks may be daily.

    Writes monitor.parquet, history.parquet, monitor.html and monitor.prom. Exit status 1 on an alarm: the
    audited error has surely risen above the reference period's, or above monitor.max_error_rate.

    Example: `errdetect monitor market/config.yaml --out monitor`

    An alarm that was dealt with: `errdetect monitor market/config.yaml --out monitor --set monitor.since=2026-05-01`
    """
    from errdetect.workflows.monitor import monitor as run

    result = run(load_settings(config, overrides), out, send=send, progress=progress_printer(quiet))
    print_result(result, as_json)
    if result.is_alert:
        raise typer.Exit(1)


@app.command()
def serve(
    config: ConfigFile,
    host: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="Where to listen; beyond loopback a token is needed."),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65_535, metavar="N", help="0 takes any that is free.")
    ] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Holds the token that clients must send; or set ERRDETECT_TOKEN in the environment.",
        ),
    ] = None,
    max_body_mb: Annotated[
        float, typer.Option(min=0.001, max=1000, metavar="MB", help="Size of a request's body.")
    ] = 32.0,
    overrides: Overrides = None,
    quiet: Quiet = False,
) -> None:
    """Serve the champion over HTTP: POST /invocations answers like the latest `errdetect score`.

    JSON or CSV of decisions in, JSON out; /health, /ping and /version. Nothing is answered from a state older
    than state.max_age_days (status 503). Runs until it is interrupted.

    Example: `errdetect serve market/config.yaml --port 8000`
    """
    from errdetect.workflows.serve import ServeSettings
    from errdetect.workflows.serve import serve as run

    settings = ServeSettings(host, port, token_file, max_body_mb)
    run(load_settings(config, overrides), settings, progress=progress_printer(quiet))


@app.command()
def evidence(
    config: ConfigFile,
    out: Out,
    period: Annotated[
        str,
        typer.Option(
            metavar="PERIOD",
            help="2026-Q3, 2026-07, 2026, or 2026-07-01..2026-09-30 (both days included).",
        ),
    ],
    overrides: Overrides = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a period's evidence for an auditor: figures, draws, versions, digests, and a script that checks them.

    Texts and names are left out; drawn decisions have pseudonyms of the bundle's own. `python OUT/recompute.py` needs
    numpy and pandas only, and ends with status 1 where a figure differs.

    Example: `errdetect evidence market/config.yaml --period 2026-Q3 --out evidence-2026-Q3`
    """
    from errdetect.workflows.evidence import evidence as run

    progress = progress_printer(quiet)
    result = run(load_settings(config, overrides), out, period=period, progress=progress)
    print_result(result, as_json)


@app.command("config-schema")
def config_schema() -> None:
    """Print the config's JSON Schema, so that editors complete and check its keys.

    Example: `errdetect config-schema > errdetect.schema.json`

    In the config's first line: `# yaml-language-server: $schema=errdetect.schema.json`
    """
    from errdetect.config import Config

    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Config.model_json_schema(),
    }
    for ours in ("base", "file", "overrides"):  # set by the reader, not by the file
        schema["properties"].pop(ours, None)
    typer.echo(json.dumps(schema, indent=2, ensure_ascii=True))
