"""Does any input end in a traceback, hang, or show a password? Mutations of every file that errdetect reads.

    python benchmarks/fuzz.py --inputs 10000 --seed 1     # about an hour on two cores
    python benchmarks/fuzz.py --inputs 400 --only "label studio|policies"

Each input is read in a process of its own, which may use 10 seconds and 2 GB. Writes fuzz.csv to
benchmarks/results: outcomes by kind of file; inputs that failed go to --failures.
"""

import argparse
import copy
import datetime
import gzip
import io
import json
import os
import random
import re
import resource
import shutil
import signal
import sqlite3
import sys
import tarfile
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import yaml

from errdetect.config import load_config
from errdetect.data.atomic_writing import stage_outputs, write_text
from errdetect.data.policy_catalogue import read_policies
from errdetect.data.provenance import Provenance, read_run
from errdetect.data.pseudonyms import PseudonymKey
from errdetect.data.sources import find_files
from errdetect.data.table_reading import iter_decisions, read_draws, read_reviews
from errdetect.errors import DataError, ErrdetectError
from errdetect.explanations.reason_templates import load_templates
from errdetect.integrations.label_studio import convert_label_studio, find_exports
from errdetect.integrations.queue_export import read_queue
from errdetect.ledger.ledger import find_ledger, open_ledger
from errdetect.model.bundle import load_bundle
from errdetect.simulation.marketplace import simulate, write_marketplace
from errdetect.workflows.own_inputs import refuse_own_inputs

SECRET = "S3CR3Tpw"
SECONDS, BYTES = 10, 2 << 30
#: Wall time, in which a process that waits is found out: a busy machine is no hang.
WAITING = 6 * SECONDS
OUTCOMES = ("read", "refused", "traceback", "hang", "memory", "killed", "password shown")
BUNDLE = Path(__file__).parents[1] / "tests" / "data_of_0_1" / "files.tar.xz"

#: Pieces that readers have stumbled over.
TOKENS = [
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\n\n", b'"', b"'", b"\\", b"\\ud800", b"\x1b[31m",
    b"\xe2\x80\xae", b"NaN", b"1e999", b"9" * 4400, b"-0", b"0x1F", b"[" * 600, b"{" * 600, b"&a [*a]",
    b"*a", b"!!int x", b"!!python/object:os.system", b"<<: *x", b"2025-02-30", b".inf", b"=1+1", b"%41",
    b"?", b"#", b"sep=;\n", b"\t", b"- ", b": ", b"null", b"true", b'{"a": 1}', b"\x1f\x8b\x08\x00",
    b"PAR1", b"PK\x03\x04", b"x" * 140_000, "１２".encode(), b"../../../etc/passwd", b"/", b"**/*", b"~",
    f"postgresql://ana:{SECRET}@db/shop".encode(), f"sqlite:////{SECRET}".encode()[:11], b"${HOME}",
]  # fmt: skip


@dataclass(frozen=True)
class Target:
    """One kind of file: valid examples by file name, and what reads it from a folder."""

    name: str
    examples: dict[str, bytes]
    read: Callable[[Path], object]


#: Values that a place in a config, a JSON file or a table may hold instead of its own.
VALUES: list[object] = [
    None, True, -1, 0, 2**31, 2**63, -(2**63) - 1, 10**400, 1e308, -1e300, float("nan"), float("inf"), "",
    " ", "\x00", "\u202e", "x" * 70_000, "=1+1", "12,50 EUR", "n/a", "True", "2025-02-30",
    "9999-12-31", "0001-01-01", "1e999", "0x1F", "../..", "/", "~", "**", "a?b%41", "http://host/x", "s3://b/k",
    f"postgresql://ana:{SECRET}@db/shop", [], {}, [[]], {"": None}, [None] * 50, {"a": {"a": {"a": {"a": 1}}}},
    datetime.date(2026, 1, 31), datetime.datetime(1, 1, 1, tzinfo=datetime.UTC), b"\xff\x00",
]  # fmt: skip


def mutate(content: bytes, rng: random.Random, name: str = "") -> bytes:
    """Change bytes, or (half the time, where the format is known) values; both may not be readable any more."""
    change = MUTATIONS.get(Path(name.strip()).suffix)
    if change is not None and rng.random() < 0.5:
        return change(content, rng)
    return mutate_bytes(content, rng)


def mutate_tree(value: object, rng: random.Random) -> object:
    """Put a value, a deep nest or a copy of a part into one to three places of nested lists and mappings."""
    tree = [copy.deepcopy(value)]
    for _ in range(rng.randint(1, 3)):
        places = list(_places(tree))
        holder, key = rng.choice(places)
        kind = rng.randrange(6)
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, dict):
            holder[rng.choice(["", "x", "A" * 300, f"mysql://ana:{SECRET}@db"])] = holder.pop(key)
        elif kind == 2:
            holder[key] = copy.deepcopy(holder[rng.choice([k for h, k in places if h is holder])])
        elif kind == 3:
            depth = rng.choice([3, 40, 200])
            for _ in range(depth):
                holder[key] = [holder[key]] if rng.random() < 0.5 else {"k": holder[key]}
        else:
            holder[key] = rng.choice(VALUES)
        if not tree:
            return None
    return tree[0]


def _places(holder: Any) -> Iterator[tuple[Any, Any]]:
    for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
        yield holder, key
        if isinstance(holder[key], dict | list):
            yield from _places(holder[key])


def _mutate_yaml(content: bytes, rng: random.Random) -> bytes:
    changed = mutate_tree(yaml.safe_load(content), rng)
    return yaml.safe_dump(changed, allow_unicode=rng.random() < 0.5).encode(
        "utf-8", "surrogatepass"
    )


def _mutate_json(content: bytes, rng: random.Random) -> bytes:
    return json.dumps(mutate_tree(json.loads(content), rng), default=str).encode()


def _mutate_lines(content: bytes, rng: random.Random) -> bytes:
    rows = content.decode().splitlines()
    at = rng.randrange(len(rows))
    rows[at] = json.dumps(mutate_tree(json.loads(rows[at]), rng), default=str)
    return "\n".join(rows).encode()


def _mutate_parquet(content: bytes, rng: random.Random) -> bytes:
    """Give a column other values or another type, another name, or to other rows."""
    frame = pd.read_parquet(io.BytesIO(content))
    at = rng.randrange(frame.shape[1])
    name, kind = frame.columns[at], rng.randrange(7)
    if kind == 0:
        frame = frame.drop(columns=name)
    elif kind == 1:
        frame = frame.rename(
            columns={name: rng.choice(["", "x" * 70_000, "=1", str(frame.columns[0])])}
        )
    elif kind == 2:
        frame[name] = frame[name].sample(frac=1, random_state=rng.randrange(99)).to_numpy()
    elif kind == 3:
        frame = pd.concat([frame] * rng.choice([2, 30])) if rng.random() < 0.7 else frame.iloc[:0]
    elif kind == 4:
        frame[name] = [rng.choice([[1], [None], []]) for _ in range(len(frame))]
    elif kind == 5:
        frame[name] = pd.Categorical(frame[name].astype(str)) if rng.random() < 0.5 else b"\xff"
    else:
        value = rng.choice([v for v in VALUES if not isinstance(v, list | dict) and abs_small(v)])
        frame[name] = [value] * len(frame)
    try:
        return _parquet(frame)
    except (ValueError, TypeError, OverflowError, UnicodeError, pa.ArrowException):
        return content[: rng.randrange(len(content))]  # what no table can hold


def abs_small(value: object) -> bool:
    """Return whether Arrow can hold it."""
    return not isinstance(value, int) or abs(value) < 2**63


def _mutate_npz(content: bytes, rng: random.Random) -> bytes:
    """Change the values, shape or type of one array."""
    with np.load(io.BytesIO(content)) as held:
        arrays = {name: held[name] for name in held.files}
    name = rng.choice(sorted(arrays))
    old = arrays[name]
    kind = rng.randrange(6)
    if kind == 0:
        del arrays[name]
    elif kind == 1:
        arrays[name] = old.ravel()[: rng.randrange(old.size + 1)]
    elif kind == 2:
        arrays[name] = np.full(old.shape, rng.choice([np.nan, np.inf, 1e300, -1e300]))
    elif kind == 3:
        arrays[name] = old.astype(
            rng.choice(["U8", "f4", "c16", "i1"] if old.dtype.kind in "iufb" else ["U1"])
        )
    elif kind == 4:
        arrays[name] = np.tile(old, (2,) * max(old.ndim, 1))
    else:
        arrays[name] = np.array(rng.choice([0, -1, 2**62]))
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def _mutate_trees(content: bytes, rng: random.Random) -> bytes:
    """Exchange one of the numbers of LightGBM's text."""
    found = list(re.finditer(rb"(?<=[= ])-?[\d.]+(e-?\d+)?", content))
    one = rng.choice(found)
    other = rng.choice(
        [b"-1", b"0", b"99999999", b"1e300", b"nan", b"inf", b"-2147483648", b"4294967296", b""]
    )
    return content[: one.start()] + other + content[one.end() :]


#: What changes values within a format, by the file's suffix.
MUTATIONS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    ".yaml": _mutate_yaml, ".json": _mutate_json, ".jsonl": _mutate_lines, ".parquet": _mutate_parquet,
    ".npz": _mutate_npz, ".txt": _mutate_trees,
}  # fmt: skip


def mutate_bytes(content: bytes, rng: random.Random) -> bytes:
    """Change bytes, cut, repeat, swap or insert pieces, up to four times."""
    out = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(out) + 1)
        end = min(len(out), at + rng.choice([1, 2, 7, 50, 500]))
        kind = rng.randrange(8)
        if kind == 0 and out:
            out[min(at, len(out) - 1)] = rng.randrange(256)
        elif kind == 1:
            del out[at:end]
        elif kind == 2:
            out[at:at] = out[at:end]
        elif kind == 3:
            del out[at:]
        elif kind == 4:
            out[at:end] = bytes(reversed(out[at:end]))
        elif kind == 5 and rng.random() < 0.1:
            out = bytearray(gzip.compress(bytes(out)))
        else:
            out[at : end if kind == 6 else at] = rng.choice(TOKENS)
    return bytes(out)


def targets(place: Path) -> Iterator[Target]:
    """Yield every kind of file, with examples made in a folder."""
    write_marketplace(simulate(200, days=20, seed=3), place)
    decisions = pd.read_parquet(place / "decisions.parquet")
    reviews = pd.read_parquet(place / "reviews.parquet")
    config = (place / "config.yaml").read_bytes()
    config += f"ledger: {{url: 'postgresql://ana:{SECRET}@db.example/shop'}}\n".encode()
    base = (Path(__file__).parents[1] / "configs" / "base.yaml").read_bytes()
    yield Target("config", {"c.yaml": config, "c.yaml ": base}, _read_config)
    policies = {"p.yaml": (place / "policies.yaml").read_bytes()}
    yield Target("policies", policies, lambda f: read_policies(f / "p.yaml"))
    words = (Path(load_templates.__code__.co_filename).parent / "reasons.yaml").read_bytes()
    yield Target("words", {"w.yaml": words}, lambda f: load_templates(f / "w.yaml"))
    few = decisions.head(40)
    tables = {
        "d.csv": few.to_csv(index=False).encode(),
        "d.tsv": few.to_csv(index=False, sep="\t").encode("utf-16"),
        "d.jsonl": few.to_json(orient="records", lines=True, date_format="iso").encode(),
        "d.csv.gz": gzip.compress(few.to_csv(index=False).encode()),
        "d.parquet": _parquet(few),
    }
    yield Target("decisions", tables, lambda f: [list(iter_decisions(str(p))) for p in _files(f)])
    some = reviews.head(40)
    given = {
        "r.csv": some.to_csv(index=False).encode(),
        "r.jsonl": some.to_json(orient="records", lines=True, date_format="iso").encode(),
        "appeals.parquet": _parquet(some.assign(source="appeal", inclusion_probability=None)),
        "r.csv.gz": gzip.compress(some.to_csv(index=False).encode()),
        "r.tsv": some.to_csv(index=False, sep="\t").encode("utf-16"),
    }  # fmt: skip
    yield Target("reviews", given, lambda f: [read_reviews(str(p)) for p in _files(f)])
    yield Target("label studio", _label_studio(), _read_label_studio)
    with tarfile.open(BUNDLE) as archive:
        files = {
            Path(one.name).name: archive.extractfile(one).read()
            for one in archive.getmembers()
            if one.isfile() and one.name.startswith("bundle/")
        }
    yield Target("bundle", files, load_bundle)
    draws = few[["decision_id"]].assign(
        draw_id="a", inclusion_probability=0.5, drawn_at="2026-03-01"
    )
    drawn = {"w.csv": draws.to_csv(index=False).encode(), "w.parquet": _parquet(draws)}
    yield Target("draws", drawn, lambda f: [read_draws(str(p)) for p in _files(f)])
    with tarfile.open(BUNDLE) as archive:
        queue = {"q.parquet": archive.extractfile("queue/queue.parquet").read()}
    yield Target("queue", queue, lambda f: read_queue(f / "q.parquet"))
    with stage_outputs(place / "out", Provenance("estimate", "1", {"by": ["market"]})) as stage:
        write_text(stage / "a.txt", "x")
    record = {"run.json": (place / "out" / "run.json").read_bytes()}
    yield Target("run record", record, read_run)
    key = PseudonymKey(b"a key of this benchmark alone", "memory")
    with open_ledger(f"sqlite:///{place / 'l.db'}", lambda: key) as ledger:
        ledger.ingest(some, datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC))
    with sqlite3.connect(place / "l.db") as opened:
        opened.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    opened.close()
    yield Target("ledger", {"l.db": (place / "l.db").read_bytes()}, _read_ledger)
    yield Target("settings", {"set": b"\n".join(SET)}, lambda f: _read_settings(f, place))
    paths = b"out\nshop/d.parquet\nd*.csv\nsqlite:///l.db::decisions\nsub/../x\n"
    yield Target("paths", {"paths": paths}, lambda f: _read_paths(f, place))


#: Settings as they stand on a command line.
SET = [
    b"train.trials=50", b"ledger.url=sqlite:///x.db", b"data.columns.price=cost", b"targets.spam.error_rate=0.02",
    b"queue.pools=[{name: a, minutes: 60}]", b"audit.method=neyman", b"report.words=w.yaml", b"data.decisions=d.csv",
]  # fmt: skip


def _read_ledger(folder: Path) -> object:
    found = find_ledger(f"sqlite:///{folder / 'l.db'}")
    if found is None:
        return None
    with found as ledger:
        return ledger.reviews(), ledger.queued_decisions(), ledger.history(), ledger.audits()


def _lines(path: Path) -> list[str]:
    return path.read_bytes().decode("utf-8", "replace").split("\n")


def _read_settings(folder: Path, place: Path) -> object:
    found, errors = [], []
    for line in _lines(folder / "set"):
        try:
            found.append(load_config(place / "config.yaml", [line]).ledger_url())
        except ErrdetectError as error:
            errors.append(str(error))
    if errors:
        raise DataError("\n".join(errors))
    return found


def _read_paths(folder: Path, place: Path) -> object:
    """Take mutated words for inputs, and for outputs below the folder."""
    config, errors = load_config(place / "config.yaml"), []
    for line in _lines(folder / "paths"):
        below = re.sub(r"^[/~]+|\.\.", "", line)
        try:
            refuse_own_inputs(config, folder=line, files=(line,), sources=(line,))
            with stage_outputs(f"{folder}/{below}") as stage:
                write_text(stage / "a.txt", "x")
            find_files(line)
        except ErrdetectError as error:
            errors.append(str(error))
    if errors:
        raise DataError("\n".join(errors))
    return None


def _parquet(frame: pd.DataFrame) -> bytes:
    out = io.BytesIO()
    frame.to_parquet(out, index=False)
    return out.getvalue()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())


def _read_config(folder: Path) -> object:
    return [load_config(path).ledger_url() for path in _files(folder)]


def _read_label_studio(folder: Path) -> object:
    found = find_exports(str(folder))
    return [convert_label_studio(path) for path in found[0]]


def _label_studio() -> dict[str, bytes]:
    choice = {
        "from_name": "verdict",
        "to_name": "t",
        "type": "choices",
        "value": {"choices": ["upheld"]},
    }
    annotation = {
        "id": 3, "completed_by": 1, "lead_time": 9.5, "was_cancelled": False, "result": [choice],
        "created_at": "2026-03-01T12:00:00Z", "updated_at": "2026-03-01T12:01:00Z",
    }  # fmt: skip
    tasks = [
        {"id": n, "data": {"decision_id": f"d{n}"}, "annotations": [annotation]} for n in range(4)
    ]
    flat = [
        {"id": n, "decision_id": f"d{n}", "annotation_id": n, "annotator": 1, "verdict": "upheld",
         "lead_time": 3, "created_at": "2026-03-01T12:00:00Z", "updated_at": "2026-03-01T12:00:00Z"}
        for n in range(4)
    ]  # fmt: skip
    return {
        "tasks.json": json.dumps(tasks).encode(),
        "min.json": json.dumps(flat).encode(),
        "flat.csv": pd.DataFrame(flat).to_csv(index=False).encode(),
        "7": json.dumps(annotation | {"task": {"id": 7, "data": {"decision_id": "d7"}}}).encode(),
    }


def read_in_child(target: Target, folder: Path) -> tuple[str, str]:
    """Read a folder in a process of its own; return the outcome, and what was printed."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(readable)
        _read_and_exit(target, folder, writable)
    os.close(writable)
    with os.fdopen(readable, "rb") as stream:
        told = stream.read().decode("utf-8", "replace")
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        alarm = os.WTERMSIG(status) in (signal.SIGALRM, signal.SIGPROF)
        return ("hang" if alarm else "killed"), told
    outcome = OUTCOMES[os.WEXITSTATUS(status)]
    return ("password shown" if SECRET in told else outcome), told


def _read_and_exit(target: Target, folder: Path, channel: int) -> None:
    patience = float(os.environ.get("FUZZ_PATIENCE", "1"))
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, WAITING * patience)
    held = int(re.search(r"VmSize:\s+(\d+)", Path("/proc/self/status").read_text())[1]) << 10
    resource.setrlimit(resource.RLIMIT_AS, (held + BYTES, held + BYTES))
    quiet = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(quiet, stream)
    outcome, told = "read", ""
    try:
        target.read(folder)
    except ErrdetectError as error:
        outcome, told = "refused", str(error)
    except MemoryError:
        outcome, told = "memory", traceback.format_exc()
    except BaseException:  # noqa: BLE001 (a traceback is what is looked for)
        outcome, told = "traceback", traceback.format_exc()
    os.write(channel, told.encode("utf-8", "replace")[:60_000])
    os._exit(OUTCOMES.index(outcome))


def run(inputs: int, seed: int, only: str = "", failures: Path | None = None) -> pd.DataFrame:
    """Read so many mutations, the kinds of file in turn; return outcomes by kind."""
    rng = random.Random(seed)
    counts: Counter[tuple[str, str]] = Counter()
    with tempfile.TemporaryDirectory() as home:
        place = Path(home)
        kinds = [one for one in targets(place) if re.search(only, one.name)]
        for number in range(inputs):
            target = kinds[number % len(kinds)]
            folder = place / f"input{number}"
            folder.mkdir()
            chosen = rng.choice(sorted(target.examples))
            files = {
                n: c for n, c in target.examples.items() if target.name == "bundle" or n == chosen
            }
            for name, content in files.items():
                content = mutate(content, rng, name) if name == chosen else content
                (folder / name.strip()).write_bytes(content)
            outcome, told = read_in_child(target, folder)
            counts[target.name, outcome] += 1
            if failures is not None and outcome not in ("read", "refused"):
                kept = failures / f"{target.name}-{outcome}-{number}"
                folder.rename(_empty(kept))
                (kept / "TOLD").write_text(told)
            else:
                shutil.rmtree(folder)
    rows = [
        (kind, *(counts[kind, outcome] for outcome in OUTCOMES))
        for kind in dict.fromkeys(k for k, _ in counts)
    ]
    return pd.DataFrame(rows, columns=["kind", *OUTCOMES])


def _empty(folder: Path) -> Path:
    folder.parent.mkdir(parents=True, exist_ok=True)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="regular expression of kinds")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "fuzz.csv")
    parser.add_argument("--failures", type=Path, help="folder for inputs that failed")
    chosen = parser.parse_args()
    start = time.perf_counter()
    table = run(chosen.inputs, chosen.seed, chosen.only, chosen.failures)
    table.to_csv(chosen.out, index=False)
    print(table.to_string(index=False))
    print(f"{chosen.inputs:,} inputs in {time.perf_counter() - start:,.0f} seconds")
    bad = int(
        table[[name for name in OUTCOMES if name not in ("read", "refused")]].to_numpy().sum()
    )
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
