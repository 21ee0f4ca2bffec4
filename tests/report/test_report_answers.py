"""The report's answers: training needs, mixed-up policies, the reviewing, effects, remedies, the heatmap."""

from errdetect.report.action_items import read_remedies
from errdetect.report.effects_section import read_effects
from errdetect.report.heatmap import build_heatmap
from errdetect.report.report import render_report
from errdetect.report.reported_rates import IntervalEstimate
from errdetect.report.training_section import read_mixups, read_training
from errdetect.report.work_section import read_appeals, read_work

from .conftest import (
    appeal_frame,
    draw_frame,
    effect_frame,
    mixup_frame,
    policy_market_frame,
    remedy_frame,
    training_frame,
    work_frame,
)


def test_a_need_says_who_misses_what_how_often_and_how_the_others_do():
    table = read_training(training_frame(), {"spam": "Spam"})
    assert [need.sentence for need in table.needs] == [
        "Of 100 violating items under Spam, alder misses 34.0 (between 20.4 and 47.6); the other sites "
        "miss 6.0."
    ]
    assert table.needs[0].cases == ("d0000001", "d0000002")
    assert table.n_silent == 1
    assert len(table.rows) == 7
    assert table.open_questions == (
        "birch, hate: likely more wrongful calls than other sites. 4.2 compliant items are too few for a "
        "figure; about 40 more reviews there would give one.",
    )


def test_pairs_that_are_mixed_up_both_ways_collide_once():
    table = read_mixups(mixup_frame(), {"hate": "Hate", "adult": "Adult content"})
    assert table.collide == ("Hate and Adult content",)
    assert table.rows[0].decisions == "80 (40 to 133)"
    assert table.rows[0].support == "11 of 90 audited decisions"


def test_the_picture_of_mix_ups_tells_few_from_none():
    frame = mixup_frame((("hate", "adult"), ("adult", "hate"), ("spam", "adult")))
    frame.loc[2, "suppressed"] = True
    picture = read_mixups(frame, {"hate": "Hate"}).picture
    assert picture.columns == ("adult", "Hate")
    states = {label: [square.state for square in row] for label, row in picture.rows}
    assert states == {
        "Hate": ["rate", "same"],
        "adult": ["same", "rate"],
        "spam": ["few", "none"],
    }
    assert picture.rows[0][1][0].span == "6–20"
    assert picture.n_policies == 3


def test_a_week_without_reviews_counts_as_none_of_them():
    work = read_work(work_frame(), draw_frame(), {"matured": 5, "pending": 7, "censored": 0})
    birch = next(site for site in work.sites if site.site == "birch")
    assert birch.bars == (33.3, 0.0, 100.0)
    assert birch.before == "5.0"  # 70 in two weeks
    assert work.sites[-1].site == "no site named"
    assert (
        work.total
        == "630 reviews in the last seven days of the data, 90.0 a day; 35.0 a day in the 2 weeks before."
    )
    assert (work.overdue, work.draws[0].progress) == (1, "120 of 300 (40.0\u00a0%)")
    assert work.labels.startswith("5 decisions have a label; for 7 a review")


def test_an_effect_that_is_not_known_has_no_mark():
    chart = read_effects(effect_frame(), {"spam": "Spam"})
    first, second = chart.rows
    assert first.sentence == (
        "20.0\u00a0% before, 9.0\u00a0% after; as the untouched decisions moved, 19.0\u00a0% without the "
        "change: -10.0 points (-16.0 to -3.0)."
    )
    assert (first.before, first.verdict) == (100.0, "fewer errors")
    assert (second.before, second.after, second.verdict) == (None, None, "not known yet")


def test_penalties_that_need_a_check_come_last_and_are_counted():
    found = read_remedies(remedy_frame(), {})
    assert found.lines == (
        "1 action to reverse.",
        "2 penalties to revoke, 1 of them only after a check.",
        "1 label to correct.",
    )
    assert [row.status for row in found.rows] == ["planned", "check first"]


def test_a_rate_that_is_hardly_known_has_no_shade():
    frame = policy_market_frame(["a", "b"], ["DE", "FR"])
    frame.loc[0, ["low", "high"]] = [0.0, 0.5]
    frame.loc[3, "low"] = 0.9 * frame.loc[3, "estimate"]
    heat = build_heatmap(frame, {}, IntervalEstimate(0.01, 0.009, 0.011))
    squares = {
        (row.label, m): s
        for row in heat.rows
        for m, s in zip(heat.columns, row.squares, strict=True)
    }
    assert (squares["a", "DE"].rate, squares["a", "DE"].shade) == (None, 0)
    assert squares["b", "FR"].shade == 5
    assert squares["b", "FR"].sure == "above"
    assert heat.n_known == 3


def test_missing_parts_are_said_to_be_missing(full):
    names = (
        "training_needs",
        "label_mixups",
        "review_work",
        "audit_draws",
        "open_appeals",
        "policy_markets",
        "effects",
        "remedies",
    )
    page = render_report(full(**dict.fromkeys(names)))
    assert "Sites cannot be compared by policy yet." in page
    assert "No mix-up of policies is known." in page
    assert "There is no recent review to count." in page
    assert "No reviewed decision needs a remedy" in page
    assert 'id="heatmap"' not in page
    assert 'id="effects"' not in page


def test_each_answer_is_linked_from_the_first_screen(full):
    page = render_report(full())
    for anchor in ("training", "mixups", "remedies", "effects", "work"):
        assert f'href="#{anchor}"' in page
        assert f'id="{anchor}"' in page


def test_hostile_names_stay_text(full):
    bad = "<img src=x onerror=alert(1)>"
    page = render_report(
        full(
            training_needs=training_frame((bad, "b")), label_mixups=mixup_frame(((bad, "spam"),)),
            review_work=work_frame((bad,)), remedies=remedy_frame(bad), effects=effect_frame(bad),
            policy_markets=policy_market_frame([bad, "b"], [bad, "c"]),
            audit_draws=draw_frame().assign(draw_id=bad),
        )
    )  # fmt: skip
    assert "<img" not in page


def test_waiting_appeals_name_the_late_ones():
    found = read_appeals(appeal_frame(), {"spam": "Spam"})
    assert found.sentence == (
        "55 appeals wait for an answer: 5 past the deadline, 13 due within seven days; the oldest has "
        "waited 21 days."
    )
    assert found.rows[0] == ("Spam", "40", "5", "9", "21")
    assert found.rows[-1][0] == "decisions that are not in the log"
    assert read_appeals(appeal_frame().head(0), {}).sentence == "No appeal waits for an answer."
    assert read_work(None, None, {}, found).appeals is found
