"""What clients send to `errdetect serve`: JSON or CSV, read before the model's server reads it.

A request that cannot be used is refused in one sentence; what passes is one JSON text of flat rows.
"""

import csv
import io
import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NoReturn

from errdetect.errors import DataError, error_message
from errdetect.workflows.serving import MOST_ROWS

__all__ = ["CSV", "JSON", "read_request"]

JSON, CSV = "application/json", "text/csv"
_RECORDS, _SPLIT, _PARAMS = "dataframe_records", "dataframe_split", "params"
_DO = 'Send {"dataframe_records": [{"decision_id": ..., ...}, ...]}; see docs/serving.md.'


def read_request(body: bytes, kind: str, known: Collection[str] = ()) -> bytes:
    r"""Check what a client sent, and return it as the JSON that MLflow's server reads.

    Parameters
    ----------
    body
        The request's bytes.
    kind
        `JSON` or `CSV`.
    known
        The log's columns; where none of them is sent, the request is refused. Empty: any will do.

    Raises
    ------
    DataError
        Where it is no table of decisions: one sentence, without the content.

    Examples
    --------
    >>> read_request(b"decision_id,score\nd1,0.5\n", CSV)
    b'{"dataframe_split": {"columns": ["decision_id", "score"], "data": [["d1", "0.5"]]}}'
    >>> read_request(b'{"dataframe_records": [{"score": NaN}]}', JSON)
    Traceback (most recent call last):
    ...
    errdetect.errors.DataError: The request must be JSON, got NaN. Write null for what is missing.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        _refuse("The request", "be UTF-8", f"other bytes at {error.start:,}", _DO)
    sent = _from_csv(text) if kind == CSV else _from_json(text)
    names = _names(sent)
    if known and not names & set(known):
        got = ", ".join(repr(name[:40]) for name in sorted(names)[:5]) or "none"
        must = "have the log's columns, such as decision_id, decided_at and action"
        _refuse("The request", must, got, "Rename them, or map them under `data.columns`.")
    try:
        return json.dumps(sent, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        _refuse("The request", "hold Unicode text", "half a surrogate pair", "Send the character.")
    except RecursionError:  # json.loads allows some more levels than json.dumps
        _refuse("The request", "be a table of plain values", "JSON nested too deeply", _DO)


def _names(sent: Mapping[str, Any]) -> set[str]:
    if _SPLIT in sent:
        return set(sent[_SPLIT]["columns"])
    return set().union(*sent[_RECORDS])


def _from_json(text: str) -> dict[str, Any]:
    try:
        sent = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        _refuse("The request", "be a table of plain values", "JSON nested too deeply", _DO)
    except json.JSONDecodeError as error:
        _refuse("The request", "be JSON", f"a fault at character {error.pos:,} ({error.msg})", _DO)
    except ValueError:  # such as a number of ten thousand digits
        _refuse("The request", "be JSON", "a number that is too long", _DO)
    if not isinstance(sent, dict):
        _refuse("The request", "be a JSON object", _kind(sent), _DO)
    tables = [name for name in (_RECORDS, _SPLIT) if name in sent]
    others = sorted(set(sent) - {_RECORDS, _SPLIT, _PARAMS})
    if len(tables) != 1 or others:
        got = ", ".join(repr(name[:40]) for name in [*tables, *others][:5]) or "neither"
        _refuse(
            "The request", f"hold {_RECORDS} or {_SPLIT}, and at most {_PARAMS} besides", got, _DO
        )
    _check_params(sent.get(_PARAMS))
    table = sent[tables[0]]
    _check_records(table) if tables[0] == _RECORDS else _check_split(table)
    return sent


def _refuse_constant(name: str) -> NoReturn:
    _refuse("The request", "be JSON", name, "Write null for what is missing.")


def _check_params(params: object) -> None:
    given = {} if params is None else params
    values = [*given.values()] if isinstance(given, dict) else [None]
    known = isinstance(given, dict) and set(given) <= {"reasons"}
    if not known or not all(isinstance(value, bool) for value in values):
        must = 'be {"reasons": true} or {"reasons": false}'
        _refuse(f"The request's {_PARAMS}", must, "something else", "Correct it, or leave it out.")


def _check_records(rows: object) -> None:
    for number, row in enumerate(_bounded(rows, f"The request's {_RECORDS}")):
        if not isinstance(row, Mapping):
            _refuse(f"Row {number + 1}", "be a JSON object of columns and values", _kind(row), _DO)
        _check_values(row.values(), number)


def _check_split(table: object) -> None:
    names = table.get("columns") if isinstance(table, Mapping) else None
    if not isinstance(table, Mapping) or not set(table) <= {"columns", "index", "data"}:
        _refuse(f"The request's {_SPLIT}", "hold columns and data", _kind(table), _DO)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        _refuse(f"The request's {_SPLIT}", "name its columns", "other columns", _DO)
    if len(set(names)) != len(names):
        _refuse("The request's columns", "be distinct", "a name twice", "Send each column once.")
    for number, row in enumerate(_bounded(table.get("data"), f"The request's {_SPLIT}.data")):
        if not isinstance(row, list) or len(row) != len(names):
            got = f"{len(row):,} values" if isinstance(row, list) else _kind(row)
            _refuse(
                f"Row {number + 1}", f"have {len(names):,} values, one for each column", got, _DO
            )
        _check_values(row, number)


def _check_values(values: Iterable[object], number: int) -> None:
    for value in values:
        if isinstance(value, dict | list):
            do = "Send text, a number, true, false or null in each column."
            _refuse(f"Row {number + 1}", "hold plain values", _kind(value), do)


def _bounded(rows: object, what: str) -> list[Any]:
    if not isinstance(rows, list) or not 0 < len(rows) <= MOST_ROWS:
        got = f"{len(rows):,}" if isinstance(rows, list) else _kind(rows)
        must = f"be a list of 1 to {MOST_ROWS:,} decisions"
        _refuse(what, must, got, "Send more decisions in several requests.")
    return rows


def _from_csv(text: str) -> dict[str, Any]:
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), strict=True):
            if row:
                rows.append(row)
            if len(rows) > 1 and len(row or rows[0]) != len(rows[0]):
                got = f"{len(row):,}, in row {len(rows) - 1:,}"
                _refuse("Each row of the CSV", f"have {len(rows[0]):,} fields", got, _quoting())
            if len(rows) > MOST_ROWS + 1:
                break
    except csv.Error as error:
        _refuse("The request", "be CSV", f"a fault in row {len(rows):,} ({error})", _quoting())
    names = rows[0] if rows else []
    data = [[value or None for value in row] for row in rows[1:]]
    table = {"columns": names, "data": data}
    _check_split(table)
    return {_SPLIT: table}


def _quoting() -> str:
    return 'Quote fields that hold commas, line ends or quotes ("), or send JSON.'


def _kind(value: object) -> str:
    names = {dict: "a JSON object", list: "a list", str: "text", bool: "true or false"}
    return "null" if value is None else names.get(type(value), "a number")


def _refuse(what: str, must: str, got: str, do: str) -> NoReturn:
    raise DataError(error_message(what, must, got, do)) from None
