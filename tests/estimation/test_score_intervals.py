"""The acceptance regions: properties that must hold, and kept libraries on the cases they cover."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from statsmodels.stats.proportion import proportion_confint

from errdetect.estimation.domains import Domains, bin_p_error, bin_variance_factors, gather_domains
from errdetect.estimation.misclassification_intervals import Misclassification
from errdetect.estimation.score_intervals import (
    korn_graubard,
    prior_from_others,
    rate_intervals,
)
from errdetect.stats.intervals import Interval

N = 4000


def make(seed, n=200, rate=0.1, unequal=True, model=True, size=1):
    """A population with a useful P(error), and one audit of it."""
    rng = np.random.default_rng(seed)
    p = expit(logit(rate) + 1.5 * rng.standard_normal(N))
    wrong = rng.random(N) < p
    lean = np.sqrt(p * (1 - p)) if unequal else np.ones(N)
    chance = np.minimum(1, n * (0.25 / N + 0.75 * lean / lean.sum()))
    draw = np.flatnonzero(rng.random(N) < chance)
    cell = rng.integers(size, size=N)
    return {
        "p": p if model else None,
        "cell": cell,
        "size": size,
        "draw": draw,
        "weight": 1 / chance[draw],
        "error": wrong[draw].astype(float),
    }


def cells(p, cell, size, draw, weight, error) -> Domains:
    bins = bin_p_error(p, len(cell))
    spread = bin_variance_factors(bins, draw, weight)
    return gather_domains(bins, spread, cell, size, draw=draw, weight=weight, error=error)


def arrays(limits):
    return np.stack([limits.low, limits.estimate, limits.high])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(8, 300), whole=st.booleans(), model=st.booleans())
def test_interval_holds_its_estimate_and_stays_a_share(seed, n, whole, model):
    low, mid, high = arrays(rate_intervals(cells(**make(seed, n, model=model)), whole=whole))
    assert (low >= 0).all()
    assert (low <= mid + 1e-9).all()
    assert (mid <= high + 1e-9).all()
    assert (high <= 1).all()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_higher_confidence_is_wider(seed):
    some = cells(**make(seed, size=3))
    narrow = [arrays(rate_intervals(some, confidence=c)) for c in (0.8, 0.95, 0.99)]
    assert (narrow[0][0] >= narrow[1][0]).all()
    assert (narrow[1][0] >= narrow[2][0]).all()
    assert (narrow[0][2] <= narrow[1][2]).all()
    assert (narrow[1][2] <= narrow[2][2]).all()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), whole=st.booleans())
def test_counting_right_decisions_mirrors_the_interval(seed, whole):
    """1 - rate of the wrong is the rate of the right, with its interval."""
    wrong = make(seed)
    right = {**wrong, "p": 1 - wrong["p"], "error": 1 - wrong["error"]}
    one, other = (
        rate_intervals(cells(**wrong), whole=whole),
        rate_intervals(cells(**right), whole=whole),
    )
    # The bins of logit p have their edges at multiples of .1 from either side.
    assert one.low == pytest.approx(1 - other.high, abs=2e-3)
    assert one.high == pytest.approx(1 - other.low, abs=2e-3)


def test_cells_together_and_alone_are_the_same():
    """Nothing of one cell leaks into another, but for the shape of the sampling chance."""
    many = make(3, n=900, size=4, model=False, unequal=False)
    together = arrays(rate_intervals(cells(**many)))
    for number in range(4):
        mine = np.where(many["cell"] == number, 0, -1)
        alone = arrays(rate_intervals(cells(**{**many, "cell": mine, "size": 1})))
        assert together[:, number] == pytest.approx(alone[:, 0], abs=1e-9)


def test_order_of_decisions_and_draws_does_not_matter():
    one = make(5, size=3)
    order = np.random.default_rng(0).permutation(N)
    back = np.argsort(order)
    shuffle = np.random.default_rng(1).permutation(len(one["draw"]))
    two = {
        "p": one["p"][order],
        "cell": one["cell"][order],
        "size": 3,
        "draw": back[one["draw"]][shuffle],
        "weight": one["weight"][shuffle],
        "error": one["error"][shuffle],
    }
    assert arrays(rate_intervals(cells(**one))) == pytest.approx(
        arrays(rate_intervals(cells(**two))), abs=1e-9
    )


def test_a_census_is_exact():
    wrong = np.zeros(N)
    wrong[:37] = 1
    p = np.random.default_rng(0).random(N)
    for model in (None, p):
        full = cells(model, np.zeros(N, int), 1, np.arange(N), np.ones(N), wrong)
        for whole in (True, False):
            limits = rate_intervals(full, whole=whole)
            assert arrays(limits)[:, 0] == pytest.approx([37 / N] * 3, abs=1e-9)


def test_no_errors_seen_leaves_a_limit_above_zero():
    """Close to 3.84 / n for a uniform audit, and above the classical one-sided limit."""
    none = cells(None, np.zeros(N, int), 1, np.arange(100), np.full(100, 40.0), np.zeros(100))
    for whole in (True, False):
        limits = rate_intervals(none, whole=whole)
        assert limits.estimate[0] == 0
        assert limits.low[0] == 0
        assert 3.0 / 100 < limits.high[0] < 4.5 / 100


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("errors", [0, 1])
def test_a_handful_of_draws_is_wide_and_safe(k, errors):
    error = np.zeros(k)
    error[:errors] = 1
    few = cells(None, np.zeros(N, int), 1, np.arange(k), np.full(k, N / k), error)
    for whole in (True, False):
        low, mid, high = arrays(rate_intervals(few, whole=whole))[:, 0]
        assert np.isfinite([low, mid, high]).all()
        assert high - low > 0.5


@settings(max_examples=20, deadline=None)
@given(x=st.integers(0, 60), n=st.integers(60, 400))
def test_without_model_or_weights_it_lies_by_the_classical_intervals(x, n):
    error = np.zeros(n)
    error[:x] = 1
    plain = cells(None, np.zeros(10**6, int), 1, np.arange(n), np.full(n, 10**6 / n), error)
    limits = rate_intervals(plain, whole=True)
    wilson = proportion_confint(x, n, method="wilson")
    exact = proportion_confint(x, n, method="beta")
    assert limits.estimate[0] == pytest.approx(x / n, abs=1e-6)
    assert limits.high[0] >= wilson[1] - 1e-4
    assert limits.low[0] <= wilson[0] + 1e-4
    # The empirical variance may open the lower limit of few errors to 0, not further.
    assert limits.high[0] - limits.low[0] <= (exact[1] - exact[0]) * 1.25 + 1e-3


@settings(max_examples=20, deadline=None)
@given(x=st.integers(0, 60), n=st.integers(100, 400))
def test_korn_graubard_of_a_plain_sample_holds_clopper_pearson(x, n):
    error = np.zeros(n)
    error[:x] = 1
    plain = cells(None, np.zeros(10**6, int), 1, np.arange(n), np.full(n, 10**6 / n), error)
    limits = korn_graubard(plain)
    low, high = proportion_confint(x, n, method="beta")
    assert limits.low[0] <= low + 1e-4
    assert limits.high[0] >= high - 1e-4
    if x > 20:  # few errors leave few degrees of freedom, which widen it
        assert limits.high[0] - limits.low[0] < 1.15 * (high - low)


def test_the_model_narrows_a_good_design():
    with_model = rate_intervals(cells(**make(1, n=800)), whole=True)
    audit = make(1, n=800, unequal=False)
    plain = rate_intervals(cells(**{**audit, "p": None}), whole=True)
    assert with_model.high - with_model.low < 0.9 * (plain.high - plain.low)


def test_judges_between_yes_and_no_are_allowed():
    audit = make(2, n=400)
    audit["error"] = np.clip(audit["error"] * 0.8 + 0.1, 0, 1)
    low, mid, high = arrays(rate_intervals(cells(**audit), whole=True))[:, 0]
    assert 0 < low < mid < high < 1


def flat(value, low, high):
    return Interval(np.array([value]), np.array([low]), np.array([high]))


def test_reviewers_who_do_not_err_change_nothing():
    audit = cells(**make(4))
    perfect = Misclassification(flat(1.0, 1.0, 1.0), flat(0.0, 0.0, 0.0))
    assert arrays(rate_intervals(audit, reviewers=perfect)) == pytest.approx(
        arrays(rate_intervals(audit)), abs=1e-9
    )


def test_reviewers_error_is_taken_out_and_its_doubt_put_in():
    rng = np.random.default_rng(8)
    audit = make(8, n=1500, rate=0.1)
    truth = audit["error"].astype(bool)
    said = np.where(truth, rng.random(len(truth)) < 0.85, rng.random(len(truth)) < 0.05)
    audit["error"] = said.astype(float)
    judged = rate_intervals(cells(**audit))
    reviewers = Misclassification(flat(0.85, 0.8, 0.9), flat(0.05, 0.03, 0.07))
    corrected = rate_intervals(cells(**audit), reviewers=reviewers)
    assert corrected.estimate == pytest.approx((judged.estimate - 0.05) / 0.8, rel=0.02)
    assert corrected.high - corrected.low > judged.high - judged.low
    surer = Misclassification(flat(0.85, 0.84, 0.86), flat(0.05, 0.045, 0.055))
    narrow = rate_intervals(cells(**audit), reviewers=surer)
    assert narrow.high - narrow.low < corrected.high - corrected.low


def test_intervals_narrowed_by_other_domains_keep_their_coverage():
    rng = np.random.default_rng(7)
    hits = plain = ours = domains = 0.0
    for _ in range(40):
        cell = rng.integers(0, 8, 8000)
        rate = rng.beta(4, 40, 8)
        wrong = rng.random(8000) < rate[cell]
        draw = np.flatnonzero(rng.random(8000) < 0.05)
        weight = np.full(len(draw), 20.0)
        bins = bin_p_error(None, 8000)
        cells = gather_domains(
            bins, bin_variance_factors(bins, draw, weight), cell, 8,
            draw=draw, weight=weight, error=wrong[draw].astype(float),
        )  # fmt: skip
        alone = rate_intervals(cells)
        limits = rate_intervals(cells, prior=prior_from_others(alone))
        truth = np.bincount(cell, wrong) / np.bincount(cell)
        hits += ((limits.low <= truth) & (truth <= limits.high)).sum()
        plain += (alone.high - alone.low).sum()
        ours += (limits.high - limits.low).sum()
        domains += 8
    assert hits / domains > 0.93
    assert ours / plain < 0.92


def test_fewer_than_four_domains_suggest_nothing():
    rate = np.array([0.1, 0.2, 0.3])
    assert prior_from_others(Interval(rate, rate - 0.05, rate + 0.05)) is None
