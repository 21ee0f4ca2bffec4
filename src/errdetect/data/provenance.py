"""Provenance of a run's outputs: the command, data, config and model behind them."""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Self

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from errdetect.errors import DataError, error_message

__all__ = [
    "CONFIDENCE",
    "PARQUET_KEY",
    "RUN_FILE",
    "Provenance",
    "RunRecord",
    "canonical_json",
    "digest_file",
    "digest_rows",
    "digest_value",
    "read_provenance",
    "read_run",
    "redact_secrets",
    "run_record",
    "to_plain_json",
]


_URL = re.compile(r"([A-Za-z][\w+.-]*)://")


def canonical_json(value: object) -> str:
    r"""Write canonical JSON: sorted keys, no spaces, ASCII.

    Examples
    --------
    >>> canonical_json({"b": 1, "a": ["ü", None]})
    '{"a":["\\u00fc",null],"b":1}'
    """
    return json.dumps(
        to_plain_json(value),
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=True,
        allow_nan=False,
    )


def digest_value(value: object) -> str:
    """Return SHA-256 of a value's canonical JSON, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value).encode("ascii")).hexdigest()


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
        do = "Check the file and its permissions."
        raise DataError(error_message(str(path), "be readable", error.strerror, do)) from error


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
    digest = hashlib.sha256(canonical_json([str(name) for name in frame.columns]).encode())
    for name in frame.columns:
        column = frame[name]
        if column.dtype == object:  # lists and mixed values are not hashable
            column = column.map(lambda one: None if one is None else str(one))
        hashed = pd.util.hash_pandas_object(column, index=False, categorize=False)
        digest.update(hashed.to_numpy().astype("<u8").tobytes())
    return digest.hexdigest()


def redact_secrets(value: Any) -> Any:
    """Remove user, password and options from every URL in JSON values.

    Parameters
    ----------
    value
        JSON values; of a URL everything before its `@` and after its `?` is dropped, and all but
        its scheme if a password itself holds such characters.

    Examples
    --------
    >>> redact_secrets({"url": "postgresql://ana:s@e/cret@db/shop?sslpassword=x", "n": 1})
    {'url': 'postgresql://db/shop', 'n': 1}
    >>> redact_secrets("postgresql://ana:secret@db/shop::public.decisions")
    'postgresql://db/shop::public.decisions'
    >>> redact_secrets("sqlite:///a/log.db::SELECT * FROM t WHERE a = '?'")
    "sqlite:///a/log.db::SELECT * FROM t WHERE a = '?'"
    """
    if isinstance(value, Mapping):
        return {redact_secrets(key): redact_secrets(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [redact_secrets(one) for one in value]
    if not isinstance(value, str) or (start := _URL.search(value)) is None:
        return value
    head, rest = value[: start.end()], value[start.end() :]
    address, mark, rows = rest.partition("::")
    place, _, options = address.partition("?")
    if start[1].lower().startswith("sqlite"):
        return head + place + mark + rows
    if "@" in options or "@" in rows:  # the password's end is ambiguous
        return head + "..."
    return head + place.rpartition("@")[2] + mark + rows


def to_plain_json(value: Any) -> Any:
    """Convert a value to JSON's: moments to ISO 8601 in UTC, missing values to null."""
    if value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, Mapping):
        return {str(key): to_plain_json(one) for key, one in value.items()}
    if isinstance(value, pd.Timestamp):
        return to_plain_json(value.to_pydatetime(warn=False))
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
        return [to_plain_json(one) for one in value]
    return to_plain_json(value.item())  # a number of numpy's


#: The key of a Parquet file's schema metadata that holds its provenance as compact JSON.
PARQUET_KEY = "errdetect"
#: The file in an output folder that describes the run that wrote it.
RUN_FILE = "run.json"
#: Nominal coverage of every interval.
CONFIDENCE = 0.95

_FORMAT = 1
_DO = "Name the folder of an `errdetect` run, as it was written."


@dataclass(frozen=True)
class Provenance:
    """What one run's outputs are based on.

    Parameters
    ----------
    command, arguments
        The command; its arguments are JSON values without secrets.
    version
        The version of errdetect.
    config_digest
        SHA-256 of the resolved config as canonical JSON, without secrets; None without a config.
    data
        Input -> its sources, each with `source`, `sha256` and `bytes` or `rows`; `sha256` is null
        where `note` explains why there is no digest.
    policies_digest
        SHA-256 of the catalogue's file; None without one.
    period
        The first and the last `decided_at` of the decisions covered.
    as_of
        Only what was known by then is used.
    model_version, model_digest
        The champion, and SHA-256 of its files; None without one.
    seed
        The random seed; None if nothing was drawn.
    confidence
        Nominal coverage of the intervals.
    intake
        Counts of what was read, used and left out: rows of `intake.parquet`.
    config
        The resolved config without secrets; in `run.json` only.
    created_at, at
        When the run was made, and the time in its rows; in `run.json` only, so that
        equal input gives equal Parquet files.

    Examples
    --------
    >>> run = Provenance("estimate", "1.0", {"by": ["market"]}, as_of=datetime(2026, 3, 1, tzinfo=UTC))
    >>> run.metadata()["as_of"], Provenance.from_json(run.to_json()) == run
    ('2026-03-01T00:00:00+00:00', True)
    """

    command: str
    version: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    config_digest: str | None = None
    data: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    policies_digest: str | None = None
    period: tuple[datetime, datetime] | None = None
    as_of: datetime | None = None
    model_version: str | None = None
    model_digest: str | None = None
    seed: int | None = None
    confidence: float = CONFIDENCE
    intake: Sequence[Mapping[str, Any]] = ()
    config: Mapping[str, Any] | None = field(default=None, compare=False)
    created_at: datetime | None = field(default=None, compare=False)
    at: datetime | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        """Convert to JSON values, so that a read record equals the written one."""
        plain = {
            "arguments": to_plain_json(self.arguments),
            "data": to_plain_json(self.data),
            "intake": to_plain_json(self.intake),
            "config": to_plain_json(self.config),
        }
        for name, value in plain.items():
            object.__setattr__(self, name, value)

    def metadata(self) -> dict[str, Any]:
        """Return what each Parquet file holds under `PARQUET_KEY`, as JSON values."""
        period = None if self.period is None else {"first": self.period[0], "last": self.period[1]}
        values = {
            "format": _FORMAT,
            "command": self.command,
            "version": self.version,
            "arguments": self.arguments,
            "config_digest": self.config_digest,
            "data_digests": self.data,
            "policies_digest": self.policies_digest,
            "period": period,
            "as_of": self.as_of,
            "model_version": self.model_version,
            "model_digest": self.model_digest,
            "seed": self.seed,
            "confidence": self.confidence,
            "intake": self.intake,
        }
        found: dict[str, Any] = to_plain_json(values)
        return found

    def to_json(self) -> str:
        """Return `metadata` as compact JSON: equal provenance gives equal text."""
        return canonical_json(self.metadata())

    @classmethod
    def from_metadata(cls, found: Mapping[str, Any]) -> Self:
        """Parse the result of `metadata`.

        Raises
        ------
        ValueError, KeyError, TypeError, AttributeError
            If it has another format.
        """
        if found["format"] != _FORMAT:
            raise ValueError(f"format {found['format']}, not {_FORMAT}")
        period = found["period"]
        return cls(
            command=_require_text(found["command"]),
            version=_require_text(found["version"]),
            arguments=dict(found["arguments"]),
            config_digest=found["config_digest"],
            data={str(k): [dict(one) for one in v] for k, v in found["data_digests"].items()},
            policies_digest=found["policies_digest"],
            period=None
            if period is None
            else (_parse_timestamp(period["first"]), _parse_timestamp(period["last"])),
            as_of=None if found["as_of"] is None else _parse_timestamp(found["as_of"]),
            model_version=found["model_version"],
            model_digest=found["model_digest"],
            seed=found["seed"],
            confidence=float(found["confidence"]),
            intake=[dict(row) for row in found["intake"]],
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Parse the result of `to_json`; raises as `from_metadata`."""
        return cls.from_metadata(json.loads(text))


@dataclass(frozen=True)
class RunRecord:
    """The content of an output folder's `run.json`.

    Parameters
    ----------
    provenance
        Of the run.
    outputs
        Path of each written file, relative to the folder -> SHA-256.
    """

    provenance: Provenance
    outputs: Mapping[str, str]


def run_record(provenance: Provenance, folder: Path) -> dict[str, Any]:
    """Return the content of `run.json` for a folder.

    Parameters
    ----------
    provenance
        Of the run.
    folder
        Holds the run's outputs, and nothing else.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    outputs = {path.relative_to(folder).as_posix(): digest_file(path) for path in files}
    outputs.pop(RUN_FILE, None)
    beside = {
        "created_at": provenance.created_at,
        "at": provenance.at,
        "config": provenance.config,
        "outputs": outputs,
    }
    found: dict[str, Any] = provenance.metadata() | to_plain_json(beside)
    return found | {"digest": digest_value(found)}


def read_run(folder: str | Path) -> RunRecord:
    """Read an output folder's `run.json`.

    Raises
    ------
    DataError
        If there is none, it is not errdetect's, or it was changed after it was written.
    """
    file = Path(folder) / RUN_FILE
    try:
        found = json.loads(file.read_bytes())
    except OSError as error:
        got = f"none in {folder}" if isinstance(error, FileNotFoundError) else error.strerror
        raise DataError(
            error_message(f"An output folder's {RUN_FILE}", "be there", got, _DO)
        ) from None
    except ValueError:
        raise DataError(error_message(str(file), "hold JSON", "something else", _DO)) from None
    if not isinstance(found, dict) or not isinstance(found.get("digest"), str):
        raise DataError(error_message(str(file), "be one that errdetect wrote", "another", _DO))
    rest = {key: value for key, value in found.items() if key != "digest"}
    if digest_value(rest) != found["digest"]:
        do = "Restore it, or run the command again: a changed record proves nothing."
        raise DataError(error_message(str(file), "be as it was written", "a changed one", do))
    try:
        provenance = _parse_run_provenance(found)
        outputs = {str(name): _require_text(value) for name, value in found["outputs"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        got = f"another form ({type(error).__name__}: {error})"
        do = "Use the errdetect that wrote it, or run the command again."
        raise DataError(
            error_message(str(file), "have the form of this version", got, do)
        ) from None
    return RunRecord(provenance, outputs)


def _parse_run_provenance(found: Mapping[str, Any]) -> Provenance:
    """Parse provenance, including the fields that only `run.json` has."""
    short = Provenance.from_metadata(found)
    config = None if found["config"] is None else dict(found["config"])
    if config is not None and digest_value(config) != short.config_digest:
        raise ValueError("the config is not the one that was digested")
    moments = {
        name: None if found[name] is None else _parse_timestamp(found[name])
        for name in ("created_at", "at")
    }
    values = {name: getattr(short, name) for name in short.__dataclass_fields__}
    return Provenance(**values | {"config": config} | moments)


def read_provenance(path: str | Path) -> Provenance:
    """Read the provenance of a Parquet file, or of an output folder.

    Parameters
    ----------
    path
        A Parquet file, a folder, or its `run.json`.

    Returns
    -------
    Provenance
        Of a Parquet file without `config`, `created_at` and `at`.

    Raises
    ------
    DataError
        If there is none, or it cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> run = Provenance("estimate", "1.0")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = pa.table({"n": [1]}).replace_schema_metadata({PARQUET_KEY: run.to_json()})
    ...     pq.write_table(table, Path(folder) / "n.parquet")
    ...     read_provenance(Path(folder) / "n.parquet").command
    'estimate'
    """
    place = Path(path)
    if place.is_dir():
        return read_run(place).provenance
    if place.name == RUN_FILE:
        return read_run(place.parent).provenance
    try:
        text = (pq.read_schema(place).metadata or {}).get(PARQUET_KEY.encode())
    except (OSError, pa.ArrowInvalid) as error:
        got = "none" if isinstance(error, FileNotFoundError) else "something else"
        raise DataError(error_message(str(place), "be a Parquet file", got, _DO)) from None
    if text is None:
        do = "Name a file that errdetect wrote; other programs drop it when they write again."
        raise DataError(error_message(str(place), "carry errdetect's provenance", "none", do))
    try:
        return Provenance.from_json(text)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DataError(
            error_message(f"The provenance in {place}", "have its form", "another", _DO)
        ) from None


def _parse_timestamp(text: object) -> datetime:
    return datetime.fromisoformat(_require_text(text)).astimezone(UTC)


def _require_text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"text is wanted, not {type(value).__name__}")
    return value
