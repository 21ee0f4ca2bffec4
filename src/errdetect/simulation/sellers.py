"""The sellers: few accounts cause most decisions; most are honest, some only look suspicious."""

from dataclasses import dataclass

import numpy as np

from errdetect.simulation.platform_facts import (
    BREACH,
    CATEGORIES,
    COMMENTS,
    LANGUAGES,
    MARKETS,
    POLICIES,
    Bools,
    Floats,
    Ints,
    category_number,
    draw_by_row,
    language_number,
    normalise_rows,
    policy_number,
)

__all__ = [
    "BAD_ACTOR",
    "CARELESS",
    "CLUSTERS",
    "ODD",
    "REGULAR",
    "SIZES",
    "Sellers",
    "make_sellers",
]

REGULAR, CARELESS, ODD, BAD_ACTOR = range(4)
SIZES = ["private", "small", "medium", "large"]

#: Honest sellers that look suspicious: (name, the rule they seem to break, their category).
CLUSTERS = (
    ("clearance_houses", policy_number("scam"), category_number("collectibles")),
    ("prop_houses", policy_number("weapons"), category_number("film_props")),
    ("art_dealers", policy_number("adult"), category_number("books")),
)


@dataclass(frozen=True)
class Sellers:
    """One entry per account.

    Parameters
    ----------
    weight
        Share of the platform's decisions.
    kind
        REGULAR, CARELESS, ODD or BAD_ACTOR.
    cluster
        For ODD accounts the number of their cluster in `CLUSTERS`, else -1.
    specialty
        For BAD_ACTOR accounts the rule they break, for ODD ones the rule they seem
        to break, else -1.
    market, language, size
        Numbers; size counts into `SIZES`.
    categories
        accounts x 3: what they sell, the main one first.
    created
        Day of creation, from the period's first day; negative before it.
    strikes
        Strikes that were on record when the period began.
    rating
        Buyers' rating from 1 to 5; NaN where there is none yet.
    devices
        Seen by the seller-risk machine only (shared devices and payment details).
    style
        accounts x 3: favourite opening, closing, brand.
    """

    weight: Floats
    kind: Ints
    cluster: Ints
    specialty: Ints
    market: Ints
    language: Ints
    size: Ints
    categories: Ints
    created: Ints
    strikes: Ints
    rating: Floats
    devices: Floats
    style: Ints

    def __len__(self) -> int:
        return len(self.weight)


def make_sellers(rng: np.random.Generator, n_decisions: int, days: int) -> Sellers:
    """Draw the accounts of a marketplace with this many decisions."""
    n = int(max(120, n_decisions // 22))
    weight = _draw_activity_shares(rng, n)
    kind, cluster, specialty = _draw_seller_kinds(rng, n)
    # One huge dishonest or odd account would dominate a marketplace.
    weight = normalise_rows(np.where(kind >= ODD, np.minimum(weight, 20 / n), weight))
    size = np.searchsorted(np.array([0.6, 4.0, 40.0]) / n, weight)
    created, is_new = _draw_join_days(rng, kind, cluster, days)
    market = _draw_home_markets(rng, is_new)
    spoken = np.zeros((len(MARKETS), len(LANGUAGES)))
    for i, place in enumerate(MARKETS):
        for code, part in place.languages:
            spoken[i, language_number(code)] = part
    quality = 4.55 - 0.2 * (kind == CARELESS) - 0.30 * (kind == BAD_ACTOR)
    rating = np.clip(quality + rng.normal(0, 0.35, n), 1, 5)
    return Sellers(
        weight=weight,
        kind=kind,
        cluster=cluster,
        specialty=specialty,
        market=market,
        language=draw_by_row(rng, spoken, market),
        size=size,
        categories=_draw_categories(rng, kind, cluster, specialty),
        created=created,
        strikes=rng.poisson(np.array([0.12, 0.6, 0.25, 1.1])[kind]) * (created < 0),
        rating=np.where((created > -20) & (rng.random(n) < 0.6), np.nan, rating),
        devices=rng.normal(0, 0.7, n) + np.array([0.0, 0.3, 0.5, 1.4])[kind],
        style=rng.integers(0, 1 << 30, size=(n, 3)),
    )


def _draw_activity_shares(rng: np.random.Generator, n: int) -> Floats:
    """Draw shares with a heavy tail: a tenth of the accounts cause most decisions."""
    weights: Floats = (np.arange(n) + 6.0) ** -0.95 * rng.lognormal(0, 0.5, n)
    return normalise_rows(weights)


def _draw_seller_kinds(rng: np.random.Generator, n: int) -> tuple[Ints, Ints, Ints]:
    """Draw each account's kind, cluster and specialty."""
    # Kinds alternate within blocks of 20 accounts of like activity, so that every marketplace
    # has its share of each with any seed.
    block = np.repeat([REGULAR, CARELESS, ODD, BAD_ACTOR], [14, 2, 1, 3])
    kind = rng.permuted(np.tile(block, (n // 20 + 1, 1)), axis=1).ravel()[:n]
    cluster = np.where(kind == ODD, rng.choice(len(CLUSTERS), n, p=[0.4, 0.35, 0.25]), -1)
    trade = np.array([0.27, 0.07, 0.09, 0.07, 0.08, 0.14, 0.05, 0.04, 0.05, 0.05, 0.03, 0.06])
    specialty = np.where(kind == BAD_ACTOR, rng.choice(len(POLICIES), n, p=trade), -1)
    looks_like = np.array([rule for _, rule, _ in CLUSTERS])
    return kind, cluster, np.where(kind == ODD, looks_like[cluster], specialty)


def _draw_join_days(
    rng: np.random.Generator, kind: Ints, cluster: Ints, days: int
) -> tuple[Ints, Bools]:
    """Draw the day each account was created, and whether that was recent."""
    n = len(kind)
    lately = np.array([0.15, 0.18, 0.12, 0.45])[kind]
    is_new = rng.random(n) < np.where(cluster == 0, 0.8, lately)
    early = -rng.integers(60, 2600, n)
    # Newcomers joined in the two months before the period or in its first three quarters.
    late = np.floor(rng.uniform(-60, max(0.75 * days, 1), n)).astype(np.int64)
    return np.where(is_new, late, early), is_new


def _draw_home_markets(rng: np.random.Generator, is_new: Bools) -> Ints:
    """Draw home markets; newcomers come from elsewhere, so the mix drifts."""
    shares = np.array([[m.share, m.share_new] for m in MARKETS]).T
    return draw_by_row(rng, shares, is_new.astype(np.int64))


def _draw_categories(rng: np.random.Generator, kind: Ints, cluster: Ints, specialty: Ints) -> Ints:
    """Draw three categories for each account, suited to its specialty if it has one."""
    common = normalise_rows(np.array([part for part, _ in CATEGORIES.values()]))
    fitting = BREACH[:COMMENTS].T * common
    # Rules that only comments break do not affect the seller's goods.
    fitting = np.where(fitting.sum(1, keepdims=True) > 0, fitting, common)
    table = np.vstack([common, normalise_rows(fitting)])
    line = np.where(kind == BAD_ACTOR, specialty + 1, 0)
    drawn = np.stack([draw_by_row(rng, table, line) for _ in range(3)], axis=1)
    home = np.array([goods for _, _, goods in CLUSTERS])
    drawn[:, 0] = np.where(cluster >= 0, home[cluster], drawn[:, 0])
    return drawn
