"""Suppression of small groups, and of those whose figures would reveal them."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["hidden_groups"]


def hidden_groups(
    n: npt.NDArray[np.int64], minimum: int, margins: Sequence[npt.NDArray[np.int64]] = ()
) -> npt.NDArray[np.bool_]:
    """Return which groups' figures must not be shown.

    A group that rests on fewer than `minimum` cases is hidden. Where the total of several groups is shown, the
    total minus the shown groups reveals what the hidden ones have together; so these together must have the
    minimum as well, and be at least two: the next smallest groups are hidden with them.

    Parameters
    ----------
    n
        Cases of each group, shape (n_groups,). A group without any has no figure to hide.
    minimum
        Fewest cases that a figure may rest on.
    margins
        For each total that is shown: which total each group belongs to, shape (n_groups,).

    Returns
    -------
    numpy.ndarray
        Shape (n_groups,).

    References
    ----------
    Secondary suppression: Willenborg and de Waal (2001), Elements of statistical disclosure control.

    Examples
    --------
    >>> hidden_groups(np.array([50, 4, 12, 30]), 10).tolist()
    [False, True, False, False]
    >>> hidden_groups(np.array([50, 4, 12, 30]), 10, [np.zeros(4, np.int64)]).tolist()
    [False, True, True, False]
    >>> hidden_groups(np.array([50, 4, 7, 0]), 10, [np.zeros(4, np.int64)]).tolist()
    [False, True, True, False]
    """
    hidden = (n > 0) & (n < minimum)
    changed = bool(hidden.any())
    while changed:
        changed = False
        for margin in margins:
            for total in np.unique(margin[hidden]):
                inside = (margin == total) & (n > 0)
                while (hidden & inside).sum() < 2 or n[hidden & inside].sum() < minimum:
                    shown = np.flatnonzero(inside & ~hidden)
                    if not len(shown):
                        break
                    hidden[shown[np.argmin(n[shown])]] = True
                    changed = True
    return hidden
