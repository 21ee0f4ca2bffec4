"""The log that earlier runs kept: what of it can be used, which files are new, and keeping it."""

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from errdetect.config import Config
from errdetect.data.frame_store import FrameStore
from errdetect.data.rejected_rows import Rejections
from errdetect.data.schema_scan import SchemaScan
from errdetect.data.sources import SourceFile, find_files
from errdetect.data.table_reading import scan_log
from errdetect.features.feature_matrix import Encoding
from errdetect.features.kept_log import (
    KeptLog,
    KeptPart,
    file_digest,
    read_kept_log,
    write_kept_log,
)
from errdetect.features.point_in_time_features import HISTORY
from errdetect.features.similar_content import SIMILAR
from errdetect.version import __version__

__all__ = ["LogState", "open_log_state"]


@dataclass
class LogState:
    """The kept log of one run, and what the run adds.

    Parameters
    ----------
    folder, key
        Where it is, and what it depends on.
    kept
        What earlier runs kept; None for nothing.
    files
        The log's files to read.
    digests
        Path and SHA-256 of each of these.
    notes
        Notes for the reader.
    """

    folder: Path
    key: str
    kept: KeptLog | None
    files: Sequence[SourceFile]
    digests: Sequence[tuple[str, str]]
    notes: list[str] = field(default_factory=list)
    _scan: SchemaScan | None = None
    _slim: FrameStore | None = None
    _place: Path = Path()
    _saved: KeptLog | None = None
    _name: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def current(self) -> KeptLog | None:
        """The kept log with what this run added; None where it could not be kept."""
        return self._saved if self.files else self.kept

    def start(self, folder: Path) -> FrameStore:
        """Return where to write the decisions of new files; the other files go there too."""
        self._place = folder
        part = KeptPart(self._name, (), "", (), ())
        self._slim = FrameStore(folder / part.places[1], compress=False)
        return FrameStore(folder / part.places[0])

    def scanned(self, scan: SchemaScan) -> None:
        """Note how the new files are read."""
        self._scan = scan

    def add(self, slim: pd.DataFrame) -> None:
        """Keep the slim columns of a batch."""
        assert self._slim is not None
        self._slim.write(slim)

    def save(
        self, rows: FrameStore, rejections: Rejections, values: Mapping[str, set[str]]
    ) -> None:
        """Put the kept log with the new files into the place of the earlier one; a note where that fails."""
        if not self.files or self._scan is None or self._slim is None:
            return
        self._slim.close()
        part = KeptPart(
            self._name, tuple(self.digests), self._scan.reading, rows.sizes, self._slim.sizes
        )
        np.save(self._place / part.places[2], np.sort(self._scan.hashes), allow_pickle=False)
        if not len(rows):
            return
        before = () if self.kept is None else self.kept.parts
        plain = {name: sorted(some) for name, some in values.items()}
        try:
            log = KeptLog(self.folder, (*before, part), rejections, plain)
            write_kept_log(log, self.key, self.folder, self._place)
            self._saved = log
        except OSError as error:
            self.notes.append(
                f"the log could not be kept for the next run in {self.folder}: {error.strerror}"
            )


def open_log_state(config: Config, encoding: Encoding) -> LogState | None:
    """Open the kept log, and find the log's new files.

    Parameters
    ----------
    config
        From `load_config`.
    encoding
        The model's: its columns are kept in the types that it learned.

    Returns
    -------
    LogState or None
        None where nothing is to be kept: `state.keep` is false, the model uses no histories, or the
        log is a database's.
    """
    names = encoding.names
    if not config.state.keep or not any(n.startswith((HISTORY, SIMILAR)) for n in names):
        return None
    data = config.data
    mapping = data.mapping("decisions")
    files = find_files(config.data_paths(data.decisions), mapping=mapping, table="decisions")
    if any(file.rows is not None for file in files):
        return None
    known = {path: file_digest(path) for path in {file.path for file in files}}
    digests = [(file.shown, known[file.path]) for file in files]
    folder, key = config.path(config.state.folder), _key(config, encoding)
    kept, why = read_kept_log(folder, key, digests)
    notes = [] if why is None else [f"the log kept in {folder} was rebuilt: {why}"]
    state = LogState(folder, key, kept, files, digests, notes)
    if kept is None:
        return state
    n = sum(len(part.files) for part in kept.parts)
    new = replace(state, files=files[n:], digests=digests[n:])
    if n == len(files) or _fits(config, kept, files[n:]):
        return new
    state.notes.append(
        f"the log kept in {folder} was rebuilt: new files are written in another way"
    )
    return replace(state, kept=None)


def _fits(config: Config, kept: KeptLog, files: Sequence[SourceFile]) -> bool:
    """Return whether new files read alone give what they would together with the earlier ones."""
    data = config.data
    scan = scan_log(files, columns=data.columns, drop=data.drop, mapping=data.mapping("decisions"))
    same = all(part.reading == scan.reading for part in kept.parts)
    return same and not kept.knows_any(scan.hashes)


def _key(config: Config, encoding: Encoding) -> str:
    """Digest what the kept columns depend on besides the files."""
    data = config.data
    mapping = data.mapping("decisions")
    blocks = [any(n.startswith(p) for n in encoding.names) for p in (HISTORY, SIMILAR)]
    told = {
        "version": __version__, "columns": dict(data.columns), "actions": dict(data.actions),
        "drop": sorted(data.drop), "blocks": blocks, "numeric": encoding.numeric_kinds,
        "levels": {name: list(values) for name, values in encoding.levels.items()},
        "mapping": None if mapping is None else mapping.model_dump(mode="json"),
    }  # fmt: skip
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
