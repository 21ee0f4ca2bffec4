"""Every night, on Spark: score the day's decisions, and hand the queue to the reviewers.

spark-submit --master spark://head:7077 pipelines/spark_score.py CONFIG DECISIONS OUT [KEY=VALUE ...]
python pipelines/spark_score.py CONFIG DECISIONS OUT [KEY=VALUE ...]   # all processors of this machine
"""

import sys

from errdetect.config import load_config
from errdetect.errors import exit_on_error
from errdetect.workflows.result_summaries import summary_text
from errdetect.workflows.score import score

config_file, decisions, out, *overrides = sys.argv[1:]
with exit_on_error():
    config = load_config(config_file, overrides)
    print(summary_text(score(config, decisions, out, engine="spark", progress=print)))
