"""Do the intervals hold, and how wide are they? Coverage over repeated audits of a known truth.

    python benchmarks/interval_coverage.py --jobs 2             # all cells, 400 audits each (about half an hour)
    python benchmarks/interval_coverage.py --draws 100 --cells "perfect.*n=1000"
    python benchmarks/interval_coverage.py --cells "rate=0.05" --jobs 2

Writes coverage.csv and coverage.md to benchmarks/results. Each cell draws audits of one population
of 100,000 decisions. Width is relative to the mean width of a uniform audit's Clopper-Pearson
interval at the same number of reviews with reviewers who do not err.
"""

import argparse
import re
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import beta, binom
from sklearn.linear_model import LogisticRegression

from errdetect.estimation.domains import Domains, bin_p_error, bin_variance_factors
from errdetect.estimation.misclassification import golden_misclassification, without_false_positives
from errdetect.estimation.misclassification_intervals import Misclassification
from errdetect.estimation.sampling_designs import (
    draw_sample,
    neyman_allocation,
    unequal_probabilities,
)
from errdetect.estimation.score_intervals import rate_intervals
from errdetect.labels.verdicts import GoldenItems
from errdetect.stats.intervals import Interval

N = 100_000
AUROC = 0.88
RATES = (0.003, 0.01, 0.05, 0.2)
DESIGNS = ("uniform", "stratified", "towards")
REVIEWERS = ("perfect", "golden", "adjudicated")
RANKERS = ("good", "miscalibrated", "useless")
SIZES = (200, 1000, 5000)
SCOPES = ("whole", "segment")

#: Three sites of unequal work: share, sensitivity and false alarms at middling difficulty.
SITES = ((0.5, 0.95, 0.02), (0.3, 0.93, 0.03), (0.2, 0.88, 0.05))
#: How strongly an item's difficulty moves a reviewer's odds.
DIFFICULTY = 0.7
GOLDEN_PER_SITE = 300
#: Share of wrongful actions that are appealed with success; the rest nobody hears of.
APPEALED = 0.1
BANDS = (0.5, 0.8, 0.95, 0.99)
FLOOR = 0.25
#: The peers' intervals take longer than all the rest, so they see only so many audits of a cell.
PEER_AUDITS = 100


@dataclass(frozen=True)
class Cell:
    rate: float
    design: str
    reviewers: str
    ranker: str
    n: int
    scope: str

    def __str__(self) -> str:
        return (
            f"rate={self.rate} design={self.design} reviewers={self.reviewers} "
            f"ranker={self.ranker} n={self.n} scope={self.scope}"
        )


@dataclass(frozen=True)
class World:
    """A population with its truth."""

    p: np.ndarray
    wrong: np.ndarray
    features: np.ndarray
    difficulty: np.ndarray
    site: np.ndarray
    segment: np.ndarray
    of_kind: dict[bool, np.ndarray]


@lru_cache(maxsize=4)
def world(rate: float, seed: int) -> World:
    rng = np.random.default_rng([seed, int(rate * 1000)])
    features = rng.standard_normal((N, 2))
    x = features.sum(axis=1) / np.sqrt(2)

    def risk(spread: float) -> np.ndarray:
        base = brentq(lambda b: expit(b + spread * x).mean() - rate, -30, 10)
        return expit(base + spread * x)

    def auroc(spread: float) -> float:
        p = np.sort(risk(spread))
        return float((p * np.cumsum(1 - p)).sum() / (p.sum() * (1 - p).sum()))

    p = risk(brentq(lambda s: auroc(s) - AUROC, 0.1, 6, xtol=1e-3))
    share = np.array([s[0] for s in SITES])
    wrong = rng.random(N) < p
    return World(
        p=p,
        wrong=wrong,
        features=features,
        # Decisions near the boundary are harder, so reviewers' error leans on P(error).
        difficulty=DIFFICULTY * (rng.standard_normal(N) + 0.5 * (x - x[wrong].mean())),
        site=rng.choice(len(SITES), N, p=share),
        segment=rng.random(N) < np.where(x > 0, 0.3, 0.1),
        of_kind={kind: np.flatnonzero(wrong == kind) for kind in (True, False)},
    )


def ranker(cell: Cell, w: World, rng: np.random.Generator) -> np.ndarray:
    if cell.ranker == "miscalibrated":
        return np.clip(2 * w.p**1.3, 0, 0.99)
    if cell.ranker == "useless":
        return rng.permutation(w.p)
    if cell.ranker == "blind":  # half of the errors look like right decisions
        p = w.p.copy()
        hidden = np.flatnonzero(w.wrong & (rng.random(N) < 0.5))
        p[hidden] = rng.choice(w.p[~w.wrong], len(hidden))
        return p
    return w.p


def chances(design: str, p: np.ndarray, n: int) -> np.ndarray:
    if design == "uniform":
        return np.full(N, n / N)
    if design == "towards":
        return unequal_probabilities(np.clip(p, 1e-5, 1 - 1e-5), n, floor=FLOOR)
    band = np.searchsorted(np.unique(np.quantile(p, BANDS)), p)
    size = np.bincount(band)
    rate = np.bincount(band, p) / np.maximum(size, 1)
    given = neyman_allocation(size, rate, n, floor=FLOOR, minimum=2)
    return (given / np.maximum(size, 1))[band]


def said_error(w: World, at: np.ndarray, site: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    found, alarm = (logit(np.array([s[i] for s in SITES]))[site] for i in (1, 2))
    hard = w.difficulty[at]
    chance = np.where(w.wrong[at], expit(found - hard), expit(alarm + hard))
    return rng.random(len(at)) < chance


def golden_items(w: World, rng: np.random.Generator) -> GoldenItems:
    """Half errors and half right decisions, drawn at random from each kind, for every site."""
    half = GOLDEN_PER_SITE // 2
    at = np.concatenate(
        [rng.choice(w.of_kind[kind], half) for _ in SITES for kind in (True, False)]
    )
    site = np.repeat(np.arange(len(SITES)), 2 * half)
    said, truth = said_error(w, at, site, rng), w.wrong[at]
    item = np.arange(len(at))
    return GoldenItems(item, site, np.full(len(at), -1), truth, said, truth, said)


def stack(parts: list[Misclassification]) -> Misclassification:
    def of(name: str) -> Interval:
        return Interval(
            *(
                np.concatenate([getattr(getattr(part, name), v) for part in parts])
                for v in ("estimate", "low", "high")
            )
        )

    return Misclassification(of("found"), of("alarm"))


def cross_fitted(w: World, drawn: np.ndarray, said: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """P(error) learnt from the audit's own labels: out of fold where drawn, the mean elsewhere."""
    fold = np.arange(len(drawn)) % 5
    parts = []
    for k in range(5):
        rest = fold != k
        if len(np.unique(said[rest])) < 2:
            return np.full(N, max(float(np.average(said, weights=weight)), 1e-4))
        model = LogisticRegression(C=1.0)
        model.fit(w.features[drawn[rest]], said[rest], weight[rest] / weight[rest].mean())
        parts.append(model.predict_proba(w.features)[:, 1])
    p = np.mean(parts, axis=0)
    for k in range(5):
        p[drawn[fold == k]] = parts[k][drawn[fold == k]]
    return p


def gather(
    inside: np.ndarray,
    audits: list[np.ndarray],
    controls: list[np.ndarray],
    probability: np.ndarray,
    said: list[np.ndarray],
) -> Domains:
    """Each audit is one cell, so that all are solved at once."""
    fields: dict[str, list[np.ndarray]] = {name: [] for name in Domains.__dataclass_fields__}
    bins, last = None, None
    for number, (drawn, control, verdict) in enumerate(zip(audits, controls, said, strict=True)):
        if control is not last:
            bins, last = bin_p_error(control, N), control
            count = np.bincount(bins.of[inside], minlength=len(bins.logit)).astype(float)
        weight = 1 / probability[drawn]
        spread = bin_variance_factors(bins, drawn, weight)
        kept = inside[drawn]
        at = bins.of[drawn[kept]]
        for name, values in {
            "bin_cell": np.full(len(count), number),
            "bin_logit": bins.logit,
            "bin_count": count,
            "bin_spread": spread,
            "draw_cell": np.full(int(kept.sum()), number),
            "draw_logit": bins.logit[at],
            "draw_weight": weight[kept],
            "draw_error": verdict[kept].astype(float),
        }.items():
            fields[name].append(values)
    del fields["size"]
    return Domains(size=len(audits), **{name: np.concatenate(v) for name, v in fields.items()})


def reviewed(
    cell: Cell, w: World, inside: np.ndarray, audits: list[np.ndarray], prob: np.ndarray,
    rng: np.random.Generator,
) -> tuple[list[np.ndarray], Misclassification | None]:  # fmt: skip
    """What the reviews say of each audit, and what golden items say of the reviewers."""
    if cell.reviewers == "perfect":
        return [w.wrong[drawn] for drawn in audits], None
    said, rates = [], []
    for drawn in audits:
        verdict = said_error(w, drawn, w.site[drawn], rng)
        kept = inside[drawn]
        share = np.bincount(w.site[drawn[kept]], 1 / prob[drawn[kept]], len(SITES))
        share = share[None] / max(share.sum(), 1e-300)
        golden = golden_misclassification(
            golden_items(w, rng), share, action_only=False, enforced=None
        )
        if golden is None:
            raise RuntimeError("the benchmark's golden items are too few")
        if cell.reviewers == "adjudicated":
            verdict, golden = verdict & w.wrong[drawn], without_false_positives(golden)
        said.append(verdict)
        rates.append(golden)
    return said, stack(rates)


def clopper_pearson(x: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    with np.errstate(invalid="ignore"):
        low = np.where(x > 0, beta.ppf(0.025, x, n - x + 1), 0.0)
        return low, np.where(x < n, beta.ppf(0.975, x + 1, n - x), 1.0)


def classical_width(rate: float, n: int) -> float:
    """Mean width of a uniform audit's Clopper-Pearson interval."""
    x = np.arange(n + 1)
    chance = binom.pmf(x, n, rate)
    low, high = clopper_pearson(x, np.full(n + 1, n))
    return float((chance * (high - low)).sum())


def peers(
    cells: Domains, controls: list[np.ndarray], inside: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Intervals of the naive mean, plain AIPW and ppi-python on the same audits."""
    from ppi_py import ppi_mean_ci  # once main() took this folder off the path

    n, x = cells.draws, cells.sum_draws(cells.draw_error)
    found = {"naive": clopper_pearson(np.round(x), n)}
    low, high = np.zeros((2, cells.size)), np.zeros((2, cells.size))
    total = cells.decisions
    ends = np.cumsum(n.astype(int))[:-1]
    parts = zip(*(np.split(v, ends) for v in
                  (cells.draw_error, cells.draw_logit, cells.draw_weight)), strict=True)  # fmt: skip
    for i, (error, at, weight) in enumerate(parts):
        control = controls[i][inside]
        residual = weight * (error - expit(at)) * len(error) / total[i]
        half = 1.96 * residual.std(ddof=1) / np.sqrt(len(error))
        aipw = control.mean() + residual.mean()
        low[0, i], high[0, i] = aipw - half, aipw + half
        ends_ppi = ppi_mean_ci(error, expit(at), control, alpha=0.05, w=weight)
        low[1, i], high[1, i] = float(ends_ppi[0][0]), float(ends_ppi[1][0])
    found["aipw"], found["ppi"] = (low[0], high[0]), (low[1], high[1])
    return found


def run(job: tuple[Cell, int, int]) -> dict[str, object]:
    """All audits of one cell."""
    cell, n_audits, seed = job
    started = time.perf_counter()
    w = world(cell.rate, seed)
    rng = np.random.default_rng([seed, *str(cell).encode()])
    control = ranker(cell, w, rng)
    inside = w.segment if cell.scope == "segment" else np.ones(N, dtype=bool)
    truth = float(w.wrong[inside].mean())
    prob = chances(cell.design, control, cell.n)
    rows: list[dict[str, np.ndarray]] = []
    batch = max(1, min(100, 400_000 // cell.n))
    for start in range(0, n_audits, batch):
        count = min(batch, n_audits - start)
        by_peers = start < PEER_AUDITS
        audits = [draw_sample(prob, rng) for _ in range(count)]
        said, reviewers = reviewed(cell, w, inside, audits, prob, rng)
        controls = [control] * count
        if cell.ranker == "crossfit":
            controls = [
                cross_fitted(w, drawn, verdict, 1 / prob[drawn])
                for drawn, verdict in zip(audits, said, strict=True)
            ]
        cells = gather(inside, audits, controls, prob, said)
        ours = rate_intervals(cells, reviewers=reviewers, whole=cell.scope == "whole")
        found = {"errdetect": (ours.low, ours.high)}
        if by_peers:
            found |= peers(cells, controls, inside)
        errors = [float(w.wrong[d][inside[d]].sum()) for d in audits]
        rows.append(
            {
                "errors": np.array(errors),
                "estimate": ours.estimate,
                **{f"{name}_low": limits[0] for name, limits in found.items()},
                **{f"{name}_high": limits[1] for name, limits in found.items()},
            }
        )
    return summary(cell, truth, inside, pd.concat([pd.DataFrame(r) for r in rows]), started)


def summary(
    cell: Cell, truth: float, inside: np.ndarray, audits: pd.DataFrame, started: float
) -> dict[str, object]:
    classical = classical_width(truth, round(cell.n * inside.mean()))
    row: dict[str, object] = {
        **cell.__dict__,
        "audits": len(audits),
        "truth": truth,
        "errors_per_audit": audits["errors"].mean(),
        "bias": audits["estimate"].mean() / truth - 1,
        "missed_below": (audits["errdetect_high"] < truth).mean(),
        "missed_above": (audits["errdetect_low"] > truth).mean(),
    }
    for name in ("errdetect", "naive", "aipw", "ppi"):
        limits = audits[[f"{name}_low", f"{name}_high"]].dropna()
        low, high = limits[f"{name}_low"], limits[f"{name}_high"]
        row[f"{name}_coverage"] = ((low <= truth) & (truth <= high)).mean()
        row[f"{name}_width"] = (high - low).mean() / classical
    # The proxy counts successful appeals among all decisions and claims to know them all.
    claimed = np.round(APPEALED * truth * inside.sum())
    low, high = clopper_pearson(claimed, inside.sum())
    row["proxy_coverage"] = float(low <= truth <= high)
    row["proxy_claims"] = claimed / inside.sum() / truth
    row["seconds"] = time.perf_counter() - started
    return row


def table(frame: pd.DataFrame) -> str:
    """Markdown: one line a cell."""
    keys = ("rate", "design", "reviewers", "ranker", "n", "scope")
    names = (*keys, "errors", "coverage", "width", "naive", "AIPW", "ppi", "proxy")
    lines = ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
    for row in frame.to_dict("records"):
        peers_text = [
            f"{row[f'{k}_coverage']:.3f} / {row[f'{k}_width']:.2f}"
            for k in ("naive", "aipw", "ppi")
        ]
        values = [
            *(str(row[key]) for key in keys),
            f"{row['errors_per_audit']:.1f}",
            f"{row['errdetect_coverage']:.3f}",
            f"{row['errdetect_width']:.2f}",
            *peers_text,
            f"{row['proxy_coverage']:.0f}",
        ]
        lines.append("| " + " | ".join(values) + " |")
    return "\n".join(lines) + "\n"


def all_cells(extra: bool) -> list[Cell]:
    cells = [Cell(r, d, v, k, n, s) for s, r, d, v, k, n in
             product(SCOPES, RATES, DESIGNS, REVIEWERS, RANKERS, SIZES)]  # fmt: skip
    if extra:
        cells += [Cell(r, d, v, k, n, "whole") for r, d, v, k, n in
                  product(RATES, DESIGNS, REVIEWERS, ("blind", "crossfit"), SIZES[:2])]  # fmt: skip
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description="Coverage and width of errdetect's intervals.")
    parser.add_argument("--draws", type=int, default=400, help="audits in each cell")
    parser.add_argument("--cells", default="", help="regular expression on a cell's description")
    parser.add_argument("--extra", action="store_true", help="also blind and cross-fitted rankers")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    # numba, under ppi-python, imports a package of this file's name: it must not find this file.
    here = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != here]
    cells = [c for c in all_cells(options.extra) if re.search(options.cells, str(c))]
    options.out.mkdir(parents=True, exist_ok=True)
    rows = []
    with ProcessPoolExecutor(options.jobs) as pool:
        results = pool.map(run, [(cell, options.draws, options.seed) for cell in cells])
        for number, (cell, row) in enumerate(zip(cells, results, strict=True), start=1):
            rows.append(row)
            print(
                f"{number}/{len(cells)} {cell}: coverage {row['errdetect_coverage']:.3f} "
                f"width {row['errdetect_width']:.2f} ({row['seconds']:.0f} s)",
                file=sys.stderr, flush=True,
            )  # fmt: skip
    frame = pd.DataFrame(rows)
    frame.drop(columns="seconds").to_csv(
        options.out / "coverage.csv", index=False, float_format="%.5g"
    )
    (options.out / "coverage.md").write_text(table(frame), encoding="utf-8")


if __name__ == "__main__":
    main()
