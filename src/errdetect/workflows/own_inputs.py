"""No command overwrites what it reads: its outputs are compared with every input before the work."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from errdetect.config import Config
from errdetect.data.database_tables import sqlite_path
from errdetect.data.sources import Sources, find_files
from errdetect.errors import DataError, error_message

__all__ = ["refuse_own_inputs"]

#: What commands write into their output folder; `tables`, `briefs`, `pages` and `plots` are folders.
_WRITTEN = frozenset(
    f"{name}.parquet"
    for name in ("scores", "queue", "explanations", "intake", "rejects", "estimates", "labels",
                 "response", "plan", "monitor", "history", "segments", "golden", "second_reviews", "adjudications")
) | {"run.json", "audit.json", "plan.csv", "report.html", "monitor.html", "monitor.prom",
     "tables", "briefs", "plots", "pages"}  # fmt: skip


def refuse_own_inputs(
    config: Config,
    *,
    folder: str | Path | None = None,
    files: Iterable[str | Path | None] = (),
    sources: Iterable[Sources | None] = (),
) -> None:
    """Refuse to write over an input.

    Parameters
    ----------
    config
        From `load_config`: its own file, the tables that it names, its policies, words and ledger.
    folder, files
        Where the command writes: its output folder, and single files.
    sources
        Further inputs, as given on the command line.

    Raises
    ------
    DataError
        If an output would replace an input.
    """
    written = {_resolve(one) for one in files if one is not None}
    out = None if folder is None else _resolve(folder)
    for place in _inputs(config, sources):
        found = place.resolve()
        inside = out is not None and out in found.parents
        if found in written or (
            out is not None and inside and found.relative_to(out).parts[0] in _WRITTEN
        ):
            must, got = "not replace an input of the same command", f"'{place}'"
            raise DataError(error_message("--out", must, got, "Name another place with --out."))


def _resolve(path: str | Path) -> Path:
    try:
        return Path(path).resolve()
    except ValueError as error:  # a null character, or half of a pair of surrogates
        do = "Name another place with --out."
        raise DataError(error_message("--out", "be a path", repr(str(path)[:60]), do)) from error


def _inputs(config: Config, sources: Iterable[Sources | None]) -> Iterator[Path]:
    data = config.data
    named: list[Sources | None] = [
        None if place is None else config.data_paths(place)
        for place in (data.decisions, data.reviews, data.draws)
    ]
    for source in [*named, *sources]:
        if source is not None:
            with contextlib.suppress(DataError):  # the command itself says what is wrong with it
                yield from (one.path for one in find_files(source) if one.rows is None)
    if data.policies is not None:
        yield Path(config.data_paths(data.policies)[0])
    for own in (config.report.words, config.report.open_appeals):
        if own is not None:
            yield config.path(own)
    if config.file is not None:
        yield config.file
    ledger = sqlite_path(config.ledger_url())
    if ledger is not None:
        yield ledger
