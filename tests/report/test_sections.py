"""The summary, the reasons, the queue's head, the ranking and the trend, as laid out."""

import pandas as pd
import pytest

from errdetect.errors import DataError
from errdetect.report.action_items import MAX_CASES, read_cases
from errdetect.report.drivers_section import driver_rows, read_drivers
from errdetect.report.model_section import ranked_groups, read_ranking
from errdetect.report.reported_rates import reported_rates
from errdetect.report.summary_section import build_summary, overall_rates
from errdetect.report.trend_section import build_trends


def evaluation(**recall_at_5):
    """Each method's share found in the first 5 %: (value, low, high)."""
    rows = [[m, "recall_at_5", *found] for m, found in recall_at_5.items()]
    return pd.DataFrame(rows, columns=["method", "metric", "value", "low", "high"])


def trend(*rates):
    """Monthly error rates of one percent half-width; None is held back."""
    return pd.DataFrame(
        {
            "period_start": pd.date_range("2025-01-01", periods=len(rates), freq="MS", tz="UTC"),
            "measure": "error_rate",
            "estimate": [r or 0.0 for r in rates],
            "low": [(r or 0.0) - 0.01 for r in rates],
            "high": [(r or 0.0) + 0.01 for r in rates],
            "suppressed": [r is None for r in rates],
        }
    )


def test_the_whole_is_found_in_a_block_where_it_has_no_table_of_its_own(make):
    frame = pd.concat([make["by"]("market", ["DE"], [0.1]), make["whole"]()])
    assert overall_rates({"market": frame})["error_rate"].n_reviews == 6021
    assert overall_rates({"market": make["by"]("market", ["DE"], [0.1])}) == {}


def test_squares_only_for_what_can_be_said(make):
    said = build_summary(reported_rates(make["whole"](), "whole"))
    assert said.audited is not None
    assert said.claimed is not None
    held = build_summary(reported_rates(make["whole"](12, 400, suppressed=True), "whole"))
    assert held.audited is None


def test_reasons_stand_by_share_then_by_code():
    rows = [
        {"code": c, "text": c, "share": s, "n_decisions": 1}
        for c, s in (("b", 0.2), ("a", 0.2), ("c", 0.6), ("d", None))
    ]
    found = read_drivers(rows)
    assert [d.text for d in found] == ["c", "a", "b", "d"]
    assert found[-1].share is None


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({}, ""),
        ({"low": 0.2, "high": 0.4, "stable": True, "moved": False}, "between 20.0 and 40.0\xa0%; its rank is stable"),
        ({"stable": False}, "its rank is not settled yet"),
        ({"stable": None}, "too few decisions to rank it"),
        ({"moved": True, "share_before": 0.2, "share_after": 0.1},
         "fell from 20.0\xa0% to 10.0\xa0% in the later half"),
        ({"moved": None, "share_before": None, "share_after": None}, ""),
    ],
)  # fmt: skip
def test_how_sure_a_driver_is(more, says):
    row = {"code": "a", "text": "The text", "share": 0.3, "n_decisions": 40, **more}
    assert read_drivers([row])[0].said == says


def test_drivers_without_a_column_are_refused(make):
    with pytest.raises(DataError, match=r"table drivers must have .* got no share"):
        driver_rows(make["drivers"](["a"]).drop(columns="share"))


def test_the_queue_stands_by_rank_and_is_bounded(make):
    found = read_cases(make["queue"](["a"], n=60).sample(frac=1, random_state=1), {})
    assert [c.rank for c in found] == list(range(1, MAX_CASES + 1))


def test_a_bare_queue_needs_neither_text_nor_reasons(make):
    frame = make["queue"](["a"], n=1).drop(columns=["text", "reasons", "market", "action"])
    case = read_cases(frame.assign(p_error=None, expected_harm=None), {})[0]
    assert (case.text, case.reasons, case.p_error, case.harm) == (None, (), None, "not given")
    assert case.facts == ("de",)


def test_what_a_budget_finds_is_said_in_a_sentence():
    found = read_ranking(evaluation(model=(0.38, 0.33, 0.43), random=(0.05, 0.04, 0.06)))
    assert found is not None
    assert found.sentence.replace("\u00a0", " ") == (
        "Reviewing the 5 % ranked first finds 38 % of all errors (between 33 % and 43 %); "
        "picking at random would find 5 %."
    )
    assert found.rivals == ()


@pytest.mark.parametrize(
    ("margin", "verdict"),
    [
        ((0.21, 0.15, 0.27), "finds 21\u00a0%: this ranking finds clearly more"),
        (
            (0.30, 0.25, 0.35),
            "finds 30\u00a0%; the two intervals overlap, so there is no clear difference",
        ),
        ((0.60, 0.50, 0.70), "finds 60\u00a0%: this ranking finds clearly fewer"),
        ((0.21, None, None), "finds 21\u00a0%; without intervals the difference is inconclusive"),
    ],
)
def test_a_rival_is_beaten_only_where_the_intervals_lie_apart(margin, verdict):
    found = read_ranking(evaluation(model=(0.38, 0.33, 0.43), margin=margin))
    assert found is not None
    assert found.rivals == (("The machine’s own uncertainty", verdict),)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.02, 0.1, "this ranking is clearly better"),
        (-0.02, 0.1, "there is no clear difference"),
        (-0.2, -0.1, "this ranking is clearly worse"),
    ],
)
def test_a_measured_lead_decides_over_the_intervals(low, high, verdict):
    rows = evaluation(model=(0.38, 0.33, 0.43), margin=(0.30, 0.25, 0.35))
    lead = {"method": "margin", "metric": "lead", "value": (low + high) / 2}
    found = read_ranking(pd.concat([rows, pd.DataFrame([{**lead, "low": low, "high": high}])]))
    assert found is not None
    assert found.rivals[0][1].endswith(f"over the whole order {verdict}")


def test_what_is_known_without_a_draw_has_no_interval():
    found = read_ranking(evaluation(model=(0.38, 0.33, 0.43), random=(0.05, 0.05, 0.05)))
    assert found is not None
    assert found.methods[1].recall[5] == (0.05, None)


def test_budgets_may_be_parts_of_a_percent():
    frame = evaluation(model=(0.38, 0.33, 0.43)).assign(metric="recall_at_0.5")
    found = read_ranking(frame)
    assert found is not None
    assert found.budgets == (0.5,)
    assert found.sentence.startswith("Reviewing the 0.5\u00a0% ranked first")


def test_an_evaluation_of_others_only_says_nothing_of_the_ranking():
    assert read_ranking(evaluation(margin=(0.2, 0.1, 0.3))) is None


def test_a_trend_says_whether_the_difference_is_more_than_chance():
    assert build_trends(trend(0.08, 0.07, 0.03))[0].verdict.endswith(": a clear fall.")
    assert build_trends(trend(0.03, 0.08))[0].verdict.endswith(": a clear rise.")
    assert build_trends(trend(0.04, 0.05))[0].verdict.endswith(": no clear change.")
    assert "not known yet" in build_trends(trend(0.04, None))[0].verdict


def test_a_period_held_back_leaves_a_gap():
    points = build_trends(trend(0.04, None, 0.05, 0.05))[0].points
    assert [p.joined for p in points] == [False, False, False, True]
    assert points[1].y is None
    assert points[1].percent == "not known yet"


def test_one_period_is_no_trend():
    assert build_trends(trend(0.04)) == ()


def segments(*rows):
    columns = ["segment", "level", "value", "low", "high", "n", "n_errors", "suppressed"]
    return pd.DataFrame(rows, columns=columns)


def test_groups_are_held_against_the_whole_worst_first():
    found = ranked_groups(
        segments(
            ["all", None, 0.8, 0.75, 0.85, 900, 90, False],
            ["policy_id", "p1", 0.9, 0.85, 0.95, 200, 30, False],
            ["market", "DE", 0.7, 0.6, 0.79, 200, 30, False],
            ["reviewers", "split", 0.75, 0.6, 0.9, 100, 30, False],
            ["market", "FR", None, None, None, 20, 1, True],
        ),
        {"p1": "Spam"},
    )
    assert found is not None
    assert [(g.column, g.label, g.against) for g in found.groups] == [
        ("market", "DE", "worse"),
        ("people's answers", "split", "no clear difference"),
        ("policy", "Spam", "better"),
    ]
    assert (found.n_unsaid, found.n_left) == (1, 0)


def test_groups_without_a_whole_or_without_figures_say_nothing():
    group = ["market", "DE", 0.7, 0.6, 0.79, 200, 30, False]
    hidden = ["all", None, None, None, None, 20, 1, True]
    assert ranked_groups(None, {}) is None
    assert ranked_groups(segments(group), {}) is None
    assert ranked_groups(segments(hidden, group), {}) is None
    whole = ["all", None, 0.8, 0.75, 0.85, 900, 90, False]
    assert ranked_groups(segments(whole), {}) is None


def test_a_better_policy_is_named_where_one_is_suggested(make):
    frame = make["queue"](["a"], n=2).assign(
        error_kind="wrong_label", suggested_policy_id=["spam", None]
    )
    assert [c.error_kind for c in read_cases(frame, {})] == [
        "wrong label: spam fits better",
        "wrong label",
    ]
