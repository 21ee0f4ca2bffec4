import json
import subprocess
import sys

import pandas as pd
import pytest


def errdetect(*words: object, cwd=None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "errdetect", *map(str, words)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=300,
    )


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Decisions and reviews as a user has them: CSV, own action names, three-line config."""
    import numpy as np

    place = tmp_path_factory.mktemp("own")
    rng = np.random.default_rng(0)
    n = 3000
    score = rng.random(n)
    category = rng.choice(["toys", "watches", "shoes"], n)
    wrong = rng.random(n) < np.where(np.abs(score - 0.5) < 0.1, 0.3, 0.03)
    wrong |= (category == "watches") & (rng.random(n) < 0.6)
    when = pd.date_range("2026-02-01", periods=n, freq="30min")
    decisions = pd.DataFrame(
        {
            "decision_id": np.arange(n), "decided_at": when.strftime("%Y-%m-%d %H:%M"), "item_id": np.arange(n) + 7,
            "policy_id": "spam", "action": np.where(score > 0.5, "block", "keep"), "score": score, "threshold": 0.5,
            "category": category,
        }
    )  # fmt: skip
    drawn = rng.random(n) < 0.5
    reviews = pd.DataFrame(
        {
            "review_id": np.arange(drawn.sum()), "decision_id": np.arange(n)[drawn],
            "reviewed_at": (when[drawn] + pd.Timedelta(hours=5)).strftime("%Y-%m-%dT%H:%M:%SZ"), "source": "audit",
            "verdict": np.where(wrong[drawn], "overturned", "upheld"), "inclusion_probability": 0.5,
        }
    )  # fmt: skip
    decisions.to_csv(place / "decisions.csv", index=False)
    reviews.to_csv(place / "reviews.csv", index=False)
    (place / "config.yaml").write_text(
        "version: 1\ndata: {decisions: decisions.csv, reviews: reviews.csv}\n"
    )
    return place


def test_the_whole_way_on_a_users_own_csv(own):
    checked = errdetect("validate", own / "config.yaml")
    assert checked.returncode == 0, checked.stderr
    assert "the data can be used" in checked.stdout
    trained = errdetect("train", own / "config.yaml", "--set", "train.trials=0", "--json")
    assert trained.returncode == 0, trained.stderr
    assert json.loads(trained.stdout)["answer"] == "validated"
    assert "... learning from" in trained.stderr
    scored = errdetect(
        "score",
        own / "config.yaml",
        "--decisions",
        own / "decisions.csv",
        "--out",
        own / "q",
        "--budget",
        40,
        "-q",
    )
    assert scored.returncode == 0, scored.stderr
    assert scored.stderr == ""
    queue = pd.read_parquet(own / "q/queue.parquet")
    assert len(queue) == 40
    assert queue["decision_id"].str.fullmatch(r"\d+").all()
    for verb, *words in (["estimate"], ["report"], ["plan-audit", "--budget", 100]):
        done = errdetect(verb, own / "config.yaml", "--out", own / verb, "--json", *words)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["files"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("train", "none.yaml"), "The config must be a file, got 'none.yaml'"),
        (("train", "config.yaml", "--set", "train.trails=3"), "Did you mean 'train.trials'?"),
        (("train", "config.yaml", "--set", "data.reviews=null"), "data.reviews must name the reviews to learn from"),
        (("train", "config.yaml", "--set", "data.decisions=no.csv"), "no.csv"),
        (("score", "config.yaml", "--decisions", "decisions.csv", "--out", "x", "--set", "registry.name=other"),
         "Run `errdetect train` with this config first."),
        (("estimate", "config.yaml", "--out", "x", "--by", "colour"), "--by must name columns of the decisions"),
        (("simulate", "x", "--decisions", "3"), "3"),
        (("ingest", "config.yaml", "--reviews", "no.csv", "--out", "x"), "no.csv"),
        (("remediate", "config.yaml", "--out", "x", "--apply", "--by", "A", "--approved-by", " a "), "second person"),
        (("export", "config.yaml", "--format", "pdf", "--out", "x/q.pdf"), "pdf"),
        (("proposals", "config.yaml", "--accept", "P-1", "--by", "Ann", "--effective", "2026-01-01"), "P-1"),
    ],
)  # fmt: skip
def test_bad_input_gets_one_clear_message(own, command, words, says):
    said = command(*words, cwd=own)
    assert said.returncode == 2
    assert said.stdout == ""
    assert says in said.stderr
    assert "Traceback" not in said.stderr
    assert not (own / "x").exists() or not list((own / "x").iterdir())


def test_a_gate_that_says_no_exits_with_1(own, command, tmp_path):
    said = command(
        "train", own / "config.yaml", "--set", "gate.min_errors=5000", "--set", "train.trials=0",
        "--set", f"registry.path={tmp_path}",
    )  # fmt: skip
    assert said.returncode == 1
    assert "Gate: unknown" in said.stdout
    assert "Not registered" in said.stdout


def test_every_command_shows_a_working_example(command):
    shown = command("--help").stdout
    for verb in (
        *("demo", "simulate", "validate", "train", "score", "estimate", "plan-audit", "report"),
        *("ingest", "remediate", "export", "proposals"),
    ):
        assert verb in shown
        assert f"errdetect {verb} " in " ".join(command(verb, "--help").stdout.split())


def test_version():
    assert errdetect("--version").stdout.startswith("errdetect ")
