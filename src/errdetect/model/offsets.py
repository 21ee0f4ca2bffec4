"""What a segment's decisions differ by from what the rest would lead one to expect."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, logit

from errdetect.stats.grouped import sums

__all__ = ["Offsets", "fit_offsets"]

Floats = npt.NDArray[np.float64]

_STEPS = 25  # Newton's, far more than needed


@dataclass(frozen=True)
class Offsets:
    """What each value of a column adds to the log-odds of error.

    Examples
    --------
    >>> Offsets("market", {"PL": 0.5}).of(pd.Series(["PL", "DE", None])).tolist()
    [0.5, 0.0, 0.0]
    """

    column: str
    by_value: Mapping[str, float]

    def of(self, column: pd.Series) -> Floats:
        """Return each row's offset, shape (n,); 0 for values never reviewed, and for none."""
        found = column.astype("str").map(self.by_value).astype("float64").fillna(0.0)
        return np.asarray(found, dtype=np.float64)


def fit_offsets(column: pd.Series, y: Floats, p: Floats, weight: Floats, one: float) -> Offsets:
    """Learn what each value of a column adds, shrunk by how much values differ at all.

    Parameters
    ----------
    column
        Shape (n,), the segment's name; missing belongs to none.
    y
        Shape (n,), in [0, 1], as for `fit_curve`.
    p
        Shape (n,), P(error) so far.
    weight, one
        As for `fit_curve`.

    Returns
    -------
    Offsets
        All 0 where the values differ by no more than chance would have them.

    Notes
    -----
    Offsets are drawn from N(0, t^2). t^2 is what the segments' score tests exceed their expectation
    by (DerSimonian and Laird 1986, around 0), and each offset is the most probable one given it.

    Examples
    --------
    >>> market = pd.Series(["PL"] * 500 + ["DE"] * 500)
    >>> y = np.append(np.tile([1.0, 0, 0, 1, 0, 1, 0, 0, 0, 0], 50), np.tile([1.0, 0, 0, 0, 0], 100))
    >>> found = fit_offsets(market, y, np.full(1000, 0.25), np.ones(1000), 1.0)
    >>> {name: round(value, 2) for name, value in found.by_value.items()}
    {'DE': -0.24, 'PL': 0.22}
    """
    code, names = pd.factorize(column.astype("str"), sort=True)
    known = code >= 0
    code, y, z, w = code[known], y[known], logit(p[known]), weight[known] / one
    n = len(names)

    def score(offset: Floats) -> tuple[Floats, Floats]:
        q = expit(z + offset[code])
        return sums(code, w * (y - q), n), sums(code, w * q * (1 - q), n)

    gap, information = score(np.zeros(n))
    spread = (gap @ (gap / information) - n) / information.sum() if n else 0.0
    offset = np.zeros(n)
    if spread > 0:
        for _ in range(_STEPS):
            gap, information = score(offset)
            step = (gap - offset / spread) / (information + 1 / spread)
            offset = offset + np.clip(step, -1, 1)
    return Offsets(str(column.name), {str(v): float(o) for v, o in zip(names, offset, strict=True)})
