"""Several processes at one ledger, and one that is killed in the middle."""

import os
import signal
import subprocess
import sys
import time

import pytest

from errdetect.ledger.ledger import open_ledger

_SCORER = """
import sys, time
from datetime import UTC, datetime
import pandas as pd
from errdetect.ledger import run_records as runs
from errdetect.ledger.ledger import open_ledger
from errdetect.ledger.run_records import ScoringRun

url, name, first, pause = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
scored = pd.DataFrame({"decision_id": [f"d{i}" for i in range(first, first + 3000)]})
scored["inclusion_probability"] = 0.5
queue = scored.sample(frac=1, random_state=first).assign(rank=1)
put = runs.upsert_rows
def slow(connection, table, rows, **how):
    put(connection, table, rows, **how)
    if "queued" in table.name and pause:
        print("writing", flush=True)
        time.sleep(pause)
runs.upsert_rows = slow
print("ready", flush=True)
sys.stdin.readline()
with open_ledger(url) as ledger:
    counts = ledger.record_run(ScoringRun(name, "1", datetime.now(UTC)), queue, scored)
print(counts.new, counts.already, flush=True)
"""


def _start(url, name, first, pause=0.0):
    words = [sys.executable, "-c", _SCORER, url, name, str(first), str(pause)]
    process = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


def test_two_scorers_at_once_queue_no_decision_twice(url):
    """The ledger does not even exist when both begin, and their decisions overlap."""
    scorers = [_start(url, name, first) for name, first in (("a", 0), ("b", 1500))]
    for one in scorers:
        one.stdin.write("go\n")
        one.stdin.flush()
    told = [one.communicate(timeout=60) for one in scorers]
    assert [one.returncode for one in scorers] == [0, 0], told
    counts = sorted(tuple(map(int, out.split())) for out, _ in told)
    assert counts == [(1500, 1500), (3000, 0)]
    with open_ledger(url) as ledger:
        queue = ledger.queued_decisions()
        assert len(queue) == queue["decision_id"].nunique() == 4500
        first = queue["run_id"].value_counts().idxmax()
        both = [f"d{i}" for i in range(1500, 3000)]
        assert (queue.set_index("decision_id").loc[both, "run_id"] == first).all()


def test_a_killed_run_leaves_nothing(url):
    scorer = _start(url, "a", 0, pause=60)
    scorer.stdin.write("go\n")
    scorer.stdin.flush()
    assert scorer.stdout.readline() == "writing\n"
    os.kill(scorer.pid, signal.SIGKILL)
    scorer.wait(timeout=10)
    scorer.stdout.close()
    scorer.stderr.close()
    begun = time.monotonic()
    with open_ledger(url) as ledger:
        assert ledger.runs().empty
        assert ledger.queued_decisions().empty
        assert ledger.history().empty
    after = _start(url, "b", 0)
    out, said = after.communicate("go\n", timeout=60)
    assert out == "3000 0\n", said
    assert time.monotonic() - begun < 40


@pytest.mark.parametrize("times", [2])
def test_ingesting_at_once_counts_each_review_once(url, make_reviews, make_run, times):
    from concurrent.futures import ThreadPoolExecutor

    reviews = make_reviews([f"d{i}" for i in range(500)])
    at = make_run()[0].scored_at

    def take(_):
        with open_ledger(url) as ledger:
            return ledger.ingest(reviews, at)

    with ThreadPoolExecutor(times) as pool:
        counts = list(pool.map(take, range(times)))
    assert sorted(one.new for one in counts) == [0, 500]
    assert sorted(one.repeated for one in counts) == [0, 500]
