import numpy as np
import pandas as pd
import pytest

from errdetect.config import load_config
from errdetect.data.table_reading import read_decisions, read_reviews
from errdetect.features.point_in_time_features import (
    PointInTimeFeatures,
    add_point_in_time_features,
)
from errdetect.model.registry import ModelRegistry
from errdetect.workflows.score import score
from errdetect.workflows.train import train


@pytest.fixture(scope="module")
def tables(market):
    decisions = read_decisions(market / "decisions.parquet").frame
    return decisions, read_reviews(market / "reviews.parquet").frame


def both(frames, reviews) -> PointInTimeFeatures:
    return PointInTimeFeatures(frames, reviews, history=True, similar=True)


def test_batches_do_not_matter_and_nothing_else_changes(tables):
    decisions, reviews = tables
    whole = both([decisions], reviews).add(decisions)
    pd.testing.assert_frame_equal(whole[list(decisions)], decisions)
    assert {"history_account_errors_90d", "similar_image_hash_days"} <= set(whole)
    made = whole.columns.difference(decisions.columns)
    assert set(whole[made].dtypes.astype(str)) == {"float64"}
    parts = [decisions.iloc[i : i + 5000] for i in range(0, len(decisions), 5000)]
    past = both(iter([*parts[1:], parts[0], decisions.head(10)]), reviews)
    again = pd.concat([past.add(part) for part in parts])
    pd.testing.assert_frame_equal(again, whole)


def test_the_past_is_not_empty(tables):
    """Were the reviews not found, every other test here would still pass."""
    decisions, reviews = tables
    told = both([decisions], reviews).add(decisions)
    for name in ("history_account_reviewed_90d", "similar_near_reviewed", "similar_item_decisions"):
        assert (told[name] > 0).mean() > 0.01, name


def test_planted_facts_from_after_the_decisions_do_not_move_them(tables):
    decisions, reviews = tables
    cut = decisions["decided_at"].quantile(0.6)
    early = decisions[decisions["decided_at"] <= cut].reset_index(drop=True)
    late = reviews["reviewed_at"] >= cut
    planted = reviews.assign(verdict=reviews["verdict"].where(~late, "overturned"))
    later = decisions["decided_at"] > cut
    turned = decisions.assign(enforced=decisions["enforced"] ^ later)
    honest = both([early], reviews[~late]).add(early)
    seen = both([turned], planted).add(early)
    pd.testing.assert_frame_equal(seen, honest)


def test_a_namesake_is_replaced(tables):
    decisions, _ = tables
    own = decisions.head(50).assign(similar_item_decisions=-1.0)
    told = PointInTimeFeatures([own], None, history=False, similar=True).add(
        own.assign(item_id="one")
    )
    assert told.columns.is_unique


def test_switched_off_nothing_is_made_or_read(tables):
    decisions, _ = tables

    def unread():
        raise AssertionError("nothing needs the log")
        yield

    past = PointInTimeFeatures.for_model_columns(["score", "price"], unread(), None)
    assert past.add(decisions) is decisions


def test_few_reviews_bear_few_columns(tables):
    decisions, reviews = tables
    how = {"history": True, "similar": True}
    few = add_point_in_time_features(decisions, reviews, as_of=None, **how)
    history = [name for name in few if name.startswith("history_")]
    assert len(history) == 14
    assert all(name.startswith("history_account_") and name.endswith("_90d") for name in history)
    assert "similar_text_days" in few
    every = pd.DataFrame(
        {"review_id": "r" + decisions["decision_id"], "decision_id": decisions["decision_id"],
         "reviewed_at": decisions["decided_at"], "source": "audit", "verdict": "upheld"}
    )  # fmt: skip
    many = add_point_in_time_features(decisions, every, as_of=None, **how)
    assert {"history_moderator_error_rate_7d", "history_policy_change_days"} <= set(many)
    early = every["reviewed_at"].quantile(0.5).to_pydatetime()
    assert set(add_point_in_time_features(decisions, every, as_of=early, **how)) == set(few)


def test_a_likeness_that_hardly_any_decision_has_is_left_out(tables):
    decisions, reviews = tables
    own = decisions.assign(item_id=decisions["decision_id"])
    own.loc[own.index[:50], "item_id"] = "one"
    told = add_point_in_time_features(own, reviews, history=False, similar=True, as_of=None)
    assert "similar_text_violates" in told
    assert not any(name.startswith("similar_item_") for name in told)
    assert "similar_item_decisions" in both([own], reviews).add(own)


def test_scores_do_not_know_what_was_said_later(config, trained, market, tables, tmp_path):
    """A planted leak, end to end: verdicts given after the last scored decision move no score."""
    decisions, _ = tables
    first = decisions.sort_values("decided_at").head(4000)
    raw = pd.read_parquet(market / "decisions.parquet")
    raw[raw["decision_id"].isin(first["decision_id"])].to_parquet(tmp_path / "early.parquet")
    planted = pd.read_parquet(market / "reviews.parquet")
    late = planted["reviewed_at"] >= first["decided_at"].max()
    assert 0.2 < late.mean() < 0.9
    planted.loc[late, "verdict"] = "overturned"
    planted.to_parquet(tmp_path / "planted.parquet")
    names = ModelRegistry(config.path(config.registry.path), config.registry.name).load()[0]
    assert any(n.startswith("history_") for n in names.detector.encoding.names)
    p = []
    for file in (market / "reviews.parquet", tmp_path / "planted.parquet"):
        mine = load_config(market / "config.yaml", [f"data.reviews={file}"])
        result = score(mine, tmp_path / "early.parquet", tmp_path / f"out-{file.stem}")
        p.append(pd.read_parquet(result.files["scores"])["p_error"])
    np.testing.assert_array_equal(p[0], p[1])


def test_the_config_switches_the_blocks(market, tmp_path):
    settings = [f"registry.path={tmp_path / 'm'}", "train.trials=0", "evaluate.bootstrap=50",
                "gate.min_errors=1", "features.history=false"]  # fmt: skip
    plain = load_config(market / "config.yaml", settings)
    train(plain)
    encoding = (
        ModelRegistry(plain.path(plain.registry.path), plain.registry.name)
        .load()[0]
        .detector.encoding
    )
    assert not any(name.startswith("history_") for name in encoding.names)
    assert any(name.startswith("similar_") for name in encoding.names)


def test_rows_of_the_log_need_no_look_up() -> None:
    day = pd.to_datetime(["2026-01-01", "2026-01-03", "2026-01-05", "2026-01-07"], utc=True)
    log = pd.DataFrame(
        {
            "decision_id": ["a", "b", "c", "d"],
            "decided_at": day,
            "account_id": ["x", "y", "x", None],
            "policy_id": ["p", "p", "q", "q"],
            "item_id": ["i", "j", "i", "j"],
            "text": ["Buy gold", "other", "buy GOLD", None],
            "enforced": [True, False, True, True],
        }
    )
    again = log.iloc[[2, 3]].assign(account_id="y", policy_id="p").reset_index(drop=True)
    again["decision_id"] = ["c", "e"]  # one is in the log, with other values
    reviews = pd.DataFrame(
        {
            "review_id": ["r1", "r2"],
            "decision_id": ["a", "nowhere"],
            "source": "audit",
            "reviewed_at": day[1:3],
            "verdict": "overturned",
        }
    )
    past = PointInTimeFeatures([log, again], reviews, history=True, similar=True)
    for frame, rows in ((log, np.arange(4)), (again, np.arange(4, 6))):
        pd.testing.assert_frame_equal(past.add(frame), past.add(frame, rows))
