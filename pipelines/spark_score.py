"""Every night, on Spark: score the day's decisions, and hand the queue to the reviewers.

    spark-submit --master spark://head:7077 pipelines/spark_score.py CONFIG DECISIONS OUT [KEY=VALUE ...]
    python pipelines/spark_score.py CONFIG DECISIONS OUT [KEY=VALUE ...]   # all processors of this machine

Like nightly_score.py, it goes on where it was after a kill; the same decisions are scored once.
"""

from pathlib import Path

import errdetect
from errdetect.pipeline_steps import pipeline

with pipeline("spark_score", ["decisions", "out"], inputs=["decisions"]) as run:
    decisions, out = run.arguments["decisions"], Path(run.arguments["out"])
    run.step(
        "score",
        lambda: errdetect.score(
            run.config, decisions, out, engine="spark", scored_at=run.started_at
        ),
    )
