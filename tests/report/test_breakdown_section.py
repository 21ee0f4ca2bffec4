import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from errdetect.report.breakdown_section import build_breakdowns
from errdetect.report.reported_rates import reported_rates


def laid_out(make, rows, whole_rate=0.05):
    whole = reported_rates(
        pd.DataFrame([make["rate"]("error_rate", whole_rate, 9000, 90_000)]), "whole"
    )
    frame = pd.DataFrame(rows)
    return build_breakdowns({"market": frame}, whole, {})[0]


def group(make, market, rate, n=400, suppressed=False):
    return {"market": market, **make["rate"]("error_rate", rate, n, 20 * n, None, suppressed)}


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30, unique=True))
def test_the_highest_rate_stands_first_and_the_unsaid_last(found):
    rows = [
        {
            "market": f"m{i}",
            "measure": "error_rate",
            "estimate": rate,
            "low": rate,
            "high": rate,
            "n_reviews": 9,
            "n_decisions": 90,
            "method": "m",
            "proxy": None,
            "bound_low": None,
            "bound_high": None,
            "suppressed": few,
        }
        for i, (rate, few) in enumerate(found)
    ]
    block = build_breakdowns({"market": pd.DataFrame(rows)}, {}, {})[0]
    said = [g.error.said.estimate for g in block.groups if g.error.said]
    assert said == sorted((rate for rate, few in found if not few), reverse=True)
    assert all(g.error.said is None for g in block.groups[len(said) :])
    assert block.n_estimated == len(said)


def test_equal_rates_stand_by_name(make):
    block = laid_out(make, [group(make, m, 0.05) for m in ("b", "c", "a")])
    assert [g.label for g in block.groups] == ["a", "b", "c"]


def test_only_a_whole_interval_counts_as_above_or_below(make):
    block = laid_out(
        make,
        [
            group(make, "high", 0.2),
            group(make, "near", 0.055),
            group(make, "low", 0.004, n=4000),
            group(make, "few", 0.9, n=4, suppressed=True),
        ],
    )
    assert {g.key: g.against for g in block.groups} == {
        "high": "above",
        "near": "no clear difference",
        "low": "below",
        "few": "",
    }
    assert [g.key for g in block.above] == ["high"]


def test_without_an_overall_rate_nothing_is_compared(make):
    found = build_breakdowns({"market": pd.DataFrame([group(make, "DE", 0.2)])}, {}, {})[0]
    assert found.groups[0].against == ""
    assert found.groups[0].strip.reference is None


def test_the_number_expected_by_chance_grows_with_the_groups(make):
    assert laid_out(make, [group(make, f"m{i}", 0.05) for i in range(80)]).by_chance == 2
    assert laid_out(make, [group(make, "m", 0.05)]).by_chance == 0


def test_one_wide_interval_does_not_squash_the_others(make):
    rows = [group(make, f"m{i}", 0.05) for i in range(12)] + [group(make, "wide", 0.06, n=6)]
    block = laid_out(make, rows)
    assert block.axis.top <= 0.1
    assert next(g for g in block.groups if g.key == "wide").strip.cut


def test_blocks_stand_in_the_readers_order(make):
    frames = {n: make["by"](n, ["x"], [0.1]) for n in ("zone", "language", "category", "policy_id")}
    assert [b.name for b in build_breakdowns(frames, {}, {})] == [
        "policy_id",
        "language",
        "category",
        "zone",
    ]


def test_policies_are_called_by_their_name(make):
    frame = make["by"]("policy_id", ["p1", "p2"], [0.1, 0.05])
    assert [
        g.label for g in build_breakdowns({"policy_id": frame}, {}, {"p1": "Spam"})[0].groups
    ] == [
        "Spam",
        "p2",
    ]


def test_a_block_without_rows_is_left_out(make):
    assert build_breakdowns({"market": make["by"]("market", ["x"], [0.1]).iloc[:0]}, {}, {}) == ()
