"""init on tables of other shapes: several files for one table, reviews inside the log, nested objects."""

import json

import numpy as np
import pandas as pd
import pytest

from errdetect.config import load_config
from errdetect.workflows.init import init
from errdetect.workflows.load_data import read_tables

N = 400


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def log(rng: np.random.Generator) -> pd.DataFrame:
    when = pd.Timestamp("2026-02-01") + pd.to_timedelta(np.arange(N), "h")
    return pd.DataFrame({
        "case_id": [f"C{i:04d}" for i in range(N)], "decision_time": when.strftime("%Y-%m-%d %H:%M:%S"),
        "seller_id": rng.integers(1, 60, N), "policy": rng.choice(["spam", "hate"], N),
        "decision": np.where(rng.random(N) < 0.4, "takedown", "keep"), "risk": rng.random(N).round(3),
    })  # fmt: skip


def reviews(cases: pd.Series) -> pd.DataFrame:
    return pd.DataFrame({
        "case_id": cases, "review_time": "2026-03-01 10:00:00",
        "agreement": np.where(np.arange(len(cases)) % 7, "agree", "disagree"),
    })  # fmt: skip


def taken(result) -> dict[str, dict[str, str]]:
    return {
        str(one.role): {guess.column: guess.target for guess in one.guesses if guess.sure}
        for one in result.tables
    }


def loaded(config):
    return read_tables(load_config(config), progress=lambda _: None)


def test_files_with_equal_columns_are_one_table(tmp_path, rng):
    frame = log(rng)
    frame.head(150).to_csv(tmp_path / "log_de.csv", index=False)
    frame.tail(N - 150).to_csv(tmp_path / "log_fr.csv", index=False)
    for name, cases in (("ana", frame["case_id"][:90]), ("bo", frame["case_id"][200:260])):
        reviews(cases).to_excel(tmp_path / f"{name}.xlsx", sheet_name="QA", index=False)
    files = [str(tmp_path / name) for name in ("log_de.csv", "log_fr.csv", "ana.xlsx", "bo.xlsx")]
    result = init(files, tmp_path / "c.yaml")
    assert result.problem == ""
    assert [one.role for one in result.tables] == ["decisions", "reviews"]
    tables = loaded(tmp_path / "c.yaml")
    assert (len(tables.decisions.frame), len(tables.reviews.frame)) == (N, 150)


def test_reviews_in_the_log_are_read_and_are_no_features(tmp_path, rng):
    frame = log(rng)
    found = reviews(frame["case_id"][:90]).set_index("case_id")
    for name in found:
        frame[f"qa_{name}"] = frame["case_id"].map(found[name]).fillna("")
    frame.to_csv(tmp_path / "all.csv", index=False)
    result = init([str(tmp_path / "all.csv")], tmp_path / "c.yaml")
    assert result.problem == ""
    assert taken(result)["reviews"] == {
        "case_id": "decision_id", "qa_agreement": "verdict", "qa_review_time": "reviewed_at",
    }  # fmt: skip
    tables = loaded(tmp_path / "c.yaml")
    assert (len(tables.decisions.frame), len(tables.reviews.frame)) == (N, 90)
    assert not {"qa_agreement", "qa_review_time"} & set(tables.decisions.frame)
    assert any("310 rows have no verdict" in note for note in tables.reviews.notes)


def test_a_log_without_reviews_is_not_taken_for_both(tmp_path, rng):
    frame = log(rng).assign(listing_status="ok", updated_at="2026-03-05 10:00:00")
    frame.to_csv(tmp_path / "log.csv", index=False)
    result = init([str(tmp_path / "log.csv")], tmp_path / "c.yaml")
    assert set(taken(result)) == {"decisions"}


def test_fields_of_nested_objects_are_columns(tmp_path, rng):
    frame = log(rng)
    rows = [
        {"decision": {"uuid": one["case_id"], "timestamp": one["decision_time"] + "Z", "outcome": one["decision"],
                      "model": {"version": "3", "confidence": one["risk"]}},
         "listing": {"seller": f"s{one['seller_id']}"}, "policy": one["policy"]}
        for one in frame.to_dict("records")
    ]  # fmt: skip
    rows[0]["listing"] = None
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "log.json").write_text(json.dumps(rows, indent=1))
    for name in ("log.jsonl", "log.json"):
        result = init([str(tmp_path / name)], tmp_path / f"{name}.yaml")
        assert result.problem == ""
        assert taken(result)["decisions"] == {
            "decision.uuid": "decision_id", "decision.timestamp": "decided_at",
            "decision.outcome": "action", "decision.model.version": "moderator_version",
            "decision.model.confidence": "score", "listing.seller": "account_id", "policy": "policy_id",
        }  # fmt: skip
        read = loaded(tmp_path / f"{name}.yaml").decisions.frame
        assert read["score"].to_numpy() == pytest.approx(frame["risk"].to_numpy())
        assert read["account_id"].isna().sum() == 1
