"""The published figures are those of crowd-kit 1.4.2 (`DawidSkene`, run to convergence)."""

import numpy as np
import pytest

from errdetect.reviewers.dawid_skene import (
    RaterVotes,
    class_posterior,
    fit_prevalence,
    fit_rates,
    rate_variance,
)
from errdetect.reviewers.identifiability import select_votes
from errdetect.reviewers.rater_panel import build_rater_panel
from errdetect.snapshot import Snapshot

# Table 1 of Dawid and Skene (1979): 45 patients, each read three times by the first anaesthetist
# and once by four others; here every column is a rater and grades above 1 are class 1.
ANAESTHETISTS = [
    "1111111",
    "3334334",
    "1122122",
    "2223121",
    "2223222",
    "2223322",
    "1222111",
    "3333433",
    "2222223",
    "2322223",
    "4444444",
    "2223343",
    "1111111",
    "2223212",
    "1211111",
    "1112111",
    "1111111",
    "1111111",
    "2222221",
    "2221322",
    "2222222",
    "2222221",
    "2223222",
    "2212222",
    "1111111",
    "1111111",
    "2322222",
    "1111111",
    "1111111",
    "1121121",
    "1111111",
    "3333233",
    "1111111",
    "2222222",
    "2223232",
    "4334343",
    "2212232",
    "2323233",
    "3333432",
    "1111111",
    "1111111",
    "1212111",
    "2322222",
    "1211111",
    "2222222",
]


def votes_of(unit, rater, says, *, known=None, n_raters=None, group=None):
    n_units = int(unit.max()) + 1
    n_raters = int(rater.max()) + 1 if n_raters is None else n_raters
    return RaterVotes(
        unit=unit,
        rater=rater,
        says=np.asarray(says, dtype=float),
        known=np.full(n_units, np.nan) if known is None else known,
        group=np.zeros(n_units, dtype=int) if group is None else group,
        site=np.zeros(n_raters, dtype=int),
        kind=np.zeros(1, dtype=int),
    )


def test_the_paper_of_1979_as_published_software_reads_it():
    says = np.array([[grade > "1" for grade in patient] for patient in ANAESTHETISTS])
    assert says.shape == (45, 7)
    votes = votes_of(np.repeat(np.arange(45), 7), np.tile(np.arange(7), 45), says.ravel())
    fit = fit_rates(votes, shrink=False, tol=1e-12)
    assert fit.converged
    assert fit.prevalence[0] == pytest.approx(0.600088, abs=2e-6)
    sensitivities = [0.962822, 0.962963, 0.925935, 0.962963, 0.925790, 0.962827, 0.888759]
    false_positives = [0.0, 0.222059, 0.110918, 0.166491, 0.0, 0.055560, 0.0]
    np.testing.assert_allclose(fit.se.rater, sensitivities, atol=2e-6)
    np.testing.assert_allclose(fit.fp.rater, false_positives, atol=2e-6)
    np.testing.assert_allclose(fit.p[[6, 29, 41]], [0.003781, 0.000141, 0.000038], atol=2e-6)


def test_sparse_votes_of_unequal_raters_as_published_software_reads_them():
    rng = np.random.default_rng(1979)
    unit = np.repeat(np.arange(300), 4)
    rater = (np.arange(1200) * 7 + unit * 5) % 12
    truth = rng.random(300) < 0.3
    skill = rng.uniform(0.05, 0.3, 12)
    says = truth[unit] ^ (rng.random(1200) < skill[rater])
    fit = fit_rates(votes_of(unit, rater, says), shrink=False, max_iter=20_000, tol=1e-12)
    assert fit.prevalence[0] == pytest.approx(0.279196, abs=5e-6)
    sensitivities = [0.965176, 0.574532, 0.846814, 0.834233, 0.770517, 1.0]
    sensitivities += [0.875134, 1.0, 0.941675, 0.654264, 0.790930, 0.675159]
    false_positives = [0.102097, 0.309495, 0.321502, 0.170310, 0.168070, 0.123394]
    false_positives += [0.147635, 0.127774, 0.102248, 0.246145, 0.270307, 0.277612]
    np.testing.assert_allclose(fit.se.rater, sensitivities, atol=5e-6)
    np.testing.assert_allclose(fit.fp.rater, false_positives, atol=5e-6)
    some = [0.995041, 0.003218, 0.162352, 0.945499, 0.0, 0.050917]
    np.testing.assert_allclose(fit.p[:6], some, atol=1e-5)


def test_known_units_alone_give_their_plain_shares():
    unit, rater = np.arange(40), np.arange(40) % 2
    known = (unit < 20).astype(float)
    says = np.where(unit % 10 == 0, 1 - known, known)  # one in ten wrong, all by rater 0
    fit = fit_rates(votes_of(unit, rater, says, known=known), shrink=False)
    np.testing.assert_allclose(fit.se.rater, [0.8, 1.0])
    np.testing.assert_allclose(fit.fp.rater, [0.2, 0.0])
    np.testing.assert_array_equal(fit.p, known)


def test_a_rater_without_votes_has_the_rates_of_the_site():
    unit = np.arange(100)
    votes = votes_of(unit, np.zeros(100, dtype=int), np.ones(100), known=np.ones(100), n_raters=2)
    fit = fit_rates(votes)
    assert fit.se.rater[1] == pytest.approx(fit.se.site[0])


def test_raters_shrink_towards_their_site_the_more_the_less_they_judged():
    rng = np.random.default_rng(4)
    n_each = np.r_[np.full(20, 60), 4, 400]
    rater = np.repeat(np.arange(22), n_each)
    right = rng.random(len(rater)) < np.where(rater >= 20, 0.5, 0.9)
    known = np.ones(len(rater))
    votes = votes_of(np.arange(len(rater)), rater, right, known=known)
    plain, shrunk = fit_rates(votes, shrink=False).se, fit_rates(votes).se
    pulled = (shrunk.rater - plain.rater) / (shrunk.site[0] - plain.rater)
    assert pulled[20] > 2 * pulled[21]
    assert 0 < pulled[21] < 0.2


def test_prevalence_alone_finds_each_groups_share():
    rng = np.random.default_rng(5)
    group = np.repeat([0, 1], 20_000)
    truth = rng.random(40_000) < np.where(group == 0, 0.05, 0.6)
    says = rng.random(40_000) < np.where(truth, 0.9, 0.08)
    votes = votes_of(np.arange(40_000), np.zeros(40_000, dtype=int), says, group=group)
    found = fit_prevalence(votes, np.array([0.9]), np.array([0.08]))
    np.testing.assert_allclose(found, [0.05, 0.6], atol=0.01)


def test_a_unit_is_never_decided_by_one_surprise_alone():
    votes = votes_of(np.array([0, 0, 0]), np.arange(3), [1, 0, 0])
    certain = np.array([1.0, 0.9, 0.9]), np.array([0.0, 0.1, 0.1])
    assert 0 < class_posterior(votes, *certain, np.array([0.5]))[0] < 1


def test_the_spread_of_site_rates_is_that_of_new_samples(operation):
    found, said = [], []
    for seed in range(40):
        world = operation(seed, n_sites=3, spread=0.0, single_per_site=0)
        judged = Snapshot(world.decisions, world.reviews).verdicts
        panel = build_rater_panel(judged)
        evidence = select_votes(judged, panel)
        assert evidence.votes is not None
        fit = fit_rates(evidence.votes)
        variance = rate_variance(evidence.votes, fit)
        found.append(1 - fit.se.site - world.sites["missed_violation"].to_numpy())
        said.append(variance[0])
    z = np.concatenate(found) / np.sqrt(np.concatenate(said))
    assert 0.8 < z.std() < 1.2
    assert np.mean(np.abs(z) < 1.96) >= 0.9


def test_what_the_votes_leave_open_has_infinite_variance():
    unit, rater = np.arange(50), np.zeros(50, dtype=int)
    votes = votes_of(unit, rater, unit % 5 == 0)  # one vote a unit and no known truth
    assert np.isinf(np.concatenate(rate_variance(votes, fit_rates(votes)))).all()
