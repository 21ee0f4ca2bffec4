"""What was planted, with the resulting rates: for evaluation only."""

import operator
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from errdetect.simulation.items import CLUSTERS, SHARED_PHOTO_PRICE, policy_change_day
from errdetect.simulation.machine_moderators import LOW_BAR
from errdetect.simulation.output_tables import START, account_ids, reviewer_ids
from errdetect.simulation.platform_facts import (
    AMBIGUOUS,
    ANIMAL,
    MARKET_NAMES,
    MODERATORS,
    POLICIES,
    VERSIONS,
    Bools,
    Floats,
    Ints,
)
from errdetect.simulation.reviews import (
    FAULT,
    FLOOR,
    SITES,
    ReviewDesign,
    ReviewScenario,
    SimulatedReviews,
    flag_probability,
    misread_probability,
)
from errdetect.simulation.worlds import DEFAULT_WORLD

__all__ = ["describe_planted", "slice_mask"]

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    ">=": operator.ge,
    "<": operator.lt,
}


@dataclass(frozen=True)
class _Slice:
    """A planted slice: conditions as (column, op, value)."""

    name: str
    policy_id: str
    conditions: tuple[tuple[str, str, str | float], ...]
    cause: str
    kind: str
    description: str


_SLICES = (
    _Slice(
        "watches-look-counterfeit",
        "counterfeit",
        (("category", "==", "watches"), ("moderator", "==", "text-model")),
        "biased_category",
        "wrongful_action",
        "The text model suspects every watch.",
    ),
    _Slice(
        "german-scale-models",
        "counterfeit",
        (("category", "==", "toys"), ("language", "==", "de")),
        "trap_word",
        "wrongful_action",
        "German toy makers call a scale model a Replika.",
    ),
    _Slice(
        "spanish-after-3.1.0",
        "counterfeit",
        (("language", "==", "es"), ("moderator_version", "==", "3.1.0")),
        "version_regression",
        "wrongful_action",
        "Text model 3.1.0 drops accents and takes Spanish words for brand names.",
    ),
    _Slice(
        "film-props",
        "weapons",
        (("category", "==", "film_props"),),
        "trap_word",
        "wrongful_action",
        "The rule list takes rubber props for weapons.",
    ),
    _Slice(
        "clearance-houses",
        "scam",
        (("category", "==", "collectibles"), ("account_age_days", "<", 90.0)),
        "odd_honest_seller",
        "wrongful_action",
        "Young, cheap and honest: clearance houses look like fraud to the seller-risk model.",
    ),
    _Slice(
        "italian-bar-too-low",
        POLICIES[LOW_BAR[0]],
        (("market", "==", MARKET_NAMES[LOW_BAR[1]]),),
        "threshold",
        "wrongful_action",
        "The threshold for adult content in Italy was set far too low.",
    ),
    _Slice(
        "antique-ivory-hotfix",
        "animal_products",
        (("category", "==", "collectibles"), ("moderator_version", "==", "r43")),
        "policy_change",
        "missed_violation",
        "The rule's second text forbids antique ivory; rule list r43 still let it pass.",
    ),
    _Slice(
        "supplement-claims",
        POLICIES[AMBIGUOUS],
        (("category", "==", "supplements"),),
        "ambiguous_policy",
        "any",
        "Soft health claims: the rule's text leaves open what misleads an average buyer.",
    ),
    _Slice(
        "german-coded-medicines",
        "medicines",
        (("language", "==", "de"),),
        "coded_words",
        "missed_violation",
        "The German rule list lacks the coded names of medicines.",
    ),
    _Slice(
        "recalled-picture-on-sound-toys",
        "unsafe_products",
        (("category", "==", "toys"), ("price", ">=", SHARED_PHOTO_PRICE)),
        "shared_picture",
        "wrongful_action",
        "Sound, dearer toys show the maker's old picture of a recalled model.",
    ),
    _Slice(
        "threats-filed-as-hatred",
        "hate_speech",
        (("item_type", "==", "comment"), ("language", "==", "en")),
        "wrong_policy_head",
        "wrong_label",
        "The English router sends threats to the hate speech rule.",
    ),
)


def slice_mask(decisions: pd.DataFrame, policy_id: str, conditions: list[dict[str, Any]]) -> Bools:
    """Return which decisions are in a slice: those of its policy that meet every condition.

    Parameters
    ----------
    decisions
        The decision log.
    policy_id
        The slice's policy.
    conditions
        List of {column, op, value}; op is `==`, `>=` or `<`; a missing value meets none.

    Examples
    --------
    >>> log = pd.DataFrame({"policy_id": ["spam", "spam"], "price": [2.0, 9.0]})
    >>> slice_mask(log, "spam", [{"column": "price", "op": "<", "value": 5.0}]).tolist()
    [True, False]
    """
    held = decisions["policy_id"].eq(policy_id).to_numpy(dtype=bool)
    for condition in conditions:
        column = decisions[condition["column"]]
        met = _OPERATORS[condition["op"]](column, condition["value"])
        held = held & np.asarray(met, dtype=bool)
    return held


def describe_planted(
    scene: ReviewScenario, reviews: SimulatedReviews, design: ReviewDesign, decisions: pd.DataFrame
) -> dict[str, Any]:
    """List everything that was planted, with the resulting rates.

    Parameters
    ----------
    scene, reviews, design
        The simulated world.
    decisions
        Its decision log, to which the slices' conditions are applied.

    Returns
    -------
    dict
        slices, account_clusters, ambiguous_policies, moderator_versions, policy_changes,
        reviewers (sites, reviewers, faults), design, and `world` if it is not the default one.
    """
    crowd: dict[str, Any] = {
        "sites": [],
        "reviewers": [],
        "faults": [],
    }  # nobody knows who they are
    world = scene.world
    return {
        "slices": _planted_slices(decisions, scene),
        "account_clusters": _account_clusters(scene),
        "ambiguous_policies": [POLICIES[AMBIGUOUS]],
        **_change_dates(scene),
        "reviewers": crowd if world.crowd else _reviewer_truth(scene, reviews),
        "design": {**asdict(design), "uniform_floor": 1.0 if world.crowd else FLOOR},
        **({} if world == DEFAULT_WORLD else {"world": asdict(world)}),
    }


def _mean_rate(values: Bools) -> float | None:
    """Return the mean, or None without values."""
    return round(float(values.mean()), 6) if len(values) else None


def _planted_slices(decisions: pd.DataFrame, scene: ReviewScenario) -> list[dict[str, Any]]:
    """List the planted slices with their size and realised error rates."""
    wrong, rows = scene.truth.is_error, []
    for number, planted in enumerate(_SLICES, start=1):
        conditions = [{"column": c, "op": o, "value": v} for c, o, v in planted.conditions]
        held = slice_mask(decisions, planted.policy_id, conditions)
        checked = scene.items.checked == POLICIES.index(planted.policy_id)
        rows.append(
            {
                "id": f"S{number:02d}-{planted.name}",
                "policy_id": planted.policy_id,
                "conditions": conditions,
                "cause": planted.cause,
                "error_kind": planted.kind,
                "error_rate": _mean_rate(wrong[held]),
                "base_rate": _mean_rate(wrong[checked]),
                "rest_rate": _mean_rate(wrong[checked & ~held]),
                "n": int(held.sum()),
                "n_errors": int(wrong[held].sum()),
                "description": planted.description,
            }
        )
    return rows


def _account_clusters(scene: ReviewScenario) -> list[dict[str, Any]]:
    """List the honest accounts with unusual patterns, by cluster, with the rule that hits them."""
    accounts = account_ids(len(scene.sellers))
    who, rows = scene.items.seller, []
    for number, (name, rule, _) in enumerate(CLUSTERS):
        members = np.flatnonzero(scene.sellers.cluster == number)
        held = np.isin(who, members) & (scene.items.checked == rule)
        seen = np.unique(who[held])
        rows.append(
            {
                "name": name,
                "policy_id": POLICIES[rule],
                "cause": "odd_honest_seller",
                "n": int(held.sum()),
                "error_rate": _mean_rate(scene.truth.is_error[held]),
                "wrongful_rate": _mean_rate(
                    (scene.truth.kind == 0)[held & scene.verdicts.enforced]
                ),
                "account_ids": accounts.iloc[seen].tolist(),
            }
        )
    return rows


def _change_dates(scene: ReviewScenario) -> dict[str, Any]:
    """Return when each version went live, and when which rule's text changed."""
    live = [
        {"moderator": name, "moderator_version": label, "from": _format_day(after * scene.days)}
        for name in MODERATORS
        for label, after in VERSIONS[name]
    ]
    changed = policy_change_day(scene.days)
    return {
        "moderator_versions": live,
        "policy_changes": [
            {
                "policy_id": POLICIES[ANIMAL],
                "effective_from": _format_day(changed),
                "former_clause": "Ivory, fur, skin and shell of protected animals may not be "
                "offered, unless they are antique. Imitations are allowed.",
                "moderator_version": "r43",
                "mended_by": "r44",
            }
        ],
    }


def _format_day(days: float) -> str:
    return str((START + np.timedelta64(int(days), "D")).astype("datetime64[D]"))


def _reviewer_truth(scene: ReviewScenario, reviews: SimulatedReviews) -> dict[str, Any]:
    """Return every site's and reviewer's true error rates.

    `miss_rate` and `false_call_rate` are the probabilities to misread a breach or a clean item.
    `sensitivity` and `false_positive_rate` are the probabilities to call a wrong decision wrong,
    and a correct one wrong; all are means of exact probabilities over the audited decisions that
    were reviewed, weighted to all decisions.
    """
    names = reviewer_ids(scene.reviewers.site)
    audited = np.flatnonzero((reviews.source == 0) & (reviews.reviewer >= 0))
    decision, reviewer = reviews.decision[audited], reviews.reviewer[audited]
    wrong = misread_probability(
        scene.reviewers, scene.items, scene.verdicts, scene.truth, decision, reviewer
    )
    flag = flag_probability(scene.truth, scene.verdicts, decision, wrong)
    weight = 1 / reviews.inclusion[audited]
    error, breach = scene.truth.is_error[decision], scene.truth.violates[decision]

    def rates(groups: Ints, n: int) -> list[dict[str, Any]]:
        means = {
            "sensitivity": _weighted_means(groups, flag, weight * error, n),
            "false_positive_rate": _weighted_means(groups, flag, weight * ~error, n),
            "miss_rate": _weighted_means(groups, wrong, weight * breach, n),
            "false_call_rate": _weighted_means(groups, wrong, weight * ~breach, n),
        }
        counts = np.bincount(groups, minlength=n)
        return [
            {"n_audit_reviews": int(counts[i])}
            | {
                name: None if np.isnan(values[i]) else round(float(values[i]), 6)
                for name, values in means.items()
            }
            for i in range(n)
        ]

    sites = rates(scene.reviewers.site[reviewer], len(SITES))
    people = rates(reviewer, len(scene.reviewers))
    bpo = scene.reviewers.site < len(SITES)
    site, rule, extra = FAULT
    return {
        "sites": [{"site": name} | sites[i] for i, name in enumerate(SITES)],
        "reviewers": [
            {"reviewer_id": names[i], "site": list(SITES)[scene.reviewers.site[i]]} | people[i]
            for i in np.flatnonzero(bpo)
        ],
        "faults": [
            {
                "site": list(SITES)[site],
                "policy_id": POLICIES[rule],
                "effect": "lets breaches of this rule pass",
                "log_odds_added_to_miss": extra,
            }
        ],
    }


def _weighted_means(groups: Ints, values: Floats, weight: Floats, n: int) -> Floats:
    """Weighted mean of each group, NaN where it has no weight."""
    total = np.bincount(groups, weight, minlength=n)
    summed = np.bincount(groups, weight * values, minlength=n)
    means: Floats = np.divide(summed, total, out=np.full(n, np.nan), where=total > 0)
    return means
