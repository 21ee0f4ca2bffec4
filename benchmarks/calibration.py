"""Does P(error) mean what it says? On the simulator, against the truth of later decisions.

    python benchmarks/calibration.py                  # 6 marketplaces of 60,000 decisions, six worlds each
    python benchmarks/calibration.py --no-texts --decisions 40000 --worlds drift "hard content" crowd

Writes calibration.csv to benchmarks/results. A model learns from what was known when 80 % of the time had
passed. Its probabilities of the last tenth's decisions are compared with their truth, calibrated in four ways:
`verdicts` (to what reviewers said), `evidence` (to P(error) given what they said: what `train` does), `truth` (to
the truth of the same decisions, which nobody has), and `followed`: as `evidence`, with the level shifted by the
designed reviews of the tenth before, as `score` does. The worlds (docs/simulator.md, "Other worlds"):

    as simulated    the simulator's own reviewers
    false alarms    reviewers see violations where there are none 2.5 times as often
    hard content    reviewers misread hard content far more often
    drift           what people call a violation rises by 1.5 in log-odds on the text model's allowed decisions
    crowd           five anonymous people on every decision of a quarter as many, no golden items
    crowd, drift    the same, and violations fall by 1.5 on both sides of the text model

Of crowds it also writes how often their labels and the majority of the votes miss the truth. The truth is read
to measure only.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from errdetect.config import load_config
from errdetect.features.point_in_time_features import add_point_in_time_features
from errdetect.model import training
from errdetect.model.calibration import Calibrator, choose_calibrator
from errdetect.model.detector import Detector, Examples
from errdetect.model.ensemble_members import FitOptions
from errdetect.model.level_shift import RecentReviews, fit_level_shift
from errdetect.simulation import reviews as simulated
from errdetect.simulation.marketplace import simulate, write_marketplace
from errdetect.simulation.worlds import WorldSettings
from errdetect.snapshot import Snapshot
from errdetect.stats.ranking_metrics import calibration_error
from errdetect.workflows.load_data import load_snapshot
from errdetect.workflows.train import label_examples

SITES = dict(simulated.SITES)
CROWD = {"crowd": 5}
#: World -> its settings, and the factor of reviewers' false alarms.
WORLDS: dict[str, tuple[dict[str, Any], float]] = {
    "as simulated": ({}, 1.0),
    "false alarms": ({}, 2.5),
    "hard content": ({"hard_content": 4.0}, 1.0),
    "drift": ({"level_drift": 1.5}, 1.0),
    "crowd": (CROWD, 1.0),
    "crowd, drift": ({**CROWD, "level_drift": -1.5, "drift_side": "both"}, 1.0),
}
DAYS, TRAIN, FOLLOW, DECILES = 150, 0.8, 0.9, 10


def market(seed: int, n: int, kind: str) -> tuple[Snapshot, pd.DataFrame]:
    """Simulate, and read back as any user's data, in order of time."""
    settings, alarms = WORLDS[kind]
    some = {"audit_share": 1.0} if "crowd" in settings else {}
    n = n // 4 if "crowd" in settings else n
    simulated.SITES.update({k: (v[0], v[1], alarms * v[2]) for k, v in SITES.items()})
    with tempfile.TemporaryDirectory() as folder:
        world = WorldSettings(**settings)
        write_marketplace(simulate(n, DAYS, seed, world=world, **some), folder)
        known = load_snapshot(
            load_config(Path(folder) / "config.yaml", []),
            progress=lambda _: None,
            need_reviews=True,
        ).snapshot
        truth = pd.read_parquet(Path(folder) / "truth.parquet")
    simulated.SITES.update(SITES)
    decisions = known.decisions.sort_values(
        ["decided_at", "decision_id"], kind="stable", ignore_index=True
    )
    decisions = add_point_in_time_features(
        decisions, known.reviews, history=True, similar=True, as_of=None
    )
    truth = truth.set_index("decision_id").loc[decisions["decision_id"]].reset_index()
    return known.with_columns(decisions), truth


def measures(p: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Compare with the truth: over all, by decile, and at both ends."""
    group = np.argsort(np.argsort(p, kind="stable"), kind="stable") * DECILES // len(p)
    predicted = np.array([p[group == k].mean() for k in range(DECILES)])
    rate = np.array([y[group == k].mean() for k in range(DECILES)])
    error = np.sqrt(np.array([(p * (1 - p))[group == k].sum() for k in range(DECILES)]))
    size = np.bincount(group, minlength=DECILES)
    return {
        "error": calibration_error(y, p),
        "predicted": float(p.mean()),
        "true": float(y.mean()),
        "deciles_within_2_errors": int((np.abs(predicted - rate) * size <= 2 * error).sum()),
        "lowest_half_predicted": float(predicted[: DECILES // 2].mean()),
        "lowest_half_true": float(rate[: DECILES // 2].mean()),
        "highest_predicted": float(predicted[-1]),
        "highest_true": float(rate[-1]),
    }


def fitted(
    snapshot: Snapshot, early: np.ndarray, cut: pd.Timestamp, texts: bool
) -> tuple[np.ndarray, Examples, Detector]:
    """Train as `train` does; return held-out log-odds, their decisions, and the model."""
    known = label_examples(snapshot.before(cut.to_pydatetime()).of(snapshot.decisions[early]))
    plan = training.TrainingPlan(text=texts)
    trained = training.train_detector(known, plan, FitOptions(), log=snapshot.decisions[early])
    part = training.split_by_time(known.decisions["decided_at"], plan.parts)
    return trained.held_out_raw, known.take(part != training.FIT), trained.detector


def followed(
    snapshot: Snapshot,
    between: np.ndarray,
    until: pd.Timestamp,
    detector: Detector,
    calibrator: Calibrator,
) -> Calibrator:
    """Shift the level by the designed reviews of the decisions in between, known by then."""
    rows = snapshot.decisions[between]
    recent = label_examples(snapshot.before(until.to_pydatetime()).of(rows))
    recent = recent.take(recent.design > 0)
    frame = recent.decisions.reset_index(drop=True)
    raw = detector.raw(detector.features(frame), 1)
    p = calibrator.probability(raw, frame["enforced"].to_numpy(bool), frame)
    shift = fit_level_shift(RecentReviews(frame, p, recent.evidence, recent.design))
    return calibrator if shift is None else shift.apply(calibrator)


def label_quality(snapshot: Snapshot, truth: pd.DataFrame) -> dict[str, float]:
    """Return how often a crowd's labels, and the majority of its votes, miss the truth."""
    assert snapshot.reviewer_model is not None
    p = snapshot.reviewer_model.p_error
    flags = snapshot.reviews["verdict"] != "upheld"
    share = flags.groupby(snapshot.reviews["decision_id"]).mean().reindex(p.index)
    y = truth.set_index("decision_id")["is_error"].reindex(p.index).to_numpy(bool)
    return {
        "labels_wrong": float(((p > 0.5) != y).mean()),
        "majority_wrong": float(((share > 0.5) != y).mean()),
    }


def world(seed: int, n: int, kind: str, *, texts: bool = True) -> list[dict[str, object]]:
    """Measure one marketplace."""
    snapshot, truth = market(seed, n, kind)
    moments = snapshot.decisions["decided_at"]
    first, last = moments.iloc[0], moments.iloc[-1]
    cut, until = (first + share * (last - first) for share in (TRAIN, FOLLOW))
    early, late = (moments < cut).to_numpy(bool), (moments >= until).to_numpy(bool)
    raw, held, detector = fitted(snapshot, early, cut, texts)
    later, wrong = snapshot.decisions[late], truth.loc[late, "is_error"].to_numpy(float)
    raw_later = detector.raw(detector.features(later), 1)
    fact = truth.set_index("decision_id")["is_error"].reindex(held.decisions["decision_id"])
    weight = training.evaluation_weights(held)
    columns = [name for name in training.SEGMENTS if name in snapshot.decisions]
    own = {
        "enforced": held.decisions["enforced"].to_numpy(bool),
        "segments": held.decisions[columns],
    }
    ways = {
        "verdicts": choose_calibrator(raw, held.error, weight, **own),
        "evidence": choose_calibrator(raw, held.p_error, weight, evidence=held.evidence, **own),
        "truth": choose_calibrator(raw, fact.to_numpy(float), weight, **own),
    }
    ways["followed"] = followed(snapshot, ~early & ~late, until, detector, ways["evidence"])
    crowd = label_quality(snapshot, truth) if "crowd" in kind else {}
    rows: list[dict[str, object]] = []
    for name, calibrator in ways.items():
        p = calibrator.probability(raw_later, later["enforced"].to_numpy(bool), later)
        rows.append({"calibrated to": name, "method": str(calibrator), **measures(p, wrong)})
    return [{"seed": seed, "world": kind, "labels": len(held), **row, **crowd} for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--first", type=int, default=700)
    parser.add_argument("--decisions", type=int, default=60_000)
    parser.add_argument("--worlds", nargs="*", choices=WORLDS, default=list(WORLDS))
    parser.add_argument(
        "--no-texts", action="store_true", help="columns alone: a sixth of the time"
    )
    here = Path(__file__).resolve().parent
    parser.add_argument("--out", type=Path, default=here / "results" / "calibration.csv")
    args = parser.parse_args()
    rows: list[dict[str, object]] = []
    for seed in range(args.first, args.first + args.seeds):
        for kind in args.worlds:
            rows += world(seed, args.decisions, kind, texts=not args.no_texts)
            pd.DataFrame(rows).round(4).to_csv(args.out, index=False)
            print(f"seed {seed}, {kind}: done", flush=True)
    table = pd.DataFrame(rows)
    numbers = table.select_dtypes("number").columns.drop(["seed", "labels"])
    print(
        table.groupby(["world", "calibrated to"], sort=False)[list(numbers)]
        .mean()
        .round(3)
        .to_string()
    )


if __name__ == "__main__":
    main()
