"""Ledgers in SQLite and in a PostgreSQL that the tests start themselves."""

import itertools
from datetime import UTC, datetime

import pandas as pd
import pytest

from errdetect.ledger.ledger import open_ledger
from errdetect.ledger.run_records import ScoringRun

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
_NUMBERS = itertools.count()


@pytest.fixture
def postgres_url(postgres_server) -> str:
    """An empty schema of its own in PostgreSQL."""
    import psycopg

    name = f"ledger_{next(_NUMBERS)}"
    with psycopg.connect(postgres_server.get_uri(), autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    return f"{postgres_server.get_uri()}&options=-csearch_path%3D{name}"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    return request.getfixturevalue("postgres_url")


@pytest.fixture
def ledger(url):
    with open_ledger(url) as opened:
        yield opened


@pytest.fixture
def make_run():
    """A run with its queue and its scores."""

    def make(name="r1", queued=("d1", "d2"), scored=("d1", "d2", "d3"), hours=0, **columns):
        at = NOW + pd.Timedelta(hours=hours)
        queue = pd.DataFrame(
            {
                "decision_id": list(queued),
                "rank": range(1, len(queued) + 1),
                "p_error": 0.5,
                "error_kind": "wrongful_action",
                "expected_harm": 1.5,
                "arm": "ranked",
                "inclusion_probability": 1.0,
                "pool": "any",
                "reasons": [[{"code": "C", "text": "why", "contribution": 0.25}] for _ in queued],
                "policy_id": "spam",
                "suggested_policy_id": None,
                "model_version": "3",
                "run_id": name,
                "scored_at": pd.Timestamp(at),
            }
        ).assign(**columns)
        chance = [1.0 if one in queued else 0.25 for one in scored]
        scores = pd.DataFrame({"decision_id": list(scored), "inclusion_probability": chance})
        return ScoringRun(name, "3", at, {"budget": len(queued)}), queue, scores

    return make


@pytest.fixture
def make_reviews():
    """Finished reviews, one a decision."""

    def make(ids=("d1", "d2"), hours=24, **columns):
        return pd.DataFrame(
            {
                "review_id": [f"rev-{one}" for one in ids],
                "decision_id": list(ids),
                "reviewed_at": pd.Timestamp(NOW) + pd.Timedelta(hours=hours),
                "source": "re_review",
                "verdict": "overturned",
                "correct_policy_id": None,
                "reviewer_id": "reviewer-0123456789ab",
                "site": None,
                "inclusion_probability": None,
                "expected": None,
                "minutes": 2.5,
            }
        ).assign(**columns)

    return make
