from dataclasses import replace

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
import shap
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logit

from errdetect.errors import ModelError
from errdetect.explanations.contributions import check_additivity, log_odds_contributions
from errdetect.model.calibration import CalibrationCurve, Calibrator


def test_every_row_adds_up_to_what_is_served(bundle, decisions):
    X = bundle.detector.features(decisions)
    found = log_odds_contributions(bundle, X, decisions)
    p = bundle.probability(X, decisions)
    np.testing.assert_allclose(found.base + found.values.sum(axis=1), logit(p), atol=1e-9)
    assert found.names[-2:] == ("market", "policy_id")
    assert {0.0, 0.3} == set(found.values[:, -2].round(9))


def test_a_curve_keeps_signs_and_order(bundle, decisions):
    X = bundle.detector.features(decisions)
    plain = replace(bundle, calibrator=Calibrator("none"))
    before = log_odds_contributions(plain, X, decisions).values
    after = log_odds_contributions(bundle, X, decisions).values[:, :-2]
    ratio = after / np.where(before == 0, 1, before)
    spread = np.nanmax(np.where(before == 0, np.nan, ratio), axis=1) - np.nanmin(
        np.where(before == 0, np.nan, ratio), axis=1
    )
    assert np.nanmin(np.where(before == 0, np.nan, ratio)) >= 0
    assert spread.max() < 1e-9


def test_without_a_curve_they_are_the_members_own(bundle, decisions):
    plain = replace(bundle, calibrator=Calibrator("none"))
    X = bundle.detector.features(decisions)
    found = log_odds_contributions(plain, X, decisions)
    parts = bundle.detector.contributions(X, 1)
    np.testing.assert_allclose(found.values, parts[:, :-1], atol=1e-6)


def test_a_shift_changes_the_base_only(bundle, decisions):
    X = bundle.detector.features(decisions)
    plain = log_odds_contributions(replace(bundle, calibrator=Calibrator("none")), X, decisions)
    moved = log_odds_contributions(
        replace(bundle, calibrator=Calibrator("shift", (-0.7,))), X, decisions
    )
    np.testing.assert_allclose(moved.base, plain.base - 0.7, atol=1e-9)
    np.testing.assert_allclose(moved.values, plain.values, atol=1e-6)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.floats(-4, 4), st.floats(0.001, 0.999)), min_size=2, max_size=8, unique_by=lambda k: k[0])
)  # fmt: skip
def test_any_rising_curve_adds_up(bundle, decisions, knots):
    x = sorted(k for k, _ in knots)
    p = sorted(v for _, v in knots)
    calibrator = Calibrator(
        "isotonic", (*x, *p), {"allowed": CalibrationCurve("venn_abers", (*x, *p))}
    )
    some = decisions.head(20)
    X = bundle.detector.features(some)
    found = log_odds_contributions(replace(bundle, calibrator=calibrator), X, some)
    np.testing.assert_allclose(found.base + found.values.sum(axis=1), found.served, atol=1e-6)


def test_trees_are_explained_as_shap_explains_them(bundle, decisions):
    X = bundle.detector.features(decisions.head(60))
    side = 2 * decisions["enforced"].head(60).to_numpy(float) - 1
    trees = [m for m in bundle.detector.members if isinstance(m.model, lgb.Booster)]
    assert len(trees) == 3
    for member in trees:
        theirs = shap.TreeExplainer(member.model).shap_values(X)
        ours = member.contributions(X, side, 1)[:, :-1]
        sign = -side if member.head == "violates" else np.ones(60)
        np.testing.assert_allclose(ours, sign[:, None] * theirs, atol=1e-9)


def test_what_does_not_add_up_is_refused():
    with pytest.raises(
        ModelError,
        match=r"reasons must add up to its log-odds of error, got 1 of 2 that differ, by up to 1e-05\.",
    ):
        check_additivity(np.array([0.1, 0.2]), np.array([0.1, 0.20001]))
    with pytest.raises(ModelError, match="must add up"):
        check_additivity(np.array([np.nan]), np.array([0.0]))


def test_a_damaged_member_is_noticed(bundle, decisions, monkeypatch):
    from errdetect.model.ensemble_members import Member

    true = Member.contributions
    monkeypatch.setattr(Member, "contributions", lambda *a: true(*a) + 1e-5)
    X = bundle.detector.features(decisions.head(5))
    with pytest.raises(ModelError, match="must add up"):
        log_odds_contributions(bundle, X, decisions.head(5))


def test_no_rows_give_none(bundle, decisions):
    none = decisions.head(0)
    found = log_odds_contributions(bundle, np.empty((0, len(bundle.detector.encoding.names))), none)
    assert isinstance(none, pd.DataFrame)
    assert found.values.shape == (0, len(found.names))
