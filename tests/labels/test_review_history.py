import pandas as pd
import pytest

from errdetect.errors import DataError
from errdetect.labels.review_history import build_review_history, match_decisions, resolve_as_of


def test_every_way_a_review_can_stand(decisions_of, reviews_of, at):
    reviews = reviews_of(
        {"decision_id": "d0", "day": 1, "reviewer_id": "ann"},
        {"decision_id": "d0", "day": 2, "reviewer_id": "ann", "verdict": "overturned"},
        {"decision_id": "d0", "day": 3, "source": "golden", "expected": "upheld"},
        {"decision_id": "d0", "day": 9},
        {"decision_id": "d0", "day": -1},
        {"decision_id": "elsewhere", "day": 1},
        {"decision_id": "elsewhere", "day": 9, "source": "golden", "expected": "upheld"},
        {"decision_id": "d1", "day": 1},
        {"decision_id": "d1", "day": 2, "source": "adjudication"},
    )
    events = build_review_history(decisions_of(2), reviews, as_of=at(5))
    assert events["standing"].tolist() == [
        "revised",
        "counts",
        "measures reviewer",
        "not yet known",
        "before decision",
        "unknown decision",
        "not yet known",
        "overruled",
        "counts",
    ]
    assert events["position"].tolist() == [0, 0, 0, 0, 0, -1, -1, 1, 1]


def test_the_newest_adjudication_is_the_experts_word(decisions_of, reviews_of):
    reviews = reviews_of(
        {"decision_id": "d0", "day": 3, "source": "adjudication", "reviewer_id": "x"},
        {"decision_id": "d0", "day": 2, "source": "adjudication", "reviewer_id": "y"},
    )
    assert build_review_history(decisions_of(1), reviews)["standing"].tolist() == [
        "counts",
        "revised",
    ]


def test_an_expert_overrules_only_each_reviewer_s_newest_word(decisions_of, reviews_of):
    reviews = reviews_of(
        {"decision_id": "d0", "day": 1, "reviewer_id": "ann", "verdict": "overturned"},
        {"decision_id": "d0", "day": 2, "reviewer_id": "ann"},
        {"decision_id": "d0", "day": 3, "source": "adjudication"},
    )
    found = build_review_history(decisions_of(1), reviews)["standing"].tolist()
    assert found == ["revised", "overruled", "counts"]


def test_equal_times_are_ordered_by_review_id(decisions_of, reviews_of):
    reviews = reviews_of(
        {"review_id": "b", "decision_id": "d0", "day": 1, "reviewer_id": "ann"},
        {"review_id": "a", "decision_id": "d0", "day": 1, "reviewer_id": "ann"},
    )
    assert build_review_history(decisions_of(1), reviews)["standing"].tolist() == [
        "counts",
        "revised",
    ]


def test_nameless_reviewers_are_a_voice_each(decisions_of, reviews_of):
    reviews = reviews_of({"decision_id": "d0", "day": 1}, {"decision_id": "d0", "day": 2})
    assert build_review_history(decisions_of(1), reviews)["standing"].tolist() == [
        "counts",
        "counts",
    ]


def test_without_as_of_the_latest_time_in_the_data_counts(decisions_of, reviews_of, at):
    decisions = decisions_of(1)
    assert pd.Timestamp(resolve_as_of(None, decisions, reviews_of()), tz="UTC") == at(0)
    late = reviews_of({"decision_id": "d0", "day": 7})
    assert pd.Timestamp(resolve_as_of(None, decisions, late), tz="UTC") == at(7)


def test_a_naive_moment_is_refused(decisions_of, reviews_of):
    with pytest.raises(DataError, match=r"^as_of must have a time zone, got 2026-01-05T00:00:00\."):
        build_review_history(decisions_of(1), reviews_of(), as_of=pd.Timestamp("2026-01-05"))


def test_a_decision_that_stands_twice_is_refused(decisions_of, reviews_of):
    twice = pd.concat([decisions_of(2), decisions_of(1)])
    with pytest.raises(DataError, match="decision_id must be unique, got 'd0' twice"):
        match_decisions(twice, reviews_of())
