"""Roles of docs/ledger.md on a real PostgreSQL: each may do its commands, and nothing else."""

import re
import shutil
from functools import partial

import pandas as pd
import pytest

from errdetect.config import load_config
from errdetect.data.pseudonyms import KEY_VARIABLE
from errdetect.errors import DataError
from errdetect.ledger.ledger import open_ledger
from errdetect.workflows.estimate import estimate
from errdetect.workflows.export import export
from errdetect.workflows.find_reviewer import accept_new_key, find_reviewer
from errdetect.workflows.forget import forget
from errdetect.workflows.ingest import ingest
from errdetect.workflows.plan_audit import plan_audit
from errdetect.workflows.proposals import proposals
from errdetect.workflows.remediate import remediate
from errdetect.workflows.report import report
from errdetect.workflows.score import score
from errdetect.workflows.trace import trace

SCHEMA = "roles"
#: What each role may do; everything else ends in one message.
MAY = {
    "scorer": {"score", "estimate", "export", "reviewer"},
    "intake": {"ingest", "reviewer", "new key"},
    "analyst": {"estimate", "report", "export", "reviewer", "trace"},
}


@pytest.fixture(scope="module")
def place(market, trained, tmp_path_factory):
    """A project of its own, with the model of the others."""
    out = tmp_path_factory.mktemp("roles")
    for name in ("config.yaml", "decisions.parquet", "reviews.parquet", "policies.yaml"):
        shutil.copy(market / name, out / name)
    shutil.copytree(market / "models", out / "models")
    reviews = pd.read_parquet(out / "reviews.parquet")
    reviews.iloc[::10].to_parquet(out / "finished.parquet")
    decisions = pd.read_parquet(out / "decisions.parquet")
    decisions.iloc[-2_000:-1_000].to_parquet(out / "first.parquet")
    decisions.iloc[-1_000:].to_parquet(out / "second.parquet")
    return out


@pytest.fixture(scope="module")
def connect(postgres_server):
    """Return the address of the schema for a role."""
    import psycopg

    uri = postgres_server.get_uri()
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {SCHEMA}")

    def address(role=None):
        mine = uri if role is None else re.sub(r"//[^@]*@", f"//errdetect_{role}@", uri)
        return f"{mine}&options=-csearch_path%3D{SCHEMA}"

    return address


@pytest.fixture(scope="module")
def owned(place, connect, repo):
    """A project whose ledger is in use, with the roles that the docs' SQL makes."""
    import psycopg

    config = load_config(place / "config.yaml", _settings(connect()))
    score(config, decisions=str(place / "first.parquet"), out=place / "first", budget=30)
    ingest(config, str(place / "finished.parquet"))
    report(config, place / "report")
    page = (repo / "docs/ledger.md").read_text(encoding="utf-8")
    (statements,) = re.findall(r"^```sql\n(.*?)^```", page, re.M | re.S)
    with psycopg.connect(connect(), autocommit=True) as connection:
        connection.execute(f"GRANT USAGE ON SCHEMA {SCHEMA} TO PUBLIC")
        connection.execute(statements)
        connection.execute(
            "INSERT INTO errdetect_proposals (proposal_id, state, created_at, updated_at) "
            "VALUES ('P-1', 'proposed', now(), now())"
        )
    yield config
    with psycopg.connect(connect(), autocommit=True) as connection:
        connection.execute("SET lock_timeout = '30s'")
        for role in MAY:
            connection.execute(f"DROP OWNED BY errdetect_{role}; DROP ROLE errdetect_{role}")


def _settings(url):
    return [f"ledger.url={url}", "report.explained=20"]


def _command(verb, config, place, out):
    """Return the command as a call."""
    name = pd.read_parquet(place / "reviews.parquet")["reviewer_id"].dropna().iloc[0]
    fresh = pd.read_parquet(place / "reviews.parquet").iloc[5:9]
    fresh.assign(review_id=f"{out.name}-" + fresh["review_id"]).to_parquet(out / "late.parquet")
    people = {"by": "Ana", "approved_by": "Ben"}
    score_ = partial(score, config, decisions=str(place / "second.parquet"), out=out / "s")
    return {
        "score": partial(score_, budget=20),
        "ingest": partial(ingest, config, str(out / "late.parquet")),
        "estimate": partial(estimate, config, out / "e"),
        "report": partial(report, config, out / "r"),
        "export": partial(export, config, "jsonl", out / "q.jsonl"),
        "plan-audit": partial(plan_audit, config, out / "a", budget=40),
        "remediate": partial(remediate, config, out / "m", apply=True, **people),
        "proposals": partial(proposals, config, reject="P-1", by="Ana"),
        "forget": partial(forget, config, reviewer=name),
        "reviewer": partial(find_reviewer, config, name),
        "new key": partial(accept_new_key, config),
        "trace": partial(trace, config, "1"),
    }[verb]


VERBS = [
    "score", "ingest", "estimate", "report", "export", "plan-audit", "remediate",
    "proposals", "forget", "reviewer", "new key", "trace",
]  # fmt: skip


def _content(url):
    with open_ledger(url) as ledger:
        return {
            name: getattr(ledger, name)().to_json()
            for name in ("runs", "scored", "queued_decisions", "reviews", "draws", "remediations",
                         "proposals", "history")
        }  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("role", sorted(MAY))
def test_a_role_does_its_commands_and_nothing_else(
    role, verb, owned, place, connect, tmp_path, monkeypatch
):
    config = load_config(place / "config.yaml", _settings(connect(role)))
    if verb == "new key":
        monkeypatch.setenv(KEY_VARIABLE, "ab" * 32)
    before = _content(connect())
    call = _command(verb, config, place, tmp_path)
    if verb in MAY[role]:
        call()
        changed = {n for n, was in before.items() if _content(connect())[n] != was}
        writes = {"score": {"runs", "scored", "queued_decisions", "history"},
                  "ingest": {"reviews", "history"}, "new key": {"history"}}  # fmt: skip
        assert changed <= writes.get(verb, set())
        assert bool(changed) == (verb in writes)
        if verb == "new key":
            monkeypatch.delenv(KEY_VARIABLE)
            accept_new_key(load_config(place / "config.yaml", _settings(connect())))
        return
    with pytest.raises(DataError, match=r"permission denied|read-only|row-level security") as error:
        call()
    assert "errdetect_" in str(error.value) or "read-only" in str(error.value)
    assert _content(connect()) == before


def test_a_report_by_an_analyst_says_what_is_not_recorded(owned, place, connect, tmp_path):
    config = load_config(place / "config.yaml", _settings(connect("analyst")))
    page = report(config, tmp_path / "r").files["report"].read_text(encoding="utf-8")
    assert "ledger could not be extended" in page


@pytest.mark.parametrize("role", sorted(MAY))
def test_no_role_changes_or_removes_what_is_recorded(role, owned, connect):
    import psycopg

    with open_ledger(connect()) as ledger:
        tables = [f"errdetect_{n}" for n in ("runs", "queued", "reviews", "audits", "draws",
                  "remediations", "proposals", "events", "version")]  # fmt: skip
        assert ledger.fingerprint() is not None
    with psycopg.connect(connect(role), autocommit=True) as connection:
        for table in tables:
            for statement in (f"DELETE FROM {table}", f"TRUNCATE {table}", f"DROP TABLE {table}"):
                with pytest.raises(
                    psycopg.Error, match=r"permission denied|must be owner|read-only"
                ):
                    connection.execute(statement)
        with pytest.raises(psycopg.Error, match=r"permission denied|read-only"):
            connection.execute("CREATE TABLE mine (n int)")
        with pytest.raises(psycopg.Error, match=r"permission denied|read-only"):
            connection.execute("UPDATE errdetect_reviews SET verdict = 'upheld'")
