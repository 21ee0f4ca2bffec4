"""Every month: estimate error rates from the audit, and write the policy report.

python pipelines/policy_report.py CONFIG OUT [KEY=VALUE ...]
"""

import sys
from pathlib import Path

from errdetect.config import load_config
from errdetect.errors import clear_exit
from errdetect.workflows.estimate import estimate
from errdetect.workflows.report import report
from errdetect.workflows.summaries import say

config_file, out, *overrides = sys.argv[1:]
with clear_exit():
    config = load_config(config_file, overrides)
    print(say(estimate(config, Path(out) / "estimates", by=["policy_id"], progress=print)))
    print(say(report(config, out, progress=print)))
