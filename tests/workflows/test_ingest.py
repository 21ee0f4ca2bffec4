"""Finished reviews come in, are counted by every job, and never twice."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from errdetect.cli import app
from errdetect.config import load_config
from errdetect.data.database_tables import write_table
from errdetect.errors import ConfigError, DataError
from errdetect.ledger.ledger import open_ledger
from errdetect.ledger.run_records import ScoringRun
from errdetect.schemas import REJECTS
from errdetect.workflows.ingest import ingest
from errdetect.workflows.load_data import load_reviews, load_snapshot
from errdetect.workflows.project_ledger import open_project_ledger
from errdetect.workflows.score import score

START = pd.Timestamp("2026-03-01", tz="UTC")


def quiet(_):
    return None


@pytest.fixture
def place(tmp_path):
    """A folder with ten decisions, two reviews and a config."""
    n = 10
    decisions = pd.DataFrame(
        {
            "decision_id": [f"d{i}" for i in range(n)],
            "decided_at": START + pd.to_timedelta(np.arange(n), "h"),
            "item_id": [f"i{i}" for i in range(n)],
            "policy_id": "spam",
            "action": ["remove", "approve"] * 5,
        }
    )
    decisions.to_parquet(tmp_path / "decisions.parquet")
    reviews(["d0", "d1"]).to_parquet(tmp_path / "reviews.parquet")
    data = {"decisions": "decisions.parquet", "reviews": "reviews.parquet"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"version": 1, "data": data}))
    return tmp_path


def reviews(ids, **columns):
    return pd.DataFrame(
        {
            "review_id": [f"r-{one}" for one in ids],
            "decision_id": list(ids),
            "reviewed_at": START + pd.Timedelta(hours=47),
            "source": "re_review",
            "verdict": "overturned",
        }
    ).assign(**columns)


@pytest.fixture(params=["sqlite", "postgresql"])
def kept(request, place, postgres_server):
    if request.param == "sqlite":
        return load_config(place / "config.yaml")
    import psycopg

    with psycopg.connect(postgres_server.get_uri(), autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA ingest_{abs(hash(place))}")
    url = f"{postgres_server.get_uri()}&options=-csearch_path%3Dingest_{abs(hash(place))}"
    return load_config(place / "config.yaml", [f"ledger.url={json.dumps(url)}"])


def test_reviews_come_in_once_and_every_job_counts_them(kept, place):
    before = load_snapshot(kept, progress=quiet)
    assert not (place / "errdetect.db").exists()
    reviews(["d2", "d3"]).to_csv(place / "new.csv", index=False)
    result = ingest(kept, place / "new.csv")
    assert (result.n_new, result.n_known, result.n_rejected) == (2, 0, 0)
    assert result.files == {}
    again = ingest(kept, place / "new.csv")
    assert (again.n_new, again.n_known, again.n_rejected) == (0, 2, 0)
    after = load_snapshot(kept, progress=quiet)
    assert after.reviews.frame["review_id"].tolist() == ["r-d0", "r-d1", "r-d2", "r-d3"]
    assert after.reviews.frame.dtypes.equals(before.reviews.frame.dtypes)
    assert after.notes == (*before.notes, "reviews from the ledger: 2")
    assert after.reviews.frame["inclusion_probability"].isna().all()


def test_what_cannot_be_used_is_told_and_the_rest_kept(kept, place):
    with open_ledger(kept.ledger_url()) as ledger:
        scored = pd.DataFrame({"decision_id": ["elsewhere"], "inclusion_probability": [0.5]})
        run = ScoringRun("r", "1", START.to_pydatetime())
        ledger.record_run(run, scored.iloc[:0], scored)
    ingest(kept, _write(place, reviews(["d2"])))
    bad = pd.concat(
        [
            reviews(["d2"], verdict="upheld"),
            reviews(["d3", "elsewhere", "nowhere"]),
            reviews(["d4"], verdict="maybe"),
            reviews(["d5"], reviewer_id="a\0b"),
            reviews(["d3"]),
        ]
    )
    result = ingest(kept, _write(place, bad), out=place / "out")
    assert (result.n_new, result.n_known, result.n_rejected) == (2, 1, 4)
    rejects = pd.read_parquet(place / "out" / "rejects.parquet")
    assert list(rejects.columns) == REJECTS.names
    told = dict(zip(rejects["id"], rejects["reason"], strict=True))
    assert told == {
        "r-d2": "review_id must have one answer at one moment, got one known with other values, "
        "which is kept (a correction needs a later updated_at or reviewed_at)",
        "r-nowhere": "decision_id must be one of the decisions, or of those scored, got nowhere",
        "r-d4": "verdict must be one of upheld, overturned, relabelled, got 'maybe'",
        "r-d5": "reviewer_id must hold no NUL character, got one",
    }
    known = load_reviews(kept, progress=quiet).frame
    assert sorted(known["review_id"]) == ["r-d0", "r-d1", "r-d2", "r-d3", "r-elsewhere"]
    assert known.set_index("review_id").loc["r-d2", "verdict"] == "overturned"


def _write(place, frame):
    frame.to_json(place / "in.jsonl", orient="records", lines=True, date_format="iso")
    return place / "in.jsonl"


def test_a_review_in_file_and_ledger_counts_once(kept, place):
    both = pd.concat([reviews(["d0"]), reviews(["d1"], verdict="upheld"), reviews(["d4"])])
    ingest(kept, _write(place, both))
    read = load_snapshot(kept, progress=quiet)
    frame = read.reviews.frame.set_index("review_id")
    assert frame.index.tolist() == ["r-d0", "r-d1", "r-d4"]
    assert frame.loc["r-d1", "verdict"] == "overturned"
    assert read.rejects["id"].tolist() == ["r-d1"]
    assert read.rejects["reason"].tolist() == [
        "review_id must have one answer at one moment, got other values than the file's, "
        "which is kept"
    ]
    assert read.reviews.n_duplicates == 1
    assert read.reviews.n_rows == len(frame) + len(read.rejects) + 1 == 5


def test_the_ledger_alone_is_enough(place):
    config = load_config(place / "config.yaml", ["data.reviews=null"])
    assert load_reviews(config, progress=quiet) is None
    with pytest.raises(ConfigError, match=r"import some with `errdetect ingest`"):
        load_snapshot(config, progress=quiet, need_reviews=True)
    ingest(config, _write(place, reviews(["d2"])))
    read = load_snapshot(config, progress=quiet, need_reviews=True)
    assert read.reviews.frame["review_id"].tolist() == ["r-d2"]
    assert read.rejects.empty


def test_a_file_without_a_usable_row_changes_nothing(place):
    config = load_config(place / "config.yaml")
    with pytest.raises(DataError, match="verdict"):
        ingest(config, _write(place, reviews(["d1"], verdict="maybe")))
    assert sorted(p.name for p in place.iterdir()) == [
        "config.yaml", "decisions.parquet", "in.jsonl", "reviews.parquet",
    ]  # fmt: skip


def test_everything_from_a_database(place):
    url = f"sqlite:///{place}/shop.db"
    write_table(pd.read_parquet(place / "decisions.parquet"), url, "decisions")
    write_table(reviews(["d0", "d1"]), url, "reviews")
    write_table(reviews(["d2"]), url, "finished")
    (place / "config.yaml").write_text(
        "version: 1\ndata:\n"
        "  decisions: {url: 'sqlite:///${SHOP:-shop.db}', table: decisions}\n"
        "  reviews: {url: 'sqlite:///shop.db', query: \"SELECT * FROM reviews WHERE 1 = 1\"}\n"
    )
    config = load_config(place / "config.yaml")
    assert ingest(config, f"{url}::finished").n_new == 1
    read = load_snapshot(config, progress=quiet)
    assert len(read.decisions.frame) == 10
    assert len(read.reviews.frame) == 3


def test_decisions_are_scored_from_a_table_as_from_a_file(trained, market, tmp_path):
    """Equal scores, queue and run; what the ledger says was judged is not queued again."""
    config = load_config(market / "config.yaml")
    new = pd.read_parquet(market / "decisions.parquet").tail(400)
    new.to_parquet(tmp_path / "new.parquet")
    url = f"sqlite:///{tmp_path}/shop.db"
    write_table(new, url, "new")
    one = score(config, tmp_path / "new.parquet", tmp_path / "a", budget=20)
    other = score(config, f"{url}::new", tmp_path / "b", budget=20)
    assert one.run_id == other.run_id
    queue = pd.read_parquet(tmp_path / "a" / "queue.parquet")
    same = pd.read_parquet(tmp_path / "b" / "queue.parquet")
    pd.testing.assert_frame_equal(
        queue.drop(columns=["scored_at", "reasons"]), same.drop(columns=["scored_at", "reasons"])
    )
    first = queue["decision_id"].head(1).tolist()
    ledgered = load_config(market / "config.yaml", [f"ledger.url=sqlite:///{tmp_path}/ledger.db"])
    ingest(ledgered, _write(tmp_path, reviews(first)))
    score(ledgered, tmp_path / "new.parquet", tmp_path / "c", budget=20)
    after = pd.read_parquet(tmp_path / "c" / "queue.parquet")
    assert first[0] not in after["decision_id"].tolist()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "{url: 'postgresql://u:hunter2@h/d'}",
            "data.decisions: must name a table or a query, got neither",
        ),
        ("{url: 'postgresql://u:hunter2@h/d', table: a, query: b}", "got both"),
        (
            "{url: 'postgresql://u:hunter2@h/d', query: DELETE}",
            "query must begin with SELECT or WITH",
        ),
        ("{url: 'postgresql://u:hunter2@h/d', tabel: a}", "Did you mean 'data.decisions.table'?"),
        ("{table: a}", "data.decisions.url is missing"),
        ("3", "data.decisions"),
    ],
)
def test_faults_of_a_database_source_are_told_without_its_password(place, text, says):
    (place / "config.yaml").write_text(f"version: 1\ndata: {{decisions: {text}}}\n")
    with pytest.raises(ConfigError) as error:
        load_config(place / "config.yaml")
    assert says in str(error.value)
    assert "hunter2" not in str(error.value)


def test_a_config_does_not_show_its_passwords(place):
    config = load_config(
        place / "config.yaml",
        [
            "ledger.url=postgresql://u:hunter2@h/d",
            "data.decisions={url: 'postgresql://u:hunter2@h/d', table: t}",
        ],
    )
    assert "hunter2" not in repr(config)
    assert "hunter2" in config.ledger_url()


def test_the_command(place):
    _write(place, reviews(["d2", "nowhere"]))
    words = ["ingest", str(place / "config.yaml"), "--reviews", str(place / "in.jsonl"), "-q"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "New reviews: 1; already known: 0; unusable: 1." in done.stdout
    assert "rejects.parquet" in done.stdout
    told = CliRunner().invoke(app, [*words, "--json"])
    assert json.loads(told.stdout)["n_known"] == 1


def test_a_ledger_that_cannot_be_reached_ends_clearly(place):
    _write(place, reviews(["d2"]))
    words = ["ingest", "config.yaml", "--reviews", "in.jsonl"]
    wrong = ["--set", "ledger.url=postgresql://u:hunter2@localhost:1/d"]
    done = subprocess.run(
        [sys.executable, "-m", "errdetect", *words, *wrong],
        cwd=place,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "errdetect: The database postgresql://localhost:1/d cannot be used" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_correction_counts_and_its_first_answer_is_kept(kept, place):
    assert ingest(kept, _write(place, reviews(["d2", "d3"]))).n_new == 2
    later = reviews(["d2"], verdict="upheld", reviewed_at=START + pd.Timedelta(days=5))
    result = ingest(kept, _write(place, later))
    assert (result.n_new, result.n_corrected, result.n_known, result.n_rejected) == (0, 1, 0, 0)
    assert "New reviews: 0; corrected: 1; already known: 0" in result.lines()[0]
    again = ingest(kept, _write(place, later))
    assert (again.n_corrected, again.n_known) == (0, 1)
    between = reviews(["d2"], verdict="relabelled", updated_at=START + pd.Timedelta(days=3))
    earlier = ingest(kept, _write(place, between))
    assert (earlier.n_earlier, earlier.n_corrected) == (1, 0)
    assert "earlier versions of known reviews: 1" in earlier.lines()[0]
    read = load_snapshot(kept, progress=quiet)
    assert len(read.reviews.frame) == 6
    for day, label in ((1, "unknown"), (2, "error"), (3, "error"), (4, "error"), (5, "correct")):
        as_of = START + pd.Timedelta(days=day)
        then = read.snapshot.before(as_of.to_pydatetime())
        assert then.labels.set_index("decision_id").loc["d2", "label"] == label, day
        assert len(then.known_reviews) == {1: 0, 2: 4, 3: 5, 4: 5, 5: 6}[day]


def test_a_conflict_is_told_beside_a_correction_of_the_same_review(kept, place):
    ingest(kept, _write(place, reviews(["d2"])))
    rows = pd.concat(
        [
            reviews(["d2"], verdict="upheld"),
            reviews(["d2"], verdict="upheld", reviewed_at=START + pd.Timedelta(days=4)),
        ]
    )
    result = ingest(kept, _write(place, rows))
    assert (result.n_corrected, result.n_rejected) == (1, 1)
    rejects = pd.read_parquet(place / "rejects.parquet")
    assert rejects["id"].tolist() == ["r-d2"]


def annotation(number, decision, verdict="overturned"):
    """One annotation as a target storage of Label Studio holds it."""
    at = "2026-03-02T10:00:00Z"
    result = [{"from_name": "verdict", "type": "choices", "value": {"choices": [verdict]}}]
    task = {"id": number, "data": {"decision_id": decision}}
    return {"id": number, "completed_by": {"id": 1}, "created_at": at, "updated_at": at,
            "lead_time": 60.0, "result": result, "task": task}  # fmt: skip


def test_globs_folders_and_several_files(place):
    config = load_config(place / "config.yaml")
    storage = place / "storage"
    storage.mkdir()
    for number in range(4):
        (storage / str(number)).write_text(json.dumps(annotation(number, f"d{number}")))
    reviews(["d7"]).to_csv(place / "new-1.csv", index=False)
    reviews(["d8"]).to_csv(place / "new-2.csv", index=False)
    assert ingest(config, storage).n_new == 4
    assert ingest(config, str(storage / "*")).n_known == 4
    result = ingest(config, [str(place / "new-*.csv"), storage / "1"])
    assert (result.n_new, result.n_known) == (2, 1)
    words = ["ingest", str(place / "config.yaml"), "-q", "--json", "--reviews"]
    files = [str(place / "new-1.csv"), str(place / "new-2.csv")]
    for way in ([*words, *files], [*words, files[0], "--reviews", files[1]]):
        done = CliRunner().invoke(app, way)
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["n_known"] == 2
    with pytest.raises(DataError, match="No file matches"):
        ingest(config, str(place / "absent*.csv"))


def test_annotations_keep_the_ids_that_an_earlier_release_gave(place):
    config = load_config(place / "config.yaml")
    old = reviews(["d1"], review_id="label-studio-1-1", reviewer_id="1", minutes=1.0)
    old["reviewed_at"] = pd.Timestamp("2026-03-02T10:00:00Z")
    with open_project_ledger(config) as ledger:
        ledger.ingest(old, START.to_pydatetime())
    (place / "7").write_text(json.dumps(annotation(1, "d1")))
    assert ingest(config, place / "7").n_known == 1
    (place / "7").write_text(json.dumps(annotation(1, "d2")))  # of another server
    assert ingest(config, place / "7").n_new == 1
