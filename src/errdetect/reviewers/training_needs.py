"""Which site misreads which policy, against the other sites on comparable decisions."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, ndtr
from scipy.stats import beta

from errdetect.reviewers.error_rates import RATES
from errdetect.reviewers.expected_flags import UnitModel, Votes, read_votes
from errdetect.stats.group_sums import sum_by_group
from errdetect.stats.intervals import rate_difference
from errdetect.stats.multiple_testing import benjamini_hochberg

__all__ = ["TRAINING_COLUMNS", "find_training_needs"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Columns of the table, in order.
TRAINING_COLUMNS: Final = (
    "site", "policy_id", "measure", "value", "low", "high", "n", "others", "excess", "excess_low",
    "excess_high", "needed", "suppressed", "reviews_needed", "cases",
)  # fmt: skip

#: Log-odds of the rates on the grid: from 0.25 % to 95 %.
_GRID = np.linspace(-6.0, 3.0, 73)
_BINS = 40
#: Items that the usual rate of all sites is worth, before a site's own.
_PRIOR_ITEMS = 4.0
_PRIOR_RATES = (0.1, 0.05)
_ROUNDS, _SETTLED = 60, 5e-4
#: Largest false discovery rate among the needs.
_LEVEL = 0.05
#: P(violates) from which a case shows a mistake well enough to train with.
_SURE = 0.9
_MOST_CASES = 10
#: Standard errors from which an excess is worth the next reviews, and about where one is beyond chance among many.
_LIKELY, _BEYOND = 1.28, 2.6
#: Reviews beyond which no promise is made.
_MOST_REVIEWS = 2_000


def find_training_needs(
    verdicts: pd.DataFrame,
    decisions: pd.DataFrame,
    p_error: Floats | None = None,
    *,
    minimum: int = 10,
) -> pd.DataFrame:
    """Compare each site's mistakes on each policy with those of the other sites there.

    What the content is comes from all but the site's own answers: known answers of golden and
    adjudicated items, the other sites' verdicts on the decision, P(error), and how often decisions
    of its policy, side, market and month are wrong. A site's answers on one item count as one.

    Parameters
    ----------
    verdicts
        From `content_verdicts`.
    decisions
        The decisions that the verdicts' positions index.
    p_error
        P(error) of each decision, not fitted on its own reviews, shape (n_decisions,); None for
        none.
    minimum
        Expected items of the kind, violating or compliant, below which a figure is suppressed.

    Returns
    -------
    pandas.DataFrame
        A row for each site, policy and measure (`missed_violation`, `wrongful_call`): value, low,
        high (95 %), n (items of that kind, expected), others (the other sites' rate on the policy),
        excess with its 95 % interval, needed (whether the excess is beyond chance at a false
        discovery rate of 5 %), suppressed, reviews_needed (about how many more of the site's reviews
        there would settle a likely excess, or give a likely one a figure; missing where none is likely,
        or over 2,000), cases (ids of up to ten decisions that show the mistake, the surest first).
        Needs come first, then the largest expected excess (the less is known of a site, the nearer
        to the others'), with a figure or without. Empty with fewer than two sites.

    Notes
    -----
    Posterior of two rates on a grid, with the answers' likelihood of Dawid and Skene (1979),
    Applied Statistics 28, 20-28, where the class of each item is known with a probability.

    Examples
    --------
    >>> nobody = pd.DataFrame({"site": ["Riga"], "position": [0]})
    >>> find_training_needs(nobody, pd.DataFrame({"decision_id": ["d"]})).empty
    True
    """
    named = verdicts[verdicts["site"].notna() & (verdicts["position"] >= 0)]
    sites = sorted(named["site"].unique())
    if len(sites) < 2:
        return pd.DataFrame({name: [] for name in TRAINING_COLUMNS})
    answers = _read_answers(named.reset_index(drop=True), decisions, p_error, sites)
    ids = decisions["decision_id"].to_numpy(dtype=object)
    rows = []
    for policy, name in enumerate(answers.policies):
        on = answers.policy == policy
        for site in np.unique(answers.site[on]):
            own = on & (answers.site == site)
            pair = (
                _fit_rates(answers, own),
                _fit_rates(answers, on & (answers.site != site)),
            )
            for number, measure in enumerate(RATES):
                items = float(answers.weight[own].sum())
                row = _compare(pair[0][number], pair[1][number], items, minimum)
                cases = [] if row["suppressed"] else ids[_cases(answers, own, number)].tolist()
                rows.append(
                    {
                        "site": sites[site],
                        "policy_id": name,
                        "measure": measure,
                        **row,
                        "cases": cases,
                    }
                )
    return _ordered(pd.DataFrame(rows))


@dataclass(frozen=True)
class _Answers:
    """Each site's answers on content; arrays of shape (n,)."""

    site: Ints
    policy: Ints
    policies: list[str]
    position: Ints
    says: npt.NDArray[np.bool_]
    violates: Floats
    known: npt.NDArray[np.bool_]
    weight: Floats


def _read_answers(
    verdicts: pd.DataFrame, decisions: pd.DataFrame, p_error: Floats | None, sites: list[str]
) -> _Answers:
    enforced = verdicts["enforced"].to_numpy(bool)
    says = verdicts["violates"].to_numpy(bool)
    true = verdicts["true_violates"].to_numpy(np.float64)
    # A wrong label leaves the action right: here only the action is at stake.
    action = verdicts.assign(
        flags=says != enforced, true_error=np.where(np.isnan(true), np.nan, true != enforced)
    )
    votes = read_votes(action, decisions, p_error)
    site = np.searchsorted(np.array(sites, dtype=object), verdicts["site"].to_numpy(object))
    policy, policies = pd.factorize(verdicts["policy_id"], sort=True)
    pair = np.stack([votes.unit, site])
    _, item, count = np.unique(pair, axis=1, return_inverse=True, return_counts=True)
    raters = _Raters(votes, site, policy, says, enforced, item, 1 / count[item])
    return _Answers(
        site=site.astype(np.int64),
        policy=policy.astype(np.int64),
        policies=[str(name) for name in policies],
        position=verdicts["position"].to_numpy(np.int64),
        says=says,
        violates=_violates_by_the_others(raters),
        known=~np.isnan(true),
        weight=raters.weight,
    )


@dataclass(frozen=True)
class _Raters:
    """Votes, each by a site on a policy; arrays of shape (n_votes,)."""

    votes: Votes
    site: Ints
    policy: Ints
    says: npt.NDArray[np.bool_]
    enforced: npt.NDArray[np.bool_]
    item: Ints  # the pair of unit and site
    weight: Floats


def _violates_by_the_others(raters: _Raters) -> Floats:
    """Return P(violates) of each vote's item from all but the votes of its own site.

    Dawid and Skene's EM where each site has rates of its own on each policy, which lean on all
    sites' there, and errors have a logistic prior by side, policy, month and P(error).
    """
    votes, size = raters.votes, int(raters.votes.unit.max()) + 1
    truth = np.full(size, np.nan)
    given = ~np.isnan(votes.truth)
    truth[votes.unit[given]] = votes.truth[given]
    first = np.zeros(size, dtype=np.int64)
    first[votes.unit[::-1]] = np.arange(len(votes))[::-1]
    # Golden items are chosen: they say what reviewers do, not how often machines err.
    trust = np.where(votes.golden[first], 0.0, 1.0)
    model = UnitModel.start(votes, first, trust, np.where(votes.golden, 0.0, 1.0))
    rates = tuple(np.full(len(votes), rate) for rate in _PRIOR_RATES)
    before = np.full(size, np.inf)
    for _ in range(_ROUNDS):
        part = _vote_evidence(raters, *rates)
        odds = model.logit() + sum_by_group(votes.unit, part, size)
        error = np.where(np.isnan(truth), expit(odds), truth)
        if np.abs(error - before).max() < _SETTLED:
            break
        before = error
        model.step(error)
        rates = _cell_rates(raters, error[votes.unit])
    own = sum_by_group(raters.item, part, int(raters.item.max()) + 1)[raters.item]
    known = truth[votes.unit]
    wrong = np.where(np.isnan(known), expit(odds[votes.unit] - own), known)
    return np.where(raters.enforced, 1 - wrong, wrong)


def _vote_evidence(raters: _Raters, missed: Floats, wrongful: Floats) -> Floats:
    """Return each vote's part of the log-odds of an error."""
    yes = np.log((1 - missed) / wrongful)
    no = np.log(missed / (1 - wrongful))
    violating = np.where(raters.says, yes, no)
    return np.asarray(np.where(raters.enforced, -violating, violating) * raters.weight, np.float64)


def _cell_rates(raters: _Raters, error: Floats) -> tuple[Floats, Floats]:
    """Return the rates of each vote's site on its policy, leaning on all sites' there."""
    violates = np.where(raters.enforced, 1 - error, error)
    found = []
    for share, mistaken, prior in (
        (violates, ~raters.says, _PRIOR_RATES[0]),
        (1 - violates, raters.says, _PRIOR_RATES[1]),
    ):
        weight = share * raters.weight
        policy = _leaning(raters.policy, weight, mistaken, np.full(len(error), prior))
        group = raters.policy * (int(raters.site.max()) + 1) + raters.site
        found.append(np.clip(_leaning(group, weight, mistaken, policy), 0.002, 0.9))
    return found[0], found[1]


def _leaning(group: Ints, weight: Floats, mistaken: npt.NDArray[np.bool_], prior: Floats) -> Floats:
    """Return each group's share of mistakes, leaning on a prior rate, for every vote."""
    size = int(group.max()) + 1
    total = sum_by_group(group, weight, size)[group]
    mistakes = sum_by_group(group, weight * mistaken, size)[group]
    return np.asarray((mistakes + _PRIOR_ITEMS * prior) / (total + _PRIOR_ITEMS), np.float64)


@dataclass(frozen=True)
class _Rate:
    """A rate's posterior: median with 95 % limits, mean and deviation of its log-odds, items."""

    estimate: float
    low: float
    high: float
    centre: float
    spread: float
    n: float


def _fit_rates(answers: _Answers, rows: npt.NDArray[np.bool_]) -> tuple[_Rate, _Rate]:
    """Return the posterior of missed violations and of wrongful calls among some answers."""
    p, says, weight = answers.violates[rows], answers.says[rows], answers.weight[rows]
    code = np.minimum((p * _BINS).astype(np.int64), _BINS - 1)
    code = np.where(p <= 0, _BINS, np.where(p >= 1, _BINS + 1, code))
    total = np.bincount(code, weight, _BINS + 2)
    mean = np.bincount(code, weight * p, _BINS + 2) / np.where(total > 0, total, 1.0)
    yes = np.bincount(code, weight * says, _BINS + 2)
    missed, wrongful = expit(_GRID)[:, None, None], expit(_GRID)[None, :, None]
    flag = np.clip(mean * (1 - missed) + (1 - mean) * wrongful, 1e-9, 1 - 1e-9)
    log = (yes * np.log(flag) + (total - yes) * np.log1p(-flag)).sum(axis=2)
    log += _prior(_PRIOR_RATES[0])[:, None] + _prior(_PRIOR_RATES[1])[None, :]
    mass = np.exp(log - log.max())
    size = float((weight * p).sum()), float((weight * (1 - p)).sum())
    return _marginal(mass.sum(axis=1), size[0]), _marginal(mass.sum(axis=0), size[1])


def _prior(rate: float) -> Floats:
    """Return the prior's log-density on the grid of log-odds."""
    x = expit(_GRID)
    density = beta.logpdf(x, _PRIOR_ITEMS * rate, _PRIOR_ITEMS * (1 - rate))
    return np.asarray(density + np.log(x * (1 - x)), np.float64)


def _marginal(mass: Floats, n: float) -> _Rate:
    share = np.cumsum(mass) / mass.sum()
    ends = np.interp([0.5, 0.025, 0.975], np.concatenate([[0.0], share]), _edges())
    low, high = sorted(expit(ends[1:]))
    centre = float((_GRID * mass).sum() / mass.sum())
    spread = float(np.sqrt(((_GRID - centre) ** 2 * mass).sum() / mass.sum()))
    return _Rate(float(expit(ends[0])), float(low), float(high), centre, spread, n)


def _edges() -> Floats:
    step = _GRID[1] - _GRID[0]
    return np.append(_GRID - step / 2, _GRID[-1] + step / 2)


def _compare(own: _Rate, others: _Rate, items: float, minimum: int) -> dict[str, object]:
    few = min(own.n, others.n) < minimum
    excess = rate_difference(own, others)
    z = (own.centre - others.centre) / float(np.hypot(own.spread, others.spread))
    told = {
        **dict(zip(("value", "low", "high"), (own.estimate, own.low, own.high), strict=True)),
        "others": others.estimate,
        **dict(zip(("excess", "excess_low", "excess_high"), excess, strict=True)),
    }
    return {
        **{name: np.nan if few else figure for name, figure in told.items()},
        "n": own.n,
        "z": z,
        "expected": own.n / (own.n + _PRIOR_ITEMS) * (own.estimate - others.estimate),
        "suppressed": few,
        "reviews_needed": _reviews_needed(z, items, minimum / max(own.n, 0.1) if few else None),
    }


def _reviews_needed(z: float, items: float, short: float | None) -> int | None:
    """Return about how many more reviews would settle a likely excess.

    `short`: how many times its items a figure needs, where it has none; then those are counted.
    """
    if z < _LIKELY:
        return None
    times = (_BEYOND / z) ** 2 if short is None else short
    more = math.ceil(items * (times - 1))
    return more if 0 < more <= _MOST_REVIEWS else None


def _cases(answers: _Answers, own: npt.NDArray[np.bool_], number: int) -> Ints:
    """Return the positions of decisions that show a mistake, known answers first."""
    sure = answers.violates if number == 0 else 1 - answers.violates
    wrong = own & (answers.says == (number == 1)) & (sure >= _SURE)
    rows = np.flatnonzero(wrong)
    order = np.lexsort((answers.position[rows], -sure[rows], ~answers.known[rows]))
    return pd.unique(answers.position[rows][order])[:_MOST_CASES]


def _ordered(table: pd.DataFrame) -> pd.DataFrame:
    """Mark the needs beyond chance, and put them first; then the largest expected excess, with a figure or not."""
    q = np.ones(len(table))
    tested = ~table["suppressed"].to_numpy(bool)
    q[tested] = benjamini_hochberg(ndtr(-table.loc[tested, "z"].to_numpy(np.float64)))
    needed = (q <= _LEVEL) & (table["excess_low"] > 0).to_numpy()
    more = table["reviews_needed"].astype("float64").where(~needed).astype("Int64")
    table = table.assign(needed=needed, reviews_needed=more)
    order = ["needed", "expected", "site", "policy_id", "measure"]
    ranked = table.sort_values(
        order, ascending=[False, False, True, True, True], kind="stable", ignore_index=True
    )
    return ranked[list(TRAINING_COLUMNS)]
