"""How often reviewers miss errors and raise false alarms: from golden items and adjudications."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from errdetect.estimation.misclassification_intervals import (
    Misclassification,
    mix_intervals,
    recall_interval,
    widen_interval,
)
from errdetect.labels.audit_sample import AuditSample
from errdetect.labels.verdicts import GoldenItems
from errdetect.stats.effective_size import effective_size, effective_size_from_sums
from errdetect.stats.intervals import Interval, clopper_pearson, critical_value, wilson

__all__ = [
    "UNCORRECTED",
    "DrawOutcomes",
    "adjudicated_misclassification",
    "golden_misclassification",
    "resolve_outcomes",
    "site_shares",
    "solve_treatments",
    "without_false_positives",
]


Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: Golden items of each class (error, no error) below which they give no correction.
MIN_GOLDEN = 20
#: Golden items with an error from which they correct for misses where experts settle the flags.
MIN_GOLDEN_ERRORS = 10
#: Least standard deviation of the log-odds of sites' true rates that partial pooling assumes.
MIN_BETWEEN = 0.3
#: The same of the two sides: reviewers lean towards the machine, and two groups measure no spread.
MIN_BETWEEN_SIDES = 1.2
#: Adjudicated draws of each kind (flagged, not flagged) below which they do not measure reviewers.
MIN_ADJUDICATED = 20


def _clustered_interval(item: Ints, said: Bools, confidence: float) -> Interval:
    """Return Clopper-Pearson limits of a rate over golden reviews, at the effective number of reviews.

    Exact rather than Wilson's, whose coverage was .94 instead of .95. Reviews of one item share its
    difficulty, so between one and all of an item's reviews count.
    """
    _, code = np.unique(item, return_inverse=True)
    n_items, n = int(code.max()) + 1, len(item)
    rate = said.mean()
    between = np.bincount(code, said - rate)
    variance = float((between**2).sum()) / n**2 * n_items / max(n_items - 1, 1)
    binomial = rate * (1 - rate)
    effective = binomial / variance if variance > 0 and binomial > 0 else n_items
    size = np.array([float(np.clip(effective, n_items, n))])
    return clopper_pearson(rate * size, size, confidence)


@dataclass(frozen=True)
class _PooledRates:
    """Rates of groups that borrow strength from each other.

    Parameters
    ----------
    own
        Each group's own rate; shape (n_groups,). Groups without items have the pooled rate.
    pooled
        The rate of all groups, shape (1,).
    trust
        Weight of each group's own rate; the rest is the pooled rate's.
    between
        Variance of the groups' true rates around the pooled one.
    """

    own: Interval
    pooled: Interval
    trust: Floats
    between: float


def _pool_rates(
    group: Ints,
    item: Ints,
    flagged: Bools,
    n_groups: int,
    confidence: float,
    min_between: float = MIN_BETWEEN,
) -> _PooledRates:
    """Estimate each group's rate by partial pooling, so that few items count for what they are.

    The variance between groups is DerSimonian and Laird's (1986, Controlled Clinical Trials 7,
    177-188) and at least that of log-odds which differ by `min_between`.
    """
    count = np.bincount(group + 1, minlength=n_groups + 1)[1:]
    present = np.flatnonzero(count)
    everyone = _clustered_interval(item, flagged, confidence)
    parts = [
        _clustered_interval(item[group == g], flagged[group == g], confidence) for g in present
    ]
    own = Interval(*(np.full(n_groups, float(v[0])) for v in everyone))
    for g, part in zip(present, parts, strict=True):
        for values, value in zip(own, part, strict=True):
            values[g] = float(value[0])
    if len(present) <= 1 and (group >= 0).all():
        return _PooledRates(own, everyone, (count > 0).astype(np.float64), 0.0)
    n = count[present].astype(np.float64)
    rate = own.estimate[present]
    spread = float((np.bincount(group + 1, flagged, n_groups + 1)[1:].sum() + 1) / (n.sum() + 2))
    variance = spread * (1 - spread) / np.maximum(n, 1)
    weight = 1 / variance
    mean = float(np.average(rate, weights=weight)) if len(present) else float(everyone.estimate[0])
    excess = float((weight * (rate - mean) ** 2).sum()) - (len(present) - 1)
    scale = weight.sum() - (weight**2).sum() / max(weight.sum(), 1e-12)
    least = (min_between * spread * (1 - spread)) ** 2
    between = max(excess / scale if scale > 0 else 0.0, least)
    weight = 1 / (variance + between)
    middle, low, high = (float(v[0]) for v in everyone)
    centre = float(np.average(rate, weights=weight)) if len(present) else middle
    extra = between * float((weight**2).sum() / weight.sum() ** 2) if len(present) else between
    reach = critical_value(confidence) ** 2 * extra
    pooled = Interval(
        np.array([centre]),
        np.array([max(centre - float(np.sqrt((middle - low) ** 2 + reach)), 0.0)]),
        np.array([min(centre + float(np.sqrt((high - middle) ** 2 + reach)), 1.0)]),
    )
    strength = spread * (1 - spread) / between
    return _PooledRates(own, pooled, count / (count + strength), between)


def _site_mixture(
    golden_site: Ints, item: Ints, flagged: Bools, share: Floats, confidence: float
) -> Interval:
    """Mix the sites' rates by each cell's work; sites with few items lean on the pooled rate."""
    rates = _pool_rates(golden_site, item, flagged, share.shape[1], confidence)
    own, lent = share * rates.trust, share * (1 - rates.trust)
    rest = 1 - own.sum(axis=1)  # also work that names no site
    centre = own @ rates.own.estimate + rest * rates.pooled.estimate
    unknown = critical_value(confidence) ** 2 * rates.between * (lent**2).sum(axis=1)
    down, up = (
        np.sqrt(
            own**2 @ (limit - rates.own.estimate) ** 2
            + rest**2 * (pooled - rates.pooled.estimate) ** 2
            + unknown
        )
        for limit, pooled in (
            (rates.own.low, rates.pooled.low),
            (rates.own.high, rates.pooled.high),
        )
    )
    return Interval(centre, np.clip(centre - down, 0, 1), np.clip(centre + up, 0, 1))


def _side_mixture(
    golden: GoldenItems, chosen: Bools, flagged: Bools, share: Floats, enforced: bool,
    confidence: float,
) -> Interval:  # fmt: skip
    """Mix the sites' rates on one side, which leans on both sides' where it has few items."""
    side = chosen & (golden.enforced == int(enforced))
    both = _site_mixture(
        golden.site[chosen], golden.item[chosen], flagged[chosen], share, confidence
    )
    if not side.any():
        return both
    own = _site_mixture(golden.site[side], golden.item[side], flagged[side], share, confidence)
    group = side[chosen].astype(np.int64)
    items, flags = golden.item[chosen], flagged[chosen]
    rates = _pool_rates(group, items, flags, 2, confidence, MIN_BETWEEN_SIDES)
    trust = float(rates.trust[1])
    between = critical_value(confidence) ** 2 * rates.between * (1 - trust) ** 2
    mixed = mix_intervals(both, own, trust)
    return widen_interval(mixed, np.full(len(share), np.sqrt(between)))


def golden_misclassification(
    golden: GoldenItems,
    share: Floats,
    *,
    action_only: bool,
    enforced: bool | None,
    any_flag: bool = False,
    confidence: float = 0.95,
) -> Misclassification | None:
    """Return reviewers' error rates by cell from golden items, by the sites that did the cell's work.

    Parameters
    ----------
    golden
        The golden reviews.
    share
        Each site's share of each cell's weighted work, shape (n_cells, n_sites).
    action_only
        Whether only wrong actions are errors.
    enforced
        The side that is estimated, None for both; its own golden items count by how many they are.
    any_flag
        Whether an error counts as found if any kind of error is flagged, as where experts settle
        every flag.
    confidence
        Nominal coverage of the limits.

    Returns
    -------
    Misclassification or None where there are too few golden items of a class.

    Examples
    --------
    >>> n = np.arange(100)
    >>> golden = GoldenItems(n, n * 0, n * 0, n < 50, (n < 45) | (n == 99), n < 50, n < 45)
    >>> error = golden_misclassification(golden, np.ones((1, 1)), action_only=False, enforced=None)
    >>> error.found.estimate.tolist(), error.alarm.estimate.tolist()
    ([0.9], [0.02])
    """
    truth = golden.expected_overturned if action_only else golden.expected_error
    said = golden.said_overturned if action_only and not any_flag else golden.said_error
    rates = []
    for wrong in (True, False):
        chosen = truth == wrong
        if any_flag and not wrong and chosen.sum() < MIN_GOLDEN:
            zero = np.zeros(len(share))  # experts leave no false alarms, so none are measured
            rates.append(Interval(zero, zero, zero))
            continue
        if chosen.sum() < (MIN_GOLDEN_ERRORS if any_flag else MIN_GOLDEN):
            return None
        if enforced is not None:
            rates.append(_side_mixture(golden, chosen, said, share, enforced, confidence))
            continue
        rates.append(
            _site_mixture(golden.site[chosen], golden.item[chosen], said[chosen], share, confidence)
        )
    return Misclassification(found=rates[0], alarm=rates[1])


def without_false_positives(reviewers: Misclassification) -> Misclassification:
    """Return the error rates after experts settled every flag: misses stay, false alarms are 0.

    Examples
    --------
    >>> half = Interval(np.array([0.5]), np.array([0.4]), np.array([0.6]))
    >>> without_false_positives(Misclassification(half, half)).alarm.high.tolist()
    [0.0]
    """
    zero = np.zeros_like(reviewers.found.estimate)
    return Misclassification(found=reviewers.found, alarm=Interval(zero, zero, zero))


def adjudicated_misclassification(
    audit: AuditSample,
    inside: Bools,
    said: Bools,
    *,
    action_only: bool,
    size: int,
    confidence: float = 0.95,
) -> Misclassification | None:
    """Return reviewers' error rates from a designed sample of adjudicated draws, flagged or not.

    Parameters
    ----------
    audit
        The draws; adjudications with a logged inclusion probability are the sample.
    inside
        Which draws to use, shape (n_draws,).
    said
        What counts as a reviewer's flag of each draw, shape (n_draws,).
    action_only
        Whether only wrong actions are errors.
    size
        Number of cells; all get the same rates.
    confidence
        Nominal coverage of the limits.

    Returns
    -------
    Misclassification or None where too few draws of either kind were sent by design.

    Examples
    --------
    >>> n = np.arange(200)
    >>> flag, wrong = (n < 100) * 1.0, (n < 90) * 1.0
    >>> audit = AuditSample(n, n * 0 + 2.0, flag, flag, wrong, wrong, n * 0 + 1.0, n, n * 0, ("x",))
    >>> rates = adjudicated_misclassification(audit, n >= 0, audit.flagged, action_only=False, size=1)
    >>> rates.found.estimate.tolist(), rates.alarm.estimate.round(3).tolist()
    ([1.0], [0.091])
    """
    truth = audit.expert_overturned if action_only else audit.expert_error
    sent = inside & audit.adjudicated & ~np.isnan(audit.expert_probability)
    total = audit.weight[inside].sum()
    parts = []
    for kind in (inside & said, inside & ~said):
        chosen = kind & sent
        certain = chosen.sum() == kind.sum()
        if chosen.sum() < (1 if certain else MIN_ADJUDICATED):
            return None
        if not certain and not _is_representative(
            audit.expert_probability[chosen], int(kind.sum())
        ):
            return None
        weight = audit.weight[chosen] / audit.expert_probability[chosen]
        rate = float(np.average(truth[chosen], weights=weight))
        limits = wilson(np.array([rate]), np.array([effective_size(weight)]), confidence)
        limits = Interval(limits.estimate, limits.estimate, limits.estimate) if certain else limits
        parts.append((limits, float(audit.weight[kind].sum() / total)))
    (wrong, flags), (missed, rest) = parts
    found = recall_interval(_scale_interval(wrong, flags), _scale_interval(missed, rest))
    alarm = recall_interval(
        _scale_interval(_complement_interval(wrong), flags),
        _scale_interval(_complement_interval(missed), rest),
    )
    return Misclassification(
        found=_repeat_interval(found, size), alarm=_repeat_interval(alarm, size)
    )


def _is_representative(probability: Floats, n: int) -> bool:
    """Whether draws sent to experts with these probabilities can be a designed sample of n.

    Draws that were sent because they seemed wrong have probability 1 and represent only themselves.
    """
    slack = 4 * float(np.sqrt(((1 - probability) / probability**2).sum()))
    return abs(float((1 / probability).sum()) - n) <= max(slack, 0.1 * n)


def _scale_interval(limits: Interval, by: float) -> Interval:
    return Interval(limits.estimate * by, limits.low * by, limits.high * by)


def _complement_interval(limits: Interval) -> Interval:
    return Interval(1 - limits.estimate, 1 - limits.high, 1 - limits.low)


def _repeat_interval(limits: Interval, size: int) -> Interval:
    return Interval(*(np.repeat(v, size) for v in (limits.estimate, limits.low, limits.high)))


#: Codes that leave all or part of the reviewer error uncorrected.
UNCORRECTED = ("as_judged", "flags_adjudicated", "flags_waiting")

#: Share of the flags that may await an expert before the interval covers all that they might be.
WAITING_TOLERANCE = 0.05
#: Share of waiting flags from which golden items alone give the estimate.
MOST_WAITING = 0.5
#: Settled flags from which their confirmed share alone stands for the waiting flags: this many, and
#: this multiple of the root of all flags, so that one answer moves little.
ENOUGH_SETTLED, ENOUGH_PER_ROOT = 30, 2.5
#: Settled flags that a cell's own confirmed share needs to weigh as much as that of all cells.
CONFIRMED_PRIOR = 10.0
#: Mean probability of being sent to an expert below which flags are a designed sample.
SAMPLED_FLAGS = 0.95


@dataclass(frozen=True)
class DrawOutcomes:
    """Outcomes of the draws.

    Parameters
    ----------
    error
        Outcome of each draw, 1 error and 0 none, shape (n_draws,); a flag that awaits an expert has
        the share of such flags that experts confirm.
    reviewers
        Reviewers' error rates of each cell, None for no correction.
    code
        Code of the verdicts used, a key of `method_text.JUDGING`.
    note
        How many flags await an expert, as text; empty where none or all do.
    spread
        Half width from the waiting flags' unknown answers, added in quadrature, shape (n_cells,).
    fill
        How far the limits move down and up for what the waiting flags might be, shape (2, n_cells).
    other, other_share
        The treatment that uses no answers of experts on single flags, and its share of the estimate.
    """

    error: Floats
    reviewers: Misclassification | None
    code: str
    note: str = ""
    spread: Floats | None = None
    fill: Floats | None = None
    other: "DrawOutcomes | None" = None
    other_share: float = 0.0


def solve_treatments(
    outcomes: DrawOutcomes, solve: Callable[[DrawOutcomes], tuple[Interval, NDArray[np.object_]]]
) -> tuple[Interval, NDArray[np.object_]]:
    """Solve the intervals of the outcomes, widened for waiting flags, and mix both treatments.

    Parameters
    ----------
    outcomes
        From `resolve_outcomes`.
    solve
        Returns the intervals of each cell and their methods for one treatment; NaN where it refuses.

    Returns
    -------
    (interval, how)
        A cell that one treatment refuses has the other's interval.

    Examples
    --------
    >>> none = np.full(1, 0.5)
    >>> one = DrawOutcomes(none, None, "flags_adjudicated", spread=np.array([0.3]))
    >>> interval, how = solve_treatments(one, lambda _: (Interval(none, none - 0.4, none + 0.4), none))
    >>> interval.low.round(3).tolist(), interval.high.round(3).tolist()
    ([0.0], [1.0])
    """
    interval, how = solve(outcomes)
    if outcomes.spread is not None:
        interval = widen_interval(interval, outcomes.spread, outcomes.fill)
    if outcomes.other is None:
        return interval, how
    others, how_other = solve(outcomes.other)
    refused, refused_other = np.isnan(interval.estimate), np.isnan(others.estimate)
    share = np.where(refused, 1.0, np.where(refused_other, 0.0, outcomes.other_share))
    how = np.where(share >= 0.5, how_other, how)
    return mix_intervals(interval, others, share), how


def site_shares(audit: AuditSample, cell: Ints, size: int) -> Floats:
    """Return each site's share of each cell's weighted work, shape (size, n_sites).

    Examples
    --------
    >>> n = np.arange(2)
    >>> nothing = np.full(2, np.nan)
    >>> audit = AuditSample(n, n + 1.0, n * 0.0, n * 0.0, nothing, nothing, nothing, n, n, ("x", "y"))
    >>> site_shares(audit, np.zeros(2, int), 1).round(2).tolist()
    [[0.33, 0.67]]
    """
    n_sites = max(len(audit.sites), 1)
    votes = np.bincount(audit.vote_draw, minlength=len(audit.position))
    weight = (audit.weight / np.maximum(votes, 1))[audit.vote_draw]
    at, where = audit.vote_site, cell[audit.vote_draw]
    inside = where >= 0
    total = np.bincount(where[inside], weight[inside], size)
    known = inside & (at >= 0)
    shares = np.bincount(where[known] * n_sites + at[known], weight[known], size * n_sites)
    return np.asarray(shares.reshape(size, n_sites) / np.where(total > 0, total, 1)[:, None])


def resolve_outcomes(
    audit: AuditSample,
    golden: GoldenItems | None,
    cell: Ints,
    size: int,
    *,
    action_only: bool,
    enforced: bool | None,
    stratum: Ints | None = None,
    confidence: float = 0.95,
) -> DrawOutcomes:
    """Return the outcome of each draw and the reviewers' error rates.

    An expert's verdict is final. Where experts settle the flags, there are no false alarms and only
    misses need correction; a flag that still awaits an expert counts by the share that experts
    confirm. Otherwise golden items, or a designed sample of adjudications of flagged and unflagged
    draws, correct both kinds of error, whichever is more precise. While experts have settled few of
    the flags, the estimate mixes both treatments: one more answer moves it little.

    Parameters
    ----------
    audit
        All draws.
    golden
        The golden reviews; None for no correction beyond experts' verdicts.
    cell
        Cell of each draw, -1 for those in none, shape (n_draws,).
    size
        Number of cells.
    action_only, enforced
        The measure: whether only wrong actions are errors, and the side (None for both).
    stratum
        Group of each draw (0, 1, ...) in which experts may confirm another share of the flags, such
        as its side, shape (n_draws,); None for one.
    confidence
        Nominal coverage.

    Returns
    -------
    DrawOutcomes

    Examples
    --------
    >>> n = np.arange(2)
    >>> nothing = np.full(2, np.nan)
    >>> audit = AuditSample(n, n + 1.0, n * 1.0, n * 0.0, nothing, nothing, nothing, n, n * 0, ("x",))
    >>> resolve_outcomes(audit, None, n * 0, 1, action_only=False, enforced=None).code
    'as_judged'
    """
    inside = cell >= 0
    truth = audit.expert_overturned if action_only else audit.expert_error
    if audit.adjudicated[inside].all():
        return DrawOutcomes(truth, None, "adjudicated")
    measure = _Measure(audit, cell, size, action_only, confidence)
    flags = audit.flagged & inside
    n_settled = int(audit.adjudicated[flags].sum())

    def candidates(*, all_flags: bool) -> dict[str, Misclassification]:
        return _candidate_corrections(measure, golden, enforced=enforced, all_flags=all_flags)

    without = None
    if n_settled < flags.sum() or not n_settled:
        without = _without_experts(measure, candidates(all_flags=False))
    sent = audit.expert_probability[flags & audit.adjudicated]
    sampled = n_settled > 0 and float(np.nanmean(np.append(sent, 1.0))) < SAMPLED_FLAGS
    if without is not None and (not n_settled or (sampled and without.code == "second_look")):
        return without
    stratum = np.zeros(len(cell), np.int64) if stratum is None else stratum
    settled = _settled_flags(measure, candidates(all_flags=True), stratum)
    if without is None:
        return settled
    return _mix_treatments(settled, without, n_settled, int(flags.sum()))


@dataclass(frozen=True)
class _Measure:
    """The draws and cells of one measure; domain is `cell`, the others as the parameters of `resolve_outcomes`."""

    audit: AuditSample
    domain: Ints
    size: int
    action_only: bool
    confidence: float

    @property
    def inside(self) -> Bools:
        return self.domain >= 0

    @property
    def votes(self) -> Floats:
        return self.audit.overturned if self.action_only else self.audit.error

    @property
    def truth(self) -> Floats:
        return self.audit.expert_overturned if self.action_only else self.audit.expert_error

    def by_domain(self, values: Floats) -> Floats:
        """Sum values by draw to values by cell."""
        inside = self.inside
        return np.asarray(np.bincount(self.domain[inside], values[inside], self.size), np.float64)


def _without_experts(measure: _Measure, known: dict[str, Misclassification]) -> DrawOutcomes:
    """Treat the reviewers' verdicts as they are, corrected where something measures reviewers."""
    audit, votes = measure.audit, measure.votes
    code = _most_precise(known, misses_only=False)
    if code is not None:
        said = (votes >= 0.5).astype(np.float64) if code == "second_look" else votes
        return DrawOutcomes(said, known[code], code)
    waiting = bool(audit.adjudicated[audit.flagged & measure.inside].any())
    resolved = np.where(audit.adjudicated, measure.truth, votes)
    return DrawOutcomes(resolved, None, "flags_waiting" if waiting else "as_judged")


def _settled_flags(
    measure: _Measure, known: dict[str, Misclassification], stratum: Ints
) -> DrawOutcomes:
    """Treat flags as settled: by the expert, or else by the share that experts confirm."""
    audit = measure.audit
    flags, settled = audit.flagged & measure.inside, audit.adjudicated
    code = _most_precise(known, misses_only=True)
    # Golden items measure what one reviewer finds, so a decision with several reviews counts as the
    # share that flagged it.
    flag_share = np.where(flags, audit.error if code == "golden" else 1.0, 0.0)
    confirmed, half_width = _confirmed_shares(measure, flag_share, stratum)
    answer = np.where(settled, measure.truth, confirmed)
    if code is None:
        reviewers, name = None, "flags_adjudicated"
        error = np.where(flags, flag_share * answer, np.where(settled, measure.truth, 0.0))
    else:  # `found` corrects for the errors among the others
        reviewers, name = without_false_positives(known[code]), f"flags_adjudicated_{code}"
        error = flag_share * answer
    if settled[flags].all():
        return DrawOutcomes(error, reviewers, name)
    spread, fill = _waiting_widths(measure, flag_share, confirmed, half_width)
    if reviewers is not None:
        spread, fill = spread / reviewers.found.estimate, fill / reviewers.found.estimate
    return DrawOutcomes(error, reviewers, name, spread=spread, fill=fill)


def _confirmed_shares(
    measure: _Measure, flag_share: Floats, stratum: Ints
) -> tuple[Floats, Floats]:
    """Return P(an expert confirms) of each draw's flag, and the half width of that probability.

    Cells and strata with few settled flags lean on the share of all.
    """
    audit = measure.audit
    sent = np.where(np.isnan(audit.expert_probability), 1.0, audit.expert_probability)
    weight = np.where(audit.adjudicated & (flag_share > 0), audit.weight * flag_share / sent, 0.0)
    truth = np.where(audit.adjudicated, measure.truth, 0.0)
    n = effective_size(weight)
    overall = (float((weight * truth).sum()) / max(float(weight.sum()), 1e-12) * n + 0.5) / (n + 1)

    def pool(group: Ints, towards: Floats) -> tuple[Floats, Floats]:
        k = int(group.max(initial=-1)) + 1
        total, squares = (
            np.asarray(np.bincount(group, v, k), np.float64) for v in (weight, weight**2)
        )
        own = effective_size_from_sums(total, squares)[group]
        rate = (np.bincount(group, weight * truth, k) / np.where(total > 0, total, 1))[group]
        return (rate * own + CONFIRMED_PRIOR * towards) / (own + CONFIRMED_PRIOR), own

    by_stratum, _ = pool(stratum, np.full(len(flag_share), overall))
    n_strata = int(stratum.max(initial=0)) + 1
    share, own = pool((measure.domain + 1) * n_strata + stratum, by_stratum)
    count = own + np.clip(n - own, 0.0, CONFIRMED_PRIOR)  # what is lent counts for little
    interval = wilson(share, count, measure.confidence)
    return share, (interval.high - interval.low) / 2


def _waiting_widths(
    measure: _Measure, flag_share: Floats, confirmed: Floats, half_width: Floats
) -> tuple[Floats, Floats]:
    """Return the spread and the fill of `DrawOutcomes` for flags that await an expert."""
    audit = measure.audit
    flagged = audit.weight * flag_share
    waiting = np.where(audit.adjudicated, 0.0, flagged)
    total = np.maximum(measure.by_domain(audit.weight), 1e-12)
    own = waiting**2 * confirmed * (1 - confirmed) * critical_value(measure.confidence) ** 2
    spread = np.sqrt(measure.by_domain(own) + measure.by_domain(waiting * half_width) ** 2) / total
    sent = np.where(np.isnan(audit.expert_probability), 1.0, audit.expert_probability)
    settled = np.where(audit.adjudicated, flagged / sent, 0.0)
    noise = 2 * np.sqrt(measure.by_domain(settled**2 * (1 - sent)))
    flags = measure.by_domain(flagged)
    count = measure.by_domain((flag_share > 0).astype(np.float64))
    # Flags that were not sent by design are like the others; late answers need not be.
    late = np.minimum(measure.by_domain(waiting), flags - measure.by_domain(settled) - noise)
    tolerance = np.maximum(WAITING_TOLERANCE, 1 / np.maximum(count, 1)) * flags
    excess = np.maximum(late - tolerance, 0.0)
    mean = measure.by_domain(waiting * confirmed) / np.maximum(measure.by_domain(waiting), 1e-12)
    return spread, np.array([mean, 1 - mean]) * excess / total


def _mix_treatments(
    settled: DrawOutcomes, without: DrawOutcomes, n_settled: int, n_flags: int
) -> DrawOutcomes:
    """Mix the treatment by experts' answers into the one without, as more flags await them."""
    enough = min(n_flags, max(ENOUGH_SETTLED, ENOUGH_PER_ROOT * n_flags**0.5))
    # Squared, as the first answers leave the interval wide: none should widen it much.
    trust = min(1.0, n_settled / enough) ** 2
    if without.code not in UNCORRECTED:
        late = (1 - n_settled / n_flags - WAITING_TOLERANCE) / (MOST_WAITING - WAITING_TOLERANCE)
        trust *= 1 - min(max(late, 0.0), 1.0)
    note = (
        f"{n_flags - n_settled:,} of {n_flags:,} flags still await an expert and count by the share "
        "that experts confirm"
    )
    if trust <= 0:
        return without
    more = trust < 1
    return replace(
        settled,
        code=settled.code if trust >= 0.5 else without.code,
        note=note if trust >= 0.5 else f"experts have settled {n_settled:,} of {n_flags:,} flags",
        other=without if more else None,
        other_share=1 - trust if more else 0.0,
    )


def _candidate_corrections(
    measure: _Measure, golden: GoldenItems | None, *, enforced: bool | None, all_flags: bool
) -> dict[str, Misclassification]:
    """Return the reviewers' error rates by source, for sources with enough data."""
    audit, domain, size = measure.audit, measure.domain, measure.size
    action_only, confidence = measure.action_only, measure.confidence
    said = audit.flagged if all_flags else measure.votes >= 0.5
    found = {
        "second_look": adjudicated_misclassification(
            audit, measure.inside, said,
            action_only=action_only, size=size, confidence=confidence,
        )
    }  # fmt: skip
    if golden is not None:
        found["golden"] = golden_misclassification(
            golden, site_shares(audit, domain, size),
            action_only=action_only, enforced=enforced, any_flag=all_flags, confidence=confidence,
        )  # fmt: skip
    return {code: rates for code, rates in found.items() if rates is not None}


def _most_precise(known: dict[str, Misclassification], *, misses_only: bool) -> str | None:
    """Return the source with the narrower intervals; None without any."""
    return min(
        known, key=lambda name: _mean_width(known[name], misses_only=misses_only), default=None
    )


def _mean_width(reviewers: Misclassification, *, misses_only: bool) -> float:
    """Return the mean width of the reviewers' intervals, to choose the more precise source."""
    rates = (reviewers.found,) if misses_only else (reviewers.found, reviewers.alarm)
    return sum(float((rate.high - rate.low).mean()) for rate in rates)
