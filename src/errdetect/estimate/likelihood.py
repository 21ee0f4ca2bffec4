"""The empirical likelihood's interval for one cell's rate."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit

from errdetect.estimation.domains import Cells
from errdetect.stats.intervals import critical_value

__all__ = ["likelihood_limits"]

Floats = NDArray[np.float64]

MAX_STEPS = 60
#: The largest excess of the statistic that the root finder is shown.
CEILING = 200.0
#: Tilts beyond this stand for rates of 0 and 1.
MAX_TILT = 40.0


def _ratio(z: Floats) -> float:
    """Twice the empirical log-likelihood ratio of mean z = 0; infinite where 0 is outside of z."""
    low, high = float(z.min()), float(z.max())
    if low >= 0 or high <= 0:
        return 0.0 if low == high == 0 else np.inf
    # lambda lies where every 1 + lambda z is positive; the sum falls from +inf to -inf there.
    left, right = -1 / high, -1 / low
    at = 0.0
    for _ in range(MAX_STEPS):
        share = z / (1 + at * z)
        value = float(share.sum())
        left, right = (at, right) if value > 0 else (left, at)
        slope = float((share**2).sum())
        step = at + value / slope
        step = step if left < step < right else (left + right) / 2
        if abs(step - at) <= 1e-12 * (abs(at) + 1e-300) or value == 0:
            break
        at = step
    return float(2 * np.log1p(at * z).sum())


def likelihood_limits(
    cells: Cells, cell: int, estimate: float, confidence: float
) -> tuple[float, float] | None:
    """Limits of the residual empirical likelihood region of one cell.

    Parameters
    ----------
    cells
        Decisions and draws.
    cell
        Which cell.
    estimate
        Its rate, which solves mean residual = 0.
    confidence
        Nominal coverage.

    Returns
    -------
    (low, high), or None where the draws show one class only or a census leaves nothing unknown.

    References
    ----------
    Owen (2001), Empirical likelihood.

    Examples
    --------
    >>> from errdetect.estimation.domains import bin_p_error, gather_cells, spread_by_bin
    >>> bins, draw, weight = bin_p_error(None, 1000), np.arange(100), np.full(100, 10.0)
    >>> cells = gather_cells(bins, spread_by_bin(bins, draw, weight), np.zeros(1000, int), 1,
    ...                      draw=draw, weight=weight, error=(draw < 10).astype(float))
    >>> low, high = likelihood_limits(cells, 0, 0.1, 0.95)
    >>> round(low, 3), round(high, 3)
    (0.053, 0.165)
    """
    drawn, bins = cells.draw_cell == cell, cells.bin_cell == cell
    error, weight = cells.draw_error[drawn], cells.draw_weight[drawn]
    doubt = cells.draw_variance[drawn] / weight**2
    if error.min() == error.max() or not (0 < estimate < 1) or not (doubt > 0).any():
        return None
    draw_logit, bin_logit = cells.draw_logit[drawn], cells.bin_logit[bins]
    share = cells.bin_count[bins] / cells.bin_count[bins].sum()
    critical = critical_value(confidence) ** 2

    def rate(tilt: float) -> float:
        return float(share @ expit(bin_logit + tilt))

    def excess(tilt: float) -> float:
        z = weight * (error - expit(draw_logit + tilt))
        # The part of the population that was drawn for certain adds no doubt.
        unsampled = float((z**2 * doubt).sum() / (z**2).sum())
        return min(_ratio(z) / unsampled - critical, CEILING) if unsampled > 0 else CEILING

    middle = brentq(lambda tilt: rate(tilt) - estimate, -MAX_TILT, MAX_TILT, xtol=1e-10)
    return rate(_end(excess, middle, -1.0)), rate(_end(excess, middle, 1.0))


def _end(excess: Callable[[float], float], middle: float, direction: float) -> float:
    """Find the tilt where the excess turns positive, walking out from the middle."""
    step, inside = 0.25, middle
    outside = middle + direction * step
    while excess(outside) <= 0 and abs(outside) < MAX_TILT:
        inside, step = outside, step * 2
        outside = inside + direction * step
    if excess(outside) <= 0 or excess(inside) > 0:
        return inside if excess(inside) > 0 else outside
    return float(brentq(excess, inside, outside, xtol=1e-9))
