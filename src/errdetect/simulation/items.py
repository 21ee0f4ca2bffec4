"""Listings and comments: whether they truly breach a rule, and the visible signs of it."""

from dataclasses import dataclass, replace

import numpy as np

from errdetect.simulation.phrase_pool import BAD, CODED, FORMER, NONE, TRAP, load_vocabulary
from errdetect.simulation.platform_facts import (
    AMBIGUOUS,
    ANIMAL,
    BREACH,
    CATEGORIES,
    CHANGE_AT,
    CHECK,
    COMMENTS,
    HIDDEN,
    INNOCENT_USE,
    LANGUAGES,
    MARKETS,
    PARTNER,
    POLICIES,
    PRICES,
    Bools,
    Floats,
    Ints,
    category_number,
    draw_by_row,
    language_number,
    normalise_rows,
    policy_number,
)
from errdetect.simulation.platform_facts import CODED as CODED_SHARE
from errdetect.simulation.platform_facts import TRAP as TRAP_SHARE

__all__ = [
    "BAD_ACTOR",
    "CARELESS",
    "CLUSTERS",
    "DAY",
    "ODD",
    "PICTURE_RULES",
    "REGULAR",
    "SHARED_PHOTO_PRICE",
    "SIZES",
    "Copies",
    "Items",
    "Sellers",
    "draw_copies",
    "make_items",
    "make_sellers",
    "policy_change_day",
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


_RECHECKED, _RELISTED, _TAKEN_OVER = 0.05, 0.06, 0.02
_POPULAR = 0.02


@dataclass(frozen=True)
class Copies:
    """One entry per decision, in time order.

    Parameters
    ----------
    source
        The earlier decision whose content this one repeats; its own number if it repeats none.
    rechecked
        The same item was decided again.
    relisted
        The same account listed it again, slightly changed.
    same_owner
        False if another account copied the content.
    """

    source: Ints
    rechecked: Bools
    relisted: Bools
    same_owner: Bools


def draw_copies(rng: np.random.Generator, n: int) -> Copies:
    """Draw which of n decisions in time order repeat an earlier one.

    Examples
    --------
    >>> copies = draw_copies(np.random.default_rng(0), 100)
    >>> bool((copies.source <= np.arange(100)).all())
    True
    """
    u = rng.random(n)
    bars = np.cumsum([_RECHECKED, _RELISTED, _TAKEN_OVER])
    copied = u < bars[-1]
    copied[0] = False
    originals = np.flatnonzero(~copied)
    # How many originals come before each decision; copies come from those only.
    before = np.searchsorted(originals, np.arange(n))
    recent = before - rng.geometric(1 / max(2.0, 0.02 * n), n)
    popular = originals[rng.random(len(originals)) < _POPULAR]
    popular_before = np.searchsorted(popular, np.arange(n))
    pick = np.floor(popular_before * rng.random(n) ** 2).astype(np.int64)
    from_popular = (rng.random(n) < 0.35) & (popular_before > 0)
    source = originals[np.clip(recent, 0, len(originals) - 1)]
    if len(popular):
        source = np.where(from_popular, popular[np.clip(pick, 0, len(popular) - 1)], source)
    source = np.where(copied, source, np.arange(n))
    return Copies(
        source=source,
        rechecked=copied & (u < bars[0]),
        relisted=copied & (u >= bars[0]) & (u < bars[1]),
        same_owner=~(copied & (u >= bars[1])),
    )


#: Microseconds of a day.
DAY = 86_400_000_000
#: Toys more expensive than this often show the picture of a recalled cheap model.
SHARED_PHOTO_PRICE = 30.0
#: How often an item of a REGULAR, CARELESS, ODD, BAD_ACTOR account breaches a rule.
_BREACH_RATE = np.array([0.07, 0.24, 0.02, 0.66])
#: Share of the plain breaches with words that are harmless elsewhere.
_DISGUISED = 0.11
_FORMER_SHARE = {"collectibles": 0.09, "home": 0.02}
#: Rules that pictures can breach.
PICTURE_RULES = np.array([policy_number(p) for p in ("adult", "unsafe_products", "counterfeit")])


@dataclass(frozen=True)
class Items:
    """One entry per decision, in time order: the item at the time of the decision.

    Parameters
    ----------
    moment
        Microseconds since the period began.
    seller, market, language, category
        Numbers.
    comment
        Whether it is a comment rather than a listing.
    issue
        The rule that the item truly breaches, -1 for none.
    sign_policy, sign_kind, sign_choice
        Which rule the item's tell-tale words belong to (-1 for none), of which kind they are and
        which of the kind's phrases.
    checked
        The rule under which the item was decided.
    item, image
        Numbers of the item and of its picture; -1 for no picture.
    known_picture
        The rule whose collection of forbidden pictures holds this one, -1 for none.
    origin
        The first decision whose content this one repeats (itself where it repeats none), and
        `relisted` whether it was slightly changed.
    price, n_images, exposure
        As in the decision log; the price of a comment is NaN.
    """

    moment: Ints
    seller: Ints
    market: Ints
    language: Ints
    category: Ints
    comment: Bools
    issue: Ints
    sign_policy: Ints
    sign_kind: Ints
    sign_choice: Ints
    checked: Ints
    item: Ints
    image: Ints
    known_picture: Ints
    origin: Ints
    relisted: Bools
    price: Floats
    n_images: Ints
    exposure: Floats

    def __len__(self) -> int:
        return len(self.moment)

    @property
    def line(self) -> Ints:
        """The items' lines in the tables by category (comments have a line of their own)."""
        return np.where(self.comment, COMMENTS, self.category)

    @property
    def price_ratio(self) -> Floats:
        """Price over the category's typical price; 1 for comments."""
        return np.where(self.comment, 1.0, self.price / PRICES[self.category])


def policy_change_day(days: int) -> int:
    """Return the day, from the first, on which the rule on animal products changed."""
    return int(CHANGE_AT * days)


def make_items(rng: np.random.Generator, sellers: Sellers, n: int, days: int) -> Items:
    """Draw the items of n decisions over this many days."""
    seller, moment = _draw_accounts_and_times(rng, sellers, n, days)
    market = np.where(rng.random(n) < 0.04, rng.integers(len(MARKETS), size=n), 0)
    market = np.where(market > 0, market, sellers.market[seller])
    place = np.searchsorted([0.65, 0.9], rng.random(n), side="right")
    goods = sellers.categories[seller, place]
    talks = np.isin(sellers.specialty, np.flatnonzero(BREACH[COMMENTS])) & (sellers.cluster < 0)
    comment = rng.random(n) < np.where(talks, 0.6, 0.16)[seller]
    spoken = np.where(rng.random(n) < 0.03, language_number("en"), sellers.language[seller])
    late = moment / (days * DAY)
    drafts = _Drafts(seller, np.where(comment, COMMENTS, goods), comment, spoken, late)
    issue, sign_policy, sign_kind = _draw_violations(rng, sellers, drafts)
    choice = _draw_phrases(rng, spoken, sign_policy, sign_kind)
    issue = _resolve_ambiguous_claims(rng, issue, spoken, sign_policy, sign_kind, choice)
    price = _draw_prices(rng, sellers, seller, goods, comment, issue)
    image, known = _draw_images(rng, goods, comment, issue, price)
    items = Items(
        moment=moment,
        seller=seller,
        market=market,
        language=spoken,
        category=goods,
        comment=comment,
        issue=issue,
        sign_policy=sign_policy,
        sign_kind=sign_kind,
        sign_choice=choice,
        checked=np.zeros(n, dtype=np.int64),
        item=np.arange(n),
        image=image,
        known_picture=known,
        origin=np.arange(n),
        relisted=np.zeros(n, dtype=bool),
        price=price,
        n_images=np.where(
            comment, 0, 1 + rng.poisson(np.array([3.0, 2.6, 2.4, 2.0])[sellers.kind[seller]])
        ),
        exposure=_draw_expected_views(rng, sellers, seller, comment),
    )
    items = _apply_copies(rng, items)
    # The second text of the rule forbids what the first allowed, for new and old items.
    forbidden = (items.sign_kind == FORMER) & (items.moment >= policy_change_day(days) * DAY)
    items = replace(items, issue=np.where(forbidden & (items.issue < 0), ANIMAL, items.issue))
    return replace(items, checked=_draw_checked_policies(rng, items))


def _draw_accounts_and_times(
    rng: np.random.Generator, sellers: Sellers, n: int, days: int
) -> tuple[Ints, Ints]:
    """Draw account and time of each decision, in time order, never before the account exists."""
    seller = np.searchsorted(np.cumsum(sellers.weight), rng.random(n)).clip(0, len(sellers) - 1)
    day = np.arange(days)
    busy = (1 + 0.12 * np.sin(2 * np.pi * (day + 2) / 7)) * (1 + 0.25 * day / days)
    bars = np.concatenate([[0.0], np.cumsum(busy / busy.sum())])
    start = bars[np.clip(sellers.created[seller], 0, days - 1)]
    on = np.searchsorted(bars, start + (1 - start) * rng.random(n), side="right") - 1
    hour = np.arange(24)
    awake = 1.15 + np.sin(2 * np.pi * (hour - 9) / 24)
    hours = rng.choice(24, n, p=awake / awake.sum())
    within = hours * (DAY // 24) + rng.integers(0, DAY // 24, n)
    moment = np.clip(on, 0, days - 1) * DAY + within
    order = np.argsort(moment, kind="stable")
    # Nothing is decided in the last minute, so every decision can still be reviewed in time.
    return seller[order], np.minimum(moment[order], days * DAY - 60_000_000)


@dataclass(frozen=True)
class _Drafts:
    """Items before it is drawn what they break: seller, line, language, and how late in the period."""

    seller: Ints
    line: Ints
    comment: Bools
    spoken: Ints
    late: Floats


def _draw_violations(
    rng: np.random.Generator, sellers: Sellers, drafts: _Drafts
) -> tuple[Ints, Ints, Ints]:
    """Draw true breaches, and the sign that each item shows, true or misleading."""
    breach, issue, told = _draw_breaches(rng, sellers, drafts)
    innocent, looks_like = _draw_misleading_signs(rng, sellers, drafts)
    kind = np.where(breach, told, innocent)
    about = np.where(kind == NONE, -1, np.where(breach, issue, looks_like))
    return issue, about, kind


def _draw_breaches(
    rng: np.random.Generator, sellers: Sellers, drafts: _Drafts
) -> tuple[Bools, Ints, Ints]:
    """Draw which items breach a rule, which one, and how openly they show it."""
    seller, line, comment = drafts.seller, drafts.line, drafts.comment
    n, special = len(seller), sellers.specialty[seller]
    breach = rng.random(n) < _BREACH_RATE[sellers.kind[seller]] * np.where(comment, 0.8, 1.0)
    own = (special >= 0) & (BREACH[line, special] > 0) & (rng.random(n) < 0.85)
    issue = np.where(breach, np.where(own, special, draw_by_row(rng, BREACH, line)), -1)
    # German sellers found names for medicines that no rule list knows, and use them a lot.
    german = drafts.spoken == language_number("de")
    wave = german & (line == category_number("supplements")) & (rng.random(n) < 0.05)
    breach, issue = breach | wave, np.where(wave, policy_number("medicines"), issue)
    # Coded words spread over time.
    u, coded = rng.random(n), CODED_SHARE[issue] * (0.7 + 0.6 * drafts.late)
    coded = np.where(german & (issue == policy_number("medicines")), 0.85, coded)
    told = np.where(u < HIDDEN[issue], NONE, np.where(u < HIDDEN[issue] + coded, CODED, BAD))
    # Some breaches use words that are harmless elsewhere.
    return breach, issue, np.where((told == BAD) & (rng.random(n) < _DISGUISED), TRAP, told)


def _draw_misleading_signs(
    rng: np.random.Generator, sellers: Sellers, drafts: _Drafts
) -> tuple[Ints, Ints]:
    """Draw the sign that each item would show without breaching a rule, and the rule it points to."""
    seller, line = drafts.seller, drafts.line
    n, special = len(seller), sellers.specialty[seller]
    shares = TRAP_SHARE[line]
    # "Replika" is what German toy makers call a scale model.
    german = drafts.spoken == language_number("de")
    german_toy = german & (line == category_number("toys"))
    shares[german_toy, policy_number("counterfeit")] = 0.26
    looks = (sellers.kind[seller] == ODD) & ~drafts.comment
    shares[looks, special[looks]] = 0.35
    bars = np.cumsum(shares, axis=1)
    drawn = (bars < rng.random(n)[:, None]).sum(1)
    trap, quote = drawn < len(POLICIES), rng.random(n)
    base = np.zeros(len(CATEGORIES) + 1)
    for name, value in _FORMER_SHARE.items():
        base[category_number(name)] = value
    former = rng.random(n) < base[line]
    innocent = np.select(
        [trap, former, quote < 0.009, quote < 0.018], [TRAP, FORMER, BAD, CODED], NONE
    )
    looks_like = np.select(
        [trap, former], [drawn, np.full(n, ANIMAL)], draw_by_row(rng, CHECK, line)
    )
    # Some rules' words hardly ever occur innocently.
    loose = np.isin(innocent, [BAD, CODED]) & (rng.random(n) > INNOCENT_USE[looks_like])
    return np.where(loose, NONE, innocent), looks_like


def _draw_phrases(rng: np.random.Generator, spoken: Ints, about: Ints, kind: Ints) -> Ints:
    """Choose one of a kind's phrases."""
    choices = load_vocabulary().signs[spoken, about, kind]
    return np.floor(rng.random(len(spoken)) * np.maximum(choices, 1)).astype(np.int64)


def _resolve_ambiguous_claims(
    rng: np.random.Generator, issue: Ints, spoken: Ints, about: Ints, kind: Ints, choice: Ints
) -> Ints:
    """Resolve unclear claims: each phrase leans slightly one way, the rest is random."""
    lean = rng.uniform(0.3, 0.6, size=(len(LANGUAGES), 3))
    unclear = (about == AMBIGUOUS) & (kind == TRAP)
    breach = rng.random(len(issue)) < lean[spoken, choice]
    return np.where(unclear, np.where(breach, AMBIGUOUS, -1), issue)


def _draw_prices(
    rng: np.random.Generator,
    sellers: Sellers,
    seller: Ints,
    goods: Ints,
    comment: Bools,
    issue: Ints,
) -> Floats:
    """Draw prices: counterfeits and bait are cheap, but so is honest clearance stock."""
    cut = np.ones(len(seller))
    cut[issue == policy_number("counterfeit")] = 0.60
    cut[issue == policy_number("scam")] = 0.60
    cut[(sellers.cluster[seller] == 0) & (issue < 0)] = 0.45
    price = np.round(PRICES[goods] * cut * rng.lognormal(0, 0.55, len(seller)), 2)
    return np.where(comment, np.nan, np.maximum(price, 0.5))


def _draw_images(
    rng: np.random.Generator, goods: Ints, comment: Bools, issue: Ints, price: Floats
) -> tuple[Ints, Ints]:
    """Give each listing a picture; some come from the collections of forbidden pictures."""
    n, u = len(goods), rng.random(len(goods))
    toy = (goods == category_number("toys")) & (price > SHARED_PHOTO_PRICE) & (issue < 0)
    unsafe = policy_number("unsafe_products")
    kept = np.where(issue == policy_number("counterfeit"), 0.25, 0.80)
    known = np.where(np.isin(issue, PICTURE_RULES) & (u < kept), issue, -1)
    # Honest sellers of a safe, more expensive model reuse the maker's old picture.
    known = np.where(toy & (u < 0.20), unsafe, known)
    known = np.where((issue < 0) & (u > 0.9975), rng.choice(PICTURE_RULES, n), known)
    known = np.where(comment, -1, known)
    size = max(8, n // 800)
    drawn = np.floor(size * rng.random(n) ** 2).astype(np.int64)
    image = np.where(known >= 0, n + known * size + drawn, np.arange(n))
    return np.where(comment, -1, image), known


def _draw_expected_views(
    rng: np.random.Generator, sellers: Sellers, seller: Ints, comment: Bools
) -> Floats:
    """Draw the expected views of the next week: heavy-tailed, more for larger accounts."""
    middle = 2.6 + 0.55 * sellers.size[seller] - 0.8 * comment
    views = np.exp(rng.normal(middle, 1.1)) * (1 + rng.pareto(2.2, len(seller)))
    result: Floats = np.round(views, 1)
    return result


def _apply_copies(rng: np.random.Generator, items: Items) -> Items:
    """Let some decisions repeat earlier content: rechecked, relisted, or copied by others."""
    copies = draw_copies(rng, len(items))
    source, same, relisted = copies.source, copies.same_owner, copies.relisted
    taken = {
        name: getattr(items, name)[source]
        for name in (
            "language",
            "category",
            "comment",
            "issue",
            "sign_policy",
            "sign_kind",
            "sign_choice",
            "image",
            "known_picture",
            "n_images",
            "price",
        )
    }
    whose = np.where(same, source, np.arange(len(items)))
    changed = np.round(taken["price"] * rng.uniform(0.85, 1.1, len(items)), 2)
    taken["price"] = np.where(relisted, np.maximum(changed, 0.5), taken["price"])
    return replace(
        items,
        **taken,
        seller=items.seller[whose],
        market=items.market[whose],
        item=np.where(copies.rechecked, source, items.item),
        exposure=np.where(copies.rechecked, items.exposure[source], items.exposure),
        origin=source,
        relisted=relisted | ~same,
    )


def _draw_checked_policies(rng: np.random.Generator, items: Items) -> Ints:
    """Choose the rule under which each item is checked: mostly the one that it appears to concern."""
    n, u = len(items), rng.random(len(items))
    common = draw_by_row(rng, CHECK, items.line)
    seen = np.where(u < 0.80, items.sign_policy, common)
    pictured = (items.known_picture >= 0) & (rng.random(n) < 0.75)
    routed = np.where(items.sign_policy >= 0, seen, common)
    routed = np.where((items.sign_policy < 0) & pictured, items.known_picture, routed)
    breach = items.issue >= 0
    hidden = breach & (items.sign_kind == NONE) & ~pictured
    routed = np.where(hidden & (u < 0.55), items.issue, routed)
    shown = breach & (items.sign_kind != NONE)
    routed = np.where(shown, np.where(u < 0.97, items.issue, PARTNER[items.issue]), routed)
    # The English router confuses threats with hate speech.
    lumped = (items.issue == policy_number("threats")) & (items.language == language_number("en"))
    lumped &= items.comment & (rng.random(n) < 0.9)
    return np.where(lumped, policy_number("hate_speech"), routed)
