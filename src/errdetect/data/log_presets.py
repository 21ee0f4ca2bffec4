"""Other systems' logs read as ours: moderation APIs' responses as decisions, moderation logs as both tables.

The shapes are those of the vendors' public documentation. A row that does not have the shape gets no
values, so it is rejected and counted; events that are neither decisions nor reviews are left out and counted.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from errdetect.data.dsa_statements import statements_to_decisions
from errdetect.errors import ConfigError, error_message
from errdetect.table_settings import TableMapping

__all__ = ["DOCUMENT_PRESETS", "apply_preset"]

#: Presets whose pages are one object that holds the rows.
DOCUMENT_PRESETS = ("ozone_events", "reddit_modlog")

#: Category -> score in the API's own unit.
_Scores = dict[str, float]
_Row = dict[str, Any]


@dataclass(frozen=True)
class _Response:
    """What an API said of one item.

    Parameters
    ----------
    scores
        Category -> score, in the API's own unit.
    flagged
        The API's own verdict by category, where it gives one.
    version
        The model's version.
    """

    scores: _Scores
    flagged: frozenset[str] | None = None
    version: str | None = None


def apply_preset(
    table: pa.Table,
    mapping: TableMapping,
    name: str,
    source: str,
    every: Callable[[], Iterable[pa.Table]],
) -> tuple[pa.Table, npt.NDArray[np.int64] | None]:
    """Convert another system's rows.

    Parameters
    ----------
    table
        The rows as read.
    mapping
        Names the preset, and the thresholds of an API's.
    name
        `decisions` or `reviews`: which of the two a moderation log is read as.
    source
        The file, for messages.
    every
        Gives all rows of the file, in which a review finds the decision that it is about.

    Returns
    -------
    table, rows
        The converted rows, and the places of the rows that they come from; None where each row gave one.

    Raises
    ------
    ConfigError
        If an API has no verdict of its own and no threshold is given.

    Examples
    --------
    >>> answer = {"id": "m1", "at": "2026-03-01", "attributeScores": {"THREAT": {"summaryScore": {"value": 0.9}}}}
    >>> mapping = TableMapping(preset="perspective", thresholds={"default": 0.8})
    >>> rows, _ = apply_preset(pa.Table.from_pylist([answer]), mapping, "decisions", "log.jsonl", list)
    >>> rows.select(["id", "policy_id", "action", "score", "threshold"]).to_pylist()
    [{'id': 'm1', 'policy_id': 'THREAT', 'action': 'block', 'score': 0.9, 'threshold': 0.8}]
    """
    preset = str(mapping.preset)
    if preset == "dsa_statements":
        return statements_to_decisions(table, source), None
    if preset in _LOGS:
        return _read_log(table, _LOGS[preset], mapping, name, every)
    parse, unit, needs = _APIS[preset]
    if needs and not mapping.thresholds:
        do = (
            "Write thresholds: {default: SCORE} beside the preset, with the scores that you act on."
        )
        must = "say from which score on your system acts"
        raise ConfigError([error_message(f"The preset {preset}", must, "no thresholds", do)])
    rows, places = list[_Row](), list[int]()
    for place, row in enumerate(table.to_pylist()):
        answers = list(_responses(row, parse))
        for number, answer in enumerate(answers or [_Response({})], start=1):
            out = {key: value for key, value in row.items() if _is_plain(value)}
            ident = next(
                (row[key] for key in ("decision_id", "id", "task_id") if row.get(key)), None
            )
            if len(answers) > 1 and ident is not None:
                out["decision_id"] = f"{ident}-{number}"
            rows.append(out | _decide(answer, mapping.thresholds, unit, preset))
            places.append(place)
    return _to_table(rows), np.array(places, dtype=np.int64)


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | int | float | bool | datetime)


def _to_table(rows: list[_Row]) -> pa.Table:
    names = dict.fromkeys(name for row in rows for name in row)
    arrays = {}
    for name in names:
        values = [row.get(name) for row in rows]
        try:
            arrays[name] = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            texts = [None if value is None else str(value) for value in values]
            arrays[name] = pa.array(texts, pa.large_string())
    return pa.table(arrays)


# --- moderation APIs ---------------------------------------------------------------------------


def _responses(row: _Row, parse: Callable[[_Row], Iterator[_Response]]) -> Iterator[_Response]:
    """Find the API's answer in a log's row: the row itself, or an object in it."""
    for part in (row, *(value for value in row.values() if isinstance(value, dict))):
        found = list(parse(part))
        if found:
            yield from found
            return


def _decide(
    answer: _Response, thresholds: Mapping[str, float], unit: float, preset: str
) -> dict[str, Any]:
    """Say what the scores led to: the category that is most above its threshold, or least below."""
    scores = {k: v for k, v in answer.scores.items() if k in thresholds or "default" in thresholds}
    if not thresholds:
        scores = dict(answer.scores)
    if not scores:
        empty = dict.fromkeys(("policy_id", "action", "score", "threshold"))
        return empty | {"moderator": preset, "moderator_version": answer.version}
    at = {name: thresholds.get(name, thresholds.get("default")) for name in scores}
    flagged = answer.flagged or frozenset()

    def excess(name: str) -> tuple[bool, float, str]:
        limit = at[name]
        above = name in flagged if limit is None else scores[name] >= limit
        return above, scores[name] - (limit or 0.0), name

    top = max(scores, key=excess)
    limit = at[top]
    out: dict[str, Any] = {
        "policy_id": top,
        "action": "block" if excess(top)[0] else "allow",
        "score": scores[top] / unit,
        "threshold": None if limit is None else limit / unit,
        "moderator": preset,
        "moderator_version": answer.version,
    }
    return out | {f"score_{name}": value / unit for name, value in scores.items()}


def _numbers(values: object) -> _Scores:
    if not isinstance(values, dict):
        return {}
    return {str(k): float(v) for k, v in values.items() if isinstance(v, int | float)}


def _openai(row: _Row) -> Iterator[_Response]:
    """Read id, model, results: [{flagged, categories, category_scores}]."""
    results = row.get("results")
    for one in results if isinstance(results, list) else []:
        if isinstance(one, dict) and (scores := _numbers(one.get("category_scores"))):
            categories = one.get("categories") or {}
            flagged = frozenset(name for name, yes in categories.items() if yes)
            yield _Response(scores, flagged, row.get("model"))


def _perspective(row: _Row) -> Iterator[_Response]:
    """Read attributeScores: {TOXICITY: {summaryScore: {value}}}."""
    attributes = row.get("attributeScores")
    if isinstance(attributes, dict):
        summary = {
            name: one["summaryScore"]["value"]
            for name, one in attributes.items()
            if isinstance(one, dict) and isinstance(one.get("summaryScore"), dict)
        }
        yield _Response(_numbers(summary))


def _azure(row: _Row) -> Iterator[_Response]:
    """Read categoriesAnalysis: [{category, severity}], and blocklistsMatch."""
    analysis = row.get("categoriesAnalysis")
    if isinstance(analysis, list):
        scores = {str(one.get("category")): one.get("severity") for one in analysis if one}
        if row.get("blocklistsMatch"):
            scores["blocklist"] = _AZURE_UNIT
        yield _Response(_numbers(scores))


def _rekognition(row: _Row) -> Iterator[_Response]:
    """Read ModerationLabels: [{Name, ParentName, Confidence}]; an empty list found nothing."""
    labels = row.get("ModerationLabels")
    if isinstance(labels, list):
        scores = {str(one.get("Name")): one.get("Confidence") for one in labels if one}
        # Labels are returned from the request's MinConfidence on: those returned are its verdict.
        version = row.get("ModerationModelVersion")
        yield _Response(_numbers(scores) or {"none": 0.0}, frozenset(scores), version)


def _hive(row: _Row) -> Iterator[_Response]:
    """Read output: [{classes: [{class, score or value}]}], in status[].response or by itself."""
    parts: list[Any] = [row]
    status = row.get("status")
    for one in status if isinstance(status, list) else []:
        parts.append(one.get("response") if isinstance(one, dict) else None)
    for part in parts:
        if not isinstance(part, dict) or not isinstance(part.get("output"), list):
            continue
        scores: _Scores = {}
        for output in part["output"]:
            for one in (output or {}).get("classes") or []:
                name = str(one.get("class"))
                value = one["score"] if one.get("score") is not None else one.get("value")
                # A class such as no_nudity or general_not_nsfw says that nothing was found.
                if isinstance(value, int | float) and not _says_nothing_found(name):
                    scores[name] = max(scores.get(name, 0.0), float(value))
        if "moderated_classes" in part or any(value > 1 for value in scores.values()):
            scores = {name: value / _HIVE_SEVERITIES for name, value in scores.items()}
        yield _Response(scores, None, part.get("version"))


def _says_nothing_found(name: str) -> bool:
    return name.startswith("no_") or "_not_" in name


#: Azure's severities run from 0 to 7, Hive's for text from 0 to 3, Rekognition's confidence to 100.
_AZURE_UNIT, _HIVE_SEVERITIES, _PER_CENT = 7.0, 3.0, 100.0
#: Preset -> how to read an answer, what its scores are divided by, whether it needs thresholds.
_APIS: Mapping[str, tuple[Callable[[_Row], Iterator[_Response]], float, bool]] = {
    "openai_moderation": (_openai, 1.0, False),
    "perspective": (_perspective, 1.0, True),
    "azure_content_safety": (_azure, _AZURE_UNIT, True),
    "aws_rekognition": (_rekognition, _PER_CENT, False),
    "hive": (_hive, 1.0, True),
}


# --- moderation logs ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _Event:
    """One event of a moderation log, in our words.

    Parameters
    ----------
    subject
        What it is about.
    action
        `remove`, `label` or `approve`; another system's word where it has no meaning here.
    enforces
        Whether the action enforces; None where only a person can say.
    automated
        Whether an automated moderator took it.
    decision
        The columns of a decision.
    """

    subject: str
    at: str | float
    who: str
    action: str
    enforces: bool | None
    automated: bool
    decision: Mapping[str, Any]


def _read_log(
    table: pa.Table,
    parse: Callable[[_Row, TableMapping], _Event | None],
    mapping: TableMapping,
    name: str,
    every: Callable[[], Iterable[pa.Table]],
) -> tuple[pa.Table, npt.NDArray[np.int64]]:
    """Read automated events as decisions, or people's later events on the same subjects as reviews."""
    events = [parse(row, mapping) for row in table.to_pylist()]
    rows, places = list[_Row](), list[int]()
    if name != "reviews":
        for place, one in enumerate(events):
            if one is not None and one.automated and one.enforces is not None:
                rows.append(dict(one.decision) | {"action": one.action})
                places.append(place)
        return _to_table(rows), np.array(places, dtype=np.int64)
    past = _decisions_by_subject(every(), parse, mapping)
    for place, one in enumerate(events):
        if one is None or one.automated or one.subject not in past:
            continue
        times = [key for key, _ in past[one.subject]]
        before = bisect_left(times, _order(one.at))
        if before:
            decided = past[one.subject][before - 1][1]
            same = one.enforces == decided.enforces
            verdict = one.action if one.enforces is None else ("upheld" if same else "overturned")
            rows.append({"decision_id": decided.decision["decision_id"], "reviewed_at": one.at,
                         "source": "re_review", "verdict": verdict, "reviewer_id": one.who,
                         "review_id": one.decision["decision_id"]})  # fmt: skip
            places.append(place)
    return _to_table(rows), np.array(places, dtype=np.int64)


def _decisions_by_subject(
    tables: Iterable[pa.Table],
    parse: Callable[[_Row, TableMapping], _Event | None],
    mapping: TableMapping,
) -> dict[str, list[tuple[float, _Event]]]:
    past: dict[str, list[tuple[float, _Event]]] = {}
    for table in tables:
        for row in table.to_pylist():
            one = parse(row, mapping)
            if one is not None and one.automated and one.enforces is not None:
                past.setdefault(one.subject, []).append((_order(one.at), one))
    for events in past.values():
        events.sort(key=lambda pair: pair[0])
    return past


def _order(at: str | float) -> float:
    """Return a time as seconds; one that cannot be read comes before all others."""
    if isinstance(at, int | float):
        return float(at)
    try:
        return datetime.fromisoformat(at).timestamp()
    except ValueError:
        return float("-inf")


_OZONE = "tools.ozone.moderation.defs#modEvent"


def _ozone(row: _Row, mapping: TableMapping) -> _Event | None:
    """Read an event of tools.ozone.moderation.queryEvents; modTool automod is automated."""
    event, subject = row.get("event") or {}, row.get("subject") or {}
    kind = str(event.get("$type", "")).removeprefix(_OZONE)
    name = subject.get("uri") or subject.get("did")
    if not kind or not name or row.get("createdAt") is None:
        return None
    account = str(name).removeprefix("at://").partition("/")[0]
    who, tool = str(row.get("createdBy")), str((row.get("modTool") or {}).get("name", ""))
    created, negated = event.get("createLabelVals") or [], event.get("negateLabelVals") or []
    policies = event.get("policies") or created or negated
    actions = {"Takedown": ("remove", True), "ReverseTakedown": ("approve", False)}
    if kind == "Label":
        action, enforces = ("label", True) if created else ("approve", False)
    elif kind in actions:
        action, enforces = actions[kind]
    elif kind in ("Acknowledge", "ResolveAppeal"):
        action, enforces = kind.lower(), None
    else:
        return None
    decision = {"decision_id": str(row.get("id")), "decided_at": row["createdAt"], "item_id": name,
                "account_id": account, "policy_id": str(policies[0]) if policies else "unspecified",
                "moderator": tool or who, "comment": event.get("comment")}  # fmt: skip
    automated = tool.startswith("automod") or who in mapping.moderators
    return _Event(str(name), row["createdAt"], who, action, enforces, automated, decision)


def _reddit(row: _Row, mapping: TableMapping) -> _Event | None:
    """Read a modaction of about/log, by itself or in a listing."""
    data = row["data"] if isinstance(row.get("data"), dict) else row
    word, target = str(data.get("action", "")), data.get("target_fullname")
    sides = {"remove": True, "spam": True, "approve": False}
    side = next((s for s in sides if word in (f"{s}link", f"{s}comment")), None)
    if side is None or not target or data.get("created_utc") is None:
        return None
    reason = data.get("description") or data.get("details")
    who = str(data.get("mod"))
    decision = {"decision_id": str(data.get("id")), "decided_at": data["created_utc"],
                "item_id": target, "account_id": data.get("target_author"),
                "policy_id": str(reason) if reason else "unspecified", "moderator": who,
                "item_type": word.removeprefix(side), "text": data.get("target_title"),
                "subreddit": data.get("subreddit")}  # fmt: skip
    automated = who in (mapping.moderators or ["AutoModerator"])
    action = "approve" if side == "approve" else "remove"
    return _Event(str(target), data["created_utc"], who, action, sides[side], automated, decision)


_LOGS: Mapping[str, Callable[[_Row, TableMapping], _Event | None]] = {
    "ozone_events": _ozone,
    "reddit_modlog": _reddit,
}
