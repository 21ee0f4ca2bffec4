"""Small tables for plans, by hand and by Hypothesis."""

import pandas as pd
import pytest
from hypothesis import strategies as st

from errdetect.config_schema import RemediationSettings
from errdetect.remediation.remediation_plan import plan_remediation
from errdetect.snapshot import LabelRules, Snapshot

DAY = pd.Timestamp("2026-01-01", tz="UTC")
_REVIEW = {
    "correct_policy_id": None, "reviewer_id": None, "site": None,
    "inclusion_probability": float("nan"), "expected": None, "minutes": float("nan"),
}  # fmt: skip


@pytest.fixture
def decide():
    """Decisions from (id, policy, account, enforced), a minute apart; further columns by name."""

    def make(*rows, **more):
        frame = pd.DataFrame(rows, columns=["decision_id", "policy_id", "account_id", "enforced"])
        frame["decided_at"] = DAY + pd.to_timedelta(range(len(rows)), unit="min")
        return frame.assign(**more)

    return make


@pytest.fixture
def review():
    """Reviews from (id, decision, source, verdict), a day apart; further values by name."""

    def make(*rows, **more):
        frame = pd.DataFrame(rows, columns=["review_id", "decision_id", "source", "verdict"])
        frame["reviewed_at"] = DAY + pd.to_timedelta(range(1, len(rows) + 1), unit="D")
        return frame.assign(
            **{**_REVIEW, "reviewer_id": [f"p{i}" for i in range(len(rows))], **more}
        )

    return make


@st.composite
def _markets(draw):
    """Decisions of few accounts and policies, and any reviews of them."""
    n = draw(st.integers(1, 10))
    pick = lambda *words: st.lists(st.sampled_from(words), min_size=n, max_size=n)  # noqa: E731
    ids = [f"d{i}" for i in range(n)]
    decisions = pd.DataFrame(
        {
            "decision_id": ids,
            "decided_at": DAY + pd.to_timedelta(range(n), unit="min"),
            "item_id": draw(pick("i1", "i2", "i3", "i4")),
            "policy_id": draw(pick("spam", "scam")),
            "account_id": pd.array(draw(pick("a", "b", None)), dtype="str"),
            "enforced": draw(pick(True, False)),
            "text": pd.array(draw(pick("buy gold now", "=1+1", None)), dtype="str"),
        }
    )
    m = draw(st.integers(0, 14))
    sources = st.sampled_from(["audit", "appeal", "golden", "adjudication", "re_review"])
    verdicts = st.sampled_from(["upheld", "overturned", "relabelled"])
    rows = [(f"r{i}", draw(st.sampled_from(ids)), draw(sources), draw(verdicts)) for i in range(m)]
    reviews = pd.DataFrame(rows, columns=["review_id", "decision_id", "source", "verdict"])
    days = [draw(st.integers(1, 5)) for _ in range(m)]
    named = [draw(st.sampled_from(["spam", "scam", None])) for _ in range(m)]
    people = [draw(st.sampled_from(["ann", "bob", None])) for _ in range(m)]
    audit = (reviews["source"] == "audit").to_numpy(bool)
    return decisions, reviews.assign(
        **{
            **_REVIEW,
            "reviewed_at": DAY + pd.to_timedelta(days, unit="D"),
            "correct_policy_id": pd.array(named, dtype="str"),
            "reviewer_id": pd.array(people, dtype="str"),
            "inclusion_probability": pd.Series(0.25, index=reviews.index).where(audit),
        }
    )


@pytest.fixture(scope="session")
def markets():
    """Strategy of (decisions, reviews)."""
    return _markets()


@pytest.fixture(scope="session")
def plan_of():
    """Plan from decisions and reviews, labelled by votes."""

    def make(decisions, reviews, *, recorded=None, **settings):
        snapshot = Snapshot(decisions, reviews, rules=LabelRules("votes"))
        return plan_remediation(snapshot, RemediationSettings(**settings), recorded=recorded)

    return make
