from datetime import timedelta

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings

from errdetect import schemas
from errdetect.errors import DataError
from errdetect.labels.decision_labels import MATURITY, label_decisions
from errdetect.labels.review_history import build_review_history
from errdetect.snapshot import LabelRules, Snapshot

DAY = timedelta(days=1)
ANY_REVIEW = st.fixed_dictionaries(
    {
        "decision_id": st.sampled_from(["d0", "d1", "d2", "d3"]),
        "day": st.integers(-1, 6),
        "source": st.sampled_from(schemas.SOURCES),
        "verdict": st.sampled_from(schemas.VERDICTS),
        "reviewer_id": st.sampled_from(["ann", "bob", "cy", None]),
        "expected": st.sampled_from([*schemas.VERDICTS, None]),
    }
)
SOME_REVIEWS = st.lists(ANY_REVIEW, max_size=12)
FOUR = {"enforced": [True, False, True, False]}


def labels_of(decisions, reviews, *, as_of=None, maturity=MATURITY):
    return Snapshot(decisions, reviews, as_of=as_of, rules=LabelRules("votes", maturity)).labels


def label_with(decisions, reviews, p_reviews, as_of):
    history = build_review_history(decisions, reviews, as_of=as_of)
    return label_decisions(decisions, history, as_of=as_of, p_reviews=p_reviews)


def row(decisions, reviews, **options):
    return labels_of(decisions, reviews, **options).iloc[0]


@given(SOME_REVIEWS, SOME_REVIEWS, st.integers(0, 6))
@settings(max_examples=150)
def test_a_later_review_never_changes_what_was_known(
    decisions_of, reviews_of, at, early, late, day
):
    known = [r for r in early if r["day"] <= day]
    later = [r | {"day": r["day"] + day + 2} for r in late]
    decisions = decisions_of(4, **FOUR)
    before = labels_of(decisions, reviews_of(*known), as_of=at(day))
    after = labels_of(decisions, reviews_of(*known, *later), as_of=at(day))
    pd.testing.assert_frame_equal(before, after)


@given(st.data(), SOME_REVIEWS)
@settings(max_examples=150)
def test_the_order_of_rows_changes_nothing(decisions_of, reviews_of, data, rows):
    decisions, reviews = decisions_of(4, **FOUR), reviews_of(*rows)
    shuffled = reviews.iloc[data.draw(st.permutations(range(len(reviews))))]
    turned = decisions.iloc[data.draw(st.permutations(range(4)))]
    want = labels_of(decisions, reviews)
    got = labels_of(turned, shuffled).set_index("decision_id").loc[decisions["decision_id"]]
    pd.testing.assert_frame_equal(want, got.reset_index())


@given(SOME_REVIEWS)
@settings(max_examples=150)
def test_golden_reviews_never_make_labels(decisions_of, reviews_of, at, rows):
    decisions = decisions_of(4, **FOUR)
    with_golden = labels_of(decisions, reviews_of(*rows), as_of=at(6))
    others = [r | {"review_id": f"r{i:03d}"} for i, r in enumerate(rows) if r["source"] != "golden"]
    pd.testing.assert_frame_equal(
        with_golden, labels_of(decisions, reviews_of(*others), as_of=at(6))
    )


@given(SOME_REVIEWS, st.integers(0, 6))
@settings(max_examples=150)
def test_every_label_keeps_the_contract(decisions_of, reviews_of, at, rows, day):
    labels = labels_of(decisions_of(4, **FOUR), reviews_of(*rows), as_of=at(day))
    pa.Table.from_pandas(labels, schema=schemas.LABELS, preserve_index=False)
    known = labels["label"] != "unknown"
    assert (labels["state"] == "matured").equals(known)
    assert labels["known_at"].notna().equals(known)
    assert (labels.loc[known, "known_at"] <= at(day)).all()
    assert labels["error_kind"].notna().equals(labels["label"] == "error")
    assert labels.loc[labels["n_reviews"] == 0, "p_label"].isna().all()
    assert (labels["sources"].map(len) == 0).equals(labels["n_reviews"] == 0)


@pytest.mark.parametrize(
    ("enforced", "verdict", "label", "kind"),
    [
        (True, "upheld", "correct", None),
        (True, "overturned", "error", "wrongful_action"),
        (False, "overturned", "error", "missed_violation"),
        (True, "relabelled", "error", "wrong_label"),
        (False, "upheld", "correct", None),
    ],
)
def test_kinds_of_error(decisions_of, reviews_of, enforced, verdict, label, kind):
    reviews = reviews_of({"decision_id": "d0", "day": 1, "verdict": verdict})
    found = row(decisions_of(1, enforced=enforced), reviews)
    assert found["label"] == label
    assert found["error_kind"] == kind or (kind is None and pd.isna(found["error_kind"]))


def test_a_tie_is_unknown_and_waits(decisions_of, reviews_of, at):
    reviews = reviews_of(
        {"decision_id": "d0", "day": 1},
        {"decision_id": "d0", "day": 2, "verdict": "overturned", "source": "appeal"},
    )
    found = row(decisions_of(1), reviews)
    assert (found["label"], found["p_label"], found["state"]) == ("unknown", 0.5, "pending")
    assert (found["n_reviews"], found["sources"]) == (2, ["appeal", "audit"])
    assert pd.isna(found["known_at"])
    assert row(decisions_of(1), reviews, as_of=at(184))["state"] == "censored"


def test_votes_are_counted_and_the_newest_review_that_counts_dates_the_label(
    decisions_of, reviews_of, at
):
    reviews = reviews_of(
        {"decision_id": "d0", "day": 3, "verdict": "overturned"},
        {"decision_id": "d0", "day": 1, "verdict": "relabelled"},
        {"decision_id": "d0", "day": 2, "verdict": "upheld"},
    )
    found = row(decisions_of(1), reviews)
    assert found["p_label"] == pytest.approx(2 / 3)
    assert found["error_kind"] == "wrongful_action"  # as many for each: the action is at stake
    assert found["known_at"] == at(3)


def test_an_adjudication_stands_over_everything(decisions_of, reviews_of, at):
    reviews = reviews_of(
        {"decision_id": "d0", "day": 1, "verdict": "overturned"},
        {"decision_id": "d0", "day": 2, "verdict": "upheld", "source": "adjudication"},
        {"decision_id": "d0", "day": 3, "verdict": "overturned", "source": "appeal"},
    )
    p_reviews = pd.Series([0.9], index=["d0"])
    found = label_with(decisions_of(1), reviews, p_reviews, at(3)).iloc[0]
    assert (found["label"], found["p_label"], found["known_at"]) == ("correct", 0.0, at(2))
    assert found["sources"] == ["adjudication", "appeal", "audit"]


def test_not_appealed_is_unknown_never_correct(decisions_of, reviews_of, at):
    decisions, none = decisions_of(1), reviews_of()
    states = {day: row(decisions, none, as_of=at(day))["state"] for day in (0, 183.9, 184)}
    assert states == {0: "pending", 183.9: "pending", 184: "censored"}
    assert row(decisions, none, as_of=at(400))["label"] == "unknown"


def test_the_longest_window_of_any_source_counts(decisions_of, reviews_of, at):
    windows = {"appeal": 5 * DAY, "report": 9 * DAY}
    found = [
        row(decisions_of(1), reviews_of(), as_of=at(day), maturity=windows)["state"]
        for day in (8, 9)
    ]
    assert found == ["pending", "censored"]


@pytest.mark.parametrize(("window", "days"), [(0 * DAY, 0), (DAY / 4, 0.25)])
def test_a_window_may_be_less_than_a_day(decisions_of, reviews_of, at, window, days):
    states = [
        row(decisions_of(1), reviews_of(), as_of=at(days + later), maturity={"appeal": window})[
            "state"
        ]
        for later in ((-0.1, 0) if days else (0,))
    ]
    assert states == (["pending", "censored"] if days else ["censored"])


def test_six_months_are_never_shorter_than_six_months():
    assert all(
        pd.Timestamp(day) + pd.DateOffset(months=6) <= pd.Timestamp(day) + MATURITY["appeal"]
        for day in pd.date_range("2024-01-01", "2027-12-31")
    )


def test_a_decision_of_the_future_has_no_label(decisions_of, reviews_of, at):
    decisions = decisions_of(1).assign(decided_at=at(10))
    reviews = reviews_of({"decision_id": "d0", "day": 11})
    found = row(decisions, reviews, as_of=at(5))
    assert (found["label"], found["state"], found["n_reviews"]) == ("unknown", "pending", 0)


def test_the_reviewer_model_settles_conflicts_only(decisions_of, reviews_of, at):
    decisions = decisions_of(4)
    reviews = reviews_of(
        {"decision_id": "d0", "day": 1, "verdict": "overturned"},
        {"decision_id": "d1", "day": 1, "verdict": "overturned"},
        {"decision_id": "d1", "day": 2, "verdict": "upheld"},
        {"decision_id": "d2", "day": 1, "verdict": "overturned"},
        {"decision_id": "d2", "day": 2, "verdict": "upheld"},
    )
    p_reviews = pd.Series([0.3, 0.2, 0.8], index=["d0", "d1", "d3"])
    labels = label_with(decisions, reviews, p_reviews, at(2))
    assert labels["label"].tolist() == ["error", "correct", "unknown", "unknown"]
    assert labels["p_label"].tolist()[:3] == [0.3, 0.2, 0.5]
    assert np.isnan(labels["p_label"][3])  # nobody reviewed it


def test_no_decisions_give_no_labels(decisions_of, reviews_of):
    labels = labels_of(decisions_of(0), reviews_of({"decision_id": "d0", "day": 1}))
    assert len(labels) == 0
    assert list(labels) == schemas.LABELS.names
    pa.Table.from_pandas(labels, schema=schemas.LABELS, preserve_index=False)


@pytest.mark.parametrize(
    ("maturity", "text"),
    [
        ({"apeal": DAY}, r"maturity must name sources of audit, .*, got \['apeal'\]\. Rename"),
        ({"appeal": -DAY}, "maturity of appeal must be at least 0, got -1 day"),
    ],
)
def test_an_unusable_maturity_is_refused(decisions_of, reviews_of, maturity, text):
    with pytest.raises(DataError, match=text):
        labels_of(decisions_of(1), reviews_of(), maturity=maturity)
