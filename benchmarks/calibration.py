"""Does P(error) mean what it says? On the simulator, against the truth of later decisions.

    python benchmarks/calibration.py                  # 6 marketplaces of 60,000 decisions
    python benchmarks/calibration.py --seeds 2 --decisions 30000

Writes calibration.csv to benchmarks/results. A model learns from what was known when 80 % of the time had
passed, under two kinds of reviewers: the simulator's, and ones who see violations where there are none 2.5
times as often. Its probabilities of the later decisions are compared with their truth, calibrated in three ways:
`verdicts` (to what reviewers said), `evidence` (to P(error) given what they said: what `train` does), and
`truth` (to the truth of the same decisions, which nobody has). Then what people call a violation drifts: from the
cut on, some of one moderator's allowed decisions that were right become errors. `drift, trained` keeps the level,
`drift, followed` takes the shift that a random 400 of these decisions' reviews show, and is measured on the others.
The truth is read to measure only.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from errdetect.config import load_config
from errdetect.features.point_in_time_features import add_point_in_time_features
from errdetect.model import training
from errdetect.model.calibration import Calibrator, choose_calibrator
from errdetect.model.detector import Examples
from errdetect.model.ensemble_members import FitOptions
from errdetect.model.level_shift import RecentReviews, fit_level_shift
from errdetect.simulation import reviews as simulated
from errdetect.simulation.marketplace import simulate, write_marketplace
from errdetect.snapshot import Snapshot
from errdetect.stats.ranking_metrics import calibration_error
from errdetect.workflows.load_data import load_snapshot
from errdetect.workflows.train import label_examples

SITES = dict(simulated.SITES)
KINDS = {"reviewers as simulated": 1.0, "2.5 times the false alarms": 2.5}
DECILES, DRIFT, REVIEWED = 10, 0.15, 400
MISSED, FALSE_CALL = 0.10, 0.04


def market(seed: int, n: int, alarms: float) -> tuple[Snapshot, pd.DataFrame]:
    """Simulate, and read back as any user's data, in order of time."""
    simulated.SITES.update({k: (v[0], v[1], alarms * v[2]) for k, v in SITES.items()})
    with tempfile.TemporaryDirectory() as folder:
        write_marketplace(simulate(n, 150, seed), folder)
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
    snapshot: Snapshot, early: np.ndarray, cut: pd.Timestamp
) -> tuple[np.ndarray, Examples, training.Detector]:
    """Train as `train` does; return held-out log-odds, their decisions, and the model."""
    known = label_examples(snapshot.before(cut.to_pydatetime()).of(snapshot.decisions[early]))
    kept: dict[str, training._FittedStages] = {}
    plain = training._fit_stages

    def keep(*given: object) -> training._FittedStages:
        kept["stages"] = plain(*given)  # type: ignore[arg-type]
        return kept["stages"]

    training._fit_stages = keep  # type: ignore[assignment]
    trained = training.train_detector(
        known, training.TrainingPlan(), FitOptions(), log=snapshot.decisions[early]
    )
    training._fit_stages = plain
    part = training.split_by_time(known.decisions["decided_at"], training.TrainingPlan().parts)
    held = known.take(part != training.FIT)
    return np.append(kept["stages"].blend.raw, kept["stages"].raw_test), held, trained.detector


def follow(
    calibrator: Calibrator, later: pd.DataFrame, raw: np.ndarray, wrong: np.ndarray, seed: int
) -> list[dict[str, object]]:
    """Let one moderator's allowed decisions drift, and compare the trained level with the followed one."""
    rng = np.random.default_rng(seed)
    enforced = later["enforced"].to_numpy(bool)
    first = later["moderator"].value_counts().index[0]
    hit = ~enforced & (later["moderator"] == first).to_numpy(bool)
    wrong = np.where(hit & (wrong == 0) & (rng.random(len(wrong)) < DRIFT), 1.0, wrong)
    p = calibrator.probability(raw, enforced, later)
    drawn = rng.permutation(len(later)) < REVIEWED
    flags = rng.random(len(wrong)) < np.where(wrong > 0, 1 - MISSED, FALSE_CALL)
    on_flag, on_none = np.log((1 - MISSED) / FALSE_CALL), np.log(MISSED / (1 - FALSE_CALL))
    evidence = np.where(flags, on_flag, on_none)
    recent = RecentReviews(later[drawn], p[drawn], evidence[drawn], np.ones(REVIEWED))
    shift = fit_level_shift(recent)
    assert shift is not None
    now = shift.apply(calibrator).probability(raw, enforced, later)
    return [
        {"calibrated to": f"drift, {name}", **measures(q[~drawn], wrong[~drawn])}
        for name, q in (("trained", p), ("followed", now))
    ]


def world(seed: int, n: int, kind: str) -> list[dict[str, object]]:
    """Measure one marketplace."""
    snapshot, truth = market(seed, n, KINDS[kind])
    decisions = snapshot.decisions
    cut = decisions["decided_at"].iloc[int(0.8 * len(decisions))]
    early = (decisions["decided_at"] < cut).to_numpy(bool)
    raw, held, detector = fitted(snapshot, early, cut)
    later, wrong = decisions[~early], truth.loc[~early, "is_error"].to_numpy(float)
    raw_later = detector.raw(detector.features(later), 1)
    fact = truth.set_index("decision_id")["is_error"].reindex(held.decisions["decision_id"])
    weight = training.evaluation_weights(held)
    columns = [name for name in training.SEGMENTS if name in decisions]
    own = {
        "enforced": held.decisions["enforced"].to_numpy(bool),
        "segments": held.decisions[columns],
    }
    ways = {
        "verdicts": choose_calibrator(raw, held.error, weight, **own),
        "evidence": choose_calibrator(raw, held.p_error, weight, evidence=held.evidence, **own),
        "truth": choose_calibrator(raw, fact.to_numpy(float), weight, **own),
    }
    rows: list[dict[str, object]] = []
    for name, calibrator in ways.items():
        p = calibrator.probability(raw_later, later["enforced"].to_numpy(bool), later)
        rows.append({"calibrated to": name, "method": str(calibrator), **measures(p, wrong)})
    rows += follow(ways["evidence"], later, raw_later, wrong, seed)
    return [{"seed": seed, "reviewers": kind, "labels": len(held), **row} for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--first", type=int, default=700)
    parser.add_argument("--decisions", type=int, default=60_000)
    args = parser.parse_args()
    out = Path(__file__).resolve().parent / "results" / "calibration.csv"
    rows: list[dict[str, object]] = []
    for seed in range(args.first, args.first + args.seeds):
        for kind in KINDS:
            rows += world(seed, args.decisions, kind)
            pd.DataFrame(rows).round(4).to_csv(out, index=False)
            print(f"seed {seed}, {kind}: done", flush=True)
    table = pd.DataFrame(rows)
    numbers = table.select_dtypes("number").columns.drop(["seed", "labels"])
    print(table.groupby(["reviewers", "calibrated to"])[list(numbers)].mean().round(3).to_string())


if __name__ == "__main__":
    main()
