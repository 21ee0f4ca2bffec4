"""What reports spent of the false discovery rate: each period once."""

from datetime import UTC, datetime

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_the_same_report_spends_once(ledger):
    assert ledger.record_discoveries("2026-01-01..2026-01-31", 0.03, 2, at=NOW)
    assert not ledger.record_discoveries("2026-01-01..2026-01-31", 0.03, 2, at=NOW)
    assert ledger.record_discoveries("2026-02-01..2026-02-28", 0.05, 0, at=NOW)
    events = ledger.history("discovery")
    assert events["id"].tolist() == ["2026-01-01..2026-01-31", "2026-02-01..2026-02-28"]
    assert events["from"].astype(float).tolist() == [0.03, 0.05]


def test_later_reviews_of_a_period_correct_its_count(ledger):
    ledger.record_discoveries("2026-01-01..2026-01-31", 0.03, 0, at=NOW)
    assert ledger.record_discoveries("2026-01-01..2026-01-31", 0.03, 4, at=NOW)
    assert ledger.history("discovery")["to"].tolist() == ["0", "4"]
