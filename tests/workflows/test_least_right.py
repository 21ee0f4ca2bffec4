"""No network unless the config asks for it, and secrets from the environment or files only."""

import shutil
import socket

import pandas as pd
import pytest
from typer.testing import CliRunner

from errdetect.cli import app
from errdetect.config import load_config
from errdetect.errors import ConfigError, mask_secrets

SECRET = "quite.Secret/7"
CONFIG = "version: 1\ndata: {decisions: d.csv}\n"


@pytest.fixture
def offline(monkeypatch):
    """Refuse every connection but those within this machine's own files."""
    tried = []

    def refuse(*given, **_):
        tried.append(given[1:])
        raise AssertionError(f"a connection to {given[1:]} was tried")

    connect = socket.socket.connect
    own = {getattr(socket, "AF_UNIX", None)}

    def checked(self, address):
        return connect(self, address) if self.family in own else refuse(self, address)

    monkeypatch.setattr(socket.socket, "connect", checked)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket.socket, "sendto", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "gethostbyname", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    return tried


def test_the_guard_sees_connections(offline):
    with pytest.raises(AssertionError, match="was tried"):
        socket.create_connection(("127.0.0.1", 9))
    with pytest.raises(AssertionError, match="was tried"):
        socket.socket().connect(("127.0.0.1", 9))
    assert len(offline) == 2


def test_no_command_of_a_default_config_opens_a_connection(
    offline, market, trained, tmp_path, monkeypatch
):
    """In one process, so that the guard holds; every command but those that only repeat others."""
    shop = tmp_path / "shop"
    shop.mkdir()
    for name in ("config.yaml", "decisions.parquet", "reviews.parquet", "policies.yaml"):
        shutil.copy(market / name, shop / name)
    shutil.copytree(market / "models", shop / "models")
    late = pd.read_parquet(shop / "reviews.parquet").head(20)
    late.assign(review_id="late-" + late["review_id"]).to_parquet(shop / "late.parquet")
    config, quick = str(shop / "config.yaml"), ["--set", "report.explained=20"]
    batch = pd.read_parquet(shop / "decisions.parquet").tail(300)
    batch.to_parquet(shop / "batch.parquet")
    small = tmp_path / "small"
    account = str(batch["account_id"].iloc[0])
    commands = [
        ["simulate", str(small), "--decisions", "2000", "--days", "40"],
        ["validate", config],
        ["train", str(small / "config.yaml"), "--set", "train.trials=0", "--set", "evaluate.bootstrap=50"],
        ["score", config, "--decisions", str(shop / "batch.parquet"), "--out", str(shop / "q")],
        ["export", config, "--format", "label-studio", "--out", str(shop / "t.json")],
        ["ingest", config, "--reviews", str(shop / "late.parquet")],
        ["estimate", config, "--out", str(shop / "e")],
        ["plan-audit", config, "--budget", "50", "--out", str(shop / "a")],
        ["report", config, "--out", str(shop / "r"), *quick],
        ["remediate", config, "--out", str(shop / "m")],
        ["proposals", config],
        ["promote", config, "--history"],
        ["trace", config, str(shop / "e")],
        ["verify", str(shop / "e"), "--config", config],
        ["reviewer", config, str(late["reviewer_id"].dropna().iloc[0])],
        ["forget", config, "--account", account],
    ]  # fmt: skip
    for words in commands:
        done = CliRunner().invoke(app, words)
        assert not isinstance(done.exception, AssertionError), (words, done.exception)
        assert done.exit_code in (0, 1), (words, done.output, done.exception)
        assert offline == [], words
    assert (shop / "r" / "report.html").exists()


@pytest.mark.parametrize(
    "line",
    [
        "ledger: {url: 'postgresql://u:${NO_SUCH}@h/d'}",
        "registry: {path: '${NO_SUCH}/models'}",
        "queue: {scores: ['a', '${NO_SUCH}/b']}",
        "report: {words: '${NO_SUCH}'}",
        "reviewers: {key: '${NO_SUCH}'}",
    ],
)
def test_an_unset_variable_is_a_fault_when_the_config_is_loaded(tmp_path, line, monkeypatch):
    (tmp_path / "c.yaml").write_text(CONFIG + line)
    with pytest.raises(
        ConfigError, match=r"the environment variable NO_SUCH must be set, got nothing\. Set it"
    ):
        load_config(tmp_path / "c.yaml")
    monkeypatch.setenv("NO_SUCH", "x")
    load_config(tmp_path / "c.yaml")


def test_unset_variables_of_data_are_faults_too(tmp_path):
    for value in (
        "'${NO_SUCH}/d.csv'",
        "['${NO_SUCH}']",
        "{url: 'postgresql://${NO_SUCH}@h/d', table: t}",
    ):
        (tmp_path / "c.yaml").write_text(f"version: 1\ndata: {{decisions: {value}}}\n")
        with pytest.raises(ConfigError, match="NO_SUCH must be set"):
            load_config(tmp_path / "c.yaml")


def test_a_password_comes_from_a_file_and_is_masked(tmp_path, monkeypatch):
    (tmp_path / "pw").write_text(f"{SECRET}\n")
    for text in ("${file:pw}", "${PW}"):
        (tmp_path / "c.yaml").write_text(f"{CONFIG}ledger: {{url: 'postgresql://u:{text}@h/d'}}\n")
        monkeypatch.setenv("PW_FILE", str(tmp_path / "pw"))
        config = load_config(tmp_path / "c.yaml")
        assert config.ledger_url() == f"postgresql://u:{SECRET}@h/d"
        assert SECRET not in repr(config)
        assert mask_secrets(f"failed for {SECRET}!") == "failed for ***!"


@pytest.mark.parametrize("content", [None, "", "two\nlines", "a" * 20_000])
def test_a_file_without_a_value_is_one_message(tmp_path, content):
    if content is not None:
        (tmp_path / "pw").write_text(content)
    (tmp_path / "c.yaml").write_text(CONFIG + "ledger: {url: 'postgresql://u:${file:pw}@h/d'}")
    with pytest.raises(ConfigError, match=r"must (be readable|hold one line)") as error:
        load_config(tmp_path / "c.yaml").ledger_url()
    assert "lines" not in str(error.value)


@pytest.mark.parametrize("address", ["http://h/models", "${PLACE}"])
def test_a_registry_at_an_address_is_refused(tmp_path, monkeypatch, address):
    monkeypatch.setenv("PLACE", "http://h/models")
    (tmp_path / "c.yaml").write_text(f"{CONFIG}registry: {{path: '{address}'}}")
    with pytest.raises(ConfigError, match="must be a path, got an address"):
        load_config(tmp_path / "c.yaml").key_file()
    assert not list(tmp_path.glob("http*"))
