import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from errdetect.features.point_in_time_features import (
    HISTORY_KEYS,
    WINDOWS,
    HistoryIndex,
    history_features,
)

START = pd.Timestamp("2026-01-01", tz="UTC")
DRAWN, COMPLAINTS = ["audit", "re_review"], ["appeal", "report"]
checked = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def frame(days: list[float], **columns: object) -> pd.DataFrame:
    n = len(days)
    return pd.DataFrame(
        {
            "decision_id": [f"d{i}" for i in range(n)],
            "decided_at": [START + pd.Timedelta(days=d) for d in days],
            "enforced": True,
            **columns,
        }
    )


def review(decision: str, day: float, verdict: str, source: str = "audit", **more: object) -> dict:
    at = START + pd.Timedelta(days=day)
    return {"review_id": f"r{decision}{day}{source}", "decision_id": decision, "reviewed_at": at,
            "source": source, "verdict": verdict, "reviewer_id": None, **more}  # fmt: skip


def lean(mine, everyone):
    if not mine:
        return np.nan
    return (sum(mine) + 5 * sum(everyone) / len(everyone)) / (len(mine) + 5)


def brute_history(log, reviews, verdict):
    """The same as `history_features`, one decision at a time in plain loops."""
    rows, words = log.to_dict("records"), reviews.to_dict("records")
    keys = {
        key: columns
        for key, columns in HISTORY_KEYS.items()
        if len(log[list(columns)].dropna().drop_duplicates()) > 1
    }
    return pd.DataFrame(
        [brute_row(rows, words, row, keys, verdict) | brute_changes(rows, row) for row in rows],
        index=log.index,
    ).astype("float64")


def brute_row(rows, words, row, keys, verdict):
    t, facts = row["decided_at"], {}
    ago = {w: t - pd.Timedelta(days=w) for w in WINDOWS}
    stands = {
        kind: [verdict(words, other, t, sources) for other in rows]
        for kind, sources in (("drawn", DRAWN), ("complaints", COMPLAINTS))
    }

    def judged(own, kind, w):
        found = zip(own, stands[kind], strict=True)
        return [v[1] for mine, v in found if mine and v is not None and v[0] >= ago[w]]

    for key, columns in keys.items():
        unknown = any(pd.isna(row[c]) for c in columns)
        own = [all(other[c] == row[c] for c in columns) for other in rows]
        whole, told = [True] * len(rows), {}
        for w in WINDOWS:
            in_time = [ago[w] <= other["decided_at"] < t for other in rows]
            everyone = [o["enforced"] for o, i in zip(rows, in_time, strict=True) if i]
            mine = [o["enforced"] for o, i, m in zip(rows, in_time, own, strict=True) if i and m]
            wrong = judged(own, "drawn", w)
            told[f"decisions_{w}d"] = len(mine)
            told[f"enforced_rate_{w}d"] = lean(mine, everyone)
            told[f"reviewed_{w}d"] = len(wrong)
            told[f"error_rate_{w}d"] = lean(wrong, judged(whole, "drawn", w))
        upset = judged(own, "complaints", 90)
        told["errors_90d"] = sum(judged(own, "drawn", 90))
        told["complaints_90d"] = len(upset)
        told["complaint_error_rate_90d"] = lean(upset, judged(whole, "complaints", 90))
        for name, value in told.items():
            facts[f"history_{key}_{name}"] = np.nan if unknown else value
    return facts


def brute_changes(rows, row):
    """Days since the version was first seen after another, and since the policy's last such day."""
    t = row["decided_at"]

    def arrivals(seen):
        first = {}
        for one in seen:
            at = first.setdefault(one["moderator"], {})
            version = one["moderator_version"]
            at[version] = min(at.get(version, one["decided_at"]), one["decided_at"])
        return {(m, v): d for m, at in first.items() for v, d in at.items() if d > min(at.values())}

    seen = [o for o in rows if o["decided_at"] <= t and not pd.isna(o["moderator_version"])]
    mine = arrivals(seen).get((row["moderator"], row["moderator_version"]))
    last = max(
        arrivals([o for o in seen if o["policy_id"] == row["policy_id"]]).values(), default=None
    )
    days = [np.nan if d is None else (t - d).total_seconds() / 86400 for d in (mine, last)]
    return {"history_moderator_version_days": days[0], "history_policy_change_days": days[1]}


@checked
@given(data=st.data())
def test_equal_to_plain_loops(data, logs, brute_verdict):
    log, reviews = data.draw(logs)
    told = history_features(log, log, reviews)
    expected = brute_history(log, reviews, brute_verdict)
    pd.testing.assert_frame_equal(told, expected, check_like=True, rtol=1e-9)


@checked
@given(data=st.data(), seed=st.integers(0, 10**6))
def test_the_order_of_rows_does_not_matter(data, seed, logs):
    log, reviews = data.draw(logs)
    told = history_features(log, log, reviews)
    mixed = log.sample(frac=1, random_state=seed)
    again = history_features(mixed, log, reviews.sample(frac=1, random_state=seed))
    pd.testing.assert_frame_equal(again, told.loc[mixed.index])
    pd.testing.assert_frame_equal(history_features(log, mixed, reviews), told, check_like=True)


@checked
@given(data=st.data())
def test_what_comes_later_changes_nothing_before_it(data, logs):
    """A leak would show here: to the last digit, a decision sees only what lies before it."""
    log, reviews = data.draw(logs)
    cut = data.draw(st.sampled_from(sorted(set(log["decided_at"]))))
    early = log[log["decided_at"] <= cut]
    before = history_features(early, early, reviews[reviews["reviewed_at"] < cut])
    after = history_features(early, log, reviews)
    known = [name for name in before if name in after]
    pd.testing.assert_frame_equal(before[known], after[known])
    late = [name for name in after if name not in before]  # keys that had one group only by then
    assert all(name.rsplit("_", 1)[0] not in known for name in late)


def test_a_planted_verdict_from_after_the_decision_does_not_move_it():
    log = frame([0, 1, 5, 20], account_id=["a", "b", "a", "a"])
    told = [
        history_features(log, log, pd.DataFrame([review("d0", day, verdict)]))
        for day, verdict in ((5, "overturned"), (5, "upheld"), (19, "overturned"))
    ]
    name = "history_account_errors_90d"
    assert [t.loc[2, name] for t in told] == [0, 0, 0]  # known at that very moment is too late
    assert [t.loc[3, name] for t in told] == [1, 0, 1]


def test_golden_reviews_never_count():
    log = frame([0, 1, 9], account_id=["a", "b", "a"])
    told = history_features(log, log, pd.DataFrame([review("d0", 2, "overturned", "golden")]))
    assert told.loc[2, "history_account_reviewed_90d"] == 0
    assert np.isnan(told.loc[2, "history_account_error_rate_90d"])


def test_appeals_do_not_pass_for_an_audit():
    """An expert's word on an appeal is no fair sample either; on an audit it settles the verdict."""
    log = frame([0, 0, 0, 9], account_id=["a", "a", "b", "a"])
    said = [review("d0", 1, "overturned", "appeal"), review("d0", 2, "overturned", "adjudication")]
    said += [review("d1", 1, "overturned"), review("d1", 2, "upheld", "adjudication")]
    told = history_features(log, log, pd.DataFrame(said)).loc[3]
    assert told["history_account_reviewed_90d"] == 1
    assert told["history_account_errors_90d"] == 0
    assert told["history_account_complaints_90d"] == 1


def test_judges_of_one_decision_share_one_verdict():
    log = frame([0, 0, 9], account_id=["a", "b", "a"])
    said = [review("d0", 1, "overturned", review_id="r1", reviewer_id="ann"),
            review("d0", 1, "upheld", review_id="r2", reviewer_id="bob"),
            review("d0", 2, "overturned", review_id="r3", reviewer_id="cem")]  # fmt: skip
    told = history_features(log, log, pd.DataFrame(said)).loc[2]
    assert told["history_account_reviewed_90d"] == 1
    assert told["history_account_errors_90d"] == pytest.approx(2 / 3)


def test_rates_lean_towards_everyone_s():
    log = frame([0, 0, 0, 0, 9], account_id=["a", "b", "b", "b", "a"])
    said = [review("d0", 1, "overturned"), *(review(f"d{i}", 1, "upheld") for i in (1, 2, 3))]
    told = history_features(log, log, pd.DataFrame(said)).loc[4]
    assert told["history_account_error_rate_90d"] == pytest.approx((1 + 5 * 0.25) / 6)


def test_unseen_and_missing_accounts_differ():
    log = frame([0, 1], account_id=["a", "b"])
    later = frame([5, 5], account_id=["new", None])
    counts = history_features(later, log, None)["history_account_decisions_90d"]
    assert counts[0] == 0
    assert np.isnan(counts[1])


def test_a_key_of_one_group_says_nothing_and_is_left_out():
    log = frame([0, 1, 2], policy_id="p", moderator_version="1")
    told = history_features(log, log, None)
    assert set(told) == {"history_moderator_version_days", "history_policy_change_days"}
    assert told.isna().all(axis=None)


def test_days_since_a_version_came():
    log = frame(
        [0, 4, 6, 7.5], policy_id=["p", "p", "q", "p"], moderator_version=["1", "2", "2", "1"]
    )
    told = history_features(log, log, None)
    assert told["history_moderator_version_days"].tolist() == pytest.approx(
        [np.nan, 0, 2, np.nan], nan_ok=True
    )
    assert told["history_policy_change_days"].tolist() == pytest.approx(
        [np.nan, 0, np.nan, 3.5], nan_ok=True
    )


def test_no_log_is_too_small():
    nothing = frame([], account_id=[], policy_id=[]).astype({"decided_at": "datetime64[us, UTC]"})
    assert len(history_features(nothing, nothing, None)) == 0
    assert len(history_features(frame([1], account_id="a", policy_id="p"), nothing, None)) == 1


def test_a_hundred_thousand_decisions_are_quick():
    """Ten times as many take some ten times as long; the bar leaves room for a busy machine."""
    n, rng = 100_000, np.random.default_rng(0)
    log = frame(list(rng.uniform(0, 180, 1)) * n, account_id=rng.integers(0, 5000, n).astype(str),
                policy_id=rng.integers(0, 12, n).astype(str), market=rng.integers(0, 9, n).astype(str),
                moderator_version=rng.integers(0, 9, n).astype(str))  # fmt: skip
    log["decided_at"] = START + pd.to_timedelta(rng.uniform(0, 180, n), unit="D")
    began = time.process_time()
    told = HistoryIndex(log, None).columns(log)
    assert told.shape == (n, 77)
    assert time.process_time() - began < 3
