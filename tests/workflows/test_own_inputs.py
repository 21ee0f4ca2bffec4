"""No command overwrites what it reads."""

import hashlib

import pandas as pd
import pytest

from errdetect.config import load_config
from errdetect.data.database_tables import sqlite_path
from errdetect.errors import DataError
from errdetect.schemas import QUEUE
from errdetect.workflows.estimate import estimate
from errdetect.workflows.export import export
from errdetect.workflows.ingest import ingest
from errdetect.workflows.own_inputs import refuse_own_inputs
from errdetect.workflows.plan_audit import plan_audit
from errdetect.workflows.remediate import remediate
from errdetect.workflows.report import report
from errdetect.workflows.score import score
from errdetect.workflows.simulate import simulate


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    out = tmp_path_factory.mktemp("own")
    simulate(out, decisions=300, days=20, seed=2)
    QUEUE.empty_table().to_pandas().to_parquet(out / "queue.parquet")
    (out / "linked.parquet").symlink_to("queue.parquet")
    (out / "intake.parquet").write_bytes((out / "decisions.parquet").read_bytes())
    return out


def _digests(place):
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in place.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize(
    ("out", "queue"),
    [
        ("queue.parquet", "queue.parquet"),
        ("queue.parquet", "linked.parquet"),
        ("linked.parquet", "queue.parquet"),
        ("./../{name}/queue.parquet", "*queue.parquet"),
        ("decisions.parquet", "queue.parquet"),
        ("reviews.parquet", "queue.parquet"),
        ("policies.yaml", "queue.parquet"),
        ("config.yaml", "queue.parquet"),
        ("errdetect.db", "queue.parquet"),
    ],
)
def test_export_never_overwrites_an_input(place, out, queue):
    config = load_config(place / "config.yaml")
    (place / "errdetect.db").touch()
    before = _digests(place)
    target = place / out.format(name=place.name)
    for files in ({"out": target}, {"out": place / "new.csv", "label_config": target}):
        with pytest.raises(DataError, match="--out must not replace an input of the same command"):
            export(config, "csv", files.pop("out"), queue=place / queue, **files)
    assert _digests(place) == before
    (place / "errdetect.db").unlink()


def test_no_command_overwrites_an_input(place):
    config = load_config(place / "config.yaml", ["data.decisions=intake.parquet"])
    before = _digests(place)
    with pytest.raises(DataError, match="must not replace an input"):
        score(load_config(place / "config.yaml"), str(place / "queue.parquet"), place)
    for run in (
        lambda: score(config, str(place / "decisions.parquet"), place),
        lambda: estimate(config, place),
        lambda: report(config, place),
        lambda: remediate(config, place),
        lambda: plan_audit(config, place, budget=10),
        lambda: estimate(config, place / "out", dsa=place / "reviews.parquet"),
    ):
        with pytest.raises(DataError, match="must not replace an input"):
            run()
    pd.DataFrame({"review_id": ["r"]}).to_parquet(place / "rejects.parquet")
    with pytest.raises(DataError, match="must not replace an input"):
        ingest(config, str(place / "rejects.parquet"), out=place)
    (place / "rejects.parquet").unlink()
    assert _digests(place) == before


def test_another_place_is_fine(place):
    config = load_config(place / "config.yaml")
    refuse_own_inputs(config, folder=place, files=(place / "new.csv",), sources=("no/such*",))
    refuse_own_inputs(config, folder=place / "out", sources=(str(place / "queue.parquet"),))
    assert sqlite_path(config.ledger_url()) == place / "errdetect.db"


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
def test_what_is_no_path_is_no_output(tmp_path, name):
    file = tmp_path / "config.yaml"
    file.write_text("version: 1\ndata: {decisions: d.csv}")
    config = load_config(file)
    with pytest.raises(DataError, match="--out must be a path"):
        refuse_own_inputs(config, folder=name)
