"""Intervals for error rates of designed samples, by acceptance regions with measured coverage.

A rate theta tilts the model's P(error) to q = expit(logit p + a), whose mean over the domain's
decisions is theta; theta is accepted where the audited draws agree with q. The limits are where
acceptance ends. Everything is solved over the tilt `a`, for all cells at once.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, ndtri, stdtrit

from errdetect.estimation.domains import Domains
from errdetect.estimation.misclassification_intervals import Misclassification, corrected_interval
from errdetect.stats.effective_size import effective_size_from_sums
from errdetect.stats.intervals import Interval, clopper_pearson, critical_value, find_roots

__all__ = [
    "RatePrior",
    "korn_graubard",
    "likelihood_interval",
    "prior_from_others",
    "rate_intervals",
]


Floats = NDArray[np.float64]

MAX_STEPS = 60
#: Cap of the statistic's excess for the root finder.
CEILING = 200.0
#: Tilts beyond this count as rates of 0 and 1.
MAX_TILT = 40.0


def _likelihood_ratio(z: Floats) -> float:
    """Return twice the empirical log-likelihood ratio of mean z = 0; infinite where 0 is outside of z."""
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


def likelihood_interval(
    cells: Domains, cell: int, estimate: float, confidence: float
) -> tuple[float, float] | None:
    """Return the limits of the residual empirical likelihood region of one domain.

    Parameters
    ----------
    cells
        Decisions and draws.
    cell
        Which domain.
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
    >>> from errdetect.estimation.domains import bin_p_error, gather_domains, bin_variance_factors
    >>> bins, draw, weight = bin_p_error(None, 1000), np.arange(100), np.full(100, 10.0)
    >>> cells = gather_domains(bins, bin_variance_factors(bins, draw, weight), np.zeros(1000, int), 1,
    ...                      draw=draw, weight=weight, error=(draw < 10).astype(float))
    >>> low, high = likelihood_interval(cells, 0, 0.1, 0.95)
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
        # The certain part of the population adds no uncertainty.
        unsampled = float((z**2 * doubt).sum() / (z**2).sum())
        return (
            min(_likelihood_ratio(z) / unsampled - critical, CEILING) if unsampled > 0 else CEILING
        )

    middle = brentq(lambda tilt: rate(tilt) - estimate, -MAX_TILT, MAX_TILT, xtol=1e-10)
    return rate(_region_end(excess, middle, -1.0)), rate(_region_end(excess, middle, 1.0))


def _region_end(excess: Callable[[float], float], middle: float, direction: float) -> float:
    """Find the tilt where the excess turns positive, walking out from the middle."""
    step, inside = 0.25, middle
    outside = middle + direction * step
    while excess(outside) <= 0 and abs(outside) < MAX_TILT:
        inside, step = outside, step * 2
        outside = inside + direction * step
    if excess(outside) <= 0 or excess(inside) > 0:
        return inside if excess(inside) > 0 else outside
    return float(brentq(excess, inside, outside, xtol=1e-9))


#: Share of the model variance of a domain that does not trust P(error)'s shape.
DOMAIN_DISTRUST = 0.1
#: The same share, added while no errors (or only errors) were seen; fades with each one seen.
UNSEEN_DISTRUST = 0.5
#: Least degrees of freedom granted to the empirical variance.
MIN_DF = 3.0


@dataclass(frozen=True)
class _ScoreMoments:
    """Evidence of the draws against one tilt of each domain."""

    rate: Floats
    gap: Floats
    seen_variance: Floats
    model_variance: Floats
    judging_variance: Floats
    df: Floats


def _score_moments(
    cells: Domains, tilt: Floats, reviewers: Misclassification | None, distrust: Floats
) -> _ScoreMoments:
    weight = cells.draw_weight
    q = expit(cells.bin_logit + tilt[cells.bin_cell])
    q_draw = expit(cells.draw_logit + tilt[cells.draw_cell])
    rate = cells.sum_bins(cells.bin_count * q) / cells.decisions
    # mu is the probability that a reviewer flags an error; it is q where reviewers do not err.
    mu, mean, residual, noise = q, rate, cells.draw_error - q_draw, np.zeros(cells.size)
    if reviewers is not None:
        found, alarm = reviewers.found.estimate, reviewers.alarm.estimate
        slope = found - alarm
        mu, mean = alarm[cells.bin_cell] + slope[cells.bin_cell] * q, alarm + slope * rate
        residual = cells.draw_error - alarm[cells.draw_cell] - slope[cells.draw_cell] * q_draw
        noise = found * (1 - found) * rate + alarm * (1 - alarm) * (1 - rate)
    own = cells.sum_bins(cells.bin_count * cells.bin_spread * mu * (1 - mu))
    # Certain draws are known: only the others' mean is uncertain.
    others = np.maximum(cells.decisions - cells.certain, 1)
    flat_mean = np.clip((cells.decisions * mean - cells.certain_errors) / others, 0.0, 1.0)
    flat = cells.unsampled * flat_mean * (1 - flat_mean)
    square = cells.draw_variance * residual**2
    sum_square, draws, total = cells.sum_draws(square), cells.draws, cells.total_weight
    with np.errstate(divide="ignore", invalid="ignore"):
        df = sum_square**2 / cells.sum_draws(square**2)
    return _ScoreMoments(
        rate=rate,
        gap=cells.sum_draws(weight * residual) / total,
        seen_variance=draws / np.maximum(draws - 1, 1) * sum_square / total**2,
        model_variance=((1 - distrust) * own + distrust * flat) / cells.decisions**2,
        judging_variance=noise / total,
        df=np.fmax(df, MIN_DF),
    )


def _rate_at(cells: Domains, tilt: Floats) -> Floats:
    q = expit(cells.bin_logit + tilt[cells.bin_cell])
    rate = cells.sum_bins(cells.bin_count * q) / cells.decisions
    return np.where(tilt <= -MAX_TILT, 0.0, np.where(tilt >= MAX_TILT, 1.0, rate))


@dataclass(frozen=True)
class RatePrior:
    """What other domains suggest of each domain's rate; arrays of shape (n_domains,).

    Parameters
    ----------
    mean, sd
        Mean and standard deviation of the rates, from other domains' draws only.
    """

    mean: Floats
    sd: Floats


#: Domains from which others' rates suggest one's own.
MIN_DOMAINS = 4
#: Least spread of the rates, as a share of a domain's standard error.
MIN_SPREAD = 0.25


def prior_from_others(rates: Interval, confidence: float = 0.95) -> RatePrior | None:
    """Return, for every domain, the mean and spread of the others' rates.

    Parameters
    ----------
    rates
        Rates with intervals that lean on no other domain, shape (n_domains,).
    confidence
        Their coverage.

    Returns
    -------
    RatePrior or None
        None with fewer than four domains.

    References
    ----------
    Paule and Mandel (1982), Consensus values and weighting factors.

    Examples
    --------
    >>> rate = np.array([0.1, 0.1, 0.1, 0.4])
    >>> prior = prior_from_others(Interval(rate, rate - 0.05, rate + 0.05))
    >>> prior.mean.round(2).tolist(), prior.sd.round(2).tolist()
    ([0.2, 0.2, 0.2, 0.1], [0.17, 0.17, 0.17, 0.01])
    """
    n = len(rates.estimate)
    if n < MIN_DOMAINS:
        return None
    rate = rates.estimate
    error = np.maximum((rates.high - rates.low) / (2 * critical_value(confidence)), 1e-4)
    others = ~np.eye(n, dtype=bool)
    spread = np.zeros(n)
    for _ in range(MAX_STEPS):
        weight = np.where(others, 1 / (error**2 + spread[:, None]), 0.0)
        total = weight.sum(axis=1)
        mean = weight @ rate / total
        excess = (weight * (rate - mean[:, None]) ** 2).sum(axis=1) - (n - 2)
        slope = (weight**2 * (rate - mean[:, None]) ** 2).sum(axis=1)
        step = np.maximum(spread + excess / np.maximum(slope, 1e-12), 0.0)
        if np.abs(step - spread).max() < 1e-10:
            break
        spread = step
    return RatePrior(mean, np.maximum(np.sqrt(spread), MIN_SPREAD * error))


#: Shares of the error probability, on a fine grid.
_SHARES = np.clip(expit(np.linspace(-40.0, 40.0, 4001)), 1e-17, 1 - 1e-16)
#: Largest share of the error probability on one side: scores are skewed where errors are rare.
MAX_SHARE = 0.85


def _tail_probability(prior: RatePrior | None, m: "_ScoreMoments", alpha: float) -> Floats:
    """Return the probability with which each rate may be rejected on the side of its gap.

    Without a prior half of alpha. With one, rates far from it are rejected sooner on the far side:
    whatever the prior, both sides add up to alpha, so coverage stays.
    """
    if prior is None:
        return np.full(len(m.rate), alpha / 2)
    sd = np.sqrt(np.maximum(m.seen_variance, m.model_variance))
    best = ndtri(alpha * _SHARES) - ndtri(alpha * (1 - _SHARES))
    share = np.interp(2 * sd * (m.rate - prior.mean) / prior.sd**2, best, _SHARES)
    share = np.clip(share, 1 - MAX_SHARE, MAX_SHARE)
    return np.asarray(alpha * np.where(m.gap > 0, 1 - share, share))


def _score_intervals(
    cells: Domains,
    reviewers: Misclassification | None,
    confidence: float,
    *,
    distrust: float,
    adapt: bool,
    prior: RatePrior | None = None,
) -> Interval:
    """Return the limits of the score region; `adapt` widens the empirical variance for its few df."""
    rarer = np.minimum(cells.sum_draws(cells.draw_error), cells.sum_draws(1 - cells.draw_error))
    # With almost no errors seen, there is no evidence for the shape of P(error).
    doubted = distrust + (1 - distrust) * UNSEEN_DISTRUST * np.exp(-rarer)

    def excess(tilt: Floats) -> Floats:
        m = _score_moments(cells, tilt, reviewers, doubted)
        tail = _tail_probability(prior, m, 1 - confidence)
        z = -ndtri(tail)
        critical = -stdtrit(m.df, tail) if adapt else z
        variance = np.maximum(m.seen_variance * critical**2, m.model_variance * z**2)
        allowed = variance + m.judging_variance * z**2
        if reviewers is not None:
            allowed = allowed + _reviewer_variance(reviewers, m)
        return np.asarray(np.abs(m.gap) - np.sqrt(allowed))

    start, end = np.full(cells.size, -MAX_TILT), np.full(cells.size, MAX_TILT)
    tilt = find_roots(lambda a: -_score_moments(cells, a, reviewers, doubted).gap, start, end)
    low, high = find_roots(excess, tilt, start), find_roots(excess, tilt, end)
    return Interval(_rate_at(cells, tilt), _rate_at(cells, low), _rate_at(cells, high))


def _reviewer_variance(reviewers: Misclassification, m: _ScoreMoments) -> Floats:
    """Return the squared distance from uncertainty about reviewers' error rates (MOVER)."""
    found, alarm = reviewers.found, reviewers.alarm
    above = (
        m.gap < 0
    )  # the tested rate is above the observed one: reviewers may find less than estimated
    d_found = np.where(above, found.estimate - found.low, found.high - found.estimate)
    d_alarm = np.where(above, alarm.estimate - alarm.low, alarm.high - alarm.estimate)
    return np.asarray((m.rate * d_found) ** 2 + ((1 - m.rate) * d_alarm) ** 2)


def rate_intervals(
    cells: Domains,
    *,
    reviewers: Misclassification | None = None,
    whole: bool = False,
    confidence: float = 0.95,
    prior: RatePrior | None = None,
) -> Interval:
    """Return the error rate of each domain with its interval.

    Parameters
    ----------
    cells
        Decisions and draws; every domain has at least one draw.
    reviewers
        Reviewers' error rates, or None for no correction.
    whole
        Whether each domain is the whole population: the narrower rule, the score region
        united with the empirical likelihood's. Otherwise the rule for domains.
    confidence
        Nominal coverage.
    prior
        What other domains suggest, from `prior_from_others`: it divides the error probability
        between the two ends of each interval, so that it narrows them and keeps their coverage.
        Used where domains are estimated without correction of reviewer error.

    Returns
    -------
    Interval

    References
    ----------
    Yu and Hoff (2018), Adaptive multigroup confidence intervals with constant coverage.

    Examples
    --------
    >>> from errdetect.estimation.domains import bin_p_error, gather_domains, bin_variance_factors
    >>> bins, draw, weight = bin_p_error(None, 1000), np.arange(100), np.full(100, 10.0)
    >>> cells = gather_domains(bins, bin_variance_factors(bins, draw, weight), np.zeros(1000, int), 1,
    ...                      draw=draw, weight=weight, error=(draw < 10).astype(float))
    >>> limits = rate_intervals(cells)
    >>> round(float(limits.estimate[0]), 3), round(float(limits.high[0]), 3)
    (0.1, 0.17)
    """
    if whole and reviewers is not None and not reviewers.alarm.high.any():
        # No false alarms: the confirmed share is a rate of its own, and misses scale it up.
        return corrected_interval(
            rate_intervals(cells, whole=True, confidence=confidence), reviewers
        )
    if not whole or reviewers is not None:
        suggested = prior if reviewers is None else None
        return _score_intervals(
            cells, reviewers, confidence, distrust=DOMAIN_DISTRUST, adapt=True, prior=suggested
        )
    score = _score_intervals(cells, None, confidence, distrust=0.0, adapt=False)
    low, high = score.low.copy(), score.high.copy()
    for cell in range(cells.size):
        limits = likelihood_interval(cells, cell, float(score.estimate[cell]), confidence)
        if limits is not None:
            low[cell], high[cell] = min(low[cell], limits[0]), max(high[cell], limits[1])
    return Interval(score.estimate, low, high)


def korn_graubard(cells: Domains, *, confidence: float = 0.95) -> Interval:
    """Return the Clopper-Pearson interval at the effective sample size: wide and safe.

    For designs whose smallest inclusion probabilities are too far below the uniform one for the
    score region. The variance is that of the tilted difference estimator with Satterthwaite's
    degrees of freedom.

    Parameters
    ----------
    cells
        Decisions and draws; every domain has at least one draw.
    confidence
        Nominal coverage.

    Returns
    -------
    Interval

    References
    ----------
    Korn and Graubard (1998), Confidence intervals for proportions with small expected number of
    positive counts estimated from survey data.

    Examples
    --------
    >>> from errdetect.estimation.domains import bin_p_error, gather_domains, bin_variance_factors
    >>> bins, draw, weight = bin_p_error(None, 1000), np.arange(100), np.full(100, 10.0)
    >>> cells = gather_domains(bins, bin_variance_factors(bins, draw, weight), np.zeros(1000, int), 1,
    ...                      draw=draw, weight=weight, error=np.zeros(100))
    >>> round(float(korn_graubard(cells).high[0]), 3)
    0.036
    """
    start, end = np.full(cells.size, -MAX_TILT), np.full(cells.size, MAX_TILT)
    none = np.zeros(cells.size)
    tilt = find_roots(lambda a: -_score_moments(cells, a, None, none).gap, start, end)
    m, draws, rate = _score_moments(cells, tilt, None, none), cells.draws, _rate_at(cells, tilt)
    kish = effective_size_from_sums(
        cells.sum_draws(cells.draw_weight), cells.sum_draws(cells.draw_weight**2)
    )
    z = critical_value(confidence)
    shrink = (z / stdtrit(m.df, (1 + confidence) / 2)) ** 2
    binomial = rate * (1 - rate)
    with np.errstate(divide="ignore", invalid="ignore"):
        n = np.where(binomial > 0, binomial / m.seen_variance * shrink, kish)
    n = np.minimum(np.where(np.isfinite(n), n, kish), draws)
    limits = clopper_pearson(rate * n, n, confidence)
    return Interval(rate, np.minimum(limits.low, rate), np.maximum(limits.high, rate))
