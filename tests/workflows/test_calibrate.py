"""A calibration session: out as blind ballots, back in as agreement, readings and precedents."""

import io
import json

import numpy as np
import openpyxl
import pandas as pd
import pyarrow.parquet as pq
import pytest

from errdetect.config import load_config
from errdetect.data.excel_sheets import read_sheet
from errdetect.errors import ConfigError, DataError
from errdetect.workflows.calibrate import LEADER, calibrate, ingest_calibration
from errdetect.workflows.export import export
from errdetect.workflows.forget import forget
from errdetect.workflows.ingest import ingest
from errdetect.workflows.project_ledger import known_precedents

#: What a ballot may hold of a decision, whatever the config exports.
MACHINE = ("score", "threshold", "p_error", "p_ambiguous", "information", "reasons")


@pytest.fixture
def config(tmp_path):
    rng = np.random.default_rng(2)
    n = 120
    start = pd.Timestamp("2026-01-01", tz="UTC")
    log = pd.DataFrame(
        {"decision_id": [f"=d{i}" if i == 0 else f"d{i}" for i in range(n)], "decided_at": start,
         "item_id": [f"i{i}" for i in range(n)], "account_id": [f"shop-{i}" for i in range(n)],
         "policy_id": np.where(np.arange(n) < 100, "spam", "scam"), "market": rng.choice(["DE", "FR"], n),
         "action": np.where(np.arange(n) % 2, "remove", "approve"), "score": rng.random(n),
         "text": [f"=offer {i} <b>" for i in range(n)]}
    )  # fmt: skip
    log.to_parquet(tmp_path / "decisions.parquet")
    rows = [
        (one, who, rng.choice(["upheld", "overturned"] if i % 3 == 0 else ["upheld"]))
        for i, one in enumerate(log["decision_id"])
        for who in ("ana", "bo", "cy")
    ]
    reviews = pd.DataFrame(rows, columns=["decision_id", "reviewer_id", "verdict"]).assign(
        review_id=lambda t: [f"r{i}" for i in range(len(t))],
        reviewed_at=start + pd.Timedelta(days=1), source="audit", inclusion_probability=0.5, site="Riga",
    )  # fmt: skip
    reviews.to_parquet(tmp_path / "reviews.parquet")
    (tmp_path / "policies.yaml").write_text(
        "policies:\n  - {policy_id: spam, name: Spam, severity: 2, clause: No bulk offers.}\n"
        "  - {policy_id: scam, name: Scam, severity: 4}\n"
    )
    (tmp_path / "config.yaml").write_text(
        "version: 1\ndata: {decisions: decisions.parquet, reviews: reviews.parquet, policies: policies.yaml}\n"
    )
    return load_config(tmp_path / "config.yaml")


def fill(path, out, answers, **further):
    """Fill in a form as a person would, with a spreadsheet program."""
    book = openpyxl.load_workbook(path)
    sheet = book.worksheets[0]
    names = [one.value for one in sheet[1]]
    for row in range(2, sheet.max_row + 1):
        for name, value in {**answers(row - 2), **further}.items():
            sheet.cell(row, names.index(name) + 1).value = value
    book.save(out)
    return out


def test_ballots_are_blind_and_hold_what_people_need(config, tmp_path):
    out = tmp_path / "session"
    result = calibrate(config, out, policy="spam")
    assert result.n_items == 20
    names, rows, _ = read_sheet(io.BytesIO((out / "ballots.xlsx").read_bytes()), "b", "Ballot")
    assert len(rows) == 20
    assert not set(names) & set(MACHINE)
    assert {"clause", "text", "verdict", "reviewer_id"} <= set(names)
    tasks = json.loads((out / "tasks.json").read_text())
    assert [task["predictions"] for task in tasks] == [[]] * 20
    assert not {key for task in tasks for key in (*task["data"], *task["meta"])} & set(MACHINE)
    assert all(task["data"]["text"].startswith("=offer") for task in tasks)
    everything = b"".join(one.read_bytes() for one in out.iterdir() if one.is_file())
    for name in (b"shop-", b"ana", b"Riga"):
        assert name not in everything.replace(b"shown", b"")
    items = pq.read_table(out / LEADER / "items.parquet").to_pandas()
    split = items["n_applies"].between(1, 2)
    assert split.mean() > 0.6  # the reviews differ on a quarter of all
    again = calibrate(config, tmp_path / "again", policy="spam")
    assert (out / "ballots.xlsx").read_bytes() == (tmp_path / "again/ballots.xlsx").read_bytes()
    assert again.session == result.session


def test_answers_come_back_with_agreement_and_precedents(config, tmp_path):
    out = tmp_path / "session"
    calibrate(config, out, policy="spam")
    people = [
        fill(out / "ballots.xlsx", tmp_path / f"{who}.xlsx",
             lambda i, k=k: {"verdict": "upheld" if (i + k) % 2 else "overturned"}, reviewer_id=who)
        for k, who in enumerate(("ana", "bo"))
    ]  # fmt: skip
    later = [
        fill(out / "ballots.xlsx", tmp_path / f"{who}-2.xlsx", lambda i: {"verdict": "upheld"})
        for who in ("ana", "bo")
    ]
    ruled = fill(
        out / "rulings.xlsx", tmp_path / "ruled.xlsx",
        lambda i: {"ruling": "upheld" if i else "maybe", "reason": "bulk <is> bulk"}, decided_by="Eva",
    )  # fmt: skip
    result = ingest_calibration(config, out, people, after=later, rulings=[ruled])
    shares = result.agreement[result.agreement["measure"] == "agreement"].set_index("stage")
    assert shares["value"][["ballots", "after", "change"]].tolist() == [0, 1, 1]
    assert shares["low"]["change"] > 0
    assert result.n_precedents == 19
    assert any("1 rows cannot be used" in note for note in result.notes)
    ballots = pq.read_table(out / "results/ballots.parquet").to_pandas()
    assert ballots["reviewer_id"].str.startswith("reviewer-").all()
    assert len(ballots) == 80
    held = known_precedents(config)
    assert set(held["reason"]) == {"bulk <is> bulk"}
    assert set(held["clause"]) == {"No bulk offers."}
    again = ingest_calibration(config, out, people, after=later, rulings=[ruled])
    assert again.n_precedents == 0
    further = calibrate(config, tmp_path / "next", policy="spam")
    assert not set(further.items["decision_id"]) & set(held["decision_id"])
    assert forget(config, reviewer="Eva").n_precedents == 19
    assert forget(config, account="shop-1").n_precedents == int("d1" in set(held["decision_id"]))


def test_people_may_write_a_policys_name_and_no_other_word(config, tmp_path):
    out = tmp_path / "session"
    calibrate(config, out, policy="spam")
    names, rows, _ = read_sheet(io.BytesIO((out / "ballots.xlsx").read_bytes()), "b", "Policies")
    assert (names, rows) == (["right_policy", "policy"], [["spam", "Spam"], ["scam", "Scam"]])
    written = ["Scam", " scam", "SCAM", "fraud", "scam; spam"]
    ballot = fill(
        out / "ballots.xlsx", tmp_path / "ana.xlsx",
        lambda i: {"verdict": "relabelled", "right_policy": written[i]} if i < 5 else {},
    )  # fmt: skip
    days = ["2026-03-01", "01.02.2026"]
    ruled = fill(
        out / "rulings.xlsx", tmp_path / "ruled.xlsx",
        lambda i: {"ruling": "upheld", "ruled_on": days[i], "decided_by": "Eva"} if i < 2 else {},
    )  # fmt: skip
    result = ingest_calibration(config, out, [ballot], rulings=[ruled])
    ballots = pq.read_table(out / "results/ballots.parquet").to_pandas()
    assert ballots["correct_policy_id"].tolist() == ["scam"] * 3
    rejects = pq.read_table(out / "results/rejects.parquet").to_pandas()
    assert [reason.rpartition("got ")[2] for reason in rejects["reason"]] == [
        "'fraud'",
        "'scam; spam'",
    ]
    assert any("1 rulings have a ruled_on" in note for note in result.notes)
    ruled_at = known_precedents(config)["ruled_at"]
    assert (ruled_at == pd.Timestamp("2026-03-01", tz="UTC")).sum() == 1


def test_rulings_are_shown_next_to_later_cases(config, tmp_path):
    out = tmp_path / "session"
    calibrate(config, out, policy="spam")
    ruled = fill(
        out / "rulings.xlsx", tmp_path / "ruled.xlsx",
        lambda i: {"ruling": "overturned", "reason": f"case {i} <b>"}, decided_by="Eva",
    )  # fmt: skip
    ballots = fill(out / "ballots.xlsx", tmp_path / "a.xlsx", lambda i: {"verdict": "upheld"})
    ingest_calibration(config, out, [ballots], rulings=[ruled])
    queue = tmp_path / "queue.parquet"
    rows = pd.DataFrame({"decision_id": ["d99", "d119"], "rank": [1, 2], "policy_id": ["spam", "scam"]})  # fmt: skip
    rows.to_parquet(queue)
    export(config, "label-studio", tmp_path / "tasks.json", queue=queue, label_config=tmp_path / "c.xml")  # fmt: skip
    first, second = json.loads((tmp_path / "tasks.json").read_text())
    lines = first["data"]["precedents"].splitlines()
    assert len(lines) == 3
    assert all("the action was wrong. case" in line for line in lines)
    own = dict(zip(["action", "market"], [first["data"]["action"], first["data"]["market"]], strict=True))  # fmt: skip
    assert f"action {own['action']}, market {own['market']}" in lines[0]
    assert second["data"]["precedents"] == ""
    assert "Eva" not in (tmp_path / "tasks.json").read_text()
    assert "$precedents" in (tmp_path / "c.xml").read_text()


def test_ballots_of_label_studio_are_read_by_calibrate_alone(config, tmp_path):
    out = tmp_path / "session"
    calibrate(config, out, policy="spam")
    tasks = json.loads((out / "tasks.json").read_text())
    for number, task in enumerate(tasks, start=1):
        verdict = {"from_name": "verdict", "type": "choices", "value": {"choices": ["upheld"]}}
        task["id"] = number
        task["annotations"] = [
            {"id": 100 * who + number, "completed_by": who, "lead_time": 9.0, "was_cancelled": False,
             "created_at": "2026-03-01T12:00:00Z", "updated_at": "2026-03-01T12:00:00Z", "result": [verdict]}
            for who in (1, 2)
        ]  # fmt: skip
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    result = ingest_calibration(config, out, [tmp_path / "export.json"])
    shares = result.agreement[result.agreement["measure"] == "agreement"].set_index("stage")
    assert shares["n_answers"]["ballots"] == 40
    assert shares["value"]["ballots"] == 1
    refused = ingest(config, tmp_path / "export.json")
    assert (refused.n_new, refused.n_rejected) == (0, 40)
    rejects = pq.read_table(tmp_path / "rejects.parquet")["reason"].to_pylist()
    assert set(rejects) == {
        "a ballot of a calibration session is no review: errdetect calibrate --ingest reads it"
    }


def test_faults_are_named(config, tmp_path):
    with pytest.raises(ConfigError, match="--policy must be a policy of the log"):
        calibrate(config, tmp_path / "s", policy="nope")
    with pytest.raises(DataError, match="must hold a calibration session"):
        ingest_calibration(config, tmp_path / "none", [tmp_path / "a.xlsx"])
    calibrate(config, tmp_path / "s", policy="spam")
    with pytest.raises(DataError, match="must be a file"):
        ingest_calibration(config, tmp_path / "s", [tmp_path / "a.xlsx"])
    (tmp_path / "a.csv").write_text("decision_id,answer\nd1,upheld\n")
    with pytest.raises(DataError, match="must have the columns verdict"):
        ingest_calibration(config, tmp_path / "s", [tmp_path / "a.csv"])
    (tmp_path / "b.csv").write_text("decision_id,verdict\nd999,upheld\n")
    empty = ingest_calibration(config, tmp_path / "s", [tmp_path / "b.csv"])
    assert set(empty.items["reading"]) == {"no ballots"}
