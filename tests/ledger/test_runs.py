"""Runs and the queue in the ledger, on SQLite and on PostgreSQL alike."""

import dataclasses
import tempfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from errdetect.errors import DataError
from errdetect.ledger.ledger import open_ledger
from errdetect.ledger.run_records import QueueCounts
from errdetect.schemas import QUEUE

HOSTILE = [
    "'; DROP TABLE errdetect_queued; --",
    "=HYPERLINK(1)",
    "%s %(a)s :name {x}",
    '"quoted"\\n\t|',
    "a\u202eb",
    "\\N",
    "\\.",
    "",
    "Zażółć 🦆",
]


def test_the_same_run_twice_queues_nothing_twice(ledger, make_run):
    run = make_run()
    assert ledger.record_run(*run) == QueueCounts(2, 0)
    before = ledger.queued_decisions()
    assert ledger.record_run(*run) == QueueCounts(0, 2)
    pd.testing.assert_frame_equal(ledger.queued_decisions(), before)
    assert len(ledger.runs()) == 1
    assert ledger.history("run")["note"].tolist() == ["3 scored, 2 queued, 0 already queued"]


def test_the_queue_comes_back_as_it_was(ledger, make_run):
    run, queue, scored = make_run(age_weight=[0.5, 1.0], note=[["d1", "x"], ["d2"]])
    ledger.record_run(run, queue, scored)
    found = ledger.queued_decisions()
    assert sorted(found.columns) == sorted([*QUEUE.names, "note"])
    assert found["reasons"].iloc[0][0] == {"code": "C", "text": "why", "contribution": 0.25}
    assert found["note"].tolist() == [["d1", "x"], ["d2"]]
    assert found["scored_at"].tolist() == queue["scored_at"].tolist()
    for name in ("decision_id", "rank", "p_error", "inclusion_probability", "age_weight", "arm"):
        assert found[name].tolist() == queue[name].tolist(), name
    assert found["suggested_policy_id"].isna().all()
    assert ledger.queued_decisions(ids=["d2", "nobody"])["decision_id"].tolist() == ["d2"]
    assert ledger.queued_decisions(ids=[]).empty


def test_a_later_run_adds_only_what_no_run_queued(ledger, make_run):
    ledger.record_run(*make_run("r1"))
    counts = ledger.record_run(
        *make_run("r2", queued=("d2", "d4"), scored=("d2", "d3", "d4"), hours=1)
    )
    assert counts == QueueCounts(1, 1)
    queue = ledger.queued_decisions()
    assert queue["decision_id"].tolist() == ["d1", "d2", "d4"]
    assert queue["run_id"].tolist() == ["r1", "r1", "r2"]
    assert ledger.runs()["n_queued"].tolist() == [2, 1]


def test_scores_and_queue_of_some_decisions_runs_and_arms(ledger, make_run):
    for run, hours in (("r1", 0), ("r2", 1)):
        queued, scored = (("d1",), ("d1", "d2")) if run == "r1" else (("d3",), ("d2", "d3"))
        made, queue, scores = make_run(run, queued=queued, scored=scored, hours=hours)
        arms = [None if one not in queued else "ranked" for one in scored]
        ledger.record_run(made, queue, scores.assign(arm=arms))
    every = ledger.scored()
    assert every["decision_id"].tolist() == ["d1", "d2", "d3"]
    for found, rows in (
        (ledger.scored(["d2", "d9"]), every["decision_id"] == "d2"),
        (ledger.scored(run_id="r2"), every["run_id"] == "r2"),
        (ledger.scored(arms=["ranked", "queued"]), every["arm"].notna()),
        (ledger.scored(arms=[]), every["arm"] == "none"),
    ):
        pd.testing.assert_frame_equal(found, every[rows].reset_index(drop=True))
    assert ledger.queued_decisions(run_id="r2")["decision_id"].tolist() == ["d3"]


def test_the_latest_run_states_the_chance_even_if_recorded_first(ledger, make_run):
    run, queue, scored = make_run("late", queued=(), scored=("a", "b"), hours=2)
    ledger.record_run(run, queue, scored.assign(inclusion_probability=0.5))
    run, queue, scored = make_run("early", queued=(), scored=("a", "c"), hours=1)
    ledger.record_run(run, queue, scored.assign(inclusion_probability=0.1))
    np.testing.assert_array_equal(
        ledger.inclusion_probabilities(["c", "a", "none", "b"]), [0.1, 0.5, np.nan, 0.5]
    )


def test_what_an_earlier_run_queued_has_the_chance_one(ledger, make_run):
    """A scorer that ran beside another cannot know its queue; its stated chance would be wrong."""
    run, queue, scored = make_run("r1", queued=("a",), scored=("a", "b"))
    ledger.record_run(run, queue, scored.assign(inclusion_probability=0.2))
    assert ledger.inclusion_probabilities(["a", "b"]).tolist() == [0.2, 0.2]
    run, queue, scored = make_run("r2", queued=("b",), scored=("a", "b"))
    ledger.record_run(run, queue, scored.assign(inclusion_probability=0.3))
    assert ledger.inclusion_probabilities(["a", "b"]).tolist() == [1.0, 0.3]


def test_a_run_recorded_late_settles_the_later_ones_chances(ledger, make_run):
    run, queue, scored = make_run("late", queued=(), scored=("a", "b"), hours=2)
    ledger.record_run(run, queue, scored.assign(inclusion_probability=0.3))
    run, queue, scored = make_run("early", queued=("a",), scored=("a", "b"), hours=1)
    ledger.record_run(run, queue, scored.assign(inclusion_probability=0.2))
    assert ledger.inclusion_probabilities(["a", "b"]).tolist() == [1.0, 0.3]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sets(st.sampled_from("abcdef"), min_size=1), st.integers(0, 3))))
def test_whatever_the_order_each_stands_once_and_others_queues_are_certain(make_run, drawn):
    with (
        tempfile.TemporaryDirectory() as folder,
        open_ledger(f"sqlite:///{folder}/ledger.db") as ledger,
    ):
        for i, (ids, hours) in enumerate(drawn):
            some = sorted(ids)
            run, queue, scored = make_run(f"r{i}", queued=some[:2], scored=some, hours=hours)
            ledger.record_run(run, queue, scored.assign(inclusion_probability=0.25))
        queue = ledger.queued_decisions().set_index("decision_id")["run_id"]
        chances = dict(zip("abcdef", ledger.inclusion_probabilities("abcdef"), strict=True))
    assert queue.index.is_unique
    scored_by = {one: [i for i, (ids, _) in enumerate(drawn) if one in ids] for one in "abcdef"}
    for one, runs in scored_by.items():
        if not runs:
            assert np.isnan(chances[one])
            continue
        latest = max(runs, key=lambda i: (drawn[i][1], i))
        certain = one in queue.index and queue[one] != f"r{latest}"
        assert chances[one] == (1.0 if certain else 0.25)


def test_only_a_review_since_closes_what_is_queued(ledger, make_run, make_reviews):
    ledger.record_run(*make_run(queued=("d1", "d2", "d3", "d4"), scored=("d1", "d2", "d3", "d4")))
    ledger.ingest(make_reviews(["d1"]), make_run()[0].scored_at)
    ledger.ingest(make_reviews(["d2"], hours=-1), make_run()[0].scored_at)
    ledger.ingest(make_reviews(["d3"], source="golden"), make_run()[0].scored_at)
    assert ledger.queued_decisions(open_only=True)["decision_id"].tolist() == ["d2", "d3", "d4"]
    assert ledger.queued_decisions(["d1", "d4"], open_only=True)["decision_id"].tolist() == ["d4"]


def test_hostile_texts_are_data(ledger, make_run):
    ids = [f"{i}{text}" for i, text in enumerate(HOSTILE)]
    run, queue, scored = make_run(queued=ids, scored=ids, pool=HOSTILE)
    reasons = [
        [{"code": "C", "text": f"{text}\0", "contribution": float("nan")}] for text in HOSTILE
    ]
    ledger.record_run(run, queue.assign(reasons=reasons), scored)
    found = ledger.queued_decisions()
    assert found["decision_id"].tolist() == ids
    assert found["pool"].tolist() == HOSTILE
    assert [one[0]["text"] for one in found["reasons"]] == [f"{text}\0" for text in HOSTILE]
    assert found["reasons"].iloc[0][0]["contribution"] is None
    assert ledger.queued_decisions(ids=[ids[0]])["decision_id"].tolist() == [ids[0]]
    assert ledger.inclusion_probabilities(ids).tolist() == [1.0] * len(ids)


def test_a_nul_in_an_id_is_refused_and_nothing_is_written(ledger, make_run):
    with pytest.raises(DataError, match="decision_id must hold no NUL character"):
        ledger.record_run(*make_run(queued=("a",), scored=("a", "b\0")))
    assert ledger.runs().empty


def test_faults_of_the_caller_are_told(ledger, make_run):
    run, queue, scored = make_run()
    with pytest.raises(DataError, match="The scores must have the columns inclusion_probability"):
        ledger.record_run(run, queue, scored[["decision_id"]])
    with pytest.raises(DataError, match="must name each decision once, got 2 repeated"):
        ledger.record_run(run, pd.concat([queue, queue]), scored)
    with pytest.raises(DataError, match="The scores must name each decision once, got 3 repeated"):
        ledger.record_run(run, queue, pd.concat([scored, scored]))
    with pytest.raises(DataError, match=r"hold scored decisions only, got 1 others, such as 'd9'"):
        ledger.record_run(*make_run(queued=("d1", "d9")))
    ledger.record_run(run, queue, scored)
    _, other, scored = make_run(queued=("d1", "d9"), scored=("d1", "d9"))
    with pytest.raises(DataError, match="which the ledger holds, must be the one recorded, got 1"):
        ledger.record_run(run, other, scored)
    assert ledger.queued_decisions()["decision_id"].tolist() == ["d1", "d2"]


def test_scores_come_in_parts(ledger, make_run):
    run, queue, scored = make_run(queued=("d1", "d3"), scored=("d1", "d2", "d3"))
    parts = [scored.iloc[:2], scored.iloc[2:]]
    with pytest.raises(DataError, match=r"hold scored decisions only, got 1 others, such as 'd3'"):
        ledger.record_run(run, queue, iter(parts[:1]), 2)
    assert ledger.runs().empty  # nothing of it stays
    assert np.isnan(ledger.inclusion_probabilities(["d1"])).all()
    assert ledger.record_run(run, queue, iter(parts), 3) == QueueCounts(2, 0)
    assert ledger.runs()["n_scored"].tolist() == [3]
    assert not np.isnan(ledger.inclusion_probabilities(["d1", "d2", "d3"])).any()


def test_an_empty_queue_is_a_run_too(ledger, make_run):
    assert ledger.record_run(*make_run(queued=(), scored=())) == QueueCounts(0, 0)
    assert ledger.runs()["n_scored"].tolist() == [0]
    assert list(ledger.queued_decisions().columns) == QUEUE.names


def test_the_ledger_remembers_when_opened_again(url, make_run):
    with open_ledger(url) as ledger:
        ledger.record_run(*make_run())
    with open_ledger(url) as ledger:
        assert len(ledger.queued_decisions()) == 2
        assert ledger.runs()["design"].tolist() == ['{"budget": 2}']


def test_moments_without_a_zone_are_utc(ledger, make_run):
    run, queue, scored = make_run(queued=("d1",))
    bare = pd.Timestamp("2026-03-01 12:00:00.000001")
    ledger.record_run(dataclasses.replace(run, scored_at=bare), queue, scored)
    ledger.add_proposals(pd.DataFrame({"proposal_id": ["p"]}), at=bare)
    moment = bare.tz_localize("UTC")
    assert ledger.runs()["scored_at"].tolist() == [moment]
    assert ledger.queued_decisions()["scored_at"].tolist() == [moment]
    assert ledger.proposals()["created_at"].tolist() == [moment]
    assert ledger.history()["at"].tolist() == [moment, moment]
