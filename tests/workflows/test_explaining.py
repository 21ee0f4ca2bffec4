import json
import re
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from errdetect.config import load_config
from errdetect.errors import ConfigError
from errdetect.workflows.report import report
from errdetect.workflows.score import score

LATE = datetime(2026, 12, 1, tzinfo=UTC)
CLAIMS = re.compile(r"\b(because|caus(e|es|ed|ing)|due to|leads? to|results? in)\b", re.I)


@pytest.fixture(scope="module")
def scored(config, trained, market, tmp_path_factory):
    out = tmp_path_factory.mktemp("scored")
    score(config, market / "decisions.parquet", out, budget=150, scored_at=LATE)
    return pd.read_parquet(out / "queue.parquet"), pd.read_parquet(out / "explanations.parquet")


def test_every_queued_decision_is_explained(scored):
    queue, told = scored
    assert told["decision_id"].tolist() == queue["decision_id"].tolist()
    np.testing.assert_allclose(expit(told["log_odds"]), queue["p_error"], atol=1e-6)
    for reasons, against in zip(queue["reasons"], told["against"], strict=True):
        towards = [r["contribution"] for r in reasons]
        assert len(towards) <= 5
        assert towards == sorted(towards, reverse=True)
        assert min(towards, default=1) > 0
        assert max((r["contribution"] for r in against), default=-1) < 0
        assert not {r["code"] for r in reasons} & {r["code"] for r in against}
    parts = told["base"] + told["rest"]
    for column in (queue["reasons"], told["against"]):
        parts += column.map(lambda found: sum(r["contribution"] for r in found))
    np.testing.assert_allclose(parts, told["log_odds"], atol=1e-9)


def test_reasons_are_compared_with_other_decisions(scored):
    queue, _ = scored
    up = [r["text"] for reasons in queue["reasons"] for r in reasons]
    assert sum("Of such " in text for text in up) >= len(up) / 5
    empty = r"^(Decided (under|by)|The text has|Other scores|The (market|category|language) is)"
    assert not [text for text in up if re.match(empty, text) and "Of such " not in text]
    assert not [text for text in up if text.startswith("0 of ")]


def test_contrasts_were_judged_right_by_then(scored, market, config, tmp_path):
    _, told = scored
    reviews = pd.read_parquet(market / "reviews.parquet")
    decisions = pd.read_parquet(market / "decisions.parquet").set_index("decision_id")
    found = told[told["contrast_id"].notna()]
    assert len(found) > 100
    upheld = set(reviews.loc[reviews["verdict"] == "upheld", "decision_id"])
    assert set(found["contrast_id"]) <= upheld
    for own, other in zip(found["decision_id"], found["contrast_id"], strict=True):
        same = ["policy_id", "action"]
        assert decisions.loc[own, same].tolist() == decisions.loc[other, same].tolist()
    early = reviews["reviewed_at"].sort_values().iloc[len(reviews) // 10]
    score(
        config, market / "decisions.parquet", tmp_path, budget=150, scored_at=early.to_pydatetime()
    )
    before = pd.read_parquet(tmp_path / "explanations.parquet")["contrast_id"].dropna()
    known = reviews[reviews["reviewed_at"] <= early]
    assert len(before)
    assert set(before) <= set(known.loc[known["verdict"] == "upheld", "decision_id"])
    none = told["contrast_id"].isna()
    assert set(told.loc[none, "contrast"]) <= {
        "Reviewers had not upheld any similar decision by then"
    }


def test_nothing_that_is_said_claims_a_cause(scored):
    queue, told = scored
    said = [r["text"] for rs in [*queue["reasons"], *told["against"]] for r in rs] + told[
        "contrast"
    ].tolist()
    assert len(said) > 500
    assert not [text for text in said if CLAIMS.search(text)]
    assert max(map(len, said)) < 700


def test_own_words_reach_queue_and_report(market, trained, repo, tmp_path):
    words = repo / "tests" / "explanations" / "reasons_de.yaml"
    changes = [f"report.words={words}", "report.explained=60", "report.queue_rows=5"]
    config = load_config(market / "config.yaml", changes)
    score(config, market / "decisions.parquet", tmp_path, budget=20, scored_at=LATE)
    queue = pd.read_parquet(tmp_path / "queue.parquet")
    assert not [r["text"] for rs in queue["reasons"] for r in rs if " the " in f" {r['text']} "]
    made = report(config, tmp_path / "report", generated_at=LATE)
    drivers = pd.read_parquet(made.files["tables"] / "drivers.parquet")
    assert "Was der Text sagt" in set(drivers["text"])
    head = pd.read_parquet(made.files["tables"] / "queue_head.parquet")
    assert {"against", "contrast", "contrast_id"} <= set(head.columns)
    shown = json.loads((made.files["plots"] / "plots.json").read_text(encoding="utf-8"))
    assert {p["file"] for p in shown} | {"plots.json"} == {
        p.name for p in made.files["plots"].iterdir()
    }
    assert all(len(p["alt"]) > 40 for p in shown)
    assert all((made.files["plots"] / p["file"]).stat().st_size <= 60_000 for p in shown)
    html = made.files["report"].read_text(encoding="utf-8")
    assert "[U+2068]" not in html


def test_wrong_words_leave_nothing_behind(market, trained, tmp_path):
    (tmp_path / "own.yaml").write_text("market: {text: '{nobody}'}", encoding="utf-8")
    config = load_config(market / "config.yaml", [f"report.words={tmp_path / 'own.yaml'}"])
    with pytest.raises(ConfigError, match=r"template market\.text"):
        score(config, market / "decisions.parquet", tmp_path / "out", budget=5)
    assert not (tmp_path / "out").exists()
