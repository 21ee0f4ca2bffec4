"""What each part of the detector is worth, on held-out time inside the training part.

    python benchmarks/ablation.py                              # simulator, and the sets of --data
    python benchmarks/ablation.py --sets simulator --seeds 10

A set's first 60 % of decisions by time, with their reviews, are learnt from; the next 20 % are ranked and
measured by the truth. The last 20 %, which `detection.py` measures on, are not looked at, and the
marketplaces are others than there. Writes results/ablation.csv: average precision and recall.

    alone        reviewed decisions alone
    usual        with what machines usually do, learnt from all decisions
    all          with the doubt about the right label too; left out where no review relabels
    propensity   as before, and labels weighed by the audit's inclusion probabilities
"""

import argparse
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from detecting.problems import VARIANTS as KINDS
from detecting.problems import Problem, Source, find_folders, load_problem, simulated, variants

from errdetect.config import load_config
from errdetect.features.point_in_time_features import add_point_in_time_features
from errdetect.model.detector import Detector, Examples
from errdetect.model.ensemble import choose_ensemble, fit_ensemble
from errdetect.model.ensemble_members import DEFAULT_PARAMS, FitOptions, propensity_weights
from errdetect.model.surrogate import sample_log
from errdetect.model.training_data import count_texts_once, prepare_examples
from errdetect.model.tuning import Objective
from errdetect.stats.ranking_metrics import average_precision, recall_at
from errdetect.workflows.load_data import load_snapshot
from errdetect.workflows.train import label_examples

VARIANTS = ("alone", "usual", "all", "propensity")
EARLY = 0.75  # of the first 80 % of a set
TUNE = 0.75  # of the labelled decisions, the earlier share; the later ones say how many trees


def examples_of(problem: Problem) -> tuple[pd.DataFrame, pd.DataFrame, Examples]:
    """Return earlier and later decisions with what was known before each, and the earlier's labels."""
    with tempfile.TemporaryDirectory() as place:
        problem.learn.drop(columns="enforced").to_parquet(Path(place) / "d.parquet", index=False)
        problem.reviews.to_parquet(Path(place) / "r.parquet", index=False)
        path = Path(place) / "config.yaml"
        path.write_text("version: 1\ndata: {decisions: d.parquet, reviews: r.parquet}\n")
        config = load_config(path, [])
        known = load_snapshot(config, progress=lambda _: None, need_reviews=True).snapshot
    decisions = known.decisions.sort_values(
        ["decided_at", "decision_id"], kind="stable", ignore_index=True
    )
    cut = round(EARLY * len(decisions))
    reviews, moment = known.reviews, decisions["decided_at"].iloc[cut]
    reviews = reviews[reviews["decision_id"].isin(decisions["decision_id"][:cut])]
    if (reviews["reviewed_at"] <= moment).mean() > 0.5:
        reviews = reviews[reviews["reviewed_at"] <= moment]
    wide = add_point_in_time_features(decisions, reviews, history=True, similar=True, as_of=None)
    past = wide[:cut].reset_index(drop=True)
    examples = label_examples(replace(known, decisions=past, reviews=reviews))
    return past, wide[cut:].reset_index(drop=True), examples


def fit(past: pd.DataFrame, known: Examples, variant: str, threads: int) -> Detector:
    if variant in ("alone", "usual"):
        known = replace(known, right_policy=np.full(len(known), None))
    if variant == "propensity":
        known = replace(known, weight=propensity_weights(known.design))
    rows = np.arange(len(known))
    first, later = (
        known.take(rows[rows < TUNE * len(rows)]),
        known.take(rows[rows >= TUNE * len(rows)]),
    )
    counted = count_texts_once(known.decisions, first, leave_out=(), text=True)
    text = counted.texts is not None
    log = None if variant == "alone" else sample_log(past, text=text, seed=0)
    how = {"leave_out": (), "text": text, "seed": 0}
    moment = later.decisions["decided_at"].iloc[0]
    small = prepare_examples(first, counted, **how, log=None if log is None else log.before(moment))
    held = small.prepare_later(later, counted.of(later.decisions) if text else None)
    drawn = later.design > 0
    weight = later.design if later.error[drawn].sum() >= 5 else np.ones(len(later))
    blend = choose_ensemble(
        small, held, DEFAULT_PARAMS, weight, Objective(), FitOptions(threads=threads)
    )
    whole = prepare_examples(known, counted, **how, log=log)
    members = fit_ensemble(whole, blend, DEFAULT_PARAMS, FitOptions(threads=threads))
    return whole.detector(members, blend.floor)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    shared = Path(os.environ.get("ERRDETECT_SHARED", "../shared"))
    parser.add_argument("--data", type=Path, default=shared / "data")
    parser.add_argument("--sets", nargs="*", help="names of sets; default: all")
    parser.add_argument("--reviews", nargs="*", choices=KINDS, default=KINDS)
    parser.add_argument("--seeds", type=int, nargs="*", default=[10, 11, 12])
    parser.add_argument("--variants", nargs="*", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--rows", type=int, help="decisions a set, evenly over time")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results/ablation.csv")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        wanted = [f for f in find_folders(args.data) if not args.sets or f.name in args.sets]
        sources = [
            Source(f.name, f, v, args.rows)
            for f in wanted
            for v in variants(f)
            if v in args.reviews
        ]
        if not args.sets or "simulator" in args.sets:
            folders = [simulated(seed, Path(temporary), None) for seed in args.seeds]
            sources += [Source(f.name, f, "reviews", args.rows) for f in folders]
        rows = []
        for source in sources:
            problem = load_problem(source)
            past, later, known = examples_of(problem)
            truth = problem.truth.set_index("decision_id")["is_error"]
            y = truth.loc[later["decision_id"]].to_numpy(float)
            relabelled = (problem.reviews["verdict"] == "relabelled").any()
            for variant in args.variants:
                if variant == "all" and not relabelled:
                    continue
                detector = fit(past, known, variant, args.threads)
                raw = detector.raw(detector.features(later), args.threads)
                five, ten = recall_at(y, raw, [0.05, 0.1])
                row = {
                    "set": source.name,
                    "reviews": source.variant,
                    "variant": variant,
                    "labels": len(known),
                    "decisions": len(past),
                    "average_precision": average_precision(y, raw),
                    "recall_at_5": float(five),
                    "recall_at_10": float(ten),
                }
                print(
                    {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()},
                    flush=True,
                )
                rows.append(row)
            pd.DataFrame(rows).round(4).to_csv(args.out, index=False)


if __name__ == "__main__":
    main()
