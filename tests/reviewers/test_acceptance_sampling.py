"""The rows are those that ISO 2859-1:1999 prints in Tables 1, 2-A, 2-B and 2-C."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errdetect.errors import DataError, Refusal
from errdetect.reviewers.acceptance_sampling import (
    AQLS,
    LEVELS,
    InspectionState,
    SamplingPlan,
    acceptance_probability,
    code_letter,
    sampling_plan,
    update_switching,
)

# A lot of each letter's size at level II; R needs level III.
LOTS = dict(
    zip(
        "ABCDEFGHJKLMNPQ",
        [8, 15, 25, 50, 90, 150, 280, 500, 1200, 3200, 10_000, 35_000, 150_000, 500_000, 500_001],
        strict=True,
    )
)
# Accepted numbers from AQL 0.65 to 10 %; n after the arrow where it is not the letter's own.
NORMAL = {
    "E": "0/20 0 0/8 1/20 1 2 3",
    "G": "0/20 1/50 1 2 3 5 7",
    "J": "1 2 3 5 7 10 14",
    "K": "2 3 5 7 10 14 21",
    "L": "3 5 7 10 14 21 21/125",
    "M": "5 7 10 14 21 21/200 21/125",
}
TIGHTENED = {
    "F": "0/32 0 1/50 1/32 1 2 3",
    "J": "1/125 1 2 3 5 8 12",
    "K": "1 2 3 5 8 12 18",
    "L": "2 3 5 8 12 18 18/125",
}
REDUCED = {
    "F": "0 0/5 1/20 1/13 1 2 3",
    "J": "1/50 1 2 3 5 6 8",
    "K": "1 2 3 5 6 8 10",
    "L": "2 3 5 6 8 10 10/50",
}
SIZES = dict(zip("ABCDEFGHJKLMNPQR", [2, 3, 5, 8, 13, 20, 32, 50, 80, 125, 200, 315, 500, 800,
                                      1250, 2000], strict=True))  # fmt: skip
SMALLER = dict(zip("ABCDEFGHJKLMNPQR", [2, 2, 2, 3, 5, 8, 13, 20, 32, 50, 80, 125, 200, 315, 500,
                                        800], strict=True))  # fmt: skip


@pytest.mark.parametrize(
    ("stage", "rows", "sizes"),
    [("normal", NORMAL, SIZES), ("tightened", TIGHTENED, SIZES), ("reduced", REDUCED, SMALLER)],
)
def test_the_published_rows(stage, rows, sizes):
    for letter, row in rows.items():
        for aql, cell in zip(AQLS[9:], row.split(), strict=True):
            accept, _, n = cell.partition("/")
            plan = sampling_plan(LOTS[letter], aql, stage=stage)
            want = (int(n or sizes[letter]), int(accept), int(accept) + 1)
            assert (plan.n, plan.accept, plan.reject) == want, (stage, letter, aql)


@pytest.mark.parametrize(
    ("lot", "aql", "level", "stage", "plan"),
    [
        (1_201, 1.0, "II", "normal", SamplingPlan("K", 125, 3, 4)),
        (3_200, 1.0, "II", "normal", SamplingPlan("K", 125, 3, 4)),
        (3_200, 1.0, "II", "tightened", SamplingPlan("K", 125, 2, 3)),
        (3_200, 1.0, "II", "reduced", SamplingPlan("K", 50, 2, 3)),
        (1_000, 2.5, "II", "normal", SamplingPlan("J", 80, 5, 6)),
        (400, 0.65, "S-4", "normal", SamplingPlan("F", 20, 0, 1)),
        # the corners: an arrow that leads off the table turns round
        (2, 10.0, "II", "tightened", SamplingPlan("A", 2, 0, 1)),
        (1_000_000, 0.015, "III", "normal", SamplingPlan("P", 800, 0, 1)),
        (1_000_000, 0.015, "III", "tightened", SamplingPlan("Q", 1_250, 0, 1)),
        (1_000_000, 0.025, "III", "tightened", SamplingPlan("S", 3_150, 1, 2)),
        (1_000_000, 0.025, "III", "reduced", SamplingPlan("N", 200, 0, 1)),
        (1_000_000, 10.0, "III", "reduced", SamplingPlan("K", 50, 10, 11)),
    ],
)
def test_single_plans(lot, aql, level, stage, plan):
    assert sampling_plan(lot, aql, level=level, stage=stage) == plan


def test_the_letters_of_table_1():
    rows = "AAAAAAB AAAAABC AABBBCD ABBCCDE BBCCCEF BBCDDFG BCDEEGH BCDEFHJ CCEFGJK CDEGHKL"
    rows += " CDFGJLM CDFHKMN DEGJLNP DEGJMPQ DEHKNQR"
    for lot, row in zip(LOTS.values(), rows.split(), strict=True):
        assert "".join(code_letter(lot, level=level) for level in LEVELS) == row
    assert [code_letter(lot) for lot in (2, 9, 1_200, 1_201, 3_201)] == ["A", "B", "J", "K", "L"]


def test_a_lot_no_larger_than_the_sample_is_checked_whole():
    assert sampling_plan(8, 1.0) == SamplingPlan("E", 8, 0, 1)


@given(st.integers(2, 2_000_000), st.sampled_from(AQLS), st.sampled_from(LEVELS))
def test_stages_are_ordered(lot, aql, level):
    normal, tightened, reduced = (
        sampling_plan(lot, aql, level=level, stage=stage)
        for stage in ("normal", "tightened", "reduced")
    )
    assert reduced.n <= normal.n
    assert acceptance_probability(tightened, aql / 100) <= acceptance_probability(normal, aql / 100)
    assert acceptance_probability(normal, aql / 100) > 0.85


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"lot_size": 1, "aql": 1.0}, "lot_size must be at least 2, got 1"),
        ({"lot_size": 9, "aql": 2.0}, r"aql must be one of 0\.01, .*, 10 \(percent\), got 2\."),
        ({"lot_size": 9, "aql": 1.0, "level": "IV"}, "level must be one of S-1, .*, got 'IV'"),
        ({"lot_size": 9, "aql": 1.0, "stage": "lax"}, "stage must be one of normal, .* 'lax'"),
    ],
)
def test_what_the_standard_does_not_know_is_refused(options, text):
    with pytest.raises(DataError, match=text):
        sampling_plan(options.pop("lot_size"), options.pop("aql"), **options)


def run(found, state=None, *, steady=False, aql=1.0):
    """Let lots of 2,000 pass with so many wrong; give the stages."""
    state, stages = state or InspectionState(), []
    for wrong in found:
        state = update_switching(state, wrong, lot_size=2_000, aql=aql, steady=steady)
        stages.append(state.stage)
    return state, stages


def test_two_of_five_lots_not_accepted_turn_normal_tightened():
    assert run([9, 0, 0, 0, 9])[1] == ["normal"] * 4 + ["tightened"]
    assert run([9, 0, 0, 0, 0, 9])[1] == ["normal"] * 6


def test_five_lots_accepted_in_a_row_turn_tightened_normal():
    tightened = InspectionState(stage="tightened")
    assert run([0, 0, 0, 0, 0], tightened)[1] == ["tightened"] * 4 + ["normal"]
    assert run([0, 0, 3, 0, 0, 0], tightened)[1] == ["tightened"] * 6  # 3 is too many here


def test_five_lots_not_accepted_discontinue_tightened_inspection():
    state, _ = run([9, 0, 9, 0, 9, 0, 9], InspectionState(stage="tightened"))
    assert not state.stopped
    assert state.rejected == 4
    state, _ = run([9], state)
    assert state.stopped
    with pytest.raises(Refusal, match="discontinued: five lots were not accepted"):
        run([0], state)


def test_a_switching_score_of_30_turns_normal_reduced_where_work_is_steady():
    assert run([0] * 10, steady=True)[1] == ["normal"] * 9 + ["reduced"]
    assert run([0] * 12)[0] == InspectionState(recent=(True,) * 5, score=36)
    # 2 wrong would have been accepted at AQL 0.65, 3 would not: the score starts again
    assert [run([0, n])[0].score for n in (2, 3)] == [6, 0]
    # plans that accept 0 or 1 give 2 points a lot
    assert run([0] * 15, steady=True, aql=0.40)[1] == ["normal"] * 14 + ["reduced"]


def test_one_lot_not_accepted_or_unsteady_work_turns_reduced_normal():
    reduced = InspectionState(stage="reduced")
    assert run([2, 0], reduced, steady=True)[1] == ["reduced", "reduced"]
    assert run([3], reduced, steady=True)[0] == InspectionState()
    assert run([0], reduced)[0] == InspectionState()


@pytest.mark.parametrize("wrong", [-1, 126])
def test_more_wrong_than_checked_is_refused(wrong):
    with pytest.raises(DataError, match=rf"wrong must lie in \[0, 125\], got {wrong}"):
        run([wrong])
