"""Does any input end in a traceback, hang, or show a password? Mutations of every file that errdetect reads.

    python benchmarks/fuzz.py --inputs 10000 --seed 1     # about an hour on two cores
    python benchmarks/fuzz.py --inputs 400 --only "label studio|policies"

Each input is read in a process of its own, which may use 10 seconds and 2 GB. Writes fuzz.csv to
benchmarks/results: outcomes by kind of file; inputs that failed go to --failures.
"""

import argparse
import gzip
import io
import json
import os
import random
import re
import resource
import signal
import sys
import tarfile
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from errdetect.config import load_config
from errdetect.data.policy_catalogue import read_policies
from errdetect.data.table_reading import iter_decisions, read_reviews
from errdetect.errors import ErrdetectError
from errdetect.explanations.reason_templates import load_templates
from errdetect.integrations.label_studio import convert_label_studio, find_exports
from errdetect.model.bundle import load_bundle
from errdetect.simulation.marketplace import simulate, write_marketplace

SECRET = "S3CR3Tpw"
SECONDS, BYTES = 10, 2 << 30
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


def mutate(content: bytes, rng: random.Random) -> bytes:
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
    given = {
        "r.csv": reviews.head(40).to_csv(index=False).encode(),
        "r.jsonl": reviews.head(40).to_json(orient="records", lines=True, date_format="iso").encode(),
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
        alarm = os.WTERMSIG(status) in (signal.SIGALRM, signal.SIGXCPU)
        return ("hang" if alarm else "killed"), told
    outcome = OUTCOMES[os.WEXITSTATUS(status)]
    return ("password shown" if SECRET in told else outcome), told


def _read_and_exit(target: Target, folder: Path, channel: int) -> None:
    signal.setitimer(signal.ITIMER_REAL, SECONDS * float(os.environ.get("FUZZ_PATIENCE", "1")))
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
                content = mutate(content, rng) if name == chosen else content
                (folder / name.strip()).write_bytes(content)
            outcome, told = read_in_child(target, folder)
            counts[target.name, outcome] += 1
            if failures is not None and outcome not in ("read", "refused"):
                kept = failures / f"{target.name}-{outcome}-{number}"
                folder.rename(_empty(kept))
                (kept / "TOLD").write_text(told)
            else:
                for path in folder.iterdir():
                    path.unlink()
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
