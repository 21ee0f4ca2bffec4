"""Responses of moderation APIs as decisions; moderation logs as decisions and reviews."""

import json

import pytest

from errdetect.data.table_reading import read_decisions, read_reviews
from errdetect.errors import ConfigError
from errdetect.table_settings import TableMapping

COLUMNS = {"ref": "decision_id", "at": "decided_at"}


def write(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def envelope(number, answer):
    return {"ref": f"d{number}", "at": "2026-03-01T10:00:00Z", "text": "hello", "response": answer}


OPENAI = [
    {"id": "modr-1", "model": "omni-moderation-2024-09-26", "results": [
        {"flagged": True, "categories": {"violence": True, "hate": False},
         "category_scores": {"violence": 0.7, "hate": 0.2}}]},
    {"id": "modr-2", "model": "omni-moderation-2024-09-26", "results": [
        {"flagged": False, "categories": {"violence": False, "hate": False},
         "category_scores": {"violence": 0.1, "hate": 0.3}}]},
]  # fmt: skip
PERSPECTIVE = [
    {"attributeScores": {"TOXICITY": {"spanScores": [], "summaryScore": {"value": v, "type": "PROBABILITY"}},
                         "THREAT": {"summaryScore": {"value": 0.05, "type": "PROBABILITY"}}}, "languages": ["en"]}
    for v in (0.9, 0.4)
]  # fmt: skip
AZURE = [
    {"blocklistsMatch": [], "categoriesAnalysis": [{"category": "Hate", "severity": s},
                                                   {"category": "Sexual", "severity": 0}]}
    for s in (6, 2)
]  # fmt: skip
REKOGNITION = [
    {"ModerationModelVersion": "7.0", "ModerationLabels": [
        {"Confidence": 91.5, "Name": "Explicit Nudity", "ParentName": "Explicit", "TaxonomyLevel": 2}]},
    {"ModerationModelVersion": "7.0", "ModerationLabels": []},
]  # fmt: skip
HIVE = [
    {"status": [{"status": {"code": "0"}, "response": {"output": [{"time": 0, "classes": [
        {"class": "yes_gun", "score": s}, {"class": "no_gun", "score": 1 - s}]}]}}]}
    for s in (0.95, 0.2)
]  # fmt: skip


@pytest.mark.parametrize(
    ("preset", "answers", "thresholds", "policy", "scores", "limit"),
    [
        ("openai_moderation", OPENAI, {}, "violence", [0.7, 0.3], None),
        ("openai_moderation", OPENAI, {"default": 0.5}, "violence", [0.7, 0.3], 0.5),
        ("perspective", PERSPECTIVE, {"TOXICITY": 0.8}, "TOXICITY", [0.9, 0.4], 0.8),
        ("azure_content_safety", AZURE, {"default": 4}, "Hate", [6 / 7, 2 / 7], 4 / 7),
        ("aws_rekognition", REKOGNITION, {}, "Explicit Nudity", [0.915, 0.0], None),
        ("aws_rekognition", REKOGNITION, {"default": 60}, "Explicit Nudity", [0.915, 0.0], 0.6),
        ("hive", HIVE, {"default": 0.9}, "yes_gun", [0.95, 0.2], 0.9),
    ],
)  # fmt: skip
def test_an_apis_answers_are_decisions(
    tmp_path, preset, answers, thresholds, policy, scores, limit
):
    log = write(tmp_path / "log.jsonl", [envelope(n, one) for n, one in enumerate(answers)])
    mapping = TableMapping(preset=preset, thresholds=thresholds, columns=COLUMNS)
    frame = read_decisions(log, mapping=mapping).frame
    assert frame["enforced"].tolist() == [True, False]
    assert frame["policy_id"].iloc[0] == policy
    assert frame["score"].tolist() == pytest.approx(scores)
    assert frame["moderator"].tolist() == [preset] * 2
    if limit is not None:
        assert frame["threshold"].tolist() == pytest.approx([limit] * 2)
    assert frame["text"].tolist() == ["hello"] * 2


@pytest.mark.parametrize("preset", ["perspective", "azure_content_safety", "hive"])
def test_scores_without_a_verdict_need_thresholds(tmp_path, preset):
    log = write(tmp_path / "log.jsonl", [envelope(0, PERSPECTIVE[0])])
    with pytest.raises(ConfigError, match="say from which score on your system acts"):
        read_decisions(log, mapping=TableMapping(preset=preset, columns=COLUMNS))


def test_a_row_of_another_shape_is_rejected_and_counted(tmp_path):
    log = write(tmp_path / "log.jsonl", [envelope(0, OPENAI[0]), envelope(1, {"error": "quota"})])
    read = read_decisions(log, mapping=TableMapping(preset="openai_moderation", columns=COLUMNS))
    assert read.frame["decision_id"].tolist() == ["d0"]
    assert "policy_id must have a value" in read.rejects["reason"].iloc[0]


def ozone(number, kind, day, who, tool=None, uri="at://did:plc:a/app.bsky.feed.post/1", **more):
    event = {"$type": f"tools.ozone.moderation.defs#modEvent{kind}", **more}
    row = {"id": number, "event": event, "subject": {"$type": "com.atproto.repo.strongRef", "uri": uri},
           "createdBy": who, "createdAt": f"2026-03-{day:02d}T10:00:00.000Z"}  # fmt: skip
    return row | ({"modTool": {"name": tool}} if tool else {})


def test_ozone_events(tmp_path):
    other = "at://did:plc:b/app.bsky.feed.post/2"
    events = [
        ozone(6, "Takedown", 5, "did:plc:human", uri=other),
        ozone(5, "Comment", 5, "did:plc:human", comment="hm"),
        ozone(4, "ReverseTakedown", 4, "did:plc:human"),
        ozone(3, "Takedown", 3, "did:plc:bot", "automod/rules", uri=other, policies=["spam"]),
        ozone(2, "Acknowledge", 2, "did:plc:human"),
        ozone(1, "Takedown", 1, "did:plc:bot", "automod/rules", policies=["hate"]),
    ]
    (tmp_path / "page.json").write_text(json.dumps({"cursor": "x", "events": events}))
    mapping = TableMapping(preset="ozone_events")
    read = read_decisions(tmp_path / "page.json", mapping=mapping)
    assert read.frame[["decision_id", "policy_id", "action"]].values.tolist() == [
        ["3", "spam", "remove"], ["1", "hate", "remove"],
    ]  # fmt: skip
    assert read.frame["account_id"].tolist() == ["did:plc:b", "did:plc:a"]
    assert any("4 rows are events of another kind" in note for note in read.notes)
    reviews = read_reviews(tmp_path / "page.json", mapping=mapping)
    assert reviews.frame[["decision_id", "verdict"]].values.tolist() == [
        ["3", "upheld"],
        ["1", "overturned"],
    ]
    # To acknowledge says neither yes nor no: the config may say what it means.
    assert "verdict must be one of" in reviews.rejects["reason"].iloc[0]
    told = mapping.model_copy(update={"values": {"verdict": {"acknowledge": "upheld"}}})
    assert len(read_reviews(tmp_path / "page.json", mapping=told).frame) == 3


def test_reddits_moderation_log(tmp_path):
    def action(number, what, mod, target, at):
        data = {"id": f"ModAction_{number}", "action": what, "mod": mod, "target_fullname": target,
                "target_author": "u", "details": "remove", "description": "Rule 3" if mod == "AutoModerator" else None,
                "created_utc": at, "subreddit": "s"}  # fmt: skip
        return {"kind": "modaction", "data": data}

    children = [
        action(1, "removelink", "AutoModerator", "t3_a", 1_772_000_000.0),
        action(2, "approvelink", "ann", "t3_a", 1_772_000_100.0),
        action(3, "removecomment", "AutoModerator", "t1_b", 1_772_000_000.0),
        action(4, "spamcomment", "bob", "t1_b", 1_772_000_200.0),
        action(5, "removelink", "bob", "t3_c", 1_772_000_200.0),
        action(6, "sticky", "bob", "t3_c", 1_772_000_200.0),
    ]
    (tmp_path / "log.json").write_text(
        json.dumps({"kind": "Listing", "data": {"after": None, "children": children}})
    )
    mapping = TableMapping(preset="reddit_modlog")
    frame = read_decisions(tmp_path / "log.json", mapping=mapping).frame
    assert frame["item_id"].tolist() == ["t3_a", "t1_b"]
    assert frame["policy_id"].tolist() == ["Rule 3"] * 2
    reviews = read_reviews(tmp_path / "log.json", mapping=mapping).frame
    assert reviews["verdict"].tolist() == ["overturned", "upheld"]
    assert reviews["reviewer_id"].tolist() == ["ann", "bob"]
