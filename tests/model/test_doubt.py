import numpy as np
import pandas as pd
import pytest

from errdetect.model.bundle import ModelBundle, load_bundle, save_bundle
from errdetect.model.calibration import Calibrator, choose_calibrator
from errdetect.model.detector import DOUBT_COLUMN, Examples, apply_policy_floor
from errdetect.model.ensemble import fit_member
from errdetect.model.ensemble_members import DEFAULT_PARAMS, FitOptions
from errdetect.model.surrogate import sample_log
from errdetect.model.training_data import PreparedExamples, count_texts_once, prepare_examples


def mislabelled(n: int = 700) -> Examples:
    """Enforcements of which those on pills are filed under the wrong policy."""
    rng = np.random.default_rng(0)
    pills = rng.random(n) < 0.15
    enforced = rng.random(n) < 0.7
    frame = pd.DataFrame(
        {
            "decision_id": [f"d{i:05}" for i in range(n)],
            "item_id": [f"i{i:05}" for i in range(n)],
            "decided_at": pd.date_range("2026-01-01", periods=n, freq="h", tz="UTC"),
            "policy_id": np.where(pills, "scam", rng.choice(["scam", "weapons"], n)),
            "action": np.where(enforced, "remove", "approve"),
            "enforced": enforced,
            "text": [f"{'cheap pills' if p else 'win money'} {i}" for i, p in enumerate(pills)],
        }
    )
    right = np.where(pills, "medicines", frame["policy_id"]).astype(object)
    right[~enforced] = None
    error = (pills & enforced).astype(float)
    return Examples(
        frame, error, enforced.astype(float), np.ones(n), np.ones(n), right_policy=right
    )


@pytest.fixture(scope="module")
def told() -> Examples:
    return mislabelled()


@pytest.fixture(scope="module")
def prepared(told) -> PreparedExamples:
    some = told.take(np.arange(500))
    counted = count_texts_once(told.decisions, some, leave_out=(), text=True)
    log = sample_log(told.decisions[:500], text=True, seed=0)
    return prepare_examples(some, counted, leave_out=(), text=True, seed=0, log=log)


def bound(prepared: PreparedExamples, X: np.ndarray) -> np.ndarray:
    return X[:, prepared.encoding.names.index(DOUBT_COLUMN)]


def test_wrong_labels_are_doubted_and_allowed_decisions_are_not(prepared, told):
    doubt = bound(prepared, prepared.X)
    enforced = told.decisions["enforced"].to_numpy()[:500]
    wrong = told.error[:500] > 0
    assert np.isnan(doubt[~enforced]).all()
    assert np.isfinite(doubt[enforced]).all()
    assert doubt[wrong].min() > np.quantile(doubt[enforced & ~wrong], 0.95)


def test_no_row_vouches_for_its_own_policy(prepared, told):
    """A row's own answer turned around must not change what is said of it beyond the prior."""
    some = told.take(np.arange(500))
    row = int(np.flatnonzero(some.error > 0)[0])
    right = some.right_policy.copy()
    right[row] = None
    without = Examples(
        some.decisions, some.error, some.violates, some.weight, some.design, right_policy=right
    )
    counted = count_texts_once(told.decisions, some, leave_out=(), text=True)
    log = sample_log(told.decisions[:500], text=True, seed=0)
    again = prepare_examples(without, counted, leave_out=(), text=True, seed=0, log=log)
    assert bound(again, again.X)[row] == pytest.approx(bound(prepared, prepared.X)[row], abs=0.5)


def test_the_bound_lifts_and_contributions_still_add_up(prepared, told):
    member = fit_member("segment", prepared, prepared.data(), DEFAULT_PARAMS, 1, FitOptions())
    plain = prepared.detector([member])
    detector = prepared.detector([member], floor=True)
    X = detector.features(told.decisions[500:])
    raw, lifted = plain.raw(X, 1), detector.raw(X, 1)
    assert (lifted >= raw).all()
    assert (lifted > raw).any()
    np.testing.assert_array_equal(lifted, np.fmax(raw, bound(prepared, X)))
    parts = detector.contributions(X, 1)
    np.testing.assert_allclose(parts.sum(axis=1), lifted, atol=1e-9)
    place = prepared.encoding.names.index(DOUBT_COLUMN)
    assert (parts[lifted > raw, place] > 0).all()


def test_without_relabelled_reviews_there_is_no_doubt(told):
    some = told.take(np.arange(300))
    unknown = Examples(some.decisions, some.error, some.violates, some.weight, some.design)
    assert list(unknown.right_policy) == [None] * 300
    counted = count_texts_once(some.decisions, some, leave_out=(), text=True)
    log = sample_log(some.decisions, text=True, seed=0)
    made = prepare_examples(unknown, counted, leave_out=(), text=True, seed=0, log=log)
    assert made.doubt is None
    assert DOUBT_COLUMN not in made.encoding.names
    raw = np.zeros(300)
    assert apply_policy_floor(raw, made.X, made.encoding) is raw
    assert made.detector([], floor=True).floor is False


def test_a_bundle_keeps_doubt_and_the_usual(prepared, told, tmp_path):
    member = fit_member("segment", prepared, prepared.data(), DEFAULT_PARAMS, 1, FitOptions())
    detector = prepared.detector([member], floor=True)
    later = told.decisions[500:]
    X = detector.features(later)
    calibrator: Calibrator = choose_calibrator(
        detector.raw(X, 1), told.error[500:], np.ones(len(X)),
        enforced=later["enforced"].to_numpy(bool), segments=later[["policy_id"]],
    )  # fmt: skip
    save_bundle(ModelBundle(detector, calibrator, np.zeros(0, np.uint64), {}), tmp_path)
    read = load_bundle(tmp_path).detector
    np.testing.assert_array_equal(read.features(later), X)
    np.testing.assert_array_equal(read.raw(X, 1), detector.raw(X, 1))
    assert read.floor
    assert read.encoding.extra == detector.encoding.extra
