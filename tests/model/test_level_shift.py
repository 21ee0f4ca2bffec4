"""The level of P(error), followed between trainings."""

import numpy as np
import pandas as pd
from scipy.special import expit

from errdetect.model.calibration import Calibrator
from errdetect.model.level_shift import RecentReviews, fit_level_shift

MISSED, FALSE_CALL = 0.12, 0.04


def recent(seed, n, shift=0.0, *, moderator=False):
    """Reviews of n decisions, one each, by people who err; the truth is shifted on allowed ones."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"enforced": rng.random(n) < 0.5})
    if moderator:
        frame["moderator"] = np.where(rng.random(n) < 0.5, "cnn", "rules")
    raw = rng.normal(-2, 1, n)
    moved = ~frame["enforced"] & (frame["moderator"] == "cnn" if moderator else True)
    truth = expit(raw + np.where(moved, shift, 0.0))
    wrong = rng.random(n) < truth
    flags = rng.random(n) < np.where(wrong, 1 - MISSED, FALSE_CALL)
    on_flag, on_none = np.log((1 - MISSED) / FALSE_CALL), np.log(MISSED / (1 - FALSE_CALL))
    evidence = np.where(flags, on_flag, on_none)
    return RecentReviews(frame, expit(raw), evidence, np.ones(n)), raw, truth


def test_a_still_level_is_seldom_called_moved():
    """5 % over both sides, at most; also where reviews are few and errors rare."""
    for n in (40, 300):
        moved = [fit_level_shift(recent(seed, n)[0]).levels["moved"].any() for seed in range(300)]
        assert np.mean(moved) <= 0.08


def test_a_level_that_moved_is_followed_and_named():
    reviews, raw, truth = recent(1, 400, shift=-1.5)
    shift = fit_level_shift(reviews)
    assert shift.levels.set_index("segment")["moved"].to_dict() == {
        "allowed": True,
        "enforced": False,
    }
    assert len(shift.notes()) == 1
    assert "allowed" in shift.notes()[0]
    enforced = reviews.decisions["enforced"].to_numpy()
    trained = Calibrator("none")
    now = shift.apply(trained).probability(raw, enforced, reviews.decisions)
    off = [np.abs(p - truth)[~enforced].mean() for p in (trained.probability(raw), now)]
    assert off[1] < off[0] / 3


def test_a_moderators_side_may_move_alone():
    reviews, raw, truth = recent(2, 1500, shift=1.5, moderator=True)
    shift = fit_level_shift(reviews)
    by = shift.levels.set_index("segment")["shift"]
    assert by["cnn, allowed"] > by["rules, allowed"] + 0.5
    enforced = reviews.decisions["enforced"].to_numpy()
    now = shift.apply(Calibrator("none")).probability(raw, enforced, reviews.decisions)
    rules = ~enforced & (reviews.decisions["moderator"] == "rules").to_numpy()
    assert abs(now[rules].mean() - truth[rules].mean()) < 0.03


def test_few_reviews_leave_the_level_near_the_trained_one():
    few = fit_level_shift(recent(3, 40, shift=-1.5)[0]).levels.set_index("segment")["shift"]
    many = fit_level_shift(recent(3, 2000, shift=-1.5)[0]).levels.set_index("segment")["shift"]
    assert abs(few["allowed"]) < abs(many["allowed"])
    assert fit_level_shift(recent(3, 25)[0]) is None


def test_uneven_weights_count_as_fewer_reviews():
    reviews = recent(4, 200)[0]
    weight = np.ones(200)
    weight[0] = 1000.0
    lopsided = RecentReviews(reviews.decisions, reviews.p, reviews.evidence, weight)
    assert fit_level_shift(lopsided) is None
