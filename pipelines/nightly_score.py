"""Every night: score the day's decisions, and hand the queue to the reviewers.

python pipelines/nightly_score.py CONFIG DECISIONS OUT [KEY=VALUE ...]
"""

import sys

from errdetect.config import load_config
from errdetect.errors import clear_exit
from errdetect.workflows.score import score
from errdetect.workflows.summaries import say

config_file, decisions, out, *overrides = sys.argv[1:]
with clear_exit():
    config = load_config(config_file, overrides)
    print(say(score(config, decisions, out, progress=print)))
