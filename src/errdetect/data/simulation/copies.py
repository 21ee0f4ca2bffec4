"""Which decisions repeat earlier content, and how."""

from dataclasses import dataclass

import numpy as np

from errdetect.data.simulation.draw import Bools, Ints

__all__ = ["Copies", "copied_rows"]

_RECHECKED, _RELISTED, _TAKEN_OVER = 0.05, 0.06, 0.02
_POPULAR = 0.02


@dataclass(frozen=True)
class Copies:
    """One entry a decision, in time order.

    Parameters
    ----------
    source
        The earlier decision whose content this one has; its own number where it has its own.
    rechecked
        The same item was decided again.
    relisted
        The same account listed it anew, changed a little.
    same_owner
        False where another account took the content over.
    """

    source: Ints
    rechecked: Bools
    relisted: Bools
    same_owner: Bools


def copied_rows(rng: np.random.Generator, n: int) -> Copies:
    """Draw which of n decisions in time order repeat an earlier one.

    Examples
    --------
    >>> copies = copied_rows(np.random.default_rng(0), 100)
    >>> bool((copies.source <= np.arange(100)).all())
    True
    """
    u = rng.random(n)
    bars = np.cumsum([_RECHECKED, _RELISTED, _TAKEN_OVER])
    copied = u < bars[-1]
    copied[0] = False
    originals = np.flatnonzero(~copied)
    # How many originals stand before each decision; copies come from those only.
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
