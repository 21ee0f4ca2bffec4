import pandas as pd
import pytest

from errdetect.changes.text_formatting import MEASURE_WORDS
from errdetect.errors import DataError
from errdetect.report.reported_rates import (
    read_reported_rate,
    reported_rates,
    reported_rates_by_group,
)


def row(make, **changes):
    return make["rate"]("error_rate", 0.057, 900, 9000, 0.012) | changes


def test_a_figure_is_said_with_its_interval(make):
    figure = read_reported_rate(row(make, low=0.051, high=0.063))
    assert figure.sentence == "Between 5.1 and 6.3 of 100 decisions are wrong."
    assert (figure.value, figure.base) == ("5.7", "100")


@pytest.mark.parametrize(
    ("n", "words"),
    [
        (0, "not known yet: no reviews"),
        (1, "not known yet: only 1 review"),
        (12, "not known yet: only 12 reviews"),
        (1200, "not known yet: 1,200 reviews are not enough"),
    ],
)
def test_a_suppressed_figure_is_said_in_words_whatever_its_numbers(make, n, words):
    figure = read_reported_rate(
        row(make, suppressed=True, n_reviews=n, estimate=0.0, low=0.0, high=0.0)
    )
    assert figure.percent == words
    assert figure.sentence == f"This {words}."
    assert figure.said is None
    assert figure.span == ""


@pytest.mark.parametrize(
    ("judging", "words"),
    [
        ("as_judged", "8.1 to 20.0\u00a0%"),
        ("adjudicated", "8.1 to 20.0\u00a0%"),
        ("golden", "left out: reviewers were measured and err"),
        ("flags_adjudicated_second_look", "left out: reviewers were measured and err"),
    ],
)
def test_bounds_are_left_out_where_reviewers_were_measured_and_err(make, judging, words):
    changes = {"method": f"score_t+{judging}: x", "bound_low": 0.081, "bound_high": 0.2}
    assert read_reported_rate(row(make, **changes)).bounds_span == words


def test_each_rate_names_its_own_denominator():
    names = {m: words.name for m, words in MEASURE_WORDS.items()}
    assert len(set(names.values())) == len(names)
    assert all(words.of in words.name for words in MEASURE_WORDS.values())


@pytest.mark.parametrize("column", ["estimate", "low", "high", "suppressed"])
def test_a_figure_that_lacks_a_part_is_not_said(make, column):
    assert read_reported_rate(row(make, **{column: None})).said is None


@pytest.mark.parametrize(
    ("proxy", "verdict"),
    [
        (0.012, "That is 4.5 of 100 less than the audit finds."),
        (0.102, "That is 4.5 of 100 more than the audit finds."),
        (0.055, "The audit does not contradict it."),
    ],
)
def test_the_claim_of_appeals_is_held_against_the_interval(make, proxy, verdict):
    claim = read_reported_rate(row(make, low=0.051, high=0.063, proxy=proxy)).claim
    assert claim is not None
    assert claim.verdict == verdict


def test_the_gap_is_that_of_the_numbers_shown(make):
    changes = {"estimate": 0.42555, "low": 0.398, "high": 0.453, "proxy": 0.03749}
    claim = read_reported_rate(row(make, **changes)).claim
    assert claim is not None
    assert claim.value == "3.7"
    assert claim.verdict == "That is 38.9 of 100 less than the audit finds."


def test_no_claim_where_the_proxy_has_no_meaning(make):
    assert read_reported_rate(row(make, proxy=float("nan"))).claim is None


def test_a_claim_beside_an_unsaid_figure_is_not_compared(make):
    claim = read_reported_rate(row(make, suppressed=True)).claim
    assert claim is not None
    assert claim.verdict == "There is no audited figure to compare it with."


def test_bounds_are_both_or_none(make):
    assert read_reported_rate(row(make, bound_high=None)).bounds_span == "not computed"
    assert (
        read_reported_rate(row(make, bound_low=0.01, bound_high=0.9)).bounds_span
        == "1.0 to 90.0\u00a0%"
    )


def test_a_missing_column_is_named(make):
    frame = make["whole"]().drop(columns=["proxy"])
    with pytest.raises(DataError, match=r"table estimates must have the columns .* got no proxy\."):
        reported_rates(frame, "estimates")


def test_rows_without_a_group_are_no_group(make):
    frame = pd.concat([make["by"]("market", ["DE"], [0.1]), make["whole"]()])
    assert list(reported_rates_by_group(frame, "market", "estimates by market")) == ["DE"]


def test_an_obstacle_other_than_few_reviews_is_named(make):
    figure = read_reported_rate(
        row(make, suppressed=True, n_reviews=900, method="reviewers_at_chance: whatever it says")
    )
    assert figure.unsaid == (
        "not known yet: reviewers do no better than chance on golden items or adjudications"
    )
    few = read_reported_rate(
        row(make, suppressed=True, n_reviews=4, method="too_few_reviews: too few")
    )
    assert few.unsaid == "not known yet: only 4 reviews"


def test_the_method_is_said_without_its_code_and_its_warnings_apart(make):
    figure = read_reported_rate(
        row(make, method="score_t+as_judged: weighted audit; uncorrected; warning: weights are low")
    )
    assert figure.how == "weighted audit; uncorrected"
    assert figure.warnings == ("weights are low",)
    assert read_reported_rate(row(make, method="M.1t")).how == "M.1t"
