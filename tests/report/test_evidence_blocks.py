import numpy as np

from errdetect.changes.text_formatting import to_records
from errdetect.report.evidence_blocks import (
    brief_blocks,
    case_block,
    driver_block,
    slice_block,
    threshold_blocks,
)


def driver(**changes):
    return {"code": "a", "text": "A", "share": 0.4, "n_decisions": 30} | changes


def plain(value):
    return str(value).replace("\u00a0", " ")


def test_a_driver_says_its_interval_and_whether_it_moved():
    moved = {"low": 0.3, "high": 0.5, "share_before": 0.2, "change_low": 0.1, "change_high": 0.3}
    _, _, ends, value, beside, _ = driver_block([driver(**moved)], 5)[0]["r"][0]
    assert ends == [30.0, 50.0]
    assert plain(value) == "40.0 % (30.0 to 50.0 %)"
    assert plain(beside[1]) == "up from 20.0 % in the previous period"
    still = driver_block([driver(**moved | {"change_low": -0.1})], 5)[0]["r"][0][4][1]
    assert plain(still) == "20.0 % in the previous period: no clear change"


def test_a_flag_tells_as_well_whether_a_share_moved_and_whether_its_place_is_sure():
    halves = {"share_before": 0.2, "share_after": 0.1, "stable": None}
    beside = driver_block([driver(**halves, moved=True)], 5)[0]["r"][0][4]
    assert [plain(text) for text in beside[1:]] == [
        "its rank among the reasons is not settled yet",
        "down from 20.0 % in the previous period",
    ]
    still = driver_block([driver(**halves, moved=False)], 5)[0]["r"][0][4]
    assert still[-1].endswith("no clear change")


def test_nobody_looked_is_not_none_found():
    assert "No search for rules" in slice_block([], 5, looked=False)[0]["x"]
    assert "No rule was found" in slice_block([], 5)[0]["x"]
    row = {"decision_id": "d1", "p_error": 0.8, "error_kind": "wrongful_action"}
    bare, none = (case_block([r], 1)[0]["r"][0] for r in (row, row | {"contrast_id": None}))
    assert (bare.get("s"), none.get("s")) == (1, None)


def test_a_driver_without_interval_has_none():
    assert driver_block([driver(share=None)], 5)[0]["r"][0][1:4] == [0.0, [], "share unknown"]


def test_slices_stand_confirmed_first_and_what_is_left_out_is_counted(make):
    rows = to_records(make["slices"](["a"], 4))
    rows[3]["harm_saved"] = 10_000.0
    table, left = slice_block(rows[::-1], 3)
    assert [row[-1] for row in table["r"]] == ["yes", "yes", "yes"]
    assert left["x"] == "1 more in the table “slices”."


def test_a_slice_without_figures_says_so():
    row = {"rule": "market is DE", "n": None, "error_rate": None, "low": None, "high": None}
    cells = slice_block([row | {"base_rate": None, "confirmed": None}], 3)[0]["r"][0]
    assert [c["x"] for c in cells if isinstance(c, dict) and c.get("u")] == [
        "not known yet",
        "not known",
        "not known",
        "not known",
        "not known",
    ]
    assert cells[-1] == "not shown"


def test_cases_stand_by_rank_and_reasons_against_are_marked(make):
    rows = to_records(make["cases"](["a"]))
    rows[0]["against"] = [{"code": "x", "text": "The seller is old", "contribution": -0.4}]
    found = case_block(rows[::-1], 2)[0]["r"]
    assert [case["i"] for case in found] == [row["decision_id"] for row in rows[:2]]
    assert found[0]["r"][-1] == ["The seller is old", 0]
    assert found[0]["o"]["d"].startswith("The seller is older")
    assert "o" not in found[1]


def test_a_brief_is_bounded_and_nothing_in_it_is_hidden():
    row = {"file": "a.md", "title": "T", "text": "line\n\u202e" + "x" * 1_000_000}
    text = brief_blocks([row], 1)[1]["y"]
    assert text.startswith("line\n[U+202E]x")
    assert len(text) < 7000
    assert brief_blocks([], 1) == []


def test_the_bar_of_today_and_the_recommended_one_are_said_and_marked(make):
    sentence, chart, table = threshold_blocks(to_records(make["thresholds"](["a"])), 2, 3)
    assert sentence["x"] == (
        "image-cnn 4.2: the threshold is 0.6. A threshold of 0.7 would bring expected harm 100 (between 80 "
        "and 120) instead of 103 (between 82 and 124)."
    )
    assert (chart["n"][1], chart["g"][1]) == ("0.6", "0.7")
    assert [len(point) for point in chart["p"]] == [1] * 2 + [4] * 15
    named = [row[0]["q"] for row in table["r"] if isinstance(row[0], dict)]
    assert named == ["today", "recommended"]


def test_no_recommended_bar_means_none_is_shown_to_be_better(make):
    frame = make["thresholds"](["a"]).assign(recommended=False)
    assert threshold_blocks(to_records(frame), 2, 3)[0]["x"].endswith(
        "No other threshold is shown to do less harm."
    )


def test_without_support_nothing_is_drawn(make):
    frame = make["thresholds"](["a"]).assign(supported=False, harm=np.nan)
    (said,) = threshold_blocks(to_records(frame), 2, 3)
    assert said["t"] == "a"
    assert "Too few reviewed decisions" in said["y"]


def test_machines_beyond_the_first_are_left_to_the_table(make):
    frame = make["thresholds"](["a"], ("m1", "m2", "m3"))
    assert threshold_blocks(to_records(frame), 1, 3)[-1]["x"] == (
        "2 more in the table “thresholds”."
    )
