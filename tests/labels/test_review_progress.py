"""How the reviewing goes: weeks, delays, and draws that still wait."""

import numpy as np
import pandas as pd

from errdetect.labels.review_history import build_review_history
from errdetect.labels.review_progress import draw_progress, open_appeals, weekly_reviews

NOW = pd.Timestamp("2026-03-01", tz="UTC")


def history(days, **columns):
    """Reviews of one decision each, this many days before now; the decision is two days older."""
    n = len(days)
    at = NOW - pd.to_timedelta(np.array(days, float), unit="D")
    decisions = pd.DataFrame(
        {
            "decision_id": [f"d{i}" for i in range(n)],
            "decided_at": at - pd.Timedelta(days=2),
            "policy_id": "spam",
            "enforced": True,
        }
    )
    reviews = pd.DataFrame(
        {
            "review_id": [f"r{i}" for i in range(n)],
            "decision_id": decisions["decision_id"],
            "reviewed_at": at,
            "source": "audit",
            "verdict": "upheld",
            "expected": None,
            "reviewer_id": "ann",
            "site": "Riga",
            "minutes": 2.0,
            "inclusion_probability": 0.5,
            **columns,
        }
    )
    return decisions, build_review_history(decisions, reviews, as_of=NOW)


def test_weeks_end_now_and_older_ones_are_left_out():
    decisions, known = history([0, 6.9, 7.1, 20, 100])
    found = weekly_reviews(decisions, known, as_of=NOW, weeks=3)
    assert found["n_reviews"].tolist() == [1, 1, 2]
    assert found["week_start"].iloc[-1] == NOW - pd.Timedelta(days=7)
    assert found["median_days"].tolist() == [2.0, 2.0, 2.0]


def test_golden_items_are_work_without_a_delay():
    decisions, known = history([1, 2], source=["golden", "audit"], expected=["upheld", None])
    found = weekly_reviews(decisions, known, as_of=NOW)
    assert (found["n_reviews"].iloc[0], found["median_days"].iloc[0]) == (2, 2.0)


def test_reviews_of_the_future_do_not_count():
    decisions, known = history([1, -3])
    assert weekly_reviews(decisions, known, as_of=NOW)["n_reviews"].tolist() == [1]


def test_reviews_without_a_site_stand_by_themselves():
    decisions, known = history([1, 2], site=["Riga", None])
    found = weekly_reviews(decisions, known, as_of=NOW)
    assert found["site"].isna().tolist() == [False, True]


def draws(draw_id, ids, due):
    return pd.DataFrame(
        {
            "draw_id": draw_id,
            "decision_id": ids,
            "inclusion_probability": 0.5,
            "drawn_at": NOW - pd.Timedelta(days=30),
            "due_at": NOW + pd.Timedelta(days=due),
        }
    )


def test_a_draw_is_complete_open_or_overdue():
    _, known = history([1, 2, 3])
    table = pd.concat(
        [draws("a", ["d0", "d1"], -5), draws("b", ["d0", "x1"], 5), draws("c", ["d2", "x2"], -1)]
    )
    found = draw_progress(table, known, as_of=NOW).set_index("draw_id")
    assert found["state"].to_dict() == {"a": "complete", "b": "open", "c": "overdue"}
    assert found["n_open"].to_dict() == {"a": 0, "b": 1, "c": 1}


def test_reviews_from_elsewhere_do_not_complete_an_audit():
    _, known = history([1, 2], source=["appeal", "audit"])
    found = draw_progress(draws("a", ["d0", "d1"], 5), known, as_of=NOW)
    assert found["n_reviewed"].tolist() == [1]


def test_appeals_wait_until_they_are_answered():
    day = pd.to_datetime(["2026-01-01", "2026-01-05", "2026-01-09", "2026-02-01"], utc=True)
    ids = list("abcd")
    decisions = pd.DataFrame(
        {
            "decision_id": ids,
            "decided_at": day[0],
            "policy_id": ["p", "p", "q", "q"],
            "enforced": True,
        }
    )
    reviews = pd.DataFrame(
        {"review_id": ["r"], "decision_id": ["a"], "reviewed_at": day[1:2], "source": "appeal",
         "verdict": "upheld", "expected": None, "reviewer_id": "ann", "inclusion_probability": None}
    )  # fmt: skip
    appeals = pd.DataFrame(
        {"decision_id": [*ids, "x"], "filed_at": [day[0]] * 3 + [day[3], day[0]],
         "due_at": [day[1], day[1], day[2] + pd.Timedelta(days=3), day[3], pd.NaT]}
    )  # fmt: skip
    history = build_review_history(decisions, reviews)
    found = open_appeals(appeals, decisions, history, as_of=day[2]).set_index("policy_id")
    assert found.loc["p"].tolist() == [1, 1, 0, 8.0]  # a is answered
    assert found.loc["q"].tolist() == [1, 0, 1, 8.0]  # d is filed later
    assert found[found.index.isna()]["n_open"].tolist() == [1]
