import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from errdetect.features.similar_content import similar_features, with_content_keys

START = pd.Timestamp("2026-01-01", tz="UTC")
ANYONE = ["audit", "re_review", "appeal", "report", "adjudication"]
NAMES = ("reviewed", "violates", "wrong", "days", "decisions", "enforced_rate")
checked = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def evidence(rows, words, row, column, verdict):
    """What one number says about one decision, in plain loops."""
    t = row["decided_at"]
    alike = [other for other in rows if other[column] == row[column]]
    before = [other["enforced"] for other in alike if other["decided_at"] < t]
    stands = [(verdict(words, other, t, ANYONE), other["enforced"]) for other in alike]
    found = [(*v, acted) for v, acted in stands if v is not None]
    violates = [1 - turned if acted else turned for _, _, turned, acted in found]
    newest = max((f[0] for f in found), default=None)
    return [
        len(found),
        np.mean(violates) if found else np.nan,
        np.mean([f[1] for f in found]) if found else np.nan,
        (t - newest).total_seconds() / 86400 if found else np.nan,
        len(before),
        np.mean(before) if before else np.nan,
    ]


@checked
@given(data=st.data())
def test_equal_to_plain_loops(data, logs, brute_verdict):
    log, reviews = data.draw(logs)
    told = similar_features(log, log, reviews)
    keyed = with_content_keys(log)
    rows, words = keyed.to_dict("records"), reviews.to_dict("records")
    kinds = {"text": ["text_key"], "near": [c for c in keyed if c.startswith("near_key_")],
             "item": ["item_id"], "image_hash": ["image_hash"]}  # fmt: skip
    for kind, columns in kinds.items():
        shared = any(keyed[c].dropna().duplicated().any() for c in columns)
        assert (f"similar_{kind}_days" in told) == shared
        if not shared:
            continue
        mine = told[[f"similar_{kind}_{name}" for name in NAMES]].to_numpy()
        for i, row in enumerate(rows):
            if pd.isna(row[columns[0]]):
                assert np.isnan(mine[i]).all()
                continue
            each = [evidence(rows, words, row, c, brute_verdict) for c in columns]
            np.testing.assert_allclose(mine[i], max(each, key=lambda e: (e[0], e[4])), rtol=1e-9)


@checked
@given(data=st.data(), seed=st.integers(0, 10**6))
def test_the_order_of_rows_does_not_matter(data, seed, logs):
    log, reviews = data.draw(logs)
    told = similar_features(log, log, reviews)
    mixed = log.sample(frac=1, random_state=seed)
    again = similar_features(mixed, log, reviews.sample(frac=1, random_state=seed))
    pd.testing.assert_frame_equal(again, told.loc[mixed.index])
    pd.testing.assert_frame_equal(similar_features(log, mixed, reviews), told)


@checked
@given(data=st.data())
def test_what_comes_later_changes_nothing_before_it(data, logs):
    log, reviews = data.draw(logs)
    cut = data.draw(st.sampled_from(sorted(set(log["decided_at"]))))
    early = log[log["decided_at"] <= cut]
    before = similar_features(early, early, reviews[reviews["reviewed_at"] < cut])
    after = similar_features(early, log, reviews)
    known = [name for name in before if name in after]
    assert set(known) == set(before)
    pd.testing.assert_frame_equal(before, after[known])
    new = after.drop(columns=known)  # kinds that nothing shared by then
    assert not (new.filter(regex="_(reviewed|decisions)$") > 0).any(axis=None)


def planted(day: float) -> pd.DataFrame:
    log = pd.DataFrame(
        {
            "decision_id": ["d0", "d1", "d2"],
            "decided_at": [START, START + pd.Timedelta(days=5), START + pd.Timedelta(days=5)],
            "enforced": [False, True, False],
            "item_id": ["i", "j", "k"],
            "text": ["Replica watch, box and papers", "replica WATCH (box and papers)", "A lamp"],
        }
    )
    reviews = pd.DataFrame(
        {"review_id": ["r"], "decision_id": "d0", "reviewed_at": [START + pd.Timedelta(days=day)],
         "source": "appeal", "verdict": "overturned"}
    )  # fmt: skip
    return similar_features(log, log, reviews)


def test_a_planted_verdict_from_after_the_decision_does_not_move_it():
    assert planted(4.9).loc[1, "similar_text_violates"] == 1
    assert planted(4.9).loc[1, "similar_near_violates"] == 1
    for day in (5, 5.1):
        told = planted(day).loc[1]
        assert told["similar_text_reviewed"] == told["similar_near_reviewed"] == 0
        assert np.isnan(told["similar_text_violates"])
        assert told["similar_text_decisions"] == 1
        assert told["similar_text_enforced_rate"] == 0
    assert planted(1).loc[2, "similar_text_decisions"] == 0


def test_what_nothing_shares_is_left_out():
    assert not any("item" in name for name in planted(1))
