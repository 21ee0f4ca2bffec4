"""Provenance of a run: its config, inputs and moments, by digest."""

import copy
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from errdetect.config import Config
from errdetect.data.provenance import (
    Provenance,
    digest_file,
    digest_rows,
    digest_value,
    redact_secrets,
    to_plain_json,
)
from errdetect.data.sources import SourceFile, Sources, dataframe_name, find_files, shown_path
from errdetect.errors import ModelError
from errdetect.ledger.ledger_replica import draws_digest, reviews_digest
from errdetect.model.registry import ModelRegistry
from errdetect.schemas import REJECTS
from errdetect.version import __version__

__all__ = [
    "ResultTables",
    "champion_version",
    "data_digests",
    "describe_run",
    "describe_step",
    "open_registry",
    "resolved_config",
    "resolved_path",
    "score_files",
]

#: Files of one source above which one digest covers all of them.
_MANY = 200
#: Keys of the config's data section that name a table, and the inputs of its preset.
_TABLES = ("decisions", "reviews", "draws")
_LOGS = ("decisions", "scored")
#: Arguments that name a source.
_SOURCES = ("decisions", "reviews", "queue")


def describe_run(
    config: Config,
    command: str,
    arguments: Mapping[str, Any],
    *,
    decisions: pd.DataFrame | None = None,
    reviews: pd.DataFrame | None = None,
    model_version: str | None = None,
    seed: int | None = None,
    intake: Sequence[Mapping[str, Any]] = (),
    at: datetime | None = None,
) -> Provenance:
    """Describe a run for `staged`, which writes it next to and into the run's files.

    Parameters
    ----------
    config
        From `load_config`.
    command, arguments
        The command and its arguments. An argument named `decisions` is a source and is digested, too.
    decisions, reviews
        The cleaned tables behind the figures, where available: for the period, from the first to the last
        decided_at; for as_of, the config's moment or the latest one in the tables; and for the digest of
        rows from a database.
    model_version, seed
        Of the model and of the draw; None where there is none.
    intake
        Rows read, used and left out.
    at
        The timestamp in the run's rows, if any.

    Raises
    ------
    DataError
        Where an input cannot be read.
    """
    run = describe_step(config, command, arguments)
    assert run.created_at is not None
    period = None
    if decisions is not None and len(decisions):
        period = (
            _to_datetime(decisions["decided_at"].min()),
            _to_datetime(decisions["decided_at"].max()),
        )
    # Scoring reads only some columns of its decisions, which cannot give the input's digest.
    tables = {"decisions": None if "decisions" in run.arguments else decisions, "reviews": reviews}
    policies = config.data_paths(config.data.policies)[0] if config.data.policies else None
    champion = open_registry(config).champion_version() if model_version is not None else None
    same = champion is not None and champion[0] == model_version
    return replace(
        run,
        data=data_digests(
            config,
            arguments,
            tables=tables,
            known_at=run.created_at,
            drawn_before=at or run.created_at,
        ),
        policies_digest=None if policies is None else digest_file(Path(policies)),
        period=period,
        as_of=config.labels.as_of or _latest_moment(decisions, reviews),
        model_version=model_version,
        model_digest=champion[1] if champion is not None and same else None,
        seed=seed,
        intake=intake,
        at=at,
    )


def describe_step(
    config: Config,
    command: str,
    arguments: Mapping[str, Any],
    *,
    intake: Sequence[Mapping[str, Any]] = (),
) -> Provenance:
    """Describe a run that writes one file without figures: without digests of its inputs.

    Parameters
    ----------
    config, command, arguments, intake
        As for `describe_run`.
    """
    settings = resolved_config(config)
    return Provenance(
        command,
        __version__,
        _recorded_arguments(config, arguments),
        digest_value(settings),
        intake=intake,
        config=settings,
        created_at=datetime.now(UTC),
    )


def champion_version(config: Config) -> str | None:
    """Return the version of the registered champion; None where there is none that can be read."""
    try:
        champion = open_registry(config).champion_version()
    except ModelError:  # a command that needs the model reports this itself
        return None
    return None if champion is None else champion[0]


def resolved_config(config: Config) -> dict[str, Any]:
    """Return every key of the config with its value, defaults too, without secrets."""
    found: dict[str, Any] = to_plain_json(redact_secrets(config.model_dump(mode="json")))
    data = found["data"]
    for name in _TABLES:
        if isinstance(data.get(name), str):
            data[name] = shown_path(data[name])
    return found


def resolved_path(config: Config, recorded: str) -> str:
    """Return the path of a recorded source, relative to this config."""
    return recorded if "://" in recorded else os.path.normpath(config.base / recorded)


def data_digests(
    config: Config,
    arguments: Mapping[str, Any],
    *,
    known_at: datetime,
    drawn_before: datetime | None = None,
    tables: Mapping[str, pd.DataFrame | None] | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """Digest every input of a run, each file once.

    Parameters
    ----------
    config, arguments
        As for `describe_run`.
    known_at
        Reviews imported into the ledger before this moment belong to the run.
    drawn_before
        Audit draws that the ledger has from before this moment belong to the run; default: known_at.
    tables
        Cleaned rows by input, for inputs from a database.

    Returns
    -------
    dict
        decisions, reviews, draws, `scored` (an argument named decisions), `scores` (queue.scores), ledger:
        each where there is one, as a list of source, sha256, and bytes or rows.
    """
    places = {name: getattr(config.data, name, None) for name in _TABLES}
    named: dict[str, Sources] = {
        n: config.data_paths(p) for n, p in places.items() if p is not None
    }
    if arguments.get("decisions") is not None:
        named["scored"] = str(arguments["decisions"])
    seen: dict[Path, str] = {}
    found = {}
    for name, sources in named.items():
        files = find_files(sources)
        rows = (tables or {}).get(name)
        found[name] = _fold_digests([_source_digests(config, file, rows, seen) for file in files])
    scores = list(score_files(config))
    if scores:
        found["scores"] = _fold_digests([_file_digest(config, path, seen) for path in scores])
    url = config.ledger_url()
    ledger = {"reviews": reviews_digest(url, known_at=known_at),
              "draws": draws_digest(url, drawn_before=drawn_before or known_at)}  # fmt: skip
    held = [
        {"source": what, "rows": one[0], "sha256": one[1]} for what, one in ledger.items() if one
    ]
    return found | ({"ledger": held} if held else {})


def _source_digests(
    config: Config, file: SourceFile, rows: pd.DataFrame | None, seen: dict[Path, str]
) -> dict[str, Any]:
    if file.rows is None:
        return _file_digest(config, file.path, seen)
    if rows is None:
        note = "not digested: rows of a database that are read batch by batch"
        return {"source": str(file.path), "sha256": None, "note": note}
    return {"source": str(file.path), "rows": len(rows), "sha256": digest_rows(rows)}


def _file_digest(config: Config, path: Path, seen: dict[Path, str]) -> dict[str, Any]:
    place = path.resolve()
    if place not in seen:
        seen[place] = digest_file(place)
    return {
        "source": _relative_name(config, path),
        "bytes": place.stat().st_size,
        "sha256": seen[place],
    }


def _fold_digests(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Combine digests of very many files into one: every Parquet file carries it."""
    if len(found) <= _MANY:
        return found
    name = f"{found[0]['source']} and {len(found) - 1:,} more"
    size = sum(one.get("bytes", 0) for one in found)
    return [{"source": name, "files": len(found), "bytes": size, "sha256": digest_value(found)}]


def score_files(config: Config) -> Iterator[Path]:
    """Yield the files that `queue.scores` names; of a folder of parts, each part."""
    for path in _score_paths(config):
        yield from sorted(path.glob("*.parquet")) if path.is_dir() else [path]


def _score_paths(config: Config) -> Iterator[Path]:
    named = config.queue.scores
    for place in [named] if isinstance(named, str) else named or []:
        path = config.path(place).absolute()
        if path.exists():
            yield path
            continue
        # The config's own folder may have a name with characters of patterns.
        base = config.base.absolute()
        start = base if base in path.parents else Path(path.anchor)
        yield from sorted(start.glob(str(path.relative_to(start))))


def _relative_name(config: Config, path: str | Path) -> str:
    """Return a path relative to the config's folder, so that a moved project has the same names."""
    relative = Path(os.path.relpath(path, config.base.absolute())).as_posix()
    return dataframe_name(path) or relative


def _recorded_arguments(config: Config, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments without secrets; a source is relative to the config's folder."""
    given = dict(arguments)
    for name in _SOURCES:
        source = given.get(name)
        if source is not None:
            inside = "://" in str(source)
            given[name] = str(source) if inside else _relative_name(config, source)
    shown = [one for one in config.overrides if redact_secrets(one) == one]
    hidden = [one.partition("=")[0] for one in config.overrides if one not in shown]
    given |= {"set": shown} if shown else {}
    given |= {"set_not_recorded": hidden} if hidden else {}
    found: dict[str, Any] = to_plain_json(redact_secrets(given))
    return found


def open_registry(config: Config) -> ModelRegistry:
    """Return the config's registry."""
    registry = config.registry
    return ModelRegistry(config.path(registry.path), registry.name, config.registry_uri())


def _latest_moment(decisions: pd.DataFrame | None, reviews: pd.DataFrame | None) -> datetime | None:
    """Return the latest moment in the tables."""
    moments = [
        frame[name].max()
        for frame, name in ((decisions, "decided_at"), (reviews, "reviewed_at"))
        if frame is not None and len(frame)
    ]
    return _to_datetime(max(moments)) if moments else None


def _to_datetime(value: Any) -> datetime:
    return pd.Timestamp(value).to_pydatetime(warn=False)


class ResultTables:
    """Base of results that name their files: reads their Parquet tables when asked."""

    files: Mapping[str, Path]

    def table(self, name: str) -> pd.DataFrame:
        """Return an output table, read from its file at the first call.

        Parameters
        ----------
        name
            The file's name without `.parquet`.

        Raises
        ------
        KeyError
            If the run wrote no such table.
        """
        if name not in self._read:
            self._read[name] = pq.read_table(self._parquet()[name]).to_pandas()
        return self._read[name]

    @property
    def rejects(self) -> pd.DataFrame:
        """Rows that could not be used, each with its reason: source, row, id, reason."""
        return self.table_or_empty("rejects", REJECTS)

    def table_or_empty(self, name: str, schema: pa.Schema) -> pd.DataFrame:
        """Return an output table, or an empty one where the run had nothing to write."""
        if name in self._read or name in self._parquet():
            return self.table(name)
        nothing: pd.DataFrame = schema.empty_table().to_pandas()
        return nothing

    def without_folder(self, folder: Path) -> Self:
        """Return the result with its tables in memory and without the files below `folder`."""
        kept = copy.copy(self)
        kept._read.update({name: self.table(name) for name in self._parquet()})
        files = {name: path for name, path in self.files.items() if folder not in path.parents}
        object.__setattr__(kept, "files", files)  # results are frozen for everybody else
        return kept

    @cached_property
    def _read(self) -> dict[str, pd.DataFrame]:
        return {}

    def _parquet(self) -> dict[str, Path]:
        return {path.stem: path for path in self.files.values() if path.suffix == ".parquet"}
