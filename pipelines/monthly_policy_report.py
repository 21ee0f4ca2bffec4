"""Every month: estimate error rates from the audit, and write the policy report.

python pipelines/monthly_policy_report.py CONFIG OUT [KEY=VALUE ...] [--json]
"""

from pathlib import Path

import errdetect
from errdetect.pipeline_steps import pipeline

with pipeline("monthly_policy_report", ["out"], every="%Y-%m") as run:
    out = Path(run.arguments["out"])
    run.step(
        "estimate", lambda: errdetect.estimate(run.config, out / "estimates", by=["policy_id"])
    )
    run.step("report", lambda: errdetect.report(run.config, out, generated_at=run.started_at))
