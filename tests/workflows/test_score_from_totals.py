"""The draw from totals, in files, is the draw among all decisions in memory: to the row, whatever the files."""

import json
from datetime import UTC, datetime

import pandas as pd
import pytest

from errdetect.config import load_config
from errdetect.workflows import score_draw, scored_files
from errdetect.workflows.score import score

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def _batch(market, folder):
    """Half of them known, many copies of a text, some without one."""
    log = pd.read_parquet(market / "decisions.parquet")
    rows = log.iloc[-2_500:].reset_index(drop=True)
    fresh = rows.index % 2 == 0
    rows.loc[fresh, "decision_id"] = [f"later{i}" for i in range(int(fresh.sum()))]
    rows.loc[rows.index % 7 == 0, "text"] = rows["text"].iloc[0]
    rows.loc[rows.index % 11 == 0, "text"] = None
    rows.to_parquet(folder / "batch.parquet", index=False)
    return rows, folder / "batch.parquet"


def _pools(rows):
    policies = sorted(rows["policy_id"].unique())
    half = len(policies) // 2
    pools = [{"name": "a", "minutes": 90, "policies": policies[:half]},
             {"name": "b", "minutes": 60, "policies": policies[half:-1]}]  # fmt: skip
    least = rows["market"].value_counts().index[-1]
    return [
        f"queue.pools={json.dumps(pools)}", f"queue.minimum_shares={{market: {{{least}: 0.3}}}}",
        "queue.half_life_days=5",
    ]  # fmt: skip


@pytest.mark.parametrize("case", ["plain", "pools", "each by itself", "more than there are"])
def test_both_draws_are_one(case, market, trained, tmp_path, monkeypatch):
    assert trained is not None
    rows, batch = _batch(market, tmp_path)
    told = {"pools": _pools(rows), "each by itself": ["queue.one_job=false"]}.get(case, [])
    budget = {"pools": None, "more than there are": 5_000}.get(case, 50)
    monkeypatch.setattr(scored_files, "_ROWS", 400)
    monkeypatch.setattr(scored_files, "_BUFFER", 700)
    found, memory, draw = {}, [], score_draw.DrawInputs._draw_in_memory
    monkeypatch.setattr(
        score_draw.DrawInputs,
        "_draw_in_memory",
        lambda own, scored: memory.append(1) or draw(own, scored),
    )
    for way in ("totals", "memory"):
        if way == "memory":
            monkeypatch.setattr(score_draw, "draw_grouped", lambda *_, **__: None)
        url = f"ledger.url=sqlite:///{tmp_path}/{way}.db"
        config = load_config(market / "config.yaml", [*told, url])
        out = tmp_path / way
        result = score(config, batch, out, budget=budget, scored_at=NOW)
        # Next, with a queue that waits: of the same batch under another model of cost, and again.
        other = load_config(market / "config.yaml", [*told, url, "queue.seed=7"])
        second = score(other, batch, tmp_path / f"{way} 2", budget=budget, scored_at=NOW)
        again = score(config, batch, tmp_path / f"{way} 3", budget=budget, scored_at=NOW)
        found[way] = [
            *(pd.read_parquet(tmp_path / f"{way}{n}" / f"{table}.parquet")
              for n in ("", " 2", " 3") for table in ("scores", "queue", "explanations")),
            pd.DataFrame({"note": [*result.notes, *second.notes, *again.notes]}),
        ]  # fmt: skip
        assert any("scored before with the same settings" in note for note in again.notes)
        assert len(memory) == (1 if way == "totals" else 4)  # a repeated run is read as a whole
    for one, other in zip(*found.values(), strict=True):
        # Sums of a review's decisions are rounded in two ways.
        pd.testing.assert_frame_equal(one, other, rtol=1e-12, atol=0)
