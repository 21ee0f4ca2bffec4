"""Every night: take finished reviews in, and plan what follows from them; a person applies it.

python pipelines/reviews_back.py CONFIG REVIEWS OUT [KEY=VALUE ...]
"""

import sys

from errdetect.config import load_config
from errdetect.errors import exit_on_error
from errdetect.workflows.ingest import ingest
from errdetect.workflows.remediate import remediate
from errdetect.workflows.result_summaries import summary_text

config_file, reviews, out, *overrides = sys.argv[1:]
with exit_on_error():
    config = load_config(config_file, overrides)
    print(summary_text(ingest(config, reviews, progress=print)))
    print(summary_text(remediate(config, out, progress=print)))
