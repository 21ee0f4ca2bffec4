"""Error detection on the real data sets: train as a user would, measure on decisions never seen.

    python benchmarks/real_data.py [--data FOLDER] [--sets NAME ...] [--trials N]

Prints, per set, recall at 1 / 5 / 10 / 20 % and average precision on the last 20 % of decisions, beside the
rankings without a model, measured in the same run; writes benchmarks/results/real_data.csv.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import pandas as pd

from errdetect.config import load_config
from errdetect.data.tables import read_decisions
from errdetect.jobs.labels import label_decisions
from errdetect.jobs.score import score
from errdetect.jobs.tables import load_tables
from errdetect.jobs.train import label_examples, train
from errdetect.model.baselines import fit_segment_rate, margin_ranking
from errdetect.model.metrics import average_precision, calibration_error, recall_at

REPO = Path(__file__).parents[1]
BUDGETS = [0.01, 0.05, 0.10, 0.20]


def measure(name: str, reviews: str, data: Path, trials: int) -> list[dict[str, object]]:
    os.environ["ERRDETECT_DATA"] = str(data)
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary)
        settings = [
            f"registry.path={out / 'models'}",
            f"train.trials={trials}",
            f"data.reviews={reviews}.parquet",
        ]
        config = load_config(REPO / f"configs/{name}.yaml", settings)
        began = time.monotonic()
        train(config)
        seconds = time.monotonic() - began
        scored = score(config, data / name / "decisions.parquet", out / "queue")
        scores = pd.read_parquet(scored.files["scores"])
    truth = pd.read_parquet(data / name / "truth.parquet")
    decisions = read_decisions(data / name / "decisions.parquet").frame
    tables = load_tables(config, progress=lambda _: None)
    assert tables.reviews is not None
    labels = label_decisions(config, decisions, tables.reviews.frame)
    known = label_examples(decisions, labels, tables.reviews.frame)
    test = decisions.merge(truth[truth["part"] == "test"], on="decision_id").merge(
        scores, on="decision_id"
    )
    y = test["is_error"].to_numpy(float)
    rankings = {
        "random": None,
        "margin": margin_ranking(test),
        "segment rate": fit_segment_rate(known.decisions, known.error, known.weight).rate(test),
        "errdetect": test["p_error"].to_numpy(),
    }
    rows = []
    for method, ranking in rankings.items():
        found = BUDGETS if ranking is None else recall_at(y, ranking, BUDGETS)
        row = {"set": name, "reviews": reviews, "method": method}
        row |= {f"R@{b * 100:g}": f for b, f in zip(BUDGETS, found, strict=True)}
        row["AP"] = y.mean() if ranking is None else average_precision(y, ranking)
        if method == "errdetect":
            row |= {"calibration error": calibration_error(y, ranking), "fit seconds": seconds}
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=REPO.parent / "shared" / "data")
    parser.add_argument(
        "--sets", nargs="+", default=["multi_market", "wiki_edits", "civil_comments"]
    )
    parser.add_argument("--trials", type=int, default=12)
    options = parser.parse_args()
    if not options.data.is_dir():
        parser.error(f"--data must be the folder of the real data sets, got '{options.data}'")
    rows: list[dict[str, object]] = []
    for name in options.sets:
        for reviews in ("reviews", "reviews_partial"):
            rows += measure(name, reviews, options.data, options.trials)
            print(pd.DataFrame(rows[-4:]).round(3).to_string(index=False), flush=True)
    place = REPO / "benchmarks/results/real_data.csv"
    place.parent.mkdir(exist_ok=True)
    pd.DataFrame(rows).round(4).to_csv(place, index=False)


if __name__ == "__main__":
    main()
