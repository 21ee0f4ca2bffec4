"""Said and seen: how often decisions were wrong that were given a certain probability of it."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from errdetect.stats.effective_size import effective_sizes
from errdetect.stats.grouped import sums
from errdetect.stats.intervals import critical_value, wilson

__all__ = ["reliability", "reliability_by"]

Floats = npt.NDArray[np.float64]

_FEWEST = 30  # reviews that a figure needs
_COLUMNS = ["said", "seen", "low", "high", "n"]


def reliability(y: Floats, p: Floats, weight: Floats, bins: int = 10) -> pd.DataFrame:
    """Compare said and seen, from the least to the most suspect decisions.

    Parameters
    ----------
    y
        Shape (n,), in [0, 1]: 1 for an error.
    p
        Shape (n,), the P(error) that was said.
    weight
        Shape (n,), decisions that each row stands for; rows of weight 0 do not count.
    bins
        Most groups, of about equal weight; fewer where there are not 30 reviews for each. Equal
        probabilities stay together.

    Returns
    -------
    pandas.DataFrame
        One row a group, by rising `said`: the means said and seen, `low` and `high` (95 %, Wilson,
        for as many reviews as the weights are worth), and `n` reviews. Empty below 30 reviews.

    Examples
    --------
    >>> y = np.tile([1.0, 0.0, 0.0, 0.0, 0.0], 20)
    >>> reliability(y, np.full(100, 0.3), np.ones(100)).round(2).values.tolist()
    [[0.3, 0.2, 0.13, 0.29, 100.0]]
    """
    counted = weight > 0
    y, p, weight = y[counted], p[counted], weight[counted]
    groups = min(bins, len(p) // _FEWEST)
    if groups == 0:
        return pd.DataFrame(columns=_COLUMNS, dtype=np.float64)
    values, place = np.unique(p, return_inverse=True)
    each = sums(place, weight, len(values))
    middle = (np.cumsum(each) - each / 2) / each.sum()
    group = np.minimum((middle * groups).astype(np.int64), groups - 1)[place]
    table = _table(np.unique(group, return_inverse=True)[1], y, p, weight)
    return table[_COLUMNS]


def reliability_by(y: Floats, p: Floats, weight: Floats, segments: pd.DataFrame) -> pd.DataFrame:
    """Compare said and seen in every segment with 30 reviews or more.

    Parameters
    ----------
    y, p, weight
        As for `reliability`.
    segments
        Shape (n, any): columns such as `policy_id`; missing values belong to no segment, and a column
        with one value has none.

    Returns
    -------
    pandas.DataFrame
        Columns column, value, said, seen, low, high, n, and `differs`: the gap is larger than
        chance alone would bring in any of all the rows (score test, 5 % in all, Bonferroni).

    Examples
    --------
    >>> y = np.tile([1.0, 0.0, 0.0, 0.0, 0.0], 40)
    >>> market = pd.DataFrame({"market": ["PL"] * 100 + ["DE"] * 100})
    >>> found = reliability_by(y, np.repeat([0.2, 0.4], 100), np.ones(200), market)
    >>> found[["value", "differs"]].values.tolist()
    [['DE', True], ['PL', False]]
    """
    parts = [pd.DataFrame(columns=["column", "value", *_COLUMNS, "z"])]
    for name in segments.columns:
        code, values = pd.factorize(segments[name].astype("str"), sort=True)
        rows = (weight > 0) & (code >= 0)
        present, place = np.unique(code[rows], return_inverse=True)
        if len(present) < 2:  # one value is all decisions, which the whole says already
            continue
        table = _table(place, y[rows], p[rows], weight[rows])
        table.insert(0, "column", str(name))
        table.insert(1, "value", [str(v) for v in np.asarray(values, dtype=object)[present]])
        parts.append(table[table["n"] >= _FEWEST])
    found = pd.concat(parts[1:], ignore_index=True) if len(parts) > 1 else parts[0]
    limit = critical_value(0.95, max(len(found), 1))
    return found.assign(differs=found["z"].abs() > limit).drop(columns="z")


def _table(group: npt.NDArray[Any], y: Floats, p: Floats, weight: Floats) -> pd.DataFrame:
    """Average by group; `z` is the gap in standard errors that a true probability would have."""
    k = int(group.max()) + 1
    total = sums(group, weight, k)
    said, seen = sums(group, weight * p, k) / total, sums(group, weight * y, k) / total
    _, low, high = wilson(seen, effective_sizes(weight, group, k))
    error = np.sqrt(sums(group, weight**2 * p * (1 - p), k)) / total
    n = sums(group, np.ones(len(y)), k).astype(np.int64)
    return pd.DataFrame(
        {"said": said, "seen": seen, "low": low, "high": high, "n": n, "z": (seen - said) / error}
    )
