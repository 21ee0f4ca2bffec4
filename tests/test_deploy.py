"""The containers: what cannot be run here is at least parsed, and every file and command named exists."""

import re
import subprocess
import sys

import pytest
import yaml

from errdetect.config import load_config
from errdetect.version import __version__


@pytest.fixture
def compose(repo):
    return yaml.safe_load((repo / "deploy/compose.yaml").read_text(encoding="utf-8"))


def test_the_image_copies_files_that_exist_and_pins_everything(repo):
    text = (repo / "deploy/Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    ignored = (repo / ".dockerignore").read_text(encoding="utf-8").splitlines()
    kept = tuple(line[1:] for line in ignored if line.startswith("!"))
    copied = [line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY ")]
    local = [name for names in copied if not names[0].startswith("--") for name in names]
    assert len(local) == 6
    for name in local:
        assert (repo / name).exists(), name
        assert name.startswith(kept), f"{name} is left out by .dockerignore"
    for line in re.findall(r"pip install [^&]*", text):
        assert "--require-hashes" in line
    assert re.search(r"^USER (?!root)", text, re.M)


def test_services_run_commands_that_exist(repo, compose):
    image = (repo / "deploy/Dockerfile").read_text(encoding="utf-8")
    services = compose["services"]
    assert {"ledger", "mlflow", "nightly"} <= set(services)
    for name, service in services.items():
        for one in service.get("depends_on", {}):
            assert "healthcheck" in services[one], f"{name} waits for the health of {one}"
        for network in service["networks"]:
            assert network in compose["networks"]
        if service.get("build"):
            assert (repo / "deploy" / service["build"]["context"]).resolve() == repo.resolve()
            assert service["read_only"]
            assert service["cap_drop"] == ["ALL"]
    (script,) = services["nightly"]["entrypoint"]
    assert f"{script.rpartition('/')[2]} {script}" in image
    verb = services["train"]["command"][0]
    done = subprocess.run([sys.executable, "-m", "errdetect", verb, "--help"], capture_output=True)
    assert done.returncode == 0


def test_the_registry_is_where_mlflow_looks(repo, compose):
    pytest.importorskip("mlflow")
    from mlflow.cli import server

    words = compose["services"]["mlflow"]["entrypoint"]
    known = {option for one in server.params for option in one.opts}
    assert {word for word in words if word.startswith("--")} <= known
    store = words[words.index("--backend-store-uri") + 1]
    folder = load_config_of(repo).registry.path
    assert store == f"sqlite:////srv/market/{folder}/mlflow.db"


def load_config_of(repo):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEDGER_PASSWORD", "secret")
        return load_config(repo / "deploy/config.yaml")


def test_the_config_names_the_ledger_of_the_services(repo, compose):
    url = load_config_of(repo).ledger.url
    ledger = compose["services"]["ledger"]["environment"]
    assert "@ledger:5432/" in str(url)
    assert str(url).endswith(ledger["POSTGRES_DB"])


def test_the_nightly_script_is_a_script_and_names_pipelines_that_exist(repo):
    script = repo / "deploy/nightly.sh"
    subprocess.run(["sh", "-n", script], check=True)
    named = re.findall(r"/opt/pipelines/(\w+\.py)", script.read_text(encoding="utf-8"))
    assert len(named) == 3
    assert all((repo / "pipelines" / name).exists() for name in named)


def test_the_citation_is_of_this_version(repo):
    cited = yaml.safe_load((repo / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["version"] == __version__
    assert {"cff-version", "title", "authors", "license", "message"} <= set(cited)
