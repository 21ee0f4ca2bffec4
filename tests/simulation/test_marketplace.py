"""The simulated marketplace: broad, believable, and the same whenever it is asked for."""

import datetime as dt
import json
import time

import lightgbm
import numpy as np
import pandas as pd
import pytest
import yaml

from errdetect.data.policy_catalogue import read_policies
from errdetect.data.table_reading import read_decisions, read_reviews
from errdetect.errors import DataError
from errdetect.schemas import DECISIONS, REVIEWS
from errdetect.simulation.marketplace import simulate, write_marketplace
from errdetect.simulation.planted_errors import slice_mask

DAYS = 120


@pytest.fixture(scope="module")
def market():
    return simulate(60_000, DAYS, seed=4)


@pytest.fixture(scope="module")
def log(market):
    """Decisions beside their truth."""
    frame = market.decisions.merge(market.truth, on="decision_id", validate="one_to_one")
    return frame.assign(enforced=frame["action"] != "approve")


def _recall(score, error, budget):
    head = np.argsort(-score, kind="stable")[: int(len(error) * budget)]
    return error[head].sum() / error.sum()


# The tables


def test_tables_have_the_contracts_columns(market):
    for frame, columns in ((market.decisions, DECISIONS), (market.reviews, REVIEWS)):
        for column in columns:
            assert column.name in frame, column.name
            if column.required:
                assert frame[column.name].notna().all(), column.name
    assert list(market.truth) == [
        "decision_id",
        "is_error",
        "error_kind",
        "correct_policy_id",
        "violates",
        "cause",
        "part",
    ]
    assert market.decisions["decision_id"].is_unique
    assert market.reviews["review_id"].is_unique
    assert market.decisions["decided_at"].is_monotonic_increasing
    assert market.reviews["reviewed_at"].is_monotonic_increasing
    assert str(market.decisions["decided_at"].dtype) == "datetime64[us, UTC]"


def test_written_tables_are_read_without_rejects(market, tmp_path):
    paths = write_marketplace(market, tmp_path / "out")
    decisions = read_decisions(paths["decisions"])
    reviews = read_reviews(paths["reviews"])
    assert decisions.rejects.empty
    assert reviews.rejects.empty
    assert len(decisions.frame) == 60_000
    assert set(decisions.frame["action"]) == {"approve", "remove", "restrict", "label", "demote"}
    read = pd.read_parquet(paths["truth"])
    pd.testing.assert_frame_equal(read, market.truth)
    assert yaml.safe_load(paths["config"].read_text()) == {
        "version": 1,
        "data": {
            "decisions": "decisions.parquet",
            "reviews": "reviews.parquet",
            "policies": "policies.yaml",
        },
    }
    assert json.loads(paths["planted"].read_text()) == market.planted
    assert not list(tmp_path.rglob("*.tmp"))


def test_the_catalogue_is_whole_and_one_rule_changes(market, tmp_path):
    policies = read_policies(write_marketplace(market, tmp_path)["policies"])
    assert set(policies) == set(market.decisions["policy_id"])
    assert len(policies) >= 10
    assert {p.severity for p in policies.values()} == {1, 2, 3, 4, 5}
    assert all(p.clause and p.owner and p.review_minutes for p in policies.values())
    assert all((p.dsa_category or "").startswith("STATEMENT_CATEGORY_") for p in policies.values())
    first, last = dt.date(2025, 1, 1), dt.date(2025, 1, 1) + dt.timedelta(DAYS)
    changed = [p.policy_id for p in policies.values() if first < p.effective_from < last]
    assert changed == ["animal_products"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((99, 10, 0), "n_decisions must be a whole number of at least 100, got 99. Give 100 or"),
        ((500, 0, 0), "days must be a whole number of at least 1, got 0. Give 1 or more."),
        ((500, 10, -1), "seed must be a whole number of at least 0, got -1. Give 0 or more."),
    ],
)
def test_impossible_numbers_are_refused(arguments, message):
    with pytest.raises(DataError, match=message):
        simulate(*arguments)


def test_shares_outside_their_range_are_refused():
    with pytest.raises(DataError, match=r"audit_share must lie in \[0, 1\], got 6. Divide perc"):
        simulate(500, 10, 0, audit_share=6)
    with pytest.raises(DataError, match=r"golden_share must lie in \[0, 1\], got nan"):
        simulate(500, 10, 0, golden_share=float("nan"))


def test_a_folder_that_cannot_be_written_is_told(market, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(DataError, match="taken cannot be written"):
        write_marketplace(market, tmp_path / "taken")


def test_equal_input_gives_equal_bytes(tmp_path):
    def written(name, seed):
        paths = write_marketplace(simulate(3_000, 30, seed), tmp_path / name)
        return {key: path.read_bytes() for key, path in paths.items()}

    first, again, other = written("a", 5), written("b", 5), written("c", 6)
    assert first == again
    assert all(first[key] != other[key] for key in ("decisions", "reviews", "truth", "planted"))


@pytest.mark.parametrize(("n", "days"), [(100, 1), (100, 400), (137, 3), (2_000, 30)])
def test_small_marketplaces_are_whole(n, days):
    market = simulate(n, days, seed=3)
    end = pd.Timestamp("2025-01-01", tz="UTC") + pd.Timedelta(days=days)
    assert len(market.decisions) == len(market.truth) == n
    assert market.decisions["decided_at"].between("2025-01-01", end).all()
    assert (market.reviews["reviewed_at"] <= end).all()
    assert json.dumps(market.planted, allow_nan=False)


# The world


def test_the_world_is_broad(market):
    log = market.decisions
    assert log["market"].nunique() >= 12
    assert log["language"].nunique() >= 10
    assert log["policy_id"].nunique() >= 10
    assert log["moderator"].nunique() >= 4
    assert set(log["item_type"]) == {"listing", "comment"}
    assert log.groupby("policy_id")["action"].nunique().eq(2).all()


def test_few_sellers_make_most_decisions_and_new_ones_come(log):
    counts = log["account_id"].value_counts()
    assert counts.iloc[: len(counts) // 10].sum() > 0.5 * len(log)
    assert counts.iloc[0] < 0.1 * len(log)
    assert (log["account_age_days"] >= 0).all()
    first = log.groupby("account_id")["decided_at"].min()
    assert (first > log["decided_at"].min() + pd.Timedelta(days=60)).mean() > 0.1


def test_strikes_are_those_known_at_the_time(log):
    busy = log["account_id"].value_counts().index[:40]
    for _, own in log[log["account_id"].isin(busy)].groupby("account_id"):
        earlier = own["enforced"].astype(int).cumsum() - own["enforced"]
        before = own["prior_strikes"] - earlier
        assert (before == before.iloc[0]).all()


def test_versions_follow_each_other(log):
    for moderator, part in log.groupby("moderator"):
        for _, local in part.groupby("market"):
            order = local["moderator_version"].drop_duplicates()
            blocks = (local["moderator_version"] != local["moderator_version"].shift()).sum()
            assert blocks == len(order), moderator
        assert part["moderator_version"].nunique() >= 2


def test_the_verdict_is_the_score_held_against_the_bar(log):
    assert (log["enforced"] == (log["score"] >= log["threshold"])).all()
    assert log["score"].between(0, 1).all()
    own = log[[f"score_{m.replace('-', '_')}" for m in sorted(log["moderator"].unique())]]
    column = {name: i for i, name in enumerate(sorted(log["moderator"].unique()))}
    told = own.to_numpy()[np.arange(len(log)), log["moderator"].map(column)]
    assert (told == log["score"]).all()


def test_content_repeats_and_is_hostile(log):
    texts = log["text"].dropna()
    assert 0 < log["text"].isna().sum() < 0.01 * len(log)
    assert texts.duplicated().any()
    for fragment in ("<script>", "=cmd|", "DROP TABLE", "\u202e", "🔥"):
        assert texts.str.contains(fragment, regex=False).any(), fragment
    assert log["item_id"].duplicated().mean() == pytest.approx(0.05, abs=0.01)
    owners = log.dropna(subset="image_hash").groupby("image_hash")["account_id"].nunique()
    assert (owners > 1).sum() > 50
    comments = log["item_type"] == "comment"
    assert log.loc[comments, ["price", "image_hash"]].isna().all(axis=None)
    assert log.loc[~comments, ["price", "image_hash"]].notna().all(axis=None)


def test_relisted_content_is_nearly_the_same(log):
    """One picture, one account: the words that give the item away stay."""
    listed = log[(log["item_type"] == "listing") & log["text"].notna()]
    twice = listed[listed.duplicated(["image_hash", "account_id"], keep=False)]
    pairs = twice.groupby(["image_hash", "account_id"])["text"].agg(["first", "last"])
    shared = [
        len(set(a.split()) & set(b.split())) / len(set(a.split()) | set(b.split()))
        for a, b in zip(pairs["first"].str.lower(), pairs["last"].str.lower(), strict=True)
    ]
    assert np.median(shared) > 0.35


# The truth


def test_truth_and_actions_agree(log):
    kind = log["error_kind"]
    assert (kind.notna() == log["is_error"]).all()
    assert (log["cause"].notna() == log["is_error"]).all()
    wrongful, missed, label = (
        kind == k for k in ("wrongful_action", "missed_violation", "wrong_label")
    )
    assert (log["enforced"] & ~log["violates"])[wrongful].all()
    assert (log["enforced"] & ~log["violates"]).sum() == wrongful.sum()
    assert (~log["enforced"] & log["violates"]).sum() == missed.sum()
    assert (log["enforced"] & log["violates"])[label].all()
    assert (log["correct_policy_id"].notna() == label).all()
    assert (log["correct_policy_id"] != log["policy_id"])[label].all()
    assert log["part"].value_counts().to_dict() == {"fit": 36_000, "tune": 12_000, "test": 12_000}
    assert log["part"].drop_duplicates().tolist() == ["fit", "tune", "test"]


@pytest.mark.parametrize("seed", [0, 1])
def test_error_rates_are_believable(seed):
    market = simulate(30_000, 90, seed)
    error, enforced = market.truth["is_error"], market.decisions["action"] != "approve"
    assert 0.05 < error.mean() < 0.09
    assert 0.12 < enforced.mean() < 0.25
    assert 0.10 < error[enforced].mean() < 0.32
    by_policy = error.groupby(market.decisions["policy_id"]).mean()
    assert by_policy.min() < 0.04
    assert 0.14 < by_policy.max() < 0.28
    causes = market.truth["cause"].value_counts(normalize=True)
    assert len(causes) == 12
    assert causes.max() < 0.35


def test_the_margin_ranks_and_can_be_beaten(log):
    """True labels let a plain model find far more; not all, for some errors cannot be seen."""
    test = (log["part"] == "test").to_numpy()
    error = log["is_error"].to_numpy()
    margin = (log["score"] - log["threshold"]).abs().to_numpy()
    by_margin = _recall(-margin[test], error[test], 0.05)
    columns = ["policy_id", "category", "market", "language", "moderator_version", "item_type"]
    table = log.select_dtypes(["number", "bool"]).drop(columns=["is_error", "violates"])
    for name in columns:
        table[name] = pd.factorize(log[name], sort=True)[0]
    table["signed"] = log["score"] - log["threshold"]
    model = lightgbm.LGBMClassifier(
        n_estimators=80, num_leaves=31, min_child_samples=40, n_jobs=1, verbose=-1
    )
    p = model.fit(table[~test], error[~test]).predict_proba(table[test])[:, 1]
    by_model, perfect = _recall(p, error[test], 0.05), min(1, 0.05 / error[test].mean())
    assert 0.15 < by_margin < 0.35
    assert by_margin + 0.12 < by_model < 0.85 * perfect
    assert _recall(p, error[test], 0.20) < 0.95


def test_no_single_column_gives_the_truth_away(log):
    for name in log.select_dtypes("number"):
        there = log[log[name].notna()]
        rank, error = there[name].rank().to_numpy(), there["is_error"].to_numpy()
        n, n_error = len(error), error.sum()
        auc = (rank[error].sum() - n_error * (n_error + 1) / 2) / (n_error * (n - n_error))
        assert 0.2 < auc < 0.8, name
    for name in ("market", "category", "seller_size", "action", "moderator_version"):
        assert log.groupby(name)["is_error"].mean().max() < 0.5, name


def test_planted_slices_are_worse_than_their_rule(market, log):
    planted = market.planted["slices"]
    assert len({s["cause"] for s in planted}) >= 9
    assert len({s["id"] for s in planted}) == len(planted)
    for s in planted:
        held = slice_mask(market.decisions, s["policy_id"], s["conditions"])
        rule = log["policy_id"] == s["policy_id"]
        assert s["n"] == held.sum() > 50
        assert s["error_rate"] == pytest.approx(log["is_error"][held].mean(), abs=1e-6)
        assert s["base_rate"] == pytest.approx(log["is_error"][rule].mean(), abs=1e-6)
        assert s["error_rate"] > 1.5 * s["rest_rate"], s["id"]
        assert log.loc[held & log["is_error"], "cause"].eq(s["cause"]).mean() > 0.25, s["id"]
        if s["error_kind"] != "any":
            worst = log.loc[held & log["is_error"], "error_kind"].value_counts().index[0]
            assert worst == s["error_kind"], s["id"]


def test_planted_changes_stand_in_the_log(market, log):
    for live in market.planted["moderator_versions"]:
        mine = (log["moderator"] == live["moderator"]) & (
            log["moderator_version"] == live["moderator_version"]
        )
        late = log.loc[mine, "decided_at"].min() - pd.Timestamp(live["from"], tz="UTC")
        assert pd.Timedelta(0) <= late < pd.Timedelta(days=3)
    change = market.planted["policy_changes"][0]
    caused = log[log["cause"] == "policy_change"]
    assert (caused["decided_at"] >= pd.Timestamp(change["effective_from"], tz="UTC")).all()
    assert set(caused["moderator_version"]) == {change["moderator_version"]}
    assert set(caused["policy_id"]) == {change["policy_id"]}


def test_odd_honest_sellers_are_wronged_again_and_again(market, log):
    for cluster in market.planted["account_clusters"]:
        own = log["account_id"].isin(cluster["account_ids"]) & (
            log["policy_id"] == cluster["policy_id"]
        )
        assert own.sum() == cluster["n"] > 50
        assert log["is_error"][own].mean() == pytest.approx(cluster["error_rate"], abs=1e-6)
        assert cluster["wrongful_rate"] > 0.5


@pytest.mark.slow
def test_a_million_decisions_take_less_than_a_minute():
    start = time.perf_counter()
    market = simulate(1_000_000, 180, seed=0)
    assert time.perf_counter() - start < 60
    assert len(market.decisions) == 1_000_000
