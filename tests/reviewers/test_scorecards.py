import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.proportion import proportion_confint

from errdetect.errors import DataError
from errdetect.reviewers.scorecards import MEASURES, build_scorecards, pseudonymise_ids
from errdetect.snapshot import Snapshot

SALT = b"a secret that nobody knows"


def cards_of(decisions, reviews):
    snapshot = Snapshot(decisions, reviews)
    return build_scorecards(snapshot.verdicts, snapshot.reviewer_model, salt=SALT)


@pytest.fixture(scope="module")
def world(operation):
    return operation(1, golden_per_site=400, overlap_per_site=400)


@pytest.fixture(scope="module")
def cards(world):
    return cards_of(world.decisions, world.reviews)


def one(cards, site, measure):
    of_site = cards["reviewer"].isna() & (cards["site"] == site) & (cards["measure"] == measure)
    assert of_site.sum() == 1
    return cards[of_site].iloc[0]


def test_every_site_and_reviewer_has_every_measure(world, cards):
    sites = cards[cards["reviewer"].isna()]
    assert sites["measure"].tolist() == list(MEASURES) * 4
    people = cards[cards["reviewer"].notna()]
    assert len(people) == 32 * len(MEASURES)
    assert people.groupby("site")["reviewer"].nunique().eq(8).all()


def test_no_reviewer_is_named(world, cards):
    shown = cards.to_csv()
    assert not any(name in shown for name in world.reviews["reviewer_id"].unique())
    assert cards["reviewer"].dropna().str.fullmatch("reviewer-[0-9a-f]{12}").all()


def test_accuracy_is_the_share_right_with_wilsons_limits(world, cards):
    reviews = world.reviews
    golden = reviews[(reviews["source"] == "golden") & (reviews["site"] == "site 2")]
    right = (golden["verdict"] == golden["expected"]).sum()
    low, high = proportion_confint(right, len(golden), method="wilson")
    found = one(cards, "site 2", "accuracy")
    assert found["value"] == right / len(golden)
    assert (found["low"], found["high"]) == pytest.approx((low, high))
    assert (found["n"], found["basis"]) == (400, "golden items")


def test_agreement_with_others(world, cards):
    audit = world.reviews[world.reviews["source"] == "audit"]
    audit = audit[audit["site"] == "site 1"]
    pairs = audit.groupby("decision_id")["verdict"].agg(["nunique", "size"])
    pairs = pairs[pairs["size"] == 2]
    found = one(cards, "site 1", "peer_agreement")
    assert found["value"] == pytest.approx((pairs["nunique"] == 1).mean())
    assert found["n"] == pytest.approx(len(pairs))  # both say the same: one draw, not two


def test_error_rates_are_the_models(world, cards):
    model = Snapshot(world.decisions, world.reviews).reviewer_model
    site = model.sites.set_index(["site", "side"]).loc[("site 0", "both")]
    found = one(cards, "site 0", "missed_violation")
    want = [site[f"missed_violation{part}"] for part in ("", "_low", "_high", "_n")]
    assert found[["value", "low", "high", "n"]].tolist() == want
    assert found["basis"] == "dawid_skene"


def test_little_is_suppressed(cards):
    people = cards[cards["reviewer"].notna()]
    few = people["n"] < 30
    assert few.any()
    assert not few.all()
    assert people["suppressed"].equals(few)
    assert people.loc[few, ["value", "low", "high"]].isna().all(axis=None)
    assert one(cards, "site 0", "flags_confirmed")["suppressed"]  # nothing was adjudicated


def test_a_reviewers_figure_rests_on_their_own_items_not_on_the_sites(world):
    reviews = world.reviews
    rare = reviews["reviewer_id"] == reviews["reviewer_id"].iloc[0]
    kept = reviews[~rare | (rare.cumsum() <= 5)]
    cards = cards_of(world.decisions, kept)
    name = pseudonymise_ids(reviews["reviewer_id"].iloc[:1], salt=SALT).iloc[0]
    mine = cards[(cards["reviewer"] == name) & (cards["measure"] == "wrongful_call")].iloc[0]
    assert mine["suppressed"]
    assert mine["n"] <= 5


def test_minutes_are_medians_with_limits(decisions_of, reviews_of):
    minutes = np.arange(1.0, 102.0)
    rows = [
        {"decision_id": f"d{i}", "day": 10, "site": "a", "reviewer_id": "ann", "minutes": m}
        for i, m in enumerate(minutes)
    ]
    decisions, reviews = decisions_of(101), reviews_of(*rows)
    cards = cards_of(decisions, reviews)
    found = one(cards, "a", "minutes")
    assert found[["value", "low", "high", "n"]].tolist() == [51.0, 41.0, 61.0, 101.0]


def test_flags_confirmed_by_experts(decisions_of, reviews_of):
    rows = []
    for i in range(40):
        flag = {"decision_id": f"d{i}", "verdict": "overturned", "site": "a"}
        word = {"verdict": "overturned" if i < 30 else "upheld", "inclusion_probability": 1.0}
        rows.append({"day": 10, "reviewer_id": "ann", **flag})
        rows.append({"day": 11, "source": "adjudication", "decision_id": f"d{i}", **word})
    decisions, reviews = decisions_of(40), reviews_of(*rows)
    cards = cards_of(decisions, reviews)
    assert one(cards, "a", "flags_confirmed")["value"] == 0.75
    # a flag that its reviewer had withdrawn is none, whether under a new id or the same
    wrong = reviews.assign(review_id="x" + reviews["review_id"], verdict="overturned")
    wrong = wrong[wrong["source"] == "audit"]
    before = {"reviewed_at": wrong["reviewed_at"] - pd.Timedelta(days=1)}
    calm = reviews.assign(
        verdict=reviews["verdict"].mask(
            (reviews["source"] == "audit") & (reviews["decision_id"] == "d39"), "upheld"
        )
    )
    alone = cards_of(decisions, calm)
    for ids in (wrong["review_id"], wrong["review_id"].str[1:]):
        both = pd.concat([calm, wrong.assign(review_id=ids, **before)], ignore_index=True)
        cards = cards_of(decisions, both)
        pd.testing.assert_frame_equal(cards, alone)


def test_a_missing_site_is_a_row_of_its_own(decisions_of, reviews_of):
    reviews = reviews_of({"decision_id": "d0", "day": 1})
    decisions = decisions_of(1)
    cards = cards_of(decisions, reviews)
    assert cards["site"].isna().all()
    assert len(cards) == len(MEASURES)
    assert cards["suppressed"].all()


def test_no_reviews_make_no_cards(decisions_of, reviews_of):
    decisions, reviews = decisions_of(2), reviews_of()
    cards = cards_of(decisions, reviews)
    assert len(cards) == 0


def test_pseudonyms_depend_on_the_salt():
    names = pd.Series(["ann", "bob", "ann", None], dtype="str")
    one_way, another = pseudonymise_ids(names, salt=SALT), pseudonymise_ids(names, salt=SALT + b"!")
    assert one_way[0] == one_way[2] != one_way[1]
    assert pd.isna(one_way[3])
    assert not set(one_way.dropna()) & set(another.dropna())


def test_a_short_salt_is_refused():
    with pytest.raises(DataError, match=r"salt of pseudonyms must have at least 16 bytes, got 5\."):
        pseudonymise_ids(pd.Series(["ann"]), salt=b"short")
