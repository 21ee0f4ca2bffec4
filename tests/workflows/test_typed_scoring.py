"""Scoring decisions whose columns are not as they were in training."""

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from errdetect.cli import app
from errdetect.config import load_config
from errdetect.errors import DataError
from errdetect.workflows.score import score


@pytest.fixture(scope="module")
def batch(market, trained):
    return pd.read_parquet(market / "decisions.parquet").tail(300).astype({"price": object})


def _score(batch, market, tmp_path, **changes):
    batch.assign(**changes).astype({"price": "str"}).to_csv(tmp_path / "batch.csv", index=False)
    config = load_config(
        market / "config.yaml", ["queue.budget=5", f"ledger.url=sqlite:///{tmp_path}/l.db"]
    )
    return score(config, tmp_path / "batch.csv", tmp_path / "out")


@pytest.mark.parametrize("word", ["12,50 EUR", "old", "True", "2026-01-01"])
def test_one_bad_cell_is_missing_and_counted(batch, market, tmp_path, word):
    price = batch["price"].copy()
    price.iloc[7] = word
    result = _score(batch, market, tmp_path, price=price)
    assert result.n_scored == 300
    assert any("price: 1 value could not be read as a number" in note for note in result.notes)
    price.iloc[7] = None
    (tmp_path / "again").mkdir()
    same = _score(batch, market, tmp_path / "again", price=price)
    assert same.scores["p_error"].tolist() == result.scores["p_error"].tolist()


def test_a_column_of_words_for_missing_is_absent(batch, market, tmp_path):
    result = _score(batch, market, tmp_path, price="n/a")
    assert any("price" in note and "absent" in note for note in result.notes)


def test_unseen_values_and_absent_text_are_told(batch, market, tmp_path):
    new = batch.drop(columns="text").assign(market="ZZ")
    result = _score(new, market, tmp_path)
    assert "300 decisions of a market never seen in training" in result.notes
    told = next(note for note in result.notes if "of the model's gain rests" in note)
    assert told.startswith("text")


def test_too_many_bad_cells_refuse_and_write_nothing(batch, market, tmp_path):
    price = batch["price"].copy()
    price.iloc[:4] = "old"
    with pytest.raises(DataError, match="got none for 4 of 300 in price"):
        _score(batch, market, tmp_path, price=price)
    assert not (tmp_path / "out").exists()
    command = ["score", str(market / "config.yaml"), "--decisions", str(tmp_path / "batch.csv"), "-q",
               "--out", str(tmp_path / "out"), "--set", f"ledger.url=sqlite:///{tmp_path}/l.db"]  # fmt: skip
    shown = CliRunner().invoke(app, command)
    assert isinstance(shown.exception, DataError)
    allowed = CliRunner().invoke(app, [*command, "--json", "--set", "score.max_unreadable=0.05"])
    assert json.loads(shown.stdout or "0") == 0
    assert json.loads(allowed.stdout)["n_scored"] == 300
