"""Error rates of part of an audit, with intervals, and whether they exceed those of the rest."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import betainc, gammainc, log_ndtr

from errdetect.findings.audit_evidence import AuditEvidence
from errdetect.stats.effective_size import effective_size
from errdetect.stats.intervals import wilson

__all__ = [
    "ControlVariate",
    "ExcessTest",
    "Rate",
    "confirmed_rate",
    "excess_p_value",
    "excess_test",
    "fit_assistance",
    "selected_gain",
    "selected_rate",
    "weighted_rate",
]

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


def weighted_rate(
    evidence: AuditEvidence,
    rows: Bools,
    kind: int,
    *,
    confidence: float = 0.95,
    assist: "ControlVariate | None" = None,
) -> Rate:
    """Estimate the rate of a kind of error among some of the audited decisions.

    Parameters
    ----------
    evidence
        m audited decisions.
    rows
        Shape (m,), which of them.
    kind
        Column of `evidence.errors`.
    confidence
        Nominal coverage of the limits.
    assist
        P(error) as control variate: the rate is its mean over all decisions, corrected by the
        audited ones (the difference estimator).

    Returns
    -------
    Rate

    Notes
    -----
    Wilson's limits at the number of even draws with the same variance, the larger of the observed
    one and the one expected from how the policy's errors spread over the design's inclusion probabilities.
    """
    w, e = evidence.weight[rows], evidence.errors[rows, kind]
    if not len(w):
        return Rate(np.nan, 0.0, 1.0, 0, 0.0)
    total = float(w.sum())
    rate = float(w @ e) / total
    worth = effective_size(w)
    if 0 < rate < 1:
        # An uncertain verdict is a Bernoulli draw, so e(1 - e) is part of its variance.
        seen = float((w**2) @ (e * (1 - rate) ** 2 + (1 - e) * rate**2))
        spread = np.minimum(evidence.spread[rows, kind] / w * rate, 1.0)
        expected = float((w**2) @ (spread * (1 - spread)))
        variance = max(seen, expected) / total**2
        worth = min(rate * (1 - rate) / variance, float(len(w)))
        if assist is not None:
            worth *= assist.precision(w, e, rows)
    if assist is not None:
        rate = float(np.clip(rate + assist.shift(w, rows), 0.0, 1.0))
    _, low, high = wilson(np.array([rate]), np.array([worth]), confidence)
    return Rate(rate, float(low[0]), float(high[0]), len(w), worth)


@dataclass(frozen=True)
class ControlVariate:
    """P(error) as control variate for the audited decisions of one policy.

    Parameters
    ----------
    predicted
        Factor times P(error) of m audited decisions, by models that did not see their reviews.
    inside, outside
        Its mean over all decisions in the rule, and over all others of the policy.
    is_inside
        Which of the audited decisions are in the rule, shape (m,).
    variance_share
        Share of the variance of a count of errors that it leaves.
    """

    predicted: Floats
    inside: float
    outside: float
    is_inside: Bools
    variance_share: float

    def shift(self, weight: Floats, rows: Bools) -> float:
        """Return by how much the audited decisions' P(error) lies below that of all decisions."""
        within = self.is_inside[rows]
        share = float(weight @ within / weight.sum())
        everywhere = share * self.inside + (1 - share) * self.outside
        return everywhere - float(weight @ self.predicted[rows] / weight.sum())

    def precision(self, weight: Floats, error: Floats, rows: Bools) -> float:
        """Return the factor on the effective number of reviews, at least 1."""
        total = float(weight.sum())
        rate = float(weight @ error) / total
        known = self.predicted[rows]
        expected = rate + known - float(weight @ known) / total
        plain = float(weight**2 @ (error * (1 - rate) ** 2 + (1 - error) * rate**2))
        left = float(weight**2 @ (error * (1 - expected) ** 2 + (1 - error) * expected**2))
        return float(np.clip(plain / max(left, 1e-12), 1.0, _MOST_PRECISION))


_MOST_COMMON = 0.5  # error rate above which the test's variance falls no further
_MOST_PRECISION = 2.0  # a control variate at most halves a variance


def fit_assistance(
    evidence: AuditEvidence,
    rows: Bools,
    kind: int,
    p_error: Floats,
    is_inside: Bools,
    means: tuple[float, float],
) -> ControlVariate | None:
    """Scale P(error) so that it takes most of the variance out of the policy's count of errors.

    Parameters
    ----------
    evidence
        m audited decisions of one policy.
    rows
        Which of them confirm, shape (m,).
    kind
        Column of `evidence.errors`.
    p_error
        P(error of this kind) of the audited decisions, shape (m,).
    is_inside
        Which are in the rule, shape (m,).
    means
        Mean P(error) of all decisions in the rule, and of all others.

    Returns
    -------
    ControlVariate
        None where P(error) is of no use.

    Notes
    -----
    The factor minimises the variance of the weighted residuals (Angelopoulos, Duchi and Zrnic 2023,
    PPI++), within [0, 1].
    """
    w, e, p = evidence.weight[rows], evidence.errors[rows, kind], p_error[rows]
    both, square = float(w**2 @ (e * p)), float(w**2 @ p**2)
    plain = float(w**2 @ e)
    if not both > 0 or not np.isfinite(means).all():
        return None
    factor = min(both / square, 1.0)
    left = 1 - (2 * factor * both - factor**2 * square) / plain
    share = max(left, 1 / _MOST_PRECISION)
    inside, outside = (factor * mean for mean in means)
    return ControlVariate(factor * p_error, inside, outside, is_inside, share)


@dataclass(frozen=True)
class ExcessTest:
    """The test of an excess: weighted errors inside against a scaled and shifted Poisson count.

    Parameters
    ----------
    total
        Weighted errors inside.
    mean
        Their expected number if the rate inside were that outside.
    weight
        Sum of the weights inside.
    scale
        Variance of the weighted count over its mean.
    tail
        Third moment of the weighted count over its variance, in units of `scale`.
    per_error
        Effective errors for each unit of the weighted count inside.
    errors_outside
        Effective errors outside.
    share
        Share of all effective errors that would be inside if the rates were equal.
    """

    total: float
    mean: float
    weight: float
    scale: float
    tail: float
    per_error: float
    errors_outside: float
    share: float

    @property
    def p_value(self) -> float:
        """The one-sided p-value."""
        return self._tail_probability(self.total)

    def critical_rate(self, level: float) -> float:
        """Return the lowest rate inside whose p-value is at most `level`, in [0, 1]."""
        top = max(self.weight, self.total)
        if self._tail_probability(top) > level:
            return top / self.weight
        return float(brentq(lambda x: self._tail_probability(x) - level, 0.0, top)) / self.weight

    def _tail_probability(self, total: float) -> float:
        above = max(total - self.mean * (1 - 1 / self.tail), 0.0) / (self.tail * self.scale)
        if not above:
            return 1.0
        as_count = float(gammainc(above, self.mean / (self.tail**2 * self.scale)))
        # Few errors outside leave their rate open: given all errors, how many would be inside?
        inside = total * self.per_error
        return max(as_count, float(betainc(inside, self.errors_outside + 1, self.share)))


def excess_p_value(evidence: AuditEvidence, inside: Bools, outside: Bools, kind: int) -> float:
    """Test whether a kind of error is more frequent inside than outside: one-sided p-value.

    Parameters
    ----------
    evidence, inside, outside, kind
        As for `excess_test`.

    Returns
    -------
    float
        1 where either side has no reviews, or no error was found inside.
    """
    tested = excess_test(evidence, inside, outside, kind)
    return 1.0 if tested is None else tested.p_value


def excess_test(
    evidence: AuditEvidence,
    inside: Bools,
    outside: Bools,
    kind: int,
    assist: ControlVariate | None = None,
) -> ExcessTest | None:
    """Test whether a kind of error is more frequent inside than outside: one-sided.

    Parameters
    ----------
    evidence
        m audited decisions.
    inside, outside
        Shape (m,), disjoint.
    kind
        Column of `evidence.errors`.
    assist
        P(error) as control variate.

    Returns
    -------
    ExcessTest
        None where either side has no reviews, or no error was found inside.

    Notes
    -----
    Under the null the weighted count inside is a Poisson count, scaled and shifted to its mean,
    variance and third moment. The variance is the larger of the design's under the outside rate
    (with that rate's own variance) and that of the errors seen inside (Fay and Feuer
    1997, Statistics in Medicine 16, 791-801), the third moment the design's. Few, heavy errors
    therefore count as few. The p-value is not below that of the conditional test of two counts
    (Przyborowski and Wilenski 1940, Biometrika 31, 313-323), which holds where the rest is small.
    """
    w, e = evidence.weight, evidence.errors[:, kind]
    total = float((w * e)[inside].sum())
    weight_in, weight_out = float(w[inside].sum()), float(w[outside].sum())
    if total <= 0 or weight_out <= 0:
        return None
    errors_out = float((w * e)[outside].sum())
    seen, left = float((w**2 * e)[inside].sum()) / total, 1.0
    if assist is not None:
        left = assist.variance_share
        seen *= left
        total += weight_in * assist.shift(w[inside], inside)
        errors_out = max(errors_out + weight_out * assist.shift(w[outside], outside), 0.0)
        if total <= 0:
            return None
    # Where no error was found outside, half an error of mean weight is assumed.
    rate = max(errors_out, 0.5 * weight_out / float(outside.sum())) / weight_out
    mean = rate * weight_in
    outside_variance = max(float((w**2 * e)[outside].sum()), rate * weight_out) / weight_out**2
    spread = evidence.spread[inside, kind]
    # Errors are no rare events where a policy errs often: the variance is binomial.
    right = 1 - np.minimum(spread / w[inside] * rate, _MOST_COMMON)
    binomial = 1 - min(rate, _MOST_COMMON)
    outside_variance *= left * binomial
    null = left * float(w[inside] @ (spread * right) / spread.sum())
    null += weight_in**2 * min(outside_variance, rate**2) / mean
    scale = max(null, seen * binomial)
    unit_in = seen * binomial
    unit_out = left * binomial * _error_weight(w[outside], e[outside])
    # Heavily weighted errors are rare: the third moment sets the length of the tail.
    tail = max(float(w[inside] ** 2 @ spread * spread.sum() / (w[inside] @ spread) ** 2), 1.0)
    return ExcessTest(
        total, mean, weight_in, scale, tail,
        per_error=1 / unit_in, errors_outside=errors_out / unit_out,
        share=weight_in / unit_in / (weight_in / unit_in + weight_out / unit_out),
    )  # fmt: skip


def _error_weight(weight: Floats, error: Floats) -> float:
    """Return the mean weight of the errors, each by its weight; of all decisions without errors."""
    total = float(weight @ error)
    return float(weight**2 @ error) / total if total > 0 else float(weight.mean())


def selected_rate(measured: Rate, critical: float, floor: float) -> float:
    """Estimate a rate that was reported because it is high: shrunk by what the selection added.

    Parameters
    ----------
    measured
        The rate as measured on the data that confirmed it.
    critical
        The rate from which it would have been confirmed.
    floor
        The rate of the rest: a confirmed excess is not below zero.

    Returns
    -------
    float
        Between `floor` and the rate as measured.

    Notes
    -----
    The rate at which half of the samples that are confirmed show this rate or less: the
    median-unbiased estimate from the binomial distribution truncated at the critical value (Zhong
    and Prentice 2008, Biostatistics 9, 621-634; Fithian, Sun and Taylor 2014). Far above the
    critical value nothing is taken off.

    Examples
    --------
    >>> rate = Rate(0.3, 0.2, 0.42, 60, 60.0)
    >>> round(selected_rate(rate, 0.25, 0.08), 2), round(selected_rate(rate, 0.1, 0.08), 2)
    (0.28, 0.3)
    """
    n, k = measured.worth, measured.estimate * measured.worth
    least = min(critical * n, k)

    def share_above(rate: float) -> float:
        # Between k and k + 1 successes: as many samples on either side (mid-p).
        beyond = betainc([k + 0.5, least + 0.5], [n - k + 0.5, n - least + 0.5], rate)
        return float(beyond[0] / max(beyond[1], 1e-300)) - 0.5

    low = max(floor, 1e-9)
    if not low < measured.estimate or share_above(low) >= 0:
        return float(np.clip(floor, 0.0, measured.estimate))
    if share_above(measured.estimate) <= 0:
        return measured.estimate
    return float(brentq(share_above, low, measured.estimate))


def selected_gain(measured: float, sd: float, critical: float) -> float:
    """Estimate a gain that was reported because it is high: shrunk by what the selection added.

    Parameters
    ----------
    measured
        The gain as measured on the data that confirmed it.
    sd
        Its standard error, above 0.
    critical
        The gain from which it would have been confirmed.

    Returns
    -------
    float
        From 0 to the gain as measured: median-unbiased for a normal estimate truncated at `critical`.

    Examples
    --------
    >>> round(selected_gain(3.0, 1.0, 2.0), 2), round(selected_gain(6.0, 1.0, 2.0), 2)
    (2.69, 6.0)
    """

    def share_above(gain: float) -> float:
        beyond = log_ndtr((gain - np.array([measured, min(critical, measured)])) / sd)
        return float(np.exp(beyond[0] - beyond[1])) - 0.5

    if measured <= 0 or share_above(0.0) >= 0:
        return max(min(measured, 0.0), 0.0)
    return measured if share_above(measured) <= 0 else float(brentq(share_above, 0.0, measured))


def confirmed_rate(measured: Rate, test: ExcessTest, outside: Rate, limit: float) -> Rate:
    """Return the rate within a confirmed set of decisions, without what its selection added.

    Parameters
    ----------
    measured, outside
        The rates inside, with limits for the selection, and of the rest.
    test
        The test that confirmed it.
    limit
        The highest p-value with which it would have been confirmed.

    Returns
    -------
    Rate
        See `selected_rate`; the limits contain the estimate.

    Notes
    -----
    Limits at a confidence of 1 - .05 x the confirmed share of the tests cover the truth in 95 % of
    the reported intervals (Benjamini and Yekutieli 2005, JASA 100, 71-81).
    """
    floor = min(outside.estimate, measured.estimate)
    estimate = selected_rate(measured, test.critical_rate(limit), floor)
    return replace(measured, estimate=estimate, low=min(measured.low, estimate))
