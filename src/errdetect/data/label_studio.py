"""Label Studio's exports as reviews: JSON, JSON-MIN and CSV, every unusable row told why.

The formats are those of Label Studio's "Raw JSON format of completed tasks" and of its converter's
JSON-MIN and CSV, in which each annotation is one record with the task's data beside it.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from errdetect.data.coerce import to_time
from errdetect.data.opening import open_bytes
from errdetect.data.tables import TableRead
from errdetect.errors import DataError, sentence
from errdetect.schemas import RE_REVIEW, RELABELLED, REVIEWS, VERDICTS

__all__ = [
    "RIGHT_POLICY",
    "VERDICT",
    "convert_label_studio",
    "is_label_studio",
    "read_label_studio",
]

#: The names of the two controls in the labelling config that errdetect writes.
VERDICT, RIGHT_POLICY = "verdict", "right_policy"

_HEAD = 1 << 16
_SHOWN = 40


def is_label_studio(path: str | Path) -> bool:
    """Say whether a file looks like one of Label Studio's exports; it is not read whole.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "export.json"
    >>> _ = path.write_text('[{"id": 1, "annotations": [], "data": {}}]')
    >>> is_label_studio(path)
    True
    """
    place = Path(path)
    name = place.name.lower().removesuffix(".gz")
    if not place.is_file() or not name.endswith((".json", ".csv", ".tsv")):
        return False
    with open_bytes(place) as stream:
        head = stream.read(_HEAD).decode("utf-8-sig", errors="replace").lstrip()
    if name.endswith(".json"):
        return head.startswith(("[", "{")) and any(
            f'"{key}"' in head for key in ("annotations", "completions", "annotation_id")
        )
    return {"annotation_id", "annotator", "lead_time"} <= set(_columns(head.split("\n")[0]))


def read_label_studio(path: str | Path) -> pd.DataFrame:
    """Read the reviews in one of Label Studio's exports.

    Parameters
    ----------
    path
        See `convert_label_studio`, which also says what could not be used.

    Returns
    -------
    pandas.DataFrame
        Reviews with the contract's columns.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "export.json"
    >>> _ = path.write_text(json.dumps([{
    ...     "id": 7, "data": {"decision_id": "d1"}, "annotations": [{
    ...         "id": 12, "completed_by": 3, "lead_time": 90.0, "was_cancelled": False,
    ...         "created_at": "2026-03-01T12:00:00Z", "result": [{
    ...             "from_name": "verdict", "to_name": "text", "type": "choices",
    ...             "value": {"choices": ["overturned"]}}]}]}]))
    >>> reviews = read_label_studio(path)
    >>> reviews[["review_id", "decision_id", "verdict", "reviewer_id", "minutes"]].values.tolist()
    [['label-studio-7-12', 'd1', 'overturned', '3', 1.5]]
    """
    return convert_label_studio(path).frame


def convert_label_studio(path: str | Path) -> TableRead:
    """Turn one of Label Studio's exports into reviews, and say what could not be used.

    Parameters
    ----------
    path
        The export as JSON, JSON-MIN, CSV or TSV, perhaps gzipped. Tasks come from the labelling
        config that errdetect writes: the controls `verdict` and `right_policy`, and the data key
        `decision_id`.

    Returns
    -------
    TableRead
        A review for each annotation: review_id (from the task's and the annotation's id),
        source `re_review`, reviewed_at (when the annotation was last changed: nobody knew it
        earlier), minutes (from lead_time), reviewer_id (the annotator's id, or address where the
        export gives nothing else). Rejects are annotations that were skipped, hold no verdict, more
        than one or an unknown one, or whose task has no decision_id. `row` counts annotations.

    Raises
    ------
    DataError
        If the file is no such export.
    """
    place = Path(path)
    with open_bytes(place) as stream:
        text = stream.read().decode("utf-8-sig", errors="replace")
    if place.name.lower().removesuffix(".gz").endswith((".csv", ".tsv")):
        found = _from_csv(place, text)
        waiting = 0
    else:
        found, waiting = _from_json(place, text)
    return _table(place, found, waiting)


@dataclass(frozen=True)
class _Annotation:
    """One person's answer, in whichever form it was exported."""

    task: Any
    number: Any
    decision: Any
    who: Any
    times: tuple[Any, ...]
    seconds: Any
    skipped: bool
    verdicts: Sequence[str]
    policies: Sequence[str]


def _no_export(place: Path, got: str) -> DataError:
    must = "be an export of Label Studio: JSON, JSON-MIN or CSV"
    do = "Export the project again, or give the reviews in errdetect's own columns."
    return DataError(sentence(str(place), must, got, do))


def _from_json(place: Path, text: str) -> tuple[list[_Annotation], int]:
    """Read JSON and JSON-MIN, which may even be mixed; count tasks that nobody has answered."""
    try:
        tasks = json.loads(text)
    except json.JSONDecodeError as error:
        raise _no_export(place, f"text that is no JSON ({error})") from None
    tasks = [tasks] if isinstance(tasks, dict) else tasks
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise _no_export(place, "no list of tasks")
    found: list[_Annotation] = []
    waiting = 0
    for task in tasks:
        if "annotation_id" in task:
            found.append(_minimal(task))
            continue
        given = task.get("annotations", task.get("completions"))
        if not isinstance(given, list):
            raise _no_export(place, "a task without annotations")
        found += [_whole(task, one) for one in given if isinstance(one, dict)]
        waiting += not given
    return found, waiting


def _whole(task: Mapping[str, Any], one: Mapping[str, Any]) -> _Annotation:
    """Read an annotation of the full JSON."""
    data = task.get("data")
    who = one.get("completed_by")
    return _Annotation(
        task=task.get("id"),
        number=one.get("id"),
        decision=data.get("decision_id") if isinstance(data, dict) else None,
        who=who.get("id", who.get("email")) if isinstance(who, dict) else who,
        times=(one.get("created_at"), one.get("updated_at")),
        seconds=one.get("lead_time"),
        skipped=bool(one.get("was_cancelled") or one.get("skipped")),
        verdicts=list(_chosen(one.get("result"), VERDICT)),
        policies=list(_chosen(one.get("result"), RIGHT_POLICY)),
    )


def _chosen(result: Any, control: str) -> Iterator[str]:
    """Give the choices that an annotation's result holds for one control."""
    for region in result if isinstance(result, list) else ():
        if isinstance(region, dict) and region.get("from_name") == control:
            value = region.get("value")
            given = value.get("choices") if isinstance(value, dict) else None
            yield from (str(one) for one in (given if isinstance(given, list) else ()))


def _minimal(record: Mapping[str, Any]) -> _Annotation:
    """Read a record of JSON-MIN or CSV: the task's data, controls and annotation side by side."""
    return _Annotation(
        task=record.get("id"),
        number=record.get("annotation_id"),
        decision=record.get("decision_id"),
        who=record.get("annotator"),
        times=(record.get("created_at"), record.get("updated_at")),
        seconds=record.get("lead_time"),
        skipped=False,
        verdicts=_flat(record.get(VERDICT)),
        policies=_flat(record.get(RIGHT_POLICY)),
    )


def _flat(value: Any) -> list[str]:
    """Take one choice or several: text, a list, `{choices: [...]}`, or that as JSON."""
    if isinstance(value, str) and value[:1] in "[{" and value:
        try:
            value = json.loads(value)
        except json.JSONDecodeError:
            return [str(value)]
    if isinstance(value, dict):
        value = value.get("choices")
    if isinstance(value, list):
        return [word for one in value for word in _flat(one)]
    return [] if value in (None, "") else [str(value)]


def _columns(line: str) -> list[str]:
    return next(csv.reader([line.strip("\r\n")], delimiter="\t" if "\t" in line else ","), [])


def _from_csv(place: Path, text: str) -> list[_Annotation]:
    header = text.split("\n")[0]
    names = _columns(header)
    missing = sorted({"id", "annotation_id", "created_at", VERDICT} - set(names))
    if missing:
        raise _no_export(place, f"a table without {', '.join(missing)}")
    rows = csv.DictReader(io.StringIO(text), delimiter="\t" if "\t" in header else ",")
    return [_minimal({name: value or None for name, value in row.items() if name}) for row in rows]


def _fault(one: _Annotation) -> str | None:
    """Say why an annotation is no review, if so."""
    known = sorted(set(one.verdicts))
    if one.skipped:
        return "the annotator skipped the task"
    if one.task is None or one.number is None:
        return "the task and the annotation must have an id"
    if one.decision in (None, ""):
        return "the task's data must hold decision_id"
    if not known:
        return "the annotation holds no verdict"
    if len(known) > 1:
        return f"the annotation must hold one verdict, got {', '.join(known)[:_SHOWN]}"
    if known[0] not in VERDICTS:
        return f"verdict must be one of {', '.join(VERDICTS)}, got {known[0][:_SHOWN]!r}"
    if len(set(one.policies)) > 1:
        return "the annotation must name one right policy, got several"
    return None


def _table(place: Path, found: list[_Annotation], waiting: int) -> TableRead:
    """Lay out the reviews; what stands twice counts once, where it is the same."""
    faults = {row: fault for row, one in enumerate(found) if (fault := _fault(one))}
    times = [to_time("created_at", pa.array([_text(o.times[i]) for o in found], pa.large_string()))
             for i in (0, 1)]  # fmt: skip
    created, updated = (pd.Series(t.values.to_pandas()) for t in times)
    at = pd.concat([created, updated], axis=1).max(axis=1)
    for row in np.flatnonzero(created.isna().to_numpy(bool)).tolist():
        faults.setdefault(row, "created_at must be a time")
    rows = [row for row in range(len(found)) if row not in faults]
    kept = [found[row] for row in rows]
    frame = _reviews(kept, at.iloc[rows])
    copies = frame.duplicated().to_numpy(bool)
    torn = frame["review_id"].duplicated().to_numpy(bool) & ~copies
    for place_, row in enumerate(rows):
        if torn[place_]:
            faults[row] = "the annotation stands twice in the file, with different answers"
    rejects = pd.DataFrame(
        [(str(place), row + 1, _review_id(found[row]), faults[row]) for row in sorted(faults)],
        columns=["source", "row", "id", "reason"],
    ).astype({"source": "str", "row": "int64", "id": "str", "reason": "str"})
    notes = [f"{waiting:,} tasks have no annotation yet"] if waiting else []
    n_copies = int((copies & ~torn).sum())
    usable = frame[~copies & ~torn].reset_index(drop=True)
    return TableRead(usable, rejects, tuple(notes), len(found), n_copies)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _review_id(one: _Annotation) -> str:
    return f"label-studio-{one.task}-{one.number}"


def _minutes(seconds: Any) -> float:
    """Turn seconds into minutes; what is no positive number is unknown."""
    try:
        given = float(seconds)
    except (TypeError, ValueError):
        return float("nan")
    return given / 60 if 0 < given < float("inf") else float("nan")


def _reviews(kept: list[_Annotation], at: pd.Series) -> pd.DataFrame:
    values: dict[str, list[Any]] = {
        "review_id": [_review_id(one) for one in kept],
        "decision_id": [str(one.decision) for one in kept],
        "source": [RE_REVIEW] * len(kept),
        "verdict": [one.verdicts[0] for one in kept],
        "correct_policy_id": [
            one.policies[0] if one.policies and one.verdicts[0] == RELABELLED else None
            for one in kept
        ],
        "reviewer_id": [_text(one.who) for one in kept],
        "minutes": [_minutes(one.seconds) for one in kept],
    }
    columns: dict[str, Any] = {}
    for column in REVIEWS:
        if column.kind == "timestamp":
            stamps = at.reset_index(drop=True)
            columns[column.name] = pd.to_datetime(stamps, utc=True).dt.as_unit("us")
        else:
            dtype = "float64" if column.kind == "number" else "str"
            given = values.get(column.name, [None] * len(kept))
            columns[column.name] = pd.Series(given, dtype=dtype)
    return pd.DataFrame(columns)
