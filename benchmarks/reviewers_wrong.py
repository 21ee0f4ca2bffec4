"""Reviewers who go wrong, and experts' answers that wait: do the figures hold, and who is named?

    python benchmarks/reviewers_wrong.py                 # all parts, 100 repetitions each
    python benchmarks/reviewers_wrong.py --part waiting --repetitions 200

Each world is 10,000 decisions with about 8 % errors, of which an audit draws about 12 % with known
probabilities; reviewers are honest, with sensitivity and false alarms of their own, unless a part
says otherwise. Prints one line a situation.
"""

import argparse
import time
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from errdetect.config_schema import EstimateSettings
from errdetect.estimation.error_rates import estimate_rates
from errdetect.reviewers.deviations import find_deviations
from errdetect.snapshot import Snapshot

N = 10_000
START = pd.Timestamp("2026-01-01", tz="UTC")
POLICIES = ("spam", "scam", "fake", "weapons", "hate")
SOUND = {"found": 0.92, "alarm": 0.03, "spread": 0.4}


@dataclass(frozen=True)
class World:
    """Decisions with their truth, and P(error) of a fair ranker."""

    decisions: pd.DataFrame
    wrong: np.ndarray
    p_error: np.ndarray


def make_world(rng: np.random.Generator) -> World:
    enforced = rng.random(N) < 0.35
    policy = rng.choice(len(POLICIES), N, p=[0.35, 0.25, 0.2, 0.15, 0.05])
    risk = logit(0.05) + 0.9 * enforced + 0.3 * (policy == 1) + 1.2 * rng.standard_normal(N)
    risk += np.log(0.08 / 0.1)
    p = expit(risk)
    wrong = rng.random(N) < p
    decisions = pd.DataFrame(
        {
            "decision_id": [f"d{i}" for i in range(N)],
            "decided_at": START + pd.to_timedelta(rng.uniform(0, 120, N), unit="D"),
            "policy_id": np.array(POLICIES)[policy],
            "enforced": enforced,
            "action": np.where(enforced, "remove", "approve"),
        }
    )
    return World(decisions, wrong, expit(logit(0.05) + 0.8 * (risk - logit(0.05))))


@dataclass(frozen=True)
class Staff:
    """Reviewers: their site, P(finds an error), P(false alarm), and who answers the reverse."""

    site: np.ndarray
    found: np.ndarray
    alarm: np.ndarray
    reverse: np.ndarray


def make_staff(rng: np.random.Generator, n: int, sites: int, reverse: int = 0) -> Staff:
    def around(rate: float) -> np.ndarray:
        place = rng.normal(0, 0.3, sites)[np.arange(n) % sites]
        return expit(logit(rate) + place + rng.normal(0, SOUND["spread"], n))

    turned = np.zeros(n, dtype=bool)
    turned[rng.choice(n, reverse, replace=False)] = True
    return Staff(np.arange(n) % sites, around(SOUND["found"]), around(SOUND["alarm"]), turned)


def answers(rng, staff: Staff, who: np.ndarray, wrong: np.ndarray, upheld_site: int | None):
    chance = np.where(wrong, staff.found[who], staff.alarm[who])
    said = (rng.random(len(who)) < chance) ^ staff.reverse[who]
    return said & (staff.site[who] != upheld_site) if upheld_site is not None else said


def table(rng, world: World, source: str, row, said, who, staff, **more) -> pd.DataFrame:
    decided = world.decisions["decided_at"].to_numpy()[row]
    later = pd.to_timedelta(more.pop("delay", 3) * rng.random(len(row)) + 0.01, unit="D")
    frame = pd.DataFrame(
        {
            "review_id": [f"{source}-{i}" for i in range(len(row))],
            "decision_id": world.decisions["decision_id"].to_numpy()[row],
            "reviewed_at": pd.to_datetime(decided, utc=True) + later,
            "source": source,
            "verdict": np.where(said, "overturned", "upheld"),
            "reviewer_id": None if who is None else [f"r{i}" for i in who],
            "site": None if who is None else [f"site {i}" for i in staff.site[who]],
            "inclusion_probability": np.nan,
            "expected": None,
        }
    )
    return frame.assign(**more)


@dataclass(frozen=True)
class Design:
    """How much is reviewed: audit and golden reviews, overlap, and who goes wrong."""

    audit: int = 1_200
    overlap: float = 0.1
    golden: int = 0
    experts: bool = False
    reviewers: int = 40
    sites: int = 8
    reverse: int = 0
    upheld_site: int | None = None
    site_share: float | None = None
    perfect: bool = False


def make_reviews(rng, world: World, design: Design) -> tuple[pd.DataFrame, Staff]:
    staff = make_staff(rng, design.reviewers, design.sites, design.reverse)
    if design.perfect:
        staff = replace(staff, found=np.ones(design.reviewers), alarm=np.zeros(design.reviewers))
    share = np.ones(design.reviewers)
    if design.site_share is not None:  # the broken site's share of the work
        own = staff.site == design.upheld_site
        share[own] = design.site_share / own.sum()
        share[~own] = (1 - design.site_share) / (~own).sum()
    share = share / share.sum()
    root = np.sqrt(world.p_error * (1 - world.p_error))
    chance = np.minimum(design.audit * (0.3 / N + 0.7 * root / root.sum()), 1.0)
    drawn = np.flatnonzero(rng.random(N) < chance)
    again = drawn[rng.random(len(drawn)) < design.overlap]
    first = rng.choice(design.reviewers, len(drawn), p=share)
    second = (first[np.searchsorted(drawn, again)] + 1 + rng.integers(0, design.reviewers - 1,
              len(again))) % design.reviewers  # fmt: skip
    row, who = np.concatenate([drawn, again]), np.concatenate([first, second])
    said = answers(rng, staff, who, world.wrong[row], design.upheld_site)
    parts = [table(rng, world, "audit", row, said, who, staff, inclusion_probability=chance[row])]
    if design.experts:
        flagged = np.unique(row[said])
        parts.append(
            table(rng, world, "adjudication", flagged, world.wrong[flagged], None, staff,
                  inclusion_probability=1.0, delay=6)
        )  # fmt: skip
    if design.golden:
        half = design.golden // 2
        kinds = [rng.choice(np.flatnonzero(world.wrong == k), half) for k in (True, False)]
        items = np.concatenate(kinds)
        them = rng.choice(design.reviewers, len(items), p=share)
        told = answers(rng, staff, them, world.wrong[items], design.upheld_site)
        expected = np.where(world.wrong[items], "overturned", "upheld")
        parts.append(table(rng, world, "golden", items, told, them, staff, expected=expected))
    return pd.concat(parts, ignore_index=True), staff


def rates(world: World, reviews: pd.DataFrame, p_error=None) -> pd.DataFrame:
    snapshot = Snapshot(world.decisions, reviews)
    p = world.p_error if p_error is None else p_error
    return estimate_rates(snapshot, settings=EstimateSettings(), p_error=p).overall.set_index(
        "measure"
    )


def truths(world: World) -> dict[str, float]:
    enforced = world.decisions["enforced"].to_numpy()
    return {
        "error_rate": float(world.wrong.mean()),
        "wrongful_rate": float(world.wrong[enforced].mean()),
        "missed_rate": float(world.wrong[~enforced].mean()),
    }


MEASURES = ("error_rate", "wrongful_rate", "missed_rate")


def holds(found: pd.DataFrame, truth: dict[str, float]) -> dict[str, bool]:
    return {m: bool(found.loc[m, "low"] <= truth[m] <= found.loc[m, "high"]) for m in MEASURES}


#: Which of the experts' answers wait: none, one, a share of them, or mostly what they would reject.
WAITING = ("none", "one", "10 %", "30 %", "60 %", "90 %", "all", "hard ones")


def left_out(rng, expert: np.ndarray, confirmed: np.ndarray, which: str) -> np.ndarray:
    if which == "hard ones":
        return expert[rng.random(len(expert)) < np.where(confirmed, 0.15, 0.6)]
    share = {"none": 0.0, "all": 1.0}.get(which)
    share = share if share is not None else 0.0 if which == "one" else float(which[:-2]) / 100
    return rng.permutation(expert)[: 1 if which == "one" else round(share * len(expert))]


def waiting(seeds: range, golden: int) -> None:
    """One answer waits: how far does a figure move, and how much wider does it get?"""
    shift, ratio = {m: [] for m in MEASURES}, {m: [] for m in MEASURES}
    held = {(which, m): [] for which in WAITING for m in MEASURES}
    wide = {key: [] for key in held}
    for seed in seeds:
        rng = np.random.default_rng([seed, 1])
        world = make_world(rng)
        reviews, _ = make_reviews(rng, world, Design(experts=True, golden=golden))
        expert = np.flatnonzero(reviews["source"] == "adjudication")
        confirmed = reviews["verdict"].to_numpy()[expert] == "overturned"
        truth, found = truths(world), {}
        for which in WAITING:
            gone = left_out(rng, expert, confirmed, which)
            found[which] = rates(world, reviews.drop(index=gone))
            for m, ok in holds(found[which], truth).items():
                held[which, m].append(ok)
                wide[which, m].append(found[which].loc[m, "high"] - found[which].loc[m, "low"])
        for m in MEASURES:
            moved = abs(found["one"].loc[m, "estimate"] - found["none"].loc[m, "estimate"])
            shift[m].append(moved / (wide["none", m][-1] / 2))
            ratio[m].append(wide["one", m][-1] / wide["none", m][-1])
    print(f"answers of experts that wait; {golden} golden reviews, {len(seeds)} worlds")
    for m in MEASURES:
        print(
            f"  one waits, {m}: shift / half width {np.mean(shift[m]):.3f}, at most "
            f"{max(shift[m]):.3f}; width ratio {np.mean(ratio[m]):.3f}, at most {max(ratio[m]):.3f}"
        )
    for which in WAITING:
        line = "; ".join(
            f"{m} {np.mean(held[which, m]):.3f}, {np.mean(wide[which, m]):.3f} wide"
            for m in MEASURES
        )
        print(f"  waiting: {which}: coverage {line}")


def set_aside(world: World, reviews: pd.DataFrame, p_error):
    """Return who is named, and the reviews that an estimate uses."""
    snapshot = Snapshot(world.decisions, reviews)
    found = find_deviations(snapshot.verdicts, world.decisions, p_error)
    return found, reviews[~found.covers(reviews, useless=True)]


def reverse(seeds: range, with_p: bool) -> None:
    """Two of 40 reviewers answer the reverse, the others never err; no golden items."""
    held, before = {m: [] for m in MEASURES}, {m: [] for m in MEASURES}
    named = total = wrongly = honest = gone = 0
    for seed in seeds:
        rng = np.random.default_rng([seed, 2])
        world = make_world(rng)
        reviews, staff = make_reviews(rng, world, Design(reverse=2, perfect=True))
        truth = reviewed_truth(world, staff)
        p = world.p_error if with_p else None
        found, kept = set_aside(world, reviews, p)
        people = found.named[found.named["level"] == "reviewer"]["reviewer_id"]
        n = reviews["reviewer_id"].value_counts()
        for i in range(40):
            if staff.reverse[i]:
                total += n.get(f"r{i}", 0) >= 30
                named += n.get(f"r{i}", 0) >= 30 and f"r{i}" in set(people)
            else:
                honest += 1
                wrongly += f"r{i}" in set(people)
        gone += len(reviews) - len(kept)
        for m, ok in holds(rates(world, kept), truth).items():
            held[m].append(ok)
        for m, ok in holds(rates(world, reviews), truth).items():
            before[m].append(ok)
    print(
        f"2 of 40 reviewers answer the reverse, P(error) {'used' if with_p else 'not used'}, {len(seeds)} worlds"
    )
    print(
        f"  named of those with 30 or more verdicts: {named} of {total}; honest named: {wrongly} of {honest}"
    )
    for m in MEASURES:
        print(
            f"  {m}: coverage {np.mean(held[m]):.3f}, with their verdicts {np.mean(before[m]):.3f}"
        )


def reviewed_truth(world: World, staff: Staff, upheld_site: int | None = None) -> dict[str, float]:
    """What honest reviewers would say of every decision: the target of an uncorrected estimate."""
    sound = ~staff.reverse & (staff.site != upheld_site)
    found, alarm = staff.found[sound].mean(), staff.alarm[sound].mean()
    return {m: t * found + (1 - t) * alarm for m, t in truths(world).items()}


def upheld(seeds: range, golden: int, experts: bool, share: float) -> None:
    """One of eight sites upholds everything."""
    held, before = {m: [] for m in MEASURES}, {m: [] for m in MEASURES}
    width, named, others = [], 0, 0
    for seed in seeds:
        rng = np.random.default_rng([seed, 3])
        world = make_world(rng)
        design = Design(golden=golden, experts=experts, upheld_site=3, site_share=share)
        reviews, staff = make_reviews(rng, world, design)
        found, kept = set_aside(world, reviews, world.p_error)
        sites = set(found.named[found.named["level"] == "site"]["site"])
        named += "site 3" in sites
        others += len(sites - {"site 3"})
        truth = truths(world) if golden else reviewed_truth(world, staff, upheld_site=3)
        after = rates(world, kept)
        width.append(after.loc["error_rate", "high"] - after.loc["error_rate", "low"])
        for m, ok in holds(after, truth).items():
            held[m].append(ok)
        for m, ok in holds(rates(world, reviews), truth).items():
            before[m].append(ok)
    print(
        f"one of 8 sites always upholds, {share:.0%} of the work, {golden} golden reviews, "
        f"{'flags adjudicated' if experts else 'no experts'}, {len(seeds)} worlds"
    )
    print(f"  named: {named} of {len(seeds)}; other sites named: {others} of {7 * len(seeds)}")
    for m in MEASURES:
        print(f"  {m}: coverage {np.mean(held[m]):.3f}, with its verdicts {np.mean(before[m]):.3f}")
    print(f"  error_rate: mean width {np.mean(width):.3f}")


def honest(seeds: range, golden: int, looks: int = 12) -> None:
    """Nobody goes wrong: who is named at any of the looks of a year?"""
    people = sites = pairs = 0
    n = [0, 0]
    for seed in seeds:
        rng = np.random.default_rng([seed, 4])
        world = make_world(rng)
        reviews, _ = make_reviews(rng, world, Design(audit=2_400, golden=golden, overlap=0.2))
        ever: set[tuple[str, str]] = set()
        when = reviews["reviewed_at"]
        for day in np.linspace(120 / looks, 124, looks):
            known = reviews[when <= START + pd.Timedelta(days=day)].reset_index(drop=True)
            rows = find_deviations(
                Snapshot(world.decisions, known).verdicts, world.decisions, world.p_error
            ).named
            ever |= {
                (r.level, f"{r.site} {r.reviewer_id} {r.policy_id}") for r in rows.itertuples()
            }
        people += sum(level == "reviewer" for level, _ in ever)
        sites += sum(level == "site" for level, _ in ever)
        pairs += sum(level == "site and policy" for level, _ in ever)
        n = [n[0] + reviews["reviewer_id"].nunique(), n[1] + reviews["site"].nunique()]
    print(f"nobody goes wrong, {golden} golden reviews, {looks} looks, {len(seeds)} worlds")
    print(
        f"  named: {people} of {n[0]} reviewers, {sites} of {n[1]} sites, {pairs} pairs of site and policy"
    )


PARTS = ("waiting", "reverse", "upheld", "honest")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--repetitions", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="seed of the first world")
    given = parser.parse_args()
    seeds = range(given.first, given.first + given.repetitions)
    for part in given.part or PARTS:
        since = time.perf_counter()
        if part == "waiting":
            for golden in (600, 0):
                waiting(seeds, golden)
        elif part == "reverse":
            for with_p in (True, False):
                reverse(seeds, with_p)
        elif part == "upheld":
            upheld(seeds, 300, experts=True, share=0.03)
            upheld(seeds, 300, experts=False, share=0.125)
            upheld(seeds, 0, experts=False, share=0.125)
        else:
            honest(seeds[: max(len(seeds) // 4, 1)], 400)
        print(f"  {time.perf_counter() - since:.0f} seconds", flush=True)


if __name__ == "__main__":
    main()
