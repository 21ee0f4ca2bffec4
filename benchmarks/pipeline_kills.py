"""Do pipelines that were killed end equal when they are started again? A hundred kills at random moments.

    python benchmarks/pipeline_kills.py [--kills 100] [--seed 1] [--only REGEX]

Each pipeline runs twice without a kill, in copies of one small trained project: what both runs have in common (files
to the byte, the ledger's columns, the registry's versions and aliases, each step done once, the exit status) is what a
killed run must have, too, after it was started again with the same arguments. A kill (SIGKILL, with everything the
process started) comes at a random moment; every fifth run is killed a second time. Needs Linux; spark_score needs Java.
"""

import argparse
import hashlib
import importlib
import json
import os
import pkgutil
import re
import runpy
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.faults import make_data, write_config

from errdetect.config import load_config
from errdetect.pipeline_steps import JOURNAL, StepJournal

REPO = Path(__file__).resolve().parents[1]
BEGAN = "2026-04-20T02:15:00+00:00"
PATIENCE = 600.0
#: Arguments of each pipeline, and how many of a hundred kills it gets.
PIPELINES = {
    "nightly_score": (("later.parquet", "queue"), 26),
    "reviews_back": (("finished.csv", "plan"), 24),
    "daily_monitor": (("monitor",), 18),
    "monthly_policy_report": (("report",), 14),
    "weekly_retrain": ((), 14),
    "spark_score": (("later.parquet", "queue"), 4),
}
#: Names that differ from run to run: MLflow's runs, folders of models, and kept parts of a log, named by its place.
_RANDOM = re.compile(r"[0-9a-f]{32}|m-[0-9a-f]{32}|(?<=errdetect\.state/)[0-9a-f]{16}")


@dataclass
class Outcome:
    """What the kills of one pipeline left behind."""

    name: str
    n: int = 0
    finished: int = 0
    again: int = 0
    faults: list[str] = field(default_factory=list)


def child(place: Path, name: str, after: float | None = None) -> tuple[int, float]:
    """Run a pipeline in a fork; kill it and all that it started after some seconds. Returns status and seconds."""
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        status = 70
        try:
            os.setsid()
            handle = os.open(place.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(handle, 1)
            os.dup2(handle, 2)
            os.chdir(place)
            sys.argv = [f"{name}.py", "config.yaml", *PIPELINES[name][0], "--run", "killed"]
            runpy.run_path(str(REPO / f"pipelines/{name}.py"), run_name="__main__")
            status = 0
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else 70
        finally:
            sys.stdout.flush()
            os._exit(status)
    limit = PATIENCE if after is None else after
    while time.monotonic() - began < limit:
        done, raw = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(raw), time.monotonic() - began
        time.sleep(0.005)
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:  # it has no group of its own yet
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return -9, time.monotonic() - began


def state(place: Path, name: str) -> dict[str, str]:
    """Describe everything that a pipeline may change: one digest a file, column, and table."""
    found: dict[str, list[str]] = {}
    dead = _dead_runs(place / "models/mlflow.db")
    for path in sorted(p for p in place.rglob("*") if p.is_file()):
        if dead & set(
            path.parts
        ):  # what a killed training logged stays with its run, which is closed as killed
            continue
        shown = _RANDOM.sub("*", path.relative_to(place).as_posix())
        if path.name.endswith((".db", "-wal", "-shm")):
            tables = _database(path)
            found |= {f"{shown} {key}": [value] for key, value in tables.items()}
        elif path.name == "run.json":
            run = json.loads(path.read_text())
            found |= {f"{shown} {k}": [json.dumps(v, sort_keys=True)] for k, v in run.items()}
        elif path.name.startswith(JOURNAL.partition(".")[0]):
            continue
        else:
            found.setdefault(shown, []).append(hashlib.sha256(path.read_bytes()).hexdigest())
    steps = StepJournal(place / JOURNAL).read()
    done = Counter(e["step"] for e in steps if e.get("what") == "done" and e["pipeline"] == name)
    found |= {f"step {step}": [str(n)] for step, n in done.items()}
    return {key: ",".join(sorted(values)) for key, values in found.items()}


def _dead_runs(path: Path) -> set[str]:
    """Return the runs that MLflow knows as not finished."""
    if not path.is_file():
        return set()
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT run_uuid FROM runs WHERE status != 'FINISHED'").fetchall()
    return {str(row[0]) for row in rows}


def _database(path: Path) -> dict[str, str]:
    """Return each column's values of an SQLite file; of MLflow's, only the registered versions and aliases."""
    if path.suffix != ".db":
        return {}
    found = {}
    with closing(sqlite3.connect(path)) as database:
        names = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
        tables = [row[0] for row in database.execute(names)]
        if "model_versions" in tables:
            tables = ["model_versions", "registered_model_aliases"]
        for table in tables:
            rows = database.execute(f'SELECT * FROM "{table}"')
            columns = [column[0] for column in rows.description]
            values = rows.fetchall()
            found[f"{table} rows"] = str(len(values))
            for number, column in enumerate(columns):
                text = "\n".join(sorted(repr(row[number]) for row in values))
                found[f"{table}.{column}"] = hashlib.sha256(text.encode()).hexdigest()
    return found


def prepare(root: Path) -> Path:
    """Train a small project once, in a fork: threads of a library must not live in the parent."""
    project = root / "project"
    project.mkdir()
    make_data(project)
    write_config(project, "", "first_")
    pid = os.fork()
    if pid == 0:
        status = 70
        try:
            import errdetect

            trained = errdetect.train(load_config(project / "config.yaml"))
            status = 0 if trained.version else 1
        finally:
            os._exit(status)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
        raise SystemExit("the project's first model could not be trained")
    write_config(project, "")
    return project


def copied(project: Path, place: Path, name: str) -> Path:
    """Copy the project, with a run that began at a fixed moment, so that recorded moments are equal."""
    shutil.copytree(project, place)
    started = {"pipeline": name, "run": "killed", "what": "started", "started_at": BEGAN}
    StepJournal(place / JOURNAL).append(started)
    return place


def compare(wanted: dict[str, str], other: dict[str, str], got: dict[str, str]) -> list[str]:
    """Return what two undisturbed runs have in common and a killed one has not, and what only it has."""
    common = {key for key in wanted if wanted[key] == other.get(key)}
    wrong = [f"{key} {'differs' if key in got else 'is missing'}" for key in sorted(common)
             if got.get(key) != wanted[key]]  # fmt: skip
    more = [key for key in sorted(got) if key not in wanted and not key.startswith("models/")]
    return [*wrong, *(f"{key} is new" for key in more)]


def kill_often(project: Path, root: Path, name: str, n: int, rng: np.random.Generator) -> Outcome:
    """Kill a pipeline n times, start it again each time, and compare."""
    outcome, undisturbed = Outcome(name), []
    for number in range(2):
        place = copied(project, root / f"{name}-whole{number}", name)
        status, seconds = child(place, name)
        undisturbed.append((status, seconds, state(place, name)))
        time.sleep(1.1 * (1 - number))  # moments that are recorded differ
    status, _, wanted = undisturbed[0]
    seconds = max(u[1] for u in undisturbed)
    if status not in (0, 1):
        outcome.faults.append(f"undisturbed, it ends with {status}")
    for number in range(n):
        place = copied(project, root / f"{name}-{number}", name)
        moments = [float(rng.uniform(0.0, seconds))]
        if number % 5 == 4:
            moments.append(float(rng.uniform(0.0, seconds)))
        for moment in moments:
            killed, _ = child(place, name, moment)
            outcome.n += 1
            outcome.finished += killed != -9
        ended, _ = child(place, name)
        outcome.again += 1
        faults = compare(wanted, undisturbed[1][2], state(place, name))
        if ended != status:
            faults.append(f"ends with {ended}, not {status}")
        shown = ", ".join(f"{m:.2f}" for m in moments)
        outcome.faults += [f"killed after {shown} of {seconds:.2f} s: {fault}" for fault in faults]
        shutil.rmtree(place)
        print(f"{name} {number + 1}/{n}: {'; '.join(faults) or 'equal'}", flush=True)
    return outcome


def import_all() -> None:
    """Import every module once, so that forks begin at once."""
    import errdetect

    for module in pkgutil.walk_packages(errdetect.__path__, "errdetect."):
        if not module.name.startswith(("errdetect.spark", "errdetect.__main__")):
            importlib.import_module(module.name)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results/pipeline_kills.md"
    )
    given = parser.parse_args()
    began, rng = time.monotonic(), np.random.default_rng(given.seed)
    import_all()
    chosen = {n: share for n, (_, share) in PIPELINES.items() if re.search(given.only, n)}
    total = sum(chosen.values())
    with tempfile.TemporaryDirectory(prefix="errdetect-kills-") as folder:
        root = Path(folder)
        project = prepare(root)
        found = [
            kill_often(project, root, name, max(1, round(given.kills * share / total / 1.2)), rng)
            for name, share in chosen.items()
        ]
    lines = [
        "# Pipelines that were killed",
        "",
        f"`python benchmarks/pipeline_kills.py --kills {given.kills} --seed {given.seed}`",
        "",
        "| pipeline | kills | came too late | started again | ended unequal |",
        "| --- | --- | --- | --- | --- |",
    ]
    for one in found:
        lines.append(f"| {one.name} | {one.n} | {one.finished} | {one.again} | {len(one.faults)} |")
    lines += ["", f"{sum(o.n for o in found)} kills in {time.monotonic() - began:.0f} seconds."]
    lines += ["", *(f"- {one.name}: {fault}" for one in found for fault in one.faults)]
    given.out.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    print("\n".join(lines))
    return int(any(one.faults for one in found))


if __name__ == "__main__":
    sys.exit(main())
