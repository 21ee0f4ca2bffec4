import pandas as pd
import pytest

from errdetect.errors import DataError
from errdetect.report.model_section import read_reliability

COLUMNS = ["predicted", "observed", "low", "high", "n"]


def table(*rows):
    return pd.DataFrame(rows, columns=COLUMNS)


GROUPS = table([0.30, 0.21, 0.17, 0.26, 400], [0.05, 0.06, 0.04, 0.09, 400])


def segments(*differs):
    rows = [
        {"column": "market", "value": f"M{i}", "predicted": 0.1, "observed": 0.1 + 0.1 * i,
         "low": 0.0, "high": 1.0, "n": 50, "differs": d}
        for i, d in enumerate(differs)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_predicted_and_observed_are_put_into_a_sentence():
    found = read_reliability(GROUPS)
    assert found is not None
    assert found.sentence.replace("\u00a0", " ") == (
        "Of decisions with a predicted error probability of 30.0 %, 21.0 % were wrong (17.0 to 26.0 %). "
        "In 1 of 2 groups the interval includes the prediction."
    )
    assert [g.apart for g in found.groups] == [False, True]
    assert (found.checked, found.segments) == (None, ())


def test_the_chart_holds_every_point_and_runs_upwards():
    found = read_reliability(GROUPS)
    assert found is not None
    assert all(0 <= v <= 100 for g in found.groups for v in (g.x, g.y, g.low, g.high))
    few, many = found.groups
    assert few.x < many.x
    assert few.y > many.y
    assert all(g.high < g.y < g.low for g in found.groups)


@pytest.mark.parametrize("frame", [None, table(), table([None, 0.1, 0.0, 0.2, 9])])
def test_nothing_measured_shows_nothing(frame):
    assert read_reliability(frame) is None


def test_segments_are_named_by_their_gap():
    found = read_reliability(GROUPS, segments(False, True, True))
    assert found is not None
    assert found.checked == (
        "Of 3 segments with enough reviews to check, 2 differ from the prediction beyond chance:"
    )
    assert [(name, gap.replace("\u00a0", " ")) for name, gap in found.segments] == [
        ("market M2", "predicted 10.0 %, observed 30.0 %"),
        ("market M1", "predicted 10.0 %, observed 20.0 %"),
    ]


def test_no_segment_standing_out_is_said_too():
    found = read_reliability(GROUPS, segments(False, False))
    assert found is not None
    assert found.segments == ()
    assert found.checked is not None
    assert "none differs" in found.checked


def test_many_segments_are_counted():
    found = read_reliability(GROUPS, segments(*[True] * 11))
    assert found is not None
    assert len(found.segments) == 8
    assert found.checked is not None
    assert found.checked.endswith("the 8 largest gaps:")


def test_a_missing_column_is_named():
    with pytest.raises(DataError, match="observed"):
        read_reliability(GROUPS.drop(columns="observed"))
