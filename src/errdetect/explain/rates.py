"""Error rates of part of an audit, with intervals, and whether they exceed those of the rest."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import gammainc

from errdetect.explain.judged import Judged
from errdetect.labels.intervals import wilson

__all__ = [
    "Rate", "adaptive_q_values", "benjamini_hochberg", "difference", "excess_p", "rate_of",
]  # fmt: skip

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_MIDDLE = 0.5  # p-values above are taken to come from where there is no excess


@dataclass(frozen=True)
class Rate:
    """A design-weighted rate with its 95 % limits.

    Parameters
    ----------
    estimate, low, high
        In [0, 1]; NaN, 0 and 1 without reviews.
    n_reviews
        Audited decisions that it rests on.
    worth
        The number of evenly drawn reviews that it is worth.
    """

    estimate: float
    low: float
    high: float
    n_reviews: int
    worth: float


def rate_of(judged: Judged, rows: Bools, kind: int) -> Rate:
    """Estimate the rate of a kind of error among some of the audited decisions.

    Parameters
    ----------
    judged
        m audited decisions.
    rows
        Shape (m,), which of them.
    kind
        Column of `judged.errors`.

    Returns
    -------
    Rate

    Notes
    -----
    Wilson's limits at the number of even draws with the same variance, the larger of the observed
    one and the one expected from how the policy's errors lie among the design's chances.
    """
    w, e = judged.weight[rows], judged.errors[rows, kind]
    if not len(w):
        return Rate(np.nan, 0.0, 1.0, 0, 0.0)
    total = float(w.sum())
    rate = float(w @ e) / total
    worth = total**2 / float(w @ w)
    if 0 < rate < 1:
        # A verdict that is only probable varies like a coin, so e(1 - e) is part of its variance.
        seen = float((w**2) @ (e * (1 - rate) ** 2 + (1 - e) * rate**2))
        spread = np.minimum(judged.spread[rows, kind] / w * rate, 1.0)
        expected = float((w**2) @ (spread * (1 - spread)))
        variance = max(seen, expected) / total**2
        worth = min(rate * (1 - rate) / variance, float(len(w)))
    low, high = wilson(np.array([rate]), np.array([worth]))
    return Rate(rate, float(low[0]), float(high[0]), len(w), worth)


def difference(one: Rate, other: Rate) -> tuple[float, float, float]:
    """Subtract two independent rates: estimate and 95 % limits.

    Notes
    -----
    Newcombe (1998), Statistics in Medicine 17, 873-890, method 10.

    Examples
    --------
    >>> a, b = Rate(0.5, 0.4, 0.6, 100, 96.0), Rate(0.1, 0.05, 0.18, 100, 90.0)
    >>> tuple(round(v, 3) for v in difference(a, b))
    (0.4, 0.272, 0.512)
    """
    gap = one.estimate - other.estimate
    down = np.hypot(one.estimate - one.low, other.high - other.estimate)
    up = np.hypot(one.high - one.estimate, other.estimate - other.low)
    return gap, float(max(gap - down, -1.0)), float(min(gap + up, 1.0))


def excess_p(judged: Judged, inside: Bools, outside: Bools, kind: int) -> float:
    """Test whether a kind of error is more frequent inside than outside: one-sided p-value.

    Parameters
    ----------
    judged
        m audited decisions.
    inside, outside
        Shape (m,), disjoint.
    kind
        Column of `judged.errors`.

    Returns
    -------
    float
        1 where either side has no reviews, or nothing was found inside.

    Notes
    -----
    Under the null the weighted count inside is a Poisson count, scaled and shifted to its mean,
    variance and third moment. The variance is the larger of what the design makes of it under the
    outside's rate (with that rate's own variance) and what the errors seen inside say (Fay and Feuer
    1997, Statistics in Medicine 16, 791-801), the third moment the design's. Few, heavy errors
    therefore count as few.
    """
    w, e = judged.weight, judged.errors[:, kind]
    total = float((w * e)[inside].sum())
    weight_in, weight_out = float(w[inside].sum()), float(w[outside].sum())
    if total <= 0 or weight_out <= 0:
        return 1.0
    errors_out = float((w * e)[outside].sum())
    # Where nothing was found outside, half an error of mean weight stands for what was not seen.
    rate = max(errors_out, 0.5 * weight_out / float(outside.sum())) / weight_out
    mean = rate * weight_in
    doubt = max(float((w**2 * e)[outside].sum()), rate * weight_out) / weight_out**2
    spread = judged.spread[inside, kind]
    null = float(w[inside] @ spread / spread.sum()) + weight_in**2 * min(doubt, rate**2) / mean
    scale = max(null, float((w**2 * e)[inside].sum()) / total)
    # Heavy errors are rare but count much: a long tail, as long as the third moment says.
    tail = max(float(w[inside] ** 2 @ spread * spread.sum() / (w[inside] @ spread) ** 2), 1.0)
    above = max(total - mean * (1 - 1 / tail), 0.0) / (tail * scale)
    return float(gammainc(above, mean / (tail**2 * scale))) if above else 1.0


def benjamini_hochberg(p: Floats, prior: Floats) -> Floats:
    """Turn p-values into q-values: the false discovery rate at which each would be taken.

    Parameters
    ----------
    p
        Shape (k,).
    prior
        Shape (k,), above 0: how much each is to be favoured, by what is known from other data.

    Notes
    -----
    Benjamini and Hochberg (1995), JRSS B 57, 289-300; with weights that do not depend on the
    p-values the rate is held as well (Genovese, Roeder and Wasserman 2006, Biometrika 93, 509-524).

    Examples
    --------
    >>> benjamini_hochberg(np.array([0.01, 0.04, 0.5]), np.ones(3)).round(3).tolist()
    [0.03, 0.06, 0.5]
    """
    p = p / (prior / prior.mean()) if len(p) else p
    order = np.argsort(p, kind="stable")
    ranked = p[order] * len(p) / np.arange(1, len(p) + 1)
    q = np.empty(len(p))
    q[order] = np.minimum(np.minimum.accumulate(ranked[::-1])[::-1], 1.0)
    return q


def adaptive_q_values(p: Floats, prior: Floats) -> Floats:
    """Turn p-values into q-values, with the share without excess told from the high p-values.

    Parameters
    ----------
    p
        Shape (k,).
    prior
        Shape (k,), above 0, as for `benjamini_hochberg`.

    Returns
    -------
    numpy.ndarray
        Shape (k,), never above Benjamini and Hochberg's.

    Notes
    -----
    Storey, Taylor and Siegmund (2004), JRSS B 66, 187-205. Where most candidates are true, as after
    a search, Benjamini and Hochberg's bound is far below the level asked for.

    Examples
    --------
    >>> adaptive_q_values(np.array([0.01, 0.02, 0.03, 0.04, 0.06, 0.9]), np.ones(6)).round(3).tolist()
    [0.04, 0.04, 0.04, 0.04, 0.048, 0.6]
    """
    share = (1 + int((p > _MIDDLE).sum())) / max(len(p) * (1 - _MIDDLE), 1)
    return benjamini_hochberg(p, prior) * min(share, 1.0)
