"""Label Studio: the queue out as tasks, people's answers back as reviews."""

import csv
import json
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errdetect.data.label_studio import (
    convert_label_studio,
    is_label_studio,
    read_label_studio,
)
from errdetect.data.label_studio_tasks import FACTS, label_studio_tasks, labelling_config
from errdetect.data.policies import Policy
from errdetect.data.tables import read_reviews
from errdetect.errors import DataError
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
    tasks = label_studio_tasks(queue)
    assert [task["data"]["text"] for task in tasks] == HOSTILE
    assert tasks[0]["data"]["why"] == "Seen <before>"
    assert tasks[0]["data"]["market"] == ""
    assert tasks[0]["predictions"] == [{"model_version": "3", "score": 0.9, "result": []}]


def test_reviewers_do_not_see_what_would_bend_their_judgement(queue):
    data, meta = (label_studio_tasks(queue)[0][part] for part in ("data", "meta"))
    hidden = {"p_error", "rank", "arm", "error_kind", "inclusion_probability"}
    assert not hidden & set(data)
    assert hidden <= set(meta)
    shown = labelling_config(["spam"])
    assert not any(f"${name}" in shown for name in hidden)
    assert "account_id" not in data


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
        "b\\x00": "B (b\\x00)", "s<p": 'Spam "&" more (s<p)', "scam": "scam",
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
        "the annotation stands twice with one updated_at and different answers: the first is kept",
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
        ("[{", "a.json", "got text that is no JSON"),
        ("[1]", "a.json", "got no list of tasks"),
        ('[{"id": 1}]', "a.json", "got a task without annotations"),
        ("id,verdict\n1,upheld\n", "a.csv", "got a table without annotation_id, created_at"),
    ],
)
def test_what_is_no_export_is_refused(write, text, name, says):
    with pytest.raises(DataError, match=says):
        convert_label_studio(write(text, name))
