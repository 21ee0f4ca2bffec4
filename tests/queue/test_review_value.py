import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errdetect.data.policy_catalogue import Policy
from errdetect.queue.review_value import (
    TERMS,
    age_weights,
    expected_harm,
    harm_terms,
    review_minutes,
    review_value,
)


def test_harm_is_of_the_kind_that_the_error_would_be():
    policies = {"p": Policy("p", "P", severity=2, harm_missed=7.0)}
    frame = pd.DataFrame({"policy_id": ["p", "p", "new"], "enforced": [True, False, False]})
    assert expected_harm(frame, np.full(3, 0.5), policies).tolist() == [1.0, 3.5, 0.5]


def test_exposure_weighs_and_unknown_exposure_weighs_one():
    frame = pd.DataFrame({"policy_id": "p", "enforced": True, "exposure": [0.0, np.e - 1, np.nan]})
    p = np.ones(3)
    assert expected_harm(frame, p, {}, "log").tolist() == pytest.approx([1, 2, 1])
    assert expected_harm(frame, p, {}, "linear").tolist() == pytest.approx([0, np.e - 1, 1])
    assert expected_harm(frame, p, {}, "none").tolist() == [1, 1, 1]


def test_a_wrong_label_harms_in_its_own_way():
    frame = pd.DataFrame({"policy_id": ["a"] * 3, "enforced": [True] * 3})
    policies = {"a": Policy("a", "A", severity=2, harm_wrongful=10.0)}
    p = np.array([0.5, 0.5, 0.5])
    harm = expected_harm(frame, p, policies, "none", np.array([np.nan, 0.0, 0.4]))
    np.testing.assert_allclose(harm, [5.0, 5.0, 0.1 * 10 + 0.4 * 2])


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1e6)), min_size=1, max_size=20
    )
)
def test_expected_harm_is_the_product_of_its_terms(rows):
    p = np.array([a for a, _, _ in rows])
    label = p * np.array([b for _, b, _ in rows])
    frame = pd.DataFrame({"policy_id": "a", "enforced": True, "exposure": [e for _, _, e in rows]})
    policies = {"a": Policy("a", "A", severity=2, harm_wrongful=10.0)}
    harm, weight = harm_terms(frame, p, policies, "log", label)
    np.testing.assert_allclose(
        p * harm * weight, (10 * (p - label) + 2 * label) * weight, rtol=1e-9, atol=1e-12
    )
    assert ((harm >= 2 - 1e-9) & (harm <= 10 + 1e-9)).all()


def test_value_is_the_product_of_its_terms_for_each_minute():
    terms = pd.DataFrame({name: [2.0] for name in TERMS}).assign(minutes=4.0)
    assert review_value(terms).tolist() == [8.0]
    # An unknown chance of reversal is not a small one.
    assert review_value(terms.assign(p_overturn=np.nan)).tolist() == [4.0]


def test_minutes_are_the_catalogue_s_then_measured_then_one():
    done = pd.DataFrame({"policy_id": ["b"] * 5 + ["c"] * 4, "minutes": [3.0] * 5 + [9.0] * 4})
    policies = {
        "a": Policy("a", "A", severity=1, review_minutes=2.0),
        "b": Policy("b", "B", severity=1),
    }
    wanted = pd.Series(["a", "b", "c", "d"])
    assert review_minutes(wanted, policies, done).tolist() == [2.0, 3.0, 3.0, 3.0]
    assert review_minutes(wanted, policies, done.assign(minutes=np.nan)).tolist() == [
        2.0,
        1.0,
        1.0,
        1.0,
    ]


def test_age_halves_and_never_ends():
    days = pd.Series(pd.to_datetime(["2000-01-01", "2025-12-29", "2026-01-01"], utc=True))
    weights = age_weights(days, 3)
    assert weights[1:].tolist() == [0.5, 1.0]
    assert 0 < weights[0] < 1e-200
    assert age_weights(days, None).tolist() == [1.0] * 3
    assert age_weights(days[:0], 3).tolist() == []
