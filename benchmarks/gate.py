"""How often does the gate let a model pass? Noise, worse, equal and better challengers, simulated.

    python benchmarks/gate.py                  # 100 repetitions each
    python benchmarks/gate.py --repetitions 50 --seed 1

Writes gate.csv and gate.md to benchmarks/results. Each repetition draws held-out audited decisions of
accounts, in two markets: their errors, the machine's margin, the segment rate, a champion, and a challenger,
whose rankings share a part of their noise. In the design `weighted`, the audit draws decisions near the
machine's threshold five times as often. The true average precision of each ranking is that of
400,000 decisions.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from errdetect.model.detector import Examples
from errdetect.model.evaluation import HeldOut
from errdetect.model.gate import Champion, GateRules, ModelFacts, apply_gate
from errdetect.stats.ranking_metrics import average_precision

RESULTS = Path(__file__).parent / "results"
LABELS = (100, 380, 1000, 2000)
CHAMPION_NOISE, MARGIN_NOISE, SHARED = 0.6, 1.8, 0.75
CHEAP, DEAR = ModelFacts(1.0), ModelFacts(2.0)


@dataclass(frozen=True)
class Case:
    """A challenger: its noise by name, whether there is a champion, and whether it is cheaper."""

    name: str
    noise: float | None
    champion: bool = True
    cheaper: bool = False


class World:
    """Errors and rankings of decisions: a signal with the noise of each ranking, and calibrated P(error)."""

    def __init__(self, rate: float) -> None:
        self.signal, self.rate, self.shift = 1.8, rate, 0.0
        z = np.random.default_rng(0).normal(size=400_000)
        low, high = -12.0, 4.0
        for _ in range(60):
            self.shift = (low + high) / 2
            low, high = (self.shift, high) if self._error(z).mean() < rate else (low, self.shift)
        self._curves: dict[float, tuple[np.ndarray, np.ndarray]] = {}

    def _error(self, z: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-(self.shift + self.signal * z)))

    def draw(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Signal, errors and accounts of n decisions; decisions of one account resemble each other."""
        account = rng.integers(0, max(n // 2, 1), n)
        own = rng.normal(size=account.max() + 1)
        z = np.sqrt(0.2) * own[account] + np.sqrt(0.8) * rng.normal(size=n)
        return z, (rng.random(n) < self._error(z)).astype(float), account

    def ranking(self, z: np.ndarray, noise: np.ndarray, sd: float) -> np.ndarray:
        """Calibrated P(error) given a noisy view of the signal."""
        if sd not in self._curves:
            rng = np.random.default_rng(1)
            true = rng.normal(size=400_000)
            seen = np.sort(true + sd * rng.normal(size=len(true)))
            # The signal given what is seen is normal; its P(error) is averaged by quadrature.
            nodes, weight = np.polynomial.hermite_e.hermegauss(21)
            grid = np.quantile(seen, np.linspace(0, 1, 400))
            mean, spread = grid / (1 + sd**2), sd / np.sqrt(1 + sd**2)
            p = self._error(mean[:, None] + spread * nodes) @ (weight / weight.sum())
            self._curves[sd] = (grid, p)
        return np.interp(z + sd * noise, *self._curves[sd])

    def precision(self, sd: float | None) -> float:
        """The true average precision of a ranking; of a random order for None."""
        if sd is None:
            return self.rate
        rng = np.random.default_rng(2)
        z = rng.normal(size=400_000)
        y = (rng.random(len(z)) < self._error(z)).astype(float)
        return average_precision(y, self.ranking(z, rng.normal(size=len(z)), sd))

    def noise_for(self, precision: float) -> float:
        """The noise with which a ranking has this average precision."""
        low, high = 0.01, 8.0
        for _ in range(25):
            middle = round((low + high) / 2, 4)
            low, high = (middle, high) if self.precision(middle) > precision else (low, middle)
        return middle


def passes(world: World, case: Case, n: int, design: str, rng: np.random.Generator) -> str:
    """The gate's answer to one challenger."""
    z, y, account = world.draw(4 * n if design == "weighted" else n, rng)
    shared = rng.normal(size=len(z))

    def view(sd: float) -> np.ndarray:
        own = rng.normal(size=len(z))
        return world.ranking(z, np.sqrt(SHARED) * shared + np.sqrt(1 - SHARED) * own, sd)

    margin, segment = view(MARGIN_NOISE), np.round(view(2 * MARGIN_NOISE), 2)
    champion = view(CHAMPION_NOISE)
    p = rng.permutation(champion) if case.noise is None else view(case.noise)
    weight = np.ones(len(z))
    if design == "weighted":
        chance = np.where(margin > np.quantile(margin, 0.8), 5.0, 1.0)
        chance *= n / chance.sum()
        kept = rng.random(len(z)) < chance
        weight = 1 / chance
        z, y, account, margin, segment, champion, p, weight = (
            a[kept] for a in (z, y, account, margin, segment, champion, p, weight)
        )
    frame = pd.DataFrame(
        {"account_id": account.astype(str), "market": np.where(account % 2, "DE", "FR")}
    )
    held = HeldOut(Examples(frame, y, y, np.ones(len(y)), weight), p, weight)
    facts = DEAR if not case.cheaper else CHEAP
    now = Champion("1", champion, np.ones(len(y), bool), DEAR) if case.champion else None
    rankings = {"margin": margin, "segment rate": segment}
    result = apply_gate(
        held, rankings, GateRules(), champion=now, facts=facts, seed=int(rng.integers(1 << 30))
    )
    return result.answer


def run(
    rate: float, repetitions: int, seed: int, designs: tuple[str, ...] = ("uniform", "weighted")
) -> pd.DataFrame:
    """Pass rates of every case."""
    world = World(rate)
    now = world.precision(CHAMPION_NOISE)
    margin = world.precision(MARGIN_NOISE)
    cases = [
        Case("noise, no champion", None, champion=False),
        Case("margin's equal, no champion", MARGIN_NOISE, champion=False),
        Case("below margin (-.03), no champion", world.noise_for(margin - 0.03), champion=False),
        Case("champion's equal, no champion yet", CHAMPION_NOISE, champion=False),
        Case("worse (-.05)", world.noise_for(now - 0.05)),
        Case("equal", CHAMPION_NOISE),
        Case("better (+.05)", world.noise_for(now + 0.05)),
        Case("cheaper, worse by the margin (-.01)", world.noise_for(now - 0.01), cheaper=True),
        Case("cheaper, equal", CHAMPION_NOISE, cheaper=True),
    ]
    rows = []
    for design in designs:
        for n in LABELS:
            for k, case in enumerate(cases):
                rng = np.random.default_rng([seed, n, k, design == "weighted"])
                answers = [passes(world, case, n, design, rng) for _ in range(repetitions)]
                share = {
                    a: answers.count(a) / repetitions for a in ("validated", "rejected", "unknown")
                }
                rows.append({"error_rate": rate, "design": design, "labels": n, "challenger": case.name,
                             "average_precision": world.precision(case.noise), **share})  # fmt: skip
                print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def markdown(table: pd.DataFrame, repetitions: int, seed: int) -> str:
    """The share of repetitions that passed, by challenger and number of audited decisions."""
    lines = [
        "# Pass rates of the gate",
        "",
        f"`python benchmarks/gate.py --repetitions {repetitions} --seed {seed}`: share of {repetitions} "
        "simulated challengers that the gate validated, by held-out audited decisions, of which about "
        f"{table['error_rate'].iloc[0]:.0%} are errors. Three quarters of the variance of the rankings' noise "
        "is shared.",
    ]
    for design, part in table.groupby("design"):
        ap = part.groupby("challenger", sort=False)["average_precision"].first()
        wide = part.pivot_table("validated", "challenger", "labels").loc[ap.index]
        lines += ["", f"## {str(design).capitalize()} audit", ""]
        lines.append(
            "| challenger | average precision | " + " | ".join(f"{n:,}" for n in wide) + " |"
        )
        lines.append("| --- " * (2 + len(wide.columns)) + "|")
        for name, row in wide.iterrows():
            shares = " | ".join(f"{v:.1%}" for v in row)
            lines.append(f"| {name} | {ap[name]:.3f} | {shares} |")
    lines += [
        "",
        "With 100 decisions there are mostly fewer than 20 errors, and the answer is `unknown`. An equal model that is "
        "cheaper passes by the margin of .01 as far as the data allow.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Simulate and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=100)
    parser.add_argument("--rate", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    told = parser.parse_args()
    table = run(told.rate, told.repetitions, told.seed)
    table.round(4).to_csv(told.out / "gate.csv", index=False)
    (told.out / "gate.md").write_text(
        markdown(table, told.repetitions, told.seed), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
