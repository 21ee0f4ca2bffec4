"""The kept log: the same features, decisions and counts as from scratch, whatever happened to it."""

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errdetect.config import load_config
from errdetect.features.feature_matrix import Encoding
from errdetect.features.point_in_time_features import PointInTimeFeatures
from errdetect.workflows.forget import forget
from errdetect.workflows.log_state import open_log_state
from errdetect.workflows.score_batches import ScoringSource

WANTED = (
    *(f"history_{key}_decisions_7d" for key in ("account", "policy", "account_policy")),
    *("history_account_error_rate_90d", "history_moderator_version_days"),
    *(f"similar_{kind}_{what}" for kind in ("text", "near", "item", "image_hash")
      for what in ("decisions", "violates")),
)  # fmt: skip
ENCODING = Encoding((), {"market": ("DE", "FR")}, text=True, extra=WANTED)
TEXTS = ["Fake bag, cheap!", "fake BAG cheap", "Gold ring as new", None, "red shoe"]


def _decisions(rng, n, start):
    at = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(start + np.arange(n) // 2, "h")
    return pd.DataFrame({
        "decision_id": [f"d{start + i}" for i in range(n)], "decided_at": at,
        "item_id": rng.choice(["i", "j", "k"], n), "account_id": rng.choice(["a", "b", None], n),
        "policy_id": rng.choice(["spam", "scam"], n), "action": rng.choice(["approve", "remove"], n),
        "market": rng.choice(["DE", "FR"], n), "moderator": "m",
        "moderator_version": rng.choice(["1", "2"], n), "text": rng.choice(TEXTS, n),
        "image_hash": rng.choice(["aa", "bb", None], n),
    })  # fmt: skip


def _project(folder: Path, parts, batch, more="") -> Path:
    (folder / "log").mkdir(exist_ok=True)
    for i, part in enumerate(parts):
        part.to_parquet(folder / "log" / f"{i:02}.parquet")
    batch.to_parquet(folder / "batch.parquet")
    place = folder / "config.yaml"
    place.write_text(f"version: 1\ndata: {{decisions: log/*.parquet, max_rejected: 0.9}}\n{more}")
    return place


def _reviews(decisions):
    some = decisions.iloc[::2]
    return pd.DataFrame({
        "review_id": [f"r{i}" for i in some["decision_id"]], "decision_id": some["decision_id"],
        "reviewed_at": some["decided_at"] + pd.Timedelta("1h"), "source": "audit",
        "verdict": np.where(np.arange(len(some)) % 2, "upheld", "overturned"),
    })  # fmt: skip


def _run(place: Path, reviews, keep=True):
    config = load_config(place, [f"state.keep={str(keep).lower()}"])
    state = open_log_state(config, ENCODING)
    ids = pd.Index(reviews["decision_id"].unique())
    with tempfile.TemporaryDirectory() as folder:
        source = ScoringSource(
            config, str(place.parent / "batch.parquet"), ids, Path(folder), ENCODING, state
        )
        past = PointInTimeFeatures.for_model_columns(
            ENCODING.names, source.log(), reviews, slim=source.slim, sink=source.keep_slim
        )
        source.walk()
        source.keep()
        found = pd.concat([past.add(*source.part(i)) for i in range(source.n_parts)])
        log = pd.concat(list(source.decided()), ignore_index=True)
        rejections = source.rejections["log"]
    counts = (rejections.n_rows, rejections.n_rejected, rejections.n_copies, rejections.reasons)
    lost = pd.concat(rejections.rejected) if rejections.rejected else pd.DataFrame()
    return (found, log, source.reviewed(), lost.reset_index(drop=True)), counts, source


def _assert_same(one, another):
    for left, right in zip(one[0], another[0], strict=True):
        pd.testing.assert_frame_equal(left, right, check_exact=True)
    assert one[1] == another[1]
    assert one[2].places() == another[2].places()
    notes = [[n for n in run[2].notes() if "rebuilt" not in n] for run in (one, another)]
    assert notes[0] == notes[1]


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    sizes=st.lists(st.integers(1, 25), min_size=1, max_size=4),
    bad=st.booleans(),
)
def test_every_night_gives_what_reading_all_gives(seed, sizes, bad):
    rng = np.random.default_rng(seed)
    starts = np.cumsum([0, *sizes])
    parts = [_decisions(rng, n, s) for n, s in zip(sizes, starts, strict=False)]
    if bad:
        parts[0].loc[len(parts[0])] = parts[0].iloc[0].to_dict() | {
            "decision_id": "x",
            "action": "?",
        }
    batch = _decisions(rng, 7, int(starts[-1]))
    reviews = _reviews(pd.concat([*parts, batch]))
    with tempfile.TemporaryDirectory() as folder:
        for night in range(1, len(parts) + 1):
            place = _project(Path(folder), parts[:night], batch)
            kept, anew = _run(place, reviews), _run(place, reviews, keep=False)
            _assert_same(kept, anew)
        again = _run(place, reviews)
        _assert_same(again, anew)
        assert again[2]._stores["log"].sizes == ()  # nothing of the log was read


@pytest.fixture
def market(tmp_path):
    rng = np.random.default_rng(3)
    parts = [_decisions(rng, 20, 0), _decisions(rng, 15, 20)]
    batch = _decisions(rng, 9, 35)
    place = _project(tmp_path, parts, batch)
    reviews = _reviews(pd.concat([*parts, batch]))
    _run(place, reviews)
    return place, reviews, parts, batch


def _damage(state: Path, how: str) -> None:
    if how == "manifest":
        (state / "state.json").write_text("{")
    elif how == "foreign":
        told = json.loads((state / "state.json").read_text())
        (state / "state.json").write_text(json.dumps(told | {"parts": [{"name": "../x"}]}))
    else:
        place = next(state.glob(f"*.{how}"))
        place.write_bytes(place.read_bytes()[:-9] + b"x" * 9)


@pytest.mark.parametrize("how", ["manifest", "foreign", "rows.arrow", "keys.arrow", "ids.npy"])
def test_a_damaged_state_is_named_and_made_anew(market, how):
    place, reviews, *_ = market
    state = place.parent / "errdetect.state"
    _damage(state, how)
    found = _run(place, reviews)
    assert any("was rebuilt: its file" in note and "damaged" in note for note in found[2].notes())
    for left, right in zip(found[0], _run(place, reviews, keep=False)[0], strict=True):
        pd.testing.assert_frame_equal(left, right)
    assert _run(place, reviews)[2].notes() == []


def test_a_log_that_changed_is_read_anew(market):
    place, reviews, parts, _ = market
    parts[0].assign(market="FR").to_parquet(place.parent / "log" / "00.parquet")
    found = _run(place, reviews)
    assert any("the log has changed" in note and "00.parquet" in note for note in found[2].notes())
    assert set(found[0][1]["market"].iloc[:20]) == {"FR"}


def test_a_new_file_that_repeats_an_id_or_is_written_otherwise_is_read_with_all(market):
    place, reviews, parts, _ = market
    repeated = parts[0].head(2).assign(market="FR")
    repeated.to_parquet(place.parent / "log" / "02.parquet")
    found, anew = _run(place, reviews), _run(place, reviews, keep=False)
    assert any("written in another way" in note for note in found[2].notes())
    assert found[1] == anew[1]
    assert found[1][1] + found[1][2] > 0
    other = _decisions(np.random.default_rng(9), 4, 90).assign(market=[1.5, 2.0, 3.0, 4.0])
    other.to_parquet(place.parent / "log" / "02.parquet")
    found, anew = _run(place, reviews), _run(place, reviews, keep=False)
    for left, right in zip(found[0], anew[0], strict=True):
        pd.testing.assert_frame_equal(left, right)


def test_only_new_files_are_read(market):
    place, reviews, *_ = market
    new = _decisions(np.random.default_rng(5), 15, 60)
    new.to_parquet(place.parent / "log" / "02.parquet")
    found = _run(place, reviews)
    assert found[2].notes() == []
    assert found[2]._stores["log"].sizes == (15,)
    _assert_same(found, _run(place, reviews, keep=False))


def test_only_the_owner_can_read_it_and_nothing_else_lies_around(market):
    state = market[0].parent / "errdetect.state"
    assert state.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in state.iterdir()} == {0o600}
    assert [p.name for p in market[0].parent.iterdir() if p.name.startswith(".errdetect")] == []


def test_a_state_that_cannot_be_written_is_a_note(market):
    place, reviews, *_ = market
    shutil.rmtree(place.parent / "errdetect.state")
    (place.parent / "errdetect.state").write_text("a file")
    notes = _run(place, reviews)[2].notes()
    assert any("could not be kept" in note for note in notes)


def test_two_runs_at_once_leave_one_that_can_be_used(market):
    place, reviews, *_ = market
    _decisions(np.random.default_rng(5), 6, 50).to_parquet(place.parent / "log" / "02.parquet")
    config = load_config(place)
    first, second = (open_log_state(config, ENCODING) for _ in range(2))
    ids = pd.Index(reviews["decision_id"].unique())
    for state in (first, second):
        with tempfile.TemporaryDirectory() as folder:
            source = ScoringSource(
                config, str(place.parent / "batch.parquet"), ids, Path(folder), ENCODING, state
            )
            PointInTimeFeatures.for_model_columns(
                ENCODING.names, source.log(), reviews, slim=source.slim, sink=source.keep_slim
            )
            source.keep()
            assert source.notes() == []
    _assert_same(_run(place, reviews), _run(place, reviews, keep=False))


def test_forget_removes_it(market):
    forget(load_config(market[0]), account="a")
    assert not (market[0].parent / "errdetect.state").exists()
