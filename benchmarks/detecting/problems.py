"""The sets, split by time into what a method may learn from and what it is measured on."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from errdetect.simulation.marketplace import simulate, write_marketplace
from errdetect.simulation.worlds import WorldSettings

__all__ = [
    "GROUP_COLUMNS", "VARIANTS", "WORLDS", "Problem", "Source", "find_folders", "load_problem", "simulated", "variants",
    "with_unseen_groups",
]  # fmt: skip

#: Kinds of reviews: file names without the ending.
VARIANTS = ("reviews", "reviews_partial")
LEARN = 0.8
#: Columns whose groups are held out: accounts, sources and kinds of content, kinds of account.
GROUP_COLUMNS = ("account_id", "source", "category", "is_anon")
UNSEEN = 0.25  # of the decisions, in the groups that are held out
UNSEEN_ROWS = 60_000  # decisions, at most, of a set with groups held out: peers take long
ALLOW = ("approve", "allow", "keep")
SIMULATED = (60_000, 120)  # decisions and days, as in docs/simulator.md
#: Simulated worlds: their settings, the share of decisions audited, and the part of the decisions used.
WORLDS = {
    "": (WorldSettings(), 0.06, 1.0),
    "drift": (WorldSettings(level_drift=1.5), 0.06, 1.0),
    "crowd": (WorldSettings(crowd=5), 1.0, 0.25),
    "hard content": (WorldSettings(hard_content=4.0), 0.06, 1.0),
}


@dataclass(frozen=True)
class Source:
    """One set with one kind of reviews.

    `rows` takes so many decisions, evenly over time; `unseen` is the column of which some groups are
    left out of learning, and only these are measured later.
    """

    name: str
    folder: Path
    variant: str
    rows: int | None = None
    unseen: str | None = None

    @property
    def is_simulated(self) -> bool:
        return self.name.startswith("simulator")


@dataclass(frozen=True)
class Problem:
    """
    Parameters
    ----------
    learn, test
        The first 80 % and the last 20 % of the decisions, by time, with `enforced`.
    reviews
        Of decisions in `learn` only.
    error
        Majority of the reviews of each decision in `learn`: 1 wrong, 0 right, NaN unknown.
    truth
        Truth of `learn`, for the ceiling only: decision_id, is_error and, if known, error_kind and
        correct_policy_id.
    y
        Truth of `test`.
    policies
        A catalogue, if the set has one.
    """

    learn: pd.DataFrame
    test: pd.DataFrame
    reviews: pd.DataFrame
    error: np.ndarray
    truth: pd.DataFrame
    y: np.ndarray
    policies: Path | None

    @property
    def all_reviewed(self) -> bool:
        """Whether people judged (nearly) every decision."""
        return bool(np.isfinite(self.error).mean() > 0.98)

    @property
    def reviews_are_truth(self) -> bool:
        """Whether learning from the truth would be learning from these reviews."""
        once = self.reviews["decision_id"].is_unique and np.isfinite(self.error).all()
        return bool(once and (self.error == self.truth["is_error"].to_numpy(float)).all())


def find_folders(data: Path) -> list[Path]:
    """Return the folders that hold a set, by name."""
    needed = ("decisions.parquet", "reviews.parquet", "truth.parquet")
    folders = sorted(data.iterdir()) if data.is_dir() else []
    return [f for f in folders if all((f / name).is_file() for name in needed)]


def variants(folder: Path) -> list[str]:
    return [v for v in VARIANTS if (folder / f"{v}.parquet").is_file()]


def simulated(seed: int, place: Path, rows: int | None, world: str = "") -> Path:
    """Write one marketplace of one of the `WORLDS` into a folder of its own."""
    n, days = SIMULATED
    settings, share, part = WORLDS[world]
    folder = place / (f"simulator_{seed}, {world}" if world else f"simulator_{seed}")
    market = simulate(int((rows or n) * part), days, seed, audit_share=share, world=settings)
    write_marketplace(market, folder)
    return folder


def with_unseen_groups(source: Source) -> list[Source]:
    """Return the set again for each of its group columns: with groups that learning never had."""
    decisions = pd.read_parquet(source.folder / "decisions.parquet")
    rows = min(source.rows or UNSEEN_ROWS, UNSEEN_ROWS, len(decisions))
    return [
        replace(source, name=f"{source.name}, unseen {column}", rows=rows, unseen=column)
        for column in GROUP_COLUMNS
        if column in decisions and len(decisions[column].unique()) > 1
    ]


def unseen_rows(groups: pd.Series) -> np.ndarray:
    """Choose whole groups, in the order of their names' checksums, until they hold a quarter."""
    sizes = groups.astype(str).value_counts()
    order = sorted(sizes.index, key=lambda name: (zlib.crc32(name.encode()), name))
    chosen, held = [], 0
    for name in order:
        if held + sizes[name] > 2 * UNSEEN * len(groups):
            continue  # groups of half of the decisions would leave too few to learn from
        chosen.append(name)
        held += sizes[name]
        if held >= UNSEEN * len(groups):
            break
    return groups.astype(str).isin(chosen).to_numpy(bool)


def load_problem(source: Source) -> Problem:
    decisions = pd.read_parquet(source.folder / "decisions.parquet").sort_values(
        ["decided_at", "decision_id"], kind="stable", ignore_index=True
    )
    if source.rows is not None and source.rows < len(decisions):
        at = np.linspace(0, len(decisions) - 1, source.rows).astype(int)
        decisions = decisions.iloc[at].reset_index(drop=True)
    decisions = decisions.assign(enforced=~decisions["action"].isin(ALLOW))
    truth = pd.read_parquet(source.folder / "truth.parquet").set_index("decision_id")
    truth = truth.loc[decisions["decision_id"]].reset_index()
    cut = round(LEARN * len(decisions))
    early = np.arange(len(decisions)) < cut
    late = ~early
    if source.unseen is not None:
        held = unseen_rows(decisions[source.unseen])
        early, late = early & ~held, late & held
    learn, test = (decisions[rows].reset_index(drop=True) for rows in (early, late))
    reviews = pd.read_parquet(source.folder / f"{source.variant}.parquet")
    reviews = reviews[reviews["decision_id"].isin(learn["decision_id"])].reset_index(drop=True)
    policies = source.folder / "policies.yaml"
    return Problem(
        learn,
        test,
        reviews,
        majority(learn["decision_id"], reviews),
        truth[early],
        truth["is_error"].to_numpy(float)[late],
        policies if policies.is_file() else None,
    )


def majority(ids: Sequence[str] | pd.Series, reviews: pd.DataFrame) -> np.ndarray:
    """Return 1, 0 or NaN for each decision: what most of its reviews say.

    Golden reviews do not count, an adjudication stands, and a tie is unknown.
    """
    counted = reviews[reviews["source"] != "golden"]
    final = counted["source"] == "adjudication"
    settled = counted["decision_id"].isin(counted.loc[final, "decision_id"])
    counted = counted[final | ~settled]
    wrong = (counted["verdict"] != "upheld").groupby(counted["decision_id"]).mean()
    share = pd.Series(ids).map(wrong).to_numpy(float, na_value=np.nan)
    return np.where((share == 0.5) | np.isnan(share), np.nan, (share > 0.5).astype(float))
