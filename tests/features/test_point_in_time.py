import numpy as np
import pandas as pd
import pytest

from errdetect.features.point_in_time import (
    NEVER,
    UNIT,
    ColumnLevels,
    EventTally,
    KeyGroups,
    match_reviews,
    verdict_periods,
)

DAY = pd.to_datetime(["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"], utc=True)


def steps(*reviews, sources=("audit",)):
    log = pd.DataFrame({"decision_id": ["d"], "decided_at": DAY[1:2]})
    rows = [
        {"review_id": f"r{i}", "decision_id": "d", "reviewed_at": DAY[day], "source": source,
         "verdict": verdict, "reviewer_id": who}
        for i, (day, source, verdict, who) in enumerate(reviews)
    ]  # fmt: skip
    found = verdict_periods(match_reviews(log, pd.DataFrame(rows)), sources)
    return (found.errors / UNIT).tolist()


def test_a_reviewer_s_newer_word_replaces_the_older():
    assert steps((1, "audit", "overturned", "ann"), (2, "audit", "upheld", "ann")) == [1, 0]
    assert steps((1, "audit", "overturned", None), (2, "audit", "upheld", None)) == [1, 0.5]


def test_words_of_one_moment_count_together_the_last_id_last():
    assert steps((1, "audit", "overturned", "ann"), (1, "audit", "upheld", "bob")) == [0.5]
    assert steps((1, "audit", "overturned", "ann"), (1, "audit", "upheld", "ann")) == [0]


def test_the_expert_s_word_stands_whatever_comes_after():
    said = steps((1, "audit", "overturned", "ann"), (2, "adjudication", "upheld", "eve"),
                 (3, "audit", "overturned", "bob"))  # fmt: skip
    assert said == [1, 0, 0]


def test_an_expert_alone_counts_only_where_named():
    alone = (2, "adjudication", "overturned", "eve")
    assert steps(alone) == []
    assert steps(alone, sources=("audit", "adjudication")) == [1]


def test_what_was_said_before_the_decision_is_no_review_of_it():
    assert steps((0, "audit", "overturned", "ann"), (1, "audit", "upheld", "bob")) == [0]
    assert steps((1, "golden", "overturned", "ann")) == []


def test_a_corrected_review_counts_until_its_correction():
    log = pd.DataFrame({"decision_id": ["d"], "decided_at": DAY[:1]})
    reviews = pd.DataFrame(
        {"review_id": "r", "decision_id": "d", "reviewed_at": DAY[1:3], "source": "audit",
         "verdict": ["overturned", "upheld"], "reviewer_id": "ann"}
    )  # fmt: skip
    found = verdict_periods(match_reviews(log, reviews), ("audit",))
    assert (found.errors / UNIT).tolist() == [1, 0]
    assert (found.end[0], found.end[1]) == (found.start[1], NEVER)


def test_a_missing_key_is_no_group_even_where_it_comes_first():
    log = pd.DataFrame({"account_id": [None, "a", None, "b"]})
    levels = ColumnLevels(log, ["account_id"])
    groups = KeyGroups(levels, ["account_id"])
    assert (groups.codes.tolist(), len(groups)) == ([-1, 0, -1, 1], 2)
    other = pd.DataFrame({"account_id": ["b", None, "z", "a"]})
    assert groups.of(levels.of(other)).tolist() == [1, -1, 2, 0]


def test_events_without_a_group_are_in_no_sum():
    group, tick = np.array([-1, 0, -1, 0]), np.array([0, 0, 1, 1])
    tally = EventTally(group, tick, np.array([[5], [6], [7], [8]]), 2)
    asked, end = np.array([-1, 0]), np.array([2, 2])
    sums = tally.sums_before(asked, end) - tally.sums_before(asked, np.zeros(2, np.int64))
    assert sums.tolist() == [[0, 0], [2, 14]]
    assert tally.latest_before(asked, end).tolist() == [-1, 3]


@pytest.mark.parametrize(
    ("ends", "latest"), [([9, 9, 9], 2), ([9, 9, 3], 1), ([9, 3, 3], 0), ([1, 2, 3], -1)]
)
def test_the_latest_event_is_one_that_has_not_ended(ends, latest):
    tally = EventTally(np.zeros(3, np.int64), np.arange(3), np.zeros((3, 1), np.int64), 10)
    found = tally.latest_before(np.array([0]), np.array([4]), np.array(ends))
    assert found.tolist() == [latest]
