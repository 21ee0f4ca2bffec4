"""errdetect as a user runs it: files and a config of a few lines, train, score."""

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd

from .problems import Problem

__all__ = ["CEILING", "ERRDETECT", "run_errdetect", "true_reviews"]

ERRDETECT, CEILING = "errdetect", "errdetect, true labels"


def run_errdetect(
    problem: Problem, *, true_labels: bool, threads: int, settings: tuple[str, ...] = ()
) -> tuple[np.ndarray, float, str]:
    """Train on the earlier decisions, score the later ones.

    Returns
    -------
    tuple
        p_error of the test decisions, seconds that training took, and the gate's reason where it
        said no: the benchmark measures the ranking all the same, which users would not get.
    """
    # Imported here, as it takes seconds that most processes need not spend.
    from errdetect.config import load_config
    from errdetect.model import training
    from errdetect.model.gate import GateResult, apply_gate
    from errdetect.workflows.score import score
    from errdetect.workflows.train import train

    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        problem.learn.drop(columns="enforced").to_parquet(place / "decisions.parquet", index=False)
        problem.test.drop(columns="enforced").to_parquet(place / "test.parquet", index=False)
        reviews = true_reviews(problem) if true_labels else problem.reviews
        reviews.to_parquet(place / "reviews.parquet", index=False)
        data = "decisions: decisions.parquet, reviews: reviews.parquet"
        if problem.policies is not None:
            (place / "policies.yaml").write_bytes(problem.policies.read_bytes())
            data += ", policies: policies.yaml"
        (place / "config.yaml").write_text(f"version: 1\ndata: {{{data}}}\n", encoding="utf-8")
        config = load_config(place / "config.yaml", [f"train.threads={threads}", *settings])
        remarks = []

        def noted(*held: Any, **more: Any) -> GateResult:
            result = apply_gate(*held, **more)
            if result.answer != "validated":
                remarks.append(f"{result.answer}: {result.why}")
            return replace(result, answer="validated")

        began = time.perf_counter()
        with patch.object(training, "apply_gate", noted):
            train(config)
        seconds = time.perf_counter() - began
        scored = score(config, place / "test.parquet", place / "queue")
        scores = pd.read_parquet(scored.files["scores"]).set_index("decision_id")["p_error"]
    return scores.loc[problem.test["decision_id"]].to_numpy(float), seconds, "".join(remarks)


def true_reviews(problem: Problem) -> pd.DataFrame:
    """Review every decision, once, at once, and rightly."""
    truth, learn = problem.truth.reset_index(drop=True), problem.learn
    verdict = np.where(truth["is_error"], "overturned", "upheld").astype(object)
    policy = np.full(len(truth), None, dtype=object)
    if "error_kind" in truth:
        relabelled = (truth["error_kind"] == "wrong_label").to_numpy(bool)
        verdict[relabelled] = "relabelled"
        policy[relabelled] = truth["correct_policy_id"].to_numpy(object)[relabelled]
    return pd.DataFrame(
        {
            "review_id": [f"t{i:08d}" for i in range(len(truth))],
            "decision_id": learn["decision_id"].to_numpy(object),
            "reviewed_at": learn["decided_at"] + pd.Timedelta(hours=1),
            "source": "audit",
            "verdict": verdict,
            "correct_policy_id": pd.Series(policy, dtype="str"),
            "reviewer_id": "truth",
            "inclusion_probability": 1.0,
        }
    )
