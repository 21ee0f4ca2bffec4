"""Which decisions are wrong, how, and why; only the simulation knows."""

from dataclasses import dataclass

import numpy as np

from errdetect.simulation.items import Items
from errdetect.simulation.machine_moderators import MachineVerdicts
from errdetect.simulation.phrase_pool import BAD, CODED, FORMER, NONE, TRAP
from errdetect.simulation.platform_facts import AMBIGUOUS, Bools, Floats, Ints, logit

__all__ = ["CAUSES", "KINDS", "GroundTruth", "derive_truth"]

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
]
_FROM_TERMS = CAUSES[1:8]
_CLOSE = 0.05


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


def derive_truth(rng: np.random.Generator, items: Items, verdicts: MachineVerdicts) -> GroundTruth:
    """Compare every verdict with the truth."""
    violates = items.issue >= 0
    acted = verdicts.enforced
    kind = np.select(
        [acted & ~violates, ~acted & violates, acted & (items.issue != items.checked)],
        [WRONGFUL, MISSED, MISLABELLED],
        -1,
    )
    return GroundTruth(
        violates=violates,
        kind=kind,
        cause=_error_causes(items, verdicts, kind),
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
    first = np.select([found[cause] for cause in CAUSES], list(range(len(CAUSES))))
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
