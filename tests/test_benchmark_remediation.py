"""The benchmark of remediation: a small run comes out, and its figures are shares."""

import subprocess
import sys

import pandas as pd


def test_a_small_run(repo, tmp_path):
    words = ["--seeds", "1", "--decisions", "6000", "--out", str(tmp_path)]
    command = [sys.executable, str(repo / "benchmarks/remediation.py"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "seed 0 done" in done.stdout
    steps = pd.read_csv(tmp_path / "remediation.csv")
    assert {"reverse", "revoke_penalty", "relabel"} <= set(steps["kind"])
    assert steps["right"].between(0, 1).all()
    experts = steps[steps["by"] == "an expert's final answer"]
    assert (experts["right"] == 1).all(), "experts do not err in the simulator"
    alike = pd.read_csv(tmp_path / "look_alikes.csv")
    assert alike["real"].between(0, 1).all()
    assert (alike["n"] > 0).all()
