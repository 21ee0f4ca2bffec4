"""Is a plan right? Each kind of step against the truth of simulated marketplaces.

    python benchmarks/remediation.py                  # 8 marketplaces of 60,000 decisions
    python benchmarks/remediation.py --seeds 2 --decisions 20000

Writes remediation.csv (steps by kind, status and what settled them: how many, and the share that the
truth bears out) and look_alikes.csv (decisions like overturned ones, by what they share: the share
expected to be wrong from the audit, its limits, and the share that is) to benchmarks/results. The
truth is read to measure only.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from errdetect.config import load_config
from errdetect.remediation.remediation_plan import plan_remediation
from errdetect.simulation.marketplace import simulate, write_marketplace
from errdetect.workflows.load_data import load_snapshot

ACTION = ["wrongful_action", "missed_violation"]


def market(seed: int, n: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Simulate, plan, and set every step beside the truth."""
    with tempfile.TemporaryDirectory() as folder:
        write_marketplace(simulate(n, 120, seed), folder)
        config = load_config(Path(folder) / "config.yaml", [])
        snapshot = load_snapshot(config, progress=lambda _: None, need_reviews=True).snapshot
        truth = pd.read_parquet(Path(folder) / "truth.parquet").set_index("decision_id")
    decisions = snapshot.decisions
    plan = plan_remediation(snapshot, config.remediation)
    fact = truth.reindex(plan["decision_id"]).reset_index()
    right = fact["error_kind"].isin(ACTION)
    right &= (plan["kind"] != "revoke_penalty") | (fact["error_kind"] == "wrongful_action")
    mended = fact["error_kind"].eq("wrong_label") & fact["correct_policy_id"].eq(
        plan["correct_policy_id"]
    )
    right = right.where(plan["kind"] != "relabel", mended)
    worthy = _true_rates(decisions, truth).reindex(
        pd.MultiIndex.from_frame(plan[["account_id", "policy_id"]])
    )
    right = right.where(plan["kind"] != "whitelist", worthy.to_numpy() >= 0.5)
    enforced = decisions.set_index("decision_id")["enforced"].reindex(plan["decision_id"])
    by = plan["evidence"].str.extract(r"^Settled by (.+?) on ")[0].fillna("")
    plan = plan.assign(right=right.astype(float), by=by, seed=seed)
    plan = plan.assign(
        like=plan["evidence"].str.extract(r"^The (.+?): ")[0],
        side=np.where(enforced.eq(True).to_numpy(), "enforced", "allowed"),
    )
    alike, steps = (plan[(plan["kind"] == "look_alike") == one] for one in (True, False))
    base = pd.DataFrame({"side": ["enforced", "allowed"]})
    wrong = truth["error_kind"].reindex(decisions["decision_id"]).isin(ACTION).to_numpy()
    acted = decisions["enforced"].to_numpy(bool)
    base["base"] = [wrong[acted].mean(), wrong[~acted].mean()]
    return steps, alike, base


def _true_rates(decisions: pd.DataFrame, truth: pd.DataFrame) -> pd.Series:
    """How often each policy's enforcement against each account was really wrong."""
    acted = decisions[decisions["enforced"]]
    kind = truth["error_kind"].reindex(acted["decision_id"]).to_numpy()
    wrong = pd.Series(kind == "wrongful_action", index=acted.index)
    return wrong.groupby([acted["account_id"], acted["policy_id"]]).mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--decisions", type=int, default=60_000)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    found = []
    for seed in range(args.seeds):
        found.append(market(seed, args.decisions))
        print(f"seed {seed} done", flush=True)
    steps = pd.concat([one[0] for one in found])
    table = steps.groupby(["kind", "status", "by"])["right"].agg(n="size", right="mean")
    print(table.round(3).to_string())
    alike = pd.concat([one[1] for one in found])
    base = pd.concat([one[2] for one in found]).groupby("side")["base"].mean()
    cells = alike.groupby(["like", "side", "seed"]).agg(
        n=("right", "size"), real=("right", "mean"), expected=("expected_precision", "first"),
        low=("precision_low", "first"), high=("precision_high", "first"),
    )  # fmt: skip
    told = cells["expected"].notna()
    held = (cells["low"] <= cells["real"]) & (cells["real"] <= cells["high"])
    known = cells[told].assign(held=held[told].astype(float))
    weights = known["n"]
    by = known.groupby(["like", "side"])
    summary = pd.DataFrame(
        {
            "n": cells.groupby(["like", "side"])["n"].sum(),
            "real": alike.groupby(["like", "side"])["right"].mean(),
            "n_where_known": by["n"].sum(),
            "real_where_known": (known["real"] * weights).groupby(["like", "side"]).sum(),
            "expected_where_known": (known["expected"] * weights).groupby(["like", "side"]).sum(),
            "marketplaces_known": by.size(),
            "limits_held": by["held"].mean(),
            "width": (known["high"] - known["low"]).groupby(["like", "side"]).mean(),
        }
    )
    for name in ("real_where_known", "expected_where_known"):
        summary[name] /= summary["n_where_known"]
    summary = summary.join(base, on="side")
    print(summary.round(3).to_string())
    table.round(4).reset_index().to_csv(args.out / "remediation.csv", index=False)
    summary.round(4).reset_index().to_csv(args.out / "look_alikes.csv", index=False)


if __name__ == "__main__":
    main()
