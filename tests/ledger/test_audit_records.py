"""Audit draws in the ledger: recorded once, never changed, also in ledgers of earlier versions."""

import json
from datetime import timedelta

import pandas as pd
import pytest
from sqlalchemy import text

from errdetect.data.database_tables import open_engine, write_transaction
from errdetect.errors import DataError
from errdetect.ledger.audit_records import AuditDraw
from errdetect.ledger.ledger import find_ledger
from errdetect.ledger.ledger_replica import draws_digest, replicate_ledger
from errdetect.schemas import DRAWS

from .conftest import NOW

DAY = timedelta(days=1)


def draw(name="audit-1", days=0, due=14, **receipt):
    at = NOW + days * DAY
    return AuditDraw(
        name, at, None if due is None else at + due * DAY, "Ann", {"seed": 7, **receipt}
    )


def drawn(ids=("d1", "d2"), p=0.25):
    return pd.DataFrame({"decision_id": list(ids), "inclusion_probability": p, "market": "DE"})


def test_a_draw_is_recorded_once(ledger):
    assert ledger.record_draw(draw(), drawn()) == 2
    assert ledger.record_draw(draw(days=3), drawn()) == 0
    found = ledger.draws()
    assert list(found.columns) == [column.name for column in DRAWS]
    assert found["decision_id"].tolist() == ["d1", "d2"]
    assert set(found["drawn_at"]) == {pd.Timestamp(NOW)}
    assert set(found["due_at"]) == {pd.Timestamp(NOW + 14 * DAY)}
    (audit,) = ledger.audits().to_dict("records")
    assert (audit["draw_id"], audit["by"], json.loads(audit["receipt"])) == (
        "audit-1",
        "Ann",
        {"seed": 7},
    )
    (event,) = ledger.history("draw").to_dict("records")
    assert (event["id"], event["what"], event["by"]) == ("audit-1", "recorded", "Ann")


@pytest.mark.parametrize(
    "other", [drawn(["d1"]), drawn(["d1", "d3"]), drawn(p=0.5), drawn(["d1", "d2", "d3"])]
)
def test_a_recorded_draw_never_changes(ledger, other):
    ledger.record_draw(draw(), drawn())
    with pytest.raises(DataError, match='The draw "audit-1" must be the one that the ledger has'):
        ledger.record_draw(draw(), other)
    assert ledger.draws()["inclusion_probability"].tolist() == [0.25, 0.25]


def test_draws_may_overlap_and_are_listed_by_time(ledger):
    ledger.record_draw(draw("late", days=5, due=None), drawn(["d2", "d3"], 0.5))
    ledger.record_draw(draw("early"), drawn())
    assert ledger.draws()["draw_id"].tolist() == ["early", "early", "late", "late"]
    assert ledger.draws()["due_at"].isna().tolist() == [False, False, True, True]
    before = ledger.draws(before=NOW + 5 * DAY)
    assert before["draw_id"].unique().tolist() == ["early"]
    assert ledger.audits()["draw_id"].tolist() == ["early", "late"]


def test_a_draw_needs_its_columns(ledger):
    with pytest.raises(DataError, match="The draw must have the columns inclusion_probability"):
        ledger.record_draw(draw(), drawn().drop(columns="inclusion_probability"))
    assert ledger.draws().empty
    assert ledger.audits().empty


def test_a_replica_has_the_draws_of_its_moment(ledger, url, tmp_path):
    ledger.record_draw(draw("early"), drawn())
    ledger.record_draw(draw("late", days=5), drawn(["d3"]))
    at = NOW + 5 * DAY
    assert replicate_ledger(url, tmp_path / "then.db", known_at=at, recorded_at=at)
    with find_ledger(f"sqlite:///{tmp_path}/then.db") as then:
        assert then.audits()["draw_id"].tolist() == ["early"]
        assert then.draws()["decision_id"].tolist() == ["d1", "d2"]
    assert draws_digest(url, drawn_before=NOW) is None
    count, digest = draws_digest(url, drawn_before=at)
    assert count == 2
    assert draws_digest(f"sqlite:///{tmp_path}/then.db", drawn_before=at) == (2, digest)
    assert draws_digest(url, drawn_before=at + DAY)[0] == 3


def test_a_ledger_of_the_version_before_gains_the_tables(url, make_reviews, monkeypatch):
    from errdetect.ledger import schema_upgrade as migrate

    whole = migrate.command.upgrade
    with monkeypatch.context() as patched:  # make it as the release before did
        patched.setattr(migrate.command, "upgrade", lambda config, _: whole(config, "0002"))
        engine = open_engine(url)
        migrate.upgrade_ledger(engine)
    at = "2026-03-02 12:00:00.000000"
    with write_transaction(engine) as connection:
        connection.execute(
            text("INSERT INTO errdetect_reviews (review_id, known_at, decision_id, reviewed_at, source, "
                 f"verdict, ingested_at) VALUES ('r1', '{at}', 'd1', '{at}', 'audit', 'upheld', '{at}')")
        )  # fmt: skip
        connection.execute(
            text(f"INSERT INTO errdetect_runs VALUES ('run', '3', '{at}', 5, 2, '{{}}')")
        )
    engine.dispose()
    with find_ledger(url) as ledger:
        assert ledger.draws().empty
        assert ledger.reviews()["review_id"].tolist() == ["r1"]
        assert ledger.runs()["run_id"].tolist() == ["run"]
        assert ledger.record_draw(draw(), drawn()) == 2
    with find_ledger(url) as ledger:
        assert len(ledger.draws()) == 2
        assert ledger.ingest(make_reviews(), NOW).new == 2
