"""Are the report's answers right: the site that misreads one policy, and the policies that are mixed up?

    python benchmarks/report_answers.py                # ten worlds of 100,000 decisions
    python benchmarks/report_answers.py --seeds 40-41 --decisions 60000

Each world of the simulator has one site that lets one policy's violations pass, and decisions that cite the wrong
policy. For each world: the place of the planted site and policy in the list of training needs (1: first), its rate
with its interval, how many others are marked as needing training; the place of the truly most frequent mix-up of
policies in that list, and the share of the mix-ups' intervals that hold the true share. Written to
benchmarks/results/report_answers.csv.
"""

import argparse
import tempfile
from pathlib import Path

import pandas as pd

from errdetect.config import load_config
from errdetect.findings.label_mixups import find_label_mixups
from errdetect.model.policy_correction import fit_policy_correction
from errdetect.reviewers.training_needs import find_training_needs
from errdetect.schemas import UNKNOWN
from errdetect.simulation.reviews import FAULT, SITES
from errdetect.workflows.load_data import load_snapshot
from errdetect.workflows.simulate import simulate

RESULTS = Path(__file__).parent / "results" / "report_answers.csv"
_KEYS = ["policy_id", "correct_policy_id"]


def main() -> None:
    """Run the worlds and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", default="40-49", help="first and last seed")
    parser.add_argument("--decisions", type=int, default=100_000)
    options = parser.parse_args()
    first, last = (int(part) for part in options.seeds.split("-"))
    rows = []
    for seed in range(first, last + 1):
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure_world(Path(folder), seed, options.decisions))
        print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    table.to_csv(RESULTS, index=False)
    print(f"planted site and policy first: {(table['need_place'] == 1).mean():.2f}")
    print(f"most frequent mix-up first: {(table['mixup_place'] == 1).mean():.2f}")


def measure_world(folder: Path, seed: int, decisions: int) -> dict[str, object]:
    """Simulate one world, and compare both answers with its truth."""
    files = simulate(folder, decisions=decisions, days=180, seed=seed).files
    snapshot = load_snapshot(load_config(files["config"]), progress=lambda _: None).snapshot
    needs = find_training_needs(snapshot.verdicts, snapshot.decisions)
    machine = snapshot.automated
    reviewed = (machine.labels["label"] != UNKNOWN).to_numpy(bool)
    model = fit_policy_correction(machine.decisions, machine.correct_policies, reviewed)
    mixups = find_label_mixups(snapshot, model=model)
    truth = pd.read_parquet(files["truth"])
    return {
        "seed": seed,
        "decisions": decisions,
        **_need(needs),
        **_mixup(mixups, truth, snapshot.automated.decisions),
    }


def _need(needs: pd.DataFrame) -> dict[str, object]:
    site = list(SITES)[FAULT[0]]
    rule = next(p for p in needs["policy_id"].unique() if p == "scam")
    planted = (needs["site"] == site) & (needs["policy_id"] == rule)
    planted &= needs["measure"] == "missed_violation"
    row = needs[planted].iloc[0]
    return {
        "need_place": int(planted.to_numpy().argmax()) + 1,
        "need_rate": round(row["value"], 3),
        "need_low": round(row["low"], 3),
        "need_high": round(row["high"], 3),
        "needed": bool(row["needed"]),
        "others_needed": int(needs.loc[~planted, "needed"].sum()),
    }


def _mixup(mixups: pd.DataFrame, truth: pd.DataFrame, decisions: pd.DataFrame) -> dict[str, object]:
    both = decisions.merge(
        truth[["decision_id", "error_kind", "correct_policy_id"]], on="decision_id"
    )
    both = both[both["enforced"] & (both["error_kind"] != "wrongful_action")]
    total = both.groupby("policy_id").size()
    wrong = both[both["error_kind"] == "wrong_label"].groupby(_KEYS).size().rename("true")
    top = wrong.idxmax()
    place = {(a, b): i + 1 for i, (a, b) in enumerate(mixups[_KEYS].itertuples(index=False))}
    told = mixups[~mixups["suppressed"].astype(bool) & (mixups["n_mixed"] >= 2)].merge(
        wrong.reset_index(), on=_KEYS, how="left"
    )
    share = told["true"].fillna(0) / total.reindex(told["policy_id"]).to_numpy()
    held = (told["low"] <= share) & (share <= told["high"])
    return {
        "mixup_place": place.get(top),
        "mixup": f"{top[0]} > {top[1]}",
        "mixups_told": len(told),
        "mixups_held": int(held.sum()),
    }


if __name__ == "__main__":
    main()
