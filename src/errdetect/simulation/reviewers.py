"""The reviewers: their sites and their error rates."""

from dataclasses import dataclass

import numpy as np

from errdetect.simulation.ground_truth import MISLABELLED, GroundTruth
from errdetect.simulation.items import Items
from errdetect.simulation.machine_moderators import MachineVerdicts
from errdetect.simulation.platform_facts import (
    LANGUAGES,
    Bools,
    Floats,
    Ints,
    language_number,
    logit,
    policy_number,
)

__all__ = [
    "EXPERTS",
    "FAULT",
    "SITES",
    "SimulatedReviewers",
    "flag_probability",
    "make_reviewers",
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
    """

    site: Ints
    miss: Floats
    false_call: Floats
    by_language: tuple[Ints, ...]

    def __len__(self) -> int:
        return len(self.site)


def make_reviewers(rng: np.random.Generator, n_reviews: int) -> SimulatedReviewers:
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
    at = logit(rate) + _STEEPNESS * (truth.difficulty[decision] - _MIDDLING)
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
