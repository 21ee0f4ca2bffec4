"""The served model answers like the latest scoring run, through every door of MLflow's, or not at all."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from errdetect.config import load_config
from errdetect.errors import ModelError
from errdetect.workflows.forget import forget
from errdetect.workflows.score import score
from errdetect.workflows.serving import ANSWER
from errdetect.workflows.simulate import simulate
from errdetect.workflows.train import train

CLIENTS = 32
#: MLflow's `set_tracking_uri` leaves the latest test's in the environment.
_URIS = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A trained project and its nightly run; then it moves."""
    home = tmp_path_factory.mktemp("serving") / "before"
    simulate(home, decisions=9_000, days=90, seed=3)
    config = load_config(home / "config.yaml", ["train.trials=0", "evaluate.bootstrap=50"])
    assert train(config).version == "1"
    batch = pd.read_parquet(home / "decisions.parquet").tail(300).reset_index(drop=True)
    batch["decision_id"] = [f"new{i}" for i in range(len(batch))]
    batch["decided_at"] += pd.to_timedelta(np.arange(len(batch)) % 50, "h")
    batch.loc[batch.index[:9], "account_id"] = "an account never seen"
    batch.to_parquet(home / "batch.parquet")
    score(config, home / "batch.parquet", home / "out")
    return home.rename(home.with_name("after"))


@pytest.fixture(scope="module")
def batch(project):
    return pd.read_parquet(project / "batch.parquet")


@pytest.fixture(scope="module")
def scores(project):
    """What the nightly run wrote, by decision."""
    queue = pd.read_parquet(project / "out" / "queue.parquet").set_index("decision_id")
    table = pd.read_parquet(project / "out" / "scores.parquet").set_index("decision_id")
    return table.assign(reasons=queue["reasons"], error_kind=queue["error_kind"])


@pytest.fixture(scope="module")
def uri(project):
    from errdetect.workflows.run_description import open_registry

    registry = open_registry(load_config(project / "config.yaml"))
    assert registry.load()[1] == "1"
    return registry.tracking_uri


def _load(uri, **options):
    import mlflow

    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    return mlflow.pyfunc.load_model("models:/errdetect@champion", **options)


@pytest.fixture(scope="module")
def served(uri):
    return _load(uri)


def _assert_equal(answers, scores):
    answers = answers.set_index("decision_id")
    expected = scores.reindex(answers.index)
    for name in ("p_error", "expected_harm"):
        assert np.abs(answers[name].astype(float) - expected[name]).max() <= 1e-12, name
    queued = expected["error_kind"].notna()
    assert (answers["error_kind"][queued] == expected["error_kind"][queued]).all()
    assert set(answers["model_version"]) == {"1"}


def test_a_loaded_model_answers_like_the_nightly_run_whatever_is_asked_together(
    served, batch, scores
):
    answers = served.predict(batch)
    assert tuple(answers) == ANSWER
    assert answers["decision_id"].tolist() == batch["decision_id"].tolist()
    _assert_equal(answers, scores)
    for decision_id in scores.index[scores["reasons"].notna()]:
        told = json.loads(answers.set_index("decision_id").loc[decision_id, "reasons"])
        queued = list(scores.loc[decision_id, "reasons"])
        assert [one["code"] for one in told] == [one["code"] for one in queued]
        assert [one["text"] for one in told] == [one["text"] for one in queued]
    alone = [served.predict(batch.iloc[[i]], params={"reasons": False}) for i in (0, 7, 250)]
    _assert_equal(pd.concat(alone), scores)
    assert alone[0]["reasons"].tolist() == [None]
    _assert_equal(served.predict(batch.iloc[::-1].iloc[:40], params={"reasons": False}), scores)


def test_a_decision_of_the_log_is_scored_as_the_log_s(served, project, batch, tmp_path):
    log = pd.read_parquet(project / "decisions.parquet")
    log = log[log["decided_at"] < batch["decided_at"].min()].tail(60)  # nothing of the batch before
    log.to_parquet(tmp_path / "some.parquet")
    shutil.copytree(project, tmp_path / "copy")
    config = load_config(tmp_path / "copy" / "config.yaml", ["queue.record=false"])
    score(config, tmp_path / "some.parquet", tmp_path / "out")
    again = pd.read_parquet(tmp_path / "out" / "scores.parquet").set_index("decision_id")
    answers = served.predict(log, params={"reasons": False}).set_index("decision_id")
    seen = answers["p_error"] - again["p_error"].reindex(answers.index)
    assert seen.abs().max() <= 1e-12


def test_rows_that_cannot_be_used_say_why_and_the_others_are_answered(served, batch, scores):
    asked = batch.head(6).astype({"decided_at": "str"})
    asked.loc[0, "action"] = "<script>alert(1)</script>"
    asked.loc[1, "decided_at"] = "yesterday"
    asked.loc[2, "score"] = 7.0
    asked.loc[4] = asked.loc[3]
    answers = served.predict(asked, params={"reasons": False})
    assert answers["p_error"].isna().tolist() == [True, True, True, False, False, False]
    assert answers["p_error"].iloc[0] is None, "JSON has no NaN"
    for row, word in enumerate(("action must", "decided_at must", "score must lie in [0, 1]")):
        assert word in answers["refused"].iloc[row]
    assert answers["p_error"].iloc[3] == answers["p_error"].iloc[4], "a copy is answered like it"
    _assert_equal(answers.iloc[[3, 5]], scores)
    none = served.predict(asked.head(2), params={"reasons": False})
    assert none["refused"].notna().all()


def test_without_a_state_or_with_one_that_is_old_or_another_s_nothing_is_answered(
    project, batch, uri, tmp_path
):
    from mlflow.exceptions import MlflowException

    with pytest.raises(
        ModelError, match=r"must hold what a served model needs.*got none.*ERRDETECT_STATE"
    ):
        _load(uri, model_config={"state": str(tmp_path / "none")})
    state = tmp_path / "errdetect.state"
    shutil.copytree(project / "errdetect.state", state)
    held = _load(uri, model_config={"state": str(state)})
    told = json.loads((state / "served" / "served.json").read_text())
    old = told | {"written_at": "2026-01-01T00:00:00+00:00"}
    (state / "served" / "served.json").write_text(json.dumps(old))
    with pytest.raises(
        MlflowException, match=r"at most 3 days old.*2026-01-01 00:00 UTC"
    ) as refused:
        held.predict(batch.head(2))
    assert refused.value.error_code == "TEMPORARILY_UNAVAILABLE"
    with pytest.raises(ModelError, match="at most 3 days old"):
        _load(uri, model_config={"state": str(state)})
    late = _load(uri, model_config={"state": str(state), "max_age_days": 1e6})
    answers = late.predict(batch.head(2), params={"reasons": False})
    assert answers["p_error"].notna().all()
    assert answers["state_as_of"].tolist() == ["2026-01-01T00:00:00+00:00"] * 2
    assert (answers["state_age_hours"] > 24).all()
    for change, word in (
        ({"model_digest": "0" * 64, "model_version": "7"}, "one of version 7, which is another"),
        ({"errdetect": "0.0.1"}, r"one that errdetect 0\.0\.1 wrote"),
        ({"parts": 3}, "a damaged file"),
    ):
        (state / "served" / "served.json").write_text(json.dumps(told | change))
        with pytest.raises(ModelError, match=word):
            _load(uri, model_config={"state": str(state)})
    (state / "served" / "served.json").write_text(json.dumps(told))
    with (state / "served" / "0.keys.arrow").open("r+b") as file:
        file.seek(200)
        file.write(b"other bytes")
    with pytest.raises(ModelError, match=r"a damaged file, 0\.keys\.arrow"):
        _load(uri, model_config={"state": str(state)})


def test_a_running_model_follows_the_next_night_and_forgets(project, batch, tmp_path):
    home = tmp_path / "copy"
    shutil.copytree(project, home)
    config = load_config(home / "config.yaml", ["queue.record=false"])
    held = _load(
        f"sqlite:///{home}/models/mlflow.db", model_config={"state": str(home / "errdetect.state")}
    )
    first = held.predict(batch.head(1), params={"reasons": False})["state_as_of"].iloc[0]
    time.sleep(1.1)
    next_day = batch.assign(decision_id=batch["decision_id"] + "b")
    next_day.to_parquet(home / "next.parquet")
    score(config, home / "next.parquet", home / "next")
    table = pd.read_parquet(home / "next" / "scores.parquet").set_index("decision_id")
    answers = held.predict(next_day, params={"reasons": False})
    assert answers["state_as_of"].iloc[0] > first
    seen = answers.set_index("decision_id")["p_error"] - table["p_error"]
    assert seen.abs().max() <= 1e-12
    forget(config, account=str(batch["account_id"].iloc[0]))
    with pytest.raises(Exception, match="must hold what a served model needs"):
        held.predict(batch.head(1))


def test_the_state_names_no_reviewer_and_is_its_owner_s_alone(project):
    folder = project / "errdetect.state" / "served"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    names = set(pd.read_parquet(project / "reviews.parquet")["reviewer_id"].dropna())
    with pa.memory_map(str(folder / "reviews.arrow")) as source:
        held = pa.ipc.open_file(source).read_all().to_pandas()
    assert len(names) > 3
    assert held["reviewer_id"].nunique() == len(names)
    assert not names & set(held["reviewer_id"])


def test_a_state_that_is_not_kept_is_not_served(project, tmp_path):
    shutil.copytree(project, tmp_path / "copy")
    home = tmp_path / "copy"
    shutil.rmtree(home / "errdetect.state")
    config = load_config(home / "config.yaml", ["state.keep=false", "queue.record=false"])
    score(config, home / "batch.parquet", home / "out")
    assert not (home / "errdetect.state").exists()


def _free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module")
def server(uri, tmp_path_factory):
    """`mlflow models serve`, as anybody starts it."""
    port, home = _free_port(), tmp_path_factory.mktemp("server")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = [
        sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/errdetect@champion",
        "--env-manager", "local", "--host", "127.0.0.1", "--port", str(port),
    ]  # fmt: skip
    with (home / "log").open("w") as log:
        running = subprocess.Popen(
            command, env={**os.environ, **dict.fromkeys(_URIS, uri), "PATH": path},
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=2).close()
                break
            except OSError:
                assert running.poll() is None, (home / "log").read_text()
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        os.killpg(running.pid, signal.SIGTERM)
        running.wait(30)


def _post(server, body):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(server, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def _records(frame):
    plain = frame.assign(decided_at=frame["decided_at"].map(lambda at: at.isoformat()))
    rows = plain.astype(object).where(plain.notna(), None).to_dict("records")
    return {"dataframe_records": rows, "params": {"reasons": False}}


def test_the_server_answers_many_at_once_like_the_nightly_run(server, batch, scores):
    status, text = _post(server, _records(batch))
    assert status == 200
    _assert_equal(pd.DataFrame(json.loads(text)["predictions"]), scores)
    parts = [batch.iloc[[i]] for i in range(2 * CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(lambda part: _post(server, _records(part)), parts))
    assert {status for status, _ in answers} == {200}
    rows = [row for _, text in answers for row in json.loads(text)["predictions"]]
    _assert_equal(pd.DataFrame(rows), scores)


@pytest.mark.parametrize(
    "body",
    [
        b'{"dataframe_records": [', b"\xff\xfe", b"[]", b"{}", {"dataframe_records": []},
        {"dataframe_records": [{"a": 1}]}, {"dataframe_records": [1, 2]}, {"instances": [[1, 2]]},
        {"dataframe_split": {"columns": ["decision_id"], "data": [["x"], ["x", "y"]]}},
        {"dataframe_records": [{"decision_id": {"a": [1]}, "decided_at": "2026-01-01", "item_id": "i",
                                "policy_id": "p", "action": "remove"}]},
        {"dataframe_records": [{"decision_id": "x", "text": "no more"}]},
    ],
)  # fmt: skip
def test_a_malformed_request_gets_a_sentence_and_no_traceback(server, body):
    status, text = _post(server, body)
    assert 400 <= status < 500, text
    assert "Traceback" not in text
    assert "site-packages" not in text
    assert json.loads(text)["message"]


def test_a_huge_request_is_refused_and_hostile_content_is_data(server, batch, scores):
    many = {"columns": ["decision_id"], "data": [[i] for i in range(100_001)]}
    status, text = _post(server, {"dataframe_split": many})
    assert (status, "1 to 100,000 decisions" in text) == (400, True)
    hostile = batch.head(3).copy()
    hostile["text"] = [
        "\0\x1b[31m<img src=x onerror=alert(1)>" * 3000,
        "=cmd|'/c calc'!A1",
        "\u202e" * 50,
    ]
    hostile["decision_id"] = ["'; DROP TABLE x;--", "${jndi:ldap://x}", "../../etc/passwd"]
    status, text = _post(server, _records(hostile))
    assert status == 200
    rows = json.loads(text)["predictions"]
    assert [row["decision_id"] for row in rows] == hostile["decision_id"].tolist()
    assert all(0 <= row["p_error"] <= 1 for row in rows)
    assert _post(server, _records(batch.head(1)))[0] == 200


@pytest.fixture(scope="module")
def start(project):
    """Start `errdetect serve` on copies of the project, and wait until it listens."""
    running = []

    def begin(config, *options, **environment):
        command = [sys.executable, "-m", "errdetect", "serve", str(config), "--port", "0", *options]
        one = subprocess.Popen(
            command, env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True
        )
        running.append(one)
        for line in one.stderr:
            if "serving http" in line:
                return line.split("serving ")[1].split("/invocations")[0]
        raise AssertionError(one.wait(30))

    yield begin
    for one in running:
        one.send_signal(signal.SIGTERM)
        one.wait(30)
        one.stderr.close()


@pytest.fixture(scope="module")
def guarded(start, project):
    return start(project / "config.yaml", "--max-body-mb", "1")


def _get(address, **headers):
    try:
        with urllib.request.urlopen(
            urllib.request.Request(address, headers=headers), timeout=60
        ) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def _send(server, body, kind="application/json", **headers):
    request = urllib.request.Request(
        f"{server}/invocations", body, {"Content-Type": kind, **headers}
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_errdetect_serve_answers_json_and_csv_like_the_nightly_run(guarded, batch, scores):
    plain = batch.assign(decided_at=batch["decided_at"].map(lambda at: at.isoformat()))
    split = json.loads(plain.to_json(orient="split", double_precision=15, index=False))
    bodies = [
        (json.dumps(_records(batch)).encode(), "application/json"),
        (json.dumps({"dataframe_split": split}).encode(), "application/json; charset=utf-8"),
        (plain.to_csv(index=False).encode(), "text/csv"),
    ]
    for body, kind in bodies:
        status, told = _send(guarded, body, kind)
        assert status == 200, told
        answers = pd.DataFrame(told["predictions"])
        assert tuple(answers) == ANSWER
        assert answers["decision_id"].tolist() == batch["decision_id"].tolist()
        _assert_equal(answers, scores)
    parts = [json.dumps(_records(batch.iloc[[i]])).encode() for i in range(2 * CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(lambda part: _send(guarded, part), parts))
    assert {status for status, _ in answers} == {200}
    _assert_equal(pd.DataFrame([row for _, told in answers for row in told["predictions"]]), scores)


_FLAT = '{"dataframe_records": [{"decision_id": %s}]}'


@pytest.mark.parametrize(
    ("body", "kind", "status", "word"),
    [
        (b'{"dataframe_records": [', "application/json", 400, "must be JSON"),
        (b"\xff\xfe", "application/json", 400, "must be UTF-8"),
        (b"[]", "application/json", 400, "got a list"),
        (b"3", "application/json", 400, "got a number"),
        (b"{}", "application/json", 400, "got neither"),
        (b"[" * 100_000, "application/json", 400, "nested too deeply"),
        (b'{"a":' * 100_000, "application/json", 400, "nested too deeply"),
        ((_FLAT % ("[" * 300 + "]" * 300)).encode(), "application/json", 400, "plain values, got a list"),
        ((_FLAT % "NaN").encode(), "application/json", 400, "got NaN"),
        ((_FLAT % "-Infinity").encode(), "application/json", 400, "got -Infinity"),
        ((_FLAT % ("1" * 6000)).encode(), "application/json", 400, "too long"),
        ((_FLAT % '"\\ud800"').encode(), "application/json", 400, "surrogate"),
        ((_FLAT % '"x"').encode(), "application/json", 400, "must have the columns"),
        (b'{"dataframe_records": [{"a": 1}]}', "application/json", 400, "got 'a'"),
        (b'{"dataframe_records": [1]}', "application/json", 400, "Row 1 must be a JSON object"),
        (b'{"dataframe_records": []}', "application/json", 400, "1 to 100,000"),
        (b'{"instances": [[1]]}', "application/json", 400, "got 'instances'"),
        (b'{"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}', "application/json", 400, "have 1 values"),
        (b'{"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}}', "application/json", 400, "distinct"),
        (b'{"dataframe_records": [{"a": 1}], "params": {"reasons": 3}}', "application/json", 400, "params"),
        (b"", "application/json", 400, "must be JSON"),
        (b"", "text/csv", 400, "1 to 100,000"),
        (b"decision_id,text\nd1,a,b\n", "text/csv", 400, "have 2 fields, got 3, in row 1"),
        (b'decision_id,"text\nd1', "text/csv", 400, "must be CSV"),
        (b"one\ntwo\n", "text/csv", 400, "got 'one'"),
        (b"PAR1", "application/vnd.apache.parquet", 415, "application/json or text/csv"),
        (b"{}", "application/json; charset=latin-1", 415, "UTF-8"),
        (b" " * 1_000_001, "application/json", 413, "at most 1,000,000 bytes"),
        (b" " * 50_000_000, "text/csv", 413, "at most 1,000,000 bytes"),
    ],
)  # fmt: skip
def test_errdetect_serve_answers_each_fault_in_one_sentence(guarded, body, kind, status, word):
    got, told = _send(guarded, body, kind)
    assert (got, set(told)) == (status, {"error_code", "message"}), told
    assert word in told["message"]
    for inside in ("Traceback", "site-packages", "\n"):
        assert inside not in told["message"]


def test_errdetect_serve_tells_its_version_and_knows_no_other_path(guarded):
    status, told = _get(f"{guarded}/version")
    assert (status, told["model_version"]) == (200, "1")
    assert 0 <= told["state_age_hours"] < 24
    assert _get(f"{guarded}/health")[0] == _get(f"{guarded}/ping")[0] == 200
    assert _get(f"{guarded}/docs")[0] == _get(f"{guarded}/../config.yaml")[0] == 404
    status, told = _get(f"{guarded}/invocations")
    assert (status, told["error_code"]) == (405, "METHOD_NOT_ALLOWED")
    assert _send(guarded, b"{}", **{"Content-Encoding": "gzip"})[0] == 415


def test_a_token_is_asked_for_and_an_old_state_is_not_answered_from(
    start, project, batch, tmp_path
):
    home, token = tmp_path / "copy", "a-token-of-the-test-0123"
    shutil.copytree(project, home)
    (tmp_path / "token").write_text(f"{token}\n")
    server = start(home / "config.yaml", "--token-file", str(tmp_path / "token"))
    body = json.dumps(_records(batch.head(1))).encode()
    for sent in ({}, {"Authorization": "Bearer another"}, {"Authorization": f"Basic {token}"}):
        status, told = _send(server, body, **sent)
        assert (status, told["error_code"]) == (401, "UNAUTHENTICATED")
        assert token not in json.dumps(told)
        assert _get(f"{server}/version", **sent)[0] == 401
    allowed = {"Authorization": f"Bearer {token}"}
    assert _send(server, body, **allowed)[0] == 200
    assert _get(f"{server}/health")[0] == 200
    manifest = home / "errdetect.state" / "served" / "served.json"
    told = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(told | {"written_at": "2026-01-01T00:00:00+00:00"}))
    for status, told in (_send(server, body, **allowed), _get(f"{server}/health")):
        assert status == 503
        assert "at most 3 days old" in told["message"]
    assert _get(f"{server}/ping")[0] == 200


@pytest.mark.parametrize(
    ("options", "environment", "word"),
    [
        (["--host", "0.0.0.0"], {}, "loopback address where no token"),
        ([], {"ERRDETECT_TOKEN": "short"}, "one word of at least 16"),
        (["--token-file", "nothing here"], {}, "be readable ASCII text"),
        (["--host", "192.0.2.1", "--port", "9"], {"ERRDETECT_TOKEN": "x" * 20}, "that is free"),
        (["--set", "state.folder=elsewhere"], {}, "must hold what a served model needs"),
    ],
)  # fmt: skip
def test_errdetect_serve_does_not_start_where_it_could_not_answer(
    project, options, environment, word
):
    command = [sys.executable, "-m", "errdetect", "serve", str(project / "config.yaml"), *options]
    ended = subprocess.run(
        [*command, *([] if "--port" in options else ["--port", "0"])],
        env={**os.environ, **environment}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ended.returncode == 2, ended.stderr
    assert word in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr


def _java():
    from errdetect.spark import session

    found = session.find_java()
    return found is not None and found[1] >= 17


@pytest.mark.skipif(
    not _java() and os.environ.get("CI") != "true", reason="no Java 17: tests/tools/java.sh"
)
def test_a_function_of_spark_s_answers_like_the_nightly_run(uri, project, batch, scores):
    pyspark = pytest.importorskip("pyspark")
    import mlflow

    from errdetect.spark import session

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    settings = {**session.session_settings({}), "spark.master": "local[2]"}
    conf = pyspark.SparkConf().setAll(list(settings.items()))
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    with pyspark.sql.SparkSession.builder.config(conf=conf).getOrCreate() as running:
        answer = mlflow.pyfunc.spark_udf(
            running, "models:/errdetect@champion", env_manager="local", params={"reasons": False},
            model_config={"state": str(project / "errdetect.state")},
        )  # fmt: skip
        table = running.read.parquet(str(project / "batch.parquet")).repartition(3)
        made = table.select(answer(pyspark.sql.functions.struct(*table.columns)).alias("a"))
        answers = made.select("a.*").toPandas()
    assert len(answers) == len(batch)
    _assert_equal(answers, scores)
