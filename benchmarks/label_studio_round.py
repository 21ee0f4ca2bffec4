"""The whole round with a live Label Studio: tasks out, answers back, corrections, a second server.

    python benchmarks/label_studio_round.py [--home DIR] [--keep]

Makes an environment of its own with Label Studio 1.23.2 (some 700 MB, once; `--home` keeps it for the next run),
starts it on the loopback interface with SQLite, logs in by session (legacy tokens are off), imports 40 tasks and the
labelling config that errdetect exports, answers 10 by its API, and ingests its exports. Exit status 1 where a step
does not come out as the docs say.
"""

import argparse
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pandas as pd

from errdetect.config import load_config
from errdetect.ledger.ledger import open_ledger
from errdetect.workflows.export import export
from errdetect.workflows.ingest import IngestResult, ingest
from errdetect.workflows.simulate import simulate

VERSION = "1.23.2"
_TASKS, _ANSWERED = 40, 10
_VERDICTS = ("upheld", "overturned", "upheld", "relabelled", "overturned")
_PATIENCE = 300  # seconds until a server answers
_EMAIL = "reviewer@example.org"
#: What a task must not hold: it would anchor reviewers.
_MACHINE = ("p_error", "expected_harm", "error_kind", "arm", "inclusion_probability", "rank")


@dataclass
class Round:
    """The checks of the round, and what failed."""

    failed: list[str] = field(default_factory=list)

    def check(self, what: str, found: object, expected: object) -> None:
        """Print a step's result, and note where it is not the expected one."""
        good = found == expected
        print(f"{'ok  ' if good else 'FAIL'}  {what}: {found}", flush=True)
        if not good:
            self.failed.append(what)
            print(f"      expected: {expected}", flush=True)


class Server:
    """A session with a running Label Studio."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._cookies = CookieJar()
        handler = urllib.request.HTTPCookieProcessor(self._cookies)
        self._opener = urllib.request.build_opener(handler)

    def log_in(self, password: str) -> None:
        """Log in as a browser does: the form's token, then the form."""
        self._call("GET", "/user/login/")
        form = {"email": _EMAIL, "password": password, "csrfmiddlewaretoken": self._token()}
        self._call("POST", "/user/login/", urllib.parse.urlencode(form).encode(), "form")
        if self.get("/api/current-user/whoami")["email"] != _EMAIL:
            raise SystemExit("the session was not accepted")

    def get(self, path: str) -> Any:
        """Read JSON."""
        return json.loads(self._call("GET", path))

    def send(self, method: str, path: str, content: object) -> Any:
        """Send JSON, and read JSON."""
        return json.loads(self._call(method, path, json.dumps(content).encode(), "json"))

    def download(self, path: str) -> bytes:
        """Read a file."""
        return self._call("GET", path)

    def _token(self) -> str:
        return next((one.value or "" for one in self._cookies if one.name == "csrftoken"), "")

    def _call(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> bytes:
        types = {"json": "application/json", "form": "application/x-www-form-urlencoded"}
        headers = {"Referer": self.url, "X-CSRFToken": self._token()}
        headers |= {"Content-Type": types[kind]} if kind else {}
        asked = urllib.request.Request(self.url + path, body, headers, method=method)
        try:
            with self._opener.open(asked, timeout=120) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            said = error.read()[:400].decode("utf-8", "replace")
            raise SystemExit(f"{method} {path}: {error.code} {said}") from None


def environment(home: Path) -> Path:
    """Return the command of a Label Studio in an environment of its own; install it once."""
    command = home / "venv/bin/label-studio"
    if not command.exists():
        print(f"installing label-studio {VERSION}", flush=True)
        python = str(home / "venv/bin/python")
        subprocess.run([sys.executable, "-m", "venv", str(home / "venv")], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "uv"], check=True)
        wanted = f"label-studio=={VERSION}"  # uv chooses its many requirements in seconds
        uv = [str(home / "venv/bin/uv"), "pip", "install", "--quiet", "--python", python, wanted]
        subprocess.run(uv, check=True)
    return command


def free_port() -> int:
    """Return a port of the loopback interface that nobody uses now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def running(command: Path, folder: Path) -> Iterator[Server]:
    """Run a server with a SQLite database of its own, and log in."""
    folder.mkdir()
    port, password = free_port(), secrets.token_urlsafe(16)
    settings = {
        "COLLECT_ANALYTICS": "False",
        "LATEST_VERSION_CHECK": "False",
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder),
        "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "DJANGO_DB": "sqlite",
        "LABEL_STUDIO_HOST": f"http://127.0.0.1:{port}",
    }
    words = [
        str(command),
        "start",
        "--no-browser",
        "--internal-host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    words += ["--username", _EMAIL, "--password", password, "--data-dir", str(folder)]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(words, env=os.environ | settings, stdout=log, stderr=log)
    try:
        server = Server(f"http://127.0.0.1:{port}")
        _wait(server.url, process, folder / "server.log")
        server.log_in(password)
        yield server
    finally:
        process.terminate()
        process.wait(timeout=60)


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    began = time.monotonic()
    while time.monotonic() - began < _PATIENCE:
        if process.poll() is not None:
            raise SystemExit(f"the server ended: {log.read_text(errors='replace')[-2000:]}")
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(1)
    raise SystemExit(f"no answer within {_PATIENCE} s: {log.read_text(errors='replace')[-2000:]}")


def write_queue(folder: Path) -> Path:
    """Simulate a marketplace, and queue 40 of its decisions as scoring would."""
    simulate(folder / "market", decisions=2_000, days=20, seed=5)
    decisions = pd.read_parquet(folder / "market/decisions.parquet").head(_TASKS)
    now = pd.Timestamp(datetime.now(UTC))
    reason = {"code": "C", "text": "why it may be wrong", "contribution": 1.0}
    queue = decisions[["decision_id", "policy_id"]].assign(
        rank=range(1, _TASKS + 1), p_error=0.5, error_kind="wrongful_action", expected_harm=1.0,
        arm="ranked", inclusion_probability=1.0, pool="any", reasons=[[reason]] * _TASKS,
        model_version="1", run_id="r", scored_at=now,
    )  # fmt: skip
    queue.to_parquet(folder / "queue.parquet")
    return folder / "queue.parquet"


def set_up(server: Server, tasks: list[dict[str, Any]], label_config: str) -> int:
    """Create a project with the labelling config, and import the tasks."""
    project = server.send(
        "POST", "/api/projects/", {"title": "errdetect", "label_config": label_config}
    )
    number = int(project["id"])
    server.send("POST", f"/api/projects/{number}/import?return_task_ids=true", tasks)
    return number


def project_tasks(server: Server, project: int) -> list[dict[str, Any]]:
    """Return the project's tasks in order."""
    found = server.get(f"/api/tasks?project={project}&page_size=100")
    return sorted(found["tasks"], key=lambda one: int(one["id"]))


def answer(server: Server, tasks: list[dict[str, Any]], policy: str) -> list[dict[str, Any]]:
    """Answer tasks as its interface sends annotations."""
    done = []
    for at, task in enumerate(tasks):
        verdict = _VERDICTS[at % len(_VERDICTS)]
        result = [_choice("verdict", verdict)]
        if verdict == "relabelled":
            result.append(_choice("right_policy", policy))
        body = {"result": result, "lead_time": 30.0 + at, "was_cancelled": False}
        done.append(server.send("POST", f"/api/tasks/{task['id']}/annotations/", body))
    return done


def _choice(control: str, value: str) -> dict[str, Any]:
    return {
        "from_name": control,
        "to_name": "text",
        "type": "choices",
        "value": {"choices": [value]},
    }


def download(server: Server, project: int, form: str, file: Path) -> Path:
    """Export a project as its interface does."""
    file.write_bytes(server.download(f"/api/projects/{project}/export?exportType={form}"))
    return file


def counts(result: IngestResult) -> dict[str, int]:
    """Return what an import counted, without zeros."""
    found = {"new": result.n_new, "known": result.n_known, "corrected": result.n_corrected,
             "earlier": result.n_earlier, "unusable": result.n_rejected}  # fmt: skip
    return {name: n for name, n in found.items() if n}


def play(command: Path, folder: Path) -> Round:
    """Play the round."""
    checks, queue = Round(), write_queue(folder)
    config = load_config(folder / "market/config.yaml")
    export(
        config,
        "label-studio",
        folder / "tasks.json",
        queue=queue,
        label_config=folder / "config.xml",
    )
    tasks = json.loads((folder / "tasks.json").read_text(encoding="utf-8"))
    words = {key for task in tasks for key in (*task["data"], *task["meta"])}
    checks.check("what the model thinks in the tasks", sorted(words & set(_MACHINE)), [])
    label_config = (folder / "config.xml").read_text(encoding="utf-8")
    policy = str(tasks[-1]["data"]["policy_id"])
    with ExitStack() as servers:
        first = servers.enter_context(running(command, folder / "first"))
        print(
            f"label-studio {first.get('/api/version')['release']} on SQLite, session login",
            flush=True,
        )
        project = set_up(first, tasks, label_config)
        imported = project_tasks(first, project)
        checks.check("tasks imported", len(imported), _TASKS)
        done = answer(first, imported[:_ANSWERED], policy)
        checks.check("answers accepted", len(done), _ANSWERED)
        _ingest_forms(checks, config, first, project, folder)
        _correct(checks, config, first, (project, done[0]["id"]), folder)
        second = servers.enter_context(running(command, folder / "second"))
        other = set_up(second, tasks, label_config)
        again = answer(second, project_tasks(second, other)[:_ANSWERED], policy)
        same = {one["id"] for one in done} & {one["id"] for one in again}
        checks.check("annotation numbers that both servers use", len(same), _ANSWERED)
        file = download(second, other, "JSON", folder / "second.json")
        checks.check("second server, JSON", counts(ingest(config, file)), {"new": _ANSWERED})
        file = download(second, other, "CSV", folder / "second.csv")
        checks.check("second server, CSV", counts(ingest(config, file)), {"known": _ANSWERED})
    with open_ledger(config.ledger_url()) as ledger:
        reviews = ledger.reviews()
    checks.check("reviews in the ledger", reviews["review_id"].nunique(), 2 * _ANSWERED)
    checks.check("decisions reviewed", reviews["decision_id"].nunique(), _ANSWERED)
    named = reviews.loc[reviews["verdict"] == "relabelled", "correct_policy_id"]
    checks.check("correct policies of relabelled ones", set(named), {policy})
    return checks


def _ingest_forms(checks: Round, config: Any, server: Server, project: int, folder: Path) -> None:
    """Bring the same answers back in each form of export."""
    expected = {"new": _ANSWERED}
    for form, name in (
        ("JSON", "a.json"),
        ("CSV", "a.csv"),
        ("JSON_MIN", "a-min.json"),
        ("TSV", "a.tsv"),
    ):
        file = download(server, project, form, folder / name)
        checks.check(f"first server, {form}", counts(ingest(config, file)), expected)
        expected = {"known": _ANSWERED}


def _correct(
    checks: Round, config: Any, server: Server, place: tuple[int, int], folder: Path
) -> None:
    """Change one annotation, and bring the correction back."""
    project, annotation = place
    time.sleep(1.5)  # a later second
    body = {"result": [_choice("verdict", "overturned")]}
    server.send("PATCH", f"/api/annotations/{annotation}/", body)
    file = download(server, project, "JSON", folder / "corrected.json")
    expected = {"known": _ANSWERED - 1, "corrected": 1}
    checks.check("a correction, JSON", counts(ingest(config, file)), expected)
    file = download(server, project, "CSV", folder / "corrected.csv")
    checks.check("the correction again, CSV", counts(ingest(config, file)), {"known": _ANSWERED})


def main() -> int:
    """Play the round in a folder of its own; 0 where everything came out as the docs say."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--home", type=Path, help="folder of the environment, kept for the next run"
    )
    parser.add_argument("--keep", action="store_true", help="keep the folder with the files")
    given = parser.parse_args()
    began = time.monotonic()
    with ExitStack() as held:
        name = (
            tempfile.mkdtemp(prefix="label-studio-")
            if given.keep
            else held.enter_context(tempfile.TemporaryDirectory(prefix="label-studio-"))
        )
        folder = Path(name)
        home = folder if given.home is None else given.home
        home.mkdir(parents=True, exist_ok=True)
        checks = play(environment(home), folder)
        if given.keep:
            print(f"files: {folder}")
    print(f"{len(checks.failed)} of the steps failed, {time.monotonic() - began:.0f} s")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
