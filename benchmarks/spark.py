"""Scoring on Spark against one machine: a standalone cluster of separate worker processes on this machine.

Each size is scored by both engines in turn, and again with a third of the decisions of one account (`skew`), to
show what a large key costs. Processor time is that of all processes, the cluster's included; it hardly depends
on what else the machine does. Results: benchmarks/results/spark.csv.

python benchmarks/spark.py --decisions 100000,300000,1000000
python benchmarks/spark.py --decisions 20000 --log 20000 --workers 1
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
import pyspark
from speed import make_market

_CLASS = Path(pyspark.__file__).parent / "bin" / "spark-class"
_DEPLOY = "org.apache.spark.deploy"
_LARGE = 0.3  # share of the decisions of the one large account


@contextmanager
def cluster(workers: int, folder: Path) -> Iterator[dict[str, str]]:
    """Start a master and workers of one core each, on the loopback address; yield the client's environment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    conf = folder / "conf"
    conf.mkdir(exist_ok=True)
    settings = {
        "spark.master": f"spark://127.0.0.1:{port}", "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1", "spark.executor.memory": "1500m",
        "spark.driver.memory": "1500m", "spark.executor.cores": "1",
    }  # fmt: skip
    lines = [f"{name} {value}" for name, value in settings.items()]
    (conf / "spark-defaults.conf").write_text("\n".join(lines))
    environment = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_CONF_DIR": str(conf),
                   "PYSPARK_PYTHON": sys.executable}  # fmt: skip
    where = ["--host", "127.0.0.1", "--webui-port", "0"]
    head = [_CLASS, f"{_DEPLOY}.master.Master", *where, "--port", str(port)]
    body = [_CLASS, f"{_DEPLOY}.worker.Worker", *where, "-c", "1", "-m", "1500m"]
    body += ["--work-dir", str(folder / "work"), settings["spark.master"]]
    started = []
    try:
        for command in [head, *[body] * workers]:
            with (folder / f"log{len(started)}").open("w") as log:
                started.append(
                    subprocess.Popen(
                        list(map(str, command)), env=environment, stdout=log, stderr=log
                    )
                )
            time.sleep(5)
        yield environment
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait()


class ProcessorTime:
    """Processor seconds of all processes that descend from this one, seen twice a second."""

    def __init__(self) -> None:
        self._ours: dict[tuple[int, int], float] = {}
        self._done = threading.Event()
        self._before = 0.0
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._look()
        self._before = sum(self._ours.values())
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    @property
    def seconds(self) -> float:
        self._look()
        return sum(self._ours.values()) - self._before

    def _watch(self) -> None:
        while not self._done.wait(0.5):
            self._look()

    def _look(self) -> None:
        found = {}
        for place in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = place.read_text().rpartition(")")[2].split()
            except OSError:  # ended meanwhile
                continue
            found[int(place.parent.name)] = fields
        ours = {os.getpid()} | {pid for pid, _ in self._ours}
        while more := {p for p, f in found.items() if int(f[1]) in ours} - ours:
            ours |= more
        for pid in ours & found.keys():
            ticks = int(found[pid][11]) + int(found[pid][12])
            self._ours[pid, int(found[pid][19])] = ticks / os.sysconf("SC_CLK_TCK")


def skewed(batch: Path) -> Path:
    """The batch with a large account."""
    frame = pd.read_parquet(batch)
    rows = np.random.default_rng(1).random(len(frame)) < _LARGE
    frame.loc[rows, "account_id"] = "large"
    place = batch.with_name(f"skewed-{batch.name}")
    frame.to_parquet(place)
    return place


def run(engine: str, folder: Path, batch: Path, environment: dict[str, str]) -> dict[str, float]:
    """Score with an engine; wall and processor seconds, and the peak of the driver's Python in gigabytes."""
    command = [sys.executable, "-m", "errdetect", "score", str(folder / "config.yaml"), "-q"]
    command += [
        "--decisions",
        str(batch),
        "--out",
        str(folder / f"out-{engine}"),
        "--budget",
        "2000",
    ]
    command += ["--set", "queue.record=false", "--engine", engine]
    began = time.perf_counter()
    with ProcessorTime() as processor:
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        wall, peak = time.perf_counter() - began, usage.ru_maxrss / 1e6
        if process.returncode:
            raise SystemExit(f"{engine} failed")
        return {"wall": wall, "processor": processor.seconds, "driver_gb": peak}


def same_queue(folder: Path) -> bool:
    """Whether both engines drew the same queue, to the row."""
    names = ["decision_id", "rank", "arm", "run_id"]
    one, other = (
        pd.read_parquet(folder / f"out-{e}" / "queue.parquet") for e in ("local", "spark")
    )
    return one[names].equals(other[names])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--decisions", default="100000,300000,1000000")
    parser.add_argument("--log", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--no-text", action="store_true")
    parser.add_argument("--no-skew", action="store_true")
    parser.add_argument("--market", type=Path, help="keep the market here, and use one made before")
    parser.add_argument("--out", type=Path, help="the CSV file of results")
    args = parser.parse_args()
    sizes = [int(n) for n in args.decisions.split(",")]
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.market or Path(temporary) / "market"
        if not (folder / f"batch{max(sizes)}.parquet").exists():
            make_market(folder, args.log, sizes, not args.no_text)
        with cluster(args.workers, Path(temporary)) as environment:
            for n in sizes:
                plain = folder / f"batch{n}.parquet"
                for batch in [plain] if args.no_skew else [plain, skewed(plain)]:
                    for engine in ("local", "spark"):
                        took = run(engine, folder, batch, environment)
                        rows.append(
                            {"decisions": n, "skew": batch != plain, "engine": engine, **took}
                        )
                    rows[-1]["same_queue"] = same_queue(folder)
                    print(pd.DataFrame(rows).round(2).to_string(), flush=True)
                    if args.out is not None:
                        pd.DataFrame(rows).round(2).to_csv(args.out, index=False)


if __name__ == "__main__":
    main()
