"""Reviews in the ledger."""

from datetime import timedelta

import pandas as pd
import pytest

from errdetect.data.store.ledger import IngestCounts
from errdetect.data.tables import read_reviews
from errdetect.errors import DataError


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
