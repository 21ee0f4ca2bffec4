"""How a server holds out: 32 clients for five minutes, valid and malformed requests mixed.

    python benchmarks/serving.py PROJECT [--by errdetect] [--seconds 300] [--clients 32]

The server is `errdetect serve`, or `mlflow models serve` with `--by mlflow`.

PROJECT is a trained project with a batch that `errdetect score` has scored (PROJECT/batch.parquet and PROJECT/out).
Prints requests, errors, differences from the run's scores, and the latency's quantiles.
"""

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pandas as pd


def start(project: Path, by: str) -> tuple[subprocess.Popen[bytes], str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    uri = f"sqlite:///{project.resolve()}/models/mlflow.db"
    command = [
        sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/errdetect@champion",
        "--env-manager", "local", "--host", "127.0.0.1", "--port", str(port),
    ]  # fmt: skip
    if by == "errdetect":
        config = str(project / "config.yaml")
        command = [sys.executable, "-m", "errdetect", "serve", config, "--port", str(port)]
    running = subprocess.Popen(
        command, env={**os.environ, "MLFLOW_TRACKING_URI": uri, "PATH": path},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=2).close()
            return running, f"http://127.0.0.1:{port}/invocations"
        except OSError:
            if running.poll() is not None:
                raise SystemExit("the server did not start") from None
            time.sleep(0.5)


def ask(address: str, body: bytes) -> tuple[int, str]:
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("project", type=Path)
    parser.add_argument("--by", choices=("errdetect", "mlflow"), default="errdetect")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--clients", type=int, default=32)
    told = parser.parse_args()
    batch = pd.read_parquet(told.project / "batch.parquet")
    batch["decided_at"] = batch["decided_at"].map(lambda at: at.isoformat())
    rows = batch.astype(object).where(batch.notna(), None).to_dict("records")
    scores = pd.read_parquet(told.project / "out" / "scores.parquet")
    expected = dict(zip(scores["decision_id"], scores["p_error"], strict=True))
    running, address = start(told.project, told.by)
    seconds: list[float] = []
    worst, wrong, traces, refused = [0.0], [0], [0], [0]
    lock, end = threading.Lock(), time.monotonic() + told.seconds

    def client(seed: int) -> None:
        rng = random.Random(seed)
        while time.monotonic() < end:
            bad = rng.random() < 0.1
            some = rng.sample(rows, rng.choice([1, 1, 1, 10]))
            body = {"dataframe_records": some, "params": {"reasons": False}}
            sent = b'{"dataframe_records": [' if bad else json.dumps(body).encode()
            began = time.perf_counter()
            status, text = ask(address, sent)
            took = time.perf_counter() - began
            gaps = [0.0]
            if status == 200:
                answers = json.loads(text)["predictions"]
                gaps += [abs(a["p_error"] - expected[a["decision_id"]]) for a in answers]
            with lock:
                seconds.append(took)
                worst[0] = max(worst[0], *gaps)
                wrong[0] += (status == 200) == bad
                refused[0] += status != 200
                traces[0] += "Traceback" in text

    threads = [threading.Thread(target=client, args=(seed,)) for seed in range(told.clients)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        os.killpg(running.pid, signal.SIGTERM)
    quantiles = np.quantile(seconds, [0.5, 0.95, 0.99])
    print(f"{told.by}: {len(seconds):,} requests of {told.clients} clients in {told.seconds:.0f} s")
    print(
        f"malformed ones refused: {refused[0]:,}; wrong statuses: {wrong[0]}; tracebacks: {traces[0]}"
    )
    print(f"largest difference from the run's scores: {worst[0]:.2g}")
    print(
        f"latency (s): median {quantiles[0]:.3f}, 95 % {quantiles[1]:.3f}, 99 % {quantiles[2]:.3f}"
    )


if __name__ == "__main__":
    main()
