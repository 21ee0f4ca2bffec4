"""The reviewers, their sites and error rates, and the reviews.

Reviews come from the designed audit, adjudications, appeals, golden items and user reports.
"""

from dataclasses import dataclass, fields

import numpy as np

from errdetect.simulation.items import DAY, Items, Sellers
from errdetect.simulation.machine_moderators import MISLABELLED, GroundTruth, MachineVerdicts
from errdetect.simulation.platform_facts import (
    LANGUAGES,
    PARTNER,
    POLICIES,
    REVIEW_MINUTES,
    Bools,
    Floats,
    Ints,
    language_number,
    logit,
    policy_number,
)
from errdetect.simulation.worlds import DEFAULT_WORLD, WorldSettings

__all__ = [
    "EXPERTS",
    "FAULT",
    "FLOOR",
    "SITES",
    "ReviewDesign",
    "ReviewScenario",
    "SimulatedReviewers",
    "SimulatedReviews",
    "audit_inclusion_probability",
    "flag_probability",
    "make_reviewers",
    "make_reviews",
    "misread_probability",
    "pick_reviewers",
    "relabel_probability",
]

#: Site -> languages, probability to miss a breach, probability to see one where there is none
#: (items of medium difficulty).
SITES = {
    "alder": (("en", "de", "fr"), 0.05, 0.03),
    "birch": (("en", "es", "pt", "it"), 0.07, 0.04),
    "cedar": (("fr", "it", "ar", "es"), 0.09, 0.05),
    "elm": (("de", "pl", "tr"), 0.10, 0.04),
    "fir": (("en", "ja", "pl", "pt"), 0.06, 0.08),
    "gorse": (("tr", "ar", "ja", "en"), 0.14, 0.06),
}
#: The number of the experts' own desk, after the sites.
EXPERTS = len(SITES)
#: One site was mistrained on one rule: it lets its breaches pass (log odds added).
FAULT = (list(SITES).index("elm"), policy_number("scam"), 2.2)
_PULL = 0.35
_STEEPNESS = 3.2
_MIDDLING = 0.35
#: Share of each rule's audit that is drawn uniformly; the rest favours scores near the threshold.
FLOOR = 0.3
#: Log-odds by which people call the clearest content what it is, and the spreads of items and people.
_AGREEMENT, _ITEMS, _PEOPLE = 4.0, 0.8, 0.5
_LEAST = 0.1  # log-odds of the majority on content that divides people
UPHELD, OVERTURNED, RELABELLED = range(3)
AUDIT, APPEAL, GOLDEN, ADJUDICATION, REPORT = range(5)


@dataclass(frozen=True)
class SimulatedReviewers:
    """One entry per reviewer.

    Parameters
    ----------
    site
        Number of the reviewer's site; EXPERTS for the experts' desk.
    miss, false_call
        Probability to miss a breach, and to see one where there is none, on an item of medium
        difficulty.
    by_language
        language -> the numbers of the reviewers who read it (experts excepted).
    hard_content
        See `WorldSettings`.
    """

    site: Ints
    miss: Floats
    false_call: Floats
    by_language: tuple[Ints, ...]
    hard_content: float = 0.0

    def __len__(self) -> int:
        return len(self.site)


def make_reviewers(
    rng: np.random.Generator, n_reviews: int, hard_content: float = 0.0
) -> SimulatedReviewers:
    """Draw 60 to 150 reviewers, depending on the number of reviews, and 6 experts."""
    n = int(np.clip(n_reviews // 70, 60, 150))
    # Sites take turns, so that each has its share with any seed.
    site = np.concatenate([np.arange(n) % len(SITES), np.full(6, EXPERTS)])
    miss = np.array([m for _, m, _ in SITES.values()] + [0.01])[site]
    false_call = np.array([f for _, _, f in SITES.values()] + [0.01])[site]
    reads = np.zeros((len(SITES), len(LANGUAGES)), dtype=bool)
    for number, (languages, _, _) in enumerate(SITES.values()):
        reads[number, [language_number(code) for code in languages]] = True
    return SimulatedReviewers(
        site=site,
        miss=_draw_individual_rates(rng, miss),
        false_call=_draw_individual_rates(rng, false_call),
        by_language=tuple(
            np.flatnonzero(reads[:, spoken][site[:n]]) for spoken in range(len(LANGUAGES))
        ),
        hard_content=hard_content,
    )


def _draw_individual_rates(rng: np.random.Generator, rate: Floats) -> Floats:
    """Draw individual rates around the site's rate."""
    result: Floats = 1 / (1 + np.exp(-(logit(rate) + rng.normal(0, 0.4, len(rate)))))
    return result


def pick_reviewers(
    rng: np.random.Generator, reviewers: SimulatedReviewers, spoken: Ints, judges: int
) -> Ints:
    """Pick this many different reviewers (items x reviewers) who read each item's language."""
    sizes = np.array([len(readers) for readers in reviewers.by_language])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    everyone = np.concatenate(reviewers.by_language)
    size = sizes[spoken][:, None]
    # Steps of different length around the circle of readers never meet the same one twice.
    first = np.floor(rng.random((len(spoken), 1)) * size)
    steps = np.cumsum(1 + np.floor(rng.random((len(spoken), judges - 1)) * (size // 3)), axis=1)
    places = np.concatenate([first, first + steps], axis=1).astype(np.int64) % size
    picked: Ints = everyone[starts[spoken][:, None] + places]
    return picked


def misread_probability(
    reviewers: SimulatedReviewers,
    items: Items,
    verdicts: MachineVerdicts,
    truth: GroundTruth,
    decision: Ints,
    reviewer: Ints,
) -> Floats:
    """Probability that a reviewer misreads whether the item breaches a rule.

    It rises with the item's difficulty, and people lean towards the machine's verdict.
    """
    violates, acted = truth.violates[decision], verdicts.enforced[decision]
    rate = np.where(violates, reviewers.miss[reviewer], reviewers.false_call[reviewer])
    beyond = truth.difficulty[decision] - _MIDDLING
    at = logit(rate) + _STEEPNESS * beyond
    # Hard content is at worst a toss-up: whoever errs more often than that knows the answer.
    harder = reviewers.hard_content * np.maximum(beyond, 0.0) / (1 - _MIDDLING)
    at = np.where(harder > 0, np.maximum(np.minimum(at + harder, 0.0), at), at)
    # Misreading agrees with the machine exactly where the machine misread the item too.
    at = at + np.where(violates == acted, -_PULL, _PULL)
    site, rule, extra = FAULT
    faulty = (reviewers.site[reviewer] == site) & (items.checked[decision] == rule)
    at = at + extra * (faulty & violates)
    result: Floats = 1 / (1 + np.exp(-at))
    return result


def flag_probability(
    truth: GroundTruth, verdicts: MachineVerdicts, decision: Ints, wrong: Floats
) -> Floats:
    """Probability that a reviewer with this misreading probability calls the decision wrong."""
    kind, hard = truth.kind[decision], truth.difficulty[decision]
    right_label = relabel_probability(
        kind, hard, verdicts.enforced[decision], truth.violates[decision]
    )
    seen = 1 - wrong
    says_breach = np.where(truth.violates[decision], seen, wrong)
    acted: Bools = verdicts.enforced[decision]
    return np.where(acted, (1 - says_breach) + says_breach * right_label, says_breach)


def relabel_probability(kind: Ints, hard: Floats, acted: Bools, violates: Bools) -> Floats:
    """Probability that a reviewer who agrees with an enforcement names another rule for it."""
    mislabelled = kind == MISLABELLED
    probability = np.where(mislabelled, 0.92 - 0.25 * hard, 0.002 + 0.02 * hard * violates)
    return np.where(acted, probability, 0.0)


@dataclass(frozen=True)
class ReviewDesign:
    """How much is reviewed, as shares.

    Parameters
    ----------
    audit
        Decisions that the audit draws, on average.
    overlap
        Audited decisions that two or three people review.
    adjudication
        Flagged audited decisions that are sent to an expert.
    golden
        Golden reviews, as a share of the decisions.
    """

    audit: float
    overlap: float
    adjudication: float
    golden: float


@dataclass(frozen=True)
class ReviewScenario:
    """The world that reviewers see."""

    sellers: Sellers
    items: Items
    verdicts: MachineVerdicts
    truth: GroundTruth
    reviewers: SimulatedReviewers
    days: int
    world: WorldSettings = DEFAULT_WORLD


@dataclass(frozen=True)
class SimulatedReviews:
    """One entry per review; -1 and NaN are missing."""

    decision: Ints
    moment: Ints
    source: Ints
    verdict: Ints
    correct_policy: Ints
    reviewer: Ints
    inclusion: Floats
    expected: Ints
    minutes: Floats

    def __len__(self) -> int:
        return len(self.decision)


def audit_inclusion_probability(items: Items, verdicts: MachineVerdicts, share: float) -> Floats:
    """Return every decision's inclusion probability in the audit.

    Small rules get more than their share; within a rule a part is uniform and the rest is
    proportional to how near the score is to the threshold.
    """
    counts = np.bincount(items.checked, minlength=len(POLICIES)).astype(np.float64)
    weight = np.maximum(counts, 1.0) ** 0.65
    rate = share * counts.sum() * weight / (weight * (counts > 0)).sum() / np.maximum(counts, 1.0)
    unsure = 0.03 + np.exp(-np.abs(verdicts.score - verdicts.threshold) / 0.12)
    mean = np.bincount(items.checked, unsure, minlength=len(POLICIES)) / np.maximum(counts, 1.0)
    towards = unsure / mean[items.checked]
    probability: Floats = np.minimum(rate[items.checked] * (FLOOR + (1 - FLOOR) * towards), 1.0)
    return probability


def make_reviews(
    rng: np.random.Generator, scene: ReviewScenario, design: ReviewDesign
) -> SimulatedReviews:
    """Draw all reviews, in the order in which they became known."""
    if scene.world.crowd:
        parts = [_draw_crowd_reviews(rng, scene, design)]
    else:
        parts = [
            *_draw_audit_reviews(rng, scene, design),
            _draw_appeals(rng, scene),
            _draw_golden_reviews(rng, scene, design),
            _draw_user_reports(rng, scene),
        ]
    whole = {
        f.name: np.concatenate([getattr(part, f.name) for part in parts])
        for f in fields(SimulatedReviews)
    }
    order = np.lexsort((whole["source"], whole["decision"], whole["moment"]))
    return SimulatedReviews(**{name: values[order] for name, values in whole.items()})


@dataclass(frozen=True)
class _Assignments:
    """Who reviews which decision and when; its inclusion probability; a golden item's answer."""

    source: int
    decision: Ints
    moment: Ints
    reviewer: Ints
    inclusion: Floats | None = None
    expected: Ints | None = None


def _draw_answers(
    rng: np.random.Generator, scene: ReviewScenario, assigned: _Assignments
) -> SimulatedReviews:
    """Draw the reviewers' verdicts; experts are always correct."""
    source, decision, reviewer = assigned.source, assigned.decision, assigned.reviewer
    inclusion, expected = assigned.inclusion, assigned.expected
    n, truth, verdicts = len(decision), scene.truth, scene.verdicts
    expert = scene.reviewers.site[reviewer] == EXPERTS
    kind, violates = truth.kind[decision], truth.violates[decision]
    acted, hard = verdicts.enforced[decision], truth.difficulty[decision]
    wrong = misread_probability(scene.reviewers, scene.items, verdicts, truth, decision, reviewer)
    misread = (rng.random(n) < wrong) & ~expert
    says_breach = violates ^ misread
    other = np.where(expert, kind == MISLABELLED, relabel_probability(kind, hard, acted, violates))
    relabels = acted & says_breach & (rng.random(n) < other)
    verdict = np.where(relabels, RELABELLED, np.where(says_breach == acted, UPHELD, OVERTURNED))
    checked, issue = scene.items.checked[decision], scene.items.issue[decision]
    slip = (rng.random(n) < 0.06) & ~expert
    named = np.where((kind == MISLABELLED) & ~slip, issue, PARTNER[checked])
    typical = REVIEW_MINUTES[checked] * (0.7 + 0.9 * hard) * np.where(expert, 2.0, 1.0)
    minutes = np.round(typical * rng.lognormal(-0.08, 0.4, n), 2)
    return SimulatedReviews(
        decision=decision,
        moment=assigned.moment,
        source=np.full(n, source),
        verdict=verdict,
        correct_policy=np.where(relabels, named, -1),
        reviewer=np.where((rng.random(n) < 0.004) & (source == AUDIT), -1, reviewer),
        inclusion=np.full(n, np.nan) if inclusion is None else inclusion,
        expected=np.full(n, -1) if expected is None else expected,
        minutes=np.where(rng.random(n) < 0.015, np.nan, np.maximum(minutes, 0.05)),
    )


def _add_delay(
    rng: np.random.Generator, scene: ReviewScenario, since: Ints, median_days: float, spread: float
) -> Ints:
    """Add a delay; reviews due after the period's end are moved before it.

    The audit closes with the period, so every drawn decision is reviewed within it and the logged
    inclusion probabilities hold for the period's last days too.
    """
    end = scene.days * DAY
    delay = median_days * rng.lognormal(0, spread, len(since)) * DAY
    hurried = rng.uniform(0.2, 1.0, len(since)) * (end - since)
    wait = np.where(since + delay < end, delay, hurried)
    return since + np.maximum(wait.astype(np.int64), 1)


def _draw_audit_reviews(
    rng: np.random.Generator, scene: ReviewScenario, design: ReviewDesign
) -> list[SimulatedReviews]:
    """Draw the audit (each decision independently, with its own probability), and its reviews."""
    items = scene.items
    probability = audit_inclusion_probability(items, scene.verdicts, design.audit)
    drawn = np.flatnonzero(rng.random(len(items)) < probability)
    judges = pick_reviewers(rng, scene.reviewers, items.language[drawn], 3)
    seats = 1 + (rng.random(len(drawn)) < design.overlap)
    seats = seats + ((seats == 2) & (rng.random(len(drawn)) < 0.2))
    taken = np.arange(3) < seats[:, None]
    decision = np.repeat(drawn, seats)
    moment = _add_delay(rng, scene, items.moment[decision], 0.7, 0.8)
    audit = _Assignments(AUDIT, decision, moment, judges[taken], inclusion=probability[decision])
    first = _draw_answers(rng, scene, audit)
    flagged = np.unique(decision[first.verdict != UPHELD])
    sent = flagged[rng.random(len(flagged)) < design.adjudication]
    last = np.zeros(len(items), dtype=np.int64)
    np.maximum.at(last, decision, moment)
    experts = np.flatnonzero(scene.reviewers.site == EXPERTS)
    adjudication = _Assignments(
        ADJUDICATION,
        sent,
        _add_delay(rng, scene, last[sent], 1.5, 0.6),
        rng.choice(experts, len(sent)),
        inclusion=np.full(len(sent), design.adjudication),
    )
    return [first, _draw_answers(rng, scene, adjudication)]


def _draw_crowd_reviews(
    rng: np.random.Generator, scene: ReviewScenario, design: ReviewDesign
) -> SimulatedReviews:
    """Draw decisions uniformly, and for each the votes of several people whom nobody knows.

    Each item has a share of people who call it what it is; it is above one half and falls with
    difficulty. Each person leans to one side.
    """
    items, truth, votes = scene.items, scene.truth, scene.world.crowd
    drawn = np.flatnonzero(rng.random(len(items)) < design.audit)
    agreement = _AGREEMENT * (1 - truth.difficulty[drawn]) + rng.normal(0, _ITEMS, len(drawn))
    sign = np.where(truth.violates[drawn], 1.0, -1.0)
    opinion = np.repeat(sign * np.maximum(agreement, _LEAST), votes)
    n, decision = len(opinion), np.repeat(drawn, votes)
    says_violation = rng.random(n) < 1 / (1 + np.exp(-(opinion + rng.normal(0, _PEOPLE, n))))
    agrees = says_violation == scene.verdicts.enforced[decision]
    return SimulatedReviews(
        decision=decision,
        moment=_add_delay(rng, scene, items.moment[decision], 0.7, 0.8),
        source=np.full(n, AUDIT),
        verdict=np.where(agrees, UPHELD, OVERTURNED),
        correct_policy=np.full(n, -1),
        reviewer=np.full(n, -1),
        inclusion=np.full(n, design.audit),
        expected=np.full(n, -1),
        minutes=np.full(n, np.nan),
    )


def _draw_appeals(rng: np.random.Generator, scene: ReviewScenario) -> SimulatedReviews:
    """Draw appeals: mostly from wronged sellers, large ones, and those fluent in the language."""
    items, kind = scene.items, scene.truth.kind
    ease = np.full(len(LANGUAGES), -0.3)
    for code, value in (("en", 0.5), ("de", 0.3), ("tr", -1.0), ("ar", -1.2), ("ja", -0.7)):
        ease[language_number(code)] = value
    size = np.array([-0.7, -0.1, 0.6, 1.2])[scene.sellers.size[items.seller]]
    wronged = np.where(kind == MISLABELLED, 0.5, 2.1 * (kind >= 0))
    at = -3.8 + wronged + size + ease[items.language]
    appeals = rng.random(len(items)) < 1 / (1 + np.exp(-at))
    decision = np.flatnonzero(appeals & scene.verdicts.enforced)
    filed = np.minimum(7 * rng.lognormal(0, 1.1, len(decision)), 150)
    handled = 2 * rng.lognormal(0, 0.5, len(decision))
    moment = items.moment[decision] + np.ceil((filed + handled) * DAY).astype(np.int64)
    known = moment < scene.days * DAY
    decision, moment = decision[known], moment[known]
    reviewer = pick_reviewers(rng, scene.reviewers, items.language[decision], 1)[:, 0]
    return _draw_answers(rng, scene, _Assignments(APPEAL, decision, moment, reviewer))


def _draw_golden_reviews(
    rng: np.random.Generator, scene: ReviewScenario, design: ReviewDesign
) -> SimulatedReviews:
    """Draw golden items, whose answer is known: two fifths are errors, each drawn uniformly."""
    items, truth = scene.items, scene.truth
    n = round(design.golden * len(items))
    wrong, right = np.flatnonzero(truth.is_error), np.flatnonzero(~truth.is_error)
    n_wrong = min(len(wrong), max(n // 8, 1)) if n else 0
    n_right = min(len(right), max(n // 5, 1)) if n else 0
    pools = [
        rng.choice(wrong, n_wrong, replace=False),
        rng.choice(right, n_right, replace=False),
    ]
    pool = np.concatenate(pools)
    decision = rng.choice(pool, n) if len(pool) else np.zeros(0, dtype=np.int64)
    # Repeats of one item go to reviewers of its language; one reviewer may see it twice.
    reviewer = pick_reviewers(rng, scene.reviewers, items.language[decision], 1)[:, 0]
    moment = _add_delay(rng, scene, items.moment[decision], 12.0, 0.9)
    kind = truth.kind[decision]
    expected = np.select([kind == MISLABELLED, kind >= 0], [RELABELLED, OVERTURNED], UPHELD)
    golden = _Assignments(GOLDEN, decision, moment, reviewer, expected=expected)
    return _draw_answers(rng, scene, golden)


def _draw_user_reports(rng: np.random.Generator, scene: ReviewScenario) -> SimulatedReviews:
    """Draw user reports on allowed items; reviewers check a few of them."""
    items, truth = scene.items, scene.truth
    seen = np.log1p(items.exposure) / 4
    probability = np.where(truth.violates, 0.05, 0.0012) * seen
    reported = (rng.random(len(items)) < probability) & ~scene.verdicts.enforced
    decision = np.flatnonzero(reported)
    wait = np.ceil(5 * rng.lognormal(0, 0.9, len(decision)) * DAY).astype(np.int64)
    moment = items.moment[decision] + wait
    known = moment < scene.days * DAY
    decision, moment = decision[known], moment[known]
    reviewer = pick_reviewers(rng, scene.reviewers, items.language[decision], 1)[:, 0]
    return _draw_answers(rng, scene, _Assignments(REPORT, decision, moment, reviewer))
