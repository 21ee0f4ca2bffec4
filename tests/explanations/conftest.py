"""One small detector for the tests of explanations."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from errdetect.model.bundle import ModelBundle
from errdetect.model.calibration import CalibrationCurve, Calibrator, ColumnOffsets
from errdetect.model.detector import Examples
from errdetect.model.ensemble import fit_members
from errdetect.model.ensemble_members import DEFAULT_PARAMS, FitOptions
from errdetect.model.training_data import count_texts_once, prepare_examples

WORDS = ("replica", "original", "watch", "shoe", "new", "box", "نسخة", "шуба", "靴")


def make_decisions(n: int = 600, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    score = rng.random(n)
    return pd.DataFrame(
        {
            "decision_id": [f"d{i:04}" for i in range(n)],
            "decided_at": pd.date_range("2026-01-01", periods=n, freq="h", tz="UTC"),
            "policy_id": rng.choice(["fake", "unsafe"], n),
            "market": rng.choice(["DE", "FR"], n),
            "action": np.where(score > 0.5, "remove", "approve"),
            "enforced": score > 0.5,
            "score": score,
            "threshold": 0.5,
            "price": rng.lognormal(3, 1, n).round(2),
            "text": [" ".join(rng.choice(WORDS, 5)) for _ in range(n)],
        }
    )


@pytest.fixture(scope="session")
def decisions() -> pd.DataFrame:
    return make_decisions()


@pytest.fixture(scope="session")
def bundle(decisions: pd.DataFrame) -> ModelBundle:
    """Every kind of member, side curves that bend, and an offset: all that must add up."""
    rng = np.random.default_rng(1)
    violates = decisions["text"].str.contains("replica").to_numpy(float)
    violates = np.where(rng.random(len(violates)) < 0.1, 1 - violates, violates)
    error = (violates != decisions["enforced"]).astype(float)
    one = np.ones(len(error))
    examples = Examples(decisions, error, violates, one, one)
    counted = count_texts_once(decisions, examples, leave_out=(), text=True)
    prepared = prepare_examples(examples, counted, leave_out=(), text=True, seed=0)
    rounds = {"violates": 8, "extra": 8, "extra_error": 8}
    names = {"violates", "extra", "extra_error", "additive", "text", "segment"}
    members = fit_members(prepared, names, DEFAULT_PARAMS, rounds, FitOptions())
    calibrator = Calibrator(
        "isotonic",
        (-3.0, -1.0, 0.0, 2.0, 0.02, 0.1, 0.1, 0.8),
        {"enforced": CalibrationCurve("beta", (0.7, 1.2, -0.1))},
        (ColumnOffsets("market", {"DE": 0.3}), ColumnOffsets("policy_id", {"fake": -0.2})),
    )
    return ModelBundle(prepared.detector(members), calibrator, np.empty(0, np.uint64))


@pytest.fixture(scope="session")
def here() -> Path:
    return Path(__file__).parent
