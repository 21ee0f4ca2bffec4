"""Statements of reasons of the EU's Transparency Database, made up here in its published form."""

import pandas as pd
import pytest

from errdetect.data.table_reading import iter_decisions, read_decisions
from errdetect.errors import DataError
from errdetect.table_settings import TableMapping

ROWS = [
    {
        "uuid": "u1", "decision_visibility": '["DECISION_VISIBILITY_CONTENT_REMOVED"]', "decision_account": "",
        "category": "STATEMENT_CATEGORY_UNSAFE_AND_ILLEGAL_PRODUCTS", "content_type": '["CONTENT_TYPE_PRODUCT"]',
        "content_language": "DE", "territorial_scope": '["DE"]', "application_date": "2026-03-01 00:00:00",
        "source_type": "SOURCE_VOLUNTARY", "automated_detection": "Yes",
        "automated_decision": "AUTOMATED_DECISION_FULLY", "decision_facts": "=cmd|' /C calc'!A0", "puid": "p1",
        "created_at": "2026-03-02 10:00:00",
    },
    {
        "uuid": "u2", "decision_visibility": "", "decision_account": "DECISION_ACCOUNT_SUSPENDED",
        "category": "STATEMENT_CATEGORY_SCAMS_AND_FRAUD", "content_type": '["CONTENT_TYPE_TEXT","CONTENT_TYPE_IMAGE"]',
        "content_language": "", "territorial_scope": '["AT","BE","DE"]', "application_date": "2026-03-01 00:00:00",
        "source_type": "SOURCE_ARTICLE_16", "automated_detection": "No",
        "automated_decision": "AUTOMATED_DECISION_NOT_AUTOMATED", "decision_facts": "a, b", "puid": "p2",
        "created_at": "2026-03-02 10:00:00",
    },
    {
        "uuid": "u3", "decision_visibility": "[]", "decision_account": "",
        "category": "STATEMENT_CATEGORY_SCAMS_AND_FRAUD", "content_type": "", "content_language": "FR",
        "territorial_scope": "", "application_date": "2026-03-01 00:00:00", "source_type": "SOURCE_VOLUNTARY",
        "automated_detection": "Yes", "automated_decision": "AUTOMATED_DECISION_PARTIALLY", "decision_facts": "",
        "puid": "p3", "created_at": "2026-03-02 10:00:00",
    },
]  # fmt: skip


@pytest.fixture
def dump(tmp_path):
    place = tmp_path / "sor.csv"
    pd.DataFrame(ROWS).to_csv(place, index=False)
    return place


def test_statements_are_decisions(dump):
    read = read_decisions(dump, mapping=TableMapping(preset="dsa_statements"))
    first, second = read.frame.to_dict("records")
    assert first["decision_id"] == "u1"
    assert first["item_id"] == "p1"
    assert first["action"] == "DECISION_VISIBILITY_CONTENT_REMOVED"
    assert first["enforced"]
    assert (first["market"], first["language"], first["item_type"]) == (
        "DE",
        "de",
        "CONTENT_TYPE_PRODUCT",
    )
    assert first["moderator"] == "AUTOMATED_DECISION_FULLY"
    assert first["policy_id"] == "STATEMENT_CATEGORY_UNSAFE_AND_ILLEGAL_PRODUCTS"
    assert second["action"] == "DECISION_ACCOUNT_SUSPENDED"
    assert pd.isna(second["market"])
    assert pd.isna(second["language"])
    assert second["item_type"] == "CONTENT_TYPE_TEXT, CONTENT_TYPE_IMAGE"
    assert second["source_type"] == "SOURCE_ARTICLE_16"


def test_what_came_later_or_is_free_text_is_no_feature(dump):
    frame = read_decisions(dump, mapping=TableMapping(preset="dsa_statements")).frame
    assert not {"created_at", "decision_facts"} & set(frame.columns)


def test_a_statement_without_a_measure_is_rejected_not_guessed(dump):
    read = read_decisions(dump, mapping=TableMapping(preset="dsa_statements"))
    assert read.rejects[["id", "row"]].values.tolist() == [["u3", 3]]
    assert read.rejects["reason"].item().startswith("action must have a value")


def test_batches_and_the_whole_agree(dump):
    parts = iter_decisions(dump, mapping=TableMapping(preset="dsa_statements"), batch_rows=1)
    together = pd.concat([part.frame for part in parts], ignore_index=True)
    pd.testing.assert_frame_equal(
        together, read_decisions(dump, mapping=TableMapping(preset="dsa_statements")).frame
    )


def test_other_tables_are_refused_in_plain_words(tmp_path):
    place = tmp_path / "log.csv"
    place.write_text("decision_id,decided_at\n1,2026-01-01\n")
    with pytest.raises(DataError, match="must have the columns of statements of reasons"):
        read_decisions(place, mapping=TableMapping(preset="dsa_statements"))
    pd.DataFrame(ROWS).to_parquet(tmp_path / "sor.parquet")
    with pytest.raises(DataError, match="must be CSV"):
        read_decisions(tmp_path / "sor.parquet", mapping=TableMapping(preset="dsa_statements"))
