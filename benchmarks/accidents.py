"""Do the intervals survive the accidents of real audits? Coverage where answers are late, lost or drawn oddly.

    python benchmarks/accidents.py                          # every accident, 200 audits each
    python benchmarks/accidents.py --draws 50 --only late   # some of them

Writes accidents.csv and accidents.md to benchmarks/results. Each audit is of a log of 10,000 decisions
over 120 days, about 10 % of it drawn, with reviewers who do not err. `coverage` is the share of audits
whose 95 % interval holds the true error rate of the period that the estimate names (`period_from` to
`period_to`; refusals and suppressed figures count as held and are shown beside it), `whole_log` the same
for the whole log's rate; `warned` is the share of audits with a warning, `width` the mean width.
"""

import argparse
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import repeat
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, logit

from errdetect.errors import ErrdetectError
from errdetect.estimation.error_rates import estimate_rates
from errdetect.estimation.sampling_designs import draw_sample, unequal_probabilities
from errdetect.snapshot import Snapshot

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Rng = np.random.Generator

N, DAYS, SHARE = 10_000, 120, 0.1
START = pd.Timestamp("2026-01-01", tz="UTC")
DAY = pd.Timedelta(days=1)
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Log:
    """A log with its truth, and an audit of it."""

    frame: pd.DataFrame  # decisions with day, p (calibrated P(error)), error
    pi: Floats  # the true inclusion probability
    logged: Floats  # the one in the log
    drawn: Bools
    delay: Floats  # days between decision and review
    lost: Bools  # drawn, but the answer never arrives
    recorded: bool = False  # whether the draw is recorded
    ranker: Floats | None = None
    more: list[tuple[Floats, Bools]] = field(default_factory=list)  # further audits


def base(rng: Rng, *, rate: float = 0.08, ranker: str = "good", design: str = "uniform") -> Log:
    """Draw a log and an audit in which nothing goes wrong."""
    risk = rng.normal(size=N) * 1.7
    shift = np.linspace(-14, 14, 800)
    shift = shift[np.searchsorted([expit(risk + s).mean() for s in shift], rate).clip(0, 799)]
    p = expit(risk + shift) if 0 < rate < 1 else np.full(N, rate)
    frame = pd.DataFrame(
        {
            "decision_id": [f"d{i}" for i in range(N)],
            "day": np.sort(rng.uniform(0, DAYS, N)),
            "market": rng.choice([f"M{i:02d}" for i in range(20)], N),
            "policy_id": rng.choice([f"P{i}" for i in range(10)], N, p=_shares(10)),
            "enforced": rng.random(N) < 0.3,
            "account_id": [f"a{i}" for i in rng.integers(0, N // 4, N)],
            "p": p,
            "error": rng.random(N) < p,
        }
    )
    seen = {"good": p, "useless": np.full(N, max(rate, 1e-3))}[ranker]
    pi = np.full(N, SHARE)
    if design == "unequal":
        pi = unequal_probabilities(np.clip(seen, 1e-4, 1 - 1e-4), N * SHARE)
    if design == "strata":
        pi = np.array([0.03, 0.06, 0.12, 0.22])[rng.integers(0, 4, N)]
    drawn = np.zeros(N, bool)
    drawn[draw_sample(pi, rng)] = True
    delay = rng.gamma(2.0, 0.5, N)
    return Log(frame, pi, pi.copy(), drawn, delay, np.zeros(N, bool), ranker=seen)


def _shares(n: int) -> Floats:
    share = 0.75 ** np.arange(n)
    return share / share.sum()


def redraw(pi: Floats, rng: Rng) -> Bools:
    drawn = np.zeros(N, bool)
    drawn[draw_sample(pi, rng)] = True
    return drawn


def with_error(log: Log, error: Bools) -> Log:
    return replace(log, frame=log.frame.assign(error=error))


def hole(rng: Rng, column: str, level: str, share: float, rate: float, design: str) -> Log:
    """One level of a column is never audited, and is worse than the rest."""
    log = base(rng, design=design)
    inside = rng.random(N) < share
    frame = log.frame.copy()
    frame[column] = np.where(inside, level, frame[column])
    frame["error"] = np.where(inside, rng.random(N) < rate, frame["error"])
    pi = np.where(inside, 0.0, log.pi)
    return replace(log, frame=frame, pi=pi, drawn=log.drawn & ~inside)


def lost(rng: Rng, share: float, *, recorded: bool, design: str = "uniform") -> Log:
    """Reviews that find an error are lost."""
    log = base(rng, design=design)
    gone = log.frame["error"].to_numpy() & (rng.random(N) < share)
    return replace(log, lost=gone, recorded=recorded)


def slow(rng: Rng, mean: float, *, shape: float = 1.0, recorded: bool) -> Log:
    """Reviews that find an error take longer."""
    log = base(rng)
    error = log.frame["error"].to_numpy()
    scale = np.where(error, mean, 3.0)
    return replace(log, delay=rng.gamma(shape, scale / shape), recorded=recorded)


def drift(rng: Rng, delay: float, *, recorded: bool) -> Log:
    """The error rate rises late, and answers take their time."""
    log = base(rng, rate=0.05)
    late = log.frame["day"].to_numpy() > DAYS - 30
    p = log.frame["p"].to_numpy()
    worse = expit(logit(p) + 2.1)
    error = rng.random(N) < np.where(late, worse, p)
    return replace(with_error(log, error), delay=rng.gamma(1.0, delay, N), recorded=recorded)


def wrong_probability(rng: Rng, where: str) -> Log:
    """The log's probability is twice the true one."""
    log = base(rng)
    frame = log.frame
    enforced = frame["enforced"].to_numpy()
    if where == "everywhere":
        hit = np.ones(N, bool)
    elif where == "enforced":
        error = rng.random(N) < np.where(enforced, 0.20, 0.04)
        log, hit = with_error(log, error), enforced
    elif where == "market":
        hit = (frame["market"] == "M03").to_numpy()
    else:
        hit = frame["p"].to_numpy() > np.quantile(frame["p"], 0.7)
    pi = np.where(hit, log.pi / 2, log.pi)
    return replace(log, pi=pi, drawn=redraw(pi, rng))


def accounts_whole(rng: Rng, kind: str, *, recorded: bool = False) -> Log:
    """Accounts are drawn whole."""
    log = base(rng)
    size = np.full(N, 4)
    if kind == "pareto":
        size = np.minimum(np.ceil(rng.pareto(1.3, N) + 1e-9), N).astype(int)
    account = np.repeat(np.arange(N), size)[:N]
    rng.shuffle(account)
    n = account.max() + 1
    a, b = (0.5, 5.5) if kind == "pareto" else (0.084 * 19, 0.916 * 19)
    error = rng.random(N) < rng.beta(a, b, n)[account]
    frame = log.frame.assign(account_id=[f"a{i}" for i in account], error=error)
    drawn = (rng.random(n) < SHARE)[account]
    return replace(log, frame=frame, drawn=drawn, recorded=recorded)


def fate_shared(rng: Rng) -> Log:
    """Accounts share their fate, decisions are drawn one by one."""
    log = base(rng)
    account = rng.integers(0, N // 10, N)
    error = rng.random(N) < rng.beta(0.5, 5.5, N // 10)[account]
    return replace(log, frame=log.frame.assign(account_id=[f"a{i}" for i in account], error=error))


def second_audit(rng: Rng, *, recorded: bool, design: str = "unequal", late: bool = False) -> Log:
    """A second audit of all decisions, or of the later half, the first one's included."""
    log = base(rng, rate=0.1, design=design)
    pi = np.full(N, SHARE * 0.9)
    if late:
        pi = np.where(log.frame["day"] > DAYS / 2, 0.12, 0.0)
    return replace(log, more=[(pi, redraw(pi, rng))], recorded=recorded)


@dataclass(frozen=True)
class Accident:
    name: str
    make: Callable[[Rng], Log]
    control: bool = True


def accidents() -> list[Accident]:
    """Return every accident; those of a kind differ in their parameters."""
    made: list[Accident] = [
        Accident("none, uniform", lambda r: base(r), control=False),
        Accident("none, uniform, P(error)", lambda r: base(r)),
        Accident("none, unequal, good ranker", lambda r: base(r, design="unequal")),
        Accident("none, unequal, useless ranker",
                 lambda r: base(r, ranker="useless", design="unequal")),
        Accident("none, four strata", lambda r: base(r, design="strata")),
        Accident("none, fate shared by account", fate_shared),
        *(Accident(f"none, rate {rate:g}", lambda r, rate=rate: base(r, rate=rate))
          for rate in (0.0, 0.0003, 0.001, 0.02, 0.999, 1.0)),
    ]  # fmt: skip
    for share, rate in ((0.05, 0.4), (0.05, 0.9), (0.09, 0.4), (0.2, 0.3)):
        made.append(Accident(f"market of {share:.0%} never audited, {rate:.0%} wrong",
                             lambda r, s=share, e=rate: hole(r, "market", "XX", s, e, "uniform")))  # fmt: skip
    made.append(Accident("policy of 6% never audited, 50% wrong, unequal",
                         lambda r: hole(r, "policy_id", "PX", 0.06, 0.5, "unequal")))  # fmt: skip
    for recorded in (False, True):
        mark = ", draw recorded" if recorded else ""
        made += [
            *(Accident(f"{share:.0%} of error-finding reviews lost{mark}",
                       lambda r, s=share, k=recorded: lost(r, s, recorded=k)) for share in (0.1, 0.3)),
            *(Accident(f"slow errors, mean {mean:g} days, shape {shape:g}{mark}",
                       lambda r, m=mean, s=shape, k=recorded: slow(r, m, shape=s, recorded=k))
              for mean, shape in ((30, 1), (30, 2), (15, 1))),
            *(Accident(f"late drift, delay {d} days{mark}",
                       lambda r, d=d, k=recorded: drift(r, d, recorded=k)) for d in (5, 10, 20)),
            *(Accident(f"second audit, {design}{mark}",
                       lambda r, d=design, k=recorded: second_audit(r, design=d, recorded=k))
              for design in ("uniform", "unequal")),
            Accident(f"second audit of the later half{mark}",
                     lambda r, k=recorded: second_audit(r, late=True, recorded=k)),
        ]  # fmt: skip
    for where in ("everywhere", "enforced", "market", "likelier"):
        made.append(Accident(f"logged probability twice the true one: {where}",
                             lambda r, w=where: wrong_probability(r, w)))  # fmt: skip
    for kind in ("pareto", "four each"):
        made.append(Accident(f"accounts drawn whole, {kind}",
                             lambda r, k=kind: accounts_whole(r, k)))  # fmt: skip
    return made


def tables(log: Log) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame | None]:
    """Return the decisions, the reviews known at the end of the log, and the recorded draws."""
    frame = log.frame
    decided = START + pd.to_timedelta(frame["day"], unit="D")
    columns = ["decision_id", "market", "policy_id", "enforced", "account_id"]
    decisions = frame[columns].assign(decided_at=decided)
    reviews, draws = [], []
    audits = [(log.logged, log.drawn, log.delay), *((pi, at, log.delay + 1) for pi, at in log.more)]
    for number, (pi, drawn, delay) in enumerate(audits):
        known = frame["day"].to_numpy() + delay
        rows = np.flatnonzero(drawn & ~log.lost & (known <= DAYS))
        verdict = np.where(frame["error"].to_numpy()[rows], "overturned", "upheld")
        part = pd.DataFrame({"review_id": [f"r{number}-{i}" for i in rows], "verdict": verdict})
        part["decision_id"] = frame["decision_id"].to_numpy()[rows]
        part["reviewed_at"] = START + pd.to_timedelta(known[rows], unit="D")
        reviews.append(part.assign(source="audit", inclusion_probability=pi[rows]))
        asked = np.flatnonzero(drawn)
        draws.append(
            pd.DataFrame(
                {
                    "draw_id": f"audit {number}",
                    "decision_id": frame["decision_id"].to_numpy()[asked],
                    "inclusion_probability": pi[asked],
                    "drawn_at": decided.iloc[asked].reset_index(drop=True),
                    "due_at": pd.Series(pd.NaT, range(len(asked)), "datetime64[us, UTC]"),
                }
            )
        )
    recorded = pd.concat(draws, ignore_index=True) if log.recorded else None
    return decisions, pd.concat(reviews, ignore_index=True), recorded


def measure(accident: Accident, seed: int) -> dict[str, object]:
    """Estimate one audit, and compare with the truth."""
    log = accident.make(np.random.default_rng(seed))
    decisions, reviews, draws = tables(log)
    end = START + DAYS * DAY
    error, day = log.frame["error"].to_numpy(), log.frame["day"].to_numpy()
    snapshot = Snapshot(decisions, reviews, as_of=end, draws=draws)
    p = log.ranker if accident.control else None
    try:
        row = estimate_rates(snapshot, p_error=p).overall.iloc[0]
    except ErrdetectError as refusal:
        return {"refused": True, "held": True, "whole_log": True, "text": str(refusal)}
    inside = np.ones(N, bool)
    if "period_from" in row and not pd.isna(row["period_from"]):
        at = START + pd.to_timedelta(pd.Series(day), unit="D")
        inside = (
            (at >= row["period_from"]) & (at <= row["period_to"] + pd.Timedelta("1ms"))
        ).to_numpy()
    truth = float(error[inside].mean())

    def held(value: float) -> bool:
        return bool(row["suppressed"]) or row["low"] - 1e-9 <= value <= row["high"] + 1e-9

    return {
        "refused": bool(row["suppressed"]),
        "held": held(truth),
        "whole_log": held(float(error.mean())),
        "warned": "warning" in row["method"],
        "truth": truth,
        "estimate": row["estimate"],
        "width": row["high"] - row["low"],
        "period": float(inside.mean()),
        "text": row["method"],
    }


def summary(name: str, rows: list[dict[str, object]]) -> dict[str, object]:
    frame = pd.DataFrame(rows)
    mean = {c: float(pd.to_numeric(frame[c]).mean()) for c in
            ("held", "whole_log", "refused", "warned", "truth", "estimate", "width", "period")
            if c in frame}  # fmt: skip
    return {"accident": name, "audits": len(frame), **mean}


def repeat_audits(name: str, draws: int, seed: int) -> tuple[dict[str, object], object]:
    """Return the summary of one accident's audits, and the last one's method."""
    accident = next(one for one in accidents() if one.name == name)
    rows = [measure(accident, seed + i) for i in range(draws)]
    return summary(name, rows), rows[-1]["text"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=200, help="audits of each accident")
    parser.add_argument("--seed", type=int, default=1000, help="seed of the first audit")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--only", default="", help="only accidents whose name matches this pattern")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--texts", action="store_true", help="print the last audit's method")
    chosen = parser.parse_args()
    names = [one.name for one in accidents() if re.search(chosen.only, one.name)]
    found = []
    with ProcessPoolExecutor(chosen.jobs) as pool:
        for row, last in pool.map(repeat_audits, names, repeat(chosen.draws), repeat(chosen.seed)):
            found.append(row)
            figures = " ".join(f"{k}={v:.3f}" for k, v in row.items() if isinstance(v, float))
            print(f"{row['accident']:60s} {figures}", flush=True)
            if chosen.texts:
                print("   ", last)
    if found and (not chosen.only or chosen.out != RESULTS):
        chosen.out.mkdir(parents=True, exist_ok=True)
        frame = pd.DataFrame(found)
        frame.to_csv(chosen.out / "accidents.csv", index=False, float_format="%.4f")
        (chosen.out / "accidents.md").write_text(text(frame), encoding="utf-8")


def text(frame: pd.DataFrame) -> str:
    """Return the results as a Markdown table."""
    lines = [
        f"# Audits with accidents, {int(frame['audits'].max())} audits each",
        "",
        "| accident | truth | mean estimate | coverage | of the whole log | suppressed or refused | warned "
        "| mean width |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    columns = ["truth", "estimate", "held", "whole_log", "refused", "warned", "width"]
    for row in frame.to_dict("records"):
        figures = " | ".join(f"{row[c]:.3f}" for c in columns)
        lines.append(f"| {row['accident']} | {figures} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
