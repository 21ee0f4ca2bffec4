import pandas as pd
import pytest

from errdetect.errors import DataError
from errdetect.report.trend_section import latest_changes, latest_changes_by_policy


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


def test_the_last_two_figures_are_compared_over_a_gap():
    (change,) = latest_changes(
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
    found = latest_changes(trend(("2025-01-01", 0.1, 0.05, 0.2), ("2025-02-01", 0.12, 0.06, 0.2)))
    assert found[0].way == ""
    assert "no clear change" in found[0].brief


def test_one_figure_is_no_change():
    assert latest_changes(trend(("2025-01-01", 0.1, 0.05, 0.2), ("2025-02-01",))) == ()
    assert latest_changes(None) == ()


def test_policies_without_two_figures_are_absent():
    both = trend(("2025-01-01", 0.1, 0.08, 0.12), ("2025-02-01", 0.2, 0.18, 0.22))
    frame = pd.concat([both.assign(policy_id="a"), both.iloc[:1].assign(policy_id="b")])
    assert list(latest_changes_by_policy(frame)) == ["a"]
    assert latest_changes_by_policy(frame)["a"][0].way == "rise"


def test_a_missing_column_is_named():
    with pytest.raises(DataError, match=r"table trend_by must have .* got no policy_id"):
        latest_changes_by_policy(trend(("2025-01-01",)))
