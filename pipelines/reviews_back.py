"""Every night: take finished reviews in, and plan what follows from them; a person applies it.

python pipelines/reviews_back.py CONFIG REVIEWS OUT [KEY=VALUE ...]
"""

import sys

from errdetect.config import load_config
from errdetect.errors import clear_exit
from errdetect.workflows.ingest import ingest
from errdetect.workflows.remediate import remediate
from errdetect.workflows.summaries import say

config_file, reviews, out, *overrides = sys.argv[1:]
with clear_exit():
    config = load_config(config_file, overrides)
    print(say(ingest(config, reviews, progress=print)))
    print(say(remediate(config, out, progress=print)))
