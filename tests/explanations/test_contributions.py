"""None"""

import io
from dataclasses import replace

import lightgbm as lgb
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import shap
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import pyplot as plt
from PIL import Image
from scipy.special import logit

from errdetect.errors import ModelError
from errdetect.explanations.contributions import (
    MOST_BYTES,
    beeswarm_plot,
    check_additivity,
    dependence_plot,
    log_odds_contributions,
)
from errdetect.model.calibration import CalibrationCurve, Calibrator

TITLES = {"text": "What the text says", "action": "What the machine did", "价格": "价格 <b>$x$"}


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


def make(n: int = 400) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(0)
    acted = (rng.random(n) < 0.4).astype(float)
    text = rng.random(n)
    pushes = pd.DataFrame(
        {"text": (text - 0.5) * (1 - 2 * acted), "action": acted / 9, "价格": rng.normal(0, 0.1, n)}
    )
    return pushes, pd.DataFrame({"text": text, "action": acted, "价格": np.nan})


def size(png: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(png)).size


def test_a_beeswarm_is_small_and_said_in_words(recwarn):
    pushes, values = make(3000)
    plot = beeswarm_plot(pushes, values, TITLES, about="spam", rng=np.random.default_rng(0))
    assert len(plot.png) <= MOST_BYTES
    assert size(plot.png)[0] > 500
    assert plot.title == "What goes with errors: spam"
    assert "What the text says" in plot.alt
    assert not [w for w in recwarn if issubclass(w.category, RuntimeWarning | UserWarning)]


def test_dependence_tells_the_sides_apart():
    pushes, values = make()
    plot = dependence_plot(
        "text", pushes, values, TITLES, about="spam", rng=np.random.default_rng(0)
    )
    assert len(plot.png) <= MOST_BYTES
    assert "-0.3" in plot.alt.split("where the machine let it pass")[0].split("the highest")[0]
    assert "where it acted" in plot.alt


def test_dependence_needs_numbers():
    pushes, values = make()
    with pytest.raises(ValueError, match="no decision has a number"):
        dependence_plot("价格", pushes, values, TITLES, about="spam", rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="at least one decision"):
        beeswarm_plot(
            pushes.head(0), values.head(0), TITLES, about="spam", rng=np.random.default_rng(0)
        )


def test_equal_input_gives_equal_bytes_and_nothing_else_moves():
    pushes, values = make()
    np.random.seed(7)  # noqa: NPY002 (what shap shuffles by)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    look = dict(mpl.rcParams)
    mine = plt.figure()
    plots = [
        beeswarm_plot(pushes, values, TITLES, about="a", rng=np.random.default_rng(1))
        for _ in range(2)
    ]
    assert plots[0] == plots[1]
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert dict(mpl.rcParams) == look
    assert plt.get_fignums() == [mine.number]
    plt.close(mine)


def test_one_decision_is_drawn():
    pushes, values = make(1)
    assert beeswarm_plot(pushes, values, TITLES, about="a", rng=np.random.default_rng(0)).png
    assert dependence_plot(
        "text", pushes, values, TITLES, about="a", rng=np.random.default_rng(0)
    ).png
