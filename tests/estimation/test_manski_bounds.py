"""What holds if every reviewer is right."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errdetect.estimation.manski_bounds import known_verdicts, rate_bounds, recall_bounds
from errdetect.snapshot import Snapshot

T = pd.Timestamp("2026-01-01", tz="UTC")
VERDICTS = ("upheld", "overturned", "relabelled")


def verdicts(decisions, *rows, action_only=False):
    reviews = pd.DataFrame(list(rows), columns=["decision_id", "source", "verdict"])
    reviews = reviews.assign(review_id=[f"r{i}" for i in range(len(rows))], reviewed_at=T)
    snapshot = Snapshot(decisions.assign(decided_at=T), reviews)
    return known_verdicts(snapshot.review_history, len(decisions), action_only=action_only)


def test_bounds_are_what_reviews_settle():
    decisions = pd.DataFrame({"decision_id": [str(i) for i in range(10)]})
    known = verdicts(
        decisions,
        ("0", "audit", "overturned"),
        ("1", "audit", "upheld"),
        ("2", "audit", "upheld"),
        ("2", "re_review", "overturned"),  # a conflict stays unknown
        ("3", "audit", "upheld"),
        ("3", "adjudication", "overturned"),  # the expert stands
        ("4", "golden", "overturned"),  # never a label
        ("5", "appeal", "overturned"),
    )
    low, high, proxy = rate_bounds(known, np.zeros(10, int), 1)
    assert low[0] == pytest.approx(0.3)
    assert high[0] == pytest.approx(0.9)
    assert proxy[0] == pytest.approx(0.1)


def test_relabelled_is_an_error_but_not_a_wrong_action():
    decisions = pd.DataFrame({"decision_id": ["a"]})
    one = ("a", "audit", "relabelled")
    assert verdicts(decisions, one).wrong.tolist() == [True]
    assert verdicts(decisions, one, action_only=True).right.tolist() == [True]


def test_without_appeals_the_proxy_has_no_meaning():
    decisions = pd.DataFrame({"decision_id": ["a"]})
    known = verdicts(decisions, ("a", "audit", "upheld"))
    assert np.isnan(rate_bounds(known, np.zeros(1, int), 1)[2][0])


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_more_reviews_never_widen_the_bounds_unless_they_conflict(data):
    truth = data.draw(st.lists(st.sampled_from(VERDICTS), min_size=4, max_size=12))
    decisions = pd.DataFrame({"decision_id": [str(i) for i in range(len(truth))]})
    rows = [(str(i), "audit", verdict) for i, verdict in enumerate(truth)]
    widths = []
    for n in range(1, len(rows) + 1):
        known = verdicts(decisions, *rows[:n])
        low, high, _ = rate_bounds(known, np.zeros(len(truth), int), 1)
        widths.append(high[0] - low[0])
    assert all(b <= a + 1e-12 for a, b in pairwise(widths))
    assert widths[-1] == pytest.approx(0, abs=1e-12)


def test_recall_bounds_of_full_knowledge_meet():
    low, high = recall_bounds(
        (np.array([0.1]), np.array([0.1])), (np.array([0.2]), np.array([0.2])),
        np.array([100.0]), np.array([50.0]),
    )  # fmt: skip
    assert low[0] == high[0] == pytest.approx(90 / 100)


def test_bounds_of_a_log_reviewed_to_the_end_are_the_reviewers_not_the_truth():
    """Reviewers who err put zero width around a wrong rate: true only if every one is right."""
    rng = np.random.default_rng(0)
    wrong = rng.random(2000) < 0.08
    given = np.where(rng.random(2000) < 0.05, ~wrong, wrong)
    decisions = pd.DataFrame({"decision_id": np.arange(2000).astype(str)})
    rows = ((str(i), "audit", VERDICTS[int(v)]) for i, v in enumerate(given))
    known = verdicts(decisions, *rows)
    low, high, _ = rate_bounds(known, np.zeros(2000, int), 1)
    assert low[0] == pytest.approx(high[0]) == pytest.approx(given.mean())
    assert low[0] > wrong.mean() + 0.02
