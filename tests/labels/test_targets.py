import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from errdetect.labels.targets import calibration_target

shares = st.lists(st.floats(0, 1) | st.just(float("nan")), min_size=1)


@given(shares)
def test_without_error_rates_most_judges_are_right(found):
    target = calibration_target(np.array(found), "votes")
    assert np.isnan(target).tolist() == np.isnan(found).tolist()
    known = target[~np.isnan(target)]
    assert set(known.tolist()) <= {0.0, 0.5, 1.0}
    assert (np.sign(known - 0.5) == np.sign(np.array(found)[~np.isnan(target)] - 0.5)).all()


@given(shares)
def test_with_error_rates_judgements_are_evidence(found):
    np.testing.assert_array_equal(calibration_target(np.array(found), "golden only"), found)


def test_the_share_of_votes_would_overstate_rare_errors():
    """Three judges who each object to a decision with chance .2: most do in a tenth of cases."""
    rng = np.random.default_rng(0)
    share = rng.binomial(3, 0.2, 20_000) / 3
    most = 3 * 0.2**2 * 0.8 + 0.2**3
    assert abs(calibration_target(share, "votes").mean() - most) < 0.01
    assert share.mean() > most + 0.08
