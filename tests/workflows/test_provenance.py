"""describe_run: what is digested, how inputs are named, and what is never recorded."""

import hashlib
import json
from datetime import UTC, datetime

import pandas as pd
import pytest

from errdetect import __version__
from errdetect.config import Config, load_config
from errdetect.data.provenance import canonical_json
from errdetect.errors import ConfigError, DataError
from errdetect.workflows.run_description import (
    champion_version,
    data_digests,
    describe_run,
    describe_step,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def place(tmp_path):
    """A config with a folder of parts, a file of reviews beside it and a catalogue."""
    home = tmp_path / "home"
    (home / "log" / "market=DE").mkdir(parents=True)
    (home / "log" / "market=DE" / "a.csv").write_text("decision_id\n1\n")
    (home / "log" / "b.csv").write_text("decision_id\n2\n")
    (tmp_path / "reviews.csv").write_text("review_id\n1\n")
    (home / "policies.yaml").write_text("policies: []\n")
    (home / "config.yaml").write_text(
        "version: 1\n"
        "data: {decisions: log, reviews: ../reviews.csv, policies: policies.yaml}\n"
        "ledger: {url: 'sqlite:///none.db'}\n"
    )
    return home


def test_every_input_is_named_from_the_config_and_digested(place):
    config = load_config(place / "config.yaml")
    run = describe_run(config, "estimate", {"by": ["market"]}, seed=3, intake=[{"n": 2}])
    named = {key: [one["source"] for one in found] for key, found in run.data.items()}
    assert named == {
        "decisions": ["log/b.csv", "log/market=DE/a.csv"],
        "reviews": ["../reviews.csv"],
    }
    (reviews,) = run.data["reviews"]
    assert reviews["sha256"] == hashlib.sha256(b"review_id\n1\n").hexdigest()
    assert reviews["bytes"] == 12
    assert run.policies_digest == hashlib.sha256(b"policies: []\n").hexdigest()
    assert run.config_digest == hashlib.sha256(canonical_json(run.config).encode()).hexdigest()
    assert (run.version, run.seed, run.model_version, run.as_of) == (__version__, 3, None, None)
    assert run.intake == [{"n": 2}]
    assert str(place) not in run.to_json()


def test_period_and_moment_come_from_the_tables(place):
    config = load_config(place / "config.yaml")
    days = pd.to_datetime(["2026-01-03", "2026-01-01"], utc=True)
    decisions = pd.DataFrame({"decision_id": ["a", "b"], "decided_at": days})
    reviews = pd.DataFrame({"reviewed_at": pd.to_datetime(["2026-02-01"], utc=True)})
    run = describe_run(config, "estimate", {}, decisions=decisions, reviews=reviews)
    assert run.period == (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC))
    assert run.as_of == datetime(2026, 2, 1, tzinfo=UTC)
    fixed = load_config(place / "config.yaml", ["labels.as_of=2026-01-02"])
    run = describe_run(fixed, "estimate", {}, decisions=decisions, reviews=reviews)
    assert run.as_of == datetime(2026, 1, 2, tzinfo=UTC)
    assert run.arguments == {"set": ["labels.as_of=2026-01-02"]}


def test_very_many_files_have_one_digest(place):
    for i in range(250):
        (place / "log" / f"c{i:03}.csv").write_text(f"decision_id\n{i}\n")
    config = load_config(place / "config.yaml")
    (found,) = data_digests(config, {}, known_at=NOW)["decisions"]
    assert found["files"] == 252
    (place / "log" / "c199.csv").write_text("decision_id\nx\n")
    (other,) = data_digests(config, {}, known_at=NOW)["decisions"]
    assert other["sha256"] != found["sha256"]


def test_a_file_that_two_inputs_name_is_read_once(place, monkeypatch):
    read = []

    def digest(path):
        read.append(path.name)
        return "0"

    monkeypatch.setattr("errdetect.workflows.run_description.digest_file", digest)
    config = load_config(place / "config.yaml")
    found = data_digests(config, {"decisions": str(place / "log" / "b.csv")}, known_at=NOW)
    assert found["scored"][0]["source"] == "log/b.csv"
    assert sorted(read) == ["a.csv", "b.csv", "reviews.csv"]


def test_addresses_keep_their_secrets(place):
    secret = "pa%40ss::wo/rd"
    url = f"postgresql://anna:{secret}@host/shop"
    config = load_config(
        place / "config.yaml",
        [f"ledger.url={url}", "report.title=Weekly", f"data.reviews={{url: '{url}', table: r}}"],
    )
    run = describe_step(config, "score", {"decisions": f"{url}::public.decisions"})
    record = run.to_json() + json.dumps(run.config)
    for part in (secret, "pa%40ss", "wo/rd", "anna"):
        assert part not in record
    assert run.arguments["set"] == ["report.title=Weekly"]
    assert run.arguments["set_not_recorded"] == ["ledger.url", "data.reviews"]
    other = load_config(place / "config.yaml", [f"ledger.url={url.replace('anna', 'bob')}"])
    same = load_config(place / "config.yaml", [f"ledger.url={url}"])
    digests = {describe_step(one, "score", {}).config_digest for one in (other, same)}
    assert len(digests) == 1


def test_the_digest_follows_every_key(place):
    base = describe_step(load_config(place / "config.yaml"), "score", {}).config_digest
    for change in ("train.seed=1", "queue.budget=3", "estimate.correction=none", "data.drop=[x]"):
        other = describe_step(load_config(place / "config.yaml", [change]), "score", {})
        assert other.config_digest != base, change
    same = load_config(place / "config.yaml", ["train.seed=0"])
    assert describe_step(same, "score", {}).config_digest == base


def test_an_input_that_is_gone_is_told(place):
    config = load_config(place / "config.yaml")
    (place.parent / "reviews.csv").unlink()
    with pytest.raises(DataError, match="No file matches"):
        describe_run(config, "estimate", {})


def test_a_registry_that_cannot_be_read_has_no_version(place):
    config = load_config(place / "config.yaml")
    assert champion_version(config) is None
    (place / "models").mkdir()
    (place / "models" / "mlflow.db").write_text("no database")
    assert champion_version(config) is None


def test_a_file_cannot_name_overrides(place):
    file = place / "config.yaml"
    file.write_text(file.read_text() + "overrides: [a]\n")
    with pytest.raises(ConfigError, match="overrides is not a key of the config"):
        load_config(file)
    assert Config(version=1, data={"decisions": "d"}).overrides == ()
