"""A person who is forgotten is in no row of the ledger; figures stay."""

from datetime import UTC, datetime

import pandas as pd
from sqlalchemy import select, update

from errdetect.ledger import table_definitions as tables
from errdetect.ledger.forgetting import forget_account, forget_reviewer
from errdetect.schemas import REVIEWS

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def _reviews(*names):
    rows = [
        dict.fromkeys(column.name for column in REVIEWS)
        | {
            "review_id": f"r{i}", "decision_id": f"d{i}", "source": "audit", "verdict": "upheld",
            "reviewed_at": pd.Timestamp("2026-02-01", tz="UTC"), "reviewer_id": name,
        }
        for i, name in enumerate(names)
    ]  # fmt: skip
    frame = pd.DataFrame(rows)
    times = {n: pd.to_datetime(frame[n], utc=True) for n in ("reviewed_at", "updated_at")}
    numbers = {n: frame[n].astype("float64") for n in ("inclusion_probability", "minutes")}
    return frame.assign(**times, **numbers)


def _everything(ledger):
    with ledger.engine.connect() as connection:
        return repr(
            [connection.execute(select(one)).all() for one in tables.METADATA.sorted_tables]
        )


def test_a_reviewer_is_forgotten_and_stays_one_reviewer(ledger):
    anna, carl = "reviewer-0123456789ab", "reviewer-ba9876543210"
    ledger.ingest(_reviews(anna, carl, anna), NOW)
    assert forget_reviewer(ledger.engine, ["anna.b", anna], at=NOW) == 2
    assert anna not in _everything(ledger)
    names = ledger.reviews(["r0", "r1", "r2"]).set_index("review_id")["reviewer_id"]
    assert names["r0"] == names["r2"] != names["r1"] == carl
    assert names["r0"].startswith("forgotten-")
    assert ledger.history("person")["what"].tolist() == ["forgotten"]
    assert forget_reviewer(ledger.engine, [anna], at=NOW) == 0
    assert forget_reviewer(ledger.engine, ["%"], at=NOW) == 0


def test_an_account_is_forgotten_and_probabilities_stay(ledger, make_run):
    ledger.record_run(*make_run())
    before = ledger.inclusion_probabilities(["d1", "d2"]).tolist()
    with ledger.engine.begin() as connection:
        connection.execute(
            update(tables.QUEUED).where(tables.QUEUED.c.decision_id == "d1").values(
                reasons='[{"code": "C", "text": "shop-77 sells", "contribution": 1}]'
            )
        )  # fmt: skip
    assert "shop-77" in _everything(ledger)
    assert forget_account(ledger.engine, "shop-77", ["d1"], at=NOW) == (0, 1)
    assert "shop-77" not in _everything(ledger)
    assert ledger.inclusion_probabilities(["d1", "d2"]).tolist() == before
    queued = ledger.queued_decisions().set_index("decision_id")["reasons"]
    assert len(queued["d1"]) == 0
    assert len(queued["d2"]) == 1
