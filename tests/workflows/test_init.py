"""init: what files are taken for, the config that comes of it, and what it leaves open."""

import sys
from pathlib import Path

import pandas as pd
import pytest

from errdetect.config import load_config
from errdetect.errors import ConfigError
from errdetect.workflows.init import init
from errdetect.workflows.load_data import read_tables
from errdetect.workflows.run import run

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
import platform_pairs
from table_pairs import PAIRS, bpo


def wrongly_mapped(found, truth):
    sure = {one.column: one.target for one in found.guesses if one.sure}
    return {name: target for name, target in sure.items() if truth.get(name) != target}


@pytest.mark.parametrize("make", PAIRS, ids=lambda make: make.__name__)
def test_columns_are_mapped_and_the_config_validates(tmp_path, make):
    pair = make()
    result = init([str(file) for file in pair.files(tmp_path)], tmp_path / "c.yaml")
    assert [one.role for one in result.tables] == ["decisions", "reviews"]
    right = 0
    for found, truth in zip(result.tables, (pair.log_truth, pair.review_truth), strict=True):
        assert wrongly_mapped(found, truth) == {}
        right += len({one.column for one in found.guesses if one.sure} & set(truth))
    assert right >= 0.9 * (len(pair.log_truth) + len(pair.review_truth))
    assert result.problem == ""
    loaded = read_tables(load_config(tmp_path / "c.yaml"), progress=lambda _: None)
    assert len(loaded.decisions.frame) == len(pair.log)
    assert loaded.reviews is not None
    assert len(loaded.reviews.frame) == len(pair.reviews)
    assert loaded.reviews.frame["verdict"].isin(["upheld", "overturned"]).all()
    assert loaded.snapshot.reviews["decision_id"].isin(loaded.decisions.frame["decision_id"]).all()


#: Pairs with a word that nobody could know: it is named, and the config says where it goes.
_OPEN = {
    "forum": "'hold' means allow or enforce",
    "jobs": "'Held back' means",
    "mexican": "is the verdict",
}


@pytest.mark.parametrize("make", platform_pairs.PLATFORMS, ids=lambda make: make.__name__)
def test_nine_of_ten_columns_of_any_platform_are_mapped(tmp_path, make):
    log, reviews, log_truth, review_truth, log_name, review_name, how = make()
    files = [
        platform_pairs.write(log, tmp_path / log_name, how),
        platform_pairs.write(reviews, tmp_path / review_name, how),
    ]
    result = init([str(file) for file in files], tmp_path / "c.yaml")
    assert [one.role for one in result.tables] == ["decisions", "reviews"]
    right, wrong = 0, {}
    for found, truth in zip(result.tables, (log_truth, review_truth), strict=True):
        sure = {one.column: one.target for one in found.guesses if one.sure}
        for column, target in sure.items():
            if target in truth.get(column, "").split("|"):
                right += 1
            else:
                wrong[column] = target
    assert wrong == {}
    assert right >= 0.9 * len(log_truth | {f"r {name}": "" for name in review_truth})
    load_config(tmp_path / "c.yaml")
    if make.__name__ in _OPEN:
        assert _OPEN[make.__name__] in "\n".join(result.open_points)
        return
    assert result.problem == ""
    loaded = read_tables(load_config(tmp_path / "c.yaml"), progress=lambda _: None)
    assert loaded.reviews is not None
    assert (len(loaded.decisions.frame), len(loaded.reviews.frame)) == (len(log), len(reviews))


def test_a_config_is_never_overwritten(tmp_path):
    files = [str(file) for file in PAIRS[0]().files(tmp_path)]
    (tmp_path / "c.yaml").write_text("mine")
    with pytest.raises(ConfigError, match="must be a new file"):
        init(files, tmp_path / "c.yaml")
    assert (tmp_path / "c.yaml").read_text() == "mine"


def log(n: int = 60, **columns: object) -> pd.DataFrame:
    frame = pd.DataFrame({
        "case_id": [f"c{i}" for i in range(n)], "decided_at": "2026-03-01T10:00Z",
        "policy": ["spam", "hate"] * (n // 2), "action": ["remove", "approve"] * (n // 2),
    })  # fmt: skip
    return frame.assign(**columns)


def test_what_is_not_known_is_marked_and_not_used(tmp_path):
    odd = ["remove", "approve", "remove", "ZONK"] * 15
    log(action=odd, wobble=range(60)).to_csv(tmp_path / "log.csv", index=False)
    result = init([str(tmp_path / "log.csv")], tmp_path / "c.yaml")
    text = (tmp_path / "c.yaml").read_text()
    assert "# ZONK: allow" in text
    assert "allow or enforce (15 rows)" in "\n".join(result.open_points)
    assert "reviews" in "\n".join(result.open_points)
    assert "wobble" not in text
    assert "ZONK" in result.problem


def test_questions_are_asked_only_when_wanted(tmp_path):
    odd = ["remove", "approve", "remove", "ZONK"] * 15
    log(action=odd, decided_at="03/04/2026").to_csv(tmp_path / "log.csv", index=False)
    asked = []

    def answer(question, answers):
        asked.append(question)
        return answers[1]

    result = init([str(tmp_path / "log.csv")], tmp_path / "c.yaml", ask=answer)
    assert any("ZONK" in one for one in asked)
    assert result.problem == ""
    config = load_config(tmp_path / "c.yaml")
    assert config.data.actions == {"ZONK": "allow"}
    assert config.data.decisions.dates == "month_first"


@pytest.mark.parametrize(
    "name", ['a: "b"', "x\x1b[31m", "- id", "#1", "Ja/Nein?", "on", "123", "a\tb", "é"]
)
def test_hostile_names_are_quoted(tmp_path, name):
    log().rename(columns={"case_id": "decision_id"}).assign(**{name: ["DE", "FR"] * 30}).to_csv(
        tmp_path / "log.csv", index=False
    )
    result = init([str(tmp_path / "log.csv")], tmp_path / "c.yaml")
    assert result.problem == ""
    assert "\x1b" not in (tmp_path / "c.yaml").read_text()


def test_a_column_that_only_has_our_name_is_set_aside(tmp_path):
    log(score=range(60), model_confidence=[i / 60 for i in range(60)]).to_csv(
        tmp_path / "log.csv", index=False
    )
    result = init([str(tmp_path / "log.csv")], tmp_path / "c.yaml")
    frame = read_tables(load_config(tmp_path / "c.yaml"), progress=lambda _: None).decisions.frame
    assert result.problem == ""
    assert frame["score"].max() <= 1


def test_run_says_what_it_skipped_and_what_to_open(tmp_path):
    pair = bpo()
    init([str(file) for file in pair.files(tmp_path)], tmp_path / "c.yaml")
    config = load_config(tmp_path / "c.yaml", ["train.trials=0", "evaluate.bootstrap=50"])
    result = run(config, tmp_path / "out")
    steps = {one.name: one for one in result.steps}
    assert list(steps) == ["validate", "train", "score", "estimate", "report"]
    assert not steps["estimate"].done
    assert "hold an audit" in steps["estimate"].summary
    assert steps["report"].done
    assert result.files["policy report"].exists()
    assert result.lines()[-1].endswith(str(list(result.files.values())[-1]))


def test_an_empty_column_of_our_name_is_called_empty(tmp_path):
    rows = "\n".join(f"d{i},2026-01-0{i % 9 + 1},spam,remove,," for i in range(40))
    (tmp_path / "log.csv").write_text(
        f"decision_id,decided_at,policy_id,action,market,text\n{rows}\n"
    )
    init([str(tmp_path / "log.csv")], tmp_path / "errdetect.yaml")
    lines = (tmp_path / "errdetect.yaml").read_text().splitlines()
    (line,) = [one for one in lines if "their_market" in one]
    assert line.endswith("# empty in this file")


def test_a_column_of_our_name_keeps_it_where_some_times_cannot_be_read(tmp_path):
    times = [
        "2026-01-05T12:00:00Z",
        "20260105T120000Z",
        "2026-01-06 10:00:00 +0000 UTC",
        "12:00 CET",
        "soon",
    ]
    rows = "\n".join(f"d{i},{times[i % 5]},spam,remove" for i in range(40))
    (tmp_path / "log.csv").write_text(f"decision_id,decided_at,policy_id,action\n{rows}\n")
    result = init([str(tmp_path / "log.csv")], tmp_path / "errdetect.yaml")
    assert "their_decided_at" not in (tmp_path / "errdetect.yaml").read_text()
    assert "decided_at" in result.problem  # the bad times are named with counts


def test_days_that_a_sheet_counts_are_read(tmp_path):
    rows = "\n".join(f"d{i},{46054 + i},spam,remove" for i in range(40))
    (tmp_path / "log.csv").write_text(f"decision_id,decision date,policy_id,action\n{rows}\n")
    result = init([str(tmp_path / "log.csv")], tmp_path / "c.yaml")
    assert result.problem == ""
    config = load_config(tmp_path / "c.yaml")
    assert config.data.decisions.dates == "day_numbers"
    frame = read_tables(config, progress=lambda _: None).decisions.frame
    assert frame["decided_at"].min() == pd.Timestamp("2026-02-01", tz="UTC")


def test_reviews_of_appeals_are_no_random_sample(tmp_path):
    log().to_csv(tmp_path / "log.csv", index=False)
    pd.DataFrame({
        "appeal ref": [f"a{i}" for i in range(30)], "case_id": [f"c{i}" for i in range(30)],
        "resolved": "2026-03-04T10:00Z", "outcome": ["granted", "denied"] * 15,
    }).to_csv(tmp_path / "answers.csv", index=False)  # fmt: skip
    result = init([str(tmp_path / one) for one in ("log.csv", "answers.csv")], tmp_path / "c.yaml")
    assert result.problem == ""
    reviews = read_tables(load_config(tmp_path / "c.yaml"), progress=lambda _: None).reviews
    assert reviews is not None
    assert dict(reviews.frame["verdict"].value_counts()) == {"overturned": 15, "upheld": 15}
    assert set(reviews.frame["source"]) == {"appeal"}


def test_a_config_of_unknown_words_alone_is_still_a_config(tmp_path):
    log().to_csv(tmp_path / "log.csv", index=False)
    pd.DataFrame({
        "case_id": [f"c{i}" for i in range(30)], "checked_at": "2026-03-04T10:00Z", "verdict": ["glorp", "zonk"] * 15,
    }).to_csv(tmp_path / "qa.csv", index=False)  # fmt: skip
    result = init([str(tmp_path / one) for one in ("log.csv", "qa.csv")], tmp_path / "c.yaml")
    assert load_config(tmp_path / "c.yaml").data.reviews.values == {}
    assert "what 'glorp' means as a verdict (15 rows)" in result.open_points
