"""Neither threads nor the size of parts changes what score writes."""

from datetime import UTC, datetime

import pandas as pd

from errdetect.config import load_config
from errdetect.data import frame_store
from errdetect.workflows.score import score


def test_parts_and_threads_change_nothing(market, trained, tmp_path, monkeypatch):
    assert trained is not None
    found = []
    for threads, rows in ((1, 5_000), (3, 700)):
        monkeypatch.setattr(frame_store, "_ROWS", rows)
        options = [f"train.threads={threads}", "queue.record=false"]
        config = load_config(market / "config.yaml", options)
        out = tmp_path / str(threads)
        score(
            config,
            market / "decisions.parquet",
            out,
            budget=40,
            scored_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        found.append(
            [pd.read_parquet(out / f"{n}.parquet") for n in ("scores", "queue", "explanations")]
        )
    for one, other in zip(*found, strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)
