"""A marketplace with known truth: decisions, reviews, policies and true errors.

For benchmarks, teaching and trials. `docs/simulator.md` describes what is planted and the
marketplace's limits.
"""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from errdetect.data.atomic_writing import stage_outputs, write_json, write_parquet, write_text
from errdetect.data.provenance import Provenance
from errdetect.errors import DataError, error_message
from errdetect.simulation.item_texts import draw_text_phrases
from errdetect.simulation.items import make_items, make_sellers, policy_change_day
from errdetect.simulation.machine_moderators import derive_truth, simulate_verdicts
from errdetect.simulation.output_tables import (
    START,
    decision_frame,
    review_frame,
    truth_frame,
)
from errdetect.simulation.planted_errors import describe_planted
from errdetect.simulation.platform_facts import policy_catalogue
from errdetect.simulation.reviews import ReviewDesign, ReviewScenario, make_reviewers, make_reviews
from errdetect.simulation.worlds import DEFAULT_WORLD, WorldSettings, move_level

__all__ = ["Marketplace", "simulate", "write_marketplace"]

_FILES = {
    "decisions": "decisions.parquet",
    "reviews": "reviews.parquet",
    "truth": "truth.parquet",
    "policies": "policies.yaml",
    "planted": "planted.json",
    "config": "config.yaml",
}
_CONFIG = """version: 1
data: {decisions: decisions.parquet, reviews: reviews.parquet, policies: policies.yaml}
"""


@dataclass(frozen=True)
class Marketplace:
    """A simulated marketplace.

    Parameters
    ----------
    decisions, reviews
        Tables in the contract's columns; decisions with further features.
    truth
        decision_id, is_error, error_kind, correct_policy_id, violates, cause, part (fit, tune,
        test: the first 60 %, next 20 %, last 20 % by time). For evaluation only.
    policies
        The policy catalogue's rows.
    planted
        What was planted, with the resulting rates. For evaluation only.
    """

    decisions: pd.DataFrame
    reviews: pd.DataFrame
    truth: pd.DataFrame
    policies: list[dict[str, Any]]
    planted: dict[str, Any]


def simulate(
    n_decisions: int,
    days: int,
    seed: int,
    *,
    audit_share: float = 0.06,
    overlap_share: float = 0.25,
    adjudication_share: float = 1.0,
    golden_share: float = 0.01,
    world: WorldSettings = DEFAULT_WORLD,
) -> Marketplace:
    """Simulate a marketplace's moderation for some days; equal input gives equal output.

    Parameters
    ----------
    n_decisions
        Number of decisions, at least 100.
    days
        Length of the period in days, at least 1.
    seed
        Random seed, at least 0.
    audit_share
        Share of the decisions that the designed audit draws, on average, in [0, 1].
    overlap_share
        Share of the audited decisions that two or three people review.
    adjudication_share
        Share of the audited decisions with a flag (any verdict but upheld) that an expert
        adjudicates; also those reviews' inclusion probability. At 0 no flag is adjudicated.
    golden_share
        Golden reviews, as a share of the decisions.
    world
        Drifting levels, anonymous crowds, hard content; off by default.

    Returns
    -------
    Marketplace
        Tables sorted by time.

    Raises
    ------
    DataError
        If a number is outside its range.

    Examples
    --------
    >>> market = simulate(500, days=10, seed=1)
    >>> len(market.decisions), len(market.truth), len(market.policies)
    (500, 500, 12)
    """
    _check_arguments(n_decisions, days, seed)
    _check_shares(
        audit_share=audit_share,
        overlap_share=overlap_share,
        adjudication_share=adjudication_share,
        golden_share=golden_share,
    )
    design = ReviewDesign(audit_share, overlap_share, adjudication_share, golden_share)
    # Each part has its own generator: a change in one does not affect the draws of the others.
    streams = [np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(9)]
    sellers = make_sellers(streams[0], n_decisions, days)
    items = make_items(streams[1], sellers, n_decisions, days)
    slots = draw_text_phrases(streams[2], sellers, items)
    verdicts = simulate_verdicts(streams[3], sellers, items, slots, days)
    moved = move_level(streams[8], world, sellers, items, verdicts, days)
    truth = derive_truth(streams[4], items, verdicts, moved)
    n_reviews = round(n_decisions * (audit_share * (1 + overlap_share) + golden_share))
    reviewers = make_reviewers(streams[5], n_reviews, world.hard_content)
    scene = ReviewScenario(sellers, moved, verdicts, truth, reviewers, days, world)
    reviews = make_reviews(streams[6], scene, design)
    decisions = decision_frame(streams[7], scene, slots)
    changed = (START + np.timedelta64(policy_change_day(days), "D")).astype("datetime64[D]")
    return Marketplace(
        decisions=decisions,
        reviews=review_frame(scene, reviews),
        truth=truth_frame(scene),
        policies=policy_catalogue(dt.date.fromisoformat(str(changed))),
        planted={"seed": seed, **describe_planted(scene, reviews, design, decisions)},
    )


def _check_arguments(n_decisions: int, days: int, seed: int) -> None:
    """Refuse numbers out of range."""
    for what, least, got in (
        ("n_decisions", 100, n_decisions),
        ("days", 1, days),
        ("seed", 0, seed),
    ):
        if got < least:
            must = f"be a whole number of at least {least}"
            raise DataError(error_message(what, must, got, f"Give {least} or more."))


def _check_shares(**shares: float) -> None:
    for what, got in shares.items():
        if not 0 <= got <= 1:
            raise DataError(error_message(what, "lie in [0, 1]", got, "Divide percentages by 100."))


def write_marketplace(
    marketplace: Marketplace, out: str | Path, provenance: Provenance | None = None
) -> dict[str, Path]:
    """Write a marketplace to a folder, all of its files or none; equal input, equal bytes.

    Parameters
    ----------
    marketplace
        From `simulate`.
    out
        The folder; created if missing. Files of the same names are replaced.
    provenance
        Provenance of the run, see `stage_outputs`.

    Returns
    -------
    dict
        decisions, reviews, truth, policies, planted, config -> the file's path.

    Raises
    ------
    DataError
        If the folder cannot be written to.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     paths = write_marketplace(simulate(200, days=5, seed=0), folder)
    ...     sorted(path.name for path in paths.values())[:3]
    ['config.yaml', 'decisions.parquet', 'planted.json']
    """
    with stage_outputs(out, provenance) as stage:
        write_parquet(marketplace.decisions, stage / _FILES["decisions"])
        write_parquet(marketplace.reviews, stage / _FILES["reviews"])
        write_parquet(marketplace.truth, stage / _FILES["truth"])
        write_text(stage / _FILES["policies"], _to_yaml({"policies": marketplace.policies}))
        write_json(stage / _FILES["planted"], marketplace.planted)
        write_text(stage / _FILES["config"], _CONFIG)
    return {name: Path(out) / file for name, file in _FILES.items()}


def _to_yaml(content: object) -> str:
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
    return text
