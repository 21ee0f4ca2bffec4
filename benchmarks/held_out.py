"""Does the evaluation from an audit tell the truth, and is the right label found? On the simulator.

    python benchmarks/held_out.py                  # 12 marketplaces of 60,000 decisions
    python benchmarks/held_out.py --seeds 3 --decisions 30000

Writes held_out.csv and right_label.csv to benchmarks/results. A model learns from what was known when 80 % of the time
had passed. The ranking of the decisions after that is measured three ways: on all of them by the
truth, on the reviewed ones by the reviews with the audit's weights, and on the same without weights.
The truth is read to measure only.
"""

import argparse
import tempfile
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from errdetect.config import load_config
from errdetect.model.detector import Examples
from errdetect.model.ensemble_members import FitOptions, fit_segment_rate
from errdetect.model.evaluation import Bootstrap, HeldOut, evaluate_segments
from errdetect.model.gate import GateRules
from errdetect.model.policy_correction import fit_policy_correction
from errdetect.model.training import TrainingPlan, train_detector
from errdetect.simulation.marketplace import simulate, write_marketplace
from errdetect.snapshot import Snapshot
from errdetect.stats.ranking_metrics import average_precision
from errdetect.workflows.load_data import load_snapshot
from errdetect.workflows.train import label_examples

PLAN = TrainingPlan(budgets=[0.1], resamples=50, gate=GateRules(min_errors=1))
COLUMNS = ["policy_id", "market", "moderator"]
KEYS = ["segment", "level", "measure"]


def market(seed: int, n: int) -> tuple[Snapshot, pd.DataFrame]:
    """Simulate, and read back as any user's data."""
    with tempfile.TemporaryDirectory() as folder:
        write_marketplace(simulate(n, 120, seed), folder)
        config = load_config(Path(folder) / "config.yaml", [])
        known = load_snapshot(config, progress=lambda _: None, need_reviews=True).snapshot
        truth = pd.read_parquet(Path(folder) / "truth.parquet")
    decisions = known.decisions.sort_values(
        ["decided_at", "decision_id"], kind="stable", ignore_index=True
    )
    truth = truth.set_index("decision_id").loc[decisions["decision_id"]].reset_index()
    return known.with_columns(decisions), truth


def ranking(
    snapshot: Snapshot, truth: pd.DataFrame, cut: datetime
) -> tuple[np.ndarray, pd.DataFrame]:
    """P(error) of the later decisions, and how the three ways measure it."""
    decisions = snapshot.decisions
    early = (decisions["decided_at"] < cut).to_numpy()
    later = decisions[~early]
    known = label_examples(snapshot.before(cut).of(decisions[early]))
    trained = train_detector(known, PLAN, FitOptions())
    X = trained.detector.features(later)
    p = trained.calibrator.probability(trained.detector.raw(X, 1))
    seen = label_examples(snapshot.of(later))
    at = pd.Index(later["decision_id"]).get_indexer(pd.Index(seen.decisions["decision_id"]))
    wrong = truth.loc[~early, "is_error"].to_numpy(float)
    ways = {
        "truth": HeldOut(
            Examples(later, wrong, wrong, np.ones(len(p)), np.ones(len(p))), p, np.ones(len(p))
        ),
        "weighted": HeldOut(seen, p[at], seen.design),
        "plain": HeldOut(seen, p[at], np.ones(len(at))),
    }
    found = {
        name: evaluate_segments(way, COLUMNS, Bootstrap(200, np.random.default_rng(0))).set_index(
            KEYS
        )
        for name, way in ways.items()
    }
    table = found["weighted"].join(found["truth"]["value"].rename("truth"), how="left")
    return p, table.join(found["plain"]["value"].rename("plain")).reset_index()


def right_label(
    snapshot: Snapshot, truth: pd.DataFrame, cut: datetime, p: np.ndarray
) -> dict[str, float]:
    """How well wrong labels are found among the later enforcements, by the truth."""
    decisions = snapshot.decisions
    early = (decisions["decided_at"] < cut).to_numpy()
    known = snapshot.before(cut).of(decisions[early])
    past, labels = known.decisions, known.labels
    judged = (labels["label"] != "unknown").to_numpy()
    model = fit_policy_correction(past, known.correct_policies, judged)
    if model is None:
        return {}
    acted = decisions.loc[~early, "enforced"].to_numpy(bool)
    later, fact, p = decisions[~early][acted], truth[~early][acted], p[acted]
    said = model.predict(later, p)
    y = (fact["error_kind"] == "wrong_label").to_numpy(float)
    q, own = model.policy_posterior(later)
    doubt = np.nan_to_num(1 - q[np.arange(len(own)), own])
    rows = past["enforced"].to_numpy(bool) & judged
    seen = (labels["error_kind"] == "wrong_label").to_numpy()[rows].astype(float)
    rate = fit_segment_rate(past[rows], seen, np.ones(len(seen))).rate(later)
    wrong, error = y > 0, fact["is_error"].to_numpy(bool)
    called = said["suggested_policy_id"].notna().to_numpy()
    best, usual = said["likeliest_policy_id"], model.usual(later["policy_id"])
    right = fact["correct_policy_id"].to_numpy(object)
    return {
        "n_relabelled": model.n_relabelled,
        "n_wrong_labels": int(y.sum()),
        "share": y.mean(),
        "ap": average_precision(y, np.nan_to_num(said["p_wrong_label"].to_numpy(float))),
        "ap_before_the_cap": average_precision(y, doubt),
        "ap_segment_rate": average_precision(y, rate),
        "accuracy": (best.to_numpy(object) == right)[wrong].mean(),
        "accuracy_usual": (usual.to_numpy(object) == right)[wrong].mean(),
        "kind_recall": called[wrong].mean(),
        "kind_precision_among_errors": wrong[called & error].mean(),
        "kind_right_among_errors": (called == wrong)[error].mean(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--decisions", type=int, default=60_000)
    args = parser.parse_args()
    tables, labels = [], []
    for seed in range(args.seeds):
        snapshot, truth = market(seed, args.decisions)
        decisions = snapshot.decisions
        cut = decisions["decided_at"].iloc[int(0.8 * len(decisions))].to_pydatetime()
        p, table = ranking(snapshot, truth, cut)
        tables.append(table.assign(seed=seed))
        labels.append({"seed": seed, **right_label(snapshot, truth, cut, p)})
        print(f"seed {seed} done", flush=True)
    whole = pd.concat(tables, ignore_index=True)
    said = whole[~whole["suppressed"] & whole["truth"].notna()]
    held = (said["low"] <= said["truth"]) & (said["truth"] <= said["high"])
    scope = np.where(said["segment"] == "all", "all", "segments")
    off = {
        "weighted_off": said["value"] - said["truth"],
        "plain_off": said["plain"] - said["truth"],
    }
    size = {f"{k}_size": v.abs() for k, v in off.items()}
    width = {"width": said["high"] - said["low"], "held": held, "n": 1}
    summary = said.assign(scope=scope, **off, **size, **width).groupby(["measure", "scope"])
    means = summary[[*off, *size, "width", "held"]].mean().join(summary["n"].sum()).round(3)
    print(means.to_string())
    right = pd.DataFrame(labels)
    print(right.round(3).to_string(index=False))
    print(right.mean().round(3).to_string())
    out = Path(__file__).parent / "results"
    means.reset_index().to_csv(out / "held_out.csv", index=False)
    right.round(4).to_csv(out / "right_label.csv", index=False)


if __name__ == "__main__":
    main()
