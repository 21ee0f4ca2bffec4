"""Labelled decisions with a cause of error that can be learnt."""

import numpy as np
import pandas as pd
import pytest

from errdetect.model.detector import Examples


def make_examples(n: int = 1500, seed: int = 0, *, text: bool = True) -> Examples:
    """Decisions of a moderator that overlooks one category and falls for a trap word."""
    rng = np.random.default_rng(seed)
    category = rng.choice(["toys", "watches", "shoes"], n)
    trap = rng.random(n) < 0.3
    violates = rng.random(n) < np.where(category == "watches", 0.4, 0.15)
    seen = violates & ~((category == "watches") & (rng.random(n) < 0.7)) | trap & (
        rng.random(n) < 0.3
    )
    score = np.clip(0.3 + 0.4 * seen + rng.normal(0, 0.12, n), 0, 1)
    enforced = score > 0.5
    frame = pd.DataFrame(
        {
            "decision_id": [f"d{i:05}" for i in range(n)],
            "decided_at": pd.date_range("2026-01-01", periods=n, freq="h", tz="UTC"),
            "policy_id": rng.choice(["fake", "unsafe"], n),
            "action": np.where(enforced, "remove", "approve"),
            "moderator": "m1",
            "category": category,
            "score": score,
            "threshold": 0.5,
            "enforced": enforced,
        }
    )
    if text:
        frame["text"] = [
            f"nice {c} {'replica' if t else 'original'}"
            for c, t in zip(category, trap, strict=True)
        ]
    error = (violates != enforced).astype(float)
    return Examples(frame, error, violates.astype(float), np.ones(n), np.ones(n))


@pytest.fixture(scope="session")
def examples() -> Examples:
    return make_examples()
