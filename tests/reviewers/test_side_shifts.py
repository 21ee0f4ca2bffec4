"""Reviewers err more often where they agree with a wrong machine, and golden items show by how much."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from errdetect.config import load_config
from errdetect.reviewers.dawid_skene import fit_rates
from errdetect.reviewers.rater_panel import build_rater_panel, golden_votes
from errdetect.reviewers.side_shifts import fit_side_shifts
from errdetect.simulation.marketplace import simulate, write_marketplace
from errdetect.simulation.worlds import WorldSettings
from errdetect.workflows.load_data import load_snapshot

MISS = {True: 0.05, False: 0.4}  # of violations, where the machine enforced and where it allowed


def golden(n, rng, miss=MISS, repeats=1):
    enforced, truth = rng.random(n) < 0.5, rng.random(n) < 0.5
    rate = np.where(truth, np.where(enforced, miss[True], miss[False]), 0.1)
    items = pd.DataFrame(
        {"position": np.arange(n), "enforced": enforced, "true_violates": truth.astype(float)}
    )
    items["violates"] = truth ^ (rng.random(n) < rate)
    rows = items.loc[items.index.repeat(repeats)].reset_index(drop=True)
    return rows.assign(source="golden", site="Riga", reviewer_id="ann")


def shifts_of(judged):
    panel = build_rater_panel(judged)
    fit = fit_rates(golden_votes(judged, panel))
    return fit_side_shifts(judged, panel, fit), fit


def test_shifts_lead_to_each_sides_own_rates():
    shifts, fit = shifts_of(golden(4000, np.random.default_rng(0)))
    own = logit(1 - fit.se.rater[0])
    assert expit(own + shifts[0, 1]) == pytest.approx(MISS[False], abs=0.04)
    assert expit(own + shifts[1, 1]) == pytest.approx(MISS[True], abs=0.03)
    assert np.abs(shifts[:, 0]).max() < 0.3  # false alarms are as frequent on both sides


def test_few_items_shift_little_and_repeats_count_once():
    rng = np.random.default_rng(1)
    few = golden(40, rng)
    once, _ = shifts_of(few)
    often, _ = shifts_of(few.loc[few.index.repeat(20)].reset_index(drop=True))
    many, _ = shifts_of(golden(4000, rng))
    assert abs(once[0, 1]) < abs(many[0, 1])
    np.testing.assert_allclose(often, once, atol=0.15)


def test_without_golden_items_nothing_shifts():
    judged = golden(200, np.random.default_rng(2))
    panel = build_rater_panel(judged)
    fit = fit_rates(golden_votes(judged, panel))
    judged["source"] = "audit"
    assert (fit_side_shifts(judged, panel, fit) == 0).all()


def test_evidence_of_upheld_approvals_is_near_the_truth(tmp_path):
    """Reviewers miss hard violations, which are the ones that the machine allowed."""
    market = simulate(30_000, 100, seed=701, world=WorldSettings(hard_content=4.0))
    write_marketplace(market, tmp_path)
    config = load_config(tmp_path / "config.yaml", [])
    snapshot = load_snapshot(config, progress=lambda _: None, need_reviews=True).snapshot
    evidence = snapshot.reviewer_model.evidence
    frame = market.decisions.set_index("decision_id").loc[evidence.index]
    wrong = market.truth.set_index("decision_id")["is_error"].loc[evidence.index]
    audited = market.reviews[market.reviews["source"] == "audit"]
    chance = audited.groupby("decision_id")["inclusion_probability"].first()
    weight = (1 / chance.reindex(evidence.index)).fillna(0.0)
    upheld = (evidence < 0) & (evidence > -10)
    allowed = frame["action"] == "approve"

    def share(rows, of):
        return weight[rows & of].sum() / weight[of].sum()

    true = np.log(share(upheld, allowed & wrong) / share(upheld, allowed & ~wrong))
    rows = upheld & allowed
    given = np.log(np.average(np.exp(evidence[rows]), weights=weight[rows]))
    assert abs(given - true) < 0.6  # rates over both sides together are off by more than .9
