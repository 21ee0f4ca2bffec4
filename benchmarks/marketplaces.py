"""Do the estimates hold on simulated marketplaces, where sites err differently and on hard items?

    python benchmarks/marketplaces.py [--seeds 60] [--first 0] [--decisions 30000] [--golden 0.03]

Each marketplace's audit is estimated as `errdetect estimate` does, with and without a cross-fitted P(error),
overall and by policy and market, and compared with the truth: `adjudicated` with golden items and an
expert's answer on every flag, `golden` with golden items alone, `golden, planned` with as many, of
different items, of which `plan-audit` says how many should be errors, and `perfect` with the same
decisions audited by reviewers who do not err. Prints and writes benchmarks/results/marketplaces.csv:
coverage of the 95 % intervals, mean and median width, and how often the appeal proxy lies inside.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from errdetect.data.action_meanings import ALLOW_ACTIONS
from errdetect.estimation.audit_plan import ReviewAssumptions, split_golden_items
from errdetect.estimation.error_rates import estimate_rates
from errdetect.model.training import cross_fit
from errdetect.schemas import (
    ADJUDICATION,
    AUDIT,
    GOLDEN,
    MISSED_VIOLATION,
    OVERTURNED,
    RELABELLED,
    UPHELD,
    WRONGFUL_ACTION,
)
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


REVIEWERS = ("adjudicated", "golden", "golden, planned", "perfect")


def reviewed_by(reviewers: str, reviews: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Return the reviews as these reviewers leave them."""
    if reviewers == "adjudicated":
        return reviews
    reviews = reviews[reviews["source"] != ADJUDICATION].reset_index(drop=True)
    if reviewers == "golden":
        return reviews
    if reviewers == "golden, planned":  # of four times as many
        n = int((reviews["source"] == GOLDEN).sum()) // 4
        return reviews[planned_golden(reviews, known, n)].reset_index(drop=True)
    reviews = reviews[reviews["source"] == AUDIT].reset_index(drop=True)
    truth = known.set_index("decision_id").loc[reviews["decision_id"]].reset_index()
    act = truth["error_kind"].isin([WRONGFUL_ACTION, MISSED_VIOLATION])
    verdict = np.where(act, OVERTURNED, np.where(truth["is_error"], RELABELLED, UPHELD))
    return reviews.assign(verdict=verdict, correct_policy_id=truth["correct_policy_id"])


def planned_golden(reviews: pd.DataFrame, known: pd.DataFrame, n: int) -> np.ndarray:
    """Return which reviews stay if the plan chooses n of many golden ones: errors or not, of different items."""
    golden = np.flatnonzero(reviews["source"] == GOLDEN)
    wrong = (reviews["expected"].iloc[golden] != UPHELD).to_numpy()
    again = reviews["decision_id"].iloc[golden].duplicated().to_numpy()
    reviewing = ReviewAssumptions(found=0.9, alarm=0.04, adjudicate_flags=False)
    errors = split_golden_items(n, float(known["is_error"].mean()), reviewing)
    kept = [
        golden[kind][np.argsort(again[kind], kind="stable")][:count]
        for kind, count in ((wrong, errors), (~wrong, n - errors))
    ]
    stays = np.concatenate([np.flatnonzero(reviews["source"] != GOLDEN), *kept])
    return np.isin(np.arange(len(reviews)), stays)


def compare(seed: int, options: argparse.Namespace) -> pd.DataFrame:
    markets = [
        simulate(options.decisions, days=180, seed=seed, golden_share=times * options.golden)
        for times in (1, 4)
    ]
    market = markets[0]
    decisions = market.decisions.assign(enforced=~market.decisions["action"].isin(ALLOW_ACTIONS))
    columns = ["decision_id", "is_error", "error_kind", "correct_policy_id"]
    known = decisions.merge(market.truth[columns], on="decision_id")
    parts = []
    for who in REVIEWERS:
        reviews = markets[who == "golden, planned"].reviews
        snapshot = Snapshot(decisions, reviewed_by(who, reviews, known))
        parts.append(estimated(snapshot, known, who, seed))
    return pd.concat(parts, ignore_index=True)


def estimated(snapshot: Snapshot, known: pd.DataFrame, reviewers: str, seed: int) -> pd.DataFrame:
    """Return the estimates of one audit next to the truth."""
    decisions, audit = snapshot.decisions, snapshot.audit_sample
    fitted = cross_fit(decisions, audit.position, audit.answer, audit.weight)
    controls = {"none": None, "cross-fitted": None if fitted is None else fitted.p_error}
    parts = []
    for control, p in controls.items():
        rates = estimate_rates(snapshot, [by for by in SCOPES.values() if by], p_error=p)
        for scope, by in SCOPES.items():
            found = rates.by_group[tuple(by)] if by else rates.overall
            truth = true_rates(known, by)
            at = found[by[0]] if by else pd.Series(truth.index[0], found.index)
            values = [truth.loc[k, m] for k, m in zip(at, found["measure"], strict=True)]
            made = {"reviewers": reviewers, "scope": scope, "control": control, "seed": seed}
            parts.append(found.assign(**made, truth=values))
    return pd.concat(parts, ignore_index=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Coverage on simulated marketplaces.")
    parser.add_argument("--seeds", type=int, default=60)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--decisions", type=int, default=30_000)
    parser.add_argument("--golden", type=float, default=0.03)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    frames = []
    for seed in range(options.first, options.first + options.seeds):
        frames.append(compare(seed, options))
        print(f"{len(frames)}/{options.seeds} marketplaces", file=sys.stderr, flush=True)
        options.out.mkdir(parents=True, exist_ok=True)
        table = summarise(pd.concat(frames, ignore_index=True))
        table.to_csv(options.out / "marketplaces.csv", float_format="%.5g")
    print(table.round(4).to_string())


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Return coverage and width of each measure, scope and kind of reviewers."""
    told = rows[~rows["suppressed"].astype(bool)].assign(
        covered=lambda r: (r["low"] <= r["truth"]) & (r["truth"] <= r["high"]),
        width=lambda r: r["high"] - r["low"],
        proxy_inside=lambda r: ((r["low"] <= r["proxy"]) & (r["proxy"] <= r["high"])).where(r["proxy"].notna()),
    )  # fmt: skip
    return told.groupby(["reviewers", "scope", "measure", "control"]).agg(
        cells=("covered", "size"),
        coverage=("covered", "mean"),
        bias=("truth", lambda t: float((told.loc[t.index, "estimate"] - t).mean())),
        width=("width", "mean"),
        median_width=("width", "median"),
        proxy_inside=("proxy_inside", "mean"),
    )


if __name__ == "__main__":
    main()
