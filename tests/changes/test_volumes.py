import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errdetect.changes.decision_volumes import combine_slices, policy_volumes

DECISIONS = pd.DataFrame(
    {
        "decision_id": ["a", "b", "c", "d"],
        "policy_id": ["spam", "spam", "spam", "adult"],
        "enforced": [True, False, True, False],
    }
)


def review(decision_id, verdict="upheld", source="audit"):
    return {"decision_id": decision_id, "verdict": verdict, "source": source}


def test_decisions_are_counted_once_and_golden_reviews_never():
    reviews = pd.DataFrame(
        [
            review("a"),
            review("a", "overturned", "appeal"),
            review("b", "relabelled"),
            review("c", "overturned", "golden"),
        ]
    )
    ids = [f"r{i}" for i in range(len(reviews))]
    day = pd.Timestamp("2026-01-01", tz="UTC")
    reviews = reviews.assign(review_id=ids, reviewed_at=day)
    found = policy_volumes(DECISIONS, reviews).set_index("policy_id")
    assert found.loc["spam"].to_list() == [3, 2, 2, 2]
    assert found.loc["adult"].to_list() == [1, 0, 0, 0]


def test_without_reviews_nothing_is_judged():
    assert policy_volumes(DECISIONS, None)["n_reviews"].to_list() == [0, 0]


def log(n=400):
    rng = np.random.default_rng(3)
    return pd.DataFrame({
        "policy_id": rng.choice(["spam", "scam"], n), "language": rng.choice(["es", "en"], n),
        "moderator_version": rng.choice(["1", "2"], n), "category": rng.choice(["a", "b"], n),
        "account_id": rng.choice([f"s{i}" for i in range(50)], n),
        "decided_at": pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(np.arange(n), unit="h"),
    })  # fmt: skip


def finding(*conditions, rate=0.3, low=0.2, high=0.4, harm=10.0, **more):
    listed = [{"column": c, "op": "==", "value": v} for c, v in conditions]
    return {
        "policy_id": "spam", "n": 7, "n_accounts": 3, "error_rate": rate, "low": low, "high": high,
        "harm_saved": harm, "conditions": listed, "account_ids": [], **more,
    }  # fmt: skip


def test_slices_that_overlap_count_each_decision_once():
    frame = log()
    spam = frame["policy_id"] == "spam"
    one = spam & (frame["category"] == "a")
    # The version counts too: a change of version alters it, but these decisions had it.
    two = spam & (frame["moderator_version"] == "2") & (frame["language"] == "es")
    rows = [
        finding(("category", "a"), rate=0.4, low=0.3, high=0.5, harm=60.0),
        finding(("moderator_version", "2"), ("language", "es"), harm=30.0),
    ]
    total = combine_slices(rows, frame)
    assert total.n == (one | two).sum() < one.sum() + two.sum()
    assert total.n_accounts == frame.loc[one | two, "account_id"].nunique()
    alone = (two & ~one).sum()
    assert total.harm == pytest.approx(60 + 30 * alone / two.sum())
    assert total.rate == pytest.approx((0.4 * one.sum() + 0.3 * alone) / total.n)
    assert total.overlap


def test_slices_that_do_not_overlap_add_up():
    frame = log()
    rows = [finding(("category", "a"), rate=0.4, low=0.3, high=0.5), finding(("category", "b"))]
    total = combine_slices(rows, frame)
    a, b = (((frame["policy_id"] == "spam") & (frame["category"] == c)).sum() for c in "ab")
    assert (total.n, total.overlap, total.harm) == (a + b, False, pytest.approx(20.0))
    assert total.low * total.n == pytest.approx(0.3 * a + 0.2 * b)
    assert total.high * total.n == pytest.approx(0.5 * a + 0.4 * b)


@given(st.lists(st.tuples(st.integers(0, 4095), st.integers(0, 12), st.integers(0, 12)), min_size=1,
                max_size=5), st.integers(0, 4095))  # fmt: skip
def test_the_limits_hold_wherever_those_of_the_slices_do(slices, wrong):
    """Any sets of twelve decisions, any of them wrong, and any limits that hold of each set."""
    bits = np.array([[s >> i & 1 for i in range(12)] for s, _, _ in slices], dtype=bool)
    bad = np.array([wrong >> i & 1 for i in range(12)], dtype=bool)
    frame = pd.DataFrame({f"c{j}": row for j, row in enumerate(bits)}).assign(
        policy_id="spam", decided_at=pd.Timestamp("2026-01-01", tz="UTC")
    )
    rows = []
    for j, (_, down, up) in enumerate(slices):
        size, errors = max(int(bits[j].sum()), 1), int((bits[j] & bad).sum())
        low, high = max(errors - down, 0) / size, min(errors + up, size) / size
        rows.append(finding((f"c{j}", True), rate=errors / size, low=low, high=high, n=size))
    union = bits.any(axis=0)
    total = combine_slices(rows, frame)
    if len(rows) > 1:
        assert total.n == union.sum()
    if union.any():
        assert total.low - 1e-9 <= (union & bad).sum() / union.sum() <= total.high + 1e-9
        assert 0 <= total.low <= total.rate + 1e-9
        assert total.rate <= total.high + 1e-9


def test_without_the_decisions_sizes_add_up_to_at_most():
    total = combine_slices([finding(), finding()], None)
    assert (total.n, total.n_accounts, total.exact, total.overlap) == (14, 6, False, None)
    assert total.low * 14 == pytest.approx(0.2 * 7)
    assert np.isnan(combine_slices([finding(harm=np.nan)], None).harm)
