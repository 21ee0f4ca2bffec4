"""Counted on disk, a log gives the same columns as in memory, however it is cut."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from errdetect.features import counted_log
from errdetect.features.counted_log import CountedLog
from errdetect.features.point_in_time_features import (
    HISTORY_KEYS,
    WINDOWS,
    PointInTimeFeatures,
)
from errdetect.features.similar_content import SIMILAR_COLUMNS

START = pd.Timestamp("2026-01-01", tz="UTC")
TEXTS = ["Fake bag, cheap!", "fake BAG cheap", "Gold ring as new", "gold ring as new!!", None, "7"]
NAMES = [
    f"history_{key}_{what}_{w}d"
    for key in HISTORY_KEYS
    for w in WINDOWS
    for what in ("decisions", "enforced_rate", "reviewed", "error_rate")
]
NAMES += [f"history_{key}_{what}_90d" for key in HISTORY_KEYS
          for what in ("errors", "complaints", "complaint_error_rate")]  # fmt: skip
NAMES += ["history_moderator_version_days", "history_policy_change_days"]
NAMES += [f"similar_{kind}_{what}" for kind in ("text", "near", "item", "image_hash", "sound_hash")
          for what in SIMILAR_COLUMNS]  # fmt: skip


def made_up(rng, n):
    decisions = pd.DataFrame(
        {
            "decision_id": [f"d{i}" for i in range(n)],
            "decided_at": START + pd.to_timedelta(rng.integers(0, 4000, n), unit="h"),
            "item_id": pd.Series(rng.choice(["i", "j", "k", "1"], n), dtype="str"),
            "account_id": pd.Series(rng.choice(["a", "b", "", None], n), dtype="str"),
            "policy_id": pd.Series(rng.choice(["p", "q"], n), dtype="str"),
            "market": pd.Series(rng.choice(["DE", "FR", None], n), dtype="str"),
            "moderator": pd.Series(rng.choice(["m", "x"], n), dtype="str"),
            "moderator_version": pd.Series(rng.choice(["1", "2", None], n), dtype="str"),
            "enforced": rng.random(n) < 0.5,
            "text": pd.Series(rng.choice(TEXTS, n), dtype="str"),
            "image_hash": pd.Series(rng.choice(["aa", "bb", None], n), dtype="str"),
            "sound_hash": rng.choice([0.5, 3.0, np.nan], n),
        }
    )
    rows = rng.integers(0, n, n)
    reviews = pd.DataFrame(
        {
            "review_id": [f"r{i}" for i in range(n)],
            "decision_id": decisions["decision_id"].to_numpy(object)[rows],
            "reviewed_at": decisions["decided_at"].to_numpy("datetime64[us]")[rows]
            + pd.to_timedelta(rng.integers(0, 900, n), unit="h"),
            "source": rng.choice(["audit", "appeal", "re_review", "golden", "adjudication"], n),
            "verdict": rng.choice(["upheld", "overturned", "relabelled"], n),
            "reviewer_id": rng.choice(["u", "v"], n),
        }
    )
    reviews["reviewed_at"] = pd.to_datetime(reviews["reviewed_at"], utc=True)
    return decisions, reviews


def both(folder, names, frames, reviews):
    one = PointInTimeFeatures.for_model_columns(names, [f.copy() for f in frames], reviews)
    return one, CountedLog(names, [f.copy() for f in frames], reviews, Path(folder))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 60),
    cut=st.integers(0, 60),
    part=st.sampled_from([1, 7, 10**6]),
    read=st.sampled_from([1, 5, 10**6]),
    some=st.booleans(),
)
def test_equal_to_the_index_in_memory(monkeypatch, seed, n, cut, part, read, some):
    monkeypatch.setattr(counted_log, "_PART_ROWS", part)
    monkeypatch.setattr(counted_log, "_READ_ROWS", read)
    rng = np.random.default_rng(seed)
    every, reviews = made_up(rng, n)
    names = list(rng.choice(NAMES, 12, replace=False)) if some else NAMES
    frames = [every.iloc[:cut], every.iloc[cut:]]
    frames = [frame.reset_index(drop=True) for frame in frames if len(frame)]
    if cut % 3 == 1:  # some rows come again, others later than the first time
        again = every.iloc[: max(1, n // 3)].copy()
        again["decided_at"] += pd.to_timedelta(cut % 2, unit="D")
        frames.append(again)
    if cut % 3 == 2 and len(frames) > 1:  # a column that only some files have
        frames[0] = frames[0].drop(columns=["market", "image_hash"])
    with tempfile.TemporaryDirectory() as folder:
        memory, disk = both(folder, names, frames, reviews)
        start = 0
        for frame in frames:
            rows = start + np.arange(len(frame))
            pd.testing.assert_frame_equal(
                disk.add(frame, rows), memory.add(frame, rows), check_exact=True
            )
            start += len(frame)
        mixed = frames[0].sample(frac=0.5, random_state=seed)
        pd.testing.assert_frame_equal(disk.add(mixed), memory.add(mixed), check_exact=True)


def test_without_reviews_and_without_such_features(tmp_path):
    every, _ = made_up(np.random.default_rng(1), 20)
    memory, disk = both(tmp_path / "a", NAMES, [every], None)
    pd.testing.assert_frame_equal(disk.add(every), memory.add(every), check_exact=True)
    assert CountedLog(["price"], iter([every]), None, tmp_path / "b").add(every) is every
    assert not (tmp_path / "b").exists()


def test_a_decision_that_was_not_counted_is_refused(tmp_path):
    every, reviews = made_up(np.random.default_rng(2), 20)
    past = CountedLog(NAMES, [every], reviews, tmp_path)
    with pytest.raises(KeyError, match="d99"):
        past.add(every.head(1).assign(decision_id="d99"))
