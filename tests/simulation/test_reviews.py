"""The simulated reviews: an audit whose chances hold, people who err, sellers who appeal."""

import numpy as np
import pandas as pd
import pytest

from errdetect.simulation.marketplace import simulate


@pytest.fixture(scope="module")
def market():
    return simulate(100_000, 150, seed=7)


@pytest.fixture(scope="module")
def judged(market):
    """Every review beside its decision and the truth."""
    frame = market.reviews.merge(market.decisions, on="decision_id", validate="many_to_one")
    frame = frame.merge(
        market.truth, on="decision_id", validate="many_to_one", suffixes=("", "_true")
    )
    truth = np.select(
        [frame["error_kind"] == "wrong_label", frame["is_error"]],
        ["relabelled", "overturned"],
        "upheld",
    )
    return frame.assign(truth=truth, enforced=frame["action"] != "approve")


def _source(judged, name):
    part = judged[judged["source"] == name]
    assert len(part) > 100
    return part


def test_reviews_come_after_their_decision_and_within_the_period(judged):
    assert (judged["reviewed_at"] > judged["decided_at"]).all()
    assert (
        judged["reviewed_at"] <= pd.Timestamp("2025-01-01", tz="UTC") + pd.Timedelta(days=150)
    ).all()


def test_optional_fields_are_sometimes_missing(market):
    reviews = market.reviews
    for name in ("minutes", "reviewer_id", "site"):
        assert 0 < reviews[name].isna().mean() < 0.05, name
    assert (reviews["minutes"].dropna() > 0).all()
    relabelled = reviews["verdict"] == "relabelled"
    assert (reviews["correct_policy_id"].notna() == relabelled).all()
    assert (reviews["expected"].notna() == (reviews["source"] == "golden")).all()
    designed = reviews["source"].isin(["audit", "adjudication"])
    assert (reviews["inclusion_probability"].notna() == designed).all()


def test_the_audits_chances_are_those_of_the_drawing(market, judged):
    """Weighted back by the logged chances, the sample counts every known part of the log."""
    audited = _source(judged, "audit").drop_duplicates("decision_id")
    chance = audited["inclusion_probability"]
    assert chance.between(0, 1, inclusive="right").all()
    assert 0.05 < len(audited) / len(market.decisions) < 0.07
    assert chance.max() > 5 * chance.min()
    for by in ("policy_id", "market", "action", "seller_size", "moderator"):
        known = market.decisions[by].value_counts()
        weight = (1 / chance).groupby(audited[by]).sum()
        spread = ((1 - chance) / chance**2).groupby(audited[by]).sum() ** 0.5
        off = (weight.reindex(known.index, fill_value=0) - known) / spread
        assert off.abs().max() < 4.5, by
    day = market.decisions["decided_at"].dt.floor("10D")
    weight = (1 / chance).groupby(audited["decided_at"].dt.floor("10D")).sum()
    assert (weight / day.value_counts()).between(0.75, 1.25).all()


def test_weighting_recovers_the_error_rate_and_the_plain_mean_does_not(market, judged):
    audited = _source(judged, "audit").drop_duplicates("decision_id")
    chance, error = audited["inclusion_probability"], audited["is_error"]
    truth, n = market.truth["is_error"].mean(), len(market.truth)
    estimate = (error / chance).sum() / n
    spread = ((1 - chance) / chance**2 * error).sum() ** 0.5 / n
    assert abs(estimate - truth) < 4 * spread
    assert error.mean() > 1.5 * truth


def test_one_decisions_judges_are_different_people_with_one_chance(judged):
    audits = _source(judged, "audit")
    groups = audits.groupby("decision_id")
    assert groups["inclusion_probability"].nunique().eq(1).all()
    named = audits.dropna(subset="reviewer_id")
    assert not named.duplicated(["decision_id", "reviewer_id"]).any()
    judges = groups.size()
    assert (judges > 1).mean() == pytest.approx(0.25, abs=0.02)
    assert judges.max() == 3


def test_experts_settle_every_flag_and_only_flags(judged):
    audits, final = _source(judged, "audit"), _source(judged, "adjudication")
    flagged = audits.loc[audits["verdict"] != "upheld", "decision_id"].unique()
    assert set(final["decision_id"]) == set(flagged)
    assert not final["decision_id"].duplicated().any()
    assert (final["inclusion_probability"] == 1).all()
    assert (final["verdict"] == final["truth"]).all()
    label = final["verdict"] == "relabelled"
    assert (final["correct_policy_id"] == final["correct_policy_id_true"])[label].all()
    assert set(final["site"]) == {"experts"}
    last = audits.groupby("decision_id")["reviewed_at"].max()
    assert (final["reviewed_at"].to_numpy() > last.loc[final["decision_id"]].to_numpy()).all()


def test_a_share_of_the_flags_can_be_settled():
    reviews = simulate(60_000, 90, seed=2, adjudication_share=0.4).reviews
    final = reviews[reviews["source"] == "adjudication"]
    audits = reviews[reviews["source"] == "audit"]
    flagged = audits.loc[audits["verdict"] != "upheld", "decision_id"].nunique()
    assert (final["inclusion_probability"] == 0.4).all()
    assert len(final) / flagged == pytest.approx(0.4, abs=0.08)


def test_a_design_without_audit_or_golden_items_has_none():
    reviews = simulate(20_000, 60, seed=2, audit_share=0, golden_share=0).reviews
    assert set(reviews["source"]) == {"appeal", "report"}


def test_golden_items_know_the_truth(judged):
    golden = _source(judged, "golden")
    assert len(golden) == 1_000
    assert (golden["expected"] == golden["truth"]).all()
    assert 0.3 < (golden["expected"] != "upheld").mean() < 0.6
    assert golden["reviewer_id"].notna().all()
    assert golden["reviewer_id"].nunique() > 50


def test_reviewers_err_on_both_sides_by_site(market, judged):
    """The planted rates are those at which the sites' reviewers really call decisions wrong."""
    audits = _source(judged, "audit").dropna(subset="site")
    flag, weight = audits["verdict"] != "upheld", 1 / audits["inclusion_probability"]
    sites = pd.DataFrame(market.planted["reviewers"]["sites"]).set_index("site")
    assert len(sites) >= 5
    for name, error in (("sensitivity", True), ("false_positive_rate", False)):
        assert sites[name].max() - sites[name].min() > 0.015
        for site, own in audits[audits["is_error"] == error].groupby("site"):
            w, p = weight[own.index], sites.loc[site, name]
            observed = (w * flag[own.index]).sum() / w.sum()
            spread = (p * (1 - p) * (w**2).sum()) ** 0.5 / w.sum()
            assert abs(observed - p) < 4.5 * spread, (site, name)
    assert (sites["sensitivity"] < 0.97).all()
    assert sites["false_positive_rate"].between(0.005, 0.06).all()
    people = pd.DataFrame(market.planted["reviewers"]["reviewers"])
    assert people["reviewer_id"].is_unique
    assert 60 <= len(people) <= 150
    assert set(judged["reviewer_id"].dropna()) - set(people["reviewer_id"]) == {
        r for r in judged["reviewer_id"].dropna().unique() if r.startswith("x")
    }


def test_people_disagree_most_where_the_rule_is_unclear(market, judged):
    audits = _source(judged, "audit")
    verdicts = audits.groupby("decision_id").agg(
        policy=("policy_id", "first"), judges=("verdict", "size"), answers=("verdict", "nunique")
    )
    split = (verdicts["answers"] > 1)[verdicts["judges"] > 1].groupby(verdicts["policy"]).mean()
    assert split.idxmax() == market.planted["ambiguous_policies"][0]


def test_one_site_lets_breaches_of_one_rule_pass(market, judged):
    fault = market.planted["reviewers"]["faults"][0]
    audits = _source(judged, "audit")
    sound = audits[
        audits["enforced"] & ~audits["is_error"] & (audits["policy_id"] == fault["policy_id"])
    ]
    reversed_ = (sound["verdict"] != "upheld").groupby(sound["site"] == fault["site"]).mean()
    assert reversed_[True] > 2 * reversed_[False]


def test_appeals_come_from_the_wronged_the_large_and_those_at_ease(market, judged):
    appeals = _source(judged, "appeal")
    assert appeals["enforced"].all()
    log = market.decisions.merge(market.truth, on="decision_id")
    log = log[log["action"] != "approve"]
    appealed = log["decision_id"].isin(appeals["decision_id"])
    by_error = appealed.groupby(log["is_error"]).mean()
    assert by_error[True] > 3 * by_error[False]
    by_size = appealed.groupby(log["seller_size"]).mean()
    assert by_size["large"] > 2 * by_size["private"]
    by_language = appealed.groupby(log["language"]).mean()
    assert by_language["en"] > 1.5 * by_language["ar"]
    delay = (appeals["reviewed_at"] - appeals["decided_at"]).dt.total_seconds() / 86_400
    assert 5 < delay.median() < 20
    assert delay.max() > 60


def test_not_successfully_appealed_is_far_from_precision(market, judged):
    enforced = market.decisions["action"] != "approve"
    appeals = _source(judged, "appeal")
    reversed_ = appeals.loc[appeals["verdict"] != "upheld", "decision_id"].nunique()
    proxy = 1 - reversed_ / enforced.sum()
    precision = 1 - market.truth["is_error"][enforced].mean()
    assert proxy > 0.93
    assert precision < 0.85


def test_reports_are_about_what_was_allowed(judged):
    reports = _source(judged, "report")
    assert not reports["enforced"].any()
    assert reports["is_error"].mean() > 0.2


def test_reviews_take_about_the_rules_minutes(market, judged):
    usual = {p["policy_id"]: p["review_minutes"] for p in market.policies}
    audits = _source(judged, "audit").dropna(subset="minutes")
    taken = audits.groupby("policy_id")["minutes"].median()
    assert (taken / pd.Series(usual)).between(0.5, 1.6).all()
