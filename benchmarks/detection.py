"""Which ranking finds the most errors? errdetect and its peers, on the same decisions, in one run.

    python benchmarks/detection.py                                  # everything
    python benchmarks/detection.py --sets wiki_edits simulator --seeds 0 --methods margin CatBoost
    python benchmarks/detection.py --jobs 2 --resume finished.db    # goes on where it was ended

Writes detection.csv and detection.md to benchmarks/results. Sets are the folders of --data that hold
decisions, reviews (also reviews_partial, if there) and truth, and `simulator`: one marketplace a seed.
Each method learns from the first 80 % of the decisions by time and ranks the rest.
"""

import sys
from pathlib import Path


def main() -> int:
    here = Path(__file__).resolve().parent
    # Packages that other packages import (coverage, say) must not be found among these files.
    others = [entry for entry in sys.path if Path(entry).resolve() != here]
    sys.path[:] = [*others, str(here.parent)]
    from benchmarks.detecting.command import main as command

    return command(__doc__ or "")


if __name__ == "__main__":
    sys.exit(main())
