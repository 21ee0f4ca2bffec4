"""The queue from the door: pools, terms, content, memory, and its reviews in `estimate`."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from errdetect.config import load_config
from errdetect.errors import ConfigError, DataError
from errdetect.queue.review_value import review_value
from errdetect.workflows.estimate import estimate
from errdetect.workflows.score import score

AT = datetime(2026, 1, 1, tzinfo=UTC)
POOLS = (
    "queue.pools=[{name: dach, minutes: 120, languages: [de, fr]}, {name: all, minutes: 90, languages: [en, es, de]}, "
    "{name: weapons, minutes: 40, policies: [weapons]}]"
)


@pytest.fixture(scope="module")
def fresh(market, tmp_path_factory):
    """A thousand decisions of the log, some of them twice over."""
    frame = pd.read_parquet(market / "decisions.parquet").tail(1000)
    copies = frame.head(60).assign(decision_id="copy-" + frame["decision_id"].head(60))
    place = tmp_path_factory.mktemp("fresh") / "fresh.parquet"
    pd.concat([frame, copies]).to_parquet(place, index=False)
    return place


@pytest.fixture
def run(config, trained, market, fresh, tmp_path):
    def of(*settings, out="out", **more):
        own = [f"ledger.url=sqlite:///{tmp_path}/ledger.db", "queue.record=false"]
        asked = load_config(market / "config.yaml", [*own, *settings])
        result = score(asked, fresh, tmp_path / out, scored_at=AT, **more)
        return result, *(pd.read_parquet(result.files[name]) for name in ("scores", "queue"))

    return of


def test_every_term_is_there_and_makes_the_value(run):
    _, scores, queue = run(budget=50)
    np.testing.assert_allclose(review_value(scores), scores["value"], rtol=1e-12)
    alone = queue[queue["covers"] == 1]
    np.testing.assert_allclose(review_value(alone), alone["value"], rtol=1e-12)
    np.testing.assert_allclose(
        queue["expected_harm"], queue["p_error"] * queue["harm"] * queue["exposure_weight"]
    )
    assert (queue["minutes"] > 1).any()
    assert len(queue) == 50


def test_pools_get_what_they_can_take_in_their_minutes_and_the_rest_is_told(run, fresh):
    result, scores, queue = run(POOLS)
    language = pd.read_parquet(fresh).set_index("decision_id")["language"]
    own = queue.assign(language=language.loc[queue["decision_id"]].to_numpy())
    assert set(own.loc[own["pool"] == "dach", "language"].str[:2]) <= {"de", "fr"}
    assert set(own.loc[own["pool"] == "weapons", "policy_id"]) <= {"weapons"}
    used = own.groupby("pool")["minutes"].sum()
    assert (used <= pd.Series({"dach": 120, "all": 90, "weapons": 40})[used.index]).all()
    nobody = scores["inclusion_probability"] == 0
    assert nobody.any()
    assert any(
        f"no pool can take {int(nobody.sum())} of the open decisions" in n for n in result.notes
    )
    assert not set(queue["decision_id"]) & set(scores.loc[nobody, "decision_id"])


def test_identical_content_is_one_job(run):
    result, scores, queue = run("queue.explore_share=0.2", budget=300)
    jobs = scores[scores["arm"].isin(["ranked", "explore"])].groupby("job_id")
    assert jobs["arm"].nunique().max() == 1
    assert queue.set_index("decision_id")["covers"].to_dict() == jobs.size().to_dict()
    assert queue["covers"].max() > 1
    worth = jobs["value"].sum()
    np.testing.assert_allclose(worth[queue["decision_id"]], queue["value"], rtol=1e-12)
    assert any("share the review of another one" in note for note in result.notes)
    _, apart, many = run("queue.one_job=false", budget=300, out="apart")
    assert (apart["job_id"] == apart["decision_id"]).all()
    assert (many["covers"] == 1).all()


def test_an_earlier_run_s_queue_is_not_queued_again(run, tmp_path):
    memory = f"queue.scores={tmp_path}/*/scores.parquet"
    _, _, first = run(memory, budget=40, out="one")
    _, _, again = run(memory, budget=40, out="one")
    assert again["decision_id"].tolist() == first["decision_id"].tolist()
    # Another run: the same decisions scored under another id.
    before = pd.read_parquet(tmp_path / "one" / "scores.parquet")
    before.assign(run_id="before").to_parquet(tmp_path / "one" / "scores.parquet")
    result, scores, second = run(memory, budget=40, out="two")
    assert not set(first["decision_id"]) & set(second["decision_id"])
    waiting = scores[scores["arm"] == "queued"]
    assert set(first["decision_id"]) <= set(waiting["decision_id"])
    assert (waiting["inclusion_probability"] == 1).all()
    covered = before.set_index("decision_id")["job_id"]
    assert (waiting["job_id"] == covered[waiting["decision_id"]].to_numpy()).all()
    assert any("in an earlier run's queue" in note for note in result.notes)


def test_finished_reviews_of_the_queue_are_a_sample_for_estimate(run, market, fresh, tmp_path):
    """The truth is read here to review, as nothing else may."""
    _, scores, queue = run("queue.explore_share=0.4", budget=250)
    known = pd.read_parquet(market / "truth.parquet").set_index("decision_id")["is_error"]
    heads = queue["decision_id"]
    wrong = known[heads.str.removeprefix("copy-")].to_numpy(bool)
    done = pd.DataFrame({
        "review_id": "q" + heads, "decision_id": heads, "source": "re_review", "site": "alder",
        "verdict": np.where(wrong, "overturned", "upheld"),
        "reviewed_at": pd.Timestamp("2026-02-01", tz="UTC"),
    })  # fmt: skip
    old = pd.read_parquet(market / "reviews.parquet")
    judged = old[~old["source"].isin(["audit", "golden", "adjudication"])]
    pd.concat([judged, done]).to_parquet(tmp_path / "reviews.parquet", index=False)
    settings = [
        f"data.decisions={fresh}", f"data.reviews={tmp_path / 'reviews.parquet'}",
        f"queue.scores={tmp_path / 'out' / 'scores.parquet'}",
        f"registry.path={tmp_path / 'none'}", "estimate.correction=none",
    ]  # fmt: skip
    result = estimate(load_config(market / "config.yaml", settings), tmp_path / "said")
    row = result.estimates.set_index("measure").loc["error_rate"]
    truth = known[scores["decision_id"].str.removeprefix("copy-")].mean()
    assert row["low"] <= truth <= row["high"]
    assert "the sample is the review queue" in row["method"]
    assert any("the queue's reviews are used" in note for note in result.notes)


@pytest.mark.parametrize(
    ("settings", "more", "said"),
    [
        ((POOLS,), {"budget": 9}, "--budget must be left out with queue.pools, got 9"),
        (("queue.minutes=60",), {"budget": 9}, "--budget must be left out with queue.minutes"),
        (("queue.pools=[{name: a, minutes: 9, markets: [ZZ]}]",), {}, "that some decision has, got 'ZZ'"),
        (("queue.minimum_shares={policy_id: {none: 0.5}}",), {}, "must name values of policy_id"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_said(run, tmp_path, settings, more, said):
    with pytest.raises(ConfigError) as caught:
        run(*settings, **more)
    assert said in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("queue.pools=[{name: a, minutes: 0}]", "queue.pools.0.minutes"),
        ("queue.pools=[{name: a, minutes: 5}, {name: a, minutes: 5}]", "must have names that differ, got 'a' twice"),
        ("queue.minimum_shares={market: {DE: 0.7, FR: 0.6}}", "must add up to at most 1 for market, got 1.3"),
        ("queue.minimum_shares={market: {DE: 1.7}}", "queue.minimum_shares.market.DE"),
        ("queue.explore_share=1.5", "queue.explore_share"),
        ("queue.explore_share=some", "queue.explore_share"),
        ("queue.minutes=0", "queue.minutes"),
        ("queue.half_life_days=-1", "queue.half_life_days"),
        ("queue.account_cap=0", "queue.account_cap"),
    ],
)  # fmt: skip
def test_bad_settings(market, setting, said):
    with pytest.raises(ConfigError) as caught:
        load_config(market / "config.yaml", [setting])
    assert said in str(caught.value)


def test_scores_that_do_not_say_who_was_drawn(run, tmp_path):
    old = tmp_path / "old.parquet"
    pd.DataFrame({"decision_id": ["a"], "p_error": [0.1]}).to_parquet(old)
    with pytest.raises(DataError, match="Score again with this version"):
        run(f"queue.scores={old}", budget=5)
