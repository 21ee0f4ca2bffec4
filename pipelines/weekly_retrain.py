"""Every week: check the data, learn from the reviews that came back, promote what passes the gate.

    python pipelines/weekly_retrain.py CONFIG [KEY=VALUE ...]

Exit status 1 where the gate says no, 2 where the data cannot be used.
"""

import sys

from errdetect.config import load_config
from errdetect.errors import exit_on_error
from errdetect.workflows.result_summaries import summary_text
from errdetect.workflows.train import train
from errdetect.workflows.validate import validate

config_file, *overrides = sys.argv[1:]
with exit_on_error():
    config = load_config(config_file, overrides)
    print(
        summary_text(validate(config))
    )  # single bad rows are left out; data that cannot be used ends here
    trained = train(config, promote=True, progress=print)
    print(summary_text(trained))
    sys.exit(0 if trained.version else 1)
