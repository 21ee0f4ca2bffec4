"""Scoring on Spark: the same scores and queue as on one machine, whatever the partitions and failures."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from errdetect.config import load_config
from errdetect.data.sources import shown_path
from errdetect.data.table_reading import read_decisions
from errdetect.errors import ConfigError, DataError
from errdetect.spark import session
from errdetect.spark.staging import is_spark_source, staged_source
from errdetect.workflows import spark_queue, spark_scoring
from errdetect.workflows.control_variate import latest_scores
from errdetect.workflows.score import score

NOW = datetime(2026, 6, 1, tzinfo=UTC)
TABLES = ("scores", "queue", "explanations", "intake", "rejects", "levels")


def _java():
    found = session.find_java()
    return found is not None and found[1] >= 17


needs_spark = pytest.mark.skipif(
    not _java() and os.environ.get("CI") != "true", reason="no Java 17: tests/tools/java.sh"
)


@pytest.fixture(scope="module")
def spark():
    """One session for all tests; a task may fail twice."""
    pyspark = pytest.importorskip("pyspark")
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    settings = {**session.session_settings({}), "spark.master": "local[2,3]"}
    conf = pyspark.SparkConf().setAll(list(settings.items()))
    with pyspark.sql.SparkSession.builder.config(conf=conf).getOrCreate() as running:
        yield running


@pytest.fixture
def batch(market, tmp_path):
    """A folder of parts: uneven, one empty, with copies, contradictions, faults and equal times."""
    log = pd.read_parquet(market / "decisions.parquet")
    rng = np.random.default_rng(4)
    rows = log.iloc[-3_000:].reset_index(drop=True)
    fresh = np.arange(len(rows)) % 2 == 0  # the others are in the log
    rows.loc[fresh, "decision_id"] = [f"new{i}" for i in range(int(fresh.sum()))]
    rows["decided_at"] = rows["decided_at"].dt.floor("6h")
    rows.loc[rng.random(len(rows)) < 0.3, "account_id"] = "one large account"
    other = rows.iloc[[5, 6]].assign(exposure=12_345.0)
    strange = rows.iloc[[8]].assign(decision_id="strange", action="no such word")
    far = rows.iloc[[9]].assign(decision_id="far", score=7.0)
    folder = tmp_path / "batch"
    folder.mkdir()
    parts = (
        rows.iloc[:40],
        rows.iloc[40:40],
        pd.concat([rows.iloc[40:], rows.iloc[:3], other, strange, far]),
    )
    for i, part in enumerate(parts):
        part.to_parquet(folder / f"part-{i}.parquet", index=False)
    return folder


class Dying(spark_scoring.ScoringTask):
    """A worker that dies at its first batch, once."""

    flag = ""

    def run(self, batches):
        import os
        from pathlib import Path

        if not Path(self.flag).exists():
            Path(self.flag).touch()
            os._exit(1)
        yield from super().run(batches)


class DyingWriter(spark_queue.PartWriter):
    """A worker that dies after it wrote its first part, and before Spark knows of it, once."""

    flag = ""

    def run(self, table):
        import os
        from pathlib import Path

        done = super().run(table)
        if not Path(self.flag).exists():
            Path(self.flag).touch()
            (Path(self.folder) / ".errdetect-0000000000000000.tmp").touch()
            os._exit(1)
        return done


@needs_spark
def test_spark_gives_the_scores_and_the_queue_of_one_machine(
    spark, market, trained, batch, tmp_path, monkeypatch
):
    from pyspark import cloudpickle

    assert trained is not None
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    monkeypatch.setattr(Dying, "flag", str(tmp_path / "died"))
    monkeypatch.setattr(spark_scoring, "ScoringTask", Dying)
    monkeypatch.setattr(DyingWriter, "flag", str(tmp_path / "died writing"))
    monkeypatch.setattr(spark_queue, "PartWriter", DyingWriter)
    monkeypatch.setattr(spark_queue, "_PART_ROWS", 30)
    monkeypatch.setattr(spark_scoring.ScoredOnSpark, "frame", lambda _: pytest.fail("fetched all"))
    monkeypatch.setattr(spark_scoring, "SPLIT_ROWS", 2_000)
    ledger = f"ledger.url=sqlite:///{tmp_path}/ledger.db"
    # Not the market's own ledger: what other tests have queued there would not be queued again.
    none = ["queue.record=false", f"ledger.url=sqlite:///{tmp_path}/none.db"]
    alone = load_config(market / "config.yaml", none)
    config = load_config(market / "config.yaml", [ledger])
    try:
        results = {
            "local": score(alone, batch, tmp_path / "local", budget=60, scored_at=NOW),
            "spark": score(
                config, batch, tmp_path / "spark", budget=60, scored_at=NOW, engine="spark"
            ),
        }
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    assert (tmp_path / "died").exists()
    assert (tmp_path / "died writing").exists()
    parts = [path.name for path in (tmp_path / "spark" / "scores.parquet").iterdir()]
    assert sorted(parts) == ["part-00000.parquet", "part-00001.parquet"]
    for name in TABLES:
        one, other = (tmp_path / engine / f"{name}.parquet" for engine in results)
        assert one.exists() == other.exists()
        if one.exists():
            found = [pd.read_parquet(one), pd.read_parquet(other)]
            pd.testing.assert_frame_equal(*found, rtol=1e-12, atol=1e-12)
    local, spark_result = results.values()
    assert "keeps no state for serving" in spark_result.notes[0]
    assert replace(local, files={}).notes == spark_result.notes[1:]
    assert (local.run_id, local.n_scored, local.n_rejected) == (
        spark_result.run_id, spark_result.n_scored, spark_result.n_rejected,
    )  # fmt: skip
    assert local.n_rejected == 4
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []
    # What Spark recorded and wrote is what one machine reads.
    files = load_config(
        market / "config.yaml", [ledger, f"queue.scores={tmp_path}/spark/scores.parquet"]
    )
    columns = ["inclusion_probability", "job_id", "p_error"]
    written, recorded = (
        latest_scores(one).set_index("decision_id")[columns].sort_index() for one in (files, config)
    )
    pd.testing.assert_frame_equal(written, recorded, rtol=1e-12, check_dtype=False)
    again = score(config, batch, tmp_path / "again", budget=60, scored_at=NOW)
    assert any("scored before with the same settings" in note for note in again.notes)
    same = [r.queue[["decision_id", "rank", "arm"]] for r in (spark_result, again)]
    pd.testing.assert_frame_equal(*same)


@needs_spark
@pytest.mark.parametrize("competing", [False, True])
def test_pools_caps_and_minimum_shares_on_spark(
    spark, market, trained, batch, tmp_path, competing, monkeypatch
):
    """Where pools compete or accounts are limited, one machine draws, with the same result."""
    assert trained is not None
    rows = pd.read_parquet(batch)
    policies = sorted(rows["policy_id"].unique())
    half = len(policies) // 2
    pools = [
        {"name": "a", "minutes": 90, "policies": policies[:half]},
        {"name": "b", "minutes": 60, "policies": policies if competing else policies[half:-1]},
    ]
    market_of = rows["market"].value_counts().index[-1]
    told = [
        f"queue.pools={json.dumps(pools)}", f"queue.minimum_shares={{market: {{{market_of}: 0.3}}}}",
        f"queue.account_cap={2 if competing else 'null'}", "queue.half_life_days=5", "queue.record=false",
        f"ledger.url=sqlite:///{tmp_path}/none.db",
    ]  # fmt: skip
    config = load_config(market / "config.yaml", told)
    fetched, frame = [], spark_queue.ScoredOnSpark.frame
    monkeypatch.setattr(
        spark_queue.ScoredOnSpark, "frame", lambda own: fetched.append(1) or frame(own)
    )
    for engine in ("local", "spark"):
        score(config, batch, tmp_path / engine, scored_at=NOW, engine=engine)
    for name in ("scores", "queue"):
        found = [pd.read_parquet(tmp_path / e / f"{name}.parquet") for e in ("local", "spark")]
        pd.testing.assert_frame_equal(*found, rtol=1e-12, atol=1e-12)
    assert bool(fetched) == competing


@needs_spark
def test_faults_found_by_workers_have_the_same_words(spark, market, trained, tmp_path):
    assert trained is not None
    config = load_config(market / "config.yaml", ["queue.record=false"])
    log = pd.read_parquet(market / "decisions.parquet").iloc[:50]
    log.assign(action="mystery").to_parquet(tmp_path / "unknown.parquet")
    words = []
    for engine in ("local", "spark"):
        with pytest.raises(DataError) as caught:
            score(config, tmp_path / "unknown.parquet", tmp_path / "out", engine=engine)
        words.append(str(caught.value))
    assert words[0] == words[1]
    assert not (tmp_path / "out").exists()


@needs_spark
def test_a_url_is_read_by_spark_itself(spark, market, tmp_path):
    log = pd.read_parquet(market / "decisions.parquet").iloc[:300]
    log.to_parquet(tmp_path / "day.parquet", index=False)
    url = f"file://{tmp_path}/day.parquet"
    assert is_spark_source(url)
    with staged_source(url) as place:
        read = read_decisions(place)
        one = read_decisions(tmp_path / "day.parquet").frame
        assert shown_path(place) == url
    found = read.frame.sort_values("decision_id", ignore_index=True)
    pd.testing.assert_frame_equal(found, one.sort_values("decision_id", ignore_index=True))
    with (
        pytest.raises(DataError, match=r"The source file:///none/day must be read by Spark, got"),
        staged_source("file:///none/day"),
    ):
        pass


@needs_spark
def test_faults_of_the_files_are_told_before_spark_starts(market, trained, tmp_path, monkeypatch):
    assert trained is not None
    monkeypatch.setattr(spark_scoring, "check_spark", lambda: None)
    monkeypatch.setattr(spark_scoring, "open_session", lambda: pytest.fail("started"))
    config = load_config(market / "config.yaml", ["queue.record=false"])
    log = pd.read_parquet(market / "decisions.parquet").iloc[:50]
    log.drop(columns="policy_id").to_parquet(tmp_path / "short.parquet")
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1 no more")
    for name in ("absent.parquet", "short.parquet", "damaged.parquet"):
        words = []
        for engine in ("local", "spark"):
            with pytest.raises(DataError) as caught:
                score(config, tmp_path / name, tmp_path / "out", engine=engine)
            words.append(str(caught.value))
        assert words[0] == words[1]


@pytest.mark.parametrize(
    ("absent", "must"),
    [
        ("pyspark", "Install `errdetect[spark]`"),
        ("java", "openjdk-17-jre-headless"),
        ("old", "Java 11"),
    ],
)
def test_what_is_absent_is_named(absent, must, monkeypatch):
    monkeypatch.setattr(
        session.importlib.util, "find_spec", lambda _: None if absent == "pyspark" else 1
    )
    java = {"java": None, "old": ("/usr/bin/java", 11)}.get(absent, ("java", 17))
    monkeypatch.setattr(session, "find_java", lambda: java)
    with pytest.raises(ConfigError, match=must.replace("[", r"\[")):
        session.check_spark()


def test_another_version_needs_one_machine(monkeypatch):
    monkeypatch.setattr(spark_scoring, "check_spark", lambda: None)
    with pytest.raises(ConfigError, match="--also must be left out with --engine spark"):
        spark_scoring.check_spark_run("challenger")


def test_a_missing_java_ends_the_command_with_one_message(market, trained, tmp_path):
    assert trained is not None
    command = [
        sys.executable,
        "-m",
        "errdetect",
        "score",
        str(market / "config.yaml"),
        "--engine",
        "spark",
    ]
    command += ["--decisions", str(market / "decisions.parquet"), "--out", str(tmp_path / "out")]
    environment = {**os.environ, "JAVA_HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 2
    assert "--engine spark must find Java 17 or later, got none" in done.stderr
    assert "Traceback" not in done.stderr
