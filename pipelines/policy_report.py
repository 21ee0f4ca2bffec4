"""Every month: estimate error rates from the audit, and write the policy report.

python pipelines/policy_report.py CONFIG OUT [KEY=VALUE ...]
"""

import sys
from pathlib import Path

from errdetect.config import load_config
from errdetect.errors import exit_on_error
from errdetect.workflows.estimate import estimate
from errdetect.workflows.report import report
from errdetect.workflows.result_summaries import summary_text

config_file, out, *overrides = sys.argv[1:]
with exit_on_error():
    config = load_config(config_file, overrides)
    print(summary_text(estimate(config, Path(out) / "estimates", by=["policy_id"], progress=print)))
    print(summary_text(report(config, out, progress=print)))
