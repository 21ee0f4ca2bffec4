"""Briefs: only from what holds, each with an owner, a cause, a pilot; hostile text inert."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errdetect.changes.briefs import brief_table, build_briefs, escape_markdown, render_briefs
from errdetect.changes.pilot_design import plan_pilot, reviews_per_arm
from errdetect.changes.proposals import CHANGES
from errdetect.data.policy_catalogue import Policy
from errdetect.errors import DataError

HOSTILE = "<img src=x onerror=alert(1)> [go](javascript:alert(1)) ![i](http://x.y) | **b**\n# head"
SPAM = Policy("spam", "Spam", 2, owner="Ann", clause="No spam.", harm_wrongful=1, harm_missed=4)


def finding(**changes):
    base = {
        "finding_id": "f1", "policy_id": "spam", "kind": "slice", "rule": "market is DE",
        "conditions": [{"column": "market", "op": "==", "value": "DE"}], "account_ids": None,
        "error_kind": "wrongful_action", "n": 900, "n_reviews": 80, "n_accounts": 300,
        "error_rate": 0.3, "low": 0.25, "high": 0.36, "base_rate": 0.1, "q_value": 0.01,
        "confirmed": True, "harm_saved": 300.0, "harm_saved_low": 200.0, "harm_saved_high": 400.0,
        "cause": "machine_fault", "cause_text": "Reviewers agree in 98 %.", "runner_up": None,
    }  # fmt: skip
    return {**base, **changes}


def built(*changes, **more):
    rows = [finding(**one) for one in changes or ({},)]
    return build_briefs(pd.DataFrame(rows), policies={"spam": SPAM}, **more)


def test_only_confirmed_findings_become_briefs():
    assert built({"confirmed": False}, {"finding_id": "f2", "confirmed": None}) == ()
    assert render_briefs(()) == {}


def test_a_brief_has_every_part_a_decision_needs():
    (brief,) = built()
    text = render_briefs((brief,))[brief.file]
    headings = re.findall(r"^## (.*)$", text, re.M)
    assert headings == [
        "Problem", "Evidence", "Volume", "Cause", "Proposed change", "Expected effect and risk",
        "Pilot", "Accept it if", "To decide",
    ]  # fmt: skip
    assert "| Owner | Ann |" in text
    assert "25.0 to 36.0" in text
    assert "300 accounts affected" in text
    assert "between 135 and 234 fewer wrongful actions" in text
    assert "may mean more missed violations" in text
    assert "Review 294 decisions of each side" in text
    assert f"Accept or reject proposal {brief.recorded[0][0]}" in text
    assert "--accept" not in text
    assert "because" not in text.lower()


@pytest.mark.parametrize("cause", sorted(CHANGES))
def test_the_change_fits_the_cause(cause):
    (brief,) = built({"cause": cause})
    assert brief.kind == CHANGES[cause].kind
    text = render_briefs((brief,))[brief.file]
    assert CHANGES[cause].title in text
    assert ("Confidence: not known yet." in text) == (cause == "unknown")


@pytest.mark.parametrize(
    ("kind", "cause"),
    [("threshold", "threshold"), ("accounts", "account_cluster"), ("slice", "unknown")],
)
def test_without_a_named_cause_the_kind_of_finding_says_it(kind, cause):
    (brief,) = built({"kind": kind, "cause": None})
    assert brief.cause == cause


def test_findings_of_one_cause_are_one_brief_and_bars_stay_apart():
    merged = built({}, {"finding_id": "f2", "rule": "market is FR", "harm_saved": 10.0})
    assert [b.finding_ids for b in merged] == [("f1", "f2")]
    assert merged[0].rule == "market is DE; or market is FR"
    apart = built({"cause": "threshold"}, {"finding_id": "f2", "cause": "threshold"})
    assert len({b.file for b in apart}) == 2
    kinds = built({}, {"finding_id": "f2", "error_kind": "missed_violation"})
    assert len(kinds) == 2


def test_merged_slices_are_counted_once():
    decisions = pd.DataFrame({
        "policy_id": "spam", "market": ["DE"] * 10 + ["FR"] * 5, "account_id": list("abc") * 5,
        "decided_at": pd.Timestamp("2026-01-01", tz="UTC"),
    })  # fmt: skip
    both = built({"n": 10}, {"finding_id": "f2", "n": 10}, decisions=decisions)
    assert (both[0].n, both[0].n_accounts) == (10, 3)
    assert "At most 1,800 decisions" in built({}, {"finding_id": "f2"})[0].volume[0]


def test_conditions_that_a_change_alters_still_count_the_volume():
    """What the finding was made on had the version; a later effect is measured without it."""
    decisions = pd.DataFrame({
        "policy_id": "spam", "market": ["DE", "FR"] * 20, "moderator_version": ["1"] * 30 + ["2"] * 10,
        "account_id": [f"a{i}" for i in range(40)],
        "decided_at": pd.Timestamp("2026-01-01", tz="UTC"),
    })  # fmt: skip
    old = [
        {"column": "moderator_version", "op": "==", "value": "2"},
        {"column": "market", "op": "==", "value": "FR"},
    ]
    (brief,) = built({}, {"finding_id": "f2", "conditions": old}, decisions=decisions)
    assert (brief.n, brief.n_accounts) == (20 + 5, 25)
    assert "overlap" not in " ".join(brief.volume)


def test_an_overlap_is_said_and_saves_nothing_twice():
    decisions = pd.DataFrame({
        "policy_id": "spam", "market": "DE", "account_id": "a",
        "decided_at": pd.Timestamp("2026-01-01", tz="UTC"), "language": ["de"] * 10 + ["fr"] * 30,
    })  # fmt: skip
    inner = [{"column": "language", "op": "==", "value": "de"}]
    rows = ({}, {"finding_id": "f2", "conditions": inner, "harm_saved": 90.0})
    (brief,) = built(*rows, decisions=decisions)
    words = " ".join(brief.volume)
    assert brief.n == 40
    assert "A decision in several of them counts once" in words
    assert "no more than the rest of its policy: 300, in" in words
    text = render_briefs((brief,))[brief.file]
    assert "it is not the probability that this one is false" in text
    assert "Wrongful actions among all decisions" in text


def test_what_saves_most_comes_first_and_files_keep_their_names():
    one = {"finding_id": "f2", "policy_id": "other", "harm_saved": 900.0}
    first = built({}, one)
    again = built(one, {"harm_saved": 299.0})
    assert [b.policy_id for b in first] == ["other", "spam"]
    assert [b.file for b in first] == [b.file for b in again]


def test_a_policy_that_the_catalogue_does_not_know_has_no_owner():
    (brief,) = build_briefs(pd.DataFrame([finding(policy_id="x")]), policies={})
    assert brief.owner is None
    assert "Not named in the policy catalogue" in render_briefs((brief,))[brief.file]


@pytest.mark.parametrize(
    "odd",
    [{"n": 1, "n_reviews": 1, "n_accounts": 1}, {"error_rate": 0.0, "low": 0.0, "high": 0.02},
     {"error_rate": 1.0, "low": 0.9, "high": 1.0}, {"base_rate": 0.3}, {"n_accounts": None},
     {"q_value": None}, {"harm_saved": None, "harm_saved_low": None}, {"rule": None},
     {"policy_id": "x" * 5000}, {"rule": "ע" * 10_000}, {"error_kind": "odd"}],
)  # fmt: skip
def test_odd_findings_make_a_sensible_brief(odd):
    (brief,) = built(odd)
    text = render_briefs((brief,))[brief.file]
    assert "nan" not in text.lower().replace("finance", "")
    assert "None" not in text
    assert len(brief.file) < 120
    assert len(text) < 20_000


def test_nothing_to_gain_plans_no_pilot():
    (brief,) = built({"base_rate": 0.5})
    assert brief.pilot is None
    assert brief.pilot_lines == (
        "The slice errs no more than its policy as a whole: no pilot is needed.",
    )


def test_the_new_bar_and_what_it_costs():
    bars = pd.DataFrame({
        "policy_id": "spam", "moderator": "m", "market": ["DE", "DE", "FR"],
        "threshold": [0.5, 0.62, 0.5], "current": [True, False, True],
        "recommended": [False, True, False], "wrongful": [200.0, 100.0, 200.0],
        "wrongful_low": 50.0, "wrongful_high": 300.0, "missed": [20.0, 30.0, 20.0],
        "missed_low": 10.0, "missed_high": 40.0,
    })  # fmt: skip
    (brief,) = built({"cause": "threshold"}, thresholds=bars)
    assert "From 0.500 up to 0.620." in brief.change
    missed = "Missed violations in the period: 20 (10 to 40) at the current threshold, 30 (10 to 40) at the new one."
    assert missed in brief.effect
    (none,) = built({"cause": "threshold"}, thresholds=bars.assign(recommended=False))
    assert "No single threshold can be recommended" in none.change
    (other,) = built({"cause": "machine_fault"}, thresholds=bars)
    assert "bar" not in " ".join(other.effect)


def test_a_bar_for_all_markets_is_not_that_of_one():
    bars = pd.DataFrame({
        "policy_id": "spam", "moderator": "m", "market": [None, None, "DE", "DE"],
        "threshold": [0.5, 0.6, 0.5, 0.9], "current": [True, False] * 2,
        "recommended": [False, True] * 2,
    })  # fmt: skip
    (brief,) = built({"cause": "threshold", "conditions": []}, thresholds=bars)
    assert "From 0.500 up to 0.600." in brief.change


def test_a_bar_counts_what_it_is_held_against_and_what_it_would_turn():
    decisions = pd.DataFrame({
        "policy_id": "spam", "market": ["DE"] * 40 + ["FR"] * 9, "account_id": "a",
        "decided_at": pd.Timestamp("2026-01-01", tz="UTC"),
    })  # fmt: skip
    (brief,) = built({"kind": "threshold", "cause": "threshold", "n": 7}, decisions=decisions)
    assert brief.n == 40
    assert "The new threshold would change 7 decisions in the period." in brief.volume


@pytest.mark.parametrize(
    ("confidence", "second", "words"),
    [("clear", "threshold", "Confidence: clear"), ("likely", "threshold", "next best fit: the threshold."),
     (None, None, "Confidence: clear"), (None, "threshold", "Confidence: likely")],
)  # fmt: skip
def test_how_sure_a_cause_is(confidence, second, words):
    (brief,) = built({"confidence": confidence, "runner_up": second})
    assert any(words in line for line in brief.cause_lines)


def test_a_whitelist_says_what_it_lets_through():
    (brief,) = built({"cause": "account_cluster", "account_ids": ["a", "b"]})
    assert any("those 630 would be missed violations" in line for line in brief.risk)
    assert brief.parts[0]["account_ids"] == ["a", "b"]


def test_the_other_error_may_cost_half_of_what_is_saved():
    (brief,) = built()
    # Gain 10 of 100, a wrongful action costs a quarter of a miss, half may be spent.
    assert "do not rise by more than 1.2 of 100" in brief.acceptance[1]


def test_hostile_text_stays_text():
    policy = Policy("spam", HOSTILE, 2, owner=HOSTILE, clause=HOSTILE)
    rows = pd.DataFrame([finding(rule=HOSTILE, cause_text=HOSTILE)])
    briefs = build_briefs(rows, policies={"spam": policy})
    text = render_briefs(briefs)[briefs[0].file]
    assert "<" not in text
    assert not re.search(r"(?<!\\)\]\(", text)
    assert not re.search(r"(?<!\\)!\[", text)
    assert text.count("\n# ") == 0
    assert text.startswith("# ")
    evidence = next(
        line for line in text.split("\n") if line.startswith("| \\") or "onerror" in line
    )
    table = [line for line in text.split("\n") if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {3, 9}
    assert "http\\://" in evidence


@given(st.text(max_size=60))
def test_no_text_opens_anything_in_markdown(text):
    shown = escape_markdown(text)
    assert "\n" not in shown
    assert "<" not in shown
    assert not re.match(r"(#|>|-|\+|=|\d+[.)]\s)", shown)
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*_\[\]|]", shown.replace("\\\\", ""))


def test_the_table_lists_each_brief():
    table = brief_table(built({}, {"finding_id": "f2", "policy_id": "x"}))
    assert table["owner"].isna().tolist() == [False, True]
    assert table["pilot_reviews"].tolist() == [294, 294]
    assert set(table["state"]) == {"new"}


# Pilots


@pytest.mark.parametrize(("rate", "aim"), [(0.2, 0.1), (0.05, 0.04), (0.5, 0.45), (0.9, 0.7)])
def test_sizes_are_those_of_statsmodels(rate, aim):
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    theirs = proportion.samplesize_proportions_2indep_onetail(
        rate - aim, aim, power=0.8, alpha=0.05
    )
    assert reviews_per_arm(rate, aim) == pytest.approx(theirs, rel=0.02)


def test_a_pilot_of_this_size_sees_the_effect_in_four_of_five():
    n = reviews_per_arm(0.3, 0.2)
    rng = np.random.default_rng(0)
    one, two = rng.binomial(n, 0.3, 20_000) / n, rng.binomial(n, 0.2, 20_000) / n
    mean = (one + two) / 2
    seen = np.mean(np.abs(one - two) > 1.96 * np.sqrt(2 * mean * (1 - mean) / n))
    assert seen == pytest.approx(0.8, abs=0.02)


@given(st.floats(0.1, 0.9), st.floats(0.02, 0.09), st.integers(4, 5000))
def test_accounts_that_are_alike_need_more_reviews(rate, gain, accounts):
    simple = plan_pilot(rate, rate - gain, per_day=10.0)
    alike = plan_pilot(rate, rate - gain, per_day=10.0, n_accounts=accounts)
    assert simple.reviews is not None
    assert alike.reviews is None or alike.reviews >= simple.reviews


def test_too_few_accounts_cannot_be_split():
    plan = plan_pilot(0.3, 0.1, per_day=40.0, n_accounts=6)
    assert plan.reviews is None
    (brief,) = built({"cause": "account_cluster", "n_accounts": 6})
    assert "No number of reviews would be enough to compare halves" in brief.pilot_lines[1]


def test_two_models_see_all_that_two_halves_share():
    half = plan_pilot(0.3, 0.1, per_day=42.0)
    both = plan_pilot(0.3, 0.1, per_day=42.0, shared=True)
    assert (half.days, both.days) == (14, 7)


def test_a_pilot_needs_two_rates():
    with pytest.raises(DataError, match=r"rate and aim must differ.* got 0.2 and 0.2"):
        reviews_per_arm(0.2, 0.2)
