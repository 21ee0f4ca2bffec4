"""Every night: score the day's decisions, and hand the queue to the reviewers.

    python pipelines/nightly_score.py CONFIG DECISIONS OUT [KEY=VALUE ...] [--json]

A rerun after a kill goes on where it was; the same decisions are scored once.
"""

from pathlib import Path

import errdetect
from errdetect.pipeline_steps import pipeline

with pipeline("nightly_score", ["decisions", "out"], inputs=["decisions"]) as run:
    decisions, out = run.arguments["decisions"], Path(run.arguments["out"])
    run.step(
        "score",
        lambda: errdetect.score(run.config, decisions, out, scored_at=run.started_at),
    )
    run.step(
        "export",
        lambda: errdetect.export(
            run.config,
            "jsonl",
            out / "queue.jsonl",
            queue=out / "queue.parquet",
            decisions=decisions,
        ),
    )
