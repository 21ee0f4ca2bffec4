import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errdetect.errors import DataError
from errdetect.model.evaluation import split_by_time

PARTS = (0.6, 0.2, 0.2)


@given(st.lists(st.integers(0, 50), min_size=5, max_size=200))
def test_no_part_begins_before_the_one_before_has_ended(days):
    times = pd.Series(pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(days, unit="D"))
    try:
        part = split_by_time(times, PARTS)
    except DataError as error:
        assert "must fall into three parts by time" in str(error)  # noqa: PT017
        return
    for earlier, later in ((0, 1), (1, 2)):
        assert times[part == earlier].max() < times[part == later].min()
    assert set(part) == {0, 1, 2}


def test_one_moment_cannot_be_split():
    times = pd.Series([pd.Timestamp("2026-01-01", tz="UTC")] * 9)
    with pytest.raises(DataError, match="got 9 decisions at 1 moments"):
        split_by_time(times, PARTS)


def test_order_of_rows_does_not_matter():
    times = pd.Series(pd.date_range("2026-01-01", periods=100, tz="UTC"))
    shuffled = times.sample(frac=1, random_state=0)
    assert (split_by_time(shuffled, PARTS) == split_by_time(times, PARTS)[shuffled.index]).all()
    assert np.bincount(split_by_time(times, PARTS)).tolist() == [60, 20, 20]
