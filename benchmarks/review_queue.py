"""What does a reviewer minute remedy, what does the queue tell of the error rate, is it quick?

    python benchmarks/review_queue.py                        # six marketplaces and a million decisions
    python benchmarks/review_queue.py --seeds 301 --decisions 12000 --skip-large

Each marketplace (`errdetect simulate`, seeds that nothing was tuned on) is cut by time: the first 70 %
with the reviews known by then are learnt from, the rest is scored once. Every order then gets the
same reviewer minutes, a twentieth of what reviewing all would take, and reviewers who find what is
wrong. Harm is the catalogue's, for errors that were there (by the simulator's truth), times
1 + ln(1 + exposure). Each queue is drawn anew many times, and so is the pure audit of as many reviews
whose interval its own is held against. Writes review_queue.csv and .md to benchmarks/results.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from errdetect.config import load_config
from errdetect.data.action_meanings import ALLOW_ACTIONS
from errdetect.data.policy_catalogue import read_policies
from errdetect.estimation.error_rates import estimate_rates
from errdetect.estimation.queue_sample import extend_to_duplicates, read_queue_design
from errdetect.queue.allocation import AccountLimit, Floor, OpenReviews, allocate_reviews
from errdetect.queue.selection import ReviewCandidates, Selection, select_reviews
from errdetect.simulation.marketplace import simulate, write_marketplace
from errdetect.snapshot import Snapshot
from errdetect.workflows.score import score
from errdetect.workflows.train import train

SEEDS = (301, 302, 303, 304, 305, 306)
KNOWN, MINUTES = 0.7, 0.05
REDRAWS = 20


def prepare(place: Path, seed: int, n: int) -> tuple[Path, Path, pd.DataFrame]:
    """Write a marketplace known up to a moment, the decisions after it, and their truth."""
    market = simulate(n, days=180, seed=seed, golden_share=0.03)
    write_marketplace(market, place)
    cut = market.decisions["decided_at"].quantile(KNOWN)
    later = market.decisions["decided_at"] > cut
    fresh = market.decisions[later]
    reviews = market.reviews
    reviews = reviews[
        (reviews["reviewed_at"] <= cut) & ~reviews["decision_id"].isin(fresh["decision_id"])
    ]
    market.decisions[~later].to_parquet(place / "decisions.parquet", index=False)
    reviews.to_parquet(place / "reviews.parquet", index=False)
    fresh.to_parquet(place / "fresh.parquet", index=False)
    (place / "truth.parquet").unlink()
    return place / "config.yaml", place / "fresh.parquet", market.truth


def in_order(known: pd.DataFrame, key: pd.Series, minutes: float) -> pd.Index:
    """Take decisions, the lowest key first, until the minutes are used up."""
    order = known.loc[key.sort_values(kind="stable").index]
    return order.index[order["minutes"].cumsum() <= minutes]


def one_market(seed: int, n: int, shares: list[object]) -> list[dict[str, object]]:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path, fresh, truth = prepare(Path(folder), seed, n)
        settings = ["train.trials=0", "evaluate.bootstrap=50", "gate.min_errors=1"]
        if train(load_config(path, settings)).version is None:
            raise SystemExit(f"seed {seed}: the gate took no model")
        decisions = pd.read_parquet(fresh)
        decisions["enforced"] = ~decisions["action"].isin(ALLOW_ACTIONS)
        known = decisions.merge(truth, on="decision_id").set_index("decision_id", drop=False)
        policies = read_policies(Path(folder) / "policies.yaml")
        harm = [
            policies[p].harm(k) if e else 0.0
            for p, k, e in zip(
                known["policy_id"], known["error_kind"], known["is_error"], strict=True
            )
        ]
        known["true_harm"] = np.array(harm) * (1 + np.log1p(known["exposure"].fillna(0)))
        known["minutes"] = [float(policies[p].review_minutes or 1) for p in known["policy_id"]]
        minutes = MINUTES * float(known["minutes"].sum())
        gain = known["true_harm"]
        first = [f"queue.minutes={minutes}", f"queue.explore_share={shares[0]}"]
        found = score(load_config(path, first), fresh, Path(folder) / "out")
        scores = pd.read_parquet(found.files["scores"])
        again = drawn_anew(scores, shares[0], minutes, "0")[1]
        if not np.allclose(again.inclusion_probability, scores["inclusion_probability"]):
            raise SystemExit("the chances hang on the draw")
        there = known.loc[scores["decision_id"]]
        rows += [ours(seed, there, scores, share, minutes) for share in shares]
        scores = scores.set_index("decision_id")
        orders = {
            "margin order": (known["score"] - known["threshold"]).abs(),
            "oldest first": known["decided_at"].rank(),
            "random": pd.Series(np.random.default_rng(seed).random(len(known)), known.index),
            "highest P(error)": -scores["p_error"].reindex(known.index),
        }
        rows += [
            {
                "seed": seed,
                "order": name,
                "harm remedied": gain[in_order(known, key, minutes)].sum(),
            }
            for name, key in orders.items()
        ]
    return rows


def ours(
    seed: int, known: pd.DataFrame, scores: pd.DataFrame, share: object, minutes: float
) -> dict[str, object]:
    """Measure one queue over its draws: harm remedied, and its interval beside pure audits'."""
    decisions, truth = known.reset_index(drop=True), known["is_error"].mean()
    p = scores.set_index("decision_id")["p_error"]
    draws = []
    for number in range(REDRAWS):
        drawn, chosen = drawn_anew(scores, share, minutes, f"{seed} {number}")
        queue = drawn.iloc[chosen.order]
        if queue["minutes"].sum() > minutes + 1e-6:
            raise SystemExit("the queue takes more minutes than there are")
        reviews = verdicts(known.loc[queue["decision_id"]], "re_review", None)
        reviews = extend_to_duplicates(reviews, drawn)
        snapshot = Snapshot(decisions, reviews)
        design, _ = read_queue_design(snapshot, drawn)
        ours = estimate_rates(snapshot, p_error=p, queue=design).overall.iloc[0]
        rng = np.random.default_rng([seed, number])
        sample = known.sample(len(queue), random_state=rng)
        evenly = verdicts(sample, "audit", len(queue) / len(known))
        audit = estimate_rates(Snapshot(decisions, evenly), p_error=p).overall.iloc[0]
        answered = drawn["job_id"].isin(queue["decision_id"]).to_numpy(bool)
        draws.append(
            {
                "harm remedied": known["true_harm"].to_numpy()[answered].sum(),
                "explored": chosen.explored.mean(),
                "reviews": len(queue),
                "width": ours["high"] - ours["low"],
                "audit's width": audit["high"] - audit["low"],
                "covered": ours["low"] <= truth <= ours["high"],
                "audit covered": audit["low"] <= truth <= audit["high"],
                "score and likelihood": "score" in ours["method"],
                "expected ratio": chosen.width_ratio,
            }
        )
    mean = pd.DataFrame(draws).astype(float).mean()
    return {
        "seed": seed,
        "order": f"errdetect, explore_share {share}",
        **mean,
        "width ratio": mean["width"] / mean["audit's width"],
    }


def drawn_anew(
    scores: pd.DataFrame, share: object, minutes: float, seed: str
) -> tuple[pd.DataFrame, Selection]:
    """Draw the queue of a run's scores again."""
    place = pd.Series(np.arange(len(scores)), scores["decision_id"])
    open_ = scores["arm"].isna() | scores["arm"].isin(["ranked", "explore"])
    candidates = ReviewCandidates(
        scores["value"].to_numpy(), open_.to_numpy(bool), scores["p_error"].to_numpy(),
        scores["minutes"].to_numpy(), heads=place[scores["job_id"]].to_numpy(),
    )  # fmt: skip
    chosen = select_reviews(
        candidates, [minutes], explore_share=share if share == "auto" else float(share), seed=seed
    )
    arm = scores["arm"].where(~open_).astype(object)
    for name, which in (("ranked", ~chosen.explored), ("explore", chosen.explored)):
        arm[scores["job_id"].isin(scores["decision_id"].iloc[chosen.order[which]])] = name
    return scores.assign(arm=arm, inclusion_probability=chosen.inclusion_probability), chosen


def verdicts(decisions: pd.DataFrame, source: str, chance: float | None) -> pd.DataFrame:
    """Review without error: the width is to be compared, not the reviewers."""
    return pd.DataFrame(
        {
            "review_id": source + decisions["decision_id"],
            "decision_id": decisions["decision_id"],
            "source": source,
            "site": "x",
            "verdict": np.where(decisions["is_error"], "overturned", "upheld"),
            "inclusion_probability": np.nan if chance is None else chance,
            "expected": None,
            "reviewed_at": decisions["decided_at"] + pd.Timedelta(days=200),
        }
    ).reset_index(drop=True)


def allocation_gaps(n_instances: int) -> np.ndarray:
    """Give the part of HiGHS' optimum that the allocation reaches, on random small instances."""
    reached = []
    for seed in range(n_instances):
        rng = np.random.default_rng([2024, seed])
        n, n_pools, n_classes = 300, int(rng.integers(2, 8)), 8
        can = rng.random((n_classes, n_pools)) < 0.5
        can[0] = True
        of, minutes = rng.integers(0, n_classes, n), rng.choice([1, 1.5, 2, 3, 4, 6], n)
        value = rng.gamma(0.5, 2, n) / minutes
        room = rng.integers(30, 120, n_pools).astype(float)
        floors = [Floor(of == 1, 15.0)] if seed % 2 and can[1].any() else []
        limit = AccountLimit(rng.integers(0, n // 5, n), 2) if seed % 3 == 0 else None
        jobs = OpenReviews(value, minutes, of, can)
        got = allocate_reviews(jobs, room, floors=floors, limit=limit)
        best = optimum(jobs, room, floors, limit)
        reached.append((value * minutes)[got.pool >= 0].sum() / best)
    return np.array(reached)


def optimum(
    jobs: OpenReviews,
    room: np.ndarray,
    floors: Sequence[Floor] = (),
    limit: AccountLimit | None = None,
) -> float:
    """Give the exact optimum by HiGHS, within a ten-thousandth."""
    value, minutes, of = jobs.value, jobs.minutes, jobs.of
    row, pool = np.nonzero(jobs.can[of])
    k = np.arange(len(row))

    def total(weight, group, n_groups):
        return sparse.csr_array((weight, (group, k)), (n_groups, len(k)))

    rows = [total(np.ones(len(k)), row, len(of)), total(minutes[row], pool, len(room))]
    most = [np.ones(len(of)), room]
    for floor in floors:
        rows.append(-total(minutes[row] * floor.member[row], 0 * row, 1))
        most.append([-floor.minutes])
    if limit is not None:
        n_accounts = limit.account.max() + 1
        rows.append(total(np.ones(len(k)), limit.account[row], n_accounts))
        most.append(np.full(n_accounts, limit.cap))
    found = milp(
        -(value * minutes)[row], integrality=np.ones(len(k)), bounds=Bounds(0, 1),
        constraints=LinearConstraint(sparse.vstack(rows), -np.inf, np.concatenate(most)),
        options={"mip_rel_gap": 1e-4, "time_limit": 30},
    )  # fmt: skip
    return float(-found.fun)


def large(n: int, n_pools: int) -> dict[str, float]:
    """Give the processor seconds of one allocation of many decisions, the median of three."""
    rng = np.random.default_rng(0)
    can = rng.random((300, n_pools)) < 0.15
    can[np.arange(300), rng.integers(0, n_pools, 300)] = True
    of, minutes = rng.integers(0, 300, n), rng.choice([1.0, 1.5, 2, 3, 4, 6], n)
    value, room = rng.gamma(0.5, 2, n) / minutes, rng.integers(200, 900, n_pools).astype(float)
    account = rng.integers(0, n // 5, n)
    floors = [Floor(of % 20 == c, 200.0) for c in range(10)]
    cases = {
        "plain": {},
        "with an account cap": {"limit": AccountLimit(account, 2)},
        "with ten minimum shares": {"floors": floors},
    }
    seconds = {}
    for name, extra in cases.items():
        spent = []
        for _ in range(3):
            start = time.process_time()
            allocate_reviews(OpenReviews(value, minutes, of, can), room, **extra)
            spent.append(time.process_time() - start)
        seconds[name] = float(np.median(spent))
    return seconds


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Mean over marketplaces, and how many times each peer's harm the first order remedies."""
    mean = table.groupby("order", sort=False).mean(numeric_only=True).drop(columns="seed")
    wide = table.pivot_table(index="seed", columns="order", values="harm remedied")
    for peer in ("margin order", "oldest first"):
        mean[f"x {peer}"] = wide.div(wide[peer], axis=0).mean()
    return mean


def markdown(table: pd.DataFrame) -> str:
    head = [table.index.name, *table.columns]
    rows = [
        [name, *("" if v != v else f"{v:.3g}" for v in row)]
        for name, row in zip(table.index, table.to_numpy(), strict=True)
    ]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--decisions", type=int, default=20_000)
    parser.add_argument("--shares", nargs="+", default=["auto", "0.2", "0.3", "0.4", "0.5"])
    parser.add_argument("--instances", type=int, default=30)
    parser.add_argument("--skip-large", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    rows = []
    for seed in options.seeds:
        rows += one_market(seed, options.decisions, options.shares)
        print(f"marketplace {seed} done", file=sys.stderr, flush=True)
    table = pd.DataFrame(rows)
    reached = allocation_gaps(options.instances)
    said = markdown(summary(table))
    text = [
        "# The queue",
        "",
        f"{len(options.seeds)} marketplaces of {options.decisions:,} decisions (seeds "
        f"{', '.join(map(str, options.seeds))}), means; the same reviewer minutes for every order.",
        f"Each queue is drawn {REDRAWS} times. `width ratio`: the error rate's interval over that of an "
        "audit of as many reviews drawn evenly; `expected ratio`: the same, foretold from the scores; "
        "`score and likelihood`: part of the intervals made by that method.",
        "",
        said,
        "",
        f"Allocation: {len(reached)} random instances, {reached.min():.2%} of HiGHS' optimum at the "
        f"least, {reached.mean():.2%} on average.",
    ]
    if not options.skip_large:
        seconds = large(1_000_000, 50)
        text += ["", "Processor seconds for 1,000,000 decisions and 50 pools: "]
        text += [f"- {name}: {spent:.2f}" for name, spent in seconds.items()]
    options.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(options.out / "review_queue.csv", index=False, float_format="%.6g")
    (options.out / "review_queue.md").write_text("\n".join(text) + "\n", encoding="utf-8")
    print("\n".join(text))
    return 0


if __name__ == "__main__":
    sys.exit(main())
