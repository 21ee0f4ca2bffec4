import numpy as np
import pandas as pd
import pytest

from errdetect.snapshot import LabelRules, Snapshot

RATES = ("missed_violation", "wrongful_call")


def fit(decisions, reviews, as_of=None):
    return Snapshot(decisions, reviews, as_of=as_of).reviewer_model


def site_errors(operation, seeds, **options):
    """Fit several operations; give estimate minus truth and whether the interval holds it."""
    gaps, held, bases = [], [], []
    for seed in seeds:
        world = operation(seed, **options)
        model = fit(world.decisions, world.reviews)
        sites = model.sites[model.sites["side"] == "both"]
        both = sites.merge(world.sites, on="site", suffixes=("", "_true"))
        assert len(both) == len(world.sites)
        gaps.append([both[rate] - both[f"{rate}_true"] for rate in RATES])
        held.append(
            [
                both[f"{rate}_true"].between(both[f"{rate}_low"], both[f"{rate}_high"])
                for rate in RATES
            ]
        )
        bases.append(model.basis)
    gaps, held = np.array(gaps), np.array(held)
    return gaps.transpose(1, 0, 2).reshape(2, -1), held.transpose(1, 0, 2).reshape(2, -1), bases


def test_site_rates_are_within_two_points_at_300_golden_and_300_overlapping(operation):
    gaps, held, bases = site_errors(operation, range(12))
    assert (np.abs(gaps).mean(axis=1) < 0.018).all()
    assert (np.abs(gaps.mean(axis=1)) < 0.006).all()
    assert (held.mean(axis=1) > 0.88).all()
    assert set(bases) == {"dawid_skene"}


def test_site_rates_at_300_golden_items_alone(operation):
    gaps, held, bases = site_errors(operation, range(12), overlap_per_site=0)
    assert (np.abs(gaps).mean(axis=1) < 0.024).all()
    assert (held.mean(axis=1) > 0.88).all()
    assert set(bases) == {"golden only"}


def test_site_rates_at_300_overlapping_items_alone(operation):
    gaps, held, bases = site_errors(operation, range(12), golden_per_site=0, judges=3)
    assert (np.abs(gaps).mean(axis=1) < 0.02).all()
    assert (held.mean(axis=1) > 0.88).all()
    assert set(bases) == {"dawid_skene"}


def test_people_who_err_on_the_same_items_are_held_to_golden_items(operation):
    gaps, held, _ = site_errors(operation, range(12), difficulty=1.5, overlap_per_site=900)
    assert (np.abs(gaps).mean(axis=1) < 0.02).all()
    assert (np.abs(gaps.mean(axis=1)) < 0.012).all()
    assert (held.mean(axis=1) > 0.85).all()


def test_shared_errors_are_noted(operation):
    world = operation(2, difficulty=2.0, overlap_per_site=2_000)
    model = fit(world.decisions, world.reviews)
    assert any(note.startswith("Reviewers err on the same items") for note in model.notes)
    independent = operation(2, overlap_per_site=2_000)
    assert fit(independent.decisions, independent.reviews).notes == ()


def test_without_golden_items_shared_difficulty_flatters_and_the_note_says_so(operation):
    gaps = site_errors(
        operation, range(6), golden_per_site=0, difficulty=1.5, overlap_per_site=900
    )[0]
    assert gaps[0].mean() < -0.02
    world = operation(1, golden_per_site=0)
    model = fit(world.decisions, world.reviews)
    assert any("estimated without golden items" in note for note in model.notes)


def test_an_ambiguous_share_costs_little(operation):
    gaps, held, _ = site_errors(operation, range(12), ambiguous=0.08)
    assert (np.abs(gaps).mean(axis=1) < 0.022).all()
    assert (held.mean(axis=1) > 0.82).all()


def test_reviewers_rates_and_their_limits(operation):
    held = []
    for seed in range(8):
        world = operation(seed, people_per_site=10)
        model = fit(world.decisions, world.reviews)
        people = model.reviewers[model.reviewers["side"] == "both"]
        both = people.merge(world.people, on=["site", "reviewer_id"], suffixes=("", "_true"))
        assert len(both) == 40
        for rate in RATES:
            assert (both[f"{rate}_own"] <= both[f"{rate}_n"] + 1e-9).all()
            low, high = both[f"{rate}_low"], both[f"{rate}_high"]
            held.append(both[f"{rate}_true"].between(low, high).mean())
    assert np.mean(held) > 0.88


def test_people_who_lean_towards_the_machine_are_measured_on_each_side(operation):
    world = operation(3, lean=0.8, golden_per_site=600)
    model = fit(world.decisions, world.reviews)
    assert set(model.sites["side"]) == {"both", "enforced", "allowed"}
    assert any("biased towards the machine's action" in note for note in model.notes)
    by_side = model.sites.set_index(["site", "side"])["missed_violation"].unstack()
    assert (by_side["allowed"] > by_side["enforced"] + 0.02).all()
    assert by_side["both"].between(by_side["enforced"], by_side["allowed"]).all()


def test_p_error_beats_counting_votes(operation):
    world = operation(2)
    model = fit(world.decisions, world.reviews)
    truth = pd.Series(world.is_error, index=world.decisions["decision_id"]).loc[model.p_error.index]
    votes = Snapshot(world.decisions, world.reviews, rules=LabelRules("votes")).labels
    votes = votes.set_index("decision_id")["p_label"].loc[model.p_error.index]
    assert ((model.p_error - truth) ** 2).mean() < 0.8 * ((votes - truth) ** 2).mean()
    assert abs(model.p_error.mean() - truth.mean()) < 0.02 < votes.mean() - truth.mean()


def test_only_what_was_known_is_used(operation, at):
    world = operation(5)
    day = at(2)
    known = world.reviews[world.reviews["reviewed_at"] <= day]
    now = fit(world.decisions, world.reviews, as_of=day)
    then = fit(world.decisions, known, as_of=day)
    pd.testing.assert_series_equal(now.p_error, then.p_error)
    pd.testing.assert_frame_equal(now.reviewers, then.reviewers)
    assert now.as_of == day


def test_the_order_of_rows_changes_no_bit(operation):
    world = operation(6, n_sites=2)
    rng = np.random.default_rng(0)
    reviews = world.reviews.iloc[rng.permutation(len(world.reviews))]
    decisions = world.decisions.iloc[rng.permutation(len(world.decisions))]
    want, got = (
        fit(world.decisions, world.reviews),
        fit(decisions, reviews),
    )
    pd.testing.assert_series_equal(want.p_error, got.p_error, check_exact=True)
    pd.testing.assert_frame_equal(want.sites, got.sites, check_exact=True)
    pd.testing.assert_frame_equal(want.reviewers, got.reviewers, check_exact=True)


def test_golden_reviews_are_no_reviews_of_their_decision(operation):
    world = operation(7, overlap_per_site=0, single_per_site=0)
    model = fit(world.decisions, world.reviews)
    assert model.basis == "golden only"
    assert len(model.p_error) == 0


def test_without_overlap_and_golden_items_it_says_so_and_counts_votes(operation):
    world = operation(8, golden_per_site=0, overlap_per_site=0)
    model = fit(world.decisions, world.reviews)
    assert model.basis == "votes"
    assert model.sites["missed_violation"].isna().all()
    assert model.reviewers["wrongful_call_n"].eq(0).all()
    assert model.p_error.isin([0.0, 1.0]).all()
    assert model.notes == (
        "Golden reviews: 0 of violating items, 0 of other items; 30 of each are needed to measure"
        " reviewers' error rates.",
        "Decisions that two or more people reviewed in one audit or re-review: 0; 100 are needed to"
        " estimate reviewers' error rates from overlap.",
        "Reviewers' error rates are unknown; P(error) is the share of votes.",
    )


def test_a_single_reviewer_without_golden_items_cannot_be_measured(operation):
    world = operation(9, n_sites=1, golden_per_site=0)
    reviews = world.reviews.assign(reviewer_id="solo").drop_duplicates("decision_id")
    model = fit(world.decisions, reviews)
    assert model.basis == "votes"
    assert model.reviewers["reviewer_id"].tolist() == ["solo"]


def test_opinions_are_not_errors(operation):
    world = operation(10, golden_per_site=0, ambiguous=0.75, judges=3)
    model = fit(world.decisions, world.reviews)
    assert model.basis == "votes"
    assert any(note.startswith("Reviewers agree so little") for note in model.notes)


def test_second_looks_at_flags_are_no_fair_overlap(operation):
    world = operation(11, golden_per_site=0, judges=2)
    reviews = world.reviews
    first = reviews.drop_duplicates("decision_id")
    upheld = first.loc[first["verdict"] == "upheld", "decision_id"]
    second = reviews.index.difference(first.index)
    chosen = reviews.drop(second[reviews.loc[second, "decision_id"].isin(upheld)])
    model = fit(world.decisions, chosen)
    assert model.basis == "votes"
    assert any("Second reviews depend on the verdict" in note for note in model.notes)


def test_nameless_reviewers_are_measured_as_their_site(operation):
    world = operation(12)
    model = fit(world.decisions, world.reviews.assign(reviewer_id=np.nan))
    assert model.reviewers["reviewer_id"].isna().all()
    both = model.sites.merge(world.sites, on="site", suffixes=("", "_true"))
    assert np.abs(both["wrongful_call"] - both["wrongful_call_true"]).mean() < 0.02


def test_no_site_at_all_is_one_site(operation):
    world = operation(13, n_sites=2)
    model = fit(world.decisions, world.reviews.assign(site=np.nan))
    assert model.sites["site"].isna().tolist() == [True]
    assert model.basis == "dawid_skene"


def test_no_reviews_at_all(decisions_of, reviews_of):
    model = fit(decisions_of(3), reviews_of())
    assert model.basis == "votes"
    assert len(model.p_error) == len(model.sites) == len(model.reviewers) == 0


def adjudicated(world, share, seed=0):
    """Send this share of the flagged audited decisions to an expert who is always right."""
    audit = world.reviews[world.reviews["source"] == "audit"]
    flagged = audit.loc[audit["verdict"] != "upheld", "decision_id"].unique()
    sent = flagged[np.random.default_rng(seed).random(len(flagged)) < share]
    truth = pd.Series(world.is_error, index=world.decisions["decision_id"]).loc[sent]
    last = audit.groupby("decision_id")["reviewed_at"].max().loc[sent]
    answers = pd.DataFrame(
        {
            "review_id": [f"x{i}" for i in range(len(sent))],
            "decision_id": sent,
            "reviewed_at": last.array + pd.Timedelta("1D"),
            "source": "adjudication",
            "verdict": np.where(truth, "overturned", "upheld"),
            "reviewer_id": "expert",
            "inclusion_probability": share,
        }
    )
    return pd.concat([world.reviews, answers], ignore_index=True)


def test_adjudicated_flags_pin_down_wrongful_calls(operation):
    gaps = {0.0: [], 1.0: []}
    for seed in range(6):
        world = operation(seed, overlap_per_site=0, single_per_site=2_000)
        for share, found in gaps.items():
            model = fit(world.decisions, adjudicated(world, share))
            both = model.sites[model.sites["side"] == "both"]
            both = both.merge(world.sites, on="site", suffixes=("", "_true"))
            found.extend(both["wrongful_call"] - both["wrongful_call_true"])
            assert model.basis == ("golden and adjudication" if share else "golden only")
    assert np.abs(gaps[1.0]).mean() < 0.6 * np.abs(gaps[0.0]).mean()


def test_the_experts_answer_is_the_decisions_p_error(operation):
    world = operation(4, n_sites=2)
    reviews = adjudicated(world, 0.5)
    model = fit(world.decisions, reviews)
    sent = reviews.loc[reviews["source"] == "adjudication", "decision_id"]
    truth = pd.Series(world.is_error, index=world.decisions["decision_id"])
    np.testing.assert_array_equal(model.p_error.loc[sent], truth.loc[sent].astype(float))


def test_a_vote_to_relabel_counts_as_an_error_of_the_policy(decisions_of, reviews_of):
    reviews = reviews_of(
        {"decision_id": "d0", "day": 1, "verdict": "relabelled"},
        {"decision_id": "d0", "day": 2, "verdict": "upheld"},
    )
    model = fit(decisions_of(1), reviews)
    assert model.p_error.loc["d0"] == pytest.approx(0.5)


def crowd(seed, n=2_000):
    """Items between right and wrong: each has its own share of people who would call a violation."""
    rng = np.random.default_rng(seed)
    share, judges = rng.beta(0.35, 0.75, n), rng.integers(3, 6, n)
    row = np.repeat(np.arange(n), judges)
    flags = rng.random(len(row)) < share[row]
    day = pd.Timestamp("2026-01-01", tz="UTC")
    decisions = pd.DataFrame(
        {"decision_id": [f"d{i}" for i in range(n)], "decided_at": day, "policy_id": "insult"}
    ).assign(enforced=False)
    reviews = pd.DataFrame(
        {
            "review_id": [f"r{i}" for i in range(len(row))],
            "decision_id": decisions["decision_id"].to_numpy()[row],
            "reviewed_at": day + pd.Timedelta(days=1),
            "source": "audit",
            "verdict": np.where(flags, "overturned", "upheld"),
            "reviewer_id": [f"p{i % 300}" for i in range(len(row))],
            "inclusion_probability": 1.0,
        }
    )
    return decisions, reviews, flags.astype(float), row


def test_labels_of_a_crowd_are_shares_of_votes_and_lean_to_no_side():
    decisions, reviews, flags, row = crowd(0)
    model = fit(decisions, reviews)
    share = np.bincount(row, flags) / np.bincount(row)
    np.testing.assert_array_equal(model.p_error[decisions["decision_id"]], share)
    if model.basis == "dawid_skene":
        assert any(note.startswith("The share of the other votes") for note in model.notes)


def test_votes_are_weighed_where_rates_of_reviewers_predict_them(operation):
    """A site that answers at random counts for less than the others, without any golden item."""
    world = operation(3, golden_per_site=0, judges=3, overlap_per_site=600)
    lost = world.reviews["site"].unique()[0]
    rng = np.random.default_rng(0)
    verdict = world.reviews["verdict"].to_numpy(object).copy()
    rows = np.flatnonzero((world.reviews["site"] == lost).to_numpy())
    verdict[rows] = np.where(rng.random(len(rows)) < 0.5, "overturned", "upheld")
    model = fit(world.decisions, world.reviews.assign(verdict=verdict))
    assert model.basis == "dawid_skene"
    assert not any(note.startswith("The share of the other votes") for note in model.notes)
    assert not model.p_error.isin([0, 1 / 3, 2 / 3, 1]).any()
