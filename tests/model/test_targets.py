import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from errdetect.model.curves import fit_curve
from errdetect.model.targets import calibration_target


def judged(seed=0, n=20_000, missed=0.25, wrongly=0.03):
    """One judge each, who errs at known rates; P(error) by Bayes from each side's error rate."""
    rng = np.random.default_rng(seed)
    raw = rng.normal(-2, 1.5, n)
    wrong = rng.random(n) < expit(raw)
    enforced = rng.random(n) < 0.4
    says = np.where(wrong, rng.random(n) > missed, rng.random(n) < wrongly)
    p_label = np.empty(n)
    for side in (enforced, ~enforced):
        base = wrong[side].mean()
        ratio = np.where(says[side], (1 - missed) / wrongly, missed / (1 - wrongly))
        p_label[side] = expit(logit(base) + np.log(ratio))
    return raw, wrong, says.astype(float), p_label, enforced


def off(raw, y, wrong):
    """How far a calibration to y lies from one to the truth, on average."""
    one = np.ones(len(raw))
    return np.abs(
        fit_curve("platt", raw, y, one).probability(raw)
        - fit_curve("platt", raw, wrong.astype(float), one).probability(raw)
    ).mean()


def test_evidence_weighed_by_the_score_comes_closest_to_the_truth():
    raw, wrong, says, p_label, enforced = judged()
    found = calibration_target(
        p_label, "dawid_skene", raw=raw, weight=np.ones(len(raw)), enforced=enforced
    )
    mine = off(raw, found, wrong)
    assert mine < 0.006
    assert mine < 0.4 * off(raw, says, wrong)
    assert mine < 0.4 * off(raw, p_label, wrong)


def test_the_share_of_votes_would_overstate_rare_errors():
    """Three judges who each object to a decision with chance .2: most do in a tenth of cases."""
    rng = np.random.default_rng(0)
    share = rng.binomial(3, 0.2, 20_000) / 3
    one = np.ones(20_000)
    found = calibration_target(share, "votes", raw=one, weight=one, enforced=one > 0)
    most = 3 * 0.2**2 * 0.8 + 0.2**3
    assert abs(found.mean() - most) < 0.01
    assert share.mean() > most + 0.08


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(["votes", "dawid_skene", "golden only"]))
def test_what_is_certain_stays(seed, basis):
    rng = np.random.default_rng(seed)
    p_label = rng.choice([0.0, 0.2, 0.5, 0.9, 1.0], 60)
    rows = {
        "raw": rng.normal(size=60),
        "weight": rng.choice([0.0, 1.0, 4.0], 60),
        "enforced": rng.random(60) < 0.5,
    }
    found = calibration_target(p_label, basis, **rows)
    sure = (p_label == 0) | (p_label == 1)
    np.testing.assert_array_equal(found[sure], p_label[sure])
    assert ((found >= 0) & (found <= 1)).all()
    assert found.tobytes() == calibration_target(p_label, basis, **rows).tobytes()


def test_more_weight_on_an_objection_means_more():
    raw, _, _, p_label, enforced = judged(n=500)
    rows = {"raw": raw, "weight": np.ones(500), "enforced": enforced}
    found = calibration_target(p_label, "golden only", **rows)
    near = np.abs(raw - np.median(raw)) < 0.3
    said_so = p_label > 0.5
    assert found[near & said_so].min() > found[near & ~said_so].max()


def test_nothing_counted_changes_nothing():
    p_label = np.array([0.2, 0.7])
    rows = {"raw": np.zeros(2), "weight": np.zeros(2), "enforced": np.array([True, False])}
    assert calibration_target(p_label, "dawid_skene", **rows).tolist() == pytest.approx([0.2, 0.7])
