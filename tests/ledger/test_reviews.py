"""Reviews in the ledger."""

import tempfile
from datetime import timedelta

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from errdetect.data.table_reading import read_reviews
from errdetect.errors import DataError
from errdetect.ledger.ledger import open_ledger
from errdetect.ledger.review_records import IngestCounts


@pytest.fixture
def at(make_run):
    return make_run()[0].scored_at


def test_ingesting_twice_changes_nothing(ledger, make_reviews, at):
    reviews = make_reviews(["d1", "d2", "d3"])
    assert ledger.ingest(reviews, at) == IngestCounts(3, 0, 0)
    before = ledger.reviews()
    assert ledger.ingest(reviews.iloc[::-1], at + timedelta(days=1)) == IngestCounts(0, 3, 0)
    pd.testing.assert_frame_equal(ledger.reviews(), before)
    assert ledger.history("reviews")["note"].tolist() == ["3 new reviews of 3"]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("verdict", "upheld"),
        ("minutes", 3.0),
        ("minutes", None),
        ("site", "x"),
        ("decision_id", "z"),
    ],
)
def test_another_answer_under_a_known_id_is_a_conflict(ledger, make_reviews, at, column, value):
    ledger.ingest(make_reviews(["d1"]), at)
    other = make_reviews(["d1", "d2"])
    other.loc[0, column] = value
    assert ledger.ingest(other, at) == IngestCounts(1, 0, 1, ("rev-d1",))
    assert ledger.reviews().set_index("review_id").loc["rev-d1", "verdict"] == "overturned"


def test_copies_and_conflicts_within_one_frame(ledger, make_reviews, at):
    one = make_reviews(["d1"])
    reviews = pd.concat([one, one, one.assign(verdict="upheld")])
    assert ledger.ingest(reviews, at) == IngestCounts(1, 1, 1, ("rev-d1",))


def test_reviews_come_back_as_read_reviews_gives_them(ledger, make_reviews, at, tmp_path):
    reviews = make_reviews(["d1", "d2"], inclusion_probability=[0.1, None], site=["Łódź", None])
    reviews["reviewed_at"] = pd.to_datetime(
        ["2026-03-01 08:00:00.123456+00:00", "2026-03-01T10:00:00+02:00"],
        format="ISO8601",
        utc=True,
    )
    reviews.sort_values(["reviewed_at"]).to_parquet(tmp_path / "r.parquet")
    read = read_reviews(tmp_path / "r.parquet").frame
    ledger.ingest(read, at)
    pd.testing.assert_frame_equal(ledger.reviews(), read.reset_index(drop=True))
    assert ledger.ingest(read, at) == IngestCounts(0, 2, 0)


def test_no_reviews_have_the_columns_too(ledger, make_reviews, at):
    ledger.ingest(make_reviews([]), at)
    empty = ledger.reviews()
    ledger.ingest(make_reviews(["d1"]), at)
    assert empty.dtypes.to_dict() == ledger.reviews().dtypes.to_dict()


def test_reviews_without_their_columns_are_refused(ledger, make_reviews, at):
    with pytest.raises(DataError, match="The reviews must have the columns verdict, got"):
        ledger.ingest(make_reviews().drop(columns="verdict"), at)


_ANSWERS = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["upheld", "overturned"])))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_ANSWERS, st.integers(0, 10))
def test_however_they_are_split_the_first_answer_stands(make_reviews, at, answers, cut):
    ids = [one for one, _ in answers]
    reviews = make_reviews(ids, verdict=[verdict for _, verdict in answers])
    with (
        tempfile.TemporaryDirectory() as folder,
        open_ledger(f"sqlite:///{folder}/ledger.db") as ledger,
    ):
        counts = [ledger.ingest(part, at) for part in (reviews[:cut], reviews[cut:])]
        known = ledger.reviews().set_index("decision_id")["verdict"].to_dict()
    first = dict(reversed(answers))
    assert known == first
    assert sum(one.new for one in counts) == len(first)
    differ = sum(verdict != first[one] for one, verdict in answers)
    assert sum(one.conflicting for one in counts) == differ
    assert sum(one.repeated for one in counts) == len(answers) - len(first) - differ


def _later(reviews, hours, **columns):
    """The same reviews, corrected so many hours later."""
    return reviews.assign(updated_at=reviews["reviewed_at"] + pd.Timedelta(hours=hours), **columns)


def test_a_correction_is_taken_in_and_the_first_answer_kept(ledger, make_reviews, at):
    first = make_reviews(["d1", "d2"])
    second = _later(first.head(1), 5, verdict="upheld")
    third = _later(first.head(1), 2, verdict="relabelled")
    ledger.ingest(first, at)
    assert ledger.ingest(second, at) == IngestCounts(0, 0, 0, corrected=1)
    assert ledger.ingest(second, at) == IngestCounts(0, 1, 0)
    assert ledger.ingest(third, at) == IngestCounts(0, 0, 0, earlier=1)
    assert ledger.ingest(first, at) == IngestCounts(0, 2, 0)
    known = ledger.reviews()
    own = known[known["review_id"] == "rev-d1"]
    assert own["verdict"].tolist() == ["overturned", "relabelled", "upheld"]
    assert own["updated_at"].isna().tolist() == [True, False, False]
    other = second.assign(verdict="overturned")
    assert ledger.ingest(other, at) == IngestCounts(0, 0, 1, ("rev-d1",))
    assert ledger.history("reviews")["note"].tolist() == [
        "2 new reviews of 2",
        "0 new reviews of 1, 1 corrections",
        "0 new reviews of 1, 1 earlier versions",
    ]


def test_only_the_conflicting_rows_of_a_review_are_named(ledger, make_reviews, at):
    first = make_reviews(["d1"])
    ledger.ingest(first, at)
    rows = pd.concat([first.assign(site="x"), _later(first, 1, verdict="upheld"), first])
    counts = ledger.ingest(rows, at)
    assert (counts.conflicting_rows, counts.corrected, counts.repeated) == ((0,), 1, 1)


def test_a_review_that_was_corrected_since_is_an_answer_to_the_queue(
    ledger, make_run, make_reviews, at
):
    run, queue, scored = make_run(hours=48)
    ledger.ingest(make_reviews(["d1"]), at)  # a day before they were queued
    ledger.record_run(run, queue, scored)
    assert ledger.queued_decisions(open_only=True)["decision_id"].tolist() == ["d1", "d2"]
    ledger.ingest(_later(make_reviews(["d1"]), 48, verdict="upheld"), at)
    assert ledger.queued_decisions(open_only=True)["decision_id"].tolist() == ["d2"]


_VERSIONS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.sampled_from(["upheld", "overturned"])),
    unique_by=lambda row: row[:2],  # of two answers at one moment the first that comes is kept
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_VERSIONS, st.integers(0, 12), st.randoms())
def test_several_ingests_in_any_order_equal_one(make_reviews, at, versions, cut, random):
    hours = [hour for _, hour, _ in versions]
    reviews = make_reviews([one for one, _, _ in versions], verdict=[v for _, _, v in versions])
    reviews = reviews.assign(updated_at=reviews["reviewed_at"] + pd.to_timedelta(hours, "h"))
    order = random.sample(range(len(reviews)), len(reviews))
    mixed = reviews.iloc[order]
    held = []
    for parts in ([reviews], [mixed[:cut], mixed[cut:], reviews]):
        with (
            tempfile.TemporaryDirectory() as folder,
            open_ledger(f"sqlite:///{folder}/ledger.db") as ledger,
        ):
            for part in parts:
                ledger.ingest(part, at)
            held.append(ledger.reviews())
    pd.testing.assert_frame_equal(held[0], held[1])
    assert len(held[0]) == len(versions)
