"""Recompute every figure of an evidence bundle, offline, from the tables beside this script.

    python recompute.py [FOLDER]

Needs Python 3.11 or later, numpy and pandas; nothing of errdetect. Prints what it compared; exit
status 1 where a file differs from SHA256SUMS, or a figure from what its tables give. README.md
explains the tables and the method.
"""

import hashlib
import json
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from errdetect.estimation.recompute_intervals import (
    Domain,
    Floats,
    Reviewers,
    corrected,
    korn_graubard,
    prior_from_others,
    rate_interval,
    score_interval,
    share_interval,
)

__all__ = [
    "FIGURES",
    "TAKEN_AS_GIVEN",
    "Tables",
    "compare_bundle",
    "compare_counts",
    "compare_digests",
    "compare_figures",
    "compare_records",
    "gather",
    "grouping_figures",
    "least_ratio",
    "main",
    "read_table",
    "select",
    "solve_side",
    "solve_treatment",
    "widened",
]

#: One row of a table.
Row = Mapping[Any, Any]
#: Two figures that differ by no more are equal: limits are found to 1e-9.
TOLERANCE = 1e-6
#: Least ratio of inclusion probabilities for the score interval; tolerated part of missing answers.
LEAST_FLOOR, TOLERATED = 0.2, 0.1
RATE_OF = {"error_rate": "all", "wrongful_rate": "enforced", "missed_rate": "allowed"}
ONE_LESS = {"accuracy": "error_rate", "precision": "wrongful_rate"}


# --- the bundle's tables ---


@dataclass(frozen=True)
class Tables:
    """The bundle's tables, numbers as numbers."""

    figures: pd.DataFrame
    domains: pd.DataFrame
    treatments: pd.DataFrame
    bins: pd.DataFrame
    draws: pd.DataFrame
    answers: pd.DataFrame
    volumes: pd.DataFrame
    response: pd.DataFrame

    @classmethod
    def read(cls, folder: Path) -> "Tables":
        """Read them from the bundle's folder."""
        return cls(**{name: read_table(folder / f"{name}.csv") for name in cls.__annotations__})


#: Columns that hold words; all others hold numbers, empty where there is none.
WORDS = {
    "grouping", "value", "measure", "method", "side", "draw", "week", "policy_id", "market", "language",
    "moderator", "moderator_version", "column", "how", "period_from", "period_to", "enforced", "draw_ids",
}  # fmt: skip


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV file: words as they are, numbers as numbers."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    for name in table.columns:
        if name not in WORDS:
            table[name] = pd.to_numeric(table[name].replace("", np.nan))
    return table


def solve_side(tables: Tables, grouping: str, side: str) -> dict[str, Floats]:
    """Return (rate, low, high) by domain value; NaN where there is none."""
    own = select(tables.domains, grouping=grouping, side=side)
    given = select(tables.treatments, grouping=grouping, side=side)
    results = [
        solve_treatment(tables, given[given["treatment"] == number])
        for number in sorted(given["treatment"].unique())
    ]
    found = {}
    for row in own.to_dict("records"):
        value = str(row["value"])
        rates = [result[value] for result in results if value in result]
        if not rates:
            found[value] = np.full(3, np.nan)
            continue
        share = float(row["other_share"])
        share = 1.0 if np.isnan(rates[0][0]) else share
        if len(rates) > 1 and not np.isnan(rates[1][0]) and share > 0:
            rates[0] = rates[1] if share >= 1 else (1 - share) * rates[0] + share * rates[1]
        found[value] = widened(rates[0], row)
    return found


def widened(rates: Floats, row: Row) -> Floats:
    """Count what is missing as like the others for the rate, all right or all wrong for the limits."""
    rate, low, high = (float(v) for v in rates)
    pending = row["pending"] - (0.0 if np.isnan(rate) else TOLERATED * (high - low) / 2)
    for share in (min(max(pending, 0.0), 1.0), row["lost"], row["unseen"]):
        low, high = low * (1 - share), high * (1 - share) + share
    return np.array([rate, low, high])


def solve_treatment(tables: Tables, rows: pd.DataFrame) -> dict[str, Floats]:
    """Return (rate, low, high) of each solved domain for one treatment of the verdicts."""
    first = rows.iloc[0]
    grouping, side = str(first["grouping"]), str(first["side"])
    values = rows["value"].tolist()
    domains = dict(gather(tables, grouping, side, float(first["treatment"])))
    reviewers = {str(r["value"]): _reviewers(r) for r in rows.to_dict("records")}
    narrow = bool(first["narrow"])
    found = {v: rate_interval(domains[v], reviewers[v], narrow=narrow) for v in values}
    if bool(first["borrowed"]):
        prior = prior_from_others(np.array([found[v] for v in values]))
        if prior is not None:
            found = {
                v: score_interval(domains[v], None, p) for v, p in zip(values, prior, strict=True)
            }
    random = tables.draws["variance"] > 0
    everywhere = tables.draws.loc[random, "weight"]
    floor = float(everywhere.mean() / everywhere.max()) if len(everywhere) else 1.0
    for row in rows.to_dict("records"):
        value, model = str(row["value"]), reviewers[str(row["value"])]
        if least_ratio(domains[value], floor) < LEAST_FLOOR:
            safe = korn_graubard(domains[value])
            found[value] = safe if model is None else corrected(safe, model)
        if not np.isnan(row["clustered_low"]):  # by cluster: its limits are given, see README.md
            found[value] = np.array([found[value][0], row["clustered_low"], row["clustered_high"]])
            found[value][0] = row["clustered_rate"]
        if row["refused"]:
            found[value] = np.full(3, np.nan)
        elif not np.isnan(row["spread"]):
            rate, low, high = found[value]
            low = rate - math.hypot(rate - low, row["spread"]) - row["fill_down"]
            high = rate + math.hypot(high - rate, row["spread"]) + row["fill_up"]
            found[value] = np.array([rate, max(low, 0.0), min(high, 1.0)])
    return found


def least_ratio(d: Domain, everywhere: float) -> float:
    """Compare the smallest drawn inclusion probability with a uniform design's."""
    weight = d.weight[d.variance > 0]
    return max(float(weight.mean() / weight.max()), everywhere) if len(weight) else everywhere


def _reviewers(row: Row) -> Reviewers | None:
    if np.isnan(row["found"]):
        return None
    found = (row["found"], row["found_low"], row["found_high"])
    return Reviewers(
        found, (row["false_positive"], row["false_positive_low"], row["false_positive_high"])
    )


def gather(
    tables: Tables, grouping: str, side: str, treatment: float
) -> Iterator[tuple[str, Domain]]:
    """Yield the domains of a grouping's side with their draws."""
    bins = select(tables.bins, grouping=grouping, side=side)
    answers = select(tables.answers, grouping=grouping, side=side)
    answers = answers[answers["treatment"] == treatment]
    known = tables.draws.set_index("draw")
    by_value = dict(iter(answers.groupby("value")))
    for value, own in bins.groupby("value"):
        rows = by_value.get(value)
        if rows is None:
            continue
        draws = known.loc[rows["draw"]]
        yield (
            str(value),
            Domain(
                own["logit"].to_numpy(float),
                own["n_decisions"].to_numpy(float),
                own["spread"].to_numpy(float),
                draws["logit"].to_numpy(float),
                draws["weight"].to_numpy(float),
                rows["answer"].to_numpy(float),
                draws["variance"].to_numpy(float),
            ),
        )


def select(table: pd.DataFrame, **wanted: str) -> pd.DataFrame:
    """Return the rows with these values."""
    rows = np.ones(len(table), dtype=bool)
    for name, value in wanted.items():
        rows &= (table[name] == value).to_numpy(bool)
    return table[rows]


# --- figures ---


def grouping_figures(tables: Tables, grouping: str) -> list[Row]:
    """Recompute the figures of one grouping."""
    solved = {side: solve_side(tables, grouping, side) for side in ("all", "enforced", "allowed")}
    own = select(tables.domains, grouping=grouping)
    facts = {(str(r["value"]), str(r["side"])): r for r in own.to_dict("records")}
    rows: list[Row] = []
    for value in solved["all"]:
        by_side = {side: facts[value, side] for side in solved}
        rates = {side: solved[side][value] for side in solved}
        for measure, side in RATE_OF.items():
            rows.append(_rate_row(value, measure, rates[side], by_side[side]))
        for measure, other in ONE_LESS.items():
            rows.append(_one_less(next(r for r in rows[::-1] if r["measure"] == other), measure))
        rows.append(_recall_row(value, rates, by_side))
    return rows


def _rate_row(value: str, measure: str, rate: Floats, facts: Row) -> Row:
    n = facts["n_decisions"]
    appealed = facts["n_appealed"] if measure != "missed_rate" else np.nan
    return {
        "value": value, "measure": measure, "estimate": rate[0], "low": rate[1], "high": rate[2],
        "n_reviews": facts["n_reviews"], "n_decisions": n,
        "bound_low": facts["n_wrong"] / n if n else np.nan,
        "bound_high": 1 - facts["n_right"] / n if n else np.nan,
        "proxy": appealed / n if n else np.nan, "response": facts["response"],
    }  # fmt: skip


def _one_less(row: Row, measure: str) -> Row:
    mirror = {"low": "high", "high": "low", "bound_low": "bound_high", "bound_high": "bound_low"}
    new = {**row, "measure": measure}
    for name in ("estimate", "low", "high", "bound_low", "bound_high", "proxy"):
        new[name] = 1 - row[mirror.get(name, name)]
    return new


def _recall_row(value: str, rates: dict[str, Floats], facts: Mapping[str, Row]) -> Row:
    w, m = rates["enforced"], rates["allowed"]
    E, A = facts["enforced"], facts["allowed"]
    n_e, n_a = E["n_decisions"], A["n_decisions"]
    found = np.full(3, np.nan)
    if not np.isnan(w[0]) and not np.isnan(m[0]):
        found = share_interval((1 - w[[0, 2, 1]]) * n_e, m * n_a)
        found = np.full(3, np.nan) if np.isnan(found[0]) else found
    least, most = E["n_right"], n_e - E["n_wrong"]
    few, many = A["n_wrong"], n_a - A["n_right"]
    low = 1.0 if many == 0 and most > 0 else least / (least + many) if least + many else np.nan
    high = 0.0 if most == 0 and many > 0 else most / (most + few) if most + few else np.nan
    reviews = E["n_reviews"] + A["n_reviews"]
    drawn = sum(f["n_reviews"] / f["response"] if f["response"] else np.nan for f in (E, A))
    return {
        "value": value, "measure": "recall", "estimate": found[0], "low": found[1], "high": found[2],
        "n_reviews": reviews, "n_decisions": n_e + n_a, "bound_low": low, "bound_high": high,
        "proxy": np.nan, "response": reviews / drawn if drawn else np.nan,
    }  # fmt: skip


FIGURES = ("estimate", "low", "high", "n_reviews", "n_decisions", "bound_low", "bound_high", "proxy",
           "response")  # fmt: skip


def compare_figures(tables: Tables) -> tuple[int, list[str]]:
    """Return how many figures were compared, and each difference in words."""
    n, wrong = 0, []
    for grouping in tables.figures["grouping"].unique():
        rows = grouping_figures(tables, grouping)
        found = {(row["value"], row["measure"]): row for row in rows}
        for row in select(tables.figures, grouping=grouping).to_dict("records"):
            own = found[(str(row["value"]), str(row["measure"]))]
            for name in FIGURES:
                published = float(row[name])
                if np.isnan(published):
                    continue  # not published
                n += 1
                if not abs(float(own[name]) - published) <= TOLERANCE:
                    where = f"{grouping} {row['value']}".strip()
                    wrong.append(
                        f"{where}, {row['measure']}, {name}: published {published:.6g}, "
                        f"recomputed {float(own[name]):.6g}"
                    )
    return n, wrong


def compare_counts(tables: Tables) -> tuple[int, list[str]]:
    """Count decisions, draws and answers again from the tables that list them."""
    checks: list[tuple[str, float, float]] = []
    for row in tables.domains.to_dict("records"):
        grouping, value, side = (str(row[name]) for name in ("grouping", "value", "side"))
        own = tables.volumes
        if side != "all":
            own = select(own, enforced=str(side == "enforced"))
        if grouping != "overall":
            own = select(own, **{grouping: value})
        what = f"decisions, {grouping} {value} {side}"
        checks.append((what, float(row["n_decisions"]), float(own["n_decisions"].sum())))
    recorded = tables.draws[tables.draws["recorded"] == 1]
    for row in tables.response.to_dict("records"):
        what, own = (
            f"{row['column']} {row['value']}",
            select(recorded, **{row["column"]: row["value"]}),
        )
        answered = float(own["answered"].sum())
        checks.append((f"drawn, {what}", float(row["n_drawn"]), float(len(own))))
        checks.append((f"answered, {what}", float(row["n_answered"]), answered))
        checks.append((f"response, {what}", float(row["response"]), answered / max(len(own), 1)))
    return len(checks), _unequal(checks)


#: What the bundle's own tables cannot give, and why; SHA256SUMS guards it, and `errdetect verify` at the platform.
TAKEN_AS_GIVEN = {
    "reviewers' error rates (found, false_positive in treatments.csv)": "they are estimated from each reviewer's "
    "and expert's answers, which would name people; a changed one changes the figures, which is found",
    "weights adjusted for late and missing answers (weight in draws.csv)": "they rest on when each reviewer "
    "answered; a changed one changes the figures, which is found",
    "limits by cluster (clustered_* in treatments.csv)": "they need to know whose decisions belong together; "
    "a changed one changes the figures, which is found",
    "rates and limits in effects.csv": "they rest on decisions before the period and on single accounts; "
    "that estimate = after - without, and lies within its limits, is compared",
    "golden.csv, intake.csv": "they count rows that are not in the bundle",
    "policies.csv, champions.csv, changes.csv, models.json, evidence.json": "they record what was decided",
}


def compare_records(folder: Path) -> tuple[int, list[str]]:
    """Compare what several files state: decisions by machine version, draws by receipt, effects' parts."""
    checks: list[tuple[str, float, float]] = []
    volumes = read_table(folder / "volumes.csv")
    versions = pd.read_csv(folder / "machine_versions.csv", dtype=str, keep_default_na=False)
    names = [
        name for name in ("moderator", "moderator_version") if name in versions and name in volumes
    ]
    for row in versions.to_dict("records"):
        own = select(volumes, **{name: row[name] or "(missing)" for name in names})
        what = " ".join(["decisions of", *(str(row[name]) for name in names), "at least"])
        counted, decided = float(own["n_decisions"].sum()), float(row["n_decisions"])
        checks.append((what, decided, max(decided, counted)))  # figures may leave some out
    draws = read_table(folder / "draws.csv")["draw_ids"].str.split()
    for receipt in json.loads((folder / "receipts.json").read_text(encoding="utf-8")):
        listed = sum(receipt["draw_id"] in ids for ids in draws)
        what = f"draws of receipt {receipt['draw_id']}"
        checks.append((what, float(receipt["n_in_period"]), float(listed)))
    effects = pd.read_csv(folder / "effects.csv", dtype=str, keep_default_na=False)
    for row in effects.to_dict("records") if "estimate" in effects else ():
        after, without, estimate, low, high = (
            float(row[name] or "nan") for name in ("after", "without", "estimate", "low", "high")
        )
        if not np.isnan(estimate):
            what = f"effect of {row['proposal_id']}, {row['measure']}"
            checks.append((what, estimate, after - without))
            checks.append((f"{what}, within its limits", estimate, min(max(estimate, low), high)))
    return len(checks), _unequal(checks)


def _unequal(checks: list[tuple[str, float, float]]) -> list[str]:
    return [
        f"{what}: published {published:.6g}, counted {counted:.6g}"
        for what, published, counted in checks
        if not abs(published - counted) <= TOLERANCE
    ]


def compare_digests(folder: Path) -> tuple[int, list[str]]:
    """Compare every file with SHA256SUMS."""
    lines = (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    known = {name: digest for digest, name in (line.split("  ", 1) for line in lines if line)}
    wrong = []
    for name, digest in known.items():
        path = folder / name
        if not path.is_file():
            wrong.append(f"{name}: missing")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            wrong.append(f"{name}: changed since the bundle was written")
    return len(known), wrong


def compare_bundle(folder: Path) -> tuple[dict[str, int], list[str]]:
    """Compare a bundle with what its tables give.

    Parameters
    ----------
    folder
        The bundle.

    Returns
    -------
    (counts, differences)
        How many files, counts and figures were compared; each difference in words.
    """
    counts, wrong = {}, []
    tables = Tables.read(folder)
    for what, (n, found) in {
        "files": compare_digests(folder),
        "counts": compare_counts(tables),
        "records": compare_records(folder),
        "figures": compare_figures(tables),
    }.items():
        counts[what] = n
        wrong += [f"{what}: {text}" for text in found]
    return counts, wrong


def main() -> int:
    """Compare, print, and return the exit status."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent
    counts, wrong = compare_bundle(folder)
    lines = [", ".join(f"{n:,} {what}" for what, n in counts.items()) + " compared"]
    lines += [f"DIFFERS {text}" for text in wrong]
    lines += [f"taken as given: {what}; {why}" for what, why in TAKEN_AS_GIVEN.items()]
    lines.append(f"{len(wrong)} differences" if wrong else "all equal")
    sys.stdout.write("\n".join(lines) + "\n")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
