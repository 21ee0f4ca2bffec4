from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errdetect.report.charts import (
    axis_position,
    choose_axis,
    full_axis,
    interval_strip,
    spread_labels,
    waffle_squares,
)
from errdetect.report.reported_rates import IntervalEstimate

shares = st.floats(0, 1, allow_nan=False)


@given(st.lists(shares, max_size=20))
def test_an_axis_holds_its_shares_and_few_ticks(found):
    scale = choose_axis(found)
    assert 0 < scale.top <= 1
    assert max(found, default=0) <= scale.top * (1 + 1e-9)
    assert 2 <= len(scale.ticks) <= 6
    places = [t.at for t in scale.ticks]
    assert places == sorted(set(places))
    assert places[0] == 0


@given(shares, st.floats(0.01, 1))
def test_places_stay_within_the_chart(share, top):
    assert 0 <= axis_position(share, top) <= 100


@given(shares, shares)
def test_a_waffle_fills_as_many_squares_as_the_interval(one, other):
    low, high = sorted((one, other))
    cells = waffle_squares(low, high)
    assert sum(cells.sure) == pytest.approx(100 * low, abs=0.1)
    assert sum(width for _, width in cells.likely) == pytest.approx(100 * (high - low), abs=0.2)
    assert all(start + width <= 10 + 1e-9 for start, width in cells.likely)


def test_a_strip_without_a_figure_draws_no_interval():
    mark = interval_strip(full_axis(), None, reference=0.5)
    assert (mark.at, mark.low, mark.high, mark.reference, mark.cut) == (
        None,
        None,
        None,
        50.0,
        False,
    )


def test_an_interval_past_the_end_is_cut_and_says_so():
    mark = interval_strip(choose_axis([0.1]), IntervalEstimate(0.09, 0.05, 0.4))
    assert mark.cut
    assert mark.high == 100.0


@given(st.lists(st.floats(0, 100), max_size=8))
def test_labels_keep_their_order_and_their_distance(places):
    moved = spread_labels(places, 7)
    assert len(moved) == len(places)
    ordered = sorted(moved)
    assert all(b - a >= 7 - 0.11 for a, b in pairwise(ordered))
