import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errdetect.errors import DataError
from errdetect.policy.changes import changes, changes_by, difference
from errdetect.policy.figures import Said

rates = (
    st.lists(st.floats(0, 1), min_size=3, max_size=3)
    .map(sorted)
    .map(lambda r: Said(r[1], r[0], r[2]))
)


def trend(*rows):
    """Periods of an error rate: (start, estimate, low, high), or (start,) where it is held back."""
    return pd.DataFrame(
        [
            {
                "period_start": row[0],
                "measure": "error_rate",
                "estimate": row[1] if len(row) > 1 else 0.0,
                "low": row[2] if len(row) > 1 else 0.0,
                "high": row[3] if len(row) > 1 else 1.0,
                "suppressed": len(row) == 1,
            }
            for row in rows
        ]
    )


@given(rates, rates)
def test_a_difference_turns_around_with_its_rates(one, other):
    there, back = difference(one, other), difference(other, one)
    assert there.low <= there.estimate <= there.high
    assert there.low == pytest.approx(-back.high)
    assert there.high == pytest.approx(-back.low)


@given(rates, rates)
def test_a_difference_is_clear_wherever_the_intervals_lie_apart(one, other):
    gap = difference(one, other)
    if other.low > one.high:
        assert gap.low >= 0
    if other.high < one.low:
        assert gap.high <= 0


def test_equal_half_widths_add_by_their_squares():
    gap = difference(Said(0.5, 0.4, 0.6), Said(0.5, 0.4, 0.6))
    assert gap.high == pytest.approx(0.1 * math.sqrt(2))


def test_the_interval_of_a_difference_covers_about_as_often_as_it_says():
    rng = np.random.default_rng(5)
    p, q, n, covered = 0.12, 0.07, 400, 0
    for _ in range(2000):
        found = [Said(*wilson(rng.binomial(n, rate), n)) for rate in (p, q)]
        gap = difference(*found)
        covered += gap.low <= q - p <= gap.high
    assert 0.935 < covered / 2000 < 0.97


def wilson(k, n):
    rate, z = k / n, 1.96
    middle = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return rate, middle - half, middle + half


def test_the_last_two_figures_are_compared_over_a_gap():
    (change,) = changes(
        trend(
            ("2025-01-01", 0.2, 0.18, 0.22),
            ("2025-02-01", 0.1, 0.09, 0.11),
            ("2025-03-01",),
            ("2025-04-01", 0.05, 0.04, 0.06),
        )
    )
    assert (change.since, change.until, change.way) == ("1 Feb 2025", "1 Apr 2025", "fall")
    assert change.sentence.replace("\u00a0", " ") == (
        "Wrong among all decisions: from 10.0 % (1 Feb 2025) to 5.0 % (1 Apr 2025): a clear fall, "
        "-6.4 to -3.6 points."
    )


def test_a_change_within_chance_is_not_shown():
    found = changes(trend(("2025-01-01", 0.1, 0.05, 0.2), ("2025-02-01", 0.12, 0.06, 0.2)))
    assert found[0].way == ""
    assert "no change is shown" in found[0].brief


def test_one_figure_is_no_change():
    assert changes(trend(("2025-01-01", 0.1, 0.05, 0.2), ("2025-02-01",))) == ()
    assert changes(None) == ()


def test_policies_without_two_figures_are_absent():
    both = trend(("2025-01-01", 0.1, 0.08, 0.12), ("2025-02-01", 0.2, 0.18, 0.22))
    frame = pd.concat([both.assign(policy_id="a"), both.iloc[:1].assign(policy_id="b")])
    assert list(changes_by(frame)) == ["a"]
    assert changes_by(frame)["a"][0].way == "rise"


def test_a_missing_column_is_named():
    with pytest.raises(DataError, match=r"table trend_by must have .* got no policy_id"):
        changes_by(trend(("2025-01-01",)))
