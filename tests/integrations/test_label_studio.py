"""Label Studio: the queue out as tasks, people's answers back as reviews."""

import csv
import io
import json
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errdetect.data.policy_catalogue import Policy
from errdetect.data.review_versions import latest_versions
from errdetect.data.table_reading import read_reviews
from errdetect.errors import DataError
from errdetect.integrations.label_studio import (
    convert_label_studio,
    find_exports,
    is_label_studio,
    read_label_studio,
)
from errdetect.integrations.queue_export import FACTS, label_studio_tasks, labelling_config
from errdetect.schemas import QUEUE, REVIEWS, VERDICTS

HARD = st.characters(exclude_categories=["Cs"])
HOSTILE = ["=cmd|' /C calc'!A1", "<script>alert(1)</script>", 'a"],"b', "\u202eevil", "$text"]


@pytest.fixture
def queue():
    n = len(HOSTILE)
    reasons = [[{"code": "x", "text": "Seen <before>", "contribution": 1.0}]] * n
    frame = pd.DataFrame(
        {
            "decision_id": [f"d{i}" for i in range(n)], "rank": range(1, n + 1),
            "p_error": np.linspace(0.9, 0.1, n), "error_kind": "wrongful_action",
            "expected_harm": 1.0, "arm": "ranked", "inclusion_probability": 1.0, "pool": "any",
            "reasons": reasons, "policy_id": "spam", "suggested_policy_id": [None] * n,
            "model_version": "3", "run_id": "r", "scored_at": pd.Timestamp("2026-03-01T00:00Z"),
            "text": HOSTILE, "action": "remove", "market": [None] * n,
        }
    )  # fmt: skip
    frame = frame.assign(**{name: None for name in QUEUE.names if name not in frame})
    return frame


def answer(task, number, verdict, policy=None, **more):
    """What Label Studio exports once somebody answered a task."""
    chosen = [("verdict", verdict), *([("right_policy", policy)] if policy else [])]
    result = [
        {"id": "x", "type": "choices", "from_name": name, "to_name": "text", "origin": "manual",
         "value": {"choices": [word]}} for name, word in chosen if word
    ]  # fmt: skip
    return {
        "id": number, "completed_by": 5, "result": result, "was_cancelled": False,
        "ground_truth": False, "created_at": "2026-03-02T10:00:00.5Z",
        "updated_at": "2026-03-02T10:00:00.5Z", "lead_time": 30.0, "task": task, **more,
    }  # fmt: skip


def exported(tasks, *annotations):
    """The project's JSON: the imported tasks with ids and annotations."""
    return [
        {"id": 100 + i, "data": task["data"], "meta": task["meta"], "annotations": list(given),
         "predictions": [], "drafts": [], "project": 1}
        for i, (task, given) in enumerate(zip(tasks, annotations, strict=True))
    ]  # fmt: skip


@pytest.fixture
def write(tmp_path):
    def save(content, name="export.json"):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return save


def test_round_trip(queue, write, tmp_path):
    tasks = json.loads(json.dumps(label_studio_tasks(queue), allow_nan=False))
    verdicts = ["upheld", "overturned", "relabelled", "upheld", "overturned"]
    answers = [
        [answer(100 + i, 10 + i, word, "scam" if word == "relabelled" else None)]
        for i, word in enumerate(verdicts)
    ]
    path = write(exported(tasks, *answers))
    assert is_label_studio(path)
    reviews = read_label_studio(path)
    assert list(reviews) == [column.name for column in REVIEWS]
    assert reviews["decision_id"].tolist() == queue["decision_id"].tolist()
    assert reviews["verdict"].tolist() == verdicts
    assert reviews["correct_policy_id"].tolist()[2] == "scam"
    assert reviews["correct_policy_id"].isna().sum() == 4
    assert reviews["review_id"].tolist()[0] == "label-studio-100-10-8b6af638c2"
    assert (reviews["source"] == "re_review").all()
    assert (reviews["minutes"] == 0.5).all()
    assert (reviews["reviewer_id"] == "5").all()
    assert (reviews["reviewed_at"] == pd.Timestamp("2026-03-02T10:00:00.5Z")).all()
    assert reviews["inclusion_probability"].isna().all()
    reviews.to_parquet(tmp_path / "reviews.parquet")
    again = read_reviews(tmp_path / "reviews.parquet")
    pd.testing.assert_frame_equal(again.frame, reviews)
    assert len(again.rejects) == 0


@given(
    st.lists(
        st.tuples(
            st.text(HARD, min_size=1, max_size=12),
            st.sampled_from(VERDICTS),
            st.text(HARD, max_size=12),
        ),
        min_size=1,
        max_size=6,
        unique_by=lambda row: row[0],
    )
)
@settings(max_examples=40)
def test_any_id_and_text_makes_the_round(tmp_path_factory, rows):
    ids, verdicts, texts = (list(column) for column in zip(*rows, strict=True))
    frame = pd.DataFrame({"decision_id": ids, "policy_id": texts, "text": texts})
    tasks = json.loads(json.dumps(label_studio_tasks(frame)))
    assert [task["data"]["text"] for task in tasks] == texts
    answers = [
        [answer(100 + i, i, word, policy or None)]
        for i, (word, policy) in enumerate(zip(verdicts, texts, strict=True))
    ]
    path = tmp_path_factory.getbasetemp() / "round.json"
    path.write_text(json.dumps(exported(tasks, *answers)), encoding="utf-8")
    reviews = read_label_studio(path)
    assert reviews["decision_id"].tolist() == ids
    assert reviews["verdict"].tolist() == verdicts
    named = [t if w == "relabelled" and t else None for w, t in zip(verdicts, texts, strict=True)]
    assert (
        reviews["correct_policy_id"].astype(object).where(lambda s: s.notna(), None).tolist()
        == named
    )


def test_content_stays_data(queue):
    tasks = label_studio_tasks(queue, show_reasons=True)
    assert [task["data"]["text"] for task in tasks] == HOSTILE
    assert tasks[0]["data"]["why"] == "Seen <before>"
    assert tasks[0]["data"]["market"] == ""
    assert tasks[0]["predictions"] == [{"model_version": "3", "score": 0.9, "result": []}]


def test_reviewers_do_not_see_what_would_bend_their_judgement(queue):
    task = label_studio_tasks(queue.assign(value=3.0, account=1))[0]
    hidden = {
        "p_error",
        "rank",
        "arm",
        "error_kind",
        "inclusion_probability",
        "expected_harm",
        "value",
    }
    assert not hidden & {*task["data"], *task["meta"]}
    assert (task["data"]["why"], task["predictions"], task["data"]["account"]) == ("", [], 1)
    shown = label_studio_tasks(queue, show_reasons=True)[0]
    data, meta = shown["data"], shown["meta"]
    assert data["p_error"] == 0.9
    assert {"rank", "arm", "error_kind", "inclusion_probability"} <= set(meta) - set(data)
    shown = labelling_config(["spam"])
    assert not any(f"${name}" in shown for name in hidden)
    assert "account_id" not in data


def test_nothing_of_machine_or_model_anchors_a_reviewer(queue):
    """Every column gets a value that occurs nowhere else; none of the model's or the machine's is in a task."""
    anchors = {*QUEUE.names, "value", "p_reverse", "chance", "score", "threshold"}
    anchors -= {"decision_id", "policy_id", "pool", "run_id"}
    marked = {name: f"mark-{name}-" for name in sorted(anchors - {"reasons"})}
    frame = queue.assign(**marked, text="content", colour="red")
    told = json.dumps(label_studio_tasks(frame))
    assert "red" in told
    assert not [name for name, mark in marked.items() if mark in told]
    assert not [name for name in anchors if f'"{name}"' in told.replace('"predictions"', "")]
    assert not [one["text"] for one in queue["reasons"].iloc[0] if one["text"] in told]
    shown = json.dumps(label_studio_tasks(frame.assign(p_error=0.5), show_reasons=True))
    assert '"score"' in shown
    assert "mark-rank-" in shown


def test_every_key_of_the_config_is_in_every_task(queue):
    config = ElementTree.fromstring(labelling_config(["spam"]))
    asked = {tag.get("value")[1:] for tag in config.iter("Text")}
    assert asked == {"text", "why", *FACTS}
    bare = queue[["decision_id", "policy_id"]]
    for frame in (queue, bare):
        assert all(asked <= set(task["data"]) for task in label_studio_tasks(frame))


def test_the_config_asks_for_a_verdict_and_the_right_policy():
    policies = {"s<p": Policy("s<p", 'Spam "&" more', severity=1), "b\x00": Policy("b\x00", "B", 1)}
    config = ElementTree.fromstring(labelling_config(["scam"], policies))
    verdict, right = config.iter("Choices")
    assert [c.get("value") for c in verdict] == ["upheld", "overturned", "relabelled"]
    assert verdict.get("required") == "true"
    assert right.get("whenChoiceValue") == "relabelled"
    assert {c.get("alias"): c.get("value") for c in right} == {
        "b[U+0000]": "B (b[U+0000])", "s<p": 'Spam "&" more (s<p)', "scam": "scam",
    }  # fmt: skip
    names = {tag.get("name") for tag in config.iter() if tag.get("name")}
    assert {tag.get("toName") for tag in (verdict, right)} <= names


def test_tasks_show_names_and_clauses(queue):
    policies = {"spam": Policy("spam", "Spam", severity=1, clause="No ads.")}
    data = label_studio_tasks(queue, policies)[0]["data"]
    assert (data["policy"], data["clause"], data["policy_id"]) == ("Spam", "No ads.", "spam")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"was_cancelled": True}, "the annotator skipped the task"),
        ({"result": []}, "the annotation holds no verdict"),
        ({"result": None}, "the annotation holds no verdict"),
        ({"created_at": "yesterday"}, "created_at must be a time"),
        ({"id": None}, "the task and the annotation must have an id"),
    ],
)
def test_what_is_no_review_is_told(queue, write, change, reason):
    tasks = label_studio_tasks(queue)[:2]
    bad = {**answer(100, 1, "upheld"), **change}
    read = convert_label_studio(write(exported(tasks, [bad], [answer(101, 2, "upheld")])))
    assert read.frame["decision_id"].tolist() == ["d1"]
    assert read.rejects["reason"].tolist() == [reason]
    assert read.rejects["row"].tolist() == [1]
    assert read.n_rows == 2


def test_unknown_several_and_contradicting_answers(queue, write):
    tasks = label_studio_tasks(queue)[:4]
    both = answer(101, 2, "upheld")
    both["result"].append({**both["result"][0], "value": {"choices": ["overturned"]}})
    read = convert_label_studio(
        write(exported(
            tasks, [answer(100, 1, "maybe")], [both],
            [answer(102, 3, "upheld"), answer(102, 3, "upheld"), answer(102, 3, "overturned")], [],
        ))
    )  # fmt: skip
    assert read.rejects["reason"].tolist() == [
        "verdict must be one of upheld, overturned, relabelled, got 'maybe'",
        "the annotation must hold one verdict, got overturned, upheld",
        "the annotation occurs twice with one updated_at and different answers: the first is kept",
    ]
    assert len(read.frame) == 1
    assert read.n_duplicates == 1
    assert read.notes == ("1 tasks have no annotation yet",)
    assert read.n_rows == len(read.frame) + len(read.rejects) + read.n_duplicates


def test_a_task_of_another_project_is_told(write):
    read = convert_label_studio(
        write([{"id": 1, "data": {"text": "x"}, "annotations": [answer(1, 2, "upheld")]}])
    )
    assert read.rejects["reason"].tolist() == ["the task's data must hold decision_id"]


def test_nobody_knew_an_answer_before_it_was_changed(queue, write):
    late = answer(100, 1, "upheld", updated_at="2026-03-09T00:00:00Z")
    reviews = read_label_studio(write(exported(label_studio_tasks(queue)[:1], [late])))
    assert reviews["reviewed_at"].iloc[0] == pd.Timestamp("2026-03-09T00:00Z")


def test_who_answered_and_how_long_may_be_unknown(queue, write):
    who = [{"id": 9, "email": "eve@x.example"}, None]
    times = [None, -3]
    given = [
        [answer(100 + i, i, "upheld", completed_by=who[i], lead_time=times[i])] for i in (0, 1)
    ]
    reviews = read_label_studio(write(exported(label_studio_tasks(queue)[:2], *given)))
    assert reviews["reviewer_id"].iloc[0] == "9"
    assert reviews["reviewer_id"].isna().tolist() == [False, True]
    assert reviews["minutes"].isna().all()


def minimal(tasks):
    """JSON-MIN as Label Studio's converter writes it: data, controls and annotation in one."""
    about = {"annotator": "eve@x.example", "created_at": "2026-03-02T10:00:00Z",
             "updated_at": "2026-03-02T10:00:00Z", "lead_time": 60.0}  # fmt: skip
    return [
        {**tasks[0]["data"], "id": 100, "verdict": "relabelled", "right_policy": "scam",
         "annotation_id": 1, **about},
        {**tasks[1]["data"], "id": 101, "verdict": {"choices": ["upheld", "overturned"]},
         "annotation_id": 2, **about},
        {**tasks[2]["data"], "id": 102, "annotation_id": 3, **about},
    ]  # fmt: skip


def test_json_min_and_csv_say_the_same(queue, write, tmp_path):
    records = minimal(label_studio_tasks(queue))
    from_json = convert_label_studio(write(records))
    path = tmp_path / "export.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, sorted({key for record in records for key in record}))
        writer.writeheader()
        for record in records:
            writer.writerow(
                {k: json.dumps(v) if isinstance(v, dict) else v for k, v in record.items()}
            )
    assert is_label_studio(path)
    from_csv = convert_label_studio(path)
    pd.testing.assert_frame_equal(from_csv.frame, from_json.frame)
    assert from_json.frame[["review_id", "verdict", "correct_policy_id"]].values.tolist() == [
        ["label-studio-100-1-8b6af638c2", "relabelled", "scam"]
    ]
    assert from_csv.rejects["reason"].tolist() == from_json.rejects["reason"].tolist()
    assert from_json.rejects["reason"].tolist() == [
        "the annotation must hold one verdict, got overturned, upheld",
        "the annotation holds no verdict",
    ]


def test_other_files_are_not_taken_for_exports(write, tmp_path):
    assert not is_label_studio(write('{"review_id": "r"}\n', "reviews.jsonl"))
    assert not is_label_studio(write('[{"review_id": "r"}]'))
    assert not is_label_studio(write("review_id,decision_id\n", "reviews.csv"))
    assert not is_label_studio(tmp_path / "absent.json")


@pytest.mark.parametrize(
    ("text", "name", "says"),
    [
        ("[{", "a.json", "got text that is not JSON"),
        ("[1]", "a.json", "got no list of tasks"),
        ('[{"id": 1}]', "a.json", "got a task without annotations"),
        ("id,verdict\n1,upheld\n", "a.csv", "got a table without annotation_id, created_at"),
    ],
)
def test_what_is_no_export_is_refused(write, text, name, says):
    with pytest.raises(DataError, match=says):
        convert_label_studio(write(text, name))


def flat(task, one, annotator="eve@x.example"):
    """An annotation as JSON-MIN gives it."""
    chosen = {region["from_name"]: region["value"]["choices"][0] for region in one["result"]}
    times = {name: one[name] for name in ("created_at", "updated_at", "lead_time")}
    about = {"id": task["id"], "annotation_id": one["id"], "annotator": annotator}
    return {**task["data"], **about, **chosen, **times}


def stored(task, one):
    """An annotation as a target storage gives it: the task is inside."""
    who = {"id": 5, "email": "eve@x.example", "first_name": "", "last_name": ""}
    return {**one, "completed_by": who, "project": 1, "task": {**task, "is_labeled": True}}


def as_csv(records, delimiter=","):
    """Write records as the converter does: text in quotes, numbers bare."""
    names = list(dict.fromkeys(name for record in records for name in record))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, delimiter=delimiter, quoting=csv.QUOTE_NONNUMERIC)
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue()


def forms(task, one):
    """Name every form in which one annotation may come."""
    whole = {**task, "annotations": [one], "predictions": [], "drafts": []}
    record = flat(task, one)
    return {
        "export.json": json.dumps([whole]),
        "pretty.json": json.dumps([whole], indent=4),
        "one.json": json.dumps(whole),
        "lines.jsonl": "\n".join(json.dumps(value) for value in (whole, whole)),
        "min.json": json.dumps([record]),
        "min_without_an_ending": json.dumps([record], indent=2),
        "export.csv": as_csv([record]),
        "export.tsv": as_csv([record], "\t"),
        "spreadsheet.csv": "\ufeff" + as_csv([record], ";"),
        "7": json.dumps(stored(task, one)),
        "7.json": json.dumps(stored(task, one), indent=2),
        "task_5": json.dumps({**task, "annotations": [one]}),
    }


@pytest.mark.parametrize("length", [3, 200_000])
def test_an_annotation_is_one_review_in_every_form(tmp_path, length):
    task = {"id": 5, "data": {"text": "x, \n" * (length // 4), "decision_id": "d5"}}
    one = answer(5, 7, "relabelled", "scam")
    reads = {}
    for name, content in forms(task, one).items():
        path = tmp_path / name
        path.write_text(content, encoding="utf-8")
        assert is_label_studio(path), name
        reads[name] = convert_label_studio(path)
    first = reads["export.json"].frame
    assert first["review_id"].str.fullmatch(r"label-studio-5-7-[0-9a-f]{10}").all()
    for name, read in reads.items():
        pd.testing.assert_frame_equal(
            read.frame.drop(columns="reviewer_id"), first.drop(columns="reviewer_id"), obj=name
        )
        assert read.frame["reviewer_id"].isin(["5", "eve@x.example"]).all()
        assert read.rejects.empty
    together = convert_label_studio([tmp_path / name for name in reads])
    assert len(together.frame) == 1
    assert together.n_duplicates == together.n_rows - 1 == len(reads)
    assert together.rejects.empty


def test_two_servers_number_from_one(tmp_path):
    paths = []
    for server, decision in enumerate(("d1", "d2")):
        task = {"id": 1, "data": {"decision_id": decision}}
        path = tmp_path / f"server{server}.json"
        path.write_text(json.dumps([{**task, "annotations": [answer(1, 1, "overturned")]}]))
        paths.append(path)
    found = convert_label_studio(paths).frame
    assert found["decision_id"].tolist() == ["d1", "d2"]
    assert found["review_id"].is_unique
    # even the same decision on both, for it was not annotated in the same second
    task = {"id": 1, "data": {"decision_id": "d1"}}
    other = answer(1, 1, "upheld", created_at="2026-03-02T11:00:00Z")
    paths[1].write_text(json.dumps([{**task, "annotations": [other]}]))
    assert convert_label_studio(paths).frame["review_id"].nunique() == 2


def test_a_changed_annotation_is_a_later_version_of_its_review(tmp_path):
    task = {"id": 1, "data": {"decision_id": "d1"}}
    changed = answer(1, 1, "overturned", updated_at="2026-03-09T00:00:00Z")
    paths = []
    for week, one in enumerate((changed, answer(1, 1, "upheld"))):
        paths.append(tmp_path / f"week{week}.json")
        paths[-1].write_text(json.dumps([{**task, "annotations": [one]}]))
    read = convert_label_studio(paths)
    assert read.rejects.empty
    assert len(set(read.frame["review_id"])) == 1
    assert latest_versions(read.frame)["verdict"].tolist() == ["overturned"]
    assert read.frame["updated_at"].tolist() == [
        pd.Timestamp("2026-03-09T00:00Z"), pd.Timestamp("2026-03-02T10:00:00.5Z"),
    ]  # fmt: skip


def test_what_is_no_annotation_is_counted(tmp_path):
    task = {"id": 1, "data": {"decision_id": "d1"}, "drafts": [{"result": []}] * 2}
    given = [answer(1, 1, "upheld"), 17, {**answer(1, 3, "upheld"), "was_cancelled": True}]
    path = tmp_path / "export.json"
    path.write_text(json.dumps([{**task, "annotations": given, "predictions": [{"score": 1}]}]))
    read = convert_label_studio(path)
    assert read.notes == (
        "annotations left out (the export holds only their ids): 1",
        "drafts left out (not submitted): 2",
        "predictions left out (made by a model): 1",
    )
    assert read.rejects["reason"].tolist() == ["the annotator skipped the task"]
    assert read.rejects["row"].tolist() == [2]


def test_an_annotation_without_its_task_is_told(tmp_path):
    path = tmp_path / "7"
    path.write_text(json.dumps(answer(5, 7, "upheld")))  # as old storages wrote it
    assert is_label_studio(path)
    read = convert_label_studio(path)
    assert read.rejects["reason"].tolist() == ["the task's data must hold decision_id"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("reviews.json", '[{"review_id": "r", "annotation_id": 1, "lead_time": 2}]'),
        ("reviews.csv", "review_id,annotation_id,annotator,lead_time\n"),
        ("tasks.json", '[{"data": {"text": "\\"annotations\\""}, "meta": {}}]'),
        ("empty.json", "[]"),
        ("nothing", ""),
        ("words.txt", "annotations and annotation_id"),
        ("deep.json", "[" * 100_000),
        ("lines.jsonl", '{"a": 1\n' * 50_000),
        ("damaged.json.gz", "no gzip"),
    ],
)
def test_other_files_are_no_exports_whatever_their_name(write, name, content):
    assert not is_label_studio(write(content, name))


def test_a_large_file_of_another_kind_is_not_read_whole(tmp_path, monkeypatch):
    from errdetect.integrations import label_studio

    path = tmp_path / "log.jsonl"
    path.write_text('{"review_id": "r", "text": "x"}\n' * 100_000)
    read = []
    whole = label_studio._decode_text
    monkeypatch.setattr(
        label_studio, "_decode_text", lambda data: read.append(len(data)) or whole(data)
    )
    assert not is_label_studio(path)
    assert max(read) <= 1 << 16


def test_a_cut_export_is_refused_with_its_place(write):
    text = json.dumps([{"id": 1, "data": {"text": "x" * 100_000}, "annotations": []}])
    path = write(text[:-3], "cut.json")
    assert is_label_studio(path)
    with pytest.raises(
        DataError, match=r"must be an export of Label Studio.*text that is not JSON"
    ):
        convert_label_studio(path)


def test_exports_among_other_sources(tmp_path, write):
    storage = tmp_path / "storage"
    storage.mkdir()
    task = {"id": 5, "data": {"decision_id": "d5"}}
    for number in (9, 10):
        (storage / str(number)).write_text(json.dumps(stored(task, answer(5, number, "upheld"))))
    (storage / ".hidden").write_text("x")
    (storage / "notes.txt").write_text("x")
    (storage / "more.csv").write_text("review_id\n")
    plain = write("review_id\n", "reviews.csv")
    sources = [storage, plain, "sqlite:///x.db::reviews", str(tmp_path / "absent*")]
    exports, others, notes = find_exports(sources)
    assert exports == [storage / "10", storage / "9"]
    assert others == [storage / "more.csv", plain, *sources[2:]]
    assert notes == ("files skipped, neither exports nor tables: 1 (notes.txt)",)
    assert find_exports(str(storage / "[0-9]*"))[0] == [storage / "10", storage / "9"]
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "part-0.csv").write_text("review_id\n")
    assert find_exports(tmp_path / "parts") == ([], [tmp_path / "parts"], ())
