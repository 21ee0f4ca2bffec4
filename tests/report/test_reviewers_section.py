"""The section on the people who review, as laid out and as read."""

import re

import numpy as np
import pandas as pd
import pytest

from errdetect.errors import DataError
from errdetect.report.report import render_report
from errdetect.report.reviewers_section import read_reviewers

NAMES = {"spam": "Spam and keyword stuffing"}


def section(html):
    return html[html.index('<section id="reviewers"') : html.index('<section id="ranking"')]


def words(html):
    text = re.sub(r"<[^>]+>", " ", section(html))
    return re.sub(r"\s+", " ", text.replace("\u00a0", " "))


def laid_out(make, cards=None, plans=None, **others):
    frame = make["cards"]() if cards is None else cards
    table = pd.DataFrame([make["plan"]()] if plans is None else plans)
    found = read_reviewers(frame, make["agreement"](), table, names=NAMES, **others)
    assert found is not None
    return found


def test_a_site_is_said_in_sentences(make):
    site = laid_out(make).sites[0]
    assert site.card.site == "alder"
    assert site.sentences == (
        "Of 100 violating items, it misses 8.1 (between 6.5 and 8.9; worth 412 reviewed items).",
        "Of 100 compliant items, it calls 3.4 violating (between 2.7 and 3.7; worth 412 reviewed "
        "items).",
    )
    assert site.plan == (
        "Of the 412 reviews of 24 Apr 2025 to 30 Apr 2025, check 50 drawn at random; accept the "
        "week if at most 1 is wrong (normal inspection)."
    )
    assert site.needed == (
        "For rates within ±2 points, it needs about 301 more golden items that violate "
        "a rule and 301 more that comply."
    )


def test_golden_items_are_enough_only_where_both_rates_say_so(make):
    def needed(**by_measure):
        cards = make["cards"](["alder"])
        cards["golden_needed"] = cards["measure"].map(by_measure).astype("Int64")
        return laid_out(make, cards).sites[0].needed

    assert needed(missed_violation=0, wrongful_call=0).startswith("There are enough golden items")
    assert needed(missed_violation=0) == ""
    assert needed() == ""
    assert needed(missed_violation=0, wrongful_call=7) == (
        "For rates within ±2 points, it needs about 7 more golden items that comply."
    )


def test_what_is_held_back_shows_no_number(make):
    cards = make["cards"](["only"]).assign(suppressed=True, note="one reviewer")  # values stay
    found = laid_out(make, cards, [make["plan"]("only")])
    assert found.sites[0].sentences == (
        "How many violations it misses is not known yet (one reviewer).",
        "How often it calls compliant content violating is not known yet (one reviewer).",
    )
    assert found.people == ()
    assert found.n_silent == 2
    assert found.basis == ""


@pytest.mark.parametrize(
    ("changes", "plan"),
    [
        (
            {"lot_size": 8, "n": 8, "accept": 0},
            "8 reviews of 24 Apr 2025 to 30 Apr 2025: check all of them; accept the week if none "
            "is wrong (normal inspection).",
        ),
        (
            {"stage": "tightened", "lots": 5, "accept": 2},
            "Of the 412 reviews of 24 Apr 2025 to 30 Apr 2025, check 50 drawn at random; accept "
            "the week if at most 2 are wrong (tightened inspection, after 5 earlier weeks in a "
            "row).",
        ),
        (
            {"lot_size": 1, "n": None, "accept": None, "note": "one review is no lot"},
            "1 review of 24 Apr 2025 to 30 Apr 2025: no plan; one review is no lot.",
        ),
    ],
)
def test_the_inspection_plan_is_a_sentence(make, changes, plan):
    assert laid_out(make, plans=[make["plan"](**changes)]).sites[0].plan == plan


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.81, 0.9, "reviewers agree well"),
        (0.7, 0.9, "reviewers agree fairly"),
        (0.6, 0.7, "inconclusive"),
        (0.2, 0.6, "too little for conclusions"),
    ],
)
def test_agreement_is_judged_by_its_whole_interval(make, low, high, verdict):
    frame = make["agreement"]([]).assign(low=low, high=high, alpha=(low + high) / 2, note="")
    found = read_reviewers(make["cards"](), frame, None, names={})
    assert found is not None
    assert found.agree is not None
    assert verdict in found.agree.verdict


def test_policies_that_agree_least_come_first_and_unknown_last(make):
    found = laid_out(make)
    assert [a.key for a in found.policies] == ["hate", "spam", "adult"]
    assert found.policies[1].label == "Spam and keyword stuffing"
    assert found.policies[2].said is None


def test_people_stand_by_name_not_by_rate(make):
    cards = make["cards"]().sample(frac=1, random_state=2)
    found = laid_out(make, cards)
    order = [(c.site, c.reviewer) for c in found.people]
    assert order == sorted(order)
    assert found.n_silent == 2  # the site with too few items


def test_a_site_with_a_plan_but_no_card_is_shown(make):
    found = read_reviewers(None, None, pd.DataFrame([make["plan"]()]), names={})
    assert found is not None
    assert found.sites[0].sentences == ()
    assert found.agree is None


def test_a_missing_site_has_a_name_and_stands_last(make):
    cards = make["cards"](["x", "a"])
    cards["site"] = cards["site"].where(cards["site"] == "x", None)
    plans = [make["plan"](None), make["plan"]("x")]
    found = laid_out(make, cards, plans)
    assert [s.card.site for s in found.sites] == ["x", "no site named"]
    assert all(s.plan for s in found.sites)


def test_a_missing_column_is_named(make):
    with pytest.raises(DataError, match=r"reviewers must have .* got no note"):
        read_reviewers(make["cards"]().drop(columns="note"), None, None, names={})


def test_the_page_says_what_a_card_is_for(build):
    said = words(render_report(build()))
    assert "Overlapping intervals do not prove a difference" in said
    assert "A card is a reason to talk, not to punish." in said
    assert "91 gave the same verdict" in said
    assert "between 0.69 and 0.79: reviewers agree fairly" in said
    assert "Of the 412 reviews of 24 Apr 2025 to 30 Apr 2025, check 50" in said
    assert "ISO 2859-1, level II, for 1 % of wrong reviews" in said
    assert "What is missing Golden reviews: 12" in said


def test_without_overlap_no_figure_of_agreement_is_shown(build, make):
    nan = {"alpha": np.nan, "low": np.nan, "high": np.nan, "observed": np.nan, "n_decisions": 0}
    none = make["agreement"]([]).assign(
        **nan, note="0 decisions were judged by two or more people; 30 are needed."
    )
    said = words(render_report(build(agreement=none)))
    assert "How far reviewers agree is not known yet. 0 decisions were judged" in said
    assert "gave the same verdict" not in said
    assert "Krippendorff" not in said


def test_every_table_of_the_section_has_its_caption_and_scopes(build):
    html = section(render_report(build()))
    assert html.count("<table") == html.count("<caption") == 4
    assert all("scope=" in head for head in re.findall(r"<th\b[^>]*>", html))


def test_many_reviewers_are_cut_and_the_page_says_so(build, make):
    cards = make["cards"](["alder"], [f"reviewer-{i:011x}0" for i in range(400)])
    said = words(render_report(build(reviewers=cards)))
    assert "The page holds the first 250 of 400 reviewers." in said
