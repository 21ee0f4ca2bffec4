"""The command that removes a person, and what it says that it cannot."""

import json
import shutil

import pytest

from errdetect.config import load_config
from errdetect.errors import ConfigError
from errdetect.workflows.forget import forget
from errdetect.workflows.ingest import ingest
from errdetect.workflows.simulate import simulate


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    out = tmp_path_factory.mktemp("forget")
    simulate(out, decisions=300, days=20, seed=2)
    return out


def test_a_reviewer_leaves_the_ledger(place, tmp_path):
    import pandas as pd

    reviews = pd.read_parquet(place / "reviews.parquet")
    name = reviews["reviewer_id"].dropna().iloc[0]
    config = load_config(place / "config.yaml", [f"ledger.url=sqlite:///{tmp_path}/l.db"])
    ingest(config, str(place / "reviews.parquet"))
    result = forget(config, reviewer=name)
    assert result.n_reviews == int((reviews["reviewer_id"] == name).sum())
    again = forget(config, reviewer=name)
    assert again.n_reviews == 0
    assert again.lines()[0] == "Removed the reviewer from the ledger: nothing there."
    assert any("data.reviews are yours" in line for line in result.lines())
    account = forget(config, account=pd.read_parquet(place / "decisions.parquet")["account_id"][0])
    assert (account.who, account.n_queued) == ("account", 0)


def test_one_person_must_be_named(place, tmp_path):
    config = load_config(place / "config.yaml", [f"ledger.url=sqlite:///{tmp_path}/l.db"])
    for given in ({}, {"account": "a", "reviewer": "b"}, {"account": ""}):
        with pytest.raises(ConfigError, match="must name an account or a reviewer"):
            forget(config, **given)
    assert forget(config, reviewer="nobody").n_reviews == 0
    assert not (tmp_path / "l.db").exists()


def test_content_leaves_the_files_for_people(place, tmp_path):
    """Whatever the format of an export or a session: the account's content is gone, that of others stays."""
    import zipfile

    import pandas as pd

    from errdetect.data.atomic_writing import stage_outputs, write_csv
    from errdetect.data.provenance import Provenance, digest_file, read_run
    from errdetect.integrations.calibration_ballots import ballot_files

    base = tmp_path / "project"
    shutil.copytree(place, base)
    log = pd.read_parquet(base / "decisions.parquet")
    account = log["account_id"].dropna().iloc[0]
    mine = log["account_id"] == account
    words = {True: "mine & <only>", False: "somebody else's"}
    rows = pd.concat([log[mine].head(2), log[~mine].head(2)]).reset_index(drop=True)
    rows["text"] = [words[one] for one in (rows["account_id"] == account)]
    rows["title"] = rows["text"] + " title"
    shown = rows[["decision_id", "policy_id", "text", "title"]].assign(item=range(1, len(rows) + 1))
    with stage_outputs(base / "out", Provenance("export", "1")) as stage:
        for name, content in ballot_files(shown, {}, session="C-1").items():
            (stage / name).write_bytes(content)
        write_csv(shown, stage / "export.csv")
        lines = [json.dumps(one) for one in shown.to_dict("records")]
        (stage / "export.jsonl").write_text("\n".join(lines) + "\n")
    (base / "returned.xlsx").write_bytes((base / "out" / "ballots.xlsx").read_bytes())
    told = ["export.columns=[text, title, action]", f"ledger.url=sqlite:///{tmp_path}/l.db"]
    result = forget(load_config(base / "config.yaml", told), account=account)
    assert result.n_files == 5
    assert base / "returned.xlsx" in result.files  # whoever filled it in keeps it; it is named
    for file in sorted((base / "out").iterdir()):
        held = file.read_bytes()
        if file.suffix == ".xlsx":
            with zipfile.ZipFile(file) as book:
                held = b"".join(book.read(name) for name in book.namelist())
        assert b"mine &" not in held
        if file.suffix in (".xlsx", ".csv", ".jsonl") or file.name == "tasks.json":
            assert held.count(b"somebody else's title") == 2
            assert rows["decision_id"][0].encode() in held  # the row stays
    outputs = read_run(base / "out").outputs
    assert all(digest_file(base / "out" / name) == told for name, told in outputs.items())


def test_a_returned_workbook_that_names_a_reviewer_is_told(place, tmp_path):
    import pandas as pd

    from errdetect.data.excel_writing import FormSheet, workbook_bytes

    base = tmp_path / "project"
    shutil.copytree(place, base)
    answers = pd.DataFrame({"verdict": ["upheld"], "reviewer_id": ["Zoe Back"]})
    (base / "answers.xlsx").write_bytes(workbook_bytes({"Ballot": FormSheet(answers)}))
    config = load_config(base / "config.yaml", [f"ledger.url=sqlite:///{tmp_path}/l.db"])
    assert base / "answers.xlsx" in forget(config, reviewer="Zoe Back").files
