"""The statistics of a bundle's script `recompute.py`: rates with intervals, from numpy alone.

Written a second time, from the formulas that README.md of a bundle names, so that two programs must agree.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

__all__ = [
    "Domain",
    "Floats",
    "Moments",
    "Reviewers",
    "beta_cdf",
    "beta_quantile",
    "clopper_pearson",
    "corrected",
    "find_root",
    "halve",
    "korn_graubard",
    "likelihood_limits",
    "likelihood_ratio",
    "logistic",
    "moments",
    "normal_quantile",
    "prior_from_others",
    "rate_interval",
    "region_end",
    "reviewer_variance",
    "score_interval",
    "share_interval",
    "t_quantile",
    "tail_probability",
]

Floats = npt.NDArray[np.float64]
CONFIDENCE = 0.95
#: Tilts beyond this count as rates of 0 and 1.
MOST_TILT = 40.0
#: Constants of the score interval, see README.md.
DOMAIN_DISTRUST, UNSEEN_DISTRUST, LEAST_DF, LARGEST_SHARE = 0.1, 0.5, 3.0, 0.85


# --- special functions ---


def logistic(x: Floats) -> Floats:
    """Return 1 / (1 + exp(-x))."""
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -700.0, 700.0))))


def normal_quantile(p: float) -> float:
    """Return the quantile of the standard normal distribution."""
    return NormalDist().inv_cdf(p)


def beta_cdf(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function, by its continued fraction (Lentz)."""
    if not 0 < x < 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_cdf(b, a, 1 - x)
    head = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    head += a * math.log(x) + b * math.log1p(-x)
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    total = d
    for m in range(1, 1000):
        for top in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d, c = 1 / (1 + top * d), 1 + top / c
            total *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return math.exp(head) * total / a


def beta_quantile(a: float, b: float, p: float) -> float:
    """Return the quantile of the beta distribution, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if beta_cdf(a, b, middle) < p else (low, middle)
    return (low + high) / 2


def t_quantile(df: float, p: float) -> float:
    """Return the quantile of Student's t distribution for p below one half, by Newton's method."""
    z = normal_quantile(p)
    t = z * (1 + (z * z + 1) / (4 * df))
    scale = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * math.log(df * math.pi)
    for _ in range(100):
        tail = 0.5 * beta_cdf(df / 2, 0.5, df / (df + t * t))
        density = math.exp(scale - (df + 1) / 2 * math.log1p(t * t / df))
        step = (tail - p) / density
        t = min(t - step, t / 2)
        if abs(step) < 1e-12 * abs(t):
            break
    return t


def clopper_pearson(successes: float, trials: float) -> tuple[float, float]:
    """Return the exact limits of a binomial rate; counts may be fractional."""
    tail, rate = (1 - CONFIDENCE) / 2, successes / trials
    low = beta_quantile(successes, trials - successes + 1, tail) if successes > 0 else 0.0
    high = beta_quantile(successes + 1, trials - successes, 1 - tail) if successes < trials else 1.0
    return min(low, rate), max(high, rate)


def find_root(excess: Callable[[float], float], inside: float, end: float) -> float:
    """Find where `excess` turns positive between an inner point and an end; the end if nowhere.

    Bisection first, then the Illinois rule (Dowell and Jarratt 1971).
    """
    at_end, at_inside, far, last = excess(end), math.nan, end, 0
    if at_end <= 0:
        return end
    for step in range(68):
        weight = 0.5
        if step >= 8 and at_inside != at_end and at_inside == at_inside:
            weight = min(max(at_inside / (at_inside - at_end), 0.01), 0.99)
        middle = inside + weight * (far - inside)
        value = excess(middle)
        if value > 0:
            at_inside, at_end, far = (at_inside / 2 if last > 0 else at_inside), value, middle
            last = 1
        else:
            at_end, at_inside, inside = (at_end / 2 if last < 0 else at_end), value, middle
            last = -1
        if abs(far - inside) < 1e-9:
            break
    return inside


# --- one domain: its decisions by P(error), and its audited draws ---


@dataclass(frozen=True)
class Domain:
    """Decisions in bins of P(error), and draws: logit of the bin, 1/inclusion, answer, variance."""

    bin_logit: Floats
    bin_count: Floats
    bin_spread: Floats
    logit: Floats
    weight: Floats
    answer: Floats
    variance: Floats

    @property
    def size(self) -> float:
        """Number of decisions."""
        return float(self.bin_count.sum())

    def rate(self, tilt: float) -> float:
        """Return the mean P(error) of all decisions when the log-odds are moved by a tilt."""
        if abs(tilt) >= MOST_TILT:
            return float(tilt > 0)
        return float(self.bin_count @ logistic(self.bin_logit + tilt)) / self.size


@dataclass(frozen=True)
class Reviewers:
    """Sensitivity and false positive rate of reviewers: (estimate, low, high) each."""

    found: tuple[float, float, float]
    false_positive: tuple[float, float, float]


@dataclass(frozen=True)
class Moments:
    """How the draws agree with a tilt: rate, gap of the verdicts, and its variances."""

    rate: float
    gap: float
    seen: float
    model: float
    noise: float
    df: float


def moments(d: Domain, tilt: float, reviewers: Reviewers | None, distrust: float) -> Moments:
    """Compare the draws' answers with what a tilt of P(error) expects."""
    q, q_draw = logistic(d.bin_logit + tilt), logistic(d.logit + tilt)
    rate = float(d.bin_count @ q) / d.size
    found, false = (
        (1.0, 0.0) if reviewers is None else (reviewers.found[0], reviewers.false_positive[0])
    )
    mu, mean = false + (found - false) * q, false + (found - false) * rate
    residual = d.answer - false - (found - false) * q_draw
    noise = found * (1 - found) * rate + false * (1 - false) * (1 - rate)
    own = float(d.bin_count @ (d.bin_spread * mu * (1 - mu)))
    sure = (d.variance == 0) & (d.weight == 1)
    others = max(d.size - float(sure.sum()), 1.0)
    flat_mean = min(max((d.size * mean - float(d.answer[sure].sum())) / others, 0.0), 1.0)
    flat = float(d.bin_count @ d.bin_spread) * flat_mean * (1 - flat_mean)
    square = d.variance * residual**2
    total, n = float(d.weight.sum()), len(d.weight)
    fourth = float((square**2).sum())
    df = float(square.sum()) ** 2 / fourth if fourth > 0 else LEAST_DF
    return Moments(
        rate,
        float(d.weight @ residual) / total,
        n / max(n - 1, 1) * float(square.sum()) / total**2,
        ((1 - distrust) * own + distrust * flat) / d.size**2,
        noise / total if reviewers is not None else 0.0,
        max(df, LEAST_DF),
    )


def score_interval(
    d: Domain,
    reviewers: Reviewers | None = None,
    prior: tuple[float, float] | None = None,
    *,
    narrow: bool = False,
) -> Floats:
    """Return (rate, low, high): the rates whose tilt agrees with the draws."""
    distrust = 0.0 if narrow else DOMAIN_DISTRUST
    rarer = min(float(d.answer.sum()), float((1 - d.answer).sum()))
    distrust += (1 - distrust) * UNSEEN_DISTRUST * math.exp(-rarer)

    def excess(tilt: float) -> float:
        m = moments(d, tilt, reviewers, distrust)
        tail = tail_probability(m, prior)
        z = -normal_quantile(tail)
        critical = z if narrow else -t_quantile(m.df, tail)
        allowed = max(m.seen * critical**2, m.model * z**2) + m.noise * z**2
        if reviewers is not None:
            allowed += reviewer_variance(reviewers, m)
        return abs(m.gap) - math.sqrt(allowed)

    middle = find_root(lambda a: -moments(d, a, reviewers, distrust).gap, -MOST_TILT, MOST_TILT)
    ends = [find_root(excess, middle, end) for end in (-MOST_TILT, MOST_TILT)]
    return np.array([d.rate(middle), d.rate(ends[0]), d.rate(ends[1])])


def tail_probability(m: Moments, prior: tuple[float, float] | None) -> float:
    """Return the error probability of the gap's side; a prior moves it, both sides add up (Yu and Hoff 2018)."""
    alpha = 1 - CONFIDENCE
    if prior is None:
        return alpha / 2
    mean, sd = prior
    at = 2 * math.sqrt(max(m.seen, m.model)) * (m.rate - mean) / sd**2
    share = float(np.interp(at, _best(), _SHARES))
    share = min(max(share, 1 - LARGEST_SHARE), LARGEST_SHARE)
    return alpha * (1 - share if m.gap > 0 else share)


_SHARES = np.clip(logistic(np.linspace(-40.0, 40.0, 4001)), 1e-17, 1 - 1e-16)
_BEST: list[Floats] = []


def _best() -> Floats:
    if not _BEST:
        low = [normal_quantile((1 - CONFIDENCE) * s) for s in _SHARES]
        high = [normal_quantile((1 - CONFIDENCE) * (1 - s)) for s in _SHARES]
        _BEST.append(np.array(low) - np.array(high))
    return _BEST[0]


def reviewer_variance(reviewers: Reviewers, m: Moments) -> float:
    """Return the squared distance that uncertain reviewer error allows (MOVER)."""
    (s, s_low, s_high), (f, f_low, f_high) = reviewers.found, reviewers.false_positive
    d_found = s - s_low if m.gap < 0 else s_high - s
    d_false = f - f_low if m.gap < 0 else f_high - f
    return (m.rate * d_found) ** 2 + ((1 - m.rate) * d_false) ** 2


def likelihood_limits(d: Domain, estimate: float) -> tuple[float, float] | None:
    """Return the limits of the empirical likelihood region of the residuals (Owen 2001)."""
    uncertain = d.variance / d.weight**2
    one_class = d.answer.min() == d.answer.max()
    if one_class or not 0 < estimate < 1 or not (uncertain > 0).any():
        return None
    critical = normal_quantile((1 + CONFIDENCE) / 2) ** 2

    def excess(tilt: float) -> float:
        z = d.weight * (d.answer - logistic(d.logit + tilt))
        unsampled = float((z**2 * uncertain).sum() / (z**2).sum())
        return min(likelihood_ratio(z) / unsampled - critical, 200.0) if unsampled > 0 else 200.0

    def rate(tilt: float) -> float:
        return float(d.bin_count @ logistic(d.bin_logit + tilt)) / d.size

    middle = halve(lambda tilt: rate(tilt) - estimate, -MOST_TILT, MOST_TILT)
    return rate(region_end(excess, middle, -1.0)), rate(region_end(excess, middle, 1.0))


def likelihood_ratio(z: Floats) -> float:
    """Return twice the empirical log-likelihood ratio of mean z = 0."""
    low, high = float(z.min()), float(z.max())
    if low >= 0 or high <= 0:
        return 0.0 if low == high == 0 else math.inf
    left, right = -1 / high * (1 - 1e-14), -1 / low * (1 - 1e-14)
    at = halve(lambda a: -float((z / (1 + a * z)).sum()), left, right)
    return float(2 * np.log1p(at * z).sum())


def halve(rising: Callable[[float], float], low: float, high: float) -> float:
    """Find the zero of a rising function by bisection."""
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return (low + high) / 2


def region_end(excess: Callable[[float], float], middle: float, direction: float) -> float:
    """Find the tilt where the excess turns positive, walking out from the middle."""
    step, inside = 0.25, middle
    outside = middle + direction * step
    while excess(outside) <= 0 and abs(outside) < MOST_TILT:
        inside, step = outside, step * 2
        outside = inside + direction * step
    if excess(outside) <= 0 or excess(inside) > 0:
        return inside if excess(inside) > 0 else outside
    return (
        halve(lambda s: excess(inside + s * (outside - inside)), 0.0, 1.0) * (outside - inside)
        + inside
    )


def korn_graubard(d: Domain) -> Floats:
    """Return (rate, low, high): Clopper-Pearson at the effective sample size (Korn and Graubard 1998)."""
    tilt = find_root(lambda a: -moments(d, a, None, 0.0).gap, -MOST_TILT, MOST_TILT)
    m, rate = moments(d, tilt, None, 0.0), d.rate(tilt)
    kish = float(d.weight.sum()) ** 2 / float((d.weight**2).sum())
    tail = (1 - CONFIDENCE) / 2
    shrink = (normal_quantile(tail) / t_quantile(m.df, tail)) ** 2
    n = rate * (1 - rate) / m.seen * shrink if rate * (1 - rate) > 0 and m.seen > 0 else kish
    n = min(n, float(len(d.weight)))
    low, high = clopper_pearson(rate * n, n)
    return np.array([rate, min(low, rate), max(high, rate)])


def corrected(rates: Floats, reviewers: Reviewers) -> Floats:
    """Correct (rate, low, high) of verdicts for reviewer error, by MOVER (Zou and Donner 2008)."""
    rate, low, high = (float(v) for v in rates)
    (s, s_low, s_high), (f, f_low, f_high) = reviewers.found, reviewers.false_positive

    def excess(at: float) -> float:
        gap = rate - f - (s - f) * at
        above = gap < 0
        d_rate, d_found = (
            (high - rate if above else rate - low),
            (s - s_low if above else s_high - s),
        )
        d_false = f - f_low if above else f_high - f
        return abs(gap) - math.sqrt(d_rate**2 + (at * d_found) ** 2 + ((1 - at) * d_false) ** 2)

    at = min(max((rate - f) / (s - f), 0.0), 1.0)
    return np.array([at, find_root(excess, at, 0.0), find_root(excess, at, 1.0)])


def share_interval(caught: Floats, missed: Floats) -> Floats:
    """Return caught / (caught + missed) of two totals, each (estimate, low, high), by MOVER."""
    total = float(caught[0] + missed[0])
    if not total > 0:
        return np.array([np.nan, 0.0, 1.0])
    share = float(caught[0]) / total

    def excess(r: float, d_missed: float, d_caught: float) -> float:
        gap = r * float(missed[0]) - (1 - r) * float(caught[0])
        return abs(gap) - math.hypot(r * d_missed, (1 - r) * d_caught)

    down = float(missed[2] - missed[0]), float(caught[0] - caught[1])
    up = float(missed[0] - missed[1]), float(caught[2] - caught[0])
    low = find_root(lambda r: excess(r, *down), share, 0.0)
    return np.array([share, low, find_root(lambda r: excess(r, *up), share, 1.0)])


def prior_from_others(rates: Floats) -> list[tuple[float, float]] | None:
    """Return mean and spread of the other domains' rates (Paule and Mandel 1982); None with few."""
    n = len(rates)
    if n < 4:
        return None
    z = 2 * normal_quantile((1 + CONFIDENCE) / 2)
    rate, error = rates[:, 0], np.maximum((rates[:, 2] - rates[:, 1]) / z, 1e-4)
    others, spread = ~np.eye(n, dtype=bool), np.zeros(n)
    for _ in range(60):
        weight = np.where(others, 1 / (error**2 + spread[:, None]), 0.0)
        mean = weight @ rate / weight.sum(axis=1)
        off = (rate - mean[:, None]) ** 2
        excess = (weight * off).sum(axis=1) - (n - 2)
        slope = (weight**2 * off).sum(axis=1)
        step = np.maximum(spread + excess / np.maximum(slope, 1e-12), 0.0)
        if np.abs(step - spread).max() < 1e-10:
            break
        spread = step
    sd = np.maximum(np.sqrt(spread), 0.25 * error)
    return [(float(m), float(s)) for m, s in zip(mean, sd, strict=True)]


def rate_interval(d: Domain, reviewers: Reviewers | None, *, narrow: bool) -> Floats:
    """Return (rate, low, high) of one domain.

    Parameters
    ----------
    d
        Decisions and draws.
    reviewers
        Reviewers' error; None for verdicts as they are.
    narrow
        Whether the domain is the population: the score region, united with the likelihood's.

    Examples
    --------
    >>> d = Domain(np.zeros(1), np.array([1000.0]), np.array([9.0]), np.zeros(100),
    ...            np.full(100, 10.0), np.repeat([1.0, 0.0], [10, 90]), np.full(100, 90.0))
    >>> rate_interval(d, None, narrow=True).round(3).tolist()
    [0.1, 0.043, 0.17]
    """
    if narrow and reviewers is not None and not reviewers.false_positive[2] > 0:
        return corrected(rate_interval(d, None, narrow=True), reviewers)
    if not narrow or reviewers is not None:
        return score_interval(d, reviewers)
    found = score_interval(d, narrow=True)
    ends = likelihood_limits(d, float(found[0]))
    if ends is not None:
        found[1], found[2] = min(found[1], ends[0]), max(found[2], ends[1])
    return found
