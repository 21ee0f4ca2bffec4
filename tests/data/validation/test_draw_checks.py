"""Faults of audit draws: each is found, and a sound audit has none."""

import numpy as np
import pandas as pd
import pytest

from errdetect.data.validation.draw_checks import check_draws
from errdetect.data.validation.table_checks import check_tables

from .test_checks import NOW, START, _decisions, _read, _reviews

DRAWN = pd.Timestamp("2026-03-20", tz="UTC").as_unit("us")


def _draws(decisions, n=150):
    return pd.DataFrame(
        {
            "draw_id": "audit-1",
            "decision_id": decisions["decision_id"].head(n),
            "inclusion_probability": 0.25,
            "drawn_at": DRAWN,
            "due_at": pd.Series(DRAWN + pd.Timedelta(days=14), range(n)),
        }
    )


def found(draws=lambda d: d, reviews=lambda r: r, rejected=()):
    decisions = _decisions()
    answers = reviews(_reviews(decisions))
    given = draws(_draws(decisions)).reset_index(drop=True)
    issues = check_draws(decisions, given, answers, pd.Series(rejected, dtype="str"))
    return {issue.code: issue for issue in issues}


def test_a_sound_audit_has_no_fault():
    assert set(found()) == {"A010"}
    assert found()["A010"].message == "Decisions drawn: 150, in draws: 1."
    assert set(found(reviews=lambda _: None)) == {"A010"}


@pytest.mark.parametrize(
    ("code", "severity", "count", "draws"),
    [
        ("A005", "error", 150, lambda d: d.assign(drawn_at=START - pd.Timedelta(days=1))),
        ("A006", "error", 150, lambda d: d.assign(decision_id="D" + d["decision_id"])),
        ("A006", "warning", 10, lambda d: d.assign(decision_id=d["decision_id"] + np.where(d.index > 139, "x", ""))),
        ("A007", "warning", 20, lambda d: d.iloc[20:]),
        ("A008", "error", 30, lambda d: d.assign(inclusion_probability=np.where(d.index < 30, 0.5, 0.25))),
        ("A009", "warning", 1, lambda d: d.assign(drawn_at=d["drawn_at"] + pd.to_timedelta(d.index // 99, "D"))),
        ("A009", "error", 150, lambda d: d.assign(due_at=DRAWN - pd.Timedelta(days=1))),
    ],
)  # fmt: skip
def test_each_fault_is_named_with_its_count(code, severity, count, draws):
    issue = found(draws)[code]
    assert (issue.severity, issue.count, issue.table) == (severity, count, "draws")
    assert issue.examples


def test_rounding_is_no_other_probability_and_any_draw_may_match():
    def twice(draws):
        other = draws.assign(draw_id="audit-2", inclusion_probability=0.5)
        return pd.concat([draws.assign(inclusion_probability=1 / 3), other])

    assert "A008" not in found(twice, lambda r: r.assign(inclusion_probability=0.33333333))
    assert "A008" not in found(twice, lambda r: r.assign(inclusion_probability=0.5))
    assert "A008" not in found(twice, lambda r: r.assign(inclusion_probability=np.nan))
    assert found(twice, lambda r: r.assign(inclusion_probability=0.25))["A008"].count == 120
    assert "drawn more than once: 150" in found(twice)["A010"].message


def test_earlier_audits_and_rejected_decisions_are_told_apart():
    early = found(
        lambda d: d.iloc[20:], lambda r: r.assign(reviewed_at=DRAWN - pd.Timedelta(days=9))
    )
    assert early["A007"].message.endswith("20, 20 of them from before the first draw.")
    gone = found(
        lambda d: d.assign(decision_id=d["decision_id"].replace("d3", "bad")), rejected=["bad"]
    )
    assert (
        gone["A006"].message
        == "Draws of decisions that are missing: 1, 1 of them of rejected decisions."
    )


def test_all_tables_are_checked_together():
    decisions = _decisions()
    reads = [_read(frame) for frame in (decisions, _reviews(decisions), _draws(decisions))]
    issues = check_tables(reads[0], reads[1], draws=reads[2], now=NOW)
    own = [issue for issue in issues if issue.table == "draws"]
    assert [issue.code for issue in own] == ["A004", "A010"]
    late = _read(_draws(decisions).assign(drawn_at=pd.Timestamp("2030-01-01", tz="UTC")))
    odd = [i for i in check_tables(reads[0], None, draws=late, now=NOW) if i.code == "A003"]
    assert odd[0].examples[0] == "d0"
