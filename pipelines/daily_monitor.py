"""Every day: has the audited error risen, and what else moved? Exit status 1 on an alarm.

python pipelines/daily_monitor.py CONFIG OUT [KEY=VALUE ...] [--json]
"""

import errdetect
from errdetect.pipeline_steps import pipeline

with pipeline("daily_monitor", ["out"]) as run:
    run.step(
        "monitor",
        lambda: errdetect.monitor(run.config, run.arguments["out"]),
        status=lambda result: int(result.is_alert),
    )
