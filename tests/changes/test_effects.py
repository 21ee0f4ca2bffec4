"""What a change did: the interval holds, chance and other changes are not taken for it."""

import importlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errdetect.changes.diff_in_diff import (
    difference_in_differences,
    look_confidence,
    reviews_to_detect,
)
from errdetect.changes.measured_effects import EFFECT_MEASURES, measure_effects
from errdetect.changes.outcome_text import effect_sentence
from errdetect.config_schema import EstimateSettings
from errdetect.errors import DataError
from errdetect.findings.conditions import drop_altered, parse_conditions, proposal_mask, scope_mask
from errdetect.snapshot import Snapshot
from errdetect.stats.intervals import wilson

START = pd.Timestamp("2026-01-01", tz="UTC")
DAY = pd.Timedelta(days=1)
CHANGE = START + 60 * DAY
POLICIES = ["slice", "b", "c", "d", "e"]


def market(seed=0, *, n=16_000, before=0.3, after=0.1, others=0.08, later=0.08, audited=0.3):
    """Decisions of 120 days under five policies; the first changes on day 60."""
    rng = np.random.default_rng(seed)
    day = rng.uniform(0, 120, n)
    policy = rng.choice(POLICIES, n)
    late = day >= 60
    rate = np.where(policy == "slice", np.where(late, after, before), np.where(late, later, others))
    wrong = rng.random(n) < rate
    ids = [f"d{i}" for i in range(n)]
    decisions = pd.DataFrame({
        "decision_id": ids, "decided_at": START + DAY * day, "policy_id": policy,
        "enforced": rng.random(n) < 0.5, "market": rng.choice(["DE", "FR"], n),
        "account_id": rng.choice([f"a{i}" for i in range(50)], n),
    })  # fmt: skip
    reviews = pd.DataFrame({
        "review_id": ids, "decision_id": ids, "reviewed_at": decisions["decided_at"] + DAY,
        "source": "audit", "verdict": np.where(wrong, "overturned", "upheld"), "site": "x",
        "expected": None, "inclusion_probability": audited,
    })  # fmt: skip
    return decisions, reviews[rng.random(n) < audited]


def proposal(**changes):
    base = {
        "proposal_id": "p1",
        "policy_id": "slice",
        "state": "accepted",
        "effective_from": CHANGE,
    }
    return pd.DataFrame([{**base, **changes}])


def effects(decisions, reviews, proposals, as_of=None):
    return measure_effects(Snapshot(decisions, reviews, as_of=as_of), proposals)


def first(table, measure="error_rate"):
    return table[table["measure"] == measure].iloc[0]


def test_a_change_that_helps_is_seen_and_sized():
    found = effects(*market(), proposal())
    assert found["measure"].tolist() == list(EFFECT_MEASURES)
    row = first(found)
    assert row["verdict"] == "improved"
    assert row["low"] <= -0.2 <= row["high"]
    assert row["all_low"] < row["low"] < row["estimate"] < row["high"] < row["all_high"] < 0
    assert row["n_untouched"] == 4
    assert row["trend"] == "alike"
    assert pd.isna(row["need_after"])


def test_rates_of_few_reviews_are_not_shown():
    """Each measure by the reviews that it rests on: of the enforced, or of the allowed, decisions."""
    decisions, reviews = market(n=4_000, audited=0.1)
    snapshot, least = Snapshot(decisions, reviews), 30
    shown = measure_effects(snapshot, proposal(), settings=EstimateSettings(min_reviews=1))
    found = measure_effects(snapshot, proposal(), settings=EstimateSettings(min_reviews=least))
    own = decisions[decisions["decision_id"].isin(reviews["decision_id"])]
    own = own[own["policy_id"] == "slice"]
    late = own["decided_at"] >= CHANGE
    counts = {"error_rate": own["enforced"].notna(), "wrongful_actions": own["enforced"],
              "missed_violations": ~own["enforced"]}  # fmt: skip
    n_hidden = 0
    for measure, rows in counts.items():
        for name, time in (("before", ~late), ("after", late)):
            few = (rows & time).sum() < least
            n_hidden += few
            assert pd.isna(first(found, measure)[name]) == few
            assert pd.notna(first(shown, measure)[name])
    assert 0 < n_hidden < 6


def test_a_common_trend_is_no_effect():
    """All rates fall by half: before and after alone would call it a success."""
    row = first(effects(*market(before=0.3, after=0.15, others=0.2, later=0.1), proposal()))
    assert row["after"] < row["before"] - 0.1
    assert row["low"] <= 0 <= row["high"]
    assert row["verdict"] in ("no_effect", "unknown")


def test_a_change_that_harms_is_called_so():
    row = first(effects(*market(before=0.1, after=0.3), proposal()))
    assert row["verdict"] == "worsened"


def test_the_two_kinds_of_error_are_counted_apart():
    decisions, reviews = market(1, n=40_000, before=0.3, after=0.3)
    # The change stops all enforcement in the slice: what was wrongful is now missed or right.
    late = (decisions["policy_id"] == "slice") & (decisions["decided_at"] >= CHANGE)
    decisions = decisions.assign(enforced=decisions["enforced"] & ~late)
    found = effects(decisions, reviews, proposal())
    wrongful, missed = first(found, "wrongful_actions"), first(found, "missed_violations")
    assert wrongful["after"] == 0
    assert wrongful["verdict"] == "improved"
    assert missed["verdict"] == "worsened"
    # Both kinds together make up the errors before.
    total = wrongful["before"] + missed["before"]
    assert total == pytest.approx(first(found)["before"], abs=0.02)


def test_reviews_that_the_finding_was_made_on_do_not_count():
    decisions, reviews = market()
    lucky = reviews["reviewed_at"] < START + 30 * DAY
    chosen = reviews.assign(verdict=reviews["verdict"].where(~lucky, "overturned"))
    found = effects(decisions, chosen, proposal(evidence_until=START + 31 * DAY))
    clean = effects(decisions, reviews, proposal(evidence_until=START + 31 * DAY))
    pd.testing.assert_frame_equal(found, clean)
    assert first(found)["n_before"] < first(effects(decisions, reviews, proposal()))["n_before"]


def test_a_later_correction_of_such_a_review_is_no_fresh_evidence():
    decisions, reviews = market()
    early = reviews[reviews["reviewed_at"] < START + 30 * DAY]
    corrected = early.assign(
        updated_at=early["reviewed_at"] + 60 * DAY,
        verdict=early["verdict"].replace({"upheld": "overturned", "overturned": "upheld"}),
    )
    of = proposal(evidence_until=START + 31 * DAY)
    found = effects(decisions, pd.concat([reviews, corrected], ignore_index=True), of)
    pd.testing.assert_frame_equal(found, effects(decisions, reviews, of))


def test_nothing_after_as_of_is_known():
    decisions, reviews = market()
    until = START + 90 * DAY
    found = effects(decisions, reviews, proposal(), as_of=until)
    early = decisions["decided_at"] <= until
    known = reviews["reviewed_at"] <= until
    alone = effects(decisions[early], reviews[known], proposal(), as_of=until)
    pd.testing.assert_frame_equal(found, alone)
    assert (found["until"] == until).all()


def test_too_few_reviews_say_how_many_more():
    decisions, reviews = market(n=30_000, before=0.3, after=0.2)
    own = set(decisions.loc[decisions["policy_id"] == "slice", "decision_id"])
    reviews = reviews[~reviews["decision_id"].isin(own) | (np.arange(len(reviews)) % 25 == 0)]
    row = first(effects(decisions, reviews, proposal(expected=-0.1)))
    assert row["verdict"] == "unknown"
    assert row["need_after"] > 100
    assert "more reviewed decisions since the change" in effect_sentence(row.to_dict())


def test_another_change_in_the_same_place_confounds():
    both = pd.concat([
        proposal(), proposal(proposal_id="p2", effective_from=CHANGE + 5 * DAY),
    ])  # fmt: skip
    found = effects(*market(), both)
    assert set(found["verdict"]) == {"confounded"}
    assert found["confounded_by"].tolist() == [["p2"]] * 3 + [["p1"]] * 3
    assert "Inconclusive: its effect cannot be separated from that of p2" in effect_sentence(
        first(found).to_dict()
    )


def test_a_change_elsewhere_does_not_confound_but_is_no_comparison():
    both = pd.concat([proposal(), proposal(proposal_id="p2", policy_id="b")])
    row = first(effects(*market(), both))
    assert row["verdict"] == "improved"
    assert row["n_untouched"] == 3


def test_parts_of_one_policy_do_not_confound_each_other():
    def part(market):
        return [{"conditions": [{"column": "market", "op": "==", "value": market}]}]

    both = pd.concat([proposal(parts=part("DE")), proposal(proposal_id="p2", parts=part("FR"))])
    assert "confounded" not in set(effects(*market(), both)["verdict"])


def test_the_rest_of_the_policy_compares_where_there_is_no_other():
    decisions, reviews = market()
    only = decisions[decisions["policy_id"] == "slice"]
    parts = [{"conditions": [{"column": "market", "op": "==", "value": "DE"}]}]
    row = first(effects(only, reviews, proposal(parts=parts)))
    assert row["n_untouched"] == 1
    assert np.isnan(row["wander"])
    assert row["low"] <= 0 <= row["high"]  # DE and FR changed alike


def test_without_anything_to_compare_with_it_says_so():
    decisions, reviews = market()
    row = first(effects(decisions[decisions["policy_id"] == "slice"], reviews, proposal()))
    assert row["verdict"] == "unknown"
    assert np.isnan(row["estimate"])
    assert "no untouched group" in effect_sentence(row.to_dict())


def test_a_slice_that_moved_on_its_own_before_is_not_judged():
    decisions, reviews = market(seed=3, n=30_000)
    own = decisions["policy_id"] == "slice"
    early = own & (decisions["decided_at"] < START + 30 * DAY)
    wrong = set(decisions.loc[early, "decision_id"])
    chosen = reviews["decision_id"].isin(wrong) & (reviews["decision_id"].str.len() % 2 == 0)
    reviews = reviews.assign(verdict=reviews["verdict"].where(~chosen, "overturned"))
    row = first(effects(decisions, reviews, proposal()))
    assert row["trend"] == "apart"
    assert row["verdict"] == "unknown"
    assert "moved differently from the others" in effect_sentence(row.to_dict())


@pytest.mark.parametrize(
    "changes",
    [{"state": "proposed"}, {"state": "rejected"}, {"effective_from": START + 400 * DAY},
     {"effective_from": pd.NaT}],
)  # fmt: skip
def test_what_is_not_in_effect_is_not_measured(changes):
    assert effects(*market(n=500), proposal(**changes)).empty


def test_a_closed_proposal_is_measured_up_to_its_end():
    end = CHANGE + 20 * DAY
    found = effects(*market(), proposal(state="closed", closed_at=end))
    assert (found["until"] == end).all()


def test_a_slice_without_decisions_is_unknown():
    row = first(effects(*market(n=2000), proposal(policy_id="never seen")))
    assert row["verdict"] == "unknown"
    assert row["n_before"] == 0


def test_no_error_before_leaves_nothing_to_measure():
    row = first(effects(*market(n=4000, before=0.0, after=0.0), proposal()))
    assert row["verdict"] == "unknown"
    assert "No error was seen in the slice before" in effect_sentence(row.to_dict())


def test_no_review_that_counts_is_unknown():
    decisions, reviews = market(n=900)
    late = START + 200 * DAY
    found = effects(decisions, reviews, proposal(evidence_until=late))
    assert set(found["verdict"]) == {"unknown"}
    assert found["estimate"].isna().all()
    assert "too few reviewed decisions in the slice" in effect_sentence(first(found).to_dict())
    assert effects(decisions, reviews.iloc[:0], proposal())["estimate"].isna().all()


def test_proposals_without_their_columns_are_refused():
    with pytest.raises(
        DataError, match=r"proposals must have the columns proposal_id.* named state"
    ):
        effects(*market(n=100), proposal().drop(columns="state"))


def test_equal_input_gives_equal_output_in_any_order():
    decisions, reviews = market(n=3000)
    one = effects(decisions, reviews, proposal())
    other = effects(
        decisions.sample(frac=1, random_state=1), reviews.sample(frac=1, random_state=2), proposal()
    )
    pd.testing.assert_frame_equal(one, other)


def test_the_benchmark_comes_out(repo, monkeypatch):
    monkeypatch.syspath_prepend(str(repo))
    effects = importlib.import_module("benchmarks.effects")
    cell = effects.Cell("small", effect=-0.15, slice_reviews=100, looks=2)
    row = effects.run(cell, draws=2, seed=0)
    assert (row["cell"], row["draws"]) == ("small", 2)
    assert all(0 <= row[name] <= 1 for name in ("covered", "alarms", "told", "naive_covered"))
    found = effects.run(effects.Cell("found", found=True, slice_reviews=100), draws=1, seed=0)
    assert found["half_width"] > 0
    assert "| small |" in effects.text(pd.DataFrame([row]))


# Statistics


def limits(rates, n=1000.0):
    rates = np.asarray(rates, float)
    return wilson(rates, np.full(len(rates), n))


@given(
    st.lists(st.floats(0.02, 0.6), min_size=3, max_size=8), st.floats(0.01, 0.3), st.integers(2, 9)
)
def test_an_interval_holds_its_estimate_and_widens_with_looks(rates, move, look):
    before, after = limits(rates), limits(np.clip(np.array(rates) + move, 0, 1))
    weight = np.ones(len(rates) - 1)
    found = difference_in_differences(before, after, weight)
    assert -1 <= found.low <= found.estimate <= found.high <= 1
    wide = difference_in_differences(before, after, weight, widen=1.0 + look / 3)
    assert wide.low <= found.low
    assert wide.high >= found.high
    assert found.low <= 0 <= found.high  # all moved alike


@given(st.floats(0.05, 0.3), st.floats(0.4, 1.6))
def test_a_trend_that_multiplies_is_no_effect(base, factor):
    before = limits([base * 2, base, base, base], n=1e6)
    after = limits([base * 2 * factor, base * factor, base * factor, base * factor], n=1e6)
    found = difference_in_differences(before, after, np.ones(3))
    assert found.low <= 1e-9
    assert found.high >= -1e-9


def test_wandering_policies_widen_the_interval():
    still = difference_in_differences(
        limits([0.3] + [0.1] * 6), limits([0.3] + [0.1] * 6), np.ones(6)
    )
    moves = [0.05, 0.15, 0.04, 0.16, 0.06, 0.14]
    wild = difference_in_differences(limits([0.3] + [0.1] * 6), limits([0.3, *moves]), np.ones(6))
    assert 0 < still.wander < 0.01  # averaged over what six still units leave possible
    assert wild.wander == pytest.approx(0.05, abs=0.02)
    assert wild.high - wild.low > 3 * (still.high - still.low)


def test_no_untouched_unit_gives_no_figure():
    found = difference_in_differences(limits([0.2]), limits([0.1]), np.zeros(0))
    assert np.isnan(found.estimate)
    assert found.n_untouched == 0


def test_no_error_among_the_untouched_is_no_division_by_zero():
    found = difference_in_differences(limits([0.2, 0.0]), limits([0.1, 0.0]), np.ones(1))
    assert found.estimate == pytest.approx(-0.1)


def test_all_looks_spend_no_more_than_one():
    spent = sum(1 - look_confidence(k) for k in range(1, 5000))
    assert 0.0499 < spent < 0.05


def test_the_planned_reviews_show_the_effect_in_four_of_five():
    """Simulated: with as many reviews as it says, 80 % of the differences are seen."""
    more = reviews_to_detect(-0.1, (0.3, np.nan, 0), (0.2, np.nan, 0), 0.0)
    assert more is not None
    rng = np.random.default_rng(1)
    n = more[0]
    p0, p1 = rng.binomial(n, 0.3, 20_000) / n, rng.binomial(n, 0.2, 20_000) / n
    spread = np.sqrt(p0 * (1 - p0) / n + p1 * (1 - p1) / n)
    seen = np.mean(p0 - p1 > 1.96 * spread)
    assert 0.78 <= seen <= 0.97


def test_no_number_of_reviews_beats_untouched_groups_that_wander():
    assert reviews_to_detect(0.05, (0.2, 0.1, 50), (0.2, 0.1, 50), 0.06) is None


def test_enough_reviews_need_no_more():
    assert reviews_to_detect(0.2, (0.2, 0.01, 9000), (0.2, 0.01, 9000), 0.0) == (0, 0)


# Conditions


FRAME = pd.DataFrame({
    "policy_id": ["a", "a", "a", "b"], "market": ["DE", None, "FR", "DE"],
    "age": [1.0, 5.0, np.nan, 9.0], "new": [True, False, True, True], "account_id": list("xyxz"),
})  # fmt: skip


@pytest.mark.parametrize(
    ("column", "op", "value", "rows"),
    [
        ("market", "==", "DE", [1, 0, 0, 1]),
        ("market", "!=", "DE", [0, 1, 1, 0]),
        ("market", "missing", None, [0, 1, 0, 0]),
        ("market", "in", ["DE", "FR"], [1, 0, 1, 1]),
        ("market", "not in", ["DE", "FR"], [0, 1, 0, 0]),
        ("age", ">=", 5, [0, 1, 0, 1]),
        ("age", "<", "5.0", [1, 0, 0, 0]),
        ("age", "==", "5", [0, 1, 0, 0]),
        ("new", "==", "True", [1, 0, 1, 1]),
        ("new", "==", False, [0, 1, 0, 0]),
    ],
)
def test_conditions(column, op, value, rows):
    one = {"column": column, "op": op, "value": value}
    assert scope_mask(FRAME, conditions=[one]).tolist() == [bool(r) for r in rows]


def test_a_condition_that_cannot_be_read_says_so():
    with pytest.raises(DataError, match=r"A condition's op must be one of ==, !=, <.* got like"):
        scope_mask(FRAME, conditions=[{"column": "age", "op": "like", "value": 1}])
    with pytest.raises(DataError, match="must name a column of the decisions, got gone"):
        scope_mask(FRAME, conditions=[{"column": "gone", "op": "==", "value": 1}])
    with pytest.raises(DataError, match="account_id must be a column"):
        scope_mask(FRAME.drop(columns="account_id"), account_ids=["x"])


def test_parts_join_and_what_the_change_alters_is_left_out():
    parts = [
        {"conditions": [{"column": "market", "op": "==", "value": "FR"}], "account_ids": None},
        {"conditions": [{"column": "enforced", "op": "==", "value": True}], "account_ids": ["y"]},
    ]
    assert proposal_mask(FRAME, "a", parts).tolist() == [False, True, True, False]
    assert proposal_mask(FRAME, "a", None).sum() == 3
    assert (
        drop_altered(parse_conditions(np.array([{"column": "threshold", "op": "<", "value": 1}])))
        == ()
    )
