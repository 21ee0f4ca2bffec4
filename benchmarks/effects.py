"""Does the measured effect of a proposal hold? Coverage and false alarms where the truth is known.

    python benchmarks/effects.py                 # all cells, 200 markets each (some 10 minutes)
    python benchmarks/effects.py --draws 50 --cells wander

Writes effects.csv and effects.md to benchmarks/results. Each draw is a market of 9 policies over 120
days, one slice of which is changed on day 60 and audited by people who do not err. `covered` is the
share of 95 % intervals that hold the true effect; `alarms` the share of markets where the verdict is
improved or worsened though the truth says otherwise; `told` the share told `improved`. `naive` is
the plain difference of before and after, with its own 95 % interval: what most teams do.
"""

import argparse
import re
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from errdetect.changes.measured_effects import measure_effects
from errdetect.snapshot import Snapshot

DAY = pd.Timedelta(days=1)
START = pd.Timestamp("2026-01-01", tz="UTC")
CHANGE, DAYS, POLICIES = 60, 120, 9
SLICE, OTHERS = 0.20, 0.06


@dataclass(frozen=True)
class Cell:
    name: str
    effect: float = 0.0  # true change of the slice's error rate
    trend: str = "none"  # none, adds, multiplies: what moves every rate
    wander: float = 0.0  # each policy's own move, as a share of its rate (standard deviation)
    slice_reviews: int = 400  # audited decisions of the slice, before and after together
    design: str = "uniform"  # uniform, or unequal (leaning towards likely errors)
    found: bool = False  # the slice is the worst of 40 alike, found on the time before
    looks: int = 1


CELLS = [
    *(
        Cell(f"trend {trend}, effect={effect:g}", effect=effect, trend=trend)
        for trend in ("none", "adds", "multiplies")
        for effect in (0.0, -0.08)
    ),
    *(
        Cell(
            f"unequal chances, trend adds, effect={effect:g}",
            effect=effect,
            design="unequal",
            trend="adds",
        )
        for effect in (0.0, -0.08)
    ),
    *(Cell(f"policies wander by {w:.0%}, effect=0", wander=w) for w in (0.15, 0.3, 0.5)),
    Cell("found on the time before, effect=0", found=True),
    Cell("found on the time before, effect=-0.08", found=True, effect=-0.08),
    Cell("six looks, effect=0", looks=6, slice_reviews=400),
]


def market(cell: Cell, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame, float]:
    """Decisions, audit reviews, and the true effect on the slice."""
    share = 0.12
    n = round(cell.slice_reviews / share / 0.3)
    day = rng.uniform(0, DAYS, n)
    after = day >= CHANGE
    policy = rng.choice(np.arange(POLICIES), n, p=[share, *[(1 - share) / 8] * 8])
    level = np.concatenate([[SLICE], OTHERS * np.exp(rng.normal(0, 0.3, POLICIES - 1))])
    moved = np.maximum(1 + cell.wander * rng.normal(size=POLICIES), 0.0)
    later = level * moved
    if cell.trend == "adds":
        later = later + 0.03
    elif cell.trend == "multiplies":
        later = later * 1.4
    later[0] += cell.effect
    rate = np.where(after, later[policy], level[policy])
    wrong = rng.random(n) < np.clip(rate, 0, 1)
    # Each policy errs on either side alike.
    chance = np.full(n, 0.3)
    if cell.design == "unequal":
        hint = np.clip(rate * rng.lognormal(0, 0.7, n) * np.where(wrong, 1.5, 0.9), 0.003, 0.9)
        lean = np.sqrt(hint * (1 - hint))
        chance = np.clip(0.3 * (0.25 + 0.75 * lean / lean.mean()), 0, 1)
    drawn = rng.random(n) < chance
    ids = np.array([f"d{i}" for i in range(n)])
    decisions = pd.DataFrame({
        "decision_id": ids, "decided_at": START + DAY * day, "enforced": rng.random(n) < 0.5,
        "policy_id": np.char.add("p", policy.astype(str)),
    })  # fmt: skip
    reviews = pd.DataFrame({
        "review_id": ids, "decision_id": ids, "source": "audit", "site": "x", "expected": None,
        "reviewed_at": decisions["decided_at"] + DAY, "inclusion_probability": chance,
        "verdict": np.where(wrong, "overturned", "upheld"),
    })[drawn]  # fmt: skip
    return decisions, reviews, cell.effect


def found_market(cell: Cell, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame, float]:
    """The same, where the slice was picked on days 0 to 30 as the worst of 40 of equal rates."""
    decisions, reviews, effect = market(cell, rng)
    mine = decisions["policy_id"] == "p0"
    early = mine & (decisions["decided_at"] < START + 30 * DAY)
    audited = early & decisions["decision_id"].isin(reviews["decision_id"])
    n = int(audited.sum())
    worst = rng.binomial(n, SLICE, 40).max()
    # Swap in the worst of 40: as many errors among the slice's early audited decisions.
    names = decisions.loc[audited, "decision_id"].to_numpy()
    flip = set(rng.permutation(names)[:worst])
    ours = reviews["decision_id"].isin(names)
    verdict = np.where(reviews["decision_id"].isin(flip), "overturned", "upheld")
    return decisions, reviews.assign(verdict=np.where(ours, verdict, reviews["verdict"])), effect


def naive(reviews: pd.DataFrame, decisions: pd.DataFrame) -> tuple[float, float]:
    """95 % limits of the plain difference, by Wald's rule on weighted rates."""
    own = reviews.merge(decisions.loc[decisions["policy_id"] == "p0"], on="decision_id")
    after = own["decided_at"] >= START + CHANGE * DAY
    total, variance = 0.0, 0.0
    for sign, part in ((1, own[after]), (-1, own[~after])):
        weight = 1 / part["inclusion_probability"].to_numpy()
        wrong = (part["verdict"] == "overturned").to_numpy(float)
        rate = np.average(wrong, weights=weight)
        total += sign * rate
        variance += float((weight**2 * (wrong - rate) ** 2).sum() / weight.sum() ** 2)
    return total - 1.96 * variance**0.5, total + 1.96 * variance**0.5


def run(cell: Cell, draws: int, seed: int) -> dict[str, object]:
    rows = []
    began = time.perf_counter()
    for draw in range(draws):
        rng = np.random.default_rng([seed, draw])
        decisions, reviews, effect = (found_market if cell.found else market)(cell, rng)
        snapshot = Snapshot(decisions, reviews)
        proposal = pd.DataFrame({
            "proposal_id": ["p"], "policy_id": "p0", "state": "accepted",
            "effective_from": START + CHANGE * DAY, "expected": -0.08,
            "evidence_until": START + 31 * DAY if cell.found else pd.NaT,
        })  # fmt: skip
        alarm, told = False, False
        for look in range(1, cell.looks + 1):
            until = START + DAY * (CHANGE + (DAYS - CHANGE) * look / cell.looks)
            row = measure_effects(snapshot.before(until), proposal.assign(look=look)).iloc[0]
            told |= row["verdict"] == "improved"
            wrong = {"improved": effect >= 0, "worsened": effect <= 0}
            alarm |= wrong.get(row["verdict"], False)
        low, high = naive(reviews, decisions)
        rows.append({
            "covered": row["low"] <= effect <= row["high"], "error": row["estimate"] - effect,
            "half_width": (row["high"] - row["low"]) / 2, "alarms": alarm, "told": told,
            "apart": row["trend"] == "apart", "no_effect": row["verdict"] == "no_effect",
            "naive_covered": low <= effect <= high,
            "naive_alarms": (high < 0 <= effect) or (low > 0 >= effect),
        })  # fmt: skip
    table = pd.DataFrame(rows)
    spent = time.perf_counter() - began
    print(f"{cell.name}: {spent:.0f} s", flush=True)
    return {"cell": cell.name, "draws": draws, **table.mean().round(4).to_dict()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--cells", default="", help="a regular expression")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    chosen = [cell for cell in CELLS if re.search(options.cells, cell.name)]
    options.out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, object]] = []
    for cell in chosen:  # each look costs a measurement, so many looks get fewer markets
        rows.append(run(cell, max(options.draws // min(cell.looks, 4), 1), options.seed))
        table = pd.DataFrame(rows)
        table.to_csv(options.out / "effects.csv", index=False)
        (options.out / "effects.md").write_text(text(table), encoding="utf-8")


def text(table: pd.DataFrame) -> str:
    head = list(table.columns)
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
    lines += ["| " + " | ".join(str(v) for v in row) + " |" for row in table.to_numpy().tolist()]
    return f"# What proposals did: measured\n\n{__doc__.strip()}\n\n" + "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
