"""Weekly lots: whose work, which week, and when earlier weeks tell."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errdetect.errors import DataError
from errdetect.reviewers.acceptance_sampling import plan_inspections, sampling_plan
from errdetect.snapshot import Snapshot


def week_of(week, n, *, wrong=0, checked=0, flags=10, chance=1.0, site="a"):
    """One site's reviews of a week (0 is the latest of 9), of which the expert checked some.

    The checked are flagged and other reviews alike unless `checked` is "flags".
    """
    rows = []
    day = 70 - 7 * week - 1
    for i in range(n):
        verdict = "overturned" if i < flags else "upheld"
        who = {"decision_id": f"d{week * 1000 + i}", "site": site, "reviewer_id": f"p{i % 5}"}
        rows.append({"day": day, "verdict": verdict, **who})
        drawn = i < flags if checked == "flags" else i % 10 < 10 * checked
        if drawn:
            answer = verdict if i >= wrong else {"upheld": "overturned"}.get(verdict, "upheld")
            rows.append(
                {
                    "day": day + 0.5,
                    "source": "adjudication",
                    "verdict": answer,
                    "decision_id": who["decision_id"],
                    "inclusion_probability": chance,
                    "site": "experts",
                }
            )
    return rows


@pytest.fixture
def plans(decisions_of, reviews_of):
    def of(*rows, aql=1.0, as_of=None):
        decisions = decisions_of(9000).assign(decided_at=pd.Timestamp("2026-01-01", tz="UTC"))
        verdicts = Snapshot(decisions, reviews_of(*rows), as_of=as_of).verdicts
        return plan_inspections(verdicts, aql=aql, rng=np.random.default_rng(1))

    return of


def test_a_lot_is_the_sites_own_work_of_seven_days(plans):
    golden = {"source": "golden", "expected": "upheld", "site": "a", "day": 69}
    found = plans(
        *week_of(0, 300, checked="flags"),
        *week_of(1, 200),
        *({"decision_id": f"d{8000 + i}", **golden} for i in range(50)),
    )
    assert found["site"].tolist() == ["a"]  # the experts' desk has none
    assert found.loc[0, "lot_size"] == 300
    assert found.loc[0, ["lot_from", "lot_to"]].tolist() == ["2026-03-05", "2026-03-11"]
    plan = sampling_plan(300, 1.0)
    assert found.loc[0, ["letter", "n", "accept", "reject"]].tolist() == [
        plan.letter, plan.n, plan.accept, plan.reject,
    ]  # fmt: skip


def test_each_site_has_its_own_latest_week(plans):
    found = plans(*week_of(0, 60), *week_of(3, 40, site="b")).set_index("site")
    assert found["lot_size"].to_dict() == {"a": 60, "b": 40}
    assert found["lot_to"].to_dict() == {"a": "2026-03-11", "b": "2026-02-18"}


def test_without_checks_inspection_is_normal_and_the_note_says_why(plans):
    found = plans(*week_of(0, 300), *week_of(1, 300)).loc[0]
    assert found["stage"] == "normal"
    assert found["lots"] == 0
    assert "the week before is inconclusive" in found["note"]


def test_weeks_of_which_only_flags_went_to_the_expert_do_not_tell(plans):
    rows = [r for w in (1, 2, 3) for r in week_of(w, 300, wrong=10, checked="flags")]
    found = plans(*week_of(0, 300), *rows).loc[0]
    assert (found["stage"], found["lots"]) == ("normal", 0)


@pytest.mark.parametrize("chance", [None, 0.1])
def test_a_chance_that_is_missing_or_does_not_fit_does_not_tell(plans, chance):
    rows = [r for w in (1, 2) for r in week_of(w, 300, wrong=300, checked=1.0, chance=chance)]
    found = plans(*week_of(0, 300), *rows).loc[0]
    assert (found["stage"], found["lots"]) == ("normal", 0)


def test_two_bad_weeks_in_a_row_tighten_it(plans):
    rows = [r for w in (1, 2) for r in week_of(w, 300, wrong=200, checked=1.0)]
    found = plans(*week_of(0, 300), *rows).loc[0]
    assert (found["stage"], found["lots"], found["note"]) == ("tightened", 2, "")
    plan = sampling_plan(300, 1.0, stage="tightened")
    assert (found["n"], found["accept"]) == (plan.n, plan.accept)


def test_a_random_tenth_tells_where_it_is_large_enough(plans):
    rows = [r for w in (1, 2) for r in week_of(w, 280, checked=0.2, chance=0.2, flags=20)]
    assert plans(*week_of(0, 300), *rows).loc[0, "lots"] == 2
    small = [r for w in (1, 2) for r in week_of(w, 280, checked=0.1, chance=0.1, flags=20)]
    assert plans(*week_of(0, 300), *small).loc[0, "lots"] == 0  # 28 where 32 are asked for


def test_a_week_that_does_not_tell_starts_anew(plans):
    bad = [r for w in (2, 3) for r in week_of(w, 300, wrong=200, checked=1.0)]
    found = plans(*week_of(0, 300), *week_of(1, 300), *bad).loc[0]
    assert (found["stage"], found["lots"]) == ("normal", 0)


def test_good_weeks_never_reduce_it_by_themselves(plans):
    rows = [r for w in range(1, 9) for r in week_of(w, 300, checked=1.0)]
    found = plans(*week_of(0, 300), *rows).loc[0]
    assert (found["stage"], found["lots"]) == ("normal", 8)


def test_samples_end_after_five_bad_weeks_under_tightened_inspection(plans):
    rows = [r for w in range(1, 9) for r in week_of(w, 300, wrong=300, checked=1.0)]
    found = plans(*week_of(0, 300), *rows).loc[0]
    assert pd.isna(found["n"])
    assert "check all of it" in found["note"]


def test_later_checks_do_not_count_at_an_earlier_moment(plans, at):
    rows = [*week_of(0, 300), *(r for w in (1, 2) for r in week_of(w, 300, wrong=200, checked=1.0))]
    early = plans(*rows, as_of=at(70 - 7 * 2 - 1 + 0.2)).loc[0]
    assert (early["lot_size"], early["lots"]) == (300, 0)


def test_one_review_is_no_lot(plans):
    found = plans(*week_of(0, 1)).loc[0]
    assert pd.isna(found["n"])
    assert "one review is no lot" in found["note"]


def test_no_reviews_make_no_plans(plans):
    assert len(plans()) == 0


def test_an_aql_that_the_standard_lacks_is_refused_even_without_reviews(plans):
    with pytest.raises(DataError, match="aql must be one of"):
        plans(aql=1.2)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_rows_changes_nothing(decisions_of, reviews_of, seed):
    rows = [r for w in range(4) for r in week_of(w, 60, wrong=4, checked=1.0, flags=6)]
    rows += [r | {"decision_id": f"d{8000 + i}"} for i, r in enumerate(week_of(0, 9, site=None))]
    decisions = decisions_of(9000).assign(decided_at=pd.Timestamp("2026-01-01", tz="UTC"))
    reviews = reviews_of(*rows)
    mixed = reviews.sample(frac=1, random_state=seed, ignore_index=True)
    one, two = (
        plan_inspections(Snapshot(decisions, r).verdicts, aql=1.0, rng=np.random.default_rng(5))
        for r in (reviews, mixed)
    )
    pd.testing.assert_frame_equal(one, two)
