"""`import errdetect`: what it offers, what it costs, and that DataFrames count as files do."""

import ast
import inspect
import re
import resource
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import errdetect
from errdetect import api
from errdetect.config_schema import LedgerSettings
from errdetect.data.sources import Sources, dataframe_name, dataframes_as_files

FUNCTIONS = sorted(api.__all__)
#: What the interface adds to a workflow's parameters: DataFrames.
ADDED = {"decisions", "reviews", "draws", "log"}
#: Parameters for which a DataFrame may stand.
FRAME_OR_SOURCE = {
    ("score", "decisions"),
    ("ingest", "reviews"),
    ("export", "queue"),
    ("export", "decisions"),
}
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def market(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("market")
    errdetect.simulate(out, decisions=12_000, days=90, seed=3)
    return out


@pytest.fixture(scope="module")
def config(market) -> errdetect.Config:
    keys = ["train.trials=0", "evaluate.bootstrap=50", "queue.record=false"]
    return errdetect.load_config(market / "config.yaml", keys)


@pytest.fixture(scope="module")
def decisions(market) -> pd.DataFrame:
    return pd.read_parquet(market / "decisions.parquet")


@pytest.fixture(scope="module")
def reviews(market) -> pd.DataFrame:
    return pd.read_parquet(market / "reviews.parquet")


@pytest.fixture(scope="module")
def trained(config, decisions, reviews) -> errdetect.TrainResult:
    return errdetect.train(config, decisions=decisions, reviews=reviews)


@pytest.fixture
def scratch(tmp_path, monkeypatch) -> Path:
    """Where temporary folders are made, to see what is left of them."""
    place = tmp_path / "scratch"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


# --- what it offers ---


def test_all_is_what_resolves():
    assert sorted(errdetect.__all__) == list(errdetect.__all__)
    for name in errdetect.__all__:
        found = getattr(errdetect, name)
        assert isinstance(found, str) or found.__name__ == name
    assert set(errdetect.__all__) <= set(dir(errdetect))
    assert set(FUNCTIONS) < set(errdetect.__all__)
    with pytest.raises(AttributeError, match="no attribute 'scores'"):
        errdetect.scores  # noqa: B018


def test_editors_see_the_same_names_at_the_same_places():
    tree = ast.parse(Path(errdetect.__file__).read_text(encoding="utf-8"))
    block = next(n for n in tree.body if isinstance(n, ast.If))
    typed = {a.name: n.module for n in block.body for a in n.names}  # type: ignore[attr-defined]
    assert set(typed) == set(errdetect.__all__) - {"__version__"}
    for name, module in typed.items():
        assert getattr(import_module(module), name) is getattr(errdetect, name)


def test_importing_a_room_replaces_no_function():
    code = (
        "import errdetect, errdetect.report.charts\n"
        "from errdetect.report import charts as room\n"
        "from errdetect import report\n"
        "print(type(errdetect.report).__name__, report is errdetect.report, room.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["function", "True", "errdetect.report.charts"]


@pytest.mark.parametrize("first", ["", "import errdetect; errdetect.report\n"])
def test_modules_of_a_room_with_a_functions_name_import_in_every_form(first):
    code = first + (
        "import errdetect.report.charts as charts\n"
        "import errdetect.report.page_blocks as blocks\n"
        "import errdetect.report.report_content\n"
        "from errdetect.report.charts import waffle_squares\n"
        "import errdetect, inspect\n"
        "assert errdetect.report.report_content.ReportContent\n"
        "assert charts.waffle_squares is waffle_squares\n"
        "assert inspect.isfunction(errdetect.report) and inspect.signature(errdetect.report)\n"
        "print(charts.__name__, blocks.__name__, errdetect.report.__module__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    wanted = ["errdetect.report.charts", "errdetect.report.page_blocks", "errdetect.api"]
    assert done.stdout.split() == wanted, done.stderr


def test_the_import_is_quick_and_reads_no_pandas():
    """At most half a second of work; the best of three, so that a busy machine does not decide."""
    code = "import sys, errdetect; print([m for m in ('pandas', 'numpy', 'sklearn', 'yaml') if m in sys.modules])"
    spent = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert done.stdout.strip() == "[]"
    assert min(spent) < 0.5


# --- the workflows' parameters ---


def workflow(name):
    return getattr(import_module(f"errdetect.workflows.{name}"), name)


def signature(function) -> inspect.Signature:
    results = {n: getattr(errdetect, n) for n in errdetect.__all__}
    names = {**function.__globals__, **results, "Sources": Sources}
    return inspect.signature(function, eval_str=True, globals=names)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_parameters_are_the_workflows(name):
    ours, theirs = signature(getattr(api, name)), signature(workflow(name))
    assert ours.return_annotation == theirs.return_annotation
    added = [n for n in ours.parameters if n not in theirs.parameters]
    assert set(added) <= ADDED
    for parameter in added:
        assert ours.parameters[parameter].annotation == pd.DataFrame | None
        assert ours.parameters[parameter].default is None
    kept = [n for n in ours.parameters if n in theirs.parameters]
    assert kept == list(theirs.parameters)
    for parameter in kept:
        one, other = ours.parameters[parameter], theirs.parameters[parameter]
        assert one.kind == other.kind
        if parameter == "config":
            path = errdetect.Config | str | Path
            assert one.annotation in (path, path | None)
        elif (name, parameter) in FRAME_OR_SOURCE:
            given = pd.DataFrame | other.annotation
            assert one.annotation == (given if name != "score" else pd.DataFrame | str | Path)
            assert one.default == other.default
        elif parameter == "out" and one.default is None:
            assert one.annotation == str | Path | None
        else:
            assert one.annotation == other.annotation
            assert parameter == "progress" or one.default == other.default


class Stub:
    def without_folder(self, folder):
        return self


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_argument_arrives(name, config, decisions, tmp_path, monkeypatch):
    seen = {}

    def record(*args, **kwargs):
        seen.update(signature(theirs).bind(*args, **kwargs).arguments)
        return Stub()

    theirs = workflow(name)
    given = {
        n: config if n == "config" else tmp_path if n in ("out", "folder") else object()
        for n in inspect.signature(theirs).parameters
    }
    if name == "score":
        given["decisions"] = "new.parquet"
    monkeypatch.setattr(import_module(f"errdetect.workflows.{name}"), name, record)
    getattr(api, name)(**given)
    assert seen == given


def test_a_path_is_a_config(market, decisions, reviews):
    for path in (market / "config.yaml", str(market / "config.yaml")):
        assert errdetect.proposals(path).proposals.empty
    with pytest.raises(errdetect.ErrdetectError, match=r"must be a Config .* got a dict"):
        errdetect.train({"version": 1})


# --- DataFrames in place of files ---


def test_estimates_from_frames_are_those_from_files(config, market, decisions, reviews, tmp_path):
    before = decisions.copy(deep=True), reviews.copy(deep=True)
    frames = errdetect.estimate(config, decisions=decisions, reviews=reviews, by=["market"])
    files = errdetect.estimate(market / "config.yaml", tmp_path / "out", by=["market"])
    pd.testing.assert_frame_equal(frames.estimates, files.estimates)
    pd.testing.assert_frame_equal(
        frames.labels, pd.read_parquet(tmp_path / "out" / "labels.parquet")
    )
    assert frames.notes == files.notes
    pd.testing.assert_frame_equal(frames.intake.frame(), files.intake.frame())
    assert frames.files == {}
    assert set(files.files) == {"estimates", "labels", "intake"}
    for frame, old in zip((decisions, reviews), before, strict=True):
        pd.testing.assert_frame_equal(frame, old)


def test_scores_and_queue_from_frames_are_those_from_files(
    config, market, decisions, reviews, trained, tmp_path
):
    assert trained.version is not None
    batch = decisions.tail(400).set_index("item_id", drop=False)
    batch.to_parquet(tmp_path / "batch.parquet")
    how = {"budget": 40, "scored_at": MOMENT}
    frames = errdetect.score(config, batch, log=decisions, reviews=reviews, **how)
    files = errdetect.score(config, tmp_path / "batch.parquet", tmp_path / "out", **how)
    for name in ("scores", "queue", "explanations", "rejects"):
        pd.testing.assert_frame_equal(getattr(frames, name), getattr(files, name))
    assert (len(frames.scores), len(frames.queue), frames.run_id) == (400, 40, files.run_id)


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl", "label-studio"])
def test_an_exported_frame_is_the_exported_file(form, config, decisions, tmp_path, scratch):
    ids = decisions["decision_id"].tail(3).tolist()
    reasons = [[{"code": "c", "text": "why", "contribution": 0.5}], [], None]
    queue = pd.DataFrame(
        {"decision_id": ids, "rank": [1, 2, 3], "policy_id": "spam", "p_error": 0.4}
    )
    queue["reasons"] = pd.Series(reasons, dtype=object)
    queue["scored_at"] = pd.Timestamp("2026-01-01", tz="UTC")
    before = queue.copy(deep=True)
    queue.to_parquet(tmp_path / "queue.parquet")
    made = errdetect.export(config, form, tmp_path / "a", queue=queue, decisions=decisions)
    from_file = errdetect.export(config, form, tmp_path / "b", queue=tmp_path / "queue.parquet")
    assert (made.n_rows, made.n_absent) == (from_file.n_rows, from_file.n_absent) == (3, 0)
    if form == "parquet":  # the files carry the run, which names the frames
        one, other = pd.read_parquet(tmp_path / "a"), pd.read_parquet(tmp_path / "b")
        pd.testing.assert_frame_equal(one, other)
        assert b"the DataFrame given as queue" in (tmp_path / "a").read_bytes()
    else:
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert str(scratch).encode() not in (tmp_path / "a").read_bytes()
    pd.testing.assert_frame_equal(queue, before)
    assert list(scratch.iterdir()) == []


def test_a_frame_that_is_no_queue_is_refused_by_its_name(config, decisions, tmp_path, scratch):
    cases = {
        "the DataFrame given as queue must have the column decision_id": pd.DataFrame(
            {"rank": [1]}
        ),
        "the DataFrame given as queue must hold each decision once": pd.DataFrame(
            {"decision_id": ["d1", "d1"]}
        ),
        "the DataFrame given as queue must have a queue's columns": pd.DataFrame(
            {"decision_id": ["d1"], "rank": ["first"]}
        ),
    }
    for message, frame in cases.items():
        with pytest.raises(errdetect.ErrdetectError, match=message) as caught:
            errdetect.export(config, "csv", tmp_path / "q.csv", queue=frame, decisions=decisions)
        assert str(scratch) not in str(caught.value)
    assert list(scratch.iterdir()) == []


def test_an_ingested_frame_is_the_ingested_file(config, decisions, tmp_path, scratch):
    reviews = pd.DataFrame(
        {
            "review_id": ["n1", "n2", "n3"],
            "decision_id": [*decisions["decision_id"].head(2), "nobody's"],
            "reviewed_at": pd.Timestamp("2026-02-01", tz="UTC"),
            "source": "re_review",
            "verdict": ["upheld", "overturned", "upheld"],
        }
    )
    counts = []
    reviews.to_csv(tmp_path / "reviews.csv", index=False)
    for name, given in (("a", reviews), ("b", tmp_path / "reviews.csv")):
        own = {"ledger": LedgerSettings(url=f"sqlite:///{tmp_path}/{name}.db")}
        other = config.model_copy(update=own)
        result = errdetect.ingest(other, given, out=tmp_path / name)
        again = errdetect.ingest(other, given, out=tmp_path / name)
        rejects = pd.read_parquet(result.files["rejects"])
        counts.append((result.n_new, result.n_rejected, again.n_new, again.n_known))
        assert rejects["id"].tolist() == ["n3"]
        if name == "a":
            assert rejects["source"].tolist() == ["the DataFrame given as reviews"]
    assert counts[0] == counts[1] == (2, 1, 0, 2)
    assert list(scratch.iterdir()) == []


def test_all_other_workflows_take_frames(config, decisions, reviews, scratch, tmp_path):
    given = {"decisions": decisions, "reviews": reviews}
    checked = errdetect.validate(config, **given)
    assert (checked.n_decisions, checked.usable) == (len(decisions), True)
    planned = errdetect.plan_audit(config, budget=30, **given)
    assert set(planned.audit) >= {"decision_id", "inclusion_probability"}
    plan = errdetect.remediate(config, **given).plan
    assert len(plan)
    assert set(plan["decision_id"].dropna()) <= set(decisions["decision_id"])
    out = tmp_path / "report"
    errdetect.report(config, out, **given)
    assert list(scratch.iterdir()) == []
    told = (out / "run.json").read_text()
    assert "the DataFrame given as reviews" in told
    for path in out.rglob("*"):
        assert path.is_dir() or str(scratch).encode() not in path.read_bytes(), path


def test_records_of_equal_frames_are_equal(config, decisions, reviews, tmp_path):
    records = []
    for name in ("one", "two"):
        errdetect.estimate(config, tmp_path / name, decisions=decisions, reviews=reviews)
        text = (tmp_path / name / "run.json").read_text()
        records.append(re.findall(r'"(?:config_digest|sha256|source)": ".*"', text))
    assert records[0]
    assert records[0] == records[1]


def test_bad_rows_are_rejected_as_those_of_a_file(config, market, decisions, reviews, tmp_path):
    odd = decisions.copy()
    odd["score"] = odd["score"].astype(object)
    odd.loc[[4, 90], "score"] = [97.5, "high"]
    odd.loc[7, "decision_id"] = None
    odd.astype({"score": str}).to_csv(tmp_path / "odd.csv", index=False)
    data = config.data.model_copy(update={"decisions": str(tmp_path / "odd.csv")})
    files = errdetect.estimate(config.model_copy(update={"data": data}), tmp_path / "out")
    frames = errdetect.estimate(config, decisions=odd, reviews=reviews)
    assert set(frames.rejects["source"]) == {"the DataFrame given as decisions"}
    assert frames.rejects["row"].tolist() == [5, 8, 91]
    pd.testing.assert_frame_equal(
        frames.rejects.drop(columns="source"), files.rejects.drop(columns="source")
    )


def test_refusals_name_the_frame(config, decisions, reviews, scratch):
    cases = {
        "the DataFrame given as decisions must have the columns .*policy_id": decisions.drop(
            columns="policy_id"
        ),
        "the DataFrame given as decisions must hold at least one usable row": decisions.assign(
            decided_at="yesterday"
        ),
        "the DataFrame given as decisions must name each column once": pd.concat(
            [decisions, decisions[["score"]]], axis=1
        ),
        "the DataFrame given as decisions must be a pandas DataFrame, got a list": [1],
    }
    for message, frame in cases.items():
        with pytest.raises(errdetect.ErrdetectError, match=message) as caught:
            errdetect.estimate(config, decisions=frame, reviews=reviews)
        assert str(scratch) not in str(caught.value)
    some = decisions.copy()
    some.loc[::10, "action"] = "zap"
    share = r"The decisions must have at most 5% unusable rows of 12,000, got 1,200 .*\n.*'zap' \(1,200\)"
    with pytest.raises(errdetect.ErrdetectError, match=share):
        errdetect.estimate(config, decisions=some, reviews=reviews)
    assert list(scratch.iterdir()) == []


def test_empty_frames_are_refused(config, decisions, reviews):
    with pytest.raises(errdetect.ErrdetectError, match="the DataFrame given as decisions"):
        errdetect.estimate(config, decisions=decisions[:0], reviews=reviews)
    with pytest.raises(errdetect.ErrdetectError, match="the DataFrame given as reviews"):
        errdetect.estimate(config, decisions=decisions, reviews=reviews[:0])


@pytest.mark.parametrize(
    ("column", "text"),
    [
        (pd.Series(["a", 7, None, 2.5, True], dtype=object), ["a", "7", None, "2.5", "True"]),
        (pd.Series([2**70, 1, None], dtype=object), [str(2**70), "1", None]),
        (pd.Series(pd.period_range("2026-01", periods=2, freq="M")), ["2026-01", "2026-02"]),
        (pd.Series(["a", 1, None], dtype="category"), ["a", "1", None]),
        (pd.Series(["a", "b", None], dtype="category"), ["a", "b", None]),
        (pd.Series([1, None], dtype="Int64"), [1, None]),
        (pd.Series([np.nan, "x"], dtype=object), [None, "x"]),
        (pd.Series([None, None], dtype=object), [None, None]),
    ],
)
def test_any_column_becomes_one_of_a_file(column, text):
    with dataframes_as_files({"decisions": pd.DataFrame({0: column})}) as files:
        table = pd.read_parquet(files["decisions"]).astype(object)
        assert dataframe_name(files["decisions"]) == "the DataFrame given as decisions"
    assert table["0"].where(table["0"].notna(), None).tolist() == text
    assert dataframe_name(files["decisions"]) is None
    assert not Path(files["decisions"]).exists()


def test_text_that_utf8_cannot_write_is_named():
    frame = pd.DataFrame({"text": pd.Series(["\ud800"], dtype=object)})
    with (
        pytest.raises(errdetect.ErrdetectError, match="given as decisions must hold text that"),
        dataframes_as_files({"decisions": frame}),
    ):
        pass


def test_verify_takes_a_config(market, config, tmp_path):
    errdetect.plan_audit(config, tmp_path / "plan", budget=20)
    assert errdetect.verify(tmp_path / "plan", config).equal
    with pytest.raises(errdetect.ErrdetectError, match="come with a config's path"):
        errdetect.verify(tmp_path / "plan", config, overrides=["audit.floor=0.5"])


def test_a_folder_made_from_frames_cannot_be_verified_and_says_so(
    config, decisions, reviews, tmp_path
):
    errdetect.plan_audit(config, tmp_path / "p", decisions=decisions, reviews=reviews, budget=20)
    checked = errdetect.verify(tmp_path / "p", config)
    assert any("data" in line for line in checked.changed)


# --- the page ---


@pytest.mark.slow
def test_the_page_runs(repo, tmp_path, monkeypatch):
    page = (repo / "docs" / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    assert len(blocks) >= 4
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), names)
    for name in api.__all__:
        assert f"`{name}`" in page, name
