"""Error rates of part of an audit, with intervals, and whether they exceed those of the rest."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import gammainc

from errdetect.findings.audit_evidence import AuditEvidence
from errdetect.stats.effective_size import effective_size
from errdetect.stats.intervals import wilson

__all__ = ["Rate", "excess_p_value", "weighted_rate"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Rate:
    """A design-weighted rate with its 95 % limits.

    Parameters
    ----------
    estimate, low, high
        In [0, 1]; NaN, 0 and 1 without reviews.
    n_reviews
        Audited decisions used.
    worth
        Effective number of evenly drawn reviews.
    """

    estimate: float
    low: float
    high: float
    n_reviews: int
    worth: float


def weighted_rate(judged: AuditEvidence, rows: Bools, kind: int) -> Rate:
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
    one and the one expected from how the policy's errors spread over the design's inclusion probabilities.
    """
    w, e = judged.weight[rows], judged.errors[rows, kind]
    if not len(w):
        return Rate(np.nan, 0.0, 1.0, 0, 0.0)
    total = float(w.sum())
    rate = float(w @ e) / total
    worth = effective_size(w)
    if 0 < rate < 1:
        # An uncertain verdict is a Bernoulli draw, so e(1 - e) is part of its variance.
        seen = float((w**2) @ (e * (1 - rate) ** 2 + (1 - e) * rate**2))
        spread = np.minimum(judged.spread[rows, kind] / w * rate, 1.0)
        expected = float((w**2) @ (spread * (1 - spread)))
        variance = max(seen, expected) / total**2
        worth = min(rate * (1 - rate) / variance, float(len(w)))
    _, low, high = wilson(np.array([rate]), np.array([worth]))
    return Rate(rate, float(low[0]), float(high[0]), len(w), worth)


def excess_p_value(judged: AuditEvidence, inside: Bools, outside: Bools, kind: int) -> float:
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
        1 where either side has no reviews, or no error was found inside.

    Notes
    -----
    Under the null the weighted count inside is a Poisson count, scaled and shifted to its mean,
    variance and third moment. The variance is the larger of the design's under the outside rate
    (with that rate's own variance) and that of the errors seen inside (Fay and Feuer
    1997, Statistics in Medicine 16, 791-801), the third moment the design's. Few, heavy errors
    therefore count as few.
    """
    w, e = judged.weight, judged.errors[:, kind]
    total = float((w * e)[inside].sum())
    weight_in, weight_out = float(w[inside].sum()), float(w[outside].sum())
    if total <= 0 or weight_out <= 0:
        return 1.0
    errors_out = float((w * e)[outside].sum())
    # Where no error was found outside, half an error of mean weight is assumed.
    rate = max(errors_out, 0.5 * weight_out / float(outside.sum())) / weight_out
    mean = rate * weight_in
    doubt = max(float((w**2 * e)[outside].sum()), rate * weight_out) / weight_out**2
    spread = judged.spread[inside, kind]
    null = float(w[inside] @ spread / spread.sum()) + weight_in**2 * min(doubt, rate**2) / mean
    scale = max(null, float((w**2 * e)[inside].sum()) / total)
    # Heavily weighted errors are rare: the third moment sets the length of the tail.
    tail = max(float(w[inside] ** 2 @ spread * spread.sum() / (w[inside] @ spread) ** 2), 1.0)
    above = max(total - mean * (1 - 1 / tail), 0.0) / (tail * scale)
    return float(gammainc(above, mean / (tail**2 * scale))) if above else 1.0
