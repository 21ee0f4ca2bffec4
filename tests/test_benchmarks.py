"""The benchmark of detection: what it learns from, what it measures, and that a run comes out."""

import importlib
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from errdetect.simulation.marketplace import simulate, write_marketplace

CHEAP = ["random", "margin", "segment rate", "logistic regression", "perfect"]


@pytest.fixture
def part(repo, monkeypatch):
    """One of the benchmark's modules."""
    monkeypatch.syspath_prepend(str(repo))
    return lambda name: importlib.import_module(f"benchmarks.detecting.{name}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A set in the contract's layout, with two kinds of reviews and one review too many."""
    place = tmp_path_factory.mktemp("sets") / "made_up"
    market = simulate(1500, days=60, seed=4)
    write_marketplace(market, place)
    last = market.decisions["decision_id"].iloc[-1]
    early = market.reviews.iloc[[0]].assign(review_id="late", decision_id=last, source="audit")
    reviews = pd.concat([market.reviews, early], ignore_index=True)
    reviews.to_parquet(place / "reviews.parquet", index=False)
    reviews[::2].to_parquet(place / "reviews_partial.parquet", index=False)
    return place


def run(repo, *words, status=0):
    command = [sys.executable, str(repo / "benchmarks/detection.py"), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    return done


def test_a_quick_run(repo, folder, tmp_path):
    words = ["--quick", "--data", folder.parent, "--seeds", 3, "--out", tmp_path, "--unseen", "no", "--methods",
             *CHEAP, "--resamples", 20, "--threads", 1, "--resume", tmp_path / "finished.db"]  # fmt: skip
    first = run(repo, *words)
    assert "multi_market: skipped, there is no such set" in first.stderr
    table = pd.read_csv(tmp_path / "detection.csv")
    about = ["set", "reviews", "labels", "test decisions", "test errors", "method"]
    measures = ["R@1", "R@5", "R@10", "R@20", "AP", "AUROC", "calibration error", "fit seconds"]
    assert list(table) == about + measures
    found = table.groupby(["set", "reviews"], sort=False)["method"].apply(list).to_dict()
    names = [("made_up", "reviews"), ("made_up", "reviews_partial"), ("simulator_3", "reviews")]
    names += [(f"simulator_3, {world}", "reviews") for world in ("drift", "crowd", "hard content")]
    assert found == dict.fromkeys(names, CHEAP)
    n, errors = table["test decisions"], table["test errors"]
    for share in (1, 5, 10, 20):
        by = table[f"R@{share}"]
        best = np.minimum(1, share / 100 * n / errors)
        np.testing.assert_allclose(by[table["method"] == "random"], share / 100, rtol=1e-4)
        np.testing.assert_allclose(
            by[table["method"] == "perfect"], best[table["method"] == "perfect"], rtol=1e-4
        )
        assert (by <= best + 1e-4).all()
    random, perfect = (table[table["method"] == name] for name in ("random", "perfect"))
    np.testing.assert_allclose(
        random["AP"], random["test errors"] / random["test decisions"], rtol=1e-4
    )
    assert (perfect["AP"] == 1).all()
    assert (random["AUROC"] == 0.5).all()
    text = (tmp_path / "detection.md").read_text(encoding="utf-8")
    assert "## made_up, reviews_partial" in text

    some = run(
        repo,
        *words,
        "--finished",
        "--methods",
        *CHEAP,
        "CatBoost",
        "--out",
        tmp_path / "none",
        status=2,
    )
    assert "left out, as methods are missing: made_up, reviews; " in some.stderr

    again = run(repo, *words)
    assert "margin:" in first.stderr
    assert "margin:" not in again.stderr, "what is finished must not be run again"
    assert (tmp_path / "detection.md").read_text(encoding="utf-8") == text


def test_held_out_groups_are_never_learnt_from(part, folder):
    problems = part("problems")
    source = problems.Source("made_up", folder, "reviews")
    again = problems.with_unseen_groups(source)
    assert [s.unseen for s in again] == ["account_id", "category"]
    whole = problems.load_problem(source)
    for held in again:
        problem = problems.load_problem(held)
        groups = set(problem.test[held.unseen].astype(str))
        assert groups
        assert not groups & set(problem.learn[held.unseen].astype(str))
        assert problem.reviews["decision_id"].isin(problem.learn["decision_id"]).all()
        assert problem.learn["decided_at"].max() <= problem.test["decided_at"].min()
        assert len(problem.y) == len(problem.test) < len(whole.test)
        assert 0.1 < 1 - len(problem.learn) / len(whole.learn) <= 0.5


def test_nothing_is_learnt_from_the_test(part, folder):
    problems = part("problems")
    problem = problems.load_problem(problems.Source("made_up", folder, "reviews"))
    assert len(problem.learn) == 1200
    assert len(problem.test) == 300
    assert problem.learn["decided_at"].max() <= problem.test["decided_at"].min()
    assert set(problem.reviews["decision_id"]) <= set(problem.learn["decision_id"])
    assert set(problem.truth["decision_id"]) == set(problem.learn["decision_id"])

    features = part("features")
    turned = replace(problem, y=1 - problem.y)
    ours, theirs = features.build_features(problem), features.build_features(turned)
    pd.testing.assert_frame_equal(ours.test, theirs.test)


def test_majority_of_reviews(part):
    rows = [
        ("a", "audit", "overturned"), ("a", "audit", "relabelled"), ("a", "appeal", "upheld"),
        ("b", "audit", "upheld"), ("b", "audit", "overturned"),
        ("c", "golden", "overturned"),
        ("d", "audit", "overturned"), ("d", "audit", "overturned"), ("d", "adjudication", "upheld"),
    ]  # fmt: skip
    reviews = pd.DataFrame(rows, columns=["decision_id", "source", "verdict"])
    got = part("problems").majority(["a", "b", "c", "d", "e"], reviews)
    np.testing.assert_array_equal(got, [1, np.nan, np.nan, 0, np.nan])


def test_text_scores_are_out_of_fold(part):
    """Texts that say nothing: in-sample scores would know their labels."""
    rng = np.random.default_rng(0)
    texts = pd.Series(["".join(rng.choice(list("abcdefgh"), 30)) for _ in range(400)])
    y = rng.integers(0, 2, 400).astype(float)
    out, later = part("features").text_logits(texts, y, texts, 0)
    assert abs(out[y == 1].mean() - out[y == 0].mean()) < 0.5 * np.std(out)
    assert (later > 0)[y == 1].mean() > 0.9
    twice = pd.concat([texts, texts], ignore_index=True)
    out, _ = part("features").text_logits(twice, np.concatenate([y, y]), texts, 0)
    both = np.concatenate([y, y])
    assert abs(out[both == 1].mean() - out[both == 0].mean()) < 0.5 * np.std(out)


def test_differences_are_paired(part):
    rng = np.random.default_rng(1)
    y = (rng.random(600) < 0.2).astype(float)
    good, bad = y + rng.normal(0, 0.5, 600), y + rng.normal(0, 2, 600)
    scores = {"errdetect": good, "margin": 3 * good, "CatBoost": bad}
    cell = part("figures").measure("s", "reviews", (10, 10), y, scores, resamples=100)
    assert (cell.difference("margin") == 0).all(axis=None)
    assert cell.difference("CatBoost").loc["AP", "low"] > 0
    assert cell.best_peer("AP") == "margin"
    lines = part("report").targets([cell], {("s", "reviews"): {"errdetect": 1.0}})
    assert any("geometric mean over real sets, full reviews (1): 1.000" in line for line in lines)


def test_errdetect_learns_from_true_labels(part, folder):
    problems, ours = part("problems"), part("ours")
    problem = problems.load_problem(problems.Source("made_up", folder, "reviews"))
    settings = (
        "train.trials=0",
        "evaluate.bootstrap=50",
        "features.text=false",
        "gate.min_errors=1",
    )
    scores, seconds, remark = ours.run_errdetect(
        problem, true_labels=True, threads=1, settings=settings
    )
    assert scores.shape == problem.y.shape
    assert seconds > 0
    assert np.isfinite(scores).all(), "measured whatever the gate says"
    assert remark == "" or remark.startswith(("rejected: ", "unknown: "))
    true = ours.true_reviews(problem)
    assert ((true["verdict"] != "upheld").to_numpy() == problem.truth["is_error"].to_numpy()).all()
    assert (true["verdict"] == "relabelled").sum() == (
        problem.truth["error_kind"] == "wrong_label"
    ).sum()


@pytest.mark.parametrize(
    "name",
    [
        "interval_coverage",
        "effects",
        "findings",
        "gate",
        "held_out",
        "marketplaces",
        "review_queue",
    ],
)
def test_every_benchmark_finds_what_it_measures(repo, monkeypatch, name):
    monkeypatch.syspath_prepend(str(repo))
    assert callable(importlib.import_module(f"benchmarks.{name}").main)


def test_the_ablation_finds_what_it_measures(repo):
    command = [sys.executable, str(repo / "benchmarks/ablation.py"), "--help"]
    assert (
        "--variants" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
    )


def test_the_time_of_histories_is_told(repo):
    script = str(repo / "benchmarks/histories.py")
    command = [sys.executable, script, "--decisions", "2000", "--times", "1"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "columns of 2,000 decisions" in told


def test_accidents_of_audits_are_held(repo):
    """Two audits each of a few accidents; the benchmark itself repeats all of them 200 times."""
    command = [sys.executable, str(repo / "benchmarks/accidents.py"), "--draws", "2", "--only",
               "none, uniform$|market of 5%|30% of error.*recorded|pareto"]  # fmt: skip
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(lines) == 5
    assert all("held=1.000" in line for line in lines)
    assert "warned=0.000" in lines[0]
