"""Every night: score the day's decisions, and hand the queue to the reviewers.

python pipelines/nightly_score.py CONFIG DECISIONS OUT [KEY=VALUE ...]
"""

import sys

from errdetect.config import load_config
from errdetect.errors import exit_on_error
from errdetect.workflows.result_summaries import summary_text
from errdetect.workflows.score import score

config_file, decisions, out, *overrides = sys.argv[1:]
with exit_on_error():
    config = load_config(config_file, overrides)
    print(summary_text(score(config, decisions, out, progress=print)))
