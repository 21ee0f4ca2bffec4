import numpy as np
import pytest

from errdetect.labels.review_history import build_review_history
from errdetect.labels.verdicts import content_verdicts


@pytest.mark.parametrize(
    ("enforced", "verdict", "violates", "flags"),
    [
        (True, "upheld", True, False),
        (True, "overturned", False, True),
        (True, "relabelled", True, True),
        (False, "upheld", False, False),
        (False, "overturned", True, True),
        (False, "relabelled", False, True),
    ],
)
def test_a_verdict_says_something_of_the_content(
    decisions_of, reviews_of, enforced, verdict, violates, flags
):
    reviews = reviews_of({"decision_id": "d0", "day": 1, "verdict": verdict})
    decisions = decisions_of(1, enforced=enforced)
    found = content_verdicts(decisions, build_review_history(decisions, reviews)).iloc[0]
    assert (found["violates"], found["flags"]) == (violates, flags)


def test_truth_comes_from_expected_and_from_the_expert(decisions_of, reviews_of):
    reviews = reviews_of(
        {"decision_id": "d0", "day": 1, "source": "golden", "expected": "overturned"},
        {"decision_id": "d1", "day": 1, "verdict": "overturned"},
        {"decision_id": "d1", "day": 2, "source": "adjudication", "inclusion_probability": 1.0},
        {"decision_id": "d2", "day": 1},
        {"decision_id": "d2", "day": 2, "source": "adjudication", "verdict": "overturned"},
        {"decision_id": "d3", "day": 1},
        {"decision_id": "d0", "day": 3, "source": "golden", "expected": None},
    )
    decisions = decisions_of(4)
    found = content_verdicts(decisions, build_review_history(decisions, reviews))
    assert found.index.tolist() == [0, 1, 3, 5, 6]  # experts measure, they are not measured
    np.testing.assert_array_equal(found["true_error"], [1, 0, 1, np.nan, np.nan])
    np.testing.assert_array_equal(found["true_violates"], [0, 1, 0, np.nan, np.nan])
    np.testing.assert_array_equal(found["right"], [0, 0, 0, np.nan, np.nan])
    # an expert who was asked without a stated chance may have been asked for a reason
    assert found["designed"].tolist() == [True, True, False, False, True]


def test_what_is_known_later_is_not_there(decisions_of, reviews_of, at):
    reviews = reviews_of(
        {"decision_id": "d0", "day": 1},
        {"decision_id": "d0", "day": 4, "source": "adjudication"},
        {"decision_id": "d1", "day": 3},
    )
    decisions = decisions_of(2)
    found = content_verdicts(decisions, build_review_history(decisions, reviews, as_of=at(2)))
    assert found["position"].tolist() == [0]
    assert found["true_error"].isna().all()
