"""Whoever reviews can poison: what do a coalition of reviewers, fake appeals and floods change?

    python benchmarks/poisoned_reviews.py --repetitions 40

Worlds of 6,000 decisions with about 8 % errors; 50 reviewers audit a fifth of them, a quarter of these twice.
The attackers want the penalties of 5 % of the accounts reversed. `share` is the share of the reviewers who
collude, or of all reviews or decisions that are the flood. Writes poisoned_reviews.csv to benchmarks/results:
mean bias of the estimated error rate and coverage of its 95 % interval, labels of reviewed decisions that are wrong
(of all, and of the chosen accounts), and what a model trained on the labels finds among later decisions.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit

from errdetect.estimation.error_rates import estimate_rates
from errdetect.model.classifier import ErrorClassifier
from errdetect.snapshot import LabelRules, Snapshot
from errdetect.stats.ranking_metrics import average_precision, recall_at

N, REVIEWERS, ACCOUNTS = 6_000, 50, 600
START = pd.Timestamp("2026-01-01", tz="UTC")
ATTACKS = ("none", "coalition", "repeated reviews", "fake appeals", "copied decisions")
FEATURES = ["score", "price", "market", "age", "enforced"]


def make_world(rng: np.random.Generator) -> tuple[pd.DataFrame, np.ndarray]:
    """Return decisions, and which are wrong."""
    price, score = rng.normal(size=N), rng.random(N)
    market = rng.choice(["DE", "FR", "PL", "ES"], N)
    age = rng.exponential(size=N)
    risk = -4 + 1.2 * price + 1.5 * (market == "PL") + 2 * (np.abs(score - 0.5) < 0.2) - 0.3 * age
    wrong = rng.random(N) < expit(risk)
    decisions = pd.DataFrame(
        {
            "decision_id": [f"d{i}" for i in range(N)],
            "decided_at": START + pd.to_timedelta(np.linspace(0, 100, N), unit="D"),
            "account_id": [f"a{i}" for i in rng.integers(0, ACCOUNTS, N)],
            "policy_id": "spam",
            "enforced": score > 0.5,
            "action": np.where(score > 0.5, "remove", "approve"),
            "score": score,
            "price": price,
            "market": market,
            "age": age,
        }
    )
    return decisions, wrong


def reviews_of(
    decisions: pd.DataFrame, rows: np.ndarray, who: np.ndarray, flags: np.ndarray, **more: object
) -> pd.DataFrame:
    decided = decisions["decided_at"].iloc[rows].reset_index(drop=True)
    frame = {
        "decision_id": decisions["decision_id"].to_numpy()[rows],
        "reviewed_at": decided + pd.to_timedelta(6 + np.arange(len(rows)) % 7, unit="h"),
        "verdict": np.where(flags, "overturned", "upheld"),
        "reviewer_id": [f"r{i}" for i in who],
        "site": "one",
        "source": "audit",
        "inclusion_probability": np.nan,
        "expected": None,
    }
    return pd.DataFrame(frame).assign(**more)


def attack(
    name: str, share: float, rng: np.random.Generator
) -> tuple[pd.DataFrame, np.ndarray, pd.DataFrame, np.ndarray]:
    """Return decisions, their truth, the reviews, and which decisions are of the chosen accounts."""
    decisions, wrong = make_world(rng)
    if name == "copied decisions":  # one account's, all alike and right
        copies = rng.choice(N, round(share * N), replace=False)
        decisions.loc[copies, ["price", "score", "age"]] = (2.5, 0.6, 0.1)
        decisions.loc[copies, ["market", "account_id", "action"]] = ("PL", "flood", "remove")
        decisions.loc[copies, "enforced"], wrong[copies] = True, False
    chosen = decisions["account_id"].isin([f"a{i}" for i in range(ACCOUNTS // 20)]).to_numpy()
    target = chosen & decisions["enforced"].to_numpy()
    drawn = np.flatnonzero(rng.random(N) < 0.2)
    rows = np.concatenate([drawn, drawn[rng.random(len(drawn)) < 0.25]])
    who = rng.integers(0, REVIEWERS, len(rows))
    flags = wrong[rows]  # the others make no mistakes, so that only the attack is measured
    colluding = who < round(share * REVIEWERS)
    if name in ("coalition", "repeated reviews"):
        flags = np.where(colluding & target[rows], True, flags)
    parts = [reviews_of(decisions, rows, who, flags, inclusion_probability=0.2)]
    if name == "repeated reviews":
        again = np.repeat(np.flatnonzero(colluding & target[rows]), 20)
        more = reviews_of(
            decisions, rows[again], who[again], flags[again], inclusion_probability=0.2
        )
        parts.append(more)
    if name == "fake appeals":
        n = round(share * len(rows) / (1 - share))
        some = rng.choice(np.flatnonzero(target), n)
        liars = rng.integers(0, max(round(share * REVIEWERS), 1), n)
        parts.append(reviews_of(decisions, some, liars, np.ones(n, bool), source="appeal"))
    reviews = pd.concat(parts, ignore_index=True)
    reviews["review_id"] = [f"v{i}" for i in range(len(reviews))]
    return decisions, wrong, reviews, chosen


def measure(name: str, share: float, seed: int) -> dict[str, float]:
    """Return what one attack on one world changes."""
    decisions, wrong, reviews, chosen = attack(name, share, np.random.default_rng(seed))
    snapshot = Snapshot(decisions, reviews, rules=LabelRules("votes"))
    overall = estimate_rates(snapshot).frame().set_index("measure").loc["error_rate"]
    truth = wrong.mean()
    labels = snapshot.labels.set_index("decision_id")["label"].reindex(decisions["decision_id"])
    known = labels.isin(["error", "correct"]).to_numpy()
    flipped = known & ((labels == "error").to_numpy() != wrong)
    model = ErrorClassifier(text=False).fit(
        decisions.loc[known, [*FEATURES, "decided_at"]], (labels == "error").to_numpy()[known]
    )
    later, later_wrong = make_world(np.random.default_rng(seed + 10_000))
    p = model.predict_proba(later[[*FEATURES, "decided_at"]])[:, 1]
    y = later_wrong.astype(float)
    return {
        "bias": float(overall["estimate"] - truth),
        "covered": float(overall["low"] <= truth <= overall["high"]),
        "wrong_labels": flipped.sum() / known.sum(),
        "wrong_labels_chosen": flipped[chosen].sum() / max(known[chosen].sum(), 1),
        "average_precision": float(average_precision(y, p)),
        "recall_at_10": float(recall_at(y, p, [0.1])[0]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=40)
    parser.add_argument("--shares", default="0.01,0.05,0.1,0.2")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    chosen = parser.parse_args()
    begun, rows = time.monotonic(), []
    for name in ATTACKS:
        for share in [float(s) for s in chosen.shares.split(",")] if name != "none" else [0.0]:
            runs = pd.DataFrame([measure(name, share, seed) for seed in range(chosen.repetitions)])
            rows.append({"attack": name, "share": share, "repetitions": len(runs), **runs.mean()})
            print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    table.round(4).to_csv(chosen.out / "poisoned_reviews.csv", index=False)
    print(table.round(3).to_string(index=False), f"\n{time.monotonic() - begun:,.0f} seconds")


if __name__ == "__main__":
    main()
