"""Do the estimates hold on simulated marketplaces, where sites err differently and on hard items?

    python benchmarks/marketplaces.py [--seeds 12] [--decisions 30000] [--golden 0.03] [--adjudicated 1.0]

Each marketplace's audit is estimated as `errdetect estimate` does, with and without a P(error) fitted in
turns, for the whole and by policy and market, and held against the truth. Prints and writes
benchmarks/results/marketplaces.csv: coverage of the 95 % intervals, mean width, and how often the appeal
proxy lies inside of the interval.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from errdetect.data.action_meanings import ALLOW_ACTIONS
from errdetect.estimation.error_rates import estimate_rates
from errdetect.model.training import cross_fit
from errdetect.schemas import MISSED_VIOLATION, WRONGFUL_ACTION
from errdetect.simulation.marketplace import simulate
from errdetect.snapshot import Snapshot

SCOPES = {"whole": [], "policy": ["policy_id"], "market": ["market"]}


def true_rates(decisions: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Measures by the truth, indexed by the `by` columns' text and the measure."""
    act = decisions["error_kind"].isin([WRONGFUL_ACTION, MISSED_VIOLATION])
    enforced = decisions["enforced"]
    counts = pd.DataFrame(
        {
            "n": 1,
            "error": decisions["is_error"],
            "enforced": enforced,
            "wrongful": act & enforced,
            "missed": act & ~enforced,
        }
    ).astype(float)
    keys = [decisions[name].astype("str").fillna("(missing)") for name in by]
    total = counts.groupby(keys or np.zeros(len(counts))).sum()
    caught = total["enforced"] - total["wrongful"]
    rates = pd.DataFrame({"error_rate": total["error"] / total["n"]})
    rates["accuracy"] = 1 - rates["error_rate"]
    rates["wrongful_rate"] = total["wrongful"] / total["enforced"]
    rates["precision"] = 1 - rates["wrongful_rate"]
    rates["missed_rate"] = total["missed"] / (total["n"] - total["enforced"])
    rates["recall"] = caught / (caught + total["missed"])
    return rates


def compare(seed: int, options: argparse.Namespace) -> pd.DataFrame:
    market = simulate(
        options.decisions,
        days=180,
        seed=seed,
        golden_share=options.golden,
        adjudication_share=options.adjudicated,
    )
    decisions = market.decisions.assign(enforced=~market.decisions["action"].isin(ALLOW_ACTIONS))
    known = decisions.merge(
        market.truth[["decision_id", "is_error", "error_kind"]], on="decision_id"
    )
    snapshot = Snapshot(decisions, market.reviews)
    audit = snapshot.audit_sample
    said = np.where(audit.adjudicated, audit.expert_error, audit.error)
    fitted = cross_fit(decisions, audit.position, said, audit.weight)
    controls = {"none": None, "cross-fitted": None if fitted is None else fitted.p_error}
    parts = []
    for control, p in controls.items():
        rates = estimate_rates(snapshot, [by for by in SCOPES.values() if by], p_error=p)
        for scope, by in SCOPES.items():
            found = rates.by_group[tuple(by)] if by else rates.overall
            truth = true_rates(known, by)
            at = found[by[0]] if by else pd.Series(truth.index[0], found.index)
            values = [truth.loc[k, m] for k, m in zip(at, found["measure"], strict=True)]
            parts.append(found.assign(scope=scope, control=control, seed=seed, truth=values))
    return pd.concat(parts, ignore_index=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Coverage on simulated marketplaces.")
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--decisions", type=int, default=30_000)
    parser.add_argument("--golden", type=float, default=0.03)
    parser.add_argument("--adjudicated", type=float, default=1.0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    frames = []
    for seed in range(options.seeds):
        frames.append(compare(seed, options))
        print(f"{seed + 1}/{options.seeds} marketplaces", file=sys.stderr, flush=True)
    rows = pd.concat(frames, ignore_index=True)
    told = rows[~rows["suppressed"].astype(bool)].assign(
        covered=lambda r: (r["low"] <= r["truth"]) & (r["truth"] <= r["high"]),
        width=lambda r: r["high"] - r["low"],
        proxy_inside=lambda r: ((r["low"] <= r["proxy"]) & (r["proxy"] <= r["high"])).where(r["proxy"].notna()),
    )  # fmt: skip
    table = told.groupby(["scope", "measure", "control"]).agg(
        cells=("covered", "size"),
        coverage=("covered", "mean"),
        bias=("truth", lambda t: float((told.loc[t.index, "estimate"] - t).mean())),
        width=("width", "mean"),
        proxy_inside=("proxy_inside", "mean"),
    )
    print(table.round(4).to_string())
    options.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(options.out / "marketplaces.csv", float_format="%.5g")


if __name__ == "__main__":
    main()
