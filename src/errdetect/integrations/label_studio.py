"""Label Studio's exports as reviews: JSON, JSON-MIN, CSV and the files of a target storage.

The formats are those of Label Studio's "Raw JSON format of completed tasks", of its converter's
JSON-MIN and CSV, in which each annotation is one record next to the task's data, and of its
storage serializer, which writes one annotation per file with the task inside.
"""

import csv
import hashlib
import io
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from errdetect.data.file_opening import open_bytes
from errdetect.data.file_readers import translate_read_errors
from errdetect.data.review_versions import find_repeated_versions
from errdetect.data.sources import SourceFile, Sources, find_files, parse_table_source
from errdetect.data.table_reading import TableRead
from errdetect.data.type_coercion import to_time
from errdetect.errors import DataError, error_message
from errdetect.integrations.queue_export import RIGHT_POLICY, VERDICT
from errdetect.schemas import (
    LABEL_STUDIO_IDS,
    RE_REVIEW,
    RELABELLED,
    REVIEWS,
    VERDICTS,
)

__all__ = [
    "SESSION",
    "convert_label_studio",
    "find_exports",
    "is_label_studio",
    "read_label_studio",
]


#: The key in the data of a calibration session's tasks.
SESSION = "calibration_session"
_HEAD = 1 << 16  # bytes read first; more only if one record is longer
_SHOWN = 40
_DIGEST = 10  # hexadecimal digits, enough to tell servers apart
_LISTS = ("annotations", "completions")
_LONGEST_FIELD = 1 << 30
_LONGEST_WORD = 12  # of JSON, a surrogate pair: a cut text fails within this distance
_BLANK = re.compile(r"\s*")
_BALLOT = "a ballot of a calibration session is no review: errdetect calibrate --ingest reads it"
_TORN = "the annotation occurs twice with one updated_at and different answers: the first is kept"


def is_label_studio(path: str | Path) -> bool:
    """Return whether a file's content is one of Label Studio's exports, whatever its name.

    It is read up to the end of its first record.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "export.json"
    >>> _ = path.write_text('[{"id": 1, "annotations": [], "data": {}}]')
    >>> is_label_studio(path)
    True
    """
    place = Path(path)
    if not place.is_file():
        return False
    try:
        with open_bytes(place) as stream:
            data = stream.read(_HEAD)
            head = _decode_text(data)
            if head.startswith(("[", "{")):
                return _is_record(_first_record(stream, data))
    except (OSError, EOFError, zlib.error):
        return False  # the reader reports the fault
    return _is_record(dict.fromkeys(_split_header(head.split("\n")[0])))


def _expand_path(place: Path) -> list[Path]:
    """Return the path itself, or the matches of a glob by name."""
    if place.exists():
        return [place]
    try:
        found = Path(place.anchor).glob(str(place.relative_to(place.anchor)))
        return sorted(path for path in found if not path.name.startswith("."))
    except (ValueError, NotImplementedError, OSError):
        return []  # the reader reports the fault


def _list_files(folder: Path) -> list[Path]:
    """List the files in a folder by name, without those that are hidden or begin with `_`."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not any(part.startswith(("_", ".")) for part in path.relative_to(folder).parts)
    )


def _is_table_source(path: Path) -> bool:
    """Whether a file among exports is a table; a text file there is a note, as in a folder of parts."""
    if path.suffix.lower() == ".txt":
        return False
    try:
        return bool(find_files(path))
    except DataError:
        return False


def _decode_text(data: bytes) -> str:
    return data.decode("utf-8-sig", errors="replace").lstrip()


def _first_record(stream: IO[bytes], data: bytes) -> dict[str, Any]:
    """Read the first object of a JSON file; of a damaged file, only the lists named in what was read."""
    while True:
        text = re.sub(r"^\[\s*", "", _decode_text(data))
        try:
            value, _ = json.JSONDecoder().raw_decode(text)
        except RecursionError:
            return {}
        except json.JSONDecodeError as error:
            cut = "Unterminated" in error.msg or error.pos >= len(text) - _LONGEST_WORD
            more = stream.read(7 * len(data)) if cut else b""
            if more:
                data += more
                continue
            return {key: [] for key in _LISTS if f'"{key}"' in text}
        except ValueError:  # a number of more digits than Python reads
            return {}
        return value if isinstance(value, dict) else {}


def _is_record(record: Mapping[str, Any]) -> bool:
    """Return whether this is a task, an annotation, or a row of JSON-MIN or CSV, by its keys."""
    if "review_id" in record:
        return False
    flat = "annotation_id" in record and ("annotator" in record or "lead_time" in record)
    return flat or _is_annotation(record) or any(isinstance(record.get(k), list) for k in _LISTS)


def _is_annotation(record: Mapping[str, Any]) -> bool:
    """Return whether this is a single annotation, as a target storage holds it."""
    about = ("completed_by", "was_cancelled", "lead_time", "created_at")
    return (
        isinstance(record.get("result"), list)
        and "task" in record
        and any(k in record for k in about)
    )


def find_exports(sources: Sources) -> tuple[list[Path], list[str | Path], tuple[str, ...]]:
    """Separate Label Studio's files from all other sources.

    Parameters
    ----------
    sources
        Paths, globs, folders or databases' `URL::table`.

    Returns
    -------
    tuple
        Label Studio's files, in order; the other sources; and notes. A folder without any of Label
        Studio's files is one source. In a folder that has some, such as a target storage, files that
        cannot be tables are skipped and counted in a note.

    Examples
    --------
    >>> import tempfile
    >>> storage = Path(tempfile.mkdtemp())
    >>> _ = (storage / "7").write_text('{"id": 7, "result": [], "task": {"id": 1}, "lead_time": 9}')
    >>> [path.name for path in find_exports(storage / "*")[0]]
    ['7']
    """
    exports: list[Path] = []
    others: list[str | Path] = []
    strange: list[Path] = []
    for source in [sources] if isinstance(sources, str | Path) else sources:
        meant = [] if parse_table_source(source) is not None else _expand_path(Path(source))
        if not meant:
            others.append(source)
        for path in meant:
            inside = _list_files(path) if path.is_dir() else [path]
            found = [one for one in inside if is_label_studio(one)]
            exports += found
            rest = [one for one in inside if one not in set(found)]
            if path.is_dir() and found:
                others += [one for one in rest if _is_table_source(one)]
                strange += [one for one in rest if not _is_table_source(one)]
            elif rest:
                others.append(path)
    names = ", ".join(path.name for path in strange[:3])
    notes = (f"files skipped, neither exports nor tables: {len(strange):,} ({names})",)
    return list(dict.fromkeys(exports)), others, notes if strange else ()


def read_label_studio(path: str | Path) -> pd.DataFrame:
    """Read the reviews in one of Label Studio's exports.

    Parameters
    ----------
    path
        See `convert_label_studio`, which also returns rejects and notes.

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
    [['label-studio-7-12-c6e4c95ccf', 'd1', 'overturned', '3', 1.5]]
    """
    return convert_label_studio(path).frame


def convert_label_studio(
    path: str | Path | Sequence[str | Path], *, ballots: bool = False
) -> TableRead:
    """Convert Label Studio's exports to reviews, with rejects and notes.

    Parameters
    ----------
    path
        An export, or several: JSON, JSON-MIN, CSV or TSV, or a file of a target storage (an annotation, or a
        task with its annotations), perhaps gzipped; several JSON values may follow each other.
        Tasks come from the labelling config that errdetect writes: the controls `verdict` and
        `right_policy`, and the data key `decision_id`.
    ballots
        Whether these are ballots of a calibration session, which are no reviews otherwise.

    Returns
    -------
    TableRead
        A review for each annotation: review_id (see Notes), source `re_review`, reviewed_at (when
        the annotation was last changed, as this answer was unknown before), updated_at, minutes
        (from lead_time), reviewer_id (the annotator's id, or the address if the export has nothing
        else). An annotation that was changed between two exports in the file gives two versions of
        one review. Rejects are annotations that were skipped, hold no verdict, more than one or an
        unknown one, or whose task has no decision_id. `row` counts annotations.

    Raises
    ------
    DataError
        If the file is not such an export.

    Notes
    -----
    An annotation has one review_id in every form of export: `label-studio-TASK-ANNOTATION-DIGEST`.
    Servers number tasks and annotations from 1 and no export names its server, so the digest covers
    the decision and the second at which the annotation was created, which every form carries and
    no later change alters.
    """
    places = [path] if isinstance(path, str | Path) else path
    exports = {str(place): _read_export(Path(place)) for place in places}
    read = _build_table_read(
        [(name, row, one) for name, export in exports.items() for row, one in export.rows()],
        ballots=ballots,
    )
    others = sum((export.others for export in exports.values()), Counter[str]())
    notes = [phrase.format(n=f"{n:,}") for phrase, n in others.items() if n]
    return replace(read, notes=tuple(notes))


def _read_export(place: Path) -> "_Export":
    with translate_read_errors(SourceFile(place, "jsonl")), open_bytes(place) as stream:
        text = stream.read().decode("utf-8-sig", errors="replace")
    if text.lstrip()[:1] in ("[", "{"):
        return _parse_json_export(place, text)
    return _parse_csv_export(place, text)


@dataclass(frozen=True)
class _Annotation:
    """One annotator's answer, in any form of export."""

    task: Any
    number: Any
    decision: Any
    who: Any
    times: tuple[Any, ...]
    seconds: Any
    skipped: bool
    verdicts: Sequence[str]
    policies: Sequence[str]
    session: Any = None


@dataclass
class _Export:
    """The annotations of a file, and counts of other content: phrase -> number."""

    annotations: list[_Annotation] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)

    def rows(self) -> Iterator[tuple[int, _Annotation]]:
        """Yield the annotations with their row numbers, from 1."""
        return enumerate(self.annotations, start=1)


def _not_an_export(place: Path, got: str) -> DataError:
    must = "be an export of Label Studio: JSON, JSON-MIN, CSV or a file of a target storage"
    do = "Export the project again, or give the reviews in errdetect's own columns."
    return DataError(error_message(str(place), must, got, do))


def _parse_json_export(place: Path, text: str) -> _Export:
    """Read tasks, annotations and JSON-MIN, which may be mixed."""
    found = _Export()
    for record in _iter_json_records(place, text):
        given = next((record[key] for key in _LISTS if isinstance(record.get(key), list)), None)
        if "annotation_id" in record:
            found.annotations.append(_parse_flat_record(record))
        elif _is_annotation(record):
            task = record["task"]
            found.annotations.append(
                _parse_annotation(task if isinstance(task, dict) else {"id": task}, record)
            )
        elif given is None:
            raise _not_an_export(place, "a task without annotations")
        else:
            found.annotations += [
                _parse_annotation(record, one) for one in given if isinstance(one, dict)
            ]
            found.others += _count_other_content(record, given)
    return found


def _count_other_content(task: Mapping[str, Any], given: list[Any]) -> Counter[str]:
    """Count a task's content that is not an annotation."""
    bare = sum(not isinstance(one, dict) for one in given)
    drafts, predictions = (
        len(task[name]) if isinstance(task.get(name), list) else 0
        for name in ("drafts", "predictions")
    )
    return Counter(
        {
            "{n} tasks have no annotation yet": int(not given),
            "annotations left out (the export holds only their ids): {n}": bare,
            "drafts left out (not submitted): {n}": drafts,
            "predictions left out (made by a model): {n}": predictions,
        }
    )


def _iter_json_records(place: Path, text: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON file: of a list, or of values that follow each other."""
    decoder, end = json.JSONDecoder(), len(text.rstrip())
    at = len(text) - len(text.lstrip())
    while at < end:
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise _not_an_export(place, f"text that is not JSON ({error})") from None
        for one in value if isinstance(value, list) else [value]:
            if not isinstance(one, dict):
                raise _not_an_export(place, "no list of tasks")
            yield one
        blank = _BLANK.match(text, at)
        at = blank.end() if blank else at


def _parse_annotation(task: Mapping[str, Any], one: Mapping[str, Any]) -> _Annotation:
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
        skipped=_parse_flag(one.get("was_cancelled")) or _parse_flag(one.get("skipped")),
        verdicts=list(_selected_choices(one.get("result"), VERDICT)),
        policies=list(_selected_choices(one.get("result"), RIGHT_POLICY)),
        session=data.get(SESSION) if isinstance(data, dict) else None,
    )


def _selected_choices(result: Any, control: str) -> Iterator[str]:
    """Yield the choices in an annotation's result for one control."""
    for region in result if isinstance(result, list) else ():
        if isinstance(region, dict) and region.get("from_name") == control:
            value = region.get("value")
            given = value.get("choices") if isinstance(value, dict) else None
            yield from (_to_text(one) for one in (given if isinstance(given, list) else ()))


def _parse_flat_record(record: Mapping[str, Any]) -> _Annotation:
    """Read a record of JSON-MIN or CSV: the task's data, controls and annotation side by side."""
    return _Annotation(
        task=record.get("id"),
        number=record.get("annotation_id"),
        decision=record.get("decision_id"),
        who=record.get("annotator"),
        times=(record.get("created_at"), record.get("updated_at")),
        seconds=record.get("lead_time"),
        skipped=_parse_flag(record.get("was_cancelled")),
        verdicts=_parse_choices(record.get(VERDICT)),
        policies=_parse_choices(record.get(RIGHT_POLICY)),
        session=record.get(SESSION),
    )


def _parse_flag(value: Any) -> bool:
    """Read a flag, which CSV writes as text."""
    return value.strip().lower() in ("true", "1") if isinstance(value, str) else bool(value)


def _parse_choices(value: Any) -> list[str]:
    """Parse one choice or several: text, a list, `{choices: [...]}`, or that as JSON."""
    if isinstance(value, str) and value[:1] in "[{" and value:
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return [_to_text(value)]
    if isinstance(value, dict):
        value = value.get("choices")
    if isinstance(value, list):
        return [word for one in value for word in _parse_choices(one)]
    return [] if value in (None, "") else [_to_text(value)]


def _detect_delimiter(line: str) -> str:
    """Return a header's delimiter: a spreadsheet may have written semicolons or tabs."""
    return max(",;\t", key=line.count)


def _split_header(line: str) -> list[str]:
    try:
        names = next(csv.reader([line.strip("\r\n")], delimiter=_detect_delimiter(line)), [])
    except csv.Error:
        return []
    return [name.strip() for name in names]


def _parse_csv_export(place: Path, text: str) -> _Export:
    header, _, _ = text.partition("\n")
    missing = sorted({"id", "annotation_id", "created_at", VERDICT} - set(_split_header(header)))
    if missing:
        raise _not_an_export(place, f"a table without {', '.join(missing)}")
    previous = csv.field_size_limit(_LONGEST_FIELD)  # content may be long
    try:
        rows = csv.DictReader(
            io.StringIO(text), fieldnames=_split_header(header), delimiter=_detect_delimiter(header)
        )
        next(rows)  # the header itself
        records = [{name: value or None for name, value in row.items() if name} for row in rows]
    except csv.Error as error:
        raise _not_an_export(place, f"a table that cannot be split ({error})") from None
    finally:
        csv.field_size_limit(previous)
    return _Export([_parse_flat_record(record) for record in records])


def _rejection_reason(one: _Annotation) -> str | None:
    """Return why an annotation is not a review, or None."""
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
        return "the annotation must name one correct policy, got several"
    return None


def _build_table_read(
    rows_of_files: list[tuple[str, int, _Annotation]], *, ballots: bool
) -> TableRead:
    """Build the reviews; equal duplicates count once."""
    found = [one for _, _, one in rows_of_files]
    faults = {row: fault for row, one in enumerate(found) if (fault := _rejection_reason(one))}
    if not ballots:
        faults |= {row: _BALLOT for row, one in enumerate(found) if one.session not in (None, "")}
    times = [to_time("created_at", pa.array([_format_value(o.times[i]) for o in found], pa.large_string()))
             for i in (0, 1)]  # fmt: skip
    created, updated = (pd.Series(t.values.to_pandas()) for t in times)
    for row in np.flatnonzero(created.isna().to_numpy(bool)).tolist():
        faults.setdefault(row, "created_at must be a time")
    ids = [_review_id(one, at) for one, at in zip(found, created.tolist(), strict=True)]
    rows = [row for row in range(len(found)) if row not in faults]
    frame = _review_columns([found[row] for row in rows], [ids[row] for row in rows])
    frame["updated_at"] = _parse_times(updated, rows)
    frame["reviewed_at"] = _parse_times(pd.concat([created, updated], axis=1).max(axis=1), rows)
    frame = frame[[column.name for column in REVIEWS]]
    copies, torn = find_repeated_versions(frame)
    faults |= {rows[i]: _TORN for i in np.flatnonzero(torn).tolist()}
    rejects = pd.DataFrame(
        [(*rows_of_files[row][:2], ids[row], faults[row]) for row in sorted(faults)],
        columns=["source", "row", "id", "reason"],
    ).astype({"source": "str", "row": "int64", "id": "str", "reason": "str"})
    usable = frame[~copies & ~torn].reset_index(drop=True)
    return TableRead(usable, rejects, (), len(found), int(copies.sum()))


def _parse_times(times: pd.Series, rows: list[int]) -> pd.Series:
    picked = pd.to_datetime(times.iloc[rows].reset_index(drop=True), utc=True)
    return picked.dt.as_unit("us")


def _format_value(value: Any) -> str | None:
    """Write a value as text, a whole number without its decimals."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return None if value is None else _to_text(value)


def _to_text(value: Any) -> str:
    """Write a value as text; a lone surrogate, which no file can hold, as `?`."""
    return str(value).encode("utf-8", "replace").decode("utf-8")


def _review_id(one: _Annotation, created: pd.Timestamp) -> str:
    """Return the annotation's id, the same in every form of export; see `convert_label_studio`."""
    numbered = f"{LABEL_STUDIO_IDS}{_format_value(one.task)}-{_format_value(one.number)}"
    if one.decision in (None, "") or pd.isna(created):
        return numbered
    made = json.dumps([_format_value(one.decision), int(created.timestamp())])
    return f"{numbered}-{hashlib.sha256(made.encode()).hexdigest()[:_DIGEST]}"


def _to_minutes(seconds: Any) -> float:
    """Convert seconds to minutes; missing unless a positive number."""
    try:
        given = float(seconds)
    except (TypeError, ValueError):
        return float("nan")
    return given / 60 if 0 < given < float("inf") else float("nan")


def _review_columns(kept: list[_Annotation], ids: list[str]) -> pd.DataFrame:
    """Build all columns except the times."""
    values: dict[str, list[Any]] = {
        "review_id": ids,
        "decision_id": [_format_value(one.decision) for one in kept],
        "source": [RE_REVIEW] * len(kept),
        "verdict": [one.verdicts[0] for one in kept],
        "correct_policy_id": [
            one.policies[0] if one.policies and one.verdicts[0] == RELABELLED else None
            for one in kept
        ],
        "reviewer_id": [_format_value(one.who) for one in kept],
        "minutes": [_to_minutes(one.seconds) for one in kept],
    }
    unknown = [None] * len(kept)
    types = {"number": "float64", "string": "str"}
    return pd.DataFrame(
        {
            column.name: pd.Series(values.get(column.name, unknown), dtype=types[column.kind])
            for column in REVIEWS
            if column.kind in types
        }
    )
