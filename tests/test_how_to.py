"""Every snippet of the how-to pages, run in order on one simulated marketplace."""

import re
import subprocess
import sys

import pytest

PAGES = ("ml-engineer", "queue-system", "policy-analyst", "quality-manager")
FENCE = re.compile(r"^```(sh|python)\n(.*?)^```", re.M | re.S)
#: Settings that make a small example fast; what they change is not shown on the pages.
QUICK = {"train": ["--set", "train.trials=0", "--set", "evaluate.bootstrap=50"]}


def _run(line, folder):
    words, _, comment = line.partition("#")
    words = words.split()
    done = subprocess.run(
        [sys.executable, "-m", *words, *QUICK.get(words[1], [])],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    allowed = (0, 1) if "exit status 1" in comment else (0,)
    assert done.returncode in allowed, f"{line}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


@pytest.mark.slow
def test_every_snippet_of_the_how_to_pages_runs(tmp_path, repo, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in PAGES:
        text = (repo / f"docs/how-to/{name}.md").read_text(encoding="utf-8")
        names: dict[str, object] = {}
        for kind, snippet in FENCE.findall(text):
            if kind == "python":
                exec(compile(snippet, f"{name}.md", "exec"), names)
                continue
            for line in filter(None, snippet.splitlines()):
                _run(line, tmp_path)
    assert (tmp_path / "report" / "report.html").exists()
    assert (tmp_path / "plan" / "plan.parquet").exists()
