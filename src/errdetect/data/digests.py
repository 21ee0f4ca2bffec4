"""Digests of files, tables and values, and JSON in one form only, without secrets."""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from errdetect.errors import DataError, sentence

__all__ = [
    "canonical",
    "digest_file",
    "digest_rows",
    "digest_value",
    "json_value",
    "without_secrets",
]

_URL = re.compile(r"([A-Za-z][\w+.-]*)://")


def canonical(value: object) -> str:
    r"""Write JSON in one form only: sorted keys, no spaces, ASCII.

    Examples
    --------
    >>> canonical({"b": 1, "a": ["ü", None]})
    '{"a":["\\u00fc",null],"b":1}'
    """
    return json.dumps(
        json_value(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def digest_value(value: object) -> str:
    """Return SHA-256 of a value's canonical JSON, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical(value).encode("ascii")).hexdigest()


def digest_file(path: Path) -> str:
    """Return SHA-256 of a file's bytes, read in pieces of bounded size.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        do = "Check the file and its rights."
        raise DataError(sentence(str(path), "be readable", error.strerror, do)) from error


def digest_rows(frame: pd.DataFrame) -> str:
    """Return a digest of a table's rows in their order, with the columns' names.

    Parameters
    ----------
    frame
        Shape (n, any); cleaned, so that equal rows have equal types.

    Examples
    --------
    >>> one = pd.DataFrame({"id": ["a", "b"], "n": [1.0, None]})
    >>> digest_rows(one) == digest_rows(one.copy()), digest_rows(one) == digest_rows(one[::-1])
    (True, False)
    """
    digest = hashlib.sha256(canonical([str(name) for name in frame.columns]).encode())
    for name in frame.columns:
        column = frame[name]
        if column.dtype == object:  # lists and mixed values have no hash of their own
            column = column.map(lambda one: None if one is None else str(one))
        hashed = pd.util.hash_pandas_object(column, index=False, categorize=False)
        digest.update(hashed.to_numpy().astype("<u8").tobytes())
    return digest.hexdigest()


def without_secrets(value: Any) -> Any:
    """Take user, password and options out of every URL in JSON values.

    Parameters
    ----------
    value
        JSON values; of an address whatever stands before its `@` and after its `?` is dropped,
        and all of it but its kind where a password holds such signs itself.

    Examples
    --------
    >>> without_secrets({"url": "postgresql://ana:s@e/cret@db/shop?sslpassword=x", "n": 1})
    {'url': 'postgresql://db/shop', 'n': 1}
    >>> without_secrets("postgresql://ana:secret@db/shop::public.decisions")
    'postgresql://db/shop::public.decisions'
    >>> without_secrets("sqlite:///a/log.db::SELECT * FROM t WHERE a = '?'")
    "sqlite:///a/log.db::SELECT * FROM t WHERE a = '?'"
    """
    if isinstance(value, Mapping):
        return {key: without_secrets(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(one) for one in value]
    if not isinstance(value, str) or (start := _URL.search(value)) is None:
        return value
    head, rest = value[: start.end()], value[start.end() :]
    address, mark, rows = rest.partition("::")
    place, _, options = address.partition("?")
    if start[1].lower().startswith("sqlite"):
        return head + place + mark + rows
    if "@" in options or "@" in rows:  # where the password ends cannot be seen
        return head + "..."
    return head + place.rpartition("@")[2] + mark + rows


def json_value(value: Any) -> Any:
    """Turn a value into JSON's: moments become ISO 8601 in UTC, what is missing becomes null."""
    if value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, Mapping):
        return {str(key): json_value(one) for key, one in value.items()}
    if isinstance(value, pd.Timestamp):
        return json_value(value.to_pydatetime(warn=False))
    if isinstance(value, datetime):
        moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return moment.isoformat()
    if isinstance(value, date | Path):
        return str(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, str | bool | int) or value is None:
        return value
    if isinstance(value, Iterable):
        return [json_value(one) for one in value]
    return json_value(value.item())  # a number of numpy's
