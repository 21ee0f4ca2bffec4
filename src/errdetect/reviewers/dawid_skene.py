"""Two-class Dawid-Skene: each rater's error rates, estimated from votes by EM.

Arrays only; `rater_panel` builds them. A unit's class is 1 (violates) or 0 (does not). A rater has
two rates: `se`, P(vote 1 | class 1), and `fp`, P(vote 1 | class 0). Raters shrink to their site and
sites to all, by empirical Bayes.

Source: Dawid and Skene (1979), Applied Statistics 28, 20-28; for the variance of the site rates
Louis (1982), JRSS B 44, 226-233, and White (1982), Econometrica 50, 1-25.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.special import expit, logit

from errdetect.stats.group_sums import sum_by_group

__all__ = [
    "DawidSkeneFit",
    "RaterRates",
    "RaterVotes",
    "class_posterior",
    "fit_prevalence",
    "fit_rates",
    "log_likelihood_ratios",
    "rate_variance",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_MIN_RATE = 1e-6  # no rate is exactly 0 or 1: one unlikely vote must not decide a unit alone
_STRENGTHS = np.geomspace(1, 10_000, 41)  # prior strengths, in votes
_FIXED_AFTER = 50  # EM steps after which the shrinkage is fixed, so that EM converges
_ACCELERATE_EVERY = 5  # EM steps
_MAX_STEP = 30.0  # of the acceleration, in EM steps


@dataclass(frozen=True)
class RaterVotes:
    """Votes of raters on units.

    Parameters
    ----------
    unit, rater, says
        Shape (m,): the unit, rater and vote (0. or 1.) of each.
    known
        Shape (n_units,): the class where known, else NaN.
    group
        Shape (n_units,): units of one group share their prevalence.
    site
        Shape (n_raters,): the site of each rater.
    kind
        Shape (n_sites,): sites of one kind shrink to their common mean.
    """

    unit: Ints
    rater: Ints
    says: Floats
    known: Floats
    group: Ints
    site: Ints
    kind: Ints


@dataclass(frozen=True)
class RaterRates:
    """One of the two rates by rater, by site and by the site's kind, and the votes behind them.

    `kind` has one entry per site; `n` and `n_site` are the (expected) votes on units of the class;
    `strength` is the site mean's prior strength for a rater, in votes.
    """

    rater: Floats
    site: Floats
    kind: Floats
    n: Floats
    n_site: Floats
    strength: float


@dataclass(frozen=True)
class DawidSkeneFit:
    """Rates, prevalence of each group, P(class 1) of each unit, and how EM ended."""

    se: RaterRates
    fp: RaterRates
    prevalence: Floats
    p: Floats
    n_iter: int
    converged: bool


def class_posterior(votes: RaterVotes, se: Floats, fp: Floats, prevalence: Floats) -> Floats:
    """Compute P(class 1) of every unit from its votes; a known class is kept.

    Parameters
    ----------
    votes
        m votes on n units.
    se, fp
        Shape (n_raters,).
    prevalence
        Shape (n_groups,).

    Returns
    -------
    numpy.ndarray
        Shape (n_units,).

    Examples
    --------
    >>> votes = RaterVotes(np.array([0, 0]), np.array([0, 1]), np.array([1., 1.]),
    ...               known=np.array([np.nan]), group=np.array([0]), site=np.array([0, 0]),
    ...               kind=np.array([0]))
    >>> class_posterior(votes, np.array([.9, .9]), np.array([.1, .1]), np.array([.5])).round(4)
    array([0.9878])
    """
    total = sum_by_group(votes.unit, log_likelihood_ratios(votes, se, fp), len(votes.known))
    p: Floats = expit(total + logit(_clip_rate(prevalence))[votes.group])
    return np.where(np.isnan(votes.known), p, votes.known)


def fit_rates(
    votes: RaterVotes, *, shrink: bool = True, max_iter: int = 2_000, tol: float = 1e-7
) -> DawidSkeneFit:
    """Estimate raters' rates and units' classes from votes by EM, starting at the vote shares.

    Parameters
    ----------
    votes
        m votes on n units; units of known class anchor the rates.
    shrink
        Whether raters shrink to their site and sites to all; False is the published method.
    max_iter, tol
        EM stops after `max_iter` steps or when no rate and no prevalence moves by more than `tol`.

    Returns
    -------
    DawidSkeneFit
        Raters without votes have their site's rates.

    Examples
    --------
    >>> unit, rater = np.repeat(np.arange(10_000), 3), np.tile(np.arange(3), 10_000)
    >>> wrong = unit // 10**rater % 10 == 0  # each errs on a tenth of the units, on its own
    >>> says = (unit < 3_000) ^ wrong
    >>> votes = RaterVotes(unit, rater, says.astype(float), known=np.full(10_000, np.nan),
    ...               group=np.zeros(10_000, int), site=np.zeros(3, int), kind=np.array([0]))
    >>> fit = fit_rates(votes, shrink=False)
    >>> fit.se.rater.round(3), fit.fp.rater.round(3), fit.prevalence.round(3)
    (array([0.9, 0.9, 0.9]), array([0.1, 0.1, 0.1]), array([0.3]))
    """
    n_units = len(votes.known)
    judged = sum_by_group(votes.unit, np.ones(len(votes.unit)), n_units)
    share = sum_by_group(votes.unit, votes.says, n_units) / np.maximum(judged, 1)
    p = np.where(np.isnan(votes.known), share, votes.known)
    pulls = (_Shrinkage(), _Shrinkage())
    prior, path = float(shrink), [np.zeros(0)]
    for step in range(1, max_iter + 1):
        se = _shrunken_rates(votes, p[votes.unit], pulls[0])
        fp = _shrunken_rates(votes, 1 - p[votes.unit], pulls[1])
        prevalence = _group_prevalence(p, votes.group, prior=prior)
        now = np.concatenate([se.rater, fp.rater, prevalence])
        moved = np.abs(now - path[-1]).max(initial=0) if step > 1 else np.inf
        path = [*path[-2:], now]
        if moved < tol:
            break
        if step > _FIXED_AFTER and step % _ACCELERATE_EVERY == 0 and step < max_iter:
            ends = (len(se.rater), 2 * len(se.rater))
            p = class_posterior(votes, *np.split(_accelerate_em(*path), ends))
        else:
            p = class_posterior(votes, se.rater, fp.rater, prevalence)
        if shrink and step <= _FIXED_AFTER:
            pulls = _fit_shrinkage(votes, se, fp, p)
    p = class_posterior(votes, se.rater, fp.rater, prevalence)
    return DawidSkeneFit(se, fp, prevalence, p, n_iter=step, converged=bool(moved < tol))


def _accelerate_em(first: Floats, second: Floats, third: Floats) -> Floats:
    """Extrapolate three steps of EM, which is slow where votes carry little information.

    Scheme S3 of Varadhan and Roland (2008), Scandinavian Journal of Statistics 35, 335-353.
    """
    step = second - first
    bend = third - second - step
    length = (float(step @ step) / max(float(bend @ bend), 1e-300)) ** 0.5
    length = min(max(length, 1.0), _MAX_STEP)
    return _clip_rate(first + 2 * length * step + length**2 * bend)


def fit_prevalence(
    votes: RaterVotes, se: Floats, fp: Floats, *, weight: Floats | None = None
) -> Floats:
    """Estimate each group's prevalence with the raters' rates held fixed.

    Parameters
    ----------
    votes
        m votes on n units.
    se, fp
        Shape (n_raters,).
    weight
        Shape (n,): how many units each represents; one if None.

    Returns
    -------
    numpy.ndarray
        Prevalence, shape (n_groups,).

    Examples
    --------
    >>> votes = RaterVotes(np.arange(4), np.zeros(4, int), np.array([1., 0, 0, 0]),
    ...               known=np.full(4, np.nan), group=np.zeros(4, int), site=np.array([0]),
    ...               kind=np.array([0]))
    >>> fit_prevalence(votes, np.array([.999]), np.array([.001])).round(2)
    array([0.25])
    """
    prevalence = np.full(votes.group.max(initial=0) + 1, 0.5)
    for _ in range(1_000):
        p = class_posterior(votes, se, fp, prevalence)
        new = _group_prevalence(p, votes.group, prior=1.0, weight=weight)
        moved = np.abs(new - prevalence).max()
        prevalence = new
        if moved < 1e-6:
            break
    return prevalence


def rate_variance(votes: RaterVotes, fit: DawidSkeneFit) -> tuple[Floats, Floats]:
    """Compute the variance of the sites' rates, robust to units of unequal difficulty.

    The sandwich of Louis' observed information and the spread of the units' scores, over sites'
    rates and groups' prevalence, each site taken as one rater; never below the inverse information,
    since the spread of few units may be too small by accident.

    Parameters
    ----------
    votes, fit
        Input and result of `fit_rates`.

    Returns
    -------
    tuple of numpy.ndarray
        Variance of `se` and of `fp`, shape (n_sites,); infinite where not identified.

    Examples
    --------
    >>> votes = RaterVotes(np.arange(200), np.zeros(200, int), (np.arange(200) % 10 < 9) * 1.,
    ...               known=np.ones(200), group=np.zeros(200, int), site=np.array([0]),
    ...               kind=np.array([0]))
    >>> se, fp = rate_variance(votes, fit_rates(votes, shrink=False))
    >>> se.round(5), fp
    (array([0.00045]), array([inf]))
    """
    n_sites, n_groups = len(fit.se.site), len(fit.prevalence)
    size, site = 2 * n_sites + n_groups, votes.site[votes.rater]
    rates = np.concatenate([fit.se.site, fit.fp.site, fit.prevalence])
    spread = rates * (1 - rates)
    latent = np.isnan(votes.known)
    rows = np.concatenate([votes.unit, votes.unit])
    columns = np.concatenate([site, n_sites + site])
    residual = np.concatenate([votes.says - fit.se.site[site], votes.says - fit.fp.site[site]])
    weight = np.concatenate([fit.p[votes.unit], 1 - fit.p[votes.unit]])
    sign = np.repeat([1.0, -1.0], len(site))
    units, groups = np.flatnonzero(latent), 2 * n_sites + votes.group[latent]
    shape = (len(votes.known), size)

    def table(by_vote: Floats, by_unit: Floats) -> sparse.csr_array:
        place = (np.concatenate([rows, units]), np.concatenate([columns, groups]))
        return sparse.csr_array((np.concatenate([by_vote, by_unit]), place), shape=shape)

    score = table(weight * residual, fit.p[latent] - fit.prevalence[votes.group[latent]])
    swing = table(sign * residual, np.ones(len(units)))  # between the two classes
    missing = swing.T @ sparse.diags_array(fit.p * (1 - fit.p)) @ swing
    trials = sum_by_group(columns, weight, size) + sum_by_group(groups, np.ones(len(units)), size)
    information = np.diag(trials * spread) - missing.toarray()
    variance = _sandwich_variance(information, (score.T @ score).toarray())
    on_rates = variance[: 2 * n_sites] * np.maximum(spread[: 2 * n_sites], _MIN_RATE) ** 2
    return on_rates[:n_sites], on_rates[n_sites:]


def _sandwich_variance(information: Floats, scatter: Floats) -> Floats:
    """Return the variance of each parameter; infinite for those not identified."""
    variance = np.full(len(information), np.inf)
    identified = np.diag(information) > 1e-6
    block = np.ix_(identified, identified)
    a, b = information[block], scatter[block]
    if identified.any() and np.linalg.eigvalsh(a).min() > 1e-6:
        inverse = np.linalg.inv(a)
        variance[identified] = np.maximum(np.diag(inverse), np.diag(inverse @ b @ inverse))
    return variance


def _shrunken_rates(votes: RaterVotes, weight: Floats, pull: "_Shrinkage") -> RaterRates:
    """Turn weighted votes into rates, shrunk with the strengths of `pull`."""
    n_raters, n_sites, n_kinds = len(votes.site), len(votes.kind), votes.kind.max(initial=0) + 1
    n = sum_by_group(votes.rater, weight, n_raters)
    yes = sum_by_group(votes.rater, weight * votes.says, n_raters)
    n_site, yes_site = sum_by_group(votes.site, n, n_sites), sum_by_group(votes.site, yes, n_sites)
    kind = sum_by_group(votes.kind, yes_site, n_kinds) + 0.5
    kind /= sum_by_group(votes.kind, n_site, n_kinds) + 1
    kind = kind[votes.kind]
    site = _shrink_rate(yes_site, n_site, kind, pull.site)
    rater = _shrink_rate(yes, n, site[votes.site], pull.rater)
    return RaterRates(rater, site, kind, n, n_site, pull.rater)


def _shrink_rate(yes: Floats, n: Floats, mean: Floats, strength: float) -> Floats:
    empty = n + strength < _MIN_RATE
    rate = (yes + strength * mean) / np.where(empty, 1, n + strength)
    return np.where(empty, mean, rate)


@dataclass(frozen=True)
class _Shrinkage:
    """Prior strength, in votes, of the overall mean for a site and of its mean for a rater."""

    site: float = 0.0
    rater: float = 0.0


def _fit_shrinkage(
    votes: RaterVotes, se: RaterRates, fp: RaterRates, p: Floats
) -> tuple[_Shrinkage, _Shrinkage]:
    """Estimate how much sites and raters differ, for both rates.

    Each vote is compared with the *other* votes on its unit. Including it in its own unit's class
    would understate the differences between raters.
    """
    known = ~np.isnan(votes.known[votes.unit])
    others = expit(
        logit(_clip_rate(p))[votes.unit] - log_likelihood_ratios(votes, se.rater, fp.rater)
    )
    q = np.where(known, p[votes.unit], others)
    at_site = votes.site[votes.rater]
    pulls = []
    for weight, rates in ((q, se), (1 - q, fp)):
        by_site = _prior_strength(votes.says, q, weight, at_site, (se.kind, fp.kind), rates.kind)
        own = (se.site[votes.site], fp.site[votes.site])
        by_rater = _prior_strength(votes.says, q, weight, votes.rater, own, rates.site[votes.site])
        pulls.append(_Shrinkage(by_site, by_rater))
    return pulls[0], pulls[1]


def _prior_strength(
    says: Floats,
    q: Floats,
    weight: Floats,
    who: Ints,
    expected: tuple[Floats, Floats],
    mean: Floats,
) -> float:
    """Estimate the common mean's prior strength, in votes, from how much its members differ.

    The normal likelihood of each member's weighted residual, averaged over strengths with the prior
    that is flat in 1 / sqrt(strength) (Gelman et al., Bayesian Data Analysis, 5.3), so that few
    members shrink little. The harmonic mean keeps the intervals' coverage.
    """
    n = len(expected[0])
    p_yes = q * expected[0][who] + (1 - q) * expected[1][who]
    residual = sum_by_group(who, weight * (says - p_yes), n)
    noise = sum_by_group(who, weight**2 * p_yes * (1 - p_yes), n)
    used = noise > _MIN_RATE
    reach = sum_by_group(who, weight**2, n)[used]
    spread = (_clip_rate(mean) * (1 - _clip_rate(mean)))[used]
    variance = noise[used] + reach**2 * spread / (1 + _STRENGTHS[:, None])
    fit = -0.5 * (np.log(variance) + residual[used] ** 2 / variance).sum(axis=1)
    weights = fit - 0.5 * np.log(_STRENGTHS)
    weights = np.exp(weights - weights.max())
    return float(weights.sum() / (weights / _STRENGTHS).sum())


def log_likelihood_ratios(votes: RaterVotes, se: Floats, fp: Floats) -> Floats:
    """Return the log-likelihood ratio of each vote for class 1, shape (m,)."""
    se, fp = _clip_rate(se), _clip_rate(fp)
    on_yes, on_no = np.log(se / fp), np.log((1 - se) / (1 - fp))
    return np.where(votes.says == 1, on_yes[votes.rater], on_no[votes.rater])


def _group_prevalence(
    p: Floats, group: Ints, *, prior: float, weight: Floats | None = None
) -> Floats:
    """Average P(class 1) by group, with the overall mean as `prior` additional units."""
    if not len(p):
        return np.full(1, 0.5)
    n_groups = int(group.max()) + 1
    if weight is None:  # the common case, faster by two passes over all units
        total = np.maximum(np.bincount(group, minlength=n_groups) + prior, _MIN_RATE)
        return np.asarray((sum_by_group(group, p, n_groups) + prior * float(p.mean())) / total)
    weight = weight / weight.mean()
    total = np.maximum(sum_by_group(group, weight, n_groups) + prior, _MIN_RATE)
    return np.asarray(
        (sum_by_group(group, weight * p, n_groups) + prior * float((weight * p).mean())) / total
    )


def _clip_rate(rate: Floats) -> Floats:
    return np.clip(rate, _MIN_RATE, 1 - _MIN_RATE)
