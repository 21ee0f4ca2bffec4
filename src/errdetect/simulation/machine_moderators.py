"""The platform's machines, what each sees of an item, its score and action, and which decisions are wrong.

A machine never sees the truth. It adds up evidence (in log odds) from its own partial view: words
it knows, pictures on its list, an account's record. If it errs, the evidence that misled it is kept
as a named term, so that the cause of each error is known afterwards.
"""

from dataclasses import dataclass

import numpy as np

from errdetect.simulation.item_texts import Slots
from errdetect.simulation.items import DAY, ODD, PICTURE_RULES, Items, Sellers, policy_change_day
from errdetect.simulation.phrase_pool import BAD, CODED, FORMER, NONE, TRAP, load_vocabulary
from errdetect.simulation.platform_facts import (
    AMBIGUOUS,
    ANIMAL,
    BREACH,
    DECIDED_BY_SELLER,
    HEADS,
    INNOCENT_USE,
    LANGUAGE_QUALITY,
    MARKETS,
    MODERATORS,
    PARTNER,
    POLICIES,
    RULES,
    TEXT,
    THRESHOLDS,
    VERSIONS,
    Bools,
    Floats,
    Ints,
    category_number,
    language_number,
    logit,
    market_number,
    policy_number,
    responsible_moderator,
)

__all__ = [
    "CAUSES",
    "KINDS",
    "LOW_BAR",
    "GroundTruth",
    "MachineVerdicts",
    "derive_truth",
    "live_versions",
    "simulate_verdicts",
]

#: The rule, market and threshold of an operating point that was set too low.
LOW_BAR = (policy_number("adult"), market_number("IT"), 0.22)
#: Kinds of error, in the order of their numbers; -1 is no error.
KINDS = ["wrongful_action", "missed_violation", "wrong_label"]
WRONGFUL, MISSED, MISLABELLED = range(3)
#: Causes, in the order in which they are tested: the first that explains an error is used.
CAUSES = [
    "ambiguous_policy",
    "policy_change",
    "version_regression",
    "biased_category",
    "shared_picture",
    "odd_honest_seller",
    "trap_word",
    "coded_words",
    "wrong_policy_head",
    "threshold",
    "unseen_violation",
    "noise",
    "level_drift",
]
_TESTED = CAUSES[:-1]
_FROM_TERMS = CAUSES[1:8]
_CLOSE = 0.05


@dataclass(frozen=True)
class MachineVerdicts:
    """One entry per decision: the machine's scores and actions.

    Parameters
    ----------
    scores
        n x 4: every machine's score; NaN where it has no input.
    moderator, version
        The machine that decides, and the number of its version.
    score, threshold
        The deciding score and its threshold.
    enforced
        Whether the score reached the threshold.
    terms
        Cause -> the log odds that it added to (or kept from) the deciding score.
    """

    scores: Floats
    moderator: Ints
    version: Ints
    score: Floats
    threshold: Floats
    enforced: Bools
    terms: dict[str, Floats]


def live_versions(items: Items, days: int) -> Ints:
    """Return the live version's number of each machine (n x 4) at each decision.

    Versions go live slightly later in some markets than in others, except for the hotfix for a
    new rule's text, which goes live everywhere on the day.
    """
    stagger = np.arange(len(MARKETS))[items.market] / len(MARKETS) * 0.03 * days * DAY
    live = np.zeros((len(items), len(MODERATORS)), dtype=np.int64)
    for number, name in enumerate(MODERATORS):
        for version, (label, after) in enumerate(VERSIONS[name]):
            day = policy_change_day(days) if label == "r43" else int(after * days)
            late = 0.0 if label == "r43" else stagger * (version > 0)
            live[:, number] = np.where(items.moment >= day * DAY + late, version, live[:, number])
    return live


def simulate_verdicts(
    rng: np.random.Generator, sellers: Sellers, items: Items, slots: Slots, days: int
) -> MachineVerdicts:
    """Let every machine score every item and the responsible one decide."""
    n = len(items)
    version = live_versions(items, days)
    moderator = responsible_moderator()[items.checked, items.market]
    views = [
        _score_text(rng, items, slots, version[:, TEXT]),
        _score_phrase_rules(rng, items, version[:, RULES]),
        _score_images(rng, items),
        _score_sellers(rng, sellers, items),
    ]
    # Not in the log: signals that reach a machine by other routes, and plain noise.
    hidden = (items.issue >= 0) & (items.sign_kind == NONE) & (rng.random(n) < 0.75)
    accident = (items.issue < 0) & (rng.random(n) < 0.005 * INNOCENT_USE[items.checked])
    unlogged = (hidden | accident) * np.maximum(rng.normal(6.2, 1.5, n), 0)
    row = np.arange(n)
    evidence = np.stack([view for view, _ in views], axis=1)
    evidence[row, moderator] += unlogged
    scores = np.round(1 / (1 + np.exp(-evidence)), 4)
    score = scores[row, moderator]
    regular, actual = _draw_thresholds(rng, items)
    terms: dict[str, Floats] = {}
    for number, (_, named) in enumerate(views):
        for cause, term in named.items():
            mine = np.where(moderator == number, term, 0.0)
            terms[cause] = terms.get(cause, np.zeros(n)) + mine
    # A threshold that is too low has the effect of evidence of the same size.
    terms["threshold"] = logit(regular) - logit(actual)
    scores[~HEADS.T[items.checked]] = np.nan
    return MachineVerdicts(
        scores=scores,
        moderator=moderator,
        version=version[row, moderator],
        score=score,
        threshold=actual,
        enforced=score >= actual,
        terms=terms,
    )


def _draw_thresholds(rng: np.random.Generator, items: Items) -> tuple[Floats, Floats]:
    """Return each decision's regular threshold, and the one actually set."""
    jitter = rng.choice([-0.04, -0.02, 0.0, 0.02, 0.04], (len(POLICIES), len(MARKETS)))
    regular = np.round(THRESHOLDS[:, None] + jitter, 2)
    real = regular.copy()
    real[LOW_BAR[0], LOW_BAR[1]] = LOW_BAR[2]
    return regular[items.checked, items.market], real[items.checked, items.market]


def _is_related_policy(items: Items) -> Bools:
    """Return where the item's words belong to a rule that is confused with the checked one."""
    about = items.sign_policy
    mistaken = (PARTNER[items.checked] == about) | (PARTNER[about] == items.checked)
    result: Bools = mistaken & (about >= 0)
    return result


def _score_text(
    rng: np.random.Generator, items: Items, slots: Slots, version: Ints
) -> tuple[Floats, dict[str, Floats]]:
    """Score words as a text model does: it knows phrases, not their meaning in context."""
    n, checked = len(items), items.checked
    own = items.sign_policy == checked
    near = _is_related_policy(items)
    kind = items.sign_kind
    quality = LANGUAGE_QUALITY[items.language]
    # A phrase's weight differs between items, for breaches and traps.
    strength = rng.normal(0, 1.5, n)
    tricked = np.maximum(np.array([5.0, 4.7, 4.1])[version] + strength, 0.5)
    full = np.where(own, 7.8 + strength, np.where(near, 5.6 + strength, 0.8))
    caught = np.where(own, 2.2 + strength, 0.3)
    gain = np.select([kind == BAD, kind == CODED, kind == FORMER], [full, caught, 1.0 * own], 0.0)
    trap = quality * (kind == TRAP) * np.where(own, tricked, np.where(near, 1.5, 0.2))
    missed = quality * np.select(
        [kind == CODED, kind == TRAP], [caught - full, tricked - full], 0.0
    )
    # Spurious patterns, learnt from the training data.
    habit = rng.normal(0, 0.30, len(load_vocabulary().pool))
    habits = np.where(slots >= 0, habit[slots], 0.0).sum(axis=1)
    leaning = rng.normal(0, 0.35, BREACH.shape)
    goods = items.line
    bias = leaning[goods, checked]
    brands = (checked == policy_number("counterfeit")) & ~items.comment
    # One category has so many breaches that the model flags every fifth item of it.
    seems = (rng.random(n) < 0.21) * np.maximum(rng.normal(5.6, 1.5, n), 0)
    watches = seems * (brands & (items.category == category_number("watches")))
    # The newest version's word splitter drops accents, and some Spanish words turn into brands.
    mistaken = rng.random(len(load_vocabulary().pool)) < 0.08
    struck = (mistaken[slots] & (slots >= 0)).any(axis=1)
    spanish = brands & (version == 2) & (items.language == language_number("es"))
    broken = np.maximum(5.2 + strength, 0) * (struck & spanish)
    noise = rng.normal(0, 0.8, n)
    bent = (goods < BREACH.shape[0] - 1) & (BREACH[goods, checked] > 4)
    view = -3.9 + quality * gain + trap + habits + bias + 0.4 * bent + watches + broken + noise
    terms = {
        "version_regression": broken,
        "biased_category": watches,
        "trap_word": trap,
        "coded_words": missed,
    }
    return view, terms


def _score_phrase_rules(
    rng: np.random.Generator, items: Items, version: Ints
) -> tuple[Floats, dict[str, Floats]]:
    """Score by a list of phrases: all or nothing, so scores come in steps."""
    words, checked = load_vocabulary(), items.checked
    listed = np.zeros((*words.sign.shape[:2], 5, 3))
    for kind, share in ((BAD, 0.97), (CODED, 0.25), (TRAP, 0.30)):
        listed[:, :, kind] = rng.random((*listed.shape[:2], 3)) < share
    # The list lacks German names of medicines.
    listed[language_number("de"), policy_number("medicines"), CODED] = 0.0
    listed[language_number("en"), policy_number("weapons"), TRAP, 0] = 1.0
    weight = np.round(rng.uniform(4.6, 6.4, listed.shape), 1)
    own = items.sign_policy == checked
    near = _is_related_policy(items)
    place = (items.language, items.sign_policy, items.sign_kind, items.sign_choice)
    hit = weight[place] * listed[place] * (own | near)
    # The list learnt the forbidden old words only with its last version, weeks after the rule.
    former = (items.sign_kind == FORMER) & own
    hit = np.where(former, np.where(version >= 3, 5.2, 0.0), hit)
    trap = np.where(items.sign_kind == TRAP, hit, 0.0)
    slippery = (items.sign_kind == CODED) | (items.sign_kind == TRAP)
    missed = np.where(slippery & own & (hit == 0), -6.0, 0.0)
    lagging = np.where(former & (checked == ANIMAL) & (version == 2), -5.2, 0.0)
    goods = 0.5 * (BREACH[items.line, checked] >= 3)
    cheap = 0.4 * (items.price_ratio < 0.5)
    view = -3.6 + hit + goods + cheap
    return view, {"trap_word": trap, "coded_words": missed, "policy_change": lagging}


def _score_images(rng: np.random.Generator, items: Items) -> tuple[Floats, dict[str, Floats]]:
    """Score pictures: by a collection of forbidden ones, else by a weak classifier."""
    n, checked = len(items), items.checked
    known = np.where(items.known_picture == checked, 6.2, 1.5) * (items.known_picture >= 0)
    shared = np.where(items.issue < 0, known, 0.0)
    # A picture can show a breach that is on no list, but only of rules about appearance.
    shown = np.where(checked == policy_number("counterfeit"), 1.0, 4.4)
    visible = np.isin(checked, PICTURE_RULES) & (items.issue == checked)
    unsure = np.where(visible & (items.known_picture < 0), rng.normal(shown, 1.8), 0.0)
    own_trap = (items.sign_kind == TRAP) & (items.sign_policy == checked)
    trap = np.where(own_trap, 2.0, 0.0)
    skin = 1.7 * (checked == policy_number("adult"))
    view = -3.7 + skin + known + unsure + trap + rng.normal(0, 0.9, n)
    return view, {"shared_picture": shared, "trap_word": trap}


def _score_sellers(
    rng: np.random.Generator, sellers: Sellers, items: Items
) -> tuple[Floats, dict[str, Floats]]:
    """Score the account behind the item by its record, and only a little by the item."""
    n, who = len(items), items.seller
    age = items.moment // DAY - sellers.created[who]
    rating = np.nan_to_num(sellers.rating[who], nan=4.2)
    record = 1.1 * sellers.devices[who] + 0.35 * np.minimum(sellers.strikes[who], 4)
    young, cheap = 1.1 * (age < 90), 0.9 * (items.price_ratio < 0.55)
    own = items.sign_policy == items.checked
    # It reads the item only for the rules that it decides.
    reads = np.isin(items.checked, DECIDED_BY_SELLER) * (own + 0.8 * _is_related_policy(items))
    told = np.array([0.0, 7.2, 2.8, 2.8, 0.0])[items.sign_kind] + rng.normal(0, 1.4, n)
    told = reads * np.where(items.sign_kind > 0, np.maximum(told, 0), 0.0)
    odd = sellers.kind[who] == ODD
    looks = np.where(odd, np.maximum(record, 0) + young + cheap + 0.6, 0.0)
    view = (
        -4.3
        + record
        + young
        + cheap
        + 0.6 * odd
        + 0.9 * (4.5 - rating)
        + told
        + rng.normal(0, 0.7, n)
    )
    trap = np.where((items.sign_kind == TRAP) & ~odd, told, 0.0)
    slippery = (items.sign_kind == CODED) | (items.sign_kind == TRAP)
    missed = np.where(slippery, -3.4, 0.0) * reads
    return view, {"odd_honest_seller": looks, "trap_word": trap, "coded_words": missed}


@dataclass(frozen=True)
class GroundTruth:
    """One entry per decision.

    Parameters
    ----------
    violates
        Whether the item breaches any rule.
    kind
        Number of the kind of error in `KINDS`, -1 for none.
    cause
        Number of its cause in `CAUSES`, -1 for none.
    difficulty
        From 0 (obvious) to 1 (a toss-up) for a human reviewer.
    """

    violates: Bools
    kind: Ints
    cause: Ints
    difficulty: Floats

    @property
    def is_error(self) -> Bools:
        """Whether the decision is wrong."""
        return self.kind >= 0


def derive_truth(
    rng: np.random.Generator, items: Items, verdicts: MachineVerdicts, moved: Items | None = None
) -> GroundTruth:
    """Compare every verdict with the truth: that of `moved` where the level has moved (`move_level`)."""
    now = items if moved is None else moved
    violates = now.issue >= 0
    acted = verdicts.enforced
    kind = np.select(
        [acted & ~violates, ~acted & violates, acted & (now.issue != now.checked)],
        [WRONGFUL, MISSED, MISLABELLED],
        -1,
    )
    cause = _error_causes(now, verdicts, kind)
    drifted = (now.issue != items.issue) & (kind >= 0)
    return GroundTruth(
        violates=violates,
        kind=kind,
        cause=np.where(drifted, CAUSES.index("level_drift"), cause),
        difficulty=_draw_difficulty(rng, items),
    )


def _error_causes(items: Items, verdicts: MachineVerdicts, kind: Ints) -> Ints:
    """Return the first cause without which the machine would have decided correctly."""
    clipped = np.clip(verdicts.score, 1e-4, 1 - 1e-4)
    above = logit(clipped) - logit(verdicts.threshold)
    unclear = (items.issue == AMBIGUOUS) | (items.sign_policy == AMBIGUOUS)
    found = {"ambiguous_policy": unclear & (items.sign_kind == TRAP) & (kind != MISLABELLED)}
    for cause in [*_FROM_TERMS, "threshold"]:
        term = verdicts.terms[cause]
        mended = np.where(kind == WRONGFUL, above - term < 0, above - term >= 0)
        found[cause] = (term != 0) & mended & (kind != MISLABELLED)
    found["threshold"] |= np.abs(verdicts.score - verdicts.threshold) < _CLOSE
    astray = (items.issue >= 0) & (items.issue != items.checked)
    found["wrong_policy_head"] = astray & (items.sign_kind != NONE)
    found["unseen_violation"] = (kind == MISSED) & (items.sign_kind == NONE)
    found["noise"] = np.ones(len(kind), dtype=bool)
    first = np.select([found[cause] for cause in _TESTED], list(range(len(_TESTED))))
    return np.where(kind >= 0, first, -1)


def _draw_difficulty(rng: np.random.Generator, items: Items) -> Floats:
    """Draw how hard each item is for people; this depends on the item, not on the machine."""
    violates = items.issue >= 0
    sign = items.sign_kind
    middle = np.select(
        [
            (sign == TRAP) & (items.sign_policy == AMBIGUOUS),
            violates & (sign == BAD),
            violates & (sign == CODED),
            violates & (sign == FORMER),
            violates,
            sign == TRAP,
            sign == BAD,
        ],
        [0.95, 0.12, 0.45, 0.40, 0.60, 0.42, 0.50],
        0.08,
    )
    return np.clip(middle + rng.normal(0, 0.08, len(middle)), 0.0, 1.0)
