"""Rulings of calibration sessions: the latest holds, persons can be forgotten, copies are as of a moment."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from sqlalchemy import text

from errdetect.ledger.forgetting import forget_precedents
from errdetect.ledger.ledger import find_ledger, open_ledger
from errdetect.ledger.ledger_replica import replicate_ledger
from errdetect.ledger.table_definitions import PRECEDENTS, VERSION_TABLE

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def rulings(**columns):
    rows = pd.DataFrame(
        {"session_id": "C-1", "policy_id": "spam", "decision_id": ["d1", "d2"], "ruling": "upheld",
         "reason": ["=a bulk offer", "a gift"], "clause": "No bulk offers.", "by": "Ana",
         "facts": '{"market": "DE"}'}
    )  # fmt: skip
    return rows.assign(**columns)


def test_the_same_ruling_counts_once_and_the_latest_holds(ledger):
    assert ledger.add_precedents(rulings(), at=NOW) == 2
    assert ledger.add_precedents(rulings(), at=NOW + timedelta(days=1)) == 0
    other = rulings(ruling="overturned").head(1)
    assert ledger.add_precedents(other, at=NOW + timedelta(days=2)) == 1
    held = ledger.precedents().set_index("decision_id")["ruling"]
    assert held.to_dict() == {"d1": "overturned", "d2": "upheld"}
    assert ledger.precedents(before=NOW + timedelta(days=1))["ruling"].tolist() == ["upheld"] * 2
    assert ledger.precedents(before=NOW).empty
    # back to the first ruling: that is a ruling of its own
    assert ledger.add_precedents(rulings().head(1), at=NOW + timedelta(days=3)) == 1
    assert ledger.precedents().set_index("decision_id")["ruling"]["d1"] == "upheld"
    assert len(ledger.history("precedent")) == 4


def test_who_ruled_and_whose_content_it_was_can_be_forgotten(ledger):
    ledger.add_precedents(rulings(), at=NOW)
    assert forget_precedents(ledger.engine, names=["Ana"], at=NOW) == 2
    assert forget_precedents(ledger.engine, decision_ids=["d1"], at=NOW) == 1
    held = ledger.precedents().set_index("decision_id")
    assert held["by"].str.startswith("forgotten-").all()
    assert pd.isna(held["reason"]["d1"])
    assert held["facts"].to_dict() == {"d1": "{}", "d2": '{"market": "DE"}'}
    assert held["ruling"].tolist() == ["upheld"] * 2
    assert forget_precedents(ledger.engine, names=["Ana"], decision_ids=["d9"], at=NOW) == 0


def test_a_copy_has_the_rulings_recorded_by_then(ledger, url, tmp_path):
    ledger.add_precedents(rulings().head(1), at=NOW)
    ledger.add_precedents(rulings().tail(1), at=NOW + timedelta(days=1))
    copy = tmp_path / "copy.db"
    moment = NOW + timedelta(hours=1)
    assert replicate_ledger(url, copy, known_at=moment, recorded_at=moment)
    with open_ledger(f"sqlite:///{copy}") as earlier:
        assert earlier.precedents()["decision_id"].tolist() == ["d1"]


@pytest.mark.parametrize("version", ["0003", "0004"])
def test_a_ledger_of_an_earlier_version_gets_the_table(url, version, tmp_path):
    with open_ledger(url) as new, new.engine.begin() as connection:
        connection.execute(text(f"DROP TABLE {PRECEDENTS.name}"))
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '{version}'"))
    if version == "0003":  # without a key it stays: it may hold reviewers' ids
        with find_ledger(url) as old:
            assert old.precedents().empty
        assert not replicate_ledger(url, tmp_path / "copy.db", known_at=NOW, recorded_at=NOW)
    with open_ledger(url, lambda: None) as upgraded:
        assert upgraded.add_precedents(rulings(), at=NOW) == 2
