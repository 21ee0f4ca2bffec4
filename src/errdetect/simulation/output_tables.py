"""The simulated world as tables in the contract's columns."""

from typing import Any

import numpy as np
import pandas as pd

from errdetect import schemas
from errdetect.simulation.item_texts import Slots, compose_texts
from errdetect.simulation.items import DAY, SIZES
from errdetect.simulation.machine_moderators import CAUSES, KINDS, MISLABELLED
from errdetect.simulation.platform_facts import (
    ACTIONS,
    CATEGORY_NAMES,
    LANGUAGES,
    MARKET_NAMES,
    MODERATORS,
    POLICIES,
    VERSIONS,
    Ints,
    format_ids,
    take_texts,
)
from errdetect.simulation.reviews import EXPERTS, SITES, ReviewScenario, SimulatedReviews

__all__ = ["START", "account_ids", "decision_frame", "review_frame", "reviewer_ids", "truth_frame"]

#: The simulated period's first moment.
START = np.datetime64("2025-01-01T00:00:00", "us")
_VERDICTS = [schemas.UPHELD, schemas.OVERTURNED, schemas.RELABELLED]
_SOURCES = [
    schemas.AUDIT,
    schemas.APPEAL,
    schemas.GOLDEN,
    schemas.ADJUDICATION,
    schemas.REPORT,
]
_PARTS = ["fit", "tune", "test"]


def _to_timestamps(moment: Ints) -> "pd.Series[Any]":
    times = pd.DatetimeIndex(START + moment.astype("timedelta64[us]"), tz="UTC")
    return pd.Series(times)


def _scramble_numbers(numbers: Ints, salt: int) -> Ints:
    """Spread numbers over 60 bits (splitmix64), so that an id does not reveal its order."""
    z = numbers.astype(np.uint64) + np.uint64((salt * 0x9E3779B97F4A7C15) % (1 << 64))
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        z = (z ^ (z >> np.uint64(shift))) * np.uint64(factor)
    z = z ^ (z >> np.uint64(31))
    spread: Ints = (z >> np.uint64(4)).astype(np.int64)
    return spread


def account_ids(n: int) -> "pd.Series[Any]":
    """Return the accounts' ids; they do not reveal an account's size."""
    return format_ids("a", _scramble_numbers(np.arange(n), 1), 15, base=16)


def reviewer_ids(site: Ints) -> list[str]:
    """Return the reviewers' ids; experts have another prefix."""
    return [f"{'x' if s == EXPERTS else 'r'}{i:03d}" for i, s in enumerate(site)]


def _prior_strikes(scene: ReviewScenario) -> Ints:
    """Count each account's strikes on record just before each decision."""
    who, acted = scene.items.seller, scene.verdicts.enforced
    order = np.argsort(who, kind="stable")
    sorted_who, sorted_acted = who[order], acted[order].astype(np.int64)
    before = np.cumsum(sorted_acted) - sorted_acted
    first = np.searchsorted(sorted_who, sorted_who)
    strikes = np.empty(len(who), dtype=np.int64)
    strikes[order] = before - before[first]
    return strikes + scene.sellers.strikes[who]


def decision_frame(rng: np.random.Generator, scene: ReviewScenario, slots: Slots) -> pd.DataFrame:
    """Build the decision log."""
    items, verdicts, sellers = scene.items, scene.verdicts, scene.sellers
    n, who = len(items), items.seller
    labels = [f"{m}\t{v}" for m in MODERATORS for v, _ in VERSIONS[m]]
    starts = np.cumsum([0] + [len(VERSIONS[m]) for m in MODERATORS])
    version = [label.split("\t")[1] for label in labels]
    loud = (sellers.style[who, 1] % 29 == 0) & ~items.comment
    action = ["approve", *[ACTIONS[p] for p in POLICIES]]
    done = np.where(verdicts.enforced, items.checked + 1, 0)
    rating = sellers.rating[who] + rng.normal(0, 0.05, n)
    columns: dict[str, Any] = {
        "decision_id": format_ids("d", np.arange(n), 8),
        "decided_at": _to_timestamps(items.moment),
        "item_id": format_ids("i", _scramble_numbers(items.item, 2), 15, base=16),
        "account_id": account_ids(len(sellers)).take(who).reset_index(drop=True),
        "policy_id": take_texts(POLICIES, items.checked),
        "action": take_texts(action, done),
        "moderator": take_texts(MODERATORS, verdicts.moderator),
        "moderator_version": take_texts(version, starts[verdicts.moderator] + verdicts.version),
        "score": verdicts.score,
        "threshold": verdicts.threshold,
        "market": take_texts(MARKET_NAMES, items.market),
        "language": take_texts(LANGUAGES, items.language),
        "category": take_texts(CATEGORY_NAMES, items.category),
        "item_type": take_texts(["listing", "comment"], items.comment.astype(np.int64)),
        "exposure": items.exposure,
        "text": compose_texts(slots, loud),
        "price": items.price,
        "n_images": items.n_images,
        "image_hash": _image_hashes(items.image),
        "account_age_days": items.moment // DAY - sellers.created[who],
        "seller_size": take_texts(SIZES, sellers.size[who]),
        "seller_rating": np.round(np.clip(rating, 1, 5), 2),
        "prior_strikes": _prior_strikes(scene),
    }
    for number, name in enumerate(MODERATORS):
        columns[f"score_{name.replace('-', '_')}"] = verdicts.scores[:, number]
    return pd.DataFrame(columns)


def _image_hashes(image: Ints) -> "pd.Series[Any]":
    return format_ids(
        "", np.where(image < 0, -1, _scramble_numbers(np.maximum(image, 0), 3)), 15, base=16
    )


def review_frame(scene: ReviewScenario, reviews: SimulatedReviews) -> pd.DataFrame:
    """Build the reviews."""
    names = reviewer_ids(scene.reviewers.site)
    # A review without a recorded reviewer has no site either.
    site = np.where(reviews.reviewer >= 0, scene.reviewers.site[reviews.reviewer], -1)
    return pd.DataFrame(
        {
            "review_id": format_ids("r", np.arange(len(reviews)), 8),
            "decision_id": format_ids("d", reviews.decision, 8),
            "reviewed_at": _to_timestamps(reviews.moment),
            "source": take_texts(_SOURCES, reviews.source),
            "verdict": take_texts(_VERDICTS, reviews.verdict),
            "correct_policy_id": take_texts(POLICIES, reviews.correct_policy),
            "reviewer_id": take_texts(names, reviews.reviewer),
            "site": take_texts([*SITES, "experts"], site),
            "inclusion_probability": reviews.inclusion,
            "expected": take_texts(_VERDICTS, reviews.expected),
            "minutes": reviews.minutes,
            "updated_at": pd.Series(pd.NaT, index=range(len(reviews)), dtype="datetime64[us, UTC]"),
        }
    )


def truth_frame(scene: ReviewScenario) -> pd.DataFrame:
    """Build the truth; `part` is the first 60 %, the next 20 %, the last 20 % by time."""
    items, truth, n = scene.items, scene.truth, len(scene.items)
    issue = np.where(truth.kind == MISLABELLED, items.issue, -1)
    part = np.searchsorted([0.6, 0.8], (np.arange(n) + 0.5) / n, side="right")
    return pd.DataFrame(
        {
            "decision_id": format_ids("d", np.arange(n), 8),
            "is_error": truth.is_error,
            "error_kind": take_texts(KINDS, truth.kind),
            "correct_policy_id": take_texts(POLICIES, issue),
            "violates": truth.violates,
            "cause": take_texts(CAUSES, truth.cause),
            "part": take_texts(_PARTS, part),
        }
    )
