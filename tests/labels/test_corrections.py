"""Reviews that are corrected: what was known at a moment is what was known then."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errdetect.labels.review_history import CORRECTED, COUNTS, build_review_history, known_at
from errdetect.reviewers.agreement import verdict_counts
from errdetect.snapshot import LabelRules, Snapshot

START = pd.Timestamp("2026-01-01", tz="UTC")


def labels_of(decisions, reviews, as_of=None):
    return Snapshot(decisions, reviews, as_of=as_of, rules=LabelRules("votes")).labels


def later(reviews, *days):
    """Give updated_at in days after the start; None for none."""
    times = [pd.NaT if day is None else START + pd.Timedelta(day, unit="D") for day in days]
    return reviews.assign(updated_at=pd.to_datetime(pd.Series(times), utc=True))


def test_a_correction_counts_from_its_moment_on(decisions_of, reviews_of, at):
    rows = reviews_of(
        {"review_id": "r", "decision_id": "d0", "day": 1, "verdict": "overturned"},
        {"review_id": "r", "decision_id": "d0", "day": 1},
    )
    reviews = later(rows, None, 5)
    standing = [
        build_review_history(decisions_of(1), reviews, as_of=at(day))["standing"].tolist()
        for day in (0, 3, 5)
    ]
    early = ["not yet known", "not yet known"]
    assert standing == [early, [COUNTS, "not yet known"], [CORRECTED, COUNTS]]
    labels = [
        labels_of(decisions_of(1), reviews, as_of=at(day)).iloc[0] for day in (0, 3, 4.9, 5, 9)
    ]
    assert [row["label"] for row in labels] == ["unknown", "error", "error", "correct", "correct"]
    assert labels[1]["known_at"] == at(1)
    assert labels[3]["known_at"] == at(5)
    assert [row["n_reviews"] for row in labels] == [0, 1, 1, 1, 1]


def test_a_row_that_was_updated_is_not_known_before(decisions_of, reviews_of, at):
    reviews = later(reviews_of({"decision_id": "d0", "day": 1, "verdict": "overturned"}), 5)
    assert labels_of(decisions_of(1), reviews, as_of=at(4))["label"].tolist() == ["unknown"]
    assert labels_of(decisions_of(1), reviews)["known_at"].tolist() == [at(5)]


def test_a_corrected_row_is_corrected_whatever_else_it_is(decisions_of, reviews_of):
    reviews = reviews_of(
        {"review_id": "golden", "decision_id": "d0", "day": 1, "source": "golden",
         "expected": "upheld", "verdict": "overturned"},
        {"review_id": "golden", "decision_id": "d0", "day": 2, "source": "golden",
         "expected": "upheld"},
        {"review_id": "moved", "decision_id": "d1", "day": 1, "verdict": "overturned"},
        {"review_id": "moved", "decision_id": "elsewhere", "day": 2, "verdict": "overturned"},
        {"review_id": "lost", "decision_id": "elsewhere", "day": 1},
        {"review_id": "lost", "decision_id": "d1", "day": 2},
    )  # fmt: skip
    events = build_review_history(decisions_of(2), reviews)
    assert events["standing"].tolist() == [
        CORRECTED, "measures reviewer", CORRECTED, "unknown decision", CORRECTED, COUNTS,
    ]  # fmt: skip
    assert labels_of(decisions_of(2), reviews)["label"].tolist() == ["unknown", "correct"]
    assert Snapshot(decisions_of(2), reviews).verdicts["right"].tolist()[0] == 1


def test_a_reviewer_s_later_verdict_is_the_only_one_judged(decisions_of, reviews_of):
    reviews = reviews_of(
        {"decision_id": "d0", "day": 1, "reviewer_id": "ann", "verdict": "overturned"},
        {"decision_id": "d0", "day": 2, "reviewer_id": "ann"},
        {"decision_id": "d0", "day": 1, "reviewer_id": "bob"},
    )
    snapshot = Snapshot(decisions_of(1), reviews)
    found = snapshot.verdicts
    assert found.index.tolist() == [1, 2]
    assert not found["flags"].any()
    counts = verdict_counts(snapshot.decisions["decision_id"], snapshot.review_history)
    assert counts[["upheld", "overturned"]].values.tolist() == [[2, 0]]


_ROW = st.fixed_dictionaries(
    {
        "review_id": st.sampled_from(["a", "b", "c"]),
        "decision_id": st.sampled_from(["d0", "d1", "d2", "elsewhere"]),
        "day": st.integers(-1, 6),
        "updated": st.none() | st.integers(0, 7),
        "source": st.sampled_from(["audit", "appeal", "adjudication", "golden"]),
        "verdict": st.sampled_from(["upheld", "overturned", "relabelled"]),
        "reviewer_id": st.sampled_from(["ann", "bob", None]),
    }
)


def _table(reviews_of, rows):
    """One row for each review and moment."""
    frame = reviews_of(
        *({name: value for name, value in row.items() if name != "updated"} for row in rows)
    )
    frame = later(frame, *(row["updated"] for row in rows))
    twice = frame.assign(known=known_at(frame)).duplicated(["review_id", "known"])
    return frame[~twice].reset_index(drop=True)


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(_ROW, max_size=8), day=st.integers(-1, 8), data=st.data())
def test_only_what_was_known_by_then_makes_a_label_in_any_order(
    decisions_of, reviews_of, at, rows, day, data
):
    decisions, reviews = decisions_of(2), _table(reviews_of, rows)
    order = data.draw(st.permutations(range(len(reviews))))
    expected = labels_of(decisions, reviews, as_of=at(day))
    shuffled = labels_of(decisions, reviews.iloc[order], as_of=at(day))
    pd.testing.assert_frame_equal(shuffled, expected)
    # By hand: of what was known, the row of each review that was known last.
    known = reviews.assign(known=known_at(reviews)).sort_values("known")
    known = known[known["known"] <= at(day)].drop_duplicates("review_id", keep="last")
    plain = known.assign(reviewed_at=known["reviewed_at"]).drop(columns="known")
    pd.testing.assert_frame_equal(labels_of(decisions, plain, as_of=at(day)), expected)


@pytest.mark.parametrize("tie", [False, True])
def test_one_reviewer_s_later_verdict_wins_ties_by_id(decisions_of, reviews_of, tie):
    rows = [
        {"review_id": "y", "decision_id": "d0", "day": 2 if tie else 1, "reviewer_id": "ann"},
        {"review_id": "z", "decision_id": "d0", "day": 2, "reviewer_id": "ann",
         "verdict": "overturned"},
    ]  # fmt: skip
    for given_rows in (rows, rows[::-1]):
        labels = labels_of(decisions_of(1), reviews_of(*given_rows))
        assert labels["label"].tolist() == ["error"]
