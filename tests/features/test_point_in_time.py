import pandas as pd

from errdetect.features.point_in_time import UNIT, match_reviews, verdict_periods

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
