"""Every night: take finished reviews in, and plan what follows from them; a person applies it.

python pipelines/reviews_back.py CONFIG REVIEWS OUT [KEY=VALUE ...] [--json]
"""

import errdetect
from errdetect.pipeline_steps import pipeline

with pipeline("reviews_back", ["reviews", "out"], inputs=["reviews"]) as run:
    reviews, out = run.arguments["reviews"], run.arguments["out"]
    run.step("ingest", lambda: errdetect.ingest(run.config, reviews, at=run.started_at))
    run.step("remediate", lambda: errdetect.remediate(run.config, out, at=run.started_at))
