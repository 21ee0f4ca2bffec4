"""Settings of the simulated world that are off by default: drifting levels, crowds, hard content."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from errdetect.errors import DataError, error_message
from errdetect.simulation.items import DAY, Items, Sellers
from errdetect.simulation.machine_moderators import MachineVerdicts
from errdetect.simulation.platform_facts import MODERATORS, PARTNER, Bools, Floats, Ints

__all__ = ["DEFAULT_WORLD", "WorldSettings", "move_level"]

Side = Literal["allowed", "enforced", "both"]
SIDES: tuple[Side, ...] = ("allowed", "enforced", "both")


@dataclass(frozen=True)
class WorldSettings:
    """How a simulated world differs from the default one.

    Parameters
    ----------
    level_drift
        By how much what people call a violation moves until the period's end: the log-odds added to
        the rate of violations among like content. Below 0, fewer things are violations. Items that
        change are wrong decisions or right ones from then on, though machines decide as before.
    drift_moderator, drift_side
        Whose decisions it concerns: one machine's, and those that it allowed, enforced, or both.
    drift_from
        Share of the period after which the level begins to move, at constant speed, in [0, 1).
    crowd
        Number of anonymous people who review each drawn decision; 0 for the usual reviewers. They vote
        by opinion, what most people would say is the truth, the draw is uniform, and there are no
        golden items, adjudications, appeals or reports.
    hard_content
        Log-odds added to reviewers' probability of misreading the hardest items, in proportion to
        difficulty from medium items on; no probability rises above one half by it. Experts do not err.

    Raises
    ------
    DataError
        If a setting is outside its range.

    Examples
    --------
    >>> WorldSettings(crowd=5).crowd
    5
    """

    level_drift: float = 0.0
    drift_moderator: str = "text-model"
    drift_side: Side = "allowed"
    drift_from: float = 0.5
    crowd: int = 0
    hard_content: float = 0.0

    def __post_init__(self) -> None:
        checks = (
            ("level_drift", abs(self.level_drift) <= 10, "lie in [-10, 10]"),
            ("drift_moderator", self.drift_moderator in MODERATORS, f"be one of {MODERATORS}"),
            ("drift_side", self.drift_side in SIDES, f"be one of {list(SIDES)}"),
            ("drift_from", 0 <= self.drift_from < 1, "lie in [0, 1)"),
            ("crowd", self.crowd == 0 or 2 <= self.crowd <= 50, "be 0, or from 2 to 50"),
            ("hard_content", 0 <= self.hard_content <= 10, "lie in [0, 10]"),
        )
        for name, held, must in checks:
            if not held:
                do = 'See docs/simulator.md, "Other worlds".'
                raise DataError(error_message(name, must, getattr(self, name), do))


DEFAULT_WORLD = WorldSettings()


def move_level(
    rng: np.random.Generator,
    world: WorldSettings,
    sellers: Sellers,
    items: Items,
    verdicts: MachineVerdicts,
    days: int,
) -> Items:
    """Return the items with what people call a violation moved, after the machines decided.

    Within each kind of content of the drifting side (the words' kind and whether they belong to the
    checked policy, and the account's kind) the rate p of violations becomes expit(logit(p) + drift):
    a shift of the level that leaves the order of content as it was.

    Parameters
    ----------
    rng
        Draws which items change.
    world
        `level_drift` 0 changes nothing.
    sellers, items, verdicts, days
        The world so far.

    Examples
    --------
    >>> from errdetect.simulation.marketplace import simulate
    >>> still, moved = (
    ...     simulate(4000, 40, seed=1, world=WorldSettings(level_drift=drift)).truth["is_error"]
    ...     for drift in (0.0, 2.0))
    >>> bool((still[:2000] == moved[:2000]).all()), bool(moved[2000:].sum() > still[2000:].sum())
    (True, True)
    """
    late = items.moment / (days * DAY)
    drift = world.level_drift * np.clip((late - world.drift_from) / (1 - world.drift_from), 0, 1)
    hit = _drifting_side(world, verdicts) & (drift != 0)
    if not hit.any():
        return items
    violates = items.issue >= 0
    p = _violation_rates(_content_kinds(sellers, items, verdicts), violates)
    moved = 1 / (1 + (1 - p) / p * np.exp(-drift))
    # Which part of the harmless becomes violating, or of the violating harmless.
    changes = np.where(violates, (p - moved) / p, (moved - p) / (1 - p))
    flips = hit & (rng.random(len(items)) < changes)
    return replace(items, issue=np.where(flips, np.where(violates, -1, items.checked), items.issue))


def _drifting_side(world: WorldSettings, verdicts: MachineVerdicts) -> Bools:
    side = {"allowed": ~verdicts.enforced, "enforced": verdicts.enforced}
    every = np.full(len(verdicts.enforced), True)
    mine: Bools = verdicts.moderator == MODERATORS.index(world.drift_moderator)
    return mine & side.get(world.drift_side, every)


def _content_kinds(sellers: Sellers, items: Items, verdicts: MachineVerdicts) -> Ints:
    """Return a number for each kind of content: all that tells violations from other content."""
    own = items.sign_policy == items.checked
    near = (items.sign_policy >= 0) & (PARTNER[items.checked] == items.sign_policy)
    parts = (items.sign_kind, own + 2 * near, sellers.kind[items.seller], verdicts.moderator)
    kind = verdicts.enforced.astype(np.int64)
    for part in parts:
        kind = kind * (int(part.max()) + 1) + part
    return np.unique(kind, return_inverse=True)[1]


def _violation_rates(kind: Ints, violates: Bools) -> Floats:
    """Return each item's rate of violations among its kind, away from 0 and 1."""
    n, hits = np.bincount(kind), np.bincount(kind, violates)
    return ((hits + 0.05) / (n + 0.1))[kind]
