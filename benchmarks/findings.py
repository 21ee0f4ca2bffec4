"""Are findings true? Planted slices found, false ones, causes, what-if of bars, against the truth.

    python benchmarks/findings.py planted --seeds 2000-2005 --decisions 100000
    python benchmarks/findings.py planted --seeds 2000-2003 --decisions 300000
    python benchmarks/findings.py peers --seeds 2000-2001 --decisions 100000
    python benchmarks/findings.py speed
    python benchmarks/findings.py sizes --repetitions 200
    python benchmarks/findings.py monthly --repetitions 3

Each run prints its figures and writes benchmarks/results/findings_<part>[_<decisions>].csv.

A planted slice counts as found where a confirmed finding of its policy overlaps with it by half or more
(intersection over union, of the decisions or of the wrong ones among them). It counts as detectable where
one who knows its conditions would see its excess in the same audit (p < .05): in the whole audit, or in
the later half alone, which is what confirms. A confirmed finding is false where the truth, over all
decisions of the log, shows no excess of its kind of error over the rest of its policy.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from errdetect.config import load_config
from errdetect.data.action_meanings import ALLOW_ACTIONS
from errdetect.data.policy_catalogue import Policy
from errdetect.findings.audit_evidence import (
    KINDS,
    AuditEvidence,
    DecisionLog,
    read_audit_evidence,
    read_decision_log,
)
from errdetect.findings.conditions import condition_columns, list_conditions
from errdetect.findings.error_slices import find_slices
from errdetect.findings.findings import Findings, find_findings
from errdetect.findings.rate_tests import excess_p_value
from errdetect.model.training import cross_fit
from errdetect.schemas import MISSED_VIOLATION, WRONGFUL_ACTION
from errdetect.simulation.marketplace import Marketplace, simulate
from errdetect.simulation.planted_errors import slice_mask
from errdetect.snapshot import LabelRules, Snapshot

START = pd.Timestamp("2026-01-01", tz="UTC")

#: What the simulator calls a cause, and what errdetect should say of errors that come from it.
NAMES = {
    "ambiguous_policy": "policy_ambiguity",
    "policy_change": "change_in_time",
    "version_regression": "change_in_time",
    "biased_category": "machine_fault",
    "shared_picture": "machine_fault",
    "odd_honest_seller": "account_cluster",
    "trap_word": "machine_fault",
    "coded_words": "machine_fault",
    "wrong_policy_head": "machine_fault",
    "threshold": "threshold",
    "unseen_violation": "machine_fault",
    "noise": "machine_fault",
}
OVERLAP = 0.5
SCORED = (
    "false",
    "covered",
    "said_excess",
    "true_base",
    "true_rate",
    "cause_asked",
    "cause_right",
    "cause_wanted",
    "cause",
)
#: A cause is only asked for where one cause of the simulator makes at least half of the errors.
MOSTLY = 0.5


def catalogue(market: Marketplace) -> dict[str, Policy]:
    return {p["policy_id"]: Policy(**p) for p in market.policies}


def world(seed: int, n: int) -> tuple[Marketplace, Snapshot]:
    market = simulate(n, days=180, seed=seed)
    decisions = market.decisions.assign(enforced=~market.decisions["action"].isin(ALLOW_ACTIONS))
    snapshot = Snapshot(decisions, market.reviews, catalogue(market))
    assert len(snapshot.labels) == len(decisions)  # worked out here, so that no clock counts it
    return market, snapshot


def held_by(decisions: pd.DataFrame, row: dict[str, object]) -> np.ndarray:
    """Rows that a finding's conditions, as the table holds them, meet."""
    rows = decisions["policy_id"].eq(row["policy_id"]).to_numpy(dtype=bool).copy()
    for condition in row["conditions"]:
        column = decisions[condition["column"]]
        number = pd.api.types.is_numeric_dtype(column)
        value = float(condition["value"]) if number else condition["value"]
        met = {"==": column.eq, ">=": column.ge, "<": column.lt}[condition["op"]](value)
        rows &= met.fillna(False).to_numpy(dtype=bool)
    return rows


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))


def wrong_of(truth: pd.DataFrame, kind: str) -> np.ndarray:
    if kind == "any":
        return truth["is_error"].to_numpy(dtype=bool)
    return (truth["error_kind"] == kind).to_numpy(dtype=bool)


def score_slices(
    market: Marketplace, decisions: pd.DataFrame, found: Findings
) -> tuple[list[dict[str, object]], list[tuple[str, np.ndarray]]]:
    """One line for each confirmed slice: true or false, interval, cause."""
    out, masks = [], []
    truth = market.truth
    for row in found.findings.to_dict("records"):
        if row["kind"] != "slice" or not row["confirmed"]:
            continue
        rows = held_by(decisions, row)
        rest = decisions["policy_id"].eq(row["policy_id"]).to_numpy(dtype=bool) & ~rows
        wrong = wrong_of(truth, row["error_kind"])
        rate, other = float(wrong[rows].mean()), float(wrong[rest].mean())
        causes = truth["cause"][rows & wrong].value_counts(normalize=True)
        asked = bool(len(causes)) and float(causes.iloc[0]) >= MOSTLY
        out.append(
            {
                "false": rate <= other,
                "covered": row["low"] <= rate <= row["high"],
                "said_excess": row["error_rate"] - row["base_rate"],
                "true_base": float(wrong[rows | rest].mean()),
                "true_rate": rate,
                "cause_asked": asked,
                "cause_right": asked and NAMES[str(causes.index[0])] == row["cause"],
                "cause_wanted": NAMES[str(causes.index[0])] if asked else "",
                "cause": row["cause"],
            }
        )
        masks.append((str(row["policy_id"]), rows))
    return out, masks


def score_planted(
    market: Marketplace,
    decisions: pd.DataFrame,
    log: DecisionLog,
    judged: AuditEvidence,
    masks: list[tuple[str, np.ndarray]],
) -> list[dict[str, object]]:
    out = []
    wrong = market.truth["is_error"].to_numpy(dtype=bool)
    for planted in market.planted["slices"]:
        rows = slice_mask(decisions, planted["policy_id"], planted["conditions"])
        kind = KINDS.index(planted["error_kind"])
        code = log.policy_ids.index(planted["policy_id"])
        inside = rows[judged.position]
        outside = (judged.policy == code) & ~inside
        best = max(
            (
                max(overlap(rows, mask), overlap(rows & wrong, mask & wrong))
                for policy, mask in masks
                if policy == planted["policy_id"]
            ),
            default=0.0,
        )
        late = ~judged.early
        out.append(
            {
                "planted": planted["id"],
                "found": best >= OVERLAP,
                "overlap": best,
                "detectable": excess_p_value(judged, inside, outside, kind) < 0.05,
                "detectable_late": excess_p_value(judged, inside & late, outside & late, kind)
                < 0.05,
            }
        )
    return out


def score_bars(
    market: Marketplace, decisions: pd.DataFrame, found: Findings, policies: dict[str, Policy]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Coverage of the what-if's intervals, and what the recommendations are worth."""
    violates = market.truth["violates"].to_numpy(dtype=bool)
    score = decisions["score"].to_numpy(np.float64, na_value=np.nan)
    enforced = decisions["enforced"].to_numpy(dtype=bool)
    told = np.isfinite(score) & decisions["threshold"].notna().to_numpy(dtype=bool)
    rows, moves = [], []
    keys = ["policy_id", "moderator", "market"]
    for names, table in found.thresholds.groupby(keys, dropna=False, sort=True):
        at = told.copy()
        for key, name in zip(keys, names, strict=True):
            if not pd.isna(name):
                at &= decisions[key].eq(name).to_numpy(dtype=bool)
        policy = policies[names[0]]
        costs = policy.harm(WRONGFUL_ACTION), policy.harm(MISSED_VIOLATION)
        harms = {}
        for row in table.to_dict("records"):
            acted = enforced if row["current"] else score >= row["threshold"]
            wrongful, missed = (
                int((at & acted & ~violates).sum()),
                int((at & ~acted & violates).sum()),
            )
            harm = costs[0] * wrongful + costs[1] * missed
            if row["supported"]:
                harms[row["threshold"]] = harm
                values = {"wrongful": wrongful, "missed": missed, "harm": harm}
                rows += [
                    {
                        "measure": name,
                        "covered": row[f"{name}_low"] <= value <= row[f"{name}_high"],
                        "width": row[f"{name}_high"] - row[f"{name}_low"],
                        "value": value,
                    }
                    for name, value in values.items()
                ]
        now = harms[table.loc[table["current"], "threshold"].iloc[0]]
        chosen = table.loc[table["recommended"], "threshold"]
        then = harms[chosen.iloc[0]] if len(chosen) else now
        moves.append(
            {
                **said_gain(found, names),
                "by_market": not pd.isna(names[2]),
                "recommended": bool(len(chosen)),
                "gained": now - then,
                "possible": now - min(harms.values()),
                "harm_now": now,
            }
        )
    return pd.DataFrame(rows), pd.DataFrame(moves)


def said_gain(found: Findings, names: tuple[str, str, str]) -> dict[str, float]:
    """Return what the findings say that a confirmed threshold gains in 30 days, with limits."""
    rows = found.findings
    own = rows[(rows["kind"] == "threshold") & rows["confirmed"] & (rows["policy_id"] == names[0])]
    wanted = {("moderator", names[1])} | (
        {("market", names[2])} if not pd.isna(names[2]) else set()
    )
    for row in own.to_dict("records"):
        if {(c["column"], c["value"]) for c in row["conditions"]} == wanted:
            return {key: row[f"harm_saved{end}"] for key, end in
                    (("said", ""), ("said_low", "_low"), ("said_high", "_high"))}  # fmt: skip
    return dict.fromkeys(("said", "said_low", "said_high"), np.nan)


def planted(options: argparse.Namespace) -> None:
    slices, hits, bars, moves, accounts, seconds = [], [], [], [], [], []
    for seed in options.seeds:
        market, snapshot = world(seed, options.decisions)
        decisions = snapshot.decisions
        started = time.perf_counter()
        audit = snapshot.audit_sample
        fitted = cross_fit(decisions, audit.position, audit.answer, audit.weight)
        p_error = None if fitted is None else fitted.p_error  # as a report has it
        found = find_findings(snapshot, rng=np.random.default_rng(0), p_error=p_error)
        seconds.append(time.perf_counter() - started)
        log = read_decision_log(snapshot)
        judged = read_audit_evidence(snapshot, log.policy, log.early)
        lines, masks = score_slices(market, decisions, found)
        slices += [{"seed": seed, **line} for line in lines]
        hits += [
            {"seed": seed, **line} for line in score_planted(market, decisions, log, judged, masks)
        ]
        table, moved = score_bars(market, decisions, found, catalogue(market))
        bars.append(table)
        moves.append(moved.assign(gained_30=moved["gained"] * 30 / log.days))
        accounts += score_accounts(market, decisions, found)
        print(f"seed {seed}: {seconds[-1]:.1f} s", file=sys.stderr, flush=True)
    summary = summarise(
        pd.DataFrame(slices, columns=["seed", *SCORED]), pd.DataFrame(hits), pd.concat(bars), pd.concat(moves),
        pd.DataFrame(accounts),
    )  # fmt: skip
    summary["seconds"] = float(np.mean(seconds))
    out = pd.Series(summary, name="value")
    print(out.round(4).to_string())
    print(pd.DataFrame(hits).groupby("planted")[["found", "detectable", "detectable_late"]].mean())
    asked = pd.DataFrame(slices, columns=["seed", *SCORED])
    asked = asked[asked["cause_asked"].astype(bool)]
    print(asked.groupby(["cause_wanted", "cause"]).size().to_string())
    write(out, f"findings_planted_{options.decisions}.csv", options.out)


def score_accounts(
    market: Marketplace, decisions: pd.DataFrame, found: Findings
) -> list[dict[str, object]]:
    """Confirmed groups of accounts: is their wrongful rate above the others' in truth?"""
    wrong = wrong_of(market.truth, WRONGFUL_ACTION)
    out = []
    for row in found.findings.to_dict("records"):
        if row["kind"] == "accounts" and row["confirmed"]:
            policy = decisions["policy_id"].eq(row["policy_id"]).to_numpy(dtype=bool)
            theirs = decisions["account_id"].isin(row["account_ids"]).to_numpy(dtype=bool)
            rate, other = wrong[policy & theirs].mean(), wrong[policy & ~theirs].mean()
            covered = row["low"] <= rate <= row["high"]
            line = {"false": rate <= other, "covered": covered}
            out.append({**line, "true": rate, "said": row["error_rate"]})
    return out


def summarise(
    slices: pd.DataFrame,
    hits: pd.DataFrame,
    bars: pd.DataFrame,
    moves: pd.DataFrame,
    accounts: pd.DataFrame,
) -> dict[str, float]:
    asked = slices[slices["cause_asked"].astype(bool)]
    moved = moves[moves["recommended"]]
    said = moved[moved["said"].notna()]
    covered = bars.groupby("measure")["covered"].mean()
    return {
        "marketplaces": hits["seed"].nunique(),
        "planted": len(hits),
        "found": hits["found"].mean(),
        "detectable": hits["detectable"].sum(),
        "found_of_detectable": hits.loc[hits["detectable"], "found"].mean(),
        "detectable_late": hits["detectable_late"].sum(),
        "found_of_detectable_late": hits.loc[hits["detectable_late"], "found"].mean(),
        "confirmed": len(slices),
        "false_share": slices["false"].mean(),
        "rate_covered": slices["covered"].mean(),
        "true_excess_over_policy": (slices["true_rate"] - slices["true_base"]).mean(),
        "said_excess_over_policy": slices["said_excess"].mean(),
        "causes_asked": len(asked),
        "causes_right": asked["cause_right"].mean(),
        "account_groups": len(accounts),
        "account_groups_false": accounts["false"].mean() if len(accounts) else np.nan,
        "account_groups_covered": accounts["covered"].mean() if len(accounts) else np.nan,
        "account_groups_true": accounts["true"].mean() if len(accounts) else np.nan,
        "account_groups_said": accounts["said"].mean() if len(accounts) else np.nan,
        "bar_rows": len(bars) / 3,
        **{f"bar_{name}_covered": float(value) for name, value in covered.items()},
        "bars_recommended": len(moved),
        "bars_recommended_better": (moved["gained"] > 0).mean(),
        "bar_gain_true": said["gained_30"].mean(),
        "bar_gain_said": said["said"].mean(),
        "bar_gain_covered": said["gained_30"].between(said["said_low"], said["said_high"]).mean(),
        "bar_gain_share_of_possible": moves["gained"].sum() / moves["possible"].sum(),
        "bar_regret_share_of_harm": (moves["possible"] - moves["gained"]).sum()
        / moves["harm_now"].sum(),
    }


def peers(options: argparse.Namespace) -> None:
    """sliceline and pysubgroup look at the same audited decisions; their first ten rules of up to two
    conditions a policy (with three the two were not done after 100 processor seconds)."""
    import pysubgroup as ps
    from sliceline.slicefinder import Slicefinder

    rows = []
    for seed in options.seeds:
        market, snapshot = world(seed, options.decisions)
        decisions, log = snapshot.decisions, read_decision_log(snapshot)
        judged = read_audit_evidence(snapshot, log.policy, log.early)
        rng = np.random.default_rng(0)
        started = time.perf_counter()
        ours = find_slices(decisions, judged, log.policy, log.known, rng=rng)
        spent = {"errdetect": time.perf_counter() - started, "sliceline": 0.0, "pysubgroup": 0.0}
        rules: dict[str, list[tuple[int, tuple]]] = {"sliceline": [], "pysubgroup": []}
        rules["errdetect"] = [(s.policy, s.rule) for s in ours if s.confirmed]
        for code in range(len(log.policy_ids)):
            own = judged.select_rows(judged.policy == code)
            frame = decisions[condition_columns(decisions)].iloc[own.position]
            known = list_conditions(frame, least=8)
            wrong = own.errors[:, 0] > 0.5
            if not known.items or wrong.sum() < 3:
                continue
            started = time.perf_counter()
            finder = Slicefinder(alpha=0.95, k=10, max_l=2, min_sup=8, verbose=False)
            finder.fit(known.met.astype(int), wrong.astype(float))
            for top in finder.top_slices_:
                at = [i for i, v in enumerate(top) if v == 1]
                rules["sliceline"].append((code, tuple(known.items[i] for i in at)))
            spent["sliceline"] += time.perf_counter() - started
            started = time.perf_counter()
            data = pd.DataFrame(known.met > 0, columns=[f"c{i}" for i in range(len(known.items))])
            data["wrong"] = wrong
            space = [ps.EqualitySelector(f"c{i}", True) for i in range(len(known.items))]
            task = ps.SubgroupDiscoveryTask(
                data, ps.BinaryTarget("wrong", True), space,
                result_set_size=10, depth=2, qf=ps.StandardQF(0.5),
            )  # fmt: skip
            for _, group, _ in ps.BeamSearch(beam_width=20).execute(task).results:
                at = [int(str(s.attribute_name)[1:]) for s in group.selectors]
                rules["pysubgroup"].append((code, tuple(known.items[i] for i in at)))
            spent["pysubgroup"] += time.perf_counter() - started
        for name, listed in rules.items():
            rows.append({"seed": seed, "method": name, "seconds": spent[name],
                         **compare(market, decisions, log, listed)})  # fmt: skip
        print(pd.DataFrame(rows[-3:]).round(3).to_string(), file=sys.stderr, flush=True)
    table = pd.DataFrame(rows).groupby("method").mean().drop(columns="seed")
    print(table.round(3).to_string())
    write(table, f"findings_peers_{options.decisions}.csv", options.out)


def compare(
    market: Marketplace, decisions: pd.DataFrame, log: DecisionLog, rules: list[tuple[int, tuple]]
) -> dict[str, float]:
    from errdetect.findings.conditions import rule_mask

    wrong = market.truth["is_error"].to_numpy(dtype=bool)
    masks, false = [], 0
    for code, rule in rules:
        where = np.flatnonzero(log.policy == code)
        mask = np.zeros(len(decisions), dtype=bool)
        columns = sorted({c.column for c in rule})
        mask[where] = rule_mask(decisions[columns].iloc[where], rule)
        rest = (log.policy == code) & ~mask
        false += bool(wrong[mask].mean() <= wrong[rest].mean())
        masks.append((log.policy_ids[code], mask))
    found = 0
    for planted_slice in market.planted["slices"]:
        rows = slice_mask(decisions, planted_slice["policy_id"], planted_slice["conditions"])
        found += any(
            max(overlap(rows, m), overlap(rows & wrong, m & wrong)) >= OVERLAP
            for policy, m in masks
            if policy == planted_slice["policy_id"]
        )
    n = len(rules)
    share = found / len(market.planted["slices"])
    return {"rules": n, "planted_found": share, "false_share": false / max(n, 1)}


def made_up(n: int, n_policies: int, judged: float, rng: np.random.Generator) -> Snapshot:
    """n decisions of 40 columns, a share of them audited, 5 % wrong and one slice a policy worse."""
    frame = pd.DataFrame(
        {
            f"text_{i}": pd.Categorical.from_codes(rng.integers(0, 12, n), list("abcdefghijkl"))
            for i in range(20)
        }
        | {f"number_{i}": rng.normal(size=n) for i in range(20)}
    )
    wrong = rng.random(n) < np.where(frame["text_0"] == "a", 0.15, 0.05)
    start = np.datetime64("2026-01-01", "us")
    ids = np.arange(n).astype(str)
    decisions = frame.assign(
        decision_id=ids,
        decided_at=pd.to_datetime(start + np.arange(n) * np.timedelta64(10, "s"), utc=True),
        policy_id=np.char.add("p", rng.integers(0, n_policies, n).astype(str)),
        enforced=rng.random(n) < 0.3,
    )
    audited = rng.random(n) < judged
    verdict = np.where(wrong, "overturned", "upheld")[audited]
    reviews = pd.DataFrame(
        {
            "review_id": ids[audited],
            "decision_id": ids[audited],
            "reviewed_at": decisions["decided_at"][audited] + pd.Timedelta("1h"),
            "source": "audit",
            "verdict": verdict,
            "inclusion_probability": judged,
            "reviewer_id": "ann",
            "site": "x",
            "expected": None,
            "minutes": 1.0,
        }
    )
    snapshot = Snapshot(decisions, reviews.reset_index(drop=True), rules=LabelRules("votes"))
    assert len(snapshot.labels) == n  # worked out here, so that no clock counts it
    return snapshot


def speed(options: argparse.Namespace) -> None:
    rows = []
    for n_policies, share in ((5000, 0.06), (12, 0.06), (200, 0.06), (1, 1.0)):
        rng = np.random.default_rng(1)
        snapshot = made_up(options.decisions, n_policies, share, rng)
        started, busy = time.perf_counter(), time.process_time()
        found = find_findings(snapshot, rng=np.random.default_rng(0))
        busy = time.process_time() - busy
        rows.append(
            {
                "decisions": options.decisions,
                "columns": 40,
                "policies": n_policies,
                "audited": len(snapshot.reviews),
                "seconds": time.perf_counter() - started,
                "processor_seconds": busy,
                "confirmed": int(found.slices["confirmed"].sum()),
            }
        )
        print(pd.DataFrame(rows).to_string(), flush=True)
    write(pd.DataFrame(rows).set_index("policies"), "findings_speed.csv", options.out)


def one_slice(seed: int, excess: float, n: int = 10_000) -> tuple[Snapshot, np.ndarray]:
    """n decisions of one policy, a tenth audited; 8 % wrong, `excess` more in one slice of 6 %."""
    rng = np.random.default_rng([7, seed, round(excess * 100)])
    frame = pd.DataFrame({
        "market": rng.choice(list("ABCDEFGH"), n), "language": rng.choice(list("wxyz"), n),
        "category": rng.choice([f"c{i}" for i in range(8)], n), "is_new": np.where(rng.random(n) < 0.4, "yes", "no"),
        "price": rng.lognormal(2, 1, n).round(2), "age": rng.exponential(200, n).round(),
        "pictures": rng.integers(0, 9, n),
    })  # fmt: skip
    planted = (frame["category"] == "c1") & (frame["price"] >= np.exp(2))
    wrong = rng.random(n) < 0.08 + excess * planted.to_numpy()
    ids = np.arange(n).astype(str)
    start = pd.Timestamp("2026-01-01", tz="UTC")
    day = start + pd.Timedelta("1D") * np.sort(rng.uniform(0, 120, n))
    decisions = frame.assign(
        decision_id=ids, item_id=ids, decided_at=day, policy_id="p", enforced=rng.random(n) < 0.4
    )
    audited = rng.random(n) < 0.1
    appealed = ~audited & wrong & decisions["enforced"].to_numpy() & (rng.random(n) < 0.1)
    parts = [
        pd.DataFrame({
            "review_id": np.char.add(source, ids[rows]), "decision_id": ids[rows],
            "reviewed_at": decisions["decided_at"][rows] + pd.Timedelta("1h"), "source": source,
            "verdict": np.where(wrong[rows], "overturned", "upheld"), "reviewer_id": "ann",
            "inclusion_probability": 0.1 if source == "audit" else np.nan, "site": "x",
            "expected": None, "minutes": 1.0,
        })
        for source, rows in (("audit", audited), ("appeal", appealed))
    ]  # fmt: skip
    reviews = pd.concat(parts, ignore_index=True)
    return Snapshot(decisions, reviews, rules=LabelRules("votes")), wrong


def sizes(options: argparse.Namespace) -> None:
    """What the confirmed findings say of their size, against the truth of what they found."""
    lines = []
    for excess in (0.25, 0.18, 0.1, 0.0):
        rows = []
        for seed in range(options.repetitions):
            snapshot, wrong = one_slice(seed, excess)
            enforced = snapshot.decisions["enforced"].to_numpy()
            found = find_findings(snapshot, rng=np.random.default_rng(0)).slices
            for row in found[found["confirmed"]].to_dict("records"):
                held = held_by(snapshot.decisions, row)
                kind = {"any": wrong, WRONGFUL_ACTION: wrong & enforced}
                own = kind.get(row["error_kind"], wrong & ~enforced)
                rows.append({
                    "seed": seed, "true": own[held].mean() - own.mean(),
                    "said": row["error_rate"] - row["base_rate"],
                    "covered": row["low"] <= own[held].mean() <= row["high"],
                    "false": own[held].mean() <= own[~held].mean(),
                })  # fmt: skip
        table = pd.DataFrame(rows, columns=["seed", "true", "said", "covered", "false"])
        lines.append({
            "planted": excess, "logs": options.repetitions, "confirmed": len(table),
            "logs_with_any": table["seed"].nunique() / options.repetitions,
            **table[["true", "said", "covered", "false"]].astype(float).mean().to_dict(),
        })  # fmt: skip
        print(pd.DataFrame(lines).round(3).to_string(), flush=True)
    write(pd.DataFrame(lines).set_index("planted"), "findings_sizes.csv", options.out)


def monthly(options: argparse.Namespace) -> None:
    """Twelve monthly reports of logs without any effect, in one ledger: is anything found?"""
    from errdetect.workflows.report import report

    rows = []
    for year in range(options.repetitions):
        with tempfile.TemporaryDirectory() as folder:
            for month in range(12):
                snapshot, _ = one_slice(10_000 + 12 * year + month, 0.0)
                moved = pd.Timedelta(days=30 * month)
                decisions, reviews = snapshot.decisions, snapshot.reviews
                share = pd.Timedelta(days=30) / (decisions["decided_at"].max() - START)
                at = START + (decisions["decided_at"] - START) * share + moved
                known = START + (reviews["reviewed_at"] - START) * share + moved
                place = Path(folder) / f"{month:02d}"
                place.mkdir()
                named = decisions.drop(columns="enforced").assign(
                    decided_at=at, decision_id=f"m{month}-" + decisions["decision_id"],
                    action=np.where(decisions["enforced"], "remove", "approve"),
                )  # fmt: skip
                named.to_parquet(place / "decisions.parquet")
                reviews.assign(
                    reviewed_at=known, decision_id=f"m{month}-" + reviews["decision_id"],
                    review_id=f"m{month}-" + reviews["review_id"],
                ).to_parquet(place / "reviews.parquet")  # fmt: skip
                (place / "config.yaml").write_text(
                    "version: 1\ndata: {decisions: decisions.parquet, reviews: reviews.parquet}\n"
                    "ledger: {url: sqlite:///../ledger.db}\n"
                )
                result = report(load_config(place / "config.yaml"), place / "out")
                level = next(note for note in result.notes if "false discovery rate of" in note)
                rows.append({"year": year, "month": month, "confirmed": result.n_confirmed})
                print(year, month, result.n_confirmed, level[:70], flush=True)
    table = pd.DataFrame(rows)
    print(f"{len(table)} reports: {table['confirmed'].sum()} false findings, in "
          f"{int((table.groupby('year')['confirmed'].sum() > 0).sum())} of {options.repetitions} years")  # fmt: skip
    write(table.set_index("year"), "findings_monthly.csv", options.out)


def write(table: pd.DataFrame | pd.Series, name: str, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    table.to_csv(out / name, float_format="%.5g")


def seeds(text: str) -> list[int]:
    first, _, last = text.partition("-")
    return list(range(int(first), int(last or first) + 1))


def main() -> None:
    # This folder's coverage.py would stand in for the package of that name, which numba imports.
    here = Path(__file__).parent.resolve()
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != here]
    parser = argparse.ArgumentParser(description="Findings against the truth.")
    parser.add_argument("part", choices=["planted", "peers", "speed", "sizes", "monthly"])
    parser.add_argument("--seeds", type=seeds, default=seeds("2000-2005"))
    parser.add_argument("--decisions", type=int, default=None)
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    options.decisions = options.decisions or (1_000_000 if options.part == "speed" else 100_000)
    parts = {"planted": planted, "peers": peers, "speed": speed, "sizes": sizes, "monthly": monthly}
    parts[options.part](options)


if __name__ == "__main__":
    main()
