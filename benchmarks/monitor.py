"""How `monitor` behaves over years: alarms in quiet years, days to find a rise, causes named rightly.

    python benchmarks/monitor.py [--years 200] [--trials 60] [--out FILE]

Streams of audit answers are simulated directly (300 a week, uniform or with unequal probabilities), as
`monitoring.audit_stream` makes them from a log; the reference is the first quarter.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from errdetect.config_schema import MonitorSettings
from errdetect.monitoring.audit_stream import AuditStream, Periods, choose_periods
from errdetect.monitoring.change_causes import explain_change
from errdetect.monitoring.error_evidence import audited_evidence
from errdetect.monitoring.golden_answers import GoldenAnswers

START = pd.Timestamp("2025-01-06", tz="UTC")
SETTINGS = MonitorSettings()
REFERENCE = SETTINGS.reference_days
A_WEEK = 300
POLICIES = np.array(
    ["spam", "scam", "counterfeit", "weapons", "hate", "adult", "medicines", "privacy"]
)
POLICY_SHARE = np.array([0.25, 0.18, 0.15, 0.12, 0.10, 0.08, 0.07, 0.05])
POLICY_RATE = np.array([0.6, 1.0, 1.6, 0.7, 1.4, 0.8, 1.3, 1.0])
MARKETS = np.array(["DE", "FR", "US", "GB", "PL", "BR"])
MARKET_SHARE = np.array([0.3, 0.2, 0.2, 0.15, 0.1, 0.05])
MARKET_RATE = np.array([0.8, 1.0, 0.9, 1.0, 1.6, 1.5])


@dataclass
class World:
    """What changes on day `at` (counted from the start)."""

    rate: float = 0.08
    at: int = 10_000
    times: float = 1.0  # error rate everywhere
    policy: dict[str, float] = field(default_factory=dict)  # error rate of a policy
    grows: int = 1  # days until the policy's is all there
    version: float = 1.0  # error rate of the new machine version
    rollout: float = 0.0  # share that the new version decides
    policy_share: dict[str, float] = field(default_factory=dict)
    market_share: dict[str, float] = field(default_factory=dict)
    false_positive: tuple[float, float] = (0.0, 0.0)  # reviewers', before and after
    unequal: bool = False


def shares(names: np.ndarray, base: np.ndarray, times: dict[str, float]) -> np.ndarray:
    moved = base * np.array([times.get(str(n), 1.0) for n in names])
    return moved / moved.sum()


def decisions(world: World, day: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """Decisions with their P(error), and whether each is an error."""
    late, n = day >= world.at, len(day)
    policy, market = np.empty(n, int), np.empty(n, int)
    for part, times in ((~late, ({}, {})), (late, (world.policy_share, world.market_share))):
        policy[part] = rng.choice(
            len(POLICIES), part.sum(), p=shares(POLICIES, POLICY_SHARE, times[0])
        )
        market[part] = rng.choice(
            len(MARKETS), part.sum(), p=shares(MARKETS, MARKET_SHARE, times[1])
        )
    scale = world.rate / ((POLICY_SHARE @ POLICY_RATE) * (MARKET_SHARE @ MARKET_RATE))
    p = scale * POLICY_RATE[policy] * MARKET_RATE[market]
    fresh = late & (rng.random(n) < world.rollout)
    p = p * np.where(late, world.times, 1.0) * np.where(fresh, world.version, 1.0)
    moved = np.array([world.policy.get(str(name), 1.0) for name in POLICIES])[policy]
    p *= 1 + (moved - 1) * np.clip((day - world.at + 1) / world.grows, 0, 1)
    p = np.minimum(p, 0.9)
    spread = 4.0  # decisions differ within their group
    p = rng.beta(spread * p, spread * (1 - p))
    return pd.DataFrame(
        {
            "decided_at": START + pd.to_timedelta(day + 0.5, unit="D"),
            "policy_id": POLICIES[policy],
            "market": MARKETS[market],
            "moderator": np.where(policy % 2 == 0, "text", "image"),
            "moderator_version": np.where(fresh, "2", "1"),
            "p": p,
            "error": (rng.random(n) < p).astype(float),
        }
    )


def audit(world: World, days: int, rng: np.random.Generator) -> AuditStream:
    """The audit's answers over the days."""
    per_day = rng.poisson(A_WEEK / 7, days) * (8 if world.unequal else 1)
    frame = decisions(world, np.repeat(np.arange(days), per_day), rng)
    weight = np.ones(len(frame))
    if world.unequal:  # as plan-audit draws: a floor of .25, the rest by sqrt(p(1 - p))
        guess = np.clip(frame["p"].to_numpy() * rng.lognormal(0, 0.5, len(frame)), 0.001, 0.95)
        value = np.sqrt(guess * (1 - guess))
        inclusion = (0.25 + 0.75 * value / value.mean()) / 8
        drawn = rng.random(len(frame)) < inclusion
        frame, weight = frame[drawn].reset_index(drop=True), 1 / inclusion[drawn]
    late = (frame["decided_at"] >= START + pd.Timedelta(days=world.at)).to_numpy()
    false = rng.random(len(frame)) < np.where(
        late, world.false_positive[1], world.false_positive[0]
    )
    frame["error"] = np.maximum(frame["error"], false.astype(float))
    frame["known_at"], frame["weight"] = frame["decided_at"], weight
    frame["cluster"] = frame["position"] = np.arange(len(frame))
    return AuditStream(frame)


def periods(stream: AuditStream, days: int) -> Periods:
    found = choose_periods(stream, START + pd.Timedelta(days=days - 0.5), SETTINGS)
    assert found is not None
    return found


def quiet_years(world: World, years: int, seed: int) -> float:
    """Share of years without a change that bring any alarm, looking daily."""
    rng, found, days = np.random.default_rng(seed), 0, REFERENCE + 364
    for _ in range(years):
        stream = audit(world, days, rng)
        found += any(s.risen for s in audited_evidence(stream, periods(stream, days), SETTINGS))
    return found / years


def by_weekday(frame: pd.DataFrame, day: np.ndarray, rng: np.random.Generator) -> None:
    """Three times the errors on Mondays, the same mean."""
    p = np.where(day % 7 == 0, 0.24, 0.32 / 6)
    frame["error"] = (rng.random(len(frame)) < p).astype(float)


def experts_on_fridays(frame: pd.DataFrame, day: np.ndarray, _: np.random.Generator) -> None:
    """Errors become known when experts settle the flags, each Friday; the others at once."""
    wait = np.where(frame["error"] > 0, (4 - day) % 7, 0)
    frame["known_at"] += pd.to_timedelta(wait, unit="D")


def few_heavy(frame: pd.DataFrame, _: np.ndarray, rng: np.random.Generator) -> None:
    """One draw in fifty stands for sixty others, and errs three times as often."""
    heavy = rng.random(len(frame)) < 0.02
    frame["weight"] = np.where(heavy, 60.0, 1.0)
    frame["error"] = (rng.random(len(frame)) < np.where(heavy, 0.1, 0.03)).astype(float)


def rare_policies(frame: pd.DataFrame, _: np.ndarray, rng: np.random.Generator) -> None:
    """Sixty policies, most of them rare."""
    share = 1 / np.arange(1, 61)
    frame["policy_id"] = rng.choice([f"p{i}" for i in range(60)], len(frame), p=share / share.sum())


ADVERSE = {
    "three times the errors on Mondays": by_weekday,
    "experts settle the flags on Fridays": experts_on_fridays,
    "few heavy draws that err more": few_heavy,
    "sixty policies, most of them rare": rare_policies,
}


def adverse_years(name: str, years: int, seed: int) -> float:
    """Share of years without a change, in a design that looks like one, that bring any alarm."""
    rng, found, days = np.random.default_rng(seed), 0, REFERENCE + 364
    for number in range(years):
        frame = audit(World(), days, rng).frame
        day = ((frame["known_at"] - START) / pd.Timedelta(days=1)).astype(int).to_numpy()
        ADVERSE[name](frame, day + number, rng)  # weeks begin on any day
        frame = frame.sort_values(["known_at", "position"], kind="stable", ignore_index=True)
        stream = AuditStream(frame)
        found += any(s.risen for s in audited_evidence(stream, periods(stream, days), SETTINGS))
    return found / years


def days_to_find(
    make: Callable[[int], World], trials: int, seed: int, segment: str | None = None
) -> tuple[float, float]:
    """Median and ninth decile of the days from a change to the alarm; a change weeks after the reference."""
    rng, took, days = np.random.default_rng(seed), [], REFERENCE + 196
    for _ in range(trials):
        at = REFERENCE + int(rng.integers(14, 84))
        stream = audit(make(at), days, rng)
        alarms = [
            s.since
            for s in audited_evidence(stream, periods(stream, days), SETTINGS)
            if s.since is not None and (segment is None or s.segment == segment)
        ]
        took.append(min(((a - START).days + 1 - at for a in alarms), default=10_000))
    return float(np.median(took)), float(np.quantile(took, 0.9))


def golden(world: World, days: int, rng: np.random.Generator) -> GoldenAnswers:
    """Golden answers: 60 a week, a quarter of them errors."""
    n = int(60 / 7 * days)
    day = np.sort(rng.integers(0, days, n))
    wrong = rng.random(n) < 0.25
    rate = np.where(day >= world.at, world.false_positive[1], world.false_positive[0])
    flags = np.where(wrong, rng.random(n) < 0.93, rng.random(n) < rate)
    return GoldenAnswers(
        pd.DataFrame({"flags": flags, "wrong": wrong, "late": day >= days - 28})[
            (day < REFERENCE) | (day >= days - 28)
        ]
    )


def named_rightly(world: World, wanted: str, trials: int, seed: int) -> float:
    """Share of trials in which the cause is named, four weeks after the change."""
    rng, right = np.random.default_rng(seed), 0
    days = REFERENCE + 56
    for number in range(trials):
        stream = audit(world, days, rng)
        log = decisions(world, rng.integers(0, days, 40_000), rng)
        shift = golden(world, days, rng).shift(SETTINGS.min_reviews)
        parts = explain_change(stream, log, periods(stream, days), shift, seed=number)
        assert parts is not None
        right += parts.cause == wanted
    return right / trials


def causes() -> dict[str, tuple[World, str]]:
    at, people = REFERENCE + 28, (0.02, 0.02)
    return {
        "a bad machine version, for all": (World(at=at, version=2.0, rollout=1.0, false_positive=people), "version"),
        "a bad machine version, for half": (World(at=at, version=3.0, rollout=0.5, false_positive=people), "version"),
        "more of the policies that err most": (
            World(at=at, policy_share={"counterfeit": 6, "hate": 5, "medicines": 4}, false_positive=people),
            "policy_mix"),
        "more of the markets that err most": (
            World(at=at, market_share={"PL": 9, "BR": 9}, false_positive=people), "market_mix"),
        "reviewers who flag more": (World(at=at, false_positive=(0.02, 0.12)), "reviewers"),
        "one policy drifts": (
            World(at=at, policy={"counterfeit": 4.0}, false_positive=people), "policy_id=counterfeit"),
        "every policy drifts, same machine": (World(at=at, times=2.0, false_positive=people), "rest"),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--years", type=int, default=200)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results/monitor.md")
    given = parser.parse_args()
    began = time.perf_counter()
    lines = ["# `monitor` over years", "", "`python benchmarks/monitor.py`", ""]
    lines += [
        f"{given.years} years without any change, {A_WEEK} audit answers a week, looks daily: share with an alarm",
        "",
    ]
    lines += ["| error rate | audit | years with an alarm |", "| --- | --- | --- |"]
    for rate, unequal in ((0.08, False), (0.08, True), (0.04, False)):
        share = quiet_years(World(rate=rate, unequal=unequal), given.years, seed=1)
        kind = "unequal" if unequal else "uniform"
        lines.append(f"| {rate:.0%} | {kind} | {share:.1%} |")
        print(lines[-1], flush=True)
    for name in ADVERSE:
        share = adverse_years(name, max(given.years // 4, 1), seed=4)
        lines.append(f"| 8%, {max(given.years // 4, 1)} years | {name} | {share:.1%} |")
        print(lines[-1], flush=True)
    lines += ["", f"Days from a change to the alarm, {given.trials} changes each", ""]
    lines += ["| change | median | nine in ten |", "| --- | --- | --- |"]
    found = {
        "8 % to 16 %, uniform": (lambda at: World(at=at, times=2.0), None),
        "8 % to 16 %, unequal": (lambda at: World(at=at, times=2.0, unequal=True), None),
        "5 % to 10 %, uniform": (lambda at: World(0.05, at=at, times=2.0), None),
        "5 % to 10 %, unequal": (lambda at: World(0.05, at=at, times=2.0, unequal=True), None),
        "one policy (15 % of the audit), times 4": (
            lambda at: World(at=at, policy={"counterfeit": 4.0}), "policy_id=counterfeit"),
        "one policy (10 % of the audit), times 4": (lambda at: World(at=at, policy={"hate": 4.0}), "policy_id=hate"),
        "one policy (15 % of the audit), times 3": (
            lambda at: World(at=at, policy={"counterfeit": 3.0}), "policy_id=counterfeit"),
        "one policy (15 % of the audit), times 2": (
            lambda at: World(at=at, policy={"counterfeit": 2.0}), "policy_id=counterfeit"),
        "one policy (15 % of the audit), growing over four weeks to times 4": (
            lambda at: World(at=at, policy={"counterfeit": 4.0}, grows=28), "policy_id=counterfeit"),
    }  # fmt: skip
    for name, (make, segment) in found.items():
        median, late = days_to_find(make, given.trials, seed=2, segment=segment)
        lines.append(
            f"| {name} | {median:.0f} | {'more than 100' if late > 999 else f'{late:.0f}'} |"
        )
        print(lines[-1], flush=True)
    lines += ["", f"Cause named rightly four weeks after the change, {given.trials} each", ""]
    lines += ["| change | named rightly |", "| --- | --- |"]
    for name, (world, wanted) in causes().items():
        lines.append(f"| {name} | {named_rightly(world, wanted, given.trials, seed=3):.0%} |")
        print(lines[-1], flush=True)
    lines += ["", f"{time.perf_counter() - began:.0f} seconds."]
    given.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
