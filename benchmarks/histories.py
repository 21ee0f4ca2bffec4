"""How long the histories of a million decisions take.

python benchmarks/histories.py
python benchmarks/histories.py --decisions 200000
"""

import argparse
import time

import numpy as np
import pandas as pd

from errdetect.features.point_in_time_features import history_features

DAY = 86_400


def made_up(n: int, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Half a year of decisions on accounts of very unequal size; three tenths of them reviewed."""
    start = pd.Timestamp("2026-01-01", tz="UTC")
    second = np.sort(rng.integers(0, 180 * DAY, n))

    def names(letter: str, number: np.ndarray) -> pd.Series:
        return pd.Series(np.char.add(letter, number.astype(str)), dtype="str")

    log = pd.DataFrame(
        {
            "decision_id": names("d", np.arange(n)),
            "decided_at": start + pd.to_timedelta(second, unit="s"),
            "account_id": names("a", rng.zipf(1.3, n) % 100_000),
            "policy_id": names("p", rng.integers(0, 30, n)),
            "market": names("m", rng.integers(0, 12, n)),
            "moderator": names("x", rng.integers(0, 3, n)),
            "moderator_version": names("v", rng.integers(0, 4, n)),
            "enforced": rng.random(n) < 0.3,
        }
    )
    rows = rng.choice(n, 3 * n // 10, replace=False)
    later = second[rows] + rng.integers(3600, 20 * DAY, len(rows))
    reviews = pd.DataFrame(
        {
            "review_id": names("r", np.arange(len(rows))),
            "decision_id": log["decision_id"].to_numpy(object)[rows],
            "reviewed_at": start + pd.to_timedelta(later, unit="s"),
            "source": rng.choice(["audit", "appeal"], len(rows), p=[0.6, 0.4]),
            "verdict": rng.choice(["upheld", "overturned"], len(rows)),
            "reviewer_id": "one",
        }
    )
    return log, reviews


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--decisions", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=3)
    args = parser.parse_args()
    log, reviews = made_up(args.decisions, np.random.default_rng(0))
    for _ in range(args.times):
        began, used = time.perf_counter(), time.process_time()
        columns = history_features(log, log, reviews).shape[1]
        took, used = time.perf_counter() - began, time.process_time() - used
        print(
            f"{columns} columns of {args.decisions:,} decisions: {took:.2f} s, {used:.2f} s of processors"
        )


if __name__ == "__main__":
    main()
