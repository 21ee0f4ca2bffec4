"""A ledger's replica: what it held at a moment, and nothing that came later."""

from datetime import timedelta

import pandas as pd
import pytest

from errdetect.ledger.ledger import find_ledger, open_ledger
from errdetect.ledger.ledger_replica import replicate_ledger, reviews_digest
from errdetect.schemas import PLAN

from .conftest import NOW

HOUR = timedelta(hours=1)


def _reviews(*names):
    return pd.DataFrame(
        {
            "review_id": names,
            "decision_id": [f"d{name}" for name in names],
            "reviewed_at": pd.Timestamp(NOW),
            "source": "re_review",
            "verdict": "upheld",
        }
    )


def _plan(*names):
    rows = {name: [None] * len(names) for name in PLAN.names}
    return pd.DataFrame(
        rows
        | {
            "remediation_id": names,
            "kind": "reverse",
            "status": "planned",
            "review_ids": [["r1"]] * len(names),
        }
    )


@pytest.fixture
def then(url, tmp_path):
    """Opens the replica as of some hours after NOW."""

    def make(hours, known=None):
        file = tmp_path / f"{hours}-{known}.db"
        moments = {"recorded_at": NOW + hours * HOUR, "known_at": NOW + (known or hours) * HOUR}
        made = replicate_ledger(url, file, **moments)
        assert made == file.exists()
        return open_ledger(f"sqlite:///{file}") if made else None

    return make


def test_without_a_ledger_there_is_no_replica(tmp_path):
    place = f"sqlite:///{tmp_path}/none.db"
    assert not replicate_ledger(place, tmp_path / "copy.db", known_at=NOW, recorded_at=NOW)
    assert reviews_digest(place, known_at=NOW) is None
    assert list(tmp_path.iterdir()) == []


def test_reviews_are_those_that_had_come_in(ledger, url, then):
    ledger.ingest(_reviews("a", "b"), NOW)
    early = reviews_digest(url, known_at=NOW + HOUR)
    ledger.ingest(_reviews("c"), NOW + 2 * HOUR)
    assert early is not None
    assert early[0] == 2
    assert reviews_digest(url, known_at=NOW + HOUR) == early
    assert reviews_digest(url, known_at=NOW + 3 * HOUR) != early
    assert then(0) is None
    with then(1) as one, then(3) as three:
        assert one.reviews()["review_id"].tolist() == ["a", "b"]
        assert three.reviews()["review_id"].tolist() == ["a", "b", "c"]
        assert reviews_digest(f"sqlite:///{one.place}", known_at=NOW + 9 * HOUR) == early


def test_a_run_is_in_it_from_its_moment_on(ledger, make_run, then):
    ledger.record_run(*make_run("r1"))
    ledger.record_run(*make_run("r2", queued=("d8",), scored=("d8", "d9"), hours=2))
    assert then(0) is None  # the very moment of the first run
    with then(1) as one:
        assert one.runs()["run_id"].tolist() == ["r1"]
        assert one.queued_decisions()["decision_id"].tolist() == ["d1", "d2"]
        assert one.scored()["decision_id"].tolist() == ["d1", "d2", "d3"]
    with then(3) as three, ledger:
        pd.testing.assert_frame_equal(three.scored(), ledger.scored())
        pd.testing.assert_frame_equal(three.queued_decisions(), ledger.queued_decisions())


def test_of_what_was_scored_again_it_knows_that_it_stood_in_a_queue(ledger, make_run, then):
    ledger.record_run(*make_run("r1"))
    run, queue, scored = make_run("r2", queued=("d3",), scored=("d1", "d2", "d3"), hours=2)
    again = scored.assign(
        arm=["queued", "queued", "ranked"], job_id=scored["decision_id"], p_error=0.9
    )
    ledger.record_run(run, queue, again)
    with then(1) as one:
        found = one.scored().set_index("decision_id")
        assert found["arm"].to_dict() == {"d1": "queued", "d2": "queued"}
        assert set(found["run_id"]) == {"r1"}


def test_a_later_withdrawal_is_undone(ledger, then):
    ledger.record_remediations(_plan("p1", "p2"), by="a", approved_by="b", at=NOW)
    ledger.withdraw_remediations(["p1"], reason="upheld", at=NOW + 2 * HOUR)
    ledger.record_remediations(_plan("p3"), by="a", approved_by="b", at=NOW + 4 * HOUR)
    with then(1) as one, then(3) as three:
        first = one.remediations().set_index("remediation_id")
        assert first["status"].to_dict() == {"p1": "applied", "p2": "applied"}
        assert first["withdrawn_at"].isna().all()
        later = three.remediations().set_index("remediation_id")["status"]
        assert later.to_dict() == {"p1": "withdrawn", "p2": "applied"}


def test_proposals_have_the_state_that_they_had(ledger, then):
    ledger.add_proposals(pd.DataFrame({"proposal_id": ["x"], "rule": ["r"]}), at=NOW)
    move = {"by": "Ana", "effective_from": NOW + 9 * HOUR}
    ledger.move_proposal("x", "accepted", at=NOW + 2 * HOUR, **move)
    ledger.move_proposal("x", "closed", at=NOW + 4 * HOUR, by="Ana")
    for hours, state in ((1, "proposed"), (3, "accepted"), (5, "closed")):
        with then(hours) as held:
            (row,) = held.proposals().to_dict("records")
            assert row["state"] == state
            assert pd.isna(row["effective_from"]) == (state == "proposed")
            assert len(held.history("proposal")) == (hours + 1) // 2


def test_the_ledger_itself_is_not_touched(ledger, url, make_run, then):
    ledger.record_run(*make_run("r1"))
    ledger.ingest(_reviews("a"), NOW)
    with then(1) as copy:
        copy.ingest(_reviews("z"), NOW)
        copy.record_run(*make_run("r9", queued=("d7",), scored=("d7",), hours=1))
    found = find_ledger(url)
    assert found is not None
    with found:
        assert found.reviews()["review_id"].tolist() == ["a"]
        assert found.runs()["run_id"].tolist() == ["r1"]
