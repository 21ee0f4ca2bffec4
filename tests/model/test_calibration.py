import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from errdetect.model.calibration import Calibrator, choose_calibrator
from errdetect.model.metrics import calibration_error


def draw(turn, n=6000, seed=0):
    rng = np.random.default_rng(seed)
    raw = rng.normal(-1.5, 1.5, n)
    p = turn(raw)
    return raw, (rng.random(n) < p).astype(float), p


def test_true_probabilities_are_left_alone():
    kept = [choose_calibrator(*draw(expit, seed=s)[:2], np.ones(6000)).method for s in range(8)]
    assert kept.count("none") >= 6


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


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.2, 3), st.floats(-2, 2))
def test_never_falls_and_never_leaves_the_unit_interval(seed, slope, shift):
    raw, y, _ = draw(lambda r: expit(slope * r + shift), n=800, seed=seed)
    p = choose_calibrator(raw, y, np.ones(800)).probability(np.linspace(-40, 40, 500))
    assert (np.diff(p) >= 0).all()
    assert (p > 0).all()
    assert (p < 1).all()


def test_beta_undoes_beta():
    p = np.array([0.2, 0.7])
    shaped = Calibrator("beta", (2.0, 0.5, 0.3)).probability(logit(p))
    assert shaped == pytest.approx(expit(2 * np.log(p) - 0.5 * np.log1p(-p) + 0.3))
