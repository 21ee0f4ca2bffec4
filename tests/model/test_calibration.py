"""None"""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression

from errdetect.model.calibration import (
    METHODS,
    CalibrationCurve,
    ColumnOffsets,
    calibrator_from_jsonable,
    choose_calibrator,
    fit_curve,
    fit_offsets,
    venn_abers,
)
from errdetect.stats.ranking_metrics import calibration_error


def draw(turn, n=6000, seed=0):
    rng = np.random.default_rng(seed)
    raw = rng.normal(-1.5, 1.5, n)
    p = turn(raw)
    return raw, (rng.random(n) < p).astype(float), p


def test_true_probabilities_are_left_alone():
    at = np.linspace(-4, 3, 50)
    found = [choose_calibrator(*draw(expit, seed=s)[:2], np.ones(6000)) for s in range(8)]
    assert [c.method for c in found].count("platt") >= 6
    assert max(np.abs(c.probability(at) - expit(at)).max() for c in found) < 0.06


@pytest.mark.parametrize(
    "turn",
    [
        lambda r: expit(2.2 * r + 1),
        lambda r: expit(0.4 * r - 1),
        lambda r: np.where(r > 0, 0.6, 0.05),
    ],
)
def test_false_ones_are_put_right_on_new_data(turn):
    raw, y, _ = draw(turn)
    found = choose_calibrator(raw, y, np.ones(len(y)))
    assert found.method != "none"
    later, truth, _ = draw(turn, seed=1)
    assert calibration_error(truth, found.probability(later)) < 0.02
    assert calibration_error(truth, expit(later)) > 0.03


def test_false_alarms_of_reviewers_set_no_floor():
    """One review each; the reviewers find errors in .08 of correct decisions and miss .15 of errors."""
    missed, false_call = 0.15, 0.08
    raw, _, p = draw(lambda r: expit(1.5 * r - 1.5), n=8000)
    rng = np.random.default_rng(1)
    wrong = rng.random(len(p)) < p
    flags = rng.random(len(p)) < np.where(wrong, 1 - missed, false_call)
    on_flag, on_none = np.log((1 - missed) / false_call), np.log(missed / (1 - false_call))
    evidence = np.where(flags, on_flag, on_none)
    rate = flags.mean()  # of flags, as the prior of a label
    label = expit(evidence + logit((rate - false_call) / (1 - missed - false_call)))
    low = raw < np.quantile(raw, 0.5)
    by_evidence = choose_calibrator(raw, label, np.ones(len(p)), evidence=evidence)
    by_verdict = choose_calibrator(raw, flags.astype(float), np.ones(len(p)))
    assert by_verdict.probability(raw)[low].mean() > p[low].mean() + 0.05
    assert abs(by_evidence.probability(raw)[low].mean() - p[low].mean()) < 0.01
    assert np.abs(by_evidence.probability(raw) - p).mean() < 0.015


def test_a_moderator_may_drift_in_opposite_directions_on_its_two_sides():
    rng = np.random.default_rng(3)
    n = 6000
    raw, enforced = rng.normal(-1.5, 1, n), rng.random(n) < 0.5
    moderator = pd.Series(np.where(rng.random(n) < 0.5, "a", "b"), name="moderator")
    shift = np.where(moderator == "a", np.where(enforced, 1.0, -1.0), 0.0)
    p = expit(raw + shift)
    y = (rng.random(n) < p).astype(float)
    segments = pd.DataFrame({"moderator": moderator})
    found = choose_calibrator(raw, y, np.ones(n), enforced=enforced, segments=segments)
    assert "moderator and side" in str(found)
    assert np.abs(found.probability(raw, enforced, segments) - p).mean() < 0.02
    again = calibrator_from_jsonable(json.loads(json.dumps(found.to_jsonable())))
    assert (
        again.probability(raw, enforced, segments) == found.probability(raw, enforced, segments)
    ).all()


def test_weights_put_the_base_rate_right():
    """Errors were reviewed five times as often; the design's weights say so."""
    rng = np.random.default_rng(2)
    raw, y, p = draw(expit, n=40_000)
    seen = rng.random(len(y)) < np.where(y == 1, 0.5, 0.1)
    weight = np.where(y == 1, 2.0, 10.0)
    found = choose_calibrator(raw[seen], y[seen], weight[seen])
    assert abs(found.probability(raw).mean() - p.mean()) < 0.01


def test_few_errors_change_nothing():
    raw = np.linspace(-3, 3, 200)
    y = np.zeros(200)
    y[:9] = 1
    assert choose_calibrator(raw, y, np.ones(200)).method == "none"


def test_rows_without_weight_do_not_count():
    raw, y, _ = draw(lambda r: expit(2 * r), n=3000)
    more = np.concatenate([raw, np.zeros(3000)]), np.concatenate([y, np.ones(3000)])
    weighted = choose_calibrator(*more, np.repeat([1.0, 0.0], 3000))
    assert weighted == choose_calibrator(raw, y, np.ones(3000))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.2, 3), st.floats(-2, 2))
def test_never_falls_and_never_leaves_the_unit_interval(seed, slope, shift):
    raw, y, _ = draw(lambda r: expit(slope * r + shift), n=800, seed=seed)
    p = choose_calibrator(raw, y, np.ones(800)).probability(np.linspace(-40, 40, 500))
    assert (np.diff(p) >= 0).all()
    assert (p > 0).all()
    assert (p < 1).all()


def two_sides(seed=0, n=8000):
    """Allowed decisions are as likely wrong as said, enforced ones much less."""
    rng = np.random.default_rng(seed)
    enforced = rng.random(n) < 0.4
    return *draw(lambda r: expit(np.where(enforced, 0.5 * r - 2, r)), n, seed), enforced


def test_sides_that_differ_get_their_own_curve():
    raw, y, _, enforced = two_sides()
    found = choose_calibrator(raw, y, np.ones(len(y)), enforced=enforced)
    assert found.sides
    later, truth, p, side = two_sides(1)
    assert calibration_error(truth[side], found.probability(later, side)[side]) < 0.03
    assert np.abs(found.probability(later, side) - p).mean() < 0.03
    pooled = choose_calibrator(raw, y, np.ones(len(y)))
    assert calibration_error(truth[side], pooled.probability(later)[side]) > 0.05
    np.testing.assert_array_equal(found.probability(later), pooled.probability(later))


def test_sides_that_are_alike_share_a_curve():
    kept = []
    for seed in range(6):
        raw, y, _ = draw(lambda r: expit(1.5 * r - 1), seed=seed)
        side = np.random.default_rng(seed + 50).random(len(y)) < 0.4
        kept.append(not choose_calibrator(raw, y, np.ones(len(y)), enforced=side).sides)
    assert sum(kept) >= 5


def test_a_side_with_too_few_errors_keeps_the_curve_of_all():
    raw, y, _, _ = two_sides()
    rare = np.zeros(len(y), bool)
    rare[np.flatnonzero(y == 1)[:9]] = True
    rare[np.flatnonzero(y == 0)[:90]] = True
    found = choose_calibrator(raw, y, np.ones(len(y)), enforced=rare)
    assert "enforced" not in found.sides
    np.testing.assert_array_equal(
        found.probability(raw, rare)[rare],
        choose_calibrator(raw, y, np.ones(len(y))).probability(raw)[rare],
    )


def test_a_side_that_stands_in_one_block_of_time_alone():
    raw, y, _ = draw(expit, n=3000)
    found = choose_calibrator(raw, y, np.ones(3000), enforced=np.arange(3000) < 500)
    assert np.isfinite(found.probability(raw, np.arange(3000) < 500)).all()


def segmented(seed=0, n=8000, swing=0.8):
    rng = np.random.default_rng(seed + 100)
    policy = rng.choice(["spam", "fake", "hate", "arms"], n)
    shift = pd.Series(policy).map({"spam": swing, "fake": -swing, "hate": 0, "arms": 0}).to_numpy()
    raw, y, p = draw(lambda r: expit(r + shift), n, seed)
    return raw, y, p, pd.DataFrame({"market": rng.choice(["PL", "DE"], n), "policy_id": policy})


def test_segments_that_differ_are_put_right_and_others_left():
    raw, y, _, segments = segmented()
    found = choose_calibrator(raw, y, np.ones(len(y)), segments=segments)
    assert [o.column for o in found.offsets] == ["policy_id"]
    later, truth, p, there = segmented(1)
    spam = (there["policy_id"] == "spam").to_numpy()
    assert calibration_error(truth[spam], found.probability(later, None, there)[spam]) < 0.04
    assert np.abs(found.probability(later, None, there) - p).mean() < 0.02
    strange = there.assign(policy_id="never seen")
    np.testing.assert_allclose(found.probability(later, None, strange), found.probability(later))


def test_segments_that_are_alike_add_nothing():
    kept = []
    for seed in range(6):
        raw, y, _, segments = segmented(seed, swing=0.0)
        kept.append(not choose_calibrator(raw, y, np.ones(len(y)), segments=segments).offsets)
    assert sum(kept) >= 5


def test_order_never_falls_within_a_side_and_segment():
    raw, y, _, enforced = two_sides()
    policy = pd.DataFrame({"policy_id": np.where(np.arange(len(y)) % 3 == 0, "a", "b")})
    found = choose_calibrator(raw, y, np.ones(len(y)), enforced=enforced, segments=policy)
    order = np.argsort(raw)
    p = found.probability(raw, enforced, policy)[order]
    for side in (True, False):
        for value in ("a", "b"):
            rows = (enforced == side) & (policy["policy_id"] == value).to_numpy()
            assert (np.diff(p[rows[order]]) >= 0).all()


def test_soft_targets_calibrate_to_their_mean():
    rng = np.random.default_rng(0)
    raw = rng.normal(-1, 1, 4000)
    p = expit(raw - 0.8)
    y = np.clip(p + rng.uniform(-0.1, 0.1, 4000), 0, 1)
    found = choose_calibrator(raw, y, np.ones(4000))
    assert np.abs(found.probability(raw) - p).max() < 0.03


def test_comes_back_from_json_to_the_byte():
    raw, y, _, enforced = two_sides()
    policy = pd.DataFrame({"policy_id": np.where(y + (np.arange(len(y)) % 2) > 0, "a", "b")})
    rows = {"enforced": enforced, "segments": policy}
    found = choose_calibrator(raw, y, np.ones(len(y)), **rows)
    assert found.sides
    assert found.offsets
    back = calibrator_from_jsonable(json.loads(json.dumps(found.to_jsonable())))
    assert back == found == choose_calibrator(raw, y, np.ones(len(y)), **rows)
    assert back.probability(raw, **rows).tobytes() == found.probability(raw, **rows).tobytes()
    assert str(found).endswith("by policy_id")


def draw_distinct(seed, n=300, distinct=None):
    rng = np.random.default_rng(seed)
    raw = rng.normal(-1, 1.5, n)
    if distinct is not None:
        raw = np.round(raw * distinct) / distinct
    y = (rng.random(n) < expit(1.5 * raw + 0.5)).astype(float)
    return raw, y, rng.choice([1.0, 2.0, 7.5], n)


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.booleans(), st.sampled_from([None, 1, 4]))
def test_rises_within_the_unit_interval(method, seed, soft, distinct):
    raw, y, weight = draw_distinct(seed, distinct=distinct)
    if soft:
        y = np.random.default_rng(seed).random(len(raw))
    p = fit_curve(method, raw, y, weight).probability(np.linspace(-60, 60, 900))
    assert (np.diff(p) >= 0).all()
    assert (p > 0).all()
    assert (p < 1).all()


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_soft_targets_are_rows_of_either_kind(method, seed):
    raw, _, weight = draw_distinct(seed)
    y = np.random.default_rng(seed).integers(0, 5, len(raw)) / 4
    soft = fit_curve(method, raw, y, weight, one=2.0)
    both = np.tile(raw, 2)
    hard = np.repeat([1.0, 0.0], len(raw))
    parts = np.concatenate([weight * y, weight * (1 - y)])
    kept = parts > 0
    split = fit_curve(method, both[kept], hard[kept], parts[kept], one=2.0)
    at = np.linspace(-6, 6, 50)
    np.testing.assert_allclose(soft.probability(at), split.probability(at), atol=2e-3)


@pytest.mark.parametrize("method", METHODS)
def test_equal_rows_give_equal_bytes(method):
    one, other = fit_curve(method, *draw_distinct(3)), fit_curve(method, *draw_distinct(3))
    assert np.array(one.values).tobytes() == np.array(other.values).tobytes()


@pytest.mark.parametrize("method", ["isotonic", "venn_abers"])
def test_steps_keep_the_ranking_also_beyond_the_knots(method):
    raw, y, weight = draw_distinct(1, n=2000)
    p = fit_curve(method, raw, y, weight).probability(np.linspace(-9, 8, 2000))
    assert (np.diff(p) > 0).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.5, 5))
def test_venn_abers_is_isotonic_regression_with_one_review_more(seed, one):
    raw, y, weight = draw_distinct(seed, n=60, distinct=3)
    scores, place = np.unique(raw, return_inverse=True)
    p0, p1 = venn_abers(np.bincount(place, weight * y), np.bincount(place, weight), one)
    for i, score in enumerate(scores):
        for label, found in ((0.0, p0[i]), (1.0, p1[i])):
            fitted = IsotonicRegression().fit(
                np.append(raw, score), np.append(y, label), sample_weight=np.append(weight, one)
            )
            assert found == pytest.approx(fitted.predict([score])[0])
    assert (p0 < p1).all()


def test_venn_abers_merges_as_published():
    """p1 / (1 - p0 + p1) at each score where neighbours differ; few errors never say 0 or 1."""
    raw = np.repeat([-2.0, 2.0], 50)
    y = np.repeat([0.0, 1.0], 50)
    curve = fit_curve("venn_abers", raw, y, np.ones(100))
    p0, p1 = venn_abers(np.array([0.0, 50.0]), np.array([50.0, 50.0]), 1.0)
    assert curve.probability(np.array([-2.0, 2.0])) == pytest.approx(p1 / (1 - p0 + p1))
    assert p1 == pytest.approx([1 / 51, 1.0])


def test_beta_undoes_beta():
    p = np.array([0.2, 0.7])
    shaped = CalibrationCurve("beta", (2.0, 0.5, 0.3)).probability(logit(p))
    assert shaped == pytest.approx(expit(2 * np.log(p) - 0.5 * np.log1p(-p) + 0.3))


@pytest.mark.parametrize("method", ["shift", "platt", "beta"])
def test_few_reviews_move_little(method):
    raw, y = np.zeros(3), np.ones(3)
    assert fit_curve(method, raw, y, np.ones(3)).probability(np.zeros(1))[0] < 0.85


def test_unequal_weights_count_for_what_they_are_worth():
    """A row of weight 1,000 among small ones is one review, not a thousand."""
    raw, y, weight = (
        np.zeros(41),
        np.append(np.ones(1), np.zeros(40)),
        np.append(1000.0, np.ones(40)),
    )
    assert 0.5 < fit_curve("shift", raw, y, weight).probability(np.zeros(1))[0] < 0.8


def draw_shifted(shifts, n=800, seed=0):
    rng = np.random.default_rng(seed)
    column = pd.Series(np.repeat([f"s{i}" for i in range(len(shifts))], n), name="policy_id")
    p = rng.uniform(0.1, 0.5, len(column))
    odds = p / (1 - p) * np.exp(np.repeat(shifts, n))
    y = (rng.random(len(column)) < odds / (1 + odds)).astype(float)
    return column, y, p, np.ones(len(column))


def test_finds_what_was_planted():
    shifts = [1.0, 0.0, -0.7, 0.2]
    found = fit_offsets(*draw_shifted(shifts), 1.0)
    assert list(found.by_value.values()) == pytest.approx(shifts, abs=0.2)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000))
def test_chance_is_shrunk_away(seed):
    found = fit_offsets(*draw_shifted([0.0] * 20, n=60, seed=seed), 1.0)
    assert np.abs(list(found.by_value.values())).mean() < 0.2


def test_small_segments_move_less():
    column, y, p, w = draw_shifted([0.8, -0.8, 0.8, -0.8])
    few = np.ones(len(y), bool)
    few[30:800] = False  # 30 rows are left of the first
    found = fit_offsets(column[few], y[few], p[few], w[few], 1.0).by_value
    assert abs(found["s0"]) < abs(found["s2"])


def test_unseen_and_missing_add_nothing():
    column = pd.Series(pd.Categorical(["a", None, "new", "b"]))
    assert ColumnOffsets("c", {"a": 0.5, "b": -1.0}).of(column).tolist() == [0.5, 0.0, 0.0, -1.0]


def test_a_column_without_values_is_fitted_to_nothing():
    column = pd.Series([None] * 5, name="market", dtype="str")
    assert fit_offsets(column, np.ones(5), np.full(5, 0.5), np.ones(5), 1.0) == ColumnOffsets(
        "market", {}
    )
