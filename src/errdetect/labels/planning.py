"""How many golden items it takes to know a reviewer's or a site's error rate well enough."""

import numpy as np

from errdetect.errors import DataError, sentence
from errdetect.stats.intervals import wilson

__all__ = ["golden_needed"]

_MOST = 10_000_000


def golden_needed(error_rate: float, *, within: float = 0.02) -> int:
    """Compute how many golden items of one sort pin an error rate down.

    One sort is the items that violate (for missed violations) or those that do not (for wrongful
    calls): each error rate needs its own. Each item judged once, or by different people the same
    item: items count, not judgements.

    Parameters
    ----------
    error_rate
        The rate that is expected, in [0, 1].
    within
        Half the width that the 95 % interval may have, in (0, 0.5).

    Returns
    -------
    int
        Items of that sort.

    Raises
    ------
    DataError
        If a rate is out of range.

    Notes
    -----
    Half the width of Wilson's interval at the expected rate.

    Examples
    --------
    >>> golden_needed(0.08), golden_needed(0.03), golden_needed(0.08, within=0.05)
    (713, 303, 118)
    """
    if not 0 <= error_rate <= 1:
        raise DataError(
            sentence("error_rate", "lie in [0, 1]", error_rate, "Divide percentages by 100.")
        )
    if not 0 < within < 0.5:
        raise DataError(
            sentence("within", "lie in (0, 0.5)", within, "0.02 means two points either way.")
        )
    low, high = 0, _MOST  # too few, enough
    while high - low > 1:
        middle = (low + high) // 2
        _, lower, upper = wilson(np.array([error_rate]), np.array([float(middle)]))
        if (upper[0] - lower[0]) / 2 <= within:
            high = middle
        else:
            low = middle
    return high
